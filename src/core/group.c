/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * group.c - groups: attach, replace, detach. Every change of a group's domain is one *switch*:
 *
 *	check	can every device of the group use the new domain?
 *	plan	a tag of the new domain on every unit, a plan for every requester's entry
 *	prepare	memory for all of it
 *	commit	cannot fail by software
 *	leave	the old domain's tags
 *
 * Whatever fails before commit is undone, and no table entry and no tag has changed.
 */
#include "core.h"

#include <string.h>

/* What a switch does on one unit: the group's requesters there, in one list of steps. */
struct job {
	struct iommu_unit *unit;
	struct domain_tag *old_tag, *new_tag;	/* NULL: that side has no tag */
	uint32_t new_number;			/* the new tag's, or what it might be in a query */
	bool inherits;				/* no number is free: the old domain's goes over to the new one */
	struct domain_tag lent_old, lent_new;	/* during a hop: each domain's tag, lent to the other domain */
	struct domain_tag lent_temporary[2];	/* the temporary tag, lent to both */
	uint32_t temporary_tag;			/* 0: none */
	unsigned temporary_space;
	bool hops;				/* some strategy pollutes a tag for a while */
	bool needs_old, needs_new;		/* ... the old or the new domain's own, which must be private for that */
	struct entry_change *changes;
	unsigned nchanges, filled;
	struct iommu_plan plan;
};

struct switching {
	struct iommu_group *group;
	struct iommu_device *only;		/* just this device, which comes from blocked; NULL: all */
	struct iommu_domain *old, *new;		/* NULL: blocked */
	unsigned strategies, assumptions;
	bool query;				/* plan, but allocate nothing that others could miss */
	bool starved;				/* there was no memory for the cheapest strategy */
	bool touched;				/* the hardware stopped answering after the first step */
	struct iommu_unit *reserve;		/* whose reserve to use instead of the port's memory */
	struct job *jobs;
	unsigned njobs, nrequesters, nsteps;
	void *memory;
	size_t memory_bytes;
	struct iommu_step *steps;
	size_t steps_bytes;
};

static const struct hitless_port *port_of(const struct switching *s)
{
	return s->group->port;
}

/* The domain if it lets anything through. */
static struct iommu_domain *passing(struct iommu_domain *domain)
{
	return domain && domain->type != IOMMU_DOMAIN_BLOCKED ? domain : NULL;
}

static bool has_tag(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	return domain && domain->type != IOMMU_DOMAIN_BLOCKED && unit->ops->tag_space(unit, domain) != NO_TAG_SPACE;
}

static struct iommu_device *first_device(const struct switching *s)
{
	return s->only ? s->only : s->group->devices;
}

static struct iommu_device *next_device(const struct switching *s, const struct iommu_device *device)
{
	return s->only ? NULL : device->next_in_group;
}

#define for_each_device(s, device) for (device = first_device(s); device; device = next_device(s, device))

/* ---- Check ---- */

static bool has_direct_region(const struct iommu_device *device)
{
	for (unsigned i = 0; i < device->nresv; i++)
		if (device->resv[i].type == IOMMU_RESV_DIRECT)
			return true;
	return false;
}

static int check(const struct switching *s)
{
	struct iommu_device *device;
	int err;

	for_each_device(s, device) {
		if (unit_is_lost(device->unit))
			return -EIO;
		if (!passing(s->new) && has_direct_region(device))
			return -EINVAL;
		if (!s->new)
			continue;
		if (s->new->ops != device->unit->ops)
			return -EINVAL;
		err = device->unit->ops->domain_check(device->unit, device, s->new);
		if (err)
			return err;
	}
	return 0;
}

/* ---- Reserved regions ---- */

static uint64_t region_phys(const struct iommu_resv_region *region)
{
	return region->type == IOMMU_RESV_MSI ? region->phys : region->iova;
}

/* 1: mapped as it must be; 0: not mapped at all; -EINVAL: mapped, but otherwise. */
static int region_state(struct iommu_domain *domain, const struct iommu_resv_region *region)
{
	uint64_t mapped = 0, phys;
	unsigned rights;

	for (uint64_t offset = 0; offset < region->size; offset += HITLESS_PAGE_SIZE) {
		if (domain_lookup(domain, region->iova + offset, &phys, &rights))
			continue;
		if (phys != region_phys(region) + offset || (region->prot & ~rights))
			return -EINVAL;
		mapped += HITLESS_PAGE_SIZE;
	}
	if (!mapped)
		return 0;
	return mapped == region->size ? 1 : -EINVAL;
}

