/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd.h - every structure, descriptor, fault record and register of Intel VT-d, once.
 *
 * "Section" is of the Intel Virtualization Technology for Directed I/O Architecture Specification, revision 4.x (the numbers
 * of chapter 9, "Translation Structure Formats", and 11, "Register Descriptions", are those of revision 3.3 and later).
 */
#ifndef LAYOUT_VTD_H
#define LAYOUT_VTD_H

#include "layout.h"

/* ---- Root entries: 128 bits; 256 in a 4 KiB root table, by bus ---- */

/* 9.1 Root entry (legacy mode) */
enum { VTD_ROOT_MODE_ABSENT, VTD_ROOT_MODE_PRESENT };
#define VTD_ROOT_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.1", "0=not present|1=present") \
	f(s, CTP, 12, 52, 1u << VTD_ROOT_MODE_PRESENT, "9.1", "")
LAYOUT_FIELDS(VTD_ROOT, VTD_ROOT_LIST);

/* 9.2 Scalable-mode root entry: the lower context table has devices 0-15, the upper 16-31 */
enum {
	VTD_SMROOT_MODE_ABSENT,
	VTD_SMROOT_MODE_LOWER,
	VTD_SMROOT_MODE_UPPER,
	VTD_SMROOT_MODE_BOTH
};
#define VTD_SMROOT_LOWER (1u << VTD_SMROOT_MODE_LOWER | 1u << VTD_SMROOT_MODE_BOTH)
#define VTD_SMROOT_UPPER (1u << VTD_SMROOT_MODE_UPPER | 1u << VTD_SMROOT_MODE_BOTH)
#define VTD_SMROOT_LIST(s, f) \
	f(s, LP, 0, 1, ALWAYS, "9.2", "0=not present|1=present") \
	f(s, LCTP, 12, 52, VTD_SMROOT_LOWER, "9.2", "") \
	f(s, UP, 64, 1, ALWAYS, "9.2", "0=not present|1=present") \
	f(s, UCTP, 76, 52, VTD_SMROOT_UPPER, "9.2", "")
LAYOUT_FIELDS(VTD_SMROOT, VTD_SMROOT_LIST);

/* ---- 9.3 Context entry (legacy mode): 128 bits; 256 in a 4 KiB table, by device and function ---- */

enum {
	VTD_CONTEXT_MODE_ABSENT,
	VTD_CONTEXT_MODE_TRANSLATE,	/* TT 0 and 1: second stage */
	VTD_CONTEXT_MODE_PASS,		/* TT 2: pass-through */
	VTD_CONTEXT_MODE_RESERVED
};
#define VTD_CONTEXT_PRESENT (~(1u << VTD_CONTEXT_MODE_ABSENT))
#define VTD_CONTEXT_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.3", "0=not present|1=present") \
	f(s, FPD, 1, 1, ALWAYS, "9.3", "0=faults are recorded|1=qualified faults are not recorded") \
	f(s, TT, 2, 2, VTD_CONTEXT_PRESENT, "9.3", \
	  "0=second stage, untranslated requests only|1=second stage, device TLB allowed|2=pass-through|3=reserved") \
	f(s, SSPTPTR, 12, 52, 1u << VTD_CONTEXT_MODE_TRANSLATE, "9.3", "") \
	f(s, AW, 64, 3, VTD_CONTEXT_PRESENT, "9.3", "1=39-bit, 3 levels|2=48-bit, 4 levels|3=57-bit, 5 levels") \
	f(s, IGNORED, 67, 4, 0, "9.3", "") \
	f(s, DID, 72, 16, VTD_CONTEXT_PRESENT, "9.3", "")
LAYOUT_FIELDS(VTD_CONTEXT, VTD_CONTEXT_LIST);

static inline unsigned vtd_context_mode(const uint64_t *entry)
{
	if (!GET(VTD_CONTEXT, P, entry))
		return VTD_CONTEXT_MODE_ABSENT;
	switch (GET(VTD_CONTEXT, TT, entry)) {
	case 0:
	case 1:
		return VTD_CONTEXT_MODE_TRANSLATE;
	case 2:
		return VTD_CONTEXT_MODE_PASS;
	default:
		return VTD_CONTEXT_MODE_RESERVED;
	}
}

enum { VTD_TT_UNTRANSLATED = 0, VTD_TT_DEVTLB = 1, VTD_TT_PASS = 2 };
enum { VTD_AW_3_LEVEL = 1, VTD_AW_4_LEVEL = 2, VTD_AW_5_LEVEL = 3 };

/* ---- 9.4 Scalable-mode context entry: 256 bits; 128 in a 4 KiB table ---- */

enum { VTD_SMCONTEXT_MODE_ABSENT, VTD_SMCONTEXT_MODE_PRESENT };
#define VTD_SMCONTEXT_PRESENT (1u << VTD_SMCONTEXT_MODE_PRESENT)
#define VTD_SMCONTEXT_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.4", "0=not present|1=present") \
	f(s, FPD, 1, 1, ALWAYS, "9.4", "0=faults are recorded|1=qualified faults are not recorded") \
	f(s, DTE, 2, 1, VTD_SMCONTEXT_PRESENT, "9.4", "0=translation requests are blocked|1=device TLB allowed") \
	f(s, PASIDE, 3, 1, VTD_SMCONTEXT_PRESENT, "9.4", "0=requests with PASID are blocked|1=allowed") \
	f(s, PRE, 4, 1, VTD_SMCONTEXT_PRESENT, "9.4", "0=page requests are blocked|1=allowed") \
	f(s, PDTS, 9, 3, VTD_SMCONTEXT_PRESENT, "9.4", \
	  "0=2^7 directory entries|1=2^8|2=2^9|3=2^10|4=2^11|5=2^12|6=2^13|7=2^14") \
	f(s, PASIDDIRPTR, 12, 52, VTD_SMCONTEXT_PRESENT, "9.4", "") \
	f(s, RID_PASID, 64, 20, VTD_SMCONTEXT_PRESENT, "9.4", "") \
	f(s, RID_PRIV, 84, 1, VTD_SMCONTEXT_PRESENT, "9.4", "")
