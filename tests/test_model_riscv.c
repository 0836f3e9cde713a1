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

#define DONE(access, to) assert_done(go(&box, DEV, BOX_NO_PASID, IOVA, access), to)
#define FAULT(access, why) assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA, access), why)

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
			go(&box, DEV, BOX_NO_PASID, IOVA, W);
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
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_DISALLOWED);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATED), RISCV_CAUSE_DISALLOWED);
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

			assert_fault(go(&box, device, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
			dc_set(&box, device, 0, 0, 0, 0, 0, 0, 0);
			assert_done(go(&box, device, BOX_NO_PASID, IOVA, R), IOVA);
			assert_done(go(&box, device, BOX_NO_PASID, IOVA, W), IOVA);
		}
		assert_fault(go(&box, last + 1, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DISALLOWED);
		assert_fault(go(&box, 1u << 24, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DISALLOWED);
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
				assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).state, IOMMU_REQUEST_FAULT);
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
	bad = go(box, DEV, BOX_NO_PASID, IOVA, R).reason == RISCV_CAUSE_DDT_MISCONFIGURED;
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
			assert_int_not_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, RISCV_CAUSE_DDT_MISCONFIGURED); \
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
		assert_done(go(&box, DEV, BOX_NO_PASID, IOVA + 0x123, R | W), PHYS + 0x123);
		assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA + PAGE, R), RISCV_CAUSE_PAGE_READ);
		/* The upper half. */
		sign = ~0ull << (12 + 9 * levels - 1);
		map_s(&box, root, levels, sign | 0x7000, PHYS2);
		assert_done(go(&box, DEV, BOX_NO_PASID, sign | 0x7000, R), PHYS2);
		/* Not canonical. */
		assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA | 1ull << (12 + 9 * levels - 1), R), RISCV_CAUSE_PAGE_READ);
		assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA | 1ull << 63, W), RISCV_CAUSE_PAGE_WRITE);
		box_close(&box);
		/* Superpages of every level, aligned or not. */
		for (unsigned level = 2; level <= levels; level++) {
			uint64_t size = 1ull << (12 + 9 * (level - 1)), *entry;

			open_with(&box, 0, 0, 0);
			root = simple_first(&box, S39 + levels - 3);
			entry = pt_entry(&box, root, levels, false, 0, IOVA, level);
			*entry = pte(size, PTE_RW);
			struct iommu_request r = go(&box, DEV, BOX_NO_PASID, IOVA + 1, W);
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
		assert_done(go(&box, DEV, BOX_NO_PASID, (IOVA & ~0xffffull) + i * PAGE + 5, R), 0x700000 + i * PAGE + 5);
	/* All 16 go with one of them. */
	for (unsigned i = 0; i < 16; i++)
		*pt_entry(&box, root, 3, false, 0, (IOVA & ~0xffffull) + i * PAGE, 1) = 0;
	assert_done(go(&box, DEV, BOX_NO_PASID, IOVA ^ 0x3000, R), 0x700000 | ((IOVA ^ 0x3000) & 0xffff));
	vma_page(&box, -1, 7, IOVA);
	for (unsigned i = 0; i < 16; i++)
		assert_fault(go(&box, DEV, BOX_NO_PASID, (IOVA & ~0xffffull) + i * PAGE, R), RISCV_CAUSE_PAGE_READ);
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
		assert_done(go(&box, DEV, BOX_NO_PASID, top | IOVA, R), PHYS2);
		assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA | 1ull << (14 + 9 * levels), R), RISCV_CAUSE_GUEST_READ);
		box_close(&box);
		for (unsigned level = 2; level <= levels; level++) {
			uint64_t size = 1ull << (12 + 9 * (level - 1));

			open_with(&box, 0, 0, 0);
			root = simple_second(&box, G39 + levels - 3, 0);
			*pt_entry(&box, root, levels, true, 0, IOVA, level) = pte(size, PTE_RW);
			struct iommu_request r = go(&box, DEV, BOX_NO_PASID, IOVA + 1, W);
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
	assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA + 0x123, W), RISCV_CAUSE_GUEST_WRITE);
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
	struct iommu_request r = go(&box, DEV, BOX_NO_PASID, IOVA & ~0x1fffffull, R);
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
	assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011000, W), RISCV_CAUSE_MSI_ABSENT);
	*entry = 1 | 3 << 1;
	SET(RISCV_MSIPTE, PPN, entry, RISCV_PPN(PHYS2));
	entry[1] = ~0ull; /* software's */
	assert_done(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), PHYS2 + 4);
	assert_done(go(&box, DEV, BOX_NO_PASID, 0x28011004, R), PHYS2 + 4);
	assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, X), RISCV_CAUSE_ACCESS_EXECUTE);
	/* Cached with GSCID and guest page. */
	*entry = 0;
	gvma_page(&box, 6, 0x28011000);
	gvma_page(&box, 5, 0x28010000);
	vma(&box, 5, -1);
	assert_done(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), PHYS2 + 4);
	gvma_page(&box, 5, 0x28011000);
	assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), RISCV_CAUSE_MSI_ABSENT);
	for (uint64_t m = 0; m < 3; m++) {
		*entry = 1 | m << 1;
		assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), RISCV_CAUSE_MSI_MISCONFIGURED);
	}
	for (unsigned bit = 3; bit < 64; bit++) {
		if (bit >= 10 && bit < 54)
			continue;
		*entry = 1 | 3 << 1 | 1ull << bit;
		assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), RISCV_CAUSE_MSI_MISCONFIGURED);
	}
	box.hole = table;
	assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), RISCV_CAUSE_MSI_ACCESS);
	box.hole = 0;
	/* Without a second stage nothing is kept. */
	dc[1] = 0;
	inval_ddt(&box, DEV);
	*entry = 1 | 3 << 1;
	SET(RISCV_MSIPTE, PPN, entry, RISCV_PPN(PHYS2));
	assert_done(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), PHYS2 + 4);
	*entry = 0;
	assert_fault(go(&box, DEV, BOX_NO_PASID, 0x28011004, W), RISCV_CAUSE_MSI_ABSENT);
	assert_done(go(&box, DEV, BOX_NO_PASID, 0x28012004, W), 0x28012004);
	box_close(&box);
}

/* ---- Faults (3.2) ---- */

