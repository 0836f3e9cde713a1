/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * arch.h - an architecture as the command knows it: its structures to decode, its live entries to plan for.
 *
 * Each architecture is one file, arch_X.c, over the tables of layout/X.h. arch.c finds things in them.
 */
#ifndef TOOL_ARCH_H
#define TOOL_ARCH_H

#include <hitless/plan.h>

#include "layout.h"

#define TOOL_MAX_WORDS 8

/* A configuration: what a live entry says. `../shared/cells.json` has the same names. */
struct tool_config {
	const char *name;	/* "s2:did=2,root=a" */
	uint64_t words[IOMMU_ENTRY_WORDS];
};

/* A live entry and its configurations. */
struct tool_entry {
	const char *name;	/* "pasid": as in CLI.md */
	const struct entry_format *format;
	const char *tags[2];	/* the fields that hold the cache tag: the first that is looked at */
	uint32_t temporary_tag;	/* one that no configuration has */
	uint32_t pasid;		/* the entry's index, where it has one */
	/* The cache tag where the entry doesn't hold it but points to what does: a configuration's. NULL: no entry of the kind is so. */
	uint32_t (*tag_behind)(const uint64_t *words);
	bool ats_above;		/* what lets the device have a TLB is not in this entry, and does */
	/* An entry that translates as `entry` does, by tables in another format and under the temporary tag. False, or NULL: there is none. */
	bool (*standin)(const uint64_t *entry, uint64_t *standin);
	/* Several such entries on the way of stores of so many bytes, as iommu_plan_request.chain has them. Returns how many. NULL: never. */
	unsigned (*chain)(const uint64_t *before, const uint64_t *after, unsigned quantum,
			  uint64_t (*chain)[IOMMU_ENTRY_WORDS]);
	/* Makes an entry of the list one that hardware takes: some of its fields are made up. NULL: they are not. */
	void (*complete)(uint64_t *words);
	void (*set_ats)(uint64_t *words);	/* lets the device have a TLB, if the entry translates; NULL: the names tell */
	unsigned nconfigs;
	/* The configuration of that number; `words` is zeroed. */
	void (*config)(unsigned number, struct tool_config *config);
};

struct tool_arch {
	const char *name;
	const char *title;	/* for a heading */
	const char *manual;	/* whose sections the layout names */
	unsigned quantum;	/* bytes: the widest store that counts for it; 0: 16 */
	const struct layout *structures;
	unsigned nstructures;
	/* What a field's value means beyond the layout's list: a sentence in `text`, or false. */
	bool (*explain)(const struct layout *structure, const struct layout_field *field, uint64_t value, char *text,
			size_t size);
	/* Is the field an address that does not stand where it does in its word, and how far must it be shifted left? NULL: none is. */
	bool (*address_shift)(const struct layout_field *field, unsigned *shift);
	const struct tool_entry *entries;
	unsigned nentries;
};

extern const struct tool_arch tool_riscv;
extern const struct tool_arch tool_smmuv3;
extern const struct tool_arch tool_vtd;
extern const struct tool_arch tool_vtd_legacy;
extern const struct tool_arch tool_amdvi;

/* All of them, NULL behind the last. */
extern const struct tool_arch *const tool_archs[];

/* Exits with one line that names what there is. */
const struct tool_arch *tool_find_arch(const char *name);
const struct layout *tool_find_structure(const struct tool_arch *arch, const char *name);

/*
 * The two configurations of a transition, by name or by plain kind: `s2` is the first of its kind; as `to`, when `from` is of
 * that kind too, the first with another tag and root. `blocked` is the entry that blocks. Exits with one line that names what
 * there is.
 */
const struct tool_entry *tool_find_configs(const struct tool_arch *arch, const char *from, const char *to,
					   struct tool_config *before, struct tool_config *after);

/* NULL: there is none. */
const struct layout *tool_structure(const struct tool_arch *arch, const char *name);

/* The field's value; its meaning, NULL where the number says it all (`text` is room for it); its mode. */
uint64_t tool_field_value(const struct layout_field *field, const uint64_t *words);
const char *tool_field_meaning(const struct tool_arch *arch, const struct layout *structure, const struct layout_field *field,
			       uint64_t value, char *text, size_t size);
unsigned tool_mode(const struct layout *structure, const uint64_t *words);
bool tool_looked_at(const struct layout_field *field, unsigned mode);
/* An address mostly keeps its place in its word; false: the field is none. */
bool tool_field_address(const struct tool_arch *arch, const struct layout_field *field, uint64_t value, uint64_t *address);

#endif
