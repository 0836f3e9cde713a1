/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cells.h - what matrix, check and replay share: cells by name. */
#ifndef TOOL_CELLS_H
#define TOOL_CELLS_H

#include "arch.h"

#include <hitless/check.h>
#include <jansson.h>

/*
 * The cell of a transition. The device has a TLB of its own where the entries let it; `ats`: where an entry has a bit for that which its
 * name doesn't tell, it is set.
 */
void tool_cell(const struct tool_arch *arch, const struct tool_entry *entry, const struct tool_config *before,
	       const struct tool_config *after, unsigned quantum, bool private_tags, bool ats, struct hitless_cell *cell);

/* ["tear", ...] */
json_t *tool_json_freedoms(unsigned freedoms);

#endif
