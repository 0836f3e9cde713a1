/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_model_live.c - the VT-d model with devices that translate on two lanes at full speed while software changes tables,
 * invalidates and waits: once a wait is over, no access uses what was there before, one that had begun earlier included.
 *
 * Every version of a page has a physical address of its own. After the wait for version v, software says so in `retired`; a device
 * that looks at `retired` during its access and holds an older version has caught the model (or a missing wait) red-handed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "lanes.h"
#include "model_vtd.h"

#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define DOMAIN 5
#define RID 0x0128u
#define PAGES 16
#define BASE 0x40000000ull
#define SECONDS 0.7

struct live {
	struct box box;
	bool scalable, first_stage;
	uint64_t tables[2];	/* the page table, and one to swap it with */
	uint64_t version;
	uint64_t retired[PAGES];
	uint64_t stop;
	uint64_t stale, faults, accesses;
};

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct device {
	struct live *live;
	unsigned lane;
	bool ats;
};

/* One access, as a device with a TLB of its own makes it: false if it was blocked. */
static bool access_ats(struct live *live, unsigned lane, unsigned page, uint64_t *phys)
{
	struct iommu_request r = request(RID, BOX_NO_PASID, BASE + page * PAGE, IOMMU_READ);
	uint32_t rights;
	bool done;

	r.lane = (uint8_t)lane;
	r.kind = IOMMU_REQUEST_TRANSLATED;
	iommu_model_begin(&live->box.model, &r);
	if (iommu_model_devtlb_lookup(&live->box.model, &r, phys, &rights)) {
		r.addr = *phys;
		while (r.state == IOMMU_REQUEST_RUNNING)
			iommu_model_step(&live->box.model, &r);
		done = r.state == IOMMU_REQUEST_DONE;
		if (done && *phys >> 12 < load(&live->retired[page]))
			__atomic_fetch_add(&live->stale, 1, __ATOMIC_RELAXED);
		iommu_model_end(&live->box.model, &r);
		return done;
	}
	iommu_model_end(&live->box.model, &r);
	r.kind = IOMMU_REQUEST_TRANSLATION;
	r.addr = BASE + page * PAGE;
	iommu_model_translate(&live->box.model, &r);
	done = r.state == IOMMU_REQUEST_DONE;
	iommu_model_end(&live->box.model, &r);
	return done;
}

static bool access_plain(struct live *live, unsigned lane, unsigned page, uint64_t *phys)
{
	struct iommu_request r = request(RID, BOX_NO_PASID, BASE + page * PAGE, IOMMU_READ);
	bool done;

	r.lane = (uint8_t)lane;
	iommu_model_translate(&live->box.model, &r);
	done = r.state == IOMMU_REQUEST_DONE;
	*phys = r.phys;
	if (done && r.phys >> 12 < load(&live->retired[page]))
		__atomic_fetch_add(&live->stale, 1, __ATOMIC_RELAXED);
	iommu_model_end(&live->box.model, &r);
	return done;
}

static void *device_main(void *arg)
{
	struct device *device = arg;
	struct live *live = device->live;
	uint64_t accesses = 0, phys, seed = device->lane + 1;

	while (!load(&live->stop)) {
		unsigned page;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		page = (unsigned)(seed >> 33) % PAGES;
		if (!(device->ats ? access_ats : access_plain)(live, device->lane, page, &phys))
			__atomic_fetch_add(&live->faults, 1, __ATOMIC_RELAXED);
		accesses++;
	}
	__atomic_fetch_add(&live->accesses, accesses, __ATOMIC_RELAXED);
	return NULL;
}

static void *unit_main(void *arg)
{
	struct live *live = arg;

	/* Whoever has nothing to do gives the processor to who has: there may be fewer of them than threads. */
	while (!load(&live->stop)) {
		if (!iommu_model_tick(&live->box.model))
			sched_yield();
	}
	return NULL;
}

