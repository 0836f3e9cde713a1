/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_used_bits_riscv.c - test_used_bits.c for the RISC-V device context and process context: does the hardware look at just the
 * bits that the layout says it looks at?
 *
 * Every bit of every kind of entry is flipped, and two models, one with all features and one with few, are asked a few hundred
 * questions: if any answer changes, the hardware looks at the bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>

#include "layout/riscv.h"

/* ---- A small world: RAM with a table of each kind ---- */

#define RAM (1u << 18)
#define DDT 0x1000u
#define PDT 0x3000u
#define QUEUE 0x7000u
#define FAULTS 0x8000u
#define MSIS 0x9000u
#define SS_ROOT 0x10000u	/* four pages */
#define FS_ROOT 0x18000u
#define MSI_PAGE 0x30u
#define GSCID 0x0007u
#define PSCID 0x0009u
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

/* Flags of a leaf: V R W X U G A D from bit 0. */
#define POINTER 0x01u
#define READ_WRITE 0xd7u
#define READ_ONLY 0xd3u
#define SUPERVISOR 0xc7u
#define UNTOUCHED 0x17u	/* A and D clear */

static uint64_t pte(uint64_t page, unsigned flags)
{
	return page << 10 | flags;
}

/* Both stages map the first pages (Sv39, Sv39x4); a few of them with fewer rights. */
static void build_tables(void)
{
	memset(ram, 0, sizeof(ram));
	*word(SS_ROOT) = pte(0x14, POINTER);
	*word(0x14000) = pte(0x15, POINTER);
	for (unsigned page = 0; page < 256; page++)
		*word(0x15000 + page * 8) = pte(page, READ_WRITE);
	*word(0x15000 + 5 * 8) = pte(5, READ_ONLY);
	*word(0x15000 + 6 * 8) = 0;
	*word(0x15000 + 10 * 8) = pte(10, UNTOUCHED);
	*word(FS_ROOT) = pte(0x19, POINTER);
	*word(0x19000) = pte(0x1a, POINTER);
	*word(0x1a000 + 0 * 8) = pte(0x20, READ_WRITE);
	*word(0x1a000 + 1 * 8) = pte(0x21, READ_ONLY);
	*word(0x1a000 + 2 * 8) = pte(0x22, SUPERVISOR);
	*word(0x1a000 + 3 * 8) = pte(0x23, UNTOUCHED);
	*word(0x1a000 + 4 * 8) = pte(5, READ_WRITE);
	*word(0x1a000 + 5 * 8) = pte(10, READ_WRITE);
	*word(0x1a000 + 6 * 8) = pte(MSI_PAGE, READ_WRITE);
	*word(0x1a000 + 7 * 8) = pte(0, READ_WRITE);
	/* Process 0 */
	SET(RISCV_PC, V, word(PDT), 1);
	SET(RISCV_PC, ENS, word(PDT), 1);
	SET(RISCV_PC, PSCID, word(PDT), PSCID);
	SET(RISCV_PC, FSC_MODE, word(PDT), RISCV_S_SV39);
	SET(RISCV_PC, FSC_PPN, word(PDT), RISCV_PPN(FS_ROOT));
	/* Interrupt file 0 */
	SET(RISCV_MSIPTE, V, word(MSIS), 1);
	SET(RISCV_MSIPTE, M, word(MSIS), RISCV_MSIPTE_M_BASIC);
	SET(RISCV_MSIPTE, PPN, word(MSIS), 0x25);
}

/* ---- The units over it ---- */

static struct iommu_model model;
static void *state;

static void settle(void)
{
	while (iommu_model_tick(&model))
		;
}

struct kind {
	const char *name;
	const struct entry_format *format;
	uint64_t entry[8];
};

static bool is_process(const struct kind *kind)
{
	return kind->format == &riscv_pc;
}

