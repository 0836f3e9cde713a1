/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * run.c - `hitless run`: replaces domains under live DMA, on a machine, and counts what every DMA saw.
 *
 * A case is a pair of configurations; the group goes there and back, so it gives a row for each direction, or one if both
 * are the same. Without --from and --to every architecture runs the list below, less what it does not have.
 */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_REPLACES 2200
#define LEAST_REPLACES 2000	/* on a machine that is slow or busy */
#define SLOW 0.3		/* seconds */
#define FAULT_REPLACES 2000	/* a fault shows much sooner, mostly */
#define FAULT_PATIENCE 20	/* so many times that, until one does */
#define DEFAULT_DMAS 200000	/* a row has at least so many */
#define DMAS_BETWEEN 160	/* two replaces, at most; half of that on average */
#define MAX_ARCHS 8
#define MAX_CASES 32
#define RECORDINGS 200		/* of which the clearest is drawn */
#define PASID_BITS 8
#define DMAS_AROUND 24		/* a recorded replace */
#define SOME_PASID 7		/* has a neighbour in its table, and requests without PASID share it on some architectures */

struct run_case {
	const char *from, *to;
	bool shared, ats;
	bool grows;			/* the page table gets more levels, instead of a replace */
	bool brief;			/* a quarter of it is enough where all architectures are to end soon */
	bool narrow;			/* without 128-bit stores, whatever the architecture has */
	const char *pasids_on;		/* only there: of devices that may have PASIDs */
	bool beside;			/* devices have PASIDs, and others go on beside... */
	uint32_t pasid;			/* ... this one that is switched; 0: the requests without are */
};

static const struct run_case default_cases[] = {
	{ .from = "s2", .to = "s2" },
	{ .from = "s2", .to = "s2", .shared = true },
	{ .from = "s2", .to = "s2", .ats = true },
	{ .from = "s2", .to = "s2:levels=5" },
	{ .from = "identity", .to = "s2" },
	{ .from = "s1", .to = "s1" },
	{ .from = "s1", .to = "s1", .shared = true },
	{ .from = "s1", .to = "s1:levels=5" },
	{ .from = "identity", .to = "s1" },
	{ .from = "s1", .to = "s2" },
	{ .from = "s2", .to = "s2", .grows = true },
	{ .from = "nested", .to = "nested", .brief = true },
	{ .from = "nested", .to = "nested:parent=b", .brief = true },
	{ .from = "nested", .to = "s2", .brief = true },
	{ .from = "nested", .to = "identity", .brief = true },
	/* AMD-Vi: the GCR3 table is the device's then, and one entry of it changes. */
	{ .from = "s1", .to = "s1", .pasids_on = "amdvi" },
	/* RISC-V: the guest's process directory. */
	{ .from = "nested", .to = "s2", .pasids_on = "riscv", .brief = true },
	{ .from = "s1", .to = "s1", .beside = true, .pasid = SOME_PASID, .ats = true },
	{ .from = "external", .to = "s1", .beside = true, .pasid = SOME_PASID, .shared = true },
	{ .from = "identity", .to = "s1", .beside = true },
};

/* ... and these where every step is looked at: that is quick. */
static const struct run_case more_cases[] = {
	{ .from = "identity", .to = "s2", .shared = true },
	{ .from = "identity", .to = "s1", .shared = true },
	{ .from = "s1", .to = "s2", .shared = true },
	{ .from = "s2", .to = "s2:levels=3" },
	{ .from = "blocked", .to = "identity" },
	{ .from = "blocked", .to = "s1" },
	{ .from = "blocked", .to = "s2" },
	{ .from = "blocked", .to = "s2", .shared = true },
	/* The host's process directory; requests without PASID are looked up there, too. */
	{ .from = "s1", .to = "s2", .pasids_on = "riscv" },
};

struct options {
	const char *machine;
	bool qemu, guest;
	const struct machine_arch *archs[MAX_ARCHS];
	const char *arch_names[MAX_ARCHS + 1];
	unsigned narchs;
	bool archs_named;
	const char *from, *to;
	uint64_t devices, replaces;
	double seconds;
	const char *tags;		/* NULL: as each case says */
	bool beside;			/* as in a case */
	uint32_t pasid;
	int strategy;			/* enum iommu_strategy; -1: any */
	uint64_t quantum;
	enum live_method method;
	bool method_named;
	const struct run_fault *fault;
	bool fault_off;			/* its setup with an intact driver */
	bool list_faults;
	uint64_t seed;
	const char *svg;
};

struct run {
	struct options options;
	struct run_row *rows;
	unsigned nrows, capacity;
	/* The recording to draw, and of what. */
	struct live_recording recording;
	bool recorded, recorded_violation;
	unsigned recorded_row;
};

static const char *const method_names[] = { "replace", "attach-detach", "remap", "grow" };

/* ---- Options ---- */

enum {
	OPTION_MACHINE = 0x100, OPTION_ARCH, OPTION_FROM, OPTION_TO, OPTION_DEVICES, OPTION_REPLACES, OPTION_SECONDS,
	OPTION_TAGS, OPTION_PASID, OPTION_STRATEGY, OPTION_QUANTUM, OPTION_METHOD, OPTION_INJECT, OPTION_SEED, OPTION_SVG
};