static uint64_t *leaf(struct live *live, unsigned table, unsigned page)
{
	return pte_at(&live->box, live->tables[table], 4, BASE + page * PAGE, 1, 7);
}

static void live_open(struct live *live, bool scalable, bool first_stage)
{
	struct iommu_model_config config = box_config();

	memset(live, 0, sizeof(*live));
	live->scalable = scalable;
	live->first_stage = first_stage;
	config.lanes = 3;
	assert_int_equal(box_open(&live->box, &config), 0);
	live->box.port.choose = NULL;
	box_tables(&live->box, scalable);
	live->version = 1;
	for (unsigned table = 0; table < 2; table++) {
		live->tables[table] = box_page(&live->box);
		for (unsigned page = 0; page < PAGES; page++)
			*leaf(live, table, page) = live->version << 12 | 7 | 0x60; /* A and D are set */
	}
	if (!scalable)
		legacy_context(&live->box, RID, VTD_TT_DEVTLB, DOMAIN, 4, live->tables[0]);
	else if (first_stage)
		pasid_first(&live->box, RID, 0, DOMAIN, 4, live->tables[0]);
	else
		pasid_second(&live->box, RID, 0, DOMAIN, 4, live->tables[0]);
}

/* Into the queue, with atomic stores, as another thread reads it. */
static void put(struct live *live, uint64_t low, uint64_t high)
{
	struct box *box = &live->box;
	uint64_t *to = at(box, box->queue + box->tail);

	store(to, low);
	store(to + 1, high);
	if (box->scalable) {
		store(to + 2, 0);
		store(to + 3, 0);
	}
	box->tail = (box->tail + (box->scalable ? 32 : 16)) % 4096;
	iommu_model_write(&box->model, VTD_REG_IQT, 8, box->tail);
}

static uint32_t put_wait(struct live *live)
{
	uint32_t wanted = ++live->box.sequence;

	put(live, VTD_DESC_WAIT | 1 << 5 | 1 << 6 | (uint64_t)wanted << 32, live->box.status);
	return wanted;
}

static void wait_for(struct live *live, uint32_t wanted)
{
	while (status(&live->box) != wanted) {
		if (!iommu_model_tick(&live->box.model)) /* several threads may */
			sched_yield();
	}
}

/* IOTLB, then the device's TLB, all pages or one, each with its wait. */
static void flush(struct live *live, unsigned page, bool all, bool wait)
{
	uint64_t low = VTD_DESC_IOTLB | (all ? VTD_IOTLB_DOMAIN : VTD_IOTLB_PAGE) << 4 | DOMAIN << 16;
	uint64_t high = all ? 0 : BASE + page * PAGE;

	if (live->first_stage) /* PASID 0 */
		low = VTD_DESC_PIOTLB | (all ? VTD_PIOTLB_PASID : VTD_PIOTLB_PAGE) << 4 | DOMAIN << 16;
	put(live, low, high);
	if (wait)
		wait_for(live, put_wait(live));
	put(live, VTD_DESC_DEVTLB | (uint64_t)RID << 32, all ? ~0xfffull | 1 : BASE + page * PAGE);
	if (wait)
		wait_for(live, put_wait(live));
}

/* A page gets a new address. */
static void change_page(struct live *live, bool wait)
{
	unsigned page = (unsigned)(live->version * 2654435761u >> 16) % PAGES;

	live->version++;
	store(leaf(live, 0, page), live->version << 12 | 7 | 0x60);
	flush(live, page, false, wait);
	store(&live->retired[page], live->version);
}

