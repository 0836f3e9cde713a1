/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_siblings_live.c - entries in one page, each of another group, replaced by a thread of its own at the same time, where every
 * replace swaps that page: nobody loses another's entry, and no DMA of any of them, nor of a neighbour whose entry nobody changes, is
 * blocked, misdirected or late. Runs under ThreadSanitizer too.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/arch.h"

#ifdef __SANITIZE_THREAD__
#define REPLACES 25
#else
#define REPLACES 120
#endif
#define GROUPS 4	/* each with one device; the last one's domain stays */
#define PAGES 4
#define IOVA 0x40000000ull

struct sibling {
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *domain[2];
	uint64_t frames[2];	/* the first of PAGES of each domain */
	uint32_t rid;
	unsigned lane;
	/* Atomic: 2k: k switches are done; 2k + 1: the next one is under way. Odd numbers of switches have led to domain[1]. */
	unsigned phase;
	struct bed *bed;
	pthread_t replacer, engine;
	/* Of the engine's own. */
	unsigned dmas, met[2], inside;
	unsigned bad;
	char seen[160];
};

struct bed {
	struct machine machine;
	struct sibling siblings[GROUPS];
	unsigned running;	/* atomic: replacers */
	bool swaps;		/* every replace was hitless, by a table swap */
};

/* What every word of a frame says: whose it is, which domain's, which page. */
static uint64_t mark(unsigned sibling, unsigned domain, unsigned page)
{
	return 0x5100000000000000ull | sibling << 16 | domain << 8 | page;
}

static void put_marks(struct bed *bed, struct sibling *s, unsigned domain)
{
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t *words = machine_virt(&bed->machine, s->frames[domain] + page * HITLESS_PAGE_SIZE);

		for (unsigned i = 0; i < HITLESS_PAGE_SIZE / 8; i++)
			words[i] = mark((unsigned)(s - bed->siblings), domain, page);
	}
}

static void open_sibling(struct bed *bed, unsigned n, const unsigned *stages)
{
	struct sibling *s = &bed->siblings[n];

	s->bed = bed;
	s->lane = n;
	s->rid = (n + 1) << 3;	/* neighbours on one bus */
	machine_add_function(&bed->machine, s->rid);
	assert_int_equal(iommu_group_alloc(&bed->machine.port, &s->group), 0);
	assert_int_equal(iommu_group_add_device(s->group, &(struct iommu_device_desc){ .unit = bed->machine.unit, .rids = { s->rid },
										       .nrids = 1 }, &s->device), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = stages[i] };

		assert_int_equal(iommu_domain_alloc(bed->machine.unit, &desc, &s->domain[i]), 0);
		s->frames[i] = machine_reserve_frames(&bed->machine, PAGES);
		put_marks(bed, s, i);
		assert_int_equal(iommu_map(s->domain[i], IOVA, s->frames[i], PAGES * HITLESS_PAGE_SIZE, IOMMU_READ | IOMMU_WRITE), 0);
	}
	assert_int_equal(iommu_attach_group(s->group, s->domain[0]), 0);
}

static void close_sibling(struct sibling *s)
{
	assert_int_equal(iommu_detach_group(s->group), 0);
	assert_int_equal(iommu_group_remove_device(s->group, s->device), 0);
	assert_int_equal(iommu_group_free(s->group), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_domain_free(s->domain[i]), 0);
}

static unsigned domain_after(unsigned phase)
{
	return phase / 2 & 1;
}

static void judge(struct sibling *s, unsigned p0, unsigned p1, unsigned page, const struct machine_dma *dma)
{
	unsigned own = (unsigned)(s - s->bed->siblings), met = 2;

	for (unsigned i = 0; i < 2; i++)
		if (dma->done && dma->value == mark(own, i, page))
			met = i;
	s->dmas++;
	s->inside += p1 & 1;
	/* Between two readings that are equal and even there is one domain; otherwise both may be met. */
	if (met < 2 && ((p0 != p1 || p0 & 1) || met == domain_after(p0))) {
		s->met[met]++;
		return;
	}
	if (!s->bad++)
		snprintf(s->seen, sizeof(s->seen), "device %u, phase %u to %u, page %u: %s, value %#llx at %#llx", own, p0, p1, page,
			 dma->done ? "done" : "blocked", (unsigned long long)dma->value, (unsigned long long)dma->phys);
}

