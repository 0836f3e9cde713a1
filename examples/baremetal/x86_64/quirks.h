/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* quirks.h - see quirks.c. The first function comes before the unit is created with the port, which must not change after that. */
#ifndef QUIRKS_H
#define QUIRKS_H

struct iommu_unit;

void quirks_before_vtd(void);
void quirks_after_vtd(struct iommu_unit *unit);

#endif
