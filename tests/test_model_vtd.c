/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_model_vtd.c - the register-level model of VT-d against the specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/vtd_state.h"
#include "model_vtd.h"

#define RID 0x0128u /* bus 1, device 5, function 0: the lower half of a scalable root entry */
#define RID_UP 0x01f9u /* device 31: the upper half */
#define IOVA 0x12345000ull
#define PHYS 0x00777000ull
#define R IOMMU_READ
#define W IOMMU_WRITE

static void open_box(struct box *box, bool scalable)
{
	struct iommu_model_config config = box_config();

	assert_int_equal(box_open(box, &config), 0);
	box_tables(box, scalable);
}

static void open_box_with(struct box *box, bool scalable, uint64_t cap, uint64_t ecap)
{
	struct iommu_model_config config = box_config();

	config.capabilities[0] = cap;
	config.capabilities[1] = ecap;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box, scalable);
}

static uint64_t cap_with(uint64_t bits)
{
	return vtd_model_default_cap() | bits;
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

/* ---- Registers ---- */

static void registers(void **state)
{
	struct box box;
	uint64_t cap, ecap;

	(void)state;
	struct iommu_model_config config = box_config();
	assert_int_equal(box_open(&box, &config), 0);
	cap = reg(&box, VTD_REG_CAP);
	ecap = reg(&box, VTD_REG_ECAP);
	assert_int_equal(cap, vtd_model_default_cap());
	assert_int_equal(ecap, vtd_model_default_ecap());
	assert_int_equal(GET(VTD_CAP, ESRTPS, &cap), 0);
	assert_int_equal(GET(VTD_ECAP, NEST, &ecap), 0);
	assert_int_equal(reg(&box, VTD_REG_GSTS), 0);

	/* Halves of 64-bit registers. */
	iommu_model_write(&box.model, VTD_REG_RTADDR, 4, 0x5000);
	iommu_model_write(&box.model, VTD_REG_RTADDR + 4, 4, 0x7);
	assert_int_equal(reg(&box, VTD_REG_RTADDR), 0x700005000ull);
	assert_int_equal(iommu_model_read(&box.model, VTD_REG_RTADDR + 4, 4), 7);
	/* Neighbours in one word don't disturb each other. */
	iommu_model_write(&box.model, VTD_REG_FEDATA, 4, 0x1234);
	assert_int_equal(iommu_model_read(&box.model, VTD_REG_FEDATA, 4), 0x1234);
	assert_int_equal(reg(&box, VTD_REG_FECTL), BITS(VTD_FECTL, IM));
	/* GCMD reads 0; what isn't there reads 0 and swallows writes. */
	iommu_model_write(&box.model, 0xff8, 8, ~0ull);
	assert_int_equal(iommu_model_read(&box.model, 0xff8, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, VTD_REG_GCMD, 4), 0);
	assert_int_equal(iommu_model_read(&box.model, ~7ull, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, 0x21, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, 0x20, 3), 0);
	iommu_model_write(&box.model, VTD_REG_CAP, 8, 0);
	assert_int_equal(reg(&box, VTD_REG_CAP), cap);
	box_close(&box);
}

static void global_command(void **state)
{
	struct box box;
	uint64_t gsts;

	(void)state;
	struct iommu_model_config config = box_config();
	assert_int_equal(box_open(&box, &config), 0);
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, 0x5000);
	/* Nothing happens before the unit gets to it; then the status says so. */
	iommu_model_write(&box.model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, SRTP));
	assert_int_equal(reg(&box, VTD_REG_GSTS), 0);
	assert_true(iommu_model_tick(&box.model));
	assert_false(iommu_model_tick(&box.model));
	assert_int_equal(reg(&box, VTD_REG_GSTS), BITS(VTD_GCMD, SRTP));
	/* Setting it again: clear until done. */
	iommu_model_write(&box.model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, SRTP));
	assert_int_equal(reg(&box, VTD_REG_GSTS), 0);
	ticks(&box);
	assert_int_equal(reg(&box, VTD_REG_GSTS), BITS(VTD_GCMD, SRTP));
	gcmd(&box, BITS(VTD_GCMD, SIRTP));
	gcmd(&box, BITS(VTD_GCMD, IRE) | BITS(VTD_GCMD, CFI));
	gsts = reg(&box, VTD_REG_GSTS);
	assert_int_equal(gsts, BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, SIRTP) | BITS(VTD_GCMD, IRE) | BITS(VTD_GCMD, CFI));
	/* A driver that writes TE alone clobbers interrupt remapping, and it shows. */
	gcmd(&box, BITS(VTD_GCMD, TE));
	assert_false(reg(&box, VTD_REG_GSTS) & BITS(VTD_GCMD, IRE));
	/* WBF: set while it flushes. */
	iommu_model_write(&box.model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, WBF) | BITS(VTD_GCMD, TE));
	assert_true(reg(&box, VTD_REG_GSTS) & BITS(VTD_GCMD, WBF));
	ticks(&box);
	assert_false(reg(&box, VTD_REG_GSTS) & BITS(VTD_GCMD, WBF));
	box_close(&box);
}

static void root_pointer_is_latched(void **state)
{
	struct box box;
	uint64_t ss, other;

	(void)state;
	open_box(&box, false);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	legacy_context(&box, RID, VTD_TT_UNTRANSLATED, 5, 4, ss);
	other = box_page(&box);
	/* RTADDR alone does nothing. */
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, other);
	ticks(&box);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	/* SRTP does, but the caches still know the old tables (CAP.ESRTPS = 0). */
	gcmd(&box, BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	inv_context(&box, VTD_CONTEXT_GLOBAL, 0, 0, 0);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_ROOT_ABSENT);
	box_close(&box);

	/* With ESRTPS it forgets them itself. */
	open_box_with(&box, false, cap_with(BITS(VTD_CAP, ESRTPS)), 0);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	legacy_context(&box, RID, VTD_TT_UNTRANSLATED, 5, 4, ss);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, box_page(&box));
	gcmd(&box, BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	assert_true(reg(&box, VTD_REG_GSTS) & BITS(VTD_GCMD, SRTP));
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_ROOT_ABSENT);
	box_close(&box);
}

static void translation_off_and_abort(void **state)
{
	struct box box;

	(void)state;
	open_box(&box, true);
	gcmd(&box, BITS(VTD_GCMD, QIE));
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R | W), IOVA);
	assert_int_equal(go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION).state, IOMMU_REQUEST_FAULT);
	/* Abort mode: blocked, nothing recorded. */
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, box.root | (uint64_t)VTD_TTM_ABORT << VTD_RTADDR_TTM_LSB);
	gcmd(&box, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, TE));
	assert_int_equal(go(&box, RID, BOX_NO_PASID, IOVA, R).state, IOMMU_REQUEST_FAULT);
	assert_int_equal(reg(&box, VTD_REG_FSTS), 0);
	/* A mode that doesn't exist. */
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, box.root | 2ull << VTD_RTADDR_TTM_LSB);
	gcmd(&box, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, TE));
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_RTA_ACCESS_SM);
	assert_true(reg(&box, VTD_REG_FSTS) & BITS(VTD_FSTS, PPF));
	box_close(&box);
	/* Scalable mode on a unit that has none. */
	uint64_t ecap = vtd_model_default_ecap() & ~BITS(VTD_ECAP, SMTS);
	open_box_with(&box, true, 0, ecap);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_RTA_ACCESS_SM);
	box_close(&box);
}

static void configurations(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	config.quantum = 4;
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	config = box_config();
	config.lanes = 0;
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	config = box_config();
	config.iotlb_lines = 3;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config = box_config();
	config.capabilities[0] = cap_with(BITS(VTD_CAP, PHMR));
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	config.capabilities[0] = vtd_model_default_cap() & ~BITS(VTD_CAP, SAGAW);
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	config.capabilities[0] = 0;
	config.capabilities[1] = vtd_model_default_ecap() & ~BITS(VTD_ECAP, QI);
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	config.capabilities[1] = 0;
	config.capabilities[3] = 53;
	assert_int_equal(iommu_model_size(&vtd_model, &config), 0);
	/* More lanes and lines take more state, and the state may be copied. */
	config = box_config();
	size_t one = iommu_model_size(&vtd_model, &config);
	config.lanes = 2;
	assert_true(iommu_model_size(&vtd_model, &config) > one);
}

/* ---- Entries: presence, reserved bits, each fault ---- */

/* A device with a mapped page; `entries` are the table words in the order of the walk. */
static void simple_legacy(struct box *box, uint64_t **context, uint64_t *ss)
{
	open_box(box, false);
	*ss = box_page(box);
	map_ss(box, *ss, 4, IOVA, PHYS);
	*context = legacy_context(box, RID, VTD_TT_UNTRANSLATED, 5, 4, *ss);
}

static struct iommu_request fresh(struct box *box, uint64_t addr, unsigned access)
{
	flush_all(box);
	return go(box, RID, BOX_NO_PASID, addr, access);
}

static void legacy_root_and_context(void **state)
{
	uint64_t *context, *root, saved[2], ss;
	struct box box;

	(void)state;
	simple_legacy(&box, &context, &ss);
	root = at(&box, box.root + (RID >> 8) * 16);
	assert_done(fresh(&box, IOVA + 0x123, R), PHYS + 0x123);

	/* 9.1: a root entry's reserved bits; where the context table isn't; not present. */
	for (unsigned bit = 1; bit < 128; bit++) {
		uint64_t old = root[bit / 64];

		if (bit >= 12 && bit < 52)
			continue;
		root[bit / 64] |= 1ull << bit % 64;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_ROOT_RESERVED);
		root[bit / 64] = old;
	}
	saved[0] = root[0];
	root[0] = BOX_BYTES | 1;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_ACCESS);
	root[0] = saved[0] & ~1ull;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_ROOT_ABSENT);
	root[0] = saved[0];

	/* 9.3: reserved bits of a context entry; ignored ones; those of the domain id. */
	for (unsigned bit = 0; bit < 128; bit++) {
		bool reserved = (bit >= 4 && bit < 12) || bit == 71 || bit >= 88 || (bit >= 52 && bit < 64);
		bool ignored = bit >= 67 && bit < 71;

		if (!reserved && !ignored)
			continue;
		context[bit / 64] ^= 1ull << bit % 64;
		if (reserved)
			assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_RESERVED);
		else
			assert_done(fresh(&box, IOVA, R), PHYS);
		context[bit / 64] ^= 1ull << bit % 64;
	}
	/* An absent entry's bits mean nothing. */
	memcpy(saved, context, 16);
	context[0] = ~3ull;
	context[1] = ~0ull;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	memcpy(context, saved, 16);
	SET(VTD_CONTEXT, TT, context, 3);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_INVALID);
	SET(VTD_CONTEXT, TT, context, 0);
	for (unsigned aw = 0; aw < 8; aw++) {
		if (aw >= 1 && aw <= 3)
			continue;
		SET(VTD_CONTEXT, AW, context, aw);
		assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_INVALID);
	}
	SET(VTD_CONTEXT, AW, context, 2);
	/* Table 26, LCT.4.3: the pointer leads nowhere. A table below: 7. */
	SET_ADDR(VTD_CONTEXT, SSPTPTR, context, BOX_BYTES);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_INVALID);
	SET_ADDR(VTD_CONTEXT, SSPTPTR, context, ss);
	*pte_at(&box, ss, 4, IOVA, 3, SS_RW) = BOX_BYTES | SS_RW;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_TABLE_ACCESS);
	/* A request with PASID has no meaning here. */
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_TTM_MISMATCH);
	/* The root table itself. */
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, BOX_BYTES);
	gcmd(&box, BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	assert_fault(fresh(&box, IOVA, R), VTD_FR_ROOT_ACCESS);
	box_close(&box);
}

static void legacy_domain_ids(void **state)
{
	uint64_t cap = vtd_model_default_cap();
	struct box box;
	uint64_t ss;

	(void)state;
	SET(VTD_CAP, ND, &cap, 0); /* 16 domains */
	open_box_with(&box, false, cap, 0);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	legacy_context(&box, RID, 0, 15, 4, ss);
	assert_done(fresh(&box, IOVA, R), PHYS);
	legacy_context(&box, RID, 0, 16, 4, ss);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_RESERVED);
	box_close(&box);
}

static void legacy_pass_through(void **state)
{
	struct box box;

	(void)state;
	open_box(&box, false);
	/* The pointer is ignored, whatever it is. */
	legacy_context(&box, RID, VTD_TT_PASS, 5, 5, 0xfffffffffffff000ull);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x123456789abcull, R | W), 0x123456789abcull);
	assert_done(go(&box, RID, BOX_NO_PASID, (1ull << 52) - 1, R), (1ull << 52) - 1);
	assert_fault(go(&box, RID, BOX_NO_PASID, 1ull << 52, R), VTD_FR_ADDRESS_WIDTH);
	legacy_context(&box, RID, VTD_TT_PASS, 5, 7, 0);
	flush_all(&box);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_INVALID);
	box_close(&box);
}

static void simple_scalable(struct box *box, uint64_t **pasid, uint64_t *ss)
{
	open_box(box, true);
	*ss = box_page(box);
	map_ss(box, *ss, 4, IOVA, PHYS);
	*pasid = pasid_second(box, RID, 0, 5, 4, *ss);
}

