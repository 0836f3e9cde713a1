/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_invalidate.c - what each command removes from the caches, and which requests in flight it waits for (2.4).
 */
#include "amdvi_state.h"

#define EVERYWHERE 0, ~0ull

#define NAMED(S, LIST) \
	static bool S##_reserved(const uint64_t *words) \
	{ \
		uint64_t used[2] = { 0, 0 }; \
		LIST(S, LAYOUT_NAME_BITS) \
		return (words[0] & ~used[0]) || (words[1] & ~used[1]); \
	}
NAMED(AMDVI_CMD_WAIT, AMDVI_CMD_WAIT_LIST)
NAMED(AMDVI_CMD_DTE, AMDVI_CMD_DTE_LIST)
NAMED(AMDVI_CMD_PAGES, AMDVI_CMD_PAGES_LIST)
NAMED(AMDVI_CMD_IOTLB, AMDVI_CMD_IOTLB_LIST)
NAMED(AMDVI_CMD_INTERRUPTS, AMDVI_CMD_INTERRUPTS_LIST)
NAMED(AMDVI_CMD_ALL, AMDVI_CMD_ALL_LIST)

static void add(struct model_scope *scopes, uint64_t *n, uint64_t mask, uint64_t tag, uint64_t first, uint64_t last)
{
	scopes[(*n)++] = (struct model_scope){ mask | TAG_VALID, tag | TAG_VALID, first, last };
}

/* S=1: the lowest address bit that is 0, from bit 12 up, tells the size. Bits 62:12 all ones, whatever bit 63 is: everything. */
static void address_range(uint64_t address, bool sized, uint64_t *first, uint64_t *last)
{
	unsigned bits = 12;
	uint64_t mask;

	if (sized) {
		while (bits < 63 && (address >> bits & 1))
			bits++;
		bits++;
	}
	mask = bits >= 64 ? ~0ull : (1ull << bits) - 1;
	*first = address & ~mask;
	*last = address | mask;
}

/*
 * 2.4.3. GN=0 is about guest physical (or untranslated) addresses: the host tables' lines in the range, and all that nested
 * translations have made of them, at whatever guest virtual address.
 */
static bool decode_pages(const struct amdvim_state *state, const uint64_t *command, struct amdvim_invalidation *inv)
{
	uint64_t key = GET(AMDVI_CMD_PAGES, DOMAIN_ID, command) << TAG_DOMAIN_LSB;
	uint64_t mask = TAG_DOMAIN | AMDVIM_CLASS_BY_PASID;
	bool pde = GET(AMDVI_CMD_PAGES, PDE, command);
	uint64_t first, last;

	if (AMDVI_CMD_PAGES_reserved(command))
		return false;
	inv->kind = AMDVIM_PAGES;
	address_range(GET_ADDR(AMDVI_CMD_PAGES, ADDR, command), GET(AMDVI_CMD_PAGES, S, command), &first, &last);
	if (!GET(AMDVI_CMD_PAGES, GN, command)) {
		add(inv->scopes, &inv->nscopes, mask, key, first, last);
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | TAG_CLASS, key | (uint64_t)AMDVIM_CLASS_NESTED << TAG_CLASS_LSB,
		    EVERYWHERE);
		if (pde)
			add(inv->walk, &inv->nwalk, mask, key, first, last);
		return true;
	}
	if (!GET(AMDVI_EFR, GT_SUP, &state->efr))
		return false;
	mask |= TAG_PASID;
	key |= AMDVIM_CLASS_BY_PASID | GET(AMDVI_CMD_PAGES, PASID, command) << TAG_PASID_LSB;
	add(inv->scopes, &inv->nscopes, mask, key, first, last);
	if (pde)
		add(inv->walk, &inv->nwalk, mask, key, first, last);
	if (pde && first == 0 && last == ~0ull)
		add(inv->gcr3, &inv->ngcr3, mask, key, EVERYWHERE);
	return true;
}

