/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_unit.c - an AMD-Vi unit: what it can do, its device table, its domains.
 *
 * The device table is one piece, with an entry for every DeviceID, blocked until its device is added. A guest-table ("v2")
 * domain has a GCR3 table of its own, one page whose first entry (PASID 0) points to the page table; with GIoV in the DTE,
 * requests without PASID use that. So a change from one such domain to another is one store to the DTE, too.
 */
#include "amdvi_driver.h"

#include <string.h>

/* Host tables start with this many levels and grow: 512 GiB are enough for most. */
#define FIRST_LEVELS 3u

/* ---- Devices ---- */

/* Is the requester in this unit's segment, and in its device table? */
static bool serves(const struct amdvi_unit *amdvi, uint32_t rid)
{
	return rid >> 16 == amdvi->segment && (rid & 0xffff) < amdvi->devices;
}

static RARE int amdvi_device_add(struct iommu_unit *unit, struct iommu_device *device)
{
	struct amdvi_unit *amdvi = to_amdvi(unit);

	for (unsigned i = 0; i < device->nrids; i++) {
		if (!serves(amdvi, device->rids[i]))
			return -EINVAL;
		device->entry[i].table = amdvi_devtab_place(amdvi, device->rids[i], &device->entry[i].offset);
	}
	driver_find_ats(unit->port, device, AMDVI_CAPABILITY_OF(amdvi, IOTLB_SUP));
	driver_enable_pasids(unit->port, device, amdvi_pasid_bits(amdvi));
	return device->pasid_bits ? amdvi_pasid_add(amdvi, device) : 0;
}

/* Its entries stay where they are, and block. */
static RARE void amdvi_device_remove(struct iommu_unit *unit, struct iommu_device *device)
{
	amdvi_pasid_remove(to_amdvi(unit), device);
	driver_disable_pasids(unit->port, device);
}

int amdvi_set_interrupts(struct iommu_unit *unit, uint32_t rid, const uint64_t words[2])
{
	struct amdvi_unit *amdvi = to_amdvi(unit);
	const struct hitless_port *port;
	const uint64_t keep = BITS(AMDVI_DTE, GUEST_PAGING_MODE);
	struct entry_table *table;
	uint64_t *live, high[2];
	size_t offset;

	if (!unit || !words || unit->ops->format != &amdvi_dte || !serves(amdvi, rid))
		return -EINVAL;
	port = unit->port;
	table = amdvi_devtab_place(amdvi, rid, &offset);
	port->lock(port->ctx, &table->lock);
	live = (uint64_t *)((char *)table->page + offset) + 2;
	high[0] = (words[0] & ~keep) | (live[0] & keep);
	high[1] = words[1];
	if (port->store128) {
		port->store128(port->ctx, live, high[0], high[1]);
	} else {
		port->store64(port->ctx, &live[1], high[1]);
		port->store64(port->ctx, &live[0], high[0]);
	}
	port->unlock(port->ctx, &table->lock);
	return 0;
}

/* ---- Domains ---- */

static bool has_dirty(const struct amdvi_unit *amdvi)
{
	return AMDVI_EFR_OF(amdvi, HA_SUP) && AMDVI_EFR_OF(amdvi, HD_SUP);
}

/*
 * With 64-bit stores the way to another domain leads through the tables as those of the other kind (amdvi_standin.c). So where nobody wants what only host
 * tables have, an s2 domain has guest tables, which are host tables as well, and a GCR3 table that leads to them.
 */
static bool wants_both_kinds(const struct amdvi_unit *amdvi, const struct iommu_domain_desc *desc)
{
	return amdvi->unit.quantum == 8 && !desc->levels && !desc->dirty && amdvi_has_guest(amdvi, 4);
}

