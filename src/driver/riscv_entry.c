/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_entry.c - the RISC-V IOMMU's live entries as the planner sees them, and the invalidations that follow a change of each.
 *
 * Duties: section 6.3; what is open there, see riscv_driver.h.
 */
#include "riscv_driver.h"

/* ---- Commands ---- */

/* What an IOTINVAL is about; `addr` counts only with `with_addr`. */
struct iotinval {
	bool second;		/* GVMA, else VMA */
	bool with_gscid, with_pscid, with_addr;
	uint32_t gscid, pscid;
	uint64_t addr;
	unsigned order;		/* log2 of the pages; more than 0 needs capabilities.S */
	bool tables;		/* also what points to tables on the way to the address; needs capabilities.NL */
};

static void emit_iotinval(struct entry_steps *steps, const struct iotinval *what)
{
	static const char *const first[2][2] = {
		{ "vma-host", "vma-pscid" },
		{ "vma-gscid", "vma-gscid-pscid" },
	};
	static const char *const second[2] = { "gvma-all", "gvma-gscid" };
	uint64_t command[RISCV_CMD_WORDS] = { 0 };
	const char *scope = what->second ? second[what->with_gscid] : first[what->with_gscid][what->with_pscid];

	SET(RISCV_IOTINVAL, OPCODE, command, RISCV_OP_IOTINVAL);
	SET(RISCV_IOTINVAL, FUNC3, command, what->second ? RISCV_FUNC_IOTINVAL_GVMA : RISCV_FUNC_IOTINVAL_VMA);
	SET(RISCV_IOTINVAL, GV, command, what->with_gscid);
	SET(RISCV_IOTINVAL, PSCV, command, what->with_pscid);
	SET(RISCV_IOTINVAL, AV, command, what->with_addr);
	if (what->with_gscid)
		SET(RISCV_IOTINVAL, GSCID, command, what->gscid);
	if (what->with_pscid)
		SET(RISCV_IOTINVAL, PSCID, command, what->pscid);
	if (what->with_addr) {
		uint64_t page = what->addr >> 12;

		/* 8.3: the lowest zero bit of the page number says how large the range is. */
		if (what->order) {
			page |= (1ull << (what->order - 1)) - 1;
			SET(RISCV_IOTINVAL, S, command, 1);
		}
		SET(RISCV_IOTINVAL, NL, command, what->tables);
		SET(RISCV_IOTINVAL, ADDR, command, page);
		scope = what->second ? "gvma-address" : "vma-address";
	}
	emit_invalidate(steps, IOMMU_CACHE_IOTLB, "iotinval", scope, what->with_gscid || what->with_pscid ? 0 : 2, command,
			RISCV_CMD_WORDS);
}

/* 3.1.3: one device's context and what is behind it, or the whole directory. */
void riscv_emit_inval_ddt(struct entry_steps *steps, bool one, uint32_t did)
{
	uint64_t command[RISCV_CMD_WORDS] = { 0 };

	SET(RISCV_IODIR, OPCODE, command, RISCV_OP_IODIR);
	SET(RISCV_IODIR, FUNC3, command, RISCV_FUNC_IODIR_INVAL_DDT);
	SET(RISCV_IODIR, DV, command, one);
	if (one)
		SET(RISCV_IODIR, DID, command, did);
	emit_invalidate(steps, IOMMU_CACHE_ENTRY, "iodir", one ? "inval-ddt-device" : "inval-ddt-all", one ? 0 : 2, command,
			RISCV_CMD_WORDS);
}

void riscv_emit_inval_pdt(struct entry_steps *steps, uint32_t did, uint32_t pid)
{
	uint64_t command[RISCV_CMD_WORDS] = { 0 };

	SET(RISCV_IODIR, OPCODE, command, RISCV_OP_IODIR);
	SET(RISCV_IODIR, FUNC3, command, RISCV_FUNC_IODIR_INVAL_PDT);
	SET(RISCV_IODIR, DV, command, 1);
	SET(RISCV_IODIR, DID, command, did);
	SET(RISCV_IODIR, PID, command, pid);
	emit_invalidate(steps, IOMMU_CACHE_PDT, "iodir", "inval-pdt", 0, command, RISCV_CMD_WORDS);
}

void riscv_set_destination(uint64_t *command, uint32_t did)
{
	SET(RISCV_ATS_INVAL, RID, command, did & 0xffff);
	SET(RISCV_ATS_INVAL, DSV, command, did >> 16 != 0);
	SET(RISCV_ATS_INVAL, DSEG, command, did >> 16);
}

