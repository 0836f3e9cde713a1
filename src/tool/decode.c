/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* decode.c - `hitless decode`: every field of a structure, from the layout's own tables. */
#include "arch.h"
#include "tool.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_MARKDOWN = 0x2000 };

struct decode {
	const struct tool_arch *arch;
	const struct layout *structure;	/* NULL: list them */
	bool list, markdown;
	uint64_t words[TOOL_MAX_WORDS];
	unsigned nwords;
};

static const struct argp_option options[] = {
	{ "markdown", OPTION_MARKDOWN, NULL, OPTION_HIDDEN, "Print the reference of all structures", 0 },
	{ 0 },
};

static const char doc[] =
	"Print every field of a hardware structure: bits, name, value, whether the hardware looks at it in this mode, meaning; "
	"and reserved bits that are set.\v"
	"Words are 64 bits, low first, decimal or 0x; without any, they come from standard input. "
	"A register is one word. Without STRUCTURE: which structures there are.\n\n"
	"  hitless decode vtd list\n"
	"  hitless decode vtd cap 0xd2008c40660462\n"
	"  hitless decode vtd-legacy context-entry 0xa001 0x202\n"
	"  echo 0xa089 0x800002 0 0 0 0 0 0 | hitless decode vtd pasid-entry --json";

static void add_word(struct decode *decode, const char *text)
{
	const struct layout *structure = decode->structure;
	uint64_t word;

	if (decode->nwords == structure->words)
		tool_fail(TOOL_USAGE, "%s: too many words: it has %u ('%s' is one too many)", structure->name, structure->words, text);
	if (!tool_number(text, &word))
		tool_fail(TOOL_USAGE, "%s: word %u: '%s' is no 64-bit number", structure->name, decode->nwords, text);
	if (structure->bits < 64 && word >> structure->bits)
		tool_fail(TOOL_USAGE, "%s: word %u: '%s' has more than %u bits", structure->name, decode->nwords, text,
			  structure->bits);
	decode->words[decode->nwords++] = word;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct decode *decode = state->input;

	switch (key) {
	case OPTION_MARKDOWN:
		decode->markdown = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!decode->arch)
			decode->arch = tool_find_arch(value);
		else if (decode->list)
			return ARGP_ERR_UNKNOWN;
		else if (decode->structure)
			add_word(decode, value);
		else if (strcmp(value, "list") == 0)
			decode->list = true;
		else
			decode->structure = tool_find_structure(decode->arch, value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void read_words(struct decode *decode)
{
	char text[80];
	unsigned n = 0;
	int c;

	if (isatty(STDIN_FILENO))
		return;
	do {
		c = getchar();
		if (c != EOF && !isspace(c)) {
			if (n == sizeof(text) - 1)
				tool_fail(TOOL_USAGE, "%s: standard input, word %u: not a number", decode->structure->name,
					  decode->nwords);
			text[n++] = (char)c;
		} else if (n) {
			text[n] = '\0';
			n = 0;
			add_word(decode, text);
		}
	} while (c != EOF);
}

/* ---- One structure ---- */

/* "63:12", "0" */
static const char *bit_range(unsigned lsb, unsigned width, char text[16])
{
	if (width == 1)
		snprintf(text, 16, "%u", lsb);
	else
		snprintf(text, 16, "%u:%u", lsb + width - 1, lsb);
	return text;
}

/* The next run of reserved bits at or above *lsb, within one word; false: there is none. */
static bool next_reserved(const struct layout *structure, unsigned *lsb, unsigned *width)
{
	uint64_t named[TOOL_MAX_WORDS] = { 0 };
	unsigned bit = *lsb;

	for (unsigned i = 0; i < structure->nfields; i++)
		layout_set(named, structure->fields[i].lsb, structure->fields[i].width, ~0ull);
	while (bit < structure->bits && (named[bit / 64] >> bit % 64 & 1))
		bit++;
	*lsb = bit;
	while (bit < structure->bits && !(named[bit / 64] >> bit % 64 & 1) && (bit == *lsb || bit % 64))
		bit++;
	*width = bit - *lsb;
	return *width != 0;
}

static const char *mode_name(const struct decode *decode)
{
	const struct layout *structure = decode->structure;

	return structure->modes ? structure->modes[tool_mode(structure, decode->words)] : NULL;
}

/* A value as a person reads it: addresses and long numbers in hexadecimal. */
static const char *show_value(const struct tool_arch *arch, const struct layout_field *field, uint64_t value, char text[24])
{
	uint64_t address;

	if (tool_field_address(arch, field, value, &address))
		snprintf(text, 24, "0x%llx", (unsigned long long)address);
	else
		snprintf(text, 24, value < 10 ? "%llu" : "0x%llx", (unsigned long long)value);
	return text;
}

static void print_text(const struct decode *decode)
{
	const struct tool_palette *p = &tool_palette;
	const struct layout *structure = decode->structure;
	unsigned mode = tool_mode(structure, decode->words), width, name_width = 5, value_width = 5;
	bool ignored = false; /* a column less where the hardware looks at everything */
	char bits[16], shown[24], meaning[160];

	for (unsigned i = 0; i < structure->nfields; i++) {
		const struct layout_field *field = &structure->fields[i];
		unsigned n = (unsigned)strlen(field->name);
		unsigned v = (unsigned)strlen(show_value(decode->arch, field, tool_field_value(field, decode->words), shown));

		name_width = n > name_width ? n : name_width;
		value_width = v > value_width ? v : value_width;
		ignored |= !tool_looked_at(field, mode);
	}
	printf("%s%s%s, %u bits", p->bold, structure->name, p->off, structure->bits);
	if (mode_name(decode))
		printf(": %s%s%s", p->bold, mode_name(decode), p->off);
	printf("\n%s%-8s %-*s %-*s %s%s%s\n", p->dim, "bits", (int)name_width, "field", (int)value_width, "value",
	       ignored ? "hardware " : "", "meaning", p->off);
	for (unsigned i = 0; i < structure->nfields; i++) {
		const struct layout_field *field = &structure->fields[i];
		uint64_t value = tool_field_value(field, decode->words);
		bool looked_at = tool_looked_at(field, mode);
		/* What a value says that nobody looks at would mislead. */
		const char *means = looked_at ? tool_field_meaning(decode->arch, structure, field, value, meaning, sizeof(meaning)) :
						NULL;

		printf("%s%-8s %-*s %-*s", looked_at ? "" : p->dim, bit_range(field->lsb, field->width, bits), (int)name_width,
		       field->name, means || ignored ? (int)value_width : 0, show_value(decode->arch, field, value, shown));
		if (ignored)
			printf(means ? " %-8s" : " %s", looked_at ? "looks" : "ignores");
		printf("%s%s%s\n", means ? " " : "", means ? means : "", looked_at ? "" : p->off);
	}
	for (unsigned lsb = 0; next_reserved(structure, &lsb, &width); lsb += width) {
		uint64_t value = layout_get(decode->words, lsb, width);

		if (value)
			printf("%s%-8s %-*s %-*s reserved bits are set%s\n", p->red, bit_range(lsb, width, bits), (int)name_width, "-",
			       (int)value_width, show_value(decode->arch, &(struct layout_field){ .name = "", .width = (uint16_t)width }, value, shown), p->off);
	}
}

static json_t *json_hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	return json_string(text);
}

/* A string, or null. */
static json_t *json_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void print_json(const struct decode *decode)
{
	const struct layout *structure = decode->structure;
	unsigned mode = tool_mode(structure, decode->words), width;
	json_t *fields = json_array(), *reserved = json_array();
	char bits[16], text[160];

	for (unsigned i = 0; i < structure->nfields; i++) {
		const struct layout_field *field = &structure->fields[i];
		uint64_t value = tool_field_value(field, decode->words), address;
		json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:b, s:s}", "name", field->name, "bits",
					bit_range(field->lsb, field->width, bits), "lsb", field->lsb, "width", field->width, "value",
					json_hex(value), "meaning",
					json_text(tool_field_meaning(decode->arch, structure, field, value, text, sizeof(text))),
					"looked_at", tool_looked_at(field, mode), "section", field->section);

		if (tool_field_address(decode->arch, field, value, &address))
			json_object_set_new(row, "address", json_hex(address));
		json_array_append_new(fields, row);
	}
	for (unsigned lsb = 0; next_reserved(structure, &lsb, &width); lsb += width)
		if (layout_get(decode->words, lsb, width))
			json_array_append_new(reserved, json_pack("{s:s, s:i, s:i, s:o}", "bits", bit_range(lsb, width, bits), "lsb", lsb,
								  "width", width, "value",
								  json_hex(layout_get(decode->words, lsb, width))));
	tool_print_json(json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "schema", "hitless.decode/1", "arch",
				  decode->arch->name, "structure", structure->name, "kind", structure->kind, "words",
				  tool_json_words(decode->words, structure->words), "mode", json_text(mode_name(decode)), "fields",
				  fields, "reserved", reserved));
}