/* 2.4.4 */
static bool decode_iotlb(const struct amdvim_state *state, const uint64_t *command, struct amdvim_invalidation *inv)
{
	uint64_t pasid = GET(AMDVI_CMD_IOTLB, PASID_7_0, command) | GET(AMDVI_CMD_IOTLB, PASID_15_8, command) << 8 |
			 GET(AMDVI_CMD_IOTLB, PASID_19_16, command) << 16;
	uint64_t mask = TAG_SOURCE | AMDVIM_LINE_HAS_PASID;
	uint64_t key = GET(AMDVI_CMD_IOTLB, DEVICE_ID, command);
	uint64_t first, last;

	/* TYPE without InvIotlbTypeSup is reserved. */
	if (AMDVI_CMD_IOTLB_reserved(command) || GET(AMDVI_CMD_IOTLB, TYPE, command))
		return false;
	if (GET(AMDVI_CMD_IOTLB, GN, command)) {
		if (!GET(AMDVI_EFR, GT_SUP, &state->efr))
			return false;
		mask |= TAG_PASID;
		key |= AMDVIM_LINE_HAS_PASID | pasid << TAG_PASID_LSB;
	}
	inv->kind = AMDVIM_DEVTLB;
	address_range(GET_ADDR(AMDVI_CMD_IOTLB, ADDR, command), GET(AMDVI_CMD_IOTLB, S, command), &first, &last);
	add(inv->scopes, &inv->nscopes, mask, key, first, last);
	return true;
}

/* Checks a command; false: it is illegal. What it removes goes to `inv`. */
bool amdvim_decode(const struct amdvim_state *state, const uint64_t *command, struct amdvim_invalidation *inv)
{
	memset(inv, 0, sizeof(*inv));
	switch (GET(AMDVI_CMD, OPCODE, command)) {
	case AMDVI_CMD_WAIT:
		return !AMDVI_CMD_WAIT_reserved(command);
	case AMDVI_CMD_DTE:
		if (AMDVI_CMD_DTE_reserved(command))
			return false;
		inv->kind = AMDVIM_DTE;
		add(inv->scopes, &inv->nscopes, TAG_SOURCE, GET(AMDVI_CMD_DTE, DEVICE_ID, command), EVERYWHERE);
		return true;
	case AMDVI_CMD_PAGES:
		return decode_pages(state, command, inv);
	case AMDVI_CMD_IOTLB:
		return decode_iotlb(state, command, inv);
	case AMDVI_CMD_INTERRUPTS:
		return !AMDVI_CMD_INTERRUPTS_reserved(command); /* nothing of interrupt remapping is modelled */
	case AMDVI_CMD_ALL:
		if (AMDVI_CMD_ALL_reserved(command) || !GET(AMDVI_EFR, IA_SUP, &state->efr))
			return false;
		inv->kind = AMDVIM_ALL;
		add(inv->scopes, &inv->nscopes, 0, 0, EVERYWHERE);
		add(inv->walk, &inv->nwalk, 0, 0, EVERYWHERE);
		add(inv->gcr3, &inv->ngcr3, 0, 0, EVERYWHERE);
		return true;
	default:
		/* PREFETCH_IOMMU_PAGES and COMPLETE_PPR_REQUEST need a unit that says it has them. */
		return false;
	}
}

static void drop_pages(struct amdvim_state *state, const struct amdvim_invalidation *inv)
{
	struct model_common *common = &state->common;

	model_gen_turn(common, MODEL_GEN_PASID);
	model_gen_turn(common, MODEL_GEN_TLB);
	model_cache_drop(common, &state->gcr3, inv->gcr3, (unsigned)inv->ngcr3);
	model_cache_drop(common, &state->walk, inv->walk, (unsigned)inv->nwalk);
	model_cache_drop(common, &state->iotlb, inv->scopes, (unsigned)inv->nscopes);
	model_gen_turn(common, MODEL_GEN_TLB);
	model_gen_turn(common, MODEL_GEN_PASID);
	state->must_drain |= common->maysets ? 0 : AMDVIM_DRAIN_ALL;
}

static void drop_entries(struct amdvim_state *state, const struct amdvim_invalidation *inv)
{
	struct model_common *common = &state->common;

	model_gen_turn(common, MODEL_GEN_ENTRY);
	model_cache_drop(common, &state->dte, inv->scopes, (unsigned)inv->nscopes);
	model_gen_turn(common, MODEL_GEN_ENTRY);
	/* Who has the old entry may go on, and may fill the caches behind it: unless that freedom is off. Who is still fetching is
	 * waited for: after the wait the entry is software's. */
	state->must_drain |= common->maysets ? 0 : AMDVIM_DRAIN_FETCHES;
	if (!amdvim_free(state, IOMMU_FREE_LATE_FILL)) {
		model_gen_turn(common, MODEL_GEN_PASID);
		model_gen_turn(common, MODEL_GEN_PASID);
		model_gen_turn(common, MODEL_GEN_TLB);
		model_gen_turn(common, MODEL_GEN_TLB);
		state->must_drain |= common->maysets ? 0 : AMDVIM_DRAIN_ALL;
	}
}

