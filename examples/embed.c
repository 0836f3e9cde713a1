/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* embed.c - a device does DMA in one domain; replace puts another one behind it. What your own world must do is in port.h. */
#include "port.h"

static _Alignas(4096) uint64_t old_page[512] = { 111 }, new_page[512] = { 222 };

static void must(int err)
{
	if (err)
		exit(1);
}

int main(void)
{
	const struct hitless_port *port = example_port();
	const struct vtd_unit_desc vtd = { .registers = EXAMPLE_REGISTERS };
	const struct iommu_domain_desc paging = { .type = IOMMU_DOMAIN_PAGING };
	struct iommu_domain *old_domain, *new_domain;
	struct iommu_replace_report report;
	struct iommu_device *device;
	struct iommu_group *group;
	struct iommu_unit *unit;
	uint64_t before, after;

	must(vtd_unit_create(port, &vtd, &unit));
	must(iommu_group_alloc(port, &group));
	must(iommu_group_add_device(group, &(struct iommu_device_desc){ .unit = unit, .rids = { 0x10 }, .nrids = 1 }, &device));
	must(iommu_domain_alloc(unit, &paging, &old_domain));
	must(iommu_domain_alloc(unit, &paging, &new_domain));
	must(iommu_map(old_domain, 0x1000, (uintptr_t)old_page, 4096, IOMMU_READ | IOMMU_WRITE));
	must(iommu_map(new_domain, 0x1000, (uintptr_t)new_page, 4096, IOMMU_READ | IOMMU_WRITE));

	must(iommu_attach_group(group, old_domain));
	before = example_dma(0x10, 0x1000);
	must(iommu_group_replace_domain(group, new_domain, NULL, &report));
	after = example_dma(0x10, 0x1000);
	printf("the device read %u, then %u\n", (unsigned)before, (unsigned)after);
	printf("%s, %s, stores: %u, rounds: %u\n", iommu_strategy_name(report.strategy), report.hitless ? "hitless" : report.why,
	       report.cost.stores, report.cost.rounds);

	must(iommu_detach_group(group));
	must(iommu_group_remove_device(group, device));
	must(iommu_group_free(group));
	must(iommu_domain_free(old_domain));
	must(iommu_domain_free(new_domain));
	must(iommu_unit_destroy(unit));
	return before == 111 && after == 222 && report.hitless ? 0 : 1;
}
