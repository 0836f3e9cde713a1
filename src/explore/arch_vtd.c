/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch_vtd.c - a small machine around a context entry (legacy mode) or a PASID entry (scalable mode) of Intel VT-d.
 *
 * Page tables a to f as `hitless plan` names them: a and b are second stages, c to f first stages, e and f those of guests.
 */
#include "setup.h"

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>
#include <vtd.h>

#include <errno.h>
#include <string.h>

enum {
	PAGE_ROOT = 1, PAGE_QUEUE, PAGE_STATUS, PAGE_CONTEXT, PAGE_DIRECTORY, PAGE_PASIDS, PAGE_OLD_DIRECTORY, PAGE_OLD_PASIDS,
	PAGE_NEW_DIRECTORY,
	/* 0xa to 0xf: the roots a to f */
	PAGE_NEW_PASIDS = 0x10, PAGE_POOL, PAGE_TABLES = 0x14, PAGES = 0x40
};

#define PASID_SIBLING 1u
#define DID_SIBLING 12u

/* ---- Page tables ---- */

#define SS_INNER (BITS(VTD_SS, R) | BITS(VTD_SS, W) | BITS(VTD_SS, A))
#define SS_LEAF (BITS(VTD_SS, R) | BITS(VTD_SS, A) | BITS(VTD_SS, D))
#define FS_INNER (BITS(VTD_FS, P) | BITS(VTD_FS, RW) | BITS(VTD_FS, US) | BITS(VTD_FS, A))
#define FS_LEAF (BITS(VTD_FS, P) | BITS(VTD_FS, US) | BITS(VTD_FS, A) | BITS(VTD_FS, D))
#define LARGE(level) ((level) > 1 ? 1u << 7 : 0u)

static uint64_t ss_table(uint64_t addr, unsigned level)
{
	(void)level;
	return addr | SS_INNER;
}

static uint64_t ss_page(uint64_t addr, unsigned level, bool write)
{
	return addr | SS_LEAF | LARGE(level) | (write ? BITS(VTD_SS, W) : 0);
}

static uint64_t fs_table(uint64_t addr, unsigned level)
{
	(void)level;
	return addr | FS_INNER;
}

static uint64_t fs_page(uint64_t addr, unsigned level, bool write)
{
	return addr | FS_LEAF | LARGE(level) | (write ? BITS(VTD_FS, RW) : 0);
}

static uint64_t address(uint64_t entry)
{
	return entry & 0xffffffffff000ull;
}

static const struct xp_format ss = { 4, 9, ss_table, ss_page, address }, fs = { 4, 9, fs_table, fs_page, address };

static void build_tables(struct xp_builder *b)
{
	for (unsigned n = 0; n < 6; n++) {
		uint64_t root = (0xa + n) * XP_PAGE;

		if (n >= 4)
			xp_map_guest(b, &fs, root, n - 4);
		else
			xp_map_host(b, n >= 2 ? &fs : &ss, root, n);
		if (n < 2)
			xp_map_parent(b, &ss, root, n);
	}
}

/* ---- The unit ---- */

static void start(struct iommu_model *model, bool scalable)
{
	uint64_t rtaddr = PAGE_ROOT * XP_PAGE, iqa = PAGE_QUEUE * XP_PAGE;

	SET(VTD_RTADDR, TTM, &rtaddr, scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
	SET(VTD_IQA, DW, &iqa, scalable);
	iommu_model_write(model, VTD_REG_RTADDR, 8, rtaddr);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, SRTP));
	xp_ticks(model);
	iommu_model_write(model, VTD_REG_IQT, 8, 0);
	iommu_model_write(model, VTD_REG_IQA, 8, iqa);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE));
	xp_ticks(model);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	xp_ticks(model);
}

static void start_legacy(struct iommu_model *model)
{
	start(model, false);
}

static void start_scalable(struct iommu_model *model)
{
	start(model, true);
}

