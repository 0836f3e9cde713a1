/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_driver_smmuv3.c - what only the SMMUv3 driver has: its registers, its stream table and tables of contexts, ASIDs and VMIDs,
 * its command queue and events, its ways to lose the hardware.
 */
#include "fixture.h"

#include <hitless/model-smmuv3.h>
#include <hitless/smmuv3.h>

#include "layout/smmuv3.h"

#define RID 0x0005u
#define RID2 0x0009u
#define REGISTERS 0x09050000ull

/* IDR0 and IDR1 in one word, IDR3 and IDR5 in the other. */
static struct machine_config config_with(uint64_t clear01, uint64_t set01, uint64_t clear35, uint64_t set35)
{
	struct machine_config config = { .arch = machine_arch_by_name("smmuv3"), .seed = 1 };

	smmuv3_model_default_capabilities(config.capabilities);
	config.capabilities[0] = (config.capabilities[0] & ~clear01) | set01;
	config.capabilities[1] = (config.capabilities[1] & ~clear35) | set35;
	return config;
}

#define PLAIN config_with(0, 0, 0, 0)
#define IDR1_BITS(field) (BITS(SMMU_IDR1, field) << 32)
#define IDR5_BITS(field) (BITS(SMMU_IDR5, field) << 32)

/* A unit that the test describes itself. What is cached stays cached until the driver says otherwise. */
static int open_unit(struct fixture *fx, struct machine_config config, struct smmuv3_unit_desc desc)
{
	memset(fx, 0, sizeof(*fx));
	config.freedoms |= IOMMU_FREE_BIT(IOMMU_FREE_KEEP);
	assert_int_equal(machine_create(&fx->machine, &config), 0);
	fx->machine.observer = fx;
	fx->machine.port.trace = count_step;
	fx->data = machine_reserve_frames(&fx->machine, 64);
	desc.registers = REGISTERS;
	desc.timeout_ns = config.timeout_ns;
	return smmuv3_unit_create(&fx->machine.port, &desc, &fx->machine.unit);
}

static uint64_t read_register(struct fixture *fx, unsigned reg)
{
	return iommu_model_read(&fx->machine.model, reg, 4);
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
	struct smmuv3_unit_desc desc = { .registers = 0x1234000 };
	struct machine_config config = PLAIN;
	struct machine machine;
	struct iommu_unit *unit;

	(void)state;
	assert_int_equal(machine_create(&machine, &config), 0);
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -ENODEV);
	desc.registers = REGISTERS;
	assert_int_equal(smmuv3_unit_create(NULL, &desc, &unit), -EINVAL);
	assert_int_equal(smmuv3_unit_create(&machine.port, NULL, &unit), -EINVAL);
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, NULL), -EINVAL);
	desc.queue_order = 8;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.queue_order = 0;
	desc.page_shift = 13;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.page_shift = 0;
	desc.sid_bits = 33;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.sid_bits = 0;
	desc.ids = 65537;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.ids = 0;
	desc.stream_table = (enum smmuv3_stream_table)3;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	desc.stream_table = SMMUV3_STREAM_TABLE_BEST;
	/* The queue is in use. */
	assert_int_equal(machine_start_unit(&machine), 0);
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EBUSY);
	machine_destroy(&machine);
	assert_int_equal(machine_create(&machine, &config), 0);
	for (unsigned fail = 1; fail < 20; fail++) {
		int err;

		machine.fail_after = fail;
		err = smmuv3_unit_create(&machine.port, &desc, &unit);
		if (!err) {
			machine.fail_after = 0;
			assert_true(fail > 6);
			assert_int_equal(iommu_unit_destroy(unit), 0);
			break;
		}
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(machine.heap_in_use, 0);
		assert_int_equal(machine.frames_in_use, 0);
	}
	machine_destroy(&machine);
	/* A unit that lacks what is asked for. */
	config = config_with(BITS(SMMU_IDR0, ST_LEVEL) | IDR1_BITS(SIDSIZE), 6ull << 32, 0, 0);
	assert_int_equal(machine_create(&machine, &config), 0);
	desc.stream_table = SMMUV3_STREAM_TABLE_2LEVEL;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	machine_destroy(&machine);
	config = config_with(0, 0, IDR5_BITS(GRAN16K), 0);
	assert_int_equal(machine_create(&machine, &config), 0);
	desc = (struct smmuv3_unit_desc){ .registers = REGISTERS, .page_shift = 14 };
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	machine_destroy(&machine);
	/* It does not snoop, and the CPU can't write back. */
	config = PLAIN;
	config.noncoherent = true;
	assert_int_equal(machine_create(&machine, &config), 0);
	machine.port.writeback = NULL;
	desc.page_shift = 0;
	assert_int_equal(smmuv3_unit_create(&machine.port, &desc, &unit), -EINVAL);
	machine_destroy(&machine);
}

