/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * lanes.h - requests in flight, and how an invalidation gets ahead of them without a lock.
 *
 * Every lane has a word that counts its requests in flight, in two halves; new ones are counted in the half that the unit's
 * `epoch` names. To drain, the unit turns the epoch over and waits until no lane counts anything in the old half. Only
 * the lane writes its word, only the unit writes the epoch. A second such word counts those requests that are still
 * fetching entries (device contexts, PASID entries): what an entry-cache invalidation waits for is less than all.
 *
 * A request must not fill a cache with what it read before an invalidation. Each kind of cache has a generation, odd while
 * an invalidation scans it. A request notes the generations when it begins and fills only while its own is still the
 * present one and even; a fill stores the line first and looks at the generation after that, the unit changes
 * the generation first and looks at lines after that, so one of the two sees the other (both are sequentially
 * consistent), and between a late store and its withdrawal nobody looks: a lane's lines are read by the lane's own thread only.
 *
 * "Stores its count, then looks at the epoch" takes a full barrier, which is most of what a hit costs. Where the port has barrier_all()
 * lanes go without: the unit, once it has turned the epoch, makes every thread pass a barrier, and looks at the counts after that. A
 * lane's store comes either before that barrier, and is seen; or after, and then so does its look at the epoch.
 *
 * None of this is used with may-sets: there the caller holds the requests, in any number, and asks iommu_model_drained().
 */
#ifndef MODEL_LANES_H
#define MODEL_LANES_H

#include "model.h"

enum model_gen {
	MODEL_GEN_ENTRY,	/* context entries, stream or device table entries */
	MODEL_GEN_PASID,	/* PASID entries, context descriptors, process contexts */
	MODEL_GEN_TLB,		/* IOTLB and paging-structure caches */
	MODEL_GEN_DEVTLB,
	MODEL_GENS
};

/* The first part of every model's state. Sizes and offsets are in 64-bit words. */
struct model_common {
	/* Written by init only. */
	uint64_t freedoms;
	uint64_t quantum;
	uint64_t maysets;
	uint64_t lanes;
	uint64_t lane_first;
	uint64_t lane_words;
	uint64_t barrier_all;	/* the port has that */
	uint64_t unused;
	/* Read by every request, written by the unit: one cache line of 64 bytes. */
	uint64_t gens[MODEL_GENS / 2];	/* two 32-bit generations in a word */
	uint64_t epoch;
	uint64_t stamp;		/* shortcut.h */
	uint64_t hot[4];	/* for the architecture; changed by model_hot_store(). hot[1]: not 0: no shortcuts */
	uint64_t fetch_epoch;
	/* Written in rare cases. */
	uint64_t overflow;
	/* Written by init only: shortcut.h. */
	uint64_t shortcut_first;
	uint64_t shortcuts;	/* per lane; 0: none */
	/* Written by init only: where the architecture's struct model_cache lie, in a row. */
	uint64_t cache_first;
	uint64_t caches;
	/* May-sets: a line has come into a cache since somebody asked. */
	uint64_t filled;
	uint64_t unused2[1];
};

struct model_lane {
	uint64_t inflight;	/* half 0 in the lower 32 bits, half 1 in the upper */
	uint64_t victim;	/* what a fill of a full set replaces next */
	uint64_t sizes;		/* page sizes that were ever filled, for look-ups to skip the others */
	uint64_t fetching;	/* as inflight: those that have not got their entries yet */
	uint64_t unused[4];
};

static inline struct model_lane *model_lane(const struct model_common *common, uint32_t lane)
{
	uint64_t *state = (uint64_t *)(uintptr_t)common;

	if (lane >= common->lanes)
		lane = 0;
	return (struct model_lane *)(void *)(state + common->lane_first + lane * common->lane_words);
}

/* Returns the half that this request is counted in. What it looks at from now on is not older than that. */
static inline unsigned model_count_enter(const struct model_common *common, const uint64_t *epoch, uint64_t *count)
{
	for (;;) {
		unsigned half = (unsigned)(word_load(epoch) & 1);
		uint64_t before = __atomic_load_n(count, __ATOMIC_RELAXED);

		if (common->barrier_all) {
			__atomic_store_n(count, before + (half ? 1ull << 32 : 1), __ATOMIC_RELAXED);
			__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler keeps the order; the unit sees to the CPU */
		} else {
			word_store_sc(count, before + (half ? 1ull << 32 : 1));
		}
		if ((word_load_sc(epoch) & 1) == half)
			return half;
		word_store(count, before); /* the epoch turned meanwhile: a drain may have missed us */
	}
}

