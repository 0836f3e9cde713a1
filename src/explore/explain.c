/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * explain.c - why a mutant that survives is harmless.
 *
 * That it is proved says that it is. This looks for a reason which a person would accept, so that a survivor is not an explorer
 * that has seen nothing. Each reason is one that a program can check:
 *
 * - the step that is left out frees a page: a leak, and no matter of interleaving;
 * - nothing new happens: whatever may be in the caches and in flight together at some time may be so in the undamaged sequence, too;
 * - no mixture of the entry's values at different times, quantum by quantum, means anything but the old or the new entry, by what
 *   the hardware looks at: of stores that were split or swapped. Or one of these under the other's tag, if nobody else has either
 *   tag; or, where the device may be blocked, something that lets nothing of it through;
 * - there is nothing to forget: every request gets the same from the old entry as from the new one;
 * - another step does the same: without either of the two the sequence is proved, without *both* it is violated;
 * - the weakest, and last: another step covers it. Without that one as well the sequence is violated; but so it is without that one alone;
 * - only translations under a tag are concerned whose other users are entitled to them, and the device looks none up any more;
 * - what is stored, or not, is not looked at: neither before nor after;
 * - only what the device keeps itself is concerned, and the new entry refuses its translated requests as well as all others;
 * - what the device keeps is flushed next, and the new entry refuses the requests by which it would get more of the same;
 * - a page is freed later than it could be, or the device's own TLB is switched on later or not at all.
 */
#include "explain.h"

#include "arch.h"
#include "entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STATES 16

/* ---- Nothing new ---- */

static bool contains(const struct xp_result *in, uint64_t situation)
{
	uint32_t low = 0, high = in->nsituations;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (in->situations[middle] < situation)
			low = middle + 1;
		else
			high = middle;
	}
	return low < in->nsituations && in->situations[low] == situation;
}

static bool nothing_new(const struct xp_result *damaged, const struct xp_result *whole)
{
	for (uint32_t i = 0; i < damaged->nsituations; i++) {
		if (!contains(whole, damaged->situations[i]))
			return false;
	}
	return true;
}

/* ---- Mixtures ---- */

static bool means(const struct entry_format *format, const uint64_t *entry, const uint64_t *like)
{
	uint64_t used[IOMMU_ENTRY_WORDS] = { 0 }, used_like[IOMMU_ENTRY_WORDS] = { 0 };

	format->used(entry, used);
	format->used(like, used_like);
	for (unsigned i = 0; i < format->words; i++) {
		if (used[i] != used_like[i] || ((entry[i] ^ like[i]) & used[i]))
			return false;
	}
	return true;
}

/* A command about translations under a tag. */
static bool is_about_tag(const struct xp_arch *arch, const struct xp_op *op)
{
	unsigned lsb, width;

	return op->kind == XP_SUBMIT && arch->tag(op->words, &lsb, &width);
}

/* Does this make the hardware forget the entry? Not what is about translations or the device's TLB. */
static bool forgets_entry(const struct xp_arch *arch, const struct xp_op *op)
{
	return op->kind == XP_SUBMIT && !op->orders && !is_about_tag(arch, op) && !arch->is_device_tlb(op->words);
}

/*
 * Of the entry in its place: every value that it has at some time, and where one fetch can't have seen what comes after as well as what came
 * before, because the entry has been forgotten and the wait for that is over: ends[] has the last value of each such part, which is the
 * first of the next. False: too many, or it is in two places (a table swap).
 */
static bool values_of(const struct xp_arch *arch, const struct xp_case *c, const struct entry_format *format,
		      uint64_t states[][IOMMU_ENTRY_WORDS], unsigned *n, unsigned *ends, unsigned *nends)
{
	bool forgotten = false;

	*n = 1;
	*nends = 0;
	memcpy(states[0], &c->ram[c->after_addr / 8], format->words * 8);
	for (unsigned i = 0; i < c->steps.n; i++) {
		const struct xp_op *op = &c->steps.v[i];

		if (op->kind == XP_BULK)
			return false;
		forgotten |= forgets_entry(arch, op);
		if (op->kind == XP_WAIT && forgotten && *nends < MAX_STATES) {
			ends[(*nends)++] = *n - 1;
			forgotten = false;
		}
		if (op->kind != XP_STORE)
			continue;
		forgotten = false; /* what was forgotten before may be fetched again */
		if (op->addr < c->after_addr || op->addr + op->width > c->after_addr + format->words * 8 || *n == MAX_STATES)
			return false;
		memcpy(states[*n], states[*n - 1], sizeof(states[0]));
		memcpy(states[*n] + (op->addr - c->after_addr) / 8, op->words, op->width);
		++*n;
	}
	if (*nends == MAX_STATES)
		return false;
	ends[(*nends)++] = *n - 1;
	return true;
}

