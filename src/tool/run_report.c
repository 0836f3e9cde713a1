/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run_report.c - what `hitless run` found, as a table or as JSON. */
#include "run.h"

#include <string.h>

/* ---- Words ---- */

void run_describe(const struct run_row *row, char *text, size_t size)
{
	const struct live_counts *dma = &row->result.dma;
	size_t length = 0;

	text[0] = '\0';
	if (!run_is_violated(row))
		return;
#define COUNTED(field) \
	if (dma->field && length < size) \
		length += (size_t)snprintf(text + length, size - length, "%s%s %llu", length ? ", " : "", #field, \
					   (unsigned long long)dma->field)
	COUNTED(blocked);
	COUNTED(wrong);
	COUNTED(stale);
#undef COUNTED
	if (length < size && row->result.seen[0])
		snprintf(text + length, size - length, "; first %s", row->result.seen);
}

void run_conditions(const struct run_row *row, char *text, size_t size)
{
	char pasids[32] = "";

	if (row->beside && row->pasid)
		snprintf(pasids, sizeof(pasids), ", PASID %u", row->pasid);
	else if (row->pasids)
		snprintf(pasids, sizeof(pasids), row->beside ? ", beside PASIDs" : ", PASIDs");
	snprintf(text, size, "%s%s%s%s%s", row->shared ? "shared" : "private", row->ats ? ", ATS" : "", pasids,
		 row->pace ? ", " : "", row->pace ? row->pace : "");
}

/* "1.2", "87": three figures are enough. */
static void microseconds(uint64_t ns, char *text, size_t size)
{
	snprintf(text, size, "%.*f", ns < 100000 ? 1 : 0, (double)ns / 1000);
}

/* ---- The table ---- */

enum column {
	COLUMN_ARCH, COLUMN_UNIT, COLUMN_FROM, COLUMN_TO, COLUMN_TAGS, COLUMN_METHOD, COLUMN_STRATEGY, COLUMN_HITLESS, COLUMN_REPLACES,
	COLUMN_STEPS, COLUMN_DMAS, COLUMN_OLD, COLUMN_NEW, COLUMN_BLOCKED, COLUMN_WRONG, COLUMN_STALE, COLUMN_COST, COLUMN_P50, COLUMN_P99,
	COLUMN_MAX, COLUMNS
};

#define CELL (RUN_KIND_TEXT + 8)

struct cells {
	char text[COLUMNS][CELL];
};

static const char *const headings[COLUMNS] = {
	"arch", "unit", "from", "to", "tags", "method", "strategy", "hitless", "replaces", "steps", "DMAs", "old", "new", "blocked", "wrong",
	"stale", "cost", "p50 us", "p99 us", "max us",
};

/* Where every step is looked at, time means nothing; elsewhere no step is. The model is one unit. */
static bool is_shown(unsigned column, bool stepping, bool units)
{
	if (column == COLUMN_UNIT)
		return units;
	if (column == COLUMN_STEPS)
		return stepping;
	return !stepping || (column != COLUMN_P50 && column != COLUMN_P99 && column != COLUMN_MAX);
}

static bool is_text_column(unsigned column)
{
	return column <= COLUMN_HITLESS || column == COLUMN_COST;
}

static void fill_cells(const struct run_row *row, struct cells *cells)
{
	const struct live_counts *dma = &row->result.dma;

	memset(cells, 0, sizeof(*cells));
	snprintf(cells->text[COLUMN_ARCH], CELL, "%s", row->arch);
	snprintf(cells->text[COLUMN_UNIT], CELL, "%s", row->unit ? row->unit : "");
	snprintf(cells->text[COLUMN_STEPS], CELL, "%u", row->stepping ? row->stepping->npoints : 0);
	snprintf(cells->text[COLUMN_FROM], CELL, "%s", row->from);
	snprintf(cells->text[COLUMN_TO], CELL, "-> %s", row->to);
	run_conditions(row, cells->text[COLUMN_TAGS], CELL);
	snprintf(cells->text[COLUMN_METHOD], CELL, "%s", row->method);
	if (strcmp(row->method, "n/a") == 0)
		return;
	snprintf(cells->text[COLUMN_STRATEGY], CELL, "%s", row->strategy);
	snprintf(cells->text[COLUMN_HITLESS], CELL, "%s", row->hitless ? "yes" : "no");
	snprintf(cells->text[COLUMN_REPLACES], CELL, "%u", row->result.switches);
	snprintf(cells->text[COLUMN_DMAS], CELL, "%llu", (unsigned long long)live_total(dma));
	snprintf(cells->text[COLUMN_OLD], CELL, "%llu", (unsigned long long)dma->old);
	snprintf(cells->text[COLUMN_NEW], CELL, "%llu", (unsigned long long)dma->new);
	snprintf(cells->text[COLUMN_BLOCKED], CELL, "%llu", (unsigned long long)dma->blocked);
	snprintf(cells->text[COLUMN_WRONG], CELL, "%llu", (unsigned long long)dma->wrong);
	snprintf(cells->text[COLUMN_STALE], CELL, "%llu", (unsigned long long)dma->stale);
	snprintf(cells->text[COLUMN_COST], CELL, "%u/%u/%u/%u", row->cost.stores, row->cost.commands, row->cost.rounds,
		 row->cost.polls);
	microseconds(row->p50, cells->text[COLUMN_P50], CELL);
	microseconds(row->p99, cells->text[COLUMN_P99], CELL);
	microseconds(row->max, cells->text[COLUMN_MAX], CELL);
}