/* `poor`: what can be missing is missing. */
static void power_on(const struct kind *kind, bool poor, unsigned freedoms)
{
	uint64_t cap = riscv_model_default_capabilities(), ddtp = 0, base = 0;
	struct iommu_model_config config = {
		.freedoms = freedoms, .quantum = 8, .lanes = 1, .entry_lines = 1, .pasid_lines = 1, .walk_lines = 64,
		.iotlb_lines = 64, .devtlb_lines = 1,
	};
	size_t bytes;

	if (kind->format == &riscv_dc_extended)
		cap |= BITS(RISCV_CAP, MSI_FLAT);
	if (poor)
		cap &= ~(BITS(RISCV_CAP, ATS) | BITS(RISCV_CAP, T2GPA) | BITS(RISCV_CAP, AMO_HWAD) | BITS(RISCV_CAP, QOSID));
	else
		cap |= BITS(RISCV_CAP, T2GPA) | BITS(RISCV_CAP, QOSID);
	config.capabilities[0] = cap;
	bytes = iommu_model_size(&riscv_model, &config);
	free(state);
	state = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_int_equal(iommu_model_init(&model, &riscv_model, &config, &port, state), 0);
	SET(RISCV_QUEUE_BASE, LOG2SZ, &base, 7);
	SET(RISCV_QUEUE_BASE, PPN, &base, RISCV_PPN(QUEUE));
	iommu_model_write(&model, RISCV_REG_CQB, 8, base);
	iommu_model_write(&model, RISCV_REG_CQCSR, 4, 1);
	SET(RISCV_QUEUE_BASE, LOG2SZ, &base, 6);
	SET(RISCV_QUEUE_BASE, PPN, &base, RISCV_PPN(FAULTS));
	iommu_model_write(&model, RISCV_REG_FQB, 8, base);
	iommu_model_write(&model, RISCV_REG_FQCSR, 4, 1);
	SET(RISCV_DDTP, MODE, &ddtp, RISCV_DDTP_1LVL);
	SET(RISCV_DDTP, PPN, &ddtp, RISCV_PPN(DDT));
	iommu_model_write(&model, RISCV_REG_DDTP, 8, ddtp);
	settle();
}

/* ---- Questions and answers ---- */

static const uint64_t addresses[] = {
	0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0xa000, MSI_PAGE << 12, 1ull << 38, 1ull << 41, 1ull << 56,
	0xffffffc000000000ull,
};

#define NADDRESSES (sizeof(addresses) / sizeof(addresses[0]))
#define NQUESTIONS (NADDRESSES * 4 * 3 * 2)
#define NTAGS 3

struct answers {
	struct {
		uint32_t state, reason, rights, recorded;
		uint64_t phys;
	} each[2][NQUESTIONS];
	char memory[2][RAM];
	uint64_t after_flush[NTAGS];	/* where a page is once its tag was flushed and its entry changed */
};

static uint32_t recorded(void)
{
	uint32_t tail = (uint32_t)iommu_model_read(&model, RISCV_REG_FQT, 4);
	bool any = tail != iommu_model_read(&model, RISCV_REG_FQH, 4);

	iommu_model_write(&model, RISCV_REG_FQH, 4, tail);
	return any;
}

static size_t place_of(const struct kind *kind)
{
	return is_process(kind) ? PDT : DDT + RID * iommu_entry_words(kind->format) * 8;
}

static void place(const struct kind *kind, const uint64_t *entry)
{
	memcpy(ram, pristine, RAM);
	if (is_process(kind)) {
		uint64_t *dc = word(DDT + RID * 32);

		SET(RISCV_DC, V, dc, 1);
		SET(RISCV_DC, PDTV, dc, 1);
		SET(RISCV_DC, DPE, dc, 1);
		SET(RISCV_DC, FSC_MODE, dc, RISCV_PDTP_PD8);
		SET(RISCV_DC, FSC_PPN, dc, RISCV_PPN(PDT));
	}
	memcpy(word(place_of(kind)), entry, iommu_entry_words(kind->format) * 8);
}

static void ask(const struct kind *kind, bool poor, struct answers *answers)
{
	unsigned n = 0;

	/* Nothing is cached: every question meets the entry itself. */
	power_on(kind, poor, 0);
	for (unsigned a = 0; a < NADDRESSES; a++)
		for (unsigned access = 0; access < 4; access++)
			for (unsigned how = 0; how < 3; how++)
				for (unsigned pasid = 0; pasid < 2; pasid++, n++) {
					struct iommu_request request = {
						.rid = RID,
						.pasid = pasid ? 0 : IOMMU_NO_PASID,
						.addr = addresses[a],
						.access = (uint8_t)((access & 1 ? IOMMU_WRITE : IOMMU_READ) |
								    (access & 2 ? IOMMU_PRIV : 0)),
						.kind = (uint8_t)how,
					};

					iommu_model_translate(&model, &request);
					iommu_model_end(&model, &request);
					answers->each[poor][n].state = request.state;
					answers->each[poor][n].recorded = recorded();
					if (request.state == IOMMU_REQUEST_DONE) {
						answers->each[poor][n].phys = request.phys;
						answers->each[poor][n].rights = request.rights;
					} else {
						answers->each[poor][n].reason = request.reason;
					}
				}
	/* Accessed and dirty flags; the records of faults are not about the entry. */
	memcpy(answers->memory[poor], ram, RAM);
	memset(answers->memory[poor] + FAULTS, 0, 0x1000);
}

