/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_model_amdvi.c - fuzz_model.h for the AMD-Vi model. */
#include <hitless/model-amdvi.h>

#include "fuzz_model.h"
#include "amdvi.h"

static void configure_amdvi(struct fuzz *fuzz, uint64_t bits)
{
	if (bits >> 18 & 1)
		fuzz->config.capabilities[0] = amdvi_model_default_efr() ^ take(fuzz, 8);
	if (bits >> 19 & 1)
		fuzz->config.capabilities[1] = amdvi_model_default_efr2() ^ take(fuzz, 8);
	fuzz->config.capabilities[2] = bits >> 20 & AMDVI_BROKEN_ALL;
	fuzz->config.capabilities[3] = bits >> 26 & 1 ? AMDVI_MODEL_NPCACHE : 0;
}

static uint64_t amdvi_reg(unsigned byte)
{
	return byte < 0x80 ? byte * 4 : 0x2000 + (byte & 0x7f) * 4;
}

static bool amdvi_page_size(uint64_t size)
{
	return size >= 4096 && size <= 1ull << 52 && !(size & (size - 1));
}

static void acknowledge_amdvi(struct fuzz *fuzz, uint32_t data)
{
	if (data & 1)
		iommu_model_write(&fuzz->model, AMDVI_REG_STATUS, 8, ~0ull);
}

static const struct fuzz_target fuzz_target = {
	.ops = &amdvi_model,
	.rid_bytes = 2,
	.configure = configure_amdvi,
	.reg = amdvi_reg,
	.page_size = amdvi_page_size,
	.acknowledge = acknowledge_amdvi,
	.break_it = amdvi_model_break,
};