/* 3.1.4, of requests with that process id, with any (EVERY_PID) or with none (IOMMU_NO_PASID). PCI Express, ATS: with S set, the lowest
 * zero bit of the address above bit 11 says how large the range is. */
#define EVERY_PID 0x100000u

static void emit_ats_inval(struct entry_steps *steps, uint32_t did, uint32_t pid, uint64_t addr, unsigned order)
{
	uint64_t command[RISCV_CMD_WORDS] = { 0 };

	SET(RISCV_ATS_INVAL, OPCODE, command, RISCV_OP_ATS);
	SET(RISCV_ATS_INVAL, FUNC3, command, RISCV_FUNC_ATS_INVAL);
	riscv_set_destination(command, did);
	if (pid != IOMMU_NO_PASID) {
		SET(RISCV_ATS_INVAL, PV, command, 1);
		SET(RISCV_ATS_INVAL, G, command, pid == EVERY_PID);
		SET(RISCV_ATS_INVAL, PID, command, pid == EVERY_PID ? 0 : pid);
	}
	if (order) {
		addr |= order >= 52 ? ~0ull >> 1 : (1ull << (order + 11)) - 1;
		SET(RISCV_ATS_INVAL, S, command, 1);
	}
	SET_ADDR(RISCV_ATS_INVAL, ADDR, command, addr);
	emit_invalidate(steps, IOMMU_CACHE_DEVTLB, "ats-inval", order >= 52 ? "global" : "range", 0, command, RISCV_CMD_WORDS);
}

/* ---- Device context (2.1.2) ---- */

static void dc_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << riscv_dc_mode(entry);

	RISCV_DC_LIST(RISCV_DC, LAYOUT_USE)
}

static void dcx_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << riscv_dcx_mode(entry);

	RISCV_DCX_LIST(RISCV_DCX, LAYOUT_USE)
}

static void dc_named(uint64_t *used)
{
	RISCV_DC_LIST(RISCV_DC, LAYOUT_NAME_BITS)
}

static void dcx_named(uint64_t *used)
{
	RISCV_DCX_LIST(RISCV_DCX, LAYOUT_NAME_BITS)
}

static bool valid(const uint64_t *entry)
{
	return GET(RISCV_DC, V, entry);
}

static bool has_second(const uint64_t *entry)
{
	return GET(RISCV_DC, G_MODE, entry) != RISCV_G_BARE;
}

/* The tables whose lines have dc_tag(): under a GSCID the second stage's. */
static void dc_tables(const uint64_t *entry, uint64_t *tables)
{
	if (!valid(entry))
		return;
	if (has_second(entry)) {
		SET(RISCV_DC, G_PPN, tables, ~0ull);
		SET(RISCV_DC, G_MODE, tables, ~0ull);
	} else if (riscv_dc_mode(entry) == RISCV_DC_MODE_FIRST) {
		SET(RISCV_DC, FSC_PPN, tables, ~0ull);
		SET(RISCV_DC, FSC_MODE, tables, ~0ull);
	}
}

/* Without a second stage, what is behind a process directory has many tags: it counts as none, and 6.3.1 flushes them all. */
static uint32_t dc_tag(const uint64_t *entry)
{
	if (!valid(entry))
		return ENTRY_NO_TAG;
	if (has_second(entry))
		return (uint32_t)GET(RISCV_DC, GSCID, entry) | RISCV_TAG_GSCID;
	return riscv_dc_mode(entry) == RISCV_DC_MODE_FIRST ? (uint32_t)GET(RISCV_DC, PSCID, entry) : ENTRY_NO_TAG;
}

static void dc_set_tag(uint64_t *entry, uint32_t tag)
{
	tag &= ~RISCV_TAG_GSCID;
	if (has_second(entry))
		SET(RISCV_DC, GSCID, entry, tag);
	else
		SET(RISCV_DC, PSCID, entry, tag);
}

static bool dc_ats(const uint64_t *entry)
{
	return valid(entry) && GET(RISCV_DC, EN_ATS, entry);
}

/* Not valid: then nothing else is looked at (2.1.3.1). */
static void block(const uint64_t *entry, uint64_t *blocked)
{
	(void)entry;
	(void)blocked; /* zeroed by the caller */
}

/* Only one stage of the same kind. One nested walk must not meet two second stages (DESIGN.md). */
static bool dc_tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	unsigned mode = riscv_dc_mode(before);

	return mode == riscv_dc_mode(after) && (mode == RISCV_DC_MODE_FIRST || mode == RISCV_DC_MODE_SECOND);
}

static bool has_directory(const uint64_t *entry)
{
	return RISCV_DC_PDTP >> riscv_dc_mode(entry) & 1;
}

