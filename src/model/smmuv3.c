/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3.c - the unit: capabilities, registers and their handshakes (6), interrupts (3.18), global errors (7.5), and the unit's own
 * work.
 */
#include "smmuv3_state.h"

/* ---- Configuration ---- */

static void default_idr0(uint64_t *idr0)
{
	SET(SMMU_IDR0, S2P, idr0, 1);
	SET(SMMU_IDR0, S1P, idr0, 1);
	SET(SMMU_IDR0, TTF, idr0, SMMU_TTF_64);
	SET(SMMU_IDR0, COHACC, idr0, 1);
	SET(SMMU_IDR0, HTTU, idr0, SMMU_HTTU_DIRTY);
	SET(SMMU_IDR0, HYP, idr0, 1);
	SET(SMMU_IDR0, ATS, idr0, 1);
	SET(SMMU_IDR0, ASID16, idr0, 1);
	SET(SMMU_IDR0, MSI, idr0, 1);
	SET(SMMU_IDR0, VMID16, idr0, 1);
	SET(SMMU_IDR0, CD2L, idr0, 1);
	SET(SMMU_IDR0, TTENDIAN, idr0, SMMU_TTENDIAN_LITTLE);
	SET(SMMU_IDR0, ATSRECERR, idr0, 1);
	SET(SMMU_IDR0, STALL_MODEL, idr0, SMMU_STALL_NEVER);
	SET(SMMU_IDR0, TERM_MODEL, idr0, 1);
	SET(SMMU_IDR0, ST_LEVEL, idr0, 1);
}

static void default_idr1(uint64_t *idr1)
{
	SET(SMMU_IDR1, SIDSIZE, idr1, 16);
	SET(SMMU_IDR1, SSIDSIZE, idr1, SMMU_MAX_SSID_BITS);
	SET(SMMU_IDR1, EVENTQS, idr1, SMMU_MAX_QUEUE_LOG2);
	SET(SMMU_IDR1, CMDQS, idr1, SMMU_MAX_QUEUE_LOG2);
	SET(SMMU_IDR1, ATTR_PERMS_OVR, idr1, 1);
	SET(SMMU_IDR1, ATTR_TYPES_OVR, idr1, 1);
}

static void default_idr3(uint64_t *idr3)
{
	SET(SMMU_IDR3, HAD, idr3, 1);
	SET(SMMU_IDR3, XNX, idr3, 1);
	SET(SMMU_IDR3, FWB, idr3, 1);
	SET(SMMU_IDR3, STT, idr3, 1);
	SET(SMMU_IDR3, RIL, idr3, 1);
	SET(SMMU_IDR3, BBML, idr3, 1);
	SET(SMMU_IDR3, E0PD, idr3, 1);
	SET(SMMU_IDR3, PTWNNC, idr3, 1);
}

static void default_idr5(uint64_t *idr5)
{
	SET(SMMU_IDR5, OAS, idr5, SMMU_PS_48);
	SET(SMMU_IDR5, GRAN4K, idr5, 1);
	SET(SMMU_IDR5, GRAN16K, idr5, 1);
	SET(SMMU_IDR5, GRAN64K, idr5, 1);
}

void smmuv3_model_default_capabilities(uint64_t capabilities[2])
{
	uint64_t idr0 = 0, idr1 = 0, idr3 = 0, idr5 = 0;

	default_idr0(&idr0);
	default_idr1(&idr1);
	default_idr3(&idr3);
	default_idr5(&idr5);
	capabilities[0] = idr0 | idr1 << 32;
	capabilities[1] = idr3 | idr5 << 32;
}

static void config_capabilities(const struct iommu_model_config *config, struct smm_state *state)
{
	uint64_t cap[2];

	smmuv3_model_default_capabilities(cap);
	for (unsigned i = 0; i < 2; i++) {
		if (config->capabilities[i])
			cap[i] = config->capabilities[i];
	}
	state->idr0 = cap[0] & 0xffffffff;
	state->idr1 = cap[0] >> 32;
	state->idr3 = cap[1] & 0xffffffff;
	state->idr5 = cap[1] >> 32;
}

