/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_vtd.c - QEMU's intel-iommu, in its three modes: legacy; scalable with second-stage tables; scalable with first-stage ones. */
#include "qemu.h"

#include <stdlib.h>

#include "vtd.h"

/* q35: the host bridge's PCIEXBAR, by the ports of configuration mechanism 1. */
#define ECAM 0xb0000000u
#define PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u

#define DMAR_HEADER 48
#define DMAR_DRHD 0
#define DRHD_REGISTERS 8

static void find_ring(uint64_t base, struct qemu_ring *ring)
{
	unsigned wide = (unsigned)GET(VTD_IQA, DW, &base);

	*ring = (struct qemu_ring){
		.phys = GET_ADDR(VTD_IQA, IQA, &base),
		.entries = (wide ? 128u : 256u) << GET(VTD_IQA, QS, &base),
		.entry_bytes = wide ? 32 : 16,
		.tail_shift = wide ? 5 : 4,
	};
	ring->period = ring->entries;
}

static int find_unit(struct machine *machine)
{
	struct qemu *qemu = machine->qemu;
	size_t bytes;
	uint8_t *table;
	int err = -ENODEV;

	qtest_out(&qemu->qtest, 0xcf8, 4, 0x80000000u | PCIEXBAR);
	qtest_out(&qemu->qtest, 0xcfc, 4, ECAM | PCIEXBAR_ENABLE);
	table = qemu_acpi_table(machine, "DMAR", &bytes);
	if (!table)
		return -ENODEV;
	for (size_t at = DMAR_HEADER; at + 16 <= bytes && err;) {
		size_t length = qemu_little(table + at + 2, 2);

		if (qemu_little(table + at, 2) == DMAR_DRHD) {
			machine->firmware.registers = qemu_little(table + at + DRHD_REGISTERS, 8);
			err = 0;
		}
		if (length < 4)
			break;
		at += length;
	}
	free(table);
	return err;
}

#define COMMAND(type, scope) { { (type) | (uint64_t)(scope) << 4 } }

/*
 * A PASID-table entry that changes to or from pass-through needs a PASID-cache invalidation (6.5.3.3, table of guidance to software).
 * QEMU looks at that only when a context entry is invalidated.
 */
static bool is_pasid_invalidation(const uint64_t *command)
{
	return GET(VTD_DESC, TYPE, command) == VTD_DESC_PASID;
}

static const struct qemu_command flush[] = {
	COMMAND(VTD_DESC_CONTEXT, VTD_CONTEXT_GLOBAL),
	COMMAND(VTD_DESC_IOTLB, VTD_IOTLB_GLOBAL),
};
static const struct qemu_command flush_scalable[] = {
	COMMAND(VTD_DESC_CONTEXT, VTD_CONTEXT_GLOBAL),
	COMMAND(VTD_DESC_PASID, VTD_PASID_CACHE_GLOBAL),
	COMMAND(VTD_DESC_IOTLB, VTD_IOTLB_GLOBAL),
};

#define ARGUMENTS(unit) \
	((const char *const[]){ "-machine", "q35,memory-backend=ram", "-vga", "none", "-device", unit, QEMU_DEVICES, NULL })

/* A wait that does no more than store its status, to memory below what is used. */
#define BOARD(unit, architecture, flushes) \
	{ \
		.name = unit, .arch = architecture, .program = "qemu-system-x86_64", .arguments = ARGUMENTS(unit), \
		.ecam = ECAM, .window = 0xe0000000, .find_unit = find_unit, .reports_faults = true, .queue_base = VTD_REG_IQA, \
		.queue_tail = VTD_REG_IQT, .tail_bytes = 8, .ring = find_ring, .flush = flushes, \
		.nflush = sizeof(flushes) / sizeof(flushes[0]), \
		.filler = { { VTD_DESC_WAIT | 1u << VTD_DESC_WAIT_SW_LSB, 0x1000 } }, \
		.pass_through_quirk = is_pasid_invalidation, \
		.pass_through_command = COMMAND(VTD_DESC_CONTEXT, VTD_CONTEXT_GLOBAL), \
	}

const struct qemu_board qemu_vtd_legacy = BOARD("intel-iommu", "vtd-legacy", flush);
const struct qemu_board qemu_vtd_second = BOARD("intel-iommu,scalable-mode=on", "vtd", flush_scalable);
const struct qemu_board qemu_vtd_first = BOARD("intel-iommu,scalable-mode=on,fsts=on", "vtd", flush_scalable);
