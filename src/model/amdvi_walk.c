/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_walk.c - the IOTLB, and the walk through the host's and the guest's tables (2.2.3, 2.2.6).
 *
 * One step reads one entry, or sets the flags of one, or looks into one cache. A nested walk does a whole walk of the host tables
 * for each of the guest's entries, and one for what the last of them says.
 */
#include "amdvi_rights.h"

#define MAX_TRIES 16 /* of an update of A and D that others keep overtaking */

static uint64_t entry_offset(uint64_t address, uint64_t level)
{
	return (address >> amdvim_shift(level) & 511) * 8;
}

static bool nested(const struct amdvim_work *work)
{
	return guest(work) && work->host;
}

static uint64_t walked_for(const struct amdvim_work *work)
{
	return (work->flags & AMDVIM_F_FOR) >> AMDVIM_F_FOR_LSB;
}

/* ---- Faults ---- */

/* An IO_PAGE_FAULT about the address that the device named: a guest's, if its tables translate (2.5.3). */
void amdvim_page_fault(const struct iommu_model *model, struct iommu_request *request, unsigned flags)
{
	const struct amdvim_work *work = amdvim_work(request);

	if (guest(work)) {
		flags |= AMDVIM_EV_GN;
		if (work->flags & AMDVIM_F_USER)
			flags |= AMDVIM_EV_US;
		if (work->flags & AMDVIM_F_EXEC)
			flags |= AMDVIM_EV_NX;
	}
	amdvim_fault(model, request, AMDVI_EVENT_PAGE_FAULT, flags);
}

/* What the host's tables refuse is a guest physical address, in nested translation: GN=0. */
static void host_fault(const struct iommu_model *model, struct iommu_request *request, unsigned flags)
{
	amdvim_fault_at(model, request, AMDVI_EVENT_PAGE_FAULT, flags, amdvim_work(request)->gpa);
}

static void hardware_error(const struct iommu_model *model, struct iommu_request *request, unsigned flags, uint64_t address)
{
	flags |= AMDVI_ERROR_MASTER_ABORT << AMDVIM_EV_TYPE_LSB;
	amdvim_fault_at(model, request, AMDVI_EVENT_TABLE_HARDWARE, flags, address);
}

/* ---- The end of a successful translation ---- */

/* `page` is where the piece of `level` begins that holds the address; the page itself has 2^(12 + log2) bytes. */
static void done(const struct iommu_model *model, struct iommu_request *request, uint64_t page, uint64_t level, uint64_t log2,
		 uint64_t rights)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	struct amdvim_work kept;

	request->size = 1ull << (12 + log2);
	request->phys = page | (work->iova & amdvim_mask(level));
	request->rights = answer(request, work, rights);
	if (request->kind == IOMMU_REQUEST_TRANSLATION && !(work->flags & AMDVIM_F_U)) {
		uint64_t line[LINE_WORDS_MAX] = { 0 };
		uint64_t mask = TAG_VALID | TAG_SOURCE | TAG_PASID | AMDVIM_LINE_HAS_PASID | TAG_LEVEL;

		line[0] = TAG_VALID | (request->rid & TAG_SOURCE) | level << TAG_LEVEL_LSB;
		if (request->pasid != IOMMU_NO_PASID)
			line[0] |= AMDVIM_LINE_HAS_PASID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		line[1] = work->iova & ~amdvim_mask(level);
		line[2] = page | (request->rights & ~IOMMU_PRIV);
		model_cache_fill(&state->common, &state->devtlb, model_lane(&state->common, request->lane), mask, line, work->gens);
	}
	/* What is left is what iommu_model_drained() needs. */
	kept = *work;
	amdvim_clear_work(request);
	work->flags = kept.flags & AMDVIM_F_LANES;
	work->iova = kept.iova;
	work->tag = kept.tag;
	request->state = IOMMU_REQUEST_DONE;
	request->pc = AMDVIM_PC_END;
}

/* ---- IOTLB ---- */

