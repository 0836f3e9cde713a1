/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* riscv_driver.h - what the files of the RISC-V driver share. Sections are of the RISC-V IOMMU architecture specification. */
#ifndef DRIVER_RISCV_H
#define DRIVER_RISCV_H

#include <hitless/riscv.h>

#include "common.h"
#include "core.h"
#include "riscv.h"

/*
 * What the specification leaves open is assumed against us, here and nowhere else:
 *
 * - An IODIR command's completion does not stop translations that already hold the old device context; only the IOTINVAL that "Changing
 *   device directory table entry" (6.3.1) demands, or the final fence, does.
 * - A fetch that is under way may read the doublewords of an entry in any order, also of one that is not valid yet (2.1.2).
 * - A command may start before earlier ones have finished, unless an IOFENCE.C is between them (3.1.2).
 * - A guest page number of a context that has been translated by the second stage may be cached by device and number alone (3.1.3, note).
 * - A pointer's page number is not looked at while its mode is Bare, but we leave it 0 all the same.
 */

/* The cache tags come in two kinds: PSCIDs of first-stage domains, GSCIDs of second-stage domains. Identity has none. */
enum { RISCV_SPACE_PSCID, RISCV_SPACE_GSCID };

/* What tells a GSCID from a PSCID of the same number where the planner compares tags. */
#define RISCV_TAG_GSCID 0x40000000u

struct riscv_queue {
	struct hitless_lock lock;
	void *ring;
	size_t ring_bytes;
	uint32_t *status;		/* a word per command: what its fence stores */
	size_t status_bytes;
	unsigned order;			/* log2 of the entries */
	uint64_t head, tail;		/* count all commands ever; `head` is what cqh said last */
	uint32_t sequence;		/* of the last fence that was asked to store */
};

/* A table of the device directory that is not the root. */
struct riscv_directory {
	struct entry_table table;
	struct riscv_directory *next;
	unsigned level;			/* 0: a page of device contexts */
	uint32_t key;			/* the device ids behind it, without their lower bits */
};

/* A process directory: PD8, PD17 or PD20. */
#define RISCV_PDT_LEVELS 3

struct riscv_pdt {
	unsigned levels;
	struct entry_table *root;
	struct entry_table *middles[1u << RISCV_PDI2_BITS]; /* the second of three levels (with two, [0] is the root) */
	struct entry_table **leaves;	/* pages of process contexts; with one level, [0] is the root */
	unsigned tables;		/* pages in all */
	/* What the next build puts in place; NULL or 0: it has that already. */
	struct {
		unsigned levels;	/* more of them, with... */
		struct entry_table **leaves; /* ... a longer array and... */
		struct entry_table *above[RISCV_PDT_LEVELS - 1]; /* ... these tables on top, lowest first */
		struct entry_table *middle, *leaf;
		unsigned number;	/* the leaf's */
	} reserved;
};

struct riscv_unit {
	struct iommu_unit unit;		/* first */
	uint64_t registers;
	uint64_t cap;
	uint32_t fctl;
	bool extended;			/* the format of device contexts */
	unsigned levels;
	uint64_t timeout_ns;
	struct entry_table root;
	struct hitless_lock directory_lock; /* the list */
	struct riscv_directory *directories;
	struct riscv_queue queue;
	struct {
		struct hitless_lock lock;
		void *ring;
		size_t bytes;
		unsigned count;
	} faults;
};

static inline struct riscv_unit *to_riscv(struct iommu_unit *unit)
{
	return (struct riscv_unit *)unit;
}

static inline const struct riscv_unit *to_riscv_const(const struct iommu_unit *unit)
{
	return (const struct riscv_unit *)unit;
}

#define RISCV_CAP_OF(riscv, field) GET(RISCV_CAP, field, &(riscv)->cap)

static inline uint32_t riscv_read32(const struct riscv_unit *riscv, unsigned reg)
{
	return riscv->unit.port->mmio_read32(riscv->unit.port->ctx, riscv->registers + reg);
}

static inline uint64_t riscv_read64(const struct riscv_unit *riscv, unsigned reg)
{
	return riscv->unit.port->mmio_read64(riscv->unit.port->ctx, riscv->registers + reg);
}

static inline void riscv_write32(const struct riscv_unit *riscv, unsigned reg, uint32_t value)
{
	riscv->unit.port->mmio_write32(riscv->unit.port->ctx, riscv->registers + reg, value);
}

static inline void riscv_write64(const struct riscv_unit *riscv, unsigned reg, uint64_t value)
{
	riscv->unit.port->mmio_write64(riscv->unit.port->ctx, riscv->registers + reg, value);
}

