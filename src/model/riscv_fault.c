/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_fault.c - how a request ends that is blocked, the fault queue (3.2, 5.16) and the page-request queue (2.8, 3.3, 5.17).
 *
 * Requests don't wait for long: who can't claim the fault queue within a few looks counts as an overflow.
 */
#include "riscv_state.h"

#define CLAIM_TRIES 4096
#define PAGE_REQUEST_MESSAGE 4 /* the PCIe message code */

static bool executes(const struct iommu_request *request)
{
	return (request->access & IOMMU_EXEC) != 0;
}

static bool writes(const struct iommu_request *request)
{
	return (request->access & IOMMU_WRITE) != 0;
}

/* P: a fault is "corresponding to the original access type", however implicit the access was. */
unsigned rvm_access_fault(const struct iommu_request *request)
{
	return executes(request) ? RISCV_CAUSE_ACCESS_EXECUTE : writes(request) ? RISCV_CAUSE_ACCESS_WRITE :
	       RISCV_CAUSE_ACCESS_READ;
}

unsigned rvm_page_fault(const struct iommu_request *request)
{
	return executes(request) ? RISCV_CAUSE_PAGE_EXECUTE : writes(request) ? RISCV_CAUSE_PAGE_WRITE : RISCV_CAUSE_PAGE_READ;
}

unsigned rvm_guest_fault(const struct iommu_request *request)
{
	return executes(request) ? RISCV_CAUSE_GUEST_EXECUTE : writes(request) ? RISCV_CAUSE_GUEST_WRITE : RISCV_CAUSE_GUEST_READ;
}

/* Table 11, last column. */
static bool reported_with_dtf(unsigned cause)
{
	switch (cause) {
#define REPORTED(name, code, kind, dtf, text) \
	case code: \
		return dtf;
		RISCV_FAULT_CAUSES(REPORTED)
	default:
		return true;
	}
}

/* 2.6: to an ATS translation request these are answered "success" without rights, and nothing is recorded. */
static bool answered_without_rights(unsigned cause)
{
	switch (cause) {
	case RISCV_CAUSE_PAGE_EXECUTE:
	case RISCV_CAUSE_PAGE_READ:
	case RISCV_CAUSE_PAGE_WRITE:
	case RISCV_CAUSE_GUEST_EXECUTE:
	case RISCV_CAUSE_GUEST_READ:
	case RISCV_CAUSE_GUEST_WRITE:
	case RISCV_CAUSE_PDT_ABSENT:
	case RISCV_CAUSE_MSI_ABSENT:
		return true;
	default:
		return false;
	}
}

static unsigned transaction_type(const struct iommu_request *request)
{
	unsigned type = executes(request) ? RISCV_TTYP_EXECUTE : writes(request) ? RISCV_TTYP_WRITE : RISCV_TTYP_READ;

	if (request->kind == IOMMU_REQUEST_TRANSLATION)
		return RISCV_TTYP_ATS;
	return request->kind == IOMMU_REQUEST_TRANSLATED ? type + RISCV_TTYP_TRANSLATED_READ - RISCV_TTYP_READ : type;
}

/* ---- Queues that the unit writes ---- */

struct queue {
	uint64_t *base, *head, *tail, *csr;
	unsigned words;		/* of a record */
	uint64_t ip;		/* its bit in ipsr */
};

static struct queue fault_queue(struct rvm_state *state)
{
	return (struct queue){ &state->fqb, &state->fqh, &state->fqt, &state->fqcsr, RISCV_FAULT_WORDS, BITS(RISCV_IPSR, FIP) };
}

static struct queue page_queue(struct rvm_state *state)
{
	return (struct queue){ &state->pqb, &state->pqh, &state->pqt, &state->pqcsr, RISCV_PAGE_REQUEST_WORDS,
			       BITS(RISCV_IPSR, PIP) };
}

/* fqof and pqof are the same bit. Returns false. */
static bool queue_error(const struct iommu_model *model, const struct queue *queue, uint64_t bit)
{
	word_set(queue->csr, bit);
	rvm_interrupt_levels(model);
	return false;
}

static bool queue_ready(const struct queue *queue)
{
	return (word_load(queue->csr) & (BITS(RISCV_FQCSR, FQON) | BITS(RISCV_FQCSR, FQMF) | BITS(RISCV_FQCSR, FQOF))) ==
	       BITS(RISCV_FQCSR, FQON);
}

/* Whoever calls it has the queue for itself. */
static bool queue_write(const struct iommu_model *model, const struct queue *queue, const uint64_t *record)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_state *state = rvm_state(model);
	uint64_t base = word_load(queue->base);
	uint64_t entries = 2ull << GET(RISCV_QUEUE_BASE, LOG2SZ, &base);
	uint64_t tail = word_load(queue->tail) & (entries - 1);
	uint64_t next = (tail + 1) & (entries - 1);
	uint64_t address = RISCV_ADDR(GET(RISCV_QUEUE_BASE, PPN, &base)) + tail * queue->words * 8;

	if (next == (word_load(queue->head) & (entries - 1)))
		return queue_error(model, queue, BITS(RISCV_FQCSR, FQOF));
	for (unsigned i = 0; i < queue->words; i++) {
		if (rvm_beyond(state, address + 8 * i) || !port->write64(port->ctx, address + 8 * i, record[i]))
			return queue_error(model, queue, BITS(RISCV_FQCSR, FQMF));
	}
	if (port->dirty)
		port->dirty(port->ctx, address);
	word_store_sc(queue->tail, next);
	if (word_load(queue->csr) & BITS(RISCV_FQCSR, FIE))
		rvm_interrupt(model, queue->ip);
	return true;
}

