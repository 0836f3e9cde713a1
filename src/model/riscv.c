/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv.c - the unit: capabilities, registers (5), interrupts, counters, the debug interface (4), and the unit's own work.
 */
#include "riscv_state.h"

#define ENTRY_BITS (BITS(RISCV_QUEUE_BASE, LOG2SZ) | BITS(RISCV_QUEUE_BASE, PPN))

uint64_t riscv_model_default_capabilities(void)
{
	uint64_t cap = 0;

	SET(RISCV_CAP, VERSION, &cap, RISCV_VERSION_1_0);
	SET(RISCV_CAP, SV39, &cap, 1);
	SET(RISCV_CAP, SV48, &cap, 1);
	SET(RISCV_CAP, SV57, &cap, 1);
	SET(RISCV_CAP, SVPBMT, &cap, 1);
	SET(RISCV_CAP, SV39X4, &cap, 1);
	SET(RISCV_CAP, SV48X4, &cap, 1);
	SET(RISCV_CAP, SV57X4, &cap, 1);
	SET(RISCV_CAP, AMO_HWAD, &cap, 1);
	SET(RISCV_CAP, ATS, &cap, 1);
	SET(RISCV_CAP, IGS, &cap, RISCV_IGS_BOTH);
	SET(RISCV_CAP, HPM, &cap, 1);
	SET(RISCV_CAP, DBG, &cap, 1);
	SET(RISCV_CAP, PAS, &cap, 56);
	SET(RISCV_CAP, PD8, &cap, 1);
	SET(RISCV_CAP, PD17, &cap, 1);
	SET(RISCV_CAP, PD20, &cap, 1);
	return cap;
}

/* ---- Configuration ---- */

static uint64_t config_cap(const struct iommu_model_config *config)
{
	return config->capabilities[0] ? config->capabilities[0] : riscv_model_default_capabilities();
}

/* Reports only what it does. */
static bool config_valid(const struct iommu_model_config *config)
{
	uint64_t cap = config_cap(config);
	uint64_t can = riscv_model_default_capabilities() | BITS(RISCV_CAP, VERSION) | BITS(RISCV_CAP, PAS) | BITS(RISCV_CAP, IGS) |
		       BITS(RISCV_CAP, MSI_FLAT) | BITS(RISCV_CAP, T2GPA) | BITS(RISCV_CAP, QOSID);

	if ((cap & ~can) || GET(RISCV_CAP, VERSION, &cap) != RISCV_VERSION_1_0)
		return false;
	if ((GET(RISCV_CAP, SV48, &cap) && !GET(RISCV_CAP, SV39, &cap)) ||
	    (GET(RISCV_CAP, SV57, &cap) && !GET(RISCV_CAP, SV48, &cap)))
		return false;
	if (GET(RISCV_CAP, IGS, &cap) > RISCV_IGS_BOTH || (GET(RISCV_CAP, T2GPA, &cap) && !GET(RISCV_CAP, ATS, &cap)))
		return false;
	if (GET(RISCV_CAP, PAS, &cap) < 32 || GET(RISCV_CAP, PAS, &cap) > 56)
		return false;
	return !(config->capabilities[1] & ~(uint64_t)RISCV_MODEL_OPTIONS) &&
	       !(config->capabilities[2] & ~(uint64_t)RISCV_BROKEN_ALL) && !config->capabilities[3];
}

/* Word offsets, from the state's start; returns the size in words. */
static uint64_t lay_out(const struct iommu_model_config *config, struct rvm_state *state)
{
	bool maysets = config->maysets;
	uint64_t pad = maysets ? 0 : 1; /* normal: lines of IOATC and walk caches don't cross cache lines */
	uint64_t cap = config_cap(config);
	uint64_t dc = GET(RISCV_CAP, MSI_FLAT, &cap) || !maysets ? RVM_DC_WORDS : 1 + RISCV_DC_WORDS;
	uint64_t words = (sizeof(*state) / 8 + 7) & ~7ull;
	uint64_t lane = sizeof(struct model_lane) / 8;

	state->common.lane_first = words;
	model_caches_are(&state->common, &state->ddt, 5);
	lane = model_cache_init(&state->iotlb, lane, config->iotlb_lines, RVM_TLB_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->walk, lane, config->walk_lines, RVM_TLB_WORDS + pad, 2, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->ddt, lane, config->entry_lines, dc, 1, MODEL_GEN_ENTRY, maysets);
	lane = model_cache_init(&state->pdt, lane, config->pasid_lines, RVM_PC_WORDS, 2, MODEL_GEN_PASID, maysets);
	lane = model_cache_init(&state->devtlb, lane, config->devtlb_lines, RVM_TLB_WORDS + pad, 2, MODEL_GEN_DEVTLB, maysets);
	state->common.lane_words = (lane + 7) & ~7ull;
	return words + config->lanes * state->common.lane_words;
}

