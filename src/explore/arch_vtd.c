/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch_vtd.c - a small machine around a context entry (legacy mode) or a PASID entry (scalable mode) of Intel VT-d.
 *
 * One device whose entry changes; one that stays in the old configuration, one that is in the new one already; another entry in
 * the same table page. Page tables a to f as `hitless plan` names them: a and b are second stages, c to f first stages; each
 * maps three addresses to pages of its own, a 4K page, one with other rights, and one that is 4K in some and 2M in others.
 * Accessed and dirty flags are set from the beginning.
 */
#include "arch.h"

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>
#include <vtd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_ROOT = 1, PAGE_QUEUE, PAGE_STATUS, PAGE_CONTEXT, PAGE_DIRECTORY, PAGE_PASIDS, PAGE_OLD_DIRECTORY, PAGE_OLD_PASIDS,
	PAGE_NEW_DIRECTORY,
	/* 0xa to 0xf: the roots a to f */
	PAGE_NEW_PASIDS = 0x10, PAGE_POOL, PAGE_TABLES = 0x14, PAGES = 0x40
};

#define RID_DEVICE 0x10u
#define RID_OLD 0x20u
#define RID_NEW 0x30u
#define RID_SIBLING 0x40u
#define PASID_SIBLING 1u
#define DID_SIBLING 12u

#define IOVA_SMALL 0x600000ull
#define IOVA_RIGHTS 0x601000ull
#define IOVA_LARGE 0xa00000ull
/* What nested first stages lead to, in the parent's addresses. */
#define GPA_SMALL 0x800000ull
#define GPA_LARGE 0xc00000ull

/* ---- Page tables ---- */

struct builder {
	uint64_t *ram;
	unsigned next;
};

static uint64_t *word(struct builder *b, uint64_t addr)
{
	return &b->ram[addr / 8];
}

#define SS_INNER (BITS(VTD_SS, R) | BITS(VTD_SS, W) | BITS(VTD_SS, A))
#define SS_LEAF (BITS(VTD_SS, R) | BITS(VTD_SS, A) | BITS(VTD_SS, D))
#define FS_INNER (BITS(VTD_FS, P) | BITS(VTD_FS, RW) | BITS(VTD_FS, US) | BITS(VTD_FS, A))
#define FS_LEAF (BITS(VTD_FS, P) | BITS(VTD_FS, US) | BITS(VTD_FS, A) | BITS(VTD_FS, D))

static void map(struct builder *b, bool first_stage, uint64_t root, uint64_t iova, uint64_t phys, unsigned level, bool write)
{
	uint64_t table = root;

	for (unsigned l = 4; l > level; l--) {
		uint64_t *entry = word(b, table + (iova >> (12 + 9 * (l - 1)) & 511) * 8);

		if (!*entry)
			*entry = b->next++ * XP_PAGE | (first_stage ? FS_INNER : SS_INNER);
		table = *entry & 0xffffffffff000ull;
	}
	*word(b, table + (iova >> (12 + 9 * (level - 1)) & 511) * 8) =
		phys | (first_stage ? FS_LEAF : SS_LEAF) | (level > 1 ? 1u << 7 : 0) |
		(write ? (first_stage ? BITS(VTD_FS, RW) : BITS(VTD_SS, W)) : 0);
}

/* Where the pages of root n lie. */
static uint64_t data(unsigned n, bool nested)
{
	return (nested ? 0x200000000ull : 0x100000000ull) + n * 0x1000000ull;
}

static void build_tables(struct builder *b)
{
	for (unsigned n = 0; n < 6; n++) {
		uint64_t root = (0xa + n) * XP_PAGE;
		bool first = n >= 2, guest = n >= 4;
		bool odd = n & 1;
		uint64_t to = guest ? GPA_SMALL + (n - 4) * 0x2000 : data(n, false);
		uint64_t to_large = guest ? GPA_LARGE + (n - 4) * 0x200000 : data(n, false) + 0x200000;

		map(b, first, root, IOVA_SMALL, to, 1, true);
		map(b, first, root, IOVA_RIGHTS, to + 0x1000, 1, odd);
		map(b, first, root, IOVA_LARGE, to_large, odd ? 2 : 1, true);
		if (first)
			continue;
		/* As a parent: its guests' tables, where they are; and what they map to. */
		map(b, false, root, 0, 0, 2, true);
		for (unsigned page = 0; page < 4; page++)
			map(b, false, root, GPA_SMALL + page * XP_PAGE, data(n, true) + page * XP_PAGE, 1, !(n == 1 && page == 3));
		map(b, false, root, GPA_LARGE, data(n, true) + 0x200000, 2, true);
		map(b, false, root, GPA_LARGE + 0x200000, data(n, true) + 0x400000, 2, true);
	}
}

/* ---- The unit ---- */

static void ticks(struct iommu_model *model)
{
	while (iommu_model_tick(model))
		;
}

