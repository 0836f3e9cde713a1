/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * viommu.c - a guest's entries become domains, and their changes replaces.
 *
 * What a device's requests are in is a *place*: one for requests without PASID, and on VT-d one for each PASID that the guest uses. A
 * place has a domain: the blocking one, the guest's memory, or a translation, which is shared by all places that say the same and
 * goes with the last one.
 */
#include <hitless/viommu.h>

#include <string.h>

#define BUCKETS 64u

/* A nested domain, by what the guest's entry says. */
struct translation {
	struct translation *next;
	uint64_t words[IOMMU_GUEST_ENTRY_WORDS];
	struct iommu_domain *domain;
	unsigned users;
};

struct place {
	struct place *next;
	uint32_t pasid;				/* IOMMU_NO_PASID: without */
	struct iommu_domain *domain;		/* NULL: of a PASID, none; else one that is none of ours, for the device has just come */
	struct translation *translation;	/* whose domain it is, or NULL */
};

struct guest_device {
	struct guest_device *next;
	struct iommu_group *group;
	struct iommu_device *device;
	uint32_t rid;				/* the guest's */
	struct place *places;			/* the first is that of requests without PASID */
};

struct viommu {
	struct viommu_desc desc;
	struct hitless_lock lock;
	struct iommu_domain *blocked;
	struct guest_device *devices;
	struct translation *translations[BUCKETS];
	struct viommu_info info;
};

const uint64_t viommu_untranslated;

static void *allocate(struct viommu *viommu, size_t bytes)
{
	void *memory = viommu->desc.port->alloc(viommu->desc.port->ctx, bytes);

	viommu->info.bytes += memory ? bytes : 0;
	return memory;
}

static void release(struct viommu *viommu, void *memory, size_t bytes)
{
	viommu->desc.port->free(viommu->desc.port->ctx, memory, bytes);
	viommu->info.bytes -= bytes;
}

static void lock(struct viommu *viommu)
{
	viommu->desc.port->lock(viommu->desc.port->ctx, &viommu->lock);
}

static void unlock(struct viommu *viommu)
{
	viommu->desc.port->unlock(viommu->desc.port->ctx, &viommu->lock);
}

/* ---- Translations ---- */

