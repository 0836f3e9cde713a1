/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_explore_cells.c - what libhitless does to an entry is proved: every pair of configurations of AMD-Vi, SMMUv3 and the RISC-V IOMMU, under every sort
 * of unit. (VT-d's are test_explore.c's and explore.py's.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/check.h>

#include "tool/arch.h"
#include "tool/tool.h"

#include "sample.h"

/* tool/arch.c wants it for what is wrong on a command line. */
_Noreturn void tool_fail(enum tool_exit status, const char *format, ...)
{
	(void)status;
	fprintf(stderr, "%s\n", format);
	fail();
	__builtin_unreachable();
}

struct count {
	unsigned cells, hitless;
};

/* Of a sample nobody knows how many are hitless. */
static void must_be(struct count count, unsigned cells, unsigned hitless)
{
	if (sample() > 1)
		return;
	assert_int_equal(count.cells, cells);
	assert_int_equal(count.hitless, hitless);
}

static struct count prove(const struct tool_arch *arch, const char *name, unsigned quantum, unsigned facts)
{
	struct count count = { 0 };

	for (unsigned e = 0; e < arch->nentries; e++) {
		const struct tool_entry *entry = &arch->entries[e];

		for (unsigned from = 0; strcmp(entry->name, name) == 0 && from < entry->nconfigs; from++)
			for (unsigned to = 0; to < entry->nconfigs; to++) {
				struct tool_config before = { 0 }, after = { 0 };
				struct hitless_report report;
				struct hitless_cell cell = {
					.arch = arch->name,
					.entry = name,
					.quantum = quantum,
					.facts = facts | IOMMU_PLAN_ONE_TO_ONE,
					.strategies = IOMMU_STRATEGY_ANY,
					.freedoms = ~0u,
				};

				if (from == to || left_out())
					continue;
				entry->config(from, &before);
				entry->config(to, &after);
				if (entry->complete) {
					entry->complete(before.words);
					entry->complete(after.words);
				}
				if ((facts & IOMMU_PLAN_ATS) && entry->set_ats) {
					entry->set_ats(before.words);
					entry->set_ats(after.words);
				}
				memcpy(cell.before, before.words, sizeof(cell.before));
				memcpy(cell.after, after.words, sizeof(cell.after));
				assert_int_equal(hitless_check_cell(&cell, &report), 0);
				if (report.verdict != HITLESS_PROVED)
					fail_msg("%s %s, %s -> %s, %u bytes, facts %x, %s: %s, %s, %s, %s", arch->name, name, before.name,
						 after.name, quantum, facts, iommu_strategy_name(report.strategy),
						 hitless_verdict_name(report.verdict), hitless_violation_name(report.violation),
						 report.limit ? report.limit : "", report.detail);
				if (strcmp(before.name, "invalid") != 0 && strcmp(after.name, "invalid") != 0) {
					count.cells++;
					count.hitless += report.hitless;
				}
				hitless_report_free(&report);
			}
	}
	return count;
}

static const unsigned units[] = {
	0,
	IOMMU_PLAN_ATS,
	IOMMU_PLAN_ATS | IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE,
	IOMMU_PLAN_NONCOHERENT,
	IOMMU_PLAN_CACHES_ABSENT,
	IOMMU_PLAN_NO_PARENT,
};
#define UNITS (sizeof(units) / sizeof(units[0]))

static void test_amdvi(void **state)
{
	struct count count;

	(void)state;
	for (unsigned u = 0; u < UNITS; u++) {
		if (!units[u])
			prove(&tool_amdvi, "dte", 8, 0);
		count = prove(&tool_amdvi, "dte", 16, units[u]);
		/* All but nested from 4 to 5 guest levels, and back. */
		must_be(count, 90, 86);
	}
}

static void test_riscv(void **state)
{
	struct count count;

	(void)state;
	for (unsigned u = 0; u < UNITS; u++) {
		if (!units[u]) {
			prove(&tool_riscv, "dc", 16, 0);
			prove(&tool_riscv, "pc", 16, 0);
		}
		prove(&tool_riscv, "dc", 8, units[u]);
		prove(&tool_riscv, "pc", 8, units[u]);
	}
	/* With private tags: all. */
	count = prove(&tool_riscv, "dc", 8, IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE);
	must_be(count, 132, 132);
	count = prove(&tool_riscv, "pc", 8, IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE);
	must_be(count, 12, 12);
}

static void test_smmuv3(void **state)
{
	struct count count;

	(void)state;
	for (unsigned u = 0; u < UNITS; u++) {
		if (!units[u]) {
			prove(&tool_smmuv3, "ste", 16, 0);
			prove(&tool_smmuv3, "cd", 16, 0);
		}
		prove(&tool_smmuv3, "ste", 8, units[u]);
		prove(&tool_smmuv3, "cd", 8, units[u]);
	}
	/* With private tags: all but from one guest's contexts to another's behind another second stage, and back. */
	count = prove(&tool_smmuv3, "ste", 8, IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE);
	must_be(count, 90, 88);
	count = prove(&tool_smmuv3, "cd", 8, IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE);
	must_be(count, 42, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amdvi),
		cmocka_unit_test(test_riscv),
		cmocka_unit_test(test_smmuv3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
