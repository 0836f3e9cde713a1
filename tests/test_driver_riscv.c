/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_driver_riscv.c - what only the RISC-V driver has: its registers, its directory, its two kinds of ids, its command queue, its
 * ways to lose the hardware.
 */
#include "fixture.h"

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>

#include "layout/riscv.h"

#define RID 0x0005u
#define RID2 0x0009u
#define REGISTERS 0x03010000ull

static struct machine_config config_with(uint64_t clear, uint64_t set)
{
	return (struct machine_config){
		.arch = machine_arch_by_name("riscv"),
		.seed = 1,
		.capabilities = { (riscv_model_default_capabilities() & ~clear) | set },
	};
}

/* A unit that the test describes itself. */
static int open_unit(struct fixture *fx, struct machine_config config, struct riscv_unit_desc desc)
{
	memset(fx, 0, sizeof(*fx));
	assert_int_equal(machine_create(&fx->machine, &config), 0);
	fx->machine.observer = fx;
	fx->machine.port.trace = count_step;
	fx->data = machine_reserve_frames(&fx->machine, 64);
	desc.registers = REGISTERS;
	desc.timeout_ns = config.timeout_ns;
	return riscv_unit_create(&fx->machine.port, &desc, &fx->machine.unit);
}

static uint64_t read_register(struct fixture *fx, unsigned reg, unsigned size)
{
	return iommu_model_read(&fx->machine.model, reg, size);
}

#define DOMAINS 5

static void make_domains(struct fixture *fx, struct iommu_domain **domains)
{
	domains[0] = fixture_domain(fx, IOMMU_DOMAIN_IDENTITY, 0);
	domains[1] = fixture_paging(fx, 2, 0);
	domains[2] = fixture_paging(fx, 2, 16);
	domains[3] = fixture_paging(fx, 1, 32);
	domains[4] = fixture_paging(fx, 1, 48);
}

static void free_domains(struct iommu_domain **domains)
{
	for (unsigned i = 0; i < DOMAINS; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
}

static uint64_t lands(struct iommu_domain *domain, uint64_t iova)
{
	uint64_t phys;

	return iommu_iova_to_phys(domain, iova, &phys) ? FAULTS : phys;
}

/* ---- Bringing up ---- */

static void test_refused_units(void **state)
{
	const uint64_t schemes = BITS(RISCV_CAP, SV39) | BITS(RISCV_CAP, SV48) | BITS(RISCV_CAP, SV57) | BITS(RISCV_CAP, SV39X4) |
				 BITS(RISCV_CAP, SV48X4) | BITS(RISCV_CAP, SV57X4);
	struct riscv_unit_desc desc = { .registers = 0x1234000 };
	struct machine_config config = config_with(0, 0);
	struct machine machine;
	struct iommu_unit *unit;

	(void)state;
	assert_int_equal(machine_create(&machine, &config), 0);
	assert_int_equal(riscv_unit_create(&machine.port, &desc, &unit), -ENODEV);
	desc.registers = REGISTERS;
	assert_int_equal(riscv_unit_create(NULL, &desc, &unit), -EINVAL);
	assert_int_equal(riscv_unit_create(&machine.port, NULL, &unit), -EINVAL);
	assert_int_equal(riscv_unit_create(&machine.port, &desc, NULL), -EINVAL);
	desc.queue_order = 8;
	assert_int_equal(riscv_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.queue_order = 0;
	desc.levels = 4;
	assert_int_equal(riscv_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.levels = 0;
	desc.ids = 65537;
	assert_int_equal(riscv_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.ids = 0;
	/* The queue is in use. */
	assert_int_equal(machine_start_unit(&machine), 0);
	assert_int_equal(riscv_unit_create(&machine.port, &desc, &unit), -EBUSY);
	machine_destroy(&machine);

	/* Nothing that could be walked. */
	config = config_with(schemes, 0);
	if (machine_create(&machine, &config) == 0) {
		assert_int_equal(machine_start_unit(&machine), -EOPNOTSUPP);
		machine_destroy(&machine);
	}
	config = config_with(BITS(RISCV_CAP, VERSION), 0x20);
	if (machine_create(&machine, &config) == 0) {
		assert_int_equal(machine_start_unit(&machine), -EOPNOTSUPP);
		machine_destroy(&machine);
	}
}

/* What the registers say while a unit is up, and after it has gone down again. */
static void test_registers(void **state)
{
	struct fixture fx;
	uint64_t ddtp, csr;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ 0 }), 0);
	ddtp = read_register(&fx, RISCV_REG_DDTP, 8);
	assert_int_equal(GET(RISCV_DDTP, MODE, &ddtp), RISCV_DDTP_2LVL);
	csr = read_register(&fx, RISCV_REG_CQCSR, 4);
	assert_int_equal(GET(RISCV_CQCSR, CQON, &csr), 1);
	csr = read_register(&fx, RISCV_REG_FQCSR, 4);
	assert_int_equal(GET(RISCV_FQCSR, FQON, &csr), 1);
	assert_int_equal(GET(RISCV_FQCSR, FIE, &csr), 1);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), 0);
	fx.machine.unit = NULL;
	ddtp = read_register(&fx, RISCV_REG_DDTP, 8);
	assert_int_equal(GET(RISCV_DDTP, MODE, &ddtp), RISCV_DDTP_OFF);
	csr = read_register(&fx, RISCV_REG_CQCSR, 4);
	assert_int_equal(GET(RISCV_CQCSR, CQON, &csr), 0);
	assert_int_equal(fx.machine.frames_in_use, 0);
	assert_int_equal(fx.machine.heap_in_use, 0);
	/* And once more, over what the first one has left in the caches. */
	assert_int_equal(machine_start_unit(&fx.machine), 0);
	fixture_close(&fx);
}

