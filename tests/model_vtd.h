/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model_vtd.h - a box for tests of the VT-d model: RAM, a unit, tables built with the layout's macros, a queue.
 *
 * Tables are written as software would write them; nothing of the driver is used.
 */
#ifndef TESTS_MODEL_VTD_H
#define TESTS_MODEL_VTD_H

#include <hitless/model-vtd.h>

#include "layout/vtd.h"

#define BOX_MEMBERS \
	bool scalable; \
	uint64_t root, queue, status; \
	unsigned tail; \
	uint32_t sequence;
#include "model_box.h"

static inline uint64_t reg(struct box *box, unsigned offset)
{
	return iommu_model_read(&box->model, offset, offset == VTD_REG_GSTS || offset == VTD_REG_FSTS || offset == VTD_REG_FECTL ||
				offset == VTD_REG_ICS || offset == VTD_REG_IECTL ? 4 : 8);
}

static inline void gcmd(struct box *box, uint32_t bits)
{
	iommu_model_write(&box->model, VTD_REG_GCMD, 4, bits);
	ticks(box);
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

static inline void box_tables(struct box *box, bool scalable)
{
	uint64_t rtaddr = 0, iqa = 0;

	box->scalable = scalable;
	box->root = box_page(box);
	box->queue = box_page(box);
	box->status = box_page(box);
	SET(VTD_RTADDR, TTM, &rtaddr, scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
	SET_ADDR(VTD_RTADDR, RTA, &rtaddr, box->root);
	SET(VTD_IQA, DW, &iqa, scalable);
	SET_ADDR(VTD_IQA, IQA, &iqa, box->queue);
	iommu_model_write(&box->model, VTD_REG_RTADDR, 8, rtaddr);
	gcmd(box, BITS(VTD_GCMD, SRTP));
	iommu_model_write(&box->model, VTD_REG_IQT, 8, 0);
	iommu_model_write(&box->model, VTD_REG_IQA, 8, iqa);
	gcmd(box, BITS(VTD_GCMD, QIE));
	gcmd(box, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
	box->tail = 0;
}

static inline int box_open(struct box *box, const struct iommu_model_config *config)
{
	return box_open_unit(box, &vtd_model, config);
}

/* ---- Tables ---- */

static inline uint64_t root_table(struct box *box, unsigned rid)
{
	uint64_t entry = box->root + (rid >> 8) * 16;
	unsigned half = box->scalable && (rid & 0x80) ? 1 : 0;

	if (!(*at(box, entry + 8 * half) & 1))
		*at(box, entry + 8 * half) = box_page(box) | 1;
	return *at(box, entry + 8 * half) & ~0xfffull;
}

/* The address of a device's context entry. */
static inline uint64_t context_at(struct box *box, unsigned rid)
{
	return root_table(box, rid) + (box->scalable ? (rid & 0x7f) * 32 : (rid & 0xff) * 16);
}

static inline uint64_t *legacy_context(struct box *box, unsigned rid, unsigned tt, unsigned did, unsigned levels, uint64_t ss)
{
	uint64_t *entry = at(box, context_at(box, rid));

	entry[0] = entry[1] = 0;
	SET(VTD_CONTEXT, TT, entry, tt);
	SET(VTD_CONTEXT, DID, entry, did);
	SET(VTD_CONTEXT, AW, entry, levels - 2);
	SET_ADDR(VTD_CONTEXT, SSPTPTR, entry, ss);
	SET(VTD_CONTEXT, P, entry, 1);
	return entry;
}

/* A context entry with an empty PASID directory (of one page: PASIDs up to 2^15 - 1). */
static inline uint64_t *sm_context(struct box *box, unsigned rid)
{
	uint64_t *entry = at(box, context_at(box, rid));

	memset(entry, 0, 32);
	SET(VTD_SMCONTEXT, PDTS, entry, 2);
	SET(VTD_SMCONTEXT, PASIDE, entry, 1);
	SET(VTD_SMCONTEXT, DTE, entry, 1);
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, entry, box_page(box));
	SET(VTD_SMCONTEXT, P, entry, 1);
	return entry;
}

static inline uint64_t *pasiddir_entry(struct box *box, unsigned rid, unsigned pasid)
{
	uint64_t *context = at(box, context_at(box, rid));

	if (!GET(VTD_SMCONTEXT, P, context))
		sm_context(box, rid);
	return at(box, GET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, context) + (pasid >> 6) * 8);
}

/* The PASID entry's words, its table made if need be; zero at first. */
static inline uint64_t *pasid_entry(struct box *box, unsigned rid, unsigned pasid)
{
	uint64_t *dir = pasiddir_entry(box, rid, pasid);

	if (!(*dir & 1))
		*dir = box_page(box) | 1;
	return at(box, (*dir & ~0xfffull) + (pasid & 63) * 64);
}

static inline uint64_t *pasid_second(struct box *box, unsigned rid, unsigned pasid, unsigned did, unsigned levels, uint64_t ss)
{
	uint64_t *entry = pasid_entry(box, rid, pasid);

	memset(entry, 0, 64);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_SECOND);
	SET(VTD_PASID, AW, entry, levels - 2);
	SET(VTD_PASID, DID, entry, did);
	SET(VTD_PASID, PWSNP, entry, 1);
	SET_ADDR(VTD_PASID, SSPTPTR, entry, ss);
	SET(VTD_PASID, P, entry, 1);
	return entry;
}

