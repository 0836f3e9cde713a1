/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_state.h - the state of the RISC-V IOMMU's model and what its files know of each other.
 *
 * riscv.c		capabilities, registers, interrupts, counters, the debug interface
 * riscv_fault.c	fault queue and page-request queue
 * riscv_queue.c	the command queue: fetch, order, fence
 * riscv_invalidate.c	what each command removes and drains
 * riscv_request.c	a request: device directory and process directory
 * riscv_walk.c		... and both stages of page tables, and MSI page tables
 * riscv_dump.c		the caches as text
 *
 * Sections are those of the RISC-V IOMMU Architecture Specification: 2 data structures, 3 queues, 4 debug, 5 registers,
 * 6 software guidelines. "P" is the privileged architecture.
 */
#ifndef MODEL_RISCV_STATE_H
#define MODEL_RISCV_STATE_H

#include "cache.h"
#include <hitless/model-riscv.h>
#include <riscv.h>

/*
 * Five caches (2.9). The IOATC is two of the conceptual ones that 3.1.1 describes, one per stage, so that each command removes
 * exactly what its table says, and a line of one stage outlives the invalidation of the other:
 *	first stage	class FIRST: RVM_LINE_GUEST, GSCID (if guest), PSCID (not if RVM_LINE_GLOBAL), IOVA -> GPA
 *	second stage	class SECOND: GSCID, GPA -> SPA; class MSI: the same, from the MSI page table
 * `iotlb` has the leaves, `walk` the pointers to tables. The tables' roots are no part of a tag.
 */
enum { RVM_CLASS_FIRST = 0, RVM_CLASS_SECOND = 1, RVM_CLASS_MSI = 2 };

#define RVM_LINE_GUEST (1ull << TAG_FLAGS_LSB)	/* the second stage isn't Bare: the domain is a GSCID */
#define RVM_LINE_GLOBAL (2ull << TAG_FLAGS_LSB)	/* of every PSCID */
#define RVM_LINE_NAPOT (4ull << TAG_FLAGS_LSB)	/* one of 16 pages that one entry maps */
#define RVM_LINE_HAS_PID (1ull << TAG_FLAGS_LSB) /* device TLB */

/*
 * Directory caches. A device id is 24 bits: 16 in the tag's source, 8 in its domain.
 * `ddt`: level 0 is a device context, 1 and 2 are non-leaf entries, whose tag has only the upper part of the id.
 * `pdt`: the same with process contexts, by device and process id; and pointers (class POINTER): the supervisor-physical page that
 * a guest page number in a context was translated to. RVM_LINE_LEAF: the number was in a process context.
 */
#define RVM_DEVICE (TAG_SOURCE | 0xffull << TAG_DOMAIN_LSB)
enum { RVM_CLASS_CONTEXT = 0, RVM_CLASS_POINTER = 1 };
#define RVM_LINE_LEAF (1ull << TAG_FLAGS_LSB)

/* The last word of an IOATC line: an address and, below, what the leaf allows. */
#define RVM_MAY_READ 0x01ull
#define RVM_MAY_WRITE 0x02ull
#define RVM_MAY_EXEC 0x04ull
#define RVM_MAY_USER 0x08ull
#define RVM_DIRTY 0x10ull			/* writing needs no update of D */
#define RVM_PBMT_LSB 5
#define RVM_PBMT (3ull << RVM_PBMT_LSB)
#define RVM_ADDR 0x00fffffffffff000ull

/* Words of lines. */
#define RVM_DC_WORDS 8				/* tag, tc, iohgatp, ta, fsc, msiptp, mask, pattern; base format: 5 */
#define RVM_PC_WORDS 4				/* tag, guest page of a pointer or 0, two words */
#define RVM_TLB_WORDS 3				/* tag, input address, page and rights */

#define RVM_WINDOW 8				/* commands that have been fetched and are not complete */
#define RVM_SCOPES 4
#define RVM_COUNTERS 7

enum rvm_kind {
	RVM_NOTHING,
	RVM_DDT,		/* `scopes` of ddt lines, `more` of pdt lines */
	RVM_PDT,		/* `scopes` of pdt lines */
	RVM_VMA,		/* `scopes` of iotlb lines, `more` of walk lines */
	RVM_GVMA,
	RVM_DEVTLB,
	RVM_FENCE,		/* drained what PR and PW say: `more` is bit 0 PR, bit 1 PW */
	RVM_OFF			/* ddtp went to Off: drained everything */
};

/* One command, in terms of lines. */
struct rvm_invalidation {
	uint64_t kind;		/* enum rvm_kind; 0: none */
	uint64_t nscopes;
	struct model_scope scopes[RVM_SCOPES];
	uint64_t nmore;
	struct model_scope more[RVM_SCOPES];
};

