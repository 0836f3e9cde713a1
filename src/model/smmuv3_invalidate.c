/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_invalidate.c - what each command removes from the caches, and which requests in flight it waits for (4.3 to 4.5, 3.21).
 *
 * Every command removes exactly what the specification says that it must. Where it leaves a choice, this is what is assumed, against
 * software:
 * - Commands are executed in any order between two CMD_SYNC.
 * - CMD_TLBI_S2_IPA leaves translations of both stages combined (4.4.3.1), CMD_TLBI_NH_* those of the second stage alone.
 * - A stale ASID or VMID parameter with high bits that the unit hasn't matches nothing (4.4).
 * A configuration invalidation and its CMD_SYNC wait for all that used what is removed, to its end (3.21.3): there is no freedom to
 * fill the TLB after that.
 */
#include "smmuv3_state.h"

#define EVERYWHERE 0, ~0ull

/* Bits that no field names. */
#define NAMED(S, LIST) \
	static bool S##_reserved(const uint64_t *words) \
	{ \
		uint64_t used[SMMU_CMD_WORDS] = { 0, 0 }; \
		LIST(S, LAYOUT_NAME_BITS) \
		return (words[0] & ~used[0]) || (words[1] & ~used[1]); \
	}
NAMED(SMMU_CMD_PREFETCH_CONFIG, SMMU_CMD_PREFETCH_CONFIG_LIST)
NAMED(SMMU_CMD_PREFETCH_ADDR, SMMU_CMD_PREFETCH_ADDR_LIST)
NAMED(SMMU_CMD_CFGI_STE, SMMU_CMD_CFGI_STE_LIST)
NAMED(SMMU_CMD_CFGI_STE_RANGE, SMMU_CMD_CFGI_STE_RANGE_LIST)
NAMED(SMMU_CMD_CFGI_CD, SMMU_CMD_CFGI_CD_LIST)
NAMED(SMMU_CMD_CFGI_CD_ALL, SMMU_CMD_CFGI_CD_ALL_LIST)
NAMED(SMMU_CMD_TLBI_VA, SMMU_CMD_TLBI_VA_LIST)
NAMED(SMMU_CMD_TLBI_IPA, SMMU_CMD_TLBI_IPA_LIST)
NAMED(SMMU_CMD_ATC_INV, SMMU_CMD_ATC_INV_LIST)
NAMED(SMMU_CMD_SYNC, SMMU_CMD_SYNC_LIST)

static void add(struct model_scope *scopes, uint64_t *n, uint64_t mask, uint64_t tag, uint64_t first, uint64_t last)
{
	scopes[(*n)++] = (struct model_scope){ mask | TAG_VALID, tag | TAG_VALID, first, last };
}

static uint64_t tag_class(uint64_t class)
{
	return class << TAG_CLASS_LSB;
}

static bool lax(const struct smm_state *state)
{
	return state->options & SMMUV3_MODEL_LAX;
}

/* ---- Configuration (4.3) ---- */

static uint64_t split(const struct smm_state *state)
{
	uint64_t cfg = SMM_TABLE_CFG(state), bits = GET(SMMU_STRTAB_BASE_CFG, SPLIT, &cfg);

	return bits == SMMU_SPLIT_16K || bits == SMMU_SPLIT_64K ? bits : SMMU_SPLIT_4K;
}

/* The StreamIDs that agree above `bits`. */
static uint64_t above(uint64_t bits)
{
	return bits >= 24 ? 0 : smm_tag_stream(~((1ull << bits) - 1));
}

/* STEs and all CDs of 2^bits StreamIDs, and, with `leads`, the L1STDs that lead to them. */
static void streams(const struct smm_state *state, struct smm_invalidation *inv, uint64_t sid, uint64_t bits, bool leads)
{
	uint64_t level = 1ull << TAG_LEVEL_LSB, wide = bits > split(state) ? bits : split(state);

	inv->kind = SMM_CONFIG;
	add(inv->scopes, &inv->nscopes, above(bits) | TAG_LEVEL, smm_tag_stream(sid) & above(bits), EVERYWHERE);
	if (leads)
		add(inv->scopes, &inv->nscopes, above(wide) | TAG_LEVEL, (smm_tag_stream(sid) & above(wide)) | level, EVERYWHERE);
	add(inv->more, &inv->nmore, above(bits), smm_tag_stream(sid) & above(bits), EVERYWHERE);
}

