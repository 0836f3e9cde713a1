/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * entry.h - changing a live table entry: formats, plans, the commit engine. Knows no architecture.
 *
 * A driver describes each of its live entries by a struct entry_format. The planner (plan.c) turns a change of such an entry
 * into steps, with the format's help for the commands. The commit engine (commit.c) carries the steps out.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <hitless/plan.h>
#include <hitless/port.h>

/* A function that is called once in a while, when nobody waits for it: the compiler makes it small rather than fast. */
#define RARE __attribute__((cold))

struct entry_change;
struct entry_steps;

/* A page of live entries. `page` changes by a table swap, under `lock`; everyone else who stores into it holds `lock` while
 * he finds the address and stores. Lock order: a table before its parent. */
struct entry_table {
	struct hitless_lock lock;
	void *page;
	size_t bytes;
	struct entry_table *parent;	/* whose page holds the pointer to this one; NULL: a register does */
	size_t slot;			/* where there, bytes */
	unsigned pointer_shift;		/* how far right that pointer has the page's address shifted; mostly 0 */
	uint64_t pointer_bits;		/* what that pointer has beside the address; 0: what the format says */
};

/* The tag of an entry that translates nothing (it is not valid, blocks, or passes everything untagged), and of one whose
 * tag is not in it but behind a pointer of its: that is in the request. */
#define ENTRY_NO_TAG UINT32_MAX
#define ENTRY_TAG_ELSEWHERE (UINT32_MAX - 1)

struct entry_format {
	const char *name;		/* as `hitless decode` takes it */
	const char *parent;		/* the structure that points to the page of entries; NULL: there is none */
	unsigned words;

	/* Bits that the hardware may look at in `entry`. */
	void (*used)(const uint64_t *entry, uint64_t *used);
	/* Bits that are not reserved. */
	void (*named)(uint64_t *named);
	/* Bits that say which tables a translation goes through (pointers, levels, kind). */
	void (*tables)(const uint64_t *entry, uint64_t *tables);
	/* The cache tag in `entry`, ENTRY_NO_TAG or ENTRY_TAG_ELSEWHERE; and how to set another one. */
	uint32_t (*tag)(const uint64_t *entry);
	void (*set_tag)(uint64_t *entry, uint32_t tag);
	/* Is the device TLB allowed by `entry`? */
	bool (*ats)(const uint64_t *entry);
	/* The device TLB must be off and empty before the entry forbids it; else it is switched off afterwards. */
	bool ats_off_first;
	/* Bits that both sides look at, and that may take either side's value at any time between the two. NULL: there are none. */
	void (*safe)(const uint64_t *before, const uint64_t *after, uint64_t *safe);
	/* The blocking entry; what `entry` says outside the hardware's view may be kept. */
	void (*block)(const uint64_t *entry, uint64_t *blocked);
	/* The specification itself says that two tables under one tag give old or new: IOMMU_PLAN_ASSUME_OLD_OR_NEW always holds. */
	bool old_or_new;
	/* May a table pointer change under a live tag at all, if that holds? */
	bool (*tables_may_mix)(const uint64_t *before, const uint64_t *after);
	/* May both be in use at once under one tag? For a chain of stand-ins: all that can be cached of either by that tag goes through
	 * the same tables, or is told apart. NULL: no. */
	bool (*share_tag)(const uint64_t *a, const uint64_t *b);
	/* Does the hardware cache something behind `before`, by the requester alone, that would mean something else behind `after`? Then
	 * no direct way is hitless. `facts` as in a plan's request. NULL: it doesn't. */
	bool (*behind_mixes)(unsigned facts, const uint64_t *before, const uint64_t *after);
	/* The rule that keeps out every hitless way, where the format knows better than the planner; NULL: it doesn't. */
	const char *(*why)(unsigned facts, const uint64_t *before, const uint64_t *after);
	/* The parent's pointer to `page`, one quantum: its words; returns how many. */
	unsigned (*pointer)(uint64_t page, uint64_t *words);

	/*
	 * The commands. Each emits with emit_invalidate(), and emits nothing if nothing can be cached.
	 * forget_entry: the cached copies of `stale`, and fetches that are under way (`fetches`: those alone matter).
	 * forget_table: everything cached through the page that was swapped out.
	 * forget_translations: what was cached for this requester while the entry was `stale`, under `tag`; it ends with all
	 * requests that used it done.
	 * forget_devtlb: the device's own TLB.
	 */
	void (*forget_entry)(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches);
	void (*forget_table)(struct entry_steps *steps, const struct entry_change *change);
	void (*forget_translations)(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				    uint32_t tag);
	void (*forget_devtlb)(struct entry_steps *steps, const struct entry_change *change);
};

/* What becomes of the enable bit of the device's own TLB. */
enum entry_ats {
	ENTRY_ATS_BY_ENTRY,		/* it goes and comes with the entry's permission to use it */
	ENTRY_ATS_STAYS,		/* other entries of the device need it, or nothing changes for it */
	ENTRY_ATS_ON,			/* this is the first entry of the device that lets something through */
	ENTRY_ATS_OFF			/* ... or was the last */
};

