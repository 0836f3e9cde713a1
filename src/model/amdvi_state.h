/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_state.h - the state of the AMD-Vi model and what its files know of each other.
 *
 * amdvi.c		capabilities, registers, interrupts, the unit's own work
 * amdvi_event.c	the event log, and how a request ends that is blocked
 * amdvi_queue.c	the command buffer: fetch, order, wait
 * amdvi_invalidate.c	what each command removes and drains
 * amdvi_request.c	a request: from the device table to the IOTLB, and the GCR3 table
 * amdvi_walk.c		... and through the page tables
 * amdvi_dump.c		the caches as text
 *
 * Sections are those of the AMD I/O Virtualization Technology (IOMMU) Specification, document 48882, revision 3.
 *
 * Where the specification leaves open what hardware keeps, the model keeps it (it is the judge of a driver):
 * - a device table entry is cached as it was read, with V=0 and with errors in it, too; only INVALIDATE_DEVTAB_ENTRY drops it;
 * - guest CR3 table entries are cached by DomainID and PASID; only INVALIDATE_IOMMU_PAGES with GN, PDE and the whole address
 *   range drops them, INVALIDATE_DEVTAB_ENTRY doesn't;
 * - addresses that pass one to one (Mode 0) are in the IOTLB like any other, tagged by DomainID;
 * - a large page is in the IOTLB in pieces of 4K, 2M, 1G, ..., so that an invalidation of a part of it leaves the rest.
 */
#ifndef MODEL_AMDVI_STATE_H
#define MODEL_AMDVI_STATE_H

#include "cache.h"
#include <amdvi.h>
#include <hitless/model-amdvi.h>

/* Kinds of translation in a line's tag. Bit 2: tagged by DomainID and PASID (GN=1), otherwise by DomainID (GN=0). */
enum {
	AMDVIM_CLASS_HOST = 0,
	AMDVIM_CLASS_GUEST = 4,
	AMDVIM_CLASS_NESTED = 5
};
#define AMDVIM_CLASS_BY_PASID (4ull << TAG_CLASS_LSB)

/* Flags of lines. */
#define AMDVIM_LINE_U (1ull << TAG_FLAGS_LSB)		/* IOTLB: not for a device's TLB */
#define AMDVIM_LINE_HAS_PASID (4ull << TAG_FLAGS_LSB)	/* device TLB */

/* The last word of an IOTLB or walk line: an address and, below, what the entries on the way allowed. */
#define AMDVIM_MAY_READ 0x01ull		/* host tables; the guest's have no such bit */
#define AMDVIM_MAY_WRITE 0x02ull	/* host */
#define AMDVIM_MAY_WRITE_GUEST 0x04ull
#define AMDVIM_MAY_EXEC 0x08ull
#define AMDVIM_MAY_USER 0x10ull
#define AMDVIM_DIRTY 0x20ull		/* D is set, or not kept */
#define AMDVIM_MAY_ALL 0x3full
#define AMDVIM_ADDR 0x000ffffffffff000ull
#define AMDVIM_LINE_SIZE_LSB 6		/* IOTLB: the page's size, as log2 above 4K. Walk: the next level */
#define AMDVIM_LINE_SIZE (0x3full << AMDVIM_LINE_SIZE_LSB)

/* Words of lines. */
#define AMDVIM_DTE_WORDS 4		/* tag, entry[0..2]: what DMA depends on */
#define AMDVIM_GCR3_WORDS 3		/* tag, entry, 0 */
#define AMDVIM_WALK_WORDS 3		/* tag, input address, table */
#define AMDVIM_TLB_WORDS 3		/* tag, input address, page */

#define AMDVIM_LEVELS 6			/* of host tables */
#define AMDVIM_SIZES 5			/* of IOTLB lines: 4K, 2M, ... 256T */
#define AMDVIM_WINDOW 8			/* commands that have been fetched and are not complete */
#define AMDVIM_SCOPES 2

enum amdvim_kind {
	AMDVIM_NOTHING,
	AMDVIM_DTE,
	AMDVIM_PAGES,
	AMDVIM_DEVTLB,
	AMDVIM_ALL
};

/* One invalidation, in terms of lines. */
struct amdvim_invalidation {
	uint64_t kind;		/* enum amdvim_kind */
	uint64_t nscopes;	/* of the cache that it is about; of pages: the IOTLB */
	struct model_scope scopes[AMDVIM_SCOPES];
	uint64_t nwalk;
	struct model_scope walk[AMDVIM_SCOPES];
	uint64_t ngcr3;
	struct model_scope gcr3[1];
};

#define AMDVIM_LOW 0x200	/* registers from 0000h */
#define AMDVIM_HIGH 0x80	/* registers from 2000h */

