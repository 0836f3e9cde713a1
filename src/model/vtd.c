/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd.c - the VT-d unit: capabilities, registers (11.4), interrupts, and the unit's own work.
 */
#include "vtd_state.h"

#define DEFAULT_HAW 52
#define DEFAULT_FAULTS 8
#define DEFAULT_FRO 0x22 /* fault recording registers at 0x220, */
#define DEFAULT_IRO 0x50 /* IVA and IOTLB registers at 0x500 */

uint64_t vtd_model_default_cap(void)
{
	uint64_t cap = 0;

	SET(VTD_CAP, ND, &cap, 6);
	SET(VTD_CAP, SAGAW, &cap, VTD_SAGAW_3_LEVEL | VTD_SAGAW_4_LEVEL | VTD_SAGAW_5_LEVEL);
	SET(VTD_CAP, MGAW, &cap, 57 - 1);
	SET(VTD_CAP, ZLR, &cap, 1);
	SET(VTD_CAP, FRO, &cap, DEFAULT_FRO);
	SET(VTD_CAP, SSLPS, &cap, 3);
	SET(VTD_CAP, PSI, &cap, 1);
	SET(VTD_CAP, NFR, &cap, DEFAULT_FAULTS - 1);
	SET(VTD_CAP, MAMV, &cap, 36);
	SET(VTD_CAP, DWD, &cap, 1);
	SET(VTD_CAP, DRD, &cap, 1);
	SET(VTD_CAP, FS1GP, &cap, 1);
	SET(VTD_CAP, FS5LP, &cap, 1);
	return cap;
}

uint64_t vtd_model_default_ecap(void)
{
	uint64_t ecap = 0;

	SET(VTD_ECAP, C, &ecap, 1);
	SET(VTD_ECAP, QI, &ecap, 1);
	SET(VTD_ECAP, DT, &ecap, 1);
	SET(VTD_ECAP, IR, &ecap, 1);
	SET(VTD_ECAP, PT, &ecap, 1);
	SET(VTD_ECAP, SC, &ecap, 1);
	SET(VTD_ECAP, IRO, &ecap, DEFAULT_IRO);
	SET(VTD_ECAP, MHMV, &ecap, 15);
	SET(VTD_ECAP, SRS, &ecap, 1);
	SET(VTD_ECAP, EAFS, &ecap, 1);
	SET(VTD_ECAP, PSS, &ecap, 19);
	SET(VTD_ECAP, PASID, &ecap, 1);
	SET(VTD_ECAP, SMTS, &ecap, 1);
	SET(VTD_ECAP, SSADS, &ecap, 1);
	SET(VTD_ECAP, SSTS, &ecap, 1);
	SET(VTD_ECAP, FSTS, &ecap, 1);
	SET(VTD_ECAP, SMPWCS, &ecap, 1);
	SET(VTD_ECAP, RPS, &ecap, 1);
	SET(VTD_ECAP, ABMTS, &ecap, 1);
	SET(VTD_ECAP, RPRIVS, &ecap, 1);
	return ecap;
}

/* ---- Configuration ---- */

static uint64_t config_cap(const struct iommu_model_config *config)
{
	return config->capabilities[0] ? config->capabilities[0] : vtd_model_default_cap();
}

static uint64_t config_ecap(const struct iommu_model_config *config)
{
	return config->capabilities[1] ? config->capabilities[1] : vtd_model_default_ecap();
}

