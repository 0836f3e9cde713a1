/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_request.c - a request on its way through the stream table and the tables of context descriptors (3.3, 5, 15), one fetch per
 * step.
 */
#include "smmuv3_state.h"

#define NAMED_BITS(function, LIST, words) \
	static void function(uint64_t used[words]) \
	{ \
		memset(used, 0, (words) * sizeof(uint64_t)); \
		LIST(S, LAYOUT_NAME_BITS) \
	}
NAMED_BITS(name_l1std, SMMU_L1STD_LIST, 1)
NAMED_BITS(name_ste, SMMU_STE_LIST, SMMU_STE_WORDS)
NAMED_BITS(name_l1cd, SMMU_L1CD_LIST, 1)
NAMED_BITS(name_cd, SMMU_CD_LIST, SMMU_CD_WORDS)

static bool lax(const struct smm_state *state)
{
	return state->options & SMMUV3_MODEL_LAX;
}

/* ---- Begin and end ---- */

void smm_begin(struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);

	request->state = IOMMU_REQUEST_RUNNING;
	request->reason = 0;
	request->phys = 0;
	request->size = 0;
	request->rights = 0;
	request->pc = SMM_PC_START;
	memset(request->work, 0, sizeof(request->work));
	work->iova = request->addr;
	if (!state->common.maysets) {
		work->flags = SMM_F_COUNTED;
		if (model_lane_enter(&state->common, model_lane(&state->common, request->lane)))
			work->flags |= SMM_F_HALF;
		model_gens_note(&state->common, work->gens);
	}
}

void smm_end(struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);

	if (work->flags & SMM_F_COUNTED) {
		model_lane_leave(model_lane(&state->common, request->lane), work->flags & SMM_F_HALF ? 1 : 0);
		work->flags &= ~SMM_F_LANES;
	}
}

/* Let through. Of the work, what smm_drained() needs is left. */
void smm_finish(const struct iommu_model *model, struct iommu_request *request, uint64_t phys, uint64_t size, uint32_t rights)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	struct smm_work left = {
		.flags = work->flags & (SMM_F_LANES | SMM_F_STE | SMM_F_CD),
		.iova = work->iova,
		.index = work->index,
		.tag = work->tag,
		.tag2 = work->tag2,
		.ipa = work->ipa,
		.rights = work->rights & SMM_LOG2,
	};

	request->phys = phys;
	request->size = size;
	request->rights = rights;
	if (request->kind == IOMMU_REQUEST_TRANSLATION) {
		uint64_t line[LINE_WORDS_MAX] = { 0 };
		uint64_t log2 = 0;

		while (size >> log2 > 1)
			log2++;
		line[0] = TAG_VALID | smm_tag_stream(request->rid);
		if (smm_has_ssid(request))
			line[0] |= SMM_LINE_HAS_SSID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		line[1] = (request->addr & ~(size - 1)) | log2;
		line[2] = (phys & ~(size - 1)) | (rights & ~(uint32_t)IOMMU_PRIV);
		if (!state->common.maysets)
			model_lane(&state->common, request->lane)->unused[0] |= 1ull << log2;
		model_cache_fill(&state->common, &state->devtlb, model_lane(&state->common, request->lane),
				 TAG_VALID | SMM_STREAM | TAG_PASID | SMM_LINE_HAS_SSID, line, work->gens);
	}
	*work = left;
	request->state = IOMMU_REQUEST_DONE;
	request->pc = SMM_PC_END;
}

/* Untranslated: the address is already what the bus needs. */
static void pass(const struct iommu_model *model, struct iommu_request *request)
{
	smm_finish(model, request, request->addr, 4096,
		   IOMMU_READ | IOMMU_WRITE | (request->access & (IOMMU_EXEC | IOMMU_PRIV)));
}

/* ---- Fetching entries in parts ---- */

