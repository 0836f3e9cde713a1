/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* check.c - `hitless check` and `hitless replay`: one transition or sequence, and the run that violates it. */
#include "cells.h"
#include "run.h"
#include "tool.h"

#include <hitless/model.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_ARCH = 0x2000, OPTION_FROM, OPTION_TO, OPTION_TAGS, OPTION_STRATEGY, OPTION_QUANTUM, OPTION_SEQUENCE, OPTION_WITHOUT,
       OPTION_STEP, OPTION_SVG, OPTION_ATS, OPTION_LAYER, OPTION_PASID, OPTION_DEVICES, OPTION_MAPPER, OPTION_INJECT };

struct check {
	const struct tool_arch *arch;
	const char *from, *to, *file, *id, *svg;
	struct tool_config before, after;
	unsigned quantum, strategies, freedoms;
	bool private_tags;
	int ats;			/* -1: the layer's default */
	bool domain_layer;
	enum hitless_pasid pasid;
	unsigned devices, mapper;
	const struct run_fault *fault;
	uint64_t step;
	char *text;
	struct hitless_report report;
};

static const struct argp_option check_options[] = {
	{ "arch", OPTION_ARCH, "A", 0, "vtd, vtd-legacy, amdvi, smmuv3, riscv", 0 },
	{ "from", OPTION_FROM, "C", 0, "The configuration now, like s2 or s2:did=2,root=a", 0 },
	{ "to", OPTION_TO, "C", 0, "The configuration to come", 0 },
	{ "tags", OPTION_TAGS, "WHOSE", 0, "private or shared", 0 },
	{ "ats", OPTION_ATS, "on|off", 0, "The device has a TLB of its own (domain layer: on), where names leave that open (off)", 0 },
	{ "layer", OPTION_LAYER, "LAYER", 0, "entry (default) or domain: from one domain to another, by the public API", 0 },
	{ "devices", OPTION_DEVICES, "N", 0, "Domain layer: 1 (default) or 2 devices in the group", 0 },
	{ "pasid", OPTION_PASID, "WHICH", 0, "Domain layer: replaced (the domain of a PASID), beside (it stays) or none (default)", 0 },
	{ "mapper", OPTION_MAPPER, "WHO", 0, "Domain layer: who unmaps: none, old, old-table, new, new-table, or all (default)", 0 },
	{ "inject", OPTION_INJECT, "FAULT", 0, "Domain layer: with a fault in the driver (see hitless run --inject list)", 0 },
	{ "strategy", OPTION_STRATEGY, "NAME", 0, "Allow only this one", 0 },
	{ "quantum", OPTION_QUANTUM, "BITS", 0, "64 or 128: the widest store", 0 },
	{ "sequence", OPTION_SEQUENCE, "FILE", 0, "A sequence of another driver (docs/sequence.md)", 0 },
	{ "svg", OPTION_SVG, "FILE", 0, "Draw the counterexample: driver, hardware, DMA", 0 },
	{ "without", OPTION_WITHOUT, "FREEDOM", 0, "Hardware that lacks it: tear, miss, keep, late, reorder, ...", 0 },
	{ 0 },
};

static const char check_doc[] =
	"Explore every interleaving of one transition, or of a sequence of stores and commands, with the hardware.\v"
	"Prints the verdict, and the shortest run that violates something. Exit 10 if there is one.\n\n"
	"  hitless check --arch vtd --from s1 --to s1\n"
	"  hitless check --arch vtd-legacy --from s2 --to s2 --quantum 64\n"
	"  hitless check --layer domain --arch vtd --from s2 --to s2 --devices 2\n"
	"  hitless check --layer domain --inject unmap-misses-tag\n"
	"  hitless check --sequence examples/sequences/vtd-assign.seq --svg run.svg";

static const struct argp_option replay_options[] = {
	{ "step", OPTION_STEP, "N", 0, "Only this event", 0 },
	{ "sequence", OPTION_SEQUENCE, "FILE", 0, "The file that the id is about", 0 },
	{ 0 },
};

static const char replay_doc[] =
	"Run exactly one interleaving again, with the state of the caches after each event.\v"
	"The id is what `hitless check` printed.\n\n"
	"  hitless replay ID\n"
	"  hitless replay --sequence FILE ID --step 12";

static unsigned find_strategy(const char *name)
{
	char spaced[64];

	snprintf(spaced, sizeof(spaced), "%s", name);
	for (char *c = spaced; *c; c++)
		if (*c == '-')
			*c = ' ';
	for (unsigned s = 0; s < IOMMU_STRATEGY_COUNT; s++)
		if (strcmp(iommu_strategy_name(s), spaced) == 0 || (s == IOMMU_STRATEGY_PRELOAD && strcmp(spaced, "preload") == 0))
			return IOMMU_STRATEGY_BIT(s);
	tool_fail(TOOL_USAGE, "--strategy: there is no '%s' (see hitless plan --help)", name);
}

