/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_nested.c - a guest's device contexts and commands.
 *
 * Of a guest's device context its first stage becomes that of ours: `fsc` with page numbers of the guest's, be it a page table
 * or a process directory with every process context in it. All behind one parent has the parent's GSCID, and there the guest's own
 * PSCIDs (2.1.3.3): a guest's IOTINVAL, which is about host address spaces in the guest's eyes, becomes one with that GSCID.
 * Process ids are the hardware's: what the guest's driver puts into the device goes over the bus.
 */
#include "riscv_driver.h"

#include <string.h>

/* ---- Device contexts ---- */

static int refuse_entry(struct iommu_guest_entry *entry, const char *name, int err)
{
	return driver_refuse(&entry->field, name, err);
}

/* What 2.1.3 and 2.1.4 forbid in any valid device context whose second stage is Bare. NULL: nothing. */
static const char *forbidden(const uint64_t *words, bool extended)
{
	uint64_t fsc = GET(RISCV_DC, FSC_MODE, words), last = GET(RISCV_DC, PDTV, words) ? RISCV_PDTP_PD20 : RISCV_S_SV57;
	uint64_t second = GET(RISCV_DC, G_MODE, words);

	if (second != RISCV_G_BARE && (second < RISCV_G_SV39X4 || second > RISCV_G_SV57X4))
		return "G_MODE";
	if (GET(RISCV_DC, EN_PRI, words) && !GET(RISCV_DC, EN_ATS, words))
		return "EN_PRI";
	if (GET(RISCV_DC, PRPR, words) && !GET(RISCV_DC, EN_PRI, words))
		return "PRPR";
	if (GET(RISCV_DC, T2GPA, words) && second == RISCV_G_BARE)
		return "T2GPA";
	if (GET(RISCV_DC, DPE, words) && !GET(RISCV_DC, PDTV, words))
		return "DPE";
	/* 14 and 15 are for custom use. */
	if ((fsc > last && fsc < 14) || (!GET(RISCV_DC, PDTV, words) && fsc != RISCV_S_BARE && fsc < RISCV_S_SV39))
		return "FSC_MODE";
	if (extended && GET(RISCV_DCX, MSI_MODE, words) > RISCV_MSI_FLAT && GET(RISCV_DCX, MSI_MODE, words) < 14)
		return "MSI_MODE";
	return NULL;
}

static bool has_first_mode(const struct riscv_unit *riscv, const uint64_t *words)
{
	uint64_t mode = GET(RISCV_DC, FSC_MODE, words);

	if (mode == RISCV_S_BARE)
		return true;
	if (GET(RISCV_DC, PDTV, words))
		return mode <= RISCV_PDTP_PD20 && riscv_has_directory(riscv, (unsigned)mode);
	return mode <= RISCV_S_SV57 && riscv_has_levels(riscv, 1, (unsigned)mode - RISCV_S_SV39 + 3);
}

/* What of a guest's first stage the unit lacks. NULL: nothing. */
static const char *lacking(const struct riscv_unit *riscv, const uint64_t *words)
{
	if (!has_first_mode(riscv, words))
		return "FSC_MODE";
	return GET(RISCV_DC, SADE, words) && !RISCV_CAP_OF(riscv, AMO_HWAD) ? "SADE" : NULL;
}

/*
 * What a guest can't have: a second stage of its own would have to be walked behind the parent's; page requests and the place where
 * messages go are the host's; so are quality-of-service ids; tables are little-endian, in 64-bit schemes. NULL: none of that.
 */
static const char *not_given(const struct riscv_unit *riscv, const uint64_t *words)
{
	if (GET(RISCV_DC, G_MODE, words) != RISCV_G_BARE)
		return "G_MODE";
	if (GET(RISCV_DC, EN_ATS, words) && !RISCV_CAP_OF(riscv, ATS))
		return "EN_ATS";
	if (GET(RISCV_DC, EN_PRI, words))
		return "EN_PRI";
	if (GET(RISCV_DC, GADE, words) && !RISCV_CAP_OF(riscv, AMO_HWAD))
		return "GADE";
	if (GET(RISCV_DC, SBE, words))
		return "SBE";
	if (GET(RISCV_DC, SXL, words))
		return "SXL";
	if (GET(RISCV_DC, CUSTOM, words))
		return "CUSTOM";
	if (GET(RISCV_DC, RCID, words))
		return "RCID";
	if (GET(RISCV_DC, MCID, words))
		return "MCID";
	if (riscv->extended && GET(RISCV_DCX, MSI_MODE, words) != RISCV_MSI_OFF)
		return "MSI_MODE";
	return lacking(riscv, words);
}