/*
 * The words of an entry that matter are fetched one quantum at a time, in any order (3.21.3: "in any temporal sequence"); the rest,
 * of which only the reserved bits do, in one more part.
 */
static bool fetch_part(const struct iommu_model *model, struct iommu_request *request, uint64_t *words, unsigned nwords,
		       const uint64_t *named, bool *more)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned quantum = (unsigned)state->common.quantum / 8, first_parts = (nwords + quantum - 1) / quantum, parts = first_parts + 1;
	unsigned mask = (unsigned)((work->flags & SMM_F_FETCHED) >> SMM_F_FETCHED_LSB);
	unsigned missing = 0, choice, part, from, to;
	uint64_t fetched[SMMU_STE_WORDS];

	for (part = 0; part < parts; part++)
		missing += !(mask & 1u << part);
	choice = (unsigned)smm_choice(model, IOMMU_FREE_TEAR, missing);
	for (part = 0; part < parts; part++) {
		if (!(mask & 1u << part) && choice-- == 0)
			break;
	}
	from = part * quantum;
	to = part < first_parts ? from + quantum : SMMU_STE_WORDS;
	if (smm_beyond(state, work->at))
		return false;
	for (unsigned w = from; w < to; w += quantum) {
		if (quantum == 2 ? !port->read128(port->ctx, work->at + 8ull * w, &fetched[w]) :
		    !port->read64(port->ctx, work->at + 8ull * w, &fetched[w]))
			return false;
	}
	for (unsigned w = from; w < to; w++) {
		if (w < nwords)
			words[w] = fetched[w];
		if (fetched[w] & ~named[w])
			work->flags |= SMM_F_RESERVED;
	}
	work->flags |= (1ull << part) << SMM_F_FETCHED_LSB;
	*more = missing > 1;
	return true;
}

static void fetch_next(struct smm_work *work, uint64_t address)
{
	work->at = address;
	work->flags &= ~(SMM_F_FETCHED | SMM_F_RESERVED);
}

static bool look_up(const struct iommu_model *model, const struct iommu_request *request, const struct model_cache *cache,
		    const struct model_probe *probes, unsigned n, uint64_t *line)
{
	struct smm_state *state = smm_state(model);

	return model_cache_look_up(&state->common, model->port, cache, model_lane(&state->common, request->lane), probes, n, line);
}

static void fill(const struct iommu_model *model, struct iommu_request *request, const struct model_cache *cache, uint64_t mask,
		 const uint64_t *line)
{
	struct smm_state *state = smm_state(model);

	model_cache_fill(&state->common, cache, model_lane(&state->common, request->lane), mask, line, smm_work(request)->gens);
}

/* ---- Context descriptors (5.3, 5.4) ---- */

#define CD_KEY (TAG_VALID | SMM_STREAM | TAG_PASID | TAG_LEVEL)
#define L1CD_KEY (CD_KEY | SMM_LINE_64K)

/* What the address of an L1CD or a context descriptor is translated to, if there is a second stage. */
static void fetch_context(const struct iommu_model *model, struct iommu_request *request, uint64_t address)
{
	struct smm_work *work = smm_work(request);

	fetch_next(work, 0);
	if (smm_config(work) & SMMU_CONFIG_HAS_S2)
		smm_second_stage(model, request, address, SMM_FOR_CD);
	else
		fetch_next(work, address);
}

void smm_context_translated(struct iommu_request *request, uint64_t address)
{
	struct smm_work *work = smm_work(request);

	fetch_next(work, address);
	/* `table`: the leaf table that the L1CD named, or nothing yet. */
	request->pc = smm_context_split(work) && !work->table ? SMM_PC_L1CD : SMM_PC_CD;
}

/* The leaf table is at `table`. */
static void descend_to_cd(const struct iommu_model *model, struct iommu_request *request, uint64_t table)
{
	struct smm_work *work = smm_work(request);
	unsigned bits = smm_context_split(work);
	uint64_t index = work->index & ((1ull << bits) - 1);

	work->table = table | 1; /* not nothing, even at address 0 */
	request->pc = SMM_PC_CD;
	fetch_context(model, request, table + index * SMMU_CD_BYTES);
}