static unsigned find_freedom(const char *name)
{
	for (unsigned f = 0; f < IOMMU_FREEDOMS; f++)
		if (strcmp(iommu_freedom_name(f), name) == 0)
			return IOMMU_FREE_BIT(f);
	tool_fail(TOOL_USAGE, "--without: there is no freedom '%s'; there are tear, miss, keep, prefetch, late, reorder, late-fill, multi",
		  name);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct check *check = state->input;

	switch (key) {
	case OPTION_ARCH:
		check->arch = tool_find_arch(value);
		return 0;
	case OPTION_FROM:
		check->from = value;
		return 0;
	case OPTION_TO:
		check->to = value;
		return 0;
	case OPTION_TAGS:
		if (strcmp(value, "private") != 0 && strcmp(value, "shared") != 0)
			tool_fail(TOOL_USAGE, "--tags: '%s' is not private or shared", value);
		check->private_tags = value[0] == 'p';
		return 0;
	case OPTION_ATS:
		check->ats = tool_on_off("--ats", value);
		return 0;
	case OPTION_LAYER:
		check->domain_layer = tool_layer(value);
		return 0;
	case OPTION_DEVICES:
		check->devices = tool_devices(value);
		return 0;
	case OPTION_PASID:
		check->pasid = tool_find_pasid(value);
		return 0;
	case OPTION_MAPPER:
		check->mapper = tool_find_mapper(value);
		return 0;
	case OPTION_INJECT:
		check->fault = run_find_fault(value);
		if (!check->fault)
			tool_fail(TOOL_USAGE, "--inject: there is no fault '%s' (see hitless run --inject list)", value);
		return 0;
	case OPTION_STRATEGY:
		check->strategies = find_strategy(value);
		return 0;
	case OPTION_QUANTUM:
		if (strcmp(value, "64") != 0 && strcmp(value, "128") != 0)
			tool_fail(TOOL_USAGE, "--quantum: '%s' is not 64 or 128", value);
		check->quantum = value[0] == '6' ? 8 : 16;
		return 0;
	case OPTION_SEQUENCE:
		check->file = value;
		return 0;
	case OPTION_SVG:
		check->svg = value;
		return 0;
	case OPTION_WITHOUT:
		check->freedoms &= ~find_freedom(value);
		return 0;
	case OPTION_STEP:
		if (!tool_number(value, &check->step))
			tool_fail(TOOL_USAGE, "--step: '%s' is not a number", value);
		return 0;
	case ARGP_KEY_ARG:
		if (check->id || state->root_argp->options != replay_options)
			return ARGP_ERR_UNKNOWN;
		check->id = value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *read_file(const char *name)
{
	/* Static: a sequence is small, one is read, and tool_fail() doesn't come back to free anything. */
	static char text[1 << 16];
	FILE *file = fopen(name, "r");
	size_t n;

	if (!file)
		tool_fail(TOOL_USAGE, "%s: %s", name, strerror(errno));
	n = fread(text, 1, sizeof(text) - 1, file);
	if (ferror(file) || n == sizeof(text) - 1)
		tool_fail(TOOL_USAGE, "%s: %s", name, ferror(file) ? strerror(errno) : "too large for a sequence");
	fclose(file);
	text[n] = '\0';
	return text;
}

/* ---- The counterexample ---- */

static int replay(const char *id, const char *text, void (*line)(void *ctx, unsigned event, const char *line), void *ctx, char *detail,
		  size_t size)
{
	if (strncmp(id, "domain,", 7) == 0)
		return hitless_replay_domain(id, tool_find_fault, line, ctx, detail, size);
	return hitless_replay(id, text, line, ctx, detail, size);
}

struct lines {
	uint64_t only;
	bool caches;
	unsigned event, shown;
	json_t *array;
};

static void line(void *ctx, unsigned event, const char *text)
{
	struct lines *lines = ctx;
	bool cache = text[0] == ' ';

	if ((lines->only && lines->only != event) || (cache && !lines->caches))
		return;
	lines->shown++;
	if (lines->array) {
		if (!cache)
			json_array_append_new(lines->array, json_pack("{s:i, s:s, s:[]}", "event", event, "what", text, "caches"));
		else
			json_array_append_new(json_object_get(json_array_get(lines->array, json_array_size(lines->array) - 1), "caches"),
					      json_string(text + 4));
		return;
	}
	if (cache)
		printf("     %s%s%s\n", tool_palette.dim, text, tool_palette.off);
	else
		printf("%4u  %s%s%s\n", event, text[0] == 'd' && text[1] == 'r' ? tool_palette.bold : "", text, tool_palette.off);
}

/* ---- Drawing: time runs down, a lane each for driver, hardware and DMA ---- */

#define LANE_WIDTH 420u
#define ROW_HEIGHT 26u

static void draw_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(file, "&#%d;", *text);
		else
			fputc(*text, file);
	}
}

