/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/iommu.h - groups, devices, domains; attach, replace, detach; map and unmap.
 *
 * Names and meanings are Linux's. The one promise is iommu_group_replace_domain(): see DESIGN.md, "The promise".
 *
 * Objects: a *unit* is one IOMMU, created by its driver's header (hitless/vtd.h, ...). A *device* is a function behind it
 * with one or more requester ids. A *group* is what is attached as one. A *domain* is an address space. A group's requests
 * without PASID are in one domain; those with a PASID are in a domain of that PASID's.
 *
 * Locking: every function may be called from any thread at any time. Per group, attach, replace and detach exclude each
 * other. map and unmap may race a replace of the same domain, and each other. None of these two waits for the hardware on behalf of an
 * unmap of pages elsewhere that leaves their table in place. What is unmapped may be mapped anew when iommu_unmap() has
 * returned, not before. An object must not be freed while another call uses it.
 */
#ifndef HITLESS_IOMMU_H
#define HITLESS_IOMMU_H

#ifdef HITLESS_ROOM_MODEL
#error "a model never sees the driver's side (DESIGN.md, rooms)"
#endif

#include <hitless/plan.h>
#include <hitless/port.h>
#include <hitless/types.h>

HITLESS_BEGIN

struct iommu_unit;
struct iommu_device;
struct iommu_group;
struct iommu_domain;

/* ---- Units ---- */

struct iommu_unit_info {
	const char *arch;	/* "vtd", "vtd-legacy", ... */
	unsigned quantum;	/* bytes: the widest store to a table entry that the hardware's fetch can't tear */
	uint32_t tags;		/* how many cache tags (domain ids) the unit has for domains */
	uint32_t tags_used;
	bool coherent;		/* table walks snoop CPU caches */
	bool caches_absent;	/* entries that are not valid may be cached */
	bool lost;		/* the hardware stopped answering: see iommu_group_replace_domain() */
};

HITLESS_API void iommu_unit_get_info(struct iommu_unit *unit, struct iommu_unit_info *info);

/* Turns translation off and frees the unit. -EBUSY while it has devices; -EIO, and nothing freed, when the hardware does
 * not answer. */
HITLESS_API int iommu_unit_destroy(struct iommu_unit *unit);

/*
 * Submits the embedder's own commands (interrupt remapping, for one) to the unit's queue and waits for their end.
 * `commands`: `count` commands in the architecture's format, each of the size that the unit's queue has.
 * -EINVAL: no commands, more than the queue holds, or one that the hardware would not accept (nothing is submitted then);
 * -EIO: the unit is lost.
 */
HITLESS_API int iommu_unit_submit(struct iommu_unit *unit, const void *commands, unsigned count);

/* Reads, reports and clears all fault records of the unit. Call it from the fault interrupt's thread, or poll. Returns the
 * number of faults reported. */
HITLESS_API int iommu_unit_handle_faults(struct iommu_unit *unit);

/* ---- Faults ---- */

enum iommu_fault_cause {
	IOMMU_FAULT_UNKNOWN,
	IOMMU_FAULT_BLOCKED,		/* the device's entry is not valid, or blocks */
	IOMMU_FAULT_NOT_MAPPED,
	IOMMU_FAULT_PERMISSION,
	IOMMU_FAULT_ADDRESS,		/* beyond what the domain or the hardware can address */
	IOMMU_FAULT_ENTRY,		/* a device-table entry that the hardware rejects */
	IOMMU_FAULT_TABLE,		/* a page-table entry that the hardware rejects, or a table it can't reach */
	IOMMU_FAULT_OVERFLOW		/* records were lost; no other field is valid */
};

struct iommu_fault {
	struct iommu_device *device;	/* NULL: no device of this unit has that requester id */
	uint32_t rid;
	uint32_t pasid;			/* IOMMU_NO_PASID: the request had none */
	uint64_t iova;
	unsigned access;		/* IOMMU_READ, IOMMU_WRITE, IOMMU_EXEC, IOMMU_PRIV */
	enum iommu_fault_cause cause;
	unsigned reason;		/* the architecture's own code */
	const char *text;		/* what the code means */
	bool replacing;			/* a replace was under way: the request may have met the old or the new domain */
};

