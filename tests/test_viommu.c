/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_viommu.c - a guest's unit: its entries and commands become replaces. Everywhere where there are guests' first stages; VT-d's
 * descriptors besides. The guest's memory is the machine's RAM at other addresses; its entries are in `guest`.
 */
#include "fixture.h"

#include <hitless/viommu.h>

#include "layout/vtd.h"

#define TABLES 3u
#define DEVICES 4u
#define GUEST_RID 0x10u		/* the guest's id of device 0; the host's is RID */
#define RID 0x0300u
#define PASID 7u

static const struct machine_arch *arch;

struct guest {
	struct fixture fx;
	struct iommu_domain *parent;
	struct viommu *viommu;
	uint64_t roots[TABLES], pages[TABLES];
	uint64_t entries[DEVICES][IOMMU_GUEST_ENTRY_WORDS], pasid_entry[IOMMU_GUEST_ENTRY_WORDS];
	bool present[DEVICES], pasid_present, off;
};

static const void *entry_of(void *ctx, uint32_t guest_rid, uint32_t pasid)
{
	struct guest *guest = ctx;
	unsigned device = guest_rid - GUEST_RID;

	if (guest->off)
		return &viommu_untranslated;
	if (pasid != IOMMU_NO_PASID)
		return guest->pasid_present && pasid == PASID ? guest->pasid_entry : NULL;
	return device < DEVICES && guest->present[device] ? guest->entries[device] : NULL;
}

static uint64_t frame_of(const struct guest *guest, unsigned table)
{
	return guest->fx.data + table * 4096;
}

/* The entry of a first stage that maps WINDOW to the frame of that number. */
static void set_entry(struct guest *guest, uint64_t *entry, unsigned table, uint32_t tag)
{
	struct machine *machine = &guest->fx.machine;

	memset(entry, 0, sizeof(guest->entries[0]));
	arch->guest_entry(machine_virt(machine, guest->pages[table]), guest->pages[table] + MACHINE_GUEST_OFFSET,
			  guest->roots[table] + MACHINE_GUEST_OFFSET, tag, entry);
}

static void open_guest(struct guest *guest, unsigned pasid_bits)
{
	const struct machine_config config = { .arch = arch, .seed = 1, .nested = true, .pasid_bits = pasid_bits };
	struct viommu_desc desc = { .entry = entry_of, .ctx = guest };
	struct fixture *fx = &guest->fx;

	memset(guest, 0, sizeof(*guest));
	fixture_open_config(fx, config);
	guest->parent = fixture_domain(fx, IOMMU_DOMAIN_PAGING, 2);
	assert_int_equal(machine_map_guest(&fx->machine, guest->parent), 0);
	assert_int_equal(iommu_map(guest->parent, WINDOW, fx->data + 8 * 4096, 4096, IOMMU_READ | IOMMU_WRITE), 0);
	for (unsigned i = 0; i < TABLES; i++) {
		guest->roots[i] = machine_cpu_table(&fx->machine);
		guest->pages[i] = machine_cpu_table(&fx->machine); /* any page */
		assert_int_equal(machine_cpu_map(&fx->machine, MACHINE_GUEST_OFFSET, guest->roots[i], WINDOW, frame_of(guest, i), true), 0);
	}
	desc.unit = fx->machine.unit;
	desc.port = &fx->machine.port;
	desc.parent = guest->parent;
	assert_int_equal(viommu_create(&desc, &guest->viommu), 0);
}

static void add_devices(struct guest *guest, unsigned count, unsigned pasid_bits)
{
	for (unsigned i = 0; i < count; i++) {
		const struct iommu_device_desc desc = {
			.unit = guest->fx.machine.unit, .rids = { RID + i * 8 }, .nrids = 1, .pasid_bits = pasid_bits,
		};
		struct iommu_group *group = fixture_group(&guest->fx);

		machine_add_function(&guest->fx.machine, RID + i * 8);
		assert_int_equal(iommu_group_add_device(group, &desc, &guest->fx.devices[guest->fx.ndevices++]), 0);
		assert_int_equal(iommu_group_claim_dma_owner(group, guest), 0);
		assert_int_equal(viommu_add_device(guest->viommu, group, guest->fx.devices[i], GUEST_RID + i), 0);
	}
}

static void close_guest(struct guest *guest)
{
	struct viommu_info info;

	for (unsigned i = 0; i < guest->fx.ndevices; i++) {
		assert_int_equal(viommu_remove_device(guest->viommu, GUEST_RID + i), 0);
		assert_int_equal(iommu_group_release_dma_owner(guest->fx.groups[i]), 0);
	}
	viommu_get_info(guest->viommu, &info);
	assert_int_equal(info.domains, 0);
	assert_int_equal(info.devices, 0);
	assert_int_equal(viommu_destroy(guest->viommu), 0);
	for (unsigned i = 0; i < TABLES; i++) {
		machine_cpu_free(&guest->fx.machine, MACHINE_GUEST_OFFSET, guest->roots[i]);
		machine_nested_free_page(&guest->fx.machine, guest->pages[i]);
	}
	assert_int_equal(iommu_domain_free(guest->parent), 0);
	fixture_close(&guest->fx);
}

