/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model_smmuv3.h - a box for tests of the SMMUv3's model: RAM, a unit, tables built with the layout's macros, queues.
 *
 * Tables are written as software would write them; nothing of the driver is used.
 */
#ifndef TESTS_MODEL_SMMUV3_H
#define TESTS_MODEL_SMMUV3_H

#include <hitless/model-smmuv3.h>

#include "layout/lpae.h"
#include "layout/smmuv3.h"

/* guest: intermediate addresses of first-stage tables, and of what is mapped through them, are physical ones and this. */
#define BOX_MEMBERS \
	uint64_t strtab, commands, events, status, guest; \
	uint32_t sequence, prod;
#include "model_box.h"

#define COMMANDS_LOG2 6u
#define EVENTS_LOG2 3u
#define EVENT_ENTRIES (1u << EVENTS_LOG2)
#define SID_LOG2 16u
#define SPLIT SMMU_SPLIT_16K

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

static inline int box_open(struct box *box, const struct iommu_model_config *config)
{
	return box_open_unit(box, &smmuv3_model, config);
}

static inline uint64_t queue_base(uint64_t page, unsigned log2)
{
	uint64_t base = 0;

	SET(SMMU_QUEUE_BASE, LOG2SIZE, &base, log2);
	SET_ADDR(SMMU_QUEUE_BASE, ADDR, &base, page);
	return base;
}

static inline void set_cr0(struct box *box, uint64_t value)
{
	set32(box, SMMU_REG_CR0, value);
	ticks(box);
}

#define CR0_QUEUES (BITS(SMMU_CR0, CMDQEN) | BITS(SMMU_CR0, EVENTQEN))
#define CR0_ON (CR0_QUEUES | BITS(SMMU_CR0, SMMUEN) | BITS(SMMU_CR0, ATSCHK))

static inline void set_strtab(struct box *box, unsigned fmt, unsigned split, unsigned log2)
{
	uint64_t cfg = 0;

	SET(SMMU_STRTAB_BASE_CFG, FMT, &cfg, fmt);
	SET(SMMU_STRTAB_BASE_CFG, SPLIT, &cfg, split);
	SET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &cfg, log2);
	set64(box, SMMU_REG_STRTAB_BASE, box->strtab);
	set32(box, SMMU_REG_STRTAB_BASE_CFG, cfg);
}

/* Queues, and a stream table of two levels; off. */
static inline void box_queues(struct box *box)
{
	box->strtab = box_page(box);
	box->commands = box_page(box);
	box->events = box_page(box);
	box->status = box_page(box);
	set64(box, SMMU_REG_CMDQ_BASE, queue_base(box->commands, COMMANDS_LOG2));
	set64(box, SMMU_REG_EVENTQ_BASE, queue_base(box->events, EVENTS_LOG2));
	set32(box, SMMU_REG_CR2, BITS(SMMU_CR2, RECINVSID) | BITS(SMMU_CR2, REC_CFG_ATS));
	set_strtab(box, SMMU_STRTAB_2LVL, SPLIT, SID_LOG2);
	set_cr0(box, CR0_QUEUES);
}

static inline void box_tables(struct box *box)
{
	box_queues(box);
	set_cr0(box, CR0_ON);
}

/* Off, another CR2, and on. */
static inline void set_cr2(struct box *box, uint64_t value)
{
	set_cr0(box, CR0_QUEUES);
	set32(box, SMMU_REG_CR2, value);
	set_cr0(box, CR0_ON);
}

/* ---- Stream table ---- */

static inline uint64_t *l1std_at(struct box *box, uint32_t sid)
{
	return at(box, box->strtab + (sid >> SPLIT) * 8);
}

/* Of the table of two levels; the leaf table is made. */
static inline uint64_t *ste_at(struct box *box, uint32_t sid)
{
	uint64_t *l1 = l1std_at(box, sid);

	if (!*l1) {
		SET(SMMU_L1STD, SPAN, l1, SPLIT + 1);
		SET_ADDR(SMMU_L1STD, L2PTR, l1, box_pages_aligned(box, (SMMU_STE_BYTES << SPLIT) / PAGE));
	}
	return at(box, GET_ADDR(SMMU_L1STD, L2PTR, l1) + (sid & ((1u << SPLIT) - 1)) * SMMU_STE_BYTES);
}

static inline uint64_t *ste_config(uint64_t *ste, unsigned config)
{
	memset(ste, 0, SMMU_STE_BYTES);
	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, config);
	SET(SMMU_STE, SHCFG, ste, SMMU_SH_INCOMING);
	return ste;
}

