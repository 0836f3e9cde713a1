/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3.h - every structure, command, event and register of the Arm SMMUv3 (its Non-secure half), once.
 *
 * "Section" is of the Arm System Memory Management Unit Architecture Specification, version 3, document IHI 0070, issue G.b.
 * Page-table descriptors are VMSAv8-64's, in lpae.h.
 *
 * Not looked at in any mode (`when` 0) is what only the Secure or the Realm state, VMSAv8-32 tables or VMSAv9-128 tables need,
 * what is for software, and what is implementation defined. Fields of optional features are as with the feature.
 */
#ifndef LAYOUT_SMMUV3_H
#define LAYOUT_SMMUV3_H

#include "layout.h"

/* ---- 5.1 Level 1 stream table descriptor: 64 bits; by StreamID above STRTAB_BASE_CFG.SPLIT ---- */

/* Span is one more than log2 of the number of entries; above SPLIT + 1 it is out of bounds. */
enum { SMMU_L1STD_MODE_ABSENT, SMMU_L1STD_MODE_PRESENT };
#define SMMU_L1STD_LIST(s, f) \
	f(s, SPAN, 0, 5, ALWAYS, "5.1", "0=not valid|1=1 entry|2=2|3=4|4=8|5=16|6=32|7=64|8=128|9=256|10=512|11=1024") \
	f(s, L2PTR, 6, 50, 1u << SMMU_L1STD_MODE_PRESENT, "5.1", "")
LAYOUT_FIELDS(SMMU_L1STD, SMMU_L1STD_LIST);
enum { SMMU_L1STD_MAX_SPAN = 11 };

static inline unsigned smmu_l1std_mode(const uint64_t *entry)
{
	uint64_t span = GET(SMMU_L1STD, SPAN, entry);

	return span && span <= SMMU_L1STD_MAX_SPAN ? SMMU_L1STD_MODE_PRESENT : SMMU_L1STD_MODE_ABSENT;
}

/* ---- 5.2 Stream table entry: 512 bits, by StreamID ---- */

/*
 * A first stage comes in three kinds: one context descriptor, a table of them by SubstreamID, and a table where what has no
 * SubstreamID bypasses the first stage (S1DSS=1). In the EL2 worlds (STRW, first stage only) there is no VMID.
 */
enum {
	SMMU_STE_MODE_INVALID,		/* V=0: C_BAD_STE */
	SMMU_STE_MODE_ABORT,		/* Config 0xx: aborted without an event */
	SMMU_STE_MODE_BYPASS,
	SMMU_STE_MODE_S1,
	SMMU_STE_MODE_S1_TABLE,
	SMMU_STE_MODE_S1_TABLE_BYPASS,
	SMMU_STE_MODE_EL2,
	SMMU_STE_MODE_EL2_TABLE,
	SMMU_STE_MODE_EL2_TABLE_BYPASS,
	SMMU_STE_MODE_S2,
	SMMU_STE_MODE_NESTED,
	SMMU_STE_MODE_NESTED_TABLE,
	SMMU_STE_MODE_NESTED_TABLE_BYPASS,
	SMMU_STE_MODES
};
#define SMMU_STE_VALID (~(1u << SMMU_STE_MODE_INVALID))
#define SMMU_STE_PASS (SMMU_STE_VALID & ~(1u << SMMU_STE_MODE_ABORT))
#define SMMU_STE_NESTED \
	(1u << SMMU_STE_MODE_NESTED | 1u << SMMU_STE_MODE_NESTED_TABLE | 1u << SMMU_STE_MODE_NESTED_TABLE_BYPASS)
#define SMMU_STE_EL1 (1u << SMMU_STE_MODE_S1 | 1u << SMMU_STE_MODE_S1_TABLE | 1u << SMMU_STE_MODE_S1_TABLE_BYPASS)
#define SMMU_STE_EL2 (1u << SMMU_STE_MODE_EL2 | 1u << SMMU_STE_MODE_EL2_TABLE | 1u << SMMU_STE_MODE_EL2_TABLE_BYPASS)
#define SMMU_STE_S1 (SMMU_STE_EL1 | SMMU_STE_EL2 | SMMU_STE_NESTED)
#define SMMU_STE_S2 (1u << SMMU_STE_MODE_S2 | SMMU_STE_NESTED)
#define SMMU_STE_TRANSLATE (SMMU_STE_S1 | SMMU_STE_S2)
#define SMMU_STE_TABLE_BYPASS \
	(1u << SMMU_STE_MODE_S1_TABLE_BYPASS | 1u << SMMU_STE_MODE_EL2_TABLE_BYPASS | 1u << SMMU_STE_MODE_NESTED_TABLE_BYPASS)
#define SMMU_STE_TABLE \
	(1u << SMMU_STE_MODE_S1_TABLE | 1u << SMMU_STE_MODE_EL2_TABLE | 1u << SMMU_STE_MODE_NESTED_TABLE | SMMU_STE_TABLE_BYPASS)
/* Where a transaction may come through without a first stage, its attributes are the incoming ones or these (13.1.4). */
#define SMMU_STE_ATTRIBUTES (1u << SMMU_STE_MODE_BYPASS | 1u << SMMU_STE_MODE_S2 | SMMU_STE_TABLE_BYPASS)
#define SMMU_STE_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "5.2", "0=not valid|1=valid") \
	f(s, CONFIG, 1, 3, SMMU_STE_VALID, "5.2", \
	  "0=abort|1=abort|2=abort|3=abort|4=bypass|5=first stage|6=second stage|7=first and second stage") \
	f(s, S1FMT, 4, 2, SMMU_STE_TABLE, "5.2", "0=linear table|1=two levels, leaves of 4K|2=two levels, leaves of 64K|3=linear table") \
	f(s, S1CONTEXTPTR, 6, 50, SMMU_STE_S1, "5.2", "") \
	f(s, S1CDMAX, 59, 5, SMMU_STE_S1, "5.2", "") \
	f(s, S1DSS, 64, 2, SMMU_STE_TABLE, "5.2", \
	  "0=without SubstreamID: terminated|1=bypasses the first stage|2=uses context 0|3=terminated") \
	f(s, S1CIR, 66, 2, SMMU_STE_S1, "5.2", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no read-allocate") \
	f(s, S1COR, 68, 2, SMMU_STE_S1, "5.2", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no read-allocate") \
	f(s, S1CSH, 70, 2, SMMU_STE_S1, "5.2", "0=non-shareable|1=non-shareable|2=outer shareable|3=inner shareable") \
	f(s, S2HWU59, 72, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2HWU60, 73, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2HWU61, 74, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2HWU62, 75, 1, SMMU_STE_S2, "5.2", "") \
	f(s, DRE, 76, 1, SMMU_STE_TRANSLATE, "5.2", "0=no destructive reads|1=allowed") \
	f(s, CONT, 77, 4, SMMU_STE_VALID, "5.2", "") \
	f(s, DCP, 81, 1, SMMU_STE_TRANSLATE, "5.2", "0=no directed cache prefetch|1=allowed") \
	f(s, PPAR, 82, 1, SMMU_STE_PASS, "5.2", "0=automatic page responses without PASID|1=with PASID") \
	f(s, MEV, 83, 1, SMMU_STE_PASS, "5.2", "0=events are not merged|1=may be merged") \
	f(s, SW_RESERVED, 84, 4, 0, "5.2", "") \
	f(s, S1PIE, 88, 1, SMMU_STE_S1, "5.2", "0=no permission indirection|1=as CD.PIE says") \
	f(s, S2FWB, 89, 1, SMMU_STE_S2, "5.2", "0=attributes are combined|1=second stage overrides") \
	f(s, S1MPAM, 90, 1, SMMU_STE_S1, "5.2", "0=PARTID and PMG of the STE|1=of the CD") \
	f(s, S1STALLD, 91, 1, SMMU_STE_S1, "5.2", "0=CDs may stall|1=they may not") \
	f(s, EATS, 92, 2, SMMU_STE_TRANSLATE, "5.2", "0=no ATS|1=full ATS|2=split-stage ATS|3=full ATS with DPT checks") \
	f(s, STRW, 94, 2, SMMU_STE_EL1 | SMMU_STE_EL2, "5.2", "0=EL1|1=reserved|2=EL2|3=reserved") \
	f(s, MEMATTR, 96, 4, SMMU_STE_ATTRIBUTES, "5.2", "") \
	f(s, MTCFG, 100, 1, SMMU_STE_ATTRIBUTES, "5.2", "0=incoming memory type|1=MemAttr") \
	f(s, ALLOCCFG, 101, 4, SMMU_STE_ATTRIBUTES, "5.2", "") \
	f(s, SHCFG, 108, 2, SMMU_STE_ATTRIBUTES, "5.2", "0=non-shareable|1=incoming|2=outer shareable|3=inner shareable") \
	f(s, NSCFG, 110, 2, 0, "5.2", "") \
	f(s, PRIVCFG, 112, 2, SMMU_STE_PASS, "5.2", "0=incoming|1=incoming|2=unprivileged|3=privileged") \
	f(s, INSTCFG, 114, 2, SMMU_STE_PASS, "5.2", "0=incoming|1=incoming|2=data|3=instruction") \
	f(s, IMPDEF1, 116, 12, 0, "5.2", "") \
	f(s, S2VMID, 128, 16, SMMU_STE_EL1 | SMMU_STE_S2, "5.2", "") \
	f(s, IMPDEF2, 144, 16, 0, "5.2", "") \
	f(s, S2T0SZ, 160, 6, SMMU_STE_S2, "5.2", "") \
	f(s, S2SL0, 166, 2, SMMU_STE_S2, "5.2", "") \
	f(s, S2IR0, 168, 2, SMMU_STE_S2, "5.2", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, S2OR0, 170, 2, SMMU_STE_S2, "5.2", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, S2SH0, 172, 2, SMMU_STE_S2, "5.2", "0=non-shareable|1=non-shareable|2=outer shareable|3=inner shareable") \
	f(s, S2TG, 174, 2, SMMU_STE_S2, "5.2", "0=4K|1=64K|2=16K|3=reserved") \
	f(s, S2PS, 176, 3, SMMU_STE_S2, "5.2", "0=32 bits|1=36 bits|2=40 bits|3=42 bits|4=44 bits|5=48 bits|6=52 bits|7=56 bits") \
	f(s, S2AA64, 179, 1, SMMU_STE_S2, "5.2", "0=VMSAv8-32 tables|1=VMSAv8-64 tables") \
	f(s, S2ENDI, 180, 1, SMMU_STE_S2, "5.2", "0=little-endian|1=big-endian") \
	f(s, S2AFFD, 181, 1, SMMU_STE_S2, "5.2", "0=AF=0 faults|1=it doesn't") \
	f(s, S2PTW, 182, 1, SMMU_STE_NESTED, "5.2", "0=table walks may touch device memory|1=that faults") \
	f(s, S2HD, 183, 1, SMMU_STE_S2, "5.2", "0=dirty state is software's|1=updated by hardware") \
	f(s, S2HA, 184, 1, SMMU_STE_S2, "5.2", "0=access flag is software's|1=updated by hardware") \
	f(s, S2S, 185, 1, SMMU_STE_S2, "5.2", "0=faults terminate|1=faults stall") \
	f(s, S2R, 186, 1, SMMU_STE_S2, "5.2", "0=faults are not recorded|1=recorded") \
	f(s, S2HAFT, 187, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2PIE, 188, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2POE, 189, 1, SMMU_STE_S2, "5.2", "") \
	f(s, DPT_VMATCH, 190, 2, SMMU_STE_TRANSLATE, "5.2", "") \
	f(s, S2NSW, 192, 1, 0, "5.2", "") \
	f(s, S2NSA, 193, 1, 0, "5.2", "") \
	f(s, S2SL0_2, 194, 1, SMMU_STE_S2, "5.2", "") \
	f(s, S2DS, 195, 1, SMMU_STE_S2, "5.2", "0=48-bit descriptors|1=52-bit descriptors with 4K and 16K") \
	f(s, S2TTB, 196, 52, SMMU_STE_S2, "5.2", "") \
	f(s, S2SKL, 253, 2, 0, "5.2", "") \
	f(s, IMPDEF3, 256, 16, 0, "5.2", "") \
	f(s, PARTID, 272, 16, SMMU_STE_PASS, "5.2", "") \
	f(s, S_S2T0SZ, 288, 6, 0, "5.2", "") \
	f(s, S_S2SL0, 294, 2, 0, "5.2", "") \
	f(s, S_S2TG, 302, 2, 0, "5.2", "") \
	f(s, MECID, 304, 16, 0, "5.2", "") \
	f(s, PMG, 320, 8, SMMU_STE_PASS, "5.2", "") \
	f(s, MPAM_NS, 328, 1, 0, "5.2", "") \
	f(s, ASSUREDONLY, 329, 1, SMMU_STE_S2, "5.2", "") \
	f(s, TL0, 330, 1, SMMU_STE_S2, "5.2", "") \
	f(s, TL1, 331, 1, SMMU_STE_S2, "5.2", "") \
	f(s, VMSPTR, 332, 44, SMMU_STE_NESTED, "5.2", "") \
	f(s, S2SW, 384, 1, 0, "5.2", "") \
	f(s, S2SA, 385, 1, 0, "5.2", "") \
	f(s, S_S2SL0_2, 386, 1, 0, "5.2", "") \
	f(s, S_S2TTB, 388, 52, 0, "5.2", "") \
	f(s, S_S2SKL, 445, 2, 0, "5.2", "") \
	f(s, S2POI, 448, 64, SMMU_STE_S2, "5.2", "")
