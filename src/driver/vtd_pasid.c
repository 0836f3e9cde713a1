/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_pasid.c - a requester's PASID tables (9.4 to 9.6): a directory, and tables of 64 entries that come when a PASID needs them.
 *
 * The entry of requests without PASID is one of them (RID_PASID), so what becomes of it never touches the others. A directory that is too
 * small is replaced by a larger one that points to the same tables: one store of the context entry's first word, which has
 * pointer and size.
 */
#include "vtd_driver.h"

#include <string.h>

#define ENTRIES_PER_TABLE 64u
#define PASID_ENTRY_BYTES 64u

static struct vtd_pasid_tables *tables_of(const struct iommu_device *device)
{
	return device->tables[0];
}

static unsigned directory_entries(size_t bytes)
{
	return (unsigned)(bytes / sizeof(uint64_t));
}

void vtd_set_directory(const struct vtd_unit *vtd, uint64_t *context, const void *directory, size_t bytes)
{
	unsigned pdts = 0;

	while (1u << (pdts + 7) < directory_entries(bytes))
		pdts++;
	SET(VTD_SMCONTEXT, PDTS, context, pdts);
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, context, vtd_phys(vtd, directory));
}

static uint64_t directory_word(const struct vtd_unit *vtd, const struct entry_table *leaf)
{
	uint64_t word = 0;

	SET(VTD_PASIDDIR, P, &word, 1);
	SET_ADDR(VTD_PASIDDIR, SMPTBLPTR, &word, vtd_phys(vtd, leaf->page));
	return word;
}

/* The table of a PASID, also if it is only reserved; NULL: there is none. */
static struct entry_table *leaf_of(const struct vtd_pasid_tables *tables, uint32_t pasid)
{
	unsigned index = pasid / ENTRIES_PER_TABLE;

	if (tables->reserved.leaf && tables->reserved.index == index)
		return tables->reserved.leaf;
	return index < tables->capacity ? tables->leaves[index] : NULL;
}

/* ---- Reserve: nothing that the hardware can reach ---- */

static RARE int reserve_array(const struct hitless_port *port, struct vtd_pasid_tables *tables, unsigned index)
{
	unsigned capacity = tables->capacity ? tables->capacity : 8;

	if (index < tables->capacity)
		return 0;
	while (capacity <= index)
		capacity *= 2;
	tables->reserved.leaves = port->alloc(port->ctx, capacity * sizeof(*tables->leaves));
	tables->reserved.capacity = capacity;
	return tables->reserved.leaves ? 0 : -ENOMEM;
}

static RARE int reserve_directory(const struct hitless_port *port, struct vtd_pasid_tables *tables, unsigned index)
{
	size_t bytes = tables->directory.bytes;

	if (index < directory_entries(bytes))
		return 0;
	while (index >= directory_entries(bytes))
		bytes *= 2;
	tables->reserved.directory = port->alloc_pages(port->ctx, bytes);
	tables->reserved.directory_bytes = bytes;
	return tables->reserved.directory ? 0 : -ENOMEM;
}

static RARE int reserve_leaf(const struct hitless_port *port, struct vtd_pasid_tables *tables, unsigned index)
{
	struct entry_table *leaf;
	int err;

	if (index < tables->capacity && tables->leaves[index])
		return 0;
	leaf = port->alloc(port->ctx, sizeof(*leaf));
	if (!leaf)
		return -ENOMEM;
	err = driver_table_init(port, leaf, &tables->directory, index * sizeof(uint64_t));
	if (err) {
		port->free(port->ctx, leaf, sizeof(*leaf));
		return err;
	}
	tables->reserved.leaf = leaf;
	tables->reserved.index = index;
	return 0;
}

static void free_leaf(const struct hitless_port *port, struct entry_table *leaf)
{
	driver_table_fini(port, leaf);
	port->free(port->ctx, leaf, sizeof(*leaf));
}

static void free_reserved(const struct hitless_port *port, struct vtd_pasid_tables *tables)
{
	if (tables->reserved.leaf)
		free_leaf(port, tables->reserved.leaf);
	if (tables->reserved.directory)
		port->free_pages(port->ctx, tables->reserved.directory, tables->reserved.directory_bytes);
	if (tables->reserved.leaves)
		port->free(port->ctx, tables->reserved.leaves, tables->reserved.capacity * sizeof(*tables->leaves));
	memset(&tables->reserved, 0, sizeof(tables->reserved));
}

static int reserve(const struct hitless_port *port, struct vtd_pasid_tables *tables, uint32_t pasid)
{
	unsigned index = pasid / ENTRIES_PER_TABLE;
	int err = reserve_array(port, tables, index);

	if (!err)
		err = reserve_directory(port, tables, index);
	if (!err)
		err = reserve_leaf(port, tables, index);
	if (err)
		free_reserved(port, tables);
	return err;
}

static int vtd_reserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	return reserve(unit->port, tables_of(device), pasid);
}

static void vtd_unreserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	(void)pasid;
	free_reserved(unit->port, tables_of(device));
}

/* ---- Build ---- */

static int forget_context(struct vtd_unit *vtd, uint32_t rid)
{
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };

	vtd_forget_context(vtd, &steps, rid, false);
	return vtd_run(vtd, &steps);
}

/*
 * As in a table swap (entry/commit.c), the lock is held until the hardware has left the old directory: a table that is swapped meanwhile must
 * not be looked for there.
 */
