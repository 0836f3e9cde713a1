/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_walk.c - the IOTLB, and the walk through the paging structures of one stage or two (3.6, 3.7, 3.8, 6.2, 9.7, 9.8).
 *
 * One step reads one entry, or sets the flags of one, or looks into one cache. A nested walk of the first stage does a whole walk
 * of the second for the address of each of its entries, and one for what the last entry says.
 */
#include "vtd_rights.h"

#define MAX_TRIES 16 /* of an update of A and D that others keep overtaking */

static uint64_t entry_offset(uint64_t address, uint64_t level)
{
	return (address >> level_shift(level) & 511) * 8;
}

/* ---- The end of a successful translation ---- */

static void done(const struct iommu_model *model, struct iommu_request *request, uint64_t page, uint64_t level, uint64_t rights)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);

	request->size = level_mask(level) + 1;
	request->phys = page | (work->iova & level_mask(level));
	request->rights = answer(request, work, rights);
	if (to_interrupt_range(request->phys)) {
		request->phys = 0;
		request->size = 0;
		request->rights = 0;
		vtdm_fault(model, request, interrupt_fault(work));
		return;
	}
	if (request->kind == IOMMU_REQUEST_TRANSLATION) {
		uint64_t line[LINE_WORDS_MAX] = { 0 };
		uint64_t mask = TAG_VALID | TAG_SOURCE | TAG_PASID | VTDM_LINE_HAS_PASID | TAG_LEVEL;

		line[0] = TAG_VALID | (request->rid & TAG_SOURCE) | level << TAG_LEVEL_LSB;
		if (request->pasid != IOMMU_NO_PASID)
			line[0] |= VTDM_LINE_HAS_PASID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		line[1] = work->iova & ~level_mask(level);
		line[2] = page | (request->rights & ~IOMMU_PRIV);
		model_cache_fill(&state->common, &state->devtlb, model_lane(&state->common, request->lane), mask, line, work->gens);
	}
	/* What is left is what iommu_model_drained() needs. */
	work->gens[0] = work->gens[1] = 0;
	work->fs = work->ss = 0;
	work->gpa = 0;
	work->rights = 0;
	work->flags &= VTDM_F_LANES | VTDM_F_SCALABLE;
	request->state = IOMMU_REQUEST_DONE;
	request->pc = VTDM_PC_END;
}

/* ---- IOTLB ---- */

void vtdm_iotlb_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[3];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t sizes = state->common.maysets ? ~0ull : lane->sizes;
	unsigned n = 0, reason;

	for (uint64_t level = 1; level <= 3; level++) {
		/* A lane that never saw a page of this size needs not look for one. */
		if (!(sizes & 1ull << level))
			continue;
		probes[n].mask = IOTLB_KEY;
		probes[n].tag = (work->tag & IOTLB_KEY & ~TAG_LEVEL) | level << TAG_LEVEL_LSB;
		probes[n].address = work->iova & ~level_mask(level);
		n++;
	}
	if (model_cache_look_up(&state->common, model->port, &state->iotlb, lane, probes, n, line)) {
		uint64_t rights = line[2] & VTDM_RIGHTS;
		uint64_t level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;

		if (line[0] & TAG_ABSENT) {
			vtdm_fault(model, request, (unsigned)line[2]);
			return;
		}
		reason = denied(request, work, rights);
		if (reason) {
			vtdm_fault(model, request, reason);
			return;
		}
		/* The first write to a page is walked for, because of D. */
		if (!wants_write(request) || (rights & VTDM_DIRTY)) {
			done(model, request, line[2] & VTDM_ADDR, level, rights);
			return;
		}
	}
	work->rights = VTDM_MAY_ALL;
	work->gpa = work->iova;
	if (!work->fs && !work->ss) { /* pass-through */
		work->rights |= 1ull << VTDM_PAGE_LEVEL_LSB;
		work->gpa = work->iova & ~0xfffull;
		request->pc = VTDM_PC_FILL;
		return;
	}
	request->pc = work->fs ? VTDM_PC_WALK_LOOKUP : VTDM_PC_SECOND_LOOKUP;
}

