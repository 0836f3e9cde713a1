/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* plan.c - `hitless plan`: what replace would do to a live entry, and what else it could have done. */
#include "arch.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_ARCH = 0x2000, OPTION_FROM, OPTION_TO, OPTION_TAGS, OPTION_STRATEGY, OPTION_QUANTUM, OPTION_ASSUME, OPTION_UNIT };

/* What a stand-in's tables take is known when they are built: four levels, say. */
#define STANDIN_BYTES (4 * 4096)

#define PRIVATE (IOMMU_PLAN_OLD_PRIVATE | IOMMU_PLAN_NEW_PRIVATE)

struct plan {
	const char *from, *to;
	const struct tool_arch *arch;
	const struct tool_entry *entry;
	const struct layout *structure;
	struct tool_config before, after;
	uint64_t standin[2][IOMMU_ENTRY_WORDS];
	uint64_t chain[IOMMU_MAX_STANDINS][IOMMU_ENTRY_WORDS];
	struct iommu_plan_request request;
	struct iommu_plan plan;
};

static const struct argp_option options[] = {
	{ "arch", OPTION_ARCH, "A", 0, "vtd, vtd-legacy, amdvi, smmuv3, riscv", 0 },
	{ "from", OPTION_FROM, "C", 0, "The configuration now, like s2 or s2:did=2,root=a", 0 },
	{ "to", OPTION_TO, "C", 0, "The configuration to come", 0 },
	{ "tags", OPTION_TAGS, "WHOSE", 0, "private or shared", 0 },
	{ "strategy", OPTION_STRATEGY, "NAME", 0, "Allow only this one", 0 },
	{ "quantum", OPTION_QUANTUM, "BITS", 0, "64 or 128: the widest store", 0 },
	{ "assume", OPTION_ASSUME, "WHAT", 0, "old-or-new: two tables under one tag do no worse", 0 },
	{ "unit", OPTION_UNIT, "WORDS", 0, "ats, noncoherent, caching-mode, write-buffer, fixed-table", 0 },
	{ 0 },
};

static const char doc[] =
	"Print what replace would do to a live entry: stores, invalidations and waits, what they cost, whether it is hitless, "
	"and why no other strategy was taken.\v"
	"Without options: vtd, 128-bit stores, shared tags.\n\n"
	"  hitless plan --arch vtd --from s1 --to s2\n"
	"  hitless plan --arch vtd --from s2 --to s2 --quantum 64\n"
	"  hitless plan --arch vtd-legacy --from s2:did=2,root=a --to identity --json\n"
	"  hitless plan --from s1 --to s1 --tags private --assume old-or-new";

/* ---- Options ---- */

/* "table swap" or "table-swap". */
static unsigned strategy_bit(const char *name)
{
	char names[256] = "", spaced[64];

	snprintf(spaced, sizeof(spaced), "%s", name);
	for (char *c = spaced; *c; c++)
		if (*c == '-')
			*c = ' ';
	for (unsigned s = 0; s < IOMMU_STRATEGY_COUNT; s++) {
		const char *known = iommu_strategy_name(s);

		/* "preload, flip, clean" for short. */
		if (strcmp(known, spaced) == 0 || (s == IOMMU_STRATEGY_PRELOAD && strcmp(spaced, "preload") == 0))
			return IOMMU_STRATEGY_BIT(s);
		if (s == IOMMU_STRATEGY_NONE)
			continue;
		strcat(names, names[0] ? ", " : "");
		strcat(names, s == IOMMU_STRATEGY_PRELOAD ? "preload" : known);
	}
	tool_fail(TOOL_USAGE, "--strategy: there is no '%s'; there are %s", name, names);
}

