/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_gcr3.c - AMD-Vi's guest CR3 tables of 1, 2 and 3 levels: the model finds in them what the driver has put there, and an
 * entry is replaced by one store and one invalidation.
 */
#include "fixture.h"

#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include "driver/amdvi_driver.h"
#include "layout/amdvi.h"

#define RID 0x0300u
#define RW (IOMMU_READ | IOMMU_WRITE)

struct box {
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domain[2];	/* frames 0 and 16 */
	struct amdvi_gcr3 gcr3;
};

static const struct hitless_port *port_of(const struct box *box)
{
	return &box->fx.machine.port;
}

/* A device in a first-stage domain, whose DTE then gets a GCR3 table of our own. */
static void box_open(struct box *box, unsigned levels, unsigned pasid_bits)
{
	struct amdvi_unit *amdvi;
	uint64_t *dte, low[2];
	size_t offset;
	uint64_t command[2] = { 0 };

	fixture_open(&box->fx, "amdvi");
	box->group = fixture_group(&box->fx);
	fixture_device(&box->fx, box->group, RID);
	for (unsigned i = 0; i < 2; i++)
		box->domain[i] = fixture_paging(&box->fx, 1, 16 * i);
	assert_int_equal(iommu_attach_group(box->group, box->domain[0]), 0);
	assert_int_equal(amdvi_gcr3_init(port_of(box), &box->gcr3, levels, pasid_bits), 0);
	amdvi = to_amdvi(box->fx.machine.unit);
	dte = (uint64_t *)((char *)amdvi_devtab_place(amdvi, RID, &offset)->page + offset);
	low[0] = dte[0];
	low[1] = dte[1];
	SET(AMDVI_DTE, GLX, low, levels - 1);
	amdvi_dte_set_gcr3(low, amdvi_phys(amdvi, box->gcr3.root));
	port_of(box)->store128(port_of(box)->ctx, dte, low[0], low[1]);
	SET(AMDVI_CMD_ALL, OPCODE, command, AMDVI_CMD_ALL);
	assert_int_equal(iommu_unit_submit(box->fx.machine.unit, command, 1), 0);
	command[0] = command[1] = 0;
	SET(AMDVI_CMD_DTE, OPCODE, command, AMDVI_CMD_DTE);
	SET(AMDVI_CMD_DTE, DEVICE_ID, command, RID);
	assert_int_equal(iommu_unit_submit(box->fx.machine.unit, command, 1), 0);
}

static void box_close(struct box *box)
{
	struct iommu_domain *domains[] = { box->domain[0], box->domain[1] };

	assert_int_equal(iommu_detach_group(box->group), 0);
	amdvi_gcr3_fini(port_of(box), &box->gcr3);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&box->fx);
}

static uint64_t dma(struct box *box, uint32_t pasid)
{
	struct machine_dma dma = { .rid = RID, .pasid = pasid, .iova = WINDOW, .access = IOMMU_READ };

	machine_dma(&box->fx.machine, &dma);
	return dma.done ? dma.phys : FAULTS;
}

/* Frame of a domain of the box, as a DMA sees it. */
static uint64_t frame(const struct box *box, unsigned domain)
{
	return box->fx.data + domain * 16 * 4096ull;
}

/* The PASID's entry: to a domain's table, or to nothing (-1). */
static void put(struct box *box, uint32_t pasid, int domain, enum iommu_strategy expected, unsigned commands)
{
	struct iommu_unit *unit = box->fx.machine.unit;
	const uint32_t tag = box->domain[0]->tags->tag;
	struct iommu_step v[16];
	struct entry_steps steps = { .v = v, .capacity = 16 };
	struct entry_change change = { .ats_on = 0 };
	struct iommu_plan plan;

	assert_int_equal(amdvi_gcr3_reach(port_of(box), &box->gcr3, pasid, &change.table, &change.offset), 0);
	entry_read(port_of(box), change.table, change.offset, change.before, 1);
	if (domain >= 0)
		change.after[0] = amdvi_gcr3_to(box->domain[domain]->pgtable.ops->root_phys(&box->domain[domain]->pgtable));
	change.request = (struct iommu_plan_request){
		.format = &amdvi_gcr3_entry,
		.before = change.before,
		.after = change.after,
		.quantum = 8,
		.facts = IOMMU_PLAN_NO_PARENT | IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE,
		.strategies = IOMMU_STRATEGY_ANY,
		.rid = RID,
		.pasid = pasid,
		.before_tag = tag,
		.after_tag = tag,
	};
	assert_int_equal(entry_choose(&change), 0);
	assert_true(change.hitless);
	assert_int_equal(change.strategy, expected);
	entry_emit(&steps, &change);
	entry_finish(&steps, &change, 1);
	assert_int_equal(steps.cost.stores, 1);
	assert_int_equal(steps.cost.commands, commands);
	assert_int_equal(steps.cost.rounds, commands);
	plan = (struct iommu_plan){ .steps = v, .nsteps = steps.n, .capacity = 16 };
	assert_int_equal(unit_commit(unit, &plan), 0);
}

