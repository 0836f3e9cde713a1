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
#include "driver.h"
#include "report.h"
#include "setup.h"
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in setup.h, and more. */
#define RID_WARM 0x08u
#define RID_SECOND 0x18u
#define RID_NEXT 0x28u

#define IOVA_SAME 0x602000ull		/* the same page in both */
#define IOVA_GONE 0x605000ull		/* the mapper's */
#define IOVA_ALONE 0x40000000ull	/* the mapper's, with no other page in its table */
#define ALONE_SPAN 0x400000ull		/* more than its table maps: that goes with it, and not into idleness */
#define PHYS_SAME 0x180000000ull

/* KEEP: where PASIDs are about; what those are in that stay where they are. */
enum { OLD, NEW, NEXT, KEEP, SIDES };

/* The PASID that is replaced, and one of the same device beside it. One that is attached lies far from that: tables grow. */
#define PASID_NEAR 1u
#define PASID_FAR 0x12345u
#define PASID_BESIDE 2u

static uint64_t data(unsigned side)
{
	return 0x100000000ull + side * 0x10000000ull;
}

struct scene {
	const struct hitless_domain_cell *cell;
	struct xp_host host;
	struct iommu_unit *unit;
	struct iommu_domain *domains[SIDES];
	struct iommu_group *group, *bystanders[SIDES];
	struct iommu_device *device, *new_device;	/* the first of the group; the one in the new domain */
	unsigned domain_locks[SIDES];
	/* A mapper that is recorded now. */
	struct iommu_domain *unmap_from;
	unsigned unmap_lock;
	uint64_t unmap_iova;
	unsigned countdown;		/* unlocks until it runs; 0: never */
	unsigned first_slot, first_wait;
	struct xp_ops *list;
	int64_t unmapped;
};

/* ---- Setting it up ---- */

static bool of_pasid(const struct hitless_domain_cell *cell)
{
	return cell->pasid == HITLESS_PASID_REPLACED;
}

static bool passes(const struct iommu_domain_desc *desc)
{
	return desc->type != IOMMU_DOMAIN_BLOCKED;
}

static uint32_t the_pasid(const struct hitless_domain_cell *cell)
{
	return passes(&cell->from) ? PASID_NEAR : PASID_FAR;
}

static int fill_domain(struct iommu_domain *domain, unsigned side)
{
	const uint64_t to = data(side);
	const bool odd = side & 1;
	int err = iommu_map(domain, XP_IOVA_SMALL, to, XP_PAGE, IOMMU_READ | IOMMU_WRITE);

	if (!err)
		err = iommu_map(domain, XP_IOVA_RIGHTS, to + 0x1000, XP_PAGE, odd ? IOMMU_READ | IOMMU_WRITE : IOMMU_READ);
	if (!err)
		err = iommu_map(domain, IOVA_SAME, PHYS_SAME, XP_PAGE, IOMMU_READ | IOMMU_WRITE);
	if (!err)
		err = iommu_map(domain, IOVA_GONE, to + 0x5000, XP_PAGE, IOMMU_READ | IOMMU_WRITE);
	if (!err)
		err = iommu_map(domain, IOVA_ALONE, to + 0x6000, XP_PAGE, IOMMU_READ | IOMMU_WRITE);
	if (!err)
		err = iommu_map(domain, XP_IOVA_LARGE, to + 0x200000, odd ? 0x200000 : XP_PAGE, IOMMU_READ | IOMMU_WRITE);
	return err;
}

static int add_domain(struct scene *s, unsigned side, const struct iommu_domain_desc *desc)
{
	int err = iommu_domain_alloc(s->unit, desc, &s->domains[side]);
	uint64_t phys;

	if (err || desc->type != IOMMU_DOMAIN_PAGING)
		return err;
	/* That takes its lock and no other. */
	(void)iommu_iova_to_phys(s->domains[side], 0, &phys);
	s->domain_locks[side] = s->host.last_lock;
	return fill_domain(s->domains[side], side);
}