static const struct argp_option argp_options[] = {
	{ "machine", OPTION_MACHINE, "NAME", 0, "model (default), qemu or guest", 0 },
	{ "arch", OPTION_ARCH, "A[,A...]", 0, "Architectures, or all (default)", 0 },
	{ "from", OPTION_FROM, "C", 0, "The configurations to go between:", 0 },
	{ "to", OPTION_TO, "C", 0, "s1, s2, identity, blocked, s1:levels=5, ...", 0 },
	{ "devices", OPTION_DEVICES, "N", 0, "Devices in the group (2)", 0 },
	{ "replaces", OPTION_REPLACES, "N", 0, "Replaces a row (2000 to 2200; of PASIDs 500 unless --arch names one)", 0 },
	{ "seconds", OPTION_SECONDS, "S", 0, "Time for each pair instead", 0 },
	{ "tags", OPTION_TAGS, "WORD", 0, "private, or shared with other devices", 0 },
	{ "pasid", OPTION_PASID, "N", 0, "This PASID beside others; 0: none, beside PASIDs", 0 },
	{ "strategy", OPTION_STRATEGY, "NAME", 0, "Only this one: \"table swap\", \"break\", ...", 0 },
	{ "quantum", OPTION_QUANTUM, "BITS", 0, "64 or 128: the widest atomic store", 0 },
	{ "method", OPTION_METHOD, "WORD", 0, "replace, or the old ways: attach-detach, remap; grow", 0 },
	{ "inject", OPTION_INJECT, "NAME", 0, "Break the driver on purpose; list: how", 0 },
	{ "seed", OPTION_SEED, "N", 0, "Of all random choices (1)", 0 },
	{ "svg", OPTION_SVG, "FILE", 0, "Draw the DMAs of one replace", 0 },
	{ 0 },
};

static const char doc[] =
	"Replace domains under live DMA and count what every DMA saw."
	"\v"
	"  hitless run                                     everything, in 20 s\n"
	"  hitless run --arch vtd --from s2 --to s1 -v     one transition, and back\n"
	"  hitless run --method attach-detach              how it was without replace\n"
	"  hitless run --inject skip-wait --svg broken.svg   a broken driver, drawn\n"
	"Exit 10: a DMA was misdirected, late, or blocked by what is called hitless.";

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
	uint64_t value;

	if (!tool_number(text, &value) || value < least || value > most)
		tool_fail(TOOL_USAGE, "--%s: '%s' is not a number from %llu to %llu", option, text, (unsigned long long)least,
			  (unsigned long long)most);
	return value;
}

static const char *arch_list(void)
{
	static char names[128];

	names[0] = '\0';
	for (unsigned i = 0; machine_archs[i]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ", " : "", machine_archs[i]->name);
	return names;
}

static void add_arch(struct options *options, const struct machine_arch *arch)
{
	for (unsigned i = 0; i < options->narchs; i++)
		if (options->archs[i] == arch)
			return;
	options->arch_names[options->narchs] = arch->name;
	options->archs[options->narchs++] = arch;
	options->arch_names[options->narchs] = NULL;
}

static void parse_archs(struct options *options, const char *text)
{
	options->narchs = 0;
	options->archs_named = strcmp(text, "all") != 0;
	if (!options->archs_named) {
		for (unsigned i = 0; machine_archs[i]; i++)
			add_arch(options, machine_archs[i]);
		return;
	}
	for (;;) {
		size_t length = strcspn(text, ",");
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)length, text);
		if (length >= sizeof(name) || !machine_arch_by_name(name))
			tool_fail(TOOL_USAGE, "--arch: there is no architecture '%.*s'; there are %s, all", (int)length, text,
				  arch_list());
		add_arch(options, machine_arch_by_name(name));
		if (!text[length])
			return;
		text += length + 1;
	}
}

/* "table swap", and "table-swap" for those who don't like quotes; "preload" for "preload, flip, clean". */
static int parse_strategy(const char *text)
{
	char plain[64];

	snprintf(plain, sizeof(plain), "%s", text);
	for (char *c = plain; *c; c++)
		if (*c == '-')
			*c = ' ';
	for (int i = IOMMU_STRATEGY_ONE_STORE; i < IOMMU_STRATEGY_COUNT; i++)
		if (strcmp(iommu_strategy_name((enum iommu_strategy)i), plain) == 0)
			return i;
	if (strcmp(plain, "preload") == 0)
		return IOMMU_STRATEGY_PRELOAD;
	tool_fail(TOOL_USAGE,
		  "--strategy: there is no strategy '%s'; there are \"one store\", \"preload, flip, clean\", \"same tag\", "
		  "\"table swap\", \"tag hop\", \"temporary tag\", \"break\"", text);
}

