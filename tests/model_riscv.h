/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model_riscv.h - a box for tests of the RISC-V model: RAM, a unit, tables built with the layout's macros, queues.
 *
 * Tables are written as software would write them; nothing of the driver is used.
 */
#ifndef TESTS_MODEL_RISCV_H
#define TESTS_MODEL_RISCV_H

#include <hitless/model-riscv.h>

#include "layout/riscv.h"

/* guest: guest addresses of tables and of what is mapped through them are physical ones and this. */
#define BOX_MEMBERS \
	uint64_t root, commands, faults, pages, status; \
	unsigned levels; \
	uint32_t sequence; \
	uint64_t guest;
#include "model_box.h"

#define QUEUE_ENTRIES 64u
#define FAULT_ENTRIES 8u

/* A second stage's root: 16 KiB, aligned. */
static inline uint64_t box_root4(struct box *box)
{
	return box_pages_aligned(box, 4);
}

static inline uint64_t reg32(struct box *box, unsigned offset)
{
	return iommu_model_read(&box->model, offset, 4);
}

static inline uint64_t reg64(struct box *box, unsigned offset)
{
	return iommu_model_read(&box->model, offset, 8);
}

static inline void set32(struct box *box, unsigned offset, uint64_t value)
{
	iommu_model_write(&box->model, offset, 4, value);
}

static inline void set64(struct box *box, unsigned offset, uint64_t value)
{
	iommu_model_write(&box->model, offset, 8, value);
}

static inline struct iommu_model_config box_config(void)
{
	return (struct iommu_model_config){
		.freedoms = ~0u,
		.quantum = 8,
		.lanes = 1,
		.entry_lines = 16,
		.pasid_lines = 16,
		.walk_lines = 256,
		.iotlb_lines = 1024,
		.devtlb_lines = 256,
	};
}

static inline unsigned log2_of(unsigned n)
{
	unsigned bits = 0;

	while (n >> bits > 1)
		bits++;
	return bits;
}

static inline uint64_t queue_base(uint64_t page, unsigned entries)
{
	uint64_t base = 0;

	SET(RISCV_QUEUE_BASE, LOG2SZ, &base, log2_of(entries) - 1);
	SET(RISCV_QUEUE_BASE, PPN, &base, RISCV_PPN(page));
	return base;
}

static inline void set_ddtp(struct box *box, unsigned mode)
{
	uint64_t ddtp = 0;

	SET(RISCV_DDTP, MODE, &ddtp, mode);
	SET(RISCV_DDTP, PPN, &ddtp, RISCV_PPN(box->root));
	set64(box, RISCV_REG_DDTP, ddtp);
	ticks(box);
}

/* Queues, and a device directory of three levels. */
static inline void box_tables(struct box *box)
{
	box->root = box_page(box);
	box->commands = box_page(box);
	box->faults = box_page(box);
	box->pages = box_page(box);
	box->status = box_page(box);
	set64(box, RISCV_REG_CQB, queue_base(box->commands, QUEUE_ENTRIES));
	set64(box, RISCV_REG_FQB, queue_base(box->faults, FAULT_ENTRIES));
	set64(box, RISCV_REG_PQB, queue_base(box->pages, 4));
	set32(box, RISCV_REG_CQT, 0);
	set32(box, RISCV_REG_FQH, 0);
	set32(box, RISCV_REG_PQH, 0);
	set32(box, RISCV_REG_CQCSR, BITS(RISCV_CQCSR, CQEN));
	set32(box, RISCV_REG_FQCSR, BITS(RISCV_FQCSR, FQEN));
	set32(box, RISCV_REG_PQCSR, BITS(RISCV_PQCSR, PQEN));
	ticks(box);
	box->levels = 3;
	set_ddtp(box, RISCV_DDTP_3LVL);
}

static inline int box_open(struct box *box, const struct iommu_model_config *config)
{
	return box_open_unit(box, &riscv_model, config);
}

/* ---- Tables ---- */

static inline bool box_extended(const struct box *box)
{
	uint64_t cap = box->config.capabilities[0];

	return GET(RISCV_CAP, MSI_FLAT, &cap);
}