LAYOUT_FIELDS(SMMU_STE, SMMU_STE_LIST);

enum { SMMU_STE_WORDS = 8, SMMU_STE_BYTES = 64 };
enum { SMMU_CONFIG_ABORT = 0, SMMU_CONFIG_BYPASS = 4, SMMU_CONFIG_S1 = 5, SMMU_CONFIG_S2 = 6, SMMU_CONFIG_NESTED = 7 };
/* The bits of Config in words: what there is of it. */
enum { SMMU_CONFIG_HAS_S1 = 1, SMMU_CONFIG_HAS_S2 = 2, SMMU_CONFIG_PASSES = 4 };
enum { SMMU_S1FMT_LINEAR = 0, SMMU_S1FMT_4K = 1, SMMU_S1FMT_64K = 2 };
enum { SMMU_S1DSS_TERMINATE = 0, SMMU_S1DSS_BYPASS = 1, SMMU_S1DSS_CD0 = 2 };
enum { SMMU_EATS_NONE = 0, SMMU_EATS_FULL = 1, SMMU_EATS_SPLIT = 2, SMMU_EATS_DPT = 3 };
enum { SMMU_STRW_EL1 = 0, SMMU_STRW_EL2 = 2 };
enum { SMMU_CACHE_NC = 0, SMMU_CACHE_WB = 1, SMMU_CACHE_WT = 2 };
enum { SMMU_SH_NON = 0, SMMU_SH_INCOMING = 1, SMMU_SH_OUTER = 2, SMMU_SH_INNER = 3 };
/* PRIVCFG, INSTCFG */
enum { SMMU_OVERRIDE_INCOMING = 0, SMMU_OVERRIDE_CLEAR = 2, SMMU_OVERRIDE_SET = 3 };
/* S2TG and CD.TG0; CD.TG1 has another order. */
enum { SMMU_TG0_4K = 0, SMMU_TG0_64K = 1, SMMU_TG0_16K = 2 };
enum { SMMU_TG1_16K = 1, SMMU_TG1_4K = 2, SMMU_TG1_64K = 3 };
/* S2PS, CD.IPS, IDR5.OAS */
enum { SMMU_PS_32, SMMU_PS_36, SMMU_PS_40, SMMU_PS_42, SMMU_PS_44, SMMU_PS_48, SMMU_PS_52, SMMU_PS_56 };

static inline unsigned smmu_ste_mode(const uint64_t *entry)
{
	uint64_t config = GET(SMMU_STE, CONFIG, entry);
	unsigned mode;

	if (!GET(SMMU_STE, V, entry))
		return SMMU_STE_MODE_INVALID;
	if (!(config & SMMU_CONFIG_PASSES))
		return SMMU_STE_MODE_ABORT;
	if (config == SMMU_CONFIG_BYPASS)
		return SMMU_STE_MODE_BYPASS;
	if (config == SMMU_CONFIG_S2)
		return SMMU_STE_MODE_S2;
	if (config == SMMU_CONFIG_NESTED)
		mode = SMMU_STE_MODE_NESTED;
	else
		mode = GET(SMMU_STE, STRW, entry) == SMMU_STRW_EL1 ? SMMU_STE_MODE_S1 : SMMU_STE_MODE_EL2;
	if (!GET(SMMU_STE, S1CDMAX, entry))
		return mode;
	/* A first stage's three modes follow each other. */
	return mode + (GET(SMMU_STE, S1DSS, entry) == SMMU_S1DSS_BYPASS ? 2 : 1);
}

/* ---- 5.3 Level 1 context descriptor: 64 bits; by SubstreamID above the leaf table's 6 or 10 bits ---- */

enum { SMMU_L1CD_MODE_ABSENT, SMMU_L1CD_MODE_PRESENT };
#define SMMU_L1CD_LIST(s, f) \
	f(s, V, 0, 1, ALWAYS, "5.3", "0=not valid|1=valid") \
	f(s, L2PTR, 12, 44, 1u << SMMU_L1CD_MODE_PRESENT, "5.3", "")
LAYOUT_FIELDS(SMMU_L1CD, SMMU_L1CD_LIST);

static inline unsigned smmu_l1cd_mode(const uint64_t *entry)
{
	return GET(SMMU_L1CD, V, entry) ? SMMU_L1CD_MODE_PRESENT : SMMU_L1CD_MODE_ABSENT;
}

/* 5.2, S1Fmt: log2 of the contexts in a leaf table */
enum { SMMU_L1CD_4K_BITS = 6, SMMU_L1CD_64K_BITS = 10 };

/* ---- 5.4 Context descriptor: 512 bits, by StreamID and SubstreamID ---- */