static int map_region(struct iommu_domain *domain, const struct iommu_resv_region *region)
{
	int err = iommu_map(domain, region->iova, region_phys(region), region->size, region->prot);

	/* Another group with the same region may have been faster. */
	if (err == -EEXIST)
		err = region_state(domain, region) == 1 ? 0 : -EINVAL;
	return err;
}

/*
 * What the devices need in the new domain before they enter it. First a look at all of it, then what is missing is mapped, if `map`.
 * It stays there, also if the switch fails later: another group may rely on it by then.
 */
static int need_regions(const struct switching *s, bool map)
{
	struct iommu_device *device;

	if (!s->new || s->new->type != IOMMU_DOMAIN_PAGING)
		return 0;
	for_each_device(s, device) {
		for (unsigned i = 0; i < device->nresv; i++) {
			const struct iommu_resv_region *region = &device->resv[i];
			int state;

			if (region->type == IOMMU_RESV_RESERVED)
				continue;
			state = region_state(s->new, region);
			if (state == 0 && map)
				state = map_region(s->new, region);
			if (state < 0)
				return state;
		}
	}
	return 0;
}

/* ---- Plan ---- */

static struct job *job_of(struct switching *s, struct iommu_unit *unit)
{
	for (unsigned i = 0; i < s->njobs; i++)
		if (s->jobs[i].unit == unit)
			return &s->jobs[i];
	return NULL;
}

/* One job per unit, one change per requester. */
static int make_jobs(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	struct entry_change *changes;
	struct iommu_device *device;
	unsigned units = 0;

	for_each_device(s, device) {
		s->nrequesters += device->nrids;
		units++;
	}
	if (!units)
		return 0;
	s->memory_bytes = units * sizeof(*s->jobs) + s->nrequesters * sizeof(*changes);
	s->memory = s->reserve ? memset(s->reserve->reserve, 0, s->memory_bytes) : port->alloc(port->ctx, s->memory_bytes);
	if (!s->memory)
		return -ENOMEM;
	s->jobs = s->memory;
	changes = (struct entry_change *)(s->jobs + units);
	for_each_device(s, device) {
		struct job *job = job_of(s, device->unit);

		if (!job) {
			job = &s->jobs[s->njobs++];
			job->unit = device->unit;
		}
		job->nchanges += device->nrids;
	}
	for (unsigned i = 0; i < s->njobs; i++) {
		s->jobs[i].changes = changes;
		changes += s->jobs[i].nchanges;
	}
	return 0;
}

/* No number is free, but the only user of the old domain's can take it along: through the blocking entry and a flush. */
static int inherit_tag(struct switching *s, struct job *job)
{
	uint32_t number;
	unsigned users;

	unsigned space = job->unit->ops->tag_space(job->unit, s->new);

	int err;

	if (!job->old_tag || job->old_tag->space != space || job->nchanges != 1 || !domain_peek_tag(s->old, job->unit, &number, &users) || users != 1)
		return -ENOSPC;
	job->new_number = number;
	if (s->query) {
		job->inherits = true;
		return 0;
	}
	/* Nobody else may come to the old domain's tag from here on. */
	if (!domain_begin_hop(s->old, job->old_tag))
		return -ENOSPC;
	err = domain_inherit_tag(s->new, job->unit, number, &job->new_tag);
	if (err)
		domain_end_hop(s->old, job->old_tag);
	else
		job->inherits = true;
	return err;
}

static int get_tag(struct switching *s, struct job *job)
{
	unsigned users, space;
	int err = 0;

	if (has_tag(job->unit, s->old))
		job->old_tag = domain_find_tag(s->old, job->unit);
	if (!has_tag(job->unit, s->new))
		return 0;
	space = job->unit->ops->tag_space(job->unit, s->new);
	if (s->query) {
		if (domain_peek_tag(s->new, job->unit, &job->new_number, &users))
			return 0;
		err = unit_peek_free_tag(job->unit, space, &job->new_number) ? 0 : -ENOSPC;
	} else {
		err = domain_get_tag(s->new, job->unit, job->nchanges, &job->new_tag);
		if (!err)
			job->new_number = job->new_tag->tag;
	}
	return err == -ENOSPC ? inherit_tag(s, job) : err;
}

static void put_tags(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs; i++) {
		struct job *job = &s->jobs[i];

		if (!job->new_tag)
			continue;
		domain_put_tag(s->new, job->new_tag, job->nchanges);
		job->new_tag = NULL;
		if (job->inherits)
			domain_end_hop(s->old, job->old_tag);
		job->inherits = false;
	}
}