/* What the registers say while a unit is up, and after it has gone down again: then everything is aborted. */
static void test_registers(void **state)
{
	struct fixture fx;
	uint64_t word;

	(void)state;
	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ 0 }), 0);
	word = read_register(&fx, SMMU_REG_CR0ACK);
	assert_int_equal(word, BITS(SMMU_CR0, SMMUEN) | BITS(SMMU_CR0, EVENTQEN) | BITS(SMMU_CR0, CMDQEN) | BITS(SMMU_CR0, ATSCHK));
	word = read_register(&fx, SMMU_REG_STRTAB_BASE_CFG);
	assert_int_equal(GET(SMMU_STRTAB_BASE_CFG, FMT, &word), SMMU_STRTAB_2LVL);
	assert_int_equal(GET(SMMU_STRTAB_BASE_CFG, SPLIT, &word), SMMU_SPLIT_4K);
	assert_int_equal(GET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &word), 16);
	word = read_register(&fx, SMMU_REG_CR1);
	assert_int_equal(GET(SMMU_CR1, TABLE_SH, &word), SMMU_SH_INNER);
	assert_int_equal(GET(SMMU_CR1, TABLE_IC, &word), SMMU_CACHE_WB);
	word = read_register(&fx, SMMU_REG_CR2);
	assert_int_equal(GET(SMMU_CR2, RECINVSID, &word), 1);
	word = read_register(&fx, SMMU_REG_GBPA);
	assert_int_equal(GET(SMMU_GBPA, ABORT, &word), 1);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), 0);
	fx.machine.unit = NULL;
	assert_int_equal(read_register(&fx, SMMU_REG_CR0ACK) & BITS(SMMU_CR0, SMMUEN), 0);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), FAULTS);
	assert_int_equal(fx.machine.frames_in_use, 0);
	assert_int_equal(fx.machine.heap_in_use, 0);
	/* And once more, over what the first one has left in the caches. */
	assert_int_equal(machine_start_unit(&fx.machine), 0);
	fixture_close(&fx);
}

/* ---- Stream tables, quanta, granules ---- */

enum { ONE = IOMMU_STRATEGY_ONE_STORE, PRE = IOMMU_STRATEGY_PRELOAD, SWAP = IOMMU_STRATEGY_TABLE_SWAP, BRK = IOMMU_STRATEGY_BREAK };

/* Every transition by the cheapest strategy, beside a neighbour in the same table of stream table entries. */
static void all_pairs(struct machine_config config, struct smmuv3_unit_desc desc, const unsigned expected[DOMAINS][DOMAINS])
{
	struct fixture fx;
	struct iommu_group *group, *sibling;
	struct iommu_domain *domains[DOMAINS], *other;

	assert_int_equal(open_unit(&fx, config, desc), 0);
	group = fixture_group(&fx);
	sibling = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, sibling, RID2);
	make_domains(&fx, domains);
	other = fixture_paging(&fx, 2, 8);
	assert_int_equal(iommu_attach_group(sibling, other), 0);
	for (unsigned from = 0; from < DOMAINS; from++)
		for (unsigned to = 0; to < DOMAINS; to++) {
			struct iommu_replace_report report;

			if (from == to)
				continue;
			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands(domains[from], WINDOW));
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			if (expected && report.strategy != expected[from][to])
				print_error("%u -> %u: %s\n", from, to, iommu_strategy_name(report.strategy));
			if (expected)
				assert_int_equal(report.strategy, expected[from][to]);
			assert_int_equal(report.hitless, report.strategy != IOMMU_STRATEGY_BREAK);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands(domains[to], WINDOW));
			assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data + 8 * 4096);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_group(sibling), 0);
	free_domains(domains);
	assert_int_equal(iommu_domain_free(other), 0);
	fixture_close(&fx);
}

/* identity, s2, s2, s1, s1; from above to the right */
static const unsigned at_128[DOMAINS][DOMAINS] = {
	{ 0, SWAP, SWAP, ONE, ONE },
	{ PRE, 0, ONE, SWAP, SWAP },
	{ PRE, ONE, 0, SWAP, SWAP },
	{ ONE, SWAP, SWAP, 0, ONE },
	{ ONE, SWAP, SWAP, ONE, 0 },
};
static const unsigned at_64[DOMAINS][DOMAINS] = {
	{ 0, SWAP, SWAP, ONE, ONE },
	{ PRE, 0, SWAP, SWAP, SWAP },
	{ PRE, SWAP, 0, SWAP, SWAP },
	{ ONE, SWAP, SWAP, 0, SWAP },
	{ ONE, SWAP, SWAP, SWAP, 0 },
};
/* A linear stream table: what must change in two places at once breaks. First stages do not: their tables are their own. */
static const unsigned linear_128[DOMAINS][DOMAINS] = {
	{ 0, PRE, PRE, ONE, ONE },
	{ PRE, 0, ONE, BRK, BRK },
	{ PRE, ONE, 0, BRK, BRK },
	{ ONE, BRK, BRK, 0, ONE },
	{ ONE, BRK, BRK, ONE, 0 },
};
static const unsigned linear_64[DOMAINS][DOMAINS] = {
	{ 0, PRE, PRE, ONE, ONE },
	{ PRE, 0, BRK, BRK, BRK },
	{ PRE, BRK, 0, BRK, BRK },
	{ ONE, BRK, BRK, 0, SWAP },
	{ ONE, BRK, BRK, SWAP, 0 },
};

static void test_strategies(void **state)
{
	struct machine_config config = PLAIN;

	(void)state;
	all_pairs(config, (struct smmuv3_unit_desc){ 0 }, at_128);
	all_pairs(config, (struct smmuv3_unit_desc){ .stream_table = SMMUV3_STREAM_TABLE_LINEAR }, linear_128);
	config.no_store128 = true;
	all_pairs(config, (struct smmuv3_unit_desc){ 0 }, at_64);
	all_pairs(config, (struct smmuv3_unit_desc){ .stream_table = SMMUV3_STREAM_TABLE_LINEAR }, linear_64);
}

