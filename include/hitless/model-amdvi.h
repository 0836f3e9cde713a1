/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hitless/model-amdvi.h - the model of the AMD I/O Virtualization Technology (AMD-Vi). */
#ifndef HITLESS_MODEL_AMDVI_H
#define HITLESS_MODEL_AMDVI_H

#include <hitless/model.h>

HITLESS_BEGIN

/*
 * config.capabilities[0]: the Extended Feature Register (MMIO 0030h), [1]: the second one (01a0h), as the unit shall report them;
 * 0: the model's defaults, or AMDVI_MODEL_EFR2_NONE for a second one that is 0.
 * [2]: AMDVI_BROKEN_ switches. [3]: AMDVI_MODEL_ switches.
 * iommu_model_init() refuses (-EINVAL) what the model can't do.
 *
 * The default unit has host tables of 6 levels, guest tables of 5 levels, GCR3 tables of 3 levels, PASIDs of 20 bits, accessed and
 * dirty bits of host and guest, INVALIDATE_IOMMU_ALL, 8 device table segments, GIoV, and the GCR3 table root as a guest physical address
 * where software wants that. It has no peripheral page requests, no guest virtual APIC and no interrupt remapping: interrupts pass.
 * Of the PCI capability, IotlbSup is set; NpCache is a switch here.
 *
 * request.reason is what the event log says of the request: bits 15:12 the event code, bits 11:0 the event's flags (bits 27:16 of
 * its second 32 bits), for example 0x2050: IO_PAGE_FAULT, PR and PE, a read.
 */
HITLESS_API extern const struct iommu_model_ops amdvi_model;

#define AMDVI_MODEL_EFR2_NONE (1ull << 63)	/* no unit has this bit in its second feature register */

#define AMDVI_MODEL_NPCACHE 0x01u	/* NpCache: page-table entries that are not present are cached, too */
#define AMDVI_MODEL_ALL 0x01u

/* Hardware that doesn't do its work, for tests of what a driver does then. */
#define AMDVI_BROKEN_WAIT 0x01u		/* COMPLETION_WAIT never completes */
#define AMDVI_BROKEN_TIMEOUT 0x02u	/* devices don't answer: IOTLB_INV_TIMEOUT, and no command is fetched any more */
#define AMDVI_BROKEN_TIMEOUT_GO 0x04u	/* the same, but the commands that follow are executed, waits included */
#define AMDVI_BROKEN_FETCH 0x08u	/* nothing is fetched from the command buffer */
#define AMDVI_BROKEN_CONTROL 0x10u	/* CmdBufRun never changes */
#define AMDVI_BROKEN_READ 0x20u		/* the command buffer can't be read: COMMAND_HARDWARE_ERROR */
#define AMDVI_BROKEN_ALL 0x3fu

/* Breaks or repairs a unit that is running. */
HITLESS_API void amdvi_model_break(struct iommu_model *model, uint64_t switches);

/* The default feature registers, for who wants to change a bit of them. */
HITLESS_API uint64_t amdvi_model_default_efr(void);
HITLESS_API uint64_t amdvi_model_default_efr2(void);

HITLESS_END

#endif