void amdvim_iotlb_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	struct model_probe probes[AMDVIM_SIZES];
	uint64_t line[LINE_WORDS_MAX];
	unsigned n = 0;

	for (uint64_t level = 1; level <= AMDVIM_SIZES; level++) {
		/* A lane that never saw a page of this size needs not look for one. */
		if (level > 1 && !state->common.maysets && !(lane->sizes & 1ull << level))
			continue;
		probes[n].mask = IOTLB_KEY;
		probes[n].tag = (work->tag & IOTLB_KEY & ~TAG_LEVEL) | level << TAG_LEVEL_LSB;
		probes[n].address = work->iova & ~amdvim_mask(level);
		n++;
	}
	if (model_cache_look_up(&state->common, model->port, &state->iotlb, lane, probes, n, line)) {
		uint64_t rights = with_entry(work, line[2] & AMDVIM_RIGHTS);

		if (line[0] & TAG_ABSENT) {
			amdvim_page_fault(model, request, 0);
			return;
		}
		if (guest_denies(request, work, rights) || host_denies(request, rights)) {
			amdvim_page_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_PE);
			return;
		}
		/* The first write to a page is walked for, because of D. */
		if (!wants_write(request) || (rights & AMDVIM_DIRTY)) {
			if (line[0] & AMDVIM_LINE_U)
				work->flags |= AMDVIM_F_U;
			done(model, request, line[2] & AMDVIM_ADDR, (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB,
			     (line[2] & AMDVIM_LINE_SIZE) >> AMDVIM_LINE_SIZE_LSB, rights);
			return;
		}
	}
	work->rights = AMDVIM_MAY_ALL;
	work->gpa = work->iova;
	if (guest(work)) {
		request->pc = AMDVIM_PC_GCR3_LOOKUP;
		return;
	}
	/* Whoever may not do it at all needs no walk. */
	if (host_denies(request, with_entry(work, work->rights))) {
		amdvim_page_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_PE);
		return;
	}
	if (work->host) {
		request->pc = AMDVIM_PC_HOST_LOOKUP;
		return;
	}
	/* Mode 0: one to one, as far as there are physical addresses. */
	if (work->iova >> 52) {
		amdvim_page_fault(model, request, 0);
		return;
	}
	work->rights |= 1ull << AMDVIM_PAGE_LSB;
	work->gpa = work->iova & ~0xfffull;
	request->pc = AMDVIM_PC_FILL;
}

/* The page's address is in gpa, that of the byte; its size and rights in rights. */
static void fill(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t log2 = ((work->rights & AMDVIM_PAGE) >> AMDVIM_PAGE_LSB) - 1;
	uint64_t level = log2 / 9 + 1;
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	uint64_t page, rights = work->rights & AMDVIM_RIGHTS;

	page = work->gpa & ~amdvim_mask(level);
	line[0] = work->tag | level << TAG_LEVEL_LSB;
	if (work->flags & AMDVIM_F_U)
		line[0] |= AMDVIM_LINE_U;
	line[1] = work->iova & ~amdvim_mask(level);
	line[2] = page | rights | log2 << AMDVIM_LINE_SIZE_LSB;
	if (!state->common.maysets)
		lane->sizes |= 1ull << level;
	model_cache_fill(&state->common, &state->iotlb, lane, IOTLB_KEY, line, work->gens);
	done(model, request, page, level, log2, with_entry(work, rights));
}

/* A page-table entry that isn't present. With NpCache that is kept in mind, too (3.2.1). */
static void fill_absent(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (!(state->options & AMDVI_MODEL_NPCACHE))
		return;
	line[0] = work->tag | TAG_ABSENT | 1ull << TAG_LEVEL_LSB;
	line[1] = work->iova & ~0xfffull;
	model_cache_fill(&state->common, &state->iotlb, model_lane(&state->common, request->lane), IOTLB_KEY, line, work->gens);
}

/* ---- Page-directory caches: a line is an entry of level n that points to a table, and what those before it allowed ---- */

#define WALK_KEY (TAG_VALID | AMDVIM_CLASS_BY_PASID | TAG_DOMAIN | TAG_PASID | TAG_LEVEL)

/* The host tables' lines have a tag of their own even within a nested walk: no PASID. */
static uint64_t walk_tag(const struct amdvim_work *work, bool host)
{
	if (!host)
		return work->tag;
	return TAG_VALID | (uint64_t)AMDVIM_CLASS_HOST << TAG_CLASS_LSB | (work->tag & TAG_DOMAIN);
}

