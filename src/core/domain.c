/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* domain.c - domains: map, unmap, and the tags under which units cache a domain's translations. */
#include "core.h"

#include <string.h>

static void lock_domain(struct iommu_domain *domain)
{
	domain->port->lock(domain->port->ctx, &domain->lock);
}

static void unlock_domain(struct iommu_domain *domain)
{
	domain->port->unlock(domain->port->ctx, &domain->lock);
}

static void begin_unmap(struct iommu_domain *domain)
{
	const struct hitless_port *port = domain->port;

	(port->lock_shared ? port->lock_shared : port->lock)(port->ctx, &domain->flush_lock);
}

static void end_unmap(struct iommu_domain *domain)
{
	const struct hitless_port *port = domain->port;

	(port->lock_shared ? port->unlock_shared : port->unlock)(port->ctx, &domain->flush_lock);
}

/* Whoever unmaps now has returned afterwards. */
static void pass_unmaps(struct iommu_domain *domain)
{
	domain->port->lock(domain->port->ctx, &domain->flush_lock);
	domain->port->unlock(domain->port->ctx, &domain->flush_lock);
}

/* ---- Life ---- */

static bool valid(const struct iommu_domain_desc *desc)
{
	switch (desc->type) {
	case IOMMU_DOMAIN_PAGING:
		return desc->stage <= 2 && !desc->root;
	case IOMMU_DOMAIN_EXTERNAL:
		return desc->stage <= 1 && !desc->dirty && desc->root % HITLESS_PAGE_SIZE == 0;
	case IOMMU_DOMAIN_BLOCKED:
	case IOMMU_DOMAIN_IDENTITY:
		return !desc->stage && !desc->levels && !desc->dirty && !desc->root;
	default:
		return false;
	}
}

RARE int domain_create(struct iommu_unit *unit, enum iommu_domain_type type, struct iommu_domain **result)
{
	const struct hitless_port *port = unit->port;
	struct iommu_domain *domain = port->alloc(port->ctx, sizeof(*domain));
	int err;

	if (!domain)
		return -ENOMEM;
	domain->type = type;
	domain->last = UINT64_MAX;
	domain->ops = unit->ops;
	domain->port = port;
	err = port->lock_init(port->ctx, &domain->flush_lock);
	if (err)
		goto free;
	err = port->lock_init(port->ctx, &domain->lock);
	if (err)
		goto destroy_lock;
	*result = domain;
	return 0;

destroy_lock:
	port->lock_destroy(port->ctx, &domain->flush_lock);
free:
	port->free(port->ctx, domain, sizeof(*domain));
	return err;
}

RARE void domain_destroy(struct iommu_domain *domain)
{
	const struct hitless_port *port = domain->port;

	port->lock_destroy(port->ctx, &domain->lock);
	port->lock_destroy(port->ctx, &domain->flush_lock);
	port->free(port->ctx, domain, sizeof(*domain));
}

RARE int iommu_domain_alloc(struct iommu_unit *unit, const struct iommu_domain_desc *desc, struct iommu_domain **result)
{
	struct iommu_domain *domain;
	int err;

	if (!unit || !desc || !result || !valid(desc))
		return -EINVAL;
	err = domain_create(unit, desc->type, &domain);
	if (err)
		return err;
	domain->stage = desc->type == IOMMU_DOMAIN_EXTERNAL ? 1 : desc->stage;
	domain->dirty = desc->dirty;
	domain->external_root = desc->root;
	err = unit->ops->domain_init(unit, domain, desc);
	if (err) {
		domain_destroy(domain);
		return err;
	}
	if (domain->type == IOMMU_DOMAIN_PAGING) {
		domain->first = 0;
		domain->grows = domain->pgtable.grow_last != 0;
		domain->last = domain->grows ? domain->pgtable.grow_last : domain->pgtable.last;
	}
	*result = domain;
	return 0;
}

/* A nested domain leaves its parent. */
static RARE void leave_parent(struct iommu_domain *domain)
{
	struct iommu_domain **link = &domain->parent->nested;

	lock_domain(domain->parent);
	while (*link != domain)
		link = &(*link)->next_nested;
	*link = domain->next_nested;
	domain->parent->users--;
	unlock_domain(domain->parent);
}