static uint64_t config_haw(const struct iommu_model_config *config)
{
	return config->capabilities[3] ? config->capabilities[3] : DEFAULT_HAW;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Reports only what it does. */
static bool config_valid(const struct iommu_model_config *config)
{
	uint64_t cap = config_cap(config);
	uint64_t ecap = config_ecap(config);
	uint64_t haw = config_haw(config);
	uint64_t cap_can = BITS(VTD_CAP, ND) | BITS(VTD_CAP, RWBF) | BITS(VTD_CAP, CM) | BITS(VTD_CAP, SAGAW) |
			   BITS(VTD_CAP, MGAW) | BITS(VTD_CAP, ZLR) | BITS(VTD_CAP, FRO) | BITS(VTD_CAP, SSLPS) |
			   BITS(VTD_CAP, PSI) | BITS(VTD_CAP, NFR) | BITS(VTD_CAP, MAMV) | BITS(VTD_CAP, DWD) |
			   BITS(VTD_CAP, DRD) | BITS(VTD_CAP, FS1GP) | BITS(VTD_CAP, FS5LP) | BITS(VTD_CAP, PI) |
			   BITS(VTD_CAP, ESIRTPS) | BITS(VTD_CAP, ESRTPS);
	uint64_t ecap_can = BITS(VTD_ECAP, C) | BITS(VTD_ECAP, QI) | BITS(VTD_ECAP, DT) | BITS(VTD_ECAP, IR) |
			    BITS(VTD_ECAP, EIM) | BITS(VTD_ECAP, PT) | BITS(VTD_ECAP, SC) | BITS(VTD_ECAP, IRO) |
			    BITS(VTD_ECAP, MHMV) | BITS(VTD_ECAP, NEST) | BITS(VTD_ECAP, ERS) | BITS(VTD_ECAP, SRS) |
			    BITS(VTD_ECAP, NWFS) | BITS(VTD_ECAP, EAFS) | BITS(VTD_ECAP, PSS) | BITS(VTD_ECAP, PASID) |
			    BITS(VTD_ECAP, DIT) | BITS(VTD_ECAP, PDS) | BITS(VTD_ECAP, SMTS) | BITS(VTD_ECAP, SSADS) |
			    BITS(VTD_ECAP, SSTS) | BITS(VTD_ECAP, FSTS) | BITS(VTD_ECAP, SMPWCS) | BITS(VTD_ECAP, RPS) |
			    BITS(VTD_ECAP, ABMTS) | BITS(VTD_ECAP, RPRIVS);
	uint64_t sagaw_can = VTD_SAGAW_3_LEVEL | VTD_SAGAW_4_LEVEL | VTD_SAGAW_5_LEVEL;
	uint64_t faults_at = GET(VTD_CAP, FRO, &cap) * 16;
	uint64_t faults_size = (GET(VTD_CAP, NFR, &cap) + 1) * 16;
	uint64_t iotlb_at = GET(VTD_ECAP, IRO, &ecap) * 16;

	if ((cap & ~cap_can) || (ecap & ~ecap_can))
		return false;
	if (GET(VTD_CAP, ND, &cap) > 6 || GET(VTD_CAP, MGAW, &cap) + 1 > 57 || GET(VTD_CAP, MGAW, &cap) + 1 < 30)
		return false;
	if (!GET(VTD_CAP, SAGAW, &cap) || (GET(VTD_CAP, SAGAW, &cap) & ~sagaw_can) || (GET(VTD_CAP, SSLPS, &cap) & ~3ull))
		return false;
	if (!GET(VTD_ECAP, QI, &ecap) || GET(VTD_ECAP, PSS, &ecap) > 19)
		return false;
	if (GET(VTD_ECAP, NEST, &ecap) && !(GET(VTD_ECAP, FSTS, &ecap) && GET(VTD_ECAP, SSTS, &ecap)))
		return false;
	if (faults_at < 0x100 || iotlb_at < 0x100 || overlap(faults_at, faults_size, iotlb_at, 16))
		return false;
	if (config->capabilities[2] & ~VTD_BROKEN_ALL)
		return false;
	return haw >= 32 && haw <= 52;
}

/* Word offsets, from the state's start; returns the size in words. */
static uint64_t lay_out(const struct iommu_model_config *config, struct vtdm_state *state)
{
	bool maysets = config->maysets;
	uint64_t pad = maysets ? 0 : 1; /* normal: lines of IOTLB and walk caches don't cross cache lines */
	uint64_t cap = config_cap(config);
	uint64_t words, lane;

	state->fault_first = (sizeof(*state) / 8 + 7) & ~7ull;
	state->nfaults = GET(VTD_CAP, NFR, &cap) + 1;
	words = (state->fault_first + 2 * state->nfaults + 7) & ~7ull;
	state->common.lane_first = words;
	model_caches_are(&state->common, &state->context, 5);
	lane = sizeof(struct model_lane) / 8;
	lane = model_cache_init(&state->iotlb, lane, config->iotlb_lines, VTDM_TLB_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->walk, lane, config->walk_lines, VTDM_WALK_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->context, lane, config->entry_lines, VTDM_CONTEXT_WORDS + pad, 1, MODEL_GEN_ENTRY, maysets);
	lane = model_cache_init(&state->pasid, lane, config->pasid_lines, VTDM_PASID_WORDS, 1, MODEL_GEN_PASID, maysets);
	lane = model_cache_init(&state->devtlb, lane, config->devtlb_lines, VTDM_TLB_WORDS + pad, 2, MODEL_GEN_DEVTLB, maysets);
	state->common.lane_words = (lane + 7) & ~7ull;
	return words + config->lanes * state->common.lane_words;
}

static size_t vtdm_size(const struct iommu_model_config *config)
{
	struct vtdm_state scratch;

	return config_valid(config) ? (size_t)lay_out(config, &scratch) * 8 : 0;
}

static void vtdm_init(struct iommu_model *model, const struct iommu_model_config *config)
{
	struct vtdm_state *state = vtdm_state(model);

	lay_out(config, state);
	state->common.freedoms = config->freedoms;
	state->common.quantum = config->quantum;
	state->common.maysets = config->maysets;
	state->common.lanes = config->lanes;
	state->cap = config_cap(config);
	state->ecap = config_ecap(config);
	state->haw = config_haw(config);
	state->mgaw = GET(VTD_CAP, MGAW, &state->cap) + 1;
	state->domains = (1ull << (4 + 2 * GET(VTD_CAP, ND, &state->cap))) - 1;
	state->broken = config->capabilities[2];
	/* 11.4: interrupts are masked at reset. */
	state->regs[VTD_REG_FECTL / 8] = BITS(VTD_FECTL, IM);
	state->regs[VTD_REG_IECTL / 8] = BITS(VTD_FECTL, IM);
}

void vtd_model_break(struct iommu_model *model, uint64_t switches)
{
	word_store(&vtdm_state(model)->broken, switches & VTD_BROKEN_ALL);
}

/* ---- Interrupts (5.1.6, 11.4.7.2) ---- */

/* The four registers of an event lie one after the other, the control register in the lower half of a word. */
static void send_if_unmasked(const struct iommu_model *model, unsigned control)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t *word = &state->regs[control / 8];

	if (word_load(word) & BITS(VTD_FECTL, IM))
		return;
	if (!(word_clear(word, BITS(VTD_FECTL, IP)) & BITS(VTD_FECTL, IP)))
		return; /* somebody else has sent it */
	if (model->port->interrupt)
		model->port->interrupt(model->port->ctx,
				       vtdm_reg32(state, control + 8) | vtdm_reg32(state, control + 12) << 32,
				       (uint32_t)vtdm_reg32(state, control + 4));
}

