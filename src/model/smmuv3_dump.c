/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* smmuv3_dump.c - the caches as text. */
#include "smmuv3_state.h"

struct dump {
	void (*print)(void *ctx, const char *line);
	void *ctx;
};

static uint64_t field(uint64_t tag, uint64_t mask)
{
	return (tag & mask) / (mask & -mask);
}

static void tlb_text(struct model_text *text, uint64_t tag)
{
	static const char *const worlds[8] = { " el1", " el2", " el2-e2h", " stage-2", "?", "?", "?", "?" };
	uint64_t class = field(tag, TAG_CLASS);

	model_text(text, worlds[class]);
	if (class == SMM_CLASS_EL1 || class == SMM_CLASS_S2)
		model_text_hex(text, " vmid ", field(tag, TAG_DOMAIN));
	if (tag & SMM_LINE_GLOBAL)
		model_text(text, tag & SMM_LINE_ASET ? " global, private" : " global");
	else if (class == SMM_CLASS_EL1 || class == SMM_CLASS_E2H)
		model_text_hex(text, " asid ", field(tag, TAG_PASID));
}

static void line_text(const struct smm_state *state, const struct model_cache *cache, const char *name, uint32_t lane,
		      const uint64_t *line, const struct dump *dump)
{
	struct model_text text = { .length = 0 };
	uint64_t tag = line[0];

	model_text(&text, name);
	model_text_hex(&text, " lane ", lane);
	if (cache == &state->tlb || cache == &state->walk) {
		tlb_text(&text, tag);
	} else {
		model_text_hex(&text, " stream ", (tag & TAG_SOURCE) | (tag >> TAG_DOMAIN_LSB & 0xff) << 16);
		if (cache == &state->cd || (cache == &state->devtlb && (tag & SMM_LINE_HAS_SSID)))
			model_text_hex(&text, " substream ", field(tag, TAG_PASID));
	}
	if (cache == &state->ste || cache == &state->cd) {
		if (field(tag, TAG_LEVEL))
			model_text(&text, " level 1");
		else if (tag & SMM_LINE_RESERVED)
			model_text(&text, " reserved bits");
		for (unsigned i = 1; i < cache->words && (i < 2 || !field(tag, TAG_LEVEL)); i++)
			model_text_hex(&text, " ", line[i]);
	} else {
		model_text_hex(&text, " address ", line[1] & ~LINE_LOG2);
		model_text_hex(&text, " size ", 1ull << (line[1] & LINE_LOG2));
		model_text_hex(&text, cache == &state->walk ? " table " : " page ", line[2] & SMM_ADDR);
		model_text_hex(&text, " rights ", line[2] & SMM_RIGHTS);
	}
	dump->print(dump->ctx, text.line);
}

static void dump_cache(const struct smm_state *state, const struct model_cache *cache, const char *name, const struct dump *dump)
{
	for (uint32_t i = 0; i < state->common.lanes; i++) {
		const uint64_t *lane = (const uint64_t *)(const void *)model_lane(&state->common, i);

		for (uint64_t n = 0; n < cache->lines; n++) {
			uint64_t line[LINE_WORDS_MAX];

			for (uint64_t w = 0; w < cache->words; w++)
				line[w] = word_load(lane + cache->first + n * cache->words + w);
			if (line[0] & TAG_VALID)
				line_text(state, cache, name, i, line, dump);
		}
	}
}

void smm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx)
{
	const struct smm_state *state = smm_state(model);
	const struct dump dump = { print, ctx };

	dump_cache(state, &state->ste, "stream-table", &dump);
	dump_cache(state, &state->cd, "context", &dump);
	dump_cache(state, &state->walk, "walk", &dump);
	dump_cache(state, &state->tlb, "tlb", &dump);
	dump_cache(state, &state->devtlb, "devtlb", &dump);
}
