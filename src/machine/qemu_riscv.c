/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_riscv.c - QEMU's RISC-V IOMMU, as a PCI function and as a platform device of its virt board. */
#include "qemu.h"

#include "riscv.h"

#define RAM 0x80000000u
#define ECAM 0x30000000u
#define WINDOW 0x40000000u
#define FW_CFG 0x10100000u
#define PLATFORM_REGISTERS 0x03010000u	/* the board's own; there is no table that says so without its device tree */
#define PCI_VENDOR 0x1b36
#define PCI_DEVICE 0x0014

static void find_ring(uint64_t base, struct qemu_ring *ring)
{
	*ring = (struct qemu_ring){
		.phys = GET(RISCV_QUEUE_BASE, PPN, &base) << 12,
		.entries = 2u << GET(RISCV_QUEUE_BASE, LOG2SZ, &base),
		.entry_bytes = 16,
	};
	ring->period = ring->entries;
}

static int find_pci_unit(struct machine *machine)
{
	int rid = qemu_pci_find(machine->qemu, PCI_VENDOR, PCI_DEVICE, 0);

	if (rid < 0)
		return rid;
	machine->firmware.registers = qemu_pci_enable(machine->qemu, (uint32_t)rid);
	return 0;
}

static int find_platform_unit(struct machine *machine)
{
	uint64_t fctl = 0;

	machine->firmware.registers = PLATFORM_REGISTERS;
	/* Interrupts are wired, as the board says; else the unit would store messages to addresses that nobody has set. */
	SET(RISCV_FCTL, WSI, &fctl, 1);
	qtest_write(&machine->qemu->qtest, PLATFORM_REGISTERS + RISCV_REG_FCTL, 4, fctl);
	return 0;
}

#define COMMAND(opcode, function) { { (opcode) | (uint64_t)(function) << RISCV_CMD_FUNC3_LSB } }

static const struct qemu_command flush[] = {
	COMMAND(RISCV_OP_IODIR, RISCV_FUNC_IODIR_INVAL_DDT),
	/* Without GV: host address spaces, and then every GSCID. */
	COMMAND(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_VMA),
	COMMAND(RISCV_OP_IOTINVAL, RISCV_FUNC_IOTINVAL_GVMA),
};

#define BOARD(unit, machine_options, find, ...) \
	{ \
		.name = unit, .arch = "riscv", .program = "qemu-system-riscv64", \
		.arguments = (const char *const[]){ "-machine", machine_options, "-bios", "none", __VA_ARGS__ QEMU_DEVICES, NULL }, \
		.guest_arguments = (const char *const[]){ "-bios", "default", NULL }, \
		.ram_base = RAM, .ecam = ECAM, .window = WINDOW, .fw_cfg = FW_CFG, .find_unit = find, .reports_faults = true, \
		.queue_base = RISCV_REG_CQB, .queue_tail = RISCV_REG_CQT, .tail_bytes = 4, .ring = find_ring, .flush = flush, \
		.nflush = sizeof(flush) / sizeof(flush[0]), .filler = COMMAND(RISCV_OP_IOFENCE, RISCV_FUNC_IOFENCE_C), \
	}

const struct qemu_board qemu_riscv_pci =
	BOARD("riscv-iommu-pci", "virt,memory-backend=ram", find_pci_unit, "-device", "riscv-iommu-pci,addr=1",);
const struct qemu_board qemu_riscv_sys = BOARD("riscv-iommu-sys", "virt,iommu-sys=on,memory-backend=ram", find_platform_unit,);
