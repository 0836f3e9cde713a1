/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * commit.c - carries out the steps of a plan: exactly those, in their order.
 *
 * Nothing in here can fail by software: what needs memory was allocated by entry_prepare().
 */
#include "entry.h"

#include <string.h>

int entry_prepare(const struct hitless_port *port, struct iommu_plan *plan)
{
	void *page = NULL;

	for (unsigned i = 0; i < plan->nsteps; i++) {
		struct iommu_step *step = &plan->steps[i];

		if (step->op == IOMMU_STEP_ALLOC) {
			page = port->alloc_pages(port->ctx, step->table->bytes);
			if (!page) {
				entry_unprepare(port, plan);
				return -ENOMEM;
			}
		}
		if (step->op == IOMMU_STEP_STORE && step->place == IOMMU_PLACE_PARENT)
			/* The pointer of a format without a page's address has all its other bits. */
			step->words[0] |= ((uintptr_t)page - port->direct_map) >> step->table->pointer_shift;
		if (step->op == IOMMU_STEP_ALLOC || step->place != IOMMU_PLACE_ENTRY)
			step->page = page;
	}
	return 0;
}

void entry_unprepare(const struct hitless_port *port, struct iommu_plan *plan)
{
	for (unsigned i = 0; i < plan->nsteps; i++) {
		struct iommu_step *step = &plan->steps[i];

		if (step->op == IOMMU_STEP_ALLOC && step->page)
			port->free_pages(port->ctx, step->page, step->table->bytes);
		step->page = NULL;
	}
}

/* One store, as wide as it says. */
static void store_words(const struct hitless_port *port, void *where, const uint64_t *words, unsigned nwords)
{
	if (nwords == 2)
		port->store128(port->ctx, where, words[0], words[1]);
	else
		port->store64(port->ctx, where, words[0]);
}

static void *entry_address(const struct iommu_step *step)
{
	return (char *)step->table->page + step->offset + (size_t)step->quantum * step->nwords * 8;
}

/* The swap that is under way: at most one in a list at a time. */
struct swap {
	struct entry_table *table;	/* whose lock is held */
	bool lent;			/* ... by the caller, until an entry is stored */
	void *old;
};

static void do_store(const struct hitless_port *port, const struct iommu_step *step, struct swap *swap)
{
	struct entry_table *table = step->table, *parent = table->parent;

	if (step->place == IOMMU_PLACE_PARENT) {
		port->lock(port->ctx, &parent->lock);
		store_words(port, (char *)parent->page + table->slot, step->words, step->nwords);
		port->unlock(port->ctx, &parent->lock);
		swap->old = table->page;
		table->page = step->page;
		return;
	}
	if (swap->table != table)
		port->lock(port->ctx, &table->lock);
	store_words(port, entry_address(step), step->words, step->nwords);
	if (swap->lent)
		swap->table = NULL;
	swap->lent = false;
	if (swap->table != table)
		port->unlock(port->ctx, &table->lock);
}

static void do_writeback(const struct hitless_port *port, const struct iommu_step *step, const struct swap *swap)
{
	struct entry_table *table = step->table, *parent = table->parent;

	switch (step->place) {
	case IOMMU_PLACE_PAGE:
		port->writeback(port->ctx, step->page, table->bytes);
		break;
	case IOMMU_PLACE_PARENT:
		port->lock(port->ctx, &parent->lock);
		port->writeback(port->ctx, (char *)parent->page + table->slot, step->nwords * 8);
		port->unlock(port->ctx, &parent->lock);
		break;
	default:
		if (swap->table != table)
			port->lock(port->ctx, &table->lock);
		port->writeback(port->ctx, entry_address(step), step->nwords * 8);
		if (swap->table != table)
			port->unlock(port->ctx, &table->lock);
		break;
	}
}

static void do_copy(const struct iommu_step *step)
{
	const struct entry_table *table = step->table;

	memcpy(step->page, table->page, table->bytes);
	memcpy((char *)step->page + step->offset, step->entry, step->nentry * 8);
}

static bool is_command(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_INVALIDATE || step->op == IOMMU_STEP_WAIT;
}

/* Where the commands end that go to the queue together: with the first that the CPU waits for. */
static const struct iommu_step *end_of_batch(const struct iommu_step *step, const struct iommu_step *end)
{
	while (step < end && is_command(step))
		if (step++->poll)
			break;
	return step;
}

static void do_step(const struct hitless_port *port, const struct iommu_step *step, struct swap *swap)
{
	switch (step->op) {
	case IOMMU_STEP_LOCK:
		port->lock(port->ctx, &step->table->lock);
		swap->table = step->table;
		break;
	case IOMMU_STEP_COPY:
		do_copy(step);
		break;
	case IOMMU_STEP_STORE:
		do_store(port, step, swap);
		break;
	case IOMMU_STEP_WRITEBACK:
		do_writeback(port, step, swap);
		break;
	case IOMMU_STEP_BARRIER:
		port->write_barrier(port->ctx);
		break;
	case IOMMU_STEP_UNLOCK:
		port->unlock(port->ctx, &step->table->lock);
		swap->table = NULL;
		break;
	case IOMMU_STEP_FREE:
		if (swap->old)
			port->free_pages(port->ctx, swap->old, step->table->bytes);
		swap->old = NULL;
		break;
	case IOMMU_STEP_PCI:
		port->pci_write(port->ctx, step->rid, (unsigned)step->words[0], 2, (uint32_t)step->words[1]);
		break;
	default:
		break;
	}
}

int entry_commit(const struct entry_unit *unit, struct iommu_plan *plan, struct entry_table *held)
{
	const struct hitless_port *port = unit->port;
	const struct iommu_step *step = plan->steps, *end = plan->steps + plan->nsteps;
	struct swap swap = { .table = held, .lent = held };
	int err = 0;

	while (step < end && !err) {
		const struct iommu_step *next = end_of_batch(step, end);
		bool commands = next != step;

		next += !commands;
		if (port->trace)
			for (const struct iommu_step *traced = step; traced < next; traced++)
				port->trace(port->ctx, traced);
		if (commands)
			err = unit->commands(unit->unit, step, (unsigned)(next - step));
		else
			do_step(port, step, &swap);
		step = next;
	}
	if (swap.table)
		port->unlock(port->ctx, &swap.table->lock);
	return err;
}

void entry_read(const struct hitless_port *port, struct entry_table *table, size_t offset, uint64_t *words, unsigned nwords)
{
	port->lock(port->ctx, &table->lock);
	entry_read_locked(table, offset, words, nwords);
	port->unlock(port->ctx, &table->lock);
}
