/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fuzz_guest.c - a hostile guest: entries, commands and tables of its choice, and two devices that do DMA.
 *
 * The input's first byte chooses the architecture, the rest is a program. The guest has two devices and an arena of memory, which is all that
 * its parent maps. It begins with good tables there, spoils what it likes, changes its devices' entries, and gives commands to its unit
 * (hitless/viommu.h). Beside it lives another guest with a device of its own, whose tags are the same, and whose translations
 * are cached while its page table has been emptied since: they stay for as long as nobody invalidates what is not his.
 *
 * What must hold: no crash and no undefined behaviour; no DMA of the guest's devices beyond its arena; the other guest's device meets its
 * own frame each time; in the end all memory comes back.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hitless/viommu.h>

#include "machine/machine.h"

#define PAGE 4096ull
#define ARENA 24u		/* frames: four levels of page table, then pages */
#define DEVICES 2u
#define GUEST_RID 0x10u
#define RID 0x0100u
#define VICTIM_RID 0x0200u
#define TAG 1u			/* both guests'; the first that a host gives, too */
#define STEPS 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Frames of a guest: of its page table by level, a page for what its entry leads to besides, and what the table maps. */
enum { ROOT, TABLES = 4, EXTRA = 4, PAGES = 8 };

struct guest {
	struct iommu_domain *parent;
	uint64_t first;			/* frame */
};

struct scene {
	struct machine machine;
	const struct machine_arch *arch;
	struct guest hostile, victim;
	struct iommu_domain *nested;	/* the victim's */
	struct viommu *viommu;
	struct iommu_group *groups[DEVICES + 1];
	struct iommu_device *devices[DEVICES + 1];
	uint64_t entries[DEVICES][IOMMU_GUEST_ENTRY_WORDS];
	uint8_t state[DEVICES];		/* 0: an entry, 1: none, 2: the unit is off */
	const uint8_t *data;
	size_t left;
};

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static uint8_t take(struct scene *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->data++;
}

static uint64_t take64(struct scene *s)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)take(s) << 8 * i;
	return value;
}

/* ---- Guests ---- */

static uint64_t frame(const struct guest *guest, unsigned n)
{
	return guest->first + n * PAGE;
}

static uint64_t *word(struct scene *s, const struct guest *guest, unsigned n)
{
	return (uint64_t *)machine_virt(&s->machine, guest->first) + n;
}

/* Four levels, and eight pages from address 0 on. */
static void make_tables(struct scene *s, const struct guest *guest)
{
	for (unsigned level = 0; level + 1 < TABLES; level++)
		*word(s, guest, level * 512) = (frame(guest, level + 1) + MACHINE_GUEST_OFFSET) >> s->arch->cpu.shift | s->arch->cpu.table;
	for (unsigned i = 0; i < 8; i++)
		*word(s, guest, (TABLES - 1) * 512 + i) = (frame(guest, PAGES + i) + MACHINE_GUEST_OFFSET) >> s->arch->cpu.shift |
							  s->arch->cpu.writable;
}

static void make_entry(struct scene *s, const struct guest *guest, uint64_t *entry)
{
	memset(entry, 0, IOMMU_GUEST_ENTRY_WORDS * sizeof(*entry));
	s->arch->guest_entry(machine_virt(&s->machine, frame(guest, EXTRA)), frame(guest, EXTRA) + MACHINE_GUEST_OFFSET,
			     frame(guest, ROOT) + MACHINE_GUEST_OFFSET, TAG, entry);
}

static void open_guest(struct scene *s, struct guest *guest)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

	guest->first = machine_reserve_frames(&s->machine, ARENA);
	MUST(iommu_domain_alloc(s->machine.unit, &desc, &guest->parent) == 0);
	MUST(iommu_map(guest->parent, guest->first + MACHINE_GUEST_OFFSET, guest->first, ARENA * PAGE, IOMMU_READ | IOMMU_WRITE) == 0);
	make_tables(s, guest);
}

static void add_device(struct scene *s, unsigned n, uint32_t rid)
{
	const struct iommu_device_desc desc = { .unit = s->machine.unit, .rids = { rid }, .nrids = 1 };

	machine_add_function(&s->machine, rid);
	MUST(iommu_group_alloc(&s->machine.port, &s->groups[n]) == 0);
	MUST(iommu_group_add_device(s->groups[n], &desc, &s->devices[n]) == 0);
	MUST(iommu_group_claim_dma_owner(s->groups[n], s) == 0);
}