/* A fault handler is called without any lock held and may call anything here. */
typedef void iommu_fault_handler(void *handle, const struct iommu_fault *fault);

/* Faults of requesters without an attachment handle go to the unit's handler; without one they are dropped. */
HITLESS_API void iommu_unit_set_fault_handler(struct iommu_unit *unit, iommu_fault_handler *handler, void *handle);

/* ---- Domains ---- */

enum iommu_domain_type {
	IOMMU_DOMAIN_BLOCKED,	/* no access at all */
	IOMMU_DOMAIN_IDENTITY,	/* IOVA = physical address */
	IOMMU_DOMAIN_PAGING,	/* map and unmap */
	IOMMU_DOMAIN_EXTERNAL,	/* a first-stage page table that somebody else makes and changes: a process's, say */
	IOMMU_DOMAIN_NESTED	/* a guest's first stage behind a second-stage domain: iommu_domain_alloc_nested() */
};

struct iommu_domain_desc {
	enum iommu_domain_type type;
	/* Paging domains only: */
	unsigned stage;		/* 1, 2, or 0: the driver's choice */
	unsigned levels;	/* of the page table; 0: the driver's choice. External ones too, 0 there: what CPUs mostly have */
	bool dirty;		/* hardware records which pages were written: iommu_read_and_clear_dirty() */
	/* External domains only: */
	uint64_t root;		/* physical address of the table, in the format that CPUs of the architecture use */
};

/*
 * Allocates a domain in a format of `unit`'s; it may be attached to devices of every unit of the same driver and mode that can
 * walk that format. -EINVAL: the unit has no such format; -EOPNOTSUPP: it can't record dirty pages, or does not snoop the
 * caches of the CPUs that write an external table; -ENOMEM.
 *
 * An external domain's table stays its owner's, who may change it at any time, must call iommu_domain_invalidate() for what he
 * takes away, and must not free it before the domain is no longer attached. map and unmap refuse it (-EINVAL).
 */
HITLESS_API int iommu_domain_alloc(struct iommu_unit *unit, const struct iommu_domain_desc *desc,
				   struct iommu_domain **domain);

/* -EBUSY while attached, or the default domain of a group, or the parent of a nested domain. -EIO: quarantined (its unit was lost while it was in use): it is
 * never freed. */
HITLESS_API int iommu_domain_free(struct iommu_domain *domain);

/* The lowest and highest IOVA that can be mapped. */
HITLESS_API int iommu_domain_get_geometry(struct iommu_domain *domain, uint64_t *first, uint64_t *last);

/*
 * Maps [iova, iova + size) to [phys, phys + size) with `prot` (IOMMU_READ, IOMMU_WRITE, and IOMMU_EXEC where the format has it; IOMMU_MMIO besides is used where it can be said;
 * the largest pages that alignment allows are chosen). All or nothing. -EINVAL: not a paging domain, not page-aligned, no size,
 * no rights or some that the format can't give; -ERANGE: beyond the geometry; -EEXIST: part of it is mapped; -ENOMEM;
 * -EOPNOTSUPP: the table would need another level, and domains are nested in this one; -EIO: quarantined.
 */
HITLESS_API int iommu_map(struct iommu_domain *domain, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot);

/*
 * Unmaps whatever is mapped in [iova, iova + size); a large page that is only partly in the range is split. Returns the
 * number of bytes that were mapped there. When it returns, no request reaches them any more, also if a replace is under way.
 * -EINVAL, -ERANGE as above; -ENOMEM: no memory for a split, nothing changed; -EOPNOTSUPP: the hardware forbids the split of a large
 * page that is in use (SMMUv3.0 and 3.1), nothing changed: unmap it whole; -EIO: the hardware does not answer: treat the
 * pages as still reachable.
 */
HITLESS_API int64_t iommu_unmap(struct iommu_domain *domain, uint64_t iova, uint64_t size);

