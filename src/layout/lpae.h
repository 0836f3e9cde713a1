/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * lpae.h - Arm's 64-bit page-table descriptors (VMSAv8-64), once: stage 1 and stage 2, granules of 4, 16 and 64 KiB.
 *
 * "Section" is of the Arm Architecture Reference Manual (DDI0487): D8.3 descriptor formats, D8.2 the translation process. What an
 * SMMU does with them is in IHI0070, 3.13 (flags that hardware sets) and 3.21.1 (how a live table is changed).
 *
 * Levels are counted from 0, the level of pages, upwards: the architecture's level 3 is 0 here. Whether a descriptor with both low
 * bits set is a table or a page, only its level says. Not here: 52-bit addresses with small granules (DS), VMSAv9-128, the second
 * stage's forced write-back (S2FWB).
 */
#ifndef LAYOUT_LPAE_H
#define LAYOUT_LPAE_H

#include "layout.h"

/* ---- D8.3 Descriptors ---- */

/* A table. The attributes of stage 1 limit all that is below; in stage 2 they are reserved. */
#define LPAE_TABLE_LIST(s, f) \
	f(s, VALID, 0, 1, ALWAYS, "D8.3.1", "0=not valid|1=valid") \
	f(s, TABLE, 1, 1, ALWAYS, "D8.3.1", "0=block|1=table") \
	f(s, IGNORED, 2, 8, ALWAYS, "D8.3.1", "") \
	f(s, AF, 10, 1, ALWAYS, "D8.3.1", "") \
	f(s, IGNORED2, 11, 1, ALWAYS, "D8.3.1", "") \
	f(s, ADDR, 12, 36, ALWAYS, "D8.3.1", "") \
	f(s, IGNORED3, 51, 8, ALWAYS, "D8.3.1", "") \
	f(s, PXN_TABLE, 59, 1, ALWAYS, "D8.3.1", "0=no limit|1=no privileged execution below") \
	f(s, XN_TABLE, 60, 1, ALWAYS, "D8.3.1", "0=no limit|1=no execution below") \
	f(s, AP_TABLE, 61, 2, ALWAYS, "D8.3.1", "0=no limit|1=no unprivileged access|2=no writes|3=no unprivileged access, no writes") \
	f(s, NS_TABLE, 63, 1, ALWAYS, "D8.3.1", "")
LAYOUT_FIELDS(LPAE_TABLE, LPAE_TABLE_LIST);

/* A block or a page of stage 1. */
#define LPAE_S1_LIST(s, f) \
	f(s, VALID, 0, 1, ALWAYS, "D8.3.1", "0=not valid|1=valid") \
	f(s, PAGE, 1, 1, ALWAYS, "D8.3.1", "0=block|1=page") \
	f(s, ATTR_INDEX, 2, 3, ALWAYS, "D8.3.1", "") \
	f(s, NS, 5, 1, ALWAYS, "D8.3.1", "") \
	f(s, AP1, 6, 1, ALWAYS, "D8.4.1", "0=privileged only|1=unprivileged too") \
	f(s, AP2, 7, 1, ALWAYS, "D8.4.1", "0=writes allowed|1=read only, or clean with DBM") \
	f(s, SH, 8, 2, ALWAYS, "D8.6.2", "0=non-shareable|1=reserved|2=outer shareable|3=inner shareable") \
	f(s, AF, 10, 1, ALWAYS, "D8.4.6", "0=not accessed|1=accessed") \
	f(s, NG, 11, 1, ALWAYS, "D8.3.1", "0=global|1=of one ASID") \
	f(s, ADDR, 12, 36, ALWAYS, "D8.3.1", "") \
	f(s, GP, 50, 1, ALWAYS, "D8.3.1", "") \
	f(s, DBM, 51, 1, ALWAYS, "D8.4.6", "0=AP2 is a right|1=writes allowed; hardware clears AP2 at the first") \
	f(s, CONTIGUOUS, 52, 1, ALWAYS, "D8.6.1", "0=alone|1=one of several that may be cached as one") \
	f(s, PXN, 53, 1, ALWAYS, "D8.4.1", "0=privileged execution allowed|1=none") \
	f(s, XN, 54, 1, ALWAYS, "D8.4.1", "0=execution allowed|1=none") \
	f(s, IGNORED, 55, 4, ALWAYS, "D8.3.1", "") \
	f(s, PBHA, 59, 4, ALWAYS, "D8.3.1", "") \
	f(s, IGNORED2, 63, 1, ALWAYS, "D8.3.1", "")
LAYOUT_FIELDS(LPAE_S1, LPAE_S1_LIST);

