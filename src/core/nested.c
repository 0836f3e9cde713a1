/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * nested.c - guests' first stages: their entries and commands are copied, checked by the driver, and carried out under the
 * host's tags.
 *
 * The guest's memory changes under our eyes. So it is read once, word by word, into a copy that the guest doesn't reach, and
 * only that is looked at.
 */
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

static void copy_once(uint64_t *to, const void *from, size_t bytes)
{
	const uint64_t *words = from;

	for (size_t i = 0; i < bytes / 8; i++)
		to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
}

/* ---- Entries ---- */

size_t iommu_guest_entry_bytes(struct iommu_unit *unit)
{
	return unit && unit->nested ? unit->nested->entry_bytes : 0;
}

int iommu_guest_entry_read(struct iommu_unit *unit, const void *memory, size_t bytes, struct iommu_guest_entry *entry)
{
	if (!unit || !memory || (uintptr_t)memory % 8 || !entry)
		return -EINVAL;
	*entry = (struct iommu_guest_entry){ .unit = unit };
	if (!unit->nested || bytes != unit->nested->entry_bytes)
		return -EOPNOTSUPP;
	copy_once(entry->words, memory, bytes);
	return unit->nested->read_entry(unit, entry);
}

/* Nobody may be adding a level to the parent, whose root is needed from now on. */
static int enter_parent(struct iommu_domain *domain)
{
	struct iommu_domain *parent = domain->parent;
	int err = 0;

	lock_domain(parent);
	while (parent->growing) {
		unlock_domain(parent);
		parent->port->relax(parent->port->ctx);
		lock_domain(parent);
	}
	if (parent->quarantined) {
		err = -EIO;
	} else {
		parent->users++;
		domain->next_nested = parent->nested;
		parent->nested = domain;
	}
	unlock_domain(parent);
	return err;
}

static bool is_parent(const struct iommu_domain *domain)
{
	return domain && domain->type == IOMMU_DOMAIN_PAGING && domain->stage == 2;
}

int iommu_domain_alloc_nested(struct iommu_domain *parent, const struct iommu_guest_entry *guest, struct iommu_domain **result)
{
	struct iommu_domain *domain;
	struct iommu_unit *unit;
	int err;

	if (!is_parent(parent) || !guest || guest->kind != IOMMU_GUEST_NESTED || !guest->unit || !guest->unit->nested || !result)
		return -EINVAL;
	unit = guest->unit;
	if (unit->ops != parent->ops || unit->port != parent->port || unit->ops->domain_check(unit, NULL, parent))
		return -EINVAL;
	err = domain_create(unit, IOMMU_DOMAIN_NESTED, &domain);
	if (err)
		return err;
	domain->nested_ops = unit->nested;
	domain->parent = parent;
	memcpy(domain->guest, guest->words, sizeof(domain->guest));
	err = unit->nested->check(unit, NULL, domain);
	if (!err)
		err = enter_parent(domain);
	if (err) {
		domain_destroy(domain);
		return err;
	}
	*result = domain;
	return 0;
}

/* ---- Commands ---- */

int iommu_guest_command_read(struct iommu_unit *unit, const void *memory, size_t bytes, struct iommu_guest_command *command)
{
	if (!unit || !memory || (uintptr_t)memory % 8 || !command)
		return -EINVAL;
	*command = (struct iommu_guest_command){ .unit = unit, .pasid = IOMMU_NO_PASID };
	if (!unit->nested || bytes < unit->nested->command_bytes || bytes > sizeof(command->words) || bytes % 8)
		return -EOPNOTSUPP;
	copy_once(command->words, memory, bytes);
	return unit->nested->read_command(unit, command);
}

/* A fence before what one index takes, and a wait after the last. */
#define GUEST_STEPS (2 * MAX_GUEST_STEPS + 2)

struct guest_flush {
	const struct iommu_guest_command *command;
	struct iommu_step array[GUEST_STEPS];
	struct entry_steps steps;
	int err;			/* the first */
};

