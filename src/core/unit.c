/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* unit.c - what the core keeps of every unit: its tags, its devices, whom to tell of faults. */
#include "core.h"

#include <string.h>

static void lock_unit(struct iommu_unit *unit)
{
	unit->port->lock(unit->port->ctx, &unit->lock);
}

static void unlock_unit(struct iommu_unit *unit)
{
	unit->port->unlock(unit->port->ctx, &unit->lock);
}

/* ---- Requesters by id: a table of chains, so that neither a new device nor a fault takes a look at all others ---- */

#define CHAINS_LOG2 10

static struct requester **chain_of(const struct iommu_unit *unit, uint32_t rid)
{
	/* Knuth's multiplicative hash: ids come in runs and in steps of a bus. */
	return &unit->requesters[rid * 2654435761u >> (32 - CHAINS_LOG2)];
}

static size_t chains_bytes(void)
{
	return sizeof(struct requester *) << CHAINS_LOG2;
}

/* Under the unit's lock. */
static struct iommu_device *find_device(const struct iommu_unit *unit, uint32_t rid)
{
	for (const struct requester *r = *chain_of(unit, rid); r; r = r->next)
		if (r->device->rids[r - r->device->requesters] == rid)
			return r->device;
	return NULL;
}

int unit_link_device(struct iommu_unit *unit, struct iommu_device *device)
{
	int err = 0;

	lock_unit(unit);
	for (unsigned i = 0; i < device->nrids; i++)
		if (find_device(unit, device->rids[i]))
			err = -EEXIST;
	for (unsigned i = 0; i < device->nrids && !err; i++) {
		struct requester **chain = chain_of(unit, device->rids[i]);

		device->requesters[i] = (struct requester){ .next = *chain, .device = device };
		*chain = &device->requesters[i];
	}
	if (!err) {
		unit->ndevices++;
		unit->npasid_devices += device->pasid_bits != 0;
	}
	unlock_unit(unit);
	return err;
}

void unit_unlink_device(struct iommu_unit *unit, struct iommu_device *device)
{
	lock_unit(unit);
	for (unsigned i = 0; i < device->nrids; i++) {
		struct requester **link = chain_of(unit, device->rids[i]);

		while (*link != &device->requesters[i])
			link = &(*link)->next;
		*link = (*link)->next;
	}
	unit->ndevices--;
	unit->npasid_devices -= device->pasid_bits != 0;
	unlock_unit(unit);
}

bool unit_has_pasids(struct iommu_unit *unit)
{
	bool has;

	lock_unit(unit);
	has = unit->npasid_devices != 0;
	unlock_unit(unit);
	return has;
}

/* ---- Maps of tags ---- */

static size_t map_bytes(uint32_t tags)
{
	return ((size_t)tags + 63) / 64 * sizeof(uint64_t);
}

static void free_tag_spaces(struct iommu_unit *unit)
{
	for (unsigned i = 0; i < TAG_SPACES; i++)
		if (unit->tags[i].map)
			unit->port->free(unit->port->ctx, unit->tags[i].map, map_bytes(unit->tags[i].count));
}

static int make_tag_spaces(struct iommu_unit *unit, const struct tag_space_size *spaces)
{
	for (unsigned i = 0; i < TAG_SPACES; i++) {
		struct tag_space *space = &unit->tags[i];

		if (!spaces[i].count)
			continue;
		space->map = unit->port->alloc(unit->port->ctx, map_bytes(spaces[i].count));
		if (!space->map) {
			free_tag_spaces(unit);
			return -ENOMEM;
		}
		space->count = spaces[i].count;
		for (uint32_t tag = 0; tag < spaces[i].first; tag++)
			space->map[tag / 64] |= 1ull << tag % 64;
	}
	return 0;
}

/* ---- A unit ---- */

RARE int unit_init(struct iommu_unit *unit, const struct iommu_unit_ops *ops, const struct hitless_port *port,
	      const struct tag_space_size *spaces)
{
	int err;

	unit->ops = ops;
	unit->port = port;
	err = make_tag_spaces(unit, spaces);
	if (err)
		return err;
	unit->requesters = port->alloc(port->ctx, chains_bytes());
	err = unit->requesters ? 0 : -ENOMEM;
	if (err)
		goto free_tags;
	unit->reserve_bytes = switch_reserve_bytes();
	unit->reserve = port->alloc(port->ctx, unit->reserve_bytes);
	err = unit->reserve ? 0 : -ENOMEM;
	if (err)
		goto free_requesters;
	err = port->lock_init(port->ctx, &unit->lock);
	if (err)
		goto free_reserve;
	err = port->lock_init(port->ctx, &unit->reserve_lock);
	if (err)
		goto destroy_lock;
	return 0;

destroy_lock:
	port->lock_destroy(port->ctx, &unit->lock);
free_reserve:
	port->free(port->ctx, unit->reserve, unit->reserve_bytes);
free_requesters:
	port->free(port->ctx, unit->requesters, chains_bytes());
free_tags:
	free_tag_spaces(unit);
	return err;
}

RARE void unit_fini(struct iommu_unit *unit)
{
	unit->port->lock_destroy(unit->port->ctx, &unit->reserve_lock);
	unit->port->lock_destroy(unit->port->ctx, &unit->lock);
	unit->port->free(unit->port->ctx, unit->reserve, unit->reserve_bytes);
	unit->port->free(unit->port->ctx, unit->requesters, chains_bytes());
	free_tag_spaces(unit);
}

