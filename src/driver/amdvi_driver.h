/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* amdvi_driver.h - what the files of the AMD-Vi driver share. Sections are of AMD's IOMMU specification (48882). */
#ifndef DRIVER_AMDVI_H
#define DRIVER_AMDVI_H

#include <hitless/amdvi.h>

#include "amdvi.h"
#include "common.h"
#include "core.h"

/* Requests without PASID of a device with guest tables are looked up under this PASID (2.2.2.1, GIoV). */
#define AMDVI_RID_PASID 0u

/*
 * What the specification leaves open is assumed against us, here and nowhere else (replace-rules.md 0.2, items 5 and 9):
 *
 * - The wait after INVALIDATE_DEVTAB_ENTRY does not stop translations that already hold the old entry; only
 *   INVALIDATE_IOMMU_PAGES with its wait does. So every entry that translated is followed by one, also if its DomainID lives on
 *   (dte_forget_translations()).
 * - Nothing is said of what a changed DTE does to cached GCR3 entries: they are taken to be tagged by DomainID, and to go only
 *   with INVALIDATE_IOMMU_PAGES with PDE. A DomainID that guest tables were used under is flushed with GN=1 and with GN=0.
 * - The unit may execute commands in any order: only COMPLETION_WAIT with F holds later ones back (push_fence()), and without
 *   F it promises no more than that the commands since the COMPLETION_WAIT before it are done.
 * - A fetch may read the halves of an entry in any order, and what a blocked entry says may be cached
 *   (dte_forget_entry() never stays silent).
 * - Two tables under one DomainID are not known to give "old or new". What the host's tables say and what guest tables say are two things:
 *   for both are in use under one DomainID where an entry has GV=1 without GIoV, or is nested (dte_share_tag()).
 * - A device TLB that does not answer is known by an event only, and the commands after it are executed all the same: so the
 *   event log is looked through before a wait that covers device TLBs counts (amdvi_poll()).
 */

struct amdvi_queue {
	struct hitless_lock lock;
	void *ring;
	size_t ring_bytes;
	uint64_t *status;		/* a word per command: where its COMPLETION_WAIT's data goes */
	size_t status_bytes;
	unsigned count;
	unsigned head, tail;		/* `head` is what the register said last */
	uint64_t sequence;		/* of the last store that was asked for */
};

struct amdvi_log {
	struct hitless_lock lock;
	void *ring;
	size_t ring_bytes;
	unsigned count;
	unsigned head;
	bool devtlb_failed;		/* an IOTLB_INV_TIMEOUT was seen, ever; under lock */
	unsigned restarts, told;	/* how often it was full and events were lost, and what was reported of it; under lock */
};

#define AMDVI_DTE_BYTES 32u
#define AMDVI_MAX_SEGMENTS 8u

struct amdvi_unit {
	struct iommu_unit unit;		/* first */
	uint64_t registers;
	uint64_t efr;
	uint64_t capability;
	uint32_t devices;		/* DeviceIDs that it serves: all below this one */
	uint16_t segment;
	uint64_t timeout_ns;
	struct {
		unsigned bits;		/* 1 << bits segments */
		struct entry_table segments[AMDVI_MAX_SEGMENTS];
	} devtab;
	struct hitless_lock register_lock; /* CONTROL */
	struct amdvi_queue queue;
	struct amdvi_log log;
};

/* A guest CR3 table, and which of its pages hold live entries. Whoever owns it excludes all that is done with it from each other. */
struct amdvi_gcr3 {
	unsigned levels;
	uint32_t pasids;		/* that it has room for */
	void *root;
	struct entry_table **leaves;	/* by PASID / 512; NULL: not there yet */
	unsigned tables;		/* pages in all */
	/* What the next build puts in place; NULL or 0: it has that already. */
	struct {
		unsigned levels;	/* more of them, with... */
		uint32_t pasids;	/* ... room for so many, ... */
		struct entry_table **leaves; /* ... a longer array, ... */
		void *above[2];		/* ... and these tables on top, lowest first */
		void *middle;		/* of three levels: between root and leaf */
		struct entry_table *leaf;
		unsigned number;	/* the leaf's */
	} reserved;
};

/* What a device with PASIDs has of its own. */
struct amdvi_pasid_tables {
	struct amdvi_gcr3 gcr3;
	uint32_t did;			/* the DomainID of all that is translated by it */
};

static inline struct amdvi_unit *to_amdvi(struct iommu_unit *unit)
{
	return (struct amdvi_unit *)unit;
}