/* A domain's own table: of its PASIDs only 0 is there. */
static int make_gcr3_table(struct iommu_domain *domain)
{
	const struct hitless_port *port = domain->port;
	struct amdvi_gcr3 *gcr3 = port->alloc(port->ctx, sizeof(*gcr3));
	struct entry_table *table;
	size_t offset;
	int err;

	if (!gcr3)
		return -ENOMEM;
	err = amdvi_gcr3_init(port, gcr3, 1, 0);
	if (!err)
		err = amdvi_gcr3_reach(port, gcr3, AMDVI_RID_PASID, &table, &offset);
	if (err) {
		amdvi_gcr3_fini(port, gcr3);
		port->free(port->ctx, gcr3, sizeof(*gcr3));
		return err;
	}
	port->store64(port->ctx, (char *)table->page + offset,
		      amdvi_gcr3_to(domain_root(domain)));
	domain->driver_data = gcr3;
	return 0;
}

static RARE void amdvi_domain_fini(struct iommu_domain *domain)
{
	struct amdvi_gcr3 *gcr3 = domain->driver_data;

	if (!gcr3)
		return;
	amdvi_gcr3_fini(domain->port, gcr3);
	domain->port->free(domain->port->ctx, gcr3, sizeof(*gcr3));
	domain->driver_data = NULL;
}

static RARE int amdvi_domain_init(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc)
{
	const struct amdvi_unit *amdvi = to_amdvi_const(unit);
	struct iommu_pgtable_config config = { .port = unit->port, .output_bits = 52, .max_page_shift = 30 };
	bool dual;
	int err;

	if (desc->type == IOMMU_DOMAIN_EXTERNAL) {
		domain->external_levels = desc->levels ? desc->levels : 4;
		return amdvi_has_guest(amdvi, domain->external_levels) ? make_gcr3_table(domain) : -EINVAL;
	}
	if (desc->type != IOMMU_DOMAIN_PAGING)
		return 0;
	if (domain->stage == 0)
		domain->stage = 2;
	dual = domain->stage == 2 && wants_both_kinds(amdvi, desc);
	if (domain->stage == 1 || dual) {
		config.levels = desc->levels ? desc->levels : 4;
		if (!amdvi_has_guest(amdvi, config.levels))
			return -EINVAL;
	} else {
		if (desc->levels > amdvi_max_host_levels(amdvi))
			return -EINVAL;
		/* Who asks for a depth gets that one. */
		config.levels = desc->levels ? desc->levels : FIRST_LEVELS;
		config.max_levels = desc->levels ? 0 : amdvi_max_host_levels(amdvi);
	}
	if (desc->dirty && (domain->stage != 2 || !has_dirty(amdvi)))
		return -EOPNOTSUPP;
	config.dirty = desc->dirty;
	/* Pages of every power of two; where dirty ones are recorded, of the levels' own sizes only: each has its own flag. */
	config.contiguous = domain->stage == 2 && !dual && !desc->dirty;
	domain->pgtable.ops = domain->stage == 1 || dual ? &iommu_pgtable_amdv2 : &iommu_pgtable_amdv1;
	err = domain->pgtable.ops->init(&domain->pgtable, &config);
	if (err || (domain->stage == 2 && !dual))
		return err;
	err = make_gcr3_table(domain);
	if (err)
		domain->pgtable.ops->destroy(&domain->pgtable);
	return err;
}

/* A domain that was made for another unit of this driver: does this one walk its tables, however deep they grow? */
static int amdvi_domain_check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	const struct amdvi_unit *amdvi = to_amdvi_const(unit);
	const struct iommu_pgtable_config *config = &domain->pgtable.config;

	(void)device;
	if (!domain_has_table(domain))
		return 0;
	if (domain->stage == 1)
		return amdvi_has_guest(amdvi, domain_levels(domain)) ? 0 : -EINVAL;
	if ((config->max_levels ? config->max_levels : config->levels) > amdvi_max_host_levels(amdvi))
		return -EINVAL;
	return domain->dirty && !has_dirty(amdvi) ? -EINVAL : 0;
}