static void fault_records(void **state)
{
	struct box box;
	uint64_t record[4], root, pdt;
	static const struct {
		unsigned access, kind, type;
	} types[] = { { X, 0, 1 }, { R, 0, 2 }, { W, 0, 3 }, { R | W, 0, 3 }, { X | R, 2, 5 }, { R, 2, 6 }, { W, 2, 7 }, { R, 1, 8 } };

	(void)state;
	open_box(&box);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_fault(go_kind(&box, DEV, 0x54321, IOVA + 5, types[i].access | (i & 1 ? P : 0), types[i].kind),
			     RISCV_CAUSE_DDT_ABSENT);
		assert_true(next_fault(&box, record));
		assert_int_equal(GET(RISCV_FAULT, CAUSE, record), RISCV_CAUSE_DDT_ABSENT);
		assert_int_equal(GET(RISCV_FAULT, TTYP, record), types[i].type);
		assert_int_equal(GET(RISCV_FAULT, DID, record), DEV);
		assert_int_equal(GET(RISCV_FAULT, PV, record), 1);
		assert_int_equal(GET(RISCV_FAULT, PID, record), 0x54321);
		assert_int_equal(GET(RISCV_FAULT, PRIV, record), i & 1);
		assert_int_equal(GET(RISCV_FAULT, IOTVAL, record), IOVA + 5);
		assert_int_equal(record[3], 0);
	}
	FAULT(R | P, RISCV_CAUSE_DDT_ABSENT);
	assert_true(next_fault(&box, record));
	assert_int_equal(record[0], RISCV_CAUSE_DDT_ABSENT | 2ull << 34 | (uint64_t)DEV << 40);
	/* DTF keeps quiet about what happens behind a context, not about the context, and the device still gets its error. */
	root = box_page(&box);
	dc_set(&box, DEV, DC_BIT(DTF), 0, 0, 0, S39, root, 7);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	assert_fault(go(&box, DEV, 5, IOVA, R), RISCV_CAUSE_DISALLOWED);
	assert_false(next_fault(&box, record));
	pdt = box_page(&box);
	dc_set(&box, DEV, DC_BIT(DTF) | DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	inval_ddt(&box, DEV);
	assert_fault(go(&box, DEV, 5, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
	assert_false(next_fault(&box, record));
	dc_set(&box, DEV, DC_BIT(DTF) | DC_BIT(DPE), 0, 0, 0, 0, 0, 0);
	inval_ddt(&box, DEV);
	FAULT(R, RISCV_CAUSE_DDT_MISCONFIGURED);
	assert_true(next_fault(&box, record));
	/* Without the queue there is no record. */
	set32(&box, RISCV_REG_FQCSR, 0);
	ticks(&box);
	FAULT(R, RISCV_CAUSE_DDT_MISCONFIGURED);
	assert_false(next_fault(&box, record));
	assert_string_equal(iommu_model_reason(&box.model, RISCV_CAUSE_DDT_MISCONFIGURED), "device directory entry misconfigured");
	assert_string_equal(iommu_model_reason(&box.model, 4095), "unknown");
	box_close(&box);
}

static void fault_queue(void **state)
{
	struct box box;
	uint64_t record[4];

	(void)state;
	open_box(&box);
	for (unsigned i = 0; i < FAULT_ENTRIES - 1; i++)
		assert_fault(go(&box, i, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
	assert_int_equal(reg32(&box, RISCV_REG_FQT), FAULT_ENTRIES - 1);
	assert_false(reg32(&box, RISCV_REG_FQCSR) & BITS(RISCV_FQCSR, FQOF));
	/* Full: what doesn't fit is lost, and so is all that follows until software has seen to it. */
	go(&box, 100, BOX_NO_PASID, IOVA, R);
	assert_true(reg32(&box, RISCV_REG_FQCSR) & BITS(RISCV_FQCSR, FQOF));
	for (unsigned i = 0; i < FAULT_ENTRIES - 1; i++) {
		assert_true(next_fault(&box, record));
		assert_int_equal(GET(RISCV_FAULT, DID, record), i);
	}
	go(&box, 101, BOX_NO_PASID, IOVA, R);
	assert_false(next_fault(&box, record));
	set32(&box, RISCV_REG_FQCSR, BITS(RISCV_FQCSR, FQEN) | BITS(RISCV_FQCSR, FQOF));
	go(&box, 102, BOX_NO_PASID, IOVA, R);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, DID, record), 102);
	/* A queue that can't be written. */
	box.hole = box.faults;
	go(&box, 103, BOX_NO_PASID, IOVA, R);
	assert_true(reg32(&box, RISCV_REG_FQCSR) & BITS(RISCV_FQCSR, FQMF));
	box.hole = 0;
	go(&box, 104, BOX_NO_PASID, IOVA, R);
	assert_false(next_fault(&box, record));
	/* Off and on: empty, and without errors. Its base can't be changed while it is on. */
	set64(&box, RISCV_REG_FQB, 0);
	assert_int_equal(reg64(&box, RISCV_REG_FQB), queue_base(box.faults, FAULT_ENTRIES));
	set32(&box, RISCV_REG_FQCSR, 0);
	assert_int_equal(reg32(&box, RISCV_REG_FQCSR) & (BITS(RISCV_FQCSR, BUSY) | BITS(RISCV_FQCSR, FQON)),
			 BITS(RISCV_FQCSR, BUSY) | BITS(RISCV_FQCSR, FQON));
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_FQCSR) & ~BITS(RISCV_FQCSR, FQMF), 0);
	set32(&box, RISCV_REG_FQH, 0);
	set32(&box, RISCV_REG_FQCSR, 1);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_FQCSR), 1 | BITS(RISCV_FQCSR, FQON));
	assert_int_equal(reg32(&box, RISCV_REG_FQT), 0);
	box_close(&box);
}

static void interrupts(void **state)
{
	struct box box;
	uint64_t bad[2] = { 0, 0 };

	(void)state;
	open_box(&box);
	set64(&box, RISCV_REG_ICVEC, 3 | 5 << 4);
	set64(&box, RISCV_REG_MSI_ADDR + 16 * 3, 0x28000000);
	set32(&box, RISCV_REG_MSI_DATA + 16 * 3, 33);
	set64(&box, RISCV_REG_MSI_ADDR + 16 * 5, 0x28001000);
	set32(&box, RISCV_REG_MSI_DATA + 16 * 5, 55);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR), 0);
	set32(&box, RISCV_REG_FQCSR, BITS(RISCV_FQCSR, FQEN) | BITS(RISCV_FQCSR, FIE));
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR), BITS(RISCV_IPSR, FIP));
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, 0x28001000);
	assert_int_equal(box.interrupt_data, 55);
	/* One message until software has cleared the bit. */
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_int_equal(box.interrupts, 1);
	set32(&box, RISCV_REG_IPSR, BITS(RISCV_IPSR, FIP));
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR), 0);
	/* Masked: later. */
	set32(&box, RISCV_REG_MSI_CTL + 16 * 5, 1);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_int_equal(box.interrupts, 1);
	set32(&box, RISCV_REG_MSI_CTL + 16 * 5, 0);
	assert_int_equal(box.interrupts, 2);
	set32(&box, RISCV_REG_MSI_CTL + 16 * 5, 0);
	assert_int_equal(box.interrupts, 2);
	/* The command queue's stand as long as their cause. */
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CIE));
	submit(&box, bad);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR) & 1, 1);
	assert_int_equal(box.interrupts, 3);
	assert_int_equal(box.interrupt_data, 33);
	set32(&box, RISCV_REG_IPSR, 1);
	ticks(&box);
	assert_int_equal(box.interrupts, 4);
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CMD_ILL));
	set32(&box, RISCV_REG_IPSR, 1);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR) & 1, 0);
	box_close(&box);

	/* Wires. */
	open_box(&box);
	set64(&box, RISCV_REG_ICVEC, 3 | 5 << 4);
	set32(&box, RISCV_REG_FCTL, BITS(RISCV_FCTL, WSI));
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CIE));
	uint64_t c[2] = { RISCV_OP_IOFENCE | BITS(RISCV_IOFENCE, WSI), 0 };
	submit(&box, c);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, FENCE_W_IP));
	assert_int_equal(box.interrupt_addr, RISCV_MODEL_WIRE);
	assert_int_equal(box.interrupt_data, 3);
	/* It goes on meanwhile. */
	finish_commands(&box);
	box_close(&box);
}

/* ---- The command queue (3.1) ---- */

static void expect_illegal(uint64_t cap, const uint64_t *c, bool illegal)
{
	struct box box;

	open_with(&box, cap, 0, ~0u);
	submit(&box, c);
	ticks(&box);
	if (!!(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CMD_ILL)) != illegal)
		fail_msg("%016llx %016llx", (unsigned long long)c[0], (unsigned long long)c[1]);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), illegal ? 0 : 1);
	box_close(&box);
}

#define LAID_OUT(S, words) LIST_BITS(S##_LIST, words)
#define LIST_BITS(LIST, words) \
	do { \
		uint64_t *used = (words); \
		LIST(S, LAYOUT_NAME_BITS) \
	} while (0)

static void illegal_commands(void **state)
{
	const struct {
		uint64_t word;
		unsigned list;
	} good[] = { { 1, 0 }, { 1 | 1 << 7, 0 }, { 2, 1 }, { 3, 2 }, { 3 | 1 << 7 | 1ull << 33, 2 }, { 4, 3 }, { 4 | 1 << 7, 4 } };

	(void)state;
	for (unsigned opcode = 0; opcode < 128; opcode++) {
		for (unsigned func = 0; func < 8; func++) {
			uint64_t c[2] = { opcode | func << 7, 0 };
			bool defined = opcode == 2 ? func == 0 : opcode && opcode < 5 && func < 2;

			if (opcode == 3 && func == 1)
				c[0] |= 1ull << 33;
			expect_illegal(0, c, !defined);
		}
	}
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t named[2] = { 0, 0 };

		if (good[i].list == 0)
			LAID_OUT(RISCV_IOTINVAL, named);
		else if (good[i].list == 1)
			LAID_OUT(RISCV_IOFENCE, named);
		else if (good[i].list == 2)
			LAID_OUT(RISCV_IODIR, named);
		else if (good[i].list == 3)
			LAID_OUT(RISCV_ATS_INVAL, named);
		else
			LAID_OUT(RISCV_ATS_PRGR, named);
		for (unsigned bit = 10; bit < 128; bit++) {
			uint64_t c[2] = { good[i].word, 0 };
			bool illegal = !(named[bit / 64] >> bit % 64 & 1);

			c[bit / 64] ^= 1ull << bit % 64;
			if (good[i].list == 0 && (bit == RISCV_IOTINVAL_NL_LSB || bit == RISCV_IOTINVAL_S_LSB))
				illegal = true; /* extensions */
			if (i == 1 && bit == RISCV_IOTINVAL_PSCV_LSB)
				illegal = true; /* GVMA */
			if (i == 2 && bit == RISCV_IOFENCE_WSI_LSB)
				illegal = true; /* fctl.WSI is 0 */
			if (i == 3 && bit >= RISCV_IODIR_PID_LSB && bit < RISCV_IODIR_PID_LSB + 20)
				illegal = true; /* of INVAL_DDT */
			if (i == 4 && bit == RISCV_IODIR_DV_LSB)
				illegal = true; /* INVAL_PDT needs it */
			expect_illegal(0, c, illegal);
		}
	}
	/* Without ATS; ids that are too wide. */
	uint64_t ats[2] = { 4, 0 }, pid[2] = { 3 | 1 << 7 | 1ull << 33 | 1 << 20, 0 };
	expect_illegal(caps(0, CAP(ATS)), ats, true);
	expect_illegal(caps(0, CAP(PD20) | CAP(PD17)), pid, true);
	expect_illegal(caps(0, CAP(PD20)), pid, false);
	struct box box;
	open_box(&box);
	set_ddtp(&box, RISCV_DDTP_OFF);
	set_ddtp(&box, RISCV_DDTP_1LVL);
	submit_iodir(&box, false, true, 0x7f, 0);
	submit_iodir(&box, false, true, 0x80, 0);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CMD_ILL));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 1);
	/* Cleared, it looks at the same place again. */
	memset(at(&box, box.commands + 16), 0, 16);
	*at(&box, box.commands + 16) = 3;
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CMD_ILL));
	finish_commands(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 3);
	box_close(&box);
}