static size_t rvm_size(const struct iommu_model_config *config)
{
	struct rvm_state scratch;

	return config_valid(config) ? (size_t)lay_out(config, &scratch) * 8 : 0;
}

static bool has(const struct rvm_state *state, uint64_t bit)
{
	return (state->cap & bit) != 0;
}

static void rvm_init(struct iommu_model *model, const struct iommu_model_config *config)
{
	struct rvm_state *state = rvm_state(model);

	lay_out(config, state);
	state->common.freedoms = config->freedoms;
	state->common.quantum = config->quantum;
	state->common.maysets = config->maysets;
	state->common.lanes = config->lanes;
	state->cap = config_cap(config);
	state->options = config->capabilities[1];
	state->pas = GET(RISCV_CAP, PAS, &state->cap);
	state->broken = config->capabilities[2];
	if (GET(RISCV_CAP, IGS, &state->cap) == RISCV_IGS_WSI)
		state->fctl = BITS(RISCV_FCTL, WSI);
	/* 5.2: the reset value is the unit's choice; an idle unit's state shall not change by itself. */
	if (has(state, BITS(RISCV_CAP, HPM)))
		state->inhibited = 1;
}

void riscv_model_break(struct iommu_model *model, uint64_t switches)
{
	word_store(&rvm_state(model)->broken, switches & RISCV_BROKEN_ALL);
}

/* ---- Interrupts (5.18, 5.28, 5.29) ---- */

static void send_message(const struct iommu_model *model, unsigned vector)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t data = word_load(&state->msi_data[vector]);

	word_set(&state->msi_pending, 1ull << vector);
	if (data >> 32 & BITS(RISCV_MSI_CTL, M))
		return;
	if ((word_clear(&state->msi_pending, 1ull << vector) & 1ull << vector) && model->port->interrupt)
		model->port->interrupt(model->port->ctx, word_load(&state->msi_addr[vector]), (uint32_t)data);
}

/* `bit` is the interrupt's in ipsr; when it becomes 1, that is signalled. False: it is 1 already. */
bool rvm_interrupt(const struct iommu_model *model, uint64_t bit)
{
	struct rvm_state *state = rvm_state(model);
	unsigned cause = 0;
	unsigned vector;

	if (word_set(&state->ipsr, bit) & bit)
		return false;
	while (bit >> cause > 1)
		cause++;
	vector = (unsigned)(word_load(&state->icvec) >> 4 * cause & 15);
	if (!(word_load(&state->fctl) & BITS(RISCV_FCTL, WSI)))
		send_message(model, vector);
	else if (model->port->interrupt)
		model->port->interrupt(model->port->ctx, RISCV_MODEL_WIRE, vector);
	return true;
}

/*
 * Those that stand as long as a status bit does. Looked at when one is set, and at every tick, not when software clears ipsr: who
 * clears it from within the port's interrupt() would be called from within that again, without end.
 */
