/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_queue.c - the invalidation queue (6.5.2, 11.4.9).
 *
 * A command that has been fetched (IQH is past it) waits in the window until it is done; IQH says nothing about
 * completion, only a wait descriptor does. Without the freedoms "late" and "reorder" the window never holds more than one.
 */
#include "vtd_state.h"

/* IQERCD.IQEI */
enum { IQEI_TAIL = 1, IQEI_FETCH = 2, IQEI_WIDTH = 5, IQEI_ALIGNMENT = 6, IQEI_TTM = 7 };

static uint64_t *reg(struct vtdm_state *state, unsigned offset)
{
	return &state->regs[offset / 8];
}

static void queue_error(const struct iommu_model *model, unsigned info)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t *iqercd = reg(state, VTD_REG_IQERCD);

	word_store(iqercd, (word_load(iqercd) & ~BITS(VTD_IQERCD, IQEI)) | info);
	vtdm_fsts_raise(model, BITS(VTD_FSTS, IQE));
}

static bool is_wait(const uint64_t *descriptor)
{
	return GET(VTD_DESC, TYPE, descriptor) == VTD_DESC_WAIT;
}

/* 11.4.9.3: what the queue's registers must say, given the root table's mode. */
static unsigned check_queue(const struct vtdm_state *state, uint64_t iqa, uint64_t tail)
{
	unsigned wide = (unsigned)GET(VTD_IQA, DW, &iqa);
	bool sm_capable = GET(VTD_ECAP, SMTS, &state->ecap) || GET(VTD_ECAP, ABMTS, &state->ecap);
	uint64_t ttm = GET(VTD_RTADDR, TTM, &VTDM_ROOT(state));

	switch (ttm) {
	case VTD_TTM_LEGACY:
		if (wide && !sm_capable)
			return IQEI_WIDTH;
		break;
	case VTD_TTM_SCALABLE:
	case VTD_TTM_ABORT:
		if (!wide)
			return IQEI_WIDTH;
		break;
	default:
		return IQEI_TTM;
	}
	if (wide && (tail & 0x10))
		return IQEI_ALIGNMENT;
	if (tail >= 4096ull << GET(VTD_IQA, QS, &iqa))
		return IQEI_TAIL;
	return 0;
}

static bool fetch(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_state *state = vtdm_state(model);
	uint64_t iqa = word_load(reg(state, VTD_REG_IQA));
	uint64_t head = word_load(reg(state, VTD_REG_IQH)) & BITS(VTD_IQH, QH);
	uint64_t tail = word_load(reg(state, VTD_REG_IQT)) & BITS(VTD_IQT, QT);
	uint64_t size = 4096ull << GET(VTD_IQA, QS, &iqa);
	uint64_t width = GET(VTD_IQA, DW, &iqa) ? 32 : 16;
	uint64_t address = GET_ADDR(VTD_IQA, IQA, &iqa) + head;
	struct vtdm_invalidation ignored;
	uint64_t descriptor[4] = { 0, 0, 0, 0 };
	unsigned error = check_queue(state, iqa, tail);
	/* 11.4.3: whatever ECAP.C says, the queue is always coherent. */
	bool (*read)(void *, uint64_t, uint64_t *) = port->read128_snooped ? port->read128_snooped : port->read128;

	if (!error && (address + width > 1ull << state->haw || !read(port->ctx, address, descriptor)))
		error = IQEI_FETCH;
	if (!error && width == 32 && !read(port->ctx, address + 16, descriptor + 2))
		error = IQEI_FETCH;
	if (!error)
		error = vtdm_decode(state, descriptor, &ignored);
	if (!error && (descriptor[2] || descriptor[3]))
		error = 4;
	if (error) {
		queue_error(model, error);
		return true;
	}
	memcpy(state->window[state->pending++], descriptor, sizeof(state->window[0]));
	word_store(reg(state, VTD_REG_IQH), head + width < size ? head + width : 0);
	return true;
}

static void forget(struct vtdm_state *state, uint64_t i)
{
	state->pending--;
	for (; i < state->pending; i++)
		memcpy(state->window[i], state->window[i + 1], sizeof(state->window[0]));
	memset(state->window[state->pending], 0, sizeof(state->window[0]));
}

