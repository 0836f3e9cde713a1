/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "cache.h"

uint64_t model_cache_init(struct model_cache *cache, uint64_t first, uint64_t lines, uint64_t words, uint64_t keys,
			  enum model_gen gen, bool maysets)
{
	cache->first = first;
	cache->words = words;
	cache->lines = lines;
	cache->ways = maysets ? lines : lines < 4 ? lines : 4;
	cache->sets = lines / cache->ways;
	cache->keys = keys;
	cache->gen = gen;
	return first + lines * words;
}

static uint64_t *line_at(const struct model_cache *cache, struct model_lane *lane, uint64_t i)
{
	return (uint64_t *)(void *)lane + cache->first + i * cache->words;
}

static bool probe_matches(const struct model_cache *cache, const struct model_probe *probe, const uint64_t *line)
{
	return (line[0] & probe->mask) == probe->tag && (cache->keys < 2 || line[1] == probe->address);
}

/* May-sets: the n-th line, from 0, that a probe matches; n = -1: how many there are. */
static unsigned nth_match(const struct model_cache *cache, struct model_lane *lane, const struct model_probe *probes,
			  unsigned nprobes, unsigned n, uint64_t **found)
{
	unsigned count = 0;

	for (uint64_t i = 0; i < cache->lines; i++) {
		uint64_t *line = line_at(cache, lane, i);

		if (!line[0])
			break;
		for (unsigned p = 0; p < nprobes; p++) {
			if (!probe_matches(cache, &probes[p], line))
				continue;
			if (count++ == n)
				*found = line;
			break;
		}
	}
	return count;
}

static bool look_up_mayset(const struct model_common *common, const struct iommu_model_port *port,
			   const struct model_cache *cache, struct model_lane *lane, const struct model_probe *probes,
			   unsigned nprobes, uint64_t *line)
{
	uint64_t *found = NULL;
	unsigned matches = nth_match(cache, lane, probes, nprobes, ~0u, &found);
	unsigned may_miss = (common->freedoms & IOMMU_FREE_BIT(IOMMU_FREE_MISS)) ? 1 : 0;
	unsigned choice;

	if (!matches)
		return false;
	if (matches > 1 && (common->freedoms & IOMMU_FREE_BIT(IOMMU_FREE_MULTI)))
		choice = model_choose(port, common->freedoms, IOMMU_FREE_MULTI, matches + may_miss);
	else if (model_choose(port, common->freedoms, IOMMU_FREE_MISS, 2))
		choice = matches;
	else
		choice = 0;
	if (choice >= matches)
		return false;
	nth_match(cache, lane, probes, nprobes, choice, &found);
	for (uint64_t i = 0; i < cache->words; i++)
		line[i] = found[i];
	return true;
}

bool model_cache_choose(const struct model_common *common, const struct iommu_model_port *port,
			const struct model_cache *cache, struct model_lane *lane, const struct model_probe *probes,
			unsigned nprobes, uint64_t *line)
{
	if (common->maysets)
		return look_up_mayset(common, port, cache, lane, probes, nprobes, line);
	for (unsigned p = 0; p < nprobes; p++) {
		if (model_cache_hit(cache, lane, &probes[p], line))
			return !model_choose(port, common->freedoms, IOMMU_FREE_MISS, 2);
	}
	return false;
}

bool model_cache_match(const struct model_common *common, const struct model_cache *cache, struct model_lane *lane,
		       const struct model_probe *probes, unsigned nprobes, unsigned n, uint64_t *line)
{
	uint64_t *found = NULL;

	if (common->maysets) {
		if (nth_match(cache, lane, probes, nprobes, n, &found) <= n)
			return false;
		for (uint64_t i = 0; i < cache->words; i++)
			line[i] = found[i];
		return true;
	}
	for (unsigned p = 0; p < nprobes; p++) {
		if (model_cache_hit(cache, lane, &probes[p], line) && n-- == 0)
			return true;
	}
	return false;
}

