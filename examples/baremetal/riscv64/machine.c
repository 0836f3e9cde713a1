/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - a RISC-V machine with an SBI and a device tree: console, clock, second hart, IOMMU. */
#include "kernel.h"

#include <hitless/riscv.h>

#include "cpu.h"

#define SBI_HSM 0x48534du		/* hart state management: 0 starts a hart */
#define SBI_SYSTEM_RESET 0x53525354u	/* 0: type 0 is shutdown */
#define MAX_HARTS 64u

extern char image_end[], second_start[];

struct machine machine = { .name = "riscv64" };

uint64_t boot_hart = 0;

static volatile uint8_t *uart;
static uint64_t ticks_per_second;

static int64_t sbi(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1, uint64_t arg2)
{
	register uint64_t a0 __asm__("a0") = arg0;
	register uint64_t a1 __asm__("a1") = arg1;
	register uint64_t a2 __asm__("a2") = arg2;
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
	return (int64_t)a0;
}

void console_put(char c)
{
	if (!uart)
		return;
	while (!(uart[5] & 0x20))
		cpu_relax();
	uart[0] = (uint8_t)c;
}

uint64_t clock_ns(void)
{
	uint64_t ticks;

	__asm__ volatile("rdtime %0" : "=r"(ticks));
	return ticks / ticks_per_second * 1000000000u + ticks % ticks_per_second * 1000000000u / ticks_per_second;
}

void machine_init(uint64_t boot)
{
	fdt_init(boot);
	uart = (volatile uint8_t *)fdt_cells(fdt_compatible("ns16550a"), "reg", 0);
	ticks_per_second = fdt_cell(fdt_node("cpus"), "timebase-frequency", 0);
	fdt_machine(boot, (uint64_t)image_end);
}

bool machine_start_second_cpu(void)
{
	for (uint64_t hart = 0; hart < MAX_HARTS; hart++)
		if (hart != boot_hart && sbi(SBI_HSM, 0, hart, (uint64_t)second_start, 0) == 0)
			return true;
	return false;
}

_Noreturn void machine_off(void)
{
	sbi(SBI_SYSTEM_RESET, 0, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

/*
 * The driver lets the unit signal faults; where that goes is the kernel's. By message: then it fills in msi_cfg_tbl (RISC-V IOMMU
 * specification, 5.29). By wire: fctl.WSI (5.4). This kernel polls, and its interrupt controller is off: by wire.
 */
static void signal_by_wire(uint64_t registers)
{
	volatile uint32_t *fctl = (volatile uint32_t *)(registers + 8);

	*fctl |= 1u << 1;
}

/* A unit that is a platform device is a node of its own; QEMU's riscv-iommu-pci is a PCI function with its registers in BAR 0. */
int machine_create_unit(const struct hitless_port *p, uint32_t rid, struct iommu_unit **unit, uint32_t *unit_rid)
{
	struct riscv_unit_desc desc = { .registers = fdt_cells(fdt_compatible("riscv,iommu"), "reg", 0) };
	uint32_t function;

	if (!desc.registers && pci_find(0x1b36, 0x0014, &function))
		desc.registers = pci_bar(function, 0);
	if (!desc.registers)
		return -ENODEV;
	print("RISC-V IOMMU at 0x%lx\n", desc.registers);
	signal_by_wire(desc.registers);
	*unit_rid = fdt_iommu_id(rid);
	return riscv_unit_create(p, &desc, unit);
}
