/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_request.c - a request on its way from the root table to the IOTLB (3.4, 9.1 to 9.6), one fetch or look-up per step.
 */
#include "vtd_rights.h"

#define INTERRUPT_FIRST 0xfee00000ull /* 3.15 */
#define INTERRUPT_LAST 0xfeefffffull

/* Bits of a PASID entry's third word before revision 4; later reserved and ignored. */
#define PASID_ERE (1ull << 1)
#define PASID_NXE (1ull << 5)

#define NAMED_BITS(function, LIST, words) \
	static void function(uint64_t used[words]) \
	{ \
		memset(used, 0, (words) * sizeof(uint64_t)); \
		LIST(S, LAYOUT_NAME_BITS) \
	}
NAMED_BITS(name_root, VTD_ROOT_LIST, 2)
NAMED_BITS(name_smroot, VTD_SMROOT_LIST, 2)
NAMED_BITS(name_context, VTD_CONTEXT_LIST, 2)
NAMED_BITS(name_smcontext, VTD_SMCONTEXT_LIST, 4)
NAMED_BITS(name_pasiddir, VTD_PASIDDIR_LIST, 1)
NAMED_BITS(name_pasid, VTD_PASID_LIST, 8)

static bool has_bits(const uint64_t *entry, const uint64_t *named, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		if (entry[i] & ~named[i])
			return true;
	}
	return false;
}

/* An address that the host doesn't have: its bits are reserved. */
static bool beyond_host(const struct vtdm_state *state, uint64_t address)
{
	return address >> state->haw != 0;
}

/* ---- Begin and end ---- */

static void begin(const struct vtdm_state *state, struct iommu_request *request, uint64_t counted)
{
	struct vtdm_work *work = vtdm_work(request);

	request->state = IOMMU_REQUEST_RUNNING;
	request->reason = 0;
	request->phys = 0;
	request->size = 0;
	request->rights = 0;
	request->pc = VTDM_PC_START;
	vtdm_clear_work(request);
	work->iova = request->addr;
	work->flags = counted;
	if (!state->common.maysets) {
		work->flags |= VTDM_F_FETCHING;
		if (model_fetch_enter(&state->common, model_lane(&state->common, request->lane)))
			work->flags |= VTDM_F_FETCH_HALF;
		model_gens_note(&state->common, work->gens);
	}
}

/* In flight from here on. */
static uint64_t enter(const struct vtdm_state *state, const struct iommu_request *request)
{
	if (state->common.maysets)
		return 0;
	return VTDM_F_COUNTED |
	       (model_lane_enter(&state->common, model_lane(&state->common, request->lane)) ? VTDM_F_HALF : 0);
}

void vtdm_begin(struct iommu_model *model, struct iommu_request *request)
{
	const struct vtdm_state *state = vtdm_state(model);

	begin(state, request, enter(state, request));
}

/* It has its entries, or needs none: an entry-cache invalidation needn't wait for it any more. */
static void stop_fetching(struct vtdm_state *state, struct iommu_request *request)
{
	struct vtdm_work *work = vtdm_work(request);

	if (work->flags & VTDM_F_FETCHING) {
		model_fetch_leave(model_lane(&state->common, request->lane), work->flags & VTDM_F_FETCH_HALF ? 1 : 0);
		work->flags &= ~(VTDM_F_FETCHING | VTDM_F_FETCH_HALF);
	}
}

void vtdm_end(struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);

	stop_fetching(state, request);
	if (work->flags & VTDM_F_COUNTED) {
		model_lane_leave(model_lane(&state->common, request->lane), work->flags & VTDM_F_HALF ? 1 : 0);
		work->flags &= ~VTDM_F_COUNTED;
	}
}

/* Untranslated: translation is off, or the address is already what the bus needs. */
static void pass_as_is(struct iommu_request *request)
{
	struct vtdm_work *work = vtdm_work(request);

	work->gens[0] = work->gens[1] = 0;
	work->root = 0;
	memset(work->entry, 0, sizeof(work->entry));
	work->at = 0;
	request->phys = request->addr;
	request->size = 4096;
	request->rights = IOMMU_READ | IOMMU_WRITE | (request->access & (IOMMU_EXEC | IOMMU_PRIV));
	request->state = IOMMU_REQUEST_DONE;
	request->pc = VTDM_PC_END;
}

/* ---- Fetching entries in quanta ---- */

static unsigned fetched(const struct vtdm_work *work)
{
	return (unsigned)((work->flags & VTDM_F_FETCHED) >> VTDM_F_FETCHED_LSB);
}

