/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch.c - the list of architectures, and what is the same for all. */
#include "arch.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

const struct tool_arch *const tool_archs[] = { &tool_vtd, &tool_vtd_legacy, NULL };

const struct tool_arch *tool_find_arch(const char *name)
{
	char names[128] = "";

	for (unsigned i = 0; tool_archs[i]; i++) {
		if (strcmp(tool_archs[i]->name, name) == 0)
			return tool_archs[i];
		strcat(names, i ? ", " : "");
		strcat(names, tool_archs[i]->name);
	}
	tool_fail(TOOL_USAGE, "there is no architecture '%s'; there are %s", name, names);
}

const struct layout *tool_structure(const struct tool_arch *arch, const char *name)
{
	for (unsigned i = 0; i < arch->nstructures; i++)
		if (strcmp(arch->structures[i].name, name) == 0)
			return &arch->structures[i];
	return NULL;
}

const struct layout *tool_find_structure(const struct tool_arch *arch, const char *name)
{
	const struct layout *structure = tool_structure(arch, name);

	if (!structure)
		tool_fail(TOOL_USAGE, "%s has no structure '%s' (see hitless decode %s list)", arch->name, name, arch->name);
	return structure;
}

uint64_t tool_field_value(const struct layout_field *field, const uint64_t *words)
{
	return layout_get(words, field->lsb, field->width);
}

/* "0=not present|1=present": the text of `value`. */
static bool find_value(const char *values, uint64_t value, char *text, size_t size)
{
	while (*values) {
		size_t length = strcspn(values, "|");
		char *equals;

		if (strtoull(values, &equals, 10) == value && *equals == '=') {
			length -= (size_t)(equals + 1 - values);
			if (length >= size)
				length = size - 1;
			memcpy(text, equals + 1, length);
			text[length] = '\0';
			return true;
		}
		values += length;
		values += *values == '|';
	}
	return false;
}

const char *tool_field_meaning(const struct tool_arch *arch, const struct layout *structure, const struct layout_field *field,
			       uint64_t value, char *text, size_t size)
{
	if (arch->explain(structure, field, value, text, size))
		return text;
	if (!field->values[0])
		return NULL;
	return find_value(field->values, value, text, size) ? text : "reserved value";
}

unsigned tool_mode(const struct layout *structure, const uint64_t *words)
{
	return structure->mode ? structure->mode(words) : 0;
}

bool tool_looked_at(const struct layout_field *field, unsigned mode)
{
	return field->when & 1u << mode;
}

bool tool_field_address(const struct layout_field *field, uint64_t value, uint64_t *address)
{
	unsigned place = field->lsb % 64;

	/* Nothing else is that wide and does not begin at bit 0. */
	if (field->width < 40 || place == 0 || place + field->width > 64)
		return false;
	*address = value << place;
	return true;
}
