/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fmt_vtd_fs.h - VT-d first-stage page tables (section 9.7): those of x86-64 CPUs.
 *
 * XD (bit 63) stays 0: it is reserved while NXE of the PASID entry is 0, as in our entries, and
 * revisions after 4.1 have dropped both together with the requests that ask for execution. U/S is 1
 * everywhere: DMA is user access unless its PASID prefix says otherwise, and supervisor access may
 * use user pages too (3.6.2). A and D are set from the start: a unit whose walks don't snoop can't
 * set them but faults (3.6.3, fault reason 90h).
 */
#ifndef FMT_VTD_FS_H
#define FMT_VTD_FS_H

#include "vtd.h"

#define FMT_NAME "vtd-fs"
#define FMT_OPS	 iommu_pgtable_vtd_fs
#define FMT_LAYOUT VTD_FS

#include "fmt_x86.h"

#endif
