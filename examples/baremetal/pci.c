/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pci.c - PCI Express config space (ECAM), finding a function, assigning its BARs. Bus 0 only: there are no bridges here. */
#include "kernel.h"

#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x2u
#define PCI_COMMAND_MASTER 0x4u
#define PCI_BAR0 0x10
#define PCI_BAR_64 0x4u
#define PCI_BAR_IO 0x1u

static uint64_t config_address(uint32_t rid, unsigned offset)
{
	return machine.ecam + ((uint64_t)(rid & 0xffff) << 12) + offset;
}

uint32_t pci_config_read(uint32_t rid, unsigned offset, unsigned size)
{
	uint64_t at = config_address(rid, offset);

	return size == 2 ? *(volatile uint16_t *)at : *(volatile uint32_t *)at;
}

void pci_config_write(uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	uint64_t at = config_address(rid, offset);

	if (size == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint32_t *)at = value;
}

uint64_t pci_bar(uint32_t rid, unsigned bar)
{
	unsigned at = PCI_BAR0 + 4 * bar;
	uint32_t low = pci_config_read(rid, at, 4);
	bool is_64 = (low & 0x6) == PCI_BAR_64;
	uint64_t address = low & ~0xfull, size;

	if (low & PCI_BAR_IO)
		panic("BAR %u is not memory", bar);
	if (is_64)
		address |= (uint64_t)pci_config_read(rid, at + 4, 4) << 32;
	if (address)
		return address;
	/* All ones written: the bits that stay 0 say how large it is. */
	pci_config_write(rid, at, 4, 0xffffffffu);
	size = ~(pci_config_read(rid, at, 4) & ~0xfu) + 1;
	address = (machine.window + size - 1) & ~(size - 1);
	if (!size || address + size > machine.window_end)
		panic("no room for BAR %u", bar);
	machine.window = address + size;
	pci_config_write(rid, at, 4, (uint32_t)address);
	if (is_64)
		pci_config_write(rid, at + 4, 4, (uint32_t)(address >> 32));
	return address;
}

bool pci_find(uint16_t vendor, uint16_t device, uint32_t *rid)
{
	for (uint32_t r = 0; r < 256; r++) {
		if (pci_config_read(r, 0, 4) != ((uint32_t)device << 16 | vendor))
			continue;
		pci_bar(r, 0);
		pci_config_write(r, PCI_COMMAND, 2, pci_config_read(r, PCI_COMMAND, 2) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		*rid = r;
		return true;
	}
	return false;
}