/*
 * The nearest table to the leaf that is known: its address and level, and *rights what has been allowed on the way. Level skipping:
 * a line says to which level it leads; what it skips must be zero in the address, or the line is not for this address.
 */
static uint64_t walk_lookup(const struct iommu_model *model, struct iommu_request *request, bool host, uint64_t address,
			    uint64_t *rights)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	uint64_t root = host ? work->host : work->guest;
	uint64_t levels = root & AMDVIM_LEVEL;
	struct model_probe probes[AMDVIM_LEVELS];
	uint64_t line[LINE_WORDS_MAX];
	unsigned n = 0;

	for (uint64_t level = 2; level <= levels; level++, n++) {
		probes[n].mask = WALK_KEY;
		probes[n].tag = (walk_tag(work, host) & WALK_KEY) | level << TAG_LEVEL_LSB;
		probes[n].address = address & ~amdvim_mask(level);
	}
	*rights = AMDVIM_MAY_ALL;
	if (n && model_cache_look_up(&state->common, model->port, &state->walk, model_lane(&state->common, request->lane),
				     probes, n, line)) {
		uint64_t level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;
		uint64_t next = (line[2] & AMDVIM_LINE_SIZE) >> AMDVIM_LINE_SIZE_LSB;

		if (!(address & amdvim_mask(level) & ~amdvim_mask(next + 1))) {
			*rights = line[2] & AMDVIM_RIGHTS;
			return (line[2] & AMDVIM_ADDR) | next;
		}
	}
	return (root & AMDVIM_ADDR) | levels;
}

static void walk_fill(const struct iommu_model *model, struct iommu_request *request, bool host, uint64_t address, uint64_t level,
		      uint64_t table, uint64_t next, uint64_t rights)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	line[0] = walk_tag(work, host) | level << TAG_LEVEL_LSB;
	line[1] = address & ~amdvim_mask(level);
	line[2] = table | rights | next << AMDVIM_LINE_SIZE_LSB;
	model_cache_fill(&state->common, &state->walk, model_lane(&state->common, request->lane), WALK_KEY, line, work->gens);
}

#define GUEST_RIGHTS (AMDVIM_MAY_WRITE_GUEST | AMDVIM_MAY_EXEC | AMDVIM_MAY_USER)
#define HOST_RIGHTS (AMDVIM_MAY_READ | AMDVIM_MAY_WRITE)

/* Sets pte[1] where pte[0] is. 1: done; 0: something else is there now, in pte[0]; -1: it can't be. */
static int mark(const struct iommu_model *model, struct iommu_request *request, uint64_t address)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_work *work = amdvim_work(request);
	uint64_t tries = (work->flags & AMDVIM_F_TRIES) >> AMDVIM_F_TRIES_LSB;

	if (port->cas64(port->ctx, address, &work->pte[0], work->pte[1])) {
		if (port->dirty)
			port->dirty(port->ctx, address);
		return 1;
	}
	if (tries + 1 >= MAX_TRIES)
		return -1;
	work->flags += 1ull << AMDVIM_F_TRIES_LSB;
	return 0;
}

/* ---- Host tables (v1) ---- */

/* Have all bits of an address that a walk from `level` downwards doesn't look at, above it, to be zero? */
static bool beyond(uint64_t address, uint64_t level)
{
	return level < AMDVIM_LEVELS && address >> amdvim_shift(level + 1);
}

static void host_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t rights;

	if (beyond(work->gpa, work->host & AMDVIM_LEVEL)) {
		host_fault(model, request, AMDVIM_EV_PR);
		return;
	}
	work->host_at = walk_lookup(model, request, true, work->gpa, &rights);
	work->rights = (work->rights & ~HOST_RIGHTS) | (rights & HOST_RIGHTS);
	request->pc = AMDVIM_PC_HOST;
}

/* 2.2.3: log2 of a page's bytes, 0: no such size at this level. */
static unsigned page_bits(uint64_t entry, uint64_t level)
{
	uint64_t address = GET_ADDR(AMDVI_V1, ADDR, &entry);
	unsigned bits = 12;

	/* There are physical addresses of 52 bits. */
	if (GET(AMDVI_V1, NEXT_LEVEL, &entry) == AMDVI_V1_NEXT_PAGE)
		return level < AMDVIM_LEVELS ? amdvim_shift(level) : 0;
	while (bits < 52 && (address >> bits & 1))
		bits++;
	bits++;
	/* Larger than the level's own pages, and smaller than those of the next level. */
	return bits <= 52 && bits > amdvim_shift(level) && bits < amdvim_shift(level + 1) ? bits : 0;
}