/* By the tables in use, as the EL1 and the EL2-E2H worlds have it; in the EL2 world EPD0 and EPD1 are ignored, and TTB1 is. */
enum {
	SMMU_CD_MODE_INVALID,
	SMMU_CD_MODE_BOTH,
	SMMU_CD_MODE_TTB1,	/* EPD0 */
	SMMU_CD_MODE_TTB0,	/* EPD1 */
	SMMU_CD_MODE_NONE
};
#define SMMU_CD_VALID (~(1u << SMMU_CD_MODE_INVALID))
#define SMMU_CD_TTB0 (1u << SMMU_CD_MODE_BOTH | 1u << SMMU_CD_MODE_TTB0)
#define SMMU_CD_TTB1 (1u << SMMU_CD_MODE_BOTH | 1u << SMMU_CD_MODE_TTB1)
#define SMMU_CD_ANY (SMMU_CD_TTB0 | SMMU_CD_TTB1)
#define SMMU_CD_LIST(s, f) \
	f(s, T0SZ, 0, 6, SMMU_CD_TTB0, "5.4", "") \
	f(s, TG0, 6, 2, SMMU_CD_TTB0, "5.4", "0=4K|1=64K|2=16K|3=reserved") \
	f(s, IR0, 8, 2, SMMU_CD_TTB0, "5.4", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, OR0, 10, 2, SMMU_CD_TTB0, "5.4", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, SH0, 12, 2, SMMU_CD_TTB0, "5.4", "0=non-shareable|1=non-shareable|2=outer shareable|3=inner shareable") \
	f(s, EPD0, 14, 1, SMMU_CD_VALID, "5.4", "0=TTB0 is walked|1=it is not: translation fault") \
	f(s, ENDI, 15, 1, SMMU_CD_ANY, "5.4", "0=little-endian|1=big-endian") \
	f(s, T1SZ, 16, 6, SMMU_CD_TTB1, "5.4", "") \
	f(s, TG1, 22, 2, SMMU_CD_TTB1, "5.4", "0=reserved|1=16K|2=4K|3=64K") \
	f(s, IR1, 24, 2, SMMU_CD_TTB1, "5.4", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, OR1, 26, 2, SMMU_CD_TTB1, "5.4", "0=non-cacheable|1=write-back|2=write-through|3=write-back, no write-allocate") \
	f(s, SH1, 28, 2, SMMU_CD_TTB1, "5.4", "0=non-shareable|1=non-shareable|2=outer shareable|3=inner shareable") \
	f(s, EPD1, 30, 1, SMMU_CD_VALID, "5.4", "0=TTB1 is walked|1=it is not: translation fault") \
	f(s, V, 31, 1, ALWAYS, "5.4", "0=not valid|1=valid") \
	f(s, IPS, 32, 3, SMMU_CD_ANY, "5.4", "0=32 bits|1=36 bits|2=40 bits|3=42 bits|4=44 bits|5=48 bits|6=52 bits|7=56 bits") \
	f(s, AFFD, 35, 1, SMMU_CD_ANY, "5.4", "0=AF=0 faults|1=it doesn't") \
	f(s, WXN, 36, 1, SMMU_CD_ANY, "5.4", "0=as the tables say|1=what is writable can't be executed") \
	f(s, UWXN, 37, 1, 0, "5.4", "") \
	f(s, TBI0, 38, 1, SMMU_CD_TTB0, "5.4", "0=the top byte counts|1=it is ignored") \
	f(s, TBI1, 39, 1, SMMU_CD_TTB1, "5.4", "0=the top byte counts|1=it is ignored") \
	f(s, PAN, 40, 1, SMMU_CD_ANY, "5.4", "0=privileged may access unprivileged pages|1=they may not") \
	f(s, AA64, 41, 1, SMMU_CD_VALID, "5.4", "0=VMSAv8-32 tables|1=VMSAv8-64 tables") \
	f(s, HD, 42, 1, SMMU_CD_VALID, "5.4", "0=dirty state is software's|1=updated by hardware") \
	f(s, HA, 43, 1, SMMU_CD_VALID, "5.4", "0=access flag is software's|1=updated by hardware") \
	f(s, S, 44, 1, SMMU_CD_VALID, "5.5", "0=faults terminate|1=faults stall") \
	f(s, R, 45, 1, SMMU_CD_VALID, "5.5", "0=faults are not recorded|1=recorded") \
	f(s, A, 46, 1, SMMU_CD_VALID, "5.5", "0=terminated reads give zero|1=terminated is aborted") \
	f(s, ASET, 47, 1, SMMU_CD_VALID, "5.4", "0=ASID shared with the CPUs|1=not shared") \
	f(s, ASID, 48, 16, SMMU_CD_VALID, "5.4", "") \
	f(s, NSCFG0, 64, 1, 0, "5.4", "") \
	f(s, HAD0, 65, 1, SMMU_CD_TTB0, "5.4", "0=hierarchical attributes|1=ignored") \
	f(s, E0PD0, 66, 1, SMMU_CD_VALID, "5.4", "0=unprivileged may use TTB0|1=translation fault") \
	f(s, HAFT, 67, 1, SMMU_CD_VALID, "5.4", "") \
	f(s, TTB0, 68, 52, SMMU_CD_TTB0, "5.4", "") \
	f(s, PNCH, 122, 1, SMMU_CD_ANY, "5.4", "") \
	f(s, EPAN, 123, 1, SMMU_CD_ANY, "5.4", "") \
	f(s, HWU0, 124, 4, SMMU_CD_TTB0, "5.4", "") \
	f(s, NSCFG1, 128, 1, 0, "5.4", "") \
	f(s, HAD1, 129, 1, SMMU_CD_TTB1, "5.4", "0=hierarchical attributes|1=ignored") \
	f(s, E0PD1, 130, 1, SMMU_CD_VALID, "5.4", "0=unprivileged may use TTB1|1=translation fault") \
	f(s, AIE, 131, 1, SMMU_CD_ANY, "5.4", "") \
	f(s, TTB1, 132, 52, SMMU_CD_TTB1, "5.4", "") \
	f(s, DS, 186, 1, SMMU_CD_ANY, "5.4", "0=48-bit descriptors|1=52-bit descriptors with 4K and 16K") \
	f(s, PIE, 187, 1, SMMU_CD_ANY, "5.4", "") \
	f(s, HWU1, 188, 4, SMMU_CD_TTB1, "5.4", "") \
	f(s, MAIR0, 192, 32, SMMU_CD_ANY, "5.4", "") \
	f(s, MAIR1, 224, 32, SMMU_CD_ANY, "5.4", "") \
	f(s, AMAIR0, 256, 32, SMMU_CD_ANY, "5.4", "") \
	f(s, AMAIR1, 288, 32, SMMU_CD_ANY, "5.4", "") \
	f(s, IMPDEF, 320, 32, 0, "5.4", "") \
	f(s, PARTID, 352, 16, SMMU_CD_VALID, "5.4", "") \
	f(s, PMG, 368, 8, SMMU_CD_VALID, "5.4", "") \
	f(s, PIIU, 384, 48, SMMU_CD_ANY, "5.4", "") \
	f(s, PIIP, 448, 48, SMMU_CD_ANY, "5.4", "")
LAYOUT_FIELDS(SMMU_CD, SMMU_CD_LIST);

enum { SMMU_CD_WORDS = 8, SMMU_CD_BYTES = 64 };

static inline unsigned smmu_cd_mode(const uint64_t *entry)
{
	if (!GET(SMMU_CD, V, entry))
		return SMMU_CD_MODE_INVALID;
	if (GET(SMMU_CD, EPD0, entry))
		return GET(SMMU_CD, EPD1, entry) ? SMMU_CD_MODE_NONE : SMMU_CD_MODE_TTB1;
	return GET(SMMU_CD, EPD1, entry) ? SMMU_CD_MODE_TTB0 : SMMU_CD_MODE_BOTH;
}

/* ---- 4 Commands: 128 bits ---- */

enum {
	SMMU_CMD_PREFETCH_CONFIG = 0x01,
	SMMU_CMD_PREFETCH_ADDR = 0x02,
	SMMU_CMD_CFGI_STE = 0x03,
	SMMU_CMD_CFGI_STE_RANGE = 0x04,	/* with Range 31: CMD_CFGI_ALL */
	SMMU_CMD_CFGI_CD = 0x05,
	SMMU_CMD_CFGI_CD_ALL = 0x06,
	SMMU_CMD_CFGI_VMS_PIDM = 0x07,
	SMMU_CMD_TLBI_NH_ALL = 0x10,
	SMMU_CMD_TLBI_NH_ASID = 0x11,
	SMMU_CMD_TLBI_NH_VA = 0x12,
	SMMU_CMD_TLBI_NH_VAA = 0x13,
	SMMU_CMD_TLBI_EL3_ALL = 0x18,
	SMMU_CMD_TLBI_EL3_VA = 0x1a,
	SMMU_CMD_TLBI_EL2_ALL = 0x20,
	SMMU_CMD_TLBI_EL2_ASID = 0x21,
	SMMU_CMD_TLBI_EL2_VA = 0x22,
	SMMU_CMD_TLBI_EL2_VAA = 0x23,
	SMMU_CMD_TLBI_S12_VMALL = 0x28,
	SMMU_CMD_TLBI_S2_IPA = 0x2a,
	SMMU_CMD_TLBI_NSNH_ALL = 0x30,
	SMMU_CMD_ATC_INV = 0x40,
	SMMU_CMD_PRI_RESP = 0x41,
	SMMU_CMD_RESUME = 0x44,
	SMMU_CMD_STALL_TERM = 0x45,
	SMMU_CMD_SYNC = 0x46,
	SMMU_CMD_TLBI_S_EL2_ALL = 0x50,
	SMMU_CMD_TLBI_S_EL2_ASID = 0x51,
	SMMU_CMD_TLBI_S_EL2_VA = 0x52,
	SMMU_CMD_TLBI_S_EL2_VAA = 0x53,
	SMMU_CMD_TLBI_S_S12_VMALL = 0x58,
	SMMU_CMD_TLBI_S_S2_IPA = 0x5a,
	SMMU_CMD_TLBI_SNH_ALL = 0x60,
	SMMU_CMD_DPTI_ALL = 0x70,
	SMMU_CMD_DPTI_PA = 0x73
};
enum { SMMU_CMD_WORDS = 2, SMMU_CMD_BYTES = 16 };
enum { SMMU_CFGI_RANGE_ALL = 31 };

#define SMMU_CMD_LIST(s, f) \
	f(s, OPCODE, 0, 8, ALWAYS, "4.1.1", \
	  "1=CMD_PREFETCH_CONFIG|2=CMD_PREFETCH_ADDR|3=CMD_CFGI_STE|4=CMD_CFGI_STE_RANGE|5=CMD_CFGI_CD|6=CMD_CFGI_CD_ALL|7=CMD_CFGI_VMS_PIDM|16=CMD_TLBI_NH_ALL|17=CMD_TLBI_NH_ASID|18=CMD_TLBI_NH_VA|19=CMD_TLBI_NH_VAA|24=CMD_TLBI_EL3_ALL|26=CMD_TLBI_EL3_VA|32=CMD_TLBI_EL2_ALL|33=CMD_TLBI_EL2_ASID|34=CMD_TLBI_EL2_VA|35=CMD_TLBI_EL2_VAA|40=CMD_TLBI_S12_VMALL|42=CMD_TLBI_S2_IPA|48=CMD_TLBI_NSNH_ALL|64=CMD_ATC_INV|65=CMD_PRI_RESP|68=CMD_RESUME|69=CMD_STALL_TERM|70=CMD_SYNC|80=CMD_TLBI_S_EL2_ALL|81=CMD_TLBI_S_EL2_ASID|82=CMD_TLBI_S_EL2_VA|83=CMD_TLBI_S_EL2_VAA|88=CMD_TLBI_S_S12_VMALL|90=CMD_TLBI_S_S2_IPA|96=CMD_TLBI_SNH_ALL|112=CMD_DPTI_ALL|115=CMD_DPTI_PA")
LAYOUT_FIELDS(SMMU_CMD, SMMU_CMD_LIST);

/* Its mode is SSV: whether there is a SubstreamID. */
#define SMMU_WITH_SSID (1u << 1)
#define SMMU_CMD_SSID_LIST(s, f, section) \
	f(s, SSV, 11, 1, ALWAYS, section, "0=no SubstreamID|1=SubstreamID") \
	f(s, SSID, 12, 20, SMMU_WITH_SSID, section, "") \
	f(s, SID, 32, 32, ALWAYS, section, "")
