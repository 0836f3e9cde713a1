/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * core.h - the objects behind hitless/iommu.h, and what a driver implements for the core. Names no architecture.
 *
 * Locks, in the order in which they nest:
 *	group->lock	its devices, its domain; held over a whole attach, replace or detach
 *	domain->lock	its page table, its list of tags; held over map and over unmap with its invalidations
 *	table->lock	(entry.h) a page of live entries
 *	unit->lock	its devices and its free tags (and before domain->lock, when memory is short, unit->reserve_lock)
 *	the driver's queue lock
 *
 * A page table that grows (grow.c) changes the entries of all groups in the domain, under domain->lock only: it excludes switches to
 * and from the domain by domain->growing and domain->switching, which switches wait for before they take any tag, but after
 * what they map.
 *
 * How unmap and replace race (promise, point 6): unmap clears page-table entries, then invalidates under every tag on the
 * domain's list, all under domain->lock. Replace puts a tag on the list, under the same lock, before it stores an entry with
 * that tag, and takes it off after the last flush of it. So either unmap sees the tag, or the hardware's first walk with the
 * tag comes after the cleared entries.
 */
#ifndef CORE_H
#define CORE_H

#include <hitless/iommu.h>
#include <pgtable.h>

#include "entry.h"

/* A domain's cache tag on one unit; on domain->tags while anything may be cached under it. */
struct domain_tag {
	struct domain_tag *next;
	struct iommu_unit *unit;
	unsigned space;
	uint32_t tag;
	unsigned users;				/* requesters whose entries have it; 0: lent by another domain */
	bool owned;				/* its number goes back to the unit with the last user */
	bool hopping;				/* one of them is in a tag hop: nobody else may come */
	struct iommu_attachment *attachments;	/* the devices whose entries have it */
};

struct iommu_attachment {
	struct iommu_attachment *next;
	struct iommu_device *device;
};

struct iommu_domain {
	enum iommu_domain_type type;
	unsigned stage;				/* paging: 1 or 2 */
	bool dirty;
	const struct iommu_unit_ops *ops;	/* whose format it has */
	const struct hitless_port *port;
	struct hitless_lock lock;
	struct domain_tag *tags;
	struct iommu_pgtable pgtable;		/* paging */
	uint64_t first, last;			/* IOVAs that can be mapped, if need be after growing */
	bool grows;				/* its page table may get more levels: see grow.c */
	bool growing;				/* a level is being added */
	unsigned switching;			/* switches to or from it that are under way */
	void *driver_data;			/* what domain_init made beside the page table */
	unsigned users;				/* groups attached, or with it as default; under lock */
	bool quarantined;
};

struct iommu_device {
	struct iommu_device *next_in_group;
	struct iommu_device *next_in_unit;
	struct iommu_group *group;
	struct iommu_unit *unit;
	uint32_t rids[IOMMU_MAX_RIDS];
	unsigned nrids;
	struct {
		struct entry_table *table;
		size_t offset;
	} entry[IOMMU_MAX_RIDS];		/* where the driver has put its live entries */
	unsigned pasid_bits;
	bool ats;				/* its device TLB may be used: unit, device and owner agree */
	uint16_t ats_control, ats_on, ats_off;
	struct iommu_resv_region *resv;
	unsigned nresv;
	/* On the lists of the old and the new domain during a replace, else on one. */
	struct iommu_attachment attachment[2];
	unsigned attached;			/* which of the two is the current domain's */
};

struct iommu_group {
	const struct hitless_port *port;
	struct hitless_lock lock;
	struct iommu_device *devices;
	struct iommu_domain *domain;		/* NULL: blocked */
	struct iommu_domain *default_domain;	/* NULL: blocked */
	void *owner;
	const struct iommu_attach_handle *handle;
	unsigned replacing;			/* atomic: a switch is under way */
};