/* Reports only what it does. */
static bool config_valid(const struct iommu_model_config *config)
{
	struct smm_state s;
	uint64_t can0 = 0, can1 = 0, can3 = 0, can5 = 0;
	bool s1, s2;

	config_capabilities(config, &s);
	default_idr0(&can0);
	default_idr1(&can1);
	default_idr3(&can3);
	default_idr5(&can5);
	s1 = GET(SMMU_IDR0, S1P, &s.idr0);
	s2 = GET(SMMU_IDR0, S2P, &s.idr0);
	can0 |= BITS(SMMU_IDR0, NS1ATS) | BITS(SMMU_IDR0, SEV) | BITS(SMMU_IDR0, VMW) | BITS(SMMU_IDR0, HTTU);
	can1 |= BITS(SMMU_IDR1, SIDSIZE) | BITS(SMMU_IDR1, SSIDSIZE) | BITS(SMMU_IDR1, EVENTQS) | BITS(SMMU_IDR1, CMDQS) |
		BITS(SMMU_IDR1, PRIQS);
	can3 |= BITS(SMMU_IDR3, BBML);
	can5 |= BITS(SMMU_IDR5, OAS);
	if ((s.idr0 & ~can0) || (s.idr1 & ~can1) || (s.idr3 & ~can3) || (s.idr5 & ~can5))
		return false;
	if (GET(SMMU_IDR0, TTF, &s.idr0) != SMMU_TTF_64 || GET(SMMU_IDR0, TTENDIAN, &s.idr0) != SMMU_TTENDIAN_LITTLE ||
	    GET(SMMU_IDR0, STALL_MODEL, &s.idr0) != SMMU_STALL_NEVER || GET(SMMU_IDR0, HTTU, &s.idr0) > SMMU_HTTU_DIRTY)
		return false;
	if ((!s1 && !s2) || (GET(SMMU_IDR0, HYP, &s.idr0) && !(s1 && s2)) || (!s1 && GET(SMMU_IDR3, HAD, &s.idr3)))
		return false;
	if (GET(SMMU_IDR1, SIDSIZE, &s.idr1) > 24 || GET(SMMU_IDR1, SSIDSIZE, &s.idr1) > SMMU_MAX_SSID_BITS ||
	    (GET(SMMU_IDR1, SIDSIZE, &s.idr1) >= 7 && !GET(SMMU_IDR0, ST_LEVEL, &s.idr0)))
		return false;
	if (GET(SMMU_IDR1, CMDQS, &s.idr1) > SMMU_MAX_QUEUE_LOG2 || GET(SMMU_IDR1, EVENTQS, &s.idr1) > SMMU_MAX_QUEUE_LOG2)
		return false;
	if (GET(SMMU_IDR3, BBML, &s.idr3) > 2 || GET(SMMU_IDR5, OAS, &s.idr5) > SMMU_PS_48 ||
	    !(s.idr5 & (BITS(SMMU_IDR5, GRAN4K) | BITS(SMMU_IDR5, GRAN16K) | BITS(SMMU_IDR5, GRAN64K))))
		return false;
	return !(config->capabilities[2] & ~(uint64_t)SMMUV3_MODEL_OPTIONS) &&
	       !(config->capabilities[3] & ~(uint64_t)SMMUV3_BROKEN_ALL);
}

/* Word offsets, from the state's start; returns the size in words. */
static uint64_t lay_out(const struct iommu_model_config *config, struct smm_state *state)
{
	bool maysets = config->maysets;
	uint64_t pad = maysets ? 0 : 1; /* normal: walk lines don't cross cache lines */
	uint64_t words = (sizeof(*state) / 8 + 7) & ~7ull;
	uint64_t lane = sizeof(struct model_lane) / 8;

	state->common.lane_first = words;
	model_caches_are(&state->common, &state->ste, 5);
	lane = model_cache_init(&state->tlb, lane, config->iotlb_lines, SMM_TLB_WORDS, 3, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->walk, lane, config->walk_lines, SMM_WALK_WORDS + pad, 3, MODEL_GEN_TLB, maysets);
	lane = model_cache_init(&state->cd, lane, config->pasid_lines, SMM_CD_WORDS, 1, MODEL_GEN_PASID, maysets);
	lane = model_cache_init(&state->devtlb, lane, config->devtlb_lines, SMM_WALK_WORDS + pad, 3, MODEL_GEN_DEVTLB, maysets);
	lane = model_cache_init(&state->ste, lane, config->entry_lines, SMM_STE_WORDS, 1, MODEL_GEN_ENTRY, maysets);
	state->common.lane_words = (lane + 7) & ~7ull;
	return words + config->lanes * state->common.lane_words;
}

