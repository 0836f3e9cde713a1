/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * confirm.c - makes a concrete run of a finding, and runs it again.
 *
 * In a concrete run there is a finite number of requests, each takes each of its steps once, and a cache holds only what one of
 * them has filled in. It begins with the request that shows the violation and the steps that led to it. Where one of these
 * steps found a line that nobody has filled in yet, a request that did so in the exploration is added, until the run
 * goes through or no candidate is left.
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REQUESTS 16u
#define MAX_CANDIDATES 6u
#define MAX_TRIALS 400u

struct request {
	uint32_t actor;
	uint32_t kind;		/* as in engine->starts */
	uint32_t n, capacity;
	struct {
		uint32_t time, to, place;
	} *steps;
};

struct attempt {
	struct xp_engine *e;
	uint32_t *path;		/* places from the root on */
	uint32_t npath;
	struct request requests[MAX_REQUESTS];
	unsigned nrequests;
	unsigned trials;
	struct xp_run run;
	_Alignas(64) char state[1 << 15];	/* where the last simulation stopped: what was cached then */
};

static void add_event(struct xp_run *run, const struct xp_event *event)
{
	if (run->n == run->capacity) {
		unsigned capacity = run->capacity ? run->capacity * 2 : 64;
		struct xp_event *v = realloc(run->v, capacity * sizeof(*v));

		if (!v)
			abort();
		run->v = v;
		run->capacity = capacity;
	}
	run->v[run->n++] = *event;
}

static void add_step(struct request *request, uint32_t time, uint32_t to, uint32_t place)
{
	if (request->n == request->capacity) {
		request->capacity = request->capacity ? request->capacity * 2 : 32;
		request->steps = realloc(request->steps, request->capacity * sizeof(*request->steps));
		if (!request->steps)
			abort();
	}
	request->steps[request->n].time = time;
	request->steps[request->n].place = place;
	request->steps[request->n++].to = to;
}

/* The steps that led to `origin`, oldest first. */
static void add_chain(struct attempt *a, uint32_t origin)
{
	struct xp_engine *e = a->e;
	struct request *request = &a->requests[a->nrequests++];
	uint32_t depth = 0, at;

	memset(request, 0, sizeof(*request));
	request->actor = e->micros[e->origins[origin].id].actor;
	request->kind = e->micros[e->origins[origin].id].prefetch ? 2 : e->micros[e->origins[origin].id].late;
	for (at = origin; e->origins[at].parent != XP_NONE; at = e->origins[at].parent)
		depth++;
	for (uint32_t i = depth; i > 0; i--) {
		at = origin;
		for (uint32_t k = 1; k < i; k++)
			at = e->origins[at].parent;
		add_step(request, e->origins[at].time, e->origins[at].id, e->origins[at].place);
	}
}