static void draw_line(void *ctx, unsigned event, const char *text)
{
	static const char *const colors[] = { "#dbe7f6", "#eeeeee", "#fbe6cf" };
	FILE *file = ctx;
	/* "driver    ...", "hardware  ...", "memory    ...", "dma       ..." */
	unsigned lane = text[0] == 'h' || text[0] == 'm' ? 1 : text[1] == 'm' ? 2 : 0;

	if (text[0] == ' ')
		return;
	fprintf(file, "<rect x='%u' y='%u' width='%u' height='%u' rx='3' fill='%s'/><text x='%u' y='%u'>%u  ", lane * LANE_WIDTH + 4,
		event * ROW_HEIGHT + 14, LANE_WIDTH - 8, ROW_HEIGHT - 4, colors[lane], lane * LANE_WIDTH + 12,
		event * ROW_HEIGHT + 29, event);
	draw_text(file, text + 10);
	fputs("</text>\n", file);
}

static void count_line(void *ctx, unsigned event, const char *text)
{
	(void)text;
	*(unsigned *)ctx = event;
}

static void draw(const struct check *check)
{
	static const char *const lanes[] = { "driver", "hardware", "DMA" };
	FILE *file = fopen(check->svg, "w");
	char detail[200];
	unsigned events = 0;

	if (!file)
		tool_fail(TOOL_ERROR, "%s: %s", check->svg, strerror(errno));
	replay(check->report.replay, check->text, count_line, &events, detail, sizeof(detail));
	fprintf(file, "<svg xmlns='http://www.w3.org/2000/svg' width='%u' height='%u' font-family='sans-serif' font-size='12'>\n",
		3 * LANE_WIDTH, (events + 3) * ROW_HEIGHT);
	fprintf(file, "<rect width='100%%' height='100%%' fill='white'/>\n");
	for (unsigned lane = 0; lane < 3; lane++)
		fprintf(file, "<text x='%u' y='24' font-weight='bold'>%s</text>\n", lane * LANE_WIDTH + 12, lanes[lane]);
	replay(check->report.replay, check->text, draw_line, file, detail, sizeof(detail));
	fprintf(file, "<text x='12' y='%u' fill='#b00020' font-weight='bold'>%s: ", (events + 2) * ROW_HEIGHT,
		hitless_violation_name(check->report.violation));
	draw_text(file, check->report.detail);
	fputs("</text>\n</svg>\n", file);
	if (fclose(file))
		tool_fail(TOOL_ERROR, "%s: %s", check->svg, strerror(errno));
}

/* ---- Output ---- */

static void print_text(const struct check *check)
{
	const struct tool_palette *p = &tool_palette;
	const struct hitless_report *r = &check->report;

	if (check->file)
		printf("%s\n", check->file);
	else if (check->domain_layer)
		printf("%s, domain%s %s -> %s, %u-bit stores, %s tags, %u device%s%s%s: %s, %s\n", check->arch->name,
		       check->pasid == HITLESS_PASID_REPLACED ? " of a PASID" : check->pasid ? " beside a PASID" : "", check->before.name,
		       check->after.name, check->quantum * 8, check->private_tags ? "private" : "shared", check->devices,
		       check->devices > 1 ? "s" : "", check->fault ? ", with " : "", check->fault ? check->fault->fault.name : "",
		       iommu_strategy_name(r->strategy), r->hitless ? "hitless" : "disruptive");
	else
		printf("%s, %s -> %s, %u-bit stores, %s tags: %s, %s\n", check->arch->name, check->before.name, check->after.name,
		       check->quantum * 8, check->private_tags ? "private" : "shared", iommu_strategy_name(r->strategy),
		       r->hitless ? "hitless" : "disruptive");
	if (r->why)
		printf("disruptive because %s\n", r->why);
	printf("%s%s%s", r->verdict == HITLESS_PROVED ? p->green : r->verdict == HITLESS_VIOLATED ? p->red : p->yellow,
	       hitless_verdict_name(r->verdict), p->off);
	if (r->verdict == HITLESS_BOUNDED)
		printf(": %s", r->limit);
	if (r->verdict != HITLESS_PROVED && r->violation)
		printf(": %s\n%s", hitless_violation_name(r->violation), r->detail);
	if (r->mapper)
		printf("\nmeanwhile: %s", r->mapper);
	printf("\n%llu states in %llu places, %u steps deep\n", (unsigned long long)r->states, (unsigned long long)r->places, r->depth);
	if (check->domain_layer && r->verdict == HITLESS_PROVED)
		printf("%u allocations failed, one at a time\n", r->failures);
	if (r->replay) {
		struct lines lines = { 0 };
		char detail[200];

		putchar('\n');
		replay(r->replay, check->text, line, &lines, detail, sizeof(detail));
		printf("\nreplay: %s\n", r->replay);
	}
}

