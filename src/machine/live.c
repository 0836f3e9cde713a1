/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* live.c - replace under live DMA; see live.h. */
#include "live.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FRAME HITLESS_PAGE_SIZE
#define MAX_THREADS 16
#define BESIDE 4		/* objects of a PASID's bystanders: this one and the next */
#define MAX_OBJECTS 6		/* two a side, so that a tag that is freed soon belongs to another table */
#define IDENTITY_SET MAX_OBJECTS /* the frames whose physical addresses are the window's IOVAs */
#define SETS (MAX_OBJECTS + 1)
#define FIRST_SLOT 8		/* word 0 of a page is its mark */
#define LOG_EVENTS 1024
#define DMAS_PER_YIELD 32	/* there may be fewer CPUs than threads */
#define PATIENCE 12		/* DMAs before every step of a patient driver */
#define DMAS_PER_LAZY_TICK 4	/* ... and of the unit that goes with it */
#define SWITCHES_PER_FAULT_POLL 64
#define DMAS_PER_DENIED 16
#define FAR_PASID 300u		/* in another table than PASID 1 */

/* What a table of so many levels does not reach: 3, 4, 5. */
static const uint64_t beyond[] = { 1ull << 39, 1ull << 48, 1ull << 57 };
#define BEYOND (sizeof(beyond) / sizeof(beyond[0]))

#define NOBODY 0xff		/* owner of a frame that no current object maps */

struct object {
	const struct live_kind *kind;
	struct iommu_domain *domain;
	unsigned set;			/* of frames */
	uint64_t root;			/* external and nested: the table that is not the domain's */
	uint64_t page;			/* nested: what else the guest has of it */
	struct iommu_domain *parent;	/* nested */
};

struct owner {
	uint8_t object, page;
};

/* What one function does on one thread. */
struct engine {
	uint32_t rid, pasid;
	unsigned slot, lane;
	unsigned device;		/* as in struct live_event */
	int object;			/* a bystander's; -1: of the group */
	uint64_t sequence;
	uint64_t done;			/* atomic: DMAs by direction, as live_total() counts them */
	uint64_t done_back;
	struct live_counts counts[2];
	uint64_t spanning[2];		/* blocked, but over several switches, by the direction of the first: see add_spanning() */
	struct live_event *log;
	unsigned nlog;
	unsigned logging;		/* atomic: live.recording as the engine knows it */
} __attribute__((aligned(128)));

struct thread {
	struct live *live;
	pthread_t id;
	unsigned number;
	struct engine **engines;
	unsigned nengines;
};

struct party {
	struct iommu_group *group;
	struct iommu_device *devices[LIVE_MAX_DEVICES];
	unsigned ndevices;
	bool owned;
};

struct direction {
	unsigned switches;
	bool disruptive;
	enum iommu_strategy strategy;
	const char *why;
	struct iommu_cost cost;
	unsigned requesters;
	uint64_t *latency;
	size_t capacity;
	struct live_counts found;	/* by the switching thread and the caller */
	char seen[256];
};

struct live {
	struct live_config config;
	struct machine machine;
	bool machine_up;
	struct object objects[MAX_OBJECTS];
	struct iommu_domain *guests[2];	/* parents of nested objects; NULL: not needed */
	unsigned per_side[2];
	unsigned npages;		/* with the spare ones */
	int read_only;			/* the page of the window that is; -1: none */
	uint64_t window;		/* IOVA */
	uint64_t first_frame;
	struct owner *owners;
	uint64_t *snapshot;		/* slots of the domain that the last switch has left */
	bool watching;
	struct party parties[3];	/* the group, the bystanders at `from` and at `to` */
	unsigned nparties;
	struct engine *engines;
	unsigned nengines;
	struct thread threads[MAX_THREADS];
	unsigned nthreads, started;
	unsigned denied;		/* what requests with PASID are denied everywhere: IOMMU_EXEC, IOMMU_PRIV */
	unsigned run;			/* atomic */
	uint64_t phase __attribute__((aligned(128)));	/* atomic */
	unsigned recording;		/* atomic: the switch that is recorded, 0: none; read as often as `phase` */
	pthread_mutex_t lock __attribute__((aligned(128))); /* seen, found */
	struct direction directions[2];
	struct iommu_cost steps;	/* of the switch under way */
	enum iommu_strategy strategy;	/* ... where no report says it */
	unsigned grown, growths;	/* LIVE_GROW: how many levels the domain has got, and how many it can get */
	struct live_mark *marks;
	unsigned nmarks, max_marks;
};

/* Is this thread switching? Others map and unmap, and their steps are not counted. */
static __thread bool switching;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Who is where ---- */

/* The object that the group is in after `n` switches. */
static unsigned object_after(const struct live *live, uint64_t n)
{
	unsigned side = n & 1;

	if (live->config.method == LIVE_GROW)
		return 0;
	return side * 2 + (unsigned)(n >> 1) % live->per_side[side];
}

static bool same_kind(const struct live_kind *a, const struct live_kind *b)
{
	return a->type == b->type && a->stage == b->stage && a->levels == b->levels && a->dirty == b->dirty &&
	       a->other_parent == b->other_parent;
}

/* Of the n-th switch, counted from 1. */
static unsigned direction_of(const struct live *live, uint64_t n)
{
	if (same_kind(&live->config.kind[0], &live->config.kind[1]))
		return 0;
	return n && (n - 1) & 1;
}

/* Pages lie in an object's frames in an order of its own, so that no two objects agree by chance. */
static unsigned frame_index(const struct live *live, unsigned set, unsigned page)
{
	unsigned shift = set == IDENTITY_SET ? 0 : set + 1;

	return set * live->npages + (page + shift) % live->npages;
}

static uint64_t set_frame(const struct live *live, unsigned set, unsigned page)
{
	return live->first_frame + (uint64_t)frame_index(live, set, page) * FRAME;
}

static uint64_t mark_of(const struct live *live, unsigned set, unsigned page)
{
	return 0x486974u | (uint64_t)(frame_index(live, set, page) + 1) << 32;
}

static uint64_t *word_at(struct live *live, uint64_t frame, unsigned word)
{
	return (uint64_t *)machine_virt(&live->machine, frame) + word;
}

static const struct owner *owner_of(const struct live *live, uint64_t phys)
{
	uint64_t index = (phys - live->first_frame) / FRAME;

	return phys >= live->first_frame && index < (uint64_t)SETS * live->npages ? &live->owners[index] : NULL;
}

/* ---- The verdict ---- */

