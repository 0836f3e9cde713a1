/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_entry.c - SMMUv3's live entries as the planner sees them, and the invalidations that follow a change of each.
 *
 * Duties: 4.3 configuration structures, 4.4 page tables, 3.9 ATS, 3.21 what a command with its CMD_SYNC waits for.
 */
#include "smmuv3_driver.h"

/* ---- Commands ---- */

/* 4.3.1: also drops all context descriptors that were reached through the entry. With `leaf`, not what points to its table. */
static void emit_cfgi_ste(struct entry_steps *steps, uint32_t sid, bool leaf)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_CFGI_STE, OPCODE, command, SMMU_CMD_CFGI_STE);
	SET(SMMU_CMD_CFGI_STE, SID, command, sid);
	SET(SMMU_CMD_CFGI_STE, LEAF, command, leaf);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "cfgi-ste", leaf ? "leaf" : "all-levels", 0, command, SMMU_CMD_WORDS);
}

/* 4.3.2: 2^order StreamIDs, what points to them, and what they point to. 32: all (4.3.6). */
static void emit_cfgi_ste_range(struct entry_steps *steps, uint32_t sid, unsigned order)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_CFGI_STE_RANGE, OPCODE, command, SMMU_CMD_CFGI_STE_RANGE);
	SET(SMMU_CMD_CFGI_STE_RANGE, SID, command, order == 32 ? 0 : sid & ~((1u << order) - 1));
	SET(SMMU_CMD_CFGI_STE_RANGE, RANGE, command, order - 1);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "cfgi-ste-range", order == 32 ? "all" : "range", order == 32 ? 2 : 1, command,
			SMMU_CMD_WORDS);
}

/* 4.3.3: one context descriptor. */
static void emit_cfgi_cd(struct entry_steps *steps, uint32_t sid, uint32_t ssid)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_CFGI_CD, OPCODE, command, SMMU_CMD_CFGI_CD);
	SET(SMMU_CMD_CFGI_CD, SSID, command, ssid);
	SET(SMMU_CMD_CFGI_CD, SID, command, sid);
	SET(SMMU_CMD_CFGI_CD, LEAF, command, 1);
	emit_invalidate(steps, IOMMU_CACHE_CD, "cfgi-cd", "leaf", 0, command, SMMU_CMD_WORDS);
}

/* 4.3.4: all of a stream's, and what points to them. */
void smmuv3_emit_cfgi_cd_all(struct entry_steps *steps, uint32_t sid)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_CFGI_CD_ALL, OPCODE, command, SMMU_CMD_CFGI_CD_ALL);
	SET(SMMU_CMD_CFGI_CD_ALL, SID, command, sid);
	emit_invalidate(steps, IOMMU_CACHE_CD, "cfgi-cd-all", "all", 0, command, SMMU_CMD_WORDS);
}

/* 4.4.2, 4.4.4: a whole tag, or everything. */
static void emit_tlbi(struct entry_steps *steps, unsigned opcode, const char *scope, uint32_t vmid, uint32_t asid)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_TLBI, OPCODE, command, opcode);
	SET(SMMU_CMD_TLBI, VMID, command, vmid);
	SET(SMMU_CMD_TLBI, ASID, command, asid);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "tlbi", scope, opcode == SMMU_CMD_TLBI_NH_ASID || opcode == SMMU_CMD_TLBI_S12_VMALL ? 0 : 2,
			command, SMMU_CMD_WORDS);
}

/* 4.5.1: everything that was asked for with a PASID, whichever it was. Whether requests without one reach that, it doesn't say. */
static void emit_atc_inv_global(struct entry_steps *steps, uint32_t sid)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_ATC_INV, OPCODE, command, SMMU_CMD_ATC_INV);
	SET(SMMU_CMD_ATC_INV, SID, command, sid);
	SET(SMMU_CMD_ATC_INV, SSV, command, 1);
	SET(SMMU_CMD_ATC_INV, GLOBAL, command, 1);
	SET(SMMU_CMD_ATC_INV, SIZE, command, SMMU_ATC_SIZE_ALL);
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "atc-inv", "global", 0, command, SMMU_CMD_WORDS);
}