LAYOUT_FIELDS(VTD_SMCONTEXT, VTD_SMCONTEXT_LIST);

static inline unsigned vtd_smcontext_mode(const uint64_t *entry)
{
	return GET(VTD_SMCONTEXT, P, entry) ? VTD_SMCONTEXT_MODE_PRESENT : VTD_SMCONTEXT_MODE_ABSENT;
}

/* ---- 9.5 PASID-directory entry: 64 bits; by PASID[19:6] ---- */

enum { VTD_PASIDDIR_MODE_ABSENT, VTD_PASIDDIR_MODE_PRESENT };
#define VTD_PASIDDIR_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.5", "0=not present|1=present") \
	f(s, FPD, 1, 1, ALWAYS, "9.5", "0=faults are recorded|1=qualified faults are not recorded") \
	f(s, SMPTBLPTR, 12, 52, 1u << VTD_PASIDDIR_MODE_PRESENT, "9.5", "")
LAYOUT_FIELDS(VTD_PASIDDIR, VTD_PASIDDIR_LIST);

static inline unsigned vtd_pasiddir_mode(const uint64_t *entry)
{
	return GET(VTD_PASIDDIR, P, entry) ? VTD_PASIDDIR_MODE_PRESENT : VTD_PASIDDIR_MODE_ABSENT;
}

/* ---- 9.6 Scalable-mode PASID-table entry: 512 bits; 64 in a 4 KiB table, by PASID[5:0] ---- */

enum {
	VTD_PASID_MODE_ABSENT,
	VTD_PASID_MODE_FIRST,		/* PGTT 1 */
	VTD_PASID_MODE_SECOND,		/* PGTT 2 */
	VTD_PASID_MODE_NESTED,		/* PGTT 3 */
	VTD_PASID_MODE_PASS,		/* PGTT 4 */
	VTD_PASID_MODE_RESERVED
};
#define VTD_PASID_PRESENT (~(1u << VTD_PASID_MODE_ABSENT))
#define VTD_PASID_FIRST (1u << VTD_PASID_MODE_FIRST | 1u << VTD_PASID_MODE_NESTED)
#define VTD_PASID_SECOND (1u << VTD_PASID_MODE_SECOND | 1u << VTD_PASID_MODE_NESTED)
#define VTD_PASID_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.6", "0=not present|1=present") \
	f(s, FPD, 1, 1, ALWAYS, "9.6", "0=faults are recorded|1=qualified faults are not recorded") \
	f(s, AW, 2, 3, VTD_PASID_SECOND | 1u << VTD_PASID_MODE_PASS, "9.6", \
	  "1=39-bit, 3 levels|2=48-bit, 4 levels|3=57-bit, 5 levels") \
	f(s, PGTT, 6, 3, VTD_PASID_PRESENT, "9.6", "1=first stage|2=second stage|3=nested|4=pass-through") \
	f(s, SSADE, 9, 1, VTD_PASID_SECOND, "9.6", "0=no accessed and dirty flags in the second stage|1=set by hardware") \
	f(s, SSPTPTR, 12, 52, VTD_PASID_SECOND, "9.6", "") \
	f(s, DID, 64, 16, VTD_PASID_PRESENT, "9.6", "") \
	f(s, PWSNP, 87, 1, VTD_PASID_PRESENT, "9.6", "0=page walks need not snoop|1=page walks snoop") \
	f(s, PGSNP, 88, 1, VTD_PASID_PRESENT, "9.6", "0=as the page table says|1=accesses snoop") \
	f(s, SRE, 128, 1, VTD_PASID_FIRST, "9.6", "0=supervisor requests are blocked|1=allowed") \
	f(s, FSPM, 130, 2, VTD_PASID_FIRST, "9.6", "0=4 levels|1=5 levels") \
	f(s, WPE, 132, 1, VTD_PASID_FIRST, "9.6", "0=supervisor writes ignore read-only|1=write protection") \
	f(s, IGNORED, 133, 2, 0, "9.6", "") \
	f(s, EAFE, 135, 1, VTD_PASID_FIRST, "9.6", "0=no extended accessed flag|1=set by hardware") \
	f(s, FSPTPTR, 140, 52, VTD_PASID_FIRST, "9.6", "")
LAYOUT_FIELDS(VTD_PASID, VTD_PASID_LIST);

static inline unsigned vtd_pasid_mode(const uint64_t *entry)
{
	if (!GET(VTD_PASID, P, entry))
		return VTD_PASID_MODE_ABSENT;
	switch (GET(VTD_PASID, PGTT, entry)) {
	case 1:
		return VTD_PASID_MODE_FIRST;
	case 2:
		return VTD_PASID_MODE_SECOND;
	case 3:
		return VTD_PASID_MODE_NESTED;
	case 4:
		return VTD_PASID_MODE_PASS;
	default:
		return VTD_PASID_MODE_RESERVED;
	}
}

enum { VTD_PGTT_FIRST = 1, VTD_PGTT_SECOND = 2, VTD_PGTT_NESTED = 3, VTD_PGTT_PASS = 4 };
enum { VTD_FSPM_4_LEVEL = 0, VTD_FSPM_5_LEVEL = 1 };

/* ---- Page-table entries: 64 bits ---- */