/* How many requests of that role and kind there are; with `blocked` none, if the new entry lets one of them through. */
static unsigned count_actors(const struct xp_case *c, enum xp_role role, bool translated, bool blocked)
{
	unsigned count = 0;

	for (unsigned a = 0; a < c->nactors; a++) {
		if (c->actors[a].role != role)
			continue;
		if (blocked && !c->views[a][1].fault)
			return 0;
		count += !translated || c->actors[a].kind == IOMMU_REQUEST_TRANSLATED;
	}
	return count;
}

/* What the model does with this entry in place, in the views of the new one. */
static bool try_entry(const struct xp_case *c, const struct entry_format *format, const uint64_t *entry, struct xp_case *tried)
{
	*tried = *c;
	if (c->nafter != format->words)
		return false;
	memcpy(tried->after, entry, format->words * sizeof(*entry));
	xp_views(tried);
	return true;
}

/* All that the device asks is answered as by the old entry (side 0) or the new one; or it is refused, as by the other. */
static bool acts_like(const struct xp_case *c, const struct xp_case *tried, unsigned side)
{
	for (unsigned a = 0; a < c->nactors; a++) {
		const struct xp_view *is = &tried->views[a][1], *like = &c->views[a][side];

		if (c->actors[a].role == XP_DEVICE && !(is->fault && c->views[a][!side].fault) &&
		    (is->fault != like->fault || (!is->fault && (is->phys != like->phys || is->rights != like->rights))))
			return false;
	}
	return true;
}

static bool mixture_is_fine(const struct hitless_cell *cell, const struct xp_case *c, const struct entry_format *format, const uint64_t *mixed,
			    const char **reason)
{
	bool alone = !count_actors(c, XP_OLD, false, false) && !count_actors(c, XP_NEW, false, false);
	uint32_t tag = format->tag(mixed), tags[2] = { format->tag(cell->before), format->tag(cell->after) };
	struct xp_case tried;

	if (means(format, mixed, cell->before) || means(format, mixed, cell->after))
		return true;
	if (!try_entry(c, format, mixed, &tried))
		return false;
	if (c->disruptive && count_actors(&tried, XP_DEVICE, false, true)) {
		*reason = "its mixtures do what the old or the new entry does, or let nothing through, and it may be blocked";
		return true;
	}
	for (unsigned side = 0; side < 2; side++)
		if (acts_like(c, &tried, side) && (tag == tags[side] || (alone && tag == tags[!side]))) {
			*reason = "its mixtures do what the old or the new entry does, under a tag of these, that nobody else has if it is the other's";
			return true;
		}
	return false;
}

/* Those of `n` values, from `states` on. */
static bool mixtures_of(const struct hitless_cell *cell, const struct xp_case *c, const struct entry_format *format,
			uint64_t states[][IOMMU_ENTRY_WORDS], unsigned n, const char **reason)
{
	uint64_t mixed[IOMMU_ENTRY_WORDS] = { 0 };
	unsigned per = cell->quantum / 8, quanta, choice[IOMMU_ENTRY_WORDS] = { 0 }, q;

	quanta = (format->words + per - 1) / per;
	do {
		for (unsigned i = 0; i < format->words; i++)
			mixed[i] = states[choice[i / per]][i];
		if (!mixture_is_fine(cell, c, format, mixed, reason))
			return false;
		/* Count up, skipping states in which the quantum is as in the one before. */
		for (q = 0; q < quanta; q++) {
			unsigned was = choice[q], size = q * per + per > format->words ? format->words - q * per : per;

			while (++choice[q] < n && memcmp(&states[choice[q]][q * per], &states[was][q * per], size * 8) == 0)
				;
			if (choice[q] < n)
				break;
			choice[q] = 0;
		}
	} while (q < quanta);
	return true;
}

static bool mixtures_are_fine(const struct xp_arch *arch, const struct hitless_cell *cell, const struct xp_case *c, const char **reason)
{
	uint64_t states[MAX_STATES][IOMMU_ENTRY_WORDS];
	unsigned n, ends[MAX_STATES], nends;

	*reason = "no mixture of its values means anything but the old or the new entry";
	if (!values_of(arch, c, arch->format, states, &n, ends, &nends))
		return false;
	for (unsigned i = 0, first = 0; i < nends; first = ends[i++])
		if (!mixtures_of(cell, c, arch->format, states + first, ends[i] - first + 1, reason))
			return false;
	return true;
}