#define SMMU_CMD_SSEC_LIST(s, f, section) f(s, SSEC, 10, 1, ALWAYS, section, "0=Non-secure stream|1=Secure stream")

#define SMMU_CMD_PREFETCH_CONFIG_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.2.1") \
	SMMU_CMD_SSID_LIST(s, f, "4.2.1")
LAYOUT_FIELDS(SMMU_CMD_PREFETCH_CONFIG, SMMU_CMD_PREFETCH_CONFIG_LIST);

/* Size and Stride are log2, Stride above 4K. */
#define SMMU_CMD_PREFETCH_ADDR_LIST(s, f) \
	SMMU_CMD_PREFETCH_CONFIG_LIST(s, f) \
	f(s, SIZE, 64, 5, ALWAYS, "4.2.2", "") \
	f(s, STRIDE, 69, 5, ALWAYS, "4.2.2", "") \
	f(s, ADDR, 76, 52, ALWAYS, "4.2.2", "")
LAYOUT_FIELDS(SMMU_CMD_PREFETCH_ADDR, SMMU_CMD_PREFETCH_ADDR_LIST);

static inline unsigned smmu_ssv_mode(const uint64_t *c)
{
	return (unsigned)GET(SMMU_CMD_PREFETCH_CONFIG, SSV, c);
}

#define SMMU_CMD_CFGI_STE_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.3.1") \
	f(s, SID, 32, 32, ALWAYS, "4.3.1", "") \
	f(s, LEAF, 64, 1, ALWAYS, "4.3.1", "0=the L1STD too|1=the STE only")
LAYOUT_FIELDS(SMMU_CMD_CFGI_STE, SMMU_CMD_CFGI_STE_LIST);

/* Range: 2^(Range + 1) StreamIDs, aligned. */
#define SMMU_CMD_CFGI_STE_RANGE_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.3.2") \
	f(s, SID, 32, 32, ALWAYS, "4.3.2", "") \
	f(s, RANGE, 64, 5, ALWAYS, "4.3.2", "")
LAYOUT_FIELDS(SMMU_CMD_CFGI_STE_RANGE, SMMU_CMD_CFGI_STE_RANGE_LIST);

#define SMMU_CMD_CFGI_CD_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.3.3") \
	f(s, SSID, 12, 20, ALWAYS, "4.3.3", "") \
	f(s, SID, 32, 32, ALWAYS, "4.3.3", "") \
	f(s, LEAF, 64, 1, ALWAYS, "4.3.3", "0=the L1CD too|1=the CD only")
LAYOUT_FIELDS(SMMU_CMD_CFGI_CD, SMMU_CMD_CFGI_CD_LIST);

#define SMMU_CMD_CFGI_CD_ALL_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.3.4") \
	f(s, SID, 32, 32, ALWAYS, "4.3.4", "")
LAYOUT_FIELDS(SMMU_CMD_CFGI_CD_ALL, SMMU_CMD_CFGI_CD_ALL_LIST);

#define SMMU_CMD_CFGI_VMS_PIDM_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.3.5") \
	f(s, VMID, 32, 16, ALWAYS, "4.3.5", "")
LAYOUT_FIELDS(SMMU_CMD_CFGI_VMS_PIDM, SMMU_CMD_CFGI_VMS_PIDM_LIST);

/* The mode of a TLB invalidation: what it goes by beside the address, from its opcode. */
enum { SMMU_TLBI_VMID = 1, SMMU_TLBI_ASID = 2 };
#define SMMU_TLBI_WITH_VMID (1u << 1 | 1u << 3)
#define SMMU_TLBI_WITH_ASID (1u << 2 | 1u << 3)

static inline unsigned smmu_tlbi_mode(const uint64_t *c)
{
	switch (GET(SMMU_CMD, OPCODE, c)) {
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_NH_VA:
		return SMMU_TLBI_VMID | SMMU_TLBI_ASID;
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_VAA:
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_S2_IPA:
	case SMMU_CMD_TLBI_S_S12_VMALL:
	case SMMU_CMD_TLBI_S_S2_IPA:
		return SMMU_TLBI_VMID;
	case SMMU_CMD_TLBI_EL2_ASID:
	case SMMU_CMD_TLBI_EL2_VA:
	case SMMU_CMD_TLBI_S_EL2_ASID:
	case SMMU_CMD_TLBI_S_EL2_VA:
		return SMMU_TLBI_ASID;
	default:
		return 0;
	}
}

/* CMD_TLBI_*_ALL, _VMALL and _ASID */
#define SMMU_CMD_TLBI_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	f(s, VMID, 32, 16, SMMU_TLBI_WITH_VMID, "4.4.2", "") \
	f(s, ASID, 48, 16, SMMU_TLBI_WITH_ASID, "4.4.2", "")
LAYOUT_FIELDS(SMMU_CMD_TLBI, SMMU_CMD_TLBI_LIST);

/* 4.4.1.1: with TG, the range is (NUM + 1) * 2^SCALE granules; TG needs IDR3.RIL, and SCALE's top bit IDR5.DS. */
#define SMMU_CMD_TLBI_RANGE_LIST(s, f) \
	f(s, NUM, 12, 5, ALWAYS, "4.4.1.1", "") \
	f(s, SCALE, 20, 6, ALWAYS, "4.4.1.1", "") \
	f(s, LEAF, 64, 1, ALWAYS, "4.4.2", "0=tables too|1=leaves only") \
	f(s, TTL128, 71, 1, ALWAYS, "4.4.1.1", "") \
	f(s, TTL, 72, 2, ALWAYS, "4.4.1.1", "0=any level|1=level 1|2=level 2|3=level 3") \
	f(s, TG, 74, 2, ALWAYS, "4.4.1.1", "0=one address|1=range, 4K|2=range, 16K|3=range, 64K")
/* CMD_TLBI_*_VA and _VAA */
#define SMMU_CMD_TLBI_VA_LIST(s, f) \
	SMMU_CMD_TLBI_LIST(s, f) \
	SMMU_CMD_TLBI_RANGE_LIST(s, f) \
	f(s, ADDR, 76, 52, ALWAYS, "4.4.2", "")
LAYOUT_FIELDS(SMMU_CMD_TLBI_VA, SMMU_CMD_TLBI_VA_LIST);
/* CMD_TLBI_S2_IPA and CMD_TLBI_S_S2_IPA; NS is the Secure one's */
#define SMMU_CMD_TLBI_IPA_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	f(s, VMID, 32, 16, ALWAYS, "4.4.3.1", "") \
	SMMU_CMD_TLBI_RANGE_LIST(s, f) \
	f(s, ADDR, 76, 44, ALWAYS, "4.4.3.1", "") \
	f(s, NS, 127, 1, ALWAYS, "4.4.3.3", "")
LAYOUT_FIELDS(SMMU_CMD_TLBI_IPA, SMMU_CMD_TLBI_IPA_LIST);
enum { SMMU_TLBI_TG_NONE = 0, SMMU_TLBI_TG_4K = 1, SMMU_TLBI_TG_16K = 2, SMMU_TLBI_TG_64K = 3 };
enum { SMMU_TLBI_MAX_NUM = 31, SMMU_TLBI_MAX_SCALE = 31, SMMU_TLBI_MAX_SCALE_DS = 39 };

/* Size: 2^Size pages of 4K, aligned; 52: all there is. */
#define SMMU_CMD_ATC_INV_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	f(s, GLOBAL, 9, 1, SMMU_WITH_SSID, "4.5.1", "0=that SubstreamID|1=global invalidate") \
	SMMU_CMD_SSID_LIST(s, f, "4.5.1") \
	f(s, SIZE, 64, 6, ALWAYS, "4.5.1", "") \
	f(s, ADDR, 76, 52, ALWAYS, "4.5.1", "")
LAYOUT_FIELDS(SMMU_CMD_ATC_INV, SMMU_CMD_ATC_INV_LIST);
enum { SMMU_ATC_SIZE_ALL = 52 };

#define SMMU_CMD_PRI_RESP_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSID_LIST(s, f, "4.5.2") \
	f(s, PRGINDEX, 64, 9, ALWAYS, "4.5.2", "") \
	f(s, RESP, 76, 2, ALWAYS, "4.5.2", "0=response failure|1=invalid request|2=success|3=reserved")
LAYOUT_FIELDS(SMMU_CMD_PRI_RESP, SMMU_CMD_PRI_RESP_LIST);

#define SMMU_CMD_RESUME_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.7.1") \
	f(s, AC, 12, 1, ALWAYS, "4.7.1", "0=terminate|1=retry") \
	f(s, AB, 13, 1, ALWAYS, "4.7.1", "0=terminated reads give zero|1=abort") \
	f(s, SID, 32, 32, ALWAYS, "4.7.1", "") \
	f(s, STAG, 64, 16, ALWAYS, "4.7.1", "")
LAYOUT_FIELDS(SMMU_CMD_RESUME, SMMU_CMD_RESUME_LIST);

#define SMMU_CMD_STALL_TERM_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	SMMU_CMD_SSEC_LIST(s, f, "4.7.2") \
	f(s, SID, 32, 32, ALWAYS, "4.7.2", "")
LAYOUT_FIELDS(SMMU_CMD_STALL_TERM, SMMU_CMD_STALL_TERM_LIST);

/* Its mode is CS. */
#define SMMU_SYNC_WITH_IRQ (1u << 1)
#define SMMU_CMD_SYNC_LIST(s, f) \
	SMMU_CMD_LIST(s, f) \
	f(s, CS, 12, 2, ALWAYS, "4.7.3", "0=no signal|1=interrupt|2=event|3=reserved") \
	f(s, MSH, 22, 2, SMMU_SYNC_WITH_IRQ, "4.7.3", "0=non-shareable|1=non-shareable|2=outer shareable|3=inner shareable") \
	f(s, MSIATTR, 24, 4, SMMU_SYNC_WITH_IRQ, "4.7.3", "") \
	f(s, MSIDATA, 32, 32, SMMU_SYNC_WITH_IRQ, "4.7.3", "") \
	f(s, MSIADDR, 66, 54, SMMU_SYNC_WITH_IRQ, "4.7.3", "")