static void queue_errors(void **state)
{
	struct box box;
	uint64_t c[2] = { RISCV_OP_IOFENCE | BITS(RISCV_IOFENCE, AV) | 0x77ull << 32, 0 };

	(void)state;
	/* A queue that can't be read. */
	open_box(&box);
	box.hole = box.commands;
	set32(&box, RISCV_REG_CQT, 1);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CQMF));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 0);
	box.hole = 0;
	*at(&box, box.commands) = 3;
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CQMF));
	finish_commands(&box);
	/* A word that can't be written: the fence isn't complete. */
	box.hole = box_page(&box);
	c[1] = box.hole >> 2;
	submit(&box, c);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CQMF));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 2);
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CQMF));
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CQMF));
	uint64_t hole = box.hole;
	box.hole = 0;
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CQMF));
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 3);
	assert_int_equal(*at(&box, hole), 0x77);
	/* The end of the queue. */
	for (unsigned i = 0; i < 3 * QUEUE_ENTRIES; i++)
		inval_ddt(&box, DEV);
	/* Off: a fence that waits is given up; on: from the start. */
	riscv_model_break(&box.model, RISCV_BROKEN_FENCE);
	fence_with(&box, true, true);
	ticks(&box);
	assert_false(fenced(&box));
	set32(&box, RISCV_REG_CQCSR, 0);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQCSR), 0);
	riscv_model_break(&box.model, 0);
	set32(&box, RISCV_REG_CQT, 0);
	set32(&box, RISCV_REG_CQCSR, 1);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 0);
	assert_int_equal(reg32(&box, RISCV_REG_CQCSR), 1 | BITS(RISCV_CQCSR, CQON));
	finish_commands(&box);
	box_close(&box);
}

static void broken_hardware(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	/* A device that doesn't answer: the fence says so, and doesn't complete. Commands without devices aren't concerned. */
	riscv_model_break(&box.model, RISCV_BROKEN_TIMEOUT);
	inval_ddt(&box, DEV);
	submit_ats(&box, DEV, BOX_NO_PASID, false, false, IOVA);
	fence_with(&box, true, true);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CMD_TO));
	assert_false(fenced(&box));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 3);
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CMD_TO));
	ticks(&box);
	assert_true(fenced(&box));
	riscv_model_break(&box.model, RISCV_BROKEN_FETCH);
	fence_with(&box, true, true);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQH), 4);
	riscv_model_break(&box.model, RISCV_BROKEN_FENCE);
	ticks(&box);
	assert_false(fenced(&box));
	riscv_model_break(&box.model, RISCV_BROKEN_ILLEGAL);
	ticks(&box);
	assert_true(fenced(&box));
	submit_iodir(&box, false, false, 0, 0);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CMD_ILL));
	riscv_model_break(&box.model, RISCV_BROKEN_MEMORY);
	set32(&box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN) | BITS(RISCV_CQCSR, CMD_ILL));
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, CQMF));
	riscv_model_break(&box.model, RISCV_BROKEN_BUSY);
	set32(&box, RISCV_REG_CQCSR, 0);
	set64(&box, RISCV_REG_DDTP, 0);
	ticks(&box);
	assert_true(reg32(&box, RISCV_REG_CQCSR) & BITS(RISCV_CQCSR, BUSY));
	assert_true(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	riscv_model_break(&box.model, 0);
	ticks(&box);
	assert_int_equal(reg32(&box, RISCV_REG_CQCSR) & 0x30000, 0);
	assert_int_equal(reg64(&box, RISCV_REG_DDTP) & 31, 0);
	box_close(&box);
}

/* ---- Caches and what removes what from them (2.9, 3.1.1, 3.1.3) ---- */

static void directory_caches(void **state)
{
	struct box box;
	uint64_t *entry, other[2], old;

	(void)state;
	open_box(&box);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	dc_set(&box, DEV2, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), IOVA);
	/* A context stays until it is invalidated, for that device. */
	dc_at(&box, DEV)[0] = 0;
	dc_at(&box, DEV2)[0] = 0;
	inval_ddt(&box, DEV ^ 0x100);
	vma(&box, -1, -1);
	gvma(&box, -1);
	DONE(R, IOVA);
	inval_ddt(&box, DEV);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), IOVA);
	/* What isn't valid isn't cached. */
	dc_at(&box, DEV)[0] = 1;
	DONE(R, IOVA);
	/* The leaf table is swapped: the non-leaf entry survives DV=1. */
	for (unsigned i = 0; i < 2; i++)
		other[i] = box_page(&box);
	entry = ddt_entry(&box, DEV, 1);
	old = *entry;
	SET(RISCV_DDTE, PPN, entry, RISCV_PPN(other[0]));
	inval_ddt(&box, DEV);
	inval_ddt(&box, DEV2);
	DONE(R, IOVA);
	assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
	inval_ddt_all(&box);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	*entry = old;
	inval_ddt_all(&box);
	DONE(R, IOVA);
	entry = ddt_entry(&box, DEV, 2);
	*entry = 0;
	assert_fault(go(&box, DEV2 ^ 0x200, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
	inval_ddt(&box, DEV);
	DONE(R, IOVA);
	inval_ddt_all(&box);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	/* The caches outlive Off and Bare. */
	box_close(&box);
	open_box(&box);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	dc_at(&box, DEV)[0] = 0;
	set_ddtp(&box, RISCV_DDTP_OFF);
	set_ddtp(&box, RISCV_DDTP_3LVL);
	DONE(R, IOVA);
	inval_ddt_all(&box);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	box_close(&box);
	/* The option. */
	open_with(&box, 0, RISCV_MODEL_CACHE_INVALID, ~0u);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	inval_ddt(&box, DEV);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT); /* a non-leaf one */
	inval_ddt_all(&box);
	DONE(R, IOVA);
	dc_at(&box, DEV)[0] = 0;
	inval_ddt(&box, DEV);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	dc_at(&box, DEV)[0] = 1;
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	inval_ddt(&box, DEV);
	DONE(R, IOVA);
	box_close(&box);
}

static void process_directory_cache(void **state)
{
	struct box box;
	uint64_t root, root2, pdt, *pc, *entry, table;

	(void)state;
	open_box(&box);
	root = box_page(&box);
	root2 = box_page(&box);
	pdt = box_page(&box);
	map_s(&box, root, 3, IOVA, PHYS);
	map_s(&box, root2, 3, IOVA, PHYS2);
	dc_set(&box, DEV, DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD17, pdt, 0);
	dc_set(&box, DEV2, DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD17, pdt, 0);
	pc = pc_set(&box, pdt, 2, 5, 0, S39, root, 9);
	pc_set(&box, pdt, 2, 6, 0, S39, root, 9);
	assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
	assert_done(go(&box, DEV2, 5, IOVA, R), PHYS);
	assert_done(go(&box, DEV, 6, IOVA, R), PHYS);
	SET(RISCV_PC, FSC_PPN, pc, RISCV_PPN(root2));
	vma(&box, -1, -1);
	inval_pdt(&box, DEV, 6);
	inval_pdt(&box, DEV2 ^ 8, 5);
	assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
	vma(&box, -1, 9);
	inval_pdt(&box, DEV, 5);
	assert_done(go(&box, DEV, 5, IOVA, R), PHYS2);
	vma(&box, -1, 9);
	assert_done(go(&box, DEV2, 5, IOVA, R), PHYS);
	vma(&box, -1, 9);
	/* INVAL_DDT of the device takes its process contexts along. */
	inval_ddt(&box, DEV2);
	assert_done(go(&box, DEV2, 5, IOVA, R), PHYS2);
	/* A non-leaf entry: INVAL_PDT isn't enough. */
	table = box_page(&box);
	entry = pdt_entry(&box, pdt, 2, 5, 1);
	SET(RISCV_PDTE, PPN, entry, RISCV_PPN(table));
	inval_pdt(&box, DEV, 5);
	assert_done(go(&box, DEV, 5, IOVA, R), PHYS2);
	inval_ddt(&box, DEV);
	assert_fault(go(&box, DEV, 5, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
	assert_done(go(&box, DEV2, 5, IOVA, R), PHYS2);
	inval_ddt_all(&box);
	assert_fault(go(&box, DEV2, 5, IOVA, R), RISCV_CAUSE_PDT_ABSENT);
	box_close(&box);
}

/* What 3.1.3's note says: pointers of contexts are kept translated, and IOTINVAL doesn't reach them. */
static void translated_pointers(void **state)
{
	const uint64_t guest = 0x40000000;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		bool none = i & 1, directory = i >= 2, leaf = i >= 4;
		struct box box;
		uint64_t g, s, pdt, from, to;

		open_with(&box, 0, none ? RISCV_MODEL_NO_POINTERS : 0, ~0u);
		box.guest = guest;
		g = box_root4(&box);
		s = box_page(&box);
		pdt = box_page(&box);
		map_ram(&box, g, 3);
		map_g(&box, g, 3, 0x80000000, PHYS);
		map_s(&box, s, 3, IOVA, 0x80000000);
		if (directory) {
			dc_set(&box, DEV, DC_BIT(PDTV) | DC_BIT(DPE), G39, g, 5, RISCV_PDTP_PD8, pdt + guest, 0);
			pc_set(&box, pdt, 1, 0, 0, S39, s + guest, 9);
		} else {
			dc_set(&box, DEV, 0, G39, g, 5, S39, s + guest, 9);
		}
		DONE(R, PHYS);
		/* The guest's page moves; the second stage knows, and what it has said is forgotten. */
		from = directory && !leaf ? pdt : s;
		to = box_page(&box);
		memcpy(at(&box, to), at(&box, from), PAGE);
		memset(at(&box, from), 0, PAGE);
		*pt_entry(&box, g, 3, true, 0, guest + from, 1) = pte(to, PTE_RW);
		submit_iotinval(&box, false, 5, -1, false, 0);
		submit_iotinval(&box, true, 5, -1, false, 0);
		finish_commands(&box);
		if (directory && !leaf)
			inval_pdt(&box, DEV, 0); /* so that the directory is looked at */
		if (none)
			DONE(R, PHYS);
		else
			assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).state, IOMMU_REQUEST_FAULT);
		if (leaf)
			inval_pdt(&box, DEV, 0);
		else
			inval_ddt(&box, DEV);
		DONE(R, PHYS);
		box_close(&box);
	}
}

