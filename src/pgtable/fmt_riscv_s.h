/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fmt_riscv_s.h - RISC-V first-stage page tables: Sv39, Sv48, Sv57. */
#ifndef FMT_RISCV_S_H
#define FMT_RISCV_S_H

#include "fmt_riscv.h"

#define FMT_NAME "riscv-s"
#define FMT_OPS	 iommu_pgtable_riscv_s

/* Addresses are sign-extended: the upper half would repeat the top bit, so what is left is one bit less. */
static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return 12 + 9 * config->levels - 1;
}

static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	(void)config;
	return 4096;
}

#endif
