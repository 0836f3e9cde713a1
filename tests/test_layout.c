/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_layout.c - the tables of layout/X.h are sound: nothing overlaps, everything fits, every name is there once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/plan.h>

#include "tool/arch.h"
#include "tool/tool.h"

/* arch.c calls it for wrong names; a test has none. */
_Noreturn void tool_fail(enum tool_exit status, const char *format, ...)
{
	(void)status;
	fprintf(stderr, "tool_fail: %s\n", format);
	abort();
}

static const struct layout *current;
static const char *current_field;

/* Says where, and fails. */
static void check(bool right, const char *what)
{
	if (right)
		return;
	print_error("%s%s%s: %s\n", current->name, current_field ? "." : "", current_field ? current_field : "", what);
	fail();
}

static void for_all_structures(void (*visit)(const struct tool_arch *arch, const struct layout *structure))
{
	for (unsigned a = 0; tool_archs[a]; a++)
		for (unsigned i = 0; i < tool_archs[a]->nstructures; i++) {
			current = &tool_archs[a]->structures[i];
			current_field = NULL;
			visit(tool_archs[a], current);
		}
}

static void fields_are_sound(const struct tool_arch *arch, const struct layout *structure)
{
	uint64_t named[TOOL_MAX_WORDS] = { 0 };

	(void)arch;
	check(structure->words >= 1 && structure->words <= TOOL_MAX_WORDS, "so many words");
	check(structure->bits <= structure->words * 64 && structure->bits > (structure->words - 1) * 64, "bits and words disagree");
	check(structure->nfields > 0, "no fields");
	for (unsigned f = 0; f < structure->nfields; f++) {
		const struct layout_field *field = &structure->fields[f];

		current_field = field->name;
		check(field->width >= 1 && field->width <= 64, "width");
		check(field->lsb + field->width <= structure->bits, "does not fit");
		check(layout_get(named, field->lsb, field->width) == 0, "overlaps another field");
		layout_set(named, field->lsb, field->width, ~0ull);
		check(field->section[0] != '\0', "no section");
		for (unsigned g = 0; g < f; g++)
			check(strcmp(structure->fields[g].name, field->name) != 0, "the name is there twice");
		check(f == 0 || strcmp(structure->kind, "entry") != 0 || structure->fields[f - 1].lsb < field->lsb, "out of order");
	}
}

static void test_fields(void **state)
{
	(void)state;
	for_all_structures(fields_are_sound);
}

/* "0=this|2=that", ascending, each within the field's width. */
static void values_are_sound(const struct tool_arch *arch, const struct layout *structure)
{
	(void)arch;
	for (unsigned f = 0; f < structure->nfields; f++) {
		const struct layout_field *field = &structure->fields[f];
		unsigned long long last = 0;
		bool first = true;

		current_field = field->name;
		for (const char *v = field->values; *v;) {
			char *end;
			unsigned long long value = strtoull(v, &end, 10);

			check(end != v && *end == '=' && end[1] && end[1] != '|', "the list of values is malformed");
			check(value <= layout_mask(field->width), "a value does not fit");
			check(first || value > last, "values are out of order");
			first = false;
			last = value;
			v = end + strcspn(end, "|");
			v += *v == '|';
		}
	}
}

static void test_values(void **state)
{
	(void)state;
	for_all_structures(values_are_sound);
}

static void names_are_unique(const struct tool_arch *arch, const struct layout *structure)
{
	bool is_register = strcmp(structure->kind, "register") == 0;

	for (const struct layout *other = arch->structures; other < structure; other++) {
		check(strcmp(other->name, structure->name) != 0, "the name is there twice");
		if (is_register && strcmp(other->kind, "register") == 0)
			check(other->offset + other->bits / 8 <= structure->offset || structure->offset + structure->bits / 8 <= other->offset,
			      "overlaps another register");
	}
	check(strcmp(structure->name, "list") != 0, "a structure called list can't be decoded");
	check(!is_register || structure->offset % (structure->bits / 8) == 0, "not aligned");
}

