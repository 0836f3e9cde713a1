/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/riscv.h - the driver for the RISC-V IOMMU (RISC-V IOMMU Architecture Specification, version 1.0 and later).
 */
#ifndef HITLESS_RISCV_H
#define HITLESS_RISCV_H

#include <hitless/iommu.h>

HITLESS_BEGIN

struct riscv_unit_desc {
	uint64_t registers;	/* physical address of the 4 KiB of registers */
	/*
	 * Levels of the device directory: 1, 2, 3, or 0: enough for a PCI segment, and two at least. With one level the page of
	 * device contexts can't be swapped, and some replacements are not hitless.
	 */
	unsigned levels;
	uint64_t timeout_ns;	/* for a command or a register handshake; 0: one second */
	unsigned queue_order;	/* the command and the fault queue have 2^queue_order pages; 0 to 7 */
	/* The unit reads tables and commands past the CPU's caches: they are written back. No register tells; firmware does. */
	bool noncoherent;
	/* An emulated unit that caches what is not valid, which the specification forbids: it is told of every new entry. */
	bool caches_absent;
	uint32_t ids;		/* how many PSCIDs and how many GSCIDs Hitless may use; 0, and at most: 65536 */
};

/*
 * Finds out what the unit can do, gives it an empty device directory, a command and a fault queue, and turns translation on:
 * every device is blocked until it is added.
 * -EINVAL: bad description, or the unit lacks a directory of that depth; -ENODEV: no unit there; -EBUSY: its command queue is in
 * use by somebody else; -EOPNOTSUPP: another version, big-endian only, or no 64-bit translation scheme; -ENOMEM; -EIO: the
 * hardware does not answer.
 */
HITLESS_API int riscv_unit_create(const struct hitless_port *port, const struct riscv_unit_desc *desc,
				  struct iommu_unit **unit);

/*
 * Guests' device contexts, in the unit's own format (base or extended), and their commands are understood from now on (hitless/iommu.h,
 * "Nesting"). A device's own TLB is used where both the device has it and the guest's context has EN_ATS.
 * -EOPNOTSUPP: the unit lacks one of the stages, or walks tables past the CPU's caches; -EINVAL: another driver's unit.
 */
HITLESS_API int riscv_enable_nesting(struct iommu_unit *unit);

/* The live entries, for iommu_plan(): section 2.1.2 device context in base and in extended format, 2.2.2 process context. */
HITLESS_API extern const struct entry_format riscv_dc;
HITLESS_API extern const struct entry_format riscv_dc_extended;
HITLESS_API extern const struct entry_format riscv_pc;

HITLESS_END

#endif
