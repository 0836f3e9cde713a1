/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_model_smmuv3.c - the register-level model of the Arm SMMUv3 against IHI 0070 G.b. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/smmuv3_state.h"
#include "model_smmuv3.h"

#define DEV 0x1234u
#define DEV2 0x1235u /* its neighbour in the leaf table */
#define DEV3 0x1334u /* of another leaf table */
#define IOVA 0x12345000ull
#define PHYS 0x00777000ull
#define PHYS2 0x00888000ull
#define R IOMMU_READ
#define W IOMMU_WRITE
#define X IOMMU_EXEC
#define P IOMMU_PRIV

static uint64_t idr0_idr1(uint64_t set, uint64_t clear)
{
	uint64_t cap[2];

	smmuv3_model_default_capabilities(cap);
	return (cap[0] | set) & ~clear;
}

static uint64_t idr3_idr5(uint64_t set, uint64_t clear)
{
	uint64_t cap[2];

	smmuv3_model_default_capabilities(cap);
	return (cap[1] | set) & ~clear;
}

#define IDR0(name) BITS(SMMU_IDR0, name)
#define IDR1(name) (BITS(SMMU_IDR1, name) << 32)
#define IDR3(name) BITS(SMMU_IDR3, name)
#define IDR5(name) (BITS(SMMU_IDR5, name) << 32)

static void open_with(struct box *box, uint64_t cap0, uint64_t cap1, uint64_t options, unsigned freedoms)
{
	struct iommu_model_config config = box_config();

	config.capabilities[0] = cap0;
	config.capabilities[1] = cap1;
	config.capabilities[2] = options;
	config.freedoms = freedoms;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
}

static void open_box(struct box *box)
{
	open_with(box, 0, 0, 0, ~0u);
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

#define DONE(access, to) assert_done(go(&box, DEV, BOX_NO_PASID, IOVA, access), to)
#define FAULT(access, why) assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA, access), why)
#define TRANSLATION SMMU_EVT_F_TRANSLATION
#define PERMISSION SMMU_EVT_F_PERMISSION
#define ADDR_SIZE SMMU_EVT_F_ADDR_SIZE

/* A first stage of one context at `cd`; the page at IOVA isn't mapped yet. */
struct first {
	struct pt pt;
	uint64_t at;
	uint64_t *ste, *cd;
};

static struct first first_of(struct box *box, uint32_t sid, unsigned shift, unsigned bits, unsigned asid)
{
	struct first f;

	f.pt = pt_new(box, shift, bits, false);
	f.at = box_page(box);
	f.cd = cd_set(box, f.at, &f.pt, asid);
	f.ste = ste_s1(box, sid, f.at);
	return f;
}

static struct first simple_first(struct box *box)
{
	return first_of(box, DEV, 12, 48, 7);
}

/* Both stages; IPAs of RAM are at box->guest. */
struct nested {
	struct pt s2, s1;
	uint64_t at;
	uint64_t *ste, *cd;
};

#define GUEST 0x40000000ull

static struct nested nested_of(struct box *box, uint32_t sid, unsigned vmid, unsigned asid)
{
	struct nested n;

	box->guest = GUEST;
	n.s2 = pt_new(box, 12, 40, true);
	map_ram(box, &n.s2);
	n.s1 = pt_new(box, 12, 48, false);
	n.at = box_page(box);
	n.cd = cd_set(box, n.at, &n.s1, asid);
	n.ste = ste_nested(box, sid, n.at, &n.s2, vmid);
	return n;
}

/* ---- Registers ---- */

static void registers(void **state)
{
	struct iommu_model_config config = box_config();
	uint64_t cap[2];
	struct box box;

	(void)state;
	smmuv3_model_default_capabilities(cap);
	assert_int_equal(box_open(&box, &config), 0);
	assert_int_equal(reg64(&box, SMMU_REG_IDR0), cap[0]);
	assert_int_equal(reg32(&box, SMMU_REG_IDR3), cap[1] & 0xffffffff);
	assert_int_equal(reg32(&box, SMMU_REG_IDR5), cap[1] >> 32);
	assert_int_equal(reg32(&box, SMMU_REG_AIDR), 3);
	assert_int_equal(reg32(&box, SMMU_REG_IDR2) | reg32(&box, SMMU_REG_IDR4) | reg32(&box, SMMU_REG_IIDR) |
			 reg32(&box, SMMU_REG_STATUSR) | reg32(&box, SMMU_REG_AGBPA), 0);
	set64(&box, SMMU_REG_IDR0, 0);
	assert_int_equal(reg64(&box, SMMU_REG_IDR0), cap[0]);
	/* Halves; reserved bits read 0. */
	set32(&box, SMMU_REG_CMDQ_BASE + 4, 0x12);
	set32(&box, SMMU_REG_CMDQ_BASE, 0x34567425);
	assert_int_equal(reg64(&box, SMMU_REG_CMDQ_BASE), 0x1234567425ull);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_BASE + 4), 0x12);
	set64(&box, SMMU_REG_CMDQ_BASE, ~0ull);
	assert_int_equal(reg64(&box, SMMU_REG_CMDQ_BASE),
			 BITS(SMMU_QUEUE_BASE, LOG2SIZE) | BITS(SMMU_QUEUE_BASE, ADDR) | BITS(SMMU_QUEUE_BASE, RA_WA));
	set64(&box, SMMU_REG_STRTAB_BASE, ~0ull);
	assert_int_equal(reg64(&box, SMMU_REG_STRTAB_BASE), BITS(SMMU_STRTAB_BASE, ADDR) | BITS(SMMU_STRTAB_BASE, RA));
	set32(&box, SMMU_REG_STRTAB_BASE_CFG, ~0u);
	assert_int_equal(reg32(&box, SMMU_REG_STRTAB_BASE_CFG), 0x307ff);
	set32(&box, SMMU_REG_CR1, ~0u);
	assert_int_equal(reg32(&box, SMMU_REG_CR1), 0xfff);
	set32(&box, SMMU_REG_CR2, ~0u);
	assert_int_equal(reg32(&box, SMMU_REG_CR2), BITS(SMMU_CR2, E2H) | BITS(SMMU_CR2, RECINVSID) | BITS(SMMU_CR2, REC_CFG_ATS));
	set32(&box, SMMU_REG_CMDQ_PROD, ~0u);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_PROD), 0xfffff);
	set64(&box, SMMU_REG_GERROR_IRQ_CFG0, ~0ull);
	assert_int_equal(reg64(&box, SMMU_REG_GERROR_IRQ_CFG0), BITS(SMMU_IRQ_CFG0, ADDR));
	set32(&box, SMMU_REG_GERROR_IRQ_CFG1, 0x9abcdef0);
	assert_int_equal(reg32(&box, SMMU_REG_GERROR_IRQ_CFG1), 0x9abcdef0);
	set32(&box, SMMU_REG_EVENTQ_IRQ_CFG1, 0x12345678);
	set32(&box, SMMU_REG_EVENTQ_IRQ_CFG2, ~0u);
	assert_int_equal(reg64(&box, SMMU_REG_EVENTQ_IRQ_CFG1), 0x3f12345678);
	/* No PRI: its queue isn't there. Nor are these. */
	set64(&box, SMMU_REG_PRIQ_BASE, ~0ull);
	set32(&box, SMMU_REG_PRIQ_PROD, 5);
	assert_int_equal(reg64(&box, SMMU_REG_PRIQ_BASE) | reg32(&box, SMMU_REG_PRIQ_PROD), 0);
	set64(&box, 0xff8, ~0ull);
	assert_int_equal(iommu_model_read(&box.model, 0xff8, 8), 0);
	assert_int_equal(iommu_model_read(&box.model, ~7ull, 8), 0);
	box_close(&box);

	/* Without messages, without tables of two levels. */
	config.capabilities[0] = idr0_idr1(6ull << 32, IDR0(MSI) | IDR0(ST_LEVEL) | IDR1(SIDSIZE) | IDR0(HYP) | IDR0(ATS) | IDR0(ATSRECERR));
	config.capabilities[0] = (config.capabilities[0] & ~IDR1(SIDSIZE)) | 6ull << 32;
	assert_int_equal(box_open(&box, &config), 0);
	set64(&box, SMMU_REG_GERROR_IRQ_CFG0, ~0ull);
	set32(&box, SMMU_REG_EVENTQ_IRQ_CFG1, ~0u);
	set32(&box, SMMU_REG_CR2, ~0u);
	set32(&box, SMMU_REG_STRTAB_BASE_CFG, ~0u);
	set32(&box, SMMU_REG_CR0, BITS(SMMU_CR0, ATSCHK) | BITS(SMMU_CR0, VMW) | BITS(SMMU_CR0, PRIQEN));
	assert_int_equal(reg64(&box, SMMU_REG_GERROR_IRQ_CFG0) | reg32(&box, SMMU_REG_EVENTQ_IRQ_CFG1) | reg32(&box, SMMU_REG_CR0), 0);
	assert_int_equal(reg32(&box, SMMU_REG_CR2), BITS(SMMU_CR2, RECINVSID));
	assert_int_equal(reg32(&box, SMMU_REG_STRTAB_BASE_CFG), 0x3f);
	box_close(&box);
}

/* 6.3: what may be written only while what uses it is off. */
static void guarded_registers(void **state)
{
	const struct {
		unsigned offset;
		uint64_t enable;
	} regs[] = {
		{ SMMU_REG_STRTAB_BASE, BITS(SMMU_CR0, SMMUEN) }, { SMMU_REG_STRTAB_BASE_CFG, BITS(SMMU_CR0, SMMUEN) },
		{ SMMU_REG_CR2, BITS(SMMU_CR0, SMMUEN) }, { SMMU_REG_CMDQ_BASE, BITS(SMMU_CR0, CMDQEN) },
		{ SMMU_REG_CMDQ_CONS, BITS(SMMU_CR0, CMDQEN) }, { SMMU_REG_EVENTQ_BASE, BITS(SMMU_CR0, EVENTQEN) },
		{ SMMU_REG_EVENTQ_PROD, BITS(SMMU_CR0, EVENTQEN) },
	};
	struct box box;

	(void)state;
	for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		uint64_t before;

		open_box(&box);
		before = reg32(&box, regs[i].offset);
		set32(&box, regs[i].offset, before ^ 0x41);
		assert_int_equal(reg32(&box, regs[i].offset), before);
		/* Off, but not acknowledged. */
		set32(&box, SMMU_REG_CR0, CR0_ON & ~regs[i].enable);
		set32(&box, regs[i].offset, before ^ 0x41);
		assert_int_equal(reg32(&box, regs[i].offset), before);
		ticks(&box);
		set32(&box, regs[i].offset, before ^ 0x41);
		assert_int_not_equal(reg32(&box, regs[i].offset), before);
		box_close(&box);
	}
	/* Messages' registers, while their interrupt is on. */
	open_box(&box);
	set64(&box, SMMU_REG_EVENTQ_IRQ_CFG0, 0x1000);
	set32(&box, SMMU_REG_IRQ_CTRL, BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN));
	set64(&box, SMMU_REG_EVENTQ_IRQ_CFG0, 0x2000);
	set64(&box, SMMU_REG_GERROR_IRQ_CFG0, 0x3000);
	assert_int_equal(reg64(&box, SMMU_REG_EVENTQ_IRQ_CFG0), 0x1000);
	assert_int_equal(reg64(&box, SMMU_REG_GERROR_IRQ_CFG0), 0x3000);
	box_close(&box);
}

static void configurations(void **state)
{
	const struct {
		uint64_t set0, clear0, set1, clear1;
	} bad[] = {
		{ IDR0(BTM), 0, 0, 0 }, { IDR0(PRI), 0, 0, 0 }, { IDR0(ATOS), 0, 0, 0 }, { IDR0(DORMHINT), 0, 0, 0 },
		{ IDR0(RME_IMPL), 0, 0, 0 }, { IDR0(TTF), 0, 0, 0 }, { 0, IDR0(TTF), 0, 0 }, { IDR0(HTTU), 0, 0, 0 },
		{ IDR0(TTENDIAN), 0, 0, 0 }, { 0, IDR0(TTENDIAN), 0, 0 }, { 0, IDR0(STALL_MODEL), 0, 0 },
		{ 0, IDR0(S1P) | IDR0(S2P) | IDR0(HYP), 0, IDR3(HAD) }, { 0, IDR0(S2P), 0, 0 }, { 0, IDR0(ST_LEVEL), 0, 0 },
		{ IDR1(SIDSIZE), 0, 0, 0 }, { IDR1(SSIDSIZE), 0, 0, 0 }, { IDR1(CMDQS), 0, 0, 0 }, { IDR1(EVENTQS), 0, 0, 0 },
		{ IDR1(QUEUES_PRESET), 0, 0, 0 }, { IDR1(ECMDQ), 0, 0, 0 }, { 0, 0, IDR3(BBML), 0 }, { 0, 0, IDR3(MPAM), 0 },
		{ 0, 0, IDR3(S1PI), 0 }, { 0, 0, IDR5(OAS), 0 }, { 0, 0, IDR5(DS), 0 }, { 0, 0, IDR5(VAX), 0 },
		{ 0, 0, 0, IDR5(GRAN4K) | IDR5(GRAN16K) | IDR5(GRAN64K) }, { 0, IDR0(S1P) | IDR0(HYP), 0, 0 },
	};
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.capabilities[0] = idr0_idr1(bad[i].set0, bad[i].clear0);
		config.capabilities[1] = idr3_idr5(bad[i].set1, bad[i].clear1);
		if (iommu_model_size(&smmuv3_model, &config))
			fail_msg("case %u", i);
	}
	config.capabilities[0] = config.capabilities[1] = 0;
	config.capabilities[2] = SMMUV3_MODEL_OPTIONS + 1;
	assert_int_equal(iommu_model_size(&smmuv3_model, &config), 0);
	config.capabilities[2] = 0;
	config.capabilities[3] = SMMUV3_BROKEN_ALL + 1;
	assert_int_equal(iommu_model_size(&smmuv3_model, &config), 0);
	config.capabilities[3] = 0;
	config.quantum = 4;
	assert_int_equal(box_open(&box, &config), -EINVAL);
	box_close(&box);
	config.quantum = 16;
	assert_int_equal(box_open(&box, &config), 0);
	box_close(&box);
	/* One stage only. */
	config.capabilities[0] = idr0_idr1(0, IDR0(S2P) | IDR0(HYP));
	assert_int_equal(box_open(&box, &config), 0);
	box_close(&box);
	config.capabilities[0] = idr0_idr1(0, IDR0(S1P) | IDR0(HYP));
	config.capabilities[1] = idr3_idr5(0, IDR3(HAD));
	assert_int_equal(box_open(&box, &config), 0);
	box_close(&box);
}

static void any_register_any_value(void **state)
{
	struct box box;

	(void)state;
	for (unsigned offset = 0; offset < 0x100d0; offset += 4) {
		if (offset == 0x100)
			offset = 0x10000;
		for (unsigned value = 0; value < 3; value++) {
			open_box(&box);
			set32(&box, offset, value == 0 ? 0 : value == 1 ? ~0u : 0x5a5a5a5a);
			ticks(&box);
			go(&box, DEV, BOX_NO_PASID, IOVA, W);
			/* And while it is off. */
			set_cr0(&box, 0);
			set32(&box, offset, value == 0 ? 0 : value == 1 ? ~0u : 0x5a5a5a5a);
			set_cr0(&box, CR0_ON);
			ticks(&box);
			go(&box, DEV, BOX_NO_PASID, IOVA, W);
			box_close(&box);
		}
	}
}

/* ---- Handshakes ---- */

static void enabling(void **state)
{
	struct iommu_model_config config = box_config();
	struct box box;

	(void)state;
	assert_int_equal(box_open(&box, &config), 0);
	box_queues(&box);
	ste_config(ste_at(&box, DEV), SMMU_CONFIG_ABORT);
	/* Off: bypass, and no tables. */
	DONE(R | W, IOVA);
	assert_done(go(&box, ~0u, 5, IOVA, R), IOVA);
	assert_fault(go(&box, DEV, BOX_NO_PASID, 1ull << 48, R), SMMUV3_MODEL_SILENT);
	assert_int_equal(events_waiting(&box), 0);
	/* 6.3.9.6: translation requests and translated ones end in events. */
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATION), SMMU_EVT_F_BAD_ATS_TREQ);
	assert_fault(go_kind(&box, DEV, BOX_NO_PASID, IOVA, R, IOMMU_REQUEST_TRANSLATED), SMMU_EVT_F_TRANSL_FORBIDDEN);
	/* SMMU_GBPA takes effect when Update is 0 again, and only with Update. */
	set32(&box, SMMU_REG_GBPA, BITS(SMMU_GBPA, ABORT));
	assert_int_equal(reg32(&box, SMMU_REG_GBPA), (unsigned)SMMU_SH_INCOMING << 12);
	set32(&box, SMMU_REG_GBPA, BITS(SMMU_GBPA, ABORT) | BITS(SMMU_GBPA, UPDATE));
	assert_true(reg32(&box, SMMU_REG_GBPA) & BITS(SMMU_GBPA, UPDATE));
	DONE(R, IOVA);
	/* Ignored while the last is under way. */
	set32(&box, SMMU_REG_GBPA, BITS(SMMU_GBPA, UPDATE));
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_GBPA), BITS(SMMU_GBPA, ABORT));
	FAULT(R, SMMUV3_MODEL_SILENT);
	/* On: not before it is acknowledged. */
	set32(&box, SMMU_REG_GBPA, BITS(SMMU_GBPA, UPDATE));
	ticks(&box);
	set32(&box, SMMU_REG_CR0, CR0_ON);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), CR0_QUEUES);
	DONE(R, IOVA);
	/* A field that is under way can't be changed back. */
	set32(&box, SMMU_REG_CR0, CR0_QUEUES);
	assert_int_equal(reg32(&box, SMMU_REG_CR0), CR0_ON);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), CR0_ON);
	FAULT(R, SMMUV3_MODEL_SILENT);
	/* Off again: requests in flight are waited for. */
	struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

	iommu_model_begin(&box.model, &r);
	iommu_model_step(&box.model, &r);
	set_cr0(&box, CR0_QUEUES);
	assert_true(reg32(&box, SMMU_REG_CR0ACK) & BITS(SMMU_CR0, SMMUEN));
	DONE(R, IOVA); /* who comes now bypasses */
	while (r.state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&box.model, &r);
	assert_int_equal(r.reason, SMMUV3_MODEL_SILENT);
	iommu_model_end(&box.model, &r);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), CR0_QUEUES);
	/* IRQ_CTRL. */
	set32(&box, SMMU_REG_IRQ_CTRL, 7);
	assert_int_equal(reg32(&box, SMMU_REG_IRQ_CTRLACK), 0);
	set32(&box, SMMU_REG_IRQ_CTRL, 0);
	assert_int_equal(reg32(&box, SMMU_REG_IRQ_CTRL), 5); /* no PRI */
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_IRQ_CTRLACK), 5);
	box_close(&box);
}

/* ---- Stream table (3.3.1, 5.1, 5.2) ---- */

