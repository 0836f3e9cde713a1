/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_plan.c - the planner, as a pure function: every transition of VT-d's and SMMUv3's entries, judged by something that knows no
 * planner.
 *
 * The judge carries a plan out on the entry's words and keeps, by brute force, all that the hardware could have made of it: every
 * entry that a torn fetch could have read, every copy in the entry cache, every line in the IOTLB, as tag and tables. It objects
 * when one of them is neither the old entry nor the new one. To show that it can, plans are broken on purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <hitless/plan.h>

#include "layout/smmuv3.h"
#include "layout/vtd.h"
#include "tool/arch.h"
#include "tool/tool.h"

/* arch.c calls it for wrong names; a test has none. */
_Noreturn void tool_fail(enum tool_exit status, const char *format, ...)
{
	(void)status;
	fprintf(stderr, "tool_fail: %s\n", format);
	abort();
}

#define MAX_STEPS 64
#define RID 0x0010u
#define TEMPORARY 9u
#define PRIVATE (IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE)

struct entry {
	uint64_t words[IOMMU_ENTRY_WORDS];
};

/* Whose entries and commands the judge knows. */
static const struct tool_arch *const judged[] = { &tool_vtd, &tool_vtd_legacy, &tool_smmuv3, NULL };
/* Whose pairs for_all_pairs() makes: a test that needs no judge takes all. */
static const struct tool_arch *const *planned = judged;

/* ---- What the judge knows of an entry, by itself ---- */

static bool is_context(const struct tool_entry *entry)
{
	return strcmp(entry->name, "context") == 0;
}

static bool is_ste(const struct tool_entry *entry)
{
	return strcmp(entry->name, "ste") == 0;
}

static bool is_cd(const struct tool_entry *entry)
{
	return strcmp(entry->name, "cd") == 0;
}

/* An SMMUv3 caches what is not valid too (IHI 0070, 3.21.3). */
static bool is_smmu(const struct tool_entry *entry)
{
	return is_ste(entry) || is_cd(entry);
}

static bool present(const struct tool_entry *entry, const struct entry *e)
{
	return is_cd(entry) ? e->words[0] >> 31 & 1 : e->words[0] & 1;
}

/* Config in words: a first stage, a second stage. */
static bool has_first(const struct entry *e)
{
	return (GET(SMMU_STE, CONFIG, e->words) & 5) == 5;
}

static bool has_second(const struct entry *e)
{
	return (GET(SMMU_STE, CONFIG, e->words) & 6) == 6;
}

/* Does the hardware make lines in its IOTLB for it? VT-d does for all it lets through. */
static bool translates(const struct tool_entry *entry, const struct entry *e)
{
	if (!present(entry, e))
		return false;
	if (is_ste(entry))
		return has_first(e) || has_second(e);
	return !is_cd(entry) || !GET(SMMU_CD, EPD0, e->words);
}

/* VMIDs are told from ASIDs by this bit; an ASID is behind the table of contexts, 64 KiB apart in the configurations. */
#define VMID_BIT 0x10000u

static uint32_t tag_of(const struct tool_entry *entry, const struct entry *e)
{
	if (is_cd(entry))
		return (uint32_t)GET(SMMU_CD, ASID, e->words);
	if (is_ste(entry))
		return has_second(e) ? (uint32_t)GET(SMMU_STE, S2VMID, e->words) | VMID_BIT :
				       (uint32_t)(GET_ADDR(SMMU_STE, S1CONTEXTPTR, e->words) >> 16);
	return (uint32_t)(is_context(entry) ? GET(VTD_CONTEXT, DID, e->words) : GET(VTD_PASID, DID, e->words));
}

static void set_tag(const struct tool_entry *entry, struct entry *e, uint32_t tag)
{
	if (is_cd(entry))
		SET(SMMU_CD, ASID, e->words, tag);
	else if (is_ste(entry) && has_second(e))
		SET(SMMU_STE, S2VMID, e->words, tag);
	else if (is_ste(entry))
		return;
	else if (is_context(entry))
		SET(VTD_CONTEXT, DID, e->words, tag);
	else
		SET(VTD_PASID, DID, e->words, tag);
}

/* Which tables a translation goes through. */
struct tables {
	uint64_t second, first;
	unsigned kind, levels;
};

static struct tables tables_of(const struct tool_entry *entry, const struct entry *e)
{
	struct tables t;

	memset(&t, 0, sizeof(t));
	if (is_cd(entry)) {
		t.first = GET(SMMU_CD, TTB0, e->words) << 4;
		t.levels = (unsigned)GET(SMMU_CD, T0SZ, e->words);
		return t;
	}
	if (is_ste(entry)) {
		/* Under a VMID, whatever guest's tables are before it, there is one second stage. */
		if (has_second(e))
			t.second = GET(SMMU_STE, S2TTB, e->words) << 4;
		else
			t.first = GET_ADDR(SMMU_STE, S1CONTEXTPTR, e->words);
		return t;
	}
	if (is_context(entry)) {
		t.kind = GET(VTD_CONTEXT, TT, e->words) == VTD_TT_PASS ? VTD_PGTT_PASS : VTD_PGTT_SECOND;
		if (t.kind == VTD_PGTT_SECOND) {
			t.second = GET_ADDR(VTD_CONTEXT, SSPTPTR, e->words);
			t.levels = (unsigned)GET(VTD_CONTEXT, AW, e->words);
		}
		return t;
	}
	t.kind = (unsigned)GET(VTD_PASID, PGTT, e->words);
	if (t.kind == VTD_PGTT_SECOND || t.kind == VTD_PGTT_NESTED) {
		t.second = GET_ADDR(VTD_PASID, SSPTPTR, e->words);
		t.levels = (unsigned)GET(VTD_PASID, AW, e->words);
	}
	if (t.kind == VTD_PGTT_FIRST || t.kind == VTD_PGTT_NESTED) {
		t.first = GET_ADDR(VTD_PASID, FSPTPTR, e->words);
		t.levels |= (unsigned)GET(VTD_PASID, FSPM, e->words) << 8;
	}
	return t;
}

