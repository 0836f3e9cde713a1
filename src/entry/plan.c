/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * plan.c - the planner: which stores and commands take a live entry from one value to another.
 *
 * The idea, from Linux's arm_smmu_write_entry(): of an entry only the *used* bits count, those that the hardware looks at,
 * given the others. All bits that either side ignores may be written ahead or cleaned up behind; if what remains to be
 * changed lies in one quantum, one store flips the entry from old to new. Between two stores the hardware is made to forget its
 * copy of the entry, so a fetch never mixes more than two neighbouring states.
 *
 * One store, where it does, is the cheapest of all, and taken without a look at the others. Where more than one quantum must
 * flip, or some must be prepared, each strategy of DESIGN.md is emitted into a list that only counts, and the cheapest hitless
 * one is taken.
 */
#include "entry.h"


static const char *const strategy_names[IOMMU_STRATEGY_COUNT] = {
	[IOMMU_STRATEGY_NONE] = "none",
	[IOMMU_STRATEGY_ONE_STORE] = "one store",
	[IOMMU_STRATEGY_PRELOAD] = "preload, flip, clean",
	[IOMMU_STRATEGY_SAME_TAG] = "same tag",
	[IOMMU_STRATEGY_TABLE_SWAP] = "table swap",
	[IOMMU_STRATEGY_TAG_HOP] = "tag hop",
	[IOMMU_STRATEGY_TEMPORARY_TAG] = "temporary tag",
	[IOMMU_STRATEGY_STANDIN] = "stand-in hop",
	[IOMMU_STRATEGY_BREAK] = "break",
};

static const char *const op_names[IOMMU_STEP_OPS] = {
	[IOMMU_STEP_ALLOC] = "alloc",	  [IOMMU_STEP_LOCK] = "lock",		  [IOMMU_STEP_COPY] = "copy",
	[IOMMU_STEP_STORE] = "store",	  [IOMMU_STEP_WRITEBACK] = "writeback",	  [IOMMU_STEP_BARRIER] = "barrier",
	[IOMMU_STEP_INVALIDATE] = "invalidate", [IOMMU_STEP_WAIT] = "wait",	  [IOMMU_STEP_UNLOCK] = "unlock",
	[IOMMU_STEP_FREE] = "free",	  [IOMMU_STEP_PCI] = "pci",
};

static const char *const cache_names[IOMMU_CACHES] = {
	[IOMMU_CACHE_ENTRY] = "entry", [IOMMU_CACHE_PASID] = "pasid", [IOMMU_CACHE_CD] = "cd",
	[IOMMU_CACHE_PDT] = "pdt",     [IOMMU_CACHE_IOTLB] = "iotlb", [IOMMU_CACHE_DEVTLB] = "devtlb",
	[IOMMU_CACHE_ALL] = "all",
};

const char *iommu_strategy_name(enum iommu_strategy strategy)
{
	return (unsigned)strategy < IOMMU_STRATEGY_COUNT ? strategy_names[strategy] : NULL;
}

const char *iommu_step_op_name(enum iommu_step_op op)
{
	return (unsigned)op < IOMMU_STEP_OPS ? op_names[op] : NULL;
}

const char *iommu_cache_name(enum iommu_cache cache)
{
	return (unsigned)cache < IOMMU_CACHES ? cache_names[cache] : NULL;
}

const char *iommu_entry_name(const struct entry_format *format)
{
	return format->name;
}

unsigned iommu_entry_words(const struct entry_format *format)
{
	return format->words;
}

void iommu_entry_used(const struct entry_format *format, const uint64_t *entry, uint64_t *used)
{
	format->used(entry, used);
}

/* A handful: a library's function would take longer to choose its way. */
static void copy_words(uint64_t *to, const uint64_t *from, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		to[i] = from[i];
}