/* Where the non-leaf entry of a level is, or the device context (level 0); what is missing on the way is made. */
static inline uint64_t *ddt_entry(struct box *box, uint32_t device, unsigned level)
{
	unsigned first[3] = { 0, box_extended(box) ? 6 : 7, box_extended(box) ? 15 : 16 };
	uint64_t table = box->root;

	for (unsigned i = box->levels - 1; i > level; i--) {
		uint64_t *entry = at(box, table + (device >> first[i] & 511) * 8);

		if (!(*entry & 1)) {
			*entry = 1;
			SET(RISCV_DDTE, PPN, entry, RISCV_PPN(box_page(box)));
		}
		table = RISCV_ADDR(GET(RISCV_DDTE, PPN, entry));
	}
	if (level)
		return at(box, table + (device >> first[level] & 511) * 8);
	return at(box, table + (device & ((1u << first[1]) - 1)) * (box_extended(box) ? 64 : 32));
}

static inline uint64_t *dc_at(struct box *box, uint32_t device)
{
	return ddt_entry(box, device, 0);
}

/* Modes of the stages, their roots and tags; tc bits besides V. */
static inline uint64_t *dc_set(struct box *box, uint32_t device, uint64_t tc, unsigned g_mode, uint64_t g_root, unsigned gscid,
			       unsigned s_mode, uint64_t s_root, unsigned pscid)
{
	uint64_t *dc = dc_at(box, device);

	memset(dc, 0, box_extended(box) ? 64 : 32);
	dc[0] = tc | 1;
	SET(RISCV_DC, G_MODE, dc, g_mode);
	SET(RISCV_DC, G_PPN, dc, RISCV_PPN(g_root));
	SET(RISCV_DC, GSCID, dc, gscid);
	SET(RISCV_DC, FSC_MODE, dc, s_mode);
	SET(RISCV_DC, FSC_PPN, dc, RISCV_PPN(s_root));
	SET(RISCV_DC, PSCID, dc, pscid);
	return dc;
}

#define DC_BIT(name) BITS(RISCV_DC, name)

static inline uint64_t pte(uint64_t address, uint64_t bits)
{
	return bits | RISCV_PPN(address) << RISCV_PTE_PPN_LSB;
}

#define PTE_V BITS(RISCV_PTE, V)
#define PTE_R BITS(RISCV_PTE, R)
#define PTE_W BITS(RISCV_PTE, W)
#define PTE_X BITS(RISCV_PTE, X)
#define PTE_U BITS(RISCV_PTE, U)
#define PTE_G BITS(RISCV_PTE, G)
#define PTE_A BITS(RISCV_PTE, A)
#define PTE_D BITS(RISCV_PTE, D)
#define PTE_N BITS(RISCV_PTE, N)
#define PTE_RW (PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D)

/* The entry of a level; tables on the way are made. `guest` is what is added to the addresses of tables. */
static inline uint64_t *pt_entry(struct box *box, uint64_t root, unsigned levels, bool x4, uint64_t guest, uint64_t address,
				 unsigned level)
{
	uint64_t table = root;

	for (unsigned i = levels; i > level; i--) {
		uint64_t mask = x4 && i == levels ? 2047 : 511;
		uint64_t *entry = at(box, table + (address >> (12 + 9 * (i - 1)) & mask) * 8);

		if (!(*entry & 1))
			*entry = pte(box_page(box) + guest, PTE_V);
		table = RISCV_ADDR(GET(RISCV_PTE, PPN, entry)) - guest;
	}
	return at(box, table + (address >> (12 + 9 * (level - 1)) & (x4 && level == levels ? 2047 : 511)) * 8);
}

static inline uint64_t *map_s(struct box *box, uint64_t root, unsigned levels, uint64_t iova, uint64_t phys)
{
	uint64_t *entry = pt_entry(box, root, levels, false, box->guest, iova, 1);

	*entry = pte(phys, PTE_RW | PTE_X);
	return entry;
}

