/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch_smmuv3.c - a small machine around a stream table entry or a context descriptor of the Arm SMMUv3.
 *
 * A stream table of two levels. Behind stream table entries: tables of contexts a and b of the host, c and d of guests, each with one
 * context, of ASID 1, 2, 5 and 6; second stages a and b. Around a context descriptor: linear tables of contexts, one a device; first
 * stages a, b and c. All are where `hitless plan` has them, but for the leaf tables of contexts: those are aligned to 64 KiB, and lie
 * beyond the RAM of this machine, where one page of each is there.
 */
#include "setup.h"

#include <hitless/model-smmuv3.h>
#include <hitless/smmuv3.h>
#include <lpae.h>
#include <smmuv3.h>

#include <errno.h>
#include <string.h>

enum {
	/* 1 to 3: roots of first stages a, b and c */
	PAGE_L1STD = 4, PAGE_STES, PAGE_QUEUE, PAGE_STATUS, PAGE_POOL, PAGE_CDS = 0xb, PAGE_OLD_CDS, PAGE_NEW_CDS, PAGE_SIBLING,
	/* 0x10, 0x20, 0x50, 0x60: tables of contexts a to d; 0x30, 0x40: roots of second stages a and b */
	PAGE_LEAVES = 0x11, PAGE_GUESTS = 0x15, PAGE_CLONES = 0x17, PAGE_TABLES = 0x61, PAGES = 0x80
};

#define RID_SIBLING 0x38u	/* in the same leaf of the stream table */
#define SSID 3u
#define SSID_SIBLING 1u
#define ASID_SIBLING 12u
#define CDS_LOG2 6u		/* of the linear tables: a page */

static const unsigned table_pages[4] = { 0x10, 0x20, 0x50, 0x60 };

/* ---- Page tables ---- */

static uint64_t s1_table(uint64_t addr, unsigned level)
{
	(void)level;
	return addr | BITS(LPAE_TABLE, VALID) | BITS(LPAE_TABLE, TABLE);
}

static uint64_t s1_page(uint64_t addr, unsigned level, bool write)
{
	return addr | BITS(LPAE_S1, VALID) | (level == 1 ? BITS(LPAE_S1, PAGE) : 0) | BITS(LPAE_S1, AP1) | BITS(LPAE_S1, AF) |
	       BITS(LPAE_S1, NG) | BITS(LPAE_S1, SH) | (write ? 0 : BITS(LPAE_S1, AP2));
}

static uint64_t s2_page(uint64_t addr, unsigned level, bool write)
{
	return addr | BITS(LPAE_S2, VALID) | (level == 1 ? BITS(LPAE_S2, PAGE) : 0) | BITS(LPAE_S2, READ) | BITS(LPAE_S2, AF) |
	       BITS(LPAE_S2, SH) | (uint64_t)LPAE_MEMATTR_WB << LPAE_S2_MEMATTR_LSB | (write ? BITS(LPAE_S2, WRITE) : 0);
}

static uint64_t address(uint64_t entry)
{
	return GET_ADDR(LPAE_TABLE, ADDR, &entry);
}

static const struct xp_format s1_4 = { 4, 9, s1_table, s1_page, address }, s1_3 = { 3, 9, s1_table, s1_page, address };
static const struct xp_format s2_3 = { 3, 9, s1_table, s2_page, address };

static void make_cd(uint64_t *cd, unsigned asid, uint64_t root, unsigned t0sz)
{
	SET(SMMU_CD, V, cd, 1);
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, IPS, cd, SMMU_PS_48);
	SET(SMMU_CD, ASID, cd, asid);
	SET(SMMU_CD, MAIR0, cd, 0xff);
	SET(SMMU_CD, T0SZ, cd, t0sz);
	SET_ADDR(SMMU_CD, TTB0, cd, root);
}

static uint64_t leaf_address(unsigned n)
{
	return 0x100000 + n * 0x10000ull;
}

