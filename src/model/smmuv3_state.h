/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_state.h - the state of the Arm SMMUv3's model and what its files know of each other.
 *
 * smmuv3.c		capabilities, registers and their handshakes, interrupts, global errors
 * smmuv3_event.c	how a request ends that is not let through; the event queue
 * smmuv3_queue.c	the command queue: fetch, order, CMD_SYNC
 * smmuv3_invalidate.c	what each command removes, and whom it waits for
 * smmuv3_check.c	which stream table entries and context descriptors are illegal
 * smmuv3_request.c	a request: stream table and tables of context descriptors
 * smmuv3_walk.c	... both stages of page tables
 * smmuv3_rights.h	... what their leaves allow
 * smmuv3_tlb.c		... the TLB
 * smmuv3_dump.c	the caches as text
 *
 * Sections are those of IHI 0070 G.b.
 */
#ifndef MODEL_SMMUV3_STATE_H
#define MODEL_SMMUV3_STATE_H

#include "cache.h"
#include <hitless/model-smmuv3.h>
#include <lpae.h>
#include <smmuv3.h>

/*
 * Configuration caches (16.2). A StreamID is 24 bits: 16 in the tag's source, 8 in its domain.
 * `ste`: level 0 is a stream table entry, 1 an L1STD, whose tag has only the StreamID's part above SPLIT.
 * `cd`: level 0 is a context descriptor, 1 an L1CD, by StreamID and SubstreamID; an L1CD's has only the part above the leaf table's
 * bits, and says of which format that is. What is not valid is cached like what is (3.21.3).
 */
#define SMM_STREAM (TAG_SOURCE | 0xffull << TAG_DOMAIN_LSB)
#define SMM_LINE_RESERVED (1ull << TAG_FLAGS_LSB)	/* STE, CD: reserved bits were set */
#define SMM_LINE_64K (1ull << TAG_FLAGS_LSB)		/* L1CD: leaf tables of 64 KiB */
#define SMM_LINE_HAS_SSID (1ull << TAG_FLAGS_LSB)	/* device TLB */

/*
 * The TLB (3.17): `tlb` has leaves, `walk` pointers to tables. Tagged by the stream's world, VMID (domain), ASID (PASID):
 *	EL1	VA -> PA, of one stage or of both combined; `walk`: VA -> table, an IPA under a second stage
 *	EL2	VA -> PA, no ASID, no VMID
 *	E2H	VA -> PA, ASID, no VMID
 *	S2	IPA -> PA, VMID
 * A global line has no ASID, but the context's ASET. In the place of the source: the granule as in TLBI.TG, and the level as in
 * TLBI.TTL. The tables' roots are no part of a tag.
 */
enum { SMM_CLASS_EL1, SMM_CLASS_EL2, SMM_CLASS_E2H, SMM_CLASS_S2 };
#define SMM_LINE_GLOBAL (1ull << TAG_FLAGS_LSB)
#define SMM_LINE_ASET (2ull << TAG_FLAGS_LSB)
#define SMM_LINE_TG 3ull
#define SMM_LINE_TTL_LSB 2
#define SMM_LINE_TTL (3ull << SMM_LINE_TTL_LSB)

/* A TLB line's third word: an address and, below, what the leaves allow. A walk line's: the table and what hierarchy left. */
#define SMM_UR 0x001ull				/* first stage: unprivileged read, write, execute */
#define SMM_UW 0x002ull
#define SMM_UX 0x004ull
#define SMM_PR 0x008ull				/* privileged */
#define SMM_PW 0x010ull
#define SMM_PX 0x020ull
#define SMM_S1_RIGHTS 0x03full
#define SMM_R2 0x040ull				/* second stage */
#define SMM_W2 0x080ull
#define SMM_UX2 0x100ull
#define SMM_PX2 0x200ull
#define SMM_S2_RIGHTS 0x3c0ull
#define SMM_CLEAN1 0x400ull			/* writing needs an update of the first stage's, second stage's leaf */
#define SMM_CLEAN2 0x800ull
#define SMM_RIGHTS 0xfffull
#define SMM_ADDR 0x000ffffffffff000ull
/* What table descriptors on the way took away: AP_TABLE, PXN_TABLE, XN_TABLE */
#define SMM_NO_USER 1ull
#define SMM_NO_WRITE 2ull
#define SMM_NO_PX 4ull
#define SMM_NO_UX 8ull

