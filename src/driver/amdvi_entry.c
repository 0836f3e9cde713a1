/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_entry.c - AMD-Vi's live entries as the planner sees them, and the invalidations that follow a change of them.
 *
 * The DTE has all about translation in its lower 128 bits (DomainID, both table roots, modes) but for GuestPagingMode, which
 * lies in the upper half, among the interrupt fields. So with 128-bit stores every change is one store, or a store of the upper
 * half before or after it; only between two guest tables of different depth both halves must flip.
 *
 * A GCR3 entry is one word, and every change of it one store. Its tag is the DomainID of the DTE and the PASID that led to it,
 * so the old and the new table are under one tag until the invalidation is done.
 */
#include "amdvi_driver.h"

static void invalidate_dte(struct entry_steps *steps, uint32_t rid)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_DTE, OPCODE, command, AMDVI_CMD_DTE);
	SET(AMDVI_CMD_DTE, DEVICE_ID, command, rid);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "invalidate-devtab-entry", "device", 0, command, 2);
}

/* S and the lowest zero bit say how large a range is. */
static uint64_t range_address(uint64_t addr, unsigned order)
{
	if (order >= AMDVI_WHOLE)
		return AMDVI_ALL_ADDRESSES;
	return order ? addr | ((1ull << (order + 11)) - 1) : addr;
}

void amdvi_invalidate_pages(struct entry_steps *steps, uint32_t did, bool guest, uint32_t pasid, uint64_t addr, unsigned order,
			    bool leaf)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_PAGES, OPCODE, command, AMDVI_CMD_PAGES);
	SET(AMDVI_CMD_PAGES, DOMAIN_ID, command, did);
	SET(AMDVI_CMD_PAGES, GN, command, guest);
	SET(AMDVI_CMD_PAGES, PASID, command, guest ? pasid : 0);
	SET(AMDVI_CMD_PAGES, PDE, command, !leaf);
	SET(AMDVI_CMD_PAGES, S, command, order != 0);
	SET_ADDR(AMDVI_CMD_PAGES, ADDR, command, range_address(addr, order));
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "invalidate-iommu-pages", order >= AMDVI_WHOLE ? "domain" : "range", 0, command,
			2);
}

void amdvi_invalidate_all(struct entry_steps *steps)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_ALL, OPCODE, command, AMDVI_CMD_ALL);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "invalidate-iommu-all", "unit", 2, command, 2);
}

/* MaxPend: one at a time, which every device can take (2.4.4). A device TLB has what it was given for PASID 0 by GIoV as its own. */
static void invalidate_devtlb(struct entry_steps *steps, uint32_t rid, uint32_t pasid, uint64_t addr, unsigned order)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_IOTLB, OPCODE, command, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, command, rid);
	SET(AMDVI_CMD_IOTLB, QUEUE_ID, command, rid);
	SET(AMDVI_CMD_IOTLB, MAX_PEND, command, 1);
	SET(AMDVI_CMD_IOTLB, GN, command, pasid != AMDVI_RID_PASID);
	SET(AMDVI_CMD_IOTLB, PASID_7_0, command, pasid);
	SET(AMDVI_CMD_IOTLB, PASID_15_8, command, pasid >> 8);
	SET(AMDVI_CMD_IOTLB, PASID_19_16, command, pasid >> 16);
	SET(AMDVI_CMD_IOTLB, S, command, order != 0);
	SET_ADDR(AMDVI_CMD_IOTLB, ADDR, command, range_address(addr, order));
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "invalidate-iotlb-pages", order >= AMDVI_WHOLE ? "device" : "range", 0, command,
			2);
}

/* ---- The entry ---- */

static void dte_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << amdvi_dte_mode(entry);

	AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_USE)
}

static void dte_named(uint64_t *used)
{
	AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_NAME_BITS)
}

static void dte_tables(const uint64_t *entry, uint64_t *tables)
{
	uint64_t used[4] = { 0 };

	dte_used(entry, used);
	SET(AMDVI_DTE, MODE, tables, ~0ull);
	SET(AMDVI_DTE, HOST_PT_ROOT, tables, ~0ull);
	/* Not GIoV: without it requests that have no PASID are cached without one, too, and so never meet the others. */
	SET(AMDVI_DTE, GV, tables, ~0ull);
	SET(AMDVI_DTE, GLX, tables, ~0ull);
	amdvi_dte_set_gcr3(tables, ~0ull);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, tables, ~0ull);
	for (unsigned i = 0; i < 4; i++)
		tables[i] &= used[i];
}

static bool translates(const uint64_t *entry)
{
	return GET(AMDVI_DTE, V, entry) && GET(AMDVI_DTE, TV, entry);
}

static uint32_t dte_tag(const uint64_t *entry)
{
	return translates(entry) ? (uint32_t)GET(AMDVI_DTE, DOMAIN_ID, entry) : ENTRY_NO_TAG;
}

static void dte_set_tag(uint64_t *entry, uint32_t tag)
{
	SET(AMDVI_DTE, DOMAIN_ID, entry, tag);
}