static enum live_method parse_method(const char *text)
{
	for (unsigned i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
		if (strcmp(method_names[i], text) == 0)
			return (enum live_method)i;
	tool_fail(TOOL_USAGE, "--method: '%s' is not replace, attach-detach, remap or grow", text);
}

static double parse_seconds(const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (!*text || *end || !(seconds > 0) || seconds > 1e6)
		tool_fail(TOOL_USAGE, "--seconds: '%s' is not a time", text);
	return seconds;
}

/* "NAME", or "NAME:off": the same setup with an intact driver, for comparison. */
static void parse_fault(struct options *options, const char *text)
{
	char name[64];

	options->list_faults = strcmp(text, "list") == 0;
	if (options->list_faults)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, ":"), text);
	options->fault_off = text[strcspn(text, ":")] != '\0';
	options->fault = run_find_fault(name);
	if (!options->fault || (options->fault_off && strcmp(text + strlen(name), ":off") != 0))
		tool_fail(TOOL_USAGE, "--inject: there is no fault '%s' (see hitless run --inject list)", text);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_MACHINE:
		options->machine = value;
		options->qemu = strcmp(value, "qemu") == 0;
		options->guest = strcmp(value, "guest") == 0;
		return 0;
	case OPTION_ARCH:
		parse_archs(options, value);
		return 0;
	case OPTION_FROM:
		options->from = value;
		return 0;
	case OPTION_TO:
		options->to = value;
		return 0;
	case OPTION_DEVICES:
		options->devices = number("devices", value, 1, LIVE_MAX_DEVICES);
		return 0;
	case OPTION_REPLACES:
		options->replaces = number("replaces", value, 1, 100000000);
		return 0;
	case OPTION_SECONDS:
		options->seconds = parse_seconds(value);
		return 0;
	case OPTION_TAGS:
		if (strcmp(value, "private") != 0 && strcmp(value, "shared") != 0)
			tool_fail(TOOL_USAGE, "--tags: '%s' is not private or shared", value);
		options->tags = value;
		return 0;
	case OPTION_PASID:
		options->beside = true;
		options->pasid = (uint32_t)number("pasid", value, 0, (1u << 20) - 1);
		return 0;
	case OPTION_STRATEGY:
		options->strategy = parse_strategy(value);
		return 0;
	case OPTION_QUANTUM:
		options->quantum = number("quantum", value, 64, 128);
		if (options->quantum != 64 && options->quantum != 128)
			tool_fail(TOOL_USAGE, "--quantum: '%s' is not 64 or 128", value);
		return 0;
	case OPTION_METHOD:
		options->method = parse_method(value);
		options->method_named = true;
		return 0;
	case OPTION_INJECT:
		parse_fault(options, value);
		return 0;
	case OPTION_SEED:
		options->seed = number("seed", value, 0, UINT64_MAX);
		return 0;
	case OPTION_SVG:
		options->svg = value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What makes no sense together. */
static void check_options(const struct options *options)
{
	if (options->qemu && (options->seconds > 0 || options->svg || options->devices != 2 ||
			      options->method == LIVE_REMAP || options->method == LIVE_GROW))
		tool_fail(TOOL_USAGE, "--machine qemu steps through replaces of two devices: it has no --seconds, --svg, --devices, "
			  "--method remap and grow");
	if (options->qemu && options->fault && (options->fault->setup.noncoherent || options->fault->setup.ats))
		tool_fail(TOOL_USAGE, "--inject: QEMU can't show '%s': it has no %s", options->fault->fault.name,
			  options->fault->setup.ats ? "device with a TLB of its own" : "unit that does not snoop");
	if (options->guest && (options->seconds > 0 || options->svg || options->devices != 2 || options->tags || options->strategy >= 0 ||
			       (options->method != LIVE_REPLACE && options->method != LIVE_ATTACH_DETACH)))
		tool_fail(TOOL_USAGE, "--machine guest has one device and takes its time: it has no --seconds, --svg, --devices, "
			  "--tags, --strategy and --method remap or grow");
	if (options->guest && options->fault && (options->fault_off || !run_guest_has_fault(options->fault->fault.name)))
		tool_fail(TOOL_USAGE, "--inject: the guest has only skip-iotlb-invalidation and skip-entry-invalidation");
	if (strcmp(options->machine, "model") != 0 && !options->qemu && !options->guest)
		tool_fail(TOOL_USAGE, "--machine: '%s' is not model, qemu or guest", options->machine);
	if (!options->from != !options->to)
		tool_fail(TOOL_USAGE, "--%s needs --%s", options->from ? "from" : "to", options->from ? "to" : "from");
	if (options->replaces && options->seconds > 0)
		tool_fail(TOOL_USAGE, "--replaces and --seconds: only one of them");
	if (options->method != LIVE_REPLACE && options->strategy >= 0)
		tool_fail(TOOL_USAGE, "--strategy is about --method replace, not %s", method_names[options->method]);
	if (options->method != LIVE_REPLACE && options->fault)
		tool_fail(TOOL_USAGE, "--inject is about --method replace, not %s", method_names[options->method]);
	if (options->method == LIVE_REMAP && options->tags && strcmp(options->tags, "shared") == 0)
		tool_fail(TOOL_USAGE, "--method remap changes one domain: its tag can't be shared with another");
	if (options->method == LIVE_GROW && options->tags && strcmp(options->tags, "shared") == 0)
		tool_fail(TOOL_USAGE, "--method grow: its tag is the domain's own");
	if (options->beside && options->method == LIVE_REMAP)
		tool_fail(TOOL_USAGE, "--method remap changes one domain, whatever is attached to it: not with --pasid");
	if (options->beside && (options->qemu || options->guest))
		tool_fail(TOOL_SKIPPED, "--pasid needs --machine model");
	if (options->fault && strcmp(options->fault->shown_by, "check") == 0)
		tool_fail(TOOL_USAGE, "--inject: '%s' is shown by hitless check, not by run", options->fault->fault.name);
}

/* ---- Configurations ---- */

struct kind {
	struct live_kind kind;
	bool ats, pasids;
	char text[RUN_KIND_TEXT];	/* without ats=on and pasids=on, which are not the domain's */
};

static bool parse_on(const char *text, const char *value)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		tool_fail(TOOL_USAGE, "configuration '%s': '%s' is not on or off", text, value);
	return strcmp(value, "on") == 0;
}