/* Words of lines. */
#define SMM_STE_WORDS 5				/* tag, the entry's words 0 to 3 */
#define SMM_CD_WORDS 4				/* tag, words 0 to 2 */
#define SMM_TLB_WORDS 4				/* tag, input address and log2 of the size, page and rights, IPA */
#define SMM_WALK_WORDS 3

#define SMM_WINDOW 8				/* commands that have been fetched and are not complete */
#define SMM_SCOPES 8

enum smm_kind {
	SMM_NOTHING,
	SMM_CONFIG,		/* `scopes` of ste lines, `more` of cd lines */
	SMM_CD,			/* `more` of cd lines */
	SMM_TLB,		/* `scopes` of tlb lines, `more` of walk lines */
	SMM_DEVTLB,
	SMM_OFF			/* CR0.SMMUEN went to 0 */
};

/* One command, in terms of lines. */
struct smm_invalidation {
	uint64_t kind;		/* enum smm_kind */
	uint64_t nscopes;
	struct model_scope scopes[SMM_SCOPES];
	uint64_t nmore;
	struct model_scope more[SMM_SCOPES];
};

/* The three sources that have a message of their own. */
enum smm_irq { SMM_IRQ_GERROR, SMM_IRQ_EVENTQ, SMM_IRQ_PRIQ, SMM_IRQS };

struct smm_state {
	struct model_common common;
	/* Written by init only. */
	uint64_t idr0, idr1, idr3, idr5;
	uint64_t options;
	uint64_t oas;			/* bits */
	struct model_cache ste, cd, walk, tlb, devtlb;
	/* From here on written as the unit runs. */
	uint64_t broken;		/* SMMUV3_BROKEN_... */
	uint64_t register_lock;
	uint64_t tick_lock;
	uint64_t event_claim;
	uint64_t cr0, cr0ack, cr1, cr2;
	uint64_t disabling;		/* SMMUEN is going to 0, and who is under way is waited for */
	uint64_t gbpa, agbpa;
	uint64_t irq_ctrl, irq_ctrlack;
	uint64_t gerror, gerrorn;
	uint64_t irq_addr[SMM_IRQS], irq_data[SMM_IRQS], irq_attr[SMM_IRQS];
	uint64_t strtab_base, strtab_cfg;
	uint64_t cmdq_base, cmdq_prod, cmdq_cons;
	uint64_t eventq_base, eventq_prod, eventq_cons;
	uint64_t window[SMM_WINDOW][2];	/* in the order of the queue */
	uint64_t pending;
	uint64_t sync[2];		/* the CMD_SYNC at CONS, opcode and all; 0: none */
	uint64_t must_drain;		/* what was invalidated since the last drain waits for requests */
	uint64_t draining;
	uint64_t timed_out;		/* broken hardware: a device won't answer */
	struct smm_invalidation last;	/* may-sets: what the last tick drained */
};

/* hot[0]: CR0 as it is in effect, CR2 above. hot[2]: STRTAB_BASE in use; hot[3]: STRTAB_BASE_CFG in use, GBPA in effect above. */
enum { SMM_HOT_CONTROL, SMM_HOT_TABLE = 2, SMM_HOT_REST };
#define SMM_CONTROL(state) word_load_sc(&(state)->common.hot[SMM_HOT_CONTROL])
#define SMM_TABLE(state) word_load(&(state)->common.hot[SMM_HOT_TABLE])
#define SMM_TABLE_CFG(state) (word_load(&(state)->common.hot[SMM_HOT_REST]) & 0xffffffff)
#define SMM_GBPA(state) (word_load(&(state)->common.hot[SMM_HOT_REST]) >> 32)

