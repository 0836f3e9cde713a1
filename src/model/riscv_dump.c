/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* riscv_dump.c - the caches as text. */
#include "riscv_state.h"

struct dump {
	void (*print)(void *ctx, const char *line);
	void *ctx;
};

static uint64_t field(uint64_t tag, uint64_t mask)
{
	return (tag & mask) / (mask & -mask);
}

static uint64_t device_of(uint64_t tag)
{
	return (tag & TAG_SOURCE) | (tag >> TAG_DOMAIN_LSB & 0xff) << 16;
}

static void ioatc_text(struct model_text *text, uint64_t tag)
{
	static const char *const classes[8] = { " first-stage", " second-stage", " MSI", "?", "?", "?", "?", "?" };

	model_text(text, classes[field(tag, TAG_CLASS)]);
	if (tag & RVM_LINE_GUEST)
		model_text_hex(text, " gscid ", field(tag, TAG_DOMAIN));
	if (tag & RVM_LINE_GLOBAL)
		model_text(text, " global");
	else if (field(tag, TAG_CLASS) == RVM_CLASS_FIRST)
		model_text_hex(text, " pscid ", field(tag, TAG_PASID));
	if (tag & RVM_LINE_NAPOT)
		model_text(text, " napot");
}

static void line_text(const struct rvm_state *state, const struct model_cache *cache, const char *name, uint32_t lane,
		      const uint64_t *line, const struct dump *dump)
{
	struct model_text text = { .length = 0 };
	uint64_t tag = line[0];
	bool pointer = cache == &state->pdt && field(tag, TAG_CLASS) == RVM_CLASS_POINTER;

	model_text(&text, name);
	model_text_hex(&text, " lane ", lane);
	if (cache == &state->iotlb || cache == &state->walk) {
		ioatc_text(&text, tag);
	} else {
		model_text_hex(&text, " device ", device_of(tag));
		if ((cache == &state->pdt && (!pointer || (tag & RVM_LINE_LEAF))) ||
		    (cache == &state->devtlb && (tag & RVM_LINE_HAS_PID)))
			model_text_hex(&text, " process ", field(tag, TAG_PASID));
	}
	if (pointer) {
		model_text_hex(&text, " guest page ", line[1]);
		model_text_hex(&text, " page ", line[2]);
	} else if (cache == &state->ddt || cache == &state->pdt) {
		if (field(tag, TAG_LEVEL))
			model_text_hex(&text, " level ", field(tag, TAG_LEVEL));
		if (tag & TAG_ABSENT)
			model_text(&text, " not valid");
		for (unsigned i = cache == &state->pdt ? 2 : 1; i < cache->words && i < 5 && !(tag & TAG_ABSENT); i++)
			model_text_hex(&text, " ", line[i]);
	} else {
		model_text_hex(&text, " address ", line[1]);
		model_text_hex(&text, " size ", tag_size(tag));
		model_text_hex(&text, cache == &state->walk ? " table " : " page ", line[2] & RVM_ADDR);
		model_text_hex(&text, " rights ", line[2] & 0xfff);
	}
	dump->print(dump->ctx, text.line);
}

static void dump_cache(const struct rvm_state *state, const struct model_cache *cache, const char *name, const struct dump *dump)
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

void rvm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx)
{
	const struct rvm_state *state = rvm_state(model);
	const struct dump dump = { print, ctx };

	dump_cache(state, &state->ddt, "device-directory", &dump);
	dump_cache(state, &state->pdt, "process-directory", &dump);
	dump_cache(state, &state->walk, "walk", &dump);
	dump_cache(state, &state->iotlb, "ioatc", &dump);
	dump_cache(state, &state->devtlb, "devtlb", &dump);
}