/* 4.3.3: an L1CD by either format of leaf tables. */
static void contexts(struct smm_invalidation *inv, uint64_t sid, uint64_t ssid, bool leads)
{
	uint64_t mask = SMM_STREAM | TAG_LEVEL, level = 1ull << TAG_LEVEL_LSB;

	inv->kind = SMM_CD;
	add(inv->more, &inv->nmore, mask | TAG_PASID, smm_tag_stream(sid) | ssid << TAG_PASID_LSB, EVERYWHERE);
	if (!leads)
		return;
	ssid &= ~((1ull << SMMU_L1CD_4K_BITS) - 1);
	add(inv->more, &inv->nmore, mask | TAG_PASID | SMM_LINE_64K, smm_tag_stream(sid) | ssid << TAG_PASID_LSB | level, EVERYWHERE);
	ssid &= ~((1ull << SMMU_L1CD_64K_BITS) - 1);
	add(inv->more, &inv->nmore, mask | TAG_PASID | SMM_LINE_64K,
	    smm_tag_stream(sid) | ssid << TAG_PASID_LSB | level | SMM_LINE_64K, EVERYWHERE);
}

/* 4.1.7: a parameter that is out of range has no effect. */
static bool sid_exists(const struct smm_state *state, uint64_t sid)
{
	return !(sid >> GET(SMMU_IDR1, SIDSIZE, &state->idr1));
}

static bool decode_config(const struct smm_state *state, const uint64_t *c, struct smm_invalidation *inv)
{
	uint64_t sid = GET(SMMU_CMD_CFGI_STE, SID, c), range;

	if (GET(SMMU_CMD_CFGI_STE, SSEC, c))
		return false;
	switch (GET(SMMU_CMD, OPCODE, c)) {
	case SMMU_CMD_CFGI_STE:
		if (SMMU_CMD_CFGI_STE_reserved(c) && !lax(state))
			return false;
		if (sid_exists(state, sid))
			streams(state, inv, sid, 0, !GET(SMMU_CMD_CFGI_STE, LEAF, c));
		return true;
	case SMMU_CMD_CFGI_STE_RANGE:
		if (SMMU_CMD_CFGI_STE_RANGE_reserved(c) && !lax(state))
			return false;
		range = GET(SMMU_CMD_CFGI_STE_RANGE, RANGE, c);
		if (range == SMMU_CFGI_RANGE_ALL || sid_exists(state, sid))
			streams(state, inv, sid, range + 1, true);
		return true;
	case SMMU_CMD_CFGI_CD:
		if ((SMMU_CMD_CFGI_CD_reserved(c) && !lax(state)) || !GET(SMMU_IDR0, S1P, &state->idr0))
			return false;
		if (sid_exists(state, sid) && !(GET(SMMU_CMD_CFGI_CD, SSID, c) >> GET(SMMU_IDR1, SSIDSIZE, &state->idr1)))
			contexts(inv, sid, GET(SMMU_CMD_CFGI_CD, SSID, c), !GET(SMMU_CMD_CFGI_CD, LEAF, c));
		return true;
	default: /* CMD_CFGI_CD_ALL */
		if ((SMMU_CMD_CFGI_CD_ALL_reserved(c) && !lax(state)) || !GET(SMMU_IDR0, S1P, &state->idr0))
			return false;
		if (sid_exists(state, sid)) {
			inv->kind = SMM_CD;
			add(inv->more, &inv->nmore, SMM_STREAM, smm_tag_stream(sid), EVERYWHERE);
		}
		return true;
	}
}

/* ---- TLB (4.4) ---- */

/* What a command goes by: the tags of leaves; and an address range, if it has one. */
struct tlbi {
	uint64_t mask, tag;		/* of non-global lines */
	uint64_t global_mask, global_tag;
	bool global;			/* of global lines too */
	uint64_t first, last;
	uint64_t tg, ttl;
	bool leaf;
};