static void scalable_root_and_context(void **state)
{
	uint64_t *root, *context, *pasid, saved, ss;
	struct box box;

	(void)state;
	simple_scalable(&box, &pasid, &ss);
	root = at(&box, box.root + (RID >> 8) * 16);
	context = at(&box, context_at(&box, RID));
	assert_done(fresh(&box, IOVA + 0xabc, R | W), PHYS + 0xabc);

	/* 9.2: only the half that the device is in. */
	saved = root[0];
	root[1] = ~0ull;
	assert_done(fresh(&box, IOVA, R), PHYS);
	assert_fault(go(&box, RID_UP, BOX_NO_PASID, IOVA, R), VTD_FR_ROOT_RESERVED_SM);
	root[1] = 0;
	assert_fault(go(&box, RID_UP, BOX_NO_PASID, IOVA, R), VTD_FR_ROOT_ABSENT_SM);
	for (unsigned bit = 1; bit < 64; bit++) {
		if (bit >= 12 && bit < 52)
			continue;
		root[0] |= 1ull << bit;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_ROOT_RESERVED_SM);
		root[0] = saved;
	}
	root[0] = BOX_BYTES | 1;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_ACCESS_SM);
	root[0] = saved;

	/* 9.4 */
	for (unsigned bit = 0; bit < 256; bit++) {
		bool reserved = (bit >= 5 && bit < 9) || (bit >= 52 && bit < 64) || bit >= 85 || bit == 4; /* PRE: ECAP.PRS = 0 */

		if (!reserved)
			continue;
		context[bit / 64] ^= 1ull << bit % 64;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_RESERVED_SM);
		context[bit / 64] ^= 1ull << bit % 64;
	}
	SET(VTD_SMCONTEXT, P, context, 0);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_CONTEXT_ABSENT_SM);
	SET(VTD_SMCONTEXT, P, context, 1);

	/* What a request may be. */
	pasid_second(&box, RID, 77, 5, 4, ss);
	flush_all(&box);
	assert_done(go(&box, RID, 77, IOVA, R), PHYS);
	SET(VTD_SMCONTEXT, PASIDE, context, 0);
	flush_all(&box);
	assert_fault(go(&box, RID, 77, IOVA, R), VTD_FR_PASIDE_CLEAR);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	SET(VTD_SMCONTEXT, PASIDE, context, 1);
	flush_all(&box);
	/* PDTS = 2: 2^9 directory entries of 64. */
	assert_fault(go(&box, RID, 1u << 15, IOVA, R), VTD_FR_PASID_TOO_LARGE);
	assert_fault(go(&box, RID, (1u << 15) - 1, IOVA, R), VTD_FR_PASIDDIR_ABSENT);
	assert_fault(go(&box, RID, 0xffffffffu - 1, IOVA, R), VTD_FR_PASID_TOO_LARGE);
	SET(VTD_SMCONTEXT, RID_PASID, context, 1u << 15);
	flush_all(&box);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_RID_PASID_INVALID);
	SET(VTD_SMCONTEXT, RID_PASID, context, 77);
	flush_all(&box);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	iommu_model_write(&box.model, VTD_REG_RTADDR, 8, BOX_BYTES | (uint64_t)VTD_TTM_SCALABLE << VTD_RTADDR_TTM_LSB);
	gcmd(&box, BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	assert_fault(fresh(&box, IOVA, R), VTD_FR_ROOT_ACCESS_SM);
	box_close(&box);
}

static void pasid_directory_and_entry(void **state)
{
	uint64_t *dir, *pasid, saved, ss;
	struct box box;

	(void)state;
	simple_scalable(&box, &pasid, &ss);
	dir = pasiddir_entry(&box, RID, 0);
	saved = *dir;
	for (unsigned bit = 2; bit < 64; bit++) {
		if (bit >= 12 && bit < 52)
			continue;
		*dir |= 1ull << bit;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_PASIDDIR_RESERVED);
		*dir = saved;
	}
	*dir &= ~1ull;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_PASIDDIR_ABSENT);
	*dir = BOX_BYTES | 1;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_ACCESS);
	*dir = saved;
	saved = *at(&box, context_at(&box, RID));
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, at(&box, context_at(&box, RID)), BOX_BYTES);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_PASIDDIR_ACCESS);
	*at(&box, context_at(&box, RID)) = saved;

	/* 9.6: bits that no field has. 133 and 134 are ignored. */
	for (unsigned bit = 0; bit < 512; bit++) {
		bool reserved = bit == 5 || bit == 10 || bit == 11 || (bit >= 80 && bit < 87) || (bit >= 89 && bit < 128) || bit == 129 ||
				(bit >= 136 && bit < 140) || bit >= 192 || (bit >= 52 && bit < 64);
		/* ... and the first stage's fields, which the second stage's mode ignores. */
		bool ignored = bit == 128 || (bit >= 130 && bit < 136 && bit != 129) || (bit >= 140 && bit < 192);

		if (!reserved && !ignored)
			continue;
		pasid[bit / 64] ^= 1ull << bit % 64;
		if (reserved)
			assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_RESERVED);
		else
			assert_done(fresh(&box, IOVA, R), PHYS);
		pasid[bit / 64] ^= 1ull << bit % 64;
	}
	SET(VTD_PASID, P, pasid, 0);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_ABSENT);
	SET(VTD_PASID, P, pasid, 1);
	for (unsigned pgtt = 0; pgtt < 8; pgtt++) {
		SET(VTD_PASID, PGTT, pasid, pgtt);
		if (pgtt == 0 || pgtt == 3 || pgtt > 4) /* nesting: ECAP.NEST = 0 */
			assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_INVALID);
	}
	SET(VTD_PASID, PGTT, pasid, VTD_PGTT_FIRST);
	SET(VTD_PASID, FSPM, pasid, 2);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_INVALID);
	SET(VTD_PASID, FSPM, pasid, 0);
	SET(VTD_PASID, PGTT, pasid, VTD_PGTT_SECOND);
	for (unsigned aw = 0; aw < 8; aw++) {
		SET(VTD_PASID, AW, pasid, aw);
		if (aw < 1 || aw > 3)
			assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_INVALID);
	}
	SET(VTD_PASID, AW, pasid, 2);
	SET_ADDR(VTD_PASID, SSPTPTR, pasid, BOX_BYTES);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_SSPTPTR_ACCESS);
	SET_ADDR(VTD_PASID, SSPTPTR, pasid, ss);
	*pte_at(&box, ss, 4, IOVA, 3, SS_RW) = BOX_BYTES | SS_RW;
	assert_fault(fresh(&box, IOVA, R), VTD_FR_SS_ACCESS_SM);
	box_close(&box);
}

/* Fields for which the unit lacks the capability are reserved. */
static void capabilities_make_fields_reserved(void **state)
{
	static const struct {
		unsigned ecap_bit, word, bit, pgtt, reason;
	} cases[] = {
		{ VTD_ECAP_SSADS_LSB, 0, 9, VTD_PGTT_SECOND, VTD_FR_PASID_RESERVED },
		{ VTD_ECAP_SMPWCS_LSB, 1, 23, VTD_PGTT_SECOND, VTD_FR_PASID_RESERVED },
		{ VTD_ECAP_SC_LSB, 1, 24, VTD_PGTT_PASS, VTD_FR_PASID_RESERVED },
		{ VTD_ECAP_SRS_LSB, 2, 0, VTD_PGTT_FIRST, VTD_FR_PASID_RESERVED },
		{ VTD_ECAP_EAFS_LSB, 2, 7, VTD_PGTT_FIRST, VTD_FR_PASID_RESERVED },
		{ VTD_ECAP_SSTS_LSB, 0, 0, VTD_PGTT_SECOND, VTD_FR_PASID_INVALID },
		{ VTD_ECAP_FSTS_LSB, 0, 0, VTD_PGTT_FIRST, VTD_FR_PASID_INVALID },
		{ VTD_ECAP_PT_LSB, 0, 0, VTD_PGTT_PASS, VTD_FR_PASID_INVALID },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct box box;
		uint64_t *entry;

		open_box_with(&box, true, 0, vtd_model_default_ecap() & ~(1ull << cases[i].ecap_bit));
		entry = pasid_entry(&box, RID, 0);
		entry[0] = 1;
		SET(VTD_PASID, PGTT, entry, cases[i].pgtt);
		SET(VTD_PASID, AW, entry, 2);
		entry[cases[i].word] |= 1ull << cases[i].bit;
		if (cases[i].ecap_bit == VTD_ECAP_SMPWCS_LSB)
			SET(VTD_PASID, PWSNP, entry, 1);
		/* The context entry of the fixture has DTE and PASIDE, which these units have. */
		assert_fault(fresh(&box, IOVA, R), cases[i].reason);
		box_close(&box);
	}
}

/* ---- Walks ---- */

static void second_stage_levels_and_pages(void **state)
{
	(void)state;
	for (unsigned scalable = 0; scalable < 2; scalable++) {
		for (unsigned levels = 3; levels <= 5; levels++) {
			for (unsigned leaf = 1; leaf <= 3; leaf++) {
				uint64_t size = 1ull << (12 + 9 * (leaf - 1));
				uint64_t top = 1ull << (12 + 9 * levels);
				uint64_t iova = top - 2 * size; /* the highest address bits count */
				uint64_t phys = 5ull << 39;
				struct box box;
				uint64_t ss, reason = scalable ? VTD_FR_SS_ADDRESS_SM : VTD_FR_ADDRESS_WIDTH;

				open_box(&box, scalable);
				ss = box_page(&box);
				*pte_at(&box, ss, levels, iova, leaf, SS_RW) = phys | (leaf > 1 ? SS_LARGE : SS_RW);
				if (scalable)
					pasid_second(&box, RID, 0, 5, levels, ss);
				else
					legacy_context(&box, RID, 0, 5, levels, ss);
				for (unsigned pass = 0; pass < 2; pass++) { /* from tables, then from the IOTLB */
					struct iommu_request r = go(&box, RID, BOX_NO_PASID, iova + size - 3, R);

					assert_done(r, phys + size - 3);
					assert_int_equal(r.size, size);
					assert_int_equal(r.rights, R | W);
				}
				assert_int_not_equal(go(&box, RID, BOX_NO_PASID, iova + size, R).state, IOMMU_REQUEST_DONE);
				assert_fault(go(&box, RID, BOX_NO_PASID, top, R), reason);
				assert_fault(go(&box, RID, BOX_NO_PASID, ~0ull, R), reason);
				box_close(&box);
			}
		}
	}
}

static void second_stage_width_is_limited_by_mgaw(void **state)
{
	uint64_t cap = vtd_model_default_cap();
	struct box box;
	uint64_t ss;

	(void)state;
	SET(VTD_CAP, MGAW, &cap, 39 - 1);
	open_box_with(&box, false, cap, 0);
	ss = box_page(&box);
	map_ss(&box, ss, 4, 1ull << 39, PHYS);
	map_ss(&box, ss, 4, (1ull << 39) - PAGE, PHYS);
	legacy_context(&box, RID, 0, 5, 4, ss);
	assert_done(go(&box, RID, BOX_NO_PASID, (1ull << 39) - 1, R), PHYS + 0xfff);
	assert_fault(go(&box, RID, BOX_NO_PASID, 1ull << 39, R), VTD_FR_ADDRESS_WIDTH);
	box_close(&box);
}

static void second_stage_permissions(void **state)
{
	(void)state;
	for (unsigned scalable = 0; scalable < 2; scalable++) {
		for (unsigned upper = 0; upper < 4; upper++) {
			for (unsigned lower = 0; lower < 4; lower++) {
				for (unsigned access = 1; access < 4; access++) {
					unsigned both = upper & lower, reason = 0;
					struct box box;
					uint64_t ss;

					open_box(&box, scalable);
					ss = box_page(&box);
					map_ss(&box, ss, 4, IOVA, PHYS);
					*pte_at(&box, ss, 4, IOVA, 3, SS_RW) &= ~3ull;
					*pte_at(&box, ss, 4, IOVA, 3, SS_RW) |= upper;
					if (upper) {
						*pte_at(&box, ss, 4, IOVA, 1, SS_RW) &= ~3ull;
						*pte_at(&box, ss, 4, IOVA, 1, SS_RW) |= lower;
					}
					if (scalable)
						pasid_second(&box, RID, 0, 5, 4, ss);
					else
						legacy_context(&box, RID, 0, 5, 4, ss);
					if (access & ~both) {
						if (scalable)
							reason = !both ? VTD_FR_SS_ABSENT_SM :
								 (access & ~both & W) ? VTD_FR_FS_WRITE : VTD_FR_FS_READ;
						else
							reason = (access & ~both & W) || (!both && (access & W)) ? VTD_FR_SS_WRITE :
														    VTD_FR_SS_READ;
					}
					for (unsigned pass = 0; pass < 2; pass++) {
						struct iommu_request r = go(&box, RID, BOX_NO_PASID, IOVA, access);

						if (reason)
							assert_fault(r, reason);
						else
							assert_done(r, PHYS);
					}
					box_close(&box);
				}
			}
		}
	}
}

static void second_stage_reserved_bits(void **state)
{
	(void)state;
	for (unsigned scalable = 0; scalable < 2; scalable++) {
		for (unsigned leaf = 1; leaf <= 3; leaf++) {
			unsigned reason = scalable ? VTD_FR_SS_RESERVED_SM : VTD_FR_TABLE_RESERVED;
			struct iommu_model_config config = box_config();
			struct box box;
			uint64_t ss;

			config.capabilities[3] = 46; /* a host of 46 bits */
			assert_int_equal(box_open(&box, &config), 0);
			box_tables(&box, scalable);
			ss = box_page(&box);
			*pte_at(&box, ss, 4, IOVA, leaf, SS_RW) = (1ull << 40) | (leaf > 1 ? SS_LARGE : SS_RW);
			if (scalable)
				pasid_second(&box, RID, 0, 5, 4, ss);
			else
				legacy_context(&box, RID, 0, 5, 4, ss);
			for (unsigned level = 4; level >= leaf; level--) {
				uint64_t *entry = pte_at(&box, ss, 4, IOVA, level, SS_RW);
				uint64_t old = *entry;

				for (unsigned bit = 2; bit < 64; bit++) {
					bool reserved = bit >= 46 && bit < 52;
					bool address = bit >= 12 && bit < 46;

					reserved |= bit == 62 && level > leaf;
					reserved |= bit == 11 && level > leaf;
					reserved |= bit == 7 && level == 4;
					reserved |= level == leaf && bit >= 12 && bit < 12 + 9 * (leaf - 1);
					if ((address && !reserved) || (bit == 7 && level != 4 && !(level == 1)))
						continue;
					*entry = old ^ 1ull << bit;
					if (reserved)
						assert_fault(fresh(&box, IOVA, R), reason);
					else
						assert_int_equal(fresh(&box, IOVA, R).state, IOMMU_REQUEST_DONE);
					*entry = old;
				}
			}
			/* An entry that isn't present has no reserved bits. */
			*pte_at(&box, ss, 4, IOVA, 4, SS_RW) = ~3ull;
			assert_fault(fresh(&box, IOVA, R), scalable ? VTD_FR_SS_ABSENT_SM : VTD_FR_SS_READ);
			box_close(&box);
		}
	}
}

/* Page sizes that the unit doesn't have; snooping that it can't control. */
static void second_stage_capabilities(void **state)
{
	uint64_t cap = vtd_model_default_cap(), ss;
	struct box box;

	(void)state;
	SET(VTD_CAP, SSLPS, &cap, 1);
	open_box_with(&box, false, cap, vtd_model_default_ecap() & ~BITS(VTD_ECAP, SC));
	ss = box_page(&box);
	*pte_at(&box, ss, 4, 0x200000, 2, SS_RW) = 0x400000 | SS_LARGE;
	*pte_at(&box, ss, 4, 1ull << 30, 3, SS_RW) = 1ull << 30 | SS_LARGE;
	map_ss(&box, ss, 4, 0x1000, PHYS);
	legacy_context(&box, RID, 0, 5, 4, ss);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x200000, R), 0x400000);
	assert_fault(go(&box, RID, BOX_NO_PASID, 1ull << 30, R), VTD_FR_TABLE_RESERVED);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x1000, R), PHYS);
	*map_ss(&box, ss, 4, 0x1000, PHYS) |= BITS(VTD_SS, SNP);
	assert_fault(fresh(&box, 0x1000, R), VTD_FR_TABLE_RESERVED);
	box_close(&box);
}

