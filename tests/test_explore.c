/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_explore.c - can the explorer be trusted?
 *
 * It must find what is there: damaged sequences, and for every freedom of the hardware a sequence that only this freedom makes
 * unsafe. (test_explore_torn.c has it agree with another checker.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/check.h>

#include "sample.h"
#include <hitless/model.h>
#include <hitless/vtd.h>


static const struct {
	const char *name;
	uint64_t words[8];
} legacy[] = {
	{ "identity", { 0x9, 0x103 } },
	{ "s2:did=2,root=a", { 0xa001, 0x202 } },
	{ "s2:did=3,root=b", { 0xb001, 0x302 } },
	{ "s2:did=2,root=b", { 0xb001, 0x202 } },
}, scalable[] = {
	{ "identity:did=1", { 0x109, 0x800001 } },
	{ "s2:did=2,root=a", { 0xa089, 0x800002 } },
	{ "s2:did=3,root=b", { 0xb089, 0x800003 } },
	{ "s1:did=4,root=c", { 0x49, 0x800004, 0xc000 } },
	{ "s1:did=5,root=d", { 0x49, 0x800005, 0xd000 } },
	{ "s1:did=4,root=d", { 0x49, 0x800004, 0xd000 } },
	{ "nested:did=6,parent=a,root=e", { 0xa0c9, 0x800006, 0xe000 } },
	{ "nested:did=8,parent=b,root=e", { 0xb0c9, 0x800008, 0xe000 } },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct hitless_cell cell_of(const char *arch, const uint64_t *before, const uint64_t *after, unsigned quantum, unsigned facts)
{
	struct hitless_cell cell = {
		.arch = arch,
		.quantum = quantum,
		.facts = facts,
		.strategies = IOMMU_STRATEGY_ANY,
		.freedoms = ~0u,
	};

	memcpy(cell.before, before, sizeof(cell.before));
	memcpy(cell.after, after, sizeof(cell.after));
	return cell;
}

static struct hitless_report check(const struct hitless_cell *cell)
{
	struct hitless_report report;

	assert_int_equal(hitless_check_cell(cell, &report), 0);
	return report;
}

static void must_be(const struct hitless_cell *cell, enum hitless_verdict verdict)
{
	struct hitless_report report = check(cell);

	if (report.verdict != verdict)
		fail_msg("%s %llx -> %llx, mutant %u (%s): %s, %s, %s", cell->arch, (unsigned long long)cell->before[0],
			 (unsigned long long)cell->after[0], cell->mutant, report.mutant, hitless_verdict_name(report.verdict),
			 hitless_violation_name(report.violation), report.detail);
	hitless_report_free(&report);
}

/* ---- What libhitless does is proved, under every sort of unit ---- */

static const unsigned units[] = {
	0,
	IOMMU_PLAN_ATS,
	IOMMU_PLAN_ATS | IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE,
	IOMMU_PLAN_NONCOHERENT,
	IOMMU_PLAN_CACHES_ABSENT,
	IOMMU_PLAN_NO_PARENT,
};

static void test_legacy_is_proved(void **state)
{
	(void)state;
	for (unsigned u = 0; u < COUNT(units); u++)
		for (unsigned q = 8; q <= 16; q += 8)
			for (unsigned a = 0; a < COUNT(legacy); a++)
				for (unsigned b = 0; b < COUNT(legacy); b++) {
					struct hitless_cell cell =
						cell_of("vtd-legacy", legacy[a].words, legacy[b].words, q, units[u] & ~IOMMU_PLAN_ATS);

					if (a != b && !left_out())
						must_be(&cell, HITLESS_PROVED);
				}
}

static void test_scalable_is_proved(void **state)
{
	(void)state;
	for (unsigned u = 0; u < COUNT(units); u++)
		for (unsigned a = 0; a < COUNT(scalable); a++)
			for (unsigned b = 0; b < COUNT(scalable); b++) {
				struct hitless_cell cell = cell_of("vtd", scalable[a].words, scalable[b].words, 16, units[u]);

				if (a != b && !left_out())
					must_be(&cell, HITLESS_PROVED);
			}
}

/*
 * Guests' device contexts behind two parents, x and y: page tables e and f, process directories p and q. What is cached of a guest page number of
 * the old one's must not meet the other's second stage; there is a gap in these, and it is known.
 */
static const uint64_t guest_xe[8] = { 1, 0x8000100000000010, 0x1000, 0x800000000000000e };
static const uint64_t guest_xf[8] = { 1, 0x8000100000000010, 0x2000, 0x800000000000000f };
static const uint64_t guest_ye[8] = { 1, 0x8000200000000020, 0x1000, 0x800000000000000e };
static const uint64_t guest_yf[8] = { 1, 0x8000200000000020, 0x1000, 0x800000000000000f };
static const uint64_t guest_xp[8] = { 0x221, 0x8000100000000010, 0, 0x1000000000000050 };
static const uint64_t guest_xq[8] = { 0x221, 0x8000100000000010, 0, 0x1000000000000060 };
static const uint64_t guest_yq[8] = { 0x221, 0x8000200000000020, 0, 0x1000000000000060 };

static void test_guests_contexts(void **state)
{
	static const struct {
		const uint64_t *before, *after;
		bool hitless;
	} pairs[] = {
		{ guest_xe, guest_xf, true }, { guest_xe, guest_xp, true }, { guest_xp, guest_xe, true }, { guest_xp, guest_xq, true },
		{ guest_xe, guest_yf, true }, { guest_yf, guest_xe, true }, { guest_xe, guest_ye, false }, { guest_xp, guest_yq, false },
		{ guest_xp, guest_yf, false }, { guest_xe, guest_yq, false },
	};

	(void)state;
	for (unsigned u = 0; u < COUNT(units); u++)
		for (unsigned i = 0; i < COUNT(pairs); i++) {
			struct hitless_cell cell = cell_of("riscv", pairs[i].before, pairs[i].after, 8, units[u]);
			struct hitless_report report = check(&cell);

			assert_int_equal(report.verdict, HITLESS_PROVED);
			/* Without a swap of the page there is a gap wherever more than one doubleword changes. */
			if (!(units[u] & IOMMU_PLAN_NO_PARENT))
				assert_int_equal(report.hitless, pairs[i].hitless);
			assert_true(report.hitless || report.why);
			hitless_report_free(&report);
		}
}

/* What is skipped because nothing has changed must not matter. */
static void test_nothing_is_overlooked(void **state)
{
	struct hitless_cell cells[] = {
		cell_of("vtd-legacy", legacy[1].words, legacy[2].words, 8, 0),
		cell_of("vtd-legacy", legacy[0].words, legacy[1].words, 16, IOMMU_PLAN_CACHES_ABSENT),
		cell_of("vtd", scalable[3].words, scalable[4].words, 16, IOMMU_PLAN_ATS),
		cell_of("vtd", scalable[6].words, scalable[7].words, 16, 0),
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cells); i++) {
		cells[i].thorough = true;
		must_be(&cells[i], HITLESS_PROVED);
	}
}

/* ---- Mutants ---- */

static const uint64_t v1_a[8] = { 0x600000000000a803, 0x2 }, v1_b[8] = { 0x600000000000b803, 0x3 };
static const uint64_t v2_4[8] = { 0x64c0000000000003, 0x20004 }, v2_5[8] = { 0x6cc0000000000003, 0x60006, 0x40000000000000 };
static const uint64_t first_a[8] = { 1, 0, 0x1000, 0x800000000000000a }, first_b[8] = { 1, 0, 0x2000, 0x800000000000000b };
static const uint64_t second_x[8] = { 1, 0x8000100000000010 }, second_y[8] = { 1, 0x8000200000000020 };

static const uint64_t ste_s1[8] = { 0x400000000001002b, 0x100000d6 }, ste_s2[8] = { 0xd, 0x100010000000, 0x44d125900000001, 0x30000 };
static const uint64_t ste_nested[8] = { 0x400000000005002f, 0x1000100800d6, 0x44d125900000001, 0x30000 };

/* What it finds is what it finds when no place is left out and every step waits. */
static void test_every_place(void **state)
{
	struct hitless_cell cells[] = {
		cell_of("vtd-legacy", legacy[1].words, legacy[2].words, 8, 0),
		cell_of("vtd", scalable[1].words, scalable[3].words, 16, IOMMU_PLAN_ATS),
		cell_of("amdvi", v2_5, v2_4, 16, 0),
		cell_of("riscv", first_a, first_b, 8, 0),
		cell_of("smmuv3", ste_s2, ste_nested, 8, 0),
	};
	unsigned compared = 0, violated = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT(cells); i++) {
		int n = hitless_mutants(&cells[i]);

		assert_true(n > 5);
		for (cells[i].mutant = 0; cells[i].mutant <= (unsigned)n; cells[i].mutant += sample()) {
			struct hitless_report report, whole;

			cells[i].thorough = false;
			assert_int_equal(hitless_check_cell(&cells[i], &report), 0);
			cells[i].thorough = true;
			assert_int_equal(hitless_check_cell(&cells[i], &whole), 0);
			if ((report.verdict == HITLESS_PROVED) != (whole.verdict == HITLESS_PROVED) ||
			    (report.verdict == HITLESS_PROVED && report.places > whole.places))
				fail_msg("cell %u, %s: %s in %llu places, %s in %llu", i, report.mutant, hitless_verdict_name(report.verdict),
					 (unsigned long long)report.places, hitless_verdict_name(whole.verdict),
					 (unsigned long long)whole.places);
			compared++;
			violated += report.verdict == HITLESS_VIOLATED;
			hitless_report_free(&report);
			hitless_report_free(&whole);
		}
	}
	assert_true(violated * 3 > compared && violated < compared);
}