static bool same_words(const uint64_t *a, const uint64_t *b)
{
	uint64_t differ = 0;

	for (unsigned i = 0; i < IOMMU_GUEST_ENTRY_WORDS; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

static struct translation **bucket_of(struct viommu *viommu, const uint64_t *words)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < IOMMU_GUEST_ENTRY_WORDS; i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
	return &viommu->translations[hash >> 58];
}

static int get_translation(struct viommu *viommu, const struct iommu_guest_entry *entry, struct translation **result)
{
	struct translation **bucket = bucket_of(viommu, entry->words), *translation;
	int err;

	for (translation = *bucket; translation; translation = translation->next)
		if (same_words(translation->words, entry->words))
			break;
	if (!translation) {
		translation = allocate(viommu, sizeof(*translation));
		if (!translation)
			return -ENOMEM;
		err = iommu_domain_alloc_nested(viommu->desc.parent, entry, &translation->domain);
		if (err) {
			release(viommu, translation, sizeof(*translation));
			return err;
		}
		memcpy(translation->words, entry->words, sizeof(translation->words));
		translation->next = *bucket;
		*bucket = translation;
		viommu->info.domains++;
	}
	translation->users++;
	*result = translation;
	return 0;
}

static void put_translation(struct viommu *viommu, struct translation *translation)
{
	struct translation **link;

	if (!translation || --translation->users)
		return;
	for (link = bucket_of(viommu, translation->words); *link != translation; link = &(*link)->next)
		;
	*link = translation->next;
	/* A quarantined one is never freed (-EIO): it is forgotten here. */
	iommu_domain_free(translation->domain);
	release(viommu, translation, sizeof(*translation));
	viommu->info.domains--;
}

/* ---- Places ---- */

/* A PASID that is blocked has no domain at all. */
static int move_pasid(struct viommu *viommu, struct guest_device *device, struct place *place, struct iommu_domain *domain,
		      struct viommu_report *report)
{
	const struct iommu_replace_options options = { .handle = viommu->desc.handle };

	if (!domain)
		return iommu_detach_device_pasid(device->device, place->pasid);
	if (!place->domain)
		return iommu_attach_device_pasid(device->device, place->pasid, domain, viommu->desc.handle);
	return iommu_replace_device_pasid(device->device, place->pasid, domain, &options, &report->replace);
}

/* To what the guest's entry says. The translation's reference becomes the place's, or is given back. */
static int move(struct viommu *viommu, struct guest_device *device, struct place *place, struct iommu_domain *domain,
		struct translation *translation, struct viommu_report *report)
{
	const struct iommu_replace_options options = { .handle = viommu->desc.handle };
	int err;

	if (place->pasid != IOMMU_NO_PASID && domain == viommu->blocked)
		domain = NULL;
	if (domain == place->domain) {
		put_translation(viommu, translation);
		return 0;
	}
	report->replace.hitless = true;
	if (place->pasid == IOMMU_NO_PASID)
		err = iommu_group_replace_domain(device->group, domain, &options, &report->replace);
	else
		err = move_pasid(viommu, device, place, domain, report);
	if (err) {
		put_translation(viommu, translation);
		return err;
	}
	put_translation(viommu, place->translation);
	place->domain = domain;
	place->translation = translation;
	report->replaced = true;
	viommu->info.replaces++;
	viommu->info.hitless += report->replace.hitless;
	return 0;
}

/* The domain of an entry that was let through. */
static int find_domain(struct viommu *viommu, const struct iommu_guest_entry *entry, struct iommu_domain **domain,
		       struct translation **translation)
{
	int err;

	if (entry->kind != IOMMU_GUEST_NESTED) {
		*domain = entry->kind == IOMMU_GUEST_BYPASS ? viommu->desc.bypass : viommu->blocked;
		return 0;
	}
	err = get_translation(viommu, entry, translation);
	if (!err)
		*domain = (*translation)->domain;
	return err;
}

static int refresh(struct viommu *viommu, struct guest_device *device, struct place *place, struct viommu_report *report)
{
	const void *memory = viommu->desc.entry(viommu->desc.ctx, device->rid, place->pasid);
	struct iommu_guest_entry entry = { .kind = IOMMU_GUEST_BLOCKED };
	struct iommu_domain *domain = viommu->desc.parent;
	struct translation *translation = NULL;
	int err, refused = 0;

	*report = (struct viommu_report){ 0 };
	if (memory == &viommu_untranslated)
		return move(viommu, device, place, domain, NULL, report);
	if (memory)
		refused = iommu_guest_entry_read(viommu->desc.unit, memory, iommu_guest_entry_bytes(viommu->desc.unit), &entry);
	report->field = entry.field;
	/* A unit that rejects the entry lets nothing through. */
	if (refused)
		entry.kind = IOMMU_GUEST_BLOCKED;
	err = find_domain(viommu, &entry, &domain, &translation);
	if (!err)
		err = move(viommu, device, place, domain, translation, report);
	return refused ? refused : err;
}

static struct guest_device *find_device(const struct viommu *viommu, uint32_t guest_rid)
{
	struct guest_device *device = viommu->devices;

	while (device && device->rid != guest_rid)
		device = device->next;
	return device;
}

static struct place *find_place(const struct guest_device *device, uint32_t pasid)
{
	struct place *place = device->places;

	while (place && place->pasid != pasid)
		place = place->next;
	return place;
}

static struct place *add_place(struct viommu *viommu, struct guest_device *device, uint32_t pasid)
{
	struct place *place = allocate(viommu, sizeof(*place)), **link = &device->places;

	if (!place)
		return NULL;
	place->pasid = pasid;
	while (*link)
		link = &(*link)->next;
	*link = place;
	return place;
}

/* A PASID of which the guest's entry says nothing any more is forgotten. */
static void drop_if_empty(struct viommu *viommu, struct guest_device *device, struct place *place)
{
	struct place **link = &device->places;

	if (place->pasid == IOMMU_NO_PASID || place->domain)
		return;
	while (*link != place)
		link = &(*link)->next;
	*link = place->next;
	release(viommu, place, sizeof(*place));
}

static int refresh_pasid(struct viommu *viommu, struct guest_device *device, uint32_t pasid, struct viommu_report *report)
{
	struct place *place = find_place(device, pasid);
	int err;

	if (!place)
		place = add_place(viommu, device, pasid);
	if (!place)
		return -ENOMEM;
	err = refresh(viommu, device, place, report);
	drop_if_empty(viommu, device, place);
	return err;
}

/* ---- Devices ---- */

static bool in_group(struct iommu_group *group, struct iommu_device *device)
{
	return group && device && iommu_device_group(device) == group;
}

int viommu_add_device(struct viommu *viommu, struct iommu_group *group, struct iommu_device *device, uint32_t guest_rid)
{
	struct viommu_report report;
	struct guest_device *added;
	struct place *place;
	int err;

	if (!viommu || !in_group(group, device))
		return -EINVAL;
	lock(viommu);
	err = find_device(viommu, guest_rid) ? -EEXIST : 0;
	added = err ? NULL : allocate(viommu, sizeof(*added));
	if (!added) {
		err = err ? err : -ENOMEM;
		goto out;
	}
	added->group = group;
	added->device = device;
	added->rid = guest_rid;
	place = add_place(viommu, added, IOMMU_NO_PASID);
	err = -ENOMEM;
	/* From whatever it is in, without a stop. */
	if (place)
		err = refresh(viommu, added, place, &report);
	if (!place || !place->domain) {
		if (place)
			release(viommu, place, sizeof(*place));
		release(viommu, added, sizeof(*added));
		goto out;
	}
	added->next = viommu->devices;
	viommu->devices = added;
	viommu->info.devices++;
out:
	unlock(viommu);
	return err;
}

int viommu_remove_device(struct viommu *viommu, uint32_t guest_rid)
{
	struct guest_device *device, **link;
	int err = 0;

	if (!viommu)
		return -EINVAL;
	lock(viommu);
	device = find_device(viommu, guest_rid);
	if (!device) {
		err = -ENOENT;
		goto out;
	}
	for (struct place *place = device->places; place && !err; place = place->next) {
		struct viommu_report report;

		err = place->pasid == IOMMU_NO_PASID ? 0 : move(viommu, device, place, NULL, NULL, &report);
	}
	if (!err)
		err = iommu_detach_group(device->group);
	if (err)
		goto out;
	while (device->places) {
		struct place *place = device->places;

		device->places = place->next;
		put_translation(viommu, place->translation);
		release(viommu, place, sizeof(*place));
	}
	for (link = &viommu->devices; *link != device; link = &(*link)->next)
		;
	*link = device->next;
	release(viommu, device, sizeof(*device));
	viommu->info.devices--;
out:
	unlock(viommu);
	return err;
}

int viommu_entry_changed(struct viommu *viommu, uint32_t guest_rid, uint32_t pasid, struct viommu_report *report)
{
	struct viommu_report ignored;
	struct guest_device *device;
	int err;

	if (!viommu)
		return -EINVAL;
	lock(viommu);
	device = find_device(viommu, guest_rid);
	err = device ? refresh_pasid(viommu, device, pasid, report ? report : &ignored) : -ENOENT;
	unlock(viommu);
	return err;
}

/* ---- Commands ---- */

struct outcome {
	int err;			/* the first */
	const char *field;
};

static void note(struct outcome *outcome, int err, const char *field)
{
	if (outcome->err || !err)
		return;
	outcome->err = err;
	outcome->field = field;
}

static void refresh_all(struct viommu *viommu, struct guest_device *device, struct outcome *outcome)
{
	struct viommu_report report;
	struct place *next;

	for (struct place *place = device->places; place; place = next) {
		next = place->next;
		note(outcome, refresh(viommu, device, place, &report), report.field);
		drop_if_empty(viommu, device, place);
	}
}

static void refresh_as_told(struct viommu *viommu, struct guest_device *device, const struct iommu_guest_command *command,
			    struct outcome *outcome)
{
	uint32_t rid_pasid = viommu->desc.rid_pasid ? viommu->desc.rid_pasid(viommu->desc.ctx, device->rid) : 0;
	struct viommu_report report = { 0 };
	int err;

	if (command->pasid == IOMMU_NO_PASID) {
		refresh_all(viommu, device, outcome);
		return;
	}
	err = refresh_pasid(viommu, device, command->pasid == rid_pasid ? IOMMU_NO_PASID : command->pasid, &report);
	note(outcome, err, report.field);
}

/* Entries first, so that what is invalidated is not filled anew from what they said before; then translations, then devices' own
 * TLBs, which could refill from these. */
static void carry_out(struct viommu *viommu, const struct iommu_guest_command *command, struct outcome *outcome)
{
	struct guest_device *device;

	for (device = viommu->devices; device; device = device->next)
		if ((command->about & IOMMU_GUEST_ENTRY) && device->rid >= command->first_rid && device->rid <= command->last_rid)
			refresh_as_told(viommu, device, command, outcome);
	if (command->about & IOMMU_GUEST_TRANSLATIONS)
		note(outcome, iommu_guest_invalidate(viommu->desc.parent, command), NULL);
	for (device = viommu->devices; device; device = device->next)
		if ((command->about & IOMMU_GUEST_DEVICE) && device->rid >= command->first_rid && device->rid <= command->last_rid)
			note(outcome, iommu_guest_invalidate_device(device->device, command), NULL);
}

int viommu_command(struct viommu *viommu, const void *memory, size_t bytes, const char **field)
{
	struct iommu_guest_command command = { .field = NULL };
	struct outcome outcome = { 0 };

	if (!viommu)
		return -EINVAL;
	note(&outcome, iommu_guest_command_read(viommu->desc.unit, memory, bytes, &command), NULL);
	outcome.field = command.field;
	if (!outcome.err) {
		lock(viommu);
		viommu->info.commands++;
		carry_out(viommu, &command, &outcome);
		unlock(viommu);
	}
	if (field)
		*field = outcome.field;
	return outcome.err;
}

/* ---- The whole ---- */

int viommu_create(const struct viommu_desc *desc, struct viommu **result)
{
	const struct iommu_domain_desc blocked = { .type = IOMMU_DOMAIN_BLOCKED };
	struct viommu *viommu;
	int err;

	if (!desc || !desc->unit || !desc->port || !desc->parent || !desc->entry || !result)
		return -EINVAL;
	viommu = desc->port->alloc(desc->port->ctx, sizeof(*viommu));
	if (!viommu)
		return -ENOMEM;
	viommu->desc = *desc;
	viommu->info.bytes = sizeof(*viommu);
	if (!viommu->desc.bypass)
		viommu->desc.bypass = desc->parent;
	err = desc->port->lock_init(desc->port->ctx, &viommu->lock);
	if (err)
		goto free;
	err = iommu_domain_alloc(desc->unit, &blocked, &viommu->blocked);
	if (err)
		goto destroy_lock;
	*result = viommu;
	return 0;

destroy_lock:
	desc->port->lock_destroy(desc->port->ctx, &viommu->lock);
free:
	desc->port->free(desc->port->ctx, viommu, sizeof(*viommu));
	return err;
}

int viommu_destroy(struct viommu *viommu)
{
	const struct hitless_port *port;

	if (!viommu)
		return -EINVAL;
	if (viommu->devices)
		return -EBUSY;
	port = viommu->desc.port;
	iommu_domain_free(viommu->blocked);
	port->lock_destroy(port->ctx, &viommu->lock);
	port->free(port->ctx, viommu, sizeof(*viommu));
	return 0;
}

void viommu_get_info(struct viommu *viommu, struct viommu_info *info)
{
	lock(viommu);
	*info = viommu->info;
	unlock(viommu);
}
