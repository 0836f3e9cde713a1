/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pt_engine.h - the page-table engine, a template: pt_X.c includes a format, fmt_X.h, and then this
 * file once.
 *
 * A table at level l has entries that each span 1 << pt_shift(l) bytes; level 0 holds the smallest
 * pages. (Formats count differently; they translate in fmt_top_level().)
 *
 * What always holds between two calls:
 *   1. an entry that is not present is 0;
 *   2. a table other than the root is linked in one place, and not empty; but for one, pt->idle;
 *   3. the entry that points to a table also holds the number of its entries that are present, in
 *      bits that hardware ignores. Where a format has too few of those, the largest numbers that there
 *      are stand for "all" and "some": then one has to look, or has kept the number elsewhere (pt_number()).
 * From 2 and 3 follows most of the rest: that a table has become empty is seen without looking
 * through it; a present entry whose whole span is asked for is an overlap, whatever is below (the
 * idle table is out of the way by then); and the bytes mapped by a table of smallest pages are known without reading it, so that a subtree is
 * unmapped in the time that its tables take, not its pages.
 *
 * Walkers look on all the time. An entry goes from one state to another in one store, and a table
 * is complete (and, for walkers that don't snoop, written back) before it is linked. Hardware may
 * set accessed and dirty flags at any time, with a compare-exchange. Where the old entry doesn't
 * matter any more (it is cleared), or the flag doesn't (A in an entry that points to a table:
 * nobody reads it), a plain store is enough: an update by the hardware that comes later finds
 * another entry than it expected, gives up, and walks again. Where the flag matters,
 * compare-exchange is used here too.
 *
 * map is all or nothing, and a map that fails must not leave tables behind that a walker has seen,
 * because those could only be freed after an invalidation. So it goes over the range twice. The
 * first time finds overlaps and builds what is missing off-line: a whole subtree per missing entry.
 * Meanwhile the subtree's entry is parked in the very slot that it is for, in a form that is not
 * present (in every format, hardware ignores the other bits of such an entry). The second time
 * cannot fail: it stores leaves and makes the parked entries present. If the first fails, the
 * parked subtrees are freed at once: no walker ever saw them.
 *
 * unmap takes out the tables within its range. The lowest table that covers the range may become empty
 * too: that one stays, idle, so that a page that is mapped and unmapped over and over, alone in its
 * table, costs no table each time. Only one is idle: the next takes its place, and it is retired,
 * with those above it that it alone kept; and so it is by a map that has no use for it.
 *
 * unmap replaces a large leaf that is partly in the range by a table that maps the rest, built
 * off-line before anything else is changed: one store takes out what goes while what stays is never
 * absent. Some hardware must not meet the large and the small leaves in its TLB together: it wants
 * the large one marked first, and invalidated (SMMUv3, BBM level 1: config.mark_split), or it has no
 * such mark, and a large leaf can only be unmapped whole (level 0: config.no_split).
 *
 * Neighbouring leaves of one mapping may form a group, which hardware caches as one large leaf
 * (config.contiguous): Arm's contiguous hint, RISC-V's NAPOT pages, AMD's pages of sizes between
 * those of the levels. All leaves of a group say so: an unmap of a part first makes the whole group
 * leaves of their own. Flags of a group would be the hardware's to set in any of its leaves, so
 * that there are none where dirty pages are recorded.
 */
#ifndef PT_ENGINE_H
#define PT_ENGINE_H

#include "pgtable.h"

/*
 * What a format provides. The compiler compares its functions with these declarations. Constants
 * first, as macros or enum:
 *   FMT_NAME, FMT_OPS	the name, and the struct iommu_pgtable_ops to define
 *   FMT_PAGE_SHIFT	smallest page
 *   FMT_TABLE_SHIFT	size of a table other than the root; an entry has 8 bytes
 *   FMT_MAX_TOP	largest value of fmt_top_level()
 *   FMT_MAX_LEAF_LEVEL	highest level that may have leaves
 *   FMT_MAX_OUTPUT_BITS	widest physical address
 *   FMT_COUNT_MAX	(enum) largest number that fmt_with_count() can keep
 *   FMT_GROWS		1: a table may get a level on top; not defined: not (and that is no code)
 */
#ifndef FMT_GROWS
#define FMT_GROWS 0
#endif

/*
 * Is config.levels one that the format has? And whatever else only the format knows; the engine
 * checks the rest.
 */
static inline bool fmt_config_ok(const struct iommu_pgtable_config *config);
/* Level of the root table. */
static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config);
/* Width of an address that can be mapped; a root entry's index is all that is left of it. */
static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config);
/* Size of the root table, which may be larger than others; aligned to its size. */
static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config);

static inline bool fmt_present(uint64_t entry);
/* Present, and points to a table at level - 1. */
static inline bool fmt_is_table(uint64_t entry, unsigned level);

/* An entry at `level` that points to the table at `phys`, and back. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level);
static inline uint64_t fmt_table_phys(uint64_t entry);
/* Such an entry as one that is not present, and not 0 either; and back. */
static inline uint64_t fmt_park(uint64_t entry);
static inline uint64_t fmt_unpark(uint64_t entry);
/*
 * The number of present entries below, kept in bits of such an entry that hardware ignores. 0 ...
 * FMT_COUNT_MAX. They may be in several places, the lower bits of the number in the lower ones.
 */
static inline unsigned fmt_count(uint64_t entry);
static inline uint64_t fmt_with_count(uint64_t entry, unsigned count);

/*
 * The bits of a leaf that don't depend on its level or address. `prot` has IOMMU_MMIO only with
 * config.memory_types. false: rights that the format can't give.
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot,
				  uint64_t *attributes);
static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes);
/* The parts of a leaf again; the attributes with the flags that hardware has set. */
static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level);
static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level);
static inline unsigned fmt_leaf_prot(uint64_t entry);
/*
 * Flags of a leaf that are the hardware's to change, the same at every level; 0 if it never does. The
 * last function: those of them that are set as long as the page is neither accessed nor dirty.
 */
static inline uint64_t fmt_dirty_bits(void);
static inline uint64_t fmt_accessed_bits(void);
static inline uint64_t fmt_clean_bits(void);
/* The mark for config.mark_split, among bits of a large leaf's address that are 0; 0: there is none. */
static inline uint64_t fmt_split_mark(void);
/*
 * Groups of 1 << order leaves at a level: which orders there are, a bit each (0: no groups; never bit
 * 0); a leaf as one of a group that leads to `phys`, and the order of the group that a leaf is in, 0:
 * none. Neither fmt_leaf_phys() of a member nor its attributes say more than those of a leaf alone,
 * but the address may be any of the group's.
 */
static inline unsigned fmt_groups(unsigned level);
static inline uint64_t fmt_in_group(uint64_t leaf, uint64_t phys, unsigned level, unsigned order);
static inline unsigned fmt_group_order(uint64_t leaf, unsigned level);

#define PT_INDEX_BITS	 (FMT_TABLE_SHIFT - 3)
#define PT_ENTRIES	 (1u << PT_INDEX_BITS)
#define PT_PAGE_SIZE	 (1ull << FMT_PAGE_SHIFT)
#define PT_TABLE_BYTES	 ((size_t)1 << FMT_TABLE_SHIFT)
#define PT_ALWAYS_INLINE inline __attribute__((always_inline))
/* What is rarely done, or for whole tables: small rather than fast. */
#define PT_RARE __attribute__((cold, noinline))

/* ---- Small things ---- */

static inline unsigned pt_shift(unsigned level)
{
	return FMT_PAGE_SHIFT + level * PT_INDEX_BITS;
}

/* What an entry spans, minus 1: a mask. */
static inline uint64_t pt_span(unsigned level)
{
	return (1ull << pt_shift(level)) - 1;
}