/* 9.7 First-stage paging entries, of every level */
#define VTD_FS_LIST(s, f) \
	f(s, P, 0, 1, ALWAYS, "9.7", "0=not present|1=present") \
	f(s, RW, 1, 1, ALWAYS, "9.7", "0=read-only|1=writable") \
	f(s, US, 2, 1, ALWAYS, "9.7", "0=supervisor|1=user") \
	f(s, PWT, 3, 1, ALWAYS, "9.7", "") \
	f(s, PCD, 4, 1, ALWAYS, "9.7", "") \
	f(s, A, 5, 1, ALWAYS, "9.7", "0=not accessed|1=accessed") \
	f(s, D, 6, 1, ALWAYS, "9.7", "0=clean|1=dirty") \
	f(s, PS, 7, 1, ALWAYS, "9.7", "0=points to a table|1=maps a large page") \
	f(s, G, 8, 1, ALWAYS, "9.7", "") \
	f(s, EA, 10, 1, ALWAYS, "9.7", "") \
	f(s, ADDR, 12, 40, ALWAYS, "9.7", "") \
	f(s, IGNORED, 52, 11, 0, "9.7", "") \
	f(s, XD, 63, 1, ALWAYS, "9.7", "0=may be executed|1=may not")
LAYOUT_FIELDS(VTD_FS, VTD_FS_LIST);

/* 9.8 Second-stage paging entries, of every level */
#define VTD_SS_LIST(s, f) \
	f(s, R, 0, 1, ALWAYS, "9.8", "0=no reads|1=reads allowed") \
	f(s, W, 1, 1, ALWAYS, "9.8", "0=no writes|1=writes allowed") \
	f(s, X, 2, 1, ALWAYS, "9.8", "0=no execution|1=allowed where the unit supports it") \
	f(s, EMT, 3, 3, ALWAYS, "9.8", "") \
	f(s, IPAT, 6, 1, ALWAYS, "9.8", "") \
	f(s, PS, 7, 1, ALWAYS, "9.8", "0=points to a table|1=maps a large page") \
	f(s, A, 8, 1, ALWAYS, "9.8", "0=not accessed|1=accessed") \
	f(s, D, 9, 1, ALWAYS, "9.8", "0=clean|1=dirty") \
	f(s, SNP, 11, 1, ALWAYS, "9.8", "0=as the request says|1=snoop") \
	f(s, ADDR, 12, 40, ALWAYS, "9.8", "") \
	f(s, IGNORED, 52, 10, 0, "9.8", "") \
	f(s, TM, 62, 1, 0, "9.8", "") \
	f(s, IGNORED2, 63, 1, 0, "9.8", "")
LAYOUT_FIELDS(VTD_SS, VTD_SS_LIST);

/* ---- 6.5.2 Queued-invalidation descriptors: 128 bits, or 256 of which the upper half is reserved ---- */

enum {
	VTD_DESC_CONTEXT = 1,
	VTD_DESC_IOTLB = 2,
	VTD_DESC_DEVTLB = 3,
	VTD_DESC_IEC = 4,
	VTD_DESC_WAIT = 5,
	VTD_DESC_PIOTLB = 6,
	VTD_DESC_PASID = 7,
	VTD_DESC_PDEVTLB = 8
};

/* The type has its upper three bits in 11:9. */
#define VTD_DESC_LIST(s, f) \
	f(s, TYPE, 0, 4, ALWAYS, "6.5.2", "") \
	f(s, TYPE_HIGH, 9, 3, ALWAYS, "6.5.2", "")
LAYOUT_FIELDS(VTD_DESC, VTD_DESC_LIST);

/* The mode of a command is its granularity, G; that of a wait, whether it writes a status (SW). */
#define VTD_SCOPE(g) (1u << (g))
#define VTD_SCOPES_FROM(g) (~0u << (g))

#define VTD_DESC_CONTEXT_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, G, 4, 2, ALWAYS, "6.5.2.1", "1=global|2=domain-selective|3=device-selective") \
	f(s, DID, 16, 16, VTD_SCOPES_FROM(2), "6.5.2.1", "") \
	f(s, SID, 32, 16, VTD_SCOPES_FROM(3), "6.5.2.1", "") \
	f(s, FM, 48, 2, VTD_SCOPES_FROM(3), "6.5.2.1", "0=no bits masked|1=bit 2|2=bits 2:1|3=bits 2:0")
LAYOUT_FIELDS(VTD_DESC_CONTEXT, VTD_DESC_CONTEXT_LIST);

#define VTD_DESC_PASID_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, G, 4, 2, ALWAYS, "6.5.2.2", "0=domain-selective|1=pasid-selective|3=global") \
	f(s, DID, 16, 16, VTD_SCOPE(0) | VTD_SCOPE(1), "6.5.2.2", "") \
	f(s, PASID, 32, 20, VTD_SCOPE(1), "6.5.2.2", "")
LAYOUT_FIELDS(VTD_DESC_PASID, VTD_DESC_PASID_LIST);

#define VTD_DESC_IOTLB_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, G, 4, 2, ALWAYS, "6.5.2.3", "1=global|2=domain-selective|3=page-selective-within-domain") \
	f(s, DW, 6, 1, ALWAYS, "6.5.2.3", "0=no drain|1=drain writes") \
	f(s, DR, 7, 1, ALWAYS, "6.5.2.3", "0=no drain|1=drain reads") \
	f(s, DID, 16, 16, VTD_SCOPES_FROM(2), "6.5.2.3", "") \
	f(s, AM, 64, 6, VTD_SCOPES_FROM(3), "6.5.2.3", "") \
	f(s, IH, 70, 1, VTD_SCOPES_FROM(3), "6.5.2.3", "0=tables may have changed|1=only leaves have changed") \
	f(s, ADDR, 76, 52, VTD_SCOPES_FROM(3), "6.5.2.3", "")
