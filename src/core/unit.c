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
		space->first = spaces[i].first;
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

void unit_mark_lost(struct iommu_unit *unit)
{
	__atomic_store_n(&unit->lost, 1, __ATOMIC_RELEASE);
}

/* ---- Tags that are free ---- */

/* The lowest that is free, from a word of the map on; and takes it, if `take`. Without a lock: a bit changes hands at once. */
static bool find_free_tag(struct tag_space *space, uint32_t word, bool take, uint32_t *tag)
{
	for (; word < (space->count + 63) / 64; word++) {
		uint64_t taken = __atomic_load_n(&space->map[word], __ATOMIC_RELAXED);

		while (taken != ~0ull) {
			unsigned bit = (unsigned)__builtin_ctzll(~taken);

			*tag = word * 64 + bit;
			if (*tag >= space->count)
				return false;
			/* Whoever had the number before has done all that he did with it. */
			if (!take || __atomic_compare_exchange_n(&space->map[word], &taken, taken | 1ull << bit, false, __ATOMIC_ACQUIRE,
								 __ATOMIC_RELAXED))
				return true;
		}
	}
	return false;
}

/* From where one was found last; who is told of a later place than there is meanwhile looks at all of them before he gives up. */
static bool find_tag(struct tag_space *space, bool take, uint32_t *tag)
{
	uint32_t full = __atomic_load_n(&space->full, __ATOMIC_RELAXED);

	return find_free_tag(space, full, take, tag) || (full && find_free_tag(space, 0, take, tag));
}

int unit_alloc_tag(struct iommu_unit *unit, unsigned which, uint32_t *tag)
{
	struct tag_space *space = &unit->tags[which];

	if (!find_tag(space, true, tag))
		return -ENOSPC;
	if (*tag / 64 != __atomic_load_n(&space->full, __ATOMIC_RELAXED))
		__atomic_store_n(&space->full, *tag / 64, __ATOMIC_RELAXED);
	return 0;
}

void unit_free_tag(struct iommu_unit *unit, unsigned which, uint32_t tag)
{
	struct tag_space *space = &unit->tags[which];

	__atomic_fetch_and(&space->map[tag / 64], ~(1ull << tag % 64), __ATOMIC_RELEASE);
	if (tag / 64 < __atomic_load_n(&space->full, __ATOMIC_RELAXED))
		__atomic_store_n(&space->full, tag / 64, __ATOMIC_RELAXED);
}

bool unit_peek_free_tag(struct iommu_unit *unit, unsigned which, uint32_t *tag)
{
	return find_tag(&unit->tags[which], false, tag);
}

/* All but those that are nobody's, as far as nobody comes or goes meanwhile. */
static uint32_t tags_in_use(const struct tag_space *space)
{
	uint32_t taken = 0;

	for (uint32_t word = 0; word < (space->count + 63) / 64; word++)
		for (uint64_t bits = __atomic_load_n(&space->map[word], __ATOMIC_RELAXED); bits; bits &= bits - 1)
			taken++;
	return taken - space->first;
}

/* ---- What is done with it ---- */

int unit_commit_held(struct iommu_unit *unit, struct iommu_plan *plan, struct entry_table *held)
{
	const struct entry_unit hw = { .port = unit->port, .unit = unit, .commands = unit->ops->commands };
	int err;

	if (unit_is_lost(unit)) {
		if (held)
			unit->port->unlock(unit->port->ctx, &held->lock);
		return -EIO;
	}
	err = entry_commit(&hw, plan, held);
	if (err)
		unit_mark_lost(unit);
	return err;
}

int unit_commit(struct iommu_unit *unit, struct iommu_plan *plan)
{
	return unit_commit_held(unit, plan, NULL);
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
		info->tags_used += tags_in_use(&unit->tags[i]);
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
		busy |= tags_in_use(&unit->tags[i]) != 0;
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
