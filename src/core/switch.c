/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * switch.c - attach, replace, detach: every change of the domain at a point of a group (its requests without PASID, or with
 * one) is one *switch*:
 *
 *	check	can every device of the group use the new domain?
 *	reserve	room for the entries of a PASID
 *	plan	a tag of the new domain on every unit, a plan for every requester's entry
 *	prepare	memory for all of it
 *	commit	cannot fail by software
 *	leave	the old domain's tags
 *
 * Most are one store into one entry: those onestore.c does, if nobody is in the way, and this is for all others.
 *
 * Whatever fails before commit is undone, and no table entry and no tag has changed.
 */
#include "core.h"

#include <string.h>

/* All changes of a round are over, and what they left in caches is gone, before the next round begins. */
struct round {
	struct entry_change *changes;
	unsigned nchanges, filled;
};

/* What a switch does on one unit: the group's requesters there that have their tags in common, in one list of steps. */
struct job {
	struct iommu_unit *unit;
	bool leaves_tag, enters_tag;		/* has the old domain one there, and the new one? */
	uint32_t given_old, given_new;		/* the tags that the requesters' tables give them, or NO_GIVEN_TAG */
	unsigned nrequesters;
	struct domain_tag *old_tag, *new_tag;	/* NULL: that side has no tag */
	unsigned old_users, new_users;		/* requesters that had the domain's tag when it was looked up, with these of ours */
	uint32_t new_number;			/* the new tag's, or what it might be in a query */
	bool inherits;				/* no number is free: the old domain's goes over to the new one */
	struct domain_tag lent_old, lent_new;	/* during a hop: each domain's tag, lent to the other domain */
	struct domain_tag lent_temporary[2];	/* the temporary tag, lent to both */
	struct domain_tag lent_own[2];		/* ... and each domain's own, for what stand-ins leave there */
	uint32_t temporary_tag;			/* 0: none */
	unsigned temporary_space;
	bool hops;				/* some strategy pollutes a tag for a while */
	bool crosses;				/* ... by one domain's tables under the other's tag */
	bool stands;				/* ... by stand-ins */
	bool needs_old, needs_new;		/* ... the old or the new domain's own, which must be private for that */
	struct round rounds[MAX_PLACES];	/* mostly one */
	struct iommu_plan plan;
};

/* Memory for a switch of one requester: most are that, and need no other. */
#define SMALL_STEPS 12

struct small_room {
	struct job job;
	struct entry_change changes[MAX_PLACES];
	struct iommu_step steps[SMALL_STEPS];
};

struct switching {
	struct iommu_group *group;
	struct attach_point *point;
	struct iommu_device *only;		/* just this device, which comes from blocked; NULL: all */
	struct iommu_domain *old, *new;		/* NULL: blocked */
	unsigned strategies, assumptions;
	bool query;				/* plan, but allocate nothing that others could miss */
	bool starved;				/* there was no memory for the cheapest strategy */
	bool reserved;				/* there is room for a PASID's entries, which is not built yet */
	bool touched;				/* the hardware stopped answering after the first step */
	struct iommu_unit *reserve;		/* whose reserve to use instead of the port's memory */
	struct job *jobs;
	unsigned njobs, nrequesters, nchanges;
	struct small_room *small;		/* on the stack */
	void *memory;				/* of the jobs and changes, where that is too small */
	size_t memory_bytes;
	struct iommu_step *steps;
	unsigned steps_capacity;
	size_t steps_bytes;			/* 0: they are not the port's memory */
};

static const struct hitless_port *port_of(const struct switching *s)
{
	return s->group->port;
}

static bool has_tag(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	return domain && domain->type != IOMMU_DOMAIN_BLOCKED && domain_tag_space(unit, domain) != NO_TAG_SPACE;
}

static bool is_pasid(const struct switching *s)
{
	return s->point->pasid != IOMMU_NO_PASID;
}

/* A PASID concerns only devices that have PASIDs. */
static struct iommu_device *this_or_next(const struct switching *s, struct iommu_device *device)
{
	while (device && is_pasid(s) && !device->pasid_bits)
		device = device->next_in_group;
	return device;
}

