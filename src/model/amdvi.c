/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi.c - the AMD-Vi unit: capabilities, registers (3.4), interrupts, and the unit's own work.
 */
#include "amdvi_state.h"

uint64_t amdvi_model_default_efr(void)
{
	uint64_t efr = 0;

	SET(AMDVI_EFR, NX_SUP, &efr, 1);
	SET(AMDVI_EFR, GT_SUP, &efr, 1);
	SET(AMDVI_EFR, IA_SUP, &efr, 1);
	SET(AMDVI_EFR, HATS, &efr, AMDVI_HATS_6_LEVEL);
	SET(AMDVI_EFR, GATS, &efr, AMDVI_GATS_5_LEVEL);
	SET(AMDVI_EFR, GLX_SUP, &efr, AMDVI_GLX_3_LEVEL);
	SET(AMDVI_EFR, PAS_MAX, &efr, 19);
	SET(AMDVI_EFR, US_SUP, &efr, 1);
	SET(AMDVI_EFR, DEV_TBL_SEG_SUP, &efr, 3);
	SET(AMDVI_EFR, MSI_CAP_MMIO_SUP, &efr, 1);
	SET(AMDVI_EFR, GIO_SUP, &efr, 1);
	SET(AMDVI_EFR, HA_SUP, &efr, 1);
	SET(AMDVI_EFR, HD_SUP, &efr, 1);
	return efr;
}

uint64_t amdvi_model_default_efr2(void)
{
	uint64_t efr2 = 0;

	SET(AMDVI_EFR2, GCR3_TRP_MODE, &efr2, 1);
	SET(AMDVI_EFR2, HT_RANGE_IGNORE, &efr2, 1);
	return efr2;
}

/* ---- Configuration ---- */

static uint64_t config_efr(const struct iommu_model_config *config)
{
	return config->capabilities[0] ? config->capabilities[0] : amdvi_model_default_efr();
}

static uint64_t config_efr2(const struct iommu_model_config *config)
{
	return config->capabilities[1] ? config->capabilities[1] & ~AMDVI_MODEL_EFR2_NONE : amdvi_model_default_efr2();
}

/* Reports only what it does. */
static bool config_valid(const struct iommu_model_config *config)
{
	uint64_t efr = config_efr(config);
	uint64_t efr2 = config_efr2(config);
	uint64_t efr_can = BITS(AMDVI_EFR, NX_SUP) | BITS(AMDVI_EFR, GT_SUP) | BITS(AMDVI_EFR, IA_SUP) | BITS(AMDVI_EFR, HATS) |
			   BITS(AMDVI_EFR, GATS) | BITS(AMDVI_EFR, GLX_SUP) | BITS(AMDVI_EFR, PAS_MAX) | BITS(AMDVI_EFR, US_SUP) |
			   BITS(AMDVI_EFR, DEV_TBL_SEG_SUP) | BITS(AMDVI_EFR, MSI_CAP_MMIO_SUP) | BITS(AMDVI_EFR, GIO_SUP) |
			   BITS(AMDVI_EFR, HA_SUP) | BITS(AMDVI_EFR, HD_SUP);
	uint64_t efr2_can = BITS(AMDVI_EFR2, GCR3_TRP_MODE) | BITS(AMDVI_EFR2, HT_RANGE_IGNORE);

	if ((efr & ~efr_can) || (efr2 & ~efr2_can))
		return false;
	if (GET(AMDVI_EFR, HATS, &efr) > AMDVI_HATS_6_LEVEL || GET(AMDVI_EFR, GATS, &efr) > AMDVI_GATS_5_LEVEL ||
	    GET(AMDVI_EFR, GLX_SUP, &efr) > AMDVI_GLX_3_LEVEL || GET(AMDVI_EFR, PAS_MAX, &efr) > 19)
		return false;
	if (GET(AMDVI_EFR, HD_SUP, &efr) && !GET(AMDVI_EFR, HA_SUP, &efr))
		return false;
	return !(config->capabilities[2] & ~(uint64_t)AMDVI_BROKEN_ALL) && !(config->capabilities[3] & ~(uint64_t)AMDVI_MODEL_ALL);
}

