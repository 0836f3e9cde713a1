/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_walk.c - the TLB, and both stages of page tables (3.4, 3.13, 3.17, 3.20, 13.7; DDI 0487 D8).
 *
 * One step reads one descriptor, or sets the flags of one, or looks into the caches of one stage. Under a second stage, the address of
 * every descriptor of the first stage is itself translated, and so is that of the update of one. Levels are counted as in lpae.h.
 */
#include "smmuv3_state.h"

#define MAX_TRIES 15 /* of an update of flags that others keep overtaking */

static uint64_t size_mask(uint64_t log2)
{
	return (1ull << log2) - 1;
}

/* TLBI.TG, which a line is tagged with. */
static uint64_t tg_of(unsigned page_shift)
{
	return page_shift == 12 ? SMMU_TLBI_TG_4K : page_shift == 14 ? SMMU_TLBI_TG_16K : SMMU_TLBI_TG_64K;
}

static uint64_t line_geometry(unsigned page_shift, uint64_t level)
{
	return tg_of(page_shift) | (3 - level) << SMM_LINE_TTL_LSB;
}

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

/* ---- Rights ---- */

static bool hardware_flags(const struct smm_work *work, bool s2, bool dirty)
{
	/* Without the access flag's the dirty state's does nothing. */
	if (s2)
		return GET(SMMU_STE, S2HA, work->ste) && (!dirty || GET(SMMU_STE, S2HD, work->ste));
	return GET(SMMU_CD, HA, work->cd) && (!dirty || GET(SMMU_CD, HD, work->cd));
}

/* DDI 0487 D8.4.1, with what the tables on the way left. */
static uint64_t first_rights(const struct smm_work *work, uint64_t leaf)
{
	bool clean = GET(LPAE_S1, AP2, &leaf) && GET(LPAE_S1, DBM, &leaf) && hardware_flags(work, false, true);
	bool writes = (!GET(LPAE_S1, AP2, &leaf) || clean) && !(work->limits & SMM_NO_WRITE);
	bool wxn = GET(SMMU_CD, WXN, work->cd), user = GET(LPAE_S1, AP1, &leaf) && !(work->limits & SMM_NO_USER);
	bool ux = !GET(LPAE_S1, XN, &leaf) && !(work->limits & SMM_NO_UX);
	bool px = !GET(LPAE_S1, PXN, &leaf) && !(work->limits & SMM_NO_PX);
	uint64_t rights = clean && writes ? SMM_CLEAN1 : 0;

	if (smm_world(work) == SMM_CLASS_EL2) {
		/* One privilege only, and XN is its own. */
		rights |= SMM_UR | SMM_PR | (writes ? SMM_UW | SMM_PW : 0);
		return rights | (ux && !(wxn && writes) ? SMM_UX | SMM_PX : 0);
	}
	rights |= SMM_PR | (writes ? SMM_PW : 0) | (user ? SMM_UR : 0) | (user && writes ? SMM_UW : 0);
	if (ux && !(wxn && (rights & SMM_UW)))
		rights |= SMM_UX;
	/* What unprivileged code can write, privileged code doesn't execute. */
	if (px && !(rights & SMM_UW) && !(wxn && writes))
		rights |= SMM_PX;
	return rights;
}

/* D8.4.2 */
static uint64_t second_rights(const struct smm_state *state, const struct smm_work *work, uint64_t leaf)
{
	uint64_t rights = GET(LPAE_S2, READ, &leaf) ? SMM_R2 : 0, xn = GET(LPAE_S2, XN, &leaf);

	if (GET(LPAE_S2, WRITE, &leaf))
		rights |= SMM_W2;
	else if (GET(LPAE_S2, DBM, &leaf) && hardware_flags(work, true, true))
		rights |= SMM_W2 | SMM_CLEAN2;
	if (!GET(SMMU_IDR3, XNX, &state->idr3))
		xn &= LPAE_S2_XN_NONE;
	if (xn == 0 || xn == LPAE_S2_XN_UNPRIVILEGED)
		rights |= SMM_UX2;
	if (xn == 0 || xn == LPAE_S2_XN_PRIVILEGED)
		rights |= SMM_PX2;
	return rights;
}