/* Another driver's tables are not ours: the unit is turned off first, and what it has cached forgotten. */
static void test_left_on_by_firmware(void **state)
{
	const struct machine_config config = config_with(0, 0);
	struct fixture fx = { 0 };
	struct iommu_group *group;
	struct iommu_domain *a;

	(void)state;
	assert_int_equal(machine_create(&fx.machine, &config), 0);
	fx.machine.observer = &fx;
	fx.data = machine_reserve_frames(&fx.machine, 64);
	iommu_model_write(&fx.machine.model, RISCV_REG_DDTP, 8, RISCV_DDTP_BARE);
	while (iommu_model_tick(&fx.machine.model))
		;
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), fx.data);
	assert_int_equal(machine_start_unit(&fx.machine), 0);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), FAULTS);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

/* ---- The directory: levels, formats ---- */

static void all_pairs(struct machine_config config, struct riscv_unit_desc desc)
{
	unsigned levels = desc.levels;
	struct fixture fx;
	struct iommu_group *group, *sibling;
	struct iommu_domain *domains[DOMAINS], *other;
	struct iommu_device_desc wide = { .nrids = 1, .rids = { 1u << 24 } };
	struct iommu_device *device;

	assert_int_equal(open_unit(&fx, config, desc), 0);
	group = fixture_group(&fx);
	sibling = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, sibling, RID2);
	wide.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &wide, &device), -EINVAL);
	make_domains(&fx, domains);
	other = fixture_paging(&fx, 2, 8);
	assert_int_equal(iommu_attach_group(sibling, other), 0);
	for (unsigned from = 0; from < DOMAINS; from++)
		for (unsigned to = 0; to < DOMAINS; to++) {
			struct iommu_replace_report report;
			/* Without a page to swap: two stages can't change at once; roots and ids can, one after the other. */
			bool possible = levels != 1 || from == 0 || to == 0 || (from < 3) == (to < 3);

			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands(domains[from], WINDOW));
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_int_equal(report.hitless, possible);
			if (!possible)
				assert_int_equal(report.strategy, IOMMU_STRATEGY_BREAK);
			if (from != to && (from < 3 && to < 3))
				assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
			if (from >= 3 && to >= 3 && from != to)
				assert_int_equal(report.strategy, levels == 1 ? IOMMU_STRATEGY_TAG_HOP : IOMMU_STRATEGY_TABLE_SWAP);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands(domains[to], WINDOW));
			assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data + 8 * 4096);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_group(sibling), 0);
	free_domains(domains);
	assert_int_equal(iommu_domain_free(other), 0);
	fixture_close(&fx);
}

