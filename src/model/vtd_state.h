/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_state.h - the state of the VT-d model and what its files know of each other.
 *
 * vtd.c		capabilities, registers, interrupts
 * vtd_fault.c		fault recording
 * vtd_queue.c		the invalidation queue: fetch, order, wait
 * vtd_invalidate.c	what each invalidation removes and drains
 * vtd_request.c	a request: from the root table to the IOTLB
 * vtd_walk.c		... and through the paging structures
 * vtd_dump.c		the caches as text
 *
 * Sections are those of the Intel VT-d architecture specification, revision 4.1.
 */
#ifndef MODEL_VTD_STATE_H
#define MODEL_VTD_STATE_H

#include "cache.h"
#include <hitless/model-vtd.h>
#include <vtd.h>

/* Kinds of translation in a line's tag (6.2.1, table "cache tagging"). Bit 2: tagged by domain and PASID, otherwise by domain. A
 * look-up sees the tag and this bit, not the kind: which table a line came from is no part of the tag. */
enum {
	VTDM_CLASS_SECOND = 0,
	VTDM_CLASS_LEGACY_PASS = 1,
	VTDM_CLASS_FIRST = 4,
	VTDM_CLASS_NESTED = 5,
	VTDM_CLASS_PASS = 6
};
#define VTDM_CLASS_BY_PASID (4ull << TAG_CLASS_LSB)

/* Flags of context and PASID lines. */
#define VTDM_LINE_FPD (1ull << TAG_FLAGS_LSB)		/* of what led here, which isn't in the line's own entry */
#define VTDM_LINE_SCALABLE (2ull << TAG_FLAGS_LSB)	/* context: not tagged by domain */
#define VTDM_LINE_HAS_PASID (4ull << TAG_FLAGS_LSB)	/* device TLB */

/* The last word of an IOTLB or walk line: an address and, below, what the entries on the way allowed. */
#define VTDM_MAY_READ 0x01ull		/* second stage; the first has no such bit */
#define VTDM_MAY_WRITE 0x02ull		/* second stage */
#define VTDM_MAY_WRITE_FS 0x04ull
#define VTDM_MAY_EXEC 0x08ull
#define VTDM_MAY_USER 0x10ull
#define VTDM_DIRTY 0x20ull		/* D is set, or there is no such flag */
#define VTDM_MAY_ALL 0x3full
#define VTDM_ADDR 0x000ffffffffff000ull

/* Words of lines. */
#define VTDM_CONTEXT_WORDS 3		/* tag, entry[0..1] */
#define VTDM_PASID_WORDS 4		/* tag, entry[0..2] */
#define VTDM_WALK_WORDS 3		/* tag, input address, table and rights */
#define VTDM_TLB_WORDS 3		/* tag, input address, page and rights */

#define VTDM_WINDOW 8			/* commands that have been fetched and are not complete */
#define VTDM_SCOPES 4

/* One invalidation, in terms of lines. */
struct vtdm_invalidation {
	uint64_t kind;		/* enum vtdm_kind; 0: none */
	uint64_t nscopes;	/* of the cache that it is about */
	struct model_scope scopes[VTDM_SCOPES];
	uint64_t nwalk;		/* IOTLB: of the paging-structure caches */
	struct model_scope walk[VTDM_SCOPES];
};

enum vtdm_kind {
	VTDM_NOTHING,
	VTDM_CONTEXT,
	VTDM_PASID,
	VTDM_IOTLB,
	VTDM_DEVTLB
};

struct vtdm_state {
	struct model_common common;
	/* Written by init only. */
	uint64_t cap, ecap;
	uint64_t haw;			/* bits of a physical address */
	uint64_t mgaw;			/* bits of an input address of the second stage */
	uint64_t domains;		/* mask of domain id bits that exist */
	uint64_t fault_first;		/* word of the first fault recording register */
	uint64_t nfaults;
	uint64_t unused;
	struct model_cache context, pasid, walk, iotlb, devtlb;
	/* From here on written as the unit runs. */
	uint64_t broken;		/* VTD_BROKEN_... */
	uint64_t register_lock;
	uint64_t tick_lock;
	uint64_t fault_claim;
	uint64_t regs[32];		/* 0x000 to 0x0ff as 64-bit words */
	uint64_t gcmd;			/* what was written, and VTDM_PENDING; 0: done */
	uint64_t ccmd_pending;
	uint64_t iva, iotlb_pending;	/* the registers at ECAP.IRO */
	uint64_t fault_next;		/* index of the record that the next fault goes to */
	uint64_t fault_index;		/* FSTS.FRI */
	uint64_t window[VTDM_WINDOW][2];	/* in the order of the queue */
	uint64_t pending;
	uint64_t must_drain;		/* VTDM_DRAIN_...: what was invalidated since the last drain waits for whom */
	uint64_t draining;
	uint64_t root_flush;		/* ESRTPS: the caches that SRTP has invalidated already */
	uint64_t register_done;		/* register-based invalidation: only the drain is left */
	uint64_t timed_out;		/* broken hardware: source id of a device that won't answer, and VTDM_PENDING */
	struct vtdm_invalidation last;	/* may-sets: what the last tick drained */
};