/* The same to the hardware. */
static bool alike(const struct tool_entry *entry, const struct entry *a, const struct entry *b)
{
	uint64_t ua[IOMMU_ENTRY_WORDS] = { 0 }, ub[IOMMU_ENTRY_WORDS] = { 0 };

	iommu_entry_used(entry->format, a->words, ua);
	iommu_entry_used(entry->format, b->words, ub);
	/* Events may be merged or not (IHI 0070, 5.2, MEV). */
	if (is_ste(entry)) {
		SET(SMMU_STE, MEV, ua, 0);
		SET(SMMU_STE, MEV, ub, 0);
	}
	for (unsigned i = 0; i < iommu_entry_words(entry->format); i++)
		if (ua[i] != ub[i] || (a->words[i] & ua[i]) != (b->words[i] & ub[i]))
			return false;
	return true;
}

/* ---- The judge ---- */

#define MAX_IMAGES 16
#define MAX_SET 256

struct judge {
	const struct tool_entry *entry;
	const struct iommu_plan_request *request;
	struct entry before, after;
	bool hitless;
	/* What a fetch under way could have met of the page that the pointer leads to, oldest first; and of the page that it led
	 * to before, if the hardware may still be there. */
	struct entry images[MAX_IMAGES], old_page[MAX_IMAGES];
	unsigned nimages, nold_page;
	/* What the entry cache may hold. */
	struct entry cached[MAX_SET];
	unsigned ncached;
	/* What the IOTLB may hold. */
	struct {
		uint32_t tag;
		struct tables tables;
	} lines[MAX_SET];
	unsigned nlines;
	/* Commands that nothing has waited for; whether the CPU has. */
	const struct iommu_step *pending[MAX_STEPS];
	unsigned npending;
	bool unpolled;
	bool locked, was_blocked;
	const char *objection;	/* NULL: none */
};

static void object(struct judge *j, const char *what)
{
	if (!j->objection)
		j->objection = what;
}

/* May the hardware see this entry? The old one and the new one; these under a tag that nobody else has; and the blocking one,
 * if the plan says that it is disruptive. */
static bool legal(const struct judge *j, const struct entry *e)
{
	const struct entry *sides[] = { &j->before, &j->after };

	if (!present(j->entry, e) && !j->hitless)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		struct entry twin = *sides[i];

		if (alike(j->entry, e, &twin))
			return true;
		if (!present(j->entry, e) || !present(j->entry, &twin) || !(j->request->facts & PRIVATE))
			continue;
		set_tag(j->entry, &twin, tag_of(j->entry, e));
		if (alike(j->entry, e, &twin) &&
		    (tag_of(j->entry, e) == TEMPORARY || tag_of(j->entry, e) == tag_of(j->entry, &j->before) ||
		     tag_of(j->entry, e) == tag_of(j->entry, &j->after)))
			return true;
	}
	return false;
}

/* The hardware has this entry in hand now, and may walk with it. */
static void fetched(struct judge *j, const struct entry *e)
{
	struct tables tables;
	unsigned i;

	if (!legal(j, e))
		object(j, "a fetch sees an entry that is neither old nor new");
	if (!present(j->entry, e) && !is_smmu(j->entry))
		return;
	for (i = 0; i < j->ncached && !alike(j->entry, &j->cached[i], e); i++)
		;
	assert_true(i < MAX_SET);
	j->cached[i] = *e;
	j->ncached += i == j->ncached;

	if (!translates(j->entry, e))
		return;
	tables = tables_of(j->entry, e);
	for (i = 0; i < j->nlines; i++) {
		if (j->lines[i].tag != tag_of(j->entry, e))
			continue;
		if (memcmp(&j->lines[i].tables, &tables, sizeof(tables)) == 0)
			return;
		if (!(j->request->facts & IOMMU_PLAN_ASSUME_OLD_OR_NEW))
			object(j, "two tables under one tag");
	}
	assert_true(i < MAX_SET);
	j->lines[i].tag = tag_of(j->entry, e);
	j->lines[i].tables = tables;
	j->nlines++;
}

