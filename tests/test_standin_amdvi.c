/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_standin_amdvi.c - chains of stand-ins: which pairs of device table entries have one with 64-bit stores, and that the planner takes
 * none that could mix two tables under a DomainID, or that has a hop of two words. What the chains are worth is for the explorer to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/amdvi.h>

#include "layout/amdvi.h"

#define TEMPORARY 9u

enum kind { IDENTITY, HOST_A, HOST_B, HOST_ONLY, GUEST_A, GUEST_5, GUEST_EXTERNAL, NESTED_A, NESTED_B, KINDS };

/* Each kind has a DomainID and, but for identity and nested, tables of its own. */
static void make(enum kind kind, uint64_t *entry)
{
	memset(entry, 0, IOMMU_ENTRY_WORDS * sizeof(*entry));
	SET(AMDVI_DTE, V, entry, 1);
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, I, entry, 1);
	SET(AMDVI_DTE, IV, entry, 1); /* a part of the interrupt half, which stays */
	SET(AMDVI_DTE, DOMAIN_ID, entry, 1 + kind);
	if ((kind >= HOST_A && kind <= HOST_ONLY) || kind >= NESTED_A) {
		SET(AMDVI_DTE, MODE, entry, 4);
		SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry, (kind >= NESTED_A ? kind - NESTED_A + HOST_A : kind) * 0x1000);
	}
	if (kind >= GUEST_A) {
		SET(AMDVI_DTE, GV, entry, 1);
		SET(AMDVI_DTE, GIOV, entry, 1);
		SET(AMDVI_DTE, GUEST_PAGING_MODE, entry, kind == GUEST_5 ? AMDVI_GPM_5_LEVEL : AMDVI_GPM_4_LEVEL);
		amdvi_dte_set_gcr3(entry, 0x80009000 + kind * 0x9000);
	}
}

static bool make_other(enum kind kind, const uint64_t *entry, uint64_t *other)
{
	if (kind == IDENTITY || kind == HOST_ONLY || kind >= GUEST_EXTERNAL)
		return false;
	amdvi_dte_other_kind(entry, 0x100000 + kind * 0x1000, kind == GUEST_5 ? 5 : 4, 0x200000 + kind * 0x1000, other);
	return true;
}

struct change {
	uint64_t before[IOMMU_ENTRY_WORDS], after[IOMMU_ENTRY_WORDS];
	uint64_t chain[IOMMU_MAX_STANDINS][IOMMU_ENTRY_WORDS];
	struct iommu_plan_request request;
};

static void set_up(struct change *c, enum kind from, enum kind to)
{
	uint64_t old[IOMMU_ENTRY_WORDS], new[IOMMU_ENTRY_WORDS];
	bool has_old, has_new;

	make(from, c->before);
	make(to, c->after);
	has_old = make_other(from, c->before, old);
	has_new = make_other(to, c->after, new);
	c->request = (struct iommu_plan_request){
		.format = &amdvi_dte,
		.before = c->before,
		.after = c->after,
		.quantum = 8,
		.facts = IOMMU_PLAN_ATS,
		.strategies = IOMMU_STRATEGY_ANY,
		.temporary_tag = TEMPORARY + KINDS,
		.chain = { c->chain[0], c->chain[1], c->chain[2] },
	};
	c->request.nchain = amdvi_dte_chain(c->before, c->after, has_old ? old : NULL, has_new ? new : NULL, c->request.temporary_tag,
					    c->chain);
}

static bool is_hitless(const struct change *c)
{
	struct iommu_plan plan = { 0 };

	assert_int_equal(iommu_plan(&c->request, &plan), 0);
	assert_int_equal(plan.hitless, plan.strategy != IOMMU_STRATEGY_BREAK);
	assert_int_equal(plan.hitless, plan.why == NULL);
	return plan.hitless;
}

/* Both of one kind of tables, and neither there in the other kind: then there is no way. */
static bool expected(enum kind from, enum kind to)
{
	static const bool guest[KINDS] = { [GUEST_A] = true, [GUEST_5] = true, [GUEST_EXTERNAL] = true };
	static const bool both[KINDS] = { [HOST_A] = true, [HOST_B] = true, [GUEST_A] = true, [GUEST_5] = true };

	if (from >= NESTED_A || to >= NESTED_A) {
		enum kind nested = from >= NESTED_A ? from : to, rest = from >= NESTED_A ? to : from;

		return rest == nested - NESTED_A + HOST_A;
	}
	return guest[from] != guest[to] || both[from] || both[to];
}