/*
 * The owner of an external domain's table has removed or changed what it maps in [iova, iova + size), and with `tables`
 * also entries that point to tables. When it returns 0, no request uses what was there before, and removed tables may be freed.
 * -EINVAL: not an external domain, not page-aligned, no size; -EIO: the hardware does not answer: treat all as still in use.
 */
HITLESS_API int iommu_domain_invalidate(struct iommu_domain *domain, uint64_t iova, uint64_t size, bool tables);

/* The physical address behind `iova`: 0 and *phys, or -ENOENT. For an identity domain it is iova itself. -EOPNOTSUPP: an
 * external or nested domain. */
HITLESS_API int iommu_iova_to_phys(struct iommu_domain *domain, uint64_t iova, uint64_t *phys);

/*
 * For every page in [iova, iova + size) that was written since the last call: calls report(ctx, iova, size) with the page's
 * own range, and clears the mark, so that a later write sets it again. Copy a page only after the call has returned: until then
 * the hardware may write to it without a new mark. report must not call anything on this domain. Dirty marks stay readable
 * after the domain was replaced. -EOPNOTSUPP: the domain was not allocated with `dirty`.
 */
HITLESS_API int iommu_read_and_clear_dirty(struct iommu_domain *domain, uint64_t iova, uint64_t size,
					   void (*report)(void *ctx, uint64_t iova, uint64_t size), void *ctx);

/* ---- Devices and groups ---- */

enum iommu_resv_type {
	IOMMU_RESV_RESERVED,	/* never mapped */
	IOMMU_RESV_DIRECT,	/* firmware uses it: always mapped 1:1, so the device can never be blocked */
	IOMMU_RESV_MSI		/* a doorbell: mapped to `phys` in every paging domain that the device enters */
};

struct iommu_resv_region {
	uint64_t iova;
	uint64_t size;
	uint64_t phys;		/* IOMMU_RESV_MSI only */
	unsigned prot;		/* IOMMU_WRITE alone: readable too where the format has no such page */
	enum iommu_resv_type type;
};

#define IOMMU_MAX_RIDS 8

struct iommu_device_desc {
	struct iommu_unit *unit;
	uint32_t rids[IOMMU_MAX_RIDS];	/* requester ids; [0] is the device's own, the others are DMA aliases */
	unsigned nrids;
	bool ats;			/* use the device's ATS capability, if unit and device have it, and it has no aliases */
	unsigned pasid_bits;			/* use so many bits of PASID, if unit and device have them, and it has no aliases; 0: none */
	const struct iommu_resv_region *resv; /* copied */
	unsigned nresv;
};

/* An empty group. `port` must outlive it. -ENOMEM. */
HITLESS_API int iommu_group_alloc(const struct hitless_port *port, struct iommu_group **group);

/* -EBUSY while it has devices. */
HITLESS_API int iommu_group_free(struct iommu_group *group);

/*
 * Adds a device; it enters the group's current domain, which for an empty group is the default domain, or the blocking one
 * if there is no default (-EINVAL then for a device with a direct region: set a default domain first).
 * Direct and MSI regions are mapped in the domain if they are not, with the rights that they ask for, and stay there.
 * -EINVAL: no unit, one with another port than the group's, no or too many or duplicate requester ids, or some that the unit
 * doesn't serve, the group's domain doesn't suit the device or has something else where a region must be; -EEXIST: the unit
 * knows one of the requester ids; -EBUSY: something is attached to a PASID of the group; -ENOMEM; -ENOSPC: no domain id left;
 * -EIO.
 */
HITLESS_API int iommu_group_add_device(struct iommu_group *group, const struct iommu_device_desc *desc,
				       struct iommu_device **device);

/* The group that a device is in. */
HITLESS_API struct iommu_group *iommu_device_group(struct iommu_device *device);

/* Blocks the device and frees it. -EBUSY: the group is attached to something else than its default or blocking domain, or has
 * something attached to a PASID. */
HITLESS_API int iommu_group_remove_device(struct iommu_group *group, struct iommu_device *device);