static void test_levels_and_formats(void **state)
{
	(void)state;
	for (unsigned levels = 0; levels <= 3; levels++)
		for (unsigned extended = 0; extended < 2; extended++)
			for (unsigned ats = 0; ats < 2; ats++) {
				struct machine_config config = config_with(0, extended ? BITS(RISCV_CAP, MSI_FLAT) : 0);

				config.ats = ats;
				all_pairs(config, (struct riscv_unit_desc){ .levels = levels });
			}
}

static void test_noncoherent_and_small_queues(void **state)
{
	struct machine_config config = config_with(0, 0);

	(void)state;
	all_pairs(config, (struct riscv_unit_desc){ .queue_order = 2 });
	config.noncoherent = true;
	all_pairs(config, (struct riscv_unit_desc){ .noncoherent = true });
	config.freedoms = (1u << IOMMU_FREEDOMS) - 1;
	all_pairs(config, (struct riscv_unit_desc){ .noncoherent = true });
}

/* A device id at either end of every level. */
static void test_far_devices(void **state)
{
	static const uint32_t rids[] = { 0, 0x7f, 0x80, 0xffff, 0x10000, 0xffffff };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ .levels = 3 }), 0);
	group = fixture_group(&fx);
	a = fixture_paging(&fx, 2, 0);
	for (unsigned i = 0; i < 6; i++)
		fixture_device(&fx, group, rids[i]);
	assert_int_equal(iommu_attach_group(group, a), 0);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, 0x81, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

/* ---- In between two steps ---- */

/* A DMA before every step of a replace: the old domain or the new one, or with "break" the blocking entry, and nothing else. */
struct watch {
	struct fixture *fx;
	uint64_t old, new;
	bool active, may_block, inside;
	unsigned looked, blocked;
};

static struct watch watch;

static void look(void *ctx, const struct iommu_step *step)
{
	struct machine_dma dma = { .rid = RID, .pasid = IOMMU_NO_PASID, .iova = WINDOW, .access = IOMMU_READ };

	(void)ctx;
	(void)step;
	if (!watch.active)
		return;
	machine_dma(&watch.fx->machine, &dma);
	watch.looked++;
	if (!dma.done) {
		/* 258, not valid: never 259, misconfigured. */
		assert_int_equal(dma.reason, RISCV_CAUSE_DDT_ABSENT);
		assert_true(watch.may_block);
		watch.blocked++;
		return;
	}
	assert_true(dma.phys == watch.old || dma.phys == watch.new);
}