static inline uint64_t pt_load(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void pt_store(uint64_t *slot, uint64_t entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static inline uint64_t *pt_virt(const struct iommu_pgtable *pt, uint64_t phys)
{
	return (uint64_t *)(uintptr_t)(phys + pt->config.port->direct_map);
}

static inline uint64_t pt_phys(const struct iommu_pgtable *pt, const void *table)
{
	return (uintptr_t)table - pt->config.port->direct_map;
}

static inline uint64_t *pt_child(const struct iommu_pgtable *pt, uint64_t entry)
{
	return pt_virt(pt, fmt_table_phys(entry));
}

/*
 * The root's index is not masked: it may have more entries than other tables, and the address has
 * no bits above it.
 */
static inline unsigned pt_index(const struct iommu_pgtable *pt, uint64_t iova, unsigned level)
{
	uint64_t index = iova >> pt_shift(level);

	return (unsigned)(level == fmt_top_level(&pt->config) ? index : index & (PT_ENTRIES - 1));
}

static inline unsigned pt_entries(const struct iommu_pgtable *pt, unsigned level)
{
	return level == fmt_top_level(&pt->config) ? (unsigned)(fmt_root_bytes(&pt->config) / 8)
						   : PT_ENTRIES;
}

/* The last address of [at, last] that is in the same entry as `at`. */
static inline uint64_t pt_slot_last(uint64_t at, uint64_t last, unsigned level)
{
	uint64_t end = at | pt_span(level);

	return end < last ? end : last;
}

static inline bool pt_whole_slot(uint64_t first, uint64_t last, unsigned level)
{
	return !(first & pt_span(level)) && last - first == pt_span(level);
}

/*
 * What the CPU has stored in entries of one table becomes visible to a walker that doesn't snoop.
 */
static inline void pt_writeback(const struct iommu_pgtable *pt, const uint64_t *slots, size_t n)
{
	const struct hitless_port *port = pt->config.port;

	if (pt->config.noncoherent)
		port->writeback(port->ctx, slots, n * sizeof(*slots));
}

/* A format with room for the exact number never gets to counting. */
static inline bool pt_counts_exactly(void)
{
	return FMT_COUNT_MAX >= PT_ENTRIES;
}

/* Formats without that room: smaller numbers are exact. */
#define PT_SOME (FMT_COUNT_MAX - 1)
#define PT_ALL	FMT_COUNT_MAX

/* The entry with that number, if there is room for it. */
static inline uint64_t pt_with_number(uint64_t entry, unsigned n)
{
	return fmt_with_count(entry, n == PT_ENTRIES ? PT_ALL : n < PT_SOME ? n : PT_SOME);
}

/* The bits that the number is in, and those between them that it isn't in. */
static inline uint64_t pt_count_bits(void)
{
	return fmt_with_count(0, (2u << (31 - __builtin_clz(FMT_COUNT_MAX))) - 1);
}

static inline uint64_t pt_count_gaps(void)
{
	uint64_t bits = pt_count_bits(), above = ~0ull >> __builtin_clzll(bits), below = (bits & -bits) - 1;

	return above & ~below & ~bits;
}

/* fmt_count(entry) < n, and == n: without putting it together. */
static inline bool pt_count_below(uint64_t entry, unsigned n)
{
	return (entry & pt_count_bits()) < fmt_with_count(0, n);
}

static inline bool pt_count_is(uint64_t entry, unsigned n)
{
	return (entry & pt_count_bits()) == fmt_with_count(0, n);
}

/* Adds to the number where it is, as far as there is room: a carry goes through the gaps, which are full of ones, */
static inline uint64_t pt_add_in_place(uint64_t entry, unsigned n)
{
	return (((entry | pt_count_gaps()) + fmt_with_count(0, n)) & ~pt_count_gaps()) | (entry & pt_count_gaps());
}

/* ... and a borrow through zeros. */
static inline uint64_t pt_subtract_in_place(uint64_t entry, unsigned n)
{
	return (((entry & ~pt_count_gaps()) - fmt_with_count(0, n)) & ~pt_count_gaps()) | (entry & pt_count_gaps());
}

/* The entry with `n` more present below. */
static inline uint64_t pt_more(uint64_t entry, unsigned n)
{
	if (pt_counts_exactly() || (n < PT_SOME && pt_count_below(entry, PT_SOME - n)))
		return pt_add_in_place(entry, n);
	return pt_count_below(entry, PT_SOME) ? pt_with_number(entry, fmt_count(entry) + n) : entry;
}

/* fmt_count(entry) != 0, by the bits that it is in. */
static inline bool pt_has_count(uint64_t entry)
{
	return entry & pt_count_bits();
}


/* How many entries of a table are present. */
static __attribute__((noinline)) unsigned pt_look(const uint64_t *table)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PT_ENTRIES; i++)
		n += pt_load(&table[i]) != 0;
	return n;
}

/* Is any of the eight in a cache line? Without a branch for each. */
static inline bool pt_any_of_line(const uint64_t *line)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < 8; i++)
		seen |= pt_load(&line[i]);
	return seen != 0;
}

static PT_ALWAYS_INLINE bool pt_any_from(const uint64_t *table, unsigned from, unsigned to)
{
	for (; from < to; from += 8)
		if (pt_any_of_line(&table[from]))
			return true;
	return false;
}

/* Is any present in a table in which [first, last] are not? Those around are the likeliest. */
static __attribute__((noinline)) bool pt_any(const uint64_t *table, unsigned first, unsigned last)
{
	unsigned down = first & ~7u, up = (last | 7) + 1;

	return pt_any_of_line(&table[down]) || pt_any_of_line(&table[up - 8]) || (up < PT_ENTRIES && pt_any_of_line(&table[up])) ||
	       (down && pt_any_of_line(&table[down - 8])) || pt_any_from(table, up, PT_ENTRIES) || pt_any_from(table, 0, down);
}

/*
 * Where a format has no room for exact numbers, they are kept beside the tables as long as pt->near stays where it is: of the tables of pages
 * behind pt->near.table, by the slot that points to them; plus 1. A number is known from when it was small, or if one has had to look twice (0:
 * one has looked once). A generation says whether it is about this pt->near. (pt->numbers is NULL if there was no memory for it.)
 */
static PT_ALWAYS_INLINE uint32_t *pt_number(const struct iommu_pgtable *pt, const uint64_t *slot)
{
	uintptr_t offset = (uintptr_t)slot - (uintptr_t)pt->near.table;

	if (pt_counts_exactly() || !pt->numbers || offset >= PT_ENTRIES * sizeof(*slot))
		return NULL;
	return &pt->numbers[offset / sizeof(*slot)];
}

static PT_ALWAYS_INLINE bool pt_is_current(const struct iommu_pgtable *pt, const uint32_t *number)
{
	return *number >> 16 == pt->generation;
}

/* Is there an exact number? */
static PT_ALWAYS_INLINE bool pt_is_known(const struct iommu_pgtable *pt, const uint32_t *number)
{
	return pt_is_current(pt, number) && *number & 0xffff;
}

static inline void pt_set_number(const struct iommu_pgtable *pt, uint32_t *number, unsigned n)
{
	*number = (uint32_t)pt->generation << 16 | (n + 1);
}

/* The slot points to another table from now on. */
static inline void pt_forget_number(const struct iommu_pgtable *pt, const uint64_t *slot)
{
	uint32_t *number = pt_number(pt, slot);

	if (number)
		*number = 0;
}

static PT_RARE void pt_begin_generations(struct iommu_pgtable *pt)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++)
		pt->numbers[i] = 0;
	pt->generation = 1;
}

/* pt->near.table is another one now, or (NULL) none. */
static PT_ALWAYS_INLINE void pt_set_near(struct iommu_pgtable *pt, uint64_t key, uint64_t *table)
{
	pt->near.key = key;
	pt->near.table = table;
	if (!pt_counts_exactly() && pt->numbers && ++pt->generation == 0)
		pt_begin_generations(pt);
}

/* So many that are removed at once are not counted for. */
#define PT_MANY 64

/* Is any entry left in the table behind `slot`, in which [first, last] are not, and whose number isn't known? */
static __attribute__((noinline)) bool pt_any_left(const struct iommu_pgtable *pt, const uint64_t *slot, unsigned first, unsigned last)
{
	const uint64_t *table = pt_child(pt, pt_load(slot));
	uint32_t *number = pt_number(pt, slot);

	if (!number || last - first >= PT_MANY)
		return pt_any(table, first, last);
	if (!pt_is_current(pt, number)) {
		*number = (uint32_t)pt->generation << 16;
		return pt_any(table, first, last);
	}
	pt_set_number(pt, number, pt_look(table));
	return (*number & 0xffff) > 1;
}

/* How many entries are present in the table that the entry points to. */
static inline unsigned pt_count(const struct iommu_pgtable *pt, uint64_t entry)
{
	unsigned count = fmt_count(entry);

	if (pt_counts_exactly() || count < PT_SOME)
		return count;
	return count == PT_ALL ? PT_ENTRIES : pt_look(pt_child(pt, entry));
}

/*
 * Hardware may be setting A in this entry; that it can get lost here harms nobody. Nor is there a
 * need to write back.
 */
static PT_ALWAYS_INLINE void pt_add_count(const struct iommu_pgtable *pt, uint64_t *slot, unsigned level, unsigned n)
{
	uint64_t entry = pt_load(slot);
	uint32_t *number = level == 0 ? pt_number(pt, slot) : NULL;

	if (pt_counts_exactly() || !number) {
		pt_store(slot, pt_more(entry, n));
		return;
	}
	if (pt_count_below(entry, PT_SOME)) {
		pt_set_number(pt, number, fmt_count(entry) + n);
		pt_store(slot, pt_more(entry, n));
	} else if (pt_is_known(pt, number)) {
		*number += n;
		if ((*number & 0xffff) == PT_ENTRIES + 1)
			pt_store(slot, fmt_with_count(entry, PT_ALL));
	}
}

static uint64_t *pt_alloc_table(struct iommu_pgtable *pt)
{
	const struct hitless_port *port = pt->config.port;
	uint64_t *table = port->alloc_pages(port->ctx, PT_TABLE_BYTES);

	if (table)
		pt->table_bytes += PT_TABLE_BYTES;
	return table;
}

static PT_RARE void pt_free_tables(struct iommu_pgtable *pt, uint64_t *table, unsigned level);

