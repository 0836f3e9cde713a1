/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sequence.c - reads a sequence file (docs/sequence.md). */
#include "sequence.h"

#include "arch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 16

struct reader {
	unsigned line;
	char *error;
	size_t error_size;
	const struct xp_arch *arch;
	struct hitless_cell cell;
	struct xp_target target;
	struct xp_case *c;
	bool built;
	bool claims_hitless, weak;
	uint64_t now[IOMMU_ENTRY_WORDS];
	uint32_t sequence;
};

static int fail(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct reader *r, const char *format, ...)
{
	va_list args;
	int n = snprintf(r->error, r->error_size, "line %u: ", r->line);

	va_start(args, format);
	if (n > 0 && (size_t)n < r->error_size)
		vsnprintf(r->error + n, r->error_size - (size_t)n, format, args);
	va_end(args);
	return -EINVAL;
}

static bool number(const char *text, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 0);
	return *text && !*end;
}

static int take_words(struct reader *r, char **words, unsigned n, uint64_t *values, unsigned most)
{
	if (!n || n > most)
		return fail(r, "%u words where 1 to %u belong", n, most);
	for (unsigned i = 0; i < n; i++) {
		if (!number(words[i], &values[i]))
			return fail(r, "'%s' is not a number", words[i]);
	}
	return 0;
}

static int choose(struct reader *r, const char *word, const char *const *names, unsigned *which)
{
	for (*which = 0; names[*which]; ++*which) {
		if (strcmp(names[*which], word) == 0)
			return 0;
	}
	return fail(r, "'%s' is not one of those that belong here", word);
}

/* ---- Header ---- */

static int header(struct reader *r, char **words, unsigned n)
{
	static const char *const keys[] = { "arch", "before", "after", "quantum", "tags", "claims", "coherent", "caching-mode", "ats",
					    "entry", "stores", NULL };
	static const char *const quanta[] = { "64", "128", NULL }, *const tags[] = { "shared", "private", NULL };
	static const char *const claims[] = { "hitless", "disruptive", NULL }, *const yes_no[] = { "no", "yes", NULL };
	static const char *const orders[] = { "in-order", "any-order", NULL };
	unsigned key, which = 0;
	int err = choose(r, words[0], keys, &key);

	if (err)
		return fail(r, "'%s' is neither a key of the header nor a step; the header ends with a line 'steps'", words[0]);
	if (key == 1)
		return take_words(r, words + 1, n - 1, r->cell.before, IOMMU_ENTRY_WORDS);
	if (key == 2)
		return take_words(r, words + 1, n - 1, r->cell.after, IOMMU_ENTRY_WORDS);
	if (n != 2)
		return fail(r, "'%s' has one value", words[0]);
	switch (key) {
	case 0:
		r->arch = xp_arch_find(words[1], NULL);
		if (!r->arch)
			return fail(r, "there is no architecture '%s'", words[1]);
		r->cell.arch = r->arch->name;
		r->cell.entry = r->arch->entry;
		return 0;
	case 3:
		err = choose(r, words[1], quanta, &which);
		r->cell.quantum = which ? 16 : 8;
		return err;
	case 4:
		err = choose(r, words[1], tags, &which);
		r->cell.facts |= which ? IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE : 0;
		return err;
	case 5:
		err = choose(r, words[1], claims, &which);
		r->claims_hitless = !which;
		return err;
	case 9: {
		const struct xp_arch *arch = r->arch ? xp_arch_find(r->arch->name, words[1]) : NULL;

		if (!arch)
			return fail(r, r->arch ? "%s has no entry '%s'" : "%s'entry' comes after 'arch': '%s'", r->arch ? r->arch->name : "",
				    words[1]);
		r->arch = arch;
		r->cell.entry = arch->entry;
		return 0;
	}
	case 10:
		err = choose(r, words[1], orders, &which);
		r->weak = which;
		return err;
	default:
		err = choose(r, words[1], yes_no, &which);
		if (key == 6 && !which)
			r->cell.facts |= IOMMU_PLAN_NONCOHERENT;
		if (key == 7 && which)
			r->cell.facts |= IOMMU_PLAN_CACHES_ABSENT;
		if (key == 8 && which)
			r->cell.facts |= IOMMU_PLAN_ATS;
		return err;
	}
}

static int begin(struct reader *r)
{
	int err;

	if (!r->arch)
		return fail(r, "the header has no 'arch'");
	err = r->arch->build(&r->cell, r->c, &r->target);
	if (err)
		return err == -EINVAL ? fail(r, "the architecture can't do that") : err;
	r->built = true;
	r->c->weak = r->weak && !r->c->noncoherent;
	memcpy(r->now, r->cell.before, sizeof(r->now));
	return 0;
}

/* ---- Steps ---- */

static void add_store(struct reader *r, unsigned word, const uint64_t *values, unsigned n)
{
	struct xp_op op = { .kind = XP_STORE, .width = n * 8, .addr = r->target.table + r->target.offset + word * 8 };
	uint64_t next[IOMMU_ENTRY_WORDS];
	char text[110];

	memcpy(op.words, values, n * 8);
	memcpy(next, r->now, sizeof(next));
	memcpy(next + word, values, n * 8);
	r->arch->changes(r->now, next, word, n, text, sizeof(text));
	memcpy(r->now, next, sizeof(next));
	snprintf(op.text, sizeof(op.text), "store word %u, %u bits: %s", word, n * 64, text);
	xp_op_add(&r->c->steps, &op);
}