static void first_stage_levels_and_pages(void **state)
{
	(void)state;
	for (unsigned levels = 4; levels <= 5; levels++) {
		for (unsigned leaf = 1; leaf <= 3; leaf++) {
			uint64_t size = 1ull << (12 + 9 * (leaf - 1));
			uint64_t half = 1ull << (12 + 9 * levels - 1);
			uint64_t iova = -2 * size; /* canonical, in the upper half */
			uint64_t phys = 5ull << 39;
			struct box box;
			uint64_t fs;

			open_box(&box, true);
			fs = box_page(&box);
			*pte_at(&box, fs, levels, iova, leaf, FS_RWU) = phys | (leaf > 1 ? FS_LARGE : FS_RWU);
			pasid_first(&box, RID, 0, 5, levels, fs);
			for (unsigned pass = 0; pass < 2; pass++) {
				struct iommu_request r = go(&box, RID, BOX_NO_PASID, iova + size - 3, R | W);

				assert_done(r, phys + size - 3);
				assert_int_equal(r.size, size);
			}
			assert_fault(go(&box, RID, BOX_NO_PASID, iova + size, R), VTD_FR_FS_ABSENT);
			assert_fault(go(&box, RID, BOX_NO_PASID, half, R), VTD_FR_FS_NOT_CANONICAL);
			assert_fault(go(&box, RID, BOX_NO_PASID, -half - 1, R), VTD_FR_FS_NOT_CANONICAL);
			assert_fault(go(&box, RID, BOX_NO_PASID, half - 1, R), VTD_FR_FS_ABSENT);
			box_close(&box);
		}
	}
}

static void first_stage_reserved_bits(void **state)
{
	(void)state;
	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		struct box box;
		uint64_t fs;

		open_box(&box, true);
		fs = box_page(&box);
		*pte_at(&box, fs, 5, IOVA, leaf, FS_RWU) = (1ull << 40) | (leaf > 1 ? FS_LARGE : FS_RWU);
		pasid_first(&box, RID, 0, 5, 5, fs);
		for (unsigned level = 5; level >= leaf; level--) {
			uint64_t *entry = pte_at(&box, fs, 5, IOVA, level, FS_RWU);
			uint64_t old = *entry;

			for (unsigned bit = 3; bit < 64; bit++) {
				bool reserved = bit == 7 && level > 3;
				bool address = bit >= 12 && bit < 52;

				reserved |= level == leaf && bit >= 13 && bit < 12 + 9 * (leaf - 1);
				if ((address && !reserved && !(bit == 12 && leaf > 1 && level == leaf)) ||
				    (bit == 7 && level <= 3 && level != 1))
					continue;
				*entry = old ^ 1ull << bit;
				if (reserved)
					assert_fault(fresh(&box, IOVA, R), VTD_FR_FS_RESERVED);
				else
					assert_int_equal(fresh(&box, IOVA, R).state, IOMMU_REQUEST_DONE);
				*entry = old;
			}
		}
		*pte_at(&box, fs, 5, IOVA, 5, FS_RWU) = ~1ull;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_FS_ABSENT);
		*pte_at(&box, fs, 5, IOVA, 5, FS_RWU) = BOX_BYTES | 7;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_FS_ACCESS);
		SET_ADDR(VTD_PASID, FSPTPTR, pasid_entry(&box, RID, 0), BOX_BYTES);
		assert_fault(fresh(&box, IOVA, R), VTD_FR_FSPTPTR_ACCESS);
		box_close(&box);
	}
}

/* R/W, U/S, supervisor requests, WPE: every combination, against the rule written down a second time. */
static void first_stage_permissions(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 64; n++) {
		bool rw = n & 1, user_page = n & 2, super = n & 4, sre = n & 8, wpe = n & 16, write = n & 32;
		unsigned access = (write ? W : R) | (super ? IOMMU_PRIV : 0), reason = 0;
		struct box box;
		uint64_t fs, *entry;

		open_box(&box, true);
		fs = box_page(&box);
		/* The upper level takes one of the rights away, the leaf has all. */
		map_fs(&box, fs, 4, IOVA, PHYS);
		*pte_at(&box, fs, 4, IOVA, 2, FS_RWU) &= ~6ull;
		*pte_at(&box, fs, 4, IOVA, 2, FS_RWU) |= (rw ? 2 : 0) | (user_page ? 4 : 0);
		entry = pasid_first(&box, RID, 9, 5, 4, fs);
		SET(VTD_PASID, SRE, entry, sre);
		SET(VTD_PASID, WPE, entry, wpe);
		if (super && !sre)
			reason = VTD_FR_SRE_CLEAR;
		else if (!super && !user_page)
			reason = VTD_FR_FS_USER;
		else if (write && !rw && (!super || wpe))
			reason = VTD_FR_FS_WRITE;
		for (unsigned pass = 0; pass < 2; pass++) {
			struct iommu_request r = go(&box, RID, 9, IOVA, access);

			if (reason)
				assert_fault(r, reason);
			else
				assert_done(r, PHYS);
		}
		box_close(&box);
	}
}

static void rid_priv(void **state)
{
	struct box box;
	uint64_t fs, *entry;

	(void)state;
	open_box(&box, true);
	fs = box_page(&box);
	*map_fs(&box, fs, 4, IOVA, PHYS) &= ~4ull; /* a supervisor's page */
	entry = pasid_first(&box, RID, 0, 5, 4, fs);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_FS_USER);
	/* A request without PASID can't claim to be privileged itself. */
	assert_fault(fresh(&box, IOVA, R | IOMMU_PRIV), VTD_FR_FS_USER);
	SET(VTD_SMCONTEXT, RID_PRIV, at(&box, context_at(&box, RID)), 1);
	assert_fault(fresh(&box, IOVA, R), VTD_FR_SRE_CLEAR);
	SET(VTD_PASID, SRE, entry, 1);
	assert_done(fresh(&box, IOVA, R), PHYS);
	box_close(&box);
}

static void execute_requests(void **state)
{
	struct box box;
	uint64_t fs, *entry, *pte;

	(void)state;
	/* Revision 4: there are none, and XD is ignored. */
	open_box(&box, true);
	fs = box_page(&box);
	pte = map_fs(&box, fs, 4, IOVA, PHYS);
	pasid_first(&box, RID, 1, 5, 4, fs);
	assert_fault(go(&box, RID, 1, IOVA, R | IOMMU_EXEC), VTD_FR_ERE_CLEAR);
	*pte |= BITS(VTD_FS, XD);
	assert_done(go(&box, RID, 1, IOVA, R), PHYS);
	box_close(&box);
	/* Before. */
	open_box_with(&box, true, 0, vtd_model_default_ecap() | BITS(VTD_ECAP, ERS));
	fs = box_page(&box);
	pte = map_fs(&box, fs, 4, IOVA, PHYS);
	entry = pasid_first(&box, RID, 1, 5, 4, fs);
	assert_fault(go(&box, RID, 1, IOVA, R | IOMMU_EXEC), VTD_FR_ERE_CLEAR);
	entry[2] |= 1ull << 1;
	flush_all(&box);
	assert_done(go(&box, RID, 1, IOVA, R | IOMMU_EXEC), PHYS);
	*pte |= BITS(VTD_FS, XD);
	flush_all(&box);
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_FS_RESERVED); /* NXE is clear */
	entry[2] |= 1ull << 5;
	flush_all(&box);
	assert_done(go(&box, RID, 1, IOVA, R), PHYS);
	assert_fault(go(&box, RID, 1, IOVA, R | IOMMU_EXEC), VTD_FR_FS_EXECUTE);
	box_close(&box);
}

static void pass_through(void **state)
{
	struct box box;

	(void)state;
	open_box(&box, true);
	pasid_pass(&box, RID, 0, 5);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x123456789abcull, R | W), 0x123456789abcull);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x123456789000ull, R), 0x123456789000ull);
	assert_fault(go(&box, RID, BOX_NO_PASID, 1ull << 52, R), VTD_FR_HOST_ADDRESS_SM);
	/* Requests with PASID to the interrupt range are ordinary ones, which must not get there. */
	pasid_pass(&box, RID, 3, 5);
	assert_fault(go(&box, RID, 3, 0xfee00000, W), VTD_FR_INTERRUPT_RANGE);
	box_close(&box);
}

static void interrupt_range(void **state)
{
	struct box box;
	uint64_t ss, fs;

	(void)state;
	for (unsigned scalable = 0; scalable < 2; scalable++) {
		unsigned reason = scalable ? VTD_FR_INTERRUPT_RANGE : VTD_FR_INTERRUPT_RANGE_LEGACY;

		open_box(&box, scalable);
		ss = box_page(&box);
		map_ss(&box, ss, 4, 0xfee00000, PHYS);
		map_ss(&box, ss, 4, 0xfeeff000, PHYS);
		map_ss(&box, ss, 4, 0xfedff000, PHYS);
		map_ss(&box, ss, 4, 0xfef00000, PHYS);
		map_ss(&box, ss, 4, IOVA, 0xfee01000);
		*pte_at(&box, ss, 4, 1ull << 30, 3, SS_RW) = 3ull << 30 | SS_LARGE;
		if (scalable)
			pasid_second(&box, RID, 0, 5, 4, ss);
		else
			legacy_context(&box, RID, 0, 5, 4, ss);
		/* As input: a write is an interrupt request, which isn't translated. */
		assert_done(go(&box, RID, BOX_NO_PASID, 0xfee00004, W), 0xfee00004);
		assert_done(go(&box, RID, BOX_NO_PASID, 0xfeefffff, W), 0xfeefffff);
		assert_fault(go(&box, RID, BOX_NO_PASID, 0xfee00004, R), reason);
		assert_fault(go_kind(&box, RID, BOX_NO_PASID, 0xfee00004, W, IOMMU_REQUEST_TRANSLATION), reason);
		assert_int_equal(reg(&box, VTD_REG_FSTS), 0);
		assert_done(go(&box, RID, BOX_NO_PASID, 0xfedff000, W), PHYS);
		assert_done(go(&box, RID, BOX_NO_PASID, 0xfef00000, W), PHYS);
		/* As output: blocked, and recorded. */
		assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, W), reason);
		assert_true(reg(&box, VTD_REG_FSTS) & BITS(VTD_FSTS, PPF));
		/* A large page that contains it: all of it but that. From tables and from the IOTLB. */
		assert_done(go(&box, RID, BOX_NO_PASID, (1ull << 30) + 0x3edfffff, R), 0xfedfffff);
		assert_fault(go(&box, RID, BOX_NO_PASID, (1ull << 30) + 0x3ee00000, R), reason);
		assert_fault(fresh(&box, (1ull << 30) + 0x3ee00000, R), reason);
		box_close(&box);
	}
	open_box(&box, true);
	fs = box_page(&box);
	map_fs(&box, fs, 4, 0xfee00000, PHYS);
	map_fs(&box, fs, 4, IOVA, 0xfee00000);
	pasid_first(&box, RID, 3, 5, 4, fs);
	assert_done(go(&box, RID, 3, 0xfee00000, W), PHYS);
	assert_fault(go(&box, RID, 3, IOVA, W), VTD_FR_INTERRUPT_RANGE);
	box_close(&box);
}

/* ---- Accessed and dirty ---- */

static void first_stage_accessed_dirty(void **state)
{
	struct box box;
	uint64_t fs, *pte, *pasid;

	(void)state;
	open_box(&box, true);
	fs = box_page(&box);
	pte = map_fs(&box, fs, 4, IOVA, PHYS);
	pasid = pasid_first(&box, RID, 0, 5, 4, fs);
	assert_done(fresh(&box, IOVA, R), PHYS);
	for (unsigned level = 1; level <= 4; level++)
		assert_int_equal(*pte_at(&box, fs, 4, IOVA, level, 0) & (BITS(VTD_FS, A) | BITS(VTD_FS, D)), BITS(VTD_FS, A));
	assert_int_equal(box.dirtied, 4 + 3); /* four entries; and the status words of three flushes */
	/* A write hits the line that the read left, and must set D all the same. */
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, W), PHYS);
	assert_int_equal(*pte & BITS(VTD_FS, D), BITS(VTD_FS, D));
	assert_int_equal(*pte_at(&box, fs, 4, IOVA, 2, 0) & BITS(VTD_FS, D), 0);
	/* Now the line knows. */
	*pte &= ~BITS(VTD_FS, D);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, W), PHYS);
	assert_int_equal(*pte & BITS(VTD_FS, D), 0);
	/* Extended accessed flag. */
	SET(VTD_PASID, EAFE, pasid, 1);
	assert_done(fresh(&box, IOVA, R), PHYS);
	assert_int_equal(*pte & BITS(VTD_FS, EA), BITS(VTD_FS, EA));
	/* A walk that doesn't snoop can't set flags; it needs to only where they are clear. */
	SET(VTD_PASID, EAFE, pasid, 0);
	SET(VTD_PASID, PWSNP, pasid, 0);
	assert_done(fresh(&box, IOVA, R), PHYS);
	assert_fault(fresh(&box, IOVA, W), VTD_FR_FS_AD_NO_SNOOP);
	SET(VTD_PASID, PWSNP, pasid, 1);
	/* Others may be faster, but not forever. */
	box.cas_failures = 3;
	assert_done(fresh(&box, IOVA, W), PHYS);
	*pte &= ~BITS(VTD_FS, D);
	box.cas_failures = 1000;
	assert_fault(fresh(&box, IOVA, W), VTD_FR_FS_AD_FAILED);
	box.cas_failures = 0;
	/* Denied: no D. */
	*pte = PHYS | 5;
	assert_fault(fresh(&box, IOVA, W), VTD_FR_FS_WRITE);
	assert_int_equal(*pte, PHYS | 5);
	box_close(&box);
}

static void second_stage_accessed_dirty(void **state)
{
	struct box box;
	uint64_t *pasid, *pte, ss;

	(void)state;
	simple_scalable(&box, &pasid, &ss);
	pte = map_ss(&box, ss, 4, IOVA, PHYS);
	assert_done(fresh(&box, IOVA, W), PHYS);
	assert_int_equal(*pte, PHYS | SS_RW);
	SET(VTD_PASID, SSADE, pasid, 1);
	assert_done(fresh(&box, IOVA, R), PHYS);
	for (unsigned level = 1; level <= 4; level++)
		assert_int_equal(*pte_at(&box, ss, 4, IOVA, level, 0) & (BITS(VTD_SS, A) | BITS(VTD_SS, D)), BITS(VTD_SS, A));
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, W), PHYS);
	assert_int_equal(*pte & BITS(VTD_SS, D), BITS(VTD_SS, D));
	*pte &= ~BITS(VTD_SS, D);
	SET(VTD_PASID, PWSNP, pasid, 0);
	assert_done(fresh(&box, IOVA, R), PHYS);
	assert_fault(fresh(&box, IOVA, W), VTD_FR_SS_AD_NO_SNOOP);
	SET(VTD_PASID, PWSNP, pasid, 1);
	box.cas_failures = 1000;
	assert_fault(fresh(&box, IOVA, W), VTD_FR_SS_AD_FAILED);
	box_close(&box);
}

