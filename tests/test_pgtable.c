/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_pgtable.c - the page tables against a flat array of pages.
 *
 * The array knows for each page of a few windows of the address space where it leads, with which
 * rights, as part of how large a leaf, and whether that is dirty. It is kept by the dullest means:
 * which leaf a page belongs to is found by trying every size. The same sequences run for every
 * format, number of levels and largest page.
 */
#include "pgtable_common.h"
#include "sample.h"

/* ---- The oracle ---- */

#define NOT_MAPPED  UINT64_MAX
#define MAX_WINDOWS 4
#define GIB	    (1ull << 30)
#define MIB	    (1ull << 20)

struct page {
	uint64_t phys; /* NOT_MAPPED */
	uint8_t rights, shift;
	bool dirty;
};

struct window {
	uint64_t base;
	uint64_t npages;
	struct page *pages;
};

struct fixture {
	const struct spec *spec;
	uint64_t page;		/* bytes of the smallest */
	struct iommu_pgtable_config config;
	struct iommu_pgtable pt;
	struct mem mem;
	uint64_t last;
	struct window windows[MAX_WINDOWS];
	unsigned nwindows;
	uint64_t seed, op;
	/* While an operation is under way: what it may change. */
	bool in_op;
};

static void add_window(struct fixture *f, uint64_t base, uint64_t bytes)
{
	struct window *w = &f->windows[f->nwindows++];

	*w = (struct window){base, bytes / f->page, malloc(bytes / f->page * sizeof(struct page))};
	assert_non_null(w->pages);
	for (uint64_t i = 0; i < w->npages; i++)
		w->pages[i] = (struct page){.phys = NOT_MAPPED};
}

static void open_table(struct fixture *f, const struct spec *spec, unsigned levels,
		       unsigned max_page_shift, bool noncoherent, bool dirty)
{
	memset(f, 0, sizeof(*f));
	f->spec = spec;
	f->page = spec_page(spec);
	mem_init(&f->mem, noncoherent);
	f->mem.test = f;
	f->config = (struct iommu_pgtable_config){
		.port = &f->mem.port,
		.levels = levels,
		.input_bits = spec->input_bits ? spec_address_bits(spec, levels) : 0,
		.max_page_shift = max_page_shift,
		.output_bits = 46,
		.noncoherent = noncoherent,
		.dirty = dirty,
		.contiguous = spec->groups(0) && !dirty,
	};
	assert_int_equal(spec->ops->init(&f->pt, &f->config), 0);
	assert_int_equal(spec->ops->root_phys(&f->pt) + f->mem.port.direct_map,
			 (uintptr_t)f->pt.root);
	f->last = (1ull << spec_address_bits(spec, levels)) - 1;
	assert_int_equal(f->pt.last, f->last);
	assert_int_equal(f->pt.table_bytes, spec->root_pages * 4096);
}

static void close_table(struct fixture *f)
{
	f->mem.on_writeback = NULL;
	f->spec->ops->destroy(&f->pt);
	assert_int_equal(f->pt.table_bytes, 0);
	mem_destroy(&f->mem);
	for (unsigned i = 0; i < f->nwindows; i++)
		free(f->windows[i].pages);
}

/*
 * The largest leaf, or group of leaves, for the page at `at` if [first, last] leads to `phys` and no other: every size is tried.
 */
static unsigned best_shift(const struct fixture *f, uint64_t first, uint64_t last, uint64_t phys, uint64_t at)
{
	unsigned best = f->spec->page_shift;

	for (unsigned level = 0; spec_shift(f->spec, level) <= f->config.max_page_shift; level++)
		for (unsigned order = 0; order < f->spec->index_bits; order++) {
			unsigned shift = spec_shift(f->spec, level) + order;
			uint64_t mask = (1ull << shift) - 1;
			uint64_t start = at & ~mask;

			if (order && !(f->config.contiguous && f->spec->groups(level) >> order & 1))
				continue;
			if (start >= first && last - start >= mask && !((phys + (start - first)) & mask))
				best = shift;
		}
	return best;
}

/* The leaves of a group are leaves of their own. */
static unsigned leaf_shift_of(const struct fixture *f, unsigned shift)
{
	unsigned leaf = f->spec->page_shift;

	for (unsigned level = 0; spec_shift(f->spec, level) <= shift; level++)
		leaf = spec_shift(f->spec, level);
	return leaf;
}

static bool page_mapped(const struct page *p)
{
	return p->phys != NOT_MAPPED;
}

static void oracle_map(struct fixture *f, struct window *w, uint64_t first, uint64_t last,
		       uint64_t phys, unsigned prot)
{
	unsigned shift = 0;

	for (uint64_t at = first; at < last; at += f->page) {
		/* A large leaf goes on until its end. */
		if (!shift || !(at & ((1ull << shift) - 1)) || shift == f->spec->page_shift)
			shift = best_shift(f, first, last, phys, at);
		w->pages[(at - w->base) / f->page] =
			(struct page){phys + (at - first), (uint8_t)prot, (uint8_t)shift, false};
	}
}

/* What the unmap of [first, last] may say. */
struct removed {
	uint64_t bytes, low, high;
	unsigned shift;
};

/* [first, last] is to go: a group that is partly in it is one no longer. */
static void oracle_ungroup(const struct fixture *f, struct window *w, uint64_t edge, uint64_t first, uint64_t last,
			   struct removed *r)
{
	struct page *p = &w->pages[(edge - w->base) / f->page];
	uint64_t mask = (1ull << p->shift) - 1, start = edge & ~mask;

	if (!page_mapped(p) || p->shift == leaf_shift_of(f, p->shift) || (start >= first && start + mask <= last))
		return;
	if (start < r->low)
		r->low = start;
	if (start + mask > r->high)
		r->high = start + mask;
	for (uint64_t at = start, n = mask + 1; n; at += f->page, n -= f->page)
		w->pages[(at - w->base) / f->page].shift = (uint8_t)leaf_shift_of(f, p->shift);
}

static void oracle_unmap(const struct fixture *f, struct window *w, uint64_t first, uint64_t last, struct removed *r)
{
	uint64_t end = w->base + w->npages * f->page - 1;
	uint64_t from = first > w->base ? first : w->base, to = last < end ? last : end;

	if (from > to)
		return;
	oracle_ungroup(f, w, from, first, last, r);
	oracle_ungroup(f, w, to, first, last, r);
	/* Leaves that are partly in the range fall apart into the largest that stay outside. */
	for (unsigned side = 0; side < 2; side++) {
		uint64_t edge = side ? to : from;
		struct page *p = &w->pages[(edge - w->base) / f->page];
		uint64_t mask = (1ull << p->shift) - 1, start = edge & ~mask;

		if (!page_mapped(p) || p->shift <= f->spec->page_shift || (start >= first && start + mask <= last))
			continue;
		if (start < r->low)
			r->low = start;
		if (start + mask > r->high)
			r->high = start + mask;
		if (p->shift < r->shift)
			r->shift = p->shift;
		for (uint64_t at = start; at < start + mask; at += f->page) {
			struct page *q = &w->pages[(at - w->base) / f->page];
			uint64_t keep_first = at < first ? start : last + 1;
			uint64_t keep_last =
				at < first && first <= start + mask ? first - 1 : start + mask;

			if (at >= first && at <= last)
				q->shift = 0; /* counted above as part of the large leaf */
			else
				q->shift = (uint8_t)best_shift(f, keep_first, keep_last,
							       q->phys - (at - keep_first), at);
		}
	}
	for (uint64_t at = from; at < to; at += f->page) {
		struct page *p = &w->pages[(at - w->base) / f->page];

		if (!page_mapped(p))
			continue;
		r->bytes += f->page;
		if (at < r->low)
			r->low = at;
		if (at + f->page - 1 > r->high)
			r->high = at + f->page - 1;
		if (p->shift && leaf_shift_of(f, p->shift) < r->shift)
			r->shift = leaf_shift_of(f, p->shift);
		*p = (struct page){.phys = NOT_MAPPED};
	}
}

