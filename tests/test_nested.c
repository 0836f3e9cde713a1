/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_nested.c - guests' first stages behind a second stage: what holds on every architecture that has them, and VT-d's entries and
 * descriptors. The guest's memory is the machine's RAM, at other addresses (machine/nested.c).
 */
#include "fixture.h"

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>

#include "layout/vtd.h"

#define RID 0x0300u
#define RID2 0x0308u
#define PAGES 16u
#define FAR_AWAY (1ull << 45)	/* by another entry of the root */

static const struct machine_arch *arch;

/* A guest's first stage: WINDOW and the pages behind it lie on the data frames from `frame` on. */
struct guest {
	struct fixture *fx;
	struct iommu_domain *parent, *domain;
	uint64_t root, page;
	unsigned frame;
};

static void open_nested(struct fixture *fx)
{
	const struct machine_config config = { .arch = arch, .seed = 1, .nested = true };

	fixture_open_config(fx, config);
}

static struct iommu_domain *make_parent(struct fixture *fx)
{
	struct iommu_domain *parent = fixture_domain(fx, IOMMU_DOMAIN_PAGING, 2);

	assert_int_equal(machine_map_guest(&fx->machine, parent), 0);
	return parent;
}

static void make_table(struct guest *guest, struct fixture *fx, unsigned frame)
{
	memset(guest, 0, sizeof(*guest));
	guest->fx = fx;
	guest->frame = frame;
	guest->root = machine_cpu_table(&fx->machine);
	assert_int_not_equal(guest->root, 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(machine_cpu_map(&fx->machine, MACHINE_GUEST_OFFSET, guest->root, WINDOW + i * 4096,
						 fx->data + (frame + i) * 4096ull, true), 0);
}

static void make_guest(struct guest *guest, struct fixture *fx, struct iommu_domain *parent, uint32_t tag, unsigned frame)
{
	make_table(guest, fx, frame);
	guest->parent = parent;
	assert_int_equal(machine_nested_alloc(&fx->machine, parent, guest->root, tag, &guest->page, &guest->domain), 0);
}

static void free_guest(struct guest *guest)
{
	if (guest->domain)
		assert_int_equal(iommu_domain_free(guest->domain), 0);
	machine_cpu_free(&guest->fx->machine, MACHINE_GUEST_OFFSET, guest->root);
	machine_nested_free_page(&guest->fx->machine, guest->page);
}

static uint64_t frame_of(const struct guest *guest, unsigned page)
{
	return guest->fx->data + (guest->frame + page) * 4096ull;
}

/* ---- What holds everywhere ---- */

/* The guest's table decides where, and the parent what of it can be reached. */
static void test_two_stages(void **state)
{
	struct iommu_domain *parent;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t phys;

	(void)state;
	open_nested(&fx);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	parent = make_parent(&fx);
	make_guest(&guest, &fx, parent, 1, 0);
	assert_int_equal(iommu_attach_group(group, guest.domain), 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + i * 4096 + 8, IOMMU_WRITE), frame_of(&guest, i) + 8);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + PAGES * 4096, IOMMU_READ), FAULTS);
	/* The guest's table may say what it likes: behind what the parent maps there is nothing. */
	assert_int_equal(machine_cpu_map(&fx.machine, MACHINE_GUEST_OFFSET, guest.root, 0, fx.data - MACHINE_GUEST_OFFSET, true), 0);
	assert_int_equal(fixture_dma(&fx, RID, 0, IOMMU_READ), FAULTS);

	assert_int_equal(iommu_map(guest.domain, 0, 0, 4096, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_unmap(guest.domain, WINDOW, 4096), -EINVAL);
	assert_int_equal(iommu_iova_to_phys(guest.domain, WINDOW, &phys), -EOPNOTSUPP);
	assert_int_equal(iommu_domain_invalidate(guest.domain, WINDOW, 4096, false), -EINVAL);

	assert_int_equal(iommu_domain_free(guest.domain), -EBUSY);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(parent), -EBUSY);
	free_guest(&guest);
	assert_int_equal(iommu_domain_free(parent), 0);
	fixture_close(&fx);
}

