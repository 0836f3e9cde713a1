/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/model.h - an IOMMU, register by register, in software. What all models have in common.
 *
 * A model is what an author of a VMM embeds as a virtual IOMMU and what the explorer runs one step at a time. Its whole state
 * (registers, caches, queue) is one flat value of `config`-dependent size without pointers: copy it with memcpy,
 * compare it with memcmp, hash it.
 *
 * A request is a resumable sequence of micro-steps (look up, fetch a quantum of an entry, walk a level, fill, access), held in a
 * struct iommu_request, which is flat too. iommu_model_translate() runs all steps at full speed.
 *
 * Concurrency: requests may be run by several threads at once, each on a *lane* of its own; a lane has its own part of each
 * cache, as a real unit has per-port TLBs, so a hit writes no cache line that another lane reads. Registers may be accessed and
 * commands processed by any thread: those calls exclude each other inside. No request ever waits for a lock.
 */
#ifndef HITLESS_MODEL_H
#define HITLESS_MODEL_H

#ifdef HITLESS_ROOM_DRIVER
#error "a driver never sees a model (DESIGN.md, rooms)"
#endif

#include <hitless/types.h>

HITLESS_BEGIN

#define IOMMU_MODEL_MAX_LANES 64

/* The freedoms that the specifications give to hardware; each is one choice that a model asks for, and one switch. */
enum iommu_freedom {
	IOMMU_FREE_TEAR,	/* quanta of one entry are fetched at different times, in any order */
	IOMMU_FREE_MISS,	/* a line that is cached may have been evicted: look-ups may miss */
	IOMMU_FREE_KEEP,	/* a line stays as long as nothing invalidates it (off: nothing is cached) */
	IOMMU_FREE_PREFETCH,	/* entries and translations may be fetched with no request asking */
	IOMMU_FREE_LATE,	/* commands finish late: any time up to the wait */
	IOMMU_FREE_REORDER,	/* ... and out of order up to the wait */
	IOMMU_FREE_LATE_FILL,	/* walks that an entry-cache invalidation's wait doesn't stop may still fill the IOTLB */
	IOMMU_FREE_MULTI,	/* several lines match: any is used, or an error where the specification has one */
	IOMMU_FREEDOMS
};

#define IOMMU_FREE_BIT(freedom) (1u << (freedom))

/* "tear", "miss", ... */
HITLESS_API const char *iommu_freedom_name(enum iommu_freedom freedom);

/* How the model reaches the world. Physical addresses. All accesses must be single-copy atomic; reads acquire, writes
 * release. A false return means that nothing is there (an unsupported request on the bus). */
struct iommu_model_port {
	void *ctx;
	bool (*read64)(void *ctx, uint64_t addr, uint64_t *value);
	/* 16 bytes, aligned, at once: what a fetch of a 128-bit quantum is. */
	bool (*read128)(void *ctx, uint64_t addr, uint64_t value[2]);
	/* The same for what a unit snoops even if it doesn't snoop its tables: command queues. NULL: read128. */
	bool (*read128_snooped)(void *ctx, uint64_t addr, uint64_t value[2]);
	bool (*write32)(void *ctx, uint64_t addr, uint32_t value);
	bool (*write64)(void *ctx, uint64_t addr, uint64_t value);
	/* *expected is replaced by what was found; true: it was equal and `value` has been stored. */
	bool (*cas64)(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value);
	/* The page at addr has been written by the unit itself (A and D bits, status words). May be NULL. */
	void (*dirty)(void *ctx, uint64_t addr);
	/* The unit raises a message-signalled interrupt. May be NULL. */
	void (*interrupt)(void *ctx, uint64_t addr, uint32_t data);
	/* A full memory barrier in every thread that issues requests (Linux: membarrier(), private and expedited), called whenever an
	 * invalidation waits for requests in flight. May be NULL: then every request executes a barrier, which costs more than all else of a
	 * translation that hits. */
	void (*barrier_all)(void *ctx);
	/* A choice in 0 .. count-1; NULL: always 0, which is the hardware's most ordinary behaviour: hit, in order. */
	unsigned (*choose)(void *ctx, enum iommu_freedom freedom, unsigned count);
};

struct iommu_model_config {
	unsigned freedoms;		/* IOMMU_FREE_BIT()s that may be used */
	unsigned quantum;		/* bytes that one fetch reads at once: 8 or 16 */
	unsigned lanes;			/* 1 to IOMMU_MODEL_MAX_LANES */
	unsigned entry_lines;		/* cache sizes, lines per lane; powers of two, at least 1 */
	unsigned pasid_lines;
	unsigned walk_lines;
	unsigned iotlb_lines;
	unsigned devtlb_lines;
	bool maysets;			/* fully associative, nothing ever evicted; a fill that finds no room sets `overflow` */
	/* Architecture-specific capabilities, meaning as in the model's own header; 0: the model's default. */
	uint64_t capabilities[4];
};

enum iommu_request_kind {
	IOMMU_REQUEST_UNTRANSLATED,
	IOMMU_REQUEST_TRANSLATION,	/* ATS: fills the device's own TLB */
	IOMMU_REQUEST_TRANSLATED	/* carries a physical address from the device's TLB */
};