static void watch_pairs(unsigned freedoms, uint64_t set)
{
	struct machine_config config = config_with(0, set);
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[DOMAINS];
	unsigned strategies = 0;

	config.freedoms = freedoms;
	assert_int_equal(open_unit(&fx, config, (struct riscv_unit_desc){ 0 }), 0);
	fx.machine.port.trace = look;
	watch = (struct watch){ .fx = &fx };
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_domains(&fx, domains);
	for (unsigned from = 0; from < DOMAINS; from++)
		for (unsigned to = 0; to < DOMAINS; to++)
			for (enum iommu_strategy s = IOMMU_STRATEGY_ONE_STORE; s <= IOMMU_STRATEGY_BREAK; s++) {
				const struct iommu_replace_options options = { .strategies = IOMMU_STRATEGY_BIT(s) };
				int err;

				if (from == to)
					continue;
				assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
				watch.old = lands(domains[from], WINDOW);
				watch.new = lands(domains[to], WINDOW);
				watch.may_block = s == IOMMU_STRATEGY_BREAK;
				watch.active = true;
				err = iommu_group_replace_domain(group, domains[to], &options, NULL);
				watch.active = false;
				assert_true(err == 0 || err == -EOPNOTSUPP);
				if (!err) {
					strategies |= IOMMU_STRATEGY_BIT(s);
					assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), watch.new);
				}
			}
	/* All but "same tag": every domain has an id of its own; and "stand-in hop". */
	assert_int_equal(strategies, IOMMU_STRATEGY_ANY & ~(IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_NONE) |
							    IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_SAME_TAG) |
							    IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_STANDIN)));
	assert_true(watch.looked > 300);
	assert_true(watch.blocked > 0);
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(domains);
	fixture_close(&fx);
}

static void test_between_two_steps(void **state)
{
	(void)state;
	watch_pairs(0, 0);
	watch_pairs(IOMMU_FREE_BIT(IOMMU_FREE_KEEP), 0);
	watch_pairs((1u << IOMMU_FREEDOMS) - 1, 0);
	watch_pairs(0, BITS(RISCV_CAP, MSI_FLAT));
}

/* ---- Invalidations: "Changing device directory table entry" (6.3.1) ---- */

static uint64_t said[16][2];
static unsigned nsaid;

static void note_command(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	if (step->op == IOMMU_STEP_INVALIDATE && nsaid < 16)
		memcpy(said[nsaid++], step->words, 16);
}

static unsigned count_commands(unsigned opcode, unsigned func3, unsigned gv, unsigned pscv)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nsaid; i++) {
		if (GET(RISCV_CMD, OPCODE, said[i]) != opcode || GET(RISCV_CMD, FUNC3, said[i]) != func3)
			continue;
		if (opcode == RISCV_OP_IOTINVAL &&
		    (GET(RISCV_IOTINVAL, GV, said[i]) != gv || GET(RISCV_IOTINVAL, PSCV, said[i]) != pscv ||
		     GET(RISCV_IOTINVAL, AV, said[i])))
			continue;
		n++;
	}
	return n;
}

static void test_invalidations_follow_the_old_values(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[DOMAINS];

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ 0 }), 0);
	fx.machine.port.trace = note_command;
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_domains(&fx, domains);
	for (unsigned from = 0; from < DOMAINS; from++)
		for (unsigned to = 0; to < DOMAINS; to++) {
			unsigned first = from >= 3, second = from == 1 || from == 2;
			struct iommu_replace_report report;

			if (from == to)
				continue;
			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			nsaid = 0;
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_true(count_commands(RISCV_OP_IODIR, RISCV_FUNC_IODIR_INVAL_DDT, 0, 0) >= 1);
			assert_int_equal(GET(RISCV_IODIR, DV, said[0]), report.strategy != IOMMU_STRATEGY_TABLE_SWAP);
			assert_int_equal(count_commands(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_VMA, 1, 0), second);
			assert_int_equal(count_commands(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_GVMA, 1, 0), second);
			assert_int_equal(count_commands(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_VMA, 0, 1), first);
			/* Nobody else's translations. */
			assert_int_equal(count_commands(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_VMA, 0, 0), 0);
			assert_int_equal(count_commands(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_GVMA, 0, 0), 0);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(domains);
	fixture_close(&fx);
}

/* ---- PSCIDs and GSCIDs ---- */