/* Few StreamIDs are in one table; large queues; no SubstreamIDs, so that identity with ATS is not behind a table; no snooping; chance. */
static void test_other_units(void **state)
{
	struct machine_config config = config_with(IDR1_BITS(SIDSIZE), 6ull << 32, 0, 0);

	(void)state;
	all_pairs(config, (struct smmuv3_unit_desc){ 0 }, linear_128);
	all_pairs(PLAIN, (struct smmuv3_unit_desc){ .queue_order = 3, .sid_bits = 12 }, at_128);
	for (unsigned narrow = 0; narrow < 2; narrow++)
		for (unsigned ats = 0; ats < 2; ats++) {
			config = config_with(IDR1_BITS(SSIDSIZE), 0, 0, 0);
			config.no_store128 = narrow;
			config.ats = ats;
			all_pairs(config, (struct smmuv3_unit_desc){ 0 }, NULL);
			config = PLAIN;
			config.no_store128 = narrow;
			config.ats = ats;
			config.noncoherent = true;
			all_pairs(config, (struct smmuv3_unit_desc){ 0 }, NULL);
			config.freedoms = (1u << IOMMU_FREEDOMS) - 1;
			all_pairs(config, (struct smmuv3_unit_desc){ 0 }, NULL);
		}
}

/* Domains of every granule, both stages: pages of the window are multiples of 64 KiB there. */
static void test_granules(void **state)
{
	(void)state;
	for (unsigned shift = 12; shift <= 16; shift += 2) {
		uint64_t page = 1ull << shift;
		struct iommu_domain *domains[2];
		struct iommu_group *group;
		struct fixture fx;

		assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ .page_shift = shift }), 0);
		group = fixture_group(&fx);
		fixture_device(&fx, group, RID);
		for (unsigned stage = 1; stage <= 2; stage++) {
			struct iommu_domain *domain = domains[stage - 1] = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stage);
			uint64_t first, last;

			assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
			assert_int_equal(last, (1ull << 48) - 1);
			if (shift > 12)
				assert_int_equal(iommu_map(domain, WINDOW, 0, 4096, IOMMU_READ), -EINVAL);
			assert_int_equal(iommu_map(domain, WINDOW, stage * 0x100000, 3 * page, IOMMU_READ | IOMMU_WRITE), 0);
			assert_int_equal(iommu_map(domain, last + 1 - page, 0x200000, page, IOMMU_READ), 0);
		}
		for (unsigned round = 0; round < 4; round++) {
			unsigned stage = round % 2 + 1;

			assert_int_equal(iommu_group_replace_domain(group, domains[stage - 1], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW + 2 * page + 8, IOMMU_WRITE), stage * 0x100000 + 2 * page + 8);
			assert_int_equal(fixture_dma(&fx, RID, (1ull << 48) - 8, IOMMU_READ), 0x200000 + page - 8);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * page, IOMMU_READ), FAULTS);
		}
		assert_int_equal(iommu_unmap(domains[1], WINDOW + page, page), page);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + page, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), 0x200000);
		assert_int_equal(iommu_detach_group(group), 0);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(iommu_domain_free(domains[i]), 0);
		fixture_close(&fx);
	}
}

/* Widths by the number of levels, tables side by side, and what a unit of 40 bits can't. */
static void test_widths(void **state)
{
	static const struct {
		unsigned oas, page_shift, stage, levels, bits; /* bits 0: -EINVAL */
	} cases[] = {
		{ 5, 12, 1, 3, 39 }, { 5, 12, 1, 4, 48 }, { 5, 12, 1, 5, 0 }, { 5, 12, 1, 2, 0 },
		{ 5, 12, 2, 3, 43 }, { 5, 12, 2, 4, 48 }, { 5, 12, 2, 0, 48 }, { 5, 12, 2, 5, 0 },
		{ 5, 14, 1, 3, 47 }, { 5, 14, 2, 3, 48 }, { 5, 14, 2, 2, 40 }, { 5, 16, 1, 2, 42 }, { 5, 16, 1, 3, 48 },
		{ 5, 16, 2, 2, 46 }, { 2, 12, 2, 0, 40 }, { 2, 12, 2, 3, 40 }, { 2, 12, 2, 4, 0 }, { 2, 12, 1, 4, 48 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = cases[i].stage, .levels = cases[i].levels };
		struct machine_config config = config_with(0, 0, IDR5_BITS(OAS), (uint64_t)cases[i].oas << 32);
		uint64_t first, last;
		struct iommu_domain *domain;
		struct iommu_group *group;
		struct fixture fx;
		int err;

		assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ .page_shift = cases[i].page_shift }), 0);
		err = iommu_domain_alloc(fx.machine.unit, &desc, &domain);
		assert_int_equal(err, cases[i].bits ? 0 : -EINVAL);
		if (!err) {
			assert_int_equal(iommu_domain_get_geometry(domain, &first, &last), 0);
			assert_int_equal(last, (1ull << cases[i].bits) - 1);
			group = fixture_group(&fx);
			fixture_device(&fx, group, RID);
			assert_int_equal(iommu_map(domain, last + 1 - 65536, 0x100000, 65536, IOMMU_READ), 0);
			assert_int_equal(iommu_attach_group(group, domain), 0);
			assert_int_equal(fixture_dma(&fx, RID, last - 7, IOMMU_READ), 0x10fff8);
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(iommu_domain_free(domain), 0);
		}
		fixture_close(&fx);
	}
}

