/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* amdvi_rights.h - what a line of the IOTLB means for a request: shared by the steps and by the way through the caches alone. */
#ifndef MODEL_AMDVI_RIGHTS_H
#define MODEL_AMDVI_RIGHTS_H

#include "amdvi_state.h"

#define IOTLB_KEY (TAG_VALID | AMDVIM_CLASS_BY_PASID | TAG_DOMAIN | TAG_PASID | TAG_LEVEL)

static inline bool guest(const struct amdvim_work *work)
{
	return (work->flags & AMDVIM_F_GN) != 0;
}

static inline bool wants_write(const struct iommu_request *request)
{
	return (request->access & IOMMU_WRITE) != 0;
}

static inline bool guest_denies(const struct iommu_request *request, const struct amdvim_work *work, uint64_t rights)
{
	if (!guest(work))
		return false;
	/* As a processor with CR0.WP=1 and EFER.NXE=1. */
	return ((work->flags & AMDVIM_F_USER) && !(rights & AMDVIM_MAY_USER)) ||
	       ((work->flags & AMDVIM_F_EXEC) && !(rights & AMDVIM_MAY_EXEC)) ||
	       (wants_write(request) && !(rights & AMDVIM_MAY_WRITE_GUEST));
}

static inline bool host_denies(const struct iommu_request *request, uint64_t rights)
{
	return (wants_write(request) && !(rights & AMDVIM_MAY_WRITE)) ||
	       ((request->access & (IOMMU_READ | IOMMU_EXEC)) && !(rights & AMDVIM_MAY_READ));
}

/* IR and IW of the device table entry hold for whatever the tables say. They are no part of a line, which others use, too. */
static inline uint64_t with_entry(const struct amdvim_work *work, uint64_t rights)
{
	if (!(work->flags & AMDVIM_F_IR))
		rights &= ~AMDVIM_MAY_READ;
	if (!(work->flags & AMDVIM_F_IW))
		rights &= ~AMDVIM_MAY_WRITE;
	return rights;
}

/* What the answer says: for a translation request, what the device may do with it. */
static inline uint32_t answer(const struct iommu_request *request, const struct amdvim_work *work, uint64_t rights)
{
	uint32_t may = 0;

	if (rights & AMDVIM_MAY_READ)
		may |= IOMMU_READ;
	if ((rights & AMDVIM_MAY_WRITE) && (!guest(work) || (rights & AMDVIM_MAY_WRITE_GUEST)))
		may |= IOMMU_WRITE;
	/* Without having asked to write, a device is not told that it may while that would have to set D first. */
	if (!(rights & AMDVIM_DIRTY) && !wants_write(request))
		may &= ~IOMMU_WRITE;
	if (request->access & IOMMU_EXEC)
		may |= rights & AMDVIM_MAY_EXEC ? IOMMU_EXEC : 0;
	return may | (request->access & IOMMU_PRIV);
}

#endif