LAYOUT_FIELDS(VTD_DESC_IOTLB, VTD_DESC_IOTLB_LIST);

#define VTD_DESC_PIOTLB_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, G, 4, 2, ALWAYS, "6.5.2.4", "2=pasid-selective|3=page-selective-within-pasid") \
	f(s, DID, 16, 16, ALWAYS, "6.5.2.4", "") \
	f(s, PASID, 32, 20, ALWAYS, "6.5.2.4", "") \
	f(s, AM, 64, 6, VTD_SCOPES_FROM(3), "6.5.2.4", "") \
	f(s, IH, 70, 1, VTD_SCOPES_FROM(3), "6.5.2.4", "0=tables may have changed|1=only leaves have changed") \
	f(s, ADDR, 76, 52, VTD_SCOPES_FROM(3), "6.5.2.4", "")
LAYOUT_FIELDS(VTD_DESC_PIOTLB, VTD_DESC_PIOTLB_LIST);

#define VTD_DESC_DEVTLB_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, PFSID_LOW, 12, 4, ALWAYS, "6.5.2.5", "") \
	f(s, MIP, 16, 5, ALWAYS, "6.5.2.5", "") \
	f(s, SID, 32, 16, ALWAYS, "6.5.2.5", "") \
	f(s, PFSID_HIGH, 52, 12, ALWAYS, "6.5.2.5", "") \
	f(s, S, 64, 1, ALWAYS, "6.5.2.5", "0=one page|1=size is in the address") \
	f(s, ADDR, 76, 52, ALWAYS, "6.5.2.5", "")
LAYOUT_FIELDS(VTD_DESC_DEVTLB, VTD_DESC_DEVTLB_LIST);

#define VTD_DESC_PDEVTLB_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, MIP, 4, 5, ALWAYS, "6.5.2.6", "") \
	f(s, PFSID_LOW, 12, 4, ALWAYS, "6.5.2.6", "") \
	f(s, SID, 16, 16, ALWAYS, "6.5.2.6", "") \
	f(s, PASID, 32, 20, ALWAYS, "6.5.2.6", "") \
	f(s, PFSID_HIGH, 52, 12, ALWAYS, "6.5.2.6", "") \
	f(s, G, 64, 1, ALWAYS, "6.5.2.6", "0=one PASID|1=every PASID") \
	f(s, S, 75, 1, ALWAYS, "6.5.2.6", "0=one page|1=size is in the address") \
	f(s, ADDR, 76, 52, ALWAYS, "6.5.2.6", "")
LAYOUT_FIELDS(VTD_DESC_PDEVTLB, VTD_DESC_PDEVTLB_LIST);

#define VTD_DESC_IEC_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, G, 4, 1, ALWAYS, "6.5.2.7", "0=global|1=index-selective") \
	f(s, IM, 27, 5, VTD_SCOPE(1), "6.5.2.7", "") \
	f(s, IIDX, 32, 16, VTD_SCOPE(1), "6.5.2.7", "")
LAYOUT_FIELDS(VTD_DESC_IEC, VTD_DESC_IEC_LIST);

#define VTD_DESC_WAIT_LIST(s, f) \
	VTD_DESC_LIST(s, f) \
	f(s, IF, 4, 1, ALWAYS, "6.5.2.8", "0=no interrupt|1=completion interrupt") \
	f(s, SW, 5, 1, ALWAYS, "6.5.2.8", "0=no status write|1=status write") \
	f(s, FN, 6, 1, ALWAYS, "6.5.2.8", "0=no fence|1=later descriptors wait for earlier ones") \
	f(s, PD, 7, 1, ALWAYS, "6.5.2.8", "0=no drain|1=page requests are drained") \
	f(s, STATUS_DATA, 32, 32, VTD_SCOPE(1), "6.5.2.8", "") \
	f(s, STATUS_ADDR, 66, 62, VTD_SCOPE(1), "6.5.2.8", "")
LAYOUT_FIELDS(VTD_DESC_WAIT, VTD_DESC_WAIT_LIST);

enum { VTD_CONTEXT_GLOBAL = 1, VTD_CONTEXT_DOMAIN = 2, VTD_CONTEXT_DEVICE = 3 };
enum { VTD_PASID_CACHE_DOMAIN = 0, VTD_PASID_CACHE_PASID = 1, VTD_PASID_CACHE_GLOBAL = 3 };
enum { VTD_IOTLB_GLOBAL = 1, VTD_IOTLB_DOMAIN = 2, VTD_IOTLB_PAGE = 3 };
enum { VTD_PIOTLB_PASID = 2, VTD_PIOTLB_PAGE = 3 };

/* ---- Fault recording register: 128 bits (11.4.14) ---- */

#define VTD_FAULT_LIST(s, f) \
	f(s, FI, 12, 52, ALWAYS, "11.4.14", "") \
	f(s, SID, 64, 16, ALWAYS, "11.4.14", "") \
	f(s, T2, 92, 1, ALWAYS, "11.4.14", "") \
	f(s, PRIV, 93, 1, ALWAYS, "11.4.14", "0=user|1=privileged") \
	f(s, EXE, 94, 1, ALWAYS, "11.4.14", "0=data|1=execute") \
	f(s, PP, 95, 1, ALWAYS, "11.4.14", "0=no PASID|1=PASID present") \
	f(s, FR, 96, 8, ALWAYS, "11.4.14", "") \
	f(s, PV, 104, 20, ALWAYS, "11.4.14", "") \
	f(s, AT, 124, 2, ALWAYS, "11.4.14", "0=untranslated|1=translation request|2=translated") \
	f(s, T1, 126, 1, ALWAYS, "11.4.14", "0=write or page request|1=read or atomic") \
	f(s, F, 127, 1, ALWAYS, "11.4.14", "0=empty|1=fault recorded")
