/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stepping.c - replace step by step; see stepping.h. */
#include "stepping.h"

#include <stdio.h>
#include <string.h>

#define FRAME HITLESS_PAGE_SIZE
#define RAM_BYTES (32u << 20)
#define MAX_OBJECTS 4		/* two a side, so that a tag that is freed soon belongs to another table */
#define IDENTITY_SET MAX_OBJECTS /* the frames whose physical addresses are the window's IOVAs */
#define SETS (MAX_OBJECTS + 1)
#define MAX_PENDING 448		/* reads whose data is still in the device; the rest of its buffer holds what it writes */
#define MAX_COMMANDS 32
#define EDU_PATTERN 0x6564755061747465ull
#define PATTERN_OFFSET (MAX_PENDING * 8)

/* The window. Every object has frames of its own for each page but the one that all agree on. */
enum page {
	PAGE_PLAIN,
	PAGE_OTHER,
	PAGE_READ_ONLY,		/* if both kinds are paging; else as the others */
	PAGE_AGREED,		/* the same frame in every paging object */
	PAGE_DUMP,		/* where a device writes what it has read */
	PAGES
};

static const char *const page_names[PAGES] = { "a page", "another page", "the read-only page", "the page that both share", "a page" };

struct party {
	struct iommu_group *group;
	struct iommu_device *devices[2];
	const struct qemu_function *functions[2];
	unsigned nfunctions;
	int object;			/* where it stays; -1: it is switched */
	bool owned;
};

/* A read: what was read is not known before the device has written it to memory. */
struct pending {
	uint8_t page;
	int16_t point;			/* of the switch; -1: not to be counted */
	bool cold;
	uint8_t direction;
	uint8_t from, to;		/* which objects may have been met */
};

struct reader {
	const struct qemu_function *function;
	int object;
	struct pending reads[MAX_PENDING];
	unsigned nreads;
};

struct stepping {
	struct stepping_config config;
	struct machine machine;
	struct iommu_domain *domains[MAX_OBJECTS];
	uint64_t roots[MAX_OBJECTS], pages[MAX_OBJECTS]; /* of nested ones: what the guest has of them */
	struct iommu_domain *guests[2];	/* their parents, where the other side has none for them */
	unsigned per_side[2];
	uint64_t first_frame, window;
	bool read_only;
	struct party parties[3];
	unsigned nparties;
	struct reader readers[QEMU_FUNCTIONS_EACH];
	unsigned nreaders;
	struct stepping_result *results;
	/* The switch under way, or between two. */
	bool cold, switching;
	unsigned direction, switches;
	uint8_t from, to;		/* the objects that a DMA may meet now */
	unsigned point;			/* of the switch */
	char label[STEPPING_LABEL];	/* what is about to happen, or just has */
	char commands[MAX_COMMANDS][STEPPING_LABEL]; /* that go to the queue together */
	unsigned ncommands;
	int error;
	bool ended;			/* QEMU has, over an entry */
};

/* ---- Objects and frames ---- */

static const struct live_kind *kind_of(const struct stepping *s, unsigned object)
{
	return &s->config.kind[object / 2];
}

static bool same_kind(const struct live_kind *a, const struct live_kind *b)
{
	return a->type == b->type && a->stage == b->stage && a->levels == b->levels && a->dirty == b->dirty &&
	       a->other_parent == b->other_parent;
}

static bool has_table(const struct live_kind *kind)
{
	return kind->type == IOMMU_DOMAIN_PAGING || kind->type == IOMMU_DOMAIN_NESTED;
}

static bool is_blocked(const struct stepping *s, unsigned object)
{
	return kind_of(s, object)->type == IOMMU_DOMAIN_BLOCKED;
}

static unsigned set_of(const struct stepping *s, unsigned object)
{
	return kind_of(s, object)->type == IOMMU_DOMAIN_IDENTITY ? IDENTITY_SET : object;
}

/* The object that the group is in after `n` switches. */
static unsigned object_after(const struct stepping *s, unsigned n)
{
	unsigned side = n & 1;

	return side * 2 + (n >> 1) % s->per_side[side];
}

/* Pages lie in an object's frames in an order of its own, so that no two objects agree by chance. */
static uint64_t frame_of(const struct stepping *s, unsigned set, unsigned page)
{
	unsigned shift = set == IDENTITY_SET ? 0 : set + 1;

	if (page == PAGE_AGREED && set != IDENTITY_SET)
		set = shift = 0;
	return s->first_frame + (uint64_t)(set * PAGES + (page + shift) % PAGES) * FRAME;
}

