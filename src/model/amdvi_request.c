/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_request.c - a request on its way through the device table and the GCR3 table (2.2.2, 2.2.6), one fetch or look-up per
 * step.
 */
#include "amdvi_rights.h"

#define INTERRUPT_FIRST 0xfee00000ull /* 2.1.4.1: what PCI devices write to for an interrupt */
#define INTERRUPT_LAST 0xfeefffffull
#define HT_FIRST 0xfd00000000ull /* 2.1.4.1: HyperTransport's own ranges, unless HtRangeIgnore */
#define HT_LAST 0xffffffffffull

/* 2.2.6.3: PWT and PCD of a GCR3 entry: cache attributes. */
#define GCR3_IGNORED 0x18ull

static void name_dte(uint64_t used[4])
{
	memset(used, 0, 4 * sizeof(uint64_t));
	AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_NAME_BITS)
}

static void name_gcr3(uint64_t used[1])
{
	used[0] = GCR3_IGNORED;
	AMDVI_GCR3_LIST(AMDVI_GCR3, LAYOUT_NAME_BITS)
}

/* ---- Begin and end ---- */

static void begin(const struct amdvim_state *state, struct iommu_request *request, uint64_t counted)
{
	struct amdvim_work *work = amdvim_work(request);

	request->state = IOMMU_REQUEST_RUNNING;
	request->reason = 0;
	request->phys = 0;
	request->size = 0;
	request->rights = 0;
	request->pc = AMDVIM_PC_START;
	amdvim_clear_work(request);
	work->flags = counted;
	work->iova = request->addr;
	if (!state->common.maysets) {
		work->flags |= AMDVIM_F_FETCHING;
		if (model_fetch_enter(&state->common, model_lane(&state->common, request->lane)))
			work->flags |= AMDVIM_F_FETCH_HALF;
		model_gens_note(&state->common, work->gens);
	}
}

/* In flight from here on. */
static uint64_t enter(const struct amdvim_state *state, const struct iommu_request *request)
{
	if (state->common.maysets)
		return 0;
	return AMDVIM_F_COUNTED |
	       (model_lane_enter(&state->common, model_lane(&state->common, request->lane)) ? AMDVIM_F_HALF : 0);
}

void amdvim_begin(struct iommu_model *model, struct iommu_request *request)
{
	const struct amdvim_state *state = amdvim_state(model);

	begin(state, request, enter(state, request));
}

/* It has its entry, or needs none: an invalidation of entries needn't wait for it any more. */
static void stop_fetching(struct amdvim_state *state, struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);

	if (work->flags & AMDVIM_F_FETCHING) {
		model_fetch_leave(model_lane(&state->common, request->lane), work->flags & AMDVIM_F_FETCH_HALF ? 1 : 0);
		work->flags &= ~(AMDVIM_F_FETCHING | AMDVIM_F_FETCH_HALF);
	}
}

void amdvim_end(struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);

	stop_fetching(state, request);
	if (work->flags & AMDVIM_F_COUNTED) {
		model_lane_leave(model_lane(&state->common, request->lane), work->flags & AMDVIM_F_HALF ? 1 : 0);
		work->flags &= ~AMDVIM_F_COUNTED;
	}
}

/* Untranslated: the unit is off, V=0, an exclusion range, or the address is already what the bus needs. */
static void pass_as_is(struct iommu_request *request)
{
	struct amdvim_work *work = amdvim_work(request);
	uint64_t iova = work->iova;
	uint64_t counted = work->flags & AMDVIM_F_LANES;

	amdvim_clear_work(request);
	work->iova = iova;
	work->flags = counted;
	request->phys = request->addr;
	request->size = 4096;
	request->rights = IOMMU_READ | IOMMU_WRITE | (request->access & (IOMMU_EXEC | IOMMU_PRIV));
	request->state = IOMMU_REQUEST_DONE;
	request->pc = AMDVIM_PC_END;
}

/* ---- Device table entries ---- */

/* What is wrong with an entry of which V=1: 0, or the flags of an ILLEGAL_DEV_TABLE_ENTRY and bit 31. */
#define ILLEGAL (1u << 31)

