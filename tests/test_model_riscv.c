/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_model_riscv.c - the register-level model of the RISC-V IOMMU against the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/riscv_state.h"
#include "model_riscv.h"

#define DEV 0x0a1b2cu
#define DEV2 0x0a1b2du /* its neighbour in the leaf table */
#define IOVA 0x12345000ull
#define PHYS 0x00777000ull
#define PHYS2 0x00888000ull
#define R IOMMU_READ
#define W IOMMU_WRITE
#define X IOMMU_EXEC
#define P IOMMU_PRIV
#define S39 RISCV_S_SV39
#define G39 RISCV_G_SV39X4

static void open_with(struct box *box, uint64_t cap, uint64_t options, unsigned freedoms)
{
	struct iommu_model_config config = box_config();

	config.capabilities[0] = cap;
	config.capabilities[1] = options;
	config.freedoms = freedoms;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
}

static void open_box(struct box *box)
{
	open_with(box, 0, 0, ~0u);
}

static uint64_t caps(uint64_t set, uint64_t clear)
{
	return (riscv_model_default_capabilities() | set) & ~clear;
}

#define CAP(name) BITS(RISCV_CAP, name)

#define assert_done(request, to) \
	do { \
		struct iommu_request r_ = (request); \
		assert_int_equal(r_.reason, 0); \
		assert_int_equal(r_.state, IOMMU_REQUEST_DONE); \
		assert_int_equal(r_.phys, (to)); \
	} while (0)

#define assert_fault(request, why) \
	do { \
		struct iommu_request r_ = (request); \
		assert_int_equal(r_.state, IOMMU_REQUEST_FAULT); \
		assert_int_equal(r_.reason, (why)); \
	} while (0)

#define DONE(access, to) assert_done(go(&box, DEV, BOX_NO_PID, IOVA, access), to)
#define FAULT(access, why) assert_fault(go(&box, DEV, BOX_NO_PID, IOVA, access), why)

/* ---- Registers ---- */

static void registers(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	assert_int_equal(box_open(&box, &config), 0);
	assert_int_equal(reg64(&box, RISCV_REG_CAP), riscv_model_default_capabilities());
	assert_int_equal(reg64(&box, RISCV_REG_DDTP), 0);
	set64(&box, RISCV_REG_CAP, 0);
	assert_int_equal(reg64(&box, RISCV_REG_CAP), riscv_model_default_capabilities());
	/* Halves. */
	set32(&box, RISCV_REG_CQB + 4, 0x12);
	set32(&box, RISCV_REG_CQB, 0x34567405);
	assert_int_equal(reg64(&box, RISCV_REG_CQB), 0x1234567405ull);
	assert_int_equal(reg32(&box, RISCV_REG_CQB + 4), 0x12);
	/* Reserved bits read 0; an index keeps within its queue, even when that shrinks. */
	set64(&box, RISCV_REG_CQB, ~0ull);
	assert_int_equal(reg64(&box, RISCV_REG_CQB), BITS(RISCV_QUEUE_BASE, LOG2SZ) | BITS(RISCV_QUEUE_BASE, PPN));
	set32(&box, RISCV_REG_CQT, ~0u);
	assert_int_equal(reg32(&box, RISCV_REG_CQT), ~0u);
	set64(&box, RISCV_REG_CQB, 2);
	assert_int_equal(reg32(&box, RISCV_REG_CQT), 7);
	set32(&box, RISCV_REG_CQT, 9);
	assert_int_equal(reg32(&box, RISCV_REG_CQT), 1);
	set32(&box, RISCV_REG_CQH, 5);
	set32(&box, RISCV_REG_FQT, 5);
	set32(&box, RISCV_REG_PQT, 5);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 0);
	assert_int_equal(reg32(&box, RISCV_REG_FQT), 0);
	assert_int_equal(reg32(&box, RISCV_REG_PQT), 0);
	set32(&box, RISCV_REG_FCTL, ~0u);
	assert_int_equal(reg32(&box, RISCV_REG_FCTL), BITS(RISCV_FCTL, WSI));
	set64(&box, RISCV_REG_ICVEC, ~0ull);
	assert_int_equal(reg64(&box, RISCV_REG_ICVEC), 0xffff);
	set64(&box, RISCV_REG_MSI_ADDR + 16 * 15, ~0ull);
	assert_int_equal(reg64(&box, RISCV_REG_MSI_ADDR + 16 * 15), BITS(RISCV_MSI_ADDR, ADDR));
	set32(&box, RISCV_REG_MSI_CTL + 16 * 3, ~0u);
	assert_int_equal(reg32(&box, RISCV_REG_MSI_CTL + 16 * 3), 1);
	assert_int_equal(reg32(&box, RISCV_REG_MSI_DATA + 16 * 3), 0);
	set64(&box, RISCV_REG_QOSID, ~0ull);
	assert_int_equal(reg64(&box, RISCV_REG_QOSID), 0);
	/* What isn't there. */
	set64(&box, 0xff8, ~0ull);
	assert_int_equal(iommu_model_read(&box.model, 0xff8, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, ~7ull, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, 0x11, 8), 0);
	box_close(&box);

	/* Optional registers. */
	config.capabilities[0] = caps(CAP(QOSID), CAP(ATS) | CAP(HPM) | CAP(DBG) | CAP(IGS)) | (uint64_t)RISCV_IGS_WSI << 28;
	assert_int_equal(box_open(&box, &config), 0);
	set64(&box, RISCV_REG_PQB, ~0ull);
	set32(&box, RISCV_REG_PQCSR, 3);
	set32(&box, RISCV_REG_IOCOUNTINH, 3);
	set64(&box, RISCV_REG_IOHPMCTR, 3);
	set64(&box, RISCV_REG_TR_REQ_CTL, 3);
	set64(&box, RISCV_REG_MSI_ADDR, 4);
	ticks(&box);
	assert_int_equal(reg64(&box, RISCV_REG_PQB) | reg32(&box, RISCV_REG_PQCSR) | reg32(&box, RISCV_REG_IOCOUNTINH) |
			 reg64(&box, RISCV_REG_IOHPMCTR) | reg64(&box, RISCV_REG_TR_REQ_CTL) | reg64(&box, RISCV_REG_MSI_ADDR), 0);
	assert_int_equal(reg32(&box, RISCV_REG_FCTL), BITS(RISCV_FCTL, WSI));
	set64(&box, RISCV_REG_QOSID, ~0ull);
	assert_int_equal(reg64(&box, RISCV_REG_QOSID), 0x0fff0fff);
	box_close(&box);
}

