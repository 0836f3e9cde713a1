/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_walk.c - the IOATC, both stages of page tables, MSI page tables (2.3, 2.3.3, 2.4; P Sv39, P SvNx4).
 *
 * One step reads one entry, or sets the flags of one, or looks into the caches of one stage. Under a second stage, the address of
 * every entry of the first stage and of the process directory is itself translated: an implicit access.
 */
#include "riscv_state.h"

#define MAX_TRIES 15 /* of an update of A and D that others keep overtaking */
#define NO_LEVEL 7ull /* of a stage that is Bare: it doesn't limit the page's size */

/* In a first-stage walk, pc[] has no process context any more: pc[0] is the number of levels. */
#define FS_LEVELS(work) ((work)->pc[0])

static unsigned level_shift(uint64_t level)
{
	return (unsigned)(12 + 9 * (level - 1));
}

static uint64_t level_mask(uint64_t level)
{
	return (1ull << level_shift(level)) - 1;
}

static bool look_up(const struct iommu_model *model, const struct iommu_request *request, const struct model_cache *cache,
		    const struct model_probe *probes, unsigned n, uint64_t *line)
{
	struct rvm_state *state = rvm_state(model);
	const struct rvm_work *work = (const struct rvm_work *)(const void *)request->work;

	if (work->flags & RVM_F_UNCACHED)
		return false;
	return model_cache_look_up(&state->common, model->port, cache, model_lane(&state->common, request->lane), probes, n, line);
}

/* ---- Permissions ---- */

/* IOMMU_READ, WRITE and EXEC are RVM_MAY_READ, WRITE and EXEC. A request for nothing is one for reading. */
static uint64_t wanted(const struct iommu_request *request)
{
	uint64_t access = request->access & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC);

	return access ? access : IOMMU_READ;
}

/* 2.6: a translation request gets what there is of what it asked for, if that is anything; others get all or a fault. */
static bool allowed(const struct iommu_request *request, uint64_t rights)
{
	if (request->kind == IOMMU_REQUEST_TRANSLATION)
		return (wanted(request) & rights & (RVM_MAY_READ | RVM_MAY_WRITE)) != 0;
	return !(wanted(request) & ~rights);
}

static bool will_write(const struct iommu_request *request, uint64_t rights)
{
	return (wanted(request) & rights & RVM_MAY_WRITE) != 0;
}

static bool first_stage_denies(const struct iommu_request *request, const struct rvm_work *work, uint64_t rights)
{
	if (!(work->flags & RVM_F_SUPERVISOR)) {
		if (!(rights & RVM_MAY_USER))
			return true;
	} else if ((rights & RVM_MAY_USER) && (!(work->flags & RVM_F_SUM) || (wanted(request) & RVM_MAY_EXEC))) {
		return true;
	}
	return !allowed(request, rights);
}

/* What the second stage is walked for. In its entries, U is asked for as if everybody were a user (2.3, after step 20). */
static bool second_stage_denies(const struct iommu_request *request, const struct rvm_work *work, uint64_t rights)
{
	if (!(rights & RVM_MAY_USER))
		return true;
	switch (rvm_purpose(work)) {
	case RVM_FOR_ACCESS:
		return !allowed(request, rights);
	case RVM_FOR_MARK:
		return !(rights & RVM_MAY_WRITE);
	default:
		return !(rights & RVM_MAY_READ);
	}
}

static bool second_stage_writes(const struct iommu_request *request, const struct rvm_work *work, uint64_t rights)
{
	if (rvm_purpose(work) == RVM_FOR_ACCESS)
		return will_write(request, rights);
	return rvm_purpose(work) == RVM_FOR_MARK;
}

/* What the answer says. */
static uint32_t answer(const struct iommu_request *request, uint64_t rights)
{
	uint32_t may = (uint32_t)(rights & (RVM_MAY_READ | RVM_MAY_WRITE));

	/* A device is not told that it may write while that would have to set D first. */
	if (!(rights & RVM_DIRTY))
		may &= ~IOMMU_WRITE;
	/* 2.6: X only with R, and only if it was asked for. */
	if ((request->access & IOMMU_EXEC) && (rights & RVM_MAY_EXEC) &&
	    (request->kind != IOMMU_REQUEST_TRANSLATION || (rights & RVM_MAY_READ)))
		may |= IOMMU_EXEC;
	return may | (request->access & IOMMU_PRIV);
}