LAYOUT_FIELDS(VTD_FAULT, VTD_FAULT_LIST);

/* Fault reasons (chapter 7, tables "Non-Recoverable Fault Reasons"): R(NAME, code, cause, text). The cause is the name of an
 * enum iommu_fault_cause without its prefix. */
#define VTD_FAULT_REASONS(R) \
	R(ROOT_ABSENT, 0x01, BLOCKED, "root entry not present") \
	R(CONTEXT_ABSENT, 0x02, BLOCKED, "context entry not present") \
	R(CONTEXT_INVALID, 0x03, ENTRY, "context entry invalid") \
	R(ADDRESS_WIDTH, 0x04, ADDRESS, "address beyond the domain's width") \
	R(SS_WRITE, 0x05, PERMISSION, "no write permission") \
	R(SS_READ, 0x06, PERMISSION, "no read permission") \
	R(TABLE_ACCESS, 0x07, TABLE, "page table can't be reached") \
	R(ROOT_ACCESS, 0x08, ENTRY, "root table can't be reached") \
	R(CONTEXT_ACCESS, 0x09, ENTRY, "context table can't be reached") \
	R(ROOT_RESERVED, 0x0a, ENTRY, "reserved bit set in root entry") \
	R(CONTEXT_RESERVED, 0x0b, ENTRY, "reserved bit set in context entry") \
	R(TABLE_RESERVED, 0x0c, TABLE, "reserved bit set in page-table entry") \
	R(REQUEST_BLOCKED, 0x0d, ENTRY, "request type not allowed by context entry") \
	R(INTERRUPT_RANGE_LEGACY, 0x0e, ADDRESS, "address in the interrupt range") \
	R(RTA_ACCESS_SM, 0x30, ENTRY, "root table pointer invalid") \
	R(TTM_MISMATCH, 0x31, ENTRY, "request with PASID in legacy mode") \
	R(ROOT_ACCESS_SM, 0x38, ENTRY, "root entry can't be reached") \
	R(ROOT_ABSENT_SM, 0x39, BLOCKED, "root entry not present") \
	R(ROOT_RESERVED_SM, 0x3a, ENTRY, "reserved bit set in root entry") \
	R(CONTEXT_ACCESS_SM, 0x40, ENTRY, "context entry can't be reached") \
	R(CONTEXT_ABSENT_SM, 0x41, BLOCKED, "context entry not present") \
	R(CONTEXT_RESERVED_SM, 0x42, ENTRY, "reserved bit set in context entry") \
	R(CONTEXT_INVALID_SM, 0x43, ENTRY, "context entry invalid") \
	R(DTE_CLEAR, 0x44, ENTRY, "translation or translated request while DTE is clear") \
	R(PASIDE_CLEAR, 0x45, ENTRY, "request with PASID while PASIDE is clear") \
	R(PASID_TOO_LARGE, 0x46, ENTRY, "PASID beyond the directory") \
	R(PRE_CLEAR, 0x47, ENTRY, "page request while PRE is clear") \
	R(RID_PASID_INVALID, 0x48, ENTRY, "RID_PASID beyond the directory") \
	R(PASIDDIR_ACCESS, 0x50, ENTRY, "PASID-directory entry can't be reached") \
	R(PASIDDIR_ABSENT, 0x51, BLOCKED, "PASID-directory entry not present") \
	R(PASIDDIR_RESERVED, 0x52, ENTRY, "reserved bit set in PASID-directory entry") \
	R(PASID_ACCESS, 0x58, ENTRY, "PASID-table entry can't be reached") \
	R(PASID_ABSENT, 0x59, BLOCKED, "PASID-table entry not present") \
	R(PASID_RESERVED, 0x5a, ENTRY, "reserved bit set in PASID-table entry") \
	R(PASID_INVALID, 0x5b, ENTRY, "PASID-table entry invalid") \
	R(ERE_CLEAR, 0x5c, PERMISSION, "execute request while not enabled") \
	R(SRE_CLEAR, 0x5d, PERMISSION, "supervisor request while SRE is clear") \
	R(FS_ACCESS, 0x70, TABLE, "first-stage entry can't be reached") \
	R(FS_ABSENT, 0x71, NOT_MAPPED, "first-stage entry not present") \
	R(FS_RESERVED, 0x72, TABLE, "reserved bit set in first-stage entry") \
	R(FSPTPTR_ACCESS, 0x73, TABLE, "first-stage table can't be reached") \
	R(FS_NESTED_ADDRESS, 0x74, ADDRESS, "first-stage entry's address beyond the second stage's width") \
	R(FSPTPTR_NESTED_READ, 0x75, TABLE, "second stage doesn't let the first-stage table be read") \
	R(FS_NESTED_READ, 0x76, TABLE, "second stage doesn't let a first-stage entry be read") \
	R(FS_NESTED_WRITE, 0x77, TABLE, "second stage doesn't let a first-stage entry's A and D be written") \
	R(SS_ACCESS_SM, 0x78, TABLE, "second-stage entry can't be reached") \
	R(SS_ABSENT_SM, 0x79, NOT_MAPPED, "no permission in second-stage entry") \
	R(SS_RESERVED_SM, 0x7a, TABLE, "reserved bit set in second-stage entry") \
	R(SSPTPTR_ACCESS, 0x7b, TABLE, "second-stage table can't be reached") \
	R(SS_AD_NO_SNOOP, 0x7c, TABLE, "A or D of a second-stage entry must be set by a walk that does not snoop") \
	R(SS_AD_FAILED, 0x7d, TABLE, "A or D of a second-stage entry can't be set") \
	R(FS_NOT_CANONICAL, 0x80, ADDRESS, "address not canonical") \
	R(FS_USER, 0x81, PERMISSION, "user request to a supervisor page") \
	R(FS_EXECUTE, 0x82, PERMISSION, "no execute permission") \
	R(HOST_ADDRESS_SM, 0x83, ADDRESS, "address beyond the host's width") \
	R(SS_ADDRESS_SM, 0x84, ADDRESS, "address beyond the domain's width") \
	R(FS_WRITE, 0x85, PERMISSION, "no write permission") \
	R(FS_READ, 0x86, PERMISSION, "no read permission") \
	R(INTERRUPT_RANGE, 0x87, ADDRESS, "address in the interrupt range") \
	R(FS_AD_NO_SNOOP, 0x90, TABLE, "A or D of a first-stage entry must be set by a walk that does not snoop") \
	R(FS_AD_FAILED, 0x91, TABLE, "A or D of a first-stage entry can't be set")