/* Every survivor is one that explain.c has a reason for; and most don't survive. */
static void test_mutants(void **state)
{
	struct hitless_cell cells[] = {
		cell_of("vtd-legacy", legacy[1].words, legacy[2].words, 16, 0),
		cell_of("vtd-legacy", legacy[1].words, legacy[2].words, 8, 0),
		cell_of("vtd", scalable[1].words, scalable[2].words, 16, 0),
		cell_of("vtd", scalable[3].words, scalable[4].words, 16, IOMMU_PLAN_ATS),
		cell_of("vtd", scalable[1].words, scalable[3].words, 16, IOMMU_PLAN_ATS),
		cell_of("amdvi", v1_a, v1_b, 16, 0),
		cell_of("amdvi", v2_5, v2_4, 16, 0),
		cell_of("amdvi", v1_a, v2_5, 16, 0),
		cell_of("riscv", first_a, first_b, 8, 0),
		cell_of("riscv", second_x, second_y, 8, 0),
		cell_of("riscv", first_a, first_b, 8, IOMMU_PLAN_NO_PARENT),
		cell_of("smmuv3", ste_s1, ste_s2, 8, IOMMU_PLAN_ATS),
		cell_of("smmuv3", ste_s2, ste_nested, 8, 0),
	};
	unsigned caught = 0, all = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT(cells); i++)
		for (cells[i].mutant = 1;; cells[i].mutant += sample()) {
			struct hitless_report report;
			int err;

			cells[i].explain = true;
			err = hitless_check_cell(&cells[i], &report);
			if (err == -ENOENT)
				break;
			assert_int_equal(err, 0);
			all++;
			caught += report.verdict == HITLESS_VIOLATED;
			if (report.verdict == HITLESS_VIOLATED && report.violation != HITLESS_STUCK) {
				char detail[200];

				/* What it says happened does happen. */
				assert_non_null(report.replay);
				assert_int_equal(hitless_replay(report.replay, NULL, NULL, NULL, detail, sizeof(detail)), report.violation);
			} else if (report.verdict == HITLESS_PROVED && !report.harmless) {
				fail_msg("cell %u: nobody knows why this is harmless: %s", i, report.mutant);
			}
			hitless_report_free(&report);
		}
	printf("%u of %u mutants are caught\n", caught, all);
	assert_true(all * sample() >= 150 && caught * 10 >= all * (sample() > 1 ? 5 : 6));
}

