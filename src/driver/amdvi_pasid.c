/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_pasid.c - devices with PASIDs: a GCR3 table of the device's own, and how requests without PASID go beside it.
 *
 * The DTE leads to the table as long as the device is here, and its DomainID is the device's: so all that is translated by the table is
 * cached under that DomainID and the PASID, which nobody else has, and a change of a PASID is one store to its GCR3 entry. Requests
 * without PASID use the first entry, with GIoV; without GIoV they pass untranslated (Mode 0), which is identity. A second-stage domain
 * would be the host's table beneath all guest tables, so then the DTE is that of a device without PASIDs, and there are none; nor are there
 * beside guest tables of five levels, because GuestPagingMode is the whole device's.
 */
#include "amdvi_driver.h"

#include <string.h>

#define DTE_WORDS 4

static struct amdvi_pasid_tables *tables_of(const struct iommu_device *device)
{
	return device->tables[0];
}

unsigned amdvi_pasid_bits(const struct amdvi_unit *amdvi)
{
	unsigned bits = (unsigned)AMDVI_EFR_OF(amdvi, PAS_MAX) + 1;

	if (!AMDVI_EFR_OF(amdvi, GT_SUP) || !AMDVI_EFR_OF(amdvi, GIO_SUP))
		return 0;
	while (bits && !amdvi_gcr3_levels(amdvi, bits))
		bits--;
	return bits;
}

static bool fits_table(const struct iommu_domain *domain)
{
	return domain_has_table(domain) && domain->stage == 1 && domain_levels(domain) == 4;
}

enum amdvi_rid_mode amdvi_rid_mode(const struct iommu_domain *domain)
{
	if (!domain || domain->type == IOMMU_DOMAIN_BLOCKED)
		return AMDVI_RID_BLOCKED;
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return AMDVI_RID_IDENTITY;
	return fits_table(domain) ? AMDVI_RID_FIRST : AMDVI_RID_ALONE;
}

/* ---- Where the entries are ---- */

static struct entry_place dte_place(const struct iommu_device *device)
{
	struct entry_place place = device->entry[0];

	place.format = &amdvi_dte;
	place.pasid = AMDVI_RID_PASID;
	place.facts = IOMMU_PLAN_GUEST_PASIDS;
	return place;
}

static struct entry_place gcr3_place(const struct iommu_device *device, uint32_t pasid)
{
	struct entry_place place = { .format = &amdvi_gcr3_entry, .pasid = pasid };

	amdvi_gcr3_find(&tables_of(device)->gcr3, pasid, &place.table, &place.offset);
	return place;
}

/* The first GCR3 entry is there before the DTE looks at it, and goes after. */
static unsigned amdvi_places(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
			     const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places)
{
	enum amdvi_rid_mode from = amdvi_rid_mode(old), to = amdvi_rid_mode(new);
	bool first = from == AMDVI_RID_FIRST || to == AMDVI_RID_FIRST;
	bool same_dte = from <= AMDVI_RID_FIRST && to <= AMDVI_RID_FIRST;
	unsigned n = 0;

	(void)unit;
	if (pasid != IOMMU_NO_PASID) {
		places[0] = gcr3_place(device, pasid);
		return 1;
	}
	if (first && to == AMDVI_RID_FIRST)
		places[n++] = gcr3_place(device, AMDVI_RID_PASID);
	if (!same_dte)
		places[n++] = dte_place(device);
	if (first && to != AMDVI_RID_FIRST)
		places[n++] = gcr3_place(device, AMDVI_RID_PASID);
	if (!n)
		places[n++] = gcr3_place(device, AMDVI_RID_PASID);
	return n;
}

static uint32_t amdvi_given_tag(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
				const struct iommu_domain *domain)
{
	(void)unit;
	if (pasid == IOMMU_NO_PASID && amdvi_rid_mode(domain) == AMDVI_RID_ALONE)
		return NO_GIVEN_TAG;
	return tables_of(device)->did;
}

static int amdvi_check_pasid(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return domain->type == IOMMU_DOMAIN_BLOCKED || fits_table(domain) ? 0 : -EINVAL;
}

static bool amdvi_beside(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return amdvi_rid_mode(domain) != AMDVI_RID_ALONE;
}

/* ---- Room ---- */

static int amdvi_reserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	return amdvi_gcr3_reserve(unit->port, &tables_of(device)->gcr3, pasid, device->pasid_bits);
}