/* Every entry that a fetch could put together from these images, quantum by quantum. */
static void fetch_torn(struct judge *j, const struct entry *images, unsigned n)
{
	unsigned words = iommu_entry_words(j->entry->format), per = j->request->quantum / 8;
	unsigned quanta = (words + per - 1) / per, choice[IOMMU_ENTRY_WORDS] = { 0 };

	for (unsigned q = 0; n && q < quanta;) {
		struct entry e = { { 0 } };

		for (unsigned i = 0; i < words; i++)
			e.words[i] = images[choice[i / per]].words[i];
		fetched(j, &e);
		/* Count up, skipping images in which the quantum is as before. */
		for (q = 0; q < quanta; q++) {
			unsigned was = choice[q];

			while (++choice[q] < n && memcmp(&images[choice[q]].words[q * per], &images[was].words[q * per],
							 (per < words ? per : words) * 8) == 0)
				;
			if (choice[q] < n)
				break;
			choice[q] = 0;
		}
	}
}

static void fetch_all(struct judge *j)
{
	struct entry again[MAX_SET];
	unsigned n = j->ncached;

	fetch_torn(j, j->images, j->nimages);
	fetch_torn(j, j->old_page, j->nold_page);
	/* A cached copy makes lines as well. */
	memcpy(again, j->cached, sizeof(again));
	for (unsigned i = 0; i < n; i++)
		fetched(j, &again[i]);
}

static void do_store(struct judge *j, const struct iommu_step *step)
{
	struct entry next = j->images[j->nimages - 1];

	if (j->unpolled)
		object(j, "a store while commands are out");
	if (step->place == IOMMU_PLACE_PARENT) {
		if (!j->locked)
			object(j, "a swap without the lock");
		memcpy(j->old_page, j->images, sizeof(j->images));
		j->nold_page = j->nimages;
		memcpy(next.words, step->entry, step->nentry * 8);
		j->images[0] = next;
		j->nimages = 1;
	} else {
		memcpy(&next.words[step->quantum * step->nwords], step->words, step->nwords * 8);
		assert_true(j->nimages < MAX_IMAGES);
		j->images[j->nimages++] = next;
	}
	fetch_all(j);
}

/* IHI 0070, 4.3: a command for a stream's entry takes what is behind it too. */
static bool forgets_smmu_entry(const struct judge *j, const struct iommu_step *step)
{
	unsigned range;

	switch (GET(SMMU_CMD, OPCODE, step->words)) {
	case SMMU_CMD_CFGI_STE:
		return GET(SMMU_CMD_CFGI_STE, SID, step->words) == RID;
	case SMMU_CMD_CFGI_STE_RANGE:
		range = (unsigned)GET(SMMU_CMD_CFGI_STE_RANGE, RANGE, step->words) + 1;
		return range > 31 || GET(SMMU_CMD_CFGI_STE_RANGE, SID, step->words) >> range == RID >> range;
	case SMMU_CMD_CFGI_CD:
		return is_cd(j->entry) && GET(SMMU_CMD_CFGI_CD, SID, step->words) == RID && !GET(SMMU_CMD_CFGI_CD, SSID, step->words);
	case SMMU_CMD_CFGI_CD_ALL:
		return is_cd(j->entry) && GET(SMMU_CMD_CFGI_CD_ALL, SID, step->words) == RID;
	default:
		return false;
	}
}

/* Does it take what was cached of the pointer to the page? An STE's: what points to it is in the level above; a CD's: in the STE. */
static bool forgets_pointer(const struct judge *j, const struct iommu_step *step)
{
	uint64_t opcode = GET(SMMU_CMD, OPCODE, step->words);

	if (!is_smmu(j->entry))
		return strcmp(step->scope, "global") == 0;
	if (!forgets_smmu_entry(j, step) || opcode == SMMU_CMD_CFGI_CD || opcode == SMMU_CMD_CFGI_CD_ALL)
		return false;
	return is_cd(j->entry) || opcode == SMMU_CMD_CFGI_STE_RANGE || !GET(SMMU_CMD_CFGI_STE, LEAF, step->words);
}

/* Does the command take a cached copy of this entry? */
static bool forgets_entry(const struct judge *j, const struct iommu_step *step, const struct entry *e)
{
	if (is_smmu(j->entry))
		return forgets_smmu_entry(j, step);
	if (is_context(j->entry)) {
		if (step->cache != IOMMU_CACHE_ENTRY)
			return false;
		return GET(VTD_DESC_CONTEXT, G, step->words) == VTD_CONTEXT_GLOBAL ||
		       (GET(VTD_DESC_CONTEXT, G, step->words) == VTD_CONTEXT_DEVICE && GET(VTD_DESC_CONTEXT, SID, step->words) == RID);
	}
	if (step->cache != IOMMU_CACHE_PASID)
		return false;
	return GET(VTD_DESC_PASID, G, step->words) == VTD_PASID_CACHE_GLOBAL ||
	       (GET(VTD_DESC_PASID, G, step->words) == VTD_PASID_CACHE_PASID && GET(VTD_DESC_PASID, PASID, step->words) == 0 &&
		GET(VTD_DESC_PASID, DID, step->words) == tag_of(j->entry, e));
}

/* IHI 0070, 4.4. */
static bool forgets_smmu_line(const struct iommu_step *step, uint32_t tag)
{
	switch (GET(SMMU_CMD, OPCODE, step->words)) {
	case SMMU_CMD_TLBI_NH_ASID:
		return !(tag & VMID_BIT) && GET(SMMU_CMD_TLBI, ASID, step->words) == tag && !GET(SMMU_CMD_TLBI, VMID, step->words);
	case SMMU_CMD_TLBI_S12_VMALL:
		return (tag & VMID_BIT) && (GET(SMMU_CMD_TLBI, VMID, step->words) | VMID_BIT) == tag;
	default:
		return false;
	}
}