/* Frees the tables that eight entries at `level` point to, if any, and all below those. */
static PT_RARE void pt_free_line(struct iommu_pgtable *pt, const uint64_t *line, unsigned level)
{
	for (unsigned i = 0; i < 8; i++)
		if (line[i] && fmt_is_table(line[i], level))
			pt_free_tables(pt, pt_child(pt, line[i]), level - 1);
}

/* Frees a table and all below it: none of them is linked, or the table is being destroyed. */
static PT_RARE void pt_free_tables(struct iommu_pgtable *pt, uint64_t *table, unsigned level)
{
	const struct hitless_port *port = pt->config.port;

	for (unsigned i = 0; level > 0 && i < PT_ENTRIES; i += 8)
		if (pt_any_of_line(&table[i]))
			pt_free_line(pt, &table[i], level);
	port->free_pages(port->ctx, table, PT_TABLE_BYTES);
	pt->table_bytes -= PT_TABLE_BYTES;
}

/* ---- Walking down ---- */

/*
 * Where a walk has come to, and the entries that it came through: through[l] points to the table at
 * level l.
 */
struct pt_walk {
	uint64_t *table;
	unsigned level;
	uint64_t *through[FMT_MAX_TOP + 1];
};

/* One level down if all of [first, last] is behind one entry, and that points to a table. */
static PT_ALWAYS_INLINE bool pt_step(struct pt_walk *walk, uintptr_t direct_map, uint64_t first,
				     uint64_t last, unsigned level, unsigned index)
{
	uint64_t *slot = &walk->table[index];
	uint64_t entry;

	if ((first ^ last) >> pt_shift(level))
		return false;
	entry = pt_load(slot);
	if (!fmt_is_table(entry, level))
		return false;
	walk->table = (uint64_t *)(uintptr_t)(fmt_table_phys(entry) + direct_map);
	walk->level = level - 1;
	walk->through[level - 1] = slot;
	return true;
}

/*
 * Down to the lowest table that covers all of [first, last]. Unrolled, so that the shifts are
 * constants.
 */
static PT_ALWAYS_INLINE void pt_descend(const struct iommu_pgtable *pt, struct pt_walk *walk,
					uint64_t first, uint64_t last)
{
	uintptr_t direct_map = pt->config.port->direct_map;
	unsigned top = fmt_top_level(&pt->config);

	walk->table = pt->root;
	walk->level = top;
	if (top == 0 ||
	    !pt_step(walk, direct_map, first, last, top, (unsigned)(first >> pt_shift(top))))
		return;
#define PT_STEP(l)                                \
	pt_step(walk, direct_map, first, last, l, \
		(unsigned)(first >> pt_shift(l)) & (PT_ENTRIES - 1))
	switch (top - 1) {
	case 4:
		if (FMT_MAX_TOP > 4 && !PT_STEP(4))
			return;
		/* fall through */
	case 3:
		if (FMT_MAX_TOP > 3 && !PT_STEP(3))
			return;
		/* fall through */
	case 2:
		if (FMT_MAX_TOP > 2 && !PT_STEP(2))
			return;
		/* fall through */
	case 1:
		PT_STEP(1);
	}
#undef PT_STEP
}

static __attribute__((noinline)) void pt_walk_down(const struct iommu_pgtable *pt, struct pt_walk *walk, uint64_t first,
						   uint64_t last)
{
	pt_descend(pt, walk, first, last);
}

/*
 * Most calls are about smallest pages, and one after another about pages that are not far apart: pt->near is the table of level 1 that was
 * used last, whose entries point to the tables of such pages. With it a page is two steps away. It costs a comparison where it misses.
 */
static PT_ALWAYS_INLINE uint64_t pt_near_key(uint64_t iova)
{
	return (iova >> pt_shift(2)) + 1;
}

/* The entry for `iova` in pt->near; NULL: that is elsewhere. */
static PT_ALWAYS_INLINE uint64_t *pt_near(const struct iommu_pgtable *pt, uint64_t iova)
{
	return pt->near.key == pt_near_key(iova) ? &pt->near.table[iova >> pt_shift(1) & (PT_ENTRIES - 1)] : NULL;
}

/* The same entry from the root down; then pt->near is there. NULL: there is no such table. (A root that is one is not remembered.) */
static __attribute__((noinline)) uint64_t *pt_find(struct iommu_pgtable *pt, uint64_t iova)
{
	uintptr_t direct_map = pt->config.port->direct_map;
	unsigned top = fmt_top_level(&pt->config);
	uint64_t *table = pt->root, entry;

	for (unsigned level = top; level > 1; level--) {
		entry = pt_load(&table[pt_index(pt, iova, level)]);
		if (!fmt_is_table(entry, level))
			return NULL;
		table = (uint64_t *)(uintptr_t)(fmt_table_phys(entry) + direct_map);
	}
	if (top > 1)
		pt_set_near(pt, pt_near_key(iova), table);
	return top > 0 ? &table[pt_index(pt, iova, 1)] : NULL;
}

/* The table of smallest pages that has all of [first, last], and the entry that it came through. NULL: there is no such, or it is the root. */
static PT_ALWAYS_INLINE uint64_t *pt_pages(struct iommu_pgtable *pt, uint64_t first, uint64_t last, uint64_t **through)
{
	uint64_t entry;

	if ((first ^ last) >> pt_shift(1))
		return NULL;
	*through = pt_near(pt, first);
	if (!*through)
		*through = pt_find(pt, first);
	if (!*through)
		return NULL;
	entry = pt_load(*through);
	return fmt_is_table(entry, 1) ? pt_child(pt, entry) : NULL;
}

/*
 * The slot that [first, last] is all of, above the smallest pages, and the entry that its table came through (NULL: the root). NULL: the range
 * has another size, or no table leads there.
 */
static PT_ALWAYS_INLINE uint64_t *pt_find_large(const struct iommu_pgtable *pt, uint64_t first, uint64_t last, unsigned *level,
						uint64_t **through)
{
	unsigned at = fmt_top_level(&pt->config);
	uint64_t *table = pt->root, *slot;

	for (*level = 1; *level <= FMT_MAX_LEAF_LEVEL && pt_span(*level) != last - first; ++*level)
		;
	if (*level > FMT_MAX_LEAF_LEVEL || first & (last - first) || at < *level)
		return NULL;
	*through = NULL;
	for (;; at--) {
		slot = &table[pt_index(pt, first, at)];
		if (at == *level)
			return slot;
		if (!fmt_is_table(pt_load(slot), at))
			return NULL;
		table = pt_child(pt, pt_load(slot));
		*through = slot;
	}
}

/* Large leaves are one after another too: pt->large is where the last one was, if not in the root. No address has this key: */
#define PT_NO_KEY UINT64_MAX

static PT_ALWAYS_INLINE bool pt_is_near_large(const struct iommu_pgtable *pt, uint64_t iova, uint64_t size)
{
	return size == pt->large.size && !(iova & (size - 1)) && iova >> pt->large.shift >> PT_INDEX_BITS == pt->large.key;
}

static PT_ALWAYS_INLINE uint64_t *pt_near_large(const struct iommu_pgtable *pt, uint64_t iova)
{
	return &pt->large.table[iova >> pt->large.shift & (PT_ENTRIES - 1)];
}

/* A large leaf has been found, or made, by pt_find_large(). */
static inline void pt_set_large(struct iommu_pgtable *pt, uint64_t iova, unsigned level, uint64_t *through)
{
	if (!through)
		return;
	pt->large.size = pt_span(level) + 1;
	pt->large.level = level;
	pt->large.shift = pt_shift(level);
	pt->large.key = iova >> pt_shift(level) >> PT_INDEX_BITS;
	pt->large.table = pt_child(pt, pt_load(through));
	pt->large.through = through;
}

static inline int pt_check_range(const struct iommu_pgtable *pt, uint64_t iova, uint64_t size)
{
	if (!size || (iova | size) & (PT_PAGE_SIZE - 1))
		return -EINVAL;
	if (iova > pt->last || size - 1 > pt->last - iova)
		return -ERANGE;
	return 0;
}

/* ---- Leaves in groups ---- */

/* What a group spans, minus 1: a mask. */
static inline uint64_t pt_group_span(unsigned level, unsigned order)
{
	return (1ull << (pt_shift(level) + order)) - 1;
}

/* The order of the largest group that can begin at `at`, if [at, last] leads to `phys`; 0: a leaf alone. */
static PT_ALWAYS_INLINE unsigned pt_order(const struct iommu_pgtable *pt, uint64_t at, uint64_t last, uint64_t phys,
					  unsigned level)
{
	unsigned groups = fmt_groups(level);
	uint64_t leaves, aligned;

	if (!groups || !pt->config.contiguous)
		return 0;
	leaves = (last - at) >> pt_shift(level);
	leaves += ((last - at) & pt_span(level)) == pt_span(level);
	if (leaves < 2)
		return 0;
	groups &= (unsigned)((2ull << (63 - __builtin_clzll(leaves))) - 1);
	aligned = (at | phys) >> pt_shift(level);
	if (aligned)
		groups &= (unsigned)((2ull << __builtin_ctzll(aligned)) - 1);
	return groups ? 31u - (unsigned)__builtin_clz(groups) : 0;
}

