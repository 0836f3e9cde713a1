/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_invalidate.c - what each command removes from the caches, and which requests in flight it waits for (3.1).
 *
 * Where the specification is open, this is what is assumed, against software:
 * - IODIR removes exactly the lines that 3.1.3 names: INVAL_DDT with DV=1 no non-leaf DDT entry, INVAL_PDT no non-leaf PDT entry.
 *   It waits for requests that are still reading what it removes, and for nothing that is beyond: a walk that has the old context
 *   goes on with it, and may fill the IOATC ("late-fill").
 * - IOTINVAL removes exactly what its operands say. It waits for walks that could use or fill what it removes, not for accesses
 *   that have been translated already: those are IOFENCE.C's, with PR and PW.
 * - Commands are executed in any order between two IOFENCE.C.
 */
#include "riscv_state.h"

#define EVERYWHERE 0, ~0ull

#define NAMED(S, LIST) \
	static bool S##_reserved(const uint64_t *words) \
	{ \
		uint64_t used[2] = { 0, 0 }; \
		LIST(S, LAYOUT_NAME_BITS) \
		return (words[0] & ~used[0]) || (words[1] & ~used[1]); \
	}
NAMED(RISCV_IOTINVAL, RISCV_IOTINVAL_LIST)
NAMED(RISCV_IOFENCE, RISCV_IOFENCE_LIST)
NAMED(RISCV_IODIR, RISCV_IODIR_LIST)
NAMED(RISCV_ATS_INVAL, RISCV_ATS_INVAL_LIST)
NAMED(RISCV_ATS_PRGR, RISCV_ATS_PRGR_LIST)

static void add(struct model_scope *scopes, uint64_t *n, uint64_t mask, uint64_t tag, uint64_t first, uint64_t last)
{
	scopes[(*n)++] = (struct model_scope){ mask | TAG_VALID, tag | TAG_VALID, first, last };
}

static uint64_t tag_class(uint64_t class)
{
	return class << TAG_CLASS_LSB;
}

/* Of one page: what is cached of an entry that maps 64 KiB goes as a whole. */
static void add_page(struct model_scope *scopes, uint64_t *n, uint64_t mask, uint64_t tag, uint64_t address)
{
	add(scopes, n, mask | RVM_LINE_NAPOT, tag, address, address | 0xfff);
	add(scopes, n, mask | RVM_LINE_NAPOT, tag | RVM_LINE_NAPOT, address & ~0xffffull, address | 0xffff);
}

/* 3.1.1. False: illegal. */
static bool decode_iotinval(const uint64_t *command, struct rvm_invalidation *inv)
{
	uint64_t func = GET(RISCV_IOTINVAL, FUNC3, command);
	uint64_t address = RISCV_ADDR(GET(RISCV_IOTINVAL, ADDR, command));
	uint64_t gscid = GET(RISCV_IOTINVAL, GSCID, command) << TAG_DOMAIN_LSB;
	bool av = GET(RISCV_IOTINVAL, AV, command);
	bool gv = GET(RISCV_IOTINVAL, GV, command);
	uint64_t mask, tag;

	/* NL and S are reserved without their extensions (8.2, 8.3), which the model hasn't. */
	if (RISCV_IOTINVAL_reserved(command) || GET(RISCV_IOTINVAL, NL, command) || GET(RISCV_IOTINVAL, S, command))
		return false;
	if (func == RISCV_FUNC_IOTINVAL_VMA) {
		inv->kind = RVM_VMA;
		mask = TAG_CLASS | RVM_LINE_GUEST | (gv ? TAG_DOMAIN : 0);
		tag = tag_class(RVM_CLASS_FIRST) | (gv ? RVM_LINE_GUEST | gscid : 0);
		if (GET(RISCV_IOTINVAL, PSCV, command)) {
			mask |= TAG_PASID | RVM_LINE_GLOBAL;
			tag |= GET(RISCV_IOTINVAL, PSCID, command) << TAG_PASID_LSB;
		}
		if (av) {
			add_page(inv->scopes, &inv->nscopes, mask, tag, address);
			return true;
		}
		add(inv->scopes, &inv->nscopes, mask, tag, EVERYWHERE);
		add(inv->more, &inv->nmore, mask, tag, EVERYWHERE);
		return true;
	}
	if (func != RISCV_FUNC_IOTINVAL_GVMA || GET(RISCV_IOTINVAL, PSCV, command))
		return false;
	inv->kind = RVM_GVMA;
	mask = TAG_CLASS | (gv ? TAG_DOMAIN : 0);
	tag = gv ? gscid : 0;
	if (gv && av) {
		add_page(inv->scopes, &inv->nscopes, mask, tag | tag_class(RVM_CLASS_SECOND), address);
		add(inv->scopes, &inv->nscopes, mask, tag | tag_class(RVM_CLASS_MSI), address, address | 0xfff);
		return true;
	}
	add(inv->scopes, &inv->nscopes, mask, tag | tag_class(RVM_CLASS_SECOND), EVERYWHERE);
	add(inv->scopes, &inv->nscopes, mask, tag | tag_class(RVM_CLASS_MSI), EVERYWHERE);
	add(inv->more, &inv->nmore, mask, tag | tag_class(RVM_CLASS_SECOND), EVERYWHERE);
	return true;
}

