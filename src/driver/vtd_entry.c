/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_entry.c - VT-d's live entries as the planner sees them, and the invalidations that follow a change of each.
 *
 * Duties: section 6.5.3.3 and its tables; what is open there, see vtd_driver.h.
 */
#include "vtd_driver.h"

static void invalidate_context(struct entry_steps *steps, unsigned granularity, uint32_t did, uint32_t rid)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_CONTEXT, TYPE, command, VTD_DESC_CONTEXT);
	SET(VTD_DESC_CONTEXT, G, command, granularity);
	SET(VTD_DESC_CONTEXT, DID, command, did);
	SET(VTD_DESC_CONTEXT, SID, command, rid);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "context-cache-invalidate",
			granularity == VTD_CONTEXT_DEVICE ? "device-selective" : "global",
			granularity == VTD_CONTEXT_DEVICE ? 0 : 2, command, 2);
}

static void invalidate_pasid(struct entry_steps *steps, unsigned granularity, uint32_t did, uint32_t pasid)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_PASID, TYPE, command, VTD_DESC_PASID);
	SET(VTD_DESC_PASID, G, command, granularity);
	SET(VTD_DESC_PASID, DID, command, did);
	SET(VTD_DESC_PASID, PASID, command, pasid);
	/* PASID-selective takes the same PASID of every device that has this domain id, and they refill. */
	emit_invalidate(steps, IOMMU_CACHE_PASID, "pasid-cache-invalidate",
			granularity == VTD_PASID_CACHE_PASID ? "pasid-selective" : "global",
			granularity == VTD_PASID_CACHE_PASID ? 0 : 2, command, 2);
}

void vtd_invalidate_iotlb(struct entry_steps *steps, uint32_t did, uint64_t addr, unsigned order, bool leaf)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_IOTLB, TYPE, command, VTD_DESC_IOTLB);
	SET(VTD_DESC_IOTLB, G, command, order == VTD_WHOLE ? VTD_IOTLB_DOMAIN : VTD_IOTLB_PAGE);
	SET(VTD_DESC_IOTLB, DW, command, 1);
	SET(VTD_DESC_IOTLB, DR, command, 1);
	SET(VTD_DESC_IOTLB, DID, command, did);
	if (order != VTD_WHOLE) {
		SET(VTD_DESC_IOTLB, AM, command, order);
		SET(VTD_DESC_IOTLB, IH, command, leaf);
		SET_ADDR(VTD_DESC_IOTLB, ADDR, command, addr);
	}
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "iotlb-invalidate",
			order == VTD_WHOLE ? "domain-selective" : "page-selective-within-domain", 0, command, 2);
}

void vtd_invalidate_piotlb(struct entry_steps *steps, uint32_t did, uint32_t pasid, uint64_t addr, unsigned order, bool leaf)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_PIOTLB, TYPE, command, VTD_DESC_PIOTLB);
	SET(VTD_DESC_PIOTLB, G, command, order == VTD_WHOLE ? VTD_PIOTLB_PASID : VTD_PIOTLB_PAGE);
	SET(VTD_DESC_PIOTLB, DID, command, did);
	SET(VTD_DESC_PIOTLB, PASID, command, pasid);
	if (order != VTD_WHOLE) {
		SET(VTD_DESC_PIOTLB, AM, command, order);
		SET(VTD_DESC_PIOTLB, IH, command, leaf);
		SET_ADDR(VTD_DESC_PIOTLB, ADDR, command, addr);
	}
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "pasid-iotlb-invalidate",
			order == VTD_WHOLE ? "pasid-selective" : "page-selective-within-pasid", 0, command, 2);
}

