/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* smmuv3_driver.h - what the files of the SMMUv3 driver share. Sections are of the Arm SMMUv3 specification (IHI 0070). */
#ifndef DRIVER_SMMUV3_H
#define DRIVER_SMMUV3_H

#include <hitless/smmuv3.h>

#include "common.h"
#include "core.h"
#include "lpae.h"
#include "smmuv3.h"

/*
 * What a device has. Its stream table entry (STE) is in one of the tables of the stream table. Behind it is a table of context
 * descriptors (CDs) of the device's own, from the moment that it is added: descriptor 0 is the first-stage domain of its requests
 * without SubstreamID. So a change from one first-stage domain to another touches descriptor 0 only: by one store of 128 bits
 * (ASID and TTB0 are in the first two words), or by a new table, which hangs on one doubleword of the STE (S1ContextPtr).
 *
 * - Blocked is V=0. It aborts as Config=0b000 does, but also says so: C_BAD_STE (5.2).
 * - All other STEs of a device are alike in what their kind does not look at, so that most changes are one store.
 * - Streams are in the EL1 world (STRW 0), with VMID 0 in the first stage: VMIDs of second stages start at 1. Leaves of first stages
 *   have nG set, and ASIDs start at 1.
 *
 * Two tables never live under one ASID or VMID, not even for a moment: that is unpredictable, or a TLB conflict (3.20.1, 3.3). Entries
 * are cached whether they are valid or not (3.21.3): each change is followed by a command.
 */

/* The cache tags come in two kinds: ASIDs of first-stage domains, VMIDs of second-stage domains. Identity has none. */
enum { SMMUV3_SPACE_ASID, SMMUV3_SPACE_VMID };

/* External tables: four levels of 4 KiB. */
#define SMMUV3_EXTERNAL_BITS 48u

/* What tells a VMID from an ASID of the same number where the planner compares tags. */
#define SMMUV3_TAG_VMID 0x40000000u

struct smmuv3_queue {
	struct hitless_lock lock;
	void *ring;
	size_t ring_bytes;
	unsigned order;			/* log2 of the entries */
	uint64_t head, tail;		/* count all commands ever; `head` is what CMDQ_CONS said last */
};

/* A table of 2^split stream table entries. */
struct smmuv3_streams {
	struct entry_table table;
	struct smmuv3_streams *next;
	uint32_t key;			/* the StreamIDs in it, without their lower bits */
};

/* A device's table of context descriptors: linear, or two levels with leaves of 4 KiB. */
struct smmuv3_cds {
	unsigned bits;			/* 2^bits descriptors: STE.S1CDMax */
	bool two_level;
	struct entry_table root;	/* descriptors, or pointers to `leaves` */
	struct entry_table **leaves;	/* NULL where there is none yet */
	unsigned nleaves, there;	/* ... and how many are there */
	/* What the next build puts in place; NULL or 0: it has that already. */
	struct {
		unsigned bits;		/* more of them, in two levels, with... */
		void *root;		/* ... a table of pointers, ... */
		size_t root_bytes;
		struct entry_table **leaves; /* ... an array, ... */
		struct entry_table *first; /* ... and the linear table as its first leaf: without a page of its own */
		struct entry_table *leaf;
		unsigned number;	/* the leaf's */
	} reserved;
};

struct smmuv3_unit {
	struct iommu_unit unit;		/* first */
	uint64_t registers;
	uint64_t idr0, idr1, idr3, idr5;
	unsigned page_shift;		/* of domains' smallest pages */
	unsigned smallest_shift;	/* that the unit has */
	unsigned sid_bits, ssid_bits;
	bool two_level;			/* the stream table */
	uint32_t cr0;
	uint64_t timeout_ns;
	struct entry_table root;	/* of the stream table: descriptors of tables, or entries */
	struct hitless_lock stream_lock; /* the list */
	struct smmuv3_streams *streams;
	struct smmuv3_queue queue;
	struct {
		struct hitless_lock lock;
		void *ring;
		size_t bytes;
		unsigned order;
		uint32_t head;		/* with its wrap bit */
	} events;
};