static unsigned check_dte(const struct amdvim_state *state, uint64_t control, const uint64_t *entry)
{
	const uint64_t *efr = &state->efr;
	uint64_t had = GET(AMDVI_DTE, HAD, entry);
	uint64_t named[4];

	/* 2.2.2.1: of the upper half only the guest's paging mode is about DMA; the rest is checked for interrupts. */
	name_dte(named);
	if ((entry[0] & ~named[0]) || (entry[1] & ~named[1]))
		return ILLEGAL | AMDVIM_EV_RZ;
	if ((had & 1 && !GET(AMDVI_EFR, HA_SUP, efr)) || (had & 2 && !GET(AMDVI_EFR, HD_SUP, efr)) ||
	    (GET(AMDVI_DTE, GIOV, entry) && !GET(AMDVI_EFR, GIO_SUP, efr)) ||
	    (GET(AMDVI_DTE, PPR, entry) && !GET(AMDVI_EFR, PPR_SUP, efr)) || GET(AMDVI_DTE, IOCTL, entry) == 3)
		return ILLEGAL | AMDVIM_EV_RZ;
	/* 3.4.4: GV means nothing while guest translation is off. */
	if (GET(AMDVI_DTE, GV, entry) && !(control & BITS(AMDVI_CONTROL, GT_EN)))
		return ILLEGAL | AMDVIM_EV_RZ;
	if (!GET(AMDVI_DTE, TV, entry))
		return 0;
	/* RZ=0: an encoding of levels that isn't there. */
	if (GET(AMDVI_DTE, MODE, entry) > 4 + GET(AMDVI_EFR, HATS, efr) || had == 2)
		return ILLEGAL;
	if (GET(AMDVI_DTE, GV, entry) &&
	    (GET(AMDVI_DTE, GLX, entry) > GET(AMDVI_EFR, GLX_SUP, efr) ||
	     GET(AMDVI_DTE, GUEST_PAGING_MODE, entry) > GET(AMDVI_EFR, GATS, efr)))
		return ILLEGAL;
	return 0;
}

/* 3.4.5 */
static bool excluded(const struct amdvim_state *state, const struct iommu_request *request, const uint64_t *entry)
{
	uint64_t base = amdvim_reg_load(state, AMDVI_REG_EXCLUSION_BASE);
	uint64_t limit = amdvim_reg_load(state, AMDVI_REG_EXCLUSION_LIMIT) | 0xfff;

	if (!(base & BITS(AMDVI_EXCLUSION_BASE, EX_EN)) || request->pasid != IOMMU_NO_PASID)
		return false;
	if (request->addr < GET_ADDR(AMDVI_EXCLUSION_BASE, BASE, &base) || request->addr > limit)
		return false;
	return (base & BITS(AMDVI_EXCLUSION_BASE, ALLOW)) || GET(AMDVI_DTE, EX, entry);
}

/* What DMA is translated by: the guest's tables, or the host's alone. */
static inline bool is_guests(const struct iommu_request *request, const uint64_t *entry)
{
	return GET(AMDVI_DTE, GV, entry) && (request->pasid != IOMMU_NO_PASID || GET(AMDVI_DTE, GIOV, entry));
}

/* What an entry with V=1 and TV=1, known to be good, means for a request: flags and tag. False: there are no tables for it. */
static inline bool use_dte(const struct amdvim_state *state, const struct iommu_request *request, struct amdvim_work *work,
			   const uint64_t *entry)
{
	bool has_pasid = request->pasid != IOMMU_NO_PASID;
	unsigned width, pasid_bits, pas_max = (unsigned)GET(AMDVI_EFR, PAS_MAX, &state->efr) + 1;

	work->tag = TAG_VALID | GET(AMDVI_DTE, DOMAIN_ID, entry) << TAG_DOMAIN_LSB;
	if (GET(AMDVI_DTE, IR, entry))
		work->flags |= AMDVIM_F_IR;
	if (GET(AMDVI_DTE, IW, entry))
		work->flags |= AMDVIM_F_IW;
	if (!has_pasid && !is_guests(request, entry))
		return true;
	work->flags |= AMDVIM_F_GN;
	work->pasid = has_pasid ? request->pasid & 0xfffff : 0;
	if (!is_guests(request, entry))
		return false;
	if (!(request->access & IOMMU_PRIV))
		work->flags |= AMDVIM_F_USER;
	if (has_pasid && (request->access & IOMMU_EXEC))
		work->flags |= AMDVIM_F_EXEC;
	pasid_bits = 9 * ((unsigned)GET(AMDVI_DTE, GLX, entry) + 1);
	if ((has_pasid && request->pasid > 0xfffff) || work->pasid >> (pasid_bits < pas_max ? pasid_bits : pas_max))
		return false;
	/* 2.2.6.4: as a processor's linear address. */
	width = ((unsigned)GET(AMDVI_DTE, GUEST_PAGING_MODE, entry) + 4) * 9 + 12;
	if ((int64_t)(request->addr << (64 - width)) >> (64 - width) != (int64_t)request->addr)
		return false;
	work->tag |= work->pasid << TAG_PASID_LSB |
		     (uint64_t)(GET(AMDVI_DTE, MODE, entry) ? AMDVIM_CLASS_NESTED : AMDVIM_CLASS_GUEST) << TAG_CLASS_LSB;
	return true;
}

