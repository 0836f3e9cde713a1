/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_gcr3.c - guest CR3 tables (2.2.6.3): which guest table a PASID has.
 *
 * One to three levels of 512 entries, nine bits of the PASID each. Only the entries of the lowest level are live entries that a
 * domain is put into; the tables above them are made when a PASID below them is first wanted, and stay until the whole goes. A
 * table that is too small gets a level on top, whose first entry points to what was the top.
 */
#include "amdvi_driver.h"

#include <string.h>

#define PASIDS_PER_PAGE (1u << AMDVI_GCR3_LEVEL_BITS)

unsigned amdvi_gcr3_levels(const struct amdvi_unit *amdvi, unsigned pasid_bits)
{
	unsigned levels = pasid_bits ? (pasid_bits + AMDVI_GCR3_LEVEL_BITS - 1) / AMDVI_GCR3_LEVEL_BITS : 1;

	if (!AMDVI_EFR_OF(amdvi, GT_SUP) || levels > AMDVI_EFR_OF(amdvi, GLX_SUP) + 1)
		return 0;
	return pasid_bits <= AMDVI_EFR_OF(amdvi, PAS_MAX) + 1 ? levels : 0;
}

static unsigned leaf_count(const struct amdvi_gcr3 *gcr3)
{
	return gcr3->pasids > PASIDS_PER_PAGE ? gcr3->pasids / PASIDS_PER_PAGE : 1;
}

static void free_leaf(const struct hitless_port *port, struct entry_table *leaf)
{
	driver_table_fini(port, leaf);
	port->free(port->ctx, leaf, sizeof(*leaf));
}

static struct entry_table *make_leaf(const struct hitless_port *port)
{
	struct entry_table *leaf = port->alloc(port->ctx, sizeof(*leaf));

	if (leaf && driver_table_init(port, leaf, NULL, 0)) {
		port->free(port->ctx, leaf, sizeof(*leaf));
		return NULL;
	}
	return leaf;
}

int amdvi_gcr3_init(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, unsigned levels, unsigned pasid_bits)
{
	const unsigned most = levels * AMDVI_GCR3_LEVEL_BITS;

	if (levels < 1 || levels > AMDVI_GLX_3_LEVEL + 1)
		return -EINVAL;
	*gcr3 = (struct amdvi_gcr3){ .levels = levels, .pasids = 1u << (pasid_bits && pasid_bits < most ? pasid_bits : most) };
	gcr3->leaves = port->alloc(port->ctx, leaf_count(gcr3) * sizeof(*gcr3->leaves));
	if (!gcr3->leaves)
		return -ENOMEM;
	gcr3->tables = 1;
	if (levels > 1) {
		gcr3->root = port->alloc_pages(port->ctx, HITLESS_PAGE_SIZE);
	} else {
		gcr3->leaves[0] = make_leaf(port);
		gcr3->root = gcr3->leaves[0] ? gcr3->leaves[0]->page : NULL;
	}
	if (gcr3->root)
		return 0;
	amdvi_gcr3_fini(port, gcr3);
	return -ENOMEM;
}

static void *table_at(const struct hitless_port *port, const uint64_t *entry)
{
	return GET(AMDVI_GCR3, V, entry) ? (void *)(uintptr_t)(GET_ADDR(AMDVI_GCR3, ADDR, entry) + port->direct_map) : NULL;
}

void amdvi_gcr3_fini(const struct hitless_port *port, struct amdvi_gcr3 *gcr3)
{
	if (!gcr3->leaves)
		return;
	/* With three levels there are tables between the root and the leaves. */
	for (unsigned i = 0; gcr3->levels == 3 && gcr3->root && i < PASIDS_PER_PAGE; i++) {
		void *table = table_at(port, (const uint64_t *)gcr3->root + i);

		if (table)
			port->free_pages(port->ctx, table, HITLESS_PAGE_SIZE);
	}
	if (gcr3->levels > 1 && gcr3->root)
		port->free_pages(port->ctx, gcr3->root, HITLESS_PAGE_SIZE);
	for (unsigned i = 0; i < leaf_count(gcr3); i++)
		if (gcr3->leaves[i])
			free_leaf(port, gcr3->leaves[i]);
	port->free(port->ctx, gcr3->leaves, leaf_count(gcr3) * sizeof(*gcr3->leaves));
	gcr3->leaves = NULL;
	gcr3->root = NULL;
}

/* The table is whole before it can be found. */
static void link_table(const struct hitless_port *port, uint64_t *entry, const void *table)
{
	uint64_t value = amdvi_gcr3_to((uintptr_t)table - port->direct_map);

	port->store64(port->ctx, entry, value);
}

/* ---- Reserve ---- */

/* As many levels more as the PASID needs. */
static int reserve_levels(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, unsigned pasid_bits)
{
	unsigned levels = gcr3->levels, most;

	if (pasid < gcr3->pasids)
		return 0;
	while (pasid >> levels * AMDVI_GCR3_LEVEL_BITS) {
		void *table = port->alloc_pages(port->ctx, HITLESS_PAGE_SIZE);

		if (!table)
			return -ENOMEM;
		gcr3->reserved.above[levels++ - gcr3->levels] = table;
	}
	most = levels * AMDVI_GCR3_LEVEL_BITS;
	gcr3->reserved.levels = levels;
	gcr3->reserved.pasids = 1u << (pasid_bits < most ? pasid_bits : most);
	gcr3->reserved.leaves = port->alloc(port->ctx, gcr3->reserved.pasids / PASIDS_PER_PAGE * sizeof(*gcr3->leaves));
	return gcr3->reserved.leaves ? 0 : -ENOMEM;
}