/* Stores a leaf, or a group of them, from `slots` on. */
static PT_ALWAYS_INLINE void pt_put(uint64_t *slots, uint64_t phys, unsigned level, unsigned order, uint64_t attributes)
{
	if (!order) {
		pt_store(slots, fmt_leaf(phys, level, attributes));
		return;
	}
	for (uint64_t i = 0; i >> order == 0; i++)
		pt_store(&slots[i], fmt_in_group(fmt_leaf(phys + (i << pt_shift(level)), level, attributes), phys, level, order));
}

/*
 * `n` smallest pages, from `slots` on. Alone they differ by one step from each to the next, where the address is one field of the leaf: the
 * last tells.
 */
static PT_ALWAYS_INLINE void pt_put_pages(const struct iommu_pgtable *pt, uint64_t *slots, unsigned n, uint64_t iova, uint64_t phys,
					  uint64_t attributes)
{
	uint64_t leaf = fmt_leaf(phys, 0, attributes), step = fmt_leaf(PT_PAGE_SIZE, 0, 0) - fmt_leaf(0, 0, 0);
	uint64_t last = iova + (n * PT_PAGE_SIZE - 1);

	if ((!fmt_groups(0) || !pt->config.contiguous) &&
	    fmt_leaf(phys + (n - 1) * PT_PAGE_SIZE, 0, attributes) == leaf + (n - 1) * step) {
#pragma GCC unroll 8
		for (unsigned i = 0; i < n; i++, leaf += step)
			pt_store(&slots[i], leaf);
		return;
	}
	for (unsigned i = 0, order; i < n; i += 1u << order) {
		order = pt_order(pt, iova + i * PT_PAGE_SIZE, last, phys + i * PT_PAGE_SIZE, 0);
		pt_put(&slots[i], phys + i * PT_PAGE_SIZE, 0, order, attributes);
	}
}

/* Where the leaf leads for the address `at`, cut to the leaf. */
static inline uint64_t pt_leaf_phys(uint64_t leaf, unsigned level, uint64_t at)
{
	unsigned order = fmt_group_order(leaf, level);
	uint64_t span = pt_group_span(level, order);

	return order ? (fmt_leaf_phys(leaf, level) & ~span) | (at & span & ~pt_span(level)) : fmt_leaf_phys(leaf, level);
}

static void pt_gather_range(struct iommu_gather *gather, uint64_t first, uint64_t last, unsigned leaf_shift)
{
	if (gather->first > gather->last || leaf_shift < gather->leaf_shift)
		gather->leaf_shift = leaf_shift;
	if (gather->first > gather->last || last > gather->last)
		gather->last = last;
	if (first < gather->first)
		gather->first = first;
}

/*
 * [first, last] is about to be unmapped: if the leaf at `at`, one end of it, is in a group that is
 * only partly in the range, the group is one no longer. Hardware may have cached it as one, and has to
 * forget all of it.
 */
static PT_RARE void pt_ungroup(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t at, uint64_t first,
		       uint64_t last, struct iommu_gather *gather)
{
	uint64_t entry, span, start;
	unsigned index, order;

	for (;; level--) {
		entry = pt_load(&table[pt_index(pt, at, level)]);
		if (!fmt_is_table(entry, level))
			break;
		table = pt_child(pt, entry);
	}
	order = fmt_present(entry) ? fmt_group_order(entry, level) : 0;
	span = pt_group_span(level, order);
	start = at & ~span;
	if (!order || (start >= first && last - start >= span))
		return;
	index = pt_index(pt, start, level);
	for (unsigned i = 0; i >> order == 0; i++) {
		uint64_t phys = pt_leaf_phys(entry, level, start + ((uint64_t)i << pt_shift(level)));

		pt_store(&table[index + i], fmt_leaf(phys, level, fmt_leaf_attributes(entry, level)));
	}
	pt_writeback(pt, &table[index], (size_t)1 << order);
	pt_gather_range(gather, start, start + span, pt_shift(level));
}

static inline void pt_ungroup_ends(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t first,
				   uint64_t last, struct iommu_gather *gather)
{
	if (!fmt_groups(0) || !pt->config.contiguous)
		return;
	pt_ungroup(pt, table, level, first, first, last, gather);
	pt_ungroup(pt, table, level, last, first, last, gather);
}

/* ---- Off-line tables: no walker sees them, so that plain accesses do ---- */

static inline bool pt_leaf_fits(const struct iommu_pgtable *pt, uint64_t first, uint64_t last,
				uint64_t phys, unsigned level)
{
	return level <= FMT_MAX_LEAF_LEVEL && pt_shift(level) <= pt->config.max_page_shift &&
	       pt_whole_slot(first, last, level) && !(phys & pt_span(level));
}

/*
 * Maps [first, last] in an off-line table. Returns the number of entries added, or -ENOMEM: the
 * caller frees it all.
 */
static int pt_fill(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t first,
		   uint64_t last, uint64_t phys, uint64_t attributes)
{
	int added = 0;

	if (level == 0) {
		unsigned n = (unsigned)((last - first) >> FMT_PAGE_SHIFT) + 1;

		pt_put_pages(pt, &table[pt_index(pt, first, 0)], n, first, phys, attributes);
		return (int)n;
	}
	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];

		end = pt_slot_last(at, last, level);
		if (pt_leaf_fits(pt, at, end, phys + (at - first), level)) {
			unsigned order = pt_order(pt, at, last, phys + (at - first), level);

			pt_put(slot, phys + (at - first), level, order, attributes);
			added += 1 << order;
			end = at + pt_group_span(level, order);
		} else {
			int n;

			if (!*slot) {
				uint64_t *child = pt_alloc_table(pt);

				if (!child)
					return -ENOMEM;
				*slot = fmt_table(pt_phys(pt, child), level);
				added++;
			}
			n = pt_fill(pt, pt_child(pt, *slot), level - 1, at, end,
				    phys + (at - first), attributes);
			if (n < 0)
				return n;
			*slot = pt_more(*slot, (unsigned)n);
		}
		if (end == last)
			return added;
	}
}

/* A finished subtree, all of it, becomes visible to a walker that doesn't snoop. */
static PT_RARE void pt_writeback_tables(const struct iommu_pgtable *pt, const uint64_t *table,
				unsigned level)
{
	if (!pt->config.noncoherent)
		return;
	for (unsigned i = 0; level > 0 && i < PT_ENTRIES; i++)
		if (fmt_is_table(table[i], level))
			pt_writeback_tables(pt, pt_child(pt, table[i]), level - 1);
	pt_writeback(pt, table, PT_ENTRIES);
}

/*
 * Makes an entry at `level` that points to a new off-line table, which maps [first, last] to `phys`
 * but for [skip, skip_last] (nothing is skipped if skip > last). 0: out of memory.
 */
static uint64_t pt_build(struct iommu_pgtable *pt, unsigned level, uint64_t first, uint64_t last,
			 uint64_t skip, uint64_t skip_last, uint64_t phys, uint64_t attributes)
{
	uint64_t *table = pt_alloc_table(pt);
	int before = 0, after = 0;

	if (!table)
		return 0;
	if (first < skip)
		before = pt_fill(pt, table, level - 1, first, skip <= last ? skip - 1 : last, phys,
				 attributes);
	if (before >= 0 && skip <= last && skip_last < last)
		after = pt_fill(pt, table, level - 1, skip_last + 1, last,
				phys + (skip_last + 1 - first), attributes);
	if (before < 0 || after < 0) {
		pt_free_tables(pt, table, level - 1);
		return 0;
	}
	pt_writeback_tables(pt, table, level - 1);
	return pt_more(fmt_table(pt_phys(pt, table), level), (unsigned)(before + after));
}

/* ---- Tables that become empty ---- */

/* The table is not linked any more, but a walker may be in it or remember it. */
static void pt_gather_table(struct iommu_pgtable *pt, uint64_t *table, struct iommu_gather *gather)
{
	pt_store(table, gather->free_list);
	gather->free_list = pt_phys(pt, table);
	gather->tables++;
	pt->table_bytes -= PT_TABLE_BYTES;
	if (table == pt->near.table)
		pt_set_near(pt, 0, NULL);
	if (table == pt->large.table)
		pt->large.key = PT_NO_KEY;
	if (table == pt->idle.table)
		pt->idle.table = NULL;
}

/*
 * `entry`, which `slot` has, points to a table at `level` of which `removed` entries are gone, and nothing is left in [first, last] of it: the
 * entry that it is then. No pt_has_count(): the table is empty.
 */