static void guest_fault(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t iotval2 = work->gpa & ~3ull;

	if (rvm_purpose(work) != RVM_FOR_ACCESS)
		iotval2 |= RISCV_IOTVAL2_IMPLICIT;
	if (rvm_purpose(work) == RVM_FOR_MARK)
		iotval2 |= RISCV_IOTVAL2_WRITE;
	rvm_fault(model, request, rvm_guest_fault(request), iotval2);
}

static void page_fault(const struct iommu_model *model, struct iommu_request *request)
{
	rvm_fault(model, request, rvm_page_fault(request), 0);
}

static void access_fault(const struct iommu_model *model, struct iommu_request *request)
{
	rvm_fault(model, request, rvm_access_fault(request), 0);
}

/* ---- The end of a successful translation ---- */

static void done(const struct iommu_model *model, struct iommu_request *request, uint64_t spa, uint64_t level, uint64_t rights)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t answered = spa;
	uint64_t keep = work->flags & (RVM_F_LANES | RVM_F_UNCACHED);

	if (rvm_beyond(state, spa)) {
		access_fault(model, request);
		return;
	}
	if (level == NO_LEVEL)
		level = 1;
	/* T2GPA: the device gets, and comes back with, the guest's address. */
	if (request->kind == IOMMU_REQUEST_TRANSLATION && GET(RISCV_DC, T2GPA, work->dc))
		answered = work->gpa;
	request->size = level_mask(level) + 1;
	request->phys = answered;
	request->rights = answer(request, rights);
	if (request->kind == IOMMU_REQUEST_TRANSLATION && !(work->flags & RVM_F_UNCACHED)) {
		uint64_t line[LINE_WORDS_MAX] = { 0 };
		uint64_t mask = TAG_VALID | RVM_DEVICE | TAG_PASID | RVM_LINE_HAS_PID | TAG_LEVEL;

		line[0] = TAG_VALID | rvm_tag_device(request->rid) | level << TAG_LEVEL_LSB;
		if (rvm_has_pid(request))
			line[0] |= RVM_LINE_HAS_PID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		line[1] = work->iova & ~level_mask(level);
		line[2] = (answered & ~level_mask(level)) | (request->rights & ~IOMMU_PRIV);
		model_cache_fill(&state->common, &state->devtlb, model_lane(&state->common, request->lane), mask, line, work->gens);
	}
	/* What is left is what rvm_drained() and the debug interface need. */
	spa = (rights & RVM_PBMT) | level << RVM_PAGE_LEVEL_LSB;
	memset(request->work, 0, sizeof(request->work));
	work->flags = keep;
	work->iova = request->addr;
	if (keep & RVM_F_UNCACHED)
		work->rights = spa;
	request->state = IOMMU_REQUEST_DONE;
	request->pc = RVM_PC_END;
}

/* ---- Leaves and pointers, of both stages ---- */

static bool pte_leaf(uint64_t pte)
{
	return (pte & (BITS(RISCV_PTE, R) | BITS(RISCV_PTE, X))) != 0;
}

static uint64_t named_pte(void)
{
	uint64_t used[1] = { 0 };

	RISCV_PTE_LIST(S, LAYOUT_NAME_BITS)
	return used[0];
}

/* P Sv39, steps 3 to 5: can the entry be used at all? The second stage ignores G. */
static bool pte_bad(const struct rvm_state *state, uint64_t pte, uint64_t level)
{
	uint64_t ppn = GET(RISCV_PTE, PPN, &pte);
	uint64_t pbmt = GET(RISCV_PTE, PBMT, &pte);

	if (!GET(RISCV_PTE, V, &pte) || (GET(RISCV_PTE, W, &pte) && !GET(RISCV_PTE, R, &pte)) || (pte & ~named_pte()))
		return true;
	if (pbmt && (!GET(RISCV_CAP, SVPBMT, &state->cap) || pbmt == 3))
		return true;
	if (!pte_leaf(pte))
		return level == 1 || GET(RISCV_PTE, A, &pte) || GET(RISCV_PTE, D, &pte) || GET(RISCV_PTE, U, &pte) || pbmt ||
		       GET(RISCV_PTE, N, &pte);
	if (GET(RISCV_PTE, N, &pte))
		return level != 1 || (ppn & 15) != RISCV_NAPOT_64K;
	return (ppn & (level_mask(level) >> 12)) != 0;
}

