/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pgtable.c - what map, unmap and look-up cost in every format, beside a bare radix table: four levels of 512 pointers, without
 * checks, rights, counts or removal of tables; the least that the machine allows.
 *
 * Pages come from a pool, as in the measurements of other engines (docs/performance.md); nothing is invalidated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "pgtable.h"

#define KIB4  4096ull
#define MIB2  (2ull << 20)
#define GIB1  (1ull << 30)
#define PAGES 262144u /* of a GiB */

static const struct format {
	const char *name;
	const struct iommu_pgtable_ops *ops;
	unsigned levels;
} formats[] = {
	{ "vtd-ss", &iommu_pgtable_vtd_ss, 4 },
	{ "vtd-fs", &iommu_pgtable_vtd_fs, 4 },
	{ "amdv1", &iommu_pgtable_amdv1, 4 },
	{ "amdv2", &iommu_pgtable_amdv2, 4 },
	{ "riscv-s", &iommu_pgtable_riscv_s, 4 },
	{ "riscv-g", &iommu_pgtable_riscv_g, 4 },
};

/* ---- A pool of pages, aligned to their size; zeroed when handed out ---- */

#define POOL_PAGES 4096u

static char *pool;
static size_t pool_next;
static void *pool_free, *pool_free_big; /* of one page; of four, such as some roots are */

static void *pool_alloc(void *ctx, size_t bytes)
{
	void **list = bytes == KIB4 ? &pool_free : &pool_free_big;
	void *page = *list;

	(void)ctx;
	if (page) {
		*list = *(void **)page;
	} else {
		pool_next = (pool_next + bytes - 1) / bytes * bytes;
		bench_check(pool_next + bytes <= POOL_PAGES * KIB4 ? 0 : -1, "the pool of pages");
		page = pool + pool_next;
		pool_next += bytes;
	}
	return memset(page, 0, bytes);
}

static void pool_give(void *ctx, void *page, size_t bytes)
{
	void **list = bytes == KIB4 ? &pool_free : &pool_free_big;

	(void)ctx;
	*(void **)page = *list;
	*list = page;
}

static void barrier(void *ctx)
{
	(void)ctx;
}

static const struct hitless_port port = { .alloc_pages = pool_alloc, .free_pages = pool_give, .write_barrier = barrier };

/* ---- The bare radix table ---- */

static uint64_t *radix_root;

static inline uint64_t *radix_table(uint64_t iova, unsigned level)
{
	uint64_t *table = radix_root;

	for (unsigned l = 3; l > level; l--) {
		uint64_t *slot = &table[iova >> (12 + 9 * l) & 511];

		if (!*slot)
			*slot = (uintptr_t)pool_alloc(NULL, KIB4) | 3;
		table = (uint64_t *)(uintptr_t)(*slot & ~0xfffull);
	}
	return table;
}

static __attribute__((noinline)) void radix_map(uint64_t iova, uint64_t phys, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_table(iova, 0);

		for (unsigned i = iova >> 12 & 511; i < 512 && size; i++, phys += KIB4, iova += KIB4, size -= KIB4)
			table[i] = phys | 3;
	}
}

static __attribute__((noinline)) void radix_unmap(uint64_t iova, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_table(iova, 0);

		for (unsigned i = iova >> 12 & 511; i < 512 && size; i++, iova += KIB4, size -= KIB4)
			table[i] = 0;
	}
}

static __attribute__((noinline)) void radix_store(uint64_t iova, unsigned level, uint64_t entry)
{
	radix_table(iova, level)[iova >> (12 + 9 * level) & 511] = entry;
}

static __attribute__((noinline)) uint64_t radix_lookup(uint64_t iova)
{
	return radix_table(iova, 0)[iova >> 12 & 511];
}

static void radix_free(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 0 && i < 512; i++)
		if (table[i] & 1)
			radix_free((uint64_t *)(uintptr_t)(table[i] & ~0xfffull), level - 1);
	pool_give(NULL, table, KIB4);
}

/* ---- The same operations on either ---- */

static struct iommu_pgtable pt;
static const struct format *format; /* NULL: the radix table */

static void open_table(unsigned max_page_shift)
{
	struct iommu_pgtable_config config = { .port = &port, .max_page_shift = max_page_shift, .output_bits = 46 };

	if (format) {
		config.levels = format->levels;
		bench_check(format->ops->init(&pt, &config), format->name);
	} else {
		radix_root = pool_alloc(NULL, KIB4);
	}
}