static bool host_is_leaf(uint64_t entry)
{
	uint64_t next = GET(AMDVI_V1, NEXT_LEVEL, &entry);

	return next == AMDVI_V1_NEXT_PAGE || next == AMDVI_V1_NEXT_SIZED;
}

static bool host_reserved(uint64_t entry, uint64_t level)
{
	uint64_t used[1] = { 0 };
	uint64_t page_only = BITS(AMDVI_V1, U) | BITS(AMDVI_V1, FC);

	AMDVI_V1_LIST(AMDVI_V1, LAYOUT_NAME_BITS)
	if (entry & ~used[0])
		return true;
	if (!host_is_leaf(entry))
		return entry & page_only;
	/* A page of the level's own size is aligned to it. */
	return GET(AMDVI_V1, NEXT_LEVEL, &entry) == AMDVI_V1_NEXT_PAGE && (GET_ADDR(AMDVI_V1, ADDR, &entry) & amdvim_mask(level));
}

static void host_advance(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t level = work->host_at & AMDVIM_LEVEL;
	uint64_t address = GET_ADDR(AMDVI_V1, ADDR, &entry);
	uint64_t next = GET(AMDVI_V1, NEXT_LEVEL, &entry);
	uint64_t mask, size, guest_size;

	work->pte[0] = work->pte[1] = 0;
	work->flags &= ~AMDVIM_F_TRIES;
	if (!host_is_leaf(entry)) {
		walk_fill(model, request, true, work->gpa, level, address, next,
			  (work->rights & HOST_RIGHTS) | (AMDVIM_MAY_ALL & ~HOST_RIGHTS));
		work->host_at = address | next;
		request->pc = AMDVIM_PC_HOST;
		return;
	}
	size = page_bits(entry, level);
	mask = size >= 64 ? ~0ull : (1ull << size) - 1;
	address = (address & ~mask) | (work->gpa & mask);
	work->host_at = 0;
	if (walked_for(work) != AMDVIM_FOR_DATA) {
		work->at = address;
		request->pc = walked_for(work) == AMDVIM_FOR_GCR3 ? AMDVIM_PC_GCR3 : AMDVIM_PC_GUEST;
		return;
	}
	if (GET(AMDVI_V1, U, &entry))
		work->flags |= AMDVIM_F_U;
	if ((work->flags & AMDVIM_F_HD) && !GET(AMDVI_V1, D, &entry))
		work->rights &= ~AMDVIM_DIRTY;
	/* A nested page is as large as the smaller one of the two. */
	guest_size = (work->rights & AMDVIM_PAGE) >> AMDVIM_PAGE_LSB;
	size = size - 12 + 1;
	if (guest_size && guest_size < size)
		size = guest_size;
	work->gpa = address & ~0xfffull;
	work->rights = (work->rights & AMDVIM_RIGHTS) | size << AMDVIM_PAGE_LSB;
	request->pc = AMDVIM_PC_FILL;
}

