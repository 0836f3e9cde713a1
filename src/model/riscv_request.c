/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_request.c - a request on its way through the device directory and the process directory (2.3), one fetch per step.
 *
 * "Steps" are those of 2.3, "Process to translate an IOVA".
 */
#include "riscv_state.h"

#define NAMED_BITS(function, LIST, words) \
	static void function(uint64_t used[words]) \
	{ \
		memset(used, 0, (words) * sizeof(uint64_t)); \
		LIST(S, LAYOUT_NAME_BITS) \
	}
NAMED_BITS(name_ddte, RISCV_DDTE_LIST, 1)
NAMED_BITS(name_dc, RISCV_DC_LIST, 4)
NAMED_BITS(name_dcx, RISCV_DCX_LIST, 8)
NAMED_BITS(name_pdte, RISCV_PDTE_LIST, 1)
NAMED_BITS(name_pc, RISCV_PC_LIST, 2)

static bool has_bits(const uint64_t *entry, const uint64_t *named, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		if (entry[i] & ~named[i])
			return true;
	}
	return false;
}

static bool extended(const struct rvm_state *state)
{
	return GET(RISCV_CAP, MSI_FLAT, &state->cap) != 0;
}

/* ---- Begin and end ---- */

void rvm_begin(struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);

	request->state = IOMMU_REQUEST_RUNNING;
	request->reason = 0;
	request->phys = 0;
	request->size = 0;
	request->rights = 0;
	request->pc = RVM_PC_START;
	memset(request->work, 0, sizeof(request->work));
	work->iova = request->addr;
	if (!state->common.maysets) {
		struct model_lane *lane = model_lane(&state->common, request->lane);

		work->flags = RVM_F_COUNTED | RVM_F_FETCHING;
		if (model_lane_enter(&state->common, lane))
			work->flags |= RVM_F_HALF;
		if (model_fetch_enter(&state->common, lane))
			work->flags |= RVM_F_FETCH_HALF;
		model_gens_note(&state->common, work->gens);
	}
}

/* It has what it needs of the directories: IODIR needn't wait for it any more. */
static void stop_fetching(struct rvm_state *state, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);

	if (work->flags & RVM_F_FETCHING) {
		model_fetch_leave(model_lane(&state->common, request->lane), work->flags & RVM_F_FETCH_HALF ? 1 : 0);
		work->flags &= ~(RVM_F_FETCHING | RVM_F_FETCH_HALF);
	}
}

void rvm_end(struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);

	stop_fetching(state, request);
	if (work->flags & RVM_F_COUNTED) {
		model_lane_leave(model_lane(&state->common, request->lane), work->flags & RVM_F_HALF ? 1 : 0);
		work->flags &= ~RVM_F_LANES;
	}
}

/* Untranslated: ddtp is Bare, or the address is already what the bus needs. */
void rvm_pass(struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	uint64_t counted = work->flags & (RVM_F_LANES | RVM_F_UNCACHED);

	memset(request->work, 0, sizeof(request->work));
	work->flags = counted;
	work->iova = request->addr;
	request->phys = request->addr;
	request->size = 4096;
	request->rights = IOMMU_READ | IOMMU_WRITE | (request->access & (IOMMU_EXEC | IOMMU_PRIV));
	request->state = IOMMU_REQUEST_DONE;
	request->pc = RVM_PC_END;
}

/* ---- Fetching entries in quanta ---- */

static unsigned fetched(const struct rvm_work *work)
{
	return (unsigned)((work->flags & RVM_F_FETCHED) >> RVM_F_FETCHED_LSB);
}

/*
 * Fetches one more quantum of the entry at work->at into `entry`, any of those that are missing: 2.1.2, "may read the DC fields in
 * any order". *more: there are others to come. False: the memory can't be reached.
 */
