/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_core.c - groups, devices, domains: attach, replace, detach, and everything that can go wrong, on every architecture. */
#include "core.h"
#include "fixture.h"

#define RID 0x0300u
#define RID2 0x0308u
#define RID3 0x0a10u

static const char *arch;	/* the tests run once for each */

static unsigned stages(void)
{
	return strcmp(arch, "vtd-legacy") == 0 ? 1 : 2; /* legacy mode has the second stage only */
}

/* What the architectures differ in that a test sees. */
static bool is_riscv(void)
{
	return strcmp(arch, "riscv") == 0;
}

static bool is_smmuv3(void)
{
	return strcmp(arch, "smmuv3") == 0;
}

/* With 64-bit stores everything is hitless only where the page that holds the entry can be swapped. */
static bool has_table_swap(void)
{
	return strcmp(arch, "amdvi") != 0;
}

/* ---- Attach, detach, replace ---- */

static void test_attach_detach(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);

	/* A device that was only added is blocked. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_ptr_equal(iommu_group_domain(group), a);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 5 * 4096 + 8, IOMMU_WRITE), fx.data + 5 * 4096 + 8);
	/* Attach is strict. */
	assert_int_equal(iommu_attach_group(group, b), -EBUSY);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_domain_free(a), -EBUSY);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_attach_group(group, b), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* Every kind of domain that a fixture can make, by number; NULL when there are no more. */
static struct iommu_domain *nth_domain(struct fixture *fx, unsigned n)
{
	switch (n) {
	case 0:
		return fixture_domain(fx, IOMMU_DOMAIN_IDENTITY, 0);
	case 1:
		return fixture_domain(fx, IOMMU_DOMAIN_BLOCKED, 0);
	case 2:
		return fixture_paging(fx, 2, 0);
	case 3:
		return fixture_paging(fx, 2, 16);
	case 4:
		return stages() > 1 ? fixture_paging(fx, 1, 32) : NULL;
	case 5:
		return stages() > 1 ? fixture_paging(fx, 1, 48) : NULL;
	default:
		return NULL;
	}
}

#define MAX_DOMAINS 6

static unsigned make_domains(struct fixture *fx, struct iommu_domain **domains)
{
	unsigned n = 0;

	while (n < MAX_DOMAINS && (domains[n] = nth_domain(fx, n)))
		n++;
	return n;
}

static uint64_t expected(struct fixture *fx, struct iommu_domain *domain)
{
	uint64_t phys;

	(void)fx;
	return iommu_iova_to_phys(domain, WINDOW, &phys) ? FAULTS : phys;
}

static void assert_same_cost(const struct iommu_cost *a, const struct iommu_cost *b)
{
	assert_int_equal(a->stores, b->stores);
	assert_int_equal(a->commands, b->commands);
	assert_int_equal(a->rounds, b->rounds);
	assert_int_equal(a->polls, b->polls);
	assert_int_equal(a->foreign, b->foreign);
	assert_int_equal(a->copied, b->copied);
	assert_int_equal(a->tags, b->tags);
}

static void test_replace_any_to_any(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[MAX_DOMAINS];
	unsigned n;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	n = make_domains(&fx, domains);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++) {
			struct iommu_replace_report asked, report;

			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), expected(&fx, domains[from]));
			assert_int_equal(iommu_replace_query(group, domains[to], NULL, &asked), 0);
			fx.steps = fx.stores = fx.commands = 0;
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), expected(&fx, domains[to]));
			assert_true(report.hitless);
			assert_null(report.why);
			/* What was said beforehand is what was done. */
			assert_int_equal(asked.strategy, report.strategy);
			assert_int_equal(asked.hitless, report.hitless);
			assert_same_cost(&asked.cost, &report.cost);
			assert_int_equal(fx.stores, report.cost.stores);
			assert_int_equal(fx.commands, report.cost.commands);
			if (from == to)
				assert_int_equal(fx.steps, 0);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
}

static void test_second_stage_is_one_store(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b;
	struct iommu_replace_report report;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, &report), 0);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
	assert_int_equal(report.cost.stores, 1);
	/* The entry, the dying tag; RISC-V flushes both stages of a GSCID. */
	assert_int_equal(report.cost.commands, is_riscv() ? 3 : 2);
	assert_int_equal(report.cost.rounds, 2);
	assert_int_equal(report.cost.polls, 1);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* Only one who insists is refused, before anything is touched. */
static void test_hitless_only(void **state)
{
	const struct iommu_replace_options insist = {
		.flags = IOMMU_REPLACE_HITLESS_ONLY,
		.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK),
	};
	const struct iommu_replace_options disrupt = { .strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK) };
	const struct iommu_replace_options impossible = { .strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_SAME_TAG) };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b;
	struct iommu_replace_report report;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);
	fx.steps = 0;
	assert_int_equal(iommu_group_replace_domain(group, b, &insist, &report), -EOPNOTSUPP);
	assert_false(report.hitless);
	assert_non_null(report.why);
	assert_int_equal(iommu_group_replace_domain(group, b, &impossible, &report), -EOPNOTSUPP);
	assert_false(report.hitless);
	assert_int_equal(fx.steps, 0);
	assert_ptr_equal(iommu_group_domain(group), a);
	assert_int_equal(iommu_group_replace_domain(group, b, &disrupt, &report), 0);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_BREAK);
	assert_false(report.hitless);
	assert_non_null(report.why);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* ---- Groups of several devices, aliases ---- */

