/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * domain.c - cases of the domain layer.
 *
 * The scene: a group of one or two devices that goes from one domain to another; where tags are shared, a group of one device in
 * either domain; where they are private, a group that is attached to a third domain right after replace has returned, and gets
 * the lowest tag that is free then. Each domain maps the same few addresses to pages of its own, but one that both map alike.
 *
 * The scene is set up and replace is called by the public API, on the machine of driver.c; the steps are the recording. For a
 * mapper it is all done again, once per moment at which its domain's tags could have changed: after the n-th unlock of the domain
 * iommu_unmap() is called in the middle of the replace, and recorded. What unmap does depends on nothing else: it holds the
 * domain's lock from beginning to end.
 */
#include "domain.h"
#include "report.h"
#include "scene.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Actors ---- */

static void actor(struct xp_case *c, enum xp_role role, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access,
		  enum iommu_request_kind kind)
{
	if (c->nactors < XP_MAX_ACTORS)
		c->actors[c->nactors++] = (struct xp_actor){ role, rid, pasid, iova, (uint8_t)access, (uint8_t)kind };
}

/* Untranslated, and by way of the device's own TLB if it may have one. */
static void actors(struct xp_case *c, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access, bool ats)
{
	actor(c, XP_DEVICE, rid, pasid, iova, access, IOMMU_REQUEST_UNTRANSLATED);
	if (!ats)
		return;
	actor(c, XP_DEVICE, rid, pasid, iova, access, IOMMU_REQUEST_TRANSLATION);
	actor(c, XP_DEVICE, rid, pasid, iova, access, IOMMU_REQUEST_TRANSLATED);
}