static const char *color_of(const struct run_row *row, unsigned column)
{
	const struct live_counts *dma = &row->result.dma;

	switch (column) {
	case COLUMN_HITLESS:
		return row->hitless ? tool_palette.green : tool_palette.yellow;
	case COLUMN_BLOCKED:
		return !dma->blocked ? "" : row->hitless ? tool_palette.red : tool_palette.yellow;
	case COLUMN_WRONG:
		return dma->wrong ? tool_palette.red : "";
	case COLUMN_STALE:
		return dma->stale ? tool_palette.red : "";
	default:
		return "";
	}
}

static void print_cells(const struct run_row *row, const struct cells *cells, const unsigned *widths, bool stepping,
			bool units)
{
	/* Of what was not run there is nothing more to say. */
	unsigned last = row && strcmp(row->method, "n/a") == 0 ? COLUMN_METHOD : stepping ? COLUMN_COST : COLUMNS - 1;

	for (unsigned column = 0; column <= last; column++) {
		const char *color = row ? color_of(row, column) : tool_palette.bold;
		int width = is_text_column(column) ? -(int)widths[column] : (int)widths[column];

		if (!is_shown(column, stepping, units))
			continue;
		printf("%s%*s%s%s", color, column == last && width < 0 ? 0 : width, cells->text[column],
		       *color ? tool_palette.off : "", column == last ? "\n" : column == COLUMN_FROM ? " " : "  ");
	}
}

/* ---- The last line ---- */

/* `only`: of the rows with that method; NULL: of all. */
static void print_summary(const struct run_row *rows, unsigned count, const char *only)
{
	unsigned long long dmas = 0, switches = 0, blocked = 0, wrong = 0, stale = 0;
	unsigned hitless = 0, violated = 0, ran = 0;
	const char *method = "n/a";

	for (unsigned i = 0; i < count; i++) {
		const struct live_counts *dma = &rows[i].result.dma;

		if (strcmp(rows[i].method, "n/a") == 0 || (only && strcmp(rows[i].method, only) != 0))
			continue;
		method = rows[i].method;
		ran++;
		hitless += rows[i].hitless;
		violated += run_is_violated(&rows[i]);
		switches += rows[i].result.switches;
		dmas += live_total(dma);
		blocked += dma->blocked;
		wrong += dma->wrong;
		stale += dma->stale;
	}
	if (violated) {
		printf("%sViolated%s in %u of %u transitions: of %llu DMAs during %llu replaces, %llu were blocked, %llu "
		       "misdirected and %llu late.\n", tool_palette.red, tool_palette.off, violated, ran, dmas, switches,
		       blocked, wrong, stale);
	} else if (hitless == ran && ran) {
		printf("%llu replaces of %u kinds under %llu DMAs: %snot one was blocked, misdirected or late%s.\n", switches,
		       ran, dmas, tool_palette.green, tool_palette.off);
	} else if (ran) {
		printf("%llu switches by %s under %llu DMAs: none was misdirected or late, but %s%llu were blocked%s.\n",
		       switches, method, dmas, tool_palette.yellow, blocked, tool_palette.off);
	} else if (!only) {
		printf("Nothing was run: no paging domain can stand for both sides.\n");
	}
}

