/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_check.c - which stream table entries and context descriptors are ILLEGAL (5.2.2, 5.4.2), of a Non-secure unit of version
 * 3.1 or later with VMSAv8-64 tables only.
 *
 * Reserved bits are looked at where the entry is fetched.
 */
#include "smmuv3_state.h"

unsigned smm_address_bits(const struct smm_state *state, uint64_t ps)
{
	static const unsigned bits[8] = { 32, 36, 40, 42, 44, 48, 52, 56 };

	return state->oas && bits[ps] > state->oas ? (unsigned)state->oas : bits[ps];
}

unsigned smm_tg0(const struct smm_state *state, uint64_t tg)
{
	switch (tg) {
	case SMMU_TG0_4K:
		return GET(SMMU_IDR5, GRAN4K, &state->idr5) ? 12 : 0;
	case SMMU_TG0_16K:
		return GET(SMMU_IDR5, GRAN16K, &state->idr5) ? 14 : 0;
	case SMMU_TG0_64K:
		return GET(SMMU_IDR5, GRAN64K, &state->idr5) ? 16 : 0;
	default:
		return 0;
	}
}

unsigned smm_tg1(const struct smm_state *state, uint64_t tg)
{
	switch (tg) {
	case SMMU_TG1_4K:
		return smm_tg0(state, SMMU_TG0_4K);
	case SMMU_TG1_16K:
		return smm_tg0(state, SMMU_TG0_16K);
	case SMMU_TG1_64K:
		return smm_tg0(state, SMMU_TG0_64K);
	default:
		return 0;
	}
}

/* With VAX 0. */
static bool txsz_invalid(const struct smm_state *state, uint64_t txsz, unsigned page_shift)
{
	uint64_t most = !GET(SMMU_IDR3, STT, &state->idr3) ? 39 : page_shift == 16 ? 47 : 48;

	return txsz < 16 || txsz > most;
}

/* VTCR_EL2.SL0: 4K counts from level 2 upwards, 16K and 64K from level 3. Level 3 is 0 here. */
unsigned smm_s2_start(uint64_t sl0, unsigned page_shift)
{
	if (page_shift != 12)
		return (unsigned)sl0;
	return sl0 == 3 ? 0 : (unsigned)sl0 + 1;
}

/* DDI 0487: which SL0 there are, and whether S2T0SZ leaves the first level 1 to 16 tables. */
static bool s2_walk_inconsistent(const struct smm_state *state, uint64_t t0sz, uint64_t sl0, unsigned page_shift)
{
	unsigned start = smm_s2_start(sl0, page_shift), stride = lpae_index_bits(page_shift);
	unsigned least = page_shift + start * stride + 1, most = least + stride - 1 + 4, bits = 64 - (unsigned)t0sz;

	switch (page_shift) {
	case 12:
		if ((sl0 == 2 && state->oas < 44) || (sl0 == 3 && !GET(SMMU_IDR3, STT, &state->idr3)))
			return true;
		break;
	case 14:
		if (sl0 == 3 || (sl0 == 2 && state->oas < 42))
			return true;
		break;
	default:
		if (sl0 == 3 || (sl0 == 2 && state->oas < 44))
			return true;
		break;
	}
	return bits < least || bits > most;
}

static bool s2_illegal(const struct smm_state *state, const uint64_t *ste)
{
	unsigned page_shift = smm_tg0(state, GET(SMMU_STE, S2TG, ste));
	uint64_t httu = GET(SMMU_IDR0, HTTU, &state->idr0), t0sz = GET(SMMU_STE, S2T0SZ, ste);

	/* STALL_MODEL is "terminate", TTF "VMSAv8-64", TTENDIAN "little". */
	if (GET(SMMU_STE, S2S, ste) || !GET(SMMU_STE, S2AA64, ste) || GET(SMMU_STE, S2ENDI, ste))
		return true;
	if ((GET(SMMU_STE, S2HA, ste) && httu == SMMU_HTTU_NONE) || (GET(SMMU_STE, S2HD, ste) && httu < SMMU_HTTU_DIRTY))
		return true;
	if (!page_shift || GET_ADDR(SMMU_STE, S2TTB, ste) >> smm_address_bits(state, GET(SMMU_STE, S2PS, ste)))
		return true;
	return txsz_invalid(state, t0sz, page_shift) || t0sz < 64 - state->oas ||
	       s2_walk_inconsistent(state, t0sz, GET(SMMU_STE, S2SL0, ste), page_shift);
}

static bool strw_ignored(const struct smm_state *state, uint64_t config)
{
	return !GET(SMMU_IDR0, S1P, &state->idr0) || !GET(SMMU_IDR0, HYP, &state->idr0) || (config & SMMU_CONFIG_HAS_S2) ||
	       config == SMMU_CONFIG_BYPASS;
}

