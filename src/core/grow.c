/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * grow.c - a level more on top of the page table of a domain that is attached.
 *
 * The new root's first entry points to the old root, so both map the same: every entry that has the old root is stored anew,
 * one after another, with the same tag, and whoever still has the old root meanwhile loses nothing. It is a plan and a commit
 * as in switch.c; what can fail comes before the first store.
 *
 * No group may enter or leave the domain meanwhile, because the list of its attachments must stand still, and so must its
 * root while a switch has it in a plan. But a switch lasts long, and holding a lock over it would let groups that share a domain
 * wait for each other. So the domain counts the switches that are under way, and one grower waits until there are none; new
 * ones wait for him. A switch between two domains enters them in the order of their addresses.
 */
#include "core.h"

#include <string.h>

static void lock_domain(struct iommu_domain *domain)
{
	domain->port->lock(domain->port->ctx, &domain->lock);
}

static void unlock_domain(struct iommu_domain *domain)
{
	domain->port->unlock(domain->port->ctx, &domain->lock);
}

/* Lets others have the domain's lock. */
static void give_way(struct iommu_domain *domain)
{
	unlock_domain(domain);
	domain->port->relax(domain->port->ctx);
	lock_domain(domain);
}

/* ---- Switches ---- */

static void begin_one(struct iommu_domain *domain)
{
	if (!domain || !domain->grows)
		return;
	lock_domain(domain);
	while (domain->growing)
		give_way(domain);
	domain->switching++;
	unlock_domain(domain);
}

bool domain_try_switch(struct iommu_domain *domain)
{
	bool begun;

	if (!domain->grows)
		return true;
	lock_domain(domain);
	begun = !domain->growing;
	domain->switching += begun;
	unlock_domain(domain);
	return begun;
}

static void end_one(struct iommu_domain *domain)
{
	if (!domain || !domain->grows)
		return;
	lock_domain(domain);
	domain->switching--;
	unlock_domain(domain);
}

void domain_begin_switch(struct iommu_domain *old, struct iommu_domain *new)
{
	bool old_first = (uintptr_t)old < (uintptr_t)new;

	begin_one(old_first ? old : new);
	begin_one(old_first ? new : old);
}

void domain_end_switch(struct iommu_domain *old, struct iommu_domain *new)
{
	end_one(old);
	end_one(new);
}

/* ---- Entries ---- */

/* What there is to do on one unit. */
struct unit_job {
	struct iommu_unit *unit;
	struct entry_change *changes;
	unsigned nchanges;
	struct iommu_plan plan;
};

struct growth {
	struct iommu_domain *domain;
	struct unit_job *jobs;
	unsigned njobs, nchanges, nsteps;
	void *memory;
	size_t memory_bytes;
	struct iommu_step *steps;
};

static int plan_change(struct growth *g, const struct domain_tag *tag, const struct iommu_attachment *at, unsigned rid,
		       struct entry_change *change, unsigned number)
{
	struct entry_place places[MAX_PLACES];
	unsigned n = places_of(at->device, rid, at->pasid, g->domain, g->domain, places);

	/* Where there are more, the others lead to this one. */
	begin_change(change, at->device, rid, &places[n - 1], g->domain, tag->tag);
	change->device = number;
	if (at->device->pasid_bits)
		change->ats = ENTRY_ATS_STAYS;
	change->request.facts |= IOMMU_PLAN_SUPERSET;
	change->request.strategies = IOMMU_STRATEGY_ANY & ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK);
	change->request.before_tag = change->request.after_tag = tag->tag;
	return entry_choose(change);
}

static unsigned requesters(const struct domain_tag *tag)
{
	unsigned n = 0;

	for (const struct iommu_attachment *at = tag->attachments; at; at = at->next)
		n += at->device->nrids;
	return n;
}

static void emit_job(struct unit_job *job, struct iommu_step *v, unsigned capacity)
{
	struct entry_steps steps = { .v = v, .capacity = capacity };

	for (unsigned i = 0; i < job->nchanges; i++)
		entry_emit(&steps, &job->changes[i]);
	entry_finish(&steps, job->changes, job->nchanges);
	job->plan = (struct iommu_plan){ .hitless = true, .steps = v, .nsteps = steps.n, .capacity = capacity, .cost = steps.cost };
	for (unsigned i = 0; i < job->nchanges; i++)
		if (job->changes[i].strategy > job->plan.strategy)
			job->plan.strategy = job->changes[i].strategy;
}

