/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* locks.c - which locks of a recording keep the driver and the mapper apart: the others are no steps. */
#include "scene.h"

#include <stdio.h>

bool xp_visible(const struct xp_op *op)
{
	return op->kind != XP_NOTE && op->kind != XP_RETURN && op->kind != XP_LOCK && op->kind != XP_UNLOCK;
}

/* Is the lock ever held over more than one step that others could see? */
static bool is_held_long(const struct xp_ops *ops, uint64_t lock)
{
	unsigned seen = 0;
	bool held = false;

	for (unsigned i = 0; i < ops->n; i++) {
		const struct xp_op *op = &ops->v[i];

		if ((op->kind == XP_LOCK || op->kind == XP_UNLOCK) && op->addr == lock) {
			held = op->kind == XP_LOCK;
			seen = 0;
		} else if (held && xp_visible(op) && ++seen > 1) {
			return true;
		}
	}
	return false;
}

static bool takes(const struct xp_ops *ops, uint64_t lock)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if (ops->v[i].kind == XP_LOCK && ops->v[i].addr == lock)
			return true;
	}
	return false;
}

static void forget_lock(struct xp_ops *ops, uint64_t lock)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if ((ops->v[i].kind == XP_LOCK || ops->v[i].kind == XP_UNLOCK) && ops->v[i].addr == lock)
			ops->v[i].kind = XP_NOTE;
	}
}

static void drop_notes(struct xp_ops *ops)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ops->n; i++)
		if (ops->v[i].kind != XP_NOTE)
			ops->v[n++] = ops->v[i];
	ops->n = n;
}

/* Taken and let go of with nothing visible in between: one step. */
static void join_locks(struct xp_ops *ops)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if (ops->v[i].kind != XP_LOCK)
			continue;
		for (unsigned k = i + 1; k < ops->n && !xp_visible(&ops->v[k]); k++) {
			if (ops->v[k].kind != XP_UNLOCK || ops->v[k].addr != ops->v[i].addr)
				continue;
			ops->v[i].words[0] = 1;
			snprintf(ops->v[i].text, sizeof(ops->v[i].text), "lock and unlock the mapper's domain");
			ops->v[k].kind = XP_NOTE;
			break;
		}
	}
}

/* A mapper that begins with several locks takes them at once: what it flushes was recorded as if it had them all when it starts. */
static void join_first_locks(struct xp_ops *ops)
{
	unsigned n = 0;

	while (n < ops->n && ops->v[n].kind == XP_LOCK)
		n++;
	for (unsigned i = 1; i < n; i++) {
		ops->v[0].words[1] |= 1ull << ops->v[i].addr;
		ops->v[i].kind = XP_NOTE;
	}
	if (n < 2)
		return;
	snprintf(ops->v[0].text, sizeof(ops->v[0].text), "lock what it keeps locked, all at once");
	drop_notes(ops);
}

/* What keeps nobody out is no step: locks that only one of the two takes, or over one visible step at a time. */
void xp_simplify_locks(struct xp_case *c)
{
	for (unsigned lock = 0; lock < XP_MAX_LOCKS; lock++) {
		bool needed = false, longer = is_held_long(&c->steps, lock);

		for (unsigned k = 0; k < c->mapper.nlists; k++) {
			needed |= takes(&c->mapper.lists[k], lock);
			longer |= is_held_long(&c->mapper.lists[k], lock);
		}
		if (needed && longer && takes(&c->steps, lock))
			continue;
		forget_lock(&c->steps, lock);
		for (unsigned k = 0; k < c->mapper.nlists; k++)
			forget_lock(&c->mapper.lists[k], lock);
	}
	join_locks(&c->steps);
	for (unsigned k = 0; k < c->mapper.nlists; k++) {
		drop_notes(&c->mapper.lists[k]);
		join_first_locks(&c->mapper.lists[k]);
	}
}