bool rvm_interrupt_levels(const struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t cq = word_load(&state->cqcsr), fq = word_load(&state->fqcsr), pq = word_load(&state->pqcsr);

	bool raised = false;

	if ((cq & BITS(RISCV_CQCSR, CIE)) && (cq & (BITS(RISCV_CQCSR, FENCE_W_IP) | BITS(RISCV_CQCSR, CMD_ILL) |
						   BITS(RISCV_CQCSR, CMD_TO) | BITS(RISCV_CQCSR, CQMF))))
		raised |= rvm_interrupt(model, BITS(RISCV_IPSR, CIP));
	if ((fq & BITS(RISCV_FQCSR, FIE)) && (fq & (BITS(RISCV_FQCSR, FQOF) | BITS(RISCV_FQCSR, FQMF))))
		raised |= rvm_interrupt(model, BITS(RISCV_IPSR, FIP));
	if ((pq & BITS(RISCV_PQCSR, PIE)) && (pq & (BITS(RISCV_PQCSR, PQOF) | BITS(RISCV_PQCSR, PQMF))))
		raised |= rvm_interrupt(model, BITS(RISCV_IPSR, PIP));
	return raised;
}

/* ---- Counters (5.19 to 5.23) ---- */

/* Which counters have an event and aren't inhibited. */
static void update_counting(struct rvm_state *state)
{
	uint64_t inhibited = word_load(&state->inhibited);
	uint64_t counting = 0;

	for (unsigned i = 0; i < RVM_COUNTERS; i++) {
		if (GET(RISCV_IOHPMEVT, EVENT, &state->evt[i]) && !(inhibited >> (i + 1) & 1))
			counting |= 1ull << i;
	}
	model_hot_store(&state->common, RVM_HOT_COUNTING, counting);
}

/* 5.23: a partial match ignores the lowest bit that is 0 and all below it. */
static bool id_matches(uint64_t event, uint64_t id)
{
	uint64_t wanted = GET(RISCV_IOHPMEVT, DID_GSCID, &event);
	uint64_t mask = 0xffffff;

	if (GET(RISCV_IOHPMEVT, DMASK, &event))
		mask &= ~(wanted ^ (wanted + 1));
	return ((id ^ wanted) & mask) == 0;
}

static bool event_matches(const struct iommu_request *request, uint64_t event)
{
	const struct rvm_work *work = (const struct rvm_work *)(const void *)request->work;
	bool pv = GET(RISCV_IOHPMEVT, PV_PSCV, &event), dv = GET(RISCV_IOHPMEVT, DV_GSCV, &event);
	uint64_t pid = GET(RISCV_IOHPMEVT, PID_PSCID, &event);
	uint64_t number = GET(RISCV_IOHPMEVT, EVENT, &event);

	if (!pv && !dv)
		return true;
	if (!GET(RISCV_IOHPMEVT, IDT, &event))
		return (!pv || (rvm_has_pid(request) && request->pasid == pid)) && (!dv || id_matches(event, request->rid));
	if (number != RISCV_EVENT_TLB_MISS && number != RISCV_EVENT_FIRST_WALK && number != RISCV_EVENT_SECOND_WALK)
		return false;
	if (pv && (!(work->tag & TAG_VALID) || (work->tag & TAG_PASID) >> TAG_PASID_LSB != pid))
		return false;
	return !dv || (rvm_nested(work) && id_matches(event, GET(RISCV_DC, GSCID, work->dc)));
}

static void overflowed(const struct iommu_model *model, uint64_t *word)
{
	if (!(word_set(word, BITS(RISCV_IOHPMEVT, OF)) & BITS(RISCV_IOHPMEVT, OF)))
		rvm_interrupt(model, BITS(RISCV_IPSR, PMIP));
}

void rvm_count(const struct iommu_model *model, const struct iommu_request *request, unsigned event)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t counting = word_load(&RVM_COUNTING(state));

	for (unsigned i = 0; counting >> i; i++) {
		uint64_t selector;

		if (!(counting >> i & 1))
			continue;
		selector = word_load(&state->evt[i]);
		if (GET(RISCV_IOHPMEVT, EVENT, &selector) == event && event_matches(request, selector) &&
		    !__atomic_add_fetch(&state->ctr[i], 1, __ATOMIC_RELAXED))
			overflowed(model, &state->evt[i]);
	}
}

static void count_cycle(const struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t cycles;

	if (!has(state, BITS(RISCV_CAP, HPM)) || (word_load(&state->inhibited) & 1))
		return;
	do {
		cycles = word_load(&state->cycles);
	} while (!word_replace(&state->cycles, cycles,
			       (cycles & BITS(RISCV_IOHPMCYCLES, OF)) | ((cycles + 1) & BITS(RISCV_IOHPMCYCLES, COUNTER))));
	if (!((cycles + 1) & BITS(RISCV_IOHPMCYCLES, COUNTER)))
		overflowed(model, &state->cycles);
}