static void print_json(const struct check *check)
{
	const struct hitless_report *r = &check->report;
	struct lines lines = { .array = json_array() };
	char detail[200];
	json_t *document;

	if (r->replay)
		replay(r->replay, check->text, line, &lines, detail, sizeof(detail));
	document = json_pack("{s:s, s:b, s:s, s:s, s:s, s:I, s:I, s:i, s:o, s:o}", "schema", "hitless.check/1", "hitless", r->hitless,
			     "verdict", hitless_verdict_name(r->verdict), "violation", hitless_violation_name(r->violation), "saw",
			     r->detail, "states", (json_int_t)r->states, "places", (json_int_t)r->places, "depth", r->depth, "replay",
			     r->replay ? json_string(r->replay) : json_null(), "events", lines.array);
	json_object_set_new(document, "freedoms", tool_json_freedoms(check->freedoms));
	json_object_set_new(document, "limit", r->limit ? json_string(r->limit) : json_null());
	if (check->file) {
		json_object_set_new(document, "sequence", json_string(check->file));
	} else {
		json_object_set_new(document, "arch", json_string(check->arch->name));
		json_object_set_new(document, "from", json_string(check->before.name));
		json_object_set_new(document, "to", json_string(check->after.name));
		json_object_set_new(document, "quantum", json_integer(check->quantum * 8));
		json_object_set_new(document, "strategy", json_string(iommu_strategy_name(r->strategy)));
	}
	if (check->domain_layer) {
		json_object_set_new(document, "layer", json_string("domain"));
		json_object_set_new(document, "devices", json_integer(check->devices));
		json_object_set_new(document, "pasid", json_string(hitless_pasid_name(check->pasid)));
		json_object_set_new(document, "failed_allocations", json_integer(r->failures));
		json_object_set_new(document, "mapper", r->mapper ? json_string(r->mapper) : json_null());
	}
	tool_print_json(document);
}

/* Where a fault has a setup, that is where it shows, if the user names nothing else. */
static int check_domain(struct check *check)
{
	struct hitless_domain_cell cell = { .arch = check->arch->name };
	const struct run_fault *fault = check->fault;

	if (fault && !run_fault_applies(fault, check->arch->name))
		tool_fail(TOOL_USAGE, "--inject: '%s' is no fault of %s (see hitless run --inject list)", fault->fault.name, check->arch->name);
	if (fault && !check->from && !check->to) {
		check->from = fault->setup.from;
		check->to = fault->setup.to;
		if (!check->quantum)
			check->quantum = fault->setup.quantum / 8;
		cell.noncoherent = fault->setup.noncoherent;
		if (fault->setup.pasid)
			check->pasid = HITLESS_PASID_REPLACED;
		if (fault->setup.strategy && check->strategies == IOMMU_STRATEGY_ANY)
			check->strategies = find_strategy(fault->setup.strategy);
	}
	if (!check->from || !check->to)
		tool_fail(TOOL_USAGE, "check: %s is missing (see hitless check --help)", check->from ? "--to" : "--from");
	if (!check->quantum)
		check->quantum = 16;
	if (check->arch->quantum && check->quantum > check->arch->quantum)
		check->quantum = check->arch->quantum;
	check->before.name = check->from;
	check->after.name = check->to;
	cell.from = tool_find_kind(check->from);
	cell.to = tool_find_kind(check->to);
	cell.pasid = check->pasid;
	cell.no_ats = check->ats == 0;
	if (!hitless_check_knows_domain(cell.arch, &cell.from, cell.pasid, check->quantum) ||
	    !hitless_check_knows_domain(cell.arch, &cell.to, cell.pasid, check->quantum))
		tool_fail(TOOL_SKIPPED, "this build can't explore %s -> %s of %s", check->from, check->to, cell.arch);
	cell.devices = check->devices;
	cell.private_tags = check->private_tags;
	cell.quantum = check->quantum;
	cell.strategies = check->strategies;
	cell.freedoms = check->freedoms;
	cell.mapper = check->mapper;
	cell.fault = fault ? &fault->fault : NULL;
	return hitless_check_domain(&cell, &check->report);
}