/* All of them or none; where somebody's hop is in the way, none is held while it is waited for. */
static int get_tags(struct switching *s)
{
	for (;;) {
		int err = 0;

		for (unsigned i = 0; i < s->njobs && !err; i++)
			err = get_tag(s, &s->jobs[i]);
		if (err != -EAGAIN)
			return err;
		put_tags(s);
		port_of(s)->relax(port_of(s)->ctx);
	}
}

static unsigned tag_facts(const struct switching *s, const struct job *job)
{
	unsigned facts = 0, users = 0, mine = s->query ? 0 : job->nchanges;
	uint32_t number;

	if (job->old_tag && domain_peek_tag(s->old, job->unit, &number, &users) && users == 1)
		facts |= IOMMU_PLAN_OLD_PRIVATE;
	users = 0;
	if (has_tag(job->unit, s->new))
		domain_peek_tag(s->new, job->unit, &number, &users);
	if (users == mine && job->nchanges == 1)
		facts |= IOMMU_PLAN_NEW_PRIVATE;
	return facts;
}

static int plan_change(struct switching *s, struct job *job, struct iommu_device *device, unsigned rid)
{
	struct iommu_unit *unit = job->unit;
	struct entry_change *change = &job->changes[job->filled++];
	struct iommu_plan_request *request = &change->request;
	unsigned words = unit->ops->format->words;
	int err;

	memset(change, 0, sizeof(*change));
	change->device = job->filled - 1;
	change->table = device->entry[rid].table;
	change->offset = device->entry[rid].offset;
	change->ats_control = device->ats_control;
	change->ats_on = device->ats_on;
	change->ats_off = device->ats_off;
	entry_read(port_of(s), change->table, change->offset, change->before, words);
	unit->ops->make_entry(unit, device, s->new, job->new_number, change->before, change->after);
	request->before_tag = job->old_tag ? job->old_tag->tag : ENTRY_NO_TAG;
	request->after_tag = has_tag(unit, s->new) ? job->new_number : ENTRY_NO_TAG;
	request->format = unit->ops->format;
	request->before = change->before;
	request->after = change->after;
	request->quantum = unit->quantum;
	request->facts = unit->facts | tag_facts(s, job) | s->assumptions;
	if (device->ats)
		request->facts |= IOMMU_PLAN_ATS;
	if (!change->table->parent)
		request->facts |= IOMMU_PLAN_NO_PARENT;
	request->strategies = s->strategies;
	/* Its firmware's DMA goes on: it is never blocked, not even for a moment. */
	if (has_direct_region(device))
		request->strategies &= ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK);
	request->rid = device->rids[rid];
	request->pasid = unit->ops->rid_pasid(unit);
	request->temporary_tag = job->temporary_tag;
	err = entry_choose(change);
	if (err)
		return err;
	switch (change->strategy) {
	case IOMMU_STRATEGY_SAME_TAG:
	case IOMMU_STRATEGY_TAG_HOP:
		job->hops = true;
		if (request->facts & IOMMU_PLAN_OLD_PRIVATE)
			job->needs_old = true;
		else
			job->needs_new = true;
		break;
	case IOMMU_STRATEGY_TEMPORARY_TAG:
		job->hops = true;
		break;
	default:
		break;
	}
	return 0;
}

static int plan_all(struct switching *s)
{
	struct iommu_device *device;

	for (unsigned i = 0; i < s->njobs; i++) {
		s->jobs[i].filled = 0;
		s->jobs[i].hops = s->jobs[i].needs_old = s->jobs[i].needs_new = false;
	}
	for_each_device(s, device)
		for (unsigned rid = 0; rid < device->nrids; rid++) {
			int err = plan_change(s, job_of(s, device->unit), device, rid);

			if (err)
				return err;
		}
	return 0;
}

/* ---- Tag hops: only with an assumption that the caller has made ---- */

/* For a query: a number that is neither side's, if any is free. */
static uint32_t imagined_tag(const struct job *job)
{
	uint32_t number;

	if (!unit_peek_free_tag(job->unit, job->temporary_space, &number))
		return 0;
	for (number = 1; number == job->old_tag->tag || number == job->new_number;)
		number++;
	return number;
}

static void get_temporary_tags(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs && s->assumptions; i++) {
		struct job *job = &s->jobs[i];

		/* Without one the planner has one strategy less. */
		if (!job->old_tag)
			continue;
		job->temporary_space = job->old_tag->space;
		if (s->query)
			job->temporary_tag = imagined_tag(job);
		else if (unit_alloc_tag(job->unit, job->temporary_space, &job->temporary_tag))
			job->temporary_tag = 0;
	}
}

static void put_temporary_tags(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs; i++) {
		if (s->jobs[i].temporary_tag && !s->query)
			unit_free_tag(s->jobs[i].unit, s->jobs[i].temporary_space, s->jobs[i].temporary_tag);
		s->jobs[i].temporary_tag = 0;
	}
}

