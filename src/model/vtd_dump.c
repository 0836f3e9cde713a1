/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vtd_dump.c - the caches as text. */
#include "vtd_state.h"

struct dump {
	void (*print)(void *ctx, const char *line);
	void *ctx;
};

static const char *const class_names[8] = {
	"second-stage", "legacy pass-through", "?", "?", "first-stage", "nested", "pass-through", "?"
};

static uint64_t field(uint64_t tag, uint64_t mask)
{
	return (tag & mask) / (mask & -mask);
}

static void line_text(const struct vtdm_state *state, const struct model_cache *cache, const char *name, uint32_t lane,
		      const uint64_t *line, const struct dump *dump)
{
	struct model_text text = { .length = 0 };
	uint64_t tag = line[0];

	model_text(&text, name);
	model_text_hex(&text, " lane ", lane);
	if (cache == &state->context || cache == &state->pasid || cache == &state->devtlb)
		model_text_hex(&text, " sid ", field(tag, TAG_SOURCE));
	if (cache == &state->pasid || (cache == &state->devtlb && (tag & VTDM_LINE_HAS_PASID)) ||
	    (cache->keys == 2 && (tag & VTDM_CLASS_BY_PASID)))
		model_text_hex(&text, " pasid ", field(tag, TAG_PASID));
	if (cache != &state->devtlb && !(cache == &state->context && (tag & VTDM_LINE_SCALABLE)))
		model_text_hex(&text, " did ", field(tag, TAG_DOMAIN));
	if (cache->keys == 2) {
		if (cache != &state->devtlb) {
			model_text(&text, " ");
			model_text(&text, class_names[field(tag, TAG_CLASS)]);
		}
		model_text_hex(&text, " iova ", line[1]);
		model_text_hex(&text, " size ", tag_size(tag));
		if (!(tag & TAG_ABSENT)) {
			model_text_hex(&text, cache == &state->walk ? " table " : " page ", line[2] & VTDM_ADDR);
			model_text_hex(&text, " rights ", line[2] & ~VTDM_ADDR);
		}
	} else if (!(tag & TAG_ABSENT)) {
		model_text(&text, " entry");
		for (unsigned i = 1; i < (cache == &state->pasid ? 4 : 3); i++)
			model_text_hex(&text, " ", line[i]);
	}
	if (tag & TAG_ABSENT)
		model_text_hex(&text, " absent, fault ", cache->keys == 2 ? line[2] : line[1]);
	dump->print(dump->ctx, text.line);
}

static void dump_cache(const struct vtdm_state *state, const struct model_cache *cache, const char *name, const struct dump *dump)
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

void vtdm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx)
{
	const struct vtdm_state *state = vtdm_state(model);
	const struct dump dump = { print, ctx };

	dump_cache(state, &state->context, "context", &dump);
	dump_cache(state, &state->pasid, "pasid", &dump);
	dump_cache(state, &state->walk, "walk", &dump);
	dump_cache(state, &state->iotlb, "iotlb", &dump);
	dump_cache(state, &state->devtlb, "devtlb", &dump);
}