static void describe_place(const struct live *live, uint64_t phys, char *text, size_t size)
{
	static const char *const names[MAX_OBJECTS] = { "`from`", "`from` (the second)", "`to`", "`to` (the second)",
						"the first bystander's", "the second bystander's" };
	const struct owner *owner = owner_of(live, phys);

	if (!owner || owner->object == NOBODY)
		snprintf(text, size, "0x%llx, which belongs to neither", (unsigned long long)phys);
	else
		snprintf(text, size, "page %u of %s", owner->page, names[owner->object]);
}

/* Keeps the first violation of each direction, in words. */
static void note(struct live *live, const struct engine *engine, enum live_outcome outcome, uint64_t p0, uint64_t p1,
		 unsigned page, const struct machine_dma *dma)
{
	const char *what = outcome == LIVE_BLOCKED ? "blocked" : outcome == LIVE_WRONG ? "wrong" : "stale";
	uint64_t n = p0 / 2 + (p1 > p0 || (p0 & 1));
	struct direction *direction = &live->directions[direction_of(live, n)];
	char when[64], place[96];

	if (direction->seen[0])
		return; /* a glance without the lock would be enough; the lock makes it certain */
	if (p0 == p1 && !(p0 & 1))
		snprintf(when, sizeof(when), "after switch %llu had returned", (unsigned long long)n);
	else
		snprintf(when, sizeof(when), "during switch %llu", (unsigned long long)n);
	if (dma->done)
		describe_place(live, dma->phys, place, sizeof(place));
	else
		snprintf(place, sizeof(place), "a fault: %s", iommu_model_reason(&live->machine.model, dma->reason));
	snprintf(direction->seen, sizeof(direction->seen), "%s: %02x:%02x.%x%s, %s of page %u %s, met %s", what,
		 engine->rid >> 8 & 0xff, engine->rid >> 3 & 0x1f, engine->rid & 7, engine->object < 0 ? "" : " (a bystander)",
		 dma->access & IOMMU_WRITE ? "write" : "read", page, when, place);
}

static enum live_outcome judge_bystander(const struct live *live, const struct engine *engine, unsigned page,
					 const struct machine_dma *dma)
{
	const struct owner *owner = dma->done ? owner_of(live, dma->phys) : NULL;

	if (!dma->done)
		return live->objects[engine->object].kind->type == IOMMU_DOMAIN_BLOCKED ? LIVE_UNCOUNTED : LIVE_BLOCKED;
	return owner && owner->object == engine->object && owner->page == page ? LIVE_UNCOUNTED : LIVE_WRONG;
}

/* What the DMA may have met are the objects after `first` to after `last` switches. */
static enum live_outcome judge_place(const struct live *live, uint64_t p0, uint64_t p1, unsigned page,
				     const struct machine_dma *dma)
{
	uint64_t first = p0 / 2, last = (p1 + 1) / 2, n = first + (p1 > p0 || (p0 & 1));
	const struct owner *owner = dma->done ? owner_of(live, dma->phys) : NULL;

	if (dma->done && (!owner || owner->object == NOBODY || owner->page != page))
		return LIVE_WRONG;
	for (uint64_t i = last + 1; i-- > first;) {
		unsigned object = object_after(live, i);
		bool met = dma->done ? owner->object == object : live->objects[object].kind->type == IOMMU_DOMAIN_BLOCKED;

		if (met)
			return i >= n ? LIVE_NEW : LIVE_OLD;
	}
	if (!dma->done)
		return LIVE_BLOCKED;
	return first && owner->object == object_after(live, first - 1) ? LIVE_STALE : LIVE_WRONG;
}

static enum live_outcome judge(const struct live *live, const struct engine *engine, uint64_t p0, uint64_t p1, unsigned page,
			       const struct machine_dma *dma)
{
	const struct owner *owner;

	if ((int)page == live->read_only && (dma->access & IOMMU_WRITE))
		return dma->done ? LIVE_WRONG : LIVE_UNCOUNTED;
	if (page >= live->config.pages && !dma->done)
		return LIVE_UNCOUNTED;
	if (dma->access & (IOMMU_EXEC | IOMMU_PRIV))
		return dma->done ? LIVE_WRONG : LIVE_UNCOUNTED;
	if (dma->done && !(dma->access & IOMMU_WRITE)) {
		owner = owner_of(live, dma->phys);
		if (!owner || dma->value != 0x486974u + ((uint64_t)(owner - live->owners + 1) << 32))
			return LIVE_WRONG;
	}
	return engine->object < 0 ? judge_place(live, p0, p1, page, dma) : judge_bystander(live, engine, page, dma);
}

/* ---- Devices ---- */

static void count(struct live *live, struct engine *engine, enum live_outcome outcome, uint64_t p0, uint64_t p1, unsigned page,
		  const struct machine_dma *dma)
{
	uint64_t first = p0 / 2 + (p1 > p0 || (p0 & 1)), last = (p1 + 1) / 2;
	unsigned direction = direction_of(live, first);
	struct live_counts *counts = &engine->counts[direction];
	bool spanning = outcome == LIVE_BLOCKED && last > first;

	switch (outcome) {
	case LIVE_OLD:
		counts->old++;
		break;
	case LIVE_NEW:
		counts->new++;
		break;
	case LIVE_BLOCKED:
		*(spanning ? &engine->spanning[direction] : &counts->blocked) += 1;
		break;
	case LIVE_WRONG:
		counts->wrong++;
		break;
	case LIVE_STALE:
		counts->stale++;
		break;
	case LIVE_UNCOUNTED:
		counts->denied += !dma->done;
		counts->bystanders += engine->object >= 0 && dma->done;
		return;
	}
	__atomic_store_n(direction ? &engine->done_back : &engine->done,
			 (direction ? engine->done_back : engine->done) + 1, __ATOMIC_RELAXED);
	if (outcome >= LIVE_BLOCKED && outcome <= LIVE_STALE && !spanning) {
		pthread_mutex_lock(&live->lock);
		note(live, engine, outcome, p0, p1, page, dma);
		pthread_mutex_unlock(&live->lock);
	}
}

static void log_event(struct engine *engine, uint64_t begin, uint64_t p1, enum live_outcome outcome, unsigned page, bool write)
{
	/* Before the recorded switch, what is new after the one before is old. */
	if (outcome == LIVE_NEW && p1 <= 2ull * (engine->logging - 1))
		outcome = LIVE_OLD;
	if (engine->nlog < LOG_EVENTS)
		engine->log[engine->nlog++] = (struct live_event){
			.begin = begin,
			.end = now_ns(),
			.outcome = (uint8_t)outcome,
			.device = (uint8_t)engine->device,
			.page = (uint8_t)page,
			.write = write,
		};
}

