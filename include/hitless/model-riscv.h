/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hitless/model-riscv.h - the model of the RISC-V IOMMU, version 1.0. */
#ifndef HITLESS_MODEL_RISCV_H
#define HITLESS_MODEL_RISCV_H

#include <hitless/model.h>

HITLESS_BEGIN

/*
 * config.capabilities[0]: the capabilities register, as the unit shall report it; 0: a unit with Sv39 to Sv57 and Sv39x4 to Sv57x4,
 * Svpbmt, A and D set by hardware, ATS, process directories of 8, 17 and 20 bits, device contexts in base format, counters,
 * the debug interface, interrupts by message or wire, physical addresses of 56 bits. MSI_FLAT (extended format), T2GPA and QOSID
 * may be set; NL, S, END, Sv32, MRIF and the custom bits may not.
 * [1]: RISCV_MODEL_ options. [2]: RISCV_BROKEN_ switches.
 * iommu_model_init() refuses (-EINVAL) what the model can't do.
 *
 * A request's rid is the 24-bit device id, its pasid the process id. A unit that signals by wire (fctl.WSI) calls the port's
 * interrupt() with RISCV_MODEL_WIRE as the address and the wire's number as the data when the wire is raised.
 */
HITLESS_API extern const struct iommu_model_ops riscv_model;

#define RISCV_MODEL_WIRE (~0ull)

/* Also caches what is not valid, as an emulated unit may, until it is invalidated. A driver has to know that. */
#define RISCV_MODEL_CACHE_INVALID 0x01u
/* Doesn't keep, with device and process contexts, what their guest page numbers translated to (3.1.3 allows it). */
#define RISCV_MODEL_NO_POINTERS 0x02u
#define RISCV_MODEL_OPTIONS 0x03u

/* Hardware that doesn't do its work, for tests of what a driver does then. */
#define RISCV_BROKEN_FENCE 0x01u	/* IOFENCE.C never completes */
#define RISCV_BROKEN_TIMEOUT 0x02u	/* devices don't answer: the fence after an ATS.INVAL ends in cqcsr.cmd_to */
#define RISCV_BROKEN_ILLEGAL 0x04u	/* every command is taken for illegal: cqcsr.cmd_ill */
#define RISCV_BROKEN_MEMORY 0x08u	/* no command can be read: cqcsr.cqmf */
#define RISCV_BROKEN_FETCH 0x10u	/* nothing is fetched from the command queue */
#define RISCV_BROKEN_BUSY 0x20u		/* writes to ddtp and to the queues' control registers never take effect */
#define RISCV_BROKEN_ALL 0x3fu

/* Breaks or repairs a unit that is running. */
HITLESS_API void riscv_model_break(struct iommu_model *model, uint64_t switches);

/* The default capabilities, for who wants to change a bit of them. */
HITLESS_API uint64_t riscv_model_default_capabilities(void);

/*
 * A "Page Request" message of a device (2.8, 3.3). `words` are those of the record that the page-request queue gets.
 * Returns RISCV_MODEL_PAGE_QUEUED, or what becomes of one that is not queued: nothing, or the response that the unit gives, with
 * RISCV_MODEL_PAGE_WITH_PASID if that has a PASID. Not while other threads call it.
 */
HITLESS_API unsigned riscv_model_page_request(struct iommu_model *model, const uint64_t words[2]);
#define RISCV_MODEL_PAGE_SUCCESS 0x0u
#define RISCV_MODEL_PAGE_INVALID 0x1u
#define RISCV_MODEL_PAGE_FAILURE 0xfu
#define RISCV_MODEL_PAGE_WITH_PASID 0x10u
#define RISCV_MODEL_PAGE_DISCARDED 0x20u
#define RISCV_MODEL_PAGE_QUEUED 0x40u

HITLESS_END

#endif