static void lend(struct iommu_domain *to, struct domain_tag *record, const struct domain_tag *like, uint32_t tag)
{
	*record = (struct domain_tag){ .unit = like->unit, .space = like->space, .tag = tag };
	domain_lend_tag(to, record);
}

/* From here on each domain's unmap also reaches what a hop puts under the other's tag. False: a tag that must be private isn't
 * any more. */
static bool begin_hop(struct switching *s, struct job *job)
{
	if ((job->needs_old && !domain_begin_hop(s->old, job->old_tag)) ||
	    (job->needs_new && !domain_begin_hop(s->new, job->new_tag)))
		return false;
	lend(s->new, &job->lent_old, job->old_tag, job->old_tag->tag);
	lend(s->old, &job->lent_new, job->new_tag, job->new_tag->tag);
	if (job->temporary_tag) {
		lend(s->old, &job->lent_temporary[0], job->old_tag, job->temporary_tag);
		lend(s->new, &job->lent_temporary[1], job->old_tag, job->temporary_tag);
	}
	return true;
}

static void end_hop(struct switching *s, struct job *job)
{
	domain_take_back_tag(s->new, &job->lent_old);
	domain_take_back_tag(s->old, &job->lent_new);
	if (job->temporary_tag) {
		domain_take_back_tag(s->old, &job->lent_temporary[0]);
		domain_take_back_tag(s->new, &job->lent_temporary[1]);
	}
	if (job->needs_old)
		domain_end_hop(s->old, job->old_tag);
	if (job->needs_new)
		domain_end_hop(s->new, job->new_tag);
}

static int begin_hops(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs; i++) {
		if (!s->jobs[i].hops || begin_hop(s, &s->jobs[i]))
			continue;
		while (i-- > 0)
			if (s->jobs[i].hops)
				end_hop(s, &s->jobs[i]);
		return -EAGAIN;
	}
	return 0;
}

/* ---- Prepare ---- */

static void emit_job(struct job *job, struct iommu_step *v, unsigned capacity)
{
	struct entry_steps steps = { .v = v, .capacity = capacity };

	for (unsigned i = 0; i < job->nchanges; i++)
		entry_emit(&steps, &job->changes[i]);
	entry_finish(&steps, job->changes, job->nchanges);
	job->plan = (struct iommu_plan){ .steps = v, .nsteps = steps.n, .capacity = capacity, .cost = steps.cost };
}

static void free_steps(struct switching *s)
{
	if (s->steps && !s->reserve)
		port_of(s)->free(port_of(s)->ctx, s->steps, s->steps_bytes);
	s->steps = NULL;
}

static void free_jobs(struct switching *s)
{
	if (s->memory && !s->reserve)
		port_of(s)->free(port_of(s)->ctx, s->memory, s->memory_bytes);
	s->memory = NULL;
}

/* Steps for every job, and the pages that they need. */
static int prepare(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	struct iommu_step *v;
	int err;

	s->nsteps = 0;
	for (unsigned i = 0; i < s->njobs; i++) {
		emit_job(&s->jobs[i], NULL, 0);
		s->nsteps += s->jobs[i].plan.nsteps;
	}
	if (!s->nsteps || s->query)
		return 0;
	s->steps_bytes = s->nsteps * sizeof(*s->steps);
	if (s->reserve)
		s->steps = s->memory_bytes + s->steps_bytes <= s->reserve->reserve_bytes ?
			   (void *)((char *)s->memory + s->memory_bytes) : NULL;
	else
		s->steps = port->alloc(port->ctx, s->steps_bytes);
	v = s->steps;
	if (!v)
		return -ENOMEM;
	for (unsigned i = 0; i < s->njobs; i++) {
		unsigned capacity = s->jobs[i].plan.nsteps;

		emit_job(&s->jobs[i], v, capacity);
		v += capacity;
		err = entry_prepare(port, &s->jobs[i].plan);
		if (err) {
			while (i-- > 0)
				entry_unprepare(port, &s->jobs[i].plan);
			free_steps(s);
			return err;
		}
	}
	return 0;
}

static void unprepare(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs && s->steps; i++)
		entry_unprepare(port_of(s), &s->jobs[i].plan);
	free_steps(s);
}

/* ---- Report ---- */

