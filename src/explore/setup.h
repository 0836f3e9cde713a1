/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * setup.h - what the small machines of all architectures have in common.
 *
 * One device whose entry changes; one that stays in the old configuration, one that is in the new one already; another entry in the
 * same table page. Every page table maps three addresses to pages of its own: a 4K page, one with other rights, and one
 * that is 4K in some tables and 2M in others. Accessed and dirty flags are set from the beginning. As a parent of a guest, a
 * second stage also maps the low 2M one to one, where the guests' tables are, and what those lead to.
 */
#ifndef EXPLORE_SETUP_H
#define EXPLORE_SETUP_H

#include "arch.h"

#include <layout.h>

enum { XP_RID_DEVICE = 0x10, XP_RID_OLD = 0x20, XP_RID_NEW = 0x30, XP_RID_SIBLING = 0x40 };

#define XP_IOVA_SMALL 0x600000ull
#define XP_IOVA_RIGHTS 0x601000ull
#define XP_IOVA_LARGE 0xa00000ull
/* Where guests' tables lead, in the parent's addresses. */
#define XP_GPA_SMALL 0x800000ull
#define XP_GPA_LARGE 0xc00000ull

/* ---- Page tables ---- */

/* 4K tables with 9 bits of the address a level, `top_bits` in the root. Levels count from 1. */
struct xp_format {
	unsigned levels, top_bits;
	uint64_t (*table)(uint64_t addr, unsigned level);	/* an entry of that level that points to a table */
	uint64_t (*page)(uint64_t addr, unsigned level, bool write);
	uint64_t (*address)(uint64_t entry);
};

struct xp_builder {
	uint64_t *ram;
	unsigned next;		/* free page */
	uint64_t offset;	/* of the addresses in the tables, where those are a guest's */
};

void xp_map(struct xp_builder *b, const struct xp_format *format, uint64_t root, uint64_t iova, uint64_t phys, unsigned level,
	    bool write);

/* Where the pages of tables number n lie: those of its own, and those that it maps as a parent. */
static inline uint64_t xp_data(unsigned n, bool parent)
{
	return (parent ? 0x200000000ull : 0x100000000ull) + n * 0x1000000ull;
}

/* The three pages, at `small` and `large`. Odd tables have the other rights, and the large page. */
void xp_map_three(struct xp_builder *b, const struct xp_format *format, uint64_t root, uint64_t small, uint64_t large, bool odd);
/* Tables of the host; and what it needs as a parent. */
void xp_map_host(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n);
void xp_map_parent(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n);
/* Tables of guest number n, whose pages are the parent's to translate, if there is one. */
void xp_map_guest(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n);

/* ---- The machine ---- */

/* Caches that are large enough for all that may be in them; without capabilities. */
struct iommu_model_config xp_config(unsigned freedoms, unsigned quantum);
/* RAM, and a configuration but for its capabilities. */
int xp_setup(const struct hitless_cell *cell, struct xp_case *c, const struct iommu_model_ops *ops, unsigned pages);
/* Copies words into RAM. */
void xp_put(struct xp_case *c, uint64_t addr, const uint64_t *words, unsigned nwords);
/* Bytes of model registers are written until the unit has nothing left to do. */
void xp_ticks(struct iommu_model *model);
/* The requests. `bystanders`: other devices can be in the old and the new domain, as the tags allow. */
void xp_actors(const struct hitless_cell *cell, struct xp_case *c, uint32_t pasid, uint32_t sibling_rid, uint32_t sibling_pasid,
	       bool bystanders);

/* ---- Text ---- */

/* "DID 4 -> 5": what differs in words [first, first + count). */
void xp_changes(const struct layout_field *fields, unsigned nfields, const uint64_t *old, const uint64_t *new, unsigned first,
		unsigned count, char *text, size_t size);

#endif
