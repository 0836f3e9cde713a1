/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_smmuv3.c - the Arm SMMUv3 on a machine. */
#include "arch.h"

#include <hitless/model-smmuv3.h>
#include <hitless/smmuv3.h>

/* Where QEMU's virt machine has it. */
#define SMMUV3_REGISTERS 0x09050000u

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

const struct machine_arch machine_smmuv3 = {
	.name = "smmuv3",
	.model = &smmuv3_model,
	.registers = SMMUV3_REGISTERS,
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
};