static void iotlb_fill(struct vtdm_state *state, struct iommu_request *request, const uint64_t *line)
{
	struct model_lane *lane = model_lane(&state->common, request->lane);

	if (!state->common.maysets)
		lane->sizes |= 1ull << ((line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB);
	model_cache_fill(&state->common, &state->iotlb, lane, IOTLB_KEY, line, vtdm_work(request)->gens);
}

/* The page's address is in gpa, its level and rights in rights. */
static void fill(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = (work->rights & VTDM_PAGE_LEVEL) >> VTDM_PAGE_LEVEL_LSB;
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	line[0] = work->tag | level << TAG_LEVEL_LSB;
	line[1] = work->iova & ~level_mask(level);
	line[2] = work->gpa | (work->rights & VTDM_RIGHTS);
	iotlb_fill(state, request, line);
	done(model, request, work->gpa, level, work->rights & VTDM_RIGHTS);
}

/* A paging entry that isn't present. Caching mode keeps that in mind, too. */
static void absent(const struct iommu_model *model, struct iommu_request *request, unsigned reason)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);

	if (GET(VTD_CAP, CM, &state->cap)) {
		uint64_t line[LINE_WORDS_MAX] = { 0 };

		line[0] = work->tag | TAG_ABSENT | 1ull << TAG_LEVEL_LSB;
		line[1] = work->iova & ~0xfffull;
		line[2] = reason;
		iotlb_fill(state, request, line);
	}
	vtdm_fault(model, request, reason);
}

/* ---- Paging-structure caches: a line is an entry of level n that points to a table, and what those before it allowed ---- */

#define WALK_KEY (TAG_VALID | VTDM_CLASS_BY_PASID | TAG_DOMAIN | TAG_PASID | TAG_LEVEL)

/* The second stage's lines have its own tag even within a nested walk: no PASID. */
static uint64_t walk_tag(const struct vtdm_work *work, bool second)
{
	if (!second)
		return work->tag;
	return TAG_VALID | (uint64_t)VTDM_CLASS_SECOND << TAG_CLASS_LSB | (work->tag & TAG_DOMAIN);
}

/* The nearest table to the leaf that is known: *at is it and its level, *rights what has been allowed on the way. */
static void walk_lookup(const struct iommu_model *model, struct iommu_request *request, bool second, uint64_t address, uint64_t *at,
			uint64_t *rights)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t stage = second ? work->ss : work->fs;
	uint64_t levels = stage & VTDM_STAGE_LEVELS;
	struct model_probe probes[4];
	uint64_t line[LINE_WORDS_MAX];
	unsigned n = 0;

	for (uint64_t level = 2; level <= levels; level++, n++) {
		probes[n].mask = WALK_KEY;
		probes[n].tag = (walk_tag(work, second) & WALK_KEY) | level << TAG_LEVEL_LSB;
		probes[n].address = address & ~level_mask(level);
	}
	if (model_cache_look_up(&state->common, model->port, &state->walk, model_lane(&state->common, request->lane), probes, n,
				line)) {
		*at = (line[2] & VTDM_ADDR) | (((line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB) - 1);
		*rights = line[2] & VTDM_RIGHTS;
		return;
	}
	*at = (stage & VTDM_ADDR) | levels;
	*rights = VTDM_MAY_ALL;
}

static void walk_fill(const struct iommu_model *model, struct iommu_request *request, bool second, uint64_t address,
		      uint64_t level, uint64_t table, uint64_t rights)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	line[0] = walk_tag(work, second) | level << TAG_LEVEL_LSB;
	line[1] = address & ~level_mask(level);
	line[2] = table | (rights & VTDM_RIGHTS);
	model_cache_fill(&state->common, &state->walk, model_lane(&state->common, request->lane), WALK_KEY, line, work->gens);
}

