/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* main.c - the `hitless` command: finds the verb; and what all verbs share. */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not written yet: a verb that is not linked is no verb. */
#pragma weak tool_matrix
#pragma weak tool_check
#pragma weak tool_replay

static const struct verb {
	const char *name;
	const char *what;
	int (*function)(int argc, char **argv);
} verbs[] = {
	{ "run", "replace domains under live DMA and count what the DMA saw", tool_run },
	{ "matrix", "plan and explore every transition of every architecture", tool_matrix },
	{ "check", "explore every interleaving of one transition or sequence", tool_check },
	{ "plan", "what replace would do to a live entry, step by step", tool_plan },
	{ "replay", "run one interleaving again", tool_replay },
	{ "decode", "every field of an entry, command, event or register", tool_decode },
	{ "bench", "figures, each beside a calibrator of the same run", tool_bench },
};

struct tool_options tool_options;
struct tool_palette tool_palette = { "", "", "", "", "", "", "" };

static bool progress_shown;

void tool_fail(enum tool_exit status, const char *format, ...)
{
	va_list args;

	tool_progress(NULL);
	fflush(stdout);
	fputs("hitless: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

/* ---- Options ---- */

enum { OPTION_JSON = 0x1000, OPTION_COLOR, OPTION_HELP };

static const struct argp_option common_options[] = {
	{ "json", OPTION_JSON, NULL, 0, "Print one JSON document", 90 },
	{ "color", OPTION_COLOR, "WHEN", 0, "auto, always or never", 90 },
	{ "quiet", 'q', NULL, 0, "Say less", 90 },
	{ "verbose", 'v', NULL, 0, "Say more", 90 },
	{ "help", OPTION_HELP, NULL, 0, "Print this help", 90 },
	{ 0 },
};

static void set_color(const char *when)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool on;

	if (strcmp(when, "always") == 0)
		on = true;
	else if (strcmp(when, "never") == 0)
		on = false;
	else if (strcmp(when, "auto") == 0)
		on = isatty(STDOUT_FILENO) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
	else
		tool_fail(TOOL_USAGE, "--color: '%s' is not auto, always or never", when);
	if (on)
		tool_palette = (struct tool_palette){
			.bold = "\033[1m", .dim = "\033[2m", .red = "\033[31m", .green = "\033[32m",
			.yellow = "\033[33m", .blue = "\033[34m", .off = "\033[0m",
		};
	else
		tool_palette = (struct tool_palette){ "", "", "", "", "", "", "" };
}

/* The options of one list that begin with `name`; exactly `name` counts for all. */
static void find_option(const struct argp_option *options, const char *name, size_t length,
			const struct argp_option **found, unsigned *count)
{
	for (; options && (options->name || options->key || options->doc); options++) {
		if (!options->name || strncmp(options->name, name, length) != 0)
			continue;
		if (strlen(options->name) == length && *count < 1000)
			*count = 999; /* so that this one makes it 1000, and no other does */
		else if (*count >= 1000)
			continue;
		*found = options;
		++*count;
	}
}

static bool has_short(const struct argp_option *options, int key)
{
	for (; options && (options->name || options->key || options->doc); options++)
		if (options->key == key)
			return true;
	return false;
}

/* What getopt has found wrong with `argument`; returns if nothing. It is asked not to print that itself: it would be two lines. */
static void explain(const struct argp_state *state, const char *argument)
{
	const struct argp_option *options = state->root_argp->options, *found = NULL;
	size_t length;
	unsigned count = 0;

	if (strncmp(argument, "--", 2) != 0) {
		for (const char *c = argument[0] == '-' ? argument + 1 : ""; *c; c++)
			if (!has_short(options, *c) && !has_short(common_options, *c))
				tool_fail(TOOL_USAGE, "unknown option '-%c' (see %s --help)", *c, state->name);
		return;
	}
	length = strcspn(argument + 2, "=");
	find_option(options, argument + 2, length, &found, &count);
	find_option(common_options, argument + 2, length, &found, &count);
	if (count == 0)
		tool_fail(TOOL_USAGE, "unknown option '%.*s' (see %s --help)", (int)length + 2, argument, state->name);
	if (count > 1 && count < 1000)
		tool_fail(TOOL_USAGE, "option '%.*s' is ambiguous (see %s --help)", (int)length + 2, argument, state->name);
	if (found->arg && !argument[length + 2])
		tool_fail(TOOL_USAGE, "option '--%s' needs a value (%s)", found->name, found->arg);
	if (!found->arg && argument[length + 2])
		tool_fail(TOOL_USAGE, "option '--%s' takes no value", found->name);
}

static error_t parse_common(int key, char *value, struct argp_state *state)
{
	switch (key) {
	case OPTION_JSON:
		tool_options.json = true;
		return 0;
	case OPTION_COLOR:
		set_color(value);
		return 0;
	case 'q':
		tool_options.verbosity--;
		return 0;
	case 'v':
		tool_options.verbosity++;
		return 0;
	case OPTION_HELP:
		argp_help(state->root_argp, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, state->name);
		exit(fflush(stdout) == 0 ? TOOL_OK : TOOL_ERROR);
	case ARGP_KEY_ARG: /* the verb's own parser did not want it */
		tool_fail(TOOL_USAGE, "unexpected argument '%s' (see %s --help)", value, state->name);
	case ARGP_KEY_ERROR:
		/* getopt has moved on, or in a group of short options not yet. */
		explain(state, state->argv[state->next - 1]);
		if (state->next < state->argc)
			explain(state, state->argv[state->next]);
		tool_fail(TOOL_USAGE, "wrong options (see %s --help)", state->name);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void tool_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	const struct argp common = { .options = common_options, .parser = parse_common };
	const struct argp_child children[] = { { .argp = &common }, { 0 } };
	struct argp whole = *argp;

	whole.children = children;
	argp_parse(&whole, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
}

bool tool_on_off(const char *option, const char *value)
{
	bool on = strcmp(value, "on") == 0;

	if (!on && strcmp(value, "off") != 0)
		tool_fail(TOOL_USAGE, "%s: '%s' is not on or off", option, value);
	return on;
}

bool tool_number(const char *text, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	char *end;

	/* strtoull would take a sign and blanks. */
	if (!strchr(hex ? "0123456789abcdefABCDEF" : "0123456789", digits[0]) || !digits[0])
		return false;
	errno = 0;
	*value = strtoull(digits, &end, hex ? 16 : 10);
	return !*end && !errno;
}

/* ---- Output ---- */

void tool_print_json(json_t *document)
{
	bool bad = !document || json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0;

	json_decref(document);
	if (bad || putchar('\n') == EOF || fflush(stdout) != 0)
		tool_fail(TOOL_ERROR, "can't write the JSON document: %s", errno ? strerror(errno) : "out of memory");
}

json_t *tool_json_words(const uint64_t *words, unsigned count)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < count; i++) {
		char text[32];

		snprintf(text, sizeof(text), "0x%016llx", (unsigned long long)words[i]);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

void tool_progress(const char *format, ...)
{
	va_list args;

	if (!format) {
		if (progress_shown)
			fputs("\r\033[K", stderr);
		progress_shown = false;
		return;
	}
	if (tool_options.verbosity < 0 || !isatty(STDERR_FILENO))
		return;
	fputs("\r\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fflush(stderr);
	progress_shown = true;
}

/* ---- Verbs ---- */

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(void)
{
	puts("Usage: hitless VERB [OPTION...]\n"
	     "Replace the domain behind a device that is doing DMA, without a gap.\n");
	for (unsigned i = 0; i < VERBS; i++)
		if (verbs[i].function)
			printf("  %-8s %s\n", verbs[i].name, verbs[i].what);
	puts("\nEvery verb has --help with examples, --json, and --color=auto|always|never.\n"
	     "Exit: 0 all holds, 10 a property is violated, 1 runtime error, 2 wrong usage or\n"
	     "input, 77 skipped.\n");
	puts("  hitless run                                 all that there is, in 20 s\n"
	     "  hitless plan --arch vtd --from s1 --to s2   the stores and commands it takes\n"
	     "  hitless decode vtd cap 0xd2008c40660462     a register, field by field");
}

/* "run, plan, decode" */
static const char *verb_names(void)
{
	static char names[128];

	names[0] = '\0';
	for (unsigned i = 0; i < VERBS; i++)
		if (verbs[i].function) {
			strcat(names, names[0] ? ", " : "");
			strcat(names, verbs[i].name);
		}
	return names;
}

static int run_verb(const char *name, int argc, char **argv)
{
	char title[32];

	for (unsigned i = 0; i < VERBS; i++)
		if (verbs[i].function && strcmp(verbs[i].name, name) == 0) {
			snprintf(title, sizeof(title), "hitless %s", verbs[i].name);
			argv[0] = title;
			return verbs[i].function(argc, argv);
		}
	tool_fail(TOOL_USAGE, "there is no verb '%s'; there are %s (see hitless --help)", name, verb_names());
}

int main(int argc, char **argv)
{
	int status = TOOL_OK;
	char help[] = "--help";

	set_color("auto");
	if (argc < 2)
		tool_fail(TOOL_USAGE, "a verb is missing: %s (see hitless --help)", verb_names());
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || (strcmp(argv[1], "help") == 0 && argc == 2))
		print_help();
	else if (strcmp(argv[1], "--version") == 0)
		puts("hitless " HITLESS_VERSION);
	else if (strcmp(argv[1], "help") == 0)
		status = run_verb(argv[2], 2, (char *[]){ argv[1], help, NULL });
	else if (argv[1][0] == '-')
		tool_fail(TOOL_USAGE, "unknown option '%s' before a verb (see hitless --help)", argv[1]);
	else
		status = run_verb(argv[1], argc - 1, argv + 1);
	tool_progress(NULL);
	if (fflush(stdout) != 0 || ferror(stdout))
		tool_fail(TOOL_ERROR, "can't write to standard output: %s", strerror(errno));
	return status;
}