/* Spaces: host and guest, two PSCIDs each, one page global; which survive an invalidation? */
static void iotinval_vma(void **state)
{
	/* devices 0, 1: host, PSCID 7, 8; 2, 3: GSCID 5, PSCID 7, 8; 4: GSCID 6, PSCID 7; pages: IOVA, the next, a global one */
	static const struct {
		int gscid, pscid;
		unsigned page;		/* 0: none */
		unsigned gone;		/* mask: 3 bits a device */
	} cases[] = {
		{ -1, -1, 0, 077 }, { -1, 7, 0, 03 }, { -1, 8, 0, 030 }, { -1, 9, 0, 0 },
		{ -1, -1, 1, 011 }, { -1, -1, 3, 044 }, { -1, 7, 1, 01 }, { -1, 7, 3, 0 }, { -1, 8, 2, 020 },
		{ 5, -1, 0, 07700 }, { 5, 7, 0, 0300 }, { 5, 8, 0, 03000 }, { 5, -1, 1, 01100 }, { 5, -1, 3, 04400 },
		{ 5, 7, 1, 0100 }, { 5, 8, 3, 0 }, { 6, -1, 0, 070000 }, { 6, 8, 0, 0 }, { 4, -1, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box box;
		uint64_t roots[5], g;

		open_box(&box);
		g = box_root4(&box);
		map_ram(&box, g, 3);
		for (unsigned d = 0; d < 5; d++) {
			roots[d] = box_page(&box);
			for (unsigned page = 0; page < 3; page++)
				*map_s(&box, roots[d], 3, IOVA + page * PAGE, 0) =
					pte(0x100000 + d * 0x10000 + page * PAGE, PTE_RW | (page == 2 ? PTE_G : 0));
			dc_set(&box, d, 0, d < 2 ? 0 : G39, g, d == 4 ? 6 : 5, S39, roots[d], d % 2 ? 8 : 7);
			for (unsigned page = 0; page < 2; page++)
				assert_int_equal(go(&box, d, BOX_NO_PASID, IOVA + page * PAGE, R).state, IOMMU_REQUEST_DONE);
			if (d % 2 == 0) /* global: one line for all that share the rest of the tag */
				assert_int_equal(go(&box, d, BOX_NO_PASID, IOVA + 2 * PAGE, R).state, IOMMU_REQUEST_DONE);
		}
		assert_done(go(&box, 1, BOX_NO_PASID, IOVA + 2 * PAGE, R), 0x102000);
		assert_done(go(&box, 3, BOX_NO_PASID, IOVA + 2 * PAGE, R), 0x122000);
		for (unsigned d = 0; d < 5; d++) {
			for (unsigned page = 0; page < 3; page++)
				*pt_entry(&box, roots[d], 3, false, 0, IOVA + page * PAGE, 1) = 0;
		}
		submit_iotinval(&box, false, cases[i].gscid, cases[i].pscid, cases[i].page != 0,
				cases[i].page ? IOVA + (cases[i].page - 1) * PAGE : 0);
		finish_commands(&box);
		for (unsigned d = 0; d < 5; d++) {
			for (unsigned page = 0; page < 3; page++) {
				bool gone = go(&box, d, BOX_NO_PASID, IOVA + page * PAGE, R).state == IOMMU_REQUEST_FAULT;

				if (gone != (cases[i].gone >> (3 * d + page) & 1))
					fail_msg("case %u, device %u, page %u", i, d, page);
			}
		}
		box_close(&box);
	}
}

static void iotinval_gvma(void **state)
{
	static const struct {
		int gscid;
		unsigned page;
		unsigned gone;	/* mask: 2 bits a device */
	} cases[] = { { -1, 0, 017 }, { -1, 1, 017 }, { 5, 0, 03 }, { 6, 0, 014 }, { 5, 1, 01 }, { 5, 2, 02 }, { 6, 2, 010 }, { 7, 0, 0 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box box;
		uint64_t g[2];

		open_box(&box);
		for (unsigned d = 0; d < 2; d++) {
			g[d] = box_root4(&box);
			map_g(&box, g[d], 3, IOVA, PHYS);
			map_g(&box, g[d], 3, IOVA + PAGE, PHYS2);
			dc_set(&box, d, 0, G39, g[d], 5 + d, 0, 0, 0);
			assert_done(go(&box, d, BOX_NO_PASID, IOVA, R), PHYS);
			assert_done(go(&box, d, BOX_NO_PASID, IOVA + PAGE, R), PHYS2);
			*pt_entry(&box, g[d], 3, true, 0, IOVA, 1) = 0;
			*pt_entry(&box, g[d], 3, true, 0, IOVA + PAGE, 1) = 0;
		}
		vma(&box, -1, -1);
		vma(&box, 5, -1);
		vma(&box, 6, -1);
		submit_iotinval(&box, true, cases[i].gscid, -1, cases[i].page != 0, cases[i].page ? IOVA + (cases[i].page - 1) * PAGE : 0);
		finish_commands(&box);
		for (unsigned d = 0; d < 2; d++) {
			for (unsigned page = 0; page < 2; page++)
				assert_int_equal(go(&box, d, BOX_NO_PASID, IOVA + page * PAGE, R).state == IOMMU_REQUEST_FAULT,
						 cases[i].gone >> (2 * d + page) & 1);
		}
		box_close(&box);
	}
}

static void table_pointers_are_cached(void **state)
{
	(void)state;
	for (unsigned second = 0; second < 2; second++) {
		struct box box;
		uint64_t root, *entry, other;

		open_box(&box);
		root = second ? box_root4(&box) : box_page(&box);
		if (second) {
			dc_set(&box, DEV, 0, G39, root, 5, 0, 0, 0);
			map_g(&box, root, 3, IOVA, PHYS);
		} else {
			dc_set(&box, DEV, 0, 0, 0, 0, S39, root, 7);
			map_s(&box, root, 3, IOVA, PHYS);
		}
		DONE(R, PHYS);
		/* The table is replaced: an invalidation with an address is for the leaf alone. */
		other = box_page(&box);
		entry = pt_entry(&box, root, 3, second, 0, IOVA, 2);
		*entry = pte(other, PTE_V);
		*at(&box, other + (IOVA >> 12 & 511) * 8) = pte(PHYS2, PTE_RW);
		if (second)
			gvma_page(&box, 5, IOVA);
		else
			vma_page(&box, -1, 7, IOVA);
		DONE(R, PHYS);
		if (second)
			gvma(&box, 5);
		else
			vma(&box, -1, 7);
		DONE(R, PHYS2);
		box_close(&box);
	}
}

static void tags_are_shared(void **state)
{
	struct box box;
	uint64_t a, b;

	(void)state;
	open_box(&box);
	/* The root is no part of a tag: two tables under one id are one cache. */
	a = box_page(&box);
	b = box_page(&box);
	map_s(&box, a, 3, IOVA, PHYS);
	map_s(&box, b, 3, IOVA, PHYS2);
	dc_set(&box, DEV, 0, 0, 0, 0, S39, a, 7);
	dc_set(&box, DEV2, 0, 0, 0, 0, S39, b, 7);
	DONE(R, PHYS);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS);
	vma(&box, -1, 7);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS2);
	DONE(R, PHYS2);
	/* The same PSCID in a guest is another. */
	uint64_t g = box_root4(&box);
	map_ram(&box, g, 3);
	map_g(&box, g, 3, PHYS, 0x123000);
	dc_set(&box, DEV, 0, G39, g, 5, S39, a, 7);
	inval_ddt(&box, DEV);
	DONE(R, 0x123000);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS2);
	/* Rights are the cached ones until they are invalidated, too. */
	*pt_entry(&box, b, 3, false, 0, IOVA, 1) = pte(PHYS2, PTE_V | PTE_R | PTE_U | PTE_A);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, W), PHYS2);
	vma_page(&box, -1, 7, IOVA);
	assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA, W), RISCV_CAUSE_PAGE_WRITE);
	box_close(&box);
}