static unsigned unit_facts(const char *words)
{
	static const struct {
		const char *name;
		unsigned fact;
	} facts[] = {
		{ "ats", IOMMU_PLAN_ATS },
		{ "noncoherent", IOMMU_PLAN_NONCOHERENT },
		{ "caching-mode", IOMMU_PLAN_CACHES_ABSENT },
		{ "write-buffer", IOMMU_PLAN_WRITE_BUFFER },
		{ "fixed-table", IOMMU_PLAN_NO_PARENT },
	};
	unsigned found = 0, i;

	for (; *words; words += *words == ',') {
		size_t length = strcspn(words, ",");

		for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
			if (strncmp(facts[i].name, words, length) == 0 && !facts[i].name[length])
				break;
		if (i == sizeof(facts) / sizeof(facts[0]))
			tool_fail(TOOL_USAGE, "--unit: '%.*s' is not ats, noncoherent, caching-mode, write-buffer or fixed-table",
				  (int)length, words);
		found |= facts[i].fact;
		words += length;
	}
	return found;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct plan *plan = state->input;

	switch (key) {
	case OPTION_ARCH:
		plan->arch = tool_find_arch(value);
		return 0;
	case OPTION_FROM:
		plan->from = value;
		return 0;
	case OPTION_TO:
		plan->to = value;
		return 0;
	case OPTION_TAGS:
		if (strcmp(value, "private") != 0 && strcmp(value, "shared") != 0)
			tool_fail(TOOL_USAGE, "--tags: '%s' is not private or shared", value);
		plan->request.facts &= ~PRIVATE;
		plan->request.facts |= value[0] == 'p' ? PRIVATE : 0;
		return 0;
	case OPTION_STRATEGY:
		plan->request.strategies = strategy_bit(value);
		return 0;
	case OPTION_QUANTUM:
		if (strcmp(value, "64") != 0 && strcmp(value, "128") != 0)
			tool_fail(TOOL_USAGE, "--quantum: '%s' is not 64 or 128", value);
		plan->request.quantum = value[0] == '6' ? 8 : 16;
		return 0;
	case OPTION_ASSUME:
		if (strcmp(value, "old-or-new") != 0)
			tool_fail(TOOL_USAGE, "--assume: '%s' is not old-or-new", value);
		plan->request.facts |= IOMMU_PLAN_ASSUME_OLD_OR_NEW;
		return 0;
	case OPTION_UNIT:
		plan->request.facts |= unit_facts(value);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- Why not another one ---- */

static bool tag_of(const struct plan *plan, const uint64_t *words, uint64_t *tag)
{
	unsigned mode = tool_mode(plan->structure, words);

	for (unsigned t = 0; t < 2 && plan->entry->tags[t]; t++)
		for (unsigned i = 0; i < plan->structure->nfields; i++) {
			const struct layout_field *field = &plan->structure->fields[i];

			if (strcmp(field->name, plan->entry->tags[t]) == 0 && tool_looked_at(field, mode)) {
				*tag = tool_field_value(field, words);
				return true;
			}
		}
	return false;
}

/* How many quanta differ at all; and in how many the hardware sees a difference that no preload hides. */
static void count_quanta(const struct plan *plan, unsigned *differing, unsigned *critical)
{
	uint64_t before_used[IOMMU_ENTRY_WORDS] = { 0 }, after_used[IOMMU_ENTRY_WORDS] = { 0 };
	unsigned words = plan->structure->words, per = plan->request.quantum / 8;

	*differing = *critical = 0;
	iommu_entry_used(plan->entry->format, plan->before.words, before_used);
	iommu_entry_used(plan->entry->format, plan->after.words, after_used);
	for (unsigned first = 0; first < words; first += per) {
		uint64_t differs = 0, seen = 0;

		for (unsigned i = first; i < first + per && i < words; i++) {
			differs |= plan->before.words[i] ^ plan->after.words[i];
			seen |= (plan->before.words[i] ^ plan->after.words[i]) & before_used[i] & after_used[i];
			/* Where only the new entry is looked at, the bits can be there already. */
		}
		*differing += differs != 0;
		*critical += seen != 0;
	}
}

/* The strategy alone, with more facts than there are. */
static bool works(const struct plan *plan, enum iommu_strategy strategy, unsigned facts)
{
	struct iommu_plan_request request = plan->request;
	struct iommu_plan trial = { 0 };

	request.strategies = IOMMU_STRATEGY_BIT(strategy);
	request.facts |= facts;
	return iommu_plan(&request, &trial) == 0;
}

/* The rule that forbids every direct way: would two tables be live under one tag? NULL: no. */
static const char *rule(const struct plan *plan)
{
	struct iommu_plan_request request = plan->request;
	struct iommu_plan trial = { 0 };

	/* The planner holds that against a break before anything else. */
	request.strategies = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK);
	request.facts &= ~IOMMU_PLAN_ATS;
	if (iommu_plan(&request, &trial) != 0 || !trial.why || strncmp(trial.why, "two tables", 10) != 0)
		return NULL;
	return trial.why;
}

/* Why the strategy can't do it. */
static const char *why_impossible(const struct plan *plan, enum iommu_strategy strategy, char *text, size_t size)
{
	const char *forbidden = rule(plan);
	uint64_t old_tag = 0, new_tag = 0;
	bool old = tag_of(plan, plan->before.words, &old_tag), new = tag_of(plan, plan->after.words, &new_tag);
	unsigned differing, critical;

	if (works(plan, strategy, IOMMU_PLAN_ASSUME_OLD_OR_NEW))
		return "needs --assume old-or-new, which the specification does not promise";
	if (works(plan, strategy, PRIVATE))
		return "needs private tags";
	if (works(plan, strategy, PRIVATE | IOMMU_PLAN_ASSUME_OLD_OR_NEW))
		return "needs private tags, and --assume old-or-new, which the specification does not promise";
	count_quanta(plan, &differing, &critical);
	switch (strategy) {
	case IOMMU_STRATEGY_ONE_STORE:
		if (forbidden)
			return forbidden;
		snprintf(text, size, "%u quanta differ", differing);
		return text;
	case IOMMU_STRATEGY_PRELOAD:
		if (forbidden)
			return forbidden;
		if (critical <= 1 && differing <= 1)
			return "there is nothing to preload: one store does it";
		return "more than one quantum must change at once";
	case IOMMU_STRATEGY_TABLE_SWAP:
		return forbidden ? forbidden : "the page that holds the entry can't be swapped";
	case IOMMU_STRATEGY_STANDIN:
		if (!plan->request.standin[0] && !plan->request.standin[1] && !plan->request.nchain)
			return "neither side's tables have an equal in another format";
		return "a hop to or from the stand-in would need more than one store";
	default:
		break;
	}
	if (!old || !new)
		return "one side has no tag";
	if (strategy == IOMMU_STRATEGY_SAME_TAG) {
		if (old_tag != new_tag)
			return "the tag changes";
		return forbidden ? "more than one quantum must change at once" : "the tables stay";
	}
	if (old_tag == new_tag && strategy == IOMMU_STRATEGY_TAG_HOP)
		return "the tag stays";
	if (old_tag == new_tag && !forbidden)
		return "the tag stays, and so do the tables";
	return "a hop on the way would need more than one store";
}

/* Why the strategy was not the one, though it can do it. */
static void why_costlier(const struct iommu_cost *cost, const struct iommu_cost *best, char *text, size_t size)
{
	if (cost->rounds != best->rounds)
		snprintf(text, size, "%u rounds instead of %u", cost->rounds, best->rounds);
	else if (cost->foreign != best->foreign)
		snprintf(text, size, "flushes more of other devices' cached entries");
	else if (cost->copied != best->copied)
		snprintf(text, size, "copies %zu bytes", cost->copied);
	else if (cost->tags != best->tags)
		snprintf(text, size, "needs a temporary tag");
	else
		snprintf(text, size, "costs the same");
}

struct alternative {
	enum iommu_strategy strategy;
	bool possible;
	struct iommu_plan plan;
	char why[160];
};

/* Every strategy but the one that was chosen. Returns how many. */
static unsigned find_alternatives(const struct plan *plan, struct alternative alternatives[IOMMU_STRATEGY_COUNT])
{
	unsigned n = 0;

	if (plan->plan.strategy == IOMMU_STRATEGY_NONE)
		return 0;
	for (enum iommu_strategy s = IOMMU_STRATEGY_ONE_STORE; s < IOMMU_STRATEGY_COUNT; s++) {
		struct iommu_plan_request request = plan->request;
		struct alternative *a = &alternatives[n];
		char text[160];

		if (s == plan->plan.strategy)
			continue;
		*a = (struct alternative){ .strategy = s };
		request.strategies = IOMMU_STRATEGY_BIT(s);
		a->possible = iommu_plan(&request, &a->plan) == 0;
		if (!a->possible)
			snprintf(a->why, sizeof(a->why), "%s", why_impossible(plan, s, text, sizeof(text)));
		else if (!(plan->request.strategies & request.strategies))
			snprintf(a->why, sizeof(a->why), "not allowed by --strategy");
		else if (s == IOMMU_STRATEGY_BREAK)
			snprintf(a->why, sizeof(a->why), "disruptive");
		else
			why_costlier(&a->plan.cost, &plan->plan.cost, a->why, sizeof(a->why));
		n++;
	}
	return n;
}

/* ---- Text ---- */

/* "DID 4 -> 5, FSPTPTR 0xc000 -> 0xd000": what differs in [first, first + count) of the entry's words. */
static void print_changes(const struct plan *plan, const uint64_t *old, const uint64_t *new, unsigned first, unsigned count)
{
	const char *separator = "";

	for (unsigned i = 0; i < plan->structure->nfields; i++) {
		const struct layout_field *field = &plan->structure->fields[i];
		uint64_t a = tool_field_value(field, old), b = tool_field_value(field, new);

		if (a == b || field->lsb / 64 < first || field->lsb / 64 >= first + count)
			continue;
		if (tool_field_address(plan->arch, field, a, &a))
			tool_field_address(plan->arch, field, b, &b);
		printf(a < 10 && b < 10 ? "%s%s %llu -> %llu" : "%s%s 0x%llx -> 0x%llx", separator, field->name, (unsigned long long)a,
		       (unsigned long long)b);
		separator = ", ";
	}
	if (!separator[0])
		printf("nothing changes");
}

/* Is the field an operand of the command, or what makes it this command? */
static bool is_operand(const struct layout *command, const struct layout_field *field, const uint64_t *words)
{
	return tool_looked_at(field, tool_mode(command, words)) && strncmp(field->name, "TYPE", 4) != 0 &&
	       strcmp(field->name, "G") != 0 && strcmp(field->name, "OPCODE") != 0 && strcmp(field->name, "FUNC3") != 0;
}

static void print_operands(const struct plan *plan, const struct iommu_step *step)
{
	const struct layout *command = tool_structure(plan->arch, step->structure);
	char text[64];

	for (unsigned i = 0; command && step->nwords && i < command->nfields; i++) {
		const struct layout_field *field = &command->fields[i];
		uint64_t value = tool_field_value(field, step->words), address;

		/* Of the short ones only what is set; a number that has a better form, like a requester id, in that. */
		if (!is_operand(command, field, step->words) || (!value && field->width < 16))
			continue;
		if (tool_field_address(plan->arch, field, value, &address))
			printf(", %s 0x%llx", field->name, (unsigned long long)address);
		else if (!field->values[0] && tool_field_meaning(plan->arch, command, field, value, text, sizeof(text)))
			printf(", %s %s", field->name, text);
		else
			printf(", %s %llu", field->name, (unsigned long long)value);
	}
}

static void print_step(const struct plan *plan, const struct iommu_step *step, uint64_t *now)
{
	unsigned first = step->quantum * step->nwords;

	switch (step->op) {
	case IOMMU_STEP_ALLOC:
		printf("a page (before anything is stored)");
		break;
	case IOMMU_STEP_LOCK:
	case IOMMU_STEP_UNLOCK:
		printf("the page that holds the entry");
		break;
	case IOMMU_STEP_COPY:
		printf("it into the new page, with: ");
		print_changes(plan, now, step->entry, 0, plan->structure->words);
		break;
	case IOMMU_STEP_STORE:
		if (step->place == IOMMU_PLACE_PARENT) {
			printf("%s: pointer to the new page", step->structure);
			memcpy(now, step->entry, plan->structure->words * 8);
			break;
		}
		printf("quantum %u: ", step->quantum);
		{
			uint64_t next[IOMMU_ENTRY_WORDS];

			memcpy(next, now, sizeof(next));
			memcpy(next + first, step->words, step->nwords * 8);
			print_changes(plan, now, next, first, step->nwords);
			memcpy(now, next, sizeof(next));
		}
		break;
	case IOMMU_STEP_WRITEBACK:
		if (step->place == IOMMU_PLACE_PAGE)
			printf("the new page");
		else
			printf("quantum %u of the %s", step->quantum, step->structure);
		break;
	case IOMMU_STEP_INVALIDATE:
		printf("%s cache, %s", iommu_cache_name(step->cache), step->scope);
		print_operands(plan, step);
		break;
	case IOMMU_STEP_WAIT:
		printf("%s", step->poll ? "until all that is done" : "(the queue orders what follows)");
		break;
	case IOMMU_STEP_FREE:
		printf("the old page");
		break;
	case IOMMU_STEP_PCI:
		printf("the device's ATS, %s", step->words[1] ? "on" : "off");
		break;
	default:
		break;
	}
}

static void print_cost(const struct iommu_cost *cost)
{
	static const char *const foreign[] = { "", ", some of other devices' cached entries", ", all cached entries of the unit" };

	printf("%u store%s, %u command%s, %u round%s, %u poll%s", cost->stores, cost->stores == 1 ? "" : "s", cost->commands,
	       cost->commands == 1 ? "" : "s", cost->rounds, cost->rounds == 1 ? "" : "s", cost->polls,
	       cost->polls == 1 ? "" : "s");
	if (cost->copied)
		printf(", %zu bytes copied", cost->copied);
	if (cost->tags)
		printf(", %u temporary tag%s", cost->tags, cost->tags == 1 ? "" : "s");
	fputs(foreign[cost->foreign < 3 ? cost->foreign : 2], stdout);
}

static void print_text(const struct plan *plan)
{
	const struct tool_palette *p = &tool_palette;
	struct alternative alternatives[IOMMU_STRATEGY_COUNT];
	unsigned n = find_alternatives(plan, alternatives);
	uint64_t now[IOMMU_ENTRY_WORDS];

	memcpy(now, plan->before.words, sizeof(now));
	printf("%s %s entry, %s -> %s, %u-bit stores, %s tags\n", plan->arch->name, plan->entry->name, plan->before.name,
	       plan->after.name, plan->request.quantum * 8, plan->request.facts & IOMMU_PLAN_OLD_PRIVATE ? "private" : "shared");
	printf("%s%s%s, %s%s%s", p->bold, iommu_strategy_name(plan->plan.strategy), p->off,
	       plan->plan.hitless ? p->green : p->red, plan->plan.hitless ? "hitless" : "disruptive", p->off);
	printf(plan->plan.why ? ": %s\n\n" : "\n\n", plan->plan.why);
	if (!plan->plan.nsteps)
		printf("nothing to do\n");
	for (unsigned i = 0; i < plan->plan.nsteps; i++) {
		const struct iommu_step *step = &plan->plan.steps[i];

		printf("%3u  %-10s ", i + 1, iommu_step_op_name(step->op));
		print_step(plan, step, now);
		putchar('\n');
	}
	printf("\ncost: ");
	print_cost(&plan->plan.cost);
	printf(n ? "\n\nnot taken:\n" : "\n");
	for (unsigned i = 0; i < n; i++) {
		const struct alternative *a = &alternatives[i];

		printf("  %s%-20s%s  %s", a->possible ? "" : p->dim, iommu_strategy_name(a->strategy), a->possible ? "" : p->off, a->why);
		if (a->possible) {
			printf(" (");
			print_cost(&a->plan.cost);
			printf(")");
		}
		putchar('\n');
	}
}

/* ---- JSON ---- */

static json_t *json_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *json_cost(const struct iommu_cost *cost)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:i}", "stores", cost->stores, "commands", cost->commands, "rounds",
			 cost->rounds, "polls", cost->polls, "foreign", cost->foreign, "copied", (json_int_t)cost->copied, "tags",
			 cost->tags);
}

