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
	unsigned small;	/* pieces of other memory */
	bool no_small;	/* there is none: a page table does without */
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

	assert_true(bytes >= 4096 && !(bytes & (bytes - 1)));
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

static void *mem_alloc(void *ctx, size_t bytes)
{
	struct mem *m = ctx;

	if (m->no_small)
		return NULL;
	m->small++;
	return calloc(1, bytes);
}

static void mem_free(void *ctx, void *p, size_t bytes)
{
	struct mem *m = ctx;

	memset(p, 0xff, bytes);
	free(p);
	m->small--;
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
	static uint32_t opened;

	memset(m, 0, sizeof(*m));
	/* Every other time, in no order that a test might have too. */
	m->no_small = opened++ * 2654435761u >> 31;
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
		.alloc = mem_alloc,
		.free = mem_free,
		.alloc_pages = mem_alloc_pages,
		.free_pages = mem_free_pages,
		.write_barrier = mem_barrier,
		.writeback = want_shadow ? mem_writeback : NULL,
	};
}

static inline void mem_destroy(struct mem *m)
{
	assert_int_equal(m->in_use, 0);
	assert_int_equal(m->small, 0);
	free(m->pages);
	free(m->shadow);
}

/* ---- The formats, from the specification's figures ---- */

struct spec {
	const struct iommu_pgtable_ops *ops;
	unsigned min_levels, max_levels;
	unsigned low_levels, high_levels; /* those that the long sequences run on */
	int unusable_bits;	/* of the address, at the top; < 0: so many more */
	unsigned root_pages;	/* of 4 KiB, whatever the page table calls a page */
	unsigned output_bits;	/* of a physical address, at most */
	uint64_t addr_bits;	/* where it is in an entry */
	unsigned (*count)(uint64_t entry);
	unsigned count_max;	/* the largest; where that is less than a table has entries it means "all", and one less "some" */
	bool (*present)(uint64_t entry);
	bool (*is_table)(uint64_t entry); /* present, and above the last level */
	uint64_t (*phys)(uint64_t entry); /* of the table or the leaf */
	unsigned (*rights)(uint64_t entry);
	uint64_t table_accessed; /* what hardware may set in a table's entry */
	uint64_t accessed, dirty;
	bool (*table_ok)(uint64_t entry, unsigned level); /* all but address, accessed flag and count is as it must be */
	enum { PRESET_NONE, PRESET_ALL, PRESET_WRITABLE } preset; /* which leaves start out dirty unless dirty pages are recorded */
	uint64_t leaf_known;   /* what a leaf may have set beside its address */
	const unsigned *prots; /* what can be mapped, ending with 0 */
	unsigned page_shift, index_bits, max_leaf_shift;
	bool input_bits;	/* the configuration names the width of the address */
	bool leaf_rights;	/* a table doesn't limit what is below it */
	uint64_t clean;		/* of accessed and dirty: set if not */
	/* Leaves that are one to the hardware: groups of 1 << order, a bit for each order; what order says a leaf? */
	unsigned (*groups)(unsigned level);
	unsigned (*order)(const struct spec *spec, uint64_t leaf, unsigned level);
	bool alike;		/* those of a group are all alike, and their address is that of the group */
};

static inline uint64_t spec_page(const struct spec *spec)
{
	return 1ull << spec->page_shift;
}

static inline unsigned spec_shift(const struct spec *spec, unsigned level)
{
	return spec->page_shift + level * spec->index_bits;
}

static inline unsigned spec_address_bits(const struct spec *spec, unsigned levels)
{
	return (unsigned)((int)spec_shift(spec, levels) - spec->unusable_bits);
}

static inline unsigned spec_entries(const struct spec *spec)
{
	return 1u << spec->index_bits;
}

/* Of 4 KiB, in a table other than the root. */
static inline unsigned spec_table_pages(const struct spec *spec)
{
	return spec_entries(spec) / 512;
}

/* The entry with flags set that hardware sets. */
static inline uint64_t spec_flagged(const struct spec *spec, uint64_t entry, uint64_t flags)
{
	return ((entry ^ spec->clean) | flags) ^ spec->clean;
}

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

/* Guest tables are host tables as well: next level 11:9, FC 60, IR 61, IW 62; D and G of an entry that points to a table count. */
static unsigned amd2_rights(uint64_t entry)
{
	unsigned rights = fs_rights(entry);

	/* Both say the same. */
	assert_int_equal(amd_rights(entry), rights);
	return rights;
}