static PT_ALWAYS_INLINE uint64_t pt_fewer(struct iommu_pgtable *pt, const uint64_t *slot, uint64_t entry, unsigned level, unsigned removed,
					  unsigned first, unsigned last)
{
	uint32_t *number;
	unsigned left;

	if (pt_counts_exactly() || (level > 0 && pt_count_below(entry, PT_SOME)))
		return pt_subtract_in_place(entry, removed);
	number = level == 0 ? pt_number(pt, slot) : NULL;
	if (number && pt_is_known(pt, number)) {
		*number -= removed;
		left = (*number & 0xffff) - 1;
		/* Mostly many are left. */
		return left >= PT_SOME && pt_count_is(entry, PT_SOME) ? entry : pt_with_number(entry, left);
	}
	if (pt_count_is(entry, PT_SOME))
		return pt_any_left(pt, slot, first, last) ? entry : fmt_with_count(entry, 0);
	left = (pt_count_is(entry, PT_ALL) ? PT_ENTRIES : fmt_count(entry)) - removed;
	if (number)
		pt_set_number(pt, number, left);
	return pt_with_number(entry, left);
}

/* The table behind `slot` is empty, and goes. */
static void pt_take_out(struct iommu_pgtable *pt, uint64_t *slot, struct iommu_gather *gather)
{
	uint64_t *table = pt_child(pt, pt_load(slot));

	pt_store(slot, 0);
	pt_writeback(pt, slot, 1);
	pt_gather_table(pt, table, gather);
}

/*
 * `removed` entries are gone from the table at `level` behind `slot`, and nothing is left in [first, last] of it. Says
 * whether it is empty: then the table is gone too.
 */
static inline bool pt_shrink(struct iommu_pgtable *pt, uint64_t *slot, unsigned level, unsigned removed, unsigned first, unsigned last,
			     struct iommu_gather *gather)
{
	uint64_t fewer = pt_fewer(pt, slot, pt_load(slot), level, removed, first, last);

	if (pt_has_count(fewer)) {
		pt_store(slot, fewer);
		return false;
	}
	pt_take_out(pt, slot, gather);
	return true;
}

/* The idle table goes if it is still empty, and those above it that have nothing else. */
static __attribute__((noinline)) void pt_retire(struct iommu_pgtable *pt)
{
	uint64_t iova = pt->idle.iova, *table = pt->idle.table;
	unsigned level = pt->idle.level;
	struct pt_walk walk;

	pt->idle.table = NULL;
	if (!table || fmt_count(pt_load(pt->idle.through)))
		return;
	pt_gather_range(&pt->retired, iova & ~pt_span(level + 1), iova | pt_span(level + 1), pt_shift(level));
	pt_walk_down(pt, &walk, iova, iova);
	pt_take_out(pt, walk.through[level], &pt->retired);
	while (++level < fmt_top_level(&pt->config) &&
	       pt_shrink(pt, walk.through[level], level, 1, pt_index(pt, iova, level), pt_index(pt, iova, level), &pt->retired))
		;
}

/*
 * Before anything is done to [first, last] in more than one table: the idle table is out of the way, unless the range is a part
 * of its own.
 */
static inline void pt_make_way(struct iommu_pgtable *pt, uint64_t first, uint64_t last)
{
	uint64_t span = pt_span(pt->idle.level + 1), idle = pt->idle.iova & ~span;

	if (!pt->idle.table || first > (idle | span) || last < idle)
		return;
	if (first < idle || last > (idle | span) || last - first == span)
		pt_retire(pt);
}

/* The table, of `iova`, is the idle one now. */
static __attribute__((noinline)) void pt_idle(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t *through, uint64_t iova)
{
	pt_retire(pt);
	pt->idle.table = table;
	pt->idle.through = through;
	pt->idle.level = level;
	pt->idle.iova = iova;
}

/*
 * `removed` entries are gone from `table`, which holds nothing in [first, last] any more. If it is empty now it stays as the idle
 * one.
 */
static PT_ALWAYS_INLINE void pt_leave(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t *through,
				      unsigned removed, uint64_t first, uint64_t last)
{
	uint64_t entry = pt_load(through);
	uint64_t fewer = pt_fewer(pt, through, entry, level, removed, (unsigned)(first >> pt_shift(level)) & (PT_ENTRIES - 1),
				  (unsigned)(last >> pt_shift(level)) & (PT_ENTRIES - 1));

	if (!pt_counts_exactly() && fewer == entry)
		return;
	pt_store(through, fewer);
	if (!pt_has_count(fewer) && pt->idle.table != table)
		pt_idle(pt, table, level, through, last);
}

/* ---- map ---- */

/* Undoes pt_map_prepare() in [first, last]. */
static PT_RARE void pt_map_unwind(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t first,
			  uint64_t last)
{
	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];
		uint64_t entry = pt_load(slot);

		end = pt_slot_last(at, last, level);
		if (fmt_is_table(entry, level)) {
			pt_map_unwind(pt, pt_child(pt, entry), level - 1, at, end);
		} else if (entry) {
			pt_store(slot, 0);
			pt_free_tables(pt, pt_child(pt, entry), level - 1);
		}
		if (end == last)
			return;
	}
}

/*
 * The first pass: finds overlaps, and parks a subtree in every slot that needs one. If it fails
 * nothing is left of it.
 */
static int pt_map_prepare(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t first,
			  uint64_t last, uint64_t phys, uint64_t attributes)
{
	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];
		uint64_t entry = pt_load(slot);
		int err = 0;

		end = pt_slot_last(at, last, level);
		if (entry) {
			/* No table is empty: only one that is partly in the range may have room. */
			if (!fmt_is_table(entry, level) || pt_whole_slot(at, end, level))
				err = -EEXIST;
			else
				err = pt_map_prepare(pt, pt_child(pt, entry), level - 1, at, end,
						     phys + (at - first), attributes);
		} else if (!pt_leaf_fits(pt, at, end, phys + (at - first), level)) {
			entry = pt_build(pt, level, at, end, UINT64_MAX, UINT64_MAX,
					 phys + (at - first), attributes);
			if (entry)
				pt_store(slot, fmt_park(entry));
			else
				err = -ENOMEM;
		}
		if (err) {
			if (at > first)
				pt_map_unwind(pt, table, level, first, at - 1);
			return err;
		}
		if (end == last)
			return 0;
	}
}

/* The second pass: everything is there and free. Returns the number of entries added to `table`. */
static unsigned pt_map_commit(struct iommu_pgtable *pt, uint64_t *table, unsigned level,
			      uint64_t first, uint64_t last, uint64_t phys, uint64_t attributes)
{
	unsigned added = 0;

	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];
		uint64_t entry = pt_load(slot);

		end = pt_slot_last(at, last, level);
		if (fmt_is_table(entry, level)) {
			pt_add_count(pt, slot, level - 1, pt_map_commit(pt, pt_child(pt, entry), level - 1, at,
							 end, phys + (at - first), attributes));
		} else if (entry) {
			pt_store(slot, fmt_unpark(entry));
			pt_forget_number(pt, slot);
			added++;
		} else {
			unsigned order = pt_order(pt, at, last, phys + (at - first), level);

			pt_put(slot, phys + (at - first), level, order, attributes);
			added += 1u << order;
			end = at + pt_group_span(level, order);
		}
		if (end == last)
			break;
	}
	if (added)
		pt_writeback(pt, &table[pt_index(pt, first, level)],
			     pt_index(pt, last, level) - pt_index(pt, first, level) + 1);
	return added;
}

/* Both passes where one table of smallest pages has it all. */
static PT_ALWAYS_INLINE int pt_map_pages(struct iommu_pgtable *pt, uint64_t *slots, unsigned n,
					 uint64_t iova, uint64_t phys, uint64_t attributes)
{
	uint64_t seen = 0;

#pragma GCC unroll 8
	for (unsigned i = 0; i < n; i++)
		seen |= pt_load(&slots[i]);
	if (seen)
		return -EEXIST;
	pt_put_pages(pt, slots, n, iova, phys, attributes);
	pt_writeback(pt, slots, n);
	return 0;
}

/* Both passes where tables are to be made, or several have a part, or the root has the pages. */
static __attribute__((noinline)) int pt_map_tables(struct iommu_pgtable *pt, uint64_t first, uint64_t last, uint64_t phys,
						   uint64_t attributes)
{
	const struct hitless_port *port = pt->config.port;
	unsigned added, level;
	uint64_t *slot, *through;
	struct pt_walk walk;
	int err;

	/* One large leaf where nothing is needs no tables. */
	slot = pt_find_large(pt, first, last, &level, &through);
	if (slot && !pt_load(slot) && pt_leaf_fits(pt, first, last, phys, level)) {
		pt_set_large(pt, first, level, through);
		pt_store(slot, fmt_leaf(phys, level, attributes));
		pt_writeback(pt, slot, 1);
		if (through)
			pt_add_count(pt, through, level, 1);
		return 0;
	}
	if (!pt_counts_exactly() && !pt->numbers)
		pt->numbers = port->alloc(port->ctx, PT_ENTRIES * sizeof(*pt->numbers));
	pt_make_way(pt, first, last);
	pt_walk_down(pt, &walk, first, last);
	err = pt_map_prepare(pt, walk.table, walk.level, first, last, phys, attributes);
	if (err)
		return err;
	/* The new tables first, then the entries that point to them. */
	port->write_barrier(port->ctx);
	added = pt_map_commit(pt, walk.table, walk.level, first, last, phys, attributes);
	if (added && walk.table != pt->root)
		pt_add_count(pt, walk.through[walk.level], walk.level, added);
	return 0;
}