static uint64_t iova_of(const struct stepping *s, unsigned page)
{
	return s->window + (uint64_t)page * FRAME;
}

static uint64_t *word_at(const struct stepping *s, uint64_t frame, unsigned word)
{
	return (uint64_t *)machine_virt(&s->machine, frame) + word;
}

/* What a read of a frame's first word gives. */
static uint64_t mark_of(uint64_t frame)
{
	return 0x4869746c65737300ull + (frame >> 12);
}

/* ---- The verdict ---- */

static void describe_place(const struct stepping *s, uint64_t frame, char *text, size_t size)
{
	static const char *const names[MAX_OBJECTS] = { "`from`", "`from` (the second)", "`to`", "`to` (the second)" };

	for (unsigned object = 0; object < MAX_OBJECTS; object++)
		for (unsigned page = 0; page < PAGES; page++)
			if (object % 2 < s->per_side[object / 2] && !is_blocked(s, object) &&
			    frame_of(s, set_of(s, object), page) == frame) {
				snprintf(text, size, "%s of %s", page_names[page], names[object]);
				return;
			}
	snprintf(text, size, "%s", frame ? "what belongs to neither" : "a fault");
}

/*
 * `frame`: the one that was met; 0: none, a fault; 1: something that is no frame of any object. Everything that a DMA may meet now
 * is what one of the two objects says.
 */
static enum live_outcome judge(const struct stepping *s, unsigned from, unsigned to, unsigned page, bool write, uint64_t frame)
{
	if (s->read_only && page == PAGE_READ_ONLY && write && !is_blocked(s, from) && !is_blocked(s, to))
		return frame ? LIVE_WRONG : LIVE_UNCOUNTED;
	/* Where both say the same, nothing is told apart. */
	if (from != to && page == PAGE_AGREED && has_table(kind_of(s, from)) && has_table(kind_of(s, to)))
		return !frame ? LIVE_BLOCKED : frame == frame_of(s, set_of(s, to), page) ? LIVE_UNCOUNTED : LIVE_WRONG;
	if (frame == (is_blocked(s, to) ? 0 : frame_of(s, set_of(s, to), page)))
		return LIVE_NEW;
	if (frame == (is_blocked(s, from) ? 0 : frame_of(s, set_of(s, from), page)))
		return LIVE_OLD;
	if (!frame)
		return LIVE_BLOCKED;
	/* After the return only the new object counts; the one before it is known to `point`. */
	return LIVE_WRONG;
}

static void add(struct live_counts *counts, enum live_outcome outcome, bool fault, bool bystander)
{
	counts->old += outcome == LIVE_OLD && !bystander;
	counts->new += outcome == LIVE_NEW && !bystander;
	counts->blocked += outcome == LIVE_BLOCKED;
	counts->wrong += outcome == LIVE_WRONG;
	counts->stale += outcome == LIVE_STALE;
	counts->denied += outcome == LIVE_UNCOUNTED && fault;
	counts->bystanders += (outcome == LIVE_OLD || outcome == LIVE_NEW) && bystander;
}

/* The point is already over when a read is counted. */
static void count(struct stepping *s, const struct qemu_function *function, int bystander, const struct pending *dma, bool write,
		  uint64_t frame)
{
	static const char *const whats[] = { [LIVE_BLOCKED] = "blocked", [LIVE_WRONG] = "wrong", [LIVE_STALE] = "stale" };
	struct stepping_result *result = &s->results[dma->direction];
	enum live_outcome outcome = judge(s, dma->from, dma->to, dma->page, write, frame);
	char place[96];

	/* Where only the new object may be met, what meets the object before it is late. */
	if (outcome == LIVE_WRONG && bystander < 0 && dma->from == dma->to && s->switches &&
	    frame == frame_of(s, set_of(s, object_after(s, s->switches - 1)), dma->page))
		outcome = LIVE_STALE;
	/* Before the call what is met is the old object. */
	if (outcome == LIVE_NEW && bystander < 0 && dma->point == 0)
		outcome = LIVE_OLD;
	if (dma->point < 0)
		return;
	add(&result->dma, outcome, !frame, bystander >= 0);
	if (dma->point < STEPPING_MAX_POINTS)
		add(&result->points[dma->point].dma[dma->cold], outcome, !frame, bystander >= 0);
	if ((outcome != LIVE_BLOCKED && outcome != LIVE_WRONG && outcome != LIVE_STALE) || result->seen[0])
		return;
	describe_place(s, frame, place, sizeof(place));
	snprintf(result->seen, sizeof(result->seen), "%s: %02x:%02x.%x%s, %s of %s, %s caches, %s, met %s", whats[outcome],
		 function->rid >> 8, function->rid >> 3 & 0x1f, function->rid & 7, bystander < 0 ? "" : " (a bystander)",
		 write ? "write" : "read", page_names[dma->page], dma->cold ? "cold" : "warm",
		 dma->point < STEPPING_MAX_POINTS ? result->points[dma->point].label : "later", place);
}