/* 6.5.2.5: with S set, the lowest zero bit of the address above bit 11 says how large the range is. */
static void invalidate_devtlb(struct entry_steps *steps, uint32_t rid, uint64_t addr, unsigned order)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_DEVTLB, TYPE, command, VTD_DESC_DEVTLB);
	SET(VTD_DESC_DEVTLB, SID, command, rid);
	if (order) {
		addr |= order >= 52 ? ~0ull >> 1 : (1ull << (order + 11)) - 1;
		SET(VTD_DESC_DEVTLB, S, command, 1);
	}
	SET_ADDR(VTD_DESC_DEVTLB, ADDR, command, addr);
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "devtlb-invalidate", order >= 52 ? "global" : "range", 0, command, 2);
}

/* The same for what a device keeps of a PASID (6.5.2.6). */
static void invalidate_pasid_devtlb(struct entry_steps *steps, uint32_t rid, uint32_t pasid, uint64_t addr, unsigned order)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_PDEVTLB, TYPE, command, VTD_DESC_PDEVTLB);
	SET(VTD_DESC_PDEVTLB, SID, command, rid);
	SET(VTD_DESC_PDEVTLB, PASID, command, pasid);
	if (order) {
		addr |= order >= 52 ? ~0ull >> 1 : (1ull << (order + 11)) - 1;
		SET(VTD_DESC_PDEVTLB, S, command, 1);
	}
	SET_ADDR(VTD_DESC_PDEVTLB, ADDR, command, addr);
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "pasid-devtlb-invalidate", order >= 52 ? "pasid-selective" : "range", 0, command,
			2);
}

/* CAP.RWBF: where nothing is invalidated, the unit's write buffers must be flushed before it sees a store (6.8). */
static void flush_write_buffer(struct entry_steps *steps, unsigned facts)
{
	const uint64_t none[2] = { 0 };

	if (facts & IOMMU_PLAN_WRITE_BUFFER)
		emit_invalidate(steps, IOMMU_CACHE_ALL, "gcmd", "write-buffer-flush", 0, none, 0);
}

/* ---- Context entry, legacy mode (9.3) ---- */

static void context_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << vtd_context_mode(entry);

	VTD_CONTEXT_LIST(VTD_CONTEXT, LAYOUT_USE)
}

static void context_named(uint64_t *used)
{
	VTD_CONTEXT_LIST(VTD_CONTEXT, LAYOUT_NAME_BITS)
}

static void context_tables(const uint64_t *entry, uint64_t *tables)
{
	uint64_t used[2] = { 0 };

	context_used(entry, used);
	SET(VTD_CONTEXT, TT, tables, ~0ull);
	SET(VTD_CONTEXT, SSPTPTR, tables, ~0ull);
	SET(VTD_CONTEXT, AW, tables, ~0ull);
	tables[0] &= used[0];
	tables[1] &= used[1];
	/* With or without a device TLB, it is the same table. */
	if (vtd_context_mode(entry) == VTD_CONTEXT_MODE_TRANSLATE)
		SET(VTD_CONTEXT, TT, tables, 2);
}

static uint32_t context_tag(const uint64_t *entry)
{
	return GET(VTD_CONTEXT, P, entry) ? (uint32_t)GET(VTD_CONTEXT, DID, entry) : ENTRY_NO_TAG;
}

static void context_set_tag(uint64_t *entry, uint32_t tag)
{
	SET(VTD_CONTEXT, DID, entry, tag);
}

static bool context_ats(const uint64_t *entry)
{
	return GET(VTD_CONTEXT, P, entry) && GET(VTD_CONTEXT, TT, entry) == VTD_TT_DEVTLB;
}

/* Not present: in every format of VT-d that is what blocks, and then nothing else is looked at. */
static void block(const uint64_t *entry, uint64_t *blocked)
{
	(void)entry;
	(void)blocked; /* zeroed by the caller */
}

static bool tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	(void)before;
	(void)after;
	return true;
}

/* The lower half of a root entry, or a half of a scalable-mode root entry: P and the context table. */
static unsigned root_pointer(uint64_t page, uint64_t *words)
{
	SET(VTD_ROOT, P, words, 1);
	SET_ADDR(VTD_ROOT, CTP, words, page);
	return 1;
}