static struct iommu_device *first_device(const struct switching *s)
{
	return s->only ? s->only : this_or_next(s, s->group->devices);
}

static struct iommu_device *next_device(const struct switching *s, const struct iommu_device *device)
{
	return s->only ? NULL : this_or_next(s, device->next_in_group);
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

/* What it needs mapped, nobody can map there. */
static bool has_regions(const struct iommu_device *device)
{
	for (unsigned i = 0; i < device->nresv; i++)
		if (device->resv[i].type != IOMMU_RESV_RESERVED)
			return true;
	return false;
}

/* Reserved regions are about requests without PASID: what firmware does, and interrupts, have none. */
static int check_rid(const struct switching *s, const struct iommu_device *device)
{
	const struct iommu_pasid_ops *ops = device->unit->ops->pasid;

	if (!domain_passing(s->new) && has_direct_region(device))
		return -EINVAL;
	if (s->new && s->new->type == IOMMU_DOMAIN_EXTERNAL && has_regions(device))
		return -EINVAL;
	if (domain_is_nested(s->new) && has_direct_region(device))
		return -EINVAL;
	if (s->group->npasids && device->pasid_bits && ops->beside && !ops->beside(device->unit, device, domain_passing(s->new)))
		return -EBUSY;
	return 0;
}

static int check_pasid(const struct switching *s, const struct iommu_device *device)
{
	const struct iommu_pasid_ops *ops = device->unit->ops->pasid;

	if (ops->beside && !ops->beside(device->unit, device, domain_passing(s->group->rid.domain)))
		return -EBUSY;
	return s->new && ops->check ? ops->check(device->unit, device, s->new) : 0;
}

static int check_domain(const struct iommu_device *device, struct iommu_domain *domain)
{
	struct iommu_unit *unit = device->unit;
	int err = unit->ops->domain_check(unit, device, domain_mapping(domain));

	if (err || !domain_is_nested(domain))
		return err;
	return unit->nested ? unit->nested->check(unit, device, domain) : -EINVAL;
}

static int check(const struct switching *s)
{
	struct iommu_device *device;
	int err;

	for_each_device(s, device) {
		if (unit_is_lost(device->unit))
			return -EIO;
		if (s->new && s->new->ops != device->unit->ops)
			return -EINVAL;
		err = s->new ? check_domain(device, s->new) : 0;
		if (!err)
			err = is_pasid(s) ? check_pasid(s, device) : check_rid(s, device);
		if (err)
			return err;
	}
	return 0;
}

/* ---- Room for the entries of a PASID ---- */

static void give_up_room(struct switching *s, const struct iommu_device *end)
{
	struct iommu_device *device;

	for_each_device(s, device) {
		if (device == end)
			return;
		device->unit->ops->pasid->unreserve(device->unit, device, s->point->pasid);
	}
}

/* Nothing that the hardware can reach. */
static int reserve_room(struct switching *s)
{
	struct iommu_device *device;
	int err;

	if (!is_pasid(s) || !s->new || s->query)
		return 0;
	for_each_device(s, device) {
		err = device->unit->ops->pasid->reserve(device->unit, device, s->point->pasid);
		if (err) {
			give_up_room(s, device);
			return err;
		}
	}
	s->reserved = true;
	return 0;
}

/* -EIO. */
static int build_room(struct switching *s)
{
	struct iommu_device *device;
	int err = 0;

	if (!s->reserved)
		return 0;
	for_each_device(s, device)
		if (!err)
			err = device->unit->ops->pasid->build(device->unit, device, s->point->pasid);
	return err;
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
	uint64_t phys = region_phys(region);
	unsigned kind = region->type == IOMMU_RESV_MSI ? IOMMU_MMIO : 0;
	int err = iommu_map(domain, region->iova, phys, region->size, region->prot | kind);

	/* A doorbell is only written to, but many formats have no page that can't be read. */
	if (err == -EINVAL && region->prot == IOMMU_WRITE)
		err = iommu_map(domain, region->iova, phys, region->size, IOMMU_READ | IOMMU_WRITE | kind);
	/* Another group with the same region may have been faster. */
	if (err == -EEXIST)
		err = region_state(domain, region) == 1 ? 0 : -EINVAL;
	return err;
}

/*
 * What the devices need in the new domain before they enter it. First a look at all of it, then what is missing is mapped, if
 * `map`. It stays there, also if the switch fails later: another group may rely on it by then.
 */
static int need_regions(const struct switching *s, bool map)
{
	struct iommu_domain *domain = domain_mapping(s->new);
	struct iommu_device *device;

	if (!domain || domain->type != IOMMU_DOMAIN_PAGING || is_pasid(s))
		return 0;
	for_each_device(s, device) {
		for (unsigned i = 0; i < device->nresv; i++) {
			const struct iommu_resv_region *region = &device->resv[i];
			int state;

			if (region->type == IOMMU_RESV_RESERVED)
				continue;
			state = region_state(domain, region);
			if (state == 0 && map)
				state = map_region(domain, region);
			if (state < 0)
				return state;
		}
	}
	return 0;
}

/* ---- Plan ---- */

static struct job *job_of(struct switching *s, const struct iommu_device *device)
{
	uint32_t given_old = NO_GIVEN_TAG, given_new = NO_GIVEN_TAG;
	struct job *job;