static void end_turn(struct guest_flush *flush, struct iommu_unit *unit)
{
	struct iommu_plan plan;
	int err;

	if (!flush->steps.n)
		return;
	emit_wait(&flush->steps, true);
	plan = (struct iommu_plan){ .steps = flush->array, .nsteps = flush->steps.n };
	err = unit_commit(unit, &plan);
	flush->err = flush->err ? flush->err : err;
	flush->steps.n = 0;
}

static void begin_flush(struct guest_flush *flush, const struct iommu_guest_command *command)
{
	memset(flush, 0, sizeof(*flush));
	flush->command = command;
	flush->steps = (struct entry_steps){ .v = flush->array, .capacity = GUEST_STEPS };
}

static void forget_index(struct guest_flush *flush, const struct iommu_nested_ops *ops, const struct domain_tag *tag, uint32_t index)
{
	if (flush->steps.n + MAX_GUEST_STEPS + 1 > GUEST_STEPS)
		end_turn(flush, tag->unit);
	ops->forget(tag->unit, &flush->steps, tag->tag, index, flush->command);
}

/* Under every tag of the domain, and every table index that has it. Under the domain's lock. */
static void forget_tags(struct guest_flush *flush, const struct iommu_nested_ops *ops, const struct iommu_domain *domain)
{
	for (const struct domain_tag *tag = domain->tags; tag; tag = tag->next) {
		bool before = false;
		uint32_t last = 0;

		if (!tag->attachments || ops->parents_tag)
			forget_index(flush, ops, tag, tag->pasid);
		for (const struct iommu_attachment *at = tag->attachments; at && !ops->parents_tag; at = at->next) {
			uint32_t index = unit_pasid_index(tag->unit, at->pasid);

			if (!before || index != last)
				forget_index(flush, ops, tag, index);
			before = true;
			last = index;
		}
		end_turn(flush, tag->unit);
	}
}

int iommu_guest_invalidate(struct iommu_domain *parent, const struct iommu_guest_command *command)
{
	const struct iommu_nested_ops *ops;
	struct guest_flush flush;

	if (!is_parent(parent) || !command || !command->unit || !command->unit->nested || command->unit->ops != parent->ops)
		return -EINVAL;
	if (!(command->about & IOMMU_GUEST_TRANSLATIONS))
		return 0;
	ops = command->unit->nested;
	begin_flush(&flush, command);
	lock_domain(parent);
	if (ops->parents_tag && parent->nested)
		forget_tags(&flush, ops, parent);
	for (struct iommu_domain *nested = parent->nested; nested && !ops->parents_tag; nested = nested->next_nested) {
		if (!ops->concerns(nested, command))
			continue;
		lock_domain(nested);
		forget_tags(&flush, ops, nested);
		unlock_domain(nested);
	}
	if (flush.err)
		parent->quarantined = true;
	unlock_domain(parent);
	return flush.err;
}

bool nested_devtlb_is_on(const struct iommu_device *device)
{
	const struct iommu_attachment *at = &device->rid.attachment[device->rid.attached];

	/* Where a guest doesn't have them, PASIDs alone may need it. */
	return device->passing && (device->pasid_bits && !at->nested ? device->ats : at->ats);
}

int iommu_guest_invalidate_device(struct iommu_device *device, const struct iommu_guest_command *command)
{
	struct guest_flush flush;
	struct iommu_unit *unit;

	if (!device || !command || !device->unit->nested || !command->unit || command->unit->ops != device->unit->ops)
		return -EINVAL;
	unit = device->unit;
	begin_flush(&flush, command);
	lock_group(device->group);
	if (command->about & IOMMU_GUEST_DEVICE) {
		unit->nested->forget_device(unit, &flush.steps, device, command);
		end_turn(&flush, unit);
	}
	unlock_group(device->group);
	return flush.err;
}