/* An L1CD, from the table or the cache. */
static void use_l1cd(const struct iommu_model *model, struct iommu_request *request, uint64_t l1cd)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t table = GET_ADDR(SMMU_L1CD, L2PTR, &l1cd), named[1];

	name_l1cd(named);
	if (!GET(SMMU_L1CD, V, &l1cd) || smm_beyond(state, table) || ((l1cd & ~named[0]) && !lax(state))) {
		smm_refuse(model, request, SMMU_EVT_C_BAD_SUBSTREAMID);
		return;
	}
	if (smm_context_split(work) == SMMU_L1CD_64K_BITS)
		table &= ~0xffffull;
	descend_to_cd(model, request, table);
}

static void fetch_l1cd(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (smm_beyond(state, work->at) || !port->read64(port->ctx, work->at, &line[1])) {
		const struct smm_fault fault = { .code = SMMU_EVT_F_CD_FETCH, .fetch = work->at };

		smm_fault(model, request, &fault);
		return;
	}
	line[0] = smm_l1cd_tag(request, work);
	fill(model, request, &state->cd, L1CD_KEY, line);
	use_l1cd(model, request, line[1]);
}

/* The context descriptor is in work->cd. */
static void use_cd(const struct iommu_model *model, struct iommu_request *request, bool reserved)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);

	fetch_next(work, 0);
	work->table = 0;
	if (smm_cd_illegal(state, work->ste, work->cd, smm_world(work)) || (reserved && !lax(state))) {
		smm_refuse(model, request, SMMU_EVT_C_BAD_CD);
		return;
	}
	work->flags |= SMM_F_S1;
	smm_first_stage(model, request);
}

static void fetch_cd(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 }, named[SMMU_CD_WORDS];
	uint64_t words[4] = { work->cd[0], work->cd[1], work->cd[2], 0 };
	bool more;

	name_cd(named);
	if (!fetch_part(model, request, words, state->common.quantum == 16 ? 4 : 3, named, &more)) {
		const struct smm_fault fault = { .code = SMMU_EVT_F_CD_FETCH, .fetch = work->at };

		smm_fault(model, request, &fault);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		work->cd[i] = words[i];
	if (more)
		return;
	line[0] = TAG_VALID | smm_tag_stream(request->rid) | work->index << TAG_PASID_LSB;
	if (work->flags & SMM_F_RESERVED)
		line[0] |= SMM_LINE_RESERVED;
	for (unsigned i = 0; i < 3; i++)
		line[i + 1] = work->cd[i];
	fill(model, request, &state->cd, CD_KEY, line);
	use_cd(model, request, work->flags & SMM_F_RESERVED);
}

static void cd_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t index)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	unsigned bits = smm_context_split(work);
	uint64_t cdmax = GET(SMMU_STE, S1CDMAX, work->ste), pointer = GET_ADDR(SMMU_STE, S1CONTEXTPTR, work->ste);
	uint64_t entries = cdmax > bits ? cdmax - bits : 0, align;
	struct model_probe probes[2];
	uint64_t line[LINE_WORDS_MAX];

	work->index = index;
	work->flags |= SMM_F_CD;
	probes[0] = (struct model_probe){ CD_KEY, TAG_VALID | smm_tag_stream(request->rid) | index << TAG_PASID_LSB, 0 };
	probes[1] = (struct model_probe){ L1CD_KEY, smm_l1cd_tag(request, work), 0 };
	if (look_up(model, request, &state->cd, probes, bits ? 2 : 1, line)) {
		if (line[0] & TAG_LEVEL) {
			use_l1cd(model, request, line[1]);
			return;
		}
		for (unsigned i = 0; i < 3; i++)
			work->cd[i] = line[i + 1];
		use_cd(model, request, line[0] & SMM_LINE_RESERVED);
		return;
	}
	/* 5.2, S1Fmt: a table is aligned to its size. */
	align = bits ? 8ull << entries : (uint64_t)SMMU_CD_BYTES << cdmax;
	pointer &= ~((align < 64 ? 64 : align) - 1);
	request->pc = bits ? SMM_PC_L1CD : SMM_PC_CD;
	fetch_context(model, request, pointer + (bits ? (index >> bits) * 8 : index * SMMU_CD_BYTES));
}

