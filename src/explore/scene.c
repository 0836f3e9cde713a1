/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* scene.c - sets up the scene of a cell of the domain layer by the public API, and has the replace done. */
#include "scene.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* ---- Setting it up ---- */

static const struct iommu_domain_desc *desc_of(const struct xp_scene *s, unsigned side)
{
	return side == XP_SIDE_OLD ? &s->cell->from : &s->cell->to;
}

static bool is_nested(const struct iommu_domain_desc *desc)
{
	return desc->type == IOMMU_DOMAIN_NESTED;
}

uint64_t xp_scene_mapped_at(const struct xp_scene *s, unsigned side, uint64_t iova)
{
	return s->mapped[side] == s->domains[side] ? iova : xp_guest_address(side, iova);
}

/* What is at each address, from xp_scene_data() on, and how large. */
static int fill_domain(struct xp_scene *s, unsigned side)
{
	const uint64_t to = xp_scene_data(side);
	const unsigned both = IOMMU_READ | IOMMU_WRITE;
	const bool odd = side & 1;
	const struct {
		uint64_t iova, phys, size;
		unsigned prot;
	} pages[] = {
		{ XP_IOVA_SMALL, to, XP_PAGE, both },
		{ XP_IOVA_RIGHTS, to + 0x1000, XP_PAGE, odd ? both : IOMMU_READ },
		{ XP_IOVA_SAME, XP_PHYS_SAME, XP_PAGE, both },
		{ XP_IOVA_GONE, to + 0x5000, XP_PAGE, both },
		{ XP_IOVA_ALONE, to + 0x6000, XP_PAGE, both },
		{ XP_IOVA_LARGE, to + 0x200000, odd ? 0x200000 : XP_PAGE, both },
	};
	int err = 0;

	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]) && !err; i++)
		err = iommu_map(s->mapped[side], xp_scene_mapped_at(s, side, pages[i].iova), pages[i].phys, pages[i].size, pages[i].prot);
	return err;
}

static void find_lock(struct xp_scene *s, unsigned side)
{
	uint64_t phys;

	/* That takes its lock and no other. */
	(void)iommu_iova_to_phys(s->mapped[side], 0, &phys);
	s->domain_locks[side] = s->host.last_lock;
}

static int add_domain(struct xp_scene *s, unsigned side, const struct iommu_domain_desc *desc)
{
	int err = iommu_domain_alloc(s->unit, desc, &s->domains[side]);

	if (err || desc->type != IOMMU_DOMAIN_PAGING)
		return err;
	s->mapped[side] = s->domains[side];
	find_lock(s, side);
	return fill_domain(s, side);
}

/* The guest's second stage. Of the first guest: where the other side is one, it is that. */
static int find_parent(struct xp_scene *s, unsigned side, unsigned number)
{
	const struct iommu_domain_desc second = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };
	const struct iommu_domain_desc *other = desc_of(s, !side);
	struct iommu_domain **guest = &s->guests[number];
	int err = 0;

	if (!*guest) {
		if (!number && other->type == IOMMU_DOMAIN_PAGING && other->stage == 2)
			*guest = s->domains[!side];
		else
			err = iommu_domain_alloc(s->unit, &second, guest);
		if (!err)
			err = iommu_map(*guest, XP_GUEST_RAM, 0, XP_MAX_PAGES * XP_PAGE, IOMMU_READ | IOMMU_WRITE);
	}
	s->mapped[side] = *guest;
	return err;
}

/* The guest's tables: its own memory, from where the host's ends. */
static uint64_t make_guest_tables(struct xp_scene *s, unsigned side, uint64_t *page)
{
	static const uint64_t iovas[] = { XP_IOVA_SMALL, XP_IOVA_RIGHTS, XP_IOVA_SAME, XP_IOVA_GONE, XP_IOVA_ALONE, XP_IOVA_LARGE };
	struct xp_host *h = &s->host;
	struct xp_builder b = { .ram = h->ram, .next = h->pages, .offset = XP_GUEST_RAM };
	uint64_t root = b.next++ * XP_PAGE;

	*page = b.next++ * XP_PAGE;
	for (unsigned i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++)
		xp_map(&b, h->arch->driver->guest_format, root, iovas[i], xp_guest_address(side, iovas[i]), 1, true);
	h->live_pages += b.next - h->pages;
	h->pages = b.next;
	return root;
}

