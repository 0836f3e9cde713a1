/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_live.c - replace under live DMA, in short: every kind of transition, with threads that map and unmap meanwhile, and with
 * dirty tracking. Also the measurement itself: it must see a gap where there is one. Runs under ThreadSanitizer too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "live.h"

#ifdef __SANITIZE_THREAD__
#define SWITCHES 80	/* it is slow */
#else
#define SWITCHES 240
#endif
#define DWELL 40	/* DMAs between two switches, at most */

static const struct live_kind s1 = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
static const struct live_kind s1_5 = { .type = IOMMU_DOMAIN_PAGING, .stage = 1, .levels = 5 };
static const struct live_kind s2 = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
static const struct live_kind s2_5 = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .levels = 5 };
static const struct live_kind s2_dirty = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .dirty = true };
static const struct live_kind identity = { .type = IOMMU_DOMAIN_IDENTITY };
static const struct live_kind blocked = { .type = IOMMU_DOMAIN_BLOCKED };

static struct live_config config_of(const char *arch, struct live_kind from, struct live_kind to)
{
	static uint64_t seed;

	return (struct live_config){
		.arch = machine_arch_by_name(arch), .kind = { from, to }, .devices = 2, .threads = 2, .seed = ++seed,
	};
}

static struct live *open_live(const struct live_config *config)
{
	struct live *live = NULL;

	assert_int_equal(live_open(&live, config), 0);
	return live;
}

static void switch_often(struct live *live, unsigned switches)
{
	machine_seed_thread(switches);
	for (unsigned i = 0; i < switches; i++) {
		assert_int_equal(live_switch(live), 0);
		live_dwell(live, machine_random() % DWELL);
	}
}

static struct live_counts counts_of(struct live *live, bool hitless)
{
	struct live_counts sum = { 0 };

	for (unsigned direction = 0; direction < 2; direction++) {
		struct live_result result;

		live_get_result(live, direction, &result);
		free(result.latency_ns);
		if (result.seen[0] && (hitless || strncmp(result.seen, "blocked", 7) != 0))
			print_error("%s\n", result.seen);
		if (result.switches)
			assert_int_equal(result.hitless, hitless);
		sum.old += result.dma.old;
		sum.new += result.dma.new;
		sum.blocked += result.dma.blocked;
		sum.wrong += result.dma.wrong;
		sum.stale += result.dma.stale;
		sum.bystanders += result.dma.bystanders;
		sum.denied += result.dma.denied;
	}
	return sum;
}

/* Stops, takes down, and expects that nothing was wrong. */
static struct live_counts close_live(struct live *live, bool hitless)
{
	struct live_counts counts;

	live_stop(live);
	counts = counts_of(live, hitless);
	assert_int_equal(live_close(live), 0);
	assert_int_equal(counts.wrong, 0);
	assert_int_equal(counts.stale, 0);
	if (hitless)
		assert_int_equal(counts.blocked, 0);
	assert_true(counts.old > 0);
	assert_true(counts.new > SWITCHES);
	return counts;
}

static struct live_counts replace_often(const struct live_config *config, bool hitless)
{
	struct live *live = open_live(config);

	switch_often(live, SWITCHES);
	live_dwell(live, 2000);
	return close_live(live, hitless);
}

/* ---- Transitions ---- */

struct transition {
	const char *name, *arch;
	const struct live_kind *from, *to;
	bool shared, ats, noncoherent;
};

