/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_unit.c - a VT-d unit: what it can do, its root table, the tables of its devices, its domains.
 *
 * Legacy mode: root entry -> context entry, which is the live entry of a device.
 * Scalable mode: root entry -> context entry -> PASID-directory entry -> PASID entry, which is the live entry. The first three
 * are written when a device is added and stay: so that every later change is one of a PASID entry (vtd_pasid.c).
 */
#include "vtd_driver.h"

#include <string.h>

/* ---- Tables ---- */

void vtd_store_word(const struct vtd_unit *vtd, void *where, uint64_t word)
{
	const struct hitless_port *port = vtd->unit.port;

	port->store64(port->ctx, where, word);
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, where, sizeof(word));
}

int vtd_run(struct vtd_unit *vtd, struct entry_steps *steps)
{
	struct iommu_plan plan = { .steps = steps->v, .nsteps = steps->n };

	return unit_commit(&vtd->unit, &plan);
}

/* The context table that has the entry of `rid`, made and linked into the root table if it is the first on its bus. */
static RARE int context_table(struct vtd_unit *vtd, uint32_t rid, struct entry_table **result)
{
	const struct hitless_port *port = vtd->unit.port;
	unsigned bus = rid >> 8 & 0xff;
	bool upper = vtd->scalable && (rid & 0x80);
	struct entry_table *table;
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	uint64_t word = 0;
	int err = 0;

	port->lock(port->ctx, &vtd->root.lock);
	table = vtd->contexts[bus * 2 + upper];
	if (table)
		goto out;
	table = port->alloc(port->ctx, sizeof(*table));
	if (!table) {
		err = -ENOMEM;
		goto out;
	}
	err = driver_table_init(port, table, &vtd->root, bus * 16 + upper * 8);
	if (err) {
		port->free(port->ctx, table, sizeof(*table));
		goto out;
	}
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, table->page, table->bytes);
	SET(VTD_ROOT, P, &word, 1);
	SET_ADDR(VTD_ROOT, CTP, &word, vtd_phys(vtd, table->page));
	vtd_store_word(vtd, (char *)vtd->root.page + table->slot, word);
	vtd->contexts[bus * 2 + upper] = table;
	/* 6.5.3.3: nothing that is absent is cached, but with caching mode. */
	if (vtd->unit.facts & (IOMMU_PLAN_CACHES_ABSENT | IOMMU_PLAN_WRITE_BUFFER)) {
		vtd_forget_all(vtd, &steps);
		err = vtd_run(vtd, &steps);
	}
out:
	port->unlock(port->ctx, &vtd->root.lock);
	*result = table;
	return err;
}

/* ---- Devices ---- */

static size_t smcontext_offset(uint32_t rid)
{
	return (rid & 0x7f) * 32;
}

/* 9.4. The upper half before the lower one, which has P. */
static int store_smcontext(struct vtd_unit *vtd, struct entry_table *table, uint32_t rid, const uint64_t *entry)
{
	const struct hitless_port *port = vtd->unit.port;
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	bool comes = GET(VTD_SMCONTEXT, P, entry);
	uint64_t *live;

	port->lock(port->ctx, &table->lock);
	live = (uint64_t *)((char *)table->page + smcontext_offset(rid));
	if (!comes)
		vtd_store_word(vtd, &live[0], entry[0]);
	for (unsigned i = 3; i > 0; i--)
		vtd_store_word(vtd, &live[i], entry[i]);
	if (comes)
		vtd_store_word(vtd, &live[0], entry[0]);
	port->unlock(port->ctx, &table->lock);
	if (comes && !(vtd->unit.facts & (IOMMU_PLAN_CACHES_ABSENT | IOMMU_PLAN_WRITE_BUFFER)))
		return 0;
	vtd_forget_context(vtd, &steps, rid, !comes);
	return vtd_run(vtd, &steps);
}