static bool same_words(const uint64_t *a, const uint64_t *b, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

/* ---- Emitting ---- */

/* All but `entry`, of which `nentry` says how much there is. Field by field: compilers clear so much at once by a slow instruction. */
static inline __attribute__((always_inline)) void blank(struct iommu_step *step)
{
	step->place = IOMMU_PLACE_ENTRY;
	step->cache = IOMMU_CACHE_ENTRY;
	step->device = 0;
	step->rid = 0;
	step->quantum = 0;
	step->nwords = 0;
	step->poll = false;
	step->structure = NULL;
	step->scope = NULL;
	for (unsigned i = 0; i < 4; i++)
		step->words[i] = 0;
	step->table = NULL;
	step->offset = 0;
	step->page = NULL;
	step->entry_structure = NULL;
	step->nentry = 0;
}

/* The next free step, blank but for its requester; a scratch one when the list only counts. Inline where most steps come from: then what is
 * filled in is not cleared first. */
static inline __attribute__((always_inline)) struct iommu_step *emit_inline(struct entry_steps *steps, enum iommu_step_op op,
									    struct iommu_step *scratch)
{
	struct iommu_step *step = steps->n < steps->capacity && steps->v ? &steps->v[steps->n] : scratch;
	const struct entry_change *change = steps->change;

	blank(step);
	step->op = op;
	if (change) {
		step->device = change->device;
		step->rid = change->request.rid;
		step->table = change->table;
		step->offset = change->offset;
	}
	steps->n++;
	return step;
}

static __attribute__((noinline)) struct iommu_step *emit(struct entry_steps *steps, enum iommu_step_op op, struct iommu_step *scratch)
{
	return emit_inline(steps, op, scratch);
}

/*
 * The same command may have been emitted since the last wait, for another requester. If nothing has been stored since, it will
 * do (true). If something has, it was too early for that, and is taken back: the one to come does for both.
 */
static __attribute__((noinline)) bool have_command(struct entry_steps *steps, const uint64_t *command, unsigned nwords)
{
	bool stored = false;

	for (unsigned i = steps->v && steps->n <= steps->capacity ? steps->n : 0; i-- > 0 && steps->v[i].op != IOMMU_STEP_WAIT;) {
		const struct iommu_step *step = &steps->v[i];

		stored |= step->op != IOMMU_STEP_INVALIDATE;
		if (step->op != IOMMU_STEP_INVALIDATE || step->nwords != nwords || !same_words(step->words, command, nwords))
			continue;
		if (!stored)
			return true;
		for (steps->n--; i < steps->n; i++)
			steps->v[i] = steps->v[i + 1];
		steps->cost.commands--;
		steps->recent--;
		return false;
	}
	return false;
}

void emit_invalidate(struct entry_steps *steps, enum iommu_cache cache, const char *structure, const char *scope,
		     unsigned foreign, const uint64_t *command, unsigned nwords)
{
	struct iommu_step scratch, *step;

	if (steps->out & ENTRY_FENCE) {
		emit(steps, IOMMU_STEP_WAIT, &scratch);
		steps->cost.rounds++;
		steps->recent = 0;
	}
	steps->out &= ~ENTRY_FENCE;
	if (steps->recent && have_command(steps, command, nwords))
		return;
	step = emit_inline(steps, IOMMU_STEP_INVALIDATE, &scratch);
	step->cache = cache;
	step->structure = structure;
	step->scope = scope;
	step->nwords = nwords;
	/* Mostly they are two. */
	step->words[0] = command[0];
	step->words[1] = command[1];
	for (unsigned i = 2; i < nwords; i++)
		step->words[i] = command[i];
	steps->cost.commands++;
	steps->recent++;
	if (foreign > steps->cost.foreign)
		steps->cost.foreign = foreign;
	steps->out |= ENTRY_PENDING;
}

void emit_wait(struct entry_steps *steps, bool poll)
{
	struct iommu_step scratch;

	if (!poll) {
		steps->out = steps->out & ENTRY_PENDING ? steps->out | ENTRY_FENCE : steps->out & ~ENTRY_FENCE;
		return;
	}
	if (steps->out & (ENTRY_PENDING | ENTRY_LOOSE)) {
		emit(steps, IOMMU_STEP_WAIT, &scratch)->poll = true;
		steps->cost.rounds++;
		steps->cost.polls++;
		steps->recent = 0;
	}
	steps->out = 0;
	if (steps->held) {
		const struct entry_change *change = steps->change;

		steps->change = steps->held;
		emit(steps, IOMMU_STEP_UNLOCK, &scratch);
		emit(steps, IOMMU_STEP_FREE, &scratch);
		steps->held = NULL;
		steps->change = change;
	}
}

static void emit_writeback(struct entry_steps *steps, enum iommu_place place, const char *structure, unsigned quantum,
			   unsigned nwords)
{
	struct iommu_step scratch, *step;

	if (!(steps->change->request.facts & IOMMU_PLAN_NONCOHERENT))
		return;
	step = emit(steps, IOMMU_STEP_WRITEBACK, &scratch);
	step->place = place;
	step->structure = structure;
	step->quantum = quantum;
	step->nwords = nwords;
}

/* A quantum of the live entry. The CPU must not store while commands that protect an earlier store are still out. */
static void emit_store(struct entry_steps *steps, unsigned quantum, const uint64_t *entry)
{
	const struct iommu_plan_request *request = &steps->change->request;
	unsigned nwords = request->quantum / 8;
	struct iommu_step scratch, *step;

	if (steps->held)
		emit_wait(steps, true);
	if (nwords > request->format->words)
		nwords = request->format->words;
	step = emit_inline(steps, IOMMU_STEP_STORE, &scratch);
	step->place = IOMMU_PLACE_ENTRY;
	step->structure = request->format->name;
	step->quantum = quantum;
	step->nwords = nwords;
	step->words[0] = entry[quantum * nwords];
	if (nwords == 2)
		step->words[1] = entry[quantum * nwords + 1];
	steps->cost.stores++;
	emit_writeback(steps, IOMMU_PLACE_ENTRY, request->format->name, quantum, nwords);
}

/* ---- Used bits ---- */

struct flip {
	uint64_t ahead[IOMMU_ENTRY_WORDS];	/* `from`, with what it ignores and `to` looks at already as in `to` */
	unsigned critical;			/* how many quanta must flip */
	unsigned quantum;			/* the last of them */
	unsigned preloads, cleans;		/* quanta to store before and after, a bit each */
};

static void find_flip(const struct iommu_plan_request *request, const uint64_t *from, const uint64_t *to, struct flip *flip)
{
	const struct entry_format *format = request->format;
	uint64_t from_used[IOMMU_ENTRY_WORDS] = { 0 }, to_used[IOMMU_ENTRY_WORDS] = { 0 }, safe[IOMMU_ENTRY_WORDS] = { 0 };
	unsigned n = request->quantum / 8 < format->words ? request->quantum / 8 : format->words;
	unsigned changed = 0;

	flip->critical = flip->preloads = flip->cleans = 0;
	format->used(from, from_used);
	format->used(to, to_used);
	if (format->safe)
		format->safe(from, to, safe);
	for (unsigned q = 0, w = 0; w < format->words; q++, w += n) {
		uint64_t differs = 0, ahead = 0;

		copy_words(flip->ahead + w, from + w, n);
		if (same_words(from + w, to + w, n))
			continue;
		for (unsigned i = w; i < w + n; i++) {
			safe[i] &= from_used[i] & to_used[i];
			from_used[i] &= ~safe[i];
			to_used[i] &= ~safe[i];
			differs |= (from[i] ^ to[i]) & from_used[i] & to_used[i];
			ahead |= (from[i] ^ to[i]) & ~from_used[i] & to_used[i];
		}
		/* What neither looks at goes along, or is left to the cleaning. */
		for (unsigned i = w; ahead && i < w + n; i++)
			flip->ahead[i] = (from[i] & from_used[i]) | (to[i] & ~from_used[i]);
		changed |= 1u << q;
		flip->preloads |= (unsigned)!same_words(flip->ahead + w, from + w, n) << q;
		flip->cleans |= (unsigned)!same_words(flip->ahead + w, to + w, n) << q;
		if (differs) {
			flip->critical++;
			flip->quantum = q;
		}
	}
	/* Nothing that counts differs: then the first quantum that differs at all is as good as any. */
	if (!flip->critical)
		flip->quantum = changed ? (unsigned)__builtin_ctz(changed) : 0;
	flip->preloads &= ~(1u << flip->quantum);
	flip->cleans &= ~(1u << flip->quantum);
}

/* Preload, flip, clean: for a change of one critical quantum. */
static void emit_flip(struct entry_steps *steps, const uint64_t *from, const uint64_t *to)
{
	const struct iommu_plan_request *request = &steps->change->request;
	const struct entry_format *format = request->format;
	struct flip flip;
	bool pending;

	find_flip(request, from, to, &flip);
	for (unsigned q = 0; flip.preloads >> q; q++)
		if (flip.preloads >> q & 1)
			emit_store(steps, q, flip.ahead);
	if (flip.preloads) {
		/* A fetch that has read a quantum before the preload must not read the others after the flip. */
		format->forget_entry(steps, steps->change, from, true);
		emit_wait(steps, true);
	}
	emit_store(steps, flip.quantum, to);
	format->forget_entry(steps, steps->change, from, false);
	if (flip.cleans) {
		emit_wait(steps, true);
		for (unsigned q = 0; flip.cleans >> q; q++)
			if (flip.cleans >> q & 1)
				emit_store(steps, q, to);
		/*
		 * The bits are ignored, so a fetch that mixes both values of them says the same. But it must be over before the next
		 * change, which may find them as it wants them and flip at once.
		 */
		pending = steps->out & ENTRY_PENDING;
		format->forget_entry(steps, steps->change, to, true);
		if (!pending && steps->out & ENTRY_PENDING)
			steps->out = (steps->out & ~ENTRY_PENDING) | ENTRY_LOOSE;
	}
}

/* Copy the page, change the copy, store the pointer to it. */
static void emit_swap(struct entry_steps *steps, const uint64_t *to)
{
	const struct entry_change *change = steps->change;
	const struct entry_format *format = change->request.format;
	struct iommu_step scratch, *step;

	if (steps->held)
		emit_wait(steps, true);
	emit(steps, IOMMU_STEP_ALLOC, &scratch);
	emit(steps, IOMMU_STEP_LOCK, &scratch);
	step = emit(steps, IOMMU_STEP_COPY, &scratch);
	step->place = IOMMU_PLACE_PAGE;
	step->entry_structure = format->name;
	step->nentry = format->words;
	copy_words(step->entry, to, format->words);
	steps->cost.copied += change->table ? change->table->bytes : HITLESS_PAGE_SIZE;
	emit_writeback(steps, IOMMU_PLACE_PAGE, format->name, 0, 0);

	step = emit(steps, IOMMU_STEP_STORE, &scratch);
	step->place = IOMMU_PLACE_PARENT;
	step->structure = format->parent;
	step->nwords = format->pointer(0, step->words);	/* the page's address comes with entry_prepare() */
	if (change->table && change->table->pointer_bits)
		step->words[0] = change->table->pointer_bits;
	step->entry_structure = format->name;
	step->nentry = format->words;
	copy_words(step->entry, to, format->words);
	steps->cost.stores++;
	emit_writeback(steps, IOMMU_PLACE_PARENT, format->parent, 0, 1);
	format->forget_table(steps, change);
	/* The lock is held until the hardware has left the old page: a sibling's new entry must not be looked for there. */
	steps->held = change;
}

/* The enable bit of the device's own TLB. */
static void emit_ats(struct entry_steps *steps, bool on)
{
	struct iommu_step scratch, *step;

	if (steps->held)
		emit_wait(steps, true);
	step = emit(steps, IOMMU_STEP_PCI, &scratch);
	step->words[0] = steps->change->ats_control;
	step->words[1] = on ? steps->change->ats_on : steps->change->ats_off;
}

/* Does the entry's permission to use a device TLB go (or come) while the device has one? */
static bool drops_ats(const struct iommu_plan_request *request, const uint64_t *from, const uint64_t *to)
{
	return (request->facts & IOMMU_PLAN_ATS) && request->format->ats(from) && !request->format->ats(to);
}

static bool turns_on_ats(const struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;

	if (change->ats == ENTRY_ATS_BY_ENTRY)
		return drops_ats(request, request->after, request->before);
	return change->ats == ENTRY_ATS_ON && (request->facts & IOMMU_PLAN_ATS) && request->format->ats(request->after);
}

static bool turns_off_ats(const struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;

	if (change->ats == ENTRY_ATS_BY_ENTRY)
		return drops_ats(request, request->before, request->after);
	return change->ats == ENTRY_ATS_OFF && (request->facts & IOMMU_PLAN_ATS);
}

static bool turns_off_ats_first(const struct entry_change *change)
{
	return change->request.format->ats_off_first && turns_off_ats(change);
}

/* `entry` is the request's, or one of change->hops. */
static void add_stale(struct entry_change *change, const uint64_t *entry, uint32_t tag)
{
	if (change->nstale == sizeof(change->stale) / sizeof(change->stale[0]))
		return;
	change->stale[change->nstale] = entry;
	change->stale_tag[change->nstale++] = tag;
}

static uint32_t tag_before(const struct iommu_plan_request *request)
{
	uint32_t tag = request->format->tag(request->before);

	return tag == ENTRY_TAG_ELSEWHERE ? request->before_tag : tag;
}

static uint32_t tag_after(const struct iommu_plan_request *request)
{
	uint32_t tag = request->format->tag(request->after);

	return tag == ENTRY_TAG_ELSEWHERE ? request->after_tag : tag;
}

/* ---- Strategies ---- */

static void with_tag(const struct iommu_plan_request *request, const uint64_t *entry, uint32_t tag, uint64_t *result)
{
	copy_words(result, entry, request->format->words);
	request->format->set_tag(result, tag);
}

/* One hop: by a flip, or else by a swap. */
static bool can_hop(const struct iommu_plan_request *request, const uint64_t *from, const uint64_t *to, bool swap)
{
	struct flip flip;

	find_flip(request, from, to, &flip);
	return flip.critical <= 1 || swap;
}

static void emit_hop(struct entry_steps *steps, const uint64_t *from, const uint64_t *to)
{
	struct flip flip;

	find_flip(&steps->change->request, from, to, &flip);
	if (flip.critical <= 1)
		emit_flip(steps, from, to);
	else
		emit_swap(steps, to);
}

/* All translations that `stale` has left are gone when this is over. */
static void emit_purge(struct entry_steps *steps, const uint64_t *stale, uint32_t tag)
{
	emit_wait(steps, false);
	steps->change->request.format->forget_translations(steps, steps->change, stale, tag);
	emit_wait(steps, true);
}

static bool has_parent(const struct iommu_plan_request *request)
{
	return request->format->parent && !(request->facts & IOMMU_PLAN_NO_PARENT);
}

static bool same_tables(const struct iommu_plan_request *request)
{
	const struct entry_format *format = request->format;
	uint64_t before[IOMMU_ENTRY_WORDS] = { 0 }, after[IOMMU_ENTRY_WORDS] = { 0 };

	format->tables(request->before, before);
	format->tables(request->after, after);
	for (unsigned i = 0; i < format->words; i++)
		if ((request->before[i] & before[i]) != (request->after[i] & after[i]))
			return false;
	return true;
}

/* Would two different tables be live under one tag? */
static bool mixes_tables(const struct iommu_plan_request *request)
{
	uint32_t tag = tag_before(request);

	return tag != ENTRY_NO_TAG && tag == tag_after(request) && !(request->facts & IOMMU_PLAN_SUPERSET) && !same_tables(request);
}

static bool behind_mixes(const struct iommu_plan_request *request, const uint64_t *before, const uint64_t *after)
{
	return request->format->behind_mixes && request->format->behind_mixes(request->facts, before, after);
}

/* The stand-in that can be gone through: as the old entry, as the new one, or NULL. */
static const uint64_t *find_standin(const struct iommu_plan_request *request)
{
	const struct entry_format *format = request->format;

	for (unsigned side = 0; side < 2; side++) {
		const uint64_t *standin = request->standin[side];

		if (!standin || format->tag(standin) == tag_before(request) || format->tag(standin) == tag_after(request))
			continue;
		/* The device's TLB stays on or off. */
		if ((request->facts & IOMMU_PLAN_ATS) && (format->ats(standin) != format->ats(request->before) ||
							  format->ats(standin) != format->ats(request->after)))
			continue;
		if (!behind_mixes(request, request->before, standin) && !behind_mixes(request, standin, request->after) &&
		    can_hop(request, request->before, standin, has_parent(request)) &&
		    can_hop(request, standin, request->after, has_parent(request)))
			return standin;
	}
	return NULL;
}

/* The entries that a chain of stand-ins leads through, both ends included. Returns how many. */
static unsigned chain_of(const struct iommu_plan_request *request, const uint64_t *at[2 + IOMMU_MAX_STANDINS])
{
	at[0] = request->before;
	for (unsigned i = 0; i < request->nchain; i++)
		at[1 + i] = request->chain[i];
	at[1 + request->nchain] = request->after;
	return request->nchain + 2;
}

/* Can the chain of stand-ins be gone through: each hop a flip, and under no tag two tables for the same walk, however long ago? */
static bool chain_holds(const struct iommu_plan_request *request)
{
	const struct entry_format *format = request->format;
	const uint64_t *at[2 + IOMMU_MAX_STANDINS];
	unsigned n = chain_of(request, at);

	if (!request->nchain || !format->share_tag)
		return false;
	for (unsigned i = 0; i < n; i++) {
		uint32_t tag = format->tag(at[i]);

		/* An entry that lets nothing through is no way, and the device's TLB stays on or off. */
		if (tag == ENTRY_NO_TAG || ((request->facts & IOMMU_PLAN_ATS) && format->ats(at[i]) != format->ats(at[0])))
			return false;
		if (i && (behind_mixes(request, at[i - 1], at[i]) || !can_hop(request, at[i - 1], at[i], false)))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (tag == format->tag(at[j]) && !format->share_tag(at[j], at[i]))
				return false;
	}
	return true;
}

/* What every strategy looks at first. */
struct outlook {
	struct flip flip;	/* from the old entry to the new one */
	bool mixes;		/* two different tables would be live under one tag */
	bool behind;		/* ... or two under what is cached behind the entry */
};

static void look(const struct iommu_plan_request *request, struct outlook *outlook)
{
	find_flip(request, request->before, request->after, &outlook->flip);
	outlook->mixes = mixes_tables(request);
	outlook->behind = behind_mixes(request, request->before, request->after);
}

static bool one_store_does(const struct outlook *outlook)
{
	const struct flip *flip = &outlook->flip;

	return !outlook->behind && !outlook->mixes && flip->critical <= 1 && !flip->preloads && !flip->cleans;
}

/* Is this strategy possible, and hitless, for the request? */
static bool feasible(const struct iommu_plan_request *request, const struct outlook *outlook, enum iommu_strategy strategy)
{
	const struct entry_format *format = request->format;
	const uint64_t *before = request->before, *after = request->after;
	const struct flip *flip = &outlook->flip;
	bool mixes = outlook->mixes;
	bool assume = (format->old_or_new || (request->facts & IOMMU_PLAN_ASSUME_OLD_OR_NEW)) &&
		      format->tables_may_mix(before, after);
	uint32_t old_tag = tag_before(request), new_tag = tag_after(request);
	/* Only a tag that is in the entry can be changed by it. */
	bool in_entry = format->tag(before) == old_tag && format->tag(after) == new_tag;
	bool two_tags = in_entry && old_tag != ENTRY_NO_TAG && new_tag != ENTRY_NO_TAG && old_tag != new_tag;
	uint64_t hop[IOMMU_ENTRY_WORDS], hop2[IOMMU_ENTRY_WORDS];

	if (outlook->behind && strategy < IOMMU_STRATEGY_STANDIN)
		return false;
	switch (strategy) {
	case IOMMU_STRATEGY_ONE_STORE:
		return one_store_does(outlook);
	case IOMMU_STRATEGY_PRELOAD:
		return !mixes && flip->critical <= 1 && (flip->preloads || flip->cleans);
	case IOMMU_STRATEGY_SAME_TAG:
		return mixes && assume && (request->facts & IOMMU_PLAN_OLD_PRIVATE) && flip->critical <= 1;
	case IOMMU_STRATEGY_TABLE_SWAP:
		return !mixes && has_parent(request);
	case IOMMU_STRATEGY_TAG_HOP:
		if (!assume || !two_tags)
			return false;
		if (request->facts & IOMMU_PLAN_OLD_PRIVATE)
			with_tag(request, after, old_tag, hop);
		else if (request->facts & IOMMU_PLAN_NEW_PRIVATE)
			with_tag(request, before, new_tag, hop);
		else
			return false;
		return can_hop(request, before, hop, false) && can_hop(request, hop, after, false);
	case IOMMU_STRATEGY_TEMPORARY_TAG:
		if (!request->temporary_tag || !in_entry)
			return false;
		with_tag(request, before, request->temporary_tag, hop);
		if (mixes) /* away from the tag, flush it, back to it with the new tables: never two tables under one tag */
			return (request->facts & IOMMU_PLAN_OLD_PRIVATE) &&
			       can_hop(request, before, hop, has_parent(request)) &&
			       can_hop(request, hop, after, has_parent(request));
		with_tag(request, after, request->temporary_tag, hop2);
		return assume && two_tags && can_hop(request, before, hop, false) && can_hop(request, hop, hop2, false) &&
		       can_hop(request, hop2, after, false);
	case IOMMU_STRATEGY_STANDIN:
		return find_standin(request) || chain_holds(request);
	case IOMMU_STRATEGY_BREAK:
		return true;
	default:
		return false;
	}
}

/* The hardware does not look: whatever differs is stored, in any order. */
static void emit_unreachable(struct entry_steps *steps, const struct iommu_plan_request *request)
{
	unsigned per = request->quantum / 8, n = per < request->format->words ? per : request->format->words;

	for (unsigned q = 0; q * per < request->format->words; q++)
		if (!same_words(request->before + q * per, request->after + q * per, n))
			emit_store(steps, q, request->after);
}

/* Ahead of the change: the device stops using its TLB, which forgets all, and what used it is done. */
static void emit_ats_off_first(struct entry_steps *steps, const struct entry_change *change)
{
	emit_ats(steps, false);
	change->request.format->forget_devtlb(steps, change);
	emit_wait(steps, true);
}

static void emit_break(struct entry_steps *steps, struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	const struct entry_format *format = request->format;
	uint64_t blocked[IOMMU_ENTRY_WORDS] = { 0 }, used[IOMMU_ENTRY_WORDS] = { 0 };
	unsigned per = request->quantum / 8, n = per < format->words ? per : format->words;
	unsigned valid = 0;
	bool stored = false;

	/* The quantum that makes the entry block. */
	format->block(request->before, blocked);
	format->used(blocked, used);
	for (unsigned i = format->words; i-- > 0;)
		if (used[i])
			valid = i / per;

	emit_store(steps, valid, blocked);
	format->forget_entry(steps, change, request->before, false);
	emit_purge(steps, request->before, tag_before(request));
	/* Nobody looks at the other quanta now; but a fetch under way must not see some of these stores and then the last. */
	for (unsigned q = 0; q * per < format->words; q++)
		if (q != valid && !same_words(request->before + q * per, request->after + q * per, n)) {
			emit_store(steps, q, request->after);
			stored = true;
		}
	if (stored)
		format->forget_entry(steps, change, blocked, true);
	emit_wait(steps, true);
	emit_store(steps, valid, request->after);
	format->forget_entry(steps, change, blocked, false);
}

/* Through one stand-in, or else through the chain of them. */
static void emit_standins(struct entry_steps *steps, struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	const uint64_t *at[2 + IOMMU_MAX_STANDINS], *standin = find_standin(request);
	unsigned n = chain_of(request, at);
	bool borrowed = false;

	if (standin) {
		steps->cost.copied += request->standin_bytes;
		at[1] = standin;
		at[2] = request->after;
		n = 3;
	}
	for (unsigned i = 1; i < n; i++) {
		if (i > 1)
			emit_wait(steps, true);
		emit_hop(steps, at[i - 1], at[i]);
		if (i < n - 1) {
			uint32_t tag = request->format->tag(at[i]);

			add_stale(change, at[i], tag);
			borrowed |= tag != tag_before(request) && tag != tag_after(request);
		}
	}
	steps->cost.tags += borrowed;
}

/* Two flips: the tag and the tables one after the other. */
static void emit_tag_hop(struct entry_steps *steps, struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	uint64_t *hop = change->hops[0];
	uint32_t tag;

	if (request->facts & IOMMU_PLAN_OLD_PRIVATE) {
		/* Pointer first: the old tag is polluted, and flushed in the end anyway. */
		tag = tag_before(request);
		with_tag(request, request->after, tag, hop);
	} else {
		/* Tag first: the new tag is polluted, and nobody else has it. */
		tag = tag_after(request);
		with_tag(request, request->before, tag, hop);
	}
	add_stale(change, hop, tag);
	emit_flip(steps, request->before, hop);
	emit_wait(steps, true);
	emit_flip(steps, hop, request->after);
}

static void emit_temporary_tag(struct entry_steps *steps, struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	const uint64_t *before = request->before, *after = request->after;
	uint64_t *hop = change->hops[0], *hop2 = change->hops[1];

	with_tag(request, before, request->temporary_tag, hop);
	steps->cost.tags++;
	emit_hop(steps, before, hop);
	if (mixes_tables(request)) {
		emit_purge(steps, before, tag_before(request));
		emit_hop(steps, hop, after);
	} else {
		with_tag(request, after, request->temporary_tag, hop2);
		emit_wait(steps, true);
		emit_hop(steps, hop, hop2);
		emit_wait(steps, true);
		emit_hop(steps, hop2, after);
		add_stale(change, hop2, request->temporary_tag);
	}
	add_stale(change, hop, request->temporary_tag);
}

void entry_emit(struct entry_steps *steps, struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	const uint64_t *before = request->before, *after = request->after;

	steps->change = change;
	change->nstale = 0;
	if (change->strategy == IOMMU_STRATEGY_NONE)
		return;
	if (request->facts & IOMMU_PLAN_UNREACHABLE) {
		emit_unreachable(steps, request);
		return;
	}
	if (turns_off_ats_first(change))
		emit_ats_off_first(steps, change);
	/* "Break" flushes the old translations on its way. */
	if (change->strategy != IOMMU_STRATEGY_BREAK)
		add_stale(change, before, tag_before(request));
	switch (change->strategy) {
	case IOMMU_STRATEGY_ONE_STORE:
		emit_store(steps, change->quantum, after);
		request->format->forget_entry(steps, change, before, false);
		break;
	case IOMMU_STRATEGY_PRELOAD:
	case IOMMU_STRATEGY_SAME_TAG:
		emit_flip(steps, before, after);
		break;
	case IOMMU_STRATEGY_TABLE_SWAP:
		emit_swap(steps, after);
		break;
	case IOMMU_STRATEGY_TAG_HOP:
		emit_tag_hop(steps, change);
		break;
	case IOMMU_STRATEGY_TEMPORARY_TAG:
		emit_temporary_tag(steps, change);
		break;
	case IOMMU_STRATEGY_STANDIN:
		emit_standins(steps, change);
		break;
	default:
		emit_break(steps, change);
		break;
	}
}

void entry_finish(struct entry_steps *steps, struct entry_change *changes, unsigned count)
{
	bool devtlb = false;

	/* The entries' cached copies are gone before translations are flushed: no walk can refill from them. */
	emit_wait(steps, false);
	for (unsigned i = 0; i < count; i++) {
		steps->change = &changes[i];
		for (unsigned s = 0; s < changes[i].nstale; s++)
			changes[i].request.format->forget_translations(steps, &changes[i], changes[i].stale[s],
								       changes[i].stale_tag[s]);
	}
	/* The device TLB comes last: before, it could refill from the IOTLB. */
	for (unsigned i = 0; i < count; i++) {
		const struct iommu_plan_request *request = &changes[i].request;

		/* A device TLB that was off is empty, and must not be asked. */
		if (!(request->facts & IOMMU_PLAN_ATS) || changes[i].strategy == IOMMU_STRATEGY_NONE ||
		    changes[i].ats == ENTRY_ATS_ON || !request->format->ats(request->before) ||
		    (request->facts & IOMMU_PLAN_UNREACHABLE) || turns_off_ats_first(&changes[i]))
			continue;
		steps->change = &changes[i];
		if (!devtlb)
			emit_wait(steps, false);
		devtlb = true;
		changes[i].request.format->forget_devtlb(steps, &changes[i]);
	}
	emit_wait(steps, true);
	for (unsigned i = 0; i < count; i++) {
		/* A device TLB is switched off once it is empty and can't be filled, and on once it can. */
		steps->change = &changes[i];
		if (changes[i].strategy == IOMMU_STRATEGY_NONE && changes[i].ats == ENTRY_ATS_BY_ENTRY)
			continue;
		if (turns_off_ats(&changes[i]) && !turns_off_ats_first(&changes[i]))
			emit_ats(steps, false);
		if (turns_on_ats(&changes[i]))
			emit_ats(steps, true);
	}
	steps->change = NULL;
}

/* ---- Choosing ---- */

static bool cheaper(const struct iommu_cost *a, const struct iommu_cost *b)
{
	if (a->rounds != b->rounds)
		return a->rounds < b->rounds;
	if (a->foreign != b->foreign)
		return a->foreign < b->foreign;
	if (a->copied != b->copied)
		return a->copied < b->copied;
	return a->tags < b->tags;
}

/* Switching ATS on or off is seen only if the side that has it off lets requests through: it translates. */
static bool toggles_ats(const struct iommu_plan_request *request)
{
	const struct entry_format *format = request->format;

	if (!(request->facts & IOMMU_PLAN_ATS))
		return false;
	return (format->tag(request->after) != ENTRY_NO_TAG && drops_ats(request, request->before, request->after)) ||
	       (format->tag(request->before) != ENTRY_NO_TAG && drops_ats(request, request->after, request->before));
}

static const char *why_not(const struct iommu_plan_request *request)
{
	const struct entry_format *format = request->format;

	if (toggles_ats(request))
		return "the device TLB is switched on or off while the device uses it";
	if (mixes_tables(request))
		return "two tables would be live under one cache tag";
	if (format->why && format->why(request->facts, request->before, request->after))
		return format->why(request->facts, request->before, request->after);
	if (request->strategies == IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK))
		return "only \"break\" was allowed";
	if (format->parent)
		return "more than one quantum changes, and the page that holds the entry can't be swapped";
	return "more than one quantum changes";
}