static void add_wait(struct reader *r, bool fence)
{
	struct xp_op op = { .kind = XP_SUBMIT };
	uint64_t addr = r->target.status + ++r->sequence * 8;

	r->arch->wait(fence, addr, r->sequence, op.words);
	snprintf(op.text, sizeof(op.text), fence ? "command wait (the queue orders what follows)" : "command wait, with status");
	xp_op_add(&r->c->steps, &op);
	if (fence)
		return;
	op = (struct xp_op){ .kind = XP_WAIT, .addr = addr, .words = { r->sequence } };
	snprintf(op.text, sizeof(op.text), "wait until all that is done");
	xp_op_add(&r->c->steps, &op);
}

static int step(struct reader *r, char **words, unsigned n)
{
	static const char *const names[] = { "store64", "store128", "command", "fence", "wait", "barrier", "writeback", "ats", "quiet", "free", NULL };
	uint64_t values[4] = { 0 }, word;
	struct xp_op op = { .kind = XP_SUBMIT };
	unsigned which, count;
	int err = choose(r, words[0], names, &which);

	if (err)
		return fail(r, "there is no step '%s'", words[0]);
	if (r->sequence >= 500 || r->c->steps.n >= 500)
		return fail(r, "more than 500 steps");
	switch (which) {
	case 0:
	case 1:
		count = which + 1;
		if (n != count + 2 || !number(words[1], &word) || word + count > r->target.words || word % count)
			return fail(r, "%s wants the number of a word of the entry (0 to %u%s) and %u value%s", words[0],
				    r->target.words - count, which ? ", even" : "", count, which ? "s" : "");
		err = take_words(r, words + 2, count, values, count);
		if (!err)
			add_store(r, (unsigned)word, values, count);
		return err;
	case 2:
		err = take_words(r, words + 1, n - 1, op.words, 2);
		if (err)
			return err;
		snprintf(op.text, sizeof(op.text), "command 0x%llx 0x%llx", (unsigned long long)op.words[0],
			 (unsigned long long)op.words[1]);
		xp_op_add(&r->c->steps, &op);
		return 0;
	case 3:
	case 4:
		add_wait(r, which == 3);
		return 0;
	case 5:
		op = (struct xp_op){ .kind = r->c->weak ? XP_BARRIER : XP_NOTE, .text = "barrier" };
		xp_op_add(&r->c->steps, &op);
		return 0;
	case 6:
		op = (struct xp_op){ .kind = XP_WRITEBACK, .addr = r->target.table + r->target.offset, .width = r->target.words * 8 };
		snprintf(op.text, sizeof(op.text), "write back the entry");
		xp_op_add(&r->c->steps, &op);
		return 0;
	case 9:
		if (n != 2 || !number(words[1], &op.addr) || op.addr % XP_PAGE || op.addr / XP_PAGE >= r->c->pages)
			return fail(r, "free wants the address of a page below 0x%x", (unsigned)(r->c->pages * XP_PAGE));
		op.kind = XP_FREE;
		snprintf(op.text, sizeof(op.text), "free the page at 0x%llx", (unsigned long long)op.addr);
		xp_op_add(&r->c->steps, &op);
		return 0;
	default:
		if (n != 2 || (strcmp(words[1], "on") != 0 && strcmp(words[1], "off") != 0))
			return fail(r, "%s wants on or off", words[0]);
		op = (struct xp_op){ .kind = which == 7 ? XP_ATS : XP_QUIET, .addr = XP_NONE, .words = { words[1][1] == 'n' } };
		snprintf(op.text, sizeof(op.text), which == 7 ? "switch the device's ATS %s" : "device quiet: %s", words[1]);
		r->c->has_quiet |= which == 8;
		xp_op_add(&r->c->steps, &op);
		return 0;
	}
}

int xp_sequence(const char *text, unsigned freedoms, struct xp_case *c, char *error, size_t error_size)
{
	struct reader r = { .error = error, .error_size = error_size, .c = c, .claims_hitless = true };
	int err = 0;

	memset(c, 0, sizeof(*c));
	error[0] = '\0';
	r.cell.quantum = 16;
	r.cell.freedoms = freedoms;
	while (*text && !err) {
		size_t length = strcspn(text, "\n");
		char line[512], *words[MAX_WORDS], *save = NULL, *word;
		unsigned n = 0;

		r.line++;
		if (length >= sizeof(line)) {
			err = fail(&r, "longer than %zu characters", sizeof(line) - 1);
			break;
		}
		memcpy(line, text, length);
		line[length] = '\0';
		text += length;
		text += *text == '\n';
		line[strcspn(line, "#")] = '\0';
		for (word = strtok_r(line, " \t\r", &save); word && n < MAX_WORDS; word = strtok_r(NULL, " \t\r", &save))
			words[n++] = word;
		if (word)
			err = fail(&r, "more than %u words", MAX_WORDS);
		else if (!n)
			continue;
		else if (strcmp(words[0], "steps") == 0 && !r.built)
			err = begin(&r);
		else
			err = r.built ? step(&r, words, n) : header(&r, words, n);
	}
	if (!err && !c->steps.n)
		err = fail(&r, "the file ends before there was a step");
	if (!err && memcmp(r.now, r.cell.after, sizeof(r.now)) != 0)
		err = fail(&r, "the stores don't add up to the entry in 'after'");
	if (err) {
		xp_ops_free(&c->steps);
		free(c->ram);
		memset(c, 0, sizeof(*c));
	}
	c->disruptive = !r.claims_hitless;
	return err;
}
