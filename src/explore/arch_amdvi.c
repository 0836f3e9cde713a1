/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch_amdvi.c - a small machine around a device table entry of AMD-Vi.
 *
 * Host tables (v1) a and b; GCR3 tables a, b and c with one entry each, for guest tables (v2) of 4, 4 and 5 levels, as `hitless plan`
 * names them. GCR3 table b lies beyond the RAM of this machine, so that each piece of its address has something in it: one page is there.
 */
#include "setup.h"

#include <amdvi.h>
#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include <errno.h>
#include <string.h>

enum {
	PAGE_DEVTAB = 1, PAGE_QUEUE, PAGE_STATUS,
	/* 0xa and 0xb: the roots a and b; 0x11, 0x33: GCR3 tables a and c */
	PAGE_GCR3_B = 0x12, PAGE_POOL = 0x14, PAGE_HOST_GCR3 = 0x18, PAGE_TABLES = 0x34, PAGES = 0x70
};

#define GCR3_A 0x11000ull
#define GCR3_B 0x80022000ull
#define GCR3_C 0x33000ull

#define DID_SIBLING 12u

/* ---- Page tables ---- */

#define V1_RIGHTS (BITS(AMDVI_V1, PR) | BITS(AMDVI_V1, IR) | BITS(AMDVI_V1, A))
#define V2_RIGHTS (BITS(AMDVI_V2, P) | BITS(AMDVI_V2, US) | BITS(AMDVI_V2, A))

static uint64_t v1_table(uint64_t addr, unsigned level)
{
	return addr | V1_RIGHTS | BITS(AMDVI_V1, IW) | (uint64_t)(level - 1) << AMDVI_V1_NEXT_LEVEL_LSB;
}

static uint64_t v1_page(uint64_t addr, unsigned level, bool write)
{
	(void)level;
	return addr | V1_RIGHTS | BITS(AMDVI_V1, D) | (write ? BITS(AMDVI_V1, IW) : 0);
}

static uint64_t v2_table(uint64_t addr, unsigned level)
{
	(void)level;
	return addr | V2_RIGHTS | BITS(AMDVI_V2, RW);
}

static uint64_t v2_page(uint64_t addr, unsigned level, bool write)
{
	return addr | V2_RIGHTS | BITS(AMDVI_V2, D) | (level > 1 ? BITS(AMDVI_V2, PS) : 0) | (write ? BITS(AMDVI_V2, RW) : 0);
}

static uint64_t address(uint64_t entry)
{
	return GET_ADDR(AMDVI_V1, ADDR, &entry);
}

/* Guest tables of the host are host tables as well, and the other way round where stores have 64 bits only: one entry says both. */
static uint64_t dual_table(uint64_t addr, unsigned level)
{
	return v1_table(addr, level) | v2_table(addr, level);
}

static uint64_t dual_page(uint64_t addr, unsigned level, bool write)
{
	return v1_page(addr, level, write) | v2_page(addr, level, write);
}

static const struct xp_format v1 = { 4, 9, v1_table, v1_page, address };
static const struct xp_format v2_4 = { 4, 9, v2_table, v2_page, address };
static const struct xp_format dual_4 = { 4, 9, dual_table, dual_page, address }, dual_5 = { 5, 9, dual_table, dual_page, address };

/* A GCR3 table of one entry, of PASID 0. */
static void point_gcr3(struct xp_builder *b, unsigned gcr3_page, uint64_t root)
{
	b->ram[gcr3_page * XP_PAGE_WORDS] = root | BITS(AMDVI_GCR3, V);
}

static void build_guest(struct xp_builder *b, unsigned gcr3_page, const struct xp_format *format, unsigned n)
{
	uint64_t root = b->next++ * XP_PAGE;

	xp_map_guest(b, format, root, n);
	point_gcr3(b, gcr3_page, root);
}

static void build_tables(struct xp_builder *b, const struct xp_format *host)
{
	for (unsigned n = 0; n < 2; n++) {
		xp_map_host(b, host, (0xa + n) * XP_PAGE, n);
		xp_map_parent(b, host, (0xa + n) * XP_PAGE, n);
		point_gcr3(b, PAGE_HOST_GCR3 + n, (0xa + n) * XP_PAGE);
	}
	build_guest(b, GCR3_A / XP_PAGE, &dual_4, 0);
	build_guest(b, PAGE_GCR3_B, &dual_4, 1);
	build_guest(b, GCR3_C / XP_PAGE, &dual_5, 2);
}

/* ---- The unit ---- */

static void start_with(struct iommu_model *model, bool coherent)
{
	uint64_t devtab = 0, buffer = 0, control = 0;

	SET_ADDR(AMDVI_DEVTAB, BASE, &devtab, PAGE_DEVTAB * XP_PAGE); /* SIZE 0: one page, 128 entries */
	SET(AMDVI_BUFFER, LEN, &buffer, 8);			       /* 256 commands, a page */
	SET_ADDR(AMDVI_BUFFER, BASE, &buffer, PAGE_QUEUE * XP_PAGE);
	SET(AMDVI_CONTROL, IOMMU_EN, &control, 1);
	SET(AMDVI_CONTROL, CMD_BUF_EN, &control, 1);
	SET(AMDVI_CONTROL, GT_EN, &control, 1);
	SET(AMDVI_CONTROL, COHERENT, &control, coherent);
	iommu_model_write(model, AMDVI_REG_DEVTAB, 8, devtab);
	iommu_model_write(model, AMDVI_REG_CMD_BASE, 8, buffer);
	iommu_model_write(model, AMDVI_REG_CONTROL, 8, control);
	xp_ticks(model);
}

