/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_invalidate.c - what each invalidation removes from the caches, and which requests in flight it waits for (6.5.2).
 */
#include "vtd_state.h"

/* IQERCD.IQEI */
enum { IQEI_TYPE = 3, IQEI_RESERVED = 4 };

#define EVERYWHERE 0, ~0ull

#define NAMED(S, LIST) \
	static bool S##_reserved(const uint64_t *words) \
	{ \
		uint64_t used[2] = { 0, 0 }; \
		LIST(S, LAYOUT_NAME_BITS) \
		return (words[0] & ~used[0]) || (words[1] & ~used[1]); \
	}
NAMED(VTD_DESC_CONTEXT, VTD_DESC_CONTEXT_LIST)
NAMED(VTD_DESC_PASID, VTD_DESC_PASID_LIST)
NAMED(VTD_DESC_IOTLB, VTD_DESC_IOTLB_LIST)
NAMED(VTD_DESC_PIOTLB, VTD_DESC_PIOTLB_LIST)
NAMED(VTD_DESC_DEVTLB, VTD_DESC_DEVTLB_LIST)
NAMED(VTD_DESC_PDEVTLB, VTD_DESC_PDEVTLB_LIST)
NAMED(VTD_DESC_IEC, VTD_DESC_IEC_LIST)
NAMED(VTD_DESC_WAIT, VTD_DESC_WAIT_LIST)

static uint64_t tag_domain(uint64_t domain)
{
	return domain << TAG_DOMAIN_LSB;
}

static uint64_t tag_pasid(uint64_t pasid)
{
	return pasid << TAG_PASID_LSB;
}

static uint64_t tag_class(uint64_t class)
{
	return class << TAG_CLASS_LSB;
}

static void add(struct model_scope *scopes, uint64_t *n, uint64_t mask, uint64_t tag, uint64_t first, uint64_t last)
{
	scopes[(*n)++] = (struct model_scope){ mask | TAG_VALID, tag | TAG_VALID, first, last };
}

void vtdm_all(enum vtdm_kind kind, struct vtdm_invalidation *inv)
{
	memset(inv, 0, sizeof(*inv));
	inv->kind = kind;
	add(inv->scopes, &inv->nscopes, 0, 0, EVERYWHERE);
	if (kind == VTDM_IOTLB)
		add(inv->walk, &inv->nwalk, 0, 0, EVERYWHERE);
}

/* 6.5.2.1 */
static unsigned decode_context(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	/* Legacy lines are tagged by the domain that was in the entry; for scalable ones DID is ignored. */
	uint64_t did = tag_domain(GET(VTD_DESC_CONTEXT, DID, desc) & state->domains);
	uint64_t mask = TAG_SOURCE & ~(((1ull << GET(VTD_DESC_CONTEXT, FM, desc)) - 1) << (3 - GET(VTD_DESC_CONTEXT, FM, desc)));
	uint64_t sid = GET(VTD_DESC_CONTEXT, SID, desc) & mask;

	if (VTD_DESC_CONTEXT_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_CONTEXT;
	switch (GET(VTD_DESC_CONTEXT, G, desc)) {
	case VTD_CONTEXT_GLOBAL:
		add(inv->scopes, &inv->nscopes, 0, 0, EVERYWHERE);
		return 0;
	case VTD_CONTEXT_DOMAIN:
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | VTDM_LINE_SCALABLE, did, EVERYWHERE);
		add(inv->scopes, &inv->nscopes, VTDM_LINE_SCALABLE, VTDM_LINE_SCALABLE, EVERYWHERE);
		return 0;
	case VTD_CONTEXT_DEVICE:
		add(inv->scopes, &inv->nscopes, mask | TAG_DOMAIN | VTDM_LINE_SCALABLE, sid | did, EVERYWHERE);
		add(inv->scopes, &inv->nscopes, mask | VTDM_LINE_SCALABLE, sid | VTDM_LINE_SCALABLE, EVERYWHERE);
		return 0;
	default:
		return IQEI_RESERVED;
	}
}

