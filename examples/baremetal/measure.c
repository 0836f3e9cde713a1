/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * measure.c - replace under live DMA: the first CPU switches domains, the second one makes the device do DMA, and every DMA is
 * judged by the page that it has changed.
 *
 * A window of IOVAs is mapped in two domains, in each to frames of its own. (An identity domain's frames are at the IOVAs
 * themselves.) `phase` counts: 2k is "stable after k switches", 2k + 1 "switch k + 1 is under way". It is read before a DMA is started and
 * after it is done. Equal and even: the DMA must have changed the frame of exactly the current domain. Otherwise that of the old
 * one or of the new one. Never none, nor another, nor may it be refused where both map the page. The last page of the window is
 * read-only in paging domains: there a write must be refused.
 */
#include "kernel.h"

#include "cpu.h"

#define PAGES 16u
#define READ_ONLY_PAGE (PAGES - 1)
#define MAX_SWITCHES 65536u
#define PACE_LEAST_NS 13000u		/* as the figures for Linux were measured: docs/baremetal.md */
#define PACE_MOST_NS 25000u
#define GAP_NS 340000u			/* between two switches, at most */
#define FAULTS_SHOWN 2u
#define SIGN_OF_LIFE_NS 10000000000u

struct object {
	struct iommu_domain *domain;
	bool identity;
	uint64_t frames[PAGES];
};

static struct iommu_unit *unit;
static struct iommu_group *group;
static uint64_t window;
static struct object objects[2];	/* the domain after k switches is objects[k & 1] */
static uint64_t *latencies[2];

/* What the two CPUs share. */
static uint64_t phase;
static struct {
	bool wanted, running;		/* the first CPU says, the second one answers */
	bool paced;
	unsigned directions;
	uint64_t seed;
	struct counts counts[2];	/* by direction */
	struct violation seen[2];
} dma;

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* ---- The second CPU: DMA ---- */

static unsigned direction_of(uint64_t switch_number)
{
	return dma.directions == 1 ? 0 : switch_number & 1;
}

static bool may_write(const struct object *object, unsigned page)
{
	return object->identity || page != READ_ONLY_PAGE;
}

static uint64_t *violated(unsigned direction, const char *what, uint64_t *counter, uint64_t iova, uint64_t before, uint64_t after)
{
	if (!dma.seen[direction].what)
		dma.seen[direction] = (struct violation){ what, iova, before, after };
	return counter;
}

