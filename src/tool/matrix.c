/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* matrix.c - `hitless matrix`: every transition of every architecture, planned and explored. */
#include "cells.h"
#include "run.h"
#include "tool.h"

#include <hitless/model.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_ARCH = 0x2000, OPTION_LAYER, OPTION_QUANTUM, OPTION_MUTANTS, OPTION_TAGS, OPTION_ATS, OPTION_DEVICES, OPTION_INJECT,
       OPTION_PASID };

enum { LAYER_ENTRY = 1, LAYER_DOMAIN = 2 };

struct cell {
	unsigned layer;
	const struct tool_arch *arch;
	const struct tool_entry *entry;
	struct tool_config before, after;	/* domain layer: only their names */
	bool private_tags;
	unsigned quantum;			/* bytes */
	unsigned mutant;
	struct hitless_cell cell;		/* one of these two */
	struct hitless_domain_cell domain;
	struct hitless_report report;
	int err;
};

struct matrix {
	const struct tool_arch *arch;	/* NULL: all */
	unsigned layers;		/* LAYER_ bits */
	unsigned quantum;		/* 0: both */
	int private_tags;		/* -1: both */
	unsigned devices;		/* 0: one and two */
	int pasid;			/* enum hitless_pasid; -1: all */
	const struct hitless_fault *fault;
	bool mutants, ats;
	struct cell *cells;
	unsigned n, capacity;
	/* Under the lock: */
	pthread_mutex_t lock;
	unsigned next, done;
	uint64_t states;
};

static const struct argp_option options[] = {
	{ "arch", OPTION_ARCH, "A", 0, "vtd, vtd-legacy, amdvi, smmuv3, riscv or all", 0 },
	{ "layer", OPTION_LAYER, "LAYER", 0, "entry or domain; without it, both (--mutants: entry)", 0 },
	{ "quantum", OPTION_QUANTUM, "BITS", 0, "64 or 128; without it, both", 0 },
	{ "tags", OPTION_TAGS, "WHOSE", 0, "private or shared; without it, both", 0 },
	{ "ats", OPTION_ATS, "on|off", 0, "The entries let the device have a TLB of its own, where names leave that open (off)", 0 },
	{ "devices", OPTION_DEVICES, "N", 0, "Domain layer: 1 or 2 devices in the group; without it, both", 0 },
	{ "pasid", OPTION_PASID, "WHICH", 0, "Domain layer: none, replaced (a PASID's domain) or beside (it stays); without it, all", 0 },
	{ "inject", OPTION_INJECT, "FAULT", 0, "Domain layer: with a fault in the driver (see hitless run --inject list)", 0 },
	{ "mutants", OPTION_MUTANTS, NULL, 0, "Damage each sequence in every way, and see whether that is noticed", 0 },
	{ 0 },
};