/* Bits that the format reserves, or a quantum that the planner can't handle. */
static bool sane(const struct iommu_plan_request *request)
{
	uint64_t named[IOMMU_ENTRY_WORDS] = { 0 };

	if (!request->format || !request->before || !request->after || (request->quantum != 8 && request->quantum != 16) ||
	    request->nchain > IOMMU_MAX_STANDINS)
		return false;
	request->format->named(named);
	for (unsigned i = 0; i < request->format->words; i++) {
		uint64_t standins = (request->standin[0] ? request->standin[0][i] : 0) | (request->standin[1] ? request->standin[1][i] : 0);

		for (unsigned n = 0; n < request->nchain; n++)
			standins |= request->chain[n][i];
		if ((request->before[i] | request->after[i] | standins) & ~named[i])
			return false;
	}
	return true;
}

/* The cheapest strategy that is allowed and hitless. False: there is none. */
static bool search(struct entry_change *change, const struct outlook *outlook)
{
	const struct iommu_plan_request *request = &change->request;
	struct iommu_cost best = { 0 };
	bool found = false;

	for (enum iommu_strategy s = IOMMU_STRATEGY_ONE_STORE; s < IOMMU_STRATEGY_BREAK; s++) {
		struct entry_change trial;
		struct entry_steps steps = { 0 };

		if (!(request->strategies & IOMMU_STRATEGY_BIT(s)) || !feasible(request, outlook, s))
			continue;
		trial = *change;
		trial.request.before = trial.before;
		trial.request.after = trial.after;
		trial.strategy = s;
		entry_emit(&steps, &trial);
		entry_finish(&steps, &trial, 1);
		if (!found || cheaper(&steps.cost, &best)) {
			best = steps.cost;
			change->strategy = s;
			found = true;
		}
	}
	return found;
}