static void linear_stream_table(void **state)
{
	struct box box;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	set_cr0(&box, CR0_QUEUES);
	box.strtab = box_pages_aligned(&box, 2); /* 128 entries */
	set_strtab(&box, SMMU_STRTAB_LINEAR, 0, 7);
	set_cr0(&box, CR0_ON);
	for (unsigned sid = 0; sid < 128; sid += 127) {
		assert_fault(go(&box, sid, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STE);
		ste_config(at(&box, box.strtab + sid * 64), SMMU_CONFIG_BYPASS);
		assert_done(go(&box, sid, BOX_NO_PASID, IOVA, R), IOVA);
	}
	assert_fault(go(&box, 128, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
	assert_fault(go(&box, 1u << 16, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
	/* 6.3.24: the base's bits within the table's size don't count. */
	set_cr0(&box, CR0_QUEUES);
	set64(&box, SMMU_REG_STRTAB_BASE, box.strtab + 0x1040);
	set_cr0(&box, CR0_ON);
	assert_done(go(&box, 127, BOX_NO_PASID, IOVA, R), IOVA);
	box.hole = box.strtab + 0x1000;
	assert_fault(go(&box, 127, BOX_NO_PASID, IOVA, R), SMMU_EVT_F_STE_FETCH);
	box_close(&box);
}

static void two_level_stream_table(void **state)
{
	const unsigned splits[] = { SMMU_SPLIT_4K, SMMU_SPLIT_16K, SMMU_SPLIT_64K };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned split = splits[i];

		for (unsigned span = 0; span < 32; span++) {
			uint64_t *l1, leaf;
			unsigned in, sid;

			open_with(&box, 0, 0, 0, 0);
			set_cr0(&box, CR0_QUEUES);
			box.strtab = box_pages_aligned(&box, 2);
			set_strtab(&box, SMMU_STRTAB_2LVL, split, 16);
			set_cr0(&box, CR0_ON);
			l1 = at(&box, box.strtab + (DEV >> split) * 8);
			leaf = box_pages_aligned(&box, 16);
			SET(SMMU_L1STD, SPAN, l1, span);
			SET_ADDR(SMMU_L1STD, L2PTR, l1, leaf);
			/* The last entry that it has, and the first that it hasn't. */
			in = span && span <= split + 1 ? 1u << (span - 1) : 0;
			sid = DEV >> split << split;
			if (in) {
				ste_config(at(&box, leaf + (in - 1) * 64), SMMU_CONFIG_BYPASS);
				assert_done(go(&box, sid + in - 1, BOX_NO_PASID, IOVA, R), IOVA);
			}
			if (in < 1u << split)
				assert_fault(go(&box, sid + in, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
			box_close(&box);
		}
	}
	open_with(&box, 0, 0, 0, 0);
	assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
	ste_bypass(&box, DEV);
	DONE(R, IOVA);
	assert_fault(go(&box, 1u << 16, BOX_NO_PASID, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t *l1 = l1std_at(&box, DEV), old = *l1;

		if (bit >= 6 && bit < 56)
			continue;
		*l1 ^= 1ull << bit;
		/* Of Span, only a smaller one that still reaches does no harm: there is none, DEV is in the middle. */
		if (bit < 5 ? bit == 0 : false)
			DONE(R, IOVA);
		else
			FAULT(R, SMMU_EVT_C_BAD_STREAMID);
		*l1 = old;
	}
	box.hole = box.strtab;
	FAULT(R, SMMU_EVT_F_STE_FETCH);
	box.hole = (uint64_t)(ste_at(&box, DEV) - box.ram) * 8;
	FAULT(R, SMMU_EVT_F_STE_FETCH);
	box.hole = 0;
	SET_ADDR(SMMU_L1STD, L2PTR, l1std_at(&box, DEV), 1ull << 50);
	FAULT(R, SMMU_EVT_F_STE_FETCH);
	box_close(&box);
	/* Leaf tables of 4K, because SPLIT is reserved (6.3.25). */
	open_with(&box, 0, 0, 0, 0);
	set_cr0(&box, CR0_QUEUES);
	box.strtab = box_pages_aligned(&box, 2);
	set_strtab(&box, SMMU_STRTAB_2LVL, 7, 16);
	set_cr0(&box, CR0_ON);
	*at(&box, box.strtab + (DEV >> 6) * 8) = box_page(&box) | 7;
	ste_config(at(&box, (*at(&box, box.strtab + (DEV >> 6) * 8) & ~63ull) + (DEV & 63) * 64), SMMU_CONFIG_BYPASS);
	DONE(R, IOVA);
	box_close(&box);
}

#define EXPECT_STE(what, illegal) \
	do { \
		uint64_t saved_[SMMU_STE_WORDS]; \
		memcpy(saved_, ste, sizeof(saved_)); \
		what; \
		if (illegal) \
			FAULT(R, SMMU_EVT_C_BAD_STE); \
		else \
			assert_int_not_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, SMMU_EVT_C_BAD_STE); \
		memcpy(ste, saved_, sizeof(saved_)); \
	} while (0)

static void stream_configurations(void **state)
{
	struct box box;
	uint64_t *ste;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	ste = ste_bypass(&box, DEV);
	EXPECT_STE(SET(SMMU_STE, V, ste, 0), true);
	for (unsigned config = 0; config < 4; config++) {
		SET(SMMU_STE, CONFIG, ste, config);
		FAULT(R, SMMUV3_MODEL_SILENT);
	}
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_BYPASS);
	DONE(R, IOVA);
	assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
	/* 3.4: bypass checks the address; without an event's class there is none. */
	assert_fault(go(&box, DEV, BOX_NO_PASID, 1ull << 48, R), ADDR_SIZE);
	assert_done(go(&box, DEV, BOX_NO_PASID, (1ull << 48) - 8, R), (1ull << 48) - 8);
	/* What of the stages says nothing here. */
	SET(SMMU_STE, S2T0SZ, ste, 63);
	SET(SMMU_STE, S2TG, ste, 3);
	SET(SMMU_STE, S2S, ste, 1);
	SET(SMMU_STE, EATS, ste, 2);
	SET(SMMU_STE, STRW, ste, 3);
	SET(SMMU_STE, S1STALLD, ste, 1);
	DONE(R, IOVA);
	box_close(&box);
	/* One stage only. */
	open_with(&box, idr0_idr1(0, IDR0(S2P) | IDR0(HYP)), 0, 0, 0);
	ste = ste_bypass(&box, DEV);
	SET(SMMU_STE, S2AA64, ste, 1);
	EXPECT_STE(SET(SMMU_STE, CONFIG, ste, 5), false);
	EXPECT_STE(SET(SMMU_STE, CONFIG, ste, 6), true);
	EXPECT_STE(SET(SMMU_STE, CONFIG, ste, 7), true);
	box_close(&box);
	open_with(&box, idr0_idr1(0, IDR0(S1P) | IDR0(HYP)), idr3_idr5(0, IDR3(HAD)), 0, 0);
	ste = ste_bypass(&box, DEV);
	EXPECT_STE(SET(SMMU_STE, CONFIG, ste, 5), true);
	EXPECT_STE(SET(SMMU_STE, CONFIG, ste, 7), true);
	struct pt pt = pt_new(&box, 12, 40, true);
	ste = ste_s2(&box, DEV, &pt, 3);
	EXPECT_STE((void)0, false);
	box_close(&box);
}

/* 5.2.2 */
static void illegal_stream_table_entries(void **state)
{
	struct first f;
	struct nested n;
	struct pt pt;
	struct box box;
	uint64_t *ste;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	ste = f.ste;
	EXPECT_STE((void)0, false);
	EXPECT_STE(SET(SMMU_STE, S1STALLD, ste, 1), true);
	EXPECT_STE(SET(SMMU_STE, STRW, ste, 1), true);
	EXPECT_STE(SET(SMMU_STE, STRW, ste, 3), true);
	EXPECT_STE(SET(SMMU_STE, STRW, ste, 2), false);
	EXPECT_STE(SET(SMMU_STE, S1CDMAX, ste, 20), false);
	EXPECT_STE(SET(SMMU_STE, S1CDMAX, ste, 21), true);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 1), false);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 2), true);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 3), false);
	EXPECT_STE(SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, 1ull << 48), true);
	EXPECT_STE(SET(SMMU_STE, S2VMID, ste, 0xffff), false);
	/* The second stage's fields say nothing. */
	EXPECT_STE(SET(SMMU_STE, S2S, ste, 1), false);
	EXPECT_STE(SET(SMMU_STE, S2TG, ste, 3), false);
	box_close(&box);

	open_with(&box, idr0_idr1(0, IDR0(VMID16) | IDR0(CD2L)), 0, 0, 0);
	f = simple_first(&box);
	ste = f.ste;
	EXPECT_STE(SET(SMMU_STE, S2VMID, ste, 0xff), false);
	EXPECT_STE(SET(SMMU_STE, S2VMID, ste, 0x100), true);
	EXPECT_STE((SET(SMMU_STE, S2VMID, ste, 0x100), SET(SMMU_STE, STRW, ste, 2)), false);
	EXPECT_STE(SET(SMMU_STE, S1FMT, ste, 1), false);
	EXPECT_STE((SET(SMMU_STE, S1FMT, ste, 1), SET(SMMU_STE, S1CDMAX, ste, 1)), true);
	EXPECT_STE((SET(SMMU_STE, S1FMT, ste, 2), SET(SMMU_STE, S1CDMAX, ste, 1)), true);
	EXPECT_STE((SET(SMMU_STE, S1FMT, ste, 3), SET(SMMU_STE, S1CDMAX, ste, 1)), false);
	box_close(&box);

	open_with(&box, 0, 0, 0, 0);
	pt = pt_new(&box, 12, 40, true);
	ste = ste_s2(&box, DEV, &pt, 3);
	EXPECT_STE((void)0, false);
	EXPECT_STE(SET(SMMU_STE, S2S, ste, 1), true);
	EXPECT_STE(SET(SMMU_STE, S2AA64, ste, 0), true);
	EXPECT_STE(SET(SMMU_STE, S2ENDI, ste, 1), true);
	EXPECT_STE(SET(SMMU_STE, S2TG, ste, 3), true);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 1), false);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 2), true);
	EXPECT_STE(SET_ADDR(SMMU_STE, S2TTB, ste, 1ull << 48), true);
	EXPECT_STE((SET(SMMU_STE, S2PS, ste, SMMU_PS_32), SET_ADDR(SMMU_STE, S2TTB, ste, 1ull << 32)), true);
	EXPECT_STE((SET(SMMU_STE, S2PS, ste, SMMU_PS_36), SET_ADDR(SMMU_STE, S2TTB, ste, 1ull << 32)), false);
	EXPECT_STE(SET(SMMU_STE, STRW, ste, 3), false);
	/* HTTU. */
	EXPECT_STE((SET(SMMU_STE, S2HA, ste, 1), SET(SMMU_STE, S2HD, ste, 1)), false);
	box_close(&box);
	for (unsigned httu = 0; httu < 2; httu++) {
		open_with(&box, (idr0_idr1(0, IDR0(HTTU))) | httu << 6, 0, 0, 0);
		pt = pt_new(&box, 12, 40, true);
		ste = ste_s2(&box, DEV, &pt, 3);
		EXPECT_STE(SET(SMMU_STE, S2HA, ste, 1), !httu);
		EXPECT_STE((SET(SMMU_STE, S2HA, ste, 1), SET(SMMU_STE, S2HD, ste, 1)), true);
		box_close(&box);
	}

	open_with(&box, 0, 0, 0, 0);
	n = nested_of(&box, DEV, 3, 7);
	ste = n.ste;
	EXPECT_STE((void)0, false);
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 2), false);
	EXPECT_STE(SET(SMMU_STE, STRW, ste, 3), false);
	box_close(&box);
	open_with(&box, idr0_idr1(IDR0(NS1ATS), 0), 0, 0, 0);
	n = nested_of(&box, DEV, 3, 7);
	ste = n.ste;
	EXPECT_STE(SET(SMMU_STE, EATS, ste, 2), true);
	box_close(&box);
}

/* DDI 0487 D8.2.2: which sizes the second stage's first level can have. */
static void second_stage_sizes(void **state)
{
	const unsigned shifts[] = { 12, 14, 16 };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = shifts[i], stride = shift - 3;

		open_with(&box, 0, 0, 0, 0);
		for (unsigned sl0 = 0; sl0 < 4; sl0++) {
			unsigned start = shift == 12 ? (sl0 == 3 ? 0 : sl0 + 1) : sl0;

			for (unsigned t0sz = 0; t0sz < 64; t0sz++) {
				struct pt pt = { 0, shift, 40, true };
				uint64_t *ste = ste_s2(&box, DEV, &pt, 3);
				unsigned bits = 64 - t0sz, low = shift + start * stride;
				/* 2^1 to 2^stride entries, or up to 16 tables. */
				bool good = bits > low && bits <= low + stride + 4 && bits <= 48 && bits >= (shift == 16 ? 17 : 16);

				if (shift != 12 && sl0 == 3)
					good = false;
				SET(SMMU_STE, S2SL0, ste, sl0);
				SET(SMMU_STE, S2T0SZ, ste, t0sz);
				if ((go(&box, DEV, BOX_NO_PASID, 0, R).reason != SMMU_EVT_C_BAD_STE) != good)
					fail_msg("granule %u sl0 %u t0sz %u", shift, sl0, t0sz);
			}
		}
		box_close(&box);
	}
	/* Without small tables, and with a smaller output. */
	open_with(&box, 0, idr3_idr5(0, IDR3(STT)), 0, 0);
	struct pt pt = { 0, 12, 25, true };
	uint64_t *ste = ste_s2(&box, DEV, &pt, 3);
	EXPECT_STE((void)0, true); /* it begins at level 3 */
	SET(SMMU_STE, S2SL0, ste, 0);
	EXPECT_STE((void)0, false);
	EXPECT_STE(SET(SMMU_STE, S2T0SZ, ste, 40), true);
	box_close(&box);
	open_with(&box, 0, (idr3_idr5(0, IDR5(OAS))) | (uint64_t)SMMU_PS_40 << 32, 0, 0);
	pt.bits = 40;
	ste = ste_s2(&box, DEV, &pt, 3);
	EXPECT_STE((void)0, false);
	EXPECT_STE(SET(SMMU_STE, S2T0SZ, ste, 23), true);
	EXPECT_STE(SET(SMMU_STE, S2SL0, ste, 2), true);
	box_close(&box);
}

/* Every bit that the layout doesn't name is reserved: C_BAD_STE, C_BAD_CD; or it is ignored (SMMUV3_MODEL_LAX). */
static void reserved_bits(void **state)
{
	uint64_t ste_used[SMMU_STE_WORDS] = { 0 }, cd_used[SMMU_CD_WORDS] = { 0 }, *used;
	struct box box;
	struct first f;

	(void)state;
	used = ste_used;
	SMMU_STE_LIST(SMMU_STE, LAYOUT_NAME_BITS)
	used = cd_used;
	SMMU_CD_LIST(SMMU_CD, LAYOUT_NAME_BITS)
	for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
		for (unsigned lax = 0; lax < 2; lax++) {
			struct iommu_model_config config = box_config();

			config.quantum = quantum;
			config.freedoms = 0;
			config.capabilities[2] = lax ? SMMUV3_MODEL_LAX : 0;
			assert_int_equal(box_open(&box, &config), 0);
			box_tables(&box);
			f = simple_first(&box);
			pt_map(&box, &f.pt, IOVA, PHYS, 0);
			for (unsigned i = 0; i < 1024; i++) {
				uint64_t *entry = i < 512 ? f.ste : f.cd, bit = 1ull << i % 64;
				unsigned word = i % 512 / 64;

				if ((i < 512 ? ste_used : cd_used)[word] & bit)
					continue;
				entry[word] ^= bit;
				if (lax)
					DONE(R, PHYS);
				else
					FAULT(R, i < 512 ? SMMU_EVT_C_BAD_STE : SMMU_EVT_C_BAD_CD);
				entry[word] ^= bit;
			}
			box_close(&box);
		}
	}
}

/* ---- Context descriptors (5.3, 5.4, 3.3.2) ---- */

static void context_tables(void **state)
{
	const struct {
		unsigned fmt, bits;
	} formats[] = { { SMMU_S1FMT_LINEAR, 0 }, { SMMU_S1FMT_4K, 6 }, { SMMU_S1FMT_64K, 10 }, { 3, 0 } };
	struct box box;

	(void)state;
	for (unsigned nested = 0; nested < 2; nested++) {
		for (unsigned i = 0; i < 4; i++) {
			unsigned bits = formats[i].bits, cdmax = bits ? 18 : 10;
			unsigned last = (1u << cdmax) - 1, samples[3] = { 0, last / 3, last };
			uint64_t table, leaf = 0;
			uint64_t *ste;
			struct pt pt;

			open_with(&box, 0, 0, 0, 0);
			if (nested) {
				ste = nested_of(&box, DEV, 3, 7).ste;
				pt = pt_new(&box, 12, 48, false);
			} else {
				struct first f = simple_first(&box);

				ste = f.ste;
				pt = f.pt;
			}
			pt_map(&box, &pt, IOVA, (nested ? GUEST : 0) + 0x3000, 0);
			table = box_pages_aligned(&box, bits == 10 ? 1 : bits ? (8u << (cdmax - bits)) / 4096 : 16);
			SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, table + box.guest);
			SET(SMMU_STE, S1CDMAX, ste, cdmax);
			SET(SMMU_STE, S1FMT, ste, formats[i].fmt);
			assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA, R), SMMU_EVT_F_STREAM_DISABLED);
			assert_fault(go(&box, DEV, last + 1, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
			for (unsigned n = 0; n < 3; n++) {
				uint64_t cd = table + samples[n] * 64, *l1 = at(&box, table + (samples[n] >> bits) * 8);

				if (bits && !*l1) {
					assert_fault(go(&box, DEV, samples[n], IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
					leaf = box_pages_aligned(&box, 1u << (bits - 6));
					*l1 = (leaf + box.guest) | 1;
				}
				if (bits)
					cd = leaf + (samples[n] & ((1u << bits) - 1)) * 64;
				assert_fault(go(&box, DEV, samples[n], IOVA, R), SMMU_EVT_C_BAD_CD);
				cd_set(&box, cd, &pt, samples[n] & 0xffff);
				assert_done(go(&box, DEV, samples[n], IOVA, R), 0x3000);
				box.hole = cd;
				assert_fault(go(&box, DEV, samples[n], IOVA, R), SMMU_EVT_F_CD_FETCH);
				box.hole = bits ? (uint64_t)(l1 - box.ram) * 8 : 0;
				if (bits)
					assert_fault(go(&box, DEV, samples[n], IOVA, R), SMMU_EVT_F_CD_FETCH);
				box.hole = 0;
			}
			box_close(&box);
		}
	}
}

static void level_1_context_descriptors(void **state)
{
	struct box box;
	struct first f;
	uint64_t *l1;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, S1CDMAX, f.ste, 7);
	SET(SMMU_STE, S1FMT, f.ste, SMMU_S1FMT_4K);
	l1 = at(&box, box_page(&box));
	*l1 = f.at | 1;
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, f.ste, (uint64_t)(l1 - box.ram) * 8);
	for (unsigned bit = 0; bit < 64; bit++) {
		*l1 ^= 1ull << bit;
		if (bit == 0 || bit < 12 || bit >= 48) /* reserved, or not an address that the unit has */
			assert_fault(go(&box, DEV, 0, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		else
			assert_int_equal(go(&box, DEV, 0, IOVA, R).state, IOMMU_REQUEST_FAULT);
		*l1 ^= 1ull << bit;
	}
	assert_done(go(&box, DEV, 0, IOVA, R), PHYS);
	box_close(&box);
}

/* 5.2, S1DSS and S1CDMax. */
static void default_substreams(void **state)
{
	struct box box;

	(void)state;
	for (unsigned nested = 0; nested < 2; nested++) {
		uint64_t *ste, at_cd;
		struct pt pt;

		open_with(&box, 0, 0, 0, 0);
		if (nested) {
			struct nested n = nested_of(&box, DEV, 3, 7);

			ste = n.ste;
			pt = n.s1;
			at_cd = n.at;
		} else {
			struct first f = simple_first(&box);

			ste = f.ste;
			pt = f.pt;
			at_cd = f.at;
		}
		pt_map(&box, &pt, IOVA, box.guest + 0x3000, 0);
		/* One context: none has a SubstreamID, and S1DSS says nothing. */
		SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_TERMINATE);
		DONE(R, 0x3000);
		assert_fault(go(&box, DEV, 0, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		cd_set(&box, at_cd + 64, &pt, 8);
		SET(SMMU_STE, S1CDMAX, ste, 1);
		FAULT(R, SMMU_EVT_F_STREAM_DISABLED);
		assert_done(go(&box, DEV, 0, IOVA, R), 0x3000);
		assert_done(go(&box, DEV, 1, IOVA, R), 0x3000);
		SET(SMMU_STE, S1DSS, ste, 3);
		FAULT(R, SMMU_EVT_F_STREAM_DISABLED);
		SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_CD0);
		DONE(R, 0x3000);
		assert_fault(go(&box, DEV, 0, IOVA, R), SMMU_EVT_F_STREAM_DISABLED);
		assert_done(go(&box, DEV, 1, IOVA, R), 0x3000);
		SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_BYPASS);
		assert_done(go(&box, DEV, 0, IOVA, R), 0x3000);
		if (nested) {
			FAULT(R, TRANSLATION); /* of the second stage: there is no such IPA */
			assert_done(go(&box, DEV, BOX_NO_PASID, GUEST + 0x5678, R), 0x5678);
		} else {
			DONE(R | W, IOVA);
			assert_fault(go(&box, DEV, BOX_NO_PASID, 1ull << 48, R), ADDR_SIZE);
		}
		box_close(&box);
	}
	/* A unit that has no SubstreamIDs ignores S1CDMax. */
	open_with(&box, idr0_idr1(0, IDR1(SSIDSIZE)), 0, 0, 0);
	struct first f = simple_first(&box);

	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, S1CDMAX, f.ste, 5);
	DONE(R, PHYS);
	assert_fault(go(&box, DEV, 0, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
	box_close(&box);
}

#define EXPECT_CD(what, illegal) \
	do { \
		uint64_t saved_[SMMU_CD_WORDS]; \
		memcpy(saved_, cd, sizeof(saved_)); \
		what; \
		if (illegal) \
			FAULT(R, SMMU_EVT_C_BAD_CD); \
		else \
			assert_int_not_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, SMMU_EVT_C_BAD_CD); \
		memcpy(cd, saved_, sizeof(saved_)); \
	} while (0)