/* In the guest of that number, under its own `tag`. */
static int add_nested(struct xp_scene *s, unsigned side, unsigned number, unsigned tag)
{
	const struct xp_driver *driver = s->host.arch->driver;
	uint64_t entry[IOMMU_GUEST_ENTRY_WORDS] = { 0 }, root, page;
	struct iommu_guest_entry guest;
	size_t bytes;
	int err = find_parent(s, side, number);

	if (err)
		return err;
	find_lock(s, side);
	root = make_guest_tables(s, side, &page);
	bytes = driver->guest_entry(&s->host.ram[page / 8], page + XP_GUEST_RAM, root + XP_GUEST_RAM, tag, entry);
	err = iommu_guest_entry_read(s->unit, entry, bytes, &guest);
	if (!err)
		err = iommu_domain_alloc_nested(s->mapped[side], &guest, &s->domains[side]);
	/* The newest one. Unmap in the parent takes it, too, and the parent may be the other side. */
	s->nested_locks[side] = driver->parents_tag ? 0 : s->host.nlocks - 1;
	if (s->domains[!side] == s->mapped[side])
		s->nested_locks[!side] = s->nested_locks[side];
	return err ? err : fill_domain(s, side);
}

/* Parents first. */
static int add_domains(struct xp_scene *s)
{
	int err = 0;

	for (unsigned side = XP_SIDE_OLD; side <= XP_SIDE_NEW && !err; side++)
		if (!is_nested(desc_of(s, side)))
			err = add_domain(s, side, desc_of(s, side));
	if (!err && (is_nested(&s->cell->from) || is_nested(&s->cell->to)))
		err = s->host.arch->driver->enable_nesting(s->unit);
	/* The tags differ, as they must behind one parent. */
	for (unsigned side = XP_SIDE_OLD; side <= XP_SIDE_NEW && !err; side++)
		if (is_nested(desc_of(s, side)))
			err = add_nested(s, side, desc_of(s, side)->levels, side + 1);
	return err;
}

/*
 * A third domain, which gets the lowest tag that is free by then: with private tags the old domain's, with shared ones that of a stand-in, or
 * another that was in use for a while. After a guest's it is another guest's, that has the same tag for itself: what
 * is left under the two would be found by nobody else.
 */
static int add_next(struct xp_scene *s)
{
	const struct iommu_domain_desc *from = &s->cell->from, *to = &s->cell->to;
	/* Of the kind whose tag comes free: stages may have tags of their own. */
	const struct iommu_domain_desc *like = from->type == IOMMU_DOMAIN_PAGING && (s->cell->private_tags || !xp_passes(to)) ? from : to;
	const struct iommu_domain_desc next = {
		.type = IOMMU_DOMAIN_PAGING,
		.stage = is_nested(like) ? 2 : like->stage,
		.levels = is_nested(like) ? 0 : like->levels,
	};

	return is_nested(&s->cell->from) ? add_nested(s, XP_SIDE_NEXT, 2, XP_SIDE_OLD + 1) : add_domain(s, XP_SIDE_NEXT, &next);
}

static int add_group(struct xp_scene *s, const uint32_t *rids, unsigned count, bool ats, struct iommu_group **group,
		     struct iommu_device **first)
{
	int err = iommu_group_alloc(&s->host.port, group);

	for (unsigned i = 0; i < count && !err; i++) {
		struct iommu_device_desc desc = {
			.unit = s->unit,
			.rids = { rids[i] },
			.nrids = 1,
			.ats = ats,
			.pasid_bits = !s->cell->pasid ? 0 : xp_the_pasid(s->cell) == XP_PASID_FAR ? 20 : 4,
		};
		struct iommu_device *device = NULL;

		xp_host_add_function(&s->host, rids[i]);
		err = iommu_group_add_device(*group, &desc, &device);
		if (!i)
			*first = device;
	}
	return err;
}