	if (device->pasid_bits && has_tag(device->unit, s->old))
		given_old = given_tag(device, s->point->pasid, s->old);
	if (device->pasid_bits && has_tag(device->unit, s->new))
		given_new = given_tag(device, s->point->pasid, s->new);
	for (unsigned i = 0; i < s->njobs; i++) {
		job = &s->jobs[i];
		if (job->unit == device->unit && job->given_old == given_old && job->given_new == given_new)
			return job;
	}
	job = &s->jobs[s->njobs++];
	job->unit = device->unit;
	job->given_old = given_old;
	job->given_new = given_new;
	job->leaves_tag = has_tag(device->unit, s->old);
	job->enters_tag = has_tag(device->unit, s->new);
	return job;
}

/* The live entries that a requester's switch changes. */
static unsigned places(const struct switching *s, const struct iommu_device *device, unsigned rid,
		       struct entry_place place[MAX_PLACES])
{
	return places_of(device, rid, s->point->pasid, domain_passing(s->old), domain_passing(s->new), place);
}

/* At most one job per device, a change per requester and place. */
static int make_jobs(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	struct entry_place place[MAX_PLACES];
	struct entry_change *changes;
	struct iommu_device *device;
	unsigned devices = 0;

	for_each_device(s, device) {
		devices++;
		for (unsigned rid = 0; rid < device->nrids; rid++)
			s->nchanges += places(s, device, rid, place);
		s->nrequesters += device->nrids;
	}
	if (!devices)
		return 0;
	if (s->nrequesters == 1) {
		s->jobs = memset(&s->small->job, 0, sizeof(s->small->job));
		changes = s->small->changes;
		s->steps = s->small->steps;
		s->steps_capacity = SMALL_STEPS;
	} else {
		s->memory_bytes = devices * sizeof(*s->jobs) + s->nchanges * sizeof(*changes);
		s->memory = s->reserve ? memset(s->reserve->reserve, 0, s->memory_bytes) : port->alloc(port->ctx, s->memory_bytes);
		if (!s->memory)
			return -ENOMEM;
		s->jobs = s->memory;
		changes = (struct entry_change *)(s->jobs + devices);
	}
	for_each_device(s, device) {
		struct job *job = job_of(s, device);

		job->nrequesters += device->nrids;
		for (unsigned rid = 0; rid < device->nrids; rid++)
			for (unsigned n = places(s, device, rid, place); n-- > 0;)
				job->rounds[n].nchanges++;
	}
	for (unsigned i = 0; i < s->njobs; i++)
		for (unsigned r = 0; r < MAX_PLACES; r++) {
			s->jobs[i].rounds[r].changes = changes;
			changes += s->jobs[i].rounds[r].nchanges;
		}
	return 0;
}

/* No number is free, but the only user of the old domain's can take it along: through the blocking entry and a flush. */
static int inherit_tag(struct switching *s, struct job *job)
{
	unsigned users, space = domain_tag_space(job->unit, s->new);
	uint32_t number;
	int err;

	if (!job->old_tag || job->old_tag->given || job->old_tag->space != space || job->nrequesters != 1 ||
	    !domain_peek_tag(s->old, job->unit, &number, &users) || users != 1)
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
	unsigned space;
	int err = 0;

	if (job->leaves_tag)
		job->old_tag = domain_find_tag(s->old, job->unit, job->given_old, &job->old_users);
	if (!job->enters_tag)
		return 0;
	space = domain_tag_space(job->unit, s->new);
	if (s->query) {
		if (job->given_new != NO_GIVEN_TAG) {
			job->new_number = job->given_new;
			return 0;
		}
		if (domain_peek_tag(s->new, job->unit, &job->new_number, &job->new_users))
			return 0;
		err = unit_peek_free_tag(job->unit, space, &job->new_number) ? 0 : -ENOSPC;
	} else {
		job->new_users = job->nrequesters;
		err = domain_get_tag(s->new, job->unit, job->given_new, &job->new_users, &job->new_tag);
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
		domain_put_tag(s->new, job->new_tag, job->nrequesters);
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

/* A tag that a device's tables give is used with the entry's own index: nobody else has the two. What others do meanwhile shows when
 * a hop begins. */
static unsigned tag_facts(const struct switching *s, const struct job *job)
{
	unsigned facts = 0, mine = s->query ? 0 : job->nrequesters;

	if (job->given_old != NO_GIVEN_TAG || (job->old_tag && job->old_users == 1))
		facts |= IOMMU_PLAN_OLD_PRIVATE;
	if (job->given_new != NO_GIVEN_TAG || (job->new_users == mine && job->nrequesters == 1))
		facts |= IOMMU_PLAN_NEW_PRIVATE;
	return facts;
}

/* A device with PASIDs has one TLB for many entries: it is on while one of them lets something through. Between a guest's table of them and
 * what passes elsewhere, the one entry says. */
static enum entry_ats ats_turn(const struct switching *s, const struct iommu_device *device, const struct entry_place *place, bool last)
{
	bool leaves = domain_passing(s->old), enters = domain_passing(s->new);

	if (!device->pasid_bits)
		return ENTRY_ATS_BY_ENTRY;
	if (leaves && enters && (domain_is_nested(s->old) || domain_is_nested(s->new)) && place->format == device->unit->ops->format)
		return ENTRY_ATS_BY_ENTRY;
	if (!last || leaves == enters || device->passing > leaves)
		return ENTRY_ATS_STAYS;
	return enters ? ENTRY_ATS_ON : ENTRY_ATS_OFF;
}

static void note_hop(struct job *job, const struct entry_change *change)
{
	/* Both domains flush the tag that both are given, under the entry's index: there is nothing to lend. */
	if (job->given_old != NO_GIVEN_TAG && job->given_old == job->given_new)
		return;
	switch (change->strategy) {
	case IOMMU_STRATEGY_SAME_TAG:
	case IOMMU_STRATEGY_TAG_HOP:
		job->hops = job->crosses = true;
		if (change->request.facts & IOMMU_PLAN_OLD_PRIVATE)
			job->needs_old = true;
		else
			job->needs_new = true;
		break;
	case IOMMU_STRATEGY_STANDIN:
		job->hops = job->stands = true;
		break;
	case IOMMU_STRATEGY_TEMPORARY_TAG:
		job->hops = job->crosses = true;
		break;
	default:
		break;
	}
}

/* May the domains have to stand in for themselves on the way? */
static bool has_standin(const struct switching *s, const struct job *job)
{
	const struct iommu_unit_ops *ops = job->unit->ops;

	return ops->has_standin && domain_passing(s->old) && domain_passing(s->new) && ops->has_standin(job->unit, s->old, s->new);
}

/* What is nested in a domain is forgotten with it: then a stand-in for the parent may have the nested one's tag, and needs no other. */
static bool nests(const struct switching *s)
{
	return (domain_is_nested(s->old) && s->old->parent == s->new) || (domain_is_nested(s->new) && s->new->parent == s->old);
}

static int plan_change(struct switching *s, struct job *job, const struct iommu_device *device, unsigned rid,
		       const struct entry_place *place, struct round *round, bool last)
{
	struct iommu_unit *unit = job->unit;
	struct entry_change *change = &round->changes[round->filled++];
	struct iommu_plan_request *request = &change->request;
	int err;

	begin_change(change, device, rid, place, s->new, job->new_number);
	change->device = round->filled - 1;
	change->ats = place->keeps_ats ? ENTRY_ATS_STAYS : ats_turn(s, device, place, last);
	request->before_tag = job->old_tag ? job->old_tag->tag : ENTRY_NO_TAG;
	request->after_tag = job->enters_tag ? job->new_number : ENTRY_NO_TAG;
	request->facts |= tag_facts(s, job) | s->assumptions;
	request->strategies = s->strategies;
	/* Its firmware's DMA goes on: it is never blocked, not even for a moment. */
	if (!is_pasid(s) && has_direct_region(device))
		request->strategies &= ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK);
	request->temporary_tag = job->temporary_tag;
	if (has_standin(s, job) && place->format == unit->ops->format)
		unit->ops->make_standins(unit, device, s->old, s->new, job->temporary_tag, change);
	err = entry_choose(change);
	if (!err)
		note_hop(job, change);
	return err;
}

static int plan_requester(struct switching *s, const struct iommu_device *device, unsigned rid)
{
	struct job *job = job_of(s, device);
	struct entry_place place[MAX_PLACES];
	unsigned n = places(s, device, rid, place);
	int err = 0;

	for (unsigned r = 0; r < n && !err; r++)
		err = plan_change(s, job, device, rid, &place[r], &job->rounds[r], r == n - 1);
	return err;
}

static int plan_all(struct switching *s)
{
	struct iommu_device *device;

	for (unsigned i = 0; i < s->njobs; i++) {
		for (unsigned r = 0; r < MAX_PLACES; r++)
			s->jobs[i].rounds[r].filled = 0;
		s->jobs[i].hops = s->jobs[i].crosses = s->jobs[i].stands = s->jobs[i].needs_old = s->jobs[i].needs_new = false;
	}
	for_each_device(s, device)
		for (unsigned rid = 0; rid < device->nrids; rid++) {
			int err = plan_requester(s, device, rid);

			if (err)
				return err;
		}
	return 0;
}

/* ---- Tag hops: only where the specification allows them, or the caller assumes that it does ---- */

#define HOPS \
	(IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_SAME_TAG) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TAG_HOP) | \
	 IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TEMPORARY_TAG))

