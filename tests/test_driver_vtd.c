/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_driver_vtd.c - what only the VT-d driver has: its registers, its queue, its domain ids, its ways to lose the hardware. */
#include "fixture.h"

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>

#include "layout/vtd.h"

#define RID 0x0300u
#define RID2 0x0308u
#define REGISTERS 0xfed90000ull

static const char *arch;

static uint64_t read_register(struct fixture *fx, unsigned reg, unsigned size)
{
	return iommu_model_read(&fx->machine.model, reg, size);
}

static struct machine_config config_with(uint64_t cap_clear, uint64_t cap_set, uint64_t ecap_clear)
{
	struct machine_config config = { .arch = machine_arch_by_name(arch), .seed = 1 };

	config.capabilities[0] = (vtd_model_default_cap() & ~cap_clear) | cap_set;
	config.capabilities[1] = vtd_model_default_ecap() & ~ecap_clear;
	return config;
}

/* ---- Bringing up ---- */

/* Interrupt remapping is somebody else's: its bits in GCMD are neither set nor cleared, its table pointer is not touched. */
static void test_interrupt_remapping_is_left_alone(void **state)
{
	const struct machine_config config = { .arch = machine_arch_by_name(arch), .seed = 1 };
	const uint32_t remapping = BITS(VTD_GCMD, IRE) | BITS(VTD_GCMD, CFI), pointer = BITS(VTD_GCMD, SIRTP);
	struct fixture fx = { 0 };
	struct iommu_group *group;
	struct iommu_domain *a;

	(void)state;
	assert_int_equal(machine_create(&fx.machine, &config), 0);
	fx.machine.observer = &fx;
	fx.data = machine_reserve_frames(&fx.machine, 64);
	iommu_model_write(&fx.machine.model, VTD_REG_IRTA, 8, 0x9000 | 7);
	iommu_model_write(&fx.machine.model, VTD_REG_GCMD, 4, pointer);
	while (iommu_model_tick(&fx.machine.model))
		;
	iommu_model_write(&fx.machine.model, VTD_REG_GCMD, 4, remapping);
	while (iommu_model_tick(&fx.machine.model))
		;
	assert_int_equal(read_register(&fx, VTD_REG_GSTS, 4) & (remapping | pointer), remapping | pointer);

	assert_int_equal(machine_start_unit(&fx.machine), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(read_register(&fx, VTD_REG_GSTS, 4) & (remapping | pointer), remapping | pointer);
	assert_int_equal(read_register(&fx, VTD_REG_IRTA, 8), 0x9000 | 7);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

static void test_refused_units(void **state)
{
	struct machine_config config = config_with(0, 0, BITS(VTD_ECAP, QI));
	struct machine machine;
	struct iommu_unit *unit;
	struct vtd_unit_desc desc = { .registers = 0x1234000 };

	(void)state;
	/* Without queued invalidation; with the model refusing, too, there is nothing to test. */
	if (machine_create(&machine, &config) == 0) {
		assert_int_equal(machine_start_unit(&machine), -EOPNOTSUPP);
		machine_destroy(&machine);
	}
	config = config_with(0, 0, 0);
	assert_int_equal(machine_create(&machine, &config), 0);
	assert_int_equal(vtd_unit_create(&machine.port, &desc, &unit), -ENODEV);
	desc.registers = REGISTERS;
	desc.queue_order = 8;
	assert_int_equal(vtd_unit_create(&machine.port, &desc, &unit), -EINVAL);
	assert_int_equal(vtd_unit_create(NULL, &desc, &unit), -EINVAL);
	/* The queue is in use. */
	assert_int_equal(machine_start_unit(&machine), 0);
	desc.queue_order = 0;
	assert_int_equal(vtd_unit_create(&machine.port, &desc, &unit), -EBUSY);
	machine_destroy(&machine);

	config = config_with(0, 0, BITS(VTD_ECAP, SMTS) | BITS(VTD_ECAP, FSTS) | BITS(VTD_ECAP, SSTS));
	if (machine_create(&machine, &config) == 0) {
		desc.mode = VTD_MODE_SCALABLE;
		assert_int_equal(vtd_unit_create(&machine.port, &desc, &unit), -EINVAL);
		machine_destroy(&machine);
	}
}

/* ---- Commands of a group ---- */

/*
 * The PASID cache is invalidated by domain id and PASID: one command does for all devices of a group, after the last store. Any one of
 * them would still see the old domain without it.
 */
static void test_one_command_for_all(void **state)
{
	struct iommu_replace_report report;
	struct iommu_domain *a, *b;
	struct iommu_group *group;
	struct fixture fx;

	(void)state;
	fixture_open(&fx, "vtd");
	group = fixture_group(&fx);
	for (unsigned i = 0; i < 4; i++)
		fixture_device(&fx, group, RID + i * 8);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fixture_dma(&fx, RID + i * 8, WINDOW, IOMMU_READ), fx.data);
	fx.commands = fx.stores = 0;
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), 0);
	assert_int_equal(report.cost.stores, 4);
	assert_int_equal(report.cost.commands, 2); /* PASID cache, IOTLB */
	assert_int_equal(report.cost.rounds, 2);
	assert_int_equal(fx.stores, 4);
	assert_int_equal(fx.commands, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fixture_dma(&fx, RID + i * 8, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* ---- Domain ids ---- */

/* CAP.ND = 0: sixteen domain ids, of which one is reserved. The last device brings its old id along, and says that it had to. */
static void test_sixteen_domain_ids(void **state)
{
	const struct iommu_replace_options insist = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
	struct fixture fx;
	struct iommu_group *groups[15];
	struct iommu_device *devices[15];
	struct iommu_domain *domains[16];
	struct iommu_unit_info info;
	struct iommu_replace_report report;

	(void)state;
	fixture_open_config(&fx, config_with(BITS(VTD_CAP, ND), 0, 0));
	for (unsigned i = 0; i < 16; i++)
		domains[i] = fixture_paging(&fx, 2, i);
	for (unsigned i = 0; i < 15; i++) {
		const struct iommu_device_desc desc = { .unit = fx.machine.unit, .rids = { RID + i }, .nrids = 1 };

		assert_int_equal(iommu_group_alloc(&fx.machine.port, &groups[i]), 0);
		assert_int_equal(iommu_group_add_device(groups[i], &desc, &devices[i]), 0);
		assert_int_equal(iommu_attach_group(groups[i], domains[i]), 0);
		if (i == 14) {
			iommu_unit_get_info(fx.machine.unit, &info);
			assert_int_equal(info.tags, 16);
			assert_int_equal(info.tags_used, 15);
		}
	}
	fx.steps = 0;
	assert_int_equal(iommu_group_replace_domain(groups[3], domains[15], &insist, &report), -EOPNOTSUPP);
	assert_int_equal(fx.steps, 0);
	assert_non_null(report.why);
	assert_int_equal(fixture_dma(&fx, RID + 3, WINDOW, IOMMU_READ), fx.data + 3 * 4096);
	assert_int_equal(iommu_group_replace_domain(groups[3], domains[15], NULL, &report), 0);
	assert_false(report.hitless);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_BREAK);
	assert_int_equal(fixture_dma(&fx, RID + 3, WINDOW, IOMMU_READ), fx.data + 15 * 4096);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 15);
	/* Between domains that have an id, nothing has changed. */
	assert_int_equal(iommu_group_replace_domain(groups[3], domains[4], NULL, &report), 0);
	assert_true(report.hitless);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 14);
	assert_int_equal(iommu_group_replace_domain(groups[4], domains[3], NULL, &report), 0);
	assert_true(report.hitless);
	/* A shared id can't be brought along. */
	assert_int_equal(iommu_group_replace_domain(groups[3], domains[5], NULL, NULL), 0);
	assert_int_equal(iommu_group_replace_domain(groups[6], domains[5], NULL, NULL), 0);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(iommu_detach_group(groups[i]), 0);
		assert_int_equal(iommu_group_remove_device(groups[i], devices[i]), 0);
		assert_int_equal(iommu_group_free(groups[i]), 0);
	}
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
}