static void test_group_of_two_with_alias(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device_desc alias = { .rids = { RID2, RID3 }, .nrids = 2 };
	struct iommu_domain *domains[MAX_DOMAINS];
	const uint32_t rids[] = { RID, RID2, RID3 };
	unsigned n;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	alias.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &alias, &fx.devices[fx.ndevices++]), 0);
	n = make_domains(&fx, domains);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++) {
			struct iommu_replace_report report;

			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_true(report.hitless);
			if (from != to)
				assert_int_equal(report.requesters, 3);
			for (unsigned i = 0; i < 3; i++)
				assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), expected(&fx, domains[to]));
		}
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fixture_dma(&fx, rids[i], WINDOW, IOMMU_READ), FAULTS);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
}

/* A device that joins an attached group enters its domain. */
static void test_late_device(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	fixture_device(&fx, group, RID2);
	assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_group_remove_device(group, fx.devices[1]), -EBUSY);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

/* ---- Ownership, default domain, reserved regions ---- */

static void test_ownership(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *identity, *a;
	int me, you;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_group_set_default_domain(group, identity), 0);
	fixture_device(&fx, group, RID);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), fx.data);
	a = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(iommu_group_claim_dma_owner(group, &me), -EBUSY);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), fx.data);

	assert_int_equal(iommu_group_release_dma_owner(group), -EPERM);
	assert_int_equal(iommu_group_claim_dma_owner(group, NULL), -EINVAL);
	assert_int_equal(iommu_group_claim_dma_owner(group, &me), 0);
	assert_int_equal(iommu_group_claim_dma_owner(group, &you), -EPERM);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_group_release_dma_owner(group), 0);
	assert_int_equal(fixture_dma(&fx, RID, fx.data, IOMMU_READ), fx.data);
	/* The default domain is in use. */
	assert_int_equal(iommu_domain_free(identity), -EBUSY);
	assert_int_equal(iommu_group_set_default_domain(group, a), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_domain_free(identity), 0);
	assert_int_equal(iommu_group_set_default_domain(group, NULL), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

static void test_direct_region(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *identity, *a, *conflicting, *blocked, *readonly;
	const struct iommu_replace_options broken = { .strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK) };
	struct iommu_resv_region regions[] = {
		{ .size = 2 * 4096, .prot = IOMMU_READ | IOMMU_WRITE, .type = IOMMU_RESV_DIRECT },
		{ .iova = 64 * MIB, .size = 4096, .prot = IOMMU_WRITE, .type = IOMMU_RESV_MSI },
		{ .iova = 80 * MIB, .size = 4096, .type = IOMMU_RESV_RESERVED },
	};
	struct iommu_device_desc desc = { .rids = { RID }, .nrids = 1, .resv = regions, .nresv = 3 };
	uint64_t phys;
	int me;

	(void)state;
	fixture_open(&fx, arch);
	regions[0].iova = fx.data + 60 * 4096ull;
	regions[1].phys = fx.data + 63 * 4096ull;
	desc.unit = fx.machine.unit;
	group = fixture_group(&fx);
	/* It would be blocked: no. */
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[0]), -EINVAL);
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_group_set_default_domain(group, identity), 0);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[fx.ndevices++]), 0);

	a = fixture_paging(&fx, 2, 0);
	conflicting = fixture_paging(&fx, 2, 16);
	readonly = fixture_paging(&fx, 2, 32);
	blocked = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
	assert_int_equal(iommu_map(conflicting, regions[0].iova + 4096, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	assert_int_equal(iommu_iova_to_phys(a, regions[0].iova + 5000, &phys), 0);
	assert_int_equal(phys, regions[0].iova + 5000);
	assert_int_equal(fixture_dma(&fx, RID, regions[0].iova, IOMMU_WRITE), regions[0].iova);
	assert_int_equal(fixture_dma(&fx, RID, regions[1].iova + 64, IOMMU_WRITE), regions[1].phys + 64);
	assert_int_equal(iommu_iova_to_phys(a, regions[2].iova, &phys), -ENOENT);

	fx.steps = 0;
	assert_int_equal(iommu_group_replace_domain(group, blocked, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_group_replace_domain(group, conflicting, NULL, NULL), -EINVAL);
	assert_int_equal(fx.steps, 0);
	/* Nothing was mapped for the failed attempt. */
	assert_int_equal(iommu_iova_to_phys(conflicting, regions[0].iova, &phys), -ENOENT);
	assert_int_equal(iommu_iova_to_phys(conflicting, regions[1].iova, &phys), -ENOENT);
	/* Not even for a moment; and the region must be there with all its rights. */
	assert_int_equal(iommu_group_replace_domain(group, identity, &broken, NULL), -EOPNOTSUPP);
	assert_int_equal(iommu_map(readonly, regions[0].iova, regions[0].iova, 2 * 4096, IOMMU_READ), 0);
	assert_int_equal(iommu_group_replace_domain(group, readonly, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_domain_free(readonly), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_group_claim_dma_owner(group, &me), -EINVAL);
	assert_int_equal(fixture_dma(&fx, RID, regions[0].iova, IOMMU_WRITE), regions[0].iova);

	assert_int_equal(iommu_group_remove_device(group, fx.devices[0]), 0);
	fx.ndevices = 0;
	assert_int_equal(iommu_group_set_default_domain(group, NULL), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(conflicting), 0);
	assert_int_equal(iommu_domain_free(blocked), 0);
	fixture_close(&fx);
}

/* ---- Failure leaves everything as it was ---- */

static void test_allocation_failures(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[MAX_DOMAINS];
	unsigned n, failures = 0, fallbacks = 0, swaps = 0;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, group, RID3);
	n = make_domains(&fx, domains);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++)
			/* Each site twice, the second time with IOMMU_REPLACE_HITLESS_ONLY. */
			for (unsigned attempt = 2;; attempt++) {
				unsigned site = attempt / 2;
				const struct iommu_replace_options insist = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
				struct iommu_replace_report report, ordinary;
				struct picture picture;
				int err;

				if (from == to)
					break;
				assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
				assert_int_equal(iommu_replace_query(group, domains[to], NULL, &ordinary), 0);
				swaps += ordinary.strategy == IOMMU_STRATEGY_TABLE_SWAP;
				take_picture(&fx, &picture);
				fx.machine.fail_after = site;
				fx.steps = 0;
				err = iommu_group_replace_domain(group, domains[to], attempt % 2 ? &insist : NULL, &report);
				if (fx.machine.fail_after) {
					/* Every allocation has had its failure. */
					fx.machine.fail_after = 0;
					assert_int_equal(err, 0);
					free(picture.tables);
					break;
				}
				failures++;
				if (err) {
					assert_int_equal(err, -ENOMEM);
					assert_int_equal(fx.steps, 0);
					compare_picture(&fx, &picture);
					assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ),
							 expected(&fx, domains[from]));
					continue;
				}
				/* It has found another way, and says so. */
				fallbacks++;
				free(picture.tables);
				assert_true(report.strategy != ordinary.strategy || report.hitless);
				if (!report.hitless)
					assert_non_null(report.why);
				if (attempt % 2)
					assert_true(report.hitless);
				assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), expected(&fx, domains[to]));
			}
	assert_true(failures > 20);
	/* Only a copy of a table can be done without. */
	assert_int_equal(fallbacks > 0, swaps > 0);
	/* A detach finds its way without any memory. */
	fx.machine.fail_after = 0;
	assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, NULL), 0);
	for (unsigned site = 1; site < 10; site++) {
		assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, NULL), 0);
		fx.machine.fail_after = site;
		assert_int_equal(iommu_detach_group(group), 0);
		fx.machine.fail_after = 0;
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID3, WINDOW, IOMMU_READ), FAULTS);
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
}

