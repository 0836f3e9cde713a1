/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi.h - every structure, command, event and register of AMD-Vi, once.
 *
 * "Section" is of the AMD I/O Virtualization Technology (IOMMU) Specification, document 48882, revision 3.x.
 */
#ifndef LAYOUT_AMDVI_H
#define LAYOUT_AMDVI_H

#include "layout.h"

/* ---- 2.2.2.1 Device table entry: 256 bits, by DeviceID ---- */

/*
 * The mode is about DMA. Interrupts have a valid bit of their own (IV) in the upper half; since no update of the DMA part may
 * change what happens to interrupts, all their fields count as looked at in every mode.
 */
enum {
	AMDVI_DTE_MODE_PASS,		/* V=0: DMA goes through untranslated. Not a block! */
	AMDVI_DTE_MODE_BLOCKED,		/* V=1, TV=0: whatever needs a translation is aborted */
	AMDVI_DTE_MODE_IDENTITY,	/* Mode 0, GV=0 */
	AMDVI_DTE_MODE_V1,		/* Mode 1-6, GV=0: host tables */
	AMDVI_DTE_MODE_V2,		/* Mode 0, GV=1: guest tables through the GCR3 table */
	AMDVI_DTE_MODE_NESTED,		/* Mode 1-6, GV=1: guest tables over host tables */
	AMDVI_DTE_MODE_RESERVED		/* an encoding of Mode, GLX or GuestPagingMode that does not exist */
};
#define AMDVI_DTE_VALID (~(1u << AMDVI_DTE_MODE_PASS))
#define AMDVI_DTE_TRANSLATE (AMDVI_DTE_VALID & ~(1u << AMDVI_DTE_MODE_BLOCKED))
#define AMDVI_DTE_RESERVED (1u << AMDVI_DTE_MODE_RESERVED)
#define AMDVI_DTE_HOST (1u << AMDVI_DTE_MODE_V1 | 1u << AMDVI_DTE_MODE_NESTED | AMDVI_DTE_RESERVED)
#define AMDVI_DTE_GUEST (1u << AMDVI_DTE_MODE_V2 | 1u << AMDVI_DTE_MODE_NESTED | AMDVI_DTE_RESERVED)
#define AMDVI_DTE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.2.2.1", "0=DMA passes untranslated|1=valid") \
	f(s, TV, 1, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=translation information not valid|1=valid") \
	f(s, HAD, 7, 2, AMDVI_DTE_HOST, "2.2.2.1", "0=no accessed and dirty flags|1=accessed set by hardware|2=reserved|3=accessed and dirty set by hardware") \
	f(s, MODE, 9, 3, AMDVI_DTE_TRANSLATE, "2.2.2.1", \
	  "0=no host translation|1=1 level|2=2 levels|3=3 levels|4=4 levels|5=5 levels|6=6 levels|7=reserved") \
	f(s, HOST_PT_ROOT, 12, 40, AMDVI_DTE_HOST, "2.2.2.1", "") \
	f(s, PPR, 52, 1, AMDVI_DTE_TRANSLATE, "2.2.2.1", "0=page requests are refused|1=logged") \
	f(s, GPRP, 53, 1, AMDVI_DTE_GUEST, "2.2.2.1", "0=page responses without PASID|1=with") \
	f(s, GIOV, 54, 1, AMDVI_DTE_GUEST, "2.2.2.1", "0=requests without PASID use host tables only|1=they use PASID 0") \
	f(s, GV, 55, 1, AMDVI_DTE_TRANSLATE, "2.2.2.1", "0=no guest translation|1=guest translation") \
	f(s, GLX, 56, 2, AMDVI_DTE_GUEST, "2.2.2.1", "0=1-level GCR3 table|1=2 levels|2=3 levels|3=reserved") \
	f(s, GCR3_14_12, 58, 3, AMDVI_DTE_GUEST, "2.2.2.1", "") \
	f(s, IR, 61, 1, AMDVI_DTE_TRANSLATE, "2.2.2.1", "0=no reads|1=reads allowed") \
	f(s, IW, 62, 1, AMDVI_DTE_TRANSLATE, "2.2.2.1", "0=no writes|1=writes allowed") \
	f(s, DOMAIN_ID, 64, 16, AMDVI_DTE_TRANSLATE, "2.2.2.1", "") \
	f(s, GCR3_30_15, 80, 16, AMDVI_DTE_GUEST, "2.2.2.1", "") \
	f(s, I, 96, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=translation requests are refused|1=device TLB allowed") \
	f(s, SE, 97, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=every page fault is logged|1=only one for a device and domain") \
	f(s, SA, 98, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=page faults are logged|1=not logged") \
	f(s, IOCTL, 99, 2, AMDVI_DTE_VALID, "2.2.2.1", "0=port I/O is aborted|1=passed|2=translated|3=reserved") \
	f(s, CACHE, 101, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=translations for the device TLB are cached|1=not cached") \
	f(s, SD, 102, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=table walks snoop|1=they don't") \
	f(s, EX, 103, 1, AMDVI_DTE_VALID, "2.2.2.1", "0=the exclusion range is not for this device|1=it is") \
	f(s, SYSMGT, 104, 2, AMDVI_DTE_VALID, "2.2.2.1", "0=system management is aborted|1=messages pass|2=interrupts pass|3=translated") \
	f(s, GCR3_51_31, 107, 21, AMDVI_DTE_GUEST, "2.2.2.1", "") \
	f(s, IV, 128, 1, ALWAYS, "2.2.2.1", "0=interrupts pass|1=interrupt map valid") \
	f(s, INT_TAB_LEN, 129, 4, ALWAYS, "2.2.2.1", "") \
	f(s, IG, 133, 1, ALWAYS, "2.2.2.1", "0=unmapped interrupts are logged|1=not logged") \
	f(s, INT_TABLE_ROOT, 134, 46, ALWAYS, "2.2.2.1", "") \
	f(s, GUEST_PAGING_MODE, 182, 2, AMDVI_DTE_GUEST, "2.2.2.1", "0=4 levels|1=5 levels|2=reserved|3=reserved") \
	f(s, INIT_PASS, 184, 1, ALWAYS, "2.2.2.1", "") \
	f(s, EINT_PASS, 185, 1, ALWAYS, "2.2.2.1", "") \
	f(s, NMI_PASS, 186, 1, ALWAYS, "2.2.2.1", "") \
	f(s, INT_CTL, 188, 2, ALWAYS, "2.2.2.1", "0=interrupts are aborted|1=passed|2=remapped|3=reserved") \
	f(s, LINT0_PASS, 190, 1, ALWAYS, "2.2.2.1", "") \
	f(s, LINT1_PASS, 191, 1, ALWAYS, "2.2.2.1", "") \
	f(s, ATTR_V, 246, 1, ALWAYS, "2.2.2.1", "0=attributes from the tables|1=attribute override") \
	f(s, MODE0_FC, 247, 1, ALWAYS, "2.2.2.1", "") \
	f(s, SNOOP_ATTRIBUTE, 248, 8, ALWAYS, "2.2.2.1", "")
