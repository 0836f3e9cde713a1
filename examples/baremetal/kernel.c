/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * kernel.c - from boot to shutdown: finds the device and its IOMMU, measures every transition that the unit can do, and says
 * what was seen: a line each as `hitless run` prints it, and at the end one line of JSON for programs.
 *
 * The command line may say: method=replace or method=attach-detach, from=s2 to=s2, replaces=N and dmas=N (of each row, at
 * least; a fifth of it for attach-detach), quantum=64, seed=N, and inject=NAME, which breaks the driver on purpose:
 * skip-iotlb-invalidation, skip-entry-invalidation.
 */
#include "kernel.h"

#define REPLACES 5000u
#define DMAS 50000u
#define MAX_ROWS 64u

static const struct side sides[] = {
	{ "s2", IOMMU_DOMAIN_PAGING, 2 },
	{ "s1", IOMMU_DOMAIN_PAGING, 1 },
	{ "identity", IOMMU_DOMAIN_IDENTITY, 0 },
};

enum { S2, S1, IDENTITY };

static const unsigned char pairs[][2] = { { S2, S2 }, { S1, S1 }, { IDENTITY, S2 }, { IDENTITY, S1 }, { S1, S2 } };

static struct row rows[MAX_ROWS];
static unsigned nrows;
static struct iommu_unit_info info;

static uint64_t total(const struct counts *c)
{
	return c->old + c->new + c->blocked + c->wrong + c->stale;
}

/* ---- Text, as `hitless run` prints it ---- */

static void print_row(const struct row *row)
{
	print("%s  %s -> %s  %s  %s  %s  hitless: %s  replaces %u  DMAs %lu  old %lu  new %lu  blocked %lu  wrong %lu  stale %lu  "
	      "cost %u/%u/%u/%u  p50 %lu.%lu us  p99 %lu.%lu us  faults %lu\n",
	      info.arch, row->from, row->to, row->pace, row->method, row->strategy, row->hitless ? "yes" : "no", row->switches,
	      total(&row->dma), row->dma.old, row->dma.new, row->dma.blocked, row->dma.wrong, row->dma.stale, row->cost.stores,
	      row->cost.commands, row->cost.rounds, row->cost.polls, row->p50 / 1000, row->p50 % 1000 / 100, row->p99 / 1000,
	      row->p99 % 1000 / 100, row->faults);
	if (row->seen.what)
		print("  first violation: %s at 0x%lx, between phases %lu and %lu\n", row->seen.what, row->seen.iova, row->seen.before,
		      row->seen.after);
}

/* ---- JSON: the rows of hitless.run/1 ---- */

static const char *json_bool(bool value)
{
	return value ? "true" : "false";
}

static void json_row(const struct row *row)
{
	print("{\"arch\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"method\":\"%s\",\"strategy\":\"%s\",\"hitless\":%s,\"pace\":\"%s\",",
	      info.arch, row->from, row->to, row->method, row->strategy, json_bool(row->hitless), row->pace);
	print("\"devices\":1,\"quantum\":%u,\"replaces\":%u,\"faults\":%lu,", info.quantum * 8, row->switches, row->faults);
	print("\"dma\":{\"total\":%lu,\"old\":%lu,\"new\":%lu,\"blocked\":%lu,\"wrong\":%lu,\"stale\":%lu,\"denied\":%lu},",
	      total(&row->dma), row->dma.old, row->dma.new, row->dma.blocked, row->dma.wrong, row->dma.stale, row->dma.denied);
	print("\"cost\":{\"stores\":%u,\"commands\":%u,\"rounds\":%u,\"polls\":%u},", row->cost.stores, row->cost.commands,
	      row->cost.rounds, row->cost.polls);
	print("\"latency_ns\":{\"p50\":%lu,\"p99\":%lu,\"max\":%lu},", row->p50, row->p99, row->max);
	if (row->why)
		print("\"why\":\"%s\",", row->why);
	if (row->seen.what)
		print("\"seen\":\"%s at 0x%lx, between phases %lu and %lu\"}", row->seen.what, row->seen.iova, row->seen.before,
		      row->seen.after);
	else
		print("\"seen\":null}");
}

static void json(void)
{
	print("{\"schema\":\"hitless.run/1\",\"machine\":\"guest\",\"rows\":[");
	for (unsigned i = 0; i < nrows; i++) {
		print(i ? "," : "");
		json_row(&rows[i]);
	}
	print("]}\n");
}

/* ---- A driver with a fault in it, so that the measurement is seen to find it ---- */

