/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_pgtable_live.c - page tables that are walked while they change.
 *
 * A thread plays the hardware: it walks all the time, checks what it finds, and sets accessed and
 * dirty flags with compare-exchange, in tables' entries too. The test's thread maps and unmaps
 * around pages that must never be gone, splits the large leaves that they are in, and clears dirty
 * flags. Two properties beyond the absence of data races: a page that is never unmapped is found by
 * every walk, and no dirty flag gets lost when the leaf is replaced.
 */
#include <pthread.h>
#include <sched.h>

#include "pgtable_common.h"

#define MIB	    (1ull << 20)
#define STABLE_PAGE 300u /* of the first 2 MiB: never unmapped */
#define PHYS	    (1ull << 40)

struct hardware {
	const struct spec *spec;
	struct mem *mem;
	uint64_t root;
	unsigned levels;
	uint64_t state;
	bool stop;
	uint64_t asked,
		done;	 /* invalidations: `done` follows once no walk from before is under way */
	uint64_t writes; /* to the stable page, whose D flag was seen set or has been set */
	unsigned long walks, found, missed, wrong;
};

/* Sets `flags`; false if the entry is not what was walked through: then the walk starts again. */
static bool mark(const struct spec *spec, uint64_t *slot, uint64_t entry, uint64_t flags)
{
	uint64_t marked = spec_flagged(spec, entry, flags);

	return entry == marked || __atomic_compare_exchange_n(slot, &entry, marked, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/*
 * One write of the device, as the hardware does it. Returns the physical address, 0 if nothing is
 * mapped.
 */
static uint64_t hardware_write(const struct hardware *h, uint64_t iova)
{
	const struct spec *spec = h->spec;

again:
	for (uint64_t table = h->root, shift = 12 + 9 * (h->levels - 1);; shift -= 9) {
		/* In the root of all formats, these addresses have a small index. */
		uint64_t *slot = h->mem->pages + (table - MEM_PHYS) / 8 + (iova >> shift) % 512;
		uint64_t entry = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
		uint64_t mask = (1ull << shift) - 1;

		if (!spec->present(entry))
			return 0;
		if (shift == 12 || !spec->is_table(entry)) {
			if (!mark(spec, slot, entry, spec->accessed | spec->dirty))
				goto again;
			return (spec->phys(entry) & ~mask) | (iova & mask);
		}
		if (spec->table_accessed && !mark(spec, slot, entry, spec->table_accessed))
			goto again;
		table = spec->phys(entry);
	}
}

static void *hardware_main(void *arg)
{
	struct hardware *h = arg;

	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE)) {
		uint64_t asked = __atomic_load_n(&h->asked, __ATOMIC_ACQUIRE);
		bool stable = h->walks % 2;
		uint64_t iova = (stable ? STABLE_PAGE : below(&h->state, 2048)) * 4096 +
				below(&h->state, 512) * 8;
		uint64_t phys;

		/* No walk is under way here. */
		__atomic_store_n(&h->done, asked, __ATOMIC_RELEASE);
		phys = hardware_write(h, iova);
		h->walks++;
		if (phys && phys != iova + PHYS)
			h->wrong++;
		h->found += phys != 0;
		if (stable) {
			h->missed += phys == 0;
			__atomic_add_fetch(&h->writes, 1, __ATOMIC_RELEASE);
		}
	}
	return NULL;
}

static void invalidate(struct hardware *h)
{
	uint64_t asked = __atomic_add_fetch(&h->asked, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(&h->done, __ATOMIC_ACQUIRE) < asked)
		sched_yield();
}

static void wait_writes(struct hardware *h, uint64_t n)
{
	uint64_t from = __atomic_load_n(&h->writes, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&h->writes, __ATOMIC_ACQUIRE) - from < n)
		sched_yield();
}

static void on_dirty(void *ctx, uint64_t iova, uint64_t size)
{
	if (iova / 4096 <= STABLE_PAGE && STABLE_PAGE < (iova + size) / 4096)
		*(bool *)ctx = true;
}

static void unmap(struct hardware *h, struct iommu_pgtable *pt, uint64_t iova, uint64_t size)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;

	assert_true(pt->ops->unmap(pt, iova, size, &gather) >= 0);
	/* A page's table is freed only when no walk that could be in it goes on. */
	if (gather.tables)
		invalidate(h);
	iommu_gather_free(pt, &gather);
	if (iommu_pgtable_retired(pt, &gather)) {
		invalidate(h);
		iommu_gather_free(pt, &gather);
	}
}

#ifdef __SANITIZE_THREAD__
#define ROUNDS 40	/* it is slow */
#else
#define ROUNDS 120
#endif

