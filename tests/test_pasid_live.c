/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_pasid_live.c - PASIDs under live DMA, on every architecture that has them: replacing one, replacing what requests without PASID
 * are in, growing the tables from one PASID to 2^16; and nobody else notices.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "machine/live.h"

#ifdef __SANITIZE_THREAD__
#define SWITCHES 40
#define GROWN (1 << 13)
#else
#define SWITCHES 200
#define GROWN (1 << 16)
#endif

static const struct live_kind first_stage = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
static const struct live_kind second_stage = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
static const struct live_kind external = { .type = IOMMU_DOMAIN_EXTERNAL, .stage = 1 };
static const struct live_kind identity = { .type = IOMMU_DOMAIN_IDENTITY };
static const struct live_kind blocked = { .type = IOMMU_DOMAIN_BLOCKED };

static void check(struct live *live, bool expect_hitless)
{
	for (unsigned d = 0; d < 2; d++) {
		struct live_result result;

		live_get_result(live, d, &result);
		if (result.seen[0])
			fail_msg("%s", result.seen);
		assert_int_equal(result.dma.blocked, 0);
		assert_int_equal(result.dma.wrong, 0);
		assert_int_equal(result.dma.stale, 0);
		if (expect_hitless)
			assert_true(result.hitless);
		free(result.latency_ns);
	}
}

static void round_trips(struct live_config config)
{
	struct live *live;

	config.pasid_bits = 20;
	config.beside = true;
	config.seed = 1;
	assert_int_equal(live_open(&live, &config), 0);
	for (unsigned i = 0; i < SWITCHES; i++) {
		assert_int_equal(live_switch(live), 0);
		live_dwell(live, 40);
	}
	live_stop(live);
	check(live, true);
	assert_int_equal(live_close(live), 0);
}

#define for_each_arch(arch) \
	for (unsigned arch##_n = 0; machine_archs[arch##_n]; arch##_n++) \
		for (const struct machine_arch *arch = machine_archs[arch##_n]; arch && arch->pasid_bits; arch = NULL)

static void test_replace(void **state)
{
	(void)state;
	for_each_arch(arch) {
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .pasid = 7 });
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .pasid = 7, .shared = true });
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .pasid = 7, .ats = true });
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, blocked }, .pasid = 7, .ats = true });
	}
}

static void test_external(void **state)
{
	(void)state;
	for_each_arch(arch) {
		round_trips((struct live_config){ .arch = arch, .kind = { external, first_stage }, .pasid = 300 });
		round_trips((struct live_config){ .arch = arch, .kind = { external, first_stage }, .pasid = 7, .shared = true,
						  .ats = true });
	}
}

/* What requests without PASID are in changes, beside two PASIDs: also to identity, and to blocked. */
static void test_beside(void **state)
{
	(void)state;
	for_each_arch(arch) {
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .shared = true });
		round_trips((struct live_config){ .arch = arch, .kind = { identity, first_stage }, .ats = true });
		round_trips((struct live_config){ .arch = arch, .kind = { blocked, first_stage } });
		round_trips((struct live_config){ .arch = arch, .kind = { blocked, first_stage }, .ats = true });
	}
}

/* VT-d has second stages behind PASIDs, too. */
static void test_second_stage(void **state)
{
	const struct machine_arch *vtd = machine_arch_by_name("vtd");

	(void)state;
	round_trips((struct live_config){ .arch = vtd, .kind = { second_stage, first_stage }, .pasid = 7 });
	round_trips((struct live_config){ .arch = vtd, .kind = { second_stage, second_stage }, .pasid = 7, .shared = true });
	round_trips((struct live_config){ .arch = vtd, .kind = { identity, second_stage }, .pasid = 7 });
	round_trips((struct live_config){ .arch = vtd, .kind = { second_stage, second_stage } });
}

static void test_hard_hardware(void **state)
{
	(void)state;
	for_each_arch(arch) {
		round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .pasid = 7,
						  .quantum64 = true });
		if (arch->noncoherent)
			round_trips((struct live_config){ .arch = arch, .kind = { first_stage, first_stage }, .pasid = 7,
							  .noncoherent = true });
	}
}