static bool forgets_line(const struct judge *j, const struct iommu_step *step, uint32_t tag, const struct tables *tables)
{
	bool by_pasid = tables->kind == VTD_PGTT_FIRST || tables->kind == VTD_PGTT_PASS;

	if (step->cache != IOMMU_CACHE_IOTLB)
		return false;
	if (is_smmu(j->entry))
		return forgets_smmu_line(step, tag);
	if (GET(VTD_DESC, TYPE, step->words) == VTD_DESC_PIOTLB)
		return by_pasid && GET(VTD_DESC_PIOTLB, DID, step->words) == tag && GET(VTD_DESC_PIOTLB, PASID, step->words) == 0;
	return GET(VTD_DESC_IOTLB, G, step->words) == VTD_IOTLB_DOMAIN && GET(VTD_DESC_IOTLB, DID, step->words) == tag;
}

static bool is_entry_cache(const struct judge *j, const struct iommu_step *step)
{
	if (is_smmu(j->entry))
		return forgets_smmu_entry(j, step);
	return step->cache == (is_context(j->entry) ? IOMMU_CACHE_ENTRY : IOMMU_CACHE_PASID);
}

/* All commands are done: those for the IOTLB first, so that the cached entries can refill it; they may be done in any order. */
static void do_wait(struct judge *j, bool poll)
{
	bool fetches = false, pages = false, cached = false;

	for (unsigned p = 0; p < j->npending; p++)
		for (unsigned i = 0; i < j->nlines;)
			if (forgets_line(j, j->pending[p], j->lines[i].tag, &j->lines[i].tables))
				j->lines[i] = j->lines[--j->nlines];
			else
				i++;
	fetch_all(j);
	for (unsigned p = 0; p < j->npending; p++) {
		const struct iommu_step *step = j->pending[p];

		if (!is_entry_cache(j, step))
			continue;
		/* Fetches that were under way when the command came have ended. */
		fetches = true;
		pages |= forgets_pointer(j, step);
		for (unsigned i = 0; i < j->ncached;)
			if (forgets_entry(j, step, &j->cached[i]))
				j->cached[i] = j->cached[--j->ncached];
			else
				i++;
	}
	if (fetches) {
		j->images[0] = j->images[j->nimages - 1];
		j->nimages = 1;
		if (pages)
			j->nold_page = 0;
	}
	j->npending = 0;
	if (poll)
		j->unpolled = false;
	fetch_all(j);
	for (unsigned i = 0; i < j->ncached; i++)
		cached |= present(j->entry, &j->cached[i]);
	j->was_blocked |= poll && !present(j->entry, &j->images[0]) && !cached && !j->nold_page && !j->nlines;
}

/* NULL, or what is wrong with the plan. */
static const char *judge(const struct tool_entry *entry, const struct iommu_plan_request *request, const struct iommu_plan *plan)
{
	static struct judge j;

	memset(&j, 0, sizeof(j));
	j.entry = entry;
	j.request = request;
	j.hitless = plan->hitless;
	memcpy(j.before.words, request->before, iommu_entry_words(entry->format) * 8);
	memcpy(j.after.words, request->after, iommu_entry_words(entry->format) * 8);
	j.images[j.nimages++] = j.before;
	fetch_all(&j);
	for (unsigned i = 0; i < plan->nsteps; i++) {
		const struct iommu_step *step = &plan->steps[i];

		switch (step->op) {
		case IOMMU_STEP_STORE:
			do_store(&j, step);
			break;
		case IOMMU_STEP_INVALIDATE:
			j.pending[j.npending++] = step;
			j.unpolled = true;
			break;
		case IOMMU_STEP_WAIT:
			do_wait(&j, step->poll);
			break;
		case IOMMU_STEP_LOCK:
			j.locked = true;
			break;
		case IOMMU_STEP_UNLOCK:
			if (j.nold_page)
				object(&j, "unlocked while the hardware may be in the old page");
			j.locked = false;
			break;
		case IOMMU_STEP_FREE:
			if (j.nold_page || j.unpolled)
				object(&j, "freed while the hardware may be in the old page");
			break;
		default:
			break;
		}
	}
	if (j.unpolled || j.locked)
		object(&j, "commands or a lock are left");
	if (memcmp(&j.images[j.nimages - 1], &j.after, sizeof(j.after)) != 0)
		object(&j, "the entry is not the new one");
	/* The next change may begin with a flip. */
	for (unsigned i = 0; i + 1 < j.nimages; i++)
		if (present(entry, &j.images[i]) && memcmp(&j.images[i], &j.after, sizeof(j.after)) != 0)
			object(&j, "a fetch under way may still hold what has been cleaned up");
	for (unsigned i = 0; i < j.ncached; i++)
		if (!alike(entry, &j.cached[i], &j.after))
			object(&j, "the old entry is still cached");
	for (unsigned i = 0; i < j.nlines; i++) {
		struct tables tables = tables_of(entry, &j.after);

		if (translates(entry, &j.after) && j.lines[i].tag == tag_of(entry, &j.after) &&
		    memcmp(&j.lines[i].tables, &tables, sizeof(tables)) == 0)
			continue;
		object(&j, "old translations are still cached");
	}
	if (plan->strategy == IOMMU_STRATEGY_BREAK && !j.was_blocked && present(entry, &j.before) &&
	    present(entry, &j.after))
		object(&j, "no moment in which everything was blocked");
	return j.objection;
}

