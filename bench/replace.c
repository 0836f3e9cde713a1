/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * replace.c - what one iommu_group_replace_domain() costs the CPU, whatever is mapped; and the old way beside it, to unmap all and
 * map all of the other domain.
 *
 * The hardware is done inside the doorbell (instant.h), so that no wait is measured. The calibrator does the same bare: the
 * replace's own stores, its raw commands into a ring, the barrier, the doorbell, the look at the status word; nothing is
 * planned, locked, allocated or counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "bench.h"
#include "instant.h"

#define KIB4 4096ull
#define MIB2 (2ull << 20)
#define GIB1 (1ull << 30)
#define IOVA GIB1	/* aligned for every leaf */
#define RAM  (512u << 20)

struct size {
	const char *replace, *remap;
	uint64_t bytes;
	uint64_t phys;	/* no better aligned than the leaves that are wanted */
};

static const struct size sizes[] = {
	{ "replace s2 -> s2, 4 KiB mapped", "remap 4 KiB", KIB4, KIB4 },
	{ "replace s2 -> s2, 1 GiB mapped by 4K", "remap 1 GiB by 4K", GIB1, KIB4 },
	{ "replace s2 -> s2, 64 GiB mapped by 2M", "remap 64 GiB by 2M", 64 * GIB1, MIB2 },
};

/* ---- The calibrator: what was seen of one replace, done again ---- */

struct bare_store {
	uint64_t words[4];
	unsigned nwords;
};

static struct recording {
	struct instant *instant;
	bool on;
	struct bare_store stores[16];
	unsigned nstores;
	uint64_t ring[INSTANT_LOG];
	uint64_t entry[8] __attribute__((aligned(64)));
} recording;

static void trace(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	if (!recording.on || step->op != IOMMU_STEP_STORE)
		return;
	bench_check(recording.nstores < 16 ? 0 : -1, "stores of a replace");
	memcpy(recording.stores[recording.nstores].words, step->words, step->nwords * 8);
	recording.stores[recording.nstores++].nwords = step->nwords;
}

/* The stores one after another, a doorbell's commands behind each; all commands, if there are more doorbells, behind the last. */
static __attribute__((noinline)) void bare_replace(const struct hitless_port *port)
{
	const struct instant *in = recording.instant;
	unsigned doorbell = 0, from = 0;

	for (unsigned s = 0; s < recording.nstores; s++) {
		const struct bare_store *store = &recording.stores[s];

		if (store->nwords == 2)
			port->store128(port->ctx, recording.entry, store->words[0], store->words[1]);
		else
			port->store64(port->ctx, recording.entry, store->words[0]);
		do {
			unsigned to = doorbell < in->doorbells ? in->log_end[doorbell++] : in->log_n;

			memcpy(recording.ring + from, in->log + from, (to - from) * 8);
			port->write_barrier(port->ctx);
			instant_consume(in, recording.ring + from, (to - from) / in->arch->words);
			from = to;
		} while (s + 1 == recording.nstores && from < in->log_n);
	}
}

/* ---- The machine ---- */

struct bed {
	struct machine machine;
	struct instant instant;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *domain[2];
};

static void open_bed(struct bed *bed, const struct machine_arch *arch)
{
	const struct machine_config config = { .arch = arch, .ram_bytes = RAM };
	const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	const uint32_t rid = 0x10;

	bench_check(machine_create(&bed->machine, &config), "machine");
	machine_add_function(&bed->machine, rid);
	bench_check(machine_start_unit(&bed->machine), "unit");
	bed->machine.port.trace = trace;
	bench_check(iommu_group_alloc(&bed->machine.port, &bed->group), "group");
	bench_check(iommu_group_add_device(bed->group, &(struct iommu_device_desc){ .unit = bed->machine.unit, .rids = { rid }, .nrids = 1 },
					   &bed->device), "device");
	for (unsigned i = 0; i < 2; i++)
		bench_check(iommu_domain_alloc(bed->machine.unit, &paging, &bed->domain[i]), "domain");
	instant_take(&bed->instant, instant_find(arch->name), &bed->machine);
	bench_check(iommu_attach_group(bed->group, bed->domain[0]), "attach");
}

