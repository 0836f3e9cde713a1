/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_growth_live.c - page tables grow while devices do DMA, other groups come and go, and others map and unmap.
 *
 * Two devices in groups of their own. One stays in the domain that grows, and must not miss a single DMA to what was mapped all
 * the time; the other is replaced back and forth between that domain and another.
 */
#include "fixture.h"

#include <pthread.h>

#define RID 0x0300u
#define RID2 0x0308u
#define RW (IOMMU_READ | IOMMU_WRITE)
#define ROUNDS 150

struct live {
	struct fixture fx;
	struct iommu_group *stays, *moves;
	struct iommu_domain *domain, *other;
	unsigned stop;		/* atomic */
	unsigned missed;	/* atomic: DMAs of the device that stays */
	unsigned wrong;		/* atomic: DMAs of the one that moves */
	unsigned dmas;		/* atomic */
};

static bool running(const struct live *live)
{
	return !__atomic_load_n(&live->stop, __ATOMIC_ACQUIRE);
}

static void *stay(void *arg)
{
	struct live *live = arg;

	machine_seed_thread(7);
	while (running(live)) {
		struct machine_dma dma = { .rid = RID, .pasid = IOMMU_NO_PASID, .iova = WINDOW, .access = IOMMU_READ, .lane = 1 };

		machine_dma(&live->fx.machine, &dma);
		if (!dma.done || dma.phys != live->fx.data)
			__atomic_add_fetch(&live->missed, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&live->dmas, 1, __ATOMIC_RELEASE);
		iommu_model_tick(&live->fx.machine.model);
	}
	return NULL;
}

static void *move(void *arg)
{
	struct live *live = arg;

	machine_seed_thread(8);
	for (bool there = false; running(live); there = !there) {
		struct machine_dma dma = { .rid = RID2, .pasid = IOMMU_NO_PASID, .iova = WINDOW, .access = IOMMU_READ, .lane = 2 };

		if (iommu_group_replace_domain(live->moves, there ? live->domain : live->other, NULL, NULL))
			__atomic_add_fetch(&live->wrong, 1, __ATOMIC_RELAXED);
		machine_dma(&live->fx.machine, &dma);
		if (!dma.done || dma.phys != live->fx.data + (there ? 0 : 16 * 4096))
			__atomic_add_fetch(&live->wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Maps and unmaps what is within reach of any table. */
static void *map(void *arg)
{
	struct live *live = arg;

	while (running(live)) {
		if (iommu_map(live->domain, 64 * MIB, live->fx.data, 4096, RW) ||
		    iommu_unmap(live->domain, 64 * MIB, 4096) != 4096)
			__atomic_add_fetch(&live->wrong, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void one_round(unsigned seed, bool ats)
{
	static const uint64_t far[] = { 1ull << 39, 1ull << 48, 1ull << 57 };
	const struct machine_config config = { .arch = machine_arch_by_name("amdvi"), .seed = seed, .lanes = 4,
					       .freedoms = ~0u >> (32 - IOMMU_FREEDOMS), .ats = ats };
	static void *(*const mains[])(void *) = { stay, move, map };
	static struct live live;
	pthread_t threads[3];

	memset(&live, 0, sizeof(live));
	fixture_open_config(&live.fx, config);
	live.fx.machine.port.trace = NULL; /* counts without atomics */
	live.stays = fixture_group(&live.fx);
	live.moves = fixture_group(&live.fx);
	fixture_device(&live.fx, live.stays, RID);
	fixture_device(&live.fx, live.moves, RID2);
	live.domain = fixture_paging(&live.fx, 2, 0);
	live.other = fixture_paging(&live.fx, 2, 16);
	assert_int_equal(iommu_attach_group(live.stays, live.domain), 0);
	assert_int_equal(iommu_attach_group(live.moves, live.domain), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mains[i], &live), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct machine_dma dma = { .rid = RID, .pasid = IOMMU_NO_PASID, .iova = far[i], .access = IOMMU_WRITE };
		unsigned before = __atomic_load_n(&live.dmas, __ATOMIC_ACQUIRE);

		while (__atomic_load_n(&live.dmas, __ATOMIC_ACQUIRE) < before + 20)
			sched_yield();
		assert_int_equal(iommu_map(live.domain, far[i], live.fx.data + (i + 1) * 4096, 4096, RW), 0);
		machine_dma(&live.fx.machine, &dma);
		assert_true(dma.done);
		assert_int_equal(dma.phys, live.fx.data + (i + 1) * 4096);
	}
	__atomic_store_n(&live.stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(live.missed, 0);
	assert_int_equal(live.wrong, 0);
	assert_int_equal(iommu_detach_group(live.stays), 0);
	assert_int_equal(iommu_detach_group(live.moves), 0);
	assert_int_equal(iommu_domain_free(live.domain), 0);
	assert_int_equal(iommu_domain_free(live.other), 0);
	fixture_close(&live.fx);
}

static void test_growth_under_dma(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++)
		one_round(round + 1, round % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_growth_under_dma) };

	return cmocka_run_group_tests_name("growth under DMA", tests, NULL, NULL);
}