static const char doc[] =
	"Plan every transition, and explore every interleaving of its steps with the hardware.\v"
	"Exit 10 if one is not what it claims.\n\n"
	"  hitless matrix\n"
	"  hitless matrix --arch vtd --quantum 128 --json\n"
	"  hitless matrix --layer domain --arch vtd --tags shared\n"
	"  hitless matrix --arch vtd-legacy --mutants";

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct matrix *matrix = state->input;

	switch (key) {
	case OPTION_ARCH:
		matrix->arch = strcmp(value, "all") == 0 ? NULL : tool_find_arch(value);
		return 0;
	case OPTION_LAYER:
		matrix->layers = tool_layer(value) ? LAYER_DOMAIN : LAYER_ENTRY;
		return 0;
	case OPTION_DEVICES:
		matrix->devices = tool_devices(value);
		return 0;
	case OPTION_PASID:
		matrix->pasid = (int)tool_find_pasid(value);
		return 0;
	case OPTION_INJECT:
		matrix->fault = tool_find_fault(value);
		if (!matrix->fault)
			tool_fail(TOOL_USAGE, "--inject: there is no fault '%s' (see hitless run --inject list)", value);
		return 0;
	case OPTION_QUANTUM:
		if (strcmp(value, "64") != 0 && strcmp(value, "128") != 0)
			tool_fail(TOOL_USAGE, "--quantum: '%s' is not 64 or 128", value);
		matrix->quantum = value[0] == '6' ? 8 : 16;
		return 0;
	case OPTION_TAGS:
		if (strcmp(value, "private") != 0 && strcmp(value, "shared") != 0)
			tool_fail(TOOL_USAGE, "--tags: '%s' is not private or shared", value);
		matrix->private_tags = value[0] == 'p';
		return 0;
	case OPTION_ATS:
		matrix->ats = tool_on_off("--ats", value);
		return 0;
	case OPTION_MUTANTS:
		matrix->mutants = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- Cells ---- */

void tool_cell(const struct tool_arch *arch, const struct tool_entry *entry, const struct tool_config *before,
	       const struct tool_config *after, unsigned quantum, bool private_tags, bool ats, struct hitless_cell *cell)
{
	*cell = (struct hitless_cell){
		.arch = arch->name,
		.entry = entry->name,
		.quantum = quantum,
		.facts = private_tags ? IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE : 0,
		.strategies = IOMMU_STRATEGY_ANY,
		.freedoms = ~0u,
	};
	/* Names stand for tables: `pdt=p` is one process directory. */
	cell->facts |= IOMMU_PLAN_ONE_TO_ONE;
	memcpy(cell->before, before->words, sizeof(cell->before));
	memcpy(cell->after, after->words, sizeof(cell->after));
	if (entry->complete) {
		entry->complete(cell->before);
		entry->complete(cell->after);
	}
	if (ats && entry->set_ats) {
		entry->set_ats(cell->before);
		entry->set_ats(cell->after);
	}
	/* In VT-d's legacy mode the name tells; SMMUv3's entries have it set where they translate. */
	if (entry->ats_above || strcmp(arch->name, "smmuv3") == 0 || (ats && entry->set_ats) || strstr(before->name, "devtlb=on") || strstr(after->name, "devtlb=on"))
		cell->facts |= IOMMU_PLAN_ATS;
}

static void add_cell(struct matrix *matrix, const struct cell *cell)
{
	if (matrix->n == matrix->capacity) {
		matrix->capacity = matrix->capacity ? matrix->capacity * 2 : 256;
		matrix->cells = realloc(matrix->cells, matrix->capacity * sizeof(*matrix->cells));
		if (!matrix->cells)
			tool_fail(TOOL_ERROR, "no memory");
	}
	matrix->cells[matrix->n++] = *cell;
}

static void add_pairs(struct matrix *matrix, const struct tool_arch *arch, const struct tool_entry *entry, unsigned quantum,
		      bool private_tags)
{
	for (unsigned from = 0; from < entry->nconfigs; from++) {
		for (unsigned to = 0; to < entry->nconfigs; to++) {
			struct cell cell = { .layer = LAYER_ENTRY, .arch = arch, .entry = entry, .private_tags = private_tags, .quantum = quantum };
			int mutants;

			entry->config(from, &cell.before);
			entry->config(to, &cell.after);
			if (from == to || strcmp(cell.before.name, "invalid") == 0 || strcmp(cell.after.name, "invalid") == 0)
				continue;
			tool_cell(arch, entry, &cell.before, &cell.after, quantum, private_tags, matrix->ats, &cell.cell);
			if (!matrix->mutants) {
				add_cell(matrix, &cell);
				continue;
			}
			mutants = hitless_mutants(&cell.cell);
			if (mutants < 0)
				tool_fail(TOOL_ERROR, "%s, %s to %s: %s", arch->name, cell.before.name, cell.after.name, strerror(-mutants));
			for (int m = 1; m <= mutants; m++) {
				cell.mutant = cell.cell.mutant = (unsigned)m;
				cell.cell.explain = true;
				add_cell(matrix, &cell);
			}
		}
	}
}

static void add_domain(struct matrix *matrix, const struct cell *made)
{
	struct cell cell = *made;
	int mutants = 0;

	cell.domain.mapper = HITLESS_MAPPERS;
	if (matrix->mutants)
		mutants = hitless_domain_mutants(&cell.domain); /* none, of what the library refuses */
	if (mutants < 0 && mutants != -EOPNOTSUPP)
		tool_fail(TOOL_ERROR, "%s, a domain's mutants: %s", cell.arch->name, strerror(-mutants));
	if (!matrix->mutants)
		add_cell(matrix, &cell);
	for (int m = 1; m <= mutants; m++) {
		cell.mutant = cell.domain.mutant = (unsigned)m;
		add_cell(matrix, &cell);
	}
}

static bool is_other_guest(const struct tool_kind *kind)
{
	return kind->desc.type == IOMMU_DOMAIN_NESTED && kind->desc.levels;
}

static void add_domains(struct matrix *matrix, const struct tool_arch *arch, unsigned quantum, bool private_tags, unsigned devices,
			enum hitless_pasid pasid)
{
	for (const struct tool_kind *from = tool_kinds; from->name; from++) {
		for (const struct tool_kind *to = tool_kinds; to->name; to++) {
			struct cell cell = {
				.layer = LAYER_DOMAIN,
				.arch = arch,
				.entry = &arch->entries[0],
				.before.name = from->name,
				.after.name = to->name,
				.private_tags = private_tags,
				.quantum = quantum,
				.domain = {
					.arch = arch->name,
					.from = from->desc,
					.to = to->desc,
					.devices = devices,
					.pasid = pasid,
					.private_tags = private_tags,
					.quantum = quantum,
					.strategies = IOMMU_STRATEGY_ANY,
					.freedoms = ~0u,
					.fault = matrix->fault,
				},
			};

			/* Two domains of a kind without tables are the same, and of two guests it is enough that one comes first. */
			if ((from == to && from->desc.type != IOMMU_DOMAIN_PAGING && from->desc.type != IOMMU_DOMAIN_NESTED) ||
			    (is_other_guest(from) && (from == to || to->desc.type != IOMMU_DOMAIN_NESTED)) ||
			    (is_other_guest(to) && from->desc.type != IOMMU_DOMAIN_NESTED) ||
			    !hitless_check_knows_domain(arch->name, &from->desc, pasid, quantum) ||
			    !hitless_check_knows_domain(arch->name, &to->desc, pasid, quantum))
				continue;
			add_domain(matrix, &cell);
		}
	}
}

static void add_arch(struct matrix *matrix, const struct tool_arch *arch, unsigned quantum, bool private_tags)
{
	for (unsigned e = 0; e < arch->nentries && (matrix->layers & LAYER_ENTRY); e++)
		if (hitless_check_knows(arch->name, arch->entries[e].name))
			add_pairs(matrix, arch, &arch->entries[e], quantum, private_tags);
	for (unsigned devices = 1; devices <= 2 && (matrix->layers & LAYER_DOMAIN); devices++)
		for (int pasid = 0; pasid < HITLESS_PASIDS; pasid++)
			if ((!matrix->devices || matrix->devices == devices) && (matrix->pasid < 0 || matrix->pasid == pasid))
				add_domains(matrix, arch, quantum, private_tags, devices, (enum hitless_pasid)pasid);
}

static void *work(void *argument)
{
	struct matrix *matrix = argument;

	for (;;) {
		struct cell *cell;

		pthread_mutex_lock(&matrix->lock);
		cell = matrix->next < matrix->n ? &matrix->cells[matrix->next++] : NULL;
		pthread_mutex_unlock(&matrix->lock);
		if (!cell)
			return NULL;
		cell->err = cell->layer == LAYER_ENTRY ? hitless_check_cell(&cell->cell, &cell->report) :
							 hitless_check_domain(&cell->domain, &cell->report);
		pthread_mutex_lock(&matrix->lock);
		matrix->done++;
		matrix->states += cell->report.states;
		tool_progress("%u of %u cells, %llu states", matrix->done, matrix->n, (unsigned long long)matrix->states);
		pthread_mutex_unlock(&matrix->lock);
	}
}

static void explore(struct matrix *matrix)
{
	pthread_t threads[16];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = cpus < 1 ? 1 : cpus > 16 ? 16 : (unsigned)cpus, started = 0;

	for (; started + 1 < n; started++) {
		if (pthread_create(&threads[started], NULL, work, matrix))
			break;
	}
	work(matrix);
	while (started)
		pthread_join(threads[--started], NULL);
	tool_progress(NULL);
}

/* ---- Output ---- */

json_t *tool_json_freedoms(unsigned freedoms)
{
	json_t *names = json_array();

	for (unsigned f = 0; f < IOMMU_FREEDOMS; f++) {
		if (freedoms & IOMMU_FREE_BIT(f))
			json_array_append_new(names, json_string(iommu_freedom_name(f)));
	}
	return names;
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *json_cell(const struct cell *cell)
{
	const struct hitless_report *r = &cell->report;
	json_t *row = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:o}", "layer",
				cell->layer == LAYER_ENTRY ? "entry" : "domain", "arch", cell->arch->name, "entry", cell->entry->name,
				"quantum", cell->quantum * 8,
				"from", cell->before.name, "to", cell->after.name, "tags", cell->private_tags ? "private" : "shared",
				"strategy", iommu_strategy_name(r->strategy), "hitless", r->hitless, "verdict",
				hitless_verdict_name(r->verdict), "states", (json_int_t)r->states, "depth", r->depth, "stores",
				r->cost.stores, "commands", r->cost.commands, "rounds", r->cost.rounds, "polls", r->cost.polls, "why",
				text_or_null(r->why));

	if (cell->mutant)
		json_object_set_new(row, "mutant", json_string(r->mutant));
	if (cell->mutant)
		json_object_set_new(row, "harmless", text_or_null(r->harmless));
	if (cell->layer == LAYER_DOMAIN) {
		json_object_set_new(row, "devices", json_integer(cell->domain.devices));
		json_object_set_new(row, "pasid", json_string(hitless_pasid_name(cell->domain.pasid)));
		json_object_set_new(row, "mappers", tool_json_mappers(&cell->domain));
		json_object_set_new(row, "failed_allocations", json_integer(r->failures));
		json_object_set_new(row, "mapper", text_or_null(r->mapper));
	}
	if (r->verdict != HITLESS_PROVED) {
		json_object_set_new(row, "violation", json_string(hitless_violation_name(r->violation)));
		json_object_set_new(row, "saw", json_string(r->detail));
		json_object_set_new(row, "replay", text_or_null(r->replay));
		json_object_set_new(row, "limit", text_or_null(r->limit));
	}
	return row;
}

