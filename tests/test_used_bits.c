/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_used_bits.c - does the hardware look at just the bits that the layout says it looks at?
 *
 * The planner trusts the used-bits masks, and the model never reads them. So every bit of every kind of entry is flipped, and
 * the model is asked a few hundred questions: if any answer changes, the hardware looks at the bit. The mask derived like
 * that must be the layout's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>

#include "layout/vtd.h"

/* ---- A small world: RAM with a table of each kind ---- */

#define RAM (1u << 18)
#define ROOT 0x1000u
#define CONTEXTS 0x2000u
#define DIRECTORY 0x3000u
#define PASIDS 0x4000u
#define QUEUE 0x7000u
#define SS_ROOT 0x10000u
#define FS_ROOT 0x18000u
#define DID 0x0007u
#define RID 0x0008u

static _Alignas(4096) char ram[RAM], pristine[RAM];

static uint64_t *word(uint64_t addr)
{
	return (uint64_t *)(ram + addr);
}

static bool read64(void *ctx, uint64_t addr, uint64_t *value)
{
	(void)ctx;
	if (addr % 8 || addr > RAM - 8)
		return false;
	*value = *word(addr);
	return true;
}

static bool read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	(void)ctx;
	if (addr % 16 || addr > RAM - 16)
		return false;
	memcpy(value, word(addr), 16);
	return true;
}

static bool write32(void *ctx, uint64_t addr, uint32_t value)
{
	(void)ctx;
	if (addr % 4 || addr > RAM - 4)
		return false;
	memcpy(ram + addr, &value, 4);
	return true;
}

static bool write64(void *ctx, uint64_t addr, uint64_t value)
{
	(void)ctx;
	if (addr % 8 || addr > RAM - 8)
		return false;
	*word(addr) = value;
	return true;
}

static bool cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	uint64_t found = 0;

	if (!read64(ctx, addr, &found) || found != *expected) {
		*expected = found;
		return false;
	}
	*word(addr) = value;
	return true;
}

static const struct iommu_model_port port = {
	.read64 = read64, .read128 = read128, .write32 = write32, .write64 = write64, .cas64 = cas64,
};

/* Both stages map the first pages; a few of them with fewer rights. */
static void build_tables(void)
{
	memset(ram, 0, sizeof(ram));
	for (unsigned level = 0; level < 3; level++) {
		*word(SS_ROOT + level * 0x1000) = (SS_ROOT + (level + 1) * 0x1000) | 3;
		*word(FS_ROOT + level * 0x1000) = (FS_ROOT + (level + 1) * 0x1000) | 7;
	}
	for (unsigned page = 0; page < 256; page++)
		*word(SS_ROOT + 0x3000 + page * 8) = page * 0x1000u | 3;
	*word(SS_ROOT + 0x3000 + 5 * 8) = 0x5000 | 1;	/* read-only */
	*word(SS_ROOT + 0x3000 + 6 * 8) = 0;
	*word(FS_ROOT + 0x3000 + 0 * 8) = 0x20000 | 7;
	*word(FS_ROOT + 0x3000 + 1 * 8) = 0x21000 | 5;	/* read-only, user */
	*word(FS_ROOT + 0x3000 + 2 * 8) = 0x22000 | 3;	/* supervisor */
	*word(FS_ROOT + 0x3000 + 4 * 8) = 0x05000 | 7;
	*word(FS_ROOT + 0x3000 + 5 * 8) = 0x23000 | 1;	/* read-only, supervisor */
}

/* ---- The unit over it ---- */

static struct iommu_model model;
static void *state;

static void settle(void)
{
	while (iommu_model_tick(&model))
		;
}

static void command(uint32_t bits)
{
	uint32_t keep = (uint32_t)iommu_model_read(&model, VTD_REG_GSTS, 4) & ~BITS(VTD_GCMD, SRTP);

	iommu_model_write(&model, VTD_REG_GCMD, 4, keep | bits);
	settle();
}