/* Under which tag is it cached? Fill, change the page's entries, flush one tag, look again. */
static uint64_t ask_tag(const struct kind *kind, unsigned which)
{
	const struct iommu_request question = { .rid = RID, .pasid = is_process(kind) ? 0 : IOMMU_NO_PASID, .access = IOMMU_READ };
	struct iommu_request request = question;
	uint64_t *flush = word(QUEUE);

	power_on(kind, false, IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	*word(which == 2 ? 0x15000 + (request.phys >> 12) * 8 : 0x1a000) ^= pte(8, 0);
	SET(RISCV_IOTINVAL, OPCODE, flush, RISCV_OP_IOTINVAL);
	if (which < 2) {
		SET(RISCV_IOTINVAL, PSCV, flush, 1);
		SET(RISCV_IOTINVAL, PSCID, flush, PSCID);
	} else {
		SET(RISCV_IOTINVAL, FUNC3, flush, RISCV_FUNC_IOTINVAL_GVMA);
	}
	if (which > 0) {
		SET(RISCV_IOTINVAL, GV, flush, 1);
		SET(RISCV_IOTINVAL, GSCID, flush, GSCID);
	}
	iommu_model_write(&model, RISCV_REG_CQT, 4, 1);
	settle();
	request = question;
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	return request.state == IOMMU_REQUEST_DONE ? request.phys : UINT64_MAX;
}

static void ask_all(const struct kind *kind, const uint64_t *entry, struct answers *answers)
{
	memset(answers, 0, sizeof(*answers));
	for (unsigned poor = 0; poor < 2; poor++) {
		place(kind, entry);
		ask(kind, poor, answers);
	}
	for (unsigned which = 0; which < NTAGS; which++) {
		place(kind, entry);
		answers->after_flush[which] = ask_tag(kind, which);
	}
}

/* Same answers? The entry itself differs in memory, of course. */
static bool same(const struct kind *kind, struct answers *a, struct answers *b)
{
	for (unsigned poor = 0; poor < 2; poor++) {
		memset(a->memory[poor] + place_of(kind), 0, iommu_entry_words(kind->format) * 8);
		memset(b->memory[poor] + place_of(kind), 0, iommu_entry_words(kind->format) * 8);
	}
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- Flipping ---- */

static bool within(unsigned bit, unsigned lsb, unsigned width)
{
	return bit >= lsb && bit < lsb + width;
}

/*
 * Bits that the hardware may look at and no answer shows: whether requests without process id have one where there is no first
 * stage anyway; whose pages a supervisor may use where there are none; a bit of the MSI mask shows only with an address of an interrupt
 * file that has it.
 */
static bool is_invisible(const struct kind *kind, unsigned bit)
{
	unsigned mode = riscv_dc_mode(kind->entry);

	if (is_process(kind))
		return bit == RISCV_PC_SUM_LSB && riscv_pc_mode(kind->entry) == RISCV_PC_MODE_BARE;
	if (bit == RISCV_DC_DPE_LSB)
		return mode == RISCV_DC_MODE_PROCESS_BARE || mode == RISCV_DC_MODE_NESTED_PROCESS_BARE;
	return kind->format == &riscv_dc_extended && within(bit, RISCV_DCX_MSI_MASK_LSB, RISCV_DCX_MSI_MASK_WIDTH);
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

			for (unsigned n = 0; n < 2 * NQUESTIONS; n++)
				rejected &= after.each[n / NQUESTIONS][n % NQUESTIONS].state == IOMMU_REQUEST_FAULT;
			if (rejected)
				continue;
		}
		print_error("%s, bit %u: the layout says %s, the hardware %s\n", kind->name, bit, said ? "used" : "ignored",
			    looked_at ? "looks" : "doesn't look");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* A device context of that mode. */
static void dc_kind(struct kind *kind, unsigned mode, bool extended, bool msi)
{
	static const char *const names[RISCV_DC_MODES] = {
		"not valid", "identity", "first stage", "process directory, Bare", "process directory", "second stage", "nested",
		"second stage, process directory Bare", "nested, process directory",
	};
	bool process = mode == RISCV_DC_MODE_PROCESS || mode == RISCV_DC_MODE_NESTED_PROCESS;
	bool bare = mode == RISCV_DC_MODE_PROCESS_BARE || mode == RISCV_DC_MODE_NESTED_PROCESS_BARE;
	uint64_t *entry = kind->entry;

	*kind = (struct kind){ .name = names[mode], .format = extended ? &riscv_dc_extended : &riscv_dc };
	if (mode == RISCV_DC_MODE_ABSENT)
		return;
	SET(RISCV_DC, V, entry, 1);
	SET(RISCV_DC, PDTV, entry, process || bare);
	if (process) {
		SET(RISCV_DC, FSC_MODE, entry, RISCV_PDTP_PD8);
		SET(RISCV_DC, FSC_PPN, entry, RISCV_PPN(PDT));
	} else if (mode == RISCV_DC_MODE_FIRST || mode == RISCV_DC_MODE_NESTED) {
		SET(RISCV_DC, PSCID, entry, PSCID);
		SET(RISCV_DC, FSC_MODE, entry, RISCV_S_SV39);
		SET(RISCV_DC, FSC_PPN, entry, RISCV_PPN(FS_ROOT));
	}
	if (mode >= RISCV_DC_MODE_SECOND) {
		SET(RISCV_DC, GSCID, entry, GSCID);
		SET(RISCV_DC, G_MODE, entry, RISCV_G_SV39X4);
		SET(RISCV_DC, G_PPN, entry, RISCV_PPN(SS_ROOT));
	}
	if (msi) {
		SET(RISCV_DCX, MSI_MODE, entry, RISCV_MSI_FLAT);
		SET(RISCV_DCX, MSI_PPN, entry, RISCV_PPN(MSIS));
		SET(RISCV_DCX, MSI_PATTERN, entry, MSI_PAGE);
	}
	assert_int_equal(riscv_dcx_mode(entry), mode + (msi ? RISCV_DC_MODE_MSI : 0));
}

static void test_base_format(void **unused)
{
	struct kind kind;

	(void)unused;
	for (unsigned mode = 0; mode < RISCV_DC_MODES; mode++) {
		dc_kind(&kind, mode, false, false);
		check_kind(&kind);
	}
}

static void test_extended_format(void **unused)
{
	struct kind kind;

	(void)unused;
	for (unsigned mode = 0; mode < RISCV_DC_MODES; mode++)
		for (unsigned msi = 0; msi < (mode ? 2 : 1); msi++) {
			dc_kind(&kind, mode, true, msi);
			check_kind(&kind);
		}
}

static void test_process_context(void **unused)
{
	struct kind kind = { .name = "process context, not valid", .format = &riscv_pc };

	(void)unused;
	check_kind(&kind);
	kind.name = "process context, Bare";
	SET(RISCV_PC, V, kind.entry, 1);
	check_kind(&kind);
	kind.name = "process context, first stage";
	SET(RISCV_PC, ENS, kind.entry, 1);
	SET(RISCV_PC, PSCID, kind.entry, PSCID);
	SET(RISCV_PC, FSC_MODE, kind.entry, RISCV_S_SV39);
	SET(RISCV_PC, FSC_PPN, kind.entry, RISCV_PPN(FS_ROOT));
	check_kind(&kind);
}

/* The questions are good enough: some requests pass and some don't. */
static void test_the_questions_tell_entries_apart(void **unused)
{
	static struct answers before, after;
	struct kind kind;
	unsigned done = 0;

	(void)unused;
	dc_kind(&kind, RISCV_DC_MODE_NESTED_PROCESS, false, false);
	ask_all(&kind, kind.entry, &before);
	ask_all(&kind, kind.entry, &after);
	assert_true(same(&kind, &before, &after));
	for (unsigned n = 0; n < NQUESTIONS; n++)
		done += before.each[0][n].state == IOMMU_REQUEST_DONE;
	assert_in_range(done, 20, NQUESTIONS - 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_questions_tell_entries_apart),
		cmocka_unit_test(test_base_format),
		cmocka_unit_test(test_extended_format),
		cmocka_unit_test(test_process_context),
	};
	int failed;

	build_tables();
	memcpy(pristine, ram, RAM);
	failed = cmocka_run_group_tests_name("used bits, riscv", tests, NULL, NULL);
	free(state);
	return failed;
}