/* It was well before the DMA of this point. */
static void note_end(struct stepping *s)
{
	struct stepping_result *result = &s->results[s->direction];

	if (s->ended || !s->machine.qemu->qtest.lost || !s->config.board->ends_on_torn_entry || !s->switching)
		return;
	s->ended = true;
	result->dma.wrong++;
	if (s->point < STEPPING_MAX_POINTS)
		result->points[s->point].dma[s->cold].wrong++;
	if (!result->seen[0])
		snprintf(result->seen, sizeof(result->seen), "wrong: %s caches, %s: the unit read an entry that can't be one, and QEMU ended "
			 "itself", s->cold ? "cold" : "warm", s->label);
}

/* ---- DMA ---- */

static struct pending describe(const struct stepping *s, int object, unsigned page, bool counted)
{
	return (struct pending){
		.page = (uint8_t)page,
		.point = counted ? (int16_t)s->point : -1,
		.cold = s->cold,
		.direction = (uint8_t)s->direction,
		.from = object < 0 ? s->from : (uint8_t)object,
		.to = object < 0 ? s->to : (uint8_t)object,
	};
}

/* Writes to a word of the function's own, which is clear in all frames before; then it is in the frame that was met, and only there. */
static void write_page(struct stepping *s, const struct qemu_function *function, int object, unsigned page)
{
	struct pending dma = describe(s, object, page, true);
	unsigned word = 8 + (function->rid >> 3 & 0x1f);
	uint64_t found = 0;
	bool said = false;

	for (unsigned frame = 0; frame < SETS * PAGES; frame++)
		__atomic_store_n(word_at(s, s->first_frame + (uint64_t)frame * FRAME, word), 0, __ATOMIC_RELEASE);
	if (function->kind == QEMU_TESTDEV)
		said = qemu_testdev_write(s->machine.qemu, function, iova_of(s, page) + word * 8, 8);
	else
		qemu_edu_write(s->machine.qemu, function, iova_of(s, page) + word * 8, PATTERN_OFFSET, 8);
	for (unsigned i = 0; i < SETS * PAGES; i++) {
		uint64_t frame = s->first_frame + (uint64_t)i * FRAME;

		if (__atomic_load_n(word_at(s, frame, word), __ATOMIC_ACQUIRE))
			found = found ? 1 : frame;
	}
	if (s->machine.qemu->qtest.lost) {
		note_end(s);
		return;
	}
	/* It says that it has written, but to no frame of ours. */
	if (!found && said && s->config.board->reports_faults)
		found = 1;
	count(s, function, object, &dma, true, found);
}

static void read_page(struct stepping *s, struct reader *reader, unsigned page)
{
	if (reader->nreads == MAX_PENDING) {
		s->error = -ENOSPC;
		return;
	}
	reader->reads[reader->nreads] = describe(s, reader->object, page, true);
	qemu_edu_read(s->machine.qemu, reader->function, iova_of(s, page), reader->nreads * 8, 8);
	note_end(s);
	reader->nreads++;
}