/* Two domains in use at once never have the same id, first stage or second; a freed one comes back. */
static void test_domain_ids_are_disjoint(void **state)
{
	struct fixture fx;
	struct iommu_group *one, *two;
	struct iommu_domain *a, *b;
	struct iommu_unit_info info;

	(void)state;
	fixture_open(&fx, arch);
	one = fixture_group(&fx);
	two = fixture_group(&fx);
	fixture_device(&fx, one, RID);
	fixture_device(&fx, two, RID2);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, strcmp(arch, "vtd") == 0 ? 1 : 2, 16);
	assert_int_equal(iommu_attach_group(one, a), 0);
	assert_int_equal(iommu_attach_group(two, b), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 2);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
		assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	}
	assert_int_equal(iommu_group_replace_domain(one, b, NULL, NULL), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 1);
	assert_int_equal(iommu_detach_group(one), 0);
	assert_int_equal(iommu_detach_group(two), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* ---- Caching mode, write buffers ---- */

static void round_trip(struct machine_config config)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b, *identity;

	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	/* The hardware meets the device before the driver does. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	fixture_device(&fx, group, RID);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, strcmp(arch, "vtd") == 0 ? 1 : 2, 16);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(a, 8 * MIB, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(b, 8 * MIB, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_replace_domain(group, identity, NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), WINDOW);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_attach_group(group, b), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	fixture_close(&fx);
}

static void test_caching_mode(void **state)
{
	(void)state;
	round_trip(config_with(0, BITS(VTD_CAP, CM), 0));
}

static void test_write_buffer(void **state)
{
	(void)state;
	round_trip(config_with(0, BITS(VTD_CAP, RWBF), 0));
}

static void test_no_page_selective_invalidation(void **state)
{
	(void)state;
	round_trip(config_with(BITS(VTD_CAP, PSI), 0, 0));
}

/* ---- The queue ---- */

static void test_foreign_commands(void **state)
{
	struct fixture fx;
	uint64_t commands[400][4] = { { 0 } };
	unsigned words = strcmp(arch, "vtd") == 0 ? 4 : 2, room = 4096 / (words * 8) - 2;
	uint64_t *at = commands[0];

	(void)state;
	fixture_open(&fx, arch);
	for (unsigned i = 0; i < 400; i++)
		SET(VTD_DESC_IEC, TYPE, at + i * words, VTD_DESC_IEC);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 0), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, NULL, 1), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, room + 1), -EINVAL);
	/* What would stop the queue is refused, and the queue goes on. */
	at[0] = 0xf;
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 1), -EINVAL);
	at[0] = VTD_DESC_CONTEXT | VTD_CONTEXT_GLOBAL << 4 | 1ull << 60;
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 1), -EINVAL);
	at[0] = VTD_DESC_IOTLB; /* no granularity */
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 1), -EINVAL);
	at[0] = VTD_DESC_IEC;
	/* As many as it holds, over and over: the queue wraps and fills. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, room - i), 0);
	fixture_close(&fx);
}

/* ---- Hardware that stops answering ---- */