struct amdvim_state {
	struct model_common common;
	/* Written by init only. */
	uint64_t efr, efr2;
	uint64_t options;		/* AMDVI_MODEL_ */
	uint64_t unused;
	struct model_cache dte, gcr3, walk, iotlb, devtlb;
	/* From here on written as the unit runs. */
	uint64_t broken;		/* AMDVI_BROKEN_ */
	uint64_t register_lock;
	uint64_t tick_lock;
	uint64_t event_claim;
	uint64_t low[AMDVIM_LOW / 8];
	uint64_t high[AMDVIM_HIGH / 8];
	uint64_t cmd_edge;		/* CmdBufEn has been 0 since the last tick */
	uint64_t cmd_on;
	uint64_t window[AMDVIM_WINDOW][3];	/* in the order of the buffer; command and its address */
	uint64_t pending;
	uint64_t must_drain;		/* AMDVIM_DRAIN_: what was invalidated since the last drain waits for whom */
	uint64_t draining;
	struct amdvim_invalidation last;	/* may-sets: what the last tick drained */
};

/* hot[0]: the control register. */
#define AMDVIM_HOT_CONTROL 0
#define AMDVIM_CONTROL(state) ((state)->common.hot[AMDVIM_HOT_CONTROL])

/* ---- A request's work[] ---- */

struct amdvim_work {
	uint64_t gens[2];	/* lanes.h */
	uint64_t flags;		/* AMDVIM_F_ */
	uint64_t iova;		/* `addr` when it began */
	uint64_t control;	/* the control register when it began */
	uint64_t entry[4];	/* the device table entry that is being fetched, or was fetched last */
	uint64_t at;		/* its address; later that of a guest entry that the host tables have been asked for */
	uint64_t pasid;
	uint64_t tag;		/* of the translation's IOTLB lines: domain, PASID, class */
	uint64_t guest, host;	/* the root tables and their levels; 0: no such stage */
	uint64_t guest_at, host_at;	/* the table that the walk has reached, and its level */
	uint64_t gpa;		/* what the host tables translate */
	uint64_t rights;	/* AMDVIM_MAY_ so far, and the page's size */
	uint64_t pte[2];	/* an entry in which flags are to be set: as it was found, and as it shall be */
	uint64_t gcr3;		/* the GCR3 table's root and levels */
	uint64_t unused[3];
};

_Static_assert(sizeof(struct amdvim_work) == sizeof(((struct iommu_request *)0)->work), "a request's work has another size");

/* What a memset would do, which compilers make a slow instruction of. This is in the way of every request. */
static inline void amdvim_clear_work(struct iommu_request *request)
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

#define AMDVIM_DRAIN_FETCHES 1ull	/* requests that are still fetching their device table entry */
#define AMDVIM_DRAIN_ALL 2ull		/* all that is in flight */

#define AMDVIM_F_HALF 0x0001ull		/* which half of the lane's word counts it */
#define AMDVIM_F_COUNTED 0x0002ull
#define AMDVIM_F_IR 0x0004ull		/* of the device table entry */
#define AMDVIM_F_IW 0x0008ull
#define AMDVIM_F_SA 0x0010ull
#define AMDVIM_F_HA 0x0020ull		/* accessed flags are kept in host tables */
#define AMDVIM_F_HD 0x0040ull		/* dirty flags, too */
#define AMDVIM_F_GN 0x0080ull		/* the guest's tables translate */
#define AMDVIM_F_USER 0x0100ull
#define AMDVIM_F_EXEC 0x0200ull
#define AMDVIM_F_GCR3_GPA 0x0400ull	/* the GCR3 table lies in guest physical space */
#define AMDVIM_F_U 0x0800ull		/* the page isn't for a device's TLB */
#define AMDVIM_F_FETCHED_LSB 16		/* mask of the quanta of the entry that are there */
#define AMDVIM_F_FETCHED (0xfull << AMDVIM_F_FETCHED_LSB)
#define AMDVIM_F_TRIES_LSB 24		/* failed updates of A and D */
#define AMDVIM_F_TRIES (0xffull << AMDVIM_F_TRIES_LSB)
#define AMDVIM_F_FOR_LSB 32		/* nested: what the host tables are walked for */
#define AMDVIM_F_FOR (3ull << AMDVIM_F_FOR_LSB)
#define AMDVIM_F_FETCH_HALF (1ull << 40)	/* as HALF and COUNTED, while the device table entry is being fetched */
#define AMDVIM_F_FETCHING (1ull << 41)
#define AMDVIM_F_LANES (AMDVIM_F_HALF | AMDVIM_F_COUNTED | AMDVIM_F_FETCH_HALF | AMDVIM_F_FETCHING)
#define AMDVIM_FOR_DATA 0ull		/* the request's own address */
#define AMDVIM_FOR_GCR3 1ull		/* an entry of the GCR3 table */
#define AMDVIM_FOR_ENTRY 2ull		/* an entry of the guest's tables */

#define AMDVIM_LEVEL 0x7ull
#define AMDVIM_RIGHTS 0x3full
#define AMDVIM_PAGE_LSB 8		/* in `rights`: the page's size, as log2 above 4K, plus 1; 0: not known */
#define AMDVIM_PAGE (0x7full << AMDVIM_PAGE_LSB)