static size_t smm_size(const struct iommu_model_config *config)
{
	struct smm_state scratch;

	return config_valid(config) ? (size_t)lay_out(config, &scratch) * 8 : 0;
}

static void smm_init(struct iommu_model *model, const struct iommu_model_config *config)
{
	struct smm_state *state = smm_state(model);

	lay_out(config, state);
	config_capabilities(config, state);
	state->common.freedoms = config->freedoms;
	state->common.quantum = config->quantum;
	state->common.maysets = config->maysets;
	state->common.lanes = config->lanes;
	state->options = config->capabilities[2];
	state->broken = config->capabilities[3];
	state->oas = smm_address_bits(state, GET(SMMU_IDR5, OAS, &state->idr5));
	/* 6.3.14: the unit's choice; everything bypasses. */
	SET(SMMU_GBPA, SHCFG, &state->gbpa, SMMU_SH_INCOMING);
	state->common.hot[SMM_HOT_REST] = state->gbpa << 32;
}

void smmuv3_model_break(struct iommu_model *model, uint64_t switches)
{
	word_store(&smm_state(model)->broken, switches & SMMUV3_BROKEN_ALL);
}

/* ---- Interrupts (3.18) and global errors (7.5) ---- */

/* A 32-bit write, to memory or to an interrupt controller. `error` is the bit of GERROR that says that it was aborted. */
void smm_message(const struct iommu_model *model, uint64_t address, uint32_t data, uint64_t error)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);

	address &= (1ull << state->oas) - 1; /* 3.4.3 */
	if (word_load(&state->broken) & SMMUV3_BROKEN_MESSAGE) {
		smm_gerror(model, error);
	} else if (port->write32(port->ctx, address, data)) {
		if (port->dirty)
			port->dirty(port->ctx, address);
	} else if (port->interrupt) {
		port->interrupt(port->ctx, address, data);
	} else {
		smm_gerror(model, error);
	}
}

void smm_interrupt(const struct iommu_model *model, enum smm_irq irq)
{
	const struct {
		uint64_t enable, error;
		uint32_t wire;
	} sources[SMM_IRQS] = {
		[SMM_IRQ_GERROR] = { BITS(SMMU_IRQ_CTRL, GERROR_IRQEN), BITS(SMMU_GERROR, MSI_GERROR_ABT_ERR),
				     SMMUV3_MODEL_WIRE_GERROR },
		[SMM_IRQ_EVENTQ] = { BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN), BITS(SMMU_GERROR, MSI_EVENTQ_ABT_ERR),
				     SMMUV3_MODEL_WIRE_EVENTQ },
		[SMM_IRQ_PRIQ] = { BITS(SMMU_IRQ_CTRL, PRIQ_IRQEN), BITS(SMMU_GERROR, MSI_PRIQ_ABT_ERR), SMMUV3_MODEL_WIRE_PRIQ },
	};
	struct smm_state *state = smm_state(model);
	uint64_t address = word_load(&state->irq_addr[irq]);

	if (!(word_load(&state->irq_ctrlack) & sources[irq].enable))
		return;
	if (GET(SMMU_IDR0, MSI, &state->idr0) && address)
		smm_message(model, address, (uint32_t)word_load(&state->irq_data[irq]), sources[irq].error);
	else if (model->port->interrupt)
		model->port->interrupt(model->port->ctx, SMMUV3_MODEL_WIRE, sources[irq].wire);
}

/* An error that is active already is not reported again. */
void smm_gerror(const struct iommu_model *model, uint64_t bit)
{
	struct smm_state *state = smm_state(model);
	uint64_t old;

	do {
		old = word_load(&state->gerror);
		if ((old ^ word_load(&state->gerrorn)) & bit)
			return;
	} while (!word_replace(&state->gerror, old, old ^ bit));
	if (bit != BITS(SMMU_GERROR, MSI_GERROR_ABT_ERR))
		smm_interrupt(model, SMM_IRQ_GERROR);
}

/* ---- Registers ---- */

static uint64_t pair(uint64_t low, uint64_t high)
{
	return (low & 0xffffffff) | high << 32;
}