/* A block or a page of stage 2. */
#define LPAE_S2_LIST(s, f) \
	f(s, VALID, 0, 1, ALWAYS, "D8.3.2", "0=not valid|1=valid") \
	f(s, PAGE, 1, 1, ALWAYS, "D8.3.2", "0=block|1=page") \
	f(s, MEMATTR, 2, 4, ALWAYS, "D8.6.5", "1=Device-nGnRE|5=Normal, not cacheable|15=Normal, write-back") \
	f(s, READ, 6, 1, ALWAYS, "D8.4.2", "0=no reads|1=reads allowed") \
	f(s, WRITE, 7, 1, ALWAYS, "D8.4.2", "0=no writes, or clean with DBM|1=writes allowed") \
	f(s, SH, 8, 2, ALWAYS, "D8.6.2", "0=non-shareable|1=reserved|2=outer shareable|3=inner shareable") \
	f(s, AF, 10, 1, ALWAYS, "D8.4.6", "0=not accessed|1=accessed") \
	f(s, ADDR, 12, 36, ALWAYS, "D8.3.2", "") \
	f(s, DBM, 51, 1, ALWAYS, "D8.4.6", "0=WRITE is a right|1=writes allowed; hardware sets WRITE at the first") \
	f(s, CONTIGUOUS, 52, 1, ALWAYS, "D8.6.1", "0=alone|1=one of several that may be cached as one") \
	f(s, XN, 53, 2, ALWAYS, "D8.4.2", "0=execution allowed|1=unprivileged only|2=none|3=privileged only") \
	f(s, IGNORED, 55, 4, ALWAYS, "D8.3.2", "") \
	f(s, PBHA, 59, 4, ALWAYS, "D8.3.2", "") \
	f(s, IGNORED2, 63, 1, ALWAYS, "D8.3.2", "")
LAYOUT_FIELDS(LPAE_S2, LPAE_S2_LIST);

enum { LPAE_SH_NON, LPAE_SH_OUTER = 2, LPAE_SH_INNER };
enum { LPAE_MEMATTR_DEVICE = 1, LPAE_MEMATTR_NC = 5, LPAE_MEMATTR_WB = 15 };
enum { LPAE_S2_XN_UNPRIVILEGED = 1, LPAE_S2_XN_NONE = 2, LPAE_S2_XN_PRIVILEGED = 3 };
enum { LPAE_AP_TABLE_NO_USER = 1, LPAE_AP_TABLE_NO_WRITE = 2 };
/* IHI0070 3.21.1.2: in a block, within the address's low bits: not to be cached where that could conflict with what is there. */
enum { LPAE_BLOCK_NT = 1 << 16 };

/* D8.6.3: the memory types that a stage-1 leaf names by their place in MAIR, eight bits each. */
enum { LPAE_MAIR_DEVICE_NGNRE = 0x04, LPAE_MAIR_NC = 0x44, LPAE_MAIR_WB = 0xff };
/* And the places that Hitless gives them. */
enum { LPAE_ATTR_WB, LPAE_ATTR_NC, LPAE_ATTR_DEVICE };

/* For the printer: T(decode-name, kind, prefix, words, mode function or NULL, mode names or NULL). */
#define LPAE_STRUCTURES(T) \
	T("lpae-table", "page-table entry", LPAE_TABLE, 1, NULL, NULL) \
	T("lpae-s1-leaf", "page-table entry", LPAE_S1, 1, NULL, NULL) \
	T("lpae-s2-leaf", "page-table entry", LPAE_S2, 1, NULL, NULL)

/* ---- D8.2 Geometry; `page_shift` is the granule: 12, 14 or 16 ---- */

/* A table of the granule's size has 1 << lpae_index_bits() entries. */
static inline unsigned lpae_index_bits(unsigned page_shift)
{
	return page_shift - 3;
}

/* What an entry at `level` maps: 1 << lpae_shift() bytes. */
static inline unsigned lpae_shift(unsigned page_shift, unsigned level)
{
	return page_shift + level * lpae_index_bits(page_shift);
}

/* The highest level that may have blocks: 1 GiB, 32 MiB, 512 MiB. */
static inline unsigned lpae_max_leaf_level(unsigned page_shift)
{
	return page_shift == 12 ? 2 : 1;
}

/*
 * How many levels translate `input_bits` when the fewest are taken. Stage 2 may put up to 16 tables of the first level side by side
 * instead of having a level more (D8.2.2).
 */
static inline unsigned lpae_levels(unsigned page_shift, unsigned input_bits, bool stage2)
{
	unsigned index_bits = lpae_index_bits(page_shift);
	unsigned bits = input_bits - page_shift - (stage2 ? 4 : 0);

	return (bits + index_bits - 1) / index_bits;
}

/* D8.6.1: so many leaves (as a power of two) may say that they are contiguous. */
static inline unsigned lpae_contiguous_shift(unsigned page_shift, unsigned level)
{
	return page_shift == 12 ? 4 : page_shift == 14 && level == 0 ? 7 : 5;
}

/*
 * The address in a descriptor and back. With 64 KiB pages, bits 15:12 are bits 51:48 of it (0 where the hardware has no more than
 * 48). The bits of a leaf below its size are reserved, and 0.
 */
static inline uint64_t lpae_phys(uint64_t descriptor, unsigned page_shift)
{
	uint64_t addr = GET_ADDR(LPAE_TABLE, ADDR, &descriptor);

	/* (A branch that is always the same is off a walk's way.) */
	if (page_shift == 16 && __builtin_expect((addr & 0xf000ull) != 0, 0))
		addr = (addr & ~0xf000ull) | (addr & 0xf000ull) << 36;
	return addr;
}

static inline uint64_t lpae_addr(uint64_t phys, unsigned page_shift)
{
	if (page_shift == 16 && __builtin_expect(phys >> 48 != 0, 0))
		phys = (phys & BITS(LPAE_TABLE, ADDR)) | (phys >> 36 & 0xf000ull);
	return phys;
}

#endif