static inline uint64_t *map_g(struct box *box, uint64_t root, unsigned levels, uint64_t gpa, uint64_t phys)
{
	uint64_t *entry = pt_entry(box, root, levels, true, 0, gpa, 1);

	*entry = pte(phys, PTE_RW | PTE_X);
	return entry;
}

/* Maps all of RAM at box->guest, by pages, so that first-stage tables and process directories can lie anywhere. */
static inline void map_ram(struct box *box, uint64_t root, unsigned levels)
{
	for (uint64_t page = 0; page < BOX_BYTES; page += PAGE)
		map_g(box, root, levels, box->guest + page, page);
}

/* The process context, or a non-leaf entry; what is missing on the way is made. */
static inline uint64_t *pdt_entry(struct box *box, uint64_t root, unsigned levels, uint32_t process, unsigned level)
{
	static const unsigned first[3] = { 0, 8, 17 };
	uint64_t table = root;

	for (unsigned i = levels - 1; i > level; i--) {
		uint64_t *entry = at(box, table + (process >> first[i] & 511) * 8);

		if (!(*entry & 1)) {
			*entry = 1;
			SET(RISCV_PDTE, PPN, entry, RISCV_PPN(box_page(box) + box->guest));
		}
		table = RISCV_ADDR(GET(RISCV_PDTE, PPN, entry)) - box->guest;
	}
	return level ? at(box, table + (process >> first[level] & 511) * 8) : at(box, table + (process & 255) * 16);
}

static inline uint64_t *pc_set(struct box *box, uint64_t root, unsigned levels, uint32_t process, uint64_t ta, unsigned mode,
			       uint64_t table, unsigned pscid)
{
	uint64_t *pc = pdt_entry(box, root, levels, process, 0);

	pc[0] = ta | 1;
	pc[1] = 0;
	SET(RISCV_PC, PSCID, pc, pscid);
	SET(RISCV_PC, FSC_MODE, pc, mode);
	SET(RISCV_PC, FSC_PPN, pc, RISCV_PPN(table));
	return pc;
}

/* ---- Commands ---- */

static inline void submit(struct box *box, const uint64_t *command)
{
	unsigned tail = (unsigned)reg32(box, RISCV_REG_CQT);

	memcpy(at(box, box->commands + 16 * tail), command, 16);
	set32(box, RISCV_REG_CQT, (tail + 1) % QUEUE_ENTRIES);
}

static inline void fence_with(struct box *box, bool pr, bool pw)
{
	uint64_t c[2] = { 0, 0 };

	SET(RISCV_IOFENCE, OPCODE, c, RISCV_OP_IOFENCE);
	SET(RISCV_IOFENCE, AV, c, 1);
	SET(RISCV_IOFENCE, PR, c, pr);
	SET(RISCV_IOFENCE, PW, c, pw);
	SET(RISCV_IOFENCE, DATA, c, ++box->sequence);
	SET(RISCV_IOFENCE, ADDR, c, box->status >> 2);
	submit(box, c);
}

static inline bool fenced(struct box *box)
{
	return (uint32_t)*at(box, box->status) == box->sequence;
}

static inline void submit_iotinval(struct box *box, bool gvma, int gscid, int pscid, bool av, uint64_t address)
{
	uint64_t c[2] = { 0, 0 };

	SET(RISCV_IOTINVAL, OPCODE, c, RISCV_OP_IOTINVAL);
	SET(RISCV_IOTINVAL, FUNC3, c, gvma ? RISCV_FUNC_IOTINVAL_GVMA : RISCV_FUNC_IOTINVAL_VMA);
	if (gscid >= 0) {
		SET(RISCV_IOTINVAL, GV, c, 1);
		SET(RISCV_IOTINVAL, GSCID, c, (uint64_t)gscid);
	}
	if (pscid >= 0) {
		SET(RISCV_IOTINVAL, PSCV, c, 1);
		SET(RISCV_IOTINVAL, PSCID, c, (uint64_t)pscid);
	}
	if (av) {
		SET(RISCV_IOTINVAL, AV, c, 1);
		SET(RISCV_IOTINVAL, ADDR, c, RISCV_PPN(address));
	}
	submit(box, c);
}