static void host_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t level = work->host_at & AMDVIM_LEVEL;
	uint64_t next = GET(AMDVI_V1, NEXT_LEVEL, &entry);
	bool leaf = host_is_leaf(entry);
	bool data = walked_for(work) == AMDVIM_FOR_DATA;
	uint64_t flags = 0;

	if (!GET(AMDVI_V1, PR, &entry)) {
		fill_absent(model, request);
		host_fault(model, request, 0);
		return;
	}
	if (host_reserved(entry, level)) {
		host_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_RZ);
		return;
	}
	/* The next level is below this one, and the address has no bits of levels that are skipped. */
	if (leaf ? !page_bits(entry, level) : next >= level || (work->gpa & amdvim_mask(level) & ~amdvim_mask(next + 1))) {
		host_fault(model, request, AMDVIM_EV_PR);
		return;
	}
	if (!GET(AMDVI_V1, IR, &entry))
		work->rights &= ~AMDVIM_MAY_READ;
	if (!GET(AMDVI_V1, IW, &entry))
		work->rights &= ~AMDVIM_MAY_WRITE;
	if (data ? host_denies(request, with_entry(work, work->rights)) : !(work->rights & AMDVIM_MAY_READ)) {
		host_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_PE);
		return;
	}
	/* 2.2.7. Where the guest's own flags live counts as written to. */
	if (work->flags & AMDVIM_F_HA)
		flags |= BITS(AMDVI_V1, A);
	if ((work->flags & AMDVIM_F_HD) && leaf &&
	    (data ? wants_write(request) : walked_for(work) == AMDVIM_FOR_ENTRY && (work->rights & AMDVIM_MAY_WRITE)))
		flags |= BITS(AMDVI_V1, D);
	if (flags & ~entry) {
		work->pte[0] = entry;
		work->pte[1] = entry | flags;
		request->pc = AMDVIM_PC_HOST_MARK;
		return;
	}
	host_advance(model, request, entry);
}

static void host_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_work *work = amdvim_work(request);
	uint64_t address = (work->host_at & AMDVIM_ADDR) + entry_offset(work->gpa, work->host_at & AMDVIM_LEVEL);
	uint64_t entry;

	if (!port->read64(port->ctx, address, &entry)) {
		hardware_error(model, request, 0, address);
		return;
	}
	host_entry(model, request, entry);
}

static void host_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t address = (work->host_at & AMDVIM_ADDR) + entry_offset(work->gpa, work->host_at & AMDVIM_LEVEL);
	uint64_t marked = work->pte[1];
	uint64_t entry;
	int ret = mark(model, request, address);

	if (ret < 0) {
		hardware_error(model, request, 0, address);
		return;
	}
	entry = work->pte[0];
	work->pte[0] = work->pte[1] = 0;
	if (ret)
		host_advance(model, request, marked);
	else
		host_entry(model, request, entry); /* as if it had been fetched now */
}

/* ---- Guest tables (v2) ---- */

/* The guest's next entry is read where it is, or the host tables are asked for that first. */
static void next_guest(struct iommu_request *request, uint64_t table)
{
	struct amdvim_work *work = amdvim_work(request);

	work->guest_at = table;
	work->at = (table & AMDVIM_ADDR) + entry_offset(work->iova, table & AMDVIM_LEVEL);
	request->pc = AMDVIM_PC_GUEST;
	if (nested(work)) {
		work->gpa = work->at;
		work->flags = (work->flags & ~AMDVIM_F_FOR) | AMDVIM_FOR_ENTRY << AMDVIM_F_FOR_LSB;
		request->pc = AMDVIM_PC_HOST_LOOKUP;
	}
}

static void guest_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t rights;
	uint64_t table = walk_lookup(model, request, false, work->iova, &rights);

	work->rights = (work->rights & ~GUEST_RIGHTS) | (rights & GUEST_RIGHTS);
	next_guest(request, table);
}

static bool guest_is_leaf(uint64_t entry, uint64_t level)
{
	return level == 1 || (level <= 3 && GET(AMDVI_V2, PS, &entry));
}

/* Bits 51:12 of a guest's entry hold guest physical addresses, which the host tables check. */
static bool guest_reserved(const struct amdvim_state *state, uint64_t entry, uint64_t level, bool leaf)
{
	if (!leaf && GET(AMDVI_V2, PS, &entry))
		return true;
	if (GET(AMDVI_V2, NX, &entry) && !GET(AMDVI_EFR, NX_SUP, &state->efr))
		return true;
	/* Bit 12 of a large page is its PAT bit. */
	return leaf && level > 1 && (GET_ADDR(AMDVI_V2, ADDR, &entry) & amdvim_mask(level) & ~(1ull << 12));
}