static void add_operands(const struct plan *plan, const struct iommu_step *step, json_t *row)
{
	const struct layout *command = tool_structure(plan->arch, step->structure);
	char text[24];

	for (unsigned i = 0; command && step->nwords && i < command->nfields; i++) {
		const struct layout_field *field = &command->fields[i];
		uint64_t value = tool_field_value(field, step->words), address;

		if (!is_operand(command, field, step->words))
			continue;
		if (tool_field_address(plan->arch, field, value, &address)) {
			snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
			json_object_set_new(row, field->name, json_string(text));
		} else {
			json_object_set_new(row, field->name, json_integer((json_int_t)value));
		}
	}
}

static json_t *json_step(const struct plan *plan, const struct iommu_step *step)
{
	json_t *row = json_pack("{s:s, s:i}", "op", iommu_step_op_name(step->op), "device", step->device);

	switch (step->op) {
	case IOMMU_STEP_STORE:
		json_object_set_new(row, "structure", json_string(step->structure));
		json_object_set_new(row, "quantum", json_integer(step->quantum));
		json_object_set_new(row, "words", tool_json_words(step->words, step->nwords));
		if (step->nentry)
			json_object_set_new(row, "table",
					    json_pack("{s:s, s:o}", "structure", step->entry_structure, "words",
						      tool_json_words(step->entry, step->nentry)));
		break;
	case IOMMU_STEP_WRITEBACK:
		json_object_set_new(row, "structure", json_string(step->structure));
		json_object_set_new(row, "quantum", json_integer(step->quantum));
		json_object_set_new(row, "page", json_boolean(step->place == IOMMU_PLACE_PAGE));
		break;
	case IOMMU_STEP_INVALIDATE:
		json_object_set_new(row, "cache", json_string(iommu_cache_name(step->cache)));
		json_object_set_new(row, "scope", json_string(step->scope));
		add_operands(plan, step, row);
		json_object_set_new(row, "structure", json_string(step->structure));
		json_object_set_new(row, "words", tool_json_words(step->words, step->nwords));
		break;
	case IOMMU_STEP_WAIT:
		json_object_set_new(row, "poll", json_boolean(step->poll));
		break;
	case IOMMU_STEP_PCI:
		json_object_set_new(row, "offset", json_integer((json_int_t)step->words[0]));
		json_object_set_new(row, "value", json_integer((json_int_t)step->words[1]));
		break;
	default:
		break;
	}
	return row;
}

