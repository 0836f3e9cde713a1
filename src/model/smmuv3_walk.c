/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_walk.c - both stages of page tables (3.4, 3.13, 13.7; DDI 0487 D8).
 *
 * One step reads one descriptor, or sets the flags of one, or looks into the caches of one stage. Under a second stage, the address of
 * every descriptor of the first stage is itself translated, and so is that of the update of one. Levels are counted as in lpae.h.
 */
#include "smmuv3_rights.h"

#define MAX_TRIES 15 /* of an update of flags that others keep overtaking */

/* ---- Faults ---- */

static void first_fault(const struct iommu_model *model, struct iommu_request *request, unsigned code)
{
	const struct smm_fault fault = { .code = code, .class = SMMU_CLASS_IN };

	smm_fault(model, request, &fault);
}

static void second_fault(const struct iommu_model *model, struct iommu_request *request, unsigned code, uint64_t fetch)
{
	static const unsigned classes[4] = {
		[SMM_FOR_ACCESS] = SMMU_CLASS_IN, [SMM_FOR_CD] = SMMU_CLASS_CD,
		[SMM_FOR_TABLE] = SMMU_CLASS_TT, [SMM_FOR_MARK] = SMMU_CLASS_TT,
	};
	unsigned purpose = smm_purpose(smm_work(request));
	const struct smm_fault fault = {
		.code = code, .s2 = true, .class = classes[purpose], .table_write = purpose == SMM_FOR_MARK, .fetch = fetch,
	};

	smm_fault(model, request, &fault);
}

static void first_abort(const struct iommu_model *model, struct iommu_request *request, uint64_t fetch)
{
	const struct smm_fault fault = { .code = SMMU_EVT_F_WALK_EABT, .class = SMMU_CLASS_TT, .fetch = fetch };

	smm_fault(model, request, &fault);
}

/* The end of a successful translation: `rights` of both stages; `ipa` is what the first one put out. */
static void done(const struct iommu_model *model, struct iommu_request *request, uint64_t phys, uint64_t ipa, uint64_t log2,
		 uint64_t rights)
{
	struct smm_work *work = smm_work(request);
	uint32_t told = smm_answer(smm_state(model), request, work, rights);

	if (work->flags & SMM_F_UNCACHED) /* nor by a shortcut */
		model_stamp(&smm_state(model)->common);
	work->rights = log2 << SMM_LOG2_LSB;
	/* 13.6.3: under a split stage the device gets, and comes back with, an IPA. */
	if (request->kind == IOMMU_REQUEST_TRANSLATION && GET(SMMU_STE, EATS, work->ste) == SMMU_EATS_SPLIT)
		phys = ipa;
	smm_finish(model, request, phys, 1ull << log2, told);
}

/* ---- Descriptors of both stages ---- */

static bool is_valid(uint64_t descriptor, uint64_t level, unsigned page_shift)
{
	if (!GET(LPAE_TABLE, VALID, &descriptor))
		return false;
	if (GET(LPAE_TABLE, TABLE, &descriptor))
		return true;
	return level > 0 && level <= lpae_max_leaf_level(page_shift);
}

static bool is_table(uint64_t descriptor, uint64_t level)
{
	return level > 0 && GET(LPAE_TABLE, TABLE, &descriptor);
}

/* log2 of what a leaf is cached as. */
static uint64_t leaf_log2(const struct smm_state *state, uint64_t leaf, uint64_t level, unsigned page_shift)
{
	uint64_t log2 = lpae_shift(page_shift, (unsigned)level);

	if (GET(LPAE_S1, CONTIGUOUS, &leaf) && !(state->options & SMMUV3_MODEL_NO_CONTIGUOUS))
		log2 += lpae_contiguous_shift(page_shift, (unsigned)level);
	return log2;
}

/* Where `address` is in the leaf's page. */
static uint64_t leaf_output(uint64_t leaf, uint64_t level, unsigned page_shift, uint64_t address)
{
	uint64_t mask = smm_size_mask(lpae_shift(page_shift, (unsigned)level));

	return (lpae_phys(leaf, page_shift) & ~mask) | (address & mask);
}