int tool_check(int argc, char **argv)
{
	const struct argp argp = { check_options, parse, NULL, check_doc, NULL, NULL, NULL };
	struct check check = { .arch = &tool_vtd, .strategies = IOMMU_STRATEGY_ANY, .freedoms = ~0u, .devices = 1, .mapper = HITLESS_MAPPERS,
			       .ats = -1 };
	int err, status;

	tool_parse(&argp, argc, argv, &check);
	if (check.file) {
		char error[200];

		check.text = read_file(check.file);
		err = hitless_check_sequence(check.text, check.freedoms, &check.report, error, sizeof(error));
		if (err == -EINVAL)
			tool_fail(TOOL_USAGE, "%s: %s", check.file, error);
	} else if (check.domain_layer || check.fault) {
		/* Faults are in the driver as the core drives it. */
		err = check_domain(&check);
		if (err == -EOPNOTSUPP)
			tool_fail(TOOL_USAGE, "--strategy: it can't do %s -> %s", check.from, check.to);
	} else {
		const struct tool_entry *entry;
		struct hitless_cell cell;

		if (!check.from || !check.to)
			tool_fail(TOOL_USAGE, "check: %s is missing (see hitless check --help)", check.from ? "--to" : "--from");
		entry = tool_find_configs(check.arch, check.from, check.to, &check.before, &check.after);
		if (!hitless_check_knows(check.arch->name, entry->name))
			tool_fail(TOOL_SKIPPED, "this build can't explore %s of %s yet", entry->name, check.arch->name);
		if (!check.quantum)
			check.quantum = check.arch->quantum ? check.arch->quantum : 16;
		tool_cell(check.arch, entry, &check.before, &check.after, check.quantum, check.private_tags, check.ats > 0, &cell);
		cell.strategies = check.strategies;
		cell.freedoms = check.freedoms;
		err = hitless_check_cell(&cell, &check.report);
		if (err == -EOPNOTSUPP)
			tool_fail(TOOL_USAGE, "--strategy: it can't do %s -> %s (see hitless plan)", check.before.name, check.after.name);
	}
	if (err)
		tool_fail(TOOL_ERROR, "can't explore that: %s", strerror(-err));
	(tool_options.json ? print_json : print_text)(&check);
	if (check.svg && check.report.replay)
		draw(&check);
	else if (check.svg)
		fprintf(stderr, "hitless: --svg: there is no counterexample to draw\n");
	status = check.report.verdict == HITLESS_PROVED ? TOOL_OK : check.report.verdict == HITLESS_VIOLATED ? TOOL_VIOLATED : TOOL_ERROR;
	hitless_report_free(&check.report);
	return status;
}

int tool_replay(int argc, char **argv)
{
	const struct argp argp = { replay_options, parse, "ID", replay_doc, NULL, NULL, NULL };
	struct check check = { .arch = &tool_vtd };
	struct lines lines = { .caches = true };
	char detail[200];
	int what;

	tool_parse(&argp, argc, argv, &check);
	if (!check.id)
		tool_fail(TOOL_USAGE, "replay: the id is missing (see hitless replay --help)");
	if (check.file)
		check.text = read_file(check.file);
	else if (strncmp(check.id, "sequence,", 9) == 0)
		tool_fail(TOOL_USAGE, "replay: this id is about a sequence: --sequence FILE is missing");
	lines.only = check.step;
	lines.array = tool_options.json ? json_array() : NULL;
	what = replay(check.id, check.text, line, &lines, detail, sizeof(detail));
	if (what < 0)
		tool_fail(TOOL_USAGE, "replay: '%.40s...' is not an id of this version", check.id);
	if (check.step && !lines.shown)
		tool_fail(TOOL_USAGE, "--step: the run has no event %llu", (unsigned long long)check.step);
	if (tool_options.json)
		tool_print_json(json_pack("{s:s, s:s, s:s, s:o}", "schema", "hitless.replay/1", "violation",
					  hitless_violation_name((enum hitless_violation)what), "saw", detail, "events", lines.array));
	else
		printf("%s%s%s%s%s\n", what ? tool_palette.red : "", hitless_violation_name((enum hitless_violation)what),
		       tool_palette.off, what ? ": " : "", detail);
	return what ? TOOL_VIOLATED : TOOL_OK;
}