static void context_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				 bool fetches)
{
	const struct iommu_plan_request *request = &change->request;

	if (GET(VTD_CONTEXT, P, stale))
		invalidate_context(steps, VTD_CONTEXT_DEVICE, (uint32_t)GET(VTD_CONTEXT, DID, stale), request->rid & 0xffff);
	else if (fetches || (request->facts & IOMMU_PLAN_CACHES_ABSENT))
		invalidate_context(steps, VTD_CONTEXT_DEVICE, 0, request->rid & 0xffff);
	else
		flush_write_buffer(steps, request->facts);
}

static void context_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	(void)change;
	invalidate_context(steps, VTD_CONTEXT_GLOBAL, 0, 0);
}

static void context_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
					uint32_t tag)
{
	if (GET(VTD_CONTEXT, P, stale)) {
		vtd_invalidate_iotlb(steps, tag, 0, VTD_WHOLE, false);
	} else if (change->request.facts & IOMMU_PLAN_CACHES_ABSENT) {
		vtd_invalidate_iotlb(steps, 0, 0, VTD_WHOLE, false);
		if (GET(VTD_CONTEXT, P, change->after))
			vtd_invalidate_iotlb(steps, (uint32_t)GET(VTD_CONTEXT, DID, change->after), 0, VTD_WHOLE, false);
	}
}

static void forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	invalidate_devtlb(steps, change->request.rid & 0xffff, 0, 52);
}

const struct entry_format vtd_context_entry = {
	.name = "context-entry",
	.parent = "root-entry",
	.words = 2,
	.used = context_used,
	.named = context_named,
	.tables = context_tables,
	.tag = context_tag,
	.set_tag = context_set_tag,
	.ats = context_ats,
	.block = block,
	.tables_may_mix = tables_may_mix,
	.pointer = root_pointer,
	.forget_entry = context_forget_entry,
	.forget_table = context_forget_table,
	.forget_translations = context_forget_translations,
	.forget_devtlb = forget_devtlb,
};

/* ---- PASID-table entry, scalable mode (9.6) ---- */

static void pasid_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << vtd_pasid_mode(entry);

	VTD_PASID_LIST(VTD_PASID, LAYOUT_USE)
}

static void pasid_named(uint64_t *used)
{
	VTD_PASID_LIST(VTD_PASID, LAYOUT_NAME_BITS)
}

static void pasid_tables(const uint64_t *entry, uint64_t *tables)
{
	uint64_t used[8] = { 0 };

	pasid_used(entry, used);
	SET(VTD_PASID, AW, tables, ~0ull);
	SET(VTD_PASID, PGTT, tables, ~0ull);
	SET(VTD_PASID, SSPTPTR, tables, ~0ull);
	SET(VTD_PASID, FSPM, tables, ~0ull);
	SET(VTD_PASID, FSPTPTR, tables, ~0ull);
	for (unsigned i = 0; i < 8; i++)
		tables[i] &= used[i];
}

static uint32_t pasid_tag(const uint64_t *entry)
{
	return GET(VTD_PASID, P, entry) ? (uint32_t)GET(VTD_PASID, DID, entry) : ENTRY_NO_TAG;
}

static void pasid_set_tag(uint64_t *entry, uint32_t tag)
{
	SET(VTD_PASID, DID, entry, tag);
}

/* The device TLB is allowed by the context entry (DTE), for whatever the PASID entry says. */
static bool pasid_ats(const uint64_t *entry)
{
	return GET(VTD_PASID, P, entry);
}

static bool has_first_stage_tag(const uint64_t *entry)
{
	return vtd_pasid_mode(entry) == VTD_PASID_MODE_FIRST || vtd_pasid_mode(entry) == VTD_PASID_MODE_PASS;
}

