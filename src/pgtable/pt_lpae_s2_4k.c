/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_lpae_s2_4k.c - Arm's stage 2 with pages of 4 KiB: the engine with this format. */
#define FMT_NAME	"lpae-s2-4k"
#define FMT_OPS		iommu_pgtable_lpae_s2_4k
#define LPAE_PAGE_SHIFT 12
#include "fmt_lpae_s2.h"

#include "pt_engine.h"
