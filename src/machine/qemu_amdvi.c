/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_amdvi.c - QEMU's amd-iommu. Without dma-remap=on it would pass all DMA through. */
#include "qemu.h"

#include <stdlib.h>

#include "amdvi.h"

/* q35: the host bridge's PCIEXBAR, by the ports of configuration mechanism 1. */
#define ECAM 0xb0000000u
#define PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u

/* The IVRS table and its IVHD blocks (48882, 5.2) */
#define IVRS_HEADER 48
#define IVHD_BLOCK 0x10		/* and 0x11, 0x40: the same with more */
#define IVHD_BLOCK_EXTENDED 0x11
#define IVHD_BLOCK_NAMED 0x40
#define IVHD_BYTES 24
#define IVHD_BYTES_EXTENDED 40
#define ENTRY_ALL 1
#define ENTRY_LAST_4_BYTES 63

static void find_ring(uint64_t base, struct qemu_ring *ring)
{
	*ring = (struct qemu_ring){
		.phys = GET_ADDR(AMDVI_BUFFER, BASE, &base),
		.entries = 1u << GET(AMDVI_BUFFER, LEN, &base),
		.entry_bytes = 16,
		.tail_shift = 4,
	};
	ring->period = ring->entries;
}

/* The highest DeviceID that the block's entries name: 4 or 8 bytes each by their type. */
static uint32_t last_device(const uint8_t *block, size_t header, size_t length)
{
	uint32_t last = 0;

	for (size_t at = header; at + 4 <= length; at += block[at] <= ENTRY_LAST_4_BYTES ? 4 : 8) {
		uint32_t id = (uint32_t)qemu_little(block + at + 1, 2);

		if (block[at] == ENTRY_ALL)
			return 0xffff;
		if (id > last)
			last = id;
	}
	return last;
}

static int find_unit(struct machine *machine)
{
	struct qemu *qemu = machine->qemu;
	size_t bytes;
	uint8_t *table;
	int err = -ENODEV;

	qtest_out(&qemu->qtest, 0xcf8, 4, 0x80000000u | PCIEXBAR);
	qtest_out(&qemu->qtest, 0xcfc, 4, ECAM | PCIEXBAR_ENABLE);
	table = qemu_acpi_table(machine, "IVRS", &bytes);
	if (!table)
		return -ENODEV;
	for (size_t at = IVRS_HEADER; at + IVHD_BYTES <= bytes && err;) {
		const uint8_t *block = table + at;
		size_t length = qemu_little(block + 2, 2);

		if (length < IVHD_BYTES || length > bytes - at)
			break;
		if (block[0] == IVHD_BLOCK || block[0] == IVHD_BLOCK_EXTENDED || block[0] == IVHD_BLOCK_NAMED) {
			machine->firmware.registers = qemu_little(block + 8, 8);
			machine->firmware.capability = qemu_pci_read(qemu, (uint32_t)qemu_little(block + 4, 2),
								     (unsigned)qemu_little(block + 6, 2), 4);
			machine->firmware.last_device =
				last_device(block, block[0] == IVHD_BLOCK ? IVHD_BYTES : IVHD_BYTES_EXTENDED, length);
			err = 0;
		}
		at += length;
	}
	free(table);
	return err;
}

#define COMMAND(opcode) { { (uint64_t)(opcode) << AMDVI_CMD_OPCODE_LSB } }

static const struct qemu_command flush[] = { COMMAND(AMDVI_CMD_ALL) };

const struct qemu_board qemu_amdvi = {
	.name = "amd-iommu,dma-remap=on",
	.arch = "amdvi",
	.program = "qemu-system-x86_64",
	.arguments = (const char *const[]){ "-machine", "q35,memory-backend=ram", "-vga", "none", "-device",
					    "amd-iommu,dma-remap=on", QEMU_DEVICES, NULL },
	.ecam = ECAM,
	.window = 0xe0000000,
	.find_unit = find_unit,
	.queue_base = AMDVI_REG_CMD_BASE,
	.queue_tail = AMDVI_REG_CMD_TAIL,
	.tail_bytes = 8,
	.ring = find_ring,
	.flush = flush,
	.nflush = 1,
	.filler = COMMAND(AMDVI_CMD_WAIT),
};
