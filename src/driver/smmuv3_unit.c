/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* smmuv3_unit.c - an SMMUv3: what it can do, its devices and their entries, how it is turned on and off. */
#include "smmuv3_driver.h"

#include <string.h>

/* ---- Devices ---- */

static struct smmuv3_cds *cds_of(const struct iommu_device *device, unsigned rid)
{
	return device->tables[rid];
}

/*
 * Requests without SubstreamID bypass the first stage while the table stays reachable (S1DSS), where there are SubstreamIDs at all:
 * so the device TLB stays on in an identity domain, and other SubstreamIDs stay what they are (13.6.4).
 */
static bool bypasses_by_table(const struct smmuv3_cds *cds)
{
	return cds && cds->bits > 0;
}

/* A device TLB wants a table with SubstreamIDs; see above. */
static unsigned cd_bits(const struct smmuv3_unit *smmu, const struct iommu_device *device)
{
	unsigned bits = device->pasid_bits < smmu->ssid_bits ? device->pasid_bits : smmu->ssid_bits;

	return device->ats && smmu->ssid_bits && !bits ? 1 : bits;
}

static void free_tables(struct smmuv3_unit *smmu, struct iommu_device *device)
{
	const struct hitless_port *port = smmu->unit.port;

	for (unsigned rid = 0; rid < device->nrids; rid++) {
		if (!device->tables[rid])
			continue;
		smmuv3_cds_fini(smmu, device->tables[rid]);
		port->free(port->ctx, device->tables[rid], sizeof(struct smmuv3_cds));
		device->tables[rid] = NULL;
	}
}

static int add_requester(struct smmuv3_unit *smmu, struct iommu_device *device, unsigned rid)
{
	const struct hitless_port *port = smmu->unit.port;
	struct smmuv3_cds *cds;
	int err = smmuv3_stream_find(smmu, device->rids[rid], &device->entry[rid].table, &device->entry[rid].offset);

	if (err || !SMMUV3_IDR(smmu, 0, S1P))
		return err;
	cds = port->alloc(port->ctx, sizeof(*cds));
	if (!cds)
		return -ENOMEM;
	err = smmuv3_cds_init(smmu, cds, cd_bits(smmu, device), device->pasid_bits != 0, device->entry[rid].table, device->entry[rid].offset);
	if (err)
		port->free(port->ctx, cds, sizeof(*cds));
	else
		device->tables[rid] = cds;
	return err;
}

static RARE int smmuv3_device_add(struct iommu_unit *unit, struct iommu_device *device)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);
	int err = 0;

	driver_find_ats(unit->port, device, SMMUV3_IDR(smmu, 0, ATS));
	/* 3.9.1: the smallest translation unit of all devices is the unit's smallest granule. */
	device->ats_on |= (uint16_t)(smmu->smallest_shift - 12);
	driver_enable_pasids(unit->port, device, SMMUV3_IDR(smmu, 0, S1P) ? smmu->ssid_bits : 0);
	for (unsigned rid = 0; rid < device->nrids && !err; rid++)
		err = add_requester(smmu, device, rid);
	if (err) {
		free_tables(smmu, device);
		return err;
	}
	/* What the hardware may have seen is never freed if it does not answer. */
	return device->pasid_bits ? smmuv3_pasid_add(smmu, device) : 0;
}

/* Its entries are not valid, and stay so; nothing reaches its tables any more. */
static RARE void smmuv3_device_remove(struct iommu_unit *unit, struct iommu_device *device)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);

	if (!device->pasid_bits || smmuv3_pasid_remove(smmu, device) == 0)
		free_tables(smmu, device);
	driver_disable_pasids(unit->port, device);
}

/* ---- Entries ---- */

static bool is_first_stage(const struct iommu_domain *domain)
{
	return domain && domain_has_table(domain) && domain->stage == 1;
}

/* Does the stream table entry lead to the table of contexts? (A domain that blocks is NULL here.) */
static bool reaches_table(const struct smmuv3_cds *cds, const struct iommu_domain *domain)
{
	return is_first_stage(domain) || (domain && domain->type == IOMMU_DOMAIN_IDENTITY && bypasses_by_table(cds));
}

static struct entry_place ste_place(const struct iommu_device *device, unsigned rid)
{
	struct entry_place place = device->entry[rid];

	place.format = &smmuv3_ste;
	return place;
}

/* Descriptor 0. The device TLB is the stream table entry's to allow. */
static struct entry_place cd_place(const struct smmuv3_cds *cds, unsigned facts)
{
	struct entry_place place = { .facts = facts, .keeps_ats = true };

