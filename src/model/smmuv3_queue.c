/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_queue.c - the command queue (4.1, 4.7.3, 7.1).
 *
 * A command that has been fetched waits in the window until it is done; CONS may be past it: consumption says nothing (4.8). A
 * CMD_SYNC is not passed by CONS before everything before it is complete, and nothing behind it is fetched before that. Without the
 * freedoms "late" and "reorder" the window never holds more than one.
 */
#include "smmuv3_state.h"

/* 7.1: CONS stays at the command that is to blame, and nothing is fetched until software acknowledges the error. */
static bool stop(const struct iommu_model *model, uint64_t error)
{
	struct smm_state *state = smm_state(model);
	uint64_t cons = word_load(&state->cmdq_cons);

	SET(SMMU_CMDQ_CONS, ERR, &cons, error);
	word_store_sc(&state->cmdq_cons, cons);
	smm_gerror(model, BITS(SMMU_GERROR, CMDQ_ERR));
	return true;
}

static uint64_t entries(const struct smm_state *state)
{
	uint64_t base = word_load(&state->cmdq_base), most = GET(SMMU_IDR1, CMDQS, &state->idr1);
	uint64_t log2 = GET(SMMU_QUEUE_BASE, LOG2SIZE, &base);

	return 1ull << (log2 < most ? log2 : most);
}

static bool empty(const struct smm_state *state)
{
	uint64_t mask = 2 * entries(state) - 1;

	return !((word_load(&state->cmdq_prod) ^ word_load(&state->cmdq_cons)) & mask);
}

static void advance(struct smm_state *state)
{
	uint64_t cons = word_load(&state->cmdq_cons), mask = 2 * entries(state) - 1;

	SET(SMMU_CMDQ_CONS, RD, &cons, (cons + 1) & mask);
	word_store_sc(&state->cmdq_cons, cons);
}

static bool fetch(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	uint64_t base = word_load(&state->cmdq_base), n = entries(state);
	uint64_t bytes = n * SMMU_CMD_BYTES < 32 ? 32 : n * SMMU_CMD_BYTES;
	uint64_t address = GET_ADDR(SMMU_QUEUE_BASE, ADDR, &base) & ~(bytes - 1) & ((1ull << state->oas) - 1);
	uint64_t broken = word_load(&state->broken);
	bool (*read)(void *, uint64_t, uint64_t *) = port->read128;
	struct smm_invalidation ignored;
	uint64_t command[SMMU_CMD_WORDS];

	address += (word_load(&state->cmdq_cons) & (n - 1)) * SMMU_CMD_BYTES;
	if ((broken & SMMUV3_BROKEN_MEMORY) || smm_beyond(state, address) || !read(port->ctx, address, command))
		return stop(model, SMMU_CERROR_ABT);
	if ((broken & SMMUV3_BROKEN_ILLEGAL) || !smm_decode(state, command, &ignored))
		return stop(model, SMMU_CERROR_ILL);
	if (GET(SMMU_CMD, OPCODE, command) == SMMU_CMD_SYNC) {
		memcpy(state->sync, command, sizeof(state->sync));
		return true;
	}
	memcpy(state->window[state->pending++], command, sizeof(state->window[0]));
	advance(state);
	return true;
}

static void forget(struct smm_state *state, uint64_t i)
{
	state->pending--;
	for (; i < state->pending; i++)
		memcpy(state->window[i], state->window[i + 1], sizeof(state->window[0]));
	memset(state->window[state->pending], 0, sizeof(state->window[0]));
}

void smm_forget_sync(struct smm_state *state)
{
	memset(state->sync, 0, sizeof(state->sync));
	state->timed_out = 0;
}

/* 4.7.3: all that came before has been executed; what it must wait for has ended now, or this isn't the time yet. */
static bool complete_sync(const struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);
	uint64_t command[SMMU_CMD_WORDS] = { state->sync[0], state->sync[1] };
	uint64_t address = GET_ADDR(SMMU_CMD_SYNC, MSIADDR, &command[0]);

	if (word_load(&state->broken) & SMMUV3_BROKEN_SYNC)
		return false;
	if (state->timed_out) {
		smm_forget_sync(state);
		return stop(model, SMMU_CERROR_ATC_INV_SYNC);
	}
	if (!state->draining && state->must_drain)
		smm_drain_start(state, model->port);
	if (state->draining && !smm_drain_done(state))
		return false;
	smm_forget_sync(state);
	advance(state);
	if (GET(SMMU_CMD_SYNC, CS, command) != SMMU_CS_IRQ)
		return true;
	if (GET(SMMU_IDR0, MSI, &state->idr0) && address)
		smm_message(model, address, (uint32_t)GET(SMMU_CMD_SYNC, MSIDATA, command), BITS(SMMU_GERROR, MSI_CMDQ_ABT_ERR));
	else if (model->port->interrupt)
		model->port->interrupt(model->port->ctx, SMMUV3_MODEL_WIRE, SMMUV3_MODEL_WIRE_SYNC);
	return true;
}

static bool execute(const struct iommu_model *model, uint64_t i)
{
	struct smm_state *state = smm_state(model);
	struct smm_invalidation inv;

	smm_decode(state, state->window[i], &inv);
	if (inv.kind == SMM_DEVTLB && (word_load(&state->broken) & SMMUV3_BROKEN_TIMEOUT))
		state->timed_out = 1;
	else
		smm_invalidate(state, &inv);
	forget(state, i);
	return true;
}

/* What has been fetched, in any order. */
bool smm_window_tick(const struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);

	if (!state->pending)
		return false;
	return execute(model, smm_choice(model, IOMMU_FREE_REORDER, (unsigned)state->pending));
}

bool smm_queue_tick(const struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);
	bool error = (word_load(&state->gerror) ^ word_load(&state->gerrorn)) & BITS(SMMU_GERROR, CMDQ_ERR);
	bool runs = (word_load(&state->cr0ack) & BITS(SMMU_CR0, CMDQEN)) && !error;
	bool can_fetch = runs && !state->sync[0] && !empty(state) && state->pending < SMM_WINDOW &&
			 !(word_load(&state->broken) & SMMUV3_BROKEN_FETCH);

	if (state->pending) {
		if (can_fetch && smm_choice(model, IOMMU_FREE_LATE, 2))
			return fetch(model);
		return smm_window_tick(model);
	}
	if (state->sync[0])
		return runs && complete_sync(model);
	return can_fetch && fetch(model);
}
