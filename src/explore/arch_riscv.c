/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch_riscv.c - a small machine around a device context or a process context of the RISC-V IOMMU.
 *
 * Two levels of device directory; of process directory, one behind a device context that changes and two above a process context
 * that does. First stages a and b, and e and f of guests; second stages x and y; process directories p and q with one process, whose
 * tables are c and d. All are where `hitless plan` has them.
 */
#include "setup.h"

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>
#include <riscv.h>

#include <errno.h>
#include <string.h>

enum {
	PAGE_DDT = 1, PAGE_LEAF, PAGE_QUEUE, PAGE_STATUS, PAGE_POOL,
	/* 0xa to 0xf: the roots a to f; four pages each of x and y */
	PAGE_X = 0x10, PAGE_PDT = 0x14, PAGE_OLD_PDT = 0x16, PAGE_NEW_PDT = 0x18, PAGE_Y = 0x20, PAGE_TABLES = 0x24,
	PAGE_CLONES = 0x44, PAGE_P = 0x50, PAGE_Q = 0x60, PAGE_CLONE_TABLES, PAGES = 0x70
};

#define PSCID_SIBLING 12u
#define PID 3u
#define PID_SIBLING 1u

/* ---- Page tables ---- */

#define LEAF_RIGHTS (BITS(RISCV_PTE, V) | BITS(RISCV_PTE, R) | BITS(RISCV_PTE, U) | BITS(RISCV_PTE, A) | BITS(RISCV_PTE, D))

static uint64_t pte(uint64_t addr, uint64_t rights)
{
	SET(RISCV_PTE, PPN, &rights, addr >> 12);
	return rights;
}

static uint64_t table_pte(uint64_t addr, unsigned level)
{
	(void)level;
	return pte(addr, BITS(RISCV_PTE, V));
}

static uint64_t page_pte(uint64_t addr, unsigned level, bool write)
{
	(void)level;
	return pte(addr, LEAF_RIGHTS | (write ? BITS(RISCV_PTE, W) : 0));
}

static uint64_t address(uint64_t entry)
{
	return GET(RISCV_PTE, PPN, &entry) << 12;
}

static const struct xp_format sv39 = { 3, 9, table_pte, page_pte, address }, sv39x4 = { 3, 11, table_pte, page_pte, address };

static void build_directory(struct xp_builder *b, unsigned page, unsigned pscid, unsigned root_page)
{
	uint64_t *pc = &b->ram[page * XP_PAGE_WORDS];

	SET(RISCV_PC, V, pc, 1);
	SET(RISCV_PC, PSCID, pc, pscid);
	SET(RISCV_PC, FSC_MODE, pc, RISCV_S_SV39);
	SET(RISCV_PC, FSC_PPN, pc, root_page);
}

static void build_tables(struct xp_builder *b)
{
	for (unsigned n = 0; n < 2; n++) {
		uint64_t second = (n ? PAGE_Y : PAGE_X) * XP_PAGE;

		xp_map_host(b, &sv39, (0xa + n) * XP_PAGE, n);
		xp_map_host(b, &sv39x4, second, n + 2);
		xp_map_parent(b, &sv39x4, second, n + 2);
		xp_map_guest(b, &sv39, (0xe + n) * XP_PAGE, n);
	}
	for (unsigned n = 0; n < 2; n++) {
		xp_map_guest(b, &sv39, (0xc + n) * XP_PAGE, n + 2);
		build_directory(b, n ? PAGE_Q : PAGE_P, 3 + n, 0xc + n);
	}
}

/* ---- The unit ---- */

static uint64_t queue_base(unsigned page)
{
	uint64_t base = 0;

	SET(RISCV_QUEUE_BASE, LOG2SZ, &base, 7); /* 256 commands, a page */
	SET(RISCV_QUEUE_BASE, PPN, &base, page);
	return base;
}

