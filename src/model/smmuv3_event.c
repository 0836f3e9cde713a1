/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_event.c - how a request ends that is not let through (3.9.1, 5.5, 7.3), and the event queue (7.2, 7.4).
 *
 * Requests don't wait for long: who can't claim the queue within a few looks counts as an overflow.
 */
#include "smmuv3_state.h"

#define CLAIM_TRIES 4096

const char *smm_reason(const struct iommu_model *model, uint32_t reason)
{
	(void)model;
	switch (reason) {
#define REASON_TEXT(name, code, text) \
	case code: \
		return text;
		SMMU_EVENTS(REASON_TEXT)
	case SMMUV3_MODEL_SILENT:
		return "aborted without an event";
	default:
		return "unknown";
	}
}

/* ---- The queue ---- */

static bool queue_writable(const struct smm_state *state)
{
	return (word_load(&state->cr0ack) & BITS(SMMU_CR0, EVENTQEN)) &&
	       !((word_load(&state->gerror) ^ word_load(&state->gerrorn)) & BITS(SMMU_GERROR, EVENTQ_ABT_ERR));
}

/* 7.4: toggled unless software hasn't acknowledged the last one. */
static void overflow(struct smm_state *state)
{
	uint64_t prod;

	do {
		prod = word_load(&state->eventq_prod);
		if ((prod ^ word_load(&state->eventq_cons)) & BITS(SMMU_EVENTQ_PROD, OVFLG))
			return;
	} while (!word_replace(&state->eventq_prod, prod, prod ^ BITS(SMMU_EVENTQ_PROD, OVFLG)));
}

/* Whoever calls it has the queue for itself. */
static void queue_write(const struct iommu_model *model, const uint64_t *record)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	uint64_t base = word_load(&state->eventq_base);
	uint64_t most = GET(SMMU_IDR1, EVENTQS, &state->idr1);
	uint64_t log2 = GET(SMMU_QUEUE_BASE, LOG2SIZE, &base) < most ? GET(SMMU_QUEUE_BASE, LOG2SIZE, &base) : most;
	uint64_t entries = 1ull << log2, mask = 2 * entries - 1;
	uint64_t prod = word_load(&state->eventq_prod), cons = word_load(&state->eventq_cons) & mask;
	uint64_t at = prod & mask;
	uint64_t address = GET_ADDR(SMMU_QUEUE_BASE, ADDR, &base) & ~(entries * SMMU_EVENT_BYTES - 1) & ((1ull << state->oas) - 1);

	if ((at ^ cons) == entries) {
		overflow(state);
		return;
	}
	address += (at & (entries - 1)) * SMMU_EVENT_BYTES;
	for (unsigned i = 0; i < SMMU_EVENT_WORDS; i++) {
		if (smm_beyond(state, address + 8 * i) || !port->write64(port->ctx, address + 8 * i, record[i])) {
			smm_gerror(model, BITS(SMMU_GERROR, EVENTQ_ABT_ERR));
			return;
		}
	}
	if (port->dirty)
		port->dirty(port->ctx, address);
	/* Who gave up waiting for the queue may have set OVFLG meanwhile. */
	while (!word_replace(&state->eventq_prod, prod, (prod & BITS(SMMU_EVENTQ_PROD, OVFLG)) | ((at + 1) & mask)))
		prod = word_load(&state->eventq_prod);
	if (at == cons)
		smm_interrupt(model, SMM_IRQ_EVENTQ);
}

static void record_event(const struct iommu_model *model, const uint64_t *record)
{
	struct smm_state *state = smm_state(model);
	unsigned tries = 0;

	if (!queue_writable(state))
		return;
	while (!word_try_lock(&state->event_claim)) {
		if (++tries == CLAIM_TRIES) {
			overflow(state);
			return;
		}
	}
	if (queue_writable(state))
		queue_write(model, record);
	word_unlock(&state->event_claim);
}

/* ---- Faults ---- */

static bool translation_related(unsigned code)
{
	return code == SMMU_EVT_F_TRANSLATION || code == SMMU_EVT_F_ADDR_SIZE || code == SMMU_EVT_F_ACCESS ||
	       code == SMMU_EVT_F_PERMISSION;
}

/* 3.9.1.2, 3.9.1.3, 5.5, 6.3.12 */
static bool recorded(const struct iommu_request *request, const struct smm_fault *fault)
{
	const struct smm_work *work = (const struct smm_work *)(const void *)request->work;
	bool extended = work->flags & SMM_F_REC_CFG_ATS;

	if (fault->code == SMMUV3_MODEL_SILENT)
		return false;
	if (fault->code == SMMU_EVT_F_BAD_ATS_TREQ || fault->code == SMMU_EVT_F_TRANSL_FORBIDDEN)
		return true;
	if (request->kind == IOMMU_REQUEST_TRANSLATION && (translation_related(fault->code) || !extended))
		return false;
	/* A translated transaction under a split stage faults like others in the second stage. */
	if (request->kind == IOMMU_REQUEST_TRANSLATED && !extended && !fault->s2)
		return false;
	if (fault->code == SMMU_EVT_C_BAD_STREAMID)
		return request->kind == IOMMU_REQUEST_TRANSLATED || (work->flags & SMM_F_RECINVSID);
	if (!translation_related(fault->code))
		return true;
	if (fault->s2)
		return GET(SMMU_STE, S2R, work->ste);
	/* A first stage that is bypassed has no context descriptor to say so. */
	return !(work->flags & SMM_F_S1) || GET(SMMU_CD, R, work->cd);
}