/* 6.5.2.8: all that came before has been executed; what that must wait for has ended now, or this isn't the time yet. */
static bool complete_wait(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_state *state = vtdm_state(model);
	const uint64_t *descriptor = state->window[0];
	uint64_t broken = word_load(&state->broken);
	uint64_t address = GET_ADDR(VTD_DESC_WAIT, STATUS_ADDR, descriptor);

	if (broken & VTD_BROKEN_WAIT)
		return false;
	if (state->timed_out) {
		/* 6.5.2.10: the wait is aborted, and IQH stays past it. */
		uint64_t *iqercd = reg(state, VTD_REG_IQERCD);

		word_store(iqercd, (word_load(iqercd) & ~BITS(VTD_IQERCD, ITESID)) |
					   (state->timed_out & 0xffff) << VTD_IQERCD_ITESID_LSB);
		state->timed_out = 0;
		forget(state, 0);
		vtdm_fsts_raise(model, BITS(VTD_FSTS, ITE));
		return true;
	}
	if (state->must_drain && !state->draining) {
		vtdm_drain_start(state, model->port);
	}
	if (state->draining) {
		if (!vtdm_drain_done(state))
			return false;
		state->draining = 0;
		if (state->must_drain)
			return true; /* something was invalidated while this drain went on: once more */
	}
	if (GET(VTD_DESC_WAIT, SW, descriptor)) {
		if (port->write32(port->ctx, address, (uint32_t)GET(VTD_DESC_WAIT, STATUS_DATA, descriptor)) && port->dirty)
			port->dirty(port->ctx, address);
	}
	if (GET(VTD_DESC_WAIT, IF, descriptor)) {
		uint64_t iwc = BITS(VTD_ICS, IWC) << 32; /* 0x09c is the upper half of a word */

		if (!(word_set(reg(state, VTD_REG_ICS), iwc) & iwc)) {
			forget(state, 0);
			vtdm_event(model, VTD_REG_IECTL);
			return true;
		}
	}
	forget(state, 0);
	return true;
}

static bool execute(const struct iommu_model *model, uint64_t i)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_invalidation inv;
	uint64_t broken = word_load(&state->broken);
	uint64_t ice_sid = 0;

	if (is_wait(state->window[i]))
		return complete_wait(model);
	vtdm_decode(state, state->window[i], &inv);
	if (inv.kind == VTDM_DEVTLB) {
		uint64_t sid = inv.scopes[0].tag & TAG_SOURCE;

		if (broken & VTD_BROKEN_ITE) {
			state->timed_out = VTDM_PENDING | sid;
			inv.kind = VTDM_NOTHING;
		}
		if (broken & VTD_BROKEN_ICE)
			ice_sid = VTDM_PENDING | sid;
	}
	vtdm_invalidate(state, &inv);
	forget(state, i);
	if (ice_sid) {
		uint64_t *iqercd = reg(state, VTD_REG_IQERCD);

		word_store(iqercd, (word_load(iqercd) & ~BITS(VTD_IQERCD, ICESID)) |
					   (ice_sid & 0xffff) << VTD_IQERCD_ICESID_LSB);
		vtdm_fsts_raise(model, BITS(VTD_FSTS, ICE));
	}
	return true;
}

/* The commands that could be executed next, oldest first. */
static unsigned eligible(const struct vtdm_state *state, uint64_t *list)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < state->pending; i++) {
		bool wait = is_wait(state->window[i]);

		if (!wait || i == 0)
			list[n++] = i;
		if (!vtdm_free(state, IOMMU_FREE_REORDER))
			break;
		if (wait && GET(VTD_DESC_WAIT, FN, state->window[i]))
			break; /* a fence: nothing behind it before it */
	}
	return n;
}

static bool fence_pending(const struct vtdm_state *state)
{
	for (uint64_t i = 0; i < state->pending; i++) {
		if (is_wait(state->window[i]) && GET(VTD_DESC_WAIT, FN, state->window[i]))
			return true;
	}
	return false;
}

bool vtdm_queue_tick(const struct iommu_model *model)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t list[VTDM_WINDOW];
	unsigned n = eligible(state, list);
	bool enabled = vtdm_reg32(state, VTD_REG_GSTS) & BITS(VTD_GCMD, QIE);
	bool stopped = vtdm_reg32(state, VTD_REG_FSTS) & (BITS(VTD_FSTS, IQE) | BITS(VTD_FSTS, ITE));
	uint64_t head = word_load(reg(state, VTD_REG_IQH)) & BITS(VTD_IQH, QH);
	uint64_t tail = word_load(reg(state, VTD_REG_IQT)) & BITS(VTD_IQT, QT);
	bool can_fetch = enabled && !stopped && head != tail && state->pending < VTDM_WINDOW && !fence_pending(state) &&
			 !(word_load(&state->broken) & VTD_BROKEN_FETCH);
	unsigned choice;

	if (!n)
		return can_fetch && fetch(model);
	if (can_fetch && vtdm_choice(model, IOMMU_FREE_LATE, 2))
		return fetch(model);
	choice = (unsigned)vtdm_choice(model, IOMMU_FREE_REORDER, n);
	return execute(model, list[choice]);
}