/* What one stage allows to the request's privilege, as IOMMU_READ, WRITE and EXEC. */
static uint32_t may_first(const struct smm_work *work, uint64_t rights)
{
	bool priv = work->flags & SMM_F_PRIV;
	uint32_t may = 0;

	if (rights & (priv ? SMM_PR : SMM_UR))
		may |= IOMMU_READ;
	if (rights & (priv ? SMM_PW : SMM_UW))
		may |= IOMMU_WRITE;
	if (rights & (priv ? SMM_PX : SMM_UX))
		may |= IOMMU_EXEC;
	/* Privileged access never: no data where the unprivileged may have some. */
	if (priv && smm_world(work) != SMM_CLASS_EL2 && GET(SMMU_CD, PAN, work->cd) && (rights & (SMM_UR | SMM_UW)))
		may &= ~(uint32_t)(IOMMU_READ | IOMMU_WRITE);
	return may;
}

static uint32_t may_second(const struct smm_work *work, uint64_t rights)
{
	uint32_t may = 0;

	if (rights & SMM_R2)
		may |= IOMMU_READ;
	if (rights & SMM_W2)
		may |= IOMMU_WRITE;
	if (rights & (work->flags & SMM_F_PRIV ? SMM_PX2 : SMM_UX2))
		may |= IOMMU_EXEC;
	return may;
}

static uint32_t needed(const struct smm_work *work)
{
	return (work->flags & SMM_F_NEED_R ? IOMMU_READ : 0) | (work->flags & SMM_F_NEED_W ? IOMMU_WRITE : 0) |
	       (work->flags & SMM_F_NEED_X ? IOMMU_EXEC : 0);
}

/* 3.9.1.2: a translation request gets what there is of what it asked for, if that is anything; others get all or a fault. */
static bool denied(const struct iommu_request *request, const struct smm_work *work, uint32_t may)
{
	return request->kind == IOMMU_REQUEST_TRANSLATION ? !(needed(work) & may) : (needed(work) & ~may) != 0;
}

static bool second_denies(const struct iommu_request *request, const struct smm_work *work, uint64_t rights)
{
	switch (smm_purpose(work)) {
	case SMM_FOR_ACCESS:
		return denied(request, work, may_second(work, rights));
	case SMM_FOR_MARK:
		return !(rights & SMM_W2);
	default:
		return !(rights & SMM_R2);
	}
}

/* Is the page going to be written, so that its dirty state has to be set first? */
static bool first_writes(const struct smm_work *work, uint64_t rights)
{
	return (work->flags & SMM_F_NEED_W) && (may_first(work, rights) & IOMMU_WRITE);
}

static bool second_writes(const struct smm_work *work, uint64_t rights)
{
	if (smm_purpose(work) == SMM_FOR_ACCESS)
		return (work->flags & SMM_F_NEED_W) && (rights & SMM_W2);
	return smm_purpose(work) == SMM_FOR_MARK;
}

/* What the answer says. */
static uint32_t answer(const struct smm_state *state, const struct iommu_request *request, const struct smm_work *work,
		       uint64_t rights)
{
	uint32_t may = may_first(work, rights) & may_second(work, rights), told;
	uint64_t inst = GET(SMMU_IDR1, ATTR_PERMS_OVR, &state->idr1) ? GET(SMMU_STE, INSTCFG, work->ste) : SMMU_OVERRIDE_INCOMING;
	bool exec = (request->access & IOMMU_EXEC) && smm_has_ssid(request);

	if (rights & (SMM_CLEAN1 | SMM_CLEAN2))
		may &= ~(uint32_t)IOMMU_WRITE;
	if (request->kind != IOMMU_REQUEST_TRANSLATION)
		return (may & (IOMMU_READ | IOMMU_WRITE)) | (request->access & may & IOMMU_EXEC) | (request->access & IOMMU_PRIV);
	/* 13.7.1 */
	told = may & IOMMU_WRITE & request->access;
	if (inst == SMMU_OVERRIDE_SET)
		return told | (may & IOMMU_EXEC ? IOMMU_READ | (exec ? IOMMU_EXEC : 0) : 0) | (request->access & IOMMU_PRIV);
	told |= may & IOMMU_READ;
	if (exec && (may & IOMMU_READ) && (inst == SMMU_OVERRIDE_CLEAR || (may & IOMMU_EXEC)))
		told |= IOMMU_EXEC;
	return told | (request->access & IOMMU_PRIV);
}