/* One requester's entry from `before` to `after`. */
struct entry_change {
	struct iommu_plan_request request;	/* its words point to the arrays below */
	uint64_t before[IOMMU_ENTRY_WORDS];
	uint64_t after[IOMMU_ENTRY_WORDS];
	uint64_t standins[IOMMU_MAX_STANDINS][IOMMU_ENTRY_WORDS];	/* where the request has some */
	unsigned device;
	enum entry_ats ats;
	/* The device's ATS control register: its place in config space and its value on and off. */
	uint16_t ats_control, ats_on, ats_off;
	struct entry_table *table;		/* NULL: a plan that is only asked for */
	size_t offset;
	/* Decided by entry_choose(): */
	enum iommu_strategy strategy;
	unsigned quantum;			/* "one store": which */
	bool hitless;
	const char *why;
	/* Entries whose translations must be forgotten before the change is over. Filled by entry_emit(). */
	const uint64_t *stale[1 + IOMMU_MAX_STANDINS];
	uint32_t stale_tag[1 + IOMMU_MAX_STANDINS];
	unsigned nstale;
	uint64_t hops[2][IOMMU_ENTRY_WORDS];	/* the entry on its way, with another tag */
};

#define ENTRY_PENDING 1u	/* there are commands that the CPU has not waited for */
#define ENTRY_LOOSE   2u	/* there are some that it must wait for, but later ones need not */
#define ENTRY_FENCE   4u	/* the next command must not start before the earlier ones have finished */

/* A list of steps being made. Without an array it only counts. */
struct entry_steps {
	struct iommu_step *v;
	unsigned n, capacity;
	struct iommu_cost cost;
	const struct entry_change *change;	/* whose steps are emitted now */
	unsigned recent;			/* commands since the last wait */
	unsigned out;				/* ENTRY_PENDING ... ENTRY_FENCE */
	const struct entry_change *held;	/* whose table swap holds its lock until the next poll */
};

/* ---- Planner (plan.c) ---- */

/* Fills change->strategy, quantum, hitless, why; both entries have no reserved bits. Errors as iommu_plan(). */
int entry_choose(struct entry_change *change);
/* Does one store do, without anything else to the device TLB than to be flushed? Then it is chosen: nothing is cheaper. */
bool entry_choose_one_store(struct entry_change *change);
/* The steps up to and including the invalidation of the entry's cached copies. */
void entry_emit(struct entry_steps *steps, struct entry_change *change);
/* The steps that end a list of changes on one unit: translations, device TLBs, the last wait. */
void entry_finish(struct entry_steps *steps, struct entry_change *changes, unsigned count);

/* For formats and drivers: a command of two words or more (`nwords` 0: none, but a register's), `foreign` as in struct iommu_cost. One that was emitted since the last wait is not
 * emitted twice. */
void emit_invalidate(struct entry_steps *steps, enum iommu_cache cache, const char *structure, const char *scope,
		     unsigned foreign, const uint64_t *command, unsigned nwords);
/* The end of a round, if commands are out. With `poll` the CPU waits, and a table swap's lock and old page are let go;
 * without, the queue orders what follows. */
void emit_wait(struct entry_steps *steps, bool poll);

/* ---- Commit engine (commit.c) ---- */

/* How the engine reaches a unit's queue: carries out INVALIDATE and WAIT steps, in order; a WAIT with poll returns when all before
 * it has completed. 0, or -EIO: the hardware does not answer. */
struct entry_unit {
	const struct hitless_port *port;
	void *unit;
	int (*commands)(void *unit, const struct iommu_step *steps, unsigned count);
};

/* Does the ALLOC steps. -ENOMEM: nothing is left allocated. */
int entry_prepare(const struct hitless_port *port, struct iommu_plan *plan);
/* Undoes entry_prepare(). */
void entry_unprepare(const struct hitless_port *port, struct iommu_plan *plan);
/* Carries out all other steps. `held`: a table whose lock the caller has taken; it is let go once an entry is stored, or in the end. NULL: none.
 * 0, or -EIO: stopped where the hardware stopped; locks are released, nothing is freed. */
int entry_commit(const struct entry_unit *unit, struct iommu_plan *plan, struct entry_table *held);

/* Reads an entry, under the table's lock. */
static inline void entry_read_locked(const struct entry_table *table, size_t offset, uint64_t *words, unsigned nwords)
{
	const uint64_t *live = (const uint64_t *)((const char *)table->page + offset);

	for (unsigned i = 0; i < nwords; i++)
		words[i] = __atomic_load_n(&live[i], __ATOMIC_RELAXED);
}

/* The same, and takes the lock. */
void entry_read(const struct hitless_port *port, struct entry_table *table, size_t offset, uint64_t *words, unsigned nwords);

#endif
