/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sequence.h - a sequence of somebody's driver, as text: docs/sequence.md. */
#ifndef EXPLORE_SEQUENCE_H
#define EXPLORE_SEQUENCE_H

#include "explore.h"

/* -EINVAL: `error` says what is wrong, and in which line. */
int xp_sequence(const char *text, unsigned freedoms, struct xp_case *c, char *error, size_t error_size);

#endif