	smmuv3_cds_find(cds, 0, &place.table, &place.offset, &place.format);
	return place;
}

/*
 * From one first-stage domain to another, only descriptor 0 changes. Else the stream table entry does; and descriptor 0 says what it should
 * before requests can use it, and says nothing any more as long as hardware can reach it without need. Then its table stays where it
 * is: the stream table entry that is changed too points to it.
 */
static unsigned smmuv3_places(struct iommu_unit *unit, const struct iommu_device *device, unsigned rid, uint32_t pasid,
			      const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places)
{
	const struct smmuv3_cds *cds = cds_of(device, rid);
	bool reached = reaches_table(cds, old), reaches = reaches_table(cds, new);

	(void)unit;
	if (device->pasid_bits)
		return smmuv3_pasid_places(device, pasid, old, new, places);
	if (is_first_stage(old) && is_first_stage(new)) {
		places[0] = cd_place(cds, 0);
		return 1;
	}
	if (is_first_stage(new) || (reaches && !reached)) {
		places[0] = cd_place(cds, IOMMU_PLAN_NO_PARENT | (reached ? 0 : IOMMU_PLAN_UNREACHABLE));
		places[1] = ste_place(device, rid);
		return 2;
	}
	places[0] = ste_place(device, rid);
	if (!is_first_stage(old) || !reaches)
		return 1;
	places[1] = cd_place(cds, IOMMU_PLAN_NO_PARENT);
	return 2;
}

/* 5.2, S2SL0: at which level the walk starts. */
static unsigned start_level(unsigned page_shift, unsigned levels)
{
	return page_shift == 12 ? levels - 2 : levels - 1;
}

static void make_second_stage(const struct smmuv3_unit *smmu, const struct iommu_domain *domain, uint32_t vmid, uint64_t *ste)
{
	static const unsigned granules[] = { [12] = SMMU_TG0_4K, [14] = SMMU_TG0_16K, [16] = SMMU_TG0_64K };
	const struct iommu_pgtable_config *config = &domain->pgtable.config;
	bool snoops = !smmuv3_noncoherent(smmu);

	SET(SMMU_STE, S2VMID, ste, vmid);
	SET(SMMU_STE, S2T0SZ, ste, 64 - config->input_bits);
	SET(SMMU_STE, S2SL0, ste, start_level(smmu->page_shift, config->levels));
	SET(SMMU_STE, S2IR0, ste, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_STE, S2OR0, ste, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_STE, S2SH0, ste, snoops ? SMMU_SH_INNER : SMMU_SH_OUTER);
	SET(SMMU_STE, S2TG, ste, granules[smmu->page_shift]);
	SET(SMMU_STE, S2PS, ste, smmuv3_output_size(smmu));
	SET(SMMU_STE, S2AA64, ste, 1);
	SET(SMMU_STE, S2HA, ste, smmuv3_has_dirty(smmu));
	SET(SMMU_STE, S2HD, ste, smmuv3_has_dirty(smmu));
	/* Looked at under a guest's first stage only: its tables must not lie in a device's registers. */
	SET(SMMU_STE, S2PTW, ste, 1);
	SET(SMMU_STE, S2R, ste, 1);
	SET(SMMU_STE, S2TTB, ste, domain->pgtable.ops->root_phys(&domain->pgtable) >> 4);
}

/*
 * A guest's first stage, as its own entry says it (smmuv3_nested.c has checked that), behind the parent. The device TLB is on if the guest
 * thinks so: else it would not invalidate it. However often the guest makes its device fault, records may be merged.
 */
static void make_nested(const struct smmuv3_unit *smmu, const struct iommu_device *device, const struct iommu_domain *domain, uint32_t vmid,
			uint64_t *ste)
{
	ste[0] |= domain->guest[0];
	ste[1] |= domain->guest[1];
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_NESTED);
	if (!GET(SMMU_STE, S1CDMAX, ste))
		SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_CD0);
	if (!device->ats)
		SET(SMMU_STE, EATS, ste, SMMU_EATS_NONE);
	SET(SMMU_STE, MEV, ste, 1);
	make_second_stage(smmu, domain->parent, vmid, ste);
}

