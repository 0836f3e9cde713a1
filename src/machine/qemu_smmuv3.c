/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_smmuv3.c - QEMU's SMMUv3, on its Arm virt board. */
#include "qemu.h"

#include <stdlib.h>

#include "smmuv3.h"

#define RAM 0x40000000u
#define ECAM 0x4010000000ull
#define WINDOW 0x10000000u
#define FW_CFG 0x09020000u

/* The IORT table and its nodes (Arm DEN0049) */
#define IORT_NODES 40		/* where the offset of the first one is */
#define NODE_SMMUV3 4
#define NODE_BYTES 24
#define NODE_REGISTERS 16

static void find_ring(uint64_t base, struct qemu_ring *ring)
{
	*ring = (struct qemu_ring){
		.phys = GET_ADDR(SMMU_QUEUE_BASE, ADDR, &base),
		.entries = 1u << GET(SMMU_QUEUE_BASE, LOG2SIZE, &base),
		.entry_bytes = 16,
	};
	ring->period = ring->entries * 2; /* the index and the bit that says how often it went round */
}

static int find_unit(struct machine *machine)
{
	size_t bytes;
	uint8_t *table = qemu_acpi_table(machine, "IORT", &bytes);
	int err = -ENODEV;

	if (!table)
		return -ENODEV;
	for (size_t at = bytes >= IORT_NODES + 4 ? qemu_little(table + IORT_NODES, 4) : bytes; at + NODE_BYTES <= bytes && err;) {
		size_t length = qemu_little(table + at + 1, 2);

		if (table[at] == NODE_SMMUV3) {
			machine->firmware.registers = qemu_little(table + at + NODE_REGISTERS, 8);
			err = 0;
		}
		if (!length)
			break;
		at += length;
	}
	free(table);
	return err;
}

#define ALL_STREAMS 31		/* the range of CMD_CFGI_STE_RANGE that makes it CMD_CFGI_ALL */

static const struct qemu_command flush[] = {
	{ { SMMU_CMD_CFGI_STE_RANGE, ALL_STREAMS } },
	{ { SMMU_CMD_TLBI_NSNH_ALL } },
};

const struct qemu_board qemu_smmuv3 = {
	.name = "smmuv3",
	.arch = "smmuv3",
	.program = "qemu-system-aarch64",
	.arguments = (const char *const[]){ "-machine", "virt,iommu=smmuv3,memory-backend=ram", "-cpu", "max", QEMU_DEVICES, NULL },
	.ram_base = RAM,
	.ecam = ECAM,
	.window = WINDOW,
	.fw_cfg = FW_CFG,
	.find_unit = find_unit,
	.reports_faults = true,
	.ends_on_torn_entry = true,
	.queue_base = SMMU_REG_CMDQ_BASE,
	.queue_tail = SMMU_REG_CMDQ_PROD,
	.tail_bytes = 4,
	.ring = find_ring,
	.flush = flush,
	.nflush = sizeof(flush) / sizeof(flush[0]),
	.filler = { { SMMU_CMD_SYNC } },
};
