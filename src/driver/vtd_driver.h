/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vtd_driver.h - what the files of the VT-d driver share. Sections are of Intel's VT-d architecture specification. */
#ifndef DRIVER_VTD_H
#define DRIVER_VTD_H

#include <hitless/vtd.h>

#include "common.h"
#include "core.h"
#include "vtd.h"

/* All requests without PASID of a scalable-mode unit are looked up under this PASID (9.4, RID_PASID). */
#define VTD_RID_PASID 0u

/*
 * What the specification leaves open is assumed against us, here and nowhere else (replace-rules.md 0.2, item 8):
 *
 * - A PASID-cache or context-cache invalidation's wait does not stop translations that already hold the old entry: only an
 *   IOTLB invalidation with its wait does. So every entry that was present is followed by one, also if its domain id lives on
 *   (vtd_*_forget_translations()).
 * - A changed PASID-directory entry may be cached under any domain id, so the PASID cache is invalidated globally; a changed root
 *   entry likewise takes the whole context cache (vtd_*_forget_table()).
 * - A fetch that is under way may read the quanta of an entry in any order, also of one that is not present yet
 *   (`fetches` of vtd_*_forget_entry()).
 * - The wait after an entry-cache invalidation does end fetches of the entry that were under way: on that rests the handshake of
 *   6.5.3.3, by which software owns an entry, and the page that it is in, after the wait. This one is for us, and relied upon.
 * - With caching mode, an absent entry may have been cached under domain id 0 or under the one that it had room for.
 */

struct vtd_queue {
	struct hitless_lock lock;
	void *ring;
	size_t ring_bytes;
	uint32_t *status;		/* a word per descriptor: where its wait's status goes */
	size_t status_bytes;
	unsigned count;			/* descriptors */
	unsigned words;			/* 64-bit words per descriptor: 2 or 4 */
	unsigned head, tail;		/* `head` is what IQH said last */
	uint32_t sequence;		/* of the last status that was asked for */
};

/* A requester's PASID tables, in scalable mode. */
struct vtd_pasid_tables {
	struct entry_table directory;	/* its parent: the page of the context entry */
	struct entry_table **leaves;	/* tables of 64 PASID entries, by directory entry; NULL: there is none */
	unsigned capacity, nleaves;
	/* What the next build() puts in place; NULL: it has that already. */
	struct {
		void *directory;	/* a larger one */
		size_t directory_bytes;
		struct entry_table **leaves; /* a longer array */
		unsigned capacity;
		struct entry_table *leaf;
		unsigned index;		/* the leaf's */
	} reserved;
};

struct vtd_unit {
	struct iommu_unit unit;		/* first */
	uint64_t registers;
	uint16_t segment;
	uint64_t cap, ecap;
	bool scalable;
	uint64_t timeout_ns;
	struct entry_table root;
	struct entry_table *contexts[512]; /* by bus; in scalable mode two each: devices 0-15, 16-31 */
	struct hitless_lock register_lock; /* GCMD */
	struct vtd_queue queue;
};

static inline struct vtd_unit *to_vtd(struct iommu_unit *unit)
{
	return (struct vtd_unit *)unit;
}

static inline const struct vtd_unit *to_vtd_const(const struct iommu_unit *unit)
{
	return (const struct vtd_unit *)unit;
}

#define VTD_CAP_OF(vtd, field) GET(VTD_CAP, field, &(vtd)->cap)
#define VTD_ECAP_OF(vtd, field) GET(VTD_ECAP, field, &(vtd)->ecap)

static inline uint32_t vtd_read32(const struct vtd_unit *vtd, unsigned reg)
{
	return vtd->unit.port->mmio_read32(vtd->unit.port->ctx, vtd->registers + reg);
}

static inline uint64_t vtd_read64(const struct vtd_unit *vtd, unsigned reg)
{
	return vtd->unit.port->mmio_read64(vtd->unit.port->ctx, vtd->registers + reg);
}

static inline void vtd_write32(const struct vtd_unit *vtd, unsigned reg, uint32_t value)
{
	vtd->unit.port->mmio_write32(vtd->unit.port->ctx, vtd->registers + reg, value);
}