void amdvim_invalidate(struct amdvim_state *state, const struct amdvim_invalidation *inv)
{
	struct model_common *common = &state->common;

	if (common->maysets)
		state->last = *inv;
	switch (inv->kind) {
	case AMDVIM_DTE:
		drop_entries(state, inv);
		break;
	case AMDVIM_PAGES:
		drop_pages(state, inv);
		break;
	case AMDVIM_ALL:
		drop_entries(state, inv);
		drop_pages(state, inv);
		break;
	case AMDVIM_DEVTLB:
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		model_cache_drop(common, &state->devtlb, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		state->must_drain |= common->maysets ? 0 : AMDVIM_DRAIN_ALL;
		break;
	default:
		break;
	}
}

/* What must be waited for is waited for from now on. */
void amdvim_drain_start(struct amdvim_state *state, const struct iommu_model_port *port)
{
	state->draining = state->must_drain;
	state->must_drain = 0;
	if (state->draining & AMDVIM_DRAIN_FETCHES)
		model_fetch_drain_start(&state->common, port);
	if (state->draining & AMDVIM_DRAIN_ALL)
		model_drain_start(&state->common, port);
}

bool amdvim_drain_done(const struct amdvim_state *state)
{
	return (!(state->draining & AMDVIM_DRAIN_FETCHES) || model_fetch_drain_done(&state->common)) &&
	       (!(state->draining & AMDVIM_DRAIN_ALL) || model_drain_done(&state->common));
}

static bool covers(const struct amdvim_invalidation *inv, uint64_t tag, bool addressed, uint64_t address)
{
	for (uint64_t i = 0; i < inv->nscopes; i++) {
		if (model_scope_matches(&inv->scopes[i], addressed, tag, address))
			return true;
	}
	return false;
}

/*
 * May-sets: does the invalidation that the last tick did wait for this request? A request that only read entries or tables
 * that the invalidation isn't about is not waited for, and goes on with what it has.
 */
bool amdvim_drained(const struct iommu_model *model, const struct iommu_request *request)
{
	const struct amdvim_state *state = amdvim_state(model);
	const struct amdvim_invalidation *inv = &state->last;
	const struct amdvim_work *work = (const struct amdvim_work *)(const void *)request->work;
	bool has_entry = request->pc > AMDVIM_PC_DTE && (work->tag & TAG_VALID);
	uint64_t tag = TAG_VALID | (request->rid & TAG_SOURCE);

	if (request->state == IOMMU_REQUEST_FAULT)
		return false; /* over: it holds nothing */
	switch (inv->kind) {
	case AMDVIM_DTE:
		if (request->pc == AMDVIM_PC_DTE)
			return covers(inv, tag, false, 0);
		/* A request that passes by its entry alone has an end but no tag. */
		if (amdvim_free(state, IOMMU_FREE_LATE_FILL) || request->pc < AMDVIM_PC_DTE)
			return false;
		return covers(inv, tag, false, 0);
	case AMDVIM_PAGES: {
		/* What it may yet fill is the page of the leaf that it has read; before that, what it will read is new, but perhaps
		 * in a table that is old. */
		uint64_t size = (work->rights & AMDVIM_PAGE) >> AMDVIM_PAGE_LSB;
		uint64_t level = size ? (size - 1) / 9 + 1 : 1;

		if (!has_entry)
			return false;
		if (request->state == IOMMU_REQUEST_DONE)
			level = 1;
		tag = work->tag | level << TAG_LEVEL_LSB;
		return covers(inv, tag, true, work->iova & ~amdvim_mask(level));
	}
	case AMDVIM_ALL:
		return has_entry || request->pc == AMDVIM_PC_DTE;
	case AMDVIM_DEVTLB:
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			return false;
		if (request->pasid != IOMMU_NO_PASID)
			tag |= AMDVIM_LINE_HAS_PASID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		return covers(inv, tag | 1ull << TAG_LEVEL_LSB, true, work->iova & ~0xfffull);
	default:
		return false;
	}
}