/* 6.5.2.2 */
static unsigned decode_pasid(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	uint64_t did = tag_domain(GET(VTD_DESC_PASID, DID, desc) & state->domains);
	uint64_t pasid = tag_pasid(GET(VTD_DESC_PASID, PASID, desc));

	if (VTD_DESC_PASID_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_PASID;
	switch (GET(VTD_DESC_PASID, G, desc)) {
	case VTD_PASID_CACHE_DOMAIN:
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN, did, EVERYWHERE);
		/* Caching mode: an absent entry has no domain; any that is named will do. */
		add(inv->scopes, &inv->nscopes, TAG_ABSENT, TAG_ABSENT, EVERYWHERE);
		return 0;
	case VTD_PASID_CACHE_PASID:
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | TAG_PASID, did | pasid, EVERYWHERE);
		add(inv->scopes, &inv->nscopes, TAG_ABSENT | TAG_PASID, TAG_ABSENT | pasid, EVERYWHERE);
		return 0;
	case VTD_PASID_CACHE_GLOBAL:
		add(inv->scopes, &inv->nscopes, 0, 0, EVERYWHERE);
		return 0;
	default:
		return IQEI_RESERVED;
	}
}

static void address_range(uint64_t address, uint64_t mask_bits, uint64_t *first, uint64_t *last)
{
	uint64_t mask = mask_bits >= 52 ? ~0ull : (1ull << (12 + mask_bits)) - 1;

	*first = address & ~mask;
	*last = address | mask;
}

/* 6.5.2.3. A domain-selective one takes all lines with the DID. A page-selective one takes, in its range, the second-stage and the
 * pass-through lines; first-stage and nested lines with the DID go whatever their address. */
static unsigned decode_iotlb(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	uint64_t did = tag_domain(GET(VTD_DESC_IOTLB, DID, desc) & state->domains);
	uint64_t first, last;

	if (VTD_DESC_IOTLB_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_IOTLB;
	switch (GET(VTD_DESC_IOTLB, G, desc)) {
	case VTD_IOTLB_GLOBAL:
		vtdm_all(VTDM_IOTLB, inv);
		return 0;
	case VTD_IOTLB_DOMAIN:
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN, did, EVERYWHERE);
		add(inv->walk, &inv->nwalk, TAG_DOMAIN, did, EVERYWHERE);
		return 0;
	case VTD_IOTLB_PAGE:
		if (!GET(VTD_CAP, PSI, &state->cap) || GET(VTD_DESC_IOTLB, AM, desc) > GET(VTD_CAP, MAMV, &state->cap))
			return IQEI_RESERVED;
		address_range(GET_ADDR(VTD_DESC_IOTLB, ADDR, desc), GET(VTD_DESC_IOTLB, AM, desc), &first, &last);
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | VTDM_CLASS_BY_PASID, did, first, last);
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | TAG_CLASS, did | tag_class(VTDM_CLASS_PASS), first, last);
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | TAG_CLASS, did | tag_class(VTDM_CLASS_FIRST), EVERYWHERE);
		add(inv->scopes, &inv->nscopes, TAG_DOMAIN | TAG_CLASS, did | tag_class(VTDM_CLASS_NESTED), EVERYWHERE);
		if (!GET(VTD_DESC_IOTLB, IH, desc)) {
			add(inv->walk, &inv->nwalk, TAG_DOMAIN | VTDM_CLASS_BY_PASID, did, first, last);
			add(inv->walk, &inv->nwalk, TAG_DOMAIN | VTDM_CLASS_BY_PASID, did | VTDM_CLASS_BY_PASID, EVERYWHERE);
		}
		return 0;
	default:
		return IQEI_RESERVED;
	}
}