static void submit(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
		   const uint64_t *words, unsigned bytes)
{
	uint64_t count = XP_PAGE / bytes;
	uint64_t at = PAGE_QUEUE * XP_PAGE + slot % count * bytes;

	for (unsigned i = 0; i < bytes / 8; i++)
		store(ctx, at + i * 8, i < 2 ? words[i] : 0);
	iommu_model_write(model, VTD_REG_IQT, 8, (slot + 1) % count * bytes);
}

static void submit_legacy(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
			  const uint64_t *words)
{
	submit(ctx, store, model, slot, words, 16);
}

static void submit_scalable(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
			    const uint64_t *words)
{
	submit(ctx, store, model, slot, words, 32);
}

static void wait(bool fence, uint64_t addr, uint32_t value, uint64_t *words)
{
	memset(words, 0, 4 * sizeof(*words));
	SET(VTD_DESC_WAIT, TYPE, words, VTD_DESC_WAIT);
	SET(VTD_DESC_WAIT, FN, words, 1);
	if (fence)
		return;
	SET(VTD_DESC_WAIT, SW, words, 1);
	SET(VTD_DESC_WAIT, STATUS_DATA, words, value);
	words[1] = addr;
}

static bool tag(const uint64_t *command, unsigned *lsb, unsigned *width)
{
	/* All invalidations that have a domain id have it in the same place. */
	*lsb = VTD_DESC_IOTLB_DID_LSB;
	*width = VTD_DESC_IOTLB_DID_WIDTH;
	switch (GET(VTD_DESC, TYPE, command)) {
	case VTD_DESC_CONTEXT:
	case VTD_DESC_PASID:
	case VTD_DESC_IOTLB:
	case VTD_DESC_PIOTLB:
		return true;
	default:
		return false;
	}
}

static bool is_device_tlb(const uint64_t *command)
{
	return GET(VTD_DESC, TYPE, command) == VTD_DESC_DEVTLB || GET(VTD_DESC, TYPE, command) == VTD_DESC_PDEVTLB;
}

/* ---- Cases ---- */

static int build_case(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	struct xp_builder b = { .next = PAGE_TABLES };
	uint64_t cap = vtd_model_default_cap(), ecap = vtd_model_default_ecap();
	int err = xp_setup(cell, c, &vtd_model, PAGES);

	if (err)
		return err;
	b.ram = c->ram;
	build_tables(&b);
	t->sibling_root = b.next++ * XP_PAGE;
	xp_map(&b, &ss, t->sibling_root, XP_IOVA_SMALL, xp_data(6, false), 1, true);
	if (b.next > PAGES)
		return -EINVAL;
	SET(VTD_ECAP, NEST, &ecap, 1);
	SET(VTD_ECAP, C, &ecap, !(cell->facts & IOMMU_PLAN_NONCOHERENT));
	SET(VTD_CAP, CM, &cap, (cell->facts & IOMMU_PLAN_CACHES_ABSENT) != 0);
	c->config.capabilities[0] = cap;
	c->config.capabilities[1] = ecap;
	t->status = PAGE_STATUS * XP_PAGE;
	t->pool = PAGE_POOL * XP_PAGE;
	t->rid = XP_RID_DEVICE;
	t->pasid = 0;
	return 0;
}