void vtdm_event(const struct iommu_model *model, unsigned control)
{
	word_set(&vtdm_state(model)->regs[control / 8], BITS(VTD_FECTL, IP));
	send_if_unmasked(model, control);
}

#define FSTS_STICKY (BITS(VTD_FSTS, PFO) | BITS(VTD_FSTS, IQE) | BITS(VTD_FSTS, ICE) | BITS(VTD_FSTS, ITE))

uint64_t vtdm_fsts(const struct vtdm_state *state)
{
	uint64_t fsts = vtdm_reg32(state, VTD_REG_FSTS) & FSTS_STICKY;

	if (vtdm_fault_pending(state))
		fsts |= BITS(VTD_FSTS, PPF) | word_load(&state->fault_index) << VTD_FSTS_FRI_LSB;
	return fsts;
}

/* A new status is an event only if there was none before (11.4.7.1). */
void vtdm_fsts_raise(const struct iommu_model *model, uint64_t bits)
{
	struct vtdm_state *state = vtdm_state(model);
	bool was_pending = vtdm_fault_pending(state);
	uint64_t before = word_set(&state->regs[VTD_REG_FSTS / 8], bits << 32) >> 32;

	if (!was_pending && !(before & FSTS_STICKY))
		vtdm_event(model, VTD_REG_FECTL);
}

