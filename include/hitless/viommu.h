/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/viommu.h - a guest's virtual IOMMU of the same architecture as the host's, upon nested domains (hitless/iommu.h,
 * "Nesting").
 *
 * A VMM emulates the unit's registers and finds the guest's entries; this layer turns what they say into domains and what changes in them
 * into replaces. There is a domain per *translation*, keyed by what the guest's entry says of it and shared by all devices whose
 * entries say the same, and none per device: an entry that blocks is the blocking domain, one that doesn't translate is the guest's
 * memory (`parent`), one with a first stage is a nested domain. Whatever changes is one replace, without a gap where the hardware allows it,
 * whatever the size of the guest.
 *
 * Locking: calls with the same viommu exclude each other; everything may be called from any thread.
 */
#ifndef HITLESS_VIOMMU_H
#define HITLESS_VIOMMU_H

#include <hitless/iommu.h>

HITLESS_BEGIN

struct viommu;

/* What viommu_desc.entry() returns while the guest's unit translates nothing: the device is in the guest's memory. */
HITLESS_API extern const uint64_t viommu_untranslated;

struct viommu_desc {
	struct iommu_unit *unit;		/* the host's, on which X_enable_nesting() was called */
	const struct hitless_port *port;	/* the unit's */
	struct iommu_domain *parent;		/* a second stage that maps the guest's memory; stays the caller's */
	struct iommu_domain *bypass;		/* for entries that don't translate; NULL: the parent */
	/*
	 * Where the guest's entry of a device is, in memory that the guest may change meanwhile, of iommu_guest_entry_bytes(), aligned to
	 * 8; NULL: there is none, which blocks; &viommu_untranslated: the guest has not turned translation on. `pasid`: of requests without (IOMMU_NO_PASID); VT-d: or with that PASID. Called under
	 * the viommu's lock: it must not call anything here.
	 */
	const void *(*entry)(void *ctx, uint32_t guest_rid, uint32_t pasid);
	/* VT-d: the PASID under which requests without are looked up (9.4, RID_PASID). NULL: 0. */
	uint32_t (*rid_pasid)(void *ctx, uint32_t guest_rid);
	void *ctx;
	const struct iommu_attach_handle *handle; /* of all attachments: who hears of faults; may be NULL */
};

/* -EINVAL: something is missing; -ENOMEM. The unit, the port and the domains must outlive it. */
HITLESS_API int viommu_create(const struct viommu_desc *desc, struct viommu **viommu);

/* -EBUSY while it has devices. */
HITLESS_API int viommu_destroy(struct viommu *viommu);

/*
 * The guest knows the device by `guest_rid` from now on, and it goes from whatever it is in to where the guest's entry says, in one replace. The
 * group has this device alone, and is the caller's own (iommu_group_claim_dma_owner()), so that it is blocked when the device leaves.
 * -EEXIST: the guest has a device with that id; -EINVAL: no device of the group, or, with -EOPNOTSUPP, an entry that is refused: the
 * device is added then, and blocked; others as iommu_group_replace_domain(): it is not.
 */
HITLESS_API int viommu_add_device(struct viommu *viommu, struct iommu_group *group, struct iommu_device *device, uint32_t guest_rid);

/* The device is blocked, its PASIDs too. -ENOENT: no such device; as iommu_detach_group(). */
HITLESS_API int viommu_remove_device(struct viommu *viommu, uint32_t guest_rid);

struct viommu_report {
	bool replaced;				/* something has changed for the device */
	struct iommu_replace_report replace;	/* ... how, if it was a replace */
	const char *field;			/* of the guest's entry, that was refused; NULL: none */
};

/*
 * The guest's entry of a device may have changed: reads it once, and replaces the domain if it says something else. `report` may be NULL.
 * -ENOENT: no such device; -EINVAL, -EOPNOTSUPP: the entry is refused (`field` names the field): the device is blocked, as by a unit that
 * rejects the entry; other errors: those of iommu_group_replace_domain() or, for a PASID, of attaching one: the device is where it was.
 */
HITLESS_API int viommu_entry_changed(struct viommu *viommu, uint32_t guest_rid, uint32_t pasid, struct viommu_report *report);

/*
 * A command from the guest's queue, in the architecture's format: reads it once and carries it out on the guest's own translations and
 * devices: what it says of entries is followed by viommu_entry_changed() of every device that it is about. When it returns, the command is done.
 * `field` (may be NULL) names the field that was refused, of the command or of an entry.
 * -EINVAL, -EOPNOTSUPP: the command is refused and nothing was done, or an entry was; -EIO: the hardware does not answer; others as
 * viommu_entry_changed(): all other devices were served.
 */
HITLESS_API int viommu_command(struct viommu *viommu, const void *command, size_t bytes, const char **field);

struct viommu_info {
	unsigned devices;
	unsigned domains;			/* nested ones that are in use: one per translation */
	uint64_t replaces, hitless;		/* how many, and how many of them without a gap */
	uint64_t commands;
	size_t bytes;				/* that this layer has allocated; nested domains have no page tables */
};

HITLESS_API void viommu_get_info(struct viommu *viommu, struct viommu_info *info);

HITLESS_END

#endif