/* InD is 0 in a write; PnU and InD are those after the stream table entry's overrides. */
static void set_access(uint64_t *record, const struct iommu_request *request)
{
	const struct smm_work *work = (const struct smm_work *)(const void *)request->work;
	bool write = request->access & IOMMU_WRITE;

	SET(SMMU_EV_FAULT, RNW, record, !write);
	SET(SMMU_EV_FAULT, IND, record, !write && (work->flags & SMM_F_NEED_X));
	SET(SMMU_EV_FAULT, PNU, record, (work->flags & SMM_F_PRIV) != 0);
}

static void fill_record(uint64_t *record, const struct iommu_request *request, const struct smm_fault *fault)
{
	const struct smm_work *work = (const struct smm_work *)(const void *)request->work;

	SET(SMMU_EVENT, CODE, record, fault->code);
	SET(SMMU_EVENT, SID, record, request->rid);
	if (smm_has_ssid(request)) {
		SET(SMMU_EVENT, SSV, record, fault->code != SMMU_EVT_C_BAD_SUBSTREAMID);
		SET(SMMU_EVENT, SSID, record, request->pasid);
	}
	switch (fault->code) {
	case SMMU_EVT_F_STE_FETCH:
	case SMMU_EVT_F_CD_FETCH:
		SET_ADDR(SMMU_EV_FETCH, FETCH_ADDR, record, fault->fetch);
		break;
	case SMMU_EVT_F_BAD_ATS_TREQ:
		SET_ADDR(SMMU_EV_BAD_ATS_TREQ, INPUT_ADDR, record, request->addr);
		break;
	case SMMU_EVT_F_TRANSL_FORBIDDEN:
		SET(SMMU_EV_TRANSL_FORBIDDEN, RNW, record, !(request->access & IOMMU_WRITE));
		SET(SMMU_EV_TRANSL_FORBIDDEN, INPUT_ADDR, record, request->addr);
		break;
	case SMMU_EVT_F_WALK_EABT:
		set_access(record, request);
		SET(SMMU_EV_WALK_EABT, S2, record, fault->s2);
		SET(SMMU_EV_WALK_EABT, CLASS, record, fault->class);
		SET(SMMU_EV_WALK_EABT, INPUT_ADDR, record, request->addr);
		SET_ADDR(SMMU_EV_WALK_EABT, FETCH_ADDR, record, fault->fetch);
		break;
	case SMMU_EVT_F_TRANSLATION:
	case SMMU_EVT_F_ADDR_SIZE:
	case SMMU_EVT_F_ACCESS:
	case SMMU_EVT_F_PERMISSION:
		set_access(record, request);
		SET(SMMU_EV_FAULT, S2, record, fault->s2);
		SET(SMMU_EV_FAULT, CLASS, record, fault->class);
		if (fault->code == SMMU_EVT_F_PERMISSION && fault->class == SMMU_CLASS_TT)
			SET(SMMU_EV_FAULT, TTRNW, record, !fault->table_write);
		SET(SMMU_EV_FAULT, INPUT_ADDR, record, request->addr);
		if (fault->s2)
			SET_ADDR(SMMU_EV_FAULT, IPA, record, work->ipa);
		break;
	case SMMU_EVT_F_TLB_CONFLICT:
		set_access(record, request);
		SET(SMMU_EV_TLB_CONFLICT, S2, record, fault->s2);
		SET(SMMU_EV_TLB_CONFLICT, INPUT_ADDR, record, request->addr);
		if (fault->s2)
			SET_ADDR(SMMU_EV_TLB_CONFLICT, IPA, record, work->ipa);
		break;
	default:
		break;
	}
}

void smm_fault(const struct iommu_model *model, struct iommu_request *request, const struct smm_fault *fault)
{
	struct smm_work *work = smm_work(request);
	uint64_t record[SMMU_EVENT_WORDS] = { 0 };
	uint64_t counted = work->flags & SMM_F_LANES;

	if (recorded(request, fault)) {
		fill_record(record, request, fault);
		record_event(model, record);
	}
	memset(request->work, 0, sizeof(request->work));
	work->flags = counted;
	request->state = IOMMU_REQUEST_FAULT;
	request->reason = fault->code;
	request->pc = SMM_PC_END;
}

/* Of those that have no stage, class or address. */
void smm_refuse(const struct iommu_model *model, struct iommu_request *request, unsigned code)
{
	const struct smm_fault fault = { .code = code };

	smm_fault(model, request, &fault);
}