static void one_dma(struct live *live, struct engine *engine)
{
	uint64_t number = machine_random();
	unsigned page = (unsigned)(number >> 32) % live->npages;
	unsigned recording = __atomic_load_n(&live->recording, __ATOMIC_ACQUIRE);
	bool write = number & 1;
	struct machine_dma dma = {
		.rid = engine->rid,
		.pasid = engine->pasid,
		.iova = live->window + (uint64_t)page * FRAME,
		.access = write ? IOMMU_WRITE : IOMMU_READ,
		.lane = engine->lane,
		.ats = live->config.ats && machine_ats_enabled(&live->machine, engine->rid),
	};
	enum live_outcome outcome;
	uint64_t p0, p1, begin = 0;

	/* Now and then a request that no page allows. */
	if (!write && engine->pasid != IOMMU_NO_PASID && live->denied && (number >> 8) % DMAS_PER_DENIED == 0)
		dma.access |= number & 1ull << 16 ? live->denied & IOMMU_EXEC : live->denied & IOMMU_PRIV;
	if (write) {
		dma.iova += (FIRST_SLOT + engine->slot) * 8ull;
		dma.value = ++engine->sequence;
	}
	if (recording != engine->logging) {
		if (recording)
			engine->nlog = 0;
		__atomic_store_n(&engine->logging, recording, __ATOMIC_RELEASE);
	}
	if (recording)
		begin = now_ns();
	p0 = __atomic_load_n(&live->phase, __ATOMIC_ACQUIRE);
	machine_dma(&live->machine, &dma);
	p1 = __atomic_load_n(&live->phase, __ATOMIC_ACQUIRE);
	outcome = judge(live, engine, p0, p1, page, &dma);
	if (recording)
		log_event(engine, begin, p1, outcome, page, write);
	count(live, engine, outcome, p0, p1, page, &dma);
}

static void *device_thread(void *arg)
{
	const struct thread *thread = arg;
	struct live *live = thread->live;
	unsigned turn = 0;

	machine_seed_thread(live->config.seed * MAX_THREADS + thread->number);
	__atomic_add_fetch(&live->machine.clocked, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&live->run, __ATOMIC_ACQUIRE)) {
		one_dma(live, thread->engines[turn % thread->nengines]);
		/* The devices' threads are the hardware: they make the unit's queue go on. */
		if (!live->config.patient || turn % DMAS_PER_LAZY_TICK == 0)
			iommu_model_tick(&live->machine.model);
		if (++turn % DMAS_PER_YIELD == 0)
			sched_yield();
	}
	__atomic_sub_fetch(&live->machine.clocked, 1, __ATOMIC_ACQ_REL);
	return NULL;
}

static uint64_t all_dmas(const struct live *live)
{
	return live_dmas(live, 0) + live_dmas(live, 1);
}

uint64_t live_dmas(const struct live *live, unsigned direction)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < live->nengines; i++)
		sum += __atomic_load_n(direction ? &live->engines[i].done_back : &live->engines[i].done, __ATOMIC_RELAXED);
	return sum;
}

void live_dwell(struct live *live, uint64_t dmas)
{
	uint64_t until = all_dmas(live) + dmas;

	while (all_dmas(live) < until && live->started)
		sched_yield();
}

/* ---- Hooks ---- */

static void on_review(void *ctx, struct iommu_plan *plan)
{
	struct live *live = ((struct machine *)ctx)->observer;

	if (!switching)
		return;
	if (plan->strategy > live->strategy)
		live->strategy = plan->strategy;
	if (live->config.review)
		live->config.review(live->config.review_ctx, plan);
}

static void on_step(void *ctx, const struct iommu_step *step)
{
	struct live *live = ((struct machine *)ctx)->observer;

	if (!switching)
		return;
	/* Before what the hardware sees, but not before a page is freed: whoever may still read it must not be let finish. */
	if (live->config.patient && live->started &&
	    (step->op == IOMMU_STEP_STORE || step->op == IOMMU_STEP_INVALIDATE || step->op == IOMMU_STEP_WAIT))
		live_dwell(live, PATIENCE);
	live->steps.stores += step->op == IOMMU_STEP_STORE;
	live->steps.commands += step->op == IOMMU_STEP_INVALIDATE;
	live->steps.rounds += step->op == IOMMU_STEP_WAIT;
	live->steps.polls += step->op == IOMMU_STEP_WAIT && step->poll;
	if (live->nmarks < live->max_marks)
		live->marks[live->nmarks++] = (struct live_mark){ .at = now_ns(), .step = *step };
}

/* ---- Late writes ---- */

/* Remembers what the group's devices have written into the frames of the object that has just been left. */
static void watch(struct live *live, unsigned object, bool compare, uint64_t n)
{
	uint64_t *saved = live->snapshot, late = 0;
	unsigned at_page = 0;

	if (live->objects[object].kind->type == IOMMU_DOMAIN_BLOCKED || live->config.method == LIVE_GROW)
		return;
	for (unsigned page = 0; page < live->config.pages; page++)
		for (unsigned i = 0; i < live->nengines; i++) {
			const struct engine *engine = &live->engines[i];
			uint64_t found;

			if (engine->object >= 0)
				continue;
			found = __atomic_load_n(word_at(live, set_frame(live, live->objects[object].set, page),
							FIRST_SLOT + engine->slot), __ATOMIC_ACQUIRE);
			if (compare && found != *saved) {
				late++;
				at_page = page;
			}
			*saved++ = found;
		}
	if (late) {
		struct direction *direction = &live->directions[direction_of(live, n)];

		pthread_mutex_lock(&live->lock);
		direction->found.stale += late;
		if (!direction->seen[0])
			snprintf(direction->seen, sizeof(direction->seen),
				 "stale: a write to page %u landed in the old domain after switch %llu had returned", at_page,
				 (unsigned long long)n);
		pthread_mutex_unlock(&live->lock);
	}
}

static void check_late_writes(struct live *live)
{
	uint64_t n = live_switches(live);

	if (live->watching)
		watch(live, object_after(live, n - 1), true, n);
	live->watching = false;
}

/* ---- Switches ---- */

unsigned live_switches(const struct live *live)
{
	return (unsigned)(__atomic_load_n(&live->phase, __ATOMIC_RELAXED) / 2);
}

/* Maps the window of `object` into a domain, page by page. */
static int map_window(struct live *live, struct iommu_domain *domain, const struct object *object)
{
	int err = 0;

	for (unsigned page = 0; page < live->config.pages && !err; page++)
		err = iommu_map(domain, live_iova(live, page), set_frame(live, object->set, page), FRAME,
				(int)page == live->read_only ? IOMMU_READ : IOMMU_READ | IOMMU_WRITE);
	return err;
}