static bool never_cached(const struct smm_state *state, uint64_t leaf, uint64_t level)
{
	return level > 0 && (leaf & LPAE_BLOCK_NT) && GET(SMMU_IDR3, BBML, &state->idr3) < 2;
}

/* Puts `value` in the place of work->pte at `address`. 1: done; 0: something else is there now, in work->pte; -1: it can't be. */
static int mark(const struct iommu_model *model, struct iommu_request *request, uint64_t address, uint64_t value, unsigned tries_lsb)
{
	const struct iommu_model_port *port = model->port;
	struct smm_work *work = smm_work(request);

	if (port->cas64(port->ctx, address, &work->pte, value)) {
		if (port->dirty)
			port->dirty(port->ctx, address);
		work->pte = value;
		work->flags &= ~(15ull << tries_lsb);
		return 1;
	}
	if ((work->flags >> tries_lsb & 15) + 1 >= MAX_TRIES)
		return -1;
	work->flags += 1ull << tries_lsb;
	return 0;
}

/* ---- Second stage ---- */

static unsigned second_shift(const struct smm_state *state, const struct smm_work *work)
{
	return smm_tg0(state, GET(SMMU_STE, S2TG, work->ste));
}

static uint64_t second_bits(const struct smm_work *work)
{
	return 64 - GET(SMMU_STE, S2T0SZ, work->ste);
}

static unsigned second_start(const struct smm_state *state, const struct smm_work *work)
{
	return smm_s2_start(GET(SMMU_STE, S2SL0, work->ste), second_shift(state, work));
}

/* The first level's index has the bits of the tables that lie side by side. */
static uint64_t second_entry_at(const struct smm_state *state, const struct smm_work *work)
{
	unsigned page_shift = second_shift(state, work), level = (unsigned)(work->ss & SMM_LEVEL);
	uint64_t index = work->ipa >> lpae_shift(page_shift, level);

	if (level != second_start(state, work))
		index &= smm_size_mask(lpae_index_bits(page_shift));
	return (work->ss & ~SMM_LEVEL) + index * 8;
}

void smm_second_stage(const struct iommu_model *model, struct iommu_request *request, uint64_t ipa, unsigned purpose)
{
	struct smm_work *work = smm_work(request);

	(void)model;
	work->ipa = ipa;
	work->ss = 0;
	work->tag2 = TAG_VALID | (uint64_t)SMM_CLASS_S2 << TAG_CLASS_LSB | GET(SMMU_STE, S2VMID, work->ste) << TAG_DOMAIN_LSB;
	work->flags = (work->flags & ~SMM_F_PURPOSE) | (uint64_t)purpose << SMM_F_PURPOSE_LSB;
	request->pc = SMM_PC_SECOND_LOOKUP;
}

/* The first stage lets everything through: 3.4, the address is checked against the IAS. */
void smm_no_first_stage(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_work *work = smm_work(request);

	if (smm_beyond(smm_state(model), request->addr)) {
		first_fault(model, request, SMMU_EVT_F_ADDR_SIZE);
		return;
	}
	if (!(smm_config(work) & SMMU_CONFIG_HAS_S2)) {
		smm_finish(model, request, request->addr, 4096,
			   IOMMU_READ | IOMMU_WRITE | (request->access & (IOMMU_EXEC | IOMMU_PRIV)));
		return;
	}
	/* A translated request is about the address that the device was told. */
	if (request->kind != IOMMU_REQUEST_TRANSLATED)
		work->iova = request->addr;
	work->rights = SMM_S1_RIGHTS | 63ull << SMM_LOG2_LSB;
	smm_second_stage(model, request, request->addr, SMM_FOR_ACCESS);
}