/*
 * Fetches one more quantum of the entry at work->at into work->entry, any of those that are missing. *more: there are others
 * to come. False: the memory can't be reached. An entry that is smaller than a quantum is fetched alone.
 */
static bool fetch_quantum(const struct iommu_model *model, struct iommu_request *request, unsigned bytes, bool *more)
{
	const struct iommu_model_port *port = model->port;
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	unsigned quantum = bytes < state->common.quantum ? bytes : (unsigned)state->common.quantum;
	unsigned all = bytes / quantum;
	unsigned mask = fetched(work);
	unsigned missing = 0, choice, i;
	uint64_t *to;
	bool there;

	for (i = 0; i < all; i++) {
		if (!(mask & 1u << i))
			missing++;
	}
	choice = (unsigned)vtdm_choice(model, IOMMU_FREE_TEAR, missing);
	for (i = 0; i < all; i++) {
		if (!(mask & 1u << i) && choice-- == 0)
			break;
	}
	if (beyond_host(state, work->at + bytes - 1))
		return false;
	to = &work->entry[i * quantum / 8];
	if (quantum == 16)
		there = port->read128(port->ctx, work->at + 16ull * i, to);
	else
		there = port->read64(port->ctx, work->at + 8ull * i, to);
	if (!there)
		return false;
	work->flags |= (1ull << i) << VTDM_F_FETCHED_LSB;
	*more = missing > 1;
	return true;
}

static void fetch_entry_at(struct vtdm_work *work, uint64_t address)
{
	memset(work->entry, 0, sizeof(work->entry));
	work->at = address;
	work->flags &= ~VTDM_F_FETCHED;
}

/* Caching mode: what is not there is cached too, and found until software says that it is now (6.1). */
static void fill_absent(struct vtdm_state *state, struct iommu_request *request, const struct model_cache *cache, uint64_t tag,
			uint64_t mask, unsigned reason)
{
	struct vtdm_work *work = vtdm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (!GET(VTD_CAP, CM, &state->cap))
		return;
	line[0] = tag | TAG_VALID | TAG_ABSENT | (work->flags & VTDM_F_FPD ? VTDM_LINE_FPD : 0);
	line[1] = reason;
	model_cache_fill(&state->common, cache, model_lane(&state->common, request->lane), mask, line, work->gens);
}

/* ---- Context entries ---- */

#define CONTEXT_KEY (TAG_VALID | TAG_SOURCE | VTDM_LINE_SCALABLE)

static uint64_t context_tag(const struct iommu_request *request, const struct vtdm_work *work)
{
	return TAG_VALID | (request->rid & TAG_SOURCE) | (work->flags & VTDM_F_SCALABLE ? VTDM_LINE_SCALABLE : 0);
}

/*
 * These three say what an entry that is known to be good means for a request: GO_ON with what they put into `work`, AS_IS, or the
 * fault. They are inline for the sake of vtdm_translate(), which tries to do with registers alone.
 */
enum { GO_ON = 0, AS_IS = -1 };

/* A legacy context entry. 3.4.2, 9.3. */
static inline int use_context(const struct vtdm_state *state, const struct iommu_request *request, struct vtdm_work *work,
			      const uint64_t *entry)
{
	uint64_t tt = GET(VTD_CONTEXT, TT, entry);
	uint64_t width = 30 + 9 * GET(VTD_CONTEXT, AW, entry);

	if (entry[0] & BITS(VTD_CONTEXT, FPD))
		work->flags |= VTDM_F_FPD;
	if (request->kind != IOMMU_REQUEST_UNTRANSLATED && tt != VTD_TT_DEVTLB)
		return VTD_FR_REQUEST_BLOCKED;
	if (request->kind == IOMMU_REQUEST_TRANSLATED)
		return beyond_host(state, request->addr) ? (int)VTD_FR_ADDRESS_WIDTH : AS_IS;
	if (tt == VTD_TT_PASS)
		width = state->haw;
	else if (width > state->mgaw)
		width = state->mgaw;
	if (request->addr >> width)
		return VTD_FR_ADDRESS_WIDTH;
	work->tag = TAG_VALID | GET(VTD_CONTEXT, DID, entry) << TAG_DOMAIN_LSB;
	if (tt == VTD_TT_PASS)
		work->tag |= (uint64_t)VTDM_CLASS_LEGACY_PASS << TAG_CLASS_LSB;
	else
		work->ss = GET_ADDR(VTD_CONTEXT, SSPTPTR, entry) | (GET(VTD_CONTEXT, AW, entry) + 2);
	return GO_ON;
}

