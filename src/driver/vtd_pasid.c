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

static uint64_t directory_word(const struct vtd_unit *vtd, const struct vtd_leaf *leaf)
{
	uint64_t word = 0;

	SET(VTD_PASIDDIR, P, &word, 1);
	SET_ADDR(VTD_PASIDDIR, SMPTBLPTR, &word, vtd_phys(vtd, leaf->table.page));
	return word;
}

/* ---- Reserve: nothing that the hardware can reach ---- */

/* The array of tables has room for `index`. */
static int reserve_index(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, unsigned index)
{
	const struct hitless_port *port = vtd->unit.port;
	unsigned capacity = tables->capacity ? tables->capacity : 8;
	struct vtd_leaf **leaves;

	if (index < tables->capacity)
		return 0;
	while (capacity <= index)
		capacity *= 2;
	leaves = port->alloc(port->ctx, capacity * sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	if (tables->leaves) {
		memcpy(leaves, tables->leaves, tables->capacity * sizeof(*leaves));
		port->free(port->ctx, tables->leaves, tables->capacity * sizeof(*leaves));
	}
	tables->leaves = leaves;
	tables->capacity = capacity;
	return 0;
}

static int reserve_leaf(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, unsigned index)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_leaf *leaf;
	int err;

	if (tables->leaves[index])
		return 0;
	leaf = port->alloc(port->ctx, sizeof(*leaf));
	if (!leaf)
		return -ENOMEM;
	err = driver_table_init(port, &leaf->table, &tables->directory, index * sizeof(uint64_t));
	if (err) {
		port->free(port->ctx, leaf, sizeof(*leaf));
		return err;
	}
	tables->leaves[index] = leaf;
	tables->nleaves++;
	return 0;
}

static int reserve_directory(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, unsigned index)
{
	const struct hitless_port *port = vtd->unit.port;
	size_t bytes = tables->directory.bytes;

	if (index < directory_entries(bytes))
		return 0;
	while (index >= directory_entries(bytes))
		bytes *= 2;
	tables->bigger = port->alloc_pages(port->ctx, bytes);
	if (!tables->bigger)
		return -ENOMEM;
	tables->bigger_bytes = bytes;
	return 0;
}

static void free_leaf(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, unsigned index)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_leaf *leaf = tables->leaves[index];

	driver_table_fini(port, &leaf->table);
	port->free(port->ctx, leaf, sizeof(*leaf));
	tables->leaves[index] = NULL;
	tables->nleaves--;
}

static void vtd_unreserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct vtd_pasid_tables *tables = tables_of(device);
	unsigned index = pasid / ENTRIES_PER_TABLE;

	if (tables->bigger)
		unit->port->free_pages(unit->port->ctx, tables->bigger, tables->bigger_bytes);
	tables->bigger = NULL;
	if (index < tables->capacity && tables->leaves[index] && !tables->leaves[index]->linked)
		free_leaf(to_vtd(unit), tables, index);
}

static int vtd_reserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct vtd_unit *vtd = to_vtd(unit);
	struct vtd_pasid_tables *tables = tables_of(device);
	unsigned index = pasid / ENTRIES_PER_TABLE;
	int err = reserve_index(vtd, tables, index);

	if (!err)
		err = reserve_directory(vtd, tables, index);
	if (!err)
		err = reserve_leaf(vtd, tables, index);
	if (err)
		vtd_unreserve(unit, device, pasid);
	return err;
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
static int grow_directory(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, uint32_t rid)
{
	const struct hitless_port *port = vtd->unit.port;
	struct entry_table *directory = &tables->directory, *contexts = directory->parent;
	size_t old_bytes = directory->bytes;
	void *old = directory->page;
	uint64_t *live, word;
	int err;

	port->lock(port->ctx, &directory->lock);
	memcpy(tables->bigger, old, old_bytes);
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, tables->bigger, tables->bigger_bytes);
	port->lock(port->ctx, &contexts->lock);
	live = (uint64_t *)((char *)contexts->page + directory->slot);
	word = live[0];
	vtd_set_directory(vtd, &word, tables->bigger, tables->bigger_bytes);
	vtd_store_word(vtd, live, word);
	port->unlock(port->ctx, &contexts->lock);
	directory->page = tables->bigger;
	directory->bytes = tables->bigger_bytes;
	tables->bigger = NULL;
	err = forget_context(vtd, rid);
	/* A unit that does not answer may still read it. */
	if (!err)
		port->free_pages(port->ctx, old, old_bytes);
	port->unlock(port->ctx, &directory->lock);
	return err;
}