/* ---- Nesting ---- */

static void nesting(void **state)
{
	struct box box;
	uint64_t fs, ss, *entry, *gpt;
	uint64_t guest = 0x100000000ull; /* the first stage's tables and pages lie at guest + their physical address */

	(void)state;
	open_box_with(&box, true, 0, vtd_model_default_ecap() | BITS(VTD_ECAP, NEST));
	fs = box_page(&box);
	map_fs(&box, fs, 4, IOVA, PHYS);
	ss = box_page(&box);
	for (uint64_t page = PAGE; page < box.next_page; page += PAGE)
		map_ss(&box, ss, 4, guest + page, page);
	map_ss(&box, ss, 4, guest + PHYS, PHYS);
	for (unsigned level = 1; level <= 4; level++)
		*pte_at(&box, fs, 4, IOVA, level, FS_RWU) += 0; /* made above */
	/* Make the tables point by guest addresses. */
	for (unsigned level = 4; level >= 1; level--) {
		uint64_t table = fs;

		for (unsigned n = 4; n > level; n--)
			table = (*at(&box, table + (IOVA >> (12 + 9 * (n - 1)) & 511) * 8) & 0xffffff000ull) - guest;
		*at(&box, table + (IOVA >> (12 + 9 * (level - 1)) & 511) * 8) += guest;
	}
	entry = pasid_first(&box, RID, 4, 5, 4, guest + fs);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_NESTED);
	SET(VTD_PASID, AW, entry, 2);
	SET_ADDR(VTD_PASID, SSPTPTR, entry, ss);
	for (unsigned pass = 0; pass < 2; pass++)
		assert_done(go(&box, RID, 4, IOVA + 5, W), PHYS + 5);

	/* Invalidated by PASID, and by its domain; not by another one's. */
	*map_ss(&box, ss, 4, guest + PHYS, PHYS) = 0;
	assert_done(go(&box, RID, 4, IOVA, W), PHYS);
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 6, 0, 0, 0);
	inv_piotlb(&box, VTD_PIOTLB_PASID, 5, 5, 0, 0, 0);
	assert_done(go(&box, RID, 4, IOVA, W), PHYS);
	inv_piotlb(&box, VTD_PIOTLB_PASID, 5, 4, 0, 0, 0);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_SS_ABSENT_SM);
	map_ss(&box, ss, 4, guest + PHYS, PHYS);
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_done(go(&box, RID, 4, IOVA, W), PHYS);
	/* A page-selective invalidation of the domain takes nested lines whatever their address. */
	*map_ss(&box, ss, 4, guest + PHYS, PHYS) = 0;
	inv_iotlb(&box, VTD_IOTLB_PAGE, 5, 0x5000, 0, 0);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_SS_ABSENT_SM);
	map_ss(&box, ss, 4, guest + PHYS, PHYS);

	/* The second stage guards the first one's tables: reading, writing A and D, address. */
	gpt = pte_at(&box, ss, 4, guest + fs, 1, 0);
	*gpt &= ~1ull;
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_FSPTPTR_NESTED_READ);
	*gpt |= 1ull;
	*gpt &= ~2ull;
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_done(go(&box, RID, 4, IOVA, W), PHYS); /* A is set already */
	*at(&box, fs + (IOVA >> 39 & 511) * 8) &= ~BITS(VTD_FS, A);
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_FS_NESTED_WRITE);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, 1ull << 50);
	flush_all(&box);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_FS_NESTED_ADDRESS);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, 0x3000);
	flush_all(&box);
	assert_fault(go(&box, RID, 4, IOVA, W), VTD_FR_FSPTPTR_NESTED_READ);
	box_close(&box);
}

/* A nested page is as large as the smaller of the two stages' pages; what lies around it is another one. */
static void nested_page_sizes(void **state)
{
	(void)state;
	for (unsigned large_first = 0; large_first < 2; large_first++) {
		uint64_t fs, ss, *entry, gpa = 0x40000000;
		struct iommu_request r;
		struct box box;

		open_box_with(&box, true, 0, vtd_model_default_ecap() | BITS(VTD_ECAP, NEST));
		fs = box_page(&box);
		ss = box_page(&box);
		/* The guest's tables lie where the second stage is identity. */
		for (uint64_t page = 0; page < BOX_BYTES; page += 1u << 21)
			*pte_at(&box, ss, 4, page, 2, SS_RW) = page | SS_LARGE;
		if (large_first) {
			*pte_at(&box, fs, 4, 1ull << 30, 2, FS_RWU) = gpa | FS_LARGE;
			map_ss(&box, ss, 4, gpa + 3 * PAGE, 0x700000000);
			map_ss(&box, ss, 4, gpa + 4 * PAGE, 0x500000000);
		} else {
			map_fs(&box, fs, 4, (1ull << 30) + 3 * PAGE, gpa + 5 * PAGE);
			map_fs(&box, fs, 4, (1ull << 30) + 4 * PAGE, gpa + 9 * PAGE);
			*pte_at(&box, ss, 4, gpa, 2, SS_RW) = 0x700000000 | SS_LARGE;
		}
		entry = pasid_first(&box, RID, 4, 5, 4, fs);
		SET(VTD_PASID, PGTT, entry, VTD_PGTT_NESTED);
		SET(VTD_PASID, AW, entry, 2);
		SET_ADDR(VTD_PASID, SSPTPTR, entry, ss);
		for (unsigned pass = 0; pass < 2; pass++) {
			r = go(&box, RID, 4, (1ull << 30) + 3 * PAGE + 7, W);
			assert_done(r, large_first ? 0x700000007 : 0x700000007 + 5 * PAGE);
			assert_int_equal(r.size, PAGE);
			assert_done(go(&box, RID, 4, (1ull << 30) + 4 * PAGE, W), large_first ? 0x500000000 : 0x700000000 + 9 * PAGE);
		}
		assert_int_not_equal(go(&box, RID, 4, (1ull << 30) + 6 * PAGE, W).state, IOMMU_REQUEST_DONE);
		box_close(&box);
	}
}

/* ---- Faults ---- */

static void fault_records(void **state)
{
	uint64_t words[2], fsts, cap = vtd_model_default_cap();
	struct box box;

	(void)state;
	open_box(&box, true);
	assert_fault(go(&box, RID, 0x54321, IOVA + 0x678, W | IOMMU_PRIV), VTD_FR_ROOT_ABSENT_SM);
	take_fault(&box, words);
	assert_int_equal(words[0], IOVA);
	assert_int_equal(GET(VTD_FAULT, SID, words), RID);
	assert_int_equal(GET(VTD_FAULT, FR, words), VTD_FR_ROOT_ABSENT_SM);
	assert_int_equal(GET(VTD_FAULT, PP, words), 1);
	assert_int_equal(GET(VTD_FAULT, PV, words), 0x54321);
	assert_int_equal(GET(VTD_FAULT, PRIV, words), 1);
	assert_int_equal(GET(VTD_FAULT, T1, words), 0);
	assert_int_equal(GET(VTD_FAULT, AT, words), 0);
	assert_int_equal(reg(&box, VTD_REG_FSTS), 0);
	assert_fault(go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATED), VTD_FR_ROOT_ABSENT_SM);
	take_fault(&box, words);
	assert_int_equal(GET(VTD_FAULT, PP, words), 0);
	assert_int_equal(GET(VTD_FAULT, T1, words), 1);
	assert_int_equal(GET(VTD_FAULT, AT, words), 2);

	/* All registers full: overflow; nothing more until that is cleared. They are used in a ring: two have gone by. */
	for (unsigned i = 0; i <= GET(VTD_CAP, NFR, &cap); i++)
		go(&box, RID, BOX_NO_PASID, PAGE * i, R);
	fsts = reg(&box, VTD_REG_FSTS);
	assert_int_equal(GET(VTD_FSTS, PPF, &fsts), 1);
	assert_int_equal(GET(VTD_FSTS, PFO, &fsts), 0);
	assert_int_equal(GET(VTD_FSTS, FRI, &fsts), 2);
	go(&box, RID, BOX_NO_PASID, 0xbad000, R);
	fsts = reg(&box, VTD_REG_FSTS);
	assert_int_equal(GET(VTD_FSTS, PFO, &fsts), 1);
	take_fault(&box, words);
	assert_int_equal(words[0], 0);
	go(&box, RID, BOX_NO_PASID, 0xbad000, R); /* there is room, but PFO is set */
	iommu_model_write(&box.model, VTD_REG_FSTS, 4, BITS(VTD_FSTS, PFO));
	fsts = reg(&box, VTD_REG_FSTS);
	assert_int_equal(GET(VTD_FSTS, PFO, &fsts), 0);
	go(&box, RID, BOX_NO_PASID, 0x600d000, R);
	assert_int_equal(iommu_model_read(&box.model, GET(VTD_CAP, FRO, &cap) * 16 + 2 * 16, 8), 0x600d000);
	box_close(&box);
}

static void fault_interrupts(void **state)
{
	uint64_t words[2];
	struct box box;

	(void)state;
	open_box(&box, false);
	iommu_model_write(&box.model, VTD_REG_FEDATA, 4, 0x41);
	iommu_model_write(&box.model, VTD_REG_FEADDR, 4, 0xfee01000);
	iommu_model_write(&box.model, VTD_REG_FEUADDR, 4, 0x3);
	/* Masked: pending. */
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	assert_int_equal(box.interrupts, 0);
	assert_int_equal(reg(&box, VTD_REG_FECTL), BITS(VTD_FECTL, IM) | BITS(VTD_FECTL, IP));
	iommu_model_write(&box.model, VTD_REG_FECTL, 4, 0);
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, 0x3fee01000ull);
	assert_int_equal(box.interrupt_data, 0x41);
	assert_int_equal(reg(&box, VTD_REG_FECTL), 0);
	/* More faults while one is pending: no more interrupts. */
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	assert_int_equal(box.interrupts, 1);
	take_fault(&box, words);
	iommu_model_write(&box.model, 0x220 + 16 + 12, 4, 1u << 31);
	assert_int_equal(reg(&box, VTD_REG_FSTS), 0);
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	assert_int_equal(box.interrupts, 2);
	/* Masked and then seen to by polling: nothing is pending any more. */
	take_fault(&box, words);
	iommu_model_write(&box.model, VTD_REG_FECTL, 4, BITS(VTD_FECTL, IM));
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	take_fault(&box, words);
	assert_int_equal(reg(&box, VTD_REG_FECTL), BITS(VTD_FECTL, IM));
	box_close(&box);
}

/* FPD of any entry on the way suppresses qualified faults, present or not. */
static void fault_processing_disable(void **state)
{
	(void)state;
	for (unsigned where = 0; where < 4; where++) {
		struct box box;
		uint64_t ss, *pasid;

		simple_scalable(&box, &pasid, &ss);
		if (where == 1)
			SET(VTD_SMCONTEXT, FPD, at(&box, context_at(&box, RID)), 1);
		if (where == 2)
			*pasiddir_entry(&box, RID, 0) |= 2;
		if (where == 3)
			SET(VTD_PASID, FPD, pasid, 1);
		/* Page not mapped: from tables, and with entries from caches. */
		for (unsigned pass = 0; pass < 2; pass++) {
			uint64_t words[2];

			assert_fault(go(&box, RID, BOX_NO_PASID, IOVA + PAGE, R), VTD_FR_SS_ABSENT_SM);
			take_fault(&box, words);
			assert_int_equal(GET(VTD_FAULT, F, words), where == 0);
		}
		SET(VTD_PASID, P, pasid, 0);
		assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_ABSENT);
		assert_int_equal(GET(VTD_FSTS, PPF, &(uint64_t){ reg(&box, VTD_REG_FSTS) }), where == 0);
		/* What can't be reached is reported always. */
		*pasiddir_entry(&box, RID, 0) = BOX_BYTES | 3;
		assert_fault(fresh(&box, IOVA, R), VTD_FR_PASID_ACCESS);
		assert_true(reg(&box, VTD_REG_FSTS) & BITS(VTD_FSTS, PPF));
		box_close(&box);
	}
}

/* ---- What each invalidation takes, and what it leaves ---- */

static void context_cache(void **state)
{
	const unsigned rids[4] = { 0x0100, 0x0102, 0x0104, 0x0200 };
	struct box box;
	uint64_t ss;

	(void)state;
	open_box(&box, false);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	/* Each time: all cached, then made absent in memory; who is still served? */
	static const struct {
		unsigned granularity, did, sid, fm, served;
	} cases[] = {
		{ VTD_CONTEXT_GLOBAL, 0, 0, 0, 0 },
		{ VTD_CONTEXT_DOMAIN, 7, 0, 0, 0xc },		/* 0 and 1 have 7 */
		{ VTD_CONTEXT_DOMAIN, 9, 0, 0, 0xf },
		{ VTD_CONTEXT_DEVICE, 7, 0x0100, 0, 0xe },
		{ VTD_CONTEXT_DEVICE, 8, 0x0100, 0, 0xf },	/* the wrong domain: not this line */
		{ VTD_CONTEXT_DEVICE, 7, 0x0101, 2, 0xc },	/* functions 0-7 by bits 2:1: 1, 3, 5, 7 */
		{ VTD_CONTEXT_DEVICE, 7, 0x0100, 2, 0xc },
		{ VTD_CONTEXT_DEVICE, 8, 0x0100, 1, 0xb },	/* bit 2: 0 and 4, of which 4 has 8 */
		{ VTD_CONTEXT_DEVICE, 8, 0x0105, 3, 0xb },
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned served = 0;

		if (i == 5)
			continue; /* odd functions are others: nothing of it is cached; see below */
		for (unsigned n = 0; n < 4; n++) {
			legacy_context(&box, rids[n], 0, n < 2 ? 7 : 8, 4, ss);
			flush_all(&box);
		}
		for (unsigned n = 0; n < 4; n++)
			assert_done(go(&box, rids[n], BOX_NO_PASID, IOVA, R), PHYS);
		for (unsigned n = 0; n < 4; n++)
			*at(&box, context_at(&box, rids[n])) = 0;
		inv_context(&box, cases[i].granularity, cases[i].did, cases[i].sid, cases[i].fm);
		for (unsigned n = 0; n < 4; n++)
			served |= (go(&box, rids[n], BOX_NO_PASID, IOVA, R).state == IOMMU_REQUEST_DONE ? 1u : 0) << n;
		assert_int_equal(served, cases[i].served);
	}
	box_close(&box);
	/* Scalable: DID is ignored. */
	open_box(&box, true);
	pasid_pass(&box, RID, 0, 5);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), IOVA);
	*at(&box, context_at(&box, RID)) &= ~1ull;
	inv_context(&box, VTD_CONTEXT_DEVICE, 0, RID ^ 8, 0);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), IOVA);
	inv_context(&box, VTD_CONTEXT_DEVICE, 1234, RID, 0);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT_SM);
	box_close(&box);
}

