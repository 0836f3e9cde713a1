/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/plan.h - how a live table entry gets from one value to another.
 *
 * A plan is a list of steps: stores, cache invalidations, waits. It is made by a pure function from the entry's old
 * and new words and a few facts; the commit engine of libhitless carries out exactly this list and nothing else, the
 * `hitless plan` command prints it, and the explorer proves it.
 */
#ifndef HITLESS_PLAN_H
#define HITLESS_PLAN_H

#ifdef HITLESS_ROOM_MODEL
#error "a model never sees the driver's side (DESIGN.md, rooms)"
#endif

#include <hitless/types.h>

HITLESS_BEGIN

/* The largest entry of any architecture, in 64-bit words (VT-d PASID entry, SMMUv3 STE and CD). */
#define IOMMU_ENTRY_WORDS 8

/* The most stand-ins that a change goes through, one after another. */
#define IOMMU_MAX_STANDINS 3

/* An entry format: a structure of one architecture as the planner sees it. Each driver's header names its own. */
struct entry_format;

/* A page of live entries, owned by a driver. */
struct entry_table;

/* DESIGN.md, "plan, prepare, commit". In the order in which they are preferred where all costs are equal. */
enum iommu_strategy {
	IOMMU_STRATEGY_NONE,		/* nothing to do */
	IOMMU_STRATEGY_ONE_STORE,
	IOMMU_STRATEGY_PRELOAD,		/* preload, flip, clean */
	IOMMU_STRATEGY_SAME_TAG,	/* the pointer changes under one private tag */
	IOMMU_STRATEGY_TABLE_SWAP,
	IOMMU_STRATEGY_TAG_HOP,
	IOMMU_STRATEGY_TEMPORARY_TAG,
	IOMMU_STRATEGY_STANDIN,		/* through other entries that each translate exactly as the old one or the new one */
	IOMMU_STRATEGY_BREAK,		/* through the blocking entry: disruptive */
	IOMMU_STRATEGY_COUNT
};

#define IOMMU_STRATEGY_BIT(strategy) (1u << (strategy))
#define IOMMU_STRATEGY_ANY ((1u << IOMMU_STRATEGY_COUNT) - 1u)

/* "one store", "table swap", ...; NULL for a number that is none. */
HITLESS_API const char *iommu_strategy_name(enum iommu_strategy strategy);

enum iommu_step_op {
	IOMMU_STEP_ALLOC,	/* a page for a table swap; done in prepare */
	IOMMU_STEP_LOCK,	/* the lock that owns `table`'s page */
	IOMMU_STEP_COPY,	/* `table`'s page into the new page, with `entry` in its place */
	IOMMU_STEP_STORE,	/* `words` into quantum `quantum` of the structure */
	IOMMU_STEP_WRITEBACK,	/* of the structure just stored or copied, for a walker that is not coherent */
	IOMMU_STEP_BARRIER,
	IOMMU_STEP_INVALIDATE,	/* the command in `words` */
	IOMMU_STEP_WAIT,	/* a round ends: later commands do not start before earlier ones have finished;
				 * with `poll` the CPU waits for that too */
	IOMMU_STEP_UNLOCK,
	IOMMU_STEP_FREE,	/* the page that a table swap has replaced */
	IOMMU_STEP_PCI,		/* config-space write: words[0] offset, words[1] value */
	IOMMU_STEP_OPS
};

enum iommu_cache {
	IOMMU_CACHE_ENTRY,	/* device context: context entry, STE, DTE, DC */
	IOMMU_CACHE_PASID,
	IOMMU_CACHE_CD,
	IOMMU_CACHE_PDT,
	IOMMU_CACHE_IOTLB,
	IOMMU_CACHE_DEVTLB,
	IOMMU_CACHE_ALL,
	IOMMU_CACHES
};

/* "store", "wait", ... and "entry", "iotlb", ...: the words of CLI.md. */
HITLESS_API const char *iommu_step_op_name(enum iommu_step_op op);
HITLESS_API const char *iommu_cache_name(enum iommu_cache cache);

/* What a STORE, COPY or WRITEBACK is about. */
enum iommu_place {
	IOMMU_PLACE_ENTRY,	/* the live entry itself */
	IOMMU_PLACE_PARENT,	/* the pointer to the page that holds it */
	IOMMU_PLACE_PAGE	/* the new page of a table swap, not live yet */
};

struct iommu_step {
	enum iommu_step_op op;
	enum iommu_place place;		/* STORE, COPY, WRITEBACK */
	enum iommu_cache cache;		/* INVALIDATE */
	unsigned device;		/* which requester of the change, counted from 0 */
	uint32_t rid;			/* its requester id */
	unsigned quantum;		/* STORE: which quantum of the structure */
	unsigned nwords;		/* STORE: words stored; INVALIDATE: words of the command */
	bool poll;			/* WAIT */
	const char *structure;		/* STORE, WRITEBACK, INVALIDATE: the specification's name, as `hitless decode` takes it */
	const char *scope;		/* INVALIDATE: the specification's name of the granularity */
	uint64_t words[4];		/* STORE, INVALIDATE, PCI */
	/* Where, for the commit engine; NULL and 0 in a plan that was only asked for. */
	struct entry_table *table;
	size_t offset;			/* of the entry in the table's page, bytes */
	void *page;			/* ALLOC..FREE of a table swap: the page that is not live */
	const char *entry_structure;	/* COPY, and the STORE of a table swap: what the new page holds */
	unsigned nentry;		/* ... and how many words the changed entry has that stands there; other steps: 0 */
	uint64_t entry[IOMMU_ENTRY_WORDS];
};

