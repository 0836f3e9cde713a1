/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_model_smmuv3.c - fuzz_model.h for the Arm SMMUv3 model. */
#include <hitless/model-smmuv3.h>

#include "fuzz_model.h"
#include "smmuv3.h"

static void configure_smmuv3(struct fuzz *fuzz, uint64_t bits)
{
	uint64_t defaults[2];

	smmuv3_model_default_capabilities(defaults);
	for (unsigned i = 0; i < 2; i++) {
		if (bits >> (18 + i) & 1)
			fuzz->config.capabilities[i] = defaults[i] ^ take(fuzz, 8);
	}
	fuzz->config.capabilities[2] = bits >> 20 & SMMUV3_MODEL_OPTIONS;
	fuzz->config.capabilities[3] = bits >> 22 & SMMUV3_BROKEN_ALL;
}

/* Pages 0 and 1. */
static uint64_t smmuv3_reg(unsigned byte)
{
	return byte < 0x80 ? byte * 4 : 0x10000 + (byte & 0x7f) * 4;
}

/* Leaves of three granules, and contiguous ones. */
static bool smmuv3_page_size(uint64_t size)
{
	static const uint8_t sizes[] = { 12, 14, 16, 21, 25, 29, 30, 34 };

	for (unsigned i = 0; i < sizeof(sizes); i++) {
		if (size == 1ull << sizes[i])
			return true;
	}
	return false;
}

static void acknowledge_smmuv3(struct fuzz *fuzz, uint32_t data)
{
	if (data & 1)
		iommu_model_write(&fuzz->model, SMMU_REG_GERRORN, 4, iommu_model_read(&fuzz->model, SMMU_REG_GERROR, 4));
	if (data & 2)
		iommu_model_write(&fuzz->model, SMMU_REG_EVENTQ_CONS, 4, iommu_model_read(&fuzz->model, SMMU_REG_EVENTQ_PROD, 4));
}

static const struct fuzz_target fuzz_target = {
	.ops = &smmuv3_model,
	.rid_bytes = 3,
	.configure = configure_smmuv3,
	.reg = smmuv3_reg,
	.page_size = smmuv3_page_size,
	.acknowledge = acknowledge_smmuv3,
	.break_it = smmuv3_model_break,
};