LAYOUT_FIELDS(AMDVI_DTE, AMDVI_DTE_LIST);

enum { AMDVI_GPM_4_LEVEL = 0, AMDVI_GPM_5_LEVEL = 1 };
enum { AMDVI_GCR3_LEVEL_BITS = 9 };	/* of the PASID, per level of GCR3 table */
enum { AMDVI_GLX_1_LEVEL = 0, AMDVI_GLX_2_LEVEL = 1, AMDVI_GLX_3_LEVEL = 2 };
enum { AMDVI_MAX_LEVELS = 6 };

static inline unsigned amdvi_dte_mode(const uint64_t *entry)
{
	unsigned mode = (unsigned)GET(AMDVI_DTE, MODE, entry);

	if (!GET(AMDVI_DTE, V, entry))
		return AMDVI_DTE_MODE_PASS;
	if (!GET(AMDVI_DTE, TV, entry))
		return AMDVI_DTE_MODE_BLOCKED;
	if (mode > AMDVI_MAX_LEVELS)
		return AMDVI_DTE_MODE_RESERVED;
	if (!GET(AMDVI_DTE, GV, entry))
		return mode ? AMDVI_DTE_MODE_V1 : AMDVI_DTE_MODE_IDENTITY;
	if (GET(AMDVI_DTE, GLX, entry) > AMDVI_GLX_3_LEVEL || GET(AMDVI_DTE, GUEST_PAGING_MODE, entry) > AMDVI_GPM_5_LEVEL)
		return AMDVI_DTE_MODE_RESERVED;
	return mode ? AMDVI_DTE_MODE_NESTED : AMDVI_DTE_MODE_V2;
}

/* The GCR3 table's address lies in three pieces. */
static inline uint64_t amdvi_dte_gcr3(const uint64_t *entry)
{
	return GET(AMDVI_DTE, GCR3_14_12, entry) << 12 | GET(AMDVI_DTE, GCR3_30_15, entry) << 15 |
	       GET(AMDVI_DTE, GCR3_51_31, entry) << 31;
}

static inline void amdvi_dte_set_gcr3(uint64_t *entry, uint64_t address)
{
	SET(AMDVI_DTE, GCR3_14_12, entry, address >> 12);
	SET(AMDVI_DTE, GCR3_30_15, entry, address >> 15);
	SET(AMDVI_DTE, GCR3_51_31, entry, address >> 31);
}

/* ---- 2.2.6.3 Guest CR3 table entry: 64 bits; of every level, by PASID, 512 in a table ---- */

enum { AMDVI_GCR3_MODE_ABSENT, AMDVI_GCR3_MODE_PRESENT };
#define AMDVI_GCR3_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.2.6.3", "0=not valid|1=valid") \
	f(s, ADDR, 12, 40, 1u << AMDVI_GCR3_MODE_PRESENT, "2.2.6.3", "")
LAYOUT_FIELDS(AMDVI_GCR3, AMDVI_GCR3_LIST);

/* A valid one: to the guest table of a PASID, or to the next level's table. */
static inline uint64_t amdvi_gcr3_to(uint64_t address)
{
	return BITS(AMDVI_GCR3, V) | (address & BITS(AMDVI_GCR3, ADDR));
}

static inline unsigned amdvi_gcr3_mode(const uint64_t *entry)
{
	return GET(AMDVI_GCR3, V, entry) ? AMDVI_GCR3_MODE_PRESENT : AMDVI_GCR3_MODE_ABSENT;
}

/* ---- Page-table entries: 64 bits ---- */

/*
 * 2.2.3 I/O (host, "v1") page-table entry of every level. Next level 0 maps a page of the level's own size, 7 a page of another
 * power of two, which is coded in the address: as many of its low bits are ones as the size needs, with a zero above them.
 */
enum {
	AMDVI_V1_MODE_ABSENT,
	AMDVI_V1_MODE_TABLE,		/* next level 1-6 */
	AMDVI_V1_MODE_PAGE		/* next level 0 or 7 */
};
#define AMDVI_V1_PRESENT (~(1u << AMDVI_V1_MODE_ABSENT))
#define AMDVI_V1_PAGE (1u << AMDVI_V1_MODE_PAGE)
#define AMDVI_V1_LIST(s, f) \
	f(s, PR, 0, 1, ALWAYS, "2.2.3", "0=not present|1=present") \
	f(s, IGNORED, 1, 4, 0, "2.2.3", "") \
	f(s, A, 5, 1, AMDVI_V1_PRESENT, "2.2.3", "0=not accessed|1=accessed") \
	f(s, D, 6, 1, AMDVI_V1_PAGE, "2.2.3", "0=clean|1=dirty") \
	f(s, IGNORED2, 7, 2, 0, "2.2.3", "") \
	f(s, NEXT_LEVEL, 9, 3, AMDVI_V1_PRESENT, "2.2.3", \
	  "0=maps a page|1=table of level 1|2=table of level 2|3=table of level 3|4=table of level 4|5=table of level 5|6=table of level 6|7=maps a page whose size is in the address") \
	f(s, ADDR, 12, 40, AMDVI_V1_PRESENT, "2.2.3", "") \
	f(s, U, 59, 1, AMDVI_V1_PAGE, "2.2.3", "0=translated and untranslated accesses|1=untranslated only") \
	f(s, FC, 60, 1, AMDVI_V1_PAGE, "2.2.3", "0=as the request says|1=force coherent") \
	f(s, IR, 61, 1, AMDVI_V1_PRESENT, "2.2.3", "0=no reads|1=reads allowed") \
	f(s, IW, 62, 1, AMDVI_V1_PRESENT, "2.2.3", "0=no writes|1=writes allowed") \
	f(s, IGNORED3, 63, 1, 0, "2.2.3", "")
LAYOUT_FIELDS(AMDVI_V1, AMDVI_V1_LIST);
enum { AMDVI_V1_NEXT_PAGE = 0, AMDVI_V1_NEXT_SIZED = 7 };

static inline unsigned amdvi_v1_mode(const uint64_t *entry)
{
	unsigned next = (unsigned)GET(AMDVI_V1, NEXT_LEVEL, entry);

	if (!GET(AMDVI_V1, PR, entry))
		return AMDVI_V1_MODE_ABSENT;
	return next == AMDVI_V1_NEXT_PAGE || next == AMDVI_V1_NEXT_SIZED ? AMDVI_V1_MODE_PAGE : AMDVI_V1_MODE_TABLE;
}