static void make_ste(const struct smmuv3_unit *smmu, const struct iommu_device *device, const struct smmuv3_cds *cds,
		     const struct iommu_domain *domain, uint32_t tag, uint64_t *ste)
{
	bool snoops = !smmuv3_noncoherent(smmu), identity = domain && domain->type == IOMMU_DOMAIN_IDENTITY;
	bool blocked = !domain || domain->type == IOMMU_DOMAIN_BLOCKED;
	unsigned config = SMMU_CONFIG_S1;

	/* Where a guest's contexts could stall, nobody would end that; ours don't. */
	SET(SMMU_STE, S1STALLD, ste, SMMUV3_IDR(smmu, 0, STALL_MODEL) == SMMU_STALL_BOTH);
	SET(SMMU_STE, SHCFG, ste, SMMU_SH_INCOMING);
	if (domain_is_nested(domain)) {
		make_nested(smmu, device, domain, tag, ste);
		return;
	}
	if (identity && !bypasses_by_table(cds))
		config = SMMU_CONFIG_BYPASS;
	else if (!identity && !blocked && domain->stage == 2)
		config = SMMU_CONFIG_S2;
	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, config);
	/* What the kind does not look at is as in the others. */
	if (cds)
		smmuv3_cds_point(smmu, cds, ste);
	SET(SMMU_STE, S1DSS, ste, blocked ? SMMU_S1DSS_TERMINATE :
				  identity && config == SMMU_CONFIG_S1 ? SMMU_S1DSS_BYPASS : SMMU_S1DSS_CD0);
	SET(SMMU_STE, S1CIR, ste, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_STE, S1COR, ste, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_STE, S1CSH, ste, snoops ? SMMU_SH_INNER : SMMU_SH_OUTER);
	SET(SMMU_STE, EATS, ste, device->ats ? SMMU_EATS_FULL : SMMU_EATS_NONE);
	if (config == SMMU_CONFIG_S2)
		make_second_stage(smmu, domain, tag, ste);
}

static void invalidate(const struct entry_format *format, uint64_t *entry)
{
	if (format == &smmuv3_ste)
		SET(SMMU_STE, V, entry, 0);
	else
		SET(SMMU_CD, V, entry, 0);
}

static void smmuv3_make_entry(struct iommu_unit *unit, const struct iommu_device *device, const struct entry_place *place,
			      const struct iommu_domain *domain, uint32_t tag, const uint64_t *before, uint64_t *entry)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	unsigned rid = 0;

	bool blocked = !domain || domain->type == IOMMU_DOMAIN_BLOCKED, stays = device->pasid_bits && place->format == &smmuv3_ste;

	/* The entry of a device with PASIDs says who is blocked, and leads on to them. */
	if ((blocked && !stays) || (place->format != &smmuv3_ste && !is_first_stage(domain))) {
		/* Not valid: what else there is, is ignored, and one store does it. */
		memcpy(entry, before, place->format->words * sizeof(*entry));
		invalidate(place->format, entry);
		return;
	}
	memset(entry, 0, place->format->words * sizeof(*entry));
	if (place->format != &smmuv3_ste) {
		smmuv3_make_cd(smmu, domain, tag, entry);
		return;
	}
	while (rid < device->nrids - 1 &&
	       (device->entry[rid].table != place->table || device->entry[rid].offset != place->offset))
		rid++;
	make_ste(smmu, device, cds_of(device, rid), domain, tag, entry);
}

static unsigned smmuv3_tag_space(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	(void)unit;
	if (!domain_has_table(domain))
		return NO_TAG_SPACE;
	return domain->stage == 1 ? SMMUV3_SPACE_ASID : SMMUV3_SPACE_VMID;
}

static uint32_t smmuv3_rid_pasid(const struct iommu_unit *unit)
{
	(void)unit;
	return 0;
}

/* ---- The unit ---- */

static RARE void free_unit(struct smmuv3_unit *smmu)
{
	const struct hitless_port *port = smmu->unit.port;

	smmuv3_stream_fini(smmu);
	unit_fini(&smmu->unit);
	port->free(port->ctx, smmu, sizeof(*smmu));
}

/* 6.3.14: what is not translated is aborted from here on. */
static int abort_the_rest(struct smmuv3_unit *smmu)
{
	const uint32_t update = (uint32_t)BITS(SMMU_GBPA, UPDATE);
	int err = smmuv3_wait32(smmu, SMMU_REG_GBPA, update, 0);

	if (err)
		return err;
	smmuv3_write32(smmu, SMMU_REG_GBPA, update | (uint32_t)BITS(SMMU_GBPA, ABORT));
	return smmuv3_wait32(smmu, SMMU_REG_GBPA, update, 0);
}