/* Can the group reach the page that the domain has grown for? */
static bool reaches(struct live *live, uint64_t iova)
{
	struct machine_dma dma = {
		.rid = live_rid(live, 0), .pasid = IOMMU_NO_PASID, .iova = iova, .access = IOMMU_READ,
		.lane = live->nthreads + live->config.lanes,
		.ats = live->config.ats && machine_ats_enabled(&live->machine, live_rid(live, 0)),
	};

	machine_dma(&live->machine, &dma);
	return dma.done && dma.phys == set_frame(live, 0, 0);
}

static int grow(struct live *live)
{
	return iommu_map(live->objects[0].domain, beyond[live->grown++], set_frame(live, 0, 0), FRAME, IOMMU_READ | IOMMU_WRITE);
}

/* A domain that has grown as far as it can is replaced by a fresh one that maps the same; with `query`, could it be? */
static int renew(struct live *live, bool query)
{
	const struct iommu_replace_options hitless = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
	const struct live_kind *kind = live->objects[0].kind;
	const struct iommu_domain_desc desc = { .type = kind->type, .stage = kind->stage, .dirty = kind->dirty };
	struct iommu_group *group = live->parties[0].group;
	struct iommu_domain *fresh, *old = live->objects[0].domain;
	struct iommu_replace_report report;
	int err = iommu_domain_alloc(live->machine.unit, &desc, &fresh);

	if (err)
		return err;
	err = map_window(live, fresh, &live->objects[0]);
	if (!err)
		err = query ? iommu_replace_query(group, fresh, &hitless, &report)
			    : iommu_group_replace_domain(group, fresh, &hitless, &report);
	if (err || query) {
		iommu_domain_free(fresh);
		return err;
	}
	live->objects[0].domain = fresh;
	live->grown = 0;
	return iommu_domain_free(old);
}

static int switch_pasid(struct live *live, struct object *to, struct iommu_replace_report *report)
{
	struct iommu_device *device = live->parties[0].devices[0];
	int err;

	if (live->config.method == LIVE_REPLACE)
		return iommu_replace_device_pasid(device, live->config.pasid, to->domain, &live->config.options, report);
	err = iommu_detach_device_pasid(device, live->config.pasid);
	return err ? err : iommu_attach_device_pasid(device, live->config.pasid, to->domain, NULL);
}

static int do_switch(struct live *live, struct object *to, struct iommu_replace_report *report)
{
	struct iommu_group *group = live->parties[0].group;
	int err;

	if (live->config.pasid)
		return switch_pasid(live, to, report);

	switch (live->config.method) {
	case LIVE_ATTACH_DETACH:
		err = iommu_detach_group(group);
		return err ? err : iommu_attach_group(group, to->domain);
	case LIVE_REMAP: {
		int64_t unmapped = iommu_unmap(to->domain, live->window, (uint64_t)live->config.pages * FRAME);

		return unmapped < 0 ? (int)unmapped : map_window(live, to->domain, to);
	}
	case LIVE_GROW:
		return grow(live);
	default:
		return iommu_group_replace_domain(group, to->domain, &live->config.options, report);
	}
}

static void highest(struct iommu_cost *most, const struct iommu_cost *cost)
{
#define KEEP(field) \
	if (cost->field > most->field) \
		most->field = cost->field
	KEEP(stores);
	KEEP(commands);
	KEEP(rounds);
	KEEP(polls);
	KEEP(foreign);
	KEEP(copied);
	KEEP(tags);
#undef KEEP
}