#define FS_RIGHTS (VTDM_MAY_WRITE_FS | VTDM_MAY_EXEC | VTDM_MAY_USER)
#define SS_RIGHTS (VTDM_MAY_READ | VTDM_MAY_WRITE)

/* ---- Second stage ---- */

static void first_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_work *work = vtdm_work(request);
	uint64_t rights;

	walk_lookup(model, request, false, work->iova, &work->fs_at, &rights);
	work->rights = (work->rights & ~FS_RIGHTS) | (rights & FS_RIGHTS);
	request->pc = VTDM_PC_FIRST;
	if (nested(work)) {
		work->gpa = (work->fs_at & VTDM_ADDR) + entry_offset(work->iova, work->fs_at & VTDM_LEVEL);
		request->pc = VTDM_PC_SECOND_LOOKUP;
	}
}

static bool for_first_stage_entry(const struct vtdm_work *work)
{
	return nested(work) && !(work->flags & VTDM_F_FINAL);
}

static void second_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t width = level_shift((work->ss & VTDM_STAGE_LEVELS) + 1);
	uint64_t rights;

	if (nested(work) && work->gpa >> (width < state->mgaw ? width : state->mgaw)) {
		vtdm_fault(model, request, work->flags & VTDM_F_FINAL ? VTD_FR_SS_ADDRESS_SM : VTD_FR_FS_NESTED_ADDRESS);
		return;
	}
	walk_lookup(model, request, true, work->gpa, &work->ss_at, &rights);
	work->rights = (work->rights & ~SS_RIGHTS) | (rights & SS_RIGHTS);
	request->pc = VTDM_PC_SECOND;
}

/* 9.8: reserved bits of a present second-stage entry. */
static bool second_reserved(const struct vtdm_state *state, uint64_t entry, uint64_t level, bool leaf)
{
	if (BITS(VTD_SS, ADDR) & entry & ~((1ull << state->haw) - 1))
		return true;
	if (!leaf)
		return entry & (BITS(VTD_SS, SNP) | BITS(VTD_SS, TM) | BITS(VTD_SS, PS));
	if ((entry & BITS(VTD_SS, SNP)) && !GET(VTD_ECAP, SC, &state->ecap))
		return true;
	if ((entry & BITS(VTD_SS, TM)) && !GET(VTD_ECAP, DT, &state->ecap))
		return true;
	return level > 1 && (entry & BITS(VTD_SS, ADDR) & level_mask(level));
}

static bool second_is_leaf(const struct vtdm_state *state, uint64_t entry, uint64_t level)
{
	if (level == 1)
		return true;
	/* CAP.SSLPS: bit 0 for level 2, bit 1 for level 3. Elsewhere the bit is reserved. */
	return (entry & BITS(VTD_SS, PS)) && level <= 3 && (GET(VTD_CAP, SSLPS, &state->cap) >> (level - 2) & 1);
}

static void second_advance(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->ss_at & VTDM_LEVEL;
	uint64_t page = GET_ADDR(VTD_SS, ADDR, &entry);
	uint64_t page_level;

	work->entry[0] = 0;
	work->flags &= ~VTDM_F_TRIES;
	if (!second_is_leaf(state, entry, level)) {
		walk_fill(model, request, true, work->gpa, level, page, (work->rights & SS_RIGHTS) | (VTDM_MAY_ALL & ~SS_RIGHTS));
		work->ss_at = page | (level - 1);
		request->pc = VTDM_PC_SECOND;
		return;
	}
	if (for_first_stage_entry(work)) {
		work->at = page | (work->gpa & level_mask(level));
		work->ss_at = 0;
		request->pc = VTDM_PC_FIRST;
		return;
	}
	if ((work->ss & VTDM_STAGE_AD) && !(entry & BITS(VTD_SS, D)))
		work->rights &= ~VTDM_DIRTY;
	/* A nested page is as large as the smaller one of the two stages. */
	page_level = (work->rights & VTDM_PAGE_LEVEL) >> VTDM_PAGE_LEVEL_LSB;
	if (!nested(work) || level < page_level)
		page_level = level;
	work->gpa = (page | (work->gpa & level_mask(level))) & ~level_mask(page_level);
	work->rights = (work->rights & VTDM_RIGHTS) | page_level << VTDM_PAGE_LEVEL_LSB;
	work->ss_at = 0;
	request->pc = VTDM_PC_FILL;
}

