/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv.h - every structure, command, record and register of the RISC-V IOMMU, once.
 *
 * "Section" is of the RISC-V IOMMU Architecture Specification, version 1.0 and later: 2 data structures, 3 queues, 5 registers,
 * 6 software guidelines, 8 extensions. "P" is the privileged architecture (Sv39 and its kin, the hypervisor extension's SvNx4),
 * "A" the Advanced Interrupt Architecture (MSI page tables).
 *
 * A page number field holds a physical address shifted right by 12: RISCV_PPN() and RISCV_ADDR() convert.
 */
#ifndef LAYOUT_RISCV_H
#define LAYOUT_RISCV_H

#include "layout.h"

#define RISCV_PPN(addr) ((uint64_t)(addr) >> 12)
#define RISCV_ADDR(ppn) ((uint64_t)(ppn) << 12)

/* ---- 2.1 Device directory ---- */

/* 2.1.1 Non-leaf entry: 64 bits; 512 in a table (256 in the root of three levels with base-format contexts) */
enum { RISCV_DDTE_MODE_ABSENT, RISCV_DDTE_MODE_PRESENT };
#define RISCV_DDTE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.1.1", "0=not valid|1=valid") \
	f(s, PPN, 10, 44, 1u << RISCV_DDTE_MODE_PRESENT, "2.1.1", "")
LAYOUT_FIELDS(RISCV_DDTE, RISCV_DDTE_LIST);

static inline unsigned riscv_ddte_mode(const uint64_t *entry)
{
	return GET(RISCV_DDTE, V, entry) ? RISCV_DDTE_MODE_PRESENT : RISCV_DDTE_MODE_ABSENT;
}

/*
 * 2.1.2 Device context: 256 bits in base format, 512 in extended format (capabilities.MSI_FLAT); 128 or 64 in a 4 KiB table.
 * Words: tc, iohgatp, ta, fsc; msiptp, msi_addr_mask, msi_addr_pattern, reserved.
 */
enum { RISCV_DC_TC, RISCV_DC_IOHGATP, RISCV_DC_TA, RISCV_DC_FSC, RISCV_DC_MSIPTP, RISCV_DC_MSI_MASK, RISCV_DC_MSI_PATTERN };
enum { RISCV_DC_WORDS = 4, RISCV_DCX_WORDS = 8 };

/* The mode is made of what is not Bare. With MSI translation by a flat table (extended format), RISCV_DC_MODE_MSI is added. */
enum {
	RISCV_DC_MODE_ABSENT,
	RISCV_DC_MODE_IDENTITY,			/* both stages Bare */
	RISCV_DC_MODE_FIRST,			/* iosatp */
	RISCV_DC_MODE_PROCESS_BARE,		/* PDTV, pdtp Bare */
	RISCV_DC_MODE_PROCESS,			/* PDTV, a process directory */
	RISCV_DC_MODE_SECOND,			/* iohgatp, iosatp Bare */
	RISCV_DC_MODE_NESTED,			/* iohgatp and iosatp */
	RISCV_DC_MODE_NESTED_PROCESS_BARE,	/* iohgatp, PDTV, pdtp Bare */
	RISCV_DC_MODE_NESTED_PROCESS,		/* iohgatp, PDTV, a process directory */
	RISCV_DC_MODES,
	RISCV_DC_MODE_MSI = 16
};
#define RISCV_DC_IN(mode) (1u << (mode) | 1u << ((mode) + RISCV_DC_MODE_MSI))
#define RISCV_DC_PRESENT (~(1u << RISCV_DC_MODE_ABSENT))
#define RISCV_DC_STAGE2 \
	(RISCV_DC_IN(RISCV_DC_MODE_SECOND) | RISCV_DC_IN(RISCV_DC_MODE_NESTED) | \
	 RISCV_DC_IN(RISCV_DC_MODE_NESTED_PROCESS_BARE) | RISCV_DC_IN(RISCV_DC_MODE_NESTED_PROCESS))
#define RISCV_DC_IOSATP (RISCV_DC_IN(RISCV_DC_MODE_FIRST) | RISCV_DC_IN(RISCV_DC_MODE_NESTED))
#define RISCV_DC_PDTP (RISCV_DC_IN(RISCV_DC_MODE_PROCESS) | RISCV_DC_IN(RISCV_DC_MODE_NESTED_PROCESS))
#define RISCV_DC_FLAT_MSI (~0u << RISCV_DC_MODE_MSI)

/* Flags that only one stage uses are also looked at elsewhere: by the checks of 2.1.4, if the unit lacks what they stand for. */
#define RISCV_DC_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.1.3.1", "0=not valid|1=valid") \
	f(s, EN_ATS, 1, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=no ATS, translated requests are refused|1=device TLB allowed") \
	f(s, EN_PRI, 2, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=page requests are refused|1=allowed") \
	f(s, T2GPA, 3, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=device TLB holds physical addresses|1=guest-physical addresses") \
	f(s, DTF, 4, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=faults are recorded|1=translation faults are not recorded") \
	f(s, PDTV, 5, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=fsc is iosatp|1=fsc is pdtp") \
	f(s, PRPR, 6, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=no PASID in page responses|1=PASID in page responses") \
	f(s, GADE, 7, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=A and D of the second stage fault|1=set by hardware") \
	f(s, SADE, 8, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=A and D of the first stage fault|1=set by hardware") \
	f(s, DPE, 9, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=requests without process id skip the first stage|1=have process id 0") \
	f(s, SBE, 10, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=little-endian|1=big-endian first-stage tables") \
	f(s, SXL, 11, 1, RISCV_DC_PRESENT, "2.1.3.1", "0=64-bit schemes|1=Sv32") \
	f(s, CUSTOM, 24, 8, 0, "2.1.3.1", "") \
	f(s, G_PPN, 64, 44, RISCV_DC_STAGE2, "2.1.3.2", "") \
	f(s, GSCID, 108, 16, RISCV_DC_STAGE2, "2.1.3.2", "") \
	f(s, G_MODE, 124, 4, RISCV_DC_PRESENT, "2.1.3.2", "0=Bare|8=Sv39x4|9=Sv48x4|10=Sv57x4") \
	f(s, PSCID, 140, 20, RISCV_DC_IOSATP, "2.1.3.3", "") \
	f(s, RCID, 168, 12, RISCV_DC_PRESENT, "2.1.3.3", "") \
	f(s, MCID, 180, 12, RISCV_DC_PRESENT, "2.1.3.3", "") \
	f(s, FSC_PPN, 192, 44, RISCV_DC_IOSATP | RISCV_DC_PDTP, "2.1.3.4", "") \
	f(s, FSC_MODE, 252, 4, RISCV_DC_PRESENT, "2.1.3.4", \
	  "0=Bare|1=PD8 (process directory)|2=PD17 (process directory)|3=PD20 (process directory)|8=Sv39|9=Sv48|10=Sv57")
LAYOUT_FIELDS(RISCV_DC, RISCV_DC_LIST);

#define RISCV_DCX_LIST(s, f) \
	RISCV_DC_LIST(s, f) \
	f(s, MSI_PPN, 256, 44, RISCV_DC_FLAT_MSI, "2.1.3.5", "") \
	f(s, MSI_MODE, 316, 4, RISCV_DC_PRESENT, "2.1.3.5", "0=Off|1=Flat") \
	f(s, MSI_MASK, 320, 52, RISCV_DC_FLAT_MSI, "2.1.3.6", "") \
	f(s, MSI_PATTERN, 384, 52, RISCV_DC_FLAT_MSI, "2.1.3.6", "")
LAYOUT_FIELDS(RISCV_DCX, RISCV_DCX_LIST);

enum { RISCV_G_BARE = 0, RISCV_G_SV39X4 = 8, RISCV_G_SV48X4 = 9, RISCV_G_SV57X4 = 10 };	/* fctl.GXL=1: 8 is Sv32x4 */
enum { RISCV_S_BARE = 0, RISCV_S_SV39 = 8, RISCV_S_SV48 = 9, RISCV_S_SV57 = 10 };	/* SXL=1: 8 is Sv32 */
enum { RISCV_PDTP_BARE = 0, RISCV_PDTP_PD8 = 1, RISCV_PDTP_PD17 = 2, RISCV_PDTP_PD20 = 3 };
enum { RISCV_MSI_OFF = 0, RISCV_MSI_FLAT = 1 };

static inline unsigned riscv_dc_mode(const uint64_t *entry)
{
	bool first = GET(RISCV_DC, FSC_MODE, entry) != RISCV_S_BARE;
	unsigned mode = RISCV_DC_MODE_IDENTITY;

	if (!GET(RISCV_DC, V, entry))
		return RISCV_DC_MODE_ABSENT;
	if (GET(RISCV_DC, PDTV, entry))
		mode = first ? RISCV_DC_MODE_PROCESS : RISCV_DC_MODE_PROCESS_BARE;
	else if (first)
		mode = RISCV_DC_MODE_FIRST;
	if (GET(RISCV_DC, G_MODE, entry) != RISCV_G_BARE)
		mode += RISCV_DC_MODE_SECOND - RISCV_DC_MODE_IDENTITY;
	return mode;
}

static inline unsigned riscv_dcx_mode(const uint64_t *entry)
{
	unsigned mode = riscv_dc_mode(entry);

	if (mode != RISCV_DC_MODE_ABSENT && GET(RISCV_DCX, MSI_MODE, entry) != RISCV_MSI_OFF)
		mode += RISCV_DC_MODE_MSI;
	return mode;
}

/* 2.3.1 The widths of a device id's parts, leaf first. */
enum { RISCV_DDI0_BITS = 7, RISCV_DDI1_BITS = 9, RISCV_DDI2_BITS = 8 };
enum { RISCV_DDI0_BITS_X = 6, RISCV_DDI1_BITS_X = 9, RISCV_DDI2_BITS_X = 9 };

/* ---- 2.2 Process directory ---- */

/* 2.2.1 Non-leaf entry: 64 bits; 512 in a table, 8 in the root of PD20 */
#define RISCV_PDTE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.2.1", "0=not valid|1=valid") \
	f(s, PPN, 10, 44, 1u << RISCV_DDTE_MODE_PRESENT, "2.2.1", "")
LAYOUT_FIELDS(RISCV_PDTE, RISCV_PDTE_LIST);

/* 2.2.2 Process context: 128 bits; 256 in a 4 KiB table */
enum { RISCV_PC_TA, RISCV_PC_FSC, RISCV_PC_WORDS };
enum { RISCV_PC_MODE_ABSENT, RISCV_PC_MODE_BARE, RISCV_PC_MODE_FIRST };
#define RISCV_PC_PRESENT (~(1u << RISCV_PC_MODE_ABSENT))
#define RISCV_PC_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "2.2.3.1", "0=not valid|1=valid") \
	f(s, ENS, 1, 1, RISCV_PC_PRESENT, "2.2.3.1", "0=supervisor requests are refused|1=allowed") \
	f(s, SUM, 2, 1, RISCV_PC_PRESENT, "2.2.3.1", "0=supervisor requests can't access user pages|1=they can") \
	f(s, PSCID, 12, 20, 1u << RISCV_PC_MODE_FIRST, "2.2.3.1", "") \
	f(s, FSC_PPN, 64, 44, 1u << RISCV_PC_MODE_FIRST, "2.2.3.2", "") \
	f(s, FSC_MODE, 124, 4, RISCV_PC_PRESENT, "2.2.3.2", "0=Bare|8=Sv39|9=Sv48|10=Sv57")
LAYOUT_FIELDS(RISCV_PC, RISCV_PC_LIST);

static inline unsigned riscv_pc_mode(const uint64_t *entry)
{
	if (!GET(RISCV_PC, V, entry))
		return RISCV_PC_MODE_ABSENT;
	return GET(RISCV_PC, FSC_MODE, entry) == RISCV_S_BARE ? RISCV_PC_MODE_BARE : RISCV_PC_MODE_FIRST;
}

/* 2 The widths of a process id's parts, leaf first. */
enum { RISCV_PDI0_BITS = 8, RISCV_PDI1_BITS = 9, RISCV_PDI2_BITS = 3 };

/* ---- Page-table entries: 64 bits ---- */

/* Sv39, Sv48, Sv57 and, with G ignored, Sv39x4, Sv48x4, Sv57x4. In a pointer to a table, A, D, U, PBMT and N are reserved. */
enum { RISCV_PTE_MODE_ABSENT, RISCV_PTE_MODE_TABLE, RISCV_PTE_MODE_LEAF };
#define RISCV_PTE_VALID (~(1u << RISCV_PTE_MODE_ABSENT))
#define RISCV_PTE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "P Sv39", "0=not valid|1=valid") \
	f(s, R, 1, 1, RISCV_PTE_VALID, "P Sv39", "0=no reads|1=reads allowed") \
	f(s, W, 2, 1, RISCV_PTE_VALID, "P Sv39", "0=no writes|1=writes allowed") \
	f(s, X, 3, 1, RISCV_PTE_VALID, "P Sv39", "0=no execution|1=allowed") \
	f(s, U, 4, 1, RISCV_PTE_VALID, "P Sv39", "0=supervisor|1=user") \
	f(s, G, 5, 1, RISCV_PTE_VALID, "P Sv39", "0=of this address space|1=global") \
	f(s, A, 6, 1, RISCV_PTE_VALID, "P Sv39", "0=not accessed|1=accessed") \
	f(s, D, 7, 1, RISCV_PTE_VALID, "P Sv39", "0=clean|1=dirty") \
	f(s, RSW, 8, 2, 0, "P Sv39", "") \
	f(s, PPN, 10, 44, RISCV_PTE_VALID, "P Sv39", "") \
	f(s, PBMT, 61, 2, RISCV_PTE_VALID, "P Svpbmt", "0=as the memory is|1=non-cacheable|2=I/O|3=reserved") \
	f(s, N, 63, 1, RISCV_PTE_VALID, "P Svnapot", "0=one page|1=one of a naturally aligned 64 KiB")
LAYOUT_FIELDS(RISCV_PTE, RISCV_PTE_LIST);

static inline unsigned riscv_pte_mode(const uint64_t *entry)
{
	if (!GET(RISCV_PTE, V, entry))
		return RISCV_PTE_MODE_ABSENT;
	return GET(RISCV_PTE, R, entry) || GET(RISCV_PTE, W, entry) || GET(RISCV_PTE, X, entry) ? RISCV_PTE_MODE_LEAF :
		RISCV_PTE_MODE_TABLE;
}

enum { RISCV_PBMT_PMA, RISCV_PBMT_NC, RISCV_PBMT_IO };

/* With N, PPN[3:0] must be 1000: there are 16 of them. */
enum { RISCV_NAPOT_64K = 8, RISCV_NAPOT_64K_ORDER = 4 };

/* 2.3.3 MSI page-table entry: 128 bits; M=1, an entry for a memory-resident interrupt file, is printed but not driven */
enum { RISCV_MSIPTE_MODE_ABSENT, RISCV_MSIPTE_MODE_MRIF, RISCV_MSIPTE_MODE_BASIC, RISCV_MSIPTE_MODE_RESERVED };
#define RISCV_MSIPTE_VALID (~(1u << RISCV_MSIPTE_MODE_ABSENT))
#define RISCV_MSIPTE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "A 9.5", "0=not valid|1=valid") \
	f(s, M, 1, 2, RISCV_MSIPTE_VALID, "A 9.5", "0=reserved|1=memory-resident interrupt file|2=reserved|3=basic translate") \
	f(s, PPN, 10, 44, 1u << RISCV_MSIPTE_MODE_BASIC, "A 9.5.1", "") \
	f(s, C, 63, 1, RISCV_MSIPTE_VALID, "A 9.5", "0=as described|1=custom")
LAYOUT_FIELDS(RISCV_MSIPTE, RISCV_MSIPTE_LIST);

#define RISCV_MSIPTE_MRIF_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "A 9.5", "0=not valid|1=valid") \
	f(s, M, 1, 2, RISCV_MSIPTE_VALID, "A 9.5", "1=memory-resident interrupt file") \
	f(s, MRIF_ADDR, 7, 47, RISCV_MSIPTE_VALID, "A 9.5.2", "") \
	f(s, C, 63, 1, RISCV_MSIPTE_VALID, "A 9.5", "0=as described|1=custom") \
	f(s, NID, 64, 10, RISCV_MSIPTE_VALID, "A 9.5.2", "") \
	f(s, NPPN, 74, 44, RISCV_MSIPTE_VALID, "A 9.5.2", "") \
	f(s, NID_HIGH, 124, 1, RISCV_MSIPTE_VALID, "A 9.5.2", "")
LAYOUT_FIELDS(RISCV_MSIPTE_MRIF, RISCV_MSIPTE_MRIF_LIST);
enum { RISCV_MSIPTE_M_MRIF = 1, RISCV_MSIPTE_M_BASIC = 3 };

static inline unsigned riscv_msipte_mode(const uint64_t *entry)
{
	if (!GET(RISCV_MSIPTE, V, entry))
		return RISCV_MSIPTE_MODE_ABSENT;
	switch (GET(RISCV_MSIPTE, M, entry)) {
	case RISCV_MSIPTE_M_MRIF:
		return RISCV_MSIPTE_MODE_MRIF;
	case RISCV_MSIPTE_M_BASIC:
		return RISCV_MSIPTE_MODE_BASIC;
	default:
		return RISCV_MSIPTE_MODE_RESERVED;
	}
}

/* ---- 3.1 Commands: 128 bits ---- */

enum { RISCV_OP_IOTINVAL = 1, RISCV_OP_IOFENCE = 2, RISCV_OP_IODIR = 3, RISCV_OP_ATS = 4, RISCV_OP_CUSTOM = 64 };
enum { RISCV_FUNC_IOTINVAL_VMA = 0, RISCV_FUNC_IOTINVAL_GVMA = 1 };
enum { RISCV_FUNC_IOFENCE_C = 0 };
enum { RISCV_FUNC_IODIR_INVAL_DDT = 0, RISCV_FUNC_IODIR_INVAL_PDT = 1 };
enum { RISCV_FUNC_ATS_INVAL = 0, RISCV_FUNC_ATS_PRGR = 1 };

#define RISCV_CMD_LIST(s, f) \
	f(s, OPCODE, 0, 7, ALWAYS, "3.1", "1=IOTINVAL|2=IOFENCE|3=IODIR|4=ATS") \
	f(s, FUNC3, 7, 3, ALWAYS, "3.1", "")
LAYOUT_FIELDS(RISCV_CMD, RISCV_CMD_LIST);

/* The mode of an IOTINVAL: AV | PSCV << 1 | GV << 2. NL and S exist with capabilities.NL and .S only, else they are reserved. */
#define RISCV_IOTINVAL_WITH_AV 0xaau
#define RISCV_IOTINVAL_WITH_PSCV 0xccu
#define RISCV_IOTINVAL_WITH_GV 0xf0u
#define RISCV_IOTINVAL_LIST(s, f) \
	f(s, OPCODE, 0, 7, ALWAYS, "3.1.1", "1=IOTINVAL") \
	f(s, FUNC3, 7, 3, ALWAYS, "3.1.1", "0=VMA, first stage|1=GVMA, second stage") \
	f(s, AV, 10, 1, ALWAYS, "3.1.1", "0=every address|1=one address") \
	f(s, PSCID, 12, 20, RISCV_IOTINVAL_WITH_PSCV, "3.1.1", "") \
	f(s, PSCV, 32, 1, ALWAYS, "3.1.1", "0=every PSCID|1=one PSCID") \
	f(s, GV, 33, 1, ALWAYS, "3.1.1", "0=host address spaces (VMA), every GSCID (GVMA)|1=one GSCID") \
	f(s, NL, 34, 1, RISCV_IOTINVAL_WITH_AV, "8.2", "0=leaves only|1=tables too") \
	f(s, GSCID, 44, 16, RISCV_IOTINVAL_WITH_GV, "3.1.1", "") \
	f(s, S, 73, 1, RISCV_IOTINVAL_WITH_AV, "8.3", "0=one page|1=the address has the range's size") \
	f(s, ADDR, 74, 52, RISCV_IOTINVAL_WITH_AV, "3.1.1", "")
LAYOUT_FIELDS(RISCV_IOTINVAL, RISCV_IOTINVAL_LIST);

static inline unsigned riscv_iotinval_mode(const uint64_t *c)
{
	return (unsigned)(GET(RISCV_IOTINVAL, AV, c) | GET(RISCV_IOTINVAL, PSCV, c) << 1 | GET(RISCV_IOTINVAL, GV, c) << 2);
}

/* The mode: AV, whether it stores DATA. ADDR is the address shifted right by 2. */
#define RISCV_IOFENCE_LIST(s, f) \
	f(s, OPCODE, 0, 7, ALWAYS, "3.1.2", "2=IOFENCE") \
	f(s, FUNC3, 7, 3, ALWAYS, "3.1.2", "0=C") \
	f(s, AV, 10, 1, ALWAYS, "3.1.2", "0=no store|1=stores the data") \
	f(s, WSI, 11, 1, ALWAYS, "3.1.2", "0=no interrupt|1=wired interrupt") \
	f(s, PR, 12, 1, ALWAYS, "3.1.2", "0=earlier reads may be under way|1=are globally done") \
	f(s, PW, 13, 1, ALWAYS, "3.1.2", "0=earlier writes may be under way|1=are globally done") \
	f(s, DATA, 32, 32, 1u << 1, "3.1.2", "") \
	f(s, ADDR, 64, 62, 1u << 1, "3.1.2", "")
LAYOUT_FIELDS(RISCV_IOFENCE, RISCV_IOFENCE_LIST);

static inline unsigned riscv_iofence_mode(const uint64_t *c)
{
	return (unsigned)GET(RISCV_IOFENCE, AV, c);
}

/* The mode: FUNC3 | DV << 1. PID is reserved in INVAL_DDT; DV must be 1 in INVAL_PDT. */
#define RISCV_IODIR_LIST(s, f) \
	f(s, OPCODE, 0, 7, ALWAYS, "3.1.3", "3=IODIR") \
	f(s, FUNC3, 7, 3, ALWAYS, "3.1.3", "0=INVAL_DDT|1=INVAL_PDT") \
	f(s, PID, 12, 20, 1u << 1 | 1u << 3, "3.1.3", "") \
	f(s, DV, 33, 1, ALWAYS, "3.1.3", "0=every device|1=one device") \
	f(s, DID, 40, 24, 1u << 2 | 1u << 3, "3.1.3", "")
LAYOUT_FIELDS(RISCV_IODIR, RISCV_IODIR_LIST);

static inline unsigned riscv_iodir_mode(const uint64_t *c)
{
	return (unsigned)((GET(RISCV_IODIR, FUNC3, c) & 1) | GET(RISCV_IODIR, DV, c) << 1);
}

/* The mode of an ATS command: PV | DSV << 1. */
#define RISCV_ATS_COMMON_LIST(s, f, functions) \
	f(s, OPCODE, 0, 7, ALWAYS, "3.1.4", "4=ATS") \
	f(s, FUNC3, 7, 3, ALWAYS, "3.1.4", functions) \
	f(s, PID, 12, 20, 1u << 1 | 1u << 3, "3.1.4", "") \
	f(s, PV, 32, 1, ALWAYS, "3.1.4", "0=no PASID|1=PASID") \
	f(s, DSV, 33, 1, ALWAYS, "3.1.4", "0=no segment|1=segment") \
	f(s, RID, 40, 16, ALWAYS, "3.1.4", "") \
	f(s, DSEG, 56, 8, 1u << 2 | 1u << 3, "3.1.4", "")
#define RISCV_ATS_INVAL_LIST(s, f) \
	RISCV_ATS_COMMON_LIST(s, f, "0=INVAL") \
	f(s, G, 64, 1, ALWAYS, "3.1.4", "0=that PASID|1=every PASID") \
	f(s, S, 75, 1, ALWAYS, "3.1.4", "0=one page|1=size is in the address") \
	f(s, ADDR, 76, 52, ALWAYS, "3.1.4", "")
LAYOUT_FIELDS(RISCV_ATS_INVAL, RISCV_ATS_INVAL_LIST);
#define RISCV_ATS_PRGR_LIST(s, f) \
	RISCV_ATS_COMMON_LIST(s, f, "1=PRGR") \
	f(s, INDEX, 96, 9, ALWAYS, "3.1.4", "") \
	f(s, CODE, 108, 4, ALWAYS, "3.1.4", "0=success|1=invalid request|15=response failure")
LAYOUT_FIELDS(RISCV_ATS_PRGR, RISCV_ATS_PRGR_LIST);

static inline unsigned riscv_ats_mode(const uint64_t *c)
{
	return (unsigned)(GET(RISCV_ATS_INVAL, PV, c) | GET(RISCV_ATS_INVAL, DSV, c) << 1);
}

enum { RISCV_CMD_WORDS = 2, RISCV_FAULT_WORDS = 4, RISCV_PAGE_REQUEST_WORDS = 2 };

/* ---- 3.2 Fault record: 256 bits ---- */

#define RISCV_FAULT_LIST(s, f) \
	f(s, CAUSE, 0, 12, ALWAYS, "3.2", "") \
	f(s, PID, 12, 20, ALWAYS, "3.2", "") \
	f(s, PV, 32, 1, ALWAYS, "3.2", "0=no process id|1=process id") \
	f(s, PRIV, 33, 1, ALWAYS, "3.2", "0=user|1=supervisor") \
	f(s, TTYP, 34, 6, ALWAYS, "3.2", \
	  "0=none|1=untranslated read for execute|2=untranslated read|3=untranslated write or atomic|5=translated read for execute|6=translated read|7=translated write or atomic|8=ATS translation request|9=message") \
	f(s, DID, 40, 24, ALWAYS, "3.2", "") \
	f(s, CUSTOM, 64, 32, 0, "3.2", "") \
	f(s, IOTVAL, 128, 64, ALWAYS, "3.2", "") \
	f(s, IOTVAL2, 192, 64, ALWAYS, "3.2", "")
LAYOUT_FIELDS(RISCV_FAULT, RISCV_FAULT_LIST);

enum {
	RISCV_TTYP_NONE = 0,
	RISCV_TTYP_EXECUTE = 1,
	RISCV_TTYP_READ = 2,
	RISCV_TTYP_WRITE = 3,
	RISCV_TTYP_TRANSLATED_EXECUTE = 5,
	RISCV_TTYP_TRANSLATED_READ = 6,
	RISCV_TTYP_TRANSLATED_WRITE = 7,
	RISCV_TTYP_ATS = 8,
	RISCV_TTYP_MESSAGE = 9
};
/* iotval2 of a guest page fault: the guest-physical address with two flags below. */
enum { RISCV_IOTVAL2_IMPLICIT = 1 << 0, RISCV_IOTVAL2_WRITE = 1 << 1 };

/* R(NAME, code, cause, reported with DTF, text). The cause is the name of an enum iommu_fault_cause without its prefix. */
#define RISCV_FAULT_CAUSES(R) \
	R(ACCESS_EXECUTE, 1, TABLE, 0, "instruction access fault") \
	R(MISALIGNED_READ, 4, ADDRESS, 0, "read address misaligned") \
	R(ACCESS_READ, 5, TABLE, 0, "read access fault") \
	R(MISALIGNED_WRITE, 6, ADDRESS, 0, "write address misaligned") \
	R(ACCESS_WRITE, 7, TABLE, 0, "write access fault") \
	R(PAGE_EXECUTE, 12, NOT_MAPPED, 0, "instruction page fault") \
	R(PAGE_READ, 13, NOT_MAPPED, 0, "read page fault") \
	R(PAGE_WRITE, 15, NOT_MAPPED, 0, "write page fault") \
	R(GUEST_EXECUTE, 20, NOT_MAPPED, 0, "instruction guest page fault") \
	R(GUEST_READ, 21, NOT_MAPPED, 0, "read guest page fault") \
	R(GUEST_WRITE, 23, NOT_MAPPED, 0, "write guest page fault") \
	R(OFF, 256, BLOCKED, 1, "all inbound transactions disallowed") \
	R(DDT_ACCESS, 257, ENTRY, 1, "device directory entry can't be read") \
	R(DDT_ABSENT, 258, BLOCKED, 1, "device directory entry not valid") \
	R(DDT_MISCONFIGURED, 259, ENTRY, 1, "device directory entry misconfigured") \
	R(DISALLOWED, 260, ENTRY, 0, "transaction type disallowed") \
	R(MSI_ACCESS, 261, TABLE, 0, "MSI page-table entry can't be read") \
	R(MSI_ABSENT, 262, NOT_MAPPED, 0, "MSI page-table entry not valid") \
	R(MSI_MISCONFIGURED, 263, TABLE, 0, "MSI page-table entry misconfigured") \
	R(MRIF_ACCESS, 264, TABLE, 0, "interrupt file in memory can't be accessed") \
	R(PDT_ACCESS, 265, ENTRY, 0, "process directory entry can't be read") \
	R(PDT_ABSENT, 266, BLOCKED, 0, "process directory entry not valid") \
	R(PDT_MISCONFIGURED, 267, ENTRY, 0, "process directory entry misconfigured") \
	R(DDT_CORRUPT, 268, ENTRY, 1, "device directory data corruption") \
	R(PDT_CORRUPT, 269, ENTRY, 0, "process directory data corruption") \
	R(MSI_CORRUPT, 270, TABLE, 0, "MSI page-table data corruption") \
	R(MRIF_CORRUPT, 271, TABLE, 0, "interrupt file data corruption") \
	R(INTERNAL, 272, UNKNOWN, 1, "internal data path error") \
	R(MSI_WRITE, 273, UNKNOWN, 1, "the unit's own interrupt write failed") \
	R(TABLE_CORRUPT, 274, TABLE, 0, "page-table data corruption")
#define RISCV_FAULT_CAUSE_ENUM(name, code, cause, dtf, text) RISCV_CAUSE_##name = (code),
enum { RISCV_FAULT_CAUSES(RISCV_FAULT_CAUSE_ENUM) RISCV_CAUSE_NONE = 0 };

/* ---- 3.3 Page request: 128 bits ---- */

#define RISCV_PAGE_REQUEST_LIST(s, f) \
	f(s, PID, 12, 20, ALWAYS, "3.3", "") \
	f(s, PV, 32, 1, ALWAYS, "3.3", "0=no process id|1=process id") \
	f(s, PRIV, 33, 1, ALWAYS, "3.3", "0=user|1=supervisor") \
	f(s, EXEC, 34, 1, ALWAYS, "3.3", "0=data|1=execute") \
	f(s, DID, 40, 24, ALWAYS, "3.3", "") \
	f(s, R, 64, 1, ALWAYS, "3.3", "") \
	f(s, W, 65, 1, ALWAYS, "3.3", "") \
	f(s, L, 66, 1, ALWAYS, "3.3", "0=more of the group follow|1=last of its group") \
	f(s, INDEX, 67, 9, ALWAYS, "3.3", "") \
	f(s, ADDR, 76, 52, ALWAYS, "3.3", "")
LAYOUT_FIELDS(RISCV_PAGE_REQUEST, RISCV_PAGE_REQUEST_LIST);

/* ---- 5 Registers ---- */

#define RISCV_CAP_LIST(s, f) \
	f(s, VERSION, 0, 8, ALWAYS, "5.3", "16=1.0") \
	f(s, SV32, 8, 1, ALWAYS, "5.3", "") \
	f(s, SV39, 9, 1, ALWAYS, "5.3", "") \
	f(s, SV48, 10, 1, ALWAYS, "5.3", "") \
	f(s, SV57, 11, 1, ALWAYS, "5.3", "") \
	f(s, SVPBMT, 15, 1, ALWAYS, "5.3", "") \
	f(s, SV32X4, 16, 1, ALWAYS, "5.3", "") \
	f(s, SV39X4, 17, 1, ALWAYS, "5.3", "") \
	f(s, SV48X4, 18, 1, ALWAYS, "5.3", "") \
	f(s, SV57X4, 19, 1, ALWAYS, "5.3", "") \
	f(s, AMO_MRIF, 21, 1, ALWAYS, "5.3", "") \
	f(s, MSI_FLAT, 22, 1, ALWAYS, "5.3", "0=device contexts in base format|1=in extended format") \
	f(s, MSI_MRIF, 23, 1, ALWAYS, "5.3", "") \
	f(s, AMO_HWAD, 24, 1, ALWAYS, "5.3", "0=A and D are set by software|1=can be set by hardware") \
	f(s, ATS, 25, 1, ALWAYS, "5.3", "") \
	f(s, T2GPA, 26, 1, ALWAYS, "5.3", "") \
	f(s, END, 27, 1, ALWAYS, "5.3", "0=one endianness|1=both") \
	f(s, IGS, 28, 2, ALWAYS, "5.3", "0=MSI|1=WSI|2=both") \
	f(s, HPM, 30, 1, ALWAYS, "5.3", "") \
	f(s, DBG, 31, 1, ALWAYS, "5.3", "") \
	f(s, PAS, 32, 6, ALWAYS, "5.3", "") \
	f(s, PD8, 38, 1, ALWAYS, "5.3", "") \
	f(s, PD17, 39, 1, ALWAYS, "5.3", "") \
	f(s, PD20, 40, 1, ALWAYS, "5.3", "") \
	f(s, QOSID, 41, 1, ALWAYS, "5.3", "") \
	f(s, NL, 42, 1, ALWAYS, "8.2", "") \
	f(s, S, 43, 1, ALWAYS, "8.3", "") \
	f(s, CUSTOM, 56, 8, 0, "5.3", "")
LAYOUT_FIELDS(RISCV_CAP, RISCV_CAP_LIST);
enum { RISCV_IGS_MSI = 0, RISCV_IGS_WSI = 1, RISCV_IGS_BOTH = 2 };
enum { RISCV_VERSION_1_0 = 0x10 };

#define RISCV_FCTL_LIST(s, f) \
	f(s, BE, 0, 1, ALWAYS, "5.4", "0=little-endian|1=big-endian") \
	f(s, WSI, 1, 1, ALWAYS, "5.4", "0=interrupts are messages|1=wires") \
	f(s, GXL, 2, 1, ALWAYS, "5.4", "0=64-bit schemes|1=Sv32x4") \
	f(s, CUSTOM, 16, 16, 0, "5.4", "")
LAYOUT_FIELDS(RISCV_FCTL, RISCV_FCTL_LIST);

#define RISCV_DDTP_LIST(s, f) \
	f(s, MODE, 0, 4, ALWAYS, "5.5", "0=Off|1=Bare|2=1LVL|3=2LVL|4=3LVL") \
	f(s, BUSY, 4, 1, ALWAYS, "5.5", "") \
	f(s, PPN, 10, 44, ALWAYS, "5.5", "")
LAYOUT_FIELDS(RISCV_DDTP, RISCV_DDTP_LIST);
enum { RISCV_DDTP_OFF = 0, RISCV_DDTP_BARE = 1, RISCV_DDTP_1LVL = 2, RISCV_DDTP_2LVL = 3, RISCV_DDTP_3LVL = 4 };

/* cqb, fqb, pqb; LOG2SZ is log2 of the entries, minus 1 */
#define RISCV_QUEUE_BASE_LIST(s, f) \
	f(s, LOG2SZ, 0, 5, ALWAYS, "5.6", "") \
	f(s, PPN, 10, 44, ALWAYS, "5.6", "")
LAYOUT_FIELDS(RISCV_QUEUE_BASE, RISCV_QUEUE_BASE_LIST);
#define RISCV_QUEUE_INDEX_LIST(s, f) f(s, INDEX, 0, 32, ALWAYS, "5.7", "")
LAYOUT_FIELDS(RISCV_QUEUE_INDEX, RISCV_QUEUE_INDEX_LIST);

/* What the three queues' control and status registers have in common */
#define RISCV_QCSR_LIST(s, f) \
	f(s, EN, 0, 1, ALWAYS, "5.15", "") \
	f(s, IE, 1, 1, ALWAYS, "5.15", "") \
	f(s, MF, 8, 1, ALWAYS, "5.15", "0=none|1=memory fault") \
	f(s, ON, 16, 1, ALWAYS, "5.15", "") \
	f(s, BUSY, 17, 1, ALWAYS, "5.15", "")
LAYOUT_FIELDS(RISCV_QCSR, RISCV_QCSR_LIST);
#define RISCV_CQCSR_LIST(s, f) \
	f(s, CQEN, 0, 1, ALWAYS, "5.15", "") \
	f(s, CIE, 1, 1, ALWAYS, "5.15", "") \
	f(s, CQMF, 8, 1, ALWAYS, "5.15", "0=none|1=memory fault") \
	f(s, CMD_TO, 9, 1, ALWAYS, "5.15", "0=none|1=a command timed out") \
	f(s, CMD_ILL, 10, 1, ALWAYS, "5.15", "0=none|1=illegal command") \
	f(s, FENCE_W_IP, 11, 1, ALWAYS, "5.15", "0=none|1=fence done") \
	f(s, CQON, 16, 1, ALWAYS, "5.15", "") \
	f(s, BUSY, 17, 1, ALWAYS, "5.15", "") \
	f(s, CUSTOM, 28, 4, 0, "5.15", "")
LAYOUT_FIELDS(RISCV_CQCSR, RISCV_CQCSR_LIST);
#define RISCV_FQCSR_LIST(s, f) \
	f(s, FQEN, 0, 1, ALWAYS, "5.16", "") \
	f(s, FIE, 1, 1, ALWAYS, "5.16", "") \
	f(s, FQMF, 8, 1, ALWAYS, "5.16", "0=none|1=memory fault") \
	f(s, FQOF, 9, 1, ALWAYS, "5.16", "0=none|1=records were lost") \
	f(s, FQON, 16, 1, ALWAYS, "5.16", "") \
	f(s, BUSY, 17, 1, ALWAYS, "5.16", "") \
	f(s, CUSTOM, 28, 4, 0, "5.16", "")
LAYOUT_FIELDS(RISCV_FQCSR, RISCV_FQCSR_LIST);
#define RISCV_PQCSR_LIST(s, f) \
	f(s, PQEN, 0, 1, ALWAYS, "5.17", "") \
	f(s, PIE, 1, 1, ALWAYS, "5.17", "") \
	f(s, PQMF, 8, 1, ALWAYS, "5.17", "0=none|1=memory fault") \
	f(s, PQOF, 9, 1, ALWAYS, "5.17", "0=none|1=requests were lost") \
	f(s, PQON, 16, 1, ALWAYS, "5.17", "") \
	f(s, BUSY, 17, 1, ALWAYS, "5.17", "") \
	f(s, CUSTOM, 28, 4, 0, "5.17", "")
LAYOUT_FIELDS(RISCV_PQCSR, RISCV_PQCSR_LIST);

#define RISCV_IPSR_LIST(s, f) \
	f(s, CIP, 0, 1, ALWAYS, "5.18", "") \
	f(s, FIP, 1, 1, ALWAYS, "5.18", "") \
	f(s, PMIP, 2, 1, ALWAYS, "5.18", "") \
	f(s, PIP, 3, 1, ALWAYS, "5.18", "") \
	f(s, CUSTOM, 8, 8, 0, "5.18", "")
LAYOUT_FIELDS(RISCV_IPSR, RISCV_IPSR_LIST);

/* iocountovf and iocountinh: bit n is counter n's */
#define RISCV_COUNTERS_LIST(s, f) \
	f(s, CY, 0, 1, ALWAYS, "5.19", "") \
	f(s, HPM, 1, 31, ALWAYS, "5.19", "")
LAYOUT_FIELDS(RISCV_COUNTERS, RISCV_COUNTERS_LIST);
#define RISCV_IOHPMCYCLES_LIST(s, f) \
	f(s, COUNTER, 0, 63, ALWAYS, "5.21", "") \
	f(s, OF, 63, 1, ALWAYS, "5.21", "")
LAYOUT_FIELDS(RISCV_IOHPMCYCLES, RISCV_IOHPMCYCLES_LIST);
#define RISCV_IOHPMCTR_LIST(s, f) f(s, COUNTER, 0, 64, ALWAYS, "5.22", "")
LAYOUT_FIELDS(RISCV_IOHPMCTR, RISCV_IOHPMCTR_LIST);
#define RISCV_IOHPMEVT_LIST(s, f) \
	f(s, EVENT, 0, 15, ALWAYS, "5.23", \
	  "0=none|1=untranslated requests|2=translated requests|3=ATS translation requests|4=TLB misses|5=device directory walks|6=process directory walks|7=first-stage walks|8=second-stage walks") \
	f(s, DMASK, 15, 1, ALWAYS, "5.23", "") \
	f(s, PID_PSCID, 16, 20, ALWAYS, "5.23", "") \
	f(s, DID_GSCID, 36, 24, ALWAYS, "5.23", "") \
	f(s, PV_PSCV, 60, 1, ALWAYS, "5.23", "") \
	f(s, DV_GSCV, 61, 1, ALWAYS, "5.23", "") \
	f(s, IDT, 62, 1, ALWAYS, "5.23", "0=filter by device and process id|1=by GSCID and PSCID") \
	f(s, OF, 63, 1, ALWAYS, "5.23", "")
LAYOUT_FIELDS(RISCV_IOHPMEVT, RISCV_IOHPMEVT_LIST);
enum {
	RISCV_EVENT_NONE = 0,
	RISCV_EVENT_UNTRANSLATED = 1,
	RISCV_EVENT_TRANSLATED = 2,
	RISCV_EVENT_ATS = 3,
	RISCV_EVENT_TLB_MISS = 4,
	RISCV_EVENT_DDT_WALK = 5,
	RISCV_EVENT_PDT_WALK = 6,
	RISCV_EVENT_FIRST_WALK = 7,
	RISCV_EVENT_SECOND_WALK = 8
};
enum { RISCV_COUNTERS = 31 };

#define RISCV_TR_REQ_IOVA_LIST(s, f) f(s, VPN, 12, 52, ALWAYS, "5.24", "")
LAYOUT_FIELDS(RISCV_TR_REQ_IOVA, RISCV_TR_REQ_IOVA_LIST);
#define RISCV_TR_REQ_CTL_LIST(s, f) \
	f(s, GO, 0, 1, ALWAYS, "5.25", "") \
	f(s, PRIV, 1, 1, ALWAYS, "5.25", "0=user|1=supervisor") \
	f(s, EXE, 2, 1, ALWAYS, "5.25", "0=data|1=execute") \
	f(s, NW, 3, 1, ALWAYS, "5.25", "0=read and write|1=read only") \
	f(s, PID, 12, 20, ALWAYS, "5.25", "") \
	f(s, PV, 32, 1, ALWAYS, "5.25", "0=no process id|1=process id") \
	f(s, CUSTOM, 36, 4, 0, "5.25", "") \
	f(s, DID, 40, 24, ALWAYS, "5.25", "")
LAYOUT_FIELDS(RISCV_TR_REQ_CTL, RISCV_TR_REQ_CTL_LIST);
#define RISCV_TR_RESPONSE_LIST(s, f) \
	f(s, FAULT, 0, 1, ALWAYS, "5.26", "0=translated|1=fault") \
	f(s, PBMT, 7, 2, ALWAYS, "5.26", "") \
	f(s, S, 9, 1, ALWAYS, "5.26", "0=one page|1=size is in the page number") \
	f(s, PPN, 10, 44, ALWAYS, "5.26", "") \
	f(s, CUSTOM, 60, 4, 0, "5.26", "")
LAYOUT_FIELDS(RISCV_TR_RESPONSE, RISCV_TR_RESPONSE_LIST);

#define RISCV_QOSID_LIST(s, f) \
	f(s, RCID, 0, 12, ALWAYS, "5.27", "") \
	f(s, MCID, 16, 12, ALWAYS, "5.27", "")
LAYOUT_FIELDS(RISCV_QOSID, RISCV_QOSID_LIST);
#define RISCV_ICVEC_LIST(s, f) \
	f(s, CIV, 0, 4, ALWAYS, "5.28", "") \
	f(s, FIV, 4, 4, ALWAYS, "5.28", "") \
	f(s, PMIV, 8, 4, ALWAYS, "5.28", "") \
	f(s, PIV, 12, 4, ALWAYS, "5.28", "") \
	f(s, CUSTOM, 32, 32, 0, "5.28", "")
LAYOUT_FIELDS(RISCV_ICVEC, RISCV_ICVEC_LIST);

/* msi_cfg_tbl: 16 vectors of 16 bytes: address (64 bits), data, vector control (32 each) */
#define RISCV_MSI_ADDR_LIST(s, f) f(s, ADDR, 2, 54, ALWAYS, "5.29", "")
LAYOUT_FIELDS(RISCV_MSI_ADDR, RISCV_MSI_ADDR_LIST);
#define RISCV_MSI_DATA_LIST(s, f) f(s, DATA, 0, 32, ALWAYS, "5.29", "")
LAYOUT_FIELDS(RISCV_MSI_DATA, RISCV_MSI_DATA_LIST);
#define RISCV_MSI_CTL_LIST(s, f) f(s, M, 0, 1, ALWAYS, "5.29", "0=sent|1=masked")
LAYOUT_FIELDS(RISCV_MSI_CTL, RISCV_MSI_CTL_LIST);
enum { RISCV_MSI_VECTORS = 16, RISCV_MSI_STRIDE = 16 };

/* R(NAME, decode-name, offset, bits, field list). Of the counters, selectors and vectors the first is here; the others follow. */
#define RISCV_REGISTERS(R) \
	R(CAP, "capabilities", 0, 64, RISCV_CAP_LIST) \
	R(FCTL, "fctl", 8, 32, RISCV_FCTL_LIST) \
	R(DDTP, "ddtp", 16, 64, RISCV_DDTP_LIST) \
	R(CQB, "cqb", 24, 64, RISCV_QUEUE_BASE_LIST) \
	R(CQH, "cqh", 32, 32, RISCV_QUEUE_INDEX_LIST) \
	R(CQT, "cqt", 36, 32, RISCV_QUEUE_INDEX_LIST) \
	R(FQB, "fqb", 40, 64, RISCV_QUEUE_BASE_LIST) \
	R(FQH, "fqh", 48, 32, RISCV_QUEUE_INDEX_LIST) \
	R(FQT, "fqt", 52, 32, RISCV_QUEUE_INDEX_LIST) \
	R(PQB, "pqb", 56, 64, RISCV_QUEUE_BASE_LIST) \
	R(PQH, "pqh", 64, 32, RISCV_QUEUE_INDEX_LIST) \
	R(PQT, "pqt", 68, 32, RISCV_QUEUE_INDEX_LIST) \
	R(CQCSR, "cqcsr", 72, 32, RISCV_CQCSR_LIST) \
	R(FQCSR, "fqcsr", 76, 32, RISCV_FQCSR_LIST) \
	R(PQCSR, "pqcsr", 80, 32, RISCV_PQCSR_LIST) \
	R(IPSR, "ipsr", 84, 32, RISCV_IPSR_LIST) \
	R(IOCOUNTOVF, "iocountovf", 88, 32, RISCV_COUNTERS_LIST) \
	R(IOCOUNTINH, "iocountinh", 92, 32, RISCV_COUNTERS_LIST) \
	R(IOHPMCYCLES, "iohpmcycles", 96, 64, RISCV_IOHPMCYCLES_LIST) \
	R(IOHPMCTR, "iohpmctr1", 104, 64, RISCV_IOHPMCTR_LIST) \
	R(IOHPMEVT, "iohpmevt1", 352, 64, RISCV_IOHPMEVT_LIST) \
	R(TR_REQ_IOVA, "tr_req_iova", 600, 64, RISCV_TR_REQ_IOVA_LIST) \
	R(TR_REQ_CTL, "tr_req_ctl", 608, 64, RISCV_TR_REQ_CTL_LIST) \
	R(TR_RESPONSE, "tr_response", 616, 64, RISCV_TR_RESPONSE_LIST) \
	R(QOSID, "iommu_qosid", 624, 32, RISCV_QOSID_LIST) \
	R(ICVEC, "icvec", 760, 64, RISCV_ICVEC_LIST) \
	R(MSI_ADDR, "msi_addr_0", 768, 64, RISCV_MSI_ADDR_LIST) \
	R(MSI_DATA, "msi_data_0", 776, 32, RISCV_MSI_DATA_LIST) \
	R(MSI_CTL, "msi_vec_ctl_0", 780, 32, RISCV_MSI_CTL_LIST)
#define RISCV_REGISTER_ENUM(name, text, offset, bits, list) RISCV_REG_##name = (offset),
enum { RISCV_REGISTERS(RISCV_REGISTER_ENUM) RISCV_REGISTERS_SIZE = 4096 };

/* Structures in memory, for the printer: T(decode-name, kind, prefix, words, mode function or NULL, mode names or NULL). */
#define RISCV_STRUCTURES(T) \
	T("non-leaf-ddt-entry", "entry", RISCV_DDTE, 1, riscv_ddte_mode, riscv_valid_modes) \
	T("dc", "entry", RISCV_DC, 4, riscv_dc_mode, riscv_dc_modes) \
	T("dc-extended", "entry", RISCV_DCX, 8, riscv_dcx_mode, riscv_dcx_modes) \
	T("non-leaf-pdt-entry", "entry", RISCV_PDTE, 1, riscv_ddte_mode, riscv_valid_modes) \
	T("pc", "entry", RISCV_PC, 2, riscv_pc_mode, riscv_pc_modes) \
	T("pte", "page-table entry", RISCV_PTE, 1, riscv_pte_mode, riscv_pte_modes) \
	T("msi-pte", "page-table entry", RISCV_MSIPTE, 2, riscv_msipte_mode, riscv_msipte_modes) \
	T("mrif-msi-pte", "page-table entry", RISCV_MSIPTE_MRIF, 2, riscv_msipte_mode, riscv_msipte_modes) \
	T("iotinval", "command", RISCV_IOTINVAL, 2, riscv_iotinval_mode, riscv_iotinval_scopes) \
	T("iofence", "command", RISCV_IOFENCE, 2, riscv_iofence_mode, riscv_iofence_modes) \
	T("iodir", "command", RISCV_IODIR, 2, riscv_iodir_mode, riscv_iodir_scopes) \
	T("ats-inval", "command", RISCV_ATS_INVAL, 2, riscv_ats_mode, riscv_ats_modes) \
	T("ats-prgr", "command", RISCV_ATS_PRGR, 2, riscv_ats_mode, riscv_ats_modes) \
	T("fault-record", "event", RISCV_FAULT, 4, NULL, NULL) \
	T("page-request", "event", RISCV_PAGE_REQUEST, 2, NULL, NULL)

#endif