static void configurations(void **state)
{
	const uint64_t bad[] = { CAP(SV32), CAP(SV32X4), CAP(AMO_MRIF), CAP(MSI_MRIF), CAP(END), CAP(NL), CAP(S), CAP(CUSTOM) };
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.capabilities[0] = caps(bad[i], 0);
		assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	}
	config.capabilities[0] = caps(0, CAP(SV39));
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[0] = caps(CAP(T2GPA), CAP(ATS));
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[0] = caps(CAP(IGS), 0);
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[0] = caps(0, CAP(PAS)) | 57ull << 32;
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[0] = 0;
	config.capabilities[1] = RISCV_MODEL_OPTIONS + 1;
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[1] = 0;
	config.capabilities[2] = RISCV_BROKEN_ALL + 1;
	assert_int_equal(iommu_model_size(&riscv_model, &config), 0);
	config.capabilities[2] = 0;
	config.quantum = 4;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.quantum = 16;
	assert_int_equal(box_open(&box, &config), 0);
	box_close(&box);
}

static void any_register_any_value(void **state)
{
	struct box box;

	(void)state;
	for (unsigned offset = 0; offset < 1024; offset += 4) {
		for (unsigned value = 0; value < 3; value++) {
			open_box(&box);
			set32(&box, offset, value == 0 ? 0 : value == 1 ? ~0u : 0x5a5a5a5a);
			ticks(&box);
			go(&box, DEV, BOX_NO_PID, IOVA, W);
			box_close(&box);
		}
	}
}

/* ---- ddtp ---- */