/* ---- The table against the oracle ---- */

static void where(const struct fixture *f, const char *what, uint64_t iova)
{
	fail_msg("%s: %s, %u levels, page shift %u, seed %#llx, operation %llu, iova %#llx", what,
		 f->spec->ops->name, f->config.levels, f->config.max_page_shift,
		 (unsigned long long)f->seed, (unsigned long long)f->op, (unsigned long long)iova);
}

static void check_page(struct fixture *f, const struct window *w, uint64_t at)
{
	const struct page *p = &w->pages[(at - w->base) / f->page];
	uint64_t offset = at % f->page ^ (at >> 7 & 0xff8), phys = 0;
	struct walked seen = walk(f->spec, f->mem.pages, f->spec->ops->root_phys(&f->pt),
				  f->config.levels, at | offset);
	unsigned rights = 0;
	int err = f->spec->ops->iova_to_phys(&f->pt, at | offset, &phys, &rights);

	if (!page_mapped(p)) {
		if (seen.shift || err != -ENOENT)
			where(f, "mapped", at);
		return;
	}
	if (!seen.shift || err)
		where(f, "not mapped", at);
	if (seen.phys != p->phys + offset || phys != seen.phys)
		where(f, "leads to another page", at);
	if (seen.rights != p->rights || rights != p->rights)
		where(f, "other rights", at);
	if (seen.shift != p->shift)
		where(f, "another size of leaf", at);
	if (seen.dirty != (p->dirty || (!f->config.dirty && (f->spec->preset == PRESET_ALL ||
							     (f->spec->preset == PRESET_WRITABLE && p->rights & IOMMU_WRITE)))))
		where(f, "another dirty flag", at);
	if (f->config.noncoherent) {
		struct walked s = walk(f->spec, f->mem.shadow, f->spec->ops->root_phys(&f->pt),
				       f->config.levels, at | offset);

		if (s.phys != seen.phys || s.rights != seen.rights || s.shift != seen.shift)
			where(f, "not written back", at);
	}
}

/* Every page of a short range; of a long one both ends and some in between. */
static void check_pages(struct fixture *f, uint64_t first, uint64_t last, bool every)
{
	uint64_t state = f->op;

	for (unsigned i = 0; i < f->nwindows; i++) {
		const struct window *w = &f->windows[i];
		uint64_t end = w->base + w->npages * f->page - 1;
		uint64_t from = (first > w->base ? first : w->base) & ~(f->page - 1),
			 to = last < end ? last : end;

		if (from > to)
			continue;
		if (every || to - from < 600 * f->page) {
			for (uint64_t at = from; at <= to && at >= from; at += f->page)
				check_page(f, w, at);
			continue;
		}
		for (unsigned n = 0; n < 16; n++) {
			check_page(f, w, from + n * f->page);
			check_page(f, w, (to & ~(f->page - 1)) - n * f->page);
		}
		for (unsigned n = 0; n < 64; n++)
			check_page(f, w, from + below(&state, (to - from) / f->page) * f->page);
	}
}

static void check_around(struct fixture *f, uint64_t first, uint64_t last)
{
	check_pages(f, first > 32 * f->page ? first - 32 * f->page : 0,
		    last < UINT64_MAX - 32 * f->page ? last + 32 * f->page : last, false);
}

/* The number of a table's present entries, in the one that points to it; or, where there is no room for that, "all" or "some". */
static void check_count(const struct fixture *f, uint64_t entry, unsigned present)
{
	unsigned count = f->spec->count(entry), most = f->spec->count_max, all = 512 * spec_table_pages(f->spec);

	if (most < all && count == most)
		assert_int_equal(present, all);
	else if (most < all && count == most - 1)
		assert_true(present > 0);
	else
		assert_int_equal(count, present);
}

/*
 * Counts the 4 KiB of the tables below (and with) `table`; every other than the root is not empty, or is the idle one, and has
 * its count in its parent's entry.
 */
static unsigned check_tables(struct fixture *f, uint64_t table, unsigned level, unsigned *present)
{
	uint64_t *entries = mem_at(f->mem.pages, table);
	unsigned pages = level == f->config.levels - 1 ? f->spec->root_pages : spec_table_pages(f->spec);
	unsigned tables = pages;

	assert_true(f->mem.used[mem_page(&f->mem, entries)]);
	*present = 0;
	for (unsigned i = 0; i < 512 * pages; i++) {
		uint64_t entry = entries[i];
		unsigned count;

		if (!f->spec->present(entry)) {
			assert_int_equal(entry, 0);
			continue;
		}
		++*present;
		if (level == 0 || !f->spec->is_table(entry))
			continue;
		tables += check_tables(f, f->spec->phys(entry), level - 1, &count);
		if (!count)
			assert_ptr_equal(mem_at(f->mem.pages, f->spec->phys(entry)), f->pt.idle.table);
		check_count(f, entry, count);
	}
	return tables;
}

/* 4 KiB in tables that were taken out and that nobody has asked for yet. */
static unsigned retired_pages(const struct fixture *f)
{
	return f->pt.retired.tables * spec_table_pages(f->spec);
}

static void check_tree(struct fixture *f)
{
	unsigned present;
	unsigned tables =
		check_tables(f, f->spec->ops->root_phys(&f->pt), f->config.levels - 1, &present);

	assert_int_equal(f->pt.table_bytes, tables * 4096ull);
	assert_int_equal(f->mem.in_use, tables + retired_pages(f));
}

/*
 * After each write-back: what the walker can reach is a table still, and was written back whole
 * before the last barrier.
 */
static void check_shadow(struct mem *m, uint64_t table, unsigned level)
{
	struct fixture *f = m->test;
	uint64_t *entries = mem_at(m->shadow, table);
	unsigned page = mem_page(m, mem_at(m->pages, table));

	assert_true(m->used[page]);
	assert_true(m->written[page]);
	assert_true(table == f->spec->ops->root_phys(&f->pt) || m->written_at[page] < m->barriers);
	unsigned pages = level == f->config.levels - 1 ? f->spec->root_pages : spec_table_pages(f->spec);

	for (unsigned i = 0; level > 0 && i < 512 * pages; i++)
		if (f->spec->present(entries[i]) && f->spec->is_table(entries[i]))
			check_shadow(m, f->spec->phys(entries[i]), level - 1);
}

static void on_writeback(struct mem *m)
{
	struct fixture *f = m->test;

	if (f->pt.root)
		check_shadow(m, f->spec->ops->root_phys(&f->pt), f->config.levels - 1);
}

/*
 * Tables on the list are allocated, and their first word is not present to a walker that is still
 * in there.
 */