/* First-stage and pass-through entries must not share a domain id with second-stage and nested ones (6.2.3.1); and one nested
 * walk must not meet two second stages (DESIGN.md). */
static bool pasid_tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	bool nested = vtd_pasid_mode(before) == VTD_PASID_MODE_NESTED || vtd_pasid_mode(after) == VTD_PASID_MODE_NESTED;

	if (has_first_stage_tag(before) != has_first_stage_tag(after))
		return false;
	return !nested || (vtd_pasid_mode(before) == vtd_pasid_mode(after) &&
			   GET(VTD_PASID, SSPTPTR, before) == GET(VTD_PASID, SSPTPTR, after));
}

static unsigned directory_pointer(uint64_t page, uint64_t *words)
{
	SET(VTD_PASIDDIR, P, words, 1);
	SET_ADDR(VTD_PASIDDIR, SMPTBLPTR, words, page);
	return 1;
}

static void pasid_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	const struct iommu_plan_request *request = &change->request;

	if (GET(VTD_PASID, P, stale)) {
		invalidate_pasid(steps, VTD_PASID_CACHE_PASID, (uint32_t)GET(VTD_PASID, DID, stale), request->pasid);
	} else if (fetches || (request->facts & IOMMU_PLAN_CACHES_ABSENT)) {
		invalidate_pasid(steps, VTD_PASID_CACHE_PASID, (uint32_t)GET(VTD_PASID, DID, change->after), request->pasid);
		/* With 64-bit stores the old domain id stands in the entry for a while after P has gone: a fetch may hold it. */
		if (fetches)
			invalidate_pasid(steps, VTD_PASID_CACHE_PASID, (uint32_t)GET(VTD_PASID, DID, change->before), request->pasid);
		if (request->facts & IOMMU_PLAN_CACHES_ABSENT)
			invalidate_pasid(steps, VTD_PASID_CACHE_PASID, 0, request->pasid);
	} else {
		flush_write_buffer(steps, request->facts);
	}
}

static void pasid_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	(void)change;
	invalidate_pasid(steps, VTD_PASID_CACHE_GLOBAL, 0, 0);
}

/* First-stage and pass-through translations carry domain id and PASID, the others the domain id only (6.2.1). */
static void forget_translations_of(struct entry_steps *steps, const uint64_t *entry, uint32_t did, uint32_t pasid)
{
	switch (vtd_pasid_mode(entry)) {
	case VTD_PASID_MODE_FIRST:
	case VTD_PASID_MODE_PASS:
		vtd_invalidate_piotlb(steps, did, pasid, 0, VTD_WHOLE, false);
		break;
	default:
		vtd_invalidate_iotlb(steps, did, 0, VTD_WHOLE, false);
		break;
	}
}

static void pasid_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				      uint32_t tag)
{
	const struct iommu_plan_request *request = &change->request;

	if (GET(VTD_PASID, P, stale)) {
		forget_translations_of(steps, stale, tag, request->pasid);
	} else if ((request->facts & IOMMU_PLAN_CACHES_ABSENT) && GET(VTD_PASID, P, change->after)) {
		forget_translations_of(steps, change->after, (uint32_t)GET(VTD_PASID, DID, change->after), request->pasid);
		vtd_invalidate_piotlb(steps, (uint32_t)GET(VTD_PASID, DID, change->after), request->pasid, 0, VTD_WHOLE, false);
		vtd_invalidate_piotlb(steps, 0, request->pasid, 0, VTD_WHOLE, false);
	}
}

/* 6.5.3.3: all that the device keeps of requests without PASID, or of the PASID. */
static void pasid_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	if (change->request.pasid == VTD_RID_PASID)
		forget_devtlb(steps, change);
	else
		invalidate_pasid_devtlb(steps, change->request.rid & 0xffff, change->request.pasid, 0, 52);
}

