/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_driver_amdvi.c - what only the AMD-Vi driver has: its registers, its device table, growing tables, its ways to lose the
 * hardware. */
#include "fixture.h"

#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include "layout/amdvi.h"

#define RID 0x0300u
#define RID2 0x0308u
#define RID3 0x0310u
#define REGISTERS 0xfed80000ull
#define RW (IOMMU_READ | IOMMU_WRITE)

static uint64_t read_register(struct fixture *fx, unsigned reg)
{
	return iommu_model_read(&fx->machine.model, reg, 8);
}

static struct machine_config config_with(uint64_t efr_clear, uint64_t switches)
{
	struct machine_config config = { .arch = machine_arch_by_name("amdvi"), .seed = 1 };

	config.capabilities[0] = amdvi_model_default_efr() & ~efr_clear;
	config.capabilities[3] = switches;
	return config;
}

/* A device's entry, as it is in memory. */
static uint64_t *entry_of(struct fixture *fx, uint32_t rid)
{
	uint64_t base = read_register(fx, AMDVI_REG_DEVTAB);

	return machine_virt(&fx->machine, GET_ADDR(AMDVI_DEVTAB, BASE, &base) + rid * 32);
}

/* What the fault handler was told last. */
static struct iommu_fault last_fault;
static unsigned faults;

static void hear(void *handle, const struct iommu_fault *fault)
{
	(void)handle;
	last_fault = *fault;
	faults++;
}

/* ---- Bringing up ---- */

/* No entry is ever V=0, which would let DMA through; not that of a device that nobody has added, nor one beyond the table. */
static void test_strangers_are_blocked(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	uint64_t devtab;

	(void)state;
	fixture_open(&fx, "amdvi");
	devtab = read_register(&fx, AMDVI_REG_DEVTAB);
	for (uint32_t rid = 0; rid < (GET(AMDVI_DEVTAB, SIZE, &devtab) + 1) * 128; rid++)
		assert_int_equal(amdvi_dte_mode(entry_of(&fx, rid)), AMDVI_DTE_MODE_BLOCKED);
	assert_int_equal(fixture_dma(&fx, 0x0008, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, 0xfff8, WINDOW, IOMMU_WRITE), FAULTS);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_group_remove_device(group, fx.devices[0]), 0);
	fx.devices[0] = NULL;
	assert_int_equal(amdvi_dte_mode(entry_of(&fx, RID)), AMDVI_DTE_MODE_BLOCKED);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	fixture_close(&fx);
}