static bool may_hop(const struct switching *s, const struct job *job)
{
	return s->assumptions || job->unit->ops->format->old_or_new;
}

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
	for (unsigned i = 0; i < s->njobs; i++) {
		struct job *job = &s->jobs[i];

		/* Without one the planner has one strategy less. */
		if (!job->old_tag || job->old_tag->given || !(may_hop(s, job) || (has_standin(s, job) && !nests(s))))
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

static void lend(struct iommu_domain *to, struct domain_tag *record, const struct domain_tag *like, uint32_t tag, uint32_t pasid)
{
	*record = (struct domain_tag){ .unit = like->unit, .space = like->space, .tag = tag, .pasid = pasid };
	domain_lend_tag(to, record);
}

/* From here on each domain's unmap also reaches what a hop puts under the other's tag. False: a tag that must be private isn't
 * any more. */
static bool begin_hop(struct switching *s, struct job *job)
{
	uint32_t pasid;

	if ((job->needs_old && !domain_begin_hop(s->old, job->old_tag)) ||
	    (job->needs_new && !domain_begin_hop(s->new, job->new_tag)))
		return false;
	pasid = unit_pasid_index(job->unit, s->point->pasid);
	if (job->crosses) {
		lend(s->new, &job->lent_old, job->old_tag, job->old_tag->tag, pasid);
		lend(s->old, &job->lent_new, job->new_tag, job->new_tag->tag, pasid);
	}
	if (job->stands && !nests(s)) {
		pasid = EVERY_INDEX;
		lend(s->old, &job->lent_own[0], job->old_tag, job->old_tag->tag, pasid);
		lend(s->new, &job->lent_own[1], job->new_tag, job->new_tag->tag, pasid);
	}
	if (job->temporary_tag) {
		lend(s->old, &job->lent_temporary[0], job->old_tag, job->temporary_tag, pasid);
		lend(s->new, &job->lent_temporary[1], job->old_tag, job->temporary_tag, pasid);
	}
	return true;
}

static void end_hop(struct switching *s, struct job *job)
{
	if (job->crosses) {
		domain_take_back_tag(s->new, &job->lent_old);
		domain_take_back_tag(s->old, &job->lent_new);
	}
	if (job->stands && !nests(s)) {
		domain_take_back_tag(s->old, &job->lent_own[0]);
		domain_take_back_tag(s->new, &job->lent_own[1]);
	}
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

	for (unsigned r = 0; r < MAX_PLACES; r++) {
		struct round *round = &job->rounds[r];

		for (unsigned i = 0; i < round->nchanges; i++)
			entry_emit(&steps, &round->changes[i]);
		if (round->nchanges)
			entry_finish(&steps, round->changes, round->nchanges);
	}
	job->plan = (struct iommu_plan){ .steps = v, .nsteps = steps.n, .capacity = capacity, .cost = steps.cost };
}

/* The steps of all jobs, one after another, as far as there is room. Returns how many: where the room is too small, at least as many
 * as it takes. */
static unsigned emit_jobs(struct switching *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->njobs; i++) {
		unsigned room = n < s->steps_capacity ? s->steps_capacity - n : 0;

		emit_job(&s->jobs[i], room ? s->steps + n : NULL, room);
		n += s->jobs[i].plan.nsteps;
	}
	return n;
}

