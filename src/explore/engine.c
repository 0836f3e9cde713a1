/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* engine.c - explores a case: places breadth first, each closed under everything that requests may do. */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PLACES 20000u
#define MAX_MICROS 2000000u
#define MAX_UNCONFIRMED 64u

/* Room for one more; the array may move. */
static bool grow(void **array, uint32_t n, uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity ? *capacity * 2 : 256;
	void *moved;

	if (n < *capacity)
		return true;
	moved = realloc(*array, wanted * size);
	if (!moved)
		return false;
	*array = moved;
	*capacity = wanted;
	return true;
}

/* ---- Request states, once each ---- */

static bool grow_table(struct xp_engine *e)
{
	uint32_t size = e->table_size ? e->table_size * 2 : 4096;
	uint32_t *table = calloc(size, sizeof(*table));

	if (!table)
		return false;
	for (uint32_t id = 0; id < e->nmicros; id++) {
		uint32_t at = (uint32_t)(xp_hash(&e->micros[id], sizeof(e->micros[id]), 0) & (size - 1));

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = id + 1;
	}
	free(e->table);
	e->table = table;
	e->table_size = size;
	return true;
}

static uint32_t intern(struct xp_engine *e, const struct xp_micro *micro)
{
	uint32_t at, capacity = e->cmicros;

	if (e->nmicros * 2 >= e->table_size && !grow_table(e))
		goto fail;
	at = (uint32_t)(xp_hash(micro, sizeof(*micro), 0) & (e->table_size - 1));
	for (; e->table[at]; at = (at + 1) & (e->table_size - 1)) {
		if (memcmp(&e->micros[e->table[at] - 1], micro, sizeof(*micro)) == 0)
			return e->table[at] - 1;
	}
	if (e->nmicros >= MAX_MICROS) {
		e->limit = "too many request states";
		return XP_NONE;
	}
	if (!grow((void **)&e->micros, e->nmicros, &e->cmicros, sizeof(*e->micros)))
		goto fail;
	if (capacity != e->cmicros) {
		uint32_t *stamp = realloc(e->stamp, e->cmicros * sizeof(*stamp));

		if (!stamp)
			goto fail;
		e->stamp = stamp;
	}
	e->micros[e->nmicros] = *micro;
	e->stamp[e->nmicros] = XP_NONE;
	e->table[at] = e->nmicros + 1;
	return e->nmicros++;
fail:
	e->out_of_memory = true;
	return XP_NONE;
}

static uint32_t add_origin(struct xp_engine *e, uint32_t id, uint32_t parent, uint32_t place)
{
	if (!grow((void **)&e->origins, e->norigins, &e->corigins, sizeof(*e->origins))) {
		e->out_of_memory = true;
		return XP_NONE;
	}
	e->origins[e->norigins] = (struct xp_origin){ id, parent, place, e->time++ };
	return e->norigins++;
}

static struct xp_live *add_live(struct xp_engine *e, struct xp_place *place, uint32_t id, uint32_t origin)
{
	struct xp_live *live;

	if (!grow((void **)&place->live, place->nlive, &place->capacity, sizeof(*place->live))) {
		e->out_of_memory = true;
		return NULL;
	}
	live = &place->live[place->nlive++];
	*live = (struct xp_live){ .id = id, .origin = origin, .version = XP_NONE };
	live->over = e->micros[id].request.state != IOMMU_REQUEST_RUNNING;
	return live;
}

/* ---- Findings ---- */

/* True: the exploration is over. */
static bool found(struct xp_engine *e, uint32_t place, uint32_t origin, enum hitless_violation what, const char *detail)
{
	struct xp_result *result = e->result;
	struct xp_run run = { 0 };

	if (xp_confirm(e, place, origin, &run)) {
		result->verdict = HITLESS_VIOLATED;
		result->violation = what;
		result->confirmed = true;
		result->actor = e->micros[e->origins[origin].id].actor;
		result->run = run;
		snprintf(result->detail, sizeof(result->detail), "%s", detail);
		return true;
	}
	xp_run_free(&run);
	if (!result->unconfirmed++) {
		result->violation = what;
		snprintf(result->detail, sizeof(result->detail), "%s", detail);
	}
	if (result->unconfirmed >= MAX_UNCONFIRMED)
		e->limit = "too many findings without a concrete run";
	return false;
}

