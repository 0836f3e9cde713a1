/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_nested.c - a guest's device table entries and commands.
 *
 * A guest's entry with guest tables becomes a nested one (2.2.2.1: GV, and Mode and root of the parent) with a DomainID of its own: the
 * guest's DomainID says only which of the guest's commands are about it. The GCR3 table is the guest's, with all PASIDs, and the unit reads it
 * through the parent, which takes CONTROL.GCR3TRPMode (3.4.4). Without that the table would be at a system physical address, and so would
 * be what its upper levels point to, wherever the guest wants: such units have no nested domains.
 *
 * Lines of a nested translation go with INVALIDATE_IOMMU_PAGES of their DomainID and GN=0, whatever the PASID (2.4.3): so a parent's
 * change takes no command for each PASID. What is cached of the guest's own tables goes by PASID only, and where it stays it holds addresses of
 * the guest, for which the parent is asked again. It must go before the DomainID gets another meaning: dte_forget_translations().
 */
#include "amdvi_driver.h"

#include <string.h>

/* ---- Device table entries ---- */

static int refuse_entry(struct iommu_guest_entry *entry, const char *name, int err)
{
	return driver_refuse(&entry->field, name, err);
}

/* Keeps what the guest may say of its tables, and its DomainID. */
static void keep_guest_tables(uint64_t *words)
{
	uint64_t kept[IOMMU_GUEST_ENTRY_WORDS] = { 0 };

	SET(AMDVI_DTE, GIOV, kept, ~0ull);
	SET(AMDVI_DTE, GV, kept, ~0ull);
	SET(AMDVI_DTE, GLX, kept, ~0ull);
	SET(AMDVI_DTE, IR, kept, ~0ull);
	SET(AMDVI_DTE, IW, kept, ~0ull);
	SET(AMDVI_DTE, DOMAIN_ID, kept, ~0ull);
	SET(AMDVI_DTE, I, kept, ~0ull);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, kept, ~0ull);
	amdvi_dte_set_gcr3(kept, ~0ull);
	for (unsigned i = 0; i < IOMMU_GUEST_ENTRY_WORDS; i++)
		words[i] &= kept[i];
}

/* The first field that the unit lacks; NULL: it can walk the guest's tables. */
static const char *lacking(const struct amdvi_unit *amdvi, const uint64_t *words)
{
	if (GET(AMDVI_DTE, GLX, words) > AMDVI_EFR_OF(amdvi, GLX_SUP))
		return "GLX";
	if (!amdvi_has_guest_levels(amdvi, amdvi_guest_levels(words)))
		return "GUEST_PAGING_MODE";
	if (GET(AMDVI_DTE, GIOV, words) && !AMDVI_EFR_OF(amdvi, GIO_SUP))
		return "GIOV";
	return NULL;
}

static int read_guest_tables(const struct amdvi_unit *amdvi, struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;

	if (GET(AMDVI_DTE, GLX, words) > AMDVI_GLX_3_LEVEL)
		return refuse_entry(entry, "GLX", -EINVAL);
	if (GET(AMDVI_DTE, GUEST_PAGING_MODE, words) > AMDVI_GPM_5_LEVEL)
		return refuse_entry(entry, "GUEST_PAGING_MODE", -EINVAL);
	if (lacking(amdvi, words))
		return refuse_entry(entry, lacking(amdvi, words), -EOPNOTSUPP);
	entry->kind = IOMMU_GUEST_NESTED;
	keep_guest_tables(entry->words);
	return 0;
}

/* Mode 0 without guest tables: all or nothing passes. Half of it would take a parent with other rights. */
static int read_untranslated(struct iommu_guest_entry *entry)
{
	bool reads = GET(AMDVI_DTE, IR, entry->words), writes = GET(AMDVI_DTE, IW, entry->words);

	if (reads != writes)
		return refuse_entry(entry, reads ? "IW" : "IR", -EOPNOTSUPP);
	entry->kind = reads ? IOMMU_GUEST_BYPASS : IOMMU_GUEST_BLOCKED;
	memset(entry->words, 0, sizeof(entry->words));
	return 0;
}

/* 2.2.2.1: what goes beside translation, whatever the tables say. */
static int check_passages(struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;

	if (GET(AMDVI_DTE, IOCTL, words))
		return refuse_entry(entry, "IOCTL", GET(AMDVI_DTE, IOCTL, words) == 3 ? -EINVAL : -EOPNOTSUPP);
	if (GET(AMDVI_DTE, SYSMGT, words))
		return refuse_entry(entry, "SYSMGT", -EOPNOTSUPP);
	if (GET(AMDVI_DTE, EX, words))
		return refuse_entry(entry, "EX", -EOPNOTSUPP);
	return 0;
}