/* The 64-bit word that holds `offset`. */
static uint64_t read_word(const struct smm_state *state, uint64_t offset)
{
	static const uint64_t aidr = 3; /* SMMUv3.3 */
	bool msi = GET(SMMU_IDR0, MSI, &state->idr0);

	switch (offset) {
	case SMMU_REG_IDR0:
		return pair(state->idr0, state->idr1);
	case SMMU_REG_IDR2:
		return pair(0, state->idr3);
	case SMMU_REG_IDR4:
		return pair(0, state->idr5);
	case SMMU_REG_IIDR:
		return pair(0, aidr);
	case SMMU_REG_CR0:
		return pair(word_load(&state->cr0), word_load(&state->cr0ack));
	case SMMU_REG_CR1:
		return pair(word_load(&state->cr1), word_load(&state->cr2));
	case SMMU_REG_STATUSR:
		return pair(0, word_load(&state->gbpa));
	case SMMU_REG_IRQ_CTRL:
		return pair(word_load(&state->irq_ctrl), word_load(&state->irq_ctrlack));
	case SMMU_REG_GERROR:
		return pair(word_load(&state->gerror), word_load(&state->gerrorn));
	case SMMU_REG_GERROR_IRQ_CFG0:
		return msi ? word_load(&state->irq_addr[SMM_IRQ_GERROR]) : 0;
	case SMMU_REG_GERROR_IRQ_CFG1:
		return msi ? pair(word_load(&state->irq_data[SMM_IRQ_GERROR]), word_load(&state->irq_attr[SMM_IRQ_GERROR])) : 0;
	case SMMU_REG_STRTAB_BASE:
		return word_load(&state->strtab_base);
	case SMMU_REG_STRTAB_BASE_CFG:
		return word_load(&state->strtab_cfg);
	case SMMU_REG_CMDQ_BASE:
		return word_load(&state->cmdq_base);
	case SMMU_REG_CMDQ_PROD:
		return pair(word_load(&state->cmdq_prod), word_load(&state->cmdq_cons));
	case SMMU_REG_EVENTQ_BASE:
		return word_load(&state->eventq_base);
	case SMMU_REG_EVENTQ_IRQ_CFG0:
		return msi ? word_load(&state->irq_addr[SMM_IRQ_EVENTQ]) : 0;
	case SMMU_REG_EVENTQ_IRQ_CFG1:
		return msi ? pair(word_load(&state->irq_data[SMM_IRQ_EVENTQ]), word_load(&state->irq_attr[SMM_IRQ_EVENTQ])) : 0;
	case SMMU_REG_EVENTQ_PROD:
		return pair(word_load(&state->eventq_prod), word_load(&state->eventq_cons));
	default:
		return 0;
	}
}

static uint64_t smm_read(struct iommu_model *model, uint64_t offset, unsigned size)
{
	uint64_t word = read_word(smm_state(model), offset & ~7ull);

	return size == 8 ? word : word >> (offset & 4) * 8 & 0xffffffff;
}

/* Replaces the bits in `mask`; others may be set and cleared meanwhile. */
static void put(uint64_t *word, uint64_t mask, uint64_t value)
{
	uint64_t old;

	do {
		old = word_load(word);
	} while (!word_replace(word, old, (old & ~mask) | (value & mask)));
}

/* What is guarded by an enable bit is writable while it is 0, and acknowledged to be so; else writes are ignored (SMMUv3.2). */
static bool guarded(const struct smm_state *state, uint64_t enable)
{
	return ((word_load(&state->cr0) | word_load(&state->cr0ack)) & enable) != 0;
}

/* 6.3.9: a field whose last change isn't acknowledged keeps it. */
static void write_cr0(struct smm_state *state, uint64_t mask, uint64_t value)
{
	const uint64_t fields[] = { BITS(SMMU_CR0, SMMUEN), BITS(SMMU_CR0, EVENTQEN), BITS(SMMU_CR0, CMDQEN),
				    BITS(SMMU_CR0, ATSCHK), BITS(SMMU_CR0, VMW) };
	uint64_t pending = word_load(&state->cr0) ^ word_load(&state->cr0ack);

	if (!GET(SMMU_IDR0, ATS, &state->idr0))
		mask &= ~BITS(SMMU_CR0, ATSCHK);
	if (!GET(SMMU_IDR0, VMW, &state->idr0))
		mask &= ~BITS(SMMU_CR0, VMW);
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!(pending & fields[i]))
			put(&state->cr0, mask & fields[i], value);
	}
}