/* Is a legacy context entry good? 0 or the fault. */
static unsigned check_context(const struct vtdm_state *state, const uint64_t *entry)
{
	uint64_t named[2];
	uint64_t tt = GET(VTD_CONTEXT, TT, entry);

	if (!(entry[0] & BITS(VTD_CONTEXT, P)))
		return VTD_FR_CONTEXT_ABSENT;
	name_context(named);
	if (has_bits(entry, named, 2) || (GET(VTD_CONTEXT, DID, entry) & ~state->domains))
		return VTD_FR_CONTEXT_RESERVED;
	if (tt != VTD_TT_PASS && beyond_host(state, GET_ADDR(VTD_CONTEXT, SSPTPTR, entry)))
		return VTD_FR_CONTEXT_RESERVED;
	if (tt == 3 || (tt == VTD_TT_DEVTLB && !GET(VTD_ECAP, DT, &state->ecap)) ||
	    (tt == VTD_TT_PASS && !GET(VTD_ECAP, PT, &state->ecap)))
		return VTD_FR_CONTEXT_INVALID;
	if (GET(VTD_CONTEXT, AW, entry) > 4 || !(GET(VTD_CAP, SAGAW, &state->cap) >> GET(VTD_CONTEXT, AW, entry) & 1))
		return VTD_FR_CONTEXT_INVALID;
	return 0;
}

/* A scalable-mode context entry. 3.4.3, 9.4. */
static inline int use_smcontext(const struct vtdm_state *state, const struct iommu_request *request, struct vtdm_work *work,
				const uint64_t *entry)
{
	uint64_t limit = 1ull << (GET(VTD_SMCONTEXT, PDTS, entry) + 7 + 6);
	bool has_pasid = request->pasid != IOMMU_NO_PASID;

	if (entry[0] & BITS(VTD_SMCONTEXT, FPD))
		work->flags |= VTDM_F_FPD;
	if (request->kind != IOMMU_REQUEST_UNTRANSLATED && !GET(VTD_SMCONTEXT, DTE, entry))
		return VTD_FR_DTE_CLEAR;
	if (request->kind == IOMMU_REQUEST_TRANSLATED)
		return beyond_host(state, request->addr) ? (int)VTD_FR_HOST_ADDRESS_SM : AS_IS;
	if (has_pasid && !GET(VTD_SMCONTEXT, PASIDE, entry))
		return VTD_FR_PASIDE_CLEAR;
	work->pasid = has_pasid ? request->pasid : GET(VTD_SMCONTEXT, RID_PASID, entry);
	if (work->pasid >= limit)
		return has_pasid ? VTD_FR_PASID_TOO_LARGE : VTD_FR_RID_PASID_INVALID;
	/* 9.4: requests without PASID are a user's unless RID_PRIV says otherwise. */
	if (!(has_pasid ? request->access & IOMMU_PRIV : GET(VTD_SMCONTEXT, RID_PRIV, entry)))
		work->flags |= VTDM_F_USER;
	if (has_pasid && (request->access & IOMMU_EXEC))
		work->flags |= VTDM_F_EXEC;
	work->at = GET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, entry) + (work->pasid >> 6) * 8;
	return GO_ON;
}

static unsigned check_smcontext(const struct vtdm_state *state, const uint64_t *entry)
{
	uint64_t named[4];

	if (!(entry[0] & BITS(VTD_SMCONTEXT, P)))
		return VTD_FR_CONTEXT_ABSENT_SM;
	name_smcontext(named);
	if (has_bits(entry, named, 4) || beyond_host(state, GET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, entry)) ||
	    (GET(VTD_SMCONTEXT, DTE, entry) && !GET(VTD_ECAP, DT, &state->ecap)) ||
	    (GET(VTD_SMCONTEXT, PASIDE, entry) && !GET(VTD_ECAP, PASID, &state->ecap)) ||
	    (GET(VTD_SMCONTEXT, PRE, entry) && !GET(VTD_ECAP, PRS, &state->ecap)) ||
	    (GET(VTD_SMCONTEXT, RID_PASID, entry) && !GET(VTD_ECAP, RPS, &state->ecap)) ||
	    (GET(VTD_SMCONTEXT, RID_PRIV, entry) && !GET(VTD_ECAP, RPRIVS, &state->ecap)))
		return VTD_FR_CONTEXT_RESERVED_SM;
	return 0;
}