/* Devices, domains and the unit itself are made in many allocations; each may fail. */
static void test_creation_failures(void **state)
{
	const struct machine_config config = { .arch = machine_arch_by_name(arch), .seed = 1 };
	struct machine machine;
	unsigned site = 1;

	(void)state;
	for (;; site++) {
		struct iommu_device_desc desc = { .rids = { RID, RID3 }, .nrids = 2 };
		const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING };
		struct iommu_group *group = NULL;
		struct iommu_device *device = NULL;
		struct iommu_domain *domain = NULL;
		bool over;
		int err;

		assert_int_equal(machine_create(&machine, &config), 0);
		machine.fail_after = site;
		err = machine_start_unit(&machine);
		if (!err)
			err = iommu_group_alloc(&machine.port, &group);
		desc.unit = machine.unit;
		if (!err)
			err = iommu_group_add_device(group, &desc, &device);
		if (!err)
			err = iommu_domain_alloc(machine.unit, &paging, &domain);
		if (!err)
			err = iommu_map(domain, WINDOW, 0, 4096, IOMMU_READ);
		if (!err)
			err = iommu_attach_group(group, domain);
		over = machine.fail_after;
		machine.fail_after = 0;
		/* A replace may find another way; nothing else succeeds without its memory. */
		if (err || over)
			assert_int_equal(err, over ? 0 : -ENOMEM);
		if (group) {
			iommu_detach_group(group);
			if (device)
				assert_int_equal(iommu_group_remove_device(group, device), 0);
			assert_int_equal(iommu_group_free(group), 0);
		}
		if (domain)
			assert_int_equal(iommu_domain_free(domain), 0);
		if (machine.unit)
			assert_int_equal(iommu_unit_destroy(machine.unit), 0);
		machine.unit = NULL;
		assert_int_equal(machine.frames_in_use, 0);
		assert_int_equal(machine.heap_in_use, 0);
		machine_destroy(&machine);
		if (over)
			break;
	}
	assert_true(site > 15);
}

