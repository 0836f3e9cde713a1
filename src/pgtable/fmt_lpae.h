/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_lpae.h - Arm's page tables (VMSAv8-64) for pt_engine.h, which says what each function means: what stage 1 and stage 2 share.
 * fmt_lpae_s1.h and fmt_lpae_s2.h include it; the .c file defines LPAE_PAGE_SHIFT, the granule.
 *
 * A descriptor that is not valid is ignored but for that bit. A table's descriptor has bits that hardware ignores in two places; the
 * eight of the upper and six of the lower are enough to count 8192 (bit 10 is left alone: it is the table's access flag where
 * hardware has one).
 */
#ifndef FMT_LPAE_H
#define FMT_LPAE_H

#include <hitless/types.h>

#include "lpae.h"
#include "pgtable.h"

enum {
	FMT_PAGE_SHIFT = LPAE_PAGE_SHIFT,
	FMT_TABLE_SHIFT = LPAE_PAGE_SHIFT,
	FMT_MAX_TOP = LPAE_PAGE_SHIFT == 16 ? 2 : 3,
	FMT_MAX_LEAF_LEVEL = LPAE_PAGE_SHIFT == 12 ? 2 : 1,
	FMT_MAX_OUTPUT_BITS = LPAE_PAGE_SHIFT == 16 ? 52 : 48,
	FMT_COUNT_MAX = 1 << (LPAE_PAGE_SHIFT - 3),
	LPAE_COUNT_LOW_BITS = 6,
};

/* Which of the two it is: the including header's. */
static inline bool lpae_stage2(void);

static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	unsigned most = LPAE_PAGE_SHIFT == 16 ? 52 : 48;

	return config->input_bits >= 36 && config->input_bits <= most && config->max_levels <= config->levels &&
	       config->levels == lpae_levels(LPAE_PAGE_SHIFT, config->input_bits, lpae_stage2());
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return config->input_bits;
}

/* As many entries as the address has values for; but memory comes in pages. */
static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	size_t bytes = (size_t)8 << (config->input_bits - lpae_shift(LPAE_PAGE_SHIFT, config->levels - 1));

	return bytes < HITLESS_PAGE_SIZE ? HITLESS_PAGE_SIZE : bytes;
}

static inline bool fmt_present(uint64_t entry)
{
	return entry & BITS(LPAE_TABLE, VALID);
}

static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	const uint64_t both = BITS(LPAE_TABLE, VALID) | BITS(LPAE_TABLE, TABLE);

	return level > 0 && (entry & both) == both;
}

/* Without limits: the leaf's rights are the rights. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	(void)level;
	return lpae_addr(phys, LPAE_PAGE_SHIFT) | BITS(LPAE_TABLE, VALID) | BITS(LPAE_TABLE, TABLE);
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return lpae_phys(entry, LPAE_PAGE_SHIFT);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~BITS(LPAE_TABLE, VALID);
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | BITS(LPAE_TABLE, VALID);
}

static inline unsigned fmt_count(uint64_t entry)
{
	return (unsigned)((GET(LPAE_TABLE, IGNORED, &entry) & layout_mask(LPAE_COUNT_LOW_BITS)) |
			  GET(LPAE_TABLE, IGNORED3, &entry) << LPAE_COUNT_LOW_BITS);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	SET(LPAE_TABLE, IGNORED, &entry, count & layout_mask(LPAE_COUNT_LOW_BITS));
	SET(LPAE_TABLE, IGNORED3, &entry, count >> LPAE_COUNT_LOW_BITS);
	return entry;
}

/* Bit 1 tells a page from a block. */
static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	return lpae_addr(phys, LPAE_PAGE_SHIFT) | attributes | (level == 0 ? BITS(LPAE_TABLE, TABLE) : 0);
}

/* nT may be set below it. */
static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	return lpae_phys(entry, LPAE_PAGE_SHIFT) & ~layout_mask(lpae_shift(LPAE_PAGE_SHIFT, level));
}

static inline uint64_t fmt_split_mark(void)
{
	return LPAE_BLOCK_NT;
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(BITS(LPAE_TABLE, ADDR) | BITS(LPAE_TABLE, TABLE) | BITS(LPAE_S1, CONTIGUOUS));
}

/* The contiguous hint, at the same place in both stages. */
static inline unsigned fmt_groups(unsigned level)
{
	return 1u << lpae_contiguous_shift(LPAE_PAGE_SHIFT, level);
}

static inline uint64_t fmt_in_group(uint64_t leaf, uint64_t phys, unsigned level, unsigned order)
{
	(void)phys;
	(void)level;
	(void)order;
	return leaf | BITS(LPAE_S1, CONTIGUOUS);
}

static inline unsigned fmt_group_order(uint64_t leaf, unsigned level)
{
	return leaf & BITS(LPAE_S1, CONTIGUOUS) ? lpae_contiguous_shift(LPAE_PAGE_SHIFT, level) : 0;
}

#endif