static void test_split_store(void **state)
{
	struct hitless_cell cell = cell_of("vtd-legacy", legacy[1].words, legacy[2].words, 16, 0);
	unsigned splits = 0;

	(void)state;
	for (cell.mutant = 1;; cell.mutant++) {
		struct hitless_report report;

		if (hitless_check_cell(&cell, &report))
			break;
		if (strstr(report.mutant, "half first")) {
			assert_int_equal(report.verdict, HITLESS_VIOLATED);
			assert_int_equal(report.violation, HITLESS_BYSTANDER_CORRUPTED);
			splits++;
		}
		hitless_report_free(&report);
	}
	assert_int_equal(splits, 2);
}

/* ---- Freedoms ---- */

static void sequence_is(const char *text, unsigned freedoms, enum hitless_verdict verdict)
{
	struct hitless_report report;
	char error[200];

	if (hitless_check_sequence(text, freedoms, &report, error, sizeof(error)))
		fail_msg("%s", error);
	if (report.verdict != verdict)
		fail_msg("freedoms %x: %s %s %s", freedoms, hitless_verdict_name(report.verdict),
			 hitless_violation_name(report.violation), report.detail);
	hitless_report_free(&report);
}

#define LEGACY_HEAD "arch vtd-legacy\nquantum 128\nclaims hitless\nbefore 0xa001 0x202\nafter 0xb001 0x302\n"
/* AMD-Vi: a host table and its DomainID; INVALIDATE_DEVTAB_ENTRY, INVALIDATE_IOMMU_PAGES. */
#define AMDVI_HEAD "arch amdvi\nquantum 128\nclaims hitless\nbefore 0x600000000000a803 2\nafter 0x600000000000b803 3\nsteps\n"
#define DEVTAB "command 0x2000000000000010 0\n"
#define PAGES "command 0x3000000200000000 0x7ffffffffffff003\n"
/* RISC-V: a second stage and its GSCID, or a first stage and its PSCID; IODIR.INVAL_DDT, IOTINVAL. */
#define RISCV_HEAD "arch riscv\nquantum 64\nclaims hitless\nbefore 1 0x8000100000000010\nafter 1 0x8000200000000020\nsteps\n"
#define RISCV_HEAD_1 "arch riscv\nquantum 64\nclaims hitless\nbefore 1 0 0x1000 0x800000000000000a\n" \
		     "after 1 0 0x2000 0x800000000000000b\nsteps\n"