static __attribute__((noinline)) int pt_map_range(struct iommu_pgtable *pt, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot)
{
	uint64_t last = iova + (size - 1);
	uint64_t attributes, *table, *through;
	unsigned n;
	int err;

	if (!fmt_attributes(&pt->config, pt->config.memory_types ? prot : prot & ~(unsigned)IOMMU_MMIO, &attributes) ||
	    phys & (PT_PAGE_SIZE - 1))
		return -EINVAL;
	err = pt_check_range(pt, iova, size);
	if (err)
		return err;
	if (phys > pt->phys_last || size - 1 > pt->phys_last - phys)
		return -ERANGE;
	pt->prot = prot;
	pt->attributes = attributes;

	n = (unsigned)(size >> FMT_PAGE_SHIFT);
	table = pt_pages(pt, iova, last, &through);
	/* A whole table's pages may be one large leaf. */
	if (!table || n == PT_ENTRIES)
		return pt_map_tables(pt, iova, last, phys, attributes);
	err = pt_map_pages(pt, &table[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)], n, iova, phys, attributes);
	if (!err)
		pt_add_count(pt, through, 0, n);
	return err;
}

/*
 * A page beside the last one, with the rights of what was mapped last, needs none of the rest: what is near is within the range. -EAGAIN: it
 * isn't that.
 */
static PT_ALWAYS_INLINE int pt_map_near_page(struct iommu_pgtable *pt, uint64_t iova, uint64_t phys)
{
	uint64_t *through = pt_near(pt, iova), entry, *slot;

	if (!through || (iova | phys) & (PT_PAGE_SIZE - 1))
		return -EAGAIN;
	entry = pt_load(through);
	if (!fmt_is_table(entry, 1))
		return -EAGAIN;
	slot = &pt_child(pt, entry)[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)];
	if (pt_load(slot))
		return -EEXIST;
	pt_store(slot, fmt_leaf(phys, 0, pt->attributes));
	pt_writeback(pt, slot, 1);
	pt_add_count(pt, through, 0, 1);
	return 0;
}

/* The same for a large leaf. (Where one was, another is that begins within reach: both are aligned.) */
static PT_ALWAYS_INLINE int pt_map_near_large(struct iommu_pgtable *pt, uint64_t iova, uint64_t phys, uint64_t size)
{
	uint64_t *slot;

	if (!pt_is_near_large(pt, iova, size) || phys & (size - 1))
		return -EAGAIN;
	slot = pt_near_large(pt, iova);
	if (pt_load(slot))
		return -EAGAIN;
	pt_store(slot, fmt_leaf(phys, pt->large.level, pt->attributes));
	pt_writeback(pt, slot, 1);
	/* (Any level but that of pages.) */
	pt_add_count(pt, pt->large.through, 1, 1);
	return 0;
}

static int pt_map(struct iommu_pgtable *pt, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot)
{
	int err = -EAGAIN;

	if (prot == pt->prot && phys <= pt->phys_last)
		err = size == PT_PAGE_SIZE ? pt_map_near_page(pt, iova, phys) : pt_map_near_large(pt, iova, phys, size);
	return err == -EAGAIN ? pt_map_range(pt, iova, phys, size, prot) : err;
}

/* ---- unmap ---- */

/*
 * Gathers an unlinked table and all below it; `count` entries of it are present. Returns the bytes
 * that it mapped.
 */
static uint64_t pt_gather_tables(struct iommu_pgtable *pt, uint64_t *table, unsigned level,
				 unsigned count, struct iommu_gather *gather, unsigned *leaf_shift)
{
	uint64_t bytes = 0;

	if (level == 0) {
		bytes = (uint64_t)count << FMT_PAGE_SHIFT;
		*leaf_shift = FMT_PAGE_SHIFT;
	}
	for (unsigned i = 0; level > 0 && count > 0; i++) {
		uint64_t entry = pt_load(&table[i]);

		if (!entry)
			continue;
		count--;
		if (fmt_is_table(entry, level)) {
			bytes += pt_gather_tables(pt, pt_child(pt, entry), level - 1,
						  pt_count(pt, entry), gather, leaf_shift);
		} else {
			bytes += pt_span(level) + 1;
			if (pt_shift(level) < *leaf_shift)
				*leaf_shift = pt_shift(level);
		}
	}
	pt_gather_table(pt, table, gather);
	return bytes;
}

/* A large leaf that is partly in the range, and the entry that replaces it. */
struct pt_split {
	uint64_t entry; /* 0: there is no such leaf */
	uint64_t leaf;	/* as it was when the replacement was made */
	uint64_t first; /* what it maps begins here */
	unsigned level;
};

/*
 * Looks at the leaf that maps `at`, either end of [first, last]; makes the replacement if it needs
 * one.
 */
static PT_RARE int pt_split_prepare(struct iommu_pgtable *pt, struct pt_split *split, uint64_t *table,
			    unsigned level, uint64_t at, uint64_t first, uint64_t last)
{
	uint64_t leaf_first, leaf_last, entry;

	split->entry = 0;
	for (;;) {
		entry = pt_load(&table[pt_index(pt, at, level)]);
		if (!fmt_is_table(entry, level))
			break;
		table = pt_child(pt, entry);
		level--;
	}
	leaf_first = at & ~pt_span(level);
	leaf_last = at | pt_span(level);
	if (!entry || (leaf_first >= first && leaf_last <= last))
		return 0;
	if (pt->config.no_split)
		return -EOPNOTSUPP;
	split->leaf = entry;
	split->first = leaf_first;
	split->level = level;
	split->entry =
		pt_build(pt, level, leaf_first, leaf_last, leaf_first > first ? leaf_first : first,
			 leaf_last < last ? leaf_last : last, pt_leaf_phys(entry, level, leaf_first),
			 fmt_leaf_attributes(entry, level));
	return split->entry ? 0 : -ENOMEM;
}

/* The flags of a leaf, 1 for "accessed" and "dirty" in every format. */
static inline uint64_t pt_flags(uint64_t leaf)
{
	return (leaf ^ fmt_clean_bits()) & (fmt_dirty_bits() | fmt_accessed_bits());
}

/* Marks the leaf that maps `at`, either end of [first, last], if it is partly in there. Says whether it did. */
static PT_RARE bool pt_mark(struct iommu_pgtable *pt, uint64_t *table, unsigned level, uint64_t at, uint64_t first,
		    uint64_t last, struct iommu_gather *gather)
{
	uint64_t entry, *slot, leaf_first, leaf_last;

	for (;; level--) {
		slot = &table[pt_index(pt, at, level)];
		entry = pt_load(slot);
		if (!fmt_is_table(entry, level))
			break;
		table = pt_child(pt, entry);
	}
	leaf_first = at & ~pt_span(level);
	leaf_last = at | pt_span(level);
	if (!entry || entry & fmt_split_mark() || level == 0 || (leaf_first >= first && leaf_last <= last))
		return false;
	__atomic_or_fetch(slot, fmt_split_mark(), __ATOMIC_ACQ_REL);
	pt_writeback(pt, slot, 1);
	pt_gather_range(gather, leaf_first, leaf_last, pt_shift(level));
	return true;
}

/* Sets flags in every leaf of an off-line table. */
static PT_RARE void pt_set_flags(const struct iommu_pgtable *pt, uint64_t *table, unsigned level,
			 uint64_t flags)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (fmt_is_table(table[i], level))
			pt_set_flags(pt, pt_child(pt, table[i]), level - 1, flags);
		else if (table[i])
			table[i] = ((table[i] ^ fmt_clean_bits()) | flags) ^ fmt_clean_bits();
	}
}

/*
 * The leaf is replaced only as it was when its flags were copied. What else the entry says can't
 * have changed.
 */
static PT_RARE void pt_split_commit(struct iommu_pgtable *pt, uint64_t *slot, const struct pt_split *split)
{
	const struct hitless_port *port = pt->config.port;
	unsigned level = split->level;
	uint64_t *table = pt_child(pt, split->entry);
	uint64_t leaf = split->leaf;

	pt_forget_number(pt, slot);
	port->write_barrier(port->ctx);
	while (!__atomic_compare_exchange_n(slot, &leaf, split->entry, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE)) {
		pt_set_flags(pt, table, level - 1, pt_flags(leaf));
		pt_writeback_tables(pt, table, level - 1);
		port->write_barrier(port->ctx);
	}
}

/* Are all eight pages present? */
static PT_ALWAYS_INLINE bool pt_full_line(const uint64_t *line)
{
#pragma GCC unroll 8
	for (unsigned i = 0; i < 8; i++)
		if (!pt_load(&line[i]))
			return false;
	return true;
}

static PT_ALWAYS_INLINE void pt_clear_line(uint64_t *line)
{
#pragma GCC unroll 8
	for (unsigned i = 0; i < 8; i++)
		pt_store(&line[i], 0);
}