/* Where its object can't block it, the device writes out what it has read. */
static void judge_reads(struct stepping *s, struct reader *reader)
{
	unsigned object = reader->object < 0 ? s->to : (unsigned)reader->object;
	struct pending dump;
	uint64_t frame;

	if (is_blocked(s, object) || !reader->nreads)
		return;
	frame = frame_of(s, set_of(s, object), PAGE_DUMP);
	/* A mark that no page has: it shows that the write was done. */
	memset(machine_virt(&s->machine, frame), 0xff, MAX_PENDING * 8);
	qemu_edu_write(s->machine.qemu, reader->function, iova_of(s, PAGE_DUMP), 0, reader->nreads * 8);
	dump = describe(s, reader->object, PAGE_DUMP, true);
	count(s, reader->function, reader->object, &dump, true, *word_at(s, frame, 0) != UINT64_MAX ? frame : 0);
	for (unsigned i = 0; i < reader->nreads && *word_at(s, frame, 0) != UINT64_MAX; i++) {
		uint64_t value = *word_at(s, frame, i), met = value ? 1 : 0;

		for (unsigned n = 0; n < SETS * PAGES; n++)
			if (value == mark_of(s->first_frame + (uint64_t)n * FRAME))
				met = s->first_frame + (uint64_t)n * FRAME;
		count(s, reader->function, reader->object, &reader->reads[i], false, met);
	}
	memset(machine_virt(&s->machine, frame), 0, MAX_PENDING * 8);
	*word_at(s, frame, 0) = mark_of(frame);
	reader->nreads = 0;
}

/*
 * Which point of the list this is: the next one of that name. A later switch may have fewer steps than the first one, or others; what is new
 * goes in where it happens.
 */
static bool find_point(struct stepping *s, struct stepping_result *result)
{
	unsigned at = s->point;

	while (at < result->npoints && strcmp(result->points[at].label, s->label) != 0)
		at++;
	if (at < result->npoints) {
		s->point = at;
		return true;
	}
	if (result->npoints == STEPPING_MAX_POINTS)
		return false;
	memmove(&result->points[s->point + 1], &result->points[s->point], (result->npoints - s->point) * sizeof(result->points[0]));
	memset(&result->points[s->point], 0, sizeof(result->points[0]));
	snprintf(result->points[s->point].label, STEPPING_LABEL, "%s", s->label);
	result->npoints++;
	for (unsigned i = 0; i < s->nreaders; i++)
		for (unsigned k = 0; k < s->readers[i].nreads; k++)
			if (s->readers[i].reads[k].direction == s->direction && s->readers[i].reads[k].point >= (int)s->point)
				s->readers[i].reads[k].point++;
	return true;
}

/* A point: every device does its DMAs. */
static void visit(struct stepping *s)
{
	struct stepping_result *result = &s->results[s->direction];

	if (!find_point(s, result)) {
		s->error = -E2BIG;
		return;
	}
	if (s->machine.qemu->qtest.lost)
		return;
	if (s->cold)
		qemu_make_cold(&s->machine);
	for (unsigned i = 0; i < s->nparties; i++)
		for (unsigned k = 0; k < s->parties[i].nfunctions; k++) {
			const struct party *party = &s->parties[i];

			for (unsigned page = 0; page < PAGE_DUMP; page++)
				if (party->functions[k]->kind == QEMU_TESTDEV || page == PAGE_PLAIN)
					write_page(s, party->functions[k], party->object, page);
		}
	for (unsigned i = 0; i < s->nreaders; i++)
		/* What is always blocked never tells what it has read. */
		for (unsigned page = 0; page < PAGE_DUMP && (s->readers[i].object < 0 || !is_blocked(s, s->readers[i].object)); page++)
			read_page(s, &s->readers[i], page);
	s->point++;
}

/* ---- Hooks ---- */

static void on_review(void *ctx, struct iommu_plan *plan)
{
	struct stepping *s = ((struct machine *)ctx)->observer;

	if (s->switching && s->config.review)
		s->config.review(s->config.review_ctx, plan);
}

static void on_step(void *ctx, const struct iommu_step *step)
{
	struct stepping *s = ((struct machine *)ctx)->observer;

	if (!s->switching)
		return;
	/* Commands go to the queue together; the points are after each. */
	if (step->op == IOMMU_STEP_INVALIDATE || step->op == IOMMU_STEP_WAIT) {
		if (s->ncommands < MAX_COMMANDS)
			snprintf(s->commands[s->ncommands++], STEPPING_LABEL, "after %s%s%s%s%s", iommu_step_op_name(step->op),
				 step->op == IOMMU_STEP_WAIT ? "" : " ",
				 step->op == IOMMU_STEP_WAIT ? "" : iommu_cache_name(step->cache), step->scope ? ", " : "",
				 step->scope ? step->scope : "");
		return;
	}
	if (step->op == IOMMU_STEP_STORE)
		snprintf(s->label, sizeof(s->label), "before store %s, %02x:%02x.%x", step->structure, step->rid >> 8 & 0xff,
			 step->rid >> 3 & 0x1f, step->rid & 7);
	else
		snprintf(s->label, sizeof(s->label), "before %s", iommu_step_op_name(step->op));
	visit(s);
}

