/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pgtable_common.h - what the page-table tests share: memory that knows what a non-coherent walker
 * would see, and a walker written from the specification, in plain numbers: it shares nothing with
 * the engine or the layouts.
 */
#ifndef PGTABLE_COMMON_H
#define PGTABLE_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/port.h>

#include "pgtable/pgtable.h"

/* ---- Memory ---- */

#define MEM_PAGES 8192u
#define MEM_PHYS  0x12340000000ull /* of the first page */

/*
 * Pages are handed out zeroed and are filled with 1 bits (present everywhere, leading nowhere good)
 * when freed. `shadow` is what a walker that doesn't snoop sees: only writeback() gets anything
 * into it.
 */
struct mem {
	uint64_t *pages, *shadow;
	bool used[MEM_PAGES];
	bool written[MEM_PAGES];	/* shadow has seen the whole page since it was allocated */
	unsigned written_at[MEM_PAGES]; /* when it first has, counted in barriers */
	unsigned in_use, next;
	int fail_after; /* so many allocations succeed; < 0: all */
	unsigned allocations;
	unsigned writebacks, barriers;
	bool want_shadow;
	void (*on_writeback)(struct mem *m);
	void *test;
	struct hitless_port port;
};

static inline uint64_t *mem_at(uint64_t *base, uint64_t phys)
{
	uint64_t offset = phys - MEM_PHYS;

	assert_true(offset < MEM_PAGES * 4096ull && offset % 8 == 0);
	return base + offset / 8;
}

static inline unsigned mem_page(const struct mem *m, const void *p)
{
	size_t offset = (size_t)((const char *)p - (const char *)m->pages);

	assert_true(offset < MEM_PAGES * 4096ull);
	return (unsigned)(offset / 4096);
}

static void *mem_alloc_pages(void *ctx, size_t bytes)
{
	struct mem *m = ctx;

	assert_int_equal(bytes, 4096);
	if (m->fail_after == 0)
		return NULL;
	if (m->fail_after > 0)
		m->fail_after--;
	for (unsigned i = 0; i < MEM_PAGES; i++) {
		unsigned page = (m->next + i) % MEM_PAGES;

		if (m->used[page])
			continue;
		m->next = page + 1;
		m->used[page] = true;
		m->written[page] = false;
		m->in_use++;
		m->allocations++;
		memset(m->pages + page * 512, 0, 4096);
		return m->pages + page * 512;
	}
	fail_msg("the test's memory is too small");
	return NULL;
}

static void mem_free_pages(void *ctx, void *p, size_t bytes)
{
	struct mem *m = ctx;
	unsigned page = mem_page(m, p);

	assert_int_equal(bytes, 4096);
	assert_true(m->used[page]);
	m->used[page] = false;
	m->in_use--;
	memset(m->pages + page * 512, 0xff, 4096);
	if (m->want_shadow)
		memset(m->shadow + page * 512, 0xff, 4096);
}

static void mem_writeback(void *ctx, const void *p, size_t bytes)
{
	struct mem *m = ctx;
	size_t offset = (size_t)((const char *)p - (const char *)m->pages);

	mem_page(m, p);
	memcpy((char *)m->shadow + offset, p, bytes);
	if (offset % 4096 == 0 && bytes == 4096 && !m->written[offset / 4096]) {
		m->written[offset / 4096] = true;
		m->written_at[offset / 4096] = m->barriers;
	}
	m->writebacks++;
	if (m->on_writeback)
		m->on_writeback(m);
}

static void mem_barrier(void *ctx)
{
	struct mem *m = ctx;

	m->barriers++;
}

static inline void mem_init(struct mem *m, bool want_shadow)
{
	memset(m, 0, sizeof(*m));
	m->pages = aligned_alloc(4096, MEM_PAGES * 4096ull);
	assert_non_null(m->pages);
	memset(m->pages, 0xff, MEM_PAGES * 4096ull);
	m->want_shadow = want_shadow;
	if (want_shadow) {
		m->shadow = aligned_alloc(4096, MEM_PAGES * 4096ull);
		assert_non_null(m->shadow);
		memset(m->shadow, 0xff, MEM_PAGES * 4096ull);
	}
	m->fail_after = -1;
	m->port = (struct hitless_port){
		.ctx = m,
		.direct_map = (uintptr_t)m->pages - (uintptr_t)MEM_PHYS,
		.alloc_pages = mem_alloc_pages,
		.free_pages = mem_free_pages,
		.write_barrier = mem_barrier,
		.writeback = want_shadow ? mem_writeback : NULL,
	};
}

static inline void mem_destroy(struct mem *m)
{
	assert_int_equal(m->in_use, 0);
	free(m->pages);
	free(m->shadow);
}

/* ---- The formats, from the specification's figures ---- */

struct spec {
	const struct iommu_pgtable_ops *ops;
	unsigned min_levels, max_levels;
	unsigned low_levels, high_levels; /* those that the long sequences run on */
	unsigned unusable_bits; /* of the address, at the top */
	unsigned (*count)(uint64_t entry);
	unsigned count_max;	/* counts go no further */
	bool (*present)(uint64_t entry);
	unsigned (*rights)(uint64_t entry);
	uint64_t accessed, dirty;
	bool (*is_page)(uint64_t entry);		    /* above the last level */
	bool (*table_ok)(uint64_t entry, unsigned level); /* all but address, accessed flag and count is as it must be */
	bool preset;	       /* unless dirty pages are recorded, leaves start out accessed and dirty */
	uint64_t leaf_known;   /* what a leaf may have set beside its address */
	const unsigned *prots; /* what can be mapped, ending with 0 */
};