static bool same_second(const uint64_t *before, const uint64_t *after)
{
	if (!has_second(before) || !has_second(after))
		return has_second(before) == has_second(after);
	return GET(RISCV_DC, G_PPN, before) == GET(RISCV_DC, G_PPN, after) &&
	       GET(RISCV_DC, G_MODE, before) == GET(RISCV_DC, G_MODE, after);
}

/* Two guests' first stages: a page number in the old context, or behind it, may be cached as what the old second stage made of it. */
static bool pointers_mix(const uint64_t *before, const uint64_t *after)
{
	const uint32_t pointing = RISCV_DC_IOSATP | RISCV_DC_PDTP;

	if (!has_second(before) || !has_second(after) || !(pointing >> riscv_dc_mode(before) & 1) ||
	    !(pointing >> riscv_dc_mode(after) & 1))
		return false;
	return has_directory(before) || has_directory(after) || GET(RISCV_DC, FSC_PPN, before) == GET(RISCV_DC, FSC_PPN, after);
}

/*
 * Process contexts, and guest page numbers after their translation, are cached by device (3.1.3): those of the old context may be
 * found when the new one has been read. With another second stage they lead elsewhere.
 */
static bool dc_behind_mixes(unsigned facts, const uint64_t *before, const uint64_t *after)
{
	if (same_second(before, after))
		return false;
	if (!has_directory(before) || !has_directory(after))
		return pointers_mix(before, after);
	return !(facts & IOMMU_PLAN_ONE_TO_ONE) || GET(RISCV_DC, FSC_PPN, before) != GET(RISCV_DC, FSC_PPN, after);
}

static const char *dc_why(unsigned facts, const uint64_t *before, const uint64_t *after)
{
	return dc_behind_mixes(facts, before, after) ? "a cached process context may meet the other second stage (3.1.3)" : NULL;
}

static unsigned ddte_pointer(uint64_t page, uint64_t *words)
{
	SET(RISCV_DDTE, V, words, 1);
	SET(RISCV_DDTE, PPN, words, RISCV_PPN(page));
	return 1;
}

static void dc_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	const struct iommu_plan_request *request = &change->request;

	/* 2.8: what is not valid is not cached. */
	if (valid(stale) || fetches || (request->facts & IOMMU_PLAN_CACHES_ABSENT))
		riscv_emit_inval_ddt(steps, true, request->rid & 0xffffff);
}

static void dc_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	(void)change;
	riscv_emit_inval_ddt(steps, false, 0);
}

/*
 * 6.3.1, "Changing device directory table entry", the IOTINVAL part of it: chosen by the old values. The fence that ends the change waits
 * for requests that passed untranslated.
 */
static void dc_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				   uint32_t tag)
{
	struct iotinval what = { 0 };

	(void)change;
	if (!valid(stale))
		return;
	tag &= ~RISCV_TAG_GSCID;
	if (has_second(stale)) {
		what.with_gscid = true;
		what.gscid = tag;
		emit_iotinval(steps, &what);
		what.second = true;
		emit_iotinval(steps, &what);
	} else if (GET(RISCV_DC, PDTV, stale)) {
		emit_iotinval(steps, &what);
	} else if (GET(RISCV_DC, FSC_MODE, stale) != RISCV_S_BARE) {
		what.with_pscid = true;
		what.pscid = tag;
		emit_iotinval(steps, &what);
	}
}

static void dc_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	emit_ats_inval(steps, change->request.rid & 0xffffff, IOMMU_NO_PASID, 0, 52);
	if (GET(RISCV_DC, PDTV, change->before))
		emit_ats_inval(steps, change->request.rid & 0xffffff, EVERY_PID, 0, 52);
}

/* Two tables under one id: "it is unpredictable whether the IOMMU uses the PTEs from the first page table or the second page table.
 * These are the only expected behaviors" (2.1.3.2, 2.2.3.2). */
#define DC_FORMAT(decode_name, nwords, used_function, named_function) \
	{ \
		.name = decode_name, \
		.parent = "non-leaf-ddt-entry", \
		.words = nwords, \
		.old_or_new = true, \
		.used = used_function, \
		.named = named_function, \
		.tables = dc_tables, \
		.tag = dc_tag, \
		.set_tag = dc_set_tag, \
		.ats = dc_ats, \
		.block = block, \
		.tables_may_mix = dc_tables_may_mix, \
		.behind_mixes = dc_behind_mixes, \
		.why = dc_why, \
		.pointer = ddte_pointer, \
		.forget_entry = dc_forget_entry, \
		.forget_table = dc_forget_table, \
		.forget_translations = dc_forget_translations, \
		.forget_devtlb = dc_forget_devtlb, \
	}