static void record_fault(const struct iommu_model *model, const uint64_t *record)
{
	struct rvm_state *state = rvm_state(model);
	const struct queue queue = fault_queue(state);
	unsigned tries = 0;

	if (!queue_ready(&queue))
		return;
	while (!word_try_lock(&state->fault_claim)) {
		if (++tries == CLAIM_TRIES) {
			queue_error(model, &queue, BITS(RISCV_FQCSR, FQOF));
			return;
		}
	}
	if (queue_ready(&queue))
		queue_write(model, &queue, record);
	word_unlock(&state->fault_claim);
}

/* ---- Faults ---- */

void rvm_fault(const struct iommu_model *model, struct iommu_request *request, unsigned cause, uint64_t iotval2)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t record[RISCV_FAULT_WORDS] = { 0 };
	uint64_t counted = work->flags & (RVM_F_LANES | RVM_F_UNCACHED);
	bool quiet = (work->flags & RVM_F_DC) && GET(RISCV_DC, DTF, work->dc) && !reported_with_dtf(cause);

	if (!quiet && !(request->kind == IOMMU_REQUEST_TRANSLATION && answered_without_rights(cause))) {
		SET(RISCV_FAULT, CAUSE, record, cause);
		SET(RISCV_FAULT, TTYP, record, transaction_type(request));
		SET(RISCV_FAULT, DID, record, request->rid);
		if (rvm_has_pid(request)) {
			SET(RISCV_FAULT, PV, record, 1);
			SET(RISCV_FAULT, PID, record, request->pasid);
			SET(RISCV_FAULT, PRIV, record, request->access & IOMMU_PRIV ? 1 : 0);
		}
		SET(RISCV_FAULT, IOTVAL, record, request->addr);
		SET(RISCV_FAULT, IOTVAL2, record, iotval2);
		record_fault(model, record);
	}
	memset(request->work, 0, sizeof(request->work));
	work->flags = counted;
	request->state = IOMMU_REQUEST_FAULT;
	request->reason = cause;
	request->pc = RVM_PC_END;
}

/* ---- Page requests (2.8) ---- */

unsigned riscv_model_page_request(struct iommu_model *model, const uint64_t words[2])
{
	struct rvm_state *state = rvm_state(model);
	const struct queue queue = page_queue(state);
	uint64_t device = GET(RISCV_PAGE_REQUEST, DID, words);
	bool has_pid = GET(RISCV_PAGE_REQUEST, PV, words);
	bool stop_marker = has_pid && GET(RISCV_PAGE_REQUEST, L, words) && !GET(RISCV_PAGE_REQUEST, R, words) &&
			   !GET(RISCV_PAGE_REQUEST, W, words);
	unsigned response, cause;
	uint64_t dc[8] = { 0 };

	cause = GET(RISCV_CAP, ATS, &state->cap) ? rvm_locate(model, (uint32_t)device, dc) : RISCV_CAUSE_DISALLOWED;
	if (!cause && !(GET(RISCV_DC, EN_ATS, dc) && GET(RISCV_DC, EN_PRI, dc)))
		cause = RISCV_CAUSE_DISALLOWED;
	if (!cause && queue_ready(&queue)) {
		uint64_t record[2] = { 0, words[1] };

		SET(RISCV_PAGE_REQUEST, DID, record, device);
		if (has_pid) {
			SET(RISCV_PAGE_REQUEST, PV, record, 1);
			SET(RISCV_PAGE_REQUEST, PID, record, GET(RISCV_PAGE_REQUEST, PID, words));
			SET(RISCV_PAGE_REQUEST, PRIV, record, GET(RISCV_PAGE_REQUEST, PRIV, words));
			SET(RISCV_PAGE_REQUEST, EXEC, record, GET(RISCV_PAGE_REQUEST, EXEC, words));
		}
		if (queue_write(model, &queue, record))
			return RISCV_MODEL_PAGE_QUEUED;
	}
	if (cause) {
		uint64_t record[RISCV_FAULT_WORDS] = { 0 };
		bool located = GET(RISCV_DC, V, dc) && cause == RISCV_CAUSE_DISALLOWED;

		if (!(located && GET(RISCV_DC, DTF, dc))) {
			SET(RISCV_FAULT, CAUSE, record, cause);
			SET(RISCV_FAULT, TTYP, record, RISCV_TTYP_MESSAGE);
			SET(RISCV_FAULT, DID, record, device);
			SET(RISCV_FAULT, PV, record, has_pid);
			if (has_pid) {
				SET(RISCV_FAULT, PID, record, GET(RISCV_PAGE_REQUEST, PID, words));
				SET(RISCV_FAULT, PRIV, record, GET(RISCV_PAGE_REQUEST, PRIV, words));
			}
			SET(RISCV_FAULT, IOTVAL, record, PAGE_REQUEST_MESSAGE);
			record_fault(model, record);
		}
		response = cause == RISCV_CAUSE_DISALLOWED ? RISCV_MODEL_PAGE_INVALID : RISCV_MODEL_PAGE_FAILURE;
	} else {
		uint64_t csr = word_load(&state->pqcsr);

		response = !(csr & BITS(RISCV_PQCSR, PQON)) || (csr & BITS(RISCV_PQCSR, PQMF)) ? RISCV_MODEL_PAGE_FAILURE :
			   RISCV_MODEL_PAGE_SUCCESS;
	}
	if (!GET(RISCV_PAGE_REQUEST, L, words) || stop_marker)
		return RISCV_MODEL_PAGE_DISCARDED;
	if (has_pid && (response == RISCV_MODEL_PAGE_FAILURE || GET(RISCV_DC, PRPR, dc)))
		response |= RISCV_MODEL_PAGE_WITH_PASID;
	return response;
}