/* 5.4.2 */
static void illegal_contexts(void **state)
{
	struct box box;
	struct first f;
	uint64_t *cd;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	cd = f.cd;
	EXPECT_CD((void)0, false);
	EXPECT_CD(SET(SMMU_CD, V, cd, 0), true);
	EXPECT_CD(SET(SMMU_CD, AA64, cd, 0), true);
	EXPECT_CD(SET(SMMU_CD, S, cd, 1), true);
	EXPECT_CD(SET(SMMU_CD, A, cd, 0), true);
	EXPECT_CD(SET(SMMU_CD, ENDI, cd, 1), true);
	EXPECT_CD((SET(SMMU_CD, ENDI, cd, 1), SET(SMMU_CD, EPD0, cd, 1)), false); /* neither table is walked */
	EXPECT_CD(SET(SMMU_CD, TG0, cd, 3), true);
	EXPECT_CD((SET(SMMU_CD, TG0, cd, 3), SET(SMMU_CD, EPD0, cd, 1)), false);
	EXPECT_CD(SET(SMMU_CD, T0SZ, cd, 15), true);
	EXPECT_CD(SET(SMMU_CD, T0SZ, cd, 48), false);
	EXPECT_CD(SET(SMMU_CD, T0SZ, cd, 49), true);
	EXPECT_CD((SET(SMMU_CD, T0SZ, cd, 49), SET(SMMU_CD, EPD0, cd, 1)), false);
	EXPECT_CD((SET(SMMU_CD, TG0, cd, SMMU_TG0_64K), SET(SMMU_CD, T0SZ, cd, 47)), false);
	EXPECT_CD((SET(SMMU_CD, TG0, cd, SMMU_TG0_64K), SET(SMMU_CD, T0SZ, cd, 48)), true);
	EXPECT_CD(SET_ADDR(SMMU_CD, TTB0, cd, 1ull << 48), true);
	EXPECT_CD((SET(SMMU_CD, IPS, cd, SMMU_PS_32), SET_ADDR(SMMU_CD, TTB0, cd, 1ull << 32)), true);
	EXPECT_CD((SET(SMMU_CD, IPS, cd, SMMU_PS_36), SET_ADDR(SMMU_CD, TTB0, cd, 1ull << 32)), false);
	/* TTB1 counts as soon as EPD1 is 0. */
	EXPECT_CD(SET(SMMU_CD, TG1, cd, 0), false);
	EXPECT_CD(SET(SMMU_CD, EPD1, cd, 0), true);
	cd_set_ttb1(&box, cd, &f.pt);
	EXPECT_CD((void)0, false);
	EXPECT_CD(SET(SMMU_CD, TG1, cd, 0), true);
	EXPECT_CD(SET(SMMU_CD, T1SZ, cd, 15), true);
	EXPECT_CD(SET_ADDR(SMMU_CD, TTB1, cd, 1ull << 48), true);
	EXPECT_CD((SET(SMMU_CD, EPD0, cd, 1), SET(SMMU_CD, ENDI, cd, 1)), true);
	/* In the EL2 world TTB1 isn't looked at, nor EPD0. */
	SET(SMMU_STE, STRW, f.ste, SMMU_STRW_EL2);
	EXPECT_CD(SET(SMMU_CD, TG1, cd, 0), false);
	EXPECT_CD((SET(SMMU_CD, EPD0, cd, 1), SET(SMMU_CD, TG0, cd, 3)), true);
	box_close(&box);

	open_with(&box, idr0_idr1(0, IDR0(ASID16) | IDR0(HTTU)), idr3_idr5(0, IDR3(STT) | IDR5(GRAN16K)), 0, 0);
	f = simple_first(&box);
	cd = f.cd;
	EXPECT_CD(SET(SMMU_CD, ASID, cd, 0xff), false);
	EXPECT_CD(SET(SMMU_CD, ASID, cd, 0x100), true);
	EXPECT_CD(SET(SMMU_CD, HA, cd, 1), true);
	EXPECT_CD(SET(SMMU_CD, HD, cd, 1), true);
	EXPECT_CD(SET(SMMU_CD, T0SZ, cd, 39), false);
	EXPECT_CD(SET(SMMU_CD, T0SZ, cd, 40), true);
	EXPECT_CD(SET(SMMU_CD, TG0, cd, SMMU_TG0_16K), true);
	SET(SMMU_STE, STRW, f.ste, SMMU_STRW_EL2);
	EXPECT_CD(SET(SMMU_CD, ASID, cd, 0x100), false); /* there are no ASIDs */
	box_close(&box);
	open_with(&box, idr0_idr1(0, IDR0(HTTU)) | SMMU_HTTU_ACCESS << 6, 0, 0, 0);
	f = simple_first(&box);
	cd = f.cd;
	EXPECT_CD(SET(SMMU_CD, HA, cd, 1), false);
	EXPECT_CD((SET(SMMU_CD, HA, cd, 1), SET(SMMU_CD, HD, cd, 1)), true);
	box_close(&box);
	/* TERM_MODEL 0: faults may read as zero, so A may be 0. */
	open_with(&box, idr0_idr1(0, IDR0(TERM_MODEL)), 0, 0, 0);
	f = simple_first(&box);
	cd = f.cd;
	EXPECT_CD(SET(SMMU_CD, A, cd, 0), false);
	box_close(&box);
}

/* ---- Page tables of the first stage ---- */

static void first_stage_geometry(void **state)
{
	const unsigned shifts[] = { 12, 14, 16 };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = shifts[i];

		for (unsigned bits = 17; bits <= 48; bits++) {
			struct first f;
			uint64_t va = IOVA & ((1ull << bits) - 1), last = (1ull << bits) - 1;
			uint64_t in = PHYS & ~((1ull << shift) - 1), low = (1ull << shift) - 1;

			open_with(&box, 0, 0, 0, 0);
			f = first_of(&box, DEV, shift, bits, 7);
			assert_fault(go(&box, DEV, BOX_NO_PASID, va, R), TRANSLATION);
			pt_map(&box, &f.pt, va, in, 0);
			assert_done(go(&box, DEV, BOX_NO_PASID, va, R), in | (va & low));
			pt_map(&box, &f.pt, last, in, 0);
			assert_done(go(&box, DEV, BOX_NO_PASID, last, R | W), in | low);
			assert_fault(go(&box, DEV, BOX_NO_PASID, last + 1, R), TRANSLATION);
			assert_fault(go(&box, DEV, BOX_NO_PASID, va | 1ull << 60, R), TRANSLATION);
			/* Blocks. */
			for (unsigned level = 1; level <= pt_start(&f.pt); level++) {
				uint64_t size = 1ull << lpae_shift(shift, level), mask = size - 1;
				uint64_t *entry = pt_entry(&box, &f.pt, va, level);
				bool good = level <= lpae_max_leaf_level(shift);

				*entry = (PHYS & ~mask) | LEAF1;
				if (good)
					assert_done(go(&box, DEV, BOX_NO_PASID, va, R), (PHYS & ~mask) | (va & mask));
				else
					assert_fault(go(&box, DEV, BOX_NO_PASID, va, R), TRANSLATION);
				if (good)
					assert_int_equal(go(&box, DEV, BOX_NO_PASID, va, R).size, size);
				*entry = 0;
				assert_fault(go(&box, DEV, BOX_NO_PASID, va, R), TRANSLATION);
			}
			box_close(&box);
		}
	}
}

static void first_stage_descriptors(void **state)
{
	struct box box;
	struct first f;
	uint64_t *leaf, *table;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	table = pt_entry(&box, &f.pt, IOVA, 1);
	DONE(R | W, PHYS);
	/* A page that isn't one. */
	*leaf &= ~PT_PAGE;
	FAULT(R, TRANSLATION);
	*leaf |= PT_PAGE;
	/* Output sizes: IPS, and the unit's. */
	SET_ADDR(LPAE_S1, ADDR, leaf, 1ull << 36);
	SET(SMMU_CD, IPS, f.cd, SMMU_PS_36);
	FAULT(R, ADDR_SIZE);
	SET(SMMU_CD, IPS, f.cd, SMMU_PS_40);
	DONE(R, 1ull << 36);
	SET(SMMU_CD, IPS, f.cd, SMMU_PS_36);
	SET_ADDR(LPAE_S1, ADDR, leaf, PHYS);
	uint64_t old = *table;

	SET_ADDR(LPAE_TABLE, ADDR, table, 1ull << 36);
	FAULT(R, ADDR_SIZE);
	SET(SMMU_CD, IPS, f.cd, SMMU_PS_48);
	FAULT(R, SMMU_EVT_F_WALK_EABT); /* nothing is there */
	*table = old;
	/* The access flag. */
	SET(LPAE_S1, AF, leaf, 0);
	FAULT(R, SMMU_EVT_F_ACCESS);
	SET(SMMU_CD, AFFD, f.cd, 1);
	DONE(R, PHYS);
	/* Tables that can't be read. */
	box.hole = GET_ADDR(LPAE_TABLE, ADDR, table);
	FAULT(R, SMMU_EVT_F_WALK_EABT);
	box.hole = f.pt.root;
	FAULT(R, SMMU_EVT_F_WALK_EABT);
	box_close(&box);
	/* Addresses of 64K pages: bits 15:12 are bits 51:48. */
	open_with(&box, 0, 0, 0, 0);
	f = first_of(&box, DEV, 16, 48, 7);
	leaf = pt_map(&box, &f.pt, IOVA, 0x10000, 0);
	DONE(R, 0x10000 | (IOVA & 0xffff));
	*leaf |= 0x1000;
	FAULT(R, ADDR_SIZE);
	box_close(&box);
	/* A smaller unit. */
	open_with(&box, 0, idr3_idr5(0, IDR5(OAS)) | (uint64_t)SMMU_PS_36 << 32, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	DONE(R, PHYS);
	SET_ADDR(LPAE_S1, ADDR, leaf, 1ull << 36);
	FAULT(R, ADDR_SIZE);
	box_close(&box);
}

/* D8.4.1. `may` in the order R, W, X, R|P, W|P, X|P. */
static void expect_rights(struct box *box, unsigned may, const char *what, unsigned n)
{
	const unsigned accesses[] = { R, W, X, R | P, W | P, X | P };

	for (unsigned i = 0; i < 6; i++) {
		struct iommu_request r = go(box, DEV, BOX_NO_PASID, IOVA, accesses[i]);
		uint32_t expected = may & 1u << i ? 0 : PERMISSION;

		if (r.reason != expected)
			fail_msg("%s %u, access %x: reason %x, not %x", what, n, accesses[i], r.reason, expected);
	}
}

#define UR 1u
#define UW 2u
#define UX 4u
#define PR 8u
#define PW 16u
#define PX 32u

static void first_stage_rights(void **state)
{
	struct box box;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		for (unsigned i = 0; i < 256; i++) {
			bool ap1 = i & 1, ap2 = i & 2, xn = i & 4, pxn = i & 8, wxn = i & 16, pan = i & 32;
			unsigned ap_table = i >> 6, may;
			uint64_t *leaf;
			struct first f;
			bool user = ap1 && !(ap_table & 1), writes = !ap2 && !(ap_table & 2);

			may = PR | (writes ? PW : 0) | (user ? UR : 0) | (user && writes ? UW : 0);
			if (!xn && !(wxn && (may & UW)))
				may |= UX;
			if (!pxn && !(may & UW) && !(wxn && writes))
				may |= PX;
			if (pan && user)
				may &= ~(PR | PW);
			open_with(&box, 0, 0, 0, freedoms ? ~0u : 0);
			f = simple_first(&box);
			leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
			SET(LPAE_S1, AP1, leaf, ap1);
			SET(LPAE_S1, AP2, leaf, ap2);
			SET(LPAE_S1, XN, leaf, xn);
			SET(LPAE_S1, PXN, leaf, pxn);
			SET(SMMU_CD, WXN, f.cd, wxn);
			SET(SMMU_CD, PAN, f.cd, pan);
			SET(LPAE_TABLE, AP_TABLE, pt_entry(&box, &f.pt, IOVA, 2), ap_table);
			expect_rights(&box, may, "rights", i);
			/* Again, from the TLB, or from the table that is cached. */
			expect_rights(&box, may, "cached", i);
			if (freedoms) {
				tlbi_va(&box, SMMU_CMD_TLBI_NH_VAA, 0, 0, IOVA);
				box.answers[IOMMU_FREE_MISS] = 0;
				expect_rights(&box, may, "walked", i);
			}
			box_close(&box);
		}
	}
}

static void hierarchical_rights(void **state)
{
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		struct first f;
		uint64_t *leaf;

		open_with(&box, 0, 0, 0, i & 8 ? ~0u : 0);
		f = simple_first(&box);
		leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
		SET(LPAE_S1, AP2, leaf, 1);
		SET(LPAE_TABLE, XN_TABLE, pt_entry(&box, &f.pt, IOVA, 3), i & 1);
		SET(LPAE_TABLE, PXN_TABLE, pt_entry(&box, &f.pt, IOVA, 1), i >> 1 & 1);
		SET(SMMU_CD, HAD0, f.cd, i >> 2 & 1);
		expect_rights(&box, UR | PR | (!(i & 1) || i & 4 ? UX : 0) | (!(i & 2) || i & 4 ? PX : 0), "hierarchy", i);
		if (i & 8) {
			/* The leaf forgotten, the tables not. */
			submit_tlbi_range(&box, SMMU_CMD_TLBI_NH_VA, 0, 7, IOVA, true, (struct range){ 0 });
			finish_commands(&box);
			expect_rights(&box, UR | PR | (!(i & 1) || i & 4 ? UX : 0) | (!(i & 2) || i & 4 ? PX : 0), "tables", i);
		}
		box_close(&box);
	}
}

/* 3.4.1, and both tables. */
static void two_tables(void **state)
{
	const uint64_t high = 0xffff000000000000ull | IOVA;
	struct box box;
	struct first f;
	struct pt pt1;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		open_with(&box, 0, 0, 0, freedoms ? ~0u : 0);
		f = simple_first(&box);
		pt1 = pt_new(&box, 14, 48, false);
		pt_map(&box, &f.pt, IOVA, PHYS, 0);
		assert_fault(go(&box, DEV, BOX_NO_PASID, high, R), TRANSLATION); /* EPD1 */
		cd_set_ttb1(&box, f.cd, &pt1);
		pt_map(&box, &pt1, IOVA, 0x888000, 0);
		flush(&box);
		DONE(R, PHYS);
		assert_done(go(&box, DEV, BOX_NO_PASID, high, R), 0x888000 | (IOVA & 0x3fff));
		assert_fault(go(&box, DEV, BOX_NO_PASID, 0xfff0000000000000ull | IOVA, R), TRANSLATION);
		/* The top byte. */
		assert_fault(go(&box, DEV, BOX_NO_PASID, 0x12ull << 56 | IOVA, R), TRANSLATION);
		assert_fault(go(&box, DEV, BOX_NO_PASID, (0x12ull << 56) | (high & ((1ull << 56) - 1)), R), TRANSLATION);
		SET(SMMU_CD, TBI0, f.cd, 1);
		flush(&box);
		assert_done(go(&box, DEV, BOX_NO_PASID, 0x12ull << 56 | IOVA, R), PHYS);
		assert_fault(go(&box, DEV, BOX_NO_PASID, 0x52ull << 56 | 1ull << 54 | IOVA, R), TRANSLATION);
		assert_fault(go(&box, DEV, BOX_NO_PASID, (0x12ull << 56) | (high & ((1ull << 56) - 1)), R), TRANSLATION);
		SET(SMMU_CD, TBI1, f.cd, 1);
		flush(&box);
		assert_done(go(&box, DEV, BOX_NO_PASID, (0x12ull << 56) | (high & ((1ull << 56) - 1)), R), 0x888000 | (IOVA & 0x3fff));
		/* E0PD: nothing for the unprivileged. */
		SET(SMMU_CD, E0PD1, f.cd, 1);
		flush(&box);
		assert_fault(go(&box, DEV, BOX_NO_PASID, high, R), TRANSLATION);
		assert_done(go(&box, DEV, BOX_NO_PASID, high, R | P), 0x888000 | (IOVA & 0x3fff));
		DONE(R, PHYS);
		SET(SMMU_CD, EPD0, f.cd, 1);
		flush(&box);
		FAULT(R, TRANSLATION);
		assert_done(go(&box, DEV, BOX_NO_PASID, high, R | P), 0x888000 | (IOVA & 0x3fff));
		box_close(&box);
	}
	/* EPD0 doesn't hide what the TLB has. */
	open_box(&box);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	DONE(R, PHYS);
	SET(SMMU_CD, EPD0, f.cd, 1);
	cfgi_cd(&box, DEV, 0);
	DONE(R, PHYS);
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 0, 7);
	FAULT(R, TRANSLATION);
	box_close(&box);
}

/* STRW, CR2.E2H: 3.3.4, 3.17. */
static void worlds(void **state)
{
	struct box box;
	struct first f, g;
	uint64_t *leaf;

	(void)state;
	open_box(&box);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	/* EL2: one privilege, XN for all; no ASIDs: contexts share what is cached. */
	SET(SMMU_STE, STRW, f.ste, SMMU_STRW_EL2);
	expect_rights(&box, UR | UW | UX | PR | PW | PX, "el2", 0);
	SET(LPAE_S1, XN, leaf, 1);
	tlbi(&box, SMMU_CMD_TLBI_EL2_ALL, 0, 0);
	expect_rights(&box, UR | UW | PR | PW, "el2", 1);
	SET(LPAE_S1, PXN, leaf, 1);
	SET(LPAE_S1, XN, leaf, 0);
	SET(LPAE_S1, AP1, leaf, 0);
	tlbi(&box, SMMU_CMD_TLBI_EL2_ALL, 0, 0);
	expect_rights(&box, UR | UW | UX | PR | PW | PX, "el2", 2);
	g = first_of(&box, DEV2, 12, 48, 8);
	SET(SMMU_STE, STRW, g.ste, SMMU_STRW_EL2);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS);
	/* The upper half is no table. */
	assert_fault(go(&box, DEV, BOX_NO_PASID, ~0ull << 48 | IOVA, R), TRANSLATION);
	/* EL2-E2H: ASIDs, both tables, privileges. */
	set_cr2(&box, BITS(SMMU_CR2, E2H));
	flush(&box);
	expect_rights(&box, PR | PW | UX, "e2h", 0);
	assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA, R), TRANSLATION);
	/* The worlds' lines don't meet: the same ASID at EL1. */
	SET(SMMU_STE, STRW, f.ste, SMMU_STRW_EL1);
	cfgi_ste(&box, DEV);
	*leaf = PHYS2 | LEAF1 | PT_PAGE;
	DONE(R, PHYS2);
	box_close(&box);
	/* A unit without EL2 ignores STRW. */
	open_with(&box, idr0_idr1(0, IDR0(HYP)), 0, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(LPAE_S1, AP1, leaf, 0);
	SET(SMMU_STE, STRW, f.ste, 3);
	FAULT(R, PERMISSION);
	box_close(&box);
}