const struct entry_format riscv_dc = DC_FORMAT("dc", RISCV_DC_WORDS, dc_used, dc_named);
const struct entry_format riscv_dc_extended = DC_FORMAT("dc-extended", RISCV_DCX_WORDS, dcx_used, dcx_named);

/* ---- Process context (2.2.2), of a device without a second stage ---- */

static void pc_used(const uint64_t *entry, uint64_t *used)
{
	uint32_t mode_bit = 1u << riscv_pc_mode(entry);

	RISCV_PC_LIST(RISCV_PC, LAYOUT_USE)
}

static void pc_named(uint64_t *used)
{
	RISCV_PC_LIST(RISCV_PC, LAYOUT_NAME_BITS)
}

static bool pc_translates(const uint64_t *entry)
{
	return riscv_pc_mode(entry) == RISCV_PC_MODE_FIRST;
}

static void pc_tables(const uint64_t *entry, uint64_t *tables)
{
	if (!pc_translates(entry))
		return;
	SET(RISCV_PC, FSC_PPN, tables, ~0ull);
	SET(RISCV_PC, FSC_MODE, tables, ~0ull);
}

static uint32_t pc_tag(const uint64_t *entry)
{
	return pc_translates(entry) ? (uint32_t)GET(RISCV_PC, PSCID, entry) : ENTRY_NO_TAG;
}

static void pc_set_tag(uint64_t *entry, uint32_t tag)
{
	SET(RISCV_PC, PSCID, entry, tag);
}

/* The device context allows the device TLB, for whatever the process context says. */
static bool pc_ats(const uint64_t *entry)
{
	return GET(RISCV_PC, V, entry);
}

static bool pc_tables_may_mix(const uint64_t *before, const uint64_t *after)
{
	return pc_translates(before) && pc_translates(after);
}

static unsigned pdte_pointer(uint64_t page, uint64_t *words)
{
	SET(RISCV_PDTE, V, words, 1);
	SET(RISCV_PDTE, PPN, words, RISCV_PPN(page));
	return 1;
}

static void pc_forget_entry(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale, bool fetches)
{
	const struct iommu_plan_request *request = &change->request;

	if (GET(RISCV_PC, V, stale) || fetches || (request->facts & IOMMU_PLAN_CACHES_ABSENT))
		riscv_emit_inval_pdt(steps, request->rid & 0xffffff, request->pasid);
}

/* 6.3.2: a changed pointer to a page of process contexts. */
static void pc_forget_table(struct entry_steps *steps, const struct entry_change *change)
{
	riscv_emit_inval_ddt(steps, true, change->request.rid & 0xffffff);
}

/* 6.3.2, "Changing process directory table entry". */
static void pc_forget_translations(struct entry_steps *steps, const struct entry_change *change, const uint64_t *stale,
				   uint32_t tag)
{
	const struct iotinval what = { .with_pscid = true, .pscid = tag };

	(void)change;
	if (pc_translates(stale))
		emit_iotinval(steps, &what);
}

/* Process context 0 is that of requests without process id (DPE). */
static void pc_forget_devtlb(struct entry_steps *steps, const struct entry_change *change)
{
	uint32_t pid = change->request.pasid ? change->request.pasid : IOMMU_NO_PASID;

	emit_ats_inval(steps, change->request.rid & 0xffffff, pid, 0, 52);
}

const struct entry_format riscv_pc = {
	.name = "pc",
	.parent = "non-leaf-pdt-entry",
	.words = RISCV_PC_WORDS,
	.old_or_new = true,
	.used = pc_used,
	.named = pc_named,
	.tables = pc_tables,
	.tag = pc_tag,
	.set_tag = pc_set_tag,
	.ats = pc_ats,
	.block = block,
	.tables_may_mix = pc_tables_may_mix,
	.pointer = pdte_pointer,
	.forget_entry = pc_forget_entry,
	.forget_table = pc_forget_table,
	.forget_translations = pc_forget_translations,
	.forget_devtlb = pc_forget_devtlb,
};

/* ---- Ranges ---- */

/* As many addresses are worth a command each. */
#define MAX_SINGLE_PAGES 4

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

/*
 * Does a guest's entry lead to something that it may have cached as what the range said (3.1.3, 6.3.4)? Where its process directory
 * points to, nobody but the guest knows.
 */