static int keep_latency(struct direction *direction, uint64_t ns)
{
	if (direction->switches == direction->capacity) {
		size_t more = direction->capacity ? direction->capacity * 2 : 4096;
		uint64_t *bigger = realloc(direction->latency, more * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		direction->latency = bigger;
		direction->capacity = more;
	}
	direction->latency[direction->switches++] = ns;
	return 0;
}

static int timed_switch(struct live *live, uint64_t *t0, uint64_t *t1)
{
	uint64_t n = live_switches(live) + 1;
	struct direction *direction = &live->directions[direction_of(live, n)];
	struct iommu_replace_report report = { 0 };
	int err;

	check_late_writes(live);
	if (live->config.method == LIVE_GROW && live->grown == live->growths) {
		err = renew(live, false);
		if (err)
			return err;
	}
	memset(&live->steps, 0, sizeof(live->steps));
	live->strategy = IOMMU_STRATEGY_NONE;
	switching = true;
	__atomic_store_n(&live->phase, 2 * n - 1, __ATOMIC_SEQ_CST);
	*t0 = now_ns();
	err = do_switch(live, &live->objects[object_after(live, n)], &report);
	*t1 = now_ns();
	if (!err)
		__atomic_store_n(&live->phase, 2 * n, __ATOMIC_SEQ_CST);
	switching = false;
	if (err)
		return err;
	watch(live, object_after(live, n - 1), false, n);
	live->watching = true;
	if (live->config.method == LIVE_REPLACE) {
		highest(&direction->cost, &report.cost);
		if (report.strategy > direction->strategy)
			direction->strategy = report.strategy;
		if (!report.hitless) {
			direction->disruptive = true;
			direction->why = report.why;
		}
		direction->requesters = report.requesters;
	} else if (live->config.method == LIVE_GROW) {
		highest(&direction->cost, &live->steps);
		if (live->strategy > direction->strategy)
			direction->strategy = live->strategy;
		direction->requesters = live->config.devices;
		if (!reaches(live, beyond[live->grown - 1]))
			live_report(live, LIVE_BLOCKED, "blocked: what a domain has grown for can't be reached");
	} else {
		highest(&direction->cost, &live->steps);
		direction->disruptive = true;
		direction->requesters = live->config.devices;
	}
	return keep_latency(direction, *t1 - *t0);
}

int live_switch(struct live *live)
{
	uint64_t t0, t1;
	int err = timed_switch(live, &t0, &t1);

	/* As a fault interrupt's thread would, now and then: expected faults must not fill the records for ever. */
	if (!err && live_switches(live) % SWITCHES_PER_FAULT_POLL == 0)
		iommu_unit_handle_faults(live->machine.unit);
	return err;
}

/* Every thread must know before the first DMA that counts. */
static void set_recording(struct live *live, unsigned on)
{
	__atomic_store_n(&live->recording, on, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < live->nengines; i++)
		while (__atomic_load_n(&live->engines[i].logging, __ATOMIC_ACQUIRE) != on)
			sched_yield();
}

int live_record(struct live *live, unsigned dmas, struct live_recording *recording)
{
	int err;

	memset(recording, 0, sizeof(*recording));
	live->max_marks = 1024;
	live->nmarks = 0;
	recording->marks = live->marks = calloc(live->max_marks, sizeof(*live->marks));
	recording->events = malloc((size_t)live->nengines * LOG_EVENTS * sizeof(*recording->events));
	if (!recording->marks || !recording->events)
		return -ENOMEM;
	set_recording(live, live_switches(live) + 1);
	live_dwell(live, dmas);
	err = timed_switch(live, &recording->t0, &recording->t1);
	live_dwell(live, dmas);
	set_recording(live, 0);
	recording->nmarks = live->nmarks;
	live->max_marks = 0;
	live->marks = NULL;
	for (unsigned i = 0; i < live->nengines; i++) {
		memcpy(recording->events + recording->nevents, live->engines[i].log,
		       live->engines[i].nlog * sizeof(*recording->events));
		recording->nevents += live->engines[i].nlog;
	}
	recording->devices = live->config.devices;
	recording->direction = direction_of(live, live_switches(live));
	recording->bystanders = live->config.shared;
	return err;
}

/* ---- Up ---- */

static bool has_table(const struct live_kind *kind)
{
	return kind->type == IOMMU_DOMAIN_PAGING || kind->type == IOMMU_DOMAIN_EXTERNAL || kind->type == IOMMU_DOMAIN_NESTED;
}

static bool is_second_stage(const struct live_kind *kind)
{
	return kind->type == IOMMU_DOMAIN_PAGING && kind->stage == 2;
}

static bool is_first_stage(const struct live_kind *kind)
{
	return kind->type == IOMMU_DOMAIN_EXTERNAL || (kind->type == IOMMU_DOMAIN_PAGING && kind->stage == 1);
}

/* Frames for every object and for identity, each with its mark. */
static int make_frames(struct live *live)
{
	live->owners = calloc((size_t)SETS * live->npages, sizeof(*live->owners));
	if (!live->owners)
		return -ENOMEM;
	live->first_frame = machine_reserve_frames(&live->machine, SETS * live->npages);
	for (unsigned set = 0; set < SETS; set++)
		for (unsigned page = 0; page < live->npages; page++) {
			live->owners[frame_index(live, set, page)] = (struct owner){ NOBODY, (uint8_t)page };
			*word_at(live, set_frame(live, set, page), 0) = mark_of(live, set, page);
		}
	live->window = set_frame(live, IDENTITY_SET, 0);
	return 0;
}

/* Where the addresses are in an object's own table. */
static uint64_t offset_of(const struct object *object)
{
	return object->kind->type == IOMMU_DOMAIN_NESTED ? MACHINE_GUEST_OFFSET : 0;
}

/* An external or nested one's table: the window in the format of a CPU. */
static int make_table(struct live *live, struct object *object)
{
	int err = 0;

	object->root = machine_cpu_table(&live->machine);
	if (!object->root)
		return -ENOMEM;
	for (unsigned page = 0; page < live->config.pages && !err; page++)
		err = machine_cpu_map(&live->machine, offset_of(object), object->root, live_iova(live, page),
				      set_frame(live, object->set, page), (int)page != live->read_only);
	return err;
}

/* Where the other side is a second stage that may be the parent, it is: object by object. */
static bool parent_is_opposite(const struct live *live, unsigned number)
{
	const struct live_kind *kind = &live->config.kind[number / 2 == 0];

	return number < BESIDE && is_second_stage(kind) && !live->config.kind[number / 2].other_parent;
}

/* The second stage that a nested object is behind, which has all of the guest's memory. */
static int find_parent(struct live *live, unsigned number, struct iommu_domain **parent)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	struct iommu_domain **guest = &live->guests[live->objects[number].kind->other_parent];
	int err = 0;

	*parent = parent_is_opposite(live, number) ? live->objects[number ^ 2].domain : NULL;
	if (*parent)
		return machine_map_guest(&live->machine, *parent);
	if (!*guest) {
		err = iommu_domain_alloc(live->machine.unit, &desc, guest);
		err = err ? err : machine_map_guest(&live->machine, *guest);
	}
	*parent = *guest;
	return err;
}

static int make_nested(struct live *live, unsigned number)
{
	struct object *object = &live->objects[number];
	int err = find_parent(live, number, &object->parent);

	return err ? err : machine_nested_alloc(&live->machine, object->parent, object->root, number + 1, &object->page,
						&object->domain);
}

static int make_object(struct live *live, unsigned number, const struct live_kind *kind)
{
	struct iommu_domain_desc desc = {
		.type = kind->type, .stage = kind->stage, .levels = kind->levels, .dirty = kind->dirty,
	};
	struct object *object = &live->objects[number];
	int err;

	object->kind = kind;
	object->set = kind->type == IOMMU_DOMAIN_IDENTITY ? IDENTITY_SET : number;
	for (unsigned page = 0; page < live->npages && kind->type != IOMMU_DOMAIN_BLOCKED; page++)
		live->owners[frame_index(live, object->set, page)].object = (uint8_t)number;
	if (live->config.method == LIVE_REMAP)
		return 0;
	err = kind->type == IOMMU_DOMAIN_EXTERNAL || kind->type == IOMMU_DOMAIN_NESTED ? make_table(live, object) : 0;
	if (err)
		return err;
	if (kind->type == IOMMU_DOMAIN_NESTED)
		return make_nested(live, number);
	desc.root = object->root;
	err = iommu_domain_alloc(live->machine.unit, &desc, &object->domain);
	return err || kind->type != IOMMU_DOMAIN_PAGING ? err : map_window(live, object->domain, object);
}

/* One domain that stands for all. */
static int make_remapped(struct live *live)
{
	const struct live_kind *kind = &live->config.kind[live->config.kind[0].type != IOMMU_DOMAIN_PAGING];
	const struct iommu_domain_desc desc = {
		.type = IOMMU_DOMAIN_PAGING, .stage = kind->stage, .levels = kind->levels, .dirty = kind->dirty,
	};
	struct iommu_domain *domain;
	int err = iommu_domain_alloc(live->machine.unit, &desc, &domain);

	if (err)
		return err;
	for (unsigned i = 0; i < MAX_OBJECTS; i++)
		if (live->objects[i].kind)
			live->objects[i].domain = domain;
	return map_window(live, domain, &live->objects[0]);
}