/* The driver adds a command of its own to those of the plan: the last wait, whose end it sees. */
static void on_command(void *ctx, unsigned done, unsigned of)
{
	struct stepping *s = ctx;

	if (!s->switching)
		return;
	snprintf(s->label, sizeof(s->label), "%s", done <= s->ncommands ? s->commands[done - 1] : "after the last command");
	visit(s);
	if (done == of)
		s->ncommands = 0;
}

/* ---- Switches ---- */

static void highest(struct iommu_cost *most, const struct iommu_cost *cost)
{
	*most = cost->stores + cost->commands >= most->stores + most->commands ? *cost : *most;
}

static int do_switch(struct stepping *s, unsigned object, struct iommu_replace_report *report)
{
	struct iommu_group *group = s->parties[0].group;
	int err;

	if (s->config.method == LIVE_REPLACE)
		return iommu_group_replace_domain(group, s->domains[object], &s->config.options, report);
	err = iommu_detach_group(group);
	return err ? err : iommu_attach_group(group, s->domains[object]);
}

static void judge_all_reads(struct stepping *s)
{
	for (unsigned i = 0; i < s->nreaders; i++)
		judge_reads(s, &s->readers[i]);
}

static int step_through(struct stepping *s)
{
	unsigned n = s->switches + 1, from = object_after(s, n - 1), to = object_after(s, n);
	struct iommu_replace_report report = { 0 };
	struct stepping_result *result;
	int err;

	s->direction = same_kind(&s->config.kind[0], &s->config.kind[1]) ? 0 : (n - 1) & 1;
	result = &s->results[s->direction];
	s->point = 0;
	s->from = s->to = (uint8_t)from;
	snprintf(s->label, sizeof(s->label), "before the call");
	visit(s);
	s->to = (uint8_t)to;
	s->switching = true;
	err = do_switch(s, to, &report);
	s->switching = false;
	if (s->ended)
		result->switches++;
	if (err || s->ended)
		return err;
	s->switches = n;
	s->from = (uint8_t)to;
	snprintf(s->label, sizeof(s->label), "after the return");
	visit(s);
	judge_all_reads(s);
	result->switches++;
	result->faults += (unsigned)iommu_unit_handle_faults(s->machine.unit);
	if (s->config.method == LIVE_REPLACE) {
		highest(&result->cost, &report.cost);
		if (report.strategy > result->strategy)
			result->strategy = report.strategy;
		if (!report.hitless) {
			result->hitless = false;
			result->why = report.why;
		}
		result->requesters = report.requesters;
	} else {
		result->hitless = false;
	}
	return s->machine.qemu->qtest.lost ? -EIO : s->error;
}

/* ---- Up and down ---- */

static void make_frames(struct stepping *s)
{
	s->first_frame = machine_reserve_frames(&s->machine, SETS * PAGES);
	for (unsigned i = 0; i < SETS * PAGES; i++) {
		uint64_t frame = s->first_frame + (uint64_t)i * FRAME;

		*word_at(s, frame, 0) = mark_of(frame);
		*word_at(s, frame, 1) = EDU_PATTERN;
	}
	s->window = frame_of(s, IDENTITY_SET, 0);
	s->read_only = has_table(&s->config.kind[0]) && has_table(&s->config.kind[1]);
}

/* The second stage that a nested object is behind: that of the other side, if it has one and is to be. */
static int find_parent(struct stepping *s, unsigned object, struct iommu_domain **parent)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	const struct live_kind *kind = kind_of(s, object), *opposite = kind_of(s, object ^ 2);
	bool other = opposite->type != IOMMU_DOMAIN_PAGING || opposite->stage != 2 || kind->other_parent;
	struct iommu_domain **found = other ? &s->guests[kind->other_parent] : &s->domains[object ^ 2];
	int err;

	if (other && *found) {
		*parent = *found;
		return 0;
	}
	err = other ? iommu_domain_alloc(s->machine.unit, &desc, found) : 0;
	*parent = *found;
	return err ? err : machine_map_guest(&s->machine, *parent);
}