/* The quanta that differ at all, a bit each. */
static unsigned changed_quanta(const struct iommu_plan_request *request)
{
	const uint64_t *before = request->before, *after = request->after;
	unsigned words = request->format->words, shift = request->quantum / 16, changed = 0;

	for (unsigned i = 0; i < words; i++)
		changed |= (unsigned)(before[i] != after[i]) << (i >> shift);
	return changed;
}

bool entry_choose_one_store(struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	unsigned changed = changed_quanta(request);

	/* Of two quanta that differ, one has to be prepared or cleaned, even if the hardware looks at neither's difference. */
	if (!changed || (changed & (changed - 1)) || (request->facts & IOMMU_PLAN_UNREACHABLE) || mixes_tables(request) ||
	    behind_mixes(request, request->before, request->after) || toggles_ats(request))
		return false;
	change->strategy = IOMMU_STRATEGY_ONE_STORE;
	change->quantum = (unsigned)__builtin_ctz(changed);
	change->hitless = true;
	change->why = NULL;
	return true;
}

int entry_choose(struct entry_change *change)
{
	const struct iommu_plan_request *request = &change->request;
	struct outlook outlook;
	bool found;

	/* Every other way takes at least the rounds of one store, and flushes no less: tests/test_plan.c tries them all. */
	if ((request->strategies & IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_ONE_STORE)) && entry_choose_one_store(change))
		return 0;
	change->hitless = true;
	change->why = NULL;
	if (same_words(request->before, request->after, request->format->words)) {
		change->strategy = IOMMU_STRATEGY_NONE;
		return 0;
	}
	if (request->facts & IOMMU_PLAN_UNREACHABLE) {
		change->strategy = IOMMU_STRATEGY_ONE_STORE;
		return 0;
	}
	look(request, &outlook);
	change->quantum = outlook.flip.quantum;
	found = search(change, &outlook);
	if (found && !toggles_ats(request))
		return 0;
	change->hitless = false;
	change->why = why_not(request);
	if (found)
		return 0;
	if (!(request->strategies & IOMMU_STRATEGY_BIT(IOMMU_STRATEGY_BREAK)))
		return -EOPNOTSUPP;
	change->strategy = IOMMU_STRATEGY_BREAK;
	return 0;
}

RARE int iommu_plan(const struct iommu_plan_request *request, struct iommu_plan *plan)
{
	/* Nobody knows where the ATS control register is; its enable bit is bit 15 (PCIe 10.5.1.3). */
	struct entry_change change = { .request = *request, .ats_on = 1u << 15 };
	struct entry_steps steps = { .v = plan->steps, .capacity = plan->capacity };
	int err;

	if (!sane(request))
		return -EINVAL;
	copy_words(change.before, request->before, request->format->words);
	copy_words(change.after, request->after, request->format->words);
	change.request.before = change.before;
	change.request.after = change.after;
	err = entry_choose(&change);
	if (err)
		return err;
	entry_emit(&steps, &change);
	entry_finish(&steps, &change, 1);
	plan->strategy = change.strategy;
	plan->hitless = change.hitless;
	plan->why = change.why;
	plan->cost = steps.cost;
	plan->nsteps = steps.n;
	return plan->steps && steps.n > plan->capacity ? -E2BIG : 0;
}