/* Software has seen to all of them: a masked interrupt isn't pending any more. */
static void settle_events(struct vtdm_state *state)
{
	if (!(vtdm_fsts(state) & (FSTS_STICKY | BITS(VTD_FSTS, PPF))))
		word_clear(&state->regs[VTD_REG_FECTL / 8], BITS(VTD_FECTL, IP));
	if (!(vtdm_reg32(state, VTD_REG_ICS) & BITS(VTD_ICS, IWC)))
		word_clear(&state->regs[VTD_REG_IECTL / 8], BITS(VTD_FECTL, IP));
}

/* ---- Registers ---- */

static bool in_faults(const struct vtdm_state *state, uint64_t offset, uint64_t *index)
{
	uint64_t first = GET(VTD_CAP, FRO, &state->cap) * 16;

	if (offset < first || offset >= first + state->nfaults * 16)
		return false;
	*index = (offset - first) / 16;
	return true;
}

/* The 64-bit word that holds `offset`. */
static uint64_t read_word(const struct vtdm_state *state, uint64_t offset)
{
	uint64_t iro = GET(VTD_ECAP, IRO, &state->ecap) * 16;
	uint64_t index;

	switch (offset) {
	case VTD_REG_VER: {
		uint64_t ver = 0;

		SET(VTD_VER, MAX, &ver, 5);
		return ver;
	}
	case VTD_REG_CAP:
		return state->cap;
	case VTD_REG_ECAP:
		return state->ecap;
	case VTD_REG_CCMD:
		return word_load(&state->ccmd_pending);
	case VTD_REG_FSTS & ~7:
		return vtdm_fsts(state) << 32;
	default:
		break;
	}
	if (offset < sizeof(state->regs))
		return word_load(&state->regs[offset / 8]);
	if (in_faults(state, offset, &index))
		return vtdm_fault_read(state, index, offset & 8 ? 1 : 0);
	if (offset == iro)
		return word_load(&state->iva);
	if (offset == iro + 8)
		return word_load(&state->iotlb_pending);
	return 0;
}

static uint64_t vtdm_read(struct iommu_model *model, uint64_t offset, unsigned size)
{
	uint64_t word = read_word(vtdm_state(model), offset & ~7ull);

	return size == 8 ? word : word >> (offset & 4) * 8 & 0xffffffff;
}

/* Bits of plain read-write registers, by 64-bit word. The rest are read-only, or handled one by one. */
static uint64_t writable(const struct vtdm_state *state, uint64_t offset)
{
	uint64_t gsts = vtdm_reg32(state, VTD_REG_GSTS);

	switch (offset) {
	case VTD_REG_RTADDR:
		return BITS(VTD_RTADDR, TTM) | BITS(VTD_RTADDR, RTA);
	case VTD_REG_FECTL:
	case VTD_REG_IECTL:
		return 0xffffffffull << 32; /* FEDATA, IEDATA */
	case VTD_REG_FEADDR:
	case VTD_REG_IEADDR:
		return ~3ull;
	case VTD_REG_IQT:
		return BITS(VTD_IQT, QT);
	case VTD_REG_IQA:
		return gsts & BITS(VTD_GCMD, QIE) ? 0 : BITS(VTD_IQA, QS) | BITS(VTD_IQA, DW) | BITS(VTD_IQA, IQA);
	case VTD_REG_IRTA:
		return gsts & BITS(VTD_GCMD, IRE) ? 0 : ~0x7f0ull;
	default:
		return 0;
	}
}