static void add_tlbi(struct smm_invalidation *inv, const struct tlbi *t)
{
	uint64_t mask = t->tg ? SMM_LINE_TG : 0, tag = t->tg;
	uint64_t masks[2] = { t->mask, t->global_mask }, tags[2] = { t->tag, t->global_tag };

	inv->kind = SMM_TLB;
	for (unsigned i = 0; i < (t->global ? 2 : 1); i++) {
		uint64_t ttl = t->ttl ? SMM_LINE_TTL : 0;

		add(inv->scopes, &inv->nscopes, masks[i] | mask | ttl, tags[i] | tag | t->ttl << SMM_LINE_TTL_LSB, t->first, t->last);
		if (t->leaf)
			continue;
		/* 4.4.1.1: of tables, those at levels before the leaf's. */
		for (uint64_t level = 0; t->ttl && level < t->ttl; level++)
			add(inv->more, &inv->nmore, masks[i] | mask | SMM_LINE_TTL, tags[i] | tag | level << SMM_LINE_TTL_LSB,
			    t->first, t->last);
		if (!t->ttl)
			add(inv->more, &inv->nmore, masks[i] | mask, tags[i] | tag, t->first, t->last);
	}
}

/* 4.4.1.1. False: illegal. */
static bool decode_range(const struct smm_state *state, const uint64_t *c, uint64_t address, struct tlbi *t)
{
	static const unsigned shifts[4] = { 12, 12, 14, 16 };
	uint64_t num = GET(SMMU_CMD_TLBI_VA, NUM, c), scale = GET(SMMU_CMD_TLBI_VA, SCALE, c);
	uint64_t tg = GET(SMMU_CMD_TLBI_VA, TG, c), ttl = GET(SMMU_CMD_TLBI_VA, TTL, c);
	uint64_t shift, span;

	t->leaf = GET(SMMU_CMD_TLBI_VA, LEAF, c);
	t->first = address;
	t->last = address | 0xfff;
	if (GET(SMMU_CMD_TLBI_VA, TTL128, c) || scale > SMMU_TLBI_MAX_SCALE || (!tg && (num || scale || ttl)) ||
	    (tg && !GET(SMMU_IDR3, RIL, &state->idr3))) {
		if (!lax(state))
			return false;
		scale &= SMMU_TLBI_MAX_SCALE;
		if (!GET(SMMU_IDR3, RIL, &state->idr3))
			tg = 0;
	}
	if (!tg)
		return true;
	if (tg == SMMU_TLBI_TG_16K && ttl == 1)
		ttl = 0;
	if (!num && !scale && !ttl)
		return false;
	t->tg = tg;
	t->ttl = ttl;
	shift = shifts[tg] + scale;
	span = (num + 1) << shift;
	t->last = span >> shift == num + 1 && address + (span - 1) >= address ? address + (span - 1) : ~0ull;
	return true;
}

static uint64_t vmid_mask(const struct smm_state *state)
{
	uint64_t control = SMM_CONTROL(state), vmw = GET(SMMU_CR0, VMW, &control);

	if (!GET(SMMU_IDR0, S2P, &state->idr0))
		return 0; /* no line has one */
	return vmw <= 4 ? TAG_DOMAIN & ~(((1ull << vmw) - 1) << TAG_DOMAIN_LSB) : TAG_DOMAIN;
}

static bool too_wide(uint64_t id, bool wide)
{
	return !wide && id >> 8;
}