RARE int iommu_domain_free(struct iommu_domain *domain)
{
	int err = 0;

	if (!domain)
		return -EINVAL;
	lock_domain(domain);
	if (domain->quarantined)
		err = -EIO;
	else if (domain->users || domain->tags)
		err = -EBUSY;
	unlock_domain(domain);
	if (err)
		return err;
	if (domain->parent)
		leave_parent(domain);
	else if (domain->ops->domain_fini)
		domain->ops->domain_fini(domain);
	if (domain->type == IOMMU_DOMAIN_PAGING)
		domain->pgtable.ops->destroy(&domain->pgtable);
	domain_destroy(domain);
	return 0;
}

int iommu_domain_get_geometry(struct iommu_domain *domain, uint64_t *first, uint64_t *last)
{
	if (!domain || !first || !last)
		return -EINVAL;
	*first = domain->first;
	*last = domain->last;
	return 0;
}

int domain_get(struct iommu_domain *domain)
{
	int err;

	lock_domain(domain);
	err = domain->quarantined ? -EIO : 0;
	if (!err)
		domain->users++;
	unlock_domain(domain);
	return err;
}

void domain_put(struct iommu_domain *domain)
{
	lock_domain(domain);
	domain->users--;
	unlock_domain(domain);
}

/* With a nested domain goes its parent, whose table is walked as well. */
void domain_quarantine(struct iommu_domain *domain)
{
	for (; domain; domain = domain->parent) {
		lock_domain(domain);
		domain->quarantined = true;
		unlock_domain(domain);
	}
}

/* ---- Tags ---- */

/* The domain whose list a domain's tags are on, locked. */
static struct iommu_domain *lock_tags(struct iommu_domain *domain)
{
	if (domain->parent && domain->nested_ops->parents_tag)
		domain = domain->parent;
	lock_domain(domain);
	return domain;
}

/* Under the domain's lock. Lent tags have no users. */
static struct domain_tag *find_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given)
{
	for (struct domain_tag *tag = domain->tags; tag; tag = tag->next)
		if (tag->unit == unit && tag->users && tag->given == (given != NO_GIVEN_TAG) && (!tag->given || tag->tag == given))
			return tag;
	return NULL;
}

struct domain_tag *domain_find_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given, unsigned *users)
{
	struct domain_tag *tag;

	domain = lock_tags(domain);
	tag = find_tag(domain, unit, given);
	*users = tag ? tag->users : 0;
	unlock_domain(domain);
	return tag;
}

bool domain_peek_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t *number, unsigned *users)
{
	struct domain_tag *tag;

	domain = lock_tags(domain);
	tag = find_tag(domain, unit, NO_GIVEN_TAG);
	if (tag) {
		*number = tag->tag;
		*users = tag->users;
	}
	unlock_domain(domain);
	return tag != NULL;
}

static void link_tag(struct iommu_domain *domain, struct domain_tag *tag)
{
	tag->next = domain->tags;
	domain->tags = tag;
}

static void unlink_tag(struct iommu_domain *domain, struct domain_tag *tag)
{
	for (struct domain_tag **link = &domain->tags; *link; link = &(*link)->next)
		if (*link == tag) {
			*link = tag->next;
			break;
		}
}

/* A blank record for a tag of `unit`. Under the domain's lock. */
static struct domain_tag *new_record(struct iommu_domain *domain, struct iommu_unit *unit)
{
	struct domain_tag *tag = domain->record.unit ? domain->port->alloc(domain->port->ctx, sizeof(*tag)) : &domain->record;

	if (tag) {
		memset(tag, 0, sizeof(*tag));
		tag->unit = unit;
	}
	return tag;
}

static void free_record(struct iommu_domain *domain, struct domain_tag *tag)
{
	if (tag == &domain->record)
		tag->unit = NULL;
	else
		domain->port->free(domain->port->ctx, tag, sizeof(*tag));
}

/* domain_get_tag() under the domain's lock. */
static int get_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given, unsigned *users,
		   struct domain_tag **result)
{
	struct domain_tag *tag = find_tag(domain, unit, given);
	int err;

	if (domain->quarantined || (tag && tag->hopping))
		return domain->quarantined ? -EIO : -EAGAIN;
	if (!tag) {
		tag = new_record(domain, unit);
		if (!tag)
			return -ENOMEM;
		tag->space = domain_tag_space(unit, domain);
		tag->given = given != NO_GIVEN_TAG;
		tag->owned = !tag->given;
		tag->tag = given;
		err = tag->owned ? unit_alloc_tag(unit, tag->space, &tag->tag) : 0;
		if (err) {
			free_record(domain, tag);
			return err;
		}
		link_tag(domain, tag);
	}
	tag->users += *users;
	*users = tag->users;
	*result = tag;
	return 0;
}

