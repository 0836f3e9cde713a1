/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * viommu.c - what a guest's flips cost: devices that go between identity, the guest's memory and the guest's own first stage while they do
 * DMA, in two ways.
 *
 *	translation	hitless/viommu.h: a domain for each translation that there is, and a replace for each flip
 *	device		the old way: a domain for each device, which is emptied and mapped anew for each flip; a guest's first stage is
 *			copied into it, page by page ("shadowing")
 *
 * The machine is the model of a VT-d unit, in this process. A thread makes random devices read random pages of a window, while this one flips
 * devices. The guest's memory is as large as is asked for, in pages of 2 MiB; but for the window it is never touched.
 */
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hitless/viommu.h>

#include "machine.h"
#include "vtd.h"

#define MAX_DEVICES 64u
#define PAGES 16u
#define PAGE 4096ull
#define CHUNK (2ull << 20)		/* the guest's memory comes in these */
#define GUEST_MEMORY (1ull << 40)	/* where the guest has it; behind the window */
#define HOST_MEMORY (1ull << 41)	/* where it is: no two chunks side by side, so that nothing larger is mapped */
#define MAX_FLIPS 100000u

/* What a device's requests meet. Each has frames of its own for the window, so that one sees which it was. */
enum state { IDENTITY, MEMORY, FIRST_STAGE, STATES };

enum way { BY_TRANSLATION, BY_DEVICE, WAYS };

static const char *const way_names[WAYS] = { "translation", "device" };

struct scene {
	enum way way;
	unsigned ndevices;
	uint64_t chunks;		/* of the guest's memory */
	struct machine machine;
	uint64_t frames[STATES];	/* the first of PAGES */
	uint64_t window;
	struct iommu_group *groups[MAX_DEVICES];
	struct iommu_device *devices[MAX_DEVICES];
	enum state state[MAX_DEVICES];
	size_t before;			/* bytes in use without any domain */
	/* By translation: */
	struct iommu_domain *identity, *memory;
	struct viommu *viommu;
	uint64_t root;			/* of the guest's first stage */
	uint64_t entries[STATES][8];	/* what the guest's PASID-table entry says */
	/* By device: */
	struct iommu_domain *domains[MAX_DEVICES];
	/* The DMA thread: */
	pthread_t thread;
	unsigned stop;			/* atomic */
	uint64_t done, lost, wrong;
};

struct result {
	unsigned flips;
	uint64_t median_ns, worst_ns;
	uint64_t dmas, lost, wrong;
	size_t bytes;
	unsigned domains;
};