/* What every DTE that leads to a GCR3 table has. */
static void set_guest(const struct amdvi_unit *amdvi, uint64_t *entry, const struct amdvi_gcr3 *gcr3, unsigned levels)
{
	SET(AMDVI_DTE, GV, entry, 1);
	SET(AMDVI_DTE, GIOV, entry, 1);
	SET(AMDVI_DTE, GLX, entry, gcr3->levels - 1);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, entry, levels == 5 ? AMDVI_GPM_5_LEVEL : AMDVI_GPM_4_LEVEL);
	amdvi_dte_set_gcr3(entry, amdvi_phys(amdvi, gcr3->root));
}

static void set_passing(const struct iommu_device *device, uint64_t *entry, uint32_t tag)
{
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, tag);
	SET(AMDVI_DTE, I, entry, device->ats);
}

/* What the guest says of its tables, under the host's DomainID. The device's own TLB is used where both of them want it. */
static void set_nested(const struct iommu_device *device, uint64_t *entry, const uint64_t *guest, uint32_t tag)
{
	for (unsigned i = 0; i < 3; i++)
		entry[i] |= guest[i];
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, tag);
	SET(AMDVI_DTE, I, entry, device->ats && GET(AMDVI_DTE, I, guest));
}

/* The DTE of a device with PASIDs, while there may be some (amdvi_pasid.c). */
static void make_pasid_dte(const struct amdvi_unit *amdvi, const struct iommu_device *device, enum amdvi_rid_mode mode,
			   uint64_t *entry)
{
	const struct amdvi_pasid_tables *tables = device->tables[0];

	set_passing(device, entry, tables->did);
	set_guest(amdvi, entry, &tables->gcr3, 4);
	SET(AMDVI_DTE, GIOV, entry, mode != AMDVI_RID_IDENTITY);
}

static void make_dte(const struct amdvi_unit *amdvi, const struct iommu_device *device, const struct iommu_domain *domain,
		     uint32_t tag, const uint64_t *before, uint64_t *entry)
{
	memset(entry, 0, sizeof(*entry) * 4);
	entry[2] = before[2] & ~BITS(AMDVI_DTE, GUEST_PAGING_MODE);
	entry[3] = before[3];
	SET(AMDVI_DTE, V, entry, 1);
	if (device->pasid_bits && amdvi_rid_mode(domain) != AMDVI_RID_ALONE) {
		make_pasid_dte(amdvi, device, amdvi_rid_mode(domain), entry);
		return;
	}
	if (!domain || domain->type == IOMMU_DOMAIN_BLOCKED)
		return;
	if (domain_is_nested(domain)) {
		set_nested(device, entry, domain->guest, tag);
		domain = domain->parent;
	} else {
		set_passing(device, entry, tag);
	}
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return;
	if (domain->stage == 2) {
		SET(AMDVI_DTE, MODE, entry, domain->pgtable.config.levels);
		SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry, domain->pgtable.ops->root_phys(&domain->pgtable));
		SET(AMDVI_DTE, HAD, entry, domain->dirty ? 3 : 0);
		return;
	}
	set_guest(amdvi, entry, domain->driver_data, domain_levels(domain));
}

/* A GCR3 entry: that of a PASID, or (AMDVI_RID_PASID) of requests without. */
static void make_gcr3_entry(const struct entry_place *place, const struct iommu_domain *domain, uint64_t *entry)
{
	bool passes = domain && domain->type != IOMMU_DOMAIN_BLOCKED;

	if (place->pasid == AMDVI_RID_PASID)
		passes = amdvi_rid_mode(domain) == AMDVI_RID_FIRST;
	*entry = passes ? amdvi_gcr3_to(domain_root(domain)) : 0;
}

static void amdvi_make_entry(struct iommu_unit *unit, const struct iommu_device *device, const struct entry_place *place,
			     const struct iommu_domain *domain, uint32_t tag, const uint64_t *before, uint64_t *entry)
{
	if (place->format == &amdvi_gcr3_entry)
		make_gcr3_entry(place, domain, entry);
	else
		make_dte(to_amdvi_const(unit), device, domain, tag, before, entry);
}