/* The page of a leaf: of 64 KiB that one entry maps, the 4 KiB that `address` is in. */
static uint64_t pte_page(uint64_t pte, uint64_t address)
{
	uint64_t page = RISCV_ADDR(GET(RISCV_PTE, PPN, &pte));

	if (GET(RISCV_PTE, N, &pte))
		page = (page & ~0xffffull) | (address & 0xf000);
	return page;
}

static uint64_t pte_rights(uint64_t pte)
{
	uint64_t rights = GET(RISCV_PTE, PBMT, &pte) << RVM_PBMT_LSB;

	if (GET(RISCV_PTE, R, &pte))
		rights |= RVM_MAY_READ;
	if (GET(RISCV_PTE, W, &pte))
		rights |= RVM_MAY_WRITE;
	if (GET(RISCV_PTE, X, &pte))
		rights |= RVM_MAY_EXEC;
	if (GET(RISCV_PTE, U, &pte))
		rights |= RVM_MAY_USER;
	if (GET(RISCV_PTE, D, &pte))
		rights |= RVM_DIRTY;
	return rights;
}

/* The flags that an access needs and the leaf lacks. */
static uint64_t pte_missing(uint64_t pte, bool writes)
{
	return (BITS(RISCV_PTE, A) | (writes ? BITS(RISCV_PTE, D) : 0)) & ~pte;
}

/* Sets `flags` in work->pte at `address`. 1: done; 0: something else is there now, in work->pte; -1: it can't be. */
static int mark(const struct iommu_model *model, struct iommu_request *request, uint64_t address, uint64_t flags,
		unsigned tries_lsb)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_work *work = rvm_work(request);
	uint64_t tries = work->flags >> tries_lsb & 15;

	if (port->cas64(port->ctx, address, &work->pte, work->pte | flags)) {
		if (port->dirty)
			port->dirty(port->ctx, address);
		work->pte |= flags;
		work->flags &= ~(15ull << tries_lsb);
		return 1;
	}
	if (tries + 1 >= MAX_TRIES)
		return -1;
	work->flags += 1ull << tries_lsb;
	return 0;
}

/* ---- IOATC ---- */

#define KEY_LOCAL \
	(TAG_VALID | TAG_CLASS | RVM_LINE_GUEST | RVM_LINE_GLOBAL | TAG_DOMAIN | TAG_PASID | TAG_LEVEL)
#define KEY_GLOBAL (KEY_LOCAL & ~TAG_PASID)

/* A lane that never saw a line of this kind needs not look for one. */
static uint64_t seen_bit(uint64_t tag)
{
	uint64_t level = (tag & TAG_LEVEL) >> TAG_LEVEL_LSB;
	uint64_t kind = (tag & TAG_CLASS) >> TAG_CLASS_LSB;

	return 1ull << (level + 8 * kind + (tag & RVM_LINE_GLOBAL ? 32 : 0));
}

/* Probes for levels `first` to `last` of what has `tag` and, if it can be, of what is global. */
static unsigned probe_levels(const struct rvm_state *state, const struct model_lane *lane, bool leaves, uint64_t tag,
			     uint64_t address, uint64_t first, uint64_t last, struct model_probe *probes)
{
	bool skip = leaves && !state->common.maysets;
	unsigned n = 0;

	for (uint64_t level = first; level <= last; level++) {
		uint64_t local = (tag & KEY_LOCAL) | level << TAG_LEVEL_LSB;
		uint64_t global = (tag & KEY_GLOBAL) | RVM_LINE_GLOBAL | level << TAG_LEVEL_LSB;

		if (!skip || (lane->sizes & seen_bit(local)))
			probes[n++] = (struct model_probe){ KEY_LOCAL, local, address & ~level_mask(level) };
		if ((tag & TAG_CLASS) >> TAG_CLASS_LSB != RVM_CLASS_FIRST)
			continue;
		if (!skip || (lane->sizes & seen_bit(global)))
			probes[n++] = (struct model_probe){ KEY_GLOBAL, global, address & ~level_mask(level) };
	}
	return n;
}