/* The context entry has been found, and is good. */
static void go_on_from_context(const struct iommu_model *model, struct iommu_request *request, const uint64_t *entry)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	bool scalable = work->flags & VTDM_F_SCALABLE;
	int ret = scalable ? use_smcontext(state, request, work, entry) : use_context(state, request, work, entry);

	work->root = 0;
	if (ret == AS_IS)
		pass_as_is(request);
	else if (ret)
		vtdm_fault(model, request, (unsigned)ret);
	else
		request->pc = scalable ? VTDM_PC_PASID_LOOKUP : VTDM_PC_IOTLB_LOOKUP;
}

static void context_lookup(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	const struct model_probe probe = { CONTEXT_KEY, context_tag(request, work), 0 };
	uint64_t line[LINE_WORDS_MAX];

	if (!model_cache_look_up(&state->common, model->port, &state->context, model_lane(&state->common, request->lane), &probe,
				 1, line)) {
		request->pc = VTDM_PC_ROOT;
		return;
	}
	if (line[0] & TAG_ABSENT) {
		if (line[0] & VTDM_LINE_FPD)
			work->flags |= VTDM_F_FPD;
		vtdm_fault(model, request, (unsigned)line[1]);
		return;
	}
	go_on_from_context(model, request, line + 1);
}

/* 9.1, 9.2: of a scalable-mode root entry, only the half for the device is looked at. */
static void fetch_root(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	bool scalable = work->flags & VTDM_F_SCALABLE;
	unsigned devfn = request->rid & 0xff;
	uint64_t table = GET_ADDR(VTD_RTADDR, RTA, &work->root) + (request->rid >> 8 & 0xff) * 16ull;
	uint64_t named[2], entry[2];
	unsigned half = scalable && devfn >= 128;
	bool more;

	if (!fetched(work))
		work->at = scalable ? table + half * 8 : table;
	if (!fetch_quantum(model, request, scalable ? 8 : 16, &more)) {
		vtdm_fault(model, request, scalable ? VTD_FR_ROOT_ACCESS_SM : VTD_FR_ROOT_ACCESS);
		return;
	}
	if (more)
		return;
	entry[0] = work->entry[0];
	entry[1] = work->entry[1];
	if (!(entry[0] & 1)) {
		vtdm_fault(model, request, scalable ? VTD_FR_ROOT_ABSENT_SM : VTD_FR_ROOT_ABSENT);
		return;
	}
	if (scalable) {
		name_smroot(named);
		if ((entry[0] & ~named[half]) || beyond_host(state, entry[0] & ~0xfffull)) {
			vtdm_fault(model, request, VTD_FR_ROOT_RESERVED_SM);
			return;
		}
		fetch_entry_at(work, (entry[0] & ~0xfffull) + (devfn & 127) * 32);
	} else {
		name_root(named);
		if (has_bits(entry, named, 2) || beyond_host(state, GET_ADDR(VTD_ROOT, CTP, entry))) {
			vtdm_fault(model, request, VTD_FR_ROOT_RESERVED);
			return;
		}
		fetch_entry_at(work, GET_ADDR(VTD_ROOT, CTP, entry) + devfn * 16);
	}
	request->pc = VTDM_PC_CONTEXT;
}

static void fetch_context(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	bool scalable = work->flags & VTDM_F_SCALABLE;
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	unsigned reason;
	bool more;

	if (!fetch_quantum(model, request, scalable ? 32 : 16, &more)) {
		vtdm_fault(model, request, scalable ? VTD_FR_CONTEXT_ACCESS_SM : VTD_FR_CONTEXT_ACCESS);
		return;
	}
	if (more)
		return;
	if (work->entry[0] & BITS(VTD_CONTEXT, FPD)) /* of an absent entry, too; the same bit in both modes */
		work->flags |= VTDM_F_FPD;
	reason = scalable ? check_smcontext(state, work->entry) : check_context(state, work->entry);
	if (reason) {
		fill_absent(state, request, &state->context, context_tag(request, work), CONTEXT_KEY, reason);
		vtdm_fault(model, request, reason);
		return;
	}
	line[0] = context_tag(request, work);
	if (!scalable)
		line[0] |= GET(VTD_CONTEXT, DID, work->entry) << TAG_DOMAIN_LSB;
	line[1] = work->entry[0];
	line[2] = work->entry[1];
	model_cache_fill(&state->common, &state->context, model_lane(&state->common, request->lane), CONTEXT_KEY, line, work->gens);
	fetch_entry_at(work, 0);
	go_on_from_context(model, request, line + 1);
}

/* ---- PASID entries ---- */

#define PASID_KEY (TAG_VALID | TAG_SOURCE | TAG_PASID)

