/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_used_bits_smmuv3.c - test_used_bits.c for the SMMUv3: does the hardware look at just the bits of a stream table entry, a
 * context descriptor and their first-level descriptors that the layout says it looks at?
 *
 * Every bit of every kind of entry is flipped, and three models, one with all features, one with few and one that caches, are asked
 * a few hundred questions: if any answer changes, the hardware looks at the bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model_smmuv3.h"

#define DEV 0x1200u	/* with an L1STD of its own */
#define ASIDE 0x1400u	/* fills the TLB with the first stage's tags; ASIDE + 1 with the second's */
#define GUEST 0x40000000ull
#define HIGH (~0ull << 48)
#define VMID 3u
#define ASID 7u

/* ---- One RAM with a table of each kind, and three units over it ---- */

static struct box rich, poor, caching;
static uint64_t *pristine;
static size_t used_ram;
static uint64_t first_compared;
static struct pt s1, high, s2;
static bool tables_changed; /* by a unit, since they were restored */
static uint64_t contexts, leaf_contexts, l1_contexts;

static void note_change(void *ctx, uint64_t addr)
{
	(void)ctx;
	tables_changed |= addr >= first_compared;
}

static void open_unit(struct box *box, bool few, unsigned freedoms)
{
	struct iommu_model_config config = box_config();

	smmuv3_model_default_capabilities(config.capabilities);
	if (few) {
		config.capabilities[0] &= ~(BITS(SMMU_IDR0, HTTU) | BITS(SMMU_IDR0, ASID16) | BITS(SMMU_IDR0, VMID16));
		config.capabilities[1] &= ~(BITS(SMMU_IDR3, XNX) | BITS(SMMU_IDR3, STT));
	}
	config.freedoms = freedoms;
	assert_int_equal(box_open(box, &config), 0);
	box_tables(box);
	box->port.dirty = note_change;
	if (box != &rich) {
		free(box->ram);
		box->ram = rich.ram;
	}
}

/* Of the second stage: only some sizes of its input, of its output, and some settings let one through. */
static const uint64_t ipas[] = { 1ull << 39, 1ull << 36, 0x1000, 0x3000, 0x4000 };

/* Pages that differ in rights and flags; of both halves, and of the second stage. */
static void map_pages(const struct pt *pt, uint64_t to)
{
	uint64_t *leaf;

	for (unsigned i = 0; i < 10; i++) {
		leaf = pt_map(&rich, pt, i * PAGE, rich.guest + to + i * PAGE, 0);
		SET(LPAE_S1, AP1, leaf, i != 1);
		SET(LPAE_S1, AP2, leaf, i == 2);
		SET(LPAE_S1, AF, leaf, i != 3);
		SET(LPAE_S1, XN, leaf, i == 4);
		if (i >= 5 && i <= 6) /* what only some output sizes reach */
			SET_ADDR(LPAE_S1, ADDR, leaf, i == 5 ? 1ull << 33 : 1ull << 41);
		SET(LPAE_S1, NG, leaf, i != 8);
	}
	/* Under a table that takes rights away; and as far up as addresses go. */
	pt_map(&rich, pt, 1 << 21, rich.guest + to + 0x10000, 0);
	SET(LPAE_TABLE, AP_TABLE, pt_entry(&rich, pt, 1 << 21, 1), LPAE_AP_TABLE_NO_WRITE);
	pt_map(&rich, pt, 1ull << 47, rich.guest + to + 0x11000, 0);
	/* The second stage's own pages: map_second(). */
	for (unsigned i = 0; rich.guest && i < 5; i++)
		pt_map(&rich, pt, 0xa000 + i * PAGE, ipas[i], 0);
}