/* 2.2.6.4 Guest ("v2") page-table entry of every level: as the processor's long mode has it */
#define AMDVI_V2_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "2.2.6.4", "0=not present|1=present") \
	f(s, RW, 1, 1, ALWAYS, "2.2.6.4", "0=read-only|1=writable") \
	f(s, US, 2, 1, ALWAYS, "2.2.6.4", "0=supervisor|1=user") \
	f(s, PWT, 3, 1, ALWAYS, "2.2.6.4", "") \
	f(s, PCD, 4, 1, ALWAYS, "2.2.6.4", "") \
	f(s, A, 5, 1, ALWAYS, "2.2.6.4", "0=not accessed|1=accessed") \
	f(s, D, 6, 1, ALWAYS, "2.2.6.4", "0=clean|1=dirty") \
	f(s, PS, 7, 1, ALWAYS, "2.2.6.4", "0=points to a table|1=maps a large page") \
	f(s, G, 8, 1, ALWAYS, "2.2.6.4", "") \
	f(s, AVAILABLE, 9, 3, 0, "2.2.6.4", "") \
	f(s, ADDR, 12, 40, ALWAYS, "2.2.6.4", "") \
	f(s, IGNORED, 52, 11, 0, "2.2.6.4", "") \
	f(s, NX, 63, 1, ALWAYS, "2.2.6.4", "0=may be executed|1=may not")
LAYOUT_FIELDS(AMDVI_V2, AMDVI_V2_LIST);

/* ---- 2.4 Commands: 128 bits ---- */

enum {
	AMDVI_CMD_WAIT = 1,
	AMDVI_CMD_DTE = 2,
	AMDVI_CMD_PAGES = 3,
	AMDVI_CMD_IOTLB = 4,
	AMDVI_CMD_INTERRUPTS = 5,
	AMDVI_CMD_PREFETCH = 6,
	AMDVI_CMD_PPR = 7,
	AMDVI_CMD_ALL = 8
};

#define AMDVI_CMD_LIST(s, f) \
	f(s, OPCODE, 60, 4, ALWAYS, "2.4", \
	  "1=COMPLETION_WAIT|2=INVALIDATE_DEVTAB_ENTRY|3=INVALIDATE_IOMMU_PAGES|4=INVALIDATE_IOTLB_PAGES|5=INVALIDATE_INTERRUPT_TABLE|6=PREFETCH_IOMMU_PAGES|7=COMPLETE_PPR_REQUEST|8=INVALIDATE_IOMMU_ALL|9=INSERT_GUEST_EVENT|10=RESET_VMMIO")
LAYOUT_FIELDS(AMDVI_CMD, AMDVI_CMD_LIST);

/* The mode of a wait is whether it stores (S). */
#define AMDVI_CMD_WAIT_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, S, 0, 1, ALWAYS, "2.4.1", "0=no store|1=store when done") \
	f(s, I, 1, 1, ALWAYS, "2.4.1", "0=no interrupt|1=interrupt when done") \
	f(s, F, 2, 1, ALWAYS, "2.4.1", "0=later commands may start|1=later commands wait for this one") \
	f(s, STORE_ADDR, 3, 49, 1u << 1, "2.4.1", "") \
	f(s, STORE_DATA, 64, 64, 1u << 1, "2.4.1", "")
LAYOUT_FIELDS(AMDVI_CMD_WAIT, AMDVI_CMD_WAIT_LIST);

#define AMDVI_CMD_DTE_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.4.2", "")
LAYOUT_FIELDS(AMDVI_CMD_DTE, AMDVI_CMD_DTE_LIST);

/*
 * With S=1 the size is in the address: the lowest zero among bits 12 and up makes it twice that bit's weight; bits 62:12 all
 * ones and bit 63 zero: every address. GN=0: by DomainID alone; GN=1: by DomainID and PASID.
 */
#define AMDVI_CMD_PAGES_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, PASID, 0, 20, ALWAYS, "2.4.3", "") \
	f(s, DOMAIN_ID, 32, 16, ALWAYS, "2.4.3", "") \
	f(s, S, 64, 1, ALWAYS, "2.4.3", "0=one page of 4K|1=size is in the address") \
	f(s, PDE, 65, 1, ALWAYS, "2.4.3", "0=leaves only|1=tables as well") \
	f(s, GN, 66, 1, ALWAYS, "2.4.3", "0=guest-physical, host tables|1=guest-virtual, by PASID") \
	f(s, ADDR, 76, 52, ALWAYS, "2.4.3", "")
LAYOUT_FIELDS(AMDVI_CMD_PAGES, AMDVI_CMD_PAGES_LIST);

#define AMDVI_CMD_IOTLB_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.4.4", "") \
	f(s, PASID_15_8, 16, 8, ALWAYS, "2.4.4", "") \
	f(s, MAX_PEND, 24, 8, ALWAYS, "2.4.4", "") \
	f(s, QUEUE_ID, 32, 16, ALWAYS, "2.4.4", "") \
	f(s, PASID_7_0, 48, 8, ALWAYS, "2.4.4", "") \
	f(s, PASID_19_16, 56, 4, ALWAYS, "2.4.4", "") \
	f(s, S, 64, 1, ALWAYS, "2.4.4", "0=one page of 4K|1=size is in the address") \
	f(s, GN, 66, 1, ALWAYS, "2.4.4", "0=without PASID|1=with PASID") \
	f(s, TYPE, 68, 2, ALWAYS, "2.4.4", "") \
	f(s, ADDR, 76, 52, ALWAYS, "2.4.4", "")
LAYOUT_FIELDS(AMDVI_CMD_IOTLB, AMDVI_CMD_IOTLB_LIST);

#define AMDVI_CMD_INTERRUPTS_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.4.5", "")
LAYOUT_FIELDS(AMDVI_CMD_INTERRUPTS, AMDVI_CMD_INTERRUPTS_LIST);

#define AMDVI_CMD_PREFETCH_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.4.6", "") \
	f(s, PF_COUNT, 24, 8, ALWAYS, "2.4.6", "") \
	f(s, PASID, 32, 20, ALWAYS, "2.4.6", "") \
	f(s, S, 64, 1, ALWAYS, "2.4.6", "0=one page of 4K|1=size is in the address") \
	f(s, GN, 66, 1, ALWAYS, "2.4.6", "0=without PASID|1=with PASID") \
	f(s, INVAL, 68, 1, ALWAYS, "2.4.6", "0=keep what is cached|1=invalidate it first") \
	f(s, ADDR, 76, 52, ALWAYS, "2.4.6", "")
LAYOUT_FIELDS(AMDVI_CMD_PREFETCH, AMDVI_CMD_PREFETCH_LIST);

#define AMDVI_CMD_PPR_LIST(s, f) \
	AMDVI_CMD_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.4.7", "") \
	f(s, PASID, 32, 20, ALWAYS, "2.4.7", "") \
	f(s, GN, 66, 1, ALWAYS, "2.4.7", "0=without PASID|1=with PASID") \
	f(s, TAG, 96, 16, ALWAYS, "2.4.7", "")
LAYOUT_FIELDS(AMDVI_CMD_PPR, AMDVI_CMD_PPR_LIST);