/* What a plan costs. A round is a point where later commands may not start before earlier ones have finished; a poll is
 * one wait by the CPU. */
struct iommu_cost {
	unsigned stores;
	unsigned commands;		/* invalidations; waits are counted as rounds */
	unsigned rounds;
	unsigned polls;
	unsigned foreign;		/* 0: nobody else's cached entries are flushed; 1: some are; 2: the unit's all are */
	size_t copied;			/* bytes */
	unsigned tags;			/* temporary tags */
};

/* Facts about the unit that a plan depends on. */
#define IOMMU_PLAN_NONCOHERENT 0x01u	/* walks do not snoop CPU caches: write back every store */
#define IOMMU_PLAN_CACHES_ABSENT 0x02u	/* entries that are not valid may be cached (VT-d CM, AMD NpCache) */
#define IOMMU_PLAN_WRITE_BUFFER 0x04u	/* VT-d RWBF: a write-buffer flush where no invalidation is sent */
#define IOMMU_PLAN_NO_PARENT 0x08u	/* the page that holds the entry can't be swapped */
#define IOMMU_PLAN_ATS 0x10u		/* the device's device TLB is in use before or after */
#define IOMMU_PLAN_UNREACHABLE 0x20u	/* the hardware can't find the entry now, and has forgotten it: plain stores do */
#define IOMMU_PLAN_GUEST_PASIDS 0x40u	/* the device may send PASIDs; where a guest's table has them, all may be cached (AMD-Vi, SMMUv3) */
#define IOMMU_PLAN_BEHIND 0x80u		/* what only requests with PASID, or prefetches, find behind both entries counts too (SMMUv3) */
/* Facts about the tags. */
#define IOMMU_PLAN_OLD_PRIVATE 0x100u	/* nobody else uses the old entry's tag */
#define IOMMU_PLAN_NEW_PRIVATE 0x200u	/* nobody else uses the new entry's tag */
/* What is mapped is the same: the new entry's tables map all that the old one's do, through the same tables below the roots. */
#define IOMMU_PLAN_SUPERSET 0x400u
/* A pointer that both entries have leads to the same memory: the second stage that only one of them has maps it one to one. */
#define IOMMU_PLAN_ONE_TO_ONE 0x800u
/* Assumptions that the specification does not back; off unless the caller says so. */
#define IOMMU_PLAN_ASSUME_OLD_OR_NEW 0x1000u /* two tables under one tag give old or new, nothing else */

struct iommu_plan_request {
	const struct entry_format *format;
	const uint64_t *before;		/* as many words as the format has */
	const uint64_t *after;
	unsigned quantum;		/* bytes: 8 or 16; the widest store that the hardware's fetch can't tear */
	unsigned facts;			/* IOMMU_PLAN_* */
	unsigned strategies;		/* which are allowed: IOMMU_STRATEGY_ANY, or bits */
	uint32_t rid;
	uint32_t pasid;			/* the table index of the entry, where it has one */
	uint32_t temporary_tag;		/* for IOMMU_STRATEGY_TEMPORARY_TAG; 0: none to be had */
	/*
	 * For IOMMU_STRATEGY_STANDIN: an entry that translates exactly as `before` ([0]) or `after` ([1]), by tables of its own in another
	 * format and under a tag that nobody else uses; NULL: there is none. The caller builds those tables before the change
	 * and keeps them in step with map and unmap until it is over.
	 */
	const uint64_t *standin[2];
	size_t standin_bytes;		/* what those tables take */
	/*
	 * Where no single one leads there: several, one after another. Each translates exactly as `before` or as `after`, and its tag is one
	 * of theirs, `temporary_tag`, or nobody else's. All that stands behind them is there before the change, and is kept in step with map
	 * and unmap until it is over.
	 */
	const uint64_t *chain[IOMMU_MAX_STANDINS];
	unsigned nchain;		/* 0: there is none */
	/* The cache tags, where the entry itself doesn't hold its tag but only points to what does; else ignored. */
	uint32_t before_tag, after_tag;
};

struct iommu_plan {
	enum iommu_strategy strategy;
	bool hitless;
	const char *why;		/* not hitless: the rule that forbids it; NULL otherwise */
	struct iommu_cost cost;
	struct iommu_step *steps;	/* the caller's array; may be NULL, then steps are only counted */
	unsigned nsteps;		/* steps needed */
	unsigned capacity;		/* of the array */
};

/*
 * iommu_plan - what replacing an entry would do.
 * Chooses the cheapest allowed hitless strategy, by (rounds, foreign, copied, tags), or IOMMU_STRATEGY_BREAK where there is
 * none. Pure: no state, no lock, no allocation. `plan->steps` and `plan->capacity` are the caller's; everything else is set.
 * -EINVAL: a request that makes no sense (unknown quantum, bits set that the format reserves).
 * -EOPNOTSUPP: no allowed strategy can do it. -E2BIG: the array is too small; plan->nsteps says what is needed.
 */
HITLESS_API int iommu_plan(const struct iommu_plan_request *request, struct iommu_plan *plan);

/* The format's name, number of 64-bit words, and which bits the hardware may look at in `entry` (written to `used`). */
HITLESS_API const char *iommu_entry_name(const struct entry_format *format);
HITLESS_API unsigned iommu_entry_words(const struct entry_format *format);
HITLESS_API void iommu_entry_used(const struct entry_format *format, const uint64_t *entry, uint64_t *used);

HITLESS_END

#endif