static inline uint64_t riscv_phys(const struct riscv_unit *riscv, const void *memory)
{
	return (uintptr_t)memory - riscv->unit.port->direct_map;
}

static inline bool riscv_noncoherent(const struct riscv_unit *riscv)
{
	return riscv->unit.facts & IOMMU_PLAN_NONCOHERENT;
}

/* Memory that the unit reads, after the CPU has written it. */
static inline void riscv_writeback(const struct riscv_unit *riscv, const void *memory, size_t bytes)
{
	if (riscv_noncoherent(riscv))
		riscv->unit.port->writeback(riscv->unit.port->ctx, memory, bytes);
}

/* A time limit for something the hardware must do. */
struct riscv_deadline {
	uint64_t at;
};

static inline struct riscv_deadline riscv_start(const struct riscv_unit *riscv)
{
	return (struct riscv_deadline){ riscv->unit.port->now_ns(riscv->unit.port->ctx) + riscv->timeout_ns };
}

static inline bool riscv_late(const struct riscv_unit *riscv, struct riscv_deadline deadline)
{
	return riscv->unit.port->now_ns(riscv->unit.port->ctx) > deadline.at;
}

/* Waits until `reg`, masked, is `want`. 0 or -EIO. */
int riscv_wait32(const struct riscv_unit *riscv, unsigned reg, uint32_t mask, uint32_t want);

/* ---- riscv_queue.c ---- */
int riscv_queue_init(struct riscv_unit *riscv, unsigned order);
/* Turns the queue off, if it is on. -EIO: it stays, with its memory. */
int riscv_queue_fini(struct riscv_unit *riscv);
int riscv_commands(void *unit, const struct iommu_step *steps, unsigned count);
int riscv_submit(struct iommu_unit *unit, const void *commands, unsigned count);

/* ---- riscv_entry.c ---- */
/* Emits the commands for [first, last] of a domain, or of a device's TLB (6.3.4, 6.3.5, 6.3.7). */
void riscv_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent);
void riscv_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			       uint32_t pasid, uint64_t first, uint64_t last);
/* What is cached of a device's context and process directory. -EIO. */
int riscv_forget_directory(struct riscv_unit *riscv, uint32_t rid);
/* Everything that may be cached of the directory and of page tables. */
void riscv_forget_all(const struct riscv_unit *riscv, struct entry_steps *steps);
/* 3.1.3: one device's context and what is behind it, or (`one` false) the whole directory; a process context. */
void riscv_emit_inval_ddt(struct entry_steps *steps, bool one, uint32_t did);
void riscv_emit_inval_pdt(struct entry_steps *steps, uint32_t did, uint32_t pid);
/* Whom an ATS command is for (3.1.4). */
void riscv_set_destination(uint64_t *command, uint32_t did);

/* ---- riscv_pasid.c ---- */
/* Has the unit process directories of so many levels? */
bool riscv_has_directory(const struct riscv_unit *riscv, unsigned levels);
/* How wide PASIDs (process ids) can be; 0: the unit has none. */
unsigned riscv_pasid_bits(const struct riscv_unit *riscv);
/* A device with PASIDs gets its directory and a context that leads there, or loses both; nothing passes before or after.
 * -ENOMEM, -EIO. */
int riscv_pasid_add(struct riscv_unit *riscv, struct iommu_device *device);
void riscv_pasid_remove(struct riscv_unit *riscv, struct iommu_device *device);
/* How requests without process id of such a device are translated in the domain. */
enum riscv_rid_mode {
	RISCV_RID_BLOCKED,		/* by process context 0, which is not valid */
	RISCV_RID_PROCESS,		/* by process context 0: first stage, or Bare for identity */
	RISCV_RID_ALONE			/* as a device without PASIDs, by a second stage or a guest: there is no room for them */
};
enum riscv_rid_mode riscv_rid_mode(const struct iommu_domain *domain);
extern const struct iommu_pasid_ops riscv_pasid_ops;

/* ---- riscv_unit.c ---- */
/* Has the unit a scheme of so many levels for a stage? Any at all? */
bool riscv_has_levels(const struct riscv_unit *riscv, unsigned stage, unsigned levels);
bool riscv_has_stage(const struct riscv_unit *riscv, unsigned stage);
/* The word of a device context that leads to the directory. */
void riscv_set_pdtp(const struct riscv_unit *riscv, uint64_t *dc, const struct riscv_pdt *pdt);

/* ---- riscv_fault.c ---- */
int riscv_faults_init(struct riscv_unit *riscv, unsigned order);
int riscv_faults_fini(struct riscv_unit *riscv);
int riscv_handle_faults(struct iommu_unit *unit);

#endif