/* The end of a successful translation: `rights` of both stages; `ipa` is what the first one put out. */
static void done(const struct iommu_model *model, struct iommu_request *request, uint64_t phys, uint64_t ipa, uint64_t log2,
		 uint64_t rights)
{
	struct smm_work *work = smm_work(request);
	uint32_t told = answer(smm_state(model), request, work, rights);

	if (work->flags & SMM_F_UNCACHED) /* nor by a shortcut */
		model_stamp(&smm_state(model)->common);
	work->rights = log2 << SMM_LOG2_LSB;
	/* 13.6.3: under a split stage the device gets, and comes back with, an IPA. */
	if (request->kind == IOMMU_REQUEST_TRANSLATION && GET(SMMU_STE, EATS, work->ste) == SMMU_EATS_SPLIT)
		phys = ipa;
	smm_finish(model, request, phys, 1ull << log2, told);
}

/* ---- TLB ---- */

#define KEY_LOCAL (TAG_VALID | TAG_CLASS | SMM_LINE_GLOBAL | TAG_DOMAIN | TAG_PASID)
#define KEY_GLOBAL (TAG_VALID | TAG_CLASS | SMM_LINE_GLOBAL | SMM_LINE_ASET | TAG_DOMAIN)
#define WALK_KEY (TAG_VALID | TAG_CLASS | TAG_DOMAIN | TAG_PASID | SMM_LINE_TG | SMM_LINE_TTL)

/* Every size that a leaf, or several contiguous ones, can have: log2. */
static const uint8_t leaf_sizes[] = { 12, 14, 16, 21, 25, 29, 30, 34 };
#define LEAF_SIZES (sizeof(leaf_sizes) / sizeof(leaf_sizes[0]))

/* A lane that never saw a line of this kind needs not look for one. */
static uint64_t seen_bit(uint64_t tag, uint64_t log2)
{
	unsigned i = 0, kind = tag & SMM_LINE_GLOBAL ? 1 : (tag & TAG_CLASS) >> TAG_CLASS_LSB == SMM_CLASS_S2 ? 2 : 0;

	while (i < LEAF_SIZES - 1 && leaf_sizes[i] != log2)
		i++;
	return 1ull << (i + 8 * kind);
}

static unsigned probe_leaves(const struct smm_state *state, const struct model_lane *lane, uint64_t tag, bool aset,
			     uint64_t address, struct model_probe *probes)
{
	uint64_t class = (tag & TAG_CLASS) >> TAG_CLASS_LSB;
	uint64_t global = (tag & KEY_GLOBAL) | SMM_LINE_GLOBAL | (aset ? SMM_LINE_ASET : 0);
	bool maysets = state->common.maysets;
	unsigned n = 0;

	for (unsigned i = 0; i < LEAF_SIZES; i++) {
		uint64_t at = (address & ~size_mask(leaf_sizes[i])) | leaf_sizes[i];

		if (maysets || (lane->sizes & seen_bit(tag & KEY_LOCAL, leaf_sizes[i])))
			probes[n++] = (struct model_probe){ KEY_LOCAL, tag & KEY_LOCAL, at };
		if (class != SMM_CLASS_EL1 && class != SMM_CLASS_E2H)
			continue;
		if (maysets || (lane->sizes & seen_bit(global, leaf_sizes[i])))
			probes[n++] = (struct model_probe){ KEY_GLOBAL, global, at };
	}
	return n;
}