/* ---- Nothing to forget, and the same twice ---- */

static bool same_views(const struct xp_case *c)
{
	for (unsigned a = 0; a < c->nactors; a++) {
		const struct xp_view *old = &c->views[a][0], *new = &c->views[a][1];

		if (old->fault != new->fault || (!old->fault && (old->phys != new->phys || old->rights != new->rights)))
			return false;
	}
	return true;
}

#define MUTANT_TEXT 128

static bool leaves_out(const char *text)
{
	return strncmp(text, "without: ", 9) == 0;
}

/* What becomes of the cell's sequence if its n-th step is left out as well: its verdict, and in `text` which that is. Without a result it is
 * not explored. -ENOENT: there is no n-th step. */
static int without(const struct hitless_cell *cell, unsigned n, char text[MUTANT_TEXT], struct xp_result *result)
{
	const struct xp_arch *arch = xp_arch_find(cell->arch, cell->entry);
	struct xp_case c;
	struct iommu_plan plan;
	int err = xp_build(cell, &c, &plan, text, MUTANT_TEXT);

	if (err)
		return err;
	c.any_run = true;
	if (xp_mutate(arch, &c.steps, n, text, MUTANT_TEXT) || !leaves_out(text)) {
		err = -ENOENT;
	} else if (result) {
		err = xp_explore(&c, result);
		xp_run_free(&result->run);
		free(result->situations);
	}
	xp_case_free(&c);
	return err;
}

#define MAX_SINGLES 128

/* The undamaged sequence without one step, for each: what that is, and whether it is proved. Asked for again by mutant after mutant of a
 * cell, so the last cell's answers are kept. */
static _Thread_local struct {
	struct hitless_cell original;
	unsigned n;
	char text[MAX_SINGLES][MUTANT_TEXT];
	enum { UNKNOWN, PROVED, NOT_PROVED } verdict[MAX_SINGLES];
} singles;

static int find_singles(const struct hitless_cell *original)
{
	int err = 0;

	if (singles.n && memcmp(&singles.original, original, sizeof(*original)) == 0)
		return 0;
	for (singles.n = 0; !err && singles.n < MAX_SINGLES; singles.n += !err) {
		err = without(original, singles.n + 1, singles.text[singles.n], NULL);
		singles.verdict[singles.n] = UNKNOWN;
	}
	memcpy(&singles.original, original, sizeof(*original)); /* with what is between its members */
	if (!err || err == -ENOENT)
		return 0;
	singles.n = 0;
	return err;
}

/* Is the undamaged sequence proved without a step of that text, other than the one that the mutant is without? */
static int spares(const struct hitless_cell *original, const struct hitless_cell *mutant, const char *step, bool *spared)
{
	int err = find_singles(original);

	*spared = false;
	for (unsigned i = 0; !err && i < singles.n && !*spared; i++) {
		struct xp_result result;
		char text[MUTANT_TEXT];

		if (i + 1 == mutant->mutant || strcmp(singles.text[i], step) != 0)
			continue;
		if (singles.verdict[i] == UNKNOWN) {
			err = without(original, i + 1, text, &result);
			if (!err)
				singles.verdict[i] = result.verdict == HITLESS_PROVED ? PROVED : NOT_PROVED;
		}
		*spared = !err && singles.verdict[i] == PROVED;
	}
	return err;
}

static int done_twice(const struct hitless_cell *original, const struct hitless_cell *cell, bool *twice, bool *covered)
{
	int err = 0;

	*twice = *covered = false;
	for (unsigned second = 1; !err && !*twice; second++) {
		struct xp_result result;
		char text[MUTANT_TEXT];

		err = without(cell, second, text, &result);
		if (err || result.verdict != HITLESS_VIOLATED || result.violation == HITLESS_STUCK)
			continue;
		*covered = true;
		err = spares(original, cell, text, twice);
	}
	return err == -ENOENT ? 0 : err;
}

/* ---- What differs ---- */

static bool same_step(const struct xp_op *a, const struct xp_op *b)
{
	return strcmp(a->text, b->text) == 0 && memcmp(a->words, b->words, sizeof(a->words)) == 0;
}