/* One DMA to a random word of a random page, and its verdict. */
static void one_dma(void)
{
	uint64_t number = random_next(&dma.seed);
	unsigned page = number % PAGES, offset = (number >> 8) % (PAGE_SIZE / 4) * 4, reached = 0, allowed, writable;
	uint64_t iova = window + page * PAGE_SIZE + offset, before, after, k, *counter;
	struct counts *counts;
	unsigned d;
	bool done;

	/* Faults take time: one in 64 is enough. */
	if (page == READ_ONLY_PAGE && number >> 32 & 3)
		return;
	before = load(&phase);
	done = testdev_write(iova);
	after = load(&phase);
	for (unsigned i = 0; i < 2; i++) {
		volatile uint32_t *word = (volatile uint32_t *)(objects[i].frames[page] + offset);

		if (*word == TESTDEV_VALUE)
			reached |= 1u << i;
		*word = 0;
	}

	/* Sets of objects, as bits: that the DMA may have used; of these, those that let it write. */
	k = before / 2;
	allowed = 1u << (k & 1);
	if (after != before || (before & 1))
		allowed = 3;
	writable = 0;
	for (unsigned i = 0; i < 2; i++)
		if ((allowed & 1u << i) && may_write(&objects[i], page))
			writable |= 1u << i;

	/* It belongs to the switch that was under way, or else to the last one: number k or k - 1, counted from 0. */
	if (allowed != 3) {
		if (k == 0)
			return;
		k--;
	}
	d = direction_of(k);
	counts = &dma.counts[d];
	if (!done && !reached)
		counter = writable == allowed ? violated(d, "blocked", &counts->blocked, iova, before, after) : &counts->denied;
	else if (reached == 1u << (k & 1) && (reached & writable))
		counter = &counts->old;
	else if (reached == 1u << (~k & 1) && (reached & writable))
		counter = &counts->new;
	else if (reached == 1u << (k & 1) && may_write(&objects[k & 1], page))
		counter = violated(d, "stale", &counts->stale, iova, before, after);
	else
		counter = violated(d, reached ? "wrong permission" : "wrong page", &counts->wrong, iova, before, after);
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

void measure_dma(void)
{
	for (;;) {
		uint64_t next;

		while (!__atomic_load_n(&dma.wanted, __ATOMIC_ACQUIRE))
			cpu_relax();
		__atomic_store_n(&dma.running, true, __ATOMIC_RELEASE);
		next = clock_ns();
		while (__atomic_load_n(&dma.wanted, __ATOMIC_ACQUIRE)) {
			if (dma.paced) {
				next += PACE_LEAST_NS + random_next(&dma.seed) % (PACE_MOST_NS - PACE_LEAST_NS);
				/* After a pause of the whole machine there is no catching up. */
				if (next + PACE_MOST_NS < clock_ns())
					next = clock_ns();
				while (clock_ns() < next)
					cpu_relax();
			}
			one_dma();
		}
		__atomic_store_n(&dma.running, false, __ATOMIC_RELEASE);
	}
}

static void dma_run(bool run)
{
	__atomic_store_n(&dma.wanted, run, __ATOMIC_RELEASE);
	while (__atomic_load_n(&dma.running, __ATOMIC_ACQUIRE) != run)
		cpu_relax();
}

static uint64_t dmas_of(unsigned direction)
{
	const struct counts *c = &dma.counts[direction];

	return load(&c->old) + load(&c->new) + load(&c->blocked) + load(&c->wrong) + load(&c->stale);
}

/* ---- Faults, as the unit records them ---- */

static struct {
	uint64_t count;
	unsigned shown;
	bool expected;			/* the old ways block: not a word about most of it */
} faults;

static void on_fault(void *handle, const struct iommu_fault *fault)
{
	bool read_only = fault->iova / PAGE_SIZE == window / PAGE_SIZE + READ_ONLY_PAGE;

	(void)handle;
	if (fault->cause == IOMMU_FAULT_OVERFLOW)
		return;
	faults.count++;
	if ((read_only && !faults.expected) || faults.shown >= FAULTS_SHOWN)
		return;
	faults.shown++;
	print("  fault record: rid 0x%x, %s of 0x%lx, reason 0x%x: %s%s\n", fault->rid, fault->access & IOMMU_WRITE ? "write" : "read",
	      fault->iova, fault->reason, fault->text, fault->replacing ? " (during a replace)" : "");
}

static const struct iommu_attach_handle fault_handle = { .fault_handler = on_fault };

/* ---- The first CPU: domains ---- */

void measure_init(struct iommu_unit *of, struct iommu_group *which)
{
	unit = of;
	group = which;
	window = (uint64_t)pages_alloc(PAGES * PAGE_SIZE);
	for (unsigned d = 0; d < 2; d++)
		latencies[d] = pages_alloc(MAX_SWITCHES * sizeof(uint64_t));
	if (!window || !latencies[0] || !latencies[1])
		panic("out of memory");
	dma.seed = option_number("seed", 1) * 2 + 1;
	iommu_unit_set_fault_handler(unit, on_fault, NULL);
}

static struct iommu_domain_desc describe(const struct side *side)
{
	return (struct iommu_domain_desc){ .type = side->type, .stage = side->stage };
}

bool measure_supports(const struct side *side)
{
	const struct iommu_domain_desc desc = describe(side);
	struct iommu_domain *domain;

	if (iommu_domain_alloc(unit, &desc, &domain))
		return false;
	must(iommu_domain_free(domain), "iommu_domain_free");
	return true;
}

static void open_object(struct object *object, const struct side *side)
{
	const struct iommu_domain_desc desc = describe(side);

	must(iommu_domain_alloc(unit, &desc, &object->domain), "iommu_domain_alloc");
	object->identity = side->type == IOMMU_DOMAIN_IDENTITY;
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t iova = window + page * PAGE_SIZE;

		if (object->identity) {
			object->frames[page] = iova;
			continue;
		}
		object->frames[page] = (uint64_t)pages_alloc(PAGE_SIZE);
		if (!object->frames[page])
			panic("out of memory");
		must(iommu_map(object->domain, iova, object->frames[page], PAGE_SIZE,
			       page == READ_ONLY_PAGE ? IOMMU_READ : IOMMU_READ | IOMMU_WRITE), "iommu_map");
	}
}

static void close_object(struct object *object)
{
	if (!object->identity) {
		if (iommu_unmap(object->domain, window, PAGES * PAGE_SIZE) != PAGES * PAGE_SIZE)
			panic("iommu_unmap");
		/* A driver broken on purpose (kernel.c) leaves translations to them behind: they must not become anything else. */
		for (unsigned page = 0; page < PAGES && !port.review; page++)
			pages_free((void *)object->frames[page], PAGE_SIZE);
	}
	must(iommu_domain_free(object->domain), "iommu_domain_free");
}

/* ---- Switching ---- */

static void max_of(unsigned *highest, unsigned value)
{
	if (value > *highest)
		*highest = value;
}

