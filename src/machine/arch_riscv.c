/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_riscv.c - the RISC-V IOMMU on a machine. */
#include "arch.h"

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>

/* Where QEMU's virt machine has it. */
#define RISCV_REGISTERS 0x03010000u

static int create(struct machine *machine, struct iommu_unit **unit)
{
	const struct riscv_unit_desc desc = {
		.registers = machine->firmware.registers,
		.timeout_ns = machine->config.timeout_ns,
		.noncoherent = machine->config.noncoherent,
	};

	return riscv_unit_create(&machine->port, &desc, unit);
}

/* No register says so: the driver is told. */
static void noncoherent(uint64_t *capabilities)
{
	(void)capabilities;
}

const struct machine_arch machine_riscv = {
	.name = "riscv",
	.model = &riscv_model,
	.registers = RISCV_REGISTERS,
	.register_bytes = 0x1000,
	.entry = &riscv_dc,
	.quantum = 8,		/* 2.9 */
	.poison_bits = 0xdf,	/* valid, readable, writable, executable, user, accessed and dirty */
	.pasid_bits = 20,
	.cpu = { .shift = 2, .table = 0x1, .read_only = 0xd3, .writable = 0xd7 }, /* valid, readable, writable; user, accessed and dirty */
	.pasid_denies = IOMMU_EXEC | IOMMU_PRIV,
	.create_unit = create,
	.noncoherent = noncoherent,
};