/* The steps of the whole sequence that the damage is about: *first, and if it is not the same, *last. */
static void damaged_steps(const struct xp_ops *whole, const struct xp_ops *damaged, unsigned *first, unsigned *last)
{
	unsigned a = 0, b = 0;

	while (a < whole->n && a < damaged->n && same_step(&whole->v[a], &damaged->v[a]))
		a++;
	while (b < whole->n - a && b < damaged->n - a && same_step(&whole->v[whole->n - 1 - b], &damaged->v[damaged->n - 1 - b]))
		b++;
	*first = a;
	*last = whole->n - 1 - b;
}

/* Does the hardware look at what the n-th step stores, as long as the entry is what that step finds or what it leaves? */
static bool is_looked_at(const struct xp_case *c, const struct entry_format *format, unsigned n)
{
	uint64_t before[IOMMU_ENTRY_WORDS], after[IOMMU_ENTRY_WORDS], used[2][IOMMU_ENTRY_WORDS] = { { 0 } };

	memcpy(before, &c->ram[c->after_addr / 8], format->words * 8);
	for (unsigned i = 0; i <= n; i++) {
		const struct xp_op *op = &c->steps.v[i];

		if (op->kind == XP_BULK)
			return true;
		if (op->kind != XP_STORE)
			continue;
		if (op->addr < c->after_addr || op->addr + op->width > c->after_addr + format->words * 8)
			return true;
		if (i == n)
			memcpy(after, before, sizeof(after));
		memcpy((i == n ? after : before) + (op->addr - c->after_addr) / 8, op->words, op->width);
	}
	if (c->steps.v[n].kind != XP_STORE)
		return true;
	format->used(before, used[0]);
	format->used(after, used[1]);
	for (unsigned i = 0; i < format->words; i++) {
		if ((before[i] ^ after[i]) & (used[0][i] | used[1][i]))
			return true;
	}
	return false;
}

/* Of two steps that were swapped it is enough if one of them is a store that nobody looks at, as long as it stays one. */
static bool nobody_looks(const struct xp_case *whole, const struct entry_format *format, unsigned first, unsigned last)
{
	if (first == last)
		return !is_looked_at(whole, format, first);
	for (unsigned i = first + 1; i < last; i++) {
		if (whole->steps.v[i].kind != XP_NOTE)
			return false;
	}
	return !is_looked_at(whole, format, whole->steps.v[last].kind == XP_STORE ? last : first) &&
	       (whole->steps.v[first].kind != XP_STORE || !is_looked_at(whole, format, first));
}

/* ---- What the device keeps itself ---- */

/* ATS off or on, what the device forgets, and a wait for nothing but that. */
static bool is_about_device(const struct xp_arch *arch, const struct xp_ops *ops, unsigned n)
{
	bool any = false;

	if (ops->v[n].kind == XP_ATS)
		return true;
	if (ops->v[n].kind == XP_SUBMIT)
		return arch->is_device_tlb(ops->v[n].words);
	if (ops->v[n].kind != XP_WAIT)
		return false;
	/* The last command before a wait is the one that ends it. */
	for (unsigned i = n < 2 ? 0 : n - 1; i-- > 0 && ops->v[i].kind != XP_WAIT;) {
		if (ops->v[i].kind != XP_SUBMIT && ops->v[i].kind != XP_ATS)
			continue;
		if (!is_about_device(arch, ops, i))
			return false;
		any = true;
	}
	return any;
}

/* Whatever it still has by itself, the unit lets nothing of it through. */
static bool only_the_device(const struct xp_arch *arch, const struct xp_case *whole, unsigned first, unsigned last)
{
	return count_actors(whole, XP_DEVICE, true, true) &&
	       (is_about_device(arch, &whole->steps, first) || is_about_device(arch, &whole->steps, last));
}

/* Is what the device keeps flushed right behind `last`, with no way for it to get more of the same? */
static bool device_is_next(const struct xp_arch *arch, const struct xp_case *whole, unsigned last)
{
	bool asks = false;

	for (unsigned a = 0; a < whole->nactors; a++) {
		if (whole->actors[a].role != XP_DEVICE || whole->actors[a].kind == IOMMU_REQUEST_UNTRANSLATED)
			continue;
		if (!whole->views[a][1].fault)
			return false;
		asks = true;
	}
	for (last++; last < whole->steps.n && whole->steps.v[last].kind == XP_NOTE; last++)
		;
	return asks && last < whole->steps.n && whole->steps.v[last].kind == XP_SUBMIT && is_about_device(arch, &whole->steps, last);
}