static void test_names(void **state)
{
	(void)state;
	for_all_structures(names_are_unique);
}

/* Whatever the words are, the mode has a name; and every mode that has one is in some field's `when`. */
static void modes_are_sound(const struct tool_arch *arch, const struct layout *structure)
{
	unsigned modes = 0;

	(void)arch;
	check(!structure->mode == !structure->modes, "modes without names, or names without modes");
	if (!structure->modes)
		return;
	while (structure->modes[modes])
		modes++;
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t words[TOOL_MAX_WORDS];

		for (unsigned w = 0; w < TOOL_MAX_WORDS; w++)
			words[w] = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
		check(structure->mode(words) < modes, "a mode without a name");
	}
	for (unsigned f = 0; f < structure->nfields; f++) {
		const struct layout_field *field = &structure->fields[f];

		current_field = field->name;
		check(field->when == 0 || field->when & ((1u << modes) - 1), "looked at in no mode that there is");
	}
}

static void test_modes(void **state)
{
	(void)state;
	for_all_structures(modes_are_sound);
}

/* The planner's formats and the printer's tables are made from the same lists: they agree on every entry. */
static void test_formats_are_the_tables(void **state)
{
	(void)state;
	srand(2);
	for (unsigned a = 0; tool_archs[a]; a++)
		for (unsigned e = 0; e < tool_archs[a]->nentries; e++) {
			const struct tool_entry *entry = &tool_archs[a]->entries[e];
			const struct layout *structure = tool_structure(tool_archs[a], iommu_entry_name(entry->format));

			assert_non_null(structure);
			assert_int_equal(structure->words, iommu_entry_words(entry->format));
			for (unsigned i = 0; i < 20000; i++) {
				uint64_t words[IOMMU_ENTRY_WORDS] = { 0 }, used[IOMMU_ENTRY_WORDS] = { 0 };
				uint64_t looked_at[IOMMU_ENTRY_WORDS] = { 0 }, named[IOMMU_ENTRY_WORDS] = { 0 };
				struct tool_config config = { 0 };

				if (i < entry->nconfigs) {
					entry->config(i, &config);
					memcpy(words, config.words, sizeof(words));
				} else {
					for (unsigned w = 0; w < structure->words; w++)
						words[w] = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
				}
				iommu_entry_used(entry->format, words, used);
				for (unsigned f = 0; f < structure->nfields; f++) {
					const struct layout_field *field = &structure->fields[f];

					layout_set(named, field->lsb, field->width, ~0ull);
					if (tool_looked_at(field, tool_mode(structure, words)))
						layout_set(looked_at, field->lsb, field->width, ~0ull);
				}
				for (unsigned w = 0; w < structure->words; w++) {
					assert_int_equal(used[w], looked_at[w]);
					assert_int_equal(used[w] & ~named[w], 0);
					if (i < entry->nconfigs)
						assert_int_equal(words[w] & ~named[w], 0);
				}
			}
		}
}

/* GET and SET over word boundaries, all widths and places. */
static void test_get_and_set(void **state)
{
	(void)state;
	for (unsigned lsb = 0; lsb < 128; lsb++)
		for (unsigned width = 1; width <= 64 && lsb + width <= 192; width++) {
			uint64_t words[3] = { 0 }, full[3] = { ~0ull, ~0ull, ~0ull };
			uint64_t value = 0x9e3779b97f4a7c15ull & layout_mask(width);

			layout_set(words, lsb, width, ~0ull);
			for (unsigned bit = 0; bit < 192; bit++)
				assert_int_equal(words[bit / 64] >> bit % 64 & 1, bit >= lsb && bit < lsb + width);
			layout_set(words, lsb, width, 0);
			assert_int_equal(words[0] | words[1] | words[2], 0);
			layout_set(full, lsb, width, value);
			assert_int_equal(layout_get(full, lsb, width), value);
			layout_set(full, lsb, width, ~0ull);
			assert_int_equal(full[0] & full[1] & full[2], ~0ull);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_formats_are_the_tables),
		cmocka_unit_test(test_get_and_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
