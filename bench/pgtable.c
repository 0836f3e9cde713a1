/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pgtable.c - what map, unmap and look-up cost in every format, beside a bare radix table of the same pages and tables: no checks, no
 * rights, no counts, tables are never removed; the least that the machine allows.
 *
 * Pages come from a pool, as in the measurements of other engines (docs/performance.md); nothing is invalidated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "lpae.h"
#include "pgtable.h"

#define PAGES 262144u /* a GiB of 4K */
#define POOL_BYTES (24u << 20)
#define RADIX_VALID 3ull
#define RADIX_LARGE 0x80ull

/* ---- A pool of tables, aligned to their size; zeroed when handed out ---- */

static char *pool;
static size_t pool_next;
static void *pool_free[32]; /* by log2 of the size */

static void *pool_alloc(void *ctx, size_t bytes)
{
	void **list = &pool_free[63 - __builtin_clzll(bytes)];
	void *page = *list;

	(void)ctx;
	if (page) {
		*list = *(void **)page;
	} else {
		pool_next = (pool_next + bytes - 1) / bytes * bytes;
		bench_check(pool_next + bytes <= POOL_BYTES ? 0 : -1, "the pool of pages");
		page = pool + pool_next;
		pool_next += bytes;
	}
	return memset(page, 0, bytes);
}

static void pool_give(void *ctx, void *page, size_t bytes)
{
	void **list = &pool_free[63 - __builtin_clzll(bytes)];

	(void)ctx;
	*(void **)page = *list;
	*list = page;
}

static void barrier(void *ctx)
{
	(void)ctx;
}

static void *small_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return calloc(1, bytes);
}

static void small_free(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(memory);
}

static const struct hitless_port port = {
	.alloc = small_alloc,
	.free = small_free,
	.alloc_pages = pool_alloc,
	.free_pages = pool_give,
	.write_barrier = barrier,
};

/*
 * ---- The bare radix table: pages of 1 << s bytes, tables of 1 << b entries, l levels; all constant where they are used. A walker may
 * look on, so that an entry is stored at once ----
 */

#define BARE static inline __attribute__((always_inline))

static uint64_t *radix_root;

BARE uint64_t *radix_slot(unsigned s, unsigned b, uint64_t *table, uint64_t iova, unsigned level)
{
	return &table[iova >> (s + b * level) & ((1u << b) - 1)];
}

BARE uint64_t *radix_table(unsigned s, unsigned b, unsigned l, uint64_t iova, unsigned level)
{
	uint64_t *table = radix_root;

	for (unsigned at = l - 1; at > level; at--) {
		uint64_t *slot = radix_slot(s, b, table, iova, at);

		if (!*slot)
			*slot = (uintptr_t)pool_alloc(NULL, (size_t)8 << b) | RADIX_VALID;
		table = (uint64_t *)(uintptr_t)(*slot & ~0xfffull);
	}
	return table;
}

BARE void radix_map(unsigned s, unsigned b, unsigned l, uint64_t iova, uint64_t phys, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_table(s, b, l, iova, 0);
		unsigned i = iova >> s & ((1u << b) - 1);

		for (; i < 1u << b && size; i++, phys += 1ull << s, iova += 1ull << s, size -= 1ull << s)
			__atomic_store_n(&table[i], phys | RADIX_VALID, __ATOMIC_RELAXED);
	}
}

BARE void radix_unmap(unsigned s, unsigned b, unsigned l, uint64_t iova, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_table(s, b, l, iova, 0);
		unsigned i = iova >> s & ((1u << b) - 1);

		for (; i < 1u << b && size; i++, iova += 1ull << s, size -= 1ull << s)
			__atomic_store_n(&table[i], 0, __ATOMIC_RELAXED);
	}
}

/* With large leaves up to `most`, where size and alignment allow them. */
BARE void radix_map_large(unsigned s, unsigned b, unsigned l, unsigned most, uint64_t iova, uint64_t phys, uint64_t size)
{
	while (size) {
		unsigned level = most;

		while (level > 0 && ((iova | phys) & ((1ull << (s + b * level)) - 1) || size < 1ull << (s + b * level)))
			level--;
		*radix_slot(s, b, radix_table(s, b, l, iova, level), iova, level) = phys | RADIX_VALID | RADIX_LARGE;
		iova += 1ull << (s + b * level);
		phys += 1ull << (s + b * level);
		size -= 1ull << (s + b * level);
	}
}

