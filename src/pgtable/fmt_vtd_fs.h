/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_vtd_fs.h - VT-d first-stage page tables (section 9.7) for pt_engine.h, which says what each
 * function means.
 *
 * The format of x86-64 CPUs. Bit 7 of a last-level entry is PAT, bit 12 of a large one too; both
 * stay 0.
 *
 * XD (bit 63) stays 0: it is reserved while NXE of the PASID entry is 0, as in our entries, and
 * revisions after 4.1 have dropped both together with the requests that ask for execution. U/S is 1
 * everywhere: DMA is user access unless its PASID prefix says otherwise, and supervisor access may
 * use user pages too (3.6.2).
 */
#ifndef FMT_VTD_FS_H
#define FMT_VTD_FS_H

#include <hitless/types.h>

#include "pgtable.h"
#include "vtd.h"

#define FMT_NAME "vtd-fs"
#define FMT_OPS	 iommu_pgtable_vtd_fs

enum {
	FMT_PAGE_SHIFT = 12,
	FMT_TABLE_SHIFT = 12,
	FMT_MAX_TOP = 4,	/* 5 levels */
	FMT_MAX_LEAF_LEVEL = 2, /* 1 GiB: CAP.FS1GP (11.4.2) */
	FMT_MAX_OUTPUT_BITS = VTD_FS_ADDR_LSB + VTD_FS_ADDR_WIDTH,
};

static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	/* 4 and 5 levels: FSPM of the PASID entry (9.6). */
	return config->levels >= 4 && config->levels <= 5;
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

/*
 * Addresses must be canonical (3.6): the upper half would repeat the top bit, so what is left is
 * one bit less.
 */
static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return 12 + 9 * config->levels - 1;
}

static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	(void)config;
	return 4096;
}

static inline bool fmt_present(uint64_t entry)
{
	return entry & BITS(VTD_FS, P);
}

static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	return fmt_present(entry) && level > 0 && !(entry & BITS(VTD_FS, PS));
}

/* Rights are the AND over the levels (3.6.2): the tables allow everything, the leaf decides. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	(void)level;
	return phys | BITS(VTD_FS, P) | BITS(VTD_FS, RW) | BITS(VTD_FS, US) | BITS(VTD_FS, A);
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return entry & BITS(VTD_FS, ADDR);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~BITS(VTD_FS, P);
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | BITS(VTD_FS, P);
}

/* Bits 62:52 are ignored in every level: eleven bits, enough for 512. */
static inline unsigned fmt_count(uint64_t entry)
{
	return (unsigned)GET(VTD_FS, IGNORED, &entry);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	return (entry & ~BITS(VTD_FS, IGNORED)) | (uint64_t)count << VTD_FS_IGNORED_LSB;
}

/*
 * What is present can be read: there is no write-only page. Unless dirty pages are to be recorded, A and D
 * are set from the start: it spares the hardware a locked write, and a unit whose walks don't snoop
 * can't set them at all but faults (3.6.3, fault reason 90h).
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	if (!(prot & IOMMU_READ) || prot & ~(IOMMU_READ | IOMMU_WRITE))
		return false;
	*attributes =
		BITS(VTD_FS, P) | BITS(VTD_FS, US) | (prot & IOMMU_WRITE ? BITS(VTD_FS, RW) : 0);
	if (!config->dirty)
		*attributes |= BITS(VTD_FS, A) | BITS(VTD_FS, D);
	return true;
}

static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	return phys | attributes | (level > 0 ? BITS(VTD_FS, PS) : 0);
}

static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & BITS(VTD_FS, ADDR);
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(BITS(VTD_FS, ADDR) | BITS(VTD_FS, PS));
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return IOMMU_READ | (entry & BITS(VTD_FS, RW) ? IOMMU_WRITE : 0);
}

/* Hardware always sets A and D in the first stage (3.6.3), tables' A too. */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(VTD_FS, D);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(VTD_FS, A);
}

#endif