#define AMDVI_CMD_ALL_LIST(s, f) AMDVI_CMD_LIST(s, f)
LAYOUT_FIELDS(AMDVI_CMD_ALL, AMDVI_CMD_ALL_LIST);

/* What ADDR holds, with S=1, to mean every address. */
#define AMDVI_ALL_ADDRESSES 0x7ffffffffffff000ull

/* ---- 2.5 Events: 128 bits ---- */

enum {
	AMDVI_EVENT_ILLEGAL_DTE = 1,
	AMDVI_EVENT_PAGE_FAULT = 2,
	AMDVI_EVENT_DTE_HARDWARE = 3,
	AMDVI_EVENT_TABLE_HARDWARE = 4,
	AMDVI_EVENT_ILLEGAL_COMMAND = 5,
	AMDVI_EVENT_COMMAND_HARDWARE = 6,
	AMDVI_EVENT_IOTLB_TIMEOUT = 7,
	AMDVI_EVENT_INVALID_REQUEST = 8,
	AMDVI_EVENT_INVALID_PPR = 9,
	AMDVI_EVENT_COUNTER_ZERO = 10,
	AMDVI_EVENT_GUEST_FAULT = 11,
	AMDVI_EVENT_VIOMMU_HARDWARE = 12,
	AMDVI_EVENT_RMP_FAULT = 13,
	AMDVI_EVENT_RMP_HARDWARE = 14
};

#define AMDVI_EVENT_LIST(s, f) \
	f(s, CODE, 60, 4, ALWAYS, "2.5", \
	  "1=ILLEGAL_DEV_TABLE_ENTRY|2=IO_PAGE_FAULT|3=DEV_TAB_HARDWARE_ERROR|4=PAGE_TAB_HARDWARE_ERROR|5=ILLEGAL_COMMAND_ERROR|6=COMMAND_HARDWARE_ERROR|7=IOTLB_INV_TIMEOUT|8=INVALID_DEVICE_REQUEST|9=INVALID_PPR_REQUEST|10=EVENT_COUNTER_ZERO|11=GUEST_EVENT_FAULT|12=VIOMMU_HARDWARE_ERROR|13=RMP_PAGE_FAULT|14=RMP_HARDWARE_ERROR")
LAYOUT_FIELDS(AMDVI_EVENT, AMDVI_EVENT_LIST);

/* RW, PE, RZ: only where TR=0 or the entry was present; 2.5.2 */
#define AMDVI_EV_ILLEGAL_DTE_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.2", "") \
	f(s, PASID_19_16, 16, 4, ALWAYS, "2.5.2", "") \
	f(s, PASID_15_0, 32, 16, ALWAYS, "2.5.2", "") \
	f(s, GN, 48, 1, ALWAYS, "2.5.2", "0=no PASID|1=PASID valid") \
	f(s, I, 51, 1, ALWAYS, "2.5.2", "0=memory request|1=interrupt request") \
	f(s, RW, 53, 1, ALWAYS, "2.5.2", "0=read|1=write") \
	f(s, RZ, 55, 1, ALWAYS, "2.5.2", "0=illegal level encoding|1=reserved bit not zero") \
	f(s, TR, 56, 1, ALWAYS, "2.5.2", "0=transaction|1=translation request") \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.2", "")
LAYOUT_FIELDS(AMDVI_EV_ILLEGAL_DTE, AMDVI_EV_ILLEGAL_DTE_LIST);

#define AMDVI_EV_PAGE_FAULT_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.3", "") \
	f(s, PASID_19_16, 16, 4, ALWAYS, "2.5.3", "") \
	f(s, DOMAIN_OR_PASID, 32, 16, ALWAYS, "2.5.3", "") \
	f(s, GN, 48, 1, ALWAYS, "2.5.3", "0=DomainID|1=PASID[15:0]") \
	f(s, NX, 49, 1, ALWAYS, "2.5.3", "0=no instruction fetch|1=instruction fetch") \
	f(s, US, 50, 1, ALWAYS, "2.5.3", "0=supervisor|1=user") \
	f(s, I, 51, 1, ALWAYS, "2.5.3", "0=memory request|1=interrupt request") \
	f(s, PR, 52, 1, ALWAYS, "2.5.3", "0=entry not present|1=present") \
	f(s, RW, 53, 1, ALWAYS, "2.5.3", "0=read|1=write") \
	f(s, PE, 54, 1, ALWAYS, "2.5.3", "0=permission was there|1=no permission") \
	f(s, RZ, 55, 1, ALWAYS, "2.5.3", "0=illegal level encoding|1=reserved bit not zero") \
	f(s, TR, 56, 1, ALWAYS, "2.5.3", "0=transaction|1=translation request") \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.3", "")
LAYOUT_FIELDS(AMDVI_EV_PAGE_FAULT, AMDVI_EV_PAGE_FAULT_LIST);

#define AMDVI_HARDWARE_ERRORS "0=reserved|1=master abort|2=target abort|3=data error"
enum { AMDVI_ERROR_MASTER_ABORT = 1, AMDVI_ERROR_TARGET_ABORT = 2, AMDVI_ERROR_DATA = 3 };

#define AMDVI_EV_DTE_HARDWARE_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.4", "") \
	f(s, I, 51, 1, ALWAYS, "2.5.4", "0=memory request|1=interrupt request") \
	f(s, RW, 53, 1, ALWAYS, "2.5.4", "0=read|1=write") \
	f(s, TR, 56, 1, ALWAYS, "2.5.4", "0=transaction|1=translation request") \
	f(s, TYPE, 57, 2, ALWAYS, "2.5.4", AMDVI_HARDWARE_ERRORS) \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.4", "")
LAYOUT_FIELDS(AMDVI_EV_DTE_HARDWARE, AMDVI_EV_DTE_HARDWARE_LIST);

#define AMDVI_EV_TABLE_HARDWARE_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.5", "") \
	f(s, PASID_19_16, 16, 4, ALWAYS, "2.5.5", "") \
	f(s, DOMAIN_OR_PASID, 32, 16, ALWAYS, "2.5.5", "") \
	f(s, GN, 48, 1, ALWAYS, "2.5.5", "0=DomainID|1=PASID[15:0]") \
	f(s, I, 51, 1, ALWAYS, "2.5.5", "0=memory request|1=interrupt request") \
	f(s, RW, 53, 1, ALWAYS, "2.5.5", "0=read|1=write") \
	f(s, TR, 56, 1, ALWAYS, "2.5.5", "0=transaction|1=translation request") \
	f(s, TYPE, 57, 2, ALWAYS, "2.5.5", AMDVI_HARDWARE_ERRORS) \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.5", "")
LAYOUT_FIELDS(AMDVI_EV_TABLE_HARDWARE, AMDVI_EV_TABLE_HARDWARE_LIST);