static void test_bad_arguments(void **state)
{
	struct fixture fx, other;
	struct iommu_group *group;
	struct iommu_domain *a, *foreign, *domain;
	struct iommu_device *device;
	struct iommu_device_desc desc;
	struct iommu_domain_desc bad = { .type = IOMMU_DOMAIN_PAGING, .stage = 3 };
	const struct iommu_replace_options nonsense = { .flags = 0x80 };
	uint64_t phys, first, last;

	(void)state;
	fixture_open(&fx, arch);
	fixture_open(&other, strcmp(arch, "vtd") == 0 ? "vtd-legacy" : "vtd");
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	foreign = fixture_paging(&other, 2, 0);

	fx.steps = 0;
	assert_int_equal(iommu_attach_group(NULL, a), -EINVAL);
	assert_int_equal(iommu_attach_group(group, NULL), -EINVAL);
	assert_int_equal(iommu_group_replace_domain(group, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_group_replace_domain(group, a, &nonsense, NULL), -EINVAL);
	/* A domain of another kind of unit: refused by replace as by attach. */
	assert_int_equal(iommu_attach_group(group, foreign), -EINVAL);
	assert_int_equal(iommu_group_replace_domain(group, foreign, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &bad, &domain), -EINVAL);
	bad.stage = 2;
	bad.levels = 7;
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &bad, &domain), -EINVAL);
	bad = (struct iommu_domain_desc){ .type = IOMMU_DOMAIN_IDENTITY, .stage = 2 };
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &bad, &domain), -EINVAL);
	assert_int_equal(fx.steps, 0);

	desc = (struct iommu_device_desc){ .unit = fx.machine.unit, .rids = { RID }, .nrids = 1 };
	assert_int_equal(iommu_group_add_device(group, &desc, &device), -EEXIST);
	desc.nrids = 0;
	assert_int_equal(iommu_group_add_device(group, &desc, &device), -EINVAL);
	desc = (struct iommu_device_desc){ .unit = fx.machine.unit, .rids = { RID2, RID2 }, .nrids = 2 };
	assert_int_equal(iommu_group_add_device(group, &desc, &device), -EINVAL);
	desc.nrids = IOMMU_MAX_RIDS + 1;
	assert_int_equal(iommu_group_add_device(group, &desc, &device), -EINVAL);

	assert_int_equal(iommu_map(a, 4096, 4096, 4095, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_map(a, 4095, 4096, 4096, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_map(a, 4096, 4095, 4096, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_map(a, 4096, 4096, 0, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_map(a, 4096, 4096, 4096, 0), -EINVAL);
	assert_int_equal(iommu_map(a, 4096, 4096, 4096, 0x100), -EINVAL);
	assert_int_equal(iommu_map(a, ~0xfffull, 4096, 8192, IOMMU_READ), -ERANGE);
	assert_int_equal(iommu_domain_get_geometry(a, &first, &last), 0);
	assert_int_equal(first, 0);
	if (last != UINT64_MAX)
		assert_int_equal(iommu_map(a, last + 1, 4096, 4096, IOMMU_READ), -ERANGE);
	assert_int_equal(iommu_map(a, WINDOW, 0, 4096, IOMMU_READ), -EEXIST);
	assert_int_equal(iommu_unmap(a, 1, 4096), -EINVAL);
	assert_int_equal(iommu_unmap(a, 32 * MIB, 4096), 0);
	assert_int_equal(iommu_iova_to_phys(a, 32 * MIB, &phys), -ENOENT);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(foreign), 0);
	assert_int_equal(iommu_group_free(group), -EBUSY);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), -EBUSY);
	fixture_close(&fx);
	fixture_close(&other);
}

/* ---- Faults ---- */

struct heard {
	unsigned count;
	struct iommu_fault last;
};

static void hear(void *handle, const struct iommu_fault *fault)
{
	struct heard *heard = handle;

	heard->count++;
	heard->last = *fault;
}