/* The second stage has translated the IPA. */
static void second_done(const struct iommu_model *model, struct iommu_request *request, uint64_t phys, uint64_t log2,
			uint64_t rights, uint64_t geometry)
{
	struct smm_work *work = smm_work(request);
	uint64_t first_log2 = (work->rights & SMM_LOG2) >> SMM_LOG2_LSB;
	bool global = work->limits & SMM_LINE_GLOBAL;

	work->ss = 0;
	work->flags &= ~SMM_F_TRIES2;
	switch (smm_purpose(work)) {
	case SMM_FOR_CD:
		smm_context_translated(request, phys);
		break;
	case SMM_FOR_TABLE:
		work->at = phys;
		request->pc = SMM_PC_FIRST;
		break;
	case SMM_FOR_MARK:
		work->at = phys;
		work->pte = work->kept;
		work->kept = 0;
		request->pc = SMM_PC_FIRST_MARK;
		break;
	default:
		/* A nested page is as large as the smaller one of the two. */
		if (first_log2 < log2) {
			log2 = first_log2;
			geometry = work->limits >> 32 & (SMM_LINE_TG | SMM_LINE_TTL);
		}
		rights = (rights & (SMM_S2_RIGHTS | SMM_CLEAN2)) | (work->rights & (SMM_S1_RIGHTS | SMM_CLEAN1));
		if (smm_nested(work))
			smm_tlb_fill(model, request, work->tag | geometry, global, log2, work->iova, (phys & ~smm_size_mask(log2)) | rights,
				 work->ipa);
		done(model, request, phys, work->ipa, log2, rights);
		break;
	}
}

static void second_leaf(const struct iommu_model *model, struct iommu_request *request, uint64_t leaf)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned page_shift = second_shift(state, work);
	uint64_t level = work->ss & SMM_LEVEL, log2 = leaf_log2(state, leaf, level, page_shift);
	uint64_t phys = leaf_output(leaf, level, page_shift, work->ipa), rights = smm_second_rights(state, work, leaf);
	uint64_t geometry = smm_line_geometry(page_shift, level), keep = work->flags & SMM_F_UNCACHED;

	if (never_cached(state, leaf, level))
		work->flags |= SMM_F_UNCACHED;
	smm_tlb_fill(model, request, work->tag2 | geometry, false, log2, work->ipa, (phys & ~smm_size_mask(log2)) | rights, work->ipa);
	/* A block of the second stage that isn't cached keeps what is combined with it from being so, and nothing else. */
	if (smm_purpose(work) != SMM_FOR_ACCESS)
		work->flags = (work->flags & ~SMM_F_UNCACHED) | keep;
	second_done(model, request, phys, log2, rights, geometry);
}

static void second_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned page_shift = second_shift(state, work);
	uint64_t level = work->ss & SMM_LEVEL, output = lpae_phys(entry, page_shift), rights;
	bool accessed, clean;

	if (!is_valid(entry, level, page_shift)) {
		second_fault(model, request, SMMU_EVT_F_TRANSLATION, 0);
		return;
	}
	if (output >> smm_address_bits(state, GET(SMMU_STE, S2PS, work->ste))) {
		second_fault(model, request, SMMU_EVT_F_ADDR_SIZE, 0);
		return;
	}
	if (is_table(entry, level)) {
		uint64_t table = output & ~smm_size_mask(page_shift);

		smm_walk_fill(model, request, work->tag2, page_shift, level, work->ipa, table, 0);
		work->ss = table | (level - 1);
		request->pc = SMM_PC_SECOND;
		return;
	}
	rights = smm_second_rights(state, work, entry);
	accessed = GET(LPAE_S2, AF, &entry);
	if (!accessed && !smm_hardware_flags(work, true, false) && !GET(SMMU_STE, S2AFFD, work->ste)) {
		second_fault(model, request, SMMU_EVT_F_ACCESS, 0);
		return;
	}
	if (smm_second_denies(request, work, rights)) {
		second_fault(model, request, SMMU_EVT_F_PERMISSION, 0);
		return;
	}
	clean = (rights & SMM_CLEAN2) && smm_second_writes(work, rights);
	if ((!accessed && smm_hardware_flags(work, true, false)) || clean) {
		work->pte = entry;
		request->pc = SMM_PC_SECOND_MARK;
		return;
	}
	second_leaf(model, request, entry);
}