static char injected[TEXT_SIZE];

static void break_plan(void *ctx, struct iommu_plan *plan)
{
	bool iotlb = text_equal(injected, "skip-iotlb-invalidation");

	(void)ctx;
	for (unsigned i = 0; i < plan->nsteps; i++)
		if (plan->steps[i].op == IOMMU_STEP_INVALIDATE && iotlb == (plan->steps[i].cache == IOMMU_CACHE_IOTLB))
			plan->steps[i].op = IOMMU_STEP_BARRIER; /* which does no harm */
}

static void inject(void)
{
	if (!option_text("inject", injected, NULL))
		return;
	if (!text_equal(injected, "skip-iotlb-invalidation") && !text_equal(injected, "skip-entry-invalidation"))
		panic("there is no fault %s", injected);
	port.review = break_plan;
}

/* ---- The work ---- */

static void run_pair(const struct side *from, const struct side *to, enum method method, bool paced)
{
	/* That the old ways block is seen soon enough. */
	unsigned part = method == METHOD_REPLACE ? 1 : 5;
	const struct transition t = {
		.from = *from, .to = *to, .method = method, .paced = paced,
		.switches = option_number("replaces", REPLACES) / part + 1, .dmas = option_number("dmas", DMAS) / part + 1,
	};
	unsigned n;

	if (nrows + 2 > MAX_ROWS)
		panic("more rows than there is room for");
	n = measure_run(&t, &rows[nrows]);
	while (n--)
		print_row(&rows[nrows++]);
}

/* Paced, then saturated; if the unit can do it at all. */
static void run_both(const struct side *from, const struct side *to, enum method method)
{
	if (!measure_supports(from) || !measure_supports(to))
		return;
	run_pair(from, to, method, true);
	run_pair(from, to, method, false);
}

static const struct side *find_side(const char *name)
{
	for (unsigned i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		if (text_equal(sides[i].name, name))
			return &sides[i];
	panic("there is no configuration %s", name);
}

static void run_all(void)
{
	char from[TEXT_SIZE], to[TEXT_SIZE], method[TEXT_SIZE];
	bool one = option_text("from", from, NULL) && option_text("to", to, NULL);
	const char *only = option_text("method", method, NULL);

	for (unsigned m = 0; m < METHODS; m++) {
		if (only && text_equal(only, "attach-detach") != (m == METHOD_ATTACH_DETACH))
			continue;
		if (one)
			run_both(find_side(from), find_side(to), (enum method)m);
		for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && !one; i++)
			run_both(&sides[pairs[i][0]], &sides[pairs[i][1]], (enum method)m);
	}
}

void second_main(void)
{
	measure_dma();
}

void on_trap(uint64_t cause, uint64_t where, uint64_t address)
{
	panic("exception 0x%lx at 0x%lx, address 0x%lx", cause, where, address);
}

void kernel_main(uint64_t boot)
{
	struct iommu_device_desc desc = { .nrids = 1 };
	struct iommu_device *device;
	struct iommu_group *group;
	uint32_t rid;

	machine_init(boot);
	memory_init(machine.ram, machine.ram_end);
	port_init();
	inject();
	print("hitless on bare metal: %s, %lu MiB free\n", machine.name, (machine.ram_end - machine.ram) >> 20);
	if (!pci_find(0x1b36, 0x0005, &rid))
		panic("no iommu-testdev on bus 0");
	testdev_init(rid);

	/* From here on it is what every embedder does: a unit, a group with a device in it, and whoever drives it owns its DMA. */
	must(machine_create_unit(&port, rid, &desc.unit, &desc.rids[0]), "the IOMMU");
	iommu_unit_get_info(desc.unit, &info);
	must(iommu_group_alloc(&port, &group), "iommu_group_alloc");
	must(iommu_group_add_device(group, &desc, &device), "iommu_group_add_device");
	must(iommu_group_claim_dma_owner(group, &desc), "iommu_group_claim_dma_owner");
	print("%s, stores of %u bits, device 0x%x\n", info.arch, info.quantum * 8, desc.rids[0]);

	measure_init(desc.unit, group);
	if (!machine_start_second_cpu())
		panic("no second CPU");
	run_all();

	must(iommu_group_release_dma_owner(group), "iommu_group_release_dma_owner");
	must(iommu_group_remove_device(group, device), "iommu_group_remove_device");
	must(iommu_group_free(group), "iommu_group_free");
	must(iommu_unit_destroy(desc.unit), "iommu_unit_destroy");
	json();
	machine_off();
}