#define AMDVI_EV_ILLEGAL_COMMAND_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, ADDR, 68, 60, ALWAYS, "2.5.6", "")
LAYOUT_FIELDS(AMDVI_EV_ILLEGAL_COMMAND, AMDVI_EV_ILLEGAL_COMMAND_LIST);

#define AMDVI_EV_COMMAND_HARDWARE_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, TYPE, 57, 2, ALWAYS, "2.5.7", AMDVI_HARDWARE_ERRORS) \
	f(s, ADDR, 68, 60, ALWAYS, "2.5.7", "")
LAYOUT_FIELDS(AMDVI_EV_COMMAND_HARDWARE, AMDVI_EV_COMMAND_HARDWARE_LIST);

#define AMDVI_EV_IOTLB_TIMEOUT_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.8", "") \
	f(s, ADDR, 68, 60, ALWAYS, "2.5.8", "")
LAYOUT_FIELDS(AMDVI_EV_IOTLB_TIMEOUT, AMDVI_EV_IOTLB_TIMEOUT_LIST);

#define AMDVI_EV_INVALID_REQUEST_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.9", "") \
	f(s, PASID_19_16, 16, 4, ALWAYS, "2.5.9", "") \
	f(s, PASID_15_0, 32, 16, ALWAYS, "2.5.9", "") \
	f(s, GN, 48, 1, ALWAYS, "2.5.9", "0=no PASID|1=PASID valid") \
	f(s, US, 49, 1, ALWAYS, "2.5.9", "0=supervisor|1=user") \
	f(s, TR, 56, 1, ALWAYS, "2.5.9", "0=transaction|1=translation request") \
	f(s, TYPE, 57, 3, ALWAYS, "2.5.9", "") \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.9", "")
LAYOUT_FIELDS(AMDVI_EV_INVALID_REQUEST, AMDVI_EV_INVALID_REQUEST_LIST);

/* TYPE of an INVALID_DEVICE_REQUEST, by TR (2.5.9) */
enum {
	/* TR=0 */
	AMDVI_INVALID_ADDRESS_F = 0,		/* read or write in a range that is not for DMA */
	AMDVI_INVALID_PRETRANSLATED = 1,	/* translated request from a device whose DTE has I=0 */
	AMDVI_INVALID_PORT_IO = 2,
	AMDVI_INVALID_SYSMGT = 3,
	AMDVI_INVALID_INTERRUPT = 4,
	AMDVI_INVALID_DEVICE_TABLE = 5,		/* DeviceID beyond the device table */
	AMDVI_INVALID_PASID = 6,		/* PASID beyond the GCR3 table, or none wanted */
	/* TR=1 */
	AMDVI_INVALID_TR_I_CLEAR = 0,		/* translation request while I=0 */
	AMDVI_INVALID_TR_DISABLED = 1		/* translation request where no translation may be cached */
};

#define AMDVI_EV_INVALID_PPR_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, DEVICE_ID, 0, 16, ALWAYS, "2.5.10", "") \
	f(s, PASID_19_16, 16, 4, ALWAYS, "2.5.10", "") \
	f(s, PASID_15_0, 32, 16, ALWAYS, "2.5.10", "") \
	f(s, GN, 48, 1, ALWAYS, "2.5.10", "0=no PASID|1=PASID valid") \
	f(s, RX, 49, 1, ALWAYS, "2.5.10", "") \
	f(s, RW, 53, 1, ALWAYS, "2.5.10", "0=read|1=write") \
	f(s, ADDR, 64, 64, ALWAYS, "2.5.10", "")
LAYOUT_FIELDS(AMDVI_EV_INVALID_PPR, AMDVI_EV_INVALID_PPR_LIST);

#define AMDVI_EV_COUNTER_ZERO_LIST(s, f) \
	AMDVI_EVENT_LIST(s, f) \
	f(s, NOTE_HIGH, 64, 20, ALWAYS, "2.5.11", "") \
	f(s, NOTE_LOW, 96, 32, ALWAYS, "2.5.11", "")
LAYOUT_FIELDS(AMDVI_EV_COUNTER_ZERO, AMDVI_EV_COUNTER_ZERO_LIST);

/* ---- 3.2.1 The PCI capability block's first word ---- */

#define AMDVI_CAPABILITY_LIST(s, f) \
	f(s, CAP_ID, 0, 8, ALWAYS, "3.2.1", "15=secure device") \
	f(s, CAP_PTR, 8, 8, ALWAYS, "3.2.1", "") \
	f(s, CAP_TYPE, 16, 3, ALWAYS, "3.2.1", "3=IOMMU") \
	f(s, CAP_REV, 19, 5, ALWAYS, "3.2.1", "") \
	f(s, IOTLB_SUP, 24, 1, ALWAYS, "3.2.1", "0=no device TLBs|1=device TLBs") \
	f(s, HT_TUNNEL, 25, 1, ALWAYS, "3.2.1", "") \
	f(s, NP_CACHE, 26, 1, ALWAYS, "3.2.1", "0=absent entries are not cached|1=they may be cached") \
	f(s, EFR_SUP, 27, 1, ALWAYS, "3.2.1", "") \
	f(s, CAP_EXT, 28, 1, ALWAYS, "3.2.1", "")
LAYOUT_FIELDS(AMDVI_CAPABILITY, AMDVI_CAPABILITY_LIST);

/* ---- 3.4 MMIO registers ---- */

#define AMDVI_DEVTAB_LIST(s, f) \
	f(s, SIZE, 0, 9, ALWAYS, "3.4.1", "") \
	f(s, BASE, 12, 40, ALWAYS, "3.4.1", "")
LAYOUT_FIELDS(AMDVI_DEVTAB, AMDVI_DEVTAB_LIST);

/* Command buffer and logs alike: 2^LEN entries of 16 bytes, LEN from 8 to 15. */
#define AMDVI_BUFFER_LIST(s, f) \
	f(s, BASE, 12, 40, ALWAYS, "3.4.2", "") \
	f(s, LEN, 56, 4, ALWAYS, "3.4.2", \
	  "8=256 entries|9=512 entries|10=1024 entries|11=2048 entries|12=4096 entries|13=8192 entries|14=16384 entries|15=32768 entries")
LAYOUT_FIELDS(AMDVI_BUFFER, AMDVI_BUFFER_LIST);
/* Their heads and tails: byte offsets. */
#define AMDVI_POINTER_LIST(s, f) f(s, OFFSET, 4, 15, ALWAYS, "3.4.13", "")
LAYOUT_FIELDS(AMDVI_POINTER, AMDVI_POINTER_LIST);