static int build_legacy(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	int err = build_case(cell, c, t);
	uint64_t table = PAGE_CONTEXT * XP_PAGE;
	uint64_t sibling[2] = { 0 };
	bool bystanders = GET(VTD_CONTEXT, DID, cell->before) != GET(VTD_CONTEXT, DID, cell->after) ||
			  GET_ADDR(VTD_CONTEXT, SSPTPTR, cell->before) == GET_ADDR(VTD_CONTEXT, SSPTPTR, cell->after);

	if (err)
		return err;
	c->start = start_legacy;
	c->submit = submit_legacy;
	c->ram[PAGE_ROOT * XP_PAGE_WORDS] = table | 1;
	t->table = table;
	t->parent = PAGE_ROOT * XP_PAGE;
	t->slot = 0;
	t->offset = XP_RID_DEVICE * 16;
	t->words = 2;
	t->ats_before = GET(VTD_CONTEXT, TT, cell->before) == VTD_TT_DEVTLB;
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = table + t->offset;
	c->nafter = 2;
	memcpy(c->after, cell->after, 16);
	memcpy(&c->ram[(table + XP_RID_DEVICE * 16) / 8], cell->before, 16);
	memcpy(&c->ram[(table + XP_RID_OLD * 16) / 8], cell->before, 16);
	memcpy(&c->ram[(table + XP_RID_NEW * 16) / 8], cell->after, 16);
	SET(VTD_CONTEXT, P, sibling, 1);
	SET(VTD_CONTEXT, AW, sibling, VTD_AW_4_LEVEL);
	SET(VTD_CONTEXT, DID, sibling, DID_SIBLING);
	SET_ADDR(VTD_CONTEXT, SSPTPTR, sibling, t->sibling_root);
	memcpy(&c->ram[(table + XP_RID_SIBLING * 16) / 8], sibling, 16);
	xp_actors(cell, c, IOMMU_NO_PASID, XP_RID_SIBLING, IOMMU_NO_PASID, bystanders);
	return 0;
}

static void add_tables(struct xp_case *c, uint32_t rid, unsigned directory, unsigned pasids, const uint64_t *entry)
{
	uint64_t context[4] = { 0 };

	SET(VTD_SMCONTEXT, P, context, 1);
	SET(VTD_SMCONTEXT, DTE, context, 1);
	SET(VTD_SMCONTEXT, PASIDE, context, 1);
	SET(VTD_SMCONTEXT, PDTS, context, 2);
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, context, directory * XP_PAGE);
	memcpy(&c->ram[(PAGE_CONTEXT * XP_PAGE + rid * 32) / 8], context, 32);
	c->ram[directory * XP_PAGE_WORDS] = pasids * XP_PAGE | 1;
	memcpy(&c->ram[pasids * XP_PAGE_WORDS], entry, 64);
}

static int build_scalable(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	int err = build_case(cell, c, t);
	uint64_t sibling[8] = { 0 };
	bool bystanders = GET(VTD_PASID, DID, cell->before) != GET(VTD_PASID, DID, cell->after) ||
			  (GET_ADDR(VTD_PASID, SSPTPTR, cell->before) == GET_ADDR(VTD_PASID, SSPTPTR, cell->after) &&
			   GET_ADDR(VTD_PASID, FSPTPTR, cell->before) == GET_ADDR(VTD_PASID, FSPTPTR, cell->after));

	if (err)
		return err;
	c->start = start_scalable;
	c->submit = submit_scalable;
	c->ram[PAGE_ROOT * XP_PAGE_WORDS] = PAGE_CONTEXT * XP_PAGE | 1;
	t->table = PAGE_PASIDS * XP_PAGE;
	t->parent = PAGE_DIRECTORY * XP_PAGE;
	t->slot = 0;
	t->offset = 0;
	t->words = 8;
	t->ats_before = GET(VTD_PASID, P, cell->before);
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = t->table;
	c->nafter = 8;
	memcpy(c->after, cell->after, 64);
	add_tables(c, XP_RID_DEVICE, PAGE_DIRECTORY, PAGE_PASIDS, cell->before);
	add_tables(c, XP_RID_OLD, PAGE_OLD_DIRECTORY, PAGE_OLD_PASIDS, cell->before);
	add_tables(c, XP_RID_NEW, PAGE_NEW_DIRECTORY, PAGE_NEW_PASIDS, cell->after);
	SET(VTD_PASID, P, sibling, 1);
	SET(VTD_PASID, AW, sibling, VTD_AW_4_LEVEL);
	SET(VTD_PASID, PGTT, sibling, VTD_PGTT_SECOND);
	SET(VTD_PASID, DID, sibling, DID_SIBLING);
	SET(VTD_PASID, PWSNP, sibling, 1);
	SET_ADDR(VTD_PASID, SSPTPTR, sibling, t->sibling_root);
	memcpy(&c->ram[PAGE_PASIDS * XP_PAGE_WORDS + PASID_SIBLING * 8], sibling, 64);
	xp_actors(cell, c, IOMMU_NO_PASID, XP_RID_DEVICE, PASID_SIBLING, bystanders);
	return 0;
}