static void parse_variant(const char *text, char *pair, struct kind *kind)
{
	char *value = strchr(pair, '=');
	uint64_t levels;

	if (!value)
		tool_fail(TOOL_USAGE, "configuration '%s': '%s' is not KEY=VALUE", text, pair);
	*value++ = '\0';
	if (strcmp(pair, "ats") == 0) {
		kind->ats = parse_on(text, value);
		return;
	}
	if (strcmp(pair, "pasids") == 0) {
		kind->pasids = parse_on(text, value);
		return;
	}
	if (kind->kind.type == IOMMU_DOMAIN_NESTED && strcmp(pair, "parent") == 0) {
		if (strcmp(value, "a") != 0 && strcmp(value, "b") != 0)
			tool_fail(TOOL_USAGE, "configuration '%s': '%s' is not a or b", text, value);
		kind->kind.other_parent = *value == 'b';
		if (kind->kind.other_parent)
			snprintf(kind->text + strlen(kind->text), sizeof(kind->text) - strlen(kind->text), "%sparent=b",
				 strchr(kind->text, ':') ? "," : ":");
		return;
	}
	if (kind->kind.type != IOMMU_DOMAIN_PAGING || (strcmp(pair, "levels") != 0 && strcmp(pair, "dirty") != 0))
		tool_fail(TOOL_USAGE, "configuration '%s' has no variant '%s'", text, pair);
	if (strcmp(pair, "dirty") == 0) {
		kind->kind.dirty = parse_on(text, value);
	} else {
		if (!tool_number(value, &levels) || levels < 1 || levels > 6)
			tool_fail(TOOL_USAGE, "configuration '%s': '%s' is not a number of levels", text, value);
		kind->kind.levels = (unsigned)levels;
	}
	if (strcmp(value, "off") == 0)
		return;
	snprintf(kind->text + strlen(kind->text), sizeof(kind->text) - strlen(kind->text), "%s%s=%s",
		 strchr(kind->text, ':') ? "," : ":", pair, value);
}

static struct kind parse_kind(const char *text)
{
	static const struct {
		const char *name;
		struct live_kind kind;
	} kinds[] = {
		{ "blocked", { .type = IOMMU_DOMAIN_BLOCKED } },
		{ "identity", { .type = IOMMU_DOMAIN_IDENTITY } },
		{ "external", { .type = IOMMU_DOMAIN_EXTERNAL, .stage = 1 } },
		{ "nested", { .type = IOMMU_DOMAIN_NESTED } },
		{ "s1", { .type = IOMMU_DOMAIN_PAGING, .stage = 1 } },
		{ "s2", { .type = IOMMU_DOMAIN_PAGING, .stage = 2 } },
	};
	struct kind kind = { .text = "" };
	char copy[RUN_KIND_TEXT], *rest, *save;

	if (strlen(text) >= sizeof(copy))
		tool_fail(TOOL_USAGE, "configuration '%s' is too long", text);
	strcpy(copy, text);
	rest = strchr(copy, ':');
	if (rest)
		*rest++ = '\0';
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, copy) == 0) {
			kind.kind = kinds[i].kind;
			strcpy(kind.text, copy);
		}
	if (!kind.text[0])
		tool_fail(TOOL_USAGE, "there is no configuration '%s'; there are blocked, identity, external, nested, s1, s2", copy);
	for (char *pair = rest ? strtok_r(rest, ",", &save) : NULL; pair; pair = strtok_r(NULL, ",", &save))
		parse_variant(text, pair, &kind);
	return kind;
}

static bool same_kind(const struct kind *a, const struct kind *b)
{
	return strcmp(a->text, b->text) == 0;
}

/* ---- One pair ---- */