/* ---- Stream table (5.1, 5.2) ---- */

#define STE_KEY (TAG_VALID | SMM_STREAM | TAG_LEVEL)

/* 13.1, and what the request is for. */
static void set_attributes(const struct smm_state *state, struct iommu_request *request)
{
	struct smm_work *work = smm_work(request);
	uint64_t priv = SMMU_OVERRIDE_INCOMING, inst = SMMU_OVERRIDE_INCOMING;
	bool reads = request->access & (IOMMU_READ | IOMMU_EXEC) || !(request->access & IOMMU_WRITE);
	bool instruction = request->access & IOMMU_EXEC, privileged = request->access & IOMMU_PRIV;

	/* 13.7: without a PASID, and when translated (PASIDTT is 0), it is unprivileged data. */
	if (request->kind == IOMMU_REQUEST_TRANSLATED || (request->kind == IOMMU_REQUEST_TRANSLATION && !smm_has_ssid(request)))
		instruction = privileged = false;
	if (GET(SMMU_IDR1, ATTR_PERMS_OVR, &state->idr1)) {
		priv = GET(SMMU_STE, PRIVCFG, work->ste);
		inst = GET(SMMU_STE, INSTCFG, work->ste);
	}
	if (priv == SMMU_OVERRIDE_SET || (priv != SMMU_OVERRIDE_CLEAR && privileged))
		work->flags |= SMM_F_PRIV;
	if (request->access & IOMMU_WRITE)
		work->flags |= SMM_F_NEED_W;
	if (reads)
		work->flags |= inst == SMMU_OVERRIDE_SET || (inst != SMMU_OVERRIDE_CLEAR && instruction) ? SMM_F_NEED_X : SMM_F_NEED_R;
}

/* 5.2: as it counts. */
static uint64_t eats(const struct smm_state *state, const struct smm_work *work)
{
	uint64_t value = GET(SMMU_STE, EATS, work->ste);

	if (!GET(SMMU_IDR0, ATS, &state->idr0) || smm_config(work) == SMMU_CONFIG_BYPASS || value == SMMU_EATS_DPT)
		return SMMU_EATS_NONE;
	return value == SMMU_EATS_SPLIT && !(work->flags & SMM_F_ATSCHK) ? SMMU_EATS_NONE : value;
}

static unsigned stream_world(const struct smm_state *state, const struct smm_work *work)
{
	if (smm_config(work) != SMMU_CONFIG_S1 || !GET(SMMU_IDR0, HYP, &state->idr0) ||
	    GET(SMMU_STE, STRW, work->ste) == SMMU_STRW_EL1)
		return SMM_CLASS_EL1;
	return work->flags & SMM_F_E2H ? SMM_CLASS_E2H : SMM_CLASS_EL2;
}

/* Nothing translates: 3.4 checks the address nevertheless. */
static void bypass(const struct iommu_model *model, struct iommu_request *request)
{
	const struct smm_fault fault = { .code = SMMU_EVT_F_ADDR_SIZE, .class = SMMU_CLASS_IN };

	if (smm_beyond(smm_state(model), request->addr))
		smm_fault(model, request, &fault);
	else
		pass(model, request);
}