static inline uint64_t *ste_bypass(struct box *box, uint32_t sid)
{
	return ste_config(ste_at(box, sid), SMMU_CONFIG_BYPASS);
}

static inline uint64_t *ste_s1(struct box *box, uint32_t sid, uint64_t cd)
{
	uint64_t *ste = ste_config(ste_at(box, sid), SMMU_CONFIG_S1);

	SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, cd);
	return ste;
}

/* ---- Page tables ---- */

struct pt {
	uint64_t root;
	unsigned shift, bits;
	bool s2;
};

static inline unsigned pt_start(const struct pt *pt)
{
	return lpae_levels(pt->shift, pt->bits, pt->s2) - 1;
}

static inline uint64_t pt_table(struct box *box, unsigned shift)
{
	return box_pages_aligned(box, 1u << (shift - 12));
}

static inline struct pt pt_new(struct box *box, unsigned shift, unsigned bits, bool s2)
{
	struct pt pt = { 0, shift, bits, s2 };
	uint64_t bytes = 8ull << (bits - lpae_shift(shift, pt_start(&pt)));

	pt.root = box_pages_aligned(box, bytes > PAGE ? (unsigned)(bytes / PAGE) : 1);
	return pt;
}

#define PT_TABLE (BITS(LPAE_TABLE, VALID) | BITS(LPAE_TABLE, TABLE))

/* The entry of a level; tables on the way are made. */
static inline uint64_t *pt_entry(struct box *box, const struct pt *pt, uint64_t address, unsigned level)
{
	uint64_t table = pt->root, guest = pt->s2 ? 0 : box->guest;

	address &= (1ull << pt->bits) - 1;
	for (unsigned i = pt_start(pt);; i--) {
		uint64_t index = address >> lpae_shift(pt->shift, i), *entry;

		if (i != pt_start(pt))
			index &= (1u << lpae_index_bits(pt->shift)) - 1;
		entry = at(box, table + index * 8);
		if (i == level)
			return entry;
		if (!(*entry & 1))
			*entry = (pt_table(box, pt->shift) + guest) | PT_TABLE;
		table = lpae_phys(*entry, pt->shift) - guest;
	}
}

/* AP1: unprivileged too. */
#define LEAF1 (BITS(LPAE_S1, VALID) | BITS(LPAE_S1, AF) | BITS(LPAE_S1, AP1) | BITS(LPAE_S1, NG))
#define LEAF2 (BITS(LPAE_S2, VALID) | BITS(LPAE_S2, AF) | BITS(LPAE_S2, READ) | BITS(LPAE_S2, WRITE) | BITS(LPAE_S2, MEMATTR))
#define PT_PAGE BITS(LPAE_S1, PAGE)

/* A leaf at a level. */
static inline uint64_t *pt_map(struct box *box, const struct pt *pt, uint64_t address, uint64_t phys, unsigned level)
{
	uint64_t *entry = pt_entry(box, pt, address, level);

	*entry = phys | (pt->s2 ? LEAF2 : LEAF1) | (level ? 0 : PT_PAGE);
	return entry;
}

/* Maps all of RAM at box->guest, by pages, so that first-stage tables and contexts can lie anywhere. */
static inline void map_ram(struct box *box, const struct pt *pt)
{
	for (uint64_t page = 0; page < BOX_BYTES; page += 1ull << pt->shift)
		pt_map(box, pt, box->guest + page, page, 0);
}

static inline unsigned tg0_of(unsigned shift)
{
	return shift == 12 ? SMMU_TG0_4K : shift == 14 ? SMMU_TG0_16K : SMMU_TG0_64K;
}

static inline unsigned tg1_of(unsigned shift)
{
	return shift == 12 ? SMMU_TG1_4K : shift == 14 ? SMMU_TG1_16K : SMMU_TG1_64K;
}

static inline unsigned sl0_of(const struct pt *pt)
{
	return pt->shift != 12 ? pt_start(pt) : pt_start(pt) == 0 ? 3 : pt_start(pt) - 1;
}

/* The second stage of an entry. */
static inline void ste_second(uint64_t *ste, const struct pt *pt, unsigned vmid)
{
	SET(SMMU_STE, S2VMID, ste, vmid);
	SET(SMMU_STE, S2T0SZ, ste, 64 - pt->bits);
	SET(SMMU_STE, S2SL0, ste, sl0_of(pt));
	SET(SMMU_STE, S2TG, ste, tg0_of(pt->shift));
	SET(SMMU_STE, S2PS, ste, SMMU_PS_48);
	SET(SMMU_STE, S2AA64, ste, 1);
	SET(SMMU_STE, S2R, ste, 1);
	SET_ADDR(SMMU_STE, S2TTB, ste, pt->root);
}