static inline void model_count_leave(uint64_t *count, unsigned half)
{
	uint64_t before = __atomic_load_n(count, __ATOMIC_RELAXED);

	word_store(count, before - (half ? 1ull << 32 : 1));
}

static inline unsigned model_lane_enter(const struct model_common *common, struct model_lane *lane)
{
	return model_count_enter(common, &common->epoch, &lane->inflight);
}

static inline void model_lane_leave(struct model_lane *lane, unsigned half)
{
	model_count_leave(&lane->inflight, half);
}

static inline unsigned model_fetch_enter(const struct model_common *common, struct model_lane *lane)
{
	return model_count_enter(common, &common->fetch_epoch, &lane->fetching);
}

static inline void model_fetch_leave(struct model_lane *lane, unsigned half)
{
	model_count_leave(&lane->fetching, half);
}

/* The generations that a request notes. */
static inline void model_gens_note(const struct model_common *common, uint64_t note[MODEL_GENS / 2])
{
	note[0] = word_load(&common->gens[0]);
	note[1] = word_load(&common->gens[1]);
}

static inline uint32_t gen_of(uint64_t word, enum model_gen gen)
{
	return (uint32_t)(word >> gen % 2 * 32);
}

static inline bool model_gen_current(const struct model_common *common, const uint64_t *note, enum model_gen gen)
{
	uint32_t noted = gen_of(note[gen / 2], gen);

	return !(noted & 1) && gen_of(word_load_sc(&common->gens[gen / 2]), gen) == noted;
}

/* Something has changed on which translations depend: shortcuts made before this are void. Any thread. */
static inline void model_stamp(struct model_common *common)
{
	if (!common->maysets)
		__atomic_add_fetch(&common->stamp, 1, __ATOMIC_SEQ_CST);
}

/* Around a scan. Only the unit changes generations. */
static inline void model_gen_turn(struct model_common *common, enum model_gen gen)
{
	uint64_t *word = &common->gens[gen / 2];
	uint64_t others = gen % 2 ? 0xffffffff : 0xffffffffull << 32;

	if (common->maysets)
		return;
	word_store_sc(word, (*word & others) | ((*word + (gen % 2 ? 1ull << 32 : 1)) & ~others));
	model_stamp(common);
}

/* A register that every request looks at takes effect. The register first: who notes the new stamp has seen it. */
static inline void model_hot_store(struct model_common *common, unsigned i, uint64_t value)
{
	word_store_sc(&common->hot[i], value);
	model_stamp(common);
}

static inline void model_turn(const struct model_common *common, const struct iommu_model_port *port, uint64_t *epoch)
{
	word_store_sc(epoch, *epoch ^ 1);
	if (common->barrier_all)
		port->barrier_all(port->ctx);
}

/* All that is in flight now will be waited for. */
static inline void model_drain_start(struct model_common *common, const struct iommu_model_port *port)
{
	model_turn(common, port, &common->epoch);
}

/* Has everything ended that was in flight at model_drain_start()? */
static inline bool model_drain_done(const struct model_common *common)
{
	unsigned old = (unsigned)(common->epoch & 1) ^ 1;

	for (uint32_t i = 0; i < common->lanes; i++) {
		if ((uint32_t)(word_load_sc(&model_lane(common, i)->inflight) >> old * 32))
			return false;
	}
	return true;
}

/* The same for what is still fetching entries. */
static inline void model_fetch_drain_start(struct model_common *common, const struct iommu_model_port *port)
{
	model_turn(common, port, &common->fetch_epoch);
}

static inline bool model_fetch_drain_done(const struct model_common *common)
{
	unsigned old = (unsigned)(common->fetch_epoch & 1) ^ 1;

	for (uint32_t i = 0; i < common->lanes; i++) {
		if ((uint32_t)(word_load_sc(&model_lane(common, i)->fetching) >> old * 32))
			return false;
	}
	return true;
}

#endif
