/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_amdvi.c - AMD-Vi for `hitless decode` and `hitless plan`. */
#include "amdvi.h"
#include "arch.h"

#include <hitless/amdvi.h>

#include <stdio.h>
#include <string.h>

/* ---- Structures ---- */

static const char *const amdvi_dte_modes[] = { "DMA passes untranslated", "blocked", "identity", "host tables (v1)",
					       "guest tables (v2)", "nested", "reserved", NULL };
static const char *const amdvi_gcr3_modes[] = { "not valid", "valid", NULL };
static const char *const amdvi_v1_modes[] = { "not present", "points to a table", "maps a page", NULL };
static const char *const amdvi_wait_modes[] = { "no store", "store", NULL };

#define STRUCTURE_FIELDS(text, kind, S, nwords, mode, modes) \
	static const struct layout_field S##_fields[] = LAYOUT_TABLE(S, S##_LIST);
AMDVI_STRUCTURES(STRUCTURE_FIELDS)
#define REGISTER_FIELDS(name, text, place, width, LIST) \
	static const struct layout_field reg_##name##_fields[] = LAYOUT_TABLE(AMDVI_##name, LIST);
AMDVI_REGISTERS(REGISTER_FIELDS)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STRUCTURE_ROW(text, what, S, nwords, mode_of, mode_names) \
	{ .name = text, .kind = what, .words = nwords, .bits = 64 * (nwords), .fields = S##_fields, \
	  .nfields = COUNT(S##_fields), .mode = mode_of, .modes = mode_names },
#define REGISTER_ROW(id, text, place, width, LIST) \
	{ .name = text, .kind = "register", .words = 1, .bits = width, .fields = reg_##id##_fields, \
	  .nfields = COUNT(reg_##id##_fields), .offset = place },
static const struct layout structures[] = { AMDVI_STRUCTURES(STRUCTURE_ROW) AMDVI_REGISTERS(REGISTER_ROW) };

/* ---- Meanings that are more than a list of values ---- */

static bool explain(const struct layout *structure, const struct layout_field *field, uint64_t value, char *text, size_t size)
{
	const char *s = structure->name, *f = field->name;

	if (strcmp(f, "DEVICE_ID") == 0)
		snprintf(text, size, "%02x:%02x.%x", (unsigned)(value >> 8 & 0xff), (unsigned)(value >> 3 & 0x1f),
			 (unsigned)(value & 7));
	else if (strncmp(s, "device-table", 12) == 0 && strcmp(f, "SIZE") == 0)
		snprintf(text, size, "%u pages, %u entries", (unsigned)value + 1, ((unsigned)value + 1) * 128);
	else if (strcmp(s, "efr") == 0 && strcmp(f, "PAS_MAX") == 0)
		snprintf(text, size, "PASIDs of %u bits", (unsigned)value + 1);
	else if (strcmp(f, "INT_TAB_LEN") == 0)
		snprintf(text, size, "%u interrupts", 1u << value);
	else
		return false;
	return true;
}

/* ---- Configurations ---- */

/* Host page-table roots have letters: root a is at 0xa000. */
#define ROOT(letter) ((uint64_t)0x1000 * (10 + (letter) - 'a'))

/* GCR3 tables too, at addresses that have something in each of the pieces that a DTE keeps them in. */
static uint64_t gcr3_table(char letter)
{
	return letter == 'a' ? 0x11000 : letter == 'b' ? 0x80022000 : 0x33000;
}

#define TEMPORARY_DID 10u

static const struct dte_config {
	const char *name;
	bool passes;
	unsigned did;
	char root, gcr3;
	unsigned guest_levels;
} dte_configs[] = {
	{ .name = "blocked" },
	{ "identity:did=1", true, 1, 0, 0, 0 },
	{ "s2:did=2,root=a", true, 2, 'a', 0, 0 },
	{ "s2:did=3,root=b", true, 3, 'b', 0, 0 },
	{ "s1:did=4,gcr3=a,levels=4", true, 4, 0, 'a', 4 },
	{ "s1:did=5,gcr3=b,levels=4", true, 5, 0, 'b', 4 },
	{ "s1:did=6,gcr3=c,levels=5", true, 6, 0, 'c', 5 },
	{ "nested:did=7,root=a,gcr3=a,levels=4", true, 7, 'a', 'a', 4 },
	{ "nested:did=8,root=a,gcr3=b,levels=4", true, 8, 'a', 'b', 4 },
	{ "nested:did=9,root=a,gcr3=c,levels=5", true, 9, 'a', 'c', 5 },
};

static void dte_config(unsigned number, struct tool_config *config)
{
	const struct dte_config *c = &dte_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	SET(AMDVI_DTE, V, words, 1);
	if (!c->passes)
		return;
	SET(AMDVI_DTE, TV, words, 1);
	SET(AMDVI_DTE, IR, words, 1);
	SET(AMDVI_DTE, IW, words, 1);
	SET(AMDVI_DTE, DOMAIN_ID, words, c->did);
	if (c->root) {
		SET(AMDVI_DTE, MODE, words, 4);
		SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, words, ROOT(c->root));
	}
	if (c->gcr3) {
		SET(AMDVI_DTE, GV, words, 1);
		SET(AMDVI_DTE, GIOV, words, 1);
		SET(AMDVI_DTE, GUEST_PAGING_MODE, words, c->guest_levels == 5 ? AMDVI_GPM_5_LEVEL : AMDVI_GPM_4_LEVEL);
		amdvi_dte_set_gcr3(words, gcr3_table(c->gcr3));
	}
}

/* The same tables as those of the other kind. Guest tables of the host's own are at 0x18000, 0x19000 and 0x1a000; GCR3 tables that lead to
 * the host tables a and b, where stores have 64 bits only, at 0x1c000 and 0x1d000. */
static bool other_kind(const uint64_t *entry, uint64_t *other)
{
	unsigned n = 0;

	switch (amdvi_dte_mode(entry)) {
	case AMDVI_DTE_MODE_V2:
		while (n < 2 && gcr3_table((char)('a' + n)) != amdvi_dte_gcr3(entry))
			n++;
		amdvi_dte_other_kind(entry, 0x18000 + n * 0x1000, n == 2 ? 5 : 4, 0, other);
		return true;
	case AMDVI_DTE_MODE_V1:
		amdvi_dte_other_kind(entry, 0, 4, GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry) - ROOT('a') + 0x1c000, other);
		return true;
	default:
		return false;
	}
}

static bool standin(const uint64_t *entry, uint64_t *standin)
{
	if (amdvi_dte_mode(entry) != AMDVI_DTE_MODE_V2)
		return false;
	other_kind(entry, standin);
	SET(AMDVI_DTE, DOMAIN_ID, standin, TEMPORARY_DID);
	return true;
}

static unsigned chain(const uint64_t *before, const uint64_t *after, unsigned quantum,
		      uint64_t (*chain)[IOMMU_ENTRY_WORDS])
{
	uint64_t old[IOMMU_ENTRY_WORDS], new[IOMMU_ENTRY_WORDS];
	bool has_old = other_kind(before, old), has_new = other_kind(after, new);

	return quantum == 8 ? amdvi_dte_chain(before, after, has_old ? old : NULL, has_new ? new : NULL, TEMPORARY_DID, chain) : 0;
}

static void set_ats(uint64_t *words)
{
	SET(AMDVI_DTE, I, words, GET(AMDVI_DTE, TV, words));
}

static const struct tool_entry dte_entry = {
	.name = "dte",
	.format = &amdvi_dte,
	.tags = { "DOMAIN_ID" },
	.temporary_tag = TEMPORARY_DID,
	.nconfigs = COUNT(dte_configs),
	.standin = standin,
	.chain = chain,
	.config = dte_config,
	.set_ats = set_ats,
};

const struct tool_arch tool_amdvi = {
	.name = "amdvi",
	.title = "AMD-Vi",
	.manual = "AMD I/O Virtualization Technology (IOMMU) Specification, document 48882, revision 3.x",
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
	.entries = &dte_entry,
	.nentries = 1,
};