BARE void radix_unmap_large(unsigned s, unsigned b, unsigned l, uint64_t iova, uint64_t size)
{
	while (size) {
		unsigned level = l - 1;
		uint64_t *slot = radix_slot(s, b, radix_root, iova, level);

		while (level > 0 && !(*slot & RADIX_LARGE))
			slot = radix_slot(s, b, (uint64_t *)(uintptr_t)(*slot & ~0xfffull), iova, --level);
		*slot = 0;
		iova += 1ull << (s + b * level);
		size -= 1ull << (s + b * level);
	}
}

/* Pages, tables and levels of a format, and the functions of a bare table that is like it. */
struct geometry {
	unsigned page_shift, index_bits, levels, large_shift;
	void (*map)(uint64_t iova, uint64_t phys, uint64_t size);
	void (*unmap)(uint64_t iova, uint64_t size);
	void (*map_large)(uint64_t iova, uint64_t phys, uint64_t size);
	void (*unmap_large)(uint64_t iova, uint64_t size);
	uint64_t (*lookup)(uint64_t iova);
};

#define GEOMETRY(name, s, b, l, most)                                                                                       \
	static void name##_map(uint64_t iova, uint64_t phys, uint64_t size)                                                 \
	{                                                                                                                   \
		radix_map(s, b, l, iova, phys, size);                                                                       \
	}                                                                                                                   \
	static void name##_unmap(uint64_t iova, uint64_t size)                                                              \
	{                                                                                                                   \
		radix_unmap(s, b, l, iova, size);                                                                           \
	}                                                                                                                   \
	static void name##_map_large(uint64_t iova, uint64_t phys, uint64_t size)                                           \
	{                                                                                                                   \
		radix_map_large(s, b, l, most, iova, phys, size);                                                           \
	}                                                                                                                   \
	static void name##_unmap_large(uint64_t iova, uint64_t size)                                                        \
	{                                                                                                                   \
		radix_unmap_large(s, b, l, iova, size);                                                                     \
	}                                                                                                                   \
	static uint64_t name##_lookup(uint64_t iova)                                                                        \
	{                                                                                                                   \
		return *radix_slot(s, b, radix_table(s, b, l, iova, 0), iova, 0);                                           \
	}                                                                                                                   \
	static const struct geometry name = { s, b, l, (s) + (b) * (most), name##_map, name##_unmap, name##_map_large,      \
					      name##_unmap_large, name##_lookup }

GEOMETRY(radix_4k, 12, 9, 4, 2);
GEOMETRY(radix_16k, 14, 11, 4, 1);
GEOMETRY(radix_64k, 16, 13, 3, 1);

static void radix_free(const struct geometry *geometry, uint64_t *table, size_t bytes, unsigned level)
{
	for (unsigned i = 0; level > 0 && i < bytes / 8; i++)
		if ((table[i] & (RADIX_VALID | RADIX_LARGE)) == RADIX_VALID)
			radix_free(geometry, (uint64_t *)(uintptr_t)(table[i] & ~0xfffull), (size_t)8 << geometry->index_bits, level - 1);
	pool_give(NULL, table, bytes);
}

/* ---- The formats ---- */

static const struct format {
	const char *name;
	const struct iommu_pgtable_ops *ops;
	const struct geometry *geometry;
	unsigned input_bits; /* Arm: of either stage, else 0 */
	bool stage2;
} formats[] = {
	{ "vtd-ss", &iommu_pgtable_vtd_ss, &radix_4k, 0, false },
	{ "vtd-fs", &iommu_pgtable_vtd_fs, &radix_4k, 0, false },
	{ "amdv1", &iommu_pgtable_amdv1, &radix_4k, 0, false },
	{ "amdv2", &iommu_pgtable_amdv2, &radix_4k, 0, false },
	{ "riscv-s", &iommu_pgtable_riscv_s, &radix_4k, 0, false },
	{ "riscv-g", &iommu_pgtable_riscv_g, &radix_4k, 0, false },
	{ "lpae-s1-4k", &iommu_pgtable_lpae_s1_4k, &radix_4k, 48, false },
	{ "lpae-s1-16k", &iommu_pgtable_lpae_s1_16k, &radix_16k, 48, false },
	{ "lpae-s1-64k", &iommu_pgtable_lpae_s1_64k, &radix_64k, 48, false },
	{ "lpae-s2-4k", &iommu_pgtable_lpae_s2_4k, &radix_4k, 48, true },
	{ "lpae-s2-16k", &iommu_pgtable_lpae_s2_16k, &radix_16k, 48, true },
	{ "lpae-s2-64k", &iommu_pgtable_lpae_s2_64k, &radix_64k, 48, true },
};

/* ---- The same operations on either ---- */

static struct iommu_pgtable pt;
static const struct geometry *geometry;
static const struct format *format; /* NULL: the radix table */
static uint64_t page;		    /* bytes */
static size_t root_bytes;	    /* of the format; and of the bare table beside it */

static void open_table(unsigned max_page_shift)
{
	struct iommu_pgtable_config config = { .port = &port, .max_page_shift = max_page_shift, .output_bits = 46 };

	if (format) {
		config.input_bits = format->input_bits;
		config.levels = format->input_bits ? lpae_levels(geometry->page_shift, format->input_bits, format->stage2) : geometry->levels;
		bench_check(format->ops->init(&pt, &config), format->name);
	} else {
		radix_root = pool_alloc(NULL, root_bytes);
	}
}

static void close_table(void)
{
	if (format)
		format->ops->destroy(&pt);
	else
		radix_free(geometry, radix_root, root_bytes, geometry->levels - 1);
}

static inline void map(uint64_t iova, uint64_t phys, uint64_t size)
{
	if (format)
		bench_check(format->ops->map(&pt, iova, phys, size, IOMMU_READ | IOMMU_WRITE), "map");
	else
		geometry->map(iova, phys, size);
}

static inline void unmap(uint64_t iova, uint64_t size)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;

	if (!format) {
		geometry->unmap(iova, size);
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
		bench_keep(geometry->lookup(iova));
	}
}