static void guest_advance(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t level = work->guest_at & AMDVIM_LEVEL;
	uint64_t address = GET_ADDR(AMDVI_V2, ADDR, &entry);

	work->pte[0] = work->pte[1] = 0;
	work->at = 0;
	work->flags &= ~AMDVIM_F_TRIES;
	if (!guest_is_leaf(entry, level)) {
		walk_fill(model, request, false, work->iova, level, address, level - 1,
			  (work->rights & GUEST_RIGHTS) | (AMDVIM_MAY_ALL & ~GUEST_RIGHTS));
		next_guest(request, address | (level - 1));
		return;
	}
	if (!GET(AMDVI_V2, D, &entry))
		work->rights &= ~AMDVIM_DIRTY;
	work->rights = (work->rights & AMDVIM_RIGHTS) | (amdvim_shift(level) - 12 + 1) << AMDVIM_PAGE_LSB;
	work->gpa = (address & ~amdvim_mask(level)) | (work->iova & amdvim_mask(level));
	work->guest_at = 0;
	work->flags = (work->flags & ~AMDVIM_F_FOR) | AMDVIM_FOR_DATA << AMDVIM_F_FOR_LSB;
	request->pc = nested(work) ? AMDVIM_PC_HOST_LOOKUP : AMDVIM_PC_FILL;
}

static void guest_entry(const struct iommu_model *model, struct iommu_request *request, uint64_t entry)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	uint64_t level = work->guest_at & AMDVIM_LEVEL;
	bool leaf = guest_is_leaf(entry, level);
	uint64_t flags;

	if (!GET(AMDVI_V2, P, &entry)) {
		fill_absent(model, request);
		amdvim_page_fault(model, request, 0);
		return;
	}
	if (guest_reserved(state, entry, level, leaf)) {
		amdvim_page_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_RZ);
		return;
	}
	if (!GET(AMDVI_V2, RW, &entry))
		work->rights &= ~AMDVIM_MAY_WRITE_GUEST;
	if (!GET(AMDVI_V2, US, &entry) && GET(AMDVI_EFR, US_SUP, &state->efr))
		work->rights &= ~AMDVIM_MAY_USER;
	if (GET(AMDVI_V2, NX, &entry))
		work->rights &= ~AMDVIM_MAY_EXEC;
	if (leaf && (guest_denies(request, work, work->rights) ||
		     (!nested(work) && host_denies(request, with_entry(work, work->rights))))) {
		amdvim_page_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_PE);
		return;
	}
	/* 2.2.7: A in every entry that is used, D in the leaf of a page that is written. */
	flags = BITS(AMDVI_V2, A);
	if (leaf && wants_write(request))
		flags |= BITS(AMDVI_V2, D);
	if (flags & ~entry) {
		work->pte[0] = entry;
		work->pte[1] = entry | flags;
		request->pc = AMDVIM_PC_GUEST_MARK;
		return;
	}
	guest_advance(model, request, entry);
}

static void guest_fetch(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_work *work = amdvim_work(request);
	uint64_t entry;

	if (!port->read64(port->ctx, work->at, &entry)) {
		hardware_error(model, request, AMDVIM_EV_GN, work->at);
		return;
	}
	guest_entry(model, request, entry);
}

static void guest_mark(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t marked = work->pte[1];
	uint64_t entry;
	int ret;

	/* The host tables let the guest's tables be read only. */
	if (nested(work) && !(work->rights & AMDVIM_MAY_WRITE)) {
		host_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_PE);
		return;
	}
	ret = mark(model, request, work->at);
	if (ret < 0) {
		hardware_error(model, request, AMDVIM_EV_GN, work->at);
		return;
	}
	entry = work->pte[0];
	work->pte[0] = work->pte[1] = 0;
	if (ret)
		guest_advance(model, request, marked);
	else
		guest_entry(model, request, entry);
}

void amdvim_walk_step(const struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case AMDVIM_PC_WALK_LOOKUP:
		guest_look_up(model, request);
		break;
	case AMDVIM_PC_GUEST:
		guest_fetch(model, request);
		break;
	case AMDVIM_PC_GUEST_MARK:
		guest_mark(model, request);
		break;
	case AMDVIM_PC_HOST_LOOKUP:
		host_look_up(model, request);
		break;
	case AMDVIM_PC_HOST:
		host_fetch(model, request);
		break;
	case AMDVIM_PC_HOST_MARK:
		host_mark(model, request);
		break;
	case AMDVIM_PC_FILL:
		fill(model, request);
		break;
	default:
		/* Not a state that the model leaves a running request in. */
		amdvim_refuse(request, 0);
		break;
	}
}