static bool fetch_quantum(const struct iommu_model *model, struct iommu_request *request, uint64_t *entry, unsigned bytes,
			  bool *more)
{
	const struct iommu_model_port *port = model->port;
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
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
	choice = (unsigned)rvm_choice(model, IOMMU_FREE_TEAR, missing);
	for (i = 0; i < all; i++) {
		if (!(mask & 1u << i) && choice-- == 0)
			break;
	}
	if (rvm_beyond(state, work->at + bytes - 1))
		return false;
	to = &entry[i * quantum / 8];
	if (quantum == 16)
		there = port->read128(port->ctx, work->at + 16ull * i, to);
	else
		there = port->read64(port->ctx, work->at + 8ull * i, to);
	if (!there)
		return false;
	work->flags |= (1ull << i) << RVM_F_FETCHED_LSB;
	*more = missing > 1;
	return true;
}

static void fetch_next(struct rvm_work *work, uint64_t address)
{
	work->at = address;
	work->flags &= ~RVM_F_FETCHED;
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

static void fill(const struct iommu_model *model, const struct iommu_request *request, const struct model_cache *cache,
		 uint64_t mask, const uint64_t *line)
{
	struct rvm_state *state = rvm_state(model);
	const struct rvm_work *work = (const struct rvm_work *)(const void *)request->work;

	if (!(work->flags & RVM_F_UNCACHED))
		model_cache_fill(&state->common, cache, model_lane(&state->common, request->lane), mask, line, work->gens);
}

/* RISCV_MODEL_CACHE_INVALID: what is not valid is cached too (6.2.8). */
static void fill_absent(const struct iommu_model *model, const struct iommu_request *request, const struct model_cache *cache,
			uint64_t tag, uint64_t mask, unsigned cause)
{
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (!(rvm_state(model)->options & RISCV_MODEL_CACHE_INVALID))
		return;
	line[0] = tag | TAG_ABSENT;
	line[cache->keys == 2 ? 2 : 1] = cause;
	fill(model, request, cache, mask, line);
}

/* ---- Device directory (2.3.1) ---- */

#define DDT_KEY (TAG_VALID | RVM_DEVICE | TAG_LEVEL)

static unsigned ddi_first(const struct rvm_state *state, uint64_t level)
{
	if (level == 0)
		return 0;
	if (extended(state))
		return level == 1 ? RISCV_DDI0_BITS_X : RISCV_DDI0_BITS_X + RISCV_DDI1_BITS_X;
	return level == 1 ? RISCV_DDI0_BITS : RISCV_DDI0_BITS + RISCV_DDI1_BITS;
}

static unsigned ddi_bits(const struct rvm_state *state, uint64_t level)
{
	static const unsigned base[3] = { RISCV_DDI0_BITS, RISCV_DDI1_BITS, RISCV_DDI2_BITS };
	static const unsigned wide[3] = { RISCV_DDI0_BITS_X, RISCV_DDI1_BITS_X, RISCV_DDI2_BITS_X };

	return extended(state) ? wide[level] : base[level];
}

static uint64_t ddt_tag(const struct rvm_state *state, uint64_t device, uint64_t level)
{
	return TAG_VALID | rvm_tag_device(device & ~((1ull << ddi_first(state, level)) - 1)) | level << TAG_LEVEL_LSB;
}

static void ddt_descend(const struct iommu_model *model, struct iommu_request *request, uint64_t table, uint64_t level)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t index = rvm_bits(request->rid, ddi_first(state, level), ddi_bits(state, level));

	work->table = table | level;
	fetch_next(work, table + index * (level ? 8 : extended(state) ? 64 : 32));
	request->pc = level ? RVM_PC_DDT : RVM_PC_DC;
}

static bool mode_supported(const struct rvm_state *state, uint64_t mode)
{
	switch (mode) {
	case RISCV_S_BARE:
		return true;
	case RISCV_S_SV39:
		return GET(RISCV_CAP, SV39, &state->cap);
	case RISCV_S_SV48:
		return GET(RISCV_CAP, SV48, &state->cap);
	case RISCV_S_SV57:
		return GET(RISCV_CAP, SV57, &state->cap);
	default:
		return false;
	}
}