static uint64_t pasid_tag(const struct iommu_request *request, const struct vtdm_work *work)
{
	return TAG_VALID | (request->rid & TAG_SOURCE) | work->pasid << TAG_PASID_LSB;
}

/* The first three words of a PASID entry. 9.6. */
static inline int use_pasid(const struct vtdm_state *state, const struct iommu_request *request, struct vtdm_work *work,
			    const uint64_t *entry)
{
	uint64_t pgtt = GET(VTD_PASID, PGTT, entry), class, width;

	work->at = 0;
	if (entry[0] & BITS(VTD_PASID, FPD))
		work->flags |= VTDM_F_FPD;
	if (pgtt == VTD_PGTT_FIRST || pgtt == VTD_PGTT_NESTED) {
		if (!(work->flags & VTDM_F_USER) && !GET(VTD_PASID, SRE, entry))
			return VTD_FR_SRE_CLEAR;
		if ((work->flags & VTDM_F_EXEC) && !(GET(VTD_ECAP, ERS, &state->ecap) && (entry[2] & PASID_ERE)))
			return VTD_FR_ERE_CLEAR;
		if (GET(VTD_PASID, WPE, entry))
			work->flags |= VTDM_F_WPE;
		work->fs = GET_ADDR(VTD_PASID, FSPTPTR, entry) | (GET(VTD_PASID, FSPM, entry) + 4) | VTDM_STAGE_AD;
		if (GET(VTD_PASID, PWSNP, entry))
			work->fs |= VTDM_STAGE_SNOOP;
		if (GET(VTD_PASID, EAFE, entry))
			work->fs |= VTDM_STAGE_EAF;
		if (entry[2] & PASID_NXE)
			work->fs |= VTDM_STAGE_NXE;
		/* 3.6.1: bits above the table's reach repeat the highest one within it. */
		width = (work->fs & VTDM_STAGE_LEVELS) * 9 + 12;
		if ((int64_t)(request->addr << (64 - width)) >> (64 - width) != (int64_t)request->addr)
			return VTD_FR_FS_NOT_CANONICAL;
	}
	if (pgtt == VTD_PGTT_SECOND || pgtt == VTD_PGTT_NESTED) {
		work->ss = GET_ADDR(VTD_PASID, SSPTPTR, entry) | (GET(VTD_PASID, AW, entry) + 2);
		if (GET(VTD_PASID, SSADE, entry))
			work->ss |= VTDM_STAGE_AD;
		if (GET(VTD_PASID, PWSNP, entry))
			work->ss |= VTDM_STAGE_SNOOP;
	}
	if (pgtt == VTD_PGTT_SECOND) {
		width = 30 + 9 * GET(VTD_PASID, AW, entry);
		if (request->addr >> (width < state->mgaw ? width : state->mgaw))
			return VTD_FR_SS_ADDRESS_SM;
	}
	if (pgtt == VTD_PGTT_PASS && beyond_host(state, request->addr))
		return VTD_FR_HOST_ADDRESS_SM;
	class = pgtt == VTD_PGTT_FIRST ? VTDM_CLASS_FIRST : pgtt == VTD_PGTT_SECOND ? VTDM_CLASS_SECOND :
		pgtt == VTD_PGTT_NESTED ? VTDM_CLASS_NESTED : VTDM_CLASS_PASS;
	work->tag = TAG_VALID | class << TAG_CLASS_LSB | GET(VTD_PASID, DID, entry) << TAG_DOMAIN_LSB;
	if (class != VTDM_CLASS_SECOND)
		work->tag |= work->pasid << TAG_PASID_LSB;
	return GO_ON;
}

static void go_on_from_pasid(const struct iommu_model *model, struct iommu_request *request, const uint64_t *entry)
{
	int ret = use_pasid(vtdm_state(model), request, vtdm_work(request), entry);

	if (ret)
		vtdm_fault(model, request, (unsigned)ret);
	else
		request->pc = VTDM_PC_IOTLB_LOOKUP;
}

/*
 * Is a PASID entry good? Bits that no field has are reserved; a field that the entry's mode doesn't use is ignored; one that the
 * unit hasn't the capability for is reserved.
 */