static inline const struct amdvi_unit *to_amdvi_const(const struct iommu_unit *unit)
{
	return (const struct amdvi_unit *)unit;
}

#define AMDVI_EFR_OF(amdvi, field) GET(AMDVI_EFR, field, &(amdvi)->efr)
#define AMDVI_CAPABILITY_OF(amdvi, field) GET(AMDVI_CAPABILITY, field, &(amdvi)->capability)

/* How deep the guest tables are that an entry with GV leads to. */
static inline unsigned amdvi_guest_levels(const uint64_t *entry)
{
	return GET(AMDVI_DTE, GUEST_PAGING_MODE, entry) == AMDVI_GPM_5_LEVEL ? 5 : 4;
}

static inline bool amdvi_has_guest_levels(const struct amdvi_unit *amdvi, unsigned levels)
{
	return levels == 4 || (levels == 5 && AMDVI_EFR_OF(amdvi, GATS) == AMDVI_GATS_5_LEVEL);
}

/* How deep host tables can be (EFR.HATS). */
static inline unsigned amdvi_max_host_levels(const struct amdvi_unit *amdvi)
{
	unsigned hats = (unsigned)AMDVI_EFR_OF(amdvi, HATS);

	return hats <= AMDVI_HATS_6_LEVEL ? 4 + hats : 4;
}

/* Can requests without PASID go through guest tables of so many levels? */
static inline bool amdvi_has_guest(const struct amdvi_unit *amdvi, unsigned levels)
{
	return AMDVI_EFR_OF(amdvi, GT_SUP) && AMDVI_EFR_OF(amdvi, GIO_SUP) && amdvi_has_guest_levels(amdvi, levels);
}

static inline uint64_t amdvi_read(const struct amdvi_unit *amdvi, unsigned reg)
{
	return amdvi->unit.port->mmio_read64(amdvi->unit.port->ctx, amdvi->registers + reg);
}

static inline void amdvi_write(const struct amdvi_unit *amdvi, unsigned reg, uint64_t value)
{
	amdvi->unit.port->mmio_write64(amdvi->unit.port->ctx, amdvi->registers + reg, value);
}

static inline uint64_t amdvi_phys(const struct amdvi_unit *amdvi, const void *memory)
{
	return (uintptr_t)memory - amdvi->unit.port->direct_map;
}

/* A time limit for something the hardware must do. */
struct amdvi_deadline {
	uint64_t at;
};

static inline struct amdvi_deadline amdvi_start(const struct amdvi_unit *amdvi)
{
	return (struct amdvi_deadline){ amdvi->unit.port->now_ns(amdvi->unit.port->ctx) + amdvi->timeout_ns };
}

static inline bool amdvi_late(const struct amdvi_unit *amdvi, struct amdvi_deadline deadline)
{
	return amdvi->unit.port->now_ns(amdvi->unit.port->ctx) > deadline.at;
}

/* ---- amdvi_queue.c ---- */
int amdvi_queue_init(struct amdvi_unit *amdvi, unsigned order);
void amdvi_queue_fini(struct amdvi_unit *amdvi);
int amdvi_commands(void *unit, const struct iommu_step *steps, unsigned count);
int amdvi_submit(struct iommu_unit *unit, const void *commands, unsigned count);
/* 3.4.4: sets and clears bits of the control register, keeps all others. */
void amdvi_control(struct amdvi_unit *amdvi, uint64_t set, uint64_t clear);
/* 3.4.14: waits until these bits of the status register are as wanted. -EIO. */
int amdvi_await_status(struct amdvi_unit *amdvi, uint64_t bits, uint64_t wanted);
/* Forgets everything that is cached of any device and domain. */
int amdvi_forget_all(struct amdvi_unit *amdvi);

/* ---- amdvi_entry.c ---- */
/* Emits INVALIDATE_IOMMU_PAGES (2.4.3) for [addr, addr + 4 KiB << order), or with order AMDVI_WHOLE every address; `guest`: GN. */
#define AMDVI_WHOLE 52u
void amdvi_invalidate_pages(struct entry_steps *steps, uint32_t did, bool guest, uint32_t pasid, uint64_t addr, unsigned order,
			    bool leaf);
/* Emits INVALIDATE_IOMMU_ALL (2.4.8), for units that have it. */
void amdvi_invalidate_all(struct entry_steps *steps);
/* Emits the commands for [first, last] of a domain (2.4.3) or of a device's TLB (2.4.4). */
void amdvi_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent);
void amdvi_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			       uint32_t pasid, uint64_t first, uint64_t last);

