/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bench_pgtable.c - what map and unmap cost, beside a bare radix table in the same run: four levels
 * of 512 pointers, filled without checks and never taken down, the least that the machine allows.
 *
 * Pages come from a pool, as in the measurements of other engines; nothing is invalidated. Each row
 * is the best of some repeats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hitless/port.h>

#include "pgtable/pgtable.h"

#define KIB4	4096ull
#define MIB2	(2ull << 20)
#define GIB1	(1ull << 30)
#define REPEATS 7

/* ---- A pool of pages; zeroed when handed out ---- */

static char *pool;
static size_t pool_pages, pool_next;
static void *pool_free;

static void *pool_alloc(void *ctx, size_t bytes)
{
	void *page = pool_free;

	(void)ctx;
	if (page)
		pool_free = *(void **)page;
	else if (pool_next < pool_pages)
		page = pool + 4096 * pool_next++;
	else
		abort();
	return memset(page, 0, bytes);
}

static void pool_give(void *ctx, void *page, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	*(void **)page = pool_free;
	pool_free = page;
}

static void barrier(void *ctx)
{
	(void)ctx;
}

static struct hitless_port port = {.alloc_pages = pool_alloc,
				   .free_pages = pool_give,
				   .write_barrier = barrier};

/* ---- The bare radix table ---- */

static uint64_t *radix_root;

static inline uint64_t *radix_leaf_table(uint64_t iova)
{
	uint64_t *table = radix_root;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t *slot = &table[iova >> shift & 511];

		if (!*slot)
			*slot = (uintptr_t)pool_alloc(NULL, 4096) | 3;
		table = (uint64_t *)(uintptr_t)(*slot & ~0xfffull);
	}
	return table;
}

static __attribute__((noinline)) void radix_map(uint64_t iova, uint64_t phys, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_leaf_table(iova);
		unsigned i = iova >> 12 & 511;

		for (; i < 512 && size; i++, phys += 4096, iova += 4096, size -= 4096)
			table[i] = phys | 3;
	}
}

static __attribute__((noinline)) void radix_unmap(uint64_t iova, uint64_t size)
{
	while (size) {
		uint64_t *table = radix_leaf_table(iova);
		unsigned i = iova >> 12 & 511;

		for (; i < 512 && size; i++, iova += 4096, size -= 4096)
			table[i] = 0;
	}
}

static __attribute__((noinline)) uint64_t radix_lookup(uint64_t iova)
{
	return radix_leaf_table(iova)[iova >> 12 & 511];
}

static void radix_free(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level > 0 && i < 512; i++)
		if (table[i])
			radix_free((uint64_t *)(uintptr_t)(table[i] & ~0xfffull), level - 1);
	pool_give(NULL, table, 4096);
}

/* ---- The same operations on either ---- */

static struct iommu_pgtable pt;
static const struct iommu_pgtable_ops *ops; /* NULL: the radix table */
static uint64_t sink;

static void check(int64_t ret)
{
	if (ret < 0) {
		fprintf(stderr, "bench_pgtable: error %d\n", (int)ret);
		exit(1);
	}
}

static void open_table(unsigned max_page_shift)
{
	struct iommu_pgtable_config config = {
		.port = &port,
		.levels = 4,
		.max_page_shift = max_page_shift,
		.output_bits = 46,
	};

	if (ops)
		check(ops->init(&pt, &config));
	else
		radix_root = pool_alloc(NULL, 4096);
}

static void close_table(void)
{
	if (ops)
		ops->destroy(&pt);
	else
		radix_free(radix_root, 3);
}

static inline void map(uint64_t iova, uint64_t phys, uint64_t size)
{
	if (ops)
		check(ops->map(&pt, iova, phys, size, IOMMU_READ | IOMMU_WRITE));
	else
		radix_map(iova, phys, size);
}

static inline void unmap(uint64_t iova, uint64_t size)
{
	if (ops) {
		struct iommu_gather gather = IOMMU_GATHER_INIT;

		check(ops->unmap(&pt, iova, size, &gather));
		if (gather.tables)
			iommu_gather_free(&pt, &gather);
	} else {
		radix_unmap(iova, size);
	}
}

