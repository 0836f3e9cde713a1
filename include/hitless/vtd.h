/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/vtd.h - the driver for Intel VT-d (Intel Virtualization Technology for Directed I/O, Architecture
 * Specification, revision 3.0 and later).
 */
#ifndef HITLESS_VTD_H
#define HITLESS_VTD_H

#include <hitless/iommu.h>

HITLESS_BEGIN

enum vtd_mode {
	VTD_MODE_BEST,		/* scalable where the unit has it, else legacy */
	VTD_MODE_LEGACY,	/* context entries */
	VTD_MODE_SCALABLE	/* context entry, PASID directory, PASID table */
};

struct vtd_unit_desc {
	uint64_t registers;	/* physical address of the register set, as the DRHD structure names it */
	uint16_t segment;	/* the PCI segment that it serves: bits 31:16 of its devices' requester ids */
	enum vtd_mode mode;
	uint64_t timeout_ns;	/* for a command or a register handshake; 0: one second */
	unsigned queue_order;	/* the invalidation queue has 2^queue_order pages; 0 to 7 */
};

/*
 * Finds out what the unit can do, gives it an empty root table and an invalidation queue, and turns translation on: every
 * device is blocked until it is added. What belongs to interrupt remapping is left alone.
 * -EINVAL: bad description, the unit lacks the mode asked for, or it doesn't snoop and the port has no writeback; -ENODEV: no unit there; -EBUSY: its queue is in use by
 * somebody else; -EOPNOTSUPP: a unit without queued invalidation, or a page-table width that Hitless lacks; -ENOMEM;
 * -EIO: the hardware does not answer.
 */
HITLESS_API int vtd_unit_create(const struct hitless_port *port, const struct vtd_unit_desc *desc,
				struct iommu_unit **unit);

/* From now on the unit understands guests' PASID-table entries and commands (hitless/iommu.h, "Nesting"). -EOPNOTSUPP: not in scalable mode,
 * or a unit without nesting (ECAP.NEST); -EINVAL: no unit of this driver. */
HITLESS_API int vtd_enable_nesting(struct iommu_unit *unit);

/* The live entries, for iommu_plan(): section 9.3 context entry, section 9.6 scalable-mode PASID-table entry. */
HITLESS_API extern const struct entry_format vtd_context_entry;
HITLESS_API extern const struct entry_format vtd_pasid_entry;

HITLESS_END

#endif