int domain_get_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t given, unsigned *users,
		   struct domain_tag **result)
{
	int err;

	domain = lock_tags(domain);
	err = get_tag(domain, unit, given, users, result);
	unlock_domain(domain);
	return err;
}

int domain_inherit_tag(struct iommu_domain *domain, struct iommu_unit *unit, uint32_t number, struct domain_tag **result)
{
	unsigned space = domain_tag_space(unit, domain);
	struct domain_tag *tag;
	int err;

	domain = lock_tags(domain);
	err = find_tag(domain, unit, NO_GIVEN_TAG) ? -EAGAIN : 0;
	tag = err ? NULL : new_record(domain, unit);
	if (tag) {
		tag->space = space;
		tag->tag = number;
		tag->users = 1;
		tag->hopping = true; /* until the number is this domain's own */
		link_tag(domain, tag);
		*result = tag;
	}
	unlock_domain(domain);
	return err ? err : tag ? 0 : -ENOMEM;
}

/* domain_put_tag() under the domain's lock. Must the last one pass unmaps that may still ask the tag's unit? */
static bool put_tag(struct iommu_domain *domain, struct domain_tag *tag, unsigned users)
{
	tag->users -= users;
	if (tag->users)
		return false;
	unlink_tag(domain, tag);
	if (tag->owned)
		unit_free_tag(tag->unit, tag->space, tag->tag);
	free_record(domain, tag);
	return domain->unmaps_waiting != 0;
}

void domain_put_tag(struct iommu_domain *domain, struct domain_tag *tag, unsigned users)
{
	bool pass;

	domain = lock_tags(domain);
	pass = put_tag(domain, tag, users);
	unlock_domain(domain);
	if (pass)
		pass_unmaps(domain);
}

bool domain_begin_hop(struct iommu_domain *domain, struct domain_tag *tag)
{
	bool alone;

	domain = lock_tags(domain);
	alone = tag->users == 1;
	if (alone)
		tag->hopping = true;
	unlock_domain(domain);
	return alone;
}

void domain_end_hop(struct iommu_domain *domain, struct domain_tag *tag)
{
	domain = lock_tags(domain);
	tag->hopping = false;
	unlock_domain(domain);
}

void domain_lend_tag(struct iommu_domain *domain, struct domain_tag *extra)
{
	domain = lock_tags(domain);
	link_tag(domain, extra);
	unlock_domain(domain);
}

void domain_take_back_tag(struct iommu_domain *domain, struct domain_tag *extra)
{
	domain = lock_tags(domain);
	unlink_tag(domain, extra);
	unlock_domain(domain);
}

/* Puts it on the tag's list. Under the domain's lock, after which one whose device has a TLB must pass_unmaps(), which don't know it yet: always,
 * not only if there are such, so that the explorer, who replays what one switch has done, tries it. */
static void link_attachment(struct domain_tag *tag, struct iommu_attachment *attachment)
{
	attachment->tag = tag;
	attachment->next = tag->attachments;
	attachment->link = &tag->attachments;
	if (attachment->next)
		attachment->next->link = &attachment->next;
	tag->attachments = attachment;
	tag->ndevtlbs += attachment->ats;
	tag->npasids += attachment->pasid != IOMMU_NO_PASID;
}

static void unlink_attachment(struct iommu_attachment *attachment)
{
	*attachment->link = attachment->next;
	if (attachment->next)
		attachment->next->link = attachment->link;
	attachment->tag->ndevtlbs -= attachment->ats;
	attachment->tag->npasids -= attachment->pasid != IOMMU_NO_PASID;
}

void domain_add_attachment(struct iommu_domain *domain, struct domain_tag *tag, struct iommu_attachment *attachment)
{
	domain = lock_tags(domain);
	link_attachment(tag, attachment);
	unlock_domain(domain);
	if (attachment->ats)
		pass_unmaps(domain);
}

void domain_remove_attachment(struct iommu_domain *domain, struct iommu_attachment *attachment)
{
	domain = lock_tags(domain);
	unlink_attachment(attachment);
	unlock_domain(domain);
}

/* ---- One requester in and out, at one go ---- */

