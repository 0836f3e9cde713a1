/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_fault.c - faults: how a request ends that is blocked, and what is recorded of it (7.1, 7.2, 11.4.7).
 *
 * Requests don't wait: who can't claim the recording registers at once (another request is recording) counts as an overflow.
 */
#include "vtd_state.h"

/* 7.1.3, table 26: qualified faults are those that FPD suppresses. What comes before FPD can be known isn't. */
static bool qualified(unsigned reason)
{
	switch (reason) {
	case VTD_FR_ROOT_ABSENT:
	case VTD_FR_ROOT_ACCESS:
	case VTD_FR_ROOT_RESERVED:
	case VTD_FR_CONTEXT_ACCESS:
	case VTD_FR_RTA_ACCESS_SM:
	case VTD_FR_TTM_MISMATCH:
	case VTD_FR_ROOT_ACCESS_SM:
	case VTD_FR_ROOT_ABSENT_SM:
	case VTD_FR_ROOT_RESERVED_SM:
	case VTD_FR_CONTEXT_ACCESS_SM:
	case VTD_FR_PASIDDIR_ACCESS:
	case VTD_FR_PASID_ACCESS:
		return false;
	default:
		return true;
	}
}

/* 7.1.3: to an ATS translation request these are answered "no access", which is no fault to report. */
static bool recoverable(unsigned reason)
{
	switch (reason) {
	case VTD_FR_SS_WRITE:
	case VTD_FR_SS_READ:
	case VTD_FR_FS_ABSENT:
	case VTD_FR_SS_ABSENT_SM:
	case VTD_FR_FS_USER:
	case VTD_FR_FS_EXECUTE:
	case VTD_FR_FS_WRITE:
	case VTD_FR_FS_READ:
		return true;
	default:
		return false;
	}
}

static uint64_t *record(const struct vtdm_state *state, uint64_t index)
{
	return (uint64_t *)(uintptr_t)state + state->fault_first + 2 * index;
}

bool vtdm_fault_pending(const struct vtdm_state *state)
{
	for (uint64_t i = 0; i < state->nfaults; i++) {
		if (word_load(record(state, i) + 1) & BITS(VTD_FAULT, F))
			return true;
	}
	return false;
}

static void record_fault(const struct iommu_model *model, const struct iommu_request *request, unsigned reason)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t words[2] = { 0, 0 };
	uint64_t *to;
	bool was_pending, was_quiet;

	/* 7.2.1: after an overflow nothing is recorded until software has cleared PFO. */
	if (vtdm_reg32(state, VTD_REG_FSTS) & BITS(VTD_FSTS, PFO))
		return;
	if (!word_try_lock(&state->fault_claim)) {
		vtdm_fsts_raise(model, BITS(VTD_FSTS, PFO));
		return;
	}
	to = record(state, state->fault_next);
	if (word_load(to + 1) & BITS(VTD_FAULT, F)) {
		word_unlock(&state->fault_claim);
		vtdm_fsts_raise(model, BITS(VTD_FSTS, PFO));
		return;
	}
	SET_ADDR(VTD_FAULT, FI, words, request->addr);
	SET(VTD_FAULT, SID, words, request->rid);
	SET(VTD_FAULT, FR, words, reason);
	SET(VTD_FAULT, AT, words, request->kind);
	SET(VTD_FAULT, T1, words, (request->access & IOMMU_WRITE) && !(request->access & IOMMU_READ) ? 0 : 1);
	SET(VTD_FAULT, T2, words, (request->access & IOMMU_WRITE) && (request->access & IOMMU_READ) ? 1 : 0);
	if (request->pasid != IOMMU_NO_PASID) {
		SET(VTD_FAULT, PP, words, 1);
		SET(VTD_FAULT, PV, words, request->pasid);
		SET(VTD_FAULT, PRIV, words, (request->access & IOMMU_PRIV) ? 1 : 0);
		SET(VTD_FAULT, EXE, words, (request->access & IOMMU_EXEC) ? 1 : 0);
	}
	SET(VTD_FAULT, F, words, 1);
	was_pending = vtdm_fault_pending(state);
	was_quiet = !(vtdm_fsts(state) & 0xff);
	if (!was_pending)
		word_store(&state->fault_index, state->fault_next);
	word_store(to, words[0]);
	word_store(to + 1, words[1]);
	state->fault_next = state->fault_next + 1 < state->nfaults ? state->fault_next + 1 : 0;
	word_unlock(&state->fault_claim);
	if (!was_pending && was_quiet)
		vtdm_event(model, VTD_REG_FECTL);
}

uint64_t vtdm_fault_read(const struct vtdm_state *state, uint64_t index, unsigned half)
{
	return word_load(record(state, index) + half);
}

void vtdm_fault_clear(struct vtdm_state *state, uint64_t index)
{
	word_clear(record(state, index) + 1, BITS(VTD_FAULT, F));
}

static void finish(struct iommu_request *request, unsigned reason)
{
	struct vtdm_work *work = vtdm_work(request);
	uint64_t counted = work->flags & VTDM_F_LANES;

	memset(request->work, 0, sizeof(request->work));
	work->flags = counted;
	request->state = IOMMU_REQUEST_FAULT;
	request->reason = reason;
	request->pc = VTDM_PC_END;
}

/* Blocked, and nothing is recorded: an unsupported request on the bus. */
void vtdm_refuse(struct iommu_request *request, unsigned reason)
{
	finish(request, reason);
}

void vtdm_fault(const struct iommu_model *model, struct iommu_request *request, unsigned reason)
{
	bool suppressed = (vtdm_work(request)->flags & VTDM_F_FPD) && qualified(reason);

	if (!suppressed && !(request->kind == IOMMU_REQUEST_TRANSLATION && recoverable(reason)))
		record_fault(model, request, reason);
	finish(request, reason);
}