/* The domain that an unowned group is in when nothing is attached; NULL: the blocking domain. A group that is in its old
 * default domain is replaced into the new one. Errors as for replace. */
HITLESS_API int iommu_group_set_default_domain(struct iommu_group *group, struct iommu_domain *domain);

/* The domain that the group is in now; the group's own blocking domain is NULL. */
HITLESS_API struct iommu_domain *iommu_group_domain(struct iommu_group *group);

/*
 * Takes the group for user-space-like drivers: it moves to the blocking domain, and detach leads there too. -EPERM: it has
 * an owner; -EBUSY: it is attached to something else than its default domain, or something is attached to a PASID; -EINVAL: a
 * device has a direct region.
 * `owner` is any non-NULL pointer of the caller's.
 */
HITLESS_API int iommu_group_claim_dma_owner(struct iommu_group *group, void *owner);
/* Back to the default domain. -EPERM: no owner; -EBUSY: something is attached to a PASID. */
HITLESS_API int iommu_group_release_dma_owner(struct iommu_group *group);

/* ---- Attach, replace, detach ---- */

/* A handle per attachment: who hears of its faults. Owned by the caller, unchanged until a detach or replace has returned; a
 * call of its fault_handler that has begun by then may still be under way. */
struct iommu_attach_handle {
	iommu_fault_handler *fault_handler;
	void *handle;
};

/* Refuse with -EOPNOTSUPP, before the hardware is touched, rather than disrupt. */
#define IOMMU_REPLACE_HITLESS_ONLY 0x1u

struct iommu_replace_options {
	unsigned flags;		/* IOMMU_REPLACE_* */
	unsigned strategies;	/* which are allowed, IOMMU_STRATEGY_BIT()s; 0: any */
	unsigned assumptions;	/* IOMMU_PLAN_ASSUME_* */
	const struct iommu_attach_handle *handle; /* may be NULL */
};

struct iommu_replace_report {
	bool hitless;
	enum iommu_strategy strategy;	/* the costliest, if requesters of the group needed different ones */
	const char *why;		/* not hitless: why; NULL otherwise */
	unsigned requesters;		/* entries switched, one after another */
	struct iommu_cost cost;		/* of the whole replace */
};

/*
 * Attaches a domain to a group that has only its default or blocking domain.
 * -EBUSY: it has another one; -EINVAL: a device of the group can't use the domain; others as for replace.
 */
HITLESS_API int iommu_attach_group(struct iommu_group *group, struct iommu_domain *domain);
HITLESS_API int iommu_attach_group_handle(struct iommu_group *group, struct iommu_domain *domain,
					  const struct iommu_attach_handle *handle);

/* Back to the default domain, or to the blocking one if the group is owned, or if memory or domain ids for the default domain are
 * lacking. -EIO: the hardware does not answer; -ENOMEM, -ENOSPC: that, for a group that can't be blocked. */
HITLESS_API int iommu_detach_group(struct iommu_group *group);

/*
 * Replaces the domain of every device of the group, whatever it is now, while the devices do DMA; keeps the promise of
 * DESIGN.md. The same domain again: success, the hardware is not touched, only the handle changes.
 * `options` and `report` may be NULL; `report` is written whenever the result is 0 or -EOPNOTSUPP or -EIO.
 * Errors, each with nothing changed: -EINVAL: a device can't use the domain, or the blocking domain for a device with a direct
 * region; -EBUSY: something is attached to a PASID, and the hardware can't have both (a second-stage domain, but on VT-d);
 * -EOPNOTSUPP: it can't be done hitless, and IOMMU_REPLACE_HITLESS_ONLY was asked for, or no allowed strategy works;
 * -ENOSPC: no domain id left; -ENOMEM.
 * -EIO: the hardware stopped answering. The unit is lost; both domains are quarantined: their tables and tags are neither
 * freed nor reused, and unmap in them fails. Nothing else can be promised about the device's DMA.
 */
HITLESS_API int iommu_group_replace_domain(struct iommu_group *group, struct iommu_domain *domain,
					   const struct iommu_replace_options *options,
					   struct iommu_replace_report *report);