/* PASIDs of every level's first and last table. */
static void test_levels(void **state)
{
	(void)state;
	for (unsigned levels = 1; levels <= 3; levels++) {
		const uint32_t last = levels == 3 ? 0xfffff : (1u << 9 * levels) - 1;
		const uint32_t pasids[] = { 0, 1, 510, last > 512 ? 512 : 2, last > 0x40000 ? 0x40201 : 3, last };
		struct box box;

		box_open(&box, levels, levels == 3 ? 20 : 0);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			assert_int_equal(dma(&box, pasids[i]), FAULTS);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			put(&box, pasids[i], i % 2, IOMMU_STRATEGY_ONE_STORE, 0);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			assert_int_equal(dma(&box, pasids[i]), frame(&box, i % 2));
		assert_int_equal(dma(&box, IOMMU_NO_PASID), frame(&box, 0)); /* GIoV */
		assert_int_equal(dma(&box, 4), FAULTS);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			put(&box, pasids[i], !(i % 2), IOMMU_STRATEGY_SAME_TAG, 1);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			assert_int_equal(dma(&box, pasids[i]), frame(&box, !(i % 2)));
		assert_int_equal(dma(&box, IOMMU_NO_PASID), frame(&box, 1));
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			put(&box, pasids[i], -1, IOMMU_STRATEGY_ONE_STORE, 1);
		for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++)
			assert_int_equal(dma(&box, pasids[i]), FAULTS);
		box_close(&box);
	}
}

/* One PASID's invalidation leaves the others' cached translations alone. */
static void test_one_pasid_only(void **state)
{
	uint64_t command[2] = { 0 };
	struct box box;

	(void)state;
	box_open(&box, 2, 0);
	put(&box, 7, 0, IOMMU_STRATEGY_ONE_STORE, 0);
	put(&box, 1000, 0, IOMMU_STRATEGY_ONE_STORE, 0);
	assert_int_equal(dma(&box, 7), frame(&box, 0));
	assert_int_equal(dma(&box, 1000), frame(&box, 0));
	put(&box, 7, 1, IOMMU_STRATEGY_SAME_TAG, 1);
	/* Behind the unit's back: what is cached of 1000 is still there, of 7 it is not. */
	for (unsigned i = 0; i < 2; i++) {
		struct entry_table *table;
		size_t offset;

		assert_int_equal(amdvi_gcr3_reach(port_of(&box), &box.gcr3, i ? 1000 : 7, &table, &offset), 0);
		port_of(&box)->store64(port_of(&box)->ctx, (char *)table->page + offset, 0);
	}
	assert_int_equal(dma(&box, 7), FAULTS);
	assert_int_equal(dma(&box, 1000), frame(&box, 0));
	SET(AMDVI_CMD_ALL, OPCODE, command, AMDVI_CMD_ALL);
	assert_int_equal(iommu_unit_submit(box.fx.machine.unit, command, 1), 0);
	assert_int_equal(dma(&box, 1000), FAULTS);
	box_close(&box);
}

/* What is asked for too much, and memory that is not there at any point. */
static void test_refusals(void **state)
{
	struct entry_table *table;
	struct amdvi_gcr3 gcr3;
	struct box box;
	size_t offset;

	(void)state;
	box_open(&box, 2, 11);
	assert_int_equal(amdvi_gcr3_reach(port_of(&box), &box.gcr3, 2047, &table, &offset), 0);
	assert_int_equal(offset, 511 * 8);
	assert_int_equal(amdvi_gcr3_reach(port_of(&box), &box.gcr3, 2048, &table, &offset), -ERANGE);
	assert_int_equal(amdvi_gcr3_init(port_of(&box), &gcr3, 0, 0), -EINVAL);
	assert_int_equal(amdvi_gcr3_init(port_of(&box), &gcr3, 4, 0), -EINVAL);
	for (unsigned levels = 1; levels <= 3; levels++) {
		const uint32_t frames = box.fx.machine.frames_in_use;
		const size_t heap = box.fx.machine.heap_in_use;
		bool done = false;

		for (unsigned n = 1; !done; n++) {
			int err;

			box.fx.machine.fail_after = n;
			err = amdvi_gcr3_init(port_of(&box), &gcr3, levels, 0);
			if (!err)
				err = amdvi_gcr3_reach(port_of(&box), &gcr3, 5, &table, &offset);
			box.fx.machine.fail_after = 0;
			assert_true(err == 0 || err == -ENOMEM);
			done = err == 0;
			amdvi_gcr3_fini(port_of(&box), &gcr3);
			assert_int_equal(box.fx.machine.frames_in_use, frames);
			assert_int_equal(box.fx.machine.heap_in_use, heap);
		}
	}
	box_close(&box);
}

/* How many levels a unit needs, and has. */
static void test_width(void **state)
{
	struct amdvi_unit amdvi = { .efr = amdvi_model_default_efr() };

	(void)state;
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 0), 1);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 9), 1);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 10), 2);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 18), 2);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 19), 3);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 20), 3);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 21), 0);
	SET(AMDVI_EFR, GLX_SUP, &amdvi.efr, AMDVI_GLX_2_LEVEL);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 20), 0);
	SET(AMDVI_EFR, PAS_MAX, &amdvi.efr, 15);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 16), 2);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 17), 0);
	SET(AMDVI_EFR, GT_SUP, &amdvi.efr, 0);
	assert_int_equal(amdvi_gcr3_levels(&amdvi, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_one_pasid_only),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