/* With a first stage: which context descriptor, if any (5.2, S1CDMax and S1DSS). */
static void choose_context(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t cdmax = GET(SMMU_IDR1, SSIDSIZE, &state->idr1) ? GET(SMMU_STE, S1CDMAX, work->ste) : 0;
	uint64_t dss = GET(SMMU_STE, S1DSS, work->ste);

	if (smm_has_ssid(request)) {
		if (!cdmax || request->pasid >> cdmax)
			smm_refuse(model, request, SMMU_EVT_C_BAD_SUBSTREAMID);
		else if (!request->pasid && dss == SMMU_S1DSS_CD0)
			smm_refuse(model, request, SMMU_EVT_F_STREAM_DISABLED);
		else
			cd_look_up(model, request, request->pasid);
		return;
	}
	if (!cdmax || dss == SMMU_S1DSS_CD0)
		cd_look_up(model, request, 0);
	else if (dss == SMMU_S1DSS_BYPASS)
		smm_no_first_stage(model, request);
	else
		smm_refuse(model, request, SMMU_EVT_F_STREAM_DISABLED);
}

/* The stream table entry is in work->ste. */
static void use_ste(const struct iommu_model *model, struct iommu_request *request, bool reserved)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t config = smm_config(work);

	fetch_next(work, 0);
	work->table = 0;
	work->flags |= SMM_F_STE;
	if (smm_ste_illegal(state, work->ste) || (reserved && !lax(state))) {
		smm_refuse(model, request, SMMU_EVT_C_BAD_STE);
		return;
	}
	if (!(config & SMMU_CONFIG_PASSES)) {
		smm_refuse(model, request, SMMUV3_MODEL_SILENT);
		return;
	}
	if (request->kind != IOMMU_REQUEST_UNTRANSLATED && eats(state, work) == SMMU_EATS_NONE) {
		smm_refuse(model, request, request->kind == IOMMU_REQUEST_TRANSLATION ? SMMU_EVT_F_BAD_ATS_TREQ :
			   SMMU_EVT_F_TRANSL_FORBIDDEN);
		return;
	}
	set_attributes(state, request);
	work->flags |= (uint64_t)stream_world(state, work) << SMM_F_WORLD_LSB;
	if (request->kind == IOMMU_REQUEST_TRANSLATED) {
		if (eats(state, work) == SMMU_EATS_SPLIT) /* an IPA (13.6.3) */
			smm_no_first_stage(model, request);
		else if (smm_beyond(state, request->addr)) /* 3.9.1.1 */
			smm_refuse(model, request, SMMUV3_MODEL_SILENT);
		else
			pass(model, request);
		return;
	}
	if (config & SMMU_CONFIG_HAS_S1) {
		request->pc = SMM_PC_CONTEXT;
		return;
	}
	if (smm_has_ssid(request))
		smm_refuse(model, request, SMMU_EVT_C_BAD_SUBSTREAMID);
	else if (config & SMMU_CONFIG_HAS_S2)
		smm_no_first_stage(model, request);
	else
		bypass(model, request);
}

static uint64_t stream_split(uint64_t cfg)
{
	uint64_t split = GET(SMMU_STRTAB_BASE_CFG, SPLIT, &cfg);

	return split == SMMU_SPLIT_16K || split == SMMU_SPLIT_64K ? split : SMMU_SPLIT_4K;
}

static void ste_fault(const struct iommu_model *model, struct iommu_request *request)
{
	const struct smm_fault fault = { .code = SMMU_EVT_F_STE_FETCH, .fetch = smm_work(request)->at };

	smm_fault(model, request, &fault);
}

/* An L1STD, from the table or the cache. */
static void use_l1std(const struct iommu_model *model, struct iommu_request *request, uint64_t l1std)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t split = stream_split(SMM_TABLE_CFG(state)), span = GET(SMMU_L1STD, SPAN, &l1std), named[1];
	uint64_t index = request->rid & ((1ull << split) - 1);

	name_l1std(named);
	/* 7.3.3 */
	if (!span || span > split + 1 || index >> (span - 1) || ((l1std & ~named[0]) && !lax(state))) {
		smm_refuse(model, request, SMMU_EVT_C_BAD_STREAMID);
		return;
	}
	fetch_next(work, (GET_ADDR(SMMU_L1STD, L2PTR, &l1std) & ~(((uint64_t)SMMU_STE_BYTES << (span - 1)) - 1)) +
			     index * SMMU_STE_BYTES);
	request->pc = SMM_PC_STE;
}