/* ---- Registers ---- */

static uint64_t csr_read(const uint64_t *csr)
{
	uint64_t value = word_load(csr);

	/* Busy: what software wants and what is differ. */
	if (GET(RISCV_QCSR, EN, &value) != GET(RISCV_QCSR, ON, &value))
		value |= BITS(RISCV_QCSR, BUSY);
	return value;
}

static uint64_t pair(uint64_t low, uint64_t high)
{
	return (low & 0xffffffff) | high << 32;
}

static bool optional(const struct rvm_state *state, uint64_t offset)
{
	if (offset >= RISCV_REG_PQB && offset < RISCV_REG_CQCSR)
		return has(state, BITS(RISCV_CAP, ATS));
	if (offset >= RISCV_REG_IOCOUNTOVF && offset < RISCV_REG_TR_REQ_IOVA)
		return has(state, BITS(RISCV_CAP, HPM));
	if (offset >= RISCV_REG_TR_REQ_IOVA && offset < RISCV_REG_QOSID)
		return has(state, BITS(RISCV_CAP, DBG));
	if (offset == RISCV_REG_QOSID)
		return has(state, BITS(RISCV_CAP, QOSID));
	if (offset >= RISCV_REG_MSI_ADDR && offset < RISCV_REG_MSI_ADDR + RISCV_MSI_VECTORS * RISCV_MSI_STRIDE)
		return GET(RISCV_CAP, IGS, &state->cap) != RISCV_IGS_WSI;
	return true;
}

static uint64_t overflows(const struct rvm_state *state)
{
	uint64_t bits = word_load(&state->cycles) >> 63;

	for (unsigned i = 0; i < RVM_COUNTERS; i++)
		bits |= word_load(&state->evt[i]) >> 63 << (i + 1);
	return bits;
}

/* The 64-bit word that holds `offset`. */
static uint64_t read_word(const struct rvm_state *state, uint64_t offset)
{
	if (!optional(state, offset))
		return 0;
	switch (offset) {
	case RISCV_REG_CAP:
		return state->cap;
	case RISCV_REG_FCTL:
		return word_load(&state->fctl);
	case RISCV_REG_DDTP:
		return word_load(&state->ddtp) | (word_load(&state->ddtp_busy) ? BITS(RISCV_DDTP, BUSY) : 0);
	case RISCV_REG_CQB:
		return word_load(&state->cqb);
	case RISCV_REG_CQH:
		return pair(word_load(&state->cqh), word_load(&state->cqt));
	case RISCV_REG_FQB:
		return word_load(&state->fqb);
	case RISCV_REG_FQH:
		return pair(word_load(&state->fqh), word_load(&state->fqt));
	case RISCV_REG_PQB:
		return word_load(&state->pqb);
	case RISCV_REG_PQH:
		return pair(word_load(&state->pqh), word_load(&state->pqt));
	case RISCV_REG_CQCSR:
		return pair(csr_read(&state->cqcsr), csr_read(&state->fqcsr));
	case RISCV_REG_PQCSR:
		return pair(has(state, BITS(RISCV_CAP, ATS)) ? csr_read(&state->pqcsr) : 0, word_load(&state->ipsr));
	case RISCV_REG_IOCOUNTOVF:
		return pair(overflows(state), word_load(&state->inhibited));
	case RISCV_REG_IOHPMCYCLES:
		return word_load(&state->cycles);
	case RISCV_REG_TR_REQ_IOVA:
		return word_load(&state->tr_iova);
	case RISCV_REG_TR_REQ_CTL:
		return word_load(&state->tr_ctl);
	case RISCV_REG_TR_RESPONSE:
		return word_load(&state->tr_response);
	case RISCV_REG_QOSID:
		return word_load(&state->qosid);
	case RISCV_REG_ICVEC:
		return word_load(&state->icvec);
	default:
		break;
	}
	if (offset >= RISCV_REG_IOHPMCTR && offset < RISCV_REG_IOHPMCTR + 8 * RVM_COUNTERS)
		return word_load(&state->ctr[(offset - RISCV_REG_IOHPMCTR) / 8]);
	if (offset >= RISCV_REG_IOHPMEVT && offset < RISCV_REG_IOHPMEVT + 8 * RVM_COUNTERS)
		return word_load(&state->evt[(offset - RISCV_REG_IOHPMEVT) / 8]);
	if (offset >= RISCV_REG_MSI_ADDR && offset < RISCV_REG_MSI_ADDR + RISCV_MSI_VECTORS * RISCV_MSI_STRIDE) {
		uint64_t vector = (offset - RISCV_REG_MSI_ADDR) / RISCV_MSI_STRIDE;

		return offset & 8 ? word_load(&state->msi_data[vector]) : word_load(&state->msi_addr[vector]);
	}
	return 0;
}

