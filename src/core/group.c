/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* group.c - groups and devices, and what is attached to a group's requests without PASID. What a switch is, see switch.c. */
#include "core.h"

#include <string.h>

/* Nothing is attached: the group is in its default domain, or blocked. */
static bool is_at_rest(const struct iommu_group *group)
{
	return !group->rid.domain || group->rid.domain == group->default_domain || group->rid.domain->type == IOMMU_DOMAIN_BLOCKED;
}

/* Where a group without an attachment belongs. */
static struct iommu_domain *resting_domain(const struct iommu_group *group)
{
	return group->owner ? NULL : group->default_domain;
}

bool options_valid(const struct iommu_replace_options *options)
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
	err = switch_point(group, &group->rid, domain, options, report);
	unlock_group(group);
	return err;
}

int iommu_replace_query(struct iommu_group *group, struct iommu_domain *domain, const struct iommu_replace_options *options,
			struct iommu_replace_report *report)
{
	int err;

	if (!group || !domain || !options_valid(options) || !report)
		return -EINVAL;
	lock_group(group);
	err = switch_query(group, &group->rid, domain, options, report);
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
	err = is_at_rest(group) ? switch_point(group, &group->rid, domain, &options, NULL) : -EBUSY;
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
	err = switch_point(group, &group->rid, resting_domain(group), NULL, NULL);
	if ((err == -ENOMEM || err == -ENOSPC) && group->rid.domain) {
		int blocked = switch_to_blocked(group, &group->rid);

		/* What can't be blocked keeps the first error. */
		if (blocked != -EINVAL)
			err = blocked;
	}
	unlock_group(group);
	return err;
}

struct iommu_group *iommu_device_group(struct iommu_device *device)
{
	return device->group;
}

struct iommu_domain *iommu_group_domain(struct iommu_group *group)
{
	struct iommu_domain *domain;

	lock_group(group);
	domain = group->rid.domain;
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
	if (!group->owner && group->rid.domain == old)
		err = switch_point(group, &group->rid, domain, NULL, NULL);
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
	else if (group->rid.domain != group->default_domain || group->npasids)
		err = -EBUSY;
	else
		err = switch_point(group, &group->rid, NULL, NULL, NULL);
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
	if (!group->owner)
		err = -EPERM;
	else if (group->npasids)
		err = -EBUSY;
	else
		err = switch_point(group, &group->rid, group->default_domain, NULL, NULL);
	if (!err)
		group->owner = NULL;
	unlock_group(group);
	return err;
}

/* ---- Groups and devices come and go ---- */

RARE int iommu_group_alloc(const struct hitless_port *port, struct iommu_group **result)
{
	struct iommu_group *group;
	int err;

	if (!port || !result)
		return -EINVAL;
	group = port->alloc(port->ctx, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->port = port;
	group->rid.pasid = IOMMU_NO_PASID;
	err = port->lock_init(port->ctx, &group->lock);
	if (err)
		goto free;
	err = port->lock_init(port->ctx, &group->fault_lock);
	if (err)
		goto destroy_lock;
	*result = group;
	return 0;

destroy_lock:
	port->lock_destroy(port->ctx, &group->lock);
free:
	port->free(port->ctx, group, sizeof(*group));
	return err;
}

RARE int iommu_group_free(struct iommu_group *group)
{
	const struct hitless_port *port;
	bool busy;

	if (!group)
		return -EINVAL;
	port = group->port;
	lock_group(group);
	busy = group->devices != NULL || group->npasids;
	unlock_group(group);
	if (busy)
		return -EBUSY;
	if (group->rid.domain)
		domain_put(group->rid.domain);
	if (group->default_domain)
		domain_put(group->default_domain);
	port->lock_destroy(port->ctx, &group->fault_lock);
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

/* Of a device and what follows it: a place, a pointer and a requester for each of its ids. */
static size_t device_bytes(unsigned nrids)
{
	return sizeof(struct iommu_device) +
	       nrids * (sizeof(struct entry_place) + sizeof(void *) + sizeof(struct requester));
}

static void free_device(const struct hitless_port *port, struct iommu_device *device)
{
	if (device->resv)
		port->free(port->ctx, device->resv, device->nresv * sizeof(*device->resv));
	port->free(port->ctx, device, device_bytes(device->nrids));
}

static int alloc_device(const struct hitless_port *port, const struct iommu_device_desc *desc, struct iommu_device **result)
{
	struct iommu_device *device = port->alloc(port->ctx, device_bytes(desc->nrids));

	if (!device)
		return -ENOMEM;
	device->entry = (struct entry_place *)(device + 1);
	device->tables = (void **)(device->entry + desc->nrids);
	device->requesters = (struct requester *)(device->tables + desc->nrids);
	device->unit = desc->unit;
	device->nrids = desc->nrids;
	memcpy(device->rids, desc->rids, sizeof(device->rids));
	/* A PASID comes with the device's own requester id only. */
	device->pasid_bits = desc->unit->ops->pasid && desc->nrids == 1 ? desc->pasid_bits : 0;
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

RARE int iommu_group_add_device(struct iommu_group *group, const struct iommu_device_desc *desc, struct iommu_device **result)
{
	const struct hitless_port *port;
	struct iommu_device *device;
	bool touched = false;
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
	/* What is attached to PASIDs is the same for all devices of a group. */
	err = group->npasids ? -EBUSY : unit_is_lost(device->unit) ? -EIO : unit_link_device(device->unit, device);
	if (err)
		goto free;
	err = device->unit->ops->device_add(device->unit, device);
	if (err)
		goto unlink;
	/* The first device brings an empty group to where it belongs. */
	if (!group->devices && !group->rid.domain && resting_domain(group)) {
		err = domain_get(resting_domain(group));
		if (err)
			goto remove;
		group->rid.domain = resting_domain(group);
	}
	err = switch_device(group, device, true, &touched);
	if (err)
		goto remove;
	device->next_in_group = group->devices;
	group->devices = device;
	unlock_group(group);
	*result = device;
	return 0;

remove:
	if (touched) {
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

RARE int iommu_group_remove_device(struct iommu_group *group, struct iommu_device *device)
{
	const struct hitless_port *port;
	unsigned nresv;
	bool touched;
	int err;

	if (!group || !device || device->group != group)
		return -EINVAL;
	port = group->port;
	lock_group(group);
	if (!is_at_rest(group) || group->npasids) {
		err = -EBUSY;
		goto out;
	}
	/* It is leaving: nobody needs its direct regions any more. */
	nresv = device->nresv;
	device->nresv = 0;
	err = switch_device(group, device, false, &touched);
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