static _Noreturn void fail(const char *what, int err)
{
	fprintf(stderr, "viommu: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(int err, const char *what)
{
	if (err)
		fail(what, err);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t bytes_in_use(const struct scene *scene)
{
	return scene->machine.frames_in_use * PAGE + scene->machine.heap_in_use;
}

static uint32_t rid_of(unsigned device)
{
	return device / 31 << 8 | (1 + device % 31) << 3;
}

/* ---- Mappings ---- */

/* The window lies on the frames of `state`, and behind it is all of the guest's memory. It is mapped when half of that is: so long does a
 * page of the guest's wait, on average. */
static void map_all(struct scene *scene, struct iommu_domain *domain, enum state state)
{
	const unsigned rights = IOMMU_READ | IOMMU_WRITE;

	for (uint64_t i = 0; i < scene->chunks; i++) {
		if (i == scene->chunks / 2)
			must(iommu_map(domain, scene->window, scene->frames[state], PAGES * PAGE, rights), "iommu_map");
		must(iommu_map(domain, GUEST_MEMORY + i * CHUNK, HOST_MEMORY + 2 * i * CHUNK + (state == IDENTITY ? CHUNK : 0), CHUNK, rights),
		     "iommu_map");
	}
}

static void unmap_all(struct scene *scene, struct iommu_domain *domain)
{
	if (iommu_unmap(domain, scene->window, PAGES * PAGE) != PAGES * PAGE ||
	    iommu_unmap(domain, GUEST_MEMORY, scene->chunks * CHUNK) != (int64_t)(scene->chunks * CHUNK))
		fail("iommu_unmap", -EIO);
}

/* ---- By translation ---- */

/* The guest's tables are in its own memory, which the emulated unit reads; where its unit is off there is no entry to look at. */
static const void *guest_entry(void *ctx, uint32_t guest_rid, uint32_t pasid)
{
	struct scene *scene = ctx;

	(void)pasid;
	if (scene->state[guest_rid] == MEMORY)
		return &viommu_untranslated;
	return scene->entries[scene->state[guest_rid]];
}

/* What the guest's own driver makes: a page table, and entries of PASID tables. */
static void make_guest(struct scene *scene)
{
	uint64_t *entry = scene->entries[FIRST_STAGE];

	scene->root = machine_cpu_table(&scene->machine);
	for (unsigned i = 0; i < PAGES && scene->root; i++)
		must(machine_cpu_map(&scene->machine, MACHINE_GUEST_OFFSET, scene->root, scene->window + i * PAGE,
				     scene->frames[FIRST_STAGE] + i * PAGE, true), "the guest's page table");
	SET(VTD_PASID, P, entry, 1);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_FIRST);
	SET(VTD_PASID, DID, entry, 1);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, scene->root + MACHINE_GUEST_OFFSET);
	SET(VTD_PASID, P, scene->entries[IDENTITY], 1);
	SET(VTD_PASID, PGTT, scene->entries[IDENTITY], VTD_PGTT_PASS);
}

static void open_translations(struct scene *scene)
{
	struct viommu_desc desc = {
		.unit = scene->machine.unit, .port = &scene->machine.port, .entry = guest_entry, .ctx = scene,
	};
	const struct iommu_domain_desc identity = { .type = IOMMU_DOMAIN_IDENTITY }, memory = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

	must(iommu_domain_alloc(scene->machine.unit, &identity, &scene->identity), "the identity domain");
	must(iommu_domain_alloc(scene->machine.unit, &memory, &scene->memory), "the guest's memory");
	must(machine_map_guest(&scene->machine, scene->memory), "the guest's memory");
	map_all(scene, scene->memory, MEMORY);
	desc.parent = scene->memory;
	desc.bypass = scene->identity;
	must(viommu_create(&desc, &scene->viommu), "viommu_create");
	for (unsigned i = 0; i < scene->ndevices; i++)
		must(viommu_add_device(scene->viommu, scene->groups[i], scene->devices[i], i), "viommu_add_device");
}

static void close_translations(struct scene *scene)
{
	for (unsigned i = 0; i < scene->ndevices; i++)
		must(viommu_remove_device(scene->viommu, i), "viommu_remove_device");
	must(viommu_destroy(scene->viommu), "viommu_destroy");
	must(iommu_domain_free(scene->memory), "iommu_domain_free");
	must(iommu_domain_free(scene->identity), "iommu_domain_free");
}

/* ---- By device ---- */

static void open_devices(struct scene *scene)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

	for (unsigned i = 0; i < scene->ndevices; i++) {
		must(iommu_domain_alloc(scene->machine.unit, &desc, &scene->domains[i]), "a device's domain");
		map_all(scene, scene->domains[i], scene->state[i]);
		must(iommu_attach_group(scene->groups[i], scene->domains[i]), "iommu_attach_group");
	}
}

static void close_devices(struct scene *scene)
{
	for (unsigned i = 0; i < scene->ndevices; i++) {
		must(iommu_detach_group(scene->groups[i]), "iommu_detach_group");
		must(iommu_domain_free(scene->domains[i]), "iommu_domain_free");
	}
}

/* ---- A flip ---- */

static void flip(struct scene *scene, unsigned device)
{
	scene->state[device] = (scene->state[device] + 1) % STATES;
	if (scene->way == BY_TRANSLATION) {
		must(viommu_entry_changed(scene->viommu, device, IOMMU_NO_PASID, NULL), "viommu_entry_changed");
		return;
	}
	unmap_all(scene, scene->domains[device]);
	map_all(scene, scene->domains[device], scene->state[device]);
}

/* ---- DMA ---- */

/* Which of the three it met is not told apart here: hitless run does that. A frame of none of them, or of another page, is wrong. */
static void one_dma(struct scene *scene)
{
	uint64_t number = machine_random();
	unsigned device = (unsigned)(number >> 33) % scene->ndevices, page = (unsigned)(number >> 20) % PAGES;
	struct machine_dma dma = {
		.rid = rid_of(device), .pasid = IOMMU_NO_PASID, .iova = scene->window + page * PAGE, .access = IOMMU_READ,
	};
	bool right = false;

	machine_dma(&scene->machine, &dma);
	for (unsigned i = 0; i < STATES; i++)
		right |= dma.phys == scene->frames[i] + page * PAGE;
	scene->done += dma.done;
	scene->lost += !dma.done;
	scene->wrong += dma.done && !right;
}

