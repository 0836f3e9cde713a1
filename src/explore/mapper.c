/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * mapper.c - another thread in iommu_unmap(), recorded anew for every moment at which its domain's tags could have changed: see domain.c.
 */
#include "domain.h"
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Waits of the mapper must not be those of replace: its commands begin at this slot, and its first wait is this one, counted from
 * the beginning of the replace, whenever it starts. Then what it does can be compared, too. */
#define MAPPER_SLOT 128u
#define MAPPER_WAIT 24u

static int pad_queue(struct xp_scene *s)
{
	struct xp_host *h = &s->host;
	uint64_t words[4 * MAPPER_SLOT] = { 0 };
	unsigned per = h->queue.bytes / 8;

	for (unsigned i = 0; i < MAPPER_SLOT; i++)
		h->arch->wait(true, 0, 0, words + i * per);
	for (;;) {
		unsigned slots = (h->queue.first + h->queue.turn - s->first_slot) % h->queue.turn;
		unsigned waits = h->waits - s->first_wait;
		unsigned fences = waits + 1 < MAPPER_WAIT ? 1 : MAPPER_SLOT - 1 - slots;
		int err;

		if (waits == MAPPER_WAIT)
			return slots == MAPPER_SLOT ? 0 : -E2BIG;
		if (slots + 2 > MAPPER_SLOT || waits > MAPPER_WAIT)
			return -E2BIG;
		err = iommu_unit_submit(s->unit, words, fences);
		if (err)
			return err;
	}
}

static void run_mapper(struct xp_scene *s)
{
	struct xp_host *h = &s->host;
	struct xp_ops *record = h->record;
	const struct iommu_step *step = h->step;
	int err;

	if (record)
		xp_host_sync(h);
	h->record = NULL;
	h->unlocked = NULL;
	err = pad_queue(s);
	xp_start_recording(s, s->list);
	s->unmapped = err ? err : iommu_unmap(s->unmap_from, s->unmap_iova, s->unmap_size);
	xp_stop_recording(s);
	memcpy(h->shadow, h->ram, XP_MAX_PAGES * XP_PAGE);
	h->record = record;
	h->step = step;
	h->commands[0] = '\0';
}

static void mapper_moment(void *ctx, unsigned lock)
{
	struct xp_scene *s = ctx;

	if (lock && (lock == s->unmap_lock || lock == s->unmap_nested_lock) && s->countdown && --s->countdown == 0)
		run_mapper(s);
}

bool xp_mapper_is_old(enum hitless_mapper mapper)
{
	return mapper == HITLESS_MAPPER_OLD || mapper == HITLESS_MAPPER_OLD_TABLE;
}

uint64_t xp_mapper_iova(enum hitless_mapper mapper)
{
	return mapper == HITLESS_MAPPER_OLD || mapper == HITLESS_MAPPER_NEW ? XP_IOVA_GONE : XP_IOVA_ALONE;
}

bool xp_domain_has_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper)
{
	enum iommu_domain_type type;

	if (mapper == HITLESS_MAPPER_NONE)
		return true;
	type = xp_mapper_is_old(mapper) ? cell->from.type : cell->to.type;
	return type == IOMMU_DOMAIN_PAGING || type == IOMMU_DOMAIN_NESTED;
}

/*
 * Unmap in a parent takes the nested domain's lock once it has cleared the page-table entry; here, from the beginning, so that what it
 * flushes is known when it starts. Of what that leaves out, a tag that comes between the two, the flush is the same and the entry is cleared earlier.
 */
static void lock_from_beginning(struct xp_ops *list, unsigned lock)
{
	struct xp_ops all = { 0 };

	xp_op_add(&all, &(struct xp_op){ .kind = XP_LOCK, .addr = lock, .text = "lock the nested domain" });
	for (unsigned i = 0; i < list->n; i++)
		if ((list->v[i].kind != XP_LOCK && list->v[i].kind != XP_UNLOCK) || list->v[i].addr != lock)
			xp_op_add(&all, &list->v[i]);
	xp_op_add(&all, &(struct xp_op){ .kind = XP_UNLOCK, .addr = lock, .text = "unlock the nested domain" });
	free(list->v);
	*list = all;
}