static void pasid_cache(void **state)
{
	static const struct {
		unsigned granularity, did, pasid, served;
	} cases[] = {
		{ VTD_PASID_CACHE_GLOBAL, 0, 0, 0 },
		{ VTD_PASID_CACHE_DOMAIN, 7, 0, 0xc },
		{ VTD_PASID_CACHE_DOMAIN, 9, 0, 0xf },
		{ VTD_PASID_CACHE_PASID, 7, 1, 0xe },
		{ VTD_PASID_CACHE_PASID, 8, 1, 0xf }, /* the domain that is there now isn't the one that was cached */
		{ VTD_PASID_CACHE_PASID, 8, 4, 0x7 },
	};
	struct box box;

	(void)state;
	open_box(&box, true);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		unsigned served = 0;

		flush_all(&box);
		for (unsigned n = 0; n < 4; n++) {
			pasid_pass(&box, RID, n + 1, n < 2 ? 7 : 8);
			assert_done(go(&box, RID, n + 1, IOVA, R), IOVA);
			*pasid_entry(&box, RID, n + 1) &= ~1ull;
		}
		inv_pasid(&box, cases[i].granularity, cases[i].did, cases[i].pasid);
		/* Neither of these touches the PASID cache. */
		inv_iotlb(&box, VTD_IOTLB_GLOBAL, 0, 0, 0, 0);
		inv_context(&box, VTD_CONTEXT_GLOBAL, 0, 0, 0);
		for (unsigned n = 0; n < 4; n++)
			served |= (go(&box, RID, n + 1, IOVA, R).state == IOMMU_REQUEST_DONE ? 1u : 0) << n;
		assert_int_equal(served, cases[i].served);
	}
	box_close(&box);
}

/* Lines: second stage of domains 5 and 6, first stage and pass-through of domain 7 under two PASIDs. Bits of what is still served. */
static unsigned served_tlb(struct box *box)
{
	unsigned served = 0;

	served |= go(box, RID, 1, IOVA, R).state == IOMMU_REQUEST_DONE ? 1 : 0;
	served |= go(box, RID, 2, IOVA, R).state == IOMMU_REQUEST_DONE ? 2 : 0;
	served |= go(box, RID, 3, IOVA, R).state == IOMMU_REQUEST_DONE ? 4 : 0;
	served |= go(box, RID, 4, IOVA, R).state == IOMMU_REQUEST_DONE ? 8 : 0;
	served |= go(box, RID, 1, IOVA + PAGE, R).state == IOMMU_REQUEST_DONE ? 16 : 0;
	served |= go(box, RID, 3, IOVA + PAGE, R).state == IOMMU_REQUEST_DONE ? 32 : 0;
	return served;
}

static void iotlb(void **state)
{
	enum { IOTLB, PIOTLB };
	static const struct {
		unsigned type, granularity, did, pasid, offset, am, served;
	} cases[] = {
		{ IOTLB, VTD_IOTLB_GLOBAL, 0, 0, 0, 0, 0 },
		{ IOTLB, VTD_IOTLB_DOMAIN, 5, 0, 0, 0, 0x2e },
		{ IOTLB, VTD_IOTLB_DOMAIN, 7, 0, 0, 0, 0x13 },
		{ IOTLB, VTD_IOTLB_DOMAIN, 9, 0, 0, 0, 0x3f },
		{ IOTLB, VTD_IOTLB_PAGE, 5, 0, 0, 0, 0x3e },
		{ IOTLB, VTD_IOTLB_PAGE, 5, 0, PAGE, 0, 0x2f },
		{ IOTLB, VTD_IOTLB_PAGE, 5, 0, 0, 9, 0x2e },	/* 2 MiB around it */
		{ IOTLB, VTD_IOTLB_PAGE, 7, 0, 1 << 30, 0, 0x13 }, /* first-stage lines go, whatever the address */
		{ PIOTLB, VTD_PIOTLB_PASID, 7, 3, 0, 0, 0x1b },
		{ PIOTLB, VTD_PIOTLB_PASID, 7, 4, 0, 0, 0x37 },
		{ PIOTLB, VTD_PIOTLB_PASID, 5, 1, 0, 0, 0x3f },	/* second-stage lines have no PASID */
		{ PIOTLB, VTD_PIOTLB_PASID, 6, 3, 0, 0, 0x3f },
		{ PIOTLB, VTD_PIOTLB_PAGE, 7, 3, 0, 0, 0x3b },
		{ PIOTLB, VTD_PIOTLB_PAGE, 7, 3, PAGE, 0, 0x1f },
		{ PIOTLB, VTD_PIOTLB_PAGE, 7, 3, 0, 9, 0x1b },
		{ PIOTLB, VTD_PIOTLB_PAGE, 7, 4, 0, 0, 0x37 },
		{ PIOTLB, VTD_PIOTLB_PAGE, 7, 5, 0, 9, 0x3f },
	};
	struct box box;
	uint64_t ss5, ss6, fs3, fs4;

	(void)state;
	open_box(&box, true);
	ss5 = box_page(&box);
	ss6 = box_page(&box);
	fs3 = box_page(&box);
	fs4 = box_page(&box);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		flush_all(&box);
		pasid_second(&box, RID, 1, 5, 4, ss5);
		pasid_second(&box, RID, 2, 6, 4, ss6);
		pasid_first(&box, RID, 3, 7, 4, fs3);
		pasid_first(&box, RID, 4, 7, 4, fs4);
		for (unsigned n = 0; n < 2; n++) {
			map_ss(&box, ss5, 4, IOVA + n * PAGE, PHYS);
			map_ss(&box, ss6, 4, IOVA + n * PAGE, PHYS);
			map_fs(&box, fs3, 4, IOVA + n * PAGE, PHYS);
			map_fs(&box, fs4, 4, IOVA + n * PAGE, PHYS);
		}
		assert_int_equal(served_tlb(&box), 0x3f);
		for (unsigned n = 0; n < 2; n++) {
			*pte_at(&box, ss5, 4, IOVA + n * PAGE, 1, 0) = 0;
			*pte_at(&box, ss6, 4, IOVA + n * PAGE, 1, 0) = 0;
			*pte_at(&box, fs3, 4, IOVA + n * PAGE, 1, 0) = 0;
			*pte_at(&box, fs4, 4, IOVA + n * PAGE, 1, 0) = 0;
		}
		/* Entry-cache invalidations leave the IOTLB alone. */
		inv_context(&box, VTD_CONTEXT_GLOBAL, 0, 0, 0);
		inv_pasid(&box, VTD_PASID_CACHE_GLOBAL, 0, 0);
		assert_int_equal(served_tlb(&box), 0x3f);
		if (cases[i].type == IOTLB)
			inv_iotlb(&box, cases[i].granularity, cases[i].did, IOVA + cases[i].offset, cases[i].am, 0);
		else
			inv_piotlb(&box, cases[i].granularity, cases[i].did, cases[i].pasid, IOVA + cases[i].offset, cases[i].am, 0);
		assert_int_equal(served_tlb(&box), cases[i].served);
	}
	box_close(&box);
}

/* Pass-through lines: by domain and PASID; a page-selective IOTLB invalidation takes them, a page-selective PASID one doesn't. */
static void iotlb_pass_through(void **state)
{
	struct box box;
	uint64_t fs;

	(void)state;
	open_box(&box, true);
	fs = box_page(&box);
	map_fs(&box, fs, 4, IOVA, PHYS);
	for (unsigned i = 0; i < 4; i++) {
		static const uint64_t after[4] = { IOVA, PHYS, PHYS, IOVA };

		flush_all(&box);
		pasid_pass(&box, RID, 1, 5);
		assert_done(go(&box, RID, 1, IOVA, R), IOVA);
		pasid_first(&box, RID, 1, 5, 4, fs);
		inv_pasid(&box, VTD_PASID_CACHE_PASID, 5, 1);
		if (i == 1)
			inv_piotlb(&box, VTD_PIOTLB_PASID, 5, 1, 0, 0, 0);
		if (i == 2)
			inv_iotlb(&box, VTD_IOTLB_PAGE, 5, IOVA, 0, 0);
		if (i == 3)
			inv_piotlb(&box, VTD_PIOTLB_PAGE, 5, 1, IOVA, 0, 0);
		assert_done(go(&box, RID, 1, IOVA, R), after[i]);
	}
	box_close(&box);
}

/* The table's root is no part of a tag: a device that comes into a domain id sees the lines that are there. */
static void tags_are_shared(void **state)
{
	struct box box;
	uint64_t ss, other;

	(void)state;
	open_box(&box, true);
	ss = box_page(&box);
	other = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	map_ss(&box, other, 4, IOVA, PHYS + PAGE);
	map_ss(&box, other, 4, IOVA + PAGE, PHYS + PAGE);
	pasid_second(&box, RID, 0, 5, 4, ss);
	pasid_second(&box, RID_UP, 0, 5, 4, other);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	assert_done(go(&box, RID_UP, BOX_NO_PASID, IOVA, R), PHYS); /* from the IOTLB: not its own table */
	/* The paging-structure caches, too: this table has no such page. */
	assert_fault(go(&box, RID_UP, BOX_NO_PASID, IOVA + PAGE, R), VTD_FR_SS_ABSENT_SM);
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_done(go(&box, RID_UP, BOX_NO_PASID, IOVA, R), PHYS + PAGE);
	/* First stage: by PASID as well. */
	box_close(&box);
	open_box(&box, true);
	ss = box_page(&box);
	other = box_page(&box);
	map_fs(&box, ss, 4, IOVA, PHYS);
	map_fs(&box, other, 4, IOVA, PHYS + PAGE);
	pasid_first(&box, RID, 1, 5, 4, ss);
	pasid_first(&box, RID_UP, 1, 5, 4, other);
	pasid_first(&box, RID_UP, 2, 5, 4, other);
	assert_done(go(&box, RID, 1, IOVA, R), PHYS);
	assert_done(go(&box, RID_UP, 1, IOVA, R), PHYS);
	assert_done(go(&box, RID_UP, 2, IOVA, R), PHYS + PAGE);
	box_close(&box);
}

/* IH=1 leaves the paging-structure caches: right after a change of leaves only. */
static void invalidation_hint(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		for (unsigned ih = 0; ih < 2; ih++) {
			struct box box;
			uint64_t root, copy, *upper;

			open_box(&box, true);
			root = box_page(&box);
			if (first) {
				map_fs(&box, root, 4, IOVA, PHYS);
				pasid_first(&box, RID, 1, 5, 4, root);
			} else {
				map_ss(&box, root, 4, IOVA, PHYS);
				pasid_second(&box, RID, 1, 5, 4, root);
			}
			assert_done(go(&box, RID, 1, IOVA, R), PHYS);
			/* Another last-level table, with another page. */
			copy = box_page(&box);
			upper = pte_at(&box, root, 4, IOVA, 2, 0);
			*at(&box, copy + (IOVA >> 12 & 511) * 8) = (PHYS + PAGE) | 7;
			*upper = copy | (*upper & 0xfff);
			if (first)
				inv_piotlb(&box, VTD_PIOTLB_PAGE, 5, 1, IOVA, 0, ih);
			else
				inv_iotlb(&box, VTD_IOTLB_PAGE, 5, IOVA, 0, ih);
			assert_done(go(&box, RID, 1, IOVA, R), ih ? PHYS : PHYS + PAGE);
			box_close(&box);
		}
	}
}

/* A large page goes when any part of it is invalidated. */
static void invalidation_of_large_pages(void **state)
{
	struct box box;
	uint64_t ss, *pte;

	(void)state;
	open_box(&box, false);
	ss = box_page(&box);
	pte = pte_at(&box, ss, 4, 0x40000000, 2, SS_RW);
	*pte = 0x400000 | SS_LARGE;
	legacy_context(&box, RID, 0, 5, 4, ss);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x40000000, R), 0x400000);
	*pte = 0x800000 | SS_LARGE;
	inv_iotlb(&box, VTD_IOTLB_PAGE, 5, 0x40200000, 0, 0);
	inv_iotlb(&box, VTD_IOTLB_PAGE, 5, 0x3ffff000, 0, 0);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x40000000, R), 0x400000);
	inv_iotlb(&box, VTD_IOTLB_PAGE, 5, 0x401ff000, 0, 1);
	assert_done(go(&box, RID, BOX_NO_PASID, 0x40000000, R), 0x800000);
	box_close(&box);
}

static void caching_mode(void **state)
{
	struct box box;
	uint64_t ss;

	(void)state;
	open_box_with(&box, false, cap_with(BITS(VTD_CAP, CM)), 0);
	ss = box_page(&box);
	root_table(&box, RID);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	legacy_context(&box, RID, 0, 5, 4, ss);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	inv_context(&box, VTD_CONTEXT_DEVICE, 5, RID, 0); /* absent entries have domain 0 */
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	inv_context(&box, VTD_CONTEXT_DEVICE, 0, RID, 0);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_SS_READ);
	map_ss(&box, ss, 4, IOVA, PHYS);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_SS_READ);
	inv_iotlb(&box, VTD_IOTLB_PAGE, 5, IOVA, 0, 1);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	box_close(&box);

	open_box_with(&box, true, cap_with(BITS(VTD_CAP, CM)), 0);
	ss = box_page(&box);
	sm_context(&box, RID);
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_PASIDDIR_ABSENT);
	pasid_second(&box, RID, 1, 5, 4, ss);
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_PASIDDIR_ABSENT);
	inv_pasid(&box, VTD_PASID_CACHE_PASID, 5, 2);
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_PASIDDIR_ABSENT);
	inv_pasid(&box, VTD_PASID_CACHE_PASID, 5, 1);
	assert_fault(go(&box, RID, 1, IOVA, R), VTD_FR_SS_ABSENT_SM);
	box_close(&box);

	/* Without caching mode, what wasn't there is looked for anew. */
	open_box(&box, false);
	root_table(&box, RID);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	ss = box_page(&box);
	legacy_context(&box, RID, 0, 5, 4, ss);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_SS_READ);
	map_ss(&box, ss, 4, IOVA, PHYS);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	box_close(&box);
}

/* ---- ATS ---- */

static bool devtlb(struct box *box, unsigned rid, uint32_t pasid, uint64_t addr, unsigned access, uint64_t *phys)
{
	struct iommu_request r = request(rid, pasid, addr, access);
	uint32_t rights;

	return iommu_model_devtlb_lookup(&box->model, &r, phys, &rights);
}