static unsigned check_pasid(const struct vtdm_state *state, const uint64_t *entry)
{
	const uint64_t *ecap = &state->ecap;
	uint64_t pgtt = GET(VTD_PASID, PGTT, entry);
	bool first = pgtt == VTD_PGTT_FIRST || pgtt == VTD_PGTT_NESTED;
	bool second = pgtt == VTD_PGTT_SECOND || pgtt == VTD_PGTT_NESTED;
	uint64_t named[8];

	if (!(entry[0] & BITS(VTD_PASID, P)))
		return VTD_FR_PASID_ABSENT;
	name_pasid(named);
	if (GET(VTD_ECAP, ERS, ecap) && first)
		named[2] |= PASID_ERE | PASID_NXE;
	if (has_bits(entry, named, 8) || (GET(VTD_PASID, DID, entry) & ~state->domains) ||
	    (GET(VTD_PASID, PWSNP, entry) && !GET(VTD_ECAP, SMPWCS, ecap)) ||
	    (GET(VTD_PASID, PGSNP, entry) && !GET(VTD_ECAP, SC, ecap)))
		return VTD_FR_PASID_RESERVED;
	if (first && (beyond_host(state, GET_ADDR(VTD_PASID, FSPTPTR, entry)) ||
		      (GET(VTD_PASID, SRE, entry) && !GET(VTD_ECAP, SRS, ecap)) ||
		      (GET(VTD_PASID, EAFE, entry) && !GET(VTD_ECAP, EAFS, ecap))))
		return VTD_FR_PASID_RESERVED;
	if (second && (beyond_host(state, GET_ADDR(VTD_PASID, SSPTPTR, entry)) ||
		       (GET(VTD_PASID, SSADE, entry) && !GET(VTD_ECAP, SSADS, ecap))))
		return VTD_FR_PASID_RESERVED;
	if ((pgtt == VTD_PGTT_FIRST && !GET(VTD_ECAP, FSTS, ecap)) || (pgtt == VTD_PGTT_SECOND && !GET(VTD_ECAP, SSTS, ecap)) ||
	    (pgtt == VTD_PGTT_NESTED && !GET(VTD_ECAP, NEST, ecap)) || (pgtt == VTD_PGTT_PASS && !GET(VTD_ECAP, PT, ecap)) ||
	    pgtt < VTD_PGTT_FIRST || pgtt > VTD_PGTT_PASS)
		return VTD_FR_PASID_INVALID;
	if (first && (GET(VTD_PASID, FSPM, entry) > VTD_FSPM_5_LEVEL ||
		      (GET(VTD_PASID, FSPM, entry) == VTD_FSPM_5_LEVEL && !GET(VTD_CAP, FS5LP, &state->cap))))
		return VTD_FR_PASID_INVALID;
	if (second && (GET(VTD_PASID, AW, entry) > 4 || !(GET(VTD_CAP, SAGAW, &state->cap) >> GET(VTD_PASID, AW, entry) & 1)))
		return VTD_FR_PASID_INVALID;
	return 0;
}

static void pasid_lookup(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	const struct model_probe probe = { PASID_KEY, pasid_tag(request, work), 0 };
	uint64_t line[LINE_WORDS_MAX];

	if (!model_cache_look_up(&state->common, model->port, &state->pasid, model_lane(&state->common, request->lane), &probe, 1,
				 line)) {
		request->pc = VTDM_PC_PASIDDIR;
		return;
	}
	if (line[0] & VTDM_LINE_FPD)
		work->flags |= VTDM_F_FPD;
	if (line[0] & TAG_ABSENT) {
		vtdm_fault(model, request, (unsigned)line[1]);
		return;
	}
	go_on_from_pasid(model, request, line + 1);
}

/* 9.5 */
static void fetch_pasiddir(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t named[1], entry;
	unsigned reason = 0;
	bool more;

	if (!fetch_quantum(model, request, 8, &more)) {
		vtdm_fault(model, request, VTD_FR_PASIDDIR_ACCESS);
		return;
	}
	entry = work->entry[0];
	if (entry & BITS(VTD_PASIDDIR, FPD))
		work->flags |= VTDM_F_FPD;
	name_pasiddir(named);
	if (!(entry & BITS(VTD_PASIDDIR, P)))
		reason = VTD_FR_PASIDDIR_ABSENT;
	else if ((entry & ~named[0]) || beyond_host(state, GET_ADDR(VTD_PASIDDIR, SMPTBLPTR, &entry)))
		reason = VTD_FR_PASIDDIR_RESERVED;
	if (reason) {
		fill_absent(state, request, &state->pasid, pasid_tag(request, work), PASID_KEY, reason);
		vtdm_fault(model, request, reason);
		return;
	}
	fetch_entry_at(work, GET_ADDR(VTD_PASIDDIR, SMPTBLPTR, &entry) + (work->pasid & 63) * 64);
	request->pc = VTDM_PC_PASID;
}

