/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_model_amdvi.c - the register-level model of AMD-Vi against the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/amdvi_state.h"
#include "model_amdvi.h"

#define RID 0x0128u
#define RID2 0x0130u
#define DOM 5u
#define IOVA 0x12345000ull
#define PHYS 0x00777000ull
#define R IOMMU_READ
#define W IOMMU_WRITE
#define X IOMMU_EXEC
#define NP BOX_NO_PASID

/* request.reason */
#define REASON(code, flags) ((uint32_t)(code) << AMDVIM_EV_CODE_LSB | (flags))
#define PAGE_FAULT(flags) REASON(AMDVI_EVENT_PAGE_FAULT, flags)
#define ILLEGAL_DTE(flags) REASON(AMDVI_EVENT_ILLEGAL_DTE, flags)
#define GN AMDVIM_EV_GN
#define NX AMDVIM_EV_NX
#define US AMDVIM_EV_US
#define PR AMDVIM_EV_PR
#define RW AMDVIM_EV_RW
#define PE AMDVIM_EV_PE
#define RZ AMDVIM_EV_RZ
#define TR AMDVIM_EV_TR
#define TYPE(n) ((unsigned)(n) << AMDVIM_EV_TYPE_LSB)

static void open_box(struct box *box)
{
	struct iommu_model_config config = box_config();

	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
}

static void open_box_with(struct box *box, uint64_t efr, uint64_t efr2, uint64_t options)
{
	struct iommu_model_config config = box_config();

	config.capabilities[0] = efr;
	config.capabilities[1] = efr2;
	config.capabilities[3] = options;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
}

/* A device behind v1 tables of some levels, with one page mapped. */
static void open_v1(struct box *box, unsigned levels, uint64_t *root)
{
	open_box(box);
	*root = box_page(box);
	map_v1(box, *root, levels, IOVA, PHYS);
	dte_v1(box, RID, DOM, levels, *root);
}

/* The same behind v2 tables, without and with PASID 0. */
static void open_v2(struct box *box, unsigned levels, unsigned glx, uint64_t *gcr3, uint64_t *root)
{
	open_box(box);
	*gcr3 = box_page(box);
	*root = box_page(box);
	map_v2(box, *root, levels, IOVA, PHYS);
	*gcr3_at(box, *gcr3, glx, 0) = *root | 1;
	dte_v2(box, RID, DOM, levels, glx, *gcr3);
}

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

/* With nothing cached. */
static struct iommu_request fresh(struct box *box, uint64_t iova, unsigned access)
{
	assert_true(inv_all(box));
	return go(box, RID, NP, iova, access);
}

static struct iommu_request fresh_pasid(struct box *box, unsigned pasid, uint64_t iova, unsigned access)
{
	assert_true(inv_all(box));
	return go(box, RID, pasid, iova, access);
}

static void no_event(struct box *box)
{
	uint64_t words[2];

	assert_false(take_event(box, words));
}

/* The event that the last fault left: its first word's id parts, its code and flags from the reason, its address. */
static void expect_event(struct box *box, uint32_t reason, unsigned rid, unsigned id, uint64_t address)
{
	uint64_t words[2];

	assert_true(take_event(box, words));
	assert_int_equal(words[0] & 0xffff, rid);
	assert_int_equal(words[0] >> 48, reason);
	assert_int_equal(GET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, words) | GET(AMDVI_EV_PAGE_FAULT, PASID_19_16, words) << 16, id);
	assert_int_equal(words[1], address);
	no_event(box);
}

static void drop_events(struct box *box)
{
	uint64_t words[2];

	while (take_event(box, words))
		;
}

/* ---- Registers ---- */

static void registers(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	assert_int_equal(box_open(&box, &config), 0);
	assert_int_equal(reg(&box, AMDVI_REG_EFR), amdvi_model_default_efr());
	assert_int_equal(reg(&box, AMDVI_REG_EFR2), amdvi_model_default_efr2());
	assert_int_equal(reg(&box, AMDVI_REG_STATUS), 0);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_BASE), 8ull << 56);
	/* Halves; reserved bits. */
	iommu_model_write(&box.model, AMDVI_REG_DEVTAB, 4, 0x5fff);
	iommu_model_write(&box.model, AMDVI_REG_DEVTAB + 4, 4, 0xfff00007);
	assert_int_equal(reg(&box, AMDVI_REG_DEVTAB), 0x7000051ffull);
	assert_int_equal(iommu_model_read(&box.model, AMDVI_REG_DEVTAB + 4, 4), 7);
	set_reg(&box, AMDVI_REG_CMD_TAIL, ~0ull);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_TAIL), 0x7fff0);
	/* A new base empties the buffer. */
	set_reg(&box, AMDVI_REG_CMD_HEAD, 0x30);
	set_reg(&box, AMDVI_REG_CMD_BASE, ~0ull);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_BASE), 0x0f0ffffffffff000ull);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_TAIL), 0);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 0);
	/* Read-only, and what isn't there. */
	set_reg(&box, AMDVI_REG_EFR, 0);
	assert_int_equal(reg(&box, AMDVI_REG_EFR), amdvi_model_default_efr());
	set_reg(&box, AMDVI_REG_STATUS, ~0ull);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS), 0);
	set_reg(&box, 0x1000, ~0ull);
	assert_int_equal(reg(&box, 0x1000), 0);
	assert_int_equal(iommu_model_read(&box.model, ~7ull, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, 0x31, 8), 0);
	/* Interrupt remapping's bits of the control register are kept for who owns them. */
	set_reg(&box, AMDVI_REG_CONTROL, BITS(AMDVI_CONTROL, GA_EN) | BITS(AMDVI_CONTROL, XT_EN));
	assert_int_equal(reg(&box, AMDVI_REG_CONTROL), BITS(AMDVI_CONTROL, GA_EN) | BITS(AMDVI_CONTROL, XT_EN));
	box_close(&box);
}

static void configurations(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	config.capabilities[0] = amdvi_model_default_efr() | BITS(AMDVI_EFR, PPR_SUP);
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.capabilities[0] = amdvi_model_default_efr() | BITS(AMDVI_EFR, HATS);
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.capabilities[0] = amdvi_model_default_efr() & ~BITS(AMDVI_EFR, HA_SUP);
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.capabilities[0] = BITS(AMDVI_EFR, IA_SUP);
	config.capabilities[1] = AMDVI_MODEL_EFR2_NONE;
	assert_int_equal(box_open(&box, &config), 0);
	assert_int_equal(reg(&box, AMDVI_REG_EFR2), 0);
	/* No segments, no guest translation, no MSI registers. */
	set_reg(&box, AMDVI_REG_DEVTAB_1, ~0ull);
	assert_int_equal(reg(&box, AMDVI_REG_DEVTAB_1), 0);
	set_reg(&box, AMDVI_REG_CONTROL, BITS(AMDVI_CONTROL, GT_EN) | 1ull << 58);
	assert_int_equal(reg(&box, AMDVI_REG_CONTROL), 0);
	set_reg(&box, 0x160, ~0ull);
	assert_int_equal(reg(&box, 0x160), 0);
	box_close(&box);
	config.capabilities[2] = AMDVI_BROKEN_ALL + 1;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.capabilities[2] = 0;
	config.capabilities[3] = AMDVI_MODEL_ALL + 1;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.capabilities[3] = 0;
	config.quantum = 4;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
}

static uint64_t run_bits(struct box *box)
{
	return reg(box, AMDVI_REG_STATUS) & (BITS(AMDVI_STATUS, CMD_BUF_RUN) | BITS(AMDVI_STATUS, EVENT_LOG_RUN));
}

static void start_and_stop(void **state)
{
	uint64_t cmd = BITS(AMDVI_STATUS, CMD_BUF_RUN), log = BITS(AMDVI_STATUS, EVENT_LOG_RUN);
	struct box box;

	(void)state;
	open_box(&box);
	assert_int_equal(run_bits(&box), cmd | log);
	/* While it runs, the head is the unit's. */
	set_reg(&box, AMDVI_REG_CMD_HEAD, 0x50);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 0);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, CMD_BUF_EN));
	assert_int_equal(run_bits(&box), cmd | log); /* in the unit's own time */
	ticks(&box);
	assert_int_equal(run_bits(&box), log);
	set_reg(&box, AMDVI_REG_CMD_HEAD, 0x50);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 0x50);
	set_reg(&box, AMDVI_REG_CMD_HEAD, 0);
	/* Without IommuEn nothing runs. */
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, IOMMU_EN));
	ticks(&box);
	assert_int_equal(run_bits(&box), 0);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON);
	ticks(&box);
	assert_int_equal(run_bits(&box), cmd | log);
	amdvi_model_break(&box.model, AMDVI_BROKEN_CONTROL);
	set_reg(&box, AMDVI_REG_CONTROL, 0);
	ticks(&box);
	assert_int_equal(run_bits(&box), cmd);
	box_close(&box);
}

static void the_unit_is_off(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	set_reg(&box, AMDVI_REG_CONTROL, 0);
	assert_done(go(&box, RID, NP, IOVA, R | W), IOVA);
	assert_fault(go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION), REASON(AMDVI_EVENT_INVALID_REQUEST, 0));
	assert_int_equal(box.reads, 0);
	box_close(&box);
}

/* ---- Device table ---- */

static void v0_passes_and_tv0_blocks(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	/* The mistake: a cleared entry. */
	memset(dte(&box, RID), 0, 32);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS); /* still cached */
	assert_true(inv_dte(&box, RID));
	assert_done(go(&box, RID, NP, IOVA, R | W), IOVA);
	/* It is cached like any other. */
	dte_blocked(&box, RID);
	assert_done(go(&box, RID, NP, IOVA, R | W), IOVA);
	assert_true(inv_dte(&box, RID));
	no_event(&box);
	assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(0));
	expect_event(&box, PAGE_FAULT(0), RID, 0, IOVA);
	assert_fault(go(&box, RID, NP, IOVA + 8, W), PAGE_FAULT(RW));
	expect_event(&box, PAGE_FAULT(RW), RID, 0, IOVA + 8);
	assert_fault(go(&box, RID, 7, IOVA, R), PAGE_FAULT(0));
	/* V=0 doesn't pass what comes from a device's TLB. */
	memset(dte(&box, RID), 0, 32);
	drop_events(&box);
	inv_dte(&box, RID);
	assert_fault(go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATED), REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(1)));
	expect_event(&box, REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(1)), RID, 0, IOVA);
	assert_fault(go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION), REASON(AMDVI_EVENT_INVALID_REQUEST, TR));
	expect_event(&box, REASON(AMDVI_EVENT_INVALID_REQUEST, TR), RID, 0, IOVA);
	/* SA: nothing is logged. */
	SET(AMDVI_DTE, SA, dte_blocked(&box, RID), 1);
	inv_dte(&box, RID);
	assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(0));
	no_event(&box);
	box_close(&box);
}

static void device_table_reserved_bits(void **state)
{
	struct box box;
	uint64_t *entry, root, saved[4];

	(void)state;
	open_v1(&box, 4, &root);
	entry = dte(&box, RID);
	memcpy(saved, entry, 32);
	for (unsigned bit = 2; bit < 256; bit++) {
		bool reserved = (bit >= 2 && bit < 7) || bit == 63 || bit == 106;

		/* The upper half is about interrupts, except for the guest's paging mode, which GV=0 ignores. */
		if (!reserved && bit < 128)
			continue;
		entry[bit / 64] ^= 1ull << bit % 64;
		if (reserved) {
			assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(RZ));
			expect_event(&box, ILLEGAL_DTE(RZ), RID, 0, IOVA);
			assert_fault(fresh(&box, IOVA, W), ILLEGAL_DTE(RZ | RW));
			expect_event(&box, ILLEGAL_DTE(RZ | RW), RID, 0, IOVA);
			/* With TV=0, too; with V=0 nothing is reserved. */
			entry[0] &= ~2ull;
			assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(RZ));
			entry[0] &= ~1ull;
			assert_done(fresh(&box, IOVA, R), IOVA);
			drop_events(&box);
		} else {
			assert_done(fresh(&box, IOVA, R), PHYS);
		}
		memcpy(entry, saved, 32);
	}
	/* Encodings. */
	SET(AMDVI_DTE, MODE, entry, 7);
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(0));
	memcpy(entry, saved, 32);
	SET(AMDVI_DTE, HAD, entry, 2);
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(0));
	memcpy(entry, saved, 32);
	SET(AMDVI_DTE, PPR, entry, 1);
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(RZ));
	memcpy(entry, saved, 32);
	SET(AMDVI_DTE, IOCTL, entry, 3);
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(RZ));
	memcpy(entry, saved, 32);
	/* GV while the control register has guest translation off. */
	SET(AMDVI_DTE, GV, entry, 1);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, GT_EN));
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(RZ));
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON);
	/* GV is about requests with PASID (GIoV=0). */
	assert_done(fresh(&box, IOVA, R), PHYS);
	SET(AMDVI_DTE, GLX, entry, 3);
	assert_fault(fresh(&box, IOVA, R), ILLEGAL_DTE(0));
	SET(AMDVI_DTE, GLX, entry, 0);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, entry, 2);
	drop_events(&box);
	assert_fault(fresh_pasid(&box, 0x12345, IOVA, R), ILLEGAL_DTE(GN));
	expect_event(&box, ILLEGAL_DTE(GN), RID, 0x12345, IOVA);
	box_close(&box);
}

