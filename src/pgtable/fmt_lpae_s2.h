/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fmt_lpae_s2.h - Arm's stage 2 for pt_engine.h; the .c file defines FMT_NAME, FMT_OPS and LPAE_PAGE_SHIFT. */
#ifndef FMT_LPAE_S2_H
#define FMT_LPAE_S2_H

#include "fmt_lpae.h"

static inline bool lpae_stage2(void)
{
	return true;
}

/*
 * Memory is write-back and inner shareable, unless the first stage or the device says less. If dirty pages are recorded, WRITE
 * starts out as 0 for "clean".
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	if (!(prot & (IOMMU_READ | IOMMU_WRITE)) || prot & ~(IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC))
		return false;
	*attributes = BITS(LPAE_S2, VALID) | BITS(LPAE_S2, SH) | (uint64_t)LPAE_MEMATTR_WB << LPAE_S2_MEMATTR_LSB |
		      (prot & IOMMU_READ ? BITS(LPAE_S2, READ) : 0);
	if (!(prot & IOMMU_EXEC))
		*attributes |= (uint64_t)LPAE_S2_XN_NONE << LPAE_S2_XN_LSB;
	if (!config->dirty)
		*attributes |= BITS(LPAE_S2, AF);
	if (prot & IOMMU_WRITE)
		*attributes |= config->dirty ? BITS(LPAE_S2, DBM) : BITS(LPAE_S2, WRITE);
	return true;
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return (entry & BITS(LPAE_S2, READ) ? IOMMU_READ : 0) |
	       (entry & (BITS(LPAE_S2, WRITE) | BITS(LPAE_S2, DBM)) ? IOMMU_WRITE : 0) |
	       (GET(LPAE_S2, XN, &entry) == LPAE_S2_XN_NONE ? 0 : IOMMU_EXEC);
}

/* Hardware sets it (IHI0070 3.13.3). */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(LPAE_S2, WRITE);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(LPAE_S2, AF);
}

static inline uint64_t fmt_clean_bits(void)
{
	return 0;
}

#endif