/* Keeps what the guest may say of its first stage, and whether it lets its device's TLB be used. */
static void keep_first_stage(uint64_t *words)
{
	uint64_t kept[IOMMU_GUEST_ENTRY_WORDS] = { 0 };

	SET(RISCV_DC, EN_ATS, kept, ~0ull);
	SET(RISCV_DC, PDTV, kept, ~0ull);
	SET(RISCV_DC, DPE, kept, ~0ull);
	SET(RISCV_DC, SADE, kept, ~0ull);
	SET(RISCV_DC, FSC_MODE, kept, ~0ull);
	if (GET(RISCV_DC, FSC_MODE, words) != RISCV_S_BARE)
		SET(RISCV_DC, FSC_PPN, kept, ~0ull);
	if (!GET(RISCV_DC, PDTV, words))
		SET(RISCV_DC, PSCID, kept, ~0ull);
	for (unsigned i = 0; i < IOMMU_GUEST_ENTRY_WORDS; i++)
		words[i] &= kept[i];
}

static bool has_reserved_bits(const struct riscv_unit *riscv, const uint64_t *words)
{
	uint64_t used[IOMMU_GUEST_ENTRY_WORDS] = { 0 };

	if (riscv->extended) {
		RISCV_DCX_LIST(RISCV_DCX, LAYOUT_NAME_BITS)
	} else {
		RISCV_DC_LIST(RISCV_DC, LAYOUT_NAME_BITS)
	}
	return driver_beyond(words, used, IOMMU_GUEST_ENTRY_WORDS);
}

static int read_entry(struct iommu_unit *unit, struct iommu_guest_entry *entry)
{
	const struct riscv_unit *riscv = to_riscv_const(unit);
	uint64_t *words = entry->words;
	const char *field = NULL;

	if (GET(RISCV_DC, V, words)) {
		if (has_reserved_bits(riscv, words))
			return refuse_entry(entry, "reserved bits", -EINVAL);
		field = forbidden(words, riscv->extended);
		if (field)
			return refuse_entry(entry, field, -EINVAL);
		field = not_given(riscv, words);
		if (field)
			return refuse_entry(entry, field, -EOPNOTSUPP);
	}
	if (!GET(RISCV_DC, V, words)) {
		entry->kind = IOMMU_GUEST_BLOCKED;
	} else if (GET(RISCV_DC, PDTV, words) || GET(RISCV_DC, FSC_MODE, words) != RISCV_S_BARE) {
		entry->kind = IOMMU_GUEST_NESTED;
		keep_first_stage(words);
		return 0;
	} else {
		entry->kind = IOMMU_GUEST_BYPASS;
	}
	memset(words, 0, sizeof(entry->words));
	return 0;
}

/* The entry may have been read by another unit. */
static int check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *nested)
{
	(void)device;
	return lacking(to_riscv_const(unit), nested->guest) ? -EINVAL : 0;
}

static bool uses_devtlb(const struct iommu_domain *nested)
{
	return GET(RISCV_DC, EN_ATS, nested->guest);
}

/* ---- Commands ---- */

static int refuse(struct iommu_guest_command *command, const char *name, int err)
{
	return driver_refuse(&command->field, name, err);
}

static void about_devices(struct iommu_guest_command *command, uint32_t first, uint32_t last)
{
	command->about |= IOMMU_GUEST_DEVICE;
	command->first_rid = first;
	command->last_rid = last;
}