/* What iommu_group_replace_domain() would do now, without doing it. Same errors, except that nothing is allocated. */
HITLESS_API int iommu_replace_query(struct iommu_group *group, struct iommu_domain *domain,
				    const struct iommu_replace_options *options, struct iommu_replace_report *report);

/*
 * ---- PASIDs ----
 *
 * A device that was added with pasid_bits has, beside its requests without PASID, those with PASID 1 .. 2^width - 1, each in a
 * domain of its own. All of this is about the device's whole group: the PASID is attached in every device of it that has
 * PASIDs. What is attached to one PASID, or to requests without, is never disturbed by what becomes of another.
 *
 * First-stage, external and (VT-d, RISC-V) identity domains go with every architecture that has PASIDs; second-stage ones with
 * VT-d. The same domain may be attached to many PASIDs, and to requests without.
 */

/* How wide the device's PASIDs are, how many have a domain, and what that takes: tables that the hardware reads, and what software keeps of
 * them (that is the group's). Tables come with the first PASID that needs them and stay until the device is removed. */
struct iommu_pasid_info {
	unsigned width;		/* bits; 0: it has none */
	unsigned attached;
	size_t table_bytes;
	size_t software_bytes;
};

/* -EINVAL: no device. */
HITLESS_API int iommu_device_get_pasid_info(struct iommu_device *device, struct iommu_pasid_info *info);

/*
 * Attaches a domain to a PASID that has none. `handle` may be NULL.
 * Errors, each with nothing changed: -EBUSY: the PASID has a domain, or the domain of requests without PASID leaves no room for
 * PASIDs (a second-stage domain, but on VT-d); -EINVAL: PASID 0 or one beyond a device's width, a domain that can't be behind a
 * PASID; -EOPNOTSUPP: the device's tables can't grow without a gap; -ENOSPC: no domain id left; -ENOMEM. -EIO as for replace.
 */
HITLESS_API int iommu_attach_device_pasid(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
					  const struct iommu_attach_handle *handle);

/* Replaces the domain of a PASID as iommu_group_replace_domain() does for requests without, with the same promise, options
 * and errors. -EINVAL also: nothing is attached there. */
HITLESS_API int iommu_replace_device_pasid(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
					   const struct iommu_replace_options *options, struct iommu_replace_report *report);

/* What that would do now, without doing it. */
HITLESS_API int iommu_replace_device_pasid_query(struct iommu_device *device, uint32_t pasid, struct iommu_domain *domain,
						 const struct iommu_replace_options *options,
						 struct iommu_replace_report *report);

/* The PASID has no domain any more; its requests fault. Needs no memory. -EINVAL: it had none; -EIO as for replace. */
HITLESS_API int iommu_detach_device_pasid(struct iommu_device *device, uint32_t pasid);

/* The domain of a PASID; NULL: none. */
HITLESS_API struct iommu_domain *iommu_device_pasid_domain(struct iommu_device *device, uint32_t pasid);

/*
 * ---- Nesting ----
 *
 * A nested domain is a guest's own first stage behind a second-stage domain, its *parent*, which maps the guest's memory from guest
 * physical to host physical addresses. What the guest owns is its whole PASID table on Arm, AMD and RISC-V, and a first-stage
 * root of one PASID on VT-d. The hardware reads all of that in guest memory, through the parent: what the guest writes there can
 * reach nothing that the parent does not map.
 *
 * The guest's own entry (VT-d: PASID-table entry, SMMUv3: STE, AMD-Vi: DTE, RISC-V: device context; always in the architecture's
 * format) and its commands are read with the functions below, once, and checked. A unit does that after its driver's
 * vtd_enable_nesting(), smmuv3_enable_nesting(), ... ; programs that don't call it don't get the code.
 * hitless/viommu.h builds a guest's whole unit upon this.
 */

#define IOMMU_GUEST_ENTRY_WORDS 8
#define IOMMU_GUEST_COMMAND_WORDS 4