static RARE int add_scalable(struct vtd_unit *vtd, struct iommu_device *device, unsigned rid)
{
	struct vtd_pasid_tables *tables;
	struct entry_table *contexts;
	uint64_t entry[4] = { 0 };
	int err;

	err = context_table(vtd, device->rids[rid], &contexts);
	if (err)
		return err;
	err = vtd_pasid_tables_create(vtd, contexts, smcontext_offset(device->rids[rid]), &tables);
	if (err)
		return err;
	SET(VTD_SMCONTEXT, P, entry, 1);
	SET(VTD_SMCONTEXT, DTE, entry, device->ats);
	SET(VTD_SMCONTEXT, PASIDE, entry, device->pasid_bits != 0);
	SET(VTD_SMCONTEXT, RID_PASID, entry, VTD_RID_PASID);
	vtd_set_directory(vtd, entry, tables->directory.page, tables->directory.bytes);
	device->tables[rid] = tables;
	device->entry[rid].table = tables->leaves[0];
	device->entry[rid].offset = VTD_RID_PASID * 64;
	return store_smcontext(vtd, contexts, device->rids[rid], entry);
}

static RARE void vtd_device_remove(struct iommu_unit *unit, struct iommu_device *device)
{
	struct vtd_unit *vtd = to_vtd(unit);
	const uint64_t absent[4] = { 0 };

	for (unsigned i = 0; i < device->nrids && vtd->scalable; i++) {
		struct entry_table *contexts;

		if (!device->tables[i])
			continue;
		/* It exists: the entry is in it. A unit that does not answer keeps the tables. */
		if (context_table(vtd, device->rids[i], &contexts) == 0 &&
		    store_smcontext(vtd, contexts, device->rids[i], absent) == 0)
			vtd_pasid_tables_destroy(vtd, device->tables[i]);
	}
	driver_disable_pasids(unit->port, device);
}

/* ECAP.PSS: the unit's PASIDs are one bit wider than it says. */
static unsigned pasid_bits(const struct vtd_unit *vtd)
{
	return VTD_ECAP_OF(vtd, PASID) ? (unsigned)VTD_ECAP_OF(vtd, PSS) + 1 : 0;
}

static RARE int vtd_device_add(struct iommu_unit *unit, struct iommu_device *device)
{
	struct vtd_unit *vtd = to_vtd(unit);
	int err = 0;

	/* A unit serves one PCI segment, and its tables know 16 bits of a requester id. */
	for (unsigned i = 0; i < device->nrids; i++)
		if (device->rids[i] >> 16 != vtd->segment)
			return -EINVAL;
	driver_find_ats(unit->port, device, VTD_ECAP_OF(vtd, DT));
	driver_enable_pasids(unit->port, device, pasid_bits(vtd));
	for (unsigned i = 0; i < device->nrids && !err; i++) {
		if (vtd->scalable) {
			err = add_scalable(vtd, device, i);
		} else {
			err = context_table(vtd, device->rids[i], &device->entry[i].table);
			device->entry[i].offset = (device->rids[i] & 0xff) * 16;
		}
	}
	if (err)
		vtd_device_remove(unit, device);
	return err;
}

/* ---- Domains ---- */

static unsigned levels_of(const struct vtd_unit *vtd, unsigned stage, unsigned wanted)
{
	uint64_t sagaw = VTD_CAP_OF(vtd, SAGAW);

	if (stage == 1) {
		if (wanted == 0)
			return 4;
		return wanted == 4 || (wanted == 5 && VTD_CAP_OF(vtd, FS5LP)) ? wanted : 0;
	}
	if (wanted)
		return wanted >= 3 && wanted <= 5 && (sagaw & 1ull << (wanted - 2)) ? wanted : 0;
	for (unsigned levels = 4; levels <= 5; levels++)
		if (sagaw & 1ull << (levels - 2))
			return levels;
	return sagaw & VTD_SAGAW_3_LEVEL ? 3 : 0;
}

static bool has_stage(const struct vtd_unit *vtd, unsigned stage)
{
	if (!vtd->scalable)
		return stage == 2;
	return stage == 1 ? VTD_ECAP_OF(vtd, FSTS) : VTD_ECAP_OF(vtd, SSTS);
}

