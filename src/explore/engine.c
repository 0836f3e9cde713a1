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
	char *state = (char *)place->world.state;
	size_t prefix = m->prefix_bytes, lanes = m->state_bytes - prefix;
	_Alignas(64) char before[1 << 15];
	uint32_t id = place->live[i].id, origin = place->live[i].origin;
	uint64_t first = UINT64_MAX, last = 0;
	bool more = true;

	memcpy(before, state, m->state_bytes);
	for (xp_first(m); more; more = xp_next(m)) {
		struct xp_micro micro = e->micros[id];
		enum hitless_violation what;
		char detail[200];
		uint32_t to;
		bool filled;

		if (!xp_step(m, &micro))
			continue; /* not in the device's TLB */
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
			memcpy(state, before, prefix);
		filled = memcmp(state + prefix, before + prefix, lanes) != 0;
		to = intern(e, &micro);
		if (to == XP_NONE)
			return true;
		if (filled) {
			note_fill(e, origin, to, number);
			memcpy(before + prefix, state + prefix, lanes);
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
	for (uint32_t i = 0; i < place->nlive; i++)
		e->stamp[place->live[i].id] = number;
	begin_all(e, place, number);
	while (again) {
		again = false;
		for (uint32_t i = 0; i < place->nlive; i++) {
			struct xp_live *live = &place->live[i];

			/* Memory doesn't change here, so only who looks into caches may see something new. */
			if (live->over || (live->version != XP_NONE && (live->read_bytes || live->version == version)))
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
	uint32_t old = e->cplaces;

	if (!grow((void **)&e->places, e->nplaces, &e->cplaces, sizeof(*e->places)))
		return false;
	(void)old;
	e->places[e->nplaces++] = place;
	return true;
}

static bool seen_before(struct xp_engine *e, const struct xp_place *place)
{
	const struct xp_world *w = &place->world;
	uint64_t key[2] = { 0, 0 }, sum[2] = { 0, 0 };
	uint64_t misc[13] = { w->op, w->slot, w->ats, w->ram_hash, xp_hash(w->freed, sizeof(w->freed), 3), 0, w->npending, w->quiet,
			      w->list, w->map_op, w->locks[0], w->locks[1],
			      (uint64_t)w->submitted[0] << 32 | w->submitted[1] };
	uint32_t at;

	for (uint32_t i = 0; i < place->nlive; i++) {
		uint64_t id = place->live[i].id;

		sum[0] += xp_hash(&id, 8, 1);
		sum[1] += xp_hash(&id, 8, 2);
	}
	for (unsigned k = 0; k < 2; k++) {
		key[k] = xp_hash(misc, sizeof(misc), 10 + k) ^ xp_hash(w->pending, sizeof(w->pending), 12 + k);
		key[k] = xp_hash(w->state, e->m.state_bytes, key[k]) + sum[k];
	}
	key[0] |= 1;
	at = (uint32_t)(key[0] >> 1 & (e->seen_size - 1));
	for (; e->seen[2 * at]; at = (at + 1) & (e->seen_size - 1)) {
		if (e->seen[2 * at] == key[0] && e->seen[2 * at + 1] == key[1])
			return true;
	}
	e->seen[2 * at] = key[0];
	e->seen[2 * at + 1] = key[1];
	return false;
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
	if (seen_before(e, place)) {
		free(place->live);
		place->live = NULL;
		return false;
	}
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
	return close_place(e, place, number);
}

static bool expand(struct xp_engine *e, uint32_t from)
{
	struct xp_machine *m = &e->m;
	struct xp_place *place;
	bool more = true;

	xp_enter(m, &e->places[from]->world);
	if (xp_op_ready(m)) {
		place = branch(e, from);
		if (!place)
			return true;
		place->edge.kind = 'D';
		xp_op_do(m);
		if (settle(e, place, false))
			return true;
		xp_enter(m, &e->places[from]->world);
	}
	if (xp_map_ready(m)) {
		place = branch(e, from);
		if (!place)
			return true;
		place->edge.kind = 'M';
		xp_map_do(m);
		if (settle(e, place, false))
			return true;
	}
	for (unsigned i = 0; i < e->places[from]->world.npending; i++) {
		place = branch(e, from);
		if (!place)
			return true;
		place->edge.kind = 'F';
		place->edge.which = i;
		xp_flush(m, i);
		if (settle(e, place, false))
			return true;
	}
	for (xp_first(m); more;) {
		unsigned asked;
		uint8_t script[XP_MAX_CHOICES], counts[XP_MAX_CHOICES];
		bool did;

		place = branch(e, from);
		if (!place)
			return true;
		did = iommu_model_tick(&m->model);
		asked = m->asked;
		memcpy(script, m->script, sizeof(script));
		memcpy(counts, m->counts, sizeof(counts));
		place->edge.kind = 'T';
		place->edge.nchoices = asked;
		memcpy(place->edge.choices, script, asked);
		if (!did)
			free(place->live);
		else if (settle(e, place, true))
			return true;
		/* settle() has made choices of its own */
		m->asked = asked;
		memcpy(m->script, script, sizeof(script));
		memcpy(m->counts, counts, sizeof(counts));
		more = xp_next(m);
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
	if (close_place(e, root, 0))
		return;
	for (uint32_t next = 0; next < e->nplaces; next++) {
		if (e->nplaces > limit) {
			e->limit = "too many places";
			return;
		}
		if (expand(e, next))
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

int xp_explore(struct xp_case *c, struct xp_result *result)
{
	struct xp_engine e = { .c = c, .result = result };
	int err;

	memset(result, 0, sizeof(*result));
	result->verdict = HITLESS_PROVED;
	xp_views(c);
	err = xp_machine_open(&e.m, c);
	e.seen_size = 1u << 16;
	while (e.seen_size < c->max_places * 2)
		e.seen_size *= 2;
	e.seen = calloc(e.seen_size, 2 * sizeof(*e.seen));
	if (!e.seen)
		err = -ENOMEM;
	if (!err && e.m.state_bytes > 1 << 15)
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
	for (uint32_t i = 0; i < e.nplaces; i++)
		free(e.places[i]->live);
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

void xp_run_free(struct xp_run *run)
{
	free(run->v);
	memset(run, 0, sizeof(*run));
}
