/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_nested.c - a guest's PASID-table entries and invalidation descriptors.
 *
 * A guest's first-stage entry becomes a nested one (9.6, PGTT 3) with a domain id of its own: the guest's domain id says only which of the
 * guest's commands are about it. PASIDs are the hardware's: what the guest's driver puts into the device goes over the bus.
 */
#include "vtd_driver.h"

#include <string.h>

/* ---- PASID-table entries ---- */

static int refuse_entry(struct iommu_guest_entry *entry, const char *name, int err)
{
	return driver_refuse(&entry->field, name, err);
}

/* Keeps what the guest may say of its first stage, and its domain id. */
static void keep_first_stage(uint64_t *words)
{
	uint64_t kept[8] = { 0 };

	SET(VTD_PASID, DID, kept, ~0ull);
	SET(VTD_PASID, PGSNP, kept, ~0ull);
	SET(VTD_PASID, SRE, kept, ~0ull);
	SET(VTD_PASID, FSPM, kept, ~0ull);
	SET(VTD_PASID, WPE, kept, ~0ull);
	SET(VTD_PASID, EAFE, kept, ~0ull);
	SET(VTD_PASID, FSPTPTR, kept, ~0ull);
	for (unsigned i = 0; i < 8; i++)
		words[i] &= kept[i];
}

static int read_first_stage(const struct vtd_unit *vtd, struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;

	if (GET(VTD_PASID, FSPM, words) > VTD_FSPM_5_LEVEL)
		return refuse_entry(entry, "FSPM", -EINVAL);
	if (GET(VTD_PASID, FSPM, words) == VTD_FSPM_5_LEVEL && !VTD_CAP_OF(vtd, FS5LP))
		return refuse_entry(entry, "FSPM", -EOPNOTSUPP);
	if (GET(VTD_PASID, SRE, words) && !VTD_ECAP_OF(vtd, SRS))
		return refuse_entry(entry, "SRE", -EOPNOTSUPP);
	if (GET(VTD_PASID, EAFE, words) && !VTD_ECAP_OF(vtd, EAFS))
		return refuse_entry(entry, "EAFE", -EOPNOTSUPP);
	if (GET(VTD_PASID, PGSNP, words) && !VTD_ECAP_OF(vtd, SC))
		return refuse_entry(entry, "PGSNP", -EOPNOTSUPP);
	entry->kind = IOMMU_GUEST_NESTED;
	keep_first_stage(entry->words);
	return 0;
}

static int read_entry(struct iommu_unit *unit, struct iommu_guest_entry *entry)
{
	unsigned mode = vtd_pasid_mode(entry->words);
	uint64_t used[8] = { 0 };

	VTD_PASID_LIST(VTD_PASID, LAYOUT_NAME_BITS)
	/* Of an entry that is not present, nothing is looked at. */
	if (mode != VTD_PASID_MODE_ABSENT && driver_beyond(entry->words, used, 8))
		return refuse_entry(entry, "reserved bits", -EINVAL);
	switch (mode) {
	case VTD_PASID_MODE_FIRST:
		return read_first_stage(to_vtd(unit), entry);
	case VTD_PASID_MODE_ABSENT:
		entry->kind = IOMMU_GUEST_BLOCKED;
		break;
	case VTD_PASID_MODE_PASS:
		entry->kind = IOMMU_GUEST_BYPASS;
		break;
	default:
		/* A guest's own second stage would have to be walked behind the parent's: no hardware does that. */
		return refuse_entry(entry, "PGTT", mode == VTD_PASID_MODE_RESERVED ? -EINVAL : -EOPNOTSUPP);
	}
	memset(entry->words, 0, sizeof(entry->words));
	return 0;
}