static bool g_mode_supported(const struct rvm_state *state, uint64_t mode)
{
	switch (mode) {
	case RISCV_G_BARE:
		return true;
	case RISCV_G_SV39X4:
		return GET(RISCV_CAP, SV39X4, &state->cap);
	case RISCV_G_SV48X4:
		return GET(RISCV_CAP, SV48X4, &state->cap);
	case RISCV_G_SV57X4:
		return GET(RISCV_CAP, SV57X4, &state->cap);
	default:
		return false;
	}
}

static bool pdtp_supported(const struct rvm_state *state, uint64_t mode)
{
	switch (mode) {
	case RISCV_PDTP_BARE:
		return true;
	case RISCV_PDTP_PD8:
		return GET(RISCV_CAP, PD8, &state->cap);
	case RISCV_PDTP_PD17:
		return GET(RISCV_CAP, PD17, &state->cap);
	case RISCV_PDTP_PD20:
		return GET(RISCV_CAP, PD20, &state->cap);
	default:
		return false;
	}
}

/* 2.1.4: is a device context with V=1 misconfigured? Addresses that don't exist are found out when they are used. */
static bool dc_misconfigured(const struct rvm_state *state, const uint64_t *dc)
{
	const uint64_t *cap = &state->cap;
	uint64_t fsc = GET(RISCV_DC, FSC_MODE, dc);
	uint64_t named[8];

	if (extended(state))
		name_dcx(named);
	else
		name_dc(named);
	if (has_bits(dc, named, extended(state) ? 8 : 4))
		return true;
	if (!GET(RISCV_CAP, QOSID, cap) && (GET(RISCV_DC, RCID, dc) || GET(RISCV_DC, MCID, dc)))
		return true;
	if (!GET(RISCV_CAP, ATS, cap) && (GET(RISCV_DC, EN_ATS, dc) || GET(RISCV_DC, EN_PRI, dc) || GET(RISCV_DC, PRPR, dc)))
		return true;
	if (!GET(RISCV_DC, EN_ATS, dc) && (GET(RISCV_DC, T2GPA, dc) || GET(RISCV_DC, EN_PRI, dc)))
		return true;
	if (!GET(RISCV_DC, EN_PRI, dc) && GET(RISCV_DC, PRPR, dc))
		return true;
	if (GET(RISCV_DC, T2GPA, dc) && (!GET(RISCV_CAP, T2GPA, cap) || GET(RISCV_DC, G_MODE, dc) == RISCV_G_BARE))
		return true;
	if (GET(RISCV_DC, PDTV, dc) ? !pdtp_supported(state, fsc) : !mode_supported(state, fsc))
		return true;
	if (!GET(RISCV_DC, PDTV, dc) && GET(RISCV_DC, DPE, dc))
		return true;
	if (!g_mode_supported(state, GET(RISCV_DC, G_MODE, dc)))
		return true;
	/* The second stage's root is 16 KiB large. */
	if (GET(RISCV_DC, G_MODE, dc) != RISCV_G_BARE && (GET(RISCV_DC, G_PPN, dc) & 3))
		return true;
	if (!GET(RISCV_CAP, AMO_HWAD, cap) && (GET(RISCV_DC, SADE, dc) || GET(RISCV_DC, GADE, dc)))
		return true;
	/* fctl.BE and fctl.GXL are 0 and can't be set. */
	if (GET(RISCV_DC, SBE, dc) || GET(RISCV_DC, SXL, dc))
		return true;
	return extended(state) && GET(RISCV_DCX, MSI_MODE, dc) > RISCV_MSI_FLAT;
}

