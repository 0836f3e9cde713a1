/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* scene.h - where a replace of the domain layer takes place: domains, groups, their devices. See domain.c. */
#ifndef EXPLORE_SCENE_H
#define EXPLORE_SCENE_H

#include "driver.h"
#include "setup.h"

/* As in setup.h, and more. */
#define XP_RID_WARM 0x08u
#define XP_RID_SECOND 0x18u
#define XP_RID_NEXT 0x28u

#define XP_IOVA_SAME 0x602000ull		/* the same page in both */
#define XP_IOVA_GONE 0x605000ull		/* the mapper's */
#define XP_IOVA_ALONE 0x40000000ull	/* the mapper's, with no other page in its table */
#define XP_ALONE_SPAN 0x400000ull		/* more than its table maps: that goes with it, and not into idleness */
#define XP_PHYS_SAME 0x180000000ull

/* XP_SIDE_KEEP: where PASIDs are about; what those are in that stay where they are. */
enum { XP_SIDE_OLD, XP_SIDE_NEW, XP_SIDE_NEXT, XP_SIDE_KEEP, XP_SIDES };

/* The PASID that is replaced, and one of the same device beside it. One that is attached lies far from that: tables grow. */
#define XP_PASID_NEAR 1u
#define XP_PASID_FAR 0x12345u
#define XP_PASID_BESIDE 2u

/* A nested domain is behind a guest's second stage: that maps all RAM there, for the guest's tables, and the pages of the domain at addresses of
 * the guest's. */
#define XP_GUEST_RAM 0x10000000ull

static inline uint64_t xp_guest_address(unsigned side, uint64_t iova)
{
	return iova + ((side + 1ull) << 32);
}

/* Where the pages of a domain lie. */
static inline uint64_t xp_scene_data(unsigned side)
{
	return 0x100000000ull + side * 0x10000000ull;
}

struct xp_scene {
	const struct hitless_domain_cell *cell;
	struct xp_host host;
	struct iommu_unit *unit;
	struct iommu_domain *domains[XP_SIDES], *mapped[XP_SIDES]; /* mapped: the domain itself, or its parent */
	struct iommu_domain *guests[3];	/* second stages that nested domains are behind */
	struct iommu_group *group, *bystanders[XP_SIDES];
	struct iommu_device *device, *new_device;	/* the first of the group; the one in the new domain */
	unsigned domain_locks[XP_SIDES], nested_locks[XP_SIDES]; /* of `mapped`; of a domain with tags of its own that is nested in it, or 0 */
	/* A mapper that is recorded now. */
	struct iommu_domain *unmap_from;
	unsigned unmap_lock, unmap_nested_lock;
	uint64_t unmap_iova, unmap_size;
	unsigned countdown;		/* unlocks until it runs; 0: never */
	unsigned first_slot, first_wait;
	struct xp_ops *list;
	int64_t unmapped;
};

/* Is it about the domain of a PASID? Which? Does a domain let anything through? */
static inline bool xp_of_pasid(const struct hitless_domain_cell *cell)
{
	return cell->pasid == HITLESS_PASID_REPLACED;
}

static inline bool xp_passes(const struct iommu_domain_desc *desc)
{
	return desc->type != IOMMU_DOMAIN_BLOCKED;
}

static inline uint32_t xp_the_pasid(const struct hitless_domain_cell *cell)
{
	return xp_passes(&cell->from) ? XP_PASID_NEAR : XP_PASID_FAR;
}

/* ---- scene.c ---- */

/* Everything is there, and nothing is recorded yet. Errors as hitless_check_domain(); xp_scene_close() in any case. */
int xp_scene_open(struct xp_scene *s, const struct hitless_domain_cell *cell);
void xp_scene_close(struct xp_scene *s);
/* What the cell is about. */
int xp_scene_replace(struct xp_scene *s, struct iommu_replace_report *report);
void xp_start_recording(struct xp_scene *s, struct xp_ops *ops);
void xp_stop_recording(struct xp_scene *s);

/* The address at which a domain, or its parent, maps what is at `iova`. */
uint64_t xp_scene_mapped_at(const struct xp_scene *s, unsigned side, uint64_t iova);

/* ---- mapper.c ---- */

bool xp_mapper_is_old(enum hitless_mapper mapper);
uint64_t xp_mapper_iova(enum hitless_mapper mapper);
/* All lists, and which of them starts where. The scene's locks say when the tags could have changed. */
int xp_add_mapper(const struct xp_scene *scene, enum hitless_mapper mapper, struct xp_case *c);

/* ---- locks.c ---- */

/* Can anybody else see the step? */
bool xp_visible(const struct xp_op *op);
/* What keeps nobody out is no step: locks that only one of the two takes, or over one visible step at a time. */
void xp_simplify_locks(struct xp_case *c);

#endif