/* Do two lines say different things of an address? Of what says the same, only the size can (3.21.1.2, 3.21.1.3). */
static bool disagree(const struct smm_state *state, const uint64_t *a, const uint64_t *b, uint64_t address)
{
	uint64_t size_a = size_mask(a[1] & LINE_LOG2), size_b = size_mask(b[1] & LINE_LOG2);
	const uint64_t flags = SMM_CLEAN1 | SMM_CLEAN2;

	if (((a[2] & SMM_ADDR) | (address & size_a)) != ((b[2] & SMM_ADDR) | (address & size_b)) ||
	    ((a[2] ^ b[2]) & SMM_RIGHTS & ~flags))
		return true;
	/* Of one level, the contiguous bit makes the difference, or a second stage. */
	return ((a[0] ^ b[0]) & (SMM_LINE_TG | SMM_LINE_TTL)) && GET(SMMU_IDR3, BBML, &state->idr3) < 2;
}

enum looked_up { MISS, HIT, CONFLICT };

/*
 * 3.20.1: several lines that disagree are a conflict, which a unit may notice, or not; then any may be used. The first choice is
 * that it does.
 */
static enum looked_up tlb_look_up(const struct iommu_model *model, struct iommu_request *request, const struct model_probe *probes,
				  unsigned nprobes, uint64_t address, uint64_t *line)
{
	struct smm_state *state = smm_state(model);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	unsigned may_miss = smm_free(state, IOMMU_FREE_MISS) ? 1 : 0, n, choice;
	uint64_t other[LINE_WORDS_MAX];
	bool conflict = false;

	if (!smm_free(state, IOMMU_FREE_MULTI))
		return model_cache_look_up(&state->common, model->port, &state->tlb, lane, probes, nprobes, line) ? HIT : MISS;
	if (!model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, 0, line))
		return MISS;
	for (n = 1; model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, n, other); n++)
		conflict |= disagree(state, line, other, address);
	if (conflict) {
		choice = (unsigned)smm_choice(model, IOMMU_FREE_MULTI, 1 + n + may_miss);
		if (choice == 0)
			return CONFLICT;
		choice--;
	} else {
		if (smm_choice(model, IOMMU_FREE_MISS, 2))
			return MISS;
		choice = (unsigned)smm_choice(model, IOMMU_FREE_MULTI, n);
	}
	return model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, choice, line) ? HIT : MISS;
}

/* `word`: address and rights; `ipa`: of a combined line. */
static void tlb_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, bool global, uint64_t log2,
		     uint64_t address, uint64_t word, uint64_t ipa)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (work->flags & SMM_F_UNCACHED)
		return;
	line[0] = tag;
	if (global) /* the ASID that it was found by says nothing */
		line[0] = (tag & ~TAG_PASID) | SMM_LINE_GLOBAL | (GET(SMMU_CD, ASET, work->cd) ? SMM_LINE_ASET : 0);
	line[1] = (address & ~size_mask(log2)) | log2;
	line[2] = word;
	line[3] = ipa & ~size_mask(log2);
	if (!state->common.maysets)
		lane->sizes |= seen_bit(line[0], log2);
	model_cache_fill(&state->common, &state->tlb, lane, global ? KEY_GLOBAL : KEY_LOCAL, line, work->gens);
}

static void walk_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift,
		      uint64_t level, uint64_t address, uint64_t table, uint64_t limits)
{
	struct smm_state *state = smm_state(model);
	uint64_t line[LINE_WORDS_MAX] = { 0 }, log2 = lpae_shift(page_shift, (unsigned)level);

	line[0] = tag | line_geometry(page_shift, level);
	line[1] = (address & ~size_mask(log2)) | log2;
	line[2] = table | limits;
	model_cache_fill(&state->common, &state->walk, model_lane(&state->common, request->lane), WALK_KEY, line,
			 smm_work(request)->gens);
}