static void start(struct iommu_model *model)
{
	start_with(model, true);
}

static void start_noncoherent(struct iommu_model *model)
{
	start_with(model, false);
}

static void submit(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
		   const uint64_t *words)
{
	uint64_t at = slot % 256 * 16;

	store(ctx, PAGE_QUEUE * XP_PAGE + at, words[0]);
	store(ctx, PAGE_QUEUE * XP_PAGE + at + 8, words[1]);
	iommu_model_write(model, AMDVI_REG_CMD_TAIL, 8, (slot + 1) % 256 * 16);
}

static void wait(bool fence, uint64_t addr, uint32_t value, uint64_t *words)
{
	memset(words, 0, 4 * sizeof(*words));
	SET(AMDVI_CMD_WAIT, OPCODE, words, AMDVI_CMD_WAIT);
	SET(AMDVI_CMD_WAIT, F, words, 1);
	if (fence)
		return;
	SET(AMDVI_CMD_WAIT, S, words, 1);
	SET_ADDR(AMDVI_CMD_WAIT, STORE_ADDR, words, addr);
	SET(AMDVI_CMD_WAIT, STORE_DATA, words, value);
}

static bool tag(const uint64_t *command, unsigned *lsb, unsigned *width)
{
	if (GET(AMDVI_CMD, OPCODE, command) != AMDVI_CMD_PAGES)
		return false;
	*lsb = AMDVI_CMD_PAGES_DOMAIN_ID_LSB;
	*width = AMDVI_CMD_PAGES_DOMAIN_ID_WIDTH;
	return true;
}

static bool is_device_tlb(const uint64_t *command)
{
	return GET(AMDVI_CMD, OPCODE, command) == AMDVI_CMD_IOTLB;
}

/* ---- Cases ---- */

static bool translates(const uint64_t *entry)
{
	return GET(AMDVI_DTE, V, entry) && GET(AMDVI_DTE, TV, entry);
}

/* Do both say the same tables, so that a device with either can have the domain id? */
static bool same_tables(const uint64_t *a, const uint64_t *b)
{
	return GET(AMDVI_DTE, MODE, a) == GET(AMDVI_DTE, MODE, b) &&
	       GET(AMDVI_DTE, HOST_PT_ROOT, a) == GET(AMDVI_DTE, HOST_PT_ROOT, b) &&
	       GET(AMDVI_DTE, GV, a) == GET(AMDVI_DTE, GV, b) && amdvi_dte_gcr3(a) == amdvi_dte_gcr3(b);
}

/* The entry that leads to the same tables as those of the other kind. False: they are a guest's, or there in one kind only, as host
 * tables are where stores have 128 bits. */
static bool other_kind(const struct hitless_cell *cell, const uint64_t *ram, const uint64_t *entry, uint64_t *other)
{
	uint64_t gcr3 = amdvi_dte_gcr3(entry), page = gcr3 == GCR3_B ? PAGE_GCR3_B : gcr3 / XP_PAGE;
	uint64_t root = GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry);

	if (amdvi_dte_mode(entry) == AMDVI_DTE_MODE_V2)
		amdvi_dte_other_kind(entry, address(ram[page * XP_PAGE_WORDS]), gcr3 == GCR3_C ? 5 : 4, 0, other);
	else if (amdvi_dte_mode(entry) == AMDVI_DTE_MODE_V1 && cell->quantum == 8)
		amdvi_dte_other_kind(entry, 0, 4, (PAGE_HOST_GCR3 - 0xa) * XP_PAGE + root, other);
	else
		return false;
	return true;
}

/* One stand-in is each side's other kind where stores have 128 bits; the chain of them where they have 64. */
static void add_standins(const struct hitless_cell *cell, const struct xp_builder *b, struct xp_target *t)
{
	uint64_t other[2][IOMMU_ENTRY_WORDS];
	bool has[2];

	for (unsigned side = 0; side < 2; side++) {
		const uint64_t *entry = side ? cell->after : cell->before;

		has[side] = other_kind(cell, b->ram, entry, other[side]);
		t->has_standin[side] = has[side] && cell->quantum == 16;
		memcpy(t->standin[side], other[side], sizeof(t->standin[side]));
		SET(AMDVI_DTE, DOMAIN_ID, t->standin[side], xp_arch_amdvi.temporary_tag);
	}
	if (cell->quantum == 8)
		t->nchain = amdvi_dte_chain(cell->before, cell->after, has[0] ? other[0] : NULL, has[1] ? other[1] : NULL,
					    xp_arch_amdvi.temporary_tag, t->chain);
}