/* ---- A request's work[] ---- */

struct smm_work {
	uint64_t gens[2];	/* lanes.h */
	uint64_t flags;		/* SMM_F_ */
	uint64_t iova;		/* `addr` when it began; then the address that is looked up */
	uint64_t ste[4];	/* words of the stream table entry */
	uint64_t cd[3];		/* ... of the context descriptor */
	uint64_t index;		/* the context descriptor's */
	uint64_t at;		/* the address of what is fetched next */
	uint64_t tag, tag2;	/* of TLB lines of the first and of the second stage */
	uint64_t table;		/* the table that the configuration or first-stage walk has reached, and its level */
	uint64_t limits;	/* SMM_NO_ so far */
	uint64_t ss;		/* table and level of the second stage */
	uint64_t ipa;		/* what the second stage translates */
	uint64_t rights;	/* of the first stage's leaf, and log2 of its page */
	uint64_t pte;		/* as it was fetched: for the update of flags */
	uint64_t kept;		/* the first stage's descriptor while the second is walked for its update */
	uint64_t unused[2];
};

_Static_assert(sizeof(struct smm_work) <= sizeof(((struct iommu_request *)0)->work), "a request's work has grown too large");

#define SMM_F_HALF 0x01ull		/* which half of the lane's word counts it */
#define SMM_F_COUNTED 0x02ull
#define SMM_F_LANES (SMM_F_HALF | SMM_F_COUNTED)
#define SMM_F_STE 0x04ull		/* the stream table entry has been used */
#define SMM_F_CD 0x08ull		/* a context descriptor is, or was, looked for */
#define SMM_F_S1 0x10ull		/* the first stage translates */
#define SMM_F_TTB1 0x20ull
#define SMM_F_PRIV 0x40ull		/* the request's attributes after the entry's overrides */
#define SMM_F_NEED_R 0x80ull
#define SMM_F_NEED_W 0x100ull
#define SMM_F_NEED_X 0x200ull
#define SMM_F_RESERVED 0x400ull		/* reserved bits in what is being fetched */
#define SMM_F_MARK2 0x800ull		/* the second stage has allowed the first stage's update */
#define SMM_F_UNCACHED 0x1000ull	/* a block on the way says so (nT) */
#define SMM_F_FETCHED_LSB 16		/* mask of the parts of the entry that are there */
#define SMM_F_FETCHED (0x1full << SMM_F_FETCHED_LSB)
#define SMM_F_TRIES_LSB 24		/* failed updates of flags, of each stage */
#define SMM_F_TRIES (0xfull << SMM_F_TRIES_LSB)
#define SMM_F_TRIES2_LSB 28
#define SMM_F_TRIES2 (0xfull << SMM_F_TRIES2_LSB)
#define SMM_F_PURPOSE_LSB 32		/* why the second stage is walked */
#define SMM_F_PURPOSE (3ull << SMM_F_PURPOSE_LSB)
#define SMM_F_WORLD_LSB 34		/* SMM_CLASS_ */
#define SMM_F_WORLD (3ull << SMM_F_WORLD_LSB)
#define SMM_F_ATSCHK (1ull << 40)	/* what it needs to know of CR0 and CR2 */
#define SMM_F_RECINVSID (1ull << 41)
#define SMM_F_REC_CFG_ATS (1ull << 42)
#define SMM_F_E2H (1ull << 43)

enum { SMM_FOR_ACCESS, SMM_FOR_CD, SMM_FOR_TABLE, SMM_FOR_MARK };

#define SMM_LEVEL 0x7ull		/* in `table` and `ss` */
#define SMM_LOG2_LSB 12			/* in `rights`: log2 of the page's size */
#define SMM_LOG2 (0x3full << SMM_LOG2_LSB)