/* ---- Closing a place ---- */

static bool ats_actor(const struct xp_engine *e, uint32_t actor)
{
	return e->c->actors[actor].kind != IOMMU_REQUEST_UNTRANSLATED;
}

/* Requests may begin at any time. */
static void begin_all(struct xp_engine *e, struct xp_place *place, uint32_t number)
{
	bool prefetch = e->c->has_quiet && (e->c->config.freedoms & IOMMU_FREE_BIT(IOMMU_FREE_PREFETCH));

	for (uint32_t i = 0; i < e->c->nactors * (prefetch ? 2 : 1) && !e->out_of_memory; i++) {
		uint32_t a = i % e->c->nactors;
		bool asked = i < e->c->nactors, device = e->c->actors[a].role == XP_DEVICE;
		uint32_t id = e->starts[asked ? xp_is_over(e->c, &place->world) : 2][a], origin;

		if (e->stamp[id] == number || (asked && device && place->world.quiet) ||
		    (ats_actor(e, a) && device && (!(place->world.ats >> a & 1) || !asked)))
			continue;
		origin = add_origin(e, id, XP_NONE, number);
		e->stamp[id] = number;
		add_live(e, place, id, origin);
	}
}

static void note_fill(struct xp_engine *e, uint32_t from, uint32_t to, uint32_t place)
{
	struct xp_fill *fill;

	if (!grow((void **)&e->fills, e->nfills, &e->cfills, sizeof(*e->fills))) {
		e->out_of_memory = true;
		return;
	}
	fill = &e->fills[e->nfills++];
	*fill = (struct xp_fill){ .from = from, .to = to, .place = place, .time = e->time++ };
	fill->nchoices = (uint8_t)e->m.asked;
	memcpy(fill->choices, e->m.script, e->m.asked);
}

/* Takes every choice of one step of live[i]. True: the exploration is over. */
static bool step_live(struct xp_engine *e, struct xp_place *place, uint32_t number, uint32_t i, uint32_t *version)
{
	struct xp_machine *m = &e->m;
	uint32_t id = place->live[i].id, origin = place->live[i].origin;
	uint64_t first = UINT64_MAX, last = 0;
	bool more = true;

	for (xp_first(m); more; more = xp_next(m)) {
		struct xp_micro micro = e->micros[id];
		enum hitless_violation what;
		char detail[200];
		uint32_t to;
		bool filled;

		if (!xp_step(m, &micro))
			continue; /* not in the device's TLB */
		filled = iommu_model_filled(&m->model);
		/* Which quantum it reads is a choice, too. */
		if (m->read_addr && m->read_addr < first)
			first = m->read_addr;
		if (m->read_addr && m->read_addr + m->read_bytes > last)
			last = m->read_addr + m->read_bytes;
		if (m->too_many)
			e->limit = "too many choices in one step";
		if (m->wrote)
			e->limit = "the hardware wrote to a page table";
		if (iommu_model_overflow(&m->model))
			e->limit = "a cache of the model is too small for all lines that may be in it";
		/* What a fault records is not what anybody translates by. */
		if (micro.request.state == IOMMU_REQUEST_FAULT)
			memcpy(place->world.state, e->prefix, m->prefix_bytes);
		to = intern(e, &micro);
		if (to == XP_NONE)
			return true;
		if (filled) {
			note_fill(e, origin, to, number);
			++*version;
		}
		if (m->read_freed) {
			uint32_t at = add_origin(e, to, origin, number);

			if (at == XP_NONE || found(e, number, at, HITLESS_FREED_PAGE_WALKED, "a walk read a table page that had been freed"))
				return true;
		}
		if (e->stamp[to] == number)
			continue;
		e->stamp[to] = number;
		if (!add_live(e, place, to, add_origin(e, to, origin, number)) || e->out_of_memory)
			return true;
		what = xp_judge(m, &micro, detail, sizeof(detail));
		if (what && found(e, number, place->live[place->nlive - 1].origin, what, detail))
			return true;
		if (e->limit)
			return true;
	}
	place->live[i].read_addr = last ? first : 0;
	place->live[i].read_bytes = last ? (uint32_t)(last - first) : 0;
	place->live[i].version = *version;
	return false;
}