static int add_group(struct scene *s, const uint32_t *rids, unsigned count, bool ats, struct iommu_group **group,
		     struct iommu_device **first)
{
	int err = iommu_group_alloc(&s->host.port, group);

	for (unsigned i = 0; i < count && !err; i++) {
		struct iommu_device_desc desc = {
			.unit = s->unit, .rids = { rids[i] }, .nrids = 1, .ats = ats, .pasid_bits = !s->cell->pasid ? 0 : the_pasid(s->cell) == PASID_FAR ? 20 : 4,
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
static int warm_up(struct scene *s, unsigned side)
{
	/* The first is read-only in the old domain. */
	static const uint64_t iovas[] = { XP_IOVA_RIGHTS, XP_IOVA_SMALL, XP_IOVA_LARGE, IOVA_SAME, IOVA_GONE, IOVA_ALONE };
	static const uint32_t rid = RID_WARM;
	struct iommu_device *device = NULL;
	struct iommu_group *group = NULL;
	int err;

	if (!s->domain_locks[side])
		return 0; /* no tables */
	err = add_group(s, &rid, 1, false, &group, &device);
	if (!err)
		err = iommu_attach_group(group, s->domains[side]);
	for (unsigned i = 0; i < sizeof(iovas) / sizeof(iovas[0]) && !err; i++)
		xp_host_dma(&s->host, rid, iovas[i], i || side != OLD ? IOMMU_READ | IOMMU_WRITE : IOMMU_READ);
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
static int populate_pasids(struct scene *s)
{
	const struct iommu_domain_desc keep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
	const struct hitless_domain_cell *cell = s->cell;
	static const uint32_t rid_new = XP_RID_NEW;
	int err = add_domain(s, KEEP, &keep);

	if (!err)
		err = warm_up(s, KEEP);
	if (!err && passes(&cell->from))
		err = iommu_attach_device_pasid(s->device, the_pasid(cell), s->domains[OLD], NULL);
	if (!err && !cell->private_tags)
		err = iommu_attach_device_pasid(s->device, PASID_BESIDE, s->domains[passes(&cell->from) ? OLD : KEEP], NULL);
	/* Where tables for PASIDs can only be had while the device is blocked, now is the time. */
	if (!err)
		err = iommu_attach_group(s->group, s->domains[KEEP]);
	if (err || cell->private_tags || !passes(&cell->to))
		return err;
	err = add_group(s, &rid_new, 1, false, &s->bystanders[NEW], &s->new_device);
	return err ? err : iommu_attach_device_pasid(s->new_device, the_pasid(cell), s->domains[NEW], NULL);
}

/* Requests without PASID; with PASIDs beside, one of those comes first. */
static int attach_old(struct scene *s)
{
	const struct iommu_domain_desc keep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1 };
	int err = 0;

	if (s->cell->pasid == HITLESS_PASID_BESIDE) {
		err = add_domain(s, KEEP, &keep);
		if (!err)
			err = warm_up(s, KEEP);
		if (!err)
			err = iommu_attach_device_pasid(s->device, PASID_BESIDE, s->domains[KEEP], NULL);
	}
	return err ? err : iommu_attach_group(s->group, s->domains[OLD]);
}

static int open_scene(struct scene *s, const struct hitless_domain_cell *cell)
{
	static const uint32_t group[] = { XP_RID_DEVICE, RID_SECOND }, others[] = { XP_RID_OLD, XP_RID_NEW, RID_NEXT };
	const struct iommu_domain_desc next = { .type = IOMMU_DOMAIN_PAGING, .stage = cell->to.stage, .levels = cell->to.levels };
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
		err = add_domain(s, OLD, &cell->from);
	if (!err)
		err = add_domain(s, NEW, &cell->to);
	if (!err)
		err = warm_up(s, NEW);
	if (!err)
		err = warm_up(s, OLD);
	if (!err)
		err = add_group(s, group, cell->devices, !cell->no_ats, &s->group, &s->device);
	if (!err)
		err = of_pasid(cell) ? populate_pasids(s) : attach_old(s);
	for (unsigned side = OLD; side <= NEW && !err && !cell->private_tags && !of_pasid(cell); side++) {
		if (!passes(side == OLD ? &cell->from : &cell->to))
			continue;
		err = add_group(s, &others[side], 1, false, &s->bystanders[side], &s->new_device);
		if (!err)
			err = iommu_attach_group(s->bystanders[side], s->domains[side]);
	}
	if (!err && cell->private_tags) {
		err = add_domain(s, NEXT, &next);
		if (!err)
			err = add_group(s, &others[NEXT], 1, false, &s->bystanders[NEXT], &ignored);
		if (!err)
			err = warm_up(s, NEXT);
	}
	return err;
}

static void close_scene(struct scene *s)
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

static int replace(struct scene *s, struct iommu_replace_report *report)
{
	const struct hitless_fault *fault = s->cell->fault;
	const struct iommu_replace_options options = { .strategies = s->cell->strategies };
	int err;

	if (fault && fault->edit) {
		pthread_mutex_lock(&editing);
		s->host.edit = fault->edit;
		s->host.port.review = review;
	}
	if (!of_pasid(s->cell))
		err = iommu_group_replace_domain(s->group, s->domains[NEW], &options, report);
	else if (!passes(&s->cell->from))
		err = iommu_attach_device_pasid(s->device, the_pasid(s->cell), s->domains[NEW], NULL);
	else if (!passes(&s->cell->to))
		err = iommu_detach_device_pasid(s->device, the_pasid(s->cell));
	else
		err = iommu_replace_device_pasid(s->device, the_pasid(s->cell), s->domains[NEW], &options, report);
	/* Attach and detach report nothing: a PASID comes or goes. */
	if (of_pasid(s->cell) && !(passes(&s->cell->from) && passes(&s->cell->to)))
		*report = (struct iommu_replace_report){ .hitless = true, .cost = s->host.cost };
	if (fault && fault->edit) {
		s->host.port.review = NULL;
		pthread_mutex_unlock(&editing);
	}
	return err;
}

static void start_recording(struct scene *s, struct xp_ops *ops)
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

static void stop_recording(struct scene *s)
{
	xp_host_sync(&s->host);
	s->host.record = NULL;
}

/* ---- The mapper ---- */

/* Waits of the mapper must not be those of replace: its commands begin at this slot, and its first wait is this one, counted from
 * the beginning of the replace, whenever it starts. Then what it does can be compared, too. */
#define MAPPER_SLOT 128u
#define MAPPER_WAIT 24u

static int pad_queue(struct scene *s)
{
	struct xp_host *h = &s->host;
	uint64_t words[4 * MAPPER_SLOT] = { 0 };
	unsigned per = h->queue.bytes / 8;

	for (unsigned i = 0; i < MAPPER_SLOT; i++)
		h->arch->wait(true, 0, 0, words + i * per);
	for (;;) {
		unsigned slots = (h->queue.first + h->queue.turn - s->first_slot) % h->queue.turn;
		unsigned waits = h->waits - s->first_wait;
		unsigned fences = waits + 1 < MAPPER_WAIT ? 1 : MAPPER_SLOT - 1 - slots;
		int err;

		if (waits == MAPPER_WAIT)
			return slots == MAPPER_SLOT ? 0 : -E2BIG;
		if (slots + 2 > MAPPER_SLOT || waits > MAPPER_WAIT)
			return -E2BIG;
		err = iommu_unit_submit(s->unit, words, fences);
		if (err)
			return err;
	}
}

static void run_mapper(struct scene *s)
{
	struct xp_host *h = &s->host;
	struct xp_ops *record = h->record;
	const struct iommu_step *step = h->step;
	int err;

	if (record)
		xp_host_sync(h);
	h->record = NULL;
	h->unlocked = NULL;
	err = pad_queue(s);
	start_recording(s, s->list);
	s->unmapped = err ? err : iommu_unmap(s->unmap_from, s->unmap_iova, s->unmap_iova == IOVA_ALONE ? ALONE_SPAN : XP_PAGE);
	stop_recording(s);
	memcpy(h->shadow, h->ram, XP_MAX_PAGES * XP_PAGE);
	h->record = record;
	h->step = step;
	h->commands[0] = '\0';
}

static void mapper_moment(void *ctx, unsigned lock)
{
	struct scene *s = ctx;

	if (lock == s->unmap_lock && s->countdown && --s->countdown == 0)
		run_mapper(s);
}

static bool mapper_is_old(enum hitless_mapper mapper)
{
	return mapper == HITLESS_MAPPER_OLD || mapper == HITLESS_MAPPER_OLD_TABLE;
}

static uint64_t mapper_iova(enum hitless_mapper mapper)
{
	return mapper == HITLESS_MAPPER_OLD || mapper == HITLESS_MAPPER_NEW ? IOVA_GONE : IOVA_ALONE;
}

bool xp_domain_has_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper)
{
	if (mapper == HITLESS_MAPPER_NONE)
		return true;
	return (mapper_is_old(mapper) ? cell->from.type : cell->to.type) == IOMMU_DOMAIN_PAGING;
}

/* What it does when it starts after `moment` unlocks of its domain. */
static int record_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, unsigned moment, struct xp_ops *list)
{
	unsigned side = mapper_is_old(mapper) ? OLD : NEW;
	struct xp_ops thrown_away = { 0 };
	struct iommu_replace_report report;
	struct scene s;
	int err = open_scene(&s, cell);

	if (err)
		goto out;
	s.unmap_from = s.domains[side];
	s.unmap_lock = s.domain_locks[side];
	s.unmap_iova = mapper_iova(mapper);
	s.list = list;
	s.first_slot = s.host.queue.first;
	s.first_wait = s.host.waits;
	if (!moment) {
		run_mapper(&s);
	} else {
		s.countdown = moment;
		s.host.unlocked = mapper_moment;
		s.host.ctx = &s;
		start_recording(&s, &thrown_away);
		err = replace(&s, &report);
	}
	if (!err && s.unmapped != XP_PAGE)
		err = s.unmapped < 0 ? (int)s.unmapped : -EDEADLK;
	if (!err && (s.host.deadlock || s.host.full))
		err = s.host.full ? -E2BIG : -EDEADLK;
out:
	xp_ops_free(&thrown_away);
	close_scene(&s);
	return err;
}

static bool same_ops(const struct xp_ops *a, const struct xp_ops *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++) {
		const struct xp_op *x = &a->v[i], *y = &b->v[i];

		if (x->kind != y->kind || x->by_head != y->by_head || x->width != y->width || x->addr != y->addr || x->nbulk != y->nbulk ||
		    memcmp(x->words, y->words, sizeof(x->words)) != 0 ||
		    (x->nbulk && memcmp(x->bulk, y->bulk, x->nbulk * sizeof(*x->bulk)) != 0))
			return false;
	}
	return true;
}