static void test_refused_units(void **state)
{
	struct machine_config config = config_with(0, 0);
	struct machine machine;
	struct iommu_unit *unit;
	struct amdvi_unit_desc desc = { .registers = 0x1234000 };

	(void)state;
	assert_int_equal(machine_create(&machine, &config), 0);
	assert_int_equal(amdvi_unit_create(&machine.port, &desc, &unit), -ENODEV);
	desc.registers = REGISTERS;
	desc.queue_order = 8;
	assert_int_equal(amdvi_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.queue_order = 0;
	desc.log_order = 8;
	assert_int_equal(amdvi_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.log_order = 0;
	desc.last_device = 0x10000;
	assert_int_equal(amdvi_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.last_device = 0xff;
	assert_int_equal(amdvi_unit_create(NULL, &desc, &unit), -EINVAL);
	/* The command buffer is in use. */
	assert_int_equal(machine_start_unit(&machine), 0);
	assert_int_equal(amdvi_unit_create(&machine.port, &desc, &unit), -EBUSY);
	machine_destroy(&machine);
}

/* Requester ids with the unit's PCI segment in front; others are not served. */
static void test_segment(void **state)
{
	struct machine_config config = config_with(0, 0);
	const struct amdvi_unit_desc desc = { .registers = REGISTERS, .segment = 3, .last_device = 0xfff };
	struct iommu_device_desc device_desc = { .rids = { RID }, .nrids = 1 };
	struct iommu_device *device;
	struct iommu_group *group;
	struct fixture fx = { 0 };

	(void)state;
	assert_int_equal(machine_create(&fx.machine, &config), 0);
	assert_int_equal(amdvi_unit_create(&fx.machine.port, &desc, &fx.machine.unit), 0);
	assert_int_equal(iommu_group_alloc(&fx.machine.port, &group), 0);
	device_desc.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &device_desc, &device), -EINVAL);
	device_desc.rids[0] = 3u << 16 | 0x1000;
	assert_int_equal(iommu_group_add_device(group, &device_desc, &device), -EINVAL);
	device_desc.rids[0] = 3u << 16 | RID;
	assert_int_equal(iommu_group_add_device(group, &device_desc, &device), 0);
	faults = 0;
	iommu_unit_set_fault_handler(fx.machine.unit, hear, NULL);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_ptr_equal(last_fault.device, device);
	assert_int_equal(last_fault.rid, 3u << 16 | RID);
	assert_int_equal(iommu_group_remove_device(group, device), 0);
	assert_int_equal(iommu_group_free(group), 0);
	machine_destroy(&fx.machine);
}

/* Where the devices' entries are; nobody notices. A unit of 64 Ki DeviceIDs with 1, 2, 4 and 8 segments, and one of few with 8. */
static void test_segments(void **state)
{
	static const uint32_t rids[] = { 0x0008, 0x1fff, 0x2000, 0x7ff8, 0x8000, 0xfff8 };

	(void)state;
	for (unsigned bits = 0; bits <= 4; bits++) {
		struct machine_config config = config_with(0, 0);
		const struct amdvi_unit_desc desc = { .registers = REGISTERS, .last_device = bits == 4 ? 0xfff : 0 };
		struct fixture fx = { 0 };
		uint64_t control, base;

		if (bits < 4)
			SET(AMDVI_EFR, DEV_TBL_SEG_SUP, &config.capabilities[0], bits);
		assert_int_equal(machine_create(&fx.machine, &config), 0);
		fx.machine.observer = &fx;
		fx.data = machine_reserve_frames(&fx.machine, 64);
		assert_int_equal(amdvi_unit_create(&fx.machine.port, &desc, &fx.machine.unit), 0);
		control = read_register(&fx, AMDVI_REG_CONTROL);
		base = read_register(&fx, AMDVI_REG_DEVTAB);
		assert_int_equal(GET(AMDVI_CONTROL, DEV_TBL_SEG_EN, &control), bits % 4);
		assert_int_equal(GET(AMDVI_DEVTAB, SIZE, &base) + 1, bits == 4 ? 32 : 512 >> bits);
		for (unsigned i = 0; i < (bits < 4 ? 6 : 1); i++) {
			struct iommu_group *group = fixture_group(&fx);
			struct iommu_domain *a = fixture_paging(&fx, 2, 0), *b = fixture_paging(&fx, 2, 16);

			fixture_device(&fx, group, rids[i]);
			assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), FAULTS);
			assert_int_equal(iommu_attach_group(group, a), 0);
			assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), fx.data);
			assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), fx.data + 16 * 4096);
			/* Nobody else. */
			for (uint32_t rid = 0; rid < 0x10000; rid += 0x7ff)
				if (rid != rids[i])
					assert_int_equal(fixture_dma(&fx, rid, WINDOW, IOMMU_READ), FAULTS);
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(iommu_group_remove_device(group, fx.devices[--fx.ndevices]), 0);
			assert_int_equal(iommu_group_free(fx.groups[--fx.ngroups]), 0);
			assert_int_equal(iommu_domain_free(a), 0);
			assert_int_equal(iommu_domain_free(b), 0);
		}
		fixture_close(&fx);
	}
}

/* Control bits that belong to interrupt remapping stay as they are; so does what others have set up. */
static void test_control_bits_are_kept(void **state)
{
	const struct machine_config config = config_with(0, 0);
	const uint64_t foreign = BITS(AMDVI_CONTROL, PASS_PW) | BITS(AMDVI_CONTROL, ISOC) | BITS(AMDVI_CONTROL, COM_WAIT_INT_EN);
	struct fixture fx = { 0 };

	(void)state;
	assert_int_equal(machine_create(&fx.machine, &config), 0);
	fx.machine.observer = &fx;
	iommu_model_write(&fx.machine.model, AMDVI_REG_CONTROL, 8, foreign);
	if ((read_register(&fx, AMDVI_REG_CONTROL) & foreign) != foreign)
		print_message("the model lacks some of the bits\n");
	else {
		assert_int_equal(machine_start_unit(&fx.machine), 0);
		assert_int_equal(read_register(&fx, AMDVI_REG_CONTROL) & foreign, foreign);
		assert_int_equal(iommu_unit_destroy(fx.machine.unit), 0);
		fx.machine.unit = NULL;
		assert_int_equal(read_register(&fx, AMDVI_REG_CONTROL), foreign | BITS(AMDVI_CONTROL, COHERENT) |
				 BITS(AMDVI_CONTROL, GT_EN) | 4u << AMDVI_CONTROL_INV_TIMEOUT_LSB);
	}
	machine_destroy(&fx.machine);
}

/* ---- The interrupt half ---- */