static int check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *nested)
{
	const struct vtd_unit *vtd = to_vtd(unit);

	(void)device;
	if (GET(VTD_PASID, FSPM, nested->guest) == VTD_FSPM_5_LEVEL && !VTD_CAP_OF(vtd, FS5LP))
		return -EINVAL;
	if ((GET(VTD_PASID, SRE, nested->guest) && !VTD_ECAP_OF(vtd, SRS)) ||
	    (GET(VTD_PASID, EAFE, nested->guest) && !VTD_ECAP_OF(vtd, EAFS)) ||
	    (GET(VTD_PASID, PGSNP, nested->guest) && !VTD_ECAP_OF(vtd, SC)))
		return -EINVAL;
	return 0;
}

/* ---- Descriptors ---- */

static int refuse(struct iommu_guest_command *command, const char *name, int err)
{
	return driver_refuse(&command->field, name, err);
}

static unsigned type_of(const uint64_t *words)
{
	return (unsigned)(GET(VTD_DESC, TYPE, words) | GET(VTD_DESC, TYPE_HIGH, words) << 4);
}

/* 6.5.2.1: FM says which of the function's three bits don't matter. */
static void set_functions(struct iommu_guest_command *command)
{
	static const uint32_t masks[] = { 0, 4, 6, 7 };
	uint32_t sid = (uint32_t)GET(VTD_DESC_CONTEXT, SID, command->words);
	uint32_t mask = masks[GET(VTD_DESC_CONTEXT, FM, command->words)];

	command->first_rid = sid & ~mask;
	command->last_rid = sid | mask;
}

/* What the descriptor is about. Granularities that are reserved are refused. */
static int classify(struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;

	command->last_rid = 0xffff;
	switch (type_of(words)) {
	case VTD_DESC_CONTEXT:
		if (GET(VTD_DESC_CONTEXT, G, words) == 0)
			return refuse(command, "G", -EINVAL);
		command->about = IOMMU_GUEST_ENTRY;
		if (GET(VTD_DESC_CONTEXT, G, words) == VTD_CONTEXT_DEVICE)
			set_functions(command);
		return 0;
	case VTD_DESC_PASID:
		if (GET(VTD_DESC_PASID, G, words) == 2)
			return refuse(command, "G", -EINVAL);
		command->about = IOMMU_GUEST_ENTRY;
		if (GET(VTD_DESC_PASID, G, words) == VTD_PASID_CACHE_PASID)
			command->pasid = (uint32_t)GET(VTD_DESC_PASID, PASID, words);
		return 0;
	case VTD_DESC_IOTLB:
		if (GET(VTD_DESC_IOTLB, G, words) == 0)
			return refuse(command, "G", -EINVAL);
		command->about = IOMMU_GUEST_TRANSLATIONS;
		return 0;
	case VTD_DESC_PIOTLB:
		if (GET(VTD_DESC_PIOTLB, G, words) < VTD_PIOTLB_PASID)
			return refuse(command, "G", -EINVAL);
		command->about = IOMMU_GUEST_TRANSLATIONS;
		return 0;
	case VTD_DESC_DEVTLB:
		command->about = IOMMU_GUEST_DEVICE;
		command->first_rid = command->last_rid = (uint32_t)GET(VTD_DESC_DEVTLB, SID, words);
		return 0;
	case VTD_DESC_PDEVTLB:
		command->about = IOMMU_GUEST_DEVICE;
		command->first_rid = command->last_rid = (uint32_t)GET(VTD_DESC_PDEVTLB, SID, words);
		return 0;
	case VTD_DESC_IEC:
	case VTD_DESC_WAIT:
		return 0;
	default:
		return refuse(command, "TYPE", -EINVAL);
	}
}