static void free_steps(struct switching *s)
{
	if (!s->steps_bytes)
		return;
	port_of(s)->free(port_of(s)->ctx, s->steps, s->steps_bytes);
	s->steps = NULL;
	s->steps_bytes = s->steps_capacity = 0;
}

static void free_jobs(struct switching *s)
{
	if (s->memory && !s->reserve)
		port_of(s)->free(port_of(s)->ctx, s->memory, s->memory_bytes);
	s->memory = NULL;
}

/* -ENOMEM. */
static int make_steps(struct switching *s, unsigned n)
{
	const struct hitless_port *port = port_of(s);

	if (s->reserve) {
		s->steps = (void *)((char *)s->reserve->reserve + s->memory_bytes);
		s->steps_capacity = (unsigned)((s->reserve->reserve_bytes - s->memory_bytes) / sizeof(*s->steps));
		return n <= s->steps_capacity ? 0 : -ENOMEM;
	}
	free_steps(s);
	s->steps_bytes = n * sizeof(*s->steps);
	s->steps = port->alloc(port->ctx, s->steps_bytes);
	if (!s->steps) {
		s->steps_bytes = s->steps_capacity = 0;
		return -ENOMEM;
	}
	s->steps_capacity = n;
	return 0;
}

/* Steps for every job, and the pages that they need. */
static int prepare(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	unsigned n = emit_jobs(s);
	int err = 0;

	if (n > s->steps_capacity) {
		err = make_steps(s, n);
		if (err)
			return err;
		emit_jobs(s);
	}
	for (unsigned i = 0; i < s->njobs && !s->query; i++) {
		err = entry_prepare(port, &s->jobs[i].plan);
		if (err) {
			while (i-- > 0)
				entry_unprepare(port, &s->jobs[i].plan);
			return err;
		}
	}
	return 0;
}