static void ats(void **state)
{
	struct box box;
	uint64_t ss, phys, *context;
	struct iommu_request r;

	(void)state;
	simple_legacy(&box, &context, &ss);
	/* TT 0: translated addresses are not to be trusted. */
	assert_fault(go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), VTD_FR_REQUEST_BLOCKED);
	assert_fault(go_kind(&box, RID, BOX_NO_PASID, PHYS, R, IOMMU_REQUEST_TRANSLATED), VTD_FR_REQUEST_BLOCKED);
	SET(VTD_CONTEXT, TT, context, VTD_TT_PASS);
	flush_all(&box);
	assert_fault(go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), VTD_FR_REQUEST_BLOCKED);
	SET(VTD_CONTEXT, TT, context, VTD_TT_DEVTLB);
	flush_all(&box);
	assert_false(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	r = go_kind(&box, RID, BOX_NO_PASID, IOVA, R | W, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS);
	assert_int_equal(r.rights, R | W);
	assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA + 5, R, &phys));
	assert_int_equal(phys, PHYS + 5);
	assert_false(devtlb(&box, RID, BOX_NO_PASID, IOVA + PAGE, R, &phys));
	assert_false(devtlb(&box, RID ^ 1, BOX_NO_PASID, IOVA, R, &phys));
	assert_false(devtlb(&box, RID, 0, IOVA, R, &phys));
	assert_done(go_kind(&box, RID, BOX_NO_PASID, PHYS + 5, R, IOMMU_REQUEST_TRANSLATED), PHYS + 5);
	/* A page that isn't there is an answer, not a fault. */
	iommu_model_write(&box.model, VTD_REG_FSTS, 4, ~0u);
	for (unsigned i = 0; i < 8; i++)
		iommu_model_write(&box.model, 0x220 + 16 * i + 12, 4, 1u << 31);
	assert_fault(go_kind(&box, RID, BOX_NO_PASID, IOVA + PAGE, R, IOMMU_REQUEST_TRANSLATION), VTD_FR_SS_READ);
	assert_int_equal(reg(&box, VTD_REG_FSTS), 0);
	/* The device's TLB is not the unit's. */
	*map_ss(&box, ss, 4, IOVA, PHYS) = 0;
	inv_iotlb(&box, VTD_IOTLB_GLOBAL, 0, 0, 0, 0);
	assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	inv_devtlb(&box, RID ^ 1, ~0ull, 1);
	assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	inv_devtlb(&box, RID, IOVA + PAGE, 0);
	assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	inv_devtlb(&box, RID, ~0ull, 1);
	assert_false(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	box_close(&box);
}

static void ats_scalable(void **state)
{
	struct box box;
	uint64_t fs, phys, *context;

	(void)state;
	open_box(&box, true);
	fs = box_page(&box);
	context = sm_context(&box, RID);
	for (unsigned i = 0; i < 16; i++)
		map_fs(&box, fs, 4, IOVA + i * PAGE, PHYS + i * PAGE);
	pasid_first(&box, RID, 0, 5, 4, fs);
	pasid_first(&box, RID, 1, 5, 4, fs);
	pasid_first(&box, RID, 2, 5, 4, fs);
	SET(VTD_SMCONTEXT, DTE, context, 0);
	assert_fault(go_kind(&box, RID, 1, IOVA, R, IOMMU_REQUEST_TRANSLATION), VTD_FR_DTE_CLEAR);
	assert_fault(go_kind(&box, RID, 1, PHYS, R, IOMMU_REQUEST_TRANSLATED), VTD_FR_DTE_CLEAR);
	SET(VTD_SMCONTEXT, DTE, context, 1);
	flush_all(&box);
	assert_done(go_kind(&box, RID, 1, PHYS, R, IOMMU_REQUEST_TRANSLATED), PHYS);
	/* A device that didn't ask to write isn't told that it may before D is set. */
	assert_int_equal(go_kind(&box, RID, 1, IOVA, R, IOMMU_REQUEST_TRANSLATION).rights, R);
	assert_int_equal(*pte_at(&box, fs, 4, IOVA, 1, 0) & BITS(VTD_FS, D), 0);
	assert_false(devtlb(&box, RID, 1, IOVA, W, &phys));
	assert_int_equal(go_kind(&box, RID, 1, IOVA, R | W, IOMMU_REQUEST_TRANSLATION).rights, R | W);
	assert_int_equal(*pte_at(&box, fs, 4, IOVA, 1, 0) & BITS(VTD_FS, D), BITS(VTD_FS, D));
	assert_true(devtlb(&box, RID, 1, IOVA, W, &phys));
	/* Sizes, by PASID: 0x12345000 + 16 pages; S=1 with address bits x0 0111: 64 KiB. */
	for (uint64_t i = 0; i < 16; i++) {
		go_kind(&box, RID, 1, IOVA + i * PAGE, R, IOMMU_REQUEST_TRANSLATION);
		go_kind(&box, RID, 2, IOVA + i * PAGE, R, IOMMU_REQUEST_TRANSLATION);
		go_kind(&box, RID, BOX_NO_PASID, IOVA + i * PAGE, R, IOMMU_REQUEST_TRANSLATION);
	}
	inv_pdevtlb(&box, RID, 1, 0x12340000ull | 0x7000, 1);
	for (uint64_t i = 0; i < 16; i++) {
		bool gone = IOVA + i * PAGE < 0x12350000;

		assert_int_equal(devtlb(&box, RID, 1, IOVA + i * PAGE, R, &phys), !gone);
		assert_true(devtlb(&box, RID, 2, IOVA + i * PAGE, R, &phys));
		assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA + i * PAGE, R, &phys));
	}
	inv_pdevtlb(&box, RID, 2, IOVA, 0);
	assert_false(devtlb(&box, RID, 2, IOVA, R, &phys));
	assert_true(devtlb(&box, RID, 2, IOVA + PAGE, R, &phys));
	/* G: every PASID, but only lines with one. */
	go_kind(&box, RID, 1, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	uint64_t every[2] = { VTD_DESC_PDEVTLB | (uint64_t)RID << 16 | 9ull << 32, IOVA | 1 };
	invalidate(&box, every);
	assert_false(devtlb(&box, RID, 1, IOVA, R, &phys));
	assert_true(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	inv_devtlb(&box, RID, 0x7ffffffffffff000ull, 1);
	assert_false(devtlb(&box, RID, BOX_NO_PASID, IOVA, R, &phys));
	assert_true(devtlb(&box, RID, 2, IOVA + PAGE, R, &phys));
	box_close(&box);
}

/* ---- The queue ---- */

static void wait_and_interrupt(void **state)
{
	uint64_t wait[2] = { 0, 0 };
	struct box box;

	(void)state;
	open_box(&box, false);
	/* Wraps around, many times. */
	for (unsigned i = 0; i < 1000; i++)
		assert_true(sync_queue(&box));
	assert_int_equal(reg(&box, VTD_REG_IQH), box.tail);
	iommu_model_write(&box.model, VTD_REG_IEDATA, 4, 0x42);
	iommu_model_write(&box.model, VTD_REG_IEADDR, 4, 0xfee02000);
	SET(VTD_DESC_WAIT, TYPE, wait, VTD_DESC_WAIT);
	SET(VTD_DESC_WAIT, IF, wait, 1);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(reg(&box, VTD_REG_ICS), 1);
	assert_int_equal(box.interrupts, 0);
	assert_int_equal(reg(&box, VTD_REG_IECTL), BITS(VTD_FECTL, IM) | BITS(VTD_FECTL, IP));
	iommu_model_write(&box.model, VTD_REG_IECTL, 4, 0);
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, 0xfee02000);
	assert_int_equal(box.interrupt_data, 0x42);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(box.interrupts, 1); /* IWC is still set */
	iommu_model_write(&box.model, VTD_REG_ICS, 4, 1);
	assert_int_equal(reg(&box, VTD_REG_ICS), 0);
	submit(&box, wait);
	ticks(&box);
	assert_int_equal(box.interrupts, 2);
	/* Disabled: the head starts anew. */
	gcmd(&box, BITS(VTD_GCMD, TE));
	assert_int_equal(reg(&box, VTD_REG_IQH), 0);
	box_close(&box);
}

/*
 * A command that has been written is not in effect before the unit says so. What is translated in between may be kept, but not longer than
 * that.
 */
static void enabling_forgets(void **state)
{
	struct box box;
	uint64_t ss;

	(void)state;
	open_box(&box, false);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	legacy_context(&box, RID, VTD_TT_UNTRANSLATED, 5, 4, ss);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	for (unsigned on = 0; on < 2; on++) {
		iommu_model_write(&box.model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE) | (on ? BITS(VTD_GCMD, TE) : 0));
		for (unsigned i = 0; i < 3; i++)
			assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), on ? IOVA : PHYS);
		ticks(&box);
		assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), on ? PHYS : IOVA);
	}
	box_close(&box);
}

/* One descriptor, and the error that it gives; then the queue goes on. */
static void expect_queue_error(struct box *box, const uint64_t *descriptor, unsigned error)
{
	uint64_t iqercd, head = reg(box, VTD_REG_IQH);
	unsigned tail = box->tail;

	submit(box, descriptor);
	ticks(box);
	if (!error) {
		assert_int_equal(reg(box, VTD_REG_FSTS) & BITS(VTD_FSTS, IQE), 0);
		return;
	}
	assert_int_equal(reg(box, VTD_REG_FSTS) & BITS(VTD_FSTS, IQE), BITS(VTD_FSTS, IQE));
	iqercd = reg(box, VTD_REG_IQERCD);
	assert_int_equal(GET(VTD_IQERCD, IQEI, &iqercd), error);
	assert_int_equal(reg(box, VTD_REG_IQH), head); /* the head stays at it */
	assert_int_equal(tail, head);
	/* Software replaces it by something harmless and clears the error. */
	memset(at(box, box->queue + tail), 0, 16);
	*at(box, box->queue + tail) = VTD_DESC_WAIT;
	ticks(box);
	assert_int_equal(reg(box, VTD_REG_IQH), head);
	iommu_model_write(&box->model, VTD_REG_FSTS, 4, BITS(VTD_FSTS, IQE));
	ticks(box);
	assert_int_equal(reg(box, VTD_REG_IQH), box->tail);
}