/* Both halves of a word at once, or one of them. Returns the event that may have to be sent, without the lock. */
static unsigned write_word(struct vtdm_state *state, uint64_t offset, uint64_t mask, uint64_t value)
{
	uint64_t iro = GET(VTD_ECAP, IRO, &state->ecap) * 16;
	uint64_t plain = writable(state, offset) & mask;
	uint64_t index;
	unsigned event = 0;

	if (plain) {
		/* Other bits of the word may be set and cleared meanwhile. */
		uint64_t *word = &state->regs[offset / 8];
		uint64_t old = word_load(word);

		while (!word_replace(word, old, (old & ~plain) | (value & plain)))
			old = word_load(word);
	}
	switch (offset) {
	case VTD_REG_GCMD:
		if (mask & 0xffffffff) {
			uint64_t once = BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, SIRTP) | BITS(VTD_GCMD, WBF);
			uint64_t pending = word_load(&state->gcmd) & once;
			uint64_t command = (value & 0xffffffff) | pending;

			/* 11.4.4: "set pointer" status is clear until it has been set; "flush" status is set until it has flushed. */
			if (command & BITS(VTD_GCMD, SRTP))
				word_clear(&state->regs[VTD_REG_GSTS / 8], BITS(VTD_GCMD, SRTP) << 32);
			if (command & BITS(VTD_GCMD, SIRTP))
				word_clear(&state->regs[VTD_REG_GSTS / 8], BITS(VTD_GCMD, SIRTP) << 32);
			if (command & BITS(VTD_GCMD, WBF))
				word_set(&state->regs[VTD_REG_GSTS / 8], BITS(VTD_GCMD, WBF) << 32);
			word_store(&state->gcmd, VTDM_PENDING | command);
		}
		return 0;
	case VTD_REG_CCMD:
		word_store(&state->ccmd_pending, (word_load(&state->ccmd_pending) & ~mask) | (value & mask));
		return 0;
	case VTD_REG_FSTS & ~7:
		word_clear(&state->regs[offset / 8], value & mask & FSTS_STICKY << 32);
		settle_events(state);
		return 0;
	case VTD_REG_ICS & ~7:
		word_clear(&state->regs[offset / 8], value & mask & BITS(VTD_ICS, IWC) << 32);
		settle_events(state);
		return 0;
	case VTD_REG_FECTL:
	case VTD_REG_IECTL:
		if (mask & BITS(VTD_FECTL, IM)) {
			if (value & BITS(VTD_FECTL, IM)) {
				word_set(&state->regs[offset / 8], BITS(VTD_FECTL, IM));
			} else {
				word_clear(&state->regs[offset / 8], BITS(VTD_FECTL, IM));
				event = (unsigned)offset;
			}
		}
		return event;
	default:
		break;
	}
	if (in_faults(state, offset, &index)) {
		if ((offset & 8) && (value & mask & BITS(VTD_FAULT, F))) {
			vtdm_fault_clear(state, index);
			settle_events(state);
		}
	} else if (offset == iro) {
		word_store(&state->iva, (word_load(&state->iva) & ~mask) | (value & mask));
	} else if (offset == iro + 8) {
		word_store(&state->iotlb_pending, (word_load(&state->iotlb_pending) & ~mask) | (value & mask));
	}
	return 0;
}

static void vtdm_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t mask = ~0ull;
	unsigned event;

	if (size == 4) {
		mask = 0xffffffffull << (offset & 4) * 8;
		value = (value & 0xffffffff) << (offset & 4) * 8;
	}
	word_lock(&state->register_lock);
	event = write_word(state, offset & ~7ull, mask, value);
	word_unlock(&state->register_lock);
	if (event)
		send_if_unmasked(model, event);
}

