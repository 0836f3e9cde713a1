/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pasid.c - what is attached to PASIDs.
 *
 * A PASID is a point of its group, as its requests without PASID are one (core.h), and is switched alike (switch.c). The points
 * hang on a tree of four levels of 32: a lone PASID costs a kilobyte, and many that are side by side cost eight bytes each and
 * their points. An attach or detach walks four levels, however many there are.
 */
#include "core.h"

#define LEVELS 4u
#define LEVEL_BITS 5u
#define PASID_BITS (LEVELS * LEVEL_BITS)
#define CHILDREN (1u << LEVEL_BITS)

struct pasid_tree {
	void *child[CHILDREN];		/* trees, or points on the lowest level */
	unsigned used;
};

/* ---- The tree. It changes under group->lock and group->fault_lock, and is read under one of them. ---- */

static unsigned child_number(uint32_t pasid, unsigned level)
{
	return pasid >> (LEVELS - 1 - level) * LEVEL_BITS & (CHILDREN - 1);
}

struct attach_point *pasid_find(const struct iommu_group *group, uint32_t pasid)
{
	void *at = group->pasids;

	if (pasid >> PASID_BITS)
		return NULL;
	for (unsigned level = 0; level < LEVELS && at; level++)
		at = ((struct pasid_tree *)at)->child[child_number(pasid, level)];
	return at;
}

/* Takes the point out, and the nodes above it that are empty then. With no point there it only does the latter. */
static void erase(struct iommu_group *group, uint32_t pasid)
{
	const struct hitless_port *port = group->port;
	struct pasid_tree **link[LEVELS];
	struct pasid_tree *empty[LEVELS];
	unsigned depth = 0, nempty = 0;

	port->lock(port->ctx, &group->fault_lock);
	link[0] = &group->pasids;
	while (depth < LEVELS && *link[depth]) {
		struct pasid_tree *node = *link[depth++];

		if (depth < LEVELS)
			link[depth] = (struct pasid_tree **)&node->child[child_number(pasid, depth - 1)];
		else if (node->child[child_number(pasid, depth - 1)]) {
			node->child[child_number(pasid, depth - 1)] = NULL;
			node->used--;
		}
	}
	while (depth-- > 0 && !(*link[depth])->used) {
		empty[nempty++] = *link[depth];
		*link[depth] = NULL;
		if (depth)
			(*link[depth - 1])->used--;
	}
	port->unlock(port->ctx, &group->fault_lock);
	while (nempty-- > 0)
		port->free(port->ctx, empty[nempty], sizeof(*empty[nempty]));
}

/* -ENOMEM. */
static int insert(struct iommu_group *group, struct attach_point *point)
{
	const struct hitless_port *port = group->port;
	void **link = (void **)&group->pasids;
	unsigned *used = NULL;

	for (unsigned level = 0; level < LEVELS; level++) {
		struct pasid_tree *node = *link;

		if (!node) {
			node = port->alloc(port->ctx, sizeof(*node));
			if (!node) {
				erase(group, point->pasid);
				return -ENOMEM;
			}
			port->lock(port->ctx, &group->fault_lock);
			*link = node;
			if (used)
				++*used;
			port->unlock(port->ctx, &group->fault_lock);
		}
		link = &node->child[child_number(point->pasid, level)];
		used = &node->used;
	}
	port->lock(port->ctx, &group->fault_lock);
	*link = point;
	++*used;
	port->unlock(port->ctx, &group->fault_lock);
	return 0;
}

/* ---- Points ---- */

static size_t point_bytes(unsigned nmembers)
{
	return sizeof(struct attach_point) + nmembers * sizeof(struct point_member);
}

static void free_point(const struct hitless_port *port, struct attach_point *point)
{
	port->free(port->ctx, point, point_bytes(point->nmembers));
}

static int alloc_point(const struct iommu_group *group, uint32_t pasid, struct attach_point **result)
{
	struct attach_point *point;
	unsigned members = 0;

	for (const struct iommu_device *device = group->devices; device; device = device->next_in_group)
		members += device->pasid_bits != 0;
	point = group->port->alloc(group->port->ctx, point_bytes(members));
	if (!point)
		return -ENOMEM;
	point->pasid = pasid;
	point->members = (struct point_member *)(point + 1);
	for (struct iommu_device *device = group->devices; device; device = device->next_in_group)
		if (device->pasid_bits)
			point->members[point->nmembers++].device = device;
	*result = point;
	return 0;
}