static inline struct smmuv3_unit *to_smmuv3(struct iommu_unit *unit)
{
	return (struct smmuv3_unit *)unit;
}

static inline const struct smmuv3_unit *to_smmuv3_const(const struct iommu_unit *unit)
{
	return (const struct smmuv3_unit *)unit;
}

#define SMMUV3_IDR(smmu, n, field) GET(SMMU_IDR##n, field, &(smmu)->idr##n)

static inline uint32_t smmuv3_read32(const struct smmuv3_unit *smmu, unsigned reg)
{
	return smmu->unit.port->mmio_read32(smmu->unit.port->ctx, smmu->registers + reg);
}

static inline void smmuv3_write32(const struct smmuv3_unit *smmu, unsigned reg, uint32_t value)
{
	smmu->unit.port->mmio_write32(smmu->unit.port->ctx, smmu->registers + reg, value);
}

static inline void smmuv3_write64(const struct smmuv3_unit *smmu, unsigned reg, uint64_t value)
{
	smmu->unit.port->mmio_write64(smmu->unit.port->ctx, smmu->registers + reg, value);
}

static inline uint64_t smmuv3_phys(const struct smmuv3_unit *smmu, const void *memory)
{
	return (uintptr_t)memory - smmu->unit.port->direct_map;
}

static inline bool smmuv3_noncoherent(const struct smmuv3_unit *smmu)
{
	return smmu->unit.facts & IOMMU_PLAN_NONCOHERENT;
}

/* Memory that the unit reads, after the CPU has written it. */
static inline void smmuv3_writeback(const struct smmuv3_unit *smmu, const void *memory, size_t bytes)
{
	if (smmuv3_noncoherent(smmu))
		smmu->unit.port->writeback(smmu->unit.port->ctx, memory, bytes);
}

/* A time limit for something the hardware must do. */
struct smmuv3_deadline {
	uint64_t at;
};

static inline struct smmuv3_deadline smmuv3_start(const struct smmuv3_unit *smmu)
{
	return (struct smmuv3_deadline){ smmu->unit.port->now_ns(smmu->unit.port->ctx) + smmu->timeout_ns };
}

static inline bool smmuv3_late(const struct smmuv3_unit *smmu, struct smmuv3_deadline deadline)
{
	return smmu->unit.port->now_ns(smmu->unit.port->ctx) > deadline.at;
}

/* Waits until `reg`, masked, is `want`. 0 or -EIO. */
int smmuv3_wait32(const struct smmuv3_unit *smmu, unsigned reg, uint32_t mask, uint32_t want);
/* Carries out commands that are not about a switch. */
int smmuv3_run(struct smmuv3_unit *smmu, struct entry_steps *steps);
/* Sets or clears bits of CR0, and waits until the unit has done so (6.3.9). */
int smmuv3_set_cr0(struct smmuv3_unit *smmu, uint32_t bits, bool on);

/* ---- smmuv3_queue.c ---- */
int smmuv3_queue_init(struct smmuv3_unit *smmu, unsigned order);
/* Turns the queue off, if it is on. -EIO: it stays, with its memory. */
int smmuv3_queue_fini(struct smmuv3_unit *smmu);
int smmuv3_commands(void *unit, const struct iommu_step *steps, unsigned count);
int smmuv3_submit(struct iommu_unit *unit, const void *commands, unsigned count);
/* The field of a TLB invalidation's range and level that the unit would choke on, or NULL. */
const char *smmuv3_bad_range(const struct smmuv3_unit *smmu, const uint64_t *command);

/* ---- smmuv3_entry.c ---- */
void smmuv3_forget_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain, uint32_t tag,
			 uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent);
void smmuv3_forget_device_range(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
				uint32_t pasid, uint64_t first, uint64_t last);
/* Everything that may be cached of configuration structures and of page tables. */
void smmuv3_forget_all(const struct smmuv3_unit *smmu, struct entry_steps *steps);
/* A table of stream table entries has become reachable, or its descriptor has changed. */
void smmuv3_forget_streams(struct entry_steps *steps, uint32_t sid, unsigned split);
/* The same for a leaf table of context descriptors. */
void smmuv3_forget_cds(struct entry_steps *steps, uint32_t sid);
/* All of a stream's context descriptors, and what points to them. */
void smmuv3_emit_cfgi_cd_all(struct entry_steps *steps, uint32_t sid);