static void large_pages(void **state)
{
	struct box box;
	uint64_t root, *entry;

	(void)state;
	open_box(&box);
	root = simple_first(&box, S39);
	entry = pt_entry(&box, root, 3, false, 0, IOVA, 2);
	*entry = pte(0x200000, PTE_RW);
	assert_done(go(&box, DEV, BOX_NO_PASID, IOVA, R), 0x200000 | (IOVA & 0x1fffff));
	*entry = 0;
	vma_page(&box, -1, 7, IOVA ^ 0x400000);
	assert_done(go(&box, DEV, BOX_NO_PASID, IOVA, R), 0x200000 | (IOVA & 0x1fffff));
	/* Any address within it. */
	vma_page(&box, -1, 7, IOVA ^ 0x100000);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	box_close(&box);
}

/* ---- ATS ---- */

static void ats(void **state)
{
	struct box box;
	uint64_t root, *leaf, record[4], phys = 0;
	uint32_t rights = 0;
	struct iommu_request r;

	(void)state;
	open_box(&box);
	root = box_root4(&box);
	leaf = map_g(&box, root, 3, IOVA, PHYS);
	dc_set(&box, DEV, 0, G39, root, 5, 0, 0, 0);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_DISALLOWED);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, PHYS, R, IOMMU_REQUEST_TRANSLATED), RISCV_CAUSE_DISALLOWED);
	dc_at(&box, DEV)[0] |= DC_BIT(EN_ATS);
	inval_ddt(&box, DEV);
	set32(&box, RISCV_REG_FQH, reg32(&box, RISCV_REG_FQT));
	r = request_of(DEV, BOX_NO_PASID, IOVA + 8, R, IOMMU_REQUEST_TRANSLATED);
	assert_false(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	r = go_kind(&box, DEV, BOX_NO_PASID, IOVA, R | W, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS);
	assert_int_equal(r.rights, R | W);
	r = request_of(DEV, BOX_NO_PASID, IOVA + 8, R | W, IOMMU_REQUEST_TRANSLATED);
	assert_true(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	assert_int_equal(phys, PHYS + 8);
	assert_done(go_kind(&box, DEV, BOX_NO_PASID, phys, R | W, IOMMU_REQUEST_TRANSLATED), PHYS + 8);
	/* It outlives the IOATC, and goes with ATS.INVAL of the device and page. */
	*leaf = pte(PHYS2, PTE_V | PTE_R | PTE_U | PTE_A);
	gvma(&box, 5);
	submit_ats(&box, DEV2, BOX_NO_PASID, false, false, IOVA);
	submit_ats(&box, DEV, 5, false, false, IOVA);
	submit_ats(&box, DEV & 0xffff, BOX_NO_PASID, false, false, IOVA);
	submit_ats(&box, DEV, BOX_NO_PASID, false, false, IOVA + PAGE);
	finish_commands(&box);
	assert_true(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	submit_ats(&box, DEV, BOX_NO_PASID, false, true, IOVA | 0x3000);
	finish_commands(&box);
	assert_false(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	/* What is missing of the rights is left out; nothing at all, and page faults, are answers, not faults to report. */
	r = go_kind(&box, DEV, BOX_NO_PASID, IOVA, R | W, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS2);
	assert_int_equal(r.rights, R);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, W, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_GUEST_WRITE);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA + PAGE, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_GUEST_READ);
	assert_false(next_fault(&box, record));
	/* D: without hardware's help a writable page that is clean is for reading. */
	*leaf = pte(PHYS2, PTE_V | PTE_R | PTE_W | PTE_U | PTE_A);
	flush(&box);
	r = go_kind(&box, DEV, BOX_NO_PASID, IOVA, R | W, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS2);
	assert_int_equal(r.rights, R);
	dc_at(&box, DEV)[0] |= DC_BIT(GADE);
	flush(&box);
	r = go_kind(&box, DEV, BOX_NO_PASID, IOVA, R | W, IOMMU_REQUEST_TRANSLATION);
	assert_int_equal(r.rights, R | W);
	assert_true(*leaf & PTE_D);
	/* Others are reported. */
	dc_at(&box, DEV)[0] = 0;
	inval_ddt(&box, DEV);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_DDT_ABSENT);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, TTYP, record), RISCV_TTYP_ATS);
	box_close(&box);
}

static void ats_with_processes(void **state)
{
	struct box box;
	uint64_t root, pdt, phys;
	uint32_t rights;
	struct iommu_request r;

	(void)state;
	open_box(&box);
	root = box_page(&box);
	pdt = box_page(&box);
	*map_s(&box, root, 3, IOVA, PHYS) |= PTE_X;
	dc_set(&box, DEV, DC_BIT(PDTV) | DC_BIT(EN_ATS), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	for (uint32_t pid = 1; pid < 4; pid++) {
		pc_set(&box, pdt, 1, pid, 0, S39, root, 9);
		r = go_kind(&box, DEV, pid, IOVA, R | X, IOMMU_REQUEST_TRANSLATION);
		assert_done(r, PHYS);
		assert_int_equal(r.rights & X, X);
	}
	assert_fault(go_kind(&box, DEV, 4, IOVA, R, IOMMU_REQUEST_TRANSLATION), RISCV_CAUSE_PDT_ABSENT);
	assert_int_equal(faults_waiting(&box), 0);
	submit_ats(&box, DEV, BOX_NO_PASID, false, true, ~0ull);
	submit_ats(&box, DEV, 2, false, true, ~0ull);
	finish_commands(&box);
	for (uint32_t pid = 1; pid < 4; pid++) {
		r = request_of(DEV, pid, IOVA, R, IOMMU_REQUEST_TRANSLATED);
		assert_int_equal(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights), pid != 2);
	}
	/* Global: whatever the process. */
	submit_ats(&box, DEV, 7, true, false, IOVA);
	finish_commands(&box);
	r = request_of(DEV, 1, IOVA, R, IOMMU_REQUEST_TRANSLATED);
	assert_false(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	box_close(&box);
}

static void ats_guest_addresses(void **state)
{
	struct box box;
	uint64_t g, s;

	(void)state;
	open_with(&box, caps(CAP(T2GPA), 0), 0, ~0u);
	g = box_root4(&box);
	s = box_page(&box);
	map_ram(&box, g, 3);
	map_g(&box, g, 3, 0x80000000, PHYS);
	map_s(&box, s, 3, IOVA, 0x80000000);
	dc_set(&box, DEV, DC_BIT(EN_ATS) | DC_BIT(T2GPA), G39, g, 5, S39, s, 7);
	DONE(R, PHYS);
	assert_done(go_kind(&box, DEV, BOX_NO_PASID, IOVA + 4, R, IOMMU_REQUEST_TRANSLATION), 0x80000004);
	assert_done(go_kind(&box, DEV, BOX_NO_PASID, 0x80000004, W, IOMMU_REQUEST_TRANSLATED), PHYS + 4);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, 0x90000004, W, IOMMU_REQUEST_TRANSLATED), RISCV_CAUSE_GUEST_WRITE);
	box_close(&box);
}