static bool dte_ats(const uint64_t *entry)
{
	return translates(entry) && GET(AMDVI_DTE, I, entry);
}

/* Never V=0, which lets DMA through untranslated. The interrupt half stays. */
static void dte_block(const uint64_t *entry, uint64_t *blocked)
{
	blocked[0] = BITS(AMDVI_DTE, V);
	blocked[1] = 0;
	blocked[2] = entry[2];
	blocked[3] = entry[3];
}

/* One nested walk must not meet two host tables (DESIGN.md). */
static bool dte_tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	bool nested = amdvi_dte_mode(before) == AMDVI_DTE_MODE_NESTED || amdvi_dte_mode(after) == AMDVI_DTE_MODE_NESTED;

	return !nested || (amdvi_dte_mode(before) == amdvi_dte_mode(after) &&
			   GET(AMDVI_DTE, MODE, before) == GET(AMDVI_DTE, MODE, after) &&
			   GET(AMDVI_DTE, HOST_PT_ROOT, before) == GET(AMDVI_DTE, HOST_PT_ROOT, after));
}

/* Requests that are walked for in the host's tables, or in none (Mode 0): all without guest tables, the guest's own in nested
 * translation, and beside guest tables those without PASID, unless GIoV gives them one. */
static bool has_host_side(const uint64_t *entry)
{
	return amdvi_dte_mode(entry) != AMDVI_DTE_MODE_V2 || !GET(AMDVI_DTE, GIOV, entry);
}

static bool same_bits(const uint64_t *a, const uint64_t *b, const uint64_t *mask)
{
	for (unsigned i = 0; i < 4; i++)
		if ((a[i] ^ b[i]) & mask[i])
			return false;
	return true;
}

/*
 * Under one DomainID the host's side and the guest's side are told apart, as commands tell them by GN (2.4.3): a nested entry caches of
 * both, and so does one with Mode 0, GV=1 and GIoV=0. So two entries get along if the sides that both have are the same.
 */
static bool dte_share_tag(const uint64_t *a, const uint64_t *b)
{
	uint64_t host[4] = { 0 }, guest[4] = { 0 };

	SET(AMDVI_DTE, MODE, host, ~0ull);
	if (GET(AMDVI_DTE, MODE, a) && GET(AMDVI_DTE, MODE, b)) {
		SET(AMDVI_DTE, HOST_PT_ROOT, host, ~0ull);
		SET(AMDVI_DTE, HAD, host, ~0ull);
	}
	SET(AMDVI_DTE, GIOV, guest, ~0ull);
	SET(AMDVI_DTE, GLX, guest, ~0ull);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, guest, ~0ull);
	amdvi_dte_set_gcr3(guest, ~0ull);
	/* Nested or not decides what a guest's pointers are. */
	SET(AMDVI_DTE, MODE, guest, ~0ull);
	if (has_host_side(a) && has_host_side(b) && !same_bits(a, b, host))
		return false;
	return !GET(AMDVI_DTE, GV, a) || !GET(AMDVI_DTE, GV, b) || same_bits(a, b, guest);
}

static const char *dte_why(unsigned facts, const uint64_t *before, const uint64_t *after)
{
	(void)facts;
	if (GET(AMDVI_DTE, GV, before) && GET(AMDVI_DTE, GV, after) &&
	    GET(AMDVI_DTE, GUEST_PAGING_MODE, before) != GET(AMDVI_DTE, GUEST_PAGING_MODE, after))
		return "GuestPagingMode lies in the other half of the entry (2.2.2.1), and no host table stands in for a guest's";
	if (amdvi_dte_mode(before) == AMDVI_DTE_MODE_NESTED || amdvi_dte_mode(after) == AMDVI_DTE_MODE_NESTED)
		return "a nested entry's tables and its DomainID lie in two words (2.2.2.1), and only its parent stands in between";
	return NULL;
}

static void dte_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	(void)stale;
	(void)fetches;
	invalidate_dte(steps, change->request.rid & 0xffff);
}

static void dte_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				    uint32_t tag)
{
	if (!translates(stale))
		return;
	/* A guest's GCR3 table: which PASIDs it has, and which of its entries are cached, nobody knows. */
	if (change->request.facts & IOMMU_PLAN_GUEST_PASIDS && amdvi_dte_mode(stale) == AMDVI_DTE_MODE_NESTED) {
		amdvi_invalidate_all(steps);
		return;
	}
	amdvi_invalidate_pages(steps, tag, false, 0, 0, AMDVI_WHOLE, false);
	if (GET(AMDVI_DTE, GV, stale))
		amdvi_invalidate_pages(steps, tag, true, AMDVI_RID_PASID, 0, AMDVI_WHOLE, false);
}

static void dte_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	invalidate_devtlb(steps, change->request.rid & 0xffff, AMDVI_RID_PASID, 0, AMDVI_WHOLE);
}

