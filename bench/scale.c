/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * scale.c - many devices, many domains, several threads: what each takes in memory, and whether a replace still costs what it costs
 * among few.
 *
 * As in replace.c the hardware is done inside the doorbell, so that no wait is measured. Every device is a group of its own, on one unit; a
 * replace takes a group and another domain at random. Times of one thread are CPU times; those of several, time on the wall, per replace
 * of all of them together.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "bench.h"
#include "instant.h"

#define KIB4 4096ull
#define GIB1 (1ull << 30)
#define RAM (1u << 30)
#define MAX_THREADS 4u

/* Of each architecture the mode with one entry a device: then it is that which counts. */
static const struct kind {
	const char *arch;
	unsigned entry_bytes;
} kinds[] = { { "vtd-legacy", 16 }, { "amdvi", 32 }, { "smmuv3", 64 }, { "riscv", 32 } };

enum row { DEVICE, DOMAIN, MAPPING, MANY, MANY_FROM_ALL, THREADS, UNMAPS, POLLS, ROWS };

static const char polls_name[] = "polls of a replace, a group of 16 devices";

static const char *const names[ROWS] = {
	"memory of a device, of 65536", "memory of a domain, of 4096", "memory of a mapping, of 262144 pages",
	"replace, among 65536 devices and 4096 domains", "replace, all of 65536 devices in one domain", "replace, 2 threads",
	"map + unmap a page, 2 threads in one domain, waits of 2 us", polls_name,
};

struct world {
	struct machine machine;
	struct instant instant;
	unsigned ndevices, ndomains;
	struct iommu_group **groups;
	struct iommu_device **devices;
	struct iommu_domain **domains;
	unsigned *in;		/* by device: which domain it is in */
	uint64_t devices_bytes, domains_bytes;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

static uint64_t bytes_in_use(struct world *w)
{
	return w->machine.frames_in_use * KIB4 + __atomic_load_n(&w->machine.heap_in_use, __ATOMIC_RELAXED);
}

static void *many(unsigned n, size_t bytes)
{
	void *array = calloc(n, bytes);

	bench_check(array ? 0 : -1, "memory");
	return array;
}

static void open_world(struct world *w, const struct machine_arch *arch, unsigned ndevices, unsigned ndomains)
{
	const struct machine_config config = { .arch = arch, .ram_bytes = RAM };
	const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	uint64_t before;

	w->ndevices = ndevices;
	w->ndomains = ndomains;
	w->groups = many(ndevices, sizeof(*w->groups));
	w->devices = many(ndevices, sizeof(*w->devices));
	w->domains = many(ndomains, sizeof(*w->domains));
	w->in = many(ndevices, sizeof(*w->in));
	bench_check(machine_create(&w->machine, &config), "machine");
	w->machine.firmware.last_device = ndevices - 1;
	bench_check(machine_start_unit(&w->machine), "unit");
	instant_take(&w->instant, instant_find(arch->name), &w->machine);
	before = bytes_in_use(w);
	for (unsigned i = 0; i < ndomains; i++) {
		bench_check(iommu_domain_alloc(w->machine.unit, &paging, &w->domains[i]), "domain");
		bench_check(iommu_map(w->domains[i], GIB1, KIB4 * (i + 1), KIB4, IOMMU_READ | IOMMU_WRITE), "map");
	}
	w->domains_bytes = bytes_in_use(w) - before;
	before = bytes_in_use(w);
	for (unsigned i = 0; i < ndevices; i++) {
		const struct iommu_device_desc desc = { .unit = w->machine.unit, .rids = { i }, .nrids = 1 };

		bench_check(iommu_group_alloc(&w->machine.port, &w->groups[i]), "group");
		bench_check(iommu_group_add_device(w->groups[i], &desc, &w->devices[i]), "device");
		w->in[i] = i % ndomains;
		bench_check(iommu_attach_group(w->groups[i], w->domains[w->in[i]]), "attach");
	}
	w->devices_bytes = bytes_in_use(w) - before;
}

static void close_world(struct world *w)
{
	for (unsigned i = 0; i < w->ndevices; i++) {
		bench_check(iommu_detach_group(w->groups[i]), "detach");
		bench_check(iommu_group_remove_device(w->groups[i], w->devices[i]), "device");
		bench_check(iommu_group_free(w->groups[i]), "group");
	}
	for (unsigned i = 0; i < w->ndomains; i++)
		bench_check(iommu_domain_free(w->domains[i]), "domain");
	instant_give_back(&w->instant);
	machine_destroy(&w->machine);
	free(w->groups);
	free(w->devices);
	free(w->domains);
	free(w->in);
}

static void replace(struct world *w, unsigned device, unsigned domain)
{
	bench_check(iommu_group_replace_domain(w->groups[device], w->domains[domain], NULL, NULL), "replace");
	w->in[device] = domain;
}

/* Devices [first, first + count), each time one of them and another domain than it is in. */
static void replace_some(struct world *w, unsigned first, unsigned count, unsigned n, uint64_t seed)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned device = first + (unsigned)(next_random(&seed) % count);
		unsigned step = w->ndomains > 2 ? (unsigned)(next_random(&seed) % (w->ndomains - 1)) : 0;

