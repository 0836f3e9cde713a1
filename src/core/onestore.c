/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * onestore.c - a switch that is one store into one entry, as most are: one device with one requester id, without PASIDs and reserved
 * regions, from a domain of the host's to another one.
 *
 * It is what switch.c does, step for step, without lists of devices, jobs and rounds, and with the domains' locks taken once on
 * the way in and once on the way out. Whatever is otherwise, or not there at once, is left to switch.c, before anything has happened:
 * who waits there holds nothing here. tests/test_core.c holds the steps of both against each other.
 */
#include "core.h"

/* A store with its write-back, commands for entry, translations and device TLB, waits between them. */
#define ONE_STORE_STEPS 12

/* Does the domain let requests through, by nothing but the host's own tables? */
static bool is_plain(const struct iommu_domain *domain)
{
	return domain && (domain->type == IOMMU_DOMAIN_PAGING || domain->type == IOMMU_DOMAIN_IDENTITY);
}

/* The group's only device, if it is such a one. */
static struct iommu_device *lone_device(const struct iommu_group *group, const struct attach_point *point)
{
	struct iommu_device *device = group->devices;

	if (point->pasid != IOMMU_NO_PASID || !device || device->next_in_group || device->nrids != 1 || device->pasid_bits ||
	    device->nresv)
		return NULL;
	return device;
}

static bool is_allowed(const struct iommu_replace_options *options)
{
	return !options || !options->strategies || (options->strategies & IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE));
}

static uint32_t number_of(const struct iommu_attachment *attachment)
{
	return attachment->tag ? attachment->tag->tag : ENTRY_NO_TAG;
}

/* Both domains' tags are known, and the table's lock is held. False: it takes more than one store. */
static bool plan(const struct iommu_device *device, const struct entry_place *place, const struct iommu_domain *new,
		 struct entry_steps *steps)
{
	const struct point_member *member = &device->rid;
	uint32_t tag = number_of(&member->attachment[!member->attached]);
	struct entry_change change;

	begin_change_locked(&change, device, 0, place, new, tag == ENTRY_NO_TAG ? 0 : tag);
	change.request.before_tag = number_of(&member->attachment[member->attached]);
	change.request.after_tag = tag;
	change.request.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE);
	if (place->keeps_ats)
		change.ats = ENTRY_ATS_STAYS;
	if (!entry_choose_one_store(&change))
		return false;
	entry_emit(steps, &change);
	entry_finish(steps, &change, 1);
	return steps->n <= steps->capacity;
}

static void make_report(const struct entry_steps *steps, int err, struct iommu_replace_report *report)
{
	*report = (struct iommu_replace_report){
		.strategy = IOMMU_STRATEGY_ONE_STORE,
		.hitless = !err,
		.why = err ? "the hardware stopped answering" : NULL,
		.requesters = 1,
		.cost = steps->cost,
	};
}

int switch_by_one_store(struct iommu_group *group, struct attach_point *point, struct iommu_domain *new,
			const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	const struct iommu_attach_handle *handle = options ? options->handle : NULL;
	const struct hitless_port *port = group->port;
	struct iommu_device *device = lone_device(group, point);
	struct iommu_domain *old = point->domain;
	struct entry_place place[MAX_PLACES];
	struct iommu_step array[ONE_STORE_STEPS];
	struct entry_steps steps = { .v = array, .capacity = ONE_STORE_STEPS };
	struct iommu_attachment *entering;
	struct iommu_plan made;
	struct iommu_unit *unit;
	int err;

	if (!device || !is_plain(old) || !is_plain(new) || !is_allowed(options))
		return -EAGAIN;
	unit = device->unit;
	if (unit_is_lost(unit) || new->ops != unit->ops || unit->ops->domain_check(unit, device, new) ||
	    places_of(device, 0, point->pasid, old, new, place) != 1)
		return -EAGAIN;
	entering = &device->rid.attachment[!device->rid.attached];
	entering->device = device;
	entering->pasid = point->pasid;
	entering->ats = device->ats;
	entering->nested = false;
	if (!domain_try_switch(old))
		return -EAGAIN;
	if (!domain_enter(new, unit, entering)) {
		domain_end_switch(old, NULL);
		return -EAGAIN;
	}
	/* From the look at the entry to the store into it: then it need not be taken twice. */
	port->lock(port->ctx, &place[0].table->lock);
	if (!plan(device, &place[0], new, &steps)) {
		port->unlock(port->ctx, &place[0].table->lock);
		domain_leave(new, entering);
		domain_end_switch(old, NULL);
		return -EAGAIN;
	}
	/* Before the switch, so that no fault of the new domain is told to the old handle; and what comes meanwhile is marked. */
	set_handle(group, point, handle, true);
	made = (struct iommu_plan){ .steps = array, .nsteps = steps.n, .capacity = ONE_STORE_STEPS };
	if (port->review) {
		made.cost = steps.cost;
		port->review(port->ctx, &made);
	}
	err = unit_commit_held(unit, &made, place[0].table);
	if (err) {
		/* Nobody knows what the hardware still uses: nothing of either domain is given back. */
		domain_quarantine(old);
		domain_quarantine(new);
		domain_end_switch(old, new);
	} else {
		device->rid.attached = !device->rid.attached;
		domain_leave(old, &device->rid.attachment[!device->rid.attached]);
		domain_end_switch(NULL, new);
	}
	point->domain = new;
	set_handle(group, point, handle, false);
	if (report)
		make_report(&steps, err, report);
	return err;
}