static int plan_all(struct growth *g)
{
	struct unit_job *job = g->jobs;
	struct entry_change *change = (struct entry_change *)(g->jobs + g->njobs);
	int err;

	for (struct domain_tag *tag = g->domain->tags; tag; tag = tag->next, job++) {
		job->unit = tag->unit;
		job->changes = change;
		for (struct iommu_attachment *at = tag->attachments; at; at = at->next)
			for (unsigned rid = 0; rid < at->device->nrids; rid++) {
				err = plan_change(g, tag, at, rid, change++, job->nchanges++);
				if (err)
					return err;
			}
		if (unit_is_lost(job->unit))
			return -EIO;
		emit_job(job, NULL, 0);
		g->nsteps += job->plan.nsteps;
	}
	return 0;
}

/* All that can fail. */
static int prepare(struct growth *g)
{
	const struct hitless_port *port = g->domain->port;
	struct iommu_step *v;
	int err;

	for (struct domain_tag *tag = g->domain->tags; tag; tag = tag->next) {
		g->njobs++;
		g->nchanges += requesters(tag);
	}
	if (!g->nchanges)
		return 0;
	g->memory_bytes = g->njobs * sizeof(*g->jobs) + g->nchanges * sizeof(struct entry_change);
	g->memory = port->alloc(port->ctx, g->memory_bytes);
	if (!g->memory)
		return -ENOMEM;
	g->jobs = g->memory;
	err = plan_all(g);
	if (err)
		return err;
	v = g->steps = port->alloc(port->ctx, g->nsteps * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (unsigned i = 0; i < g->njobs; i++) {
		unsigned capacity = g->jobs[i].plan.nsteps;

		emit_job(&g->jobs[i], v, capacity);
		v += capacity;
		err = entry_prepare(port, &g->jobs[i].plan);
		if (err) {
			while (i-- > 0)
				entry_unprepare(port, &g->jobs[i].plan);
			return err;
		}
	}
	return 0;
}

static int commit(struct growth *g)
{
	const struct hitless_port *port = g->domain->port;
	int err = 0;

	for (unsigned i = 0; i < g->njobs && g->steps && !err; i++) {
		if (port->review)
			port->review(port->ctx, &g->jobs[i].plan);
		err = unit_commit(g->jobs[i].unit, &g->jobs[i].plan);
	}
	return err;
}

static void free_growth(struct growth *g)
{
	const struct hitless_port *port = g->domain->port;

	if (g->steps)
		port->free(port->ctx, g->steps, g->nsteps * sizeof(*g->steps));
	if (g->memory)
		port->free(port->ctx, g->memory, g->memory_bytes);
}

/* Just what differs: whether a table may grow, and so whether a domain suits a unit, is read without the lock. */
static void adopt(struct iommu_pgtable *pt, const struct iommu_pgtable *other)
{
	pt->config.levels = other->config.levels;
	pt->root = other->root;
	pt->last = other->last;
	pt->grow_last = other->grow_last;
	pt->table_bytes = other->table_bytes;
}

/* One level. Under the domain's lock. */
static RARE int grow(struct iommu_domain *domain)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;
	struct iommu_pgtable old = domain->pgtable, grown;
	struct growth g = { .domain = domain };
	int err = old.ops->grow(&domain->pgtable, &grown, &gather);

	if (err)
		return err;
	/* For make_entry. */
	adopt(&domain->pgtable, &grown);
	err = prepare(&g);
	if (err) {
		adopt(&domain->pgtable, &old);
		grown.ops->ungrow(&grown);
	} else {
		err = commit(&g);
		if (err)
			/* Some have the old root, some the new one: neither is ever freed. */
			domain->quarantined = true;
		else
			iommu_gather_free(&domain->pgtable, &gather);
	}
	free_growth(&g);
	return err;
}

int domain_grow(struct iommu_domain *domain, uint64_t last)
{
	int err = 0;

	if (last <= domain->pgtable.last)
		return 0;
	while (domain->growing)
		give_way(domain);
	/* Their entries have the root too. None comes while it grows. */
	if (domain->nested)
		return -EOPNOTSUPP;
	domain->growing = true;
	while (domain->switching)
		give_way(domain);
	while (last > domain->pgtable.last && !err)
		err = domain->quarantined ? -EIO : grow(domain);
	domain->growing = false;
	return err;
}
