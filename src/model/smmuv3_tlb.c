/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_tlb.c - the TLB: leaves of one stage or of both, and pointers to tables (3.17, 3.20, 3.21.1).
 */
#include "smmuv3_state.h"

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
		uint64_t at = (address & ~smm_size_mask(leaf_sizes[i])) | leaf_sizes[i];

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
	uint64_t size_a = smm_size_mask(a[1] & LINE_LOG2), size_b = smm_size_mask(b[1] & LINE_LOG2);
	const uint64_t flags = SMM_CLEAN1 | SMM_CLEAN2;

	if (((a[2] & SMM_ADDR) | (address & size_a)) != ((b[2] & SMM_ADDR) | (address & size_b)) ||
	    ((a[2] ^ b[2]) & SMM_RIGHTS & ~flags))
		return true;
	/* Of one level, the contiguous bit makes the difference, or a second stage. */
	return ((a[0] ^ b[0]) & (SMM_LINE_TG | SMM_LINE_TTL)) && GET(SMMU_IDR3, BBML, &state->idr3) < 2;
}

/*
 * 3.20.1: several lines that disagree are a conflict, which a unit may notice, or not; then any may be used. The first choice is
 * that it does.
 */
enum smm_looked_up smm_tlb_look_up(const struct iommu_model *model, const struct iommu_request *request, uint64_t tag, bool aset,
				   uint64_t address, uint64_t *line)
{
	struct smm_state *state = smm_state(model);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[2 * LEAF_SIZES];
	unsigned nprobes = probe_leaves(state, lane, tag, aset, address, probes);
	unsigned may_miss = smm_free(state, IOMMU_FREE_MISS) ? 1 : 0, n, choice;
	uint64_t other[LINE_WORDS_MAX];
	bool conflict = false;

	if (!smm_free(state, IOMMU_FREE_MULTI))
		return model_cache_look_up(&state->common, model->port, &state->tlb, lane, probes, nprobes, line) ? SMM_HIT : SMM_MISS;
	if (!model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, 0, line))
		return SMM_MISS;
	for (n = 1; model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, n, other); n++)
		conflict |= disagree(state, line, other, address);
	if (conflict) {
		choice = (unsigned)smm_choice(model, IOMMU_FREE_MULTI, 1 + n + may_miss);
		if (choice == 0)
			return SMM_CONFLICT;
		choice--;
	} else {
		if (smm_choice(model, IOMMU_FREE_MISS, 2))
			return SMM_MISS;
		choice = (unsigned)smm_choice(model, IOMMU_FREE_MULTI, n);
	}
	return model_cache_match(&state->common, &state->tlb, lane, probes, nprobes, choice, line) ? SMM_HIT : SMM_MISS;
}

/* `word`: address and rights; `ipa`: of a combined line. */
void smm_tlb_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, bool global, uint64_t log2,
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
	line[1] = (address & ~smm_size_mask(log2)) | log2;
	line[2] = word;
	line[3] = ipa & ~smm_size_mask(log2);
	if (!state->common.maysets)
		lane->sizes |= seen_bit(line[0], log2);
	model_cache_fill(&state->common, &state->tlb, lane, global ? KEY_GLOBAL : KEY_LOCAL, line, work->gens);
}

void smm_walk_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift,
		      uint64_t level, uint64_t address, uint64_t table, uint64_t limits)
{
	struct smm_state *state = smm_state(model);
	uint64_t line[LINE_WORDS_MAX] = { 0 }, log2 = lpae_shift(page_shift, (unsigned)level);

	line[0] = tag | smm_line_geometry(page_shift, level);
	line[1] = (address & ~smm_size_mask(log2)) | log2;
	line[2] = table | limits;
	model_cache_fill(&state->common, &state->walk, model_lane(&state->common, request->lane), WALK_KEY, line,
			 smm_work(request)->gens);
}

/* The nearest table to the leaf that is known, below a start at level `start`. False: none. */
bool smm_walk_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift,
			 unsigned start, uint64_t address, uint64_t *line)
{
	struct smm_state *state = smm_state(model);
	struct model_probe probes[4];
	unsigned n = 0;

	for (unsigned level = 1; level <= start; level++) {
		uint64_t log2 = lpae_shift(page_shift, level);

		probes[n++] = (struct model_probe){ WALK_KEY, (tag & WALK_KEY & ~(SMM_LINE_TG | SMM_LINE_TTL)) |
							      smm_line_geometry(page_shift, level),
						    (address & ~smm_size_mask(log2)) | log2 };
	}
	return model_cache_look_up(&state->common, model->port, &state->walk, model_lane(&state->common, request->lane), probes, n,
				   line);
}