/* Breaks it on purpose. */
static void damage_mapper(struct xp_ops *list, unsigned faults)
{
	unsigned n = 0;

	for (unsigned i = 0; i < list->n; i++) {
		struct xp_op *op = &list->v[i];

		if (((faults & HITLESS_UNMAP_NO_FLUSH) && op->kind == XP_SUBMIT) ||
		    ((faults & (HITLESS_UNMAP_NO_FLUSH | HITLESS_UNMAP_NO_WAIT)) && op->kind == XP_WAIT)) {
			free(op->bulk);
			continue;
		}
		list->v[n++] = *op;
	}
	list->n = n;
	for (unsigned i = 0, to = 0; i < n && (faults & HITLESS_UNMAP_EARLY_FREE); i++) {
		struct xp_op op = list->v[i];

		if (op.kind == XP_SUBMIT && !to)
			to = i;
		if (op.kind != XP_FREE || !to)
			continue;
		memmove(&list->v[to + 1], &list->v[to], (i - to) * sizeof(op));
		list->v[to++] = op;
	}
}

/* All lists, and which of them starts where. */
static int add_mapper(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, unsigned lock, struct xp_case *c)
{
	unsigned faults = cell->fault ? cell->fault->bits : 0, moments = 0;
	uint8_t list_of[XP_MAX_PAGES] = { 0 };
	struct xp_mapper *m = &c->mapper;
	unsigned side = mapper_is_old(mapper) ? OLD : NEW;

	for (unsigned i = 0; i < c->steps.n; i++)
		moments += c->steps.v[i].kind == XP_UNLOCK && c->steps.v[i].addr == lock;
	for (unsigned moment = 0; moment <= moments; moment++) {
		struct xp_ops list = { 0 };
		int err;

		if (moment && (faults & HITLESS_UNMAP_OLD_TAGS)) {
			list_of[moment] = list_of[0];
			continue;
		}
		err = moment < sizeof(list_of) ? record_mapper(cell, mapper, moment, &list) : -E2BIG;
		damage_mapper(&list, faults);
		for (unsigned k = 0; k < m->nlists && !list_of[moment] && !err; k++) {
			if (same_ops(&list, &m->lists[k]))
				list_of[moment] = (uint8_t)(k + 1);
		}
		if (!err && !list_of[moment] && m->nlists == XP_MAX_MAPPERS)
			err = -E2BIG;
		if (!err && !list_of[moment]) {
			m->lists[m->nlists++] = list;
			list_of[moment] = (uint8_t)m->nlists;
		} else {
			xp_ops_free(&list);
		}
		if (err)
			return err;
	}
	m->at = calloc(c->steps.n + 1, 1);
	if (!m->at)
		return -ENOMEM;
	for (unsigned i = 0, moment = 0; i <= c->steps.n; i++) {
		m->at[i] = list_of[moment];
		if (i < c->steps.n)
			moment += c->steps.v[i].kind == XP_UNLOCK && c->steps.v[i].addr == lock;
	}
	m->iova = mapper_iova(mapper);
	m->phys = data(side) + (m->iova == IOVA_GONE ? 0x5000 : 0x6000);
	m->roles = 1u << XP_DEVICE | 1u << (side == OLD ? XP_OLD : XP_NEW);
	return 0;
}

