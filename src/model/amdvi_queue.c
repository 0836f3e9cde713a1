/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_queue.c - the command buffer (2.4).
 *
 * A command that has been fetched (the head is past it) waits in the window until it is done; the head says nothing about
 * completion, only COMPLETION_WAIT does. Without the freedoms "late" and "reorder" the window never holds more than one.
 */
#include "amdvi_state.h"

static void stop(struct amdvim_state *state)
{
	word_clear(amdvim_reg(state, AMDVI_REG_STATUS), BITS(AMDVI_STATUS, CMD_BUF_RUN));
}

/* 2.5.6, 2.5.7: then the unit stops fetching, and the head stays at the command. */
static void command_error(const struct iommu_model *model, unsigned code, unsigned type, uint64_t address)
{
	uint64_t words[2] = { 0, 0 };

	SET(AMDVI_EV_COMMAND_HARDWARE, CODE, words, code);
	SET(AMDVI_EV_COMMAND_HARDWARE, TYPE, words, type);
	SET(AMDVI_EV_COMMAND_HARDWARE, ADDR, words, address >> 4);
	stop(amdvim_state(model));
	amdvim_event(model, words);
}

static bool is_wait(const uint64_t *command)
{
	return GET(AMDVI_CMD, OPCODE, command) == AMDVI_CMD_WAIT;
}

static void fetch(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_state *state = amdvim_state(model);
	uint64_t base = amdvim_reg_load(state, AMDVI_REG_CMD_BASE);
	uint64_t size = amdvim_buffer_size(base);
	uint64_t head = amdvim_reg_load(state, AMDVI_REG_CMD_HEAD) & (size - 1);
	uint64_t address = GET_ADDR(AMDVI_BUFFER, BASE, &base) + head;
	struct amdvim_invalidation ignored;
	uint64_t command[2] = { 0, 0 };
	/* 3.4.2: command buffer reads snoop. */
	bool (*read)(void *, uint64_t, uint64_t *) = port->read128_snooped ? port->read128_snooped : port->read128;

	if ((word_load(&state->broken) & AMDVI_BROKEN_READ) || !read(port->ctx, address, command)) {
		command_error(model, AMDVI_EVENT_COMMAND_HARDWARE, AMDVI_ERROR_MASTER_ABORT, address);
		return;
	}
	if (!amdvim_decode(state, command, &ignored)) {
		command_error(model, AMDVI_EVENT_ILLEGAL_COMMAND, 0, address);
		return;
	}
	state->window[state->pending][0] = command[0];
	state->window[state->pending][1] = command[1];
	state->window[state->pending][2] = address;
	state->pending++;
	word_store(amdvim_reg(state, AMDVI_REG_CMD_HEAD), (head + 16) & (size - 1));
}

static void forget(struct amdvim_state *state, uint64_t i)
{
	state->pending--;
	for (; i < state->pending; i++)
		memcpy(state->window[i], state->window[i + 1], sizeof(state->window[0]));
	memset(state->window[state->pending], 0, sizeof(state->window[0]));
}

/* 2.4.1: all that came before has been executed; what that must wait for has ended now, or this isn't the time yet. */
static bool complete_wait(const struct iommu_model *model)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_state *state = amdvim_state(model);
	const uint64_t *command = state->window[0];
	bool interrupt = GET(AMDVI_CMD_WAIT, I, command);

	if (word_load(&state->broken) & AMDVI_BROKEN_WAIT)
		return false;
	if (state->must_drain && !state->draining)
		amdvim_drain_start(state, model->port);
	if (state->draining) {
		if (!amdvim_drain_done(state))
			return false;
		state->draining = 0;
		if (state->must_drain)
			return true; /* something was invalidated while this drain went on: once more */
	}
	if (GET(AMDVI_CMD_WAIT, S, command)) {
		uint64_t address = GET(AMDVI_CMD_WAIT, STORE_ADDR, command) << 3;

		if (!port->write64(port->ctx, address, GET(AMDVI_CMD_WAIT, STORE_DATA, command))) {
			forget(state, 0);
			command_error(model, AMDVI_EVENT_COMMAND_HARDWARE, AMDVI_ERROR_MASTER_ABORT, address);
			return true;
		}
		if (port->dirty)
			port->dirty(port->ctx, address);
	}
	forget(state, 0);
	if (interrupt)
		amdvim_status_raise(model, BITS(AMDVI_STATUS, COM_WAIT_INT), BITS(AMDVI_CONTROL, COM_WAIT_INT_EN));
	return true;
}

static bool execute(const struct iommu_model *model, uint64_t i)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_invalidation inv;
	uint64_t broken = word_load(&state->broken);
	uint64_t at = state->window[i][2];

	if (is_wait(state->window[i]))
		return complete_wait(model);
	amdvim_decode(state, state->window[i], &inv);
	forget(state, i);
	if (inv.kind == AMDVIM_DEVTLB && (broken & (AMDVI_BROKEN_TIMEOUT | AMDVI_BROKEN_TIMEOUT_GO))) {
		/* 2.5.8 */
		uint64_t words[2] = { 0, 0 };

		SET(AMDVI_EV_IOTLB_TIMEOUT, CODE, words, AMDVI_EVENT_IOTLB_TIMEOUT);
		SET(AMDVI_EV_IOTLB_TIMEOUT, DEVICE_ID, words, inv.scopes[0].tag & TAG_SOURCE);
		SET(AMDVI_EV_IOTLB_TIMEOUT, ADDR, words, at >> 4);
		if (broken & AMDVI_BROKEN_TIMEOUT)
			stop(state);
		amdvim_event(model, words);
		return true;
	}
	amdvim_invalidate(state, &inv);
	return true;
}

/* The commands that could be executed next, oldest first. */
static unsigned eligible(const struct amdvim_state *state, uint64_t *list)
{
	unsigned n = 0;

	for (uint64_t i = 0; i < state->pending; i++) {
		bool wait = is_wait(state->window[i]);

		if (!wait || i == 0)
			list[n++] = i;
		if (!amdvim_free(state, IOMMU_FREE_REORDER))
			break;
		if (wait && GET(AMDVI_CMD_WAIT, F, state->window[i]))
			break; /* nothing behind it before it */
	}
	return n;
}

static bool flush_pending(const struct amdvim_state *state)
{
	for (uint64_t i = 0; i < state->pending; i++) {
		if (is_wait(state->window[i]) && GET(AMDVI_CMD_WAIT, F, state->window[i]))
			return true;
	}
	return false;
}

bool amdvim_queue_tick(const struct iommu_model *model, bool fetching)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t list[AMDVIM_WINDOW];
	unsigned n = eligible(state, list);
	uint64_t base = amdvim_reg_load(state, AMDVI_REG_CMD_BASE);
	uint64_t last = amdvim_buffer_size(base) - 1;
	uint64_t head = amdvim_reg_load(state, AMDVI_REG_CMD_HEAD) & last;
	uint64_t tail = amdvim_reg_load(state, AMDVI_REG_CMD_TAIL) & last;
	bool running = amdvim_reg_load(state, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, CMD_BUF_RUN);
	bool can_fetch = fetching && running && head != tail && state->pending < AMDVIM_WINDOW && !flush_pending(state) &&
			 !(word_load(&state->broken) & AMDVI_BROKEN_FETCH);
	unsigned choice;

	if (!n || (can_fetch && amdvim_choice(model, IOMMU_FREE_LATE, 2))) {
		if (!can_fetch)
			return false;
		fetch(model);
		return true;
	}
	choice = amdvim_choice(model, IOMMU_FREE_REORDER, n);
	return execute(model, list[choice]);
}