/* 4.5.1, and PCI Express, ATS: 2^order pages of 4 KiB from an address aligned to that. */
static void emit_atc_inv(struct entry_steps *steps, uint32_t sid, uint32_t ssid, uint64_t addr, unsigned order)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_ATC_INV, OPCODE, command, SMMU_CMD_ATC_INV);
	SET(SMMU_CMD_ATC_INV, SID, command, sid);
	if (ssid != IOMMU_NO_PASID) {
		SET(SMMU_CMD_ATC_INV, SSV, command, 1);
		SET(SMMU_CMD_ATC_INV, SSID, command, ssid);
	}
	SET(SMMU_CMD_ATC_INV, SIZE, command, order);
	SET_ADDR(SMMU_CMD_ATC_INV, ADDR, command, addr);
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "atc-inv", order >= SMMU_ATC_SIZE_ALL ? "all" : "range", 0, command,
			SMMU_CMD_WORDS);
}

/* What is cached of page tables while an entry had `tag`. */
static void emit_tlbi_tag(struct entry_steps *steps, uint32_t tag)
{
	if (tag & SMMUV3_TAG_VMID)
		emit_tlbi(steps, SMMU_CMD_TLBI_S12_VMALL, "s12-vmall", tag & ~SMMUV3_TAG_VMID, 0);
	else
		emit_tlbi(steps, SMMU_CMD_TLBI_NH_ASID, "nh-asid", 0, tag);
}

/* ---- Stream table entry (5.2) ---- */

static void ste_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << smmu_ste_mode(entry);

	SMMU_STE_LIST(SMMU_STE, LAYOUT_USE)
}

static void ste_named(uint64_t *used)
{
	SMMU_STE_LIST(SMMU_STE, LAYOUT_NAME_BITS)
}

static bool ste_in(const uint64_t *entry, uint32_t modes)
{
	return modes >> smmu_ste_mode(entry) & 1;
}

/* The tables whose lines have ste_tag(): under a VMID the second stage's. */
static void ste_tables(const uint64_t *entry, uint64_t *tables)
{
	if (ste_in(entry, SMMU_STE_S2)) {
		SET(SMMU_STE, S2TTB, tables, ~0ull);
		SET(SMMU_STE, S2T0SZ, tables, ~0ull);
		SET(SMMU_STE, S2SL0, tables, ~0ull);
		SET(SMMU_STE, S2TG, tables, ~0ull);
	} else if (ste_in(entry, SMMU_STE_S1)) {
		SET(SMMU_STE, S1CONTEXTPTR, tables, ~0ull);
	}
}

/* The ASID is in the context descriptor. */
static uint32_t ste_tag(const uint64_t *entry)
{
	if (ste_in(entry, SMMU_STE_S2))
		return (uint32_t)GET(SMMU_STE, S2VMID, entry) | SMMUV3_TAG_VMID;
	return ste_in(entry, SMMU_STE_S1) ? ENTRY_TAG_ELSEWHERE : ENTRY_NO_TAG;
}

static void ste_set_tag(uint64_t *entry, uint32_t tag)
{
	if (ste_in(entry, SMMU_STE_S2))
		SET(SMMU_STE, S2VMID, entry, tag & ~SMMUV3_TAG_VMID);
}

static bool ste_ats(const uint64_t *entry)
{
	return ste_in(entry, SMMU_STE_TRANSLATE) && GET(SMMU_STE, EATS, entry) != SMMU_EATS_NONE;
}

/* MEV only says whether events may be merged, which hardware may also do without (5.2). */
static void ste_safe(const uint64_t *before, const uint64_t *after, uint64_t *safe)
{
	(void)before;
	(void)after;
	SET(SMMU_STE, MEV, safe, 1);
}

/* Not valid: then nothing else is looked at. */
static void block(const uint64_t *entry, uint64_t *blocked)
{
	(void)entry;
	(void)blocked; /* zeroed by the caller */
}

/* 3.20.1, 3.3: never. */
static bool tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	(void)before;
	(void)after;
	return false;
}

/* Which requests context 0 is for: S1DSS, or those without SubstreamID where there is only one context. */
static uint64_t context_0_users(const uint64_t *entry)
{
	return ste_in(entry, SMMU_STE_TABLE) ? GET(SMMU_STE, S1DSS, entry) : SMMU_S1DSS_CD0;
}

/* Would a context of one table, or a pointer on the way to one, stand for another one in the other? */
static bool indexes_differ(const uint64_t *before, const uint64_t *after)
{
	uint64_t old = context_0_users(before), new = context_0_users(after);

	if (ste_in(before, SMMU_STE_TABLE) && ste_in(after, SMMU_STE_TABLE) && GET(SMMU_STE, S1FMT, before) && GET(SMMU_STE, S1FMT, after) &&
	    GET(SMMU_STE, S1FMT, before) != GET(SMMU_STE, S1FMT, after))
		return true;
	return GET_ADDR(SMMU_STE, S1CONTEXTPTR, before) != GET_ADDR(SMMU_STE, S1CONTEXTPTR, after) && old != new &&
	       (old == SMMU_S1DSS_CD0 || new == SMMU_S1DSS_CD0);
}