static int make_objects(struct live *live)
{
	int err = 0;

	/* A second stage before what may be nested in it. */
	for (unsigned i = 0; i < 2; i++) {
		unsigned side = i ^ (live->config.kind[0].type == IOMMU_DOMAIN_NESTED);
		const struct live_kind *kind = &live->config.kind[side];

		live->per_side[side] = live->config.shared || (kind->type != IOMMU_DOMAIN_PAGING && kind->type != IOMMU_DOMAIN_NESTED) ?
					       1 : 2;
		if (live->config.method == LIVE_GROW)
			live->per_side[side] = 1 - side;
		for (unsigned n = 0; n < live->per_side[side] && !err; n++)
			err = make_object(live, side * 2 + n, kind);
		/* Identity has one set of frames, and so one object. */
		if (!has_table(kind))
			kind = &live->config.kind[1 - side];
		if (live->config.beside && !live->config.shared && !err)
			err = make_object(live, BESIDE + side, kind);
	}
	if (!err && live->config.method == LIVE_REMAP)
		err = make_remapped(live);
	return err;
}

bool live_supports(const struct machine_arch *arch, const struct live_kind *kind)
{
	const struct machine_config config = { .arch = arch, .ram_bytes = 4u << 20, .nested = kind->type == IOMMU_DOMAIN_NESTED };
	const struct iommu_domain_desc desc = {
		.type = kind->type, .stage = kind->stage, .levels = kind->levels, .dirty = kind->dirty,
	};
	struct iommu_domain *domain;
	struct machine machine;
	bool has = false;

	if (kind->type == IOMMU_DOMAIN_EXTERNAL && !arch->cpu.table)
		return false;
	if (kind->type == IOMMU_DOMAIN_NESTED && (!arch->cpu.table || !arch->guest_entry))
		return false;
	if (machine_create(&machine, &config))
		return false;
	if (machine_start_unit(&machine) == 0) {
		has = kind->type == IOMMU_DOMAIN_NESTED;
		if (!has && iommu_domain_alloc(machine.unit, &desc, &domain) == 0) {
			has = true;
			iommu_domain_free(domain);
		}
	}
	machine_destroy(&machine);
	return has;
}

/* Single functions in slots 1.. of bus 0 and on. */
uint32_t live_rid(const struct live *live, unsigned device)
{
	(void)live;
	return (device / 31) << 8 | (1 + device % 31) << 3;
}

/* Whose domains stay as they are, of the devices whose others are switched: IOMMU_NO_PASID, or a PASID. */
static uint32_t pasid_beside(const struct live *live, unsigned which)
{
	uint32_t pasid = live->config.pasid;

	if (!pasid)
		return which ? FAR_PASID : 1;
	return which ? (pasid ^ 1 ? pasid ^ 1 : 2) : IOMMU_NO_PASID;
}

/* Its object: one of its own, or the one that is also switched from, or to; not identity, which not every PASID can have. */
static unsigned object_beside(const struct live *live, unsigned which)
{
	if (!live->config.shared)
		return BESIDE + which;
	return (has_table(&live->config.kind[which]) ? which : 1 - which) * 2;
}

static int attach_pasids(struct live *live, struct party *party)
{
	int err = 0;

	if (!live->config.beside)
		return 0;
	for (unsigned which = 0; which < 2 && !err; which++) {
		uint32_t pasid = pasid_beside(live, which);
		struct iommu_domain *domain = live->objects[object_beside(live, which)].domain;

		if (pasid == IOMMU_NO_PASID)
			err = iommu_attach_group(party->group, domain);
		else
			err = iommu_attach_device_pasid(party->devices[0], pasid, domain, NULL);
	}
	if (!err && live->config.pasid)
		err = iommu_attach_device_pasid(party->devices[0], live->config.pasid, live->objects[0].domain, NULL);
	return err;
}

static void detach_pasids(const struct live *live, const struct party *party)
{
	if (party != &live->parties[0] || !live->config.beside)
		return;
	for (unsigned which = 0; which < 2; which++)
		if (pasid_beside(live, which) != IOMMU_NO_PASID)
			iommu_detach_device_pasid(party->devices[0], pasid_beside(live, which));
	if (live->config.pasid)
		iommu_detach_device_pasid(party->devices[0], live->config.pasid);
}

static int make_party(struct live *live, unsigned first, unsigned count_devices, unsigned object)
{
	struct party *party = &live->parties[live->nparties++];
	int err = iommu_group_alloc(&live->machine.port, &party->group);

	for (unsigned i = 0; i < count_devices && !err; i++) {
		const struct iommu_device_desc desc = {
			.unit = live->machine.unit,
			.rids = { live_rid(live, first + i) },
			.nrids = 1,
			.ats = live->config.ats,
			.pasid_bits = live->config.pasid_bits,
		};

		machine_add_function(&live->machine, desc.rids[0]);
		err = iommu_group_add_device(party->group, &desc, &party->devices[i]);
		party->ndevices += !err;
	}
	if (!err)
		err = iommu_group_claim_dma_owner(party->group, live);
	party->owned = !err;
	if (!err && (live->nparties > 1 || !live->config.pasid))
		err = iommu_attach_group(party->group, live->objects[object].domain);
	return err || live->nparties > 1 ? err : attach_pasids(live, party);
}

static int make_parties(struct live *live)
{
	int err = make_party(live, 0, live->config.devices, 0);

	for (unsigned side = 0; side < 2 && live->config.shared && !err; side++)
		err = make_party(live, live->config.devices + side, 1, side * 2);
	return err;
}

/* A device's requests, those without PASID or with one, on one thread. */
static int add_engine(struct live *live, struct thread *thread, unsigned device, uint32_t pasid, int object)
{
	struct engine *engine = &live->engines[live->nengines];

	engine->log = malloc(LOG_EVENTS * sizeof(*engine->log));
	if (!engine->log)
		return -ENOMEM;
	engine->rid = live_rid(live, device);
	engine->pasid = pasid;
	engine->device = device;
	engine->slot = live->nengines++;
	engine->lane = thread->number;
	engine->object = object;
	thread->engines[thread->nengines++] = engine;
	return 0;
}

/* Of a device of the group: what is switched, and what goes on beside it. */
static int add_engines(struct live *live, struct thread *thread, unsigned device)
{
	uint32_t pasid = live->config.pasid ? live->config.pasid : IOMMU_NO_PASID;
	int err = add_engine(live, thread, device, pasid, -1);

	for (unsigned which = 0; which < 2 && live->config.beside && !err; which++)
		err = add_engine(live, thread, device, pasid_beside(live, which), (int)object_beside(live, which));
	return err;
}

