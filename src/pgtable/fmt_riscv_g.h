/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fmt_riscv_g.h - RISC-V second-stage page tables: Sv39x4, Sv48x4, Sv57x4 (hypervisor extension). */
#ifndef FMT_RISCV_G_H
#define FMT_RISCV_G_H

#include "fmt_riscv.h"

#define FMT_NAME "riscv-g"
#define FMT_OPS	 iommu_pgtable_riscv_g

/* Two bits more than the first stage's, zero-extended: the root is four times as large (2.1.3.2). */
static inline unsigned fmt_iova_bits(const struct iommu_pgtable_config *config)
{
	return 12 + 9 * config->levels + 2;
}

static inline size_t fmt_root_bytes(const struct iommu_pgtable_config *config)
{
	(void)config;
	return 16384;
}

#endif