/* Features that a unit lacks make fields reserved. */
static void features_make_fields_reserved(void **state)
{
	static const struct {
		uint64_t without;
		unsigned lsb, width, value, flags;
	} cases[] = {
		{ 1ull << AMDVI_EFR_HD_SUP_LSB, AMDVI_DTE_HAD_LSB, 2, 3, AMDVIM_EV_RZ },
		{ 1ull << AMDVI_EFR_HD_SUP_LSB | 1ull << AMDVI_EFR_HA_SUP_LSB, AMDVI_DTE_HAD_LSB, 2, 1, AMDVIM_EV_RZ },
		{ 1ull << AMDVI_EFR_GIO_SUP_LSB, AMDVI_DTE_GIOV_LSB, 1, 1, AMDVIM_EV_RZ },
		{ 1ull << AMDVI_EFR_GT_SUP_LSB, AMDVI_DTE_GV_LSB, 1, 1, AMDVIM_EV_RZ },
		{ 3ull << AMDVI_EFR_HATS_LSB, AMDVI_DTE_MODE_LSB, 3, 5, 0 },
		{ 3ull << AMDVI_EFR_HATS_LSB, AMDVI_DTE_MODE_LSB, 3, 4, ~0u },
		{ 3ull << AMDVI_EFR_GLX_SUP_LSB, AMDVI_DTE_GLX_LSB, 2, 1, 0 },
		{ 3ull << AMDVI_EFR_GATS_LSB, AMDVI_DTE_GUEST_PAGING_MODE_LSB, 2, 1, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct box box;
		uint64_t root;

		open_box_with(&box, amdvi_model_default_efr() & ~cases[i].without, 0, 0);
		root = box_page(&box);
		map_v1(&box, root, 4, IOVA, PHYS);
		dte_v1(&box, RID, DOM, 4, root);
		if (cases[i].lsb == AMDVI_DTE_GLX_LSB || cases[i].lsb == AMDVI_DTE_GUEST_PAGING_MODE_LSB)
			SET(AMDVI_DTE, GV, dte(&box, RID), 1);
		layout_set(dte(&box, RID), cases[i].lsb, cases[i].width, cases[i].value);
		if (cases[i].flags == ~0u)
			assert_done(go(&box, RID, NP, IOVA, R), PHYS);
		else
			assert_fault(go(&box, RID, NP, IOVA, R), ILLEGAL_DTE(cases[i].flags));
		box_close(&box);
	}
}

static void device_table_size_and_segments(void **state)
{
	uint64_t segment, devtab = 0;
	struct box box;

	(void)state;
	open_box(&box);
	dte_identity(&box, BOX_DEVICES - 1, DOM);
	assert_done(go(&box, BOX_DEVICES - 1, NP, IOVA, R), IOVA);
	assert_fault(go(&box, BOX_DEVICES, NP, IOVA, R), PAGE_FAULT(0));
	expect_event(&box, PAGE_FAULT(0), BOX_DEVICES, 0, IOVA);
	/* A device table that isn't in memory. */
	SET_ADDR(AMDVI_DEVTAB, BASE, &devtab, 1ull << 40);
	set_reg(&box, AMDVI_REG_DEVTAB, devtab);
	assert_fault(go(&box, 3, NP, IOVA, W), REASON(AMDVI_EVENT_DTE_HARDWARE, RW | TYPE(1)));
	expect_event(&box, REASON(AMDVI_EVENT_DTE_HARDWARE, RW | TYPE(1)), 3, 0, (1ull << 40) + 3 * 32);
	/* The cache doesn't ask for it. */
	assert_done(go(&box, BOX_DEVICES - 1, NP, IOVA, R), IOVA);
	/* Segments: the highest bits of the DeviceID choose one. */
	segment = box_page(&box);
	SET_ADDR(AMDVI_DEVTAB, BASE, &devtab, segment);
	for (unsigned bits = 1; bits <= 3; bits++) {
		unsigned n = (1u << bits) - 1;
		unsigned rid = n << (16 - bits) | 5;

		set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON | (uint64_t)bits << AMDVI_CONTROL_DEV_TBL_SEG_EN_LSB);
		set_reg(&box, AMDVI_REG_DEVTAB_1 + 8 * (n - 1), devtab);
		memcpy(at(&box, segment + 5 * 32), dte_identity(&box, BOX_DEVICES - 1, DOM), 32);
		inv_dte(&box, rid);
		assert_done(go(&box, rid, NP, IOVA, R), IOVA);
		*at(&box, segment + 5 * 32) = 1;
		inv_dte(&box, rid);
		assert_fault(go(&box, rid, NP, IOVA, R), PAGE_FAULT(0));
		set_reg(&box, AMDVI_REG_DEVTAB_1 + 8 * (n - 1), 0);
	}
	box_close(&box);
}

static void identity(void **state)
{
	struct box box;

	(void)state;
	for (unsigned may = 0; may < 4; may++) {
		for (unsigned access = 1; access < 4; access++) {
			uint32_t why = PAGE_FAULT(PR | PE | (access & W ? RW : 0));

			open_box(&box);
			dte_identity(&box, RID, DOM);
			SET(AMDVI_DTE, IR, dte(&box, RID), may & 1);
			SET(AMDVI_DTE, IW, dte(&box, RID), may >> 1);
			for (unsigned pass = 0; pass < 2; pass++) {
				if (access & ~may) {
					assert_fault(go(&box, RID, NP, IOVA, access), why);
					expect_event(&box, why, RID, DOM, IOVA);
				} else {
					struct iommu_request r = go(&box, RID, NP, IOVA, access);

					assert_done(r, IOVA);
					assert_int_equal(r.rights, may);
				}
			}
			box_close(&box);
		}
	}
	open_box(&box);
	dte_identity(&box, RID, DOM);
	assert_done(go(&box, RID, NP, (1ull << 52) - 1, R), (1ull << 52) - 1);
	assert_fault(go(&box, RID, NP, 1ull << 52, R), PAGE_FAULT(0));
	/* One to one is cached by DomainID, like anything else: until that is flushed, another table isn't looked at. */
	assert_done(go(&box, RID, NP, IOVA, R), IOVA);
	dte_v1(&box, RID, DOM, 4, box_page(&box));
	map_v1(&box, GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte(&box, RID)), 4, IOVA, PHYS);
	inv_dte(&box, RID);
	assert_done(go(&box, RID, NP, IOVA, R), IOVA);
	inv_domain(&box, DOM);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	box_close(&box);
}

/* 3.4.5 */
static void exclusion_range(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	set_reg(&box, AMDVI_REG_EXCLUSION_BASE, (IOVA & ~0xfffull) | 1);
	set_reg(&box, AMDVI_REG_EXCLUSION_LIMIT, IOVA);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	SET(AMDVI_DTE, EX, dte(&box, RID), 1);
	inv_dte(&box, RID);
	assert_done(go(&box, RID, NP, IOVA + 0xfff, R), IOVA + 0xfff);
	assert_fault(go(&box, RID, NP, IOVA + 0x1000, R), PAGE_FAULT(0));
	assert_fault(go(&box, RID, NP, IOVA - 1, R), PAGE_FAULT(0));
	SET(AMDVI_DTE, EX, dte(&box, RID), 0);
	inv_dte(&box, RID);
	set_reg(&box, AMDVI_REG_EXCLUSION_BASE, (IOVA & ~0xfffull) | 3);
	assert_done(go(&box, RID, NP, IOVA, R), IOVA);
	box_close(&box);
}

static void special_ranges(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	assert_done(go(&box, RID, NP, 0xfee00000, W), 0xfee00000);
	assert_fault(go(&box, RID, NP, 0xfeeffffc, R), REASON(AMDVI_EVENT_INVALID_REQUEST, 0));
	expect_event(&box, REASON(AMDVI_EVENT_INVALID_REQUEST, 0), RID, 0, 0xfeeffffc);
	assert_fault(go_kind(&box, RID, NP, 0xfee00000, R, IOMMU_REQUEST_TRANSLATION),
		     REASON(AMDVI_EVENT_INVALID_REQUEST, TR | TYPE(1)));
	map_v1(&box, root, 4, 0xfd00000000ull, PHYS);
	assert_done(go(&box, RID, NP, 0xfd00000000ull, R), PHYS);
	box_close(&box);
	open_box_with(&box, 0, AMDVI_MODEL_EFR2_NONE, 0);
	dte_identity(&box, RID, DOM);
	assert_fault(go(&box, RID, NP, 0xfd00000000ull, R), REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(4)));
	assert_fault(go(&box, RID, NP, 0xffffffffffull, W), REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(3)));
	assert_done(go(&box, RID, NP, 0x10000000000ull, W), 0x10000000000ull);
	box_close(&box);
}

/* 128 bits hold all that DMA depends on, but the guest's paging mode. A chooser tears the halves; a quantum of 8, more. */
static void torn_fetch(void **state)
{
	static const unsigned char upper_first[] = { 1 };
	struct iommu_model_config config = box_config();
	struct iommu_request r;
	struct box box;
	uint64_t root[2], other[4];

	(void)state;
	for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
		for (unsigned steps = 1; steps < 32 / quantum; steps++) {
			unsigned wanted;

			config.quantum = quantum;
			assert_int_equal(box_open(&box, &config), 0);
			box_tables(&box);
			root[0] = box_page(&box);
			root[1] = box_page(&box);
			map_v1(&box, root[0], 4, IOVA, PHYS);
			map_v1(&box, root[1], 4, IOVA, PHYS + PAGE);
			memcpy(other, dte_v1(&box, RID, 6, 4, root[1]), 32);
			dte_v1(&box, RID, DOM, 4, root[0]);
			r = request(RID, NP, IOVA, R);
			iommu_model_begin(&box.model, &r);
			iommu_model_step(&box.model, &r); /* look-up */
			if (!box_plain) {
				box.script = upper_first;
				box.script_length = quantum == 16 ? 1 : 0;
			}
			for (unsigned i = 0; i < steps; i++)
				iommu_model_step(&box.model, &r);
			memcpy(dte(&box, RID), other, 32);
			while (r.state == IOMMU_REQUEST_RUNNING)
				iommu_model_step(&box.model, &r);
			iommu_model_end(&box.model, &r);
			assert_int_equal(r.state, IOMMU_REQUEST_DONE);
			/* The root: with the first quantum of 64 bits, or with the lower half. */
			wanted = quantum == 16 && !box_plain ? 1 : 0;
			assert_int_equal(r.phys, PHYS + wanted * PAGE);
			/* The tag that it is cached under: a quantum of 64 bits tears it off. */
			dte_v1(&box, RID, quantum == 8 && steps == 1 ? 6 : wanted ? 6 : DOM, 4, box_page(&box));
			inv_dte(&box, RID);
			assert_done(go(&box, RID, NP, IOVA, R), PHYS + wanted * PAGE);
			box_close(&box);
		}
	}
}

/* ---- Host tables ---- */

static void v1_levels_and_page_sizes(void **state)
{
	(void)state;
	for (unsigned levels = 1; levels <= 6; levels++) {
		for (unsigned leaf = 1; leaf <= levels && leaf <= 5; leaf++) {
			unsigned own = 12 + 9 * (leaf - 1);

			for (unsigned bits = own; bits < own + 9 && bits < 52; bits++) {
				uint64_t top = levels == 6 ? 0 : 1ull << (12 + 9 * levels);
				uint64_t size = 1ull << bits;
				uint64_t iova = top - 2 * size;
				uint64_t phys = bits < 51 ? 1ull << 51 : 0;
				struct box box;
				uint64_t root, entry;

				if (bits + 1 >= 12 + 9 * levels)
					iova = 0;
				open_box(&box);
				root = box_page(&box);
				entry = phys | V1_RW;
				if (bits > own)
					entry |= V1_NEXT(7) | ((size - 1) & ~0xfffull) >> 1;
				entry &= ~0ull << 12 | 0xfff;
				if (bits > own) /* low address bits: ones, and a zero at the top */
					entry = (entry & ~((size - 1) & 0x000ffffffffff000ull)) | (((size >> 1) - 1) & ~0xfffull);
				/* Software writes the entry to every place that the page covers; one is enough here. */
				*v1_at(&box, root, levels, iova, leaf) = entry;
				dte_v1(&box, RID, DOM, levels, root);
				for (unsigned pass = 0; pass < 2; pass++) {
					struct iommu_request r = go(&box, RID, NP, iova + 0xffd, R | W);

					assert_done(r, phys + 0xffd);
					assert_int_equal(r.size, size);
					assert_int_equal(r.rights, R | W);
				}
				if (top) {
					assert_fault(go(&box, RID, NP, top, R), PAGE_FAULT(PR));
					assert_fault(go(&box, RID, NP, ~0ull, R), PAGE_FAULT(PR));
				}
				box_close(&box);
			}
		}
	}
}

