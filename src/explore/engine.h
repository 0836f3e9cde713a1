/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* engine.h - what engine.c has found and how, for confirm.c. */
#ifndef EXPLORE_ENGINE_H
#define EXPLORE_ENGINE_H

#include "world.h"

/* A request in flight at a place. */
struct xp_live {
	uint32_t id;		/* of its state, see engine->micros */
	uint32_t origin;	/* engine->origins: how it came there */
	uint32_t version;	/* of the caches, when it was stepped last */
	uint32_t read_bytes;	/* its next step reads [read_addr, ...) of memory; 0: it looks into caches */
	uint64_t read_addr;
	bool over;
};

/* One micro-step that was taken, or (parent XP_NONE) a beginning. */
struct xp_origin {
	uint32_t id, parent;
	uint32_t place;
	uint32_t time;
};

/* A step that filled a cache. */
struct xp_fill {
	uint32_t from;		/* origin of the request that took it */
	uint32_t to;		/* id of what it became */
	uint32_t place;
	uint32_t time;
	uint8_t nchoices, choices[XP_MAX_CHOICES];
};

struct xp_place {
	struct xp_world world;
	uint32_t parent;
	uint32_t time;		/* when it came to be */
	uint32_t depth;
	struct xp_event edge;	/* D, T or F; F: `which` pending store */
	struct xp_live *live;
	uint32_t nlive, capacity;
	uint32_t *ids;		/* once it is closed: those of its requests, in ascending order */
	uint32_t nids;
	uint32_t alike;		/* the next place that differs in caches and requests only; or XP_NONE */
	bool covered;		/* by a later one, before its turn came */
};

/* Places with the same memory, unit and threads. */
struct xp_seen {
	uint64_t key[2];	/* 0, 0: free */
	uint32_t newest;	/* of their list */
};

struct xp_engine {
	struct xp_machine m;
	struct xp_case *c;
	/* All request states that were ever seen, once each. */
	struct xp_micro *micros;
	uint32_t *stamp;	/* by id: the place that has it */
	uint32_t nmicros, cmicros;
	uint32_t *table;
	uint32_t table_size;
	struct xp_origin *origins;
	uint32_t norigins, corigins;
	struct xp_fill *fills;
	uint32_t nfills, cfills;
	struct xp_place **places;
	uint32_t nplaces, cplaces;
	struct xp_seen *seen;	/* by what places have in common */
	uint32_t nseen, seen_size;
	bool covering;		/* a place that has less in caches and in flight than another does nothing that the other doesn't */
	uint64_t *situations;
	uint32_t nsituations, csituations;
	uint32_t turn;		/* the place that is being expanded */
	uint32_t came_to;	/* what settle() has come to: a place, old or new */
	bool lost;		/* ... and whether the event before has taken away lines, or requests */
	uint32_t time;
	_Alignas(64) char prefix[1 << 13];	/* the unit's state in the place that is being closed, up to the caches */
	uint32_t starts[3][XP_MAX_ACTORS];	/* ids of the beginnings: before the end, after it, prefetches */
	struct xp_result *result;
	bool out_of_memory;
	const char *limit;
};

/* A concrete run that ends as `origin` at `place` does. True: there is one, in `run`. */
bool xp_confirm(struct xp_engine *e, uint32_t place, uint32_t origin, struct xp_run *run);

#endif
