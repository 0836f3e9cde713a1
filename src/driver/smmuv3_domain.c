/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* smmuv3_domain.c - which page tables a unit walks, and how large (3.4, 3.13, 6.3.6). */
#include "smmuv3_driver.h"

unsigned smmuv3_bits_of_size(unsigned size)
{
	static const unsigned bits[] = {
		[SMMU_PS_32] = 32, [SMMU_PS_36] = 36, [SMMU_PS_40] = 40, [SMMU_PS_42] = 42,
		[SMMU_PS_44] = 44, [SMMU_PS_48] = 48, [SMMU_PS_52] = 52, [SMMU_PS_56] = 56,
	};

	return bits[size];
}

/* What the unit has (IDR5.OAS), as far as page tables of the granule can say it. */
unsigned smmuv3_output_size(const struct smmuv3_unit *smmu)
{
	unsigned size = (unsigned)SMMUV3_IDR(smmu, 5, OAS), most = smmu->page_shift == 16 ? SMMU_PS_52 : SMMU_PS_48;

	return size < most ? size : most;
}

bool smmuv3_has_dirty(const struct smmuv3_unit *smmu)
{
	return SMMUV3_IDR(smmu, 0, HTTU) >= SMMU_HTTU_DIRTY && !smmuv3_noncoherent(smmu);
}

static bool has_stage(const struct smmuv3_unit *smmu, unsigned stage)
{
	return stage == 1 ? SMMUV3_IDR(smmu, 0, S1P) : SMMUV3_IDR(smmu, 0, S2P);
}

/* The widest address: of stage 1 what IDR5.VAX says, of stage 2 what can be an intermediate address. */
static unsigned most_input_bits(const struct smmuv3_unit *smmu, unsigned stage)
{
	if (stage == 2)
		return smmuv3_bits_of_size(smmuv3_output_size(smmu));
	return smmu->page_shift == 16 && SMMUV3_IDR(smmu, 5, VAX) ? 52 : 48;
}

/* The widest with so many levels, or of all; 0: there is none. */
static unsigned input_bits(const struct smmuv3_unit *smmu, unsigned stage, unsigned levels)
{
	unsigned bits = most_input_bits(smmu, stage), reach;

	if (!levels)
		return bits;
	if (levels > 4)
		return 0;
	/* Up to 16 tables of the first level side by side are four bits more. */
	reach = lpae_shift(smmu->page_shift, levels) + (stage == 2 ? 4 : 0);
	if (bits > reach)
		bits = reach;
	return lpae_levels(smmu->page_shift, bits, stage == 2) == levels ? bits : 0;
}

static const struct iommu_pgtable_ops *table_ops(const struct smmuv3_unit *smmu, unsigned stage)
{
	switch (smmu->page_shift) {
	case 12:
		return stage == 1 ? &iommu_pgtable_lpae_s1_4k : &iommu_pgtable_lpae_s2_4k;
	case 14:
		return stage == 1 ? &iommu_pgtable_lpae_s1_16k : &iommu_pgtable_lpae_s2_16k;
	default:
		return stage == 1 ? &iommu_pgtable_lpae_s1_64k : &iommu_pgtable_lpae_s2_64k;
	}
}

/*
 * Hints that leaves are contiguous may be taken back live from BBM level 1 on. Leaves may change their size freely at level 2, by way of
 * nT at level 1, and never at level 0 (3.21.1).
 */
static unsigned bbm_level(const struct smmuv3_unit *smmu)
{
	return (unsigned)SMMUV3_IDR(smmu, 3, BBML);
}

/* A table of CPUs with pages of 4 KiB. Its memory attributes are indexes into smmuv3_make_cd()'s MAIR. */
static bool takes_external(const struct smmuv3_unit *smmu)
{
	return has_stage(smmu, 1) && smmu->page_shift == 12 && most_input_bits(smmu, 1) == SMMUV3_EXTERNAL_BITS;
}

RARE int smmuv3_domain_init(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	struct iommu_pgtable_config config = {
		.port = unit->port,
		.max_page_shift = lpae_shift(smmu->page_shift, lpae_max_leaf_level(smmu->page_shift)),
		.output_bits = smmuv3_bits_of_size(smmuv3_output_size(smmu)),
		.noncoherent = smmuv3_noncoherent(smmu),
		.dirty = desc->dirty,
		.contiguous = bbm_level(smmu) >= 1 && !desc->dirty,
		.no_split = bbm_level(smmu) == 0,
		.mark_split = bbm_level(smmu) == 1,
	};

	if (desc->type == IOMMU_DOMAIN_BLOCKED || desc->type == IOMMU_DOMAIN_IDENTITY)
		return 0;
	if (desc->type == IOMMU_DOMAIN_EXTERNAL) {
		domain->external_levels = desc->levels ? desc->levels : 4;
		if (domain->external_levels != 4 || !takes_external(smmu))
			return -EINVAL;
		return smmuv3_noncoherent(smmu) ? -EOPNOTSUPP : 0;
	}
	/* A first stage is replaced behind the device's own table of contexts: nobody else's entries are flushed. */
	if (domain->stage == 0)
		domain->stage = has_stage(smmu, 1) ? 1 : 2;
	if (!has_stage(smmu, domain->stage))
		return -EINVAL;
	config.input_bits = input_bits(smmu, domain->stage, desc->levels);
	if (!config.input_bits)
		return -EINVAL;
	config.levels = lpae_levels(smmu->page_shift, config.input_bits, domain->stage == 2);
	if (desc->dirty && !smmuv3_has_dirty(smmu))
		return -EOPNOTSUPP;
	domain->pgtable.ops = table_ops(smmu, domain->stage);
	return domain->pgtable.ops->init(&domain->pgtable, &config);
}

/* A domain that was made for another unit of this driver: does this one walk its tables? */
int smmuv3_domain_check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	const struct smmuv3_unit *smmu = to_smmuv3_const(unit);
	const struct iommu_pgtable_config *config = &domain->pgtable.config;

	(void)device;
	if (domain->type == IOMMU_DOMAIN_EXTERNAL)
		return takes_external(smmu) && !smmuv3_noncoherent(smmu) ? 0 : -EINVAL;
	if (domain->type != IOMMU_DOMAIN_PAGING)
		return domain->type == IOMMU_DOMAIN_BLOCKED || domain->type == IOMMU_DOMAIN_IDENTITY ? 0 : -EINVAL;
	if (!has_stage(smmu, domain->stage) || domain->pgtable.ops != table_ops(smmu, domain->stage) ||
	    config->input_bits > most_input_bits(smmu, domain->stage) ||
	    config->output_bits > smmuv3_bits_of_size(smmuv3_output_size(smmu)))
		return -EINVAL;
	if ((smmuv3_noncoherent(smmu) && !config->noncoherent) || (config->contiguous && bbm_level(smmu) < 1) ||
	    (!config->no_split && bbm_level(smmu) < (config->mark_split ? 1 : 2)))
		return -EINVAL;
	return domain->dirty && !smmuv3_has_dirty(smmu) ? -EINVAL : 0;
}