static uint64_t dma(struct guest *guest, unsigned device)
{
	return fixture_dma(&guest->fx, RID + device * 8, WINDOW, IOMMU_READ);
}

static unsigned domains(struct guest *guest)
{
	struct viommu_info info;

	viommu_get_info(guest->viommu, &info);
	return info.domains;
}

static void change(struct guest *guest, unsigned device, bool replaced)
{
	struct viommu_report report;

	assert_int_equal(viommu_entry_changed(guest->viommu, GUEST_RID + device, IOMMU_NO_PASID, &report), 0);
	assert_int_equal(report.replaced, replaced);
	assert_null(report.field);
}

/* ---- Everywhere ---- */

/* Devices whose entries say the same share a domain, which goes with the last one. */
static void test_translations_are_shared(void **state)
{
	struct guest guest;

	(void)state;
	open_guest(&guest, 0);
	add_devices(&guest, 3, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(dma(&guest, i), FAULTS);
	assert_int_equal(domains(&guest), 0);
	for (unsigned i = 0; i < 3; i++) {
		set_entry(&guest, guest.entries[i], 1, 5);
		guest.present[i] = true;
		change(&guest, i, true);
		assert_int_equal(dma(&guest, i), frame_of(&guest, 1));
		assert_int_equal(domains(&guest), 1);
		/* Nothing has changed since. */
		change(&guest, i, false);
	}
	set_entry(&guest, guest.entries[0], 2, 6);
	change(&guest, 0, true);
	assert_int_equal(domains(&guest), 2);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 2));
	assert_int_equal(dma(&guest, 1), frame_of(&guest, 1));
	/* The guest turns its unit off: there is its memory. */
	guest.off = true;
	change(&guest, 0, true);
	assert_int_equal(dma(&guest, 0), guest.fx.data + 8 * 4096);
	assert_int_equal(domains(&guest), 1);
	guest.off = false;
	for (unsigned i = 0; i < 3; i++) {
		guest.present[i] = false;
		change(&guest, i, true);
		assert_int_equal(dma(&guest, i), FAULTS);
	}
	assert_int_equal(domains(&guest), 0);
	close_guest(&guest);
}

/* A live VMM update: the device comes from a domain that it does DMA in, and there is one replace and no stop. */
static void test_device_comes_as_it_is(void **state)
{
	const struct iommu_device_desc wanted = { .rids = { RID }, .nrids = 1 };
	struct iommu_device_desc desc = wanted;
	struct iommu_domain *before;
	struct iommu_group *group;
	struct guest guest;

	(void)state;
	open_guest(&guest, 0);
	before = fixture_paging(&guest.fx, 2, 16);
	group = fixture_group(&guest.fx);
	desc.unit = guest.fx.machine.unit;
	machine_add_function(&guest.fx.machine, RID);
	assert_int_equal(iommu_group_add_device(group, &desc, &guest.fx.devices[0]), 0);
	guest.fx.ndevices = 1;
	assert_int_equal(iommu_group_claim_dma_owner(group, &guest), 0);
	assert_int_equal(iommu_attach_group(group, before), 0);
	assert_int_equal(dma(&guest, 0), guest.fx.data + 16 * 4096);
	set_entry(&guest, guest.entries[0], 0, 1);
	guest.present[0] = true;
	assert_int_equal(viommu_add_device(guest.viommu, group, guest.fx.devices[0], GUEST_RID), 0);
	assert_int_equal(viommu_add_device(guest.viommu, group, guest.fx.devices[0], GUEST_RID), -EEXIST);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
	assert_int_equal(iommu_domain_free(before), 0);
	assert_int_equal(viommu_destroy(guest.viommu), -EBUSY);
	close_guest(&guest);
}

static void test_misuse(void **state)
{
	struct viommu_desc desc = { .ctx = NULL };
	struct viommu *viommu;
	struct guest guest;
	uint64_t words[4] = { 0 };

	(void)state;
	open_guest(&guest, 0);
	assert_int_equal(viommu_create(NULL, &viommu), -EINVAL);
	assert_int_equal(viommu_create(&desc, &viommu), -EINVAL);
	assert_int_equal(viommu_entry_changed(guest.viommu, 99, IOMMU_NO_PASID, NULL), -ENOENT);
	assert_int_equal(viommu_entry_changed(NULL, 99, IOMMU_NO_PASID, NULL), -EINVAL);
	assert_int_equal(viommu_remove_device(guest.viommu, 99), -ENOENT);
	assert_int_equal(viommu_add_device(guest.viommu, NULL, NULL, GUEST_RID), -EINVAL);
	assert_int_equal(viommu_command(NULL, words, 16, NULL), -EINVAL);
	assert_int_equal(viommu_command(guest.viommu, NULL, 16, NULL), -EINVAL);
	assert_int_equal(viommu_command(guest.viommu, words, 4096, NULL), -EOPNOTSUPP);
	close_guest(&guest);
}

