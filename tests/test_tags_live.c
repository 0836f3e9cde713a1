/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_tags_live.c - threads take and give back a unit's tags without a lock: no number is two threads' at once, and none is lost. */
#include "core.h"
#include "fixture.h"

#include <pthread.h>

#define THREADS 3
#define HELD	40	/* by each at most: together more than a word of the map */
#define ROUNDS	2000

static struct iommu_unit *unit;
static unsigned space;
static unsigned owner[1u << 20]; /* atomic: of each number, 0: nobody */
static unsigned clashes;	 /* atomic */

static void *take_and_give(void *arg)
{
	unsigned me = *(const unsigned *)arg, held = 0, seed = me;
	uint32_t tags[HELD];

	for (unsigned round = 0; round < ROUNDS || held; round++) {
		seed = seed * 1103515245u + 12345u;
		if (round < ROUNDS && held < HELD && (seed >> 16 & 1 || !held)) {
			if (unit_alloc_tag(unit, space, &tags[held]))
				continue;
			if (__atomic_exchange_n(&owner[tags[held]], me, __ATOMIC_RELAXED))
				__atomic_fetch_add(&clashes, 1, __ATOMIC_RELAXED);
			held++;
		} else {
			held--;
			__atomic_store_n(&owner[tags[held]], 0, __ATOMIC_RELAXED);
			unit_free_tag(unit, space, tags[held]);
		}
	}
	return NULL;
}

static void test_tags(void **state)
{
	(void)state;
	for (unsigned a = 0; machine_archs[a]; a++) {
		struct iommu_unit_info info;
		pthread_t threads[THREADS];
		unsigned ids[THREADS];
		struct fixture fx;

		fixture_open(&fx, machine_archs[a]->name);
		unit = fx.machine.unit;
		for (space = 0; space < TAG_SPACES; space++) {
			if (!unit->tags[space].count)
				continue;
			for (unsigned i = 0; i < THREADS; i++) {
				ids[i] = i + 1;
				assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &ids[i]), 0);
			}
			for (unsigned i = 0; i < THREADS; i++)
				pthread_join(threads[i], NULL);
			iommu_unit_get_info(unit, &info);
			assert_int_equal(info.tags_used, 0);
		}
		assert_int_equal(clashes, 0);
		fixture_close(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tags) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