/* Undoes prepare(), whose steps stay. */
static void unprepare(struct switching *s)
{
	for (unsigned i = 0; i < s->njobs && !s->query; i++)
		entry_unprepare(port_of(s), &s->jobs[i].plan);
}

/* ---- Report ---- */

static void report_round(const struct round *round, struct iommu_replace_report *report)
{
	for (unsigned c = 0; c < round->nchanges; c++) {
		const struct entry_change *change = &round->changes[c];

		if (change->strategy > report->strategy)
			report->strategy = change->strategy;
		if (!change->hitless && report->hitless) {
			report->hitless = false;
			report->why = change->why;
		}
	}
}

static void make_report(const struct switching *s, struct iommu_replace_report *report)
{
	*report = (struct iommu_replace_report){ .hitless = true, .requesters = s->nrequesters };
	for (unsigned i = 0; i < s->njobs; i++) {
		const struct job *job = &s->jobs[i];
		const struct iommu_cost *cost = &job->plan.cost;

		for (unsigned r = 0; r < MAX_PLACES; r++)
			report_round(&job->rounds[r], report);
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

static struct point_member *member_of(const struct switching *s, struct iommu_device *device)
{
	if (!is_pasid(s))
		return &device->rid;
	for (unsigned i = 0; i < s->point->nmembers; i++)
		if (s->point->members[i].device == device)
			return &s->point->members[i];
	return NULL; /* not while devices can't come or go beside a PASID */
}

/* May the device's own TLB hold what the domain says? One that is off must not be asked. */
static bool uses_devtlb(const struct iommu_device *device, const struct iommu_domain *domain)
{
	if (!device->ats || !domain_is_nested(domain) || !domain->nested_ops->uses_devtlb)
		return device->ats;
	return domain->nested_ops->uses_devtlb(domain);
}

/* From now on unmap in the new domain flushes the devices' own TLBs too, and growth changes their entries. */
static void enter_attachments(struct switching *s)
{
	struct iommu_device *device;

	for_each_device(s, device) {
		struct point_member *member = member_of(s, device);
		struct iommu_attachment *at = &member->attachment[!member->attached];

		at->device = device;
		at->pasid = s->point->pasid;
		at->ats = uses_devtlb(device, domain_passing(s->new));
		at->nested = domain_is_nested(s->new);
		at->tag = NULL;
		if (job_of(s, device)->enters_tag)
			domain_add_attachment(s->new, job_of(s, device)->new_tag, at);
	}
}

static void leave_attachments(struct switching *s)
{
	struct iommu_device *device;

	for_each_device(s, device) {
		struct point_member *member = member_of(s, device);

		if (job_of(s, device)->leaves_tag)
			domain_remove_attachment(s->old, &member->attachment[member->attached]);
		member->attached = !member->attached;
		device->passing += (domain_passing(s->new) != NULL) - (domain_passing(s->old) != NULL);
	}
}

static int commit(struct switching *s)
{
	const struct hitless_port *port = port_of(s);
	int err;

	enter_attachments(s);
	err = build_room(s);
	s->reserved = false;
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
			domain_put_tag(s->old, job->old_tag, job->nrequesters);
	}
	return 0;
}

/* ---- A switch ---- */

static bool swaps_a_table(const struct switching *s)
{
	for (unsigned i = 0; i < s->njobs; i++)
		for (unsigned r = 0; r < MAX_PLACES; r++)
			for (unsigned c = 0; c < s->jobs[i].rounds[r].nchanges; c++)
				if (s->jobs[i].rounds[r].changes[c].strategy == IOMMU_STRATEGY_TABLE_SWAP)
					return true;
	return false;
}

/* Plans and prepares; where memory for the cheapest strategy is lacking, the next one is taken. */
static int plan_and_prepare(struct switching *s)
{
	int err = plan_all(s);

	if (!err)
		err = prepare(s);
	if (err == -ENOMEM && swaps_a_table(s)) {
		s->starved = true;
		s->strategies &= ~IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TABLE_SWAP);
		err = plan_all(s);
		if (!err)
			err = prepare(s);
		err = err == -EOPNOTSUPP ? -ENOMEM : err;
	}
	return err;
}