static unsigned device_bits(const struct rvm_state *state)
{
	uint64_t root = RVM_ROOT(state);
	bool wide = GET(RISCV_CAP, MSI_FLAT, &state->cap);

	switch (GET(RISCV_DDTP, MODE, &root)) {
	case RISCV_DDTP_1LVL:
		return wide ? RISCV_DDI0_BITS_X : RISCV_DDI0_BITS;
	case RISCV_DDTP_2LVL:
		return wide ? RISCV_DDI0_BITS_X + RISCV_DDI1_BITS_X : RISCV_DDI0_BITS + RISCV_DDI1_BITS;
	default:
		return 24;
	}
}

static unsigned process_bits(const struct rvm_state *state)
{
	if (GET(RISCV_CAP, PD20, &state->cap))
		return 20;
	if (GET(RISCV_CAP, PD17, &state->cap))
		return RISCV_PDI0_BITS + RISCV_PDI1_BITS;
	return GET(RISCV_CAP, PD8, &state->cap) ? RISCV_PDI0_BITS : 0;
}

/* 3.1.3 */
static bool decode_iodir(const struct rvm_state *state, const uint64_t *command, struct rvm_invalidation *inv)
{
	uint64_t func = GET(RISCV_IODIR, FUNC3, command);
	uint64_t did = GET(RISCV_IODIR, DID, command);
	uint64_t pid = GET(RISCV_IODIR, PID, command);
	bool dv = GET(RISCV_IODIR, DV, command);

	if (RISCV_IODIR_reserved(command))
		return false;
	/* "must not be wider than": what happens then isn't said. */
	if (dv && did >> device_bits(state))
		return false;
	if (func == RISCV_FUNC_IODIR_INVAL_DDT) {
		if (pid)
			return false;
		inv->kind = RVM_DDT;
		if (dv) {
			add(inv->scopes, &inv->nscopes, RVM_DEVICE | TAG_LEVEL, rvm_tag_device(did), EVERYWHERE);
			add(inv->more, &inv->nmore, RVM_DEVICE, rvm_tag_device(did), EVERYWHERE);
		} else {
			add(inv->scopes, &inv->nscopes, 0, 0, EVERYWHERE);
			add(inv->more, &inv->nmore, 0, 0, EVERYWHERE);
		}
		return true;
	}
	if (func != RISCV_FUNC_IODIR_INVAL_PDT || !dv || pid >> process_bits(state))
		return false;
	inv->kind = RVM_PDT;
	add(inv->scopes, &inv->nscopes, TAG_CLASS | RVM_DEVICE | TAG_PASID | TAG_LEVEL,
	    tag_class(RVM_CLASS_CONTEXT) | rvm_tag_device(did) | pid << TAG_PASID_LSB, EVERYWHERE);
	add(inv->scopes, &inv->nscopes, TAG_CLASS | RVM_DEVICE | TAG_PASID | RVM_LINE_LEAF,
	    tag_class(RVM_CLASS_POINTER) | rvm_tag_device(did) | pid << TAG_PASID_LSB | RVM_LINE_LEAF, EVERYWHERE);
	return true;
}

/* S=1: the lowest address bit that is 0 tells the size, as in the ATS invalidation message. All ones: everything. */
static void device_range(uint64_t address, bool sized, uint64_t *first, uint64_t *last)
{
	unsigned bits = 0;
	uint64_t mask;

	if (sized) {
		while (bits < 52 && (address >> (12 + bits) & 1))
			bits++;
		bits++;
	}
	mask = bits >= 52 ? ~0ull : (1ull << (12 + bits)) - 1;
	*first = address & ~mask;
	*last = address | mask;
}

