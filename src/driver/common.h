/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* common.h - what drivers of several architectures do alike: pages of entries, the ATS and PASID capabilities. */
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

static inline int driver_table_init_sized(const struct hitless_port *port, struct entry_table *table,
					  struct entry_table *parent, size_t slot, size_t bytes)
{
	int err = port->lock_init(port->ctx, &table->lock);

	if (err)
		return err;
	table->bytes = bytes;
	table->parent = parent;
	table->slot = slot;
	table->page = port->alloc_pages(port->ctx, table->bytes);
	if (!table->page) {
		port->lock_destroy(port->ctx, &table->lock);
		return -ENOMEM;
	}
	return 0;
}

static inline int driver_table_init(const struct hitless_port *port, struct entry_table *table, struct entry_table *parent,
				    size_t slot)
{
	return driver_table_init_sized(port, table, parent, slot, HITLESS_PAGE_SIZE);
}

/* Is a bit set that isn't in `named`? */
static inline bool driver_beyond(const uint64_t *words, const uint64_t *named, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (words[i] & ~named[i])
			return true;
	return false;
}

/* What a guest has written is refused, for the sake of that field. */
static inline int driver_refuse(const char **field, const char *name, int err)
{
	*field = name;
	return err;
}

/* PCI Express: where the function's extended capability is; 0: it has none. */
static inline unsigned driver_find_capability(const struct hitless_port *port, uint32_t rid, uint16_t id)
{
	unsigned where = 0x100;

	if (!port->pci_read || !port->pci_write)
		return 0;
	for (unsigned hops = 0; where >= 0x100 && where < 0x1000 && hops < 960; hops++) {
		uint32_t header = port->pci_read(port->ctx, rid, where, 4);

		if (header == 0 || header == 0xffffffffu)
			return 0;
		if ((header & 0xffff) == id)
			return where;
		where = header >> 20 & 0xffc;
	}
	return 0;
}

/* Capability 0x000f is ATS; its control register has Enable in bit 15, STU in 4:0 (0: 4 KiB). */
static inline void driver_find_ats(const struct hitless_port *port, struct iommu_device *device, bool unit_has_it)
{
	unsigned where = device->ats && unit_has_it ? driver_find_capability(port, device->rids[0], 0x000f) : 0;

	device->ats = where != 0;
	device->ats_control = where ? (uint16_t)(where + 6) : 0;
	device->ats_off = 0;
	device->ats_on = 0x8000;
}

/*
 * Capability 0x001b is PASID: Execute Permission Supported in bit 1, Privileged Mode Supported in bit 2, Max PASID Width in
 * 12:8; its control register has the enable bits in 2:0, of which the lowest may not change while ATS is on: so PASIDs are on
 * as long as the device is here. A function without config space has what its owner says.
 */
static inline void driver_enable_pasids(const struct hitless_port *port, struct iommu_device *device, unsigned unit_bits)
{
	uint32_t rid = device->rids[0], capability;
	unsigned where, width;

	if (device->pasid_bits > unit_bits)
		device->pasid_bits = unit_bits;
	if (!device->pasid_bits || !port->pci_read || port->pci_read(port->ctx, rid, 0x100, 4) == 0xffffffffu)
		return;
	where = driver_find_capability(port, rid, 0x001b);
	if (!where) {
		device->pasid_bits = 0;
		return;
	}
	capability = port->pci_read(port->ctx, rid, where + 4, 2);
	width = capability >> 8 & 0x1f;
	if (device->pasid_bits > width)
		device->pasid_bits = width;
	device->pasid_control = (uint16_t)(where + 6);
	port->pci_write(port->ctx, rid, device->pasid_control, 2, 1 | (capability & 6));
}

static inline void driver_disable_pasids(const struct hitless_port *port, const struct iommu_device *device)
{
	if (device->pasid_control)
		port->pci_write(port->ctx, device->rids[0], device->pasid_control, 2, 0);
}

#endif