static int read_translating(const struct amdvi_unit *amdvi, struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;

	if (GET(AMDVI_DTE, HAD, words) == 2)
		return refuse_entry(entry, "HAD", -EINVAL);
	if (GET(AMDVI_DTE, PPR, words))
		return refuse_entry(entry, "PPR", -EOPNOTSUPP);
	/* A guest's own host tables would have to be walked behind the parent's: no hardware does that. */
	if (GET(AMDVI_DTE, MODE, words))
		return refuse_entry(entry, "MODE", GET(AMDVI_DTE, MODE, words) > AMDVI_MAX_LEVELS ? -EINVAL : -EOPNOTSUPP);
	return GET(AMDVI_DTE, GV, words) ? read_guest_tables(amdvi, entry) : read_untranslated(entry);
}

/* With V=0 nothing else is looked at, and DMA passes; of the upper half only GuestPagingMode is about DMA. */
static int read_entry(struct iommu_unit *unit, struct iommu_guest_entry *entry)
{
	uint64_t used[4] = { 0 };
	int err;

	AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_NAME_BITS)
	if (!GET(AMDVI_DTE, V, entry->words)) {
		entry->kind = IOMMU_GUEST_BYPASS;
		memset(entry->words, 0, sizeof(entry->words));
		return 0;
	}
	if (driver_beyond(entry->words, used, 2))
		return refuse_entry(entry, "reserved bits", -EINVAL);
	err = check_passages(entry);
	if (err)
		return err;
	if (GET(AMDVI_DTE, TV, entry->words))
		return read_translating(to_amdvi(unit), entry);
	entry->kind = IOMMU_GUEST_BLOCKED;
	memset(entry->words, 0, sizeof(entry->words));
	return 0;
}

/* A device with PASIDs: they can be forgotten all at once in the unit, but not in the device. */
static int check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *nested)
{
	const struct amdvi_unit *amdvi = to_amdvi(unit);

	if (lacking(amdvi, nested->guest))
		return -EINVAL;
	if (device && device->pasid_bits && (device->ats || !AMDVI_EFR_OF(amdvi, IA_SUP)))
		return -EINVAL;
	return 0;
}

static bool uses_devtlb(const struct iommu_domain *nested)
{
	return GET(AMDVI_DTE, I, nested->guest);
}

/* ---- Commands ---- */

static int refuse(struct iommu_guest_command *command, const char *name, int err)
{
	return driver_refuse(&command->field, name, err);
}

static unsigned opcode_of(const struct iommu_guest_command *command)
{
	return (unsigned)GET(AMDVI_CMD, OPCODE, command->words);
}

/* What the command is about, and which of its bits have a meaning. -EINVAL: there is no such command. */
static int classify(struct iommu_guest_command *command, uint64_t *used)
{
	const uint64_t *words = command->words;

	command->last_rid = 0xffff;
	switch (opcode_of(command)) {
	case AMDVI_CMD_DTE:
		AMDVI_CMD_DTE_LIST(AMDVI_CMD_DTE, LAYOUT_NAME_BITS)
		command->about = IOMMU_GUEST_ENTRY;
		command->first_rid = command->last_rid = (uint32_t)GET(AMDVI_CMD_DTE, DEVICE_ID, words);
		return 0;
	case AMDVI_CMD_PAGES:
		AMDVI_CMD_PAGES_LIST(AMDVI_CMD_PAGES, LAYOUT_NAME_BITS)
		command->about = IOMMU_GUEST_TRANSLATIONS;
		return 0;
	case AMDVI_CMD_IOTLB:
		AMDVI_CMD_IOTLB_LIST(AMDVI_CMD_IOTLB, LAYOUT_NAME_BITS)
		command->about = IOMMU_GUEST_DEVICE;
		command->first_rid = command->last_rid = (uint32_t)GET(AMDVI_CMD_IOTLB, DEVICE_ID, words);
		return 0;
	case AMDVI_CMD_ALL:
		AMDVI_CMD_ALL_LIST(AMDVI_CMD_ALL, LAYOUT_NAME_BITS)
		command->about = IOMMU_GUEST_TRANSLATIONS | IOMMU_GUEST_ENTRY;
		return 0;
	case AMDVI_CMD_WAIT:
		AMDVI_CMD_WAIT_LIST(AMDVI_CMD_WAIT, LAYOUT_NAME_BITS)
		return 0;
	case AMDVI_CMD_INTERRUPTS:
		AMDVI_CMD_INTERRUPTS_LIST(AMDVI_CMD_INTERRUPTS, LAYOUT_NAME_BITS)
		return 0;
	case AMDVI_CMD_PREFETCH:
		AMDVI_CMD_PREFETCH_LIST(AMDVI_CMD_PREFETCH, LAYOUT_NAME_BITS)
		return 0;
	default:
		return refuse(command, "OPCODE", -EINVAL);
	}
}