/* ---- All structures ---- */

static void print_list(const struct tool_arch *arch)
{
	const struct tool_palette *p = &tool_palette;

	printf("%s%-33s %-17s %-5s %s%s\n", p->dim, "structure", "kind", "words", "section", p->off);
	for (unsigned i = 0; i < arch->nstructures; i++) {
		const struct layout *structure = &arch->structures[i];

		printf("%-33s %-17s %-5u %s", structure->name, structure->kind, structure->words,
		       structure->fields[structure->nfields - 1].section);
		if (strcmp(structure->kind, "register") == 0)
			printf(" at 0x%03x, %u bits", structure->offset, structure->bits);
		putchar('\n');
	}
}

static void print_list_json(const struct tool_arch *arch)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < arch->nstructures; i++) {
		const struct layout *structure = &arch->structures[i];
		json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:s}", "name", structure->name, "kind", structure->kind, "words",
					structure->words, "bits", structure->bits, "section",
					structure->fields[structure->nfields - 1].section);

		if (strcmp(structure->kind, "register") == 0)
			json_object_set_new(row, "offset", json_integer(structure->offset));
		json_array_append_new(list, row);
	}
	tool_print_json(json_pack("{s:s, s:s, s:o}", "schema", "hitless.decode/1", "arch", arch->name, "structures", list));
}