static int do_switch(struct switching *s, const struct iommu_replace_options *options, struct iommu_replace_report *report)
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
	err = reserve_room(s);
	if (!err)
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
		s->strategies &= ~HOPS;
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
	free_steps(s);
	free_jobs(s);
end:
	if (s->reserved)
		give_up_room(s, NULL);
	domain_end_switch(s->old, s->new);
	return err;
}

static int switch_domain(struct switching *s, const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct small_room small;
	int err;

	s->small = &small;
	err = do_switch(s, options, report);
	s->small = NULL;
	return err;
}

void change_handle(struct iommu_group *group, struct attach_point *point, const struct iommu_attach_handle *handle)
{
	group->port->lock(group->port->ctx, &group->fault_lock);
	point->handle = handle;
	group->port->unlock(group->port->ctx, &group->fault_lock);
}

/* switch_point() to another domain, whatever it takes. */
static int switch_at_length(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
			    const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct switching s = { .group = group, .point = point, .old = point->domain, .new = domain };
	const struct iommu_attach_handle *handle = options ? options->handle : NULL;
	const struct iommu_attach_handle *old_handle = point->handle;
	int err;

	if (domain) {
		err = domain_get(domain);
		if (err)
			return err;
	}
	/* Before the switch, so that no fault of the new domain is told to the old handle; and what comes meanwhile is marked. */
	set_handle(group, point, handle, true);
	err = switch_domain(&s, options, report);
	if (err && !s.touched) {
		set_handle(group, point, old_handle, false);
		if (domain)
			domain_put(domain);
		return err;
	}
	set_handle(group, point, handle, false);
	point->domain = domain;
	/* After an -EIO the old domain stays in use for ever. */
	if (s.old && !err)
		domain_put(s.old);
	return err;
}