static uint64_t rvm_read(struct iommu_model *model, uint64_t offset, unsigned size)
{
	uint64_t word = read_word(rvm_state(model), offset & ~7ull);

	return size == 8 ? word : word >> (offset & 4) * 8 & 0xffffffff;
}

/* Replaces the bits in `mask`; others may be set and cleared meanwhile. Returns the old word. */
static uint64_t put(uint64_t *word, uint64_t mask, uint64_t value)
{
	uint64_t old = word_load(word);

	while (!word_replace(word, old, (old & ~mask) | (value & mask)))
		old = word_load(word);
	return old;
}

/* cqb, fqb, pqb: while the queue is on, writes are ignored (5.6: unspecified). The index keeps within the queue. */
static void write_base(struct rvm_state *state, uint64_t *base, uint64_t *index, const uint64_t *csr, uint64_t mask, uint64_t value)
{
	uint64_t ppn = (1ull << (state->pas - 12)) - 1;

	if (word_load(csr) & (BITS(RISCV_QCSR, ON) | BITS(RISCV_QCSR, EN)))
		return;
	put(base, mask & (BITS(RISCV_QUEUE_BASE, LOG2SZ) | ppn << RISCV_QUEUE_BASE_PPN_LSB), value);
	put(index, ~0ull, word_load(index) & ((2ull << GET(RISCV_QUEUE_BASE, LOG2SZ, base)) - 1));
}

static void write_index(const uint64_t *base, uint64_t *index, uint64_t value)
{
	word_store(index, value & ((2ull << GET(RISCV_QUEUE_BASE, LOG2SZ, base)) - 1));
}

static void write_csr(uint64_t *csr, uint64_t once, uint64_t value)
{
	word_clear(csr, value & once);
	put(csr, BITS(RISCV_QCSR, EN) | BITS(RISCV_QCSR, IE), value);
}

/* 5.5: a write takes effect with its lower half. Modes that don't exist leave the mode as it was. */
static void write_ddtp(struct rvm_state *state, uint64_t mask, uint64_t value)
{
	uint64_t ppn = ((1ull << (state->pas - 12)) - 1) << RISCV_DDTP_PPN_LSB;

	if (GET(RISCV_DDTP, MODE, &value) > RISCV_DDTP_3LVL)
		mask &= ~BITS(RISCV_DDTP, MODE);
	put(&state->ddtp, mask & (BITS(RISCV_DDTP, MODE) | ppn), value);
	if (mask & BITS(RISCV_DDTP, MODE))
		word_store(&state->ddtp_busy, 1);
}