static void second_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t address = second_entry_at(state, work), rights = smm_second_rights(state, work, work->pte), entry = work->pte;
	int ret;

	SET(LPAE_S2, AF, &entry, 1);
	if ((rights & SMM_CLEAN2) && smm_second_writes(work, rights))
		SET(LPAE_S2, WRITE, &entry, 1);
	ret = mark(model, request, address, entry, SMM_F_TRIES2_LSB);
	if (ret < 0) {
		second_fault(model, request, SMMU_EVT_F_WALK_EABT, address);
		return;
	}
	entry = work->pte;
	work->pte = 0;
	if (ret)
		second_leaf(model, request, entry);
	else
		second_entry(model, request, entry); /* as if it had been fetched now */
}

static void second_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	uint64_t address = second_entry_at(state, smm_work(request)), entry;

	if (smm_beyond(state, address) || !port->read64(port->ctx, address, &entry)) {
		second_fault(model, request, SMMU_EVT_F_WALK_EABT, address);
		return;
	}
	second_entry(model, request, entry);
}

static void second_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX], bits = second_bits(work), bytes;
	unsigned start = second_start(state, work), page_shift = second_shift(state, work);

	if (work->ipa >> bits) {
		second_fault(model, request, SMMU_EVT_F_TRANSLATION, 0);
		return;
	}
	switch (smm_tlb_look_up(model, request, work->tag2, false, work->ipa, line)) {
	case SMM_CONFLICT:
		second_fault(model, request, SMMU_EVT_F_TLB_CONFLICT, 0);
		return;
	case SMM_HIT:
		if (smm_second_denies(request, work, line[2] & SMM_RIGHTS)) {
			second_fault(model, request, SMMU_EVT_F_PERMISSION, 0);
			return;
		}
		/* The first write to a page is walked for, because of its dirty state. */
		if (!(line[2] & SMM_CLEAN2) || !smm_second_writes(work, line[2])) {
			uint64_t log2 = line[1] & LINE_LOG2;

			second_done(model, request, (line[2] & SMM_ADDR) | (work->ipa & smm_size_mask(log2)), log2, line[2] & SMM_RIGHTS,
				    line[0] & (SMM_LINE_TG | SMM_LINE_TTL));
			return;
		}
		break;
	default:
		break;
	}
	if (smm_walk_look_up(model, request, work->tag2, page_shift, start, work->ipa, line)) {
		work->ss = (line[2] & SMM_ADDR) | (2 - ((line[0] & SMM_LINE_TTL) >> SMM_LINE_TTL_LSB));
	} else {
		bytes = 8ull << (bits - lpae_shift(page_shift, start));
		work->ss = (GET_ADDR(SMMU_STE, S2TTB, work->ste) & ~(bytes - 1)) | start;
	}
	request->pc = SMM_PC_SECOND;
}

/* ---- First stage ---- */

static unsigned first_shift(const struct smm_state *state, const struct smm_work *work)
{
	return work->flags & SMM_F_TTB1 ? smm_tg1(state, GET(SMMU_CD, TG1, work->cd)) : smm_tg0(state, GET(SMMU_CD, TG0, work->cd));
}

static uint64_t first_bits(const struct smm_work *work)
{
	return 64 - (work->flags & SMM_F_TTB1 ? GET(SMMU_CD, T1SZ, work->cd) : GET(SMMU_CD, T0SZ, work->cd));
}

static unsigned first_start(const struct smm_state *state, const struct smm_work *work)
{
	return lpae_levels(first_shift(state, work), (unsigned)first_bits(work), false) - 1;
}