/* Makes the hardware stop at a descriptor that it doesn't know. */
static void corrupt_commands(void *ctx, struct iommu_plan *plan)
{
	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op == IOMMU_STEP_INVALIDATE)
			plan->steps[i].words[0] |= 0xf;
}

#define BY_CORRUPT_COMMAND 0

/* A replace is under way when it happens: -EIO in bounded time, both domains quarantined, nothing freed. */
static void lose(uint64_t how)
{
	struct machine_config config = config_with(0, 0, 0);
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_domain *a, *b, *c;
	struct iommu_replace_report report;
	struct iommu_unit_info before, after;
	uint64_t phys;
	uint32_t frames;

	config.timeout_ns = 20000000;
	config.ats = how == VTD_BROKEN_ITE || how == VTD_BROKEN_ICE;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	other = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, other, RID2);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);
	c = fixture_paging(&fx, 2, 32);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	iommu_unit_get_info(fx.machine.unit, &before);
	frames = fx.machine.frames_in_use;

	vtd_model_break(&fx.machine.model, how);
	if (how == BY_CORRUPT_COMMAND)
		fx.machine.port.review = corrupt_commands;
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), -EIO);
	assert_false(report.hitless);
	assert_non_null(report.why);
	iommu_unit_get_info(fx.machine.unit, &after);
	assert_true(after.lost);
	/* Nothing is given back: the old tag and table, and the new ones. */
	assert_int_equal(after.tags_used, before.tags_used + 1);
	assert_true(fx.machine.frames_in_use >= frames);
	assert_int_equal(iommu_unmap(a, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_unmap(b, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_map(a, 8 * MIB, 0, 4096, IOMMU_READ), -EIO);
	assert_int_equal(iommu_iova_to_phys(a, WINDOW, &phys), 0);
	assert_int_equal(iommu_domain_free(a), -EIO);
	assert_int_equal(iommu_domain_free(b), -EIO);
	assert_int_equal(iommu_detach_group(group), -EIO);
	assert_int_equal(iommu_attach_group(other, c), -EIO);
	assert_int_equal(iommu_group_domain(other) == NULL, 1);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), -EIO);
	fx.machine.unit = NULL;
	assert_int_equal(iommu_domain_free(c), 0);
	machine_destroy(&fx.machine);
}

static void test_wait_never_completes(void **state)
{
	(void)state;
	lose(VTD_BROKEN_WAIT);
}

static void test_queue_error(void **state)
{
	(void)state;
	lose(BY_CORRUPT_COMMAND);
}

static void test_device_does_not_answer(void **state)
{
	(void)state;
	lose(VTD_BROKEN_ITE);
}

static void test_completion_error(void **state)
{
	(void)state;
	lose(VTD_BROKEN_ICE);
}