/* Returns message vectors that may have to be sent, to be done without the lock. */
static uint64_t write_word(struct rvm_state *state, uint64_t offset, uint64_t mask, uint64_t value)
{
	const uint64_t low = 0xffffffff, high = low << 32;

	if (!optional(state, offset))
		return 0;
	switch (offset) {
	case RISCV_REG_FCTL:
		if (GET(RISCV_CAP, IGS, &state->cap) == RISCV_IGS_BOTH)
			put(&state->fctl, mask & BITS(RISCV_FCTL, WSI), value);
		return 0;
	case RISCV_REG_DDTP:
		write_ddtp(state, mask, value);
		return 0;
	case RISCV_REG_CQB:
		write_base(state, &state->cqb, &state->cqt, &state->cqcsr, mask, value);
		return 0;
	case RISCV_REG_CQH:
		if (mask & high)
			write_index(&state->cqb, &state->cqt, value >> 32);
		return 0;
	case RISCV_REG_FQB:
		write_base(state, &state->fqb, &state->fqh, &state->fqcsr, mask, value);
		return 0;
	case RISCV_REG_FQH:
		if (mask & low)
			write_index(&state->fqb, &state->fqh, value & low);
		return 0;
	case RISCV_REG_PQB:
		write_base(state, &state->pqb, &state->pqh, &state->pqcsr, mask, value);
		return 0;
	case RISCV_REG_PQH:
		if (mask & low)
			write_index(&state->pqb, &state->pqh, value & low);
		return 0;
	case RISCV_REG_CQCSR:
		if (mask & low)
			write_csr(&state->cqcsr, BITS(RISCV_CQCSR, CQMF) | BITS(RISCV_CQCSR, CMD_TO) | BITS(RISCV_CQCSR, CMD_ILL) |
							 BITS(RISCV_CQCSR, FENCE_W_IP), value & low);
		if (mask & high)
			write_csr(&state->fqcsr, BITS(RISCV_FQCSR, FQMF) | BITS(RISCV_FQCSR, FQOF), value >> 32);
		return 0;
	case RISCV_REG_PQCSR:
		if ((mask & low) && has(state, BITS(RISCV_CAP, ATS)))
			write_csr(&state->pqcsr, BITS(RISCV_PQCSR, PQMF) | BITS(RISCV_PQCSR, PQOF), value & low);
		if (mask & high)
			word_clear(&state->ipsr, value >> 32 & (BITS(RISCV_IPSR, CIP) | BITS(RISCV_IPSR, FIP) | BITS(RISCV_IPSR, PMIP) |
								BITS(RISCV_IPSR, PIP)));
		return 0;
	case RISCV_REG_IOCOUNTOVF:
		if (mask & high) {
			word_store(&state->inhibited, value >> 32 & ((2ull << RVM_COUNTERS) - 1));
			update_counting(state);
		}
		return 0;
	case RISCV_REG_IOHPMCYCLES:
		put(&state->cycles, mask, value);
		return 0;
	case RISCV_REG_TR_REQ_IOVA:
		if (!(word_load(&state->tr_ctl) & BITS(RISCV_TR_REQ_CTL, GO)))
			put(&state->tr_iova, mask & BITS(RISCV_TR_REQ_IOVA, VPN), value);
		return 0;
	case RISCV_REG_TR_REQ_CTL:
		/* While it is busy writes are ignored (4: unspecified). */
		if (!(word_load(&state->tr_ctl) & BITS(RISCV_TR_REQ_CTL, GO)))
			put(&state->tr_ctl, mask & (BITS(RISCV_TR_REQ_CTL, GO) | BITS(RISCV_TR_REQ_CTL, PRIV) |
						    BITS(RISCV_TR_REQ_CTL, EXE) | BITS(RISCV_TR_REQ_CTL, NW) |
						    BITS(RISCV_TR_REQ_CTL, PID) | BITS(RISCV_TR_REQ_CTL, PV) |
						    BITS(RISCV_TR_REQ_CTL, DID)), value);
		return 0;
	case RISCV_REG_QOSID:
		put(&state->qosid, mask & (BITS(RISCV_QOSID, RCID) | BITS(RISCV_QOSID, MCID)), value);
		return 0;
	case RISCV_REG_ICVEC:
		put(&state->icvec, mask & 0xffff, value);
		return 0;
	default:
		break;
	}
	if (offset >= RISCV_REG_IOHPMCTR && offset < RISCV_REG_IOHPMCTR + 8 * RVM_COUNTERS) {
		put(&state->ctr[(offset - RISCV_REG_IOHPMCTR) / 8], mask, value);
	} else if (offset >= RISCV_REG_IOHPMEVT && offset < RISCV_REG_IOHPMEVT + 8 * RVM_COUNTERS) {
		uint64_t *event = &state->evt[(offset - RISCV_REG_IOHPMEVT) / 8];

		/* WARL: an event that isn't counted here is none. */
		if ((mask & low) && GET(RISCV_IOHPMEVT, EVENT, &value) > RISCV_EVENT_SECOND_WALK)
			value &= ~BITS(RISCV_IOHPMEVT, EVENT);
		put(event, mask, value);
		update_counting(state);
	} else if (offset >= RISCV_REG_MSI_ADDR && offset < RISCV_REG_MSI_ADDR + RISCV_MSI_VECTORS * RISCV_MSI_STRIDE) {
		uint64_t vector = (offset - RISCV_REG_MSI_ADDR) / RISCV_MSI_STRIDE;

		if (!(offset & 8)) {
			put(&state->msi_addr[vector], mask & BITS(RISCV_MSI_ADDR, ADDR), value);
			return 0;
		}
		put(&state->msi_data[vector], mask & (low | BITS(RISCV_MSI_CTL, M) << 32), value);
		return word_load(&state->msi_pending) & 1ull << vector;
	}
	return 0;
}

