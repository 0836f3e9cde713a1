/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * explore.h - every interleaving of a driver's steps with a model of the hardware.
 *
 * A case is RAM as it stands before the first step, a unit that has been started, a list of steps, and actors: the requests
 * that may be issued at any time, each with what it has to see before and after. engine.c explores it, confirm.c makes a
 * concrete run of what it finds. Nothing here knows an architecture; arch_X.c builds cases of the entry layer, domain.c of the
 * domain layer. There may be a second thread of the driver, the *mapper*, that starts once, at any step where its locks let it.
 *
 * The abstract state of a *place* is RAM, the model's flat state with may-sets as caches, and a set of requests in flight, each of
 * which stands for any number. Between two steps of driver or queue both sets only grow, so a place is closed by trying every
 * choice of every micro-step of every request until nothing new appears. Steps of the driver and of the command queue lead
 * from place to place, breadth first.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <hitless/check.h>
#include <hitless/model.h>

#define XP_PAGE 4096ull
#define XP_PAGE_WORDS 512u
#define XP_MAX_PAGES 256u
#define XP_MAX_ACTORS 32u
#define XP_MAX_MAPPERS 16u
#define XP_MAX_CHOICES 10u
#define XP_NONE UINT32_MAX

/* ---- Steps ---- */

enum xp_op_kind {
	XP_STORE,	/* words[0 .. width / 8 - 1] to addr, at once */
	XP_BULK,	/* plain stores to memory that the hardware can't reach yet */
	XP_SUBMIT,	/* a command to the queue; or several at once, in bulk[] */
	XP_WAIT,	/* until the word at addr is words[0]; or, see by_head */
	XP_FREE,	/* the page at addr */
	XP_ATS,		/* words[0]: on or off, in the device whose requester id is `addr` (XP_NONE: all that are replaced) */
	XP_QUIET,	/* words[0]: the device issues nothing, and has nothing in flight; or it does again */
	XP_WRITEBACK,	/* [addr, addr + width) has reached memory when it is over */
	XP_BARRIER,	/* all stores have */
	XP_REGISTER,	/* words[0] to the register at offset `addr`, `width` bytes */
	XP_LOCK,	/* lock number `addr`; words[0]: and lets go of it at once; words[1]: and, not before all are free, those of this mask */
	XP_UNLOCK,
	XP_RETURN,	/* replace has returned */
	XP_NOTE		/* nothing that hardware could see */
};

struct xp_op {
	enum xp_op_kind kind;
	uint32_t width;		/* bytes */
	uint64_t addr;
	uint64_t words[4];
	bool orders;		/* SUBMIT: a wait or a fence, that invalidates nothing */
	bool by_head;		/* WAIT: not for a word, but until the unit has consumed all that its thread has submitted */
	uint32_t nbulk;
	uint64_t (*bulk)[2];	/* BULK: address, value; SUBMIT: commands */
	char text[168];
};

struct xp_ops {
	struct xp_op *v;
	unsigned n, capacity;
};

/* ---- Requests ---- */

enum xp_role {
	XP_DEVICE,	/* whose entry is replaced */
	XP_OLD,		/* another device, attached to what the device leaves */
	XP_NEW,		/* another device, attached to what the device comes to */
	XP_SIBLING,	/* another entry in the same page */
	XP_NEXT		/* blocked, until it is attached after the end: it may get a tag that the device had */
};

struct xp_actor {
	enum xp_role role;
	uint32_t rid, pasid;
	uint64_t iova;
	uint8_t access, kind;
};

/* What a request may see. */
struct xp_view {
	bool fault;
	uint64_t phys;
	uint32_t rights;
};

/* A request in flight. */
struct xp_micro {
	struct iommu_request request;
	uint32_t actor;
	uint16_t begun;		/* TRANSLATED: 0 until the device's own TLB has been looked up */
	uint8_t late;		/* issued after the end */
	uint8_t prefetch;	/* nobody asked for it: its result is thrown away */
};

/* ---- A case ---- */

/* The ring of commands, as the driver has set it up. */
struct xp_queue {
	uint64_t ring;
	unsigned bytes;			/* of a command */
	unsigned count;			/* slots */
	unsigned turn;			/* how many values head and tail have: twice as many, where they have a wrap bit */
	unsigned first;			/* the next that is free, as the tail register counts */
	uint64_t head;			/* offset of the head register, of as many bytes as the tail */
	uint64_t doorbell;		/* offset of the tail register */
	unsigned doorbell_bytes;
	unsigned shift;			/* what is written there is the slot, shifted */
};

