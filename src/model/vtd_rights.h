/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vtd_rights.h - what a translation that was found allows: the same for a page just walked to and for a line of the IOTLB. */
#ifndef MODEL_VTD_RIGHTS_H
#define MODEL_VTD_RIGHTS_H

#include "vtd_state.h"

#define IOTLB_KEY (TAG_VALID | VTDM_CLASS_BY_PASID | TAG_DOMAIN | TAG_PASID | TAG_LEVEL)

static inline unsigned level_shift(uint64_t level)
{
	return (unsigned)(12 + 9 * (level - 1));
}

static inline uint64_t level_mask(uint64_t level)
{
	return (1ull << level_shift(level)) - 1;
}

static inline bool legacy(const struct vtdm_work *work)
{
	return !(work->flags & VTDM_F_SCALABLE);
}

static inline bool nested(const struct vtdm_work *work)
{
	return work->fs && work->ss;
}

static inline bool wants_write(const struct iommu_request *request)
{
	return (request->access & IOMMU_WRITE) != 0;
}

/* What of the first stage is missing: 0 or the fault. 3.6.2: a supervisor writes where WPE is clear, whatever the table says. */
static inline unsigned first_stage_denies(const struct iommu_request *request, const struct vtdm_work *work, uint64_t rights)
{
	if (!work->fs)
		return 0;
	if ((work->flags & VTDM_F_USER) && !(rights & VTDM_MAY_USER))
		return VTD_FR_FS_USER;
	if ((work->flags & VTDM_F_EXEC) && !(rights & VTDM_MAY_EXEC))
		return VTD_FR_FS_EXECUTE;
	if (wants_write(request) && !(rights & VTDM_MAY_WRITE_FS) && (work->flags & (VTDM_F_USER | VTDM_F_WPE)))
		return VTD_FR_FS_WRITE;
	return 0;
}

/* 3.7.1, 7.1.3: in scalable mode, "no permission at all" is a fault of its own. */
static inline unsigned second_stage_denies(const struct iommu_request *request, const struct vtdm_work *work, uint64_t rights)
{
	bool lacks_write = wants_write(request) && !(rights & VTDM_MAY_WRITE);
	bool lacks_read = (request->access & (IOMMU_READ | IOMMU_EXEC)) && !(rights & VTDM_MAY_READ);

	if (legacy(work))
		return lacks_write ? VTD_FR_SS_WRITE : lacks_read ? VTD_FR_SS_READ : 0;
	if (!(rights & (VTDM_MAY_READ | VTDM_MAY_WRITE)))
		return VTD_FR_SS_ABSENT_SM;
	return lacks_write ? VTD_FR_FS_WRITE : lacks_read ? VTD_FR_FS_READ : 0;
}

static inline unsigned denied(const struct iommu_request *request, const struct vtdm_work *work, uint64_t rights)
{
	unsigned reason = first_stage_denies(request, work, rights);

	return reason ? reason : second_stage_denies(request, work, rights);
}

/* What the answer says: for a translation request, what the device may do with it. */
static inline uint32_t answer(const struct iommu_request *request, const struct vtdm_work *work, uint64_t rights)
{
	uint32_t may = 0;

	if (rights & VTDM_MAY_READ)
		may |= IOMMU_READ;
	if ((rights & VTDM_MAY_WRITE) && ((rights & VTDM_MAY_WRITE_FS) || !(work->flags & (VTDM_F_USER | VTDM_F_WPE))))
		may |= IOMMU_WRITE;
	/* Without having asked to write, a device is not told that it may while that would have to set D first. */
	if (!(rights & VTDM_DIRTY) && !wants_write(request))
		may &= ~IOMMU_WRITE;
	if (request->access & IOMMU_EXEC)
		may |= rights & VTDM_MAY_EXEC ? IOMMU_EXEC : 0;
	return may | (request->access & IOMMU_PRIV);
}

/* 3.15: nothing may be translated to the interrupt range. */
static inline bool to_interrupt_range(uint64_t phys)
{
	return (phys & ~0xfffffull) == 0xfee00000ull;
}

static inline unsigned interrupt_fault(const struct vtdm_work *work)
{
	return legacy(work) ? VTD_FR_INTERRUPT_RANGE_LEGACY : VTD_FR_INTERRUPT_RANGE;
}

#endif