static void modes(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	set32(&box, RISCV_REG_DDTP, RISCV_DDTP_OFF);
	assert_true(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	ticks(&box);
	assert_false(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	FAULT(R, RISCV_CAUSE_OFF);
	set_ddtp(&box, RISCV_DDTP_BARE);
	DONE(R | W, IOVA);
	assert_done(go(&box, ~0u, 5, ~0ull, R), ~0ull);
	assert_fault(go_kind(&box, DEV, BOX_NO_PID, IOVA, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_DISALLOWED);
	assert_fault(go_kind(&box, DEV, BOX_NO_PID, IOVA, R, IOMMU_REQUEST_TRANSLATED), RISCV_CAUSE_DISALLOWED);
	/* Modes that don't exist leave it as it is. */
	set_ddtp(&box, 5);
	assert_int_equal(reg64(&box, RISCV_REG_DDTP) & 15, RISCV_DDTP_BARE);
	box_close(&box);
}

static void directory_levels(void **state)
{
	const struct {
		uint64_t cap;
		unsigned levels, bits;
	} cases[] = { { 0, 1, 7 }, { 0, 2, 16 }, { 0, 3, 24 }, { CAP(MSI_FLAT), 1, 6 }, { CAP(MSI_FLAT), 2, 15 },
		      { CAP(MSI_FLAT), 3, 24 } };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		uint32_t last = (1u << cases[i].bits) - 1;

		open_with(&box, caps(cases[i].cap, 0), 0, ~0u);
		box.root = box_page(&box);
		box.levels = cases[i].levels;
		set_ddtp(&box, RISCV_DDTP_OFF);
		set_ddtp(&box, RISCV_DDTP_1LVL + cases[i].levels - 1);
		for (unsigned n = 0; n < 2; n++) {
			uint32_t device = n ? last : last / 3;

			assert_fault(go(&box, device, BOX_NO_PID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
			dc_set(&box, device, 0, 0, 0, 0, 0, 0, 0);
			assert_done(go(&box, device, BOX_NO_PID, IOVA, R), IOVA);
			assert_done(go(&box, device, BOX_NO_PID, IOVA, W), IOVA);
		}
		assert_fault(go(&box, last + 1, BOX_NO_PID, IOVA, R), RISCV_CAUSE_DISALLOWED);
		assert_fault(go(&box, 1u << 24, BOX_NO_PID, IOVA, R), RISCV_CAUSE_DISALLOWED);
		box_close(&box);
	}
}

static void directory_entries(void **state)
{
	struct box box;
	uint64_t *dc, *entry;

	(void)state;
	open_with(&box, 0, 0, 0); /* nothing is cached */
	dc = dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	for (unsigned level = 2; level > 0; level--) {
		entry = ddt_entry(&box, DEV, level);
		for (unsigned bit = 0; bit < 64; bit++) {
			uint64_t old = *entry;

			*entry ^= 1ull << bit;
			if (bit == 0)
				FAULT(R, RISCV_CAUSE_DDT_ABSENT);
			else if (bit < 10 || bit > 53)
				FAULT(R, RISCV_CAUSE_DDT_MISCONFIGURED);
			else
				assert_int_equal(go(&box, DEV, BOX_NO_PID, IOVA, R).state, IOMMU_REQUEST_FAULT);
			*entry = old;
		}
		box.hole = (uint64_t)(entry - box.ram) * 8;
		FAULT(R, RISCV_CAUSE_DDT_ACCESS);
		box.hole = 0;
	}
	box.hole = (uint64_t)(dc - box.ram) * 8;
	FAULT(R, RISCV_CAUSE_DDT_ACCESS);
	box.hole = 0;
	/* An address that the unit doesn't have. */
	DONE(R, IOVA);
	box_close(&box);
	open_with(&box, caps(0, CAP(PAS)) | 32ull << 32, 0, 0);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	entry = ddt_entry(&box, DEV, 1);
	SET(RISCV_DDTE, PPN, entry, 1ull << 20);
	FAULT(R, RISCV_CAUSE_DDT_ACCESS);
	box_close(&box);
}

/* 2.1.4. What happens to a good context if one bit of it is flipped; `any`: it stays good. */
static bool misconfigures(struct box *box, uint64_t *dc, unsigned bit)
{
	bool bad;

	dc[bit / 64] ^= 1ull << bit % 64;
	bad = go(box, DEV, BOX_NO_PID, IOVA, R).reason == RISCV_CAUSE_DDT_MISCONFIGURED;
	dc[bit / 64] ^= 1ull << bit % 64;
	return bad;
}

static void context_checks(void **state)
{
	struct box box;
	uint64_t *dc;

	(void)state;
	for (unsigned x = 0; x < 2; x++) {
		open_with(&box, caps(x ? CAP(MSI_FLAT) : 0, 0), 0, 0);
		dc = dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
		for (unsigned bit = 1; bit < (x ? 512u : 256u); bit++) {
			bool reserved;

			if (bit < 64) /* alone: EN_ATS, DTF, PDTV, GADE, SADE and the custom bits may be set */
				reserved = !(bit == 1 || bit == 4 || bit == 5 || bit == 7 || bit == 8 || (bit >= 24 && bit < 32));
			else if (bit < 128) /* of the modes' encodings only 0 and 8, 9, 10 are good */
				reserved = bit >= 124 && bit != 127;
			else if (bit < 192)
				reserved = bit < 140 || bit >= 160;
			else if (bit < 256)
				reserved = bit >= 236 && bit != 255;
			else if (bit < 320)
				reserved = bit >= 300 && bit != 316;
			else if (bit < 448)
				reserved = bit % 64 >= 52;
			else
				reserved = true;
			if (misconfigures(&box, dc, bit) != reserved)
				fail_msg("format %u, bit %u", x, bit);
		}
		dc[0] = 0;
		dc[3] = ~0ull;
		FAULT(R, RISCV_CAUSE_DDT_ABSENT);
		box_close(&box);
	}
}

#define EXPECT_DC(cap, tc, gm, groot, sm, why) \
	do { \
		open_with(&box, (cap), 0, 0); \
		dc_set(&box, DEV, (tc), (gm), (groot), 1, (sm), 0, 1); \
		if (why) \
			FAULT(R, RISCV_CAUSE_DDT_MISCONFIGURED); \
		else \
			assert_int_not_equal(go(&box, DEV, BOX_NO_PID, IOVA, R).reason, RISCV_CAUSE_DDT_MISCONFIGURED); \
		box_close(&box); \
	} while (0)

static void context_consistency(void **state)
{
	const uint64_t ats = DC_BIT(EN_ATS), pri = DC_BIT(EN_PRI);
	struct box box;

	(void)state;
	EXPECT_DC(0, ats, 0, 0, 0, 0);
	EXPECT_DC(caps(0, CAP(ATS)), ats, 0, 0, 0, 1);
	EXPECT_DC(0, ats | pri, 0, 0, 0, 0);
	EXPECT_DC(0, pri, 0, 0, 0, 1);
	EXPECT_DC(0, ats | pri | DC_BIT(PRPR), 0, 0, 0, 0);
	EXPECT_DC(0, ats | DC_BIT(PRPR), 0, 0, 0, 1);
	EXPECT_DC(0, ats | DC_BIT(T2GPA), 8, 0, 0, 1);
	EXPECT_DC(caps(CAP(T2GPA), 0), ats | DC_BIT(T2GPA), 8, 0, 0, 0);
	EXPECT_DC(caps(CAP(T2GPA), 0), ats | DC_BIT(T2GPA), 0, 0, 0, 1);
	EXPECT_DC(caps(CAP(T2GPA), 0), DC_BIT(T2GPA), 8, 0, 0, 1);
	/* Process directories. */
	EXPECT_DC(0, DC_BIT(PDTV), 0, 0, 1, 0);
	EXPECT_DC(0, DC_BIT(PDTV), 0, 0, 3, 0);
	EXPECT_DC(0, DC_BIT(PDTV), 0, 0, 4, 1);
	EXPECT_DC(0, DC_BIT(PDTV), 0, 0, 8, 1);
	EXPECT_DC(0, 0, 0, 0, 1, 1);
	EXPECT_DC(caps(0, CAP(PD8)), DC_BIT(PDTV), 0, 0, 1, 1);
	EXPECT_DC(caps(0, CAP(PD17)), DC_BIT(PDTV), 0, 0, 2, 1);
	EXPECT_DC(caps(0, CAP(PD20)), DC_BIT(PDTV), 0, 0, 3, 1);
	EXPECT_DC(0, DC_BIT(DPE), 0, 0, 0, 1);
	EXPECT_DC(0, DC_BIT(PDTV) | DC_BIT(DPE), 0, 0, 1, 0);
	/* Modes. */
	for (unsigned mode = 0; mode < 16; mode++) {
		bool good = mode == 0 || (mode >= 8 && mode <= 10);

		EXPECT_DC(0, 0, mode, 0, 0, !good);
		EXPECT_DC(0, 0, 0, 0, mode, !good);
	}
	EXPECT_DC(caps(0, CAP(SV57)), 0, 0, 0, 10, 1);
	EXPECT_DC(caps(0, CAP(SV57) | CAP(SV48)), 0, 0, 0, 9, 1);
	EXPECT_DC(caps(0, CAP(SV57) | CAP(SV48) | CAP(SV39)), 0, 0, 0, 8, 1);
	EXPECT_DC(caps(0, CAP(SV39X4)), 0, 8, 0, 0, 1);
	EXPECT_DC(caps(0, CAP(SV48X4)), 0, 9, 0, 0, 1);
	EXPECT_DC(caps(0, CAP(SV57X4)), 0, 10, 0, 0, 1);
	/* The second stage's root is aligned to 16 KiB; of a Bare one nobody cares. */
	EXPECT_DC(0, 0, 8, 0x5000, 0, 1);
	EXPECT_DC(0, 0, 8, 0x8000, 0, 0);
	EXPECT_DC(0, 0, 0, 0x5000, 0, 0);
	EXPECT_DC(caps(0, CAP(AMO_HWAD)), DC_BIT(SADE), 0, 0, 0, 1);
	EXPECT_DC(caps(0, CAP(AMO_HWAD)), DC_BIT(GADE), 0, 0, 0, 1);
	EXPECT_DC(0, DC_BIT(SADE) | DC_BIT(GADE), 0, 0, 0, 0);
	EXPECT_DC(0, DC_BIT(SBE), 0, 0, 0, 1);
	EXPECT_DC(0, DC_BIT(SXL), 0, 0, 0, 1);
	/* QoS ids. */
	open_with(&box, caps(CAP(QOSID), 0), 0, 0);
	uint64_t *dc = dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	SET(RISCV_DC, RCID, dc, 0xfff);
	SET(RISCV_DC, MCID, dc, 0xfff);
	DONE(R, IOVA);
	box_close(&box);
}

/* ---- First stage ---- */

static uint64_t simple_first(struct box *box, unsigned mode)
{
	uint64_t root = box_page(box);

	dc_set(box, DEV, 0, 0, 0, 0, mode, root, 7);
	return root;
}

static void first_stage_levels_and_pages(void **state)
{
	struct box box;

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		uint64_t sign, root;

		open_with(&box, 0, 0, 0);
		root = simple_first(&box, S39 + levels - 3);
		map_s(&box, root, levels, IOVA, PHYS);
		DONE(R, PHYS);
		assert_done(go(&box, DEV, BOX_NO_PID, IOVA + 0x123, R | W), PHYS + 0x123);
		assert_fault(go(&box, DEV, BOX_NO_PID, IOVA + PAGE, R), RISCV_CAUSE_PAGE_READ);
		/* The upper half. */
		sign = ~0ull << (12 + 9 * levels - 1);
		map_s(&box, root, levels, sign | 0x7000, PHYS2);
		assert_done(go(&box, DEV, BOX_NO_PID, sign | 0x7000, R), PHYS2);
		/* Not canonical. */
		assert_fault(go(&box, DEV, BOX_NO_PID, IOVA | 1ull << (12 + 9 * levels - 1), R), RISCV_CAUSE_PAGE_READ);
		assert_fault(go(&box, DEV, BOX_NO_PID, IOVA | 1ull << 63, W), RISCV_CAUSE_PAGE_WRITE);
		box_close(&box);
		/* Superpages of every level, aligned or not. */
		for (unsigned level = 2; level <= levels; level++) {
			uint64_t size = 1ull << (12 + 9 * (level - 1)), *entry;

			open_with(&box, 0, 0, 0);
			root = simple_first(&box, S39 + levels - 3);
			entry = pt_entry(&box, root, levels, false, 0, IOVA, level);
			*entry = pte(size, PTE_RW);
			struct iommu_request r = go(&box, DEV, BOX_NO_PID, IOVA + 1, W);
			assert_done(r, size | ((IOVA + 1) & (size - 1)));
			assert_int_equal(r.size, size);
			*entry = pte(size + PAGE, PTE_RW);
			FAULT(R, RISCV_CAUSE_PAGE_READ);
			*entry = pte(size + size / 2, PTE_RW);
			FAULT(R, RISCV_CAUSE_PAGE_READ);
			box_close(&box);
		}
	}
}

static void first_stage_entry_bits(void **state)
{
	struct box box;
	uint64_t root, *leaf, *table;

	(void)state;
	open_with(&box, 0, 0, 0);
	root = simple_first(&box, S39);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	table = pt_entry(&box, root, 3, false, 0, IOVA, 2);
	for (unsigned bit = 54; bit < 61; bit++) {
		*leaf ^= 1ull << bit;
		FAULT(R, RISCV_CAUSE_PAGE_READ);
		*leaf ^= 1ull << bit;
		*table ^= 1ull << bit;
		FAULT(R, RISCV_CAUSE_PAGE_READ);
		*table ^= 1ull << bit;
	}
	/* A pointer to a table has no A, D, U, PBMT, N; G and RSW may be set. */
	static const unsigned reserved[] = { 4, 6, 7, 61, 62, 63 };
	for (unsigned i = 0; i < 6; i++) {
		*table ^= 1ull << reserved[i];
		FAULT(W, RISCV_CAUSE_PAGE_WRITE);
		*table ^= 1ull << reserved[i];
	}
	*table |= PTE_G | 3ull << 8;
	*leaf |= 3ull << 8;
	DONE(R, PHYS);
	/* V; W without R is reserved; a pointer in the last level. */
	*leaf = pte(PHYS, PTE_RW & ~PTE_V);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	*leaf = pte(PHYS, PTE_RW & ~PTE_R);
	FAULT(W, RISCV_CAUSE_PAGE_WRITE);
	*leaf = pte(PHYS, (PTE_RW | PTE_X) & ~PTE_R);
	FAULT(X, RISCV_CAUSE_PAGE_EXECUTE);
	*leaf = pte(PHYS, PTE_V);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	/* Memory types. */
	for (uint64_t type = 1; type < 4; type++) {
		*leaf = pte(PHYS, PTE_RW | type << 61);
		if (type < 3)
			DONE(R, PHYS);
		else
			FAULT(R, RISCV_CAUSE_PAGE_READ);
	}
	/* Tables and pages that aren't there. */
	*leaf = pte(PHYS, PTE_RW);
	box.hole = (uint64_t)(leaf - box.ram) * 8;
	FAULT(R, RISCV_CAUSE_ACCESS_READ);
	FAULT(W, RISCV_CAUSE_ACCESS_WRITE);
	FAULT(X, RISCV_CAUSE_ACCESS_EXECUTE);
	box_close(&box);
	open_with(&box, caps(0, CAP(SVPBMT) | CAP(PAS)) | 40ull << 32, 0, 0);
	root = simple_first(&box, S39);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	*leaf |= 1ull << 61;
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	*leaf = pte(1ull << 40, PTE_RW);
	FAULT(R, RISCV_CAUSE_ACCESS_READ);
	box_close(&box);
}

static void napot(void **state)
{
	struct box box;
	uint64_t root, *leaf;

	(void)state;
	open_box(&box);
	root = simple_first(&box, S39);
	for (unsigned i = 0; i < 16; i++)
		*map_s(&box, root, 3, (IOVA & ~0xffffull) + i * PAGE, 0) = pte(0x700000 | 0x8000, PTE_RW | PTE_N);
	for (unsigned i = 0; i < 16; i++)
		assert_done(go(&box, DEV, BOX_NO_PID, (IOVA & ~0xffffull) + i * PAGE + 5, R), 0x700000 + i * PAGE + 5);
	/* All 16 go with one of them. */
	for (unsigned i = 0; i < 16; i++)
		*pt_entry(&box, root, 3, false, 0, (IOVA & ~0xffffull) + i * PAGE, 1) = 0;
	assert_done(go(&box, DEV, BOX_NO_PID, IOVA ^ 0x3000, R), 0x700000 | ((IOVA ^ 0x3000) & 0xffff));
	vma_page(&box, -1, 7, IOVA);
	for (unsigned i = 0; i < 16; i++)
		assert_fault(go(&box, DEV, BOX_NO_PID, (IOVA & ~0xffffull) + i * PAGE, R), RISCV_CAUSE_PAGE_READ);
	/* Only 64 KiB, only in the last level. */
	leaf = pt_entry(&box, root, 3, false, 0, IOVA, 1);
	for (unsigned low = 0; low < 16; low++) {
		*leaf = pte(0x700000 | low << 12, PTE_RW | PTE_N);
		if (low != 8)
			FAULT(R, RISCV_CAUSE_PAGE_READ);
	}
	*pt_entry(&box, root, 3, false, 0, IOVA, 2) = pte(0x200000 | 0x8000, PTE_RW | PTE_N);
	flush(&box);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	box_close(&box);
}

/* Every combination of R, W, X, U of the page with access, privilege, ENS and SUM. */
static void first_stage_permissions(void **state)
{
	struct box box;
	uint64_t root, pdt, *leaf, *pc;

	(void)state;
	open_with(&box, 0, 0, 0);
	root = box_page(&box);
	pdt = box_page(&box);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	dc_set(&box, DEV, DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	for (unsigned bits = 0; bits < 16; bits++) {
		uint64_t rights = (bits & 1 ? PTE_R : 0) | (bits & 2 ? PTE_W : 0) | (bits & 4 ? PTE_X : 0) | (bits & 8 ? PTE_U : 0);

		if (!(bits & 5) || ((bits & 2) && !(bits & 1)))
			continue;
		*leaf = pte(PHYS, PTE_V | PTE_A | PTE_D | rights);
		for (unsigned who = 0; who < 8; who++) {
			bool ens = who & 1, sum = who & 2, priv = who & 4;

			pc = pc_set(&box, pdt, 1, 3, (ens ? 2 : 0) | (sum ? 4 : 0), S39, root, 9);
			for (unsigned access = 1; access < 8; access++) {
				unsigned why = access & X ? RISCV_CAUSE_PAGE_EXECUTE : access & W ? RISCV_CAUSE_PAGE_WRITE :
					       RISCV_CAUSE_PAGE_READ;
				bool user = bits & 8;
				bool good = !(access & ~bits & 7);

				if (priv && !ens) {
					assert_fault(go(&box, DEV, 3, IOVA, access | P), RISCV_CAUSE_DISALLOWED);
					continue;
				}
				if (priv ? user && (!sum || (access & X)) : !user)
					good = false;
				if (good)
					assert_done(go(&box, DEV, 3, IOVA, access | (priv ? P : 0)), PHYS);
				else
					assert_fault(go(&box, DEV, 3, IOVA, access | (priv ? P : 0)), why);
			}
		}
	}
	(void)pc;
	/* Without a process id everybody is a user. */
	dc_set(&box, DEV, 0, 0, 0, 0, S39, root, 7);
	*leaf = pte(PHYS, PTE_RW & ~PTE_U);
	FAULT(R | P, RISCV_CAUSE_PAGE_READ);
	*leaf = pte(PHYS, PTE_RW);
	DONE(R | P, PHYS);
	box_close(&box);
}

static void first_stage_accessed_dirty(void **state)
{
	struct box box;
	uint64_t root, *leaf;

	(void)state;
	open_box(&box);
	root = simple_first(&box, S39);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	/* Software's: faults. */
	*leaf = pte(PHYS, PTE_RW & ~PTE_A);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	*leaf = pte(PHYS, PTE_RW & ~PTE_D);
	DONE(R, PHYS);
	FAULT(W, RISCV_CAUSE_PAGE_WRITE);
	FAULT(R | W, RISCV_CAUSE_PAGE_WRITE);
	box_close(&box);

	open_box(&box);
	root = simple_first(&box, S39);
	dc_at(&box, DEV)[0] |= DC_BIT(SADE);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	*leaf = pte(PHYS, PTE_RW & ~(PTE_A | PTE_D));
	DONE(R, PHYS);
	assert_int_equal(*leaf, pte(PHYS, PTE_RW & ~PTE_D));
	assert_int_equal(box.dirtied, 1);
	/* What is cached for reading doesn't let the first write pass by. */
	DONE(W, PHYS);
	assert_int_equal(*leaf, pte(PHYS, PTE_RW));
	/* It does know now; software that clears D has to say so. */
	*leaf &= ~PTE_D;
	DONE(W, PHYS);
	assert_false(*leaf & PTE_D);
	vma_page(&box, -1, 7, IOVA);
	DONE(W, PHYS);
	assert_true(*leaf & PTE_D);
	/* A faulting access leaves them alone. */
	*leaf = pte(PHYS, PTE_V | PTE_R | PTE_U);
	flush(&box);
	FAULT(W, RISCV_CAUSE_PAGE_WRITE);
	assert_int_equal(*leaf, pte(PHYS, PTE_V | PTE_R | PTE_U));
	/* Others may be faster: it looks again. */
	box.cas_failures = 3;
	DONE(R, PHYS);
	assert_int_equal(*leaf, pte(PHYS, PTE_V | PTE_R | PTE_U | PTE_A));
	*leaf = pte(PHYS, PTE_RW & ~PTE_A);
	flush(&box);
	box.cas_failures = 1000;
	FAULT(R, RISCV_CAUSE_ACCESS_READ);
	box_close(&box);
}

/* ---- Second stage ---- */

static uint64_t simple_second(struct box *box, unsigned mode, uint64_t tc)
{
	uint64_t root = box_root4(box);

	dc_set(box, DEV, tc, mode, root, 5, 0, 0, 0);
	return root;
}

static void second_stage(void **state)
{
	struct box box;
	uint64_t root, *leaf, record[4];

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		uint64_t top = 3ull << (12 + 9 * levels);

		open_with(&box, 0, 0, 0);
		root = simple_second(&box, G39 + levels - 3, 0);
		map_g(&box, root, levels, IOVA, PHYS);
		map_g(&box, root, levels, top | IOVA, PHYS2);
		DONE(R | W, PHYS);
		assert_done(go(&box, DEV, BOX_NO_PID, top | IOVA, R), PHYS2);
		assert_fault(go(&box, DEV, BOX_NO_PID, IOVA | 1ull << (14 + 9 * levels), R), RISCV_CAUSE_GUEST_READ);
		box_close(&box);
		for (unsigned level = 2; level <= levels; level++) {
			uint64_t size = 1ull << (12 + 9 * (level - 1));

			open_with(&box, 0, 0, 0);
			root = simple_second(&box, G39 + levels - 3, 0);
			*pt_entry(&box, root, levels, true, 0, IOVA, level) = pte(size, PTE_RW);
			struct iommu_request r = go(&box, DEV, BOX_NO_PID, IOVA + 1, W);
			assert_done(r, size | ((IOVA + 1) & (size - 1)));
			assert_int_equal(r.size, size);
			box_close(&box);
		}
	}
	open_with(&box, 0, 0, 0);
	root = simple_second(&box, G39, 0);
	leaf = map_g(&box, root, 3, IOVA, PHYS);
	/* U must be set; G is ignored. */
	*leaf = pte(PHYS, PTE_RW & ~PTE_U);
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	*leaf = pte(PHYS, PTE_RW | PTE_G);
	DONE(R, PHYS);
	*leaf = pte(PHYS, PTE_V | PTE_R | PTE_U | PTE_A | PTE_D);
	FAULT(W, RISCV_CAUSE_GUEST_WRITE);
	FAULT(X, RISCV_CAUSE_GUEST_EXECUTE);
	DONE(R, PHYS);
	set32(&box, RISCV_REG_FQH, reg32(&box, RISCV_REG_FQT));
	assert_fault(go(&box, DEV, BOX_NO_PID, IOVA + 0x123, W), RISCV_CAUSE_GUEST_WRITE);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, IOTVAL, record), IOVA + 0x123);
	assert_int_equal(GET(RISCV_FAULT, IOTVAL2, record), IOVA + 0x120);
	/* A and D. */
	*leaf = pte(PHYS, PTE_RW & ~PTE_A);
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	*leaf = pte(PHYS, PTE_RW & ~PTE_D);
	FAULT(W, RISCV_CAUSE_GUEST_WRITE);
	dc_at(&box, DEV)[0] |= DC_BIT(GADE);
	*leaf = pte(PHYS, PTE_RW & ~(PTE_A | PTE_D));
	DONE(R, PHYS);
	assert_int_equal(*leaf, pte(PHYS, PTE_RW & ~PTE_D));
	box.cas_failures = 2;
	DONE(W, PHYS);
	assert_int_equal(*leaf, pte(PHYS, PTE_RW));
	/* 64 KiB. */
	*leaf = pte(0x708000, PTE_RW | PTE_N);
	DONE(R, 0x700000 | (IOVA & 0xf000));
	box.hole = (uint64_t)(leaf - box.ram) * 8;
	FAULT(W, RISCV_CAUSE_ACCESS_WRITE);
	box_close(&box);
}

static void both_stages(void **state)
{
	const uint64_t guest = 0x40000000;
	struct box box;
	uint64_t g, s, *leaf, *gleaf, record[4], table;

	(void)state;
	open_with(&box, 0, 0, 0);
	box.guest = guest;
	g = box_root4(&box);
	s = box_page(&box);
	map_ram(&box, g, 3);
	dc_set(&box, DEV, 0, G39, g, 5, S39, s + guest, 7);
	leaf = map_s(&box, s, 3, IOVA, 0x80000000);
	gleaf = map_g(&box, g, 3, 0x80000000, PHYS);
	DONE(R | W | X, PHYS);
	/* The smaller page of the two, and what both allow. */
	*leaf = pte(0x80000000, PTE_V | PTE_R | PTE_U | PTE_A | PTE_D);
	FAULT(W, RISCV_CAUSE_PAGE_WRITE);
	*leaf = pte(0x80000000, PTE_RW);
	*gleaf = pte(PHYS, PTE_V | PTE_R | PTE_U | PTE_A | PTE_D);
	FAULT(W, RISCV_CAUSE_GUEST_WRITE);
	DONE(R, PHYS);
	*pt_entry(&box, s, 3, false, guest, IOVA, 2) = pte(0x80000000, PTE_RW);
	struct iommu_request r = go(&box, DEV, BOX_NO_PID, IOVA & ~0x1fffffull, R);
	assert_done(r, PHYS);
	assert_int_equal(r.size, PAGE);
	box_close(&box);

	/* Implicit accesses: what of them faults, and how that is told. */
	open_with(&box, 0, 0, 0);
	box.guest = guest;
	g = box_root4(&box);
	s = box_page(&box);
	map_ram(&box, g, 3);
	dc_set(&box, DEV, 0, G39, g, 5, S39, s + guest, 7);
	leaf = map_s(&box, s, 3, IOVA, 0x80000000);
	map_g(&box, g, 3, 0x80000000, PHYS);
	for (unsigned level = 1; level <= 3; level++) {
		table = (uint64_t)(pt_entry(&box, s, 3, false, guest, IOVA, level) - box.ram) * 8;
		gleaf = pt_entry(&box, g, 3, true, 0, guest + table, 1);
		*gleaf &= ~PTE_R & ~PTE_W;
		set32(&box, RISCV_REG_FQH, reg32(&box, RISCV_REG_FQT));
		FAULT(W, RISCV_CAUSE_GUEST_WRITE);
		assert_true(next_fault(&box, record));
		assert_int_equal(GET(RISCV_FAULT, CAUSE, record), RISCV_CAUSE_GUEST_WRITE);
		assert_int_equal(GET(RISCV_FAULT, IOTVAL, record), IOVA);
		assert_int_equal(GET(RISCV_FAULT, IOTVAL2, record), (guest + table) | 1);
		*gleaf |= PTE_R | PTE_W;
	}
	/* Reading a table that was never accessed; and setting A of a first-stage entry in a page that can't be written. */
	table = (uint64_t)(leaf - box.ram) * 8;
	gleaf = pt_entry(&box, g, 3, true, 0, guest + table, 1);
	*gleaf &= ~PTE_A;
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	*gleaf |= PTE_A;
	dc_at(&box, DEV)[0] |= DC_BIT(SADE);
	*leaf &= ~(PTE_A | PTE_D);
	*gleaf &= ~PTE_W;
	set32(&box, RISCV_REG_FQH, reg32(&box, RISCV_REG_FQT));
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, IOTVAL2, record), (guest + table) | 3);
	*gleaf |= PTE_W;
	*gleaf &= ~PTE_D;
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	dc_at(&box, DEV)[0] |= DC_BIT(GADE);
	DONE(R, PHYS);
	assert_true(*leaf & PTE_A);
	assert_false(*leaf & PTE_D);
	assert_true(*gleaf & PTE_D);
	/* Both stages mark on the way of one write, with others in between. */
	*leaf &= ~(PTE_A | PTE_D);
	*gleaf &= ~PTE_D;
	box.cas_failures = 5;
	DONE(W, PHYS);
	assert_true((*leaf & PTE_D) && (*gleaf & PTE_D));
	/* A first-stage page that the second stage can't address. */
	*leaf = pte(1ull << 41, PTE_RW);
	FAULT(R, RISCV_CAUSE_GUEST_READ);
	box_close(&box);
}

