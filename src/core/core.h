/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * core.h - the objects behind hitless/iommu.h, and what a driver implements for the core. Names no architecture.
 *
 * Locks, in the order in which they nest:
 *	group->lock	its devices, its domains; held over a whole attach, replace or detach
 *	domain->flush_lock held over an unmap to the end of its wait; shared, if the port can
 *	domain->lock	its page table, its list of tags; held over map and unmap, but for the wait of a plain unmap (see below); a
 *			parent's before that of a domain nested in it
 *	table->lock	(entry.h) a page of live entries
 *	unit->lock	its devices (and before domain->lock, when memory is short, unit->reserve_lock)
 *	group->fault_lock what a fault needs to find its handle
 *	the driver's queue lock
 *
 * A device may be in many domains at once: one for its requests without PASID, and one for each PASID. What a domain is attached
 * to is therefore a *point* of a group (struct attach_point); all that follows is about points, and a PASID's is like any other.
 *
 * A page table that grows (grow.c) changes the entries of all groups in the domain, under domain->lock only: it excludes
 * switches to and from the domain by domain->growing and domain->switching, which switches wait for before they take any tag,
 * but after what they map.
 *
 * How unmap and replace race (promise, point 6): unmap clears page-table entries, then invalidates under every tag on the
 * domain's list, for everything that is attached under it, all under domain->lock. Replace puts tag and attachment there, under
 * the same lock, before it stores an entry with that tag, and takes them off after the last flush of it. So either unmap sees
 * the tag, or the hardware's first walk with the tag comes after the cleared entries.
 *
 * A plain unmap, which removes no table and asks no device's TLB, lets domain->lock go before it sends its commands, so that nobody
 * who maps or unmaps waits for the hardware on its behalf: elsewhere these pages need not be forgotten, who removes a table
 * has that forgotten himself, and the addresses are free when unmap has returned.
 * Who must not overtake its wait passes through flush_lock: a device whose TLB could yet be filled with what is on its way
 * out, once it is on the list; and the last to leave a tag while there are such unmaps (domain->unmaps_waiting), since its unit may be
 * gone afterwards.
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
	bool given;				/* by a device's table, whatever domain is behind it (iommu_pasid_ops) */
	bool hopping;				/* one of them is in a tag hop: nobody else may come */
	uint32_t pasid;				/* lent: the table index that the lines have besides */
	struct iommu_attachment *attachments;	/* who has it */
	unsigned ndevtlbs, npasids;		/* of these, whose device's TLB may hold such requests; and with a PASID */
};

/* For forget_range(): a stand-in may have let the unit cache the domain under that tag, in another way than its own. */
#define EVERY_INDEX (IOMMU_NO_PASID - 1u)

/* A device's requests in a domain: those without PASID, or with one. */
struct iommu_attachment {
	struct iommu_attachment *next, **link;
	struct domain_tag *tag;			/* on whose list it is; NULL: on none, its domain has no tag */
	struct iommu_device *device;
	uint32_t pasid;				/* IOMMU_NO_PASID: without */
	bool ats;				/* its TLB may hold such requests */
	bool nested;				/* what its TLB has is by the guest's addresses, and of all its PASIDs */
};

/* What a switch looks at comes first, side by side. */
struct iommu_domain {
	enum iommu_domain_type type;
	unsigned stage;				/* paging: 1 or 2 */
	const struct iommu_unit_ops *ops;	/* whose format it has */
	const struct hitless_port *port;
	unsigned users;				/* points attached, and groups with it as default; under lock */
	unsigned switching;			/* switches to or from it that are under way, if it grows */
	unsigned unmaps_waiting;		/* unmaps that wait for the hardware without `lock` */
	bool grows;				/* its page table may get more levels: see grow.c */
	bool growing;				/* a level is being added */
	bool quarantined;
	bool dirty;
	struct domain_tag *tags;
	struct domain_tag record;		/* room for one of them: mostly there is one unit */
	struct hitless_lock lock;
	struct iommu_pgtable pgtable;		/* paging */
	struct hitless_lock flush_lock;
	uint64_t external_root;			/* external: somebody else's page table */
	unsigned external_levels;
	uint64_t first, last;			/* IOVAs that can be mapped, if need be after growing */
	void *driver_data;			/* what domain_init made beside the page table */
	struct iommu_domain *nested;		/* those that it is the parent of, by next_nested; under its lock */
	struct iommu_domain *parent, *next_nested; /* nested */
	const struct iommu_nested_ops *nested_ops;
	uint64_t guest[IOMMU_GUEST_ENTRY_WORDS]; /* iommu_guest_entry.words */
};