#define DDT "command 0x100200000003 0\n"
#define TINVAL "command 0x100200000001 0\ncommand 0x100200000081 0\n"
#define TINVAL_1 "command 0x100001001 0\n"
#define CONTEXT "command 0x1000020031 0\n"
#define IOTLB "command 0x200e2 0\n"

/* SMMUv3: a context descriptor, a second stage under a VMID that stays. CMD_CFGI_CD, CMD_CFGI_STE; CMD_TLBI_NH_ASID, S12_VMALL. */
#define SMMU_CD(quantum) "arch smmuv3\nentry cd\nquantum " quantum "\nclaims hitless\nbefore 0x14205c0000010 0x1000 0 0xff\n" \
			 "after 0x24205c0000010 0x2000 0 0xff\nsteps\n"
#define SMMU_S2 "arch smmuv3\nquantum 64\nclaims hitless\ntags private\n" \
		"before 0xd 0x100010000000 0x44d125900000001 0x30000\nafter 0xd 0x100010000000 0x44d125900000001 0x40000\nsteps\n"
#define CFGI_CD "command 0x1000003005 1\n"
#define CFGI_STE "command 0x1000000003 1\n"
#define TLBI_ASID "command 0x1000000000011 0\n"
#define TLBI_VMID "command 0x100000028 0\n"