LAYOUT_FIELDS(SMMU_CMD_SYNC, SMMU_CMD_SYNC_LIST);
enum { SMMU_CS_NONE = 0, SMMU_CS_IRQ = 1, SMMU_CS_SEV = 2, SMMU_CS_RESERVED = 3 };
/* MemAttr: Normal, inner and outer write-back; Device-nGnRE */
enum { SMMU_MEMATTR_DEVICE_NGNRE = 1, SMMU_MEMATTR_WB = 15 };

static inline unsigned smmu_sync_mode(const uint64_t *c)
{
	return (unsigned)GET(SMMU_CMD_SYNC, CS, c);
}

/* ---- 7.3 Event records: 256 bits ---- */

/* R(NAME, code, text) */
#define SMMU_EVENTS(R) \
	R(F_UUT, 0x01, "unsupported upstream transaction") \
	R(C_BAD_STREAMID, 0x02, "StreamID out of range") \
	R(F_STE_FETCH, 0x03, "stream table entry can't be read") \
	R(C_BAD_STE, 0x04, "stream table entry not valid") \
	R(F_BAD_ATS_TREQ, 0x05, "ATS translation request not allowed") \
	R(F_STREAM_DISABLED, 0x06, "not allowed without SubstreamID, or with SubstreamID 0") \
	R(F_TRANSL_FORBIDDEN, 0x07, "translated transaction not allowed") \
	R(C_BAD_SUBSTREAMID, 0x08, "SubstreamID out of range") \
	R(F_CD_FETCH, 0x09, "context descriptor can't be read") \
	R(C_BAD_CD, 0x0a, "context descriptor not valid") \
	R(F_WALK_EABT, 0x0b, "page table can't be read") \
	R(F_TRANSLATION, 0x10, "translation fault") \
	R(F_ADDR_SIZE, 0x11, "address size fault") \
	R(F_ACCESS, 0x12, "access flag fault") \
	R(F_PERMISSION, 0x13, "permission fault") \
	R(F_TLB_CONFLICT, 0x20, "TLB conflict") \
	R(F_CFG_CONFLICT, 0x21, "configuration cache conflict") \
	R(E_PAGE_REQUEST, 0x24, "page request hint") \
	R(F_VMS_FETCH, 0x25, "virtual machine structure can't be read")
#define SMMU_EVENT_ENUM(name, code, text) SMMU_EVT_##name = (code),
enum { SMMU_EVENTS(SMMU_EVENT_ENUM) SMMU_EVT_NONE = 0 };
enum { SMMU_EVENT_WORDS = 4, SMMU_EVENT_BYTES = 32 };

/* Without SSV, SSID is unknown. */
#define SMMU_EVENT_LIST(s, f) \
	f(s, CODE, 0, 8, ALWAYS, "7.3", "") \
	f(s, SSV, 11, 1, ALWAYS, "7.3", "0=no SubstreamID|1=SubstreamID") \
	f(s, SSID, 12, 20, ALWAYS, "7.3", "") \
	f(s, SID, 32, 32, ALWAYS, "7.3", "")
LAYOUT_FIELDS(SMMU_EVENT, SMMU_EVENT_LIST);
#define SMMU_EVENT_ACCESS_LIST(s, f, section) \
	f(s, PNU, 97, 1, ALWAYS, section, "0=unprivileged|1=privileged") \
	f(s, IND, 98, 1, ALWAYS, section, "0=data|1=instruction") \
	f(s, RNW, 99, 1, ALWAYS, section, "0=write|1=read")

/* C_BAD_STREAMID, C_BAD_STE, F_STREAM_DISABLED, C_BAD_SUBSTREAMID (SSID counts always), C_BAD_CD */
#define SMMU_EV_CONFIG_LIST(s, f) SMMU_EVENT_LIST(s, f)
LAYOUT_FIELDS(SMMU_EV_CONFIG, SMMU_EV_CONFIG_LIST);

#define SMMU_EV_UUT_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, REASON, 64, 16, ALWAYS, "7.3.2", "") \
	SMMU_EVENT_ACCESS_LIST(s, f, "7.3.2") \
	f(s, INPUT_ADDR, 128, 64, ALWAYS, "7.3.2", "")
LAYOUT_FIELDS(SMMU_EV_UUT, SMMU_EV_UUT_LIST);

/* F_STE_FETCH, F_CD_FETCH, F_VMS_FETCH */
#define SMMU_EV_FETCH_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, REASON, 64, 16, ALWAYS, "7.3.4", "") \
	f(s, GPCF, 80, 1, ALWAYS, "7.3.4", "0=external abort|1=granule protection") \
	f(s, FETCH_ADDR, 195, 53, ALWAYS, "7.3.4", "")
LAYOUT_FIELDS(SMMU_EV_FETCH, SMMU_EV_FETCH_LIST);

/* Beside these it has the permissions asked for (R, W, X, P) and the span, which the model leaves zero. */
#define SMMU_EV_BAD_ATS_TREQ_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, INPUT_ADDR, 140, 52, ALWAYS, "7.3.6", "")
LAYOUT_FIELDS(SMMU_EV_BAD_ATS_TREQ, SMMU_EV_BAD_ATS_TREQ_LIST);

#define SMMU_EV_TRANSL_FORBIDDEN_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, RNW, 99, 1, ALWAYS, "7.3.8", "0=write|1=read") \
	f(s, INPUT_ADDR, 128, 64, ALWAYS, "7.3.8", "")
LAYOUT_FIELDS(SMMU_EV_TRANSL_FORBIDDEN, SMMU_EV_TRANSL_FORBIDDEN_LIST);

#define SMMU_EVENT_CLASS_LIST(s, f, section) \
	f(s, S2, 103, 1, ALWAYS, section, "0=first stage|1=second stage") \
	f(s, CLASS, 104, 2, ALWAYS, section, "0=context descriptor|1=first-stage table|2=the transaction|3=reserved")
enum { SMMU_CLASS_CD = 0, SMMU_CLASS_TT = 1, SMMU_CLASS_IN = 2 };

#define SMMU_EV_WALK_EABT_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, REASON, 64, 16, ALWAYS, "7.3.12", "") \
	f(s, GPCF, 80, 1, ALWAYS, "7.3.12", "0=external abort|1=granule protection") \
	SMMU_EVENT_ACCESS_LIST(s, f, "7.3.12") \
	SMMU_EVENT_CLASS_LIST(s, f, "7.3.12") \
	f(s, INPUT_ADDR, 128, 64, ALWAYS, "7.3.12", "") \
	f(s, FETCH_ADDR, 195, 53, ALWAYS, "7.3.12", "")
LAYOUT_FIELDS(SMMU_EV_WALK_EABT, SMMU_EV_WALK_EABT_LIST);

/* F_TRANSLATION, F_ADDR_SIZE, F_ACCESS, F_PERMISSION; TTRnW is the last one's, with CLASS 1; IPA counts with S2. */
#define SMMU_EV_FAULT_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, STAG, 64, 16, ALWAYS, "7.3.13", "") \
	f(s, STALL, 95, 1, ALWAYS, "7.3.13", "0=terminated|1=stalled") \
	SMMU_EVENT_ACCESS_LIST(s, f, "7.3.13") \
	SMMU_EVENT_CLASS_LIST(s, f, "7.3.13") \
	f(s, TTRNW, 108, 1, ALWAYS, "7.3.16", "0=descriptor write|1=descriptor read") \
	f(s, INPUT_ADDR, 128, 64, ALWAYS, "7.3.13", "") \
	f(s, IPA, 204, 44, ALWAYS, "7.3.13", "")
LAYOUT_FIELDS(SMMU_EV_FAULT, SMMU_EV_FAULT_LIST);

#define SMMU_EV_TLB_CONFLICT_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, REASON, 64, 16, ALWAYS, "7.3.17", "") \
	SMMU_EVENT_ACCESS_LIST(s, f, "7.3.17") \
	f(s, S2, 103, 1, ALWAYS, "7.3.17", "0=first stage|1=second stage") \
	f(s, INPUT_ADDR, 128, 64, ALWAYS, "7.3.17", "") \
	f(s, IPA, 204, 44, ALWAYS, "7.3.17", "")
LAYOUT_FIELDS(SMMU_EV_TLB_CONFLICT, SMMU_EV_TLB_CONFLICT_LIST);

#define SMMU_EV_CFG_CONFLICT_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, REASON, 64, 16, ALWAYS, "7.3.18", "")
LAYOUT_FIELDS(SMMU_EV_CFG_CONFLICT, SMMU_EV_CFG_CONFLICT_LIST);

#define SMMU_EV_PAGE_REQUEST_LIST(s, f) \
	SMMU_EVENT_LIST(s, f) \
	f(s, UX, 97, 1, ALWAYS, "7.3.19", "") \
	f(s, UW, 98, 1, ALWAYS, "7.3.19", "") \
	f(s, UR, 99, 1, ALWAYS, "7.3.19", "") \
	f(s, PX, 101, 1, ALWAYS, "7.3.19", "") \
	f(s, PW, 102, 1, ALWAYS, "7.3.19", "") \
	f(s, PR, 103, 1, ALWAYS, "7.3.19", "") \
	f(s, SPAN, 108, 8, ALWAYS, "7.3.19", "") \
	f(s, INPUT_ADDR, 140, 52, ALWAYS, "7.3.19", "")
LAYOUT_FIELDS(SMMU_EV_PAGE_REQUEST, SMMU_EV_PAGE_REQUEST_LIST);

/* ---- 8 PRI queue entry: 128 bits ---- */

#define SMMU_PRI_LIST(s, f) \
	f(s, SID, 0, 32, ALWAYS, "8", "") \
	f(s, SSID, 32, 20, ALWAYS, "8", "") \
	f(s, PRIV, 58, 1, ALWAYS, "8", "0=unprivileged|1=privileged") \
	f(s, X, 59, 1, ALWAYS, "8", "") \
	f(s, R, 60, 1, ALWAYS, "8", "") \
	f(s, W, 61, 1, ALWAYS, "8", "") \
	f(s, LAST, 62, 1, ALWAYS, "8", "0=more of the group follow|1=last of its group") \
	f(s, SSV, 63, 1, ALWAYS, "8", "0=no SubstreamID|1=SubstreamID") \
	f(s, PRGINDEX, 64, 9, ALWAYS, "8", "") \
	f(s, ADDR, 76, 52, ALWAYS, "8", "")