static unsigned amd2_count(uint64_t entry)
{
	return (unsigned)((entry >> 6 & 1) | (entry >> 8 & 1) << 1);
}

static bool amd2_table_ok(uint64_t entry, unsigned level)
{
	return (entry & 0xe9f) == (7 | level << 9) && (entry >> 52 & 0xfff) == 0x600;
}

/*
 * Arm ARM, D8.3: valid 0, table or page 1, accessed 10, output address 47:12 (with 64 KiB pages, 15:12 are bits 51:48), DBM 51,
 * contiguous 52. Ignored in a table: 11:2 and 58:51.
 * Stage 1 leaf: AttrIndx 4:2, AP[1] 6 (user), AP[2] 7 (read only), SH 9:8, nG 11, PXN 53, UXN 54. Always of one ASID, inner
 * shareable, attribute 0.
 * Stage 2 leaf: MemAttr 5:2, S2AP 7:6 (write, read), SH 9:8, XN 54:53. Always inner shareable, write-back.
 */
static bool lpae_is_table(uint64_t entry)
{
	return (entry & 3) == 3;
}

static uint64_t lpae_phys_small(uint64_t entry)
{
	return entry & 0x0000fffffffff000ull;
}

static uint64_t lpae_phys_64k(uint64_t entry)
{
	return (entry & 0x0000ffffffff0000ull) | (entry & 0xf000ull) << 36;
}

static unsigned lpae_s1_rights(uint64_t entry)
{
	if ((entry & 0xb7c) != 0xb40)
		return 0;
	if (!(entry & 1ull << 53) != !(entry & 1ull << 54))
		return 0;
	return IOMMU_READ | (!(entry & 0x80) || entry & 1ull << 51 ? IOMMU_WRITE : 0) | (entry & 1ull << 54 ? 0 : IOMMU_EXEC);
}

static unsigned lpae_s2_rights(uint64_t entry)
{
	if ((entry & 0xb3c) != 0x33c)
		return 0;
	return (entry & 0x40 ? IOMMU_READ : 0) | (entry & 0x80 || entry & 1ull << 51 ? IOMMU_WRITE : 0) |
	       (entry & 3ull << 53 ? 0 : IOMMU_EXEC);
}

static unsigned lpae_count(uint64_t entry)
{
	return (unsigned)((entry >> 2 & 0x3f) | (entry >> 51 & 0xff) << 6);
}

static bool lpae_table_ok(uint64_t entry, unsigned level)
{
	(void)level;
	return (entry & 0xf807000000000f03ull) == 3;
}

static unsigned lpae_group_4k(unsigned level)
{
	(void)level;
	return 1u << 4;
}

static unsigned lpae_group_16k(unsigned level)
{
	return 1u << (level ? 5 : 7);
}

static unsigned lpae_group_64k(unsigned level)
{
	(void)level;
	return 1u << 5;
}

static unsigned lpae_order(const struct spec *spec, uint64_t leaf, unsigned level)
{
	unsigned order = 0;

	while (!(spec->groups(level) >> order & 1))
		order++;
	return leaf >> 52 & 1 ? order : 0;
}

/* Table "Example Page Size Encodings": next level 7; the address has ones from bit 12 on, as many as the size needs, then a zero. */
static unsigned amd_groups(unsigned level)
{
	return level < 3 ? 0x1fe : 0;
}

static unsigned amd_order(const struct spec *spec, uint64_t leaf, unsigned level)
{
	unsigned shift = 13;

	if ((leaf >> 9 & 7) != 7)
		return 0;
	while (leaf >> (shift - 1) & 1)
		shift++;
	assert_true(shift > spec->page_shift + level * 9 && shift < spec->page_shift + (level + 1) * 9);
	return shift - spec->page_shift - level * 9;
}

/* Svnapot: N is bit 63, and the page number ends with 1000. */
static unsigned rv_groups(unsigned level)
{
	return level == 0 ? 1u << 4 : 0;
}

static unsigned rv_order(const struct spec *spec, uint64_t leaf, unsigned level)
{
	(void)spec;
	if (!(leaf >> 63))
		return 0;
	assert_int_equal(level, 0);
	assert_int_equal(leaf >> 10 & 15, 8);
	return 4;
}