#define VTDM_PENDING (1ull << 63)

#define VTDM_DRAIN_FETCHES 1ull		/* requests that are still fetching entries */
#define VTDM_DRAIN_ALL 2ull		/* all that is in flight */

/* hot[0]: the root table pointer in use (address, TTM) and, in bit 0, translation enable. */
#define VTDM_ROOT_TE 1ull
#define VTDM_HOT_ROOT 0
#define VTDM_ROOT(state) ((state)->common.hot[VTDM_HOT_ROOT])

/* ---- A request's work[] ---- */

struct vtdm_work {
	uint64_t gens[2];	/* lanes.h */
	uint64_t root;		/* VTDM_ROOT when it began */
	uint64_t flags;		/* VTDM_F_ */
	uint64_t iova;		/* `addr` when it began */
	uint64_t entry[8];	/* the entry that is being fetched, or was fetched last */
	uint64_t at;		/* its address */
	uint64_t pasid;		/* the PASID that is used, explicit or RID_PASID */
	uint64_t tag;		/* of the translation's IOTLB lines: domain, PASID, class */
	uint64_t fs, ss;	/* the stages' root tables, VTDM_STAGE_ below; 0: no such stage */
	uint64_t fs_at, ss_at;	/* the table that the walk has reached, and its level */
	uint64_t gpa;		/* what the second stage translates */
	uint64_t rights;	/* VTDM_MAY_ so far, and the page */
	uint64_t unused[2];
};

_Static_assert(sizeof(struct vtdm_work) == sizeof(((struct iommu_request *)0)->work), "a request's work has another size");

/* What a memset would do, which compilers make a slow instruction of. This is in the way of every request. */
static inline void vtdm_clear_work(struct iommu_request *request)
{
	struct four {
		uint64_t a, b, c, d;
	} *work = (struct four *)(void *)request->work;
	const struct four zero = { 0, 0, 0, 0 };

	work[0] = zero;
	work[1] = zero;
	work[2] = zero;
	work[3] = zero;
	work[4] = zero;
	work[5] = zero;
}

#define VTDM_F_HALF 0x01ull		/* which half of the lane's word counts it */
#define VTDM_F_COUNTED 0x02ull
#define VTDM_F_FPD 0x04ull
#define VTDM_F_SCALABLE 0x08ull
#define VTDM_F_USER 0x10ull		/* a user's request, to the first stage */
#define VTDM_F_EXEC 0x20ull
#define VTDM_F_WPE 0x40ull
#define VTDM_F_FINAL 0x80ull		/* nested: the second stage translates what the first one said */
#define VTDM_F_FETCHED_LSB 8		/* mask of the quanta of the entry that are there */
#define VTDM_F_FETCHED (0xffull << VTDM_F_FETCHED_LSB)
#define VTDM_F_TRIES_LSB 16		/* failed updates of A and D */
#define VTDM_F_TRIES (0xffull << VTDM_F_TRIES_LSB)
#define VTDM_F_FETCH_HALF (1ull << 24)	/* as VTDM_F_HALF and COUNTED, while entries are being fetched */
#define VTDM_F_FETCHING (1ull << 25)
#define VTDM_F_LANES (VTDM_F_HALF | VTDM_F_COUNTED | VTDM_F_FETCH_HALF | VTDM_F_FETCHING)

#define VTDM_STAGE_LEVELS 0x7ull
#define VTDM_STAGE_AD 0x8ull		/* A and D flags are kept */
#define VTDM_STAGE_SNOOP 0x10ull	/* walks snoop: the flags can be written */
#define VTDM_STAGE_EAF 0x20ull		/* extended accessed flag */
#define VTDM_STAGE_NXE 0x40ull		/* XD has a meaning */