		replace(w, device, (w->in[device] + 1 + step) % w->ndomains);
	}
}

static double time_replaces(struct world *w, unsigned n)
{
	double t = bench_now();

	replace_some(w, 0, w->ndevices, n, 1);
	return (bench_now() - t) / n;
}

/* From one domain that all devices share to another and back. */
static double time_from_all(struct world *w, unsigned n)
{
	double t;

	for (unsigned i = 0; i < w->ndevices; i++)
		if (w->in[i])
			replace(w, i, 0);
	t = bench_now();
	for (unsigned i = 0; i < n; i++)
		replace(w, w->ndevices / 2, !(i & 1));
	return (bench_now() - t) / n;
}

/* ---- Several threads ---- */

static double wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct worker {
	struct world *world;
	void (*work)(const struct worker *worker);
	unsigned first, count, n;
	uint64_t seed;
	pthread_barrier_t *start;
	double begin, end;	/* told by the thread itself: who waits for it may be woken late */
};

static void replace_own(const struct worker *worker)
{
	replace_some(worker->world, worker->first, worker->count, worker->n, worker->seed);
}

/* A page of a GiB of its own; another one stays, so that no table comes and goes. */
static void unmap_own(const struct worker *worker)
{
	struct iommu_domain *domain = worker->world->domains[0];
	uint64_t iova = (5 + worker->seed) * GIB1;

	bench_check(iommu_map(domain, iova, KIB4, KIB4, IOMMU_READ), "map");
	for (unsigned i = 0; i < worker->n; i++) {
		bench_check(iommu_map(domain, iova + KIB4, KIB4, KIB4, IOMMU_READ), "map");
		bench_check(iommu_unmap(domain, iova + KIB4, KIB4) == KIB4 ? 0 : -1, "unmap");
	}
	bench_check(iommu_unmap(domain, iova, KIB4) == KIB4 ? 0 : -1, "unmap");
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->start);
	worker->begin = wall();
	worker->work(worker);
	worker->end = wall();
	return NULL;
}