static void test_interrupt_half_is_kept(void **state)
{
	static const unsigned quanta[] = { 16, 8 };

	(void)state;
	for (unsigned q = 0; q < 2; q++) {
		struct machine_config config = config_with(0, 0);
		struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 1, .levels = 5 };
		struct fixture fx;
		struct iommu_group *group;
		struct iommu_domain *domains[5];
		uint64_t half[2] = { 0 }, dte[4] = { 0 };

		config.no_store128 = quanta[q] == 8;
		fixture_open_config(&fx, config);
		group = fixture_group(&fx);
		fixture_device(&fx, group, RID);
		SET(AMDVI_DTE, IV, dte, 1);
		SET(AMDVI_DTE, INT_TAB_LEN, dte, 9);
		SET_ADDR(AMDVI_DTE, INT_TABLE_ROOT, dte, 0x123456780ull & ~0x3full);
		SET(AMDVI_DTE, INT_CTL, dte, 2);
		SET(AMDVI_DTE, NMI_PASS, dte, 1);
		SET(AMDVI_DTE, LINT1_PASS, dte, 1);
		half[0] = dte[2];
		assert_int_equal(amdvi_set_interrupts(fx.machine.unit, 0x10000, half), -EINVAL);
		assert_int_equal(amdvi_set_interrupts(fx.machine.unit, RID, half), 0);
		domains[0] = fixture_paging(&fx, 2, 0);
		domains[1] = fixture_paging(&fx, 1, 0);
		domains[2] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
		domains[3] = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
		assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domains[4]), 0);
		for (unsigned from = 0; from < 5; from++)
			for (unsigned to = 0; to < 5; to++) {
				const uint64_t *entry = entry_of(&fx, RID);

				assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
				assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, NULL), 0);
				assert_int_equal(entry[2] & ~BITS(AMDVI_DTE, GUEST_PAGING_MODE), half[0]);
				assert_int_equal(entry[3], half[1]);
				assert_true(GET(AMDVI_DTE, V, entry));
				/* Another half, whatever the entry says of DMA. */
				SET(AMDVI_DTE, INT_TAB_LEN, dte, from + to);
				half[0] = dte[2];
				assert_int_equal(amdvi_set_interrupts(fx.machine.unit, RID, half), 0);
				assert_int_equal(GET(AMDVI_DTE, GUEST_PAGING_MODE, entry), to == 4);
			}
		assert_int_equal(iommu_detach_group(group), 0);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(iommu_domain_free(domains[i]), 0);
		fixture_close(&fx);
	}
}

/* ---- Between depths of guest tables ---- */

static void test_guest_depth(void **state)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 1, .levels = 5 };
	struct iommu_replace_options insist = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *four, *five, *host;
	struct iommu_replace_report report;

	(void)state;
	fixture_open(&fx, "amdvi");
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	four = fixture_paging(&fx, 1, 0);
	host = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &five), 0);
	assert_int_equal(iommu_map(five, WINDOW, fx.data + 32 * 4096, 4096, RW), 0);
	/* Where one side has no guest tables, the upper half is preloaded or cleaned up: nobody looks at it. */
	assert_int_equal(iommu_attach_group(group, host), 0);
	assert_int_equal(iommu_group_replace_domain(group, five, &insist, &report), 0);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_PRELOAD);
	assert_int_equal(report.cost.stores, 2);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 32 * 4096);
	assert_int_equal(iommu_group_replace_domain(group, host, &insist, &report), 0);
	assert_int_equal(report.cost.stores, 2);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	/* From one to the other both halves must flip: the old tables stand in for themselves, as host tables. */
	assert_int_equal(iommu_group_replace_domain(group, four, &insist, &report), 0);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
	for (unsigned i = 0; i < 4; i++) {
		struct iommu_domain *to = i % 2 ? four : five;
		struct iommu_unit_info before, after;

		iommu_unit_get_info(fx.machine.unit, &before);
		assert_int_equal(iommu_group_replace_domain(group, to, &insist, &report), 0);
		assert_int_equal(report.strategy, IOMMU_STRATEGY_STANDIN);
		assert_int_equal(report.cost.stores, 3);
		assert_int_equal(report.cost.tags, 1);
		iommu_unit_get_info(fx.machine.unit, &after);
		assert_int_equal(after.tags_used, before.tags_used);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + (i % 2 ? 0 : 32 * 4096));
	}
	/* Without it, it is disruptive, and says why. */
	insist.strategies = IOMMU_STRATEGY_ANY & ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_STANDIN);
	assert_int_equal(iommu_group_replace_domain(group, five, &insist, &report), -EOPNOTSUPP);
	assert_non_null(report.why);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	insist.flags = 0;
	assert_int_equal(iommu_group_replace_domain(group, five, &insist, &report), 0);
	assert_false(report.hitless);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 32 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(four), 0);
	assert_int_equal(iommu_domain_free(five), 0);
	assert_int_equal(iommu_domain_free(host), 0);
	fixture_close(&fx);
}

/* ---- 64-bit stores ---- */