static unsigned max_page_shift(const struct vtd_unit *vtd, unsigned stage)
{
	if (stage == 1)
		return VTD_CAP_OF(vtd, FS1GP) ? 30 : 21;
	return VTD_CAP_OF(vtd, SSLPS) & 2 ? 30 : VTD_CAP_OF(vtd, SSLPS) & 1 ? 21 : 12;
}

static bool has_dirty(const struct vtd_unit *vtd)
{
	return vtd->scalable && VTD_ECAP_OF(vtd, SSADS);
}

static RARE int vtd_domain_init(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc)
{
	const struct vtd_unit *vtd = to_vtd_const(unit);
	struct iommu_pgtable_config config = { .port = unit->port, .output_bits = 52 };
	uint64_t last;
	int err;

	if (desc->type == IOMMU_DOMAIN_BLOCKED)
		return 0;
	if (desc->type == IOMMU_DOMAIN_IDENTITY)
		return VTD_ECAP_OF(vtd, PT) ? 0 : -EINVAL;
	if (desc->type == IOMMU_DOMAIN_EXTERNAL) {
		domain->external_levels = levels_of(vtd, 1, desc->levels);
		if (!has_stage(vtd, 1) || !domain->external_levels)
			return -EINVAL;
		return unit->facts & IOMMU_PLAN_NONCOHERENT ? -EOPNOTSUPP : 0;
	}
	if (domain->stage == 0)
		domain->stage = has_stage(vtd, 2) ? 2 : 1;
	config.levels = levels_of(vtd, domain->stage, desc->levels);
	if (!has_stage(vtd, domain->stage) || !config.levels)
		return -EINVAL;
	/* A flag that the hardware sets behind the CPU's cache could be written over from there. */
	if (desc->dirty && (domain->stage != 2 || !has_dirty(vtd) || (unit->facts & IOMMU_PLAN_NONCOHERENT)))
		return -EOPNOTSUPP;
	config.max_page_shift = max_page_shift(vtd, domain->stage);
	config.noncoherent = unit->facts & IOMMU_PLAN_NONCOHERENT;
	config.dirty = desc->dirty;
	domain->pgtable.ops = domain->stage == 1 ? &iommu_pgtable_vtd_fs : &iommu_pgtable_vtd_ss;
	err = domain->pgtable.ops->init(&domain->pgtable, &config);
	if (err)
		return err;
	/* 3.6: a second-stage request beyond MGAW is blocked, whatever the table could map. */
	last = VTD_CAP_OF(vtd, MGAW) >= 63 ? UINT64_MAX : (2ull << VTD_CAP_OF(vtd, MGAW)) - 1;
	if (domain->stage == 2 && domain->pgtable.last > last)
		domain->pgtable.last = last;
	return 0;
}

/* A domain that was made for another unit of this driver: does this one walk its tables? */
static int vtd_domain_check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	const struct vtd_unit *vtd = to_vtd_const(unit);
	const struct iommu_pgtable_config *config = &domain->pgtable.config;

	(void)device;
	if (domain->type == IOMMU_DOMAIN_BLOCKED)
		return 0;
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return VTD_ECAP_OF(vtd, PT) ? 0 : -EINVAL;
	if (!has_stage(vtd, domain->stage) || !levels_of(vtd, domain->stage, domain_levels(domain)))
		return -EINVAL;
	if (domain->type == IOMMU_DOMAIN_EXTERNAL)
		return unit->facts & IOMMU_PLAN_NONCOHERENT ? -EINVAL : 0;
	if (config->max_page_shift > max_page_shift(vtd, domain->stage))
		return -EINVAL;
	if (domain->stage == 2 && VTD_CAP_OF(vtd, MGAW) < 63 && domain->pgtable.last > (2ull << VTD_CAP_OF(vtd, MGAW)) - 1)
		return -EINVAL;
	if ((unit->facts & IOMMU_PLAN_NONCOHERENT) && !config->noncoherent)
		return -EINVAL;
	return domain->dirty && !has_dirty(vtd) ? -EINVAL : 0;
}

/* 3.6.1: AW says how many levels a second-stage table has. Pass-through wants the largest that the unit supports (9.3). */
static unsigned address_width(unsigned levels)
{
	return levels - 2;
}