#define VTD_FAULT_REASON_ENUM(name, code, cause, text) VTD_FR_##name = (code),
enum { VTD_FAULT_REASONS(VTD_FAULT_REASON_ENUM) VTD_FR_NONE = 0 };

/* ---- Registers (11.4) ---- */

#define VTD_VER_LIST(s, f) \
	f(s, MIN, 0, 4, ALWAYS, "11.4.1", "") \
	f(s, MAX, 4, 4, ALWAYS, "11.4.1", "")
LAYOUT_FIELDS(VTD_VER, VTD_VER_LIST);

#define VTD_CAP_LIST(s, f) \
	f(s, ND, 0, 3, ALWAYS, "11.4.2", "0=16 domain ids|1=64|2=256|3=1024|4=4096|5=16384|6=65536") \
	f(s, RWBF, 4, 1, ALWAYS, "11.4.2", "0=no write-buffer flush needed|1=needed") \
	f(s, PLMR, 5, 1, ALWAYS, "11.4.2", "") \
	f(s, PHMR, 6, 1, ALWAYS, "11.4.2", "") \
	f(s, CM, 7, 1, ALWAYS, "11.4.2", "0=absent entries are not cached|1=caching mode") \
	f(s, SAGAW, 8, 5, ALWAYS, "11.4.2", "") \
	f(s, MGAW, 16, 6, ALWAYS, "11.4.2", "") \
	f(s, ZLR, 22, 1, ALWAYS, "11.4.2", "") \
	f(s, FRO, 24, 10, ALWAYS, "11.4.2", "") \
	f(s, SSLPS, 34, 4, ALWAYS, "11.4.2", "0=4K only|1=2M|3=2M and 1G") \
	f(s, PSI, 39, 1, ALWAYS, "11.4.2", "") \
	f(s, NFR, 40, 8, ALWAYS, "11.4.2", "") \
	f(s, MAMV, 48, 6, ALWAYS, "11.4.2", "") \
	f(s, DWD, 54, 1, ALWAYS, "11.4.2", "") \
	f(s, DRD, 55, 1, ALWAYS, "11.4.2", "") \
	f(s, FS1GP, 56, 1, ALWAYS, "11.4.2", "") \
	f(s, PI, 59, 1, ALWAYS, "11.4.2", "") \
	f(s, FS5LP, 60, 1, ALWAYS, "11.4.2", "") \
	f(s, ECMDS, 61, 1, ALWAYS, "11.4.2", "") \
	f(s, ESIRTPS, 62, 1, ALWAYS, "11.4.2", "") \
	f(s, ESRTPS, 63, 1, ALWAYS, "11.4.2", "")
LAYOUT_FIELDS(VTD_CAP, VTD_CAP_LIST);
enum { VTD_SAGAW_3_LEVEL = 1 << 1, VTD_SAGAW_4_LEVEL = 1 << 2, VTD_SAGAW_5_LEVEL = 1 << 3 };

#define VTD_ECAP_LIST(s, f) \
	f(s, C, 0, 1, ALWAYS, "11.4.3", "0=walks don't snoop|1=walks are coherent") \
	f(s, QI, 1, 1, ALWAYS, "11.4.3", "") \
	f(s, DT, 2, 1, ALWAYS, "11.4.3", "") \
	f(s, IR, 3, 1, ALWAYS, "11.4.3", "") \
	f(s, EIM, 4, 1, ALWAYS, "11.4.3", "") \
	f(s, PT, 6, 1, ALWAYS, "11.4.3", "") \
	f(s, SC, 7, 1, ALWAYS, "11.4.3", "") \
	f(s, IRO, 8, 10, ALWAYS, "11.4.3", "") \
	f(s, MHMV, 20, 4, ALWAYS, "11.4.3", "") \
	f(s, MTS, 25, 1, ALWAYS, "11.4.3", "") \
	f(s, NEST, 26, 1, ALWAYS, "11.4.3", "") \
	f(s, PRS, 29, 1, ALWAYS, "11.4.3", "") \
	f(s, ERS, 30, 1, ALWAYS, "11.4.3", "") \
	f(s, SRS, 31, 1, ALWAYS, "11.4.3", "") \
	f(s, NWFS, 33, 1, ALWAYS, "11.4.3", "") \
	f(s, EAFS, 34, 1, ALWAYS, "11.4.3", "") \
	f(s, PSS, 35, 5, ALWAYS, "11.4.3", "") \
	f(s, PASID, 40, 1, ALWAYS, "11.4.3", "") \
	f(s, DIT, 41, 1, ALWAYS, "11.4.3", "") \
	f(s, PDS, 42, 1, ALWAYS, "11.4.3", "") \
	f(s, SMTS, 43, 1, ALWAYS, "11.4.3", "0=legacy mode only|1=scalable mode") \
	f(s, VCS, 44, 1, ALWAYS, "11.4.3", "") \
	f(s, SSADS, 45, 1, ALWAYS, "11.4.3", "") \
	f(s, SSTS, 46, 1, ALWAYS, "11.4.3", "") \
	f(s, FSTS, 47, 1, ALWAYS, "11.4.3", "") \
	f(s, SMPWCS, 48, 1, ALWAYS, "11.4.3", "") \
	f(s, RPS, 49, 1, ALWAYS, "11.4.3", "") \
	f(s, PMS, 51, 1, ALWAYS, "11.4.3", "") \
	f(s, ABMTS, 52, 1, ALWAYS, "11.4.3", "") \
	f(s, RPRIVS, 53, 1, ALWAYS, "11.4.3", "")