void smm_first_stage(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned world = smm_world(work);
	bool el2 = world == SMM_CLASS_EL2, high, tbi, epd;
	uint64_t top, bits;

	work->iova = request->addr;
	work->tag = TAG_VALID | (uint64_t)world << TAG_CLASS_LSB;
	if (!el2)
		work->tag |= GET(SMMU_CD, ASID, work->cd) << TAG_PASID_LSB;
	if (world == SMM_CLASS_EL1 && GET(SMMU_IDR0, S2P, &state->idr0))
		work->tag |= GET(SMMU_STE, S2VMID, work->ste) << TAG_DOMAIN_LSB;
	high = request->addr >> 55 & 1 && !el2;
	tbi = high ? GET(SMMU_CD, TBI1, work->cd) : GET(SMMU_CD, TBI0, work->cd);
	if (high)
		work->flags |= SMM_F_TTB1;
	/* 3.4.1: the top byte is then a copy of bit 55. */
	if (tbi) {
		uint64_t byte = request->addr >> 55 & 1 ? ~0ull : 0;

		work->iova = (request->addr & ((1ull << 56) - 1)) | (byte & ~((1ull << 56) - 1));
	}
	if (GET(SMMU_IDR3, E0PD, &state->idr3) && !el2 && !(work->flags & SMM_F_PRIV) &&
	    (high ? GET(SMMU_CD, E0PD1, work->cd) : GET(SMMU_CD, E0PD0, work->cd))) {
		first_fault(model, request, SMMU_EVT_F_TRANSLATION);
		return;
	}
	/* What EPDx disables is not checked either: a line may still be hit (5.4.1.1). */
	epd = !el2 && (high ? GET(SMMU_CD, EPD1, work->cd) : GET(SMMU_CD, EPD0, work->cd));
	bits = first_bits(work);
	top = bits > 63 ? 0 : work->iova >> bits;
	if (!epd && top != (high ? ~0ull >> bits : 0)) {
		first_fault(model, request, SMMU_EVT_F_TRANSLATION);
		return;
	}
	request->pc = SMM_PC_FIRST_LOOKUP;
}

static uint64_t first_entry_at(const struct smm_state *state, const struct smm_work *work)
{
	unsigned page_shift = first_shift(state, work), level = (unsigned)(work->table & SMM_LEVEL);
	uint64_t index = (work->iova & smm_size_mask(first_bits(work))) >> lpae_shift(page_shift, level);

	if (level != first_start(state, work))
		index &= smm_size_mask(lpae_index_bits(page_shift));
	return (work->table & ~SMM_LEVEL) + index * 8;
}

static void first_descend(const struct iommu_model *model, struct iommu_request *request, uint64_t table, uint64_t level)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);

	work->table = table | level;
	work->pte = 0;
	work->at = first_entry_at(state, work);
	request->pc = SMM_PC_FIRST;
	if (smm_nested(work)) {
		uint64_t ipa = work->at;

		work->at = 0;
		smm_second_stage(model, request, ipa, SMM_FOR_TABLE);
	}
}

/* A line says what both stages allow; which one doesn't is told as a walk would. */
static void first_hit(const struct iommu_model *model, struct iommu_request *request, const uint64_t *line)
{
	struct smm_work *work = smm_work(request);
	uint64_t log2 = line[1] & LINE_LOG2, offset = work->iova & smm_size_mask(log2), rights = line[2] & SMM_RIGHTS;

	if (smm_denied(request, work, smm_may_first(work, rights))) {
		first_fault(model, request, SMMU_EVT_F_PERMISSION);
		return;
	}
	work->ipa = line[3] | offset;
	if (smm_denied(request, work, smm_may_second(work, rights))) {
		work->flags &= ~SMM_F_PURPOSE; /* SMM_FOR_ACCESS */
		second_fault(model, request, SMMU_EVT_F_PERMISSION, 0);
		return;
	}
	if (smm_nested(work))
		work->tag2 = TAG_VALID | (uint64_t)SMM_CLASS_S2 << TAG_CLASS_LSB |
			     GET(SMMU_STE, S2VMID, work->ste) << TAG_DOMAIN_LSB;
	done(model, request, (line[2] & SMM_ADDR) | offset, work->ipa, log2, rights);
}