/* Kinds of tags that are numbered apart from each other, such as ASIDs and VMIDs. Tag numbers of a space are first ..
 * count - 1. */
#define TAG_SPACES 2
#define NO_TAG_SPACE UINT32_MAX

struct tag_space_size {
	uint32_t count, first;
};

struct iommu_unit {
	const struct iommu_unit_ops *ops;
	const struct hitless_port *port;
	struct hitless_lock lock;
	struct iommu_device *devices;
	struct tag_space {
		uint64_t *map;			/* a bit per tag, 1: taken */
		uint32_t count, used;
	} tags[TAG_SPACES];
	unsigned quantum;			/* bytes */
	unsigned facts;				/* IOMMU_PLAN_NONCOHERENT ... WRITE_BUFFER */
	unsigned lost;				/* atomic */
	struct hitless_lock reserve_lock;
	void *reserve;				/* memory for a detach that finds none: see group.c */
	size_t reserve_bytes;
	iommu_fault_handler *fault_handler;
	void *fault_handle;
};

/* What a driver implements. All but the first two are called with group->lock held; the `unit` is the driver's own structure's
 * first member. */
struct iommu_unit_ops {
	const char *arch;
	const struct entry_format *format;	/* of the entries of requests without PASID */

	/* Turns translation off and frees what the driver allocated, the unit too. -EIO. */
	int (*destroy)(struct iommu_unit *unit);
	/* Makes room for the device's entries, which start out blocked, and fills device->entry[] and what the driver knows of
	 * its capabilities. -EINVAL, -ENOMEM, -EIO. */
	int (*device_add)(struct iommu_unit *unit, struct iommu_device *device);
	void (*device_remove)(struct iommu_unit *unit, struct iommu_device *device);

	/* Chooses the page table of a paging domain and sets it up. -EINVAL, -EOPNOTSUPP, -ENOMEM. */
	int (*domain_init)(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc);
	/* Undoes domain_init but for the page table; nothing uses the domain any more. May be NULL. */
	void (*domain_fini)(struct iommu_domain *domain);
	/* Can the device's entries hold this domain? 0 or -EINVAL. */
	int (*domain_check)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain);
	/* The entry that puts a requester into the domain (NULL: blocked) under that tag. What is not about translation stays as
	 * it is in `before`. */
	void (*make_entry)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain,
			   uint32_t tag, const uint64_t *before, uint64_t *entry);
	/* From which space the domain's tag comes; NO_TAG_SPACE: its translations carry none. */
	unsigned (*tag_space)(const struct iommu_unit *unit, const struct iommu_domain *domain);
	/* The table index of requests without PASID, for the formats' commands. */
	uint32_t (*rid_pasid)(const struct iommu_unit *unit);

	/* Emits the commands that make the unit forget [first, last] of the domain under `tag`; `leaf`: no table was removed.
	 * `absent`: pages were added, not removed. May emit nothing. */
	void (*forget_range)(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain,
			     uint32_t tag, uint64_t first, uint64_t last, bool leaf, bool absent);
	/* The same for a device's own TLB. */
	void (*forget_device_range)(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
				    uint64_t first, uint64_t last);

	/* struct entry_unit's commands. Takes the queue lock. */
	int (*commands)(void *unit, const struct iommu_step *steps, unsigned count);
	int (*submit)(struct iommu_unit *unit, const void *commands, unsigned count);
	/* Reads and clears fault records, reporting each with unit_report_fault(). Returns how many. */
	int (*handle_faults)(struct iommu_unit *unit);
};

/* ---- unit.c ---- */

/* Sets up what the core needs of a unit. `spaces`: TAG_SPACES of them, those with a count of 0 don't exist. -ENOMEM. */
int unit_init(struct iommu_unit *unit, const struct iommu_unit_ops *ops, const struct hitless_port *port,
	      const struct tag_space_size *spaces);