/* What the parent no longer maps, no request of a nested domain reaches, whatever was cached; neither does it read tables there. */
static void test_parent_unmaps(void **state)
{
	struct iommu_domain *parent;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t gone;

	(void)state;
	open_nested(&fx);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	parent = make_parent(&fx);
	make_guest(&guest, &fx, parent, 1, 0);
	assert_int_equal(iommu_attach_group(group, guest.domain), 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + i * 4096, IOMMU_READ), frame_of(&guest, i));
	gone = frame_of(&guest, 3);
	assert_int_equal(iommu_unmap(parent, gone + MACHINE_GUEST_OFFSET, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4 * 4096, IOMMU_READ), frame_of(&guest, 4));
	assert_int_equal(iommu_map(parent, gone + MACHINE_GUEST_OFFSET, gone, 4096, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), gone);
	/* The guest's own root. What the guest's table has said before may be cached by itself, as long as it is not asked again. */
	assert_int_equal(machine_cpu_map(&fx.machine, MACHINE_GUEST_OFFSET, guest.root, FAR_AWAY, fx.data, true), 0);
	assert_int_equal(iommu_unmap(parent, guest.root + MACHINE_GUEST_OFFSET, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, FAR_AWAY, IOMMU_READ), FAULTS);
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t lands = fixture_dma(&fx, RID, WINDOW + i * 4096, IOMMU_READ);

		assert_true(lands == FAULTS || lands == frame_of(&guest, i));
	}
	assert_int_equal(iommu_detach_group(group), 0);
	free_guest(&guest);
	assert_int_equal(iommu_domain_free(parent), 0);
	fixture_close(&fx);
}

/* From everything to everything, and nothing of before is left in a cache. */
static void test_replace_all(void **state)
{
	enum { NESTED, SIBLING, OTHER, PARENT, SECOND, FIRST, IDENTITY, BLOCKED, KINDS };
	struct iommu_domain *domains[KINDS], *parent, *other;
	struct iommu_replace_report report;
	struct iommu_group *group;
	struct guest guests[3];
	uint64_t lands[KINDS];
	struct fixture fx;

	(void)state;
	open_nested(&fx);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	parent = make_parent(&fx);
	other = make_parent(&fx);
	make_guest(&guests[0], &fx, parent, 1, 0);
	make_guest(&guests[1], &fx, parent, 2, 16);
	/* Another guest, with the same tag of its own. */
	make_guest(&guests[2], &fx, other, 1, 32);
	assert_int_equal(iommu_map(parent, WINDOW, fx.data + 48 * 4096, 4096, IOMMU_READ | IOMMU_WRITE), 0);
	for (unsigned i = 0; i < 3; i++) {
		domains[i] = guests[i].domain;
		lands[i] = frame_of(&guests[i], 0);
	}
	domains[PARENT] = parent;
	lands[PARENT] = fx.data + 48 * 4096;
	domains[SECOND] = fixture_paging(&fx, 2, 40);
	lands[SECOND] = fx.data + 40 * 4096;
	domains[FIRST] = fixture_paging(&fx, 1, 44);
	lands[FIRST] = fx.data + 44 * 4096;
	domains[IDENTITY] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	lands[IDENTITY] = WINDOW;
	domains[BLOCKED] = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
	lands[BLOCKED] = FAULTS;
	for (unsigned from = 0; from < KINDS; from++)
		for (unsigned to = 0; to < KINDS; to++) {
			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands[from]);
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands[to]);
			assert_true(report.hitless || report.why);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = PARENT + 1; i < KINDS; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	for (unsigned i = 0; i < 3; i++)
		free_guest(&guests[i]);
	assert_int_equal(iommu_domain_free(parent), 0);
	assert_int_equal(iommu_domain_free(other), 0);
	fixture_close(&fx);
}