static int link_leaf(struct vtd_unit *vtd, struct vtd_pasid_tables *tables, struct vtd_leaf *leaf, uint32_t rid)
{
	const struct hitless_port *port = vtd->unit.port;

	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT)
		port->writeback(port->ctx, leaf->table.page, leaf->table.bytes);
	port->lock(port->ctx, &tables->directory.lock);
	vtd_store_word(vtd, (char *)tables->directory.page + leaf->table.slot, directory_word(vtd, leaf));
	port->unlock(port->ctx, &tables->directory.lock);
	leaf->linked = true;
	/* 6.5.3.3: nothing that is absent is cached, but with caching mode. */
	return vtd->unit.facts & (IOMMU_PLAN_CACHES_ABSENT | IOMMU_PLAN_WRITE_BUFFER) ? forget_context(vtd, rid) : 0;
}

static int vtd_build(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct vtd_unit *vtd = to_vtd(unit);
	struct vtd_pasid_tables *tables = tables_of(device);
	struct vtd_leaf *leaf = tables->leaves[pasid / ENTRIES_PER_TABLE];
	int err = tables->bigger ? grow_directory(vtd, tables, device->rids[0]) : 0;

	return err || leaf->linked ? err : link_leaf(vtd, tables, leaf, device->rids[0]);
}

/* ---- Create and destroy ---- */

void vtd_pasid_tables_destroy(struct vtd_unit *vtd, struct vtd_pasid_tables *tables)
{
	const struct hitless_port *port = vtd->unit.port;

	for (unsigned i = 0; i < tables->capacity; i++)
		if (tables->leaves[i])
			free_leaf(vtd, tables, i);
	if (tables->leaves)
		port->free(port->ctx, tables->leaves, tables->capacity * sizeof(*tables->leaves));
	driver_table_fini(port, &tables->directory);
	port->free(port->ctx, tables, sizeof(*tables));
}

int vtd_pasid_tables_create(struct vtd_unit *vtd, struct entry_table *contexts, size_t slot, struct vtd_pasid_tables **result)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_pasid_tables *tables = port->alloc(port->ctx, sizeof(*tables));
	int err = -ENOMEM;

	if (!tables)
		return err;
	err = driver_table_init(port, &tables->directory, contexts, slot);
	if (!err)
		err = reserve_index(vtd, tables, 0);
	if (!err)
		err = reserve_leaf(vtd, tables, 0);
	if (err) {
		vtd_pasid_tables_destroy(vtd, tables);
		return err;
	}
	tables->leaves[0]->linked = true;
	vtd_store_word(vtd, tables->directory.page, directory_word(vtd, tables->leaves[0]));
	if (vtd->unit.facts & IOMMU_PLAN_NONCOHERENT) {
		port->writeback(port->ctx, tables->leaves[0]->table.page, HITLESS_PAGE_SIZE);
		port->writeback(port->ctx, tables->directory.page, HITLESS_PAGE_SIZE);
	}
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
		.table = &tables_of(device)->leaves[pasid / ENTRIES_PER_TABLE]->table,
		.offset = pasid % ENTRIES_PER_TABLE * PASID_ENTRY_BYTES,
		.format = &vtd_pasid_entry,
		.pasid = pasid,
	};
	return 1;
}

static void vtd_memory(struct iommu_unit *unit, const struct iommu_device *device, size_t *bytes, size_t *software)
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