/* Where everything is, in words; returns how many there are. */
static uint64_t lay_out(const struct iommu_model_config *config, struct amdvim_state *state)
{
	bool maysets = config->maysets;
	uint64_t words = (sizeof(struct amdvim_state) / 8 + 7) & ~7ull;
	uint64_t lane = sizeof(struct model_lane) / 8;
	uint64_t pad = maysets ? 0 : 1; /* lines of four words don't straddle cache lines */

	state->common.lane_first = words;
	model_caches_are(&state->common, &state->dte, 5);
	lane = model_cache_init(&state->iotlb, lane, config->iotlb_lines, AMDVIM_TLB_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->walk, lane, config->walk_lines, AMDVIM_WALK_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->devtlb, lane, config->devtlb_lines, AMDVIM_TLB_WORDS + pad, 2, MODEL_GEN_DEVTLB, maysets);
	lane = model_cache_init(&state->gcr3, lane, config->pasid_lines, AMDVIM_GCR3_WORDS, 1, MODEL_GEN_PASID, maysets);
	lane = model_cache_init(&state->dte, lane, config->entry_lines, AMDVIM_DTE_WORDS, 1, MODEL_GEN_ENTRY, maysets);
	state->common.lane_words = (lane + 7) & ~7ull;
	return words + config->lanes * state->common.lane_words;
}

static size_t amdvim_size(const struct iommu_model_config *config)
{
	struct amdvim_state scratch;

	return config_valid(config) ? (size_t)lay_out(config, &scratch) * 8 : 0;
}

static void amdvim_init(struct iommu_model *model, const struct iommu_model_config *config)
{
	struct amdvim_state *state = amdvim_state(model);

	lay_out(config, state);
	state->common.freedoms = config->freedoms;
	state->common.quantum = config->quantum;
	state->common.maysets = config->maysets;
	state->common.lanes = config->lanes;
	state->efr = config_efr(config);
	state->efr2 = config_efr2(config);
	state->options = config->capabilities[3];
	state->broken = config->capabilities[2];
	/* 3.4.2, 3.4.3: 256 entries. */
	SET(AMDVI_BUFFER, LEN, amdvim_reg(state, AMDVI_REG_CMD_BASE), 8);
	SET(AMDVI_BUFFER, LEN, amdvim_reg(state, AMDVI_REG_EVENT_BASE), 8);
}

void amdvi_model_break(struct iommu_model *model, uint64_t switches)
{
	word_store(&amdvim_state(model)->broken, switches & AMDVI_BROKEN_ALL);
}

/* ---- Interrupts (2.8, 3.4.10) ---- */

static void send(const struct iommu_model *model)
{
	const struct amdvim_state *state = amdvim_state(model);
	uint64_t low = amdvim_reg_load(state, AMDVI_REG_MSI_ADDR_LOW & ~7) >> 32;
	uint64_t high = amdvim_reg_load(state, AMDVI_REG_MSI_ADDR_HIGH);

	if (model->port->interrupt)
		model->port->interrupt(model->port->ctx, low | high << 32, (uint32_t)(high >> 32));
}

/* A status bit that was clear is an event; if software wants to hear of it. */
void amdvim_status_raise(const struct iommu_model *model, uint64_t interrupt, uint64_t enable)
{
	struct amdvim_state *state = amdvim_state(model);

	if (word_set(amdvim_reg(state, AMDVI_REG_STATUS), interrupt) & interrupt)
		return;
	if (word_load(&AMDVIM_CONTROL(state)) & enable)
		send(model);
}

/* ---- Registers ---- */

static uint64_t *find(struct amdvim_state *state, uint64_t offset)
{
	if (offset < AMDVIM_LOW)
		return &state->low[offset / 8];
	if (offset >= 0x2000 && offset < 0x2000 + AMDVIM_HIGH)
		return &state->high[(offset - 0x2000) / 8];
	return NULL;
}

static uint64_t amdvim_read(struct iommu_model *model, uint64_t offset, unsigned size)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t at = offset & ~7ull;
	uint64_t *from = find(state, at);
	uint64_t word = 0;

	if (at == AMDVI_REG_EFR)
		word = state->efr;
	else if (at == AMDVI_REG_EFR2)
		word = state->efr2;
	else if (at == AMDVI_REG_CONTROL)
		word = word_load(&AMDVIM_CONTROL(state));
	else if (from)
		word = word_load(from);
	return size == 8 ? word : word >> (offset & 4) * 8 & 0xffffffff;
}

#define NAMED(S, LIST) \
	static uint64_t S##_named(void) \
	{ \
		uint64_t used[1] = { 0 }; \
		LIST(S, LAYOUT_NAME_BITS) \
		return used[0]; \
	}
NAMED(AMDVI_DEVTAB, AMDVI_DEVTAB_LIST)
NAMED(AMDVI_BUFFER, AMDVI_BUFFER_LIST)
NAMED(AMDVI_POINTER, AMDVI_POINTER_LIST)
NAMED(AMDVI_CONTROL, AMDVI_CONTROL_LIST)
NAMED(AMDVI_EXCLUSION_BASE, AMDVI_EXCLUSION_BASE_LIST)
NAMED(AMDVI_EXCLUSION_LIMIT, AMDVI_EXCLUSION_LIMIT_LIST)

