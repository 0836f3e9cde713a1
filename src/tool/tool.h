/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * tool.h - what the verbs of the `hitless` command share: exits, options, colour, JSON, progress.
 *
 * A verb is one function, int tool_VERB(int argc, char **argv), named in main.c's table. argv[0] is "hitless VERB". It returns
 * an exit status. It describes its options by a struct argp and calls tool_parse(), which adds those that all verbs have.
 */
#ifndef TOOL_H
#define TOOL_H

#include <argp.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum tool_exit {
	TOOL_OK = 0,
	TOOL_ERROR = 1,		/* the run itself failed */
	TOOL_USAGE = 2,		/* wrong options, bad input */
	TOOL_VIOLATED = 10,	/* a property does not hold */
	TOOL_SKIPPED = 77	/* something is missing; the message says what, and how to get it */
};

/* "hitless: MESSAGE" on one line of stderr, and out. The message needs no newline. */
_Noreturn void tool_fail(enum tool_exit status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Options ---- */

/* What tool_parse() has found for every verb. */
extern struct tool_options {
	bool json;		/* --json */
	int verbosity;		/* -v: up, -q: down */
} tool_options;

/*
 * Parses a verb's options, and --json, --color, -q, -v and --help. A wrong option or a missing value is one line and exit 2;
 * for what else is wrong, the verb's own parser calls tool_fail(TOOL_USAGE, ...).
 * `argp` is as for argp_parse(); its `doc` may have examples after "\v". No children.
 */
void tool_parse(const struct argp *argp, int argc, char **argv, void *input);

/* "1,2" is not a number: the whole text must be one, decimal or 0x. */
bool tool_number(const char *text, uint64_t *value);
/* The value of an option that is on or off; exits if it is neither. */
bool tool_on_off(const char *option, const char *value);

/* ---- Output ---- */

/* Escape sequences for stdout; all are "" where colour is off. */
extern struct tool_palette {
	const char *bold, *dim, *red, *green, *yellow, *blue, *off;
} tool_palette;

/* One document and a newline to stdout; drops the reference to it. A write error is exit 1. */
void tool_print_json(json_t *document);

/* The words as JSON: ["0x0000000000000001", ...]. */
json_t *tool_json_words(const uint64_t *words, unsigned count);

/* A line on stderr that is overwritten by the next, if stderr is a terminal and there was no -q; NULL clears it. */
void tool_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Verbs ---- */

int tool_run(int argc, char **argv);
int tool_matrix(int argc, char **argv);
int tool_check(int argc, char **argv);
int tool_plan(int argc, char **argv);
int tool_replay(int argc, char **argv);
int tool_decode(int argc, char **argv);
int tool_bench(int argc, char **argv);

#endif