/* 13.1: PRIVCFG and INSTCFG. */
static void attribute_overrides(void **state)
{
	struct box box;
	struct first f;
	uint64_t *leaf;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(LPAE_S1, AP1, leaf, 0);
	SET(LPAE_S1, XN, leaf, 1); /* the unprivileged: nothing; the privileged: R W X */
	FAULT(R, PERMISSION);
	SET(SMMU_STE, PRIVCFG, f.ste, SMMU_OVERRIDE_SET);
	DONE(R | W, PHYS);
	SET(SMMU_STE, PRIVCFG, f.ste, SMMU_OVERRIDE_CLEAR);
	FAULT(R | P, PERMISSION);
	SET(SMMU_STE, PRIVCFG, f.ste, 1);
	DONE(R | P, PHYS);
	SET(LPAE_S1, PXN, leaf, 1);
	FAULT(X | P, PERMISSION);
	SET(SMMU_STE, INSTCFG, f.ste, SMMU_OVERRIDE_CLEAR);
	DONE(X | P, PHYS);
	SET(SMMU_STE, INSTCFG, f.ste, SMMU_OVERRIDE_SET);
	FAULT(R | P, PERMISSION);
	DONE(W | P, PHYS);
	box_close(&box);
	open_with(&box, idr0_idr1(0, IDR1(ATTR_PERMS_OVR)), 0, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(LPAE_S1, AP1, leaf, 0);
	SET(SMMU_STE, PRIVCFG, f.ste, SMMU_OVERRIDE_SET);
	FAULT(R, PERMISSION);
	box_close(&box);
}

/* ---- Second stage ---- */

static void second_stage_geometry(void **state)
{
	const unsigned shifts[] = { 12, 14, 16 };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = shifts[i];

		for (unsigned bits = 24; bits <= 48; bits++) {
			uint64_t va = IOVA & ((1ull << bits) - 1), last = (1ull << bits) - 1;
			uint64_t in = PHYS & ~((1ull << shift) - 1), low = (1ull << shift) - 1;
			struct pt pt;

			open_with(&box, 0, 0, 0, 0);
			pt = pt_new(&box, shift, bits, true); /* up to 16 tables side by side */
			ste_s2(&box, DEV, &pt, 3);
			assert_fault(go(&box, DEV, BOX_NO_PASID, va, R), TRANSLATION);
			pt_map(&box, &pt, va, in, 0);
			assert_done(go(&box, DEV, BOX_NO_PASID, va, R), in | (va & low));
			pt_map(&box, &pt, last, in, 0);
			assert_done(go(&box, DEV, BOX_NO_PASID, last, R | W), in | low);
			assert_fault(go(&box, DEV, BOX_NO_PASID, last + 1, R), bits < 48 ? TRANSLATION : ADDR_SIZE);
			for (unsigned level = 1; level <= pt_start(&pt) && level <= lpae_max_leaf_level(shift); level++) {
				uint64_t mask = (1ull << lpae_shift(shift, level)) - 1;

				*pt_entry(&box, &pt, va, level) = (PHYS & ~mask) | LEAF2;
				assert_done(go(&box, DEV, BOX_NO_PASID, va, R), (PHYS & ~mask) | (va & mask));
				*pt_entry(&box, &pt, va, level) = 0;
			}
			box_close(&box);
		}
	}
	open_with(&box, 0, 0, 0, 0);
	struct pt pt = pt_new(&box, 12, 40, true);

	ste_s2(&box, DEV, &pt, 3);
	assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
	box_close(&box);
}

static void second_stage_rights(void **state)
{
	struct box box;

	(void)state;
	for (unsigned xnx = 0; xnx < 2; xnx++) {
		for (unsigned i = 0; i < 16; i++) {
			bool r = i & 1, w = i & 2;
			unsigned xn = i >> 2, counts = xnx ? xn : xn & 2, may;
			uint64_t *ste, *leaf;
			struct pt pt;

			open_with(&box, 0, idr3_idr5(0, xnx ? 0 : IDR3(XNX)), 0, 0);
			pt = pt_new(&box, 12, 40, true);
			ste = ste_s2(&box, DEV, &pt, 3);
			leaf = pt_map(&box, &pt, IOVA, PHYS, 0);
			SET(LPAE_S2, READ, leaf, r);
			SET(LPAE_S2, WRITE, leaf, w);
			SET(LPAE_S2, XN, leaf, xn);
			may = (r ? UR | PR : 0) | (w ? UW | PW : 0) | (counts == 0 || counts == 1 ? UX : 0) |
			      (counts == 0 || counts == 3 ? PX : 0);
			expect_rights(&box, may, xnx ? "xnx" : "xn", i);
			SET(LPAE_S2, AF, leaf, 0);
			FAULT(R, SMMU_EVT_F_ACCESS);
			SET(SMMU_STE, S2AFFD, ste, 1);
			expect_rights(&box, may, "affd", i);
			SET(SMMU_STE, S2PS, ste, SMMU_PS_32);
			SET_ADDR(LPAE_S2, ADDR, leaf, 1ull << 32);
			FAULT(R, ADDR_SIZE);
			box_close(&box);
		}
	}
}

static void nested_walks(void **state)
{
	struct box box;
	struct nested n;
	uint64_t *leaf1, *leaf2;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		open_with(&box, 0, 0, 0, freedoms ? ~0u : 0);
		n = nested_of(&box, DEV, 3, 7);
		leaf1 = pt_map(&box, &n.s1, IOVA, GUEST + 0x5000, 0);
		leaf2 = pt_entry(&box, &n.s2, GUEST + 0x5000, 0);
		DONE(R | W, 0x5000);
		DONE(R | W, 0x5000);
		/* Rights of both. */
		SET(LPAE_S1, AP2, leaf1, 1);
		flush(&box);
		FAULT(W, PERMISSION);
		DONE(R, 0x5000);
		FAULT(W, PERMISSION);
		SET(LPAE_S1, AP2, leaf1, 0);
		SET(LPAE_S2, WRITE, leaf2, 0);
		flush(&box);
		FAULT(W, PERMISSION);
		DONE(R, 0x5000);
		FAULT(W, PERMISSION);
		SET(LPAE_S2, WRITE, leaf2, 1);
		/* The first stage's output: the IPS, then the second stage's input. */
		SET_ADDR(LPAE_S1, ADDR, leaf1, 1ull << 41);
		flush(&box);
		FAULT(R, TRANSLATION);
		SET(SMMU_CD, IPS, n.cd, SMMU_PS_40);
		flush(&box);
		FAULT(R, ADDR_SIZE);
		SET_ADDR(LPAE_S1, ADDR, leaf1, GUEST + 0x5000);
		flush(&box);
		DONE(R, 0x5000);
		/* The context and the tables need reading, not writing. */
		for (unsigned i = 0; i < 2; i++) {
			uint64_t *of = pt_entry(&box, &n.s2, GUEST + (i ? n.s1.root : n.at), 0);

			SET(LPAE_S2, WRITE, of, 0);
			flush(&box);
			DONE(R, 0x5000);
			SET(LPAE_S2, READ, of, 0);
			flush(&box);
			FAULT(R, PERMISSION);
			SET(LPAE_S2, READ, of, 1);
			SET(LPAE_S2, VALID, of, 0);
			flush(&box);
			FAULT(R, TRANSLATION);
			SET(LPAE_S2, VALID, of, 1);
			SET(LPAE_S2, AF, of, 0);
			flush(&box);
			FAULT(R, SMMU_EVT_F_ACCESS);
			SET(LPAE_S2, AF, of, 1);
			flush(&box);
			DONE(R, 0x5000);
		}
		box_close(&box);
	}
}

/* The size of what is cached, and told: the smaller of both stages' pages. */
static void nested_sizes(void **state)
{
	const struct {
		unsigned level1, level2;
		uint64_t size;
	} cases[] = { { 0, 0, 4096 }, { 1, 0, 4096 }, { 0, 1, 4096 }, { 1, 1, 1 << 21 }, { 1, 2, 1 << 21 }, { 2, 1, 1 << 21 } };
	struct box box;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t iova = 0x40200000, ipa = 0x80200000;
		uint64_t low = (1ull << lpae_shift(12, cases[i].level1)) - 1, mask2 = (1ull << lpae_shift(12, cases[i].level2)) - 1;
		struct iommu_request r;
		struct nested n;

		open_box(&box);
		n = nested_of(&box, DEV, 3, 7);
		pt_map(&box, &n.s1, iova, ipa & ~low, cases[i].level1);
		pt_map(&box, &n.s2, (ipa & ~low) | (iova & low), 0x40000000, cases[i].level2);
		r = go(&box, DEV, BOX_NO_PASID, iova + 0x10, R);
		assert_done(r, 0x40000000 | ((((ipa & ~low) | (iova & low)) & mask2) + 0x10));
		assert_int_equal(r.size, cases[i].size);
		r = go(&box, DEV, BOX_NO_PASID, iova + cases[i].size - 8, R);
		assert_int_equal(r.phys, (0x40000000 | (((ipa & ~low) | (iova & low)) & mask2)) + cases[i].size - 8);
		box_close(&box);
	}
}

/* ---- Access flag and dirty state (3.13) ---- */

static void flags_of_the_first_stage(void **state)
{
	struct box box;
	struct first f;
	uint64_t *leaf;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		open_with(&box, 0, 0, 0, freedoms ? ~0u : 0);
		f = simple_first(&box);
		leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
		SET(SMMU_CD, HA, f.cd, 1);
		SET(LPAE_S1, AF, leaf, 0);
		DONE(R, PHYS);
		assert_true(GET(LPAE_S1, AF, leaf));
		assert_int_equal(box.dirtied, 1);
		DONE(R, PHYS);
		assert_int_equal(box.dirtied, 1);
		/* Clean and writable, but HD is 0: read only. */
		SET(LPAE_S1, AP2, leaf, 1);
		SET(LPAE_S1, DBM, leaf, 1);
		flush(&box);
		FAULT(W, PERMISSION);
		SET(SMMU_CD, HD, f.cd, 1);
		flush(&box);
		box.dirtied = 0;
		DONE(R, PHYS);
		assert_true(GET(LPAE_S1, AP2, leaf));
		assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).rights & W, 0);
		assert_int_equal(box.dirtied, 0);
		DONE(W, PHYS);
		assert_false(GET(LPAE_S1, AP2, leaf));
		assert_int_equal(box.dirtied, 1);
		DONE(W, PHYS);
		assert_int_equal(box.dirtied, 1);
		/* Not for who may not write. */
		*leaf = PHYS | LEAF1 | PT_PAGE | BITS(LPAE_S1, AP2) | BITS(LPAE_S1, DBM);
		SET(LPAE_S1, AP1, leaf, 0);
		flush(&box);
		FAULT(W, PERMISSION);
		assert_true(GET(LPAE_S1, AP2, leaf));
		/* Others are faster, a few times; and always. */
		SET(LPAE_S1, AP1, leaf, 1);
		flush(&box);
		box.cas_failures = 10;
		DONE(W, PHYS);
		assert_false(GET(LPAE_S1, AP2, leaf));
		SET(LPAE_S1, AP2, leaf, 1);
		flush(&box);
		box.cas_failures = 100;
		FAULT(W, SMMU_EVT_F_WALK_EABT);
		box_close(&box);
	}
	/* HD without HA does nothing. */
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_CD, HD, f.cd, 1);
	SET(LPAE_S1, AP2, leaf, 1);
	SET(LPAE_S1, DBM, leaf, 1);
	FAULT(W, PERMISSION);
	SET(LPAE_S1, AF, leaf, 0);
	FAULT(R, SMMU_EVT_F_ACCESS);
	box_close(&box);
}

static void flags_of_the_second_stage(void **state)
{
	struct box box;
	struct pt pt;
	uint64_t *ste, *leaf;

	(void)state;
	open_box(&box);
	pt = pt_new(&box, 12, 40, true);
	ste = ste_s2(&box, DEV, &pt, 3);
	leaf = pt_map(&box, &pt, IOVA, PHYS, 0);
	SET(SMMU_STE, S2HA, ste, 1);
	SET(SMMU_STE, S2HD, ste, 1);
	*leaf &= ~(BITS(LPAE_S2, AF) | BITS(LPAE_S2, WRITE));
	DONE(R, PHYS);
	assert_true(GET(LPAE_S2, AF, leaf));
	FAULT(W, PERMISSION);
	SET(LPAE_S2, DBM, leaf, 1);
	tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 3, 0);
	box.dirtied = 0;
	DONE(R, PHYS);
	assert_false(GET(LPAE_S2, WRITE, leaf));
	assert_int_equal(box.dirtied, 0);
	box.cas_failures = 3;
	DONE(W, PHYS);
	assert_true(GET(LPAE_S2, WRITE, leaf));
	assert_int_equal(box.dirtied, 1);
	DONE(W, PHYS);
	box.cas_failures = 100;
	SET(LPAE_S2, WRITE, leaf, 0);
	tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 3, 0);
	FAULT(W, SMMU_EVT_F_WALK_EABT);
	box_close(&box);
}

/* 3.13.5: a first-stage update is a write to the IPA of its table. */
static void flags_of_both_stages(void **state)
{
	struct box box;
	struct nested n;
	uint64_t *leaf1, *leaf2, *of_table;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		open_with(&box, 0, 0, 0, freedoms ? ~0u : 0);
		n = nested_of(&box, DEV, 3, 7);
		leaf1 = pt_map(&box, &n.s1, IOVA, GUEST + 0x5000, 0);
		leaf2 = pt_entry(&box, &n.s2, GUEST + 0x5000, 0);
		of_table = pt_entry(&box, &n.s2, GUEST + (uint64_t)(leaf1 - box.ram) * 8, 0);
		SET(SMMU_CD, HA, n.cd, 1);
		SET(SMMU_CD, HD, n.cd, 1);
		SET(SMMU_STE, S2HA, n.ste, 1);
		SET(SMMU_STE, S2HD, n.ste, 1);
		SET(LPAE_S1, AF, leaf1, 0);
		SET(LPAE_S2, WRITE, of_table, 0);
		FAULT(R, PERMISSION);
		assert_false(GET(LPAE_S1, AF, leaf1));
		SET(LPAE_S2, DBM, of_table, 1);
		flush(&box);
		DONE(R, 0x5000);
		assert_true(GET(LPAE_S1, AF, leaf1));
		assert_true(GET(LPAE_S2, WRITE, of_table));
		/* Dirty: in both stages' leaves. */
		SET(LPAE_S1, AP2, leaf1, 1);
		SET(LPAE_S1, DBM, leaf1, 1);
		SET(LPAE_S2, WRITE, leaf2, 0);
		SET(LPAE_S2, DBM, leaf2, 1);
		flush(&box);
		DONE(R, 0x5000);
		assert_true(GET(LPAE_S1, AP2, leaf1) && !GET(LPAE_S2, WRITE, leaf2));
		DONE(W, 0x5000);
		assert_true(!GET(LPAE_S1, AP2, leaf1) && GET(LPAE_S2, WRITE, leaf2));
		DONE(W, 0x5000);
		/* The second stage forbids: the first one's page is not marked. */
		SET(LPAE_S1, AP2, leaf1, 1);
		SET(LPAE_S2, WRITE, of_table, 0);
		SET(LPAE_S2, DBM, of_table, 0);
		flush(&box);
		FAULT(W, PERMISSION);
		assert_true(GET(LPAE_S1, AP2, leaf1));
		box_close(&box);
	}
}

/* ---- Events (7.2, 7.3) ---- */

#define EVENT(code_) \
	do { \
		assert_true(next_event(&box, e)); \
		assert_int_equal(GET(SMMU_EVENT, CODE, e), (code_)); \
		assert_int_equal(GET(SMMU_EVENT, SID, e), DEV); \
		assert_int_equal(events_waiting(&box), 0); \
	} while (0)
#define NO_EVENT() assert_int_equal(events_waiting(&box), 0)
#define FIELD(S, name, value) assert_int_equal(GET(S, name, e), value)

