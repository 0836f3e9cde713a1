/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_entry.c - AMD-Vi's live entry as the planner sees it, and the invalidations that follow a change of it.
 *
 * The DTE has all about translation in its lower 128 bits (DomainID, both table roots, modes) but for GuestPagingMode, which
 * lies in the upper half, among the interrupt fields. So with 128-bit stores every change is one store, or a store of the upper
 * half before or after it; only between two guest tables of different depth both halves must flip.
 */
#include "amdvi_driver.h"

static void invalidate_dte(struct entry_steps *steps, uint32_t rid)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_DTE, OPCODE, command, AMDVI_CMD_DTE);
	SET(AMDVI_CMD_DTE, DEVICE_ID, command, rid);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "invalidate-devtab-entry", "device", 0, command, 2);
}

/* [addr, addr + 4 KiB << order), or with order AMDVI_WHOLE every address: S and the lowest zero bit say how large it is. */
#define AMDVI_WHOLE 52u

static uint64_t range_address(uint64_t addr, unsigned order)
{
	if (order >= AMDVI_WHOLE)
		return AMDVI_ALL_ADDRESSES;
	return order ? addr | ((1ull << (order + 11)) - 1) : addr;
}

static void invalidate_pages(struct entry_steps *steps, uint32_t did, bool guest, uint32_t pasid, uint64_t addr, unsigned order,
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

/* MaxPend: one at a time, which every device can take (2.4.4). */
static void invalidate_devtlb(struct entry_steps *steps, uint32_t rid, uint64_t addr, unsigned order)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_IOTLB, OPCODE, command, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, command, rid);
	SET(AMDVI_CMD_IOTLB, QUEUE_ID, command, rid);
	SET(AMDVI_CMD_IOTLB, MAX_PEND, command, 1);
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
	SET(AMDVI_DTE, GIOV, tables, ~0ull);
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

static void dte_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	(void)stale;
	(void)fetches;
	invalidate_dte(steps, change->request.rid & 0xffff);
}

static void dte_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				    uint32_t tag)
{
	(void)change;
	if (!translates(stale))
		return;
	invalidate_pages(steps, tag, false, 0, 0, AMDVI_WHOLE, false);
	if (GET(AMDVI_DTE, GV, stale))
		invalidate_pages(steps, tag, true, AMDVI_RID_PASID, 0, AMDVI_WHOLE, false);
}

static void dte_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	invalidate_devtlb(steps, change->request.rid & 0xffff, 0, AMDVI_WHOLE);
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
	.forget_entry = dte_forget_entry,
	.forget_translations = dte_forget_translations,
	.forget_devtlb = dte_forget_devtlb,
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
	invalidate_pages(steps, tag, domain->stage == 1, pasid, aligned(first, order), order, leaf);
}

void amdvi_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			       uint32_t pasid, uint64_t first, uint64_t last)
{
	unsigned order = range_order(first, last);

	(void)unit;
	(void)pasid; /* no device of this driver has any */
	for (unsigned i = 0; i < device->nrids; i++)
		invalidate_devtlb(steps, device->rids[i] & 0xffff, aligned(first, order), order);
}