static void test_faults(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *a, *b;
	struct heard unit = { 0 }, first = { 0 }, second = { 0 };
	const struct iommu_attach_handle one = { hear, &first }, two = { hear, &second };
	const struct iommu_replace_options options = { .handle = &two };

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	device = fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	b = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stages() > 1 ? 1 : 2);
	assert_int_equal(iommu_map(b, WINDOW, fx.data, 4096, IOMMU_READ), 0);
	iommu_unit_set_fault_handler(fx.machine.unit, hear, &unit);

	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 0x123 * 8, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 0);
	assert_int_equal(unit.count, 1);
	assert_ptr_equal(unit.last.device, device);
	assert_int_equal(unit.last.rid, RID);
	assert_int_equal(unit.last.cause, IOMMU_FAULT_BLOCKED);
	/* (to the byte, or to the page; an SMMUv3's C_BAD_STE says neither) */
	assert_int_equal(unit.last.iova & ~0xfffull, is_smmuv3() ? 0 : WINDOW);
	assert_int_equal(unit.last.access & (IOMMU_READ | IOMMU_WRITE), is_smmuv3() ? 0 : IOMMU_WRITE);
	assert_false(unit.last.replacing);

	assert_int_equal(iommu_attach_group_handle(group, a, &one), 0);
	assert_int_equal(fixture_dma(&fx, RID, 32 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(first.count, 1);
	assert_true(first.last.cause == IOMMU_FAULT_NOT_MAPPED || first.last.cause == IOMMU_FAULT_PERMISSION);
	assert_int_equal(first.last.iova, 32 * MIB);
	assert_int_equal(first.last.access & (IOMMU_READ | IOMMU_WRITE), IOMMU_READ);
	assert_int_equal(first.last.pasid, IOMMU_NO_PASID);

	assert_int_equal(iommu_group_replace_domain(group, b, &options, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(second.count, 1);
	/* RISC-V has one page fault for both. */
	assert_int_equal(second.last.cause, is_riscv() ? IOMMU_FAULT_NOT_MAPPED : IOMMU_FAULT_PERMISSION);
	assert_non_null(second.last.text);
	/* The same domain again: only the handle changes. */
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(second.count, 1);
	assert_int_equal(unit.count, 2);

	/* A stranger's request; and more faults than there are records. */
	assert_int_equal(fixture_dma(&fx, 0x4444, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_null(unit.last.device);
	assert_int_equal(unit.last.rid, 0x4444);
	for (unsigned i = 0; i < 400; i++)
		fixture_dma(&fx, RID, 32 * MIB + i * 4096ull, IOMMU_READ);
	assert_true(iommu_unit_handle_faults(fx.machine.unit) > 0);
	assert_int_equal(unit.last.cause, IOMMU_FAULT_OVERFLOW);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* ---- Map and unmap through the hardware ---- */

static void test_unmap_is_final(void **state)
{
	struct fixture fx;
	struct iommu_group *group;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	for (unsigned stage = 3 - stages(); stage <= 2; stage++) {
		struct iommu_domain *a = fixture_paging(&fx, stage, 0);

		assert_int_equal(iommu_attach_group(group, a), 0);
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(fixture_dma(&fx, RID, WINDOW + i * 4096ull, IOMMU_WRITE), fx.data + i * 4096ull);
		assert_int_equal(iommu_unmap(a, WINDOW + 3 * 4096, 4096), 4096);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4 * 4096, IOMMU_READ), fx.data + 4 * 4096);
		assert_int_equal(iommu_unmap(a, 0, 4 * MIB), 15 * 4096);
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(fixture_dma(&fx, RID, WINDOW + i * 4096ull, IOMMU_READ), FAULTS);
		/* Absent translations are not remembered, or are forgotten. */
		assert_int_equal(iommu_map(a, 2 * MIB, 0, 2 * MIB, IOMMU_READ | IOMMU_WRITE), 0);
		assert_int_equal(fixture_dma(&fx, RID, 3 * MIB, IOMMU_READ), MIB);
		/* Part of a large page. */
		assert_int_equal(iommu_unmap(a, 3 * MIB, 4096), 4096);
		assert_int_equal(fixture_dma(&fx, RID, 3 * MIB, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID, 3 * MIB + 4096, IOMMU_READ), MIB + 4096);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(a), 0);
		iommu_unit_handle_faults(fx.machine.unit);
	}
	fixture_close(&fx);
}

/* What another thread might do while an unmap waits for the hardware. */
static struct {
	struct iommu_domain *domain;
	int result;
} beside;

static void work_beside(void *ctx, const struct iommu_step *step)
{
	struct iommu_domain *domain = beside.domain;

	(void)ctx;
	if (!domain || step->op != IOMMU_STEP_WAIT)
		return;
	beside.domain = NULL;
	beside.result = iommu_map(domain, WINDOW + 32 * 4096, 7 * 4096, 4096, IOMMU_READ);
	if (!beside.result && iommu_unmap(domain, WINDOW + 5 * 4096, 4096) != 4096)
		beside.result = -1;
}

/* (Were the lock held, this would not come back.) */
static void test_beside_an_unmaps_wait(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device_desc desc = { .rids = { RID }, .nrids = 1 };

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	desc.unit = fx.machine.unit;
	machine_add_function(&fx.machine, RID);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[fx.ndevices++]), 0);
	for (unsigned stage = 3 - stages(); stage <= 2; stage++) {
		struct iommu_domain *a = fixture_paging(&fx, stage, 0);

		assert_int_equal(iommu_attach_group(group, a), 0);
		beside.domain = a;
		beside.result = 1;
		fx.machine.port.trace = work_beside;
		assert_int_equal(iommu_unmap(a, WINDOW + 3 * 4096, 4096), 4096);
		assert_int_equal(beside.result, 0);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + 32 * 4096, IOMMU_READ), 7 * 4096);
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + 5 * 4096, IOMMU_READ), FAULTS);
		fx.machine.port.trace = count_step;
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(a), 0);
		iommu_unit_handle_faults(fx.machine.unit);
	}
	fixture_close(&fx);
}

/* ---- Tags ---- */

/* Where the search begins is a hint: a tag that is free before it is found all the same. */
static void test_tag_before_the_hint(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a;
	struct iommu_unit_info info;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	a = fixture_paging(&fx, 2, 0);
	for (unsigned i = 0; i < TAG_SPACES; i++)
		fx.machine.unit->tags[i].full = (fx.machine.unit->tags[i].count + 63) / 64;
	assert_int_equal(iommu_attach_group(group, a), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 1);
	assert_int_equal(iommu_detach_group(group), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 0);
	assert_int_equal(iommu_domain_free(a), 0);
	fixture_close(&fx);
}

/* ---- Many devices ---- */

#define MANY 1500u	/* more than there are chains in unit.c: some devices share one */

static void test_many_devices(void **state)
{
	static struct iommu_group *groups[MANY];
	static struct iommu_device *devices[MANY];
	struct iommu_device *again;
	struct heard heard = { 0 };
	struct fixture fx;

	(void)state;
	fixture_open(&fx, arch);
	iommu_unit_set_fault_handler(fx.machine.unit, hear, &heard);
	for (unsigned i = 0; i < MANY; i++) {
		const struct iommu_device_desc desc = { .unit = fx.machine.unit, .rids = { i }, .nrids = 1 };

		assert_int_equal(iommu_group_alloc(&fx.machine.port, &groups[i]), 0);
		assert_int_equal(iommu_group_add_device(groups[i], &desc, &devices[i]), 0);
	}
	/* Every other one goes. */
	for (unsigned i = 0; i < MANY; i += 2)
		assert_int_equal(iommu_group_remove_device(groups[i], devices[i]), 0);
	for (unsigned i = 0; i < MANY; i++) {
		const struct iommu_device_desc desc = { .unit = fx.machine.unit, .rids = { i }, .nrids = 1 };

		if (i % 100 < 2) {
			assert_int_equal(fixture_dma(&fx, i, WINDOW, IOMMU_READ), FAULTS);
			assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
			assert_ptr_equal(heard.last.device, i % 2 ? devices[i] : NULL);
		}
		if (i % 2) {
			assert_int_equal(iommu_group_add_device(groups[i], &desc, &again), -EEXIST);
			assert_int_equal(iommu_group_remove_device(groups[i], devices[i]), 0);
		}
		assert_int_equal(iommu_group_free(groups[i]), 0);
	}
	fixture_close(&fx);
}