/* The table between root and leaf. One that gets there by growth lies under the root's first entry. */
static int reserve_middle(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, unsigned number)
{
	unsigned levels = gcr3->reserved.levels ? gcr3->reserved.levels : gcr3->levels, slot = number / PASIDS_PER_PAGE;
	bool there = gcr3->reserved.levels ? slot == 0 : levels == 3 && table_at(port, (const uint64_t *)gcr3->root + slot);

	if (levels < 3 || there)
		return 0;
	gcr3->reserved.middle = port->alloc_pages(port->ctx, HITLESS_PAGE_SIZE);
	return gcr3->reserved.middle ? 0 : -ENOMEM;
}

static RARE int reserve_leaf(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, unsigned number)
{
	if (number < leaf_count(gcr3) && gcr3->leaves[number])
		return 0;
	gcr3->reserved.leaf = make_leaf(port);
	gcr3->reserved.number = number;
	return gcr3->reserved.leaf ? 0 : -ENOMEM;
}

void amdvi_gcr3_unreserve(const struct hitless_port *port, struct amdvi_gcr3 *gcr3)
{
	for (unsigned i = 0; i < 2; i++)
		if (gcr3->reserved.above[i])
			port->free_pages(port->ctx, gcr3->reserved.above[i], HITLESS_PAGE_SIZE);
	if (gcr3->reserved.leaves)
		port->free(port->ctx, gcr3->reserved.leaves,
			   gcr3->reserved.pasids / PASIDS_PER_PAGE * sizeof(*gcr3->leaves));
	if (gcr3->reserved.middle)
		port->free_pages(port->ctx, gcr3->reserved.middle, HITLESS_PAGE_SIZE);
	if (gcr3->reserved.leaf)
		free_leaf(port, gcr3->reserved.leaf);
	memset(&gcr3->reserved, 0, sizeof(gcr3->reserved));
}

int amdvi_gcr3_reserve(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, unsigned pasid_bits)
{
	int err = reserve_levels(port, gcr3, pasid, pasid_bits);

	if (!err)
		err = reserve_middle(port, gcr3, pasid / PASIDS_PER_PAGE);
	if (!err)
		err = reserve_leaf(port, gcr3, pasid / PASIDS_PER_PAGE);
	if (err)
		amdvi_gcr3_unreserve(port, gcr3);
	return err;
}

/* ---- Build ---- */

void amdvi_gcr3_grow(const struct hitless_port *port, struct amdvi_gcr3 *gcr3)
{
	if (!gcr3->reserved.levels)
		return;
	for (unsigned i = 0; i < gcr3->reserved.levels - gcr3->levels; i++) {
		link_table(port, gcr3->reserved.above[i], gcr3->root);
		gcr3->root = gcr3->reserved.above[i];
		gcr3->reserved.above[i] = NULL;
		gcr3->tables++;
	}
	memcpy(gcr3->reserved.leaves, gcr3->leaves, leaf_count(gcr3) * sizeof(*gcr3->leaves));
	port->free(port->ctx, gcr3->leaves, leaf_count(gcr3) * sizeof(*gcr3->leaves));
	gcr3->leaves = gcr3->reserved.leaves;
	gcr3->levels = gcr3->reserved.levels;
	gcr3->pasids = gcr3->reserved.pasids;
	gcr3->reserved.leaves = NULL;
	gcr3->reserved.levels = 0;
}

void amdvi_gcr3_build(const struct hitless_port *port, struct amdvi_gcr3 *gcr3)
{
	unsigned number = gcr3->reserved.number;
	uint64_t *above = gcr3->root;

	if (!gcr3->reserved.leaf)
		return;
	if (gcr3->levels == 3) {
		uint64_t *entry = above + number / PASIDS_PER_PAGE;

		if (gcr3->reserved.middle) {
			link_table(port, entry, gcr3->reserved.middle);
			gcr3->reserved.middle = NULL;
			gcr3->tables++;
		}
		above = table_at(port, entry);
	}
	link_table(port, above + number % PASIDS_PER_PAGE, gcr3->reserved.leaf->page);
	gcr3->leaves[number] = gcr3->reserved.leaf;
	gcr3->reserved.leaf = NULL;
	gcr3->tables++;
}

void amdvi_gcr3_find(const struct amdvi_gcr3 *gcr3, uint32_t pasid, struct entry_table **table, size_t *offset)
{
	unsigned number = pasid / PASIDS_PER_PAGE;

	*table = gcr3->reserved.leaf && gcr3->reserved.number == number ? gcr3->reserved.leaf : gcr3->leaves[number];
	*offset = pasid % PASIDS_PER_PAGE * sizeof(uint64_t);
}

int amdvi_gcr3_reach(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, struct entry_table **table,
		     size_t *offset)
{
	int err;

	if (pasid >= gcr3->pasids)
		return -ERANGE;
	err = amdvi_gcr3_reserve(port, gcr3, pasid, 0);
	if (err)
		return err;
	amdvi_gcr3_build(port, gcr3);
	amdvi_gcr3_find(gcr3, pasid, table, offset);
	return 0;
}
