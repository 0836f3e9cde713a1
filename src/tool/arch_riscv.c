/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_riscv.c - the RISC-V IOMMU for `hitless decode` and `hitless plan`. */
#include "arch.h"
#include "riscv.h"

#include <hitless/riscv.h>

#include <stdio.h>
#include <string.h>

/* ---- Structures ---- */

static const char *const riscv_valid_modes[] = { "not valid", "valid", NULL };
#define DC_MODES \
	"not valid", "identity", "first stage", "process directory, Bare", "process directory", "second stage", "nested", \
	"second stage, process directory Bare", "nested, process directory"
static const char *const riscv_dc_modes[] = { DC_MODES, NULL };
/* RISCV_DC_MODE_MSI is added to a mode with MSI translation. */
#define NO_MODE "reserved"
static const char *const riscv_dcx_modes[] = {
	DC_MODES, NO_MODE, NO_MODE, NO_MODE, NO_MODE, NO_MODE, NO_MODE, NO_MODE,
	NO_MODE, "identity, MSI table", "first stage, MSI table", "process directory, Bare, MSI table",
	"process directory, MSI table", "second stage, MSI table", "nested, MSI table",
	"second stage, process directory Bare, MSI table", "nested, process directory, MSI table", NULL
};
_Static_assert(sizeof(riscv_dc_modes) / sizeof(riscv_dc_modes[0]) == RISCV_DC_MODES + 1, "a name for every mode");
_Static_assert(sizeof(riscv_dcx_modes) / sizeof(riscv_dcx_modes[0]) == RISCV_DC_MODE_MSI + RISCV_DC_MODES + 1,
	       "a name for every mode");
static const char *const riscv_pc_modes[] = { "not valid", "Bare", "first stage", NULL };
static const char *const riscv_pte_modes[] = { "not valid", "pointer to a table", "leaf", NULL };
static const char *const riscv_msipte_modes[] = { "not valid", "memory-resident interrupt file", "basic translate", "reserved",
						  NULL };
static const char *const riscv_iotinval_scopes[] = { "all", "address", "PSCID", "PSCID and address", "GSCID", "GSCID and address",
						     "GSCID and PSCID", "GSCID, PSCID and address", NULL };
static const char *const riscv_iofence_modes[] = { "no store", "stores data", NULL };
static const char *const riscv_iodir_scopes[] = { "whole device directory", "no device", "one device", "one process", NULL };
static const char *const riscv_ats_modes[] = { "no PASID", "PASID", "segment, no PASID", "segment and PASID", NULL };

/* A table of fields per structure, and one per field list of the registers. */
#define STRUCTURE_FIELDS(text, kind, S, nwords, mode, modes) \
	static const struct layout_field S##_fields[] = LAYOUT_TABLE(S, S##_LIST);
RISCV_STRUCTURES(STRUCTURE_FIELDS)
#define REGISTER_FIELDS(name, text, place, width, LIST) \
	static const struct layout_field reg_##name##_fields[] = LAYOUT_TABLE(RISCV_##name, LIST);