/*
 * 16.2: context descriptors may be cached by StreamID and SubstreamID: one of the old table may be found when the new entry has been read.
 * With another second stage it leads elsewhere: without one, a guest's tables would be walked in the host's memory. NULL: it does no harm.
 */
static const char *ste_why(unsigned facts, const uint64_t *before, const uint64_t *after)
{
	/* Else the table counts only where requests without SubstreamID use it. */
	uint32_t contexts = facts & IOMMU_PLAN_BEHIND ? SMMU_STE_S1 : SMMU_STE_S1 & ~SMMU_STE_TABLE_BYPASS;
	bool second = ste_in(before, SMMU_STE_S2);

	if (!ste_in(before, contexts) || !ste_in(after, contexts))
		return NULL;
	if ((facts & IOMMU_PLAN_ONE_TO_ONE) &&
	    GET_ADDR(SMMU_STE, S1CONTEXTPTR, before) == GET_ADDR(SMMU_STE, S1CONTEXTPTR, after))
		return NULL;
	if (second != ste_in(after, SMMU_STE_S2) || (second && GET(SMMU_STE, S2TTB, before) != GET(SMMU_STE, S2TTB, after)))
		return "a cached context descriptor may meet the other second stage (16.2)";
	if ((facts & IOMMU_PLAN_BEHIND) && indexes_differ(before, after))
		return "a cached context descriptor may be taken for another one (16.2)";
	return NULL;
}

static bool ste_behind_mixes(unsigned facts, const uint64_t *before, const uint64_t *after)
{
	return ste_why(facts, before, after) != NULL;
}

static unsigned l1std_pointer(uint64_t page, uint64_t *words)
{
	SET(SMMU_L1STD, SPAN, words, SMMU_SPLIT_4K + 1);
	SET_ADDR(SMMU_L1STD, L2PTR, words, page);
	return 1;
}

/* What is not valid may be cached too (3.21.3). */
static void ste_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	(void)stale;
	(void)fetches;
	emit_cfgi_ste(steps, change->request.rid, true);
}

/* Neighbours may hold the old descriptor. In a plan that was only asked for, the table is as small as they come. */
static void ste_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	unsigned order = SMMU_SPLIT_4K;

	while (change->table && (size_t)SMMU_STE_BYTES << order < change->table->bytes)
		order++;
	emit_cfgi_ste_range(steps, change->request.rid, order);
}

/* Transactions that passed without translation are done when the entry's own invalidation is (3.21.3). */
static void ste_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				    uint32_t tag)
{
	(void)change;
	(void)stale;
	if (tag != ENTRY_NO_TAG)
		emit_tlbi_tag(steps, tag);
}

/* All that the device has. With PASIDs it has only what a guest's table of contexts gave it: each of ours has been forgotten when its own
 * descriptor was changed. */
static void ste_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	emit_atc_inv(steps, change->request.rid, IOMMU_NO_PASID, 0, SMMU_ATC_SIZE_ALL);
	if ((change->request.facts & IOMMU_PLAN_GUEST_PASIDS) && ste_in(change->request.before, SMMU_STE_NESTED))
		emit_atc_inv_global(steps, change->request.rid);
}

const struct entry_format smmuv3_ste = {
	.name = "ste",
	.parent = "l1std",
	.words = SMMU_STE_WORDS,
	.ats_off_first = true,
	.used = ste_used,
	.named = ste_named,
	.tables = ste_tables,
	.safe = ste_safe,
	.tag = ste_tag,
	.set_tag = ste_set_tag,
	.ats = ste_ats,
	.block = block,
	.behind_mixes = ste_behind_mixes,
	.why = ste_why,
	.tables_may_mix = tables_may_mix,
	.pointer = l1std_pointer,
	.forget_entry = ste_forget_entry,
	.forget_table = ste_forget_table,
	.forget_translations = ste_forget_translations,
	.forget_devtlb = ste_forget_devtlb,
};

/* ---- Context descriptor (5.4), of a stream without a second stage ---- */

