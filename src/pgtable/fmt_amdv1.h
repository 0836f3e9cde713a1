/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_amdv1.h - AMD's host ("v1") page tables (section 2.2.3) for pt_engine.h, which says what each function means.
 *
 * Every level has the same entry; the next-level field says of what level the table is that it points to, or that it maps a page.
 */
#ifndef FMT_AMDV1_H
#define FMT_AMDV1_H

#include <hitless/types.h>

#include "amdvi.h"
#include "pgtable.h"

#define FMT_NAME "amd-v1"
#define FMT_GROWS 1
#define FMT_OPS iommu_pgtable_amdv1

enum {
	FMT_PAGE_SHIFT = 12,
	FMT_TABLE_SHIFT = 12,
	FMT_MAX_TOP = AMDVI_MAX_LEVELS - 1,
	FMT_MAX_LEAF_LEVEL = 2, /* 1 GiB */
	FMT_MAX_OUTPUT_BITS = AMDVI_V1_ADDR_LSB + AMDVI_V1_ADDR_WIDTH,
	/* The bits that hardware ignores in an entry of any kind are seven, in three places. */
	FMT_COUNT_MAX = 127,
};

static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	return config->levels >= 1 && config->levels <= AMDVI_MAX_LEVELS && config->max_levels <= AMDVI_MAX_LEVELS;
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

/* Six levels have more than an address has. */
static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return config->levels == AMDVI_MAX_LEVELS ? 64 : 12 + 9 * config->levels;
}

static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	(void)config;
	return 4096;
}

static inline bool fmt_present(uint64_t entry)
{
	return entry & BITS(AMDVI_V1, PR);
}

/* No level is skipped: a table's entry says the level that it is at. */
static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && (entry & (BITS(AMDVI_V1, PR) | BITS(AMDVI_V1, NEXT_LEVEL))) ==
				    (BITS(AMDVI_V1, PR) | (uint64_t)level << AMDVI_V1_NEXT_LEVEL_LSB);
}

/* Tables are numbered from 1 by the hardware. Rights are the AND over the levels: the tables allow everything. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	return phys | BITS(AMDVI_V1, PR) | BITS(AMDVI_V1, IR) | BITS(AMDVI_V1, IW) |
	       (uint64_t)level << AMDVI_V1_NEXT_LEVEL_LSB;
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return entry & BITS(AMDVI_V1, ADDR);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~BITS(AMDVI_V1, PR);
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | BITS(AMDVI_V1, PR);
}

static inline unsigned fmt_count(uint64_t entry)
{
	return (unsigned)(GET(AMDVI_V1, IGNORED, &entry) | GET(AMDVI_V1, IGNORED2, &entry) << 4 |
			  GET(AMDVI_V1, IGNORED3, &entry) << 6);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	SET(AMDVI_V1, IGNORED, &entry, count);
	SET(AMDVI_V1, IGNORED2, &entry, count >> 4);
	SET(AMDVI_V1, IGNORED3, &entry, count >> 6);
	return entry;
}

/* FC: the device's accesses snoop, whatever it asks for. */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	(void)config;
	if (!(prot & (IOMMU_READ | IOMMU_WRITE)) || prot & ~(IOMMU_READ | IOMMU_WRITE))
		return false;
	*attributes = BITS(AMDVI_V1, PR) | BITS(AMDVI_V1, FC) | (prot & IOMMU_READ ? BITS(AMDVI_V1, IR) : 0) |
		      (prot & IOMMU_WRITE ? BITS(AMDVI_V1, IW) : 0);
	return true;
}

static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	(void)level;
	return phys | attributes;
}

static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & BITS(AMDVI_V1, ADDR);
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(BITS(AMDVI_V1, ADDR) | BITS(AMDVI_V1, NEXT_LEVEL));
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return (entry & BITS(AMDVI_V1, IR) ? IOMMU_READ : 0) | (entry & BITS(AMDVI_V1, IW) ? IOMMU_WRITE : 0);
}

/* Set by hardware only while HAD of the device table entry says so; ignored otherwise. */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(AMDVI_V1, D);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(AMDVI_V1, A);
}

static inline uint64_t fmt_clean_bits(void)
{
	return 0;
}

static inline uint64_t fmt_split_mark(void)
{
	return 0;
}

/*
 * Next level 7: pages of every power of two between those of this level and the next, as so many entries that are all alike.
 * The size is in the address: all ones below its highest bit, which is 0. No 512 GiB: it would be one entry of level 3, and
 * Linux says that hardware has a defect there.
 */
static inline unsigned fmt_groups(unsigned level)
{
	return level <= FMT_MAX_LEAF_LEVEL ? 0x1fe : 0;
}

static inline uint64_t fmt_in_group(uint64_t leaf, uint64_t phys, unsigned level, unsigned order)
{
	uint64_t size = 1ull << (FMT_PAGE_SHIFT + 9 * level + order);

	leaf = (leaf & ~BITS(AMDVI_V1, ADDR)) | phys | ((size / 2 - 1) & BITS(AMDVI_V1, ADDR));
	SET(AMDVI_V1, NEXT_LEVEL, &leaf, AMDVI_V1_NEXT_SIZED);
	return leaf;
}

static inline unsigned fmt_group_order(uint64_t leaf, unsigned level)
{
	if (GET(AMDVI_V1, NEXT_LEVEL, &leaf) != AMDVI_V1_NEXT_SIZED)
		return 0;
	return (unsigned)__builtin_ctzll(~GET(AMDVI_V1, ADDR, &leaf)) + 1 - 9 * level;
}

#endif