/* Units with one stage only. */
static void test_one_stage(void **state)
{
	(void)state;
	for (unsigned stage = 1; stage <= 2; stage++) {
		struct machine_config config = config_with((stage == 1 ? BITS(SMMU_IDR0, S2P) : BITS(SMMU_IDR0, S1P)) |
								   BITS(SMMU_IDR0, HYP) | BITS(SMMU_IDR0, NS1ATS),
							   BITS(SMMU_IDR0, NS1ATS), stage == 2 ? BITS(SMMU_IDR3, HAD) : 0, 0);
		struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 3 - stage };
		struct iommu_domain *a, *b, *identity;
		struct iommu_replace_report report;
		struct iommu_group *group;
		struct machine machine;
		struct fixture fx;

		if (machine_create(&machine, &config))
			continue; /* a model that has no such unit */
		machine_destroy(&machine);
		assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
		assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &a), -EINVAL);
		a = fixture_paging(&fx, 0, 0);
		b = fixture_paging(&fx, stage, 16);
		identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
		group = fixture_group(&fx);
		fixture_device(&fx, group, RID);
		assert_int_equal(iommu_attach_group(group, a), 0);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
		assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), 0);
		assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
		assert_int_equal(iommu_unmap(b, WINDOW, 4096), 4096);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
		assert_int_equal(iommu_group_replace_domain(group, identity, NULL, &report), 0);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), WINDOW);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(a), 0);
		assert_int_equal(iommu_domain_free(b), 0);
		assert_int_equal(iommu_domain_free(identity), 0);
		fixture_close(&fx);
	}
}

/* StreamIDs at either end of a table, and beyond the last. */
static void test_far_devices(void **state)
{
	static const uint32_t rids[] = { 0, 0x3f, 0x40, 0xffff };
	struct iommu_device_desc wide = { .nrids = 1, .rids = { 0x10000 } };
	struct iommu_device *device;
	struct iommu_domain *a;
	struct iommu_group *group;
	struct fixture fx;

	(void)state;
	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ 0 }), 0);
	group = fixture_group(&fx);
	a = fixture_paging(&fx, 1, 0);
	/* The hardware meets the devices before the driver does: it may remember that there was no table. */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), FAULTS);
	for (unsigned i = 0; i < 4; i++)
		fixture_device(&fx, group, rids[i]);
	wide.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &wide, &device), -EINVAL);
	assert_int_equal(iommu_attach_group(group, a), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, 0x41, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

/* ---- In between two steps ---- */

/* A DMA before every step of a replace: the old domain or the new one, or with "break" the blocking entry, and nothing else. */
static struct watch {
	struct fixture *fx;
	uint64_t old, new;
	bool active, may_block;
	unsigned looked, blocked;
} watch;

static void look(void *ctx, const struct iommu_step *step)
{
	struct machine_dma dma = { .rid = RID, .pasid = IOMMU_NO_PASID, .iova = WINDOW, .access = IOMMU_READ };

	(void)ctx;
	(void)step;
	if (!watch.active)
		return;
	dma.ats = machine_ats_enabled(&watch.fx->machine, RID);
	machine_dma(&watch.fx->machine, &dma);
	watch.looked++;
	if (!dma.done) {
		/* Not valid: never a conflict, or an entry that makes no sense. */
		assert_true(dma.reason == SMMU_EVT_C_BAD_STE || dma.reason == SMMU_EVT_C_BAD_CD);
		assert_true(watch.may_block);
		watch.blocked++;
		return;
	}
	assert_true(dma.phys == watch.old || dma.phys == watch.new);
}

static void watch_pairs(unsigned freedoms, bool narrow, bool ats)
{
	struct machine_config config = PLAIN;
	struct iommu_domain *domains[DOMAINS];
	struct iommu_group *group;
	struct fixture fx;
	unsigned strategies = 0;

	config.freedoms = freedoms;
	config.no_store128 = narrow;
	config.ats = ats;
	assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
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
	/* Nothing is hopped. With ATS, identity is behind the table of contexts: there nothing is preloaded. */
	assert_int_equal(strategies, IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE) | (ats ? 0 : IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_PRELOAD)) |
					     IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK));
	assert_true(watch.looked > 300);
	assert_true(watch.blocked > 0);
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(domains);
	fixture_close(&fx);
}

static void test_between_two_steps(void **state)
{
	(void)state;
	for (unsigned narrow = 0; narrow < 2; narrow++)
		for (unsigned ats = 0; ats < 2; ats++) {
			watch_pairs(0, narrow, ats);
			watch_pairs((1u << IOMMU_FREEDOMS) - 1, narrow, ats);
		}
}

/* ---- Device TLBs (3.9.2) ---- */

static struct iommu_step said[64];
static unsigned nsaid;

static void note(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	if (nsaid < 64)
		said[nsaid++] = *step;
}

static unsigned position(enum iommu_step_op op, enum iommu_cache cache, unsigned from)
{
	for (unsigned i = from; i < nsaid; i++)
		if (said[i].op == op && (op != IOMMU_STEP_INVALIDATE || said[i].cache == cache))
			return i;
	return 1000;
}