static void check_gathered(struct fixture *f, const struct iommu_gather *gather)
{
	unsigned tables = 0;

	for (uint64_t phys = gather->free_list; phys; tables++) {
		uint64_t *table = mem_at(f->mem.pages, phys);

		assert_int_equal(phys % 4096, 0);
		assert_true(f->mem.used[mem_page(&f->mem, table)]);
		assert_false(f->spec->present(*table));
		phys = *table;
	}
	assert_int_equal(gather->tables, tables);
	assert_int_equal(f->mem.in_use, tables * spec_table_pages(f->spec) + f->pt.table_bytes / 4096 + retired_pages(f));
}

/* Tables that became empty earlier: they go after an invalidation of their own, of addresses where nothing is mapped or that were
 * unmapped or mapped just now. */
static void free_retired(struct fixture *f)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;

	if (!iommu_pgtable_retired(&f->pt, &gather))
		return;
	assert_true(gather.tables && gather.first <= gather.last);
	check_gathered(f, &gather);
	iommu_gather_free(&f->pt, &gather);
}

/* Nothing is mapped: there is the root, and the idle table with those above it. */
static void check_bare(struct fixture *f)
{
	unsigned kept = f->pt.idle.table ? f->config.levels - 1 - f->pt.idle.level : 0;

	free_retired(f);
	assert_int_equal(f->mem.in_use, f->spec->root_pages + kept * spec_table_pages(f->spec));
}

/* ---- Operations: on both, compared ---- */

static struct window *window_of(struct fixture *f, uint64_t iova)
{
	for (unsigned i = 0; i < f->nwindows; i++)
		if (iova >= f->windows[i].base &&
		    iova - f->windows[i].base < f->windows[i].npages * f->page)
			return &f->windows[i];
	return NULL;
}

static int do_map(struct fixture *f, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot)
{
	struct window *w = window_of(f, iova);
	uint64_t last = iova + size - 1;
	bool overlap = false;
	int err = f->spec->ops->map(&f->pt, iova, phys, size, prot);

	for (uint64_t at = iova; at < last && !overlap; at += f->page)
		overlap = page_mapped(&w->pages[(at - w->base) / f->page]);
	/* Of two reasons to fail either may be given. */
	if (overlap ? err != -EEXIST && err != -ENOMEM : err && err != -ENOMEM)
		where(f, "map", iova);
	if (!err)
		oracle_map(f, w, iova, last, phys, prot);
	free_retired(f);
	check_around(f, iova, last);
	return err;
}

static int64_t do_unmap(struct fixture *f, uint64_t iova, uint64_t size)
{
	struct removed r = {.low = UINT64_MAX, .shift = 64};
	struct iommu_gather gather = IOMMU_GATHER_INIT;
	uint64_t last = iova + size - 1;
	int64_t bytes = f->spec->ops->unmap(&f->pt, iova, size, &gather);

	if (bytes == -ENOMEM) {
		assert_true(gather.first > gather.last && !gather.tables && !gather.free_list);
		check_around(f, iova, last);
		return bytes;
	}
	for (unsigned i = 0; i < f->nwindows; i++)
		oracle_unmap(f, &f->windows[i], iova, last, &r);
	if (bytes != (int64_t)r.bytes)
		where(f, "unmap: bytes", iova);
	if (bytes == 0) {
		assert_true(gather.first > gather.last && !gather.tables);
	} else {
		/*
		 * Covers all that went, and no more than was asked for and the leaves that were
		 * split.
		 */
		if (gather.first > r.low || gather.last < r.high)
			where(f, "unmap: range to invalidate", iova);
		if (gather.first < (iova < r.low ? iova : r.low) ||
		    gather.last > (last > r.high ? last : r.high))
			where(f, "unmap: invalidates too much", iova);
		if (gather.leaf_shift != r.shift)
			where(f, "unmap: leaf size", iova);
	}
	check_gathered(f, &gather);
	iommu_gather_free(&f->pt, &gather);
	assert_true(gather.first > gather.last && !gather.tables && !gather.free_list);
	free_retired(f);
	check_around(f, iova, last);
	return bytes;
}

/* The device writes to a page: the hardware marks its leaf. */
static void do_write(struct fixture *f, uint64_t iova)
{
	struct walked w = walk(f->spec, f->mem.pages, f->spec->ops->root_phys(&f->pt),
			       f->config.levels, iova);
	struct window *window = window_of(f, iova);

	if (!w.shift || !(w.rights & IOMMU_WRITE))
		return;
	*w.slot = spec_flagged(f->spec, *w.slot, f->spec->dirty | f->spec->accessed);
	for (uint64_t at = iova >> w.shift << w.shift, n = 1ull << w.shift; n;
	     at += f->page, n -= f->page)
		window->pages[(at - window->base) / f->page].dirty = true;
}

struct reports {
	struct fixture *f;
	uint64_t low, high, bytes;
	unsigned shift;
};

static void on_dirty(void *ctx, uint64_t iova, uint64_t size)
{
	struct reports *r = ctx;
	struct window *w = window_of(r->f, iova);

	assert_non_null(w);
	for (uint64_t at = iova; at - iova < size; at += r->f->page) {
		struct page *p = &w->pages[(at - w->base) / r->f->page];

		if (!page_mapped(p) || !p->dirty || 1ull << p->shift != size)
			where(r->f, "reported dirty", at);
		p->dirty = false;
	}
	if (iova < r->low)
		r->low = iova;
	if (iova + size - 1 > r->high)
		r->high = iova + size - 1;
	if (size < 1ull << r->shift)
		r->shift = (unsigned)__builtin_ctzll(size);
	r->bytes += size;
}

static void do_clear_dirty(struct fixture *f, uint64_t iova, uint64_t size)
{
	struct reports r = {.f = f, .low = UINT64_MAX, .shift = 63};
	struct iommu_gather gather = IOMMU_GATHER_INIT;

	assert_int_equal(
		f->spec->ops->read_and_clear_dirty(&f->pt, iova, size, &gather, on_dirty, &r), 0);
	assert_true(!gather.tables && !gather.free_list);
	if (r.bytes)
		assert_true(gather.first == r.low && gather.last == r.high &&
			    gather.leaf_shift == r.shift);
	else
		assert_true(gather.first > gather.last);
	for (unsigned i = 0; i < f->nwindows; i++) {
		const struct window *w = &f->windows[i];

		for (uint64_t n = 0; n < w->npages; n++) {
			uint64_t at = w->base + n * f->page;

			if (at >= iova && at - iova < size && w->pages[n].dirty)
				where(f, "dirty, and not reported", at);
		}
	}
	check_around(f, iova, iova + size - 1);
}

/* ---- Random sequences ---- */