static void v1_illegal_page_sizes(void **state)
{
	struct box box;
	uint64_t root, *entry;

	(void)state;
	open_v1(&box, 4, &root);
	/* Level 2: 4M to 512M; a size that is 2M, or 1G, isn't coded with 7. */
	for (unsigned bits = 13; bits <= 52; bits++) {
		uint64_t size = 1ull << bits;

		entry = v1_at(&box, root, 4, 1ull << 39, 2);
		*entry = (((size >> 1) - 1) & ~0xfffull) | V1_NEXT(7) | V1_RW;
		if (bits > 21 && bits < 30)
			assert_done(fresh(&box, 1ull << 39, R), 0);
		else
			assert_fault(fresh(&box, 1ull << 39, R), PAGE_FAULT(PR));
	}
	*entry = 0x000ffffffffff000ull | V1_NEXT(7) | V1_RW;
	assert_fault(fresh(&box, 1ull << 39, R), PAGE_FAULT(PR));
	/* Level 6 has no pages: there are 52 bits of physical addresses. */
	{
		uint64_t *top;

		dte_v1(&box, RID, DOM, 6, box_page(&box));
		top = at(&box, GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte(&box, RID)));
		*top = V1_RW;
		assert_fault(fresh(&box, 0, R), PAGE_FAULT(PR));
		*top = 0x000ffffffffff000ull | V1_NEXT(7) | V1_RW;
		assert_fault(fresh(&box, 0, R), PAGE_FAULT(PR));
		dte_v1(&box, RID, DOM, 4, root);
	}
	/* The level's own size must be aligned. */
	*entry = 0x201000 | V1_RW;
	assert_fault(fresh(&box, 1ull << 39, R), PAGE_FAULT(PR | RZ));
	*entry = 0x200000 | V1_RW;
	assert_done(fresh(&box, (1ull << 39) + 0x1fffff, R), 0x3fffff);
	box_close(&box);
}

static void v1_level_skipping(void **state)
{
	struct box box;
	uint64_t root, table, *entry;

	(void)state;
	open_box(&box);
	root = box_page(&box);
	table = box_page(&box);
	entry = at(&box, root + 8); /* level 5, index 1 */
	*entry = table | V1_NEXT(1) | V1_RW;
	*at(&box, table + 3 * 8) = PHYS | V1_RW;
	dte_v1(&box, RID, DOM, 5, root);
	for (unsigned pass = 0; pass < 2; pass++) { /* the second from the page directory cache */
		assert_done(go(&box, RID, NP, (1ull << 48) + 0x3008, R), PHYS + 8);
		assert_fault(go(&box, RID, NP, (1ull << 48) + (1ull << 21) + 0x3000, R), PAGE_FAULT(PR));
		assert_fault(go(&box, RID, NP, (1ull << 48) + (1ull << 39) + 0x3000, R), PAGE_FAULT(PR));
		assert_fault(go(&box, RID, NP, (1ull << 48) + 0x4000, R), PAGE_FAULT(0));
		inv_pages(&box, DOM, 0, AMDVI_ALL_ADDRESSES, FLAG_S); /* leaves only */
	}
	/* The next level is a lower one. */
	for (unsigned next = 1; next < 7; next++) {
		*entry = table | V1_NEXT(next) | V1_RW;
		memset(at(&box, table), 0, 4096);
		*at(&box, table) = table | V1_NEXT(next) | V1_RW; /* a loop, if one were to follow it */
		assert_fault(fresh(&box, 1ull << 48, R), PAGE_FAULT(PR));
	}
	box_close(&box);
}

static void v1_permissions(void **state)
{
	(void)state;
	for (unsigned device = 0; device < 4; device++) {
		for (unsigned upper = 0; upper < 4; upper++) {
			for (unsigned lower = 0; lower < 4; lower++) {
				for (unsigned access = 1; access < 4; access++) {
					uint32_t why = PAGE_FAULT(PR | PE | (access & W ? RW : 0));
					uint64_t rw = BITS(AMDVI_V1, IR) | BITS(AMDVI_V1, IW);
					struct box box;
					uint64_t root;

					open_v1(&box, 4, &root);
					*v1_at(&box, root, 4, IOVA, 1) &= ~rw;
					*v1_at(&box, root, 4, IOVA, 1) |= (uint64_t)lower << 61;
					*v1_at(&box, root, 4, IOVA, 3) &= ~rw;
					*v1_at(&box, root, 4, IOVA, 3) |= (uint64_t)upper << 61;
					SET(AMDVI_DTE, IR, dte(&box, RID), device & 1);
					SET(AMDVI_DTE, IW, dte(&box, RID), device >> 1);
					for (unsigned pass = 0; pass < 2; pass++) {
						struct iommu_request r = go(&box, RID, NP, IOVA, access);

						if (access & ~(device & upper & lower)) {
							assert_fault(r, why);
							expect_event(&box, why, RID, DOM, IOVA);
						} else {
							assert_done(r, PHYS);
							assert_int_equal(r.rights, device & upper & lower);
						}
					}
					box_close(&box);
				}
			}
		}
	}
}

/* A line says what the tables allow; the device table entry is asked for each request. */
static void permissions_from_the_cache(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	dte_v1(&box, RID2, DOM, 4, root);
	SET(AMDVI_DTE, IW, dte(&box, RID2), 0);
	assert_done(go(&box, RID2, NP, IOVA, R), PHYS);
	box.reads = 0;
	assert_done(go(&box, RID, NP, IOVA, W), PHYS);
	assert_int_equal(box.reads, 4); /* the entry: two quanta of two words, no table */
	assert_fault(go(&box, RID2, NP, IOVA, W), PAGE_FAULT(PR | PE | RW));
	/* Read-only pages. */
	*v1_at(&box, root, 4, IOVA, 1) &= ~BITS(AMDVI_V1, IW);
	inv_domain(&box, DOM);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_fault(go(&box, RID, NP, IOVA, W), PAGE_FAULT(PR | PE | RW));
	box_close(&box);
}

static void v1_reserved_bits(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	open_v1(&box, 4, &root);
	for (unsigned level = 4; level >= 1; level--) {
		uint64_t *entry = v1_at(&box, root, 4, IOVA, level), old = *entry;

		for (unsigned bit = 1; bit < 64; bit++) {
			bool reserved = (bit >= 52 && bit < 59) || (level > 1 && (bit == 59 || bit == 60));

			if ((bit >= 9 && bit < 52) || bit == 61 || bit == 62)
				continue;
			*entry = old ^ 1ull << bit;
			if (reserved)
				assert_fault(fresh(&box, IOVA, R), PAGE_FAULT(PR | RZ));
			else
				assert_done(fresh(&box, IOVA, R), PHYS);
			*entry = old;
		}
		/* What isn't present has no reserved bits. */
		*entry = ~1ull;
		assert_fault(fresh(&box, IOVA, R), PAGE_FAULT(0));
		*entry = 0;
		assert_fault(fresh(&box, IOVA, W), PAGE_FAULT(RW));
		drop_events(&box);
		/* A table that can't be read. */
		if (level > 1) {
			*entry = BOX_BYTES | V1_NEXT(level - 1) | V1_RW;
			assert_fault(fresh(&box, IOVA, R), REASON(AMDVI_EVENT_TABLE_HARDWARE, TYPE(1)));
		}
		*entry = old;
		drop_events(&box);
	}
	*v1_at(&box, root, 4, IOVA, 4) = BOX_BYTES | V1_NEXT(3) | V1_RW;
	assert_fault(fresh(&box, IOVA, R), REASON(AMDVI_EVENT_TABLE_HARDWARE, TYPE(1)));
	expect_event(&box, REASON(AMDVI_EVENT_TABLE_HARDWARE, TYPE(1)), RID, DOM, BOX_BYTES + (IOVA >> 30 & 511) * 8);
	box_close(&box);
}

static void v1_accessed_and_dirty(void **state)
{
	const uint64_t a = BITS(AMDVI_V1, A), d = BITS(AMDVI_V1, D);
	struct box box;
	uint64_t root, *leaf, *upper;

	(void)state;
	for (unsigned had = 0; had < 4; had++) {
		if (had == 2)
			continue;
		open_v1(&box, 4, &root);
		SET(AMDVI_DTE, HAD, dte(&box, RID), had);
		leaf = v1_at(&box, root, 4, IOVA, 1);
		upper = v1_at(&box, root, 4, IOVA, 2);
		assert_done(go(&box, RID, NP, IOVA, R), PHYS);
		assert_int_equal(*leaf & (a | d), had ? a : 0);
		assert_int_equal(*upper & (a | d), had ? a : 0);
		assert_int_equal(box.dirtied, had ? 4 : 0);
		/* The first write walks again, because of D. */
		assert_done(go(&box, RID, NP, IOVA, W), PHYS);
		assert_int_equal(*leaf & (a | d), had == 3 ? a | d : had ? a : 0);
		assert_int_equal(*upper & (a | d), had ? a : 0);
		/* From the IOTLB: not a second time. */
		*leaf &= ~(a | d);
		assert_done(go(&box, RID, NP, IOVA, W), PHYS);
		assert_int_equal(*leaf & (a | d), 0);
		inv_domain(&box, DOM);
		assert_done(go(&box, RID, NP, IOVA, W), PHYS);
		assert_int_equal(*leaf & (a | d), had == 3 ? a | d : had ? a : 0);
		/* Others keep writing: it tries again, and gives up in the end. */
		*leaf &= ~(a | d);
		inv_domain(&box, DOM);
		box.cas_failures = 5;
		assert_done(go(&box, RID, NP, IOVA, W), PHYS);
		if (had) {
			*leaf &= ~(a | d);
			inv_domain(&box, DOM);
			box.cas_failures = 1000;
			assert_fault(go(&box, RID, NP, IOVA, W), REASON(AMDVI_EVENT_TABLE_HARDWARE, RW | TYPE(1)));
		}
		box_close(&box);
	}
	/* No flags for who is refused. */
	open_v1(&box, 4, &root);
	SET(AMDVI_DTE, HAD, dte(&box, RID), 3);
	leaf = v1_at(&box, root, 4, IOVA, 1);
	*leaf &= ~BITS(AMDVI_V1, IW);
	assert_fault(go(&box, RID, NP, IOVA, W), PAGE_FAULT(PR | PE | RW));
	assert_int_equal(*leaf & (a | d), 0);
	box_close(&box);
}

static void np_cache(void **state)
{
	struct box box;
	uint64_t root;

	(void)state;
	for (unsigned on = 0; on < 2; on++) {
		open_box_with(&box, 0, 0, on ? AMDVI_MODEL_NPCACHE : 0);
		root = box_page(&box);
		dte_v1(&box, RID, DOM, 4, root);
		assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(0));
		map_v1(&box, root, 4, IOVA, PHYS);
		if (on) {
			assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(0));
			inv_pages(&box, DOM, 0, IOVA, 0);
		}
		assert_done(go(&box, RID, NP, IOVA, R), PHYS);
		box_close(&box);
	}
}

/* ---- Guest tables ---- */

static void v2_levels_and_page_sizes(void **state)
{
	(void)state;
	for (unsigned levels = 4; levels <= 5; levels++) {
		for (unsigned leaf = 1; leaf <= 3; leaf++) {
			uint64_t half = 1ull << (12 + 9 * levels - 1);
			uint64_t size = 1ull << (12 + 9 * (leaf - 1));
			uint64_t iova = half - 2 * size, high = 0 - half, phys = 5ull << 39;
			struct box box;
			uint64_t gcr3, root;

			open_v2(&box, levels, 0, &gcr3, &root);
			*v2_at(&box, root, levels, iova, leaf) = phys | V2_RWU | (leaf > 1 ? V2_PS : 0);
			*v2_at(&box, root, levels, high, leaf) = phys | V2_RWU | (leaf > 1 ? V2_PS : 0);
			for (unsigned pass = 0; pass < 2; pass++) {
				struct iommu_request r = go(&box, RID, NP, iova + size - 3, R | W);

				assert_done(r, phys + size - 3);
				assert_int_equal(r.size, size);
				assert_int_equal(r.rights, R | W);
				assert_done(go(&box, RID, 0, high, R), phys);
			}
			assert_fault(go(&box, RID, NP, half, R), PAGE_FAULT(GN | US));
			assert_fault(go(&box, RID, NP, 0 - half - 1, R), PAGE_FAULT(GN | US));
			assert_fault(go(&box, RID, NP, iova + size, W), PAGE_FAULT(GN | US | RW));
			box_close(&box);
		}
	}
}