static void start(struct iommu_model *model)
{
	uint64_t ddtp = 0;

	SET(RISCV_DDTP, MODE, &ddtp, RISCV_DDTP_2LVL);
	SET(RISCV_DDTP, PPN, &ddtp, PAGE_DDT);
	iommu_model_write(model, RISCV_REG_CQB, 8, queue_base(PAGE_QUEUE));
	iommu_model_write(model, RISCV_REG_CQT, 4, 0);
	iommu_model_write(model, RISCV_REG_CQCSR, 4, BITS(RISCV_CQCSR, CQEN));
	xp_ticks(model);
	iommu_model_write(model, RISCV_REG_DDTP, 8, ddtp);
	xp_ticks(model);
}

static void submit(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
		   const uint64_t *words)
{
	uint64_t at = slot % 256 * 16;

	store(ctx, PAGE_QUEUE * XP_PAGE + at, words[0]);
	store(ctx, PAGE_QUEUE * XP_PAGE + at + 8, words[1]);
	iommu_model_write(model, RISCV_REG_CQT, 4, (slot + 1) % 256);
}

/* Only the one that the CPU waits for has to wait for requests, too. */
static void wait(bool fence, uint64_t addr, uint32_t value, uint64_t *words)
{
	memset(words, 0, 4 * sizeof(*words));
	SET(RISCV_IOFENCE, OPCODE, words, RISCV_OP_IOFENCE);
	SET(RISCV_IOFENCE, FUNC3, words, RISCV_FUNC_IOFENCE_C);
	if (fence)
		return;
	SET(RISCV_IOFENCE, PR, words, 1);
	SET(RISCV_IOFENCE, PW, words, 1);
	SET(RISCV_IOFENCE, AV, words, 1);
	SET(RISCV_IOFENCE, DATA, words, value);
	SET(RISCV_IOFENCE, ADDR, words, addr >> 2);
}

static bool tag(const uint64_t *command, unsigned *lsb, unsigned *width)
{
	if (GET(RISCV_CMD, OPCODE, command) != RISCV_OP_IOTINVAL)
		return false;
	if (GET(RISCV_IOTINVAL, GV, command)) {
		*lsb = RISCV_IOTINVAL_GSCID_LSB;
		*width = RISCV_IOTINVAL_GSCID_WIDTH;
		return true;
	}
	*lsb = RISCV_IOTINVAL_PSCID_LSB;
	*width = RISCV_IOTINVAL_PSCID_WIDTH;
	return GET(RISCV_IOTINVAL, PSCV, command);
}

static bool is_device_tlb(const uint64_t *command)
{
	return GET(RISCV_CMD, OPCODE, command) == RISCV_OP_ATS;
}

/* ---- Cases ---- */

static void add_pointer(struct xp_case *c, unsigned page, unsigned to)
{
	uint64_t *entry = &c->ram[page * XP_PAGE_WORDS];

	SET(RISCV_DDTE, V, entry, 1);
	SET(RISCV_DDTE, PPN, entry, to);
}

static int build_case(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	struct xp_builder b = { .next = PAGE_TABLES };
	int err = xp_setup(cell, c, &riscv_model, PAGES);

	if (err)
		return err;
	b.ram = c->ram;
	build_tables(&b);
	t->sibling_root = b.next++ * XP_PAGE;
	xp_map(&b, &sv39, t->sibling_root, XP_IOVA_SMALL, xp_data(6, false), 1, true);
	if (b.next > PAGE_CLONES)
		return -EINVAL;
	c->config.capabilities[1] = cell->facts & IOMMU_PLAN_CACHES_ABSENT ? RISCV_MODEL_CACHE_INVALID : 0;
	c->start = start;
	c->submit = submit;
	add_pointer(c, PAGE_DDT, PAGE_LEAF);
	t->status = PAGE_STATUS * XP_PAGE;
	t->pool = PAGE_POOL * XP_PAGE;
	t->rid = XP_RID_DEVICE;
	t->pointer_shift = 2;
	return 0;
}

static bool first_only(const uint64_t *entry)
{
	return riscv_dc_mode(entry) == RISCV_DC_MODE_FIRST;
}

/*
 * A second stage that translates as process 0 of a host's process directory does, for requests without process id. Its tables come
 * behind those of the case.
 */