/* Figure "Format for second-stage paging entries": R, W in bits 0, 1; page size 7; A 8; D 9. */
static bool ss_present(uint64_t entry)
{
	return (entry & 3) != 0;
}

static unsigned ss_rights(uint64_t entry)
{
	return (entry & 1 ? IOMMU_READ : 0) | (entry & 2 ? IOMMU_WRITE : 0);
}

/*
 * Figure "Format for first-stage paging entries": P 0, R/W 1, U/S 2, A 5, D 6, page size 7. A user
 * page, always.
 */
static bool fs_present(uint64_t entry)
{
	return (entry & 1) != 0;
}

static unsigned fs_rights(uint64_t entry)
{
	return !(entry & 4) ? 0 : IOMMU_READ | (entry & 2 ? IOMMU_WRITE : 0);
}

static bool is_large(uint64_t entry)
{
	return entry & 1u << 7;
}

static unsigned ss_count(uint64_t entry)
{
	return entry >> 52 & 0x3ff;
}

static unsigned fs_count(uint64_t entry)
{
	return entry >> 52 & 0x7ff;
}

static bool ss_table_ok(uint64_t entry, unsigned level)
{
	(void)level;
	return (entry & 0xfff & ~(1ull << 8)) == 3 && !(entry >> 62);
}

static bool fs_table_ok(uint64_t entry, unsigned level)
{
	(void)level;
	return (entry & 0xfff & ~(1ull << 5)) == 7 && !(entry >> 63);
}

/*
 * AMD, figures "I/O Page Translation Entry" and "I/O Page Directory Entry": PR 0, A 5, D 6, next level 11:9, FC 60, IR 61,
 * IW 62; ignored are 4:1, 8:7, 63.
 */
static unsigned amd_rights(uint64_t entry)
{
	return (entry >> 61 & 1 ? IOMMU_READ : 0) | (entry >> 62 & 1 ? IOMMU_WRITE : 0);
}

static bool amd_is_page(uint64_t entry)
{
	return (entry >> 9 & 7) == 0 || (entry >> 9 & 7) == 7;
}

static unsigned amd_count(uint64_t entry)
{
	return (unsigned)((entry >> 1 & 15) | (entry >> 7 & 3) << 4 | entry >> 63 << 6);
}

static bool amd_table_ok(uint64_t entry, unsigned level)
{
	return (entry & 0xe41) == (1 | level << 9) && (entry >> 52 & 0x7ff) == 0x600;
}

static const unsigned ss_prots[] = {IOMMU_READ, IOMMU_WRITE, IOMMU_READ | IOMMU_WRITE, 0};
static const unsigned fs_prots[] = {IOMMU_READ, IOMMU_READ | IOMMU_WRITE, 0};

static const struct spec specs[] = {
	{&iommu_pgtable_vtd_ss, 3, 5, 3, 5, 0, ss_count, 512, ss_present, ss_rights, 1u << 8, 1u << 9, is_large, ss_table_ok,
	 false, 0x383, ss_prots},
	{&iommu_pgtable_vtd_fs, 4, 5, 4, 5, 1, fs_count, 512, fs_present, fs_rights, 1u << 5, 1u << 6, is_large, fs_table_ok,
	 true, 0x0e7, fs_prots},
	{&iommu_pgtable_amdv1, 1, 6, 3, 5, 0, amd_count, 127, fs_present, amd_rights, 1u << 5, 1u << 6, amd_is_page,
	 amd_table_ok, false, 0x7000000000000061, ss_prots},
	{&iommu_pgtable_amdv2, 4, 5, 4, 5, 1, fs_count, 512, fs_present, fs_rights, 1u << 5, 1u << 6, is_large, fs_table_ok,
	 true, 0x0e7, fs_prots},
};

#define ADDR_BITS 0x000ffffffffff000ull

/* What a walk ends with: a leaf of 1 << shift bytes, or nothing (shift 0). */
struct walked {
	uint64_t phys;
	unsigned rights, shift;
	bool dirty;
	uint64_t *slot;
};

/* Walks from `root` in `base` (the memory or its shadow), as the hardware does it. */
static inline struct walked walk(const struct spec *spec, uint64_t *base, uint64_t root,
				 unsigned levels, uint64_t iova)
{
	struct walked w = {.rights = IOMMU_READ | IOMMU_WRITE};
	uint64_t table = root;

	for (unsigned shift = 12 + 9 * (levels - 1);; shift -= 9) {
		uint64_t *slot = mem_at(base, table) + (iova >> shift) % 512;
		uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (!spec->present(entry))
			return (struct walked){.shift = 0};
		w.rights &= spec->rights(entry);
		if (shift == 12 || spec->is_page(entry)) {
			uint64_t mask = (1ull << shift) - 1;

			assert_true(shift <= 30);
			assert_int_equal(entry & (mask | ~ADDR_BITS) & ~spec->leaf_known, 0);
			w.phys = (entry & ADDR_BITS & ~mask) | (iova & mask);
			w.shift = shift;
			w.dirty = entry & spec->dirty;
			w.slot = slot;
			return w;
		}
		assert_true(spec->table_ok(entry, (shift - 12) / 9));
		table = entry & ADDR_BITS;
	}
}

/* ---- Chance, the same on every run ---- */

static inline uint64_t rnd(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint64_t below(uint64_t *state, uint64_t n)
{
	return rnd(state) % n;
}

#endif
