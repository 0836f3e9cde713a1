/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_event.c - the event log, and how a request ends that is blocked (2.5).
 */
#include "amdvi_state.h"

/* Who logs an event while many others do gives up after this many looks: the event is lost, which counts as an overflow. */
#define MAX_CLAIMS 1000

/* 2.5.1: an event that finds the log full is lost, and the log stops until software has seen to it. */
static void overflow(const struct iommu_model *model)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t *status = amdvim_reg(state, AMDVI_REG_STATUS);

	word_set(status, BITS(AMDVI_STATUS, EVENT_OVERFLOW));
	word_clear(status, BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	amdvim_status_raise(model, BITS(AMDVI_STATUS, EVENT_LOG_INT), BITS(AMDVI_CONTROL, EVENT_INT_EN));
}

void amdvim_event(const struct iommu_model *model, const uint64_t words[2])
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_state *state = amdvim_state(model);
	uint64_t base, size, head, tail, next;
	bool full, written = false;

	if (!(amdvim_reg_load(state, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, EVENT_LOG_RUN)))
		return;
	for (unsigned i = 0; !word_try_lock(&state->event_claim); i++) {
		if (i == MAX_CLAIMS) {
			overflow(model);
			return;
		}
	}
	/* It may have been stopped meanwhile, and then it is software's. */
	if (!(amdvim_reg_load(state, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, EVENT_LOG_RUN))) {
		word_unlock(&state->event_claim);
		return;
	}
	base = amdvim_reg_load(state, AMDVI_REG_EVENT_BASE);
	size = amdvim_buffer_size(base);
	head = amdvim_reg_load(state, AMDVI_REG_EVENT_HEAD) & (size - 1);
	tail = amdvim_reg_load(state, AMDVI_REG_EVENT_TAIL) & (size - 1);
	next = (tail + 16) & (size - 1);
	full = next == head;
	if (!full) {
		uint64_t at = GET_ADDR(AMDVI_BUFFER, BASE, &base) + tail;

		/* Where there is no memory, the event is gone. */
		written = port->write64(port->ctx, at, words[0]) && port->write64(port->ctx, at + 8, words[1]);
		if (written && port->dirty)
			port->dirty(port->ctx, at);
		word_store(amdvim_reg(state, AMDVI_REG_EVENT_TAIL), next);
	}
	word_unlock(&state->event_claim);
	if (full)
		overflow(model);
	else
		amdvim_status_raise(model, BITS(AMDVI_STATUS, EVENT_LOG_INT), BITS(AMDVI_CONTROL, EVENT_INT_EN));
}

/* Blocked, and nothing is logged. */
void amdvim_refuse(struct iommu_request *request, uint32_t reason)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t counted = work->flags & AMDVIM_F_LANES;

	amdvim_clear_work(request);
	work->flags = counted;
	request->state = IOMMU_REQUEST_FAULT;
	request->reason = reason;
	request->pc = AMDVIM_PC_END;
}

void amdvim_fault_at(const struct iommu_model *model, struct iommu_request *request, unsigned code, unsigned flags,
		     uint64_t address)
{
	struct amdvim_work *work = amdvim_work(request);
	bool translation = request->kind == IOMMU_REQUEST_TRANSLATION;
	bool silent = false;
	uint64_t words[2] = { 0, address };
	uint64_t id = 0;

	/* RW says nothing of a translation request. An INVALID_DEVICE_REQUEST has no such bit. */
	if (translation)
		flags |= AMDVIM_EV_TR;
	else if ((request->access & IOMMU_WRITE) && code != AMDVI_EVENT_INVALID_REQUEST)
		flags |= AMDVIM_EV_RW;
	switch (code) {
	case AMDVI_EVENT_PAGE_FAULT:
		/* 2.1.3.2: a translation request is answered "no access", which is no fault to report. */
		silent = translation || (work->flags & AMDVIM_F_SA);
		/* fall through */
	case AMDVI_EVENT_TABLE_HARDWARE:
		if (flags & AMDVIM_EV_GN)
			id = work->pasid;
		else
			id = (work->tag & TAG_DOMAIN) >> TAG_DOMAIN_LSB;
		break;
	case AMDVI_EVENT_ILLEGAL_DTE:
	case AMDVI_EVENT_INVALID_REQUEST:
		if (request->pasid != IOMMU_NO_PASID) {
			flags |= AMDVIM_EV_GN;
			id = request->pasid & 0xfffff;
		}
		break;
	default:
		break;
	}
	SET(AMDVI_EV_PAGE_FAULT, DEVICE_ID, words, request->rid);
	SET(AMDVI_EV_PAGE_FAULT, PASID_19_16, words, flags & AMDVIM_EV_GN ? id >> 16 : 0);
	SET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, words, id);
	words[0] |= (uint64_t)flags << 48;
	SET(AMDVI_EVENT, CODE, words, code);
	if (!silent)
		amdvim_event(model, words);
	amdvim_refuse(request, code << AMDVIM_EV_CODE_LSB | flags);
}

void amdvim_fault(const struct iommu_model *model, struct iommu_request *request, unsigned code, unsigned flags)
{
	amdvim_fault_at(model, request, code, flags, amdvim_work(request)->iova);
}

static const char *page_fault_text(uint32_t flags)
{
	if (!(flags & AMDVIM_EV_PR))
		return flags & AMDVIM_EV_GN ? "guest entry not present" : "entry not present, or no translation for the device";
	if (flags & AMDVIM_EV_PE)
		return flags & AMDVIM_EV_GN ? "no permission in the guest's tables" : "no permission";
	if (flags & AMDVIM_EV_RZ)
		return "reserved bits in an entry";
	return "illegal level or page size in an entry, or address beyond the tables";
}

static const char *invalid_request_text(uint32_t flags)
{
	unsigned type = flags >> AMDVIM_EV_TYPE_LSB & 7;

	if (flags & AMDVIM_EV_TR)
		return type == AMDVI_INVALID_TR_I_CLEAR ? "translation request while device TLBs are off" :
			"translation request for an address that is not translated";
	switch (type) {
	case AMDVI_INVALID_ADDRESS_F:
		return "read of the interrupt range";
	case AMDVI_INVALID_PRETRANSLATED:
		return "translated request while device TLBs are off";
	default:
		return "request for a range that is not for DMA";
	}
}

const char *amdvim_reason(const struct iommu_model *model, uint32_t reason)
{
	(void)model;
	switch (reason >> AMDVIM_EV_CODE_LSB) {
	case AMDVI_EVENT_ILLEGAL_DTE:
		return reason & AMDVIM_EV_RZ ? "reserved bits in the device table entry" :
			"illegal level encoding in the device table entry";
	case AMDVI_EVENT_PAGE_FAULT:
		return page_fault_text(reason);
	case AMDVI_EVENT_DTE_HARDWARE:
		return "the device table can't be read";
	case AMDVI_EVENT_TABLE_HARDWARE:
		return "a table can't be read or written";
	case AMDVI_EVENT_INVALID_REQUEST:
		return invalid_request_text(reason);
	default:
		return "unknown";
	}
}