static void configuration_events(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	struct box box;
	struct first f;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	EVENT(SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(e[0] & ~(0xffffffffull << 32), SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(e[1] | e[2] | e[3], 0);
	assert_fault(go(&box, DEV, 0x54321, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
	EVENT(SMMU_EVT_C_BAD_STREAMID);
	FIELD(SMMU_EVENT, SSV, 1);
	FIELD(SMMU_EVENT, SSID, 0x54321);
	set_cr2(&box, 0);
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	NO_EVENT();
	f = simple_first(&box);
	box.hole = (uint64_t)(f.ste - box.ram) * 8;
	FAULT(R, SMMU_EVT_F_STE_FETCH);
	EVENT(SMMU_EVT_F_STE_FETCH);
	assert_int_equal(GET_ADDR(SMMU_EV_FETCH, FETCH_ADDR, e), box.hole);
	box.hole = 0;
	SET(SMMU_STE, V, f.ste, 0);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	EVENT(SMMU_EVT_C_BAD_STE);
	SET(SMMU_STE, V, f.ste, 1);
	SET(SMMU_STE, CONFIG, f.ste, 0);
	FAULT(R, SMMUV3_MODEL_SILENT);
	NO_EVENT();
	SET(SMMU_STE, CONFIG, f.ste, SMMU_CONFIG_S1);
	assert_fault(go(&box, DEV, 9, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
	EVENT(SMMU_EVT_C_BAD_SUBSTREAMID);
	FIELD(SMMU_EVENT, SSID, 9);
	FIELD(SMMU_EVENT, SSV, 0);
	SET(SMMU_STE, S1CDMAX, f.ste, 4);
	FAULT(R, SMMU_EVT_F_STREAM_DISABLED);
	EVENT(SMMU_EVT_F_STREAM_DISABLED);
	FIELD(SMMU_EVENT, SSV, 0);
	SET(SMMU_STE, S1DSS, f.ste, SMMU_S1DSS_CD0);
	assert_fault(go(&box, DEV, 0, IOVA, R), SMMU_EVT_F_STREAM_DISABLED);
	EVENT(SMMU_EVT_F_STREAM_DISABLED);
	FIELD(SMMU_EVENT, SSV, 1);
	FIELD(SMMU_EVENT, SSID, 0);
	assert_fault(go(&box, DEV, 9, IOVA, R), SMMU_EVT_C_BAD_CD);
	EVENT(SMMU_EVT_C_BAD_CD);
	FIELD(SMMU_EVENT, SSV, 1);
	FIELD(SMMU_EVENT, SSID, 9);
	box.hole = f.at;
	assert_fault(go(&box, DEV, 9, IOVA, R), SMMU_EVT_F_CD_FETCH);
	EVENT(SMMU_EVT_F_CD_FETCH);
	assert_int_equal(GET_ADDR(SMMU_EV_FETCH, FETCH_ADDR, e), f.at + 9 * 64);
	box_close(&box);
}

static void translation_events(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	uint64_t *leaf;
	struct box box;
	struct first f;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	FAULT(R, TRANSLATION);
	EVENT(TRANSLATION);
	FIELD(SMMU_EV_FAULT, INPUT_ADDR, IOVA);
	FIELD(SMMU_EV_FAULT, CLASS, SMMU_CLASS_IN);
	FIELD(SMMU_EV_FAULT, S2, 0);
	FIELD(SMMU_EV_FAULT, RNW, 1);
	FIELD(SMMU_EV_FAULT, PNU, 0);
	FIELD(SMMU_EV_FAULT, IND, 0);
	FIELD(SMMU_EV_FAULT, STALL, 0);
	FIELD(SMMU_EV_FAULT, STAG, 0);
	assert_int_equal(e[3], 0);
	FAULT(W | P, TRANSLATION);
	EVENT(TRANSLATION);
	FIELD(SMMU_EV_FAULT, RNW, 0);
	FIELD(SMMU_EV_FAULT, PNU, 1);
	FAULT(X, TRANSLATION);
	EVENT(TRANSLATION);
	FIELD(SMMU_EV_FAULT, IND, 1);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(LPAE_S1, AP2, leaf, 1);
	FAULT(W, PERMISSION);
	EVENT(PERMISSION);
	FIELD(SMMU_EV_FAULT, TTRNW, 0);
	SET(LPAE_S1, AF, leaf, 0);
	FAULT(R, SMMU_EVT_F_ACCESS);
	EVENT(SMMU_EVT_F_ACCESS);
	SET_ADDR(LPAE_S1, ADDR, leaf, 1ull << 40);
	SET(SMMU_CD, IPS, f.cd, SMMU_PS_32);
	FAULT(R, ADDR_SIZE);
	EVENT(ADDR_SIZE);
	box.hole = (uint64_t)(leaf - box.ram) * 8;
	FAULT(R, SMMU_EVT_F_WALK_EABT);
	EVENT(SMMU_EVT_F_WALK_EABT);
	FIELD(SMMU_EV_WALK_EABT, CLASS, SMMU_CLASS_TT);
	FIELD(SMMU_EV_WALK_EABT, S2, 0);
	FIELD(SMMU_EV_WALK_EABT, RNW, 1);
	FIELD(SMMU_EV_WALK_EABT, INPUT_ADDR, IOVA);
	assert_int_equal(GET_ADDR(SMMU_EV_WALK_EABT, FETCH_ADDR, e), box.hole);
	box.hole = 0;
	/* R 0: not recorded, but what can't be read is. */
	SET(SMMU_CD, R, f.cd, 0);
	FAULT(R, ADDR_SIZE);
	NO_EVENT();
	box.hole = (uint64_t)(leaf - box.ram) * 8;
	FAULT(R, SMMU_EVT_F_WALK_EABT);
	EVENT(SMMU_EVT_F_WALK_EABT);
	box_close(&box);
}

static void second_stage_events(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	uint64_t *of, *leaf;
	struct box box;
	struct nested n;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	n = nested_of(&box, DEV, 3, 7);
	leaf = pt_map(&box, &n.s1, IOVA, 0x90000000, 0);
	/* The access. */
	assert_fault(go(&box, DEV, BOX_NO_PASID, IOVA + 0x123, W), TRANSLATION);
	EVENT(TRANSLATION);
	FIELD(SMMU_EV_FAULT, S2, 1);
	FIELD(SMMU_EV_FAULT, CLASS, SMMU_CLASS_IN);
	FIELD(SMMU_EV_FAULT, RNW, 0);
	FIELD(SMMU_EV_FAULT, INPUT_ADDR, IOVA + 0x123);
	assert_int_equal(GET_ADDR(SMMU_EV_FAULT, IPA, e), 0x90000000);
	/* A table, and its update. */
	of = pt_entry(&box, &n.s2, GUEST + (uint64_t)(leaf - box.ram) * 8, 0);
	SET(LPAE_S2, READ, of, 0);
	FAULT(W, PERMISSION);
	EVENT(PERMISSION);
	FIELD(SMMU_EV_FAULT, S2, 1);
	FIELD(SMMU_EV_FAULT, CLASS, SMMU_CLASS_TT);
	FIELD(SMMU_EV_FAULT, TTRNW, 1);
	assert_int_equal(GET_ADDR(SMMU_EV_FAULT, IPA, e), GUEST + ((uint64_t)(leaf - box.ram) * 8 & ~0xfffull));
	SET(LPAE_S2, READ, of, 1);
	SET(LPAE_S2, WRITE, of, 0);
	SET(SMMU_CD, HA, n.cd, 1);
	SET(LPAE_S1, AF, leaf, 0);
	FAULT(R, PERMISSION);
	EVENT(PERMISSION);
	FIELD(SMMU_EV_FAULT, CLASS, SMMU_CLASS_TT);
	FIELD(SMMU_EV_FAULT, TTRNW, 0);
	FIELD(SMMU_EV_FAULT, RNW, 1);
	/* The context descriptor. */
	of = pt_entry(&box, &n.s2, GUEST + n.at, 0);
	SET(LPAE_S2, VALID, of, 0);
	FAULT(R, TRANSLATION);
	EVENT(TRANSLATION);
	FIELD(SMMU_EV_FAULT, S2, 1);
	FIELD(SMMU_EV_FAULT, CLASS, SMMU_CLASS_CD);
	assert_int_equal(GET_ADDR(SMMU_EV_FAULT, IPA, e), GUEST + n.at);
	box.hole = (uint64_t)(of - box.ram) * 8;
	FAULT(R, SMMU_EVT_F_WALK_EABT);
	EVENT(SMMU_EVT_F_WALK_EABT);
	FIELD(SMMU_EV_WALK_EABT, S2, 1);
	FIELD(SMMU_EV_WALK_EABT, CLASS, SMMU_CLASS_CD);
	assert_int_equal(GET_ADDR(SMMU_EV_WALK_EABT, FETCH_ADDR, e), box.hole);
	box.hole = 0;
	/* S2R 0. */
	SET(SMMU_STE, S2R, n.ste, 0);
	FAULT(R, TRANSLATION);
	NO_EVENT();
	box_close(&box);
}

static void event_queue(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	struct box box;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	set64(&box, SMMU_REG_EVENTQ_IRQ_CFG0, box.status + 8);
	set32(&box, SMMU_REG_EVENTQ_IRQ_CFG1, 0xabcd);
	set32(&box, SMMU_REG_IRQ_CTRL, BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN));
	ticks(&box);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t prod;

		*at(&box, box.status + 8) = 0;
		for (unsigned i = 0; i < EVENT_ENTRIES; i++) {
			assert_fault(go(&box, DEV, i, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
			/* A message when it is no longer empty, and only then. */
			assert_int_equal(*at(&box, box.status + 8), i ? 0 : 0xabcd);
			*at(&box, box.status + 8) = 0;
		}
		prod = reg32(&box, SMMU_REG_EVENTQ_PROD);
		assert_int_equal(GET(SMMU_EVENTQ_PROD, OVFLG, &prod), round & 1);
		/* Overflow: the record is lost, once said. */
		assert_fault(go(&box, DEV, 100, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
		assert_fault(go(&box, DEV, 101, IOVA, R), SMMU_EVT_C_BAD_STREAMID);
		prod = reg32(&box, SMMU_REG_EVENTQ_PROD);
		assert_int_equal(GET(SMMU_EVENTQ_PROD, OVFLG, &prod), !(round & 1));
		for (unsigned i = 0; i < EVENT_ENTRIES; i++) {
			assert_true(next_event(&box, e));
			assert_int_equal(GET(SMMU_EVENT, SSID, e), i);
		}
		NO_EVENT();
		/* Acknowledged. */
		uint64_t cons = reg32(&box, SMMU_REG_EVENTQ_CONS);

		SET(SMMU_EVENTQ_CONS, OVACKFLG, &cons, !(round & 1));
		set32(&box, SMMU_REG_EVENTQ_CONS, cons);
	}
	/* Off: lost. */
	set_cr0(&box, CR0_ON & ~BITS(SMMU_CR0, EVENTQEN));
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	set_cr0(&box, CR0_ON);
	NO_EVENT();
	/* It can't be written: a global error, and nothing more is until that is acknowledged (7.2). */
	box.hole = box.events;
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(reg32(&box, SMMU_REG_GERROR), BITS(SMMU_GERROR, EVENTQ_ABT_ERR));
	box.hole = 0;
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	NO_EVENT();
	set32(&box, SMMU_REG_GERRORN, BITS(SMMU_GERROR, EVENTQ_ABT_ERR));
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	EVENT(SMMU_EVT_C_BAD_STREAMID);
	/* A wire, without a message's address. */
	set32(&box, SMMU_REG_IRQ_CTRL, 0);
	ticks(&box);
	set64(&box, SMMU_REG_EVENTQ_IRQ_CFG0, 0);
	set32(&box, SMMU_REG_IRQ_CTRL, BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN));
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(box.interrupts, 0); /* not acknowledged yet */
	ticks(&box);
	forget_events(&box);
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, SMMUV3_MODEL_WIRE);
	assert_int_equal(box.interrupt_data, SMMUV3_MODEL_WIRE_EVENTQ);
	box_close(&box);
}

/* ---- Commands (4.1, 7.1) ---- */

static void command_errors(void **state)
{
	struct box box;

	(void)state;
	/* Every opcode; with every bit that isn't named. */
	for (unsigned op = 0; op < 256; op++) {
		bool exists = op == SMMU_CMD_PREFETCH_CONFIG || op == SMMU_CMD_PREFETCH_ADDR ||
			      (op >= SMMU_CMD_CFGI_STE && op <= SMMU_CMD_CFGI_CD_ALL) ||
			      (op >= SMMU_CMD_TLBI_NH_ALL && op <= SMMU_CMD_TLBI_NH_VAA) ||
			      (op >= SMMU_CMD_TLBI_EL2_ALL && op <= SMMU_CMD_TLBI_EL2_VAA) || op == SMMU_CMD_TLBI_S12_VMALL ||
			      op == SMMU_CMD_TLBI_S2_IPA || op == SMMU_CMD_TLBI_NSNH_ALL || op == SMMU_CMD_ATC_INV ||
			      op == SMMU_CMD_SYNC;
		uint64_t cons;

		for (unsigned which = 0; which < 2; which++) {
			uint64_t c[2] = { op, 0 };

			if (which && !exists)
				continue;
			if (which)
				c[0] |= 1ull << 8; /* in no command */
			open_box(&box);
			submit(&box, c);
			ticks(&box);
			cons = reg32(&box, SMMU_REG_CMDQ_CONS);
			assert_int_equal(GET(SMMU_CMDQ_CONS, ERR, &cons), exists && !which ? SMMU_CERROR_NONE : SMMU_CERROR_ILL);
			assert_int_equal(GET(SMMU_CMDQ_CONS, RD, &cons), exists && !which);
			assert_int_equal(reg32(&box, SMMU_REG_GERROR), exists && !which ? 0 : BITS(SMMU_GERROR, CMDQ_ERR));
			box_close(&box);
		}
	}
	/* Reserved parameters. */
	const uint64_t bad[][2] = {
		{ SMMU_CMD_CFGI_STE | 1 << 10, 0 },		 /* SSec */
		{ SMMU_CMD_SYNC | 3 << 12, 0 },			 /* CS */
		{ SMMU_CMD_TLBI_NH_ALL | 1ull << 48, 0 },	 /* an ASID */
		{ SMMU_CMD_TLBI_NH_VAA | 1ull << 48, 0 },
		{ SMMU_CMD_TLBI_NSNH_ALL | 1ull << 32, 0 },	 /* a VMID */
		{ SMMU_CMD_TLBI_EL2_ASID | 1ull << 32, 0 },
		{ SMMU_CMD_TLBI_NH_VA | 1 << 12, 0 },		 /* NUM without TG */
		{ SMMU_CMD_TLBI_NH_VA | 1 << 20, 0 },		 /* SCALE without TG */
		{ SMMU_CMD_TLBI_NH_VA | 1 << 25 | 1 << 12, 1 << 10 }, /* SCALE 32 */
		{ SMMU_CMD_TLBI_NH_VA, 1 << 8 },		 /* TTL without TG */
		{ SMMU_CMD_TLBI_NH_VA, 1 << 10 },		 /* a range of nothing: TTL, NUM and SCALE 0 */
		{ SMMU_CMD_TLBI_NH_VA, 1 << 7 },		 /* TTL128 */
		{ SMMU_CMD_TLBI_S2_IPA, 1ull << 63 },		 /* NS */
		{ SMMU_CMD_ATC_INV, 53 },
	};

	for (unsigned lax = 0; lax < 2; lax++) {
		for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			bool always = i == 0 || i == 1 || i == 10 || i == 13;
			uint64_t cons;

			open_with(&box, 0, 0, lax ? SMMUV3_MODEL_LAX : 0, ~0u);
			submit(&box, bad[i]);
			ticks(&box);
			cons = reg32(&box, SMMU_REG_CMDQ_CONS);
			if ((GET(SMMU_CMDQ_CONS, ERR, &cons) == SMMU_CERROR_ILL) != (!lax || always))
				fail_msg("lax %u, case %u", lax, i);
			box_close(&box);
		}
	}
	/* What the unit hasn't. */
	open_with(&box, idr0_idr1(0, IDR0(HYP) | IDR0(ATS) | IDR0(S2P) | IDR0(ATSRECERR)), idr3_idr5(0, IDR3(RIL)), 0, ~0u);
	const uint64_t lacks[][2] = {
		{ SMMU_CMD_TLBI_EL2_ALL, 0 }, { SMMU_CMD_TLBI_S12_VMALL, 0 }, { SMMU_CMD_TLBI_S2_IPA, 0 },
		{ SMMU_CMD_ATC_INV, 0 }, { SMMU_CMD_TLBI_NH_VA | 1 << 12, 1 << 10 },
	};
	for (unsigned i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
		uint64_t gerror;

		submit(&box, lacks[i]);
		ticks(&box);
		gerror = reg32(&box, SMMU_REG_GERROR) ^ reg32(&box, SMMU_REG_GERRORN);
		assert_int_equal(gerror, BITS(SMMU_GERROR, CMDQ_ERR));
		/* 7.1: software replaces the command, and acknowledges. */
		memset(at(&box, box.commands + 16 * ((box.prod - 1) & 63)), 0, 16);
		*at(&box, box.commands + 16 * ((box.prod - 1) & 63)) = SMMU_CMD_TLBI_NH_ALL;
		ticks(&box);
		assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS) & 0xfffff, i);
		set32(&box, SMMU_REG_GERRORN, reg32(&box, SMMU_REG_GERROR));
		ticks(&box);
		assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS) & 0xfffff, i + 1);
	}
	finish_commands(&box);
	box_close(&box);
	/* The queue can't be read. */
	open_box(&box);
	set64(&box, SMMU_REG_GERROR_IRQ_CFG0, box.status + 8);
	set32(&box, SMMU_REG_GERROR_IRQ_CFG1, 77);
	set32(&box, SMMU_REG_IRQ_CTRL, BITS(SMMU_IRQ_CTRL, GERROR_IRQEN));
	ticks(&box);
	box.hole = box.commands;
	submit_sync(&box);
	box.hole = box.commands;
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), SMMU_CERROR_ABT << 24);
	assert_int_equal(*at(&box, box.status + 8), 77);
	box.hole = 0;
	set32(&box, SMMU_REG_GERRORN, BITS(SMMU_GERROR, CMDQ_ERR));
	ticks(&box);
	assert_true(synced(&box));
	box_close(&box);
}

static void queue_wraps(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t cons;

		finish_commands(&box);
		cons = reg32(&box, SMMU_REG_CMDQ_CONS);
		assert_int_equal(GET(SMMU_CMDQ_CONS, RD, &cons), box.prod);
	}
	/* A whole queue at once. */
	for (unsigned i = 0; i < 64; i++)
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, i, 0);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), box.prod);
	/* Off and on: it goes on where it was. */
	set_cr0(&box, CR0_ON & ~BITS(SMMU_CR0, CMDQEN));
	submit_sync(&box);
	ticks(&box);
	assert_false(synced(&box));
	set_cr0(&box, CR0_ON);
	assert_true(synced(&box));
	box_close(&box);
}

/* 4.7.3 */
static void syncs(void **state)
{
	uint64_t c[2] = { SMMU_CMD_SYNC, 0 };
	struct box box;

	(void)state;
	open_box(&box);
	/* No signal; an event. */
	submit(&box, c);
	SET(SMMU_CMD_SYNC, CS, c, SMMU_CS_SEV);
	submit(&box, c);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), 2);
	assert_int_equal(box.interrupts, 0);
	/* A wire. */
	SET(SMMU_CMD_SYNC, CS, c, SMMU_CS_IRQ);
	submit(&box, c);
	ticks(&box);
	assert_int_equal(box.interrupts, 1);
	assert_int_equal(box.interrupt_addr, SMMUV3_MODEL_WIRE);
	assert_int_equal(box.interrupt_data, SMMUV3_MODEL_WIRE_SYNC);
	/* A message to what isn't memory. */
	SET_ADDR(SMMU_CMD_SYNC, MSIADDR, &c[0], 0xfee00000);
	SET(SMMU_CMD_SYNC, MSIDATA, c, 0x1234);
	submit(&box, c);
	ticks(&box);
	assert_int_equal(box.interrupts, 2);
	assert_int_equal(box.interrupt_addr, 0xfee00000);
	assert_int_equal(box.interrupt_data, 0x1234);
	/* And where there is no one. */
	box.port.interrupt = NULL;
	submit(&box, c);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_GERROR), BITS(SMMU_GERROR, MSI_CMDQ_ABT_ERR));
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), 5);
	box_close(&box);
	/* Without messages it is always a wire. */
	open_with(&box, idr0_idr1(0, IDR0(MSI)), 0, 0, ~0u);
	submit(&box, c);
	ticks(&box);
	assert_int_equal(box.interrupt_addr, SMMUV3_MODEL_WIRE);
	box_close(&box);
}

static void broken_hardware(void **state)
{
	struct box box;
	uint64_t cons;

	(void)state;
	open_box(&box);
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_SYNC);
	submit_sync(&box);
	ticks(&box);
	assert_false(synced(&box));
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_FETCH);
	submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 0, 0);
	ticks(&box);
	assert_true(synced(&box));
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), 1);
	smmuv3_model_break(&box.model, 0);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), 2);
	/* Only a CMD_SYNC behind a CMD_ATC_INV times out, and only once. */
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_TIMEOUT);
	finish_commands(&box);
	submit_atc_inv(&box, DEV, BOX_NO_PASID, false, 0, SMMU_ATC_SIZE_ALL);
	submit_sync(&box);
	ticks(&box);
	assert_false(synced(&box));
	cons = reg32(&box, SMMU_REG_CMDQ_CONS);
	assert_int_equal(GET(SMMU_CMDQ_CONS, ERR, &cons), SMMU_CERROR_ATC_INV_SYNC);
	assert_int_equal(GET(SMMU_CMDQ_CONS, RD, &cons), 4); /* 7.1: it points at the CMD_SYNC */
	set32(&box, SMMU_REG_GERRORN, BITS(SMMU_GERROR, CMDQ_ERR));
	ticks(&box);
	assert_true(synced(&box));
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_ILLEGAL);
	submit_sync(&box);
	ticks(&box);
	cons = reg32(&box, SMMU_REG_CMDQ_CONS);
	assert_int_equal(GET(SMMU_CMDQ_CONS, ERR, &cons), SMMU_CERROR_ILL);
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_MEMORY);
	set32(&box, SMMU_REG_GERRORN, 0);
	ticks(&box);
	cons = reg32(&box, SMMU_REG_CMDQ_CONS);
	assert_int_equal(GET(SMMU_CMDQ_CONS, ERR, &cons), SMMU_CERROR_ABT);
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_MESSAGE);
	set32(&box, SMMU_REG_GERRORN, BITS(SMMU_GERROR, CMDQ_ERR));
	ticks(&box);
	assert_true(reg32(&box, SMMU_REG_GERROR) & BITS(SMMU_GERROR, MSI_CMDQ_ABT_ERR));
	assert_false(synced(&box));
	smmuv3_model_break(&box.model, SMMUV3_BROKEN_BUSY);
	set_cr0(&box, 0);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), CR0_ON);
	smmuv3_model_break(&box.model, 0);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), 0);
	box_close(&box);
}

/* ---- Caches of the configuration, and their invalidation (4.3, 16.2) ---- */

static void configuration_caches(void **state)
{
	struct box box;
	uint64_t *ste, *neighbour, *other;

	(void)state;
	open_box(&box);
	/* What is not valid is cached too: L1STD, STE. */
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	ste = ste_bypass(&box, DEV);
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	submit_cfgi_ste(&box, DEV, true); /* leaf: not the L1STD */
	finish_commands(&box);
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	cfgi_ste(&box, DEV3); /* of another leaf table */
	FAULT(R, SMMU_EVT_C_BAD_STREAMID);
	cfgi_ste(&box, DEV2); /* of the same */
	DONE(R, IOVA);
	SET(SMMU_STE, V, ste, 0);
	DONE(R, IOVA);
	submit_cfgi_ste(&box, DEV2, true);
	submit_cfgi_ste(&box, DEV3, false);
	finish_commands(&box);
	DONE(R, IOVA);
	submit_cfgi_ste(&box, DEV, true);
	finish_commands(&box);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	SET(SMMU_STE, V, ste, 1);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	/* No StreamID of the unit: nothing. */
	submit_cfgi_ste(&box, DEV | 1u << 16, false);
	finish_commands(&box);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	cfgi_ste(&box, DEV);
	DONE(R, IOVA);
	/* TLB commands leave it. */
	SET(SMMU_STE, V, ste, 0);
	tlbi(&box, SMMU_CMD_TLBI_NSNH_ALL, 0, 0);
	DONE(R, IOVA);
	/* Ranges: 2^(Range + 1) aligned StreamIDs. */
	for (unsigned range = 0; range < 32; range++) {
		uint64_t reach = range + 1 >= 16 ? 16 : range + 1;

		SET(SMMU_STE, V, ste, 1);
		neighbour = ste_bypass(&box, DEV ^ 1u << 1);
		other = ste_bypass(&box, DEV3);
		flush(&box);
		DONE(R, IOVA);
		assert_done(go(&box, DEV ^ 2, BOX_NO_PASID, IOVA, R), IOVA);
		assert_done(go(&box, DEV3, BOX_NO_PASID, IOVA, R), IOVA);
		SET(SMMU_STE, V, ste, 0);
		SET(SMMU_STE, V, neighbour, 0);
		SET(SMMU_STE, V, other, 0);
		submit_cfgi_range(&box, DEV, range);
		finish_commands(&box);
		FAULT(R, SMMU_EVT_C_BAD_STE);
		assert_int_equal(go(&box, DEV ^ 2, BOX_NO_PASID, IOVA, R).reason, reach > 1 ? SMMU_EVT_C_BAD_STE : 0);
		assert_int_equal(go(&box, DEV3, BOX_NO_PASID, IOVA, R).reason, reach > 8 ? SMMU_EVT_C_BAD_STE : 0);
	}
	box_close(&box);
}