static void fill(const struct iommu_model *model, struct iommu_request *request, bool leaf, uint64_t tag, uint64_t level,
		 uint64_t address, uint64_t word)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (work->flags & RVM_F_UNCACHED)
		return;
	if (tag & RVM_LINE_GLOBAL)
		tag &= ~TAG_PASID; /* the PSCID that it was found by says nothing */
	line[0] = tag | level << TAG_LEVEL_LSB;
	line[1] = address & ~level_mask(level);
	line[2] = word;
	if (leaf && !state->common.maysets)
		lane->sizes |= seen_bit(line[0]);
	model_cache_fill(&state->common, leaf ? &state->iotlb : &state->walk, lane, tag & RVM_LINE_GLOBAL ? KEY_GLOBAL : KEY_LOCAL,
			 line, work->gens);
}

/* The second stage's lines: by GSCID alone. */
static uint64_t second_tag(const struct rvm_work *work, uint64_t class)
{
	return TAG_VALID | class << TAG_CLASS_LSB | RVM_LINE_GUEST | GET(RISCV_DC, GSCID, work->dc) << TAG_DOMAIN_LSB;
}

/* ---- Second stage ---- */

static uint64_t second_levels(const struct rvm_work *work)
{
	return GET(RISCV_DC, G_MODE, work->dc) - RISCV_G_SV39X4 + 3;
}

/* P SvNx4: the root is four times as large. */
static uint64_t second_entry_at(const struct rvm_work *work)
{
	uint64_t level = work->ss & RVM_LEVEL;
	uint64_t index = work->gpa >> level_shift(level) & (level == second_levels(work) ? 2047 : 511);

	return (work->ss & RVM_ADDR) + index * 8;
}

void rvm_second_stage(struct iommu_request *request, uint64_t gpa, unsigned purpose)
{
	struct rvm_work *work = rvm_work(request);

	work->gpa = gpa;
	work->ss = 0;
	work->flags = (work->flags & ~RVM_F_PURPOSE) | (uint64_t)purpose << RVM_F_PURPOSE_LSB;
	request->pc = RVM_PC_SECOND_LOOKUP;
}

/* The first stage's result is in gpa and rights. Steps 18 to 20. */
static void first_stage_done(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);

	work->at = 0;
	work->table = 0;
	work->pte = 0;
	work->pc[0] = 0;
	work->flags &= ~(RVM_F_TRIES | RVM_F_GLOBAL | RVM_F_DIRECTORY);
	if (!rvm_nested(work) && GET(RISCV_DCX, MSI_MODE, work->dc) == RISCV_MSI_OFF) {
		done(model, request, work->gpa, (work->rights & RVM_PAGE_LEVEL) >> RVM_PAGE_LEVEL_LSB, work->rights & RVM_RIGHTS);
		return;
	}
	rvm_second_stage(request, work->gpa, RVM_FOR_ACCESS);
}

void rvm_no_first_stage(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);

	work->rights = RVM_MAY_READ | RVM_MAY_WRITE | RVM_MAY_EXEC | RVM_MAY_USER | RVM_DIRTY | NO_LEVEL << RVM_PAGE_LEVEL_LSB;
	work->flags &= ~RVM_F_DIRECTORY;
	rvm_second_stage(request, work->iova, RVM_FOR_ACCESS);
	/*
	 * With neither stage, to have the context is to be translated ("already been processed", 3.1.2): an IOFENCE.C waits. Nothing
	 * else would: 6.3.1 has no IOTINVAL for such a context.
	 */
	if (!rvm_nested(work) && GET(RISCV_DCX, MSI_MODE, work->dc) == RISCV_MSI_OFF)
		done(model, request, work->gpa, NO_LEVEL, work->rights & RVM_RIGHTS);
}

