/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hitless/model-smmuv3.h - the model of the Arm SMMUv3, architecture version 3.3, Non-secure half. */
#ifndef HITLESS_MODEL_SMMUV3_H
#define HITLESS_MODEL_SMMUV3_H

#include <hitless/model.h>

HITLESS_BEGIN

/*
 * config.capabilities[0]: SMMU_IDR0, and SMMU_IDR1 in the upper half; [1]: SMMU_IDR3, and SMMU_IDR5 above; each as the unit shall
 * report it; 0: the model's own. That is a unit with both stages, VMSAv8-64 tables (4K, 16K, 64K, 48 bits), hardware update of
 * access and dirty flags, EL2 streams, ATS (split-stage too), ASIDs and VMIDs of 16 bits, StreamIDs of 16 and SubstreamIDs of 20
 * bits, tables of two levels, messages, range invalidation, BBML level 1; faults terminate, and by abort only.
 * [2]: SMMUV3_MODEL_ options. [3]: SMMUV3_BROKEN_ switches.
 * iommu_model_init() refuses (-EINVAL) what the model can't do. Not modelled: stalls, VMSAv8-32 and VMSAv9-128 tables, 52-bit
 * addresses, big-endian tables, PRI, ATOS, MPAM, permission indirection, broadcast invalidation, STE.CONT, memory attributes.
 *
 * A request's rid is the StreamID, of up to 24 bits; its pasid the SubstreamID. Its reason is the event's number, or
 * SMMUV3_MODEL_SILENT.
 *
 * An interrupt is a message, written to memory if the address is in memory and given to the port's interrupt() else; without a
 * message address it is a wire: the port's interrupt() is called with SMMUV3_MODEL_WIRE as the address and the wire as the data.
 */
HITLESS_API extern const struct iommu_model_ops smmuv3_model;

#define SMMUV3_MODEL_WIRE (~0ull)
#define SMMUV3_MODEL_WIRE_EVENTQ 0u
#define SMMUV3_MODEL_WIRE_PRIQ 1u
#define SMMUV3_MODEL_WIRE_SYNC 2u
#define SMMUV3_MODEL_WIRE_GERROR 3u

/* Aborted, and no event says so: STE.Config is "abort", SMMU_GBPA.ABORT, an address that is too large for the bus. */
#define SMMUV3_MODEL_SILENT 0x100u

/* Ignores what is reserved in tables and commands, as hardware may. Else: C_BAD_STE, C_BAD_CD, CERROR_ILL. */
#define SMMUV3_MODEL_LAX 0x01u
/* Ignores the contiguous bit of page tables. */
#define SMMUV3_MODEL_NO_CONTIGUOUS 0x02u
#define SMMUV3_MODEL_OPTIONS 0x03u

/* Hardware that doesn't do its work, for tests of what a driver does then. */
#define SMMUV3_BROKEN_SYNC 0x01u	/* CMD_SYNC never completes */
#define SMMUV3_BROKEN_TIMEOUT 0x02u	/* devices don't answer: the CMD_SYNC after a CMD_ATC_INV ends in CERROR_ATC_INV_SYNC */
#define SMMUV3_BROKEN_ILLEGAL 0x04u	/* every command is taken for illegal: CERROR_ILL */
#define SMMUV3_BROKEN_MEMORY 0x08u	/* no command can be read: CERROR_ABT */
#define SMMUV3_BROKEN_FETCH 0x10u	/* nothing is fetched from the command queue */
#define SMMUV3_BROKEN_BUSY 0x20u	/* writes to SMMU_CR0, SMMU_GBPA and SMMU_IRQ_CTRL are never acknowledged */
#define SMMUV3_BROKEN_MESSAGE 0x40u	/* messages are aborted: GERROR.MSI_*_ABT_ERR */
#define SMMUV3_BROKEN_ALL 0x7fu

/* Breaks or repairs a unit that is running. */
HITLESS_API void smmuv3_model_break(struct iommu_model *model, uint64_t switches);

/* The default capabilities[0] and [1], for who wants to change a bit of them. */
HITLESS_API void smmuv3_model_default_capabilities(uint64_t capabilities[2]);

HITLESS_END

#endif