#ifdef LIVE_TRANSITIONS
static const struct transition transitions[] = { LIVE_TRANSITIONS };
static const bool transitions_only = true;
#else
static const bool transitions_only = false;
static const struct transition transitions[] = {
	{ "s2 and s2", "vtd", &s2, &s2, false, false, false },
	{ "s2 and s2, shared tags", "vtd", &s2, &s2, true, false, false },
	{ "s2 and s2, ATS", "vtd", &s2, &s2, false, true, false },
	{ "s2 and s2, not coherent", "vtd", &s2, &s2, false, false, true },
	{ "s2 and s2 of 5 levels", "vtd", &s2, &s2_5, false, false, false },
	{ "s2 and s2 with dirty tracking", "vtd", &s2, &s2_dirty, false, false, false },
	{ "identity and s2", "vtd", &identity, &s2, false, false, false },
	{ "identity and s2, shared tags", "vtd", &identity, &s2, true, false, false },
	{ "identity and s2, ATS", "vtd", &identity, &s2, false, true, false },
	{ "s1 and s1", "vtd", &s1, &s1, false, false, false },
	{ "s1 and s1, shared tags", "vtd", &s1, &s1, true, false, false },
	{ "s1 and s1, ATS", "vtd", &s1, &s1, false, true, false },
	{ "s1 and s1, not coherent", "vtd", &s1, &s1, false, false, true },
	{ "s1 and s1 of 5 levels", "vtd", &s1, &s1_5, false, false, false },
	{ "s1 and s1 of 5 levels", "amdvi", &s1, &s1_5, false, false, false },
	{ "s2 and s2", "amdvi", &s2, &s2, true, true, false },
	{ "identity and s2", "amdvi", &identity, &s2, false, false, false },
	{ "s1 and s2", "amdvi", &s1, &s2, true, false, false },
	{ "identity and s1", "vtd", &identity, &s1, false, false, false },
	{ "s1 and s2", "vtd", &s1, &s2, false, false, false },
	{ "s1 and s2, shared tags", "vtd", &s1, &s2, true, false, false },
	{ "s1 and s2, ATS", "vtd", &s1, &s2, false, true, false },
	{ "blocked and s1", "vtd", &blocked, &s1, false, false, false },
	{ "blocked and s2", "vtd", &blocked, &s2, false, false, false },
	{ "legacy s2 and s2", "vtd-legacy", &s2, &s2, false, false, false },
	{ "legacy s2 and s2, shared tags", "vtd-legacy", &s2, &s2, true, false, false },
	{ "legacy s2 and s2, ATS", "vtd-legacy", &s2, &s2, false, true, false },
	{ "legacy s2 and s2, not coherent", "vtd-legacy", &s2, &s2, false, false, true },
	{ "legacy s2 and s2 of 5 levels", "vtd-legacy", &s2, &s2_5, false, false, false },
	{ "legacy identity and s2", "vtd-legacy", &identity, &s2, false, false, false },
	{ "legacy blocked and s2", "vtd-legacy", &blocked, &s2, false, false, false },
};
#endif

static struct live_config transition_config(const struct transition *transition)
{
	struct live_config config = config_of(transition->arch, *transition->from, *transition->to);

	config.shared = transition->shared;
	config.ats = transition->ats;
	config.noncoherent = transition->noncoherent;
	return config;
}

static void test_transition(void **state)
{
	const struct transition *transition = *state;
	struct live_config config = transition_config(transition);
	struct live_counts counts = replace_often(&config, true);

	if (transition->shared)
		assert_true(counts.bystanders > 100);
	if (transition->from->type == IOMMU_DOMAIN_PAGING)
		assert_true(counts.denied > 0);
}

/* A driver that takes its time between all steps. */
static void test_patient(void **state)
{
	struct live_config config = transition_config(*state);

	config.patient = true;
	replace_often(&config, true);
}

static void test_quantum64(void **state)
{
	struct live_config config = transition_config(*state);

	config.quantum64 = true;
	replace_often(&config, true);
}

/* Only this strategy: at 128 bits there are cheaper ones. */
static void strategy(const char *arch, struct live_kind from, struct live_kind to, enum iommu_strategy wanted,
		     unsigned devices)
{
	struct live_config config = config_of(arch, from, to);
	struct live *live;
	struct live_result result;

	config.devices = devices;
	config.patient = true;
	config.options.strategies = IOMMU_STRATEGY_BIT(wanted);
	if (wanted == IOMMU_STRATEGY_TAG_HOP || wanted == IOMMU_STRATEGY_TEMPORARY_TAG)
		config.options.assumptions = IOMMU_PLAN_ASSUME_OLD_OR_NEW;
	live = open_live(&config);
	switch_often(live, SWITCHES);
	live_stop(live);
	live_get_result(live, 0, &result);
	free(result.latency_ns);
	assert_int_equal(result.strategy, wanted);
	assert_int_equal(result.hitless, wanted != IOMMU_STRATEGY_BREAK);
	assert_int_equal(result.dma.wrong + result.dma.stale, 0);
	if (wanted == IOMMU_STRATEGY_BREAK)
		assert_true(result.dma.blocked > 0);
	else
		assert_int_equal(result.dma.blocked, 0);
	assert_int_equal(live_close(live), 0);
}