static void make_report(const struct switching *s, struct iommu_replace_report *report)
{
	*report = (struct iommu_replace_report){ .hitless = true, .requesters = s->nrequesters };
	for (unsigned i = 0; i < s->njobs; i++) {
		const struct job *job = &s->jobs[i];
		const struct iommu_cost *cost = &job->plan.cost;

		for (unsigned c = 0; c < job->nchanges; c++) {
			if (job->changes[c].strategy > report->strategy)
				report->strategy = job->changes[c].strategy;
			if (!job->changes[c].hitless && report->hitless) {
				report->hitless = false;
				report->why = job->changes[c].why;
			}
		}
		report->cost.stores += cost->stores;
		report->cost.commands += cost->commands;
		report->cost.rounds += cost->rounds;
		report->cost.polls += cost->polls;
		report->cost.copied += cost->copied;
		report->cost.tags += cost->tags;
		if (cost->foreign > report->cost.foreign)
			report->cost.foreign = cost->foreign;
		if (!report->hitless && job->inherits)
			report->why = "no cache tag is free: the old domain's is taken over";
	}
	if (!report->hitless && s->starved)
		report->why = "no memory for a copy of the table that holds the entry";
}

/* ---- Commit ---- */

/* From now on unmap in the new domain flushes the devices' own TLBs too, and growth changes their entries. */
static void enter_attachments(struct switching *s)
{
	struct iommu_device *device;

	for_each_device(s, device) {
		struct iommu_attachment *at = &device->attachment[!device->attached];

		at->device = device;
		if (has_tag(device->unit, s->new))
			domain_add_attachment(s->new, job_of(s, device->unit)->new_tag, at);
	}
}

static void leave_attachments(struct switching *s)
{
	struct iommu_device *device;

	for_each_device(s, device) {
		if (has_tag(device->unit, s->old))
			domain_remove_attachment(s->old, job_of(s, device->unit)->old_tag,
						 &device->attachment[device->attached]);
		device->attached = !device->attached;
	}
}

static int commit(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	int err = 0;

	enter_attachments(s);
	for (unsigned i = 0; i < s->njobs && !err; i++) {
		if (port->review)
			port->review(port->ctx, &s->jobs[i].plan);
		err = unit_commit(s->jobs[i].unit, &s->jobs[i].plan);
	}
	if (err) {
		s->touched = true;
		/* Nobody knows what the hardware still uses: nothing of either domain is given back. */
		if (s->old)
			domain_quarantine(s->old);
		if (s->new)
			domain_quarantine(s->new);
		/* Nobody flushes through them any more; nobody waits for them either, but gets an error. */
		for (unsigned i = 0; i < s->njobs; i++)
			if (s->jobs[i].hops)
				end_hop(s, &s->jobs[i]);
		return err;
	}
	leave_attachments(s);
	for (unsigned i = 0; i < s->njobs; i++) {
		struct job *job = &s->jobs[i];

		if (job->hops)
			end_hop(s, job);
		if (job->inherits) {
			/* The old record stays claimed until it is gone, so that nobody finds it with this number. */
			job->old_tag->owned = false;
			job->new_tag->owned = true;
			domain_end_hop(s->new, job->new_tag);
		}
		if (job->old_tag)
			domain_put_tag(s->old, job->old_tag, job->nchanges);
	}
	return 0;
}

/* ---- A switch ---- */

/* Plans and prepares; where memory for the cheapest strategy is lacking, the next one is taken. */
static int plan_and_prepare(struct switching *s)
{
	int err = plan_all(s);

	if (!err)
		err = prepare(s);
	if (err == -ENOMEM && (s->strategies & IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP))) {
		s->starved = true;
		s->strategies &= ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP);
		err = plan_all(s);
		if (!err)
			err = prepare(s);
		err = err == -EOPNOTSUPP ? -ENOMEM : err;
	}
	return err;
}

static int switch_domain(struct switching *s, const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct iommu_replace_report made = { .hitless = true };
	unsigned flags = options ? options->flags : 0;
	int err;

	s->strategies = options && options->strategies ? options->strategies : IOMMU_STRATEGY_ANY;
	s->assumptions = options ? options->assumptions : 0;
	err = check(s);
	if (err)
		return err;
	err = need_regions(s, false);
	if (!err && !s->query)
		err = need_regions(s, true);
	if (err)
		return err;
	/* From here on the roots of both domains stand still; what must be mapped is mapped. */
	domain_begin_switch(s->old, s->new);
	err = make_jobs(s);
	if (err)
		goto end;
	err = get_tags(s);
	if (err)
		goto put;
	get_temporary_tags(s);
	for (;;) {
		err = plan_and_prepare(s);
		if (!err || err == -EOPNOTSUPP)
			make_report(s, &made);
		if (err)
			goto put;
		if (!made.hitless && (flags & IOMMU_REPLACE_HITLESS_ONLY)) {
			err = s->starved ? -ENOMEM : -EOPNOTSUPP;
			goto unprepare;
		}
		if (s->query)
			goto unprepare;
		err = begin_hops(s);
		if (err != -EAGAIN)
			break;
		/* Somebody else has come to a tag that had to be private. */
		unprepare(s);
		s->assumptions = 0;
	}
	err = commit(s);
	if (err) {
		made.hitless = false;
		made.why = "the hardware stopped answering";
	} else {
		put_temporary_tags(s);
	}
	domain_end_switch(s->old, s->new);
	free_steps(s);
	free_jobs(s);
	if (report)
		*report = made;
	return err;

unprepare:
	unprepare(s);
put:
	if (report)
		*report = made;
	put_temporary_tags(s);
	put_tags(s);
	free_jobs(s);
end:
	domain_end_switch(s->old, s->new);
	return err;
}

