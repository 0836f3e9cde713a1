/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * explain.c - why a mutant that survives is harmless.
 *
 * That it is proved says that it is. This looks for a reason which a person would accept, so that a survivor is not an explorer
 * that has seen nothing. Each reason is one that a program can check:
 *
 * - a page is not freed: a leak, and no matter of interleaving;
 * - nothing new happens: whatever may be in the caches and in flight together at some time may be so in the undamaged sequence, too;
 * - no mixture of the entry's values at different times, quantum by quantum, means anything but the old or the new entry
 *   (or a blocking one, where that is allowed), by what the hardware looks at: of stores that were split or swapped;
 * - there is nothing to forget: every request gets the same from the old entry as from the new one;
 * - another step does the same: the sequence without *both* is violated.
 */
#include "explain.h"

#include "arch.h"
#include "entry.h"

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

/* Of the entry in its place: every value that it has at some time. False: too many, or it is in two places (a table swap). */
static bool values_of(const struct xp_case *c, const struct entry_format *format, uint64_t states[][IOMMU_ENTRY_WORDS], unsigned *n)
{
	*n = 1;
	memcpy(states[0], &c->ram[c->after_addr / 8], format->words * 8);
	for (unsigned i = 0; i < c->steps.n; i++) {
		const struct xp_op *op = &c->steps.v[i];

		if (op->kind == XP_BULK)
			return false;
		if (op->kind != XP_STORE)
			continue;
		if (op->addr < c->after_addr || op->addr + op->width > c->after_addr + format->words * 8 || *n == MAX_STATES)
			return false;
		memcpy(states[*n], states[*n - 1], sizeof(states[0]));
		memcpy(states[*n] + (op->addr - c->after_addr) / 8, op->words, op->width);
		++*n;
	}
	return true;
}

static bool mixtures_are_fine(const struct hitless_cell *cell, const struct xp_case *c, const struct entry_format *format)
{
	uint64_t states[MAX_STATES][IOMMU_ENTRY_WORDS], mixed[IOMMU_ENTRY_WORDS], blocked[IOMMU_ENTRY_WORDS] = { 0 };
	unsigned per = cell->quantum / 8, quanta, choice[IOMMU_ENTRY_WORDS] = { 0 }, n, q;

	if (!values_of(c, format, states, &n))
		return false;
	format->block(cell->before, blocked);
	quanta = (format->words + per - 1) / per;
	do {
		for (unsigned i = 0; i < format->words; i++)
			mixed[i] = states[choice[i / per]][i];
		if (!means(format, mixed, cell->before) && !means(format, mixed, cell->after) &&
		    !(c->disruptive && means(format, mixed, blocked)))
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

static int done_twice(const struct hitless_cell *cell, bool *twice)
{
	const struct xp_arch *arch = xp_arch_find(cell->arch, cell->entry);
	bool more = true;
	int err = 0;

	*twice = false;
	for (unsigned second = 1; more && !*twice && !err; second++) {
		struct xp_case c;
		struct iommu_plan plan;
		struct xp_result result = { 0 };
		char text[128];

		err = xp_build(cell, &c, &plan, text, sizeof(text));
		if (err)
			return err;
		more = xp_mutate(arch, &c.steps, second, text, sizeof(text)) == 0 && strncmp(text, "without: ", 9) == 0;
		if (more) {
			err = xp_explore(&c, &result);
			*twice = result.verdict == HITLESS_VIOLATED && result.violation != HITLESS_STUCK;
		}
		xp_run_free(&result.run);
		free(result.situations);
		xp_case_free(&c);
	}
	return err;
}

int xp_explain(const struct hitless_cell *cell, const char **reason)
{
	const struct xp_arch *arch = xp_arch_find(cell->arch, cell->entry);
	struct hitless_cell original = *cell;
	struct xp_case whole, damaged;
	struct xp_result of_whole = { 0 }, of_damaged = { 0 };
	struct iommu_plan plan;
	char text[128];
	bool twice;
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
	if (strncmp(text, "without: free", 13) == 0)
		*reason = "a leak, and no matter of interleaving";
	else if (nothing_new(&of_damaged, &of_whole))
		*reason = "nothing can be in caches and in flight that could not be before";
	else if (same_views(&whole))
		*reason = "there is nothing to forget: old and new lead to the same pages";
	if (*reason)
		goto out;
	err = done_twice(cell, &twice);
	if (!err && twice)
		*reason = "another step does the same: without both it is violated";
	else if (!err && mixtures_are_fine(cell, &damaged, arch->format))
		*reason = "no mixture of its values means anything but the old or the new entry";
out:
	xp_run_free(&of_whole.run);
	xp_run_free(&of_damaged.run);
	free(of_whole.situations);
	free(of_damaged.situations);
	xp_case_free(&whole);
	xp_case_free(&damaged);
	return err;
}