static void test_refused(void **state)
{
	const struct iommu_resv_region direct = { .iova = 0x7000, .size = 4096, .prot = IOMMU_READ, .type = IOMMU_RESV_DIRECT };
	struct iommu_device_desc desc = { .rids = { RID }, .nrids = 1, .resv = &direct, .nresv = 1 };
	struct iommu_domain *parent, *first, *nested = NULL;
	struct iommu_guest_entry entry = { .kind = IOMMU_GUEST_NESTED };
	struct iommu_domain_desc alone = { .type = IOMMU_DOMAIN_NESTED };
	uint64_t words[IOMMU_GUEST_ENTRY_WORDS + 1] = { 0 };
	struct iommu_group *group;
	struct picture picture;
	struct guest guest;
	struct fixture fx;

	(void)state;
	open_nested(&fx);
	parent = make_parent(&fx);
	first = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 1);
	make_table(&guest, &fx, 0);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &alone, &nested), -EINVAL);
	assert_int_equal(iommu_domain_alloc_nested(parent, &entry, &nested), -EINVAL); /* of no unit */
	assert_int_equal(machine_nested_alloc(&fx.machine, first, guest.root, 1, &guest.page, &nested), -EINVAL);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, words, sizeof(words), &entry), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, (char *)words + 4, 64, &entry), -EINVAL);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, NULL, 64, &entry), -EINVAL);

	/* Every allocation that may fail, fails once; nothing is lost. */
	take_picture(&fx, &picture);
	for (unsigned n = 1;; n++) {
		int err;

		fx.machine.fail_after = n;
		err = machine_nested_alloc(&fx.machine, parent, guest.root, 1, &guest.page, &nested);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
	}
	fx.machine.fail_after = 0;
	assert_int_equal(iommu_domain_free(nested), 0);
	compare_picture(&fx, &picture);

	/* A device whose firmware does DMA needs its region where nobody but the guest could map it. */
	guest.parent = parent;
	assert_int_equal(machine_nested_alloc(&fx.machine, parent, guest.root, 1, &guest.page, &guest.domain), 0);
	group = fixture_group(&fx);
	assert_int_equal(iommu_group_set_default_domain(group, parent), 0);
	desc.unit = fx.machine.unit;
	machine_add_function(&fx.machine, RID);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[fx.ndevices]), 0);
	fx.ndevices++;
	assert_int_equal(iommu_group_replace_domain(group, guest.domain, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_group_remove_device(group, fx.devices[0]), 0);
	fx.devices[0] = NULL;
	assert_int_equal(iommu_group_set_default_domain(group, NULL), 0);
	free_guest(&guest);
	assert_int_equal(iommu_domain_free(first), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	fixture_close(&fx);
}

/* ---- VT-d ---- */

static struct iommu_guest_entry read_vtd(struct fixture *fx, const uint64_t *words, int wanted, const char *field)
{
	struct iommu_guest_entry entry;

	assert_int_equal(iommu_guest_entry_read(fx->machine.unit, words, 64, &entry), wanted);
	if (field)
		assert_string_equal(entry.field, field);
	else
		assert_null(entry.field);
	return entry;
}

static void first_stage(uint64_t *words)
{
	memset(words, 0, 64);
	SET(VTD_PASID, P, words, 1);
	SET(VTD_PASID, PGTT, words, VTD_PGTT_FIRST);
	SET(VTD_PASID, DID, words, 5);
	SET_ADDR(VTD_PASID, FSPTPTR, words, 0x140001000);
}

static void test_vtd_entries(void **state)
{
	struct iommu_guest_entry entry, other;
	uint64_t words[8];
	struct fixture fx;

	(void)state;
	open_nested(&fx);
	first_stage(words);
	entry = read_vtd(&fx, words, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	/* What has no meaning for a first stage makes no other domain of it. */
	SET(VTD_PASID, AW, words, 3);
	SET_ADDR(VTD_PASID, SSPTPTR, words, 0x7000);
	SET(VTD_PASID, FPD, words, 1);
	other = read_vtd(&fx, words, 0, NULL);
	assert_memory_equal(entry.words, other.words, sizeof(entry.words));
	SET(VTD_PASID, DID, words, 6);
	other = read_vtd(&fx, words, 0, NULL);
	assert_memory_not_equal(entry.words, other.words, sizeof(entry.words));

	memset(words, 0, 64);
	assert_int_equal(read_vtd(&fx, words, 0, NULL).kind, IOMMU_GUEST_BLOCKED);
	words[7] = 1; /* not present: nothing else counts */
	assert_int_equal(read_vtd(&fx, words, 0, NULL).kind, IOMMU_GUEST_BLOCKED);
	first_stage(words);
	SET(VTD_PASID, PGTT, words, VTD_PGTT_PASS);
	assert_int_equal(read_vtd(&fx, words, 0, NULL).kind, IOMMU_GUEST_BYPASS);

	for (unsigned bit = 0; bit < 512; bit++) {
		uint64_t named[8] = { 0 }, *used = named;

		VTD_PASID_LIST(VTD_PASID, LAYOUT_NAME_BITS)
		if (named[bit / 64] >> bit % 64 & 1)
			continue;
		first_stage(words);
		words[bit / 64] |= 1ull << bit % 64;
		read_vtd(&fx, words, -EINVAL, "reserved bits");
	}
	for (unsigned pgtt = 0; pgtt < 8; pgtt++) {
		bool known = pgtt == VTD_PGTT_SECOND || pgtt == VTD_PGTT_NESTED;

		if (pgtt == VTD_PGTT_FIRST || pgtt == VTD_PGTT_PASS)
			continue;
		first_stage(words);
		SET(VTD_PASID, PGTT, words, pgtt);
		read_vtd(&fx, words, known ? -EOPNOTSUPP : -EINVAL, "PGTT");
	}
	first_stage(words);
	SET(VTD_PASID, FSPM, words, 2);
	read_vtd(&fx, words, -EINVAL, "FSPM");
	fixture_close(&fx);
}

/* Each is refused by a unit that can't do it. */
static void test_vtd_capabilities(void **state)
{
	struct machine_config config = { .arch = arch, .seed = 1, .nested = true };
	uint64_t words[8];
	struct fixture fx;

	(void)state;
	config.capabilities[0] = vtd_model_default_cap() & ~BITS(VTD_CAP, FS5LP);
	config.capabilities[1] = vtd_model_default_ecap() & ~(BITS(VTD_ECAP, SRS) | BITS(VTD_ECAP, EAFS) | BITS(VTD_ECAP, SC));
	fixture_open_config(&fx, config);
	first_stage(words);
	SET(VTD_PASID, FSPM, words, VTD_FSPM_5_LEVEL);
	read_vtd(&fx, words, -EOPNOTSUPP, "FSPM");
	first_stage(words);
	SET(VTD_PASID, SRE, words, 1);
	read_vtd(&fx, words, -EOPNOTSUPP, "SRE");
	first_stage(words);
	SET(VTD_PASID, EAFE, words, 1);
	read_vtd(&fx, words, -EOPNOTSUPP, "EAFE");
	first_stage(words);
	SET(VTD_PASID, PGSNP, words, 1);
	read_vtd(&fx, words, -EOPNOTSUPP, "PGSNP");
	fixture_close(&fx);

	/* Without nesting in the hardware, or in a mode without it. */
	fixture_open(&fx, "vtd");
	assert_int_equal(vtd_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
	first_stage(words);
	read_vtd(&fx, words, -EOPNOTSUPP, NULL);
	fixture_close(&fx);
	fixture_open(&fx, "vtd-legacy");
	assert_int_equal(vtd_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
	fixture_close(&fx);
}

static struct iommu_guest_command command_of(struct fixture *fx, const uint64_t *words, int wanted, const char *field)
{
	struct iommu_guest_command command;

	assert_int_equal(iommu_guest_command_read(fx->machine.unit, words, 16, &command), wanted);
	if (field)
		assert_string_equal(command.field, field);
	return command;
}

static void test_vtd_commands(void **state)
{
	struct iommu_guest_command command;
	uint64_t words[4] = { 0 };
	struct fixture fx;

	(void)state;
	open_nested(&fx);
	SET(VTD_DESC_CONTEXT, TYPE, words, VTD_DESC_CONTEXT);
	SET(VTD_DESC_CONTEXT, G, words, VTD_CONTEXT_DEVICE);
	SET(VTD_DESC_CONTEXT, SID, words, 0x105);
	SET(VTD_DESC_CONTEXT, FM, words, 2);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_ENTRY);
	assert_int_equal(command.first_rid, 0x101);
	assert_int_equal(command.last_rid, 0x107);
	assert_int_equal(command.pasid, IOMMU_NO_PASID);
	SET(VTD_DESC_CONTEXT, G, words, 0);
	command_of(&fx, words, -EINVAL, "G");
	words[0] = 0;
	command_of(&fx, words, -EINVAL, "TYPE");
	SET(VTD_DESC_PASID, TYPE, words, VTD_DESC_PASID);
	SET(VTD_DESC_PASID, G, words, VTD_PASID_CACHE_PASID);
	SET(VTD_DESC_PASID, PASID, words, 77);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_ENTRY);
	assert_int_equal(command.pasid, 77);
	assert_int_equal(command.last_rid - command.first_rid, 0xffff);
	words[1] = 1;
	command_of(&fx, words, -EINVAL, "reserved bits");
	words[0] = words[1] = 0;
	SET(VTD_DESC_WAIT, TYPE, words, VTD_DESC_WAIT);
	assert_int_equal(command_of(&fx, words, 0, NULL).about, 0);
	/* 256-bit descriptors: the upper half is reserved. */
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 32, &command), 0);
	words[3] = 1;
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 32, &command), -EINVAL);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 8, &command), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 40, &command), -EOPNOTSUPP);
	fixture_close(&fx);
}