/* Every thread has some of the group's devices, and both bystanders: they must meet what the others leave in its caches. */
static int make_engines(struct live *live)
{
	unsigned bystanders = live->config.shared ? 2 : 0;
	unsigned most = live->config.devices * (live->config.beside ? 3 : 1) + bystanders * live->nthreads;
	int err = 0;

	live->engines = aligned_alloc(128, most * sizeof(*live->engines));
	live->snapshot = calloc((size_t)live->config.pages * live->config.devices, sizeof(*live->snapshot));
	if (!live->engines || !live->snapshot)
		return -ENOMEM;
	memset(live->engines, 0, most * sizeof(*live->engines));
	for (unsigned t = 0; t < live->nthreads && !err; t++) {
		struct thread *thread = &live->threads[t];

		thread->live = live;
		thread->number = t;
		thread->engines = calloc(most, sizeof(struct engine *));
		if (!thread->engines)
			return -ENOMEM;
		for (unsigned device = t; device < live->config.devices && !err; device += live->nthreads)
			err = add_engines(live, thread, device);
		for (unsigned i = 0; i < bystanders && !err; i++)
			err = add_engine(live, thread, live->config.devices + i, IOMMU_NO_PASID, (int)i * 2);
	}
	return err;
}

static int start_threads(struct live *live)
{
	__atomic_store_n(&live->run, 1, __ATOMIC_RELEASE);
	for (; live->started < live->nthreads; live->started++) {
		struct thread *thread = &live->threads[live->started];
		int err = pthread_create(&thread->id, NULL, device_thread, thread);

		if (err)
			return -err;
	}
	return 0;
}

static bool valid(const struct live_config *config)
{
	const struct live_kind *from = &config->kind[0], *to = &config->kind[1];
	bool same = same_kind(from, to);

	if (config->devices > LIVE_MAX_DEVICES || config->pages > 128 || config->spare > 64)
		return false;
	if (config->pasid_bits > 20 || config->pasid >> config->pasid_bits || (config->pasid && !config->beside) ||
	    (config->beside && config->pasid_bits < 10))
		return false;
	if (config->beside && (config->method == LIVE_REMAP || config->method == LIVE_GROW))
		return false;
	if (same && from->type != IOMMU_DOMAIN_PAGING && from->type != IOMMU_DOMAIN_NESTED)
		return false;
	if (config->method == LIVE_GROW)
		return same && !from->levels && !config->shared;
	if (config->method != LIVE_REMAP)
		return true;
	if (from->type == IOMMU_DOMAIN_NESTED || to->type == IOMMU_DOMAIN_NESTED)
		return false;
	/* One domain that can stand for both. */
	return !config->shared && from->type != IOMMU_DOMAIN_BLOCKED && to->type != IOMMU_DOMAIN_BLOCKED &&
	       (same || from->type == IOMMU_DOMAIN_IDENTITY || to->type == IOMMU_DOMAIN_IDENTITY);
}

/* Before anything moves: can replace do it the way that was asked for? */
static int ask(struct live *live)
{
	struct iommu_replace_report report;
	uint64_t first, last;
	int err;

	if (live->config.method == LIVE_GROW) {
		err = iommu_domain_get_geometry(live->objects[0].domain, &first, &last);
		while (!err && live->growths < BEYOND && beyond[live->growths] <= last)
			live->growths++;
		if (err || !live->growths)
			return err ? err : -EOPNOTSUPP;
		/* Once without DMA: a table that was that deep from the start stores nothing. */
		switching = true;
		err = grow(live);
		switching = false;
		if (!err && !live->steps.stores)
			return -EOPNOTSUPP;
		return err ? err : renew(live, true);
	}
	if (live->config.method != LIVE_REPLACE)
		return 0;
	if (live->config.pasid)
		return iommu_replace_device_pasid_query(live->parties[0].devices[0], live->config.pasid, live->objects[2].domain,
							&live->config.options, &report);
	return iommu_replace_query(live->parties[0].group, live->objects[2].domain, &live->config.options, &report);
}

static int bring_up(struct live *live)
{
	const struct iommu_model_config narrow = {
		.quantum = 8, .entry_lines = 16, .pasid_lines = 16, .walk_lines = 16, .iotlb_lines = 64, .devtlb_lines = 64,
	};
	const struct live_config *config = &live->config;
	const struct machine_config machine = {
		.arch = config->arch,
		.lanes = live->nthreads + config->lanes + (config->method == LIVE_GROW),
		.freedoms = (1u << IOMMU_FREEDOMS) - 1,
		.no_store128 = config->quantum64,
		.noncoherent = config->noncoherent,
		.nested = config->kind[0].type == IOMMU_DOMAIN_NESTED || config->kind[1].type == IOMMU_DOMAIN_NESTED,
		.ats = config->ats,
		.pasid_bits = config->pasid_bits,
		.seed = config->seed,
		.model = config->quantum64 ? &narrow : NULL,
	};
	int err = machine_create(&live->machine, &machine);

	if (err)
		return err;
	live->machine_up = true;
	live->machine.observer = live;
	live->machine.port.review = on_review;
	live->machine.port.trace = on_step;
	err = machine_start_unit(&live->machine);
	if (!err)
		err = make_frames(live);
	if (!err)
		err = make_objects(live);
	if (!err)
		err = make_parties(live);
	if (!err)
		err = make_engines(live);
	if (!err)
		err = ask(live);
	return err ? err : start_threads(live);
}

int live_open(struct live **result, const struct live_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct live *live;
	int err;

	if (!valid(config))
		return -EINVAL;
	live = aligned_alloc(128, (sizeof(*live) + 127) / 128 * 128);
	if (!live)
		return -ENOMEM;
	memset(live, 0, sizeof(*live));
	live->config = *config;
	if (!live->config.devices)
		live->config.devices = 2;
	if (!live->config.pages)
		live->config.pages = 16;
	live->npages = live->config.pages + live->config.spare;
	live->read_only = -1;
	if (has_table(&config->kind[0]) && has_table(&config->kind[1]))
		live->read_only = (int)live->config.pages - 1;
	if (is_first_stage(&config->kind[0]) && is_first_stage(&config->kind[1]))
		live->denied = config->arch->pasid_denies;
	live->nthreads = config->threads ? config->threads : cpus > 2 ? (unsigned)cpus : 2;
	if (live->nthreads > live->config.devices)
		live->nthreads = live->config.devices;
	if (live->nthreads > MAX_THREADS)
		live->nthreads = MAX_THREADS;
	pthread_mutex_init(&live->lock, NULL);
	err = bring_up(live);
	if (err) {
		live_close(live);
		return err;
	}
	*result = live;
	return 0;
}

/* ---- Down ---- */

void live_stop(struct live *live)
{
	if (live->started)
		live_dwell(live, 1);
	__atomic_store_n(&live->run, 0, __ATOMIC_RELEASE);
	while (live->started)
		pthread_join(live->threads[--live->started].id, NULL);
	check_late_writes(live);
}

static void add_counts(struct live_counts *sum, const struct live_counts *more)
{
	sum->old += more->old;
	sum->new += more->new;
	sum->blocked += more->blocked;
	sum->wrong += more->wrong;
	sum->stale += more->stale;
	sum->denied += more->denied;
	sum->bystanders += more->bystanders;
}