/* What it does when it starts after `moment` unlocks of its domain. */
static int record_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, unsigned moment, struct xp_ops *list)
{
	unsigned side = xp_mapper_is_old(mapper) ? XP_SIDE_OLD : XP_SIDE_NEW;
	struct xp_ops thrown_away = { 0 };
	struct iommu_replace_report report;
	struct xp_scene s;
	int err = xp_scene_open(&s, cell);

	if (err)
		goto out;
	s.unmap_from = s.mapped[side];
	s.unmap_lock = s.domain_locks[side];
	s.unmap_nested_lock = s.nested_locks[side];
	s.unmap_iova = xp_scene_mapped_at(&s, side, xp_mapper_iova(mapper));
	s.unmap_size = xp_mapper_iova(mapper) == XP_IOVA_ALONE ? XP_ALONE_SPAN : XP_PAGE;
	s.list = list;
	s.first_slot = s.host.queue.first;
	s.first_wait = s.host.waits;
	if (!moment) {
		run_mapper(&s);
	} else {
		s.countdown = moment;
		s.host.unlocked = mapper_moment;
		s.host.ctx = &s;
		xp_start_recording(&s, &thrown_away);
		err = xp_scene_replace(&s, &report);
	}
	if (!err && s.unmap_nested_lock)
		lock_from_beginning(list, s.unmap_nested_lock);
	if (!err && s.unmapped != XP_PAGE)
		err = s.unmapped < 0 ? (int)s.unmapped : -EDEADLK;
	if (!err && (s.host.deadlock || s.host.full))
		err = s.host.full ? -E2BIG : -EDEADLK;
out:
	xp_ops_free(&thrown_away);
	xp_scene_close(&s);
	return err;
}

static bool same_ops(const struct xp_ops *a, const struct xp_ops *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		const struct xp_op *x = &a->v[i], *y = &b->v[i];

		if (x->kind != y->kind || x->by_head != y->by_head || x->width != y->width || x->addr != y->addr || x->nbulk != y->nbulk ||
		    memcmp(x->words, y->words, sizeof(x->words)) != 0 ||
		    (x->nbulk && memcmp(x->bulk, y->bulk, x->nbulk * sizeof(*x->bulk)) != 0))
			return false;
	}
	return true;
}

/* Breaks it on purpose. */
static void damage_mapper(struct xp_ops *list, unsigned faults)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->n; i++) {
		struct xp_op *op = &list->v[i];

		if (((faults & HITLESS_UNMAP_NO_FLUSH) && op->kind == XP_SUBMIT) ||
		    ((faults & (HITLESS_UNMAP_NO_FLUSH | HITLESS_UNMAP_NO_WAIT)) && op->kind == XP_WAIT)) {
			free(op->bulk);
			continue;
		}
		list->v[n++] = *op;
	}
	list->n = n;
	for (unsigned i = 0, to = 0; i < n && (faults & HITLESS_UNMAP_EARLY_FREE); i++) {
		struct xp_op op = list->v[i];

		if (op.kind == XP_SUBMIT && !to)
			to = i;
		if (op.kind != XP_FREE || !to)
			continue;
		memmove(&list->v[to + 1], &list->v[to], (i - to) * sizeof(op));
		list->v[to++] = op;
	}
}

/* Tags could have changed. */
static bool is_moment(const struct xp_scene *scene, unsigned side, const struct xp_op *op)
{
	return op->kind == XP_UNLOCK && op->addr && (op->addr == scene->domain_locks[side] || op->addr == scene->nested_locks[side]);
}

/* All lists, and which of them starts where. */
int xp_add_mapper(const struct xp_scene *scene, enum hitless_mapper mapper, struct xp_case *c)
{
	const struct hitless_domain_cell *cell = scene->cell;
	unsigned faults = cell->fault ? cell->fault->bits : 0, moments = 0;
	uint8_t list_of[XP_MAX_PAGES] = { 0 };
	struct xp_mapper *m = &c->mapper;
	unsigned side = xp_mapper_is_old(mapper) ? XP_SIDE_OLD : XP_SIDE_NEW;

	for (unsigned i = 0; i < c->steps.n; i++)
		moments += is_moment(scene, side, &c->steps.v[i]);
	for (unsigned moment = 0; moment <= moments; moment++) {
		struct xp_ops list = { 0 };
		int err;

		if (moment && (faults & HITLESS_UNMAP_OLD_TAGS)) {
			list_of[moment] = list_of[0];
			continue;
		}
		err = moment < sizeof(list_of) ? record_mapper(cell, mapper, moment, &list) : -E2BIG;
		damage_mapper(&list, faults);
		for (unsigned k = 0; k < m->nlists && !list_of[moment] && !err; k++) {
			if (same_ops(&list, &m->lists[k]))
				list_of[moment] = (uint8_t)(k + 1);
		}
		if (!err && !list_of[moment] && m->nlists == XP_MAX_MAPPERS)
			err = -E2BIG;
		if (!err && !list_of[moment]) {
			m->lists[m->nlists++] = list;
			list_of[moment] = (uint8_t)m->nlists;
		} else {
			xp_ops_free(&list);
		}
		if (err)
			return err;
	}
	m->at = calloc(c->steps.n + 1, 1);
	if (!m->at)
		return -ENOMEM;
	for (unsigned i = 0, moment = 0; i <= c->steps.n; i++) {
		m->at[i] = list_of[moment];
		if (i < c->steps.n)
			moment += is_moment(scene, side, &c->steps.v[i]);
	}
	m->iova = xp_mapper_iova(mapper);
	m->phys = xp_scene_data(side) + (m->iova == XP_IOVA_GONE ? 0x5000 : 0x6000);
	m->roles = 1u << XP_DEVICE | 1u << (side == XP_SIDE_OLD ? XP_OLD : XP_NEW);
	return 0;
}