static void gcr3_tables(void **state)
{
	(void)state;
	for (unsigned glx = 0; glx <= 2; glx++) {
		unsigned bits = glx == 2 ? 20 : 9 * (glx + 1);
		unsigned pasid = (1u << bits) - 2;
		struct box box;
		uint64_t gcr3, root, *entry;

		open_v2(&box, 4, glx, &gcr3, &root);
		*gcr3_at(&box, gcr3, glx, pasid) = root | 1 | 0x18; /* PWT and PCD */
		assert_done(go(&box, RID, pasid, IOVA, R), PHYS);
		assert_fault(go(&box, RID, pasid + 1, IOVA, R), PAGE_FAULT(GN | US));
		expect_event(&box, PAGE_FAULT(GN | US), RID, pasid + 1, IOVA);
		assert_fault(go(&box, RID, 1u << bits, IOVA, R), PAGE_FAULT(GN | US));
		assert_fault(go(&box, RID, 0xfffffff, IOVA, R), PAGE_FAULT(GN | US));
		drop_events(&box);
		for (unsigned level = 0; level <= glx; level++) {
			uint64_t table = gcr3, old;

			for (unsigned n = glx; n > level; n--)
				table = *at(&box, table + (pasid >> (9 * n) & 511) * 8) & ~0xfffull;
			entry = at(&box, table + (pasid >> (9 * level) & 511) * 8);
			old = *entry;
			for (unsigned bit = 1; bit < 64; bit++) {
				if ((bit >= 12 && bit < 52) || bit == 3 || bit == 4)
					continue;
				*entry = old | 1ull << bit;
				assert_fault(fresh_pasid(&box, pasid, IOVA, R), PAGE_FAULT(GN | US | PR | RZ));
				drop_events(&box);
			}
			*entry = old & ~1ull;
			assert_fault(fresh_pasid(&box, pasid, IOVA, R), PAGE_FAULT(GN | US));
			drop_events(&box);
			*entry = BOX_BYTES | 1;
			assert_fault(fresh_pasid(&box, pasid, IOVA, R), REASON(AMDVI_EVENT_TABLE_HARDWARE, GN | TYPE(1)));
			drop_events(&box);
			*entry = old;
		}
		amdvi_dte_set_gcr3(dte(&box, RID), BOX_BYTES);
		assert_fault(fresh_pasid(&box, pasid, IOVA, R), REASON(AMDVI_EVENT_TABLE_HARDWARE, GN | TYPE(1)));
		expect_event(&box, REASON(AMDVI_EVENT_TABLE_HARDWARE, GN | TYPE(1)), RID, pasid,
			     BOX_BYTES + (pasid >> (9 * glx) & 511) * 8);
		box_close(&box);
	}
}

static void pasid_limits(void **state)
{
	uint64_t efr = amdvi_model_default_efr(), gcr3, root;
	struct box box;

	(void)state;
	SET(AMDVI_EFR, PAS_MAX, &efr, 7); /* 8 bits */
	open_box_with(&box, efr, 0, 0);
	gcr3 = box_page(&box);
	root = box_page(&box);
	map_v2(&box, root, 4, IOVA, PHYS);
	*gcr3_at(&box, gcr3, 0, 0xff) = root | 1;
	*gcr3_at(&box, gcr3, 0, 0x100) = root | 1;
	dte_v2(&box, RID, DOM, 4, 0, gcr3);
	assert_done(go(&box, RID, 0xff, IOVA, R), PHYS);
	assert_fault(go(&box, RID, 0x100, IOVA, R), PAGE_FAULT(GN | US));
	/* Without GIoV, requests without PASID use the host's tables: none here. */
	SET(AMDVI_DTE, GIOV, dte(&box, RID), 0);
	assert_true(inv_all(&box));
	assert_done(go(&box, RID, NP, IOVA, R), IOVA);
	assert_done(go(&box, RID, 0xff, IOVA, R), PHYS);
	/* Without GV there is nothing for a request with PASID. */
	dte_identity(&box, RID, DOM);
	assert_true(inv_all(&box));
	drop_events(&box);
	assert_fault(go(&box, RID, 0xff, IOVA, R), PAGE_FAULT(GN));
	expect_event(&box, PAGE_FAULT(GN), RID, 0xff, IOVA);
	box_close(&box);
}

static void v2_permissions(void **state)
{
	static const unsigned accesses[] = { R, W, R | W, R | X, R | IOMMU_PRIV, W | IOMMU_PRIV };

	(void)state;
	for (unsigned user = 0; user < 2; user++) {
		for (unsigned write = 0; write < 2; write++) {
			for (unsigned nx = 0; nx < 2; nx++) {
				for (unsigned level = 1; level <= 3; level += 2) {
					for (unsigned i = 0; i < sizeof(accesses) / sizeof(*accesses); i++) {
						unsigned access = accesses[i];
						bool supervisor = access & IOMMU_PRIV;
						bool denied = (!user && !supervisor) || (!write && (access & W)) ||
							      (nx && (access & X));
						uint32_t why = PAGE_FAULT(GN | PR | PE | (supervisor ? 0 : US) |
									  (access & W ? RW : 0) | (access & X ? NX : 0));
						struct box box;
						uint64_t gcr3, root, *entry;

						open_v2(&box, 4, 0, &gcr3, &root);
						*gcr3_at(&box, gcr3, 0, 9) = root | 1;
						entry = v2_at(&box, root, 4, IOVA, level);
						*entry = (*entry & ~6ull) | write << 1 | user << 2 | (uint64_t)nx << 63;
						for (unsigned pass = 0; pass < 2; pass++) {
							struct iommu_request r = go(&box, RID, 9, IOVA, access);

							if (denied) {
								assert_fault(r, why);
								expect_event(&box, why, RID, 9, IOVA);
							} else {
								assert_done(r, PHYS);
							}
						}
						box_close(&box);
					}
				}
			}
		}
	}
}

/* IR and IW of the device table entry hold here, too. */
static void v2_and_the_entry(void **state)
{
	struct box box;
	uint64_t gcr3, root;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	SET(AMDVI_DTE, IW, dte(&box, RID), 0);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_fault(go(&box, RID, NP, IOVA, W), PAGE_FAULT(GN | US | PR | PE | RW));
		assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	}
	box_close(&box);
}

static void v2_reserved_bits(void **state)
{
	struct box box;
	uint64_t gcr3, root;

	(void)state;
	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		open_v2(&box, 5, 0, &gcr3, &root);
		*v2_at(&box, root, 5, 1ull << 39, leaf) = 1ull << 40 | V2_RWU | (leaf > 1 ? V2_PS : 0);
		for (unsigned level = 5; level >= leaf; level--) {
			uint64_t *entry = v2_at(&box, root, 5, 1ull << 39, level), old = *entry;

			for (unsigned bit = 3; bit < 63; bit++) {
				bool reserved = bit == 7 && level > 3;
				bool pat = level == leaf && leaf > 1 && bit == 12;

				reserved |= level == leaf && leaf > 1 && bit > 12 && bit < 12 + 9 * (leaf - 1);
				if (!reserved && ((bit >= 12 && bit < 52 && !pat) || (bit == 7 && level > 1)))
					continue;
				*entry = old | 1ull << bit;
				if (reserved)
					assert_fault(fresh(&box, 1ull << 39, R), PAGE_FAULT(GN | US | PR | RZ));
				else
					assert_int_equal(fresh(&box, 1ull << 39, R).state, IOMMU_REQUEST_DONE);
				*entry = old;
				drop_events(&box);
			}
		}
		box_close(&box);
	}
	/* NX without NXSup; US without USSup. */
	open_box_with(&box, amdvi_model_default_efr() & ~(BITS(AMDVI_EFR, NX_SUP) | BITS(AMDVI_EFR, US_SUP)), 0, 0);
	gcr3 = box_page(&box);
	root = box_page(&box);
	*gcr3_at(&box, gcr3, 0, 0) = root | 1;
	dte_v2(&box, RID, DOM, 4, 0, gcr3);
	*map_v2(&box, root, 4, IOVA, PHYS) |= 1ull << 63;
	assert_fault(fresh(&box, IOVA, R), PAGE_FAULT(GN | US | PR | RZ));
	*map_v2(&box, root, 4, IOVA, PHYS) &= ~4ull;
	assert_done(fresh(&box, IOVA, R), PHYS);
	box_close(&box);
}

static void v2_accessed_and_dirty(void **state)
{
	const uint64_t a = BITS(AMDVI_V2, A), d = BITS(AMDVI_V2, D);
	struct box box;
	uint64_t gcr3, root, *leaf;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	leaf = v2_at(&box, root, 4, IOVA, 1);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_int_equal(*leaf & (a | d), a);
	assert_int_equal(*v2_at(&box, root, 4, IOVA, 2) & (a | d), a);
	assert_done(go(&box, RID, NP, IOVA, W), PHYS);
	assert_int_equal(*leaf & (a | d), a | d);
	assert_int_equal(*v2_at(&box, root, 4, IOVA, 2) & (a | d), a);
	*leaf &= ~(a | d);
	assert_done(go(&box, RID, NP, IOVA, W), PHYS);
	assert_int_equal(*leaf & (a | d), 0);
	/* Software overtakes: then its entry counts. */
	inv_pasid(&box, DOM, 0);
	box.cas_failures = 3;
	assert_done(go(&box, RID, NP, IOVA, W), PHYS);
	*leaf &= ~(a | d);
	inv_pasid(&box, DOM, 0);
	box.cas_failures = 1000;
	assert_fault(go(&box, RID, NP, IOVA, W), REASON(AMDVI_EVENT_TABLE_HARDWARE, GN | RW | TYPE(1)));
	box_close(&box);
}

/* ---- Nested ---- */

struct nest {
	struct box box;
	uint64_t host, gcr3, guest;	/* the guest's tables by their guest physical addresses: + GPA */
};
#define GPA 0x40000000ull
#define GPHYS 0x55555000ull

static void nest_map(struct nest *n, uint64_t page)
{
	map_v1(&n->box, n->host, 4, GPA + page, page);
}

/* The guest's tables lie at `page` in memory, and at GPA + page for the guest. */
static void open_nest(struct nest *n, unsigned glx, bool gcr3_gpa)
{
	uint64_t table, *entry;

	open_box(&n->box);
	n->host = box_page(&n->box);
	n->gcr3 = box_page(&n->box);
	n->guest = box_page(&n->box);
	nest_map(n, n->guest);
	table = n->guest;
	for (unsigned level = 4; level > 1; level--) {
		entry = at(&n->box, table + (IOVA >> (12 + 9 * (level - 1)) & 511) * 8);
		table = box_page(&n->box);
		nest_map(n, table);
		*entry = (GPA + table) | V2_RWU;
	}
	*at(&n->box, table + (IOVA >> 12 & 511) * 8) = GPHYS | V2_RWU;
	map_v1(&n->box, n->host, 4, GPHYS, PHYS);
	table = n->gcr3;
	for (unsigned level = glx; level > 0; level--) {
		uint64_t next = box_page(&n->box);

		*at(&n->box, table) = (gcr3_gpa ? GPA + next : next) | 1;
		if (gcr3_gpa)
			nest_map(n, next);
		table = next;
	}
	*at(&n->box, table + 3 * 8) = (GPA + n->guest) | 1;
	if (gcr3_gpa) {
		nest_map(n, n->gcr3);
		set_reg(&n->box, AMDVI_REG_CONTROL, CONTROL_ON | BITS(AMDVI_CONTROL, GCR3_TRP_MODE));
	}
	dte_v2(&n->box, RID, DOM, 4, glx, gcr3_gpa ? GPA + n->gcr3 : n->gcr3);
	SET(AMDVI_DTE, MODE, dte(&n->box, RID), 4);
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte(&n->box, RID), n->host);
}

static uint64_t *guest_leaf(struct nest *n)
{
	uint64_t table = n->guest;

	for (unsigned level = 4; level > 1; level--)
		table = (*at(&n->box, table + (IOVA >> (12 + 9 * (level - 1)) & 511) * 8) & 0x000ffffffffff000ull) - GPA;
	return at(&n->box, table + (IOVA >> 12 & 511) * 8);
}