/* 3.1.4 */
static bool decode_ats(const struct rvm_state *state, const uint64_t *command, struct rvm_invalidation *inv)
{
	uint64_t device = GET(RISCV_ATS_INVAL, RID, command);
	uint64_t mask = RVM_DEVICE;
	uint64_t first, last, tag;

	if (!GET(RISCV_CAP, ATS, &state->cap))
		return false;
	switch (GET(RISCV_ATS_INVAL, FUNC3, command)) {
	case RISCV_FUNC_ATS_PRGR:
		return !RISCV_ATS_PRGR_reserved(command); /* nothing of devices' page requests is modelled behind the queue */
	case RISCV_FUNC_ATS_INVAL:
		break;
	default:
		return false;
	}
	if (RISCV_ATS_INVAL_reserved(command))
		return false;
	/* Without a segment the request stays in the first one. */
	if (GET(RISCV_ATS_INVAL, DSV, command))
		device |= GET(RISCV_ATS_INVAL, DSEG, command) << 16;
	tag = rvm_tag_device(device);
	mask |= RVM_LINE_HAS_PID;
	if (GET(RISCV_ATS_INVAL, PV, command)) {
		tag |= RVM_LINE_HAS_PID;
		if (!GET(RISCV_ATS_INVAL, G, command)) {
			mask |= TAG_PASID;
			tag |= GET(RISCV_ATS_INVAL, PID, command) << TAG_PASID_LSB;
		}
	}
	inv->kind = RVM_DEVTLB;
	device_range(RISCV_ADDR(GET(RISCV_ATS_INVAL, ADDR, command)), GET(RISCV_ATS_INVAL, S, command), &first, &last);
	add(inv->scopes, &inv->nscopes, mask, tag, first, last);
	return true;
}

/* Is a command legal? What it removes goes to `inv`. */
bool rvm_decode(const struct rvm_state *state, const uint64_t *command, struct rvm_invalidation *inv)
{
	memset(inv, 0, sizeof(*inv));
	switch (GET(RISCV_CMD, OPCODE, command)) {
	case RISCV_OP_IOTINVAL:
		return decode_iotinval(command, inv);
	case RISCV_OP_IOFENCE:
		if (GET(RISCV_IOFENCE, FUNC3, command) != RISCV_FUNC_IOFENCE_C || RISCV_IOFENCE_reserved(command))
			return false;
		if (GET(RISCV_IOFENCE, WSI, command) && !(word_load(&state->fctl) & BITS(RISCV_FCTL, WSI)))
			return false;
		inv->kind = RVM_FENCE;
		inv->nmore = GET(RISCV_IOFENCE, PR, command) | GET(RISCV_IOFENCE, PW, command) << 1;
		return true;
	case RISCV_OP_IODIR:
		return decode_iodir(state, command, inv);
	case RISCV_OP_ATS:
		return decode_ats(state, command, inv);
	default:
		return false;
	}
}

static void drop(struct model_common *common, const struct model_cache *cache, const struct model_scope *scopes, uint64_t n)
{
	model_cache_drop(common, cache, scopes, (unsigned)n);
}

void rvm_invalidate(struct rvm_state *state, const struct rvm_invalidation *inv)
{
	struct model_common *common = &state->common;
	bool late_fill = rvm_free(state, IOMMU_FREE_LATE_FILL);

	if (common->maysets)
		state->last = *inv;
	switch (inv->kind) {
	case RVM_DDT:
		model_gen_turn(common, MODEL_GEN_ENTRY);
		model_gen_turn(common, MODEL_GEN_PASID);
		drop(common, &state->ddt, inv->scopes, inv->nscopes);
		drop(common, &state->pdt, inv->more, inv->nmore);
		model_gen_turn(common, MODEL_GEN_ENTRY);
		model_gen_turn(common, MODEL_GEN_PASID);
		break;
	case RVM_PDT:
		model_gen_turn(common, MODEL_GEN_PASID);
		drop(common, &state->pdt, inv->scopes, inv->nscopes);
		model_gen_turn(common, MODEL_GEN_PASID);
		break;
	case RVM_VMA:
	case RVM_GVMA:
		model_gen_turn(common, MODEL_GEN_TLB);
		drop(common, &state->walk, inv->more, inv->nmore);
		drop(common, &state->iotlb, inv->scopes, inv->nscopes);
		model_gen_turn(common, MODEL_GEN_TLB);
		state->must_drain |= common->maysets ? 0 : RVM_DRAIN_ALL;
		return;
	case RVM_DEVTLB:
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		drop(common, &state->devtlb, inv->scopes, inv->nscopes);
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		state->must_drain |= common->maysets ? 0 : RVM_DRAIN_ALL;
		return;
	default:
		return;
	}
	/* A directory's. Who has the old entry may go on, and may fill the IOATC: unless that freedom is off. */
	state->must_drain |= common->maysets ? 0 : RVM_DRAIN_FETCHES;
	if (!late_fill) {
		model_gen_turn(common, MODEL_GEN_TLB);
		model_gen_turn(common, MODEL_GEN_TLB);
		state->must_drain |= common->maysets ? 0 : RVM_DRAIN_ALL;
	}
}