int switch_point(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
		 const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	int err;

	if (point->domain == domain) {
		if (report)
			*report = (struct iommu_replace_report){ .hitless = true };
		set_handle(group, point, options ? options->handle : NULL, false);
		return 0;
	}
	err = switch_by_one_store(group, point, domain, options, report);
	return err == -EAGAIN ? switch_at_length(group, point, domain, options, report) : err;
}

RARE int switch_query(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
		 const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct switching s = { .group = group, .point = point, .old = point->domain, .new = domain, .query = true };
	int err;

	*report = (struct iommu_replace_report){ .hitless = true };
	if (s.old == domain)
		return 0;
	err = domain_get(domain);
	if (err)
		return err;
	err = switch_domain(&s, options, report);
	domain_put(domain);
	return err;
}

int switch_device(struct iommu_group *group, struct iommu_device *device, bool enters, bool *touched)
{
	struct switching s = { .group = group, .point = &group->rid, .only = device };
	int err;

	*(enters ? &s.new : &s.old) = group->rid.domain;
	err = switch_domain(&s, NULL, NULL);
	*touched = s.touched;
	return err;
}

/* A detach must not fail for want of memory: one device after another goes to the blocking entry, in memory that its unit has
 * kept for that. A device with PASIDs has one requester, and at most two entries to change. */
#define RESERVE_STEPS (IOMMU_MAX_RIDS * 12)

size_t switch_reserve_bytes(void)
{
	return sizeof(struct job) + IOMMU_MAX_RIDS * sizeof(struct entry_change) + RESERVE_STEPS * sizeof(struct iommu_step);
}

RARE int switch_to_blocked(struct iommu_group *group, struct attach_point *point)
{
	const struct hitless_port *port = group->port;
	struct switching all = { .group = group, .point = point };
	struct iommu_device *device;
	int err = 0;

	for_each_device(&all, device)
		if (!is_pasid(&all) && has_direct_region(device))
			return -EINVAL;
	for_each_device(&all, device) {
		struct switching s = {
			.group = group, .point = point, .only = device, .old = point->domain, .reserve = device->unit,
		};

		if (err)
			break;
		port->lock(port->ctx, &device->unit->reserve_lock);
		err = switch_domain(&s, NULL, NULL);
		port->unlock(port->ctx, &device->unit->reserve_lock);
	}
	if (err)
		return err;
	set_handle(group, point, NULL, false);
	domain_put(point->domain);
	point->domain = NULL;
	return 0;
}