static inline void vtd_write64(const struct vtd_unit *vtd, unsigned reg, uint64_t value)
{
	vtd->unit.port->mmio_write64(vtd->unit.port->ctx, vtd->registers + reg, value);
}

static inline uint64_t vtd_phys(const struct vtd_unit *vtd, const void *memory)
{
	return (uintptr_t)memory - vtd->unit.port->direct_map;
}

/* A time limit for something the hardware must do. */
struct vtd_deadline {
	uint64_t at;
};

static inline struct vtd_deadline vtd_start(const struct vtd_unit *vtd)
{
	return (struct vtd_deadline){ vtd->unit.port->now_ns(vtd->unit.port->ctx) + vtd->timeout_ns };
}

static inline bool vtd_late(const struct vtd_unit *vtd, struct vtd_deadline deadline)
{
	return vtd->unit.port->now_ns(vtd->unit.port->ctx) > deadline.at;
}

/* ---- vtd_queue.c ---- */
int vtd_queue_init(struct vtd_unit *vtd, unsigned order);
void vtd_queue_fini(struct vtd_unit *vtd);
int vtd_commands(void *unit, const struct iommu_step *steps, unsigned count);
int vtd_submit(struct iommu_unit *unit, const void *commands, unsigned count);
/* 11.4.4: writes a bit of GCMD, keeps all others, and waits until GSTS shows it. */
int vtd_command_bit(struct vtd_unit *vtd, uint32_t bit, bool on);

/* ---- vtd_pasid.c ---- */
/* A directory with its first table of 64 absent entries, for a requester whose context entry is at `slot` of `contexts`; the
 * directory is not linked. -ENOMEM. */
int vtd_pasid_tables_create(struct vtd_unit *vtd, struct entry_table *contexts, size_t slot, struct vtd_pasid_tables **tables);
/* The hardware has forgotten them. */
void vtd_pasid_tables_destroy(struct vtd_unit *vtd, struct vtd_pasid_tables *tables);
/* 9.4: the words of a scalable-mode context entry that say where the directory is and how large. */
void vtd_set_directory(const struct vtd_unit *vtd, uint64_t *context, const void *directory, size_t bytes);
extern const struct iommu_pasid_ops vtd_pasid_ops;

/* ---- vtd_unit.c ---- */
/* One 64-bit word of a table that the hardware may read, made visible to it. */
void vtd_store_word(const struct vtd_unit *vtd, void *where, uint64_t word);
int vtd_run(struct vtd_unit *vtd, struct entry_steps *steps);

/* ---- vtd_entry.c ---- */
/* [addr, addr + 4 KiB << order) of a domain, or with order VTD_WHOLE all of it (6.5.2.3). Reads and writes are drained. */
#define VTD_WHOLE 64u
void vtd_invalidate_iotlb(struct entry_steps *steps, uint32_t did, uint64_t addr, unsigned order, bool leaf);
/* The same for first-stage and nested translations under a PASID (6.5.2.4). */
void vtd_invalidate_piotlb(struct entry_steps *steps, uint32_t did, uint32_t pasid, uint64_t addr, unsigned order, bool leaf);
/* Emits the commands for [first, last] of a domain (6.5.2.3, 6.5.2.4) or of a device's TLB (6.5.2.5, 6.5.2.6). */
void vtd_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
		      uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent);
void vtd_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			     uint32_t pasid, uint64_t first, uint64_t last);
/* Global invalidation of every cache. */
void vtd_forget_all(struct vtd_unit *vtd, struct entry_steps *steps);
/* A device's scalable-mode context entry has come or has another directory with the same tables, or has gone and its PASID tables
 * will be freed. */
void vtd_forget_context(struct vtd_unit *vtd, struct entry_steps *steps, uint32_t rid, bool gone);

/* ---- vtd_fault.c ---- */
int vtd_handle_faults(struct iommu_unit *unit);
/* What somebody before us has left: fault records and the queue's errors, which survive a reset (11.4.9). */
void vtd_clear_errors(struct vtd_unit *vtd);

#endif