static inline uint64_t *ste_s2(struct box *box, uint32_t sid, const struct pt *pt, unsigned vmid)
{
	uint64_t *ste = ste_config(ste_at(box, sid), SMMU_CONFIG_S2);

	ste_second(ste, pt, vmid);
	return ste;
}

static inline uint64_t *ste_nested(struct box *box, uint32_t sid, uint64_t cd, const struct pt *pt, unsigned vmid)
{
	uint64_t *ste = ste_s1(box, sid, cd + box->guest);

	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_NESTED);
	ste_second(ste, pt, vmid);
	return ste;
}

/* A context descriptor with TTB0 only. */
static inline uint64_t *cd_set(struct box *box, uint64_t address, const struct pt *pt, unsigned asid)
{
	uint64_t *cd = at(box, address);

	memset(cd, 0, SMMU_CD_BYTES);
	SET(SMMU_CD, V, cd, 1);
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, R, cd, 1);
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, IPS, cd, SMMU_PS_48);
	SET(SMMU_CD, T0SZ, cd, 64 - pt->bits);
	SET(SMMU_CD, TG0, cd, tg0_of(pt->shift));
	SET(SMMU_CD, ASID, cd, asid);
	SET_ADDR(SMMU_CD, TTB0, cd, pt->root + box->guest);
	return cd;
}

static inline void cd_set_ttb1(struct box *box, uint64_t *cd, const struct pt *pt)
{
	SET(SMMU_CD, EPD1, cd, 0);
	SET(SMMU_CD, T1SZ, cd, 64 - pt->bits);
	SET(SMMU_CD, TG1, cd, tg1_of(pt->shift));
	SET_ADDR(SMMU_CD, TTB1, cd, pt->root + box->guest);
}

/* ---- Commands ---- */

static inline void submit(struct box *box, const uint64_t *command)
{
	uint64_t *to = at(box, box->commands + SMMU_CMD_BYTES * (box->prod & ((1u << COMMANDS_LOG2) - 1)));

	/* Atomic stores: another thread may read them. */
	__atomic_store_n(to, command[0], __ATOMIC_RELEASE);
	__atomic_store_n(to + 1, command[1], __ATOMIC_RELEASE);
	box->prod = (box->prod + 1) & ((2u << COMMANDS_LOG2) - 1);
	set32(box, SMMU_REG_CMDQ_PROD, box->prod);
}

static inline void submit_sync(struct box *box)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_SYNC, OPCODE, c, SMMU_CMD_SYNC);
	SET(SMMU_CMD_SYNC, CS, c, SMMU_CS_IRQ);
	SET(SMMU_CMD_SYNC, MSIDATA, c, ++box->sequence);
	SET_ADDR(SMMU_CMD_SYNC, MSIADDR, &c[0], box->status);
	submit(box, c);
}

static inline bool synced(struct box *box)
{
	return __atomic_load_n((uint32_t *)(void *)at(box, box->status), __ATOMIC_ACQUIRE) == box->sequence;
}

static inline void finish_commands(struct box *box)
{
	submit_sync(box);
	ticks(box);
	if (!synced(box))
		exit(2);
}

static inline void submit_cfgi_ste(struct box *box, uint32_t sid, bool leaf)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_CFGI_STE, OPCODE, c, SMMU_CMD_CFGI_STE);
	SET(SMMU_CMD_CFGI_STE, SID, c, sid);
	SET(SMMU_CMD_CFGI_STE, LEAF, c, leaf);
	submit(box, c);
}

static inline void submit_cfgi_range(struct box *box, uint32_t sid, unsigned range)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_CFGI_STE_RANGE, OPCODE, c, SMMU_CMD_CFGI_STE_RANGE);
	SET(SMMU_CMD_CFGI_STE_RANGE, SID, c, sid);
	SET(SMMU_CMD_CFGI_STE_RANGE, RANGE, c, range);
	submit(box, c);
}

static inline void submit_cfgi_cd(struct box *box, uint32_t sid, uint32_t ssid, bool leaf)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_CFGI_CD, OPCODE, c, SMMU_CMD_CFGI_CD);
	SET(SMMU_CMD_CFGI_CD, SID, c, sid);
	SET(SMMU_CMD_CFGI_CD, SSID, c, ssid);
	SET(SMMU_CMD_CFGI_CD, LEAF, c, leaf);
	submit(box, c);
}

static inline void submit_cfgi_cd_all(struct box *box, uint32_t sid)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_CFGI_CD_ALL, OPCODE, c, SMMU_CMD_CFGI_CD_ALL);
	SET(SMMU_CMD_CFGI_CD_ALL, SID, c, sid);
	submit(box, c);
}