static void context_caches(void **state)
{
	struct box box;
	struct first f;
	uint64_t *l1[2], *cd, table;

	(void)state;
	for (unsigned big = 0; big < 2; big++) {
		unsigned bits = big ? 10 : 6;
		uint32_t other = 1u << bits; /* of another leaf table */

		open_box(&box);
		f = simple_first(&box);
		pt_map(&box, &f.pt, IOVA, PHYS, 0);
		table = box_page(&box);
		SET_ADDR(SMMU_STE, S1CONTEXTPTR, f.ste, table);
		SET(SMMU_STE, S1CDMAX, f.ste, 12);
		SET(SMMU_STE, S1FMT, f.ste, big ? SMMU_S1FMT_64K : SMMU_S1FMT_4K);
		l1[0] = at(&box, table);
		l1[1] = at(&box, table + 8);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		for (unsigned i = 0; i < 2; i++)
			*l1[i] = box_pages_aligned(&box, big ? 16 : 1) | 1;
		cd = cd_set(&box, (*l1[0] & ~1ull) + 5 * 64, &f.pt, 7);
		cd_set(&box, (*l1[1] & ~1ull) + 5 * 64, &f.pt, 8);
		cd_set(&box, *l1[0] & ~1ull, &f.pt, 9);
		/* The invalid L1CD is cached. */
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		submit_cfgi_cd(&box, DEV, 5, true);
		finish_commands(&box);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		cfgi_cd(&box, DEV, other);
		cfgi_cd(&box, DEV2, 5);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_SUBSTREAMID);
		cfgi_cd(&box, DEV, 4); /* its leaf table's */
		assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
		assert_done(go(&box, DEV, 5 + other, IOVA, R), PHYS);
		/* The descriptor. */
		SET(SMMU_CD, V, cd, 0);
		cfgi_cd(&box, DEV, 4);
		cfgi_cd(&box, DEV, 5 + other);
		cfgi_cd(&box, DEV2, 5);
		assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
		submit_cfgi_cd(&box, DEV, 5, true);
		finish_commands(&box);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_CD);
		SET(SMMU_CD, V, cd, 1);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_CD);
		/* All of a stream's. */
		submit_cfgi_cd_all(&box, DEV2);
		finish_commands(&box);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_CD);
		submit_cfgi_cd_all(&box, DEV);
		finish_commands(&box);
		assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
		/* 4.3.1: CMD_CFGI_STE takes all contexts of the stream too; another stream's not. */
		SET(SMMU_CD, V, cd, 0);
		submit_cfgi_ste(&box, DEV2, true);
		finish_commands(&box);
		assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
		submit_cfgi_ste(&box, DEV, true);
		finish_commands(&box);
		assert_fault(go(&box, DEV, 5, IOVA, R), SMMU_EVT_C_BAD_CD);
		/* The STE stays when a CD goes. */
		SET(SMMU_CD, V, cd, 1);
		SET(SMMU_STE, V, f.ste, 0);
		submit_cfgi_cd_all(&box, DEV);
		finish_commands(&box);
		assert_done(go(&box, DEV, 5, IOVA, R), PHYS);
		box_close(&box);
	}
}

/* ---- TLB invalidation (4.4) ---- */

/* A stream of every kind, each with a page at IOVA. EL1_GLOBAL: a global page, under ASID 9. */
enum { EL1, EL1_GLOBAL, EL1_ASID, EL1_VMID, EL2, E2H, S2_ONLY, NESTED, STREAMS };

struct zoo {
	uint64_t *leaf[STREAMS];
	bool e2h;
};

static void zoo_open(struct box *box, struct zoo *zoo, bool e2h)
{
	struct nested nested;
	struct pt pt2;

	open_box(box);
	set_cr2(box, (e2h ? BITS(SMMU_CR2, E2H) : 0) | BITS(SMMU_CR2, RECINVSID));
	zoo->e2h = e2h;
	for (unsigned i = 0; i <= E2H; i++) {
		struct first f;

		if (i == (e2h ? EL2 : E2H))
			continue;
		f = first_of(box, DEV + i, 12, 48, i == EL1_ASID ? 8 : i == EL1_GLOBAL ? 9 : 7);
		zoo->leaf[i] = pt_map(box, &f.pt, IOVA + (i == EL1_GLOBAL ? PAGE : 0), PHYS, 0);
		SET(SMMU_STE, S2VMID, f.ste, i == EL1_VMID ? 4 : 3);
		if (i == EL2 || i == E2H)
			SET(SMMU_STE, STRW, f.ste, SMMU_STRW_EL2);
		if (i == EL1_GLOBAL)
			SET(LPAE_S1, NG, zoo->leaf[i], 0);
	}
	pt2 = pt_new(box, 12, 40, true);
	ste_s2(box, DEV + S2_ONLY, &pt2, 3);
	zoo->leaf[S2_ONLY] = pt_map(box, &pt2, IOVA, PHYS, 0);
	nested = nested_of(box, DEV + NESTED, 5, 7);
	zoo->leaf[NESTED] = pt_map(box, &nested.s1, IOVA, GUEST + 0x5000, 0);
}

static bool zoo_has(const struct zoo *zoo, unsigned i)
{
	return i != (zoo->e2h ? EL2 : E2H);
}

static uint64_t zoo_address(unsigned i)
{
	return IOVA + (i == EL1_GLOBAL ? PAGE : 0);
}

/* Loads all, takes every leaf away, invalidates; then which are still served? */
static unsigned zoo_left(struct box *box, struct zoo *zoo)
{
	unsigned left = 0;

	finish_commands(box);
	for (unsigned i = 0; i < STREAMS; i++) {
		if (zoo_has(zoo, i) && go(box, DEV + i, BOX_NO_PASID, zoo_address(i), R).state == IOMMU_REQUEST_DONE)
			left |= 1u << i;
	}
	return left;
}

static void zoo_load(struct box *box, struct zoo *zoo)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		if (zoo_has(zoo, i))
			assert_int_equal(go(box, DEV + i, BOX_NO_PASID, zoo_address(i), R).reason, 0);
	}
	for (unsigned i = 0; i < STREAMS; i++) {
		if (zoo_has(zoo, i))
			*zoo->leaf[i] = 0;
	}
}

static void tlbi_scopes(void **state)
{
	const struct {
		unsigned op, vmid, asid;
		bool va;
		unsigned gone, gone_e2h; /* which go; with E2H */
	} cases[] = {
		{ SMMU_CMD_TLBI_NH_ALL, 3, 0, false, 1 << EL1 | 1 << EL1_GLOBAL | 1 << EL1_ASID, 0 },
		{ SMMU_CMD_TLBI_NH_ALL, 4, 0, false, 1 << EL1_VMID, 0 },
		{ SMMU_CMD_TLBI_NH_ALL, 5, 0, false, 1 << NESTED, 0 },
		{ SMMU_CMD_TLBI_NH_ASID, 3, 7, false, 1 << EL1, 0 },
		{ SMMU_CMD_TLBI_NH_ASID, 3, 8, false, 1 << EL1_ASID, 0 },
		{ SMMU_CMD_TLBI_NH_ASID, 5, 7, false, 1 << NESTED, 0 },
		{ SMMU_CMD_TLBI_NH_VA, 3, 7, true, 1 << EL1 | 1 << EL1_GLOBAL, 0 },
		{ SMMU_CMD_TLBI_NH_ASID, 3, 9, false, 0, 0 },
		{ SMMU_CMD_TLBI_NH_VA, 3, 10, true, 1 << EL1_GLOBAL, 0 },
		{ SMMU_CMD_TLBI_NH_VA, 4, 7, true, 1 << EL1_VMID, 0 },
		{ SMMU_CMD_TLBI_NH_VAA, 3, 0, true, 1 << EL1 | 1 << EL1_GLOBAL | 1 << EL1_ASID, 0 },
		{ SMMU_CMD_TLBI_EL2_ALL, 0, 0, false, 1 << EL2, 1 << E2H },
		{ SMMU_CMD_TLBI_EL2_ASID, 0, 7, false, 0, 1 << E2H },
		{ SMMU_CMD_TLBI_EL2_ASID, 0, 8, false, 0, 0 },
		{ SMMU_CMD_TLBI_EL2_VA, 0, 7, true, 1 << EL2, 1 << E2H },
		{ SMMU_CMD_TLBI_EL2_VA, 0, 8, true, 1 << EL2, 0 },
		{ SMMU_CMD_TLBI_EL2_VAA, 0, 0, true, 1 << EL2, 1 << E2H },
		{ SMMU_CMD_TLBI_S12_VMALL, 3, 0, false, 1 << EL1 | 1 << EL1_GLOBAL | 1 << EL1_ASID | 1 << S2_ONLY, 0 },
		{ SMMU_CMD_TLBI_S12_VMALL, 5, 0, false, 1 << NESTED, 0 },
		{ SMMU_CMD_TLBI_S2_IPA, 3, 0, true, 1 << S2_ONLY, 0 },
		{ SMMU_CMD_TLBI_S2_IPA, 4, 0, true, 0, 0 },
		{ SMMU_CMD_TLBI_NSNH_ALL, 0, 0, false,
		  1 << EL1 | 1 << EL1_GLOBAL | 1 << EL1_ASID | 1 << EL1_VMID | 1 << S2_ONLY | 1 << NESTED, 0 },
		{ SMMU_CMD_CFGI_STE, 0, 0, false, 0, 0 },
	};
	struct box box;
	struct zoo zoo;

	(void)state;
	for (unsigned e2h = 0; e2h < 2; e2h++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			bool el2 = cases[i].op >= SMMU_CMD_TLBI_EL2_ALL && cases[i].op <= SMMU_CMD_TLBI_EL2_VAA;
			unsigned all = ((1u << STREAMS) - 1) & ~(1u << (e2h ? EL2 : E2H)), left;

			zoo_open(&box, &zoo, e2h);
			zoo_load(&box, &zoo);
			if (cases[i].va) {
				submit_tlbi_range(&box, cases[i].op, cases[i].vmid, cases[i].asid, IOVA, false, (struct range){ 0 });
				submit_tlbi_range(&box, cases[i].op, cases[i].vmid, cases[i].asid, IOVA + PAGE, false,
						  (struct range){ 0 });
			} else if (cases[i].op == SMMU_CMD_CFGI_STE) {
				submit_cfgi_range(&box, 0, SMMU_CFGI_RANGE_ALL);
			} else {
				submit_tlbi(&box, cases[i].op, cases[i].vmid, cases[i].asid);
			}
			left = zoo_left(&box, &zoo);
			if (left != (all & ~(e2h && el2 ? cases[i].gone_e2h : cases[i].gone)))
				fail_msg("e2h %u, case %u: left %x", e2h, i, left);
			box_close(&box);
		}
	}
}

/* Ids that are too wide match nothing (4.4); VMW widens a VMID's match. */
static void tlbi_ids(void **state)
{
	struct box box;
	struct first f;
	uint64_t *leaf;

	(void)state;
	open_with(&box, idr0_idr1(0, IDR0(ASID16) | IDR0(VMID16)), 0, 0, ~0u);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, S2VMID, f.ste, 3);
	DONE(R, PHYS);
	*leaf = 0;
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 3, 0x107);
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 0x103, 7);
	DONE(R, PHYS);
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 3, 7);
	FAULT(R, TRANSLATION);
	box_close(&box);

	open_with(&box, idr0_idr1(IDR0(VMW), 0), 0, 0, ~0u);
	set_cr0(&box, CR0_QUEUES);
	set_cr0(&box, CR0_ON | 2ull << SMMU_CR0_VMW_LSB);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, S2VMID, f.ste, 5);
	DONE(R, PHYS);
	*leaf = 0;
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 8, 7);
	DONE(R, PHYS);
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 7, 7);
	FAULT(R, TRANSLATION);
	box_close(&box);
	/* Without a second stage there are no VMIDs. */
	open_with(&box, idr0_idr1(0, IDR0(S2P) | IDR0(HYP)), 0, 0, ~0u);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	DONE(R, PHYS);
	*leaf = 0;
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 3, 7);
	FAULT(R, TRANSLATION);
	box_close(&box);
}

/* Is the page at `addr` still served after it was unmapped, and this done? */
static bool stays(unsigned shift, unsigned level, uint64_t base, bool s2, struct range range, bool leaf_only)
{
	uint64_t mask = (1ull << lpae_shift(shift, level)) - 1, addr = 0x80000000ull, *leaf;
	struct first f;
	struct pt pt;
	struct box box;
	bool left;

	open_box(&box);
	if (s2) {
		pt = pt_new(&box, shift, 40, true);
		ste_s2(&box, DEV, &pt, 3);
	} else {
		f = first_of(&box, DEV, shift, 48, 7);
		pt = f.pt;
	}
	leaf = pt_map(&box, &pt, addr, 0x40000000ull & ~mask, level);
	assert_int_equal(go(&box, DEV, BOX_NO_PASID, addr, R).reason, 0);
	*leaf = 0;
	if (s2)
		submit_tlbi_range(&box, SMMU_CMD_TLBI_S2_IPA, 3, 0, base, leaf_only, range);
	else
		submit_tlbi_range(&box, SMMU_CMD_TLBI_NH_VA, 0, 7, base, leaf_only, range);
	finish_commands(&box);
	left = go(&box, DEV, BOX_NO_PASID, addr, R).state == IOMMU_REQUEST_DONE;
	box_close(&box);
	return left;
}

/* 4.4.1.1 */
static void tlbi_ranges(void **state)
{
	const uint64_t addr = 0x80000000ull;
	const unsigned shifts[4] = { 0, 12, 14, 16 };

	(void)state;
	for (unsigned s2 = 0; s2 < 2; s2++) {
		/* One address: within the leaf or not. */
		assert_false(stays(12, 0, addr, s2, (struct range){ 0 }, true));
		assert_true(stays(12, 0, addr + PAGE, s2, (struct range){ 0 }, true));
		assert_false(stays(12, 1, addr + 5 * PAGE, s2, (struct range){ 0 }, true));
		assert_true(stays(12, 1, addr + 512 * PAGE, s2, (struct range){ 0 }, true));
		for (unsigned tg = 1; tg < 4; tg++) {
			uint64_t page = 1ull << shifts[tg];
			/* Of TTL 0 one page alone is no range. */
			struct range two = { tg, 1, 0, 0 };

			/* NUM and SCALE: (NUM + 1) * 2^SCALE pages from the address on. */
			for (unsigned num = 0; num < 32; num += 31) {
				for (unsigned scale = num ? 0 : 1; scale < 10; scale += 3) {
					uint64_t span = ((uint64_t)(num + 1) << scale) * page;
					struct range range = { tg, num, scale, 0 };

					assert_false(stays(shifts[tg], 0, addr - span + page, s2, range, true));
					assert_true(stays(shifts[tg], 0, addr - span, s2, range, true));
					assert_true(stays(shifts[tg], 0, addr + page, s2, range, true));
				}
			}
			/* As much as can be said. */
			assert_false(stays(shifts[tg], 0, 0, s2, (struct range){ tg, 31, SMMU_TLBI_MAX_SCALE, 0 }, true));
			/* A granule that isn't the line's removes nothing. */
			for (unsigned other = 1; other < 4; other++)
				assert_int_equal(stays(shifts[other], 0, addr, s2, two, true), other != tg);
			/* TTL: leaves of that level only (level 3 is 0 here). */
			for (unsigned ttl = 1; ttl < 4; ttl++) {
				for (unsigned level = 0; level <= lpae_max_leaf_level(shifts[tg]); level++) {
					struct range range = { tg, 0, 0, ttl };
					bool any = tg == SMMU_TLBI_TG_16K && ttl == 1; /* treated as 0 */

					if (any)
						range.num = 1;
					assert_int_equal(stays(shifts[tg], level, addr, s2, range, true), !any && 3 - ttl != level);
				}
			}
		}
	}
}

/*
 * Tables: kept by Leaf; removed without, of levels above TTL's leaf only. What is looked up then is the neighbour that has only the
 * table in question in common with what was.
 */
static void tlbi_tables(void **state)
{
	struct box box;

	(void)state;
	for (unsigned s2 = 0; s2 < 2; s2++) {
		for (unsigned i = 0; i < 2 * 3 * 4; i++) {
			unsigned leaf = i % 2, level = 1 + i / 2 % 3, ttl = i / 6;
			struct range range = { ttl ? SMMU_TLBI_TG_4K : 0, 0, 0, ttl };
			bool kept = leaf || (ttl && level <= 3 - ttl);
			uint64_t neighbour = IOVA + (1ull << lpae_shift(12, level - 1));
			struct pt pt;

			open_box(&box);
			if (s2) {
				pt = pt_new(&box, 12, 44, true);
				ste_s2(&box, DEV, &pt, 3);
			} else {
				pt = simple_first(&box).pt;
			}
			pt_map(&box, &pt, IOVA, PHYS, 0);
			pt_map(&box, &pt, neighbour, PHYS2, 0);
			DONE(R, PHYS);
			*pt_entry(&box, &pt, IOVA, level) = 0;
			submit_tlbi_range(&box, s2 ? SMMU_CMD_TLBI_S2_IPA : SMMU_CMD_TLBI_NH_VA, s2 ? 3 : 0, s2 ? 0 : 7, IOVA, leaf, range);
			finish_commands(&box);
			if (kept)
				assert_done(go(&box, DEV, BOX_NO_PASID, neighbour, R), PHYS2);
			else
				assert_fault(go(&box, DEV, BOX_NO_PASID, neighbour, R), TRANSLATION);
			box_close(&box);
		}
	}
}

/* 4.4.3.1: what both stages made together isn't of the second stage alone. */
static void nested_invalidation(void **state)
{
	struct box box;
	struct nested n;
	uint64_t *leaf2;

	(void)state;
	open_box(&box);
	n = nested_of(&box, DEV, 3, 7);
	pt_map(&box, &n.s1, IOVA, GUEST + 0x5000, 0);
	leaf2 = pt_entry(&box, &n.s2, GUEST + 0x5000, 0);
	DONE(R, 0x5000);
	SET_ADDR(LPAE_S2, ADDR, leaf2, 0x6000);
	DONE(R, 0x5000);
	tlbi_va(&box, SMMU_CMD_TLBI_S2_IPA, 3, 0, GUEST + 0x5000);
	DONE(R, 0x5000);
	/* Both, in this order. */
	tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 3, 0);
	DONE(R, 0x6000);
	/* NH alone leaves the second stage's. */
	SET_ADDR(LPAE_S2, ADDR, leaf2, 0x7000);
	tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 3, 0);
	DONE(R, 0x6000);
	tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 3, 0);
	DONE(R, 0x7000);
	submit_cfgi_cd_all(&box, DEV);
	finish_commands(&box);
	DONE(R, 0x7000);
	/* The context's and the tables' addresses come from what is cached of the second stage. */
	uint64_t copy = box_page(&box);

	memcpy(at(&box, copy), at(&box, n.at), SMMU_CD_BYTES);
	SET(SMMU_CD, R, n.cd, 0);
	SET_ADDR(LPAE_S2, ADDR, pt_entry(&box, &n.s2, GUEST + n.at, 0), copy);
	SET(SMMU_CD, V, at(&box, copy), 0);
	DONE(R, 0x7000);
	submit_cfgi_cd_all(&box, DEV);
	finish_commands(&box);
	DONE(R, 0x7000); /* the old descriptor, fetched again */
	submit_cfgi_cd_all(&box, DEV);
	submit_tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 3, 0);
	finish_commands(&box);
	FAULT(R, SMMU_EVT_C_BAD_CD);
	box_close(&box);
}