LAYOUT_FIELDS(VTD_ECAP, VTD_ECAP_LIST);

/* Global command and global status have the same bits in the same places: one list serves both (11.4.4). */
#define VTD_GCMD_LIST(s, f) \
	f(s, CFI, 23, 1, ALWAYS, "11.4.4", "") \
	f(s, SIRTP, 24, 1, ALWAYS, "11.4.4", "") \
	f(s, IRE, 25, 1, ALWAYS, "11.4.4", "") \
	f(s, QIE, 26, 1, ALWAYS, "11.4.4", "") \
	f(s, WBF, 27, 1, ALWAYS, "11.4.4", "") \
	f(s, SRTP, 30, 1, ALWAYS, "11.4.4", "") \
	f(s, TE, 31, 1, ALWAYS, "11.4.4", "")
LAYOUT_FIELDS(VTD_GCMD, VTD_GCMD_LIST);

#define VTD_RTADDR_LIST(s, f) \
	f(s, TTM, 10, 2, ALWAYS, "11.4.5", "0=legacy|1=scalable|3=abort-dma") \
	f(s, RTA, 12, 52, ALWAYS, "11.4.5", "")
LAYOUT_FIELDS(VTD_RTADDR, VTD_RTADDR_LIST);
enum { VTD_TTM_LEGACY = 0, VTD_TTM_SCALABLE = 1, VTD_TTM_ABORT = 3 };

#define VTD_FSTS_LIST(s, f) \
	f(s, PFO, 0, 1, ALWAYS, "11.4.9", "0=no overflow|1=faults were lost") \
	f(s, PPF, 1, 1, ALWAYS, "11.4.9", "0=none|1=faults pending") \
	f(s, IQE, 4, 1, ALWAYS, "11.4.9", "0=none|1=invalidation queue error") \
	f(s, ICE, 5, 1, ALWAYS, "11.4.9", "0=none|1=invalidation completion error") \
	f(s, ITE, 6, 1, ALWAYS, "11.4.9", "0=none|1=invalidation time-out error") \
	f(s, FRI, 8, 8, ALWAYS, "11.4.9", "")
LAYOUT_FIELDS(VTD_FSTS, VTD_FSTS_LIST);

#define VTD_FECTL_LIST(s, f) \
	f(s, IP, 30, 1, ALWAYS, "11.4.10", "") \
	f(s, IM, 31, 1, ALWAYS, "11.4.10", "0=interrupts are sent|1=masked")
LAYOUT_FIELDS(VTD_FECTL, VTD_FECTL_LIST);

#define VTD_IQH_LIST(s, f) f(s, QH, 4, 15, ALWAYS, "11.4.21", "")
LAYOUT_FIELDS(VTD_IQH, VTD_IQH_LIST);
#define VTD_IQT_LIST(s, f) f(s, QT, 4, 15, ALWAYS, "11.4.22", "")
LAYOUT_FIELDS(VTD_IQT, VTD_IQT_LIST);
#define VTD_IQA_LIST(s, f) \
	f(s, QS, 0, 3, ALWAYS, "11.4.23", "") \
	f(s, DW, 11, 1, ALWAYS, "11.4.23", "0=128-bit descriptors|1=256-bit descriptors") \
	f(s, IQA, 12, 52, ALWAYS, "11.4.23", "")
LAYOUT_FIELDS(VTD_IQA, VTD_IQA_LIST);
#define VTD_ICS_LIST(s, f) f(s, IWC, 0, 1, ALWAYS, "11.4.24", "0=none|1=wait descriptor with IF done")
LAYOUT_FIELDS(VTD_ICS, VTD_ICS_LIST);
#define VTD_IQERCD_LIST(s, f) \
	f(s, IQEI, 0, 4, ALWAYS, "11.4.29", \
	  "0=no information|1=invalid tail|2=descriptor can't be fetched|3=invalid type|4=reserved bit set|5=invalid descriptor width|6=queue tail not aligned|7=invalid TTM") \
	f(s, ITESID, 32, 16, ALWAYS, "11.4.29", "") \
	f(s, ICESID, 48, 16, ALWAYS, "11.4.29", "")
LAYOUT_FIELDS(VTD_IQERCD, VTD_IQERCD_LIST);

#define VTD_PLAIN32_LIST(s, f) f(s, VALUE, 0, 32, ALWAYS, "11.4", "")
#define VTD_PLAIN64_LIST(s, f) f(s, VALUE, 0, 64, ALWAYS, "11.4", "")

