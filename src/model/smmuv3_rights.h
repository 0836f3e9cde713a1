/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_rights.h - what a leaf of either stage allows, and what a request needs (DDI 0487 D8.4; IHI 0070 3.9.1, 13.7).
 */
#ifndef MODEL_SMMUV3_RIGHTS_H
#define MODEL_SMMUV3_RIGHTS_H

#include "smmuv3_state.h"

static inline bool smm_hardware_flags(const struct smm_work *work, bool s2, bool dirty)
{
	/* Without the access flag's the dirty state's does nothing. */
	if (s2)
		return GET(SMMU_STE, S2HA, work->ste) && (!dirty || GET(SMMU_STE, S2HD, work->ste));
	return GET(SMMU_CD, HA, work->cd) && (!dirty || GET(SMMU_CD, HD, work->cd));
}

/* DDI 0487 D8.4.1, with what the tables on the way left. */
static inline uint64_t smm_first_rights(const struct smm_work *work, uint64_t leaf)
{
	bool clean = GET(LPAE_S1, AP2, &leaf) && GET(LPAE_S1, DBM, &leaf) && smm_hardware_flags(work, false, true);
	bool writes = (!GET(LPAE_S1, AP2, &leaf) || clean) && !(work->limits & SMM_NO_WRITE);
	bool wxn = GET(SMMU_CD, WXN, work->cd), user = GET(LPAE_S1, AP1, &leaf) && !(work->limits & SMM_NO_USER);
	bool ux = !GET(LPAE_S1, XN, &leaf) && !(work->limits & SMM_NO_UX);
	bool px = !GET(LPAE_S1, PXN, &leaf) && !(work->limits & SMM_NO_PX);
	uint64_t rights = clean && writes ? SMM_CLEAN1 : 0;

	if (smm_world(work) == SMM_CLASS_EL2) {
		/* One privilege only, and XN is its own. */
		rights |= SMM_UR | SMM_PR | (writes ? SMM_UW | SMM_PW : 0);
		return rights | (ux && !(wxn && writes) ? SMM_UX | SMM_PX : 0);
	}
	rights |= SMM_PR | (writes ? SMM_PW : 0) | (user ? SMM_UR : 0) | (user && writes ? SMM_UW : 0);
	if (ux && !(wxn && (rights & SMM_UW)))
		rights |= SMM_UX;
	/* What unprivileged code can write, privileged code doesn't execute. */
	if (px && !(rights & SMM_UW) && !(wxn && writes))
		rights |= SMM_PX;
	return rights;
}

/* D8.4.2 */
static inline uint64_t smm_second_rights(const struct smm_state *state, const struct smm_work *work, uint64_t leaf)
{
	uint64_t rights = GET(LPAE_S2, READ, &leaf) ? SMM_R2 : 0, xn = GET(LPAE_S2, XN, &leaf);

	if (GET(LPAE_S2, WRITE, &leaf))
		rights |= SMM_W2;
	else if (GET(LPAE_S2, DBM, &leaf) && smm_hardware_flags(work, true, true))
		rights |= SMM_W2 | SMM_CLEAN2;
	if (!GET(SMMU_IDR3, XNX, &state->idr3))
		xn &= LPAE_S2_XN_NONE;
	if (xn == 0 || xn == LPAE_S2_XN_UNPRIVILEGED)
		rights |= SMM_UX2;
	if (xn == 0 || xn == LPAE_S2_XN_PRIVILEGED)
		rights |= SMM_PX2;
	return rights;
}

/* What one stage allows to the request's privilege, as IOMMU_READ, WRITE and EXEC. */
static inline uint32_t smm_may_first(const struct smm_work *work, uint64_t rights)
{
	bool priv = work->flags & SMM_F_PRIV;
	uint32_t may = 0;

	if (rights & (priv ? SMM_PR : SMM_UR))
		may |= IOMMU_READ;
	if (rights & (priv ? SMM_PW : SMM_UW))
		may |= IOMMU_WRITE;
	if (rights & (priv ? SMM_PX : SMM_UX))
		may |= IOMMU_EXEC;
	/* Privileged access never: no data where the unprivileged may have some. */
	if (priv && smm_world(work) != SMM_CLASS_EL2 && GET(SMMU_CD, PAN, work->cd) && (rights & (SMM_UR | SMM_UW)))
		may &= ~(uint32_t)(IOMMU_READ | IOMMU_WRITE);
	return may;
}

