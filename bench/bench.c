/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench.c - what the suites share: which rows are wanted, and the samples. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct bench_suite bench_model, bench_pgtable, bench_replace, bench_scale;

const struct bench_suite *const bench_suites[] = { &bench_pgtable, &bench_replace, &bench_scale, &bench_model, NULL };

bool bench_wants(const struct bench *bench, const char *name, const char *format)
{
	if (!bench->wanted || !bench->wanted[0])
		return true;
	for (const char *const *part = bench->wanted; *part; part++)
		if (strcmp(bench->suite->name, *part) == 0 || strcmp(format, *part) == 0 || strstr(name, *part))
			return true;
	return false;
}

void bench_run(struct bench *bench, void (*progress)(const struct bench_suite *suite))
{
	for (const struct bench_suite *const *suite = bench_suites; *suite; suite++) {
		bench->suite = *suite;
		progress(*suite);
		(*suite)->run(bench);
	}
}

void bench_add(struct bench *bench, const char *name, const char *format, const char *calibrator, const char *unit, double ours,
	       double theirs)
{
	struct bench_row *row = bench->rows;

	if (!bench_wants(bench, name, format))
		return;
	while (row < bench->rows + bench->nrows && (strcmp(row->name, name) || strcmp(row->format, format)))
		row++;
	if (row == bench->rows + bench->nrows) {
		if (bench->nrows == bench->capacity) {
			bench->capacity = bench->capacity ? 2 * bench->capacity : 64;
			bench->rows = realloc(bench->rows, bench->capacity * sizeof(*bench->rows));
			bench_check(bench->rows ? 0 : -1, "memory");
			row = bench->rows + bench->nrows;
		}
		bench->nrows++;
		*row = (struct bench_row){ .suite = bench->suite, .name = name, .format = format, .calibrator = calibrator, .unit = unit };
	}
	if (row->n == BENCH_MAX_REPEATS)
		return;
	row->ours[row->n] = ours;
	row->theirs[row->n] = theirs;
	row->n++;
}

void bench_check(int64_t result, const char *where)
{
	if (result >= 0)
		return;
	fprintf(stderr, "hitless: bench: %s: error %d\n", where, (int)result);
	exit(1);
}