static void close_bed(struct bed *bed)
{
	bench_check(iommu_detach_group(bed->group), "detach");
	bench_check(iommu_group_remove_device(bed->group, bed->device), "device");
	bench_check(iommu_group_free(bed->group), "group");
	for (unsigned i = 0; i < 2; i++)
		bench_check(iommu_domain_free(bed->domain[i]), "domain");
	instant_give_back(&bed->instant);
	bed->machine.port.trace = NULL;
	machine_destroy(&bed->machine);
}

static void replace(struct bed *bed, unsigned to)
{
	bench_check(iommu_group_replace_domain(bed->group, bed->domain[to], NULL, NULL), "replace");
}

/* ---- Measurements ---- */

static void record(struct bed *bed)
{
	recording.instant = &bed->instant;
	recording.nstores = 0;
	bed->instant.log_n = bed->instant.doorbells = 0;
	recording.on = bed->instant.logging = true;
	replace(bed, 1);
	recording.on = bed->instant.logging = false;
	bed->machine.port.trace = NULL;
	replace(bed, 0);
}

static double time_replaces(struct bed *bed, unsigned n)
{
	double t = bench_now();

	for (unsigned i = 0; i < n; i++)
		replace(bed, !(i & 1));
	return (bench_now() - t) / n;
}

static double time_bare(struct bed *bed, unsigned n)
{
	double t = bench_now();

	for (unsigned i = 0; i < n; i++)
		bare_replace(&bed->machine.port);
	return (bench_now() - t) / n;
}

/* From one guest's memory to another's in one domain: unmap all, then map all. */
static double time_remap(struct bed *bed, const struct size *size, unsigned n)
{
	double t = bench_now();

	for (unsigned i = 0; i < n; i++) {
		bench_check(iommu_unmap(bed->domain[0], IOVA, size->bytes), "unmap");
		bench_check(iommu_map(bed->domain[0], IOVA, size->phys, size->bytes, IOMMU_READ | IOMMU_WRITE), "map");
	}
	return (bench_now() - t) / n;
}

static void measure(struct bench *bench, const struct machine_arch *arch, const struct size *size)
{
	unsigned n = bench->quick ? 4000 : 20000;
	struct bed *bed = calloc(1, sizeof(*bed));
	double bare;

	bench_check(bed ? 0 : -1, "memory");
	open_bed(bed, arch);
	for (unsigned i = 0; i < 2; i++)
		bench_check(iommu_map(bed->domain[i], IOVA, size->phys, size->bytes, IOMMU_READ | IOMMU_WRITE), "map");
	record(bed);
	bare = time_bare(bed, n);
	bench_add(bench, size->replace, arch->name, "its own stores and commands, bare", "ns", time_replaces(bed, n), bare);
	/* Into the noise of one round: a remap is thousands of times slower for the larger sizes. */
	if (bench_wants(bench, size->remap, arch->name))
		bench_add(bench, size->remap, arch->name, "one replace's stores and commands, bare", "ns",
			  time_remap(bed, size, size->bytes == KIB4 ? n : 3), bare);
	close_bed(bed);
	free(bed);
}

static void run(struct bench *bench)
{
	for (unsigned a = 0; machine_archs[a]; a++)
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			if (instant_find(machine_archs[a]->name) && (bench_wants(bench, sizes[i].replace, machine_archs[a]->name) ||
								    bench_wants(bench, sizes[i].remap, machine_archs[a]->name)))
				measure(bench, machine_archs[a], &sizes[i]);
}

const struct bench_suite bench_replace = {
	.name = "replace",
	.what = "one replace, everything but waiting; and remapping instead",
	.run = run,
};
