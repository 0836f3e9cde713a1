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
	unsigned n = (unsigned)(bytes / 4096);

	assert_true(bytes == 4096 || bytes == 16384);
	if (m->fail_after == 0)
		return NULL;
	if (m->fail_after > 0)
		m->fail_after--;
	for (unsigned i = 0; i < MEM_PAGES; i++) {
		unsigned page = (m->next + i) % MEM_PAGES, free = 0;

		/* Aligned to its size, as the port demands. */
		while (page % n == 0 && free < n && !m->used[page + free])
			free++;
		if (free < n)
			continue;
		m->next = page + n;
		for (unsigned j = page; j < page + n; j++) {
			m->used[j] = true;
			m->written[j] = false;
		}
		m->in_use += n;
		m->allocations++;
		memset(m->pages + page * 512, 0, bytes);
		return m->pages + page * 512;
	}
	fail_msg("the test's memory is too small");
	return NULL;
}

static void mem_free_pages(void *ctx, void *p, size_t bytes)
{
	struct mem *m = ctx;
	unsigned page = mem_page(m, p);

	for (size_t i = page; i < page + bytes / 4096; i++) {
		assert_true(m->used[i]);
		m->used[i] = false;
		m->in_use--;
	}
	memset(m->pages + page * 512, 0xff, bytes);
	if (m->want_shadow)
		memset(m->shadow + page * 512, 0xff, bytes);
}

static void mem_writeback(void *ctx, const void *p, size_t bytes)
{
	struct mem *m = ctx;
	size_t offset = (size_t)((const char *)p - (const char *)m->pages);

	mem_page(m, p);
	memcpy((char *)m->shadow + offset, p, bytes);
	for (size_t i = offset / 4096; offset % 4096 == 0 && i < (offset + bytes) / 4096; i++) {
		if (m->written[i])
			continue;
		m->written[i] = true;
		m->written_at[i] = m->barriers;
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
	int unusable_bits;	/* of the address, at the top; < 0: so many more */
	unsigned root_pages;
	unsigned output_bits;	/* of a physical address, at most */
	uint64_t addr_bits;	/* where it is in an entry */
	unsigned (*count)(uint64_t entry);
	unsigned count_max;	/* counts go no further */
	bool (*present)(uint64_t entry);
	bool (*is_table)(uint64_t entry); /* present, and above the last level */
	uint64_t (*phys)(uint64_t entry); /* of the table or the leaf */
	unsigned (*rights)(uint64_t entry);
	uint64_t table_accessed; /* what hardware may set in a table's entry */
	uint64_t accessed, dirty;
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

static bool not_large(uint64_t entry)
{
	return !(entry & 1u << 7);
}

static uint64_t same_place(uint64_t entry)
{
	return entry & 0x000ffffffffff000ull;
}

/*
 * Figure "Sv39 page table entry": V 0, R 1, W 2, X 3, U 4, G 5, A 6, D 7, page number from bit 10. R, W and X 0 point
 * to a table. A user page, always; a table has no rights of its own.
 */
static bool rv_present(uint64_t entry)
{
	return (entry & 1) != 0;
}

static bool rv_is_table(uint64_t entry)
{
	return (entry & 0xf) == 1;
}

static uint64_t rv_phys(uint64_t entry)
{
	return (entry >> 10 & 0xfffffffffffull) << 12;
}

static unsigned rv_rights(uint64_t entry)
{
	if (rv_is_table(entry))
		return IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC;
	if (!(entry & 0x10))
		return 0;
	return (entry & 2 ? IOMMU_READ : 0) | (entry & 4 ? IOMMU_WRITE : 0) | (entry & 8 ? IOMMU_EXEC : 0);
}

static const unsigned rv_prots[] = {IOMMU_READ, IOMMU_READ | IOMMU_WRITE, IOMMU_EXEC, IOMMU_READ | IOMMU_EXEC,
				    IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC, 0};

static unsigned rv_count(uint64_t entry)
{
	return entry >> 8 & 3;
}

static bool rv_table_ok(uint64_t entry, unsigned level)
{
	(void)level;
	return (entry & 0xffc00000000000ffull) == 1;
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

static bool amd_is_table(uint64_t entry)
{
	return (entry >> 9 & 7) != 0 && (entry >> 9 & 7) != 7;
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
	{&iommu_pgtable_vtd_ss, 3, 5, 3, 5, 0, 1, 52, 0x000ffffffffff000ull, ss_count, 512, ss_present, not_large, same_place,
	 ss_rights, 1u << 8, 1u << 8, 1u << 9, ss_table_ok, false, 0x383, ss_prots},
	{&iommu_pgtable_vtd_fs, 4, 5, 4, 5, 1, 1, 52, 0x000ffffffffff000ull, fs_count, 512, fs_present, not_large, same_place,
	 fs_rights, 1u << 5, 1u << 5, 1u << 6, fs_table_ok, true, 0x0e7, fs_prots},
	{&iommu_pgtable_amdv1, 1, 6, 3, 5, 0, 1, 52, 0x000ffffffffff000ull, amd_count, 127, fs_present, amd_is_table, same_place,
	 amd_rights, 1u << 5, 1u << 5, 1u << 6, amd_table_ok, false, 0x7000000000000061, ss_prots},
	{&iommu_pgtable_amdv2, 4, 5, 4, 5, 1, 1, 52, 0x000ffffffffff000ull, fs_count, 512, fs_present, not_large, same_place,
	 fs_rights, 1u << 5, 1u << 5, 1u << 6, fs_table_ok, true, 0x0e7, fs_prots},
	{&iommu_pgtable_riscv_s, 3, 5, 3, 5, 1, 1, 56, 0x003ffffffffffc00ull, rv_count, 3, rv_present, rv_is_table, rv_phys,
	 rv_rights, 0, 1u << 6, 1u << 7, rv_table_ok, true, 0x0df, rv_prots},
	{&iommu_pgtable_riscv_g, 3, 5, 3, 5, -2, 4, 56, 0x003ffffffffffc00ull, rv_count, 3, rv_present, rv_is_table, rv_phys,
	 rv_rights, 0, 1u << 6, 1u << 7, rv_table_ok, true, 0x0df, rv_prots},
};

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
	struct walked w = {.rights = IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC};
	uint64_t table = root;

	for (unsigned shift = 12 + 9 * (levels - 1);; shift -= 9) {
		bool is_root = shift == 12 + 9 * (levels - 1);
		uint64_t *slot = mem_at(base, table) + (iova >> shift) % (is_root ? 512 * spec->root_pages : 512);
		uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (!spec->present(entry))
			return (struct walked){.shift = 0};
		w.rights &= spec->rights(entry);
		if (shift == 12 || !spec->is_table(entry)) {
			uint64_t mask = (1ull << shift) - 1;

			assert_true(shift <= 30);
			assert_int_equal(spec->phys(entry) & mask, 0);
			assert_int_equal(entry & ~spec->addr_bits & ~spec->leaf_known, 0);
			w.phys = spec->phys(entry) | (iova & mask);
			w.shift = shift;
			w.dirty = entry & spec->dirty;
			w.slot = slot;
			return w;
		}
		assert_true(spec->table_ok(entry, (shift - 12) / 9));
		table = spec->phys(entry);
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