/* Identity too: every DTE that translates has a DomainID. */
static unsigned amdvi_tag_space(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	(void)unit;
	(void)domain;
	return 0;
}

/* 2.4.3: translations by guest tables are cached under DomainID and PASID. */
static bool amdvi_tag_has_pasid(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	(void)unit;
	return domain->stage == 1;
}

static uint32_t amdvi_rid_pasid(const struct iommu_unit *unit)
{
	(void)unit;
	return AMDVI_RID_PASID;
}

/* ---- The unit ---- */

static RARE void free_unit(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;

	if (amdvi->queue.ring)
		amdvi_queue_fini(amdvi);
	amdvi_log_fini(amdvi);
	amdvi_devtab_fini(amdvi);
	port->lock_destroy(port->ctx, &amdvi->register_lock);
	unit_fini(&amdvi->unit);
	port->free(port->ctx, amdvi, sizeof(*amdvi));
}

/* Everything off; the hardware has stopped reading and writing our memory when it returns 0. */
static RARE int disable(struct amdvi_unit *amdvi)
{
	const uint64_t running = BITS(AMDVI_STATUS, CMD_BUF_RUN) | BITS(AMDVI_STATUS, EVENT_LOG_RUN);
	int err;

	amdvi_control(amdvi, 0, BITS(AMDVI_CONTROL, CMD_BUF_EN) | BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	err = amdvi_await_status(amdvi, running, 0);
	if (!err)
		amdvi_control(amdvi, 0, BITS(AMDVI_CONTROL, IOMMU_EN));
	return err;
}

static RARE int amdvi_destroy(struct iommu_unit *unit)
{
	struct amdvi_unit *amdvi = to_amdvi(unit);
	int err = disable(amdvi);

	if (err) {
		unit_mark_lost(unit);
		return err;
	}
	free_unit(amdvi);
	return 0;
}

static const struct iommu_unit_ops amdvi_ops = {
	.arch = "amdvi",
	.format = &amdvi_dte,
	.destroy = amdvi_destroy,
	.device_add = amdvi_device_add,
	.device_remove = amdvi_device_remove,
	.domain_init = amdvi_domain_init,
	.domain_fini = amdvi_domain_fini,
	.domain_check = amdvi_domain_check,
	.make_entry = amdvi_make_entry,
	.has_standin = amdvi_has_standin,
	.make_standins = amdvi_make_standins,
	.tag_space = amdvi_tag_space,
	.rid_pasid = amdvi_rid_pasid,
	.tag_has_pasid = amdvi_tag_has_pasid,
	.forget_range = amdvi_forget_range,
	.forget_device_range = amdvi_forget_device_range,
	.commands = amdvi_commands,
	.submit = amdvi_submit,
	.handle_faults = amdvi_handle_faults,
	.pasid = &amdvi_pasid_ops,
};

/* The tables are in place before the unit looks at them; what it may remember of others is forgotten at once. */
static RARE int enable(struct amdvi_unit *amdvi)
{
	const uint64_t running = BITS(AMDVI_STATUS, CMD_BUF_RUN) | BITS(AMDVI_STATUS, EVENT_LOG_RUN);
	uint64_t set = 0, clear = 0;
	int err;

	amdvi->unit.port->write_barrier(amdvi->unit.port->ctx);
	amdvi_devtab_publish(amdvi);
	amdvi_write(amdvi, AMDVI_REG_STATUS, BITS(AMDVI_STATUS, EVENT_OVERFLOW) | BITS(AMDVI_STATUS, EVENT_LOG_INT) |
						     BITS(AMDVI_STATUS, COM_WAIT_INT));
	set = BITS(AMDVI_CONTROL, IOMMU_EN) | BITS(AMDVI_CONTROL, EVENT_LOG_EN) | BITS(AMDVI_CONTROL, CMD_BUF_EN) |
	      BITS(AMDVI_CONTROL, COHERENT);
	if (AMDVI_EFR_OF(amdvi, GT_SUP))
		set |= BITS(AMDVI_CONTROL, GT_EN);
	clear = BITS(AMDVI_CONTROL, DEV_TBL_SEG_EN) | BITS(AMDVI_CONTROL, INV_TIMEOUT);
	/* A device that does not answer for a second is given up (2.4.4). */
	SET(AMDVI_CONTROL, INV_TIMEOUT, &set, 4);
	SET(AMDVI_CONTROL, DEV_TBL_SEG_EN, &set, amdvi->devtab.bits);
	amdvi_control(amdvi, set, clear);
	err = amdvi_await_status(amdvi, running, running);
	return err ? err : amdvi_forget_all(amdvi);
}

/* Firmware may have left the unit on, with tables that are not ours. */
static int check_idle(const struct amdvi_unit *amdvi)
{
	uint64_t control = amdvi_read(amdvi, AMDVI_REG_CONTROL), status = amdvi_read(amdvi, AMDVI_REG_STATUS);

	/* Nothing answers there. */
	if (control == UINT64_MAX && status == UINT64_MAX)
		return -ENODEV;
	return GET(AMDVI_CONTROL, CMD_BUF_EN, &control) || GET(AMDVI_STATUS, CMD_BUF_RUN, &status) ? -EBUSY : 0;
}

RARE int amdvi_unit_create(const struct hitless_port *port, const struct amdvi_unit_desc *desc, struct iommu_unit **result)
{
	/* DomainIDs have 16 bits; 0 is left to firmware. */
	struct tag_space_size spaces[TAG_SPACES] = { { .first = 1, .count = 0x10000 } };
	struct amdvi_unit *amdvi;
	int err;

	if (!port || !desc || !result || desc->queue_order > 7 || desc->log_order > 7 || desc->last_device > 0xffff)
		return -EINVAL;
	amdvi = port->alloc(port->ctx, sizeof(*amdvi));
	if (!amdvi)
		return -ENOMEM;
	amdvi->unit.port = port;
	amdvi->registers = desc->registers;
	amdvi->capability = desc->capability;
	amdvi->segment = desc->segment;
	amdvi->devices = (desc->last_device ? desc->last_device : 0xffff) + 1;
	amdvi->timeout_ns = desc->timeout_ns ? desc->timeout_ns : 1000000000ull;
	err = check_idle(amdvi);
	if (err)
		goto free;
	amdvi->efr = amdvi_read(amdvi, AMDVI_REG_EFR);
	err = unit_init(&amdvi->unit, &amdvi_ops, port, spaces);
	if (err)
		goto free;
	amdvi->unit.facts = AMDVI_CAPABILITY_OF(amdvi, NP_CACHE) ? IOMMU_PLAN_CACHES_ABSENT : 0;
	amdvi->unit.quantum = port->store128 ? 16 : 8;
	err = port->lock_init(port->ctx, &amdvi->register_lock);
	if (err) {
		unit_fini(&amdvi->unit);
		goto free;
	}
	err = amdvi_devtab_init(amdvi);
	if (err)
		goto free_unit;
	amdvi_control(amdvi, 0, BITS(AMDVI_CONTROL, IOMMU_EN) | BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	err = amdvi_await_status(amdvi, BITS(AMDVI_STATUS, EVENT_LOG_RUN), 0);
	if (!err)
		err = amdvi_log_init(amdvi, desc->log_order);
	if (!err)
		err = amdvi_queue_init(amdvi, desc->queue_order);
	if (err)
		goto free_unit;
	err = enable(amdvi);
	if (err) {
		/* What the hardware may still read is never freed. */
		if (disable(amdvi) == 0)
			goto free_unit;
		return err;
	}
	*result = &amdvi->unit;
	return 0;

free_unit:
	free_unit(amdvi);
	return err;
free:
	port->free(port->ctx, amdvi, sizeof(*amdvi));
	return err;
}