static void amdvi_unreserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	(void)pasid;
	amdvi_gcr3_unreserve(unit->port, &tables_of(device)->gcr3);
}

/* The DTE says where the table is and how deep, in one half: one store. */
static int amdvi_build(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct amdvi_gcr3 *gcr3 = &tables_of(device)->gcr3;
	struct entry_place place = dte_place(device);
	uint64_t dte[DTE_WORDS];
	int err = 0;

	(void)pasid;
	if (gcr3->reserved.levels) {
		amdvi_gcr3_grow(unit->port, gcr3);
		entry_read(unit->port, place.table, place.offset, dte, DTE_WORDS);
		SET(AMDVI_DTE, GLX, dte, gcr3->levels - 1);
		amdvi_dte_set_gcr3(dte, amdvi_phys(to_amdvi(unit), gcr3->root));
		err = restate_entry(device, &place, dte, false);
	}
	if (!err)
		amdvi_gcr3_build(unit->port, gcr3);
	return err;
}

static void amdvi_memory(struct iommu_unit *unit, const struct iommu_device *device, size_t *bytes, size_t *software)
{
	const struct amdvi_pasid_tables *tables = tables_of(device);
	const struct amdvi_gcr3 *gcr3 = &tables->gcr3;
	unsigned leaves = gcr3->pasids >> AMDVI_GCR3_LEVEL_BITS, there = 0;

	(void)unit;
	for (unsigned i = 0; i < leaves; i++)
		there += gcr3->leaves[i] != NULL;
	*bytes = (size_t)gcr3->tables * HITLESS_PAGE_SIZE;
	*software = sizeof(*tables) + leaves * sizeof(*gcr3->leaves) + there * sizeof(**gcr3->leaves);
}

/* ---- Devices come and go ---- */

static void free_tables(struct amdvi_unit *amdvi, struct iommu_device *device)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_pasid_tables *tables = tables_of(device);

	amdvi_gcr3_fini(port, &tables->gcr3);
	unit_free_tag(&amdvi->unit, 0, tables->did);
	port->free(port->ctx, tables, sizeof(*tables));
	device->tables[0] = NULL;
}

static int make_tables(struct amdvi_unit *amdvi, struct iommu_device *device)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_pasid_tables *tables = port->alloc(port->ctx, sizeof(*tables));
	/* With 64-bit stores the depth could not be changed later. */
	unsigned levels = amdvi->unit.quantum == 16 ? 1 : amdvi_gcr3_levels(amdvi, device->pasid_bits);
	struct entry_table *table;
	size_t offset;
	int err;

	if (!tables)
		return -ENOMEM;
	err = unit_alloc_tag(&amdvi->unit, 0, &tables->did);
	if (err) {
		port->free(port->ctx, tables, sizeof(*tables));
		return err;
	}
	device->tables[0] = tables;
	err = amdvi_gcr3_init(port, &tables->gcr3, levels, device->pasid_bits);
	if (!err)
		err = amdvi_gcr3_reach(port, &tables->gcr3, AMDVI_RID_PASID, &table, &offset);
	if (err)
		free_tables(amdvi, device);
	return err;
}

static int restate_dte(struct amdvi_unit *amdvi, struct iommu_device *device, bool with_tables)
{
	struct entry_place place = dte_place(device);
	uint64_t before[DTE_WORDS], dte[DTE_WORDS];

	entry_read(amdvi->unit.port, place.table, place.offset, before, DTE_WORDS);
	if (with_tables)
		amdvi->unit.ops->make_entry(&amdvi->unit, device, &place, NULL, 0, before, dte);
	else
		amdvi_dte.block(before, dte);
	return restate_entry(device, &place, dte, false);
}

int amdvi_pasid_add(struct amdvi_unit *amdvi, struct iommu_device *device)
{
	int err = make_tables(amdvi, device);

	/* What the hardware may have seen is never freed if it does not answer. */
	return err ? err : restate_dte(amdvi, device, true);
}

void amdvi_pasid_remove(struct amdvi_unit *amdvi, struct iommu_device *device)
{
	if (device->tables[0] && restate_dte(amdvi, device, false) == 0)
		free_tables(amdvi, device);
}

const struct iommu_pasid_ops amdvi_pasid_ops = {
	.places = amdvi_places,
	.reserve = amdvi_reserve,
	.build = amdvi_build,
	.unreserve = amdvi_unreserve,
	.check = amdvi_check_pasid,
	.beside = amdvi_beside,
	.given_tag = amdvi_given_tag,
	.memory = amdvi_memory,
};