#define AMDVI_CONTROL_LIST(s, f) \
	f(s, IOMMU_EN, 0, 1, ALWAYS, "3.4.4", "0=DMA passes untranslated|1=enabled") \
	f(s, HT_TUN_EN, 1, 1, ALWAYS, "3.4.4", "") \
	f(s, EVENT_LOG_EN, 2, 1, ALWAYS, "3.4.4", "") \
	f(s, EVENT_INT_EN, 3, 1, ALWAYS, "3.4.4", "") \
	f(s, COM_WAIT_INT_EN, 4, 1, ALWAYS, "3.4.4", "") \
	f(s, INV_TIMEOUT, 5, 3, ALWAYS, "3.4.4", "0=none|1=1 ms|2=10 ms|3=100 ms|4=1 s|5=10 s|6=100 s|7=reserved") \
	f(s, PASS_PW, 8, 1, ALWAYS, "3.4.4", "") \
	f(s, RES_PASS_PW, 9, 1, ALWAYS, "3.4.4", "") \
	f(s, COHERENT, 10, 1, ALWAYS, "3.4.4", "0=device table reads need not snoop|1=they snoop") \
	f(s, ISOC, 11, 1, ALWAYS, "3.4.4", "") \
	f(s, CMD_BUF_EN, 12, 1, ALWAYS, "3.4.4", "") \
	f(s, PPR_LOG_EN, 13, 1, ALWAYS, "3.4.4", "") \
	f(s, PPR_INT_EN, 14, 1, ALWAYS, "3.4.4", "") \
	f(s, PPR_EN, 15, 1, ALWAYS, "3.4.4", "") \
	f(s, GT_EN, 16, 1, ALWAYS, "3.4.4", "0=guest translation off|1=on") \
	f(s, GA_EN, 17, 1, ALWAYS, "3.4.4", "") \
	f(s, CRW, 18, 4, ALWAYS, "3.4.4", "") \
	f(s, SMIF_EN, 22, 1, ALWAYS, "3.4.4", "") \
	f(s, SLF_WB_DIS, 23, 1, ALWAYS, "3.4.4", "") \
	f(s, SMIF_LOG_EN, 24, 1, ALWAYS, "3.4.4", "") \
	f(s, GAM_EN, 25, 3, ALWAYS, "3.4.4", "") \
	f(s, GA_LOG_EN, 28, 1, ALWAYS, "3.4.4", "") \
	f(s, GA_INT_EN, 29, 1, ALWAYS, "3.4.4", "") \
	f(s, DUAL_PPR_LOG_EN, 30, 2, ALWAYS, "3.4.4", "") \
	f(s, DUAL_EVENT_LOG_EN, 32, 2, ALWAYS, "3.4.4", "") \
	f(s, DEV_TBL_SEG_EN, 34, 3, ALWAYS, "3.4.4", "0=one table|1=2 segments|2=4 segments|3=8 segments") \
	f(s, PRIV_ABRT_EN, 37, 2, ALWAYS, "3.4.4", "") \
	f(s, PPR_AUTO_RSP_EN, 39, 1, ALWAYS, "3.4.4", "") \
	f(s, MARC_EN, 40, 1, ALWAYS, "3.4.4", "") \
	f(s, BLK_STOP_MRK_EN, 41, 1, ALWAYS, "3.4.4", "") \
	f(s, PPR_AUTO_RSP_AON, 42, 1, ALWAYS, "3.4.4", "") \
	f(s, NUM_INT_REMAP_MODE, 43, 2, ALWAYS, "3.4.4", "") \
	f(s, EPH_EN, 45, 1, ALWAYS, "3.4.4", "") \
	f(s, HAD_UPDATE, 46, 2, ALWAYS, "3.4.4", "") \
	f(s, GD_UPDATE_DIS, 48, 1, ALWAYS, "3.4.4", "") \
	f(s, XT_EN, 50, 1, ALWAYS, "3.4.4", "") \
	f(s, INT_CAP_XT_EN, 51, 1, ALWAYS, "3.4.4", "") \
	f(s, VCMD_EN, 52, 1, ALWAYS, "3.4.4", "") \
	f(s, VIOMMU_EN, 53, 1, ALWAYS, "3.4.4", "") \
	f(s, GA_UPDATE_DIS, 54, 1, ALWAYS, "3.4.4", "") \
	f(s, GAPPI_EN, 55, 1, ALWAYS, "3.4.4", "") \
	f(s, GCR3_TRP_MODE, 58, 1, ALWAYS, "3.4.4", "0=GCR3 table of a nested entry at a system physical address|1=guest physical") \
	f(s, IRT_CACHE_DIS, 59, 1, ALWAYS, "3.4.4", "") \
	f(s, SNP_AVIC_EN, 61, 3, ALWAYS, "3.4.4", "")
LAYOUT_FIELDS(AMDVI_CONTROL, AMDVI_CONTROL_LIST);

#define AMDVI_EXCLUSION_BASE_LIST(s, f) \
	f(s, EX_EN, 0, 1, ALWAYS, "3.4.5", "0=off|1=on") \
	f(s, ALLOW, 1, 1, ALWAYS, "3.4.5", "0=devices whose DTE has EX|1=all devices") \
	f(s, BASE, 12, 40, ALWAYS, "3.4.5", "")
LAYOUT_FIELDS(AMDVI_EXCLUSION_BASE, AMDVI_EXCLUSION_BASE_LIST);
#define AMDVI_EXCLUSION_LIMIT_LIST(s, f) f(s, LIMIT, 12, 40, ALWAYS, "3.4.5", "")
LAYOUT_FIELDS(AMDVI_EXCLUSION_LIMIT, AMDVI_EXCLUSION_LIMIT_LIST);

