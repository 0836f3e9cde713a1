/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_riscv.c - the RISC-V IOMMU on a machine. */
#include "arch.h"

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>

#include "riscv.h"

/* Where QEMU's virt machine has it. */
#define REGISTERS 0x03010000u

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

/* 2.1.2: a device context with iosatp, as Linux has it. */
static void guest_entry(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry)
{
	(void)page;
	(void)page_addr;
	SET(RISCV_DC, V, entry, 1);
	SET(RISCV_DC, EN_ATS, entry, 1);
	SET(RISCV_DC, PSCID, entry, tag);
	SET(RISCV_DC, FSC_MODE, entry, RISCV_S_SV48);
	SET(RISCV_DC, FSC_PPN, entry, RISCV_PPN(root));
}

/* With a process directory of one page, where requests without process id have process context 0. */
static void guest_table(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry)
{
	uint64_t *pc = page;

	SET(RISCV_PC, V, pc, 1);
	SET(RISCV_PC, PSCID, pc, tag);
	SET(RISCV_PC, FSC_MODE, pc, RISCV_S_SV48);
	SET(RISCV_PC, FSC_PPN, pc, RISCV_PPN(root));
	SET(RISCV_DC, V, entry, 1);
	SET(RISCV_DC, EN_ATS, entry, 1);
	SET(RISCV_DC, PDTV, entry, 1);
	SET(RISCV_DC, DPE, entry, 1);
	SET(RISCV_DC, FSC_MODE, entry, RISCV_PDTP_PD8);
	SET(RISCV_DC, FSC_PPN, entry, RISCV_PPN(page_addr));
}

const struct machine_arch machine_riscv = {
	.name = "riscv",
	.model = &riscv_model,
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.entry = &riscv_dc,
	.quantum = 8,		/* 2.9 */
	.poison_bits = 0xdf,	/* valid, readable, writable, executable, user, accessed and dirty */
	.pasid_bits = 20,
	.cpu = { .shift = 2, .table = 0x1, .read_only = 0xd3, .writable = 0xd7 }, /* valid, readable, writable; user, accessed and dirty */
	.pasid_denies = IOMMU_EXEC | IOMMU_PRIV,
	.create_unit = create,
	.noncoherent = noncoherent,
	.enable_nesting = riscv_enable_nesting,
	.guest_entry = guest_entry,
	.guest_table = guest_table,
};
