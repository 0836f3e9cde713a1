/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - the PC: what the firmware says, console, clock, second CPU, IOMMU. */
#include "kernel.h"

#include <hitless/amdvi.h>
#include <hitless/vtd.h>

#include "acpi.h"
#include "cpu.h"
#include "quirks.h"

/* Xen's public/arch-x86/hvm/start_info.h. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;	/* 1: RAM */
};

#define START_INFO_MAGIC 0x336ec578u

#define COM1 0x3f8u
#define LAPIC_ICR_LOW 0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u
#define ICR_ALL_BUT_ME 0xc0000u
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u
#define TRAMPOLINE 0x8000u

extern char image_end[], trampoline[], trampoline_end[], exceptions[];

struct machine machine = { .name = "x86-64" };

/* The interrupt descriptor table, which boot.S has loaded: exceptions only, since interrupts are off. */
uint64_t idt[32][2];

static uint64_t rsdp;
static uint64_t tsc_start, tsc_per_ms;

static inline void out8(uint16_t io, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(io));
}

static inline void out16(uint16_t io, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(io));
}

static inline uint8_t in8(uint16_t io)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(io));
	return value;
}

static inline uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

void console_put(char c)
{
	while (!(in8(COM1 + 5) & 0x20))
		cpu_relax();
	out8(COM1, (uint8_t)c);
}

/* ---- Clock: the TSC, measured against the HPET, which says how fast it runs ---- */

static void clock_init(void)
{
	const uint8_t *table = acpi_find(rsdp, "HPET");
	volatile uint64_t *hpet;
	uint64_t period_fs, start, ticks;

	if (!table)
		panic("no HPET");
	hpet = (volatile uint64_t *)bytes_le(table + 44, 8);
	period_fs = hpet[0] >> 32;
	hpet[2] |= 1; /* ENABLE_CNF */
	ticks = 10000000000000ull / period_fs; /* 10 ms */
	start = hpet[0xf0 / 8];
	tsc_start = tsc();
	while (hpet[0xf0 / 8] - start < ticks)
		cpu_relax();
	tsc_per_ms = (tsc() - tsc_start) / 10;
}

uint64_t clock_ns(void)
{
	uint64_t ticks = tsc() - tsc_start;

	return ticks / tsc_per_ms * 1000000 + ticks % tsc_per_ms * 1000000 / tsc_per_ms;
}

static void wait_us(uint64_t us)
{
	uint64_t end = clock_ns() + us * 1000;

	while (clock_ns() < end)
		cpu_relax();
}

/* ---- What the firmware says ---- */

/* The piece of RAM that this image lies in, from its end on. */
static void find_ram(const struct start_info *info)
{
	const struct memmap_entry *map = (const struct memmap_entry *)info->memmap;
	uint64_t end = (uint64_t)image_end;

	for (unsigned i = 0; i < info->memmap_entries; i++)
		if (map[i].type == 1 && map[i].addr <= end && map[i].addr + map[i].size > end) {
			machine.ram = end;
			machine.ram_end = map[i].addr + map[i].size;
		}
	if (machine.ram_end > 0x80000000u)
		machine.ram_end = 0x80000000u; /* boot.S maps no more of it as memory */
	if (!machine.ram)
		panic("no memory map");
}

/* A gate: the handler's address in three pieces, code segment 24, present, an interrupt gate. It lies in the first 4 GiB. */
static void catch_exceptions(void)
{
	for (unsigned i = 0; i < 32; i++) {
		uint64_t handler = (uint64_t)exceptions + i * 16;

		idt[i][0] = (handler & 0xffff) | 24u << 16 | 0x8e00ull << 32 | (handler & 0xffff0000) << 32;
	}
}

void machine_init(uint64_t boot)
{
	const struct start_info *info = (const struct start_info *)boot;
	const char *line = (const char *)info->cmdline;
	const uint8_t *mcfg;

	catch_exceptions();
	if (info->magic != START_INFO_MAGIC || info->version < 1)
		panic("not started by a PVH loader");
	for (unsigned i = 0; line && line[i] && i < TEXT_SIZE - 1; i++)
		machine.command_line[i] = line[i];
	rsdp = info->rsdp;
	find_ram(info);
	mcfg = acpi_find(rsdp, "MCFG");
	if (!mcfg)
		panic("no MCFG");
	machine.ecam = bytes_le(mcfg + 44, 8);
	/* The firmware has assigned all BARs: no window. */
	clock_init();
}

/* ---- The second CPU: INIT, then two startup IPIs, to all but this one ---- */