static void fetch_pasid(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	unsigned reason;
	bool more;

	if (!fetch_quantum(model, request, 64, &more)) {
		vtdm_fault(model, request, VTD_FR_PASID_ACCESS);
		return;
	}
	if (more)
		return;
	/* What FPD the context and directory entries have is kept with the line: the directory isn't read again on a hit. */
	line[0] = pasid_tag(request, work) | GET(VTD_PASID, DID, work->entry) << TAG_DOMAIN_LSB |
		  (work->flags & VTDM_F_FPD ? VTDM_LINE_FPD : 0);
	line[1] = work->entry[0];
	line[2] = work->entry[1];
	line[3] = work->entry[2];
	if (work->entry[0] & BITS(VTD_PASID, FPD))
		work->flags |= VTDM_F_FPD;
	reason = check_pasid(state, work->entry);
	if (reason) {
		fill_absent(state, request, &state->pasid, pasid_tag(request, work), PASID_KEY, reason);
		vtdm_fault(model, request, reason);
		return;
	}
	model_cache_fill(&state->common, &state->pasid, model_lane(&state->common, request->lane), PASID_KEY, line, work->gens);
	fetch_entry_at(work, 0);
	go_on_from_pasid(model, request, line + 1);
}

/* ---- The first step ---- */

static void start(const struct iommu_model *model, struct iommu_request *request)
{
	struct vtdm_state *state = vtdm_state(model);
	struct vtdm_work *work = vtdm_work(request);
	uint64_t root = word_load(&VTDM_ROOT(state));
	uint64_t ttm = GET(VTD_RTADDR, TTM, &root);

	if (!(root & VTDM_ROOT_TE)) {
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			pass_as_is(request);
		else
			vtdm_refuse(request, VTD_FR_REQUEST_BLOCKED);
		return;
	}
	/* 3.15: a write there without PASID is an interrupt request, which isn't translated; anything else is unsupported. */
	if (request->pasid == IOMMU_NO_PASID && request->addr >= INTERRUPT_FIRST && request->addr <= INTERRUPT_LAST) {
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED && (request->access & (IOMMU_READ | IOMMU_WRITE)) == IOMMU_WRITE)
			pass_as_is(request);
		else
			vtdm_refuse(request, ttm == VTD_TTM_LEGACY ? VTD_FR_INTERRUPT_RANGE_LEGACY : VTD_FR_INTERRUPT_RANGE);
		return;
	}
	work->root = root;
	switch (ttm) {
	case VTD_TTM_LEGACY:
		if (request->pasid != IOMMU_NO_PASID) {
			vtdm_fault(model, request, VTD_FR_TTM_MISMATCH);
			return;
		}
		break;
	case VTD_TTM_SCALABLE:
		if (!GET(VTD_ECAP, SMTS, &state->ecap)) {
			vtdm_fault(model, request, VTD_FR_RTA_ACCESS_SM);
			return;
		}
		work->flags |= VTDM_F_SCALABLE;
		break;
	case VTD_TTM_ABORT:
		if (GET(VTD_ECAP, ABMTS, &state->ecap)) {
			vtdm_refuse(request, VTD_FR_RTA_ACCESS_SM); /* 3.3: blocked, and no fault is reported */
			return;
		}
		/* fall through */
	default:
		vtdm_fault(model, request, VTD_FR_RTA_ACCESS_SM);
		return;
	}
	context_lookup(model, request);
}

/* ---- Steps ---- */

void vtdm_step(struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case VTDM_PC_START:
		start(model, request);
		break;
	case VTDM_PC_ROOT:
		fetch_root(model, request);
		break;
	case VTDM_PC_CONTEXT:
		fetch_context(model, request);
		break;
	case VTDM_PC_PASID_LOOKUP:
		pasid_lookup(model, request);
		break;
	case VTDM_PC_PASIDDIR:
		fetch_pasiddir(model, request);
		break;
	case VTDM_PC_PASID:
		fetch_pasid(model, request);
		break;
	case VTDM_PC_IOTLB_LOOKUP:
		vtdm_iotlb_look_up(model, request);
		break;
	default:
		vtdm_walk_step(model, request);
		break;
	}
	if (request->pc >= VTDM_PC_IOTLB_LOOKUP)
		stop_fetching(vtdm_state(model), request);
}

/*
 * A request that the caches answer and that nothing speaks against, without choices: the same as the steps would have done, but
 * with nothing stored on the way. False: nothing has been done; the steps will say what it is.
 */