static void *do_dma(void *ctx)
{
	struct scene *scene = ctx;

	machine_seed_thread(7);
	for (unsigned n = 0; !__atomic_load_n(&scene->stop, __ATOMIC_ACQUIRE); n++) {
		one_dma(scene);
		/* There may be fewer CPUs than threads. */
		if (n % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* ---- The scene ---- */

static void open_scene(struct scene *scene, enum way way, unsigned devices, unsigned gib)
{
	const struct machine_config config = {
		.arch = machine_arch_by_name("vtd"), .nested = true, .seed = 1, .ram_bytes = 128u << 20,
	};
	uint64_t frames;

	memset(scene, 0, sizeof(*scene));
	scene->way = way;
	scene->ndevices = devices;
	scene->chunks = ((uint64_t)gib << 30) / CHUNK;
	must(machine_create(&scene->machine, &config), "the machine");
	must(machine_start_unit(&scene->machine), "the unit");
	frames = machine_reserve_frames(&scene->machine, STATES * PAGES);
	for (unsigned i = 0; i < STATES; i++)
		scene->frames[i] = frames + i * PAGES * PAGE;
	scene->window = scene->frames[IDENTITY];
	for (unsigned i = 0; i < devices; i++) {
		const struct iommu_device_desc desc = { .unit = scene->machine.unit, .rids = { rid_of(i) }, .nrids = 1 };

		machine_add_function(&scene->machine, rid_of(i));
		must(iommu_group_alloc(&scene->machine.port, &scene->groups[i]), "iommu_group_alloc");
		must(iommu_group_add_device(scene->groups[i], &desc, &scene->devices[i]), "iommu_group_add_device");
		must(iommu_group_claim_dma_owner(scene->groups[i], scene), "iommu_group_claim_dma_owner");
	}
	make_guest(scene);
	scene->before = bytes_in_use(scene);
	if (way == BY_TRANSLATION)
		open_translations(scene);
	else
		open_devices(scene);
}

static void close_scene(struct scene *scene)
{
	if (scene->way == BY_TRANSLATION)
		close_translations(scene);
	else
		close_devices(scene);
	machine_cpu_free(&scene->machine, MACHINE_GUEST_OFFSET, scene->root);
	for (unsigned i = 0; i < scene->ndevices; i++) {
		must(iommu_group_release_dma_owner(scene->groups[i]), "iommu_group_release_dma_owner");
		must(iommu_group_remove_device(scene->groups[i], scene->devices[i]), "iommu_group_remove_device");
		must(iommu_group_free(scene->groups[i]), "iommu_group_free");
	}
	machine_destroy(&scene->machine);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void find_size(const struct scene *scene, struct result *result)
{
	size_t bytes = bytes_in_use(scene) - scene->before;
	struct viommu_info info = { .domains = scene->ndevices };

	if (scene->way == BY_TRANSLATION)
		viommu_get_info(scene->viommu, &info);
	/* Identity and the guest's memory are domains too. */
	info.domains += scene->way == BY_TRANSLATION ? 2 : 0;
	if (bytes > result->bytes)
		result->bytes = bytes;
	if (info.domains > result->domains)
		result->domains = info.domains;
}

static struct result measure(enum way way, unsigned devices, unsigned gib, double seconds)
{
	static struct scene scene;
	static uint64_t times[MAX_FLIPS];
	struct result result = { 0 };
	uint64_t end;

	open_scene(&scene, way, devices, gib);
	must(-pthread_create(&scene.thread, NULL, do_dma, &scene), "a thread");
	end = now_ns() + (uint64_t)(seconds * 1e9);
	/* Each device through all states at least once. */
	while (result.flips < MAX_FLIPS && (result.flips < devices * STATES || now_ns() < end)) {
		uint64_t start = now_ns();

		flip(&scene, result.flips % devices);
		times[result.flips++] = now_ns() - start;
		if (result.flips % devices == 0)
			find_size(&scene, &result);
		/* Time for some DMA between two flips. */
		for (uint64_t until = now_ns() + 20000; now_ns() < until;)
			sched_yield();
	}
	__atomic_store_n(&scene.stop, 1, __ATOMIC_RELEASE);
	pthread_join(scene.thread, NULL);
	qsort(times, result.flips, sizeof(times[0]), by_size);
	result.median_ns = times[result.flips / 2];
	result.worst_ns = times[result.flips - 1];
	result.dmas = scene.done + scene.lost;
	result.lost = scene.lost;
	result.wrong = scene.wrong;
	close_scene(&scene);
	return result;
}

/* ---- The picture ---- */

static FILE *open_in(const char *dir, const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	if (!file) {
		fprintf(stderr, "viommu: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return file;
}

static const unsigned device_counts[] = { 1, 8, 64 }, sizes[] = { 1, 4, 64 };
#define COUNTS (sizeof(device_counts) / sizeof(device_counts[0]))
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void plot(const char *dir, struct result results[COUNTS][SIZES][WAYS])
{
	FILE *data, *script;
	int status = -1;
	pid_t pid;

	if (mkdir(dir, 0777) && errno != EEXIST) {
		fprintf(stderr, "viommu: %s: %s\n", dir, strerror(errno));
		exit(2);
	}
	data = open_in(dir, "viommu.dat");
	for (unsigned way = 0; way < WAYS; way++)
		for (unsigned n = 0; n < COUNTS; n++) {
			fprintf(data, "# GiB, us of the median flip: a domain per %s, %u devices\n", way_names[way], device_counts[n]);
			for (unsigned size = 0; size < SIZES; size++)
				fprintf(data, "%u %.3f\n", sizes[size], (double)results[n][size][way].median_ns / 1e3);
			fprintf(data, "\n\n");
		}
	fclose(data);
	script = open_in(dir, "viommu.gnuplot");
	fprintf(script, "set terminal svg size 900,560 font 'Helvetica,14' background '#ffffff'\nset output 'viommu.svg'\n"
			"set title 'One flip of one device between identity, memory and the guest''s first stage'\n"
			"set logscale xy\nset xlabel 'guest memory, GiB'\nset ylabel 'us'\nset xrange [0.8:80]\nset xtics (1, 4, 64)\n"
			"set grid\nset key outside right\nplot ");
	for (unsigned way = 0; way < WAYS; way++)
		for (unsigned n = 0; n < COUNTS; n++)
			fprintf(script, "%s'viommu.dat' index %u with linespoints lw 2 dt %u pt %u lc rgb '%s' title 'per %s, %u device%s'",
				way + n ? ", " : "", way * (unsigned)COUNTS + n, n + 1, 5 + 2 * n, way == BY_TRANSLATION ? "#54a24b" : "#d62728",
				way_names[way], device_counts[n], device_counts[n] > 1 ? "s" : "");
	fprintf(script, "\n");
	fclose(script);
	pid = fork();
	if (pid == 0) {
		if (chdir(dir) == 0)
			execlp("gnuplot", "gnuplot", "viommu.gnuplot", (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (status == 0)
		printf("%s/viommu.svg is the picture.\n", dir);
	else
		printf("%s has the data and the script, but no picture: gnuplot is missing or failed (Debian: gnuplot-nox).\n", dir);
}

/* ---- Options, and all of it ---- */

struct options {
	double seconds;
	const char *dir;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;

	switch (key) {
	case 's':
		options->seconds = strtod(arg, &end);
		if (*end || end == arg || !(options->seconds >= 0) || options->seconds > 3600)
			argp_error(state, "--seconds: '%s' is not a number of seconds", arg);
		return 0;
	case 'q':
		options->seconds = 0.02;
		return 0;
	case 'p':
		options->dir = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option list[] = {
		{ "seconds", 's', "S", 0, "How long each row takes at least (0.6)", 0 },
		{ "quick", 'q', NULL, 0, "Just see that it works", 0 },
		{ "plot", 'p', "DIR", 0, "Write the data, a gnuplot script and a picture there", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		list, parse, NULL, "Devices of a guest flip between identity, the guest's memory and the guest's own first stage while they do "
		"DMA: with a domain per translation, and with a domain per device that is mapped anew.", NULL, NULL, NULL,
	};
	static struct result results[COUNTS][SIZES][WAYS];
	struct options options = { .seconds = 0.6 };
	bool terminal = isatty(2), sound = true;

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	printf("devices  guest   a domain per  domains  memory KiB    flips  us per flip  us at worst      DMAs     lost  lost per flip\n");
	for (unsigned n = 0; n < COUNTS; n++)
		for (unsigned size = 0; size < SIZES; size++)
			for (unsigned way = 0; way < WAYS; way++) {
				struct result *r = &results[n][size][way];

				if (terminal)
					fprintf(stderr, "\r%u devices, %u GiB, a domain per %s ...\033[K\r", device_counts[n], sizes[size],
						way_names[way]);
				*r = measure(way, device_counts[n], sizes[size], options.seconds);
				printf("%7u  %2u GiB  %-12s  %7u  %10zu  %7u  %11.1f  %11.1f  %8llu  %7llu  %13.2f\n", device_counts[n], sizes[size],
				       way_names[way], r->domains, r->bytes / 1024, r->flips, (double)r->median_ns / 1e3,
				       (double)r->worst_ns / 1e3, (unsigned long long)r->dmas, (unsigned long long)r->lost,
				       (double)r->lost / r->flips);
				fflush(stdout);
				sound &= !r->wrong && (way == BY_DEVICE || !r->lost);
			}
	if (options.dir)
		plot(options.dir, results);
	if (!sound)
		fprintf(stderr, "viommu: a DMA was lost or went astray where none may\n");
	return sound ? 0 : 10;
}