static void nested_translation(void **state)
{
	struct nest n;

	(void)state;
	for (unsigned gpa = 0; gpa < 2; gpa++) {
		for (unsigned glx = 0; glx <= 2; glx++) {
			struct iommu_request r;

			open_nest(&n, glx, gpa);
			for (unsigned pass = 0; pass < 2; pass++) {
				r = go(&n.box, RID, 3, IOVA + 5, R | W);
				assert_done(r, PHYS + 5);
				assert_int_equal(r.size, 4096);
			}
			/* Requests without PASID use PASID 0, which has no tables; without GIoV the host's alone. */
			assert_fault(go(&n.box, RID, NP, IOVA, R), PAGE_FAULT(GN | US));
			SET(AMDVI_DTE, GIOV, dte(&n.box, RID), 0);
			inv_dte(&n.box, RID);
			assert_done(go(&n.box, RID, NP, GPHYS, R), PHYS);
			box_close(&n.box);
		}
	}
}

static void nested_faults(void **state)
{
	struct nest n;
	uint64_t *leaf, *host, old;

	(void)state;
	open_nest(&n, 0, false);
	/* The guest's fault: its address, its PASID. */
	leaf = guest_leaf(&n);
	old = *leaf;
	*leaf = 0;
	assert_fault(fresh_pasid(&n.box, 3, IOVA, R), PAGE_FAULT(GN | US));
	expect_event(&n.box, PAGE_FAULT(GN | US), RID, 3, IOVA);
	*leaf = old & ~2ull;
	assert_fault(fresh_pasid(&n.box, 3, IOVA, W), PAGE_FAULT(GN | US | PR | PE | RW));
	drop_events(&n.box);
	*leaf = old;
	/* The host's: a guest physical address, and the DomainID. */
	host = v1_at(&n.box, n.host, 4, GPHYS, 1);
	old = *host;
	*host = 0;
	assert_fault(fresh_pasid(&n.box, 3, IOVA + 8, R), PAGE_FAULT(0));
	expect_event(&n.box, PAGE_FAULT(0), RID, DOM, GPHYS + 8);
	*host = old & ~BITS(AMDVI_V1, IW);
	assert_fault(fresh_pasid(&n.box, 3, IOVA, W), PAGE_FAULT(PR | PE | RW));
	expect_event(&n.box, PAGE_FAULT(PR | PE | RW), RID, DOM, GPHYS);
	for (unsigned pass = 0; pass < 2; pass++)
		assert_done(go(&n.box, RID, 3, IOVA, R), PHYS);
	*host = old;
	/* The guest's tables may not be written: its flags can't be set. */
	*leaf &= ~0x60ull;
	host = v1_at(&n.box, n.host, 4, GPA + n.guest, 1);
	old = *host;
	*at(&n.box, n.guest + (IOVA >> 39 & 511) * 8) &= ~0x20ull;
	*host = old & ~BITS(AMDVI_V1, IW);
	assert_fault(fresh_pasid(&n.box, 3, IOVA, R), PAGE_FAULT(PR | PE));
	expect_event(&n.box, PAGE_FAULT(PR | PE), RID, DOM, GPA + n.guest + (IOVA >> 39 & 511) * 8);
	/* Nor read. */
	*host = old & ~BITS(AMDVI_V1, IR);
	assert_fault(fresh_pasid(&n.box, 3, IOVA, R), PAGE_FAULT(PR | PE));
	*host = old;
	assert_done(fresh_pasid(&n.box, 3, IOVA, R), PHYS);
	/* Beyond the host's tables. */
	*leaf = 1ull << 50 | V2_RWU;
	drop_events(&n.box);
	assert_fault(fresh_pasid(&n.box, 3, IOVA, R), PAGE_FAULT(PR));
	expect_event(&n.box, PAGE_FAULT(PR), RID, DOM, 1ull << 50);
	box_close(&n.box);
}

static void nested_flags_and_sizes(void **state)
{
	struct iommu_request r;
	struct nest n;
	uint64_t *host;

	(void)state;
	open_nest(&n, 0, false);
	SET(AMDVI_DTE, HAD, dte(&n.box, RID), 3);
	assert_done(fresh_pasid(&n.box, 3, IOVA, R), PHYS);
	host = v1_at(&n.box, n.host, 4, GPHYS, 1);
	assert_int_equal(*host & 0x60, 0x20);
	/* Where the guest's own flags live counts as written. */
	assert_int_equal(*v1_at(&n.box, n.host, 4, GPA + n.guest, 1) & 0x60, 0x60);
	assert_done(go(&n.box, RID, 3, IOVA, W), PHYS);
	assert_int_equal(*host & 0x60, 0x60);
	assert_int_equal(*guest_leaf(&n) & 0x60, 0x60);
	/* A page is as large as the smaller one of the two. */
	*v1_at(&n.box, n.host, 4, 1ull << 36, 2) = 0x2000000 | V1_RW | 0x60;
	*guest_leaf(&n) = ((1ull << 36) + 0x5000) | V2_RWU | 0x60;
	r = fresh_pasid(&n.box, 3, IOVA, R);
	assert_done(r, 0x2005000);
	assert_int_equal(r.size, 4096);
	box_close(&n.box);
}

/* ---- Invalidation ---- */

static void only_its_own_device(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	dte_identity(&box, RID, DOM);
	dte_identity(&box, RID2, DOM);
	go(&box, RID, NP, IOVA, R);
	go(&box, RID2, NP, IOVA, R);
	memset(dte(&box, RID), 0, 32);
	dte_blocked(&box, RID2);
	assert_true(inv_dte(&box, RID));
	assert_done(go(&box, RID2, NP, IOVA, R), IOVA);
	assert_true(inv_dte(&box, RID2));
	assert_fault(go(&box, RID2, NP, IOVA, R), PAGE_FAULT(0));
	box_close(&box);
}

static void page_invalidation_by_domain(void **state)
{
	static const struct {
		unsigned domain, flags;
		uint64_t addr;
		bool gone[4];
	} cases[] = {
		{ DOM, 0, IOVA, { true, false, false, false } },
		{ DOM, 0, IOVA + PAGE, { false, true, false, false } },
		{ DOM, FLAG_S, 0x12344000, { true, false, false, false } },		/* 8K: lowest zero is bit 12 */
		{ DOM, FLAG_S, IOVA, { true, true, false, false } },			/* 16K: 12344000 to 12347fff */
		{ DOM, FLAG_S, 0x12347000, { true, true, true, false } },		/* 64K: 12340000 to 1234ffff */
		{ DOM, FLAG_S, 0x1237f000, { true, true, true, false } },		/* 1M */
		{ DOM, FLAG_S, 0x3ffff000, { true, true, true, false } },		/* 2G: 0 to 7fffffff */
		{ DOM, FLAG_S, 0x7fffffffffff000, { true, true, true, true } },	/* 2^60 */
		{ DOM, FLAG_S | FLAG_PDE, AMDVI_ALL_ADDRESSES, { true, true, true, true } },
		{ DOM, FLAG_S, ~0xfffull, { true, true, true, true } },
		{ DOM + 1, FLAG_S | FLAG_PDE, AMDVI_ALL_ADDRESSES, { false, false, false, false } },
		{ DOM, FLAG_GN | FLAG_S | FLAG_PDE, AMDVI_ALL_ADDRESSES, { false, false, false, false } },
	};
	static const uint64_t iova[4] = { IOVA, IOVA + PAGE, IOVA + 3 * PAGE, 1ull << 33 };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct box box;
		uint64_t root;

		open_v1(&box, 4, &root);
		for (unsigned k = 0; k < 4; k++) {
			map_v1(&box, root, 4, iova[k], PHYS + k * PAGE);
			assert_done(go(&box, RID, NP, iova[k], R), PHYS + k * PAGE);
			*v1_at(&box, root, 4, iova[k], 1) = 0;
		}
		assert_true(inv_pages(&box, cases[i].domain, 0, cases[i].addr, cases[i].flags));
		for (unsigned k = 0; k < 4; k++) {
			if (cases[i].gone[k])
				assert_fault(go(&box, RID, NP, iova[k], R), PAGE_FAULT(0));
			else
				assert_done(go(&box, RID, NP, iova[k], R), PHYS + k * PAGE);
		}
		box_close(&box);
	}
}

static void page_directory_cache(void **state)
{
	struct box box;
	uint64_t root, other;

	(void)state;
	open_v1(&box, 4, &root);
	map_v1(&box, root, 4, IOVA + PAGE, PHYS + PAGE);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	/* Another table behind the level 2 entry. */
	other = box_page(&box);
	*at(&box, other + (IOVA >> 12 & 511) * 8) = (PHYS + 8 * PAGE) | V1_RW;
	*at(&box, other + ((IOVA + PAGE) >> 12 & 511) * 8) = (PHYS + 9 * PAGE) | V1_RW;
	*v1_at(&box, root, 4, IOVA, 2) = other | V1_NEXT(1) | V1_RW;
	assert_true(inv_pages(&box, DOM, 0, IOVA, 0));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS); /* PDE=0: through the old table */
	assert_done(go(&box, RID, NP, IOVA + PAGE, R), PHYS + PAGE);
	assert_true(inv_pages(&box, DOM, 0, IOVA, FLAG_PDE));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + 8 * PAGE);
	assert_done(go(&box, RID, NP, IOVA + PAGE, R), PHYS + PAGE); /* its own line */
	/* A range that the line doesn't touch leaves it. */
	*at(&box, other + (IOVA >> 12 & 511) * 8) = (PHYS + 7 * PAGE) | V1_RW;
	*v1_at(&box, root, 4, IOVA, 2) = 0;
	assert_true(inv_pages(&box, DOM, 0, 1ull << 35, FLAG_PDE));
	assert_true(inv_pages(&box, DOM, 0, IOVA, 0));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + 7 * PAGE);
	/* The root isn't in the tag: a device with another root and the same DomainID uses the lines. */
	dte_v1(&box, RID2, DOM, 4, box_page(&box));
	assert_done(go(&box, RID2, NP, IOVA, R), PHYS + 7 * PAGE);
	assert_true(inv_domain(&box, DOM));
	assert_fault(go(&box, RID2, NP, IOVA, R), PAGE_FAULT(0));
	box_close(&box);
}

/* A large page is cached in pieces: who flushes a part of it has flushed that part. */
static void a_part_of_a_large_page(void **state)
{
	struct box box;
	uint64_t root, iova = 0x40000000;

	(void)state;
	open_v1(&box, 4, &root);
	for (unsigned i = 0; i < 16; i++) /* 64K */
		*v1_at(&box, root, 4, iova + i * PAGE, 1) = 0x800000 | 0x7000 | V1_NEXT(7) | V1_RW;
	assert_done(go(&box, RID, NP, iova, R), 0x800000);
	assert_done(go(&box, RID, NP, iova + 0xf123, R), 0x80f123);
	for (unsigned i = 0; i < 16; i++)
		*v1_at(&box, root, 4, iova + i * PAGE, 1) = 0;
	assert_true(inv_pages(&box, DOM, 0, iova, 0));
	assert_fault(go(&box, RID, NP, iova, R), PAGE_FAULT(0));
	assert_done(go(&box, RID, NP, iova + 0xf123, R), 0x80f123);
	assert_true(inv_pages(&box, DOM, 0, iova | 0x7000, FLAG_S));
	assert_fault(go(&box, RID, NP, iova + 0xf123, R), PAGE_FAULT(0));
	/* 4M: pieces of 2M. */
	for (unsigned i = 0; i < 2; i++)
		*v1_at(&box, root, 4, iova + i * 0x200000, 2) = 0x1000000 | 0x1ff000 | V1_NEXT(7) | V1_RW;
	assert_true(inv_domain(&box, DOM));
	assert_done(go(&box, RID, NP, iova + 0x1000, R), 0x1001000);
	box.reads = 0;
	assert_done(go(&box, RID, NP, iova + 0x1ff000, R), 0x11ff000);
	assert_int_equal(box.reads, 0);
	assert_done(go(&box, RID, NP, iova + 0x200000, R), 0x1200000);
	assert_true(box.reads > 0);
	box_close(&box);
}