enum iommu_guest_kind {
	IOMMU_GUEST_BLOCKED,	/* nothing passes: the blocking domain */
	IOMMU_GUEST_BYPASS,	/* no translation by the guest: the parent itself */
	IOMMU_GUEST_NESTED	/* the guest's first stage: iommu_domain_alloc_nested() */
};

struct iommu_guest_entry {
	struct iommu_unit *unit;
	enum iommu_guest_kind kind;
	/* What the guest's entry says about translation, and 0 elsewhere: entries that translate alike are equal. */
	uint64_t words[IOMMU_GUEST_ENTRY_WORDS];
	const char *field;	/* the field that was refused; NULL: none */
};

/* How large entries of guests of this unit are; 0: nesting is not enabled. */
HITLESS_API size_t iommu_guest_entry_bytes(struct iommu_unit *unit);

/*
 * Copies a guest's entry of `bytes` bytes once, whatever the guest does meanwhile, and checks it. -EINVAL: a reserved bit or a
 * value that the specification forbids; -EOPNOTSUPP: one that this unit can't give a guest (with both, `entry->field` names it),
 * or nesting is not enabled, or entries are of another size (`field` is NULL).
 */
HITLESS_API int iommu_guest_entry_read(struct iommu_unit *unit, const void *memory, size_t bytes, struct iommu_guest_entry *entry);

/*
 * A domain for an entry of kind IOMMU_GUEST_NESTED. `parent`: a second-stage paging domain; it can't be freed before, and its page table
 * does not get more levels meanwhile (-EOPNOTSUPP from iommu_map()).
 * The domain may be attached to whatever may be in the parent; on VT-d also to PASIDs, elsewhere only where none of the
 * group's PASIDs is attached, for the guest's table has them all. A device with a direct region refuses it (-EINVAL); doorbells
 * are mapped in the parent.
 * -EINVAL: another kind of entry or of parent, or a parent that the entry's unit can't walk; -EIO: the parent is quarantined; -ENOMEM.
 */
HITLESS_API int iommu_domain_alloc_nested(struct iommu_domain *parent, const struct iommu_guest_entry *guest,
					  struct iommu_domain **domain);

/* What a guest's command is about; bits. */
#define IOMMU_GUEST_TRANSLATIONS 0x1u	/* cached translations: iommu_guest_invalidate() */
#define IOMMU_GUEST_DEVICE 0x2u		/* what is cached for devices, their TLBs too: iommu_guest_invalidate_device() */
#define IOMMU_GUEST_ENTRY 0x4u		/* entries of devices may have changed: iommu_guest_entry_read() again, and replace */

struct iommu_guest_command {
	struct iommu_unit *unit;
	unsigned about;			/* 0: a fence, a hint, interrupts: nothing to do here, for all is done when a function returns */
	uint32_t first_rid, last_rid;	/* the guest's devices that it is about (IOMMU_GUEST_DEVICE, IOMMU_GUEST_ENTRY) */
	uint32_t pasid;			/* VT-d, IOMMU_GUEST_ENTRY: of that PASID only; IOMMU_NO_PASID: all */
	uint64_t words[IOMMU_GUEST_COMMAND_WORDS];
	const char *field;		/* the field that was refused; NULL: none */
};

/* Copies a guest's command once and checks it. Errors as for iommu_guest_entry_read(). */
HITLESS_API int iommu_guest_command_read(struct iommu_unit *unit, const void *memory, size_t bytes,
					 struct iommu_guest_command *command);

/*
 * Carries out a command on the translations of all domains nested in `parent` that it is about, under the host's tags, and on nothing
 * else. When it returns 0, no request uses what was there before. -EINVAL: not a second-stage paging domain of that
 * driver; -EIO: the hardware does not answer: treat all as still in use.
 */
HITLESS_API int iommu_guest_invalidate(struct iommu_domain *parent, const struct iommu_guest_command *command);

/* The same for one device, which the guest knows by a requester id that the command is about. -EINVAL: of another driver; -EIO. */
HITLESS_API int iommu_guest_invalidate_device(struct iommu_device *device, const struct iommu_guest_command *command);

HITLESS_END

#endif