enum iommu_request_state {
	IOMMU_REQUEST_RUNNING,
	IOMMU_REQUEST_DONE,		/* `phys` and `rights` are valid */
	IOMMU_REQUEST_FAULT		/* `reason` is valid; recorded as the specification says */
};

struct iommu_request {
	/* Set by the caller: */
	uint32_t rid;
	uint32_t pasid;			/* or IOMMU_NO_PASID */
	uint64_t addr;
	uint8_t access;			/* IOMMU_READ, WRITE, EXEC, PRIV */
	uint8_t kind;			/* enum iommu_request_kind */
	uint8_t lane;
	/* Set by the model: */
	uint8_t state;			/* enum iommu_request_state */
	uint32_t reason;		/* the architecture's fault code */
	uint64_t phys;			/* of the byte at addr */
	uint64_t size;			/* of the page that holds it */
	uint32_t rights;
	uint32_t pc;			/* where the sequence of micro-steps stands */
	uint64_t work[24];		/* what it has fetched so far */
};

struct iommu_model_ops;

/* One model: state and port. The state's memory is the caller's, 64-byte aligned, iommu_model_size() bytes. */
struct iommu_model {
	const struct iommu_model_ops *ops;
	const struct iommu_model_port *port;
	void *state;
};

/* Bytes of state for a configuration; 0: the configuration is invalid. */
HITLESS_API size_t iommu_model_size(const struct iommu_model_ops *ops, const struct iommu_model_config *config);
/* Power-on state. -EINVAL: the configuration is invalid. */
HITLESS_API int iommu_model_init(struct iommu_model *model, const struct iommu_model_ops *ops,
				 const struct iommu_model_config *config, const struct iommu_model_port *port, void *state);

/* Registers: `offset` from the unit's base, `size` 4 or 8. What the specification leaves undefined reads as 0 and ignores
 * writes. Any value may be written to any register at any time. */
HITLESS_API uint64_t iommu_model_read(struct iommu_model *model, uint64_t offset, unsigned size);
HITLESS_API void iommu_model_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value);

/*
 * Does a bit of the unit's own work: fetches a command, completes one. Never blocks. Returns true if anything was done, false if
 * there is nothing to do now (idle, or a command waits for requests in flight). Some thread must call it while commands are
 * outstanding; until then they don't complete.
 */
HITLESS_API bool iommu_model_tick(struct iommu_model *model);

/*
 * Requests. begin: rid, pasid, addr, access, kind and lane are set by the caller, the rest by begin. step: one micro-step. A
 * request that is DONE is *in flight* until end is called: the caller does its access between done and end, so a
 * draining invalidation waits for it. The device TLB is looked up by the caller's translate call (see devtlb_lookup).
 */
HITLESS_API void iommu_model_begin(struct iommu_model *model, struct iommu_request *request);
HITLESS_API void iommu_model_step(struct iommu_model *model, struct iommu_request *request);
HITLESS_API void iommu_model_end(struct iommu_model *model, struct iommu_request *request);

/* begin and all steps; returns request->state. The caller must call iommu_model_end() after its access. */
HITLESS_API int iommu_model_translate(struct iommu_model *model, struct iommu_request *request);

/*
 * In a model with may-sets nobody counts requests in flight: the caller holds them, and one that it holds may stand for any number.
 * A tick that completes an invalidation which waits for requests assumes that those have ended. True: the last tick assumed so
 * of this one; the caller drops it. Ask after every tick that returned true. (Without may-sets the lanes count: false.)
 */
HITLESS_API bool iommu_model_drained(const struct iommu_model *model, const struct iommu_request *request);
/* Forgets what the last tick did, so that equal states compare equal. The next tick does that by itself, too. */
HITLESS_API void iommu_model_settle(struct iommu_model *model);

/*
 * The device's own TLB (ATS), which the unit invalidates by device-TLB commands. A device with ATS first looks here; on a hit it
 * issues a TRANSLATED request to the address found. A TRANSLATION request that is DONE has filled it.
 * False: not there, or without the rights. The device's TLB is a lane's own, too.
 *
 * So that an invalidation waits for who uses what it removes, the use begins before the look-up: fill in a TRANSLATED request with
 * the untranslated address, begin it, look up, and on a hit replace its `addr` by what was found before its first step. Otherwise
 * end it and issue a TRANSLATION request.
 */
HITLESS_API bool iommu_model_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys,
					   uint32_t *rights);

/* In a model with may-sets: has a line come into a cache that was not there, since this was asked last? */
HITLESS_API bool iommu_model_filled(struct iommu_model *model);

/* In a model with may-sets and one lane: is every line that `state` holds, of a model of the same configuration, held by this one, too? */
HITLESS_API bool iommu_model_covers(const struct iommu_model *model, const void *state);

/* Did a fill find no room in a cache of a model with may-sets? Then an exploration is bounded, not complete. */
HITLESS_API bool iommu_model_overflow(const struct iommu_model *model);

/* The text of a fault code, or "unknown". */
HITLESS_API const char *iommu_model_reason(const struct iommu_model *model, uint32_t reason);

/* Calls print(ctx, line) with what every valid line of every cache holds, for a person to read. */
HITLESS_API void iommu_model_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);

HITLESS_END

#endif