/* The device context is in work->dc, and known to be good. Steps 7 to 13. */
static void use_dc(const struct iommu_model *model, struct iommu_request *request)
{
	static const unsigned widths[4] = { 20, RISCV_PDI0_BITS, RISCV_PDI0_BITS + RISCV_PDI1_BITS, 20 };
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	const uint64_t *dc = work->dc;
	uint64_t mode = GET(RISCV_DC, FSC_MODE, dc);
	bool directory = GET(RISCV_DC, PDTV, dc);

	work->root = 0;
	work->table = 0;
	fetch_next(work, 0);
	work->flags |= RVM_F_DC;
	if ((request->kind != IOMMU_REQUEST_UNTRANSLATED && !GET(RISCV_DC, EN_ATS, dc)) ||
	    (rvm_has_pid(request) && (!directory || request->pasid >> widths[mode & 3]))) {
		rvm_fault(model, request, RISCV_CAUSE_DISALLOWED, 0);
		return;
	}
	if (request->kind == IOMMU_REQUEST_TRANSLATED) {
		if (GET(RISCV_DC, T2GPA, dc))
			rvm_no_first_stage(model, request);
		else if (rvm_beyond(state, request->addr))
			rvm_fault(model, request, rvm_access_fault(request), 0);
		else
			rvm_pass(request);
		return;
	}
	if (!directory) {
		rvm_first_stage(model, request, mode, RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc)), GET(RISCV_DC, PSCID, dc));
		return;
	}
	if (mode == RISCV_PDTP_BARE || (!rvm_has_pid(request) && !GET(RISCV_DC, DPE, dc))) {
		rvm_no_first_stage(model, request);
		return;
	}
	work->pid = rvm_has_pid(request) ? request->pasid : 0;
	work->flags |= RVM_F_PID;
	request->pc = RVM_PC_PDT_LOOKUP;
}

/* Steps 1 to 6. */
static void start(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t root = word_load(&RVM_ROOT(state));
	uint64_t mode = GET(RISCV_DDTP, MODE, &root);
	struct model_probe probes[3];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t levels, level;

	rvm_count(model, request, request->kind == IOMMU_REQUEST_UNTRANSLATED ? RISCV_EVENT_UNTRANSLATED :
		  request->kind == IOMMU_REQUEST_TRANSLATED ? RISCV_EVENT_TRANSLATED : RISCV_EVENT_ATS);
	if (mode == RISCV_DDTP_OFF) {
		rvm_fault(model, request, RISCV_CAUSE_OFF, 0);
		return;
	}
	if (mode == RISCV_DDTP_BARE) {
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			rvm_pass(request);
		else
			rvm_fault(model, request, RISCV_CAUSE_DISALLOWED, 0);
		return;
	}
	levels = mode - RISCV_DDTP_1LVL + 1;
	if (request->rid >> (ddi_first(state, levels - 1) + ddi_bits(state, levels - 1))) {
		rvm_fault(model, request, RISCV_CAUSE_DISALLOWED, 0);
		return;
	}
	work->root = root;
	work->flags |= RVM_F_DIRECTORY;
	for (level = 0; level < levels; level++)
		probes[level] = (struct model_probe){ DDT_KEY, ddt_tag(state, request->rid, level), 0 };
	if (!look_up(model, request, &state->ddt, probes, (unsigned)levels, line)) {
		rvm_count(model, request, RISCV_EVENT_DDT_WALK);
		ddt_descend(model, request, RISCV_ADDR(GET(RISCV_DDTP, PPN, &root)), levels - 1);
		return;
	}
	level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;
	if (line[0] & TAG_ABSENT) {
		rvm_fault(model, request, (unsigned)line[1], 0);
	} else if (level) {
		rvm_count(model, request, RISCV_EVENT_DDT_WALK);
		ddt_descend(model, request, RISCV_ADDR(GET(RISCV_DDTE, PPN, line + 1)), level - 1);
	} else {
		for (unsigned i = 0; i + 1 < state->ddt.words && i < 7; i++)
			work->dc[i] = line[i + 1];
		use_dc(model, request);
	}
}