struct summary {
	unsigned cells, hitless, proved, violated, bounded;
	unsigned unexplained;	/* mutants that survive, and nobody knows why */
};

static void print_json(const struct matrix *matrix, const struct summary *s)
{
	json_t *cells = json_array();
	json_t *hardware = json_pack(
		"{s:o, s:[s,s,s,s], s:i, s:[s,s,s], s:[s,s], s:s, s:s}", "freedoms", tool_json_freedoms(~0u), "devices",
		"the device whose entry changes", "a device that stays in the old domain (shared tags)",
		"a device that is in the new domain (shared tags)", "another entry of the same table page", "iovas", 3, "requests",
		"untranslated", "ATS translation", "translated", "page_sizes", "4K", "2M", "stores", "in program order (x86-64)", "flags",
		"accessed and dirty flags are set from the beginning");

	for (unsigned i = 0; i < matrix->n; i++)
		json_array_append_new(cells, json_cell(&matrix->cells[i]));
	json_t *summary = json_pack("{s:i, s:i, s:i, s:i, s:i}", "cells", s->cells, "hitless", s->hitless, "proved", s->proved,
				    "violated", s->violated, "bounded", s->bounded);

	if (matrix->mutants) {
		json_object_set_new(summary, "caught", json_real(s->cells ? (double)s->violated / s->cells : 0));
		json_object_set_new(summary, "unexplained", json_integer(s->unexplained));
	}
	tool_print_json(json_pack("{s:s, s:o, s:o, s:o}", "schema", "hitless.matrix/1", "hardware", hardware, "cells", cells, "summary",
				  summary));
}