/* ---- The unit's own work ---- */

static void set_status(struct vtdm_state *state, uint64_t bit, bool on)
{
	uint64_t *gsts = &state->regs[VTD_REG_GSTS / 8];

	if (on)
		word_set(gsts, bit << 32);
	else
		word_clear(gsts, bit << 32);
}

/* Waits for everything in flight; true: that is over (or nothing was to be waited for). */
static bool drained(const struct iommu_model *model, struct vtdm_state *state)
{
	if (state->must_drain && !state->draining) {
		vtdm_drain_start(state, model->port);
	}
	if (state->draining) {
		if (!vtdm_drain_done(state))
			return false;
		state->draining = 0;
	}
	return true;
}

/* 11.4.4. False: it can't go on yet. */
static bool global_command(struct iommu_model *model, uint64_t command)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t gsts = vtdm_reg32(state, VTD_REG_GSTS);

	/* What has been fetched from the queue is finished before the queue is disabled, or the root table changes. */
	if (state->pending) {
		if (vtdm_queue_tick(model))
			return true;
		if (state->pending)
			return false;
	}
	if (command & BITS(VTD_GCMD, SRTP)) {
		uint64_t root = word_load(&state->regs[VTD_REG_RTADDR / 8]);

		if ((VTDM_ROOT(state) & ~VTDM_ROOT_TE) != root)
			model_hot_store(&state->common, VTDM_HOT_ROOT, root | (VTDM_ROOT(state) & VTDM_ROOT_TE));
		if (GET(VTD_CAP, ESRTPS, &state->cap)) {
			/* 11.4.2: then setting the pointer also invalidates all that came from the old one. One kind per tick. */
			struct vtdm_invalidation inv;

			if (state->root_flush < VTDM_DEVTLB) {
				state->root_flush++;
				if (state->root_flush < VTDM_DEVTLB) {
					vtdm_all((enum vtdm_kind)state->root_flush, &inv);
					vtdm_invalidate(state, &inv);
					return true;
				}
			}
			if (!drained(model, state))
				return false;
			state->root_flush = 0;
		}
		set_status(state, BITS(VTD_GCMD, SRTP), true);
	}
	if (command & BITS(VTD_GCMD, SIRTP))
		set_status(state, BITS(VTD_GCMD, SIRTP), true);
	set_status(state, BITS(VTD_GCMD, WBF), false);
	set_status(state, BITS(VTD_GCMD, CFI), command & BITS(VTD_GCMD, CFI));
	set_status(state, BITS(VTD_GCMD, IRE), command & BITS(VTD_GCMD, IRE));
	if ((command & BITS(VTD_GCMD, QIE)) != (gsts & BITS(VTD_GCMD, QIE)))
		word_store(&state->regs[VTD_REG_IQH / 8], 0);
	set_status(state, BITS(VTD_GCMD, QIE), command & BITS(VTD_GCMD, QIE));
	model_hot_store(&state->common, VTDM_HOT_ROOT,
			(VTDM_ROOT(state) & ~VTDM_ROOT_TE) | (command & BITS(VTD_GCMD, TE) ? VTDM_ROOT_TE : 0));
	set_status(state, BITS(VTD_GCMD, TE), command & BITS(VTD_GCMD, TE));
	/* Unless another one was written meanwhile. */
	word_replace(&state->gcmd, command | VTDM_PENDING, 0);
	return true;
}