static bool decode_tlbi(const struct smm_state *state, const uint64_t *c, struct smm_invalidation *inv)
{
	uint64_t op = GET(SMMU_CMD, OPCODE, c), control = SMM_CONTROL(state), cr2 = control >> 32;
	uint64_t vmid = GET(SMMU_CMD_TLBI, VMID, c), asid = GET(SMMU_CMD_TLBI, ASID, c);
	unsigned by = smmu_tlbi_mode(c);
	bool s1 = GET(SMMU_IDR0, S1P, &state->idr0), s2 = GET(SMMU_IDR0, S2P, &state->idr0), hyp = GET(SMMU_IDR0, HYP, &state->idr0);
	bool e2h = GET(SMMU_CR2, E2H, &cr2);
	bool addressed = op == SMMU_CMD_TLBI_NH_VA || op == SMMU_CMD_TLBI_NH_VAA || op == SMMU_CMD_TLBI_EL2_VA ||
			 op == SMMU_CMD_TLBI_EL2_VAA;
	struct tlbi t = { .last = ~0ull };
	uint64_t vm = vmid_mask(state), vm_tag, asid_tag = asid << TAG_PASID_LSB;

	/* What the command doesn't go by, and bits that no field names, are reserved. */
	if (!lax(state)) {
		uint64_t rest = addressed || op == SMMU_CMD_TLBI_S2_IPA ? 0 : (c[0] & 0xffffff00) | c[1];

		if (rest || (addressed && SMMU_CMD_TLBI_VA_reserved(c)) ||
		    (op == SMMU_CMD_TLBI_S2_IPA && (SMMU_CMD_TLBI_IPA_reserved(c) || GET(SMMU_CMD_TLBI_IPA, NS, c))) ||
		    (!(by & SMMU_TLBI_VMID) && vmid) || (!(by & SMMU_TLBI_ASID) && asid))
			return false;
	}
	if ((by & SMMU_TLBI_VMID && too_wide(vmid, GET(SMMU_IDR0, VMID16, &state->idr0))) ||
	    (by & SMMU_TLBI_ASID && too_wide(asid, GET(SMMU_IDR0, ASID16, &state->idr0)))) {
		inv->kind = SMM_NOTHING;
		return true;
	}
	vm_tag = vmid << TAG_DOMAIN_LSB & vm;
	switch (op) {
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
		if (!s1)
			return false;
		t.mask = TAG_CLASS | vm;
		t.tag = tag_class(SMM_CLASS_EL1) | vm_tag;
		break;
	case SMMU_CMD_TLBI_EL2_ALL:
	case SMMU_CMD_TLBI_EL2_ASID:
	case SMMU_CMD_TLBI_EL2_VA:
	case SMMU_CMD_TLBI_EL2_VAA:
		if (!hyp)
			return false;
		t.mask = TAG_CLASS;
		t.tag = tag_class(e2h || op == SMMU_CMD_TLBI_EL2_ASID ? SMM_CLASS_E2H : SMM_CLASS_EL2);
		break;
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_S2_IPA:
		if (!s2)
			return false;
		t.mask = TAG_CLASS | vm;
		t.tag = tag_class(SMM_CLASS_S2) | vm_tag;
		break;
	default: /* CMD_TLBI_NSNH_ALL */
		t.mask = TAG_CLASS;
		t.tag = tag_class(SMM_CLASS_EL1);
		break;
	}
	t.global_mask = t.mask | SMM_LINE_GLOBAL;
	t.global_tag = t.tag | SMM_LINE_GLOBAL;
	switch (op) {
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_EL2_ASID:
		t.mask |= TAG_PASID | SMM_LINE_GLOBAL;
		t.tag |= asid_tag;
		break;
	case SMMU_CMD_TLBI_NH_VA:
		t.mask |= TAG_PASID | SMM_LINE_GLOBAL;
		t.tag |= asid_tag;
		t.global = true;
		break;
	case SMMU_CMD_TLBI_EL2_VA:
		if (e2h) {
			t.mask |= TAG_PASID | SMM_LINE_GLOBAL;
			t.tag |= asid_tag;
			t.global = true;
		}
		break;
	case SMMU_CMD_TLBI_EL2_ALL:
		/* Both kinds, whatever E2H says. */
		t.tag = tag_class(SMM_CLASS_EL2);
		t.global_mask = t.mask;
		t.global_tag = tag_class(SMM_CLASS_E2H);
		t.global = true;
		break;
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_NSNH_ALL:
		t.global_mask = t.mask;
		t.global_tag = (t.tag & ~TAG_CLASS) | tag_class(op == SMMU_CMD_TLBI_NSNH_ALL ? SMM_CLASS_S2 : SMM_CLASS_EL1);
		t.global = true;
		break;
	default:
		break;
	}
	if ((addressed && !decode_range(state, c, GET_ADDR(SMMU_CMD_TLBI_VA, ADDR, c), &t)) ||
	    (op == SMMU_CMD_TLBI_S2_IPA && !decode_range(state, c, GET_ADDR(SMMU_CMD_TLBI_IPA, ADDR, c), &t)))
		return false;
	add_tlbi(inv, &t);
	return true;
}

/* ---- Device TLBs (4.5.1) ---- */