static void dte_is_there(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	const uint64_t *entry = work->entry;
	bool ats = request->kind != IOMMU_REQUEST_UNTRANSLATED;
	uint64_t mode, had;
	unsigned illegal;

	work->at = 0;
	work->flags &= ~AMDVIM_F_FETCHED;
	if (!GET(AMDVI_DTE, V, entry) && !ats) {
		pass_as_is(request); /* 2.2.2.1: not a block */
		return;
	}
	illegal = GET(AMDVI_DTE, V, entry) ? check_dte(state, work->control, entry) : 0;
	if (illegal) {
		amdvim_fault(model, request, AMDVI_EVENT_ILLEGAL_DTE, illegal & ~ILLEGAL);
		return;
	}
	/* 2.5.9: with V=0 there is no I bit. */
	if (ats && !(GET(AMDVI_DTE, V, entry) && GET(AMDVI_DTE, I, entry))) {
		amdvim_fault(model, request, AMDVI_EVENT_INVALID_REQUEST,
			     (request->kind == IOMMU_REQUEST_TRANSLATION ? AMDVI_INVALID_TR_I_CLEAR : AMDVI_INVALID_PRETRANSLATED)
				     << AMDVIM_EV_TYPE_LSB);
		return;
	}
	if (request->kind == IOMMU_REQUEST_TRANSLATED || excluded(state, request, entry)) {
		pass_as_is(request);
		return;
	}
	if (GET(AMDVI_DTE, SA, entry))
		work->flags |= AMDVIM_F_SA;
	if (!GET(AMDVI_DTE, TV, entry)) {
		amdvim_page_fault(model, request, 0); /* its DomainID isn't valid either */
		return;
	}
	if (!use_dte(state, request, work, entry)) {
		amdvim_page_fault(model, request, 0);
		return;
	}
	had = GET(AMDVI_DTE, HAD, entry);
	if (had & 1)
		work->flags |= AMDVIM_F_HA;
	if (had == 3)
		work->flags |= AMDVIM_F_HD;
	mode = GET(AMDVI_DTE, MODE, entry);
	if (mode)
		work->host = GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry) | mode;
	if (work->flags & AMDVIM_F_GN) {
		work->gcr3 = amdvi_dte_gcr3(entry) | (GET(AMDVI_DTE, GLX, entry) + 1);
		work->guest = GET(AMDVI_DTE, GUEST_PAGING_MODE, entry) + 4;
		if (mode && (work->control & BITS(AMDVI_CONTROL, GCR3_TRP_MODE)))
			work->flags |= AMDVIM_F_GCR3_GPA;
	}
	memset(work->entry, 0, sizeof(work->entry));
	request->pc = AMDVIM_PC_IOTLB_LOOKUP;
}

#define DTE_KEY (TAG_VALID | TAG_SOURCE)

static void dte_lookup(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	const struct model_probe probe = { DTE_KEY, TAG_VALID | (request->rid & TAG_SOURCE), 0 };
	uint64_t line[LINE_WORDS_MAX];

	if (!model_cache_look_up(&state->common, model->port, &state->dte, model_lane(&state->common, request->lane), &probe, 1,
				 line)) {
		request->pc = AMDVIM_PC_DTE;
		return;
	}
	memcpy(work->entry, &line[1], 3 * sizeof(uint64_t));
	dte_is_there(model, request);
}