RISCV_REGISTERS(REGISTER_FIELDS)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STRUCTURE_ROW(text, what, S, nwords, mode_of, mode_names) \
	{ .name = text, .kind = what, .words = nwords, .bits = 64 * (nwords), .fields = S##_fields, \
	  .nfields = COUNT(S##_fields), .mode = mode_of, .modes = mode_names },
#define REGISTER_ROW(id, text, place, width, LIST) \
	{ .name = text, .kind = "register", .words = 1, .bits = width, .fields = reg_##id##_fields, \
	  .nfields = COUNT(reg_##id##_fields), .offset = place },
static const struct layout structures[] = { RISCV_STRUCTURES(STRUCTURE_ROW) RISCV_REGISTERS(REGISTER_ROW) };

/* ---- Meanings that are more than a list of values ---- */

static const char *fault_cause(uint64_t code)
{
#define CAUSE(name, number, cause, dtf, text) { number, text },
	static const struct {
		unsigned code;
		const char *text;
	} causes[] = { RISCV_FAULT_CAUSES(CAUSE) };

	for (unsigned i = 0; i < COUNT(causes); i++)
		if (causes[i].code == code)
			return causes[i].text;
	return code >= 2048 ? "custom fault cause" : "reserved fault cause";
}

/* segment:bus:device.function */
static void requester(uint64_t did, char *text, size_t size)
{
	int n = did >> 16 ? snprintf(text, size, "%02x:", (unsigned)(did >> 16)) : 0;

	snprintf(text + n, size - (size_t)n, "%02x:%02x.%x", (unsigned)(did >> 8 & 0xff), (unsigned)(did >> 3 & 0x1f),
		 (unsigned)(did & 7));
}

static bool explain(const struct layout *structure, const struct layout_field *field, uint64_t value, char *text, size_t size)
{
	const char *s = structure->name, *f = field->name;

	if (strcmp(f, "DID") == 0 || strcmp(f, "RID") == 0)
		requester(value, text, size);
	else if (strcmp(s, "fault-record") == 0 && strcmp(f, "CAUSE") == 0)
		snprintf(text, size, "%s", fault_cause(value));
	else if (strcmp(f, "VERSION") == 0)
		snprintf(text, size, "version %u.%u", (unsigned)value >> 4, (unsigned)value & 15);
	else if (strcmp(f, "PAS") == 0)
		snprintf(text, size, "physical addresses of %u bits", (unsigned)value);
	else if (strcmp(f, "LOG2SZ") == 0)
		snprintf(text, size, "2^%u entries", (unsigned)value + 1);
	else if (strcmp(s, "iofence") == 0 && strcmp(f, "ADDR") == 0)
		snprintf(text, size, "address 0x%llx", (unsigned long long)value << 2);
	else
		return false;
	return true;
}

/* Page numbers are at bit 0 or 10 of their words, and those of commands' addresses at 10 too: none stands where it does in the address. */
static bool address_shift(const struct layout_field *field, unsigned *shift)
{
	size_t length = strlen(field->name);
	bool page = length >= 3 && strcmp(field->name + length - 3, "PPN") == 0;

	*shift = 12;
	return page || (field->width == 52 && field->lsb % 64 == 10);
}

/* ---- Configurations ---- */

/* Page-table roots have letters: root a is page 0xa; x and y are roots of second stages, p and q process directories. */
static uint64_t root(char letter)
{
	switch (letter) {
	case 'x':
		return 0x10;
	case 'y':
		return 0x20;
	case 'p':
		return 0x50;
	case 'q':
		return 0x60;
	default:
		return (uint64_t)(10 + letter - 'a');
	}
}

#define TEMPORARY_ID 9u

static const struct dc_config {
	const char *name;
	bool valid, pdtv;
	unsigned gscid;
	char second;
	unsigned pscid;
	char first;
} dc_configs[] = {
	{ .name = "invalid" },
	{ "identity", true, false, 0, 0, 0, 0 },
	{ "identity:pdt=bare", true, true, 0, 0, 0, 0 },
	{ "s1:pscid=1,root=a", true, false, 0, 0, 1, 'a' },
	{ "s1:pscid=2,root=b", true, false, 0, 0, 2, 'b' },
	{ "s1:pscid=1,root=b", true, false, 0, 0, 1, 'b' },
	{ "s2:gscid=1,root=x", true, false, 1, 'x', 0, 0 },
	{ "s2:gscid=2,root=y", true, false, 2, 'y', 0, 0 },
	{ "nested:gscid=1,parent=x,pscid=1,root=e", true, false, 1, 'x', 1, 'e' },
	{ "nested:gscid=1,parent=x,pscid=2,root=f", true, false, 1, 'x', 2, 'f' },
	{ "s1:pdt=p", true, true, 0, 0, 0, 'p' },
	{ "s1:pdt=q", true, true, 0, 0, 0, 'q' },
	{ "nested:gscid=1,parent=x,pdt=p", true, true, 1, 'x', 0, 'p' },
};

static void dc_config(unsigned number, struct tool_config *config)
{
	const struct dc_config *c = &dc_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	if (!c->valid)
		return;
	SET(RISCV_DC, V, words, 1);
	SET(RISCV_DC, PDTV, words, c->pdtv);
	SET(RISCV_DC, DPE, words, c->pdtv);
	if (c->second) {
		SET(RISCV_DC, G_MODE, words, RISCV_G_SV39X4);
		SET(RISCV_DC, GSCID, words, c->gscid);
		SET(RISCV_DC, G_PPN, words, root(c->second));
	}
	if (c->first) {
		SET(RISCV_DC, PSCID, words, c->pscid);
		SET(RISCV_DC, FSC_MODE, words, c->pdtv ? RISCV_PDTP_PD8 : RISCV_S_SV39);
		SET(RISCV_DC, FSC_PPN, words, root(c->first));
	}
}

/* A second stage that translates as a process directory's process 0 does: its root is page 0x44 or 0x48. */
static bool standin(const uint64_t *entry, uint64_t *standin)
{
	if (riscv_dc_mode(entry) != RISCV_DC_MODE_PROCESS)
		return false;
	SET(RISCV_DC, V, standin, 1);
	SET(RISCV_DC, EN_ATS, standin, GET(RISCV_DC, EN_ATS, entry));
	SET(RISCV_DC, G_MODE, standin, RISCV_G_SV39X4);
	SET(RISCV_DC, G_PPN, standin, GET(RISCV_DC, FSC_PPN, entry) == root('p') ? 0x44 : 0x48);
	SET(RISCV_DC, GSCID, standin, TEMPORARY_ID);
	return true;
}

static void set_ats(uint64_t *words)
{
	SET(RISCV_DC, EN_ATS, words, GET(RISCV_DC, V, words));
}

static const struct pc_config {
	const char *name;
	bool valid;
	unsigned pscid;
	char first;
} pc_configs[] = {
	{ .name = "invalid" },
	{ "identity", true, 0, 0 },
	{ "s1:pscid=1,root=a", true, 1, 'a' },
	{ "s1:pscid=2,root=b", true, 2, 'b' },
	{ "s1:pscid=1,root=b", true, 1, 'b' },
};

static void pc_config(unsigned number, struct tool_config *config)
{
	const struct pc_config *c = &pc_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	if (!c->valid)
		return;
	SET(RISCV_PC, V, words, 1);
	if (c->first) {
		SET(RISCV_PC, PSCID, words, c->pscid);
		SET(RISCV_PC, FSC_MODE, words, RISCV_S_SV39);
		SET(RISCV_PC, FSC_PPN, words, root(c->first));
	}
}

static const struct tool_entry entries[] = {
	{
		.name = "dc",
		.format = &riscv_dc,
		.tags = { "GSCID", "PSCID" },
		.temporary_tag = TEMPORARY_ID,
		.nconfigs = COUNT(dc_configs),
		.config = dc_config,
		.standin = standin,
		.set_ats = set_ats,
	},
	{
		.name = "pc",
		.format = &riscv_pc,
		.tags = { "PSCID" },
		.temporary_tag = 9,
		.nconfigs = COUNT(pc_configs),
		.config = pc_config,
		.ats_above = true,
	},
};

const struct tool_arch tool_riscv = {
	.name = "riscv",
	.title = "RISC-V IOMMU",
	.manual = "RISC-V IOMMU Architecture Specification, version 1.0 and later; P: the privileged architecture, A: the Advanced "
		  "Interrupt Architecture",
	.quantum = 8,
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
	.address_shift = address_shift,
	.entries = entries,
	.nentries = COUNT(entries),
};