static void set_piotlb(uint64_t *words, unsigned granularity, uint32_t did, uint64_t addr)
{
	memset(words, 0, 16);
	SET(VTD_DESC_PIOTLB, TYPE, words, VTD_DESC_PIOTLB);
	SET(VTD_DESC_PIOTLB, G, words, granularity);
	SET(VTD_DESC_PIOTLB, DID, words, did);
	SET_ADDR(VTD_DESC_PIOTLB, ADDR, words, addr);
}

/* Two guests with the same domain id: each one's commands are about its own translations, and there they do what they say. */
static void test_vtd_scope(void **state)
{
	struct iommu_guest_command command;
	struct iommu_domain *parents[2];
	struct iommu_group *groups[2];
	struct guest guests[2];
	uint64_t words[2];
	struct fixture fx;

	(void)state;
	open_nested(&fx);
	for (unsigned i = 0; i < 2; i++) {
		groups[i] = fixture_group(&fx);
		fixture_device(&fx, groups[i], i ? RID2 : RID);
		parents[i] = make_parent(&fx);
		make_guest(&guests[i], &fx, parents[i], 5, i * 16);
		assert_int_equal(iommu_attach_group(groups[i], guests[i].domain), 0);
		for (unsigned page = 0; page < PAGES; page++)
			assert_int_equal(fixture_dma(&fx, i ? RID2 : RID, WINDOW + page * 4096, IOMMU_READ), frame_of(&guests[i], page));
		for (unsigned page = 0; page < PAGES; page++)
			machine_cpu_unmap(&fx.machine, MACHINE_GUEST_OFFSET, guests[i].root, WINDOW + page * 4096);
	}
	/* Nobody has said a word yet. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), frame_of(&guests[0], 0));
	/* A command about another domain id of the guest's. */
	set_piotlb(words, VTD_PIOTLB_PASID, 6, 0);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_TRANSLATIONS);
	assert_int_equal(iommu_guest_invalidate(parents[0], &command), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), frame_of(&guests[0], 0));
	/* One page. */
	set_piotlb(words, VTD_PIOTLB_PAGE, 5, WINDOW + 2 * 4096);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate(parents[0], &command), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 2 * 4096, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), frame_of(&guests[0], 3));
	/* All. */
	set_piotlb(words, VTD_PIOTLB_PASID, 5, 0);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate(parents[0], &command), 0);
	for (unsigned page = 0; page < PAGES; page++) {
		assert_int_equal(fixture_dma(&fx, RID, WINDOW + page * 4096, IOMMU_READ), FAULTS);
		assert_int_equal(fixture_dma(&fx, RID2, WINDOW + page * 4096, IOMMU_READ), frame_of(&guests[1], page));
	}
	/* By the descriptor for second stages, which some guests use for all. */
	memset(words, 0, sizeof(words));
	SET(VTD_DESC_IOTLB, TYPE, words, VTD_DESC_IOTLB);
	SET(VTD_DESC_IOTLB, G, words, VTD_IOTLB_GLOBAL);
	command = command_of(&fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate(guests[1].domain, &command), -EINVAL);
	assert_int_equal(iommu_guest_invalidate(parents[1], &command), 0);
	for (unsigned page = 0; page < PAGES; page++)
		assert_int_equal(fixture_dma(&fx, RID2, WINDOW + page * 4096, IOMMU_READ), FAULTS);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(iommu_detach_group(groups[i]), 0);
		free_guest(&guests[i]);
		assert_int_equal(iommu_domain_free(parents[i]), 0);
	}
	fixture_close(&fx);
}