/* A range in some window: mostly small, sometimes whole large pages, sometimes anything. */
static void pick_range(struct fixture *f, uint64_t *state, uint64_t *iova, uint64_t *size)
{
	const struct window *w = &f->windows[below(state, 4) ? 0 : below(state, f->nwindows)];
	/* Pages of the second and the third level's leaf. */
	uint64_t large = spec_entries(f->spec), huge = large * large;
	uint64_t pages, start;

	switch (below(state, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		pages = 1;
		start = below(state, 2) ? below(state, 64) : below(state, w->npages);
		break;
	case 5:
	case 6:
	case 7:
		pages = 1 + below(state, 40);
		start = below(state, w->npages);
		break;
	case 8:
	case 9:
	case 10:
		pages = large * (1 + below(state, 3));
		start = below(state, w->npages) & ~(large - 1);
		break;
	case 11:
	case 12:
		pages = 1 + below(state, 3000);
		start = below(state, 2) ? below(state, w->npages) & ~(large - 1)
					: below(state, w->npages);
		break;
	case 13:
		pages = huge;
		start = below(state, w->npages) & ~(huge - 1);
		break;
	default:
		/* Near a boundary of large pages. */
		pages = 1 + below(state, 20);
		start = (below(state, w->npages) & ~(large - 1)) + below(state, 20);
		start -= start < 10 ? start : 10;
		break;
	}
	if (!below(state, 400)) {
		pages = below(state, w->npages) + 1;
		start = below(state, w->npages);
	}
	if (start >= w->npages)
		start = w->npages - 1;
	if (pages > w->npages - start)
		pages = w->npages - start;
	*iova = w->base + start * f->page;
	*size = pages * f->page;
}

static uint64_t pick_phys(const struct fixture *f, uint64_t *state, uint64_t iova, uint64_t size)
{
	uint64_t large = f->page << f->spec->index_bits, huge = large << f->spec->index_bits;
	uint64_t room = (1ull << 46) - size;
	uint64_t phys = below(state, room / f->page + 1) * f->page;

	switch (below(state, 4)) {
	case 0:
		return phys;
	case 1:
		phys = (phys & ~(large - 1)) | (iova & (large - 1));
		break;
	case 2:
		/* As a group of pages may be, and no larger leaf. */
		phys = (phys & ~((f->page << 7) - 1)) | (iova & ((f->page << 7) - 1));
		break;
	default:
		phys = (phys & ~(huge - 1)) | (iova & (huge - 1));
		break;
	}
	return phys <= room ? phys : room & ~(f->page - 1);
}

static void random_ops(const struct spec *spec, unsigned levels, unsigned max_page_shift,
		       bool noncoherent, unsigned ops)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	uint64_t state = 0x4869746c657373 ^ (uint64_t)levels << 56 ^
			 (uint64_t)max_page_shift << 48 ^ noncoherent;
	unsigned mapped = 0, overlaps = 0, starved = 0;
	uint64_t large;

	open_table(f, spec, levels, max_page_shift, noncoherent, !noncoherent);
	f->seed = state;
	large = f->page << spec->index_bits;
	add_window(f, 0, noncoherent ? 24 * large : spec->page_shift > 12 ? 40 * large : 2 * GIB + 6 * MIB);
	/* Where the highest levels' entries meet. */
	for (unsigned level = 3; level < levels; level++)
		add_window(f, (1ull << spec_shift(spec, level)) - 2 * large, 4 * large);
	add_window(f, f->last + 1 - 2 * large, 2 * large);
	if (noncoherent)
		f->mem.on_writeback = on_writeback;

	for (f->op = 0; f->op < ops; f->op++) {
		uint64_t iova, size;
		unsigned nprots = 0;
		int64_t ret = 0;

		/* Again and again the generations begin anew. */
		if (f->op % 32 == 31)
			f->pt.generation |= 0xfffc;

		while (spec->prots[nprots])
			nprots++;
		pick_range(f, &state, &iova, &size);
		if (!below(&state, 10))
			/* Tables of a larger granule are fewer. */
			f->mem.fail_after = (int)below(&state, spec->page_shift == 12 ? 8 : 3);
		switch (below(&state, 12)) {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4: {
			uint64_t phys = pick_phys(f, &state, iova, size);

			ret = do_map(f, iova, phys, size, spec->prots[below(&state, nprots)]);
			mapped += !ret;
			overlaps += ret == -EEXIST;
			break;
		}
		case 5:
		case 6:
		case 7:
		case 8:
			ret = do_unmap(f, iova, size);
			break;
		case 9:
		case 10:
			if (!noncoherent) {
				for (unsigned i = 0; i < 8; i++)
					do_write(f, iova + below(&state, size / 8) * 8);
				break;
			}
			/* fall through */
		default:
			if (!noncoherent)
				do_clear_dirty(f, iova, size);
			else
				ret = do_unmap(f, iova, size);
			break;
		}
		starved += ret == -ENOMEM;
		if (f->mem.fail_after >= 0) {
			f->mem.fail_after = -1;
			if (ret == -ENOMEM)
				check_tree(f);
		} else {
			assert_int_not_equal(ret, -ENOMEM);
		}
		if (f->op % 50 == 0)
			check_tree(f);
		if (f->op % (ops / 3) == ops / 3 - 1) {
			check_pages(f, 0, f->last, true);
			do_unmap(f, 0, f->last + 1);
			check_tree(f);
			assert_int_equal(f->mem.in_use, spec->root_pages);
		}
	}
	if (overlaps < ops / 50 || mapped < ops / 50 || starved < ops / 500)
		where(f, "the sequence doesn't reach what it should", 0);
	close_table(f);
}

/* Another geometry of a format that has been through needs less. */
static bool is_variant(unsigned s)
{
	return s > 0 && specs[s].ops == specs[s - 1].ops;
}

/* Of Arm's formats, the largest leaves will do. */
static bool worth(unsigned s, unsigned shift)
{
	return !specs[s].input_bits || shift == specs[s].max_leaf_shift;
}

static unsigned ops_of(unsigned s, unsigned most)
{
	most /= sample();
	return !specs[s].input_bits ? most : is_variant(s) ? most / 10 : most / 6;
}

static void test_random(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++)
		for (unsigned levels = specs[s].low_levels; levels <= specs[s].high_levels; levels++)
			for (unsigned shift = specs[s].page_shift; shift <= specs[s].max_leaf_shift; shift += specs[s].index_bits)
				if (worth(s, shift))
					random_ops(&specs[s], levels, shift, false, ops_of(s, 3000));
}

static void test_random_noncoherent(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++)
		for (unsigned levels = specs[s].low_levels; levels <= specs[s].high_levels; levels++)
			for (unsigned shift = specs[s].page_shift; shift <= specs[s].max_leaf_shift; shift += specs[s].index_bits)
				if (worth(s, shift))
					random_ops(&specs[s], levels, shift, true, ops_of(s, 1500));
}

/* ---- Allocation failures ---- */

/* All tables, and which they are, before an operation that is to fail. */
struct snapshot {
	uint64_t *pages;
	bool used[MEM_PAGES];
	size_t table_bytes;
};

static void take_snapshot(const struct fixture *f, struct snapshot *s)
{
	memcpy(s->pages, f->mem.pages, MEM_PAGES * 4096ull);
	memcpy(s->used, f->mem.used, sizeof(s->used));
	s->table_bytes = f->pt.table_bytes;
}

static void check_snapshot(const struct fixture *f, const struct snapshot *s)
{
	assert_memory_equal(s->used, f->mem.used, sizeof(s->used));
	assert_int_equal(s->table_bytes, f->pt.table_bytes);
	for (unsigned i = 0; i < MEM_PAGES; i++)
		if (s->used[i])
			assert_memory_equal(s->pages + i * 512, f->mem.pages + i * 512, 4096);
}

/*
 * An operation that fails at its 1st, 2nd, ... allocation changes nothing, to the byte; then it
 * works.
 */
static void starve(struct fixture *f, struct snapshot *s, bool map, uint64_t iova, uint64_t size,
		   unsigned expected)
{
	unsigned n = 0;

	f->op++;
	take_snapshot(f, s);
	for (;; n++) {
		int64_t ret;

		f->mem.fail_after = (int)n;
		ret = map ? do_map(f, iova, iova + 64 * GIB, size, IOMMU_READ | IOMMU_WRITE)
			  : do_unmap(f, iova, size);
		if (ret != -ENOMEM)
			break;
		check_snapshot(f, s);
	}
	f->mem.fail_after = -1;
	assert_int_equal(n, expected);
	check_tree(f);
}