/* Removes `n` neighbours in a table of smallest pages; returns how many were present. */
static unsigned pt_unmap_pages(struct iommu_pgtable *pt, uint64_t *slots, unsigned n, uint64_t iova, struct iommu_gather *gather)
{
	unsigned removed = 0, first = n, end = 0;

	for (unsigned i = 0, step; i < n; i += step) {
		step = n - i >= 8 && pt_full_line(&slots[i]) ? 8 : 1;
		if (step == 8)
			pt_clear_line(&slots[i]);
		else if (pt_load(&slots[i]))
			pt_store(&slots[i], 0);
		else
			continue;
		removed += step;
		first = i < first ? i : first;
		end = i + step;
	}
	if (removed) {
		pt_writeback(pt, &slots[first], end - first);
		pt_gather_range(gather, iova + first * PT_PAGE_SIZE, iova + end * PT_PAGE_SIZE - 1, FMT_PAGE_SHIFT);
	}
	return removed;
}

/*
 * Removes [first, last]; adds to *bytes what was mapped; returns how many entries of `table` are
 * gone.
 */
static unsigned pt_unmap_range(struct iommu_pgtable *pt, uint64_t *table, unsigned level,
			       uint64_t first, uint64_t last, const struct pt_split *splits,
			       struct iommu_gather *gather, uint64_t *bytes)
{
	uint64_t *changed_first = NULL, *changed_last = NULL;
	unsigned removed = 0;

	if (level == 0) {
		removed = pt_unmap_pages(pt, &table[pt_index(pt, first, 0)],
					 (unsigned)((last - first) >> FMT_PAGE_SHIFT) + 1, first,
					 gather);
		*bytes += (uint64_t)removed << FMT_PAGE_SHIFT;
		return removed;
	}
	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];
		uint64_t entry = pt_load(slot);
		bool whole;

		end = pt_slot_last(at, last, level);
		whole = pt_whole_slot(at, end, level);
		if (!entry) {
			/* A hole. */
		} else if (fmt_is_table(entry, level) && !whole) {
			unsigned below = pt_unmap_range(pt, pt_child(pt, entry), level - 1, at, end,
							splits, gather, bytes);

			if (below && pt_shrink(pt, slot, level - 1, below, pt_index(pt, at, level - 1), pt_index(pt, end, level - 1), gather))
				removed++;
		} else {
			if (whole) {
				unsigned leaf_shift = pt_shift(level);

				pt_store(slot, 0);
				removed++;
				if (fmt_is_table(entry, level))
					*bytes += pt_gather_tables(pt, pt_child(pt, entry),
								   level - 1, pt_count(pt, entry),
								   gather, &leaf_shift);
				else
					*bytes += pt_span(level) + 1;
				pt_gather_range(gather, at, end, leaf_shift);
			} else {
				bool left = splits[0].entry &&
					    splits[0].first == (at & ~pt_span(level));

				pt_split_commit(pt, slot, &splits[left ? 0 : 1]);
				*bytes += end - at + 1;
				/* The large leaf has to be forgotten whole. */
				pt_gather_range(gather, at & ~pt_span(level), at | pt_span(level),
						pt_shift(level));
			}
			if (!changed_first)
				changed_first = slot;
			changed_last = slot;
		}
		if (end == last)
			break;
	}
	if (changed_first)
		pt_writeback(pt, changed_first, (size_t)(changed_last - changed_first) + 1);
	return removed;
}

/* A large leaf that is in no group? */
static PT_ALWAYS_INLINE bool pt_is_lone_large(uint64_t entry, unsigned level)
{
	return fmt_present(entry) && !fmt_is_table(entry, level) && !(fmt_groups(level) && fmt_group_order(entry, level));
}

/* Where several tables have a part in the range, or a large leaf has, or the root has the pages. */
static __attribute__((noinline)) int64_t pt_unmap_tables(struct iommu_pgtable *pt, uint64_t first, uint64_t last,
							 struct iommu_gather *gather)
{
	/* At either end of the range; one leaf that both ends are in is the first. */
	struct pt_split splits[2];
	struct pt_walk walk;
	uint64_t bytes = 0, *slot, *through, entry;
	unsigned removed, level;
	int err;

	/* One large leaf goes as a page does. */
	slot = pt_find_large(pt, first, last, &level, &through);
	entry = slot ? pt_load(slot) : 0;
	if (pt_is_lone_large(entry, level)) {
		pt_set_large(pt, first, level, through);
		pt_store(slot, 0);
		pt_writeback(pt, slot, 1);
		pt_gather_range(gather, first, last, pt_shift(level));
		if (through)
			pt_leave(pt, pt_child(pt, pt_load(through)), level, through, 1, first, last);
		return (int64_t)(last - first + 1);
	}
	splits[0].entry = splits[1].entry = 0;
	pt_make_way(pt, first, last);
	pt_walk_down(pt, &walk, first, last);
	if (pt->config.mark_split) {
		bool marked;

		/* Leaves of a group are alike. */
		pt_ungroup_ends(pt, walk.table, walk.level, first, last, gather);
		marked = pt_mark(pt, walk.table, walk.level, first, first, last, gather);
		if (pt_mark(pt, walk.table, walk.level, last, first, last, gather) || marked)
			return -EAGAIN;
	}
	err = pt_split_prepare(pt, &splits[0], walk.table, walk.level, first, first, last);
	if (err)
		return err;
	/*
	 * If both ends are behind one entry here, then that is no table: there is nothing else to
	 * split.
	 */
	if (pt_index(pt, first, walk.level) != pt_index(pt, last, walk.level))
		err = pt_split_prepare(pt, &splits[1], walk.table, walk.level, last, first, last);
	if (err) {
		if (splits[0].entry)
			pt_free_tables(pt, pt_child(pt, splits[0].entry), splits[0].level - 1);
		return err;
	}
	pt_ungroup_ends(pt, walk.table, walk.level, first, last, gather);
	removed = pt_unmap_range(pt, walk.table, walk.level, first, last, splits, gather, &bytes);
	if (removed && walk.table != pt->root)
		pt_leave(pt, walk.table, walk.level, walk.through[walk.level], removed, first, last);
	return (int64_t)bytes;
}

static __attribute__((noinline)) int64_t pt_unmap_any(struct iommu_pgtable *pt, uint64_t iova, uint64_t size, struct iommu_gather *gather)
{
	uint64_t last = iova + (size - 1), *table, *through;
	unsigned removed;
	int err;

	err = pt_check_range(pt, iova, size);
	if (err)
		return err;
	table = pt_pages(pt, iova, last, &through);
	if (!table)
		return pt_unmap_tables(pt, iova, last, gather);
	pt_ungroup_ends(pt, table, 0, iova, last, gather);
	removed = pt_unmap_pages(pt, &table[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)], (unsigned)(size >> FMT_PAGE_SHIFT), iova, gather);
	if (removed)
		pt_leave(pt, table, 0, through, removed, iova, last);
	return (int64_t)removed << FMT_PAGE_SHIFT;
}

/* As pt_map_near_page(): false, it isn't that. */
static PT_ALWAYS_INLINE bool pt_unmap_near_page(struct iommu_pgtable *pt, uint64_t iova, struct iommu_gather *gather)
{
	uint64_t *through = pt_near(pt, iova), entry, *table, *slot;

	if (!through || iova & (PT_PAGE_SIZE - 1) || (fmt_groups(0) && pt->config.contiguous))
		return false;
	entry = pt_load(through);
	if (!fmt_is_table(entry, 1))
		return false;
	table = pt_child(pt, entry);
	slot = &table[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)];
	if (!pt_load(slot))
		return false;
	pt_store(slot, 0);
	pt_writeback(pt, slot, 1);
	pt_gather_range(gather, iova, iova + PT_PAGE_SIZE - 1, FMT_PAGE_SHIFT);
	pt_leave(pt, table, 0, through, 1, iova, iova);
	return true;
}

static PT_ALWAYS_INLINE bool pt_unmap_near_large(struct iommu_pgtable *pt, uint64_t iova, uint64_t size, struct iommu_gather *gather)
{
	unsigned level = pt->large.level;
	uint64_t *slot;

	if (!pt_is_near_large(pt, iova, size))
		return false;
	slot = pt_near_large(pt, iova);
	if (!pt_is_lone_large(pt_load(slot), level))
		return false;
	pt_store(slot, 0);
	pt_writeback(pt, slot, 1);
	pt_gather_range(gather, iova, iova + (size - 1), pt->large.shift);
	pt_leave(pt, pt->large.table, level, pt->large.through, 1, iova, iova);
	return true;
}

static int64_t pt_unmap(struct iommu_pgtable *pt, uint64_t iova, uint64_t size,
			struct iommu_gather *gather)
{
	bool done = size == PT_PAGE_SIZE ? pt_unmap_near_page(pt, iova, gather) : pt_unmap_near_large(pt, iova, size, gather);

	return done ? (int64_t)size : pt_unmap_any(pt, iova, size, gather);
}

/* ---- The rest ---- */