/* Bits of plain read-write registers, by 64-bit word. The rest are read-only, or handled one by one. */
static uint64_t writable(const struct amdvim_state *state, uint64_t offset)
{
	uint64_t status = amdvim_reg_load(state, AMDVI_REG_STATUS);

	switch (offset) {
	case AMDVI_REG_DEVTAB:
		return AMDVI_DEVTAB_named();
	case AMDVI_REG_DEVTAB_1:
	case AMDVI_REG_DEVTAB_2:
	case AMDVI_REG_DEVTAB_3:
	case AMDVI_REG_DEVTAB_4:
	case AMDVI_REG_DEVTAB_5:
	case AMDVI_REG_DEVTAB_6:
	case AMDVI_REG_DEVTAB_7:
		return GET(AMDVI_EFR, DEV_TBL_SEG_SUP, &state->efr) ? AMDVI_DEVTAB_named() : 0;
	case AMDVI_REG_CMD_BASE:
	case AMDVI_REG_EVENT_BASE:
		return AMDVI_BUFFER_named();
	case AMDVI_REG_EXCLUSION_BASE:
		return AMDVI_EXCLUSION_BASE_named();
	case AMDVI_REG_EXCLUSION_LIMIT:
		return AMDVI_EXCLUSION_LIMIT_named();
	case AMDVI_REG_MSI_ADDR_LOW & ~7:
		return GET(AMDVI_EFR, MSI_CAP_MMIO_SUP, &state->efr) ? ~3ull << 32 : 0;
	case AMDVI_REG_MSI_ADDR_HIGH:
		return GET(AMDVI_EFR, MSI_CAP_MMIO_SUP, &state->efr) ? ~0ull : 0;
	case AMDVI_REG_CMD_TAIL:
	case AMDVI_REG_EVENT_HEAD:
		return AMDVI_POINTER_named();
	case AMDVI_REG_CMD_HEAD:
		/* 3.4.13: while the unit is running they are the unit's. */
		return status & BITS(AMDVI_STATUS, CMD_BUF_RUN) ? 0 : AMDVI_POINTER_named();
	case AMDVI_REG_EVENT_TAIL:
		return status & BITS(AMDVI_STATUS, EVENT_LOG_RUN) ? 0 : AMDVI_POINTER_named();
	default:
		return 0;
	}
}

static bool logging(uint64_t control)
{
	return (control & BITS(AMDVI_CONTROL, IOMMU_EN)) && (control & BITS(AMDVI_CONTROL, EVENT_LOG_EN));
}

/* 3.4.4. Commands start and stop in the unit's own time (control_changes() below), the rest does at once. */
static void write_control(struct amdvim_state *state, uint64_t mask, uint64_t value)
{
	uint64_t can = AMDVI_CONTROL_named();
	uint64_t old = word_load(&AMDVIM_CONTROL(state));
	uint64_t *status = amdvim_reg(state, AMDVI_REG_STATUS);
	uint64_t control;

	if (!GET(AMDVI_EFR, GT_SUP, &state->efr))
		can &= ~BITS(AMDVI_CONTROL, GT_EN);
	can &= ~BITS(AMDVI_CONTROL, GCR3_TRP_MODE);
	if (GET(AMDVI_EFR2, GCR3_TRP_MODE, &state->efr2))
		can |= BITS(AMDVI_CONTROL, GCR3_TRP_MODE);
	control = (old & ~mask) | (value & mask & can);
	if (!(control & BITS(AMDVI_CONTROL, CMD_BUF_EN)) || !(control & BITS(AMDVI_CONTROL, IOMMU_EN)))
		word_store(&state->cmd_edge, 1);
	model_hot_store(&state->common, AMDVIM_HOT_CONTROL, control);
	/* 2.5.1: after an overflow the log starts again only when that has been cleared, and the log disabled and enabled. */
	if (!logging(control)) {
		/* 2.5.1: when it reads 0, software owns the log. Whoever is in the middle of an event ends it first. */
		word_lock(&state->event_claim);
		word_clear(status, BITS(AMDVI_STATUS, EVENT_LOG_RUN));
		word_unlock(&state->event_claim);
	} else if (!logging(old) && !(word_load(status) & BITS(AMDVI_STATUS, EVENT_OVERFLOW)))
		word_set(status, BITS(AMDVI_STATUS, EVENT_LOG_RUN));
}

