/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_gcr3.c - guest CR3 tables (2.2.6.3): which guest table a PASID has.
 *
 * One to three levels of 512 entries, nine bits of the PASID each. Only the entries of the lowest level are live entries that a domain
 * is put into; the tables above them are made when a PASID below them is first wanted, and stay until the whole goes.
 */
#include "amdvi_driver.h"

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

int amdvi_gcr3_reach(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, struct entry_table **table,
		     size_t *offset)
{
	const unsigned number = pasid / PASIDS_PER_PAGE;
	uint64_t *above = gcr3->root;

	if (pasid >= gcr3->pasids)
		return -ERANGE;
	if (!gcr3->leaves[number]) {
		struct entry_table *leaf;

		if (gcr3->levels == 3) {
			uint64_t *entry = above + number / PASIDS_PER_PAGE;

			above = table_at(port, entry);
			if (!above) {
				above = port->alloc_pages(port->ctx, HITLESS_PAGE_SIZE);
				if (!above)
					return -ENOMEM;
				link_table(port, entry, above);
			}
		}
		leaf = make_leaf(port);
		if (!leaf)
			return -ENOMEM;
		link_table(port, above + number % PASIDS_PER_PAGE, leaf->page);
		gcr3->leaves[number] = leaf;
	}
	*table = gcr3->leaves[number];
	*offset = pasid % PASIDS_PER_PAGE * sizeof(uint64_t);
	return 0;
}
