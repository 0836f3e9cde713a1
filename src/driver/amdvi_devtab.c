/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_devtab.c - the device table (2.2.2): an entry for every DeviceID, blocked until its device is added.
 *
 * It is one piece of up to 2 MiB, or, where the unit can (EFR.DevTblSegSup), up to eight segments by the DeviceID's upper bits: then
 * no piece is larger than an eighth of that, and what no device needs takes a page. Where all devices are in the first
 * segment there is only that one. Nothing of this changes while devices do DMA.
 */
#include "amdvi_driver.h"

/* How the DeviceIDs are cut. */
static unsigned choose_segments(const struct amdvi_unit *amdvi)
{
	unsigned bits = (unsigned)AMDVI_EFR_OF(amdvi, DEV_TBL_SEG_SUP);

	return amdvi->devices > 0x10000u >> bits ? bits : 0;
}

static uint32_t per_segment(const struct amdvi_unit *amdvi)
{
	return 0x10000u >> amdvi->devtab.bits;
}

/* A power of two of pages. */
static size_t segment_bytes(const struct amdvi_unit *amdvi, unsigned segment)
{
	uint32_t first = segment * per_segment(amdvi);
	uint32_t entries = amdvi->devices > first ? amdvi->devices - first : 0;
	size_t bytes = HITLESS_PAGE_SIZE;

	if (entries > per_segment(amdvi))
		entries = per_segment(amdvi);
	while (bytes < (size_t)entries * AMDVI_DTE_BYTES)
		bytes *= 2;
	return bytes;
}

/* V=0 would let DMA through, so no entry is ever 0. */
static int make_segment(struct amdvi_unit *amdvi, unsigned segment)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct entry_table *table = &amdvi->devtab.segments[segment];
	int err = port->lock_init(port->ctx, &table->lock);

	if (err)
		return err;
	table->bytes = segment_bytes(amdvi, segment);
	table->page = port->alloc_pages(port->ctx, table->bytes);
	if (!table->page) {
		port->lock_destroy(port->ctx, &table->lock);
		return -ENOMEM;
	}
	for (size_t at = 0; at < table->bytes; at += AMDVI_DTE_BYTES)
		port->store64(port->ctx, (char *)table->page + at, BITS(AMDVI_DTE, V));
	return 0;
}

int amdvi_devtab_init(struct amdvi_unit *amdvi)
{
	int err = 0;

	amdvi->devtab.bits = choose_segments(amdvi);
	for (unsigned i = 0; i >> amdvi->devtab.bits == 0 && !err; i++)
		err = make_segment(amdvi, i);
	if (err)
		amdvi_devtab_fini(amdvi);
	return err;
}

void amdvi_devtab_fini(struct amdvi_unit *amdvi)
{
	for (unsigned i = 0; i < AMDVI_MAX_SEGMENTS; i++)
		driver_table_fini(amdvi->unit.port, &amdvi->devtab.segments[i]);
}

void amdvi_devtab_publish(const struct amdvi_unit *amdvi)
{
	for (unsigned i = 0; i >> amdvi->devtab.bits == 0; i++) {
		const struct entry_table *table = &amdvi->devtab.segments[i];
		uint64_t base = 0;

		SET(AMDVI_DEVTAB, SIZE, &base, table->bytes / HITLESS_PAGE_SIZE - 1);
		SET_ADDR(AMDVI_DEVTAB, BASE, &base, amdvi_phys(amdvi, table->page));
		amdvi_write(amdvi, i ? AMDVI_REG_DEVTAB_1 + 8 * (i - 1) : AMDVI_REG_DEVTAB, base);
	}
}

struct entry_table *amdvi_devtab_place(struct amdvi_unit *amdvi, uint32_t rid, size_t *offset)
{
	uint32_t device = rid & 0xffff;

	*offset = (size_t)(device % per_segment(amdvi)) * AMDVI_DTE_BYTES;
	return &amdvi->devtab.segments[device / per_segment(amdvi)];
}