/* Nanoseconds of one of `n` pieces of work, of all threads together; each has groups and addresses of its own. */
static double time_threads(struct world *w, void (*piece)(const struct worker *worker), unsigned threads, unsigned n)
{
	struct worker workers[MAX_THREADS];
	pthread_t ids[MAX_THREADS];
	pthread_barrier_t start;
	double begin, end;

	pthread_barrier_init(&start, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ w, piece, i * (w->ndevices / threads), w->ndevices / threads, n / threads, i + 1, &start, 0, 0 };
		bench_check(-pthread_create(&ids[i], NULL, work, &workers[i]), "thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	begin = workers[0].begin;
	end = workers[0].end;
	for (unsigned i = 1; i < threads; i++) {
		begin = workers[i].begin < begin ? workers[i].begin : begin;
		end = workers[i].end > end ? workers[i].end : end;
	}
	pthread_barrier_destroy(&start);
	return (end - begin) / n;
}

/* The hardware takes its time. (Where the driver would look whether it is done: with the locks that are held then.) */
static void wait_2us(void *ctx, const struct iommu_step *step)
{
	double end = wall() + 2000;

	(void)ctx;
	while (step->op == IOMMU_STEP_WAIT && step->poll && wall() < end)
		;
}

static double time_unmaps(struct world *w, unsigned threads, unsigned n)
{
	double t;

	w->machine.port.trace = wait_2us;
	t = time_threads(w, unmap_own, threads, n);
	w->machine.port.trace = NULL;
	return t;
}

/* ---- One group ---- */

#define GROUP 16u

/* How often the replace of a group of `n` devices looks whether the hardware is done. */
static unsigned polls_of(const struct machine_arch *arch, unsigned n)
{
	const struct machine_config config = { .arch = arch, .ram_bytes = 32u << 20 };
	const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	struct machine *machine = many(1, sizeof(*machine));
	struct iommu_domain *domains[2];
	struct iommu_device *devices[GROUP];
	struct iommu_replace_report report;
	struct iommu_group *group;

	bench_check(machine_create(machine, &config), "machine");
	bench_check(machine_start_unit(machine), "unit");
	bench_check(iommu_group_alloc(&machine->port, &group), "group");
	for (unsigned i = 0; i < n; i++) {
		const struct iommu_device_desc desc = { .unit = machine->unit, .rids = { i }, .nrids = 1 };

		bench_check(iommu_group_add_device(group, &desc, &devices[i]), "device");
	}
	for (unsigned i = 0; i < 2; i++)
		bench_check(iommu_domain_alloc(machine->unit, &paging, &domains[i]), "domain");
	bench_check(iommu_attach_group(group, domains[0]), "attach");
	bench_check(iommu_group_replace_domain(group, domains[1], NULL, &report), "replace");
	bench_check(iommu_detach_group(group), "detach");
	for (unsigned i = 0; i < n; i++)
		bench_check(iommu_group_remove_device(group, devices[i]), "device");
	bench_check(iommu_group_free(group), "group");
	for (unsigned i = 0; i < 2; i++)
		bench_check(iommu_domain_free(domains[i]), "domain");
	machine_destroy(machine);
	free(machine);
	return report.cost.polls;
}

/* ---- Rows ---- */

static void measure(struct bench *bench, const struct kind *kind, const struct machine_arch *arch, const char *const *name)
{
	unsigned ndevices = 65536, ndomains = 4096, n = bench->quick ? 20000 : 1000000;
	struct world *few = many(1, sizeof(*few)), *w = many(1, sizeof(*w));
	uint64_t before;
	double one;

	open_world(few, arch, 1, 2);
	one = time_replaces(few, n);
	close_world(few);

	open_world(w, arch, ndevices, ndomains);
	bench_add(bench, name[DEVICE], kind->arch, "its entry in the hardware's table", "bytes", (double)w->devices_bytes / ndevices,
		  kind->entry_bytes);
	bench_add(bench, name[DOMAIN], kind->arch, "a page", "bytes", (double)w->domains_bytes / ndomains, KIB4);
	bench_add(bench, name[MANY], kind->arch, "the same, of one device among two domains", "ns", time_replaces(w, n), one);
	bench_add(bench, name[THREADS], kind->arch, "the same, from one thread", "ns", time_threads(w, replace_own, 2, n),
		  time_threads(w, replace_own, 1, n));
	bench_add(bench, name[MANY_FROM_ALL], kind->arch, "the same, of one device among two domains", "ns", time_from_all(w, n), one);
	bench_add(bench, name[UNMAPS], kind->arch, "the same, from one thread", "ns", time_unmaps(w, 2, n / 4), time_unmaps(w, 1, n / 4));
	before = bytes_in_use(w);
	bench_check(iommu_map(w->domains[0], 4 * GIB1, KIB4, GIB1, IOMMU_READ | IOMMU_WRITE), "map");
	bench_add(bench, name[MAPPING], kind->arch, "its entry", "bytes", (double)(bytes_in_use(w) - before) / 262144, 8);
	close_world(w);
	free(few);
	free(w);
}

static void run(struct bench *bench)
{
	const char *const *name = names;

	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		const struct machine_arch *arch = NULL;
		bool worlds = false;

		for (unsigned a = 0; machine_archs[a]; a++)
			if (strcmp(machine_archs[a]->name, kinds[k].arch) == 0)
				arch = machine_archs[a];
		for (unsigned i = 0; i < ROWS; i++)
			worlds |= i != POLLS && bench_wants(bench, name[i], kinds[k].arch);
		if (worlds)
			measure(bench, &kinds[k], arch, name);
		if (bench_wants(bench, name[POLLS], kinds[k].arch))
			bench_add(bench, name[POLLS], kinds[k].arch, "a group of one", "polls", polls_of(arch, GROUP), polls_of(arch, 1));
	}
}

const struct bench_suite bench_scale = {
	.name = "scale",
	.what = "many devices, domains and threads: memory, and the time of a replace",
	.run = run,
};