static void second_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->ss_at & VTDM_LEVEL;
	bool leaf = second_is_leaf(state, entry, level);
	bool inner = for_first_stage_entry(work);
	uint64_t flags = 0;
	unsigned reason;

	if (!(entry & (BITS(VTD_SS, R) | BITS(VTD_SS, W)))) {
		if (inner)
			absent(model, request, (work->fs_at & VTDM_LEVEL) == (work->fs & VTDM_STAGE_LEVELS) ?
				VTD_FR_FSPTPTR_NESTED_READ : VTD_FR_FS_NESTED_READ);
		else if (legacy(work))
			absent(model, request, wants_write(request) ? VTD_FR_SS_WRITE : VTD_FR_SS_READ);
		else
			absent(model, request, VTD_FR_SS_ABSENT_SM);
		return;
	}
	if (second_reserved(state, entry, level, leaf)) {
		vtdm_fault(model, request, legacy(work) ? VTD_FR_TABLE_RESERVED : VTD_FR_SS_RESERVED_SM);
		return;
	}
	if (!(entry & BITS(VTD_SS, R)))
		work->rights &= ~VTDM_MAY_READ;
	if (!(entry & BITS(VTD_SS, W)))
		work->rights &= ~VTDM_MAY_WRITE;
	if (leaf) {
		if (inner)
			reason = work->rights & VTDM_MAY_READ ? 0 :
				(work->fs_at & VTDM_LEVEL) == (work->fs & VTDM_STAGE_LEVELS) ?
				VTD_FR_FSPTPTR_NESTED_READ : VTD_FR_FS_NESTED_READ;
		else
			reason = second_stage_denies(request, work, work->rights);
		if (!reason && !inner &&
		    to_interrupt_range(GET_ADDR(VTD_SS, ADDR, &entry) | (work->gpa & level_mask(level))))
			reason = interrupt_fault(work);
		if (reason) {
			vtdm_fault(model, request, reason);
			return;
		}
	}
	/* 3.7.2. Where the first stage's own flags live counts as written to. */
	if (work->ss & VTDM_STAGE_AD) {
		flags = BITS(VTD_SS, A);
		if (leaf && (inner ? (work->rights & VTDM_MAY_WRITE) != 0 : wants_write(request)))
			flags |= BITS(VTD_SS, D);
	}
	if (flags & ~entry) {
		work->entry[0] = entry;
		work->entry[1] = entry | flags;
		request->pc = VTDM_PC_SECOND_MARK;
		return;
	}
	second_advance(model, request, entry);
}

static void second_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->ss_at & VTDM_LEVEL;
	bool top = level == (work->ss & VTDM_STAGE_LEVELS);
	uint64_t entry;

	if (!port->read64(port->ctx, (work->ss_at & VTDM_ADDR) + entry_offset(work->gpa, level), &entry)) {
		if (legacy(work))
			vtdm_fault(model, request, top ? VTD_FR_CONTEXT_INVALID : VTD_FR_TABLE_ACCESS);
		else
			vtdm_fault(model, request, top ? VTD_FR_SSPTPTR_ACCESS : VTD_FR_SS_ACCESS_SM);
		return;
	}
	second_entry(model, request, entry);
}

