/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bench.h - figures, each beside a calibrator that was measured in the same run.
 *
 * A *suite* is one file of this folder. It measures all its rows once per call of run(), the calibrator next to what it is held
 * against, so that both see the same machine; `hitless bench` calls it several times and keeps every sample.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define BENCH_MAX_REPEATS 32

struct bench_suite;

/* One figure. Names are literals. */
struct bench_row {
	const struct bench_suite *suite;
	const char *name;		/* "map 4K, random in 1 GiB" */
	const char *format;		/* of what: "vtd-ss", "vtd", ... */
	const char *calibrator;		/* "the same on a bare radix table" */
	const char *unit;		/* of `ours` and `theirs`: "ns"; anything else is a count, not a time */
	unsigned n;
	double ours[BENCH_MAX_REPEATS], theirs[BENCH_MAX_REPEATS];
};

/* What a run collects, and what it was asked for. */
struct bench {
	bool quick;			/* smaller sizes, so that everything ends within a minute */
	const char *const *wanted;	/* suites, formats, parts of names, NULL-terminated; empty: everything */
	const struct bench_suite *suite;/* that runs now */
	struct bench_row *rows;
	unsigned nrows, capacity;
};

struct bench_suite {
	const char *name;
	const char *what;
	/* Measures every row that is wanted once, and reports each with bench_add(). */
	void (*run)(struct bench *bench);
};

/* All of them, NULL-terminated. */
extern const struct bench_suite *const bench_suites[];

/* Is a figure of that name and format asked for? */
bool bench_wants(const struct bench *bench, const char *name, const char *format);
/* Runs the suites that have something that is wanted, once each. `progress` hears which. */
void bench_run(struct bench *bench, void (*progress)(const struct bench_suite *suite));

/* A sample: ours and the calibrator's, in the same unit. Exits when memory is short. */
void bench_add(struct bench *bench, const char *name, const char *format, const char *calibrator, const char *unit, double ours,
	       double theirs);

/* Nanoseconds that the calling thread has had a CPU: while others have it, the clock stands. A reading costs some 200 ns. */
static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The value is used, for all the compiler knows. */
static inline void bench_keep(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

/* A measurement that can't be made is a defect of the bench, not a figure: says where, and exits with 1. */
void bench_check(int64_t result, const char *where);

#endif
