/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_amdv2.h - AMD's guest ("v2") page tables (section 2.2.6.4): those of x86-64 CPUs.
 *
 * NX (bit 63) stays 0: only requests with PASID ask for execution, and none of ours is refused it. U/S is 1 everywhere: a
 * request without PASID is a user's or a supervisor's as the unit likes, and both may use user pages.
 */
#ifndef FMT_AMDV2_H
#define FMT_AMDV2_H

#include "amdvi.h"

#define FMT_NAME "amd-v2"
#define FMT_OPS iommu_pgtable_amdv2
#define FMT_LAYOUT AMDVI_V2

#include "fmt_x86.h"

#endif