static void replace(struct row *row, struct iommu_domain *domain)
{
	const struct iommu_replace_options options = { .handle = &fault_handle };
	struct iommu_replace_report report;

	must(iommu_group_replace_domain(group, domain, &options, &report), "iommu_group_replace_domain");
	row->hitless = row->hitless && report.hitless;
	row->strategy = iommu_strategy_name(report.strategy);
	row->why = report.why ? report.why : row->why;
	max_of(&row->cost.stores, report.cost.stores);
	max_of(&row->cost.commands, report.cost.commands);
	max_of(&row->cost.rounds, report.cost.rounds);
	max_of(&row->cost.polls, report.cost.polls);
}

static void detach_attach(struct row *row, struct iommu_domain *domain)
{
	must(iommu_detach_group(group), "iommu_detach_group");
	must(iommu_attach_group_handle(group, domain, &fault_handle), "iommu_attach_group");
	row->hitless = false;
	row->strategy = "break";
	row->why = "detach goes through the blocking domain";
}

/* Switch number k, counted from 0. */
static void one_switch(enum method method, struct row *row, uint64_t *latency, uint64_t k)
{
	struct iommu_domain *domain = objects[~k & 1].domain;
	uint64_t start, end;

	__atomic_store_n(&phase, 2 * k + 1, __ATOMIC_SEQ_CST);
	start = clock_ns();
	if (method == METHOD_REPLACE)
		replace(row, domain);
	else
		detach_attach(row, domain);
	end = clock_ns();
	__atomic_store_n(&phase, 2 * k + 2, __ATOMIC_SEQ_CST);
	latency[row->switches++] = end - start;
}

static void sort(uint64_t *numbers, unsigned count)
{
	unsigned gap = 1;

	while (gap < count / 3)
		gap = gap * 3 + 1;
	for (; gap; gap /= 3)
		for (unsigned i = gap; i < count; i++) {
			uint64_t number = numbers[i];
			unsigned j = i;

			for (; j >= gap && numbers[j - gap] > number; j -= gap)
				numbers[j] = numbers[j - gap];
			numbers[j] = number;
		}
}

unsigned measure_run(const struct transition *t, struct row *rows)
{
	static const char *const methods[METHODS] = { "replace", "attach-detach" };
	unsigned directions = text_equal(t->from.name, t->to.name) ? 1 : 2;
	uint64_t random = dma.seed, told = clock_ns();
	bool enough;

	open_object(&objects[0], &t->from);
	open_object(&objects[1], &t->to);
	for (unsigned d = 0; d < directions; d++)
		rows[d] = (struct row){
			.from = d ? t->to.name : t->from.name, .to = d ? t->from.name : t->to.name,
			.method = methods[t->method], .pace = t->paced ? "paced" : "saturated", .hitless = true,
		};
	must(iommu_attach_group_handle(group, objects[0].domain, &fault_handle), "iommu_attach_group");
	phase = 0;
	dma.directions = directions;
	dma.paced = t->paced;
	for (unsigned d = 0; d < 2; d++) {
		dma.counts[d] = (struct counts){ 0 };
		dma.seen[d] = (struct violation){ 0 };
	}
	faults.shown = 0;
	faults.expected = t->method != METHOD_REPLACE;

	dma_run(true);
	for (uint64_t k = 0;; k++) {
		unsigned d = direction_of(k);
		uint64_t until = clock_ns() + random_next(&random) % GAP_NS;

		while (clock_ns() < until)
			cpu_relax();
		faults.count = 0;
		iommu_unit_handle_faults(unit);
		rows[direction_of(k - (k > 0))].faults += faults.count;
		enough = true;
		for (unsigned i = 0; i < directions; i++)
			enough = enough && rows[i].switches >= t->switches && dmas_of(i) >= t->dmas;
		if (enough || rows[d].switches == MAX_SWITCHES)
			break;
		one_switch(t->method, &rows[d], latencies[d], k);
		/* On a busy machine a row takes its time. */
		if (clock_ns() - told > SIGN_OF_LIFE_NS) {
			told = clock_ns();
			print("  %lu switches\n", k + 1);
		}
	}
	dma_run(false);

	for (unsigned d = 0; d < directions; d++) {
		struct row *row = &rows[d];

		row->dma = dma.counts[d];
		row->seen = dma.seen[d];
		sort(latencies[d], row->switches);
		row->p50 = latencies[d][(row->switches - 1) / 2];
		row->p99 = latencies[d][(uint64_t)(row->switches - 1) * 99 / 100];
		row->max = latencies[d][row->switches - 1];
	}
	must(iommu_detach_group(group), "iommu_detach_group");
	close_object(&objects[0]);
	close_object(&objects[1]);
	return directions;
}