static bool is_hitless(struct iommu_group *group, struct iommu_domain *to, enum iommu_strategy strategy)
{
	struct iommu_replace_report asked, report;

	assert_int_equal(iommu_replace_query(group, to, NULL, &asked), 0);
	assert_int_equal(iommu_group_replace_domain(group, to, NULL, &report), 0);
	assert_int_equal(report.hitless, asked.hitless);
	assert_int_equal(report.strategy, asked.strategy);
	assert_int_equal(report.hitless, report.why == NULL);
	assert_int_equal(report.strategy, report.hitless ? strategy : IOMMU_STRATEGY_BREAK);
	return report.hitless;
}

/* By chains of stand-ins, unless both sides are of one kind only; and no DomainID stays borrowed. */
static void test_narrow_stores(void **state)
{
	const struct iommu_domain_desc deep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1, .levels = 5 };
	const struct iommu_domain_desc fixed = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .levels = 4 };
	enum { S2, OTHER_S2, S1, DEEP, IDENTITY, FIXED, OTHER_FIXED, DOMAINS };
	struct machine_config config = config_with(0, 0);
	struct iommu_domain *domains[DOMAINS];
	struct iommu_group *group;
	struct fixture fx;

	(void)state;
	config.no_store128 = true;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	domains[S2] = fixture_paging(&fx, 2, 16 * S2);
	domains[OTHER_S2] = fixture_paging(&fx, 2, 16 * OTHER_S2);
	domains[S1] = fixture_paging(&fx, 1, 16 * S1);
	domains[IDENTITY] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &deep, &domains[DEEP]), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &fixed, &domains[FIXED]), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &fixed, &domains[OTHER_FIXED]), 0);
	for (unsigned i = 0; i < DOMAINS; i++)
		if (i == DEEP || i >= FIXED)
			assert_int_equal(iommu_map(domains[i], WINDOW, fx.data + 16 * 4096 * i, 4096, RW), 0);
	assert_int_equal(iommu_attach_group(group, domains[S2]), 0);
	for (unsigned from = 0; from < DOMAINS; from++)
		for (unsigned to = 0; to < DOMAINS; to++) {
			/* Host tables of a depth that somebody asked for are that only. */
			bool way = !((from >= IDENTITY) && (to >= IDENTITY));
			struct iommu_unit_info before, after;

			if (from == to)
				continue;
			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			iommu_unit_get_info(fx.machine.unit, &before);
			assert_int_equal(is_hitless(group, domains[to], IOMMU_STRATEGY_STANDIN), way);
			iommu_unit_get_info(fx.machine.unit, &after);
			assert_int_equal(after.tags_used, before.tags_used);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), to == IDENTITY ? WINDOW : fx.data + 16 * 4096 * to);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < DOMAINS; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
}

/* What it costs an s2 domain that its tables are guest tables, too; and those who need more say how many levels. */
static void test_tables_of_both_kinds(void **state)
{
	const struct iommu_domain_desc fixed = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .levels = 4 };
	struct machine_config config = config_with(0, 0);
	struct iommu_domain *domain;
	uint64_t first, last;
	struct fixture fx;

	(void)state;
	config.no_store128 = true;
	fixture_open_config(&fx, config);
	domain = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 2);
	assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
	assert_int_equal(last, (1ull << 47) - 1);
	assert_int_equal(iommu_map(domain, WINDOW, fx.data, 4096, IOMMU_WRITE), -EINVAL);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &fixed, &domain), 0);
	assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
	assert_int_equal(last, (1ull << 48) - 1);
	assert_int_equal(iommu_map(domain, WINDOW, fx.data, 4096, IOMMU_WRITE), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	fixture_close(&fx);
}

/* ---- Growth ---- */

struct grown {
	struct fixture fx;
	struct iommu_group *one, *two;
	struct iommu_domain *domain, *other;
};

/* Two groups in one domain, one of them with an alias; a third device elsewhere. */
static void open_grown(struct grown *g, bool ats, bool mapped)
{
	struct machine_config config = config_with(0, 0);
	struct iommu_device_desc desc = { .rids = { RID2, RID2 + 1 }, .nrids = 2, .ats = true };

	config.ats = ats;
	fixture_open_config(&g->fx, config);
	g->one = fixture_group(&g->fx);
	g->two = fixture_group(&g->fx);
	fixture_device(&g->fx, g->one, RID);
	machine_add_function(&g->fx.machine, RID2);
	machine_add_function(&g->fx.machine, RID2 + 1);
	desc.unit = g->fx.machine.unit;
	assert_int_equal(iommu_group_add_device(g->two, &desc, &g->fx.devices[g->fx.ndevices++]), 0);
	g->domain = mapped ? fixture_paging(&g->fx, 2, 0) : fixture_domain(&g->fx, IOMMU_DOMAIN_PAGING, 2);
	g->other = fixture_paging(&g->fx, 2, 16);
	assert_int_equal(iommu_attach_group(g->one, g->domain), 0);
	assert_int_equal(iommu_attach_group(g->two, g->domain), 0);
}