static int make_nested(struct stepping *s, unsigned object)
{
	struct iommu_domain *parent;
	int err = find_parent(s, object, &parent);

	if (err)
		return err;
	s->roots[object] = machine_cpu_table(&s->machine);
	if (!s->roots[object])
		return -ENOMEM;
	for (unsigned page = 0; page < PAGES && !err; page++)
		err = machine_cpu_map(&s->machine, MACHINE_GUEST_OFFSET, s->roots[object], iova_of(s, page), frame_of(s, object, page),
				      page != PAGE_READ_ONLY || !s->read_only);
	return err ? err : machine_nested_alloc(&s->machine, parent, s->roots[object], object + 1, &s->pages[object],
						&s->domains[object]);
}

static int make_object(struct stepping *s, unsigned object)
{
	const struct live_kind *kind = kind_of(s, object);
	const struct iommu_domain_desc desc = {
		.type = kind->type, .stage = kind->stage, .levels = kind->levels, .dirty = kind->dirty,
	};
	int err;

	if (kind->type == IOMMU_DOMAIN_NESTED)
		return make_nested(s, object);
	err = iommu_domain_alloc(s->machine.unit, &desc, &s->domains[object]);
	for (unsigned page = 0; page < PAGES && !err && kind->type == IOMMU_DOMAIN_PAGING; page++)
		err = iommu_map(s->domains[object], iova_of(s, page), frame_of(s, object, page), FRAME,
				page == PAGE_READ_ONLY && s->read_only ? IOMMU_READ : IOMMU_READ | IOMMU_WRITE);
	return err;
}

static int make_objects(struct stepping *s)
{
	int err = 0;

	/* A second stage before what may be nested in it. */
	for (unsigned i = 0; i < 2; i++) {
		unsigned side = i ^ (s->config.kind[0].type == IOMMU_DOMAIN_NESTED);

		s->per_side[side] = s->config.shared || !has_table(&s->config.kind[side]) ? 1 : 2;
		for (unsigned n = 0; n < s->per_side[side] && !err; n++)
			err = make_object(s, side * 2 + n);
	}
	return err;
}

static int make_party(struct stepping *s, int object, const struct qemu_function *a, const struct qemu_function *b)
{
	struct party *party = &s->parties[s->nparties++];
	int err = iommu_group_alloc(&s->machine.port, &party->group);

	party->object = object;
	party->functions[0] = a;
	party->functions[1] = b;
	party->nfunctions = b ? 2 : 1;
	for (unsigned i = 0; i < party->nfunctions && !err; i++) {
		const struct iommu_device_desc desc = {
			.unit = s->machine.unit, .rids = { party->functions[i]->rid }, .nrids = 1, .pasid_bits = s->config.pasid_bits,
		};

		err = iommu_group_add_device(party->group, &desc, &party->devices[i]);
		if (party->functions[i]->kind == QEMU_EDU)
			s->readers[s->nreaders++] = (struct reader){ .function = party->functions[i], .object = object };
	}
	if (!err)
		err = iommu_group_claim_dma_owner(party->group, s);
	party->owned = !err;
	return err;
}

/* The pattern that an edu will write: it reads it from a page of an object that doesn't block it. Then the party goes to its own. */
static int load_pattern(struct stepping *s, struct party *party)
{
	unsigned own = party->object < 0 ? 0 : (unsigned)party->object, object = is_blocked(s, own) ? own ^ 2 : own;
	int err = iommu_attach_group(party->group, s->domains[object]);

	for (unsigned i = 0; i < party->nfunctions && !err; i++)
		if (party->functions[i]->kind == QEMU_EDU)
			qemu_edu_read(s->machine.qemu, party->functions[i], iova_of(s, PAGE_PLAIN) + 8, PATTERN_OFFSET, 8);
	return err || object == own ? err : iommu_group_replace_domain(party->group, s->domains[own], NULL, NULL);
}

/* The group: a testdev and an edu. Bystanders: the other edu at `from`, the other testdev at `to`. */
static int make_parties(struct stepping *s)
{
	const struct qemu *qemu = s->machine.qemu;
	int err = make_party(s, -1, qemu_function(qemu, QEMU_TESTDEV, 0), qemu_function(qemu, QEMU_EDU, 0));

	if (!err && s->config.shared)
		err = make_party(s, 0, qemu_function(qemu, QEMU_EDU, 1), NULL);
	if (!err && s->config.shared)
		err = make_party(s, 2, qemu_function(qemu, QEMU_TESTDEV, 1), NULL);
	for (unsigned i = 0; i < s->nparties && !err; i++)
		err = load_pattern(s, &s->parties[i]);
	return err;
}