enum smm_pc {
	SMM_PC_START,
	SMM_PC_L1STD,
	SMM_PC_STE,
	SMM_PC_CONTEXT,		/* which context, and is its descriptor cached? */
	SMM_PC_L1CD,
	SMM_PC_CD,
	SMM_PC_FIRST_LOOKUP,
	SMM_PC_FIRST,		/* fetch a first-stage descriptor */
	SMM_PC_FIRST_MARK,	/* set flags in it */
	SMM_PC_SECOND_LOOKUP,
	SMM_PC_SECOND,
	SMM_PC_SECOND_MARK,
	SMM_PC_END
};

static inline struct smm_state *smm_state(const struct iommu_model *model)
{
	return (struct smm_state *)model->state;
}

static inline struct smm_work *smm_work(struct iommu_request *request)
{
	return (struct smm_work *)(void *)request->work;
}

static inline uint64_t smm_choice(const struct iommu_model *model, enum iommu_freedom freedom, unsigned count)
{
	return model_choose(model->port, smm_state(model)->common.freedoms, freedom, count);
}

static inline bool smm_free(const struct smm_state *state, enum iommu_freedom freedom)
{
	return (state->common.freedoms & IOMMU_FREE_BIT(freedom)) != 0;
}

static inline uint64_t smm_tag_stream(uint64_t stream)
{
	return (stream & TAG_SOURCE) | (stream >> 16 & 0xff) << TAG_DOMAIN_LSB;
}

/* An address that the unit can't put on the bus. The IAS is the same: there are no VMSAv8-32 tables (3.4). */
static inline bool smm_beyond(const struct smm_state *state, uint64_t address)
{
	return address >> state->oas != 0;
}

static inline bool smm_has_ssid(const struct iommu_request *request)
{
	return request->pasid != IOMMU_NO_PASID;
}

static inline uint64_t smm_config(const struct smm_work *work)
{
	return GET(SMMU_STE, CONFIG, work->ste);
}

static inline bool smm_nested(const struct smm_work *work)
{
	return (work->flags & SMM_F_S1) && (smm_config(work) & SMMU_CONFIG_HAS_S2);
}

/* Does the table of contexts have two levels? log2 of a leaf table's entries; 0: no. */
static inline unsigned smm_context_split(const struct smm_work *work)
{
	uint64_t format = GET(SMMU_STE, S1FMT, work->ste);

	if (!GET(SMMU_STE, S1CDMAX, work->ste))
		return 0;
	return format == SMMU_S1FMT_4K ? SMMU_L1CD_4K_BITS : format == SMMU_S1FMT_64K ? SMMU_L1CD_64K_BITS : 0;
}

/* The tag of the L1CD that leads to the request's context. */
static inline uint64_t smm_l1cd_tag(const struct iommu_request *request, const struct smm_work *work)
{
	unsigned bits = smm_context_split(work);

	return TAG_VALID | smm_tag_stream(request->rid) | 1ull << TAG_LEVEL_LSB | (work->index >> bits << bits) << TAG_PASID_LSB |
	       (bits == SMMU_L1CD_64K_BITS ? SMM_LINE_64K : 0);
}

static inline unsigned smm_purpose(const struct smm_work *work)
{
	return (unsigned)((work->flags & SMM_F_PURPOSE) >> SMM_F_PURPOSE_LSB);
}

static inline unsigned smm_world(const struct smm_work *work)
{
	return (unsigned)((work->flags & SMM_F_WORLD) >> SMM_F_WORLD_LSB);
}

static inline uint64_t smm_size_mask(uint64_t log2)
{
	return (1ull << log2) - 1;
}

/* The granule as in TLBI.TG and the level as in TLBI.TTL, which a line is tagged with. */
static inline uint64_t smm_line_geometry(unsigned page_shift, uint64_t level)
{
	uint64_t tg = page_shift == 12 ? SMMU_TLBI_TG_4K : page_shift == 14 ? SMMU_TLBI_TG_16K : SMMU_TLBI_TG_64K;

	return tg | (3 - level) << SMM_LINE_TTL_LSB;
}

