/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_nested.c - a guest's stream table entries and commands.
 *
 * The guest has an SMMUv3 with the unit's capabilities, but without a second stage (IDR0.S2P, HYP 0), stalls and page requests. Its whole
 * table of contexts becomes the first stage of an entry whose second stage is the parent (5.2, Config 0b111): that table, and the
 * page tables behind it, are read at intermediate addresses. Its ASIDs are as it chose them: lines have the parent's VMID besides, which
 * the guest doesn't see. StreamIDs are the guest's, and are replaced; SubstreamIDs are the same (4.3.7).
 */
#include "smmuv3_driver.h"

#include <string.h>

/* ---- Stream table entries ---- */

static int refuse_entry(struct iommu_guest_entry *entry, const char *name, int err)
{
	return driver_refuse(&entry->field, name, err);
}

/* A field that is reserved where the unit lacks what it is for, and not for guests where the unit has it. */
static int not_given(struct iommu_guest_entry *entry, const char *name, bool there)
{
	return refuse_entry(entry, name, there ? -EOPNOTSUPP : -EINVAL);
}

/*
 * Attributes of what passes are the incoming ones, and partitions are the host's. MTCFG counts where something may pass without a first
 * stage (13.1.4); SHCFG and ALLOCCFG there, CONT, DRE, DCP, PPAR and MEV are left to the host, whatever the guest says.
 */
static int check_attributes(const struct smmuv3_unit *smmu, struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;

	if (SMMUV3_IDR(smmu, 1, ATTR_PERMS_OVR) && GET(SMMU_STE, PRIVCFG, words) >= SMMU_OVERRIDE_CLEAR)
		return refuse_entry(entry, "PRIVCFG", -EOPNOTSUPP);
	if (SMMUV3_IDR(smmu, 1, ATTR_PERMS_OVR) && GET(SMMU_STE, INSTCFG, words) >= SMMU_OVERRIDE_CLEAR)
		return refuse_entry(entry, "INSTCFG", -EOPNOTSUPP);
	if (SMMUV3_IDR(smmu, 1, ATTR_TYPES_OVR) && GET(SMMU_STE, MTCFG, words) &&
	    (SMMU_STE_ATTRIBUTES >> smmu_ste_mode(words) & 1))
		return refuse_entry(entry, "MTCFG", -EOPNOTSUPP);
	if (GET(SMMU_STE, PARTID, words))
		return not_given(entry, "PARTID", SMMUV3_IDR(smmu, 3, MPAM));
	if (GET(SMMU_STE, PMG, words))
		return not_given(entry, "PMG", SMMUV3_IDR(smmu, 3, MPAM));
	return 0;
}

/* What 5.2 says of a first stage, as far as it isn't about the table of contexts. */
static int check_first_stage(const struct smmuv3_unit *smmu, struct iommu_guest_entry *entry)
{
	const uint64_t *words = entry->words;
	uint64_t eats = GET(SMMU_STE, EATS, words), strw = GET(SMMU_STE, STRW, words);

	if (strw)
		return not_given(entry, "STRW", SMMUV3_IDR(smmu, 0, HYP) && strw == SMMU_STRW_EL2);
	if (GET(SMMU_STE, S2VMID, words))
		return refuse_entry(entry, "S2VMID", -EOPNOTSUPP);
	if (GET(SMMU_STE, S1STALLD, words) && SMMUV3_IDR(smmu, 0, STALL_MODEL) != SMMU_STALL_BOTH)
		return refuse_entry(entry, "S1STALLD", -EINVAL);
	if (GET(SMMU_STE, S1PIE, words))
		return not_given(entry, "S1PIE", SMMUV3_IDR(smmu, 3, S1PI));
	if (GET(SMMU_STE, S1MPAM, words))
		return not_given(entry, "S1MPAM", SMMUV3_IDR(smmu, 3, MPAM));
	/* Split-stage ATS is illegal with one stage; DPT checks are none where there is no DPT. */
	if (SMMUV3_IDR(smmu, 0, ATS) && (eats == SMMU_EATS_SPLIT || (eats == SMMU_EATS_DPT && SMMUV3_IDR(smmu, 3, DPT))))
		return not_given(entry, "EATS", eats == SMMU_EATS_DPT);
	return 0;
}