static void write_irq(struct smm_state *state, uint64_t enable, uint64_t *word, uint64_t mask, uint64_t value)
{
	if (GET(SMMU_IDR0, MSI, &state->idr0) && !((word_load(&state->irq_ctrl) | word_load(&state->irq_ctrlack)) & enable))
		put(word, mask, value);
}

#define INDEX_BITS ((2ull << SMMU_MAX_QUEUE_LOG2) - 1)
#define CR1_TABLES (BITS(SMMU_CR1, TABLE_IC) | BITS(SMMU_CR1, TABLE_OC) | BITS(SMMU_CR1, TABLE_SH))
#define CR1_QUEUES (BITS(SMMU_CR1, QUEUE_IC) | BITS(SMMU_CR1, QUEUE_OC) | BITS(SMMU_CR1, QUEUE_SH))
#define QUEUE_BASE (BITS(SMMU_QUEUE_BASE, LOG2SIZE) | BITS(SMMU_QUEUE_BASE, ADDR) | BITS(SMMU_QUEUE_BASE, RA_WA))

static void write_word(struct smm_state *state, uint64_t offset, uint64_t mask, uint64_t value)
{
	const uint64_t low = mask & 0xffffffff, high = mask >> 32, value_high = value >> 32;
	const uint64_t gerror_irq = BITS(SMMU_IRQ_CTRL, GERROR_IRQEN), eventq_irq = BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN);
	uint64_t bits;

	switch (offset) {
	case SMMU_REG_CR0:
		write_cr0(state, low, value);
		break;
	case SMMU_REG_CR1:
		bits = guarded(state, BITS(SMMU_CR0, SMMUEN)) ? 0 : CR1_TABLES;
		if (!guarded(state, BITS(SMMU_CR0, EVENTQEN) | BITS(SMMU_CR0, CMDQEN)))
			bits |= CR1_QUEUES;
		put(&state->cr1, low & bits, value);
		bits = BITS(SMMU_CR2, RECINVSID);
		if (GET(SMMU_IDR0, HYP, &state->idr0))
			bits |= BITS(SMMU_CR2, E2H);
		if (GET(SMMU_IDR0, ATSRECERR, &state->idr0))
			bits |= BITS(SMMU_CR2, REC_CFG_ATS);
		if (!guarded(state, BITS(SMMU_CR0, SMMUEN)))
			put(&state->cr2, high & bits, value_high);
		break;
	case SMMU_REG_STATUSR:
		/* 6.3.14.1: only with Update set, and not before the last one is done. */
		if (high != 0xffffffff || !(value_high & BITS(SMMU_GBPA, UPDATE)) || (word_load(&state->gbpa) & BITS(SMMU_GBPA, UPDATE)))
			break;
		word_store(&state->gbpa, value_high & (BITS(SMMU_GBPA, MEMATTR) | BITS(SMMU_GBPA, MTCFG) | BITS(SMMU_GBPA, ALLOCCFG) |
						       BITS(SMMU_GBPA, SHCFG) | BITS(SMMU_GBPA, PRIVCFG) |
						       BITS(SMMU_GBPA, INSTCFG) | BITS(SMMU_GBPA, ABORT) | BITS(SMMU_GBPA, UPDATE)));
		break;
	case SMMU_REG_IRQ_CTRL:
		/* Bits whose last change isn't acknowledged keep it, as in CR0. */
		bits = (gerror_irq | eventq_irq) & ~(word_load(&state->irq_ctrl) ^ word_load(&state->irq_ctrlack));
		put(&state->irq_ctrl, low & bits, value);
		break;
	case SMMU_REG_GERROR:
		put(&state->gerrorn, high & (BITS(SMMU_GERROR, CMDQ_ERR) | BITS(SMMU_GERROR, EVENTQ_ABT_ERR) |
					     BITS(SMMU_GERROR, MSI_CMDQ_ABT_ERR) | BITS(SMMU_GERROR, MSI_EVENTQ_ABT_ERR) |
					     BITS(SMMU_GERROR, MSI_GERROR_ABT_ERR)), value_high);
		break;
	case SMMU_REG_GERROR_IRQ_CFG0:
		write_irq(state, gerror_irq, &state->irq_addr[SMM_IRQ_GERROR], mask & BITS(SMMU_IRQ_CFG0, ADDR), value);
		break;
	case SMMU_REG_GERROR_IRQ_CFG1:
		write_irq(state, gerror_irq, &state->irq_data[SMM_IRQ_GERROR], low, value);
		write_irq(state, gerror_irq, &state->irq_attr[SMM_IRQ_GERROR], high & 0x3f, value_high);
		break;
	case SMMU_REG_STRTAB_BASE:
		if (!guarded(state, BITS(SMMU_CR0, SMMUEN)))
			put(&state->strtab_base, mask & (BITS(SMMU_STRTAB_BASE, ADDR) | BITS(SMMU_STRTAB_BASE, RA)), value);
		break;
	case SMMU_REG_STRTAB_BASE_CFG:
		bits = BITS(SMMU_STRTAB_BASE_CFG, LOG2SIZE);
		if (GET(SMMU_IDR0, ST_LEVEL, &state->idr0))
			bits |= BITS(SMMU_STRTAB_BASE_CFG, SPLIT) | BITS(SMMU_STRTAB_BASE_CFG, FMT);
		if (!guarded(state, BITS(SMMU_CR0, SMMUEN)))
			put(&state->strtab_cfg, low & bits, value);
		break;
	case SMMU_REG_CMDQ_BASE:
		if (!guarded(state, BITS(SMMU_CR0, CMDQEN)))
			put(&state->cmdq_base, mask & QUEUE_BASE, value);
		break;
	case SMMU_REG_CMDQ_PROD:
		put(&state->cmdq_prod, low & INDEX_BITS, value);
		if (!guarded(state, BITS(SMMU_CR0, CMDQEN)))
			put(&state->cmdq_cons, high & (INDEX_BITS | BITS(SMMU_CMDQ_CONS, ERR)), value_high);
		break;
	case SMMU_REG_EVENTQ_BASE:
		if (!guarded(state, BITS(SMMU_CR0, EVENTQEN)))
			put(&state->eventq_base, mask & QUEUE_BASE, value);
		break;
	case SMMU_REG_EVENTQ_IRQ_CFG0:
		write_irq(state, eventq_irq, &state->irq_addr[SMM_IRQ_EVENTQ], mask & BITS(SMMU_IRQ_CFG0, ADDR), value);
		break;
	case SMMU_REG_EVENTQ_IRQ_CFG1:
		write_irq(state, eventq_irq, &state->irq_data[SMM_IRQ_EVENTQ], low, value);
		write_irq(state, eventq_irq, &state->irq_attr[SMM_IRQ_EVENTQ], high & 0x3f, value_high);
		break;
	case SMMU_REG_EVENTQ_PROD:
		if (!guarded(state, BITS(SMMU_CR0, EVENTQEN)))
			put(&state->eventq_prod, low & (INDEX_BITS | BITS(SMMU_EVENTQ_PROD, OVFLG)), value);
		put(&state->eventq_cons, high & (INDEX_BITS | BITS(SMMU_EVENTQ_CONS, OVACKFLG)), value_high);
		break;
	default:
		break;
	}
}