/* An unmap that may start at any step: see domain.c. */
struct xp_mapper {
	struct xp_ops lists[XP_MAX_MAPPERS];	/* what it does: that depends on when it starts */
	unsigned nlists;
	uint8_t *at;			/* by number of the driver's next step: which list, from 1; 0: it can't start there */
	uint64_t iova, phys;		/* the page that goes */
	unsigned roles;			/* bits by xp_role: who can't reach it any more, then */
};

struct xp_case {
	const struct iommu_model_ops *ops;
	struct iommu_model_config config;
	uint64_t *ram;			/* pages * 4096 bytes: what is there before the first step */
	unsigned pages;
	/* Some pages lie elsewhere: page `page` of physical memory is page `index` of the RAM. 0: unused. */
	struct {
		uint64_t page, index;
	} alias[4];
	/* Brings the unit up: registers. Or, if there is one: the state of a unit that is up. */
	void (*start)(struct iommu_model *model);
	void *state;
	/* A command goes into the ring at `slot`, which counts up from 0; then the doorbell. NULL: into `queue`. */
	void (*submit)(void *ctx, bool (*store)(void *, uint64_t, uint64_t), struct iommu_model *model, unsigned slot,
		       const uint64_t *words);
	struct xp_queue queue;
	struct xp_ops steps;
	unsigned returned;		/* after how many of them replace has returned (XP_RETURN is the last of those); 0: all */
	struct xp_mapper mapper;
	/* RAM in the end, as far as translations depend on it: all of it, or what is stored over the RAM of the beginning. */
	uint64_t *ram_after;
	uint64_t after_addr;
	uint64_t after[8];
	unsigned nafter;
	struct xp_actor actors[XP_MAX_ACTORS];
	unsigned nactors;
	struct xp_view views[XP_MAX_ACTORS][2];	/* before and after: filled by xp_views() */
	/* The addresses where data lies: the tables of `before` and `after` lead there and nowhere else. */
	bool disruptive;		/* the device may be blocked meanwhile */
	bool from_blocked;		/* the old domain blocks: who has met it may learn that late, and has left nothing behind */
	bool ats;			/* the devices' ATS is on at first */
	bool weak;			/* ... or, plain stores of a weakly ordered CPU, up to the next barrier, in any order */
	bool noncoherent;		/* stores reach memory any time up to their write-back */
	bool thorough;			/* look at every place, also where another does all that it does; step every request once more, in vain */
	bool any_run;			/* of a violation any run will do: it need not be the shortest */
	bool has_quiet;			/* there are XP_QUIET steps: then prefetch is told apart from what devices ask for */
	unsigned max_places;		/* 0: a default */
	bool situations;		/* note them in the result */
};

void xp_op_add(struct xp_ops *ops, const struct xp_op *op);
void xp_ops_free(struct xp_ops *ops);

/* ---- Exploring ---- */

/* One event of a concrete run. */
struct xp_event {
	char kind;			/* 'D' driver step, 'M' step of the mapper, 'T' queue, 'B' begin, 'P' prefetch begins, 'S' step of
					 * a request, 'E' end of one, 'F' store reaches memory */
	unsigned which;			/* B: actor; S: request, in the order of their beginnings */
	unsigned nchoices;
	uint8_t choices[XP_MAX_CHOICES];
};

struct xp_run {
	struct xp_event *v;
	unsigned n, capacity;
};

struct xp_result {
	enum hitless_verdict verdict;
	enum hitless_violation violation;
	unsigned actor;			/* whose request shows it */
	bool confirmed;			/* there is a concrete run, in `run` */
	struct xp_run run;
	unsigned unconfirmed;		/* findings without a concrete run */
	const char *limit;		/* bounded: which limit */
	uint64_t places, states, requests;
	unsigned depth;
	uint32_t started;		/* bits: which of the mapper's lists has been begun somewhere */
	/* What was in the caches and in flight at some place, hashed, once each, in ascending order. Free with free(). */
	uint64_t *situations;
	uint32_t nsituations;
	char detail[200];
};

void xp_views(struct xp_case *c);
/* 0, or -ENOMEM. `stop`: may be NULL; set by another thread to end early (then bounded). */
int xp_explore(struct xp_case *c, struct xp_result *result);
void xp_run_free(struct xp_run *run);

/* Runs `run` again. Calls show() for each event; text is what it was. Returns the violation that it ends in, or NONE. */
struct xp_replay;
enum hitless_violation xp_replay(struct xp_case *c, const struct xp_run *run,
				 void (*show)(void *ctx, unsigned number, const struct xp_event *event, const char *text,
					      const struct iommu_model *model),
				 void *ctx, char *detail, size_t detail_size);

#endif
