/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/check.h - libhitless-check: is a sequence of stores and commands safe against hardware that reads an entry in pieces,
 * caches pieces of it, and completes invalidations late?
 *
 * A cell is a change of one live entry, by Hitless's planner and commit engine, or by a sequence of somebody else's. It is explored
 * with the register-level model of the unit: every interleaving of the driver's steps with every fetch, fill, eviction,
 * prefetch and completion. See docs/explorer.md for what that proves and what it does not.
 */
#ifndef HITLESS_CHECK_H
#define HITLESS_CHECK_H

#include <hitless/iommu.h>
#include <hitless/plan.h>
#include <hitless/types.h>

HITLESS_BEGIN

enum hitless_verdict {
	HITLESS_PROVED,		/* all states were visited, nothing was violated */
	HITLESS_VIOLATED,	/* there is a concrete run that violates something */
	HITLESS_BOUNDED		/* a limit was hit, or a finding has no concrete run: nothing is claimed */
};

enum hitless_violation {
	HITLESS_NO_VIOLATION,
	HITLESS_BLOCKED,		/* a fault, though both sides allow the access */
	HITLESS_THIRD_ADDRESS,		/* neither the old nor the new address */
	HITLESS_WRONG_PERMISSION,	/* the old or new address with rights that belong to neither */
	HITLESS_STALE_AFTER_RETURN,	/* the old translation was used after the end */
	HITLESS_BYSTANDER_CORRUPTED,	/* another device saw anything but its own translation */
	HITLESS_FREED_PAGE_WALKED,	/* the hardware read a table page that had been freed */
	HITLESS_UNMAPPED_PAGE_REACHED,	/* a page was reached after its unmap had returned */
	HITLESS_ENTRY_NOT_RESTORED,	/* a replace that failed has left something behind */
	HITLESS_EARLY,			/* the new translation was used before the first step */
	HITLESS_STUCK,			/* the hardware stopped, or a wait could never end */
	HITLESS_VIOLATIONS
};

/* "proved", ...; "blocked", "third-address", ... */
HITLESS_API const char *hitless_verdict_name(enum hitless_verdict verdict);
HITLESS_API const char *hitless_violation_name(enum hitless_violation violation);

/* Can this entry of this architecture be explored? `entry` as in struct hitless_cell. */
HITLESS_API bool hitless_check_knows(const char *arch, const char *entry);

/* A change of a live entry of ours. */
struct hitless_cell {
	const char *arch;		/* "vtd", "vtd-legacy", "amdvi", "smmuv3", "riscv" */
	const char *entry;		/* "pasid", "context", "dte", "ste", "cd", "dc", "pc"; NULL: the architecture's first */
	uint64_t before[IOMMU_ENTRY_WORDS];
	uint64_t after[IOMMU_ENTRY_WORDS];
	unsigned quantum;		/* bytes: 8 or 16 */
	unsigned facts;			/* IOMMU_PLAN_* */
	unsigned strategies;		/* IOMMU_STRATEGY_ANY, or bits */
	unsigned freedoms;		/* IOMMU_FREE_BIT()s of hitless/model.h; ~0: all */
	unsigned mutant;		/* 0: the sequence as it is; else a damaged one, counted from 1 */
	bool explain;			/* of a mutant that survives: why it is harmless */
	bool thorough;			/* for tests of the explorer: leaves out no place, and steps every request once more, in vain */
};

/* A step of the sequence, or of the counterexample. */
struct hitless_report {
	enum hitless_verdict verdict;
	enum hitless_violation violation;
	const char *limit;		/* bounded: why */
	uint64_t states;		/* distinct request states and places */
	uint64_t places;
	unsigned mapper_lists;		/* domain layer: how many different things the mapper does, by when it has started */
	unsigned depth;			/* driver and queue steps of the longest path */
	unsigned unconfirmed;
	char detail[200];		/* what the DMA saw */
	char *replay;			/* violated: the interleaving as text; free with hitless_report_free() */
	/* What the planner said. */
	enum iommu_strategy strategy;
	bool hitless;
	const char *why;
	struct iommu_cost cost;
	char mutant[128];		/* what was damaged; "": there is no such mutant */
	const char *harmless;		/* `explain`: why nothing came of it; NULL: it was caught, or nobody knows */
	/* Domain layer: */
	const char *mapper;		/* violated or bounded: with which mapper; NULL: without one */
	unsigned failures;		/* allocations of the replace that were made to fail, one at a time */
};

/*
 * Explores a cell. -EINVAL: unknown architecture or quantum, reserved bits; -EOPNOTSUPP: no allowed strategy can do it; -ENOMEM;
 * -ENOENT: there is no such mutant.
 */
HITLESS_API int hitless_check_cell(const struct hitless_cell *cell, struct hitless_report *report);

/* ---- Domain layer: what the driver does between two domains ---- */

/* Who unmaps a page meanwhile, starting anew at every step at which its locks let it. */
enum hitless_mapper {
	HITLESS_MAPPER_NONE,
	HITLESS_MAPPER_OLD,		/* in the old domain; neighbours of the page stay mapped */
	HITLESS_MAPPER_OLD_TABLE,	/* ... the page is the last in its table, which is freed */
	HITLESS_MAPPER_NEW,
	HITLESS_MAPPER_NEW_TABLE,
	HITLESS_MAPPERS			/* each that has a meaning, one after the other, and none */
};

