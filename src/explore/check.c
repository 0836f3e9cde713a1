/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* check.c - the public functions: cells and sequences in, verdicts and replay ids out. */
#include "arch.h"
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

const struct xp_arch *xp_arch_find(const char *name, const char *entry)
{
	static const struct xp_arch *const archs[] = { &xp_arch_vtd, &xp_arch_vtd_legacy, &xp_arch_amdvi, &xp_arch_riscv_dc,
						       &xp_arch_riscv_pc };

	for (unsigned i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (strcmp(archs[i]->name, name) == 0 && (!entry || strcmp(archs[i]->entry, entry) == 0))
			return archs[i];
	}
	return NULL;
}

bool hitless_check_knows(const char *arch, const char *entry)
{
	return xp_arch_find(arch, entry) != NULL;
}

/* ---- Replay ids: the cell, ':' and the events ----
 *
 * An event is a capital letter, then what it needs in digits: a number in base 36, lower case; then '.' and the choices, a
 * digit each. Equal events in a row are not gathered: an id is as long as its run.
 */

struct text {
	char *v;
	size_t n, capacity;
};

static void put(struct text *text, const char *string)
{
	size_t n = strlen(string);

	if (text->n + n + 1 > text->capacity) {
		text->capacity = (text->n + n + 1) * 2;
		text->v = realloc(text->v, text->capacity);
		if (!text->v)
			abort();
	}
	memcpy(text->v + text->n, string, n + 1);
	text->n += n;
}

static char digit(unsigned value)
{
	return value < 36 ? "0123456789abcdefghijklmnopqrstuvwxyz"[value] : 'z';
}

static void put_run(struct text *text, const struct xp_run *run)
{
	put(text, ":");
	for (unsigned i = 0; i < run->n; i++) {
		const struct xp_event *event = &run->v[i];
		unsigned last = event->nchoices;
		char s[XP_MAX_CHOICES + 4] = { event->kind }, *at = s + 1;

		while (last && !event->choices[last - 1])
			last--; /* what isn't said is 0 */
		if (event->kind == 'B' || event->kind == 'P' || event->kind == 'S' || event->kind == 'E' || event->kind == 'F')
			*at++ = digit(event->which);
		for (unsigned k = 0; k < last; k++)
			*at++ = digit(event->choices[k]);
		put(text, s);
	}
}