/* ---- All pairs ---- */

struct transition {
	const struct tool_entry *entry;
	struct tool_config from, to;
	struct iommu_plan_request request;
	struct iommu_plan plan;
	struct iommu_step steps[MAX_STEPS];
};

static int make_plan(struct transition *t)
{
	memset(&t->plan, 0, sizeof(t->plan));
	t->plan.steps = t->steps;
	t->plan.capacity = MAX_STEPS;
	return iommu_plan(&t->request, &t->plan);
}

/* Calls visit() for every ordered pair of configurations of every entry, without `invalid` unless asked for. */
static void for_all_pairs(unsigned quantum, unsigned facts, unsigned strategies, bool invalid,
			  void (*visit)(struct transition *t, void *ctx), void *ctx)
{
	for (unsigned a = 0; planned[a]; a++)
		for (unsigned e = 0; e < planned[a]->nentries; e++) {
			const struct tool_entry *entry = &planned[a]->entries[e];

			for (unsigned i = 0; i < entry->nconfigs; i++)
				for (unsigned k = 0; k < entry->nconfigs; k++) {
					static struct transition t;

					memset(&t, 0, sizeof(t));
					t.entry = entry;
					entry->config(i, &t.from);
					entry->config(k, &t.to);
					if (i == k || (!invalid && (strcmp(t.from.name, "invalid") == 0 || strcmp(t.to.name, "invalid") == 0)))
						continue;
					t.request = (struct iommu_plan_request){
						.format = entry->format,
						.before = t.from.words,
						.after = t.to.words,
						.quantum = quantum,
						.facts = facts,
						.strategies = strategies,
						.rid = RID,
						.temporary_tag = TEMPORARY,
					};
					if (entry->tag_behind) {
						t.request.before_tag = entry->tag_behind(t.from.words);
						t.request.after_tag = entry->tag_behind(t.to.words);
					}
					visit(&t, ctx);
				}
		}
}

static void must_hold(struct transition *t, void *ctx)
{
	unsigned *count = ctx;
	const char *objection;

	assert_int_equal(make_plan(t), 0);
	objection = judge(t->entry, &t->request, &t->plan);
	if (objection) {
		print_error("%s -> %s, %u-byte quanta, facts %x, %s: %s\n", t->from.name, t->to.name, t->request.quantum,
			    t->request.facts, iommu_strategy_name(t->plan.strategy), objection);
		fail();
	}
	/* Every plan says what it costs. */
	unsigned stores = 0, commands = 0, rounds = 0, polls = 0;

	for (unsigned i = 0; i < t->plan.nsteps; i++) {
		stores += t->steps[i].op == IOMMU_STEP_STORE;
		commands += t->steps[i].op == IOMMU_STEP_INVALIDATE;
		rounds += t->steps[i].op == IOMMU_STEP_WAIT;
		polls += t->steps[i].op == IOMMU_STEP_WAIT && t->steps[i].poll;
	}
	assert_int_equal(t->plan.cost.stores, stores);
	assert_int_equal(t->plan.cost.commands, commands);
	assert_int_equal(t->plan.cost.rounds, rounds);
	assert_int_equal(t->plan.cost.polls, polls);
	assert_true(t->plan.hitless == !t->plan.why);
	assert_true(t->plan.hitless == (t->plan.strategy != IOMMU_STRATEGY_BREAK));
	++*count;
}

static void test_every_pair_old_or_new(void **state)
{
	static const unsigned facts[] = {
		0, PRIVATE, IOMMU_PLAN_NO_PARENT, PRIVATE | IOMMU_PLAN_NO_PARENT, IOMMU_PLAN_NONCOHERENT,
		PRIVATE | IOMMU_PLAN_ASSUME_OLD_OR_NEW, IOMMU_PLAN_NO_PARENT | IOMMU_PLAN_ASSUME_OLD_OR_NEW | PRIVATE,
	};
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		for (unsigned quantum = 8; quantum <= 16; quantum += 8)
			for_all_pairs(quantum, facts[i], IOMMU_STRATEGY_ANY, true, must_hold, &count);
	/* 14 configurations of the PASID entry, 6 of the context entry, 10 of the STE, 8 of the CD. */
	assert_int_equal(count, 7 * 2 * (14 * 13 + 6 * 5 + 10 * 9 + 8 * 7));
}

/* Each strategy by itself, wherever it can be had. */
static void holds_if_possible(struct transition *t, void *ctx)
{
	int err = make_plan(t);

	if (err)
		assert_int_equal(err, -EOPNOTSUPP);
	else
		must_hold(t, ctx);
}