static void cd_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << smmu_cd_mode(entry);

	SMMU_CD_LIST(SMMU_CD, LAYOUT_USE)
}

static void cd_named(uint64_t *used)
{
	SMMU_CD_LIST(SMMU_CD, LAYOUT_NAME_BITS)
}

static void cd_tables(const uint64_t *entry, uint64_t *tables)
{
	uint32_t modes = 1u << smmu_cd_mode(entry);

	if (modes & SMMU_CD_TTB0) {
		SET(SMMU_CD, TTB0, tables, ~0ull);
		SET(SMMU_CD, T0SZ, tables, ~0ull);
		SET(SMMU_CD, TG0, tables, ~0ull);
	}
	if (modes & SMMU_CD_TTB1) {
		SET(SMMU_CD, TTB1, tables, ~0ull);
		SET(SMMU_CD, T1SZ, tables, ~0ull);
		SET(SMMU_CD, TG1, tables, ~0ull);
	}
}

static bool cd_walks(const uint64_t *entry)
{
	return (1u << smmu_cd_mode(entry)) & SMMU_CD_ANY;
}

static uint32_t cd_tag(const uint64_t *entry)
{
	return cd_walks(entry) ? (uint32_t)GET(SMMU_CD, ASID, entry) : ENTRY_NO_TAG;
}

static void cd_set_tag(uint64_t *entry, uint32_t tag)
{
	SET(SMMU_CD, ASID, entry, tag);
}

/* The stream table entry allows the device TLB, for whatever the descriptor says. */
static bool cd_ats(const uint64_t *entry)
{
	return GET(SMMU_CD, V, entry);
}

/* The first word of the stream table entry. How many descriptors there are, the table says (entry_table.pointer_bits). */
static unsigned ste_pointer(uint64_t page, uint64_t *words)
{
	SET(SMMU_STE, V, words, 1);
	SET(SMMU_STE, CONFIG, words, SMMU_CONFIG_S1);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, words, page);
	return 1;
}

static unsigned l1cd_pointer(uint64_t page, uint64_t *words)
{
	SET(SMMU_L1CD, V, words, 1);
	SET_ADDR(SMMU_L1CD, L2PTR, words, page);
	return 1;
}

static void cd_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	(void)stale;
	(void)fetches;
	emit_cfgi_cd(steps, change->request.rid, change->request.pasid);
}

/* The pointer to a linear table is in the stream table entry: that goes, and all descriptors with it (4.3.1). */
static void cd_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	emit_cfgi_ste(steps, change->request.rid, true);
}

static void cd_2level_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	smmuv3_emit_cfgi_cd_all(steps, change->request.rid);
}

static void cd_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				   uint32_t tag)
{
	(void)change;
	if (cd_walks(stale))
		emit_tlbi_tag(steps, tag);
}

/* Descriptor 0 is for requests without PASID: those are invalidated without one. */
static void cd_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	uint32_t ssid = change->request.pasid;

	emit_atc_inv(steps, change->request.rid, ssid ? ssid : IOMMU_NO_PASID, 0, SMMU_ATC_SIZE_ALL);
}

#define CD_FORMAT(parent_name, pointer_function, forget_table_function) \
	{ \
		.name = "cd", \
		.parent = parent_name, \
		.words = SMMU_CD_WORDS, \
		.used = cd_used, \
		.named = cd_named, \
		.tables = cd_tables, \
		.tag = cd_tag, \
		.set_tag = cd_set_tag, \
		.ats = cd_ats, \
		.block = block, \
		.tables_may_mix = tables_may_mix, \
		.pointer = pointer_function, \
		.forget_entry = cd_forget_entry, \
		.forget_table = forget_table_function, \
		.forget_translations = cd_forget_translations, \
		.forget_devtlb = cd_forget_devtlb, \
	}

const struct entry_format smmuv3_cd = CD_FORMAT("ste", ste_pointer, cd_forget_table);
const struct entry_format smmuv3_cd_2level = CD_FORMAT("l1cd", l1cd_pointer, cd_2level_forget_table);

/* ---- Ranges ---- */

/* As many addresses are worth a command each. */
#define MAX_SINGLE_PAGES 4

