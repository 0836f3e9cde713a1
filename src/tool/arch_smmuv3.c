/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_smmuv3.c - the Arm SMMUv3 for `hitless decode` and `hitless plan`. */
#include "arch.h"
#include "lpae.h"
#include "smmuv3.h"

#include <hitless/smmuv3.h>

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
LPAE_STRUCTURES(STRUCTURE_FIELDS)
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
static const struct layout structures[] = { SMMU_STRUCTURES(STRUCTURE_ROW) LPAE_STRUCTURES(STRUCTURE_ROW) SMMU_REGISTERS(REGISTER_ROW) };

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

/* ---- Configurations ---- */

/* Tables have letters: tables of contexts a, b, c, d; roots of second stages a and b. Roots of first stages are pages 1, 2, 3. */
static uint64_t cd_table(char letter)
{
	return letter <= 'b' ? (uint64_t)(1 + letter - 'a') << 16 : (uint64_t)(5 + letter - 'c') << 16;
}

#define TEMPORARY_ID 9u

static const struct ste_config {
	const char *name;
	unsigned config;
	char cd;		/* its table of contexts; 0: none */
	bool bypass;		/* S1DSS */
	unsigned vmid;		/* 0: no second stage */
	char root;
} ste_configs[] = {
	{ "blocked", SMMU_CONFIG_ABORT, 0, false, 0, 0 },
	{ "identity", SMMU_CONFIG_BYPASS, 0, false, 0, 0 },
	{ "s1:cd=a", SMMU_CONFIG_S1, 'a', false, 0, 0 },
	{ "s1:cd=a,dss=bypass", SMMU_CONFIG_S1, 'a', true, 0, 0 },
	{ "s1:cd=b", SMMU_CONFIG_S1, 'b', false, 0, 0 },
	{ "s2:vmid=1,root=a", SMMU_CONFIG_S2, 0, false, 1, 'a' },
	{ "s2:vmid=2,root=b", SMMU_CONFIG_S2, 0, false, 2, 'b' },
	{ "nested:vmid=1,root=a,cd=c", SMMU_CONFIG_NESTED, 'c', false, 1, 'a' },
	{ "nested:vmid=1,root=a,cd=d", SMMU_CONFIG_NESTED, 'd', false, 1, 'a' },
	{ "nested:vmid=2,root=b,cd=c", SMMU_CONFIG_NESTED, 'c', false, 2, 'b' },
};

static void ste_config(unsigned number, struct tool_config *config)
{
	const struct ste_config *c = &ste_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	SET(SMMU_STE, V, words, 1);
	SET(SMMU_STE, CONFIG, words, c->config);
	if (c->config != SMMU_CONFIG_ABORT && (c->bypass || c->vmid || !c->cd))
		SET(SMMU_STE, SHCFG, words, SMMU_SH_INCOMING);
	if (c->cd || c->vmid)
		SET(SMMU_STE, EATS, words, SMMU_EATS_FULL);
	if (c->cd) {
		SET(SMMU_STE, S1FMT, words, SMMU_S1FMT_64K);
		SET_ADDR(SMMU_STE, S1CONTEXTPTR, words, cd_table(c->cd));
		SET(SMMU_STE, S1CDMAX, words, 8);
		SET(SMMU_STE, S1DSS, words, c->bypass ? SMMU_S1DSS_BYPASS : SMMU_S1DSS_CD0);
		SET(SMMU_STE, S1CIR, words, SMMU_CACHE_WB);
		SET(SMMU_STE, S1COR, words, SMMU_CACHE_WB);
		SET(SMMU_STE, S1CSH, words, SMMU_SH_INNER);
		SET(SMMU_STE, S1STALLD, words, 1);
	}
	if (c->vmid) {
		SET(SMMU_STE, MEV, words, c->cd != 0);
		SET(SMMU_STE, S2VMID, words, c->vmid);
		SET(SMMU_STE, S2T0SZ, words, 52);
		SET(SMMU_STE, S2IR0, words, SMMU_CACHE_WT);
		SET(SMMU_STE, S2SH0, words, 1);
		SET(SMMU_STE, S2AA64, words, 1);
		SET(SMMU_STE, S2PTW, words, 1);
		SET(SMMU_STE, S2R, words, 1);
		SET(SMMU_STE, S2TTB, words, (uint64_t)(3 + c->root - 'a') << 12);
	}
}

/*
 * VTCR is that of a unit test: an input of 12 bits, from level 2. Here it has 39, from level 1, and an output of 48. And the unit of the
 * explorer terminates faults: it has no stalls that could be disabled.
 */