static bool from_caches(const struct iommu_model *model, struct iommu_request *request, uint64_t counted)
{
	struct vtdm_state *state = vtdm_state(model);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t root = word_load(&VTDM_ROOT(state));
	uint64_t ttm = GET(VTD_RTADDR, TTM, &root);
	struct vtdm_work work;
	uint64_t line[LINE_WORDS_MAX], rights, phys;
	struct model_probe probe;

	if (request->kind != IOMMU_REQUEST_UNTRANSLATED || !(root & VTDM_ROOT_TE) || ttm > VTD_TTM_SCALABLE ||
	    request->addr >> 20 == INTERRUPT_FIRST >> 20)
		return false;
	work.flags = ttm == VTD_TTM_SCALABLE ? VTDM_F_SCALABLE : 0;
	work.fs = work.ss = 0;
	work.pasid = 0;
	probe = (struct model_probe){ CONTEXT_KEY, context_tag(request, &work), 0 };
	if (!model_cache_hit(&state->context, lane, &probe, line) || (line[0] & TAG_ABSENT))
		return false;
	if (ttm == VTD_TTM_LEGACY) {
		if (request->pasid != IOMMU_NO_PASID || use_context(state, request, &work, line + 1) != GO_ON)
			return false;
	} else {
		if (use_smcontext(state, request, &work, line + 1) != GO_ON)
			return false;
		probe = (struct model_probe){ PASID_KEY, pasid_tag(request, &work), 0 };
		if (!model_cache_hit(&state->pasid, lane, &probe, line) || (line[0] & TAG_ABSENT))
			return false;
		if (use_pasid(state, request, &work, line + 1) != GO_ON)
			return false;
	}
	for (uint64_t level = 1;; level++) {
		if (level > 3)
			return false;
		if (!(lane->sizes & 1ull << level))
			continue;
		probe.mask = IOTLB_KEY;
		probe.tag = (work.tag & IOTLB_KEY & ~TAG_LEVEL) | level << TAG_LEVEL_LSB;
		probe.address = request->addr & ~level_mask(level);
		if (!model_cache_hit(&state->iotlb, lane, &probe, line))
			continue;
		rights = line[2] & VTDM_RIGHTS;
		phys = (line[2] & VTDM_ADDR) | (request->addr & level_mask(level));
		if ((line[0] & TAG_ABSENT) || denied(request, &work, rights) || (wants_write(request) && !(rights & VTDM_DIRTY)) ||
		    to_interrupt_range(phys))
			return false;
		request->size = level_mask(level) + 1;
		break;
	}
	request->phys = phys;
	request->rights = answer(request, &work, rights);
	request->state = IOMMU_REQUEST_DONE;
	request->reason = 0;
	request->pc = VTDM_PC_END;
	vtdm_clear_work(request);
	vtdm_work(request)->flags = (work.flags & VTDM_F_SCALABLE) | counted;
	vtdm_work(request)->iova = request->addr;
	vtdm_work(request)->pasid = work.pasid;
	vtdm_work(request)->tag = work.tag;
	return true;
}

void vtdm_translate(struct iommu_model *model, struct iommu_request *request)
{
	const struct vtdm_state *state = vtdm_state(model);
	uint64_t counted = enter(state, request);

	if (!state->common.maysets && !model->port->choose && from_caches(model, request, counted))
		return;
	begin(state, request, counted);
	while (request->state == IOMMU_REQUEST_RUNNING)
		vtdm_step(model, request);
}

bool vtdm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights)
{
	struct vtdm_state *state = vtdm_state(model);
	uint64_t tag = TAG_VALID | (request->rid & TAG_SOURCE);
	struct model_probe probes[3];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t may = 0;

	if (request->pasid != IOMMU_NO_PASID)
		tag |= VTDM_LINE_HAS_PASID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t level = (i + 1ull) << TAG_LEVEL_LSB;

		probes[i].mask = TAG_VALID | TAG_SOURCE | TAG_PASID | VTDM_LINE_HAS_PASID | TAG_LEVEL;
		probes[i].tag = tag | level;
		probes[i].address = request->addr & ~(tag_size(level) - 1);
	}
	if (!model_cache_look_up(&state->common, model->port, &state->devtlb, model_lane(&state->common, request->lane), probes, 3,
				 line))
		return false;
	may = line[2] & 0xfff;
	if ((request->access & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC)) & ~may)
		return false;
	*phys = (line[2] & VTDM_ADDR) | (request->addr & (tag_size(line[0]) - 1));
	*rights = (uint32_t)may;
	return true;
}
