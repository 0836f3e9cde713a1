/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * quirks.c - what QEMU's IOMMUs do that no specification allows, worked around through the port's trace hook. Hardware needs
 * none of this: leave the file out of a port for it.
 *
 * VT-d, scalable mode: QEMU looks whether a PASID entry says pass-through, or no longer says it, only when the context cache is
 * invalidated. The specification asks for a PASID-cache invalidation (VT-d specification, 6.5.3.3, "Guidance to Software for
 * Invalidations": a change of a PASID-table entry), which the driver does. So before each of those, QEMU is given a
 * device-selective context-cache invalidation too (6.5.2.1). The entry has been stored by then.
 */
#include "kernel.h"

#include "quirks.h"

static struct iommu_unit *qemu_vtd;

static void before_step(void *ctx, const struct iommu_step *step)
{
	/* Type 1; granularity 3, device-selective; source id in 47:32. A unit whose queue has 256-bit commands takes four words. */
	const uint64_t command[4] = { 1 | 3u << 4 | (uint64_t)(step->rid & 0xffff) << 32 };

	(void)ctx;
	if (qemu_vtd && step->op == IOMMU_STEP_INVALIDATE && step->cache == IOMMU_CACHE_PASID)
		must(iommu_unit_submit(qemu_vtd, command, 1), "context-cache invalidation");
}

void quirks_before_vtd(void)
{
	port.trace = before_step;
}

void quirks_after_vtd(struct iommu_unit *unit)
{
	struct iommu_unit_info info;

	iommu_unit_get_info(unit, &info);
	if (text_equal(info.arch, "vtd"))
		qemu_vtd = unit;
}