static const char *verdict_color(enum hitless_verdict verdict)
{
	return verdict == HITLESS_PROVED ? tool_palette.green : verdict == HITLESS_VIOLATED ? tool_palette.red : tool_palette.yellow;
}

static void print_text(const struct matrix *matrix, const struct summary *s)
{
	printf("%-10s %-7s %-28s %-28s %-20s %-10s %-8s %8s\n", "arch", "bits", "from", "to", "strategy", "", "verdict", "states");
	for (unsigned i = 0; i < matrix->n; i++) {
		const struct cell *cell = &matrix->cells[i];
		const struct hitless_report *r = &cell->report;

		if (tool_options.verbosity < 0 && r->verdict == HITLESS_PROVED)
			continue;
		printf("%-10s %3u %c%c%c  %-28s %-28s %-20s %-10s %s%-8s%s %8llu", cell->arch->name, cell->quantum * 8,
		       cell->private_tags ? 'p' : 's', cell->layer == LAYER_ENTRY ? 'e' : cell->domain.devices == 1 ? '1' : '2',
		       " Pb"[cell->layer == LAYER_DOMAIN ? cell->domain.pasid : 0],
		       cell->before.name, cell->after.name, iommu_strategy_name(r->strategy), r->hitless ? "hitless" : "disruptive",
		       verdict_color(r->verdict), hitless_verdict_name(r->verdict), tool_palette.off, (unsigned long long)r->states);
		if (cell->mutant)
			printf("  %s%s%s", r->mutant, r->harmless ? "; harmless: " : "", r->harmless ? r->harmless : "");
		if (r->verdict != HITLESS_PROVED)
			printf("  %s: %s", hitless_violation_name(r->violation), r->limit ? r->limit : r->detail);
		putchar('\n');
	}
	printf("\n%u cells: %u hitless, %u proved, %u violated, %u bounded\n", s->cells, s->hitless, s->proved, s->violated, s->bounded);
	if (matrix->mutants)
		printf("%u of %u mutants are caught (%u%%), %u more seen without a concrete run; of %u survivors %u are explained\n",
		       s->violated, s->cells, s->cells ? 100 * s->violated / s->cells : 0, s->bounded, s->proved,
		       s->proved - s->unexplained);
}