/* What must be waited for is waited for from now on. */
void rvm_drain_start(struct rvm_state *state, const struct iommu_model_port *port)
{
	state->draining = state->must_drain;
	state->must_drain = 0;
	if (state->draining & RVM_DRAIN_FETCHES)
		model_fetch_drain_start(&state->common, port);
	if (state->draining & RVM_DRAIN_ALL)
		model_drain_start(&state->common, port);
}

bool rvm_drain_done(struct rvm_state *state)
{
	if (((state->draining & RVM_DRAIN_FETCHES) && !model_fetch_drain_done(&state->common)) ||
	    ((state->draining & RVM_DRAIN_ALL) && !model_drain_done(&state->common)))
		return false;
	state->draining = 0;
	return true;
}

static bool covers(const struct model_scope *scopes, uint64_t n, uint64_t tag, bool addressed, uint64_t address)
{
	for (uint64_t i = 0; i < n; i++) {
		if (model_scope_matches(&scopes[i], addressed, tag, address))
			return true;
	}
	return false;
}

/*
 * May-sets: did the tick wait for this request? See the top of this file. A request that only read entries or tables that
 * the command isn't about is not waited for, and goes on with what it has.
 */
bool rvm_drained(const struct iommu_model *model, const struct iommu_request *request)
{
	const struct rvm_state *state = rvm_state(model);
	const struct rvm_invalidation *inv = &state->last;
	const struct rvm_work *work = (const struct rvm_work *)(const void *)request->work;
	bool late_fill = rvm_free(state, IOMMU_FREE_LATE_FILL);
	bool running = request->state == IOMMU_REQUEST_RUNNING;
	bool nested = rvm_nested(work);
	uint64_t device = TAG_VALID | rvm_tag_device(request->rid);
	uint64_t tag;

	if (request->state == IOMMU_REQUEST_FAULT)
		return false; /* over: it holds nothing */
	switch (inv->kind) {
	case RVM_DDT:
		if (!running || request->pc == RVM_PC_START || (late_fill && !(work->flags & RVM_F_DIRECTORY)))
			return false;
		return covers(inv->scopes, inv->nscopes, device, false, 0);
	case RVM_PDT:
		if (!running || !(work->flags & RVM_F_PID) || (late_fill && !(work->flags & RVM_F_DIRECTORY)))
			return false;
		return covers(inv->scopes, inv->nscopes, device | work->pid << TAG_PASID_LSB, false, 0);
	case RVM_VMA: {
		/* Who has read the leaf holds all of its page, and that may be one of 64 KiB; who hasn't will read what is new. */
		uint64_t level = (work->rights & RVM_PAGE_LEVEL) >> RVM_PAGE_LEVEL_LSB;

		if (!running || !(work->tag & TAG_VALID))
			return false;
		tag = work->tag | (level ? level : 1) << TAG_LEVEL_LSB;
		return covers(inv->scopes, inv->nscopes, tag, true, work->iova & ~(tag_size(tag) - 1)) ||
		       covers(inv->scopes, inv->nscopes, tag | RVM_LINE_NAPOT, true, work->iova & ~(tag_size(tag) - 1));
	}
	case RVM_GVMA:
		if (!running || !(work->flags & RVM_F_DC) || !nested)
			return false;
		tag = TAG_VALID | tag_class(RVM_CLASS_SECOND) | RVM_LINE_GUEST | GET(RISCV_DC, GSCID, work->dc) << TAG_DOMAIN_LSB;
		/*
		 * The address is what the second stage translates now, or has translated for the entry that is being fetched. How
		 * large a page said so isn't kept: up to 1 GiB.
		 */
		tag |= 3ull << TAG_LEVEL_LSB;
		return covers(inv->scopes, inv->nscopes, tag, inv->nmore == 0, work->gpa & ~(tag_size(tag) - 1));
	case RVM_DEVTLB:
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			return false;
		tag = device | 1ull << TAG_LEVEL_LSB;
		if (request->pasid != IOMMU_NO_PASID)
			tag |= RVM_LINE_HAS_PID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		return covers(inv->scopes, inv->nscopes, tag, true, work->iova & ~0xfffull);
	case RVM_FENCE:
		/* 3.1.2: requests "that have already been processed" are globally done, if the fence asks for that. */
		if (running)
			return false;
		return !((request->access & IOMMU_WRITE) && !(inv->nmore & 2)) &&
		       !((request->access & ~IOMMU_WRITE & (IOMMU_READ | IOMMU_EXEC)) && !(inv->nmore & 1)) && inv->nmore;
	case RVM_OFF:
		return true;
	default:
		return false;
	}
}