static bool same_micro(const struct xp_micro *a, const struct xp_micro *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Takes the step that makes `to` of `micro`. False: no choice does. */
static bool step_to(struct xp_machine *m, struct xp_micro *micro, const struct xp_micro *to)
{
	_Alignas(64) char saved[1 << 15];
	bool more = true;

	memcpy(saved, m->world->state, m->state_bytes);
	for (xp_first(m); more; more = xp_next(m)) {
		struct xp_micro trial = *micro;

		if (xp_step(m, &trial) && same_micro(&trial, to)) {
			if (trial.request.state == IOMMU_REQUEST_FAULT)
				memcpy(m->world->state, saved, m->prefix_bytes);
			*micro = trial;
			return true;
		}
		memcpy(m->world->state, saved, m->state_bytes);
	}
	return false;
}

static struct xp_event event_of(const struct xp_machine *m, char kind, unsigned which)
{
	struct xp_event event = { .kind = kind, .which = which, .nchoices = m->asked };

	memcpy(event.choices, m->script, m->asked);
	return event;
}

/* Does an event of the path again. */
static void do_edge(struct xp_machine *m, const struct xp_event *edge)
{
	switch (edge->kind) {
	case 'D':
		xp_op_do(m);
		break;
	case 'M':
		xp_map_do(m);
		break;
	case 'F':
		xp_flush(m, edge->which);
		break;
	default:
		memcpy(m->script, edge->choices, edge->nchoices);
		m->fixed = edge->nchoices;
		m->asked = 0;
		xp_tick(m);
		break;
	}
}

/*
 * 1: all events happened as they were found; the run is in a->run. 0: step *step of request *which needs a line that
 * nobody has filled in. -1: it is impossible.
 */
static int simulate(struct attempt *a, unsigned *which, uint32_t *step)
{
	struct xp_engine *e = a->e;
	struct xp_machine m;
	struct xp_micro micros[MAX_REQUESTS];
	uint32_t next[MAX_REQUESTS] = { 0 }, edge = 1;
	unsigned number[MAX_REQUESTS] = { 0 }, begun = 0;
	int ret = -1;

	a->run.n = 0;
	if (xp_machine_open(&m, e->c))
		goto out;
	for (;;) {
		uint32_t time = edge < a->npath ? e->places[a->path[edge]]->time : XP_NONE;
		unsigned who = MAX_REQUESTS;

		for (unsigned i = 0; i < a->nrequests; i++) {
			if (next[i] < a->requests[i].n && a->requests[i].steps[next[i]].time < time) {
				time = a->requests[i].steps[next[i]].time;
				who = i;
			}
		}
		if (who == MAX_REQUESTS && edge == a->npath)
			break;
		if (who == MAX_REQUESTS) {
			const struct xp_event *event = &e->places[a->path[edge++]]->edge;

			do_edge(&m, event);
			add_event(&a->run, event);
			for (unsigned i = 0; event->kind == 'T' && i < a->nrequests; i++) {
				/* One that is in flight and has nothing left to do for us ends in time; the others can't. */
				bool needed = next[i] < a->requests[i].n || i == 0;

				if (next[i] && needed && iommu_model_drained(&m.model, &micros[i].request))
					goto out;
			}
			continue;
		}
		if (!next[who]) {
			struct xp_event event = { .kind = a->requests[who].kind == 2 ? 'P' : 'B', .which = a->requests[who].actor };

			xp_begin(&m, a->requests[who].actor, &micros[who]);
			micros[who].prefetch = event.kind == 'P';
			number[who] = begun++;
			add_event(&a->run, &event);
		}
		if (!step_to(&m, &micros[who], &e->micros[a->requests[who].steps[next[who]].to])) {
			memcpy(a->state, m.world->state, m.state_bytes);
			*which = who;
			*step = next[who];
			ret = 0;
			goto out;
		}
		{
			struct xp_event event = event_of(&m, 'S', number[who]);

			add_event(&a->run, &event);
		}
		/* One that is there for what it fills is over when it has done so. */
		if (++next[who] == a->requests[who].n && who) {
			struct xp_event event = { .kind = 'E', .which = number[who] };

			add_event(&a->run, &event);
		}
	}
	ret = 1;
out:
	xp_machine_close(&m);
	return ret;
}

/* Takes the step again that was this fill. */
static void do_fill(struct xp_engine *e, const struct xp_fill *fill)
{
	struct xp_machine *m = &e->m;
	struct xp_micro filler = e->micros[e->origins[fill->from].id];

	memcpy(m->script, fill->choices, fill->nchoices);
	m->fixed = fill->nchoices;
	m->asked = 0;
	xp_step(m, &filler);
}

/* Goes to the place as it was right before its fill number f: its parent, the event that led there, and the fills before. */
static void go_before(struct xp_engine *e, uint32_t f, struct xp_world *world, char *state)
{
	struct xp_machine *m = &e->m;
	uint32_t number = e->fills[f].place, first = f;
	const struct xp_place *place = e->places[number];
	bool root = place->parent == XP_NONE;

	*world = root ? place->world : e->places[place->parent]->world;
	memset(world->owned, 0, sizeof(world->owned));
	memcpy(state, world->state, m->state_bytes);
	world->state = (uint64_t *)(void *)state;
	xp_enter(m, world);
	if (root)
		memset(state + m->prefix_bytes, 0, m->state_bytes - m->prefix_bytes);
	else
		do_edge(m, &place->edge);
	while (first > 0 && e->fills[first - 1].place == number)
		first--;
	for (; first < f; first++)
		do_fill(e, &e->fills[first]);
}

/* At that place, but with the caches of `state`: does `from` become `to`? */
static bool becomes(struct xp_engine *e, uint32_t place, const char *state, const struct xp_micro *from, const struct xp_micro *to)
{
	struct xp_machine *m = &e->m;
	struct xp_world *back = m->world, world = e->places[place]->world;
	_Alignas(64) char mixed[1 << 15];
	struct xp_micro reader = *from;
	bool yes;

	memcpy(mixed, world.state, m->prefix_bytes);
	memcpy(mixed + m->prefix_bytes, state + m->prefix_bytes, m->state_bytes - m->prefix_bytes);
	world.state = (uint64_t *)(void *)mixed;
	xp_enter(m, &world);
	yes = step_to(m, &reader, to);
	xp_enter(m, back);
	return yes;
}

/* Makes a fill at its place, with the caches of `state`. False: it needs more than is there. */
static bool fill_into(struct xp_engine *e, const struct xp_fill *fill, char *state)
{
	struct xp_machine *m = &e->m;
	struct xp_world *back = m->world, there = e->places[fill->place]->world;
	struct xp_micro filler = e->micros[e->origins[fill->from].id];
	bool yes;

	memcpy(state, there.state, m->prefix_bytes);
	there.state = (uint64_t *)(void *)state;
	xp_enter(m, &there);
	yes = step_to(m, &filler, &e->micros[fill->to]);
	xp_enter(m, back);
	return yes;
}

/*
 * Does this fill put something into a cache by which `from` becomes `to`, at that place? Either it does so with nothing else
 * cached; or together with what the requests so far have filled in; or, if it takes more than that (two lines that are in conflict,
 * what it needs itself), `from` can take that step right after it and could not right before.
 */
static bool explains(struct attempt *a, uint32_t f, const struct xp_micro *from, const struct xp_micro *to, uint32_t place)
{
	struct xp_engine *e = a->e;
	const struct xp_fill *fill = &e->fills[f];
	struct xp_machine *m = &e->m;
	struct xp_world *back = m->world, there = e->places[fill->place]->world;
	uint8_t script[XP_MAX_CHOICES], counts[XP_MAX_CHOICES];
	unsigned fixed = m->fixed, asked = m->asked;
	_Alignas(64) char state[1 << 15];
	bool yes;

	memcpy(script, m->script, sizeof(script));
	memcpy(counts, m->counts, sizeof(counts));
	memset(state, 0, m->state_bytes);
	yes = fill_into(e, fill, state) && becomes(e, place, state, from, to);
	if (!yes) {
		memcpy(state, a->state, m->state_bytes);
		yes = fill_into(e, fill, state) && becomes(e, place, state, from, to);
	}
	if (!yes) {
		go_before(e, f, &there, state);
		yes = !becomes(e, place, state, from, to);
		if (yes) {
			do_fill(e, fill);
			yes = becomes(e, place, state, from, to);
		}
	}
	xp_enter(m, back);
	memcpy(m->script, script, sizeof(script));
	memcpy(m->counts, counts, sizeof(counts));
	m->fixed = fixed;
	m->asked = asked;
	return yes;
}

static bool on_path(const struct attempt *a, uint32_t place)
{
	for (uint32_t i = 0; i < a->npath; i++) {
		if (a->path[i] == place)
			return true;
	}
	return false;
}

static bool is_made(const struct attempt *a, const struct xp_fill *fill)
{
	for (unsigned i = 0; i < a->nrequests; i++) {
		for (uint32_t s = 0; s < a->requests[i].n; s++) {
			if (a->requests[i].steps[s].time == fill->time)
				return true;
		}
	}
	return false;
}

static bool solve(struct attempt *a)
{
	struct xp_engine *e = a->e;
	unsigned which = 0, candidates = 0;
	uint32_t step = 0, time;
	struct xp_micro from;
	int ret;

	if (a->trials++ >= MAX_TRIALS)
		return false;
	ret = simulate(a, &which, &step);
	if (ret)
		return ret > 0;
	if (a->nrequests == MAX_REQUESTS)
		return false;
	time = a->requests[which].steps[step].time;
	if (step)
		from = e->micros[a->requests[which].steps[step - 1].to];
	else
		from = e->micros[e->starts[a->requests[which].kind][a->requests[which].actor]];
	for (uint32_t f = e->nfills; f-- > 0 && candidates < MAX_CANDIDATES;) {
		const struct xp_fill *fill = &e->fills[f];

		if (fill->time >= time || !on_path(a, fill->place) || is_made(a, fill) ||
		    !explains(a, f, &from, &e->micros[a->requests[which].steps[step].to], a->requests[which].steps[step].place))
			continue;
		candidates++;
		add_chain(a, fill->from);
		add_step(&a->requests[a->nrequests - 1], fill->time, fill->to, fill->place);
		if (solve(a))
			return true;
		free(a->requests[--a->nrequests].steps);
	}
	return false;
}

bool xp_confirm(struct xp_engine *e, uint32_t place, uint32_t origin, struct xp_run *run)
{
	struct attempt a = { .e = e };
	uint32_t n = 1;
	bool yes;

	for (uint32_t at = place; e->places[at]->parent != XP_NONE; at = e->places[at]->parent)
		n++;
	a.path = calloc(n, sizeof(*a.path));
	if (!a.path)
		return false;
	a.npath = n;
	for (uint32_t at = place; n; at = e->places[at]->parent)
		a.path[--n] = at;
	add_chain(&a, origin);
	yes = solve(&a);
	for (unsigned i = 0; i < a.nrequests; i++)
		free(a.requests[i].steps);
	free(a.path);
	if (yes)
		*run = a.run;
	else
		xp_run_free(&a.run);
	return yes;
}

/* ---- Again ---- */

static const char *const kind_names[] = { "", " ATS translation", " translated" };
static const char *const who_names[] = {
	[XP_DEVICE] = "device", [XP_OLD] = "bystander (old domain)", [XP_NEW] = "bystander (new domain)", [XP_SIBLING] = "sibling entry",
	[XP_NEXT] = "device attached later",
};

static void describe(const struct xp_machine *m, const struct xp_event *event, const struct xp_micro *micro, char *text, size_t size)
{
	const struct xp_actor *a = micro ? &m->c->actors[micro->actor] : NULL;
	const struct iommu_request *r = micro ? &micro->request : NULL;

	switch (event->kind) {
	case 'D':
		snprintf(text, size, "driver    %s", m->c->steps.v[m->world->op].text);
		break;
	case 'M':
		snprintf(text, size, "mapper    %s", xp_map_op(m->c, m->world) ? xp_map_op(m->c, m->world)->text : "?");
		break;
	case 'T':
		snprintf(text, size, "hardware  the queue goes on%s", event->nchoices && event->choices[0] ? " (another command first)" : "");
		break;
	case 'F':
		snprintf(text, size, "memory    a store reaches memory");
		break;
	case 'E':
		snprintf(text, size, "dma       %s: ends", who_names[a->role]);
		break;
	case 'P':
		snprintf(text, size, "hardware  a prefetch for the %s: 0x%llx", who_names[a->role], (unsigned long long)a->iova);
		break;
	case 'B':
		snprintf(text, size, "dma       %s: %s of 0x%llx%s begins", who_names[a->role], a->access & IOMMU_WRITE ? "write" : "read",
			 (unsigned long long)a->iova, kind_names[a->kind]);
		break;
	default:
		if (r->state == IOMMU_REQUEST_DONE)
			snprintf(text, size, "dma       %s: reaches 0x%llx", who_names[a->role], (unsigned long long)r->phys);
		else if (r->state == IOMMU_REQUEST_FAULT)
			snprintf(text, size, "dma       %s: faults: %s", who_names[a->role], iommu_model_reason(&m->model, r->reason));
		else if (m->read_addr)
			snprintf(text, size, "hardware  %s: fetches %u bytes at 0x%llx", who_names[a->role], m->read_bytes,
				 (unsigned long long)m->read_addr);
		else
			snprintf(text, size, "hardware  %s: looks into a cache", who_names[a->role]);
		break;
	}
}

enum hitless_violation xp_replay(struct xp_case *c, const struct xp_run *run,
				 void (*show)(void *ctx, unsigned number, const struct xp_event *event, const char *text,
					      const struct iommu_model *model),
				 void *ctx, char *detail, size_t detail_size)
{
	struct xp_machine m;
	struct xp_micro micros[MAX_REQUESTS];
	bool live[MAX_REQUESTS] = { false };
	unsigned n = 0;
	enum hitless_violation what = HITLESS_NO_VIOLATION;

	detail[0] = '\0';
	xp_views(c);
	if (xp_machine_open(&m, c)) {
		xp_machine_close(&m);
		return HITLESS_NO_VIOLATION;
	}
	for (unsigned i = 0; i < run->n && !what; i++) {
		const struct xp_event *event = &run->v[i];
		struct xp_micro *micro = NULL;
		char text[256], before[256];

		switch (event->kind) {
		case 'B':
		case 'P':
			if (n == MAX_REQUESTS || event->which >= c->nactors)
				goto out;
			micro = &micros[n];
			live[n++] = true;
			xp_begin(&m, event->which, micro);
			micro->prefetch = event->kind == 'P';
			break;
		case 'S':
			if (event->which >= n || !live[event->which])
				goto out;
			micro = &micros[event->which];
			memcpy(m.script, event->choices, event->nchoices);
			m.fixed = event->nchoices;
			m.asked = 0;
			if (!xp_step(&m, micro))
				goto out;
			if (m.read_freed) {
				what = HITLESS_FREED_PAGE_WALKED;
				snprintf(detail, detail_size, "a walk read a table page that had been freed");
			} else {
				what = xp_judge(&m, micro, detail, detail_size);
			}
			break;
		case 'E':
			if (event->which >= n || !live[event->which])
				goto out;
			micro = &micros[event->which];
			live[event->which] = false;
			break;
		default:
			describe(&m, event, NULL, before, sizeof(before));
			if (event->kind == 'D' && !xp_op_ready(&m))
				goto out;
			if (event->kind == 'M' && !xp_map_ready(&m))
				goto out;
			if (event->kind == 'F' && event->which >= m.world->npending)
				goto out;
			do_edge(&m, event);
			for (unsigned k = 0; event->kind == 'T' && k < n; k++) {
				if (live[k] && iommu_model_drained(&m.model, &micros[k].request))
					live[k] = false; /* it has ended; nothing is left of it */
			}
			for (unsigned k = 0; k < n && !what; k++) {
				if (live[k])
					what = xp_judge(&m, &micros[k], detail, detail_size);
			}
			break;
		}
		if (micro)
			describe(&m, event, micro, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "%s", before);
		if (show)
			show(ctx, i + 1, event, text, &m.model);
		/* A fault is over. */
		for (unsigned k = 0; k < n; k++) {
			if (live[k] && micros[k].request.state == IOMMU_REQUEST_FAULT)
				live[k] = false;
		}
	}
out:
	xp_machine_close(&m);
	return what;
}
