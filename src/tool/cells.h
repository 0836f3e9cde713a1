/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cells.h - what matrix, check and replay share: cells by name. */
#ifndef TOOL_CELLS_H
#define TOOL_CELLS_H

#include "arch.h"

#include <hitless/check.h>
#include <jansson.h>

/* The cell of a transition, as explored by default: the device has a TLB of its own where the entries let it. */
void tool_cell(const struct tool_arch *arch, const struct tool_config *before, const struct tool_config *after, unsigned quantum,
	       bool private_tags, struct hitless_cell *cell);

/* ["tear", ...] */
json_t *tool_json_freedoms(unsigned freedoms);

#endif