static void fetch_ddte(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->table & RVM_LEVEL;
	uint64_t tag = ddt_tag(state, request->rid, level);
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	uint64_t named[1], entry[1];
	bool more;

	if (!fetch_quantum(model, request, entry, 8, &more)) {
		rvm_fault(model, request, RISCV_CAUSE_DDT_ACCESS, 0);
		return;
	}
	name_ddte(named);
	if (!GET(RISCV_DDTE, V, entry)) {
		fill_absent(model, request, &state->ddt, tag, DDT_KEY, RISCV_CAUSE_DDT_ABSENT);
		rvm_fault(model, request, RISCV_CAUSE_DDT_ABSENT, 0);
		return;
	}
	if (has_bits(entry, named, 1)) {
		rvm_fault(model, request, RISCV_CAUSE_DDT_MISCONFIGURED, 0);
		return;
	}
	line[0] = tag;
	line[1] = entry[0];
	fill(model, request, &state->ddt, DDT_KEY, line);
	ddt_descend(model, request, RISCV_ADDR(GET(RISCV_DDTE, PPN, entry)), level - 1);
}

static void fetch_dc(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t tag = ddt_tag(state, request->rid, 0);
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	bool more;

	if (!fetch_quantum(model, request, work->dc, extended(state) ? 64 : 32, &more)) {
		rvm_fault(model, request, RISCV_CAUSE_DDT_ACCESS, 0);
		return;
	}
	if (more)
		return;
	if (!GET(RISCV_DC, V, work->dc)) {
		fill_absent(model, request, &state->ddt, tag, DDT_KEY, RISCV_CAUSE_DDT_ABSENT);
		rvm_fault(model, request, RISCV_CAUSE_DDT_ABSENT, 0);
		return;
	}
	if (dc_misconfigured(state, work->dc)) {
		rvm_fault(model, request, RISCV_CAUSE_DDT_MISCONFIGURED, 0);
		return;
	}
	line[0] = tag;
	for (unsigned i = 0; i < (extended(state) ? 7u : 4u); i++)
		line[i + 1] = work->dc[i];
	fill(model, request, &state->ddt, DDT_KEY, line);
	use_dc(model, request);
}

/* ---- Process directory (2.3.2) ---- */

#define PDT_KEY (TAG_VALID | TAG_CLASS | RVM_DEVICE | TAG_PASID | TAG_LEVEL | RVM_LINE_LEAF)

static unsigned pdi_first(uint64_t level)
{
	static const unsigned first[3] = { 0, RISCV_PDI0_BITS, RISCV_PDI0_BITS + RISCV_PDI1_BITS };

	return first[level];
}

static uint64_t pdt_tag(const struct iommu_request *request, const struct rvm_work *work, uint64_t level)
{
	return TAG_VALID | rvm_tag_device(request->rid) | level << TAG_LEVEL_LSB |
	       (work->pid & ~((1ull << pdi_first(level)) - 1)) << TAG_PASID_LSB;
}

/*
 * Pointers (3.1.3, note): the guest page numbers in a DC or PC, translated. A DC's, and those of non-leaf PDT entries, go with the
 * device; a PC's goes with the PC.
 */
static uint64_t pointer_tag(const struct iommu_request *request, const struct rvm_work *work)
{
	uint64_t tag = TAG_VALID | (uint64_t)RVM_CLASS_POINTER << TAG_CLASS_LSB | rvm_tag_device(request->rid);

	if (rvm_purpose(work) == RVM_FOR_TABLE && (work->flags & RVM_F_PID))
		tag |= RVM_LINE_LEAF | work->pid << TAG_PASID_LSB;
	return tag;
}

