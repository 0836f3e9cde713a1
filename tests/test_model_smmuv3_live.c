/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_model_smmuv3_live.c - the SMMUv3's model with requests on several threads while a page, a context and a whole stage change:
 * what a CMD_SYNC promises holds, and ThreadSanitizer has nothing to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "model_smmuv3.h"

#define DEV 0x1234u
#define IOVA 0x12345000ull
#define LANES 3
#define ROUNDS 300
#define FIRST 0x100000ull	/* round n maps IOVA to FIRST + n pages */

struct live {
	struct box box;
	uint64_t begun, finished;	/* rounds: a request sees one between these, as they were around it */
	uint64_t stop;
	uint64_t requests, wrong;
	unsigned done;		/* lanes that have ended */
};

struct lane {
	struct live *live;
	unsigned number;
	pthread_t thread;
};

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void put(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void *requests(void *ctx)
{
	const struct lane *lane = ctx;
	struct live *live = lane->live;

	while (!load(&live->stop)) {
		struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, lane->number % 2 ? IOMMU_WRITE : IOMMU_READ);
		uint64_t before, after, round;

		r.lane = (uint8_t)lane->number;
		before = load(&live->finished);
		iommu_model_translate(&live->box.model, &r);
		after = load(&live->begun);
		round = (r.phys - FIRST) / PAGE;
		if (r.state != IOMMU_REQUEST_DONE || round < before || round > after)
			__atomic_fetch_add(&live->wrong, 1, __ATOMIC_RELAXED);
		iommu_model_end(&live->box.model, &r);
		__atomic_fetch_add(&live->requests, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void sync_and_wait(struct box *box)
{
	submit_sync(box);
	while (!synced(box))
		iommu_model_tick(&box->model);
}

static void start(struct live *live, struct lane *lanes, void *(*work)(void *))
{
	for (unsigned i = 0; i < LANES; i++) {
		lanes[i] = (struct lane){ .live = live, .number = i };
		assert_int_equal(pthread_create(&lanes[i].thread, NULL, work, &lanes[i]), 0);
	}
}

static void join(struct lane *lanes)
{
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(lanes[i].thread, NULL);
}

/* Pages; and every fourth round another context: one doubleword. */
static void change_under_way(void **state)
{
	struct iommu_model_config config = box_config();
	struct live live = { .stop = 0 };
	struct lane lanes[LANES];
	struct box *box = &live.box;
	uint64_t *leaf[2], *ste, cd[2];
	struct pt pt;

	(void)state;
	config.lanes = LANES;
	assert_int_equal(box_open(box, &config), 0);
	box->port.choose = NULL;
	box_tables(box);
	for (unsigned i = 0; i < 2; i++) {
		pt = pt_new(box, 12, 48, false);
		leaf[i] = pt_map(box, &pt, IOVA, FIRST, 0);
		cd[i] = box_page(box);
		SET(SMMU_CD, HA, cd_set(box, cd[i], &pt, 7 + i), 1);
		SET(SMMU_CD, HD, at(box, cd[i]), 1);
	}
	ste = ste_s1(box, DEV, cd[0]);
	start(&live, lanes, requests);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		unsigned now = round / 4 % 2;
		uint64_t *page = leaf[now];

		__atomic_store_n(&live.begun, round, __ATOMIC_SEQ_CST);
		if (round % 4) {
			/* Clean now and then: the unit sets it dirty at the first write. */
			put(page, (FIRST + round * PAGE) | LEAF1 | PT_PAGE | (round % 3 ? 0 : BITS(LPAE_S1, AP2) | BITS(LPAE_S1, DBM)));
			submit_tlbi_range(box, round & 1 ? SMMU_CMD_TLBI_NH_VA : SMMU_CMD_TLBI_NH_VAA, 0, round & 1 ? 7 + now : 0, IOVA,
					  round & 2, (struct range){ 0 });
		} else {
			put(page, (FIRST + round * PAGE) | LEAF1 | PT_PAGE);
			submit_tlbi(box, SMMU_CMD_TLBI_NH_ASID, 0, 7 + now);
			sync_and_wait(box);
			put(ste, (*ste & ~BITS(SMMU_STE, S1CONTEXTPTR)) | cd[now]);
			submit_cfgi_ste(box, DEV, round & 8);
			sync_and_wait(box);
			submit_tlbi(box, SMMU_CMD_TLBI_NH_ASID, 0, 7 + !now);
		}
		sync_and_wait(box);
		__atomic_store_n(&live.finished, round, __ATOMIC_SEQ_CST);
		/* On a busy machine the lanes may not have had a turn yet. */
		while (load(&live.requests) <= round)
			sched_yield();
	}
	__atomic_store_n(&live.stop, 1, __ATOMIC_SEQ_CST);
	join(lanes);
	assert_int_equal(load(&live.wrong), 0);
	assert_true(load(&live.requests) > ROUNDS);
	box_close(box);
}

/* On and off: bypassed or translated, and never anything else. */
static void *either_way(void *ctx)
{
	const struct lane *lane = ctx;
	struct live *live = lane->live;

	while (!load(&live->stop)) {
		struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, IOMMU_READ);

		r.lane = (uint8_t)lane->number;
		iommu_model_translate(&live->box.model, &r);
		if (r.state != IOMMU_REQUEST_DONE || (r.phys != IOVA && r.phys != FIRST))
			__atomic_fetch_add(&live->wrong, 1, __ATOMIC_RELAXED);
		iommu_model_end(&live->box.model, &r);
		__atomic_fetch_add(&live->requests, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void on_and_off(void **state)
{
	struct iommu_model_config config = box_config();
	struct live live = { .stop = 0 };
	struct lane lanes[LANES];
	struct box *box = &live.box;
	struct pt pt;

	(void)state;
	config.lanes = LANES;
	assert_int_equal(box_open(box, &config), 0);
	box->port.choose = NULL;
	box_tables(box);
	pt = pt_new(box, 12, 40, true);
	pt_map(box, &pt, IOVA, FIRST, 0);
	ste_s2(box, DEV, &pt, 3);
	start(&live, lanes, either_way);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		uint64_t cr0 = round & 1 ? CR0_QUEUES : CR0_ON;

		set32(box, SMMU_REG_CR0, cr0);
		while (reg32(box, SMMU_REG_CR0ACK) != cr0)
			iommu_model_tick(&box->model);
		while (load(&live.requests) <= round)
			sched_yield();
	}
	__atomic_store_n(&live.stop, 1, __ATOMIC_SEQ_CST);
	join(lanes);
	assert_int_equal(load(&live.wrong), 0);
	box_close(box);
}

/* Events from several threads: each is recorded once, or lost loudly. */
static void *faults(void *ctx)
{
	const struct lane *lane = ctx;

	for (unsigned i = 0; i < 1000; i++) {
		struct iommu_request r = request(DEV + lane->number, BOX_NO_PASID, i * PAGE, IOMMU_READ);

		r.lane = (uint8_t)lane->number;
		iommu_model_translate(&lane->live->box.model, &r);
		iommu_model_end(&lane->live->box.model, &r);
	}
	__atomic_add_fetch(&lane->live->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void faults_at_once(void **state)
{
	struct iommu_model_config config = box_config();
	struct live live = { .stop = 0 };
	struct lane lanes[LANES];
	struct box *box = &live.box;
	unsigned seen = 0;

	(void)state;
	config.lanes = LANES;
	assert_int_equal(box_open(box, &config), 0);
	box->port.choose = NULL;
	box_tables(box);
	set32(box, SMMU_REG_IRQ_CTRL, BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN));
	ticks(box);
	start(&live, lanes, faults);
	for (;;) {
		/* Before the queue is looked at: what they have recorded is there then. */
		bool over = __atomic_load_n(&live.done, __ATOMIC_ACQUIRE) == LANES;
		uint64_t prod = reg32(box, SMMU_REG_EVENTQ_PROD), cons = reg32(box, SMMU_REG_EVENTQ_CONS);

		if (!((prod ^ cons) & BITS(SMMU_EVENTQ_PROD, WR))) {
			/* An overflow, perhaps: acknowledged. */
			set32(box, SMMU_REG_EVENTQ_CONS, prod);
			if (over)
				break;
			continue;
		}
		assert_int_equal(__atomic_load_n(at(box, box->events + SMMU_EVENT_BYTES * (cons % EVENT_ENTRIES)), __ATOMIC_ACQUIRE) & 0xff,
				 SMMU_EVT_C_BAD_STREAMID);
		SET(SMMU_EVENTQ_CONS, RD, &cons, (cons + 1) % (2 * EVENT_ENTRIES));
		set32(box, SMMU_REG_EVENTQ_CONS, cons);
		seen++;
	}
	join(lanes);
	assert_true(seen > 0 && seen <= 1000 * LANES);
	assert_true(__atomic_load_n(&box->interrupts, __ATOMIC_RELAXED) > 0);
	box_close(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(change_under_way),
		cmocka_unit_test(on_and_off),
		cmocka_unit_test(faults_at_once),
	};

	return cmocka_run_group_tests_name("model-smmuv3-live", tests, NULL, NULL);
}
