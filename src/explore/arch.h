/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch.h - an architecture as the explorer knows it: how to build a small machine around one live entry. */
#ifndef EXPLORE_ARCH_H
#define EXPLORE_ARCH_H

#include "explore.h"

#include <hitless/iommu.h>

/* Where the entry is, and what else the recorder needs. */
struct xp_target {
	uint64_t table;		/* page of live entries */
	uint64_t offset;	/* of the entry in it */
	uint64_t parent;	/* page that holds the pointer to it */
	uint64_t slot;		/* ... where there */
	uint64_t pool;		/* first of the free pages for table swaps; the others follow */
	uint64_t status;	/* page of status words that waits write */
	uint64_t sibling_root;	/* page table of the other entry in the same page */
	unsigned pointer_shift;	/* how far right the pointer has the page's address */
	uint64_t pointer_bits;	/* what it has beside that; 0: what the format says */
	uint32_t before_tag, after_tag;	/* where the entries only point to what has their tags */
	uint32_t rid, pasid;
	unsigned words;
	bool ats_before;	/* does the old entry let the device have a TLB? */
	/* Entries that translate as the old one and the new one, by tables of their own. */
	bool has_standin[2];
	uint64_t standin[2][IOMMU_ENTRY_WORDS];
	size_t standin_bytes;
	/* ... or several, one after another. */
	uint64_t chain[IOMMU_MAX_STANDINS][IOMMU_ENTRY_WORDS];
	unsigned nchain;
};

/* What can be behind a PASID. */
#define XP_PASID_S1 0x1u
#define XP_PASID_S2 0x2u
#define XP_PASID_IDENTITY 0x4u

struct xp_format;	/* setup.h */

/* What of an architecture driver.c needs to run its driver on its model. */
struct xp_driver {
	uint64_t registers, register_bytes;
	int (*create)(const struct hitless_port *port, bool noncoherent, struct iommu_unit **unit);
	/* The model's capabilities; 0: its default. May be NULL. */
	void (*capabilities)(bool noncoherent, uint64_t *capabilities);
	/* The command queue, as the driver has set up the unit; `first` is left out. */
	void (*queue)(struct iommu_model *model, struct xp_queue *queue);
	/* Where the tail register is: a store there submits what is in the ring up to it. */
	uint64_t doorbell;
	unsigned quantum;		/* bytes of an entry that the hardware reads at once, at most; 0: 16 */
	bool first_stage;		/* its domains can have stage 1 */
	bool noncoherent;		/* there are units that don't snoop */
	unsigned pasid_kinds;		/* XP_PASID_ bits; 0: it has none */
	unsigned pasid_quantum;		/* ... if stores have so many bytes at least */
	/*
	 * Guests' first stages: the driver's X_enable_nesting(), the format of their tables, and the entry that a guest would have for its
	 * table at `root`, under its own tag, with what it takes beside in `page`; both addresses are the guest's. Returns the entry's
	 * bytes. NULL: there are none.
	 */
	int (*enable_nesting)(struct iommu_unit *unit);
	bool parents_tag;		/* nested domains have their parent's tags: else their own */
	const struct xp_format *guest_format;
	size_t (*guest_entry)(uint64_t *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry);
};

struct xp_arch {
	const char *name, *entry;	/* "vtd", "pasid" */
	const struct iommu_model_ops *model;
	const struct xp_driver *driver;		/* of requests without PASID; NULL: entry layer only */
	const struct entry_format *format;
	uint32_t temporary_tag;
	/* A case but for its steps. -EINVAL: not a cell of this architecture. */
	int (*build)(const struct hitless_cell *cell, struct xp_case *c, struct xp_target *target);
	/* The commands that end a round: `fence` only orders what follows; otherwise `value` is written to the word at `addr`. */
	void (*wait)(bool fence, uint64_t addr, uint32_t value, uint64_t *words);
	/* The field that holds a cache tag in a command. False: there is none. */
	bool (*tag)(const uint64_t *command, unsigned *lsb, unsigned *width);
	/* Is it about a device's own TLB? */
	bool (*is_device_tlb)(const uint64_t *command);
	/* "DID 4 -> 5": what of the entry changes in words [first, first + count). */
	void (*changes)(const uint64_t *old, const uint64_t *new, unsigned first, unsigned count, char *text, size_t size);
};

extern const struct xp_arch xp_arch_vtd, xp_arch_vtd_legacy, xp_arch_amdvi, xp_arch_smmuv3_ste, xp_arch_smmuv3_cd,
	xp_arch_riscv_dc, xp_arch_riscv_pc;
/* `entry` NULL: the architecture's first. NULL: there is none. */
const struct xp_arch *xp_arch_find(const char *name, const char *entry);
/* By the name of the entry's structure, as steps have it. */
const struct xp_arch *xp_arch_of_structure(const char *name, const char *structure);

/* record.c: plans the change and has the commit engine carry it out; the steps go to c->steps. */
int xp_record(const struct xp_arch *arch, const struct hitless_cell *cell, struct xp_case *c, const struct xp_target *target,
	      struct iommu_plan *plan);

/* mutate.c: damages the steps in the n-th way, n from 1. -ENOENT: there are not so many. */
int xp_mutate(const struct xp_arch *arch, struct xp_ops *steps, unsigned n, char *text, size_t size);
/* In how many ways? */
unsigned xp_count_mutants(const struct xp_arch *arch, struct xp_ops *steps);

#endif
