/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch.c - the list of architectures, and what is the same for all. */
#include "arch.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

const struct tool_arch *const tool_archs[] = { &tool_vtd, &tool_vtd_legacy, &tool_amdvi, &tool_riscv, &tool_smmuv3, NULL };

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

/* ---- Configurations ---- */

/* "s2" of "s2:did=2,root=a"; the entry that translates nothing has two names. */
static bool is_kind(const char *name, const char *kind)
{
	size_t length = strcspn(name, ":");

	if (strcmp(kind, "blocked") == 0 && strcmp(name, "invalid") == 0)
		return true;
	return strncmp(name, kind, length) == 0 && !kind[length];
}

/* The value of `key` in "s2:did=2,root=a", and its length; NULL: there is none. */
static const char *key_value(const char *name, const char *key, size_t *length)
{
	size_t n = strlen(key);

	for (name = strchr(name, ':'); name; name = strchr(name, ',')) {
		name++;
		if (strncmp(name, key, n) == 0 && name[n] == '=') {
			*length = strcspn(name + n + 1, ",");
			return name + n + 1;
		}
	}
	return NULL;
}

/* Do two configurations share a tag or a root? */
static bool related(const char *a, const char *b)
{
	static const char *const keys[] = { "did", "root", "cd", "vmid", "asid", "gcr3", "gscid", "pscid", "pdt" };
	size_t na, nb;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *va = key_value(a, keys[i], &na), *vb = key_value(b, keys[i], &nb);

		if (va && vb && na == nb && strncmp(va, vb, na) == 0)
			return true;
	}
	return false;
}

static void get_config(const struct tool_entry *entry, unsigned number, struct tool_config *config)
{
	memset(config, 0, sizeof(*config));
	entry->config(number, config);
}

/* `other`: the name of the configuration that one of the same plain kind must not be related to; NULL: any will do. */
static bool find_config(const struct tool_entry *entry, const char *name, const char *other, struct tool_config *config)
{
	for (unsigned i = 0; i < entry->nconfigs; i++) {
		get_config(entry, i, config);
		if (strcmp(config->name, name) == 0)
			return true;
	}
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < entry->nconfigs; i++) {
			get_config(entry, i, config);
			/* A kind with one configuration: from it to itself. */
			if (is_kind(config->name, name) && (pass || !other || !related(config->name, other)))
				return true;
		}
	return false;
}

static _Noreturn void no_config(const struct tool_arch *arch, const char *option, const char *name)
{
	char names[1024] = "";
	struct tool_config config;

	for (unsigned e = 0; e < arch->nentries; e++)
		for (unsigned i = 0; i < arch->entries[e].nconfigs; i++) {
			get_config(&arch->entries[e], i, &config);
			strcat(names, names[0] ? " " : "");
			strcat(names, config.name);
		}
	tool_fail(TOOL_USAGE, "%s: %s has no configuration '%s'; there are %s", option, arch->name, name, names);
}

const struct tool_entry *tool_find_configs(const struct tool_arch *arch, const char *from, const char *to,
					   struct tool_config *before, struct tool_config *after)
{
	bool found = false;

	for (unsigned e = 0; e < arch->nentries; e++) {
		if (!find_config(&arch->entries[e], from, NULL, before))
			continue;
		found = true;
		if (find_config(&arch->entries[e], to, before->name, after))
			return &arch->entries[e];
	}
	no_config(arch, found ? "--to" : "--from", found ? to : from);
}

/* ---- Fields ---- */

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

bool tool_field_address(const struct tool_arch *arch, const struct layout_field *field, uint64_t value, uint64_t *address)
{
	unsigned place = field->lsb % 64, shift;

	if (arch->address_shift && arch->address_shift(field, &shift)) {
		*address = value << shift;
		return true;
	}

	/* Nothing else is that wide and does not begin at bit 0. */
	if (field->width < 40 || place == 0 || place + field->width > 64)
		return false;
	*address = value << place;
	return true;
}
