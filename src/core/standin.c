/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * standin.c - what a stand-in hop goes through: a domain's mappings in another format (DESIGN, "plan, prepare, commit").
 *
 * It is a domain itself, a second stage of the same unit, that nobody else knows of, under a temporary tag. It maps what the
 * domain maps; while it exists, the domain's map and unmap wait, so that it stays so and no invalidation has to reach its tag.
 */
#include "core.h"

static int copy_leaf(void *ctx, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot)
{
	struct iommu_domain *standin = ctx;

	/* Of requests without PASID nobody asks whether they execute. */
	return standin->pgtable.ops->map(&standin->pgtable, iova, phys, size, prot & (IOMMU_READ | IOMMU_WRITE));
}

/* Marks that hardware sets are the domain's own: they would get lost. And it must know what is mapped. */
static bool can_have_standin(const struct iommu_domain *domain)
{
	return domain && domain->type == IOMMU_DOMAIN_PAGING && domain->stage == 1 && !domain->dirty;
}

int standin_make(struct iommu_unit *unit, struct iommu_domain *domain, bool fill, struct iommu_domain **standin)
{
	struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	int err;

	*standin = NULL;
	if (!can_have_standin(domain))
		return -EOPNOTSUPP;
	desc.levels = domain_levels(domain);
	err = iommu_domain_alloc(unit, &desc, standin);
	if (err)
		return err;
	if (!fill)
		return 0;
	domain_freeze(domain);
	err = domain->pgtable.ops->for_each(&domain->pgtable, copy_leaf, *standin);
	if (err)
		standin_free(domain, standin, true);
	return err;
}

void standin_free(struct iommu_domain *domain, struct iommu_domain **standin, bool filled)
{
	if (!*standin)
		return;
	if (filled)
		domain_thaw(domain);
	iommu_domain_free(*standin);
	*standin = NULL;
}