static uint64_t l1std_tag(const struct smm_state *state, uint32_t stream)
{
	uint64_t split = stream_split(SMM_TABLE_CFG(state));

	return TAG_VALID | smm_tag_stream((uint64_t)stream >> split << split) | 1ull << TAG_LEVEL_LSB;
}

static void fetch_l1std(const struct iommu_model *model, struct iommu_request *request)
{
	const struct iommu_model_port *port = model->port;
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 };

	if (smm_beyond(state, work->at) || !port->read64(port->ctx, work->at, &line[1])) {
		ste_fault(model, request);
		return;
	}
	line[0] = l1std_tag(state, request->rid);
	fill(model, request, &state->ste, STE_KEY, line);
	use_l1std(model, request, line[1]);
}

static void fetch_ste(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t line[LINE_WORDS_MAX] = { 0 }, named[SMMU_STE_WORDS];
	bool more;

	name_ste(named);
	if (!fetch_part(model, request, work->ste, 4, named, &more)) {
		ste_fault(model, request);
		return;
	}
	if (more)
		return;
	line[0] = TAG_VALID | smm_tag_stream(request->rid);
	if (work->flags & SMM_F_RESERVED)
		line[0] |= SMM_LINE_RESERVED;
	for (unsigned i = 0; i < 4; i++)
		line[i + 1] = work->ste[i];
	fill(model, request, &state->ste, STE_KEY, line);
	use_ste(model, request, work->flags & SMM_F_RESERVED);
}

/* 6.3.9.6: what happens while the unit is disabled. */
static void disabled(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	uint64_t gbpa = SMM_GBPA(state);

	if (request->kind == IOMMU_REQUEST_TRANSLATION)
		smm_refuse(model, request, SMMU_EVT_F_BAD_ATS_TREQ);
	else if (request->kind == IOMMU_REQUEST_TRANSLATED)
		smm_refuse(model, request, SMMU_EVT_F_TRANSL_FORBIDDEN);
	else if (GET(SMMU_GBPA, ABORT, &gbpa) || smm_beyond(state, request->addr))
		smm_refuse(model, request, SMMUV3_MODEL_SILENT);
	else
		pass(model, request);
}