/* ---- Locks ---- */

static bool visible(const struct xp_op *op)
{
	return op->kind != XP_NOTE && op->kind != XP_RETURN && op->kind != XP_LOCK && op->kind != XP_UNLOCK;
}

/* Is the lock ever held over more than one step that others could see? */
static bool is_held_long(const struct xp_ops *ops, uint64_t lock)
{
	unsigned seen = 0;
	bool held = false;

	for (unsigned i = 0; i < ops->n; i++) {
		const struct xp_op *op = &ops->v[i];

		if ((op->kind == XP_LOCK || op->kind == XP_UNLOCK) && op->addr == lock) {
			held = op->kind == XP_LOCK;
			seen = 0;
		} else if (held && visible(op) && ++seen > 1) {
			return true;
		}
	}
	return false;
}

static bool takes(const struct xp_ops *ops, uint64_t lock)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if (ops->v[i].kind == XP_LOCK && ops->v[i].addr == lock)
			return true;
	}
	return false;
}

static void forget_lock(struct xp_ops *ops, uint64_t lock)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if ((ops->v[i].kind == XP_LOCK || ops->v[i].kind == XP_UNLOCK) && ops->v[i].addr == lock)
			ops->v[i].kind = XP_NOTE;
	}
}

static void drop_notes(struct xp_ops *ops)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ops->n; i++)
		if (ops->v[i].kind != XP_NOTE)
			ops->v[n++] = ops->v[i];
	ops->n = n;
}