static int compare_lines(const uint64_t *a, const uint64_t *b, uint64_t words)
{
	for (uint64_t i = 0; i < words; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

static void fill_mayset(struct model_common *common, const struct model_cache *cache, struct model_lane *lane,
			const uint64_t *line)
{
	uint64_t place = 0;
	uint64_t end;

	for (; place < cache->lines; place++) {
		uint64_t *at = line_at(cache, lane, place);
		int order = at[0] ? compare_lines(at, line, cache->words) : 1;

		if (order == 0)
			return;
		if (order > 0)
			break;
	}
	for (end = place; end < cache->lines && *line_at(cache, lane, end); end++)
		;
	if (end == cache->lines) {
		common->overflow = 1;
		return;
	}
	for (uint64_t i = end; i > place; i--)
		memcpy(line_at(cache, lane, i), line_at(cache, lane, i - 1), cache->words * sizeof(uint64_t));
	memcpy(line_at(cache, lane, place), line, cache->words * sizeof(uint64_t));
	common->filled = 1;
}

void model_cache_fill(struct model_common *common, const struct model_cache *cache, struct model_lane *lane, uint64_t mask,
		      const uint64_t *line, const uint64_t gens[2])
{
	const struct model_probe same = { mask, line[0] & mask, cache->keys > 1 ? line[1] : 0 };
	uint64_t *set, *at = NULL;
	uint64_t old = 0;

	if (!(common->freedoms & IOMMU_FREE_BIT(IOMMU_FREE_KEEP)))
		return;
	if (common->maysets) {
		fill_mayset(common, cache, lane, line);
		return;
	}
	if (!model_gen_current(common, gens, (enum model_gen)cache->gen))
		return;
	/* The line that this one replaces; or else a free one; or else the next victim. */
	set = model_cache_set(cache, lane, same.tag, same.address);
	for (uint64_t way = 0; way < cache->ways; way++) {
		uint64_t *candidate = set + way * cache->words;
		uint64_t tag = word_load(candidate);

		if ((tag & mask) == same.tag && (cache->keys < 2 || word_load(candidate + 1) == same.address)) {
			at = candidate;
			old = tag;
			break;
		}
		if (!tag && !at) {
			at = candidate;
			old = 0;
		}
	}
	if (!at) {
		at = set + lane->victim++ % cache->ways * cache->words;
		old = word_load(at);
	}
	if (old == LINE_TAKEN || !word_replace(at, old, LINE_TAKEN))
		return; /* it is being invalidated at this moment: then this fill just doesn't happen */
	for (uint64_t i = 1; i < cache->words; i++)
		word_store(at + i, line[i]);
	word_store_sc(at, line[0]);
	if (!model_gen_current(common, gens, (enum model_gen)cache->gen) && word_replace(at, line[0], LINE_TAKEN)) {
		for (uint64_t i = 1; i < cache->words; i++)
			word_store(at + i, 0);
		word_store(at, 0);
	}
}

/* Both are sorted, and what is free comes last. */
static bool cache_covers(const struct model_cache *cache, const uint64_t *more, const uint64_t *less)
{
	uint64_t words = cache->words, m = 0;

	for (uint64_t i = 0; i < cache->lines && less[i * words]; i++, m++) {
		while (m < cache->lines && more[m * words] && compare_lines(more + m * words, less + i * words, words) < 0)
			m++;
		if (m == cache->lines || !more[m * words] || compare_lines(more + m * words, less + i * words, words) != 0)
			return false;
	}
	return true;
}

bool model_caches_cover(const struct model_common *more, const struct model_common *less)
{
	const struct model_cache *cache = (const struct model_cache *)(const void *)((const uint64_t *)(const void *)more + more->cache_first);
	const uint64_t *a = (const uint64_t *)(const void *)more + more->lane_first;
	const uint64_t *b = (const uint64_t *)(const void *)less + less->lane_first;

	for (uint64_t i = 0; i < more->caches; i++) {
		if (!cache_covers(&cache[i], a + cache[i].first, b + cache[i].first))
			return false;
	}
	return true;
}

static bool dropped(const struct model_cache *cache, const struct model_scope *scopes, unsigned nscopes, uint64_t tag,
		    uint64_t address)
{
	for (unsigned i = 0; i < nscopes; i++) {
		if (model_line_matches(cache, &scopes[i], tag, address))
			return true;
	}
	return false;
}

static void drop_mayset(const struct model_cache *cache, struct model_lane *lane, const struct model_scope *scopes,
			unsigned nscopes)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < cache->lines; i++) {
		uint64_t *line = line_at(cache, lane, i);

		if (!line[0])
			break;
		if (dropped(cache, scopes, nscopes, line[0], line[1])) {
			memset(line, 0, cache->words * sizeof(uint64_t));
			continue;
		}
		if (kept != i) {
			memcpy(line_at(cache, lane, kept), line, cache->words * sizeof(uint64_t));
			memset(line, 0, cache->words * sizeof(uint64_t));
		}
		kept++;
	}
}

static void drop_lines(const struct model_cache *cache, struct model_lane *lane, const struct model_scope *scopes,
		       unsigned nscopes)
{
	for (uint64_t i = 0; i < cache->lines; i++) {
		uint64_t *line = line_at(cache, lane, i);
		uint64_t tag = word_load_sc(line);
		uint64_t address;

		/* If the lane's thread replaces the line meanwhile, word_replace() fails: it replaced it by one that is newer than
		 * this invalidation, or will itself withdraw it (lanes.h). */
		if (!(tag & TAG_VALID))
			continue;
		address = word_load(line + 1);
		if (!dropped(cache, scopes, nscopes, tag, address) || !word_replace(line, tag, LINE_TAKEN))
			continue;
		for (uint64_t w = 1; w < cache->words; w++)
			word_store(line + w, 0);
		word_store(line, 0);
	}
}

void model_cache_drop(struct model_common *common, const struct model_cache *cache, const struct model_scope *scopes,
		      unsigned nscopes)
{
	if (!nscopes)
		return;
	for (uint32_t i = 0; i < common->lanes; i++) {
		if (common->maysets)
			drop_mayset(cache, model_lane(common, i), scopes, nscopes);
		else
			drop_lines(cache, model_lane(common, i), scopes, nscopes);
	}
}