/* 5.2, S1Fmt: log2 of the contexts in a leaf table; 0: there is one table. */
static unsigned leaf_bits(const uint64_t *words)
{
	switch (GET(SMMU_STE, S1CDMAX, words) ? GET(SMMU_STE, S1FMT, words) : SMMU_S1FMT_LINEAR) {
	case SMMU_S1FMT_4K:
		return SMMU_L1CD_4K_BITS;
	case SMMU_S1FMT_64K:
		return SMMU_L1CD_64K_BITS;
	default:
		return 0;
	}
}

/* Which table of contexts there may be on this unit. NULL: this one; or the field that is wrong. */
static const char *bad_contexts(const struct smmuv3_unit *smmu, const uint64_t *words)
{
	uint64_t pointer = GET_ADDR(SMMU_STE, S1CONTEXTPTR, words), bytes;
	unsigned bits = (unsigned)GET(SMMU_STE, S1CDMAX, words), leaf = leaf_bits(words);

	if (bits > smmu->ssid_bits)
		return "S1CDMAX";
	if (leaf && !SMMUV3_IDR(smmu, 0, CD2L))
		return "S1FMT";
	/* A table is aligned to its size, and to 64 bytes. */
	bytes = !leaf ? (uint64_t)SMMU_CD_BYTES << bits : bits > leaf ? sizeof(uint64_t) << (bits - leaf) : 0;
	if ((bytes && (pointer & (bytes - 1))) || pointer >> smmuv3_bits_of_size((unsigned)SMMUV3_IDR(smmu, 5, OAS)))
		return "S1CONTEXTPTR";
	return NULL;
}

/* Only what counts stays, and reserved values become those that they behave as (5.2). */
static void keep_first_stage(const struct smmuv3_unit *smmu, uint64_t *words)
{
	uint64_t kept[SMMU_STE_WORDS] = { 0 };
	bool table = GET(SMMU_STE, S1CDMAX, words);

	SET(SMMU_STE, V, kept, ~0ull);
	SET(SMMU_STE, CONFIG, kept, ~0ull);
	SET(SMMU_STE, S1FMT, kept, leaf_bits(words) ? ~0ull : 0);
	SET(SMMU_STE, S1CONTEXTPTR, kept, ~0ull);
	SET(SMMU_STE, S1CDMAX, kept, ~0ull);
	SET(SMMU_STE, S1DSS, kept, table && GET(SMMU_STE, S1DSS, words) <= SMMU_S1DSS_CD0 ? ~0ull : 0);
	SET(SMMU_STE, S1CIR, kept, ~0ull);
	SET(SMMU_STE, S1COR, kept, ~0ull);
	SET(SMMU_STE, S1CSH, kept, GET(SMMU_STE, S1CSH, words) >= SMMU_SH_OUTER ? ~0ull : 0);
	SET(SMMU_STE, EATS, kept, SMMUV3_IDR(smmu, 0, ATS) && GET(SMMU_STE, EATS, words) == SMMU_EATS_FULL ? ~0ull : 0);
	for (unsigned i = 0; i < SMMU_STE_WORDS; i++)
		words[i] &= kept[i];
}

static int read_first_stage(const struct smmuv3_unit *smmu, struct iommu_guest_entry *entry)
{
	const char *bad;
	int err = check_first_stage(smmu, entry);

	if (err)
		return err;
	/* Without SubstreamIDs there is one context, whatever S1CDMax says. */
	if (!smmu->ssid_bits)
		SET(SMMU_STE, S1CDMAX, entry->words, 0);
	bad = bad_contexts(smmu, entry->words);
	if (bad)
		return refuse_entry(entry, bad, -EINVAL);
	entry->kind = IOMMU_GUEST_NESTED;
	keep_first_stage(smmu, entry->words);
	return 0;
}