/* 3.4.1, 2.2.2: where a device's entry is; false: the table has none for it. */
static bool find_dte(const struct amdvim_state *state, const struct amdvim_work *work, uint32_t rid, uint64_t *address)
{
	unsigned segments = (unsigned)GET(AMDVI_CONTROL, DEV_TBL_SEG_EN, &work->control);
	unsigned supported = (unsigned)GET(AMDVI_EFR, DEV_TBL_SEG_SUP, &state->efr);
	uint64_t index, base;
	unsigned segment;

	if (segments > supported)
		segments = supported;
	segment = (rid & 0xffff) >> (16 - segments);
	index = rid & (0xffffu >> segments);
	base = amdvim_reg_load(state, segment ? AMDVI_REG_DEVTAB_1 + 8 * (segment - 1) : AMDVI_REG_DEVTAB);
	if (index * 32 >= (GET(AMDVI_DEVTAB, SIZE, &base) + 1) * 4096)
		return false;
	*address = GET_ADDR(AMDVI_DEVTAB, BASE, &base) + index * 32;
	return true;
}

/* The unit reads an entry in quanta, in any order. Hardware is said to read all 256 bits at once; our promise is made for less. */
static void fetch_dte(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	unsigned quantum = (unsigned)state->common.quantum;
	unsigned all = 32 / quantum;
	unsigned mask = (unsigned)((work->flags & AMDVIM_F_FETCHED) >> AMDVIM_F_FETCHED_LSB);
	unsigned missing = 0, choice, i;
	uint64_t line[LINE_WORDS_MAX];
	uint64_t *to;
	bool there;

	if (!mask && !find_dte(state, work, request->rid, &work->at)) {
		amdvim_page_fault(model, request, 0);
		return;
	}
	for (i = 0; i < all; i++) {
		if (!(mask & 1u << i))
			missing++;
	}
	choice = amdvim_choice(model, IOMMU_FREE_TEAR, missing);
	for (i = 0; i < all; i++) {
		if (!(mask & 1u << i) && choice-- == 0)
			break;
	}
	to = &work->entry[i * quantum / 8];
	if (quantum == 16)
		there = port->read128(port->ctx, work->at + 16ull * i, to);
	else
		there = port->read64(port->ctx, work->at + 8ull * i, to);
	if (!there) {
		amdvim_fault_at(model, request, AMDVI_EVENT_DTE_HARDWARE, AMDVI_ERROR_MASTER_ABORT << AMDVIM_EV_TYPE_LSB,
				work->at);
		return;
	}
	work->flags |= (1ull << i) << AMDVIM_F_FETCHED_LSB;
	if (missing > 1)
		return;
	line[0] = TAG_VALID | (request->rid & TAG_SOURCE);
	memcpy(&line[1], work->entry, 3 * sizeof(uint64_t));
	model_cache_fill(&state->common, &state->dte, model_lane(&state->common, request->lane), DTE_KEY, line, work->gens);
	dte_is_there(model, request);
}

/* ---- The GCR3 table ---- */

#define GCR3_KEY (TAG_VALID | TAG_DOMAIN | TAG_PASID)

static uint64_t gcr3_offset(const struct amdvim_work *work)
{
	return (work->pasid >> (9 * ((work->guest_at & AMDVIM_LEVEL) - 1)) & 511) * 8;
}

/* The next GCR3 entry: by its address, or the host tables are asked for that first. */
static void next_gcr3(struct iommu_request *request, uint64_t table)
{
	struct amdvim_work *work = amdvim_work(request);

	work->guest_at = table;
	work->at = (table & AMDVIM_ADDR) + gcr3_offset(work);
	request->pc = AMDVIM_PC_GCR3;
	if (work->flags & AMDVIM_F_GCR3_GPA) {
		work->gpa = work->at;
		work->flags = (work->flags & ~AMDVIM_F_FOR) | AMDVIM_FOR_GCR3 << AMDVIM_F_FOR_LSB;
		request->pc = AMDVIM_PC_HOST_LOOKUP;
	}
}

static void use_gcr3(struct iommu_request *request, uint64_t entry)
{
	struct amdvim_work *work = amdvim_work(request);

	work->guest |= GET_ADDR(AMDVI_GCR3, ADDR, &entry);
	work->guest_at = 0;
	work->at = 0;
	work->gpa = 0;
	work->flags &= ~AMDVIM_F_FOR;
	request->pc = AMDVIM_PC_WALK_LOOKUP;
}

static void gcr3_lookup(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	const struct model_probe probe = { GCR3_KEY, work->tag & GCR3_KEY, 0 };
	uint64_t line[LINE_WORDS_MAX];

	if (model_cache_look_up(&state->common, model->port, &state->gcr3, model_lane(&state->common, request->lane), &probe, 1,
				line)) {
		use_gcr3(request, line[1]);
		return;
	}
	next_gcr3(request, work->gcr3);
}