/* One id of each kind: the last device takes its old one along, which the specification lets it do without a gap. */
static void test_one_id_of_each_kind(void **state)
{
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_domain *domains[DOMAINS];
	struct iommu_unit_info info;
	struct iommu_replace_report report;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ .ids = 1 }), 0);
	group = fixture_group(&fx);
	other = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, other, RID2);
	make_domains(&fx, domains);
	assert_int_equal(iommu_attach_group(group, domains[1]), 0);
	/* The kinds are apart: a first stage needs no GSCID, and identity none at all. */
	assert_int_equal(iommu_attach_group(other, domains[3]), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 2);
	assert_int_equal(iommu_group_replace_domain(other, domains[2], NULL, NULL), -ENOSPC);
	assert_int_equal(iommu_group_replace_domain(group, domains[4], NULL, NULL), -ENOSPC);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, &report), 0);
	assert_true(report.hitless);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_SAME_TAG);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_group_replace_domain(other, domains[4], NULL, &report), 0);
	assert_true(report.hitless);
	assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data + 48 * 4096);
	assert_int_equal(iommu_unmap(domains[4], WINDOW, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_group_replace_domain(other, domains[0], NULL, NULL), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 1);
	assert_int_equal(iommu_group_replace_domain(group, domains[3], NULL, &report), 0);
	assert_true(report.hitless);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_group(other), 0);
	free_domains(domains);
	fixture_close(&fx);
}

/* ---- Page tables ---- */

static void note_page(void *ctx, uint64_t iova, uint64_t size)
{
	assert_int_equal(size, 4096);
	*(uint64_t *)ctx += iova;
}

static void test_dirty_in_both_stages(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *plain, *dirty;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ 0 }), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	plain = fixture_paging(&fx, 2, 16);
	for (unsigned stage = 1; stage <= 2; stage++) {
		const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = stage, .dirty = true };
		struct iommu_replace_report report;
		uint64_t sum = 0;

		assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &dirty), 0);
		assert_int_equal(iommu_map(dirty, WINDOW, fx.data, 16 * 4096, IOMMU_READ | IOMMU_WRITE), 0);
		assert_int_equal(iommu_group_replace_domain(group, dirty, NULL, &report), 0);
		for (unsigned round = 0; round < 3; round++) {
			sum = 0;
			fixture_dma(&fx, RID, WINDOW + 2 * 4096, IOMMU_READ);
			fixture_dma(&fx, RID, WINDOW + 5 * 4096, IOMMU_WRITE);
			assert_int_equal(iommu_read_and_clear_dirty(dirty, 0, GIB, note_page, &sum), 0);
			assert_int_equal(sum, WINDOW + 5 * 4096);
		}
		/* From flags to none and back is one store like any other. */
		assert_int_equal(iommu_group_replace_domain(group, plain, NULL, &report), 0);
		if (stage == 2)
			assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
		assert_int_equal(iommu_domain_free(dirty), 0);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(plain), 0);
	fixture_close(&fx);

	assert_int_equal(open_unit(&fx, config_with(BITS(RISCV_CAP, AMO_HWAD), 0), (struct riscv_unit_desc){ 0 }), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit,
					    &(struct iommu_domain_desc){ .type = IOMMU_DOMAIN_PAGING, .stage = 2, .dirty = true },
					    &dirty), -EOPNOTSUPP);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	plain = fixture_paging(&fx, 1, 16);
	assert_int_equal(iommu_attach_group(group, plain), 0);
	/* Nobody sets flags: they are there. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(plain), 0);
	fixture_close(&fx);
}

/* Every scheme that there is, chosen and by name, and what a unit lacks. */
static void test_schemes(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domain;
	uint64_t first, last;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ 0 }), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	for (unsigned stage = 1; stage <= 2; stage++)
		for (unsigned levels = 3; levels <= 5; levels++) {
			const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = stage, .levels = levels };

			assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &domain), 0);
			assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
			assert_int_equal(last, (1ull << (12 + 9 * levels + (stage == 1 ? -1 : 2))) - 1);
			assert_int_equal(iommu_map(domain, last - 4095, fx.data, 4096, IOMMU_READ), 0);
			assert_int_equal(iommu_map(domain, 2 * MIB, 0, 2 * MIB, IOMMU_READ), 0);
			assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, last - 4095, IOMMU_READ), fx.data);
			assert_int_equal(fixture_dma(&fx, RID, 3 * MIB, IOMMU_READ), MIB);
			assert_int_equal(fixture_dma(&fx, RID, 3 * MIB, IOMMU_WRITE), FAULTS);
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(iommu_domain_free(domain), 0);
		}
	fixture_close(&fx);

	assert_int_equal(open_unit(&fx, config_with(BITS(RISCV_CAP, SV48) | BITS(RISCV_CAP, SV57) | BITS(RISCV_CAP, SV39X4) |
						    BITS(RISCV_CAP, SV48X4) | BITS(RISCV_CAP, SV57X4), 0),
				   (struct riscv_unit_desc){ 0 }), 0);
	/* Only Sv39 is left: that is what is chosen. */
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &(struct iommu_domain_desc){ .type = IOMMU_DOMAIN_PAGING }, &domain), 0);
	assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
	assert_int_equal(last, (1ull << 38) - 1);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit,
					    &(struct iommu_domain_desc){ .type = IOMMU_DOMAIN_PAGING, .stage = 2 }, &domain), -EINVAL);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit,
					    &(struct iommu_domain_desc){ .type = IOMMU_DOMAIN_PAGING, .levels = 4 }, &domain), -EINVAL);
	fixture_close(&fx);
}