/* It goes off, and is emptied, and what used it is done, before the entry says so; it goes on after the entry says so. */
static void test_ats_order(void **state)
{
	struct machine_config config = config_with(IDR1_BITS(SSIDSIZE), 0, 0, 0);
	struct iommu_domain *s1, *identity;
	struct iommu_replace_report report;
	struct iommu_group *group;
	struct fixture fx;
	unsigned pci, flush, wait, store;

	(void)state;
	config.ats = true;
	assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
	fx.machine.port.trace = note;
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	s1 = fixture_paging(&fx, 1, 0);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	nsaid = 0;
	assert_int_equal(iommu_attach_group(group, s1), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	pci = position(IOMMU_STEP_PCI, 0, 0);
	assert_int_equal(pci, nsaid - 1);
	nsaid = 0;
	/* Without SubstreamIDs identity is without a table, and ATS is off there. */
	assert_int_equal(iommu_group_replace_domain(group, identity, NULL, &report), 0);
	assert_true(report.hitless);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	pci = position(IOMMU_STEP_PCI, 0, 0);
	flush = position(IOMMU_STEP_INVALIDATE, IOMMU_CACHE_DEVTLB, 0);
	wait = position(IOMMU_STEP_WAIT, 0, 0);
	store = position(IOMMU_STEP_STORE, 0, 0);
	assert_true(pci < flush && flush < wait && wait < store && said[wait].poll);
	assert_int_equal(position(IOMMU_STEP_PCI, 0, pci + 1), 1000);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), WINDOW);
	assert_int_equal(iommu_group_replace_domain(group, s1, NULL, &report), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	/* The device's TLB is flushed after the IOTLB (3.9.1). */
	nsaid = 0;
	assert_int_equal(iommu_unmap(s1, WINDOW, 4096), 4096);
	flush = position(IOMMU_STEP_INVALIDATE, IOMMU_CACHE_DEVTLB, 0);
	assert_true(position(IOMMU_STEP_INVALIDATE, IOMMU_CACHE_IOTLB, 0) < position(IOMMU_STEP_WAIT, 0, 0));
	assert_true(position(IOMMU_STEP_WAIT, 0, 0) < flush && flush < 1000);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(iommu_domain_free(s1), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	fixture_close(&fx);

	/* With SubstreamIDs it stays on. */
	config = PLAIN;
	config.ats = true;
	assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
	fx.machine.port.trace = note;
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	s1 = fixture_paging(&fx, 1, 0);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_attach_group(group, s1), 0);
	nsaid = 0;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_group_replace_domain(group, identity, NULL, &report), 0);
		assert_true(machine_ats_enabled(&fx.machine, RID));
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), WINDOW);
		assert_int_equal(iommu_group_replace_domain(group, s1, NULL, &report), 0);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	}
	assert_int_equal(position(IOMMU_STEP_PCI, 0, 0), 1000);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(s1), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	fixture_close(&fx);
}

/* ---- ASIDs and VMIDs ---- */

/* Eight bits; and no more than Hitless may use. Two tables never share one, so the last device waits in the blocking entry. */
static void test_ids(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[DOMAINS];
	struct iommu_unit_info info;
	struct iommu_replace_report report;

	(void)state;
	assert_int_equal(open_unit(&fx, config_with(BITS(SMMU_IDR0, ASID16) | BITS(SMMU_IDR0, VMID16), 0, 0, 0),
				   (struct smmuv3_unit_desc){ 0 }), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags, 512);
	assert_true(info.caches_absent);
	assert_int_equal(info.quantum, 16);
	fixture_close(&fx);

	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ .ids = 1 }), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_domains(&fx, domains);
	assert_int_equal(iommu_attach_group(group, domains[1]), 0);
	/* The kinds are apart. */
	assert_int_equal(iommu_group_replace_domain(group, domains[3], NULL, &report), 0);
	assert_true(report.hitless);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 1);
	/* The only ASID goes over to the new domain, by way of the blocking entry. */
	assert_int_equal(iommu_group_replace_domain(group, domains[4], NULL, &report), 0);
	assert_false(report.hitless);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_BREAK);
	assert_non_null(report.why);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 48 * 4096);
	assert_int_equal(iommu_group_replace_domain(group, domains[3],
						    &(struct iommu_replace_options){ .flags = IOMMU_REPLACE_HITLESS_ONLY }, &report),
			 -EOPNOTSUPP);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 48 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
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
	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ 0 }), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	for (unsigned stage = 1; stage <= 2; stage++) {
		const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = stage, .dirty = true };
		struct iommu_replace_report report;
		uint64_t sum = 0;

		plain = fixture_paging(&fx, stage, 16);
		assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &dirty), 0);
		assert_int_equal(iommu_map(dirty, WINDOW, fx.data, 16 * 4096, IOMMU_READ | IOMMU_WRITE), 0);
		assert_int_equal(iommu_map(dirty, 2 * WINDOW, fx.data, 4096, IOMMU_READ), 0);
		assert_int_equal(iommu_group_replace_domain(group, dirty, NULL, &report), 0);
		for (unsigned round = 0; round < 3; round++) {
			sum = 0;
			fixture_dma(&fx, RID, WINDOW + 2 * 4096, IOMMU_READ);
			fixture_dma(&fx, RID, WINDOW + 5 * 4096, IOMMU_WRITE);
			assert_int_equal(fixture_dma(&fx, RID, 2 * WINDOW, IOMMU_WRITE), FAULTS);
			assert_int_equal(iommu_read_and_clear_dirty(dirty, 0, GIB, note_page, &sum), 0);
			assert_int_equal(sum, WINDOW + 5 * 4096);
		}
		/* From flags to none and back is one store like any other; marks outlive it. */
		fixture_dma(&fx, RID, WINDOW + 7 * 4096, IOMMU_WRITE);
		assert_int_equal(iommu_group_replace_domain(group, plain, NULL, &report), 0);
		assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), fx.data + 16 * 4096);
		sum = 0;
		assert_int_equal(iommu_read_and_clear_dirty(dirty, 0, GIB, note_page, &sum), 0);
		assert_int_equal(sum, WINDOW + 7 * 4096);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(dirty), 0);
		assert_int_equal(iommu_domain_free(plain), 0);
	}
	fixture_close(&fx);

	assert_int_equal(open_unit(&fx, config_with(BITS(SMMU_IDR0, HTTU), 0, 0, 0), (struct smmuv3_unit_desc){ 0 }), 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit,
					    &(struct iommu_domain_desc){ .type = IOMMU_DOMAIN_PAGING, .stage = 1, .dirty = true },
					    &dirty), -EOPNOTSUPP);
	fixture_close(&fx);
}