#define AMDVI_EFR_LIST(s, f) \
	f(s, PREF_SUP, 0, 1, ALWAYS, "3.4.6", "") \
	f(s, PPR_SUP, 1, 1, ALWAYS, "3.4.6", "") \
	f(s, XT_SUP, 2, 1, ALWAYS, "3.4.6", "") \
	f(s, NX_SUP, 3, 1, ALWAYS, "3.4.6", "") \
	f(s, GT_SUP, 4, 1, ALWAYS, "3.4.6", "0=no guest translation|1=guest translation") \
	f(s, GAPPI_SUP, 5, 1, ALWAYS, "3.4.6", "") \
	f(s, IA_SUP, 6, 1, ALWAYS, "3.4.6", "0=no INVALIDATE_IOMMU_ALL|1=there is one") \
	f(s, GA_SUP, 7, 1, ALWAYS, "3.4.6", "") \
	f(s, HE_SUP, 8, 1, ALWAYS, "3.4.6", "") \
	f(s, PC_SUP, 9, 1, ALWAYS, "3.4.6", "") \
	f(s, HATS, 10, 2, ALWAYS, "3.4.6", "0=4 levels|1=5 levels|2=6 levels|3=reserved") \
	f(s, GATS, 12, 2, ALWAYS, "3.4.6", "0=4 levels|1=5 levels|2=6 levels|3=reserved") \
	f(s, GLX_SUP, 14, 2, ALWAYS, "3.4.6", "0=1-level GCR3 tables|1=2 levels|2=3 levels|3=reserved") \
	f(s, SMIF_SUP, 16, 2, ALWAYS, "3.4.6", "") \
	f(s, SMIF_RC, 18, 3, ALWAYS, "3.4.6", "") \
	f(s, GAM_SUP, 21, 3, ALWAYS, "3.4.6", "") \
	f(s, DUAL_PPR_LOG_SUP, 24, 2, ALWAYS, "3.4.6", "") \
	f(s, DUAL_EVENT_LOG_SUP, 28, 2, ALWAYS, "3.4.6", "") \
	f(s, SATS_SUP, 31, 1, ALWAYS, "3.4.6", "") \
	f(s, PAS_MAX, 32, 5, ALWAYS, "3.4.6", "") \
	f(s, US_SUP, 37, 1, ALWAYS, "3.4.6", "") \
	f(s, DEV_TBL_SEG_SUP, 38, 2, ALWAYS, "3.4.6", "0=one table|1=2 segments|2=4 segments|3=8 segments") \
	f(s, PPR_EARLY_OF_SUP, 40, 1, ALWAYS, "3.4.6", "") \
	f(s, PPR_AUTO_RSP_SUP, 41, 1, ALWAYS, "3.4.6", "") \
	f(s, MARC_SUP, 42, 2, ALWAYS, "3.4.6", "") \
	f(s, BLK_STOP_MRK_SUP, 44, 1, ALWAYS, "3.4.6", "") \
	f(s, PERF_OPT_SUP, 45, 1, ALWAYS, "3.4.6", "") \
	f(s, MSI_CAP_MMIO_SUP, 46, 1, ALWAYS, "3.4.6", "") \
	f(s, GIO_SUP, 48, 1, ALWAYS, "3.4.6", "0=no GIoV|1=requests without PASID may use PASID 0") \
	f(s, HA_SUP, 49, 1, ALWAYS, "3.4.6", "0=no accessed flags in host tables|1=set by hardware") \
	f(s, EPH_SUP, 50, 1, ALWAYS, "3.4.6", "") \
	f(s, ATTR_FW_SUP, 51, 1, ALWAYS, "3.4.6", "") \
	f(s, HD_SUP, 52, 1, ALWAYS, "3.4.6", "0=no dirty flags in host tables|1=set by hardware") \
	f(s, INV_IOTLB_TYPE_SUP, 54, 1, ALWAYS, "3.4.6", "") \
	f(s, VIOMMU_SUP, 55, 1, ALWAYS, "3.4.6", "") \
	f(s, VM_GUARD_IO_SUP, 56, 1, ALWAYS, "3.4.6", "") \
	f(s, VM_TABLE_SIZE, 57, 4, ALWAYS, "3.4.6", "") \
	f(s, GA_UPDATE_DIS_SUP, 61, 1, ALWAYS, "3.4.6", "") \
	f(s, FORCE_PHY_DEST_SUP, 62, 1, ALWAYS, "3.4.6", "") \
	f(s, SNP_SUP, 63, 1, ALWAYS, "3.4.6", "")
LAYOUT_FIELDS(AMDVI_EFR, AMDVI_EFR_LIST);
enum { AMDVI_HATS_4_LEVEL = 0, AMDVI_HATS_5_LEVEL = 1, AMDVI_HATS_6_LEVEL = 2 };
enum { AMDVI_GATS_4_LEVEL = 0, AMDVI_GATS_5_LEVEL = 1 };

#define AMDVI_EFR2_LIST(s, f) \
	f(s, GCR3_TRP_MODE, 3, 1, ALWAYS, "3.4.7", "") \
	f(s, SNP_AVIC_SUP, 5, 3, ALWAYS, "3.4.7", "") \
	f(s, NUM_INT_REMAP_SUP, 8, 2, ALWAYS, "3.4.7", "0=512 interrupts|1=2048 interrupts") \
	f(s, HT_RANGE_IGNORE, 11, 1, ALWAYS, "3.4.7", "")
LAYOUT_FIELDS(AMDVI_EFR2, AMDVI_EFR2_LIST);

#define AMDVI_HW_EVENT_STATUS_LIST(s, f) \
	f(s, HEV, 0, 1, ALWAYS, "3.4.9", "0=none|1=hardware event recorded") \
	f(s, HEO, 1, 1, ALWAYS, "3.4.9", "0=no overflow|1=more than one")
LAYOUT_FIELDS(AMDVI_HW_EVENT_STATUS, AMDVI_HW_EVENT_STATUS_LIST);

/* Write 1 to clear: the overflows and the interrupts. */
#define AMDVI_STATUS_LIST(s, f) \
	f(s, EVENT_OVERFLOW, 0, 1, ALWAYS, "3.4.14", "0=no overflow|1=events were lost, the log has stopped") \
	f(s, EVENT_LOG_INT, 1, 1, ALWAYS, "3.4.14", "") \
	f(s, COM_WAIT_INT, 2, 1, ALWAYS, "3.4.14", "") \
	f(s, EVENT_LOG_RUN, 3, 1, ALWAYS, "3.4.14", "0=event log stopped|1=running") \
	f(s, CMD_BUF_RUN, 4, 1, ALWAYS, "3.4.14", "0=command processing stopped|1=running") \
	f(s, PPR_OVERFLOW, 5, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_INT, 6, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_LOG_RUN, 7, 1, ALWAYS, "3.4.14", "") \
	f(s, GA_LOG_RUN, 8, 1, ALWAYS, "3.4.14", "") \
	f(s, GA_LOG_OVERFLOW, 9, 1, ALWAYS, "3.4.14", "") \
	f(s, GA_INT, 10, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_OVERFLOW_B, 11, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_LOG_ACTIVE, 12, 1, ALWAYS, "3.4.14", "") \
	f(s, EVENT_OVERFLOW_B, 15, 1, ALWAYS, "3.4.14", "") \
	f(s, EVENT_LOG_ACTIVE, 16, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_OVERFLOW_EARLY_B, 17, 1, ALWAYS, "3.4.14", "") \
	f(s, PPR_OVERFLOW_EARLY, 18, 1, ALWAYS, "3.4.14", "")
LAYOUT_FIELDS(AMDVI_STATUS, AMDVI_STATUS_LIST);

#define AMDVI_PLAIN32_LIST(s, f) f(s, VALUE, 0, 32, ALWAYS, "3.4", "")
#define AMDVI_PLAIN64_LIST(s, f) f(s, VALUE, 0, 64, ALWAYS, "3.4", "")

