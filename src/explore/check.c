/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* check.c - the public functions for cells of the entry layer and sequences. check_domain.c has those of the domain layer. */
#include "arch.h"
#include "explain.h"
#include "report.h"
#include "sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hitless_verdict_name(enum hitless_verdict verdict)
{
	static const char *const names[] = { "proved", "violated", "bounded" };

	return (unsigned)verdict < 3 ? names[verdict] : NULL;
}

const char *hitless_violation_name(enum hitless_violation violation)
{
	static const char *const names[HITLESS_VIOLATIONS] = {
		[HITLESS_NO_VIOLATION] = "none",
		[HITLESS_BLOCKED] = "blocked",
		[HITLESS_THIRD_ADDRESS] = "third-address",
		[HITLESS_WRONG_PERMISSION] = "wrong-permission",
		[HITLESS_STALE_AFTER_RETURN] = "stale-after-return",
		[HITLESS_BYSTANDER_CORRUPTED] = "bystander-corrupted",
		[HITLESS_FREED_PAGE_WALKED] = "freed-page-walked",
		[HITLESS_UNMAPPED_PAGE_REACHED] = "unmapped-page-reached",
		[HITLESS_ENTRY_NOT_RESTORED] = "entry-not-restored",
		[HITLESS_EARLY] = "early",
		[HITLESS_STUCK] = "stuck",
	};

	return (unsigned)violation < HITLESS_VIOLATIONS ? names[violation] : NULL;
}

static const struct xp_arch *const archs[] = { &xp_arch_vtd, &xp_arch_vtd_legacy, &xp_arch_amdvi, &xp_arch_smmuv3_ste, &xp_arch_smmuv3_cd,
					       &xp_arch_riscv_dc, &xp_arch_riscv_pc };

const struct xp_arch *xp_arch_find(const char *name, const char *entry)
{
	for (unsigned i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (strcmp(archs[i]->name, name) == 0 && (!entry || strcmp(archs[i]->entry, entry) == 0))
			return archs[i];
	}
	return NULL;
}

const struct xp_arch *xp_arch_of_structure(const char *name, const char *structure)
{
	for (unsigned i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (strcmp(archs[i]->name, name) == 0 && strcmp(iommu_entry_name(archs[i]->format), structure) == 0)
			return archs[i];
	}
	return NULL;
}

bool hitless_check_knows(const char *arch, const char *entry)
{
	return xp_arch_find(arch, entry) != NULL;
}