/* 3.1.1. In a guest's eyes there are host address spaces only. */
static int read_iotinval(const struct riscv_unit *riscv, struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;

	if (GET(RISCV_IOTINVAL, FUNC3, words) > RISCV_FUNC_IOTINVAL_GVMA)
		return refuse(command, "FUNC3", -EINVAL);
	/* They exist with the extensions only. */
	if (GET(RISCV_IOTINVAL, NL, words) && !RISCV_CAP_OF(riscv, NL))
		return refuse(command, "NL", -EINVAL);
	if (GET(RISCV_IOTINVAL, S, words) && !RISCV_CAP_OF(riscv, S))
		return refuse(command, "S", -EINVAL);
	if (GET(RISCV_IOTINVAL, FUNC3, words) == RISCV_FUNC_IOTINVAL_GVMA)
		return GET(RISCV_IOTINVAL, PSCV, words) ? refuse(command, "PSCV", -EINVAL) : refuse(command, "FUNC3", -EOPNOTSUPP);
	if (GET(RISCV_IOTINVAL, GV, words))
		return refuse(command, "GV", -EOPNOTSUPP);
	command->about = IOMMU_GUEST_TRANSLATIONS;
	return 0;
}

/* 3.1.3 */
static int read_iodir(const struct riscv_unit *riscv, struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;
	uint32_t did = (uint32_t)GET(RISCV_IODIR, DID, words);
	bool one = GET(RISCV_IODIR, DV, words);

	switch (GET(RISCV_IODIR, FUNC3, words)) {
	case RISCV_FUNC_IODIR_INVAL_DDT:
		if (GET(RISCV_IODIR, PID, words))
			return refuse(command, "PID", -EINVAL);
		command->about = IOMMU_GUEST_ENTRY;
		about_devices(command, one ? did : 0, one ? did : 0xffffff);
		return 0;
	case RISCV_FUNC_IODIR_INVAL_PDT:
		if (!one)
			return refuse(command, "DV", -EINVAL);
		if (!riscv_pasid_bits(riscv))
			return refuse(command, "FUNC3", -EOPNOTSUPP);
		if (GET(RISCV_IODIR, PID, words) >> riscv_pasid_bits(riscv))
			return refuse(command, "PID", -EINVAL);
		about_devices(command, did, did);
		return 0;
	default:
		return refuse(command, "FUNC3", -EINVAL);
	}
}

/* 3.1.4. Page requests don't come to guests, so there are none to answer. */
static int read_ats(const struct riscv_unit *riscv, struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;
	uint32_t did = (uint32_t)GET(RISCV_ATS_INVAL, RID, words);

	if (!RISCV_CAP_OF(riscv, ATS))
		return refuse(command, "OPCODE", -EOPNOTSUPP);
	if (GET(RISCV_ATS_INVAL, FUNC3, words) != RISCV_FUNC_ATS_INVAL)
		return refuse(command, "FUNC3", GET(RISCV_ATS_INVAL, FUNC3, words) == RISCV_FUNC_ATS_PRGR ? -EOPNOTSUPP : -EINVAL);
	if (GET(RISCV_ATS_INVAL, DSV, words))
		did |= (uint32_t)GET(RISCV_ATS_INVAL, DSEG, words) << 16;
	about_devices(command, did, did);
	return 0;
}

static void named_bits(uint64_t opcode, uint64_t *used)
{
	switch (opcode) {
	case RISCV_OP_IOTINVAL:
		RISCV_IOTINVAL_LIST(RISCV_IOTINVAL, LAYOUT_NAME_BITS)
		break;
	case RISCV_OP_IOFENCE:
		RISCV_IOFENCE_LIST(RISCV_IOFENCE, LAYOUT_NAME_BITS)
		break;
	case RISCV_OP_IODIR:
		RISCV_IODIR_LIST(RISCV_IODIR, LAYOUT_NAME_BITS)
		break;
	default:
		RISCV_ATS_INVAL_LIST(RISCV_ATS_INVAL, LAYOUT_NAME_BITS)
		break;
	}
}

static int classify(const struct riscv_unit *riscv, struct iommu_guest_command *command)
{
	switch (GET(RISCV_CMD, OPCODE, command->words)) {
	case RISCV_OP_IOTINVAL:
		return read_iotinval(riscv, command);
	case RISCV_OP_IOFENCE:
		return GET(RISCV_IOFENCE, FUNC3, command->words) == RISCV_FUNC_IOFENCE_C ? 0 : refuse(command, "FUNC3", -EINVAL);
	case RISCV_OP_IODIR:
		return read_iodir(riscv, command);
	default:
		return read_ats(riscv, command);
	}
}