/* Sets entry[1] where entry[0] is. 1: done; 0: something else is there now, in entry[0]; -1: it can't be. */
static int mark(const struct iommu_model *model, struct iommu_request *request, uint64_t address)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_work *work = vtdm_work(request);
	uint64_t tries = (work->flags & VTDM_F_TRIES) >> VTDM_F_TRIES_LSB;

	if (port->cas64(port->ctx, address, &work->entry[0], work->entry[1])) {
		if (port->dirty)
			port->dirty(port->ctx, address);
		return 1;
	}
	if (tries + 1 >= MAX_TRIES)
		return -1;
	work->flags += 1ull << VTDM_F_TRIES_LSB;
	return 0;
}

static void second_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->ss_at & VTDM_LEVEL;
	uint64_t marked = work->entry[1];
	uint64_t entry;
	int ret;

	if (!(work->ss & VTDM_STAGE_SNOOP)) {
		vtdm_fault(model, request, VTD_FR_SS_AD_NO_SNOOP);
		return;
	}
	ret = mark(model, request, (work->ss_at & VTDM_ADDR) + entry_offset(work->gpa, level));
	if (ret < 0) {
		vtdm_fault(model, request, VTD_FR_SS_AD_FAILED);
		return;
	}
	entry = work->entry[0];
	work->entry[0] = work->entry[1] = 0;
	if (ret)
		second_advance(model, request, marked);
	else
		second_entry(model, request, entry); /* as if it had been fetched now */
}

/* ---- First stage ---- */

static uint64_t first_address(const struct vtdm_work *work)
{
	if (nested(work))
		return work->at;
	return (work->fs_at & VTDM_ADDR) + entry_offset(work->iova, work->fs_at & VTDM_LEVEL);
}

static bool first_is_leaf(const struct vtdm_state *state, uint64_t entry, uint64_t level)
{
	if (level == 1)
		return true;
	return (entry & BITS(VTD_FS, PS)) && (level == 2 || (level == 3 && GET(VTD_CAP, FS1GP, &state->cap)));
}

/* 9.7: reserved bits of a present first-stage entry. */
static bool first_reserved(const struct vtdm_state *state, const struct vtdm_work *work, uint64_t entry, uint64_t level, bool leaf)
{
	/* A nested first stage holds input addresses of the second, which checks them. */
	if (!nested(work) && (BITS(VTD_FS, ADDR) & entry & ~((1ull << state->haw) - 1)))
		return true;
	if (!leaf && (entry & BITS(VTD_FS, PS)))
		return true;
	if ((entry & BITS(VTD_FS, XD)) && GET(VTD_ECAP, ERS, &state->ecap) && !(work->fs & VTDM_STAGE_NXE))
		return true;
	/* Bit 12 of a large page is its PAT bit. */
	return leaf && level > 1 && (entry & BITS(VTD_FS, ADDR) & level_mask(level) & ~(1ull << 12));
}

static void first_advance(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->fs_at & VTDM_LEVEL;
	uint64_t table = GET_ADDR(VTD_FS, ADDR, &entry);

	work->entry[0] = 0;
	work->at = 0;
	work->flags &= ~VTDM_F_TRIES;
	if (!first_is_leaf(state, entry, level)) {
		walk_fill(model, request, false, work->iova, level, table, (work->rights & FS_RIGHTS) | (VTDM_MAY_ALL & ~FS_RIGHTS));
		work->fs_at = table | (level - 1);
		request->pc = VTDM_PC_FIRST;
		if (nested(work)) {
			work->gpa = table + entry_offset(work->iova, level - 1);
			request->pc = VTDM_PC_SECOND_LOOKUP;
		}
		return;
	}
	if (!(entry & BITS(VTD_FS, D)))
		work->rights &= ~VTDM_DIRTY;
	work->rights = (work->rights & VTDM_RIGHTS) | level << VTDM_PAGE_LEVEL_LSB;
	work->gpa = table & ~level_mask(level);
	work->fs_at = 0;
	request->pc = VTDM_PC_FILL;
	if (nested(work)) {
		work->gpa |= work->iova & level_mask(level);
		work->flags |= VTDM_F_FINAL;
		request->pc = VTDM_PC_SECOND_LOOKUP;
	}
}

