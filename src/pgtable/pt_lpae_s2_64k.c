/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_lpae_s2_64k.c - Arm's stage 2 with pages of 64 KiB: the engine with this format. */
#define FMT_NAME	"lpae-s2-64k"
#define FMT_OPS		iommu_pgtable_lpae_s2_64k
#define LPAE_PAGE_SHIFT 16
#include "fmt_lpae_s2.h"

#include "pt_engine.h"