static void test_every_strategy_alone(void **state)
{
	(void)state;
	for (unsigned s = IOMMU_STRATEGY_ONE_STORE; s < IOMMU_STRATEGY_COUNT; s++) {
		unsigned count = 0;

		for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
			for_all_pairs(quantum, 0, IOMMU_STRATEGY_BIT(s), true, holds_if_possible, &count);
			for_all_pairs(quantum, PRIVATE, IOMMU_STRATEGY_BIT(s), true, holds_if_possible, &count);
			for_all_pairs(quantum, PRIVATE | IOMMU_PLAN_ASSUME_OLD_OR_NEW, IOMMU_STRATEGY_BIT(s), true,
				      holds_if_possible, &count);
		}
		if (s == IOMMU_STRATEGY_STANDIN) {
			assert_int_equal(count, 0); /* there is none for VT-d's entries */
			continue;
		}
		if (!count)
			print_error("%s: never possible\n", iommu_strategy_name(s));
		assert_true(count);
	}
}

/* In DESIGN.md's order of costs. */
static bool dearer(const struct iommu_cost *a, const struct iommu_cost *b)
{
	if (a->rounds != b->rounds)
		return a->rounds > b->rounds;
	if (a->foreign != b->foreign)
		return a->foreign > b->foreign;
	return a->copied != b->copied ? a->copied > b->copied : a->tags > b->tags;
}

static void is_the_cheapest(struct transition *t, void *ctx)
{
	struct iommu_cost chosen;
	unsigned strategy, *count = ctx;

	assert_int_equal(make_plan(t), 0);
	chosen = t->plan.cost;
	strategy = t->plan.strategy;
	for (unsigned s = IOMMU_STRATEGY_ONE_STORE; s < IOMMU_STRATEGY_BREAK; s++) {
		t->request.strategies = IOMMU_STRATEGY_BIT(s);
		if (make_plan(t))
			continue;
		if (dearer(&chosen, &t->plan.cost))
			fail_msg("%s %s -> %s, %u-byte quanta, facts %x: %s, where %s is cheaper", t->entry->name, t->from.name, t->to.name,
				 t->request.quantum, t->request.facts, iommu_strategy_name(strategy), iommu_strategy_name(s));
		++*count;
	}
}

/* What is chosen without a look at the others is no dearer than any of them; for every architecture. */
static void test_the_cheapest_is_chosen(void **state)
{
	static const unsigned facts[] = { 0, PRIVATE, IOMMU_PLAN_NO_PARENT, IOMMU_PLAN_NONCOHERENT, IOMMU_PLAN_CACHES_ABSENT, IOMMU_PLAN_ATS,
					  PRIVATE | IOMMU_PLAN_ASSUME_OLD_OR_NEW };
	unsigned count = 0;

	(void)state;
	planned = tool_archs;
	for (unsigned i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		for (unsigned quantum = 8; quantum <= 16; quantum += 8)
			for_all_pairs(quantum, facts[i], IOMMU_STRATEGY_ANY, true, is_the_cheapest, &count);
	planned = judged;
	assert_true(count > 10000);
}

/* ---- The judge can object ---- */

static void remove_step(struct iommu_plan *plan, unsigned i)
{
	memmove(&plan->steps[i], &plan->steps[i + 1], (plan->nsteps - i - 1) * sizeof(*plan->steps));
	plan->nsteps--;
}

/* A break that stores only what the new entry ignores while it blocks need not protect that; the planner does all the same. */
static bool is_caution(const struct transition *t, const unsigned *stores, unsigned nstores, unsigned i)
{
	uint64_t used[IOMMU_ENTRY_WORDS] = { 0 };

	if (t->plan.strategy != IOMMU_STRATEGY_BREAK || nstores < 3 || i < stores[1] || i > stores[nstores - 1])
		return false;
	iommu_entry_used(t->entry->format, t->to.words, used);
	for (unsigned s = 1; s + 1 < nstores; s++)
		for (unsigned w = 0; w < t->steps[stores[s]].nwords; w++)
			if (used[t->steps[stores[s]].quantum * t->steps[stores[s]].nwords + w])
				return false;
	return true;
}

/* Where no torn entry could do harm, a break protects more than it need. An SMMUv3 has untagged entries, where nobody would see it. */
static bool breaks_needlessly(const struct transition *t)
{
	struct iommu_plan_request request = t->request;
	struct iommu_plan plan = { 0 };

	request.facts |= IOMMU_PLAN_SUPERSET;
	request.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_PRELOAD);
	return t->plan.strategy == IOMMU_STRATEGY_BREAK && is_smmu(t->entry) && iommu_plan(&request, &plan) == 0;
}

/*
 * Two PASID-cache invalidations side by side, for the old and the new domain id. To this judge each of them ends all fetches under way;
 * that it may end only those with its own domain id is for the explorer to see (docs/explorer.md, finding 1).
 */
static bool is_twin(const struct transition *t, unsigned i)
{
	const struct iommu_step *step = &t->steps[i];

	if (step->op != IOMMU_STEP_INVALIDATE || step->cache != IOMMU_CACHE_PASID)
		return false;
	return (i > 0 && step[-1].op == IOMMU_STEP_INVALIDATE && step[-1].cache == IOMMU_CACHE_PASID) ||
	       (i + 1 < t->plan.nsteps && step[1].op == IOMMU_STEP_INVALIDATE && step[1].cache == IOMMU_CACHE_PASID);
}