static void print_json(const struct plan *plan)
{
	struct alternative alternatives[IOMMU_STRATEGY_COUNT];
	unsigned n = find_alternatives(plan, alternatives), words = plan->structure->words;
	json_t *steps = json_array(), *others = json_array();

	for (unsigned i = 0; i < plan->plan.nsteps; i++)
		/* What a copy makes is in the store of the new page's pointer. */
		if (plan->plan.steps[i].op != IOMMU_STEP_COPY)
			json_array_append_new(steps, json_step(plan, &plan->plan.steps[i]));
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(others,
				      json_pack("{s:s, s:b, s:b, s:o, s:s}", "strategy", iommu_strategy_name(alternatives[i].strategy),
						"possible", alternatives[i].possible, "hitless",
						alternatives[i].possible && alternatives[i].plan.hitless, "cost",
						alternatives[i].possible ? json_cost(&alternatives[i].plan.cost) : json_null(), "why",
						alternatives[i].why));
	tool_print_json(json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
				  "hitless.plan/1", "arch", plan->arch->name, "entry", plan->entry->name, "quantum",
				  plan->request.quantum * 8, "from", plan->before.name, "to", plan->after.name, "tags",
				  plan->request.facts & IOMMU_PLAN_OLD_PRIVATE ? "private" : "shared", "strategy",
				  iommu_strategy_name(plan->plan.strategy), "hitless", plan->plan.hitless, "why",
				  json_text(plan->plan.why), "before", tool_json_words(plan->before.words, words), "after",
				  tool_json_words(plan->after.words, words), "cost", json_cost(&plan->plan.cost), "steps", steps,
				  "alternatives", others));
}