static void map_second(void)
{
	uint64_t *leaf;

	map_ram(&rich, &s2);
	pt_map(&rich, &s2, 0, 0x30000, 0);
	pt_map(&rich, &s2, 1ull << 39, 0x31000, 0);
	pt_map(&rich, &s2, 1ull << 36, 0x32000, 0);
	pt_map(&rich, &s2, 0x3000, 1ull << 33, 0);
	pt_map(&rich, &s2, 0x4000, 1ull << 41, 0);
	leaf = pt_map(&rich, &s2, 0x1000, 0x33000, 0);
	SET(LPAE_S2, AF, leaf, 0);
	leaf = pt_map(&rich, &s2, 0x2000, 0x34000, 0);
	SET(LPAE_S2, XN, leaf, LPAE_S2_XN_UNPRIVILEGED);
}

/* What streams beside the one in question have at the page for tags: other addresses than its own tables. */
static void build_aside(void)
{
	uint64_t guest = rich.guest, cd = box_page(&rich);
	struct pt first, second = pt_new(&rich, 12, 40, true);

	rich.guest = 0;
	first = pt_new(&rich, 12, 48, false);
	for (unsigned i = 7; i < 9; i++) {
		SET(LPAE_S1, NG, pt_map(&rich, &first, i * PAGE, 0x50000 + i * PAGE, 0), i != 8);
		pt_map(&rich, &second, i * PAGE, 0x60000 + i * PAGE, 0);
	}
	cd_set_ttb1(&rich, cd_set(&rich, cd, &first, ASID), &first);
	SET(SMMU_STE, S2VMID, ste_s1(&rich, ASIDE, cd), VMID);
	ste_s2(&rich, ASIDE + 1, &second, VMID);
	rich.guest = guest;
}

static void build(void)
{
	open_unit(&rich, false, 0);
	open_unit(&poor, true, 0);
	open_unit(&caching, false, IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	first_compared = rich.status + PAGE;
	rich.guest = GUEST;
	s2 = pt_new(&rich, 12, 40, true);
	s1 = pt_new(&rich, 12, 48, false);
	high = pt_new(&rich, 12, 48, false);
	map_second();
	map_pages(&s1, 0x10000);
	map_pages(&high, 0x70000);
	contexts = box_pages_aligned(&rich, 16);
	leaf_contexts = box_page(&rich);
	l1_contexts = box_page(&rich);
	ste_at(&rich, DEV);
	build_aside();
	used_ram = rich.next_page;
	pristine = malloc(used_ram);
}

/* ---- Kinds of entries ---- */

enum what { STE, CD, L1STD, L1CD };

struct kind {
	const char *name;
	enum what what;
	uint64_t entry[8];
};

static unsigned words_of(const struct kind *kind)
{
	return kind->what == STE || kind->what == CD ? 8 : 1;
}

static uint64_t place_of(const struct kind *kind)
{
	switch (kind->what) {
	case STE:
		return (uint64_t)(ste_at(&rich, DEV) - rich.ram) * 8;
	case CD:
		return contexts;
	case L1STD:
		return (uint64_t)(l1std_at(&rich, DEV) - rich.ram) * 8;
	default:
		return l1_contexts;
	}
}

/* The world around an entry of that kind, and then the entry. Tables of the first stage are at IPAs, for all. */
static void place(const struct kind *kind, const uint64_t *entry)
{
	uint64_t *ste;

	if (tables_changed)
		memcpy(rich.ram, pristine, used_ram);
	tables_changed = false;
	memcpy(at(&rich, place_of(kind)), &pristine[place_of(kind) / 8], words_of(kind) * 8);
	ste = ste_at(&rich, DEV);
	if (kind->what == L1STD) {
		ste_bypass(&rich, DEV);
	} else if (kind->what != STE) {
		ste_nested(&rich, DEV, kind->what == CD ? contexts : l1_contexts, &s2, VMID);
		SET(SMMU_STE, S1CDMAX, ste, kind->what == CD ? 0 : 7);
		SET(SMMU_STE, S1FMT, ste, SMMU_S1FMT_4K);
		SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_CD0);
	}
	memcpy(at(&rich, place_of(kind)), entry, words_of(kind) * 8);
}