/* With caching mode, map needs the hardware too. */
static void test_map_on_lost_unit(void **state)
{
	struct machine_config config = config_with(0, BITS(VTD_CAP, CM), 0);
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a;

	(void)state;
	config.timeout_ns = 20000000;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	vtd_model_break(&fx.machine.model, VTD_BROKEN_WAIT);
	assert_int_equal(iommu_map(a, 8 * MIB, fx.data, 4096, IOMMU_READ), -EIO);
	assert_int_equal(iommu_map(a, 9 * MIB, fx.data, 4096, IOMMU_READ), -EIO);
	assert_int_equal(iommu_unmap(a, 8 * MIB, 4096), -EIO);
	assert_int_equal(iommu_domain_free(a), -EIO);
	machine_destroy(&fx.machine);
}

/* Loss in the middle of a hop, when each domain has the other's tag on its list. */
static void test_lost_while_hopping(void **state)
{
	const struct iommu_replace_options hop = {
		.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TAG_HOP),
		.assumptions = IOMMU_PLAN_ASSUME_OLD_OR_NEW,
	};
	struct machine_config config = config_with(0, 0, 0);
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_domain *a, *b;

	(void)state;
	if (strcmp(arch, "vtd") != 0)
		return; /* legacy mode never needs a hop */
	config.timeout_ns = 20000000;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	other = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, other, RID2);
	a = fixture_paging(&fx, 1, 0);
	b = fixture_paging(&fx, 1, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);
	vtd_model_break(&fx.machine.model, VTD_BROKEN_WAIT);
	assert_int_equal(iommu_group_replace_domain(group, b, &hop, NULL), -EIO);
	assert_int_equal(iommu_unmap(a, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_unmap(b, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_attach_group(other, a), -EIO);
	machine_destroy(&fx.machine);
}

/* Whoever was here before has left the queue's errors and his faults behind. */
static void test_leftover_errors(void **state)
{
	const struct machine_config config = { .arch = machine_arch_by_name(arch), .seed = 1 };
	struct fixture fx = { 0 };
	uint64_t fsts;

	(void)state;
	assert_int_equal(machine_create(&fx.machine, &config), 0);
	/* A descriptor of no type. */
	*(uint64_t *)machine_virt(&fx.machine, 0x200000) = 0xf;
	iommu_model_write(&fx.machine.model, VTD_REG_IQA, 8, 0x200000);
	iommu_model_write(&fx.machine.model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE));
	while (iommu_model_tick(&fx.machine.model))
		;
	iommu_model_write(&fx.machine.model, VTD_REG_IQT, 8, 16);
	while (iommu_model_tick(&fx.machine.model))
		;
	fsts = read_register(&fx, VTD_REG_FSTS, 4);
	assert_true(GET(VTD_FSTS, IQE, &fsts));
	iommu_model_write(&fx.machine.model, VTD_REG_GCMD, 4, 0);
	while (iommu_model_tick(&fx.machine.model))
		;
	assert_int_equal(machine_start_unit(&fx.machine), 0);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
	fixture_close(&fx);
}

/* Another PCI segment is another unit's; this one's faults name the whole requester id. */
static void test_segments(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_device_desc desc = { .rids = { 0x10000 | RID }, .nrids = 1 };

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	desc.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &desc, &device), -EINVAL);
	fixture_close(&fx);
}

static void test_dead_from_the_start(void **state)
{
	struct machine_config config = config_with(0, 0, 0);
	struct machine machine;

	(void)state;
	config.timeout_ns = 20000000;
	assert_int_equal(machine_create(&machine, &config), 0);
	vtd_model_break(&machine.model, VTD_BROKEN_GCMD);
	assert_int_equal(machine_start_unit(&machine), -EIO);
	assert_null(machine.unit);
	machine_destroy(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupt_remapping_is_left_alone),
		cmocka_unit_test(test_refused_units),
		cmocka_unit_test(test_one_command_for_all),
		cmocka_unit_test(test_sixteen_domain_ids),
		cmocka_unit_test(test_domain_ids_are_disjoint),
		cmocka_unit_test(test_caching_mode),
		cmocka_unit_test(test_write_buffer),
		cmocka_unit_test(test_no_page_selective_invalidation),
		cmocka_unit_test(test_foreign_commands),
		cmocka_unit_test(test_wait_never_completes),
		cmocka_unit_test(test_queue_error),
		cmocka_unit_test(test_device_does_not_answer),
		cmocka_unit_test(test_completion_error),
		cmocka_unit_test(test_map_on_lost_unit),
		cmocka_unit_test(test_lost_while_hopping),
		cmocka_unit_test(test_leftover_errors),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_dead_from_the_start),
	};
	const char *const archs[] = { "vtd-legacy", "vtd" };
	int failed = 0;

	for (unsigned i = 0; i < 2; i++) {
		arch = archs[i];
		failed += cmocka_run_group_tests_name(arch, tests, NULL, NULL);
	}
	return failed;
}