static const void *entry_of(void *ctx, uint32_t guest_rid, uint32_t pasid)
{
	struct scene *s = ctx;
	unsigned n = guest_rid - GUEST_RID;

	MUST(n < DEVICES);
	if (pasid != IOMMU_NO_PASID || s->state[n] % 3 == 1)
		return NULL;
	return s->state[n] % 3 == 2 ? &viommu_untranslated : s->entries[n];
}

/* ---- DMA ---- */

static struct machine_dma dma(struct scene *s, uint32_t rid, uint64_t iova, unsigned access)
{
	struct machine_dma request = { .rid = rid, .pasid = IOMMU_NO_PASID, .iova = iova & ~7ull, .access = access };

	request.value = take(s);
	machine_dma(&s->machine, &request);
	return request;
}

static void hostile_dma(struct scene *s)
{
	uint8_t how = take(s);
	uint64_t iova = how & 4 ? take64(s) : (take(s) % 16u) * PAGE;
	struct machine_dma request = dma(s, RID + how % DEVICES * 8, iova, how & 8 ? IOMMU_WRITE : IOMMU_READ);

	/* Its own memory, whatever its tables say. */
	MUST(!request.done || (request.phys >= s->hostile.first && request.phys - s->hostile.first < ARENA * PAGE));
}

static void victim_dma(struct scene *s)
{
	struct machine_dma request = dma(s, VICTIM_RID, 0, IOMMU_READ);

	MUST(request.done && request.phys == frame(&s->victim, PAGES));
}

/* ---- The scene ---- */

static void open_victim(struct scene *s)
{
	uint64_t entry[IOMMU_GUEST_ENTRY_WORDS];
	struct iommu_guest_entry guest;

	open_guest(s, &s->victim);
	make_entry(s, &s->victim, entry);
	MUST(iommu_guest_entry_read(s->machine.unit, entry, iommu_guest_entry_bytes(s->machine.unit), &guest) == 0);
	MUST(iommu_domain_alloc_nested(s->victim.parent, &guest, &s->nested) == 0);
	add_device(s, DEVICES, VICTIM_RID);
	MUST(iommu_attach_group(s->groups[DEVICES], s->nested) == 0);
	victim_dma(s);
	/* From here on its translation is in the cache only. */
	*word(s, &s->victim, (TABLES - 1) * 512) = 0;
}

static bool open_scene(struct scene *s)
{
	/* May-sets lose no line by themselves. */
	static const struct iommu_model_config model = {
		.quantum = 16, .lanes = 1, .entry_lines = 64, .pasid_lines = 64, .walk_lines = 256, .iotlb_lines = 1024,
		.devtlb_lines = 16, .maysets = true,
	};
	struct machine_config config = {
		.arch = s->arch, .nested = true, .seed = 1, .ram_bytes = 8u << 20, .model = &model,
		.freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP),
	};
	struct viommu_desc desc = { .entry = entry_of, .ctx = s };

	MUST(machine_create(&s->machine, &config) == 0);
	MUST(machine_start_unit(&s->machine) == 0);
	open_victim(s);
	open_guest(s, &s->hostile);
	make_entry(s, &s->hostile, s->entries[0]);
	memcpy(s->entries[1], s->entries[0], sizeof(s->entries[0]));
	desc.unit = s->machine.unit;
	desc.port = &s->machine.port;
	desc.parent = s->hostile.parent;
	MUST(viommu_create(&desc, &s->viommu) == 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		add_device(s, i, RID + i * 8);
		MUST(viommu_add_device(s->viommu, s->groups[i], s->devices[i], GUEST_RID + i) == 0);
	}
	return true;
}

static void close_group(struct scene *s, unsigned n)
{
	MUST(iommu_detach_group(s->groups[n]) == 0);
	MUST(iommu_group_release_dma_owner(s->groups[n]) == 0);
	MUST(iommu_group_remove_device(s->groups[n], s->devices[n]) == 0);
	MUST(iommu_group_free(s->groups[n]) == 0);
}

static void close_scene(struct scene *s)
{
	for (unsigned i = 0; i < DEVICES; i++)
		MUST(viommu_remove_device(s->viommu, GUEST_RID + i) == 0);
	MUST(viommu_destroy(s->viommu) == 0);
	for (unsigned i = 0; i <= DEVICES; i++)
		close_group(s, i);
	MUST(iommu_domain_free(s->nested) == 0);
	MUST(iommu_domain_free(s->hostile.parent) == 0);
	MUST(iommu_domain_free(s->victim.parent) == 0);
	MUST(iommu_unit_destroy(s->machine.unit) == 0);
	s->machine.unit = NULL;
	MUST(s->machine.frames_in_use == 0 && s->machine.heap_in_use == 0);
	machine_destroy(&s->machine);
}