/* R(NAME, decode-name, offset, bits, field list). Everything may also be read and written in 32-bit halves. */
#define AMDVI_REGISTERS(R) \
	R(DEVTAB, "device-table-base", 0x0000, 64, AMDVI_DEVTAB_LIST) \
	R(CMD_BASE, "command-buffer-base", 0x0008, 64, AMDVI_BUFFER_LIST) \
	R(EVENT_BASE, "event-log-base", 0x0010, 64, AMDVI_BUFFER_LIST) \
	R(CONTROL, "control", 0x0018, 64, AMDVI_CONTROL_LIST) \
	R(EXCLUSION_BASE, "exclusion-base", 0x0020, 64, AMDVI_EXCLUSION_BASE_LIST) \
	R(EXCLUSION_LIMIT, "exclusion-limit", 0x0028, 64, AMDVI_EXCLUSION_LIMIT_LIST) \
	R(EFR, "efr", 0x0030, 64, AMDVI_EFR_LIST) \
	R(PPR_BASE, "ppr-log-base", 0x0038, 64, AMDVI_BUFFER_LIST) \
	R(HW_EVENT_HIGH, "hardware-event-high", 0x0040, 64, AMDVI_PLAIN64_LIST) \
	R(HW_EVENT_LOW, "hardware-event-low", 0x0048, 64, AMDVI_PLAIN64_LIST) \
	R(HW_EVENT_STATUS, "hardware-event-status", 0x0050, 64, AMDVI_HW_EVENT_STATUS_LIST) \
	R(GA_BASE, "ga-log-base", 0x00e0, 64, AMDVI_BUFFER_LIST) \
	R(GA_TAIL_ADDR, "ga-log-tail-address", 0x00e8, 64, AMDVI_PLAIN64_LIST) \
	R(DEVTAB_1, "device-table-segment-1", 0x0100, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_2, "device-table-segment-2", 0x0108, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_3, "device-table-segment-3", 0x0110, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_4, "device-table-segment-4", 0x0118, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_5, "device-table-segment-5", 0x0120, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_6, "device-table-segment-6", 0x0128, 64, AMDVI_DEVTAB_LIST) \
	R(DEVTAB_7, "device-table-segment-7", 0x0130, 64, AMDVI_DEVTAB_LIST) \
	R(MSI_ADDR_LOW, "msi-address-low", 0x015c, 32, AMDVI_PLAIN32_LIST) \
	R(MSI_ADDR_HIGH, "msi-address-high", 0x0160, 32, AMDVI_PLAIN32_LIST) \
	R(MSI_DATA, "msi-data", 0x0164, 32, AMDVI_PLAIN32_LIST) \
	R(XT_GENERAL_INT, "xt-general-interrupt", 0x0170, 64, AMDVI_PLAIN64_LIST) \
	R(XT_PPR_INT, "xt-ppr-interrupt", 0x0178, 64, AMDVI_PLAIN64_LIST) \
	R(XT_GA_INT, "xt-ga-interrupt", 0x0180, 64, AMDVI_PLAIN64_LIST) \
	R(EFR2, "efr2", 0x01a0, 64, AMDVI_EFR2_LIST) \
	R(CMD_HEAD, "command-buffer-head", 0x2000, 64, AMDVI_POINTER_LIST) \
	R(CMD_TAIL, "command-buffer-tail", 0x2008, 64, AMDVI_POINTER_LIST) \
	R(EVENT_HEAD, "event-log-head", 0x2010, 64, AMDVI_POINTER_LIST) \
	R(EVENT_TAIL, "event-log-tail", 0x2018, 64, AMDVI_POINTER_LIST) \
	R(STATUS, "status", 0x2020, 64, AMDVI_STATUS_LIST) \
	R(PPR_HEAD, "ppr-log-head", 0x2030, 64, AMDVI_POINTER_LIST) \
	R(PPR_TAIL, "ppr-log-tail", 0x2038, 64, AMDVI_POINTER_LIST) \
	R(GA_HEAD, "ga-log-head", 0x2040, 64, AMDVI_POINTER_LIST) \
	R(GA_TAIL, "ga-log-tail", 0x2048, 64, AMDVI_POINTER_LIST)
#define AMDVI_REGISTER_ENUM(name, text, offset, bits, list) AMDVI_REG_##name = (offset),
enum { AMDVI_REGISTERS(AMDVI_REGISTER_ENUM) AMDVI_REGISTERS_END };

/* Structures in memory, for the printer: T(decode-name, kind, prefix, words, mode function or NULL, mode names or NULL). */
#define AMDVI_STRUCTURES(T) \
	T("device-table-entry", "entry", AMDVI_DTE, 4, amdvi_dte_mode, amdvi_dte_modes) \
	T("gcr3-entry", "entry", AMDVI_GCR3, 1, amdvi_gcr3_mode, amdvi_gcr3_modes) \
	T("v1-entry", "page-table entry", AMDVI_V1, 1, amdvi_v1_mode, amdvi_v1_modes) \
	T("v2-entry", "page-table entry", AMDVI_V2, 1, NULL, NULL) \
	T("completion-wait", "command", AMDVI_CMD_WAIT, 2, amdvi_cmd_wait_mode, amdvi_wait_modes) \
	T("invalidate-devtab-entry", "command", AMDVI_CMD_DTE, 2, NULL, NULL) \
	T("invalidate-iommu-pages", "command", AMDVI_CMD_PAGES, 2, NULL, NULL) \
	T("invalidate-iotlb-pages", "command", AMDVI_CMD_IOTLB, 2, NULL, NULL) \
	T("invalidate-interrupt-table", "command", AMDVI_CMD_INTERRUPTS, 2, NULL, NULL) \
	T("prefetch-iommu-pages", "command", AMDVI_CMD_PREFETCH, 2, NULL, NULL) \
	T("complete-ppr-request", "command", AMDVI_CMD_PPR, 2, NULL, NULL) \
	T("invalidate-iommu-all", "command", AMDVI_CMD_ALL, 2, NULL, NULL) \
	T("illegal-dev-table-entry", "event", AMDVI_EV_ILLEGAL_DTE, 2, NULL, NULL) \
	T("io-page-fault", "event", AMDVI_EV_PAGE_FAULT, 2, NULL, NULL) \
	T("dev-tab-hardware-error", "event", AMDVI_EV_DTE_HARDWARE, 2, NULL, NULL) \
	T("page-tab-hardware-error", "event", AMDVI_EV_TABLE_HARDWARE, 2, NULL, NULL) \
	T("illegal-command-error", "event", AMDVI_EV_ILLEGAL_COMMAND, 2, NULL, NULL) \
	T("command-hardware-error", "event", AMDVI_EV_COMMAND_HARDWARE, 2, NULL, NULL) \
	T("iotlb-inv-timeout", "event", AMDVI_EV_IOTLB_TIMEOUT, 2, NULL, NULL) \
	T("invalid-device-request", "event", AMDVI_EV_INVALID_REQUEST, 2, NULL, NULL) \
	T("invalid-ppr-request", "event", AMDVI_EV_INVALID_PPR, 2, NULL, NULL) \
	T("event-counter-zero", "event", AMDVI_EV_COUNTER_ZERO, 2, NULL, NULL)

static inline unsigned amdvi_cmd_wait_mode(const uint64_t *words)
{
	return (unsigned)GET(AMDVI_CMD_WAIT, S, words);
}

#endif