static inline void lookup(uint64_t iova)
{
	uint64_t phys;

	if (ops) {
		check(ops->iova_to_phys(&pt, iova, &phys, NULL));
		sink += phys;
	} else {
		sink += radix_lookup(iova);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- Rows ---- */

enum {
	MAP_SEQUENTIAL,
	MAP_RANDOM,
	UNMAP_RANDOM,
	HOT_ALONE,
	HOT_BESIDE,
	MAP_2M,
	UNMAP_2M,
	MAP_1G,
	UNMAP_1G,
	SCATTERED,
	LOOKUP,
	LEAF_1G,
	CREATE,
	ROWS
};

static const struct {
	const char *name, *unit;
	double per;
} rows[ROWS] = {
	[MAP_SEQUENTIAL] = {"map 4K, sequential", "ns", 262144},
	[MAP_RANDOM] = {"map 4K, random in 1 GiB", "ns", 262144},
	[UNMAP_RANDOM] = {"unmap 4K, random", "ns", 262144},
	[HOT_ALONE] = {"map + unmap one hot page, nothing else mapped", "ns", 100000},
	[HOT_BESIDE] = {"map + unmap one hot page, another beside it", "ns", 100000},
	[MAP_2M] = {"map 2 MiB by 4K in one call", "ns/page", 512 * 512},
	[UNMAP_2M] = {"unmap the same", "ns/page", 512 * 512},
	[MAP_1G] = {"map 1 GiB by 4K", "us", 1000},
	[UNMAP_1G] = {"unmap 1 GiB by 4K", "us", 1000},
	[SCATTERED] = {"map 1 GiB as scattered 4K, a call a page", "ms", 1e6},
	[LOOKUP] = {"iova_to_phys, random 4K", "ns", 262144},
	[LEAF_1G] = {"map + unmap one 1G leaf (radix: one 4K)", "ns", 100000},
	[CREATE] = {"create + destroy an empty table", "ns", 100000},
};

static uint32_t order[262144], scattered[262144];

static void shuffle(uint32_t *a, unsigned n, uint64_t state)
{
	for (unsigned i = 0; i < n; i++)
		a[i] = i;
	for (unsigned i = n - 1; i > 0; i--) {
		uint32_t t = a[i];
		unsigned j;

		state = state * 6364136223846793005ull + 1442695040888963407ull;
		j = (unsigned)((state >> 33) % (i + 1));
		a[i] = a[j];
		a[j] = t;
	}
}

/* All rows once; `best` keeps the least of each. */
static void run(double *best)
{
	double t, d[ROWS];

	open_table(12);
	t = now();
	for (unsigned i = 0; i < 262144; i++)
		map(i * KIB4, GIB1 + i * KIB4, KIB4);
	d[MAP_SEQUENTIAL] = now() - t;
	close_table();

	/*
	 * Tables that stay, so that the pages alone are measured: every 512th is mapped throughout.
	 */
	open_table(12);
	for (unsigned i = 0; i < 262144; i += 512)
		map(i * KIB4, GIB1 + i * KIB4, KIB4);
	t = now();
	for (unsigned i = 0; i < 262144; i++)
		if (order[i] % 512)
			map(order[i] * KIB4, GIB1 + order[i] * KIB4, KIB4);
	d[MAP_RANDOM] = now() - t;
	t = now();
	for (unsigned i = 0; i < 262144; i++)
		lookup(scattered[i] * KIB4);
	d[LOOKUP] = now() - t;
	t = now();
	for (unsigned i = 0; i < 262144; i++)
		if (scattered[i] % 512)
			unmap(scattered[i] * KIB4, KIB4);
	d[UNMAP_RANDOM] = now() - t;
	close_table();

	open_table(12);
	t = now();
	for (unsigned i = 0; i < 100000; i++) {
		map(77 * KIB4, GIB1 + i * KIB4, KIB4);
		unmap(77 * KIB4, KIB4);
	}
	d[HOT_ALONE] = now() - t;
	map(78 * KIB4, GIB1, KIB4);
	t = now();
	for (unsigned i = 0; i < 100000; i++) {
		map(77 * KIB4, GIB1 + i * KIB4, KIB4);
		unmap(77 * KIB4, KIB4);
	}
	d[HOT_BESIDE] = now() - t;
	unmap(78 * KIB4, KIB4);

	d[MAP_2M] = d[UNMAP_2M] = 0;
	for (unsigned i = 0; i < 512; i++) {
		t = now();
		map(0, i * MIB2, MIB2);
		d[MAP_2M] += now() - t;
		t = now();
		unmap(0, MIB2);
		d[UNMAP_2M] += now() - t;
	}
	close_table();

	open_table(12);
	t = now();
	map(0, GIB1, GIB1);
	d[MAP_1G] = now() - t;
	t = now();
	unmap(0, GIB1);
	d[UNMAP_1G] = now() - t;
	close_table();

	open_table(30);
	t = now();
	for (unsigned i = 0; i < 262144; i++)
		map(i * KIB4, scattered[i] * KIB4, KIB4);
	d[SCATTERED] = now() - t;
	close_table();

	open_table(30);
	t = now();
	for (unsigned i = 0; i < 100000; i++) {
		map(GIB1, GIB1, ops ? GIB1 : KIB4);
		unmap(GIB1, ops ? GIB1 : KIB4);
	}
	d[LEAF_1G] = now() - t;
	close_table();

	t = now();
	for (unsigned i = 0; i < 100000; i++) {
		open_table(30);
		close_table();
	}
	d[CREATE] = now() - t;
	for (unsigned i = 0; i < ROWS; i++)
		if (d[i] / rows[i].per < best[i])
			best[i] = d[i] / rows[i].per;
}

int main(void)
{
	static const struct iommu_pgtable_ops *const tables[] = {NULL, &iommu_pgtable_vtd_ss,
								 &iommu_pgtable_vtd_fs};
	static double best[3][ROWS];

	pool_pages = 4096;
	pool = aligned_alloc(4096, pool_pages * 4096);
	if (!pool)
		return 1;
	memset(pool, 1, pool_pages * 4096);
	shuffle(order, 262144, 1);
	shuffle(scattered, 262144, 2);
	for (unsigned n = 0; n < 3; n++)
		for (unsigned i = 0; i < ROWS; i++)
			best[n][i] = 1e18;
	for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
		for (unsigned n = 0; n < 3; n++) {
			ops = tables[n];
			run(best[n]);
		}
	}
	printf("%-48s %-8s %9s %9s %6s %9s %6s\n", "best of 7", "", "radix", "vtd-ss", "ratio",
	       "vtd-fs", "ratio");
	for (unsigned i = 0; i < ROWS; i++)
		printf("%-48s %-8s %9.2f %9.2f %6.2f %9.2f %6.2f\n", rows[i].name, rows[i].unit,
		       best[0][i], best[1][i], best[1][i] / best[0][i], best[2][i],
		       best[2][i] / best[0][i]);
	return sink == 42;
}