static void write_word(struct amdvim_state *state, uint64_t offset, uint64_t mask, uint64_t value)
{
	uint64_t plain = writable(state, offset) & mask;
	uint64_t *word = find(state, offset);
	uint64_t write_1 = BITS(AMDVI_STATUS, EVENT_OVERFLOW) | BITS(AMDVI_STATUS, EVENT_LOG_INT) |
			   BITS(AMDVI_STATUS, COM_WAIT_INT);

	if (plain)
		word_store(word, (word_load(word) & ~plain) | (value & plain));
	switch (offset) {
	case AMDVI_REG_CONTROL:
		write_control(state, mask, value);
		break;
	case AMDVI_REG_STATUS:
		word_clear(word, value & mask & write_1);
		break;
	/* 3.4.2, 3.4.3: a new buffer is empty. */
	case AMDVI_REG_CMD_BASE:
		word_store(amdvim_reg(state, AMDVI_REG_CMD_HEAD), 0);
		word_store(amdvim_reg(state, AMDVI_REG_CMD_TAIL), 0);
		break;
	case AMDVI_REG_EVENT_BASE:
		word_store(amdvim_reg(state, AMDVI_REG_EVENT_HEAD), 0);
		word_store(amdvim_reg(state, AMDVI_REG_EVENT_TAIL), 0);
		break;
	default:
		break;
	}
}

static void amdvim_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t mask = ~0ull;

	if (size == 4) {
		mask = 0xffffffffull << (offset & 4) * 8;
		value = (value & 0xffffffff) << (offset & 4) * 8;
	}
	word_lock(&state->register_lock);
	write_word(state, offset & ~7ull, mask, value);
	word_unlock(&state->register_lock);
}

/* ---- The unit's own work ---- */

/* Command processing starts and stops. 1: something was done; 0: nothing is to be done; -1: not yet. */
static int control_changes(const struct iommu_model *model)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t *status = amdvim_reg(state, AMDVI_REG_STATUS);
	uint64_t control, edge, broken = word_load(&state->broken);
	bool wanted;

	if (broken & AMDVI_BROKEN_CONTROL)
		return 0;
	/* In this order: software writes the control register first. */
	edge = word_load_sc(&state->cmd_edge);
	control = word_load_sc(&AMDVIM_CONTROL(state));
	wanted = (control & BITS(AMDVI_CONTROL, IOMMU_EN)) && (control & BITS(AMDVI_CONTROL, CMD_BUF_EN));
	if (state->cmd_on && (!wanted || edge)) {
		/* What has been fetched is finished first; what never will be is dropped. */
		if (state->pending && !(broken & AMDVI_BROKEN_WAIT))
			return amdvim_queue_tick(model, false) ? 1 : -1;
		state->pending = 0;
		memset(state->window, 0, sizeof(state->window));
		state->cmd_on = 0;
		word_clear(status, BITS(AMDVI_STATUS, CMD_BUF_RUN));
		word_store(&state->cmd_edge, 0);
		return 1;
	}
	if (!state->cmd_on && wanted) {
		state->cmd_on = 1;
		word_store(&state->cmd_edge, 0);
		word_set(status, BITS(AMDVI_STATUS, CMD_BUF_RUN));
		return 1;
	}
	return 0;
}

static void amdvim_settle(struct iommu_model *model)
{
	struct amdvim_state *state = amdvim_state(model);

	if (state->last.kind)
		memset(&state->last, 0, sizeof(state->last));
}

static bool amdvim_tick(struct iommu_model *model)
{
	struct amdvim_state *state = amdvim_state(model);
	int changed;
	bool done;

	if (!word_try_lock(&state->tick_lock))
		return false;
	amdvim_settle(model);
	changed = control_changes(model);
	done = changed ? changed > 0 : amdvim_queue_tick(model, true);
	word_unlock(&state->tick_lock);
	return done;
}

static bool amdvim_overflow(const struct iommu_model *model)
{
	return amdvim_state(model)->common.overflow != 0;
}

const struct iommu_model_ops amdvi_model = {
	.name = "amdvi",
	.size = amdvim_size,
	.init = amdvim_init,
	.read = amdvim_read,
	.write = amdvim_write,
	.tick = amdvim_tick,
	.begin = amdvim_begin,
	.step = amdvim_step,
	.end = amdvim_end,
	.translate = amdvim_translate,
	.devtlb_lookup = amdvim_devtlb_lookup,
	.drained = amdvim_drained,
	.settle = amdvim_settle,
	.overflow = amdvim_overflow,
	.reason = amdvim_reason,
	.dump = amdvim_dump,
};