static void close_grown(struct grown *g)
{
	assert_int_equal(iommu_detach_group(g->one), 0);
	assert_int_equal(iommu_detach_group(g->two), 0);
	assert_int_equal(iommu_domain_free(g->domain), 0);
	assert_int_equal(iommu_domain_free(g->other), 0);
	fixture_close(&g->fx);
}

#define FAR (1ull << 39)	/* the first address that three levels don't reach */

static void test_growth(void **state)
{
	struct grown g;
	uint64_t first, last, phys;

	(void)state;
	for (unsigned ats = 0; ats < 2; ats++)
		for (unsigned mapped = 0; mapped < 2; mapped++) {
			open_grown(&g, ats, mapped);
			assert_int_equal(iommu_domain_get_geometry(g.domain, &first, &last), 0);
			assert_int_equal(first, 0);
			assert_int_equal(last, UINT64_MAX);
			assert_int_equal(GET(AMDVI_DTE, MODE, entry_of(&g.fx, RID)), 3);
			/* Nothing grows by being asked. */
			assert_int_equal(iommu_iova_to_phys(g.domain, FAR, &phys), -ENOENT);
			assert_int_equal(iommu_unmap(g.domain, FAR, 4096), 0);
			assert_int_equal(iommu_unmap(g.domain, FAR - 4096, 8192), 0);
			assert_int_equal(fixture_dma(&g.fx, RID, FAR, IOMMU_READ), FAULTS);
			assert_int_equal(fixture_dma(&g.fx, RID, WINDOW, IOMMU_READ), mapped ? g.fx.data : FAULTS);

			g.fx.stores = 0;
			assert_int_equal(iommu_map(g.domain, FAR, g.fx.data + 4096, 4096, RW), 0);
			/* One store each for the device, for the other one and for its alias. */
			assert_int_equal(g.fx.stores, 3);
			assert_int_equal(GET(AMDVI_DTE, MODE, entry_of(&g.fx, RID)), 4);
			assert_int_equal(GET(AMDVI_DTE, MODE, entry_of(&g.fx, RID2 + 1)), 4);
			assert_int_equal(fixture_dma(&g.fx, RID, FAR + 8, IOMMU_READ), g.fx.data + 4096 + 8);
			assert_int_equal(fixture_dma(&g.fx, RID2, FAR, IOMMU_WRITE), g.fx.data + 4096);
			assert_int_equal(fixture_dma(&g.fx, RID2 + 1, FAR, IOMMU_WRITE), g.fx.data + 4096);
			assert_int_equal(fixture_dma(&g.fx, RID, WINDOW, IOMMU_READ), mapped ? g.fx.data : FAULTS);
			/* Over the end of what there is, by two levels at once. */
			assert_int_equal(iommu_map(g.domain, (1ull << 48) - 4096, g.fx.data, 8192, RW), 0);
			assert_int_equal(GET(AMDVI_DTE, MODE, entry_of(&g.fx, RID)), 5);
			assert_int_equal(iommu_map(g.domain, ~0xfffull, g.fx.data + 4 * 4096, 4096, RW), 0);
			assert_int_equal(GET(AMDVI_DTE, MODE, entry_of(&g.fx, RID)), 6);
			assert_int_equal(fixture_dma(&g.fx, RID2, ~0xfffull, IOMMU_READ), g.fx.data + 4 * 4096);
			assert_int_equal(iommu_iova_to_phys(g.domain, UINT64_MAX, &phys), 0);
			/* Who comes later gets the root of now. */
			assert_int_equal(iommu_group_replace_domain(g.one, g.other, NULL, NULL), 0);
			assert_int_equal(fixture_dma(&g.fx, RID, WINDOW, IOMMU_READ), g.fx.data + 16 * 4096);
			assert_int_equal(iommu_group_replace_domain(g.one, g.domain, NULL, NULL), 0);
			assert_int_equal(fixture_dma(&g.fx, RID, FAR, IOMMU_READ), g.fx.data + 4096);
			/* The old roots go like any table. */
			assert_int_equal(iommu_unmap(g.domain, 0, 1ull << 50), (mapped ? 16 * 4096 : 0) + 4096 + 8192);
			assert_int_equal(fixture_dma(&g.fx, RID, WINDOW, IOMMU_READ), FAULTS);
			assert_int_equal(fixture_dma(&g.fx, RID2, FAR, IOMMU_READ), FAULTS);
			assert_int_equal(fixture_dma(&g.fx, RID2, ~0xfffull, IOMMU_READ), g.fx.data + 4 * 4096);
			close_grown(&g);
		}
}