static void test_starved(void **unused)
{
	static struct fixture fixture;
	static struct snapshot snapshot;
	struct fixture *f = &fixture;

	(void)unused;
	snapshot.pages = malloc(MEM_PAGES * 4096ull);
	assert_non_null(snapshot.pages);
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		/* The figures are of tables with 512 entries. */
		for (unsigned levels = specs[s].low_levels; levels <= specs[s].high_levels && specs[s].page_shift == 12 &&
							    !(s > 0 && specs[s].ops == specs[s - 1].ops);
		     levels++) {
			open_table(f, &specs[s], levels, 30, false, false);
			add_window(f, 0, 4 * GIB);
			/* One page: a table for each level below the root. */
			starve(f, &snapshot, true, 5 * 4096, 4096, levels - 1);
			starve(f, &snapshot, true, 6 * 4096, 4096, 0);
			starve(f, &snapshot, true, 2 * MIB + 4096, 4096, 1);
			/*
			 * Over the boundary of a gigabyte: a table for the pages before it, two for
			 * those behind.
			 */
			starve(f, &snapshot, true, GIB - 8 * 4096, 16 * 4096, 3);
			/*
			 * From the middle of a table that is there, over large pages, to the middle
			 * of one that isn't.
			 */
			starve(f, &snapshot, true, 2 * MIB + 8 * 4096, 6 * MIB, 1);
			starve(f, &snapshot, false, 0, 2 * GIB, 0);
			check_bare(f);
			/*
			 * The table of gigabytes has stayed.
			 * Splits: a page out of the middle of a gigabyte; then its neighbour; then
			 * out of another 2 MiB.
			 */
			starve(f, &snapshot, true, GIB, 2 * GIB, 0);
			starve(f, &snapshot, false, GIB + 777 * 4096, 4096, 2);
			starve(f, &snapshot, false, GIB + 776 * 4096, 4096, 0);
			starve(f, &snapshot, false, GIB + 2 * MIB - 4096, 2 * 4096, 1);
			/*
			 * Both ends in one gigabyte but in different 2 MiB; and both ends in
			 * different gigabytes.
			 */
			starve(f, &snapshot, false, 2 * GIB + 4096, 4 * MIB, 3);
			starve(f, &snapshot, false, 0, 4 * GIB, 0);
			starve(f, &snapshot, true, GIB, 2 * GIB, 0);
			starve(f, &snapshot, false, GIB + GIB / 2, GIB, 2);
			starve(f, &snapshot, false, 0, 4 * GIB, 0);
			starve(f, &snapshot, true, GIB, 2 * GIB, 0);
			starve(f, &snapshot, false, 2 * GIB - 4096, 2 * 4096, 4);
			check_pages(f, 0, 4 * GIB - 1, true);
			close_table(f);
		}
	}
	free(snapshot.pages);
}

static unsigned usual_levels(const struct spec *spec)
{
	return spec->high_levels < 4 ? spec->high_levels : 4;
}

static void test_starved_init(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		unsigned levels = usual_levels(&specs[s]);
		struct iommu_pgtable_config config = {.levels = levels, .output_bits = 46, .max_page_shift = specs[s].page_shift,
						      .input_bits = specs[s].input_bits ? spec_address_bits(&specs[s], levels) : 0};
		struct iommu_pgtable pt;
		static struct mem mem;

		mem_init(&mem, false);
		config.port = &mem.port;
		mem.fail_after = 0;
		assert_int_equal(specs[s].ops->init(&pt, &config), -ENOMEM);
		mem_destroy(&mem);
	}
}

/* ---- Arguments ---- */

static void test_config(void **unused)
{
	static struct mem mem;

	(void)unused;
	mem_init(&mem, true);
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		const struct iommu_pgtable_config good = {
			.port = &mem.port, .levels = usual_levels(&specs[s]), .max_page_shift = spec_shift(&specs[s], 1),
			.input_bits = specs[s].input_bits ? spec_address_bits(&specs[s], usual_levels(&specs[s])) : 0,
			.output_bits = specs[s].output_bits};
		struct iommu_pgtable_config config;
		struct iommu_pgtable pt;

		for (unsigned levels = 0; levels < 10; levels++) {
			int expected =
				levels >= specs[s].min_levels && levels <= specs[s].max_levels
					? 0
					: -EINVAL;

			config = good;
			config.levels = levels;
			if (specs[s].input_bits)
				config.input_bits = spec_address_bits(&specs[s], levels);
			assert_int_equal(specs[s].ops->init(&pt, &config), expected);
			if (!expected)
				specs[s].ops->destroy(&pt);
		}
		for (unsigned shift = 0; shift < 64; shift++) {
			int expected = shift >= specs[s].page_shift && shift <= specs[s].max_leaf_shift &&
				       (shift - specs[s].page_shift) % specs[s].index_bits == 0 ? 0 : -EINVAL;

			config = good;
			config.max_page_shift = shift;
			assert_int_equal(specs[s].ops->init(&pt, &config), expected);
			if (!expected)
				specs[s].ops->destroy(&pt);
		}
		config = good;
		config.output_bits = specs[s].output_bits + 1;
		assert_int_equal(specs[s].ops->init(&pt, &config), -EINVAL);
		config.output_bits = 0;
		assert_int_equal(specs[s].ops->init(&pt, &config), -EINVAL);
		/* Flags that the hardware puts behind the CPU's cache can't be read. */
		config = good;
		config.noncoherent = config.dirty = true;
		assert_int_equal(specs[s].ops->init(&pt, &config), -EINVAL);
		/* Nor are flags of contiguous pages each page's own; and not every format has the hint. */
		config.noncoherent = false;
		config.contiguous = true;
		assert_int_equal(specs[s].ops->init(&pt, &config), -EINVAL);
		config.dirty = false;
		assert_int_equal(specs[s].ops->init(&pt, &config), specs[s].groups(0) ? 0 : -EINVAL);
		if (specs[s].groups(0))
			specs[s].ops->destroy(&pt);
		config = good;
		config.noncoherent = true;
		mem.port.writeback = NULL;
		assert_int_equal(specs[s].ops->init(&pt, &config), -EINVAL);
		mem.port.writeback = mem_writeback;
		assert_int_equal(mem.in_use, 0);
	}
	mem_destroy(&mem);
}

static void count_report(void *ctx, uint64_t iova, uint64_t size)
{
	(void)iova;
	(void)size;
	++*(unsigned *)ctx;
}

