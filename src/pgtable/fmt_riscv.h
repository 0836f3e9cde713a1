/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_riscv.h - RISC-V page tables (privileged architecture, Sv39 and its kin) for pt_engine.h, which says what each function
 * means. fmt_riscv_s.h and fmt_riscv_g.h include it, for the first and the second stage: their entries are the same.
 *
 * A valid entry without R, W and X points to a table; then A, D, U, PBMT and N are reserved and the hardware faults if one is
 * set. Rights are the leaf's alone. U is set in every leaf: the second stage treats every access as a user's, and DMA without a
 * process context is one too.
 *
 * Software has two bits (RSW): counts go to 3, which means "3 or more".
 */
#ifndef FMT_RISCV_H
#define FMT_RISCV_H

#include <hitless/types.h>

#include "pgtable.h"
#include "riscv.h"

enum {
	FMT_PAGE_SHIFT = 12,
	FMT_TABLE_SHIFT = 12,
	FMT_MAX_TOP = 4,	/* Sv57: 5 levels */
	FMT_MAX_LEAF_LEVEL = 2, /* 1 GiB */
	FMT_MAX_OUTPUT_BITS = 12 + RISCV_PTE_PPN_WIDTH,
	FMT_COUNT_MAX = (1 << RISCV_PTE_RSW_WIDTH) - 1,
};

/* 3, 4 and 5 levels: Sv39, Sv48, Sv57. */
static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	return config->levels >= 3 && config->levels <= 5;
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

static inline bool fmt_present(uint64_t entry)
{
	return entry & BITS(RISCV_PTE, V);
}

static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && (entry & (BITS(RISCV_PTE, V) | BITS(RISCV_PTE, R) | BITS(RISCV_PTE, W) | BITS(RISCV_PTE, X))) ==
				    BITS(RISCV_PTE, V);
}

static inline uint64_t fmt_phys(uint64_t entry)
{
	return RISCV_ADDR(GET(RISCV_PTE, PPN, &entry));
}

static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	(void)level;
	return RISCV_PPN(phys) << RISCV_PTE_PPN_LSB | BITS(RISCV_PTE, V);
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return fmt_phys(entry);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~BITS(RISCV_PTE, V);
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | BITS(RISCV_PTE, V);
}

static inline unsigned fmt_count(uint64_t entry)
{
	return (unsigned)GET(RISCV_PTE, RSW, &entry);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	return (entry & ~BITS(RISCV_PTE, RSW)) | (uint64_t)count << RISCV_PTE_RSW_LSB;
}

/*
 * W without R is reserved. Unless the hardware sets A and D (GADE or SADE of the device context, `dirty` here), it faults where
 * they are 0: then they are set from the start. Memory is what the platform says (PBMT 0), registers are I/O (Svpbmt).
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	if (!(prot & ~IOMMU_MMIO) || prot & ~(IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC | IOMMU_MMIO) || ((prot & IOMMU_WRITE) && !(prot & IOMMU_READ)))
		return false;
	*attributes = BITS(RISCV_PTE, V) | BITS(RISCV_PTE, U) | (prot & IOMMU_READ ? BITS(RISCV_PTE, R) : 0) |
		      (prot & IOMMU_WRITE ? BITS(RISCV_PTE, W) : 0) | (prot & IOMMU_EXEC ? BITS(RISCV_PTE, X) : 0);
	if (prot & IOMMU_MMIO)
		*attributes |= (uint64_t)RISCV_PBMT_IO << RISCV_PTE_PBMT_LSB;
	if (!config->dirty)
		*attributes |= BITS(RISCV_PTE, A) | BITS(RISCV_PTE, D);
	return true;
}

static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	(void)level;
	return RISCV_PPN(phys) << RISCV_PTE_PPN_LSB | attributes;
}

static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	(void)level;
	return fmt_phys(entry);
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(BITS(RISCV_PTE, PPN) | BITS(RISCV_PTE, N));
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return (entry & BITS(RISCV_PTE, R) ? IOMMU_READ : 0) | (entry & BITS(RISCV_PTE, W) ? IOMMU_WRITE : 0) |
	       (entry & BITS(RISCV_PTE, X) ? IOMMU_EXEC : 0);
}

/* Set by hardware only with GADE or SADE (2.4). */
static inline uint64_t fmt_dirty_bits(void)
{
	return BITS(RISCV_PTE, D);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return BITS(RISCV_PTE, A);
}

static inline uint64_t fmt_clean_bits(void)
{
	return 0;
}

static inline uint64_t fmt_split_mark(void)
{
	return 0;
}

/* Svnapot: sixteen pages as one of 64 KiB, their entries all alike, with 1000 for the page number's last bits. */
static inline unsigned fmt_groups(unsigned level)
{
	return level == 0 ? 1u << RISCV_NAPOT_64K_ORDER : 0;
}

static inline uint64_t fmt_in_group(uint64_t leaf, uint64_t phys, unsigned level, unsigned order)
{
	(void)level;
	(void)order;
	return (leaf & ~BITS(RISCV_PTE, PPN)) | BITS(RISCV_PTE, N) | (RISCV_PPN(phys) | RISCV_NAPOT_64K) << RISCV_PTE_PPN_LSB;
}

static inline unsigned fmt_group_order(uint64_t leaf, unsigned level)
{
	(void)level;
	return leaf & BITS(RISCV_PTE, N) ? RISCV_NAPOT_64K_ORDER : 0;
}

#endif
