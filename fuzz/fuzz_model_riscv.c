/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_model_riscv.c - fuzz_model.h for the model of the RISC-V IOMMU. */
#include <hitless/model-riscv.h>

#include "fuzz_model.h"
#include "riscv.h"

static void configure_riscv(struct fuzz *fuzz, uint64_t bits)
{
	if (bits >> 18 & 1)
		fuzz->config.capabilities[0] = riscv_model_default_capabilities() ^ take(fuzz, 8);
	if (bits >> 19 & 1)
		fuzz->config.capabilities[1] = take(fuzz, 1) & RISCV_MODEL_OPTIONS;
	fuzz->config.capabilities[2] = bits >> 20 & RISCV_BROKEN_ALL;
}

static uint64_t riscv_reg(unsigned byte)
{
	return byte * 4;
}

static bool riscv_page_size(uint64_t size)
{
	return size == 4096 || size == 1u << 21 || size == 1u << 30 || size == 1ull << 39 || size == 1ull << 48;
}

static void acknowledge_riscv(struct fuzz *fuzz, uint32_t data)
{
	if (data & 1)
		iommu_model_write(&fuzz->model, RISCV_REG_IPSR, 4, ~0u);
	if (data & 2)
		iommu_model_write(&fuzz->model, RISCV_REG_CQCSR, 4, ~0u);
}

static void page_request(struct fuzz *fuzz)
{
	uint64_t words[2];

	words[0] = take(fuzz, 8);
	words[1] = take(fuzz, 8);
	(void)riscv_model_page_request(&fuzz->model, words);
}

static const struct fuzz_target fuzz_target = {
	.ops = &riscv_model,
	.rid_bytes = 3,
	.configure = configure_riscv,
	.reg = riscv_reg,
	.page_size = riscv_page_size,
	.acknowledge = acknowledge_riscv,
	.break_it = riscv_model_break,
	.extra = page_request,
};