static const unsigned lpae_s1_prots[] = {IOMMU_READ, IOMMU_READ | IOMMU_WRITE, IOMMU_READ | IOMMU_EXEC,
					 IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC, 0};
static const unsigned lpae_s2_prots[] = {IOMMU_READ, IOMMU_WRITE, IOMMU_READ | IOMMU_WRITE, IOMMU_READ | IOMMU_EXEC,
					 IOMMU_WRITE | IOMMU_EXEC, IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC, 0};

static const unsigned ss_prots[] = {IOMMU_READ, IOMMU_WRITE, IOMMU_READ | IOMMU_WRITE, 0};
static const unsigned fs_prots[] = {IOMMU_READ, IOMMU_READ | IOMMU_WRITE, 0};

static unsigned no_group(unsigned level)
{
	(void)level;
	return 0;
}

static unsigned no_order(const struct spec *spec, uint64_t leaf, unsigned level)
{
	(void)spec;
	(void)leaf;
	(void)level;
	return 0;
}

#define LPAE(format, min, low, high, unusable, root, width, stage, size, page, index, largest) \
	{&iommu_pgtable_lpae_##format, min, high, low, high, unusable, root, width, 0x0000fffffffff000ull, lpae_count, 1 << (index), \
	 fs_present, lpae_is_table, lpae_phys_##size, lpae_##stage##_rights, 0, 1u << 10, 1u << 7, lpae_table_ok, PRESET_WRITABLE, \
	 0x0078000000000fff, lpae_##stage##_prots, page, index, largest, .input_bits = true, .leaf_rights = true, \
	 .order = lpae_order
static const struct spec specs[] = {
	{&iommu_pgtable_vtd_ss, 3, 5, 3, 5, 0, 1, 52, 0x000ffffffffff000ull, ss_count, 512, ss_present, not_large, same_place,
	 ss_rights, 1u << 8, 1u << 8, 1u << 9, ss_table_ok, PRESET_NONE, 0x383, ss_prots, 12, 9, 30, .groups = no_group, .order = no_order},
	{&iommu_pgtable_vtd_fs, 4, 5, 4, 5, 1, 1, 52, 0x000ffffffffff000ull, fs_count, 512, fs_present, not_large, same_place,
	 fs_rights, 1u << 5, 1u << 5, 1u << 6, fs_table_ok, PRESET_ALL, 0x0e7, fs_prots, 12, 9, 30, .groups = no_group, .order = no_order},
	{&iommu_pgtable_amdv1, 1, 6, 3, 5, 0, 1, 52, 0x000ffffffffff000ull, amd_count, 127, fs_present, amd_is_table, same_place,
	 amd_rights, 1u << 5, 1u << 5, 1u << 6, amd_table_ok, PRESET_NONE, 0x7000000000000e61, ss_prots, 12, 9, 30,
	 .groups = amd_groups, .order = amd_order, .alike = true},
	{&iommu_pgtable_amdv2, 4, 5, 4, 5, 1, 1, 52, 0x000ffffffffff000ull, amd2_count, 3, fs_present, not_large, same_place,
	 amd2_rights, 1u << 5, 1u << 5, 1u << 6, amd2_table_ok, PRESET_ALL, 0x70000000000000e7, fs_prots, 12, 9, 30, .groups = no_group, .order = no_order},
	{&iommu_pgtable_riscv_s, 3, 5, 3, 5, 1, 1, 56, 0x003ffffffffffc00ull, rv_count, 3, rv_present, rv_is_table, rv_phys,
	 rv_rights, 0, 1u << 6, 1u << 7, rv_table_ok, PRESET_ALL, 0x80000000000000df, rv_prots, 12, 9, 30,
	 .groups = rv_groups, .order = rv_order, .alike = true},
	{&iommu_pgtable_riscv_g, 3, 5, 3, 5, -2, 4, 56, 0x003ffffffffffc00ull, rv_count, 3, rv_present, rv_is_table, rv_phys,
	 rv_rights, 0, 1u << 6, 1u << 7, rv_table_ok, PRESET_ALL, 0x80000000000000df, rv_prots, 12, 9, 30,
	 .groups = rv_groups, .order = rv_order, .alike = true},
	/* 39 and 48 bits; 47, 48; 48, 52 */
	LPAE(s1_4k, 3, 3, 4, 0, 1, 48, s1, small, 12, 9, 30), .clean = 1u << 7, .groups = lpae_group_4k},
	LPAE(s1_16k, 2, 3, 3, 0, 4, 48, s1, small, 14, 11, 25), .clean = 1u << 7, .groups = lpae_group_16k},
	LPAE(s1_16k, 3, 4, 4, 10, 1, 48, s1, small, 14, 11, 25), .clean = 1u << 7, .groups = lpae_group_16k},
	LPAE(s1_64k, 3, 3, 3, 7, 1, 52, s1, 64k, 16, 13, 29), .clean = 1u << 7, .groups = lpae_group_64k},
	LPAE(s1_64k, 2, 3, 3, 3, 2, 52, s1, 64k, 16, 13, 29), .clean = 1u << 7, .groups = lpae_group_64k},
	/* 39 and 48 bits; 40 and 43 by 2 and 16 tables side by side; 48 by two; 48; 46 by 16 */
	LPAE(s2_4k, 3, 3, 4, 0, 1, 48, s2, small, 12, 9, 30), .groups = lpae_group_4k},
	LPAE(s2_4k, 3, 3, 3, -1, 2, 48, s2, small, 12, 9, 30), .groups = lpae_group_4k},
	LPAE(s2_4k, 3, 3, 3, -4, 16, 48, s2, small, 12, 9, 30), .groups = lpae_group_4k},
	LPAE(s2_16k, 2, 3, 3, -1, 8, 48, s2, small, 14, 11, 25), .groups = lpae_group_16k},
	LPAE(s2_64k, 3, 3, 3, 7, 1, 52, s2, 64k, 16, 13, 29), .groups = lpae_group_64k},
	LPAE(s2_64k, 2, 2, 2, -4, 256, 52, s2, 64k, 16, 13, 29), .groups = lpae_group_64k},
};

