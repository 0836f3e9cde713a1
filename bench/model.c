/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model.c - what a translation costs an emulator that embeds a model as its virtual IOMMU: hits, in one thread, with from one to
 * 100,000 pages in use; and misses, which walk.
 *
 * The calibrator is the least that keeps a cache of translations at all: one line of a direct-mapped table, found by page and
 * requester, compared and read.
 */
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "bench.h"

#define KIB4 4096ull
#define IOVA (1ull << 30)
#define RID  0x10u
#define LINES 131072u	/* of the IOTLB, and of the calibrator: more than pages are ever in use */
#define ORDER 131072u

static const struct count {
	const char *name;
	unsigned pages;
} counts[] = {
	{ "translate, hit, 1 page", 1 },
	{ "translate, hit, among 1,000 pages", 1000 },
	{ "translate, hit, among 100,000 pages", 100000 },
};
static const char miss_name[] = "translate, miss, 4K page";

/* ---- The calibrator ---- */

static struct bare_line {
	uint64_t key, phys;
} *bare_lines;

static __attribute__((noinline)) uint64_t bare_look_up(uint32_t rid, uint64_t iova)
{
	const struct bare_line *line = &bare_lines[(iova >> 12 ^ rid) & (LINES - 1)];

	return line->key == ((uint64_t)rid << 40 | iova >> 12) ? line->phys | (iova & (KIB4 - 1)) : 0;
}

/* ---- The machine ---- */

struct bed {
	struct machine machine;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *domain;
};

static void open_bed(struct bed *bed, const struct machine_arch *arch, unsigned pages, unsigned lines)
{
	const struct iommu_model_config model = {
		.quantum = 16, .entry_lines = 64, .pasid_lines = 64, .walk_lines = 1024, .iotlb_lines = lines, .devtlb_lines = 1,
	};
	const struct machine_config config = {
		.arch = arch, .ram_bytes = 64u << 20, .model = &model, .freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP), .barrier_all = true,
	};
	const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

	bench_check(machine_create(&bed->machine, &config), "machine");
	bed->machine.model_port.choose = NULL; /* the most ordinary hardware: hits when it can */
	machine_add_function(&bed->machine, RID);
	bench_check(machine_start_unit(&bed->machine), "unit");
	bench_check(iommu_group_alloc(&bed->machine.port, &bed->group), "group");
	bench_check(iommu_group_add_device(bed->group, &(struct iommu_device_desc){ .unit = bed->machine.unit, .rids = { RID }, .nrids = 1 },
					   &bed->device), "device");
	bench_check(iommu_domain_alloc(bed->machine.unit, &paging, &bed->domain), "domain");
	/* Physical addresses that are as scattered as a guest's. */
	for (unsigned i = 0; i < pages; i++)
		bench_check(iommu_map(bed->domain, IOVA + i * KIB4, (1ull << 32) + (uint64_t)(i * 7919u % 131072u) * KIB4, KIB4,
				      IOMMU_READ | IOMMU_WRITE), "map");
	bench_check(iommu_attach_group(bed->group, bed->domain), "attach");
}

static void close_bed(struct bed *bed)
{
	bench_check(iommu_detach_group(bed->group), "detach");
	bench_check(iommu_group_remove_device(bed->group, bed->device), "device");
	bench_check(iommu_group_free(bed->group), "group");
	bench_check(iommu_domain_free(bed->domain), "domain");
	machine_destroy(&bed->machine);
}

static inline uint64_t translate(struct bed *bed, uint64_t iova)
{
	struct iommu_request request;

	request.rid = RID;
	request.pasid = IOMMU_NO_PASID;
	request.addr = iova;
	request.access = IOMMU_READ;
	request.kind = IOMMU_REQUEST_UNTRANSLATED;
	request.lane = 0;
	bench_check(iommu_model_translate(&bed->machine.model, &request) == IOMMU_REQUEST_DONE ? 0 : -1, "translate");
	iommu_model_end(&bed->machine.model, &request);
	return request.phys;
}

/* ---- Measurements ---- */

static uint32_t order[ORDER];

static void choose_order(unsigned pages)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < ORDER; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		order[i] = (uint32_t)((state >> 33) % pages);
	}
}

static double time_model(struct bed *bed, unsigned rounds)
{
	double t = bench_now();

	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ORDER; i++)
			bench_keep(translate(bed, IOVA + order[i] * KIB4));
	return (bench_now() - t) / rounds / ORDER;
}

static double time_bare(unsigned rounds)
{
	double t = bench_now();

	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ORDER; i++)
			bench_keep(bare_look_up(RID, IOVA + order[i] * KIB4));
	return (bench_now() - t) / rounds / ORDER;
}

static void measure_hits(struct bench *bench, struct bed *bed, const struct machine_arch *arch, const struct count *count)
{
	unsigned rounds = bench->quick ? 2 : 8;
	double bare;

	open_bed(bed, arch, count->pages, LINES);
	choose_order(count->pages);
	for (unsigned i = 0; i < ORDER; i++) {
		uint64_t iova = IOVA + order[i] * KIB4;

		bare_lines[(iova >> 12 ^ RID) & (LINES - 1)] = (struct bare_line){ (uint64_t)RID << 40 | iova >> 12,
										 translate(bed, iova) };
	}
	bare = time_bare(rounds);
	bench_add(bench, count->name, arch->name, "a bare direct-mapped table", "ns", time_model(bed, rounds), bare);
	close_bed(bed);
}

/* With an IOTLB of one line, among many pages, nearly every translation walks. */
static void measure_misses(struct bench *bench, struct bed *bed, const struct machine_arch *arch)
{
	unsigned rounds = 1;
	double bare;

	open_bed(bed, arch, 1000, 1);
	choose_order(1000);
	bare = time_bare(rounds);
	bench_add(bench, miss_name, arch->name, "a bare direct-mapped table", "ns", time_model(bed, rounds), bare);
	close_bed(bed);
}

static void run(struct bench *bench)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bare_lines)
		bare_lines = calloc(LINES, sizeof(*bare_lines));
	bench_check(bed && bare_lines ? 0 : -1, "memory");
	for (unsigned a = 0; machine_archs[a]; a++) {
		for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			if (bench_wants(bench, counts[i].name, machine_archs[a]->name))
				measure_hits(bench, bed, machine_archs[a], &counts[i]);
		if (bench_wants(bench, miss_name, machine_archs[a]->name))
			measure_misses(bench, bed, machine_archs[a]);
	}
	free(bed);
}

const struct bench_suite bench_model = {
	.name = "model",
	.what = "a translation by a model, one thread",
	.run = run,
};