static void note_situation(struct xp_engine *e, const struct xp_place *place)
{
	size_t prefix = e->m.prefix_bytes;
	uint64_t sum = 0;

	if (!e->c->situations)
		return;
	for (uint32_t i = 0; i < place->nlive; i++)
		sum += xp_hash(&e->micros[place->live[i].id], sizeof(*e->micros), 3);
	if (!grow((void **)&e->situations, e->nsituations, &e->csituations, sizeof(*e->situations))) {
		e->out_of_memory = true;
		return;
	}
	e->situations[e->nsituations++] = xp_hash((char *)place->world.state + prefix, e->m.state_bytes - prefix, 4) + sum;
}

static int compare_situations(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Once each. */
static void sort_situations(struct xp_engine *e)
{
	uint32_t n = 0;

	if (e->nsituations)
		qsort(e->situations, e->nsituations, sizeof(*e->situations), compare_situations);
	for (uint32_t i = 0; i < e->nsituations; i++) {
		if (!n || e->situations[n - 1] != e->situations[i])
			e->situations[n++] = e->situations[i];
	}
	e->result->situations = e->situations;
	e->result->nsituations = n;
}

/* True: the exploration is over. */
static bool close_place(struct xp_engine *e, struct xp_place *place, uint32_t number)
{
	uint32_t version = 1;
	bool again = true;

	xp_enter(&e->m, &place->world);
	iommu_model_filled(&e->m.model);
	memcpy(e->prefix, place->world.state, e->m.prefix_bytes);
	for (uint32_t i = 0; i < place->nlive; i++)
		e->stamp[place->live[i].id] = number;
	begin_all(e, place, number);
	while (again) {
		again = false;
		for (uint32_t i = 0; i < place->nlive; i++) {
			struct xp_live *live = &place->live[i];

			/* Memory doesn't change here, but what is in the caches does; and who reads memory may look there in the same step. */
			if (live->over || live->version == version)
				continue;
			again = true;
			if (step_live(e, place, number, i, &version))
				return true;
		}
	}
	if (e->c->thorough) {
		uint32_t nlive = place->nlive, before = version;

		for (uint32_t i = 0; i < nlive; i++) {
			if (!place->live[i].over && step_live(e, place, number, i, &version))
				return true;
		}
		for (uint32_t i = nlive; i < place->nlive; i++) {
			/* A fault that was there in the place before has been judged there. */
			if (e->micros[place->live[i].id].request.state != IOMMU_REQUEST_FAULT)
				before = 0;
		}
		if (version != before)
			e->limit = "the explorer has overlooked a step";
	}
	note_situation(e, place);
	return e->limit != NULL || e->out_of_memory;
}

/* ---- From place to place ---- */

static bool add_place(struct xp_engine *e, struct xp_place *place)
{
	if (!grow((void **)&e->places, e->nplaces, &e->cplaces, sizeof(*e->places)))
		return false;
	e->places[e->nplaces++] = place;
	return true;
}

/*
 * What is in caches and in flight only ever adds to what may happen next, as long as a look-up may miss and may find any line that
 * matches: then of two places that differ in nothing else the one that has less needs no look. (Not where somebody asks for all
 * situations, which are then noted whole.)
 */
static bool may_cover(const struct xp_case *c)
{
	uint64_t needed = IOMMU_FREE_BIT(IOMMU_FREE_MISS) | IOMMU_FREE_BIT(IOMMU_FREE_MULTI) | IOMMU_FREE_BIT(IOMMU_FREE_KEEP);

	return (c->config.freedoms & needed) == needed && !c->situations && !c->thorough;
}

static bool in_flight_covers(const struct xp_place *more, const uint32_t *ids, uint32_t n)
{
	for (uint32_t i = 0, m = 0; i < n; i++, m++) {
		while (m < more->nids && more->ids[m] < ids[i])
			m++;
		if (m == more->nids || more->ids[m] != ids[i])
			return false;
	}
	return true;
}

static bool covers(struct xp_engine *e, const struct xp_place *more, const struct xp_place *less, const uint32_t *ids, uint32_t n)
{
	struct iommu_model model = e->m.model;

	model.state = more->world.state;
	return in_flight_covers(more, ids, n) && iommu_model_covers(&model, less->world.state);
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* False: no memory. */
static bool sort_ids(const struct xp_engine *e, const struct xp_place *place, uint32_t **ids, uint32_t *n)
{
	*ids = malloc((place->nlive + 1) * sizeof(**ids));
	if (!*ids)
		return false;
	*n = 0;
	for (uint32_t i = 0; i < place->nlive; i++) {
		/* A fault has been judged, and holds nothing. */
		if (e->micros[place->live[i].id].request.state != IOMMU_REQUEST_FAULT)
			(*ids)[(*n)++] = place->live[i].id;
	}
	qsort(*ids, *n, sizeof(**ids), compare_ids);
	return true;
}

static bool grow_seen(struct xp_engine *e)
{
	uint32_t size = e->seen_size ? e->seen_size * 2 : 4096;
	struct xp_seen *seen = calloc(size, sizeof(*seen));

	if (!seen)
		return false;
	for (uint32_t i = 0; i < e->seen_size; i++) {
		uint32_t at = (uint32_t)(e->seen[i].key[0] >> 1 & (size - 1));

		if (!e->seen[i].key[0])
			continue;
		while (seen[at].key[0])
			at = (at + 1) & (size - 1);
		seen[at] = e->seen[i];
	}
	free(e->seen);
	e->seen = seen;
	e->seen_size = size;
	return true;
}

/* Where those places are, or would be, that are like this one but, perhaps, for caches and requests. NULL: no memory. */
static struct xp_seen *find_seen(struct xp_engine *e, const struct xp_place *place)
{
	const struct xp_world *w = &place->world;
	uint64_t key[2], sum[2] = { 0, 0 };
	uint64_t misc[13] = { w->op, w->slot, w->ats, w->ram_hash, xp_hash(w->freed, sizeof(w->freed), 3), 0, w->npending, w->quiet,
			      w->list, w->map_op, w->locks[0], w->locks[1],
			      (uint64_t)w->submitted[0] << 32 | w->submitted[1] };
	uint32_t at;

	if (e->nseen * 2 >= e->seen_size && !grow_seen(e))
		return NULL;
	for (uint32_t i = 0; i < place->nlive && !e->covering; i++) {
		uint64_t id = place->live[i].id;

		sum[0] += xp_hash(&id, 8, 1);
		sum[1] += xp_hash(&id, 8, 2);
	}
	for (unsigned k = 0; k < 2; k++) {
		key[k] = xp_hash(misc, sizeof(misc), 10 + k) ^ xp_hash(w->pending, sizeof(w->pending), 12 + k);
		key[k] = xp_hash(w->state, e->covering ? e->m.prefix_bytes : e->m.state_bytes, key[k]) + sum[k];
	}
	key[0] |= 1;
	at = (uint32_t)(key[0] >> 1 & (e->seen_size - 1));
	for (; e->seen[at].key[0]; at = (at + 1) & (e->seen_size - 1)) {
		if (e->seen[at].key[0] == key[0] && e->seen[at].key[1] == key[1])
			return &e->seen[at];
	}
	e->seen[at] = (struct xp_seen){ .key = { key[0], key[1] }, .newest = XP_NONE };
	e->nseen++;
	return &e->seen[at];
}

/* One that is known and does all that this one could do; XP_NONE: there is none, and this one is known from now on, as number e->nplaces. */
static uint32_t seen_before(struct xp_engine *e, struct xp_place *place)
{
	struct xp_seen *seen = find_seen(e, place);
	uint32_t *ids = NULL, n = 0, at;

	if (!seen || (e->covering && !sort_ids(e, place, &ids, &n))) {
		e->out_of_memory = true;
		return XP_NONE;
	}
	for (at = seen->newest; at != XP_NONE && e->covering; at = e->places[at]->alike) {
		if (covers(e, e->places[at], place, ids, n))
			break;
	}
	if (at == XP_NONE) {
		place->alike = seen->newest;
		seen->newest = e->nplaces;
	}
	free(ids);
	return at;
}

/* Now that the place is closed: those that are alike and have less, and whose turn hasn't come, needn't have one. */
static void cover_others(struct xp_engine *e, struct xp_place *place)
{
	if (!sort_ids(e, place, &place->ids, &place->nids)) {
		e->out_of_memory = true;
		return;
	}
	for (uint32_t i = place->alike; i != XP_NONE; i = e->places[i]->alike) {
		struct xp_place *other = e->places[i];

		if (i > e->turn && !other->covered && covers(e, place, other, other->ids, other->nids))
			other->covered = true;
	}
}

/* A copy of `from` that something will happen to. */
static struct xp_place *branch(struct xp_engine *e, uint32_t from)
{
	struct xp_place *parent = e->places[from];
	struct xp_place *place = xp_arena_alloc(&e->m.arena, sizeof(*place));

	if (!place) {
		e->out_of_memory = true;
		return NULL;
	}
	memset(place, 0, sizeof(*place));
	place->world = parent->world;
	memset(place->world.owned, 0, sizeof(place->world.owned));
	memset(parent->world.owned, 0, sizeof(parent->world.owned));
	place->world.state = xp_arena_alloc(&e->m.arena, e->m.state_bytes);
	place->live = malloc((parent->nlive + 64) * sizeof(*place->live));
	if (!place->world.state || !place->live) {
		e->out_of_memory = true;
		return NULL;
	}
	memcpy(place->world.state, parent->world.state, e->m.state_bytes);
	place->capacity = parent->nlive + 64;
	place->parent = from;
	place->depth = parent->depth + 1;
	place->time = e->time++;
	xp_enter(&e->m, &place->world);
	return place;
}

/* After the event: who is left, who must be stepped again. True: the exploration is over. */
static bool settle(struct xp_engine *e, struct xp_place *place, bool ticked)
{
	const struct xp_place *parent = e->places[place->parent];
	struct xp_machine *m = &e->m;
	bool lines = memcmp((char *)place->world.state + m->prefix_bytes, (char *)parent->world.state + m->prefix_bytes,
			    m->state_bytes - m->prefix_bytes) != 0;
	bool was_over = xp_is_over(e->c, &parent->world), is_over = xp_is_over(e->c, &place->world);
	/* What is all right changes: the end of replace, the beginning and the end of the mapper. */
	bool judged_anew = is_over != was_over || !place->world.list != !parent->world.list ||
			   xp_map_is_over(e->c, &place->world) != xp_map_is_over(e->c, &parent->world);
	bool gone = false;
	uint32_t number = e->nplaces;

	place->nlive = 0;
	for (uint32_t i = 0; i < parent->nlive; i++) {
		struct xp_live live = parent->live[i];
		const struct xp_micro *micro = &e->micros[live.id];

		if (micro->request.state == IOMMU_REQUEST_FAULT)
			continue; /* judged, and holds nothing */
		if (ticked && iommu_model_drained(&m->model, &micro->request)) {
			gone = true;
			continue;
		}
		if (place->world.quiet && !micro->prefetch && e->c->actors[micro->actor].role == XP_DEVICE)
			continue;
		/* Not begun yet, really: others begin in its place. */
		if (live.id == e->starts[was_over][micro->actor] &&
		    (is_over != was_over || (!(place->world.ats >> micro->actor & 1) && micro->request.kind != IOMMU_REQUEST_UNTRANSLATED &&
					     e->c->actors[micro->actor].role == XP_DEVICE)))
			continue;
		place->live[place->nlive++] = live;
	}
	if (ticked)
		iommu_model_settle(&m->model);
	e->came_to = seen_before(e, place);
	e->lost = lines || gone;
	if (e->out_of_memory)
		return true;
	if (e->came_to != XP_NONE) {
		free(place->live);
		place->live = NULL;
		return false;
	}
	e->came_to = number;
	for (uint32_t i = 0; i < place->nlive; i++) {
		struct xp_live *live = &place->live[i];
		bool same = true;

		/* Memory that it reads next: is it as it was? */
		for (uint64_t at = live->read_addr & ~7ull; live->read_bytes && at < live->read_addr + live->read_bytes; at += 8) {
			const uint64_t *old = parent->world.pages[at / XP_PAGE], *new = place->world.pages[at / XP_PAGE];

			if (old != new && old[at % XP_PAGE / 8] != new[at % XP_PAGE / 8])
				same = false;
			if (place->world.freed[at / XP_PAGE / 64] >> at / XP_PAGE % 64 & 1)
				same = false;
		}
		/* What was all right until now may not be after the end: faults, which nobody keeps, are found again. */
		live->version = lines || gone || !same || judged_anew ? XP_NONE : 1;
	}
	if (!add_place(e, place)) {
		e->out_of_memory = true;
		return true;
	}
	if (place->depth > e->result->depth)
		e->result->depth = place->depth;
	/* What still uses the old translation when replace (or the unmap) returns: its access may come after. */
	if (judged_anew) {
		xp_enter(m, &place->world);
		for (uint32_t i = 0; i < place->nlive; i++) {
			char detail[200];
			enum hitless_violation what = xp_judge(m, &e->micros[place->live[i].id], detail, sizeof(detail));

			if (what && found(e, number, place->live[i].origin, what, detail))
				return true;
		}
	}
	if (close_place(e, place, number))
		return true;
	if (e->covering)
		cover_others(e, place);
	return e->out_of_memory;
}

/*
 * Steps that need not wait. Whatever could happen first can happen after them, too, and no less of it; so from where such a step can be
 * taken no other is looked at. (Never where e->covering is false.)
 *
 * Of a thread: a wait that is over, a lock that is let go of, or taken for no time at all. It must not be the one with which the
 * replace begins or returns, nor may it matter to what a mapper that starts then does.
 */
static bool is_eager(const struct xp_op *op)
{
	return op && (op->kind == XP_WAIT || op->kind == XP_UNLOCK || (op->kind == XP_LOCK && op->words[0] && !op->words[1]));
}

static bool driver_is_eager(const struct xp_engine *e, const struct xp_world *w)
{
	const struct xp_case *c = e->c;
	unsigned after = w->op + 1;

	if (!e->covering || !w->op || !is_eager(&c->steps.v[w->op]))
		return false;
	/* As far as xp_op_do() goes: the unlock that a mapper's list depends on may be one of the notes that come with it. */
	while (after < c->steps.n && c->steps.v[after].kind == XP_NOTE)
		after++;
	if (after >= (c->returned ? c->returned : c->steps.n) && !xp_is_over(c, w))
		return false;
	return w->list || !c->mapper.nlists || c->mapper.at[w->op] == c->mapper.at[after];
}

static bool mapper_is_eager(const struct xp_engine *e, const struct xp_world *w)
{
	return e->covering && w->list && is_eager(xp_map_op(e->c, w));
}

/*
 * Of the unit: it fetches a command, which it need not carry out for a long time. Or it carries out the oldest, and that takes nothing
 * away that would not be back at once: who has carried it out later has no more in caches and in flight. (Not one that is not the oldest: a
 * wait before it would then wait for it, too.)
 */
static bool unit_is_eager(struct xp_engine *e, uint32_t from, bool oldest, bool fetched)
{
	const struct xp_place *parent = e->places[from];

	if (!e->covering || e->came_to == XP_NONE)
		return false;
	return (fetched && !e->lost) || (oldest && covers(e, e->places[e->came_to], parent, parent->ids, parent->nids));
}

/* True: the exploration is over. */
static bool expand_thread(struct xp_engine *e, uint32_t from, char kind, unsigned which)
{
	struct xp_place *place = branch(e, from);

	if (!place)
		return true;
	place->edge.kind = kind;
	place->edge.which = which;
	if (kind == 'M' && !place->world.list)
		e->result->started |= 1u << (e->c->mapper.at[place->world.op] - 1);
	if (kind == 'D')
		xp_op_do(&e->m);
	else if (kind == 'M')
		xp_map_do(&e->m);
	else
		xp_flush(&e->m, which);
	if (settle(e, place, false))
		return true;
	xp_enter(&e->m, &e->places[from]->world);
	return false;
}

/* The unit's own work, by every choice. *eager: nothing else needs to be looked at. True: the exploration is over. */
static bool expand_unit(struct xp_engine *e, uint32_t from, bool *eager)
{
	struct xp_machine *m = &e->m;
	bool more = true;

	*eager = false;
	for (xp_first(m); more && !*eager;) {
		struct xp_place *place = branch(e, from);
		uint8_t script[XP_MAX_CHOICES], counts[XP_MAX_CHOICES];
		bool did, fetched, oldest = true;
		unsigned asked;

		if (!place)
			return true;
		did = xp_tick(m);
		fetched = did && m->fetched;
		asked = m->asked;
		memcpy(script, m->script, sizeof(script));
		memcpy(counts, m->counts, sizeof(counts));
		place->edge.kind = 'T';
		place->edge.nchoices = asked;
		memcpy(place->edge.choices, script, asked);
		for (unsigned i = 0; i < asked; i++)
			oldest &= !script[i];
		if (!did) {
			free(place->live);
		} else {
			if (settle(e, place, true))
				return true;
			*eager = unit_is_eager(e, from, oldest, fetched);
		}
		/* settle() has made choices of its own */
		m->asked = asked;
		memcpy(m->script, script, sizeof(script));
		memcpy(m->counts, counts, sizeof(counts));
		more = xp_next(m);
	}
	xp_enter(m, &e->places[from]->world);
	return false;
}

static bool expand(struct xp_engine *e, uint32_t from)
{
	struct xp_machine *m = &e->m;
	const struct xp_world *w = &e->places[from]->world;
	bool eager;

	xp_enter(m, &e->places[from]->world);
	if (xp_op_ready(m) && driver_is_eager(e, w))
		return expand_thread(e, from, 'D', 0);
	if (xp_map_ready(m) && mapper_is_eager(e, w))
		return expand_thread(e, from, 'M', 0);
	if (expand_unit(e, from, &eager))
		return true;
	if (eager)
		return false;
	if (xp_op_ready(m) && expand_thread(e, from, 'D', 0))
		return true;
	if (xp_map_ready(m) && expand_thread(e, from, 'M', 0))
		return true;
	for (unsigned i = 0; i < e->places[from]->world.npending; i++) {
		if (expand_thread(e, from, 'F', i))
			return true;
	}
	return false;
}

static void explore(struct xp_engine *e)
{
	struct xp_place *root = xp_arena_alloc(&e->m.arena, sizeof(*root));
	uint32_t limit = e->c->max_places ? e->c->max_places : DEFAULT_PLACES;
	bool ended = false;

	if (!root) {
		e->out_of_memory = true;
		return;
	}
	memset(root, 0, sizeof(*root));
	root->world = *e->m.world;
	root->parent = XP_NONE;
	xp_enter(&e->m, &root->world);
	for (uint32_t a = 0; a < e->c->nactors; a++) {
		struct xp_micro micro;

		xp_begin(&e->m, a, &micro);
		micro.late = 0;
		e->starts[0][a] = intern(e, &micro);
		micro.late = 1;
		e->starts[1][a] = intern(e, &micro);
		micro.late = 0;
		micro.prefetch = 1;
		e->starts[2][a] = intern(e, &micro);
	}
	if (e->out_of_memory || !add_place(e, root)) {
		e->out_of_memory = true;
		return;
	}
	root->alike = XP_NONE;
	if (close_place(e, root, 0))
		return;
	if (e->covering)
		cover_others(e, root);
	for (uint32_t next = 0; next < e->nplaces; next++) {
		if (e->nplaces > limit) {
			e->limit = "too many places";
			return;
		}
		e->turn = next;
		if (!e->places[next]->covered && expand(e, next))
			return;
		free(e->places[next]->live); /* confirm.c goes by the origins */
		e->places[next]->live = NULL;
		ended |= e->places[next]->world.op >= e->c->steps.n;
	}
	if (!ended && e->result->verdict != HITLESS_VIOLATED) {
		e->result->verdict = HITLESS_VIOLATED;
		e->result->violation = HITLESS_STUCK;
		snprintf(e->result->detail, sizeof(e->result->detail), "the sequence never gets to its end");
	}
}

static int explore_case(struct xp_case *c, bool covering, struct xp_result *result)
{
	struct xp_engine e = { .c = c, .covering = covering, .result = result };
	int err;

	memset(result, 0, sizeof(*result));
	result->verdict = HITLESS_PROVED;
	xp_views(c);
	err = xp_machine_open(&e.m, c);
	if (!err && (e.m.state_bytes > 1 << 15 || e.m.prefix_bytes > sizeof(e.prefix)))
		err = -EINVAL;
	if (!err) {
		explore(&e);
		if (e.out_of_memory || e.m.failed)
			err = -ENOMEM;
	}
	if (result->verdict != HITLESS_VIOLATED && (e.limit || result->unconfirmed)) {
		result->verdict = HITLESS_BOUNDED;
		result->limit = e.limit ? e.limit : "a finding has no concrete run";
	}
	sort_situations(&e);
	result->places = e.nplaces;
	result->requests = e.nmicros;
	result->states = e.norigins;
	for (uint32_t i = 0; i < e.nplaces; i++) {
		free(e.places[i]->live);
		free(e.places[i]->ids);
	}
	free(e.places);
	free(e.micros);
	free(e.stamp);
	free(e.table);
	free(e.origins);
	free(e.fills);
	free(e.seen);
	xp_machine_close(&e.m);
	return err;
}

int xp_explore(struct xp_case *c, struct xp_result *result)
{
	struct xp_result shorter;
	int err = explore_case(c, may_cover(c), result);

	if (err || result->verdict != HITLESS_VIOLATED || !may_cover(c) || c->any_run)
		return err;
	/* The shortest run may go by a place that was left out. */
	err = explore_case(c, false, &shorter);
	if (!err && shorter.verdict == HITLESS_VIOLATED) {
		xp_run_free(&result->run);
		*result = shorter;
	} else {
		xp_run_free(&shorter.run);
	}
	return err == -ENOMEM ? 0 : err;
}

void xp_run_free(struct xp_run *run)
{
	free(run->v);
	memset(run, 0, sizeof(*run));
}
