/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_vtd.c - Intel VT-d for `hitless decode` and `hitless plan`, in its two modes. */
#include "arch.h"
#include "vtd.h"

#include <hitless/vtd.h>

#include <stdio.h>
#include <string.h>

/* ---- Structures ---- */

static const char *const vtd_present_modes[] = { "not present", "present", NULL };
static const char *const vtd_smroot_modes[] = { "not present", "lower half present", "upper half present", "both halves present",
						NULL };
static const char *const vtd_context_modes[] = { "not present", "second stage", "pass-through", "reserved", NULL };
static const char *const vtd_pasid_modes[] = { "not present", "first stage", "second stage", "nested", "pass-through", "reserved",
					       NULL };
static const char *const vtd_context_scopes[] = { "reserved", "global", "domain-selective", "device-selective", NULL };
static const char *const vtd_pasid_scopes[] = { "domain-selective", "pasid-selective", "reserved", "global", NULL };
static const char *const vtd_iotlb_scopes[] = { "reserved", "global", "domain-selective", "page-selective-within-domain", NULL };
static const char *const vtd_piotlb_scopes[] = { "reserved", "reserved", "pasid-selective", "page-selective-within-pasid", NULL };
static const char *const vtd_iec_scopes[] = { "global", "index-selective", NULL };
static const char *const vtd_wait_modes[] = { "no status write", "status write", NULL };

/* A table of fields per structure, and one per field list of the registers: GCMD and GSTS share theirs. */
#define STRUCTURE_FIELDS(text, kind, S, nwords, mode, modes) \
	static const struct layout_field S##_fields[] = LAYOUT_TABLE(S, S##_LIST);
VTD_STRUCTURES(STRUCTURE_FIELDS)
#define REGISTER_FIELDS(name, text, place, width, LIST) \
	static const struct layout_field reg_##name##_fields[] = LAYOUT_TABLE(VTD_##name, LIST);
