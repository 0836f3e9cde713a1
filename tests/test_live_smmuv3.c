/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_live_smmuv3.c - the transitions of test_live.c on an SMMUv3, in a program of its own: each part of them ends in time. */
#define LIVE_TRANSITIONS \
	{ "s2 and s2", "smmuv3", &s2, &s2, false, false, false }, \
	{ "s2 and s2, shared tags", "smmuv3", &s2, &s2, true, false, false }, \
	{ "s2 and s2, ATS", "smmuv3", &s2, &s2, false, true, false }, \
	{ "s2 and s2 with dirty tracking", "smmuv3", &s2, &s2_dirty, false, false, false }, \
	{ "identity and s2", "smmuv3", &identity, &s2, false, false, false }, \
	{ "s1 and s1", "smmuv3", &s1, &s1, false, false, false }, \
	{ "s1 and s1, shared tags", "smmuv3", &s1, &s1, true, false, false }, \
	{ "s1 and s1, ATS", "smmuv3", &s1, &s1, false, true, false }, \
	{ "s1 and s1, not coherent", "smmuv3", &s1, &s1, false, false, true }, \
	{ "identity and s1, ATS", "smmuv3", &identity, &s1, false, true, false }, \
	{ "s1 and s2", "smmuv3", &s1, &s2, false, false, false }, \
	{ "s1 and s2, ATS", "smmuv3", &s1, &s2, false, true, false }, \
	{ "blocked and s1", "smmuv3", &blocked, &s1, false, false, false },
#include "test_live.c"