/* How many of the plan's mutants there are, and that none survives. */
static void mutants_die(struct transition *t, void *ctx)
{
	unsigned *killed = ctx;
	unsigned stores[8], nstores = 0;

	if (make_plan(t) != 0 || !present(t->entry, (const struct entry *)t->from.words) || breaks_needlessly(t))
		return;
	for (unsigned i = 0; i < t->plan.nsteps; i++)
		if (t->steps[i].op == IOMMU_STEP_STORE && nstores < 8)
			stores[nstores++] = i;

	for (unsigned i = 0; i < t->plan.nsteps; i++) {
		const struct iommu_step *step = &t->steps[i];

		/* Polls, the invalidations of the entry, and stores: none may be missing. */
		if (!(step->op == IOMMU_STEP_WAIT && step->poll) && step->op != IOMMU_STEP_STORE &&
		    !(step->op == IOMMU_STEP_INVALIDATE &&
		      (step->cache == IOMMU_CACHE_PASID || step->cache == IOMMU_CACHE_ENTRY || step->cache == IOMMU_CACHE_CD)))
			continue;
		if (is_twin(t, i))
			continue;
		remove_step(&t->plan, i);
		if (!judge(t->entry, &t->request, &t->plan) && !is_caution(t, stores, nstores, i)) {
			print_error("%s -> %s, %u-byte quanta, %s: step %u is missing and nobody objects\n", t->from.name,
				    t->to.name, t->request.quantum, iommu_strategy_name(t->plan.strategy), i);
			fail();
		}
		++*killed;
		make_plan(t);
	}
	/* Two stores with a wait between them, the other way round. */
	for (unsigned s = 0; s + 1 < nstores; s++) {
		struct iommu_step step = t->steps[stores[s]];

		if (stores[s + 1] == stores[s] + 1 || is_caution(t, stores, nstores, stores[s]))
			continue;
		t->steps[stores[s]] = t->steps[stores[s + 1]];
		t->steps[stores[s + 1]] = step;
		if (!judge(t->entry, &t->request, &t->plan)) {
			print_error("%s -> %s, %u-byte quanta, %s: stores %u and %u change places and nobody objects\n", t->from.name,
				    t->to.name, t->request.quantum, iommu_strategy_name(t->plan.strategy), s, s + 1);
			fail();
		}
		++*killed;
		make_plan(t);
	}
}

static void test_broken_plans_are_objected_to(void **state)
{
	static const enum iommu_strategy strategies[] = {
		IOMMU_STRATEGY_ONE_STORE, IOMMU_STRATEGY_PRELOAD, IOMMU_STRATEGY_TABLE_SWAP, IOMMU_STRATEGY_BREAK,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(strategies) / sizeof(strategies[0]); i++) {
		unsigned killed = 0;

		for (unsigned quantum = 8; quantum <= 16; quantum += 8)
			for_all_pairs(quantum, 0, IOMMU_STRATEGY_BIT(strategies[i]), false, mutants_die, &killed);
		assert_true(killed > 20);
	}
}

static void frees_early(struct transition *t, void *ctx)
{
	unsigned *killed = ctx;
	struct iommu_step freed;
	unsigned i, wait;

	if (make_plan(t) != 0)
		return;
	for (i = 0; t->steps[i].op != IOMMU_STEP_FREE; i++)
		;
	freed = t->steps[i];
	remove_step(&t->plan, i);
	for (wait = 0; t->steps[wait].op != IOMMU_STEP_WAIT; wait++)
		;
	memmove(&t->steps[wait + 1], &t->steps[wait], (t->plan.nsteps - wait) * sizeof(freed));
	t->steps[wait] = freed;
	t->plan.nsteps++;
	assert_non_null(judge(t->entry, &t->request, &t->plan));
	++*killed;
}

static void test_a_page_freed_early_is_objected_to(void **state)
{
	unsigned killed = 0;

	(void)state;
	for_all_pairs(16, 0, IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP), false, frees_early, &killed);
	assert_true(killed > 20);
}

/* ---- Against the published algorithm: cells.json ---- */

/* Beside this file, which the compiler names as seen from the build directory, where tests run. */
static json_t *load_json(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%.*s%s", (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__, name);
	return json_load_file(path, 0, NULL);
}

static json_t *find_cells(json_t *document, const char *arch, const char *entry)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(document, "entries"), i, row)
		if (strcmp(json_string_value(json_object_get(row, "arch")), arch) == 0 &&
		    strcmp(json_string_value(json_object_get(row, "entry")), entry) == 0)
			return row;
	return NULL;
}

static void test_configurations_are_those_of_cells_json(void **state)
{
	json_t *document = load_json("cells.json");

	(void)state;
	assert_non_null(document);
	for (unsigned a = 0; tool_archs[a]; a++)
		for (unsigned e = 0; e < tool_archs[a]->nentries; e++) {
			const struct tool_entry *entry = &tool_archs[a]->entries[e];
			json_t *cells = find_cells(document, tool_archs[a]->name, entry->name);
			json_t *configs = json_object_get(cells, "configs");

			assert_int_equal(json_array_size(configs), entry->nconfigs);
			for (unsigned i = 0; i < entry->nconfigs; i++) {
				struct tool_config config = { 0 };
				json_t *theirs = json_array_get(configs, i), *words = json_object_get(theirs, "words");

				entry->config(i, &config);
				assert_string_equal(config.name, json_string_value(json_object_get(theirs, "name")));
				assert_int_equal(json_array_size(words), iommu_entry_words(entry->format));
				for (unsigned w = 0; w < json_array_size(words); w++)
					assert_int_equal(config.words[w], strtoull(json_string_value(json_array_get(words, w)), NULL, 16));
			}
		}
	json_decref(document);
}