static void queue_errors(void **state)
{
	/* The bits of each descriptor that have a field; the rest are reserved. */
	static const struct {
		unsigned type, granularity;
		uint64_t low, high;
	} named[] = {
		{ VTD_DESC_CONTEXT, 1, 0x0003ffffffff0e3full, 0 },
		{ VTD_DESC_IOTLB, 1, 0x00000000ffff0effull, 0xfffffffffffff07full },
		{ VTD_DESC_DEVTLB, 0, 0xfff0ffff001ffe0full, 0xfffffffffffff001ull },
		{ VTD_DESC_IEC, 0, 0x0000fffff8000e1full, 0 },
		{ VTD_DESC_WAIT, 0, 0xffffffff00000e7full, 0xfffffffffffffffcull }, /* PD: ECAP.PDS = 0 */
		{ VTD_DESC_PIOTLB, 2, 0x000fffffffff0e3full, 0xfffffffffffff07full },
		{ VTD_DESC_PASID, 3, 0x000fffffffff0e3full, 0 },
		{ VTD_DESC_PDEVTLB, 0, 0xffffffffffffffffull, 0xfffffffffffff801ull },
	};
	uint64_t d[2], iqercd;
	struct box box;

	(void)state;
	open_box(&box, true);
	for (unsigned i = 0; i < sizeof(named) / sizeof(*named); i++) {
		for (unsigned bit = 0; bit < 128; bit++) {
			uint64_t fields = bit < 64 ? named[i].low : named[i].high;

			if (fields >> bit % 64 & 1)
				continue;
			d[0] = named[i].type | named[i].granularity << 4;
			d[1] = 0;
			d[bit / 64] |= 1ull << bit % 64;
			expect_queue_error(&box, d, 4);
		}
	}
	/* Types. */
	for (unsigned type = 0; type < 128; type++) {
		d[0] = (type & 15) | (uint64_t)(type >> 4) << 9 | (type == VTD_DESC_PIOTLB ? 2 << 4 : 0) | (type <= 2 ? 1 << 4 : 0);
		d[1] = 0;
		expect_queue_error(&box, d, type >= 1 && type <= 8 ? 0 : 3);
	}
	/* Granularities. */
	d[1] = 0;
	for (unsigned g = 0; g < 4; g++) {
		d[0] = VTD_DESC_CONTEXT | g << 4;
		expect_queue_error(&box, d, g == 0 ? 4 : 0);
		d[0] = VTD_DESC_IOTLB | g << 4;
		expect_queue_error(&box, d, g == 0 ? 4 : 0);
		d[0] = VTD_DESC_PASID | g << 4;
		expect_queue_error(&box, d, g == 2 ? 4 : 0);
		d[0] = VTD_DESC_PIOTLB | g << 4;
		expect_queue_error(&box, d, g < 2 ? 4 : 0);
	}
	/* An address mask beyond CAP.MAMV (36); not for the PASID-based one. */
	d[0] = VTD_DESC_IOTLB | VTD_IOTLB_PAGE << 4;
	d[1] = 37;
	expect_queue_error(&box, d, 4);
	d[0] = VTD_DESC_PIOTLB | VTD_PIOTLB_PAGE << 4;
	d[1] = 63;
	expect_queue_error(&box, d, 0);
	/* 256-bit descriptors: the upper half is reserved. */
	*at(&box, box.queue + box.tail + 24) = 1;
	*at(&box, box.queue + box.tail) = VTD_DESC_WAIT;
	iommu_model_write(&box.model, VTD_REG_IQT, 8, box.tail + 32);
	ticks(&box);
	iqercd = reg(&box, VTD_REG_IQERCD);
	assert_int_equal(GET(VTD_IQERCD, IQEI, &iqercd), 4);
	box_close(&box);

	/* Registers: a tail that isn't there, or not aligned; a width that doesn't fit the mode; a queue that can't be read. */
	static const struct {
		bool scalable;
		uint64_t iqa, tail;
		unsigned error;
	} cases[] = {
		{ false, 0, 4096, 1 },
		{ false, 1, 4096, 0 },
		{ true, 1 << 11, 0x10, 6 },
		{ true, 0, 0x20, 5 },
		{ false, 1 << 11, 0x20, 0 }, /* the unit knows scalable mode: wide descriptors are fine in legacy mode */
		{ false, BOX_BYTES, 0x10, 2 },
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		open_box(&box, cases[i].scalable);
		gcmd(&box, BITS(VTD_GCMD, TE));
		iommu_model_write(&box.model, VTD_REG_IQA, 8, cases[i].iqa >= BOX_BYTES ? cases[i].iqa : cases[i].iqa | box.queue);
		for (unsigned n = 0; n < 512; n++)
			*at(&box, box.queue + 16 * n) = VTD_DESC_WAIT, *at(&box, box.queue + 16 * n + 8) = 0;
		if (cases[i].iqa & 1 << 11) {
			for (unsigned n = 0; n < 128; n++)
				*at(&box, box.queue + 32 * n + 16) = 0;
		}
		box.status = BOX_BYTES / 2;
		gcmd(&box, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
		iommu_model_write(&box.model, VTD_REG_IQT, 8, cases[i].tail);
		ticks(&box);
		iqercd = reg(&box, VTD_REG_IQERCD);
		assert_int_equal(GET(VTD_IQERCD, IQEI, &iqercd), cases[i].error);
		assert_int_equal(reg(&box, VTD_REG_FSTS) & BITS(VTD_FSTS, IQE), cases[i].error ? BITS(VTD_FSTS, IQE) : 0);
		/* The queue's address can't be changed while it runs. */
		iommu_model_write(&box.model, VTD_REG_IQA, 8, 0x5000);
		assert_int_not_equal(reg(&box, VTD_REG_IQA), 0x5000);
		box_close(&box);
	}

	/* Legacy mode has five types. */
	open_box(&box, false);
	d[0] = VTD_DESC_PASID | VTD_PASID_CACHE_GLOBAL << 4;
	d[1] = 0;
	expect_queue_error(&box, d, 3);
	d[0] = VTD_DESC_PIOTLB | VTD_PIOTLB_PASID << 4;
	expect_queue_error(&box, d, 3);
	box_close(&box);
	/* Without device TLBs: no such commands. */
	open_box_with(&box, false, 0, vtd_model_default_ecap() & ~BITS(VTD_ECAP, DT));
	d[0] = VTD_DESC_DEVTLB;
	expect_queue_error(&box, d, 3);
	box_close(&box);
}

static void broken_hardware(void **state)
{
	struct iommu_model_config config = box_config();
	uint64_t iqercd, d[2] = { 0, 0 };
	struct box box;

	(void)state;
	open_box(&box, false);
	vtd_model_break(&box.model, VTD_BROKEN_WAIT);
	assert_false(sync_queue(&box));
	assert_false(sync_queue(&box));
	vtd_model_break(&box.model, 0);
	assert_true(sync_queue(&box));

	vtd_model_break(&box.model, VTD_BROKEN_FETCH);
	assert_false(sync_queue(&box));
	vtd_model_break(&box.model, 0);
	assert_true(sync_queue(&box));

	/* A device that doesn't answer: the wait is dropped, its status never written. Later ones work again. */
	vtd_model_break(&box.model, VTD_BROKEN_ITE);
	assert_true(sync_queue(&box)); /* nothing for a device in it */
	assert_false(inv_devtlb(&box, RID, ~0ull, 1));
	assert_int_equal(reg(&box, VTD_REG_FSTS), BITS(VTD_FSTS, ITE));
	iqercd = reg(&box, VTD_REG_IQERCD);
	assert_int_equal(GET(VTD_IQERCD, ITESID, &iqercd), RID);
	assert_int_equal(reg(&box, VTD_REG_IQH), box.tail);
	assert_false(sync_queue(&box)); /* nothing is fetched until it is cleared */
	iommu_model_write(&box.model, VTD_REG_FSTS, 4, BITS(VTD_FSTS, ITE));
	ticks(&box);
	assert_int_equal(status(&box), box.sequence);

	vtd_model_break(&box.model, VTD_BROKEN_ICE);
	assert_true(inv_devtlb(&box, RID, ~0ull, 1));
	assert_int_equal(reg(&box, VTD_REG_FSTS), BITS(VTD_FSTS, ICE));
	iqercd = reg(&box, VTD_REG_IQERCD);
	assert_int_equal(GET(VTD_IQERCD, ICESID, &iqercd), RID);
	(void)d;
	box_close(&box);

	config.capabilities[2] = VTD_BROKEN_GCMD;
	assert_int_equal(box_open(&box, &config), 0);
	gcmd(&box, BITS(VTD_GCMD, SRTP));
	assert_int_equal(reg(&box, VTD_REG_GSTS), 0);
	box_close(&box);
}

static void register_based_invalidation(void **state)
{
	struct box box;
	uint64_t ss, ecap, iro;

	(void)state;
	open_box(&box, false);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	legacy_context(&box, RID, 0, 5, 4, ss);
	gcmd(&box, BITS(VTD_GCMD, TE)); /* queue off */
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	map_ss(&box, ss, 4, IOVA, PHYS + PAGE);
	ecap = reg(&box, VTD_REG_ECAP);
	iro = GET(VTD_ECAP, IRO, &ecap) * 16;
	iommu_model_write(&box.model, iro, 8, IOVA);
	iommu_model_write(&box.model, iro + 8, 8, 1ull << 63 | 3ull << 60 | 5ull << 32);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	ticks(&box);
	assert_int_equal(iommu_model_read(&box.model, iro + 8, 8), 3ull << 60 | 3ull << 57 | 5ull << 32);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS + PAGE);
	*at(&box, context_at(&box, RID)) = 0;
	iommu_model_write(&box.model, VTD_REG_CCMD, 8, 1ull << 63 | 1ull << 61);
	ticks(&box);
	assert_int_equal(iommu_model_read(&box.model, VTD_REG_CCMD, 8), 1ull << 61 | 1ull << 59);
	assert_fault(go(&box, RID, BOX_NO_PASID, IOVA, R), VTD_FR_CONTEXT_ABSENT);
	box_close(&box);
}

/* ---- Requests in flight ---- */

/* Choices for the next time the unit asks. */
static void choose(struct box *box, const unsigned char *script, size_t length)
{
	box->port.choose = box_choose;
	box->script = script;
	box->script_length = length;
	box->script_at = 0;
}

static void step_until(struct box *box, struct iommu_request *r, unsigned steps)
{
	iommu_model_begin(&box->model, r);
	for (unsigned i = 0; i < steps; i++)
		iommu_model_step(&box->model, r);
}

static void finish(struct box *box, struct iommu_request *r)
{
	while (r->state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&box->model, r);
	iommu_model_end(&box->model, r);
}

/* A wait after an IOTLB invalidation completes when those that were in flight have ended, at whatever step they were. */
static void waits_drain(void **state)
{
	unsigned steps = 0;

	(void)state;
	for (bool more = true; more; steps++) {
		struct box box;
		uint64_t ss, *pasid, *pte;
		struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, W), later;
		uint64_t d[2] = { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 5 << 16, 0 };
		uint32_t wanted;

		simple_scalable(&box, &pasid, &ss);
		pte = map_ss(&box, ss, 4, IOVA, PHYS);
		step_until(&box, &r, steps);
		more = r.state == IOMMU_REQUEST_RUNNING;
		*pte = (PHYS + PAGE) | SS_RW;
		submit(&box, d);
		wanted = submit_wait(&box);
		ticks(&box);
		assert_int_not_equal(status(&box), wanted);
		/* Those who come after don't have to be waited for, and don't see the old page. */
		later = request(RID, BOX_NO_PASID, IOVA, W);
		iommu_model_translate(&box.model, &later);
		assert_done(later, PHYS + PAGE);
		while (r.state == IOMMU_REQUEST_RUNNING)
			iommu_model_step(&box.model, &r);
		ticks(&box);
		assert_int_not_equal(status(&box), wanted); /* its access is still to come */
		iommu_model_end(&box.model, &r);
		ticks(&box);
		assert_int_equal(status(&box), wanted);
		iommu_model_end(&box.model, &later);
		/* Whatever it had read, it left nothing behind. */
		assert_done(go(&box, RID, BOX_NO_PASID, IOVA, W), PHYS + PAGE);
		box_close(&box);
	}
	assert_true(steps > 10);
}

/* Entry caches: the wait doesn't stop who has the old entry from filling the IOTLB, unless that freedom is off. */
static void late_fills(void **state)
{
	(void)state;
	for (unsigned allowed = 0; allowed < 2; allowed++) {
		struct iommu_model_config config = box_config();
		struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, R);
		struct box box;
		uint64_t ss, other;

		if (!allowed)
			config.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL);
		assert_int_equal(box_open(&box, &config), 0);
		box_tables(&box, true);
		ss = box_page(&box);
		other = box_page(&box);
		map_ss(&box, ss, 4, IOVA, PHYS);
		map_ss(&box, other, 4, IOVA, PHYS + PAGE);
		pasid_second(&box, RID, 0, 5, 4, ss);
		iommu_model_begin(&box.model, &r);
		while (r.state == IOMMU_REQUEST_RUNNING && r.pc != VTDM_PC_IOTLB_LOOKUP)
			iommu_model_step(&box.model, &r);
		assert_int_equal(r.state, IOMMU_REQUEST_RUNNING);
		pasid_second(&box, RID, 0, 5, 4, other);
		assert_int_equal(inv_pasid(&box, VTD_PASID_CACHE_PASID, 5, 0), allowed);
		finish(&box, &r);
		assert_int_equal(r.phys, PHYS);
		ticks(&box);
		assert_int_equal(status(&box), box.sequence);
		assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), allowed ? PHYS : PHYS + PAGE);
		box_close(&box);
	}
}

/* ... but who is still fetching an entry is waited for, and doesn't bring the old one back into the cache. */
static void entry_fills_are_stopped(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 12; steps++) {
		struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, R);
		struct box box;
		uint64_t ss, other, *pasid;
		bool fetching;

		simple_scalable(&box, &pasid, &ss);
		other = box_page(&box);
		map_ss(&box, other, 4, IOVA + PAGE, PHYS + PAGE);
		step_until(&box, &r, steps);
		pasid_second(&box, RID, 0, 6, 4, other);
		fetching = r.state == IOMMU_REQUEST_RUNNING && r.pc < VTDM_PC_IOTLB_LOOKUP;
		assert_int_equal(inv_context(&box, VTD_CONTEXT_GLOBAL, 0, 0, 0), !fetching);
		assert_int_equal(inv_pasid(&box, VTD_PASID_CACHE_GLOBAL, 0, 0), !fetching);
		finish(&box, &r);
		ticks(&box);
		assert_int_equal(status(&box), box.sequence);
		assert_done(go(&box, RID, BOX_NO_PASID, IOVA + PAGE, R), PHYS + PAGE);
		box_close(&box);
	}
}

static void device_tlb_drains(void **state)
{
	struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, R);
	uint64_t ss, *context, phys;
	uint32_t rights, wanted;
	struct box box;

	(void)state;
	simple_legacy(&box, &context, &ss);
	SET(VTD_CONTEXT, TT, context, VTD_TT_DEVTLB);
	go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	/* As a device does it: begin, look up, go to what was found. */
	r.kind = IOMMU_REQUEST_TRANSLATED;
	iommu_model_begin(&box.model, &r);
	assert_true(iommu_model_devtlb_lookup(&box.model, &r, &phys, &rights));
	r.addr = phys;
	uint64_t d[2] = { VTD_DESC_DEVTLB | (uint64_t)RID << 32, ~0xfffull | 1 };
	submit(&box, d);
	wanted = submit_wait(&box);
	ticks(&box);
	assert_int_not_equal(status(&box), wanted);
	while (r.state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&box.model, &r);
	assert_done(r, PHYS);
	ticks(&box);
	assert_int_not_equal(status(&box), wanted);
	iommu_model_end(&box.model, &r);
	ticks(&box);
	assert_int_equal(status(&box), wanted);
	box_close(&box);
}

/* ---- Freedoms ---- */

/* One word of an entry changes between two quanta of a fetch. */
static void torn_fetch(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 2; order++) {
		for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
			/* Which quantum first: the one with the second-stage half, or the one with the first-stage half. */
			const unsigned char script[8] = { order ? 16 / quantum : 0 };
			struct iommu_model_config config = box_config();
			struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, R);
			uint64_t fs, ss, *entry, before[8], after[8];
			struct box box;

			config.quantum = quantum;
			assert_int_equal(box_open(&box, &config), 0);
			box_tables(&box, true);
			fs = box_page(&box);
			ss = box_page(&box);
			map_fs(&box, fs, 4, IOVA, PHYS);
			map_ss(&box, ss, 4, IOVA, PHYS + PAGE);
			entry = pasid_first(&box, RID, 0, 5, 4, fs);
			memcpy(before, entry, 64);
			/* To the second stage, the first-stage half cleared: right only if the halves are seen together. */
			pasid_second(&box, RID, 0, 6, 4, ss);
			memcpy(after, entry, 64);
			memcpy(entry, before, 64);
			iommu_model_begin(&box.model, &r);
			while (r.pc != VTDM_PC_PASID)
				iommu_model_step(&box.model, &r);
			choose(&box, script, sizeof(script));
			iommu_model_step(&box.model, &r);
			memcpy(entry, after, 64);
			finish(&box, &r);
			if (!order && quantum == 16)
				assert_fault(r, VTD_FR_FS_ABSENT); /* PGTT first, pointer 0 */
			else if (!order && quantum == 8)
				assert_int_equal(r.state, IOMMU_REQUEST_FAULT);
			else
				assert_done(r, PHYS + PAGE);
			box_close(&box);
		}
	}
}

/* So that choices are about commands only. */
static void open_box_without_misses(struct box *box, bool scalable)
{
	struct iommu_model_config config = box_config();

	config.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_MISS);
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box, scalable);
}

static void late_and_reordered_commands(void **state)
{
	/* Fetch three (late), then the second, then the first, then the wait. */
	const unsigned char script[] = { 1, 1, 1 };
	uint64_t d1[2] = { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 5 << 16, 0 };
	uint64_t d2[2] = { VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 6 << 16, 0 };
	struct box box;
	uint64_t ss;
	uint32_t wanted;

	(void)state;
	open_box_without_misses(&box, true);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	pasid_second(&box, RID, 5, 5, 4, ss);
	pasid_second(&box, RID, 6, 6, 4, ss);
	go(&box, RID, 5, IOVA, R);
	go(&box, RID, 6, IOVA, R);
	*map_ss(&box, ss, 4, IOVA, PHYS) = 0;
	submit(&box, d1);
	submit(&box, d2);
	wanted = submit_wait(&box);
	choose(&box, script, sizeof(script));
	assert_true(iommu_model_tick(&box.model)); /* fetches the first: no choice */
	assert_true(iommu_model_tick(&box.model)); /* 1: fetches the second */
	assert_true(iommu_model_tick(&box.model)); /* 1: fetches the wait */
	assert_int_equal(reg(&box, VTD_REG_IQH), box.tail); /* the head says nothing */
	assert_int_equal(go(&box, RID, 5, IOVA, R).state, IOMMU_REQUEST_DONE);
	assert_true(iommu_model_tick(&box.model)); /* 1: the second before the first */
	assert_int_equal(go(&box, RID, 6, IOVA, R).state, IOMMU_REQUEST_FAULT);
	assert_int_equal(go(&box, RID, 5, IOVA, R).state, IOMMU_REQUEST_DONE);
	assert_int_not_equal(status(&box), wanted);
	ticks(&box);
	assert_int_equal(go(&box, RID, 5, IOVA, R).state, IOMMU_REQUEST_FAULT);
	assert_int_equal(status(&box), wanted);
	box_close(&box);
}