/* The whole group goes from its domain to `domain`. Under group->lock. */
static int switch_group(struct iommu_group *group, struct iommu_domain *domain, const struct iommu_replace_options *options,
			struct iommu_replace_report *report)
{
	struct switching s = { .group = group, .old = group->domain, .new = domain };
	const struct iommu_attach_handle *handle = options ? options->handle : NULL;
	const struct iommu_attach_handle *old_handle = group->handle;
	int err;

	if (group->domain == domain) {
		if (report)
			*report = (struct iommu_replace_report){ .hitless = true };
		__atomic_store_n(&group->handle, handle, __ATOMIC_RELEASE);
		return 0;
	}
	if (domain) {
		err = domain_get(domain);
		if (err)
			return err;
	}
	/* Before the switch, so that no fault of the new domain is told to the old handle; and what comes meanwhile is marked. */
	__atomic_store_n(&group->replacing, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&group->handle, handle, __ATOMIC_RELEASE);
	err = switch_domain(&s, options, report);
	__atomic_store_n(&group->replacing, 0, __ATOMIC_RELEASE);
	if (err && !s.touched) {
		__atomic_store_n(&group->handle, old_handle, __ATOMIC_RELEASE);
		if (domain)
			domain_put(domain);
		return err;
	}
	group->domain = domain;
	/* After an -EIO the old domain stays in use for ever. */
	if (s.old && !err)
		domain_put(s.old);
	return err;
}

/* A detach must not fail for want of memory: one device after another goes to the blocking entry, in memory that its unit has
 * kept for that. */
#define RESERVE_STEPS (IOMMU_MAX_RIDS * 12)

size_t group_reserve_bytes(void)
{
	return sizeof(struct job) + IOMMU_MAX_RIDS * sizeof(struct entry_change) + RESERVE_STEPS * sizeof(struct iommu_step);
}

static int block_group(struct iommu_group *group)
{
	const struct hitless_port *port = group->port;
	struct iommu_device *device;
	int err = 0;

	for (device = group->devices; device; device = device->next_in_group)
		if (has_direct_region(device))
			return -EINVAL;
	for (device = group->devices; device && !err; device = device->next_in_group) {
		struct switching s = { .group = group, .only = device, .old = group->domain, .reserve = device->unit };

		port->lock(port->ctx, &device->unit->reserve_lock);
		err = switch_domain(&s, NULL, NULL);
		port->unlock(port->ctx, &device->unit->reserve_lock);
	}
	if (err)
		return err;
	__atomic_store_n(&group->handle, NULL, __ATOMIC_RELEASE);
	domain_put(group->domain);
	group->domain = NULL;
	return 0;
}

/* ---- The interface ---- */

static void lock_group(struct iommu_group *group)
{
	group->port->lock(group->port->ctx, &group->lock);
}

static void unlock_group(struct iommu_group *group)
{
	group->port->unlock(group->port->ctx, &group->lock);
}

/* Nothing is attached: the group is in its default domain, or blocked. */
static bool is_at_rest(const struct iommu_group *group)
{
	return !group->domain || group->domain == group->default_domain || group->domain->type == IOMMU_DOMAIN_BLOCKED;
}

/* Where a group without an attachment belongs. */
static struct iommu_domain *resting_domain(const struct iommu_group *group)
{
	return group->owner ? NULL : group->default_domain;
}

static bool options_valid(const struct iommu_replace_options *options)
{
	return !options ||
	       (!(options->flags & ~IOMMU_REPLACE_HITLESS_ONLY) && !(options->strategies & ~IOMMU_STRATEGY_ANY) &&
		!(options->assumptions & ~IOMMU_PLAN_ASSUME_OLD_OR_NEW));
}