static void close_table(void)
{
	if (format)
		format->ops->destroy(&pt);
	else
		radix_free(radix_root, 3);
}

static inline void map(uint64_t iova, uint64_t phys, uint64_t size)
{
	if (format)
		bench_check(format->ops->map(&pt, iova, phys, size, IOMMU_READ | IOMMU_WRITE), "map");
	else
		radix_map(iova, phys, size);
}

static inline void unmap(uint64_t iova, uint64_t size)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;

	if (!format) {
		radix_unmap(iova, size);
		return;
	}
	bench_check(format->ops->unmap(&pt, iova, size, &gather), "unmap");
	if (gather.tables)
		iommu_gather_free(&pt, &gather);
	if (iommu_pgtable_retired(&pt, &gather))
		iommu_gather_free(&pt, &gather);
}

static inline void lookup(uint64_t iova)
{
	uint64_t phys;

	if (format) {
		bench_check(format->ops->iova_to_phys(&pt, iova, &phys, NULL), "iova_to_phys");
		bench_keep(phys);
	} else {
		bench_keep(radix_lookup(iova));
	}
}

/* ---- Rows ---- */

enum row { MAP_SEQUENTIAL, MAP_RANDOM, UNMAP_RANDOM, HOT, HOT_BESIDE, MAP_2M, UNMAP_2M, MAP_1G, UNMAP_1G, UNMAP_TREE, SCATTERED,
	   LEAF_1G, LOOKUP, CREATE, ROWS };

static const struct {
	const char *name;
	double per; /* operations in one measurement */
} rows[ROWS] = {
	[MAP_SEQUENTIAL] = { "map 4K, sequential", PAGES },
	[MAP_RANDOM] = { "map 4K, random in 1 GiB", PAGES },
	[UNMAP_RANDOM] = { "unmap 4K, random", PAGES },
	[HOT] = { "map + unmap one hot page", 100000 },
	[HOT_BESIDE] = { "map + unmap one hot page, others beside it", 100000 },
	[MAP_2M] = { "map 511 pages of 4K in one call, per page", 512 * 511 },
	[UNMAP_2M] = { "unmap 511 pages of 4K in one call, per page", 512 * 511 },
	[MAP_1G] = { "map 1 GiB by 4K in one call", 1 },
	[UNMAP_1G] = { "unmap 1 GiB by 4K, in calls of 1 MiB", 1 },
	[UNMAP_TREE] = { "unmap 1 GiB of 4K leaves in one call", 1 },
	[SCATTERED] = { "map 1 GiB as scattered 4K, a call a page", 1 },
	[LEAF_1G] = { "map + unmap one 1G leaf", 100000 },
	[LOOKUP] = { "iova_to_phys, random 4K", PAGES },
	[CREATE] = { "create + destroy an empty table", 100000 },
};

static uint32_t order[PAGES], scattered[PAGES];

static void shuffle(uint32_t *a, uint64_t state)
{
	for (unsigned i = 0; i < PAGES; i++)
		a[i] = i;
	for (unsigned i = PAGES - 1; i > 0; i--) {
		uint32_t t = a[i];
		unsigned j;

		state = state * 6364136223846793005ull + 1442695040888963407ull;
		j = (unsigned)((state >> 33) % (i + 1));
		a[i] = a[j];
		a[j] = t;
	}
}

/* One page at a time, in an empty table and in one whose tables exist: every 512th page is mapped throughout. */
static void single_pages(double *d)
{
	double t;

	open_table(12);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		map(i * KIB4, GIB1 + i * KIB4, KIB4);
	d[MAP_SEQUENTIAL] = bench_now() - t;
	close_table();

	open_table(12);
	for (unsigned i = 0; i < PAGES; i += 512)
		map(i * KIB4, GIB1 + i * KIB4, KIB4);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		if (order[i] % 512)
			map(order[i] * KIB4, GIB1 + order[i] * KIB4, KIB4);
	d[MAP_RANDOM] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		lookup(scattered[i] * KIB4);
	d[LOOKUP] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		if (scattered[i] % 512)
			unmap(scattered[i] * KIB4, KIB4);
	d[UNMAP_RANDOM] = bench_now() - t;
	close_table();
}

static double hot_page(void)
{
	double t = bench_now();

	for (unsigned i = 0; i < 100000; i++) {
		map(77 * KIB4, GIB1 + i * KIB4, KIB4);
		unmap(77 * KIB4, KIB4);
	}
	return bench_now() - t;
}