/* Does it have a page table, of its own or of somebody else's? */
static inline bool domain_has_table(const struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_PAGING || domain->type == IOMMU_DOMAIN_EXTERNAL;
}

static inline uint64_t domain_root(const struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_EXTERNAL ? domain->external_root :
						       domain->pgtable.ops->root_phys(&domain->pgtable);
}

static inline unsigned domain_levels(const struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_EXTERNAL ? domain->external_levels : domain->pgtable.config.levels;
}

static inline bool domain_is_nested(const struct iommu_domain *domain)
{
	return domain && domain->type == IOMMU_DOMAIN_NESTED;
}

/* Whose mappings a requester meets that is not translated by somebody else's tables first. */
static inline struct iommu_domain *domain_mapping(struct iommu_domain *domain)
{
	return domain_is_nested(domain) ? domain->parent : domain;
}

/* The domain if it lets anything through. */
static inline struct iommu_domain *domain_passing(struct iommu_domain *domain)
{
	return domain && domain->type != IOMMU_DOMAIN_BLOCKED ? domain : NULL;
}

/* Where a live entry is, and of which kind. */
struct entry_place {
	struct entry_table *table;
	size_t offset;
	const struct entry_format *format;
	uint32_t pasid;				/* its index in its table, for the format's commands */
	unsigned facts;				/* of IOMMU_PLAN_*, beside the unit's */
	bool keeps_ats;				/* another entry decides about the device TLB */
};

/* A device's part in a point: on the lists of the old and the new domain during a replace, else on one. */
struct point_member {
	struct iommu_device *device;
	struct iommu_attachment attachment[2];
	unsigned attached;			/* which of the two is the current domain's */
};

/* What a domain is attached to: the requests of a group without PASID, or those with one. */
struct attach_point {
	uint32_t pasid;				/* IOMMU_NO_PASID: without */
	struct iommu_domain *domain;		/* NULL: blocked */
	/* Under group->fault_lock: */
	const struct iommu_attach_handle *handle;
	bool replacing;				/* a switch is under way; atomic */
	/* A PASID's: one for each device of the group that has PASIDs. */
	unsigned nmembers;
	struct point_member *members;
};

/* One of a device's requester ids, device->rids[] at the same index, among those that its unit finds them by. */
struct requester {
	struct requester *next;
	struct iommu_device *device;
};

/* The same here. The arrays that have an element for each requester id follow it in its memory. */
struct iommu_device {
	struct iommu_device *next_in_group;
	struct iommu_unit *unit;
	unsigned nrids;
	unsigned pasid_bits;			/* of the PASIDs that device, unit and owner agree on; 0: none */
	unsigned nresv;
	bool ats;				/* its device TLB may be used: unit, device and owner agree */
	uint16_t ats_control, ats_on, ats_off;
	uint16_t pasid_control;			/* in config space; 0: there is none */
	/* Where the driver has put the entries of its requests without PASID; `format` and `pasid` may be left 0: the unit's own. */
	struct entry_place *entry;
	void **tables;				/* what the driver keeps of its PASIDs' entries */
	struct point_member rid;		/* of the group's point without PASID */
	uint32_t rids[IOMMU_MAX_RIDS];
	struct iommu_group *group;
	struct iommu_resv_region *resv;
	struct requester *requesters;
	unsigned passing;			/* at how many points it is in a domain that lets something through */
};