static void first_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t level = work->fs_at & VTDM_LEVEL;
	bool leaf = first_is_leaf(state, entry, level);
	uint64_t flags;
	unsigned reason;

	if (!(entry & BITS(VTD_FS, P))) {
		absent(model, request, VTD_FR_FS_ABSENT);
		return;
	}
	if (first_reserved(state, work, entry, level, leaf)) {
		vtdm_fault(model, request, VTD_FR_FS_RESERVED);
		return;
	}
	if (!(entry & BITS(VTD_FS, RW)))
		work->rights &= ~VTDM_MAY_WRITE_FS;
	if (!(entry & BITS(VTD_FS, US)))
		work->rights &= ~VTDM_MAY_USER;
	if (entry & BITS(VTD_FS, XD) && (work->fs & VTDM_STAGE_NXE))
		work->rights &= ~VTDM_MAY_EXEC;
	if (leaf) {
		reason = first_stage_denies(request, work, work->rights);
		if (!reason && !nested(work) &&
		    to_interrupt_range((GET_ADDR(VTD_FS, ADDR, &entry) & ~level_mask(level)) | (work->iova & level_mask(level))))
			reason = interrupt_fault(work);
		if (reason) {
			vtdm_fault(model, request, reason);
			return;
		}
	}
	/* 3.6.2: A in every entry that is used, D in the leaf of a page that is written. */
	flags = BITS(VTD_FS, A);
	if (work->fs & VTDM_STAGE_EAF)
		flags |= BITS(VTD_FS, EA);
	if (leaf && wants_write(request))
		flags |= BITS(VTD_FS, D);
	if (flags & ~entry) {
		work->entry[0] = entry;
		work->entry[1] = entry | flags;
		request->pc = VTDM_PC_FIRST_MARK;
		return;
	}
	first_advance(model, request, entry);
}

static void first_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_work *work = vtdm_work(request);
	bool top = (work->fs_at & VTDM_LEVEL) == (work->fs & VTDM_STAGE_LEVELS);
	uint64_t entry;

	if (!port->read64(port->ctx, first_address(work), &entry)) {
		vtdm_fault(model, request, top ? VTD_FR_FSPTPTR_ACCESS : VTD_FR_FS_ACCESS);
		return;
	}
	first_entry(model, request, entry);
}

static void first_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_work *work = vtdm_work(request);
	uint64_t marked = work->entry[1];
	uint64_t entry;
	int ret;

	if (!(work->fs & VTDM_STAGE_SNOOP)) {
		vtdm_fault(model, request, VTD_FR_FS_AD_NO_SNOOP);
		return;
	}
	if (nested(work) && !(work->rights & VTDM_MAY_WRITE)) {
		vtdm_fault(model, request, VTD_FR_FS_NESTED_WRITE);
		return;
	}
	ret = mark(model, request, first_address(work));
	if (ret < 0) {
		vtdm_fault(model, request, VTD_FR_FS_AD_FAILED);
		return;
	}
	entry = work->entry[0];
	work->entry[0] = work->entry[1] = 0;
	if (ret)
		first_advance(model, request, marked);
	else
		first_entry(model, request, entry);
}

void vtdm_walk_step(const struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case VTDM_PC_WALK_LOOKUP:
		first_look_up(model, request);
		break;
	case VTDM_PC_FIRST:
		first_fetch(model, request);
		break;
	case VTDM_PC_FIRST_MARK:
		first_mark(model, request);
		break;
	case VTDM_PC_SECOND_LOOKUP:
		second_look_up(model, request);
		break;
	case VTDM_PC_SECOND:
		second_fetch(model, request);
		break;
	case VTDM_PC_SECOND_MARK:
		second_mark(model, request);
		break;
	case VTDM_PC_FILL:
		fill(model, request);
		break;
	default:
		/* Not a state that the model leaves a running request in. */
		vtdm_refuse(request, 0);
		break;
	}
}