static int read_command(struct iommu_unit *unit, struct iommu_guest_command *command)
{
	uint64_t used[IOMMU_GUEST_COMMAND_WORDS] = { 0 };
	int err = classify(command, used);

	(void)unit;
	if (err)
		return err;
	if (driver_beyond(command->words, used, IOMMU_GUEST_COMMAND_WORDS))
		return refuse(command, "reserved bits", -EINVAL);
	if (opcode_of(command) == AMDVI_CMD_IOTLB && GET(AMDVI_CMD_IOTLB, TYPE, command->words))
		return refuse(command, "TYPE", -EOPNOTSUPP);
	return 0;
}

/* Under the guest's DomainID. */
static bool concerns(const struct iommu_domain *nested, const struct iommu_guest_command *command)
{
	return opcode_of(command) == AMDVI_CMD_ALL ||
	       GET(AMDVI_CMD_PAGES, DOMAIN_ID, command->words) == GET(AMDVI_DTE, DOMAIN_ID, nested->guest);
}

/* What a guest's INVALIDATE_IOMMU_ALL means for one of its domains. Its PASIDs are in no list: then the unit forgets everybody's. */
static void forget_domain(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag)
{
	if (unit_has_pasids(unit) && AMDVI_EFR_OF(to_amdvi(unit), IA_SUP)) {
		amdvi_invalidate_all(steps);
		return;
	}
	amdvi_invalidate_pages(steps, tag, false, 0, 0, AMDVI_WHOLE, false);
	amdvi_invalidate_pages(steps, tag, true, AMDVI_RID_PASID, 0, AMDVI_WHOLE, false);
}

/* The guest's own command but for the DomainID. With GN=0 its addresses are the guest's physical ones, the same as behind the parent. */
static void forget(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag, uint32_t pasid,
		   const struct iommu_guest_command *command)
{
	uint64_t words[2] = { command->words[0], command->words[1] };

	(void)pasid;
	if (opcode_of(command) == AMDVI_CMD_ALL) {
		forget_domain(unit, steps, tag);
		return;
	}
	SET(AMDVI_CMD_PAGES, DOMAIN_ID, words, tag);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "invalidate-iommu-pages", "guest", 0, words, 2);
}

/* The guest's range, of requests without PASID: a device that is nested and has a TLB of its own sends no others. */
static void forget_device(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			  const struct iommu_guest_command *command)
{
	uint64_t words[2] = { 0 };

	(void)unit;
	if (!nested_devtlb_is_on(device))
		return;
	SET(AMDVI_CMD_IOTLB, OPCODE, words, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, words, device->rids[0]);
	SET(AMDVI_CMD_IOTLB, QUEUE_ID, words, device->rids[0]);
	SET(AMDVI_CMD_IOTLB, MAX_PEND, words, 1);
	SET(AMDVI_CMD_IOTLB, S, words, GET(AMDVI_CMD_IOTLB, S, command->words));
	SET(AMDVI_CMD_IOTLB, ADDR, words, GET(AMDVI_CMD_IOTLB, ADDR, command->words));
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "invalidate-iotlb-pages", "guest", 0, words, 2);
}

static const struct iommu_nested_ops nested_ops = {
	.entry_bytes = AMDVI_DTE_BYTES,
	.command_bytes = 16,
	.read_entry = read_entry,
	.check = check,
	.uses_devtlb = uses_devtlb,
	.read_command = read_command,
	.concerns = concerns,
	.forget = forget,
	.forget_device = forget_device,
};

int amdvi_enable_nesting(struct iommu_unit *unit)
{
	struct amdvi_unit *amdvi;
	uint64_t efr2;

	if (!unit || unit->ops->format != &amdvi_dte)
		return -EINVAL;
	amdvi = to_amdvi(unit);
	efr2 = amdvi_read(amdvi, AMDVI_REG_EFR2);
	if (!AMDVI_EFR_OF(amdvi, GT_SUP) || !GET(AMDVI_EFR2, GCR3_TRP_MODE, &efr2))
		return -EOPNOTSUPP;
	/* No entry is nested yet, and of no other is GCR3TRPMode looked at. */
	amdvi_control(amdvi, BITS(AMDVI_CONTROL, GCR3_TRP_MODE), 0);
	unit->nested = &nested_ops;
	return 0;
}