/* Nothing behind a fence before it; without the fence, a later command may be first. */
static void fences(void **state)
{
	(void)state;
	for (unsigned fence = 0; fence < 2; fence++) {
		const unsigned char script[] = { 1, 1 };
		uint64_t wait[2] = { VTD_DESC_WAIT | fence << 6, 0 };
		uint64_t d[2] = { VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << 4, 0 };
		struct box box;
		uint64_t ss;

		open_box_without_misses(&box, false);
		ss = box_page(&box);
		map_ss(&box, ss, 4, IOVA, PHYS);
		legacy_context(&box, RID, 0, 5, 4, ss);
		go(&box, RID, BOX_NO_PASID, IOVA, R);
		*map_ss(&box, ss, 4, IOVA, PHYS) = 0;
		submit(&box, wait);
		submit(&box, d);
		choose(&box, script, sizeof(script));
		iommu_model_tick(&box.model);
		iommu_model_tick(&box.model); /* fetch on, if there is a choice */
		iommu_model_tick(&box.model);
		assert_int_equal(go(&box, RID, BOX_NO_PASID, IOVA, R).state, fence ? IOMMU_REQUEST_DONE : IOMMU_REQUEST_FAULT);
		ticks(&box);
		assert_int_equal(go(&box, RID, BOX_NO_PASID, IOVA, R).state, IOMMU_REQUEST_FAULT);
		box_close(&box);
	}
}

static void freedom_switches(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;
	uint64_t ss, *pasid;
	unsigned reads;

	(void)state;
	/* KEEP off: nothing is cached. */
	config.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_KEEP);
	assert_int_equal(box_open(&box, &config), 0);
	box_tables(&box, true);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	pasid_second(&box, RID, 0, 5, 4, ss);
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	reads = box.reads;
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	assert_true(box.reads > reads);
	box_close(&box);
	/* MISS: a chooser may say so. */
	simple_scalable(&box, &pasid, &ss);
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	reads = box.reads;
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	assert_int_equal(box.reads, reads);
	choose(&box, (const unsigned char[]){ 1, 1, 1, 1, 1 }, 5);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS);
	assert_true(box.reads > reads);
	box_close(&box);
	for (int i = 0; i < IOMMU_FREEDOMS; i++)
		assert_string_not_equal(iommu_freedom_name((enum iommu_freedom)i), "unknown");
	assert_string_equal(iommu_freedom_name(IOMMU_FREEDOMS), "unknown");
}

/* ---- May-sets ---- */

static void open_mayset(struct box *box, bool scalable, unsigned lines)
{
	struct iommu_model_config config = box_config();

	config.maysets = true;
	config.entry_lines = config.pasid_lines = config.walk_lines = config.iotlb_lines = config.devtlb_lines = lines;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box, scalable);
}

static void maysets_are_canonical(void **state)
{
	struct box box;
	uint64_t ss, *pasid;
	unsigned char *first, *second;

	(void)state;
	open_mayset(&box, true, 32);
	ss = box_page(&box);
	for (unsigned i = 0; i < 4; i++)
		map_ss(&box, ss, 4, IOVA + i * PAGE, PHYS + i * PAGE);
	pasid = pasid_second(&box, RID, 0, 5, 4, ss);
	(void)pasid;
	first = malloc(box.size);
	second = malloc(box.size);
	/* The same lines, whatever order they came in: the same bytes. */
	for (unsigned i = 0; i < 4; i++)
		go(&box, RID, BOX_NO_PASID, IOVA + i * PAGE, R);
	memcpy(first, box.model.state, box.size);
	memcpy(second, box.model.state, box.size);
	go(&box, RID, BOX_NO_PASID, IOVA, R); /* a hit changes nothing */
	assert_memory_equal(first, box.model.state, box.size);
	/* The queue's registers would differ: clear by hand, by the same number of commands each time. */
	unsigned tail = box.tail;
	flush_all(&box);
	box.tail = tail;
	for (unsigned i = 4; i-- > 0;)
		go(&box, RID, BOX_NO_PASID, IOVA + i * PAGE, R);
	iommu_model_write(&box.model, VTD_REG_IQT, 8, tail);
	memcpy(second, box.model.state, box.size);
	/* Only IQH is elsewhere; let the unit's word be the same. */
	for (size_t i = 0, differ = 0; i < box.size; i += 8) {
		if (memcmp(first + i, second + i, 8)) {
			differ++;
			assert_true(differ <= 1);
		}
	}
	free(first);
	free(second);
	assert_false(iommu_model_overflow(&box.model));
	for (unsigned i = 0; i < 64; i++) {
		map_ss(&box, ss, 4, IOVA + i * PAGE, PHYS);
		go(&box, RID, BOX_NO_PASID, IOVA + i * PAGE, R);
	}
	assert_true(iommu_model_overflow(&box.model));
	box_close(&box);
}

/* Old and new line of one page, both there: every one may be used, and a miss. */
static void maysets_multi(void **state)
{
	struct box box;
	uint64_t ss, *pasid, *pte, found[3];

	(void)state;
	open_mayset(&box, true, 32);
	ss = box_page(&box);
	pte = map_ss(&box, ss, 4, IOVA, PHYS);
	pasid = pasid_second(&box, RID, 0, 5, 4, ss);
	(void)pasid;
	go(&box, RID, BOX_NO_PASID, IOVA, R);
	*pte = (PHYS + PAGE) | SS_RW;
	/* Context hit, PASID hit, IOTLB miss, then the walk hits. */
	choose(&box, (const unsigned char[]){ 0, 0, 1 }, 3);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS + PAGE);
	*pte = (PHYS + 2 * PAGE) | SS_RW;
	for (unsigned i = 0; i < 3; i++) {
		unsigned char script[3] = { 0, 0, (unsigned char)i };

		choose(&box, script, sizeof(script));
		found[i] = go(&box, RID, BOX_NO_PASID, IOVA, R).phys;
	}
	assert_int_equal(found[0], PHYS);
	assert_int_equal(found[1], PHYS + PAGE);
	assert_int_equal(found[2], PHYS + 2 * PAGE);
	inv_iotlb(&box, VTD_IOTLB_DOMAIN, 5, 0, 0, 0);
	assert_done(go(&box, RID, BOX_NO_PASID, IOVA, R), PHYS + 2 * PAGE);
	box_close(&box);
}

/* Which requests in flight an invalidation has waited for; they hold nothing up here. */
static void maysets_drained(void **state)
{
	struct box box;
	uint64_t ss, *pasid;
	struct iommu_request in_flight[64];
	unsigned n = 0;

	(void)state;
	open_mayset(&box, true, 32);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	pasid = pasid_second(&box, RID, 0, 5, 4, ss);
	(void)pasid;
	box.port.choose = NULL;
	/* A request at each of its steps. */
	struct iommu_request r = request(RID, BOX_NO_PASID, IOVA, R);
	iommu_model_begin(&box.model, &r);
	for (;;) {
		in_flight[n++] = r;
		if (r.state != IOMMU_REQUEST_RUNNING)
			break;
		iommu_model_step(&box.model, &r);
	}
	assert_int_equal(r.state, IOMMU_REQUEST_DONE);
	for (unsigned kind = 0; kind < 7; kind++) {
		uint64_t d[2] = { 0, 0 };
		unsigned drained = 0, first = 0, last = 0;

		switch (kind) {
		case 0:
			d[0] = VTD_DESC_CONTEXT | VTD_CONTEXT_DEVICE << 4 | (uint64_t)RID << 32;
			break;
		case 1:
			d[0] = VTD_DESC_PASID | VTD_PASID_CACHE_PASID << 4 | 5 << 16;
			break;
		case 2:
			d[0] = VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 5 << 16;
			break;
		case 3:
			d[0] = VTD_DESC_IOTLB | VTD_IOTLB_DOMAIN << 4 | 6 << 16;
			break;
		case 4:
			d[0] = VTD_DESC_IOTLB | VTD_IOTLB_PAGE << 4 | 5 << 16;
			d[1] = IOVA + PAGE;
			break;
		case 5:
			d[0] = VTD_DESC_CONTEXT | VTD_CONTEXT_DEVICE << 4 | (uint64_t)(RID ^ 8) << 32;
			break;
		case 6:
			d[0] = VTD_DESC_DEVTLB | (uint64_t)RID << 32;
			d[1] = ~0xfffull | 1;
			break;
		}
		submit(&box, d);
		assert_true(iommu_model_tick(&box.model)); /* fetch */
		for (unsigned i = 0; i < n; i++)
			assert_false(iommu_model_drained(&box.model, &in_flight[i]));
		assert_true(iommu_model_tick(&box.model)); /* do */
		for (unsigned i = 0; i < n; i++) {
			if (!iommu_model_drained(&box.model, &in_flight[i]))
				continue;
			if (!drained++)
				first = i;
			last = i;
		}
		switch (kind) {
		case 0: /* two quanta of the context entry */
			assert_int_equal(drained, 2);
			assert_int_equal(last, first + 1);
			break;
		case 1: /* from the PASID look-up to the last quantum */
			assert_int_equal(drained, 6);
			assert_int_equal(last, first + 5);
			break;
		case 2: /* from the IOTLB look-up to the end of the access */
			assert_true(drained > 5);
			assert_int_equal(last, n - 1);
			assert_int_equal(drained, last - first + 1);
			break;
		default:
			assert_int_equal(drained, 0);
			break;
		}
		iommu_model_settle(&box.model);
		assert_false(iommu_model_drained(&box.model, &in_flight[n - 1]));
		assert_false(iommu_model_tick(&box.model));
	}
	box_close(&box);
}

/* A request holds no garbage: the same request, the same bytes. */
static void requests_are_flat(void **state)
{
	struct iommu_request a, b;
	struct box box;
	uint64_t ss, *pasid;

	(void)state;
	open_mayset(&box, true, 32);
	ss = box_page(&box);
	map_ss(&box, ss, 4, IOVA, PHYS);
	pasid = pasid_second(&box, RID, 0, 5, 4, ss);
	(void)pasid;
	a = request(RID, BOX_NO_PASID, IOVA, R);
	memset(&b, 0xa5, sizeof(b));
	b.rid = RID;
	b.pasid = BOX_NO_PASID;
	b.addr = IOVA;
	b.access = R;
	b.kind = 0;
	b.lane = 0;
	for (unsigned pass = 0; pass < 2; pass++) {
		iommu_model_begin(&box.model, &a);
		iommu_model_begin(&box.model, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		while (a.state == IOMMU_REQUEST_RUNNING) {
			iommu_model_step(&box.model, &a);
			iommu_model_step(&box.model, &b);
			if (pass)
				assert_memory_equal(&a, &b, sizeof(a));
		}
	}
	box_close(&box);
}

/* ---- Names ---- */

static unsigned lines_seen;

static void count_line(void *ctx, const char *line)
{
	(void)ctx;
	assert_true(strlen(line) > 10);
	lines_seen++;
}

static void dump_and_reasons(void **state)
{
	struct box box;
	uint64_t ss, *pasid;

	(void)state;
	simple_scalable(&box, &pasid, &ss);
	lines_seen = 0;
	iommu_model_dump(&box.model, count_line, NULL);
	assert_int_equal(lines_seen, 0);
	go_kind(&box, RID, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION);
	iommu_model_dump(&box.model, count_line, NULL);
	assert_int_equal(lines_seen, 1 + 1 + 3 + 1 + 1);
	assert_string_equal(iommu_model_reason(&box.model, VTD_FR_PASID_ABSENT), "PASID-table entry not present");
	assert_string_equal(iommu_model_reason(&box.model, 0xff), "unknown");
	box_close(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(global_command),
		cmocka_unit_test(root_pointer_is_latched),
		cmocka_unit_test(translation_off_and_abort),
		cmocka_unit_test(configurations),
		cmocka_unit_test(legacy_root_and_context),
		cmocka_unit_test(legacy_domain_ids),
		cmocka_unit_test(legacy_pass_through),
		cmocka_unit_test(scalable_root_and_context),
		cmocka_unit_test(pasid_directory_and_entry),
		cmocka_unit_test(capabilities_make_fields_reserved),
		cmocka_unit_test(second_stage_levels_and_pages),
		cmocka_unit_test(second_stage_width_is_limited_by_mgaw),
		cmocka_unit_test(second_stage_permissions),
		cmocka_unit_test(second_stage_reserved_bits),
		cmocka_unit_test(second_stage_capabilities),
		cmocka_unit_test(first_stage_levels_and_pages),
		cmocka_unit_test(first_stage_reserved_bits),
		cmocka_unit_test(first_stage_permissions),
		cmocka_unit_test(rid_priv),
		cmocka_unit_test(execute_requests),
		cmocka_unit_test(pass_through),
		cmocka_unit_test(interrupt_range),
		cmocka_unit_test(first_stage_accessed_dirty),
		cmocka_unit_test(second_stage_accessed_dirty),
		cmocka_unit_test(nesting),
		cmocka_unit_test(nested_page_sizes),
		cmocka_unit_test(fault_records),
		cmocka_unit_test(fault_interrupts),
		cmocka_unit_test(fault_processing_disable),
		cmocka_unit_test(context_cache),
		cmocka_unit_test(pasid_cache),
		cmocka_unit_test(iotlb),
		cmocka_unit_test(iotlb_pass_through),
		cmocka_unit_test(tags_are_shared),
		cmocka_unit_test(invalidation_hint),
		cmocka_unit_test(invalidation_of_large_pages),
		cmocka_unit_test(caching_mode),
		cmocka_unit_test(ats),
		cmocka_unit_test(ats_scalable),
		cmocka_unit_test(wait_and_interrupt),
		cmocka_unit_test(queue_errors),
		cmocka_unit_test(broken_hardware),
		cmocka_unit_test(register_based_invalidation),
		cmocka_unit_test(waits_drain),
		cmocka_unit_test(late_fills),
		cmocka_unit_test(entry_fills_are_stopped),
		cmocka_unit_test(device_tlb_drains),
		cmocka_unit_test(torn_fetch),
		cmocka_unit_test(late_and_reordered_commands),
		cmocka_unit_test(fences),
		cmocka_unit_test(freedom_switches),
		cmocka_unit_test(maysets_are_canonical),
		cmocka_unit_test(enabling_forgets),
		cmocka_unit_test(maysets_multi),
		cmocka_unit_test(maysets_drained),
		cmocka_unit_test(requests_are_flat),
		cmocka_unit_test(dump_and_reasons),
	};

	int failed = cmocka_run_group_tests_name("with choices", tests, NULL, NULL);

	box_plain = true;
	return failed + cmocka_run_group_tests_name("without", tests, NULL, NULL);
}