static unsigned widest(const struct vtd_unit *vtd)
{
	uint64_t sagaw = VTD_CAP_OF(vtd, SAGAW);

	return sagaw & VTD_SAGAW_5_LEVEL ? VTD_AW_5_LEVEL : sagaw & VTD_SAGAW_4_LEVEL ? VTD_AW_4_LEVEL : VTD_AW_3_LEVEL;
}

static void make_context_entry(const struct vtd_unit *vtd, const struct iommu_device *device, const struct iommu_domain *domain,
			       uint32_t tag, uint64_t *entry)
{
	SET(VTD_CONTEXT, P, entry, 1);
	SET(VTD_CONTEXT, DID, entry, tag);
	if (domain->type == IOMMU_DOMAIN_IDENTITY) {
		SET(VTD_CONTEXT, TT, entry, VTD_TT_PASS);
		SET(VTD_CONTEXT, AW, entry, widest(vtd));
		return;
	}
	SET(VTD_CONTEXT, TT, entry, device->ats ? VTD_TT_DEVTLB : VTD_TT_UNTRANSLATED);
	SET(VTD_CONTEXT, AW, entry, address_width(domain->pgtable.config.levels));
	SET_ADDR(VTD_CONTEXT, SSPTPTR, entry, domain->pgtable.ops->root_phys(&domain->pgtable));
}

static void make_pasid_entry(const struct vtd_unit *vtd, const struct iommu_domain *domain, uint32_t tag, uint64_t *entry)
{
	bool nested = domain_is_nested(domain);
	uint64_t root;

	/* The guest's root and flags; the domain id in it is the guest's own. */
	if (nested) {
		memcpy(entry, domain->guest, sizeof(domain->guest));
		domain = domain->parent;
	}
	SET(VTD_PASID, P, entry, 1);
	SET(VTD_PASID, DID, entry, tag);
	SET(VTD_PASID, PWSNP, entry, VTD_ECAP_OF(vtd, SMPWCS));
	if (domain->type == IOMMU_DOMAIN_IDENTITY) {
		SET(VTD_PASID, PGTT, entry, VTD_PGTT_PASS);
		SET(VTD_PASID, AW, entry, widest(vtd));
		return;
	}
	root = domain_root(domain);
	if (domain->stage == 1) {
		SET(VTD_PASID, PGTT, entry, VTD_PGTT_FIRST);
		SET(VTD_PASID, FSPM, entry, domain_levels(domain) == 5 ? VTD_FSPM_5_LEVEL : VTD_FSPM_4_LEVEL);
		SET_ADDR(VTD_PASID, FSPTPTR, entry, root);
		return;
	}
	SET(VTD_PASID, PGTT, entry, nested ? VTD_PGTT_NESTED : VTD_PGTT_SECOND);
	SET(VTD_PASID, AW, entry, address_width(domain->pgtable.config.levels));
	SET(VTD_PASID, SSADE, entry, domain->dirty);
	SET_ADDR(VTD_PASID, SSPTPTR, entry, root);
}

static void vtd_make_entry(struct iommu_unit *unit, const struct iommu_device *device, const struct entry_place *place,
			   const struct iommu_domain *domain, uint32_t tag, const uint64_t *before, uint64_t *entry)
{
	const struct vtd_unit *vtd = to_vtd_const(unit);

	(void)place;
	(void)before; /* nothing in it belongs to anybody else */
	memset(entry, 0, unit->ops->format->words * 8);
	if (!domain || domain->type == IOMMU_DOMAIN_BLOCKED)
		return;
	if (vtd->scalable)
		make_pasid_entry(vtd, domain, tag, entry);
	else
		make_context_entry(vtd, device, domain, tag, entry);
}

/* Every domain that translates, pass-through too, has a domain id of its own: so first-stage and pass-through entries never
 * share one with second-stage entries (6.2.3.1). */
static unsigned vtd_tag_space(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	(void)unit;
	(void)domain;
	return 0;
}

/* 6.2.1: first-stage and pass-through translations are cached under domain id and PASID. */
static bool vtd_tag_has_pasid(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	return to_vtd_const(unit)->scalable && (domain->type == IOMMU_DOMAIN_IDENTITY || domain->stage == 1);
}

