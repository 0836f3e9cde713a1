/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/smmuv3.h - the driver for Arm SMMUv3 (Arm System Memory Management Unit Architecture Specification, version 3, IHI 0070;
 * SMMUv3.0 and later, Non-secure state).
 */
#ifndef HITLESS_SMMUV3_H
#define HITLESS_SMMUV3_H

#include <hitless/iommu.h>

HITLESS_BEGIN

enum smmuv3_stream_table {
	SMMUV3_STREAM_TABLE_BEST,	/* two levels where the unit has them, else linear */
	SMMUV3_STREAM_TABLE_LINEAR,	/* no entry can be swapped: some replacements are not hitless */
	SMMUV3_STREAM_TABLE_2LEVEL
};

struct smmuv3_unit_desc {
	uint64_t registers;	/* physical address of the 128 KiB of registers: pages 0 and 1 */
	/* Requester ids are StreamIDs, by their lower 32 bits. */
	unsigned sid_bits;	/* how wide the StreamIDs in use are; 0: 16, a PCI segment, or what the unit has if that is less */
	enum smmuv3_stream_table stream_table;
	unsigned page_shift;	/* of domains' smallest pages: 12, 14, 16; 0: the smallest that the unit has */
	uint64_t timeout_ns;	/* for a command or a register handshake; 0: one second */
	unsigned queue_order;	/* the command and the event queue have 2^queue_order pages, or what the unit has; 0 to 7 */
	uint32_t ids;		/* how many ASIDs and how many VMIDs Hitless may use; 0: all that the unit has */
};

/*
 * Finds out what the unit can do, gives it a stream table in which every stream is aborted, a command and an event queue, and turns
 * translation on. From the first step on, and after iommu_unit_destroy(), what the unit does not translate is aborted (GBPA).
 * Stores of 128 bits (port->store128) must only be there where all CPUs have FEAT_LSE2: the unit then reads entries as widely (3.21.3).
 * -EINVAL: bad description, the unit lacks what it asks for, or it doesn't snoop and the port has no writeback; -ENODEV: no unit
 * there; -EBUSY: its command queue is in use by somebody else; -EOPNOTSUPP: a unit without AArch64 or little-endian tables, or
 * whose queues or stream table are fixed; -ENOMEM; -EIO: the hardware does not answer.
 */
HITLESS_API int smmuv3_unit_create(const struct hitless_port *port, const struct smmuv3_unit_desc *desc,
				   struct iommu_unit **unit);

/* From now on the unit understands guests' stream table entries and commands (hitless/iommu.h, "Nesting"): those of an SMMUv3 with a first
 * stage only. -EOPNOTSUPP: the unit lacks one of the two stages; -EINVAL: no unit of this driver. */
HITLESS_API int smmuv3_enable_nesting(struct iommu_unit *unit);

/* The live entries, for iommu_plan(): section 5.2 stream table entry, 5.4 context descriptor (of a linear table, and of one of two levels). */
HITLESS_API extern const struct entry_format smmuv3_ste;
HITLESS_API extern const struct entry_format smmuv3_cd;
HITLESS_API extern const struct entry_format smmuv3_cd_2level;

HITLESS_END

#endif