static void test_strategies(void **state)
{
	(void)state;
	strategy("vtd", s2, s2, IOMMU_STRATEGY_TABLE_SWAP, 3);
	strategy("vtd-legacy", s2, s2, IOMMU_STRATEGY_TABLE_SWAP, 3);
	strategy("vtd", s1, s2, IOMMU_STRATEGY_PRELOAD, 2);
	strategy("vtd", s1, s1, IOMMU_STRATEGY_TAG_HOP, 1);
	strategy("vtd", s2, s2, IOMMU_STRATEGY_TEMPORARY_TAG, 1);
	strategy("vtd", s1, s1, IOMMU_STRATEGY_BREAK, 2);
	strategy("vtd-legacy", s2, s2, IOMMU_STRATEGY_BREAK, 2);
}

static void test_many_devices(void **state)
{
	struct live_config config = config_of("vtd-legacy", s2, s2);

	(void)state;
	config.devices = 40;
	config.patient = true;
	config.shared = true;
	replace_often(&config, true);
}

/* A level more on top, where the live entry can be changed for it in one store. */
static void test_growth(void **state)
{
	struct live_config config = config_of("amdvi", s2, s2);

	(void)state;
	config.method = LIVE_GROW;
	for (unsigned i = 0; i < 4; i++) {
		struct live *live;

		config.patient = i & 1;
		config.ats = i & 2;
		live = open_live(&config);
		switch_often(live, SWITCHES);
		live_stop(live);
		for (unsigned direction = 0; direction < 2; direction++) {
			struct live_result result;

			live_get_result(live, direction, &result);
			free(result.latency_ns);
			assert_string_equal(result.seen, "");
			assert_int_equal(result.dma.blocked + result.dma.wrong + result.dma.stale, 0);
			assert_int_equal(result.switches, direction ? 0 : SWITCHES);
			if (direction)
				continue;
			assert_true(result.hitless);
			assert_int_equal(result.strategy, IOMMU_STRATEGY_ONE_STORE);
			assert_int_equal(result.cost.stores, config.devices);
			assert_true(result.dma.new > SWITCHES);
		}
		assert_int_equal(live_close(live), 0);
	}
}

static void test_no_growth(void **state)
{
	struct live_config config = config_of("vtd", s2, s2);
	struct live *live;

	(void)state;
	config.method = LIVE_GROW;
	assert_int_equal(live_open(&live, &config), -EOPNOTSUPP);
	config = config_of("amdvi", s1, s1);
	config.method = LIVE_GROW;
	assert_int_equal(live_open(&live, &config), -EOPNOTSUPP);
	config.kind[0] = config.kind[1] = s2_5;
	assert_int_equal(live_open(&live, &config), -EINVAL);
	/* There would be no way to go on once the table is as deep as can be. */
	config.kind[0] = config.kind[1] = s2;
	config.quantum64 = true;
	assert_int_equal(live_open(&live, &config), -EOPNOTSUPP);
}

/* ---- Does the measurement see anything? ---- */

static void test_gap_is_seen(void **state)
{
	struct live_config config = transition_config(*state);
	struct live_counts counts;

	config.method = LIVE_ATTACH_DETACH;
	config.patient = true;
	counts = replace_often(&config, false);
	assert_true(counts.blocked > 0);
}

static void test_remap_gap_is_seen(void **state)
{
	struct live_config config = transition_config(*state);
	struct live_counts counts;

	config.method = LIVE_REMAP;
	counts = replace_often(&config, false);
	assert_true(counts.blocked > 0);
}

static void forget_everything(void *ctx, struct iommu_plan *plan)
{
	unsigned n = 0;

	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op != IOMMU_STEP_INVALIDATE)
			plan->steps[n++] = plan->steps[i];
	plan->nsteps = n;
}

/* The devices' entries are not forgotten: they go on with the old depth. */
static void test_bad_growth_is_seen(void **state)
{
	struct live_config config = config_of("amdvi", s2, s2);
	struct live *live;

	(void)state;
	config.method = LIVE_GROW;
	config.review = forget_everything;
	live = open_live(&config);
	switch_often(live, SWITCHES);
	live_stop(live);
	assert_true(counts_of(live, true).blocked > 0);
	assert_int_equal(live_close(live), 0);
}