int tool_matrix(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL, doc, NULL, NULL, NULL };
	struct matrix matrix = { .private_tags = -1, .pasid = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct summary s = { 0 };

	tool_parse(&argp, argc, argv, &matrix);
	if (!matrix.layers)
		matrix.layers = matrix.fault ? LAYER_DOMAIN : matrix.mutants ? LAYER_ENTRY : LAYER_ENTRY | LAYER_DOMAIN;
	if (matrix.fault && matrix.layers != LAYER_DOMAIN)
		tool_fail(TOOL_USAGE, "--inject: it belongs to --layer domain");
	for (unsigned a = 0; tool_archs[a]; a++) {
		const struct tool_arch *arch = tool_archs[a];

		if ((matrix.arch && matrix.arch != arch) || (matrix.fault && !run_fault_applies(run_find_fault(matrix.fault->name), arch->name)))
			continue;
		for (unsigned quantum = 8; quantum <= 16; quantum += 8)
			for (int tags = 0; tags < 2; tags++)
				if ((!matrix.quantum || matrix.quantum == quantum) &&
				    (matrix.private_tags < 0 || matrix.private_tags == tags))
					add_arch(&matrix, arch, quantum, tags);
	}
	if (!matrix.n)
		tool_fail(TOOL_SKIPPED, "this build can't explore %s yet", matrix.arch ? matrix.arch->name : "that");
	explore(&matrix);
	for (unsigned i = 0; i < matrix.n; i++) {
		const struct cell *cell = &matrix.cells[i];

		if (cell->err)
			tool_fail(TOOL_ERROR, "can't explore %s, %s -> %s: %s", cell->arch->name, cell->before.name, cell->after.name,
				  strerror(-cell->err));
		s.cells++;
		s.hitless += cell->report.hitless;
		s.proved += cell->report.verdict == HITLESS_PROVED;
		s.violated += cell->report.verdict == HITLESS_VIOLATED;
		s.bounded += cell->report.verdict == HITLESS_BOUNDED;
		s.unexplained += cell->mutant && cell->report.verdict == HITLESS_PROVED && !cell->report.harmless;
	}
	(tool_options.json ? print_json : print_text)(&matrix, &s);
	for (unsigned i = 0; i < matrix.n; i++)
		hitless_report_free(&matrix.cells[i].report);
	free(matrix.cells);
	/* A mutant is there to be caught; or somebody must know why it is not. */
	return matrix.mutants ? (s.unexplained ? TOOL_VIOLATED : TOOL_OK) : s.violated ? TOOL_VIOLATED : s.bounded ? TOOL_ERROR : TOOL_OK;
}