const struct entry_format vtd_pasid_entry = {
	.name = "pasid-entry",
	.parent = "pasid-directory-entry",
	.words = 8,
	.used = pasid_used,
	.named = pasid_named,
	.tables = pasid_tables,
	.tag = pasid_tag,
	.set_tag = pasid_set_tag,
	.ats = pasid_ats,
	.block = block,
	.tables_may_mix = pasid_tables_may_mix,
	.pointer = directory_pointer,
	.forget_entry = pasid_forget_entry,
	.forget_table = pasid_forget_table,
	.forget_translations = pasid_forget_translations,
	.forget_devtlb = pasid_forget_devtlb,
};

/* ---- Ranges ---- */

/* The smallest naturally aligned power of two of pages that holds [first, last]. */
static unsigned range_order(uint64_t first, uint64_t last)
{
	unsigned order = 0;

	while (order < 52 && (first >> (order + 12)) != (last >> (order + 12)))
		order++;
	return order;
}

static uint64_t aligned(uint64_t addr, unsigned order)
{
	return order >= 52 ? 0 : addr & ~((1ull << (order + 12)) - 1);
}

void vtd_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
		      uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent)
{
	const struct vtd_unit *vtd = to_vtd_const(unit);
	unsigned order = range_order(first, last);

	if (absent && !(unit->facts & IOMMU_PLAN_CACHES_ABSENT)) {
		flush_write_buffer(steps, unit->facts);
		return;
	}
	if (order > VTD_CAP_OF(vtd, MAMV) || !VTD_CAP_OF(vtd, PSI))
		order = VTD_WHOLE;
	if (domain->stage == 1)
		vtd_invalidate_piotlb(steps, tag, pasid, aligned(first, order), order, leaf);
	else
		vtd_invalidate_iotlb(steps, tag, aligned(first, order), order, leaf);
}

void vtd_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			     uint32_t pasid, uint64_t first, uint64_t last)
{
	unsigned order = range_order(first, last);

	(void)unit;
	if (pasid != IOMMU_NO_PASID) {
		invalidate_pasid_devtlb(steps, device->rids[0] & 0xffff, pasid, aligned(first, order), order);
		return;
	}
	for (unsigned i = 0; i < device->nrids; i++)
		invalidate_devtlb(steps, device->rids[i] & 0xffff, aligned(first, order), order);
}

static void invalidate_iotlb_globally(struct entry_steps *steps)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_IOTLB, TYPE, command, VTD_DESC_IOTLB);
	SET(VTD_DESC_IOTLB, G, command, VTD_IOTLB_GLOBAL);
	SET(VTD_DESC_IOTLB, DW, command, 1);
	SET(VTD_DESC_IOTLB, DR, command, 1);
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "iotlb-invalidate", "global", 2, command, 2);
}

void vtd_forget_all(struct vtd_unit *vtd, struct entry_steps *steps)
{
	invalidate_context(steps, VTD_CONTEXT_GLOBAL, 0, 0);
	emit_wait(steps, false);
	if (vtd->scalable) {
		invalidate_pasid(steps, VTD_PASID_CACHE_GLOBAL, 0, 0);
		emit_wait(steps, false);
	}
	invalidate_iotlb_globally(steps);
	emit_wait(steps, true);
}

void vtd_forget_context(struct vtd_unit *vtd, struct entry_steps *steps, uint32_t rid, bool gone)
{
	(void)vtd;
	invalidate_context(steps, VTD_CONTEXT_DEVICE, 0, rid & 0xffff);
	/* Context data may tag PASID-cache lines (replace-rules.md 0.2, item 8). */
	emit_wait(steps, false);
	invalidate_pasid(steps, VTD_PASID_CACHE_GLOBAL, 0, 0);
	if (gone) {
		/* ... and who still holds them is not stopped by less than this. */
		emit_wait(steps, false);
		invalidate_iotlb_globally(steps);
	}
	emit_wait(steps, true);
}
