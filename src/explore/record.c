/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * record.c - has the planner and the commit engine of libhitless change an entry, and writes down what they do.
 *
 * The engine works on the case's own RAM, through a port that notes every store. Whatever else has changed in memory between
 * two calls of the port (a table page that was copied) is found by comparison.
 */
#include "arch.h"
#include "entry.h"

#include <layout.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recorder {
	const struct xp_arch *arch;
	const struct hitless_cell *cell;
	struct xp_case *c;
	const struct xp_target *target;
	uint64_t *shadow;		/* RAM as it was at the last call */
	unsigned pages;			/* handed out of the pool */
	uint32_t sequence;
	unsigned ats_switches;
	const struct iommu_step *step;	/* the engine is at */
	uint64_t now[IOMMU_ENTRY_WORDS];
};

static void add(struct recorder *r, struct xp_op op)
{
	xp_op_add(&r->c->steps, &op);
}

/* Plain stores since the last call. */
static void plain_stores(struct recorder *r)
{
	struct xp_op op = { .kind = XP_BULK };
	unsigned n = 0;

	for (uint64_t i = 0; i < r->c->pages * XP_PAGE_WORDS; i++)
		n += r->c->ram[i] != r->shadow[i];
	if (!n)
		return;
	op.bulk = malloc(n * sizeof(*op.bulk));
	if (!op.bulk)
		abort();
	for (uint64_t i = 0; i < r->c->pages * XP_PAGE_WORDS; i++) {
		if (r->c->ram[i] == r->shadow[i])
			continue;
		op.bulk[op.nbulk][0] = i * 8;
		op.bulk[op.nbulk++][1] = r->c->ram[i];
		r->shadow[i] = r->c->ram[i];
	}
	snprintf(op.text, sizeof(op.text), "fill the new page (%u words)", n);
	add(r, op);
}

static uint64_t phys(const struct recorder *r, const void *memory)
{
	return (uint64_t)((const char *)memory - (const char *)r->c->ram);
}

static void store(struct recorder *r, void *entry, const uint64_t *words, unsigned width)
{
	struct xp_op op = { .kind = XP_STORE, .width = width, .addr = phys(r, entry) };
	char text[120];

	plain_stores(r);
	memcpy(op.words, words, width);
	memcpy(entry, words, width);
	memcpy((char *)r->shadow + op.addr, words, width);
	if (op.addr / XP_PAGE == r->target->parent / XP_PAGE) {
		snprintf(op.text, sizeof(op.text), "store %s: pointer 0x%llx", r->arch->format->parent,
			 (unsigned long long)(words[0] << r->target->pointer_shift & ~0xfffull));
	} else {
		uint64_t next[IOMMU_ENTRY_WORDS];
		unsigned first = (unsigned)(op.addr % XP_PAGE - r->target->offset) / 8;

		memcpy(next, r->now, sizeof(next));
		memcpy(next + first, words, width);
		r->arch->changes(r->now, next, first, width / 8, text, sizeof(text));
		memcpy(r->now, next, sizeof(next));
		snprintf(op.text, sizeof(op.text), "store %s, %u bits at word %u: %s", r->arch->format->name, width * 8, first, text);
	}
	add(r, op);
}

static void port_store64(void *ctx, void *entry, uint64_t value)
{
	store(ctx, entry, &value, 8);
}

static void port_store128(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	const uint64_t words[2] = { low, high };

	store(ctx, entry, words, 16);
}

static void note(struct recorder *r, const char *text)
{
	struct xp_op op = { .kind = XP_NOTE };

	plain_stores(r);
	snprintf(op.text, sizeof(op.text), "%s", text);
	add(r, op);
}

static void port_barrier(void *ctx)
{
	note(ctx, "barrier");
}

static void port_writeback(void *ctx, const void *memory, size_t bytes)
{
	struct recorder *r = ctx;
	struct xp_op op = { .kind = XP_WRITEBACK, .addr = phys(r, memory), .width = (uint32_t)bytes };

	plain_stores(r);
	snprintf(op.text, sizeof(op.text), "write back %zu bytes at 0x%llx", bytes, (unsigned long long)op.addr);
	add(r, op);
}

static void port_lock(void *ctx, struct hitless_lock *lock)
{
	(void)lock;
	note(ctx, "lock");
}

static void port_unlock(void *ctx, struct hitless_lock *lock)
{
	(void)lock;
	note(ctx, "unlock");
}

static void *port_alloc_pages(void *ctx, size_t bytes)
{
	struct recorder *r = ctx;

	if (bytes != XP_PAGE || r->pages == 3)
		return NULL;
	return (char *)r->c->ram + r->target->pool + r->pages++ * XP_PAGE;
}

static void port_free_pages(void *ctx, void *pages, size_t bytes)
{
	struct recorder *r = ctx;
	struct xp_op op = { .kind = XP_FREE, .addr = phys(r, pages) };

	(void)bytes;
	plain_stores(r);
	snprintf(op.text, sizeof(op.text), "free the page at 0x%llx", (unsigned long long)op.addr);
	add(r, op);
}