struct iommu_group {
	const struct hitless_port *port;
	struct hitless_lock lock;
	struct iommu_device *devices;
	struct attach_point rid;		/* requests without PASID */
	struct pasid_tree *pasids;		/* points, by PASID; under fault_lock too */
	unsigned npasids;
	struct iommu_domain *default_domain;	/* NULL: blocked */
	void *owner;
	struct hitless_lock fault_lock;
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
	const struct iommu_nested_ops *nested;	/* NULL: guests' entries are not understood */
	const struct hitless_port *port;
	struct hitless_lock lock;
	struct requester **requesters;		/* heads of chains: see unit.c */
	unsigned ndevices, npasid_devices;	/* all, and those that may send PASIDs */
	struct tag_space {
		uint64_t *map;			/* a bit per tag, 1: taken; atomic */
		uint32_t count, first;		/* of these, the lowest are nobody's */
		uint32_t full;			/* words of the map from the first on in which probably no bit is free; atomic */
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
	/* The entry that puts a requester into the domain (NULL: blocked) under that tag, all words of its format. What is not about
	 * translation stays as it is in `before`. */
	void (*make_entry)(struct iommu_unit *unit, const struct iommu_device *device, const struct entry_place *place,
			   const struct iommu_domain *domain, uint32_t tag, const uint64_t *before, uint64_t *entry);
	/*
	 * Does it take stand-ins (hitless/plan.h) to get from one domain to the other without a gap, and are there some: entries in another
	 * format, but through the domains' own tables? And these entries, into change->standins and the request; `tag` is nobody else's, or 0:
	 * there is none free. While they may be in use, forget_range() gets EVERY_INDEX for these domains' tags and `tag`. NULL: never.
	 */
	bool (*has_standin)(const struct iommu_unit *unit, const struct iommu_domain *old, const struct iommu_domain *new);
	void (*make_standins)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *old,
			      const struct iommu_domain *new, uint32_t tag, struct entry_change *change);
	/* From which space the domain's tag comes; NO_TAG_SPACE: its translations carry none. */
	unsigned (*tag_space)(const struct iommu_unit *unit, const struct iommu_domain *domain);
	/* The table index of requests without PASID, for the formats' commands. */
	uint32_t (*rid_pasid)(const struct iommu_unit *unit);
	/* As iommu_pasid_ops.places(), for every device of the unit, also of the requester `rid` without PASIDs, in place of that. NULL:
	 * without PASIDs it is the one entry that device_add() has filled in. */
	unsigned (*places)(struct iommu_unit *unit, const struct iommu_device *device, unsigned rid, uint32_t pasid,
			   const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places);

	/* Do cached translations of the domain carry the entry's table index besides the tag? NULL: never. */
	bool (*tag_has_pasid)(const struct iommu_unit *unit, const struct iommu_domain *domain);

	/* Emits the commands that make the unit forget [first, last] of the domain under `tag`, and under the table index `pasid`
	 * where tag_has_pasid(), or with EVERY_INDEX in whatever way a stand-in has let it cache the domain; `leaf`: no table was removed. `absent`: pages were added, not removed. May emit nothing. */
	void (*forget_range)(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_domain *domain,
			     uint32_t tag, uint32_t pasid, uint64_t first, uint64_t last, bool leaf, bool absent);
	/* The same for what a device's own TLB has of the PASID, or (IOMMU_NO_PASID) of requests without. */
	void (*forget_device_range)(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
				    uint32_t pasid, uint64_t first, uint64_t last);

	/* struct entry_unit's commands. Takes the queue lock. */
	int (*commands)(void *unit, const struct iommu_step *steps, unsigned count);
	int (*submit)(struct iommu_unit *unit, const void *commands, unsigned count);
	/* Reads and clears fault records, reporting each with unit_report_fault(). Returns how many. */
	int (*handle_faults)(struct iommu_unit *unit);
	const struct iommu_pasid_ops *pasid;	/* NULL: devices of the unit have no PASIDs */
};

/*
 * What a driver implements for guests' first stages (nested.c). It is reached through unit->nested only, so that a program which does not
 * enable nesting does not have it.
 *
 * A nested domain is also given to make_entry(), tag_has_pasid(), has_standin(), places(), given_tag(), beside(),
 * iommu_pasid_ops.check(), forget_range(); domain_check() and tag_space() are asked about its parent.
 */