static void *engine(void *argument)
{
	struct sibling *s = argument;

	machine_seed_thread(s->rid);
	while (__atomic_load_n(&s->bed->running, __ATOMIC_ACQUIRE)) {
		unsigned page = machine_random() % PAGES, p0, p1;
		struct machine_dma dma = {
			.rid = s->rid, .pasid = IOMMU_NO_PASID, .iova = IOVA + page * HITLESS_PAGE_SIZE + machine_random() % 512 * 8,
			.access = IOMMU_READ, .lane = s->lane,
		};

		p0 = __atomic_load_n(&s->phase, __ATOMIC_SEQ_CST);
		machine_dma(&s->bed->machine, &dma);
		p1 = __atomic_load_n(&s->phase, __ATOMIC_SEQ_CST);
		judge(s, p0, p1, page, &dma);
	}
	return NULL;
}

static void *replacer(void *argument)
{
	struct sibling *s = argument;
	struct bed *bed = s->bed;

	machine_seed_thread(s->rid + 1);
	for (unsigned i = 1; i <= REPLACES; i++) {
		struct iommu_replace_report report;
		int err;

		__atomic_add_fetch(&s->phase, 1, __ATOMIC_SEQ_CST);
		err = iommu_group_replace_domain(s->group, s->domain[i & 1], NULL, &report);
		__atomic_add_fetch(&s->phase, 1, __ATOMIC_SEQ_CST);
		if (err || !report.hitless || report.strategy != IOMMU_STRATEGY_TABLE_SWAP)
			__atomic_store_n(&bed->swaps, false, __ATOMIC_RELAXED);
		for (unsigned n = machine_random() % 8; n; n--)
			sched_yield();
	}
	__atomic_sub_fetch(&bed->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Time passes before every step, so that a replace meets the others in the middle of theirs. */
static void take_time(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	(void)step;
	for (unsigned n = machine_random() % 3; n; n--)
		sched_yield();
}

static void siblings(const char *arch, const unsigned *stages, bool quantum64)
{
	const struct machine_config config = {
		.arch = machine_arch_by_name(arch), .lanes = GROUPS, .no_store128 = quantum64, .seed = 1,
		.freedoms = (1u << IOMMU_FREEDOMS) - 1,
	};
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	assert_int_equal(machine_create(&bed->machine, &config), 0);
	assert_int_equal(machine_start_unit(&bed->machine), 0);
	for (unsigned n = 0; n < GROUPS; n++)
		open_sibling(bed, n, stages);
	bed->machine.port.trace = take_time;
	bed->swaps = true;
	bed->running = GROUPS - 1;
	for (unsigned n = 0; n < GROUPS; n++)
		assert_int_equal(pthread_create(&bed->siblings[n].engine, NULL, engine, &bed->siblings[n]), 0);
	for (unsigned n = 0; n < GROUPS - 1; n++)
		assert_int_equal(pthread_create(&bed->siblings[n].replacer, NULL, replacer, &bed->siblings[n]), 0);
	for (unsigned n = 0; n < GROUPS - 1; n++)
		pthread_join(bed->siblings[n].replacer, NULL);
	for (unsigned n = 0; n < GROUPS; n++)
		pthread_join(bed->siblings[n].engine, NULL);
	assert_true(bed->swaps);
	for (unsigned n = 0; n < GROUPS; n++) {
		struct sibling *s = &bed->siblings[n];

		if (s->bad)
			fail_msg("%s: %u of %u; first: %s", arch, s->bad, s->dmas, s->seen);
		assert_true(s->dmas > 100);
		if (n < GROUPS - 1)
			assert_true(s->met[0] && s->met[1] && s->inside);
		else
			assert_true(!s->met[1]);
		close_sibling(s);
	}
	machine_destroy(&bed->machine);
	free(bed);
}

static const unsigned first_and_second[2] = { 1, 2 }, second_and_second[2] = { 2, 2 };

static void test_riscv(void **state)
{
	(void)state;
	siblings("riscv", first_and_second, false);
}

static void test_smmuv3(void **state)
{
	(void)state;
	siblings("smmuv3", first_and_second, false);
	siblings("smmuv3", second_and_second, true);
}

/* Context entries of one bus: with 64-bit stores the root entry's half is what is swapped. */
static void test_vtd_legacy(void **state)
{
	(void)state;
	siblings("vtd-legacy", second_and_second, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_riscv),
		cmocka_unit_test(test_smmuv3),
		cmocka_unit_test(test_vtd_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