static bool decode_atc(const struct smm_state *state, const uint64_t *c, struct smm_invalidation *inv)
{
	uint64_t control = SMM_CONTROL(state), size = GET(SMMU_CMD_ATC_INV, SIZE, c);
	uint64_t span = size >= SMMU_ATC_SIZE_ALL ? ~0ull : (1ull << (12 + size)) - 1;
	uint64_t address = GET_ADDR(SMMU_CMD_ATC_INV, ADDR, c) & ~span;
	uint64_t mask = SMM_STREAM | SMM_LINE_HAS_SSID, tag = smm_tag_stream(GET(SMMU_CMD_ATC_INV, SID, c));

	if (!GET(SMMU_IDR0, ATS, &state->idr0) || (SMMU_CMD_ATC_INV_reserved(c) && !lax(state)) || size > SMMU_ATC_SIZE_ALL)
		return false;
	if (!GET(SMMU_CR0, SMMUEN, &control) || !sid_exists(state, GET(SMMU_CMD_ATC_INV, SID, c)))
		return true;
	if (GET(SMMU_CMD_ATC_INV, SSV, c)) {
		tag |= SMM_LINE_HAS_SSID;
		if (!GET(SMMU_CMD_ATC_INV, GLOBAL, c)) {
			mask |= TAG_PASID;
			tag |= GET(SMMU_CMD_ATC_INV, SSID, c) << TAG_PASID_LSB;
		}
	}
	inv->kind = SMM_DEVTLB;
	add(inv->scopes, &inv->nscopes, mask, tag, address, address | span);
	return true;
}

/* Is a command legal? What it removes goes to `inv`. */
bool smm_decode(const struct smm_state *state, const uint64_t *c, struct smm_invalidation *inv)
{
	memset(inv, 0, sizeof(*inv));
	switch (GET(SMMU_CMD, OPCODE, c)) {
	case SMMU_CMD_PREFETCH_CONFIG:
		return !GET(SMMU_CMD_PREFETCH_CONFIG, SSEC, c) && (!SMMU_CMD_PREFETCH_CONFIG_reserved(c) || lax(state));
	case SMMU_CMD_PREFETCH_ADDR:
		return !GET(SMMU_CMD_PREFETCH_ADDR, SSEC, c) && (!SMMU_CMD_PREFETCH_ADDR_reserved(c) || lax(state));
	case SMMU_CMD_CFGI_STE:
	case SMMU_CMD_CFGI_STE_RANGE:
	case SMMU_CMD_CFGI_CD:
	case SMMU_CMD_CFGI_CD_ALL:
		return decode_config(state, c, inv);
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
	case SMMU_CMD_TLBI_EL2_ALL:
	case SMMU_CMD_TLBI_EL2_ASID:
	case SMMU_CMD_TLBI_EL2_VA:
	case SMMU_CMD_TLBI_EL2_VAA:
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_S2_IPA:
	case SMMU_CMD_TLBI_NSNH_ALL:
		return decode_tlbi(state, c, inv);
	case SMMU_CMD_ATC_INV:
		return decode_atc(state, c, inv);
	case SMMU_CMD_SYNC:
		return GET(SMMU_CMD_SYNC, CS, c) != SMMU_CS_RESERVED && (!SMMU_CMD_SYNC_reserved(c) || lax(state));
	default:
		/* Reserved, of another state, or of what the unit hasn't: stalls, PRI, MPAM, DPT. */
		return false;
	}
}

void smm_invalidate(struct smm_state *state, const struct smm_invalidation *inv)
{
	struct model_common *common = &state->common;

	if (common->maysets)
		state->last = *inv;
	switch (inv->kind) {
	case SMM_CONFIG:
	case SMM_CD:
		model_gen_turn(common, MODEL_GEN_ENTRY);
		model_gen_turn(common, MODEL_GEN_PASID);
		model_cache_drop(common, &state->ste, inv->scopes, (unsigned)inv->nscopes);
		model_cache_drop(common, &state->cd, inv->more, (unsigned)inv->nmore);
		model_gen_turn(common, MODEL_GEN_ENTRY);
		model_gen_turn(common, MODEL_GEN_PASID);
		break;
	case SMM_TLB:
		model_gen_turn(common, MODEL_GEN_TLB);
		model_cache_drop(common, &state->walk, inv->more, (unsigned)inv->nmore);
		model_cache_drop(common, &state->tlb, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, MODEL_GEN_TLB);
		break;
	case SMM_DEVTLB:
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		model_cache_drop(common, &state->devtlb, inv->scopes, (unsigned)inv->nscopes);
		model_gen_turn(common, MODEL_GEN_DEVTLB);
		break;
	default:
		return;
	}
	state->must_drain |= common->maysets ? 0 : 1;
}

/* All that is in flight now is waited for. */
void smm_drain_start(struct smm_state *state, const struct iommu_model_port *port)
{
	state->must_drain = 0;
	state->draining = 1;
	model_drain_start(&state->common, port);
}

