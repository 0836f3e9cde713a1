/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model_amdvi.h - a box for tests of the AMD-Vi model: RAM, a unit, tables built with the layout's macros, a command buffer.
 *
 * Tables are written as software would write them; nothing of the driver is used.
 */
#ifndef TESTS_MODEL_AMDVI_H
#define TESTS_MODEL_AMDVI_H

#include <hitless/model-amdvi.h>

#include "layout/amdvi.h"

#define BOX_MEMBERS \
	uint64_t devtab, commands, events, status; \
	unsigned tail; \
	uint64_t sequence;
#include "model_box.h"

#define BOX_DEVICES 1024u /* that the device table has entries for */

static inline uint64_t reg(struct box *box, unsigned offset)
{
	return iommu_model_read(&box->model, offset, 8);
}

static inline void set_reg(struct box *box, unsigned offset, uint64_t value)
{
	iommu_model_write(&box->model, offset, 8, value);
}

/* All freedoms but those that need a chooser to be harmless: hits are hits, in order. */
#define BOX_FREEDOMS (~0u)

static inline struct iommu_model_config box_config(void)
{
	return (struct iommu_model_config){
		.freedoms = BOX_FREEDOMS,
		.quantum = 16,
		.lanes = 1,
		.entry_lines = 16,
		.pasid_lines = 16,
		.walk_lines = 64,
		.iotlb_lines = 64,
		.devtlb_lines = 256,
	};
}

static inline int box_open(struct box *box, const struct iommu_model_config *config)
{
	return box_open_unit(box, &amdvi_model, config);
}

#define CONTROL_ON \
	(BITS(AMDVI_CONTROL, IOMMU_EN) | BITS(AMDVI_CONTROL, EVENT_LOG_EN) | BITS(AMDVI_CONTROL, CMD_BUF_EN) | \
	 BITS(AMDVI_CONTROL, GT_EN))

/* Device table, command buffer, event log; all on. */
static inline void box_tables(struct box *box)
{
	uint64_t devtab = 0, buffer = 0;

	box->devtab = box->next_page;
	for (unsigned i = 0; i < BOX_DEVICES * 32 / PAGE; i++)
		box_page(box);
	box->commands = box_page(box);
	box->events = box_page(box);
	box->status = box_page(box);
	SET(AMDVI_DEVTAB, SIZE, &devtab, BOX_DEVICES * 32 / PAGE - 1);
	SET_ADDR(AMDVI_DEVTAB, BASE, &devtab, box->devtab);
	SET(AMDVI_BUFFER, LEN, &buffer, 8);
	SET_ADDR(AMDVI_BUFFER, BASE, &buffer, box->commands);
	set_reg(box, AMDVI_REG_DEVTAB, devtab);
	set_reg(box, AMDVI_REG_CMD_BASE, buffer);
	SET_ADDR(AMDVI_BUFFER, BASE, &buffer, box->events);
	set_reg(box, AMDVI_REG_EVENT_BASE, buffer);
	set_reg(box, AMDVI_REG_CONTROL, CONTROL_ON);
	ticks(box);
	box->tail = 0;
}

/* ---- Tables ---- */

static inline uint64_t *dte(struct box *box, unsigned rid)
{
	return at(box, box->devtab + rid * 32);
}

static inline uint64_t *dte_blocked(struct box *box, unsigned rid)
{
	uint64_t *entry = dte(box, rid);

	memset(entry, 0, 32);
	SET(AMDVI_DTE, V, entry, 1);
	return entry;
}

/* One to one; what the others begin with. */
static inline uint64_t *dte_identity(struct box *box, unsigned rid, unsigned domain)
{
	uint64_t *entry = dte_blocked(box, rid);

	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, I, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, domain);
	return entry;
}

static inline uint64_t *dte_v1(struct box *box, unsigned rid, unsigned domain, unsigned levels, uint64_t root)
{
	uint64_t *entry = dte_identity(box, rid, domain);

	SET(AMDVI_DTE, MODE, entry, levels);
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry, root);
	return entry;
}