/* Taken and let go of with nothing visible in between: one step. */
static void join_locks(struct xp_ops *ops)
{
	for (unsigned i = 0; i < ops->n; i++) {
		if (ops->v[i].kind != XP_LOCK)
			continue;
		for (unsigned k = i + 1; k < ops->n && !visible(&ops->v[k]); k++) {
			if (ops->v[k].kind != XP_UNLOCK || ops->v[k].addr != ops->v[i].addr)
				continue;
			ops->v[i].words[0] = 1;
			snprintf(ops->v[i].text, sizeof(ops->v[i].text), "lock and unlock the mapper's domain");
			ops->v[k].kind = XP_NOTE;
			break;
		}
	}
}

/* What keeps nobody out is no step: locks that only one of the two takes, or over one visible step at a time. */
static void simplify_locks(struct xp_case *c)
{
	for (unsigned lock = 0; lock < XP_MAX_LOCKS; lock++) {
		bool needed = false, longer = is_held_long(&c->steps, lock);

		for (unsigned k = 0; k < c->mapper.nlists; k++) {
			needed |= takes(&c->mapper.lists[k], lock);
			longer |= is_held_long(&c->mapper.lists[k], lock);
		}
		if (needed && longer && takes(&c->steps, lock))
			continue;
		forget_lock(&c->steps, lock);
		for (unsigned k = 0; k < c->mapper.nlists; k++)
			forget_lock(&c->mapper.lists[k], lock);
	}
	join_locks(&c->steps);
	for (unsigned k = 0; k < c->mapper.nlists; k++)
		drop_notes(&c->mapper.lists[k]);
}

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
static void add_bystanders(const struct scene *s, struct xp_case *c, uint64_t iova, bool write)
{
	const struct hitless_domain_cell *cell = s->cell;
	const uint32_t none = IOMMU_NO_PASID;
	struct {
		bool there;
		enum xp_role role;
		uint32_t rid, pasid;
	} who[] = {
		{ s->bystanders[OLD] != NULL, XP_OLD, XP_RID_OLD, none },
		{ s->bystanders[NEW] != NULL, XP_NEW, XP_RID_NEW, of_pasid(cell) ? the_pasid(cell) : none },
		{ of_pasid(cell) && !cell->private_tags, passes(&cell->from) ? XP_OLD : XP_SIBLING, XP_RID_DEVICE, PASID_BESIDE },
		{ of_pasid(cell), XP_SIBLING, XP_RID_DEVICE, none },
		{ cell->pasid == HITLESS_PASID_BESIDE, XP_SIBLING, XP_RID_DEVICE, PASID_BESIDE },
	};

	for (unsigned i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		if (!who[i].there)
			continue;
		actor(c, who[i].role, who[i].rid, who[i].pasid, iova, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		if (write)
			actor(c, who[i].role, who[i].rid, who[i].pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
}

static void add_actors(const struct scene *s, struct xp_case *c, enum hitless_mapper mapper, bool ats)
{
	const struct hitless_domain_cell *cell = s->cell;
	const uint32_t pasid = of_pasid(cell) ? the_pasid(cell) : IOMMU_NO_PASID;

	if (mapper != HITLESS_MAPPER_NONE) {
		uint64_t iova = mapper_iova(mapper);

		actors(c, XP_RID_DEVICE, pasid, iova, IOMMU_READ, ats);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		if (cell->devices > 1)
			actors(c, RID_SECOND, pasid, iova, IOMMU_READ, ats);
		add_bystanders(s, c, iova, false);
		return;
	}
	actors(c, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, ats);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	actors(c, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, ats);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, IOVA_SAME, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_LARGE, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	if (cell->devices > 1) {
		actors(c, RID_SECOND, pasid, XP_IOVA_SMALL, IOMMU_READ, ats);
		actor(c, XP_DEVICE, RID_SECOND, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	add_bystanders(s, c, XP_IOVA_SMALL, true);
	if (s->bystanders[NEXT]) {
		actor(c, XP_NEXT, RID_NEXT, IOMMU_NO_PASID, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_NEXT, RID_NEXT, IOMMU_NO_PASID, XP_IOVA_RIGHTS, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	}
}

/* ---- A case ---- */

static void *copy_of(const void *memory, size_t bytes)
{
	void *copy = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	return copy ? memcpy(copy, memory, bytes) : NULL;
}

static int take_picture(const struct scene *s, struct xp_case *c)
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

/* Replace has returned: what comes after, and the case is complete but for the mapper. */
static int finish(struct scene *s, struct xp_case *c, enum hitless_mapper mapper, const struct iommu_replace_report *report, bool ats)
{
	int err = 0;

	if (s->bystanders[NEXT] && mapper == HITLESS_MAPPER_NONE) {
		xp_host_sync(&s->host);
		xp_op_add(&c->steps, &(struct xp_op){ .kind = XP_RETURN, .text = "replace has returned; another group is attached" });
		err = iommu_attach_group(s->bystanders[NEXT], s->domains[NEXT]);
	}
	stop_recording(s);
	if (err)
		return err;
	if (s->host.deadlock || s->host.full)
		return s->host.full ? -E2BIG : -EDEADLK;
	find_return(c);
	c->disruptive = !report->hitless;
	c->from_blocked = !passes(&s->cell->from);
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
	struct scene s;
	bool ats;
	int err;

	memset(c, 0, sizeof(*c));
	memset(report, 0, sizeof(*report));
	err = open_scene(&s, cell);
	if (!err)
		err = take_picture(&s, c);
	if (err)
		goto out;
	ats = xp_host_ats(&s.host, XP_RID_DEVICE);
	start_recording(&s, &c->steps);
	err = replace(&s, report);
	if (!err)
		err = finish(&s, c, mapper, report, ats);
	if (!err && mapper != HITLESS_MAPPER_NONE)
		err = add_mapper(cell, mapper, s.domain_locks[mapper_is_old(mapper) ? OLD : NEW], c);
	if (!err && !waits_differ(c))
		err = -E2BIG;
	if (!err)
		simplify_locks(c);
out:
	close_scene(&s);
	if (err)
		xp_case_free(c);
	return err;
}

/* ---- Failures ---- */

/* After a replace that has failed: is all as it was? */
static int compare(const struct scene *s, const struct xp_case *before, unsigned pages, unsigned live, size_t heap, uint32_t tags,
		   char *detail, size_t size)
{
	const struct xp_host *h = &s->host;
	struct iommu_unit_info info;

	iommu_unit_get_info(s->unit, &info);
	for (unsigned i = 0; i < before->steps.n; i++) {
		const struct xp_op *op = &before->steps.v[i];

		/* Pages that were allocated for nothing may have been filled, and go back. */
		if (visible(op) && op->kind != XP_FREE && (op->kind != XP_BULK || op->bulk[0][0] < pages * XP_PAGE)) {
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
	struct scene s;
	unsigned pages, live;
	size_t heap;
	bool ats;
	int err;

	memset(c, 0, sizeof(*c));
	memset(report, 0, sizeof(*report));
	err = open_scene(&s, cell);
	if (!err)
		err = take_picture(&s, c);
	if (err)
		goto out;
	iommu_unit_get_info(s.unit, &info);
	pages = s.host.pages;
	live = s.host.live_pages;
	heap = s.host.heap_live;
	ats = xp_host_ats(&s.host, XP_RID_DEVICE);
	start_recording(&s, &c->steps);
	s.host.fail_at = n;
	s.host.keeps = cell->fault && (cell->fault->bits & HITLESS_FAILURE_KEEPS);
	err = replace(&s, report);
	if (!err && s.host.fail_at) {
		err = -ENOENT; /* it hasn't come to that */
		goto out;
	}
	if (err) {
		char what[160];

		stop_recording(&s);
		err = compare(&s, c, pages, live, heap, info.tags_used, what, sizeof(what));
		if (s.host.failed)
			snprintf(detail, size, "allocation %u failed: %s", n, err ? what : "all is as it was");
		else
			snprintf(detail, size, "it was refused: %s", err ? what : "all is as it was");
		goto out;
	}
	err = finish(&s, c, HITLESS_MAPPER_NONE, report, ats);
	if (!err) {
		simplify_locks(c);
		err = 1;
	}
out:
	close_scene(&s);
	if (err != 1)
		xp_case_free(c);
	return err;
}