static bool guests_point_to(const struct iommu_domain *domain, uint64_t first, uint64_t last)
{
	for (const struct iommu_domain *nested = domain->nested; nested; nested = nested->next_nested) {
		uint64_t root = RISCV_ADDR(GET(RISCV_DC, FSC_PPN, nested->guest));

		if (GET(RISCV_DC, PDTV, nested->guest) || (root >= (first & ~0xfffull) && root <= last))
			return true;
	}
	return false;
}

/* The devices of the unit that are in the domain's guests: their number, and one of them. */
static unsigned guests_devices(const struct iommu_domain *domain, const struct iommu_unit *unit, uint32_t *did)
{
	unsigned count = 0;

	for (const struct domain_tag *tag = domain->tags; tag; tag = tag->next)
		for (const struct iommu_attachment *at = tag->attachments; at && tag->unit == unit; at = at->next)
			if (at->nested) {
				*did = at->device->rids[0] & 0xffffff;
				count += at->device->nrids;
			}
	return count;
}

/*
 * 6.3.4: contexts may hold guest page numbers as what the second stage has made of them. They are forgotten when they can't be
 * made anew of what was there before; and who has taken one until then is gone with the last command.
 */
static bool forget_pointers(struct entry_steps *steps, const struct iommu_unit *unit, const struct iommu_domain *domain,
			    uint32_t gscid, uint64_t first, uint64_t last)
{
	const struct iotinval all = { .second = true, .with_gscid = true, .gscid = gscid };
	unsigned devices;
	uint32_t did = 0;

	if (!guests_point_to(domain, first, last))
		return false;
	devices = guests_devices(domain, unit, &did);
	if (!devices)
		return false;
	emit_iotinval(steps, &all);
	emit_wait(steps, false);
	riscv_emit_inval_ddt(steps, devices == 1, did);
	emit_wait(steps, false);
	emit_iotinval(steps, &all);
	return true;
}

void riscv_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent)
{
	const struct riscv_unit *riscv = to_riscv_const(unit);
	bool second = domain->stage == 2;
	struct iotinval what = {
		.second = second, .with_gscid = second, .gscid = tag, .with_pscid = !second, .pscid = tag, .tables = !leaf,
	};

	(void)pasid; /* PSCIDs are enough */
	/* 2.8: nothing that is not valid is cached. */
	if (absent && !(unit->facts & IOMMU_PLAN_CACHES_ABSENT))
		return;
	if (second && forget_pointers(steps, unit, domain, tag, first, last))
		return;
	/* An address alone reaches leaves only (3.1.1). */
	if (leaf || RISCV_CAP_OF(riscv, NL)) {
		what.with_addr = true;
		what.order = range_order(first, last);
		if (what.order == 0 || (RISCV_CAP_OF(riscv, S) && what.order < 51)) {
			what.addr = aligned(first, what.order);
			emit_iotinval(steps, &what);
			return;
		}
		what.order = 0;
		if ((last - first) >> 12 < MAX_SINGLE_PAGES) {
			for (what.addr = first & ~0xfffull; what.addr <= last; what.addr += HITLESS_PAGE_SIZE)
				emit_iotinval(steps, &what);
			return;
		}
		what.with_addr = false;
	}
	emit_iotinval(steps, &what);
}

void riscv_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			       uint32_t pasid, uint64_t first, uint64_t last)
{
	unsigned order = range_order(first, last);

	(void)unit;
	/* Of a device in a guest all is meant. */
	if (pasid == IOMMU_NO_PASID && order >= 52 && device->pasid_bits)
		emit_ats_inval(steps, device->rids[0] & 0xffffff, EVERY_PID, 0, order);
	for (unsigned i = 0; i < device->nrids; i++)
		emit_ats_inval(steps, device->rids[i] & 0xffffff, pasid, aligned(first, order), order);
}

/* 6.3.2 */
int riscv_forget_directory(struct riscv_unit *riscv, uint32_t rid)
{
	struct iommu_step array[4];
	struct entry_steps steps = { .v = array, .capacity = 4 };
	struct iommu_plan plan;

	riscv_emit_inval_ddt(&steps, true, rid & 0xffffff);
	emit_wait(&steps, true);
	plan = (struct iommu_plan){ .steps = array, .nsteps = steps.n };
	return unit_commit(&riscv->unit, &plan);
}

void riscv_forget_all(const struct riscv_unit *riscv, struct entry_steps *steps)
{
	const struct iotinval host = { 0 }, guests = { .second = true };

	riscv_emit_inval_ddt(steps, false, 0);
	emit_wait(steps, false);
	emit_iotinval(steps, &host);
	/* 3.1: what the unit lacks it may take for an illegal command. */
	if (riscv_has_stage(riscv, 2))
		emit_iotinval(steps, &guests);
	emit_wait(steps, true);
}