bool domain_enter(struct iommu_domain *domain, struct iommu_unit *unit, struct iommu_attachment *attachment)
{
	bool tagged = domain_tag_space(unit, domain) != NO_TAG_SPACE, entered;
	struct domain_tag *tag;
	unsigned users = 1;

	lock_domain(domain);
	entered = !domain->quarantined && !domain->growing &&
		  (!tagged || !get_tag(domain, unit, NO_GIVEN_TAG, &users, &tag));
	if (entered) {
		domain->users++;
		domain->switching += domain->grows;
		attachment->tag = NULL;
		if (tagged)
			link_attachment(tag, attachment);
	}
	unlock_domain(domain);
	if (entered && tagged && attachment->ats)
		pass_unmaps(domain);
	return entered;
}

void domain_leave(struct iommu_domain *domain, struct iommu_attachment *attachment)
{
	bool pass = false;

	lock_domain(domain);
	if (attachment->tag) {
		unlink_attachment(attachment);
		pass = put_tag(domain, attachment->tag, 1);
	}
	domain->users--;
	domain->switching -= domain->grows;
	unlock_domain(domain);
	if (pass)
		pass_unmaps(domain);
}

/* ---- Map and unmap ---- */

/* Enough for a handful of commands, more take more turns. */
#define FLUSH_STEPS 12
/* The most that one range of a domain takes, with a fence before and a wait after it. */
#define RANGE_STEPS 8

static int run_steps(struct iommu_unit *unit, struct entry_steps *steps)
{
	struct iommu_plan plan = { .steps = steps->v, .nsteps = steps->n };
	int err = steps->n ? unit_commit(unit, &plan) : 0;

	*steps = (struct entry_steps){ .v = steps->v, .capacity = steps->capacity };
	return err;
}

/* What is forgotten: [first, last], and whether tables went, or something came. */
struct forgotten {
	const struct iommu_domain *domain;
	uint64_t first, last;
	bool leaf, absent;
	struct entry_steps steps;
	int err;			/* the first */
};

/* Carries out what there is, if it must be or if there is no room for `more` steps. */
static void turn(struct forgotten *f, struct iommu_unit *unit, unsigned more)
{
	int err;

	if (more && f->steps.n + more <= FLUSH_STEPS)
		return;
	emit_wait(&f->steps, true);
	err = run_steps(unit, &f->steps);
	f->err = f->err ? f->err : err;
}

static void forget_index(struct forgotten *f, const struct domain_tag *tag, uint32_t index)
{
	turn(f, tag->unit, RANGE_STEPS);
	tag->unit->ops->forget_range(tag->unit, &f->steps, f->domain, tag->tag, index, f->first, f->last, f->leaf, f->absent);
}

/* In the unit's own caches: under the tag, and, where lines have it, under every table index that the domain is attached to. */
static void forget_tag(struct forgotten *f, const struct domain_tag *tag)
{
	const struct iommu_unit_ops *ops = tag->unit->ops;
	bool before = false;
	uint32_t last = 0;

	if (!tag->attachments || !ops->tag_has_pasid || !ops->tag_has_pasid(tag->unit, f->domain)) {
		forget_index(f, tag, tag->pasid);
		return;
	}
	/* Requests without PASID all have one index. */
	if (!tag->npasids) {
		forget_index(f, tag, unit_pasid_index(tag->unit, IOMMU_NO_PASID));
		return;
	}
	for (const struct iommu_attachment *at = tag->attachments; at; at = at->next) {
		uint32_t index = unit_pasid_index(tag->unit, at->pasid);

		/* Those of one index are mostly side by side. */
		if (!before || index != last)
			forget_index(f, tag, index);
		before = true;
		last = index;
	}
}

static void forget_devices(struct forgotten *f, const struct domain_tag *tag)
{
	for (const struct iommu_attachment *at = tag->ndevtlbs ? tag->attachments : NULL; at; at = at->next) {
		if (!at->ats)
			continue;
		/* Its commands, one more for all of its PASIDs, a fence before and a wait after them. */
		turn(f, tag->unit, at->device->nrids + 3);
		tag->unit->ops->forget_device_range(tag->unit, &f->steps, at->device, at->pasid, at->nested ? 0 : f->first,
						    at->nested ? UINT64_MAX : f->last);
	}
}

static void forget_tags(struct forgotten *f)
{
	for (struct domain_tag *tag = f->domain->tags; tag; tag = tag->next) {
		forget_tag(f, tag);
		/* The IOTLB first: a device TLB could refill from it. */
		emit_wait(&f->steps, false);
		if (!f->absent)
			forget_devices(f, tag);
		turn(f, tag->unit, 0);
	}
}