static void fetch_gcr3(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	uint64_t line[LINE_WORDS_MAX];
	uint64_t named[1], entry;

	if (!port->read64(port->ctx, work->at, &entry)) {
		amdvim_fault_at(model, request, AMDVI_EVENT_TABLE_HARDWARE,
				AMDVIM_EV_GN | AMDVI_ERROR_MASTER_ABORT << AMDVIM_EV_TYPE_LSB, work->at);
		return;
	}
	name_gcr3(named);
	if (!GET(AMDVI_GCR3, V, &entry)) {
		amdvim_page_fault(model, request, 0);
		return;
	}
	if (entry & ~named[0]) {
		amdvim_page_fault(model, request, AMDVIM_EV_PR | AMDVIM_EV_RZ);
		return;
	}
	if ((work->guest_at & AMDVIM_LEVEL) > 1) {
		next_gcr3(request, GET_ADDR(AMDVI_GCR3, ADDR, &entry) | ((work->guest_at & AMDVIM_LEVEL) - 1));
		return;
	}
	/* In the tag is what looks for it: which table it came from is not. */
	line[0] = (work->tag & GCR3_KEY) | AMDVIM_CLASS_BY_PASID;
	line[1] = entry;
	line[2] = 0;
	model_cache_fill(&state->common, &state->gcr3, model_lane(&state->common, request->lane), GCR3_KEY, line, work->gens);
	use_gcr3(request, entry);
}

/* ---- The first step ---- */

static void start(const struct iommu_model *model, struct iommu_request *request)
{
	struct amdvim_state *state = amdvim_state(model);
	struct amdvim_work *work = amdvim_work(request);
	bool writes = (request->access & (IOMMU_READ | IOMMU_WRITE)) == IOMMU_WRITE;
	bool ats = request->kind != IOMMU_REQUEST_UNTRANSLATED;

	work->control = word_load(&AMDVIM_CONTROL(state));
	if (!(work->control & BITS(AMDVI_CONTROL, IOMMU_EN))) {
		if (ats)
			amdvim_refuse(request, AMDVI_EVENT_INVALID_REQUEST << AMDVIM_EV_CODE_LSB);
		else
			pass_as_is(request);
		return;
	}
	/* 2.1.4: without PASID, a write there is an interrupt, which isn't translated; nothing else may go there. */
	if (request->pasid == IOMMU_NO_PASID && request->addr >= INTERRUPT_FIRST && request->addr <= INTERRUPT_LAST) {
		if (!ats && writes)
			pass_as_is(request);
		else
			amdvim_fault(model, request, AMDVI_EVENT_INVALID_REQUEST,
				     request->kind == IOMMU_REQUEST_TRANSLATION ?
					     AMDVI_INVALID_TR_DISABLED << AMDVIM_EV_TYPE_LSB : 0);
		return;
	}
	if (request->pasid == IOMMU_NO_PASID && !ats && !GET(AMDVI_EFR2, HT_RANGE_IGNORE, &state->efr2) &&
	    request->addr >= HT_FIRST && request->addr <= HT_LAST) {
		amdvim_fault(model, request, AMDVI_EVENT_INVALID_REQUEST, (writes ? 3u : 4u) << AMDVIM_EV_TYPE_LSB);
		return;
	}
	dte_lookup(model, request);
}

/* ---- Steps ---- */

void amdvim_step(struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case AMDVIM_PC_START:
		start(model, request);
		break;
	case AMDVIM_PC_DTE:
		fetch_dte(model, request);
		break;
	case AMDVIM_PC_IOTLB_LOOKUP:
		amdvim_iotlb_look_up(model, request);
		break;
	case AMDVIM_PC_GCR3_LOOKUP:
		gcr3_lookup(model, request);
		break;
	case AMDVIM_PC_GCR3:
		fetch_gcr3(model, request);
		break;
	default:
		amdvim_walk_step(model, request);
		break;
	}
	if (request->pc >= AMDVIM_PC_IOTLB_LOOKUP)
		stop_fetching(amdvim_state(model), request);
}

/*
 * A request that the caches answer and that nothing speaks against, without choices: the same as the steps would have done, but
 * with nothing stored on the way. False: nothing has been done; the steps will say what it is.
 */