static void first_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX], bytes, ttb;
	unsigned page_shift, start;
	bool high = work->flags & SMM_F_TTB1;
	const struct smm_fault conflict = { .code = SMMU_EVT_F_TLB_CONFLICT };

	switch (smm_tlb_look_up(model, request, work->tag, GET(SMMU_CD, ASET, work->cd), work->iova, line)) {
	case SMM_CONFLICT:
		smm_fault(model, request, &conflict);
		return;
	case SMM_HIT:
		/* The first write to a page is walked for, because of its dirty state. */
		if (!(line[2] & (SMM_CLEAN1 | SMM_CLEAN2)) || !smm_first_writes(work, line[2])) {
			first_hit(model, request, line);
			return;
		}
		break;
	default:
		break;
	}
	if (smm_world(work) != SMM_CLASS_EL2 && (high ? GET(SMMU_CD, EPD1, work->cd) : GET(SMMU_CD, EPD0, work->cd))) {
		first_fault(model, request, SMMU_EVT_F_TRANSLATION);
		return;
	}
	page_shift = first_shift(state, work);
	start = first_start(state, work);
	work->limits = 0;
	if (smm_walk_look_up(model, request, work->tag, page_shift, start, work->iova, line)) {
		work->limits = line[2] & (SMM_NO_USER | SMM_NO_WRITE | SMM_NO_PX | SMM_NO_UX);
		first_descend(model, request, line[2] & SMM_ADDR, 2 - ((line[0] & SMM_LINE_TTL) >> SMM_LINE_TTL_LSB));
		return;
	}
	bytes = 8ull << (first_bits(work) - lpae_shift(page_shift, start));
	ttb = high ? GET_ADDR(SMMU_CD, TTB1, work->cd) : GET_ADDR(SMMU_CD, TTB0, work->cd);
	first_descend(model, request, ttb & ~(bytes - 1), start);
}

/* D8.4.1: what a table descriptor takes away from all below. */
static uint64_t table_limits(const struct smm_state *state, const struct smm_work *work, uint64_t entry)
{
	uint64_t had = work->flags & SMM_F_TTB1 ? GET(SMMU_CD, HAD1, work->cd) : GET(SMMU_CD, HAD0, work->cd);
	uint64_t ap = GET(LPAE_TABLE, AP_TABLE, &entry), limits = 0;

	if (had && GET(SMMU_IDR3, HAD, &state->idr3))
		return 0;
	if (ap & LPAE_AP_TABLE_NO_USER)
		limits |= SMM_NO_USER;
	if (ap & LPAE_AP_TABLE_NO_WRITE)
		limits |= SMM_NO_WRITE;
	if (GET(LPAE_TABLE, PXN_TABLE, &entry))
		limits |= SMM_NO_PX;
	if (GET(LPAE_TABLE, XN_TABLE, &entry))
		limits |= SMM_NO_UX;
	return limits;
}

static void first_leaf(const struct iommu_model *model, struct iommu_request *request, uint64_t leaf)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned page_shift = first_shift(state, work);
	uint64_t level = work->table & SMM_LEVEL, log2 = leaf_log2(state, leaf, level, page_shift);
	uint64_t output = leaf_output(leaf, level, page_shift, work->iova), rights = smm_first_rights(work, leaf);
	bool global = !GET(LPAE_S1, NG, &leaf) && smm_world(work) != SMM_CLASS_EL2;

	if (never_cached(state, leaf, level))
		work->flags |= SMM_F_UNCACHED;
	work->at = 0;
	work->table = 0;
	work->flags &= ~SMM_F_TRIES;
	work->rights = rights | log2 << SMM_LOG2_LSB;
	if (smm_nested(work)) {
		/* Kept for the combined line: whether it is global, and, above, the leaf's geometry. */
		work->limits = (global ? SMM_LINE_GLOBAL : 0) | smm_line_geometry(page_shift, level) << 32;
		smm_second_stage(model, request, output, SMM_FOR_ACCESS);
		return;
	}
	rights |= SMM_S2_RIGHTS;
	smm_tlb_fill(model, request, work->tag | smm_line_geometry(page_shift, level), global, log2, work->iova,
		 (output & ~smm_size_mask(log2)) | rights, output);
	done(model, request, output, output, log2, rights);
}