/* Part of a large page and of contiguous pages goes, at every BBM level. */
static void test_block_sizes(void **state)
{
	(void)state;
	for (unsigned level = 0; level <= 2; level++)
		for (unsigned stage = 1; stage <= 2; stage++) {
			struct machine_config config = config_with(0, 0, BITS(SMMU_IDR3, BBML), (uint64_t)level << SMMU_IDR3_BBML_LSB);
			struct iommu_domain *domain;
			struct iommu_group *group;
			struct fixture fx;

			config.freedoms = IOMMU_FREE_BIT(IOMMU_FREE_MULTI);
			assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
			group = fixture_group(&fx);
			fixture_device(&fx, group, RID);
			domain = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stage);
			assert_int_equal(iommu_map(domain, 4 * MIB, 4 * MIB, 2 * MIB, IOMMU_READ | IOMMU_WRITE), 0);
			assert_int_equal(iommu_map(domain, 8 * MIB, 8 * MIB, 16 * 4096, IOMMU_READ | IOMMU_WRITE), 0);
			assert_int_equal(iommu_attach_group(group, domain), 0);
			for (uint64_t at = 0; at < 4; at++) {
				fixture_dma(&fx, RID, 4 * MIB + at * 4096, IOMMU_READ);
				fixture_dma(&fx, RID, 8 * MIB + at * 4096, IOMMU_READ);
			}
			assert_int_equal(iommu_unmap(domain, 8 * MIB + 4096, 4096), 4096);
			assert_int_equal(fixture_dma(&fx, RID, 8 * MIB + 4096, IOMMU_READ), FAULTS);
			assert_int_equal(fixture_dma(&fx, RID, 8 * MIB + 2 * 4096, IOMMU_READ), 8 * MIB + 2 * 4096);
			assert_int_equal(iommu_unmap(domain, 4 * MIB + 4096, 4096), level ? 4096 : -EOPNOTSUPP);
			assert_int_equal(fixture_dma(&fx, RID, 4 * MIB + 4096, IOMMU_READ), level ? FAULTS : 4 * MIB + 4096);
			assert_int_equal(fixture_dma(&fx, RID, 4 * MIB + 2 * 4096, IOMMU_WRITE), 4 * MIB + 2 * 4096);
			assert_int_equal(iommu_unmap(domain, 4 * MIB, 2 * MIB), 2 * MIB - (level ? 4096 : 0));
			assert_int_equal(fixture_dma(&fx, RID, 4 * MIB + 2 * 4096, IOMMU_READ), FAULTS);
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(iommu_domain_free(domain), 0);
			fixture_close(&fx);
		}
}

/* A range, as long as there are ranges, and by single pages or the whole tag else; either way nothing of it is left. */
static void test_unmap_ranges(void **state)
{
	(void)state;
	for (unsigned ranges = 0; ranges < 2; ranges++)
		for (unsigned stage = 1; stage <= 2; stage++) {
			struct machine_config config = config_with(0, 0, ranges ? 0 : BITS(SMMU_IDR3, RIL), 0);
			struct iommu_domain *domain;
			struct iommu_group *group;
			struct fixture fx;

			assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
			fx.machine.port.trace = note;
			group = fixture_group(&fx);
			fixture_device(&fx, group, RID);
			domain = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stage);
			assert_int_equal(iommu_attach_group(group, domain), 0);
			for (uint64_t pages = 1; pages < 700; pages = pages * 3 + 1) {
				for (uint64_t i = 0; i < pages; i++)
					assert_int_equal(iommu_map(domain, MIB + i * 4096, (7 * i % 64) * 4096, 4096, IOMMU_READ), 0);
				for (uint64_t i = 0; i < pages; i++)
					assert_int_equal(fixture_dma(&fx, RID, MIB + i * 4096, IOMMU_READ), (7 * i % 64) * 4096);
				nsaid = 0;
				assert_int_equal(iommu_unmap(domain, MIB, pages * 4096), pages * 4096);
				if (ranges)
					assert_int_equal(position(IOMMU_STEP_INVALIDATE, IOMMU_CACHE_IOTLB,
								  position(IOMMU_STEP_INVALIDATE, IOMMU_CACHE_IOTLB, 0) + 1), 1000);
				for (uint64_t i = 0; i < pages; i++)
					assert_int_equal(fixture_dma(&fx, RID, MIB + i * 4096, IOMMU_READ), FAULTS);
			}
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(iommu_domain_free(domain), 0);
			fixture_close(&fx);
		}
}

/* ---- Events ---- */

static struct iommu_fault heard;

static void hear(void *handle, const struct iommu_fault *fault)
{
	++*(unsigned *)handle;
	heard = *fault;
}