static RARE int grow_directory(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, uint32_t rid)
{
	const struct hitless_port *port = vtd->unit.port;
	struct entry_table *directory = &tables->directory, *contexts = directory->parent;
	size_t old_bytes = directory->bytes;
	void *old = directory->page;
	uint64_t *live, word;
	int err;

	port->lock(port->ctx, &directory->lock);
	memcpy(tables->reserved.directory, old, old_bytes);
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, tables->reserved.directory, tables->reserved.directory_bytes);
	port->lock(port->ctx, &contexts->lock);
	live = (uint64_t *)((char *)contexts->page + directory->slot);
	word = live[0];
	vtd_set_directory(vtd, &word, tables->reserved.directory, tables->reserved.directory_bytes);
	vtd_store_word(vtd, live, word);
	port->unlock(port->ctx, &contexts->lock);
	directory->page = tables->reserved.directory;
	directory->bytes = tables->reserved.directory_bytes;
	tables->reserved.directory = NULL;
	err = forget_context(vtd, rid);
	/* A unit that does not answer may still read it. */
	if (!err)
		port->free_pages(port->ctx, old, old_bytes);
	port->unlock(port->ctx, &directory->lock);
	return err;
}

/* Into the array. */
static void keep_leaf(const struct hitless_port *port, struct vtd_pasid_tables *tables)
{
	if (tables->reserved.leaves) {
		if (tables->leaves) {
			memcpy(tables->reserved.leaves, tables->leaves, tables->capacity * sizeof(*tables->leaves));
			port->free(port->ctx, tables->leaves, tables->capacity * sizeof(*tables->leaves));
		}
		tables->leaves = tables->reserved.leaves;
		tables->capacity = tables->reserved.capacity;
		tables->reserved.leaves = NULL;
	}
	tables->leaves[tables->reserved.index] = tables->reserved.leaf;
	tables->nleaves++;
	tables->reserved.leaf = NULL;
}

/* The directory points to it from now on. */
static void link_leaf(struct vtd_unit *vtd, struct vtd_pasid_tables *tables)
{
	const struct hitless_port *port = vtd->unit.port;
	struct entry_table *leaf = tables->reserved.leaf;

	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, leaf->page, leaf->bytes);
	port->lock(port->ctx, &tables->directory.lock);
	vtd_store_word(vtd, (char *)tables->directory.page + leaf->slot, directory_word(vtd, leaf));
	port->unlock(port->ctx, &tables->directory.lock);
	keep_leaf(port, tables);
}

static int vtd_build(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct vtd_unit *vtd = to_vtd(unit);
	struct vtd_pasid_tables *tables = tables_of(device);
	int err = 0;

	(void)pasid;
	if (tables->reserved.directory)
		err = grow_directory(vtd, tables, device->rids[0]);
	if (err || !tables->reserved.leaf)
		return err;
	link_leaf(vtd, tables);
	/* 6.5.3.3: nothing that is absent is cached, but with caching mode. */
	return unit->facts & (IOMMU_PLAN_CACHES_ABSENT | IOMMU_PLAN_WRITE_BUFFER) ? forget_context(vtd, device->rids[0]) : 0;
}

/* ---- Create and destroy ---- */

RARE void vtd_pasid_tables_destroy(struct vtd_unit *vtd, struct vtd_pasid_tables *tables)
{
	const struct hitless_port *port = vtd->unit.port;

	for (unsigned i = 0; i < tables->capacity; i++)
		if (tables->leaves[i])
			free_leaf(port, tables->leaves[i]);
	if (tables->leaves)
		port->free(port->ctx, tables->leaves, tables->capacity * sizeof(*tables->leaves));
	driver_table_fini(port, &tables->directory);
	port->free(port->ctx, tables, sizeof(*tables));
}

RARE int vtd_pasid_tables_create(struct vtd_unit *vtd, struct entry_table *contexts, size_t slot, struct vtd_pasid_tables **result)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_pasid_tables *tables = port->alloc(port->ctx, sizeof(*tables));
	int err = -ENOMEM;

	if (!tables)
		return err;
	err = driver_table_init(port, &tables->directory, contexts, slot);
	if (!err)
		err = reserve(port, tables, 0);
	if (err) {
		vtd_pasid_tables_destroy(vtd, tables);
		return err;
	}
	link_leaf(vtd, tables);
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, tables->directory.page, tables->directory.bytes);
	*result = tables;
	return 0;
}

/* ---- For the core ---- */

static unsigned vtd_places(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
			   const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places)
{
	(void)unit;
	(void)old;
	(void)new;
	if (pasid == IOMMU_NO_PASID)
		pasid = VTD_RID_PASID;
	places[0] = (struct entry_place){
		.table = leaf_of(tables_of(device), pasid),
		.offset = pasid % ENTRIES_PER_TABLE * PASID_ENTRY_BYTES,
		.format = &vtd_pasid_entry,
		.pasid = pasid,
	};
	return 1;
}

static RARE void vtd_memory(struct iommu_unit *unit, const struct iommu_device *device, size_t *bytes, size_t *software)
{
	const struct vtd_pasid_tables *tables = tables_of(device);

	(void)unit;
	*bytes = tables->directory.bytes + (size_t)tables->nleaves * HITLESS_PAGE_SIZE;
	*software = sizeof(*tables) + tables->capacity * sizeof(*tables->leaves) + tables->nleaves * sizeof(**tables->leaves);
}

const struct iommu_pasid_ops vtd_pasid_ops = {
	.places = vtd_places,
	.reserve = vtd_reserve,
	.build = vtd_build,
	.unreserve = vtd_unreserve,
	.memory = vtd_memory,
};