/* A device that comes for that alone goes there, sets all accessed and dirty flags, and leaves: then no walk writes any more. */
static int warm_up(struct xp_scene *s, unsigned side)
{
	/* The first is read-only in the old domain. */
	static const uint64_t iovas[] = { XP_IOVA_RIGHTS, XP_IOVA_SMALL, XP_IOVA_LARGE, XP_IOVA_SAME, XP_IOVA_GONE, XP_IOVA_ALONE };
	static const uint32_t rid = XP_RID_WARM;
	struct iommu_device *device = NULL;
	struct iommu_group *group = NULL;
	int err;

	if (!s->domain_locks[side])
		return 0; /* no tables */
	err = add_group(s, &rid, 1, false, &group, &device);
	if (!err)
		err = iommu_attach_group(group, s->domains[side]);
	for (unsigned i = 0; i < sizeof(iovas) / sizeof(iovas[0]) && !err; i++)
		xp_host_dma(&s->host, rid, iovas[i], i || side != XP_SIDE_OLD ? IOMMU_READ | IOMMU_WRITE : IOMMU_READ);
	if (!err)
		err = iommu_detach_group(group);
	if (!err)
		err = iommu_group_remove_device(group, device);
	return err ? err : iommu_group_free(group);
}

/*
 * A cell of a PASID. Requests without PASID are in a domain of their own. With shared tags another PASID of the devices is in the old
 * domain, if that is one, and the PASID of another device in the new one.
 */
static int populate_pasids(struct xp_scene *s)
{
	const struct iommu_domain_desc keep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
	const struct hitless_domain_cell *cell = s->cell;
	static const uint32_t rid_new = XP_RID_NEW;
	int err = add_domain(s, XP_SIDE_KEEP, &keep);

	if (!err)
		err = warm_up(s, XP_SIDE_KEEP);
	if (!err && xp_passes(&cell->from))
		err = iommu_attach_device_pasid(s->device, xp_the_pasid(cell), s->domains[XP_SIDE_OLD], NULL);
	if (!err && !cell->private_tags)
		err = iommu_attach_device_pasid(s->device, XP_PASID_BESIDE, s->domains[xp_passes(&cell->from) ? XP_SIDE_OLD : XP_SIDE_KEEP], NULL);
	/* Where tables for PASIDs can only be had while the device is blocked, now is the time. */
	if (!err)
		err = iommu_attach_group(s->group, s->domains[XP_SIDE_KEEP]);
	if (err || cell->private_tags || !xp_passes(&cell->to))
		return err;
	err = add_group(s, &rid_new, 1, false, &s->bystanders[XP_SIDE_NEW], &s->new_device);
	return err ? err : iommu_attach_device_pasid(s->new_device, xp_the_pasid(cell), s->domains[XP_SIDE_NEW], NULL);
}

/* Requests without PASID; with PASIDs beside, one of those comes first. */
static int attach_old(struct xp_scene *s)
{
	const struct iommu_domain_desc keep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
	int err = 0;

	if (s->cell->pasid == HITLESS_PASID_BESIDE) {
		err = add_domain(s, XP_SIDE_KEEP, &keep);
		if (!err)
			err = warm_up(s, XP_SIDE_KEEP);
		if (!err)
			err = iommu_attach_device_pasid(s->device, XP_PASID_BESIDE, s->domains[XP_SIDE_KEEP], NULL);
	}
	return err ? err : iommu_attach_group(s->group, s->domains[XP_SIDE_OLD]);
}

