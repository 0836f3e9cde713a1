/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * quirks.c - what QEMU's IOMMUs do that no specification allows, worked around in the port. Hardware needs none of this: leave
 * the file out of a port for it.
 *
 * VT-d, scalable mode, in two ways:
 *
 * QEMU reads the PASID entry several times during one translation: once to check it, once for the page table, and once more,
 * after the walk, for the domain id under which it caches the result. A store between them puts the old domain's translation into the
 * IOTLB under the new domain's id, where no invalidation of the old one finds it; or it refuses a DMA that both entries let pass. The
 * specification has hardware read each 128 bits of the entry at once (replacing one then is one CMPXCHG16B), and cache what it
 * has read. So here a DMA and a *store* to a live entry exclude each other: a DMA falls between any two steps of the driver, but not
 * upon a store.
 *
 * QEMU looks whether a PASID entry says pass-through, or no longer says it, only when the context cache is
 * invalidated. The specification asks for a PASID-cache invalidation (VT-d specification, 6.5.3.3, "Guidance to Software for
 * Invalidations": a change of a PASID-table entry), which the driver does. So before each of those, QEMU is given a
 * device-selective context-cache invalidation too (6.5.2.1). The entry has been stored by then.
 */
#include "kernel.h"

#include "quirks.h"

static void (*plain_store64)(void *ctx, void *entry, uint64_t value);
static void (*plain_store128)(void *ctx, void *entry, uint64_t low, uint64_t high);

static struct iommu_unit *qemu_vtd;

static void before_step(void *ctx, const struct iommu_step *step)
{
	/* Type 1; granularity 3, device-selective; source id in 47:32. A unit whose queue has 256-bit commands takes four words. */
	const uint64_t command[4] = { 1 | 3u << 4 | (uint64_t)(step->rid & 0xffff) << 32 };

	(void)ctx;
	if (qemu_vtd && step->op == IOMMU_STEP_INVALIDATE && step->cache == IOMMU_CACHE_PASID)
		must(iommu_unit_submit(qemu_vtd, command, 1), "context-cache invalidation");
}

static void store64_between_dmas(void *ctx, void *entry, uint64_t value)
{
	if (qemu_vtd)
		spin_lock(&testdev_busy);
	plain_store64(ctx, entry, value);
	if (qemu_vtd)
		spin_unlock(&testdev_busy);
}

static void store128_between_dmas(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	if (qemu_vtd)
		spin_lock(&testdev_busy);
	plain_store128(ctx, entry, low, high);
	if (qemu_vtd)
		spin_unlock(&testdev_busy);
}

void quirks_before_vtd(void)
{
	plain_store64 = port.store64;
	port.store64 = store64_between_dmas;
	plain_store128 = port.store128;
	if (plain_store128)
		port.store128 = store128_between_dmas;
	port.trace = before_step;
}

void quirks_after_vtd(struct iommu_unit *unit)
{
	struct iommu_unit_info info;

	iommu_unit_get_info(unit, &info);
	if (text_equal(info.arch, "vtd"))
		qemu_vtd = unit;
}
