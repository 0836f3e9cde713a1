/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hitless/model-vtd.h - the model of Intel VT-d, legacy and scalable mode. */
#ifndef HITLESS_MODEL_VTD_H
#define HITLESS_MODEL_VTD_H

#include <hitless/model.h>

HITLESS_BEGIN

/*
 * config.capabilities[0]: CAP_REG, [1]: ECAP_REG, as the unit shall report them; 0: a unit with legacy and scalable mode, first- and
 * second-stage translation (3, 4, 5 levels; 4K, 2M, 1G), pass-through, device TLBs, PASIDs of 20 bits, 65536 domain ids, coherent
 * walks, no nesting (ECAP.NEST may be set), no implied invalidation by SRTP (CAP.ESRTPS may be set).
 * [2]: VTD_BROKEN_ switches. [3]: host address width, 32 to 52 bits; 0: 52.
 * iommu_model_init() refuses (-EINVAL) what the model can't do.
 *
 * ECAP.ERS=1 makes it a unit of before revision 4, with execute requests: bits 129 (ERE) and 133 (NXE) of a PASID entry and XD in
 * first-stage entries have their old meaning then.
 */
HITLESS_API extern const struct iommu_model_ops vtd_model;

/* Hardware that doesn't do its work, for tests of what a driver does then. */
#define VTD_BROKEN_WAIT 0x01u	/* invalidation waits never complete */
#define VTD_BROKEN_ITE 0x02u	/* devices don't answer: the wait after a device-TLB invalidation ends in FSTS.ITE */
#define VTD_BROKEN_ICE 0x04u	/* devices answer wrongly: device-TLB invalidations raise FSTS.ICE */
#define VTD_BROKEN_GCMD 0x08u	/* global commands are ignored: GSTS never changes */
#define VTD_BROKEN_FETCH 0x10u	/* nothing is fetched from the invalidation queue */
#define VTD_BROKEN_ALL 0x1fu

/* Breaks or repairs a unit that is running. */
HITLESS_API void vtd_model_break(struct iommu_model *model, uint64_t switches);

/* The default CAP_REG and ECAP_REG, for who wants to change a bit of them. */
HITLESS_API uint64_t vtd_model_default_cap(void);
HITLESS_API uint64_t vtd_model_default_ecap(void);

HITLESS_END

#endif