void unit_fini(struct iommu_unit *unit);
bool unit_is_lost(const struct iommu_unit *unit);
void unit_mark_lost(struct iommu_unit *unit);
/* -ENOSPC: all are taken. */
int unit_alloc_tag(struct iommu_unit *unit, unsigned space, uint32_t *tag);
void unit_free_tag(struct iommu_unit *unit, unsigned space, uint32_t tag);
/* A number that is free now. False: all are taken. */
bool unit_peek_free_tag(struct iommu_unit *unit, unsigned space, uint32_t *tag);
/* -EEXIST: one of the requester ids is known. */
int unit_link_device(struct iommu_unit *unit, struct iommu_device *device);
void unit_unlink_device(struct iommu_unit *unit, struct iommu_device *device);
/* Fills in device and replacing, and calls the handler. Called by the driver without any lock. */
void unit_report_fault(struct iommu_unit *unit, struct iommu_fault *fault);
/* The biggest a group's job on one device may be when memory is short. */
size_t group_reserve_bytes(void);
/* Carries out a plan; a unit that does not answer is marked lost. */
int unit_commit(struct iommu_unit *unit, struct iommu_plan *plan);

/* ---- domain.c ---- */

/* iommu_iova_to_phys() with the mapping's rights, if `rights` is not NULL. */
int domain_lookup(struct iommu_domain *domain, uint64_t iova, uint64_t *phys, unsigned *rights);

/* A tag for `users` more requesters of the unit in the domain, on its list from now on. -ENOSPC, -ENOMEM; -EIO: quarantined;
 * -EAGAIN: a hop is under way. */
int domain_get_tag(struct iommu_domain *domain, struct iommu_unit *unit, unsigned users, struct domain_tag **tag);
/* They have left and nothing is cached for them. The last ones give the tag back. */
void domain_put_tag(struct iommu_domain *domain, struct domain_tag *tag, unsigned users);
/* The same with a number that another domain's only user brings along; not owned. -ENOMEM; -EAGAIN: the domain has a tag by
 * now. */
int domain_inherit_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t number, struct domain_tag **tag);
/* The domain's tag on a unit, NULL: none. It stays only as long as the caller's requesters use it. */
struct domain_tag *domain_find_tag(struct iommu_domain *domain, struct iommu_unit *unit);
/* What domain_find_tag() would find, by value. */
bool domain_peek_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t *number, unsigned *users);
/* The tag's only user may pollute it from now on: false if it has others. */
bool domain_begin_hop(struct iommu_domain *domain, struct domain_tag *tag);
void domain_end_hop(struct iommu_domain *domain, struct domain_tag *tag);
/* Also invalidates under `extra`, which is somebody else's tag that may hold this domain's translations for now. */
void domain_lend_tag(struct iommu_domain *domain, struct domain_tag *extra);
void domain_take_back_tag(struct iommu_domain *domain, struct domain_tag *extra);
void domain_add_attachment(struct iommu_domain *domain, struct domain_tag *tag, struct iommu_attachment *attachment);
void domain_remove_attachment(struct iommu_domain *domain, struct domain_tag *tag, struct iommu_attachment *attachment);
/* One more group has it, or one less. -EIO: quarantined. */
int domain_get(struct iommu_domain *domain);
void domain_put(struct iommu_domain *domain);
void domain_quarantine(struct iommu_domain *domain);

/* ---- grow.c ---- */

/* Brackets a switch from one domain to another (either may be NULL): neither grows meanwhile. */
void domain_begin_switch(struct iommu_domain *old, struct iommu_domain *new);
void domain_end_switch(struct iommu_domain *old, struct iommu_domain *new);
/* Adds levels until the table reaches `last`. Under the domain's lock, which is let go while it waits for switches. -ENOMEM,
 * -ERANGE; -EOPNOTSUPP: some entry can't be changed without a gap; -EIO: the domain is quarantined. */
int domain_grow(struct iommu_domain *domain, uint64_t last);

#endif