/* All units that may have cached [first, last] of the domain forget it. Under the domain's lock. */
static int forget(struct iommu_domain *domain, uint64_t first, uint64_t last, bool leaf, bool absent)
{
	struct iommu_step array[FLUSH_STEPS];
	struct forgotten f = {
		.domain = domain, .first = first, .last = last, .leaf = leaf, .absent = absent,
		.steps = { .v = array, .capacity = FLUSH_STEPS },
	};

	forget_tags(&f);
	/* What is nested in it is cached by the guest's addresses. */
	f.first = 0;
	f.last = UINT64_MAX;
	f.leaf = false;
	for (struct iommu_domain *nested = domain->nested; nested; nested = nested->next_nested) {
		lock_domain(nested);
		f.domain = nested;
		forget_tags(&f);
		unlock_domain(nested);
	}
	return f.err;
}

/*
 * The tag under which a plain unmap is all forgotten, the domain's only one. NULL: a table went, which others would miss in what the
 * hardware still knows of it; or there is more to be asked than one tag of one unit.
 */
static struct domain_tag *lone_tag(const struct iommu_domain *domain, const struct iommu_gather *gather)
{
	struct domain_tag *tag = domain->tags;

	if (gather->tables || domain->nested || domain->pgtable.retired.tables || !tag || tag->next || !tag->users || tag->ndevtlbs)
		return NULL;
	return tag;
}

/* Lets the domain's lock go while the hardware forgets. */
static int forget_unlocked(struct iommu_domain *domain, const struct domain_tag *tag, const struct iommu_gather *gather)
{
	struct iommu_step array[FLUSH_STEPS];
	struct iommu_unit *unit = tag->unit;
	struct forgotten f = {
		.domain = domain, .first = gather->first, .last = gather->last, .leaf = true,
		.steps = { .v = array, .capacity = FLUSH_STEPS },
	};

	forget_tag(&f, tag);
	domain->unmaps_waiting++;
	unlock_domain(domain);
	turn(&f, unit, 0);
	lock_domain(domain);
	domain->unmaps_waiting--;
	return f.err;
}

/* Tables that the page table has no more use for are forgotten, and freed. Under the domain's lock. */
static int forget_retired(struct iommu_domain *domain)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;
	int err;

	if (!iommu_pgtable_retired(&domain->pgtable, &gather))
		return 0;
	err = forget(domain, gather.first, gather.last, false, false);
	if (!err)
		iommu_gather_free(&domain->pgtable, &gather);
	return err;
}

static int check_range(const struct iommu_domain *domain, uint64_t iova, uint64_t size)
{
	if (domain->type != IOMMU_DOMAIN_PAGING || !size || (iova | size) % HITLESS_PAGE_SIZE)
		return -EINVAL;
	if (iova + (size - 1) < iova || iova < domain->first || iova + (size - 1) > domain->last)
		return -ERANGE;
	return 0;
}

/* Does a unit that may walk the table not answer any more? Under the domain's lock. */
static bool is_lost(struct iommu_domain *domain)
{
	for (struct domain_tag *tag = domain->tags; tag; tag = tag->next)
		if (unit_is_lost(tag->unit))
			domain->quarantined = true;
	for (struct iommu_domain *nested = domain->nested; nested; nested = nested->next_nested) {
		lock_domain(nested);
		domain->quarantined |= is_lost(nested);
		unlock_domain(nested);
	}
	return domain->quarantined;
}

int iommu_map(struct iommu_domain *domain, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot)
{
	int err;

	if (!domain || phys % HITLESS_PAGE_SIZE || !(prot & (IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC)) ||
	    (prot & ~(IOMMU_READ | IOMMU_WRITE | IOMMU_EXEC | IOMMU_MMIO)))
		return -EINVAL;
	err = check_range(domain, iova, size);
	if (err)
		return err;
	lock_domain(domain);
	err = is_lost(domain) ? -EIO : domain_grow(domain, iova + (size - 1));
	if (!err)
		err = is_lost(domain) ? -EIO : domain->pgtable.ops->map(&domain->pgtable, iova, phys, size, prot);
	if (!err) {
		/* Only where the hardware may remember that nothing was there. */
		err = forget(domain, iova, iova + (size - 1), false, true);
		err = err ? err : forget_retired(domain);
		domain->quarantined |= err != 0;
	}
	unlock_domain(domain);
	return err;
}

