/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_smmuv3.c - the Arm SMMUv3 on a machine. */
#include "arch.h"

#include <hitless/model-smmuv3.h>
#include <hitless/smmuv3.h>

#include "smmuv3.h"

#include <string.h>

/* Where QEMU's virt machine has it. */
#define REGISTERS 0x09050000u

static int create(struct machine *machine, struct iommu_unit **unit)
{
	const struct smmuv3_unit_desc desc = {
		.registers = machine->firmware.registers,
		.timeout_ns = machine->config.timeout_ns,
	};

	return smmuv3_unit_create(&machine->port, &desc, unit);
}

/* IDR0.COHACC (bit 4) off. */
static void noncoherent(uint64_t *capabilities)
{
	uint64_t defaults[2];

	smmuv3_model_default_capabilities(defaults);
	if (!capabilities[0])
		capabilities[0] = defaults[0];
	capabilities[0] &= ~(1ull << 4);
}

/* 5.4: a context whose table has four levels of 4 KiB. */
static void guest_context(uint64_t *cd, uint64_t root, uint32_t asid)
{
	memset(cd, 0, SMMU_CD_BYTES);
	SET(SMMU_CD, V, cd, 1);
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, T0SZ, cd, 16);
	SET(SMMU_CD, IR0, cd, SMMU_CACHE_WB);
	SET(SMMU_CD, OR0, cd, SMMU_CACHE_WB);
	SET(SMMU_CD, SH0, cd, SMMU_SH_INNER);
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, IPS, cd, SMMU_PS_48);
	SET(SMMU_CD, R, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, ASID, cd, asid);
	SET_ADDR(SMMU_CD, TTB0, cd, root);
	SET(SMMU_CD, MAIR0, cd, 0xff);	/* write-back */
}

/* 5.2: a first stage with one context, which is in `page`. The guest uses ATS if there is any. */
static void guest_entry(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry)
{
	guest_context(page, root, tag);
	SET(SMMU_STE, V, entry, 1);
	SET(SMMU_STE, CONFIG, entry, SMMU_CONFIG_S1);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, entry, page_addr);
	SET(SMMU_STE, S1CIR, entry, SMMU_CACHE_WB);
	SET(SMMU_STE, S1COR, entry, SMMU_CACHE_WB);
	SET(SMMU_STE, S1CSH, entry, SMMU_SH_INNER);
	SET(SMMU_STE, EATS, entry, SMMU_EATS_FULL);
}

const struct machine_arch machine_smmuv3 = {
	.name = "smmuv3",
	.model = &smmuv3_model,
	.registers = REGISTERS,
	.register_bytes = 0x20000,
	.entry = &smmuv3_ste,
	.both_quanta = true,	/* 128 bits where the CPUs have FEAT_LSE2 */
	.poison_bits = 0x743,	/* valid, a table or a page, accessed, inner shareable; stage 1: unprivileged; stage 2: readable */
	.pasid_bits = 20,
	/* A table; a page: accessed, inner shareable, not global, unprivileged, not executable; bit 7 is read-only. */
	.cpu = { .table = 0x3, .read_only = 0x0060000000000fc3, .writable = 0x0060000000000f43 },
	.pasid_denies = IOMMU_EXEC,
	.create_unit = create,
	.noncoherent = noncoherent,
	.enable_nesting = smmuv3_enable_nesting,
	.guest_entry = guest_entry,
};