bool smm_drain_done(struct smm_state *state)
{
	if (!model_drain_done(&state->common))
		return false;
	state->draining = 0;
	return true;
}

/* ---- May-sets ---- */

/* `ignore`: bits of the tag that the request doesn't know. `size`: of what it may hold, from `first`. */
static bool covers(const struct model_scope *scopes, uint64_t n, uint64_t tag, uint64_t ignore, uint64_t first, uint64_t size)
{
	for (uint64_t i = 0; i < n; i++) {
		if (((tag ^ scopes[i].tag) & scopes[i].mask & ~ignore) == 0 && first <= scopes[i].last &&
		    first + (size - 1) >= scopes[i].first)
			return true;
	}
	return false;
}

/* The pages that a walk holds: of the table that it has reached, and at the end of its leaf. */
static uint64_t held(uint64_t log2, uint64_t address, uint64_t *first)
{
	if (log2 < 12)
		log2 = 12;
	*first = address & ~((1ull << log2) - 1);
	return 1ull << log2;
}

static bool holds_translation(const struct smm_invalidation *inv, const struct smm_work *work)
{
	const uint64_t unknown = SMM_LINE_TG | SMM_LINE_TTL | SMM_LINE_GLOBAL;
	uint64_t log2 = (work->rights & SMM_LOG2) >> SMM_LOG2_LSB, first, size;

	if (work->tag & TAG_VALID) {
		/* A global line has no ASID: its command has no other way to match than by that. */
		size = held(log2, work->iova, &first);
		if (covers(inv->scopes, inv->nscopes, work->tag, unknown, first, size))
			return true;
		/* Tables on the way. Which ones isn't kept: all that there are, up to 512 GiB. */
		size = held(39, work->iova, &first);
		if (!log2 && covers(inv->more, inv->nmore, work->tag, unknown, first, size))
			return true;
	}
	if (work->tag2 & TAG_VALID) {
		/* How large a page of the second stage said so isn't kept either: up to 1 GiB. */
		size = held(30, work->ipa, &first);
		return covers(inv->scopes, inv->nscopes, work->tag2, unknown, first, size) ||
		       covers(inv->more, inv->nmore, work->tag2, unknown, first, size);
	}
	return false;
}

/*
 * Did the tick wait for this request? 3.21.1 and 3.21.3: for who used, or was about to fill, what it removed; until the access is
 * done. Others go on with what they have.
 */
bool smm_drained(const struct iommu_model *model, const struct iommu_request *request)
{
	const struct smm_state *state = smm_state(model);
	const struct smm_invalidation *inv = &state->last;
	const struct smm_work *work = (const struct smm_work *)(const void *)request->work;
	uint64_t tag = TAG_VALID | smm_tag_stream(request->rid), level = 1ull << TAG_LEVEL_LSB;

	if (request->state == IOMMU_REQUEST_FAULT)
		return false; /* over: it holds nothing */
	/* Not begun: it holds nothing, but for what it has from the device's TLB. */
	if (request->pc == SMM_PC_START && inv->kind != SMM_DEVTLB)
		return false;
	switch (inv->kind) {
	case SMM_CONFIG:
		/* The L1STD's part of a StreamID is matched by its scope's mask. */
		return covers(inv->scopes, inv->nscopes, tag, 0, 0, 1) ||
		       (request->pc == SMM_PC_STE && covers(inv->scopes, inv->nscopes, tag | level, 0, 0, 1));
	case SMM_CD:
		if (!(work->flags & SMM_F_CD))
			return false;
		return covers(inv->more, inv->nmore, tag | work->index << TAG_PASID_LSB, 0, 0, 1) ||
		       (request->pc == SMM_PC_CD && covers(inv->more, inv->nmore, smm_l1cd_tag(request, work), 0, 0, 1));
	case SMM_TLB:
		return holds_translation(inv, work);
	case SMM_DEVTLB:
		if (request->kind == IOMMU_REQUEST_UNTRANSLATED)
			return false;
		if (smm_has_ssid(request))
			tag |= SMM_LINE_HAS_SSID | (request->pasid & 0xfffffull) << TAG_PASID_LSB;
		return covers(inv->scopes, inv->nscopes, tag, 0, work->iova & ~0xfffull, 4096);
	case SMM_OFF:
		return true;
	default:
		return false;
	}
}