/* ---- What comes later ---- */

static bool only_later(const struct xp_case *whole, const char *text, unsigned first)
{
	const struct xp_op *op = &whole->steps.v[first];

	if (op->kind == XP_FREE)
		return strncmp(text, "swapped: ", 9) == 0;
	return op->kind == XP_ATS && op->words[0] && (leaves_out(text) || strncmp(text, "swapped: ", 9) == 0);
}

/* ---- A tag that stays in use ---- */

/* The device looks nothing up any more; who stays in the old domain may keep what is cached of it. */
static bool only_others(const struct xp_arch *arch, const struct xp_case *whole, unsigned first, unsigned last)
{
	return count_actors(whole, XP_DEVICE, false, true) && count_actors(whole, XP_OLD, false, false) &&
	       (is_about_tag(arch, &whole->steps.v[first]) || is_about_tag(arch, &whole->steps.v[last]));
}

/* Only for now: the tag is free, and the flush is for who gets it. Here nobody does; in the domain layer somebody is attached afterwards. */
static bool nobody_has(const struct xp_arch *arch, const struct xp_case *whole, unsigned first, unsigned last)
{
	return count_actors(whole, XP_DEVICE, false, true) && !count_actors(whole, XP_OLD, false, false) &&
	       !count_actors(whole, XP_NEW, false, false) &&
	       (is_about_tag(arch, &whole->steps.v[first]) || is_about_tag(arch, &whole->steps.v[last]));
}

int xp_explain(const struct hitless_cell *cell, const char **reason)
{
	static const char *const covers = "another step covers it: without that as well it is violated, as it is without that alone";
	const struct xp_arch *arch = xp_arch_find(cell->arch, cell->entry);
	struct hitless_cell original = *cell;
	struct xp_case whole, damaged;
	struct xp_result of_whole = { 0 }, of_damaged = { 0 };
	struct iommu_plan plan;
	const char *mixtures;
	char text[MUTANT_TEXT];
	bool twice, covered;
	unsigned first, last;
	int err;

	*reason = NULL;
	original.mutant = 0;
	err = xp_build(&original, &whole, &plan, text, sizeof(text));
	if (err)
		return err;
	err = xp_build(cell, &damaged, &plan, text, sizeof(text));
	if (err) {
		xp_case_free(&whole);
		return err;
	}
	whole.situations = damaged.situations = true;
	err = xp_explore(&whole, &of_whole);
	if (!err)
		err = xp_explore(&damaged, &of_damaged);
	if (err)
		goto out;
	damaged_steps(&whole.steps, &damaged.steps, &first, &last);
	if (leaves_out(text) && whole.steps.v[first].kind == XP_FREE)
		*reason = "a leak, and no matter of interleaving";
	else if (nothing_new(&of_damaged, &of_whole))
		*reason = "nothing can be in caches and in flight that could not be before";
	else if (same_views(&whole))
		*reason = "there is nothing to forget: old and new lead to the same pages";
	if (*reason)
		goto out;
	err = done_twice(&original, cell, &twice, &covered);
	if (!err && twice)
		*reason = "another step does the same: without either it is proved, without both it is violated";
	else if (!err && mixtures_are_fine(arch, cell, &damaged, &mixtures))
		*reason = mixtures;
	if (err || *reason)
		goto out;
	if (first >= whole.steps.n || last >= whole.steps.n) {
		if (covered)
			*reason = covers;
		goto out;
	}
	if (only_later(&whole, text, first))
		*reason = "a page is freed, or the device's own TLB switched on, later or not at all";
	else if (device_is_next(arch, &whole, last))
		*reason = "what the device keeps is flushed next, and its translation requests are refused";
	else if (only_the_device(arch, &whole, first, last))
		*reason = "what the device keeps is of no use: its translated requests are refused, too";
	else if (nobody_looks(&whole, arch->format, first, last))
		*reason = "what is stored there is not looked at, neither before nor after";
	else if (only_others(arch, &whole, first, last))
		*reason = "the device looks nothing up any more, and who has the tag may keep what is cached under it";
	else if (nobody_has(arch, &whole, first, last))
		*reason = "the device looks nothing up any more, and nobody has the tag: who gets it next is in the domain layer";
	else if (covered)
		*reason = covers;
out:
	xp_run_free(&of_whole.run);
	xp_run_free(&of_damaged.run);
	free(of_whole.situations);
	free(of_damaged.situations);
	xp_case_free(&whole);
	xp_case_free(&damaged);
	return err;
}