static inline uint64_t *pasid_first(struct box *box, unsigned rid, unsigned pasid, unsigned did, unsigned levels, uint64_t fs)
{
	uint64_t *entry = pasid_entry(box, rid, pasid);

	memset(entry, 0, 64);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_FIRST);
	SET(VTD_PASID, FSPM, entry, levels - 4);
	SET(VTD_PASID, DID, entry, did);
	SET(VTD_PASID, PWSNP, entry, 1);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, fs);
	SET(VTD_PASID, P, entry, 1);
	return entry;
}

static inline uint64_t *pasid_pass(struct box *box, unsigned rid, unsigned pasid, unsigned did)
{
	uint64_t *entry = pasid_entry(box, rid, pasid);

	memset(entry, 0, 64);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_PASS);
	SET(VTD_PASID, AW, entry, VTD_AW_5_LEVEL);
	SET(VTD_PASID, DID, entry, did);
	SET(VTD_PASID, P, entry, 1);
	return entry;
}

/* The entry of `level` for an address, tables above it made with the bits `table`. Both stages have 9 bits per level. */
static inline uint64_t *pte_at(struct box *box, uint64_t root, unsigned levels, uint64_t iova, unsigned level, uint64_t table)
{
	for (unsigned n = levels;; n--) {
		uint64_t *entry = at(box, root + (iova >> (12 + 9 * (n - 1)) & 511) * 8);

		if (n == level)
			return entry;
		if (!(__atomic_load_n(entry, __ATOMIC_ACQUIRE) & 3))
			__atomic_store_n(entry, box_page(box) | table, __ATOMIC_RELEASE);
		root = __atomic_load_n(entry, __ATOMIC_ACQUIRE) & 0x000ffffffffff000ull;
	}
}

#define SS_RW 3ull
#define SS_LARGE (SS_RW | 1ull << 7)
#define FS_RWU 7ull
#define FS_LARGE (FS_RWU | 1ull << 7)

static inline uint64_t *map_ss(struct box *box, uint64_t root, unsigned levels, uint64_t iova, uint64_t phys)
{
	uint64_t *entry = pte_at(box, root, levels, iova, 1, SS_RW);

	*entry = phys | SS_RW;
	return entry;
}

static inline uint64_t *map_fs(struct box *box, uint64_t root, unsigned levels, uint64_t iova, uint64_t phys)
{
	uint64_t *entry = pte_at(box, root, levels, iova, 1, FS_RWU);

	*entry = phys | FS_RWU;
	return entry;
}

/* ---- Queue ---- */

static inline void submit(struct box *box, const uint64_t *descriptor)
{
	unsigned width = box->scalable ? 32 : 16;
	uint64_t *to = at(box, box->queue + box->tail);

	memset(to, 0, width);
	memcpy(to, descriptor, 16);
	box->tail = (box->tail + width) % 4096;
	iommu_model_write(&box->model, VTD_REG_IQT, 8, box->tail);
}

static inline uint32_t submit_wait(struct box *box)
{
	uint64_t wait[2] = { 0, 0 };

	SET(VTD_DESC_WAIT, TYPE, wait, VTD_DESC_WAIT);
	SET(VTD_DESC_WAIT, SW, wait, 1);
	SET(VTD_DESC_WAIT, FN, wait, 1);
	SET(VTD_DESC_WAIT, STATUS_DATA, wait, ++box->sequence);
	SET_ADDR(VTD_DESC_WAIT, STATUS_ADDR, wait, box->status);
	submit(box, wait);
	return box->sequence;
}

static inline uint32_t status(struct box *box)
{
	return __atomic_load_n((uint32_t *)(void *)at(box, box->status), __ATOMIC_ACQUIRE);
}

/* Waits for all that has been submitted. */
static inline bool sync_queue(struct box *box)
{
	uint32_t wanted = submit_wait(box);

	ticks(box);
	return status(box) == wanted;
}