static void ranges(double *d)
{
	double t;

	open_table(12);
	d[HOT] = hot_page();
	map(78 * KIB4, GIB1, KIB4);
	d[HOT_BESIDE] = hot_page();
	unmap(78 * KIB4, KIB4);
	/* One page in each table stays. */
	for (unsigned i = 0; i < 513; i++)
		map(GIB1 - KIB4 + i * MIB2, GIB1, KIB4);
	t = bench_now();
	for (unsigned i = 0; i < 512; i++)
		map(GIB1 + i * MIB2, i * MIB2, MIB2 - KIB4);
	d[MAP_2M] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < 512; i++)
		unmap(GIB1 + i * MIB2, MIB2 - KIB4);
	d[UNMAP_2M] = bench_now() - t;
	close_table();

	open_table(12);
	t = bench_now();
	map(0, GIB1, GIB1);
	d[MAP_1G] = bench_now() - t;
	t = bench_now();
	for (uint64_t at = 0; at < GIB1; at += MIB2 / 2)
		unmap(at, MIB2 / 2);
	d[UNMAP_1G] = bench_now() - t;
	map(0, GIB1, GIB1);
	t = bench_now();
	unmap(0, GIB1);
	d[UNMAP_TREE] = bench_now() - t;
	close_table();

	open_table(30);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		map(i * KIB4, scattered[i] * KIB4, KIB4);
	d[SCATTERED] = bench_now() - t;
	close_table();
}

static void whole_tables(double *d)
{
	double t;

	open_table(30);
	t = bench_now();
	for (unsigned i = 0; i < 100000; i++) {
		if (format) {
			map(GIB1, GIB1, GIB1);
			unmap(GIB1, GIB1);
		} else {
			radix_store(GIB1, 2, GIB1 | 2);
			radix_store(GIB1, 2, 0);
		}
	}
	d[LEAF_1G] = bench_now() - t;
	close_table();

	t = bench_now();
	for (unsigned i = 0; i < 100000; i++) {
		open_table(30);
		close_table();
	}
	d[CREATE] = bench_now() - t;
}

static const struct group {
	void (*measure)(double *d);
	unsigned rows; /* a mask */
} groups[] = {
	{ single_pages, 1u << MAP_SEQUENTIAL | 1u << MAP_RANDOM | 1u << UNMAP_RANDOM | 1u << LOOKUP },
	{ ranges, 1u << HOT | 1u << HOT_BESIDE | 1u << MAP_2M | 1u << UNMAP_2M | 1u << MAP_1G | 1u << UNMAP_1G | 1u << UNMAP_TREE |
		  1u << SCATTERED },
	{ whole_tables, 1u << LEAF_1G | 1u << CREATE },
};

/* The rows that are wanted, once, in nanoseconds an operation. */
static void measure(const struct format *what, unsigned wanted, double *d)
{
	format = what;
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].rows & wanted)
			groups[i].measure(d);
	for (unsigned i = 0; i < ROWS; i++)
		d[i] /= rows[i].per;
}

static unsigned wanted_rows(const struct bench *bench, const struct format *what)
{
	unsigned wanted = 0;

	for (unsigned i = 0; i < ROWS; i++)
		if (bench_wants(bench, rows[i].name, what->name))
			wanted |= 1u << i;
	return wanted;
}

static void run(struct bench *bench)
{
	double theirs[ROWS] = { 0 }, ours[ROWS] = { 0 };

	if (!pool) {
		pool = aligned_alloc(MIB2, POOL_PAGES * KIB4);
		bench_check(pool ? 0 : -1, "memory");
		memset(pool, 1, POOL_PAGES * KIB4);
		shuffle(order, 1);
		shuffle(scattered, 2);
	}
	for (unsigned f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		unsigned wanted = wanted_rows(bench, &formats[f]);

		if (!wanted)
			continue;
		/* Anew for each format: the two are neighbours in time. */
		measure(NULL, wanted, theirs);
		measure(&formats[f], wanted, ours);
		for (unsigned i = 0; i < ROWS; i++)
			if (wanted & 1u << i)
				bench_add(bench, rows[i].name, formats[f].name, "the same on a bare radix table", "ns", ours[i],
					  theirs[i]);
	}
}

const struct bench_suite bench_pgtable = {
	.name = "pgtable",
	.what = "page tables: map, unmap, look up, in every format",
	.run = run,
};
