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

/* ---- Domain layer ---- */

/* What a domain can be; the last has no name. */
struct tool_kind {
	const char *name;
	struct iommu_domain_desc desc;
};

extern const struct tool_kind tool_kinds[];

/* These exit with one line that says what there is. */
struct iommu_domain_desc tool_find_kind(const char *name);
unsigned tool_find_mapper(const char *name);
unsigned tool_devices(const char *value);
enum hitless_pasid tool_find_pasid(const char *name);
/* "domain" is true, "entry" is false. */
bool tool_layer(const char *value);

/* A fault of inject.c, for the checker; NULL: there is none of that name. */
const struct hitless_fault *tool_find_fault(const char *name);

/* ["unmap in the old domain", ...]: those that the cell has. */
json_t *tool_json_mappers(const struct hitless_domain_cell *cell);

/* ["tear", ...] */
json_t *tool_json_freedoms(unsigned freedoms);

#endif