/* The second stage has translated gpa. */
static void second_stage_done(const struct iommu_model *model, struct iommu_request *request, uint64_t spa, uint64_t level,
			      uint64_t rights)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t first = (work->rights & RVM_PAGE_LEVEL) >> RVM_PAGE_LEVEL_LSB;
	uint64_t pbmt = work->rights & RVM_PBMT;

	work->ss = 0;
	work->flags &= ~RVM_F_TRIES2;
	switch (rvm_purpose(work)) {
	case RVM_FOR_DIRECTORY:
		work->at = spa;
		rvm_directory_fetched(model, request);
		break;
	case RVM_FOR_TABLE:
		work->at = spa;
		if ((work->table & RVM_LEVEL) == FS_LEVELS(work)) {
			rvm_pointer_fill(model, request, spa);
			work->flags &= ~RVM_F_DIRECTORY;
		}
		request->pc = RVM_PC_FIRST;
		break;
	case RVM_FOR_MARK:
		work->at = spa;
		request->pc = RVM_PC_FIRST_MARK;
		break;
	default:
		/* A nested page is as large as the smaller one of the two; the first stage's memory type goes first (P Svpbmt). */
		rights &= work->rights | RVM_PBMT;
		if (pbmt)
			rights = (rights & ~RVM_PBMT) | pbmt;
		done(model, request, spa, level < first ? level : first, rights);
		break;
	}
}

static void second_leaf(const struct iommu_model *model, struct iommu_request *request, uint64_t pte)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->ss & RVM_LEVEL;
	uint64_t page = pte_page(pte, work->gpa);
	uint64_t rights = pte_rights(pte);
	uint64_t tag = second_tag(work, RVM_CLASS_SECOND) | (GET(RISCV_PTE, N, &pte) ? RVM_LINE_NAPOT : 0);

	fill(model, request, true, tag, level, work->gpa, page | rights);
	second_stage_done(model, request, page | (work->gpa & level_mask(level)), level, rights);
}

static void second_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t pte)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->ss & RVM_LEVEL;
	uint64_t missing;

	if (pte_bad(state, pte, level)) {
		guest_fault(model, request);
		return;
	}
	if (!pte_leaf(pte)) {
		uint64_t table = RISCV_ADDR(GET(RISCV_PTE, PPN, &pte));

		fill(model, request, false, second_tag(work, RVM_CLASS_SECOND), level, work->gpa, table);
		work->ss = table | (level - 1);
		request->pc = RVM_PC_SECOND;
		return;
	}
	if (second_stage_denies(request, work, pte_rights(pte))) {
		guest_fault(model, request);
		return;
	}
	missing = pte_missing(pte, second_stage_writes(request, work, pte_rights(pte)));
	if (missing && GET(RISCV_DC, GADE, work->dc)) {
		/* A first-stage entry of which the flags are about to be set is kept meanwhile: table says where it is. */
		if (rvm_purpose(work) == RVM_FOR_MARK)
			work->at = work->pte;
		work->pte = pte;
		request->pc = RVM_PC_SECOND_MARK;
		return;
	}
	/* A translation request that may at least read gets that (answer() leaves W out without D). */
	if (missing && !(missing == BITS(RISCV_PTE, D) && rvm_purpose(work) == RVM_FOR_ACCESS &&
			 request->kind == IOMMU_REQUEST_TRANSLATION && (wanted(request) & pte_rights(pte) & RVM_MAY_READ))) {
		guest_fault(model, request);
		return;
	}
	second_leaf(model, request, pte);
}

static void second_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t kept = work->at;
	uint64_t pte;
	int ret = mark(model, request, second_entry_at(work),
		       pte_missing(work->pte, second_stage_writes(request, work, pte_rights(work->pte))), RVM_F_TRIES2_LSB);

	if (ret < 0) {
		access_fault(model, request);
		return;
	}
	pte = work->pte;
	work->pte = 0;
	if (rvm_purpose(work) == RVM_FOR_MARK) {
		work->pte = kept;
		work->at = 0;
	}
	if (ret)
		second_leaf(model, request, pte);
	else
		second_entry(model, request, pte); /* as if it had been fetched now */
}

static void second_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_work *work = rvm_work(request);
	uint64_t address = second_entry_at(work);
	uint64_t pte;

	if (rvm_beyond(rvm_state(model), address) || !port->read64(port->ctx, address, &pte)) {
		access_fault(model, request);
		return;
	}
	second_entry(model, request, pte);
}

/* ---- MSI page tables (2.3.3) ---- */

static bool msi_matches(const struct rvm_work *work)
{
	uint64_t mask = GET(RISCV_DCX, MSI_MASK, work->dc);

	return GET(RISCV_DCX, MSI_MODE, work->dc) != RISCV_MSI_OFF &&
	       (work->gpa >> 12 & ~mask) == (GET(RISCV_DCX, MSI_PATTERN, work->dc) & ~mask);
}