/* All pages do: another table behind the entry. */
static void swap_table(struct live *live, bool wait)
{
	unsigned next = live->version & 1;
	uint64_t *entry;

	live->version++;
	for (unsigned page = 0; page < PAGES; page++)
		store(leaf(live, next, page), live->version << 12 | 7 | 0x60);
	entry = live->scalable ? pasid_entry(&live->box, RID, 0) : at(&live->box, context_at(&live->box, RID));
	if (live->first_stage)
		entry += 2;
	store(entry, (load(entry) & 0xfff) | live->tables[next]);
	if (live->scalable)
		put(live, VTD_DESC_PASID | VTD_PASID_CACHE_PASID << 4 | DOMAIN << 16, 0);
	else
		put(live, VTD_DESC_CONTEXT | VTD_CONTEXT_DEVICE << 4 | DOMAIN << 16 | (uint64_t)RID << 32, 0);
	if (wait)
		wait_for(live, put_wait(live));
	flush(live, 0, true, wait);
	for (unsigned page = 0; page < PAGES; page++)
		store(&live->retired[page], live->version);
}

static uint64_t run(bool scalable, bool first_stage, void (*change)(struct live *live, bool wait), bool wait)
{
	static struct live live;
	struct device devices[3];
	pthread_t threads[4];
	uint64_t changes = 0, stale;
	double end;

	live_open(&live, scalable, first_stage);
	for (unsigned i = 0; i < 3; i++) {
		devices[i] = (struct device){ &live, i, i == 2 };
		assert_int_equal(pthread_create(&threads[i], NULL, device_main, &devices[i]), 0);
	}
	assert_int_equal(pthread_create(&threads[3], NULL, unit_main, &live), 0);
	/* Without a wait: until it is seen, which takes one change or a few. With: for a while, longer on a busy machine. */
	end = now() + 30;
	while (now() < end && (wait ? now() < end - 30 + SECONDS || changes < 24 : !load(&live.stale))) {
		for (unsigned i = 0; i < 8; i++)
			change(&live, wait);
		changes += 8;
		/* Without waits, room in the queue must come from somewhere. */
		if (!wait)
			wait_for(&live, put_wait(&live));
	}
	store(&live.stop, 1);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	stale = live.stale;
	printf("%s, %s: %llu accesses, %llu changes, %llu stale\n",
	       !scalable ? "legacy" : first_stage ? "first stage" : "second stage", change == change_page ? "pages" : "tables",
	       (unsigned long long)live.accesses, (unsigned long long)changes, (unsigned long long)stale);
	assert_int_equal(live.faults, 0);
	if (wait) {
		assert_true(live.accesses > 1000);
		assert_true(changes >= 24);
	}
	box_close(&live.box);
	return stale;
}

static void pages_change(void **state)
{
	(void)state;
	assert_int_equal(run(false, false, change_page, true), 0);
	assert_int_equal(run(true, false, change_page, true), 0);
	assert_int_equal(run(true, true, change_page, true), 0);
}

static void tables_are_swapped(void **state)
{
	(void)state;
	assert_int_equal(run(false, false, swap_table, true), 0);
	assert_int_equal(run(true, false, swap_table, true), 0);
	assert_int_equal(run(true, true, swap_table, true), 0);
}

/* The test can see: without the waits there is something to be seen. */
static void missing_waits_show(void **state)
{
	(void)state;
	assert_true(run(false, false, change_page, false) > 0);
	assert_true(run(true, true, swap_table, false) > 0);
}

