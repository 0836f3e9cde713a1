/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_vtd_ss.h - VT-d second-stage page tables (section 9.8) for pt_engine.h, which says what each
 * function means.
 *
 * Every level has the same entry. There is no present bit: an entry is present if it allows reads
 * or writes (3.7).
 *
 * X (bit 2) stays 0. It only ever mattered to requests with PASID that ask for execution; revisions
 * after 4.1 have dropped those, and before that a unit blocks them while ERE of the PASID entry is
 * 0, as our entries have it.
 */
#ifndef FMT_VTD_SS_H
#define FMT_VTD_SS_H

#include <hitless/types.h>

#include "pgtable.h"
#include "vtd.h"

#define FMT_NAME "vtd-ss"
#define FMT_OPS	 iommu_pgtable_vtd_ss

enum {
	FMT_PAGE_SHIFT = 12,
	FMT_TABLE_SHIFT = 12,
	FMT_MAX_TOP = 4,	/* 5 levels */
	FMT_MAX_LEAF_LEVEL = 2, /* 1 GiB: CAP.SSLPS has no larger one (11.4.2) */
	FMT_MAX_OUTPUT_BITS = VTD_SS_ADDR_LSB + VTD_SS_ADDR_WIDTH,
	FMT_COUNT_MAX = 512,
};

static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	/* 3, 4 and 5 levels: AW of the context or PASID entry (9.3, 9.6). */
	return config->levels >= 3 && config->levels <= 5;
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return 12 + 9 * config->levels;
}

static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	(void)config;
	return 4096;
}

static inline bool fmt_present(uint64_t entry)
{
	return entry & (BITS(VTD_SS, R) | BITS(VTD_SS, W));
}

/* PS tells the two apart in the levels above the last, where hardware ignores it (9.8); a table of ours has both rights. */
static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	const uint64_t rights = BITS(VTD_SS, R) | BITS(VTD_SS, W);

	return level > 0 && (entry & (rights | BITS(VTD_SS, PS))) == rights;
}

/* Rights are the AND over the levels (3.7): the tables allow everything, the leaf decides. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	(void)level;
	return phys | BITS(VTD_SS, R) | BITS(VTD_SS, W);
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return entry & BITS(VTD_SS, ADDR);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~(BITS(VTD_SS, R) | BITS(VTD_SS, W));
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | BITS(VTD_SS, R) | BITS(VTD_SS, W);
}

/* Bits 61:52 are ignored in every level: ten bits, enough for 512. */
static inline unsigned fmt_count(uint64_t entry)
{
	return (unsigned)GET(VTD_SS, IGNORED, &entry);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	return (entry & ~BITS(VTD_SS, IGNORED)) | (uint64_t)count << VTD_SS_IGNORED_LSB;
}

static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	(void)config;
	if (!(prot & (IOMMU_READ | IOMMU_WRITE)) || prot & ~(IOMMU_READ | IOMMU_WRITE))
		return false;
	*attributes = (prot & IOMMU_READ ? BITS(VTD_SS, R) : 0) |
		      (prot & IOMMU_WRITE ? BITS(VTD_SS, W) : 0);
	return true;
}

static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	return phys | attributes | (level > 0 ? BITS(VTD_SS, PS) : 0);
}

static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & BITS(VTD_SS, ADDR);
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(BITS(VTD_SS, ADDR) | BITS(VTD_SS, PS));
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return (entry & BITS(VTD_SS, R) ? IOMMU_READ : 0) |
	       (entry & BITS(VTD_SS, W) ? IOMMU_WRITE : 0);
}

/* Set by hardware only while SSADE of the PASID entry is set (9.6); ignored otherwise. */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(VTD_SS, D);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(VTD_SS, A);
}

static inline uint64_t fmt_clean_bits(void)
{
	return 0;
}

static inline uint64_t fmt_split_mark(void)
{
	return 0;
}

static inline unsigned fmt_groups(unsigned level)
{
	(void)level;
	return 0;
}

static inline uint64_t fmt_in_group(uint64_t leaf, uint64_t phys, unsigned level, unsigned order)
{
	(void)phys;
	(void)level;
	(void)order;
	return leaf;
}

static inline unsigned fmt_group_order(uint64_t leaf, unsigned level)
{
	(void)leaf;
	(void)level;
	return 0;
}

#endif