static void start(struct iommu_model *model, bool scalable)
{
	uint64_t rtaddr = PAGE_ROOT * XP_PAGE, iqa = PAGE_QUEUE * XP_PAGE;

	SET(VTD_RTADDR, TTM, &rtaddr, scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
	SET(VTD_IQA, DW, &iqa, scalable);
	iommu_model_write(model, VTD_REG_RTADDR, 8, rtaddr);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, SRTP));
	ticks(model);
	iommu_model_write(model, VTD_REG_IQT, 8, 0);
	iommu_model_write(model, VTD_REG_IQA, 8, iqa);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE));
	ticks(model);
	iommu_model_write(model, VTD_REG_GCMD, 4, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	ticks(model);
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

static bool retag(uint64_t *command)
{
	/* All invalidations that have a domain id have it in the same place. */
	switch (GET(VTD_DESC, TYPE, command)) {
	case VTD_DESC_CONTEXT:
	case VTD_DESC_PASID:
	case VTD_DESC_IOTLB:
	case VTD_DESC_PIOTLB:
		SET(VTD_DESC_IOTLB, DID, command, GET(VTD_DESC_IOTLB, DID, command) ^ 1);
		return true;
	default:
		return false;
	}
}

/* ---- Actors ---- */

static void actor(struct xp_case *c, enum xp_role role, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access,
		  enum iommu_request_kind kind)
{
	if (c->nactors < XP_MAX_ACTORS)
		c->actors[c->nactors++] = (struct xp_actor){ role, rid, pasid, iova, (uint8_t)access, (uint8_t)kind };
}

static void add_actors(const struct hitless_cell *cell, struct xp_case *c, bool scalable, bool bystanders)
{
	const uint32_t none = IOMMU_NO_PASID;

	for (unsigned access = IOMMU_READ; access <= IOMMU_WRITE; access++) {
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_SMALL, access, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_RIGHTS, access, IOMMU_REQUEST_UNTRANSLATED);
	}
	actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_LARGE, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	if (cell->facts & IOMMU_PLAN_ATS) {
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_TRANSLATION);
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_TRANSLATED);
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_TRANSLATION);
		actor(c, XP_DEVICE, RID_DEVICE, none, IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_TRANSLATED);
	}
	if (bystanders && !(cell->facts & IOMMU_PLAN_OLD_PRIVATE)) {
		actor(c, XP_OLD, RID_OLD, none, IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_OLD, RID_OLD, none, IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	if (bystanders && !(cell->facts & IOMMU_PLAN_NEW_PRIVATE)) {
		actor(c, XP_NEW, RID_NEW, none, IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_NEW, RID_NEW, none, IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	actor(c, XP_SIBLING, scalable ? RID_DEVICE : RID_SIBLING, scalable ? PASID_SIBLING : none, IOVA_SMALL, IOMMU_READ,
	      IOMMU_REQUEST_UNTRANSLATED);
}

static int build_case(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	struct builder b = { .next = PAGE_TABLES };
	uint64_t cap = vtd_model_default_cap(), ecap = vtd_model_default_ecap();

	memset(c, 0, sizeof(*c));
	c->ops = &vtd_model;
	c->pages = PAGES;
	c->ram = aligned_alloc(XP_PAGE, PAGES * XP_PAGE);
	if (!c->ram)
		return -ENOMEM;
	memset(c->ram, 0, PAGES * XP_PAGE);
	b.ram = c->ram;
	build_tables(&b);
	t->sibling_root = b.next++ * XP_PAGE;
	map(&b, false, t->sibling_root, IOVA_SMALL, data(6, false), 1, true);
	if (b.next > PAGES)
		return -EINVAL;
	SET(VTD_ECAP, NEST, &ecap, 1);
	SET(VTD_ECAP, C, &ecap, !(cell->facts & IOMMU_PLAN_NONCOHERENT));
	SET(VTD_CAP, CM, &cap, (cell->facts & IOMMU_PLAN_CACHES_ABSENT) != 0);
	c->config = (struct iommu_model_config){
		.freedoms = cell->freedoms,
		.quantum = cell->quantum,
		.lanes = 1,
		.entry_lines = 16,
		.pasid_lines = 16,
		.walk_lines = 64,
		.iotlb_lines = 64,
		.devtlb_lines = 16,
		.maysets = true,
		.capabilities = { cap, ecap, 0, 0 },
	};
	c->noncoherent = cell->facts & IOMMU_PLAN_NONCOHERENT;
	t->status = PAGE_STATUS * XP_PAGE;
	t->pool = PAGE_POOL * XP_PAGE;
	t->rid = RID_DEVICE;
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
	t->offset = RID_DEVICE * 16;
	t->words = 2;
	t->ats_before = GET(VTD_CONTEXT, TT, cell->before) == VTD_TT_DEVTLB;
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = table + t->offset;
	c->nafter = 2;
	memcpy(c->after, cell->after, 16);
	memcpy(&c->ram[(table + RID_DEVICE * 16) / 8], cell->before, 16);
	memcpy(&c->ram[(table + RID_OLD * 16) / 8], cell->before, 16);
	memcpy(&c->ram[(table + RID_NEW * 16) / 8], cell->after, 16);
	SET(VTD_CONTEXT, P, sibling, 1);
	SET(VTD_CONTEXT, AW, sibling, VTD_AW_4_LEVEL);
	SET(VTD_CONTEXT, DID, sibling, DID_SIBLING);
	SET_ADDR(VTD_CONTEXT, SSPTPTR, sibling, t->sibling_root);
	memcpy(&c->ram[(table + RID_SIBLING * 16) / 8], sibling, 16);
	add_actors(cell, c, false, bystanders);
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
	add_tables(c, RID_DEVICE, PAGE_DIRECTORY, PAGE_PASIDS, cell->before);
	add_tables(c, RID_OLD, PAGE_OLD_DIRECTORY, PAGE_OLD_PASIDS, cell->before);
	add_tables(c, RID_NEW, PAGE_NEW_DIRECTORY, PAGE_NEW_PASIDS, cell->after);
	SET(VTD_PASID, P, sibling, 1);
	SET(VTD_PASID, AW, sibling, VTD_AW_4_LEVEL);
	SET(VTD_PASID, PGTT, sibling, VTD_PGTT_SECOND);
	SET(VTD_PASID, DID, sibling, DID_SIBLING);
	SET(VTD_PASID, PWSNP, sibling, 1);
	SET_ADDR(VTD_PASID, SSPTPTR, sibling, t->sibling_root);
	memcpy(&c->ram[PAGE_PASIDS * XP_PAGE_WORDS + PASID_SIBLING * 8], sibling, 64);
	add_actors(cell, c, true, bystanders);
	return 0;
}

/* ---- Text ---- */

static void changes(const struct layout_field *fields, unsigned nfields, const uint64_t *old, const uint64_t *new, unsigned first,
		    unsigned count, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < nfields && used < size; i++) {
		const struct layout_field *f = &fields[i];
		uint64_t a = layout_get(old, f->lsb, f->width), b = layout_get(new, f->lsb, f->width);
		unsigned shift = f->width >= 40 ? f->lsb % 64 : 0;

		if (a == b || f->lsb / 64 < first || f->lsb / 64 >= first + count)
			continue;
		used += (size_t)snprintf(text + used, size - used, a < 10 && b < 10 ? "%s%s %llu -> %llu" : "%s%s 0x%llx -> 0x%llx",
					 used ? ", " : "", f->name, (unsigned long long)(a << shift), (unsigned long long)(b << shift));
	}
	if (!used)
		snprintf(text, size, "nothing changes");
}

static void changes_legacy(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(VTD_CONTEXT, VTD_CONTEXT_LIST);

	changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

static void changes_scalable(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(VTD_PASID, VTD_PASID_LIST);

	changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

/* ---- The whole driver ---- */

#define REGISTERS 0xfed90000u

static int create_legacy(const struct hitless_port *port, struct iommu_unit **unit)
{
	return vtd_unit_create(port, &(struct vtd_unit_desc){ .registers = REGISTERS, .mode = VTD_MODE_LEGACY, .queue_order = 1 }, unit);
}

static int create_scalable(const struct hitless_port *port, struct iommu_unit **unit)
{
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
	queue->doorbell = VTD_REG_IQT;
	queue->doorbell_bytes = 8;
}

static void capabilities(uint64_t *capabilities)
{
	capabilities[0] = vtd_model_default_cap();
	capabilities[1] = vtd_model_default_ecap();
}

static const struct xp_driver driver_scalable = {
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.create = create_scalable,
	.capabilities = capabilities,
	.queue = queue,
	.doorbell = VTD_REG_IQT,
	.first_stage = true,
};

static const struct xp_driver driver_legacy = {
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.create = create_legacy,
	.capabilities = capabilities,
	.queue = queue,
	.doorbell = VTD_REG_IQT,
};

const struct xp_arch xp_arch_vtd = {
	.name = "vtd",
	.model = &vtd_model,
	.driver = &driver_scalable,
	.format = &vtd_pasid_entry,
	.temporary_tag = 9,
	.build = build_scalable,
	.wait = wait,
	.retag = retag,
	.changes = changes_scalable,
};

const struct xp_arch xp_arch_vtd_legacy = {
	.name = "vtd-legacy",
	.model = &vtd_model,
	.driver = &driver_legacy,
	.format = &vtd_context_entry,
	.temporary_tag = 9,
	.build = build_legacy,
	.wait = wait,
	.retag = retag,
	.changes = changes_legacy,
};