static struct run_row *new_row(struct run *run)
{
	if (run->nrows == run->capacity) {
		run->capacity = run->capacity ? run->capacity * 2 : 64;
		run->rows = realloc(run->rows, run->capacity * sizeof(*run->rows));
		if (!run->rows)
			tool_fail(TOOL_ERROR, "out of memory");
	}
	memset(&run->rows[run->nrows], 0, sizeof(*run->rows));
	return &run->rows[run->nrows++];
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * Rows of all architectures together are to end soon; and with PASIDs, three times as many DMAs go on meanwhile: what is beside what is
 * switched isn't counted.
 */
static bool is_brief(const struct options *options, const struct run_case *c)
{
	return (c->beside || c->brief) && !options->archs_named;
}

/* 0 to 1: how far one direction is. */
static double progress(const struct options *options, const struct run_case *c, const struct live *live, unsigned switches,
		       unsigned direction, double started)
{
	uint64_t wanted = options->replaces ? options->replaces : options->fault ? FAULT_REPLACES :
			  is_brief(options, c) ? LEAST_REPLACES / 4 :
			  seconds_now() - started > SLOW ? LEAST_REPLACES : DEFAULT_REPLACES;
	double done, dmas;

	if (options->seconds > 0)
		return switches ? (seconds_now() - started) / options->seconds : 0;
	done = (double)switches / (double)wanted;
	dmas = (double)live_dmas(live, direction) / (is_brief(options, c) ? DEFAULT_DMAS / 4 : DEFAULT_DMAS);
	return options->replaces || done < dmas ? done : dmas;
}

static void fail_switch(const struct run *run, const struct run_case *c, const char *arch, int err)
{
	(void)run;
	tool_fail(TOOL_ERROR, "%s %s -> %s: replace failed: %s", arch, c->from, c->to, strerror(-err));
}

/* Some faults need a rare moment: unless the user has said how much he wants, it goes on until one is seen, or for long. */
static bool is_patient(const struct options *options)
{
	return options->fault && !options->fault_off && !options->replaces && !(options->seconds > 0);
}

/* Switches back and forth until there are enough of both directions. */
static void run_live(struct run *run, const struct run_case *c, const char *arch, struct live *live, unsigned directions)
{
	const struct options *options = &run->options;
	double started = seconds_now(), told = started;

	machine_seed_thread(options->seed);
	for (unsigned n = 1;; n++) {
		double done = 1;
		int err = live_switch(live);

		if (err)
			fail_switch(run, c, arch, err);
		live_dwell(live, machine_random() % DMAS_BETWEEN);
		for (unsigned d = 0; d < directions; d++) {
			double part = progress(options, c, live, directions == 1 ? n : (n + 1 - d) / 2, d, started);

			done = part < done ? part : done;
		}
		if (done >= 1 && !(is_patient(options) && done < FAULT_PATIENCE && !live_violated(live)))
			return;
		if (n % 16 == 0 && seconds_now() - told > 0.1) {
			told = seconds_now();
			tool_progress("%s %s -> %s: %u replaces, %d %%", arch, c->from, c->to, n, (int)(done * 100));
		}
	}
}

/* ---- Recording, for --svg ---- */

static void drop_recording(struct live_recording *recording)
{
	free(recording->events);
	free(recording->marks);
	memset(recording, 0, sizeof(*recording));
}

/* How well a recording shows what happened: a violation before all, then many DMAs in a short replace. */
static double clarity(const struct live_recording *recording, bool *violation)
{
	double inside = 0, span = (double)(recording->t1 - recording->t0);
	unsigned seen[LIVE_MAX_DEVICES + 2] = { 0 }, active = 0;

	*violation = false;
	for (unsigned i = 0; i < recording->nevents; i++) {
		const struct live_event *event = &recording->events[i];

		*violation |= event->outcome == LIVE_BLOCKED || event->outcome == LIVE_WRONG || event->outcome == LIVE_STALE;
		if (event->begin < recording->t1 && event->end > recording->t0) {
			inside++;
			active += !seen[event->device]++;
		}
	}
	return (*violation ? 1e9 : 0) + active * 1e3 + inside / (span + 1) * 1e5;
}

static void record(struct run *run, unsigned first_row, const struct run_case *c, struct live *live)
{
	double best = 0;

	for (unsigned i = 0; i < RECORDINGS; i++) {
		struct live_recording recording;
		int err = live_record(live, DMAS_AROUND, &recording);
		bool violation;
		double clear;

		if (err)
			fail_switch(run, c, run->rows[first_row].arch, err);
		clear = clarity(&recording, &violation);
		if ((run->recorded_violation && !violation) || clear <= best) {
			drop_recording(&recording);
			continue;
		}
		best = clear;
		drop_recording(&run->recording);
		run->recording = recording;
		run->recorded = true;
		run->recorded_violation = violation;
		run->recorded_row = first_row + recording.direction;
	}
}

/* ---- Rows ---- */

static uint64_t percentile(const struct live_result *result, unsigned percent)
{
	return result->switches ? result->latency_ns[(uint64_t)(result->switches - 1) * percent / 100] : 0;
}

static const char *strategy_of(enum live_method method, const struct live_result *result)
{
	switch (method) {
	case LIVE_REPLACE:
	case LIVE_GROW:
		return iommu_strategy_name(result->strategy);
	case LIVE_ATTACH_DETACH:
		return "break"; /* detach goes to the blocking entry */
	default:
		return "remap";
	}
}

static void fill_row(struct run *run, struct run_row *row, const struct live_config *config, const struct kind *from,
		     const struct kind *to)
{
	row->arch = config->arch->name;
	strcpy(row->from, from->text);
	strcpy(row->to, to->text);
	row->method = method_names[config->method];
	row->shared = config->shared;
	row->ats = config->ats;
	row->pasids = config->pasid_bits != 0;
	row->beside = config->beside;
	row->pasid = config->pasid;
	row->quantum = config->quantum64 || config->arch->quantum == 8 ? 64 : 128;
	row->devices = config->devices;
	row->fault = run->options.fault && !run->options.fault_off ? run->options.fault->fault.name : NULL;
}

/* What a replace of one device costs: the same switch in a group of one. */
static void find_cost(const struct live_config *config, unsigned directions, struct run_row *rows)
{
	struct live_config one = *config;
	struct live *live;

	for (unsigned d = 0; d < directions; d++)
		rows[d].cost = rows[d].result.cost;
	if (config->devices == 1 || config->method == LIVE_REMAP)
		return;
	one.devices = 1;
	one.patient = false;
	one.review = NULL;
	if (live_open(&live, &one))
		return;
	for (unsigned i = 0; i < 6; i++)
		if (live_switch(live))
			break;
	live_stop(live);
	for (unsigned d = 0; d < directions; d++) {
		struct live_result result;

		live_get_result(live, d, &result);
		rows[d].cost = result.cost;
		free(result.latency_ns);
	}
	live_close(live);
}

/* The driver with a fault in it. */
struct broken {
	const struct run_fault *fault;
	const char *arch;
};

static void break_plan(void *ctx, struct iommu_plan *plan)
{
	const struct broken *broken = ctx;

	broken->fault->fault.edit(broken->arch, plan);
}

static struct live_config make_config(const struct options *options, const struct machine_arch *arch, const struct run_case *c,
				      const struct kind *from, const struct kind *to)
{
	struct live_config config = {
		.arch = arch,
		.kind = { from->kind, to->kind },
		.method = c->grows ? LIVE_GROW : options->method,
		.devices = (unsigned)options->devices,
		.shared = c->shared,
		.ats = c->ats || from->ats || to->ats,
		.pasid_bits = c->beside ? arch->pasid_bits : c->pasids_on || from->pasids || to->pasids ? PASID_BITS : 0,
		.beside = c->beside,
		.pasid = c->pasid,
		.quantum64 = options->quantum == 64 || c->narrow,
		.seed = options->seed,
	};
	const unsigned with_tags = IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_SAME_TAG) | IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TAG_HOP) |
				   IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_TEMPORARY_TAG);

	if (options->strategy >= 0)
		config.options.strategies = IOMMU_STRATEGY_BIT(options->strategy);
	/* Who asks for one of these by name makes the assumption that it rests on. */
	if (config.options.strategies & with_tags)
		config.options.assumptions = IOMMU_PLAN_ASSUME_OLD_OR_NEW;
	if (options->fault) {
		config.noncoherent = options->fault->setup.noncoherent;
		config.patient = true;
		config.review = options->fault_off ? NULL : break_plan;
	}
	return config;
}