void run_print_text(const struct run_row *rows, unsigned count)
{
	unsigned widths[COLUMNS];
	bool stepping = count && rows[0].stepping, units = count && rows[0].unit;
	struct cells cells;
	char text[512];

	for (unsigned column = 0; column < COLUMNS; column++)
		widths[column] = (unsigned)strlen(headings[column]);
	for (unsigned i = 0; i < count; i++) {
		fill_cells(&rows[i], &cells);
		for (unsigned column = 0; column < COLUMNS; column++)
			if (strlen(cells.text[column]) > widths[column])
				widths[column] = (unsigned)strlen(cells.text[column]);
	}
	for (unsigned column = 0; column < COLUMNS; column++)
		snprintf(cells.text[column], CELL, "%s", headings[column]);
	if (tool_options.verbosity >= 0)
		print_cells(NULL, &cells, widths, stepping, units);
	for (unsigned i = 0; i < count; i++) {
		if (tool_options.verbosity < 0 && !run_is_violated(&rows[i]))
			continue;
		fill_cells(&rows[i], &cells);
		print_cells(&rows[i], &cells, widths, stepping, units);
		run_describe(&rows[i], text, sizeof(text));
		if (text[0])
			printf("    %sseen:%s %s\n", tool_palette.red, tool_palette.off, text);
		else if (rows[i].why && (tool_options.verbosity > 0 || strcmp(rows[i].method, "replace") == 0))
			printf("    %s%s%s\n", tool_palette.dim, rows[i].why, tool_palette.off);
		if (tool_options.verbosity > 0)
			printf("    %s%u devices, %llu bits a store; %llu DMAs of bystanders, %llu refused as they must be%s\n",
			       tool_palette.dim, rows[i].devices, (unsigned long long)rows[i].quantum,
			       (unsigned long long)rows[i].result.dma.bystanders, (unsigned long long)rows[i].result.dma.denied,
			       tool_palette.off);
		if (tool_options.verbosity > 0 && rows[i].stepping)
			run_print_points(&rows[i]);
	}
	if (tool_options.verbosity >= 0)
		printf("%scost: stores/commands/rounds/polls for %s%s\n", tool_palette.dim, stepping ? "the group" : "one device",
		       tool_palette.off);
	if (count && rows[0].pace) {
		/* Both ways, one beside the other. */
		print_summary(rows, count, "replace");
		print_summary(rows, count, "attach-detach");
	} else {
		print_summary(rows, count, NULL);
	}
}

/* ---- JSON ---- */

static json_t *json_count(uint64_t number)
{
	return json_integer((json_int_t)number);
}

static json_t *json_cost(const struct iommu_cost *cost)
{
	return json_pack("{s:i, s:i, s:i, s:i}", "stores", (int)cost->stores, "commands", (int)cost->commands, "rounds",
			 (int)cost->rounds, "polls", (int)cost->polls);
}

static json_t *json_text(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static json_t *json_row(const struct run_row *row)
{
	const struct live_counts *dma = &row->result.dma;
	json_t *object, *counts, *latency;
	char seen[512];

	run_describe(row, seen, sizeof(seen));
	counts = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "total", json_count(live_total(dma)), "old",
			   json_count(dma->old), "new", json_count(dma->new), "blocked", json_count(dma->blocked), "wrong",
			   json_count(dma->wrong), "stale", json_count(dma->stale), "bystanders", json_count(dma->bystanders),
			   "denied", json_count(dma->denied));
	latency = json_pack("{s:o, s:o, s:o}", "p50", json_count(row->p50), "p99", json_count(row->p99), "max",
			    json_count(row->max));
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:o, s:o, s:o, s:o}", "arch", row->arch, "from", row->from, "to",
			   row->to, "method", row->method, "strategy", row->strategy, "hitless", row->hitless, "devices",
			   (int)row->devices, "replaces", json_count(row->result.switches), "dma", counts, "cost",
			   json_cost(&row->cost), "latency_ns", latency);
	json_object_set_new(object, "tags", json_string(row->shared ? "shared" : "private"));
	json_object_set_new(object, "ats", json_boolean(row->ats));
	json_object_set_new(object, "pasids", json_boolean(row->pasids));
	json_object_set_new(object, "pasid", row->beside ? json_integer(row->pasid) : json_null());
	json_object_set_new(object, "quantum", json_integer(row->quantum));
	json_object_set_new(object, "group_cost", json_cost(&row->result.cost));
	json_object_set_new(object, "why", json_text(row->why));
	json_object_set_new(object, "seen", json_text(seen));
	json_object_set_new(object, "fault", json_text(row->fault));
	if (row->pace) {
		json_object_set_new(object, "unit", json_string(row->unit));
		json_object_set_new(object, "pace", json_string(row->pace));
		json_object_set_new(object, "faults_reported", json_count(row->faults));
	}
	if (row->stepping) {
		json_object_set_new(object, "unit", json_string(row->unit));
		json_object_set_new(object, "latency_ns", json_null());
		json_object_set_new(object, "steps", json_integer(row->stepping->npoints));
		json_object_set_new(object, "faults_reported", json_integer(row->stepping->faults));
		json_object_set_new(object, "points", run_json_points(row));
	}
	return object;
}

json_t *run_json(const struct run_row *rows, unsigned count)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_row(&rows[i]));
	return json_pack("{s:s, s:s, s:o}", "schema", "hitless.run/1", "machine",
			 !count || !rows[0].unit ? "model" : rows[0].stepping ? "qemu" : "guest", "rows", list);
}