static void add_standins(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	struct xp_builder b = { .ram = c->ram, .next = PAGE_CLONE_TABLES };

	for (unsigned side = 0; side < 2; side++) {
		const uint64_t *entry = side ? cell->after : cell->before;
		unsigned n = GET(RISCV_DC, FSC_PPN, entry) == PAGE_Q, root = PAGE_CLONES + 4 * n;
		uint64_t *standin = t->standin[side];

		if (riscv_dc_mode(entry) != RISCV_DC_MODE_PROCESS)
			continue;
		xp_map_guest(&b, &sv39x4, root * XP_PAGE, n + 2);
		t->has_standin[side] = true;
		t->standin_bytes = 8 * XP_PAGE;
		SET(RISCV_DC, V, standin, 1);
		SET(RISCV_DC, EN_ATS, standin, GET(RISCV_DC, EN_ATS, entry));
		SET(RISCV_DC, G_MODE, standin, RISCV_G_SV39X4);
		SET(RISCV_DC, G_PPN, standin, root);
		SET(RISCV_DC, GSCID, standin, xp_arch_riscv_dc.temporary_tag);
	}
}

static int build_dc(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	uint64_t table = PAGE_LEAF * XP_PAGE;
	uint64_t sibling[4] = { 0 };
	bool bystanders = !first_only(cell->before) || !first_only(cell->after) ||
			  GET(RISCV_DC, PSCID, cell->before) != GET(RISCV_DC, PSCID, cell->after) ||
			  GET(RISCV_DC, FSC_PPN, cell->before) == GET(RISCV_DC, FSC_PPN, cell->after);
	int err = build_case(cell, c, t);

	if (err)
		return err;
	add_standins(cell, c, t);
	t->table = table;
	t->parent = PAGE_DDT * XP_PAGE;
	t->offset = XP_RID_DEVICE * 32;
	t->words = 4;
	t->ats_before = GET(RISCV_DC, V, cell->before) && GET(RISCV_DC, EN_ATS, cell->before);
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = table + t->offset;
	c->nafter = 4;
	memcpy(c->after, cell->after, 32);
	xp_put(c, table + XP_RID_DEVICE * 32, cell->before, 4);
	xp_put(c, table + XP_RID_OLD * 32, cell->before, 4);
	xp_put(c, table + XP_RID_NEW * 32, cell->after, 4);
	SET(RISCV_DC, V, sibling, 1);
	SET(RISCV_DC, PSCID, sibling, PSCID_SIBLING);
	SET(RISCV_DC, FSC_MODE, sibling, RISCV_S_SV39);
	SET(RISCV_DC, FSC_PPN, sibling, t->sibling_root >> 12);
	xp_put(c, table + XP_RID_SIBLING * 32, sibling, 4);
	xp_actors(cell, c, IOMMU_NO_PASID, XP_RID_SIBLING, IOMMU_NO_PASID, bystanders);
	return 0;
}

/* A device with a process directory of two levels, whose leaf is the page after the root. */
static void add_device(const struct hitless_cell *cell, struct xp_case *c, uint32_t rid, unsigned directory, const uint64_t *pc)
{
	uint64_t dc[4] = { 0 };

	SET(RISCV_DC, V, dc, 1);
	SET(RISCV_DC, PDTV, dc, 1);
	SET(RISCV_DC, EN_ATS, dc, (cell->facts & IOMMU_PLAN_ATS) != 0);
	SET(RISCV_DC, FSC_MODE, dc, RISCV_PDTP_PD17);
	SET(RISCV_DC, FSC_PPN, dc, directory);
	xp_put(c, PAGE_LEAF * XP_PAGE + rid * 32, dc, 4);
	add_pointer(c, directory, directory + 1);
	xp_put(c, (directory + 1) * XP_PAGE + PID * 16, pc, 2);
}