/* A device's own TLB forgets when the guest says so for that device. */
static void test_vtd_device(void **state)
{
	struct machine_config config = { .arch = arch, .seed = 1, .nested = true, .ats = true };
	struct iommu_guest_command command;
	uint64_t piotlb[2], devtlb[2] = { 0 };
	struct iommu_domain *parent;
	struct iommu_device *device;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = fixture_device(&fx, group, RID);
	parent = make_parent(&fx);
	make_guest(&guest, &fx, parent, 5, 0);
	assert_int_equal(iommu_attach_group(group, guest.domain), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), frame_of(&guest, 0));
	machine_cpu_unmap(&fx.machine, MACHINE_GUEST_OFFSET, guest.root, WINDOW);
	set_piotlb(piotlb, VTD_PIOTLB_PASID, 5, 0);
	command = command_of(&fx, piotlb, 0, NULL);
	assert_int_equal(iommu_guest_invalidate(parent, &command), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), frame_of(&guest, 0));
	SET(VTD_DESC_DEVTLB, TYPE, devtlb, VTD_DESC_DEVTLB);
	SET(VTD_DESC_DEVTLB, SID, devtlb, 0x77);
	command = command_of(&fx, devtlb, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_DEVICE);
	assert_int_equal(command.first_rid, 0x77);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	/* What the parent takes away is gone from there as well. */
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4096, IOMMU_READ), frame_of(&guest, 1));
	assert_int_equal(iommu_unmap(parent, frame_of(&guest, 1) + MACHINE_GUEST_OFFSET, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4096, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	free_guest(&guest);
	assert_int_equal(iommu_domain_free(parent), 0);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest everywhere[] = {
		cmocka_unit_test(test_two_stages),
		cmocka_unit_test(test_parent_unmaps),
		cmocka_unit_test(test_replace_all),
		cmocka_unit_test(test_refused),
	};
	const struct CMUnitTest vtd[] = {
		cmocka_unit_test(test_vtd_entries),
		cmocka_unit_test(test_vtd_capabilities),
		cmocka_unit_test(test_vtd_commands),
		cmocka_unit_test(test_vtd_scope),
		cmocka_unit_test(test_vtd_device),
	};
	int failed = 0;

	for (unsigned i = 0; machine_archs[i]; i++) {
		arch = machine_archs[i];
		if (arch->guest_entry)
			failed += cmocka_run_group_tests_name(arch->name, everywhere, NULL, NULL);
	}
	arch = machine_arch_by_name("vtd");
	return failed + cmocka_run_group_tests(vtd, NULL, NULL);
}