/* ---- smmuv3_stream.c ---- */
int smmuv3_stream_init(struct smmuv3_unit *smmu, const struct smmuv3_unit_desc *desc);
void smmuv3_stream_fini(struct smmuv3_unit *smmu);
/* Where the entry of a StreamID is; makes its table if need be. -EINVAL: out of range; -ENOMEM; -EIO. */
int smmuv3_stream_find(struct smmuv3_unit *smmu, uint32_t sid, struct entry_table **table, size_t *offset);

/* ---- smmuv3_pasid.c ---- */
/* A device with PASIDs gets a stream table entry that leads to its table, or one that is not valid; nothing passes before or after. -EIO. */
int smmuv3_pasid_add(struct smmuv3_unit *smmu, struct iommu_device *device);
int smmuv3_pasid_remove(struct smmuv3_unit *smmu, struct iommu_device *device);
/* Which requests without SubstreamID of such a device reach descriptor 0: S1DSS; -1: the table is not reached at all. */
int smmuv3_pasid_dss(const struct iommu_domain *domain);
unsigned smmuv3_pasid_places(const struct iommu_device *device, uint32_t pasid, const struct iommu_domain *old,
			     const struct iommu_domain *new, struct entry_place *places);
extern const struct iommu_pasid_ops smmuv3_pasid_ops;

/* ---- smmuv3_cd.c ---- */
/* What it takes to have a descriptor of a device with so many bits of SubstreamID: nothing that hardware can reach. -ENOMEM. */
int smmuv3_cds_reserve(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds, uint32_t ssid, unsigned bits);
void smmuv3_cds_unreserve(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds);
/* A linear table becomes the first leaf of two levels, if that is reserved: smmuv3_cds_point() says so then. */
void smmuv3_cds_grow(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds);
/* Links the reserved leaf. True: there was one, and what the hardware knows of it must be forgotten. */
bool smmuv3_cds_build(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds);
/* An empty table of 2^bits descriptors, for the STE at `offset` of a stream table; with `grows`, one that starts small. -ENOMEM. */
int smmuv3_cds_init(struct smmuv3_unit *smmu, struct smmuv3_cds *cds, unsigned bits, bool grows, struct entry_table *streams,
		    size_t offset);
void smmuv3_cds_fini(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds);
/* Where a descriptor is. -ERANGE; -ENOENT: its leaf table does not exist. */
int smmuv3_cds_find(const struct smmuv3_cds *cds, uint32_t ssid, struct entry_table **table, size_t *offset,
		    const struct entry_format **format);
/* What STE words 0 and 1 say of the table: S1Fmt, S1ContextPtr, S1CDMax. */
void smmuv3_cds_point(const struct smmuv3_unit *smmu, const struct smmuv3_cds *cds, uint64_t *ste);
/* A descriptor of a first-stage domain. */
void smmuv3_make_cd(const struct smmuv3_unit *smmu, const struct iommu_domain *domain, uint32_t asid, uint64_t *cd);

/* ---- smmuv3_domain.c ---- */
/* Can hardware set flags in page tables? */
bool smmuv3_has_dirty(const struct smmuv3_unit *smmu);
int smmuv3_domain_init(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc);
int smmuv3_domain_check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain);
/* A value of IDR5.OAS, IPS or S2PS in bits. */
unsigned smmuv3_bits_of_size(unsigned size);
/* S2PS and IPS: how wide the addresses are that come out. */
unsigned smmuv3_output_size(const struct smmuv3_unit *smmu);

/* ---- smmuv3_event.c ---- */
int smmuv3_events_init(struct smmuv3_unit *smmu, unsigned order);
int smmuv3_events_fini(struct smmuv3_unit *smmu);
int smmuv3_handle_faults(struct iommu_unit *unit);

#endif