static void complete_ste(uint64_t *words)
{
	SET(SMMU_STE, S1STALLD, words, 0);
	if (!(SMMU_STE_S2 >> smmu_ste_mode(words) & 1))
		return;
	SET(SMMU_STE, S2T0SZ, words, 25);
	SET(SMMU_STE, S2SL0, words, 1);
	SET(SMMU_STE, S2PS, words, SMMU_PS_48);
}

/* The same of a context: an output of 48 bits, and what is terminated is aborted. */
static void complete_cd(uint64_t *words)
{
	if (!GET(SMMU_CD, V, words))
		return;
	SET(SMMU_CD, A, words, 1);
	SET(SMMU_CD, IPS, words, SMMU_PS_48);
}

/* A second stage that translates as a host's first stage does, for requests without SubstreamID: its root is page 0x17 or 0x18. */
static bool standin(const uint64_t *entry, uint64_t *standin)
{
	if (!(SMMU_STE_EL1 >> smmu_ste_mode(entry) & 1) || (SMMU_STE_TABLE_BYPASS >> smmu_ste_mode(entry) & 1))
		return false;
	SET(SMMU_STE, V, standin, 1);
	SET(SMMU_STE, CONFIG, standin, SMMU_CONFIG_S2);
	SET(SMMU_STE, EATS, standin, GET(SMMU_STE, EATS, entry));
	SET(SMMU_STE, SHCFG, standin, SMMU_SH_INCOMING);
	SET(SMMU_STE, S2VMID, standin, TEMPORARY_ID);
	SET(SMMU_STE, S2T0SZ, standin, 25);
	SET(SMMU_STE, S2SL0, standin, 1);
	SET(SMMU_STE, S2PS, standin, SMMU_PS_48);
	SET(SMMU_STE, S2AA64, standin, 1);
	SET(SMMU_STE, S2R, standin, 1);
	SET_ADDR(SMMU_STE, S2TTB, standin, GET_ADDR(SMMU_STE, S1CONTEXTPTR, entry) == cd_table('b') ? 0x18000 : 0x17000);
	return true;
}

/* Behind each host-owned table of contexts is an ASID of its own. */
static uint32_t ste_tag_behind(const uint64_t *words)
{
	return (uint32_t)(GET_ADDR(SMMU_STE, S1CONTEXTPTR, words) >> 16);
}

static const struct cd_config {
	const char *name;
	unsigned asid;		/* 0: not valid */
	char root;		/* 0: TTB0 is not walked */
	unsigned t0sz;
} cd_configs[] = {
	{ .name = "invalid" },
	{ "s1:asid=1,root=a", 1, 'a', 16 },
	{ "s1:asid=2,root=b", 2, 'b', 16 },
	{ "s1:asid=1,root=b", 1, 'b', 16 },
	{ "s1:asid=2,root=a", 2, 'a', 16 },
	{ "s1:asid=1,root=b,tcr=2", 1, 'b', 17 },
	{ "s1:asid=3,root=c,tcr=3", 3, 'c', 25 },
	{ "disabled:asid=3", 3, 0, 0 },
};

static void cd_config(unsigned number, struct tool_config *config)
{
	const struct cd_config *c = &cd_configs[number];
	uint64_t *words = config->words;

	config->name = c->name;
	if (!c->asid)
		return;
	SET(SMMU_CD, V, words, 1);
	SET(SMMU_CD, AA64, words, 1);
	SET(SMMU_CD, EPD1, words, 1);
	SET(SMMU_CD, ASID, words, c->asid);
	SET(SMMU_CD, MAIR0, words, LPAE_MAIR_WB);
	if (c->root) {
		SET(SMMU_CD, T0SZ, words, c->t0sz);
		SET(SMMU_CD, TTB0, words, (uint64_t)(1 + c->root - 'a') << 8);
	} else {
		SET(SMMU_CD, EPD0, words, 1);
	}
}

static const struct tool_entry entries[] = {
	{
		.name = "ste",
		.format = &smmuv3_ste,
		.tags = { "S2VMID" },
		.temporary_tag = TEMPORARY_ID,
		.tag_behind = ste_tag_behind,
		.nconfigs = COUNT(ste_configs),
		.config = ste_config,
		.complete = complete_ste,
		.standin = standin,
	},
	{
		.name = "cd",
		.format = &smmuv3_cd,
		.tags = { "ASID" },
		.temporary_tag = TEMPORARY_ID,
		.nconfigs = COUNT(cd_configs),
		.config = cd_config,
		.complete = complete_cd,
		.ats_above = true,
	},
};

const struct tool_arch tool_smmuv3 = {
	.name = "smmuv3",
	.title = "Arm SMMUv3",
	.manual = "Arm System Memory Management Unit Architecture Specification, version 3 (IHI 0070, issue G.b)",
	.structures = structures,
	.nstructures = COUNT(structures),
	.explain = explain,
	.entries = entries,
	.nentries = COUNT(entries),
};