static void use(const struct kind *kind, uint64_t used[8])
{
	uint32_t mode_bit;

	memset(used, 0, 64);
	switch (kind->what) {
	case STE:
		mode_bit = 1u << smmu_ste_mode(kind->entry);
		SMMU_STE_LIST(SMMU_STE, LAYOUT_USE)
		break;
	case CD:
		mode_bit = 1u << smmu_cd_mode(kind->entry);
		SMMU_CD_LIST(SMMU_CD, LAYOUT_USE)
		break;
	case L1STD:
		mode_bit = 1u << smmu_l1std_mode(kind->entry);
		SMMU_L1STD_LIST(SMMU_L1STD, LAYOUT_USE)
		break;
	default:
		mode_bit = 1u << smmu_l1cd_mode(kind->entry);
		SMMU_L1CD_LIST(SMMU_L1CD, LAYOUT_USE)
		break;
	}
}

static const struct layout_field ste_fields[] = LAYOUT_TABLE(SMMU_STE, SMMU_STE_LIST);
static const struct layout_field cd_fields[] = LAYOUT_TABLE(SMMU_CD, SMMU_CD_LIST);
static const struct layout_field l1std_fields[] = LAYOUT_TABLE(SMMU_L1STD, SMMU_L1STD_LIST);
static const struct layout_field l1cd_fields[] = LAYOUT_TABLE(SMMU_L1CD, SMMU_L1CD_LIST);

/* The field that a bit belongs to; NULL: reserved. */
static const struct layout_field *field_at(const struct kind *kind, unsigned bit)
{
	const struct layout_field *const tables[] = { ste_fields, cd_fields, l1std_fields, l1cd_fields };
	const size_t counts[] = {
		sizeof(ste_fields) / sizeof(ste_fields[0]), sizeof(cd_fields) / sizeof(cd_fields[0]),
		sizeof(l1std_fields) / sizeof(l1std_fields[0]), sizeof(l1cd_fields) / sizeof(l1cd_fields[0]),
	};

	for (size_t i = 0; i < counts[kind->what]; i++) {
		const struct layout_field *field = &tables[kind->what][i];

		if (bit >= field->lsb && bit < field->lsb + field->width)
			return field;
	}
	return NULL;
}

/* ---- Questions and answers ---- */

static const uint64_t addresses[] = {
	0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x9000, 0xa000, 0xb000, 0xc000, 0xd000, 0xe000, 1 << 21, 1ull << 36, 1ull << 39, 1ull << 47, 0x12ull << 56,
	HIGH, HIGH + 0x1000, HIGH + 0x3000, HIGH + 0x5000, HIGH + 0x6000, HIGH + (1 << 21), HIGH + (1ull << 47), (HIGH + 0x1000) & ~(0x12ull << 56),
	GUEST + 0x5000, 1ull << 50,
};

#define NADDRESSES (sizeof(addresses) / sizeof(addresses[0]))
#define NACCESSES 6
#define NPASIDS 4
#define NATS 16
#define NSTREAMS 3
#define NQUESTIONS (NADDRESSES * (2 * NACCESSES + NPASIDS - 2) + NATS + NSTREAMS)
#define NTAGS 6

struct answer {
	uint32_t state, reason, rights, recorded;
	uint64_t phys, size;
};

struct answers {
	struct answer each[2][NQUESTIONS];
	struct answer tags[NTAGS];
	bool changed[2];	/* tables are not as they were: `memory` */
	uint64_t *memory[2];
};

static const uint32_t pasids[NPASIDS] = { IOMMU_NO_PASID, 0, 1, 2 };
static const uint8_t accesses[NACCESSES] = {
	IOMMU_READ, IOMMU_WRITE, IOMMU_EXEC, IOMMU_READ | IOMMU_PRIV, IOMMU_WRITE | IOMMU_PRIV, IOMMU_EXEC | IOMMU_PRIV,
};