static const struct {
	enum iommu_freedom freedom;
	const char *text;
	unsigned never;		/* freedoms that are off both times */
} unsafe_with[] = {
	/* The old table is read, then the rest of the entry that has come. */
	{ IOMMU_FREE_TEAR, "arch vtd\nquantum 128\nclaims disruptive\nbefore 0x49 0x800004 0xc000\nafter 0x49 0x800005 0xd000\nsteps\n"
			   "store64 0 0x48\ncommand 0x40017 0\nfence\ncommand 0x40026 0\nwait\nstore64 0 0\nstore64 1 0x800005\n"
			   "store64 2 0xd000\nstore64 0 0x49\n", 0 },
	/* A look-up that misses reads the torn entry, though the line was there before. */
	{ IOMMU_FREE_MISS, LEGACY_HEAD "steps\nstore64 1 0x302\nstore64 0 0xb001\n" CONTEXT "fence\n" IOTLB "wait\n", 0 },
	{ IOMMU_FREE_KEEP, LEGACY_HEAD "steps\nstore128 0 0xb001 0x302\n" IOTLB "wait\n", 0 },
	{ IOMMU_FREE_LATE, LEGACY_HEAD "steps\nstore128 0 0xb001 0x302\n" CONTEXT IOTLB "wait\n", 0 },
	{ IOMMU_FREE_REORDER, LEGACY_HEAD "steps\nstore128 0 0xb001 0x302\n" CONTEXT IOTLB "wait\n", 0 },
	{ IOMMU_FREE_LATE_FILL, LEGACY_HEAD "steps\nstore128 0 0xb001 0x302\n" CONTEXT "wait\n", 0 },
	{ IOMMU_FREE_MULTI, LEGACY_HEAD "steps\nstore64 0 0xb001\nstore64 1 0x302\n" CONTEXT "fence\n" IOTLB "wait\n", 0 },
	{ IOMMU_FREE_PREFETCH, LEGACY_HEAD "steps\nquiet on\n" CONTEXT "fence\n" IOTLB "wait\nstore64 0 0xb001\nstore64 1 0x302\n"
			       "quiet off\n", 0 },
	{ IOMMU_FREE_TEAR, "arch amdvi\nquantum 128\nclaims hitless\nbefore 0x600000000000a803 2\n"
			   "after 0x6cc0000000000003 0x60006 0x0040000000000000\nsteps\nstore128 2 0x0040000000000000 0\n"
			   "store128 0 0x6cc0000000000003 0x60006\n" DEVTAB "fence\n" PAGES "wait\n", 0 },
	{ IOMMU_FREE_MISS, AMDVI_HEAD "store64 1 3\nstore64 0 0x600000000000b803\n" DEVTAB "fence\n" PAGES "wait\n", 0 },
	{ IOMMU_FREE_KEEP, AMDVI_HEAD "quiet on\nstore128 0 0x600000000000b803 3\nquiet off\n", 0 },
	{ IOMMU_FREE_LATE, AMDVI_HEAD "store128 0 0x600000000000b803 3\n" DEVTAB PAGES "wait\n", 0 },
	{ IOMMU_FREE_REORDER, AMDVI_HEAD "store128 0 0x600000000000b803 3\n" DEVTAB PAGES "wait\n", 0 },
	{ IOMMU_FREE_LATE_FILL, AMDVI_HEAD "store128 0 0x600000000000b803 3\n" DEVTAB "wait\n", 0 },
	{ IOMMU_FREE_MULTI, AMDVI_HEAD "store64 0 0x600000000000b803\nstore64 1 3\n" DEVTAB "fence\n" PAGES "wait\n", 0 },
	{ IOMMU_FREE_PREFETCH, AMDVI_HEAD "quiet on\n" DEVTAB "fence\n" PAGES "wait\nstore64 0 0x600000000000b803\nstore64 1 3\n"
			       "quiet off\n", 0 },
	{ IOMMU_FREE_TEAR, "arch riscv\nquantum 64\nclaims hitless\nbefore 0\nafter 1 0 0x2000 0x800000000000000b\nsteps\n"
			   "store64 2 0x2000\nstore64 3 0x800000000000000b\nstore64 0 1\n", 0 },
	{ IOMMU_FREE_MISS, RISCV_HEAD_1 "store64 2 0x2000\nstore64 3 0x800000000000000b\n" DDT "fence\n" TINVAL_1 "wait\n", 0 },
	{ IOMMU_FREE_KEEP, RISCV_HEAD "quiet on\nstore64 1 0x8000200000000020\nquiet off\n", 0 },
	{ IOMMU_FREE_LATE, RISCV_HEAD "store64 1 0x8000200000000020\n" DDT TINVAL "wait\n", 0 },
	{ IOMMU_FREE_REORDER, RISCV_HEAD "store64 1 0x8000200000000020\n" DDT TINVAL "wait\n", 0 },
	{ IOMMU_FREE_LATE_FILL, RISCV_HEAD "store64 1 0x8000200000000020\n" DDT "wait\n", 0 },
	{ IOMMU_FREE_MULTI, RISCV_HEAD_1 "store64 3 0x800000000000000b\n" DDT "wait\nstore64 2 0x2000\n" DDT "fence\n" TINVAL_1 "wait\n", 0 },
	{ IOMMU_FREE_PREFETCH, RISCV_HEAD_1 "quiet on\n" DDT "fence\n" TINVAL_1 "wait\nstore64 3 0x800000000000000b\n"
			       "store64 2 0x2000\nquiet off\n", 0 },
	/* There is no "late-fill" on SMMUv3: CFGI with its CMD_SYNC waits for all that used what is removed (3.21.3). */
	{ IOMMU_FREE_TEAR, "arch smmuv3\nquantum 64\nclaims hitless\nbefore 9 0x100000000000\nafter 0x400000000001002b 0x100000d6\n"
			   "steps\nstore64 1 0x100000d6\nstore64 0 0x400000000001002b\n" CFGI_STE "wait\n", 0 },
	{ IOMMU_FREE_MISS, SMMU_CD("64") "store64 0 0x24205c0000010\nstore64 1 0x2000\n" CFGI_CD "fence\n" TLBI_ASID "wait\n", 0 },
	{ IOMMU_FREE_KEEP, SMMU_CD("128") "quiet on\nstore128 0 0x24205c0000010 0x2000\nquiet off\n", 0 },
	{ IOMMU_FREE_LATE, SMMU_S2 "store64 3 0x40000\n" CFGI_STE TLBI_VMID "wait\n", IOMMU_FREE_BIT(IOMMU_FREE_MULTI) },
	{ IOMMU_FREE_REORDER, SMMU_S2 "store64 3 0x40000\n" CFGI_STE TLBI_VMID "wait\n", IOMMU_FREE_BIT(IOMMU_FREE_MULTI) },
	{ IOMMU_FREE_MULTI, SMMU_S2 "store64 3 0x40000\n" CFGI_STE "fence\n" TLBI_VMID "wait\n", 0 },
	{ IOMMU_FREE_PREFETCH, SMMU_CD("64") "quiet on\n" CFGI_CD "fence\n" TLBI_ASID "wait\nstore64 0 0x24205c0000010\n"
			       "store64 1 0x2000\nquiet off\n", 0 },
};

static void test_freedoms(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(unsafe_with); i++) {
		print_message("%.10s: %s\n", unsafe_with[i].text, iommu_freedom_name(unsafe_with[i].freedom));
		sequence_is(unsafe_with[i].text, ~unsafe_with[i].never, HITLESS_VIOLATED);
		sequence_is(unsafe_with[i].text, ~(unsafe_with[i].never | IOMMU_FREE_BIT(unsafe_with[i].freedom)), HITLESS_PROVED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy_is_proved),
		cmocka_unit_test(test_scalable_is_proved),
		cmocka_unit_test(test_guests_contexts),
		cmocka_unit_test(test_nothing_is_overlooked),
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_mutants),
		cmocka_unit_test(test_split_store),
		cmocka_unit_test(test_freedoms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
