/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * sample.h - of long explorations and random runs the first build takes all, and a build beside it, that has another compiler or a
 * sanitizer for the same code, every Nth: HITLESS_SAMPLE, which meson sets by its option test_sample.
 */
#ifndef TESTS_SAMPLE_H
#define TESTS_SAMPLE_H

#include <stdbool.h>
#include <stdlib.h>

/* Every how many: 1 where all are taken. */
static inline unsigned sample(void)
{
	const char *text = getenv("HITLESS_SAMPLE");
	int n = text ? atoi(text) : 1;

	return n > 1 ? (unsigned)n : 1;
}

/* Is the next case of a long list left out? Lists of different lengths are counted through, so that each run of one leaves out others. */
static inline bool left_out(void)
{
	static unsigned counter;

	return counter++ % sample() != 0;
}

#endif