/* Could one paging domain stand for both? */
static bool can_remap(const struct kind *from, const struct kind *to)
{
	if (from->kind.type == IOMMU_DOMAIN_BLOCKED || to->kind.type == IOMMU_DOMAIN_BLOCKED ||
	    from->kind.type == IOMMU_DOMAIN_NESTED || to->kind.type == IOMMU_DOMAIN_NESTED)
		return false;
	return same_kind(from, to) || from->kind.type == IOMMU_DOMAIN_IDENTITY || to->kind.type == IOMMU_DOMAIN_IDENTITY;
}

static void add_na_rows(struct run *run, const struct live_config *config, const struct kind *from, const struct kind *to)
{
	for (unsigned d = 0; d < 2; d++) {
		struct run_row *row = new_row(run);

		fill_row(run, row, config, d ? to : from, d ? from : to);
		row->method = row->strategy = "n/a";
		row->why = "no paging domain can stand for both";
	}
}

/* The same on every unit of QEMU's that has both configurations. */
static const char *step_through(struct run *run, const struct run_case *c, const struct live_config *config,
				const struct kind *from, const struct kind *to, unsigned directions)
{
	static char reason[256];
	unsigned first = run->nrows;

	snprintf(reason, sizeof(reason), "QEMU has no %s that has both '%s' and '%s'", config->arch->name, c->from, c->to);
	for (unsigned b = 0; qemu_boards[b]; b++) {
		struct run_row rows[2] = { 0 };
		int err;

		if (strcmp(qemu_boards[b]->arch, config->arch->name) != 0)
			continue;
		tool_progress("%s %s -> %s on %s", config->arch->name, c->from, c->to, qemu_boards[b]->name);
		for (unsigned d = 0; d < directions; d++)
			fill_row(run, &rows[d], config, d ? to : from, d ? from : to);
		err = run_step_through(qemu_boards[b], config, (unsigned)run->options.replaces, directions, rows);
		if (err == -EINVAL)
			continue;
		if (err == -ENOENT || err == -ENOPROTOOPT)
			tool_fail(TOOL_SKIPPED, "--machine qemu: %s", qemu_missing());
		if (err == -EOPNOTSUPP && (run->options.strategy >= 0 || config->arch->quantum)) {
			snprintf(reason, sizeof(reason), "%s %s -> %s: it can't be done that way", config->arch->name, c->from, c->to);
			continue;
		}
		if (err)
			tool_fail(TOOL_ERROR, "%s %s -> %s on QEMU's %s: %s", config->arch->name, c->from, c->to,
				  qemu_boards[b]->name, strerror(-err));
		for (unsigned d = 0; d < directions; d++)
			*new_row(run) = rows[d];
	}
	return run->nrows > first ? NULL : reason;
}