static void smm_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value)
{
	struct smm_state *state = smm_state(model);
	uint64_t mask = ~0ull;

	if (size == 4) {
		mask = 0xffffffffull << (offset & 4) * 8;
		value = (value & 0xffffffff) << (offset & 4) * 8;
	}
	word_lock(&state->register_lock);
	write_word(state, offset & ~7ull, mask, value);
	word_unlock(&state->register_lock);
}

/* ---- Updates (6.3.9, 6.3.14, 6.3.17) ---- */

/* What requests go by. */
static void in_effect(struct smm_state *state, uint64_t cr0)
{
	model_hot_store(&state->common, SMM_HOT_CONTROL, pair(cr0, word_load(&state->cr2)));
}

static void acknowledge(struct smm_state *state, uint64_t field, uint64_t value)
{
	put(&state->cr0ack, field, value);
	in_effect(state, word_load(&state->cr0ack));
}

/* 6.3.9.6. False: it can't go on yet. */
static bool set_smmuen(const struct iommu_model *model, struct smm_state *state, uint64_t cr0)
{
	if (cr0 & BITS(SMMU_CR0, SMMUEN)) {
		model_hot_store(&state->common, SMM_HOT_TABLE, word_load(&state->strtab_base));
		model_hot_store(&state->common, SMM_HOT_REST, pair(word_load(&state->strtab_cfg), SMM_GBPA(state)));
		acknowledge(state, BITS(SMMU_CR0, SMMUEN), cr0);
		return true;
	}
	/* A CMD_SYNC's drain, or what is left of it, ends first: there is only one at a time. */
	if (state->draining && !state->disabling && !smm_drain_done(state))
		return false;
	/* Who comes now bypasses. No table is read any more once that is acknowledged. */
	in_effect(state, word_load(&state->cr0ack) & ~BITS(SMMU_CR0, SMMUEN));
	if (state->common.maysets) {
		state->last.kind = SMM_OFF;
	} else {
		if (!state->disabling) {
			state->disabling = 1;
			state->must_drain = 1;
			smm_drain_start(state, model->port);
		}
		if (!smm_drain_done(state))
			return false;
		state->disabling = 0;
	}
	acknowledge(state, BITS(SMMU_CR0, SMMUEN), cr0);
	return true;
}