static void test_which_pairs(void **state)
{
	unsigned count = 0;

	(void)state;
	for (enum kind from = 0; from < KINDS; from++)
		for (enum kind to = 0; to < KINDS; to++) {
			struct change c;

			if (from == to)
				continue;
			set_up(&c, from, to);
			if (is_hitless(&c) != expected(from, to))
				print_error("%u -> %u\n", from, to);
			assert_int_equal(is_hitless(&c), expected(from, to));
			assert_int_equal(c.request.nchain != 0, expected(from, to));
			count += is_hitless(&c);
			/* Nothing of the interrupt half is lost on the way. */
			for (unsigned i = 0; i < c.request.nchain; i++)
				assert_int_equal(GET(AMDVI_DTE, IV, c.chain[i]), 1);
		}
	/* All of the first seven but identity and host tables that are only that; and to and from a parent. */
	assert_int_equal(count, 7 * 6 - 2 + 2 * 2);
}

/* Without a DomainID to borrow there is a way to the parent of a nested entry only. */
static void test_no_temporary_tag(void **state)
{
	uint64_t chain[IOMMU_MAX_STANDINS][IOMMU_ENTRY_WORDS];
	struct change c;

	(void)state;
	set_up(&c, HOST_A, GUEST_A);
	assert_int_equal(amdvi_dte_chain(c.before, c.after, NULL, NULL, 0, chain), 0);
	set_up(&c, NESTED_A, HOST_A);
	assert_int_equal(amdvi_dte_chain(c.before, c.after, NULL, NULL, 0, chain), 1);
}

/* What a driver might get wrong, the planner doesn't take. */
static void test_bad_chains(void **state)
{
	struct change c;

	(void)state;
	/* Host tables a under the DomainID of host tables b. */
	set_up(&c, HOST_A, HOST_B);
	assert_true(is_hitless(&c));
	memcpy(c.chain[1], c.before, sizeof(c.before));
	SET(AMDVI_DTE, DOMAIN_ID, c.chain[1], 1 + HOST_B);
	assert_false(is_hitless(&c));

	/* A DomainID that is both hops' own, with two host tables though not one after the other. */
	set_up(&c, HOST_A, HOST_B);
	for (unsigned i = 0; i < c.request.nchain; i++)
		SET(AMDVI_DTE, DOMAIN_ID, c.chain[i], 1 + HOST_A);
	assert_false(is_hitless(&c));

	/* Guest tables of four levels and of five, and of two GCR3 tables. */
	set_up(&c, HOST_A, GUEST_A);
	SET(AMDVI_DTE, DOMAIN_ID, c.chain[1], 1 + GUEST_A);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, c.chain[1], AMDVI_GPM_5_LEVEL);
	assert_false(is_hitless(&c));
	set_up(&c, HOST_A, GUEST_A);
	amdvi_dte_set_gcr3(c.chain[1], amdvi_dte_gcr3(c.chain[1]) ^ 0x8000);
	assert_true(is_hitless(&c)); /* under the borrowed one */
	SET(AMDVI_DTE, DOMAIN_ID, c.chain[1], 1 + GUEST_A);
	assert_false(is_hitless(&c));

	/* Without GIoV requests without PASID are on the host's side, which is another. */
	set_up(&c, HOST_A, GUEST_A);
	SET(AMDVI_DTE, GIOV, c.chain[1], 0);
	assert_false(is_hitless(&c));

	/* Two words at once. */
	set_up(&c, HOST_A, HOST_B);
	c.request.nchain = 2;
	assert_false(is_hitless(&c));

	/* An entry that blocks is no stand-in, and one that switches the device's TLB off is none for a device that has one. */
	set_up(&c, HOST_A, GUEST_A);
	SET(AMDVI_DTE, TV, c.chain[0], 0);
	assert_false(is_hitless(&c));
	set_up(&c, HOST_A, GUEST_A);
	SET(AMDVI_DTE, I, c.chain[0], 0);
	SET(AMDVI_DTE, I, c.chain[1], 0);
	assert_false(is_hitless(&c));
	c.request.facts = 0;
	assert_true(is_hitless(&c));

	/* Another parent's tables under a nested entry's DomainID. */
	set_up(&c, NESTED_A, HOST_A);
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, c.chain[0], 0x7000);
	assert_false(is_hitless(&c));
}

static void test_bad_requests(void **state)
{
	struct iommu_plan plan = { 0 };
	struct change c;

	(void)state;
	set_up(&c, HOST_A, GUEST_A);
	c.chain[0][0] |= 1ull << 2; /* reserved */
	assert_int_equal(iommu_plan(&c.request, &plan), -EINVAL);
	set_up(&c, HOST_A, GUEST_A);
	c.request.nchain = IOMMU_MAX_STANDINS + 1;
	assert_int_equal(iommu_plan(&c.request, &plan), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_pairs),
		cmocka_unit_test(test_no_temporary_tag),
		cmocka_unit_test(test_bad_chains),
		cmocka_unit_test(test_bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