static void first_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned page_shift = first_shift(state, work);
	uint64_t level = work->table & SMM_LEVEL, output = lpae_phys(entry, page_shift), rights;
	bool accessed, clean;

	work->pte = 0;
	if (!is_valid(entry, level, page_shift)) {
		first_fault(model, request, SMMU_EVT_F_TRANSLATION);
		return;
	}
	if (output >> smm_address_bits(state, GET(SMMU_CD, IPS, work->cd))) {
		first_fault(model, request, SMMU_EVT_F_ADDR_SIZE);
		return;
	}
	if (is_table(entry, level)) {
		uint64_t table = output & ~smm_size_mask(page_shift);

		work->limits |= table_limits(state, work, entry);
		smm_walk_fill(model, request, work->tag, page_shift, level, work->iova, table, work->limits);
		first_descend(model, request, table, level - 1);
		return;
	}
	rights = smm_first_rights(work, entry);
	accessed = GET(LPAE_S1, AF, &entry);
	if (!accessed && !smm_hardware_flags(work, false, false) && !GET(SMMU_CD, AFFD, work->cd)) {
		first_fault(model, request, SMMU_EVT_F_ACCESS);
		return;
	}
	if (smm_denied(request, work, smm_may_first(work, rights))) {
		first_fault(model, request, SMMU_EVT_F_PERMISSION);
		return;
	}
	clean = (rights & SMM_CLEAN1) && smm_first_writes(work, rights);
	if ((!accessed && smm_hardware_flags(work, false, false)) || clean) {
		work->pte = entry;
		/* 3.13.5: the update is a write, for which the second stage has to allow writing. */
		if (smm_nested(work)) {
			work->kept = entry;
			work->pte = 0;
			work->at = 0;
			smm_second_stage(model, request, first_entry_at(state, work), SMM_FOR_MARK);
		} else {
			request->pc = SMM_PC_FIRST_MARK;
		}
		return;
	}
	first_leaf(model, request, entry);
}

static void first_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct smm_work *work = smm_work(request);
	uint64_t entry;

	if (smm_beyond(smm_state(model), work->at) || !port->read64(port->ctx, work->at, &entry)) {
		first_abort(model, request, work->at);
		return;
	}
	first_entry(model, request, entry);
}

static void first_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_work *work = smm_work(request);
	uint64_t rights = smm_first_rights(work, work->pte), entry = work->pte;
	int ret;

	SET(LPAE_S1, AF, &entry, 1);
	if ((rights & SMM_CLEAN1) && smm_first_writes(work, rights))
		SET(LPAE_S1, AP2, &entry, 0);
	ret = mark(model, request, work->at, entry, SMM_F_TRIES_LSB);
	if (ret < 0) {
		first_abort(model, request, work->at);
		return;
	}
	entry = work->pte;
	work->pte = 0;
	if (ret)
		first_leaf(model, request, entry);
	else
		first_entry(model, request, entry);
}

void smm_walk_step(const struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case SMM_PC_FIRST_LOOKUP:
		first_look_up(model, request);
		break;
	case SMM_PC_FIRST:
		first_fetch(model, request);
		break;
	case SMM_PC_FIRST_MARK:
		first_mark(model, request);
		break;
	case SMM_PC_SECOND_LOOKUP:
		second_look_up(model, request);
		break;
	case SMM_PC_SECOND:
		second_fetch(model, request);
		break;
	case SMM_PC_SECOND_MARK:
		second_mark(model, request);
		break;
	default:
		/* Not a state that the model leaves a running request in. */
		smm_refuse(model, request, SMMUV3_MODEL_SILENT);
		break;
	}
}