/* The nearest table to the leaf that is known, below a start at level `start`. False: none. */
static bool walk_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift,
			 unsigned start, uint64_t address, uint64_t *line)
{
	struct smm_state *state = smm_state(model);
	struct model_probe probes[4];
	unsigned n = 0;

	for (unsigned level = 1; level <= start; level++) {
		uint64_t log2 = lpae_shift(page_shift, level);

		probes[n++] = (struct model_probe){ WALK_KEY, (tag & WALK_KEY & ~(SMM_LINE_TG | SMM_LINE_TTL)) |
							      line_geometry(page_shift, level),
						    (address & ~size_mask(log2)) | log2 };
	}
	return model_cache_look_up(&state->common, model->port, &state->walk, model_lane(&state->common, request->lane), probes, n,
				   line);
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
	uint64_t mask = size_mask(lpae_shift(page_shift, (unsigned)level));

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
		index &= size_mask(lpae_index_bits(page_shift));
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
			tlb_fill(model, request, work->tag | geometry, global, log2, work->iova, (phys & ~size_mask(log2)) | rights,
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
	uint64_t phys = leaf_output(leaf, level, page_shift, work->ipa), rights = second_rights(state, work, leaf);
	uint64_t geometry = line_geometry(page_shift, level), keep = work->flags & SMM_F_UNCACHED;

	if (never_cached(state, leaf, level))
		work->flags |= SMM_F_UNCACHED;
	tlb_fill(model, request, work->tag2 | geometry, false, log2, work->ipa, (phys & ~size_mask(log2)) | rights, work->ipa);
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
		uint64_t table = output & ~size_mask(page_shift);

		walk_fill(model, request, work->tag2, page_shift, level, work->ipa, table, 0);
		work->ss = table | (level - 1);
		request->pc = SMM_PC_SECOND;
		return;
	}
	rights = second_rights(state, work, entry);
	accessed = GET(LPAE_S2, AF, &entry);
	if (!accessed && !hardware_flags(work, true, false) && !GET(SMMU_STE, S2AFFD, work->ste)) {
		second_fault(model, request, SMMU_EVT_F_ACCESS, 0);
		return;
	}
	if (second_denies(request, work, rights)) {
		second_fault(model, request, SMMU_EVT_F_PERMISSION, 0);
		return;
	}
	clean = (rights & SMM_CLEAN2) && second_writes(work, rights);
	if ((!accessed && hardware_flags(work, true, false)) || clean) {
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
	uint64_t address = second_entry_at(state, work), rights = second_rights(state, work, work->pte), entry = work->pte;
	int ret;

	SET(LPAE_S2, AF, &entry, 1);
	if ((rights & SMM_CLEAN2) && second_writes(work, rights))
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
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[2 * LEAF_SIZES];
	uint64_t line[LINE_WORDS_MAX], bits = second_bits(work), bytes;
	unsigned start = second_start(state, work), page_shift = second_shift(state, work), n;

	if (work->ipa >> bits) {
		second_fault(model, request, SMMU_EVT_F_TRANSLATION, 0);
		return;
	}
	n = probe_leaves(state, lane, work->tag2, false, work->ipa, probes);
	switch (tlb_look_up(model, request, probes, n, work->ipa, line)) {
	case CONFLICT:
		second_fault(model, request, SMMU_EVT_F_TLB_CONFLICT, 0);
		return;
	case HIT:
		if (second_denies(request, work, line[2] & SMM_RIGHTS)) {
			second_fault(model, request, SMMU_EVT_F_PERMISSION, 0);
			return;
		}
		/* The first write to a page is walked for, because of its dirty state. */
		if (!(line[2] & SMM_CLEAN2) || !second_writes(work, line[2])) {
			uint64_t log2 = line[1] & LINE_LOG2;

			second_done(model, request, (line[2] & SMM_ADDR) | (work->ipa & size_mask(log2)), log2, line[2] & SMM_RIGHTS,
				    line[0] & (SMM_LINE_TG | SMM_LINE_TTL));
			return;
		}
		break;
	default:
		break;
	}
	if (walk_look_up(model, request, work->tag2, page_shift, start, work->ipa, line)) {
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
	uint64_t index = (work->iova & size_mask(first_bits(work))) >> lpae_shift(page_shift, level);

	if (level != first_start(state, work))
		index &= size_mask(lpae_index_bits(page_shift));
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
	uint64_t log2 = line[1] & LINE_LOG2, offset = work->iova & size_mask(log2), rights = line[2] & SMM_RIGHTS;

	if (denied(request, work, may_first(work, rights))) {
		first_fault(model, request, SMMU_EVT_F_PERMISSION);
		return;
	}
	work->ipa = line[3] | offset;
	if (denied(request, work, may_second(work, rights))) {
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
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[2 * LEAF_SIZES];
	uint64_t line[LINE_WORDS_MAX], bytes, ttb;
	unsigned page_shift, start, n = probe_leaves(state, lane, work->tag, GET(SMMU_CD, ASET, work->cd), work->iova, probes);
	bool high = work->flags & SMM_F_TTB1;
	const struct smm_fault conflict = { .code = SMMU_EVT_F_TLB_CONFLICT };

	switch (tlb_look_up(model, request, probes, n, work->iova, line)) {
	case CONFLICT:
		smm_fault(model, request, &conflict);
		return;
	case HIT:
		/* The first write to a page is walked for, because of its dirty state. */
		if (!(line[2] & (SMM_CLEAN1 | SMM_CLEAN2)) || !first_writes(work, line[2])) {
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
	if (walk_look_up(model, request, work->tag, page_shift, start, work->iova, line)) {
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
	uint64_t output = leaf_output(leaf, level, page_shift, work->iova), rights = first_rights(work, leaf);
	bool global = !GET(LPAE_S1, NG, &leaf) && smm_world(work) != SMM_CLASS_EL2;

	if (never_cached(state, leaf, level))
		work->flags |= SMM_F_UNCACHED;
	work->at = 0;
	work->table = 0;
	work->flags &= ~SMM_F_TRIES;
	work->rights = rights | log2 << SMM_LOG2_LSB;
	if (smm_nested(work)) {
		/* Kept for the combined line: whether it is global, and, above, the leaf's geometry. */
		work->limits = (global ? SMM_LINE_GLOBAL : 0) | line_geometry(page_shift, level) << 32;
		smm_second_stage(model, request, output, SMM_FOR_ACCESS);
		return;
	}
	rights |= SMM_S2_RIGHTS;
	tlb_fill(model, request, work->tag | line_geometry(page_shift, level), global, log2, work->iova,
		 (output & ~size_mask(log2)) | rights, output);
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
		uint64_t table = output & ~size_mask(page_shift);

		work->limits |= table_limits(state, work, entry);
		walk_fill(model, request, work->tag, page_shift, level, work->iova, table, work->limits);
		first_descend(model, request, table, level - 1);
		return;
	}
	rights = first_rights(work, entry);
	accessed = GET(LPAE_S1, AF, &entry);
	if (!accessed && !hardware_flags(work, false, false) && !GET(SMMU_CD, AFFD, work->cd)) {
		first_fault(model, request, SMMU_EVT_F_ACCESS);
		return;
	}
	if (denied(request, work, may_first(work, rights))) {
		first_fault(model, request, SMMU_EVT_F_PERMISSION);
		return;
	}
	clean = (rights & SMM_CLEAN1) && first_writes(work, rights);
	if ((!accessed && hardware_flags(work, false, false)) || clean) {
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
	uint64_t rights = first_rights(work, work->pte), entry = work->pte;
	int ret;

	SET(LPAE_S1, AF, &entry, 1);
	if ((rights & SMM_CLEAN1) && first_writes(work, rights))
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