/* The same where requests execute no barriers, but are made to when the unit waits. */
#ifdef __linux__
static void membarrier(void *ctx)
{
	(void)ctx;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void without_barriers(void **state)
{
	(void)state;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		skip();
	box_barrier_all = membarrier;
	assert_int_equal(run(false, false, change_page, true), 0);
	assert_int_equal(run(true, true, swap_table, true), 0);
	assert_true(run(false, false, change_page, false) > 0);
	box_barrier_all = NULL;
}
#endif

/*
 * What such a barrier is for, step by step: a lane has stored that it has a request in flight, and the store is still on its way
 * when the unit begins to wait. `late` is that store; the barrier brings it home.
 */
static struct {
	uint64_t *word, value;
	bool arrives;
} late;

static void late_store(void *ctx)
{
	(void)ctx;
	if (late.arrives)
		*late.word = late.value;
}

static bool waits_for_late_store(bool arrives)
{
	static struct live live;
	struct iommu_request r = request(RID, BOX_NO_PASID, BASE, IOMMU_READ);
	uint32_t wanted;
	bool waited;

	box_barrier_all = late_store;
	live_open(&live, false, false);
	box_barrier_all = NULL;
	while (iommu_model_tick(&live.box.model))
		;
	assert_int_equal(iommu_model_translate(&live.box.model, &r), IOMMU_REQUEST_DONE);
	late.word = &model_lane(live.box.model.state, 0)->inflight;
	late.value = *late.word;
	late.arrives = arrives;
	assert_true(late.value != 0);
	*late.word = 0;
	put(&live, VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | DOMAIN << 16, 0);
	wanted = put_wait(&live);
	while (iommu_model_tick(&live.box.model))
		;
	waited = status(&live.box) != wanted;
	late.arrives = false;
	*late.word = late.value;
	iommu_model_end(&live.box.model, &r);
	while (iommu_model_tick(&live.box.model))
		;
	assert_int_equal(status(&live.box), wanted);
	box_close(&live.box);
	return waited;
}

static void barrier_before_the_look(void **state)
{
	(void)state;
	assert_true(waits_for_late_store(true));
	assert_false(waits_for_late_store(false));
}

/* Faults on several lanes at once: recorded, or counted as an overflow; and software clears them meanwhile. */
static void *fault_main(void *arg)
{
	struct device *device = arg;

	while (!load(&device->live->stop)) {
		struct iommu_request r = request(RID, BOX_NO_PASID, 0x1000, IOMMU_WRITE);

		r.lane = (uint8_t)device->lane;
		iommu_model_translate(&device->live->box.model, &r);
		iommu_model_end(&device->live->box.model, &r);
		if (r.state == IOMMU_REQUEST_FAULT)
			__atomic_fetch_add(&device->live->faults, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void interrupted(void *ctx, uint64_t addr, uint32_t data)
{
	struct box *box = ctx;

	(void)addr;
	(void)data;
	__atomic_fetch_add(&box->interrupts, 1, __ATOMIC_RELAXED);
}

static void faults_on_all_lanes(void **state)
{
	static struct live live;
	struct device devices[3];
	pthread_t threads[3];
	uint64_t words[2], taken = 0;
	double end = now() + 30;

	(void)state;
	live_open(&live, false, false);
	live.box.port.interrupt = interrupted;
	iommu_model_write(&live.box.model, VTD_REG_FECTL, 4, 0);
	for (unsigned i = 0; i < 3; i++) {
		devices[i] = (struct device){ &live, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, fault_main, &devices[i]), 0);
	}
	while (now() < end && (now() < end - 30 + SECONDS || !taken)) {
		take_fault(&live.box, words);
		if (GET(VTD_FAULT, F, words)) {
			assert_int_equal(GET(VTD_FAULT, SID, words), RID);
			assert_int_equal(GET(VTD_FAULT, FR, words), VTD_FR_SS_WRITE);
			assert_int_equal(words[0], 0x1000);
			taken++;
		} else {
			for (unsigned i = 0; i < 8; i++)
				iommu_model_write(&live.box.model, 0x220 + 16 * i + 12, 4, 1u << 31);
			iommu_model_write(&live.box.model, VTD_REG_FSTS, 4, ~0u);
		}
	}
	store(&live.stop, 1);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(taken > 0);
	assert_true(live.faults >= taken);
	assert_true(__atomic_load_n(&live.box.interrupts, __ATOMIC_RELAXED) > 0);
	box_close(&live.box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_change),
		cmocka_unit_test(tables_are_swapped),
		cmocka_unit_test(missing_waits_show),
#ifdef __linux__
		cmocka_unit_test(without_barriers),
#endif
		cmocka_unit_test(barrier_before_the_look),
		cmocka_unit_test(faults_on_all_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