struct rvm_state {
	struct model_common common;
	/* Written by init only. */
	uint64_t cap;
	uint64_t options;
	uint64_t pas;
	uint64_t unused;
	struct model_cache ddt, pdt, walk, iotlb, devtlb;
	/* From here on written as the unit runs. */
	uint64_t broken;		/* RISCV_BROKEN_... */
	uint64_t register_lock;
	uint64_t tick_lock;
	uint64_t fault_claim;
	uint64_t fctl, ddtp, ddtp_busy;
	uint64_t cqb, cqh, cqt, cqcsr;
	uint64_t fqb, fqh, fqt, fqcsr;
	uint64_t pqb, pqh, pqt, pqcsr;
	uint64_t ipsr;
	uint64_t inhibited;		/* iocountinh */
	uint64_t cycles;
	uint64_t ctr[RVM_COUNTERS], evt[RVM_COUNTERS];
	uint64_t tr_iova, tr_ctl, tr_response;
	uint64_t qosid, icvec;
	uint64_t msi_addr[RISCV_MSI_VECTORS];
	uint64_t msi_data[RISCV_MSI_VECTORS];	/* data and, above, vector control */
	uint64_t msi_pending;		/* vectors that were masked when something came */
	uint64_t window[RVM_WINDOW][2];	/* in the order of the queue */
	uint64_t pending;
	uint64_t fence[2];		/* the IOFENCE.C at cqh, opcode and all; 0: none */
	uint64_t fence_drained;		/* the parked fence's own drain has been started */
	uint64_t must_drain;		/* RVM_DRAIN_...: what was invalidated since the last drain waits for whom */
	uint64_t draining;
	uint64_t timed_out;		/* broken hardware: a device won't answer */
	struct rvm_invalidation last;	/* may-sets: what the last tick drained */
};

#define RVM_DRAIN_FETCHES 1ull		/* requests that may still read, or fill, directory lines */
#define RVM_DRAIN_ALL 2ull		/* all that is in flight */

/* hot[0]: ddtp in use. hot[1]: counters that count something. */
#define RVM_HOT_ROOT 0
#define RVM_HOT_COUNTING 1
#define RVM_ROOT(state) ((state)->common.hot[RVM_HOT_ROOT])
#define RVM_COUNTING(state) ((state)->common.hot[RVM_HOT_COUNTING])

/* ---- A request's work[] ---- */

struct rvm_work {
	uint64_t gens[2];	/* lanes.h */
	uint64_t root;		/* RVM_ROOT when it began */
	uint64_t flags;		/* RVM_F_ */
	uint64_t iova;		/* `addr` when it began */
	uint64_t dc[8];		/* the device context */
	uint64_t pc[2];		/* the directory entry or process context that is being fetched */
	uint64_t at;		/* the address of what is fetched next */
	uint64_t pid;		/* the process id that is used */
	uint64_t tag;		/* of the first stage's IOATC lines: GSCID, PSCID */
	uint64_t table;		/* the table that the directory or first-stage walk has reached, and its level */
	uint64_t ss;		/* the same of the second stage */
	uint64_t gpa;		/* what the second stage translates */
	uint64_t rights;	/* RVM_MAY_ so far, and the page's level */
	uint64_t pte;		/* as it was fetched: for the update of A and D */
	uint64_t unused;
};

_Static_assert(sizeof(struct rvm_work) <= sizeof(((struct iommu_request *)0)->work), "a request's work has grown too large");

#define RVM_F_HALF 0x01ull		/* which half of the lane's word counts it */
#define RVM_F_COUNTED 0x02ull
#define RVM_F_UNCACHED 0x04ull		/* the debug interface: no cache is looked into or filled */
#define RVM_F_SUPERVISOR 0x08ull
#define RVM_F_SUM 0x10ull
#define RVM_F_PID 0x20ull		/* the process directory is used */
#define RVM_F_DIRECTORY 0x40ull		/* it still may read, or fill, directory lines */
#define RVM_F_DC 0x80ull		/* the device context is known */
#define RVM_F_FETCHED_LSB 8		/* mask of the quanta of the entry that are there */
#define RVM_F_FETCHED (0xffull << RVM_F_FETCHED_LSB)
#define RVM_F_TRIES_LSB 16		/* failed updates of A and D in one entry, of each stage */
#define RVM_F_TRIES (0xfull << RVM_F_TRIES_LSB)
#define RVM_F_TRIES2_LSB 20
#define RVM_F_TRIES2 (0xfull << RVM_F_TRIES2_LSB)
#define RVM_F_PURPOSE_LSB 24		/* why the second stage is walked */
#define RVM_F_PURPOSE (3ull << RVM_F_PURPOSE_LSB)
#define RVM_F_GLOBAL (1ull << 26)	/* an entry on the way, or the leaf, had G */
#define RVM_F_FETCH_HALF (1ull << 27)	/* as RVM_F_HALF and COUNTED, while it may read directories */
#define RVM_F_FETCHING (1ull << 28)
#define RVM_F_LANES (RVM_F_HALF | RVM_F_COUNTED | RVM_F_FETCH_HALF | RVM_F_FETCHING)

enum { RVM_FOR_ACCESS, RVM_FOR_DIRECTORY, RVM_FOR_TABLE, RVM_FOR_MARK };

#define RVM_LEVEL 0x7ull
#define RVM_RIGHTS 0xffull
#define RVM_PAGE_LEVEL_LSB 8		/* in `rights`: the page's level */
#define RVM_PAGE_LEVEL (7ull << RVM_PAGE_LEVEL_LSB)