static int read_entry(struct iommu_unit *unit, struct iommu_guest_entry *entry)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	uint64_t *words = entry->words, used[SMMU_STE_WORDS] = { 0 }, config = GET(SMMU_STE, CONFIG, words);
	int err = 0;

	/* Of an entry that is not valid, or aborts, nothing else is looked at. */
	if (GET(SMMU_STE, V, words) && (config & SMMU_CONFIG_PASSES)) {
		SMMU_STE_LIST(SMMU_STE, LAYOUT_NAME_BITS)
		if (driver_beyond(words, used, SMMU_STE_WORDS))
			return refuse_entry(entry, "reserved bits", -EINVAL);
		/* A guest's own second stage would have to be walked behind the parent's: no hardware does that. */
		if (config & SMMU_CONFIG_HAS_S2)
			return refuse_entry(entry, "CONFIG", -EOPNOTSUPP);
		err = check_attributes(smmu, entry);
		if (err || config == SMMU_CONFIG_S1)
			return err ? err : read_first_stage(smmu, entry);
		entry->kind = IOMMU_GUEST_BYPASS;
	} else {
		entry->kind = IOMMU_GUEST_BLOCKED;
	}
	memset(entry->words, 0, sizeof(entry->words));
	return 0;
}

static int check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *nested)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);

	(void)device;
	return SMMUV3_IDR(smmu, 0, S1P) && !bad_contexts(smmu, nested->guest) ? 0 : -EINVAL;
}

/* A guest that does not know of it would not invalidate it. */
static bool uses_devtlb(const struct iommu_domain *nested)
{
	return GET(SMMU_STE, EATS, nested->guest) == SMMU_EATS_FULL;
}

/* ---- Commands ---- */

static unsigned opcode_of(const uint64_t *words)
{
	return (unsigned)GET(SMMU_CMD, OPCODE, words);
}

/* What the command is about. NULL, or the field that is wrong. */
static const char *classify(const struct smmuv3_unit *smmu, struct iommu_guest_command *command)
{
	const uint64_t *words = command->words;
	uint64_t range;

	switch (opcode_of(words)) {
	case SMMU_CMD_PREFETCH_CONFIG:
	case SMMU_CMD_PREFETCH_ADDR:
		return GET(SMMU_CMD_PREFETCH_CONFIG, SSEC, words) ? "SSEC" : NULL;
	case SMMU_CMD_SYNC:
		return GET(SMMU_CMD_SYNC, CS, words) == SMMU_CS_RESERVED ? "CS" : NULL;
	case SMMU_CMD_CFGI_STE:
		/* With the entry goes what was cached of contexts through it (4.3.1), whether or not there is another entry now. */
		command->about = IOMMU_GUEST_ENTRY | IOMMU_GUEST_DEVICE;
		break;
	case SMMU_CMD_CFGI_STE_RANGE:
		command->about = IOMMU_GUEST_ENTRY | IOMMU_GUEST_DEVICE;
		range = (2ull << GET(SMMU_CMD_CFGI_STE_RANGE, RANGE, words)) - 1;
		command->first_rid = (uint32_t)(GET(SMMU_CMD_CFGI_STE_RANGE, SID, words) & ~range);
		command->last_rid = (uint32_t)(command->first_rid | range);
		return GET(SMMU_CMD_CFGI_STE_RANGE, SSEC, words) ? "SSEC" : NULL;
	case SMMU_CMD_CFGI_CD:
		command->about = IOMMU_GUEST_DEVICE;
		if (GET(SMMU_CMD_CFGI_CD, SSID, words) >> smmu->ssid_bits)
			return "SSID";
		break;
	case SMMU_CMD_CFGI_CD_ALL:
		command->about = IOMMU_GUEST_DEVICE;
		break;
	case SMMU_CMD_ATC_INV:
		command->about = IOMMU_GUEST_DEVICE;
		command->first_rid = command->last_rid = (uint32_t)GET(SMMU_CMD_ATC_INV, SID, words);
		if (!SMMUV3_IDR(smmu, 0, ATS))
			return "OPCODE";
		return GET(SMMU_CMD_ATC_INV, SIZE, words) > SMMU_ATC_SIZE_ALL ? "SIZE" : NULL;
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_NSNH_ALL:
		command->about = IOMMU_GUEST_TRANSLATIONS;
		return NULL;
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
		command->about = IOMMU_GUEST_TRANSLATIONS;
		return smmuv3_bad_range(smmu, words);
	default:
		/* Of a second stage, EL2, page requests and stalls too, which the guest's unit has not. */
		return "OPCODE";
	}
	command->first_rid = command->last_rid = (uint32_t)GET(SMMU_CMD_CFGI_STE, SID, words);
	return GET(SMMU_CMD_CFGI_STE, SSEC, words) ? "SSEC" : NULL;
}

