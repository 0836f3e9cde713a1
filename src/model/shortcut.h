/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * shortcut.h - what a lane's last translations came to, so that the same again takes one look.
 *
 * A shortcut is the outcome of a whole request: it skips device contexts, PASIDs, tags and levels. It holds until anything at all
 * changes: every invalidation and every register that requests look at changes the unit's stamp, and a shortcut has the stamp of
 * its time. So it never says what the caches could not have said, which may keep what nobody has invalidated.
 *
 * A hit counts itself among the requests in flight before it looks at the stamp, as every request does before it looks at anything
 * (lanes.h): an invalidation that drains changes the stamp first, so either the hit sees that or the drain waits for it. A fill
 * notes the stamp before the translation begins, and happens only if no scan was under way and the stamp is still that.
 *
 * None with may-sets, where a choice is to be made, where the KEEP freedom is off, or where every request must be counted
 * (hot[1]).
 */
#ifndef MODEL_SHORTCUT_H
#define MODEL_SHORTCUT_H

#include "lanes.h"

struct model_shortcut {
	uint64_t requester;	/* requester id, PASID; and bit 63, so that no valid one is 0 */
	uint64_t page;		/* bits 63:12 of the address; access below */
	uint64_t stamp;
	uint64_t outcome;	/* bits 63:12 of the physical address; log2 of the page's size, 6 bits; rights, 6 bits */
};

/* request->pc of a request that ended here; work[0]: the half that it is counted in. */
#define MODEL_PC_SHORTCUT 0xffffffffu

#define MODEL_RIGHTS_BITS 6

/* In 64-bit words, so that a lane has cache lines of its own. */
static inline uint64_t model_shortcut_words(uint64_t lines)
{
	return (lines * (sizeof(struct model_shortcut) / 8) + 7) & ~7ull;
}

static inline struct model_shortcut *model_shortcut_at(const struct model_common *common, uint32_t lane, uint64_t addr, uint32_t rid)
{
	uint64_t *state = (uint64_t *)(uintptr_t)common;
	struct model_shortcut *lines = (struct model_shortcut *)(void *)(state + common->shortcut_first +
									lane * model_shortcut_words(common->shortcuts));

	/* Neighbouring pages never collide, nor do the same pages of neighbouring devices. */
	return &lines[(addr >> 12 ^ (uint64_t)rid * 0x9e37) & (common->shortcuts - 1)];
}

static inline uint64_t model_shortcut_requester(const struct iommu_request *request)
{
	return 1ull << 63 | (uint64_t)(request->pasid & 0x7fffffff) << 32 | request->rid;
}

static inline uint64_t model_shortcut_page(const struct iommu_request *request)
{
	return (request->addr & ~0xfffull) | request->access;
}

/* Answers the request, which is then counted in flight. False: nothing has happened. */
static inline bool model_shortcut_take(const struct model_common *common, struct iommu_request *request)
{
	struct model_lane *lane = model_lane(common, request->lane);
	const struct model_shortcut *at = model_shortcut_at(common, request->lane, request->addr, request->rid);
	unsigned half;

	if (at->requester != model_shortcut_requester(request) || at->page != model_shortcut_page(request))
		return false;
	half = model_lane_enter(common, lane);
	if (at->stamp != word_load_sc(&common->stamp) || word_load(&common->hot[1])) {
		model_lane_leave(lane, half);
		return false;
	}
	request->state = IOMMU_REQUEST_DONE;
	request->reason = 0;
	request->phys = (at->outcome & ~0xfffull) | (request->addr & 0xfff);
	request->size = 1ull << (at->outcome >> MODEL_RIGHTS_BITS & 63);
	request->rights = (uint32_t)(at->outcome & ((1u << MODEL_RIGHTS_BITS) - 1));
	request->pc = MODEL_PC_SHORTCUT;
	request->work[0] = half;
	return true;
}

/* What a request noted before it began. */
struct model_shortcut_note {
	uint64_t stamp;
	uint64_t gens[MODEL_GENS / 2];
};

static inline void model_shortcut_note(const struct model_common *common, struct model_shortcut_note *note)
{
	note->stamp = word_load_sc(&common->stamp);
	model_gens_note(common, note->gens);
}

/* The request is DONE. */
static inline void model_shortcut_fill(const struct model_common *common, const struct iommu_request *request,
				       const struct model_shortcut_note *note)
{
	struct model_shortcut *at = model_shortcut_at(common, request->lane, request->addr, request->rid);
	uint64_t size = request->size;

	if (request->kind != IOMMU_REQUEST_UNTRANSLATED || request->rights >> MODEL_RIGHTS_BITS || size < 4096 || (size & (size - 1)) ||
	    !model_gen_current(common, note->gens, MODEL_GEN_ENTRY) || !model_gen_current(common, note->gens, MODEL_GEN_PASID) ||
	    !model_gen_current(common, note->gens, MODEL_GEN_TLB))
		return;
	/* A stamp that is too old does no harm: it is never taken. */
	at->requester = model_shortcut_requester(request);
	at->page = model_shortcut_page(request);
	at->stamp = note->stamp;
	at->outcome = (request->phys & ~0xfffull) | (uint64_t)__builtin_ctzll(size) << MODEL_RIGHTS_BITS | request->rights;
}

#endif