bool unit_is_lost(const struct iommu_unit *unit)
{
	return __atomic_load_n(&unit->lost, __ATOMIC_ACQUIRE);
}

void unit_mark_lost(struct iommu_unit *unit)
{
	__atomic_store_n(&unit->lost, 1, __ATOMIC_RELEASE);
}

/* ---- Tags that are free ---- */

/* Under the unit's lock. */
static bool find_free_tag(const struct tag_space *space, uint32_t *tag)
{
	for (uint32_t word = space->full; word < (space->count + 63) / 64; word++) {
		if (space->map[word] == ~0ull)
			continue;
		*tag = word * 64 + (uint32_t)__builtin_ctzll(~space->map[word]);
		return *tag < space->count;
	}
	return false;
}

int unit_alloc_tag(struct iommu_unit *unit, unsigned which, uint32_t *tag)
{
	struct tag_space *space = &unit->tags[which];
	bool found;

	lock_unit(unit);
	found = find_free_tag(space, tag);
	if (found) {
		space->map[*tag / 64] |= 1ull << *tag % 64;
		space->full = *tag / 64;	/* all before it are */
		space->used++;
	}
	unlock_unit(unit);
	return found ? 0 : -ENOSPC;
}

void unit_free_tag(struct iommu_unit *unit, unsigned which, uint32_t tag)
{
	struct tag_space *space = &unit->tags[which];

	lock_unit(unit);
	space->map[tag / 64] &= ~(1ull << tag % 64);
	if (tag / 64 < space->full)
		space->full = tag / 64;
	space->used--;
	unlock_unit(unit);
}

bool unit_peek_free_tag(struct iommu_unit *unit, unsigned which, uint32_t *tag)
{
	bool found;

	lock_unit(unit);
	found = find_free_tag(&unit->tags[which], tag);
	unlock_unit(unit);
	return found;
}

/* ---- What is done with it ---- */

int unit_commit(struct iommu_unit *unit, struct iommu_plan *plan)
{
	const struct entry_unit hw = { .port = unit->port, .unit = unit, .commands = unit->ops->commands };
	int err = unit_is_lost(unit) ? -EIO : entry_commit(&hw, plan);

	if (err)
		unit_mark_lost(unit);
	return err;
}

void iommu_unit_get_info(struct iommu_unit *unit, struct iommu_unit_info *info)
{
	lock_unit(unit);
	*info = (struct iommu_unit_info){
		.arch = unit->ops->arch,
		.quantum = unit->quantum,
		.coherent = !(unit->facts & IOMMU_PLAN_NONCOHERENT),
		.caches_absent = unit->facts & IOMMU_PLAN_CACHES_ABSENT,
		.lost = unit_is_lost(unit),
	};
	for (unsigned i = 0; i < TAG_SPACES; i++) {
		info->tags += unit->tags[i].count;
		info->tags_used += unit->tags[i].used;
	}
	unlock_unit(unit);
}

int iommu_unit_destroy(struct iommu_unit *unit)
{
	bool busy;

	if (!unit)
		return -EINVAL;
	lock_unit(unit);
	busy = unit->ndevices != 0;
	for (unsigned i = 0; i < TAG_SPACES; i++)
		busy |= unit->tags[i].used != 0;
	unlock_unit(unit);
	if (unit_is_lost(unit))
		return -EIO;
	return busy ? -EBUSY : unit->ops->destroy(unit);
}

int iommu_unit_submit(struct iommu_unit *unit, const void *commands, unsigned count)
{
	int err;

	if (!unit || !commands || !count)
		return -EINVAL;
	if (unit_is_lost(unit))
		return -EIO;
	err = unit->ops->submit(unit, commands, count);
	if (err == -EIO)
		unit_mark_lost(unit);
	return err;
}

/* ---- Faults ---- */

int iommu_unit_handle_faults(struct iommu_unit *unit)
{
	return unit ? unit->ops->handle_faults(unit) : -EINVAL;
}

void iommu_unit_set_fault_handler(struct iommu_unit *unit, iommu_fault_handler *handler, void *handle)
{
	lock_unit(unit);
	unit->fault_handler = handler;
	unit->fault_handle = handle;
	unlock_unit(unit);
}

void unit_report_fault(struct iommu_unit *unit, struct iommu_fault *fault)
{
	const struct iommu_attach_handle *attached = NULL;
	iommu_fault_handler *handler;
	void *handle;

	lock_unit(unit);
	handler = unit->fault_handler;
	handle = unit->fault_handle;
	if (fault->cause != IOMMU_FAULT_OVERFLOW)
		fault->device = find_device(unit, fault->rid);
	if (fault->device) {
		struct iommu_group *group = fault->device->group;
		const struct attach_point *point;

		group->port->lock(group->port->ctx, &group->fault_lock);
		/* Where requests without PASID have an index, the unit may name it. */
		point = unit_pasid_index(unit, fault->pasid) == unit->ops->rid_pasid(unit) ? &group->rid :
											 pasid_find(group, fault->pasid);
		if (point) {
			fault->replacing = __atomic_load_n(&point->replacing, __ATOMIC_ACQUIRE);
			attached = point->handle;
		}
		/* What it points to is its owner's again as soon as a replace or detach has returned. */
		if (attached && attached->fault_handler) {
			handler = attached->fault_handler;
			handle = attached->handle;
		}
		group->port->unlock(group->port->ctx, &group->fault_lock);
	}
	unlock_unit(unit);
	if (handler)
		handler(handle, fault);
}