static inline void submit_iodir(struct box *box, bool pdt, bool dv, uint32_t device, uint32_t process)
{
	uint64_t c[2] = { 0, 0 };

	SET(RISCV_IODIR, OPCODE, c, RISCV_OP_IODIR);
	SET(RISCV_IODIR, FUNC3, c, pdt ? RISCV_FUNC_IODIR_INVAL_PDT : RISCV_FUNC_IODIR_INVAL_DDT);
	SET(RISCV_IODIR, DV, c, dv);
	SET(RISCV_IODIR, DID, c, device);
	SET(RISCV_IODIR, PID, c, process);
	submit(box, c);
}

static inline void submit_ats(struct box *box, uint32_t device, uint32_t process, bool global, bool sized, uint64_t address)
{
	uint64_t c[2] = { 0, 0 };

	SET(RISCV_ATS_INVAL, OPCODE, c, RISCV_OP_ATS);
	SET(RISCV_ATS_INVAL, RID, c, device);
	SET(RISCV_ATS_INVAL, DSV, c, device >> 16 ? 1 : 0);
	SET(RISCV_ATS_INVAL, DSEG, c, device >> 16);
	if (process != BOX_NO_PASID) {
		SET(RISCV_ATS_INVAL, PV, c, 1);
		SET(RISCV_ATS_INVAL, PID, c, process);
	}
	SET(RISCV_ATS_INVAL, G, c, global);
	SET(RISCV_ATS_INVAL, S, c, sized);
	SET(RISCV_ATS_INVAL, ADDR, c, RISCV_PPN(address));
	submit(box, c);
}

static inline void finish_commands(struct box *box)
{
	fence_with(box, true, true);
	ticks(box);
	if (!fenced(box))
		exit(2);
}

static inline void vma(struct box *box, int gscid, int pscid)
{
	submit_iotinval(box, false, gscid, pscid, false, 0);
	finish_commands(box);
}

static inline void vma_page(struct box *box, int gscid, int pscid, uint64_t address)
{
	submit_iotinval(box, false, gscid, pscid, true, address);
	finish_commands(box);
}

static inline void gvma(struct box *box, int gscid)
{
	submit_iotinval(box, true, gscid, -1, false, 0);
	finish_commands(box);
}

static inline void gvma_page(struct box *box, int gscid, uint64_t address)
{
	submit_iotinval(box, true, gscid, -1, true, address);
	finish_commands(box);
}

static inline void inval_ddt(struct box *box, uint32_t device)
{
	submit_iodir(box, false, true, device, 0);
	finish_commands(box);
}

static inline void inval_ddt_all(struct box *box)
{
	submit_iodir(box, false, false, 0, 0);
	finish_commands(box);
}

static inline void inval_pdt(struct box *box, uint32_t device, uint32_t process)
{
	submit_iodir(box, true, true, device, process);
	finish_commands(box);
}

/* Forgets everything. */
static inline void flush(struct box *box)
{
	submit_iodir(box, false, false, 0, 0);
	submit_iotinval(box, true, -1, -1, false, 0);
	submit_iotinval(box, false, -1, -1, false, 0);
	for (int gscid = 0; gscid < 16; gscid++)
		submit_iotinval(box, false, gscid, -1, false, 0);
	finish_commands(box);
}

/* ---- Faults ---- */

static inline unsigned faults_waiting(struct box *box)
{
	return (unsigned)(reg32(box, RISCV_REG_FQT) - reg32(box, RISCV_REG_FQH)) % FAULT_ENTRIES;
}

/* The oldest record; false: there is none. */
static inline bool next_fault(struct box *box, uint64_t *record)
{
	unsigned head = (unsigned)reg32(box, RISCV_REG_FQH);

	if (!faults_waiting(box))
		return false;
	memcpy(record, at(box, box->faults + 32 * head), 32);
	set32(box, RISCV_REG_FQH, (head + 1) % FAULT_ENTRIES);
	return true;
}

#endif
