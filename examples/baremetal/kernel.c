/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * kernel.c - from boot to shutdown: finds the device and its IOMMU, measures every transition that the unit can do, and says
 * what was seen: a line each as `hitless run` prints it, and at the end one line of JSON for programs.
 *
 * The command line may say: method=replace or method=attach-detach, from=s2 to=s2, replaces=N and dmas=N (of each row, at
 * least), quantum=64, seed=N.
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

/* ---- The work ---- */

static void run_pair(const struct side *from, const struct side *to, enum method method, bool paced)
{
	const struct transition t = {
		.from = *from, .to = *to, .method = method, .paced = paced,
		.switches = option_number("replaces", REPLACES), .dmas = option_number("dmas", DMAS),
	};
	unsigned n;

	if (nrows + 2 > MAX_ROWS)
		panic("more rows than there is room for");
	n = measure_run(&t, &rows[nrows]);
	while (n--)
		print_row(&rows[nrows++]);
}

static void run_all(void)
{
	char from[TEXT_SIZE], to[TEXT_SIZE], method[TEXT_SIZE];
	const char *only_from = option_text("from", from, NULL), *only_to = option_text("to", to, NULL);
	const char *only_method = option_text("method", method, NULL);

	for (unsigned m = 0; m < METHODS; m++) {
		if (only_method && text_equal(only_method, "attach-detach") != (m == METHOD_ATTACH_DETACH))
			continue;
		for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
			const struct side *a = &sides[pairs[i][0]], *b = &sides[pairs[i][1]];

			if (only_from && (!text_equal(only_from, a->name) || !text_equal(only_to, b->name)))
				continue;
			if (!measure_supports(a) || !measure_supports(b))
				continue;
			run_pair(a, b, (enum method)m, true);
			run_pair(a, b, (enum method)m, false);
		}
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