#define VTDM_LEVEL 0x7ull
#define VTDM_RIGHTS 0xffull
#define VTDM_PAGE_LEVEL_LSB 8		/* in `rights`: the page's level */
#define VTDM_PAGE_LEVEL (7ull << VTDM_PAGE_LEVEL_LSB)

enum vtdm_pc {
	VTDM_PC_START,
	VTDM_PC_CONTEXT_LOOKUP,
	VTDM_PC_ROOT,
	VTDM_PC_CONTEXT,
	VTDM_PC_PASID_LOOKUP,
	VTDM_PC_PASIDDIR,
	VTDM_PC_PASID,
	VTDM_PC_IOTLB_LOOKUP,
	VTDM_PC_WALK_LOOKUP,
	VTDM_PC_FIRST,		/* fetch a first-stage entry */
	VTDM_PC_FIRST_MARK,	/* set A and D in it */
	VTDM_PC_SECOND_LOOKUP,	/* nested: a walk of the second stage begins */
	VTDM_PC_SECOND,
	VTDM_PC_SECOND_MARK,
	VTDM_PC_FILL,
	VTDM_PC_END
};

static inline struct vtdm_state *vtdm_state(const struct iommu_model *model)
{
	return (struct vtdm_state *)model->state;
}

static inline struct vtdm_work *vtdm_work(struct iommu_request *request)
{
	return (struct vtdm_work *)(void *)request->work;
}

static inline uint64_t vtdm_choice(const struct iommu_model *model, enum iommu_freedom freedom, unsigned count)
{
	return model_choose(model->port, vtdm_state(model)->common.freedoms, freedom, count);
}

static inline bool vtdm_free(const struct vtdm_state *state, enum iommu_freedom freedom)
{
	return (state->common.freedoms & IOMMU_FREE_BIT(freedom)) != 0;
}

/* vtd.c. Half a word of the register file is a 32-bit register. */
static inline uint64_t vtdm_reg32(const struct vtdm_state *state, unsigned offset)
{
	return word_load(&state->regs[offset / 8]) >> offset % 8 * 8 & 0xffffffff;
}
void vtdm_event(const struct iommu_model *model, unsigned control);
void vtdm_fsts_raise(const struct iommu_model *model, uint64_t bits);
uint64_t vtdm_fsts(const struct vtdm_state *state);

/* vtd_fault.c */
void vtdm_fault(const struct iommu_model *model, struct iommu_request *request, unsigned reason);
void vtdm_refuse(struct iommu_request *request, unsigned reason);
uint64_t vtdm_fault_read(const struct vtdm_state *state, uint64_t index, unsigned half);
void vtdm_fault_clear(struct vtdm_state *state, uint64_t index);
bool vtdm_fault_pending(const struct vtdm_state *state);

/* vtd_queue.c */
bool vtdm_queue_tick(const struct iommu_model *model);

/* vtd_invalidate.c */
unsigned vtdm_decode(const struct vtdm_state *state, const uint64_t *descriptor, struct vtdm_invalidation *invalidation);
void vtdm_all(enum vtdm_kind kind, struct vtdm_invalidation *invalidation);
void vtdm_drain_start(struct vtdm_state *state, const struct iommu_model_port *port);
bool vtdm_drain_done(const struct vtdm_state *state);
void vtdm_invalidate(struct vtdm_state *state, const struct vtdm_invalidation *invalidation);
bool vtdm_drained(const struct iommu_model *model, const struct iommu_request *request);

/* vtd_request.c */
void vtdm_begin(struct iommu_model *model, struct iommu_request *request);
void vtdm_step(struct iommu_model *model, struct iommu_request *request);
void vtdm_end(struct iommu_model *model, struct iommu_request *request);
void vtdm_translate(struct iommu_model *model, struct iommu_request *request);
bool vtdm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights);

/* vtd_walk.c */
void vtdm_iotlb_look_up(const struct iommu_model *model, struct iommu_request *request);
void vtdm_walk_step(const struct iommu_model *model, struct iommu_request *request);
bool vtdm_pass(const struct iommu_model *model, struct iommu_request *request);

/* vtd_dump.c */
void vtdm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);

#endif
