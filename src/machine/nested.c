/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* nested.c - a guest on a machine, as far as its first stage goes: its memory, its entry, the domain that the host makes of it. */
#include "machine.h"

int machine_map_guest(struct machine *machine, struct iommu_domain *parent)
{
	return iommu_map(parent, machine->ram_base + MACHINE_GUEST_OFFSET, machine->ram_base, machine->ram_bytes,
			 IOMMU_READ | IOMMU_WRITE);
}

static int alloc_page(struct machine *machine, uint64_t *page)
{
	void *memory;

	if (*page)
		return 0;
	memory = machine->port.alloc_pages(machine->port.ctx, HITLESS_PAGE_SIZE);
	if (!memory)
		return -ENOMEM;
	*page = (uint64_t)((char *)memory - machine->ram) + machine->ram_base;
	return 0;
}

int machine_nested_alloc(struct machine *machine, struct iommu_domain *parent, uint64_t root, uint32_t tag, uint64_t *page,
			 struct iommu_domain **domain)
{
	const struct machine_arch *arch = machine->config.arch;
	uint64_t entry[IOMMU_GUEST_ENTRY_WORDS] = { 0 };
	struct iommu_guest_entry guest;
	int err;

	if (!arch->guest_entry)
		return -EOPNOTSUPP;
	err = alloc_page(machine, page);
	if (err)
		return err;
	(machine->config.pasid_bits && arch->guest_table ? arch->guest_table : arch->guest_entry)
		(machine_virt(machine, *page), *page + MACHINE_GUEST_OFFSET, root + MACHINE_GUEST_OFFSET, tag, entry);
	err = iommu_guest_entry_read(machine->unit, entry, iommu_guest_entry_bytes(machine->unit), &guest);
	return err ? err : iommu_domain_alloc_nested(parent, &guest, domain);
}

void machine_nested_free_page(struct machine *machine, uint64_t page)
{
	if (page)
		machine->port.free_pages(machine->port.ctx, machine_virt(machine, page), HITLESS_PAGE_SIZE);
}