/* How much of the range the table reaches before it has grown. Under the domain's lock. */
static uint64_t within_table(const struct iommu_domain *domain, uint64_t iova, uint64_t size)
{
	uint64_t last = domain->pgtable.last;

	if (iova > last)
		return 0;
	return size - 1 > last - iova ? last - iova + 1 : size;
}

int64_t iommu_unmap(struct iommu_domain *domain, uint64_t iova, uint64_t size)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;
	struct domain_tag *tag;
	int64_t unmapped;
	int err;

	if (!domain)
		return -EINVAL;
	err = check_range(domain, iova, size);
	if (err)
		return err;
	begin_unmap(domain);
	lock_domain(domain);
	size = within_table(domain, iova, size);
	unmapped = is_lost(domain) ? -EIO : !size ? 0 : domain->pgtable.ops->unmap(&domain->pgtable, iova, size, &gather);
	if (unmapped == -EAGAIN) {
		/* A large page is to be split: the hardware has to forget it first. It maps what it did. */
		err = forget(domain, gather.first, gather.last, true, false);
		domain->quarantined |= err != 0;
		gather = (struct iommu_gather)IOMMU_GATHER_INIT;
		unmapped = err ? err : domain->pgtable.ops->unmap(&domain->pgtable, iova, size, &gather);
	}
	if (unmapped >= 0) {
		tag = lone_tag(domain, &gather);
		err = !unmapped ? 0 :
		      tag	? forget_unlocked(domain, tag, &gather) :
				  forget(domain, gather.first, gather.last, !gather.tables, false);
		err = err ? err : forget_retired(domain);
		if (err) {
			/* Somebody may still walk them: they are never freed. */
			domain->quarantined = true;
			unmapped = err;
		} else {
			iommu_gather_free(&domain->pgtable, &gather);
		}
	}
	unlock_domain(domain);
	end_unmap(domain);
	return unmapped;
}

int iommu_domain_invalidate(struct iommu_domain *domain, uint64_t iova, uint64_t size, bool tables)
{
	int err;

	if (!domain || domain->type != IOMMU_DOMAIN_EXTERNAL || !size || (iova | size) % HITLESS_PAGE_SIZE ||
	    iova + (size - 1) < iova)
		return -EINVAL;
	lock_domain(domain);
	err = is_lost(domain) ? -EIO : forget(domain, iova, iova + (size - 1), !tables, false);
	domain->quarantined |= err != 0;
	unlock_domain(domain);
	return err;
}

int iommu_iova_to_phys(struct iommu_domain *domain, uint64_t iova, uint64_t *phys)
{
	return domain_lookup(domain, iova, phys, NULL);
}

int domain_lookup(struct iommu_domain *domain, uint64_t iova, uint64_t *phys, unsigned *rights)
{
	int err;

	if (!domain || !phys)
		return -EINVAL;
	if (domain->type == IOMMU_DOMAIN_EXTERNAL || domain->type == IOMMU_DOMAIN_NESTED)
		return -EOPNOTSUPP;
	if (domain->type == IOMMU_DOMAIN_BLOCKED)
		return -ENOENT;
	*phys = iova;
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return 0;
	if (iova < domain->first || iova > domain->last)
		return -ENOENT;
	lock_domain(domain);
	err = domain->pgtable.ops->iova_to_phys(&domain->pgtable, iova, phys, rights);
	unlock_domain(domain);
	return err;
}

RARE int iommu_read_and_clear_dirty(struct iommu_domain *domain, uint64_t iova, uint64_t size,
			       void (*report)(void *ctx, uint64_t iova, uint64_t size), void *ctx)
{
	struct iommu_gather gather = IOMMU_GATHER_INIT;
	int err, failed = 0;

	if (!domain || !report)
		return -EINVAL;
	err = check_range(domain, iova, size);
	if (err)
		return err;
	lock_domain(domain);
	size = within_table(domain, iova, size);
	if (is_lost(domain))
		err = -EIO;
	else if (!size)
		err = domain->dirty ? 0 : -EOPNOTSUPP; /* what is beyond the table has no marks */
	else
		err = domain->pgtable.ops->read_and_clear_dirty(&domain->pgtable, iova, size, &gather, report, ctx);
	/* A cached translation that says "dirty already" would not mark the page again. */
	if (gather.first <= gather.last)
		failed = forget(domain, gather.first, gather.last, true, false);
	unlock_domain(domain);
	return err ? err : failed;
}