static void build_tables(struct xp_builder *b, struct xp_case *c)
{
	static const unsigned asids[4] = { 1, 2, 5, 6 };

	for (unsigned n = 0; n < 3; n++)
		xp_map_host(b, n == 2 ? &s1_3 : &s1_4, (1 + n) * XP_PAGE, n);
	for (unsigned n = 0; n < 2; n++) {
		uint64_t second = (n ? 0x40 : 0x30) * XP_PAGE;

		xp_map_guest(b, &s1_3, (PAGE_GUESTS + n) * XP_PAGE, n);
		xp_map_host(b, &s2_3, second, n + 4);
		xp_map_parent(b, &s2_3, second, n + 4);
	}
	for (unsigned n = 0; n < 4; n++) {
		uint64_t *l1cd = &b->ram[table_pages[n] * XP_PAGE_WORDS];

		SET(SMMU_L1CD, V, l1cd, 1);
		SET_ADDR(SMMU_L1CD, L2PTR, l1cd, leaf_address(n));
		c->alias[n].page = leaf_address(n) / XP_PAGE;
		c->alias[n].index = PAGE_LEAVES + n;
		make_cd(&b->ram[(PAGE_LEAVES + n) * XP_PAGE_WORDS], asids[n],
			(n < 2 ? 1 + n : PAGE_GUESTS + n - 2) * XP_PAGE, n < 2 ? 16 : 25);
	}
}

/* ---- The unit ---- */

static uint64_t queue_base(unsigned page)
{
	uint64_t base = 0;

	SET(SMMU_QUEUE_BASE, LOG2SIZE, &base, 8); /* 256 commands, a page */
	SET_ADDR(SMMU_QUEUE_BASE, ADDR, &base, page * XP_PAGE);
	return base;
}

static void start(struct iommu_model *model)
{
	uint64_t base = 0, cfg = 0, cr0 = 0;

	SET_ADDR(SMMU_STRTAB_BASE, ADDR, &base, PAGE_L1STD * XP_PAGE);
	SET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &cfg, SMMU_SPLIT_4K + 1);
	SET(SMMU_STRTAB_BASE_CFG, SPLIT, &cfg, SMMU_SPLIT_4K);
	SET(SMMU_STRTAB_BASE_CFG, FMT, &cfg, SMMU_STRTAB_2LVL);
	iommu_model_write(model, SMMU_REG_STRTAB_BASE, 8, base);
	iommu_model_write(model, SMMU_REG_STRTAB_BASE_CFG, 4, cfg);
	iommu_model_write(model, SMMU_REG_CMDQ_BASE, 8, queue_base(PAGE_QUEUE));
	iommu_model_write(model, SMMU_REG_CMDQ_PROD, 4, 0);
	iommu_model_write(model, SMMU_REG_CMDQ_CONS, 4, 0);
	SET(SMMU_CR0, CMDQEN, &cr0, 1);
	SET(SMMU_CR0, ATSCHK, &cr0, 1);
	iommu_model_write(model, SMMU_REG_CR0, 4, cr0);
	xp_ticks(model);
	SET(SMMU_CR0, SMMUEN, &cr0, 1);
	iommu_model_write(model, SMMU_REG_CR0, 4, cr0);
	xp_ticks(model);
}

/* An index has a wrap bit above its 8 bits. */
static void submit(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
		   const uint64_t *words)
{
	uint64_t at = slot % 256 * 16;

	store(ctx, PAGE_QUEUE * XP_PAGE + at, words[0]);
	store(ctx, PAGE_QUEUE * XP_PAGE + at + 8, words[1]);
	iommu_model_write(model, SMMU_REG_CMDQ_PROD, 4, (slot + 1) % 512);
}

static void wait(bool fence, uint64_t addr, uint32_t value, uint64_t *words)
{
	memset(words, 0, 4 * sizeof(*words));
	SET(SMMU_CMD_SYNC, OPCODE, words, SMMU_CMD_SYNC);
	if (fence)
		return;
	SET(SMMU_CMD_SYNC, CS, words, SMMU_CS_IRQ);
	SET(SMMU_CMD_SYNC, MSH, words, SMMU_SH_INNER);
	SET(SMMU_CMD_SYNC, MSIATTR, words, SMMU_MEMATTR_WB);
	SET(SMMU_CMD_SYNC, MSIDATA, words, value);
	SET_ADDR(SMMU_CMD_SYNC, MSIADDR, words, addr);
}

