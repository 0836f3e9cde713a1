/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fmt_lpae_s1.h - Arm's stage 1 for pt_engine.h; the .c file defines FMT_NAME, FMT_OPS and LPAE_PAGE_SHIFT. */
#ifndef FMT_LPAE_S1_H
#define FMT_LPAE_S1_H

#include "fmt_lpae.h"

static inline bool lpae_stage2(void)
{
	return false;
}

/*
 * What is present can be read: there is no write-only page. A device's accesses are unprivileged. A leaf belongs to an ASID, or it
 * would match every other's. Memory is LPAE_ATTR_WB of MAIR.
 *
 * Unless dirty pages are recorded the leaf starts out accessed, and AP2 says what the rights are. If they are, AP2 says "clean".
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	if (!(prot & IOMMU_READ) || prot & ~(IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC))
		return false;
	*attributes = BITS(LPAE_S1, VALID) | BITS(LPAE_S1, AP1) | BITS(LPAE_S1, SH) | BITS(LPAE_S1, NG) |
		      (uint64_t)LPAE_ATTR_WB << LPAE_S1_ATTR_INDEX_LSB;
	if (!(prot & IOMMU_EXEC))
		*attributes |= BITS(LPAE_S1, PXN) | BITS(LPAE_S1, XN);
	if (config->dirty)
		*attributes |= BITS(LPAE_S1, AP2) | (prot & IOMMU_WRITE ? BITS(LPAE_S1, DBM) : 0);
	else
		*attributes |= BITS(LPAE_S1, AF) | (prot & IOMMU_WRITE ? 0 : BITS(LPAE_S1, AP2));
	return true;
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return IOMMU_READ | (!(entry & BITS(LPAE_S1, AP2)) || entry & BITS(LPAE_S1, DBM) ? IOMMU_WRITE : 0) |
	       (entry & BITS(LPAE_S1, XN) ? 0 : IOMMU_EXEC);
}

/* Hardware clears it (IHI0070 3.13.3). */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(LPAE_S1, AP2);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(LPAE_S1, AF);
}

static inline uint64_t fmt_clean_bits(void)
{
	return BITS(LPAE_S1, AP2);
}

#endif