static void page_requests(void **state)
{
	struct box box;
	uint64_t words[2] = { 0, 0 }, record[4];

	(void)state;
	open_box(&box);
	SET(RISCV_PAGE_REQUEST, DID, words, DEV);
	SET(RISCV_PAGE_REQUEST, R, words, 1);
	SET(RISCV_PAGE_REQUEST, L, words, 1);
	SET(RISCV_PAGE_REQUEST, ADDR, words, RISCV_PPN(IOVA));
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_FAILURE);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, TTYP, record), RISCV_TTYP_MESSAGE);
	assert_int_equal(GET(RISCV_FAULT, CAUSE, record), RISCV_CAUSE_DDT_ABSENT);
	dc_set(&box, DEV, DC_BIT(EN_ATS), 0, 0, 0, 0, 0, 0);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_INVALID);
	assert_true(next_fault(&box, record));
	dc_set(&box, DEV, DC_BIT(EN_ATS) | DC_BIT(EN_PRI) | DC_BIT(PRPR), 0, 0, 0, 0, 0, 0);
	set32(&box, RISCV_REG_PQCSR, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_QUEUED);
	assert_int_equal(memcmp(at(&box, box.pages + 32), words, 16), 0);
	assert_int_equal(reg32(&box, RISCV_REG_PQT), 3);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR), BITS(RISCV_IPSR, PIP));
	/* Full. */
	SET(RISCV_PAGE_REQUEST, PV, words, 1);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_SUCCESS | RISCV_MODEL_PAGE_WITH_PASID);
	assert_true(reg32(&box, RISCV_REG_PQCSR) & BITS(RISCV_PQCSR, PQOF));
	set32(&box, RISCV_REG_PQH, 2);
	SET(RISCV_PAGE_REQUEST, L, words, 0);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_DISCARDED);
	SET(RISCV_PAGE_REQUEST, L, words, 1);
	SET(RISCV_PAGE_REQUEST, R, words, 0);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_DISCARDED); /* a stop marker */
	set32(&box, RISCV_REG_PQCSR, BITS(RISCV_PQCSR, PQEN) | BITS(RISCV_PQCSR, PQOF));
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_QUEUED);
	box.hole = box.pages;
	SET(RISCV_PAGE_REQUEST, W, words, 1);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_FAILURE | RISCV_MODEL_PAGE_WITH_PASID);
	assert_true(reg32(&box, RISCV_REG_PQCSR) & BITS(RISCV_PQCSR, PQMF));
	set_ddtp(&box, RISCV_DDTP_BARE);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_INVALID);
	set_ddtp(&box, RISCV_DDTP_OFF);
	assert_int_equal(riscv_model_page_request(&box.model, words), RISCV_MODEL_PAGE_FAILURE | RISCV_MODEL_PAGE_WITH_PASID);
	box_close(&box);
}

/* ---- Debug interface (4) and counters (5.19 to 5.23) ---- */

static uint64_t debug(struct box *box, uint64_t ctl)
{
	set64(box, RISCV_REG_TR_REQ_IOVA, IOVA + 5);
	set64(box, RISCV_REG_TR_REQ_CTL, ctl | 1 | (uint64_t)DEV << 40);
	assert_true(reg64(box, RISCV_REG_TR_REQ_CTL) & 1);
	ticks(box);
	assert_false(reg64(box, RISCV_REG_TR_REQ_CTL) & 1);
	return reg64(box, RISCV_REG_TR_RESPONSE);
}

static void debug_translation(void **state)
{
	struct box box;
	uint64_t root, *leaf, record[4];

	(void)state;
	open_box(&box);
	root = simple_first(&box, S39);
	leaf = map_s(&box, root, 3, IOVA, PHYS);
	*leaf = pte(PHYS, PTE_V | PTE_R | PTE_U | PTE_A | 1ull << 61);
	/* NW: read only. */
	assert_int_equal(debug(&box, 8), RISCV_PPN(PHYS) << 10 | 1 << 7);
	assert_int_equal(debug(&box, 0) & 1, 1);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, CAUSE, record), RISCV_CAUSE_PAGE_WRITE);
	assert_int_equal(GET(RISCV_FAULT, TTYP, record), RISCV_TTYP_WRITE);
	assert_int_equal(debug(&box, 8 | 4) & 1, 1);
	assert_true(next_fault(&box, record));
	assert_int_equal(GET(RISCV_FAULT, CAUSE, record), RISCV_CAUSE_PAGE_EXECUTE);
	assert_int_equal(debug(&box, 8 | 3ull << 12 | 1ull << 32) & 1, 1); /* a process id */
	/* Superpages: the size is in the number. It leaves nothing in the caches. */
	*pt_entry(&box, root, 3, false, 0, IOVA, 2) = pte(0x600000, PTE_RW);
	assert_int_equal(debug(&box, 8), (0x600ull | 0xff) << 10 | 1 << 9);
	*pt_entry(&box, root, 3, false, 0, IOVA, 2) = 0;
	assert_int_equal(debug(&box, 8) & 1, 1);
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	box_close(&box);
}

static void counters(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_box(&box);
	assert_int_equal(reg32(&box, RISCV_REG_IOCOUNTINH), 1);
	root = simple_first(&box, S39);
	map_s(&box, root, 3, IOVA, PHYS);
	/* 1: all untranslated; 2: of that device; 3: of a range; 4: with a process id; 5: walks with a PSCID; 6: misses; 7: inhibited */
	set64(&box, RISCV_REG_IOHPMEVT, 1);
	set64(&box, RISCV_REG_IOHPMEVT + 8, 1 | (uint64_t)DEV << 36 | 1ull << 61);
	set64(&box, RISCV_REG_IOHPMEVT + 16, 1 | 1 << 15 | (uint64_t)(DEV & ~15u) << 36 | 7ull << 36 | 1ull << 61);
	set64(&box, RISCV_REG_IOHPMEVT + 24, 1 | 5ull << 16 | 1ull << 60);
	set64(&box, RISCV_REG_IOHPMEVT + 32, 7 | 7ull << 16 | 5ull << 60);
	set64(&box, RISCV_REG_IOHPMEVT + 40, 4);
	set64(&box, RISCV_REG_IOHPMEVT + 48, 1);
	set32(&box, RISCV_REG_IOCOUNTINH, 1 | 1 << 7);
	go(&box, DEV, BOX_NO_PASID, IOVA, R);
	go(&box, DEV, BOX_NO_PASID, IOVA, R);
	go(&box, DEV ^ 3, BOX_NO_PASID, IOVA, R);
	go(&box, DEV ^ 16, 5, IOVA, R);
	go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATED);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR), 4);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 8), 2);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 16), 3);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 24), 1);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 32), 1);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 40), 1);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR + 48), 0);
	/* Overflow: once, until software clears it. */
	set64(&box, RISCV_REG_IOHPMCTR, ~0ull);
	go(&box, DEV, BOX_NO_PASID, IOVA, R);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCTR), 0);
	assert_int_equal(reg32(&box, RISCV_REG_IOCOUNTOVF), 2);
	assert_int_equal(reg32(&box, RISCV_REG_IPSR), BITS(RISCV_IPSR, PMIP));
	assert_int_equal(box.interrupts, 1);
	set32(&box, RISCV_REG_IPSR, ~0u);
	set64(&box, RISCV_REG_IOHPMCTR, ~0ull);
	go(&box, DEV, BOX_NO_PASID, IOVA, R);
	assert_int_equal(box.interrupts, 1);
	/* Cycles are ticks. */
	set64(&box, RISCV_REG_IOHPMCYCLES, BITS(RISCV_IOHPMCYCLES, COUNTER));
	set32(&box, RISCV_REG_IOCOUNTINH, 0);
	iommu_model_tick(&box.model);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMCYCLES), BITS(RISCV_IOHPMCYCLES, OF));
	assert_int_equal(reg32(&box, RISCV_REG_IOCOUNTOVF), 3);
	/* Events that aren't there are none; neither are more counters. */
	set64(&box, RISCV_REG_IOHPMEVT, 9);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMEVT), 0);
	set64(&box, RISCV_REG_IOHPMEVT + 8 * 7, 1);
	assert_int_equal(reg64(&box, RISCV_REG_IOHPMEVT + 8 * 7), 0);
	box_close(&box);
}

/* ---- In flight ---- */

static void step_to(struct box *box, struct iommu_request *r, unsigned pc)
{
	for (unsigned i = 0; i < 100 && r->state == IOMMU_REQUEST_RUNNING && r->pc != pc; i++)
		iommu_model_step(&box->model, r);
	assert_int_equal(r->pc, pc);
}

static void finish(struct box *box, struct iommu_request *r)
{
	while (r->state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&box->model, r);
	iommu_model_end(&box->model, r);
}