static bool tag(const uint64_t *command, unsigned *lsb, unsigned *width)
{
	unsigned by = smmu_tlbi_mode(command);

	if (by & SMMU_TLBI_ASID) {
		*lsb = SMMU_CMD_TLBI_ASID_LSB;
		*width = SMMU_CMD_TLBI_ASID_WIDTH;
	} else {
		*lsb = SMMU_CMD_TLBI_VMID_LSB;
		*width = SMMU_CMD_TLBI_VMID_WIDTH;
	}
	return by != 0;
}

static bool is_device_tlb(const uint64_t *command)
{
	return GET(SMMU_CMD, OPCODE, command) == SMMU_CMD_ATC_INV;
}

/* ---- Cases ---- */

static int build_case(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t, struct xp_builder *b)
{
	int err = xp_setup(cell, c, &smmuv3_model, PAGES);
	uint64_t *l1std;

	if (err)
		return err;
	*b = (struct xp_builder){ .ram = c->ram, .next = PAGE_TABLES };
	build_tables(b, c);
	t->sibling_root = PAGE_SIBLING * XP_PAGE;
	xp_map(b, &s1_3, t->sibling_root, XP_IOVA_SMALL, xp_data(6, false), 1, true);
	c->start = start;
	c->submit = submit;
	l1std = &c->ram[PAGE_L1STD * XP_PAGE_WORDS];
	SET(SMMU_L1STD, SPAN, l1std, SMMU_SPLIT_4K + 1);
	SET_ADDR(SMMU_L1STD, L2PTR, l1std, PAGE_STES * XP_PAGE);
	t->status = PAGE_STATUS * XP_PAGE;
	t->pool = PAGE_POOL * XP_PAGE;
	t->rid = XP_RID_DEVICE;
	return 0;
}

/* An entry whose first stage is a linear table of contexts. */
static void make_ste(struct xp_case *c, uint32_t rid, unsigned page, bool ats)
{
	uint64_t ste[SMMU_STE_WORDS] = { 0 };

	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_S1);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, page * XP_PAGE);
	SET(SMMU_STE, S1CDMAX, ste, CDS_LOG2);
	SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_CD0);
	SET(SMMU_STE, EATS, ste, ats ? SMMU_EATS_FULL : SMMU_EATS_NONE);
	xp_put(c, PAGE_STES * XP_PAGE + rid * SMMU_STE_BYTES, ste, SMMU_STE_WORDS);
}

static bool passes_without_context(const uint64_t *entry)
{
	return SMMU_STE_TABLE_BYPASS >> smmu_ste_mode(entry) & 1;
}

/* Second stages that translate as a host's first stage does, for requests without SubstreamID. */
static void add_standins(const struct hitless_cell *cell, struct xp_builder *b, struct xp_target *t)
{
	for (unsigned side = 0; side < 2; side++) {
		const uint64_t *entry = side ? cell->after : cell->before;
		uint64_t *standin = t->standin[side], pointer = GET_ADDR(SMMU_STE, S1CONTEXTPTR, entry);
		unsigned n = pointer == table_pages[1] * XP_PAGE, first = b->next;

		if (!(SMMU_STE_EL1 >> smmu_ste_mode(entry) & 1) || passes_without_context(entry))
			continue;
		xp_map_host(b, &s2_3, (PAGE_CLONES + n) * XP_PAGE, n);
		t->has_standin[side] = true;
		t->standin_bytes = (b->next - first + 1) * XP_PAGE;
		SET(SMMU_STE, V, standin, 1);
		SET(SMMU_STE, CONFIG, standin, SMMU_CONFIG_S2);
		SET(SMMU_STE, EATS, standin, GET(SMMU_STE, EATS, entry));
		SET(SMMU_STE, SHCFG, standin, SMMU_SH_INCOMING);
		SET(SMMU_STE, S2VMID, standin, xp_arch_smmuv3_ste.temporary_tag);
		SET(SMMU_STE, S2T0SZ, standin, 25);
		SET(SMMU_STE, S2SL0, standin, 1);
		SET(SMMU_STE, S2PS, standin, SMMU_PS_48);
		SET(SMMU_STE, S2AA64, standin, 1);
		SET(SMMU_STE, S2R, standin, 1);
		SET_ADDR(SMMU_STE, S2TTB, standin, (PAGE_CLONES + n) * XP_PAGE);
	}
}

