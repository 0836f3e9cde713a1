/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_pasid.c - devices with PASIDs (SubstreamIDs), and how requests without go beside them.
 *
 * The stream table entry leads to the device's table of context descriptors as long as the device is here, and S1DSS says what becomes
 * of requests without SubstreamID: descriptor 0 is for them, or they bypass it (identity), or are terminated. Only a second-stage
 * domain, which would translate the table too, takes the entry back to what a device without PASIDs has. The table starts linear and gets a
 * second level when a SubstreamID needs one: one store of the entry's first word.
 */
#include "smmuv3_driver.h"

static struct smmuv3_cds *cds_of(const struct iommu_device *device)
{
	return device->tables[0];
}

static bool is_first_stage(const struct iommu_domain *domain)
{
	return domain && domain_has_table(domain) && domain->stage == 1;
}

int smmuv3_pasid_dss(const struct iommu_domain *domain)
{
	if (!domain || domain->type == IOMMU_DOMAIN_BLOCKED)
		return SMMU_S1DSS_TERMINATE;
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return SMMU_S1DSS_BYPASS;
	return is_first_stage(domain) ? SMMU_S1DSS_CD0 : -1;
}

/* ---- Where the entries are ---- */

static struct entry_place ste_place(const struct iommu_device *device)
{
	struct entry_place place = device->entry[0];

	place.format = &smmuv3_ste;
	place.facts = IOMMU_PLAN_GUEST_PASIDS;
	return place;
}

static struct entry_place cd_place(const struct iommu_device *device, uint32_t ssid)
{
	struct entry_place place = { .pasid = ssid };

	smmuv3_cds_find(cds_of(device), ssid, &place.table, &place.offset, &place.format);
	return place;
}

/* Descriptor 0, before or after the stream table entry. That one has the pointer to a linear table, so the table stays where it is. */
static struct entry_place cd_beside_ste(const struct iommu_device *device, bool reachable)
{
	struct entry_place place = cd_place(device, 0);

	place.facts = IOMMU_PLAN_NO_PARENT | (reachable ? 0 : IOMMU_PLAN_UNREACHABLE);
	return place;
}

/* Descriptor 0 is there before the stream table entry sends requests to it, and goes after. */
unsigned smmuv3_pasid_places(const struct iommu_device *device, uint32_t pasid, const struct iommu_domain *old,
			     const struct iommu_domain *new, struct entry_place *places)
{
	int from = smmuv3_pasid_dss(old), to = smmuv3_pasid_dss(new);
	unsigned n = 0;

	if (pasid != IOMMU_NO_PASID) {
		places[0] = cd_place(device, pasid);
		return 1;
	}
	if (from == SMMU_S1DSS_CD0 && to == SMMU_S1DSS_CD0) {
		places[0] = cd_place(device, 0);
		return 1;
	}
	if (to == SMMU_S1DSS_CD0)
		places[n++] = cd_beside_ste(device, from >= 0);
	if (from != to || from < 0)
		places[n++] = ste_place(device);
	if (from == SMMU_S1DSS_CD0 && to != SMMU_S1DSS_CD0)
		places[n++] = cd_beside_ste(device, to >= 0);
	if (!n)
		places[n++] = ste_place(device);
	return n;
}

static int smmuv3_check_pasid(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return domain->type == IOMMU_DOMAIN_BLOCKED || is_first_stage(domain) ? 0 : -EINVAL;
}

static bool smmuv3_beside(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return smmuv3_pasid_dss(domain) >= 0;
}

/* ---- Room ---- */

static int smmuv3_reserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	return smmuv3_cds_reserve(to_smmuv3_const(unit), cds_of(device), pasid, device->pasid_bits);
}

static void smmuv3_unreserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	(void)pasid;
	smmuv3_cds_unreserve(to_smmuv3_const(unit), cds_of(device));
}

static int smmuv3_build(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);
	struct smmuv3_cds *cds = cds_of(device);
	struct entry_place place = ste_place(device);
	struct iommu_step array[4];
	struct entry_steps steps = { .v = array, .capacity = 4 };
	uint64_t ste[SMMU_STE_WORDS];
	int err = 0;

	(void)pasid;
	if (cds->reserved.bits) {
		smmuv3_cds_grow(smmu, cds);
		entry_read(unit->port, place.table, place.offset, ste, SMMU_STE_WORDS);
		smmuv3_cds_point(smmu, cds, ste);
		err = restate_entry(device, &place, ste, false);
	}
	if (err || !smmuv3_cds_build(smmu, cds))
		return err;
	/* 3.21.3: that there was no leaf may be cached. */
	smmuv3_forget_cds(&steps, device->rids[0]);
	return smmuv3_run(smmu, &steps);
}

static void smmuv3_memory(struct iommu_unit *unit, const struct iommu_device *device, size_t *bytes, size_t *software)
{
	const struct smmuv3_cds *cds = cds_of(device);

	(void)unit;
	*bytes = cds->root.bytes;
	for (unsigned i = 0; i < cds->nleaves; i++)
		if (cds->leaves[i])
			*bytes += cds->leaves[i]->bytes;
	*software = sizeof(*cds) + cds->nleaves * sizeof(*cds->leaves) + cds->there * sizeof(**cds->leaves);
}

/* ---- Devices come and go ---- */

static int restate_ste(struct smmuv3_unit *smmu, struct iommu_device *device, bool valid)
{
	struct entry_place place = ste_place(device);
	uint64_t before[SMMU_STE_WORDS], ste[SMMU_STE_WORDS];

	entry_read(smmu->unit.port, place.table, place.offset, before, SMMU_STE_WORDS);
	for (unsigned i = 0; i < SMMU_STE_WORDS; i++)
		ste[i] = before[i];
	if (valid)
		smmu->unit.ops->make_entry(&smmu->unit, device, &place, NULL, 0, before, ste);
	else
		SET(SMMU_STE, V, ste, 0);
	return restate_entry(device, &place, ste, false);
}

int smmuv3_pasid_add(struct smmuv3_unit *smmu, struct iommu_device *device)
{
	return restate_ste(smmu, device, true);
}

int smmuv3_pasid_remove(struct smmuv3_unit *smmu, struct iommu_device *device)
{
	return restate_ste(smmu, device, false);
}

const struct iommu_pasid_ops smmuv3_pasid_ops = {
	.reserve = smmuv3_reserve,
	.build = smmuv3_build,
	.unreserve = smmuv3_unreserve,
	.check = smmuv3_check_pasid,
	.beside = smmuv3_beside,
	.memory = smmuv3_memory,
};