bool machine_start_second_cpu(void)
{
	volatile uint32_t *low = (volatile uint32_t *)(uintptr_t)LAPIC_ICR_LOW, *high = (volatile uint32_t *)(uintptr_t)LAPIC_ICR_HIGH;
	char *to = (char *)(uintptr_t)TRAMPOLINE;

	for (char *from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	*high = 0;
	*low = ICR_ALL_BUT_ME | ICR_INIT;
	wait_us(10000);
	for (unsigned i = 0; i < 2; i++) {
		*low = ICR_ALL_BUT_ME | ICR_STARTUP | TRAMPOLINE >> 12;
		wait_us(200);
	}
	return true;
}

_Noreturn void machine_off(void)
{
	const uint8_t *fadt = acpi_find(rsdp, "FACP");

	/* PM1a control: SLP_EN with the SLP_TYP of S5, which would have to be read from the DSDT; QEMU's is 0. */
	if (fadt)
		out16((uint16_t)bytes_le(fadt + 64, 4), 0x2000);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- The IOMMU ---- */

/*
 * DMAR (VT-d specification, chapter 8): after 48 bytes follow structures with a type and a length. Type 0 is a unit (DRHD): flags
 * at 4, segment at 6, registers at 8, and from 16 on the devices that it serves ("device scope": type, length, at 5 the bus, from
 * 6 on device and function). A unit with INCLUDE_PCI_ALL serves what no other names. Reserved regions (RMRR) would be direct
 * regions of their devices (struct iommu_resv_region); here there are none.
 */
static bool names(const uint8_t *drhd, uint32_t rid)
{
	for (const uint8_t *at = drhd + 16, *end = drhd + bytes_le(drhd + 2, 2); at < end; at += at[1])
		/* 1: an endpoint. On bus 0 the path has one step. */
		if (at[0] == 1 && at[5] == rid >> 8 && at[6] == (rid >> 3 & 31) && at[7] == (rid & 7))
			return true;
	return false;
}

static int create_vtd(const uint8_t *dmar, uint32_t rid, struct iommu_unit **unit)
{
	const uint8_t *drhd = NULL;
	struct vtd_unit_desc desc;
	int err;

	for (const uint8_t *at = dmar + 48, *end = dmar + bytes_le(dmar + 4, 4); at < end; at += bytes_le(at + 2, 2)) {
		if (bytes_le(at, 2) != 0)
			continue;
		if (names(at, rid) || (!drhd && (at[4] & 1)))
			drhd = at;
	}
	if (!drhd)
		return -ENODEV;
	desc = (struct vtd_unit_desc){ .segment = (uint16_t)bytes_le(drhd + 6, 2), .registers = bytes_le(drhd + 8, 8) };
	print("VT-d at 0x%lx\n", desc.registers);
	quirks_before_vtd();
	err = vtd_unit_create(&port, &desc, unit);
	if (!err)
		quirks_after_vtd(*unit);
	return err;
}

/*
 * IVRS (AMD IOMMU specification, chapter 5): after 48 bytes follow blocks with a type and a length; types 0x10, 0x11 and 0x40
 * describe a unit (IVHD) with its DeviceID at 4, the offset of its PCI capability at 6, its registers at 8, its segment at 16.
 */
static int create_amdvi(const uint8_t *ivrs, struct iommu_unit **unit)
{
	struct amdvi_unit_desc desc = { 0 };

	for (const uint8_t *at = ivrs + 48, *end = ivrs + bytes_le(ivrs + 4, 4); at < end; at += bytes_le(at + 2, 2))
		if (at[0] == 0x10 || at[0] == 0x11 || at[0] == 0x40) {
			desc.registers = bytes_le(at + 8, 8);
			desc.segment = (uint16_t)bytes_le(at + 16, 2);
			desc.capability = pci_config_read((uint32_t)bytes_le(at + 4, 2), (unsigned)bytes_le(at + 6, 2), 4);
		}
	if (!desc.registers)
		return -ENODEV;
	print("AMD-Vi at 0x%lx, capability 0x%x\n", desc.registers, desc.capability);
	return amdvi_unit_create(&port, &desc, unit);
}

int machine_create_unit(const struct hitless_port *p, uint32_t rid, struct iommu_unit **unit, uint32_t *unit_rid)
{
	const uint8_t *dmar = acpi_find(rsdp, "DMAR"), *ivrs = acpi_find(rsdp, "IVRS");

	(void)p;
	*unit_rid = rid;
	return dmar ? create_vtd(dmar, rid, unit) : ivrs ? create_amdvi(ivrs, unit) : -ENODEV;
}