static void page_invalidation_by_pasid(void **state)
{
	struct box box;
	uint64_t gcr3, root;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	*gcr3_at(&box, gcr3, 0, 1) = root | 1;
	for (unsigned pasid = 0; pasid < 2; pasid++)
		assert_done(go(&box, RID, pasid, IOVA, R), PHYS);
	*v2_at(&box, root, 4, IOVA, 1) = 0;
	/* GN=0 isn't about these, nor is another PASID, domain, address. */
	assert_true(inv_domain(&box, DOM));
	assert_true(inv_pasid(&box, DOM, 2));
	assert_true(inv_pasid(&box, DOM + 1, 0));
	assert_true(inv_pages(&box, DOM, 0, IOVA + PAGE, FLAG_GN | FLAG_PDE));
	for (unsigned pasid = 0; pasid < 2; pasid++)
		assert_done(go(&box, RID, pasid, IOVA, R), PHYS);
	assert_true(inv_pages(&box, DOM, 1, IOVA, FLAG_GN));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_fault(go(&box, RID, 1, IOVA, R), PAGE_FAULT(GN | US));
	assert_true(inv_pages(&box, DOM, 0, IOVA, FLAG_GN));
	assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(GN | US));
	box_close(&box);
}

/* A GCR3 entry is kept until its DomainID and PASID are flushed whole, with PDE; the device table entry doesn't matter. */
static void gcr3_cache(void **state)
{
	struct box box;
	uint64_t gcr3, root, other, table;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	other = box_page(&box);
	map_v2(&box, other, 4, IOVA, PHYS + PAGE);
	map_v2(&box, other, 4, IOVA + PAGE, PHYS + PAGE);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	*gcr3_at(&box, gcr3, 0, 0) = other | 1;
	assert_true(inv_dte(&box, RID));
	assert_fault(go(&box, RID, NP, IOVA + PAGE, R), PAGE_FAULT(GN | US));
	assert_true(inv_pages(&box, DOM, 0, AMDVI_ALL_ADDRESSES, FLAG_GN | FLAG_S)); /* no PDE */
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_true(inv_pages(&box, DOM, 0, IOVA, FLAG_GN | FLAG_PDE)); /* not whole */
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_true(inv_domain(&box, DOM));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_true(inv_pasid(&box, DOM, 0));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	/* Another GCR3 table under the same DomainID: stale, until both have been flushed. */
	table = box_page(&box);
	*gcr3_at(&box, table, 0, 0) = root | 1;
	amdvi_dte_set_gcr3(dte(&box, RID), table);
	assert_true(inv_dte(&box, RID));
	assert_done(go(&box, RID, NP, IOVA + PAGE, R), PHYS + PAGE);
	assert_true(inv_pasid(&box, DOM, 0));
	assert_fault(go(&box, RID, NP, IOVA + PAGE, R), PAGE_FAULT(GN | US));
	/* The other way round: the entry that is still cached leads to the old table again. */
	amdvi_dte_set_gcr3(dte(&box, RID), gcr3);
	assert_true(inv_pasid(&box, DOM, 0));
	assert_fault(go(&box, RID, NP, IOVA + PAGE, R), PAGE_FAULT(GN | US));
	box_close(&box);
}

static void nested_invalidation(void **state)
{
	struct nest n;

	(void)state;
	open_nest(&n, 0, false);
	assert_done(go(&n.box, RID, 3, IOVA, R), PHYS);
	*v1_at(&n.box, n.host, 4, GPHYS, 1) += PAGE;
	/* The host's page has moved; the nested line says nothing of it. */
	assert_done(go(&n.box, RID, 3, IOVA, R), PHYS);
	/* GN=0, any address: nested lines with the DomainID. */
	assert_true(inv_pages(&n.box, DOM + 1, 0, GPHYS, FLAG_PDE));
	assert_done(go(&n.box, RID, 3, IOVA, R), PHYS);
	assert_true(inv_pages(&n.box, DOM, 0, GPHYS, 0));
	assert_done(go(&n.box, RID, 3, IOVA, R), PHYS + PAGE);
	box_close(&n.box);
}

static void invalidate_all(void **state)
{
	struct box box;
	uint64_t gcr3, root, other;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	dte_identity(&box, RID2, DOM);
	other = box_page(&box);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_done(go(&box, RID2, NP, IOVA, R), IOVA);
	*gcr3_at(&box, gcr3, 0, 0) = other | 1;
	dte_blocked(&box, RID2);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_true(inv_all(&box));
	assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(GN | US));
	assert_fault(go(&box, RID2, NP, IOVA, R), PAGE_FAULT(0));
	box_close(&box);
}

/* ---- Device TLBs ---- */

static bool devtlb(struct box *box, unsigned rid, uint32_t pasid, uint64_t iova, unsigned access, uint64_t *phys)
{
	struct iommu_request r = request(rid, pasid, iova, access);
	uint32_t rights;

	return iommu_model_devtlb_lookup(&box->model, &r, phys, &rights);
}

static void device_tlb(void **state)
{
	struct iommu_request r;
	struct box box;
	uint64_t gcr3, root, phys;

	(void)state;
	open_v2(&box, 4, 0, &gcr3, &root);
	*gcr3_at(&box, gcr3, 0, 9) = root | 1;
	assert_false(devtlb(&box, RID, NP, IOVA, R, &phys));
	r = go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS);
	assert_int_equal(r.rights, R); /* D isn't set: not told that it may write */
	assert_true(devtlb(&box, RID, NP, IOVA + 0x123, R, &phys));
	assert_int_equal(phys, PHYS + 0x123);
	assert_false(devtlb(&box, RID, NP, IOVA, W, &phys));
	assert_false(devtlb(&box, RID, 0, IOVA, R, &phys));
	assert_false(devtlb(&box, RID2, NP, IOVA, R, &phys));
	assert_done(go_kind(&box, RID, NP, IOVA, R | W, IOMMU_REQUEST_TRANSLATION), PHYS);
	assert_true(devtlb(&box, RID, NP, IOVA, W, &phys));
	assert_done(go_kind(&box, RID, 9, IOVA, R | W, IOMMU_REQUEST_TRANSLATION), PHYS);
	/* Invalidation: by device, PASID, address. */
	assert_true(inv_all(&box));
	assert_true(inv_iotlb(&box, RID2, NP, AMDVI_ALL_ADDRESSES, 1));
	assert_true(inv_iotlb(&box, RID, NP, IOVA + PAGE, 0));
	assert_true(inv_iotlb(&box, RID, 8, AMDVI_ALL_ADDRESSES, 1));
	assert_true(devtlb(&box, RID, NP, IOVA, R, &phys));
	assert_true(devtlb(&box, RID, 9, IOVA, R, &phys));
	assert_true(inv_iotlb(&box, RID, NP, IOVA, 0));
	assert_false(devtlb(&box, RID, NP, IOVA, R, &phys));
	assert_true(devtlb(&box, RID, 9, IOVA, R, &phys));
	assert_true(inv_iotlb(&box, RID, 9, AMDVI_ALL_ADDRESSES, 1));
	assert_false(devtlb(&box, RID, 9, IOVA, R, &phys));
	/* Faults of translation requests aren't logged. */
	assert_fault(go_kind(&box, RID, 9, IOVA + PAGE, R, IOMMU_REQUEST_TRANSLATION), PAGE_FAULT(GN | US | TR));
	assert_fault(go_kind(&box, RID, 9, IOVA + PAGE, W, IOMMU_REQUEST_TRANSLATION), PAGE_FAULT(GN | US | TR));
	no_event(&box);
	/* Translated requests pass, while I=1. */
	assert_done(go_kind(&box, RID, NP, 0x998877, R | W, IOMMU_REQUEST_TRANSLATED), 0x998877);
	SET(AMDVI_DTE, I, dte(&box, RID), 0);
	assert_done(go_kind(&box, RID, NP, 0x998877, R | W, IOMMU_REQUEST_TRANSLATED), 0x998877);
	assert_true(inv_dte(&box, RID));
	assert_fault(go_kind(&box, RID, NP, 0x998877, R, IOMMU_REQUEST_TRANSLATED),
		     REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(AMDVI_INVALID_PRETRANSLATED)));
	expect_event(&box, REASON(AMDVI_EVENT_INVALID_REQUEST, TYPE(1)), RID, 0, 0x998877);
	assert_fault(go_kind(&box, RID, 9, IOVA, R, IOMMU_REQUEST_TRANSLATION),
		     REASON(AMDVI_EVENT_INVALID_REQUEST, TR | GN));
	expect_event(&box, REASON(AMDVI_EVENT_INVALID_REQUEST, TR | GN), RID, 9, IOVA);
	box_close(&box);
}

/* U=1: the device is told, but doesn't keep it. */
static void untranslated_only(void **state)
{
	struct box box;
	uint64_t root, phys;

	(void)state;
	open_v1(&box, 4, &root);
	*v1_at(&box, root, 4, IOVA, 1) |= BITS(AMDVI_V1, U);
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_done(go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION), PHYS);
		assert_false(devtlb(&box, RID, NP, IOVA, R, &phys));
	}
	*v1_at(&box, root, 4, IOVA, 1) &= ~BITS(AMDVI_V1, U);
	inv_domain(&box, DOM);
	assert_done(go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION), PHYS);
	assert_true(devtlb(&box, RID, NP, IOVA, R, &phys));
	box_close(&box);
}

/* ---- Commands ---- */

static void completion_wait(void **state)
{
	uint64_t wait[2] = { 0, 0 };
	struct box box;

	(void)state;
	open_box(&box);
	set_reg(&box, 0x158, 0xfee01000ull << 32);
	set_reg(&box, 0x160, 0x1234ull << 32 | 7);
	SET(AMDVI_CMD_WAIT, OPCODE, wait, AMDVI_CMD_WAIT);
	submit(&box, wait);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 0);
	ticks(&box);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 16);
	assert_int_equal(box.dirtied, 0);
	/* Store: 64 bits. */
	SET(AMDVI_CMD_WAIT, S, wait, 1);
	SET(AMDVI_CMD_WAIT, STORE_ADDR, wait, (box.status + 8) >> 3);
	SET(AMDVI_CMD_WAIT, STORE_DATA, wait, 0x123456789abcdef0ull);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(*at(&box, box.status + 8), 0x123456789abcdef0ull);
	assert_int_equal(*at(&box, box.status), 0);
	assert_int_equal(box.dirtied, 1);
	/* Interrupt: the status always, the message only if enabled, once until it is cleared. */
	SET(AMDVI_CMD_WAIT, S, wait, 0);
	SET(AMDVI_CMD_WAIT, I, wait, 1);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, COM_WAIT_INT), BITS(AMDVI_STATUS, COM_WAIT_INT));
	assert_int_equal(box.interrupts, 0);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON | BITS(AMDVI_CONTROL, COM_WAIT_INT_EN));
	set_reg(&box, AMDVI_REG_STATUS, BITS(AMDVI_STATUS, COM_WAIT_INT));
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & BITS(AMDVI_STATUS, COM_WAIT_INT), 0);
	submit(&box, wait);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, 0x7fee01000ull);
	assert_int_equal(box.interrupt_data, 0x1234);
	/* A store to nowhere. */
	SET(AMDVI_CMD_WAIT, S, wait, 1);
	SET(AMDVI_CMD_WAIT, STORE_ADDR, wait, BOX_BYTES >> 3);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	expect_event(&box, REASON(AMDVI_EVENT_COMMAND_HARDWARE, TYPE(1)), 0, 0, BOX_BYTES);
	box_close(&box);
}

/* A wait doesn't complete before those accesses that had begun. */
static void waits_for_requests(void **state)
{
	struct iommu_request r;
	struct box box;
	uint64_t root, wanted, c[2];

	(void)state;
	if (box_plain)
		return;
	for (unsigned kind = 0; kind < 3; kind++) {
		open_v1(&box, 4, &root);
		r = request(RID, NP, IOVA, R);
		iommu_model_translate(&box.model, &r);
		assert_int_equal(r.state, IOMMU_REQUEST_DONE);
		if (kind == 0)
			build_pages(c, DOM, 0, IOVA, 0);
		else if (kind == 1)
			build_iotlb(c, RID, NP, IOVA, 0);
		else
			build_dte(c, RID);
		submit(&box, c);
		wanted = submit_wait(&box);
		ticks(&box);
		/* The device table entry's: whoever has it may go on (IOMMU_FREE_LATE_FILL). */
		assert_int_equal(status(&box) == wanted, kind == 2);
		iommu_model_end(&box.model, &r);
		ticks(&box);
		assert_int_equal(status(&box), wanted);
		box_close(&box);
	}
}

