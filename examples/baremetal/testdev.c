/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * testdev.c - QEMU's iommu-testdev: a PCI function that does one DMA write of a fixed pattern when its first register is
 * read, and is done with it when the read returns.
 */
#include "kernel.h"

#include "cpu.h"

enum {
	TRIGGER = 0x00, IOVA_LOW = 0x04, IOVA_HIGH = 0x08, LENGTH = 0x0c, RESULT = 0x10, ARM = 0x14,
};

#define RESULT_BUS_ERROR 0xdead0002u

static volatile uint32_t *registers;
struct spinlock testdev_busy;

void testdev_init(uint32_t rid)
{
	registers = (volatile uint32_t *)pci_bar(rid, 0);
	/* QEMU translates the halves of an 8-byte DMA one after the other when the first has faulted. */
	registers[LENGTH / 4] = 4;
}

bool testdev_write(uint64_t iova)
{
	uint32_t result;

	registers[IOVA_LOW / 4] = (uint32_t)iova;
	registers[IOVA_HIGH / 4] = (uint32_t)(iova >> 32);
	registers[ARM / 4] = 1;
	spin_lock(&testdev_busy);
	(void)registers[TRIGGER / 4];
	spin_unlock(&testdev_busy);
	result = registers[RESULT / 4];
	cpu_read_barrier();
	/* Whatever else it says is about its own check of what was written, which measure.c does better. */
	return result != RESULT_BUS_ERROR;
}