static unsigned reported;
static uint64_t reported_iova;

static void note_dirty(void *ctx, uint64_t iova, uint64_t size)
{
	(void)ctx;
	reported++;
	reported_iova = iova;
	assert_true(size >= 4096);
}

static void test_dirty(void **state)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .dirty = true };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *a, *b;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	b = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_read_and_clear_dirty(b, 0, GIB, note_dirty, NULL), -EOPNOTSUPP);
	if (iommu_domain_alloc(fx.machine.unit, &desc, &a) == -EOPNOTSUPP) {
		assert_string_equal(arch, "vtd-legacy");
		assert_int_equal(iommu_domain_free(b), 0);
		fixture_close(&fx);
		return;
	}
	assert_int_equal(iommu_map(a, WINDOW, fx.data, 16 * 4096, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(iommu_attach_group(group, a), 0);
	for (unsigned round = 0; round < 3; round++) {
		reported = 0;
		fixture_dma(&fx, RID, WINDOW + 2 * 4096, IOMMU_READ);
		fixture_dma(&fx, RID, WINDOW + 5 * 4096, IOMMU_WRITE);
		/* The second time round the translation is cached: clearing must have made the hardware forget it. */
		assert_int_equal(iommu_read_and_clear_dirty(a, 0, GIB, note_dirty, NULL), 0);
		assert_int_equal(reported, 1);
		assert_int_equal(reported_iova, WINDOW + 5 * 4096);
	}
	/* Marks outlive a replace. */
	fixture_dma(&fx, RID, WINDOW + 7 * 4096, IOMMU_WRITE);
	assert_int_equal(iommu_group_replace_domain(group, b, NULL, NULL), 0);
	reported = 0;
	assert_int_equal(iommu_read_and_clear_dirty(a, 0, GIB, note_dirty, NULL), 0);
	assert_int_equal(reported, 1);
	assert_int_equal(reported_iova, WINDOW + 7 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* ---- Narrow CPUs, units that don't snoop, siblings ---- */

static void replace_round_trip(struct machine_config config)
{
	struct fixture fx;
	struct iommu_group *group, *sibling;
	struct iommu_domain *domains[MAX_DOMAINS], *other;
	unsigned n;

	config.arch = machine_arch_by_name(arch);
	config.seed = 1;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	/* On the same bus, so in legacy mode in the same table page. */
	sibling = fixture_group(&fx);
	fixture_device(&fx, sibling, RID2);
	n = make_domains(&fx, domains);
	other = fixture_paging(&fx, 2, 0);
	assert_int_equal(iommu_attach_group(sibling, other), 0);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++) {
			struct iommu_replace_report report;

			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			fixture_dma(&fx, RID, WINDOW, IOMMU_READ);
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			/* Legacy mode's device TLB is switched with the translation type: the one known exception. */
			if ((!config.ats || stages() > 1) && (!config.no_store128 || has_table_swap()))
				assert_true(report.hitless);
			/* From the blocking entry and to it, in any case. */
			if (!config.ats && (expected(&fx, domains[from]) == FAULTS || expected(&fx, domains[to]) == FAULTS))
				assert_true(report.hitless);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), expected(&fx, domains[to]));
			assert_int_equal(fixture_dma(&fx, RID2, WINDOW + 4096, IOMMU_WRITE), fx.data + 4096);
		}
	/* map and unmap through the same machine */
	assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_map(domains[2], 8 * MIB, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), fx.data);
	assert_int_equal(iommu_unmap(domains[2], 8 * MIB, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, 8 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_group(sibling), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	assert_int_equal(iommu_domain_free(other), 0);
	fixture_close(&fx);
}

static void test_quantum_64(void **state)
{
	(void)state;
	replace_round_trip((struct machine_config){ .no_store128 = true });
}

static void test_noncoherent(void **state)
{
	(void)state;
	if (!machine_arch_by_name(arch)->noncoherent)
		return;
	replace_round_trip((struct machine_config){ .noncoherent = true });
	replace_round_trip((struct machine_config){ .noncoherent = true, .no_store128 = true });
}

static void test_device_tlb(void **state)
{
	(void)state;
	replace_round_trip((struct machine_config){ .ats = true });
}

/* ---- Strategies that must be asked for ---- */

static struct iommu_replace_report replace_by(struct iommu_group *group, struct iommu_domain *domain,
					      enum iommu_strategy strategy, unsigned assumptions, int expect)
{
	const struct iommu_replace_options options = {
		.strategies = IOMMU_STRATEGY_BIT(strategy),
		.assumptions = assumptions,
	};
	struct iommu_replace_report report = { 0 };

	assert_int_equal(iommu_group_replace_domain(group, domain, &options, &report), expect);
	if (!expect)
		assert_int_equal(report.strategy, strategy);
	return report;
}

/* Hops between domain ids: only for who assumes what the specification doesn't say, and only where the ids are private. */
static void test_tag_strategies(void **state)
{
	const unsigned assume = IOMMU_PLAN_ASSUME_OLD_OR_NEW;
	struct fixture fx;
	struct iommu_group *group, *old_user, *new_user;
	struct iommu_domain *a, *b;
	struct iommu_replace_report report;
	struct iommu_unit_info info;

	(void)state;
	if (stages() == 1)
		return; /* everything is one store */
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	old_user = fixture_group(&fx);
	new_user = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	fixture_device(&fx, old_user, RID2);
	fixture_device(&fx, new_user, RID3);
	a = fixture_paging(&fx, 1, 0);
	b = fixture_paging(&fx, 1, 16);
	assert_int_equal(iommu_attach_group(group, a), 0);

	/* SMMUv3's forbids it, whatever anybody assumes; RISC-V's says it. */
	if (is_smmuv3()) {
		for (enum iommu_strategy s = IOMMU_STRATEGY_SAME_TAG; s < IOMMU_STRATEGY_STANDIN; s++)
			if (s != IOMMU_STRATEGY_TABLE_SWAP)
				replace_by(group, b, s, assume, -EOPNOTSUPP);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(a), 0);
		assert_int_equal(iommu_domain_free(b), 0);
		fixture_close(&fx);
		return;
	}
	if (is_riscv())
		replace_by(group, b, IOMMU_STRATEGY_TAG_HOP, 0, 0);
	else
		replace_by(group, b, IOMMU_STRATEGY_TAG_HOP, 0, -EOPNOTSUPP);
	assert_int_equal(iommu_group_replace_domain(group, a, NULL, NULL), 0);
	report = replace_by(group, b, IOMMU_STRATEGY_TAG_HOP, assume, 0); /* pointer first */
	assert_true(report.hitless);
	assert_int_equal(report.cost.stores, 2);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_attach_group(old_user, b), 0);
	report = replace_by(group, a, IOMMU_STRATEGY_TAG_HOP, assume, 0); /* tag first: the old one is shared */
	assert_true(report.hitless);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	/* Both are shared: that takes a third one. */
	assert_int_equal(iommu_attach_group(new_user, a), 0);
	replace_by(group, b, IOMMU_STRATEGY_TAG_HOP, assume, -EOPNOTSUPP);
	report = replace_by(group, b, IOMMU_STRATEGY_TEMPORARY_TAG, assume, 0);
	assert_true(report.hitless);
	assert_int_equal(report.cost.tags, 1);
	assert_int_equal(report.cost.stores, 3);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(fixture_dma(&fx, RID3, WINDOW, IOMMU_READ), fx.data);
	/* unmap reaches everything that the hops have left. */
	assert_int_equal(iommu_unmap(a, WINDOW, 4096), 4096);
	assert_int_equal(iommu_unmap(b, WINDOW, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID2, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID3, WINDOW, IOMMU_READ), FAULTS);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(iommu_detach_group(fx.groups[i]), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 0);
	assert_int_equal(iommu_domain_free(a), 0);
	assert_int_equal(iommu_domain_free(b), 0);
	fixture_close(&fx);
}

