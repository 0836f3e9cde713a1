/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_amdv2.h - AMD's guest ("v2") page tables (section 2.2.6.4): those of x86-64 CPUs.
 *
 * NX (bit 63) stays 0: only requests with PASID ask for execution, and none of ours is refused it. U/S is 1 everywhere: a
 * request without PASID is a user's or a supervisor's as the unit likes, and both may use user pages.
 *
 * Every entry is a host ("v1") entry as well, one that says the same: what host tables look at besides, guest tables ignore, and the
 * other way round. So the device table entry can lead to the same tables as host tables: a stand-in for itself, for changes that both
 * halves of the entry would have part in (amdvi_entry.c).
 */
#ifndef FMT_AMDV2_H
#define FMT_AMDV2_H

#include "amdvi.h"

#define FMT_NAME "amd-v2"
#define FMT_OPS iommu_pgtable_amdv2
#define FMT_LAYOUT AMDVI_V2

#define X86_TABLE_BESIDES(level) (BITS(AMDVI_V1, IR) | BITS(AMDVI_V1, IW) | (uint64_t)(level) << AMDVI_V1_NEXT_LEVEL_LSB)
#define X86_LEAF_BESIDES(prot) (BITS(AMDVI_V1, FC) | BITS(AMDVI_V1, IR) | ((prot) & IOMMU_WRITE ? BITS(AMDVI_V1, IW) : 0))

#include "fmt_x86.h"

#endif
