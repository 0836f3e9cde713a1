/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_model_vtd.c - fuzz_model.h for the VT-d model. */
#include <hitless/model-vtd.h>

#include "fuzz_model.h"
#include "vtd.h"

static void configure_vtd(struct fuzz *fuzz, uint64_t bits)
{
	if (bits >> 18 & 1)
		fuzz->config.capabilities[0] = vtd_model_default_cap() ^ take(fuzz, 8);
	if (bits >> 19 & 1)
		fuzz->config.capabilities[1] = vtd_model_default_ecap() ^ take(fuzz, 8);
	fuzz->config.capabilities[2] = bits >> 20 & VTD_BROKEN_ALL;
	if (bits >> 25 & 1)
		fuzz->config.capabilities[3] = 32 + take(fuzz, 1) % 22;
}

static uint64_t vtd_reg(unsigned byte)
{
	return byte;
}

static bool vtd_page_size(uint64_t size)
{
	return size == 4096 || size == 1u << 21 || size == 1u << 30;
}

static void acknowledge_vtd(struct fuzz *fuzz, uint32_t data)
{
	if (data & 1)
		iommu_model_write(&fuzz->model, VTD_REG_FSTS, 4, ~0u);
}

static const struct fuzz_target fuzz_target = {
	.ops = &vtd_model,
	.rid_bytes = 2,
	.configure = configure_vtd,
	.reg = vtd_reg,
	.page_size = vtd_page_size,
	.acknowledge = acknowledge_vtd,
	.break_it = vtd_model_break,
};
