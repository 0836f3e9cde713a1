/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_model_riscv_live.c - the RISC-V model with requests on several threads while a page, a context and a whole stage change:
 * what a fence promises holds, and ThreadSanitizer has nothing to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "model_riscv.h"

#define DEV 0x0a1b2cu
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

static void *requests(void *ctx)
{
	const struct lane *lane = ctx;
	struct live *live = lane->live;

	while (!load(&live->stop)) {
		struct iommu_request r = request_of(DEV, BOX_NO_PASID, IOVA, lane->number % 2 ? IOMMU_WRITE : IOMMU_READ, 0);
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

static void put(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void command_done(struct box *box)
{
	fence_with(box, true, true);
	while (__atomic_load_n((uint32_t *)(void *)at(box, box->status), __ATOMIC_ACQUIRE) != box->sequence)
		iommu_model_tick(&box->model);
}

static void change_under_way(void **state)
{
	struct iommu_model_config config = box_config();
	struct live live = { .stop = 0 };
	struct lane lanes[LANES];
	struct box *box = &live.box;
	uint64_t g[2], *leaf[2], *dc;

	(void)state;
	config.lanes = LANES;
	assert_int_equal(box_open(box, &config), 0);
	box->port.choose = NULL;
	box_tables(box);
	for (unsigned i = 0; i < 2; i++) {
		g[i] = box_root4(box);
		leaf[i] = map_g(box, g[i], 3, IOVA, FIRST);
	}
	dc = dc_set(box, DEV, DC_BIT(GADE), RISCV_G_SV39X4, g[0], 1, 0, 0, 0);
	for (unsigned i = 0; i < LANES; i++) {
		lanes[i] = (struct lane){ .live = &live, .number = i };
		assert_int_equal(pthread_create(&lanes[i].thread, NULL, requests, &lanes[i]), 0);
	}
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		unsigned now = round / 4 % 2;

		__atomic_store_n(&live.begun, round, __ATOMIC_SEQ_CST);
		if (round % 4) {
			/* Another page, now and then without D, which the unit sets. */
			put(leaf[now], pte(FIRST + round * PAGE, round % 3 ? PTE_RW : PTE_RW & ~PTE_D));
			submit_iotinval(box, true, 1 + (int)now, -1, round & 1, IOVA);
		} else {
			/* Another root and GSCID: one doubleword. The directory first, then what walks with the old entry may still fill. */
			uint64_t iohgatp = 0;

			put(leaf[now], pte(FIRST + round * PAGE, PTE_RW));
			submit_iotinval(box, true, 1 + (int)now, -1, false, 0);
			command_done(box);
			layout_set(&iohgatp, RISCV_DC_G_PPN_LSB % 64, RISCV_DC_G_PPN_WIDTH, RISCV_PPN(g[now]));
			layout_set(&iohgatp, RISCV_DC_GSCID_LSB % 64, RISCV_DC_GSCID_WIDTH, 1 + now);
			layout_set(&iohgatp, RISCV_DC_G_MODE_LSB % 64, RISCV_DC_G_MODE_WIDTH, RISCV_G_SV39X4);
			put(&dc[1], iohgatp);
			submit_iodir(box, false, true, DEV, 0);
			command_done(box);
			submit_iotinval(box, true, 1 + (int)!now, -1, false, 0);
		}
		command_done(box);
		__atomic_store_n(&live.finished, round, __ATOMIC_SEQ_CST);
		/* On a busy machine the lanes may not have had a turn yet. */
		while (load(&live.requests) <= round)
			sched_yield();
	}
	__atomic_store_n(&live.stop, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(lanes[i].thread, NULL);
	assert_int_equal(load(&live.wrong), 0);
	assert_true(load(&live.requests) > ROUNDS);
	box_close(box);
}

/* Faults from several threads: each is recorded once, or lost loudly. */
static void *faults(void *ctx)
{
	const struct lane *lane = ctx;

	for (unsigned i = 0; i < 1000; i++) {
		struct iommu_request r = request_of(DEV + lane->number, BOX_NO_PASID, i * PAGE, IOMMU_READ, 0);

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
	set32(box, RISCV_REG_FQCSR, 3);
	ticks(box);
	for (unsigned i = 0; i < LANES; i++) {
		lanes[i] = (struct lane){ .live = &live, .number = i };
		assert_int_equal(pthread_create(&lanes[i].thread, NULL, faults, &lanes[i]), 0);
	}
	for (;;) {
		/* Before the queue is looked at: what they have recorded is there then. */
		bool over = __atomic_load_n(&live.done, __ATOMIC_ACQUIRE) == LANES;
		unsigned head = (unsigned)reg32(box, RISCV_REG_FQH);

		if (!faults_waiting(box)) {
			set32(box, RISCV_REG_FQCSR, 3 | BITS(RISCV_FQCSR, FQOF));
			set32(box, RISCV_REG_IPSR, ~0u);
			iommu_model_tick(&box->model);
			if (over)
				break;
			continue;
		}
		assert_int_equal(__atomic_load_n(at(box, box->faults + 32 * head), __ATOMIC_ACQUIRE) & 0xfff, RISCV_CAUSE_DDT_ABSENT);
		set32(box, RISCV_REG_FQH, (head + 1) % FAULT_ENTRIES);
		seen++;
	}
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(lanes[i].thread, NULL);
	assert_true(seen > 0 && seen <= 1000 * LANES);
	box_close(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(change_under_way),
		cmocka_unit_test(faults_at_once),
	};

	return cmocka_run_group_tests_name("model-riscv-live", tests, NULL, NULL);
}
