/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pgtable.c - what the page tables of every format share. */
#include "pgtable.h"

void iommu_gather_free(struct iommu_pgtable *pt, struct iommu_gather *gather)
{
	const struct hitless_port *port = pt->config.port;
	uint64_t phys = gather->free_list;

	while (phys) {
		uint64_t *table = (uint64_t *)(uintptr_t)(phys + port->direct_map);

		phys = __atomic_load_n(table, __ATOMIC_RELAXED);
		port->free_pages(port->ctx, table, pt->ops->table_bytes);
	}
	if (gather->old_root)
		port->free_pages(port->ctx, gather->old_root, pt->ops->table_bytes);
	*gather = (struct iommu_gather)IOMMU_GATHER_INIT;
}