/* D8.6.1: leaves that say so are cached as one; unless the unit ignores it. */
static void contiguous_leaves(void **state)
{
	const struct {
		unsigned shift, level;
	} cases[] = { { 12, 0 }, { 12, 1 }, { 12, 2 }, { 14, 0 }, { 14, 1 }, { 16, 0 }, { 16, 1 } };
	struct box box;

	(void)state;
	for (unsigned ignore = 0; ignore < 2; ignore++) {
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			unsigned log2 = lpae_shift(cases[i].shift, cases[i].level);
			uint64_t n = 1ull << lpae_contiguous_shift(cases[i].shift, cases[i].level);
			uint64_t va = 5ull << 40, pa = 3ull << 40, last = va + ((n - 1) << log2);
			struct iommu_request r;
			struct first f;
			uint64_t *leaf;

			open_with(&box, 0, 0, ignore ? SMMUV3_MODEL_NO_CONTIGUOUS : 0, ~0u);
			f = first_of(&box, DEV, cases[i].shift, 48, 7);
			leaf = pt_map(&box, &f.pt, last, pa + ((n - 1) << log2), cases[i].level);
			SET(LPAE_S1, CONTIGUOUS, leaf, 1);
			r = go(&box, DEV, BOX_NO_PASID, last + 8, R);
			assert_done(r, pa + ((n - 1) << log2) + 8);
			assert_int_equal(r.size, ignore ? 1ull << log2 : n << log2);
			/* The first was never mapped. */
			r = go(&box, DEV, BOX_NO_PASID, va, R);
			if (ignore)
				assert_fault(r, TRANSLATION);
			else
				assert_done(r, pa);
			/* One command within it takes all of it. */
			*leaf = 0;
			tlbi_va(&box, SMMU_CMD_TLBI_NH_VA, 0, 7, va + (1ull << log2));
			assert_int_equal(go(&box, DEV, BOX_NO_PASID, last, R).reason, ignore ? 0 : TRANSLATION);
			box_close(&box);
		}
	}
}

/* 3.20.1, 3.21.1: several lines for one address. */
static void conflicts(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	struct box box;
	struct first f;
	uint64_t *table, *leaf, old;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	for (unsigned bbml = 0; bbml < 3; bbml++) {
		for (unsigned same = 0; same < 2; same++) {
			open_with(&box, 0, idr3_idr5(0, IDR3(BBML)) | (uint64_t)bbml << SMMU_IDR3_BBML_LSB, 0, ~0u);
			/* The same address of either, or another. */
			const uint64_t there = 0x40000000 + (IOVA & 0x1fffff), page = same ? there : PHYS;

			f = simple_first(&box);
			leaf = pt_map(&box, &f.pt, IOVA, page, 0);
			pt_map(&box, &f.pt, IOVA + PAGE, page + PAGE, 0);
			table = pt_entry(&box, &f.pt, IOVA, 1);
			DONE(R, page);
			/* A block over the page that is cached: no break before make. Its neighbour brings it in. */
			old = *table;
			*table = 0x40000000 | LEAF1;
			if (same)
				*leaf = 0;
			tlbi_va(&box, SMMU_CMD_TLBI_NH_VA, 0, 7, IOVA + PAGE);
			assert_done(go(&box, DEV, BOX_NO_PASID, IOVA + PAGE, R), there + PAGE);
			if (same && bbml == 2) {
				DONE(R, there);
			} else {
				FAULT(R, SMMU_EVT_F_TLB_CONFLICT);
				assert_true(next_event(&box, e));
				FIELD(SMMU_EVENT, CODE, SMMU_EVT_F_TLB_CONFLICT);
				FIELD(SMMU_EV_TLB_CONFLICT, INPUT_ADDR, IOVA);
				FIELD(SMMU_EV_TLB_CONFLICT, S2, 0);
				FIELD(SMMU_EV_TLB_CONFLICT, RNW, 1);
				/* It may use either instead, or none. */
				uint64_t seen[3];

				for (unsigned i = 0; i < 3; i++) {
					box.answers[IOMMU_FREE_MULTI] = 2 + i;
					seen[i] = go(&box, DEV, BOX_NO_PASID, IOVA, R).phys;
				}
				assert_true((seen[0] == page && seen[1] == there) || (seen[0] == there && seen[1] == page));
				assert_int_equal(seen[2], there);
				box.answers[IOMMU_FREE_MULTI] = 0;
			}
			*table = old;
			tlbi_va(&box, SMMU_CMD_TLBI_NH_VA, 0, 7, IOVA);
			assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, same ? TRANSLATION : 0);
			box_close(&box);
		}
	}
	/* A block with nT isn't cached by a unit of level 1 (3.21.1.2). */
	for (unsigned nt = 0; nt < 2; nt++) {
		open_box(&box);
		f = simple_first(&box);
		pt_map(&box, &f.pt, IOVA, 0x40000000, 1);
		table = pt_entry(&box, &f.pt, IOVA, 1);
		if (nt)
			*table |= LPAE_BLOCK_NT;
		DONE(R, 0x40000000 | (IOVA & 0x1fffff));
		*table = 0;
		assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, nt ? TRANSLATION : 0);
		box_close(&box);
	}
	/* The same ASID of two streams with different tables: global lines and local ones too. */
	open_box(&box);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	struct first g = first_of(&box, DEV2, 12, 48, 9);

	SET(LPAE_S1, NG, pt_map(&box, &g.pt, IOVA, PHYS2, 0), 0);
	DONE(R, PHYS);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS2);
	FAULT(R, SMMU_EVT_F_TLB_CONFLICT);
	smm_state(&box.model)->common.freedoms &= ~IOMMU_FREE_BIT(IOMMU_FREE_MULTI);
	assert_int_equal(go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, 0);
	box_close(&box);
}

/* Tags: not the tables' roots, nor the stream. */
static void tags_are_shared(void **state)
{
	struct box box;
	struct first f, g;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		open_box(&box);
		f = simple_first(&box);
		pt_map(&box, &f.pt, IOVA, PHYS, 0);
		g = first_of(&box, DEV2, 12, 48, i == 1 ? 8 : 7);
		if (i == 2)
			SET(SMMU_STE, S2VMID, g.ste, 1);
		DONE(R, PHYS);
		if (i == 0)
			assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), PHYS);
		else if (i < 3)
			assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA, R), TRANSLATION);
		/* A global page is all ASIDs', of those whose ASET is alike. */
		if (i == 3) {
			SET(SMMU_CD, ASID, g.cd, 9);
			pt_map(&box, &f.pt, IOVA + PAGE, PHYS2, 0);
			SET(LPAE_S1, NG, pt_entry(&box, &f.pt, IOVA + PAGE, 0), 0);
			assert_done(go(&box, DEV, BOX_NO_PASID, IOVA + PAGE, R), PHYS2);
			assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA + PAGE, R), PHYS2);
			SET(SMMU_CD, ASET, g.cd, 1);
			cfgi_cd(&box, DEV2, 0);
			assert_fault(go(&box, DEV2, BOX_NO_PASID, IOVA + PAGE, R), TRANSLATION);
		}
		box_close(&box);
	}
}

/* ---- ATS (3.9, 13.6, 13.7, 4.5.1) ---- */

#define TREQ(access) go_kind(&box, DEV, BOX_NO_PASID, IOVA, access, IOMMU_REQUEST_TRANSLATION)
#define TRANSLATED(addr, access) go_kind(&box, DEV, BOX_NO_PASID, addr, access, IOMMU_REQUEST_TRANSLATED)

static bool device_has(struct box *box, uint32_t pasid, uint64_t addr, unsigned access, uint64_t *phys)
{
	struct iommu_request r = request_of(DEV, pasid, addr, access, IOMMU_REQUEST_UNTRANSLATED);
	uint32_t rights;

	return iommu_model_devtlb_lookup(&box->model, &r, phys, &rights);
}

static void ats(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS], phys;
	struct iommu_request r;
	uint64_t *leaf;
	struct box box;
	struct first f;

	(void)state;
	for (unsigned freedoms = 0; freedoms < 2; freedoms++) {
		/* Device TLBs are there with any freedoms. */
		open_with(&box, 0, 0, 0, freedoms ? ~0u : IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
		f = simple_first(&box);
		leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
		assert_fault(TREQ(R), SMMU_EVT_F_BAD_ATS_TREQ);
		EVENT(SMMU_EVT_F_BAD_ATS_TREQ);
		assert_int_equal(GET_ADDR(SMMU_EV_BAD_ATS_TREQ, INPUT_ADDR, e), IOVA);
		assert_fault(TRANSLATED(PHYS + 8, W), SMMU_EVT_F_TRANSL_FORBIDDEN);
		EVENT(SMMU_EVT_F_TRANSL_FORBIDDEN);
		FIELD(SMMU_EV_TRANSL_FORBIDDEN, INPUT_ADDR, PHYS + 8);
		FIELD(SMMU_EV_TRANSL_FORBIDDEN, RNW, 0);
		SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
		flush(&box);
		assert_false(device_has(&box, BOX_NO_PASID, IOVA, R, &phys));
		r = TREQ(R | W);
		assert_done(r, PHYS);
		assert_int_equal(r.rights, R | W);
		assert_true(device_has(&box, BOX_NO_PASID, IOVA + 0x10, R | W, &phys));
		assert_int_equal(phys, PHYS + 0x10);
		assert_false(device_has(&box, BOX_NO_PASID, IOVA, R | X, &phys));
		assert_false(device_has(&box, 5, IOVA, R, &phys));
		/* What it has passes, wherever that is; not beyond the bus. */
		assert_done(TRANSLATED(PHYS, R), PHYS);
		assert_done(TRANSLATED(PHYS2, W), PHYS2);
		assert_fault(TRANSLATED(1ull << 48, W), SMMUV3_MODEL_SILENT);
		/* Some of the rights; none is a fault, which a translation request doesn't record. */
		SET(LPAE_S1, AP2, leaf, 1);
		flush(&box);
		r = TREQ(R | W);
		assert_done(r, PHYS);
		assert_int_equal(r.rights, R);
		assert_fault(TREQ(W), PERMISSION);
		*leaf = 0;
		flush(&box);
		assert_fault(TREQ(R), TRANSLATION);
		NO_EVENT();
		box.hole = (uint64_t)(leaf - box.ram) * 8;
		flush(&box);
		assert_fault(TREQ(R), SMMU_EVT_F_WALK_EABT); /* REC_CFG_ATS */
		EVENT(SMMU_EVT_F_WALK_EABT);
		set_cr2(&box, 0);
		assert_fault(TREQ(R), SMMU_EVT_F_WALK_EABT);
		NO_EVENT();
		box.hole = 0;
		/* What isn't checked passes: ATSCHK 0. */
		SET(SMMU_STE, V, f.ste, 0);
		flush(&box);
		assert_fault(TRANSLATED(PHYS, R), SMMU_EVT_C_BAD_STE);
		set_cr0(&box, CR0_ON & ~BITS(SMMU_CR0, ATSCHK));
		assert_done(TRANSLATED(PHYS, R), PHYS);
		assert_fault(TRANSLATED(1ull << 48, R), SMMUV3_MODEL_SILENT);
		box_close(&box);
	}
	/* Bypass has no ATS; nor has a unit without it. */
	open_with(&box, 0, 0, 0, 0);
	SET(SMMU_STE, EATS, ste_bypass(&box, DEV), SMMU_EATS_FULL);
	assert_fault(TREQ(R), SMMU_EVT_F_BAD_ATS_TREQ);
	box_close(&box);
	open_with(&box, idr0_idr1(0, IDR0(ATS) | IDR0(ATSRECERR)), 0, 0, 0);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
	assert_fault(TREQ(R), SMMU_EVT_F_BAD_ATS_TREQ);
	box_close(&box);
	/* DPT isn't there: no ATS. */
	open_with(&box, 0, 0, 0, 0);
	f = simple_first(&box);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_DPT);
	assert_fault(TREQ(R), SMMU_EVT_F_BAD_ATS_TREQ);
	box_close(&box);
}

/* 13.6.3: the device has IPAs, and the second stage is for every access. */
static void split_stage_ats(void **state)
{
	uint64_t e[SMMU_EVENT_WORDS];
	struct box box;
	struct nested n;

	(void)state;
	open_with(&box, 0, 0, 0, 0);
	n = nested_of(&box, DEV, 3, 7);
	pt_map(&box, &n.s1, IOVA, GUEST + 0x5000, 0);
	SET(SMMU_STE, EATS, n.ste, SMMU_EATS_FULL);
	assert_done(TREQ(R), 0x5000);
	SET(SMMU_STE, EATS, n.ste, SMMU_EATS_SPLIT);
	assert_done(TREQ(R), GUEST + 0x5000);
	assert_done(TRANSLATED(GUEST + 0x5008, W), 0x5008);
	DONE(R, 0x5000);
	SET(LPAE_S2, WRITE, pt_entry(&box, &n.s2, GUEST + 0x5000, 0), 0);
	assert_fault(TRANSLATED(GUEST + 0x5008, W), PERMISSION);
	EVENT(PERMISSION);
	FIELD(SMMU_EV_FAULT, S2, 1);
	assert_int_equal(GET_ADDR(SMMU_EV_FAULT, IPA, e), GUEST + 0x5000);
	assert_fault(TRANSLATED(0x5008, R), TRANSLATION);
	/* ATSCHK 0: split-stage is no ATS. */
	forget_events(&box);
	set_cr0(&box, CR0_ON & ~BITS(SMMU_CR0, ATSCHK));
	assert_fault(TREQ(R), SMMU_EVT_F_BAD_ATS_TREQ);
	box_close(&box);
}

static void ats_with_substreams(void **state)
{
	uint64_t phys;
	struct box box;
	struct first f;
	struct iommu_request r;

	(void)state;
	open_box(&box);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
	SET(SMMU_STE, S1CDMAX, f.ste, 4);
	SET(SMMU_STE, S1DSS, f.ste, SMMU_S1DSS_CD0);
	cd_set(&box, f.at + 5 * 64, &f.pt, 8);
	r = go_kind(&box, DEV, 5, IOVA, R | X, IOMMU_REQUEST_TRANSLATION);
	assert_done(r, PHYS);
	assert_int_equal(r.rights, R | X);
	assert_true(device_has(&box, 5, IOVA, R | X, &phys));
	assert_false(device_has(&box, BOX_NO_PASID, IOVA, R, &phys));
	/* 13.7: without a PASID nothing is executed. */
	r = TREQ(R | X);
	assert_done(r, PHYS);
	assert_int_equal(r.rights, R);
	assert_fault(go_kind(&box, DEV, 16, IOVA, R, IOMMU_REQUEST_TRANSLATION), SMMU_EVT_C_BAD_SUBSTREAMID);
	assert_fault(go_kind(&box, DEV, 6, IOVA, R, IOMMU_REQUEST_TRANSLATION), SMMU_EVT_C_BAD_CD);
	/* Privileged. */
	SET(LPAE_S1, AP1, pt_entry(&box, &f.pt, IOVA, 0), 0);
	flush(&box);
	assert_fault(go_kind(&box, DEV, 5, IOVA, R, IOMMU_REQUEST_TRANSLATION), PERMISSION);
	assert_done(go_kind(&box, DEV, 5, IOVA, R | P, IOMMU_REQUEST_TRANSLATION), PHYS);
	box_close(&box);
}

static void atc_invalidation(void **state)
{
	struct box box;
	struct first f;
	uint64_t phys;

	(void)state;
	open_box(&box);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	pt_map(&box, &f.pt, IOVA + PAGE, PHYS2, 0);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
	SET(SMMU_STE, S1CDMAX, f.ste, 4);
	SET(SMMU_STE, S1DSS, f.ste, SMMU_S1DSS_CD0);
	cd_set(&box, f.at + 5 * 64, &f.pt, 8);
	cd_set(&box, f.at + 6 * 64, &f.pt, 8);
	const struct {
		uint32_t sid, ssid;
		bool global;
		uint64_t address;
		unsigned size, gone; /* bits: none 0, 1 (next page); PASID 5: 2, 3; PASID 6: 4, 5 */
	} cases[] = {
		{ DEV, BOX_NO_PASID, false, IOVA, 0, 0x01 }, { DEV, BOX_NO_PASID, false, IOVA + PAGE, 0, 0x02 },
		{ DEV, BOX_NO_PASID, false, IOVA & ~0x1fffull, 1, IOVA & PAGE ? 0x01 : 0x03 },
		{ DEV, BOX_NO_PASID, false, IOVA, 3, 0x03 }, { DEV, BOX_NO_PASID, false, 0, 52, 0x03 },
		{ DEV, 5, false, IOVA, 0, 0x04 }, { DEV, 5, false, 0, 52, 0x0c }, { DEV, 5, true, IOVA, 0, 0x14 },
		{ DEV, 5, true, 0, 52, 0x3c }, { DEV2, BOX_NO_PASID, false, 0, 52, 0 }, { DEV | 1u << 16, 5, true, 0, 52, 0 },
	};
	const uint32_t ssids[3] = { BOX_NO_PASID, 5, 6 };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned left = 0;

		for (unsigned n = 0; n < 6; n++)
			assert_int_equal(go_kind(&box, DEV, ssids[n / 2], IOVA + n % 2 * PAGE, R, IOMMU_REQUEST_TRANSLATION).reason, 0);
		submit_atc_inv(&box, cases[i].sid, cases[i].ssid, cases[i].global, cases[i].address, cases[i].size);
		/* TLB and configuration commands leave device TLBs alone. */
		submit_cfgi_range(&box, 0, SMMU_CFGI_RANGE_ALL);
		submit_tlbi(&box, SMMU_CMD_TLBI_NSNH_ALL, 0, 0);
		finish_commands(&box);
		for (unsigned n = 0; n < 6; n++)
			left |= device_has(&box, ssids[n / 2], IOVA + n % 2 * PAGE, R, &phys) ? 1u << n : 0;
		if (left != (0x3f & ~cases[i].gone))
			fail_msg("case %u: left %x", i, left);
	}
	/* While it is off, it does nothing. */
	set_cr0(&box, CR0_QUEUES);
	submit_atc_inv(&box, DEV, BOX_NO_PASID, false, 0, 52);
	finish_commands(&box);
	assert_true(device_has(&box, BOX_NO_PASID, IOVA, R, &phys));
	/* A large page. */
	set_cr0(&box, CR0_ON);
	pt_map(&box, &f.pt, 0x40000000, 0x80000000, 1);
	assert_int_equal(go_kind(&box, DEV, BOX_NO_PASID, 0x40000000, R, IOMMU_REQUEST_TRANSLATION).reason, 0);
	assert_true(device_has(&box, BOX_NO_PASID, 0x401ff000, R, &phys));
	assert_int_equal(phys, 0x801ff000);
	submit_atc_inv(&box, DEV, BOX_NO_PASID, false, 0x40100000, 0);
	finish_commands(&box);
	assert_false(device_has(&box, BOX_NO_PASID, 0x401ff000, R, &phys));
	box_close(&box);
}

/* ---- Requests in flight, and the fence (3.21, 4.7.3) ---- */

static void step_to(struct box *box, struct iommu_request *r, unsigned pc)
{
	for (unsigned i = 0; r->state == IOMMU_REQUEST_RUNNING && r->pc != pc; i++) {
		assert_true(i < 200);
		iommu_model_step(&box->model, r);
	}
}

static void finish(struct box *box, struct iommu_request *r)
{
	step_to(box, r, ~0u);
	iommu_model_end(&box->model, r);
}

static void syncs_drain(void **state)
{
	struct box box;
	struct first f;
	uint64_t *leaf;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned pc = SMM_PC_STE; pc <= SMM_PC_FIRST; pc++) {
			struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

			if (pc == SMM_PC_L1CD)
				continue;
			open_box(&box);
			f = simple_first(&box);
			leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
			iommu_model_begin(&box.model, &r);
			step_to(&box, &r, pc);
			assert_int_equal(r.pc, pc);
			*leaf = PHYS2 | LEAF1 | PT_PAGE;
			if (i == 0)
				submit_cfgi_ste(&box, DEV, false);
			else if (i == 1)
				submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 0, 0);
			submit_sync(&box);
			ticks(&box);
			/* After nothing but a CMD_SYNC there is nothing to wait for. */
			assert_int_equal(synced(&box), i == 2);
			/* Who comes later isn't waited for. */
			struct iommu_request later = request(DEV, BOX_NO_PASID, IOVA, R);

			iommu_model_begin(&box.model, &later);
			finish(&box, &r);
			ticks(&box);
			assert_true(synced(&box));
			finish(&box, &later);
			assert_int_equal(later.phys, PHYS2);
			/* What it had read doesn't get into the caches. */
			*leaf = PHYS | LEAF1 | PT_PAGE;
			if (i < 2)
				tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 0, 0);
			box_close(&box);
		}
	}
	/* A walk that read the leaf before the invalidation doesn't fill after it. */
	open_box(&box);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

	iommu_model_begin(&box.model, &r);
	step_to(&box, &r, SMM_PC_FIRST);
	for (unsigned i = 0; i < 3; i++)
		iommu_model_step(&box.model, &r);
	assert_int_equal(r.state, IOMMU_REQUEST_RUNNING);
	submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 0, 0);
	ticks(&box);
	finish(&box, &r);
	assert_int_equal(r.phys, PHYS);
	submit_sync(&box);
	ticks(&box);
	*leaf = 0;
	FAULT(R, TRANSLATION);
	box_close(&box);
}

