/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench.c - `hitless bench`: every figure beside a calibrator of the same run, as text, JSON or pictures. */
#include "bench.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char doc[] =
	"Measures, each figure in turns with a calibrator that shows what the machine allows: the ratio travels, the nanoseconds "
	"don't. NAME is a suite, a format, or part of a figure's name."
	"\v"
	"Examples:\n"
	"  hitless bench --quick                  everything, in under a minute\n"
	"  hitless bench pgtable vtd-ss           two names: what fits either\n"
	"  hitless bench --plot pictures          also a picture per suite (needs gnuplot)\n";

enum { OPTION_QUICK = 1, OPTION_PLOT, OPTION_REPEATS, OPTION_LIST };

static const struct argp_option options[] = {
	{ "quick", OPTION_QUICK, NULL, 0, "Fewer repeats and smaller sizes: under 60 s", 0 },
	{ "plot", OPTION_PLOT, "DIR", 0, "Write the data, gnuplot scripts and SVG pictures there", 0 },
	{ "repeats", OPTION_REPEATS, "N", 0, "Measure everything N times (7; quick: 3)", 0 },
	{ "list", OPTION_LIST, NULL, 0, "Print the suites", 0 },
	{ 0 },
};

struct request {
	struct bench bench;
	const char **wanted;
	unsigned nwanted, repeats;
	const char *plot;
	bool list;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct request *request = state->input;
	uint64_t number;

	switch (key) {
	case OPTION_QUICK:
		request->bench.quick = true;
		return 0;
	case OPTION_PLOT:
		request->plot = value;
		return 0;
	case OPTION_LIST:
		request->list = true;
		return 0;
	case OPTION_REPEATS:
		if (!tool_number(value, &number) || !number || number > BENCH_MAX_REPEATS)
			tool_fail(TOOL_USAGE, "--repeats: '%s' is not a number from 1 to %d", value, BENCH_MAX_REPEATS);
		request->repeats = (unsigned)number;
		return 0;
	case ARGP_KEY_ARG:
		request->wanted[request->nwanted++] = value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- Figures ---- */

struct spread {
	double min, median, max;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread spread_of(const double *samples, unsigned n)
{
	double sorted[BENCH_MAX_REPEATS];

	memcpy(sorted, samples, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return (struct spread){ sorted[0], n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2, sorted[n - 1] };
}

/* Of the best samples: whatever else the machine does only ever adds to one. */
static double ratio_of(const struct bench_row *row)
{
	double theirs = spread_of(row->theirs, row->n).min;

	return theirs > 0 ? spread_of(row->ours, row->n).min / theirs : 0;
}

static json_t *figures_json(const struct bench *bench)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < bench->nrows; i++) {
		const struct bench_row *row = &bench->rows[i];
		struct spread ours = spread_of(row->ours, row->n), theirs = spread_of(row->theirs, row->n);
		char calibrator[32];

		snprintf(calibrator, sizeof(calibrator), "calibrator_%s", row->unit);
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:{s:f, s:f, s:f}, s:s, s:f, s:f, s:i}",
			"suite", row->suite->name, "name", row->name, "format", row->format,
			row->unit, "min", ours.min, "median", ours.median, "max", ours.max,
			"calibrator", row->calibrator, calibrator, theirs.min, "ratio", ratio_of(row),
			"repeats", (int)row->n));
	}
	return json_pack("{s:s, s:b, s:o}", "schema", "hitless.bench/1", "quick", (int)bench->quick, "rows", rows);
}

static void print_text(const struct bench *bench)
{
	const struct bench_suite *suite = NULL;
	const char *calibrator = NULL;

	for (unsigned i = 0; i < bench->nrows; i++) {
		const struct bench_row *row = &bench->rows[i];
		struct spread ours = spread_of(row->ours, row->n), theirs = spread_of(row->theirs, row->n);

		if (row->suite != suite)
			printf("%s%s%s: %s%s\n%-46s %-11s %12s %12s %12s %12s %7s\n", suite ? "\n" : "", tool_palette.bold,
			       row->suite->name, row->suite->what, tool_palette.off, "", "", "min", "median", "max", "calibrator", "ratio");
		suite = row->suite;
		if (row->calibrator != calibrator)
			printf("%s  beside: %s%s\n", tool_palette.dim, row->calibrator, tool_palette.off);
		calibrator = row->calibrator;
		printf("%-46s %-11s %12.*f %12.*f %12.*f %12.*f %7.2f\n", row->name, row->format, ours.max < 1000 ? 2 : 0, ours.min,
		       ours.max < 1000 ? 2 : 0, ours.median, ours.max < 1000 ? 2 : 0, ours.max, theirs.min < 1000 ? 2 : 0,
		       theirs.min, ratio_of(row));
	}
}

/* ---- Pictures ---- */

static FILE *open_in(const char *dir, const char *suite, const char *suffix)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, suite, suffix);
	file = fopen(path, "w");
	if (!file)
		tool_fail(TOOL_ERROR, "%s: %s", path, strerror(errno));
	return file;
}

