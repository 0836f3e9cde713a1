/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* domain.c - what matrix and check know of the domain layer: kinds of domains, mappers, faults, by name. */
#include "cells.h"
#include "run.h"
#include "tool.h"

#include <string.h>

const struct tool_kind tool_kinds[] = {
	{ "blocked", { .type = IOMMU_DOMAIN_BLOCKED } },
	{ "identity", { .type = IOMMU_DOMAIN_IDENTITY } },
	{ "s1", { .type = IOMMU_DOMAIN_PAGING, .stage = 1 } },
	{ "s2", { .type = IOMMU_DOMAIN_PAGING, .stage = 2 } },
	{ "nested", { .type = IOMMU_DOMAIN_NESTED } },
	{ "nested:parent=b", { .type = IOMMU_DOMAIN_NESTED, .levels = 1 } },
	{ .name = NULL },
};

struct iommu_domain_desc tool_find_kind(const char *name)
{
	size_t n = strcspn(name, ":");

	for (const struct tool_kind *kind = tool_kinds; kind->name; kind++) {
		struct iommu_domain_desc desc = kind->desc;

		if (strcmp(kind->name, name) == 0)
			return desc;
		if (strlen(kind->name) != n || memcmp(kind->name, name, n) != 0)
			continue;
		if (strncmp(name + n, ":levels=", 8) == 0 && desc.type == IOMMU_DOMAIN_PAGING && name[n + 8] >= '3' &&
		    name[n + 8] <= '6' && !name[n + 9]) {
			desc.levels = (unsigned)(name[n + 8] - '0');
			return desc;
		}
		if (strcmp(name + n, ":dirty=on") == 0 && desc.type == IOMMU_DOMAIN_PAGING) {
			desc.dirty = true;
			return desc;
		}
	}
	tool_fail(TOOL_USAGE, "--layer domain: there is no kind of domain '%s'; there are blocked, identity, s1, s2, nested, nested:parent=b, "
		  "and of s1 and s2 :levels=N and :dirty=on", name);
}

unsigned tool_find_mapper(const char *name)
{
	static const char *const names[] = {
		[HITLESS_MAPPER_NONE] = "none", [HITLESS_MAPPER_OLD] = "old", [HITLESS_MAPPER_OLD_TABLE] = "old-table",
		[HITLESS_MAPPER_NEW] = "new", [HITLESS_MAPPER_NEW_TABLE] = "new-table", [HITLESS_MAPPERS] = "all",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return i;
	tool_fail(TOOL_USAGE, "--mapper: '%s' is not none, old, old-table, new, new-table or all", name);
}

enum hitless_pasid tool_find_pasid(const char *name)
{
	for (unsigned i = 0; i < HITLESS_PASIDS; i++)
		if (strcmp(hitless_pasid_name((enum hitless_pasid)i), name) == 0)
			return (enum hitless_pasid)i;
	tool_fail(TOOL_USAGE, "--pasid: '%s' is not none, replaced or beside", name);
}

unsigned tool_devices(const char *value)
{
	if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0)
		tool_fail(TOOL_USAGE, "--devices: '%s' is not 1 or 2", value);
	return (unsigned)(value[0] - '0');
}

bool tool_layer(const char *value)
{
	if (strcmp(value, "domain") != 0 && strcmp(value, "entry") != 0)
		tool_fail(TOOL_USAGE, "--layer: '%s' is not entry or domain", value);
	return value[0] == 'd';
}

const struct hitless_fault *tool_find_fault(const char *name)
{
	const struct run_fault *fault = run_find_fault(name);

	return fault ? &fault->fault : NULL;
}

/* A nested domain's parent does. */
static bool has_mappings(const struct iommu_domain_desc *desc)
{
	return desc->type == IOMMU_DOMAIN_PAGING || desc->type == IOMMU_DOMAIN_NESTED;
}

json_t *tool_json_mappers(const struct hitless_domain_cell *cell)
{
	json_t *names = json_array();

	for (unsigned mapper = HITLESS_MAPPER_NONE + 1; mapper < HITLESS_MAPPERS; mapper++)
		if ((cell->mapper == mapper || cell->mapper == HITLESS_MAPPERS) &&
		    has_mappings(mapper <= HITLESS_MAPPER_OLD_TABLE ? &cell->from : &cell->to))
			json_array_append_new(names, json_string(hitless_mapper_name(mapper)));
	return names;
}