static bool update_cr0(const struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);
	uint64_t cr0 = word_load(&state->cr0), pending = cr0 ^ word_load(&state->cr0ack);

	if (pending & BITS(SMMU_CR0, ATSCHK)) {
		acknowledge(state, BITS(SMMU_CR0, ATSCHK), cr0);
	} else if (pending & BITS(SMMU_CR0, VMW)) {
		acknowledge(state, BITS(SMMU_CR0, VMW), cr0);
	} else if (pending & BITS(SMMU_CR0, EVENTQEN)) {
		/* Who is writing a record finishes it. */
		if (!word_try_lock(&state->event_claim))
			return false;
		acknowledge(state, BITS(SMMU_CR0, EVENTQEN), cr0);
		word_unlock(&state->event_claim);
	} else if (pending & BITS(SMMU_CR0, CMDQEN)) {
		/* 6.3.9.3: what has been consumed is finished; a CMD_SYNC that isn't complete hasn't been consumed. */
		if (!(cr0 & BITS(SMMU_CR0, CMDQEN))) {
			if (smm_window_tick(model))
				return true;
			smm_forget_sync(state);
		}
		acknowledge(state, BITS(SMMU_CR0, CMDQEN), cr0);
	} else {
		return set_smmuen(model, state, cr0);
	}
	return true;
}

static bool update(const struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);
	uint64_t gbpa = word_load(&state->gbpa), irq_ctrl = word_load(&state->irq_ctrl);

	if (word_load(&state->broken) & SMMUV3_BROKEN_BUSY)
		return false;
	if (gbpa & BITS(SMMU_GBPA, UPDATE)) {
		gbpa &= ~BITS(SMMU_GBPA, UPDATE);
		model_hot_store(&state->common, SMM_HOT_REST, pair(SMM_TABLE_CFG(state), gbpa));
		word_store(&state->gbpa, gbpa);
		return true;
	}
	if (irq_ctrl != word_load(&state->irq_ctrlack)) {
		word_store(&state->irq_ctrlack, irq_ctrl);
		return true;
	}
	return word_load(&state->cr0) != word_load(&state->cr0ack) && update_cr0(model);
}

static void smm_settle(struct iommu_model *model)
{
	memset(&smm_state(model)->last, 0, sizeof(smm_state(model)->last));
}

static bool smm_tick(struct iommu_model *model)
{
	struct smm_state *state = smm_state(model);
	bool done;

	if (!word_try_lock(&state->tick_lock))
		return false;
	if (state->last.kind)
		smm_settle(model);
	done = update(model) || smm_queue_tick(model);
	word_unlock(&state->tick_lock);
	return done;
}

static bool smm_overflow(const struct iommu_model *model)
{
	return smm_state(model)->common.overflow != 0;
}

const struct iommu_model_ops smmuv3_model = {
	.name = "smmuv3",
	.size = smm_size,
	.init = smm_init,
	.read = smm_read,
	.write = smm_write,
	.tick = smm_tick,
	.begin = smm_begin,
	.step = smm_step,
	.end = smm_end,
	.translate = smm_translate,
	.devtlb_lookup = smm_devtlb_lookup,
	.drained = smm_drained,
	.settle = smm_settle,
	.overflow = smm_overflow,
	.reason = smm_reason,
	.dump = smm_dump,
};