enum amdvim_pc {
	AMDVIM_PC_START,
	AMDVIM_PC_DTE,
	AMDVIM_PC_IOTLB_LOOKUP,
	AMDVIM_PC_GCR3_LOOKUP,
	AMDVIM_PC_GCR3,
	AMDVIM_PC_WALK_LOOKUP,		/* of the guest's tables */
	AMDVIM_PC_GUEST,
	AMDVIM_PC_GUEST_MARK,		/* set A and D in a guest entry */
	AMDVIM_PC_HOST_LOOKUP,
	AMDVIM_PC_HOST,
	AMDVIM_PC_HOST_MARK,
	AMDVIM_PC_FILL,
	AMDVIM_PC_END
};

/* Flags of events (2.5), as in the low bits of request.reason. */
#define AMDVIM_EV_GN 0x001u
#define AMDVIM_EV_NX 0x002u
#define AMDVIM_EV_US 0x004u
#define AMDVIM_EV_PR 0x010u
#define AMDVIM_EV_RW 0x020u
#define AMDVIM_EV_PE 0x040u
#define AMDVIM_EV_RZ 0x080u
#define AMDVIM_EV_TR 0x100u
#define AMDVIM_EV_TYPE_LSB 9
#define AMDVIM_EV_CODE_LSB 12

static inline struct amdvim_state *amdvim_state(const struct iommu_model *model)
{
	return (struct amdvim_state *)model->state;
}

static inline struct amdvim_work *amdvim_work(struct iommu_request *request)
{
	return (struct amdvim_work *)(void *)request->work;
}

static inline unsigned amdvim_choice(const struct iommu_model *model, enum iommu_freedom freedom, unsigned count)
{
	return model_choose(model->port, amdvim_state(model)->common.freedoms, freedom, count);
}

static inline bool amdvim_free(const struct amdvim_state *state, enum iommu_freedom freedom)
{
	return (state->common.freedoms & IOMMU_FREE_BIT(freedom)) != 0;
}

/* Levels of host and guest tables, and of lines: 9 bits each. */
static inline unsigned amdvim_shift(uint64_t level)
{
	return (unsigned)(12 + 9 * (level - 1));
}

static inline uint64_t amdvim_mask(uint64_t level)
{
	return (1ull << amdvim_shift(level)) - 1;
}

/* The word of a register; all are 64-bit words or halves of them. */
static inline uint64_t *amdvim_reg(struct amdvim_state *state, unsigned offset)
{
	return offset < AMDVIM_LOW ? &state->low[offset / 8] : &state->high[(offset - 0x2000) / 8];
}

static inline uint64_t amdvim_reg_load(const struct amdvim_state *state, unsigned offset)
{
	return word_load(offset < AMDVIM_LOW ? &state->low[offset / 8] : &state->high[(offset - 0x2000) / 8]);
}

/* Bytes of a command buffer or log. 3.4.2: LEN below 8 is reserved. */
static inline uint64_t amdvim_buffer_size(uint64_t base)
{
	uint64_t len = GET(AMDVI_BUFFER, LEN, &base);

	return 16ull << (len < 8 ? 8 : len);
}

/* amdvi.c */
void amdvim_status_raise(const struct iommu_model *model, uint64_t interrupt, uint64_t enable);

/* amdvi_event.c */
void amdvim_event(const struct iommu_model *model, const uint64_t words[2]);
void amdvim_fault(const struct iommu_model *model, struct iommu_request *request, unsigned code, unsigned flags);
void amdvim_fault_at(const struct iommu_model *model, struct iommu_request *request, unsigned code, unsigned flags,
		     uint64_t address);
void amdvim_refuse(struct iommu_request *request, uint32_t reason);
const char *amdvim_reason(const struct iommu_model *model, uint32_t reason);

/* amdvi_queue.c */
bool amdvim_queue_tick(const struct iommu_model *model, bool fetching);

/* amdvi_invalidate.c */
bool amdvim_decode(const struct amdvim_state *state, const uint64_t *command, struct amdvim_invalidation *invalidation);
void amdvim_invalidate(struct amdvim_state *state, const struct amdvim_invalidation *invalidation);
void amdvim_drain_start(struct amdvim_state *state, const struct iommu_model_port *port);
bool amdvim_drain_done(const struct amdvim_state *state);
bool amdvim_drained(const struct iommu_model *model, const struct iommu_request *request);

/* amdvi_request.c */
void amdvim_begin(struct iommu_model *model, struct iommu_request *request);
void amdvim_step(struct iommu_model *model, struct iommu_request *request);
void amdvim_end(struct iommu_model *model, struct iommu_request *request);
void amdvim_translate(struct iommu_model *model, struct iommu_request *request);
bool amdvim_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights);

/* amdvi_walk.c */
void amdvim_iotlb_look_up(const struct iommu_model *model, struct iommu_request *request);
void amdvim_walk_step(const struct iommu_model *model, struct iommu_request *request);
void amdvim_page_fault(const struct iommu_model *model, struct iommu_request *request, unsigned flags);

/* amdvi_dump.c */
void amdvim_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);

#endif