/* ---- Process directories ---- */

static void process_directories(void **state)
{
	static const unsigned bits[4] = { 0, 8, 17, 20 };
	struct box box;
	uint64_t root, pdt, *pc, *entry;

	(void)state;
	for (unsigned levels = 1; levels <= 3; levels++) {
		uint32_t pid = (1u << bits[levels]) - 3;

		open_with(&box, 0, 0, 0);
		root = box_page(&box);
		pdt = box_page(&box);
		map_s(&box, root, 3, IOVA, PHYS);
		dc_set(&box, DEV, DC_BIT(PDTV), 0, 0, 0, levels, pdt, 0);
		assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
		pc = pc_set(&box, pdt, levels, pid, 0, S39, root, 9);
		assert_done(go(&box, DEV, pid, IOVA, R), PHYS);
		assert_fault(go(&box, DEV, pid - 1, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
		assert_fault(go(&box, DEV, 1u << bits[levels], IOVA, R), RISCV_CAUSE_DISALLOWED);
		assert_fault(go(&box, DEV, 1u << 20, IOVA, R), RISCV_CAUSE_DISALLOWED);
		/* Reserved bits. */
		for (unsigned bit = 1; bit < 128; bit++) {
			bool reserved = bit < 64 ? (bit >= 3 && bit < 12) || bit >= 32 :
						   (bit >= 64 + 44 && bit < 124) || bit == 124 + 2 || bit == 127;

			if (bit > 124 && bit < 127) /* modes 10 and 12 */
				continue;
			if (bit == 124) /* mode 9 */
				continue;
			pc[bit / 64] ^= 1ull << bit % 64;
			if (bit == 127) /* mode 0 */
				assert_done(go(&box, DEV, pid, IOVA, R), IOVA);
			else
				assert_int_equal(go(&box, DEV, pid, IOVA, R).reason == RISCV_CAUSE_PDT_MISCONFIGURED, reserved);
			pc[bit / 64] ^= 1ull << bit % 64;
		}
		for (uint64_t mode = 0; mode < 16; mode++) {
			SET(RISCV_PC, FSC_MODE, pc, mode);
			assert_int_equal(go(&box, DEV, pid, IOVA, R).reason == RISCV_CAUSE_PDT_MISCONFIGURED,
					 mode && (mode < 8 || mode > 10));
		}
		SET(RISCV_PC, FSC_MODE, pc, S39);
		for (unsigned level = 1; level < levels; level++) {
			entry = pdt_entry(&box, pdt, levels, pid, level);
			for (unsigned bit = 1; bit < 64; bit++) {
				if (bit >= 10 && bit < 54)
					continue;
				*entry ^= 1ull << bit;
				assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_MISCONFIGURED);
				*entry ^= 1ull << bit;
			}
			*entry ^= 1;
			assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
			*entry ^= 1;
			box.hole = (uint64_t)(entry - box.ram) * 8;
			assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_ACCESS);
			box.hole = 0;
		}
		box.hole = (uint64_t)(pc - box.ram) * 8;
		assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_ACCESS);
		box.hole = 0;
		pc[0] = 0;
		assert_fault(go(&box, DEV, pid, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
		box_close(&box);
	}
}

static void process_ids(void **state)
{
	struct box box;
	uint64_t root, pdt;

	(void)state;
	open_with(&box, 0, 0, 0);
	root = box_page(&box);
	pdt = box_page(&box);
	map_s(&box, root, 3, IOVA, PHYS);
	/* No directory: no process ids. */
	dc_set(&box, DEV, 0, 0, 0, 0, S39, root, 7);
	assert_fault(go(&box, DEV, 0, IOVA, R), RISCV_CAUSE_DISALLOWED);
	/* Requests without one skip the first stage, or have the default. */
	dc_set(&box, DEV, DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	pc_set(&box, pdt, 1, 0, 0, S39, root, 9);
	DONE(R, IOVA);
	assert_done(go(&box, DEV, 0, IOVA, R), PHYS);
	dc_set(&box, DEV, DC_BIT(PDTV) | DC_BIT(DPE), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	DONE(R, PHYS);
	/* A Bare directory. */
	dc_set(&box, DEV, DC_BIT(PDTV) | DC_BIT(DPE), 0, 0, 0, RISCV_PDTP_BARE, pdt, 0);
	DONE(R, IOVA);
	assert_done(go(&box, DEV, 0x12345, IOVA, R), IOVA);
	box_close(&box);
}

static void guest_process_directory(void **state)
{
	const uint64_t guest = 0x40000000;
	struct box box;
	uint64_t g, s, pdt, record[4], table, *gleaf;

	(void)state;
	for (unsigned cached = 0; cached < 2; cached++) {
		open_with(&box, 0, 0, cached ? ~0u : 0);
		box.guest = guest;
		g = box_root4(&box);
		s = box_page(&box);
		pdt = box_page(&box);
		map_ram(&box, g, 3);
		map_g(&box, g, 3, 0x80000000, PHYS);
		map_s(&box, s, 3, IOVA, 0x80000000);
		dc_set(&box, DEV, DC_BIT(PDTV), G39, g, 5, RISCV_PDTP_PD20, pdt + guest, 0);
		pc_set(&box, pdt, 3, 0xabcde, 0, S39, s + guest, 9);
		assert_done(go(&box, DEV, 0xabcde, IOVA, W), PHYS);
		assert_done(go(&box, DEV, 0xabcde, IOVA, W), PHYS);
		for (unsigned level = 0; level < 3 && !cached; level++) {
			table = (uint64_t)(pdt_entry(&box, pdt, 3, 0xabcde, level) - box.ram) * 8;
			gleaf = pt_entry(&box, g, 3, true, 0, guest + table, 1);
			*gleaf &= ~PTE_V;
			set32(&box, RISCV_REG_FQH, reg32(&box, RISCV_REG_FQT));
			assert_fault(go(&box, DEV, 0xabcde, IOVA, W), RISCV_CAUSE_GUEST_WRITE);
			assert_true(next_fault(&box, record));
			assert_int_equal(GET(RISCV_FAULT, IOTVAL2, record), ((guest + table) & ~3ull) | 1);
			assert_int_equal(GET(RISCV_FAULT, PV, record), 1);
			assert_int_equal(GET(RISCV_FAULT, PID, record), 0xabcde);
			*gleaf |= PTE_V;
		}
		box_close(&box);
	}
}

/* ---- MSI page tables ---- */

static void msi_translation(void **state)
{
	struct box box;
	uint64_t g, table, *dc, *entry;

	(void)state;
	open_with(&box, caps(CAP(MSI_FLAT), 0), 0, ~0u);
	g = box_root4(&box);
	table = box_page(&box);
	dc = dc_set(&box, DEV, 0, G39, g, 5, 0, 0, 0);
	map_g(&box, g, 3, IOVA, PHYS);
	/* Files at pages that are IOVA's but for bits 0 and 4. */
	SET(RISCV_DCX, MSI_MODE, dc, RISCV_MSI_FLAT);
	SET(RISCV_DCX, MSI_PPN, dc, RISCV_PPN(table));
	SET(RISCV_DCX, MSI_MASK, dc, 0x11);
	SET(RISCV_DCX, MSI_PATTERN, dc, 0x28000);
	DONE(W, PHYS);
	entry = at(&box, table + 16 * 3);
	assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011000, W), RISCV_CAUSE_MSI_ABSENT);
	*entry = 1 | 3 << 1;
	SET(RISCV_MSIPTE, PPN, entry, RISCV_PPN(PHYS2));
	entry[1] = ~0ull; /* software's */
	assert_done(go(&box, DEV, BOX_NO_PID, 0x28011004, W), PHYS2 + 4);
	assert_done(go(&box, DEV, BOX_NO_PID, 0x28011004, R), PHYS2 + 4);
	assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, X), RISCV_CAUSE_ACCESS_EXECUTE);
	/* Cached with GSCID and guest page. */
	*entry = 0;
	gvma_page(&box, 6, 0x28011000);
	gvma_page(&box, 5, 0x28010000);
	vma(&box, 5, -1);
	assert_done(go(&box, DEV, BOX_NO_PID, 0x28011004, W), PHYS2 + 4);
	gvma_page(&box, 5, 0x28011000);
	assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, W), RISCV_CAUSE_MSI_ABSENT);
	for (uint64_t m = 0; m < 3; m++) {
		*entry = 1 | m << 1;
		assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, W), RISCV_CAUSE_MSI_MISCONFIGURED);
	}
	for (unsigned bit = 3; bit < 64; bit++) {
		if (bit >= 10 && bit < 54)
			continue;
		*entry = 1 | 3 << 1 | 1ull << bit;
		assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, W), RISCV_CAUSE_MSI_MISCONFIGURED);
	}
	box.hole = table;
	assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, W), RISCV_CAUSE_MSI_ACCESS);
	box.hole = 0;
	/* Without a second stage nothing is kept. */
	dc[1] = 0;
	inval_ddt(&box, DEV);
	*entry = 1 | 3 << 1;
	SET(RISCV_MSIPTE, PPN, entry, RISCV_PPN(PHYS2));
	assert_done(go(&box, DEV, BOX_NO_PID, 0x28011004, W), PHYS2 + 4);
	*entry = 0;
	assert_fault(go(&box, DEV, BOX_NO_PID, 0x28011004, W), RISCV_CAUSE_MSI_ABSENT);
	assert_done(go(&box, DEV, BOX_NO_PID, 0x28012004, W), 0x28012004);
	box_close(&box);
}