/* The ASID behind a table of contexts. */
static uint32_t asid_behind(const uint64_t *entry)
{
	return (uint32_t)(GET_ADDR(SMMU_STE, S1CONTEXTPTR, entry) >> 16);
}

static bool ste_ats(const uint64_t *entry)
{
	return (SMMU_STE_TRANSLATE >> smmu_ste_mode(entry) & 1) && GET(SMMU_STE, EATS, entry) != SMMU_EATS_NONE;
}

static int build_ste(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	uint64_t table = PAGE_STES * XP_PAGE;
	struct xp_builder b;
	int err = build_case(cell, c, t, &b);

	if (err)
		return err;
	add_standins(cell, &b, t);
	if (b.next > PAGES)
		return -EINVAL;
	t->table = table;
	t->parent = PAGE_L1STD * XP_PAGE;
	t->offset = XP_RID_DEVICE * SMMU_STE_BYTES;
	t->words = SMMU_STE_WORDS;
	t->before_tag = asid_behind(cell->before);
	t->after_tag = asid_behind(cell->after);
	t->ats_before = ste_ats(cell->before);
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = table + t->offset;
	c->nafter = SMMU_STE_WORDS;
	memcpy(c->after, cell->after, SMMU_STE_BYTES);
	xp_put(c, table + XP_RID_DEVICE * SMMU_STE_BYTES, cell->before, SMMU_STE_WORDS);
	xp_put(c, table + XP_RID_OLD * SMMU_STE_BYTES, cell->before, SMMU_STE_WORDS);
	xp_put(c, table + XP_RID_NEW * SMMU_STE_BYTES, cell->after, SMMU_STE_WORDS);
	/* The sibling is a context of a linear table. */
	make_ste(c, RID_SIBLING, PAGE_CDS, false);
	make_cd(&c->ram[PAGE_CDS * XP_PAGE_WORDS], ASID_SIBLING, t->sibling_root, 25);
	xp_actors(cell, c, IOMMU_NO_PASID, RID_SIBLING, IOMMU_NO_PASID, true);
	return 0;
}

static bool walks(const uint64_t *cd)
{
	return SMMU_CD_TTB0 >> smmu_cd_mode(cd) & 1;
}

static int build_cd(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	const uint64_t *before = cell->before, *after = cell->after;
	bool same_table = GET_ADDR(SMMU_CD, TTB0, before) == GET_ADDR(SMMU_CD, TTB0, after) &&
			  GET(SMMU_CD, T0SZ, before) == GET(SMMU_CD, T0SZ, after);
	/* Even a context that walks no table may find what others have cached under its ASID. */
	bool bystanders = GET(SMMU_CD, ASID, before) != GET(SMMU_CD, ASID, after) || (same_table && walks(before) && walks(after));
	bool ats = cell->facts & IOMMU_PLAN_ATS;
	struct xp_builder b;
	int err = build_case(cell, c, t, &b);

	if (err)
		return err;
	if (b.next > PAGES)
		return -EINVAL;
	t->table = PAGE_CDS * XP_PAGE;
	t->parent = PAGE_STES * XP_PAGE;
	t->slot = XP_RID_DEVICE * SMMU_STE_BYTES;
	t->offset = SSID * SMMU_CD_BYTES;
	t->pasid = SSID;
	t->words = SMMU_CD_WORDS;
	t->ats_before = GET(SMMU_CD, V, before);
	c->ats = t->ats_before && ats;
	c->after_addr = t->table + t->offset;
	c->nafter = SMMU_CD_WORDS;
	memcpy(c->after, after, SMMU_CD_BYTES);
	make_ste(c, XP_RID_DEVICE, PAGE_CDS, ats);
	make_ste(c, XP_RID_OLD, PAGE_OLD_CDS, ats);
	make_ste(c, XP_RID_NEW, PAGE_NEW_CDS, ats);
	t->pointer_bits = c->ram[(t->parent + t->slot) / 8] & ~(t->table);
	xp_put(c, t->table + t->offset, before, SMMU_CD_WORDS);
	xp_put(c, PAGE_OLD_CDS * XP_PAGE + t->offset, before, SMMU_CD_WORDS);
	xp_put(c, PAGE_NEW_CDS * XP_PAGE + t->offset, after, SMMU_CD_WORDS);
	make_cd(&c->ram[(t->table + SSID_SIBLING * SMMU_CD_BYTES) / 8], ASID_SIBLING, t->sibling_root, 25);
	xp_actors(cell, c, SSID, XP_RID_DEVICE, SSID_SIBLING, bystanders);
	return 0;
}

