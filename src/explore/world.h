/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* world.h - RAM, unit and choices, as engine.c and confirm.c both drive them. */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include "explore.h"

#define XP_MAX_PENDING 8

/* What there is besides requests: it decides what may happen next. Copied as it is; `pages` and `state` belong to an arena. */
struct xp_world {
	uint64_t *pages[XP_MAX_PAGES];	/* shared with others until written to */
	uint64_t owned[XP_MAX_PAGES / 64];
	uint64_t freed[XP_MAX_PAGES / 64];
	uint64_t *state;		/* the model's */
	uint64_t ram_hash;
	unsigned op;			/* driver steps done */
	unsigned slot;			/* commands submitted */
	unsigned list, map_op;		/* the mapper: which of its lists, from 1 (0: not started), and how many of its steps are done */
	uint64_t locks[2];		/* held by the driver, by the mapper */
	unsigned submitted[2];		/* slots up to what each has submitted last */
	uint64_t ats;			/* bits by actor */
	bool quiet;
	/* Stores that memory doesn't have yet: a CPU cache that the unit doesn't snoop. */
	unsigned npending;
	struct {
		uint64_t addr;
		uint64_t words[2];
		uint32_t width;
	} pending[XP_MAX_PENDING];
};

/* Blocks that are freed together. */
struct xp_arena {
	struct xp_block *blocks;
};

void *xp_arena_alloc(struct xp_arena *arena, size_t bytes);
void xp_arena_free(struct xp_arena *arena);

struct xp_machine {
	struct xp_case *c;
	struct xp_arena arena;
	struct xp_world *world;		/* whose turn it is */
	struct iommu_model model;
	struct iommu_model_port port;
	size_t state_bytes, prefix_bytes;	/* the caches come after the prefix */
	/* Choices. */
	uint8_t script[XP_MAX_CHOICES], counts[XP_MAX_CHOICES];
	unsigned fixed, asked;
	bool too_many;
	/* What the last step did. */
	uint64_t read_addr;		/* 0: it read no memory */
	unsigned read_bytes;
	bool read_freed, wrote;
	bool fetched;			/* the last xp_tick(): a command, and nothing was written to memory */
	bool stepping;			/* a request takes a step */
	bool failed;			/* no memory */
};

/* Of a model with one lane: how much of its state comes before the caches. All zero, those are empty. */
size_t xp_prefix_bytes(const struct iommu_model_ops *ops, const struct iommu_model_config *config);

int xp_machine_open(struct xp_machine *m, struct xp_case *c);
void xp_machine_close(struct xp_machine *m);
void xp_enter(struct xp_machine *m, struct xp_world *world);

/* The first script of choices, and the next; false: there is none. */
static inline void xp_first(struct xp_machine *m)
{
	m->fixed = m->asked = 0;
}
bool xp_next(struct xp_machine *m);

bool xp_store64(void *machine, uint64_t addr, uint64_t value);
uint64_t xp_load64(const struct xp_machine *m, uint64_t addr);

/* The next step of the driver: can it be done now? Do it. XP_NOTEs are skipped by xp_skip(). */
bool xp_op_ready(const struct xp_machine *m);
void xp_op_do(struct xp_machine *m);
void xp_skip(struct xp_machine *m);
/* Has replace returned? */
static inline bool xp_is_over(const struct xp_case *c, const struct xp_world *world)
{
	return world->op >= (c->returned ? c->returned : c->steps.n);
}

/* The same for the mapper; its first step chooses its list. NULL: none is left, or it can't start here. */
const struct xp_op *xp_map_op(const struct xp_case *c, const struct xp_world *world);
bool xp_map_ready(const struct xp_machine *m);
void xp_map_do(struct xp_machine *m);
static inline bool xp_map_is_over(const struct xp_case *c, const struct xp_world *world)
{
	return world->list && world->map_op >= c->mapper.lists[world->list - 1].n;
}
/* A bit of the unit's own work; false: there is none. */
bool xp_tick(struct xp_machine *m);
/* A pending store reaches memory. */
void xp_flush(struct xp_machine *m, unsigned i);

/* A request of an actor, as it begins; and one micro-step of it. False: it has come to nothing (its TLB has no line). */
void xp_begin(struct xp_machine *m, unsigned actor, struct xp_micro *micro);
bool xp_step(struct xp_machine *m, struct xp_micro *micro);

/* What a request that is over has seen: is it all right at this place? */
enum hitless_violation xp_judge(const struct xp_machine *m, const struct xp_micro *micro, char *detail, size_t size);

uint64_t xp_hash(const void *bytes, size_t n, uint64_t seed);

#endif