/* A request that had the old entry when it was invalidated fills the IOTLB afterwards, unless that freedom is off. */
static void late_fill(void **state)
{
	struct iommu_model_config config = box_config();
	struct iommu_request r;
	struct box box;
	uint64_t root[2], wanted, c[2];

	(void)state;
	for (unsigned on = 0; on < 2; on++) {
		config.freedoms = on ? ~0u : ~IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL);
		assert_int_equal(box_open(&box, &config), 0);
		box_tables(&box);
		for (unsigned i = 0; i < 2; i++) {
			root[i] = box_page(&box);
			map_v1(&box, root[i], 4, IOVA, PHYS + i * PAGE);
		}
		dte_v1(&box, RID, DOM, 4, root[0]);
		r = request(RID, NP, IOVA, R);
		iommu_model_begin(&box.model, &r);
		while (r.pc != AMDVIM_PC_IOTLB_LOOKUP)
			iommu_model_step(&box.model, &r);
		dte_v1(&box, RID, DOM, 4, root[1]);
		build_dte(c, RID);
		submit(&box, c);
		wanted = submit_wait(&box);
		ticks(&box);
		assert_int_equal(status(&box) == wanted, on);
		while (r.state == IOMMU_REQUEST_RUNNING)
			iommu_model_step(&box.model, &r);
		assert_int_equal(r.phys, PHYS);
		iommu_model_end(&box.model, &r);
		ticks(&box);
		assert_done(go(&box, RID, NP, IOVA, R), PHYS + (on ? 0 : PAGE));
		inv_domain(&box, DOM);
		assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
		box_close(&box);
	}
}

/* A walk that had begun doesn't fill what was invalidated meanwhile. */
static void no_fill_across_an_invalidation(void **state)
{
	struct iommu_request r;
	struct box box;
	uint64_t root, *leaf;

	(void)state;
	open_v1(&box, 4, &root);
	leaf = v1_at(&box, root, 4, IOVA, 1);
	r = request(RID, NP, IOVA, R);
	iommu_model_begin(&box.model, &r);
	while (r.pc != AMDVIM_PC_FILL)
		iommu_model_step(&box.model, &r);
	*leaf += PAGE;
	assert_false(inv_pages(&box, DOM, 0, IOVA, 0)); /* it waits */
	while (r.state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&box.model, &r);
	assert_int_equal(r.phys, PHYS);
	assert_false(sync_queue(&box));
	iommu_model_end(&box.model, &r);
	assert_true(sync_queue(&box));
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	box_close(&box);
}

/* Commands between two waits are executed in any order; behind a wait with F nothing starts before it. */
static void order_of_commands(void **state)
{
	static const unsigned char late_and_last_first[] = { 1, 1, 1, 1, 2 };
	uint64_t c[2], root;
	struct box box;

	(void)state;
	if (box_plain)
		return;
	open_v1(&box, 4, &root);
	map_v1(&box, root, 4, IOVA + PAGE, PHYS + PAGE);
	go(&box, RID, NP, IOVA, R);
	go(&box, RID, NP, IOVA + PAGE, R);
	*v1_at(&box, root, 4, IOVA, 1) = 0;
	*v1_at(&box, root, 4, IOVA + PAGE, 1) = 0;
	build_pages(c, DOM, 0, IOVA, 0);
	submit(&box, c);
	build_pages(c, DOM, 0, 0, 0);
	submit(&box, c);
	build_pages(c, DOM, 0, IOVA + PAGE, 0);
	submit(&box, c);
	submit_wait(&box);
	build_dte(c, RID);
	submit(&box, c);
	box.script = late_and_last_first + 2;
	box.script_length = 3;
	assert_true(iommu_model_tick(&box.model)); /* fetches: nothing to execute */
	assert_true(iommu_model_tick(&box.model)); /* late: fetches */
	assert_true(iommu_model_tick(&box.model)); /* late: fetches */
	box.script = (const unsigned char *)"\0\2";
	box.script_length = 2;
	box.script_at = 0;
	assert_true(iommu_model_tick(&box.model)); /* the last one first */
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	assert_fault(go(&box, RID, NP, IOVA + PAGE, R), PAGE_FAULT(0));
	/* The wait is fetched, but comes last, and nothing behind it is fetched. */
	box.script = (const unsigned char *)"\1";
	box.script_length = 1;
	box.script_at = 0;
	assert_true(iommu_model_tick(&box.model));
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 64);
	assert_true(iommu_model_tick(&box.model));
	assert_int_not_equal(status(&box), box.sequence);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 64);
	assert_true(iommu_model_tick(&box.model));
	assert_int_not_equal(status(&box), box.sequence);
	assert_true(iommu_model_tick(&box.model));
	assert_int_equal(status(&box), box.sequence);
	ticks(&box);
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 80);
	box_close(&box);
}

static void expect_illegal(struct box *box, const uint64_t *command)
{
	uint64_t control = reg(box, AMDVI_REG_CONTROL);
	uint64_t head = reg(box, AMDVI_REG_CMD_HEAD);

	submit(box, command);
	ticks(box);
	assert_int_equal(run_bits(box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	assert_int_equal(reg(box, AMDVI_REG_CMD_HEAD), head);
	expect_event(box, REASON(AMDVI_EVENT_ILLEGAL_COMMAND, 0), 0, 0, box->commands + head);
	/* It has stopped. */
	assert_false(sync_queue(box));
	no_event(box);
	/* Software starts it again. */
	set_reg(box, AMDVI_REG_CONTROL, control & ~BITS(AMDVI_CONTROL, CMD_BUF_EN));
	ticks(box);
	set_reg(box, AMDVI_REG_CMD_HEAD, 0);
	set_reg(box, AMDVI_REG_CMD_TAIL, 0);
	box->tail = 0;
	set_reg(box, AMDVI_REG_CONTROL, control);
	ticks(box);
	assert_true(sync_queue(box));
}

static void illegal_commands(void **state)
{
	static const uint64_t named[16][2] = {
		[AMDVI_CMD_WAIT] = { 0xf00fffffffffffffull, ~0ull },
		[AMDVI_CMD_DTE] = { 0xf00000000000ffffull, 0 },
		[AMDVI_CMD_PAGES] = { 0xf000ffff000fffffull, 0xfffffffffffff007ull },
		[AMDVI_CMD_IOTLB] = { ~0ull, 0xfffffffffffff005ull },
		[AMDVI_CMD_INTERRUPTS] = { 0xf00000000000ffffull, 0 },
		[AMDVI_CMD_ALL] = { 0xf000000000000000ull, 0 },
	};
	struct box box;

	(void)state;
	open_box(&box);
	for (unsigned opcode = 0; opcode < 16; opcode++) {
		uint64_t c[2] = { (uint64_t)opcode << 60, 0 };

		if (!named[opcode][0]) {
			expect_illegal(&box, c);
			continue;
		}
		assert_true(invalidate(&box, c));
		for (unsigned bit = 0; bit < 128; bit++) {
			uint64_t bad[2] = { c[0], c[1] };

			if (named[opcode][bit / 64] >> bit % 64 & 1)
				continue;
			bad[bit / 64] |= 1ull << bit % 64;
			expect_illegal(&box, bad);
		}
	}
	box_close(&box);
	/* Commands that need a feature. */
	open_box_with(&box, BITS(AMDVI_EFR, HA_SUP), 0, 0);
	expect_illegal(&box, (const uint64_t[2]){ (uint64_t)AMDVI_CMD_ALL << 60, 0 });
	expect_illegal(&box, (const uint64_t[2]){ (uint64_t)AMDVI_CMD_PAGES << 60, FLAG_GN });
	expect_illegal(&box, (const uint64_t[2]){ (uint64_t)AMDVI_CMD_IOTLB << 60, FLAG_GN });
	box_close(&box);
}

static void command_buffer_wraps(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	for (unsigned i = 0; i < 600; i++)
		assert_true(sync_queue(&box));
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 600 * 16 % 4096);
	/* A buffer that isn't in memory. */
	set_reg(&box, AMDVI_REG_CMD_BASE, 8ull << 56 | 1ull << 40);
	set_reg(&box, AMDVI_REG_CMD_TAIL, 32);
	ticks(&box);
	expect_event(&box, REASON(AMDVI_EVENT_COMMAND_HARDWARE, TYPE(1)), 0, 0, 1ull << 40);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	box_close(&box);
}

static void broken_hardware(void **state)
{
	struct box box;
	uint64_t phys, root;

	(void)state;
	open_v1(&box, 4, &root);
	amdvi_model_break(&box.model, AMDVI_BROKEN_WAIT);
	assert_false(sync_queue(&box));
	amdvi_model_break(&box.model, 0);
	ticks(&box);
	assert_int_equal(status(&box), box.sequence);
	amdvi_model_break(&box.model, AMDVI_BROKEN_FETCH);
	assert_false(sync_queue(&box));
	assert_int_equal(reg(&box, AMDVI_REG_CMD_HEAD), 16);
	amdvi_model_break(&box.model, 0);
	ticks(&box);
	assert_int_equal(status(&box), box.sequence);
	/* The device doesn't answer, and the unit goes on. */
	go_kind(&box, RID, NP, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	amdvi_model_break(&box.model, AMDVI_BROKEN_TIMEOUT_GO);
	assert_true(inv_iotlb(&box, RID, NP, AMDVI_ALL_ADDRESSES, 1));
	expect_event(&box, REASON(AMDVI_EVENT_IOTLB_TIMEOUT, 0), RID, 0, box.commands + 32);
	assert_true(devtlb(&box, RID, NP, IOVA, R, &phys));
	/* ... or stops. */
	amdvi_model_break(&box.model, AMDVI_BROKEN_TIMEOUT);
	assert_false(inv_iotlb(&box, RID, NP, AMDVI_ALL_ADDRESSES, 1));
	expect_event(&box, REASON(AMDVI_EVENT_IOTLB_TIMEOUT, 0), RID, 0, box.commands + 64);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	box_close(&box);
	open_box(&box);
	amdvi_model_break(&box.model, AMDVI_BROKEN_READ);
	assert_false(sync_queue(&box));
	expect_event(&box, REASON(AMDVI_EVENT_COMMAND_HARDWARE, TYPE(1)), 0, 0, box.commands);
	/* What will never be done is dropped when software stops the unit. */
	amdvi_model_break(&box.model, 0);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, CMD_BUF_EN));
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON); /* too fast to be seen, but seen */
	ticks(&box);
	assert_int_equal(status(&box), box.sequence);
	amdvi_model_break(&box.model, AMDVI_BROKEN_WAIT);
	assert_false(sync_queue(&box));
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, CMD_BUF_EN));
	ticks(&box);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	box_close(&box);
}

/* ---- Events ---- */

static void event_log_overflow(void **state)
{
	uint64_t words[2], overflow = BITS(AMDVI_STATUS, EVENT_OVERFLOW), log = BITS(AMDVI_STATUS, EVENT_LOG_RUN);
	uint64_t interrupt = BITS(AMDVI_STATUS, EVENT_LOG_INT);
	struct box box;

	(void)state;
	open_box(&box);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON | BITS(AMDVI_CONTROL, EVENT_INT_EN));
	dte_blocked(&box, RID);
	for (unsigned i = 0; i < 255; i++) {
		go(&box, RID, NP, i * PAGE, R);
		assert_int_equal(reg(&box, AMDVI_REG_EVENT_TAIL), (i + 1) * 16);
	}
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & (overflow | log | interrupt), log | interrupt);
	/* One entry stays free: head == tail means empty. */
	go(&box, RID, NP, 255 * PAGE, R);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & (overflow | log), overflow);
	for (unsigned i = 0; i < 255; i++) {
		assert_true(take_event(&box, words));
		assert_int_equal(words[1], i * PAGE);
	}
	no_event(&box);
	/* Nothing is logged until software has restarted it; clearing the overflow alone isn't enough. */
	go(&box, RID, NP, 0, R);
	no_event(&box);
	set_reg(&box, AMDVI_REG_STATUS, overflow | interrupt);
	go(&box, RID, NP, 0, R);
	no_event(&box);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON | BITS(AMDVI_CONTROL, EVENT_INT_EN));
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & (overflow | log | interrupt), log);
	go(&box, RID, NP, 0x5000, R);
	expect_event(&box, PAGE_FAULT(0), RID, 0, 0x5000);
	assert_int_equal(box.interrupts, 2);
	/* A restart while the overflow is still there starts nothing. */
	for (unsigned i = 0; i < 300; i++)
		go(&box, RID, NP, i * PAGE, R);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & (overflow | log), overflow);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON);
	assert_int_equal(reg(&box, AMDVI_REG_STATUS) & (overflow | log), overflow);
	/* A log that isn't in memory loses events, nothing more. */
	set_reg(&box, AMDVI_REG_STATUS, overflow);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	set_reg(&box, AMDVI_REG_EVENT_BASE, 8ull << 56 | 1ull << 40);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON);
	go(&box, RID, NP, 0x5000, R);
	assert_int_equal(reg(&box, AMDVI_REG_EVENT_TAIL), 16);
	box_close(&box);
}

/* ---- May-sets ---- */