/* Who asked for a depth keeps it. */
static void test_fixed_depth(void **state)
{
	struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	struct fixture fx;
	struct iommu_domain *domain;
	uint64_t first, last;

	(void)state;
	fixture_open_config(&fx, config_with(BITS(AMDVI_EFR, HATS), 0));
	for (desc.levels = 1; desc.levels <= 4; desc.levels++) {
		assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), 0);
		assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
		assert_int_equal(last, (1ull << (12 + 9 * desc.levels)) - 1);
		assert_int_equal(iommu_map(domain, last + 1, 0, 4096, RW), -ERANGE);
		assert_int_equal(iommu_map(domain, last - 4095, 0, 4096, RW), 0);
		assert_int_equal(iommu_domain_free(domain), 0);
	}
	/* A unit without more: HATS=0. */
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), -EINVAL);
	desc.levels = 0;
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), 0);
	assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
	assert_int_equal(last, (1ull << 48) - 1);
	assert_int_equal(iommu_map(domain, last - 4095, 0, 4096, RW), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	fixture_close(&fx);
}

static void forbid(void *ctx, uint64_t iova, uint64_t size)
{
	(void)iova;
	(void)size;
	++*(unsigned *)ctx;
}

/* Beyond the table there are no marks, and none is cleared elsewhere for asking. */
static void test_dirty_beyond_the_table(void **state)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .dirty = true };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domain, *plain;
	unsigned reports = 0;

	(void)state;
	fixture_open(&fx, "amdvi");
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), 0);
	plain = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_map(domain, 0, fx.data, 4096, RW), 0);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_int_equal(fixture_dma(&fx, RID, 0, IOMMU_WRITE), fx.data);
	assert_int_equal(iommu_read_and_clear_dirty(domain, FAR, 4096, forbid, &reports), 0);
	assert_int_equal(reports, 0);
	assert_int_equal(iommu_read_and_clear_dirty(plain, FAR, 4096, forbid, &reports), -EOPNOTSUPP);
	assert_int_equal(iommu_read_and_clear_dirty(domain, 0, 2 * FAR, forbid, &reports), 0);
	assert_int_equal(reports, 1);
	/* Growth keeps the marks, and goes on setting them. */
	assert_int_equal(fixture_dma(&fx, RID, 0, IOMMU_WRITE), fx.data);
	assert_int_equal(iommu_map(domain, FAR, fx.data + 4096, 4096, RW), 0);
	assert_int_equal(fixture_dma(&fx, RID, FAR, IOMMU_WRITE), fx.data + 4096);
	assert_int_equal(iommu_read_and_clear_dirty(domain, 0, 2 * FAR, forbid, &reports), 0);
	assert_int_equal(reports, 3);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(plain), 0);
	fixture_close(&fx);
}

/* No memory at any one site: nothing has changed. */
static void test_starved_growth(void **state)
{
	struct grown g;
	unsigned site;
	int err = -ENOMEM;

	(void)state;
	open_grown(&g, false, true);
	for (site = 1; err == -ENOMEM; site++) {
		uint64_t before[4], before2[4];
		uint32_t frames = g.fx.machine.frames_in_use;
		size_t heap = g.fx.machine.heap_in_use;

		memcpy(before, entry_of(&g.fx, RID), 32);
		memcpy(before2, entry_of(&g.fx, RID2), 32);
		g.fx.stores = 0;
		g.fx.machine.fail_after = site;
		err = iommu_map(g.domain, FAR, g.fx.data, 4096, RW);
		g.fx.machine.fail_after = 0;
		if (err != -ENOMEM)
			break;
		assert_int_equal(g.fx.machine.heap_in_use, heap);
		if (g.fx.stores)
			continue; /* it has grown, but there was no memory for the mapping's own tables */
		assert_int_equal(g.fx.machine.frames_in_use, frames);
		assert_memory_equal(before, entry_of(&g.fx, RID), 32);
		assert_memory_equal(before2, entry_of(&g.fx, RID2), 32);
		assert_int_equal(fixture_dma(&g.fx, RID, WINDOW, IOMMU_READ), g.fx.data);
	}
	assert_int_equal(err, 0);
	assert_in_range(site, 4, 20);
	assert_int_equal(fixture_dma(&g.fx, RID, FAR, IOMMU_READ), g.fx.data);
	close_grown(&g);
}