static uint64_t extract(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;
	unsigned to = 0;

	for (unsigned from = 0; from < 52; from++) {
		if (mask >> from & 1)
			result |= (value >> from & 1) << to++;
	}
	return result;
}

static void msi_done(const struct iommu_model *model, struct iommu_request *request, uint64_t page)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t rights = RVM_MAY_READ | RVM_MAY_WRITE | RVM_MAY_USER | RVM_DIRTY;

	if (request->kind != IOMMU_REQUEST_TRANSLATION && (request->access & IOMMU_EXEC)) {
		rvm_fault(model, request, RISCV_CAUSE_ACCESS_EXECUTE, 0);
		return;
	}
	done(model, request, page | (work->gpa & 0xfff), 1, rights & work->rights);
}

static void msi_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t tag = second_tag(work, RVM_CLASS_MSI) | 1ull << TAG_LEVEL_LSB;
	const struct model_probe probe = { KEY_LOCAL, tag & KEY_LOCAL, work->gpa & ~0xfffull };
	uint64_t line[LINE_WORDS_MAX];

	/* Without a GSCID there is no command that would remove the line alone: nothing is kept. */
	if (rvm_nested(work) && look_up(model, request, &rvm_state(model)->iotlb, &probe, 1, line)) {
		msi_done(model, request, line[2] & RVM_ADDR);
		return;
	}
	work->at = RISCV_ADDR(GET(RISCV_DCX, MSI_PPN, work->dc)) |
		   extract(work->gpa >> 12, GET(RISCV_DCX, MSI_MASK, work->dc)) << 4;
	request->pc = RVM_PC_MSI;
}

/* A 9.5: of an entry in basic mode the second doubleword is software's. */
static void msi_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t used[2] = { 0, 0 };
	uint64_t entry, page;

	if (rvm_beyond(state, work->at) || !port->read64(port->ctx, work->at, &entry)) {
		rvm_fault(model, request, RISCV_CAUSE_MSI_ACCESS, 0);
		return;
	}
	if (!GET(RISCV_MSIPTE, V, &entry)) {
		rvm_fault(model, request, RISCV_CAUSE_MSI_ABSENT, 0);
		return;
	}
	RISCV_MSIPTE_LIST(S, LAYOUT_NAME_BITS)
	/* C=1 is whatever an implementation makes of it: nothing. M=1 needs capabilities.MSI_MRIF. */
	if (GET(RISCV_MSIPTE, C, &entry) || GET(RISCV_MSIPTE, M, &entry) != RISCV_MSIPTE_M_BASIC || (entry & ~used[0])) {
		rvm_fault(model, request, RISCV_CAUSE_MSI_MISCONFIGURED, 0);
		return;
	}
	page = RISCV_ADDR(GET(RISCV_MSIPTE, PPN, &entry));
	if (rvm_nested(work))
		fill(model, request, true, second_tag(work, RVM_CLASS_MSI), 1, work->gpa, page);
	else
		model_stamp(&rvm_state(model)->common); /* nor is it kept as a shortcut */
	msi_done(model, request, page);
}

static void second_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t tag = second_tag(work, RVM_CLASS_SECOND);
	struct model_probe probes[5];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t levels = second_levels(work);
	unsigned n;

	if (rvm_purpose(work) == RVM_FOR_ACCESS) {
		if (msi_matches(work)) {
			msi_look_up(model, request);
			return;
		}
		if (!rvm_nested(work)) {
			done(model, request, work->gpa, (work->rights & RVM_PAGE_LEVEL) >> RVM_PAGE_LEVEL_LSB,
			     work->rights & RVM_RIGHTS);
			return;
		}
	}
	if (work->gpa >> (level_shift(levels + 1) + 2)) {
		guest_fault(model, request);
		return;
	}
	n = probe_levels(state, lane, true, tag, work->gpa, 1, levels, probes);
	if (look_up(model, request, &state->iotlb, probes, n, line)) {
		uint64_t rights = line[2] & RVM_RIGHTS;
		uint64_t level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;

		if (second_stage_denies(request, work, rights)) {
			guest_fault(model, request);
			return;
		}
		/* The first write to a page is walked for, because of D. */
		if ((rights & RVM_DIRTY) || !second_stage_writes(request, work, rights)) {
			second_stage_done(model, request, (line[2] & RVM_ADDR) | (work->gpa & level_mask(level)), level, rights);
			return;
		}
	}
	if (rvm_purpose(work) == RVM_FOR_ACCESS)
		rvm_count(model, request, RISCV_EVENT_TLB_MISS);
	rvm_count(model, request, RISCV_EVENT_SECOND_WALK);
	n = probe_levels(state, lane, false, tag, work->gpa, 2, levels, probes);
	if (look_up(model, request, &state->walk, probes, n, line))
		work->ss = (line[2] & RVM_ADDR) | (((line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB) - 1);
	else
		work->ss = RISCV_ADDR(GET(RISCV_DC, G_PPN, work->dc)) | levels;
	request->pc = RVM_PC_SECOND;
}