static void changes_ste(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(SMMU_STE, SMMU_STE_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

static void changes_cd(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(SMMU_CD, SMMU_CD_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

/* ---- The whole driver ---- */

#define REGISTERS 0x09050000u

static int create(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit)
{
	(void)noncoherent; /* its registers say so */
	return smmuv3_unit_create(port, &(struct smmuv3_unit_desc){ .registers = REGISTERS, .sid_bits = 7 }, unit);
}

/* 6.3.26 to 6.3.28: the pointers have a wrap bit above the index. */
static void queue(struct iommu_model *model, struct xp_queue *queue)
{
	uint64_t base = iommu_model_read(model, SMMU_REG_CMDQ_BASE, 8);

	queue->ring = GET_ADDR(SMMU_QUEUE_BASE, ADDR, &base);
	queue->shift = 0;
	queue->bytes = SMMU_CMD_BYTES;
	queue->count = 1u << GET(SMMU_QUEUE_BASE, LOG2SIZE, &base);
	queue->turn = 2 * queue->count;
	queue->doorbell = SMMU_REG_CMDQ_PROD;
	queue->doorbell_bytes = 4;
	queue->head = SMMU_REG_CMDQ_CONS;
}

/* IDR0.COHACC off. */
static void capabilities(bool noncoherent, uint64_t *capabilities)
{
	if (!noncoherent)
		return;
	smmuv3_model_default_capabilities(capabilities);
	SET(SMMU_IDR0, COHACC, &capabilities[0], 0);
	capabilities[1] = 0;
}

/* A guest's stream table entry, whose one context is in a page of its own. */
static size_t guest_entry(uint64_t *page, uint64_t page_addr, uint64_t root, uint32_t guest_tag, uint64_t *entry)
{
	make_cd(page, guest_tag, root, 25);
	SET(SMMU_STE, V, entry, 1);
	SET(SMMU_STE, CONFIG, entry, SMMU_CONFIG_S1);
	SET(SMMU_STE, EATS, entry, SMMU_EATS_FULL);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, entry, page_addr);
	return SMMU_STE_BYTES;
}

static const struct xp_driver driver = {
	.registers = REGISTERS,
	.register_bytes = 0x20000,
	.create = create,
	.capabilities = capabilities,
	.queue = queue,
	.doorbell = SMMU_REG_CMDQ_PROD,
	.first_stage = true,
	.noncoherent = true,
	.pasid_kinds = XP_PASID_S1,
	.enable_nesting = smmuv3_enable_nesting,
	.parents_tag = true,
	.guest_format = &s1_3,
	.guest_entry = guest_entry,
};

const struct xp_arch xp_arch_smmuv3_ste = {
	.name = "smmuv3",
	.entry = "ste",
	.model = &smmuv3_model,
	.driver = &driver,
	.format = &smmuv3_ste,
	.temporary_tag = 9,
	.build = build_ste,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_ste,
};

const struct xp_arch xp_arch_smmuv3_cd = {
	.name = "smmuv3",
	.entry = "cd",
	.model = &smmuv3_model,
	.format = &smmuv3_cd,
	.temporary_tag = 9,
	.build = build_cd,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_cd,
};