/* From three PASIDs to 2^16, while two of them and requests without do DMA, and the third is replaced now and then. */
static void grow(const struct machine_arch *arch)
{
	enum { COUNT = GROWN, SETTLED = 512 };
	/* One thread does all DMA, so that polls of the unit, which it makes go on, are short. */
	const struct live_config config = {
		.arch = arch, .kind = { first_stage, first_stage }, .pasid_bits = 20, .beside = true, .pasid = 7, .ats = true, .seed = 1,
		.threads = 1,
	};
	unsigned first = 0, most = 0;
	struct live *live;
	struct iommu_device *device;
	struct iommu_pasid_info info;

	assert_int_equal(live_open(&live, &config), 0);
	device = live_device(live, 0);
	for (uint32_t pasid = 8; pasid < COUNT; pasid++) {
		struct machine *machine = live_machine(live);
		unsigned allocations = __atomic_load_n(&machine->alloc_calls, __ATOMIC_RELAXED);

		assert_int_equal(iommu_attach_device_pasid(device, pasid, live_domain(live, pasid % 2), NULL), 0);
		allocations = __atomic_load_n(&machine->alloc_calls, __ATOMIC_RELAXED) - allocations;
		if (pasid < SETTLED && allocations > first)
			first = allocations;
		if (allocations > most)
			most = allocations;
		if (pasid % (COUNT / 16) == 0) {
			assert_int_equal(live_switch(live), 0);
			live_dwell(live, 40);
		}
	}
	/* Of two devices: a table more each, when one is full, and a level more. */
	if (most > first + 12)
		fail_msg("%s: %u allocations, %u at first", arch->name, most, first);
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.attached, COUNT - 6);
	/* An entry has at most 64 bytes, a directory 128 KiB. */
	assert_true(info.table_bytes <= info.attached * 64 + (160u << 10));
	live_stop(live);
	check(live, true);
	for (uint32_t pasid = 8; pasid < COUNT; pasid++)
		assert_int_equal(iommu_detach_device_pasid(device, pasid), 0);
	assert_int_equal(live_close(live), 0);
}

static void test_growth(void **state)
{
	(void)state;
	for_each_arch(arch)
		grow(arch);
}

/* The owner of an external table takes a page away and says so, while the PASID is replaced: then nobody writes to it any more. */
struct owner {
	struct live *live;
	struct iommu_domain *domain;
	uint64_t root;
	unsigned stop;		/* atomic */
	unsigned rounds;
	const char *wrong;
};

static void *own(void *arg)
{
	struct owner *owner = arg;
	struct machine *machine = live_machine(owner->live);

	while (!__atomic_load_n(&owner->stop, __ATOMIC_ACQUIRE) || owner->rounds < 8) {
		/* The page behind the window; device requests to it find it there or not. */
		uint64_t iova = live_iova(owner->live, 16), before;

		live_set_mark(owner->live, 0, 16, true);
		if (machine_cpu_map(machine, 0, owner->root, iova, live_frame(owner->live, 0, 16), true))
			owner->wrong = "no memory";
		for (unsigned i = 0; i < 100; i++)
			sched_yield();
		machine_cpu_unmap(machine, 0, owner->root, iova);
		if (iommu_domain_invalidate(owner->domain, iova, 4096, false))
			owner->wrong = "invalidate failed";
		before = live_writes(owner->live, 0, 16);
		for (unsigned i = 0; i < 100; i++)
			sched_yield();
		if (live_writes(owner->live, 0, 16) != before)
			owner->wrong = "a write after the invalidation";
		owner->rounds++;
	}
	return NULL;
}

static void test_owner(void **state)
{
	(void)state;
	for_each_arch(arch) {
		const struct live_config config = {
			.arch = arch, .kind = { external, first_stage }, .pasid_bits = 20, .beside = true, .pasid = 7, .ats = true, .shared = true,
			.spare = 1, .seed = 1,
		};
		struct owner owner = { 0 };
		struct live *live;
		pthread_t thread;

		assert_int_equal(live_open(&live, &config), 0);
		owner.live = live;
		owner.domain = live_domain(live, 0);
		owner.root = live_root(live, 0);
		assert_int_equal(pthread_create(&thread, NULL, own, &owner), 0);
		for (unsigned i = 0; i < SWITCHES; i++) {
			int err = live_switch(live);

			if (err)
				fail_msg("%s, switch %u: %d", arch->name, i, err);
			live_dwell(live, 20);
		}
		__atomic_store_n(&owner.stop, 1, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		live_stop(live);
		if (owner.wrong)
			fail_msg("%s: %s", arch->name, owner.wrong);
		check(live, true);
		assert_int_equal(live_close(live), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),	      cmocka_unit_test(test_external), cmocka_unit_test(test_beside),
		cmocka_unit_test(test_second_stage),  cmocka_unit_test(test_hard_hardware), cmocka_unit_test(test_growth),
		cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