/* ---- Units that cache what is not valid ---- */

/* What the unit says of an IOVA by its debug registers (4): the response, with its memory type. */
static uint64_t debug(struct fixture *fx, uint64_t iova)
{
	uint64_t ctl = 0;

	SET(RISCV_TR_REQ_CTL, GO, &ctl, 1);
	SET(RISCV_TR_REQ_CTL, DID, &ctl, RID);
	iommu_model_write(&fx->machine.model, RISCV_REG_TR_REQ_IOVA, 8, iova);
	iommu_model_write(&fx->machine.model, RISCV_REG_TR_REQ_CTL, 8, ctl);
	while (iommu_model_tick(&fx->machine.model))
		;
	return read_register(fx, RISCV_REG_TR_RESPONSE, 8);
}

/* Registers are mapped as such where the unit has Svpbmt; where it hasn't, the bits would be reserved. */
static void test_memory_types(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const bool svpbmt = i & 1;
		const struct iommu_resv_region doorbell = { .iova = 64 * MIB, .size = 4096, .phys = 32 * MIB, .prot = IOMMU_WRITE,
							    .type = IOMMU_RESV_MSI };
		struct machine_config config = config_with(svpbmt ? 0 : BITS(RISCV_CAP, SVPBMT), 0);
		struct iommu_device_desc desc = { .rids = { RID }, .nrids = 1, .resv = &doorbell, .nresv = 1 };
		struct iommu_domain *domain;
		struct iommu_group *group;
		struct fixture fx;
		uint64_t response;

		fixture_open_config(&fx, config);
		group = fixture_group(&fx);
		desc.unit = fx.machine.unit;
		assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[fx.ndevices++]), 0);
		domain = fixture_paging(&fx, 1 + i / 2, 0);
		assert_int_equal(iommu_map(domain, 8 * MIB, 16 * MIB, 65536, IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO), 0);
		assert_int_equal(iommu_map(domain, 9 * MIB, 0, 4096, IOMMU_MMIO), -EINVAL);
		assert_int_equal(iommu_attach_group(group, domain), 0);
		for (unsigned n = 0; n < 3; n++) {
			static const uint64_t iovas[] = { WINDOW, 8 * MIB + 8192, 64 * MIB };

			response = debug(&fx, iovas[n]);
			assert_false(GET(RISCV_TR_RESPONSE, FAULT, &response));
			assert_int_equal(GET(RISCV_TR_RESPONSE, PBMT, &response), svpbmt && n ? RISCV_PBMT_IO : RISCV_PBMT_PMA);
		}
		assert_int_equal(fixture_dma(&fx, RID, 8 * MIB + 4096, IOMMU_WRITE), 16 * MIB + 4096);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(domain), 0);
		fixture_close(&fx);
	}
}