static void power_on(bool scalable, unsigned freedoms)
{
	const struct iommu_model_config config = {
		.freedoms = freedoms, .quantum = 16, .lanes = 1, .entry_lines = 1, .pasid_lines = 1, .walk_lines = 1,
		.iotlb_lines = 4, .devtlb_lines = 1,
		.capabilities = { 0, vtd_model_default_ecap() | BITS(VTD_ECAP, NEST) },
	};
	size_t bytes = iommu_model_size(&vtd_model, &config);

	free(state);
	state = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_int_equal(iommu_model_init(&model, &vtd_model, &config, &port, state), 0);
	iommu_model_write(&model, VTD_REG_RTADDR, 8, ROOT | (scalable ? VTD_TTM_SCALABLE << 10 : 0));
	command(BITS(VTD_GCMD, SRTP));
	iommu_model_write(&model, VTD_REG_IQA, 8, QUEUE | (scalable ? 1u << 11 : 0));
	command(BITS(VTD_GCMD, QIE));
	command(BITS(VTD_GCMD, TE));
}

/* ---- Questions and answers ---- */

static const uint64_t addresses[] = {
	0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 1ull << 39, 1ull << 47, 1ull << 48, 0xffff800000000000ull,
};

#define NADDRESSES (sizeof(addresses) / sizeof(addresses[0]))
#define NQUESTIONS (NADDRESSES * 4 * 3 * 2)

struct answers {
	struct {
		uint32_t state, reason, rights, recorded;
		uint64_t phys;
	} each[NQUESTIONS];
	char memory[RAM];
	uint64_t after_flush[2];	/* where a page is once its tag was flushed and its entry changed */
};

static uint32_t recorded(void)
{
	uint64_t cap = iommu_model_read(&model, VTD_REG_CAP, 8), fsts = iommu_model_read(&model, VTD_REG_FSTS, 4);

	for (unsigned i = 0; i <= GET(VTD_CAP, NFR, &cap); i++)
		iommu_model_write(&model, GET(VTD_CAP, FRO, &cap) * 16 + i * 16 + 12, 4, 0x80000000u);
	return (uint32_t)GET(VTD_FSTS, PPF, &fsts);
}

static void ask(const bool scalable, struct answers *answers)
{
	unsigned n = 0;

	memset(answers, 0, sizeof(*answers));
	/* Nothing is cached: every question meets the entry itself. */
	power_on(scalable, 0);
	for (unsigned a = 0; a < NADDRESSES; a++)
		for (unsigned access = 0; access < 4; access++)
			for (unsigned kind = 0; kind < 3; kind++)
				for (unsigned pasid = 0; pasid < 2; pasid++, n++) {
					struct iommu_request request = {
						.rid = RID,
						.pasid = pasid ? 0 : IOMMU_NO_PASID,
						.addr = addresses[a],
						.access = (uint8_t)((access & 1 ? IOMMU_WRITE : IOMMU_READ) |
								    (access & 2 ? IOMMU_PRIV : 0)),
						.kind = (uint8_t)kind,
					};

					iommu_model_translate(&model, &request);
					iommu_model_end(&model, &request);
					answers->each[n].state = request.state;
					answers->each[n].recorded = recorded();
					if (request.state == IOMMU_REQUEST_DONE) {
						answers->each[n].phys = request.phys;
						answers->each[n].rights = request.rights;
					} else {
						answers->each[n].reason = request.reason;
					}
				}
	/* Accessed and dirty flags. */
	memcpy(answers->memory, ram, RAM);
}

/* Under which tag is it cached? Fill, change the page's entry, flush one tag, look again. */
static uint64_t ask_tag(bool scalable, uint64_t leaf, bool first_stage)
{
	struct iommu_request request = { .rid = RID, .pasid = IOMMU_NO_PASID, .access = IOMMU_READ };
	uint64_t flush[4] = { 0 };

	power_on(scalable, IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	*word(leaf) ^= 0x40000;
	SET(VTD_DESC_IOTLB, DID, flush, DID);
	if (first_stage) {
		SET(VTD_DESC_PIOTLB, TYPE, flush, VTD_DESC_PIOTLB);
		SET(VTD_DESC_PIOTLB, G, flush, VTD_PIOTLB_PASID);
	} else {
		SET(VTD_DESC_IOTLB, TYPE, flush, VTD_DESC_IOTLB);
		SET(VTD_DESC_IOTLB, G, flush, VTD_IOTLB_DOMAIN);
	}
	memcpy(word(QUEUE), flush, sizeof(flush));
	iommu_model_write(&model, VTD_REG_IQT, 8, scalable ? 32 : 16);
	settle();
	request = (struct iommu_request){ .rid = RID, .pasid = IOMMU_NO_PASID, .access = IOMMU_READ };
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	return request.state == IOMMU_REQUEST_DONE ? request.phys : UINT64_MAX;
}

/* ---- Flipping ---- */

struct kind {
	const char *name;
	const struct entry_format *format;
	bool scalable;
	uint64_t entry[8];
};

static void place(const struct kind *kind, const uint64_t *entry)
{
	uint64_t context[4] = { 0 };

	memcpy(ram, pristine, RAM);
	*word(ROOT) = CONTEXTS | 1;
	if (!kind->scalable) {
		memcpy(word(CONTEXTS + RID * 16), entry, 16);
		return;
	}
	SET(VTD_SMCONTEXT, P, context, 1);
	SET(VTD_SMCONTEXT, DTE, context, 1);
	SET(VTD_SMCONTEXT, PASIDE, context, 1);
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, context, DIRECTORY);
	memcpy(word(CONTEXTS + RID * 32), context, 32);
	*word(DIRECTORY) = PASIDS | 1;
	memcpy(word(PASIDS), entry, 64);
}