static void ask_one(struct box *box, struct answer *answer, uint32_t sid, uint32_t pasid, uint64_t addr, unsigned access,
		    unsigned kind)
{
	struct iommu_request r = go_kind(box, sid, pasid, addr, access, kind);
	uint64_t record[SMMU_EVENT_WORDS];

	answer->state = r.state;
	answer->reason = r.reason;
	/* And with which attributes. */
	if (next_event(box, record))
		answer->recorded = 1 | (uint32_t)(record[1] >> 32) << 1;
	if (r.state == IOMMU_REQUEST_DONE) {
		answer->phys = r.phys;
		answer->rights = r.rights;
		answer->size = r.size;
	}
}

static void ask(struct box *box, struct answer *answer)
{
	for (unsigned p = 0; p < NPASIDS; p++)
		for (unsigned a = 0; a < NADDRESSES; a++)
			for (unsigned i = 0; i < (p < 2 ? NACCESSES : 1); i++)
				ask_one(box, answer++, DEV, pasids[p], addresses[a], accesses[i], IOMMU_REQUEST_UNTRANSLATED);
	for (unsigned i = 0; i < NATS; i++)
		ask_one(box, answer++, DEV, pasids[i / 4], addresses[i % 2 ? 0 : 2], IOMMU_READ | IOMMU_WRITE,
			i & 2 ? IOMMU_REQUEST_TRANSLATION : IOMMU_REQUEST_TRANSLATED);
	for (unsigned i = 0; i < NSTREAMS; i++)
		ask_one(box, answer++, DEV + (i == 0 ? 2 : i == 1 ? 8 : 200), IOMMU_NO_PASID, 0, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
}

/* Others have filled the TLB: does the stream hit what is there? */
static void ask_tags(struct answer *answers)
{
	flush(&caching);
	for (unsigned i = 0; i < NTAGS; i++) {
		uint64_t page = (7 + i % 2) * PAGE + (i < 4 ? 0 : HIGH); /* local, global */

		for (unsigned aside = 0; aside < (i < 4 ? 2 : 1); aside++)
			assert_int_equal(go(&caching, ASIDE + aside, IOMMU_NO_PASID, page, IOMMU_READ).reason, 0);
		ask_one(&caching, &answers[i], DEV, pasids[i / 2 % 2], page, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	}
}

static void ask_all(const struct kind *kind, const uint64_t *entry, struct answers *answers)
{
	memset(answers->each, 0, sizeof(answers->each));
	memset(answers->tags, 0, sizeof(answers->tags));
	for (unsigned i = 0; i < 2; i++) {
		place(kind, entry);
		ask(i ? &poor : &rich, answers->each[i]);
		answers->changed[i] = tables_changed;
		if (!tables_changed)
			continue;
		memcpy(answers->memory[i], &rich.ram[first_compared / 8], used_ram - first_compared);
		/* The entry itself differs, of course. */
		if (place_of(kind) >= first_compared)
			memset(&answers->memory[i][(place_of(kind) - first_compared) / 8], 0, words_of(kind) * 8);
	}
	place(kind, entry);
	ask_tags(answers->tags);
}

static bool same(const struct answers *a, const struct answers *b)
{
	for (unsigned i = 0; i < 2; i++) {
		if (a->changed[i] != b->changed[i] ||
		    (a->changed[i] && memcmp(a->memory[i], b->memory[i], used_ram - first_compared) != 0))
			return false;
	}
	return memcmp(a->each, b->each, sizeof(a->each)) == 0 && memcmp(a->tags, b->tags, sizeof(a->tags)) == 0;
}

static struct answers before, after;

static void allocate(struct answers *answers)
{
	for (unsigned i = 0; i < 2; i++)
		answers->memory[i] = malloc(used_ram - first_compared);
}

/* ---- Flipping ---- */

/* What no answer of the model shows: attributes of memory and of transactions, and features that it doesn't have. */
static const char *const ste_not_modelled[] = {
	"S1CIR", "S1COR", "S1CSH", "S2HWU59", "S2HWU60", "S2HWU61", "S2HWU62", "DRE", "CONT", "DCP", "PPAR", "MEV", "S1PIE", "S2FWB",
	"S1MPAM", "MEMATTR", "MTCFG", "ALLOCCFG", "SHCFG", "S2IR0", "S2OR0", "S2SH0", "S2PTW", "S2HAFT", "S2PIE", "S2POE",
	"DPT_VMATCH", "S2SL0_2", "S2DS", "PARTID", "PMG", "ASSUREDONLY", "TL0", "TL1", "VMSPTR", "S2POI", NULL
};
static const char *const cd_not_modelled[] = {
	"IR0", "OR0", "SH0", "IR1", "OR1", "SH1", "HAFT", "PNCH", "EPAN", "HWU0", "AIE", "DS", "PIE", "HWU1", "MAIR0", "MAIR1", "AMAIR0",
	"AMAIR1", "PARTID", "PMG", "PIIU", "PIIP", NULL
};
static const char *const none[] = { NULL };

static bool named(const struct layout_field *field, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(field->name, *names) == 0)
			return true;
	}
	return false;
}

