/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - an Arm machine with a device tree and PSCI: console, clock, second CPU, IOMMU. */
#include "kernel.h"

#include <hitless/smmuv3.h>

#include "cpu.h"

#define PSCI_CPU_ON 0xc4000003u
#define PSCI_SYSTEM_OFF 0x84000008u

extern char image_end[], second_start[];

struct machine machine = { .name = "aarch64" };

static volatile uint32_t *uart;		/* a PL011 */
static bool psci_by_smc;

static int64_t psci(uint64_t function, uint64_t arg0, uint64_t arg1, uint64_t arg2)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = arg0;
	register uint64_t x2 __asm__("x2") = arg1;
	register uint64_t x3 __asm__("x3") = arg2;

	if (psci_by_smc)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (int64_t)x0;
}

void console_put(char c)
{
	if (!uart)
		return;
	while (uart[0x18 / 4] & 0x20)
		cpu_relax();
	uart[0] = (uint8_t)c;
}

uint64_t clock_ns(void)
{
	uint64_t ticks, per_second;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	__asm__("mrs %0, cntfrq_el0" : "=r"(per_second));
	return ticks / per_second * 1000000000u + ticks % per_second * 1000000000u / per_second;
}

void machine_init(uint64_t boot)
{
	unsigned bytes;
	const uint8_t *method;

	fdt_init(boot);
	uart = (volatile uint32_t *)fdt_cells(fdt_compatible("arm,pl011"), "reg", 0);
	method = fdt_property(fdt_node("psci"), "method", &bytes);
	psci_by_smc = method && text_equal((const char *)method, "smc");
	fdt_machine(boot, (uint64_t)image_end);
}

/* The one with affinity 0.0.0.1: the first that is not this one. */
bool machine_start_second_cpu(void)
{
	return psci(PSCI_CPU_ON, 1, (uint64_t)second_start, 0) == 0;
}

_Noreturn void machine_off(void)
{
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

/* The unit knows a device by its StreamID, which the device tree tells from its requester id. */
int machine_create_unit(const struct hitless_port *p, uint32_t rid, struct iommu_unit **unit, uint32_t *unit_rid)
{
	struct smmuv3_unit_desc desc = { .registers = fdt_cells(fdt_compatible("arm,smmu-v3"), "reg", 0) };

	if (!desc.registers)
		return -ENODEV;
	print("SMMUv3 at 0x%lx\n", desc.registers);
	*unit_rid = fdt_iommu_id(rid);
	return smmuv3_unit_create(p, &desc, unit);
}