static RARE int smmuv3_destroy(struct iommu_unit *unit)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);
	int err = smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, SMMUEN), false);

	if (!err)
		err = smmuv3_queue_fini(smmu);
	if (!err)
		err = smmuv3_events_fini(smmu);
	if (err) {
		unit_mark_lost(unit);
		return err;
	}
	free_unit(smmu);
	return 0;
}

static const struct iommu_unit_ops smmuv3_ops = {
	.arch = "smmuv3",
	.format = &smmuv3_ste,
	.destroy = smmuv3_destroy,
	.device_add = smmuv3_device_add,
	.device_remove = smmuv3_device_remove,
	.domain_init = smmuv3_domain_init,
	.domain_check = smmuv3_domain_check,
	.places = smmuv3_places,
	.make_entry = smmuv3_make_entry,
	.tag_space = smmuv3_tag_space,
	.rid_pasid = smmuv3_rid_pasid,
	.forget_range = smmuv3_forget_range,
	.forget_device_range = smmuv3_forget_device_range,
	.commands = smmuv3_commands,
	.submit = smmuv3_submit,
	.handle_faults = smmuv3_handle_faults,
	.pasid = &smmuv3_pasid_ops,
};

static int choose_page_size(struct smmuv3_unit *smmu, unsigned wanted)
{
	const bool has[] = { SMMUV3_IDR(smmu, 5, GRAN4K), SMMUV3_IDR(smmu, 5, GRAN16K), SMMUV3_IDR(smmu, 5, GRAN64K) };

	for (unsigned i = 3; i-- > 0;)
		if (has[i]) {
			smmu->smallest_shift = 12 + 2 * i;
			if (smmu->smallest_shift == wanted)
				smmu->page_shift = wanted;
		}
	if (!wanted)
		smmu->page_shift = smmu->smallest_shift;
	if (!smmu->smallest_shift)
		return -EOPNOTSUPP;
	return smmu->page_shift ? 0 : -EINVAL;
}

/* What the unit can do, and whether that is enough. */
static RARE int probe(struct smmuv3_unit *smmu, const struct smmuv3_unit_desc *desc)
{
	uint64_t aidr = smmuv3_read32(smmu, SMMU_REG_AIDR), cr0;

	smmu->idr0 = smmuv3_read32(smmu, SMMU_REG_IDR0);
	if (smmu->idr0 == 0 || smmu->idr0 == UINT32_MAX || GET(SMMU_AIDR, MAJOR, &aidr))
		return -ENODEV;
	smmu->idr1 = smmuv3_read32(smmu, SMMU_REG_IDR1);
	smmu->idr3 = smmuv3_read32(smmu, SMMU_REG_IDR3);
	smmu->idr5 = smmuv3_read32(smmu, SMMU_REG_IDR5);
	smmu->ssid_bits = (unsigned)SMMUV3_IDR(smmu, 1, SSIDSIZE);
	if (!(SMMUV3_IDR(smmu, 0, TTF) & SMMU_TTF_64) || SMMUV3_IDR(smmu, 0, TTENDIAN) == SMMU_TTENDIAN_BIG ||
	    SMMUV3_IDR(smmu, 0, STALL_MODEL) == SMMU_STALL_ALWAYS || SMMUV3_IDR(smmu, 1, QUEUES_PRESET) ||
	    SMMUV3_IDR(smmu, 1, TABLES_PRESET) || SMMUV3_IDR(smmu, 5, OAS) == SMMU_PS_32 ||
	    !(SMMUV3_IDR(smmu, 0, S1P) || SMMUV3_IDR(smmu, 0, S2P)))
		return -EOPNOTSUPP;
	cr0 = smmuv3_read32(smmu, SMMU_REG_CR0);
	if (GET(SMMU_CR0, CMDQEN, &cr0))
		return -EBUSY;
	return choose_page_size(smmu, desc->page_shift);
}