/* A device that may have PASIDs: its GCR3 table's first entry changes, by one 64-bit store and one command. */
static void test_gcr3_entry(void **state)
{
	struct live_config config = config_of("amdvi", s1, s1);
	struct live_counts counts;
	struct live *live;

	(void)state;
	config.pasid_bits = 8;
	for (unsigned i = 0; i < 8; i++) {
		config.patient = i & 1;
		config.ats = (i & 6) == 2;
		config.quantum64 = i & 4;
		config.shared = i & 4;
		replace_often(&config, true);
	}
	config = config_of("amdvi", s1, s1);
	config.pasid_bits = 8;
	config.patient = true;
	config.review = forget_everything;
	live = open_live(&config);
	switch_often(live, SWITCHES);
	live_stop(live);
	counts = counts_of(live, true);
	assert_true(counts.stale + counts.wrong > 0);
	assert_int_equal(live_close(live), 0);
}

static void test_faults_are_seen(void **state)
{
	struct live_config config = transition_config(*state);
	struct live_result result;
	struct live *live;

	config.review = forget_everything;
	config.patient = true;
	live = open_live(&config);
	switch_often(live, SWITCHES);
	live_stop(live);
	live_get_result(live, 0, &result);
	free(result.latency_ns);
	assert_true(result.dma.wrong + result.dma.stale > 0);
	assert_true(result.seen[0]);
	assert_int_equal(live_close(live), 0);
}

static void test_recording(void **state)
{
	struct live_config config = config_of("vtd", s2, s2);
	struct live *live = open_live(&config);
	struct live_recording recording;
	bool old = false, new = false, store = false;

	(void)state;
	switch_often(live, 5);
	assert_int_equal(live_record(live, 20, &recording), 0);
	assert_true(recording.t1 > recording.t0);
	for (unsigned i = 0; i < recording.nevents; i++) {
		const struct live_event *event = &recording.events[i];

		assert_true(event->end >= event->begin);
		old |= event->outcome == LIVE_OLD && event->end < recording.t0;
		new |= event->outcome == LIVE_NEW && event->begin > recording.t1;
		if (event->outcome == LIVE_NEW)
			assert_true(event->end > recording.t0);
	}
	for (unsigned i = 0; i < recording.nmarks; i++) {
		assert_true(recording.marks[i].at >= recording.t0 && recording.marks[i].at <= recording.t1);
		store |= recording.marks[i].step.op == IOMMU_STEP_STORE;
	}
	assert_true(old && new && store);
	free(recording.events);
	free(recording.marks);
	live_stop(live);
	counts_of(live, true);
	assert_int_equal(live_close(live), 0);
}

/* What makes no sense is refused, and leaves nothing behind. */
static void test_refused(void **state)
{
	struct live_config config;
	struct live *live;

	(void)state;
	config = config_of("vtd", identity, identity);
	assert_int_equal(live_open(&live, &config), -EINVAL);
	config = config_of("vtd-legacy", s1, s2);
	assert_int_equal(live_open(&live, &config), -EINVAL);
	config = config_of("vtd", s1, s2);
	config.method = LIVE_REMAP;
	assert_int_equal(live_open(&live, &config), -EINVAL);
	config = config_of("vtd", s2, s2);
	config.devices = LIVE_MAX_DEVICES + 1;
	assert_int_equal(live_open(&live, &config), -EINVAL);
	config = config_of("vtd", s2, s2);
	config.options.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_PRELOAD);
	assert_int_equal(live_open(&live, &config), -EOPNOTSUPP);
	assert_true(live_supports(machine_arch_by_name("vtd"), &s1));
	assert_false(live_supports(machine_arch_by_name("vtd-legacy"), &s1));
}

/* ---- Map and unmap meanwhile ---- */

#define SPARE 3

struct mapper {
	struct live *live;
	unsigned number, stop, rounds;
};

static void complain(struct live *live, const char *what)
{
	live_report(live, LIVE_WRONG, what);
}

/* No request may reach the page any more: not the mapper's own, nor any of the devices'. */
static void expect_unreachable(struct mapper *mapper, unsigned object, unsigned page)
{
	struct live *live = mapper->live;
	struct machine_dma dma = {
		.rid = live_rid(live, mapper->number),
		.pasid = IOMMU_NO_PASID,
		.iova = live_iova(live, page),
		.access = IOMMU_READ,
		.lane = live_lane(live, mapper->number),
	};
	uint64_t before, until;

	/* The devices' reads look for the mark; their writes leave their traces. */
	live_set_mark(live, object, page, false);
	before = live_writes(live, object, page);
	dma.ats = machine_ats_enabled(live_machine(live), dma.rid);
	machine_dma(live_machine(live), &dma);
	if (dma.done && dma.phys == live_frame(live, object, page))
		complain(live, "a read reached a page after its unmap had returned");
	until = live_dmas(live, 0) + live_dmas(live, 1) + 60;
	while (live_dmas(live, 0) + live_dmas(live, 1) < until && !__atomic_load_n(&mapper->stop, __ATOMIC_ACQUIRE))
		sched_yield();
	if (live_writes(live, object, page) != before)
		complain(live, "a write reached a page after its unmap had returned");
}