/* Register-based invalidation (6.5.1), which software may use while the queue is disabled. False: nothing to do. */
static bool register_command(const struct iommu_model *model, struct vtdm_state *state)
{
	uint64_t ccmd = word_load(&state->ccmd_pending);
	uint64_t iotlb = word_load(&state->iotlb_pending);
	struct vtdm_invalidation inv;
	uint64_t descriptor[2] = { 0, 0 };
	uint64_t granularity;

	if (ccmd & 1ull << 63) {
		granularity = ccmd >> 61 & 3;
		SET(VTD_DESC_CONTEXT, TYPE, descriptor, VTD_DESC_CONTEXT);
		SET(VTD_DESC_CONTEXT, G, descriptor, granularity);
		SET(VTD_DESC_CONTEXT, DID, descriptor, ccmd);
		SET(VTD_DESC_CONTEXT, SID, descriptor, ccmd >> 16);
		SET(VTD_DESC_CONTEXT, FM, descriptor, ccmd >> 32);
		if (!state->draining && !state->register_done) {
			if (!vtdm_decode(state, descriptor, &inv))
				vtdm_invalidate(state, &inv);
			else
				granularity = 0;
			state->register_done = 1;
			return true;
		}
		if (!drained(model, state))
			return false;
		state->register_done = 0;
		ccmd &= ~(1ull << 63 | 3ull << 59);
		word_store(&state->ccmd_pending, ccmd | granularity << 59);
		return true;
	}
	if (iotlb & 1ull << 63) {
		uint64_t iva = word_load(&state->iva);

		granularity = iotlb >> 60 & 3;
		SET(VTD_DESC_IOTLB, TYPE, descriptor, VTD_DESC_IOTLB);
		SET(VTD_DESC_IOTLB, G, descriptor, granularity);
		SET(VTD_DESC_IOTLB, DID, descriptor, iotlb >> 32);
		SET(VTD_DESC_IOTLB, AM, descriptor, iva);
		SET(VTD_DESC_IOTLB, IH, descriptor, iva >> 6);
		SET_ADDR(VTD_DESC_IOTLB, ADDR, descriptor, iva);
		if (!state->draining && !state->register_done) {
			if (!vtdm_decode(state, descriptor, &inv))
				vtdm_invalidate(state, &inv);
			else
				granularity = 0;
			state->register_done = 1;
			return true;
		}
		if (!drained(model, state))
			return false;
		state->register_done = 0;
		iotlb &= ~(1ull << 63 | 3ull << 57);
		word_store(&state->iotlb_pending, iotlb | granularity << 57);
		return true;
	}
	return false;
}

static void vtdm_settle(struct iommu_model *model)
{
	struct vtdm_state *state = vtdm_state(model);

	if (state->last.kind)
		memset(&state->last, 0, sizeof(state->last));
}

static bool vtdm_tick(struct iommu_model *model)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t command;
	bool done;

	if (!word_try_lock(&state->tick_lock))
		return false;
	vtdm_settle(model);
	command = word_load(&state->gcmd);
	if (command && !(word_load(&state->broken) & VTD_BROKEN_GCMD))
		done = global_command(model, command & ~VTDM_PENDING);
	else if (!(vtdm_reg32(state, VTD_REG_GSTS) & BITS(VTD_GCMD, QIE)) && !state->pending)
		done = register_command(model, state);
	else
		done = vtdm_queue_tick(model);
	word_unlock(&state->tick_lock);
	return done;
}

static bool vtdm_overflow(const struct iommu_model *model)
{
	return vtdm_state(model)->common.overflow != 0;
}

static const char *vtdm_reason(const struct iommu_model *model, uint32_t reason)
{
	(void)model;
	switch (reason) {
#define REASON_TEXT(name, code, cause, text) \
	case code: \
		return text;
		VTD_FAULT_REASONS(REASON_TEXT)
	default:
		return "unknown";
	}
}

const struct iommu_model_ops vtd_model = {
	.name = "vtd",
	.size = vtdm_size,
	.init = vtdm_init,
	.read = vtdm_read,
	.write = vtdm_write,
	.tick = vtdm_tick,
	.begin = vtdm_begin,
	.step = vtdm_step,
	.end = vtdm_end,
	.translate = vtdm_translate,
	.devtlb_lookup = vtdm_devtlb_lookup,
	.drained = vtdm_drained,
	.settle = vtdm_settle,
	.overflow = vtdm_overflow,
	.reason = vtdm_reason,
	.dump = vtdm_dump,
};