static void maysets(void **state)
{
	static const unsigned char miss[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	struct iommu_model_config config = box_config();
	struct iommu_request r;
	struct box box;
	uint64_t root[2], c[2], wanted;

	(void)state;
	if (box_plain)
		return;
	config.maysets = true;
	config.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_MULTI);
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box);
	for (unsigned i = 0; i < 2; i++) {
		root[i] = box_page(&box);
		map_v1(&box, root[i], 4, IOVA, PHYS + i * PAGE);
	}
	dte_v1(&box, RID, DOM, 4, root[0]);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	dte_v1(&box, RID, DOM, 4, root[1]);
	/* Old or, if the chooser says that the line is gone, new. */
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	box.script = miss;
	box.script_length = sizeof(miss);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	/* A request in flight: dropped by the invalidation of what it holds, and by no other. */
	box.script_length = 0;
	r = request(RID, NP, IOVA, R);
	iommu_model_translate(&box.model, &r);
	build_pages(c, DOM + 1, 0, AMDVI_ALL_ADDRESSES, FLAG_S);
	submit(&box, c);
	while (iommu_model_tick(&box.model))
		assert_false(iommu_model_drained(&box.model, &r));
	build_dte(c, RID); /* late fill */
	submit(&box, c);
	while (iommu_model_tick(&box.model))
		assert_false(iommu_model_drained(&box.model, &r));
	build_pages(c, DOM, 0, IOVA, 0);
	submit(&box, c);
	assert_true(iommu_model_tick(&box.model));
	assert_false(iommu_model_drained(&box.model, &r));
	assert_true(iommu_model_tick(&box.model));
	assert_true(iommu_model_drained(&box.model, &r));
	iommu_model_end(&box.model, &r);
	/* While it fetches the entry, the entry's. */
	r = request(RID, NP, IOVA, R);
	iommu_model_begin(&box.model, &r);
	iommu_model_step(&box.model, &r);
	iommu_model_step(&box.model, &r);
	assert_int_equal(r.pc, AMDVIM_PC_DTE);
	build_dte(c, RID);
	submit(&box, c);
	wanted = submit_wait(&box);
	iommu_model_tick(&box.model);
	iommu_model_tick(&box.model);
	assert_true(iommu_model_drained(&box.model, &r));
	ticks(&box);
	assert_int_equal(status(&box), wanted);
	assert_false(iommu_model_overflow(&box.model));
	for (unsigned i = 0; i < 100; i++)
		dte_identity(&box, 2 * i, 9);
	for (unsigned i = 0; i < 100; i++)
		go(&box, 2 * i, NP, IOVA, R);
	assert_true(iommu_model_overflow(&box.model));
	box_close(&box);
}

/* Which requests the last tick's invalidation waited for. */
static void drained_by(void **state)
{
	struct iommu_model_config config = box_config();
	struct iommu_request r, ats;
	struct box box;
	uint64_t root, c[2];

	(void)state;
	if (box_plain)
		return;
	config.maysets = true;
	config.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL);
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box);
	root = box_page(&box);
	map_v1(&box, root, 4, IOVA, PHYS);
	dte_v1(&box, RID, DOM, 4, root);
	r = request(RID, NP, IOVA, R);
	iommu_model_translate(&box.model, &r);
	ats = r;
	ats.kind = IOMMU_REQUEST_TRANSLATED;
	/* The device's own TLB: what came from there, by device and address. */
	for (unsigned i = 0; i < 4; i++) {
		build_iotlb(c, i == 1 ? RID2 : RID, i == 3 ? 5 : NP, i == 2 ? 0 : IOVA, 0);
		submit(&box, c);
		iommu_model_tick(&box.model);
		iommu_model_tick(&box.model);
		assert_int_equal(iommu_model_drained(&box.model, &ats), i == 0);
		assert_false(iommu_model_drained(&box.model, &r));
	}
	ats.pasid = 5;
	assert_true(iommu_model_drained(&box.model, &ats));
	iommu_model_settle(&box.model);
	assert_false(iommu_model_drained(&box.model, &ats));
	/* Without late fills, an entry's invalidation waits for all that go by it. */
	build_dte(c, RID2);
	submit(&box, c);
	iommu_model_tick(&box.model);
	iommu_model_tick(&box.model);
	assert_false(iommu_model_drained(&box.model, &r));
	build_dte(c, RID);
	submit(&box, c);
	iommu_model_tick(&box.model);
	iommu_model_tick(&box.model);
	assert_true(iommu_model_drained(&box.model, &r));
	/* All: but not who has only just begun, or is over. */
	ats = request(RID, NP, IOVA, R);
	iommu_model_begin(&box.model, &ats);
	c[0] = (uint64_t)AMDVI_CMD_ALL << 60;
	c[1] = 0;
	submit(&box, c);
	iommu_model_tick(&box.model);
	iommu_model_tick(&box.model);
	assert_true(iommu_model_drained(&box.model, &r));
	assert_false(iommu_model_drained(&box.model, &ats));
	ats.state = IOMMU_REQUEST_FAULT;
	assert_false(iommu_model_drained(&box.model, &ats));
	box_close(&box);
}

/* May-sets: of several lines that match, any. */
static void any_of_several(void **state)
{
	struct iommu_model_config config = box_config();
	unsigned char script[] = { 0, 0 };
	unsigned seen = 0;
	struct box box;
	uint64_t root;

	(void)state;
	if (box_plain)
		return;
	config.maysets = true;
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box);
	root = box_page(&box);
	map_v1(&box, root, 4, IOVA, PHYS);
	dte_v1(&box, RID, DOM, 4, root);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	/* A second line beside the first: the chooser says that it wasn't there. */
	*v1_at(&box, root, 4, IOVA, 1) += PAGE;
	box.script = (const unsigned char *)"\0\1\1\1\1\1";
	box.script_length = 6;
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	box.script = script;
	box.script_length = 2;
	for (script[1] = 0; script[1] < 2; script[1]++) {
		box.script_at = 0;
		seen |= 1u << ((go(&box, RID, NP, IOVA, R).phys - PHYS) / PAGE);
	}
	assert_int_equal(seen, 3);
	inv_pages(&box, DOM, 0, IOVA, 0);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	box_close(&box);
}

/* Software stops the unit while commands are pending: what has been fetched is finished first. */
static void stopped_with_commands_pending(void **state)
{
	struct iommu_request r;
	uint64_t root, wanted, c[2];
	struct box box;

	(void)state;
	open_v1(&box, 4, &root);
	r = request(RID, NP, IOVA, R);
	iommu_model_translate(&box.model, &r);
	build_pages(c, DOM, 0, IOVA, 0);
	submit(&box, c);
	wanted = submit_wait(&box);
	ticks(&box);
	set_reg(&box, AMDVI_REG_CONTROL, CONTROL_ON & ~BITS(AMDVI_CONTROL, CMD_BUF_EN));
	ticks(&box);
	assert_int_not_equal(status(&box), wanted);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, CMD_BUF_RUN) | BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	iommu_model_end(&box.model, &r);
	ticks(&box);
	assert_int_equal(status(&box), wanted);
	assert_int_equal(run_bits(&box), BITS(AMDVI_STATUS, EVENT_LOG_RUN));
	box_close(&box);
}

/* Lanes have lines of their own; an invalidation removes them all. */
static void lanes(void **state)
{
	struct iommu_model_config config = box_config();
	struct iommu_request r;
	struct box box;
	uint64_t root;

	(void)state;
	config.lanes = 3;
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box);
	root = box_page(&box);
	map_v1(&box, root, 4, IOVA, PHYS);
	dte_v1(&box, RID, DOM, 4, root);
	for (unsigned pass = 0; pass < 3; pass++) {
		for (unsigned lane = 0; lane < 3; lane++) {
			r = request(RID, NP, IOVA, R);
			r.lane = (uint8_t)lane;
			box.reads = 0;
			iommu_model_translate(&box.model, &r);
			iommu_model_end(&box.model, &r);
			assert_int_equal(r.phys, PHYS + (pass == 2 ? PAGE : 0));
			assert_int_equal(box.reads != 0, pass != 1);
		}
		if (pass == 1) {
			*v1_at(&box, root, 4, IOVA, 1) += PAGE;
			assert_true(inv_pages(&box, DOM, 0, IOVA, 0));
		}
	}
	box_close(&box);
}

/* Without KEEP nothing is cached. */
static void freedoms_off(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;
	uint64_t root;

	(void)state;
	config.freedoms = 0;
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box);
	root = box_page(&box);
	map_v1(&box, root, 4, IOVA, PHYS);
	dte_v1(&box, RID, DOM, 4, root);
	assert_done(go(&box, RID, NP, IOVA, R), PHYS);
	*v1_at(&box, root, 4, IOVA, 1) += PAGE;
	assert_done(go(&box, RID, NP, IOVA, R), PHYS + PAGE);
	dte_blocked(&box, RID);
	assert_fault(go(&box, RID, NP, IOVA, R), PAGE_FAULT(0));
	box_close(&box);
}

static unsigned lines;

static void count_line(void *ctx, const char *line)
{
	(void)ctx;
	assert_true(strlen(line) > 10);
	lines++;
}

static void reasons_and_dump(void **state)
{
	struct nest n;
	uint64_t phys;

	(void)state;
	open_nest(&n, 1, true);
	assert_done(go(&n.box, RID, 3, IOVA, R), PHYS);
	go_kind(&n.box, RID, 3, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	assert_true(devtlb(&n.box, RID, 3, IOVA, R, &phys));
	lines = 0;
	iommu_model_dump(&n.box.model, count_line, NULL);
	assert_true(lines >= 8);
	assert_string_equal(iommu_model_reason(&n.box.model, PAGE_FAULT(PR | PE)), "no permission");
	assert_string_equal(iommu_model_reason(&n.box.model, 0), "unknown");
	for (unsigned code = 1; code <= 8; code++) {
		for (unsigned flags = 0; flags < 0x1000; flags++)
			assert_non_null(iommu_model_reason(&n.box.model, REASON(code, flags)));
	}
	box_close(&n.box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(configurations),
		cmocka_unit_test(start_and_stop),
		cmocka_unit_test(the_unit_is_off),
		cmocka_unit_test(v0_passes_and_tv0_blocks),
		cmocka_unit_test(device_table_reserved_bits),
		cmocka_unit_test(features_make_fields_reserved),
		cmocka_unit_test(device_table_size_and_segments),
		cmocka_unit_test(identity),
		cmocka_unit_test(exclusion_range),
		cmocka_unit_test(special_ranges),
		cmocka_unit_test(torn_fetch),
		cmocka_unit_test(v1_levels_and_page_sizes),
		cmocka_unit_test(v1_illegal_page_sizes),
		cmocka_unit_test(v1_level_skipping),
		cmocka_unit_test(v1_permissions),
		cmocka_unit_test(permissions_from_the_cache),
		cmocka_unit_test(v1_reserved_bits),
		cmocka_unit_test(v1_accessed_and_dirty),
		cmocka_unit_test(np_cache),
		cmocka_unit_test(v2_levels_and_page_sizes),
		cmocka_unit_test(gcr3_tables),
		cmocka_unit_test(pasid_limits),
		cmocka_unit_test(v2_permissions),
		cmocka_unit_test(v2_and_the_entry),
		cmocka_unit_test(v2_reserved_bits),
		cmocka_unit_test(v2_accessed_and_dirty),
		cmocka_unit_test(nested_translation),
		cmocka_unit_test(nested_faults),
		cmocka_unit_test(nested_flags_and_sizes),
		cmocka_unit_test(only_its_own_device),
		cmocka_unit_test(page_invalidation_by_domain),
		cmocka_unit_test(page_directory_cache),
		cmocka_unit_test(a_part_of_a_large_page),
		cmocka_unit_test(page_invalidation_by_pasid),
		cmocka_unit_test(gcr3_cache),
		cmocka_unit_test(nested_invalidation),
		cmocka_unit_test(invalidate_all),
		cmocka_unit_test(device_tlb),
		cmocka_unit_test(untranslated_only),
		cmocka_unit_test(completion_wait),
		cmocka_unit_test(waits_for_requests),
		cmocka_unit_test(late_fill),
		cmocka_unit_test(no_fill_across_an_invalidation),
		cmocka_unit_test(order_of_commands),
		cmocka_unit_test(illegal_commands),
		cmocka_unit_test(command_buffer_wraps),
		cmocka_unit_test(broken_hardware),
		cmocka_unit_test(event_log_overflow),
		cmocka_unit_test(maysets),
		cmocka_unit_test(drained_by),
		cmocka_unit_test(any_of_several),
		cmocka_unit_test(stopped_with_commands_pending),
		cmocka_unit_test(lanes),
		cmocka_unit_test(freedoms_off),
		cmocka_unit_test(reasons_and_dump),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	box_plain = true;
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