int iommu_group_replace_domain(struct iommu_group *group, struct iommu_domain *domain,
			       const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	int err;

	if (!group || !domain || !options_valid(options))
		return -EINVAL;
	lock_group(group);
	err = switch_group(group, domain, options, report);
	unlock_group(group);
	return err;
}

int iommu_replace_query(struct iommu_group *group, struct iommu_domain *domain, const struct iommu_replace_options *options,
			struct iommu_replace_report *report)
{
	struct switching s = { .group = group, .new = domain, .query = true };
	int err = 0;

	if (!group || !domain || !options_valid(options) || !report)
		return -EINVAL;
	lock_group(group);
	s.old = group->domain;
	*report = (struct iommu_replace_report){ .hitless = true };
	if (s.old != domain) {
		err = domain_get(domain);
		if (!err) {
			err = switch_domain(&s, options, report);
			domain_put(domain);
		}
	}
	unlock_group(group);
	return err;
}

int iommu_attach_group_handle(struct iommu_group *group, struct iommu_domain *domain,
			      const struct iommu_attach_handle *handle)
{
	const struct iommu_replace_options options = { .handle = handle };
	int err;

	if (!group || !domain)
		return -EINVAL;
	lock_group(group);
	err = is_at_rest(group) ? switch_group(group, domain, &options, NULL) : -EBUSY;
	unlock_group(group);
	return err;
}

int iommu_attach_group(struct iommu_group *group, struct iommu_domain *domain)
{
	return iommu_attach_group_handle(group, domain, NULL);
}

int iommu_detach_group(struct iommu_group *group)
{
	int err;

	if (!group)
		return -EINVAL;
	lock_group(group);
	err = switch_group(group, resting_domain(group), NULL, NULL);
	if ((err == -ENOMEM || err == -ENOSPC) && group->domain) {
		int blocked = block_group(group);

		/* What can't be blocked keeps the first error. */
		if (blocked != -EINVAL)
			err = blocked;
	}
	unlock_group(group);
	return err;
}

struct iommu_domain *iommu_group_domain(struct iommu_group *group)
{
	struct iommu_domain *domain;

	lock_group(group);
	domain = group->domain;
	unlock_group(group);
	return domain;
}

int iommu_group_set_default_domain(struct iommu_group *group, struct iommu_domain *domain)
{
	struct iommu_domain *old;
	int err;

	if (!group)
		return -EINVAL;
	err = domain ? domain_get(domain) : 0;
	if (err)
		return err;
	lock_group(group);
	old = group->default_domain;
	if (!group->owner && group->domain == old)
		err = switch_group(group, domain, NULL, NULL);
	if (!err)
		group->default_domain = domain;
	unlock_group(group);
	if (err)
		old = domain;
	if (old)
		domain_put(old);
	return err;
}

int iommu_group_claim_dma_owner(struct iommu_group *group, void *owner)
{
	int err;

	if (!group || !owner)
		return -EINVAL;
	lock_group(group);
	if (group->owner)
		err = -EPERM;
	else if (group->domain != group->default_domain)
		err = -EBUSY;
	else
		err = switch_group(group, NULL, NULL, NULL);
	if (!err)
		group->owner = owner;
	unlock_group(group);
	return err;
}

int iommu_group_release_dma_owner(struct iommu_group *group)
{
	int err;

	if (!group)
		return -EINVAL;
	lock_group(group);
	err = group->owner ? switch_group(group, group->default_domain, NULL, NULL) : -EPERM;
	if (!err)
		group->owner = NULL;
	unlock_group(group);
	return err;
}

/* ---- Groups and devices come and go ---- */