/* The text of why a case can't be run, or NULL: it was, and has its rows. */
static const char *run_case(struct run *run, const struct machine_arch *arch, const struct run_case *c)
{
	static char reason[256];
	const struct options *options = &run->options;
	struct kind from = parse_kind(c->from), to = parse_kind(c->to);
	unsigned directions = same_kind(&from, &to) ? 1 : 2, first = run->nrows;
	struct live_config config = make_config(options, arch, c, &from, &to);
	struct broken broken = { options->fault, arch->name };
	struct live *live;
	int err;

	if (directions == 1 && from.kind.type != IOMMU_DOMAIN_PAGING && from.kind.type != IOMMU_DOMAIN_NESTED)
		tool_fail(TOOL_USAGE, "%s to %s: nothing to switch", from.text, to.text);
	config.review_ctx = &broken;
	if (options->qemu)
		return step_through(run, c, &config, &from, &to, directions);
	if (!live_supports(arch, &from.kind) || !live_supports(arch, &to.kind)) {
		snprintf(reason, sizeof(reason), "%s has no configuration '%s'", arch->name,
			 live_supports(arch, &from.kind) ? c->to : c->from);
		return reason;
	}
	if (config.method == LIVE_GROW && (directions == 2 || from.kind.levels)) {
		snprintf(reason, sizeof(reason), "--method grow: from s2 to s2, without a number of levels");
		return reason;
	}
	if (c->beside && !arch->pasid_bits) {
		snprintf(reason, sizeof(reason), "%s has no PASIDs", arch->name);
		return reason;
	}
	if (options->method == LIVE_REMAP && !can_remap(&from, &to)) {
		add_na_rows(run, &config, &from, &to);
		return NULL;
	}
	err = live_open(&live, &config);
	if (err == -EOPNOTSUPP && options->strategy >= 0) {
		snprintf(reason, sizeof(reason), "%s %s -> %s: strategy \"%s\" can't do that%s", arch->name, c->from, c->to,
			 iommu_strategy_name((enum iommu_strategy)options->strategy),
			 config.options.assumptions ? " (it takes a tag that is private: --devices 1, --tags private)" : "");
		return reason;
	}
	/* AMD-Vi: a device's permission for its TLB lies in another word than its GCR3 table. */
	if (err == -EOPNOTSUPP && config.pasid_bits && config.ats && config.quantum64) {
		snprintf(reason, sizeof(reason), "%s: not with a TLB of its own and PASIDs, with 64-bit stores", arch->name);
		return reason;
	}
	if (err == -EOPNOTSUPP && config.method == LIVE_GROW) {
		snprintf(reason, sizeof(reason), "%s: page tables of %s don't grow%s", arch->name, c->from,
			 config.quantum64 ? ", or there is no hitless replace once they have" : "");
		return reason;
	}
	if (err)
		tool_fail(TOOL_ERROR, "%s %s -> %s: the machine does not start: %s", arch->name, c->from, c->to,
			  strerror(-err));
	run_live(run, c, arch->name, live, directions);
	for (unsigned d = 0; d < directions; d++) {
		struct run_row *row = new_row(run);

		fill_row(run, row, &config, d ? &to : &from, d ? &from : &to);
	}
	if (options->svg && !run->recorded_violation && (!run->recorded || options->fault))
		record(run, first, c, live);
	live_stop(live);
	for (unsigned d = 0; d < directions; d++) {
		struct run_row *row = &run->rows[first + d];

		live_get_result(live, d, &row->result);
		row->hitless = row->result.hitless;
		row->strategy = strategy_of(config.method, &row->result);
		row->why = row->result.why;
		row->p50 = percentile(&row->result, 50);
		row->p99 = percentile(&row->result, 99);
		row->max = percentile(&row->result, 100);
	}
	live_close(live);
	find_cost(&config, directions, &run->rows[first]);
	return NULL;
}

/* ---- Everything ---- */

static void add_case(struct run_case *cases, unsigned *ncases, struct run_case c)
{
	for (unsigned i = 0; i < *ncases; i++)
		if (strcmp(cases[i].from, c.from) == 0 && strcmp(cases[i].to, c.to) == 0 && cases[i].shared == c.shared &&
		    cases[i].ats == c.ats && cases[i].grows == c.grows && cases[i].pasids_on == c.pasids_on &&
		    cases[i].beside == c.beside && cases[i].pasid == c.pasid)
			return;
	cases[(*ncases)++] = c;
}

static void add_cases(const struct options *options, const struct run_case *list, unsigned count, struct run_case *cases,
		      unsigned *ncases)
{
	for (unsigned i = 0; i < count; i++) {
		struct run_case c = list[i];

		/* Who asks for a method, a strategy or a tag asks about replaces. */
		if (c.grows ? options->tags || options->strategy >= 0 || (options->method != LIVE_REPLACE &&
									    options->method != LIVE_GROW)
			    : options->method == LIVE_GROW)
			continue;
		if ((options->qemu || options->guest || options->method == LIVE_REMAP) && c.beside)
			continue;
		if (options->beside && !c.grows) {
			c.beside = true;
			c.pasid = options->pasid;
		}
		if (options->qemu && (c.ats || c.grows))
			continue;
		if (options->tags)
			c.shared = strcmp(options->tags, "shared") == 0;
		if (options->method == LIVE_REMAP)
			c.shared = false; /* there is one domain, and its tag is its own */
		add_case(cases, ncases, c);
	}
}

static unsigned choose_cases(struct options *options, struct run_case *cases)
{
	bool shared = options->tags && strcmp(options->tags, "shared") == 0;
	const struct run_fault *fault = options->fault;
	unsigned ncases = 0;

	if (fault) {
		const struct run_setup *setup = &fault->setup;

		if (options->strategy < 0 && setup->strategy)
			options->strategy = parse_strategy(setup->strategy);
		if (!options->quantum)
			options->quantum = setup->quantum;
		add_case(cases, &ncases, (struct run_case){
						 .from = options->from ? options->from : setup->from,
						 .to = options->to ? options->to : setup->to,
						 .shared = options->tags ? shared : setup->shared,
						 .ats = setup->ats,
						 .beside = options->beside || setup->pasid,
						 .pasid = options->beside ? options->pasid : setup->pasid,
					 });
	} else if (options->from) {
		add_case(cases, &ncases, (struct run_case){
						 .from = options->from, .to = options->to, .shared = shared,
						 .beside = options->beside, .pasid = options->pasid,
					 });
	} else {
		add_cases(options, default_cases, sizeof(default_cases) / sizeof(default_cases[0]), cases, &ncases);
		if (options->qemu)
			add_cases(options, more_cases, sizeof(more_cases) / sizeof(more_cases[0]), cases, &ncases);
	}
	return ncases;
}

/* The text of why it can't be run, or NULL. */
static const char *run_at_both_quanta(struct run *run, const struct machine_arch *arch, const struct run_case *c)
{
	struct run_case narrow = *c;
	const char *reason = run_case(run, arch, c);

	narrow.narrow = true;
	if (!reason && arch->both_quanta && !run->options.quantum && !run->options.fault)
		reason = run_case(run, arch, &narrow);
	return reason;
}