static int build_pc(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *t)
{
	uint64_t sibling[2] = { 0 };
	bool bystanders = GET(RISCV_PC, PSCID, cell->before) != GET(RISCV_PC, PSCID, cell->after) ||
			  GET(RISCV_PC, FSC_PPN, cell->before) == GET(RISCV_PC, FSC_PPN, cell->after);
	int err = build_case(cell, c, t);

	if (err)
		return err;
	t->table = (PAGE_PDT + 1) * XP_PAGE;
	t->parent = PAGE_PDT * XP_PAGE;
	t->offset = PID * 16;
	t->pasid = PID;
	t->words = 2;
	t->ats_before = GET(RISCV_PC, V, cell->before);
	c->ats = t->ats_before && (cell->facts & IOMMU_PLAN_ATS);
	c->after_addr = t->table + t->offset;
	c->nafter = 2;
	memcpy(c->after, cell->after, 16);
	add_device(cell, c, XP_RID_DEVICE, PAGE_PDT, cell->before);
	add_device(cell, c, XP_RID_OLD, PAGE_OLD_PDT, cell->before);
	add_device(cell, c, XP_RID_NEW, PAGE_NEW_PDT, cell->after);
	SET(RISCV_PC, V, sibling, 1);
	SET(RISCV_PC, PSCID, sibling, PSCID_SIBLING);
	SET(RISCV_PC, FSC_MODE, sibling, RISCV_S_SV39);
	SET(RISCV_PC, FSC_PPN, sibling, t->sibling_root >> 12);
	xp_put(c, t->table + PID_SIBLING * 16, sibling, 2);
	xp_actors(cell, c, PID, XP_RID_DEVICE, PID_SIBLING, bystanders);
	return 0;
}

static void changes_dc(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(RISCV_DC, RISCV_DC_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

static void changes_pc(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size)
{
	static const struct layout_field fields[] = LAYOUT_TABLE(RISCV_PC, RISCV_PC_LIST);

	xp_changes(fields, sizeof(fields) / sizeof(fields[0]), old, new, first, count, text, size);
}

/* ---- The whole driver ---- */

#define REGISTERS 0x03010000u

static int create(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit)
{
	return riscv_unit_create(port, &(struct riscv_unit_desc){ .registers = REGISTERS, .noncoherent = noncoherent }, unit);
}

/* 5.6, 5.8 */
static void queue(struct iommu_model *model, struct xp_queue *queue)
{
	uint64_t base = iommu_model_read(model, RISCV_REG_CQB, 8);

	queue->ring = GET(RISCV_QUEUE_BASE, PPN, &base) << 12;
	queue->shift = 0;
	queue->bytes = 16;
	queue->count = 2u << GET(RISCV_QUEUE_BASE, LOG2SZ, &base);
	queue->doorbell = RISCV_REG_CQT;
	queue->doorbell_bytes = 4;
	queue->head = RISCV_REG_CQH;
}

/* 2.1.2: a device context with iosatp, Sv39. */
static size_t guest_entry(uint64_t *page, uint64_t page_addr, uint64_t root, uint32_t guest_tag, uint64_t *entry)
{
	(void)page;
	(void)page_addr;
	SET(RISCV_DC, V, entry, 1);
	SET(RISCV_DC, EN_ATS, entry, 1);
	SET(RISCV_DC, PSCID, entry, guest_tag);
	SET(RISCV_DC, FSC_MODE, entry, RISCV_S_SV39);
	SET(RISCV_DC, FSC_PPN, entry, RISCV_PPN(root));
	return RISCV_DC_WORDS * sizeof(uint64_t);
}

static const struct xp_driver driver = {
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.create = create,
	.queue = queue,
	.doorbell = RISCV_REG_CQT,
	.quantum = 8,
	.first_stage = true,
	.noncoherent = true,
	.pasid_kinds = XP_PASID_S1 | XP_PASID_IDENTITY,
	.enable_nesting = riscv_enable_nesting,
	.parents_tag = true,
	.guest_format = &sv39,
	.guest_entry = guest_entry,
};

const struct xp_arch xp_arch_riscv_dc = {
	.name = "riscv",
	.entry = "dc",
	.model = &riscv_model,
	.driver = &driver,
	.format = &riscv_dc,
	.temporary_tag = 9,
	.build = build_dc,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_dc,
};

const struct xp_arch xp_arch_riscv_pc = {
	.name = "riscv",
	.entry = "pc",
	.format = &riscv_pc,
	.temporary_tag = 9,
	.build = build_pc,
	.wait = wait,
	.tag = tag,
	.is_device_tlb = is_device_tlb,
	.changes = changes_pc,
};