/* The device table's base can't be changed while devices do DMA: there is no page to swap. */
const struct entry_format amdvi_dte = {
	.name = "device-table-entry",
	.words = 4,
	.used = dte_used,
	.named = dte_named,
	.tables = dte_tables,
	.tag = dte_tag,
	.set_tag = dte_set_tag,
	.ats = dte_ats,
	.block = dte_block,
	.tables_may_mix = dte_tables_may_mix,
	.share_tag = dte_share_tag,
	.why = dte_why,
	.forget_entry = dte_forget_entry,
	.forget_translations = dte_forget_translations,
	.forget_devtlb = dte_forget_devtlb,
};

/* ---- The GCR3 entry of a PASID ---- */

static void gcr3_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << amdvi_gcr3_mode(entry);

	AMDVI_GCR3_LIST(AMDVI_GCR3, LAYOUT_USE)
}

static void gcr3_named(uint64_t *used)
{
	AMDVI_GCR3_LIST(AMDVI_GCR3, LAYOUT_NAME_BITS)
}

static bool is_there(const uint64_t *entry)
{
	return amdvi_gcr3_mode(entry) == AMDVI_GCR3_MODE_PRESENT;
}

static void gcr3_tables(const uint64_t *entry, uint64_t *tables)
{
	gcr3_used(entry, tables);
}

static uint32_t gcr3_tag(const uint64_t *entry)
{
	return is_there(entry) ? ENTRY_TAG_ELSEWHERE : ENTRY_NO_TAG;
}

static void gcr3_set_tag(uint64_t *entry, uint32_t tag)
{
	(void)entry;
	(void)tag;
}

static void gcr3_block(const uint64_t *entry, uint64_t *blocked)
{
	(void)entry;
	blocked[0] = 0;
}

static bool gcr3_tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	(void)before;
	(void)after;
	return true;
}

/* The command of gcr3_forget_translations() makes the unit forget the entry, too. One that was absent may be remembered as that. */
static void gcr3_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	const struct iommu_plan_request *request = &change->request;

	(void)fetches;
	if (!is_there(stale) && (request->facts & IOMMU_PLAN_CACHES_ABSENT))
		amdvi_invalidate_pages(steps, request->after_tag, true, request->pasid, 0, AMDVI_WHOLE, false);
}

static void gcr3_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				     uint32_t tag)
{
	if (is_there(stale))
		amdvi_invalidate_pages(steps, tag, true, change->request.pasid, 0, AMDVI_WHOLE, false);
}

static void gcr3_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	invalidate_devtlb(steps, change->request.rid & 0xffff, change->request.pasid, 0, AMDVI_WHOLE);
}

/*
 * There is no way to change a guest table but under its tag, as there is none on a processor: what is cached of a guest walk is
 * a pointer into one tree or the other, and from there the walk stays in that tree. So "old or new" holds, as long as the
 * DomainID is this table's alone.
 */
const struct entry_format amdvi_gcr3_entry = {
	.name = "gcr3-entry",
	.words = 1,
	.used = gcr3_used,
	.named = gcr3_named,
	.tables = gcr3_tables,
	.tag = gcr3_tag,
	.set_tag = gcr3_set_tag,
	.ats = is_there,
	.block = gcr3_block,
	.old_or_new = true,
	.tables_may_mix = gcr3_tables_may_mix,
	.forget_entry = gcr3_forget_entry,
	.forget_translations = gcr3_forget_translations,
	.forget_devtlb = gcr3_forget_devtlb,
};

/* ---- Ranges ---- */

/* The smallest naturally aligned power of two of pages that holds [first, last]. */
static unsigned range_order(uint64_t first, uint64_t last)
{
	unsigned order = 0;

	while (order < AMDVI_WHOLE && (first >> (order + 12)) != (last >> (order + 12)))
		order++;
	return order;
}

static uint64_t aligned(uint64_t addr, unsigned order)
{
	return order >= AMDVI_WHOLE ? 0 : addr & ~((1ull << (order + 12)) - 1);
}

void amdvi_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent)
{
	unsigned order = range_order(first, last);

	if (absent && !(unit->facts & IOMMU_PLAN_CACHES_ABSENT))
		return;
	if (pasid == EVERY_INDEX) {
		amdvi_invalidate_pages(steps, tag, false, 0, aligned(first, order), order, leaf);
		amdvi_invalidate_pages(steps, tag, true, AMDVI_RID_PASID, aligned(first, order), order, leaf);
	} else {
		amdvi_invalidate_pages(steps, tag, domain->stage == 1 && pasid != IOMMU_NO_PASID, pasid, aligned(first, order), order,
				       leaf);
	}
	/* Behind a guest's tables all nested lines went with that, but not what was cached of the tables themselves. */
	if (domain_is_nested(domain))
		amdvi_invalidate_pages(steps, tag, true, AMDVI_RID_PASID, 0, AMDVI_WHOLE, false);
}

void amdvi_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			       uint32_t pasid, uint64_t first, uint64_t last)
{
	unsigned order = range_order(first, last);

	(void)unit;
	for (unsigned i = 0; i < device->nrids; i++)
		invalidate_devtlb(steps, device->rids[i] & 0xffff, pasid == IOMMU_NO_PASID ? AMDVI_RID_PASID : pasid, aligned(first, order), order);
}