enum rvm_pc {
	RVM_PC_START,
	RVM_PC_DDT,		/* fetch a non-leaf entry */
	RVM_PC_DC,		/* fetch the device context */
	RVM_PC_PDT_LOOKUP,	/* cached process contexts, and what leads to them */
	RVM_PC_PDT,
	RVM_PC_PC,
	RVM_PC_FIRST_LOOKUP,	/* IOATC of the first stage */
	RVM_PC_FIRST,		/* fetch a first-stage entry */
	RVM_PC_FIRST_MARK,	/* set A and D in it */
	RVM_PC_MSI,		/* fetch an MSI page-table entry */
	RVM_PC_SECOND_LOOKUP,
	RVM_PC_SECOND,
	RVM_PC_SECOND_MARK,
	RVM_PC_END
};

static inline struct rvm_state *rvm_state(const struct iommu_model *model)
{
	return (struct rvm_state *)model->state;
}

static inline struct rvm_work *rvm_work(struct iommu_request *request)
{
	return (struct rvm_work *)(void *)request->work;
}

static inline uint64_t rvm_choice(const struct iommu_model *model, enum iommu_freedom freedom, unsigned count)
{
	return model_choose(model->port, rvm_state(model)->common.freedoms, freedom, count);
}

static inline bool rvm_free(const struct rvm_state *state, enum iommu_freedom freedom)
{
	return (state->common.freedoms & IOMMU_FREE_BIT(freedom)) != 0;
}

static inline uint64_t rvm_tag_device(uint64_t device)
{
	return (device & TAG_SOURCE) | (device >> 16 & 0xff) << TAG_DOMAIN_LSB;
}

/* An address that the unit can't put on the bus. */
static inline bool rvm_beyond(const struct rvm_state *state, uint64_t address)
{
	return address >> state->pas != 0;
}

static inline bool rvm_nested(const struct rvm_work *work)
{
	return GET(RISCV_DC, G_MODE, work->dc) != RISCV_G_BARE;
}

static inline bool rvm_has_pid(const struct iommu_request *request)
{
	return request->pasid != IOMMU_NO_PASID;
}

static inline unsigned rvm_purpose(const struct rvm_work *work)
{
	return (unsigned)((work->flags & RVM_F_PURPOSE) >> RVM_F_PURPOSE_LSB);
}

/* Bits of an id within one level of a directory. */
static inline uint64_t rvm_bits(uint64_t id, unsigned first, unsigned count)
{
	return id >> first & ((1ull << count) - 1);
}

/* riscv.c */
bool rvm_interrupt(const struct iommu_model *model, uint64_t bit);
bool rvm_interrupt_levels(const struct iommu_model *model);
void rvm_count(const struct iommu_model *model, const struct iommu_request *request, unsigned event);

/* riscv_fault.c */
void rvm_fault(const struct iommu_model *model, struct iommu_request *request, unsigned cause, uint64_t iotval2);
unsigned rvm_access_fault(const struct iommu_request *request);
unsigned rvm_page_fault(const struct iommu_request *request);
unsigned rvm_guest_fault(const struct iommu_request *request);

/* riscv_queue.c */
bool rvm_queue_tick(const struct iommu_model *model);
bool rvm_window_tick(const struct iommu_model *model);

/* riscv_invalidate.c */
bool rvm_decode(const struct rvm_state *state, const uint64_t *command, struct rvm_invalidation *invalidation);
void rvm_drain_start(struct rvm_state *state, const struct iommu_model_port *port);
bool rvm_drain_done(struct rvm_state *state);
void rvm_invalidate(struct rvm_state *state, const struct rvm_invalidation *invalidation);
bool rvm_drained(const struct iommu_model *model, const struct iommu_request *request);

/* riscv_request.c */
void rvm_begin(struct iommu_model *model, struct iommu_request *request);
void rvm_step(struct iommu_model *model, struct iommu_request *request);
void rvm_end(struct iommu_model *model, struct iommu_request *request);
void rvm_translate(struct iommu_model *model, struct iommu_request *request);
bool rvm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights);
void rvm_pass(struct iommu_request *request);
void rvm_directory_fetched(const struct iommu_model *model, struct iommu_request *request);
bool rvm_pointer_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t gpa, uint64_t *spa);
void rvm_pointer_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t spa);
/* Locates the device context at full speed and without caches: its words, or the cause why not. */
unsigned rvm_locate(struct iommu_model *model, uint32_t device, uint64_t dc[8]);
void rvm_run_uncached(struct iommu_model *model, struct iommu_request *request);

/* riscv_walk.c */
void rvm_walk_step(const struct iommu_model *model, struct iommu_request *request);
void rvm_first_stage(const struct iommu_model *model, struct iommu_request *request, uint64_t mode, uint64_t root, uint64_t pscid);
void rvm_no_first_stage(const struct iommu_model *model, struct iommu_request *request);
void rvm_second_stage(struct iommu_request *request, uint64_t gpa, unsigned purpose);

/* riscv_dump.c */
void rvm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);

#endif