VTD_REGISTERS(REGISTER_FIELDS)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STRUCTURE_ROW(text, what, S, nwords, mode_of, mode_names) \
	{ .name = text, .kind = what, .words = nwords, .bits = 64 * (nwords), .fields = S##_fields, \
	  .nfields = COUNT(S##_fields), .mode = mode_of, .modes = mode_names },
#define REGISTER_ROW(id, text, place, width, LIST) \
	{ .name = text, .kind = "register", .words = 1, .bits = width, .fields = reg_##id##_fields, \
	  .nfields = COUNT(reg_##id##_fields), .offset = place },
static const struct layout structures[] = { VTD_STRUCTURES(STRUCTURE_ROW) VTD_REGISTERS(REGISTER_ROW) };

/* ---- Meanings that are more than a list of values ---- */

static const char *fault_reason(uint64_t code)
{
#define REASON(name, number, cause, text) { number, text },
	static const struct {
		unsigned code;
		const char *text;
	} reasons[] = { VTD_FAULT_REASONS(REASON) };

	for (unsigned i = 0; i < COUNT(reasons); i++)
		if (reasons[i].code == code)
			return reasons[i].text;
	return "reserved fault reason";
}

static const char *descriptor_type(uint64_t type)
{
	static const char *const types[] = {
		[VTD_DESC_CONTEXT] = "context-cache invalidate", [VTD_DESC_IOTLB] = "IOTLB invalidate",
		[VTD_DESC_DEVTLB] = "device-TLB invalidate",	 [VTD_DESC_IEC] = "interrupt-entry-cache invalidate",
		[VTD_DESC_WAIT] = "invalidation wait",		 [VTD_DESC_PIOTLB] = "PASID-based IOTLB invalidate",
		[VTD_DESC_PASID] = "PASID-cache invalidate",	 [VTD_DESC_PDEVTLB] = "PASID-based device-TLB invalidate",
	};

	return type < COUNT(types) && types[type] ? types[type] : "reserved type";
}

static void requester(uint64_t rid, char *text, size_t size)
{
	snprintf(text, size, "%02x:%02x.%x", (unsigned)(rid >> 8 & 0xff), (unsigned)(rid >> 3 & 0x1f), (unsigned)(rid & 7));
}

/* SAGAW: a bit per width. */
static void widths(uint64_t sagaw, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s%s", sagaw & VTD_SAGAW_3_LEVEL ? "39-bit " : "", sagaw & VTD_SAGAW_4_LEVEL ? "48-bit " : "",
		 sagaw & VTD_SAGAW_5_LEVEL ? "57-bit " : "", sagaw & 0xe ? "second stages" : "no second stage");
}

static bool explain(const struct layout *structure, const struct layout_field *field, uint64_t value, char *text, size_t size)
{
	const char *s = structure->name, *f = field->name;

	if (strcmp(f, "SID") == 0 || strcmp(f, "ITESID") == 0 || strcmp(f, "ICESID") == 0)
		requester(value, text, size);
	else if (strcmp(s, "fault-record") == 0 && strcmp(f, "FR") == 0)
		snprintf(text, size, "%s", fault_reason(value));
	else if (strcmp(structure->kind, "command") == 0 && strcmp(f, "TYPE") == 0)
		snprintf(text, size, "%s", descriptor_type(value));
	else if (strcmp(f, "AM") == 0)
		snprintf(text, size, "2^%u pages of 4K", (unsigned)value);
	else if (strcmp(s, "cap") == 0 && strcmp(f, "SAGAW") == 0)
		widths(value, text, size);
	else if (strcmp(s, "cap") == 0 && strcmp(f, "MGAW") == 0)
		snprintf(text, size, "guest addresses of %u bits", (unsigned)value + 1);
	else if (strcmp(s, "cap") == 0 && strcmp(f, "FRO") == 0)
		snprintf(text, size, "fault records at offset 0x%x", (unsigned)value * 16);
	else if (strcmp(s, "cap") == 0 && strcmp(f, "NFR") == 0)
		snprintf(text, size, "fault records: %u", (unsigned)value + 1);
	else if (strcmp(s, "cap") == 0 && strcmp(f, "MAMV") == 0)
		snprintf(text, size, "at most 2^%u pages an invalidation", (unsigned)value);
	else if (strcmp(s, "ecap") == 0 && strcmp(f, "IRO") == 0)
		snprintf(text, size, "IOTLB registers at offset 0x%x", (unsigned)value * 16);
	else if (strcmp(s, "ecap") == 0 && strcmp(f, "PSS") == 0)
		snprintf(text, size, "PASIDs of %u bits", (unsigned)value + 1);
	else if (strcmp(s, "iqa") == 0 && strcmp(f, "QS") == 0)
		snprintf(text, size, "2^%u pages", (unsigned)value);
	else
		return false;
	return true;
}

/* ---- Configurations ---- */

/* Page-table roots have letters: root a is at 0xa000. */
#define ROOT(letter) ((uint64_t)0x1000 * (10 + (letter) - 'a'))

static const struct pasid_config {
	const char *name;
	unsigned pgtt;
	unsigned did;
	char second, first;	/* roots */
	bool dirty;
} pasid_configs[] = {
	{ .name = "invalid" },
	{ "identity:did=1", VTD_PGTT_PASS, 1, 0, 0, false },
	{ "s2:did=2,root=a", VTD_PGTT_SECOND, 2, 'a', 0, false },
	{ "s2:did=3,root=b", VTD_PGTT_SECOND, 3, 'b', 0, false },
	{ "s2:did=2,root=b", VTD_PGTT_SECOND, 2, 'b', 0, false },
	{ "s2:did=2,root=a,dirty=on", VTD_PGTT_SECOND, 2, 'a', 0, true },
	{ "s1:did=4,root=c", VTD_PGTT_FIRST, 4, 0, 'c', false },
	{ "s1:did=5,root=d", VTD_PGTT_FIRST, 5, 0, 'd', false },
	{ "s1:did=4,root=d", VTD_PGTT_FIRST, 4, 0, 'd', false },
	{ "s1:did=5,root=c", VTD_PGTT_FIRST, 5, 0, 'c', false },
	{ "nested:did=6,parent=a,root=e", VTD_PGTT_NESTED, 6, 'a', 'e', false },
	{ "nested:did=7,parent=a,root=f", VTD_PGTT_NESTED, 7, 'a', 'f', false },
	{ "nested:did=6,parent=a,root=f", VTD_PGTT_NESTED, 6, 'a', 'f', false },
	{ "nested:did=8,parent=b,root=e", VTD_PGTT_NESTED, 8, 'b', 'e', false },
};

static void pasid_config(unsigned number, struct tool_config *config)
{
	const struct pasid_config *c = &pasid_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	if (!c->pgtt)
		return;
	SET(VTD_PASID, P, words, 1);
	SET(VTD_PASID, AW, words, VTD_AW_4_LEVEL);
	SET(VTD_PASID, PGTT, words, c->pgtt);
	SET(VTD_PASID, SSADE, words, c->dirty);
	SET(VTD_PASID, DID, words, c->did);
	SET(VTD_PASID, PWSNP, words, 1);
	if (c->second)
		SET_ADDR(VTD_PASID, SSPTPTR, words, ROOT(c->second));
	if (c->first)
		SET_ADDR(VTD_PASID, FSPTPTR, words, ROOT(c->first));
}

static const struct context_config {
	const char *name;
	bool present;
	unsigned tt;
	unsigned aw;	/* pass-through wants the widest that the unit has */
	unsigned did;
	char root;
} context_configs[] = {
	{ .name = "invalid" },
	{ "identity", true, VTD_TT_PASS, VTD_AW_5_LEVEL, 1, 0 },
	{ "s2:did=2,root=a", true, VTD_TT_UNTRANSLATED, VTD_AW_4_LEVEL, 2, 'a' },
	{ "s2:did=3,root=b", true, VTD_TT_UNTRANSLATED, VTD_AW_4_LEVEL, 3, 'b' },
	{ "s2:did=2,root=b", true, VTD_TT_UNTRANSLATED, VTD_AW_4_LEVEL, 2, 'b' },
	{ "s2:did=2,root=a,devtlb=on", true, VTD_TT_DEVTLB, VTD_AW_4_LEVEL, 2, 'a' },
};

static void context_config(unsigned number, struct tool_config *config)
{
	const struct context_config *c = &context_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	if (!c->present)
		return;
	SET(VTD_CONTEXT, P, words, 1);
	SET(VTD_CONTEXT, TT, words, c->tt);
	SET(VTD_CONTEXT, AW, words, c->aw);
	SET(VTD_CONTEXT, DID, words, c->did);
	if (c->root)
		SET_ADDR(VTD_CONTEXT, SSPTPTR, words, ROOT(c->root));
}

static const struct tool_entry pasid_entry = {
	.ats_above = true,
	.name = "pasid",
	.format = &vtd_pasid_entry,
	.tags = { "DID" },
	.temporary_tag = 9,
	.nconfigs = COUNT(pasid_configs),
	.config = pasid_config,
};

static const struct tool_entry context_entry = {
	.name = "context",
	.format = &vtd_context_entry,
	.tags = { "DID" },
	.temporary_tag = 9,
	.nconfigs = COUNT(context_configs),
	.config = context_config,
};

#define MANUAL "Intel Virtualization Technology for Directed I/O, Architecture Specification, revision 4.x"

const struct tool_arch tool_vtd = {
	.name = "vtd",
	.title = "Intel VT-d",
	.manual = MANUAL,
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
	.entries = &pasid_entry,
	.nentries = 1,
};

const struct tool_arch tool_vtd_legacy = {
	.name = "vtd-legacy",
	.title = "Intel VT-d, legacy mode",
	.manual = MANUAL,
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
	.entries = &context_entry,
	.nentries = 1,
};
