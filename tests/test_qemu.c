/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_qemu.c - QEMU's units as machines: they are found, they come up, their faults come through, and they end with the test. */
#include "fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/qemu.h"

#include "layout/amdvi.h"
#include "layout/riscv.h"
#include "layout/vtd.h"

#define RAM_BYTES (32u << 20)
#define MAX_FAULTS 16

static void fault_handler(void *handle, const struct iommu_fault *fault);

struct place {
	struct machine machine;
	struct iommu_group *group;
	struct iommu_device *devices[2];
	const struct qemu_function *testdev, *edu;
	struct iommu_domain *domain;
	uint64_t frame, iova;		/* four pages: the first is mapped, the second is read-only, the others are not mapped */
	struct iommu_fault faults[MAX_FAULTS];
	unsigned nfaults;
};

static void power_on(struct place *place, const struct qemu_board *board)
{
	const struct machine_config config = {
		.arch = machine_arch_by_name(board->arch), .board = board, .ram_bytes = RAM_BYTES, .seed = 1,
	};

	memset(place, 0, sizeof(*place));
	assert_int_equal(machine_create(&place->machine, &config), 0);
	assert_int_equal(machine_start_unit(&place->machine), 0);
	iommu_unit_set_fault_handler(place->machine.unit, fault_handler, place);
	place->frame = machine_reserve_frames(&place->machine, 4);
	place->testdev = qemu_function(place->machine.qemu, QEMU_TESTDEV, 0);
	place->edu = qemu_function(place->machine.qemu, QEMU_EDU, 0);
	assert_int_equal(iommu_group_alloc(&place->machine.port, &place->group), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct iommu_device_desc desc = {
			.unit = place->machine.unit, .rids = { i ? place->edu->rid : place->testdev->rid }, .nrids = 1,
		};

		assert_int_equal(iommu_group_add_device(place->group, &desc, &place->devices[i]), 0);
	}
}