/* A replace does the same whatever is mapped: 4 KiB, or 64 GiB. */
static void test_cost_does_not_depend_on_size(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *small[2], *large[2];
	struct iommu_replace_report one, other;
	unsigned steps;

	(void)state;
	fixture_open(&fx, arch);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	for (unsigned stage = 3 - stages(); stage <= 2; stage++) {
		for (unsigned i = 0; i < 2; i++) {
			small[i] = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stage);
			large[i] = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, stage);
			assert_int_equal(iommu_map(small[i], WINDOW, fx.data, 4096, IOMMU_READ | IOMMU_WRITE), 0);
			assert_int_equal(iommu_map(large[i], WINDOW, fx.data, 4096, IOMMU_READ | IOMMU_WRITE), 0);
			assert_int_equal(iommu_map(large[i], GIB, GIB, 64 * GIB, IOMMU_READ | IOMMU_WRITE), 0);
		}
		assert_int_equal(iommu_group_replace_domain(group, small[0], NULL, NULL), 0);
		fx.steps = 0;
		assert_int_equal(iommu_group_replace_domain(group, small[1], NULL, &one), 0);
		steps = fx.steps;
		assert_int_equal(iommu_group_replace_domain(group, large[0], NULL, NULL), 0);
		fx.steps = 0;
		assert_int_equal(iommu_group_replace_domain(group, large[1], NULL, &other), 0);
		assert_int_equal(fx.steps, steps);
		assert_int_equal(one.strategy, other.strategy);
		assert_same_cost(&one.cost, &other.cost);
		assert_int_equal(iommu_detach_group(group), 0);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(iommu_domain_free(small[i]), 0);
			assert_int_equal(iommu_domain_free(large[i]), 0);
		}
	}
	fixture_close(&fx);
}

/* ---- A switch by one store (onestore.c) is what it would be the long way ---- */

#define TRACE_STEPS 24

static struct trace {
	struct iommu_step steps[TRACE_STEPS];
	unsigned n, locks;
	struct iommu_replace_report report;
} *trace_to;

static void trace_step(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	if (trace_to && trace_to->n < TRACE_STEPS)
		trace_to->steps[trace_to->n++] = *step;
}

