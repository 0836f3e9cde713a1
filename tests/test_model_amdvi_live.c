/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_model_amdvi_live.c - the AMD-Vi model with devices that translate on three lanes at full speed while software changes
 * tables, invalidates and waits: once a wait is over, no access uses what was there before, one that had begun earlier included.
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

#include "model_amdvi.h"

#define DOMAIN 5
#define RID 0x0128u
#define PAGES 16
#define BASE 0x40000000ull
#define SECONDS 0.7

enum mode { MODE_V1, MODE_V2 };

struct live {
	struct box box;
	enum mode mode;
	uint64_t tables[2];	/* the page table, and one to swap it with */
	uint64_t gcr3;
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

static void look(struct live *live, unsigned page, uint64_t phys)
{
	if (phys >> 12 < load(&live->retired[page]))
		__atomic_fetch_add(&live->stale, 1, __ATOMIC_RELAXED);
}

/* One access, as a device with a TLB of its own makes it: false if it was blocked. */
static bool access_ats(struct live *live, unsigned lane, unsigned page)
{
	struct iommu_request r = request(RID, BOX_NO_PASID, BASE + page * PAGE, IOMMU_READ);
	uint64_t phys;
	uint32_t rights;
	bool done;

	r.lane = (uint8_t)lane;
	r.kind = IOMMU_REQUEST_TRANSLATED;
	iommu_model_begin(&live->box.model, &r);
	if (iommu_model_devtlb_lookup(&live->box.model, &r, &phys, &rights)) {
		r.addr = phys;
		while (r.state == IOMMU_REQUEST_RUNNING)
			iommu_model_step(&live->box.model, &r);
		done = r.state == IOMMU_REQUEST_DONE;
		if (done)
			look(live, page, phys);
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

static bool access_plain(struct live *live, unsigned lane, unsigned page)
{
	struct iommu_request r = request(RID, BOX_NO_PASID, BASE + page * PAGE, IOMMU_READ);
	bool done;

	r.lane = (uint8_t)lane;
	iommu_model_translate(&live->box.model, &r);
	done = r.state == IOMMU_REQUEST_DONE;
	if (done)
		look(live, page, r.phys);
	iommu_model_end(&live->box.model, &r);
	return done;
}

static void *device_main(void *arg)
{
	struct device *device = arg;
	struct live *live = device->live;
	uint64_t accesses = 0, seed = device->lane + 1;

	while (!load(&live->stop)) {
		unsigned page;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		page = (unsigned)(seed >> 33) % PAGES;
		if (!(device->ats ? access_ats : access_plain)(live, device->lane, page))
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

static void set_page(struct live *live, unsigned table, unsigned page)
{
	uint64_t iova = BASE + page * PAGE;

	if (live->mode == MODE_V1)
		store(v1_at(&live->box, live->tables[table], 4, iova, 1), live->version << 12 | V1_RW);
	else
		store(v2_at(&live->box, live->tables[table], 4, iova, 1), live->version << 12 | V2_RWU | 0x60); /* A, D */
}

static void live_open(struct live *live, enum mode mode)
{
	struct iommu_model_config config = box_config();

	memset(live, 0, sizeof(*live));
	live->mode = mode;
	config.lanes = 3;
	assert_int_equal(box_open(&live->box, &config), 0);
	live->box.port.choose = NULL;
	box_tables(&live->box);
	live->version = 1;
	for (unsigned table = 0; table < 2; table++) {
		live->tables[table] = box_page(&live->box);
		for (unsigned page = 0; page < PAGES; page++)
			set_page(live, table, page);
	}
	live->gcr3 = box_page(&live->box);
	*gcr3_at(&live->box, live->gcr3, 0, 0) = live->tables[0] | 1;
	if (mode == MODE_V1)
		dte_v1(&live->box, RID, DOMAIN, 4, live->tables[0]);
	else
		dte_v2(&live->box, RID, DOMAIN, 4, 0, live->gcr3);
}

static void wait_for(struct live *live, uint64_t wanted)
{
	while (status(&live->box) != wanted) {
		if (!iommu_model_tick(&live->box.model)) /* several threads may */
			sched_yield();
	}
}

static void put(struct live *live, const uint64_t *command, bool wait)
{
	submit(&live->box, command);
	if (wait)
		wait_for(live, submit_wait(&live->box));
}

/* The unit's lines, then the device's, all pages or one, each with its wait. */
static void flush(struct live *live, unsigned page, bool all, bool wait)
{
	uint64_t address = all ? AMDVI_ALL_ADDRESSES : BASE + page * PAGE;
	uint64_t c[2];

	build_pages(c, DOMAIN, 0, address, (all ? FLAG_S | FLAG_PDE : 0) | (live->mode == MODE_V2 ? FLAG_GN : 0));
	put(live, c, wait);
	build_iotlb(c, RID, BOX_NO_PASID, address, all);
	put(live, c, wait);
}

/* A page gets a new address. */
static void change_page(struct live *live, bool wait)
{
	unsigned page = (unsigned)(live->version * 2654435761u >> 16) % PAGES;

	live->version++;
	set_page(live, 0, page);
	flush(live, page, false, wait);
	store(&live->retired[page], live->version);
}

/* All pages do: another table behind the device table entry, or behind the GCR3 entry. */
static void swap_table(struct live *live, bool wait)
{
	unsigned next = live->version & 1;
	uint64_t *entry, c[2];

	live->version++;
	for (unsigned page = 0; page < PAGES; page++)
		set_page(live, next, page);
	if (live->mode == MODE_V1) {
		entry = dte(&live->box, RID);
		store(entry, (load(entry) & ~BITS(AMDVI_DTE, HOST_PT_ROOT)) | live->tables[next]);
		build_dte(c, RID);
		put(live, c, wait);
	} else {
		store(gcr3_at(&live->box, live->gcr3, 0, 0), live->tables[next] | 1);
	}
	flush(live, 0, true, wait);
	for (unsigned page = 0; page < PAGES; page++)
		store(&live->retired[page], live->version);
}

static uint64_t run(enum mode mode, void (*change)(struct live *live, bool wait), bool wait)
{
	static struct live live;
	struct device devices[3];
	pthread_t threads[4];
	uint64_t changes = 0, stale;
	double end;

	live_open(&live, mode);
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
		/* Without waits, room in the buffer must come from somewhere. */
		if (!wait)
			wait_for(&live, submit_wait(&live.box));
	}
	store(&live.stop, 1);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	stale = live.stale;
	printf("%s, %s: %llu accesses, %llu changes, %llu stale\n", mode == MODE_V1 ? "v1" : "v2",
	       change == change_page ? "pages" : "tables", (unsigned long long)live.accesses, (unsigned long long)changes,
	       (unsigned long long)stale);
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
	assert_int_equal(run(MODE_V1, change_page, true), 0);
	assert_int_equal(run(MODE_V2, change_page, true), 0);
}

static void tables_are_swapped(void **state)
{
	(void)state;
	assert_int_equal(run(MODE_V1, swap_table, true), 0);
	assert_int_equal(run(MODE_V2, swap_table, true), 0);
}

/* The test can see: without the waits there is something to be seen. */
static void missing_waits_show(void **state)
{
	(void)state;
	assert_true(run(MODE_V1, change_page, false) > 0);
	assert_true(run(MODE_V2, swap_table, false) > 0);
}

/* Faults on several lanes at once: logged, or counted as an overflow; and software restarts the log meanwhile. */
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

static void faults_on_all_lanes(void **state)
{
	uint64_t control = CONTROL_ON | BITS(AMDVI_CONTROL, EVENT_INT_EN);
	static struct live live;
	struct device devices[3];
	pthread_t threads[3];
	uint64_t words[2], taken = 0;
	double end;

	(void)state;
	live_open(&live, MODE_V1);
	set_reg(&live.box, AMDVI_REG_CONTROL, control);
	for (unsigned i = 0; i < 3; i++) {
		devices[i] = (struct device){ &live, i, false };
		assert_int_equal(pthread_create(&threads[i], NULL, fault_main, &devices[i]), 0);
	}
	end = now() + 30;
	while (now() < end && (now() < end - 30 + SECONDS || !taken)) {
		if (take_event(&live.box, words)) {
			assert_int_equal(GET(AMDVI_EVENT, CODE, words), AMDVI_EVENT_PAGE_FAULT);
			assert_int_equal(GET(AMDVI_EV_PAGE_FAULT, DEVICE_ID, words), RID);
			assert_int_equal(GET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, words), DOMAIN);
			assert_int_equal(words[1], 0x1000);
			taken++;
		} else if (reg(&live.box, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, EVENT_OVERFLOW)) {
			set_reg(&live.box, AMDVI_REG_CONTROL, control & ~BITS(AMDVI_CONTROL, EVENT_LOG_EN));
			set_reg(&live.box, AMDVI_REG_STATUS, ~0ull);
			set_reg(&live.box, AMDVI_REG_CONTROL, control);
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
		cmocka_unit_test(faults_on_all_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