static bool take_down(struct stepping *s)
{
	bool leak = false;

	for (unsigned i = 0; i < s->nparties; i++) {
		struct party *party = &s->parties[i];

		if (party->owned) {
			iommu_detach_group(party->group);
			iommu_group_release_dma_owner(party->group);
		}
		for (unsigned k = 0; k < party->nfunctions; k++)
			if (party->devices[k])
				iommu_group_remove_device(party->group, party->devices[k]);
		if (party->group)
			iommu_group_free(party->group);
	}
	/* What is nested before its parent. */
	for (unsigned i = 0; i < MAX_OBJECTS; i++)
		if (s->roots[i]) {
			leak |= s->domains[i] && iommu_domain_free(s->domains[i]);
			s->domains[i] = NULL;
			machine_cpu_free(&s->machine, MACHINE_GUEST_OFFSET, s->roots[i]);
			machine_nested_free_page(&s->machine, s->pages[i]);
		}
	for (unsigned i = 0; i < MAX_OBJECTS; i++)
		leak |= s->domains[i] && iommu_domain_free(s->domains[i]);
	for (unsigned i = 0; i < 2; i++)
		leak |= s->guests[i] && iommu_domain_free(s->guests[i]);
	if (s->machine.unit)
		leak |= iommu_unit_destroy(s->machine.unit) != 0;
	s->machine.unit = NULL;
	return leak || s->machine.frames_in_use || s->machine.heap_in_use;
}

static int ask(struct stepping *s)
{
	struct iommu_replace_report report;

	if (s->config.method != LIVE_REPLACE)
		return 0;
	return iommu_replace_query(s->parties[0].group, s->domains[2], &s->config.options, &report);
}

static int run(struct stepping *s)
{
	unsigned rounds = s->config.rounds ? s->config.rounds : 2;
	int err = machine_start_unit(&s->machine);

	/* Without both stages at once it lacks a kind. */
	if (err == -EOPNOTSUPP && s->machine.config.nested)
		err = -EINVAL;
	s->machine.qemu->pass_through = (s->config.kind[0].type == IOMMU_DOMAIN_IDENTITY) !=
					(s->config.kind[1].type == IOMMU_DOMAIN_IDENTITY);
	if (!err) {
		make_frames(s);
		err = make_objects(s);
	}
	if (!err)
		err = make_parties(s);
	if (!err)
		err = ask(s);
	s->machine.qemu->between = on_command;
	s->machine.qemu->between_ctx = s;
	for (unsigned i = 0; i < 2 && !err; i++) {
		s->cold = i;
		for (unsigned n = 0; n < rounds * 2 && !err && !s->ended; n++)
			err = step_through(s);
	}
	/* Where it has ended in a blocking object the last reads are still in the device. */
	if (!err && !s->ended && is_blocked(s, s->to)) {
		err = iommu_group_replace_domain(s->parties[0].group, s->domains[2], NULL, NULL);
		s->from = s->to = 2;
		s->point = 0;
		judge_all_reads(s);
	}
	s->machine.qemu->between = NULL;
	return err;
}

int stepping_run(const struct stepping_config *config, struct stepping_result results[2])
{
	static struct stepping s; /* large; one run at a time */
	const struct machine_config machine = {
		.arch = config->arch,
		.board = config->board,
		.ram_bytes = RAM_BYTES,
		.no_store128 = config->quantum64,
		.nested = config->kind[0].type == IOMMU_DOMAIN_NESTED || config->kind[1].type == IOMMU_DOMAIN_NESTED,
		.pasid_bits = config->pasid_bits,
		.seed = config->seed,
	};
	int err;

	memset(&s, 0, sizeof(s));
	memset(results, 0, 2 * sizeof(*results));
	results[0].hitless = results[1].hitless = true;
	s.config = *config;
	s.results = results;
	err = machine_create(&s.machine, &machine);
	if (err)
		return err;
	s.machine.observer = &s;
	s.machine.port.review = on_review;
	s.machine.port.trace = on_step;
	err = run(&s);
	if (s.ended)
		err = 0;
	else if (take_down(&s) && !err)
		err = -ENOTRECOVERABLE;
	machine_destroy(&s.machine);
	return err;
}