static void close_file(FILE *file, const char *dir)
{
	if (ferror(file) | fclose(file))
		tool_fail(TOOL_ERROR, "%s: can't write: %s", dir, strerror(errno));
}

/* 0, or how gnuplot failed; -1: there is none. */
static int run_gnuplot(const char *dir, const char *suite)
{
	char script[512];
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (pid == 0) {
		snprintf(script, sizeof(script), "%s.gnuplot", suite);
		if (chdir(dir) == 0)
			execlp("gnuplot", "gnuplot", script, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
		return -1;
	return WEXITSTATUS(status);
}

/* One suite: a dot per figure and format at its ratio, and a line at 1, the calibrator. */
static int plot_suite(const struct bench *bench, const struct bench_suite *suite, const char *dir)
{
	const char *names[512], *shown[64];
	unsigned nnames = 0, nshown = 0;
	FILE *data = open_in(dir, suite->name, "dat"), *script = open_in(dir, suite->name, "gnuplot");

	for (unsigned i = 0; i < bench->nrows; i++) {
		const struct bench_row *row = &bench->rows[i];
		unsigned n = 0, f = 0;

		if (row->suite != suite)
			continue;
		while (n < nnames && strcmp(names[n], row->name))
			n++;
		if (n == nnames && n < sizeof(names) / sizeof(names[0]))
			names[nnames++] = row->name;
		while (f < nshown && strcmp(shown[f], row->format))
			f++;
		if (f == nshown && f < sizeof(shown) / sizeof(shown[0]))
			shown[nshown++] = row->format;
		fprintf(data, "%u %u %g \"%s\" \"%s\"\n", n, f, ratio_of(row), row->name, row->format);
	}
	fprintf(script, "set terminal svg size 1000,%u font 'sans-serif,12' background '#ffffff'\nset output '%s.svg'\n", 160 + 26 * nnames,
		suite->name);
	fprintf(script, "set title '%s' noenhanced\nset xlabel 'ratio to the calibrator of the same run (1: as fast)'\nset logscale x 2\n",
		suite->what);
	fprintf(script, "set yrange [%g:-0.5]\nset grid ytics xtics\nset key outside right top noenhanced\n", nnames - 0.5);
	fprintf(script, "set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 lc rgb '#888888'\nset ytics (");
	for (unsigned n = 0; n < nnames; n++)
		fprintf(script, "%s\"%s\" %u", n ? ", " : "", names[n], n);
	fprintf(script, ") noenhanced\nplot ");
	for (unsigned f = 0; f < nshown; f++)
		fprintf(script, "%s'%s.dat' using ($2==%u ? $3 : NaN):1 with points pt 7 ps 0.7 title '%s'", f ? ", \\\n  " : "", suite->name, f,
			shown[f]);
	fputc('\n', script);
	close_file(data, dir);
	close_file(script, dir);
	return nnames ? run_gnuplot(dir, suite->name) : 0;
}

static void plot(const struct bench *bench, const char *dir)
{
	int err = 0;

	if (mkdir(dir, 0777) && errno != EEXIST)
		tool_fail(TOOL_ERROR, "%s: %s", dir, strerror(errno));
	for (const struct bench_suite *const *suite = bench_suites; *suite && !err; suite++)
		err = plot_suite(bench, *suite, dir);
	if (err < 0)
		tool_fail(TOOL_SKIPPED, "%s has the data and the scripts, but no pictures: gnuplot is missing (Debian: gnuplot-nox)", dir);
	if (err)
		tool_fail(TOOL_ERROR, "%s: gnuplot failed with %d", dir, err);
}

/* ---- The verb ---- */

static unsigned repeat, repeats;

static void progress(const struct bench_suite *suite)
{
	tool_progress("%u of %u: %s", repeat + 1, repeats, suite->what);
}

int tool_bench(int argc, char **argv)
{
	const struct argp argp = { options, parse, "[NAME...]", doc, NULL, NULL, NULL };
	struct request request = { 0 };

	request.wanted = calloc((size_t)argc + 1, sizeof(*request.wanted));
	if (!request.wanted)
		tool_fail(TOOL_ERROR, "out of memory");
	tool_parse(&argp, argc, argv, &request);
	if (request.list) {
		for (const struct bench_suite *const *suite = bench_suites; *suite; suite++)
			printf("%-10s %s\n", (*suite)->name, (*suite)->what);
		free(request.wanted);
		return TOOL_OK;
	}
	request.bench.wanted = request.wanted;
	repeats = request.repeats ? request.repeats : request.bench.quick ? 3 : 7;
	for (repeat = 0; repeat < repeats; repeat++)
		bench_run(&request.bench, progress);
	tool_progress(NULL);
	if (!request.bench.nrows)
		tool_fail(TOOL_USAGE, "no figure is called that (hitless bench --list has the suites)");
	if (tool_options.json)
		tool_print_json(figures_json(&request.bench));
	else
		print_text(&request.bench);
	if (request.plot)
		plot(&request.bench, request.plot);
	free(request.bench.rows);
	free(request.wanted);
	return TOOL_OK;
}