bool smm_ste_illegal(const struct smm_state *state, const uint64_t ste[4])
{
	uint64_t config = GET(SMMU_STE, CONFIG, ste), eats = GET(SMMU_STE, EATS, ste), strw = GET(SMMU_STE, STRW, ste);
	uint64_t ssidsize = GET(SMMU_IDR1, SSIDSIZE, &state->idr1), cdmax = GET(SMMU_STE, S1CDMAX, ste);
	bool s1 = config & SMMU_CONFIG_HAS_S1, s2 = config & SMMU_CONFIG_HAS_S2;
	bool no_strw = strw_ignored(state, config);

	if (!GET(SMMU_STE, V, ste))
		return true;
	if (!(config & SMMU_CONFIG_PASSES))
		return false;
	if ((s1 && !GET(SMMU_IDR0, S1P, &state->idr0)) || (s2 && !GET(SMMU_IDR0, S2P, &state->idr0)))
		return true;
	if (GET(SMMU_IDR0, ATS, &state->idr0) && (s1 || s2)) {
		if (eats == SMMU_EATS_SPLIT &&
		    (config != SMMU_CONFIG_NESTED || GET(SMMU_STE, S2S, ste) || GET(SMMU_IDR0, NS1ATS, &state->idr0)))
			return true;
		if (eats == SMMU_EATS_FULL && s2 && GET(SMMU_STE, S2S, ste))
			return true;
	}
	if (!no_strw && (strw & 1))
		return true;
	if (s1) {
		/* STALL_MODEL isn't "both". */
		if (GET(SMMU_STE, S1STALLD, ste))
			return true;
		if (ssidsize && cdmax > ssidsize)
			return true;
		if (ssidsize && cdmax && !GET(SMMU_IDR0, CD2L, &state->idr0) &&
		    (GET(SMMU_STE, S1FMT, ste) == SMMU_S1FMT_4K || GET(SMMU_STE, S1FMT, ste) == SMMU_S1FMT_64K))
			return true;
		if (smm_beyond(state, GET_ADDR(SMMU_STE, S1CONTEXTPTR, ste)))
			return true;
	}
	if (s2 && s2_illegal(state, ste))
		return true;
	/* S2VMID counts for EL1 streams of a unit with a second stage. */
	return GET(SMMU_IDR0, S2P, &state->idr0) && (s1 || s2) && (no_strw || strw == SMMU_STRW_EL1) &&
	       !GET(SMMU_IDR0, VMID16, &state->idr0) && GET(SMMU_STE, S2VMID, ste) >> 8;
}

/* TTB0 or TTB1 of a context descriptor: its size, granule and address. */
static bool table_illegal(const struct smm_state *state, uint64_t txsz, unsigned page_shift, uint64_t ttb, uint64_t ips)
{
	return !page_shift || txsz_invalid(state, txsz, page_shift) || ttb >> smm_address_bits(state, ips);
}

bool smm_cd_illegal(const struct smm_state *state, const uint64_t ste[4], const uint64_t cd[3], unsigned world)
{
	uint64_t httu = GET(SMMU_IDR0, HTTU, &state->idr0), ips = GET(SMMU_CD, IPS, cd);
	bool el2 = world == SMM_CLASS_EL2;
	bool epd0 = GET(SMMU_CD, EPD0, cd) && !el2, epd1 = GET(SMMU_CD, EPD1, cd) || el2;

	(void)ste; /* what of the stream table entry matters here needs stalls or VMSAv8-32 */
	if (!GET(SMMU_CD, V, cd) || GET(SMMU_CD, S, cd))
		return true;
	if (GET(SMMU_IDR0, TERM_MODEL, &state->idr0) && !GET(SMMU_CD, A, cd))
		return true;
	if ((!epd0 || !epd1) && GET(SMMU_CD, ENDI, cd))
		return true;
	if (!GET(SMMU_CD, AA64, cd))
		return true;
	if (((GET(SMMU_CD, HA, cd) || GET(SMMU_CD, HD, cd)) && httu == SMMU_HTTU_NONE) ||
	    (GET(SMMU_CD, HD, cd) && httu < SMMU_HTTU_DIRTY))
		return true;
	if (!el2 && !GET(SMMU_IDR0, ASID16, &state->idr0) && GET(SMMU_CD, ASID, cd) >> 8)
		return true;
	if (!epd0 && table_illegal(state, GET(SMMU_CD, T0SZ, cd), smm_tg0(state, GET(SMMU_CD, TG0, cd)),
				   GET_ADDR(SMMU_CD, TTB0, cd), ips))
		return true;
	return !epd1 && table_illegal(state, GET(SMMU_CD, T1SZ, cd), smm_tg1(state, GET(SMMU_CD, TG1, cd)),
				      GET_ADDR(SMMU_CD, TTB1, cd), ips);
}