/* ---- First stage ---- */

void rvm_first_stage(const struct iommu_model *model, struct iommu_request *request, uint64_t mode, uint64_t root, uint64_t pscid)
{
	struct rvm_work *work = rvm_work(request);
	unsigned unused;

	if (mode == RISCV_S_BARE) {
		rvm_no_first_stage(model, request);
		return;
	}
	work->tag = TAG_VALID | (uint64_t)RVM_CLASS_FIRST << TAG_CLASS_LSB | pscid << TAG_PASID_LSB;
	if (rvm_nested(work))
		work->tag |= RVM_LINE_GUEST | GET(RISCV_DC, GSCID, work->dc) << TAG_DOMAIN_LSB;
	else
		work->flags &= ~RVM_F_DIRECTORY;
	FS_LEVELS(work) = mode - RISCV_S_SV39 + 3;
	work->table = root | FS_LEVELS(work);
	/* P Sv39: bits above the table's reach repeat the highest one within it. */
	unused = 64 - level_shift(FS_LEVELS(work) + 1);
	if ((int64_t)(work->iova << unused) >> unused != (int64_t)work->iova) {
		page_fault(model, request);
		return;
	}
	request->pc = RVM_PC_FIRST_LOOKUP;
}

static uint64_t first_entry_at(const struct rvm_work *work)
{
	return (work->table & RVM_ADDR) + (work->iova >> level_shift(work->table & RVM_LEVEL) & 511) * 8;
}

static void first_descend(const struct iommu_model *model, struct iommu_request *request, uint64_t table, uint64_t level)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t spa;

	work->table = table | level;
	work->pte = 0;
	work->at = first_entry_at(work);
	request->pc = RVM_PC_FIRST;
	if (!rvm_nested(work))
		return;
	if (level == FS_LEVELS(work)) {
		work->flags = (work->flags & ~RVM_F_PURPOSE) | (uint64_t)RVM_FOR_TABLE << RVM_F_PURPOSE_LSB;
		if (rvm_pointer_look_up(model, request, work->at, &spa)) {
			work->at = spa;
			work->gpa = 0;
			work->flags &= ~RVM_F_DIRECTORY;
			return;
		}
	} else {
		work->flags &= ~RVM_F_DIRECTORY;
	}
	spa = work->at;
	work->at = 0;
	rvm_second_stage(request, spa, RVM_FOR_TABLE);
}

static void first_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[10];
	uint64_t line[LINE_WORDS_MAX];
	unsigned n = probe_levels(state, lane, true, work->tag, work->iova, 1, FS_LEVELS(work), probes);

	if (look_up(model, request, &state->iotlb, probes, n, line)) {
		uint64_t rights = line[2] & RVM_RIGHTS;
		uint64_t level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;

		if (first_stage_denies(request, work, rights)) {
			page_fault(model, request);
			return;
		}
		if ((rights & RVM_DIRTY) || !will_write(request, rights)) {
			work->gpa = (line[2] & RVM_ADDR) | (work->iova & level_mask(level));
			work->rights = rights | level << RVM_PAGE_LEVEL_LSB;
			first_stage_done(model, request);
			return;
		}
	}
	rvm_count(model, request, RISCV_EVENT_TLB_MISS);
	rvm_count(model, request, RISCV_EVENT_FIRST_WALK);
	n = probe_levels(state, lane, false, work->tag, work->iova, 2, FS_LEVELS(work), probes);
	if (look_up(model, request, &state->walk, probes, n, line)) {
		if (line[0] & RVM_LINE_GLOBAL)
			work->flags |= RVM_F_GLOBAL;
		first_descend(model, request, line[2] & RVM_ADDR, ((line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB) - 1);
		return;
	}
	first_descend(model, request, work->table & RVM_ADDR, FS_LEVELS(work));
}