/* ---- Text ---- */

static void changes_legacy(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(VTD_CONTEXT, VTD_CONTEXT_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

static void changes_scalable(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(VTD_PASID, VTD_PASID_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

/* ---- The whole driver ---- */

#define REGISTERS 0xfed90000u

static int create_legacy(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit)
{
	(void)noncoherent; /* its registers say so */
	return vtd_unit_create(port, &(struct vtd_unit_desc){ .registers = REGISTERS, .mode = VTD_MODE_LEGACY, .queue_order = 1 }, unit);
}

static int create_scalable(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit)
{
	(void)noncoherent;
	return vtd_unit_create(port, &(struct vtd_unit_desc){ .registers = REGISTERS, .mode = VTD_MODE_SCALABLE, .queue_order = 1 }, unit);
}

/* 11.4.9: IQA, IQT. */
static void queue(struct iommu_model *model, struct xp_queue *queue)
{
	uint64_t iqa = iommu_model_read(model, VTD_REG_IQA, 8);

	queue->ring = GET_ADDR(VTD_IQA, IQA, &iqa);
	queue->shift = GET(VTD_IQA, DW, &iqa) ? 5 : 4;
	queue->bytes = 1u << queue->shift;
	queue->count = (unsigned)(XP_PAGE << GET(VTD_IQA, QS, &iqa)) / queue->bytes;
	queue->head = VTD_REG_IQH;
	queue->doorbell = VTD_REG_IQT;
	queue->doorbell_bytes = 8;
}

static void capabilities(bool noncoherent, uint64_t *capabilities)
{
	capabilities[0] = vtd_model_default_cap();
	capabilities[1] = vtd_model_default_ecap() | BITS(VTD_ECAP, NEST);
	if (!noncoherent)
		return;
	SET(VTD_ECAP, C, &capabilities[1], 0);
	SET(VTD_ECAP, SMPWCS, &capabilities[1], 0);
}

/* 9.6: a first-stage entry with four levels. */
static size_t guest_entry(uint64_t *page, uint64_t page_addr, uint64_t root, uint32_t guest_tag, uint64_t *entry)
{
	(void)page;
	(void)page_addr;
	SET(VTD_PASID, P, entry, 1);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_FIRST);
	SET(VTD_PASID, DID, entry, guest_tag);
	SET(VTD_PASID, FSPM, entry, VTD_FSPM_4_LEVEL);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, root);
	return 64;
}

static const struct xp_driver driver_scalable = {
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.create = create_scalable,
	.capabilities = capabilities,
	.queue = queue,
	.doorbell = VTD_REG_IQT,
	.first_stage = true,
	.noncoherent = true,
	.pasid_kinds = XP_PASID_S1 | XP_PASID_S2 | XP_PASID_IDENTITY,
	.enable_nesting = vtd_enable_nesting,
	.guest_format = &fs,
	.guest_entry = guest_entry,
};

static const struct xp_driver driver_legacy = {
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.create = create_legacy,
	.capabilities = capabilities,
	.queue = queue,
	.doorbell = VTD_REG_IQT,
	.noncoherent = true,
};

const struct xp_arch xp_arch_vtd = {
	.name = "vtd",
	.entry = "pasid",
	.model = &vtd_model,
	.driver = &driver_scalable,
	.format = &vtd_pasid_entry,
	.temporary_tag = 9,
	.build = build_scalable,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_scalable,
};

const struct xp_arch xp_arch_vtd_legacy = {
	.name = "vtd-legacy",
	.entry = "context",
	.model = &vtd_model,
	.driver = &driver_legacy,
	.format = &vtd_context_entry,
	.temporary_tag = 9,
	.build = build_legacy,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_legacy,
};