static void run_all(struct run *run)
{
	struct options *options = &run->options;
	struct run_case cases[MAX_CASES];
	unsigned ncases = choose_cases(options, cases);
	char last[256] = "nothing to run";

	for (unsigned a = 0; a < options->narchs; a++) {
		const struct machine_arch *arch = options->archs[a];

		if (options->fault && !run_fault_applies(options->fault, arch->name)) {
			if (options->archs_named)
				tool_fail(TOOL_USAGE, "--inject: '%s' is no fault of %s (see hitless run --inject list)",
					  options->fault->fault.name, arch->name);
			continue;
		}
		for (unsigned i = 0; i < ncases; i++) {
			const char *reason;

			if (cases[i].pasids_on && strcmp(cases[i].pasids_on, arch->name) != 0)
				continue;
			reason = run_at_both_quanta(run, arch, &cases[i]);

			/* What was asked for must be there; of a list, what there is. */
			if (reason && options->from && options->archs_named)
				tool_fail(TOOL_USAGE, "%s", reason);
			if (reason)
				snprintf(last, sizeof(last), "%s", reason);
		}
	}
	tool_progress(NULL);
	if (!run->nrows)
		tool_fail(TOOL_USAGE, "%s", last);
}

/* ---- --machine guest: the kernel does all that itself, and is told by its command line ---- */

static struct run_row *guest_row(void *ctx)
{
	struct run *run = ctx;
	struct run_row *row = new_row(run);

	row->fault = run->options.fault ? run->options.fault->fault.name : NULL;
	return row;
}

static void add_text(char *line, size_t size, const char *name, const char *value)
{
	size_t length = strlen(line);

	snprintf(line + length, size - length, "%s%s=%s", length ? " " : "", name, value);
}

static void add_count(char *line, size_t size, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	add_text(line, size, name, text);
}

static void run_in_guests(struct run *run)
{
	const struct options *options = &run->options;
	char line[256] = "";
	const char *reason;

	if (options->from) {
		struct kind from = parse_kind(options->from), to = parse_kind(options->to);
		const struct kind *const both[] = { &from, &to };

		for (unsigned i = 0; i < 2; i++)
			if ((strcmp(both[i]->text, "s1") != 0 && strcmp(both[i]->text, "s2") != 0 &&
			     strcmp(both[i]->text, "identity") != 0) || both[i]->ats || both[i]->pasids)
				tool_fail(TOOL_USAGE, "--machine guest has the configurations s1, s2 and identity, not '%s'", both[i]->text);
		if (same_kind(&from, &to) && from.kind.type != IOMMU_DOMAIN_PAGING)
			tool_fail(TOOL_USAGE, "%s to %s: nothing to switch", from.text, to.text);
		add_text(line, sizeof(line), "from", from.text);
		add_text(line, sizeof(line), "to", to.text);
	}
	if (options->method_named || options->fault)
		add_text(line, sizeof(line), "method", method_names[options->method]);
	if (options->fault)
		add_text(line, sizeof(line), "inject", options->fault->fault.name);
	if (options->quantum)
		add_count(line, sizeof(line), "quantum", options->quantum);
	if (options->replaces) {
		add_count(line, sizeof(line), "replaces", options->replaces);
		add_count(line, sizeof(line), "dmas", options->replaces * 10);
	}
	add_count(line, sizeof(line), "seed", options->seed);
	reason = run_guests(options->arch_names, line, guest_row, run);
	if (reason || !run->nrows)
		tool_fail(TOOL_USAGE, "--machine guest: %s", reason ? reason : "no unit has both configurations");
}

static bool any_violated(const struct run *run)
{
	for (unsigned i = 0; i < run->nrows; i++)
		if (run_is_violated(&run->rows[i]))
			return true;
	return false;
}

static void draw(struct run *run)
{
	const struct run_row *row = &run->rows[run->recorded_row];
	char title[192], subtitle[256], conditions[64];

	if (!run->recorded)
		tool_fail(TOOL_ERROR, "--svg: nothing was recorded");
	run_conditions(row, conditions, sizeof(conditions));
	snprintf(title, sizeof(title), "%s: %s to %s, tags %s", row->arch, row->from, row->to, conditions);
	snprintf(subtitle, sizeof(subtitle), "%s%s%s%s%s", row->method, row->hitless ? ", " : "",
		 row->hitless ? row->strategy : "", row->fault ? ", with a fault put in: " : "", row->fault ? row->fault : "");
	if (!run_write_svg(run->options.svg, title, subtitle, &run->recording))
		tool_fail(TOOL_ERROR, "--svg: can't write %s: %s", run->options.svg, strerror(errno));
	drop_recording(&run->recording);
}

int tool_run(int argc, char **argv)
{
	const struct argp argp = { .options = argp_options, .parser = parse, .doc = doc };
	struct run run = {
		.options = { .machine = "model", .devices = 2, .strategy = -1, .seed = 1 },
	};
	bool violated;

	parse_archs(&run.options, "all");
	tool_parse(&argp, argc, argv, &run.options);
	check_options(&run.options);
	if (run.options.list_faults) {
		run_list_faults(run.options.arch_names);
		return TOOL_OK;
	}
	if (run.options.guest)
		run_in_guests(&run);
	else
		run_all(&run);
	if (run.options.svg)
		draw(&run);
	if (tool_options.json)
		tool_print_json(run_json(run.rows, run.nrows));
	else
		run_print_text(run.rows, run.nrows);
	violated = any_violated(&run);
	for (unsigned i = 0; i < run.nrows; i++) {
		free(run.rows[i].result.latency_ns);
		free((void *)run.rows[i].stepping);
	}
	free(run.rows);
	return violated ? TOOL_VIOLATED : TOOL_OK;
}