/* A CMD_SYNC that waits when the queue goes off is forgotten, and so is what it waited for; then SMMUEN. */
static void abandoned_drains(void **state)
{
	struct box box;

	(void)state;
	open_box(&box);
	ste_bypass(&box, DEV);
	struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

	iommu_model_begin(&box.model, &r);
	submit_cfgi_ste(&box, DEV, false);
	submit_sync(&box);
	ticks(&box);
	assert_false(synced(&box));
	set_cr0(&box, CR0_ON & ~BITS(SMMU_CR0, CMDQEN));
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), CR0_ON & ~BITS(SMMU_CR0, CMDQEN));
	assert_int_equal(reg32(&box, SMMU_REG_CMDQ_CONS), 1);
	/* SMMUEN off waits for the same request. */
	set_cr0(&box, BITS(SMMU_CR0, EVENTQEN));
	assert_true(reg32(&box, SMMU_REG_CR0ACK) & BITS(SMMU_CR0, SMMUEN));
	finish(&box, &r);
	ticks(&box);
	assert_int_equal(reg32(&box, SMMU_REG_CR0ACK), BITS(SMMU_CR0, EVENTQEN));
	set_cr0(&box, CR0_ON);
	assert_true(synced(&box));
	box_close(&box);
}

/* 3.21.3: quanta of 64 bits, or of 128; in any order. */
static void torn_fetch(void **state)
{
	struct box box;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
		unsigned torn = 0, seen = 0;
		unsigned char script[5];

		/* A change of words 0 and 1 at once: EL1 without SubstreamIDs -> bypass of those without one. */
		for (unsigned order = 0; order < 5 * 4 * 3; order++) {
			for (unsigned change = 0; change < 6; change++) {
				struct iommu_model_config config = box_config();
				struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);
				struct first f;

				config.quantum = quantum;
				assert_int_equal(box_open(&box, &config), 0);
				box_tables(&box);
				f = simple_first(&box);
				pt_map(&box, &f.pt, IOVA, PHYS, 0);
				script[0] = order % 5;
				script[1] = order / 5 % 4;
				script[2] = order / 20;
				script[3] = script[4] = 0;
				box.script = script;
				box.script_length = 3;
				iommu_model_begin(&box.model, &r);
				step_to(&box, &r, SMM_PC_STE);
				for (unsigned n = 0; r.pc == SMM_PC_STE && r.state == IOMMU_REQUEST_RUNNING; n++) {
					if (n == change) {
						SET(SMMU_STE, S1CDMAX, f.ste, 1);
						SET(SMMU_STE, S1DSS, f.ste, SMMU_S1DSS_BYPASS);
					}
					iommu_model_step(&box.model, &r);
				}
				finish(&box, &r);
				/* Old: one context. New: bypass. Torn: terminated. */
				seen |= r.phys == PHYS ? 1 : r.phys == IOVA ? 2 : 4;
				torn += r.reason == SMMU_EVT_F_STREAM_DISABLED;
				box_close(&box);
			}
		}
		assert_int_equal(seen, quantum == 8 ? 7 : 3);
		assert_int_equal(torn != 0, quantum == 8);
	}
	/* Without the freedom, in order. */
	open_with(&box, 0, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_TEAR));
	ste_bypass(&box, DEV);
	DONE(R, IOVA);
	assert_int_equal(box.asked[IOMMU_FREE_TEAR], 0);
	box_close(&box);
}

static void torn_context(void **state)
{
	struct box box;

	(void)state;
	for (unsigned quantum = 8; quantum <= 16; quantum += 8) {
		unsigned torn = 0;

		for (unsigned order = 0; order < 4 * 3 * 2; order++) {
			for (unsigned change = 0; change < 5; change++) {
				struct iommu_model_config config = box_config();
				struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);
				unsigned char script[8] = { 0 };
				struct first f;
				struct pt other;

				config.quantum = quantum;
				assert_int_equal(box_open(&box, &config), 0);
				box_tables(&box);
				f = simple_first(&box);
				other = pt_new(&box, 12, 39, false);
				pt_map(&box, &f.pt, IOVA, PHYS, 0);
				pt_map(&box, &other, IOVA, PHYS2, 0);
				iommu_model_begin(&box.model, &r);
				step_to(&box, &r, SMM_PC_CD);
				script[0] = order % 4;
				script[1] = order / 4 % 3;
				script[2] = order / 12;
				box.script = script;
				box.script_length = 3;
				for (unsigned n = 0; r.pc == SMM_PC_CD && r.state == IOMMU_REQUEST_RUNNING; n++) {
					if (n == change)
						cd_set(&box, f.at, &other, 7);
					iommu_model_step(&box.model, &r);
				}
				finish(&box, &r);
				torn += r.phys != PHYS && r.phys != PHYS2;
				box_close(&box);
			}
		}
		assert_int_equal(torn != 0, quantum == 8);
	}
}

/* Between two CMD_SYNC commands are executed late and in any order; never past a CMD_SYNC. */
static void late_and_reordered_commands(void **state)
{
	struct box box;
	uint64_t *ste;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	open_box(&box);
	ste = ste_bypass(&box, DEV);
	DONE(R, IOVA);
	SET(SMMU_STE, V, ste, 0);
	box.answers[IOMMU_FREE_LATE] = 2; /* fetch first */
	submit_cfgi_ste(&box, DEV, false);
	for (unsigned i = 0; i < 7; i++)
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, i, 0);
	while (reg32(&box, SMMU_REG_CMDQ_CONS) < 8)
		assert_true(iommu_model_tick(&box.model));
	/* All consumed; nothing says that any was done (4.8). */
	DONE(R, IOVA);
	assert_int_equal(smm_state(&box.model)->pending, 8);
	box.answers[IOMMU_FREE_REORDER] = 8; /* the last first */
	for (unsigned i = 0; i < 7; i++)
		assert_true(iommu_model_tick(&box.model));
	DONE(R, IOVA);
	assert_true(iommu_model_tick(&box.model));
	FAULT(R, SMMU_EVT_C_BAD_STE);
	/* A fence. */
	SET(SMMU_STE, V, ste, 1);
	submit_cfgi_ste(&box, DEV, false);
	submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, 0, 0);
	submit_sync(&box);
	while (!synced(&box))
		assert_true(iommu_model_tick(&box.model));
	DONE(R, IOVA);
	box_close(&box);
	/* Without the freedoms: one at a time. */
	open_with(&box, 0, 0, 0, ~(IOMMU_FREE_BIT(IOMMU_FREE_LATE) | IOMMU_FREE_BIT(IOMMU_FREE_REORDER)));
	box.answers[IOMMU_FREE_LATE] = 2;
	box.answers[IOMMU_FREE_REORDER] = 8;
	for (unsigned i = 0; i < 7; i++)
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ALL, i, 0);
	do {
		assert_true(smm_state(&box.model)->pending <= 1);
	} while (iommu_model_tick(&box.model));
	assert_int_equal(box.asked[IOMMU_FREE_LATE] + box.asked[IOMMU_FREE_REORDER], 0);
	box_close(&box);
}

static void freedom_switches(void **state)
{
	struct box box;
	uint64_t *ste;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	/* No KEEP: nothing is cached. */
	open_with(&box, 0, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	ste = ste_bypass(&box, DEV);
	DONE(R, IOVA);
	SET(SMMU_STE, V, ste, 0);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	box_close(&box);
	/* MISS: what is cached may be fetched again. */
	open_box(&box);
	ste = ste_bypass(&box, DEV);
	DONE(R, IOVA);
	SET(SMMU_STE, V, ste, 0);
	DONE(R, IOVA);
	box.answers[IOMMU_FREE_MISS] = box.answers[IOMMU_FREE_MULTI] = 3;
	FAULT(R, SMMU_EVT_C_BAD_STE);
	box_close(&box);
	/* No MULTI: a line is a line. */
	open_with(&box, 0, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_MULTI));
	struct first f = simple_first(&box);
	uint64_t *leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);

	DONE(R, PHYS);
	*leaf = 0;
	DONE(R, PHYS);
	box.answers[IOMMU_FREE_MISS] = 2;
	FAULT(R, TRANSLATION);
	box_close(&box);
	open_with(&box, 0, 0, 0, ~IOMMU_FREE_BIT(IOMMU_FREE_MISS));
	box.answers[IOMMU_FREE_MISS] = 2;
	ste = ste_bypass(&box, DEV);
	DONE(R, IOVA);
	SET(SMMU_STE, V, ste, 0);
	DONE(R, IOVA);
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
	unsigned outcomes = 0;
	struct box box;
	struct first f;
	uint64_t *leaf;

	(void)state;
	if (box_plain)
		return; /* it is about choices */
	open_mayset(&box, 16);
	f = simple_first(&box);
	leaf = pt_map(&box, &f.pt, IOVA, PHYS, 0);
	DONE(R, PHYS);
	/* A new leaf and a miss: now two lines. */
	*leaf = PHYS2 | LEAF1 | PT_PAGE;
	box.answers[IOMMU_FREE_MISS] = 2;
	DONE(R, PHYS2);
	box.answers[IOMMU_FREE_MISS] = 0;
	for (unsigned i = 1; i < 5; i++) {
		struct iommu_request r;

		box.answers[IOMMU_FREE_MULTI] = i;
		r = go(&box, DEV, BOX_NO_PASID, IOVA, R);
		outcomes |= r.reason == SMMU_EVT_F_TLB_CONFLICT ? 1 : r.phys == PHYS ? 2 : 4;
	}
	assert_int_equal(outcomes, 7);
	box.answers[IOMMU_FREE_MULTI] = 0;
	/* An invalidation takes both. */
	tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 0, 7);
	DONE(R, PHYS2);
	/* Old entries and new ones: both may be used. */
	SET(SMMU_STE, V, f.ste, 0);
	DONE(R, PHYS2);
	box.answers[IOMMU_FREE_MULTI] = 3; /* neither the entry nor the L1STD */
	FAULT(R, SMMU_EVT_C_BAD_STE);
	box.answers[IOMMU_FREE_MULTI] = 1;
	unsigned first = go(&box, DEV, BOX_NO_PASID, IOVA, R).reason;

	box.answers[IOMMU_FREE_MULTI] = 2;
	assert_int_equal(first + go(&box, DEV, BOX_NO_PASID, IOVA, R).reason, SMMU_EVT_C_BAD_STE);
	box.answers[IOMMU_FREE_MULTI] = 0;
	cfgi_ste(&box, DEV);
	FAULT(R, SMMU_EVT_C_BAD_STE);
	assert_false(iommu_model_overflow(&box.model));
	box_close(&box);
	/* Device TLBs. */
	uint64_t phys;

	open_mayset(&box, 16);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
	assert_done(TREQ(R), PHYS);
	assert_true(device_has(&box, BOX_NO_PASID, IOVA + 8, R, &phys));
	assert_int_equal(phys, PHYS + 8);
	box_close(&box);
	/* No room. */
	open_mayset(&box, 1);
	ste_bypass(&box, DEV);
	ste_bypass(&box, DEV2);
	DONE(R, IOVA);
	assert_done(go(&box, DEV2, BOX_NO_PASID, IOVA, R), IOVA);
	assert_true(iommu_model_overflow(&box.model));
	box_close(&box);
}

/* Does what has been submitted wait for the request? */
static bool drains(struct box *box, const struct iommu_request *r)
{
	bool drained = false;

	while (iommu_model_tick(&box->model))
		drained |= iommu_model_drained(&box->model, r);
	return drained;
}

static void maysets_drain(void **state)
{
	const struct {
		unsigned pc;
		bool ste, cd, tlb;
	} cases[] = {
		{ SMM_PC_START, false, false, false }, { SMM_PC_STE, true, false, false }, { SMM_PC_CD, true, true, false },
		{ SMM_PC_FIRST, true, true, true }, { SMM_PC_END, true, true, true },
	};
	struct box box;
	struct first f;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

		open_mayset(&box, 64);
		f = simple_first(&box);
		pt_map(&box, &f.pt, IOVA, PHYS, 0);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, cases[i].pc);
		/* Others. */
		submit_cfgi_ste(&box, DEV3, false);
		submit_cfgi_cd(&box, DEV, 5, true);
		submit_cfgi_cd(&box, DEV2, 0, true);
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 0, 8);
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 1, 7);
		submit_tlbi(&box, SMMU_CMD_TLBI_EL2_ALL, 0, 0);
		submit_tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 1, 0);
		submit_atc_inv(&box, DEV, BOX_NO_PASID, false, 0, 52);
		submit_sync(&box);
		assert_false(drains(&box, &r));
		submit_cfgi_ste(&box, DEV, false);
		assert_int_equal(drains(&box, &r), cases[i].ste);
		submit_cfgi_range(&box, 0, SMMU_CFGI_RANGE_ALL);
		assert_int_equal(drains(&box, &r), cases[i].ste);
		submit_cfgi_cd(&box, DEV, 0, true);
		assert_int_equal(drains(&box, &r), cases[i].cd);
		submit_cfgi_cd_all(&box, DEV);
		assert_int_equal(drains(&box, &r), cases[i].cd);
		submit_tlbi(&box, SMMU_CMD_TLBI_NH_ASID, 0, 7);
		assert_int_equal(drains(&box, &r), cases[i].tlb);
		submit_tlbi_range(&box, SMMU_CMD_TLBI_NH_VAA, 0, 0, IOVA, true, (struct range){ 0 });
		assert_int_equal(drains(&box, &r), cases[i].tlb);
		/* What a request will have, its granule, level or whether it is global, isn't known yet. */
		submit_tlbi_range(&box, SMMU_CMD_TLBI_NH_VAA, 0, 0, IOVA, true, (struct range){ SMMU_TLBI_TG_4K, 0, 0, 3 });
		assert_int_equal(drains(&box, &r), cases[i].tlb);
		submit_tlbi_range(&box, SMMU_CMD_TLBI_NH_VAA, 0, 0, IOVA + PAGE, true, (struct range){ 0 });
		assert_false(r.pc == SMM_PC_END && drains(&box, &r));
		ticks(&box);
		/* Off: waits for all. */
		set32(&box, SMMU_REG_CR0, CR0_QUEUES);
		assert_int_equal(drains(&box, &r), r.pc != SMM_PC_START);
		box_close(&box);
	}
	/* The neighbour's invalidation waits only for who still goes by the L1STD. */
	for (unsigned late = 0; late < 2; late++) {
		struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);

		open_mayset(&box, 64);
		ste_bypass(&box, DEV);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, late ? SMM_PC_END : SMM_PC_STE);
		submit_cfgi_ste(&box, DEV2, true);
		assert_false(drains(&box, &r));
		submit_cfgi_ste(&box, DEV2, false);
		assert_int_equal(drains(&box, &r), !late);
		box_close(&box);
	}
	/* A second stage's. */
	for (unsigned ended = 0; ended < 2; ended++) {
		struct iommu_request r = request(DEV, BOX_NO_PASID, IOVA, R);
		struct nested n;

		open_mayset(&box, 512);
		n = nested_of(&box, DEV, 3, 7);
		pt_map(&box, &n.s1, IOVA, GUEST + 0x5000, 0);
		iommu_model_begin(&box.model, &r);
		step_to(&box, &r, ended ? SMM_PC_END : SMM_PC_CD);
		submit_tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 4, 0);
		assert_false(drains(&box, &r));
		submit_tlbi(&box, SMMU_CMD_TLBI_S12_VMALL, 3, 0);
		assert_true(drains(&box, &r));
		box_close(&box);
	}
	/* A translated request holds what the device had. */
	struct iommu_request r = request_of(DEV, BOX_NO_PASID, PHYS, R, IOMMU_REQUEST_TRANSLATED);

	open_mayset(&box, 64);
	iommu_model_begin(&box.model, &r);
	submit_atc_inv(&box, DEV2, BOX_NO_PASID, false, 0, 52);
	assert_false(drains(&box, &r));
	submit_atc_inv(&box, DEV, BOX_NO_PASID, false, 0, 52);
	assert_true(drains(&box, &r));
	box_close(&box);
}

/* ---- Dump ---- */

static void count_line(void *ctx, const char *line)
{
	unsigned *counts = ctx;
	const char *const kinds[] = { "stream-table", "context", "walk", "tlb", "devtlb" };

	for (unsigned i = 0; i < 5; i++)
		counts[i] += strncmp(line, kinds[i], strlen(kinds[i])) == 0;
}

static void dump(void **state)
{
	unsigned counts[5] = { 0 };
	struct box box;
	struct first f;

	(void)state;
	open_box(&box);
	f = simple_first(&box);
	pt_map(&box, &f.pt, IOVA, PHYS, 0);
	SET(SMMU_STE, EATS, f.ste, SMMU_EATS_FULL);
	iommu_model_dump(&box.model, count_line, counts);
	assert_int_equal(counts[0] + counts[1] + counts[2] + counts[3] + counts[4], 0);
	assert_done(TREQ(R), PHYS);
	iommu_model_dump(&box.model, count_line, counts);
	assert_int_equal(counts[0], 2);
	assert_int_equal(counts[1], 1);
	assert_int_equal(counts[2], 3);
	assert_int_equal(counts[3], 1);
	assert_int_equal(counts[4], 1);
	box_close(&box);
	/* Every reason has a text. */
	for (unsigned code = 1; code < 0x26; code++) {
		bool known = code <= 0x0b || (code >= 0x10 && code <= 0x13) || code == 0x20 || code == 0x21 || code >= 0x24;

		assert_int_equal(strcmp(iommu_model_reason(&box.model, code), "unknown") != 0, known);
	}
	assert_string_not_equal(iommu_model_reason(&box.model, SMMUV3_MODEL_SILENT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(guarded_registers),
		cmocka_unit_test(configurations),
		cmocka_unit_test(any_register_any_value),
		cmocka_unit_test(enabling),
		cmocka_unit_test(linear_stream_table),
		cmocka_unit_test(two_level_stream_table),
		cmocka_unit_test(stream_configurations),
		cmocka_unit_test(illegal_stream_table_entries),
		cmocka_unit_test(second_stage_sizes),
		cmocka_unit_test(reserved_bits),
		cmocka_unit_test(context_tables),
		cmocka_unit_test(level_1_context_descriptors),
		cmocka_unit_test(default_substreams),
		cmocka_unit_test(illegal_contexts),
		cmocka_unit_test(first_stage_geometry),
		cmocka_unit_test(first_stage_descriptors),
		cmocka_unit_test(first_stage_rights),
		cmocka_unit_test(hierarchical_rights),
		cmocka_unit_test(two_tables),
		cmocka_unit_test(worlds),
		cmocka_unit_test(attribute_overrides),
		cmocka_unit_test(second_stage_geometry),
		cmocka_unit_test(second_stage_rights),
		cmocka_unit_test(nested_walks),
		cmocka_unit_test(nested_sizes),
		cmocka_unit_test(flags_of_the_first_stage),
		cmocka_unit_test(flags_of_the_second_stage),
		cmocka_unit_test(flags_of_both_stages),
		cmocka_unit_test(configuration_events),
		cmocka_unit_test(translation_events),
		cmocka_unit_test(second_stage_events),
		cmocka_unit_test(event_queue),
		cmocka_unit_test(command_errors),
		cmocka_unit_test(queue_wraps),
		cmocka_unit_test(syncs),
		cmocka_unit_test(broken_hardware),
		cmocka_unit_test(configuration_caches),
		cmocka_unit_test(context_caches),
		cmocka_unit_test(tlbi_scopes),
		cmocka_unit_test(tlbi_ids),
		cmocka_unit_test(tlbi_ranges),
		cmocka_unit_test(tlbi_tables),
		cmocka_unit_test(nested_invalidation),
		cmocka_unit_test(contiguous_leaves),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(tags_are_shared),
		cmocka_unit_test(ats),
		cmocka_unit_test(split_stage_ats),
		cmocka_unit_test(ats_with_substreams),
		cmocka_unit_test(atc_invalidation),
		cmocka_unit_test(syncs_drain),
		cmocka_unit_test(abandoned_drains),
		cmocka_unit_test(torn_fetch),
		cmocka_unit_test(torn_context),
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