static inline bool invalidate(struct box *box, const uint64_t *descriptor)
{
	submit(box, descriptor);
	return sync_queue(box);
}

static inline bool inv_context(struct box *box, unsigned granularity, unsigned did, unsigned sid, unsigned fm)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_CONTEXT, TYPE, d, VTD_DESC_CONTEXT);
	SET(VTD_DESC_CONTEXT, G, d, granularity);
	SET(VTD_DESC_CONTEXT, DID, d, did);
	SET(VTD_DESC_CONTEXT, SID, d, sid);
	SET(VTD_DESC_CONTEXT, FM, d, fm);
	return invalidate(box, d);
}

static inline bool inv_pasid(struct box *box, unsigned granularity, unsigned did, unsigned pasid)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_PASID, TYPE, d, VTD_DESC_PASID);
	SET(VTD_DESC_PASID, G, d, granularity);
	SET(VTD_DESC_PASID, DID, d, did);
	SET(VTD_DESC_PASID, PASID, d, pasid);
	return invalidate(box, d);
}

static inline bool inv_iotlb(struct box *box, unsigned granularity, unsigned did, uint64_t addr, unsigned am, unsigned ih)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_IOTLB, TYPE, d, VTD_DESC_IOTLB);
	SET(VTD_DESC_IOTLB, G, d, granularity);
	SET(VTD_DESC_IOTLB, DID, d, did);
	SET(VTD_DESC_IOTLB, AM, d, am);
	SET(VTD_DESC_IOTLB, IH, d, ih);
	SET_ADDR(VTD_DESC_IOTLB, ADDR, d, addr);
	return invalidate(box, d);
}

static inline bool inv_piotlb(struct box *box, unsigned granularity, unsigned did, unsigned pasid, uint64_t addr, unsigned am,
			      unsigned ih)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_PIOTLB, TYPE, d, VTD_DESC_PIOTLB);
	SET(VTD_DESC_PIOTLB, G, d, granularity);
	SET(VTD_DESC_PIOTLB, DID, d, did);
	SET(VTD_DESC_PIOTLB, PASID, d, pasid);
	SET(VTD_DESC_PIOTLB, AM, d, am);
	SET(VTD_DESC_PIOTLB, IH, d, ih);
	SET_ADDR(VTD_DESC_PIOTLB, ADDR, d, addr);
	return invalidate(box, d);
}

static inline bool inv_devtlb(struct box *box, unsigned sid, uint64_t addr, unsigned s)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_DEVTLB, TYPE, d, VTD_DESC_DEVTLB);
	SET(VTD_DESC_DEVTLB, SID, d, sid);
	SET(VTD_DESC_DEVTLB, S, d, s);
	SET_ADDR(VTD_DESC_DEVTLB, ADDR, d, addr);
	return invalidate(box, d);
}

static inline bool inv_pdevtlb(struct box *box, unsigned sid, unsigned pasid, uint64_t addr, unsigned s)
{
	uint64_t d[2] = { 0, 0 };

	SET(VTD_DESC_PDEVTLB, TYPE, d, VTD_DESC_PDEVTLB);
	SET(VTD_DESC_PDEVTLB, SID, d, sid);
	SET(VTD_DESC_PDEVTLB, PASID, d, pasid);
	SET(VTD_DESC_PDEVTLB, S, d, s);
	SET_ADDR(VTD_DESC_PDEVTLB, ADDR, d, addr);
	return invalidate(box, d);
}

static inline void flush_all(struct box *box)
{
	inv_context(box, VTD_CONTEXT_GLOBAL, 0, 0, 0);
	if (box->scalable)
		inv_pasid(box, VTD_PASID_CACHE_GLOBAL, 0, 0);
	inv_iotlb(box, VTD_IOTLB_GLOBAL, 0, 0, 0, 0);
}

/* ---- Faults ---- */

/* The oldest fault, taken out; words are 0 if there is none. */
static inline void take_fault(struct box *box, uint64_t words[2])
{
	uint64_t cap = reg(box, VTD_REG_CAP);
	uint64_t fsts = reg(box, VTD_REG_FSTS);
	unsigned at_offset = (unsigned)(GET(VTD_CAP, FRO, &cap) * 16 + GET(VTD_FSTS, FRI, &fsts) * 16);

	words[0] = words[1] = 0;
	if (!GET(VTD_FSTS, PPF, &fsts))
		return;
	words[0] = iommu_model_read(&box->model, at_offset, 8);
	words[1] = iommu_model_read(&box->model, at_offset + 8, 8);
	iommu_model_write(&box->model, at_offset + 12, 4, 1u << 31);
}

#endif