static void *map_and_unmap(void *arg)
{
	struct mapper *mapper = arg;
	struct live *live = mapper->live;
	bool mapped[4] = { false };
	unsigned page = 16 + mapper->number; /* each mapper has a page of its own */

	machine_seed_thread(100 + mapper->number);
	while (!__atomic_load_n(&mapper->stop, __ATOMIC_ACQUIRE)) {
		unsigned object = (unsigned)machine_random() % live_objects(live);
		struct iommu_domain *domain = live_domain(live, object);

		if (mapped[object]) {
			if (iommu_unmap(domain, live_iova(live, page), HITLESS_PAGE_SIZE) != HITLESS_PAGE_SIZE)
				complain(live, "unmap has failed");
			expect_unreachable(mapper, object, page);
			__atomic_add_fetch(&mapper->rounds, 1, __ATOMIC_RELAXED);
		} else {
			live_set_mark(live, object, page, true);
			if (iommu_map(domain, live_iova(live, page), live_frame(live, object, page), HITLESS_PAGE_SIZE,
				      IOMMU_READ | IOMMU_WRITE))
				complain(live, "map has failed");
		}
		mapped[object] = !mapped[object];
	}
	return NULL;
}

static void map_races(struct live_config config)
{
	struct mapper mappers[2];
	pthread_t threads[2];
	struct live *live;

	config.spare = SPARE;
	config.lanes = 2;
	live = open_live(&config);
	for (unsigned i = 0; i < 2; i++) {
		mappers[i] = (struct mapper){ .live = live, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, map_and_unmap, &mappers[i]), 0);
	}
	switch_often(live, SWITCHES);
	while (__atomic_load_n(&mappers[0].rounds, __ATOMIC_RELAXED) < 40 ||
	       __atomic_load_n(&mappers[1].rounds, __ATOMIC_RELAXED) < 40)
		switch_often(live, 10);
	for (unsigned i = 0; i < 2; i++) {
		__atomic_store_n(&mappers[i].stop, 1, __ATOMIC_RELEASE);
		pthread_join(threads[i], NULL);
	}
	close_live(live, true);
}

static void test_map_races(void **state)
{
	map_races(transition_config(*state));
}

/* Where a way by 64-bit stores has more tags in use. */
static void test_map_races_quantum64(void **state)
{
	struct live_config config = transition_config(*state);

	config.quantum64 = true;
	map_races(config);
}

/* ---- Dirty bits that were set before the switch stay readable after it ---- */

struct dirty {
	struct live *live;
	bool page[32];
};

static void note_dirty(void *ctx, uint64_t iova, uint64_t size)
{
	struct dirty *dirty = ctx;

	for (uint64_t at = iova; at < iova + size; at += HITLESS_PAGE_SIZE)
		dirty->page[(at - live_iova(dirty->live, 0)) / HITLESS_PAGE_SIZE] = true;
}

static void test_dirty(void **state)
{
	struct live_config config = config_of("vtd", s2_dirty, s2_dirty);
	/* In the order of the switches: from, to, the second from, the second to. */
	static const unsigned order[] = { 0, 2, 1, 3 };
	uint64_t written[4][16] = { 0 };
	struct live *live;

	(void)state;
	config.seed = 77;
	live = open_live(&config);
	for (unsigned n = 0; n < SWITCHES; n++) {
		unsigned left = order[n % 4];
		struct dirty dirty = { .live = live };

		live_dwell(live, 20);
		assert_int_equal(live_switch(live), 0);
		/* Nobody writes there any more. */
		assert_int_equal(iommu_read_and_clear_dirty(live_domain(live, left), live_iova(live, 0), 16 * HITLESS_PAGE_SIZE,
							    note_dirty, &dirty), 0);
		for (unsigned page = 0; page < 16; page++) {
			uint64_t now = live_writes(live, left, page);

			if (now != written[left][page])
				assert_true(dirty.page[page]);
			written[left][page] = now;
		}
	}
	close_live(live, true);
}

/* ---- A replace costs the same, however much is mapped ---- */