static bool from_caches(const struct iommu_model *model, struct iommu_request *request, uint64_t counted)
{
	struct amdvim_state *state = amdvim_state(model);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t control = word_load(&AMDVIM_CONTROL(state));
	uint64_t both = BITS(AMDVI_DTE, V) | BITS(AMDVI_DTE, TV);
	struct amdvim_work work;
	uint64_t line[LINE_WORDS_MAX], rights;
	struct model_probe probe;

	if (request->kind != IOMMU_REQUEST_UNTRANSLATED || !(control & BITS(AMDVI_CONTROL, IOMMU_EN)) ||
	    request->addr >> 20 == INTERRUPT_FIRST >> 20 || !GET(AMDVI_EFR2, HT_RANGE_IGNORE, &state->efr2) ||
	    (amdvim_reg_load(state, AMDVI_REG_EXCLUSION_BASE) & BITS(AMDVI_EXCLUSION_BASE, EX_EN)))
		return false;
	probe = (struct model_probe){ DTE_KEY, TAG_VALID | (request->rid & TAG_SOURCE), 0 };
	if (!model_cache_hit(&state->dte, lane, &probe, line) || (line[1] & both) != both || check_dte(state, control, line + 1))
		return false;
	work.flags = 0;
	if (!use_dte(state, request, &work, line + 1))
		return false;
	for (uint64_t level = 1;; level++) {
		if (level > AMDVIM_SIZES)
			return false;
		if (level > 1 && !(lane->sizes & 1ull << level))
			continue;
		probe.mask = IOTLB_KEY;
		probe.tag = (work.tag & IOTLB_KEY & ~TAG_LEVEL) | level << TAG_LEVEL_LSB;
		probe.address = request->addr & ~amdvim_mask(level);
		if (!model_cache_hit(&state->iotlb, lane, &probe, line))
			continue;
		rights = with_entry(&work, line[2] & AMDVIM_RIGHTS);
		if ((line[0] & TAG_ABSENT) || guest_denies(request, &work, rights) || host_denies(request, rights) ||
		    (wants_write(request) && !(rights & AMDVIM_DIRTY)))
			return false;
		request->phys = (line[2] & AMDVIM_ADDR) | (request->addr & amdvim_mask(level));
		request->size = 1ull << (12 + ((line[2] & AMDVIM_LINE_SIZE) >> AMDVIM_LINE_SIZE_LSB));
		break;
	}
	request->rights = answer(request, &work, rights);
	request->state = IOMMU_REQUEST_DONE;
	request->reason = 0;
	request->pc = AMDVIM_PC_END;
	amdvim_clear_work(request);
	amdvim_work(request)->flags = counted;
	amdvim_work(request)->iova = request->addr;
	amdvim_work(request)->tag = work.tag;
	return true;
}

void amdvim_translate(struct iommu_model *model, struct iommu_request *request)
{
	const struct amdvim_state *state = amdvim_state(model);
	uint64_t counted = enter(state, request);

	if (!state->common.maysets && !model->port->choose && from_caches(model, request, counted))
		return;
	begin(state, request, counted);
	while (request->state == IOMMU_REQUEST_RUNNING)
		amdvim_step(model, request);
}

bool amdvim_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights)
{
	struct amdvim_state *state = amdvim_state(model);
	uint64_t tag = TAG_VALID | (request->rid & TAG_SOURCE);
	struct model_probe probes[AMDVIM_SIZES];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t may;

	if (request->pasid != IOMMU_NO_PASID)
		tag |= AMDVIM_LINE_HAS_PASID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
	for (uint64_t level = 1; level <= AMDVIM_SIZES; level++) {
		probes[level - 1].mask = TAG_VALID | TAG_SOURCE | TAG_PASID | AMDVIM_LINE_HAS_PASID | TAG_LEVEL;
		probes[level - 1].tag = tag | level << TAG_LEVEL_LSB;
		probes[level - 1].address = request->addr & ~amdvim_mask(level);
	}
	if (!model_cache_look_up(&state->common, model->port, &state->devtlb, model_lane(&state->common, request->lane), probes,
				 AMDVIM_SIZES, line))
		return false;
	may = line[2] & 0xfff;
	if ((request->access & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC)) & ~may)
		return false;
	*phys = (line[2] & AMDVIM_ADDR) | (request->addr & (tag_size(line[0]) - 1));
	*rights = (uint32_t)may;
	return true;
}
