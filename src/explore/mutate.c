/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * mutate.c - damages a recorded sequence: drops a step, swaps two neighbours, narrows a store, changes a tag, moves a free.
 */
#include "arch.h"

#include <layout.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool seen_by_hardware(const struct xp_op *op)
{
	return op->kind != XP_NOTE && op->kind != XP_RETURN;
}

static void drop(struct xp_ops *ops, unsigned i)
{
	free(ops->v[i].bulk);
	memmove(&ops->v[i], &ops->v[i + 1], (ops->n - i - 1) * sizeof(*ops->v));
	ops->n--;
}

/* One store of 128 bits becomes two of 64. */
static void narrow(struct xp_ops *ops, unsigned i, bool high_first)
{
	struct xp_op low = ops->v[i], high = low;
	struct xp_op none = { .kind = XP_NOTE };

	low.width = high.width = 8;
	high.addr += 8;
	high.words[0] = high.words[1];
	snprintf(low.text, sizeof(low.text), "store the low half of that: 0x%llx", (unsigned long long)low.words[0]);
	snprintf(high.text, sizeof(high.text), "store the high half of that: 0x%llx", (unsigned long long)high.words[0]);
	xp_op_add(ops, &none);
	memmove(&ops->v[i + 2], &ops->v[i + 1], (ops->n - i - 2) * sizeof(*ops->v));
	ops->v[i] = high_first ? high : low;
	ops->v[i + 1] = high_first ? low : high;
}

/* *n counts down to the one that is wanted. */
static int mutate(const struct xp_arch *arch, struct xp_ops *ops, unsigned *n, char *text, size_t size)
{
	/* A wait for a command that isn't sent would never end: those two go together. */
	for (unsigned i = 0; i < ops->n; i++) {
		struct xp_op *op = &ops->v[i];

		if (!seen_by_hardware(op) || (op->kind == XP_SUBMIT && i + 1 < ops->n && ops->v[i + 1].kind == XP_WAIT))
			continue;
		if (--*n == 0) {
			snprintf(text, size, "without: %.100s", op->text);
			drop(ops, i);
			return 0;
		}
	}
	for (unsigned i = 0, last = XP_NONE; i < ops->n; i++) {
		if (!seen_by_hardware(&ops->v[i]))
			continue;
		/* Not a wait before the command that ends it. */
		if (last != XP_NONE && ops->v[i].kind != XP_WAIT && --*n == 0) {
			struct xp_op op = ops->v[i];

			snprintf(text, size, "swapped: %.50s, %.50s", ops->v[last].text, op.text);
			ops->v[i] = ops->v[last];
			ops->v[last] = op;
			return 0;
		}
		last = i;
	}
	for (unsigned i = 0; i < ops->n; i++) {
		for (unsigned high = 0; high < 2; high++) {
			if (ops->v[i].kind == XP_STORE && ops->v[i].width == 16 && --*n == 0) {
				snprintf(text, size, "%s half first: %.90s", high ? "high" : "low", ops->v[i].text);
				narrow(ops, i, high);
				return 0;
			}
		}
	}
	for (unsigned i = 0; i < ops->n; i++) {
		unsigned lsb, width;

		if (ops->v[i].kind == XP_SUBMIT && arch->tag(ops->v[i].words, &lsb, &width) && --*n == 0) {
			layout_set(ops->v[i].words, lsb, width, layout_get(ops->v[i].words, lsb, width) ^ 1);
			snprintf(text, size, "another tag in: %.100s", ops->v[i].text);
			return 0;
		}
	}
	/* A free right after the last store. */
	for (unsigned i = 0; i < ops->n; i++) {
		if (ops->v[i].kind == XP_FREE && --*n == 0) {
			struct xp_op op = ops->v[i];
			unsigned to = i;

			while (to > 0 && ops->v[to - 1].kind != XP_STORE)
				to--;
			memmove(&ops->v[to + 1], &ops->v[to], (i - to) * sizeof(*ops->v));
			ops->v[to] = op;
			snprintf(text, size, "early: %.100s", op.text);
			return 0;
		}
	}
	return -ENOENT;
}

int xp_mutate(const struct xp_arch *arch, struct xp_ops *ops, unsigned n, char *text, size_t size)
{
	return mutate(arch, ops, &n, text, size);
}

unsigned xp_count_mutants(const struct xp_arch *arch, struct xp_ops *ops)
{
	unsigned left = UINT_MAX;
	char text[1];

	mutate(arch, ops, &left, text, sizeof(text));
	return UINT_MAX - left;
}
