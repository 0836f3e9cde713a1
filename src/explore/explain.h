/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* explain.h - why a mutant that survives is harmless; cases of cells. */
#ifndef EXPLORE_EXPLAIN_H
#define EXPLORE_EXPLAIN_H

#include "report.h"

/* check.c: the case of a cell, damaged as it says. Errors as hitless_check_cell(). */
int xp_build(const struct hitless_cell *cell, struct xp_case *c, struct iommu_plan *plan, char *mutant, size_t mutant_size);

/* The reason, each one checked here; NULL: none holds. 0, or -ENOMEM. */
int xp_explain(const struct hitless_cell *cell, const char **reason);

#endif