static inline void submit_tlbi(struct box *box, unsigned op, unsigned vmid, unsigned asid)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_TLBI, OPCODE, c, op);
	SET(SMMU_CMD_TLBI, VMID, c, vmid);
	SET(SMMU_CMD_TLBI, ASID, c, asid);
	submit(box, c);
}

struct range {
	unsigned tg, num, scale, ttl;
};

/* CMD_TLBI_*_VA, _VAA and CMD_TLBI_S2_IPA; a range with tg 0: that one address. */
static inline void submit_tlbi_range(struct box *box, unsigned op, unsigned vmid, unsigned asid, uint64_t address, bool leaf,
				     struct range range)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_TLBI_VA, OPCODE, c, op);
	SET(SMMU_CMD_TLBI_VA, VMID, c, vmid);
	SET(SMMU_CMD_TLBI_VA, ASID, c, asid);
	SET(SMMU_CMD_TLBI_VA, LEAF, c, leaf);
	SET(SMMU_CMD_TLBI_VA, TG, c, range.tg);
	SET(SMMU_CMD_TLBI_VA, NUM, c, range.num);
	SET(SMMU_CMD_TLBI_VA, SCALE, c, range.scale);
	SET(SMMU_CMD_TLBI_VA, TTL, c, range.ttl);
	SET_ADDR(SMMU_CMD_TLBI_VA, ADDR, c, address);
	submit(box, c);
}

static inline void submit_atc_inv(struct box *box, uint32_t sid, uint32_t ssid, bool global, uint64_t address, unsigned size)
{
	uint64_t c[2] = { 0, 0 };

	SET(SMMU_CMD_ATC_INV, OPCODE, c, SMMU_CMD_ATC_INV);
	SET(SMMU_CMD_ATC_INV, SID, c, sid);
	if (ssid != BOX_NO_PASID) {
		SET(SMMU_CMD_ATC_INV, SSV, c, 1);
		SET(SMMU_CMD_ATC_INV, SSID, c, ssid);
	}
	SET(SMMU_CMD_ATC_INV, GLOBAL, c, global);
	SET(SMMU_CMD_ATC_INV, SIZE, c, size);
	SET_ADDR(SMMU_CMD_ATC_INV, ADDR, c, address);
	submit(box, c);
}

static inline void cfgi_ste(struct box *box, uint32_t sid)
{
	submit_cfgi_ste(box, sid, false);
	finish_commands(box);
}

static inline void cfgi_cd(struct box *box, uint32_t sid, uint32_t ssid)
{
	submit_cfgi_cd(box, sid, ssid, false);
	finish_commands(box);
}

static inline void tlbi(struct box *box, unsigned op, unsigned vmid, unsigned asid)
{
	submit_tlbi(box, op, vmid, asid);
	finish_commands(box);
}

static inline void tlbi_va(struct box *box, unsigned op, unsigned vmid, unsigned asid, uint64_t address)
{
	submit_tlbi_range(box, op, vmid, asid, address, false, (struct range){ 0 });
	finish_commands(box);
}

/* Forgets everything but device TLBs. */
static inline void flush(struct box *box)
{
	submit_cfgi_range(box, 0, SMMU_CFGI_RANGE_ALL);
	submit_tlbi(box, SMMU_CMD_TLBI_NSNH_ALL, 0, 0);
	submit_tlbi(box, SMMU_CMD_TLBI_EL2_ALL, 0, 0);
	finish_commands(box);
}

/* ---- Events ---- */

static inline unsigned events_waiting(struct box *box)
{
	uint64_t prod = reg32(box, SMMU_REG_EVENTQ_PROD), cons = reg32(box, SMMU_REG_EVENTQ_CONS);

	return (unsigned)(GET(SMMU_EVENTQ_PROD, WR, &prod) - GET(SMMU_EVENTQ_CONS, RD, &cons)) % (2 * EVENT_ENTRIES);
}

/* The oldest record; false: there is none. */
static inline bool next_event(struct box *box, uint64_t *record)
{
	uint64_t cons = reg32(box, SMMU_REG_EVENTQ_CONS);

	if (!events_waiting(box))
		return false;
	memcpy(record, at(box, box->events + SMMU_EVENT_BYTES * (cons % EVENT_ENTRIES)), SMMU_EVENT_BYTES);
	SET(SMMU_EVENTQ_CONS, RD, &cons, (cons + 1) % (2 * EVENT_ENTRIES));
	set32(box, SMMU_REG_EVENTQ_CONS, cons);
	return true;
}

static inline void forget_events(struct box *box)
{
	uint64_t record[SMMU_EVENT_WORDS];

	while (next_event(box, record))
		;
}

#endif
