/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* domain.h - cases of the domain layer: what libhitless does between two domains, recorded from its public API. */
#ifndef EXPLORE_DOMAIN_H
#define EXPLORE_DOMAIN_H

#include "explore.h"

/* Does this cell have such a mapper? NONE: always. */
bool xp_domain_has_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper);

/* Records a case; `report` is what replace has said. Errors as hitless_check_domain(). */
int xp_domain_build(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, struct xp_case *c,
		    struct iommu_replace_report *report);

/*
 * The same replace, but its n-th allocation fails, n from 1. -ENOENT: it has not so many. 0: it has failed as it should (or, if it
 * fails anyway, with all as it was). 1: it has
 * succeeded by another strategy, and `c` is that case. -EUCLEAN: something was left behind; `detail` says what.
 */
int xp_domain_fail(const struct hitless_domain_cell *cell, unsigned n, struct xp_case *c, struct iommu_replace_report *report,
		   char *detail, size_t size);

/* Damages it, as cell->mutant says. It must have no mapper. -ENOENT: there are not so many mutants. */
int xp_domain_mutate(const struct hitless_domain_cell *cell, struct xp_case *c, char *text, size_t size);
/* How many there are; the case is good for nothing else then. */
unsigned xp_domain_count_mutants(const struct hitless_domain_cell *cell, struct xp_case *c);

#endif
