/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_explore_domain.c - the explorer's domain layer: what it proves of libhitless, and that it finds what is broken.
 *
 * `hitless matrix --layer domain` explores every cell; here are some of each kind. tests/explore.py breaks the driver by each fault of
 * `hitless run --inject list`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/check.h>

#include "sample.h"

static const struct iommu_domain_desc blocked = { .type = IOMMU_DOMAIN_BLOCKED }, identity = { .type = IOMMU_DOMAIN_IDENTITY },
				      s1 = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 }, s2 = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

static struct hitless_domain_cell cell_of(const char *arch, const struct iommu_domain_desc *from, const struct iommu_domain_desc *to,
					  unsigned devices)
{
	return (struct hitless_domain_cell){
		.arch = arch,
		.from = *from,
		.to = *to,
		.devices = devices,
		.quantum = strcmp(arch, "riscv") == 0 ? 8 : 16,
		.strategies = IOMMU_STRATEGY_ANY,
		.freedoms = ~0u,
		.mapper = HITLESS_MAPPERS,
	};
}

static struct hitless_report check(const struct hitless_domain_cell *cell)
{
	struct hitless_report report;
	int err = hitless_check_domain(cell, &report);

	if (err)
		fail_msg("%s %u.%u -> %u.%u: error %d", cell->arch, cell->from.type, cell->from.stage, cell->to.type, cell->to.stage, err);
	return report;
}

static void must_be_proved(const struct hitless_domain_cell *cell, bool hitless)
{
	struct hitless_report report;

	if (left_out())
		return;
	report = check(cell);
	if (report.verdict != HITLESS_PROVED || report.hitless != hitless)
		fail_msg("%s %u.%u -> %u.%u, %u devices: %s, %s, %s, %s, %s; %s", cell->arch, cell->from.type, cell->from.stage, cell->to.type,
			 cell->to.stage, cell->devices, hitless_verdict_name(report.verdict), hitless_violation_name(report.violation),
			 report.limit ? report.limit : "", report.detail, report.mapper ? report.mapper : "", report.replay ? report.replay : "");
	assert_true(report.states > 100);
	hitless_report_free(&report);
}

static const char *const archs[] = { "vtd", "vtd-legacy", "amdvi", "smmuv3", "riscv" };

/* ---- What libhitless does is proved ---- */

static void test_proved(void **state)
{
	(void)state;
	for (unsigned a = 0; a < sizeof(archs) / sizeof(archs[0]); a++) {
		struct hitless_domain_cell cell = cell_of(archs[a], &s2, &s2, 2);

		must_be_proved(&cell, true);
		cell = cell_of(archs[a], &s2, &s2, 1);
		cell.private_tags = true;
		must_be_proved(&cell, true);
		cell = cell_of(archs[a], &blocked, &s2, 1);
		must_be_proved(&cell, true);
		cell = cell_of(archs[a], &s2, &blocked, 2);
		must_be_proved(&cell, true);
		if (!hitless_check_knows_domain(archs[a], &s1, HITLESS_PASID_NONE, 8))
			continue;
		cell = cell_of(archs[a], &s1, &s2, 1);
		must_be_proved(&cell, true);
		cell = cell_of(archs[a], &s1, &s1, 1);
		cell.private_tags = true;
		must_be_proved(&cell, true);
	}
}

static void test_identity(void **state)
{
	static const char *const some[] = { "vtd", "amdvi", "smmuv3", "riscv" };

	(void)state;
	for (unsigned a = 0; a < 4; a++) {
		struct hitless_domain_cell cell = cell_of(some[a], &identity, &s2, 1);

		must_be_proved(&cell, true);
		cell = cell_of(some[a], &s1, &identity, 1);
		cell.private_tags = true;
		must_be_proved(&cell, true);
	}
	/* A rule of the hardware is in the way: see docs/vtd.md. */
	struct hitless_domain_cell cell = cell_of("vtd-legacy", &identity, &s2, 1);

	must_be_proved(&cell, false);
}