/* The hardware stops answering in the middle: the domain is quarantined, and neither root is given back. */
static void test_growth_loses_the_unit(void **state)
{
	struct machine_config config = config_with(0, 0);
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domain;
	uint32_t frames;

	(void)state;
	config.timeout_ns = 20000000;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	domain = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 2);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	frames = fx.machine.frames_in_use;
	amdvi_model_break(&fx.machine.model, AMDVI_BROKEN_WAIT);
	assert_int_equal(iommu_map(domain, FAR, fx.data, 4096, RW), -EIO);
	assert_int_equal(fx.machine.frames_in_use, frames + 1);
	assert_int_equal(iommu_map(domain, WINDOW, fx.data, 4096, RW), -EIO);
	assert_int_equal(iommu_unmap(domain, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_detach_group(group), -EIO);
	assert_int_equal(iommu_domain_free(domain), -EIO);
	fx.machine.unit = NULL;
	machine_destroy(&fx.machine);
}

/* ---- Units that cache what is absent, or lack something ---- */

static void round_trip(struct machine_config config, unsigned second_stage)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b, *identity;

	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	fixture_device(&fx, group, RID);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, second_stage, 16);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(a, 8 * MIB, fx.data, 3 * 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, RID, FAR, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(a, FAR, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, FAR, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(b, 8 * MIB, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_replace_domain(group, identity, NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), WINDOW);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	fixture_close(&fx);
}

static void test_npcache(void **state)
{
	(void)state;
	round_trip(config_with(0, AMDVI_MODEL_NPCACHE), 1);
	round_trip(config_with(0, AMDVI_MODEL_NPCACHE), 2);
}

static void test_without_invalidate_all(void **state)
{
	(void)state;
	round_trip(config_with(BITS(AMDVI_EFR, IA_SUP), 0), 1);
}

static void test_without_guest_tables(void **state)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
	struct machine_config config = config_with(BITS(AMDVI_EFR, GIO_SUP), 0);
	struct fixture fx;
	struct iommu_domain *domain;

	(void)state;
	fixture_open_config(&fx, config);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), -EINVAL);
	fixture_close(&fx);
	round_trip(config, 2);
}

/* ---- The command buffer ---- */

static void test_foreign_commands(void **state)
{
	struct fixture fx;
	uint64_t commands[256][2] = { { 0 } };

	(void)state;
	fixture_open(&fx, "amdvi");
	for (unsigned i = 0; i < 256; i++) {
		SET(AMDVI_CMD_INTERRUPTS, OPCODE, commands[i], AMDVI_CMD_INTERRUPTS);
		SET(AMDVI_CMD_INTERRUPTS, DEVICE_ID, commands[i], i);
	}
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 0), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, NULL, 1), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 255), -EINVAL);
	/* What would stop the buffer is refused, and the buffer goes on. */
	for (unsigned opcode = 0; opcode < 16; opcode++) {
		uint64_t bad[2] = { (uint64_t)opcode << 60 | 1ull << 59, 1ull << 70 % 64 };

		if (opcode == AMDVI_CMD_IOTLB)
			continue; /* has no such bits */
		bad[1] |= 2ull << 10;
		assert_int_equal(iommu_unit_submit(fx.machine.unit, bad, 1), -EINVAL);
	}
	/* As many as it holds, over and over: the buffer wraps and fills. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, commands, 254 - i), 0);
	fixture_close(&fx);
}

/* ---- The event log ---- */

/* It overflows, is restarted, and works as before; several times, so that it also wraps. */
static void test_log_overflow(void **state)
{
	struct fixture fx;
	struct iommu_group *group;

	(void)state;
	fixture_open(&fx, "amdvi");
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	iommu_unit_set_fault_handler(fx.machine.unit, hear, NULL);
	for (unsigned round = 0; round < 5; round++) {
		uint64_t status;

		for (unsigned i = 0; i < 300; i++)
			fixture_dma(&fx, RID, i * 4096, IOMMU_READ);
		faults = 0;
		assert_in_range(iommu_unit_handle_faults(fx.machine.unit), 200, 257);
		assert_int_equal(last_fault.cause, IOMMU_FAULT_OVERFLOW);
		status = read_register(&fx, AMDVI_REG_STATUS);
		assert_true(GET(AMDVI_STATUS, EVENT_LOG_RUN, &status));
		assert_false(GET(AMDVI_STATUS, EVENT_OVERFLOW, &status));
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
		for (unsigned i = 0; i < 100; i++) {
			fixture_dma(&fx, RID, 0x5000 + i * 8, IOMMU_WRITE);
			assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
			assert_int_equal(last_fault.cause, IOMMU_FAULT_BLOCKED);
			assert_int_equal(last_fault.iova, 0x5000 + i * 8);
		}
	}
	fixture_close(&fx);
}

/*
 * What is lost with the log may be that a device has not answered an invalidation of its TLB: the invalidation is repeated with a log
 * that works. `fails`: it really doesn't answer.
 */