static void test_arguments(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	const unsigned rw = IOMMU_READ | IOMMU_WRITE;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		const struct iommu_pgtable_ops *ops = specs[s].ops;
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		unsigned reports = 0, possible = 0;
		const uint64_t P = spec_page(&specs[s]);
		uint64_t phys;

		open_table(f, &specs[s], usual_levels(&specs[s]), specs[s].max_leaf_shift, false, false);
		assert_int_equal(ops->map(&f->pt, 1, 0, P, rw), -EINVAL);
		assert_int_equal(ops->map(&f->pt, 0, 1, P, rw), -EINVAL);
		assert_int_equal(ops->map(&f->pt, 0, 0, P - 1, rw), -EINVAL);
		assert_int_equal(ops->map(&f->pt, 0, 0, 0, rw), -EINVAL);
		/* Nothing was mapped yet, nor is anything near. */
		assert_int_equal(ops->map(&f->pt, 0, 0, 0, IOMMU_READ), -EINVAL);
		assert_int_equal(ops->map(&f->pt, 0, 0, 1, IOMMU_READ), -EINVAL);
		assert_int_equal(ops->unmap(&f->pt, 0, 0, &gather), -EINVAL);
		assert_int_equal(ops->unmap(&f->pt, 0, 1, &gather), -EINVAL);
		for (unsigned prot = 0; prot < 32; prot++) {
			bool can = false;

			for (unsigned i = 0; specs[s].prots[i]; i++)
				can |= specs[s].prots[i] == (prot & ~IOMMU_MMIO); /* ignored */
			possible += can;
			assert_int_equal(ops->map(&f->pt, prot * P, 0, P, prot),
					 can ? 0 : -EINVAL);
		}
		assert_int_equal(ops->unmap(&f->pt, 0, 32 * P, &gather),
				 possible * P);
		iommu_gather_free(&f->pt, &gather);

		/* The ends of both address spaces, and over them. */
		assert_int_equal(ops->map(&f->pt, f->last + 1, 0, P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, f->last - (P - 1), 0, 2 * P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, P, 0, -P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, -P, 0, 2 * P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, 0, 1ull << 46, P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, 0, (1ull << 46) - P, 2 * P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, 0, -P, 2 * P, rw), -ERANGE);
		assert_int_equal(ops->map(&f->pt, f->last - (P - 1), (1ull << 46) - P, P, rw),
				 0);
		assert_int_equal(ops->unmap(&f->pt, f->last + 1, P, &gather), -ERANGE);
		assert_int_equal(ops->unmap(&f->pt, 0, f->last + P + 1, &gather), -ERANGE);
		assert_int_equal(ops->unmap(&f->pt, 1, P, &gather), -EINVAL);
		assert_int_equal(ops->unmap(&f->pt, P, 1, &gather), -EINVAL);
		assert_int_equal(ops->unmap(&f->pt, P, 0, &gather), -EINVAL);
		assert_int_equal(ops->iova_to_phys(&f->pt, f->last, &phys, NULL), 0);
		assert_int_equal(phys, (1ull << 46) - 1);
		assert_int_equal(ops->iova_to_phys(&f->pt, f->last + 1, &phys, NULL), -ENOENT);
		assert_int_equal(ops->iova_to_phys(&f->pt, UINT64_MAX, &phys, NULL), -ENOENT);
		assert_int_equal(
			ops->read_and_clear_dirty(&f->pt, 0, P, &gather, count_report, &reports),
			-EOPNOTSUPP);
		assert_true(gather.first > gather.last && !gather.tables && !reports);
		close_table(f);

		open_table(f, &specs[s], usual_levels(&specs[s]), specs[s].max_leaf_shift, false, true);
		assert_int_equal(
			ops->read_and_clear_dirty(&f->pt, 0, 1, &gather, count_report, &reports),
			-EINVAL);
		assert_int_equal(ops->read_and_clear_dirty(&f->pt, f->last + 1, P, &gather,
							   count_report, &reports),
				 -ERANGE);
		assert_int_equal(ops->read_and_clear_dirty(&f->pt, 0, f->last + 1, &gather,
							   count_report, &reports),
				 0);
		assert_int_equal(reports, 0);
		close_table(f);
	}
}

/* ---- What an unmap costs ---- */

/*
 * A gigabyte of small pages goes without a look at the pages: their tables stay as they were but
 * for the first word.
 */
static void test_subtree(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		unsigned whole = 0;

		if (specs[s].page_shift != 12)
			continue;
		open_table(f, &specs[s], usual_levels(&specs[s]), 12, false, false);
		assert_int_equal(specs[s].ops->map(&f->pt, 0, GIB, GIB, IOMMU_READ), 0);
		assert_int_equal(f->mem.in_use, specs[s].root_pages + (usual_levels(&specs[s]) - 2) + 512);
		assert_int_equal(specs[s].ops->unmap(&f->pt, 0, GIB, &gather), GIB);
		/* The one that they were in stays. */
		assert_int_equal(gather.tables, 512);
		assert_int_equal(gather.first, 0);
		assert_int_equal(gather.last, GIB - 1);
		assert_int_equal(gather.leaf_shift, 12);
		for (uint64_t phys = gather.free_list; phys; phys = *mem_at(f->mem.pages, phys))
			whole += specs[s].present(mem_at(f->mem.pages, phys)[511]);
		assert_true(whole >= 512);
		iommu_gather_free(&f->pt, &gather);
		check_bare(f);
		close_table(f);
	}
}

/* Write-backs are by stretches of a table, not by entries. */
static void test_writeback_batches(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		if (specs[s].page_shift != 12)
			continue;
		open_table(f, &specs[s], usual_levels(&specs[s]), 21, true, false);
		add_window(f, 0, 8 * MIB);
		f->mem.writebacks = 0;
		assert_int_equal(do_map(f, 0, GIB + 4096, 2 * MIB, IOMMU_READ), 0);
		assert_int_equal(f->mem.writebacks, usual_levels(&specs[s]) - 1 + 1);
		f->mem.writebacks = 0;
		assert_int_equal(do_unmap(f, 4096, 100 * 4096), 100 * 4096);
		assert_int_equal(f->mem.writebacks, 1);
		f->mem.writebacks = 0;
		assert_int_equal(do_map(f, 4096, GIB, 100 * 4096, IOMMU_READ), 0);
		assert_int_equal(f->mem.writebacks, 1);
		close_table(f);
	}
}

/* ---- Depths that only AMD's host tables have, and growth ---- */

/* One page at either end of what `levels` levels reach, and none beyond. */
static void test_every_depth(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	const struct spec *spec = &specs[2];
	const unsigned rw = IOMMU_READ | IOMMU_WRITE;

	(void)unused;
	assert_ptr_equal(spec->ops, &iommu_pgtable_amdv1);
	for (unsigned levels = 1; levels <= 6; levels++) {
		const struct iommu_pgtable_config config = { .port = &f->mem.port, .levels = levels, .max_page_shift = 30,
							     .output_bits = 46 };
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		uint64_t last = levels == 6 ? UINT64_MAX : (1ull << (12 + 9 * levels)) - 1, phys;

		memset(f, 0, sizeof(*f));
		mem_init(&f->mem, false);
		assert_int_equal(spec->ops->init(&f->pt, &config), 0);
		assert_int_equal(f->pt.last, last);
		assert_int_equal(f->pt.grow_last, 0);
		assert_int_equal(spec->ops->map(&f->pt, 0, 0x5000, 4096, rw), 0);
		assert_int_equal(spec->ops->map(&f->pt, last - 4095, 0x6000, 4096, rw), 0);
		assert_int_equal(spec->ops->map(&f->pt, last - 4095, 0x6000, 4096, rw), -EEXIST);
		assert_int_equal(spec->ops->iova_to_phys(&f->pt, last, &phys, NULL), 0);
		assert_int_equal(phys, 0x6fff);
		assert_int_equal(walk(spec, f->mem.pages, spec->ops->root_phys(&f->pt), levels, last).phys, 0x6fff);
		assert_int_equal(walk(spec, f->mem.pages, spec->ops->root_phys(&f->pt), levels, 0).phys, 0x5000);
		assert_int_equal(walk(spec, f->mem.pages, spec->ops->root_phys(&f->pt), levels, 0x1000).shift, 0);
		assert_int_equal(spec->ops->unmap(&f->pt, last - 4095, 4096, &gather), 4096);
		iommu_gather_free(&f->pt, &gather);
		assert_int_equal(spec->ops->unmap(&f->pt, 0, 4096, &gather), 4096);
		iommu_gather_free(&f->pt, &gather);
		/* The first chain of tables has made way for the second. */
		if (iommu_pgtable_retired(&f->pt, &gather))
			iommu_gather_free(&f->pt, &gather);
		assert_int_equal(f->mem.in_use, levels);
		spec->ops->destroy(&f->pt);
		mem_destroy(&f->mem);
	}
}