/* 6.5.2.4. Second-stage lines have no PASID in their tag; pass-through lines have, but no pages to select. */
static unsigned decode_piotlb(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	uint64_t key = tag_domain(GET(VTD_DESC_PIOTLB, DID, desc) & state->domains) | tag_pasid(GET(VTD_DESC_PIOTLB, PASID, desc));
	uint64_t mask = TAG_DOMAIN | TAG_PASID;
	uint64_t first, last;

	if (VTD_DESC_PIOTLB_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_IOTLB;
	switch (GET(VTD_DESC_PIOTLB, G, desc)) {
	case VTD_PIOTLB_PASID:
		add(inv->scopes, &inv->nscopes, mask | VTDM_CLASS_BY_PASID, key | VTDM_CLASS_BY_PASID, EVERYWHERE);
		add(inv->walk, &inv->nwalk, mask | VTDM_CLASS_BY_PASID, key | VTDM_CLASS_BY_PASID, EVERYWHERE);
		return 0;
	case VTD_PIOTLB_PAGE:
		address_range(GET_ADDR(VTD_DESC_PIOTLB, ADDR, desc), GET(VTD_DESC_PIOTLB, AM, desc), &first, &last);
		add(inv->scopes, &inv->nscopes, mask | TAG_CLASS, key | tag_class(VTDM_CLASS_FIRST), first, last);
		add(inv->scopes, &inv->nscopes, mask | TAG_CLASS, key | tag_class(VTDM_CLASS_NESTED), first, last);
		if (!GET(VTD_DESC_PIOTLB, IH, desc))
			add(inv->walk, &inv->nwalk, mask | VTDM_CLASS_BY_PASID, key | VTDM_CLASS_BY_PASID, first, last);
		return 0;
	default:
		return IQEI_RESERVED;
	}
}

/* S=1: the lowest address bit that is 0 tells the size, as in the ATS invalidation message. All ones: everything. */
static void device_range(uint64_t address, bool sized, uint64_t *first, uint64_t *last)
{
	unsigned bits = 0;

	if (sized) {
		while (bits < 52 && (address >> (12 + bits) & 1))
			bits++;
		bits++;
	}
	address_range(address, bits, first, last);
}

/* 6.5.2.5 */
static unsigned decode_devtlb(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	uint64_t first, last;

	if (!GET(VTD_ECAP, DT, &state->ecap))
		return IQEI_TYPE;
	if (VTD_DESC_DEVTLB_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_DEVTLB;
	device_range(GET_ADDR(VTD_DESC_DEVTLB, ADDR, desc), GET(VTD_DESC_DEVTLB, S, desc), &first, &last);
	add(inv->scopes, &inv->nscopes, TAG_SOURCE | VTDM_LINE_HAS_PASID, GET(VTD_DESC_DEVTLB, SID, desc), first, last);
	return 0;
}

/* 6.5.2.6 */
static unsigned decode_pdevtlb(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	uint64_t first, last;

	if (!GET(VTD_ECAP, DT, &state->ecap))
		return IQEI_TYPE;
	if (VTD_DESC_PDEVTLB_reserved(desc))
		return IQEI_RESERVED;
	inv->kind = VTDM_DEVTLB;
	device_range(GET_ADDR(VTD_DESC_PDEVTLB, ADDR, desc), GET(VTD_DESC_PDEVTLB, S, desc), &first, &last);
	if (GET(VTD_DESC_PDEVTLB, G, desc))
		add(inv->scopes, &inv->nscopes, TAG_SOURCE | VTDM_LINE_HAS_PASID,
		    GET(VTD_DESC_PDEVTLB, SID, desc) | VTDM_LINE_HAS_PASID, first, last);
	else
		add(inv->scopes, &inv->nscopes, TAG_SOURCE | TAG_PASID | VTDM_LINE_HAS_PASID,
		    GET(VTD_DESC_PDEVTLB, SID, desc) | tag_pasid(GET(VTD_DESC_PDEVTLB, PASID, desc)) | VTDM_LINE_HAS_PASID, first,
		    last);
	return 0;
}

/* Checks a descriptor: 0, or what is wrong as IQERCD.IQEI says it. What it removes goes to `inv`. */
unsigned vtdm_decode(const struct vtdm_state *state, const uint64_t *desc, struct vtdm_invalidation *inv)
{
	unsigned type = (unsigned)(GET(VTD_DESC, TYPE, desc) | GET(VTD_DESC, TYPE_HIGH, desc) << 4);
	bool legacy = GET(VTD_RTADDR, TTM, &VTDM_ROOT(state)) == VTD_TTM_LEGACY;

	memset(inv, 0, sizeof(*inv));
	/* 6.5.2, table 23: in legacy mode there are only the first five types. */
	if (legacy && type > VTD_DESC_WAIT)
		return IQEI_TYPE;
	switch (type) {
	case VTD_DESC_CONTEXT:
		return decode_context(state, desc, inv);
	case VTD_DESC_PASID:
		return decode_pasid(state, desc, inv);
	case VTD_DESC_IOTLB:
		return decode_iotlb(state, desc, inv);
	case VTD_DESC_PIOTLB:
		return decode_piotlb(state, desc, inv);
	case VTD_DESC_DEVTLB:
		return decode_devtlb(state, desc, inv);
	case VTD_DESC_PDEVTLB:
		return decode_pdevtlb(state, desc, inv);
	case VTD_DESC_IEC:
		if (!GET(VTD_ECAP, IR, &state->ecap))
			return IQEI_TYPE;
		return VTD_DESC_IEC_reserved(desc) ? IQEI_RESERVED : 0; /* nothing of interrupt remapping is modelled */
	case VTD_DESC_WAIT:
		if (GET(VTD_DESC_WAIT, PD, desc) && !GET(VTD_ECAP, PDS, &state->ecap))
			return IQEI_RESERVED;
		return VTD_DESC_WAIT_reserved(desc) ? IQEI_RESERVED : 0;
	default:
		return IQEI_TYPE;
	}
}

void vtdm_invalidate(struct vtdm_state *state, const struct vtdm_invalidation *inv)
{
	struct model_common *common = &state->common;
	bool late_fill = vtdm_free(state, IOMMU_FREE_LATE_FILL);

	if (common->maysets)
		state->last = *inv;
	switch (inv->kind) {
	case VTDM_CONTEXT:
	case VTDM_PASID: {
		const struct model_cache *cache = inv->kind == VTDM_CONTEXT ? &state->context : &state->pasid;

		model_gen_turn(common, (enum model_gen)cache->gen);
		model_cache_drop(common, cache, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, (enum model_gen)cache->gen);
		/* Who has the old entry may go on, and may fill the IOTLB: unless that freedom is off. Who is still fetching is
		 * waited for (6.5.3.3: after the wait the entry is software's). */
		state->must_drain |= common->maysets ? 0 : VTDM_DRAIN_FETCHES;
		if (!late_fill) {
			model_gen_turn(common, MODEL_GEN_PASID);
			model_gen_turn(common, MODEL_GEN_PASID);
			model_gen_turn(common, MODEL_GEN_TLB);
			model_gen_turn(common, MODEL_GEN_TLB);
			state->must_drain |= common->maysets ? 0 : VTDM_DRAIN_ALL;
		}
		break;
	}
	case VTDM_IOTLB:
		model_gen_turn(common, MODEL_GEN_TLB);
		model_cache_drop(common, &state->walk, inv->walk, (unsigned)inv->nwalk);
		model_cache_drop(common, &state->iotlb, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, MODEL_GEN_TLB);
		state->must_drain |= common->maysets ? 0 : VTDM_DRAIN_ALL;
		break;
	case VTDM_DEVTLB:
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		model_cache_drop(common, &state->devtlb, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		state->must_drain |= common->maysets ? 0 : VTDM_DRAIN_ALL;
		break;
	default:
		break;
	}
}

/* What must be waited for is waited for from now on. */
void vtdm_drain_start(struct vtdm_state *state, const struct iommu_model_port *port)
{
	state->draining = state->must_drain;
	state->must_drain = 0;
	if (state->draining & VTDM_DRAIN_FETCHES)
		model_fetch_drain_start(&state->common, port);
	if (state->draining & VTDM_DRAIN_ALL)
		model_drain_start(&state->common, port);
}

bool vtdm_drain_done(const struct vtdm_state *state)
{
	return (!(state->draining & VTDM_DRAIN_FETCHES) || model_fetch_drain_done(&state->common)) &&
	       (!(state->draining & VTDM_DRAIN_ALL) || model_drain_done(&state->common));
}

/* Does a scope match a tag of which the bits in `unknown` aren't known yet? */
static bool covers(const struct vtdm_invalidation *inv, uint64_t tag, uint64_t unknown, bool addressed, uint64_t address)
{
	for (uint64_t i = 0; i < inv->nscopes; i++) {
		struct model_scope scope = inv->scopes[i];

		scope.mask &= ~unknown;
		scope.tag &= ~unknown;
		if (model_scope_matches(&scope, addressed, tag & ~unknown, address))
			return true;
	}
	return false;
}

/*
 * May-sets: does the invalidation that the last tick did wait for this request? A request that only read entries or tables
 * that the invalidation isn't about is not waited for, and goes on with what it has.
 */
bool vtdm_drained(const struct iommu_model *model, const struct iommu_request *request)
{
	const struct vtdm_state *state = vtdm_state(model);
	const struct vtdm_invalidation *inv = &state->last;
	const struct vtdm_work *work = (const struct vtdm_work *)(const void *)request->work;
	bool late_fill = vtdm_free(state, IOMMU_FREE_LATE_FILL);
	bool has_translation = request->pc >= VTDM_PC_IOTLB_LOOKUP && (work->tag & TAG_VALID);
	uint64_t tag = TAG_VALID | (request->rid & TAG_SOURCE);
	uint64_t unknown = 0;

	if (request->state == IOMMU_REQUEST_FAULT)
		return false; /* over: it holds nothing */
	switch (inv->kind) {
	case VTDM_CONTEXT:
		if (work->flags & VTDM_F_SCALABLE)
			tag |= VTDM_LINE_SCALABLE;
		/* Still fetching, the entry itself or (in two halves) the root entry that leads to it. */
		if (request->pc == VTDM_PC_CONTEXT || (request->pc == VTDM_PC_ROOT && (work->flags & VTDM_F_FETCHED)))
			return covers(inv, tag, TAG_DOMAIN, false, 0);
		if (late_fill || request->pc < VTDM_PC_PASID_LOOKUP)
			return false;
		return covers(inv, tag | (work->tag & TAG_DOMAIN), 0, false, 0);
	case VTDM_PASID:
		if (!(work->flags & VTDM_F_SCALABLE) || request->pc < VTDM_PC_PASID_LOOKUP)
			return false;
		tag |= tag_pasid(work->pasid);
		if (request->pc < VTDM_PC_IOTLB_LOOKUP) {
			/* Still fetching. The domain is known when the quantum that it lies in has been fetched. */
			uint64_t quantum = state->common.quantum == 16 ? 1 : 2;

			if (request->pc == VTDM_PC_PASID && ((work->flags & VTDM_F_FETCHED) >> VTDM_F_FETCHED_LSB & quantum))
				tag |= tag_domain(GET(VTD_PASID, DID, work->entry));
			else
				unknown = TAG_DOMAIN;
			return covers(inv, tag, unknown, false, 0);
		}
		if (late_fill || !has_translation)
			return false;
		return covers(inv, tag | (work->tag & TAG_DOMAIN), 0, false, 0);
	case VTDM_IOTLB: {
		/* What it may yet fill is the page of the leaf that it has read; before that, what it will read is new. */
		uint64_t level = (work->rights & VTDM_PAGE_LEVEL) >> VTDM_PAGE_LEVEL_LSB;

		if (!has_translation)
			return false;
		if (!level || request->state == IOMMU_REQUEST_DONE)
			level = 1;
		tag = work->tag | level << TAG_LEVEL_LSB;
		return covers(inv, tag, 0, true, work->iova & ~(tag_size(tag) - 1));
	}
	case VTDM_DEVTLB:
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			return false;
		if (request->pasid != IOMMU_NO_PASID)
			tag |= VTDM_LINE_HAS_PASID | tag_pasid(request->pasid & 0xfffff);
		return covers(inv, tag | 1ull << TAG_LEVEL_LSB, 0, true, work->iova & ~0xfffull);
	default:
		return false;
	}
}