/* One that every device of the group that has PASIDs can have; 0 stands for requests without. */
static bool is_valid(const struct iommu_group *group, uint32_t pasid)
{
	bool any = false;

	if (!pasid || pasid >> PASID_BITS)
		return false;
	for (const struct iommu_device *device = group->devices; device; device = device->next_in_group) {
		if (!device->pasid_bits)
			continue;
		any = true;
		if (pasid >> device->pasid_bits)
			return false;
	}
	return any;
}

/* ---- The interface ---- */

static int attach(struct iommu_group *group, uint32_t pasid, struct iommu_domain *domain,
		  const struct iommu_replace_options *options)
{
	struct attach_point *point;
	int err;

	if (!is_valid(group, pasid))
		return -EINVAL;
	if (pasid_find(group, pasid))
		return -EBUSY;
	err = alloc_point(group, pasid, &point);
	if (err)
		return err;
	err = insert(group, point);
	if (err) {
		free_point(group->port, point);
		return err;
	}
	err = switch_point(group, point, domain, options, NULL);
	/* After an -EIO that came too late the point stays, as the hardware's tables do. */
	if (point->domain) {
		group->npasids++;
		return err;
	}
	erase(group, pasid);
	free_point(group->port, point);
	return err;
}

int iommu_attach_device_pasid(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
			      const struct iommu_attach_handle *handle)
{
	const struct iommu_replace_options options = { .handle = handle };
	int err;

	if (!device || !domain || !device->pasid_bits)
		return -EINVAL;
	lock_group(device->group);
	err = attach(device->group, pasid, domain, &options);
	unlock_group(device->group);
	return err;
}

int iommu_replace_device_pasid(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
			       const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct attach_point *point;
	int err;

	if (!device || !domain || !device->pasid_bits || !options_valid(options))
		return -EINVAL;
	lock_group(device->group);
	point = pasid_find(device->group, pasid);
	err = point ? switch_point(device->group, point, domain, options, report) : -EINVAL;
	unlock_group(device->group);
	return err;
}

int iommu_replace_device_pasid_query(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
				     const struct iommu_replace_options *options, struct iommu_replace_report *report)
{
	struct attach_point *point;
	int err;

	if (!device || !domain || !device->pasid_bits || !options_valid(options) || !report)
		return -EINVAL;
	lock_group(device->group);
	point = pasid_find(device->group, pasid);
	err = point ? switch_query(device->group, point, domain, options, report) : -EINVAL;
	unlock_group(device->group);
	return err;
}

int iommu_detach_device_pasid(struct iommu_device *device, uint32_t pasid)
{
	struct iommu_group *group;
	struct attach_point *point;
	int err;

	if (!device || !device->pasid_bits)
		return -EINVAL;
	group = device->group;
	lock_group(group);
	point = pasid_find(group, pasid);
	/* One without a domain was left by a unit that is lost. */
	err = !point ? -EINVAL : !point->domain ? -EIO : switch_point(group, point, NULL, NULL, NULL);
	if (err == -ENOMEM)
		err = switch_to_blocked(group, point);
	if (!err) {
		erase(group, pasid);
		free_point(group->port, point);
		group->npasids--;
	}
	unlock_group(group);
	return err;
}

struct iommu_domain *iommu_device_pasid_domain(struct iommu_device *device, uint32_t pasid)
{
	struct attach_point *point;
	struct iommu_domain *domain;

	if (!device || !device->pasid_bits)
		return NULL;
	lock_group(device->group);
	point = pasid_find(device->group, pasid);
	domain = point ? point->domain : NULL;
	unlock_group(device->group);
	return domain;
}

/* What the tree and the points take, for all devices of the group together. */
static size_t node_bytes(const struct pasid_tree *node, unsigned level)
{
	size_t bytes = sizeof(*node);

	for (unsigned i = 0; i < CHILDREN; i++) {
		if (!node->child[i])
			continue;
		if (level + 1 < LEVELS)
			bytes += node_bytes(node->child[i], level + 1);
		else
			bytes += point_bytes(((const struct attach_point *)node->child[i])->nmembers);
	}
	return bytes;
}

int iommu_device_get_pasid_info(struct iommu_device *device, struct iommu_pasid_info *info)
{
	struct iommu_group *group;

	if (!device || !info)
		return -EINVAL;
	*info = (struct iommu_pasid_info){ .width = device->pasid_bits };
	if (!device->pasid_bits)
		return 0;
	group = device->group;
	lock_group(group);
	info->attached = group->npasids;
	device->unit->ops->pasid->memory(device->unit, device, &info->table_bytes, &info->software_bytes);
	if (group->pasids)
		info->software_bytes += node_bytes(group->pasids, 0);
	unlock_group(group);
	return 0;
}
