/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_smmuv3.c - the Arm SMMUv3 for `hitless decode` and `hitless plan`. */
#include "arch.h"
#include "smmuv3.h"

#include <stdio.h>
#include <string.h>

/* ---- Structures ---- */

static const char *const smmu_valid_modes[] = { "not valid", "valid", NULL };
static const char *const smmu_ste_modes[] = {
	"not valid", "abort", "bypass",
	"first stage", "first stage, table of contexts", "first stage, table of contexts, bypass without SubstreamID",
	"EL2 first stage", "EL2 first stage, table of contexts", "EL2 first stage, table of contexts, bypass without SubstreamID",
	"second stage",
	"nested", "nested, table of contexts", "nested, table of contexts, second stage without SubstreamID", NULL
};
_Static_assert(sizeof(smmu_ste_modes) / sizeof(smmu_ste_modes[0]) == SMMU_STE_MODES + 1, "a name for every mode");
static const char *const smmu_cd_modes[] = { "not valid", "TTB0 and TTB1", "TTB1", "TTB0", "no tables", NULL };
static const char *const smmu_ssv_modes[] = { "no SubstreamID", "SubstreamID", NULL };
static const char *const smmu_tlbi_modes[] = { "all", "VMID", "ASID", "VMID and ASID", NULL };
static const char *const smmu_sync_modes[] = { "no signal", "interrupt", "event", "reserved", NULL };

/* A table of fields per structure, and one per field list of the registers. */
#define STRUCTURE_FIELDS(text, kind, S, nwords, mode, modes) \
	static const struct layout_field S##_fields[] = LAYOUT_TABLE(S, S##_LIST);
SMMU_STRUCTURES(STRUCTURE_FIELDS)
#define REGISTER_FIELDS(name, text, place, width, LIST) \
	static const struct layout_field reg_##name##_fields[] = LAYOUT_TABLE(SMMU_##name, LIST);
SMMU_REGISTERS(REGISTER_FIELDS)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STRUCTURE_ROW(text, what, S, nwords, mode_of, mode_names) \
	{ .name = text, .kind = what, .words = nwords, .bits = 64 * (nwords), .fields = S##_fields, \
	  .nfields = COUNT(S##_fields), .mode = mode_of, .modes = mode_names },
#define REGISTER_ROW(id, text, place, width, LIST) \
	{ .name = text, .kind = "register", .words = 1, .bits = width, .fields = reg_##id##_fields, \
	  .nfields = COUNT(reg_##id##_fields), .offset = place },
static const struct layout structures[] = { SMMU_STRUCTURES(STRUCTURE_ROW) SMMU_REGISTERS(REGISTER_ROW) };

/* ---- Meanings that are more than a list of values ---- */

static const char *event_text(uint64_t code)
{
#define EVENT(name, number, text) { number, #name ": " text },
	static const struct {
		unsigned code;
		const char *text;
	} events[] = { SMMU_EVENTS(EVENT) };

	for (unsigned i = 0; i < COUNT(events); i++)
		if (events[i].code == code)
			return events[i].text;
	return code >= 0xe0 && code <= 0xef ? "implementation defined event" : "reserved event";
}

/* A StreamID's low half is a PCI requester id where PCI is behind the unit: bus:device.function */
static void stream(uint64_t sid, char *text, size_t size)
{
	int n = sid >> 16 ? snprintf(text, size, "%x:", (unsigned)(sid >> 16)) : 0;

	snprintf(text + n, size - (size_t)n, "%02x:%02x.%x", (unsigned)(sid >> 8 & 0xff), (unsigned)(sid >> 3 & 0x1f),
		 (unsigned)(sid & 7));
}

/* The size in bytes of 2^log2 pages of 4K */
static void pages(unsigned log2, char *text, size_t size)
{
	if (log2 >= SMMU_ATC_SIZE_ALL)
		snprintf(text, size, "every address");
	else
		snprintf(text, size, "2^%u bytes", log2 + 12);
}

static bool explain(const struct layout *structure, const struct layout_field *field, uint64_t value, char *text, size_t size)
{
	const char *s = structure->name, *f = field->name;
	bool ends_in_t0sz = strcmp(f, "T0SZ") == 0 || strcmp(f, "T1SZ") == 0 || strcmp(f, "S2T0SZ") == 0;

	if (strcmp(f, "SID") == 0)
		stream(value, text, size);
	else if (strcmp(f, "CODE") == 0)
		snprintf(text, size, "%s", event_text(value));
	else if (ends_in_t0sz)
		snprintf(text, size, "addresses of %u bits", 64 - (unsigned)value);
	else if (strcmp(f, "S1CDMAX") == 0)
		snprintf(text, size, value ? "2^%u contexts" : "one context", (unsigned)value);
	else if (strcmp(f, "LOG2SIZE") == 0 || strcmp(f, "CMDQS") == 0 || strcmp(f, "EVENTQS") == 0 || strcmp(f, "PRIQS") == 0)
		snprintf(text, size, "2^%u entries", (unsigned)value);
	else if (strcmp(f, "SIDSIZE") == 0 || strcmp(f, "SSIDSIZE") == 0)
		snprintf(text, size, "%u bits", (unsigned)value);
	else if (strcmp(s, "cfgi-ste-range") == 0 && strcmp(f, "RANGE") == 0)
		snprintf(text, size, value == SMMU_CFGI_RANGE_ALL ? "every StreamID (CMD_CFGI_ALL)" : "2^%u StreamIDs",
			 (unsigned)value + 1);
	else if (strcmp(s, "atc-inv") == 0 && strcmp(f, "SIZE") == 0)
		pages((unsigned)value, text, size);
	else if (strcmp(s, "SMMU_AIDR") == 0 && strcmp(f, "MINOR") == 0)
		snprintf(text, size, "SMMUv3.%u", (unsigned)value);
	else
		return false;
	return true;
}

const struct tool_arch tool_smmuv3 = {
	.name = "smmuv3",
	.title = "Arm SMMUv3",
	.manual = "Arm System Memory Management Unit Architecture Specification, version 3 (IHI 0070, issue G.b)",
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
};