/* When the hardware looks at a field: the names of the modes, or what is shorter. */
static void print_when(const struct layout *structure, const struct layout_field *field)
{
	const char *separator = "";

	if (!field->when) {
		fputs("never", stdout);
		return;
	}
	if (field->when == ALWAYS || !structure->modes) {
		fputs("always", stdout);
		return;
	}
	for (unsigned mode = 0; structure->modes[mode]; mode++)
		if (field->when & 1u << mode && strcmp(structure->modes[mode], "reserved") != 0) {
			printf("%s%s", separator, structure->modes[mode]);
			separator = ", ";
		}
}

/* "0=not present|1=present" -> "0 = not present; 1 = present" */
static void print_values(const char *values)
{
	for (; *values; values++) {
		if (*values == '=')
			fputs(" = ", stdout);
		else if (*values == '|')
			fputs("; ", stdout);
		else
			putchar(*values);
	}
}

static void print_markdown(const struct tool_arch *arch)
{
	const char *kind = "";
	char bits[16];

	printf("# The structures of %s\n\n"
	       "<!-- made by `hitless decode --markdown %s`: do not edit -->\n\n"
	       "Sections are those of %s.\n"
	       "Bits that no row names are reserved. \"Looked at\" says in which modes of the structure the hardware looks at a field;\n"
	       "in the others software may write it as it likes.\n",
	       arch->title, arch->name, arch->manual);
	for (unsigned i = 0; i < arch->nstructures; i++) {
		const struct layout *structure = &arch->structures[i];

		if (strcmp(kind, structure->kind) != 0) {
			kind = structure->kind;
			printf("\n## %c%s\n", toupper((unsigned char)kind[0]), kind + 1);
		}
		printf("\n### %s\n\n%u bits", structure->name, structure->bits);
		if (strcmp(kind, "register") == 0)
			printf(", at offset 0x%03x", structure->offset);
		if (structure->modes) {
			const char *separator = ". Modes: ";

			for (unsigned mode = 0; structure->modes[mode]; mode++) {
				if (strcmp(structure->modes[mode], "reserved") == 0)
					continue;
				printf("%s%s", separator, structure->modes[mode]);
				separator = ", ";
			}
		}
		printf(".\n\n| bits | field | looked at | values | section |\n| --- | --- | --- | --- | --- |\n");
		for (unsigned f = 0; f < structure->nfields; f++) {
			const struct layout_field *field = &structure->fields[f];

			printf("| %s | %s | ", bit_range(field->lsb, field->width, bits), field->name);
			print_when(structure, field);
			fputs(" | ", stdout);
			print_values(field->values);
			printf(" | %s |\n", field->section);
		}
	}
}

int tool_decode(int argc, char **argv)
{
	const struct argp argp = { options, parse, "ARCH [STRUCTURE [WORD...]]", doc, NULL, NULL, NULL };
	struct decode decode = { 0 };

	tool_parse(&argp, argc, argv, &decode);
	if (!decode.arch)
		tool_fail(TOOL_USAGE, "decode: an architecture is missing (see hitless decode --help)");
	if (decode.markdown) {
		print_markdown(decode.arch);
		return TOOL_OK;
	}
	if (!decode.structure) {
		(tool_options.json ? print_list_json : print_list)(decode.arch);
		return TOOL_OK;
	}
	if (!decode.nwords)
		read_words(&decode);
	if (decode.nwords != decode.structure->words)
		tool_fail(TOOL_USAGE, "%s: %u of its %u words are missing", decode.structure->name,
			  decode.structure->words - decode.nwords, decode.structure->words);
	(tool_options.json ? print_json : print_text)(&decode);
	return TOOL_OK;
}