/* -EINVAL: the unit has no such tables. */
static int enter_domain(struct place *place, unsigned stage)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = stage };
	int err = iommu_domain_alloc(place->machine.unit, &desc, &place->domain);

	if (err)
		return err;
	/* Not the physical addresses: a DMA that is not translated lands elsewhere. */
	place->iova = place->frame + (16u << 20);
	assert_int_equal(iommu_map(place->domain, place->iova, place->frame, 4096, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(iommu_map(place->domain, place->iova + 4096, place->frame + 4096, 4096, IOMMU_READ), 0);
	assert_int_equal(iommu_attach_group(place->group, place->domain), 0);
	return 0;
}

/* Everything is given back, and the unit is turned off. */
static void power_off(struct place *place)
{
	if (place->domain) {
		assert_int_equal(iommu_detach_group(place->group), 0);
		assert_int_equal(iommu_domain_free(place->domain), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_group_remove_device(place->group, place->devices[i]), 0);
	assert_int_equal(iommu_group_free(place->group), 0);
	assert_int_equal(iommu_unit_destroy(place->machine.unit), 0);
	place->machine.unit = NULL;
	assert_int_equal(place->machine.frames_in_use, 0);
	assert_int_equal(place->machine.heap_in_use, 0);
	assert_false(place->machine.qemu->qtest.lost);
	machine_destroy(&place->machine);
}

static void fault_handler(void *handle, const struct iommu_fault *fault)
{
	struct place *place = handle;

	assert_true(place->nfaults < MAX_FAULTS);
	place->faults[place->nfaults++] = *fault;
}

static uint64_t word(const struct place *place, unsigned page, unsigned number)
{
	return __atomic_load_n((uint64_t *)machine_virt(&place->machine, place->frame + page * 4096ull) + number,
			       __ATOMIC_ACQUIRE);
}

/* ---- Tests ---- */

/* Where firmware or the board says: ACPI's DMAR, IVRS and IORT, PCI, the platform's address. */
static void found_where_it_is(void **state)
{
	static const struct {
		const char *board;
		uint64_t registers;
	} where[] = {
		{ "intel-iommu", 0xfed90000 },	{ "intel-iommu,scalable-mode=on", 0xfed90000 },
		{ "amd-iommu,dma-remap=on", 0xfed80000 }, { "riscv-iommu-pci", 0x40000000 }, { "riscv-iommu-sys", 0x03010000 },
		{ "smmuv3", 0x09050000 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		struct place place;

		assert_non_null(qemu_board_by_name(where[i].board));
		power_on(&place, qemu_board_by_name(where[i].board));
		assert_int_equal(place.machine.firmware.registers, where[i].registers);
		power_off(&place);
	}
}

/* Both devices, both directions, warm and cold. */
static void dma_goes_where_it_is_mapped(void **state)
{
	(void)state;
	for (unsigned b = 0; qemu_boards[b]; b++)
		for (unsigned stage = 1; stage <= 2; stage++) {
			struct place place;

			power_on(&place, qemu_boards[b]);
			if (enter_domain(&place, stage) == 0) {
				struct qemu *qemu = place.machine.qemu;
				uint64_t *frame = machine_virt(&place.machine, place.frame);

				assert_true(qemu_testdev_write(qemu, place.testdev, place.iova + 64, 8));
				assert_int_equal(word(&place, 0, 8), QEMU_TESTDEV_WORD);
				__atomic_store_n(&frame[2], 0x1122334455667788ull, __ATOMIC_RELEASE);
				qemu_edu_read(qemu, place.edu, place.iova + 16, 8, 8);
				qemu_make_cold(&place.machine);
				qemu_edu_write(qemu, place.edu, place.iova + 128, 8, 8);
				assert_int_equal(word(&place, 0, 16), 0x1122334455667788ull);
				assert_int_equal(iommu_unit_handle_faults(place.machine.unit), 0);
			}
			power_off(&place);
		}
}

/* What each architecture says of a page that is not mapped: its own reason code, as the specification has it. */
struct expected {
	const char *board;
	unsigned stage;
	unsigned write, read;		/* not mapped */
	unsigned read_only;		/* a write to the read-only page */
	unsigned blocked;		/* before the first attach */
};

static const struct expected expectations[] = {
	/* A second stage has no "present": no right is asked for in vain. */
	{ "intel-iommu", 2, 0x05, 0x06, 0x05, 0x02 },
	{ "intel-iommu,scalable-mode=on", 2, 0x05, 0x06, 0x05, 0x5b },
	{ "intel-iommu,scalable-mode=on,fsts=on", 1, 0x71, 0x71, 0x85, 0x5b },
	{ "riscv-iommu-pci", 1, 15, 13, 15, 258 },
	{ "riscv-iommu-pci", 2, 23, 21, 23, 258 },
	{ "riscv-iommu-sys", 1, 15, 13, 15, 258 },
	{ "riscv-iommu-sys", 2, 23, 21, 23, 258 },
	{ "smmuv3", 1, 0x10, 0x10, 0x13, 0x04 },
	{ "smmuv3", 2, 0x10, 0x10, 0x13, 0x04 },
};

/* QEMU makes two accesses of 4 bytes of a blocked one of 8: a unit with a queue of records has two. */
static void expect_fault(struct place *place, unsigned device, uint64_t iova, unsigned access, unsigned reason)
{
	const struct iommu_fault *fault = &place->faults[0];
	/* VT-d has the page's address only (11.4.14, FI). */
	uint64_t kept = strncmp(place->machine.config.arch->name, "vtd", 3) == 0 ? ~0xfffull : ~0ull;

	assert_true(iommu_unit_handle_faults(place->machine.unit) > 0);
	assert_in_range(place->nfaults, 1, 2);
	assert_ptr_equal(fault->device, place->devices[device]);
	assert_int_equal(fault->rid, device ? place->edu->rid : place->testdev->rid);
	assert_int_equal(fault->iova, iova & kept);
	assert_int_equal(fault->access, access);
	assert_int_equal(fault->reason, reason);
	assert_int_equal(fault->pasid, IOMMU_NO_PASID);
	place->nfaults = 0;
}

static void faults_come_through(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expected *expected = &expectations[i];
		struct place place;
		struct qemu *qemu;

		power_on(&place, qemu_board_by_name(expected->board));
		qemu = place.machine.qemu;
		qemu_testdev_write(qemu, place.testdev, place.frame + 0x40, 8);
		/* SMMUv3's C_BAD_STE is about the entry: it has no address, and doesn't say what the request was (7.3.5). */
		if (strcmp(expected->board, "smmuv3") == 0)
			expect_fault(&place, 0, 0, 0, expected->blocked);
		else
			expect_fault(&place, 0, place.frame + 0x40, IOMMU_WRITE, expected->blocked);
		assert_int_equal(enter_domain(&place, expected->stage), 0);
		assert_false(qemu_testdev_write(qemu, place.testdev, place.iova + 0x2128, 8));
		expect_fault(&place, 0, place.iova + 0x2128, IOMMU_WRITE, expected->write);
		qemu_edu_read(qemu, place.edu, place.iova + 0x3450, 0, 8);
		expect_fault(&place, 1, place.iova + 0x3450, IOMMU_READ, expected->read);
		assert_false(qemu_testdev_write(qemu, place.testdev, place.iova + 0x1018, 8));
		expect_fault(&place, 0, place.iova + 0x1018, IOMMU_WRITE, expected->read_only);
		for (unsigned page = 1; page < 4; page++)
			for (unsigned n = 0; n < 512; n++)
				assert_int_equal(word(&place, page, n), 0);
		power_off(&place);
	}
}

/*
 * AMD-Vi. QEMU's events have code and DeviceID right, but not the address, which is always 0, and I is set although the request is no
 * interrupt; and an entry that is zero, or a device that is blocked, has no event at all (docs/qemu.md, "event-without-address",
 * "silent-absence").
 */
static void amdvi_faults_come_through(void **state)
{
	struct place place;
	struct qemu *qemu;

	(void)state;
	power_on(&place, qemu_board_by_name("amd-iommu,dma-remap=on"));
	qemu = place.machine.qemu;
	assert_int_equal(enter_domain(&place, 2), 0);
	qemu_testdev_write(qemu, place.testdev, place.iova + 0x1018, 8);
	assert_true(iommu_unit_handle_faults(place.machine.unit) > 0);
	assert_ptr_equal(place.faults[0].device, place.devices[0]);
	assert_int_equal(place.faults[0].reason >> 12, AMDVI_EVENT_PAGE_FAULT);
	assert_int_equal(place.faults[0].iova, 0);
	place.nfaults = 0;
	qemu_edu_read(qemu, place.edu, place.iova + 0x3450, 0, 8);
	qemu_testdev_write(qemu, place.testdev, place.iova + 0x2128, 8);
	for (unsigned n = 0; n < 4 * 512; n++)
		assert_int_equal(word(&place, 0, n), 0);
	power_off(&place);
}

/* QEMU does not outlive the process that started it, however that ends. */
static void ends_with_the_test(void **state)
{
	int tell[2], status;
	pid_t child, qemu;

	(void)state;
	assert_int_equal(pipe(tell), 0);
	/* Who is orphaned comes to us. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	child = fork();
	if (child == 0) {
		const struct machine_config config = {
			.arch = machine_arch_by_name("riscv"), .board = &qemu_riscv_pci, .ram_bytes = RAM_BYTES,
		};
		struct machine machine;

		if (machine_create(&machine, &config) == 0 &&
		    write(tell[1], &machine.qemu->qtest.pid, sizeof(qemu)) == sizeof(qemu))
			raise(SIGKILL);
		_exit(1);
	}
	close(tell[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read(tell[0], &qemu, sizeof(qemu)), sizeof(qemu));
	close(tell[0]);
	assert_int_equal(waitpid(qemu, &status, 0), qemu);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A unit that is gone is an error, not a hang: the process is killed under the driver. */
static void a_lost_machine_is_an_error(void **state)
{
	struct place place;

	(void)state;
	power_on(&place, &qemu_riscv_pci);
	kill(place.machine.qemu->qtest.pid, SIGKILL);
	{
		const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2 };

		assert_int_equal(iommu_domain_alloc(place.machine.unit, &desc, &place.domain), 0);
		assert_int_equal(iommu_attach_group(place.group, place.domain), -EIO);
	}
	assert_true(place.machine.qemu->qtest.lost);
	machine_destroy(&place.machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_where_it_is),
		cmocka_unit_test(dma_goes_where_it_is_mapped),
		cmocka_unit_test(faults_come_through),
		cmocka_unit_test(amdvi_faults_come_through),
		cmocka_unit_test(ends_with_the_test),
		cmocka_unit_test(a_lost_machine_is_an_error),
	};
	const struct machine_config config = {
		.arch = machine_arch_by_name("riscv"), .board = &qemu_riscv_pci, .ram_bytes = RAM_BYTES,
	};
	struct machine machine;
	int err = machine_create(&machine, &config);

	if (err == -ENOENT || err == -ENOPROTOOPT) {
		print_message("skipped: %s\n", qemu_missing());
		return 77;
	}
	if (!err)
		machine_destroy(&machine);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
