/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/amdvi.h - the driver for AMD-Vi (AMD I/O Virtualization Technology (IOMMU) Specification, document 48882,
 * revision 3.0 and later).
 */
#ifndef HITLESS_AMDVI_H
#define HITLESS_AMDVI_H

#include <hitless/iommu.h>
#include <hitless/plan.h>

HITLESS_BEGIN

struct amdvi_unit_desc {
	uint64_t registers;	/* physical address of the register set, as the IVHD block names it */
	uint16_t segment;	/* the PCI segment that it serves: bits 31:16 of its devices' requester ids */
	uint32_t capability;	/* the first word of the unit's PCI capability block (3.2.1): IotlbSup, NpCache */
	uint32_t last_device;	/* the highest DeviceID there is, as the IVHD block says; 0: 0xffff */
	uint64_t timeout_ns;	/* for a command or a register handshake; 0: one second */
	unsigned queue_order;	/* the command buffer has 2^queue_order pages; 0 to 7 */
	unsigned log_order;	/* the event log likewise */
};

/*
 * Finds out what the unit can do, gives it a device table in which every device is blocked, a command buffer and an event log,
 * and turns translation on. What belongs to interrupt remapping is left alone.
 * -EINVAL: bad description; -ENODEV: no unit there; -EBUSY: its command buffer is in use by somebody else; -ENOMEM;
 * -EIO: the hardware does not answer.
 */
HITLESS_API int amdvi_unit_create(const struct hitless_port *port, const struct amdvi_unit_desc *desc,
				  struct iommu_unit **unit);

/*
 * The interrupt-remapping half of a device's table entry: bits 255:128. Every change of the device's domain keeps it. The
 * embedder stores it with this function, but not while another call attaches, replaces or detaches that device, and then submits
 * INVALIDATE_DEVTAB_ENTRY and INVALIDATE_INTERRUPT_TABLE (iommu_unit_submit()). GuestPagingMode (183:182) is the driver's own and
 * stays as it is. -EINVAL: not a unit of this driver, or no such device.
 */
HITLESS_API int amdvi_set_interrupts(struct iommu_unit *unit, uint32_t rid, const uint64_t words[2]);

/*
 * From now on the unit understands guests' device table entries and commands (hitless/iommu.h, "Nesting"): of an entry what it says of
 * guest translation, never bits 255:128 but GuestPagingMode. Call it before devices are added. What a guest's entry may not have: host tables (Mode),
 * page requests (PPR), port I/O, system management and exclusion ranges that pass beside translation. A device may be in a nested domain if
 * it has no PASIDs, or has PASIDs but no TLB of its own, on a unit with INVALIDATE_IOMMU_ALL (else -EINVAL): there is no command that
 * makes a device's TLB forget all PASIDs. A device that a guest can make send PASIDs must be added with them.
 * -EOPNOTSUPP: a unit without guest translation, or one that would take a guest's GCR3 table for one at a system physical address
 * (no GCR3TRPMode); -EINVAL: no unit of this driver.
 */
HITLESS_API int amdvi_enable_nesting(struct iommu_unit *unit);

/*
 * The live entries, for iommu_plan(): section 2.2.2.1 device table entry, 2.2.6.3 guest CR3 table entry. The tag of the latter is in the
 * request: the DomainID, before and after; its PASID too.
 */
HITLESS_API extern const struct entry_format amdvi_dte;
HITLESS_API extern const struct entry_format amdvi_gcr3_entry;

/*
 * The stand-ins (iommu_plan_request.chain) by which 64-bit stores take a device table entry, four words, from `before` to `after`.
 * `before_other` and `after_other` are the same tables under the same DomainID as those of the other kind, guest for host or host for
 * guest (amdvi_dte_other_kind()); NULL: they are of one kind only. `temporary_tag`: a DomainID that nobody else has; 0: there is none.
 * Returns how many of `chain`, which has room for IOMMU_MAX_STANDINS, were filled in; 0: there is no such way, or none is needed.
 */
HITLESS_API unsigned amdvi_dte_chain(const uint64_t *before, const uint64_t *after, const uint64_t *before_other,
				     const uint64_t *after_other, uint32_t temporary_tag, uint64_t (*chain)[IOMMU_ENTRY_WORDS]);

/*
 * `other` is the entry that leads to the same tables as `entry` does, as those of the other kind: for one with guest tables as host
 * tables of so many levels at `root`; for one with host tables as guest tables of so many levels, by a GCR3 table of one level at `gcr3`
 * (each system physical). Whether the tables can be read both ways is for the caller to know.
 */
HITLESS_API void amdvi_dte_other_kind(const uint64_t *entry, uint64_t root, unsigned levels, uint64_t gcr3, uint64_t *other);

HITLESS_END

#endif