/* 6.3.9 to 6.3.12: CR1 and CR2 change only while nothing is enabled. */
static int configure(struct smmuv3_unit *smmu)
{
	bool snoops = !smmuv3_noncoherent(smmu);
	unsigned cache = snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC, share = snoops ? SMMU_SH_INNER : SMMU_SH_OUTER;
	uint64_t cr1 = 0, cr2 = 0;
	int err = abort_the_rest(smmu);

	/* Firmware may have left translation on, with tables that are not ours. */
	if (!err)
		err = smmuv3_set_cr0(smmu, UINT32_MAX, false);
	if (err)
		return err;
	SET(SMMU_CR1, TABLE_IC, &cr1, cache);
	SET(SMMU_CR1, TABLE_OC, &cr1, cache);
	SET(SMMU_CR1, TABLE_SH, &cr1, share);
	SET(SMMU_CR1, QUEUE_IC, &cr1, cache);
	SET(SMMU_CR1, QUEUE_OC, &cr1, cache);
	SET(SMMU_CR1, QUEUE_SH, &cr1, share);
	smmuv3_write32(smmu, SMMU_REG_CR1, (uint32_t)cr1);
	/* CPUs' TLB maintenance is none of ours. */
	SET(SMMU_CR2, PTM, &cr2, 1);
	SET(SMMU_CR2, RECINVSID, &cr2, 1);
	smmuv3_write32(smmu, SMMU_REG_CR2, (uint32_t)cr2);
	return 0;
}

static RARE int enable(struct smmuv3_unit *smmu, const struct smmuv3_unit_desc *desc)
{
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	int err = configure(smmu);

	if (!err)
		err = smmuv3_stream_init(smmu, desc);
	if (!err)
		err = smmuv3_queue_init(smmu, desc->queue_order);
	if (err)
		return err;
	smmuv3_forget_all(smmu, &steps);
	err = smmuv3_run(smmu, &steps);
	if (!err)
		err = smmuv3_events_init(smmu, desc->queue_order);
	/* Translated requests are let through only where the entry allows them (3.9.1). */
	if (!err && SMMUV3_IDR(smmu, 0, ATS))
		err = smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, ATSCHK), true);
	return err ? err : smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, SMMUEN), true);
}

/* `first` and up; 0 is the first stages' VMID, and "none" to the planner. */
static struct tag_space_size tag_space(bool wide, uint32_t ids)
{
	uint32_t count = wide ? 65536 : 256;

	return (struct tag_space_size){ .count = ids && ids < count ? ids + 1 : count, .first = 1 };
}

static bool desc_is_sane(const struct smmuv3_unit_desc *desc)
{
	return desc->queue_order <= 7 && desc->sid_bits <= SMMU_MAX_SID_BITS && desc->ids <= 65536 &&
	       (unsigned)desc->stream_table <= SMMUV3_STREAM_TABLE_2LEVEL &&
	       (!desc->page_shift || desc->page_shift == 12 || desc->page_shift == 14 || desc->page_shift == 16);
}

RARE int smmuv3_unit_create(const struct hitless_port *port, const struct smmuv3_unit_desc *desc, struct iommu_unit **result)
{
	struct tag_space_size spaces[TAG_SPACES] = { { 0 } };
	struct smmuv3_unit *smmu;
	int err;

	if (!port || !desc || !result || !desc_is_sane(desc))
		return -EINVAL;
	smmu = port->alloc(port->ctx, sizeof(*smmu));
	if (!smmu)
		return -ENOMEM;
	smmu->unit.port = port;
	smmu->registers = desc->registers;
	smmu->timeout_ns = desc->timeout_ns ? desc->timeout_ns : 1000000000ull;
	err = probe(smmu, desc);
	if (!err && !SMMUV3_IDR(smmu, 0, COHACC) && !port->writeback)
		err = -EINVAL;
	if (err)
		goto free;
	if (SMMUV3_IDR(smmu, 0, S1P))
		spaces[SMMUV3_SPACE_ASID] = tag_space(SMMUV3_IDR(smmu, 0, ASID16), desc->ids);
	if (SMMUV3_IDR(smmu, 0, S2P))
		spaces[SMMUV3_SPACE_VMID] = tag_space(SMMUV3_IDR(smmu, 0, VMID16), desc->ids);
	err = unit_init(&smmu->unit, &smmuv3_ops, port, spaces);
	if (err)
		goto free;
	/* 3.21.3: where the CPUs have 128-bit single-copy atomicity, the unit has it too. */
	smmu->unit.quantum = port->store128 ? 16 : 8;
	smmu->unit.facts = IOMMU_PLAN_CACHES_ABSENT | IOMMU_PLAN_BEHIND | (SMMUV3_IDR(smmu, 0, COHACC) ? 0 : IOMMU_PLAN_NONCOHERENT);
	err = enable(smmu, desc);
	if (!err) {
		*result = &smmu->unit;
		return 0;
	}
	/* If the hardware does not answer, it may still read what it was given: that is never freed. */
	smmuv3_destroy(&smmu->unit);
	return err;

free:
	port->free(port->ctx, smmu, sizeof(*smmu));
	return err;
}