static void ask_all(const struct kind *kind, const uint64_t *entry, struct answers *answers)
{
	place(kind, entry);
	ask(kind->scalable, answers);
	place(kind, entry);
	answers->after_flush[0] = ask_tag(kind->scalable, SS_ROOT + 0x3000, false);
	place(kind, entry);
	answers->after_flush[1] = ask_tag(kind->scalable, FS_ROOT + 0x3000, true);
}

/* Same answers? The entry itself differs in memory, of course. */
static bool same(const struct kind *kind, struct answers *a, struct answers *b)
{
	unsigned at = kind->scalable ? PASIDS : CONTEXTS + RID * 16, bytes = kind->scalable ? 64 : 16;

	memset(a->memory + at, 0, bytes);
	memset(b->memory + at, 0, bytes);
	return memcmp(a, b, sizeof(*a)) == 0;
}

/*
 * Bits that the hardware may look at and no answer shows: how accesses and walks snoop the CPU's caches, which this memory doesn't
 * have; the tag of pass-through, which has no table, so nothing that could be stale; and the address width of pass-through, which
 * must be the largest that the unit supports (9.3), so a unit may check it: this one supports all of them, or doesn't care.
 */
static bool is_invisible(const struct kind *kind, unsigned bit)
{
	if (kind->scalable && (bit == VTD_PASID_PWSNP_LSB || bit == VTD_PASID_PGSNP_LSB))
		return true;
	if (strstr(kind->name, "pass-through")) {
		unsigned aw = kind->scalable ? VTD_PASID_AW_LSB : VTD_CONTEXT_AW_LSB;

		if (bit >= aw && bit < aw + VTD_PASID_AW_WIDTH)
			return true;
		if (kind->scalable)
			return bit >= VTD_PASID_DID_LSB && bit < VTD_PASID_DID_LSB + VTD_PASID_DID_WIDTH;
		return bit >= VTD_CONTEXT_DID_LSB && bit < VTD_CONTEXT_DID_LSB + VTD_CONTEXT_DID_WIDTH;
	}
	return false;
}