/* ---- Rows ---- */

enum row { MAP_SEQUENTIAL, MAP_RANDOM, UNMAP_RANDOM, HOT, HOT_BESIDE, MAP_TABLE, UNMAP_TABLE, MAP_ALL, UNMAP_ALL, UNMAP_TREE, SCATTERED,
	   LARGE, LOOKUP, CREATE, ROWS };

/* PAGES of 4K are 1 GiB, and 256 of them 1 MiB. */
static const struct {
	const char *name;
	double per; /* operations in one measurement; 0: it has been divided */
} rows[ROWS] = {
	[MAP_SEQUENTIAL] = { "map a page, sequential", PAGES },
	[MAP_RANDOM] = { "map a page, random", PAGES },
	[UNMAP_RANDOM] = { "unmap a page, random", PAGES },
	[HOT] = { "map + unmap one hot page", 100000 },
	[HOT_BESIDE] = { "map + unmap one hot page, others beside it", 100000 },
	[MAP_TABLE] = { "map a table but a page in one call, per page", 0 },
	[UNMAP_TABLE] = { "unmap a table but a page in one call, per page", 0 },
	[MAP_ALL] = { "map 262144 pages in one call", 1 },
	[UNMAP_ALL] = { "unmap 262144 pages, 256 a call", 1 },
	[UNMAP_TREE] = { "unmap 262144 pages in one call", 1 },
	[SCATTERED] = { "map 262144 scattered pages, a call a page", 1 },
	[LARGE] = { "map + unmap one leaf of the largest size", 100000 },
	[LOOKUP] = { "iova_to_phys, random page", PAGES },
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
	const uint64_t data = page * PAGES;
	double t;

	open_table(geometry->page_shift);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		map(i * page, data + i * page, page);
	d[MAP_SEQUENTIAL] = bench_now() - t;
	close_table();

	open_table(geometry->page_shift);
	for (unsigned i = 0; i < PAGES; i += 512)
		map(i * page, data + i * page, page);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		if (order[i] % 512)
			map(order[i] * page, data + order[i] * page, page);
	d[MAP_RANDOM] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		lookup(scattered[i] * page);
	d[LOOKUP] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		if (scattered[i] % 512)
			unmap(scattered[i] * page, page);
	d[UNMAP_RANDOM] = bench_now() - t;
	close_table();
}