static void test_caches_absent(void **state)
{
	struct machine_config config = config_with(0, 0);
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b, *identity;

	(void)state;
	config.capabilities[1] = RISCV_MODEL_CACHE_INVALID;
	config.freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP);
	assert_int_equal(open_unit(&fx, config, (struct riscv_unit_desc){ .caches_absent = true }), 0);
	group = fixture_group(&fx);
	/* The hardware meets the device before the driver does. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	fixture_device(&fx, group, RID);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 1, 16);
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

/* ---- The queue ---- */

static void test_foreign_commands(void **state)
{
	static const struct {
		uint64_t words[2];
		int result;
	} cases[] = {
		{ { RISCV_OP_IODIR }, 0 },
		{ { RISCV_OP_IODIR | 1ull << 33 | 5ull << 40 }, 0 },
		{ { RISCV_OP_IODIR | 1ull << 33 | 0x10000ull << 40 }, -EINVAL },	/* wider than two levels */
		{ { RISCV_OP_IODIR | 1ull << 12 }, -EINVAL },				/* a process id in INVAL_DDT */
		{ { RISCV_OP_IODIR | 1 << 7 }, -EINVAL },				/* INVAL_PDT without a device */
		{ { RISCV_OP_IODIR | 1 << 7 | 1ull << 33 | 3 << 12 }, 0 },
		{ { RISCV_OP_IODIR | 2 << 7 }, -EINVAL },
		{ { RISCV_OP_IOTINVAL }, 0 },
		{ { RISCV_OP_IOTINVAL | 1 << 7 }, 0 },
		{ { RISCV_OP_IOTINVAL | 1 << 7 | 1ull << 32 }, -EINVAL },		/* GVMA with a PSCID */
		{ { RISCV_OP_IOTINVAL | 1 << 10 | 1ull << 34 }, -EINVAL },		/* NL, which this unit lacks */
		{ { RISCV_OP_IOTINVAL | 1 << 10, 1 << 9 }, -EINVAL },			/* S, too */
		{ { RISCV_OP_IOTINVAL | 1 << 10, 0x123ull << 10 }, 0 },
		{ { RISCV_OP_IOTINVAL | 2 << 7 }, -EINVAL },
		{ { RISCV_OP_IOFENCE }, 0 },
		{ { RISCV_OP_IOFENCE | 3 << 12 }, 0 },
		{ { RISCV_OP_IOFENCE | 1 << 7 }, -EINVAL },
		{ { RISCV_OP_IOFENCE | 1 << 11 }, -EINVAL },				/* a wire, which is off */
		{ { RISCV_OP_IOFENCE | 1 << 14 }, -EINVAL },
		{ { RISCV_OP_ATS | 5ull << 40 }, 0 },
		{ { RISCV_OP_ATS | 2 << 7 }, -EINVAL },
		{ { 0 }, -EINVAL },
		{ { 5 }, -EINVAL },
		{ { 64 }, -EINVAL },
	};
	uint64_t many[400][2];
	struct fixture fx;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(0, 0), (struct riscv_unit_desc){ 0 }), 0);
	for (unsigned i = 0; i < 400; i++)
		memcpy(many[i], cases[0].words, 16);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 0), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, NULL, 1), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 255), -EINVAL);
	/* What would stop the queue is refused, and the queue goes on. */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, cases[i].words, 1), cases[i].result);
	/* As many as it holds, over and over: the queue wraps and fills. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 254 - i), 0);
	fixture_close(&fx);
}

/* ---- Hardware that stops answering ---- */

/* Makes the hardware stop at a command that it doesn't know. */
static void corrupt_commands(void *ctx, struct iommu_plan *plan)
{
	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op == IOMMU_STEP_INVALIDATE)
			plan->steps[i].words[0] |= 0x3f;
}

#define BY_CORRUPT_COMMAND 0