/* ---- What the guest does ---- */

static bool is_refusal(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP;
}

/* Good again, then spoiled in so many places. */
static void change_entry(struct scene *s)
{
	uint8_t how = take(s);
	uint64_t *entry = s->entries[how % DEVICES];

	if (how & 2)
		make_entry(s, &s->hostile, entry);
	for (unsigned n = how >> 4; n > 0; n--) {
		unsigned bit = take(s) * 2u + (how >> 2 & 1);

		entry[bit / 64 % IOMMU_GUEST_ENTRY_WORDS] ^= 1ull << bit % 64;
	}
	if (how & 8)
		s->state[how % DEVICES] = take(s);
}

static void tell(struct scene *s)
{
	struct viommu_report report;
	int err = viommu_entry_changed(s->viommu, GUEST_RID + take(s) % DEVICES, IOMMU_NO_PASID, &report);

	MUST(!err || (is_refusal(err) && report.field));
}

static void command(struct scene *s)
{
	uint64_t words[IOMMU_GUEST_COMMAND_WORDS] = { take64(s), take64(s) };
	const char *field;
	int err = viommu_command(s->viommu, words, 16, &field);

	MUST(!err || is_refusal(err));
}

static void spoil(struct scene *s)
{
	unsigned where = take(s) | (unsigned)take(s) << 8;
	uint8_t how = take(s);
	uint64_t value = how & 1 ? take64(s) : frame(&s->hostile, how >> 3) + MACHINE_GUEST_OFFSET;

	/* Mostly entries of its tables that are in use. */
	where = how & 2 ? where % (ARENA * 512) : where % (PAGES * 512) & ~511u;
	if (!(how & 1))
		value = value >> s->arch->cpu.shift | (how & 4 ? s->arch->cpu.writable : s->arch->cpu.table);
	__atomic_store_n(word(s, &s->hostile, where), value, __ATOMIC_RELEASE);
}

/* ---- While the host reads ---- */

#define RACE_LOOKS 8u

struct race {
	uint64_t *word;
	uint64_t mask;
	unsigned started, stop;		/* atomic */
};

static void *flip_word(void *ctx)
{
	struct race *race = ctx;

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_xor(race->word, race->mask, __ATOMIC_RELAXED);
		__atomic_store_n(&race->started, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/*
 * A word of an entry, of the page that it leads to, or of a table goes to and fro while the host looks at the entry and the device at all of it.
 * What a look finds differs from run to run, what the input says next does not.
 */
static void race(struct scene *s)
{
	uint8_t how = take(s);
	unsigned where = take(s) | (unsigned)take(s) << 8;
	struct race race = { .mask = take64(s) };
	pthread_t thread;

	race.word = how & 2 ? word(s, &s->hostile, where % (PAGES * 512)) : &s->entries[how % DEVICES][where % IOMMU_GUEST_ENTRY_WORDS];
	MUST(pthread_create(&thread, NULL, flip_word, &race) == 0);
	while (!__atomic_load_n(&race.started, __ATOMIC_ACQUIRE))
		sched_yield();
	for (unsigned i = 0; i < RACE_LOOKS; i++) {
		tell(s);
		hostile_dma(s);
	}
	__atomic_store_n(&race.stop, 1, __ATOMIC_RELEASE);
	MUST(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene s;
	unsigned archs = 0, chosen;

	memset(&s, 0, sizeof(s));
	s.data = data;
	s.left = size;
	chosen = take(&s);
	for (unsigned i = 0; machine_archs[i]; i++)
		archs += machine_archs[i]->guest_entry != NULL;
	for (unsigned i = 0, n = 0; machine_archs[i]; i++)
		if (machine_archs[i]->guest_entry && n++ == chosen % archs)
			s.arch = machine_archs[i];
	if (!open_scene(&s))
		return 0;
	for (unsigned n = 0; n < STEPS && s.left; n++)
		switch (take(&s) % 8) {
		case 0:
		case 1:
			change_entry(&s);
			break;
		case 2:
			tell(&s);
			break;
		case 3:
			command(&s);
			break;
		case 4:
			spoil(&s);
			break;
		case 5:
			victim_dma(&s);
			break;
		case 6:
			race(&s);
			break;
		default:
			hostile_dma(&s);
			break;
		}
	victim_dma(&s);
	close_scene(&s);
	return 0;
}