static void fences_drain(void **state)
{
	struct box box;
	struct iommu_request r;
	uint64_t root;

	(void)state;
	open_box(&box);
	root = simple_first(&box, S39);
	map_s(&box, root, 3, IOVA, PHYS);
	/* IOTINVAL: the fence waits for what is being translated, and what it would fill is not filled. */
	r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, RVM_PC_FIRST);
	submit_iotinval(&box, false, -1, 7, false, 0);
	fence_with(&box, false, false);
	ticks(&box);
	assert_false(fenced(&box));
	finish(&box, &r);
	assert_int_equal(r.phys, PHYS);
	ticks(&box);
	assert_true(fenced(&box));
	*pt_entry(&box, root, 3, false, 0, IOVA, 1) = pte(PHYS2, PTE_RW);
	DONE(R, PHYS2);
	/* Accesses under way are PR's and PW's. */
	r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
	iommu_model_translate(&box.model, &r);
	assert_int_equal(r.state, IOMMU_REQUEST_DONE);
	fence_with(&box, false, false);
	ticks(&box);
	assert_true(fenced(&box));
	fence_with(&box, true, false);
	ticks(&box);
	assert_false(fenced(&box));
	iommu_model_end(&box.model, &r);
	ticks(&box);
	assert_true(fenced(&box));
	/* IODIR: for who is reading the directory, not for who has read it. */
	flush(&box);
	r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, RVM_PC_DC);
	iommu_model_step(&box.model, &r);
	submit_iodir(&box, false, true, DEV, 0);
	fence_with(&box, false, false);
	ticks(&box);
	assert_false(fenced(&box));
	step_to(&box, &r, RVM_PC_FIRST);
	ticks(&box);
	assert_true(fenced(&box));
	/* The old context's lines come late; the context itself isn't cached. */
	dc_at(&box, DEV)[0] = 0;
	finish(&box, &r);
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	dc_at(&box, DEV)[0] = 1;
	*pt_entry(&box, root, 3, false, 0, IOVA, 1) = 0;
	DONE(R, PHYS2);
	/* Off waits for everybody. */
	iommu_model_begin(&box.model, &r);
	set64(&box, RISCV_REG_DDTP, 0);
	ticks(&box);
	assert_true(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	finish(&box, &r);
	assert_int_equal(r.reason, RISCV_CAUSE_OFF); /* or with the old tables: either is allowed */
	ticks(&box);
	assert_false(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	box_close(&box);
}

static void late_fills_can_be_switched_off(void **state)
{
	struct box box;
	struct iommu_request r;
	uint64_t root;

	(void)state;
	open_with(&box, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL));
	root = simple_first(&box, S39);
	map_s(&box, root, 3, IOVA, PHYS);
	r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, RVM_PC_FIRST);
	submit_iodir(&box, false, true, DEV, 0);
	fence_with(&box, false, false);
	ticks(&box);
	assert_false(fenced(&box));
	finish(&box, &r);
	ticks(&box);
	assert_true(fenced(&box));
	*pt_entry(&box, root, 3, false, 0, IOVA, 1) = 0;
	FAULT(R, RISCV_CAUSE_PAGE_READ);
	box_close(&box);
}

static void abandoned_drains(void **state)
{
	struct box box;
	struct iommu_request r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);

	(void)state;
	/* A fence waits; its queue goes off; then ddtp goes Off, and on; then another fence. Nothing hangs, nobody is forgotten. */
	open_box(&box);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	iommu_model_begin(&box.model, &r);
	fence_with(&box, true, true);
	ticks(&box);
	assert_false(fenced(&box));
	set32(&box, RISCV_REG_CQCSR, 0);
	ticks(&box);
	set_ddtp(&box, RISCV_DDTP_OFF);
	assert_true(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	finish(&box, &r);
	ticks(&box);
	assert_false(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	set32(&box, RISCV_REG_CQT, 0);
	set32(&box, RISCV_REG_CQCSR, 1);
	ticks(&box);
	finish_commands(&box);
	iommu_model_begin(&box.model, &r);
	fence_with(&box, true, true);
	ticks(&box);
	set64(&box, RISCV_REG_DDTP, 0);
	ticks(&box);
	assert_true(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	finish(&box, &r);
	ticks(&box);
	assert_true(fenced(&box));
	assert_false(reg64(&box, RISCV_REG_DDTP) & BITS(RISCV_DDTP, BUSY));
	box_close(&box);
}

/* ---- Freedoms ---- */

static void torn_fetch(void **state)
{
	static const unsigned char last_first[] = { 3, 2, 1, 0 };
	struct box box;
	struct iommu_request r;
	uint64_t a, b, *dc;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	/* PSCID and pointer lie in different doublewords: a fetch may see one old and one new, in either order. */
	for (unsigned order = 0; order < 2; order++) {
		open_box(&box);
		a = box_page(&box);
		b = box_page(&box);
		map_s(&box, a, 3, IOVA, PHYS);
		map_s(&box, b, 3, IOVA, PHYS2);
		dc = dc_set(&box, DEV, 0, 0, 0, 0, S39, a, 7);
		box.script = last_first;
		box.script_length = order ? 4 : 0;
		r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, RVM_PC_DC);
		for (unsigned i = 0; i < (order ? 1u : 3u); i++)
			iommu_model_step(&box.model, &r);
		SET(RISCV_DC, PSCID, dc, 8);
		SET(RISCV_DC, FSC_PPN, dc, RISCV_PPN(b));
		finish(&box, &r);
		assert_int_equal(r.phys, order ? PHYS : PHYS2);
		/* What it found is now under the other's tag. */
		dc_set(&box, DEV2, 0, 0, 0, 0, S39, order ? b : a, order ? 8 : 7);
		assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), order ? PHYS : PHYS2);
		assert_true(box.asked[IOMMU_FREE_TEAR] > 0);
		box_close(&box);
	}
	/* A misconfiguration that only a torn fetch sees. */
	open_box(&box);
	dc = dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, RVM_PC_DC);
	iommu_model_step(&box.model, &r);
	dc[0] |= DC_BIT(PDTV);
	SET(RISCV_DC, FSC_MODE, dc, RISCV_PDTP_PD8);
	finish(&box, &r);
	assert_int_equal(r.reason, RISCV_CAUSE_DDT_MISCONFIGURED);
	box_close(&box);
	/* A process context's. */
	open_box(&box);
	a = box_page(&box);
	b = box_page(&box);
	map_s(&box, a, 3, IOVA, PHYS);
	map_s(&box, b, 3, IOVA, PHYS2);
	uint64_t pdt = box_page(&box);
	dc_set(&box, DEV, DC_BIT(PDTV), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	uint64_t *pc = pc_set(&box, pdt, 1, 5, 0, S39, a, 7);
	r = request_of(DEV, 5, IOVA, R, 0);
	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, RVM_PC_PC);
	iommu_model_step(&box.model, &r);
	assert_int_equal(r.pc, RVM_PC_PC);
	SET(RISCV_PC, PSCID, pc, 8);
	SET(RISCV_PC, FSC_PPN, pc, RISCV_PPN(b));
	finish(&box, &r);
	assert_int_equal(r.phys, PHYS2);
	vma(&box, -1, 8);
	dc_set(&box, DEV2, 0, 0, 0, 0, S39, a, 7);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS2);
	box_close(&box);
	/* Without the freedom nobody is asked; a quantum of 16 halves the pieces. */
	open_with(&box, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_TEAR));
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	assert_int_equal(box.asked[IOMMU_FREE_TEAR], 0);
	box_close(&box);
}

static void late_and_reordered_commands(void **state)
{
	struct box box;
	uint64_t head;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	open_with(&box, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_MISS));
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	dc_set(&box, DEV2, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), IOVA);
	dc_at(&box, DEV)[0] = 0;
	dc_at(&box, DEV2)[0] = 0;
	/* cqh runs ahead of what is done. */
	box.answers[IOMMU_FREE_LATE] = 2;
	head = reg32(&box, RISCV_REG_CQH);
	submit_iodir(&box, false, true, DEV, 0);
	submit_iodir(&box, false, true, DEV2, 0);
	assert_true(iommu_model_tick(&box.model));
	assert_true(iommu_model_tick(&box.model));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), head + 2);
	DONE(R, IOVA);
	/* ... and is done in any order, */
	box.answers[IOMMU_FREE_REORDER] = 2;
	assert_true(iommu_model_tick(&box.model));
	assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA, R), RISCV_CAUSE_DDT_ABSENT);
	DONE(R, IOVA);
	/* ... but a fence is the last, and cqh doesn't pass it. */
	fence_with(&box, false, false);
	submit_iodir(&box, false, false, 0, 0);
	assert_true(iommu_model_tick(&box.model));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), head + 2);
	DONE(R, IOVA);
	assert_true(iommu_model_tick(&box.model));
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	assert_false(fenced(&box));
	ticks(&box);
	assert_true(fenced(&box));
	assert_int_equal(reg32(&box, RISCV_REG_CQH), head + 4);
	box_close(&box);
}