/* Whatever allocation fails, the device stays where it is and nothing is lost; then it works. */
static void test_no_memory(void **state)
{
	struct guest guest;
	unsigned n = 1;
	int err;

	(void)state;
	open_guest(&guest, 0);
	add_devices(&guest, 1, 0);
	set_entry(&guest, guest.entries[0], 0, 1);
	guest.present[0] = true;
	change(&guest, 0, true);
	set_entry(&guest, guest.entries[0], 1, 2);
	do {
		guest.fx.machine.fail_after = n++;
		err = viommu_entry_changed(guest.viommu, GUEST_RID, IOMMU_NO_PASID, NULL);
		if (err) {
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
			assert_int_equal(domains(&guest), 1);
		}
	} while (err);
	guest.fx.machine.fail_after = 0;
	assert_true(n > 3);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 1));
	close_guest(&guest);
}

/* ---- VT-d ---- */

static void descriptor(struct guest *guest, uint64_t low, uint64_t high, int wanted, const char *field)
{
	const uint64_t words[2] = { low, high };
	const char *found;

	assert_int_equal(viommu_command(guest->viommu, words, 16, &found), wanted);
	if (field)
		assert_string_equal(found, field);
	else
		assert_null(found);
}

static uint64_t pasid_cache(uint32_t did, uint32_t pasid)
{
	uint64_t words[2] = { 0 };

	SET(VTD_DESC_PASID, TYPE, words, VTD_DESC_PASID);
	SET(VTD_DESC_PASID, G, words, VTD_PASID_CACHE_PASID);
	SET(VTD_DESC_PASID, DID, words, did);
	SET(VTD_DESC_PASID, PASID, words, pasid);
	return words[0];
}

/* The guest's driver changes an entry, and says so in its queue: that is what replaces. */
static void test_vtd_commands(void **state)
{
	uint64_t words[2] = { 0 };
	struct guest guest;

	(void)state;
	open_guest(&guest, 0);
	add_devices(&guest, 2, 0);
	set_entry(&guest, guest.entries[0], 0, 5);
	guest.present[0] = true;
	assert_int_equal(dma(&guest, 0), FAULTS);
	descriptor(&guest, pasid_cache(5, 0), 0, 0, NULL);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
	/* The second device's context: nothing about the first. */
	set_entry(&guest, guest.entries[0], 1, 5);
	set_entry(&guest, guest.entries[1], 1, 5);
	guest.present[1] = true;
	SET(VTD_DESC_CONTEXT, TYPE, words, VTD_DESC_CONTEXT);
	SET(VTD_DESC_CONTEXT, G, words, VTD_CONTEXT_DEVICE);
	SET(VTD_DESC_CONTEXT, SID, words, GUEST_RID + 1);
	descriptor(&guest, words[0], 0, 0, NULL);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
	assert_int_equal(dma(&guest, 1), frame_of(&guest, 1));
	SET(VTD_DESC_CONTEXT, G, words, VTD_CONTEXT_GLOBAL);
	descriptor(&guest, words[0], 0, 0, NULL);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 1));
	assert_int_equal(domains(&guest), 1);

	/* A page that the guest takes away. */
	machine_cpu_unmap(&guest.fx.machine, MACHINE_GUEST_OFFSET, guest.roots[1], WINDOW);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 1));
	words[0] = words[1] = 0;
	SET(VTD_DESC_PIOTLB, TYPE, words, VTD_DESC_PIOTLB);
	SET(VTD_DESC_PIOTLB, G, words, VTD_PIOTLB_PASID);
	SET(VTD_DESC_PIOTLB, DID, words, 5);
	descriptor(&guest, words[0], words[1], 0, NULL);
	assert_int_equal(dma(&guest, 0), FAULTS);

	/* Untranslated: the guest's memory itself. */
	memset(guest.entries[0], 0, sizeof(guest.entries[0]));
	SET(VTD_PASID, P, guest.entries[0], 1);
	SET(VTD_PASID, PGTT, guest.entries[0], VTD_PGTT_PASS);
	descriptor(&guest, pasid_cache(0, 0), 0, 0, NULL);
	assert_int_equal(dma(&guest, 0), guest.fx.data + 8 * 4096);

	/* What is refused, blocks: the command's field or the entry's is named. */
	SET(VTD_PASID, PGTT, guest.entries[0], VTD_PGTT_SECOND);
	descriptor(&guest, pasid_cache(0, 0), 0, -EOPNOTSUPP, "PGTT");
	assert_int_equal(dma(&guest, 0), FAULTS);
	descriptor(&guest, 0, 0, -EINVAL, "TYPE");
	descriptor(&guest, pasid_cache(0, 0), 1, -EINVAL, "reserved bits");
	close_guest(&guest);
}