struct iommu_nested_ops {
	unsigned entry_bytes, command_bytes;	/* of a command at least; what is longer must be reserved */
	/*
	 * Translations of a nested domain are cached under its parent's tag: all guests' structures behind one parent are one
	 * guest's, whose own tags tell them apart. forget_range() of a domain that has nested ones then takes these with it, at any address. False:
	 * each nested domain has a tag of its own.
	 */
	bool parents_tag;
	/* `entry->words` is a copy of what is in the guest's memory, filled up with 0: checks it, fills in kind or field, and clears what
	 * does not count. -EINVAL, -EOPNOTSUPP. */
	int (*read_entry)(struct iommu_unit *unit, struct iommu_guest_entry *entry);
	/* Can the unit walk the parent of this nested domain below the guest's tables, and (if `device` isn't NULL) for this
	 * device? domain_check() has let the parent through. -EINVAL. */
	int (*check)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *nested);
	/* Does the guest let the device's own TLB be used? NULL: its entry does not say. */
	bool (*uses_devtlb)(const struct iommu_domain *nested);
	/* `command->words` is a copy: checks it, fills in all else. -EINVAL, -EOPNOTSUPP. */
	int (*read_command)(struct iommu_unit *unit, struct iommu_guest_command *command);
	/* Is the command about this domain's translations? Not asked with `parents_tag`. */
	bool (*concerns)(const struct iommu_domain *nested, const struct iommu_guest_command *command);
	/* Emits what the command does to translations under the host's tag and, where lines have one, the table index `pasid`.
	 * At most MAX_GUEST_STEPS. */
	void (*forget)(struct iommu_unit *unit, struct entry_steps *steps, uint32_t tag, uint32_t pasid,
		       const struct iommu_guest_command *command);
	/* ... to what is cached for a device; to its TLB only if nested_devtlb_is_on(). */
	void (*forget_device)(struct iommu_unit *unit, struct entry_steps *steps, const struct iommu_device *device,
			      const struct iommu_guest_command *command);
};

#define MAX_GUEST_STEPS 8

#define MAX_PLACES 2
#define NO_GIVEN_TAG UINT32_MAX

/*
 * What a driver implements for PASIDs besides; called with group->lock held, for devices with PASIDs only (these have one
 * requester id). The entries of all PASIDs of a device, and those of its requests without, hang on tables of the device's own.
 *
 * Tables grow in two steps. reserve() allocates and stores nothing that the hardware can reach, so an attach that fails
 * later leaves no trace; build() stores, and can't fail by software. What build() stores changes no translation.
 */
struct iommu_pasid_ops {
	/* The live entries that take requests of the device (`pasid`: IOMMU_NO_PASID, or with one) from `old` to `new`, in the order in
	 * which they change: each is switched, and what it left in caches forgotten, before the next. Mostly there is one. Also of
	 * entries that are only reserved. */
	unsigned (*places)(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
			   const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places);
	/* Room for the entry of `pasid`. Finds what is there. -ENOMEM; -EOPNOTSUPP: the tables can't grow without a gap. */
	int (*reserve)(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid);
	/* Puts what was reserved in place. -EIO. */
	int (*build)(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid);
	/* Frees what was reserved and not built. */
	void (*unreserve)(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid);
	/* Can the entry of a PASID hold this domain, which domain_check() has let through? 0 or -EINVAL. NULL: always. */
	int (*check)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain);
	/* Can there be PASIDs beside this domain for requests without (NULL: blocked)? NULL: always. */
	bool (*beside)(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain);
	/* The tag that translations of such requests in such a domain have by the device's tables alone, or NO_GIVEN_TAG: the
	 * domain's own. NULL: always the domain's own. */
	uint32_t (*given_tag)(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
			      const struct iommu_domain *domain);
	/* Bytes of the device's PASID tables that the hardware reads, and of what the driver keeps of them. */
	void (*memory)(struct iommu_unit *unit, const struct iommu_device *device, size_t *tables, size_t *software);
};

/* The tag space of a domain; a nested one's tags are of its parent's kind. */
static inline unsigned domain_tag_space(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	return unit->ops->tag_space(unit, domain_is_nested(domain) ? domain->parent : domain);
}

/* ---- places.c ---- */

/* The live entries of a device's requests, as iommu_pasid_ops.places() says; also for devices without PASIDs. */
unsigned places_of(const struct iommu_device *device, unsigned rid, uint32_t pasid, const struct iommu_domain *old,
		   const struct iommu_domain *new, struct entry_place *places);
/* The table index of requests, for iommu_unit_ops.forget_range(). */
uint32_t unit_pasid_index(const struct iommu_unit *unit, uint32_t pasid);
/* The tag that the device's tables give its requests in that domain; NO_GIVEN_TAG: the domain's own counts. */
uint32_t given_tag(const struct iommu_device *device, uint32_t pasid, const struct iommu_domain *domain);
/* Fills in where a change is, what is there now and what it shall be, and all of the request but strategies and what is to know of the tags. */
void begin_change(struct entry_change *change, const struct iommu_device *device, unsigned rid,
		  const struct entry_place *place, const struct iommu_domain *domain, uint32_t tag);