static void freedom_switches(void **state)
{
	struct box box;
	unsigned reads;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	open_with(&box, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	dc_at(&box, DEV)[0] = 0;
	FAULT(R, RISCV_CAUSE_DDT_ABSENT);
	box_close(&box);
	open_box(&box);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	reads = box.reads;
	DONE(R, IOVA);
	assert_int_equal(box.reads, reads);
	box.answers[IOMMU_FREE_MISS] = 2;
	DONE(R, IOVA);
	assert_int_equal(box.reads, reads + 6);
	box_close(&box);
}

/* ---- May-sets ---- */

static void open_mayset(struct box *box, unsigned lines)
{
	struct iommu_model_config config = box_config();

	config.maysets = true;
	config.entry_lines = config.pasid_lines = config.walk_lines = config.iotlb_lines = config.devtlb_lines = lines;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
}

static void maysets(void **state)
{
	struct box box;
	uint64_t a, b;
	void *copy;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	open_mayset(&box, 16);
	a = box_page(&box);
	b = box_page(&box);
	map_s(&box, a, 3, IOVA, PHYS);
	map_s(&box, b, 3, IOVA, PHYS2);
	dc_set(&box, DEV, 0, 0, 0, 0, S39, a, 7);
	dc_set(&box, DEV2, 0, 0, 0, 0, S39, b, 8);
	copy = malloc(box.size);
	/* The same lines, whatever the order in which they came. */
	for (unsigned order = 0; order < 2; order++) {
		flush(&box);
		go(&box, order ? DEV2 : DEV, BOX_NO_PASID, IOVA, R);
		go(&box, order ? DEV : DEV2, BOX_NO_PASID, IOVA, R);
		if (order)
			assert_int_equal(memcmp((char *)copy + sizeof(struct rvm_state), (char *)box.model.state + sizeof(struct rvm_state),
						box.size - sizeof(struct rvm_state)), 0);
		memcpy(copy, box.model.state, box.size);
	}
	free(copy);
	/* Two contexts of one device: either, or neither. */
	dc_set(&box, DEV, 0, 0, 0, 0, S39, b, 8);
	box.answers[IOMMU_FREE_MISS] = 2;
	box.answers[IOMMU_FREE_MULTI] = 200; /* the last choice: none */
	DONE(R, PHYS2);
	memset(box.asked, 0, sizeof(box.asked));
	box.answers[IOMMU_FREE_MISS] = 1;
	box.answers[IOMMU_FREE_MULTI] = 1;
	DONE(R, PHYS);
	assert_true(box.asked[IOMMU_FREE_MULTI] > 0);
	box.answers[IOMMU_FREE_MULTI] = 2;
	DONE(R, PHYS2);
	assert_false(iommu_model_overflow(&box.model));
	box_close(&box);
	open_mayset(&box, 1);
	dc_set(&box, DEV, 0, 0, 0, 0, 0, 0, 0);
	DONE(R, IOVA);
	assert_true(iommu_model_overflow(&box.model));
	box_close(&box);
}

/* Ticks until the command has been executed; did it wait for the request? */
static bool drains(struct box *box, const struct iommu_request *r)
{
	bool drained = false;

	while (iommu_model_tick(&box->model))
		drained |= iommu_model_drained(&box->model, r);
	return drained;
}

static void maysets_drain(void **state)
{
	const uint64_t guest = 0x40000000;

	(void)state;
	/* What stage it is in; which commands then wait for it: DDT, PDT, VMA, GVMA, fence without, with PR and PW. */
	static const struct {
		unsigned pc;
		bool ddt, pdt, vma, gvma, fence, fence_all;
	} cases[] = {
		{ RVM_PC_START, false, false, false, false, false, false },
		{ RVM_PC_DC, true, false, false, false, false, false },
		{ RVM_PC_PC, true, true, false, true, false, false },
		{ RVM_PC_FIRST_LOOKUP, true, true, true, true, false, false }, /* the root's translation is still the directory's */
		{ RVM_PC_FIRST, false, false, true, true, false, false },
		{ RVM_PC_END, false, false, false, false, false, true },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct box box;
		struct iommu_request r;
		uint64_t g, s, pdt;

		open_mayset(&box, 64);
		box.guest = guest;
		box.answers[IOMMU_FREE_MISS] = 2;
		box.answers[IOMMU_FREE_MULTI] = 200;
		g = box_root4(&box);
		s = box_page(&box);
		pdt = box_page(&box);
		map_ram(&box, g, 3);
		map_g(&box, g, 3, 0x80000000, PHYS);
		map_s(&box, s, 3, IOVA, 0x80000000);
		dc_set(&box, DEV, DC_BIT(PDTV), G39, g, 5, RISCV_PDTP_PD8, pdt + guest, 0);
		pc_set(&box, pdt, 1, 6, 0, S39, s + guest, 9);
		r = request_of(DEV, 6, IOVA, R | W, 0);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, cases[i].pc);
		if (cases[i].pc == RVM_PC_DC || cases[i].pc == RVM_PC_PC)
			iommu_model_step(&box.model, &r);
		submit_iodir(&box, false, true, DEV2, 0);
		assert_false(drains(&box, &r));
		submit_iodir(&box, false, true, DEV, 0);
		assert_int_equal(drains(&box, &r), cases[i].ddt);
		submit_iodir(&box, true, true, DEV, 7);
		assert_false(drains(&box, &r));
		submit_iodir(&box, true, true, DEV, 6);
		assert_int_equal(drains(&box, &r), cases[i].pdt);
		submit_iotinval(&box, false, 5, 8, false, 0);
		assert_false(drains(&box, &r));
		submit_iotinval(&box, false, 5, 9, false, 0);
		assert_int_equal(drains(&box, &r), cases[i].vma);
		submit_iotinval(&box, true, 6, -1, false, 0);
		assert_false(drains(&box, &r));
		submit_iotinval(&box, true, 5, -1, false, 0);
		assert_int_equal(drains(&box, &r), cases[i].gvma);
		fence_with(&box, false, false);
		assert_int_equal(drains(&box, &r), cases[i].fence);
		fence_with(&box, true, false);
		assert_false(drains(&box, &r));
		fence_with(&box, true, true);
		assert_int_equal(drains(&box, &r), cases[i].fence_all);
		set64(&box, RISCV_REG_DDTP, 0);
		assert_true(drains(&box, &r));
		box_close(&box);
	}
	/* Past the directory: late fills. */
	for (unsigned late = 0; late < 2; late++) {
		struct box box;
		struct iommu_request r;
		uint64_t root;

		open_mayset(&box, 64);
		rvm_state(&box.model)->common.freedoms = late ? ~0u : ~IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL);
		root = simple_first(&box, S39);
		map_s(&box, root, 3, IOVA, PHYS);
		r = request_of(DEV, BOX_NO_PASID, IOVA, R, 0);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, RVM_PC_FIRST);
		submit_iodir(&box, false, true, DEV, 0);
		assert_int_equal(drains(&box, &r), !late);
		box_close(&box);
	}
}

static void count_line(void *ctx, const char *line)
{
	assert_true(strlen(line) > 10);
	++*(unsigned *)ctx;
}

static void dump(void **state)
{
	struct box box;
	uint64_t root, pdt;
	unsigned lines = 0;

	(void)state;
	open_box(&box);
	root = box_page(&box);
	pdt = box_page(&box);
	*map_s(&box, root, 3, IOVA, PHYS) |= PTE_G;
	dc_set(&box, DEV, DC_BIT(PDTV) | DC_BIT(EN_ATS), 0, 0, 0, RISCV_PDTP_PD8, pdt, 0);
	pc_set(&box, pdt, 1, 5, 0, S39, root, 9);
	go_kind(&box, DEV, 5, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	iommu_model_dump(&box.model, count_line, &lines);
	/* Two non-leaf entries and the context; the process context; two tables; the page; the device's. */
	assert_int_equal(lines, 3 + 1 + 2 + 1 + 1);
	box_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(configurations),
		cmocka_unit_test(any_register_any_value),
		cmocka_unit_test(modes),
		cmocka_unit_test(directory_levels),
		cmocka_unit_test(directory_entries),
		cmocka_unit_test(context_checks),
		cmocka_unit_test(context_consistency),
		cmocka_unit_test(first_stage_levels_and_pages),
		cmocka_unit_test(first_stage_entry_bits),
		cmocka_unit_test(napot),
		cmocka_unit_test(first_stage_permissions),
		cmocka_unit_test(first_stage_accessed_dirty),
		cmocka_unit_test(second_stage),
		cmocka_unit_test(both_stages),
		cmocka_unit_test(process_directories),
		cmocka_unit_test(process_ids),
		cmocka_unit_test(guest_process_directory),
		cmocka_unit_test(msi_translation),
		cmocka_unit_test(fault_records),
		cmocka_unit_test(fault_queue),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(illegal_commands),
		cmocka_unit_test(queue_errors),
		cmocka_unit_test(broken_hardware),
		cmocka_unit_test(directory_caches),
		cmocka_unit_test(process_directory_cache),
		cmocka_unit_test(translated_pointers),
		cmocka_unit_test(iotinval_vma),
		cmocka_unit_test(iotinval_gvma),
		cmocka_unit_test(table_pointers_are_cached),
		cmocka_unit_test(tags_are_shared),
		cmocka_unit_test(large_pages),
		cmocka_unit_test(ats),
		cmocka_unit_test(ats_with_processes),
		cmocka_unit_test(ats_guest_addresses),
		cmocka_unit_test(page_requests),
		cmocka_unit_test(debug_translation),
		cmocka_unit_test(counters),
		cmocka_unit_test(fences_drain),
		cmocka_unit_test(late_fills_can_be_switched_off),
		cmocka_unit_test(abandoned_drains),
		cmocka_unit_test(torn_fetch),
		cmocka_unit_test(late_and_reordered_commands),
		cmocka_unit_test(freedom_switches),
		cmocka_unit_test(maysets),
		cmocka_unit_test(maysets_drain),
		cmocka_unit_test(dump),
	};

	int failed = cmocka_run_group_tests_name("with choices", tests, NULL, NULL);

	box_plain = true;
	return failed + cmocka_run_group_tests_name("without", tests, NULL, NULL);
}