static void count_step(void *ctx, const struct iommu_step *step)
{
	unsigned *steps = ((struct machine *)ctx)->observer;

	(void)step;
	++*steps;
}

static void test_cost_is_constant(void **state)
{
	const struct machine_config config = { .arch = machine_arch_by_name("vtd"), .seed = 1 };
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	const uint64_t sizes[4] = { 1ull << 12, 1ull << 12, 64ull << 30, 64ull << 30 };
	struct iommu_domain *domains[4];
	struct iommu_replace_report reports[4];
	struct iommu_device_desc device = { .rids = { 8 }, .nrids = 1 };
	struct iommu_device *made;
	struct iommu_group *group;
	struct machine machine;
	unsigned steps = 0, taken[4];

	(void)state;
	assert_int_equal(machine_create(&machine, &config), 0);
	machine.observer = &steps;
	machine.port.trace = count_step;
	assert_int_equal(machine_start_unit(&machine), 0);
	machine_add_function(&machine, 8);
	device.unit = machine.unit;
	assert_int_equal(iommu_group_alloc(&machine.port, &group), 0);
	assert_int_equal(iommu_group_add_device(group, &device, &made), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(iommu_domain_alloc(machine.unit, &desc, &domains[i]), 0);
		assert_int_equal(iommu_map(domains[i], 1ull << 30, 1ull << 30, sizes[i], IOMMU_READ), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		steps = 0;
		assert_int_equal(iommu_group_replace_domain(group, domains[i], NULL, &reports[i]), 0);
		taken[i] = steps;
	}
	/* Small to small is [1], small to large [2], large to large [3]. */
	for (unsigned i = 2; i < 4; i++) {
		assert_int_equal(taken[i], taken[1]);
		assert_int_equal(reports[i].cost.stores, reports[1].cost.stores);
		assert_int_equal(reports[i].cost.commands, reports[1].cost.commands);
		assert_int_equal(reports[i].cost.rounds, reports[1].cost.rounds);
		assert_int_equal(reports[i].cost.polls, reports[1].cost.polls);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_group_remove_device(group, made), 0);
	assert_int_equal(iommu_group_free(group), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	machine_destroy(&machine);
}

/* ---- All of it ---- */

#define TRANSITIONS (sizeof(transitions) / sizeof(transitions[0]))

static struct CMUnitTest tests[256];
static char names[256][64];
static unsigned ntests;

static void add(const char *what, CMUnitTestFunction function, const struct transition *transition)
{
	snprintf(names[ntests], sizeof(names[0]), "%s%s%s", what, transition ? ": " : "", transition ? transition->name : "");
	tests[ntests] = (struct CMUnitTest){
		.name = names[ntests], .test_func = function, .initial_state = (void *)(uintptr_t)transition,
	};
	ntests++;
}

int main(void)
{
	for (unsigned i = 0; i < TRANSITIONS; i++) {
		const struct transition *t = &transitions[i];
		bool s2s = t->from == &s2 && t->to == &s2, paging = t->from->type == IOMMU_DOMAIN_PAGING;

		add("replace", test_transition, t);
		add("replace, patient", test_patient, t);
		if (t->from != &blocked)
			add("replace, quantum 64", test_quantum64, t);
		if (t->from != &blocked)
			add("attach-detach", test_gap_is_seen, t);
		if ((s2s || (t->from == &s1 && t->to == &s1) || t->from == &identity) && !t->shared)
			add("remap", test_remap_gap_is_seen, t);
		if (paging)
			add("map races", test_map_races, t);
		if (paging && strcmp(t->arch, "amdvi") == 0)
			add("map races, quantum 64", test_map_races_quantum64, t);
		if (paging && t->from == t->to)
			add("faults are seen", test_faults_are_seen, t);
	}
	if (transitions_only)
		return _cmocka_run_group_tests("live", tests, ntests, NULL, NULL);
	add("strategies", test_strategies, NULL);
	add("growth", test_growth, NULL);
	add("GCR3 entry", test_gcr3_entry, NULL);
	add("no growth", test_no_growth, NULL);
	add("bad growth is seen", test_bad_growth_is_seen, NULL);
	add("many devices", test_many_devices, NULL);
	add("recording", test_recording, NULL);
	add("refused", test_refused, NULL);
	add("dirty bits", test_dirty, NULL);
	add("cost is constant", test_cost_is_constant, NULL);
	return _cmocka_run_group_tests("live", tests, ntests, NULL, NULL);
}