/* A replace is under way when it happens: -EIO in bounded time, both domains quarantined, nothing freed. */
static void lose(uint64_t how, bool noncoherent)
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
	config.ats = how == RISCV_BROKEN_TIMEOUT;
	config.noncoherent = noncoherent;
	assert_int_equal(open_unit(&fx, config, (struct riscv_unit_desc){ .noncoherent = noncoherent }), 0);
	group = fixture_group(&fx);
	other = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, other, RID2);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 1, 16);
	c = fixture_paging(&fx, 2, 32);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	iommu_unit_get_info(fx.machine.unit, &before);
	frames = fx.machine.frames_in_use;

	riscv_model_break(&fx.machine.model, how);
	if (how == BY_CORRUPT_COMMAND)
		fx.machine.port.review = corrupt_commands;
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), -EIO);
	assert_false(report.hitless);
	assert_non_null(report.why);
	iommu_unit_get_info(fx.machine.unit, &after);
	assert_true(after.lost);
	/* Nothing is given back: the old tag and table, and the new ones. */
	assert_true(after.tags_used >= before.tags_used + 1);
	assert_true(fx.machine.frames_in_use >= frames);
	assert_int_equal(iommu_unmap(a, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_unmap(b, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_map(a, 8 * MIB, 0, 4096, IOMMU_READ), -EIO);
	assert_int_equal(iommu_iova_to_phys(a, WINDOW, &phys), 0);
	assert_int_equal(iommu_domain_free(a), -EIO);
	assert_int_equal(iommu_domain_free(b), -EIO);
	assert_int_equal(iommu_detach_group(group), -EIO);
	assert_int_equal(iommu_attach_group(other, c), -EIO);
	assert_null(iommu_group_domain(other));
	assert_int_equal(iommu_unit_submit(fx.machine.unit, (uint64_t[2]){ RISCV_OP_IODIR }, 1), -EIO);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), -EIO);
	fx.machine.unit = NULL;
	assert_int_equal(iommu_domain_free(c), 0);
	machine_destroy(&fx.machine);
}

static void test_lost(void **state)
{
	(void)state;
	for (unsigned noncoherent = 0; noncoherent < 2; noncoherent++) {
		lose(RISCV_BROKEN_FENCE, noncoherent);
		lose(RISCV_BROKEN_FETCH, noncoherent);
		lose(RISCV_BROKEN_ILLEGAL, noncoherent);
		lose(RISCV_BROKEN_MEMORY, noncoherent);
		lose(RISCV_BROKEN_TIMEOUT, noncoherent);
		lose(BY_CORRUPT_COMMAND, noncoherent);
	}
}

static void test_dead_from_the_start(void **state)
{
	const uint64_t ways[] = { RISCV_BROKEN_BUSY, RISCV_BROKEN_FETCH, RISCV_BROKEN_FENCE, RISCV_BROKEN_ILLEGAL };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct machine_config config = config_with(0, 0);
		struct machine machine;

		config.timeout_ns = 20000000;
		assert_int_equal(machine_create(&machine, &config), 0);
		riscv_model_break(&machine.model, ways[i]);
		assert_int_equal(machine_start_unit(&machine), -EIO);
		assert_null(machine.unit);
		machine_destroy(&machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_units),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_left_on_by_firmware),
		cmocka_unit_test(test_levels_and_formats),
		cmocka_unit_test(test_noncoherent_and_small_queues),
		cmocka_unit_test(test_far_devices),
		cmocka_unit_test(test_between_two_steps),
		cmocka_unit_test(test_invalidations_follow_the_old_values),
		cmocka_unit_test(test_one_id_of_each_kind),
		cmocka_unit_test(test_dirty_in_both_stages),
		cmocka_unit_test(test_schemes),
		cmocka_unit_test(test_memory_types),
		cmocka_unit_test(test_caches_absent),
		cmocka_unit_test(test_foreign_commands),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_dead_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