/* 4.4.2.4, 4.4.3.1: one address, or (NUM + 1) * 2^SCALE granules from it on. */
static void emit_tlbi_address(struct entry_steps *steps, const struct smmuv3_unit *smmu, bool second, uint32_t tag, uint64_t addr,
			      unsigned num, unsigned scale, bool leaf)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_TLBI_VA, OPCODE, command, second ? SMMU_CMD_TLBI_S2_IPA : SMMU_CMD_TLBI_NH_VA);
	if (second) {
		SET(SMMU_CMD_TLBI_IPA, VMID, command, tag);
		SET_ADDR(SMMU_CMD_TLBI_IPA, ADDR, command, addr);
	} else {
		SET(SMMU_CMD_TLBI_VA, ASID, command, tag);
		SET_ADDR(SMMU_CMD_TLBI_VA, ADDR, command, addr);
	}
	SET(SMMU_CMD_TLBI_VA, LEAF, command, leaf);
	/* A range of one granule without a level is reserved: that is a single address. */
	if (num || scale) {
		SET(SMMU_CMD_TLBI_VA, NUM, command, num);
		SET(SMMU_CMD_TLBI_VA, SCALE, command, scale);
		/* 1, 2, 3: 4K, 16K, 64K */
		SET(SMMU_CMD_TLBI_VA, TG, command, (smmu->page_shift - 10) / 2);
	}
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, second ? "tlbi-ipa" : "tlbi-va", second ? "s2-ipa" : "nh-va", 0, command,
			SMMU_CMD_WORDS);
}

static void forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			 uint64_t first, uint64_t last, bool leaf)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	uint64_t pages = ((last - first) >> smmu->page_shift) + 1;
	bool second = domain->stage == 2;
	unsigned scale = 0;

	if (SMMUV3_IDR(smmu, 3, RIL) && pages > 1) {
		/* One command; it may reach a little beyond. */
		while ((pages - 1) >> scale > SMMU_TLBI_MAX_NUM)
			scale++;
		emit_tlbi_address(steps, smmu, second, tag, first, (unsigned)((pages - 1) >> scale), scale, leaf);
	} else if (pages <= MAX_SINGLE_PAGES) {
		for (uint64_t page = 0; page < pages; page++)
			emit_tlbi_address(steps, smmu, second, tag, first + (page << smmu->page_shift), 0, 0, leaf);
	} else {
		emit_tlbi_tag(steps, second ? tag | SMMUV3_TAG_VMID : tag);
	}
}

void smmuv3_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			 uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent)
{
	(void)pasid; /* no part of a tag */
	/* What is not valid is never cached (3.21.1). */
	if (absent)
		return;
	/* 4.4.3.1: an invalidation by IPA need not reach lines that a guest's first stage is combined in, which are by its addresses. */
	if (domain->nested)
		emit_tlbi_tag(steps, tag | SMMUV3_TAG_VMID);
	else
		forget_range(unit, steps, domain, tag, first, last, leaf);
}

void smmuv3_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
				uint32_t pasid, uint64_t first, uint64_t last)
{
	unsigned order = 0;

	(void)unit;
	/* The smallest naturally aligned power of two of pages that holds [first, last]. */
	while (order < SMMU_ATC_SIZE_ALL && (first >> (order + 12)) != (last >> (order + 12)))
		order++;
	for (unsigned i = 0; i < device->nrids; i++) {
		emit_atc_inv(steps, device->rids[i], pasid, order == SMMU_ATC_SIZE_ALL ? 0 : first >> (order + 12) << (order + 12),
			     order);
		/* All of it is also what a guest's own PASIDs have. */
		if (order == SMMU_ATC_SIZE_ALL && pasid == IOMMU_NO_PASID && device->pasid_bits)
			emit_atc_inv_global(steps, device->rids[i]);
	}
}

/* 4.3.6: configuration first, or page tables could be cached again through what it had. */
void smmuv3_forget_all(const struct smmuv3_unit *smmu, struct entry_steps *steps)
{
	emit_cfgi_ste_range(steps, 0, 32);
	emit_wait(steps, false);
	if (SMMUV3_IDR(smmu, 0, HYP))
		emit_tlbi(steps, SMMU_CMD_TLBI_EL2_ALL, "el2-all", 0, 0);
	emit_tlbi(steps, SMMU_CMD_TLBI_NSNH_ALL, "nsnh-all", 0, 0);
	emit_wait(steps, true);
}

void smmuv3_forget_streams(struct entry_steps *steps, uint32_t sid, unsigned split)
{
	emit_cfgi_ste_range(steps, sid, split);
	emit_wait(steps, true);
}

void smmuv3_forget_cds(struct entry_steps *steps, uint32_t sid)
{
	smmuv3_emit_cfgi_cd_all(steps, sid);
	emit_wait(steps, true);
}