LAYOUT_FIELDS(SMMU_PRI, SMMU_PRI_LIST);

/* ---- 6.3 Registers ---- */

#define SMMU_IDR0_LIST(s, f) \
	f(s, S2P, 0, 1, ALWAYS, "6.3.1", "0=no second stage|1=second stage") \
	f(s, S1P, 1, 1, ALWAYS, "6.3.1", "0=no first stage|1=first stage") \
	f(s, TTF, 2, 2, ALWAYS, "6.3.1", "0=reserved|1=VMSAv8-32|2=VMSAv8-64|3=both") \
	f(s, COHACC, 4, 1, ALWAYS, "6.3.1", "0=reads past the caches|1=coherent") \
	f(s, BTM, 5, 1, ALWAYS, "6.3.1", "") \
	f(s, HTTU, 6, 2, ALWAYS, "6.3.1", "0=no flags are updated|1=access flag|2=access flag and dirty state|3=those, and the access flag of tables") \
	f(s, DORMHINT, 8, 1, ALWAYS, "6.3.1", "") \
	f(s, HYP, 9, 1, ALWAYS, "6.3.1", "0=no EL2 streams|1=EL2 streams") \
	f(s, ATS, 10, 1, ALWAYS, "6.3.1", "") \
	f(s, NS1ATS, 11, 1, ALWAYS, "6.3.1", "0=split-stage ATS|1=none") \
	f(s, ASID16, 12, 1, ALWAYS, "6.3.1", "0=ASIDs of 8 bits|1=of 16 bits") \
	f(s, MSI, 13, 1, ALWAYS, "6.3.1", "") \
	f(s, SEV, 14, 1, ALWAYS, "6.3.1", "") \
	f(s, ATOS, 15, 1, ALWAYS, "6.3.1", "") \
	f(s, PRI, 16, 1, ALWAYS, "6.3.1", "") \
	f(s, VMW, 17, 1, ALWAYS, "6.3.1", "") \
	f(s, VMID16, 18, 1, ALWAYS, "6.3.1", "0=VMIDs of 8 bits|1=of 16 bits") \
	f(s, CD2L, 19, 1, ALWAYS, "6.3.1", "0=linear tables of contexts|1=and of two levels") \
	f(s, VATOS, 20, 1, ALWAYS, "6.3.1", "") \
	f(s, TTENDIAN, 21, 2, ALWAYS, "6.3.1", "0=both|1=reserved|2=little-endian|3=big-endian") \
	f(s, ATSRECERR, 23, 1, ALWAYS, "6.3.1", "") \
	f(s, STALL_MODEL, 24, 2, ALWAYS, "6.3.1", "0=stall and terminate|1=terminate only|2=stall only|3=reserved") \
	f(s, TERM_MODEL, 26, 1, ALWAYS, "6.3.1", "0=abort or zeros|1=abort only") \
	f(s, ST_LEVEL, 27, 2, ALWAYS, "6.3.1", "0=linear stream table|1=and of two levels|2=reserved|3=reserved") \
	f(s, RME_IMPL, 30, 1, ALWAYS, "6.3.1", "")
LAYOUT_FIELDS(SMMU_IDR0, SMMU_IDR0_LIST);
enum { SMMU_TTF_32 = 1, SMMU_TTF_64 = 2 };
enum { SMMU_HTTU_NONE = 0, SMMU_HTTU_ACCESS = 1, SMMU_HTTU_DIRTY = 2, SMMU_HTTU_TABLES = 3 };
enum { SMMU_TTENDIAN_BOTH = 0, SMMU_TTENDIAN_LITTLE = 2, SMMU_TTENDIAN_BIG = 3 };
enum { SMMU_STALL_BOTH = 0, SMMU_STALL_NEVER = 1, SMMU_STALL_ALWAYS = 2 };

/* CMDQS, EVENTQS, PRIQS: log2 of the most entries */
#define SMMU_IDR1_LIST(s, f) \
	f(s, SIDSIZE, 0, 6, ALWAYS, "6.3.2", "") \
	f(s, SSIDSIZE, 6, 5, ALWAYS, "6.3.2", "") \
	f(s, PRIQS, 11, 5, ALWAYS, "6.3.2", "") \
	f(s, EVENTQS, 16, 5, ALWAYS, "6.3.2", "") \
	f(s, CMDQS, 21, 5, ALWAYS, "6.3.2", "") \
	f(s, ATTR_PERMS_OVR, 26, 1, ALWAYS, "6.3.2", "0=INSTCFG and PRIVCFG are ignored|1=they count") \
	f(s, ATTR_TYPES_OVR, 27, 1, ALWAYS, "6.3.2", "0=MTCFG, SHCFG, ALLOCCFG are ignored|1=they count") \
	f(s, REL, 28, 1, ALWAYS, "6.3.2", "") \
	f(s, QUEUES_PRESET, 29, 1, ALWAYS, "6.3.2", "0=queues are software's|1=fixed") \
	f(s, TABLES_PRESET, 30, 1, ALWAYS, "6.3.2", "0=stream table is software's|1=fixed") \
	f(s, ECMDQ, 31, 1, ALWAYS, "6.3.2", "")
LAYOUT_FIELDS(SMMU_IDR1, SMMU_IDR1_LIST);
enum { SMMU_MAX_QUEUE_LOG2 = 19, SMMU_MAX_SSID_BITS = 20, SMMU_MAX_SID_BITS = 32 };

#define SMMU_IDR2_LIST(s, f) f(s, BA_VATOS, 0, 10, ALWAYS, "6.3.3", "")
LAYOUT_FIELDS(SMMU_IDR2, SMMU_IDR2_LIST);

#define SMMU_IDR3_LIST(s, f) \
	f(s, HAD, 2, 1, ALWAYS, "6.3.4", "") \
	f(s, PBHA, 3, 1, ALWAYS, "6.3.4", "") \
	f(s, XNX, 4, 1, ALWAYS, "6.3.4", "") \
	f(s, PPS, 5, 1, ALWAYS, "6.3.4", "") \
	f(s, MPAM, 7, 1, ALWAYS, "6.3.4", "") \
	f(s, FWB, 8, 1, ALWAYS, "6.3.4", "") \
	f(s, STT, 9, 1, ALWAYS, "6.3.4", "0=TxSZ up to 39|1=small tables, up to 48") \
	f(s, RIL, 10, 1, ALWAYS, "6.3.4", "0=one address a TLB invalidation|1=ranges and levels") \
	f(s, BBML, 11, 2, ALWAYS, "6.3.4", "0=break before make|1=block sizes by nT|2=block sizes freely|3=reserved") \
	f(s, E0PD, 13, 1, ALWAYS, "6.3.4", "") \
	f(s, PTWNNC, 14, 1, ALWAYS, "6.3.4", "") \
	f(s, DPT, 15, 1, ALWAYS, "6.3.4", "") \
	f(s, PASIDTT, 16, 1, ALWAYS, "6.3.4", "") \
	f(s, EPAN, 17, 1, ALWAYS, "6.3.4", "") \
	f(s, S1PI, 18, 1, ALWAYS, "6.3.4", "") \
	f(s, S2PI, 19, 1, ALWAYS, "6.3.4", "") \
	f(s, S2PO, 20, 1, ALWAYS, "6.3.4", "") \
	f(s, THE, 21, 1, ALWAYS, "6.3.4", "") \
	f(s, MTEPERM, 22, 1, ALWAYS, "6.3.4", "") \
	f(s, AIE, 23, 1, ALWAYS, "6.3.4", "")
LAYOUT_FIELDS(SMMU_IDR3, SMMU_IDR3_LIST);

#define SMMU_IDR4_LIST(s, f) f(s, IMPDEF, 0, 32, 0, "6.3.5", "")
LAYOUT_FIELDS(SMMU_IDR4, SMMU_IDR4_LIST);

#define SMMU_IDR5_LIST(s, f) \
	f(s, OAS, 0, 3, ALWAYS, "6.3.6", "0=32 bits|1=36 bits|2=40 bits|3=42 bits|4=44 bits|5=48 bits|6=52 bits|7=56 bits") \
	f(s, GRAN4K, 4, 1, ALWAYS, "6.3.6", "") \
	f(s, GRAN16K, 5, 1, ALWAYS, "6.3.6", "") \
	f(s, GRAN64K, 6, 1, ALWAYS, "6.3.6", "") \
	f(s, DS, 7, 1, ALWAYS, "6.3.6", "") \
	f(s, D128, 8, 1, ALWAYS, "6.3.6", "") \
	f(s, VAX, 10, 2, ALWAYS, "6.3.6", "0=48 bits|1=52 bits|2=56 bits|3=reserved") \
	f(s, STALL_MAX, 16, 16, ALWAYS, "6.3.6", "")
LAYOUT_FIELDS(SMMU_IDR5, SMMU_IDR5_LIST);

#define SMMU_IIDR_LIST(s, f) \
	f(s, IMPLEMENTER, 0, 12, ALWAYS, "6.3.7", "") \
	f(s, REVISION, 12, 4, ALWAYS, "6.3.7", "") \
	f(s, VARIANT, 16, 4, ALWAYS, "6.3.7", "") \
	f(s, PRODUCTID, 20, 12, ALWAYS, "6.3.7", "")
LAYOUT_FIELDS(SMMU_IIDR, SMMU_IIDR_LIST);
#define SMMU_AIDR_LIST(s, f) \
	f(s, MINOR, 0, 4, ALWAYS, "6.3.8", "") \
	f(s, MAJOR, 4, 4, ALWAYS, "6.3.8", "0=SMMUv3")
LAYOUT_FIELDS(SMMU_AIDR, SMMU_AIDR_LIST);