static uint32_t vtd_rid_pasid(const struct iommu_unit *unit)
{
	(void)unit;
	return VTD_RID_PASID;
}

/* ---- The unit ---- */

static RARE void free_unit(struct vtd_unit *vtd)
{
	const struct hitless_port *port = vtd->unit.port;

	for (unsigned i = 0; i < 512; i++) {
		if (!vtd->contexts[i])
			continue;
		driver_table_fini(port, vtd->contexts[i]);
		port->free(port->ctx, vtd->contexts[i], sizeof(*vtd->contexts[i]));
	}
	driver_table_fini(port, &vtd->root);
	port->lock_destroy(port->ctx, &vtd->register_lock);
	unit_fini(&vtd->unit);
	port->free(port->ctx, vtd, sizeof(*vtd));
}

static RARE int vtd_destroy(struct iommu_unit *unit)
{
	struct vtd_unit *vtd = to_vtd(unit);
	int err = vtd_command_bit(vtd, BITS(VTD_GCMD, TE), false);

	if (!err)
		err = vtd_command_bit(vtd, BITS(VTD_GCMD, QIE), false);
	if (err) {
		unit_mark_lost(unit);
		return err;
	}
	vtd_queue_fini(vtd);
	free_unit(vtd);
	return 0;
}

/* The two modes differ in the live entry only; what else depends on the mode asks vtd->scalable. */
#define VTD_OPS(name, entry_format, pasid_ops) \
	{ \
		.arch = (name), \
		.format = (entry_format), \
		.destroy = vtd_destroy, \
		.device_add = vtd_device_add, \
		.device_remove = vtd_device_remove, \
		.domain_init = vtd_domain_init, \
		.domain_check = vtd_domain_check, \
		.make_entry = vtd_make_entry, \
		.tag_space = vtd_tag_space, \
		.rid_pasid = vtd_rid_pasid, \
		.tag_has_pasid = vtd_tag_has_pasid, \
		.forget_range = vtd_forget_range, \
		.forget_device_range = vtd_forget_device_range, \
		.commands = vtd_commands, \
		.submit = vtd_submit, \
		.handle_faults = vtd_handle_faults, \
		.pasid = (pasid_ops), \
	}

static const struct iommu_unit_ops legacy_ops = VTD_OPS("vtd-legacy", &vtd_context_entry, NULL);
static const struct iommu_unit_ops scalable_ops = VTD_OPS("vtd", &vtd_pasid_entry, &vtd_pasid_ops);

/* What the unit can do, and whether that is enough. */
static RARE int probe(struct vtd_unit *vtd, const struct vtd_unit_desc *desc)
{
	uint64_t version = vtd_read32(vtd, VTD_REG_VER);

	if (version == 0 || version == 0xffffffffu)
		return -ENODEV;
	vtd->cap = vtd_read64(vtd, VTD_REG_CAP);
	vtd->ecap = vtd_read64(vtd, VTD_REG_ECAP);
	if (!VTD_ECAP_OF(vtd, QI))
		return -EOPNOTSUPP;
	vtd->scalable = VTD_ECAP_OF(vtd, SMTS) && (VTD_ECAP_OF(vtd, FSTS) || VTD_ECAP_OF(vtd, SSTS)) &&
			desc->mode != VTD_MODE_LEGACY;
	if (desc->mode == VTD_MODE_SCALABLE && !vtd->scalable)
		return -EINVAL;
	if (!vtd->scalable && !levels_of(vtd, 2, 0))
		return -EOPNOTSUPP;
	return 0;
}

static unsigned facts_of(const struct vtd_unit *vtd)
{
	unsigned facts = 0;

	/* ECAP.C is about root, context and PASID structures; in scalable mode SMPWCS is about page tables. */
	if (!VTD_ECAP_OF(vtd, C) || (vtd->scalable && !VTD_ECAP_OF(vtd, SMPWCS)))
		facts |= IOMMU_PLAN_NONCOHERENT;
	if (VTD_CAP_OF(vtd, CM))
		facts |= IOMMU_PLAN_CACHES_ABSENT;
	if (VTD_CAP_OF(vtd, RWBF))
		facts |= IOMMU_PLAN_WRITE_BUFFER;
	return facts;
}