/* ---- amdvi_devtab.c ---- */
/* A table in which every device is blocked. -ENOMEM. */
int amdvi_devtab_init(struct amdvi_unit *amdvi);
/* The unit does not look at it any more. */
void amdvi_devtab_fini(struct amdvi_unit *amdvi);
/* Tells the unit where it is, while translation is off. */
void amdvi_devtab_publish(const struct amdvi_unit *amdvi);
struct entry_table *amdvi_devtab_place(struct amdvi_unit *amdvi, uint32_t rid, size_t *offset);

/* ---- amdvi_gcr3.c ---- */
/* How many levels it takes for PASIDs of so many bits (0: just PASID 0); 0: the unit can't do that. */
unsigned amdvi_gcr3_levels(const struct amdvi_unit *amdvi, unsigned pasid_bits);
/* An empty table; with pasid_bits 0, for as many PASIDs as the levels can tell apart. -EINVAL, -ENOMEM. */
int amdvi_gcr3_init(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, unsigned levels, unsigned pasid_bits);
/* No hardware may look at it any more. One that was never made, or is gone, is fine. */
void amdvi_gcr3_fini(const struct hitless_port *port, struct amdvi_gcr3 *gcr3);
/* What it takes to have the PASID's entry, at most `pasid_bits` wide: nothing that the hardware can reach. -ENOMEM: nothing is reserved. */
int amdvi_gcr3_reserve(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, unsigned pasid_bits);
void amdvi_gcr3_unreserve(const struct hitless_port *port, struct amdvi_gcr3 *gcr3);
/* Puts reserved levels on top: `root` and `levels` have changed then, and what they say of every PASID has not. */
void amdvi_gcr3_grow(const struct hitless_port *port, struct amdvi_gcr3 *gcr3);
/* Links the reserved tables that lead to the PASID's entry. */
void amdvi_gcr3_build(const struct hitless_port *port, struct amdvi_gcr3 *gcr3);
/* Where the PASID's entry is, also if it is only reserved. */
void amdvi_gcr3_find(const struct amdvi_gcr3 *gcr3, uint32_t pasid, struct entry_table **table, size_t *offset);
/* The same three, for a table with levels enough. -ERANGE: no such PASID; -ENOMEM. */
int amdvi_gcr3_reach(const struct hitless_port *port, struct amdvi_gcr3 *gcr3, uint32_t pasid, struct entry_table **table,
		     size_t *offset);

/* ---- amdvi_pasid.c ---- */
/* How wide PASIDs can be; 0: the unit has none. */
unsigned amdvi_pasid_bits(const struct amdvi_unit *amdvi);
/* A device with PASIDs gets its table and its DTE the form that leads there, or loses both; nothing passes before or after.
 * -ENOMEM, -ENOSPC, -EIO. */
int amdvi_pasid_add(struct amdvi_unit *amdvi, struct iommu_device *device);
void amdvi_pasid_remove(struct amdvi_unit *amdvi, struct iommu_device *device);
/* How requests without PASID of such a device are translated in the domain. */
enum amdvi_rid_mode {
	AMDVI_RID_BLOCKED,		/* by a GCR3 entry that isn't there */
	AMDVI_RID_FIRST,		/* by the first GCR3 entry (GIoV) */
	AMDVI_RID_IDENTITY,		/* beside the GCR3 table (no GIoV) */
	AMDVI_RID_ALONE			/* as a device without PASIDs: there is no room for them */
};
enum amdvi_rid_mode amdvi_rid_mode(const struct iommu_domain *domain);
extern const struct iommu_pasid_ops amdvi_pasid_ops;

/* ---- amdvi_standin.c ---- */
bool amdvi_has_standin(const struct iommu_unit *unit, const struct iommu_domain *old, const struct iommu_domain *new);
void amdvi_make_standins(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *old,
			 const struct iommu_domain *new, uint32_t tag, struct entry_change *change);

/* ---- amdvi_event.c ---- */
int amdvi_log_init(struct amdvi_unit *amdvi, unsigned order);
void amdvi_log_fini(struct amdvi_unit *amdvi);
int amdvi_handle_faults(struct iommu_unit *unit);
/* Before commands to device TLBs: a number that says from when on the log must not have lost anything. */
unsigned amdvi_log_restarts(struct amdvi_unit *amdvi);
/*
 * After them: has every device answered, by what the log says? -EIO: one has not. -EAGAIN: events were lost since then, and that may
 * have been one of them; the log works again, and the commands have to be repeated.
 */
int amdvi_devtlb_verdict(struct amdvi_unit *amdvi, unsigned restarts);

#endif