static void (*machine_lock)(void *ctx, struct hitless_lock *lock);

static void count_lock(void *ctx, struct hitless_lock *lock)
{
	if (trace_to)
		trace_to->locks++;
	machine_lock(ctx, lock);
}

static void trace_replace(struct iommu_group *group, struct iommu_domain *from, struct iommu_domain *to, struct trace *trace)
{
	trace_to = NULL;
	assert_int_equal(iommu_group_replace_domain(group, from, NULL, NULL), 0);
	trace_to = trace;
	assert_int_equal(iommu_group_replace_domain(group, to, NULL, &trace->report), 0);
	trace_to = NULL;
	assert_true(trace->n < TRACE_STEPS);
}

static void assert_same_trace(const struct trace *a, const struct trace *b)
{
	assert_int_equal(a->n, b->n);
	for (unsigned i = 0; i < a->n; i++) {
		const struct iommu_step *x = &a->steps[i], *y = &b->steps[i];

		assert_int_equal(x->op, y->op);
		assert_int_equal(x->place, y->place);
		assert_int_equal(x->rid, y->rid);
		assert_int_equal(x->quantum, y->quantum);
		assert_int_equal(x->nwords, y->nwords);
		assert_int_equal(x->poll, y->poll);
		assert_int_equal(x->offset, y->offset);
		assert_ptr_equal(x->structure, y->structure);
		assert_memory_equal(x->words, y->words, sizeof(x->words));
	}
	assert_int_equal(a->report.strategy, b->report.strategy);
	assert_int_equal(a->report.hitless, b->report.hitless);
	assert_int_equal(a->report.requesters, b->report.requesters);
	assert_same_cost(&a->report.cost, &b->report.cost);
}

/* All replaces there are, on a machine of their own, so that all addresses and tags are the same again. A reserved region, of which the device
 * wants nothing, is enough to go the long way. Returns how many pairs. */
static unsigned trace_all(struct machine_config config, bool long_way, struct trace *traces)
{
	struct iommu_resv_region region = { .iova = 64 * GIB, .size = 4096, .type = IOMMU_RESV_RESERVED };
	struct iommu_domain *domains[MAX_DOMAINS];
	struct iommu_device *device;
	struct iommu_group *group;
	struct fixture fx;
	unsigned n;

	config.arch = machine_arch_by_name(arch);
	fixture_open_config(&fx, config);
	machine_lock = fx.machine.port.lock;
	fx.machine.port.lock = count_lock;
	fx.machine.port.trace = trace_step;
	group = fixture_group(&fx);
	device = fixture_device(&fx, group, RID);
	device->resv = &region;
	device->nresv = long_way;
	n = make_domains(&fx, domains);
	for (unsigned i = 0; i < n * n; i++)
		trace_replace(group, domains[i / n], domains[i % n], &traces[i]);
	device->nresv = 0;
	device->resv = NULL;
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	fixture_close(&fx);
	return n * n;
}

/* How many pairs took one store both ways? */
static unsigned compare_ways(struct machine_config config)
{
	struct trace *brief = calloc(2 * MAX_DOMAINS * MAX_DOMAINS, sizeof(*brief));
	struct trace *full = brief + MAX_DOMAINS * MAX_DOMAINS;
	unsigned n, compared = 0;

	assert_non_null(brief);
	n = trace_all(config, false, brief);
	assert_int_equal(trace_all(config, true, full), n);
	for (unsigned i = 0; i < n; i++) {
		assert_same_trace(&brief[i], &full[i]);
		compared += brief[i].locks < full[i].locks;
	}
	free(brief);
	return compared;
}

static void test_one_store_as_the_long_way(void **state)
{
	(void)state;
	/* From either stage to itself, or whatever the entries of the architecture allow: to and fro. */
	assert_true(compare_ways((struct machine_config){ 0 }) >= 2);
	assert_true(compare_ways((struct machine_config){ .ats = true }) >= 2);
	compare_ways((struct machine_config){ .no_store128 = true });
	if (machine_arch_by_name(arch)->noncoherent)
		compare_ways((struct machine_config){ .noncoherent = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tag_strategies),
		cmocka_unit_test(test_cost_does_not_depend_on_size),
		cmocka_unit_test(test_attach_detach),
		cmocka_unit_test(test_replace_any_to_any),
		cmocka_unit_test(test_second_stage_is_one_store),
		cmocka_unit_test(test_hitless_only),
		cmocka_unit_test(test_group_of_two_with_alias),
		cmocka_unit_test(test_late_device),
		cmocka_unit_test(test_ownership),
		cmocka_unit_test(test_direct_region),
		cmocka_unit_test(test_allocation_failures),
		cmocka_unit_test(test_creation_failures),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_unmap_is_final),
		cmocka_unit_test(test_beside_an_unmaps_wait),
		cmocka_unit_test(test_tag_before_the_hint),
		cmocka_unit_test(test_many_devices),
		cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_quantum_64),
		cmocka_unit_test(test_noncoherent),
		cmocka_unit_test(test_device_tlb),
		cmocka_unit_test(test_one_store_as_the_long_way),
	};
	int failed = 0;

	for (unsigned i = 0; machine_archs[i]; i++) {
		arch = machine_archs[i]->name;
		failed += cmocka_run_group_tests_name(arch, tests, NULL, NULL);
	}
	return failed;
}