/* Stand-ins one after another, and unmap while they are in use. */
static void test_chains(void **state)
{
	const struct iommu_domain_desc *const pairs[][2] = { { &s2, &s2 }, { &s1, &s2 }, { &s2, &s1 }, { &identity, &s2 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct hitless_domain_cell cell = cell_of("amdvi", pairs[i][0], pairs[i][1], 1);

		cell.quantum = 8;
		must_be_proved(&cell, true);
		cell.mapper = HITLESS_MAPPER_NONE;
		cell.private_tags = true;
		must_be_proved(&cell, true);
	}
}

/* The tag of a stand-in is given back, and somebody else gets it: the entry must have left it, and its lines must be gone. */
static void test_stand_ins_tag(void **state)
{
	struct hitless_domain_cell cell = cell_of("amdvi", &identity, &s1, 1);
	unsigned n = 0;

	(void)state;
	cell.quantum = 8;
	cell.mapper = HITLESS_MAPPER_NONE;
	for (cell.mutant = 1; cell.mutant <= (unsigned)hitless_domain_mutants(&cell); cell.mutant++) {
		struct hitless_report report = check(&cell);

		if (strncmp(report.mutant, "without: ", 9) == 0 &&
		    (strstr(report.mutant, "DOMAIN_ID 3 -> 2") || strstr(report.mutant, "command 5 of"))) {
			assert_int_equal(report.verdict, HITLESS_VIOLATED);
			assert_int_equal(report.violation, HITLESS_BYSTANDER_CORRUPTED);
			n++;
		}
		hitless_report_free(&report);
	}
	assert_int_equal(n, 2);
}

/* A PASID comes, changes its domain, goes; and requests without PASID while one stays. */
static void test_pasids(void **state)
{
	static const char *const some[] = { "vtd", "amdvi", "smmuv3", "riscv" };

	(void)state;
	for (unsigned a = 0; a < 4; a++) {
		for (unsigned private_tags = 0; private_tags < 2; private_tags++) {
			struct hitless_domain_cell cells[] = {
				cell_of(some[a], &blocked, &s1, 1), cell_of(some[a], &s1, &s1, 1), cell_of(some[a], &s1, &blocked, 2),
				cell_of(some[a], &s1, &identity, 1), cell_of(some[a], &blocked, &s1, 1),
			};

			for (unsigned i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
				cells[i].private_tags = private_tags;
				cells[i].pasid = i < 3 ? HITLESS_PASID_REPLACED : HITLESS_PASID_BESIDE;
				must_be_proved(&cells[i], true);
			}
		}
	}
	assert_false(hitless_check_knows_domain("vtd-legacy", &blocked, HITLESS_PASID_REPLACED, 8));
	assert_false(hitless_check_knows_domain("riscv", &s2, HITLESS_PASID_REPLACED, 8));
}

/* To and from a guest's tables: behind the other side, behind one parent, behind another; with unmap in the parent meanwhile. */
static void test_nested(void **state)
{
	static const struct iommu_domain_desc nested = { .type = IOMMU_DOMAIN_NESTED }, other = { .type = IOMMU_DOMAIN_NESTED, .levels = 1 };
	static const char *const some[] = { "vtd", "amdvi", "smmuv3", "riscv" };

	(void)state;
	for (unsigned a = 0; a < 4; a++) {
		/* 16.2 of SMMUv3: context descriptors are cached by StreamID. */
		bool smmu = strcmp(some[a], "smmuv3") == 0;
		struct hitless_domain_cell cells[] = {
			cell_of(some[a], &s2, &nested, 1), cell_of(some[a], &nested, &s2, 1), cell_of(some[a], &nested, &nested, 1),
			cell_of(some[a], &nested, &other, 1), cell_of(some[a], &nested, &s1, 1), cell_of(some[a], &nested, &blocked, 1),
		};

		for (unsigned i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
			cells[i].private_tags = i & 1;
			must_be_proved(&cells[i], !smmu || i < 3 || i == 5);
		}
	}
	assert_false(hitless_check_knows_domain("vtd-legacy", &nested, HITLESS_PASID_NONE, 8));
	assert_false(hitless_check_knows_domain("smmuv3", &nested, HITLESS_PASID_BESIDE, 8));
}

/* Unmap in the parent that doesn't flush, or not under a tag that has come meanwhile. */
static void test_broken_unmap_in_parents(void **state)
{
	static const struct iommu_domain_desc nested = { .type = IOMMU_DOMAIN_NESTED };
	static const struct hitless_fault faults[] = { { .name = "no flush", .bits = HITLESS_UNMAP_NO_FLUSH },
						       { .name = "old tags", .bits = HITLESS_UNMAP_OLD_TAGS } };
	static const char *const some[] = { "vtd", "amdvi", "smmuv3", "riscv" };

	(void)state;
	for (unsigned a = 0; a < 4; a++)
		for (unsigned f = 0; f < 2; f++) {
			struct hitless_domain_cell cell = cell_of(some[a], &s1, &nested, 1);
			struct hitless_report report;

			cell.private_tags = true;
			cell.mapper = HITLESS_MAPPER_NEW;
			cell.fault = &faults[f];
			report = check(&cell);
			assert_int_equal(report.verdict, HITLESS_VIOLATED);
			assert_int_equal(report.violation, HITLESS_UNMAPPED_PAGE_REACHED);
			hitless_report_free(&report);
		}
}

/* Units that don't snoop, CPUs without 128-bit stores. */
static void test_other_machines(void **state)
{
	static const struct iommu_domain_desc nested = { .type = IOMMU_DOMAIN_NESTED };
	struct hitless_domain_cell cell = cell_of("vtd", &s2, &s2, 1);

	(void)state;
	cell.noncoherent = true;
	must_be_proved(&cell, true);
	cell = cell_of("vtd-legacy", &s2, &s2, 1);
	cell.noncoherent = true;
	must_be_proved(&cell, true);
	cell = cell_of("vtd-legacy", &s2, &s2, 2);
	cell.quantum = 8;
	must_be_proved(&cell, true);
	/* No step of any request is overlooked; nor where one reads memory and looks into a cache at once, with another guest afterwards. */
	cell = cell_of("vtd-legacy", &s2, &s2, 1);
	cell.thorough = true;
	must_be_proved(&cell, true);
	cell = cell_of("smmuv3", &nested, &identity, 1);
	cell.quantum = 8;
	cell.mapper = HITLESS_MAPPER_NONE;
	cell.private_tags = true;
	cell.thorough = true;
	must_be_proved(&cell, false); /* its TLB is switched off */
}

/* ---- What is broken is found, and can be run again ---- */

static const struct hitless_fault faults[] = {
	{ "no-flush", NULL, HITLESS_UNMAP_NO_FLUSH },
	{ "no-wait", NULL, HITLESS_UNMAP_NO_WAIT },
	{ "old-tags", NULL, HITLESS_UNMAP_OLD_TAGS },
	{ "early-free", NULL, HITLESS_UNMAP_EARLY_FREE },
	{ "keeps", NULL, HITLESS_FAILURE_KEEPS },
};

static const struct hitless_fault *find_fault(const char *name)
{
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

static void must_find(struct hitless_domain_cell *cell, const char *fault, enum hitless_violation violation)
{
	struct hitless_report report;
	char detail[200];

	cell->fault = find_fault(fault);
	report = check(cell);
	if (report.verdict != HITLESS_VIOLATED || report.violation != violation)
		fail_msg("%s, %s: %s, %s, %s", cell->arch, fault, hitless_verdict_name(report.verdict),
			 hitless_violation_name(report.violation), report.detail);
	assert_non_null(report.replay);
	assert_int_equal(hitless_replay_domain(report.replay, find_fault, NULL, NULL, detail, sizeof(detail)), violation);
	/* Without knowing the fault it is no run. */
	assert_int_equal(hitless_replay(report.replay, NULL, NULL, NULL, detail, sizeof(detail)), -22);
	hitless_report_free(&report);
}

static void test_broken_unmap(void **state)
{
	(void)state;
	for (unsigned a = 0; a < sizeof(archs) / sizeof(archs[0]); a++) {
		struct hitless_domain_cell cell = cell_of(archs[a], &s2, &s2, 1);

		for (unsigned shared = 0; shared < 2; shared++) {
			cell.private_tags = !shared;
			must_find(&cell, "no-flush", HITLESS_UNMAPPED_PAGE_REACHED);
			must_find(&cell, "no-wait", HITLESS_UNMAPPED_PAGE_REACHED);
			must_find(&cell, "old-tags", HITLESS_UNMAPPED_PAGE_REACHED);
			must_find(&cell, "early-free", HITLESS_FREED_PAGE_WALKED);
		}
		if (!hitless_check_knows_domain(archs[a], &s1, HITLESS_PASID_REPLACED, cell.quantum))
			continue;
		cell = cell_of(archs[a], &s1, &s1, 1);
		cell.pasid = HITLESS_PASID_REPLACED;
		must_find(&cell, "no-flush", HITLESS_UNMAPPED_PAGE_REACHED);
		must_find(&cell, "old-tags", HITLESS_UNMAPPED_PAGE_REACHED);
		cell.from = blocked;
		must_find(&cell, "no-flush", HITLESS_UNMAPPED_PAGE_REACHED);
	}
}

static void test_not_restored(void **state)
{
	(void)state;
	for (unsigned a = 0; a < sizeof(archs) / sizeof(archs[0]); a++) {
		struct hitless_domain_cell cell = cell_of(archs[a], &s2, &s2, 2);

		cell.mapper = HITLESS_MAPPER_NONE;
		/* Else there is nothing to give back when an allocation fails. */
		cell.private_tags = true;
		must_find(&cell, "keeps", HITLESS_ENTRY_NOT_RESTORED);
	}
}

/* Every allocation of a replace has failed once; with a table swap there is one more per device. */
static void test_failures(void **state)
{
	struct hitless_domain_cell cell = cell_of("vtd", &s2, &s2, 2);
	struct hitless_report report;
	unsigned one_store;

	(void)state;
	cell.mapper = HITLESS_MAPPER_NONE;
	report = check(&cell);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
	one_store = report.failures;
	assert_true(one_store >= 2);
	hitless_report_free(&report);
	cell.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP);
	report = check(&cell);
	assert_int_equal(report.verdict, HITLESS_PROVED);
	assert_int_equal(report.strategy, IOMMU_STRATEGY_TABLE_SWAP);
	assert_int_equal(report.failures, one_store + 2);
	hitless_report_free(&report);
}

/* With no place left out, and every step waiting, the verdict is the same. */
static void same_at_every_place(const struct hitless_domain_cell *cell, const struct hitless_report *report)
{
	struct hitless_domain_cell thorough = *cell;
	struct hitless_report whole;

	thorough.thorough = true;
	whole = check(&thorough);
	/* In what is violated neither has seen all. */
	if (whole.verdict == HITLESS_PROVED)
		assert_int_equal(report->mapper_lists, whole.mapper_lists);
	if (whole.verdict != report->verdict || (whole.verdict == HITLESS_PROVED && whole.places < report->places))
		fail_msg("%s, %s: %s in %llu places, %s in %llu", cell->arch, report->mutant, hitless_verdict_name(report->verdict),
			 (unsigned long long)report->places, hitless_verdict_name(whole.verdict), (unsigned long long)whole.places);
	hitless_report_free(&whole);
}

static void test_every_place(void **state)
{
	static const unsigned mappers[] = { HITLESS_MAPPER_OLD, HITLESS_MAPPER_NEW_TABLE };

	(void)state;
	for (unsigned a = 0; a < sizeof(archs) / sizeof(archs[0]); a++) {
		for (unsigned i = 0; i < 2 * sizeof(faults) / sizeof(faults[0]); i++) {
			struct hitless_domain_cell cell = cell_of(archs[a], &s2, &s2, 1);
			struct hitless_report report;

			if (left_out())
				continue;
			cell.mapper = mappers[i % 2];
			cell.fault = i < 2 ? NULL : &faults[i / 2 - 1];
			report = check(&cell);
			same_at_every_place(&cell, &report);
			hitless_report_free(&report);
		}
	}
}

/* Damaged sequences: none is overlooked but those whose reason is known. */
static void test_mutants(void **state)
{
	struct hitless_domain_cell cell = cell_of("vtd-legacy", &s2, &s2, 2);
	unsigned caught = 0, n = 0;

	(void)state;
	cell.mapper = HITLESS_MAPPER_NONE;
	for (cell.mutant = 1;; cell.mutant++, n++) {
		struct hitless_report report;
		char detail[200];
		int err = hitless_check_domain(&cell, &report);

		if (err == -2)
			break;
		assert_int_equal(err, 0);
		assert_int_not_equal(report.verdict, HITLESS_BOUNDED);
		same_at_every_place(&cell, &report);
		if (report.verdict == HITLESS_VIOLATED) {
			caught++;
			/* What never gets to its end has no run to show. */
			assert_true(report.replay || report.violation == HITLESS_STUCK);
			if (report.replay)
				assert_int_equal(hitless_replay(report.replay, NULL, NULL, NULL, detail, sizeof(detail)),
						 report.violation);
		} else if (!strstr(report.mutant, "command 4 of") && !strstr(report.mutant, "swapped: command")) {
			/* The fence between IOTLB and device TLB, and what moves across it: docs/explorer.md, "Mutants". */
			fail_msg("not caught: %s", report.mutant);
		}
		hitless_report_free(&report);
	}
	assert_true(n > 20 && caught * 4 > n * 3);
}

static void test_bad_cells(void **state)
{
	struct hitless_domain_cell cell = cell_of("vtd-legacy", &s1, &s2, 1);
	struct hitless_report report;
	char detail[200];

	(void)state;
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	cell = cell_of("nothing", &s2, &s2, 1);
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	cell = cell_of("vtd", &s2, &s2, 3);
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	cell = cell_of("riscv", &s2, &s2, 1);
	cell.quantum = 16;
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	cell = cell_of("amdvi", &s2, &s2, 1);
	cell.noncoherent = true;
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	cell = cell_of("vtd", &identity, &s2, 1);
	cell.mapper = HITLESS_MAPPER_OLD; /* nothing is mapped there */
	assert_int_equal(hitless_check_domain(&cell, &report), -22);
	assert_int_equal(hitless_replay("domain,vtd,16:B0", NULL, NULL, NULL, detail, sizeof(detail)), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proved),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_chains),
		cmocka_unit_test(test_stand_ins_tag),
		cmocka_unit_test(test_pasids),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_broken_unmap_in_parents),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_broken_unmap),
		cmocka_unit_test(test_not_restored),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_mutants),
		cmocka_unit_test(test_bad_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