static void named_bits(unsigned type, uint64_t *used)
{
	switch (type) {
	case VTD_DESC_CONTEXT:
		VTD_DESC_CONTEXT_LIST(VTD_DESC_CONTEXT, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_PASID:
		VTD_DESC_PASID_LIST(VTD_DESC_PASID, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_IOTLB:
		VTD_DESC_IOTLB_LIST(VTD_DESC_IOTLB, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_PIOTLB:
		VTD_DESC_PIOTLB_LIST(VTD_DESC_PIOTLB, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_DEVTLB:
		VTD_DESC_DEVTLB_LIST(VTD_DESC_DEVTLB, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_PDEVTLB:
		VTD_DESC_PDEVTLB_LIST(VTD_DESC_PDEVTLB, LAYOUT_NAME_BITS)
		break;
	case VTD_DESC_IEC:
		VTD_DESC_IEC_LIST(VTD_DESC_IEC, LAYOUT_NAME_BITS)
		break;
	default:
		VTD_DESC_WAIT_LIST(VTD_DESC_WAIT, LAYOUT_NAME_BITS)
		break;
	}
}

static int read_command(struct iommu_unit *unit, struct iommu_guest_command *command)
{
	uint64_t named[IOMMU_GUEST_COMMAND_WORDS] = { 0 };
	int err = classify(command);

	(void)unit;
	if (err)
		return err;
	named_bits(type_of(command->words), named);
	if (driver_beyond(command->words, named, IOMMU_GUEST_COMMAND_WORDS))
		return refuse(command, "reserved bits", -EINVAL);
	return 0;
}

/* Under the guest's domain id. */
static bool concerns(const struct iommu_domain *nested, const struct iommu_guest_command *command)
{
	if (type_of(command->words) == VTD_DESC_IOTLB && GET(VTD_DESC_IOTLB, G, command->words) == VTD_IOTLB_GLOBAL)
		return true;
	return GET(VTD_DESC_IOTLB, DID, command->words) == GET(VTD_PASID, DID, nested->guest);
}

static void forget(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag, uint32_t pasid,
		   const struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;
	unsigned order = (unsigned)GET(VTD_DESC_PIOTLB, AM, words);

	/* For a guest's first stage an IOTLB invalidation by address has no meaning: its addresses would be those of a second stage. */
	if (type_of(words) == VTD_DESC_IOTLB) {
		vtd_invalidate_iotlb(steps, tag, 0, VTD_WHOLE, false);
		return;
	}
	if (GET(VTD_DESC_PIOTLB, G, words) == VTD_PIOTLB_PASID || order > VTD_CAP_OF(to_vtd(unit), MAMV))
		order = VTD_WHOLE;
	vtd_invalidate_piotlb(steps, tag, pasid, GET_ADDR(VTD_DESC_PIOTLB, ADDR, words), order, GET(VTD_DESC_PIOTLB, IH, words));
}

/* All that the device's TLB has, of requests without PASID too: the guest's PASID for those need not be ours. */
static void forget_device(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			  const struct iommu_guest_command *command)
{
	if (!nested_devtlb_is_on(device))
		return;
	vtd_forget_device_range(unit, steps, device, IOMMU_NO_PASID, 0, UINT64_MAX);
	if (type_of(command->words) == VTD_DESC_PDEVTLB && device->pasid_bits)
		vtd_forget_device_range(unit, steps, device, (uint32_t)GET(VTD_DESC_PDEVTLB, PASID, command->words), 0,
					UINT64_MAX);
}

static const struct iommu_nested_ops nested_ops = {
	.entry_bytes = 64,
	.command_bytes = 16,
	.read_entry = read_entry,
	.check = check,
	.read_command = read_command,
	.concerns = concerns,
	.forget = forget,
	.forget_device = forget_device,
};

int vtd_enable_nesting(struct iommu_unit *unit)
{
	if (!unit || unit->ops->format != &vtd_pasid_entry)
		return unit && unit->ops->format == &vtd_context_entry ? -EOPNOTSUPP : -EINVAL;
	if (!VTD_ECAP_OF(to_vtd(unit), NEST) || !VTD_ECAP_OF(to_vtd(unit), SSTS) || !VTD_ECAP_OF(to_vtd(unit), FSTS))
		return -EOPNOTSUPP;
	unit->nested = &nested_ops;
	return 0;
}