static bool is(const struct layout_field *field, const char *name)
{
	return strcmp(field->name, name) == 0;
}

/*
 * Bits that the hardware looks at and that make no difference here: of an address those within the size of what is there; of what
 * has several encodings for one thing, the change to another of them; overrides of attributes where nothing is checked.
 */
static bool is_invisible(const struct kind *kind, const struct layout_field *field, unsigned bit)
{
	unsigned mode;

	switch (kind->what) {
	case STE:
		mode = smmu_ste_mode(kind->entry);
		if (is(field, "CONFIG"))
			return mode == SMMU_STE_MODE_ABORT && bit < field->lsb + 2u;
		if (is(field, "PRIVCFG") || is(field, "INSTCFG"))
			return mode == SMMU_STE_MODE_BYPASS;
		if (is(field, "S1CONTEXTPTR")) /* a table of two contexts, or more */
			return GET(SMMU_STE, S1CDMAX, kind->entry) && bit % 64 < 6 + GET(SMMU_STE, S1CDMAX, kind->entry);
		return is(field, "S2TTB") && bit % 64 < 13; /* two tables */
	case CD:
		return (is(field, "TTB0") || is(field, "TTB1")) && bit % 64 < 12;
	case L1STD:
		/* From no table at all to one that is too large. */
		return is(field, "SPAN") && smmu_l1std_mode(kind->entry) == SMMU_L1STD_MODE_ABSENT && bit == 4;
	default:
		return false;
	}
}

/* Is everything refused, because of the entry? */
static bool is_rejected(const struct kind *kind, const struct answers *answers)
{
	const unsigned codes[] = { SMMU_EVT_C_BAD_STE, SMMU_EVT_C_BAD_CD, SMMU_EVT_C_BAD_STREAMID, SMMU_EVT_C_BAD_SUBSTREAMID };

	for (unsigned n = 0; n < 2 * NADDRESSES * NACCESSES; n++) {
		/* Without a SubstreamID: what has one may be refused before. */
		const struct answer *answer = &answers->each[n % 2][n / 2];

		if (answer->state != IOMMU_REQUEST_FAULT || answer->reason != codes[kind->what])
			return false;
	}
	return true;
}