static uint64_t pasid_dma(struct guest *guest, unsigned device)
{
	struct machine_dma request = { .rid = RID + device * 8, .pasid = PASID, .iova = WINDOW, .access = IOMMU_READ };

	machine_dma(&guest->fx.machine, &request);
	return request.done ? request.phys : FAULTS;
}

/* A PASID of the guest's is one of the device's, in a translation of its own. */
static void test_vtd_pasids(void **state)
{
	struct viommu_report report;
	struct guest guest;

	(void)state;
	open_guest(&guest, 10);
	add_devices(&guest, 1, 10);
	set_entry(&guest, guest.entries[0], 0, 5);
	guest.present[0] = true;
	change(&guest, 0, true);
	assert_int_equal(pasid_dma(&guest, 0), FAULTS);
	set_entry(&guest, guest.pasid_entry, 1, 6);
	guest.pasid_present = true;
	descriptor(&guest, pasid_cache(6, PASID), 0, 0, NULL);
	assert_int_equal(pasid_dma(&guest, 0), frame_of(&guest, 1));
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
	assert_int_equal(domains(&guest), 2);
	set_entry(&guest, guest.pasid_entry, 2, 6);
	assert_int_equal(viommu_entry_changed(guest.viommu, GUEST_RID, PASID, &report), 0);
	assert_true(report.replaced);
	assert_true(report.replace.hitless);
	assert_int_equal(pasid_dma(&guest, 0), frame_of(&guest, 2));
	guest.pasid_present = false;
	descriptor(&guest, pasid_cache(6, PASID), 0, 0, NULL);
	assert_int_equal(pasid_dma(&guest, 0), FAULTS);
	assert_int_equal(dma(&guest, 0), frame_of(&guest, 0));
	/* Still there when the device goes. */
	guest.pasid_present = true;
	descriptor(&guest, pasid_cache(6, PASID), 0, 0, NULL);
	close_guest(&guest);
}

/* ---- An entry that changes while it is read ---- */

struct writer {
	struct guest *guest;
	unsigned stop;			/* atomic */
};

static void *write_entry(void *ctx)
{
	struct writer *writer = ctx;
	uint64_t *entry = writer->guest->entries[0], both[2][IOMMU_GUEST_ENTRY_WORDS];

	memcpy(both[0], entry, sizeof(both[0]));
	memset(both[1], 0xff, sizeof(both[1]));
	for (unsigned n = 0; !__atomic_load_n(&writer->stop, __ATOMIC_ACQUIRE); n++)
		for (unsigned i = 0; i < IOMMU_GUEST_ENTRY_WORDS; i++)
			__atomic_store_n(&entry[i], both[n & 1][i], __ATOMIC_RELAXED);
	return NULL;
}

/* What was checked is what is used: the device is in the first stage or blocked, whatever mixture was there. */
static void test_changing_entry(void **state)
{
	struct writer writer;
	struct guest guest;
	pthread_t thread;

	(void)state;
	open_guest(&guest, 0);
	add_devices(&guest, 1, 0);
	set_entry(&guest, guest.entries[0], 0, 1);
	guest.present[0] = true;
	writer = (struct writer){ .guest = &guest };
	assert_int_equal(pthread_create(&thread, NULL, write_entry, &writer), 0);
	for (unsigned n = 0; n < 2000; n++) {
		struct viommu_report report;
		int err = viommu_entry_changed(guest.viommu, GUEST_RID, IOMMU_NO_PASID, &report);
		uint64_t met = dma(&guest, 0);

		assert_true(err == 0 || err == -EINVAL || err == -EOPNOTSUPP);
		assert_int_equal(err != 0, report.field != NULL);
		if (err)
			assert_int_equal(met, FAULTS);
		else
			assert_true(met == frame_of(&guest, 0) || met == FAULTS);
	}
	__atomic_store_n(&writer.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close_guest(&guest);
}

int main(void)
{
	const struct CMUnitTest everywhere[] = {
		cmocka_unit_test(test_translations_are_shared),
		cmocka_unit_test(test_device_comes_as_it_is),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_changing_entry),
	};
	const struct CMUnitTest vtd[] = {
		cmocka_unit_test(test_vtd_commands),
		cmocka_unit_test(test_vtd_pasids),
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