/* The ATS control register. Off comes first if the device may have a TLB now. */
static void port_pci_write(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	struct recorder *r = ctx;
	struct xp_op op = { .kind = XP_ATS, .addr = rid };

	(void)offset;
	(void)size;
	(void)value;
	plain_stores(r);
	op.words[0] = !r->target->ats_before != (r->ats_switches++ % 2 != 0);
	snprintf(op.text, sizeof(op.text), "switch the device's ATS %s", op.words[0] ? "on" : "off");
	add(r, op);
}

static int commands(void *unit, const struct iommu_step *steps, unsigned count)
{
	struct recorder *r = unit;
	uint64_t status = r->target->status;

	plain_stores(r);
	for (unsigned i = 0; i < count; i++) {
		const struct iommu_step *step = &steps[i];
		struct xp_op op = { .kind = XP_SUBMIT };
		unsigned lsb, width;
		int text;

		if (step->op == IOMMU_STEP_INVALIDATE) {
			if (!step->nwords)
				continue; /* a write buffer: the model has none */
			memcpy(op.words, step->words, step->nwords * 8);
			text = snprintf(op.text, sizeof(op.text), "command %s, %s", step->structure, step->scope);
			if (r->arch->tag(step->words, &lsb, &width))
				snprintf(op.text + text, sizeof(op.text) - (size_t)text, ", tag %u",
					 (unsigned)layout_get(step->words, lsb, width));
			add(r, op);
		} else if (!step->poll) {
			r->arch->wait(true, 0, 0, op.words);
			op.orders = true;
			snprintf(op.text, sizeof(op.text), "command wait (the queue orders what follows)");
			add(r, op);
		} else {
			r->sequence++;
			r->arch->wait(false, status + r->sequence * 8, r->sequence, op.words);
			op.orders = true;
			snprintf(op.text, sizeof(op.text), "command wait, with status");
			add(r, op);
			op = (struct xp_op){ .kind = XP_WAIT, .addr = status + r->sequence * 8, .words = { r->sequence } };
			snprintf(op.text, sizeof(op.text), "wait until all that is done");
			add(r, op);
		}
	}
	return 0;
}

int xp_record(const struct xp_arch *arch, const struct hitless_cell *cell, struct xp_case *c, const struct xp_target *t,
	      struct iommu_plan *plan)
{
	struct recorder r = { .arch = arch, .cell = cell, .c = c, .target = t };
	size_t bytes = c->pages * XP_PAGE;
	uint64_t *saved = malloc(bytes);
	char *base = (char *)c->ram;
	struct entry_table parent = { .page = base + t->parent, .bytes = XP_PAGE };
	struct entry_table table = { .page = base + t->table, .bytes = XP_PAGE, .parent = &parent, .slot = t->slot,
				     .pointer_shift = t->pointer_shift, .pointer_bits = t->pointer_bits };
	const struct hitless_port port = {
		.ctx = &r,
		.direct_map = (uintptr_t)c->ram,
		.alloc_pages = port_alloc_pages,
		.free_pages = port_free_pages,
		.pci_write = port_pci_write,
		.store64 = port_store64,
		.store128 = port_store128,
		.write_barrier = port_barrier,
		.writeback = port_writeback,
		.lock = port_lock,
		.unlock = port_unlock,
	};
	const struct entry_unit unit = { &port, &r, commands };
	struct iommu_plan_request request = {
		.format = arch->format,
		.before = cell->before,
		.after = cell->after,
		.quantum = cell->quantum,
		.facts = cell->facts,
		.strategies = cell->strategies,
		.rid = t->rid,
		.pasid = t->pasid,
		.temporary_tag = arch->temporary_tag,
		.before_tag = t->before_tag,
		.after_tag = t->after_tag,
		.standin = { t->has_standin[0] ? t->standin[0] : NULL, t->has_standin[1] ? t->standin[1] : NULL },
		.standin_bytes = t->standin_bytes,
		.chain = { t->chain[0], t->chain[1], t->chain[2] },
		.nchain = t->nchain,
	};
	int err;

	memset(plan, 0, sizeof(*plan));
	r.shadow = malloc(bytes);
	if (!saved || !r.shadow) {
		err = -ENOMEM;
		goto out;
	}
	memcpy(saved, c->ram, bytes);
	memcpy(r.shadow, c->ram, bytes);
	memcpy(r.now, cell->before, sizeof(r.now));
	err = iommu_plan(&request, plan);
	if (err)
		goto out;
	plan->capacity = plan->nsteps;
	plan->steps = calloc(plan->nsteps + 1, sizeof(*plan->steps));
	if (!plan->steps) {
		err = -ENOMEM;
		goto out;
	}
	err = iommu_plan(&request, plan);
	for (unsigned i = 0; !err && i < plan->nsteps; i++) {
		if (t->pointer_bits && plan->steps[i].op == IOMMU_STEP_STORE && plan->steps[i].place == IOMMU_PLACE_PARENT)
			plan->steps[i].words[0] = t->pointer_bits;
		plan->steps[i].table = &table;
		plan->steps[i].offset = t->offset;
	}
	if (!err)
		err = entry_prepare(&port, plan);
	if (!err)
		err = entry_commit(&unit, plan, NULL);
	plain_stores(&r);
	c->disruptive = !plan->hitless;
	memcpy(c->ram, saved, bytes);
out:
	free(plan->steps);
	plan->steps = NULL;
	free(saved);
	free(r.shadow);
	return err;
}