int iommu_group_alloc(const struct hitless_port *port, struct iommu_group **result)
{
	struct iommu_group *group;
	int err;

	if (!port || !result)
		return -EINVAL;
	group = port->alloc(port->ctx, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->port = port;
	err = port->lock_init(port->ctx, &group->lock);
	if (err) {
		port->free(port->ctx, group, sizeof(*group));
		return err;
	}
	*result = group;
	return 0;
}

int iommu_group_free(struct iommu_group *group)
{
	const struct hitless_port *port;
	bool busy;

	if (!group)
		return -EINVAL;
	port = group->port;
	lock_group(group);
	busy = group->devices != NULL;
	unlock_group(group);
	if (busy)
		return -EBUSY;
	if (group->domain)
		domain_put(group->domain);
	if (group->default_domain)
		domain_put(group->default_domain);
	port->lock_destroy(port->ctx, &group->lock);
	port->free(port->ctx, group, sizeof(*group));
	return 0;
}

static int check_desc(const struct iommu_device_desc *desc)
{
	if (!desc->unit || !desc->nrids || desc->nrids > IOMMU_MAX_RIDS || desc->pasid_bits > 20 || (desc->nresv && !desc->resv))
		return -EINVAL;
	for (unsigned i = 0; i < desc->nrids; i++)
		for (unsigned j = 0; j < i; j++)
			if (desc->rids[i] == desc->rids[j])
				return -EINVAL;
	for (unsigned i = 0; i < desc->nresv; i++) {
		const struct iommu_resv_region *region = &desc->resv[i];

		if (!region->size || (region->iova | region->size | region->phys) % HITLESS_PAGE_SIZE ||
		    region->iova + (region->size - 1) < region->iova || (unsigned)region->type > IOMMU_RESV_MSI)
			return -EINVAL;
	}
	return 0;
}

static void free_device(const struct hitless_port *port, struct iommu_device *device)
{
	if (device->resv)
		port->free(port->ctx, device->resv, device->nresv * sizeof(*device->resv));
	port->free(port->ctx, device, sizeof(*device));
}

static int alloc_device(const struct hitless_port *port, const struct iommu_device_desc *desc, struct iommu_device **result)
{
	struct iommu_device *device = port->alloc(port->ctx, sizeof(*device));

	if (!device)
		return -ENOMEM;
	device->unit = desc->unit;
	device->nrids = desc->nrids;
	memcpy(device->rids, desc->rids, sizeof(device->rids));
	device->pasid_bits = desc->pasid_bits;
	/* Which of several requesters has the device TLB, nobody says. */
	device->ats = desc->ats && desc->nrids == 1;
	if (desc->nresv) {
		device->resv = port->alloc(port->ctx, desc->nresv * sizeof(*desc->resv));
		if (!device->resv) {
			free_device(port, device);
			return -ENOMEM;
		}
		memcpy(device->resv, desc->resv, desc->nresv * sizeof(*desc->resv));
		device->nresv = desc->nresv;
	}
	*result = device;
	return 0;
}

int iommu_group_add_device(struct iommu_group *group, const struct iommu_device_desc *desc, struct iommu_device **result)
{
	struct switching s = { .group = group };
	const struct hitless_port *port;
	struct iommu_device *device;
	int err;

	if (!group || !desc || !result)
		return -EINVAL;
	err = check_desc(desc);
	if (!err && desc->unit->port != group->port)
		err = -EINVAL;
	if (err)
		return err;
	port = group->port;
	err = alloc_device(port, desc, &device);
	if (err)
		return err;
	device->group = group;
	lock_group(group);
	err = unit_is_lost(device->unit) ? -EIO : unit_link_device(device->unit, device);
	if (err)
		goto free;
	err = device->unit->ops->device_add(device->unit, device);
	if (err)
		goto unlink;
	/* The first device brings an empty group to where it belongs. */
	if (!group->devices && !group->domain && resting_domain(group)) {
		err = domain_get(resting_domain(group));
		if (err)
			goto remove;
		group->domain = resting_domain(group);
	}
	s.only = device;
	s.new = group->domain;
	err = switch_domain(&s, NULL, NULL);
	if (err)
		goto remove;
	device->next_in_group = group->devices;
	group->devices = device;
	unlock_group(group);
	*result = device;
	return 0;

remove:
	if (s.touched) {
		/* The hardware may still use what is behind it: it stays with its lost unit. */
		unlock_group(group);
		return err;
	}
	if (!unit_is_lost(device->unit))
		device->unit->ops->device_remove(device->unit, device);
unlink:
	unit_unlink_device(device->unit, device);
free:
	unlock_group(group);
	free_device(port, device);
	return err;
}

int iommu_group_remove_device(struct iommu_group *group, struct iommu_device *device)
{
	struct switching s = { .group = group, .only = device };
	const struct hitless_port *port;
	struct iommu_resv_region *resv;
	unsigned nresv;
	int err = -EINVAL;

	if (!group || !device || device->group != group)
		return -EINVAL;
	port = group->port;
	lock_group(group);
	if (!is_at_rest(group)) {
		err = -EBUSY;
		goto out;
	}
	s.old = group->domain;
	/* It is leaving: nobody needs its direct regions any more. */
	resv = device->resv;
	nresv = device->nresv;
	device->nresv = 0;
	err = switch_domain(&s, NULL, NULL);
	device->resv = resv;
	device->nresv = nresv;
	if (err)
		goto out;
	for (struct iommu_device **link = &group->devices; *link; link = &(*link)->next_in_group)
		if (*link == device) {
			*link = device->next_in_group;
			break;
		}
	device->unit->ops->device_remove(device->unit, device);
	unit_unlink_device(device->unit, device);
	free_device(port, device);
out:
	unlock_group(group);
	return err;
}