static void test_cells_json_is_the_shared_one(void **state)
{
	json_t *ours = load_json("cells.json"), *shared = load_json("../../shared/cells.json");

	(void)state;
	assert_non_null(ours);
	if (!shared) {
		json_decref(ours);
		skip();
	}
	assert_true(json_equal(ours, shared));
	json_decref(ours);
	json_decref(shared);
}

static void count_hitless(struct transition *t, void *ctx)
{
	json_t *breaks = ctx, *pair;
	bool hitless, theirs = true;
	size_t i;

	hitless = make_plan(t) == 0 && t->plan.hitless;
	json_array_foreach(breaks, i, pair)
		if (strcmp(json_string_value(json_array_get(pair, 0)), t->from.name) == 0 &&
		    strcmp(json_string_value(json_array_get(pair, 1)), t->to.name) == 0)
			theirs = false;
	if (hitless != theirs)
		print_error("%s -> %s at %u: %s, in cells.json %s\n", t->from.name, t->to.name, t->request.quantum,
			    hitless ? "hitless" : "not hitless", theirs ? "hitless" : "break");
	assert_true(hitless == theirs);
}

struct one_entry {
	const struct tool_entry *entry;
	json_t *breaks;
	unsigned pairs;
};

static void count_of_entry(struct transition *t, void *ctx)
{
	struct one_entry *one = ctx;

	if (t->entry != one->entry)
		return;
	one->pairs++;
	count_hitless(t, one->breaks);
}

/* With stores alone, and blind to tags as that algorithm is, exactly the same pairs are hitless. */
static void test_stores_alone_reach_what_used_bits_reach(void **state)
{
	json_t *document = load_json("cells.json");

	(void)state;
	planned = tool_archs;
	for (unsigned a = 0; planned[a]; a++)
		for (unsigned e = 0; e < planned[a]->nentries; e++)
			for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
				const struct tool_entry *entry = &planned[a]->entries[e];
				json_t *quanta = json_object_get(find_cells(document, planned[a]->name, entry->name), "quanta");
				json_t *cells = json_object_get(quanta, quantum == 8 ? "64" : "128");
				struct one_entry one = { .entry = entry, .breaks = json_object_get(cells, "used_bits_break") };

				assert_non_null(cells);
				for_all_pairs(quantum, IOMMU_PLAN_SUPERSET | IOMMU_PLAN_ONE_TO_ONE,
					      IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_PRELOAD),
					      false, count_of_entry, &one);
				assert_int_equal(one.pairs, json_integer_value(json_object_get(cells, "pairs")));
				assert_int_equal(one.pairs - json_array_size(one.breaks),
						 json_integer_value(json_object_get(cells, "used_bits_hitless")));
			}
	planned = judged;
	json_decref(document);
}

/* ---- The rest of iommu_plan()'s contract ---- */

static void test_bad_requests(void **state)
{
	uint64_t before[8] = { 0 }, after[8] = { 0 };
	struct iommu_plan_request request = {
		.format = tool_vtd.entries[0].format,
		.before = before,
		.after = after,
		.quantum = 16,
		.strategies = IOMMU_STRATEGY_ANY,
	};
	struct iommu_plan plan = { 0 };
	struct iommu_step step;

	(void)state;
	assert_int_equal(iommu_plan(&request, &plan), 0);
	assert_int_equal(plan.strategy, IOMMU_STRATEGY_NONE);
	assert_int_equal(plan.nsteps, 0);
	request.quantum = 32;
	assert_int_equal(iommu_plan(&request, &plan), -EINVAL);
	request.quantum = 16;
	after[7] = 1; /* reserved */
	assert_int_equal(iommu_plan(&request, &plan), -EINVAL);
	after[7] = 0;
	SET(VTD_PASID, P, after, 1);
	SET(VTD_PASID, PGTT, after, VTD_PGTT_FIRST);
	SET(VTD_PASID, DID, after, 1);
	SET_ADDR(VTD_PASID, FSPTPTR, after, 0xa000);
	plan.steps = &step;
	plan.capacity = 1;
	assert_int_equal(iommu_plan(&request, &plan), -E2BIG);
	assert_true(plan.nsteps > 1);
	request.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TAG_HOP);
	assert_int_equal(iommu_plan(&request, &plan), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_old_or_new),
		cmocka_unit_test(test_every_strategy_alone),
		cmocka_unit_test(test_the_cheapest_is_chosen),
		cmocka_unit_test(test_broken_plans_are_objected_to),
		cmocka_unit_test(test_a_page_freed_early_is_objected_to),
		cmocka_unit_test(test_configurations_are_those_of_cells_json),
		cmocka_unit_test(test_cells_json_is_the_shared_one),
		cmocka_unit_test(test_stores_alone_reach_what_used_bits_reach),
		cmocka_unit_test(test_bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