/* 6.6: the root pointer is set, everything that was cached is forgotten, and translation is turned on. */
static RARE int enable(struct vtd_unit *vtd, unsigned queue_order)
{
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	uint64_t rtaddr = 0;
	int err;

	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		vtd->unit.port->writeback(vtd->unit.port->ctx, vtd->root.page, vtd->root.bytes);
	err = vtd_queue_init(vtd, queue_order);
	if (err)
		return err;
	SET(VTD_RTADDR, TTM, &rtaddr, vtd->scalable ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
	SET_ADDR(VTD_RTADDR, RTA, &rtaddr, vtd_phys(vtd, vtd->root.page));
	vtd_write64(vtd, VTD_REG_RTADDR, rtaddr);
	err = vtd_command_bit(vtd, BITS(VTD_GCMD, SRTP), true);
	if (err)
		return err;
	vtd_forget_all(vtd, &steps);
	err = vtd_run(vtd, &steps);
	if (err)
		return err;
	return vtd_command_bit(vtd, BITS(VTD_GCMD, TE), true);
}

RARE int vtd_unit_create(const struct hitless_port *port, const struct vtd_unit_desc *desc, struct iommu_unit **result)
{
	struct tag_space_size spaces[TAG_SPACES] = { { .first = 1 } };
	struct vtd_unit *vtd;
	uint32_t gsts;
	int err;

	if (!port || !desc || !result || desc->queue_order > 7 || (unsigned)desc->mode > VTD_MODE_SCALABLE)
		return -EINVAL;
	vtd = port->alloc(port->ctx, sizeof(*vtd));
	if (!vtd)
		return -ENOMEM;
	vtd->unit.port = port;
	vtd->registers = desc->registers;
	vtd->segment = desc->segment;
	vtd->timeout_ns = desc->timeout_ns ? desc->timeout_ns : 1000000000ull;
	err = probe(vtd, desc);
	if (err)
		goto free;
	/* CAP.ND: 2^(4 + 2 * ND) domain ids. 0 is reserved: caching mode tags absent entries with it. */
	spaces[0].count = 1u << (4 + 2 * (VTD_CAP_OF(vtd, ND) > 6 ? 6 : VTD_CAP_OF(vtd, ND)));
	err = unit_init(&vtd->unit, vtd->scalable ? &scalable_ops : &legacy_ops, port, spaces);
	if (err)
		goto free;
	vtd->unit.facts = facts_of(vtd);
	if ((vtd->unit.facts & IOMMU_PLAN_NONCOHERENT) && !port->writeback)
		err = -EINVAL;
	if (err) {
		unit_fini(&vtd->unit);
		goto free;
	}
	vtd->unit.quantum = port->store128 ? 16 : 8;
	err = port->lock_init(port->ctx, &vtd->register_lock);
	if (err) {
		unit_fini(&vtd->unit);
		goto free;
	}
	err = driver_table_init(port, &vtd->root, NULL, 0);
	if (err)
		goto free_unit;
	gsts = vtd_read32(vtd, VTD_REG_GSTS);
	if (gsts & BITS(VTD_GCMD, QIE)) {
		err = -EBUSY;
		goto free_unit;
	}
	vtd_clear_errors(vtd);
	/* Firmware may have left translation on, with tables that are not ours. */
	if (gsts & BITS(VTD_GCMD, TE))
		err = vtd_command_bit(vtd, BITS(VTD_GCMD, TE), false);
	if (!err)
		err = enable(vtd, desc->queue_order);
	if (err) {
		if (vtd->queue.ring && vtd_destroy(&vtd->unit) == 0)
			return err;
		if (!vtd->queue.ring)
			goto free_unit;
		/* The hardware may still read what it was given: that is never freed. */
		return err;
	}
	*result = &vtd->unit;
	return 0;

free_unit:
	free_unit(vtd);
	return err;
free:
	port->free(port->ctx, vtd, sizeof(*vtd));
	return err;
}