static int read_command(struct iommu_unit *unit, struct iommu_guest_command *command)
{
	uint64_t opcode = GET(RISCV_CMD, OPCODE, command->words), named[IOMMU_GUEST_COMMAND_WORDS] = { 0 };

	if (opcode < RISCV_OP_IOTINVAL || opcode > RISCV_OP_ATS)
		return refuse(command, "OPCODE", opcode >= RISCV_OP_CUSTOM ? -EOPNOTSUPP : -EINVAL);
	named_bits(opcode, named);
	if (driver_beyond(command->words, named, IOMMU_GUEST_COMMAND_WORDS))
		return refuse(command, "reserved bits", -EINVAL);
	return classify(to_riscv_const(unit), command);
}

/* 8.3: a range whose address is all ones is one of which nothing is specified. */
static bool is_no_range(uint64_t sized, uint64_t page)
{
	return sized && page == (1ull << 52) - 1;
}

/* The same with the host's GSCID. */
static void forget(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag, uint32_t pasid,
		   const struct iommu_guest_command *command)
{
	uint64_t words[RISCV_CMD_WORDS];

	(void)unit;
	(void)pasid;
	memcpy(words, command->words, sizeof(words));
	SET(RISCV_IOTINVAL, GV, words, 1);
	SET(RISCV_IOTINVAL, GSCID, words, tag);
	if (is_no_range(GET(RISCV_IOTINVAL, S, words), GET(RISCV_IOTINVAL, ADDR, words)))
		SET(RISCV_IOTINVAL, AV, words, 0);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "iotinval", "guest", 0, words, RISCV_CMD_WORDS);
}

static void forget_device(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			  const struct iommu_guest_command *command)
{
	uint64_t words[RISCV_CMD_WORDS];

	(void)unit;
	switch (GET(RISCV_CMD, OPCODE, command->words)) {
	case RISCV_OP_ATS:
		for (unsigned i = 0; i < device->nrids && nested_devtlb_is_on(device); i++) {
			memcpy(words, command->words, sizeof(words));
			riscv_set_destination(words, device->rids[i] & 0xffffff);
			/* Everything, as PCI Express has it. */
			if (is_no_range(GET(RISCV_ATS_INVAL, S, words), GET(RISCV_ATS_INVAL, ADDR, words)))
				SET(RISCV_ATS_INVAL, ADDR, words, ~0ull >> 13);
			emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "ats-inval", "guest", 0, words, RISCV_CMD_WORDS);
		}
		return;
	default:
		for (unsigned i = 0; i < device->nrids; i++) {
			uint32_t did = device->rids[i] & 0xffffff;

			if (GET(RISCV_IODIR, FUNC3, command->words) == RISCV_FUNC_IODIR_INVAL_PDT)
				riscv_emit_inval_pdt(steps, did, (uint32_t)GET(RISCV_IODIR, PID, command->words));
			else
				riscv_emit_inval_ddt(steps, true, did);
		}
		return;
	}
}

#define NESTED_OPS(bytes) \
	{ \
		.entry_bytes = bytes, \
		.command_bytes = RISCV_CMD_WORDS * sizeof(uint64_t), \
		.parents_tag = true, \
		.read_entry = read_entry, \
		.check = check, \
		.uses_devtlb = uses_devtlb, \
		.read_command = read_command, \
		.forget = forget, \
		.forget_device = forget_device, \
	}

static const struct iommu_nested_ops base_ops = NESTED_OPS(RISCV_DC_WORDS * sizeof(uint64_t));
static const struct iommu_nested_ops extended_ops = NESTED_OPS(RISCV_DCX_WORDS * sizeof(uint64_t));

int riscv_enable_nesting(struct iommu_unit *unit)
{
	const struct riscv_unit *riscv = to_riscv_const(unit);

	if (!unit || (unit->ops->format != &riscv_dc && unit->ops->format != &riscv_dc_extended))
		return -EINVAL;
	/* A guest that reads the unit's capabilities takes it for one that snoops, and writes nothing back. */
	if (!riscv_has_stage(riscv, 1) || !riscv_has_stage(riscv, 2) || riscv_noncoherent(riscv))
		return -EOPNOTSUPP;
	unit->nested = riscv->extended ? &extended_ops : &base_ops;
	return 0;
}