bool rvm_pointer_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t gpa, uint64_t *spa)
{
	struct rvm_state *state = rvm_state(model);
	const struct model_probe probe = { PDT_KEY, pointer_tag(request, rvm_work(request)), gpa & ~0xfffull };
	uint64_t line[LINE_WORDS_MAX];

	if ((state->options & RISCV_MODEL_NO_POINTERS) || !look_up(model, request, &state->pdt, &probe, 1, line))
		return false;
	*spa = line[2] | (gpa & 0xfff);
	return true;
}

void rvm_pointer_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t spa)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (state->options & RISCV_MODEL_NO_POINTERS)
		return;
	line[0] = pointer_tag(request, work);
	line[1] = work->gpa & ~0xfffull;
	line[2] = spa & ~0xfffull;
	fill(model, request, &state->pdt, PDT_KEY, line);
}

static void pdt_descend(const struct iommu_model *model, struct iommu_request *request, uint64_t table, uint64_t level)
{
	static const unsigned bits[3] = { RISCV_PDI0_BITS, RISCV_PDI1_BITS, RISCV_PDI2_BITS };
	struct rvm_work *work = rvm_work(request);
	uint64_t address = table + rvm_bits(work->pid, pdi_first(level), bits[level]) * (level ? 8 : 16);
	uint64_t spa;

	work->table = table | level;
	work->pc[0] = work->pc[1] = 0;
	if (rvm_nested(work)) {
		work->flags = (work->flags & ~RVM_F_PURPOSE) | (uint64_t)RVM_FOR_DIRECTORY << RVM_F_PURPOSE_LSB;
		if (!rvm_pointer_look_up(model, request, address, &spa)) {
			rvm_second_stage(request, address, RVM_FOR_DIRECTORY);
			return;
		}
		work->gpa = 0;
		address = spa;
	}
	fetch_next(work, address);
	request->pc = level ? RVM_PC_PDT : RVM_PC_PC;
}

/* The second stage has translated the address of a directory entry to work->at. */
void rvm_directory_fetched(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);

	rvm_pointer_fill(model, request, work->at);
	fetch_next(work, work->at);
	request->pc = work->table & RVM_LEVEL ? RVM_PC_PDT : RVM_PC_PC;
}

/* The process context is in work->pc, and known to be good. Steps 15 and 16. */
static void use_pc(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_work *work = rvm_work(request);
	const uint64_t pc[2] = { work->pc[0], work->pc[1] };

	work->pc[0] = work->pc[1] = 0;
	work->table = 0;
	fetch_next(work, 0);
	/* Without a process id there is no such thing as a supervisor's request. */
	if (rvm_has_pid(request) && (request->access & IOMMU_PRIV)) {
		if (!GET(RISCV_PC, ENS, pc)) {
			rvm_fault(model, request, RISCV_CAUSE_DISALLOWED, 0);
			return;
		}
		work->flags |= RVM_F_SUPERVISOR;
		if (GET(RISCV_PC, SUM, pc))
			work->flags |= RVM_F_SUM;
	}
	rvm_first_stage(model, request, GET(RISCV_PC, FSC_MODE, pc), RISCV_ADDR(GET(RISCV_PC, FSC_PPN, pc)),
			GET(RISCV_PC, PSCID, pc));
}

static void pdt_look_up(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t levels = GET(RISCV_DC, FSC_MODE, work->dc); /* PD8, PD17, PD20 are 1, 2, 3 */
	struct model_probe probes[3];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t level;

	for (level = 0; level < levels; level++)
		probes[level] = (struct model_probe){ PDT_KEY, pdt_tag(request, work, level), 0 };
	if (!look_up(model, request, &state->pdt, probes, (unsigned)levels, line)) {
		rvm_count(model, request, RISCV_EVENT_PDT_WALK);
		pdt_descend(model, request, RISCV_ADDR(GET(RISCV_DC, FSC_PPN, work->dc)), levels - 1);
		return;
	}
	level = (line[0] & TAG_LEVEL) >> TAG_LEVEL_LSB;
	if (line[0] & TAG_ABSENT) {
		rvm_fault(model, request, (unsigned)line[2], 0);
	} else if (level) {
		rvm_count(model, request, RISCV_EVENT_PDT_WALK);
		pdt_descend(model, request, RISCV_ADDR(GET(RISCV_PDTE, PPN, line + 2)), level - 1);
	} else {
		work->pc[0] = line[2];
		work->pc[1] = line[3];
		use_pc(model, request);
	}
}