static void check_kind(const struct kind *kind)
{
	static struct answers before, after;
	unsigned bits = iommu_entry_words(kind->format) * 64, wrong = 0;
	uint64_t used[8] = { 0 };

	iommu_entry_used(kind->format, kind->entry, used);
	ask_all(kind, kind->entry, &before);
	for (unsigned bit = 0; bit < bits; bit++) {
		uint64_t entry[8];
		bool looked_at, said = used[bit / 64] >> bit % 64 & 1;

		memcpy(entry, kind->entry, sizeof(entry));
		entry[bit / 64] ^= 1ull << bit % 64;
		ask_all(kind, entry, &after);
		looked_at = !same(kind, &before, &after);
		if (said == looked_at || (said && is_invisible(kind, bit)))
			continue;
		/* A bit that is reserved in a valid entry is looked at, in order to reject it; the planner never sets it. */
		if (looked_at && !said) {
			bool rejected = true;

			/* (a translated request doesn't ask the PASID entry) */
			for (unsigned n = 0; n < NQUESTIONS; n++)
				rejected &= after.each[n].state == IOMMU_REQUEST_FAULT ||
					    memcmp(&after.each[n], &before.each[n], sizeof(after.each[n])) == 0;
			if (rejected)
				continue;
		}
		print_error("%s, bit %u: the layout says %s, the hardware %s\n", kind->name, bit, said ? "used" : "ignored",
			    looked_at ? "looks" : "doesn't look");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void context_kind(struct kind *kind, const char *name, unsigned tt)
{
	*kind = (struct kind){ .name = name, .format = &vtd_context_entry };
	SET(VTD_CONTEXT, P, kind->entry, 1);
	SET(VTD_CONTEXT, TT, kind->entry, tt);
	SET(VTD_CONTEXT, AW, kind->entry, VTD_AW_4_LEVEL);
	SET(VTD_CONTEXT, DID, kind->entry, DID);
	if (tt != VTD_TT_PASS)
		SET_ADDR(VTD_CONTEXT, SSPTPTR, kind->entry, SS_ROOT);
}

static void pasid_kind(struct kind *kind, const char *name, unsigned pgtt)
{
	*kind = (struct kind){ .name = name, .format = &vtd_pasid_entry, .scalable = true };
	SET(VTD_PASID, P, kind->entry, 1);
	SET(VTD_PASID, PGTT, kind->entry, pgtt);
	SET(VTD_PASID, DID, kind->entry, DID);
	if (pgtt != VTD_PGTT_FIRST)
		SET(VTD_PASID, AW, kind->entry, VTD_AW_4_LEVEL);
	if (pgtt == VTD_PGTT_SECOND || pgtt == VTD_PGTT_NESTED)
		SET_ADDR(VTD_PASID, SSPTPTR, kind->entry, SS_ROOT);
	if (pgtt == VTD_PGTT_FIRST || pgtt == VTD_PGTT_NESTED) {
		/* Without snooping, the walk could not set A and D. */
		SET(VTD_PASID, PWSNP, kind->entry, 1);
		SET_ADDR(VTD_PASID, FSPTPTR, kind->entry, FS_ROOT);
		SET(VTD_PASID, SRE, kind->entry, 1);
	}
}

static void test_context_entry(void **unused)
{
	struct kind kind;

	(void)unused;
	context_kind(&kind, "context entry, second stage", VTD_TT_UNTRANSLATED);
	check_kind(&kind);
	context_kind(&kind, "context entry, second stage with device TLB", VTD_TT_DEVTLB);
	check_kind(&kind);
	context_kind(&kind, "context entry, pass-through", VTD_TT_PASS);
	check_kind(&kind);
	kind = (struct kind){ .name = "context entry, absent", .format = &vtd_context_entry };
	check_kind(&kind);
}

static void test_pasid_entry(void **unused)
{
	struct kind kind;

	(void)unused;
	pasid_kind(&kind, "PASID entry, first stage", VTD_PGTT_FIRST);
	check_kind(&kind);
	pasid_kind(&kind, "PASID entry, second stage", VTD_PGTT_SECOND);
	check_kind(&kind);
	pasid_kind(&kind, "PASID entry, nested", VTD_PGTT_NESTED);
	check_kind(&kind);
	pasid_kind(&kind, "PASID entry, pass-through", VTD_PGTT_PASS);
	check_kind(&kind);
	kind = (struct kind){ .name = "PASID entry, absent", .format = &vtd_pasid_entry, .scalable = true };
	check_kind(&kind);
}

/* The questions are good enough: a mask with one bit too many or too few would be found. */
static void test_the_questions_tell_entries_apart(void **unused)
{
	static struct answers before, after;
	struct kind kind;
	unsigned done = 0;

	(void)unused;
	pasid_kind(&kind, "PASID entry, first stage", VTD_PGTT_FIRST);
	ask_all(&kind, kind.entry, &before);
	ask_all(&kind, kind.entry, &after);
	assert_true(same(&kind, &before, &after));
	for (unsigned n = 0; n < NQUESTIONS; n++)
		done += before.each[n].state == IOMMU_REQUEST_DONE;
	/* Some requests pass and some don't. */
	assert_in_range(done, 20, NQUESTIONS - 20);
	SET(VTD_PASID, WPE, kind.entry, 1);
	ask_all(&kind, kind.entry, &after);
	assert_false(same(&kind, &before, &after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_questions_tell_entries_apart),
		cmocka_unit_test(test_context_entry),
		cmocka_unit_test(test_pasid_entry),
	};
	int failed;

	build_tables();
	memcpy(pristine, ram, RAM);
	failed = cmocka_run_group_tests_name("used bits", tests, NULL, NULL);
	free(state);
	return failed;
}