/* What a leaf says of an address in it. */
static PT_ALWAYS_INLINE int pt_read_leaf(uint64_t leaf, unsigned level, uint64_t iova, uint64_t *phys, unsigned *rights)
{
	if (!leaf)
		return -ENOENT;
	*phys = pt_leaf_phys(leaf, level, iova) | (iova & pt_span(level));
	if (rights)
		*rights = fmt_leaf_prot(leaf);
	return 0;
}

static __attribute__((noinline)) int pt_look_up_far(struct iommu_pgtable *pt, uint64_t iova, uint64_t *phys, unsigned *rights)
{
	uint64_t *table, *through;
	struct pt_walk walk;

	if (iova > pt->last)
		return -ENOENT;
	table = pt_pages(pt, iova, iova, &through);
	if (table)
		return pt_read_leaf(pt_load(&table[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)]), 0, iova, phys, rights);
	pt_walk_down(pt, &walk, iova, iova);
	return pt_read_leaf(pt_load(&walk.table[pt_index(pt, iova, walk.level)]), walk.level, iova, phys, rights);
}

static int pt_iova_to_phys(struct iommu_pgtable *pt, uint64_t iova, uint64_t *phys,
			   unsigned *rights)
{
	uint64_t *through = pt_near(pt, iova), entry;

	if (!through)
		return pt_look_up_far(pt, iova, phys, rights);
	entry = pt_load(through);
	if (!fmt_is_table(entry, 1))
		return pt_look_up_far(pt, iova, phys, rights);
	return pt_read_leaf(pt_load(&pt_child(pt, entry)[iova >> FMT_PAGE_SHIFT & (PT_ENTRIES - 1)]), 0, iova, phys, rights);
}

struct pt_dirty {
	struct iommu_gather *gather;
	void (*report)(void *ctx, uint64_t iova, uint64_t size);
	void *ctx;
};

static PT_RARE void pt_dirty_range(struct iommu_pgtable *pt, uint64_t *table, unsigned level,
			   uint64_t first, uint64_t last, const struct pt_dirty *dirty)
{
	for (uint64_t at = first, end;; at = end + 1) {
		uint64_t *slot = &table[pt_index(pt, at, level)];
		uint64_t entry = pt_load(slot);

		end = pt_slot_last(at, last, level);
		if (fmt_is_table(entry, level)) {
			pt_dirty_range(pt, pt_child(pt, entry), level - 1, at, end, dirty);
		} else if (entry && pt_flags(entry) & fmt_dirty_bits()) {
			uint64_t leaf_first = at & ~pt_span(level);

			/* Hardware only ever makes a page dirty: the flag is still as it was seen. */
			__atomic_xor_fetch(slot, fmt_dirty_bits(), __ATOMIC_ACQ_REL);
			pt_gather_range(dirty->gather, leaf_first, leaf_first | pt_span(level),
					pt_shift(level));
			dirty->report(dirty->ctx, leaf_first, pt_span(level) + 1);
		}
		if (end == last)
			return;
	}
}

static PT_RARE int pt_read_and_clear_dirty(struct iommu_pgtable *pt, uint64_t iova, uint64_t size,
				   struct iommu_gather *gather,
				   void (*report)(void *ctx, uint64_t iova, uint64_t size),
				   void *ctx)
{
	const struct pt_dirty dirty = {gather, report, ctx};
	int err;

	if (!pt->config.dirty)
		return -EOPNOTSUPP;
	err = pt_check_range(pt, iova, size);
	if (err)
		return err;
	pt_dirty_range(pt, pt->root, fmt_top_level(&pt->config), iova, iova + (size - 1), &dirty);
	return 0;
}

static uint64_t pt_last(const struct iommu_pgtable_config *config)
{
	return fmt_iova_bits(config) >= 64 ? UINT64_MAX : (1ull << fmt_iova_bits(config)) - 1;
}

/* The last address once there are as many levels as the configuration allows; 0: there are already. */
static uint64_t pt_grow_last(const struct iommu_pgtable_config *config)
{
	struct iommu_pgtable_config grown = *config;

	if (!FMT_GROWS || config->max_levels <= config->levels)
		return 0;
	grown.levels = config->max_levels;
	return pt_last(&grown);
}

static PT_RARE int pt_init(struct iommu_pgtable *pt, const struct iommu_pgtable_config *config)
{
	const struct hitless_port *port = config->port;
	unsigned leaf_level = 0;

	while (leaf_level < FMT_MAX_LEAF_LEVEL && pt_shift(leaf_level) != config->max_page_shift)
		leaf_level++;
	if (!fmt_config_ok(config) || pt_shift(leaf_level) != config->max_page_shift ||
	    config->output_bits <= FMT_PAGE_SHIFT || config->output_bits > FMT_MAX_OUTPUT_BITS)
		return -EINVAL;
	if (config->noncoherent && !port->writeback)
		return -EINVAL;
	/*
	 * The CPU would read, and write back over, what the hardware has put into memory behind its
	 * cache.
	 */
	if (config->dirty && (config->noncoherent || config->contiguous || !fmt_dirty_bits()))
		return -EINVAL;
	if ((config->contiguous && !fmt_groups(0)) || (config->mark_split && !fmt_split_mark()))
		return -EINVAL;

	*pt = (struct iommu_pgtable){
		.ops = &FMT_OPS,
		.config = *config,
		.last = pt_last(config),
		.grow_last = pt_grow_last(config),
		.table_bytes = fmt_root_bytes(config),
		.retired = IOMMU_GATHER_INIT,
		.large.key = PT_NO_KEY,
	};
	if (!fmt_attributes(config, IOMMU_READ, &pt->attributes))
		return -EINVAL;
	pt->prot = IOMMU_READ;
	pt->phys_last = config->output_bits < 64 ? (1ull << config->output_bits) - 1 : UINT64_MAX;
	pt->root = port->alloc_pages(port->ctx, pt->table_bytes);
	if (!pt->root)
		return -ENOMEM;
	pt_writeback(pt, pt->root, pt->table_bytes / 8);
	return 0;
}

/*
 * A level more on top: the new root's first entry points to the old root, so that both map the same. An old root that maps
 * nothing is not linked (2 above); what walks it finds nothing as long as it exists.
 */
static PT_RARE int pt_grow(const struct iommu_pgtable *pt, struct iommu_pgtable *grown, struct iommu_gather *gather)
{
	struct iommu_pgtable_config config = pt->config;
	unsigned count;
	uint64_t *root;

	config.levels++;
	if (config.levels > config.max_levels || !fmt_config_ok(&config) || fmt_root_bytes(&pt->config) != PT_TABLE_BYTES)
		return -ERANGE;
	root = config.port->alloc_pages(config.port->ctx, fmt_root_bytes(&config));
	if (!root)
		return -ENOMEM;
	*grown = *pt;
	grown->config = config;
	grown->root = root;
	grown->last = pt_last(&config);
	grown->grow_last = pt_grow_last(&config);
	grown->table_bytes += fmt_root_bytes(&config);
	count = pt_look(pt->root);
	if (count)
		root[0] = pt_more(fmt_table(pt_phys(pt, pt->root), fmt_top_level(&config)), count);
	pt_writeback(grown, root, fmt_root_bytes(&config) / 8);
	config.port->write_barrier(config.port->ctx);
	if (!count) {
		/* Not its first word: the old root may stay in use if the caller changes his mind. */
		gather->old_root = pt->root;
		grown->table_bytes -= PT_TABLE_BYTES;
	}
	return 0;
}

static PT_RARE void pt_ungrow(struct iommu_pgtable *grown)
{
	const struct hitless_port *port = grown->config.port;

	port->free_pages(port->ctx, grown->root, fmt_root_bytes(&grown->config));
	grown->root = NULL;
}

static PT_RARE void pt_destroy(struct iommu_pgtable *pt)
{
	const struct hitless_port *port = pt->config.port;
	unsigned top = fmt_top_level(&pt->config), entries = pt_entries(pt, top);
	uint64_t *root = pt->root;

	for (unsigned i = 0; i < entries; i += 8)
		if (pt_any_of_line(&root[i]))
			pt_free_line(pt, &root[i], top);
	port->free_pages(port->ctx, root, fmt_root_bytes(&pt->config));
	if (pt->numbers)
		port->free(port->ctx, pt->numbers, PT_ENTRIES * sizeof(*pt->numbers));
	iommu_gather_free(pt, &pt->retired);
	pt->root = NULL;
	pt->table_bytes = 0;
}

static uint64_t pt_root_phys(const struct iommu_pgtable *pt)
{
	return pt_phys(pt, pt->root);
}

const struct iommu_pgtable_ops FMT_OPS = {
	.name = FMT_NAME,
	.table_bytes = PT_TABLE_BYTES,
	.init = pt_init,
	.destroy = pt_destroy,
	.grow = FMT_GROWS ? pt_grow : NULL,
	.ungrow = FMT_GROWS ? pt_ungrow : NULL,
	.root_phys = pt_root_phys,
	.map = pt_map,
	.unmap = pt_unmap,
	.iova_to_phys = pt_iova_to_phys,
	.read_and_clear_dirty = pt_read_and_clear_dirty,
};

#endif