static void fetch_pdte(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t level = work->table & RVM_LEVEL;
	uint64_t tag = pdt_tag(request, work, level);
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	uint64_t named[1], entry[1];
	bool more;

	if (!fetch_quantum(model, request, entry, 8, &more)) {
		rvm_fault(model, request, RISCV_CAUSE_PDT_ACCESS, 0);
		return;
	}
	name_pdte(named);
	if (!GET(RISCV_PDTE, V, entry)) {
		fill_absent(model, request, &state->pdt, tag, PDT_KEY, RISCV_CAUSE_PDT_ABSENT);
		rvm_fault(model, request, RISCV_CAUSE_PDT_ABSENT, 0);
		return;
	}
	if (has_bits(entry, named, 1)) {
		rvm_fault(model, request, RISCV_CAUSE_PDT_MISCONFIGURED, 0);
		return;
	}
	line[0] = tag;
	line[2] = entry[0];
	fill(model, request, &state->pdt, PDT_KEY, line);
	pdt_descend(model, request, RISCV_ADDR(GET(RISCV_PDTE, PPN, entry)), level - 1);
}

static void fetch_pc(const struct iommu_model *model, struct iommu_request *request)
{
	struct rvm_state *state = rvm_state(model);
	struct rvm_work *work = rvm_work(request);
	uint64_t tag = pdt_tag(request, work, 0);
	uint64_t line[LINE_WORDS_MAX] = { 0 };
	uint64_t named[2];
	bool more;

	if (!fetch_quantum(model, request, work->pc, 16, &more)) {
		rvm_fault(model, request, RISCV_CAUSE_PDT_ACCESS, 0);
		return;
	}
	if (more)
		return;
	if (!GET(RISCV_PC, V, work->pc)) {
		fill_absent(model, request, &state->pdt, tag, PDT_KEY, RISCV_CAUSE_PDT_ABSENT);
		rvm_fault(model, request, RISCV_CAUSE_PDT_ABSENT, 0);
		return;
	}
	name_pc(named);
	if (has_bits(work->pc, named, 2) || !mode_supported(state, GET(RISCV_PC, FSC_MODE, work->pc))) {
		rvm_fault(model, request, RISCV_CAUSE_PDT_MISCONFIGURED, 0);
		return;
	}
	line[0] = tag;
	line[2] = work->pc[0];
	line[3] = work->pc[1];
	fill(model, request, &state->pdt, PDT_KEY, line);
	use_pc(model, request);
}

/* ---- Steps ---- */

void rvm_step(struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case RVM_PC_START:
		start(model, request);
		break;
	case RVM_PC_DDT:
		fetch_ddte(model, request);
		break;
	case RVM_PC_DC:
		fetch_dc(model, request);
		break;
	case RVM_PC_PDT_LOOKUP:
		pdt_look_up(model, request);
		break;
	case RVM_PC_PDT:
		fetch_pdte(model, request);
		break;
	case RVM_PC_PC:
		fetch_pc(model, request);
		break;
	default:
		rvm_walk_step(model, request);
		break;
	}
	if (!(rvm_work(request)->flags & RVM_F_DIRECTORY))
		stop_fetching(rvm_state(model), request);
}

void rvm_translate(struct iommu_model *model, struct iommu_request *request)
{
	rvm_begin(model, request);
	while (request->state == IOMMU_REQUEST_RUNNING)
		rvm_step(model, request);
}

