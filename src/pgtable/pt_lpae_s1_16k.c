/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_lpae_s1_16k.c - Arm's stage 1 with pages of 16 KiB: the engine with this format. */
#define FMT_NAME	"lpae-s1-16k"
#define FMT_OPS		iommu_pgtable_lpae_s1_16k
#define LPAE_PAGE_SHIFT 14
#include "fmt_lpae_s1.h"

#include "pt_engine.h"