static inline uint32_t smm_may_second(const struct smm_work *work, uint64_t rights)
{
	uint32_t may = 0;

	if (rights & SMM_R2)
		may |= IOMMU_READ;
	if (rights & SMM_W2)
		may |= IOMMU_WRITE;
	if (rights & (work->flags & SMM_F_PRIV ? SMM_PX2 : SMM_UX2))
		may |= IOMMU_EXEC;
	return may;
}

static inline uint32_t smm_needed(const struct smm_work *work)
{
	return (work->flags & SMM_F_NEED_R ? IOMMU_READ : 0) | (work->flags & SMM_F_NEED_W ? IOMMU_WRITE : 0) |
	       (work->flags & SMM_F_NEED_X ? IOMMU_EXEC : 0);
}

/* 3.9.1.2: a translation request gets what there is of what it asked for, if that is anything; others get all or a fault. */
static inline bool smm_denied(const struct iommu_request *request, const struct smm_work *work, uint32_t may)
{
	return request->kind == IOMMU_REQUEST_TRANSLATION ? !(smm_needed(work) & may) : (smm_needed(work) & ~may) != 0;
}

static inline bool smm_second_denies(const struct iommu_request *request, const struct smm_work *work, uint64_t rights)
{
	switch (smm_purpose(work)) {
	case SMM_FOR_ACCESS:
		return smm_denied(request, work, smm_may_second(work, rights));
	case SMM_FOR_MARK:
		return !(rights & SMM_W2);
	default:
		return !(rights & SMM_R2);
	}
}

/* Is the page going to be written, so that its dirty state has to be set first? */
static inline bool smm_first_writes(const struct smm_work *work, uint64_t rights)
{
	return (work->flags & SMM_F_NEED_W) && (smm_may_first(work, rights) & IOMMU_WRITE);
}

static inline bool smm_second_writes(const struct smm_work *work, uint64_t rights)
{
	if (smm_purpose(work) == SMM_FOR_ACCESS)
		return (work->flags & SMM_F_NEED_W) && (rights & SMM_W2);
	return smm_purpose(work) == SMM_FOR_MARK;
}

/* What the answer says. */
static inline uint32_t smm_answer(const struct smm_state *state, const struct iommu_request *request, const struct smm_work *work,
		       uint64_t rights)
{
	uint32_t may = smm_may_first(work, rights) & smm_may_second(work, rights), told;
	uint64_t inst = GET(SMMU_IDR1, ATTR_PERMS_OVR, &state->idr1) ? GET(SMMU_STE, INSTCFG, work->ste) : SMMU_OVERRIDE_INCOMING;
	bool exec = (request->access & IOMMU_EXEC) && smm_has_ssid(request);

	if (rights & (SMM_CLEAN1 | SMM_CLEAN2))
		may &= ~(uint32_t)IOMMU_WRITE;
	if (request->kind != IOMMU_REQUEST_TRANSLATION)
		return (may & (IOMMU_READ | IOMMU_WRITE)) | (request->access & may & IOMMU_EXEC) | (request->access & IOMMU_PRIV);
	/* 13.7.1 */
	told = may & IOMMU_WRITE & request->access;
	if (inst == SMMU_OVERRIDE_SET)
		return told | (may & IOMMU_EXEC ? IOMMU_READ | (exec ? IOMMU_EXEC : 0) : 0) | (request->access & IOMMU_PRIV);
	told |= may & IOMMU_READ;
	if (exec && (may & IOMMU_READ) && (inst == SMMU_OVERRIDE_CLEAR || (may & IOMMU_EXEC)))
		told |= IOMMU_EXEC;
	return told | (request->access & IOMMU_PRIV);
}

#endif