/* A level more at a time, from one to six: what was mapped stays, by the old root and by the new one. */
static void test_growth(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	const struct spec *spec = &specs[2];
	const unsigned rw = IOMMU_READ | IOMMU_WRITE;

	(void)unused;
	for (unsigned empty = 0; empty < 2; empty++) {
		struct iommu_pgtable_config config = { .port = &f->mem.port, .levels = 1, .max_levels = 6,
						       .max_page_shift = 30, .output_bits = 46 };
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		struct iommu_pgtable grown;

		memset(f, 0, sizeof(*f));
		mem_init(&f->mem, false);
		assert_int_equal(spec->ops->init(&f->pt, &config), 0);
		if (!empty)
			assert_int_equal(spec->ops->map(&f->pt, 0x3000, 0x7000, 4096, rw), 0);
		for (unsigned levels = 2; levels <= 6; levels++) {
			uint64_t old_root = spec->ops->root_phys(&f->pt), old_last = f->pt.last;
			unsigned in_use = f->mem.in_use;
			struct iommu_pgtable before = f->pt;

			assert_int_equal(f->pt.grow_last, UINT64_MAX);
			f->mem.fail_after = 0;
			assert_int_equal(spec->ops->grow(&f->pt, &grown, &gather), -ENOMEM);
			f->mem.fail_after = -1;
			assert_int_equal(spec->ops->grow(&f->pt, &grown, &gather), 0);
			spec->ops->ungrow(&grown);
			gather = (struct iommu_gather)IOMMU_GATHER_INIT;
			assert_memory_equal(&before, &f->pt, sizeof(before));
			assert_int_equal(f->mem.in_use, in_use);

			assert_int_equal(spec->ops->grow(&f->pt, &grown, &gather), 0);
			f->pt = grown;
			assert_int_equal(gather.old_root != NULL, empty && levels == 2);
			iommu_gather_free(&f->pt, &gather);
			assert_int_equal(f->pt.config.levels, levels);
			assert_true(f->pt.last > old_last);
			if (!empty || levels > 2) {
				assert_int_equal(walk(spec, f->mem.pages, old_root, levels - 1, empty ? old_last : 0x3000).shift, 12);
				assert_int_equal(walk(spec, f->mem.pages, spec->ops->root_phys(&f->pt), levels,
						      empty ? old_last : 0x3000).shift, 12);
			}
			/* Beyond the old end, and over it. */
			assert_int_equal(spec->ops->map(&f->pt, f->pt.last - 4095, 0x9000, 4096, rw), 0);
			assert_int_equal(walk(spec, f->mem.pages, spec->ops->root_phys(&f->pt), levels, f->pt.last).phys, 0x9fff);
			f->spec = spec;
			f->config.levels = levels;
			check_tree(f);
		}
		assert_int_equal(f->pt.grow_last, 0);
		assert_int_equal(spec->ops->grow(&f->pt, &grown, &gather), -ERANGE);
		assert_true(spec->ops->unmap(&f->pt, 0, UINT64_MAX - 4095, &gather) > 0);
		iommu_gather_free(&f->pt, &gather);
		spec->ops->destroy(&f->pt);
		mem_destroy(&f->mem);
	}
}

/* ---- What only Arm's tables have ---- */

/* Addresses of 52 bits: bits 51:48 are in 15:12 of pages, blocks and tables (64 KiB granule). */
static void test_wide_addresses(void **unused)
{
	static struct mem mem;
	static const struct iommu_pgtable_ops *const formats[] = {&iommu_pgtable_lpae_s1_64k, &iommu_pgtable_lpae_s2_64k};
	const uint64_t phys = 0xabcdeull << 32, large = 1ull << 29;

	(void)unused;
	mem_init(&mem, false);
	for (unsigned i = 0; i < 2; i++) {
		const struct iommu_pgtable_config config = {.port = &mem.port, .levels = 3, .input_bits = 52, .max_page_shift = 29,
							    .output_bits = 52};
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		struct iommu_pgtable pt;
		uint64_t got, *root, *table;

		assert_int_equal(formats[i]->init(&pt, &config), 0);
		assert_int_equal(pt.last, (1ull << 52) - 1);
		root = pt.root;
		assert_int_equal(formats[i]->map(&pt, 1ull << 51, phys, large, IOMMU_READ), 0);
		assert_int_equal(formats[i]->map(&pt, (1ull << 51) + large, phys + 0x10000, 0x10000, IOMMU_READ), 0);
		table = mem_at(mem.pages, root[1 << 9] & 0x0000ffffffff0000ull);
		assert_int_equal(table[0] & 0x0000fffffffff003ull, 0x0000bcde0000a001ull);
		table = mem_at(mem.pages, table[1] & 0x0000ffffffff0000ull);
		assert_int_equal(table[0] & 0x0000fffffffff003ull, 0x0000bcde0001a003ull);
		assert_int_equal(formats[i]->iova_to_phys(&pt, (1ull << 51) + 0x12345, &got, NULL), 0);
		assert_int_equal(got, phys + 0x12345);
		assert_int_equal(formats[i]->iova_to_phys(&pt, (1ull << 51) + large + 0x345, &got, NULL), 0);
		assert_int_equal(got, phys + 0x10345);
		/* The block falls apart into pages that lead there too. */
		assert_int_equal(formats[i]->unmap(&pt, 1ull << 51, 0x10000, &gather), 0x10000);
		assert_int_equal(formats[i]->iova_to_phys(&pt, (1ull << 51) + 0x12345, &got, NULL), 0);
		assert_int_equal(got, phys + 0x12345);
		iommu_gather_free(&pt, &gather);
		formats[i]->destroy(&pt);
	}
	mem_destroy(&mem);
}

/* Where large and small leaves must not meet, a part of a large leaf can't be unmapped, and nothing changes; the whole can. */
static void test_no_split(void **unused)
{
	static struct snapshot snapshot;
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	snapshot.pages = malloc(MEM_PAGES * 4096ull);
	assert_non_null(snapshot.pages);
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		uint64_t page = spec_page(&specs[s]), large = page << specs[s].index_bits;
		struct iommu_gather gather = IOMMU_GATHER_INIT;

		open_table(f, &specs[s], usual_levels(&specs[s]), specs[s].max_leaf_shift, false, false);
		f->pt.config.no_split = true;
		assert_int_equal(specs[s].ops->map(&f->pt, 0, 0, 3 * large + 64 * page, IOMMU_READ), 0);
		take_snapshot(f, &snapshot);
		assert_int_equal(specs[s].ops->unmap(&f->pt, page, page, &gather), -EOPNOTSUPP);
		/* From the pages behind into the last block, and from the first into the second. */
		assert_int_equal(specs[s].ops->unmap(&f->pt, 3 * large - page, 2 * page, &gather), -EOPNOTSUPP);
		assert_int_equal(specs[s].ops->unmap(&f->pt, 0, large + page, &gather), -EOPNOTSUPP);
		check_snapshot(f, &snapshot);
		assert_true(gather.first > gather.last && !gather.tables);
		assert_int_equal(specs[s].ops->unmap(&f->pt, large, 2 * large + page, &gather), 2 * large + page);
		iommu_gather_free(&f->pt, &gather);
		close_table(f);
	}
	free(snapshot.pages);
}