static void rvm_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t mask = ~0ull;
	uint64_t vectors;

	if (size == 4) {
		mask = 0xffffffffull << (offset & 4) * 8;
		value = (value & 0xffffffff) << (offset & 4) * 8;
	}
	word_lock(&state->register_lock);
	vectors = write_word(state, offset & ~7ull, mask, value);
	word_unlock(&state->register_lock);
	for (unsigned vector = 0; vectors >> vector; vector++) {
		if (vectors >> vector & 1)
			send_message(model, vector);
	}
}

/* ---- The unit's own work ---- */

/* 5.5. False: it can't go on yet. */
static bool set_ddtp(struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t ddtp = word_load(&state->ddtp);

	/* A fence's drain, or what is left of it, ends first: there is only one at a time. */
	if (state->draining && word_load(&state->ddtp_busy) != 2 && !rvm_drain_done(state))
		return false;
	model_hot_store(&state->common, RVM_HOT_ROOT, ddtp);
	if (GET(RISCV_DDTP, MODE, &ddtp) == RISCV_DDTP_OFF) {
		/* Requests that were under way have been processed or aborted, and are globally done. */
		if (state->common.maysets) {
			state->last.kind = RVM_OFF;
		} else {
			if (!state->draining) {
				word_replace(&state->ddtp_busy, 1, 2);
				state->must_drain |= RVM_DRAIN_ALL;
				rvm_drain_start(state, model->port);
			}
			if (!rvm_drain_done(state))
				return false;
		}
	}
	word_store(&state->ddtp_busy, 0);
	return true;
}

/* 5.15 to 5.17: enable and active differ. */
static bool switch_queue(const struct iommu_model *model, uint64_t *csr, uint64_t *own_index, uint64_t clear)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t value = word_load(csr);

	if (GET(RISCV_QCSR, EN, &value) == GET(RISCV_QCSR, ON, &value))
		return false;
	if (GET(RISCV_QCSR, EN, &value)) {
		word_store(own_index, 0);
		word_clear(csr, clear);
		word_set(csr, BITS(RISCV_QCSR, ON));
		return true;
	}
	if (csr == &state->cqcsr) {
		/* What has been fetched is finished; a fence that hasn't completed is given up. */
		if (rvm_window_tick(model))
			return true;
		memset(state->fence, 0, sizeof(state->fence));
		state->fence_drained = 0;
		state->timed_out = 0;
	} else if (csr == &state->fqcsr) {
		if (!word_try_lock(&state->fault_claim))
			return false;
		word_clear(csr, BITS(RISCV_QCSR, ON));
		word_unlock(&state->fault_claim);
		return true;
	}
	word_clear(csr, BITS(RISCV_QCSR, ON));
	return true;
}

static bool switch_queues(const struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);

	return switch_queue(model, &state->cqcsr, &state->cqh, BITS(RISCV_CQCSR, CQMF) | BITS(RISCV_CQCSR, CMD_TO) |
			    BITS(RISCV_CQCSR, CMD_ILL) | BITS(RISCV_CQCSR, FENCE_W_IP)) ||
	       switch_queue(model, &state->fqcsr, &state->fqt, BITS(RISCV_FQCSR, FQMF) | BITS(RISCV_FQCSR, FQOF)) ||
	       switch_queue(model, &state->pqcsr, &state->pqt, BITS(RISCV_PQCSR, PQMF) | BITS(RISCV_PQCSR, PQOF));
}