/* By the unit's own thread: no lane's caches, and nobody counts it. */
static void begin_uncached(struct iommu_request *request)
{
	request->state = IOMMU_REQUEST_RUNNING;
	request->lane = 0;
	request->pc = RVM_PC_START;
	memset(request->work, 0, sizeof(request->work));
	rvm_work(request)->iova = request->addr;
	rvm_work(request)->flags = RVM_F_UNCACHED;
}

void rvm_run_uncached(struct iommu_model *model, struct iommu_request *request)
{
	begin_uncached(request);
	while (request->state == IOMMU_REQUEST_RUNNING)
		rvm_step(model, request);
}

unsigned rvm_locate(struct iommu_model *model, uint32_t device, uint64_t dc[8])
{
	struct rvm_state *state = rvm_state(model);
	uint64_t root = word_load(&RVM_ROOT(state));
	uint64_t mode = GET(RISCV_DDTP, MODE, &root);
	uint64_t levels, table, named[1], entry;
	uint64_t bytes = extended(state) ? 64 : 32;

	memset(dc, 0, 8 * sizeof(*dc));
	if (mode == RISCV_DDTP_OFF)
		return RISCV_CAUSE_OFF;
	if (mode == RISCV_DDTP_BARE)
		return RISCV_CAUSE_DISALLOWED;
	levels = mode - RISCV_DDTP_1LVL + 1;
	if (device >> (ddi_first(state, levels - 1) + ddi_bits(state, levels - 1)))
		return RISCV_CAUSE_DISALLOWED;
	table = RISCV_ADDR(GET(RISCV_DDTP, PPN, &root));
	name_ddte(named);
	for (uint64_t level = levels - 1; level > 0; level--) {
		uint64_t address = table + rvm_bits(device, ddi_first(state, level), ddi_bits(state, level)) * 8;

		if (rvm_beyond(state, address) || !model->port->read64(model->port->ctx, address, &entry))
			return RISCV_CAUSE_DDT_ACCESS;
		if (!GET(RISCV_DDTE, V, &entry))
			return RISCV_CAUSE_DDT_ABSENT;
		if (entry & ~named[0])
			return RISCV_CAUSE_DDT_MISCONFIGURED;
		table = RISCV_ADDR(GET(RISCV_DDTE, PPN, &entry));
	}
	table += rvm_bits(device, 0, ddi_bits(state, 0)) * bytes;
	for (uint64_t i = 0; i < bytes / 8; i++) {
		if (rvm_beyond(state, table + 8 * i) || !model->port->read64(model->port->ctx, table + 8 * i, &dc[i]))
			return RISCV_CAUSE_DDT_ACCESS;
	}
	if (!GET(RISCV_DC, V, dc))
		return RISCV_CAUSE_DDT_ABSENT;
	return dc_misconfigured(state, dc) ? RISCV_CAUSE_DDT_MISCONFIGURED : 0;
}

bool rvm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights)
{
	struct rvm_state *state = rvm_state(model);
	uint64_t tag = TAG_VALID | rvm_tag_device(request->rid);
	struct model_probe probes[5];
	uint64_t line[LINE_WORDS_MAX];
	uint64_t may;

	if (rvm_has_pid(request))
		tag |= RVM_LINE_HAS_PID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t level = (i + 1ull) << TAG_LEVEL_LSB;

		probes[i].mask = TAG_VALID | RVM_DEVICE | TAG_PASID | RVM_LINE_HAS_PID | TAG_LEVEL;
		probes[i].tag = tag | level;
		probes[i].address = request->addr & ~(tag_size(level) - 1);
	}
	if (!model_cache_look_up(&state->common, model->port, &state->devtlb, model_lane(&state->common, request->lane), probes, 5,
				 line))
		return false;
	may = line[2] & 0xfff;
	if ((request->access & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC)) & ~may)
		return false;
	*phys = (line[2] & RVM_ADDR) | (request->addr & (tag_size(line[0]) - 1));
	*rights = (uint32_t)may;
	return true;
}