static uint64_t first_tag(const struct rvm_work *work)
{
	return work->tag | (work->flags & RVM_F_GLOBAL ? RVM_LINE_GLOBAL : 0);
}

static void first_leaf(const struct iommu_model *model, struct iommu_request *request, uint64_t pte)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->table & RVM_LEVEL;
	uint64_t page = pte_page(pte, work->iova);
	uint64_t tag = first_tag(work) | (GET(RISCV_PTE, N, &pte) ? RVM_LINE_NAPOT : 0);

	fill(model, request, true, tag, level, work->iova, page | pte_rights(pte));
	work->gpa = page | (work->iova & level_mask(level));
	work->rights = pte_rights(pte) | level << RVM_PAGE_LEVEL_LSB;
	first_stage_done(model, request);
}

static void first_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t pte)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->table & RVM_LEVEL;
	uint64_t missing;

	work->pte = 0;
	if (pte_bad(state, pte, level)) {
		page_fault(model, request);
		return;
	}
	if (GET(RISCV_PTE, G, &pte))
		work->flags |= RVM_F_GLOBAL;
	if (!pte_leaf(pte)) {
		uint64_t table = RISCV_ADDR(GET(RISCV_PTE, PPN, &pte));

		fill(model, request, false, first_tag(work), level, work->iova, table);
		first_descend(model, request, table, level - 1);
		return;
	}
	if (first_stage_denies(request, work, pte_rights(pte))) {
		page_fault(model, request);
		return;
	}
	missing = pte_missing(pte, will_write(request, pte_rights(pte)));
	if (missing && GET(RISCV_DC, SADE, work->dc)) {
		work->pte = pte;
		/* P: the update is an implicit write, for which the second stage has to allow writing. */
		if (rvm_nested(work)) {
			work->at = 0;
			rvm_second_stage(request, first_entry_at(work), RVM_FOR_MARK);
		} else {
			request->pc = RVM_PC_FIRST_MARK;
		}
		return;
	}
	if (missing && !(missing == BITS(RISCV_PTE, D) && request->kind == IOMMU_REQUEST_TRANSLATION &&
			 (wanted(request) & pte_rights(pte) & RVM_MAY_READ))) {
		page_fault(model, request);
		return;
	}
	first_leaf(model, request, pte);
}

static void first_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_work *work = rvm_work(request);
	uint64_t pte;

	if (rvm_beyond(rvm_state(model), work->at) || !port->read64(port->ctx, work->at, &pte)) {
		access_fault(model, request);
		return;
	}
	first_entry(model, request, pte);
}

static void first_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t pte;
	int ret = mark(model, request, work->at, pte_missing(work->pte, will_write(request, pte_rights(work->pte))),
		       RVM_F_TRIES_LSB);

	if (ret < 0) {
		access_fault(model, request);
		return;
	}
	pte = work->pte;
	work->pte = 0;
	if (ret)
		first_leaf(model, request, pte);
	else
		first_entry(model, request, pte);
}

void rvm_walk_step(const struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case RVM_PC_FIRST_LOOKUP:
		first_look_up(model, request);
		break;
	case RVM_PC_FIRST:
		first_fetch(model, request);
		break;
	case RVM_PC_FIRST_MARK:
		first_mark(model, request);
		break;
	case RVM_PC_MSI:
		msi_fetch(model, request);
		break;
	case RVM_PC_SECOND_LOOKUP:
		second_look_up(model, request);
		break;
	case RVM_PC_SECOND:
		second_fetch(model, request);
		break;
	case RVM_PC_SECOND_MARK:
		second_mark(model, request);
		break;
	default:
		/* Not a state that the model leaves a running request in. */
		rvm_fault(model, request, RISCV_CAUSE_INTERNAL, 0);
		break;
	}
}