/* 4: as an untranslated request. */
static void debug_translation(struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t ctl = word_load(&state->tr_ctl);
	struct iommu_request request = {
		.rid = (uint32_t)GET(RISCV_TR_REQ_CTL, DID, &ctl),
		.pasid = GET(RISCV_TR_REQ_CTL, PV, &ctl) ? (uint32_t)GET(RISCV_TR_REQ_CTL, PID, &ctl) : IOMMU_NO_PASID,
		.addr = word_load(&state->tr_iova),
		.access = IOMMU_READ,
		.kind = IOMMU_REQUEST_UNTRANSLATED,
	};
	uint64_t response = 0;

	if (!GET(RISCV_TR_REQ_CTL, NW, &ctl))
		request.access |= IOMMU_WRITE;
	if (GET(RISCV_TR_REQ_CTL, EXE, &ctl))
		request.access |= IOMMU_EXEC;
	if (GET(RISCV_TR_REQ_CTL, PRIV, &ctl))
		request.access |= IOMMU_PRIV;
	rvm_run_uncached(model, &request);
	if (request.state != IOMMU_REQUEST_DONE) {
		SET(RISCV_TR_RESPONSE, FAULT, &response, 1);
	} else {
		uint64_t rights = ((const struct rvm_work *)(const void *)request.work)->rights;
		uint64_t ppn = RISCV_PPN(request.phys);

		if (request.size > 4096) {
			ppn = (ppn | (request.size / 4096 - 1)) & ~(request.size / 8192);
			SET(RISCV_TR_RESPONSE, S, &response, 1);
		}
		SET(RISCV_TR_RESPONSE, PPN, &response, ppn);
		SET(RISCV_TR_RESPONSE, PBMT, &response, (rights & RVM_PBMT) >> RVM_PBMT_LSB);
	}
	word_store(&state->tr_response, response);
	word_clear(&state->tr_ctl, BITS(RISCV_TR_REQ_CTL, GO));
}

static void rvm_settle(struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);

	if (state->last.kind)
		memset(&state->last, 0, sizeof(state->last));
}

static bool rvm_tick(struct iommu_model *model)
{
	struct rvm_state *state = rvm_state(model);
	bool broken;
	bool done;

	if (!word_try_lock(&state->tick_lock))
		return false;
	rvm_settle(model);
	broken = word_load(&state->broken) & RISCV_BROKEN_BUSY;
	count_cycle(model);
	if (!broken && word_load(&state->ddtp_busy)) {
		done = set_ddtp(model);
	} else if (!broken && switch_queues(model)) {
		done = true;
	} else if (word_load(&state->tr_ctl) & BITS(RISCV_TR_REQ_CTL, GO)) {
		debug_translation(model);
		done = true;
	} else {
		done = rvm_queue_tick(model);
	}
	done |= rvm_interrupt_levels(model);
	word_unlock(&state->tick_lock);
	return done;
}

static bool rvm_overflow(const struct iommu_model *model)
{
	return rvm_state(model)->common.overflow != 0;
}

static const char *rvm_reason(const struct iommu_model *model, uint32_t reason)
{
	(void)model;
	switch (reason) {
#define REASON_TEXT(name, code, cause, dtf, text) \
	case code: \
		return text;
		RISCV_FAULT_CAUSES(REASON_TEXT)
	default:
		return "unknown";
	}
}

const struct iommu_model_ops riscv_model = {
	.name = "riscv",
	.size = rvm_size,
	.init = rvm_init,
	.read = rvm_read,
	.write = rvm_write,
	.tick = rvm_tick,
	.begin = rvm_begin,
	.step = rvm_step,
	.end = rvm_end,
	.translate = rvm_translate,
	.devtlb_lookup = rvm_devtlb_lookup,
	.drained = rvm_drained,
	.settle = rvm_settle,
	.overflow = rvm_overflow,
	.reason = rvm_reason,
	.dump = rvm_dump,
};