static void overflow_before_devtlb(bool fails, bool submit)
{
	struct machine_config config = config_with(0, 0);
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b;
	uint64_t command[2] = { 0 };
	int expected = fails ? -EIO : 0;

	config.ats = true;
	config.timeout_ns = 200000000;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	for (unsigned i = 0; i < 300; i++)
		fixture_dma(&fx, RID2, i * 4096, IOMMU_READ);
	if (fails)
		amdvi_model_break(&fx.machine.model, AMDVI_BROKEN_TIMEOUT_GO);
	SET(AMDVI_CMD_IOTLB, OPCODE, command, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, command, RID);
	SET(AMDVI_CMD_IOTLB, QUEUE_ID, command, RID);
	SET(AMDVI_CMD_IOTLB, MAX_PEND, command, 1);
	if (submit)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, command, 1), expected);
	else
		assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), expected);
	if (fails) {
		fx.machine.unit = NULL; /* lost */
		machine_destroy(&fx.machine);
		return;
	}
	if (!submit)
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	/* Whoever reads the log hears of the loss all the same, once. */
	iommu_unit_set_fault_handler(fx.machine.unit, hear, NULL);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(last_fault.cause, IOMMU_FAULT_OVERFLOW);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

static void test_overflow_hides_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		overflow_before_devtlb(i & 1, i & 2);
}

/* ---- Hardware that stops answering ---- */

static void corrupt_commands(void *ctx, struct iommu_plan *plan)
{
	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op == IOMMU_STEP_INVALIDATE)
			plan->steps[i].words[0] |= 0xfull << 60;
}

#define BY_CORRUPT_COMMAND 0

/* A replace is under way when it happens: -EIO in bounded time, both domains quarantined, nothing freed. */
static void lose(uint64_t how)
{
	struct machine_config config = config_with(0, 0);
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_domain *a, *b, *c;
	struct iommu_replace_report report;
	struct iommu_unit_info before, after;
	uint64_t phys;
	uint32_t frames;

	config.timeout_ns = 20000000;
	config.ats = how == AMDVI_BROKEN_TIMEOUT || how == AMDVI_BROKEN_TIMEOUT_GO;
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

	amdvi_model_break(&fx.machine.model, how);
	if (how == BY_CORRUPT_COMMAND)
		fx.machine.port.review = corrupt_commands;
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), -EIO);
	assert_false(report.hitless);
	assert_non_null(report.why);
	iommu_unit_get_info(fx.machine.unit, &after);
	assert_true(after.lost);
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
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), -EIO);
	fx.machine.unit = NULL;
	assert_int_equal(iommu_domain_free(c), 0);
	machine_destroy(&fx.machine);
}

static void test_lost_units(void **state)
{
	(void)state;
	lose(AMDVI_BROKEN_WAIT);
	lose(AMDVI_BROKEN_FETCH);
	lose(AMDVI_BROKEN_READ);
	lose(AMDVI_BROKEN_TIMEOUT);
	lose(AMDVI_BROKEN_TIMEOUT_GO);
	lose(BY_CORRUPT_COMMAND);
}

static void test_dead_from_the_start(void **state)
{
	static const uint64_t how[] = { AMDVI_BROKEN_CONTROL, AMDVI_BROKEN_WAIT, AMDVI_BROKEN_FETCH, AMDVI_BROKEN_READ };

	(void)state;
	for (unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		struct machine_config config = config_with(0, 0);
		struct machine machine;

		config.timeout_ns = 20000000;
		assert_int_equal(machine_create(&machine, &config), 0);
		amdvi_model_break(&machine.model, how[i]);
		assert_int_equal(machine_start_unit(&machine), -EIO);
		assert_null(machine.unit);
		assert_int_equal(machine.frames_in_use, 0);
		assert_int_equal(machine.heap_in_use, 0);
		machine_destroy(&machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strangers_are_blocked),
		cmocka_unit_test(test_refused_units),
		cmocka_unit_test(test_segment),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_control_bits_are_kept),
		cmocka_unit_test(test_interrupt_half_is_kept),
		cmocka_unit_test(test_guest_depth),
		cmocka_unit_test(test_narrow_stores),
		cmocka_unit_test(test_tables_of_both_kinds),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_fixed_depth),
		cmocka_unit_test(test_dirty_beyond_the_table),
		cmocka_unit_test(test_starved_growth),
		cmocka_unit_test(test_growth_loses_the_unit),
		cmocka_unit_test(test_npcache),
		cmocka_unit_test(test_without_invalidate_all),
		cmocka_unit_test(test_without_guest_tables),
		cmocka_unit_test(test_foreign_commands),
		cmocka_unit_test(test_log_overflow),
		cmocka_unit_test(test_overflow_hides_nothing),
		cmocka_unit_test(test_lost_units),
		cmocka_unit_test(test_dead_from_the_start),
	};

	return cmocka_run_group_tests_name("AMD-Vi driver", tests, NULL, NULL);
}