int tool_plan(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL, doc, NULL, NULL, NULL };
	struct plan plan = {
		.arch = &tool_vtd,
		.request = { .strategies = IOMMU_STRATEGY_ANY, .rid = 0x10, .facts = IOMMU_PLAN_ONE_TO_ONE },
	};
	char text[160];
	int err;

	tool_parse(&argp, argc, argv, &plan);
	if (!plan.from || !plan.to)
		tool_fail(TOOL_USAGE, "plan: %s is missing (see hitless plan --help)", plan.from ? "--to" : "--from");
	plan.entry = tool_find_configs(plan.arch, plan.from, plan.to, &plan.before, &plan.after);
	plan.structure = tool_find_structure(plan.arch, iommu_entry_name(plan.entry->format));
	if (!plan.request.quantum)
		plan.request.quantum = plan.arch->quantum ? plan.arch->quantum : 16;
	plan.request.format = plan.entry->format;
	plan.request.before = plan.before.words;
	plan.request.after = plan.after.words;
	plan.request.pasid = plan.entry->pasid;
	if (plan.entry->tag_behind) {
		plan.request.before_tag = plan.entry->tag_behind(plan.before.words);
		plan.request.after_tag = plan.entry->tag_behind(plan.after.words);
	}
	plan.request.temporary_tag = plan.entry->temporary_tag;
	for (unsigned side = 0; side < 2 && plan.entry->standin; side++) {
		if (plan.entry->standin(side ? plan.after.words : plan.before.words, plan.standin[side]))
			plan.request.standin[side] = plan.standin[side];
	}
	plan.request.standin_bytes = STANDIN_BYTES;
	if (plan.entry->chain)
		plan.request.nchain = plan.entry->chain(plan.before.words, plan.after.words, plan.request.quantum, plan.chain);
	for (unsigned i = 0; i < plan.request.nchain; i++)
		plan.request.chain[i] = plan.chain[i];

	/* Once to count the steps, once to have them. */
	err = iommu_plan(&plan.request, &plan.plan);
	if (err == -EOPNOTSUPP) {
		unsigned s = 0;

		while (!(plan.request.strategies & IOMMU_STRATEGY_BIT(s)))
			s++;
		tool_fail(TOOL_USAGE, "--strategy: \"%s\" can't do %s -> %s: %s", iommu_strategy_name(s), plan.before.name,
			  plan.after.name, why_impossible(&plan, s, text, sizeof(text)));
	}
	if (!err) {
		plan.plan.capacity = plan.plan.nsteps;
		plan.plan.steps = calloc(plan.plan.nsteps + 1, sizeof(*plan.plan.steps));
		err = plan.plan.steps ? iommu_plan(&plan.request, &plan.plan) : -ENOMEM;
	}
	if (err)
		tool_fail(TOOL_ERROR, "can't plan %s -> %s: %s", plan.before.name, plan.after.name, strerror(-err));
	(tool_options.json ? print_json : print_text)(&plan);
	free(plan.plan.steps);
	return TOOL_OK;
}
