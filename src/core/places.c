/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* places.c - where the live entries of a device's requests are, and changes of them: what a switch and a growth have in common. */
#include "core.h"

#include <string.h>

uint32_t unit_pasid_index(const struct iommu_unit *unit, uint32_t pasid)
{
	return pasid == IOMMU_NO_PASID ? unit->ops->rid_pasid(unit) : pasid;
}

unsigned places_of(const struct iommu_device *device, unsigned rid, uint32_t pasid, const struct iommu_domain *old,
		   const struct iommu_domain *new, struct entry_place *places)
{
	struct iommu_unit *unit = device->unit;

	if (unit->ops->places)
		return unit->ops->places(unit, device, rid, pasid, old, new, places);
	if (device->pasid_bits)
		return unit->ops->pasid->places(unit, device, pasid, old, new, places);
	places[0] = device->entry[rid];
	places[0].format = unit->ops->format;
	places[0].pasid = unit->ops->rid_pasid(unit);
	return 1;
}

uint32_t given_tag(const struct iommu_device *device, uint32_t pasid, const struct iommu_domain *domain)
{
	const struct iommu_pasid_ops *ops = device->unit->ops->pasid;

	return device->pasid_bits && ops->given_tag ? ops->given_tag(device->unit, device, pasid, domain) : NO_GIVEN_TAG;
}

void begin_change_locked(struct entry_change *change, const struct iommu_device *device, unsigned rid,
			 const struct entry_place *place, const struct iommu_domain *domain, uint32_t tag)
{
	struct iommu_plan_request *request = &change->request;
	struct iommu_unit *unit = device->unit;

	/* Not all of it, which is long: stand-ins are there if the request says so, and what is stale if it is counted. */
	change->device = 0;
	change->ats = ENTRY_ATS_BY_ENTRY;
	change->nstale = 0;
	change->table = place->table;
	change->offset = place->offset;
	change->ats_control = device->ats_control;
	change->ats_on = device->ats_on;
	change->ats_off = device->ats_off;
	entry_read_locked(place->table, place->offset, change->before, place->format->words);
	unit->ops->make_entry(unit, device, place, domain, tag, change->before, change->after);
	request->format = place->format;
	request->before = change->before;
	request->after = change->after;
	request->quantum = unit->quantum;
	request->facts = unit->facts | place->facts | (device->ats ? IOMMU_PLAN_ATS : 0) |
			 (place->table->parent ? 0 : IOMMU_PLAN_NO_PARENT);
	request->strategies = 0;
	request->rid = device->rids[rid];
	request->pasid = place->pasid;
	request->temporary_tag = 0;
	request->standin[0] = request->standin[1] = NULL;
	request->standin_bytes = 0;
	request->nchain = 0;
	request->before_tag = request->after_tag = 0;
}

void begin_change(struct entry_change *change, const struct iommu_device *device, unsigned rid,
		  const struct entry_place *place, const struct iommu_domain *domain, uint32_t tag)
{
	const struct hitless_port *port = device->unit->port;

	port->lock(port->ctx, &place->table->lock);
	begin_change_locked(change, device, rid, place, domain, tag);
	port->unlock(port->ctx, &place->table->lock);
}

/* At most two rounds of stores with their write-backs, and a handful of commands. */
#define RESTATE_STEPS 24

int restate_entry(const struct iommu_device *device, const struct entry_place *place, const uint64_t *after, bool try)
{
	struct iommu_unit *unit = device->unit;
	struct iommu_step array[RESTATE_STEPS];
	struct entry_steps steps = { .v = array, .capacity = RESTATE_STEPS };
	struct entry_change change = {
		.table = place->table,
		.offset = place->offset,
		.ats = ENTRY_ATS_STAYS,
		.request = {
			.format = place->format,
			.quantum = unit->quantum,
			/* Nothing in the device's own TLB becomes wrong. */
			.facts = unit->facts | IOMMU_PLAN_SUPERSET | IOMMU_PLAN_NO_PARENT,
			.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_PRELOAD),
			.rid = device->rids[0],
			.pasid = place->pasid,
		},
	};
	struct iommu_plan plan;
	int err;

	entry_read(unit->port, place->table, place->offset, change.before, place->format->words);
	memcpy(change.after, after, place->format->words * sizeof(*after));
	change.request.before = change.before;
	change.request.after = change.after;
	err = entry_choose(&change);
	if (err || try)
		return err;
	entry_emit(&steps, &change);
	entry_finish(&steps, &change, 1);
	plan = (struct iommu_plan){ .steps = steps.v, .nsteps = steps.n };
	return unit_commit(unit, &plan);
}