/* What a request ends with that isn't let through. */
struct smm_fault {
	unsigned code;		/* SMMU_EVT_, or SMMUV3_MODEL_SILENT */
	bool s2;
	unsigned class;		/* SMMU_CLASS_ */
	bool table_write;	/* F_PERMISSION: a first-stage descriptor could not be written */
	uint64_t fetch;		/* ..._FETCH, F_WALK_EABT: where */
};

/* smmuv3.c */
void smm_gerror(const struct iommu_model *model, uint64_t bit);
void smm_interrupt(const struct iommu_model *model, enum smm_irq irq);
void smm_message(const struct iommu_model *model, uint64_t address, uint32_t data, uint64_t error);

/* smmuv3_event.c */
void smm_fault(const struct iommu_model *model, struct iommu_request *request, const struct smm_fault *fault);
void smm_refuse(const struct iommu_model *model, struct iommu_request *request, unsigned code);
const char *smm_reason(const struct iommu_model *model, uint32_t reason);

/* smmuv3_queue.c */
bool smm_queue_tick(const struct iommu_model *model);
bool smm_window_tick(const struct iommu_model *model);
void smm_forget_sync(struct smm_state *state);

/* smmuv3_invalidate.c */
bool smm_decode(const struct smm_state *state, const uint64_t *command, struct smm_invalidation *invalidation);
void smm_invalidate(struct smm_state *state, const struct smm_invalidation *invalidation);
void smm_drain_start(struct smm_state *state, const struct iommu_model_port *port);
bool smm_drain_done(struct smm_state *state);
bool smm_drained(const struct iommu_model *model, const struct iommu_request *request);

/* smmuv3_check.c */
bool smm_ste_illegal(const struct smm_state *state, const uint64_t ste[4]);
bool smm_cd_illegal(const struct smm_state *state, const uint64_t ste[4], const uint64_t cd[3], unsigned world);
unsigned smm_address_bits(const struct smm_state *state, uint64_t ps);
/* log2 of a granule; 0: reserved, or not there. */
unsigned smm_tg0(const struct smm_state *state, uint64_t tg);
unsigned smm_tg1(const struct smm_state *state, uint64_t tg);
/* The level, as lpae.h counts, at which the second stage begins. */
unsigned smm_s2_start(uint64_t sl0, unsigned page_shift);

/* smmuv3_request.c */
void smm_begin(struct iommu_model *model, struct iommu_request *request);
void smm_step(struct iommu_model *model, struct iommu_request *request);
void smm_end(struct iommu_model *model, struct iommu_request *request);
void smm_translate(struct iommu_model *model, struct iommu_request *request);
bool smm_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights);
void smm_context_translated(struct iommu_request *request, uint64_t address);

/* smmuv3_tlb.c */
enum smm_looked_up { SMM_MISS, SMM_HIT, SMM_CONFLICT };
enum smm_looked_up smm_tlb_look_up(const struct iommu_model *model, const struct iommu_request *request, uint64_t tag, bool aset,
				   uint64_t address, uint64_t *line);
void smm_tlb_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, bool global, uint64_t log2,
		  uint64_t address, uint64_t word, uint64_t ipa);
void smm_walk_fill(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift, uint64_t level,
		   uint64_t address, uint64_t table, uint64_t limits);
bool smm_walk_look_up(const struct iommu_model *model, struct iommu_request *request, uint64_t tag, unsigned page_shift,
		      unsigned start, uint64_t address, uint64_t *line);

/* smmuv3_walk.c */
void smm_walk_step(const struct iommu_model *model, struct iommu_request *request);
void smm_first_stage(const struct iommu_model *model, struct iommu_request *request);
void smm_no_first_stage(const struct iommu_model *model, struct iommu_request *request);
void smm_second_stage(const struct iommu_model *model, struct iommu_request *request, uint64_t ipa, unsigned purpose);
void smm_finish(const struct iommu_model *model, struct iommu_request *request, uint64_t phys, uint64_t size, uint32_t rights);

/* smmuv3_dump.c */
void smm_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);

#endif