/* R(NAME, decode-name, offset, bits, field list). Fault records lie at CAP.FRO * 16, the old IOTLB registers at ECAP.IRO * 16. */
#define VTD_REGISTERS(R) \
	R(VER, "version", 0x000, 32, VTD_VER_LIST) \
	R(CAP, "cap", 0x008, 64, VTD_CAP_LIST) \
	R(ECAP, "ecap", 0x010, 64, VTD_ECAP_LIST) \
	R(GCMD, "gcmd", 0x018, 32, VTD_GCMD_LIST) \
	R(GSTS, "gsts", 0x01c, 32, VTD_GCMD_LIST) \
	R(RTADDR, "rtaddr", 0x020, 64, VTD_RTADDR_LIST) \
	R(CCMD, "ccmd", 0x028, 64, VTD_PLAIN64_LIST) \
	R(FSTS, "fsts", 0x034, 32, VTD_FSTS_LIST) \
	R(FECTL, "fectl", 0x038, 32, VTD_FECTL_LIST) \
	R(FEDATA, "fedata", 0x03c, 32, VTD_PLAIN32_LIST) \
	R(FEADDR, "feaddr", 0x040, 32, VTD_PLAIN32_LIST) \
	R(FEUADDR, "feuaddr", 0x044, 32, VTD_PLAIN32_LIST) \
	R(PMEN, "pmen", 0x064, 32, VTD_PLAIN32_LIST) \
	R(IQH, "iqh", 0x080, 64, VTD_IQH_LIST) \
	R(IQT, "iqt", 0x088, 64, VTD_IQT_LIST) \
	R(IQA, "iqa", 0x090, 64, VTD_IQA_LIST) \
	R(ICS, "ics", 0x09c, 32, VTD_ICS_LIST) \
	R(IECTL, "iectl", 0x0a0, 32, VTD_FECTL_LIST) \
	R(IEDATA, "iedata", 0x0a4, 32, VTD_PLAIN32_LIST) \
	R(IEADDR, "ieaddr", 0x0a8, 32, VTD_PLAIN32_LIST) \
	R(IEUADDR, "ieuaddr", 0x0ac, 32, VTD_PLAIN32_LIST) \
	R(IQERCD, "iqercd", 0x0b0, 64, VTD_IQERCD_LIST) \
	R(IRTA, "irta", 0x0b8, 64, VTD_PLAIN64_LIST)
#define VTD_REGISTER_ENUM(name, text, offset, bits, list) VTD_REG_##name = (offset),
enum { VTD_REGISTERS(VTD_REGISTER_ENUM) VTD_REGISTERS_END };

/* Structures in memory, for the printer: T(decode-name, kind, prefix, words, mode function or NULL, mode names or NULL). */
#define VTD_STRUCTURES(T) \
	T("root-entry", "entry", VTD_ROOT, 2, vtd_root_mode, vtd_present_modes) \
	T("scalable-root-entry", "entry", VTD_SMROOT, 2, vtd_smroot_mode, vtd_smroot_modes) \
	T("context-entry", "entry", VTD_CONTEXT, 2, vtd_context_mode, vtd_context_modes) \
	T("scalable-context-entry", "entry", VTD_SMCONTEXT, 4, vtd_smcontext_mode, vtd_present_modes) \
	T("pasid-directory-entry", "entry", VTD_PASIDDIR, 1, vtd_pasiddir_mode, vtd_present_modes) \
	T("pasid-entry", "entry", VTD_PASID, 8, vtd_pasid_mode, vtd_pasid_modes) \
	T("first-stage-entry", "page-table entry", VTD_FS, 1, NULL, NULL) \
	T("second-stage-entry", "page-table entry", VTD_SS, 1, NULL, NULL) \
	T("context-cache-invalidate", "command", VTD_DESC_CONTEXT, 2, vtd_desc_context_mode, vtd_context_scopes) \
	T("pasid-cache-invalidate", "command", VTD_DESC_PASID, 2, vtd_desc_pasid_mode, vtd_pasid_scopes) \
	T("iotlb-invalidate", "command", VTD_DESC_IOTLB, 2, vtd_desc_iotlb_mode, vtd_iotlb_scopes) \
	T("pasid-iotlb-invalidate", "command", VTD_DESC_PIOTLB, 2, vtd_desc_piotlb_mode, vtd_piotlb_scopes) \
	T("devtlb-invalidate", "command", VTD_DESC_DEVTLB, 2, NULL, NULL) \
	T("pasid-devtlb-invalidate", "command", VTD_DESC_PDEVTLB, 2, NULL, NULL) \
	T("interrupt-entry-cache-invalidate", "command", VTD_DESC_IEC, 2, vtd_desc_iec_mode, vtd_iec_scopes) \
	T("invalidation-wait", "command", VTD_DESC_WAIT, 2, vtd_desc_wait_mode, vtd_wait_modes) \
	T("fault-record", "event", VTD_FAULT, 2, NULL, NULL)

static inline unsigned vtd_root_mode(const uint64_t *entry)
{
	return GET(VTD_ROOT, P, entry) ? VTD_ROOT_MODE_PRESENT : VTD_ROOT_MODE_ABSENT;
}

static inline unsigned vtd_smroot_mode(const uint64_t *entry)
{
	return (unsigned)(GET(VTD_SMROOT, LP, entry) | GET(VTD_SMROOT, UP, entry) << 1);
}

#define VTD_MODE_FROM_FIELD(function, S, name) \
	static inline unsigned function(const uint64_t *words) \
	{ \
		return (unsigned)GET(S, name, words); \
	}
VTD_MODE_FROM_FIELD(vtd_desc_context_mode, VTD_DESC_CONTEXT, G)
VTD_MODE_FROM_FIELD(vtd_desc_pasid_mode, VTD_DESC_PASID, G)
VTD_MODE_FROM_FIELD(vtd_desc_iotlb_mode, VTD_DESC_IOTLB, G)
VTD_MODE_FROM_FIELD(vtd_desc_piotlb_mode, VTD_DESC_PIOTLB, G)
VTD_MODE_FROM_FIELD(vtd_desc_iec_mode, VTD_DESC_IEC, G)
VTD_MODE_FROM_FIELD(vtd_desc_wait_mode, VTD_DESC_WAIT, SW)

#endif