/* Who else is about: `iova` by reading, and with write, another page by writing. */
static void add_bystanders(const struct xp_scene *s, struct xp_case *c, uint64_t iova, bool write)
{
	const struct hitless_domain_cell *cell = s->cell;
	const uint32_t none = IOMMU_NO_PASID;
	struct {
		bool there;
		enum xp_role role;
		uint32_t rid, pasid;
	} who[] = {
		{ s->bystanders[XP_SIDE_OLD] != NULL, XP_OLD, XP_RID_OLD, none },
		{ s->bystanders[XP_SIDE_NEW] != NULL, XP_NEW, XP_RID_NEW, xp_of_pasid(cell) ? xp_the_pasid(cell) : none },
		{ xp_of_pasid(cell) && !cell->private_tags, xp_passes(&cell->from) ? XP_OLD : XP_SIBLING, XP_RID_DEVICE, XP_PASID_BESIDE },
		{ xp_of_pasid(cell), XP_SIBLING, XP_RID_DEVICE, none },
		{ cell->pasid == HITLESS_PASID_BESIDE, XP_SIBLING, XP_RID_DEVICE, XP_PASID_BESIDE },
	};

	for (unsigned i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		if (!who[i].there)
			continue;
		actor(c, who[i].role, who[i].rid, who[i].pasid, iova, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		if (write)
			actor(c, who[i].role, who[i].rid, who[i].pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
}

static void add_actors(const struct xp_scene *s, struct xp_case *c, enum hitless_mapper mapper, bool ats)
{
	const struct hitless_domain_cell *cell = s->cell;
	const uint32_t pasid = xp_of_pasid(cell) ? xp_the_pasid(cell) : IOMMU_NO_PASID;

	if (mapper != HITLESS_MAPPER_NONE) {
		uint64_t iova = xp_mapper_iova(mapper);

		actors(c, XP_RID_DEVICE, pasid, iova, IOMMU_READ, ats);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		if (cell->devices > 1)
			actors(c, XP_RID_SECOND, pasid, iova, IOMMU_READ, ats);
		add_bystanders(s, c, iova, false);
		return;
	}
	actors(c, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, ats);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	actors(c, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, ats);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SAME, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_LARGE, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	if (cell->devices > 1) {
		actors(c, XP_RID_SECOND, pasid, XP_IOVA_SMALL, IOMMU_READ, ats);
		actor(c, XP_DEVICE, XP_RID_SECOND, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	add_bystanders(s, c, XP_IOVA_SMALL, true);
	if (s->bystanders[XP_SIDE_NEXT]) {
		actor(c, XP_NEXT, XP_RID_NEXT, IOMMU_NO_PASID, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_NEXT, XP_RID_NEXT, IOMMU_NO_PASID, XP_IOVA_RIGHTS, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	}
}

/* ---- A case ---- */

/* Every wait has a status word of its own. */
static bool waits_differ(const struct xp_case *c)
{
	for (unsigned i = 0; i < c->steps.n; i++) {
		const struct xp_op *a = &c->steps.v[i];

		if (a->kind != XP_WAIT || a->by_head)
			continue;
		for (unsigned k = i + 1; k < c->steps.n; k++) {
			if (c->steps.v[k].kind == XP_WAIT && c->steps.v[k].addr == a->addr)
				return false;
		}
		for (unsigned list = 0; list < c->mapper.nlists; list++) {
			for (unsigned k = 0; k < c->mapper.lists[list].n; k++) {
				if (c->mapper.lists[list].v[k].kind == XP_WAIT && c->mapper.lists[list].v[k].addr == a->addr)
					return false;
			}
		}
	}
	return true;
}

static void *copy_of(const void *memory, size_t bytes)
{
	void *copy = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	return copy ? memcpy(copy, memory, bytes) : NULL;
}

static int take_picture(const struct xp_scene *s, struct xp_case *c)
{
	const struct xp_host *h = &s->host;
	size_t prefix = xp_prefix_bytes(h->arch->model, &h->config);

	c->ops = h->arch->model;
	c->config = h->config;
	c->pages = XP_MAX_PAGES;
	c->ram = copy_of(h->ram, XP_MAX_PAGES * XP_PAGE);
	c->state = copy_of(h->model.state, h->state_bytes);
	c->queue = h->queue;
	c->thorough = s->cell->thorough;
	c->any_run = s->cell->mutant != 0;
	c->noncoherent = s->cell->noncoherent;
	c->max_places = 200000;
	if (!c->ram || !c->state)
		return -ENOMEM;
	memset((char *)c->state + prefix, 0, h->state_bytes - prefix);
	return 0;
}

static void find_return(struct xp_case *c)
{
	c->returned = 0;
	for (unsigned i = 0; i < c->steps.n; i++) {
		if (c->steps.v[i].kind == XP_RETURN)
			c->returned = i + 1;
	}
}

/* Batches of commands become one step each, so that they can be damaged one by one. */
static void split_batches(struct xp_ops *ops)
{
	struct xp_ops split = { 0 };

	for (unsigned i = 0; i < ops->n; i++) {
		struct xp_op op = ops->v[i];

		if (op.kind != XP_SUBMIT || !op.nbulk) {
			xp_op_add(&split, &op);
			continue;
		}
		for (unsigned k = 0; k < op.nbulk; k++) {
			struct xp_op one = { .kind = XP_SUBMIT };

			memcpy(one.words, op.bulk[k], 16);
			snprintf(one.text, sizeof(one.text), "command %u of: %.140s", k + 1, op.text);
			xp_op_add(&split, &one);
		}
		free(op.bulk);
	}
	free(ops->v);
	*ops = split;
}

int xp_domain_mutate(const struct hitless_domain_cell *cell, struct xp_case *c, char *text, size_t size)
{
	struct xp_ops tail = { 0 };
	int err;

	split_batches(&c->steps);
	find_return(c);
	/* What comes after is no part of replace. */
	for (unsigned i = c->returned; c->returned && i < c->steps.n; i++)
		xp_op_add(&tail, &c->steps.v[i]);
	c->steps.n -= tail.n;
	err = xp_mutate(xp_arch_find(cell->arch, NULL), &c->steps, cell->mutant, text, size);
	for (unsigned i = 0; i < tail.n; i++)
		xp_op_add(&c->steps, &tail.v[i]);
	free(tail.v);
	find_return(c);
	return err;
}

unsigned xp_domain_count_mutants(const struct hitless_domain_cell *cell, struct xp_case *c)
{
	split_batches(&c->steps);
	find_return(c);
	if (c->returned)
		c->steps.n = c->returned;
	return xp_count_mutants(xp_arch_find(cell->arch, NULL), &c->steps);
}

/* Replace has returned: what comes after, and the case is complete but for the mapper. */
static int finish(struct xp_scene *s, struct xp_case *c, enum hitless_mapper mapper, const struct iommu_replace_report *report,
		  bool ats)
{
	int err = 0;

	if (s->bystanders[XP_SIDE_NEXT] && mapper == HITLESS_MAPPER_NONE) {
		xp_host_sync(&s->host);
		xp_op_add(&c->steps, &(struct xp_op){ .kind = XP_RETURN, .text = "replace has returned; another group is attached" });
		err = iommu_attach_group(s->bystanders[XP_SIDE_NEXT], s->domains[XP_SIDE_NEXT]);
	}
	xp_stop_recording(s);
	if (err)
		return err;
	if (s->host.deadlock || s->host.full)
		return s->host.full ? -E2BIG : -EDEADLK;
	find_return(c);
	c->disruptive = !report->hitless;
	c->from_blocked = !xp_passes(&s->cell->from);
	c->ats = ats;
	c->ram_after = copy_of(s->host.ram, XP_MAX_PAGES * XP_PAGE);
	if (!c->ram_after)
		return -ENOMEM;
	add_actors(s, c, mapper, ats || xp_host_ats(&s->host, XP_RID_DEVICE));
	return 0;
}

int xp_domain_build(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, struct xp_case *c,
		    struct iommu_replace_report *report)
{
	struct xp_scene s;
	bool ats;
	int err;

	memset(c, 0, sizeof(*c));
	memset(report, 0, sizeof(*report));
	err = xp_scene_open(&s, cell);
	if (!err)
		err = take_picture(&s, c);
	if (err)
		goto out;
	ats = xp_host_ats(&s.host, XP_RID_DEVICE);
	xp_start_recording(&s, &c->steps);
	err = xp_scene_replace(&s, report);
	if (!err)
		err = finish(&s, c, mapper, report, ats);
	if (!err && mapper != HITLESS_MAPPER_NONE)
		err = xp_add_mapper(&s, mapper, c);
	if (!err && !waits_differ(c))
		err = -E2BIG;
	if (!err)
		xp_simplify_locks(c);
out:
	xp_scene_close(&s);
	if (err)
		xp_case_free(c);
	return err;
}

/* ---- Failures ---- */

/* After a replace that has failed: is all as it was? */
static int compare(const struct xp_scene *s, const struct xp_case *before, unsigned pages, unsigned live, size_t heap, uint32_t tags,
		   char *detail, size_t size)
{
	const struct xp_host *h = &s->host;
	struct iommu_unit_info info;

	iommu_unit_get_info(s->unit, &info);
	for (unsigned i = 0; i < before->steps.n; i++) {
		const struct xp_op *op = &before->steps.v[i];

		/* Pages that were allocated for nothing may have been filled, and go back. */
		if (xp_visible(op) && op->kind != XP_FREE && (op->kind != XP_BULK || op->bulk[0][0] < pages * XP_PAGE)) {
			snprintf(detail, size, "the hardware has seen: %.120s", op->text);
			return -EUCLEAN;
		}
	}
	for (uint64_t i = 0; i < pages * XP_PAGE_WORDS; i++) {
		if (h->ram[i] != before->ram[i]) {
			snprintf(detail, size, "the word at 0x%llx was 0x%llx and is 0x%llx", (unsigned long long)i * 8,
				 (unsigned long long)before->ram[i], (unsigned long long)h->ram[i]);
			return -EUCLEAN;
		}
	}
	if (info.tags_used != tags) {
		snprintf(detail, size, "%u tags were in use, and %u are", tags, info.tags_used);
		return -EUCLEAN;
	}
	if (h->heap_live != heap || h->live_pages != live) {
		snprintf(detail, size, "%zu bytes and %u pages were allocated, and %zu and %u are", heap, live, h->heap_live,
			 h->live_pages);
		return -EUCLEAN;
	}
	return 0;
}

int xp_domain_fail(const struct hitless_domain_cell *cell, unsigned n, struct xp_case *c, struct iommu_replace_report *report,
		   char *detail, size_t size)
{
	struct iommu_unit_info info;
	struct xp_scene s;
	unsigned pages, live;
	size_t heap;
	bool ats;
	int err;

	memset(c, 0, sizeof(*c));
	memset(report, 0, sizeof(*report));
	err = xp_scene_open(&s, cell);
	if (!err)
		err = take_picture(&s, c);
	if (err)
		goto out;
	iommu_unit_get_info(s.unit, &info);
	pages = s.host.pages;
	live = s.host.live_pages;
	heap = s.host.heap_live;
	ats = xp_host_ats(&s.host, XP_RID_DEVICE);
	xp_start_recording(&s, &c->steps);
	s.host.fail_at = n;
	s.host.keeps = cell->fault && (cell->fault->bits & HITLESS_FAILURE_KEEPS);
	err = xp_scene_replace(&s, report);
	if (!err && s.host.fail_at) {
		err = -ENOENT; /* it hasn't come to that */
		goto out;
	}
	if (err) {
		char what[160];

		xp_stop_recording(&s);
		err = compare(&s, c, pages, live, heap, info.tags_used, what, sizeof(what));
		if (s.host.failed)
			snprintf(detail, size, "allocation %u failed: %s", n, err ? what : "all is as it was");
		else
			snprintf(detail, size, "it was refused: %s", err ? what : "all is as it was");
		goto out;
	}
	err = finish(&s, c, HITLESS_MAPPER_NONE, report, ats);
	if (!err) {
		xp_simplify_locks(c);
		err = 1;
	}
out:
	xp_scene_close(&s);
	if (err != 1)
		xp_case_free(c);
	return err;
}