static double hot_page(void)
{
	double t = bench_now();

	for (unsigned i = 0; i < 100000; i++) {
		map(77 * page, (i + 1) * page, page);
		unmap(77 * page, page);
	}
	return bench_now() - t;
}

static void ranges(double *d)
{
	const unsigned entries = 1u << geometry->index_bits, tables = PAGES / entries;
	const uint64_t data = page * PAGES, table = page * entries;
	double t;

	open_table(geometry->page_shift);
	d[HOT] = hot_page();
	map(78 * page, data, page);
	d[HOT_BESIDE] = hot_page();
	unmap(78 * page, page);
	/* One page in each table stays. */
	for (unsigned i = 0; i < tables + 1; i++)
		map(data - page + i * table, data, page);
	t = bench_now();
	for (unsigned i = 0; i < tables; i++)
		map(data + i * table, i * table, table - page);
	d[MAP_TABLE] = (bench_now() - t) / tables / (entries - 1);
	t = bench_now();
	for (unsigned i = 0; i < tables; i++)
		unmap(data + i * table, table - page);
	d[UNMAP_TABLE] = (bench_now() - t) / tables / (entries - 1);
	close_table();

	open_table(geometry->page_shift);
	t = bench_now();
	map(0, data, data);
	d[MAP_ALL] = bench_now() - t;
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i += 256)
		unmap(i * page, 256 * page);
	d[UNMAP_ALL] = bench_now() - t;
	map(0, data, data);
	t = bench_now();
	unmap(0, data);
	d[UNMAP_TREE] = bench_now() - t;
	close_table();

	open_table(geometry->large_shift);
	t = bench_now();
	for (unsigned i = 0; i < PAGES; i++)
		map(i * page, scattered[i] * page, page);
	d[SCATTERED] = bench_now() - t;
	close_table();
}

static void whole_tables(double *d)
{
	const uint64_t large = 1ull << geometry->large_shift;
	double t;

	open_table(geometry->large_shift);
	t = bench_now();
	for (unsigned i = 0; i < 100000; i++) {
		if (format) {
			map(large, large, large);
			unmap(large, large);
		} else {
			geometry->map_large(large, large, large);
			geometry->unmap_large(large, large);
		}
	}
	d[LARGE] = bench_now() - t;
	close_table();

	t = bench_now();
	for (unsigned i = 0; i < 100000; i++) {
		open_table(geometry->large_shift);
		close_table();
	}
	d[CREATE] = bench_now() - t;
}

static const struct group {
	void (*measure)(double *d);
	unsigned rows; /* a mask */
} groups[] = {
	{ single_pages, 1u << MAP_SEQUENTIAL | 1u << MAP_RANDOM | 1u << UNMAP_RANDOM | 1u << LOOKUP },
	{ ranges, 1u << HOT | 1u << HOT_BESIDE | 1u << MAP_TABLE | 1u << UNMAP_TABLE | 1u << MAP_ALL | 1u << UNMAP_ALL | 1u << UNMAP_TREE |
		  1u << SCATTERED },
	{ whole_tables, 1u << LARGE | 1u << CREATE },
};

/* The rows that are wanted, once, in nanoseconds an operation. */
static void measure(const struct format *what, unsigned wanted, double *d)
{
	format = what;
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].rows & wanted)
			groups[i].measure(d);
	for (unsigned i = 0; i < ROWS; i++)
		d[i] /= rows[i].per ? rows[i].per : 1;
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
		pool = aligned_alloc(2u << 20, POOL_BYTES);
		bench_check(pool ? 0 : -1, "memory");
		memset(pool, 1, POOL_BYTES);
		shuffle(order, 1);
		shuffle(scattered, 2);
	}
	for (unsigned f = 0; f < sizeof(formats) / sizeof(formats[0]); f++) {
		unsigned wanted = wanted_rows(bench, &formats[f]);

		if (!wanted)
			continue;
		geometry = formats[f].geometry;
		page = 1ull << geometry->page_shift;
		format = &formats[f];
		open_table(geometry->page_shift);
		root_bytes = pt.table_bytes;
		close_table();
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