/* CR0 and CR0ACK */
#define SMMU_CR0_LIST(s, f) \
	f(s, SMMUEN, 0, 1, ALWAYS, "6.3.9", "0=streams bypass or abort as GBPA says|1=streams are translated") \
	f(s, PRIQEN, 1, 1, ALWAYS, "6.3.9", "") \
	f(s, EVENTQEN, 2, 1, ALWAYS, "6.3.9", "") \
	f(s, CMDQEN, 3, 1, ALWAYS, "6.3.9", "") \
	f(s, ATSCHK, 4, 1, ALWAYS, "6.3.9", "0=translated traffic passes|1=it is checked") \
	f(s, VMW, 6, 3, ALWAYS, "6.3.9", "0=VMIDs match exactly|1=all but 1 bit|2=all but 2 bits|3=all but 3 bits|4=all but 4 bits") \
	f(s, DPT_WALK_EN, 10, 1, ALWAYS, "6.3.9", "")
LAYOUT_FIELDS(SMMU_CR0, SMMU_CR0_LIST);
#define SMMU_CR0ACK_LIST(s, f) SMMU_CR0_LIST(s, f)
LAYOUT_FIELDS(SMMU_CR0ACK, SMMU_CR0ACK_LIST);

#define SMMU_CR1_LIST(s, f) \
	f(s, QUEUE_IC, 0, 2, ALWAYS, "6.3.11", "0=non-cacheable|1=write-back|2=write-through|3=reserved") \
	f(s, QUEUE_OC, 2, 2, ALWAYS, "6.3.11", "0=non-cacheable|1=write-back|2=write-through|3=reserved") \
	f(s, QUEUE_SH, 4, 2, ALWAYS, "6.3.11", "0=non-shareable|1=reserved|2=outer shareable|3=inner shareable") \
	f(s, TABLE_IC, 6, 2, ALWAYS, "6.3.11", "0=non-cacheable|1=write-back|2=write-through|3=reserved") \
	f(s, TABLE_OC, 8, 2, ALWAYS, "6.3.11", "0=non-cacheable|1=write-back|2=write-through|3=reserved") \
	f(s, TABLE_SH, 10, 2, ALWAYS, "6.3.11", "0=non-shareable|1=reserved|2=outer shareable|3=inner shareable")
LAYOUT_FIELDS(SMMU_CR1, SMMU_CR1_LIST);

#define SMMU_CR2_LIST(s, f) \
	f(s, E2H, 0, 1, ALWAYS, "6.3.12", "0=EL2 streams without ASIDs|1=EL2 streams with ASIDs") \
	f(s, RECINVSID, 1, 1, ALWAYS, "6.3.12", "0=C_BAD_STREAMID is not recorded|1=recorded") \
	f(s, PTM, 2, 1, ALWAYS, "6.3.12", "0=broadcast TLB maintenance|1=private") \
	f(s, REC_CFG_ATS, 3, 1, ALWAYS, "6.3.12", "")
LAYOUT_FIELDS(SMMU_CR2, SMMU_CR2_LIST);

#define SMMU_STATUSR_LIST(s, f) f(s, DORMANT, 0, 1, ALWAYS, "6.3.13", "")
LAYOUT_FIELDS(SMMU_STATUSR, SMMU_STATUSR_LIST);

#define SMMU_GBPA_LIST(s, f) \
	f(s, MEMATTR, 0, 4, ALWAYS, "6.3.14", "") \
	f(s, MTCFG, 4, 1, ALWAYS, "6.3.14", "0=incoming memory type|1=MemAttr") \
	f(s, ALLOCCFG, 8, 4, ALWAYS, "6.3.14", "") \
	f(s, SHCFG, 12, 2, ALWAYS, "6.3.14", "0=non-shareable|1=incoming|2=outer shareable|3=inner shareable") \
	f(s, PRIVCFG, 16, 2, ALWAYS, "6.3.14", "0=incoming|1=incoming|2=unprivileged|3=privileged") \
	f(s, INSTCFG, 18, 2, ALWAYS, "6.3.14", "0=incoming|1=incoming|2=data|3=instruction") \
	f(s, ABORT, 20, 1, ALWAYS, "6.3.14", "0=bypass|1=abort") \
	f(s, UPDATE, 31, 1, ALWAYS, "6.3.14", "0=done|1=being updated")
LAYOUT_FIELDS(SMMU_GBPA, SMMU_GBPA_LIST);
#define SMMU_AGBPA_LIST(s, f) f(s, IMPDEF, 0, 32, 0, "6.3.15", "")
LAYOUT_FIELDS(SMMU_AGBPA, SMMU_AGBPA_LIST);

/* IRQ_CTRL and IRQ_CTRLACK */
#define SMMU_IRQ_CTRL_LIST(s, f) \
	f(s, GERROR_IRQEN, 0, 1, ALWAYS, "6.3.17", "") \
	f(s, PRIQ_IRQEN, 1, 1, ALWAYS, "6.3.17", "") \
	f(s, EVENTQ_IRQEN, 2, 1, ALWAYS, "6.3.17", "")
LAYOUT_FIELDS(SMMU_IRQ_CTRL, SMMU_IRQ_CTRL_LIST);
#define SMMU_IRQ_CTRLACK_LIST(s, f) SMMU_IRQ_CTRL_LIST(s, f)
LAYOUT_FIELDS(SMMU_IRQ_CTRLACK, SMMU_IRQ_CTRLACK_LIST);

/* GERROR and GERRORN: an error is active where the two differ. */
#define SMMU_GERROR_LIST(s, f) \
	f(s, CMDQ_ERR, 0, 1, ALWAYS, "6.3.19", "") \
	f(s, EVENTQ_ABT_ERR, 2, 1, ALWAYS, "6.3.19", "") \
	f(s, PRIQ_ABT_ERR, 3, 1, ALWAYS, "6.3.19", "") \
	f(s, MSI_CMDQ_ABT_ERR, 4, 1, ALWAYS, "6.3.19", "") \
	f(s, MSI_EVENTQ_ABT_ERR, 5, 1, ALWAYS, "6.3.19", "") \
	f(s, MSI_PRIQ_ABT_ERR, 6, 1, ALWAYS, "6.3.19", "") \
	f(s, MSI_GERROR_ABT_ERR, 7, 1, ALWAYS, "6.3.19", "") \
	f(s, SFM_ERR, 8, 1, ALWAYS, "6.3.19", "") \
	f(s, CMDQP_ERR, 9, 1, ALWAYS, "6.3.19", "") \
	f(s, DPT_ERR, 10, 1, ALWAYS, "6.3.19", "")
LAYOUT_FIELDS(SMMU_GERROR, SMMU_GERROR_LIST);
#define SMMU_GERRORN_LIST(s, f) SMMU_GERROR_LIST(s, f)
LAYOUT_FIELDS(SMMU_GERRORN, SMMU_GERRORN_LIST);

#define SMMU_STRTAB_BASE_LIST(s, f) \
	f(s, ADDR, 6, 50, ALWAYS, "6.3.24", "") \
	f(s, RA, 62, 1, ALWAYS, "6.3.24", "")
LAYOUT_FIELDS(SMMU_STRTAB_BASE, SMMU_STRTAB_BASE_LIST);
#define SMMU_STRTAB_BASE_CFG_LIST(s, f) \
	f(s, LOG2SIZE, 0, 6, ALWAYS, "6.3.25", "") \
	f(s, SPLIT, 6, 5, ALWAYS, "6.3.25", "6=leaf tables of 64 entries|8=of 256|10=of 1024") \
	f(s, FMT, 16, 2, ALWAYS, "6.3.25", "0=linear|1=two levels")
LAYOUT_FIELDS(SMMU_STRTAB_BASE_CFG, SMMU_STRTAB_BASE_CFG_LIST);
enum { SMMU_STRTAB_LINEAR = 0, SMMU_STRTAB_2LVL = 1 };
enum { SMMU_SPLIT_4K = 6, SMMU_SPLIT_16K = 8, SMMU_SPLIT_64K = 10 };

/* CMDQ_BASE, EVENTQ_BASE, PRIQ_BASE; RA_WA: read-allocate of the first, write-allocate of the others */
#define SMMU_QUEUE_BASE_LIST(s, f) \
	f(s, LOG2SIZE, 0, 5, ALWAYS, "6.3.26", "") \
	f(s, ADDR, 5, 51, ALWAYS, "6.3.26", "") \
	f(s, RA_WA, 62, 1, ALWAYS, "6.3.26", "")
LAYOUT_FIELDS(SMMU_QUEUE_BASE, SMMU_QUEUE_BASE_LIST);

/* An index has a wrap bit above its LOG2SIZE bits. */
#define SMMU_CMDQ_PROD_LIST(s, f) f(s, WR, 0, 20, ALWAYS, "6.3.27", "")
LAYOUT_FIELDS(SMMU_CMDQ_PROD, SMMU_CMDQ_PROD_LIST);
#define SMMU_CMDQ_CONS_LIST(s, f) \
	f(s, RD, 0, 20, ALWAYS, "6.3.28", "") \
	f(s, ERR, 24, 7, ALWAYS, "7.1", "0=CERROR_NONE|1=CERROR_ILL|2=CERROR_ABT|3=CERROR_ATC_INV_SYNC")
LAYOUT_FIELDS(SMMU_CMDQ_CONS, SMMU_CMDQ_CONS_LIST);
enum { SMMU_CERROR_NONE = 0, SMMU_CERROR_ILL = 1, SMMU_CERROR_ABT = 2, SMMU_CERROR_ATC_INV_SYNC = 3 };
/* Of the event and the PRI queue: an overflow is active where OVFLG and OVACKFLG differ. */
#define SMMU_EVENTQ_PROD_LIST(s, f) \
	f(s, WR, 0, 20, ALWAYS, "6.3.95", "") \
	f(s, OVFLG, 31, 1, ALWAYS, "6.3.95", "")
LAYOUT_FIELDS(SMMU_EVENTQ_PROD, SMMU_EVENTQ_PROD_LIST);
#define SMMU_EVENTQ_CONS_LIST(s, f) \
	f(s, RD, 0, 20, ALWAYS, "6.3.96", "") \
	f(s, OVACKFLG, 31, 1, ALWAYS, "6.3.96", "")
LAYOUT_FIELDS(SMMU_EVENTQ_CONS, SMMU_EVENTQ_CONS_LIST);