/*
 * A DMA that lasted from one switch into the next, and was blocked: by the first, unless only the other direction's may block.
 */
static void add_spanning(const struct live *live, unsigned number, struct live_result *result)
{
	uint64_t blocked = 0;

	for (unsigned first = 0; first < 2; first++) {
		bool others = !live->directions[first].disruptive && live->directions[!first].disruptive;

		for (unsigned i = 0; i < live->nengines && number == (others ? !first : first); i++)
			blocked += live->engines[i].spanning[first];
	}
	result->dma.blocked += blocked;
	if (blocked && !result->seen[0])
		snprintf(result->seen, sizeof(result->seen), "blocked: a DMA that lasted over several switches");
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void live_get_result(struct live *live, unsigned number, struct live_result *result)
{
	struct direction *direction = &live->directions[number];

	*result = (struct live_result){
		.dma = direction->found,
		.switches = direction->switches,
		.hitless = !direction->disruptive,
		.strategy = direction->strategy,
		.why = direction->why,
		.cost = direction->cost,
		.requesters = direction->requesters,
		.latency_ns = direction->latency,
	};
	memcpy(result->seen, direction->seen, sizeof(result->seen));
	for (unsigned i = 0; i < live->nengines; i++)
		add_counts(&result->dma, &live->engines[i].counts[number]);
	add_spanning(live, number, result);
	if (direction->latency)
		qsort(direction->latency, direction->switches, sizeof(*direction->latency), by_size);
	direction->latency = NULL;
	direction->capacity = direction->switches = 0;
}

static void close_party(const struct live *live, struct party *party)
{
	if (!party->group)
		return;
	if (party->owned) {
		detach_pasids(live, party);
		iommu_detach_group(party->group);
		iommu_group_release_dma_owner(party->group);
	}
	for (unsigned i = 0; i < party->ndevices; i++)
		iommu_group_remove_device(party->group, party->devices[i]);
	iommu_group_free(party->group);
}

static bool leaked(struct live *live)
{
	struct iommu_domain *freed = NULL;
	bool leak = false;

	for (unsigned i = 0; i < live->nparties; i++)
		close_party(live, &live->parties[i]);
	/* What is nested before its parent. */
	for (unsigned i = 0; i < MAX_OBJECTS; i++)
		if (live->objects[i].parent && live->objects[i].domain) {
			leak |= iommu_domain_free(live->objects[i].domain) != 0;
			live->objects[i].domain = NULL;
		}
	for (unsigned i = 0; i < 2; i++)
		leak |= live->guests[i] && iommu_domain_free(live->guests[i]);
	for (unsigned i = 0; i < MAX_OBJECTS; i++) {
		struct iommu_domain *domain = live->objects[i].domain;

		/* A remapped domain is every object's. */
		if (domain && domain != freed)
			leak |= iommu_domain_free(domain) != 0;
		freed = live->config.method == LIVE_REMAP && domain ? domain : freed;
		if (live->objects[i].root)
			machine_cpu_free(&live->machine, offset_of(&live->objects[i]), live->objects[i].root);
		machine_nested_free_page(&live->machine, live->objects[i].page);
	}
	if (live->machine.unit) {
		leak |= iommu_unit_destroy(live->machine.unit) != 0;
		live->machine.unit = NULL;
	}
	return leak || live->machine.frames_in_use || live->machine.heap_in_use;
}

int live_close(struct live *live)
{
	int err = 0;

	live_stop(live);
	if (live->machine_up) {
		err = leaked(live) ? -ENOTRECOVERABLE : 0;
		machine_destroy(&live->machine);
	}
	for (unsigned i = 0; i < live->nengines; i++)
		free(live->engines[i].log);
	for (unsigned i = 0; i < live->nthreads; i++)
		free(live->threads[i].engines);
	free(live->directions[0].latency);
	free(live->directions[1].latency);
	free(live->engines);
	free(live->snapshot);
	free(live->owners);
	pthread_mutex_destroy(&live->lock);
	free(live);
	return err;
}

/* ---- For tests ---- */

struct machine *live_machine(struct live *live)
{
	return &live->machine;
}

/* The objects' numbers have gaps where a side has only one. */
static unsigned nth_object(const struct live *live, unsigned number)
{
	return number < live->per_side[0] ? number : 2 + number - live->per_side[0];
}

unsigned live_objects(const struct live *live)
{
	return live->per_side[0] + live->per_side[1];
}

struct iommu_domain *live_domain(struct live *live, unsigned object)
{
	return live->objects[nth_object(live, object)].domain;
}

uint64_t live_frame(const struct live *live, unsigned object, unsigned page)
{
	return set_frame(live, live->objects[nth_object(live, object)].set, page);
}

uint64_t live_iova(const struct live *live, unsigned page)
{
	return live->window + (uint64_t)page * FRAME;
}

void live_set_mark(struct live *live, unsigned object, unsigned page, bool is_valid)
{
	unsigned set = live->objects[nth_object(live, object)].set;

	__atomic_store_n(word_at(live, set_frame(live, set, page), 0), is_valid ? mark_of(live, set, page) : 0,
			 __ATOMIC_RELEASE);
}

uint64_t live_writes(const struct live *live, unsigned object, unsigned page)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < live->nengines; i++)
		sum += __atomic_load_n(word_at((struct live *)live, live_frame(live, object, page),
					       FIRST_SLOT + live->engines[i].slot), __ATOMIC_ACQUIRE);
	return sum;
}

void live_report(struct live *live, enum live_outcome outcome, const char *text)
{
	struct direction *direction = &live->directions[0];

	pthread_mutex_lock(&live->lock);
	direction->found.wrong += outcome == LIVE_WRONG;
	direction->found.stale += outcome == LIVE_STALE;
	direction->found.blocked += outcome == LIVE_BLOCKED;
	if (!direction->seen[0])
		snprintf(direction->seen, sizeof(direction->seen), "%s", text);
	pthread_mutex_unlock(&live->lock);
}

bool live_violated(struct live *live)
{
	bool violated;

	pthread_mutex_lock(&live->lock);
	violated = live->directions[0].seen[0] || live->directions[1].seen[0];
	pthread_mutex_unlock(&live->lock);
	return violated;
}

uint64_t live_root(const struct live *live, unsigned object)
{
	return live->objects[nth_object(live, object)].root;
}

struct iommu_device *live_device(const struct live *live, unsigned device)
{
	return live->parties[0].devices[device];
}

unsigned live_lane(const struct live *live, unsigned number)
{
	return live->nthreads + number;
}