static void test_events(void **state)
{
	struct iommu_domain *domains[2];
	struct iommu_group *group;
	struct machine_dma dma = { .rid = RID, .pasid = 7, .iova = WINDOW, .access = IOMMU_READ };
	struct fixture fx;
	unsigned count = 0;

	(void)state;
	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ 0 }), 0);
	iommu_unit_set_fault_handler(fx.machine.unit, hear, &count);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	for (unsigned stage = 1; stage <= 2; stage++)
		domains[stage - 1] = fixture_paging(&fx, stage, 0);
	for (unsigned stage = 1; stage <= 2; stage++) {
		assert_int_equal(iommu_map(domains[stage - 1], 2 * WINDOW, fx.data, 4096, IOMMU_READ), 0);
		assert_int_equal(iommu_group_replace_domain(group, domains[stage - 1], NULL, NULL), 0);
		assert_int_equal(fixture_dma(&fx, RID, 3 * WINDOW + 0x128, IOMMU_READ), FAULTS);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
		assert_int_equal(heard.reason, SMMU_EVT_F_TRANSLATION);
		assert_int_equal(heard.cause, IOMMU_FAULT_NOT_MAPPED);
		assert_int_equal(heard.iova, 3 * WINDOW + 0x128);
		assert_int_equal(heard.access, IOMMU_READ);
		assert_int_equal(heard.rid, RID);
		assert_int_equal(heard.pasid, IOMMU_NO_PASID);
		assert_int_equal(fixture_dma(&fx, RID, 2 * WINDOW + 8, IOMMU_WRITE), FAULTS);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
		assert_int_equal(heard.reason, SMMU_EVT_F_PERMISSION);
		assert_int_equal(heard.cause, IOMMU_FAULT_PERMISSION);
		assert_int_equal(heard.access, IOMMU_WRITE);
		assert_int_equal(fixture_dma(&fx, RID, 1ull << 50, IOMMU_READ), FAULTS);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
		assert_true(heard.cause == IOMMU_FAULT_NOT_MAPPED || heard.cause == IOMMU_FAULT_ADDRESS);
		/* Nobody has a SubstreamID here. */
		machine_dma(&fx.machine, &dma);
		assert_false(dma.done);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
		assert_int_equal(heard.reason, SMMU_EVT_C_BAD_SUBSTREAMID);
		assert_int_equal(heard.cause, IOMMU_FAULT_BLOCKED);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(heard.reason, SMMU_EVT_C_BAD_STE);
	assert_int_equal(heard.cause, IOMMU_FAULT_BLOCKED);
	/* No table, and out of range: C_BAD_STREAMID (CR2.RECINVSID). */
	assert_int_equal(fixture_dma(&fx, 0x4444, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(heard.reason, SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(heard.rid, 0x4444);
	assert_null(heard.device);
	/* More than there is room for: records, then the loss; then it records again. Twice, so that the queue wraps. */
	assert_int_equal(iommu_attach_group(group, domains[0]), 0);
	for (unsigned round = 0; round < 3; round++) {
		count = 0;
		for (unsigned i = 0; i < 300; i++)
			fixture_dma(&fx, RID, 32 * MIB + i * 4096ull, IOMMU_READ);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 128 + 1);
		assert_int_equal(count, 128 + 1);
		assert_int_equal(heard.cause, IOMMU_FAULT_OVERFLOW);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
		fixture_dma(&fx, RID, 33 * MIB + round * 4096, IOMMU_WRITE);
		assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
		assert_int_equal(heard.iova, 33 * MIB + round * 4096);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned stage = 1; stage <= 2; stage++)
		assert_int_equal(iommu_domain_free(domains[stage - 1]), 0);
	fixture_close(&fx);
}

/* ---- The queue ---- */

static void test_foreign_commands(void **state)
{
	static const struct {
		uint64_t words[2];
		int result;
	} cases[] = {
		{ { SMMU_CMD_CFGI_STE | 5ull << 32, 1 }, 0 },
		{ { SMMU_CMD_CFGI_STE | 1 << 10 | 5ull << 32, 1 }, -EINVAL },		/* a Secure stream */
		{ { SMMU_CMD_CFGI_STE | 5ull << 32, 2 }, -EINVAL },			/* reserved */
		{ { SMMU_CMD_CFGI_STE_RANGE, 31 }, 0 },
		{ { SMMU_CMD_CFGI_CD | 3 << 12 | 5ull << 32, 1 }, 0 },
		{ { SMMU_CMD_CFGI_CD_ALL | 5ull << 32, 0 }, 0 },
		{ { SMMU_CMD_CFGI_VMS_PIDM, 0 }, -EINVAL },
		{ { SMMU_CMD_TLBI_NH_ALL | 3ull << 32, 0 }, 0 },
		{ { SMMU_CMD_TLBI_NH_ASID | 3ull << 48, 0 }, 0 },
		{ { SMMU_CMD_TLBI_NH_VA | 3ull << 48, 0x1001 }, 0 },
		{ { SMMU_CMD_TLBI_NH_VA | 3ull << 48 | 1 << 12, 0x1001 }, -EINVAL },	/* a range, and no granule */
		{ { SMMU_CMD_TLBI_NH_VA | 3ull << 48 | 1 << 12, 0x1401 }, 0 },
		{ { SMMU_CMD_TLBI_NH_VA | 3ull << 48, 0x1401 }, -EINVAL },		/* a granule, and no range */
		{ { SMMU_CMD_TLBI_NH_VAA, 0x1001 }, 0 },
		{ { SMMU_CMD_TLBI_EL2_ALL, 0 }, 0 },
		{ { SMMU_CMD_TLBI_EL3_ALL, 0 }, -EINVAL },
		{ { SMMU_CMD_TLBI_S12_VMALL | 3ull << 32, 0 }, 0 },
		{ { SMMU_CMD_TLBI_S2_IPA | 3ull << 32, 0x1001 }, 0 },
		{ { SMMU_CMD_TLBI_S2_IPA | 3ull << 32, 1ull << 63 | 0x1001 }, -EINVAL },
		{ { SMMU_CMD_TLBI_NSNH_ALL, 0 }, 0 },
		{ { SMMU_CMD_TLBI_SNH_ALL, 0 }, -EINVAL },
		{ { SMMU_CMD_ATC_INV | 5ull << 32, 52 }, 0 },
		{ { SMMU_CMD_ATC_INV | 5ull << 32, 53 }, -EINVAL },
		{ { SMMU_CMD_RESUME, 0 }, -EINVAL },
		{ { SMMU_CMD_STALL_TERM, 0 }, -EINVAL },
		{ { SMMU_CMD_SYNC, 0 }, 0 },
		{ { SMMU_CMD_SYNC | 1 << 12, 0 }, -EINVAL },				/* an interrupt */
		{ { 0, 0 }, -EINVAL },
		{ { 0xff, 0 }, -EINVAL },
	};
	uint64_t many[400][2];
	struct fixture fx;

	(void)state;
	assert_int_equal(open_unit(&fx, PLAIN, (struct smmuv3_unit_desc){ 0 }), 0);
	for (unsigned i = 0; i < 400; i++)
		memcpy(many[i], cases[0].words, 16);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 0), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, NULL, 1), -EINVAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 256), -EINVAL);
	/* What would stop the queue is refused, and the queue goes on. */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, cases[i].words, 1), cases[i].result);
	/* As many as it holds, over and over: the queue wraps and fills. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(iommu_unit_submit(fx.machine.unit, many, 255 - i), 0);
	fixture_close(&fx);
}

/* ---- Hardware that stops answering ---- */