/* Where a large leaf must be marked and forgotten before it is split: the first unmap only marks, the second is like any other. */
static void test_mark_split(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		const struct iommu_pgtable_ops *ops = specs[s].ops;
		unsigned order = (unsigned)__builtin_ctz(specs[s].groups(1) | 1u << 31);
		uint64_t page = spec_page(&specs[s]), large = page << specs[s].index_bits, phys, *slot, before;
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		struct iommu_pgtable_config config;
		struct iommu_pgtable pt;

		open_table(f, &specs[s], usual_levels(&specs[s]), specs[s].max_leaf_shift, false, false);
		config = f->config;
		config.mark_split = true;
		if (!specs[s].input_bits) {
			assert_int_equal(ops->init(&pt, &config), -EINVAL);
			close_table(f);
			continue;
		}
		f->pt.config.mark_split = true;
		/* A group of large leaves, and pages behind it. */
		assert_int_equal(ops->map(&f->pt, 0, large << order, (large << order) + 3 * page, IOMMU_READ), 0);
		slot = walk(&specs[s], f->mem.pages, ops->root_phys(&f->pt), f->config.levels, large).slot;
		before = *slot;
		assert_true(before & 1ull << 52);
		assert_int_equal(ops->unmap(&f->pt, large + 5 * page, page, &gather), -EAGAIN);
		assert_int_equal(*slot, (before & ~(1ull << 52)) | 1u << 16);
		assert_int_equal(gather.first, 0); /* the group was one */
		assert_int_equal(gather.last, (large << order) - 1);
		assert_int_equal(gather.tables, 0);
		/* It says the same as before. */
		assert_int_equal(ops->iova_to_phys(&f->pt, large + 5 * page + 8, &phys, NULL), 0);
		assert_int_equal(phys, (large << order) + large + 5 * page + 8);
		gather = (struct iommu_gather)IOMMU_GATHER_INIT;
		assert_int_equal(ops->unmap(&f->pt, large + 5 * page, page, &gather), page);
		assert_int_equal(gather.last, 2 * large - 1);
		iommu_gather_free(&f->pt, &gather);
		assert_int_equal(ops->iova_to_phys(&f->pt, large + 5 * page, &phys, NULL), -ENOENT);
		assert_int_equal(ops->iova_to_phys(&f->pt, large + 6 * page, &phys, NULL), 0);
		assert_int_equal(phys, (large << order) + large + 6 * page);
		/* Both ends at once; and what is unmapped whole needs no mark. */
		assert_int_equal(ops->unmap(&f->pt, 3 * large - page, large + 2 * page, &gather), -EAGAIN);
		assert_int_equal(gather.first, 2 * large);
		assert_int_equal(gather.last, 5 * large - 1);
		gather = (struct iommu_gather)IOMMU_GATHER_INIT;
		assert_int_equal(ops->unmap(&f->pt, 3 * large - page, large + 2 * page, &gather), large + 2 * page);
		iommu_gather_free(&f->pt, &gather);
		assert_int_equal(ops->unmap(&f->pt, 6 * large, large, &gather), large);
		iommu_gather_free(&f->pt, &gather);
		close_table(f);
	}
}

/* More than the count can say: a table empties page by page, from either end, and is known to be empty with the last one. */
static void test_saturated_count(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++)
		for (unsigned order = 0; order < 2; order++) {
			if (specs[s].page_shift != 12)
				continue;
			open_table(f, &specs[s], usual_levels(&specs[s]), 30, false, false);
			add_window(f, 0, 2 * MIB);
			for (unsigned i = 0; i < 512; i++) {
				assert_int_equal(do_map(f, i * 4096ull, (i + 7) * 4096ull, 4096, IOMMU_READ), 0);
				check_tree(f);
			}
			for (unsigned i = 0; i < 512; i++) {
				assert_int_equal(do_unmap(f, (order ? 511 - i : i) * 4096ull, 4096), 4096);
				check_tree(f);
			}
			assert_non_null(f->pt.idle.table);
			check_bare(f);
			close_table(f);
		}
}

/*
 * The idle table: one page over and over costs no table; another table that becomes empty takes its place; a large leaf and an
 * unmap of all around it find it out of the way.
 */
static void test_idle(void **unused)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		uint64_t *first;
		unsigned in_use;

		if (specs[s].page_shift != 12)
			continue;
		open_table(f, &specs[s], usual_levels(&specs[s]), 30, false, false);
		add_window(f, 0, 4 * GIB);
		assert_int_equal(do_map(f, 0, 0, 4096, IOMMU_READ), 0);
		in_use = f->mem.in_use;
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(do_unmap(f, 0, 4096), 4096);
			assert_int_equal(f->mem.in_use, in_use);
			check_tree(f);
			assert_int_equal(do_map(f, 0, 0, 4096, IOMMU_READ), 0);
			assert_int_equal(f->mem.in_use, in_use);
			check_tree(f);
		}
		first = f->pt.idle.table;
		assert_non_null(first);
		/* In use, it does not count as idle, whatever is remembered. */
		assert_int_equal(do_map(f, GIB, 0, 4096, IOMMU_READ), 0);
		assert_int_equal(do_unmap(f, GIB, 4096), 4096);
		assert_ptr_not_equal(f->pt.idle.table, first);
		check_tree(f);
		assert_int_equal(do_unmap(f, 0, 4096), 4096);
		assert_ptr_equal(f->pt.idle.table, first);
		check_tree(f);
		check_bare(f);
		/* A leaf in the place of a table above the idle one; the oracle knows how large it must be. */
		assert_int_equal(do_map(f, 0, 0, GIB, IOMMU_READ), 0);
		check_tree(f);
		assert_int_equal(do_unmap(f, 0, GIB), GIB);
		check_tree(f);
		/* Nothing is mapped, and the idle table is all that goes. */
		assert_int_equal(do_map(f, 2 * MIB, 0, 4096, IOMMU_READ), 0);
		assert_int_equal(do_unmap(f, 2 * MIB, 4096), 4096);
		assert_int_equal(do_unmap(f, 0, 4 * MIB), 0);
		assert_null(f->pt.idle.table);
		check_tree(f);
		close_table(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),	     cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_starved_init), cmocka_unit_test(test_starved),
		cmocka_unit_test(test_subtree),	     cmocka_unit_test(test_writeback_batches),
		cmocka_unit_test(test_every_depth), cmocka_unit_test(test_growth), cmocka_unit_test(test_saturated_count), cmocka_unit_test(test_idle),
		cmocka_unit_test(test_wide_addresses), cmocka_unit_test(test_no_split), cmocka_unit_test(test_mark_split),
		cmocka_unit_test(test_random),	     cmocka_unit_test(test_random_noncoherent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