static void put_words(struct xp_text *text, const uint64_t *words)
{
	unsigned n = IOMMU_ENTRY_WORDS;
	char s[24];

	while (n > 1 && !words[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++) {
		snprintf(s, sizeof(s), "%s%llx", i ? "-" : ",", (unsigned long long)words[i]);
		xp_append(text, s);
	}
}

static char *cell_id(const struct hitless_cell *cell, const struct xp_run *run)
{
	struct xp_text text = { 0 };
	char s[96];

	snprintf(s, sizeof(s), "%s%s%s,%u,%x,%x,%x,%u", cell->arch, cell->entry ? "." : "", cell->entry ? cell->entry : "", cell->quantum, cell->facts, cell->strategies,
		 cell->freedoms & ((1u << IOMMU_FREEDOMS) - 1), cell->mutant);
	xp_append(&text, s);
	put_words(&text, cell->before);
	put_words(&text, cell->after);
	xp_put_run(&text, run);
	return text.v;
}

static bool take_words(const char **at, uint64_t *words)
{
	memset(words, 0, IOMMU_ENTRY_WORDS * sizeof(*words));
	for (unsigned i = 0; i < IOMMU_ENTRY_WORDS; i++) {
		char *end;

		words[i] = strtoull(*at, &end, 16);
		if (end == *at)
			return false;
		*at = end;
		if (**at != '-')
			return true;
		++*at;
	}
	return false;
}

static bool take_cell(const char *id, struct hitless_cell *cell, char *arch, size_t arch_size, const char **rest)
{
	size_t n = strcspn(id, ",");
	char *dot;
	int used = 0;

	if (n >= arch_size || !id[n])
		return false;
	memcpy(arch, id, n);
	arch[n] = '\0';
	memset(cell, 0, sizeof(*cell));
	cell->arch = arch;
	dot = strchr(arch, '.');
	if (dot) {
		*dot = '\0';
		cell->entry = dot + 1;
	}
	if (sscanf(id + n, ",%u,%x,%x,%x,%u,%n", &cell->quantum, &cell->facts, &cell->strategies, &cell->freedoms, &cell->mutant,
		   &used) != 5 || !used)
		return false;
	id += n + (size_t)used;
	if (!take_words(&id, cell->before) || *id++ != ',' || !take_words(&id, cell->after) || *id++ != ':')
		return false;
	*rest = id;
	return true;
}

/* ---- Cells ---- */

int xp_build(const struct hitless_cell *cell, struct xp_case *c, struct iommu_plan *plan, char *mutant, size_t mutant_size)
{
	const struct xp_arch *arch = xp_arch_find(cell->arch, cell->entry);
	struct xp_target target = { 0 };
	int err;

	memset(c, 0, sizeof(*c));
	if (!arch || (cell->quantum != 8 && cell->quantum != 16))
		return -EINVAL;
	err = arch->build(cell, c, &target);
	if (!err)
		err = xp_record(arch, cell, c, &target, plan);
	c->thorough = cell->thorough;
	c->any_run = cell->mutant != 0;
	if (!err && cell->mutant)
		err = xp_mutate(arch, &c->steps, cell->mutant, mutant, mutant_size);
	if (err)
		xp_case_free(c);
	return err;
}

int hitless_check_cell(const struct hitless_cell *cell, struct hitless_report *report)
{
	struct xp_case c;
	struct xp_result result;
	struct iommu_plan plan;
	int err;

	memset(report, 0, sizeof(*report));
	err = xp_build(cell, &c, &plan, report->mutant, sizeof(report->mutant));
	if (err)
		return err;
	report->strategy = plan.strategy;
	report->hitless = plan.hitless;
	report->why = plan.why;
	report->cost = plan.cost;
	err = xp_explore(&c, &result);
	if (!err && cell->mutant && cell->explain && result.verdict == HITLESS_PROVED)
		err = xp_explain(cell, &report->harmless);
	if (!err) {
		xp_fill_report(report, &result);
		if (result.confirmed)
			report->replay = cell_id(cell, &result.run);
	}
	xp_run_free(&result.run);
	free(result.situations);
	xp_case_free(&c);
	return err;
}

int hitless_steps(const struct hitless_cell *cell, void (*line)(void *ctx, unsigned step, const char *line), void *ctx)
{
	struct xp_case c;
	struct iommu_plan plan;
	char mutant[128];
	unsigned n = 0;
	int err = xp_build(cell, &c, &plan, mutant, sizeof(mutant));

	if (err)
		return err;
	for (unsigned i = 0; i < c.steps.n; i++)
		line(ctx, ++n, c.steps.v[i].text);
	xp_case_free(&c);
	return 0;
}

int hitless_mutants(const struct hitless_cell *cell)
{
	struct hitless_cell original = *cell;
	struct xp_case c;
	struct iommu_plan plan;
	char none[1];
	int n;

	original.mutant = 0;
	n = xp_build(&original, &c, &plan, none, sizeof(none));
	if (n)
		return n;
	n = (int)xp_count_mutants(xp_arch_find(cell->arch, cell->entry), &c.steps);
	xp_case_free(&c);
	return n;
}

int hitless_check_sequence(const char *text, unsigned freedoms, struct hitless_report *report, char *error, size_t error_size)
{
	struct xp_case c;
	struct xp_result result;
	int err;

	memset(report, 0, sizeof(*report));
	err = xp_sequence(text, freedoms, &c, error, error_size);
	if (err)
		return err;
	report->hitless = !c.disruptive;
	err = xp_explore(&c, &result);
	if (!err) {
		xp_fill_report(report, &result);
		if (result.confirmed) {
			struct xp_text id = { 0 };
			char s[48];

			snprintf(s, sizeof(s), "sequence,%x", freedoms & ((1u << IOMMU_FREEDOMS) - 1));
			xp_append(&id, s);
			xp_put_run(&id, &result.run);
			report->replay = id.v;
		}
	}
	xp_run_free(&result.run);
	free(result.situations);
	xp_case_free(&c);
	return err;
}

void hitless_report_free(struct hitless_report *report)
{
	free(report->replay);
	report->replay = NULL;
}

/* ---- Replay ---- */

int hitless_replay(const char *replay, const char *text, void (*line)(void *ctx, unsigned event, const char *line), void *ctx,
		   char *detail, size_t detail_size)
{
	struct xp_show show = { line, ctx, 0 };
	struct xp_run run = { 0 };
	struct xp_case c;
	int ret = -EINVAL;

	memset(&c, 0, sizeof(c));
	if (strncmp(replay, "domain,", 7) == 0)
		return hitless_replay_domain(replay, NULL, line, ctx, detail, detail_size);
	if (strncmp(replay, "sequence,", 9) == 0) {
		char error[160];
		char *end;
		unsigned freedoms = (unsigned)strtoul(replay + 9, &end, 16);

		if (!text || *end != ':' || !xp_take_run(end + 1, &run) || xp_sequence(text, freedoms, &c, error, sizeof(error)))
			goto out;
	} else {
		struct hitless_cell cell;
		struct iommu_plan plan;
		char arch[32], mutant[128];
		const char *events;

		if (!take_cell(replay, &cell, arch, sizeof(arch), &events) || !xp_take_run(events, &run) ||
		    xp_build(&cell, &c, &plan, mutant, sizeof(mutant)))
			goto out;
	}
	ret = (int)xp_replay(&c, &run, line ? xp_show_event : NULL, &show, detail, detail_size);
out:
	xp_run_free(&run);
	xp_case_free(&c);
	return ret;
}