/* Something that is broken in the driver on purpose. */
struct hitless_fault {
	const char *name;
	/* Edits the steps of a replace as port.review may; NULL: it is about something else. */
	void (*edit)(const char *arch, struct iommu_plan *plan);
	unsigned bits;			/* HITLESS_UNMAP_, HITLESS_FAILURE_ */
};

#define HITLESS_UNMAP_NO_FLUSH 0x1u	/* nothing is invalidated */
#define HITLESS_UNMAP_NO_WAIT 0x2u	/* ... or not waited for */
#define HITLESS_UNMAP_OLD_TAGS 0x4u	/* tags that replace has published since it was called are left out */
#define HITLESS_UNMAP_EARLY_FREE 0x8u	/* table pages are freed before the invalidation */
#define HITLESS_FAILURE_KEEPS 0x10u	/* a replace that fails gives no memory back */

enum hitless_pasid {
	HITLESS_PASID_NONE,		/* requests without PASID; the devices have no PASIDs */
	HITLESS_PASID_REPLACED,		/* one PASID of the group: attach (from blocked), replace, or detach (to blocked) */
	HITLESS_PASID_BESIDE,		/* requests without PASID, while a PASID of the same devices stays where it is */
	HITLESS_PASIDS
};

struct hitless_domain_cell {
	const char *arch;		/* "vtd", "vtd-legacy" */
	/* IOMMU_DOMAIN_NESTED too: behind the second stage of guest number `levels`, 0 or 1. Where the other domain is a second stage, it is
	 * guest 0's. */
	struct iommu_domain_desc from, to;
	unsigned devices;		/* of the group: 1 or 2 */
	enum hitless_pasid pasid;
	bool noncoherent;		/* a unit that doesn't snoop CPU caches */
	bool no_ats;			/* the devices have no TLB of their own; else they use it wherever the driver lets them */
	bool private_tags;		/* nobody else is in either domain; else a device of another group is in each */
	unsigned quantum;		/* bytes: 8 or 16 */
	unsigned strategies;		/* IOMMU_STRATEGY_ANY, or bits */
	unsigned freedoms;		/* IOMMU_FREE_BIT()s of hitless/model.h; ~0: all */
	unsigned mapper;		/* enum hitless_mapper */
	const struct hitless_fault *fault; /* NULL: none */
	unsigned mutant;		/* as in struct hitless_cell; of the steps of replace */
	bool thorough;
};

/*
 * Explores a replace of a group's domain, recorded from the public API of libhitless with its driver, and a failure of every single
 * allocation in it. Errors as hitless_check_cell(); -EINVAL also: the architecture has no such domain.
 */
HITLESS_API int hitless_check_domain(const struct hitless_domain_cell *cell, struct hitless_report *report);
/* Can the domain layer of this architecture be explored with stores of `quantum` bytes, and does it have such domains? */
HITLESS_API bool hitless_check_knows_domain(const char *arch, const struct iommu_domain_desc *desc, enum hitless_pasid pasid,
					    unsigned quantum);
HITLESS_API const char *hitless_mapper_name(enum hitless_mapper mapper);
/* "none", "replaced", "beside" */
HITLESS_API const char *hitless_pasid_name(enum hitless_pasid pasid);

/*
 * Explores a sequence in the text format of docs/sequence.md. On -EINVAL `error` says what is wrong, with the line.
 */
HITLESS_API int hitless_check_sequence(const char *text, unsigned freedoms, struct hitless_report *report, char *error,
				       size_t error_size);

/*
 * Runs the interleaving of a report again, one event after the other: `line` is called with what the event was, then with what
 * memory and caches hold (indented). `event` counts from 1. `text`: the sequence, where the id is of one; else NULL.
 * Returns the violation, or a negative errno: -EINVAL: no such id.
 */
HITLESS_API int hitless_replay(const char *replay, const char *text, void (*line)(void *ctx, unsigned event, const char *line),
			       void *ctx, char *detail, size_t detail_size);
/* The same for an id of the domain layer that may be about a fault: `find` finds it by name. */
HITLESS_API int hitless_replay_domain(const char *replay, const struct hitless_fault *(*find)(const char *name),
				      void (*line)(void *ctx, unsigned event, const char *line), void *ctx, char *detail,
				      size_t detail_size);

/* How many mutants a cell has, or of a replace; `mutant` of the cell is ignored. Errors as hitless_check_cell(). */
HITLESS_API int hitless_mutants(const struct hitless_cell *cell);
HITLESS_API int hitless_domain_mutants(const struct hitless_domain_cell *cell);

/* The steps of a cell's or a sequence's driver, one text each, as they are explored. */
HITLESS_API int hitless_steps(const struct hitless_cell *cell, void (*line)(void *ctx, unsigned step, const char *line), void *ctx);
/* Those of a replace; and, where the cell has a mapper, of what it does when it starts first. */
HITLESS_API int hitless_domain_steps(const struct hitless_domain_cell *cell,
				     void (*line)(void *ctx, unsigned step, const char *line), void *ctx);

HITLESS_API void hitless_report_free(struct hitless_report *report);

HITLESS_END

#endif