/* 4.4.2: the guest's unit has no VMIDs, and an ASID is reserved where the command does not go by it. */
static const char *bad_tag(const struct smmuv3_unit *smmu, const uint64_t *words)
{
	uint64_t asid = GET(SMMU_CMD_TLBI, ASID, words);

	if (GET(SMMU_CMD_TLBI, VMID, words))
		return "VMID";
	if (asid && (!(smmu_tlbi_mode(words) & SMMU_TLBI_ASID) || (asid >> 8 && !SMMUV3_IDR(smmu, 0, ASID16))))
		return "ASID";
	return NULL;
}

static void named_bits(unsigned opcode, uint64_t *used)
{
	switch (opcode) {
	case SMMU_CMD_PREFETCH_CONFIG:
		SMMU_CMD_PREFETCH_CONFIG_LIST(SMMU_CMD_PREFETCH_CONFIG, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_PREFETCH_ADDR:
		SMMU_CMD_PREFETCH_ADDR_LIST(SMMU_CMD_PREFETCH_ADDR, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_CFGI_STE:
		SMMU_CMD_CFGI_STE_LIST(SMMU_CMD_CFGI_STE, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_CFGI_STE_RANGE:
		SMMU_CMD_CFGI_STE_RANGE_LIST(SMMU_CMD_CFGI_STE_RANGE, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_CFGI_CD:
		SMMU_CMD_CFGI_CD_LIST(SMMU_CMD_CFGI_CD, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_CFGI_CD_ALL:
		SMMU_CMD_CFGI_CD_ALL_LIST(SMMU_CMD_CFGI_CD_ALL, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_ATC_INV:
		SMMU_CMD_ATC_INV_LIST(SMMU_CMD_ATC_INV, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
		SMMU_CMD_TLBI_VA_LIST(SMMU_CMD_TLBI_VA, LAYOUT_NAME_BITS)
		break;
	case SMMU_CMD_SYNC:
		SMMU_CMD_SYNC_LIST(SMMU_CMD_SYNC, LAYOUT_NAME_BITS)
		break;
	default: /* the other TLB invalidations */
		SMMU_CMD_TLBI_LIST(SMMU_CMD_TLBI, LAYOUT_NAME_BITS)
		break;
	}
}

static int read_command(struct iommu_unit *unit, struct iommu_guest_command *command)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	uint64_t named[IOMMU_GUEST_COMMAND_WORDS] = { 0 };
	const char *bad = classify(smmu, command);

	if (!bad && (command->about & IOMMU_GUEST_TRANSLATIONS))
		bad = bad_tag(smmu, command->words);
	named_bits(opcode_of(command->words), named);
	if (!bad && driver_beyond(command->words, named, IOMMU_GUEST_COMMAND_WORDS))
		bad = "reserved bits";
	return bad ? driver_refuse(&command->field, bad, -EINVAL) : 0;
}

/* The guest's translations all have the host's VMID, and nobody else's have: "all" is all of those. */
static void forget(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag, uint32_t pasid,
		   const struct iommu_guest_command *command)
{
	uint64_t words[SMMU_CMD_WORDS] = { command->words[0], command->words[1] };
	const char *structure = "tlbi", *scope = "nh-all";

	(void)unit;
	(void)pasid;
	switch (opcode_of(words)) {
	case SMMU_CMD_TLBI_NSNH_ALL:
		SET(SMMU_CMD, OPCODE, words, SMMU_CMD_TLBI_NH_ALL);
		break;
	case SMMU_CMD_TLBI_NH_ASID:
		scope = "nh-asid";
		break;
	case SMMU_CMD_TLBI_NH_VA:
		structure = "tlbi-va";
		scope = "nh-va";
		break;
	case SMMU_CMD_TLBI_NH_VAA:
		structure = "tlbi-va";
		scope = "nh-vaa";
		break;
	default:
		break;
	}
	SET(SMMU_CMD_TLBI, VMID, words, tag);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, structure, scope, 0, words, SMMU_CMD_WORDS);
}

/* 3.9.1: never less than the smallest translation unit. A device without PASIDs is not sent any. */
static void invalidate_tlb(const struct smmuv3_unit *smmu, const struct iommu_device *device, uint64_t *words)
{
	if (GET(SMMU_CMD_ATC_INV, SIZE, words) < smmu->smallest_shift - 12)
		SET(SMMU_CMD_ATC_INV, SIZE, words, smmu->smallest_shift - 12);
	if (!device->pasid_bits) {
		SET(SMMU_CMD_ATC_INV, SSV, words, 0);
		SET(SMMU_CMD_ATC_INV, SSID, words, 0);
		SET(SMMU_CMD_ATC_INV, GLOBAL, words, 0);
	}
}

static void forget_device(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			  const struct iommu_guest_command *command)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);

	for (unsigned rid = 0; rid < device->nrids; rid++) {
		uint64_t words[SMMU_CMD_WORDS] = { command->words[0], command->words[1] };

		switch (opcode_of(words)) {
		case SMMU_CMD_ATC_INV:
			if (!nested_devtlb_is_on(device))
				continue;
			invalidate_tlb(smmu, device, words);
			SET(SMMU_CMD_ATC_INV, SID, words, device->rids[rid]);
			emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "atc-inv", "range", 0, words, SMMU_CMD_WORDS);
			break;
		case SMMU_CMD_CFGI_CD:
			SET(SMMU_CMD_CFGI_CD, SID, words, device->rids[rid]);
			emit_invalidate(steps, IOMMU_CACHE_CD, "cfgi-cd", "leaf", 0, words, SMMU_CMD_WORDS);
			break;
		default:
			smmuv3_emit_cfgi_cd_all(steps, device->rids[rid]);
			break;
		}
	}
}

static const struct iommu_nested_ops nested_ops = {
	.entry_bytes = SMMU_STE_BYTES,
	.command_bytes = SMMU_CMD_BYTES,
	.parents_tag = true,
	.read_entry = read_entry,
	.check = check,
	.uses_devtlb = uses_devtlb,
	.read_command = read_command,
	.forget = forget,
	.forget_device = forget_device,
};

int smmuv3_enable_nesting(struct iommu_unit *unit)
{
	if (!unit || unit->ops->format != &smmuv3_ste)
		return -EINVAL;
	if (!SMMUV3_IDR(to_smmuv3(unit), 0, S1P) || !SMMUV3_IDR(to_smmuv3(unit), 0, S2P))
		return -EOPNOTSUPP;
	unit->nested = &nested_ops;
	return 0;
}