/* GERROR_, EVENTQ_ and PRIQ_IRQ_CFG0 to 2; LO is the PRI queue's */
#define SMMU_IRQ_CFG0_LIST(s, f) f(s, ADDR, 2, 54, ALWAYS, "6.3.21", "")
LAYOUT_FIELDS(SMMU_IRQ_CFG0, SMMU_IRQ_CFG0_LIST);
#define SMMU_IRQ_CFG1_LIST(s, f) f(s, DATA, 0, 32, ALWAYS, "6.3.22", "")
LAYOUT_FIELDS(SMMU_IRQ_CFG1, SMMU_IRQ_CFG1_LIST);
#define SMMU_IRQ_CFG2_LIST(s, f) \
	f(s, MEMATTR, 0, 4, ALWAYS, "6.3.23", "") \
	f(s, SH, 4, 2, ALWAYS, "6.3.23", "0=non-shareable|1=reserved|2=outer shareable|3=inner shareable") \
	f(s, LO, 31, 1, ALWAYS, "6.3.23", "0=interrupt when the queue is no longer empty|1=when a last request arrives")
LAYOUT_FIELDS(SMMU_IRQ_CFG2, SMMU_IRQ_CFG2_LIST);

/* R(NAME, decode-name, offset, bits, field list): the Non-secure registers of pages 0 and 1. */
#define SMMU_REGISTERS(R) \
	R(IDR0, "SMMU_IDR0", 0x0, 32, SMMU_IDR0_LIST) \
	R(IDR1, "SMMU_IDR1", 0x4, 32, SMMU_IDR1_LIST) \
	R(IDR2, "SMMU_IDR2", 0x8, 32, SMMU_IDR2_LIST) \
	R(IDR3, "SMMU_IDR3", 0xc, 32, SMMU_IDR3_LIST) \
	R(IDR4, "SMMU_IDR4", 0x10, 32, SMMU_IDR4_LIST) \
	R(IDR5, "SMMU_IDR5", 0x14, 32, SMMU_IDR5_LIST) \
	R(IIDR, "SMMU_IIDR", 0x18, 32, SMMU_IIDR_LIST) \
	R(AIDR, "SMMU_AIDR", 0x1c, 32, SMMU_AIDR_LIST) \
	R(CR0, "SMMU_CR0", 0x20, 32, SMMU_CR0_LIST) \
	R(CR0ACK, "SMMU_CR0ACK", 0x24, 32, SMMU_CR0_LIST) \
	R(CR1, "SMMU_CR1", 0x28, 32, SMMU_CR1_LIST) \
	R(CR2, "SMMU_CR2", 0x2c, 32, SMMU_CR2_LIST) \
	R(STATUSR, "SMMU_STATUSR", 0x40, 32, SMMU_STATUSR_LIST) \
	R(GBPA, "SMMU_GBPA", 0x44, 32, SMMU_GBPA_LIST) \
	R(AGBPA, "SMMU_AGBPA", 0x48, 32, SMMU_AGBPA_LIST) \
	R(IRQ_CTRL, "SMMU_IRQ_CTRL", 0x50, 32, SMMU_IRQ_CTRL_LIST) \
	R(IRQ_CTRLACK, "SMMU_IRQ_CTRLACK", 0x54, 32, SMMU_IRQ_CTRL_LIST) \
	R(GERROR, "SMMU_GERROR", 0x60, 32, SMMU_GERROR_LIST) \
	R(GERRORN, "SMMU_GERRORN", 0x64, 32, SMMU_GERROR_LIST) \
	R(GERROR_IRQ_CFG0, "SMMU_GERROR_IRQ_CFG0", 0x68, 64, SMMU_IRQ_CFG0_LIST) \
	R(GERROR_IRQ_CFG1, "SMMU_GERROR_IRQ_CFG1", 0x70, 32, SMMU_IRQ_CFG1_LIST) \
	R(GERROR_IRQ_CFG2, "SMMU_GERROR_IRQ_CFG2", 0x74, 32, SMMU_IRQ_CFG2_LIST) \
	R(STRTAB_BASE, "SMMU_STRTAB_BASE", 0x80, 64, SMMU_STRTAB_BASE_LIST) \
	R(STRTAB_BASE_CFG, "SMMU_STRTAB_BASE_CFG", 0x88, 32, SMMU_STRTAB_BASE_CFG_LIST) \
	R(CMDQ_BASE, "SMMU_CMDQ_BASE", 0x90, 64, SMMU_QUEUE_BASE_LIST) \
	R(CMDQ_PROD, "SMMU_CMDQ_PROD", 0x98, 32, SMMU_CMDQ_PROD_LIST) \
	R(CMDQ_CONS, "SMMU_CMDQ_CONS", 0x9c, 32, SMMU_CMDQ_CONS_LIST) \
	R(EVENTQ_BASE, "SMMU_EVENTQ_BASE", 0xa0, 64, SMMU_QUEUE_BASE_LIST) \
	R(EVENTQ_IRQ_CFG0, "SMMU_EVENTQ_IRQ_CFG0", 0xb0, 64, SMMU_IRQ_CFG0_LIST) \
	R(EVENTQ_IRQ_CFG1, "SMMU_EVENTQ_IRQ_CFG1", 0xb8, 32, SMMU_IRQ_CFG1_LIST) \
	R(EVENTQ_IRQ_CFG2, "SMMU_EVENTQ_IRQ_CFG2", 0xbc, 32, SMMU_IRQ_CFG2_LIST) \
	R(PRIQ_BASE, "SMMU_PRIQ_BASE", 0xc0, 64, SMMU_QUEUE_BASE_LIST) \
	R(PRIQ_IRQ_CFG0, "SMMU_PRIQ_IRQ_CFG0", 0xd0, 64, SMMU_IRQ_CFG0_LIST) \
	R(PRIQ_IRQ_CFG1, "SMMU_PRIQ_IRQ_CFG1", 0xd8, 32, SMMU_IRQ_CFG1_LIST) \
	R(PRIQ_IRQ_CFG2, "SMMU_PRIQ_IRQ_CFG2", 0xdc, 32, SMMU_IRQ_CFG2_LIST) \
	R(EVENTQ_PROD, "SMMU_EVENTQ_PROD", 0x100a8, 32, SMMU_EVENTQ_PROD_LIST) \
	R(EVENTQ_CONS, "SMMU_EVENTQ_CONS", 0x100ac, 32, SMMU_EVENTQ_CONS_LIST) \
	R(PRIQ_PROD, "SMMU_PRIQ_PROD", 0x100c8, 32, SMMU_EVENTQ_PROD_LIST) \
	R(PRIQ_CONS, "SMMU_PRIQ_CONS", 0x100cc, 32, SMMU_EVENTQ_CONS_LIST)
#define SMMU_REGISTER_ENUM(name, text, offset, bits, list) SMMU_REG_##name = (offset),
enum { SMMU_REGISTERS(SMMU_REGISTER_ENUM) SMMU_REGISTERS_SIZE = 0x20000 };

/* Structures in memory, for the printer: T(decode-name, kind, prefix, words, mode function or NULL, mode names or NULL). */
#define SMMU_STRUCTURES(T) \
	T("l1std", "entry", SMMU_L1STD, 1, smmu_l1std_mode, smmu_valid_modes) \
	T("ste", "entry", SMMU_STE, 8, smmu_ste_mode, smmu_ste_modes) \
	T("l1cd", "entry", SMMU_L1CD, 1, smmu_l1cd_mode, smmu_valid_modes) \
	T("cd", "entry", SMMU_CD, 8, smmu_cd_mode, smmu_cd_modes) \
	T("prefetch-config", "command", SMMU_CMD_PREFETCH_CONFIG, 2, smmu_ssv_mode, smmu_ssv_modes) \
	T("prefetch-addr", "command", SMMU_CMD_PREFETCH_ADDR, 2, smmu_ssv_mode, smmu_ssv_modes) \
	T("cfgi-ste", "command", SMMU_CMD_CFGI_STE, 2, NULL, NULL) \
	T("cfgi-ste-range", "command", SMMU_CMD_CFGI_STE_RANGE, 2, NULL, NULL) \
	T("cfgi-cd", "command", SMMU_CMD_CFGI_CD, 2, NULL, NULL) \
	T("cfgi-cd-all", "command", SMMU_CMD_CFGI_CD_ALL, 2, NULL, NULL) \
	T("cfgi-vms-pidm", "command", SMMU_CMD_CFGI_VMS_PIDM, 2, NULL, NULL) \
	T("tlbi", "command", SMMU_CMD_TLBI, 2, smmu_tlbi_mode, smmu_tlbi_modes) \
	T("tlbi-va", "command", SMMU_CMD_TLBI_VA, 2, smmu_tlbi_mode, smmu_tlbi_modes) \
	T("tlbi-ipa", "command", SMMU_CMD_TLBI_IPA, 2, NULL, NULL) \
	T("atc-inv", "command", SMMU_CMD_ATC_INV, 2, smmu_ssv_mode, smmu_ssv_modes) \
	T("pri-resp", "command", SMMU_CMD_PRI_RESP, 2, smmu_ssv_mode, smmu_ssv_modes) \
	T("resume", "command", SMMU_CMD_RESUME, 2, NULL, NULL) \
	T("stall-term", "command", SMMU_CMD_STALL_TERM, 2, NULL, NULL) \
	T("sync", "command", SMMU_CMD_SYNC, 2, smmu_sync_mode, smmu_sync_modes) \
	T("event", "event", SMMU_EV_CONFIG, 4, NULL, NULL) \
	T("uut-event", "event", SMMU_EV_UUT, 4, NULL, NULL) \
	T("fetch-event", "event", SMMU_EV_FETCH, 4, NULL, NULL) \
	T("bad-ats-treq-event", "event", SMMU_EV_BAD_ATS_TREQ, 4, NULL, NULL) \
	T("transl-forbidden-event", "event", SMMU_EV_TRANSL_FORBIDDEN, 4, NULL, NULL) \
	T("walk-eabt-event", "event", SMMU_EV_WALK_EABT, 4, NULL, NULL) \
	T("fault-event", "event", SMMU_EV_FAULT, 4, NULL, NULL) \
	T("tlb-conflict-event", "event", SMMU_EV_TLB_CONFLICT, 4, NULL, NULL) \
	T("cfg-conflict-event", "event", SMMU_EV_CFG_CONFLICT, 4, NULL, NULL) \
	T("page-request-event", "event", SMMU_EV_PAGE_REQUEST, 4, NULL, NULL) \
	T("page-request", "event", SMMU_PRI, 2, NULL, NULL)

#endif