static void live(const struct spec *spec, unsigned levels, unsigned rounds)
{
	static struct mem mem;
	struct iommu_pgtable_config config = {
		.port = &mem.port,
		.levels = levels,
		.input_bits = spec->input_bits ? spec_address_bits(spec, levels) : 0,
		.max_page_shift = 21,
		.output_bits = 46,
		.dirty = true,
	};
	const unsigned rw = IOMMU_READ | IOMMU_WRITE;
	struct hardware h = {.spec = spec, .mem = &mem, .levels = levels, .state = levels};
	uint64_t state = 12345;
	struct iommu_pgtable pt;
	pthread_t thread;

	mem_init(&mem, false);
	assert_int_equal(spec->ops->init(&pt, &config), 0);
	h.root = spec->ops->root_phys(&pt);
	assert_int_equal(spec->ops->map(&pt, 0, PHYS, 2 * MIB, rw), 0);
	assert_int_equal(pthread_create(&thread, NULL, hardware_main, &h), 0);

	for (unsigned round = 0; round < rounds; round++) {
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		uint64_t page = below(&state, 2), pages = 1 + below(&state, 200);
		bool dirty = false;

		/*
		 * The large leaf falls apart under a page that is being written to: still found,
		 * still dirty.
		 */
		if (round % 2 == 0)
			wait_writes(&h, 2);
		else
			sched_yield();
		unmap(&h, &pt, page * 4096, pages * 4096);
		if (round % 2 == 0) {
			assert_int_equal(pt.ops->read_and_clear_dirty(&pt, 0, 2 * MIB, &gather,
								      on_dirty, &dirty),
					 0);
			assert_true(dirty);
		}
		/* Pages, tables and large leaves come and go beside it. */
		for (unsigned n = 0; n < 8; n++) {
			uint64_t at = (1 + below(&state, 3)) * 2 * MIB + below(&state, 4) * 4096;
			uint64_t size = below(&state, 3) ? (1 + below(&state, 3)) * 4096 : 2 * MIB;

			if (size == 2 * MIB)
				at &= ~(2 * MIB - 1);
			unmap(&h, &pt, at, size);
			assert_int_equal(spec->ops->map(&pt, at, PHYS + at, size, rw), 0);
		}
		unmap(&h, &pt, 2 * MIB, 6 * MIB + 4096);
		assert_int_equal(
			spec->ops->map(&pt, page * 4096, PHYS + page * 4096, pages * 4096, rw), 0);
		/* Together again only through an absence, which the walker must not count. */
		if (round % 2 == 1) {
			__atomic_store_n(&h.stop, true, __ATOMIC_RELEASE);
			pthread_join(thread, NULL);
			h.stop = false;
			assert_int_equal(h.missed, 0);
			assert_int_equal(h.wrong, 0);
			unmap(&(struct hardware){.done = UINT64_MAX}, &pt, 0, 2 * MIB);
			assert_int_equal(spec->ops->map(&pt, 0, PHYS, 2 * MIB, rw), 0);
			h.done = h.asked;
			assert_int_equal(pthread_create(&thread, NULL, hardware_main, &h), 0);
		}
	}
	__atomic_store_n(&h.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(h.missed, 0);
	assert_int_equal(h.wrong, 0);
	assert_true(h.found > rounds);
	spec->ops->destroy(&pt);
	mem_destroy(&mem);
}

/* Each format of 4 KiB pages; its geometries are not what this is about. */
static bool live_format(unsigned s)
{
	return specs[s].page_shift == 12 && (s == 0 || specs[s].ops != specs[s - 1].ops);
}

static void test_live(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++)
		for (unsigned levels = specs[s].low_levels; levels <= specs[s].high_levels && live_format(s); levels++)
			live(&specs[s], levels, ROUNDS);
}

/*
 * The narrowest race by itself: the hardware marks the leaf dirty after the replacement was made
 * from it and before it is stored. The barrier that comes in between is where the test does it.
 */
static struct hardware *racer;

static void racing_barrier(void *ctx)
{
	(void)ctx;
	if (racer) {
		struct hardware *h = racer;

		racer = NULL;
		assert_int_equal(hardware_write(h, STABLE_PAGE * 4096), STABLE_PAGE * 4096 + PHYS);
	}
}

static void test_dirty_while_split(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < sizeof(specs) / sizeof(*specs); s++) {
		static struct mem mem;
		unsigned levels = specs[s].max_levels < 4 ? specs[s].max_levels : 4;
		struct iommu_pgtable_config config = {
			.port = &mem.port,
			.levels = levels,
			.input_bits = specs[s].input_bits ? spec_address_bits(&specs[s], levels) : 0,
			.max_page_shift = 30,
			.output_bits = 46,
			.dirty = true,
		};
		struct hardware h = {.spec = &specs[s], .mem = &mem, .levels = levels};
		struct iommu_gather gather = IOMMU_GATHER_INIT;
		struct iommu_pgtable pt;
		bool dirty = false;

		if (specs[s].page_shift != 12)
			continue;
		mem_init(&mem, false);
		mem.port.write_barrier = racing_barrier;
		assert_int_equal(specs[s].ops->init(&pt, &config), 0);
		h.root = specs[s].ops->root_phys(&pt);
		assert_int_equal(
			specs[s].ops->map(&pt, 0, PHYS, 512 * 2 * MIB, IOMMU_READ | IOMMU_WRITE),
			0);
		racer = &h;
		assert_int_equal(specs[s].ops->unmap(&pt, 4096, 4096, &gather), 4096);
		assert_null(racer);
		assert_int_equal(specs[s].ops->read_and_clear_dirty(&pt, 0, 2 * MIB, &gather,
								    on_dirty, &dirty),
				 0);
		assert_true(dirty);
		specs[s].ops->destroy(&pt);
		mem_destroy(&mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dirty_while_split),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