static void start(const struct iommu_model *model, struct iommu_request *request)
{
	struct smm_state *state = smm_state(model);
	struct smm_work *work = smm_work(request);
	uint64_t control = SMM_CONTROL(state), cr2 = control >> 32;
	uint64_t base, cfg, log2, split, bytes;
	struct model_probe probes[2];
	uint64_t line[LINE_WORDS_MAX];
	bool two_level;

	if (!GET(SMMU_CR0, SMMUEN, &control)) {
		disabled(model, request);
		return;
	}
	work->flags |= (GET(SMMU_CR0, ATSCHK, &control) ? SMM_F_ATSCHK : 0) | (GET(SMMU_CR2, RECINVSID, &cr2) ? SMM_F_RECINVSID : 0) |
		       (GET(SMMU_CR2, REC_CFG_ATS, &cr2) ? SMM_F_REC_CFG_ATS : 0) | (GET(SMMU_CR2, E2H, &cr2) ? SMM_F_E2H : 0);
	if (request->kind == IOMMU_REQUEST_TRANSLATED && !(work->flags & SMM_F_ATSCHK)) {
		if (smm_beyond(state, request->addr))
			smm_refuse(model, request, SMMUV3_MODEL_SILENT);
		else
			pass(model, request);
		return;
	}
	base = SMM_TABLE(state);
	cfg = SMM_TABLE_CFG(state);
	log2 = GET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &cfg);
	two_level = GET(SMMU_STRTAB_BASE_CFG, FMT, &cfg) == SMMU_STRTAB_2LVL;
	split = stream_split(cfg);
	if ((uint64_t)request->rid >> GET(SMMU_IDR1, SIDSIZE, &state->idr1) || (log2 < 32 && request->rid >> log2)) {
		smm_refuse(model, request, SMMU_EVT_C_BAD_STREAMID);
		return;
	}
	probes[0] = (struct model_probe){ STE_KEY, TAG_VALID | smm_tag_stream(request->rid), 0 };
	probes[1] = (struct model_probe){ STE_KEY, l1std_tag(state, request->rid), 0 };
	if (look_up(model, request, &state->ste, probes, two_level ? 2 : 1, line)) {
		if (line[0] & TAG_LEVEL) {
			use_l1std(model, request, line[1]);
			return;
		}
		for (unsigned i = 0; i < 4; i++)
			work->ste[i] = line[i + 1];
		use_ste(model, request, line[0] & SMM_LINE_RESERVED);
		return;
	}
	/* 6.3.24: aligned to the table's size. */
	if (two_level)
		bytes = log2 > split && log2 - split > 3 ? 8ull << (log2 - split) : 64;
	else
		bytes = log2 < 50 ? (uint64_t)SMMU_STE_BYTES << log2 : 1ull << 55;
	base = GET_ADDR(SMMU_STRTAB_BASE, ADDR, &base) & ~(bytes - 1);
	fetch_next(work, two_level ? base + ((uint64_t)request->rid >> split) * 8 : base + (uint64_t)request->rid * SMMU_STE_BYTES);
	request->pc = two_level ? SMM_PC_L1STD : SMM_PC_STE;
}

/* ---- Steps ---- */

void smm_step(struct iommu_model *model, struct iommu_request *request)
{
	switch (request->pc) {
	case SMM_PC_START:
		start(model, request);
		break;
	case SMM_PC_L1STD:
		fetch_l1std(model, request);
		break;
	case SMM_PC_STE:
		fetch_ste(model, request);
		break;
	case SMM_PC_CONTEXT:
		choose_context(model, request);
		break;
	case SMM_PC_L1CD:
		fetch_l1cd(model, request);
		break;
	case SMM_PC_CD:
		fetch_cd(model, request);
		break;
	default:
		smm_walk_step(model, request);
		break;
	}
}

void smm_translate(struct iommu_model *model, struct iommu_request *request)
{
	smm_begin(model, request);
	while (request->state == IOMMU_REQUEST_RUNNING)
		smm_step(model, request);
}

bool smm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights)
{
	struct smm_state *state = smm_state(model);
	struct model_lane *lane = model_lane(&state->common, request->lane);
	uint64_t tag = TAG_VALID | smm_tag_stream(request->rid);
	uint64_t sizes = state->common.maysets ? ~0ull : lane->unused[0];
	struct model_probe probes[52];
	uint64_t line[LINE_WORDS_MAX];
	unsigned n = 0;
	uint64_t may, log2;

	if (smm_has_ssid(request))
		tag |= SMM_LINE_HAS_SSID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
	for (unsigned size = 12; size < 52; size++) {
		if (sizes >> size & 1)
			probes[n++] = (struct model_probe){ TAG_VALID | SMM_STREAM | TAG_PASID | SMM_LINE_HAS_SSID, tag,
							    (request->addr & ~((1ull << size) - 1)) | size };
	}
	if (!model_cache_look_up(&state->common, model->port, &state->devtlb, lane, probes, n, line))
		return false;
	may = line[2] & 0xfff;
	log2 = line[1] & LINE_LOG2;
	if ((request->access & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC)) & ~may)
		return false;
	*phys = (line[2] & SMM_ADDR) | (request->addr & ((1ull << log2) - 1));
	*rights = (uint32_t)may;
	return true;
}
