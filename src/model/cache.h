/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * cache.h - flat caches: lines of a few 64-bit words, of which the first is the tag. An invalid line is all zero.
 *
 * A tag's fields have the same places in every cache of every architecture, so one kind of scope describes what an invalidation
 * removes from any of them. If a line is about an input address, that is its second word, and the tag's level says
 * how much of it the line covers; or, for an architecture with more sizes than that, the low bits of the second word do.
 *
 * Normal: set-associative. A lane's lines are read and filled by the lane's thread, and cleared by whoever invalidates: the
 * reader looks at the tag, the rest, and the tag again. Whoever changes a line takes its tag first (LINE_TAKEN), so nobody
 * ever writes into another's line.
 *
 * May-sets: a set of all lines that may be there, sorted, without evictions; a look-up chooses among all that match and a miss.
 * One thread only.
 */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include "lanes.h"

#define TAG_VALID (1ull << 63)
#define TAG_CLASS_LSB 60
#define TAG_CLASS (7ull << TAG_CLASS_LSB)	/* the kind of translation, by architecture */
#define TAG_LEVEL_LSB 57
#define TAG_LEVEL (7ull << TAG_LEVEL_LSB)	/* n: the line covers 2^(12 + 9 * (n - 1)) bytes */
#define TAG_ABSENT (1ull << 56)			/* what is cached is that there is nothing */
#define TAG_FLAGS_LSB 52
#define TAG_FLAGS (15ull << TAG_FLAGS_LSB)
#define TAG_DOMAIN_LSB 36
#define TAG_DOMAIN (0xffffull << TAG_DOMAIN_LSB)
#define TAG_PASID_LSB 16
#define TAG_PASID (0xfffffull << TAG_PASID_LSB)
#define TAG_SOURCE (0xffffull)

#define LINE_TAKEN 1ull				/* not a valid tag, and not free */
#define LINE_LOG2 0x3full			/* of the second word, with 3 keys: log2 of the bytes covered */
#define LINE_WORDS_MAX 8			/* and at least 3 */

struct model_cache {
	uint64_t first;		/* word, from the lane's start */
	uint64_t words;		/* of a line */
	uint64_t lines;
	uint64_t ways;
	uint64_t sets;
	uint64_t keys;		/* 1: the tag alone tells lines apart; 2: with the second word; 3: whose LINE_LOG2 is the size */
	uint64_t gen;		/* enum model_gen */
	uint64_t unused;
};

/* What a look-up looks for: (tag & mask) == tag, and the second word, if the cache's lines have an address. */
struct model_probe {
	uint64_t mask;
	uint64_t tag;
	uint64_t address;
};

/* What an invalidation removes: (line's tag & mask) == tag, and if `first` <= `last` lines have an address, that within it. */
struct model_scope {
	uint64_t mask;
	uint64_t tag;
	uint64_t first;
	uint64_t last;
};

static inline uint64_t tag_size(uint64_t tag)
{
	unsigned level = (unsigned)((tag & TAG_LEVEL) >> TAG_LEVEL_LSB);

	return level ? 1ull << (12 + 9 * (level - 1)) : 1;
}

static inline bool model_scope_matches(const struct model_scope *scope, bool addressed, uint64_t tag, uint64_t address)
{
	if ((tag & scope->mask) != scope->tag)
		return false;
	return !addressed || (address <= scope->last && address + (tag_size(tag) - 1) >= scope->first);
}

/* The same for a line of `cache`. */
static inline bool model_line_matches(const struct model_cache *cache, const struct model_scope *scope, uint64_t tag,
				      uint64_t second)
{
	uint64_t first = second & ~LINE_LOG2, size = 1ull << (second & LINE_LOG2);

	if (cache->keys != 3)
		return model_scope_matches(scope, cache->keys == 2, tag, second);
	return (tag & scope->mask) == scope->tag && first <= scope->last && first + (size - 1) >= scope->first;
}

/* `bits`: what of the tag decides on the set. */
static inline uint64_t *model_cache_set(const struct model_cache *cache, struct model_lane *lane, uint64_t bits,
					uint64_t address)
{
	uint64_t hash = (bits ^ address >> 12) * 0x9e3779b97f4a7c15ull;
	uint64_t set = hash >> 32 & (cache->sets - 1);

	return (uint64_t *)(void *)lane + cache->first + set * cache->ways * cache->words;
}

/* A look-up in one set. False: not there, or a moment ago invalidated. */
static inline bool model_cache_hit(const struct model_cache *cache, struct model_lane *lane, const struct model_probe *probe,
				   uint64_t *line)
{
	const uint64_t *at = model_cache_set(cache, lane, probe->tag, probe->address);

	for (uint64_t way = 0; way < cache->ways; way++, at += cache->words) {
		uint64_t tag = word_load(at);

		if ((tag & probe->mask) != probe->tag)
			continue;
		line[0] = tag;
		line[1] = word_load(at + 1);
		line[2] = word_load(at + 2);
		if (cache->words > 3)
			line[3] = word_load(at + 3);
		for (uint64_t i = 4; i < cache->words; i++)
			line[i] = word_load(at + i);
		if (cache->keys > 1 && line[1] != probe->address)
			continue;
		if (word_load(at) == tag)
			return true;
	}
	return false;
}

uint64_t model_cache_init(struct model_cache *cache, uint64_t first, uint64_t lines, uint64_t words, uint64_t keys,
			  enum model_gen gen, bool maysets);

bool model_cache_choose(const struct model_common *common, const struct iommu_model_port *port,
			const struct model_cache *cache, struct model_lane *lane, const struct model_probe *probes,
			unsigned nprobes, uint64_t *line);

/* The first of the probes that hits (in a model with may-sets and a chooser: any); false: a miss. */
static inline bool model_cache_look_up(const struct model_common *common, const struct iommu_model_port *port,
				       const struct model_cache *cache, struct model_lane *lane,
				       const struct model_probe *probes, unsigned nprobes, uint64_t *line)
{
	if (common->maysets || port->choose)
		return model_cache_choose(common, port, cache, lane, probes, nprobes, line);
	for (unsigned p = 0; p < nprobes; p++) {
		if (model_cache_hit(cache, lane, &probes[p], line))
			return true;
	}
	return false;
}

/* The n-th, from 0, of all the lines that match, for who must know of every one. False: there are no more. */
bool model_cache_match(const struct model_common *common, const struct model_cache *cache, struct model_lane *lane,
		       const struct model_probe *probes, unsigned nprobes, unsigned n, uint64_t *line);

/* Init: the unit's caches are the `n` from `first` on, all within its state. */
static inline void model_caches_are(struct model_common *common, const struct model_cache *first, uint64_t n)
{
	common->cache_first = (uint64_t)((const uint64_t *)(const void *)first - (const uint64_t *)(const void *)common);
	common->caches = n;
}

/* May-sets: are all lines of `less`, a state of the same configuration, in `more`, too? */
bool model_caches_cover(const struct model_common *more, const struct model_common *less);

/* Puts a line in, in the place of one that `mask` (of the tag) and the address can't tell from it. */
void model_cache_fill(struct model_common *common, const struct model_cache *cache, struct model_lane *lane, uint64_t mask,
		      const uint64_t *line, const uint64_t gens[2]);

/* Removes every line of every lane that one of the scopes matches. Between two model_gen_turn()s. */
void model_cache_drop(struct model_common *common, const struct model_cache *cache, const struct model_scope *scopes,
		      unsigned nscopes);

#endif
