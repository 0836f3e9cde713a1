/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* common.h - what drivers of several architectures do alike: pages of entries, the ATS capability. */
#ifndef DRIVER_COMMON_H
#define DRIVER_COMMON_H

#include "core.h"

static inline void driver_table_fini(const struct hitless_port *port, struct entry_table *table)
{
	if (!table->page)
		return;
	port->free_pages(port->ctx, table->page, table->bytes);
	port->lock_destroy(port->ctx, &table->lock);
	table->page = NULL;
}

static inline int driver_table_init(const struct hitless_port *port, struct entry_table *table, struct entry_table *parent,
				    size_t slot)
{
	int err = port->lock_init(port->ctx, &table->lock);

	if (err)
		return err;
	table->bytes = HITLESS_PAGE_SIZE;
	table->parent = parent;
	table->slot = slot;
	table->page = port->alloc_pages(port->ctx, table->bytes);
	if (!table->page) {
		port->lock_destroy(port->ctx, &table->lock);
		return -ENOMEM;
	}
	return 0;
}

/* PCI Express: extended capability 0x000f is ATS; its control register has Enable in bit 15, STU in 4:0 (0: 4 KiB). */
static inline void driver_find_ats(const struct hitless_port *port, struct iommu_device *device, bool unit_has_it)
{
	unsigned where = 0x100;
	bool wanted = device->ats;

	device->ats = false;
	if (!wanted || !unit_has_it || !port->pci_read || !port->pci_write)
		return;
	for (unsigned hops = 0; where >= 0x100 && where < 0x1000 && hops < 960; hops++) {
		uint32_t header = port->pci_read(port->ctx, device->rids[0], where, 4);

		if (header == 0 || header == 0xffffffffu)
			return;
		if ((header & 0xffff) == 0x000f) {
			device->ats = true;
			device->ats_control = (uint16_t)(where + 6);
			device->ats_off = 0;
			device->ats_on = 0x8000;
			return;
		}
		where = header >> 20 & 0xffc;
	}
}

#endif