/* A GCR3 table of glx + 1 levels, and requests without PASID use PASID 0. */
static inline uint64_t *dte_v2(struct box *box, unsigned rid, unsigned domain, unsigned levels, unsigned glx, uint64_t gcr3)
{
	uint64_t *entry = dte_identity(box, rid, domain);

	SET(AMDVI_DTE, GV, entry, 1);
	SET(AMDVI_DTE, GIOV, entry, 1);
	SET(AMDVI_DTE, GLX, entry, glx);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, entry, levels - 4);
	amdvi_dte_set_gcr3(entry, gcr3);
	return entry;
}

static inline uint64_t *gcr3_at(struct box *box, uint64_t table, unsigned glx, unsigned pasid)
{
	for (unsigned level = glx;; level--) {
		uint64_t *entry = at(box, table + (pasid >> (9 * level) & 511) * 8);

		if (!level)
			return entry;
		if (!(*entry & 1))
			*entry = box_page(box) | 1;
		table = *entry & ~0xfffull;
	}
}

#define V1_RW (BITS(AMDVI_V1, IR) | BITS(AMDVI_V1, IW) | BITS(AMDVI_V1, PR))
#define V1_NEXT(level) ((uint64_t)(level) << 9)
#define V2_RWU 7ull
#define V2_PS 0x80ull

/* The v1 entry of `level` for an address, tables above it made. */
static inline uint64_t *v1_at(struct box *box, uint64_t root, unsigned levels, uint64_t iova, unsigned level)
{
	for (unsigned n = levels;; n--) {
		uint64_t *entry = at(box, root + (iova >> (12 + 9 * (n - 1)) & 511) * 8);

		if (n == level)
			return entry;
		if (!(__atomic_load_n(entry, __ATOMIC_ACQUIRE) & 1))
			__atomic_store_n(entry, box_page(box) | V1_RW | V1_NEXT(n - 1), __ATOMIC_RELEASE);
		root = __atomic_load_n(entry, __ATOMIC_ACQUIRE) & 0x000ffffffffff000ull;
	}
}

static inline uint64_t *v2_at(struct box *box, uint64_t root, unsigned levels, uint64_t iova, unsigned level)
{
	for (unsigned n = levels;; n--) {
		uint64_t *entry = at(box, root + (iova >> (12 + 9 * (n - 1)) & 511) * 8);

		if (n == level)
			return entry;
		if (!(__atomic_load_n(entry, __ATOMIC_ACQUIRE) & 1))
			__atomic_store_n(entry, box_page(box) | V2_RWU, __ATOMIC_RELEASE);
		root = __atomic_load_n(entry, __ATOMIC_ACQUIRE) & 0x000ffffffffff000ull;
	}
}

static inline uint64_t *map_v1(struct box *box, uint64_t root, unsigned levels, uint64_t iova, uint64_t phys)
{
	uint64_t *entry = v1_at(box, root, levels, iova, 1);

	*entry = phys | V1_RW;
	return entry;
}

static inline uint64_t *map_v2(struct box *box, uint64_t root, unsigned levels, uint64_t iova, uint64_t phys)
{
	uint64_t *entry = v2_at(box, root, levels, iova, 1);

	*entry = phys | V2_RWU;
	return entry;
}

/* ---- Commands ---- */

static inline void submit(struct box *box, const uint64_t *command)
{
	uint64_t *to = at(box, box->commands + box->tail);

	/* Atomic stores: another thread may read them. */
	__atomic_store_n(to, command[0], __ATOMIC_RELEASE);
	__atomic_store_n(to + 1, command[1], __ATOMIC_RELEASE);
	box->tail = (box->tail + 16) % 4096;
	set_reg(box, AMDVI_REG_CMD_TAIL, box->tail);
}

static inline uint64_t submit_wait(struct box *box)
{
	uint64_t wait[2] = { 0, 0 };

	SET(AMDVI_CMD_WAIT, OPCODE, wait, AMDVI_CMD_WAIT);
	SET(AMDVI_CMD_WAIT, S, wait, 1);
	SET(AMDVI_CMD_WAIT, F, wait, 1);
	SET(AMDVI_CMD_WAIT, STORE_ADDR, wait, box->status >> 3);
	SET(AMDVI_CMD_WAIT, STORE_DATA, wait, ++box->sequence);
	submit(box, wait);
	return box->sequence;
}

static inline uint64_t status(struct box *box)
{
	return __atomic_load_n(at(box, box->status), __ATOMIC_ACQUIRE);
}

