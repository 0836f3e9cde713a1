/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* amdvi_dump.c - the caches as text. */
#include "amdvi_state.h"

struct dump {
	void (*print)(void *ctx, const char *line);
	void *ctx;
};

static uint64_t field(uint64_t tag, uint64_t mask)
{
	return (tag & mask) / (mask & -mask);
}

static void line_text(const struct amdvim_state *state, const struct model_cache *cache, const char *name, uint32_t lane,
		      const uint64_t *line, const struct dump *dump)
{
	struct model_text text = { .length = 0 };
	uint64_t tag = line[0];

	model_text(&text, name);
	model_text_hex(&text, " lane ", lane);
	if (cache == &state->dte || cache == &state->devtlb)
		model_text_hex(&text, " device ", field(tag, TAG_SOURCE));
	else
		model_text_hex(&text, " domain ", field(tag, TAG_DOMAIN));
	if (cache == &state->devtlb ? (tag & AMDVIM_LINE_HAS_PASID) != 0 : (tag & AMDVIM_CLASS_BY_PASID) != 0)
		model_text_hex(&text, " pasid ", field(tag, TAG_PASID));
	if (cache->keys == 2) {
		if (field(tag, TAG_CLASS) == AMDVIM_CLASS_NESTED)
			model_text(&text, " nested");
		model_text_hex(&text, " iova ", line[1]);
		model_text_hex(&text, " size ", tag_size(tag));
		if (tag & TAG_ABSENT) {
			model_text(&text, " absent");
		} else {
			model_text_hex(&text, cache == &state->walk ? " table " : " page ", line[2] & AMDVIM_ADDR);
			model_text_hex(&text, " rights ", line[2] & AMDVIM_RIGHTS);
			if (cache == &state->walk)
				model_text_hex(&text, " level ", field(line[2], AMDVIM_LINE_SIZE));
		}
	} else {
		model_text(&text, " entry");
		for (unsigned i = 1; i < cache->words; i++)
			model_text_hex(&text, " ", line[i]);
	}
	dump->print(dump->ctx, text.line);
}

static void dump_cache(const struct amdvim_state *state, const struct model_cache *cache, const char *name,
		       const struct dump *dump)
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

void amdvim_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx)
{
	const struct amdvim_state *state = amdvim_state(model);
	const struct dump dump = { print, ctx };

	dump_cache(state, &state->dte, "dte", &dump);
	dump_cache(state, &state->gcr3, "gcr3", &dump);
	dump_cache(state, &state->walk, "walk", &dump);
	dump_cache(state, &state->iotlb, "iotlb", &dump);
	dump_cache(state, &state->devtlb, "devtlb", &dump);
}