/* The same under the lock of place->table. */
void begin_change_locked(struct entry_change *change, const struct iommu_device *device, unsigned rid,
			 const struct entry_place *place, const struct iommu_domain *domain, uint32_t tag);
/* Stores an entry anew that says the same: its tables have grown, or nothing passes either way. Allocates nothing. -EOPNOTSUPP: it
 * would take more than one store that counts; -EIO. With `try` it only says whether it could. */
int restate_entry(const struct iommu_device *device, const struct entry_place *place, const uint64_t *after, bool try);

/* ---- unit.c ---- */

/* Sets up what the core needs of a unit. `spaces`: TAG_SPACES of them, those with a count of 0 don't exist. -ENOMEM. */
int unit_init(struct iommu_unit *unit, const struct iommu_unit_ops *ops, const struct hitless_port *port,
	      const struct tag_space_size *spaces);
void unit_fini(struct iommu_unit *unit);
static inline bool unit_is_lost(const struct iommu_unit *unit)
{
	return __atomic_load_n(&unit->lost, __ATOMIC_ACQUIRE);
}
void unit_mark_lost(struct iommu_unit *unit);
/* -ENOSPC: all are taken. */
int unit_alloc_tag(struct iommu_unit *unit, unsigned space, uint32_t *tag);
void unit_free_tag(struct iommu_unit *unit, unsigned space, uint32_t tag);
/* A number that is free now. False: all are taken. */
bool unit_peek_free_tag(struct iommu_unit *unit, unsigned space, uint32_t *tag);
/* -EEXIST: one of the requester ids is known. */
int unit_link_device(struct iommu_unit *unit, struct iommu_device *device);
void unit_unlink_device(struct iommu_unit *unit, struct iommu_device *device);
/* May a device of the unit send PASIDs? */
bool unit_has_pasids(struct iommu_unit *unit);
/* Fills in device and replacing, and calls the handler. Called by the driver without any lock. */
void unit_report_fault(struct iommu_unit *unit, struct iommu_fault *fault);
/* The biggest a switch's job on one device may be when memory is short (switch.c). */
size_t switch_reserve_bytes(void);
/* Carries out a plan; a unit that does not answer is marked lost. */
int unit_commit(struct iommu_unit *unit, struct iommu_plan *plan);
/* The same with the lock of a table held, as entry_commit() takes it; it is let go in any case. */
int unit_commit_held(struct iommu_unit *unit, struct iommu_plan *plan, struct entry_table *held);

/* ---- switch.c ---- */

/* A point of a group goes from its domain to `domain` (NULL: blocked). Under group->lock. */
int switch_point(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
		 const struct iommu_replace_options *options, struct iommu_replace_report *report);
/* What that would do. */
int switch_query(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
		 const struct iommu_replace_options *options, struct iommu_replace_report *report);
/* A point goes to the blocking entry, without any memory but what the units have kept for that. -EINVAL: a device must not
 * be blocked. */
int switch_to_blocked(struct iommu_group *group, struct attach_point *point);
/* One device goes from blocked to the group's domain, or back. *touched: the hardware stopped answering after the first step. */
int switch_device(struct iommu_group *group, struct iommu_device *device, bool enters, bool *touched);
/* set_handle() to another one than there is. */
void change_handle(struct iommu_group *group, struct attach_point *point, const struct iommu_attach_handle *handle);

/* From now on faults at the point are told to that handle; `replacing`: and are marked, since a switch is under way. Under group->lock. */
static inline void set_handle(struct iommu_group *group, struct attach_point *point, const struct iommu_attach_handle *handle,
			      bool replacing)
{
	__atomic_store_n(&point->replacing, replacing, __ATOMIC_RELEASE);
	/* Only switches change it, under the group's lock. */
	if (point->handle != handle)
		change_handle(group, point, handle);
}

/* ---- onestore.c ---- */

/* switch_point() where it is one store into one entry, between two domains. -EAGAIN: it isn't, or somebody is in the way: nothing has
 * happened. */
int switch_by_one_store(struct iommu_group *group, struct attach_point *point, struct iommu_domain *domain,
			const struct iommu_replace_options *options, struct iommu_replace_report *report);

/* ---- pasid.c ---- */