/* Waits for all that has been submitted. */
static inline bool sync_queue(struct box *box)
{
	uint64_t wanted = submit_wait(box);

	ticks(box);
	return status(box) == wanted;
}

static inline bool invalidate(struct box *box, const uint64_t *command)
{
	submit(box, command);
	return sync_queue(box);
}

static inline void build_dte(uint64_t c[2], unsigned rid)
{
	c[0] = c[1] = 0;
	SET(AMDVI_CMD_DTE, OPCODE, c, AMDVI_CMD_DTE);
	SET(AMDVI_CMD_DTE, DEVICE_ID, c, rid);
}

/* flags: S 1, PDE 2, GN 4 */
static inline void build_pages(uint64_t c[2], unsigned domain, unsigned pasid, uint64_t addr, unsigned flags)
{
	c[0] = c[1] = 0;
	SET(AMDVI_CMD_PAGES, OPCODE, c, AMDVI_CMD_PAGES);
	SET(AMDVI_CMD_PAGES, DOMAIN_ID, c, domain);
	SET(AMDVI_CMD_PAGES, PASID, c, pasid);
	SET_ADDR(AMDVI_CMD_PAGES, ADDR, c, addr);
	c[1] |= flags;
}
#define FLAG_S 1u
#define FLAG_PDE 2u
#define FLAG_GN 4u

static inline void build_iotlb(uint64_t c[2], unsigned rid, uint32_t pasid, uint64_t addr, unsigned s)
{
	c[0] = c[1] = 0;
	SET(AMDVI_CMD_IOTLB, OPCODE, c, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, c, rid);
	SET(AMDVI_CMD_IOTLB, QUEUE_ID, c, rid);
	SET(AMDVI_CMD_IOTLB, S, c, s);
	SET_ADDR(AMDVI_CMD_IOTLB, ADDR, c, addr);
	if (pasid != BOX_NO_PASID) {
		SET(AMDVI_CMD_IOTLB, GN, c, 1);
		SET(AMDVI_CMD_IOTLB, PASID_7_0, c, pasid);
		SET(AMDVI_CMD_IOTLB, PASID_15_8, c, pasid >> 8);
		SET(AMDVI_CMD_IOTLB, PASID_19_16, c, pasid >> 16);
	}
}

static inline bool inv_dte(struct box *box, unsigned rid)
{
	uint64_t c[2];

	build_dte(c, rid);
	return invalidate(box, c);
}

static inline bool inv_pages(struct box *box, unsigned domain, unsigned pasid, uint64_t addr, unsigned flags)
{
	uint64_t c[2];

	build_pages(c, domain, pasid, addr, flags);
	return invalidate(box, c);
}

static inline bool inv_domain(struct box *box, unsigned domain)
{
	return inv_pages(box, domain, 0, AMDVI_ALL_ADDRESSES, FLAG_S | FLAG_PDE);
}

static inline bool inv_pasid(struct box *box, unsigned domain, unsigned pasid)
{
	return inv_pages(box, domain, pasid, AMDVI_ALL_ADDRESSES, FLAG_S | FLAG_PDE | FLAG_GN);
}

static inline bool inv_iotlb(struct box *box, unsigned rid, uint32_t pasid, uint64_t addr, unsigned s)
{
	uint64_t c[2];

	build_iotlb(c, rid, pasid, addr, s);
	return invalidate(box, c);
}

static inline bool inv_all(struct box *box)
{
	uint64_t c[2] = { 0, 0 };

	SET(AMDVI_CMD_ALL, OPCODE, c, AMDVI_CMD_ALL);
	return invalidate(box, c);
}

/* ---- Events ---- */

/* The oldest event, taken out; false: there is none. */
static inline bool take_event(struct box *box, uint64_t words[2])
{
	uint64_t head = reg(box, AMDVI_REG_EVENT_HEAD);

	words[0] = words[1] = 0;
	if (head == reg(box, AMDVI_REG_EVENT_TAIL))
		return false;
	words[0] = __atomic_load_n(at(box, box->events + head), __ATOMIC_ACQUIRE);
	words[1] = __atomic_load_n(at(box, box->events + head + 8), __ATOMIC_ACQUIRE);
	set_reg(box, AMDVI_REG_EVENT_HEAD, (head + 16) % 4096);
	return true;
}

#endif