/* What a walk ends with: a leaf of 1 << shift bytes, or nothing (shift 0). */
struct walked {
	uint64_t phys;
	unsigned rights, shift;
	bool dirty;
	uint64_t *slot;
};

/* What the hardware caches as one: all leaves of the group are there, alike, and lead to addresses in a row from an aligned one. */
static inline void check_group(const struct spec *spec, const uint64_t *slot, unsigned level, unsigned order)
{
	uint64_t n = 1ull << order;
	const uint64_t *first = slot - ((uintptr_t)slot / 8) % n;

	if (!spec->alike)
		assert_int_equal(spec->phys(*first) & ((n << spec_shift(spec, level)) - 1), 0);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(first[i] & ~spec->addr_bits, *first & ~spec->addr_bits);
		assert_int_equal(spec->phys(first[i]), spec->phys(*first) + (spec->alike ? 0 : i << spec_shift(spec, level)));
	}
}

/* Walks from `root` in `base` (the memory or its shadow), as the hardware does it. */
static inline struct walked walk(const struct spec *spec, uint64_t *base, uint64_t root,
				 unsigned levels, uint64_t iova)
{
	struct walked w = {.rights = IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC};
	uint64_t table = root;

	for (unsigned level = levels - 1;; level--) {
		unsigned shift = spec_shift(spec, level);
		/* The root may have more or fewer entries: whatever the address has values for. */
		uint64_t index = level == levels - 1 ? iova >> shift : (iova >> shift) % spec_entries(spec);
		uint64_t *slot = mem_at(base, table) + index;
		uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
		bool leaf = level == 0 || !spec->is_table(entry);

		if (!spec->present(entry))
			return (struct walked){.shift = 0};
		if (leaf || !spec->leaf_rights)
			w.rights &= spec->rights(entry);
		if (leaf) {
			unsigned order = spec->order(spec, entry, level);
			uint64_t mask = (1ull << (spec->alike ? shift + order : shift)) - 1;

			assert_true(shift <= spec->max_leaf_shift);
			if (!spec->alike || !order)
				assert_int_equal(spec->phys(entry) & mask, 0);
			assert_int_equal(entry & ~spec->addr_bits & ~spec->leaf_known, 0);
			w.phys = (spec->phys(entry) & ~mask) | (iova & mask);
			w.shift = shift + order;
			w.dirty = (entry ^ spec->clean) & spec->dirty;
			w.slot = slot;
			if (order)
				check_group(spec, slot, level, order);
			return w;
		}
		assert_true(spec->table_ok(entry, level));
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
