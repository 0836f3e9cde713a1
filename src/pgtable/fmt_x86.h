/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_x86.h - the page tables of x86-64 CPUs for pt_engine.h, which says what each function means. VT-d's first stage and
 * AMD's v2 tables are that. The includer defines FMT_NAME, FMT_OPS and FMT_LAYOUT, the prefix of the structure's layout.
 *
 * Bit 7 of a last-level entry is PAT, bit 12 of a large one too; both stay 0.
 *
 * An includer may have something to say in the bits that a processor ignores (11:9 and 62:52): X86_TABLE_BESIDES(level) and
 * X86_LEAF_BESIDES(prot). Then the count goes where only an entry that points to a table has bits to spare: D and G.
 */
#ifndef FMT_X86_H
#define FMT_X86_H

#include <hitless/types.h>

#include "pgtable.h"

/* One step of expansion, or FMT_LAYOUT would be taken for the prefix itself. */
#define X86_BITS_OF(layout, field) BITS(layout, field)
#define X86_BITS(field) X86_BITS_OF(FMT_LAYOUT, field)
#define X86_IGNORED_LSB 52

#ifdef X86_TABLE_BESIDES
#define X86_COUNT_MAX 3
#else
#define X86_COUNT_MAX 512
#define X86_TABLE_BESIDES(level) 0
#define X86_LEAF_BESIDES(prot) 0
#endif

enum {
	FMT_PAGE_SHIFT = 12,
	FMT_TABLE_SHIFT = 12,
	FMT_MAX_TOP = 4,	/* 5 levels */
	FMT_MAX_LEAF_LEVEL = 2, /* 1 GiB */
	FMT_MAX_OUTPUT_BITS = 52,
	FMT_COUNT_MAX = X86_COUNT_MAX,
};

static inline bool fmt_config_ok(const struct iommu_pgtable_config *config)
{
	/* The entry that points to the table says which: FSPM of the PASID entry, GuestPagingMode of the DTE. */
	return config->levels >= 4 && config->levels <= 5;
}

static inline unsigned fmt_top_level(const struct iommu_pgtable_config *config)
{
	return config->levels - 1;
}

/*
 * Addresses must be canonical: the upper half would repeat the top bit, so what is left is
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
	return entry & X86_BITS(P);
}

static inline bool fmt_is_table(uint64_t entry, unsigned level)
{
	return level > 0 && (entry & (X86_BITS(P) | X86_BITS(PS))) == X86_BITS(P);
}

/* Rights are the AND over the levels: the tables allow everything, the leaf decides. */
static inline uint64_t fmt_table(uint64_t phys, unsigned level)
{
	(void)level;
	return phys | X86_BITS(P) | X86_BITS(RW) | X86_BITS(US) | X86_BITS(A) | X86_TABLE_BESIDES(level);
}

static inline uint64_t fmt_table_phys(uint64_t entry)
{
	return entry & X86_BITS(ADDR);
}

static inline uint64_t fmt_park(uint64_t entry)
{
	return entry & ~X86_BITS(P);
}

static inline uint64_t fmt_unpark(uint64_t entry)
{
	return entry | X86_BITS(P);
}

/* Bits 62:52 are ignored in every level: eleven bits, enough for 512. D and G are ignored where there is a table below. */
static inline unsigned fmt_count(uint64_t entry)
{
	if (X86_COUNT_MAX == 3)
		return (entry & X86_BITS(D) ? 1u : 0) | (entry & X86_BITS(G) ? 2u : 0);
	return (unsigned)((entry & X86_BITS(IGNORED)) >> X86_IGNORED_LSB);
}

static inline uint64_t fmt_with_count(uint64_t entry, unsigned count)
{
	if (X86_COUNT_MAX == 3)
		return (entry & ~(X86_BITS(D) | X86_BITS(G))) | (count & 1 ? X86_BITS(D) : 0) | (count & 2 ? X86_BITS(G) : 0);
	return (entry & ~X86_BITS(IGNORED)) | (uint64_t)count << X86_IGNORED_LSB;
}

/*
 * What is present can be read: there is no write-only page. Unless dirty pages are to be recorded, A and D
 * are set from the start: it spares the hardware a locked write, and a unit whose walks don't snoop
 * can't set them at all but faults.
 */
static inline bool fmt_attributes(const struct iommu_pgtable_config *config, unsigned prot, uint64_t *attributes)
{
	if (!(prot & IOMMU_READ) || prot & ~(IOMMU_READ | IOMMU_WRITE))
		return false;
	*attributes = X86_BITS(P) | X86_BITS(US) | (prot & IOMMU_WRITE ? X86_BITS(RW) : 0) | X86_LEAF_BESIDES(prot);
	if (!config->dirty)
		*attributes |= X86_BITS(A) | X86_BITS(D);
	return true;
}

static inline uint64_t fmt_leaf(uint64_t phys, unsigned level, uint64_t attributes)
{
	return phys | attributes | (level > 0 ? X86_BITS(PS) : 0);
}

static inline uint64_t fmt_leaf_phys(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & X86_BITS(ADDR);
}

static inline uint64_t fmt_leaf_attributes(uint64_t entry, unsigned level)
{
	(void)level;
	return entry & ~(X86_BITS(ADDR) | X86_BITS(PS));
}

static inline unsigned fmt_leaf_prot(uint64_t entry)
{
	return IOMMU_READ | (entry & X86_BITS(RW) ? IOMMU_WRITE : 0);
}

/* Hardware always sets A and D in the first stage, tables' A too. */
static inline uint64_t fmt_dirty_bits(void)
{
	return X86_BITS(D);
}

static inline uint64_t fmt_accessed_bits(void)
{
	return X86_BITS(A);
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