static void check_kind(const struct kind *kind)
{
	const char *const *const not_modelled = kind->what == STE ? ste_not_modelled : kind->what == CD ? cd_not_modelled : none;
	unsigned wrong = 0;
	uint64_t used[8];

	use(kind, used);
	tables_changed = true;
	ask_all(kind, kind->entry, &before);
	for (unsigned bit = 0; bit < words_of(kind) * 64; bit++) {
		const struct layout_field *field = field_at(kind, bit);
		bool looked_at, said = used[bit / 64] >> bit % 64 & 1;
		uint64_t entry[8];

		memcpy(entry, kind->entry, sizeof(entry));
		entry[bit / 64] ^= 1ull << bit % 64;
		ask_all(kind, entry, &after);
		looked_at = !same(&before, &after);
		if (!field) {
			/* Reserved: refused, in an entry that is valid. */
			if (looked_at && is_rejected(kind, &after))
				continue;
			/* It's refused anyway. */
			if (!looked_at && is_rejected(kind, &before))
				continue;
		} else if (named(field, not_modelled)) {
			if (!looked_at)
				continue;
		} else if (said == looked_at || (said && is_invisible(kind, field, bit))) {
			continue;
		}
		print_error("%s, bit %u (%s): the layout says %s, the hardware %s\n", kind->name, bit, field ? field->name : "reserved",
			    said ? "used" : "ignored", looked_at ? "looks" : "doesn't look");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* An entry of that mode, as different from others as may be. */
static void ste_kind(struct kind *kind, unsigned mode)
{
	static const char *const names[SMMU_STE_MODES] = {
		"not valid", "abort", "bypass", "first stage", "first stage, table", "first stage, table, bypass", "EL2", "EL2, table",
		"EL2, table, bypass", "second stage", "nested", "nested, table", "nested, table, bypass",
	};
	uint64_t *ste = kind->entry;
	bool nested = mode >= SMMU_STE_MODE_NESTED, second = mode >= SMMU_STE_MODE_S2;
	bool first = mode >= SMMU_STE_MODE_S1 && mode != SMMU_STE_MODE_S2;
	unsigned which = nested ? mode - SMMU_STE_MODE_NESTED : (mode - SMMU_STE_MODE_S1) % 3;

	*kind = (struct kind){ .name = names[mode], .what = STE };
	if (mode == SMMU_STE_MODE_INVALID)
		return;
	ste_config(ste, first ? (second ? SMMU_CONFIG_NESTED : SMMU_CONFIG_S1) :
			second ? SMMU_CONFIG_S2 : mode == SMMU_STE_MODE_BYPASS ? SMMU_CONFIG_BYPASS : SMMU_CONFIG_ABORT);
	SET(SMMU_STE, PRIVCFG, ste, SMMU_OVERRIDE_CLEAR);
	SET(SMMU_STE, INSTCFG, ste, SMMU_OVERRIDE_SET);
	if (second) {
		ste_second(ste, &s2, VMID);
		SET(SMMU_STE, S2PS, ste, SMMU_PS_40);
	}
	if (first) {
		SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, contexts + (nested ? GUEST : 0));
		SET(SMMU_STE, S2VMID, ste, mode >= SMMU_STE_MODE_EL2 && mode < SMMU_STE_MODE_S2 ? 0 : VMID);
		SET(SMMU_STE, STRW, ste, mode >= SMMU_STE_MODE_EL2 && mode < SMMU_STE_MODE_S2 ? SMMU_STRW_EL2 : SMMU_STRW_EL1);
		SET(SMMU_STE, S1CDMAX, ste, which ? 1 : 0);
		SET(SMMU_STE, S1DSS, ste, which == 2 ? SMMU_S1DSS_BYPASS : which == 1 ? SMMU_S1DSS_CD0 : 0);
	}
	assert_int_equal(smmu_ste_mode(ste), mode);
}

/* The contexts behind an entry of a first stage only are at physical addresses, and so are its tables. */
static void stream_table_entries(void **state)
{
	struct kind kind;

	(void)state;
	for (unsigned mode = 0; mode < SMMU_STE_MODES; mode++) {
		bool nested = mode >= SMMU_STE_MODE_NESTED;
		struct pt pt;

		build();
		if (!nested) {
			rich.guest = 0;
			pt = pt_new(&rich, 12, 48, false);
			map_pages(&pt, 0x10000);
		} else {
			pt = s1;
		}
		used_ram = rich.next_page;
		pristine = realloc(pristine, used_ram);
		/* Where another format, size or pointer would have it: contexts of which every one shows. */
		for (unsigned i = 0; i < 64; i++) {
			uint64_t *cd = cd_set(&rich, contexts + 64 * i, &pt, ASID + i);

			SET(SMMU_CD, TBI0, cd, i & 1);
			SET(SMMU_CD, R, cd, !(i & 2));
			SET(SMMU_CD, AFFD, cd, i >> 2 & 1);
			SET(SMMU_CD, WXN, cd, i >> 3 & 1);
			SET(SMMU_CD, IPS, cd, i & 16 ? SMMU_PS_32 : SMMU_PS_48);
			SET(SMMU_CD, V, cd, !(i & 32));
		}
		memcpy(pristine, rich.ram, used_ram);
		allocate(&before);
		allocate(&after);
		ste_kind(&kind, mode);
		check_kind(&kind);
		for (unsigned i = 0; i < 2; i++) {
			free(before.memory[i]);
			free(after.memory[i]);
		}
		free(pristine);
		free(caching.model.state);
		free(poor.model.state);
		box_close(&rich);
	}
}

static void in_a_nested_world(void (*check)(void))
{
	build();
	memcpy(pristine, rich.ram, used_ram);
	allocate(&before);
	allocate(&after);
	check();
	for (unsigned i = 0; i < 2; i++) {
		free(before.memory[i]);
		free(after.memory[i]);
	}
	free(pristine);
	free(caching.model.state);
	free(poor.model.state);
	box_close(&rich);
}

static void check_contexts(void)
{
	static const char *const names[] = { "context, not valid", "context, both", "context, TTB1", "context, TTB0", "context, none" };

	for (unsigned mode = 0; mode <= SMMU_CD_MODE_NONE; mode++) {
		struct kind kind = { .name = names[mode], .what = CD };
		uint64_t *cd = kind.entry;

		memcpy(cd, cd_set(&rich, contexts, &s1, ASID), SMMU_CD_BYTES);
		cd_set_ttb1(&rich, cd, &high);
		SET(SMMU_CD, V, cd, mode != SMMU_CD_MODE_INVALID);
		SET(SMMU_CD, IPS, cd, SMMU_PS_40);
		SET(SMMU_CD, EPD0, cd, mode == SMMU_CD_MODE_TTB1 || mode == SMMU_CD_MODE_NONE);
		SET(SMMU_CD, EPD1, cd, mode == SMMU_CD_MODE_TTB0 || mode == SMMU_CD_MODE_NONE);
		assert_int_equal(smmu_cd_mode(cd), mode);
		check_kind(&kind);
	}
}

static void context_descriptors(void **state)
{
	(void)state;
	in_a_nested_world(check_contexts);
}

static void check_level_1(void)
{
	struct kind kind = { .name = "L1STD, absent", .what = L1STD };

	check_kind(&kind);
	kind.name = "L1STD";
	memcpy(rich.ram, pristine, used_ram);
	kind.entry[0] = *l1std_at(&rich, DEV);
	SET(SMMU_L1STD, SPAN, kind.entry, 1);
	check_kind(&kind);
	kind = (struct kind){ .name = "L1CD, absent", .what = L1CD };
	check_kind(&kind);
	kind.name = "L1CD";
	memcpy(at(&rich, leaf_contexts), cd_set(&rich, contexts, &s1, ASID), SMMU_CD_BYTES);
	memcpy(pristine, rich.ram, used_ram);
	kind.entry[0] = (leaf_contexts + GUEST) | 1;
	check_kind(&kind);
}

static void level_1_descriptors(void **state)
{
	(void)state;
	in_a_nested_world(check_level_1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_table_entries),
		cmocka_unit_test(context_descriptors),
		cmocka_unit_test(level_1_descriptors),
	};

	return cmocka_run_group_tests_name("used bits, smmuv3", tests, NULL, NULL);
}