int xp_scene_open(struct xp_scene *s, const struct hitless_domain_cell *cell)
{
	static const uint32_t group[] = { XP_RID_DEVICE, XP_RID_SECOND }, others[] = { XP_RID_OLD, XP_RID_NEW, XP_RID_NEXT };
	const struct xp_arch *arch = xp_arch_find(cell->arch, NULL);
	struct iommu_device *ignored;
	struct iommu_model_config config = xp_config(cell->freedoms, cell->quantum);
	int err;

	memset(s, 0, sizeof(*s));
	s->cell = cell;
	if (cell->devices < 1 || cell->devices > 2)
		return -EINVAL;
	if (cell->noncoherent && !arch->driver->noncoherent)
		return -EINVAL;
	if (arch->driver->capabilities)
		arch->driver->capabilities(cell->noncoherent, config.capabilities);
	err = xp_host_open(&s->host, arch, &config, cell->quantum == 16, cell->noncoherent, &s->unit);
	if (!err)
		err = add_domains(s);
	if (!err)
		err = warm_up(s, XP_SIDE_NEW);
	if (!err)
		err = warm_up(s, XP_SIDE_OLD);
	if (!err)
		err = add_group(s, group, cell->devices, !cell->no_ats, &s->group, &s->device);
	if (!err)
		err = xp_of_pasid(cell) ? populate_pasids(s) : attach_old(s);
	for (unsigned side = XP_SIDE_OLD; side <= XP_SIDE_NEW && !err && !cell->private_tags && !xp_of_pasid(cell); side++) {
		if (!xp_passes(side == XP_SIDE_OLD ? &cell->from : &cell->to))
			continue;
		err = add_group(s, &others[side], 1, false, &s->bystanders[side], &s->new_device);
		if (!err)
			err = iommu_attach_group(s->bystanders[side], s->domains[side]);
	}
	if (!err)
		err = add_next(s);
	if (!err)
		err = add_group(s, &others[XP_SIDE_NEXT], 1, false, &s->bystanders[XP_SIDE_NEXT], &ignored);
	return err ? err : warm_up(s, XP_SIDE_NEXT);
}

void xp_scene_close(struct xp_scene *s)
{
	xp_host_close(&s->host);
}

/* ---- Replace ---- */

/* A fault's edit may keep its steps in an array that all threads share. */
static pthread_mutex_t editing = PTHREAD_MUTEX_INITIALIZER;

static void review(void *ctx, struct iommu_plan *plan)
{
	const struct xp_host *host = ctx;

	host->edit(host->arch->name, plan);
}

int xp_scene_replace(struct xp_scene *s, struct iommu_replace_report *report)
{
	const struct hitless_fault *fault = s->cell->fault;
	const struct iommu_replace_options options = { .strategies = s->cell->strategies };
	int err;

	if (fault && fault->edit) {
		pthread_mutex_lock(&editing);
		s->host.edit = fault->edit;
		s->host.port.review = review;
	}
	if (!xp_of_pasid(s->cell))
		err = iommu_group_replace_domain(s->group, s->domains[XP_SIDE_NEW], &options, report);
	else if (!xp_passes(&s->cell->from))
		err = iommu_attach_device_pasid(s->device, xp_the_pasid(s->cell), s->domains[XP_SIDE_NEW], NULL);
	else if (!xp_passes(&s->cell->to))
		err = iommu_detach_device_pasid(s->device, xp_the_pasid(s->cell));
	else
		err = iommu_replace_device_pasid(s->device, xp_the_pasid(s->cell), s->domains[XP_SIDE_NEW], &options, report);
	/* Attach and detach report nothing: a PASID comes or goes. */
	if (xp_of_pasid(s->cell) && !(xp_passes(&s->cell->from) && xp_passes(&s->cell->to)))
		*report = (struct iommu_replace_report){ .hitless = true, .cost = s->host.cost };
	if (fault && fault->edit) {
		s->host.port.review = NULL;
		pthread_mutex_unlock(&editing);
	}
	return err;
}

void xp_start_recording(struct xp_scene *s, struct xp_ops *ops)
{
	struct xp_host *h = &s->host;

	memcpy(h->shadow, h->ram, XP_MAX_PAGES * XP_PAGE);
	h->record = ops;
	h->step = NULL;
	h->commands[0] = '\0';
	h->wrote_at = 0;
	h->submitted = false;
	memset(&h->cost, 0, sizeof(h->cost));
}

void xp_stop_recording(struct xp_scene *s)
{
	xp_host_sync(&s->host);
	s->host.record = NULL;
}