static int build(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	struct xp_builder b = { .next = PAGE_TABLES };
	uint64_t table = PAGE_DEVTAB * XP_PAGE;
	uint64_t sibling[4] = { 0 };
	bool bystanders = GET(AMDVI_DTE, DOMAIN_ID, cell->before) != GET(AMDVI_DTE, DOMAIN_ID, cell->after) ||
			  same_tables(cell->before, cell->after);
	int err = xp_setup(cell, c, &amdvi_model, PAGES);

	if (err)
		return err;
	b.ram = c->ram;
	build_tables(&b, cell->quantum == 8 ? &dual_4 : &v1);
	t->sibling_root = b.next++ * XP_PAGE;
	xp_map(&b, &v1, t->sibling_root, XP_IOVA_SMALL, xp_data(6, false), 1, true);
	add_standins(cell, &b, t);
	if (b.next > PAGES)
		return -EINVAL;
	c->alias[0].page = GCR3_B / XP_PAGE;
	c->alias[0].index = PAGE_GCR3_B;
	c->config.capabilities[3] = cell->facts & IOMMU_PLAN_CACHES_ABSENT ? AMDVI_MODEL_NPCACHE : 0;
	c->start = c->noncoherent ? start_noncoherent : start;
	c->submit = submit;
	t->status = PAGE_STATUS * XP_PAGE;
	t->pool = PAGE_POOL * XP_PAGE;
	t->rid = XP_RID_DEVICE;
	t->table = table;
	t->offset = XP_RID_DEVICE * 32;
	t->words = 4;
	t->ats_before = translates(cell->before) && GET(AMDVI_DTE, I, cell->before);
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = table + t->offset;
	c->nafter = 4;
	memcpy(c->after, cell->after, 32);
	xp_put(c, table + XP_RID_DEVICE * 32, cell->before, 4);
	xp_put(c, table + XP_RID_OLD * 32, cell->before, 4);
	xp_put(c, table + XP_RID_NEW * 32, cell->after, 4);
	SET(AMDVI_DTE, V, sibling, 1);
	SET(AMDVI_DTE, TV, sibling, 1);
	SET(AMDVI_DTE, IR, sibling, 1);
	SET(AMDVI_DTE, IW, sibling, 1);
	SET(AMDVI_DTE, MODE, sibling, 4);
	SET(AMDVI_DTE, DOMAIN_ID, sibling, DID_SIBLING);
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, sibling, t->sibling_root);
	xp_put(c, table + XP_RID_SIBLING * 32, sibling, 4);
	xp_actors(cell, c, IOMMU_NO_PASID, XP_RID_SIBLING, IOMMU_NO_PASID, bystanders);
	return 0;
}

static void changes(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(AMDVI_DTE, AMDVI_DTE_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

/* ---- The whole driver ---- */

#define REGISTERS 0xfed80000u
/* The first word of the PCI capability block: secure device, IOMMU, IotlbSup, EFRSup. */
#define CAPABILITY 0x0903000fu

static int create(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit)
{
	(void)noncoherent; /* they all snoop */
	/* A device table of one page has 128 entries. */
	return amdvi_unit_create(port, &(struct amdvi_unit_desc){ .registers = REGISTERS, .capability = CAPABILITY, .last_device = 0x7f },
				 unit);
}

/* 3.4.2, 3.4.13 */
static void queue(struct iommu_model *model, struct xp_queue *queue)
{
	uint64_t base = iommu_model_read(model, AMDVI_REG_CMD_BASE, 8);

	queue->ring = GET_ADDR(AMDVI_BUFFER, BASE, &base);
	queue->shift = 4;
	queue->bytes = 16;
	queue->count = 1u << GET(AMDVI_BUFFER, LEN, &base);
	queue->head = AMDVI_REG_CMD_HEAD;
	queue->doorbell = AMDVI_REG_CMD_TAIL;
	queue->doorbell_bytes = 8;
}

/* 2.2.2.1: the GCR3 table has guest tables of four levels for PASID 0. */
static size_t guest_entry(uint64_t *page, uint64_t page_addr, uint64_t root, uint32_t guest_tag, uint64_t *entry)
{
	page[0] = amdvi_gcr3_to(root);
	SET(AMDVI_DTE, V, entry, 1);
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, I, entry, 1);
	SET(AMDVI_DTE, GV, entry, 1);
	SET(AMDVI_DTE, GIOV, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, guest_tag);
	amdvi_dte_set_gcr3(entry, page_addr);
	return 32;
}

static const struct xp_driver driver = {
	.registers = REGISTERS,
	.register_bytes = 0x4000,
	.create = create,
	.queue = queue,
	.doorbell = AMDVI_REG_CMD_TAIL,
	.first_stage = true,
	.pasid_kinds = XP_PASID_S1,
	.pasid_quantum = 16,
	.enable_nesting = amdvi_enable_nesting,
	.guest_format = &v2_4,
	.guest_entry = guest_entry,
};

const struct xp_arch xp_arch_amdvi = {
	.name = "amdvi",
	.entry = "dte",
	.model = &amdvi_model,
	.driver = &driver,
	.format = &amdvi_dte,
	.temporary_tag = 10,
	.build = build,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes,
};