static void corrupt_commands(void *ctx, struct iommu_plan *plan)
{
	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op == IOMMU_STEP_INVALIDATE)
			plan->steps[i].words[0] |= 0xff;
}

#define BY_CORRUPT_COMMAND 0

/* A replace is under way when it happens: -EIO in bounded time, both domains quarantined, nothing freed. */
static void lose(uint64_t how, bool narrow)
{
	struct machine_config config = PLAIN;
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_domain *a, *b, *c;
	struct iommu_replace_report report;
	struct iommu_unit_info before, after;
	uint32_t frames;

	config.timeout_ns = 20000000;
	config.ats = how == SMMUV3_BROKEN_TIMEOUT;
	config.no_store128 = narrow;
	assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
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

	smmuv3_model_break(&fx.machine.model, how);
	if (how == BY_CORRUPT_COMMAND)
		fx.machine.port.review = corrupt_commands;
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), -EIO);
	assert_false(report.hitless);
	assert_non_null(report.why);
	iommu_unit_get_info(fx.machine.unit, &after);
	assert_true(after.lost);
	assert_true(after.tags_used >= before.tags_used + 1);
	assert_true(fx.machine.frames_in_use >= frames);
	assert_int_equal(iommu_unmap(a, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_unmap(b, WINDOW, 4096), -EIO);
	assert_int_equal(iommu_map(a, 8 * MIB, 0, 4096, IOMMU_READ), -EIO);
	assert_int_equal(iommu_domain_free(a), -EIO);
	assert_int_equal(iommu_domain_free(b), -EIO);
	assert_int_equal(iommu_detach_group(group), -EIO);
	assert_int_equal(iommu_attach_group(other, c), -EIO);
	assert_null(iommu_group_domain(other));
	assert_int_equal(iommu_unit_submit(fx.machine.unit, (uint64_t[2]){ SMMU_CMD_SYNC }, 1), -EIO);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), -EIO);
	fx.machine.unit = NULL;
	assert_int_equal(iommu_domain_free(c), 0);
	machine_destroy(&fx.machine);
}

static void test_lost(void **state)
{
	(void)state;
	for (unsigned narrow = 0; narrow < 2; narrow++) {
		lose(SMMUV3_BROKEN_SYNC, narrow);
		lose(SMMUV3_BROKEN_FETCH, narrow);
		lose(SMMUV3_BROKEN_ILLEGAL, narrow);
		lose(SMMUV3_BROKEN_MEMORY, narrow);
		lose(SMMUV3_BROKEN_TIMEOUT, narrow);
		lose(BY_CORRUPT_COMMAND, narrow);
	}
}

/* The queue stands still while nobody uses it: whoever looks after faults sees it. */
static void test_lost_by_itself(void **state)
{
	struct machine_config config = PLAIN;
	struct iommu_unit_info info;
	struct fixture fx;

	(void)state;
	config.timeout_ns = 20000000;
	assert_int_equal(open_unit(&fx, config, (struct smmuv3_unit_desc){ 0 }), 0);
	smmuv3_model_break(&fx.machine.model, SMMUV3_BROKEN_ILLEGAL);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, (uint64_t[2]){ SMMU_CMD_SYNC }, 1), -EIO);
	assert_true(read_register(&fx, SMMU_REG_GERROR) & BITS(SMMU_GERROR, CMDQ_ERR));
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_true(info.lost);
	machine_destroy(&fx.machine);
}

static void test_dead_from_the_start(void **state)
{
	const uint64_t ways[] = { SMMUV3_BROKEN_BUSY, SMMUV3_BROKEN_FETCH, SMMUV3_BROKEN_SYNC, SMMUV3_BROKEN_ILLEGAL };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct machine_config config = PLAIN;
		struct machine machine;

		config.timeout_ns = 20000000;
		assert_int_equal(machine_create(&machine, &config), 0);
		smmuv3_model_break(&machine.model, ways[i]);
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
		cmocka_unit_test(test_strategies),
		cmocka_unit_test(test_other_units),
		cmocka_unit_test(test_granules),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_one_stage),
		cmocka_unit_test(test_far_devices),
		cmocka_unit_test(test_between_two_steps),
		cmocka_unit_test(test_ats_order),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_dirty_in_both_stages),
		cmocka_unit_test(test_block_sizes),
		cmocka_unit_test(test_unmap_ranges),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_foreign_commands),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_by_itself),
		cmocka_unit_test(test_dead_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