/* NULL: nothing is attached there. Under group->lock or group->fault_lock. */
struct attach_point *pasid_find(const struct iommu_group *group, uint32_t pasid);

/* ---- group.c ---- */

bool options_valid(const struct iommu_replace_options *options);

static inline void lock_group(struct iommu_group *group)
{
	group->port->lock(group->port->ctx, &group->lock);
}

static inline void unlock_group(struct iommu_group *group)
{
	group->port->unlock(group->port->ctx, &group->lock);
}

/* ---- domain.c ---- */

/* An empty domain of a type, without what the driver knows of it. -ENOMEM. */
int domain_create(struct iommu_unit *unit, enum iommu_domain_type type, struct iommu_domain **domain);
/* Undoes that. */
void domain_destroy(struct iommu_domain *domain);
/* iommu_iova_to_phys() with the mapping's rights, if `rights` is not NULL. */
int domain_lookup(struct iommu_domain *domain, uint64_t iova, uint64_t *phys, unsigned *rights);

/* A tag for `*users` more requesters of the unit in the domain, on its list from now on; `given`: that number, or
 * NO_GIVEN_TAG. *users: all who use it then. -ENOSPC, -ENOMEM; -EIO: quarantined; -EAGAIN: a hop is under way. */
int domain_get_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given, unsigned *users,
		   struct domain_tag **tag);
/* They have left and nothing is cached for them. The last ones give the tag back. */
void domain_put_tag(struct iommu_domain *domain, struct domain_tag *tag, unsigned users);
/* The same with a number that another domain's only user brings along; not owned. -ENOMEM; -EAGAIN: the domain has a tag by
 * now. */
int domain_inherit_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t number, struct domain_tag **tag);
/* The domain's tag on a unit (`given` as above) and how many use it now, NULL: none. It stays only as long as the caller's
 * requesters use it. */
struct domain_tag *domain_find_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given, unsigned *users);
/* What domain_find_tag() would find of the domain's own, by value. */
bool domain_peek_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t *number, unsigned *users);
/* The tag's only user may pollute it from now on: false if it has others. */
bool domain_begin_hop(struct iommu_domain *domain, struct domain_tag *tag);
void domain_end_hop(struct iommu_domain *domain, struct domain_tag *tag);
/* Also invalidates under `extra`, which is somebody else's tag that may hold this domain's translations for now. */
void domain_lend_tag(struct iommu_domain *domain, struct domain_tag *extra);
void domain_take_back_tag(struct iommu_domain *domain, struct domain_tag *extra);
void domain_add_attachment(struct iommu_domain *domain, struct domain_tag *tag, struct iommu_attachment *attachment);
void domain_remove_attachment(struct iommu_domain *domain, struct iommu_attachment *attachment);
/* One more point or group has it, or one less. -EIO: quarantined. */
int domain_get(struct iommu_domain *domain);
void domain_put(struct iommu_domain *domain);
void domain_quarantine(struct iommu_domain *domain);
/* For a switch of one requester, all without waiting and at one go: domain_get(), domain_begin_switch(), a tag of the domain's own (or none,
 * attachment->tag is NULL), domain_add_attachment(). False: one of them would fail or wait, and nothing has happened. */
bool domain_enter(struct iommu_domain *domain, struct iommu_unit *unit, struct iommu_attachment *attachment);
/* Undoes all that. */
void domain_leave(struct iommu_domain *domain, struct iommu_attachment *attachment);

/* ---- nested.c ---- */

/* A device's own TLB that is off is empty, and must not be asked. Under group->lock. */
bool nested_devtlb_is_on(const struct iommu_device *device);

/* ---- grow.c ---- */

/* Brackets a switch from one domain to another (either may be NULL): neither grows meanwhile. */
void domain_begin_switch(struct iommu_domain *old, struct iommu_domain *new);
void domain_end_switch(struct iommu_domain *old, struct iommu_domain *new);
/* The same from one domain, without waiting. False: it grows, and no switch has begun. */
bool domain_try_switch(struct iommu_domain *domain);
/* Adds levels until the table reaches `last`. Under the domain's lock, which is let go while it waits for switches. -ENOMEM,
 * -ERANGE; -EOPNOTSUPP: some entry can't be changed without a gap; -EIO: the domain is quarantined. */
int domain_grow(struct iommu_domain *domain, uint64_t last);

#endif