static void put_words(struct text *text, const uint64_t *words)
{
	unsigned n = IOMMU_ENTRY_WORDS;
	char s[24];

	while (n > 1 && !words[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++) {
		snprintf(s, sizeof(s), "%s%llx", i ? "-" : ",", (unsigned long long)words[i]);
		put(text, s);
	}
}

static char *cell_id(const struct hitless_cell *cell, const struct xp_run *run)
{
	struct text text = { 0 };
	char s[96];

	snprintf(s, sizeof(s), "%s%s%s,%u,%x,%x,%x,%u", cell->arch, cell->entry ? "." : "", cell->entry ? cell->entry : "", cell->quantum, cell->facts, cell->strategies,
		 cell->freedoms & ((1u << IOMMU_FREEDOMS) - 1), cell->mutant);
	put(&text, s);
	put_words(&text, cell->before);
	put_words(&text, cell->after);
	put_run(&text, run);
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

static int value_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
}

static bool take_run(const char *at, struct xp_run *run)
{
	while (*at) {
		struct xp_event event = { .kind = *at++ };
		struct xp_event *v;

		if (!strchr("DTFBPSE", event.kind))
			return false;
		if (event.kind != 'D' && event.kind != 'T') {
			if (value_of(*at) < 0)
				return false;
			event.which = (unsigned)value_of(*at++);
		}
		while (value_of(*at) >= 0) {
			if (event.nchoices == XP_MAX_CHOICES)
				return false;
			event.choices[event.nchoices++] = (uint8_t)value_of(*at++);
		}
		v = realloc(run->v, (run->n + 1) * sizeof(*v));
		if (!v)
			return false;
		run->v = v;
		run->v[run->n++] = event;
	}
	return run->n > 0;
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

static void free_case(struct xp_case *c)
{
	xp_ops_free(&c->steps);
	free(c->ram);
	memset(c, 0, sizeof(*c));
}

static int build(const struct hitless_cell *cell, struct xp_case *c, struct iommu_plan *plan, char *mutant, size_t mutant_size)
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
	if (!err && cell->mutant)
		err = xp_mutate(arch, &c->steps, cell->mutant, mutant, mutant_size);
	if (err)
		free_case(c);
	return err;
}

static void fill_report(struct hitless_report *report, const struct xp_result *result)
{
	report->verdict = result->verdict;
	report->violation = result->verdict == HITLESS_PROVED ? HITLESS_NO_VIOLATION : result->violation;
	report->limit = result->limit;
	report->states = result->states;
	report->places = result->places;
	report->depth = result->depth;
	report->unconfirmed = result->unconfirmed;
	memcpy(report->detail, result->detail, sizeof(report->detail));
}

int hitless_check_cell(const struct hitless_cell *cell, struct hitless_report *report)
{
	struct xp_case c;
	struct xp_result result;
	struct iommu_plan plan;
	int err;

	memset(report, 0, sizeof(*report));
	err = build(cell, &c, &plan, report->mutant, sizeof(report->mutant));
	if (err)
		return err;
	report->strategy = plan.strategy;
	report->hitless = plan.hitless;
	report->why = plan.why;
	report->cost = plan.cost;
	err = xp_explore(&c, &result);
	if (!err) {
		fill_report(report, &result);
		if (result.confirmed)
			report->replay = cell_id(cell, &result.run);
	}
	xp_run_free(&result.run);
	free_case(&c);
	return err;
}

int hitless_steps(const struct hitless_cell *cell, void (*line)(void *ctx, unsigned step, const char *line), void *ctx)
{
	struct xp_case c;
	struct iommu_plan plan;
	char mutant[128];
	unsigned n = 0;
	int err = build(cell, &c, &plan, mutant, sizeof(mutant));

	if (err)
		return err;
	for (unsigned i = 0; i < c.steps.n; i++)
		line(ctx, ++n, c.steps.v[i].text);
	free_case(&c);
	return 0;
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
		fill_report(report, &result);
		if (result.confirmed) {
			struct text id = { 0 };
			char s[48];

			snprintf(s, sizeof(s), "sequence,%x", freedoms & ((1u << IOMMU_FREEDOMS) - 1));
			put(&id, s);
			put_run(&id, &result.run);
			report->replay = id.v;
		}
	}
	xp_run_free(&result.run);
	free_case(&c);
	return err;
}

void hitless_report_free(struct hitless_report *report)
{
	free(report->replay);
	report->replay = NULL;
}

/* ---- Replay ---- */

struct show {
	void (*line)(void *ctx, unsigned event, const char *line);
	void *ctx;
	unsigned event;
};

static void show_line(void *ctx, const char *line)
{
	struct show *show = ctx;
	char text[256];

	snprintf(text, sizeof(text), "    %s", line);
	show->line(show->ctx, show->event, text);
}

static void show_event(void *ctx, unsigned number, const struct xp_event *event, const char *text, const struct iommu_model *model)
{
	struct show *show = ctx;

	(void)event;
	show->event = number;
	show->line(show->ctx, number, text);
	iommu_model_dump(model, show_line, show);
}

int hitless_replay(const char *replay, const char *text, void (*line)(void *ctx, unsigned event, const char *line), void *ctx,
		   char *detail, size_t detail_size)
{
	struct show show = { line, ctx, 0 };
	struct xp_run run = { 0 };
	struct xp_case c;
	int ret = -EINVAL;

	memset(&c, 0, sizeof(c));
	if (strncmp(replay, "sequence,", 9) == 0) {
		char error[160];
		char *end;
		unsigned freedoms = (unsigned)strtoul(replay + 9, &end, 16);

		if (!text || *end != ':' || !take_run(end + 1, &run) || xp_sequence(text, freedoms, &c, error, sizeof(error)))
			goto out;
	} else {
		struct hitless_cell cell;
		struct iommu_plan plan;
		char arch[32], mutant[128];
		const char *events;

		if (!take_cell(replay, &cell, arch, sizeof(arch), &events) || !take_run(events, &run) ||
		    build(&cell, &c, &plan, mutant, sizeof(mutant)))
			goto out;
	}
	ret = (int)xp_replay(&c, &run, line ? show_event : NULL, &show, detail, detail_size);
out:
	xp_run_free(&run);
	free_case(&c);
	return ret;
}
