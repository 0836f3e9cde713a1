/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_queue.c - the command queue (3.1, 5.15).
 *
 * A command that has been fetched waits in the window until it is done; cqh may be past it. An IOFENCE.C is not passed by
 * cqh before it is complete, and everything before it. Without the freedoms "late" and "reorder" the window never holds more than
 * one.
 */
#include "riscv_state.h"

#define ERRORS (BITS(RISCV_CQCSR, CQMF) | BITS(RISCV_CQCSR, CMD_TO) | BITS(RISCV_CQCSR, CMD_ILL))

static bool is_fence(const uint64_t *command)
{
	return GET(RISCV_CMD, OPCODE, command) == RISCV_OP_IOFENCE;
}

/* cqh stays at the command that is to blame, and nothing is fetched until software has cleared the bit. */
static bool stop(const struct iommu_model *model, uint64_t bit)
{
	word_set(&rvm_state(model)->cqcsr, bit);
	rvm_interrupt_levels(model);
	return true;
}

static uint64_t entries(const struct rvm_state *state)
{
	uint64_t cqb = word_load(&state->cqb);

	return 2ull << GET(RISCV_QUEUE_BASE, LOG2SZ, &cqb);
}

static void advance(struct rvm_state *state)
{
	word_store_sc(&state->cqh, (word_load(&state->cqh) + 1) & (entries(state) - 1));
}

static bool fetch(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_state *state = rvm_state(model);
	uint64_t cqb = word_load(&state->cqb);
	uint64_t address = RISCV_ADDR(GET(RISCV_QUEUE_BASE, PPN, &cqb)) + word_load(&state->cqh) * 16;
	uint64_t broken = word_load(&state->broken);
	bool (*read)(void *, uint64_t, uint64_t *) = port->read128_snooped ? port->read128_snooped : port->read128;
	struct rvm_invalidation ignored;
	uint64_t command[2];

	if ((broken & RISCV_BROKEN_MEMORY) || rvm_beyond(state, address + 15) || !read(port->ctx, address, command))
		return stop(model, BITS(RISCV_CQCSR, CQMF));
	if ((broken & RISCV_BROKEN_ILLEGAL) || !rvm_decode(state, command, &ignored))
		return stop(model, BITS(RISCV_CQCSR, CMD_ILL));
	if (is_fence(command)) {
		memcpy(state->fence, command, sizeof(state->fence));
		state->fence_drained = 0;
		return true;
	}
	memcpy(state->window[state->pending++], command, sizeof(state->window[0]));
	advance(state);
	return true;
}

static void forget(struct rvm_state *state, uint64_t i)
{
	state->pending--;
	for (; i < state->pending; i++)
		memcpy(state->window[i], state->window[i + 1], sizeof(state->window[0]));
	memset(state->window[state->pending], 0, sizeof(state->window[0]));
}

static void forget_fence(struct rvm_state *state)
{
	memset(state->fence, 0, sizeof(state->fence));
	state->fence_drained = 0;
}

/* 3.1.2: all that came before has been executed; what it must wait for has ended now, or this isn't the time yet. */
static bool complete_fence(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_state *state = rvm_state(model);
	uint64_t command[2] = { state->fence[0], state->fence[1] };
	uint64_t address = GET(RISCV_IOFENCE, ADDR, command) << 2;
	struct rvm_invalidation inv;

	if (word_load(&state->broken) & RISCV_BROKEN_FENCE)
		return false;
	if (state->timed_out) {
		state->timed_out = 0;
		forget_fence(state);
		return stop(model, BITS(RISCV_CQCSR, CMD_TO));
	}
	rvm_decode(state, command, &inv);
	if (state->common.maysets) {
		state->last = inv;
	} else {
		/* PR or PW: what has been processed is globally done. Lanes can't tell that from what is being processed. */
		if (inv.nmore && !state->fence_drained)
			state->must_drain |= RVM_DRAIN_ALL;
		state->fence_drained = 1;
		if (!state->draining && state->must_drain)
			rvm_drain_start(state, model->port);
		if (state->draining && !rvm_drain_done(state))
			return false;
		if (state->must_drain)
			return true; /* for software's ddtp, say, another drain was under way: once more */
	}
	if (GET(RISCV_IOFENCE, AV, command)) {
		if (rvm_beyond(state, address) || !port->write32(port->ctx, address, (uint32_t)GET(RISCV_IOFENCE, DATA, command))) {
			forget_fence(state);
			return stop(model, BITS(RISCV_CQCSR, CQMF));
		}
		if (port->dirty)
			port->dirty(port->ctx, address);
	}
	forget_fence(state);
	advance(state);
	if (GET(RISCV_IOFENCE, WSI, command)) {
		word_set(&state->cqcsr, BITS(RISCV_CQCSR, FENCE_W_IP));
		rvm_interrupt_levels(model);
	}
	return true;
}

static bool execute(const struct iommu_model *model, uint64_t i)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_invalidation inv;

	rvm_decode(state, state->window[i], &inv);
	if (inv.kind == RVM_DEVTLB && (word_load(&state->broken) & RISCV_BROKEN_TIMEOUT))
		state->timed_out = 1;
	else
		rvm_invalidate(state, &inv);
	forget(state, i);
	return true;
}

/* What has been fetched, in any order. */
bool rvm_window_tick(const struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);

	if (!state->pending)
		return false;
	return execute(model, rvm_choice(model, IOMMU_FREE_REORDER, (unsigned)state->pending));
}

bool rvm_queue_tick(const struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t csr = word_load(&state->cqcsr);
	bool runs = (csr & BITS(RISCV_CQCSR, CQON)) && (csr & BITS(RISCV_CQCSR, CQEN)) && !(csr & ERRORS);
	bool can_fetch = runs && !state->fence[0] && word_load(&state->cqh) != word_load(&state->cqt) &&
			 state->pending < RVM_WINDOW && !(word_load(&state->broken) & RISCV_BROKEN_FETCH);

	if (state->pending) {
		if (can_fetch && rvm_choice(model, IOMMU_FREE_LATE, 2))
			return fetch(model);
		return rvm_window_tick(model);
	}
	if (state->fence[0])
		return runs && complete_fence(model);
	return can_fetch && fetch(model);
}
