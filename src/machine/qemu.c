/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu.c - the machine in a QEMU: the process, PCI, the devices that do DMA, the unit's command queue. */
#include "qemu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PCI config space (PCI 3.0, 6.1) */
#define PCI_IDS 0x00
#define PCI_COMMAND 0x04
#define PCI_BAR0 0x10
#define PCI_MEMORY_AND_MASTER 0x6u
#define PCI_BAR_64BIT 0x4u

/* Two of QEMU's devices (hw/misc/iommu-testdev.c, docs/specs/edu.rst) */
#define TESTDEV_TRIGGER 0x00	/* reading it does the DMA */
#define TESTDEV_IOVA 0x04
#define TESTDEV_IOVA_HIGH 0x08
#define TESTDEV_LENGTH 0x0c
#define TESTDEV_RESULT 0x10
#define TESTDEV_ARM 0x14
#define TESTDEV_FAILED 0xdead0002u	/* others: it could not read back what it wrote, which it does at a physical address */
#define EDU_SOURCE 0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_RUN 1u
#define EDU_TO_MEMORY 2u
#define EDU_BUFFER 0x40000
#define EDU_TAKES_NS 100000000u

const struct qemu_board *const qemu_boards[] = {
	&qemu_vtd_legacy, &qemu_vtd_second, &qemu_vtd_first, &qemu_amdvi, &qemu_smmuv3, &qemu_riscv_pci, &qemu_riscv_sys, NULL
};

const struct qemu_board *qemu_board_by_name(const char *name)
{
	for (unsigned i = 0; qemu_boards[i]; i++)
		if (strcmp(qemu_boards[i]->name, name) == 0)
			return qemu_boards[i];
	return NULL;
}

/* ---- PCI ---- */

static uint64_t config_address(const struct qemu *qemu, uint32_t rid, unsigned offset)
{
	return qemu->board->ecam + ((uint64_t)(rid & 0xffff) << 12) + offset;
}

uint32_t qemu_pci_read(struct qemu *qemu, uint32_t rid, unsigned offset, unsigned size)
{
	return (uint32_t)qtest_read(&qemu->qtest, config_address(qemu, rid, offset), size);
}

void qemu_pci_write(struct qemu *qemu, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	qtest_write(&qemu->qtest, config_address(qemu, rid, offset), size, value);
}

int qemu_pci_find(struct qemu *qemu, uint16_t vendor, uint16_t device, unsigned nth)
{
	for (unsigned number = 0; number < 32; number++)
		if (qemu_pci_read(qemu, number << 3, PCI_IDS, 4) == ((uint32_t)device << 16 | vendor) && nth-- == 0)
			return (int)(number << 3);
	return -ENODEV;
}

uint64_t qemu_pci_enable(struct qemu *qemu, uint32_t rid)
{
	uint32_t kind = qemu_pci_read(qemu, rid, PCI_BAR0, 4), size;
	uint64_t bar;

	qemu_pci_write(qemu, rid, PCI_BAR0, 4, 0xffffffff);
	size = ~(qemu_pci_read(qemu, rid, PCI_BAR0, 4) & ~0xfu) + 1;
	bar = (qemu->next_bar + size - 1) & ~(uint64_t)(size - 1);
	qemu->next_bar = bar + size;
	qemu_pci_write(qemu, rid, PCI_BAR0, 4, (uint32_t)bar);
	if (kind & PCI_BAR_64BIT)
		qemu_pci_write(qemu, rid, PCI_BAR0 + 4, 4, (uint32_t)(bar >> 32));
	qemu_pci_write(qemu, rid, PCI_COMMAND, 2, PCI_MEMORY_AND_MASTER);
	return bar;
}

static int find_functions(struct qemu *qemu)
{
	static const struct {
		enum qemu_kind kind;
		uint16_t vendor, device;
	} ids[] = { { QEMU_TESTDEV, 0x1b36, 0x0005 }, { QEMU_EDU, 0x1234, 0x11e8 } };

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		for (unsigned n = 0; n < QEMU_FUNCTIONS_EACH; n++) {
			struct qemu_function *function = &qemu->functions[qemu->nfunctions++];
			int rid = qemu_pci_find(qemu, ids[i].vendor, ids[i].device, n);

			if (rid < 0)
				return rid;
			*function = (struct qemu_function){ ids[i].kind, (uint32_t)rid, qemu_pci_enable(qemu, (uint32_t)rid) };
		}
	return 0;
}

const struct qemu_function *qemu_function(const struct qemu *qemu, enum qemu_kind kind, unsigned n)
{
	for (unsigned i = 0; i < qemu->nfunctions; i++)
		if (qemu->functions[i].kind == kind && n-- == 0)
			return &qemu->functions[i];
	return NULL;
}

/* ---- DMA ---- */

bool qemu_testdev_write(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, uint32_t bytes)
{
	struct qtest *qtest = &qemu->qtest;

	qtest_post(qtest, function->bar + TESTDEV_IOVA, 4, (uint32_t)iova);
	qtest_post(qtest, function->bar + TESTDEV_IOVA_HIGH, 4, (uint32_t)(iova >> 32));
	qtest_post(qtest, function->bar + TESTDEV_LENGTH, 4, bytes);
	qtest_post(qtest, function->bar + TESTDEV_ARM, 4, 1);
	qtest_read(qtest, function->bar + TESTDEV_TRIGGER, 4);
	return qtest_read(qtest, function->bar + TESTDEV_RESULT, 4) != TESTDEV_FAILED && !qtest->lost;
}

static void edu_dma(struct qemu *qemu, const struct qemu_function *function, uint64_t source, uint64_t destination,
		    unsigned bytes, uint32_t command)
{
	struct qtest *qtest = &qemu->qtest;

	qtest_post(qtest, function->bar + EDU_SOURCE, 8, source);
	qtest_post(qtest, function->bar + EDU_DESTINATION, 8, destination);
	qtest_post(qtest, function->bar + EDU_COUNT, 8, bytes);
	qtest_post(qtest, function->bar + EDU_COMMAND, 8, command);
	qtest_clock_step(qtest, EDU_TAKES_NS);
}

void qemu_edu_read(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, unsigned offset, unsigned bytes)
{
	edu_dma(qemu, function, iova, EDU_BUFFER + offset, bytes, EDU_RUN);
}

void qemu_edu_write(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, unsigned offset, unsigned bytes)
{
	edu_dma(qemu, function, EDU_BUFFER + offset, iova, bytes, EDU_RUN | EDU_TO_MEMORY);
}

/* ---- The command queue ---- */

static uint64_t tail_address(const struct machine *machine)
{
	return machine->firmware.registers + machine->qemu->board->queue_tail;
}

/* False: QEMU is gone. */
static bool find_ring(struct machine *machine, struct qemu_ring *ring)
{
	const struct qemu_board *board = machine->qemu->board;

	board->ring(qtest_read(&machine->qemu->qtest, machine->firmware.registers + board->queue_base, 8), ring);
	return !machine->qemu->qtest.lost;
}

static uint64_t read_tail(struct machine *machine)
{
	return qtest_read(&machine->qemu->qtest, tail_address(machine), machine->qemu->board->tail_bytes);
}

static void set_tail(struct machine *machine, const struct qemu_ring *ring, unsigned index)
{
	qtest_write(&machine->qemu->qtest, tail_address(machine), machine->qemu->board->tail_bytes,
		    (uint64_t)index << ring->tail_shift);
}

/*
 * Once around: the ring is filled with commands of our own, the tail goes round to where it was, and the ring gets its contents back.
 * The unit has done everything when a tail write returns, so its head is at the tail before and after.
 */
static void go_around(struct machine *machine, const struct qemu_command *commands, unsigned count)
{
	const struct qemu_board *board = machine->qemu->board;
	struct qemu_ring ring;
	unsigned at, done = 0;
	void *saved;
	char *slots;

	if (!find_ring(machine, &ring))
		return;
	slots = machine_virt(machine, ring.phys);
	saved = malloc((size_t)ring.entries * ring.entry_bytes);
	if (!saved)
		return;
	memcpy(saved, slots, (size_t)ring.entries * ring.entry_bytes);
	at = (unsigned)(read_tail(machine) >> ring.tail_shift);
	for (unsigned i = 0; i < ring.entries; i++)
		memcpy(slots + (size_t)((at + i) % ring.entries) * ring.entry_bytes,
		       i < count ? commands[i].words : board->filler.words, ring.entry_bytes);
	/* The registers are behind a socket: its system call orders these stores. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	while (done < ring.period) {
		unsigned step = ring.period - done < ring.entries ? ring.period - done : ring.entries - 1;

		done += step;
		set_tail(machine, &ring, (at + done) % ring.period);
	}
	memcpy(slots, saved, (size_t)ring.entries * ring.entry_bytes);
	free(saved);
}

void qemu_make_cold(struct machine *machine)
{
	go_around(machine, machine->qemu->board->flush, machine->qemu->board->nflush);
}

/* The driver's doorbell: the unit gets its commands one by one. */
static void one_by_one(struct machine *machine, uint64_t value)
{
	const struct qemu_board *board = machine->qemu->board;
	struct qemu *qemu = machine->qemu;
	struct qemu_ring ring;
	unsigned at, to, count;

	if (!find_ring(machine, &ring))
		return;
	at = (unsigned)(read_tail(machine) >> ring.tail_shift);
	to = (unsigned)(value >> ring.tail_shift);
	count = (to + ring.period - at) % ring.period;
	if (!count)
		set_tail(machine, &ring, to);
	for (unsigned i = 1; i <= count; i++) {
		const uint64_t *command =
			machine_virt(machine, ring.phys + (uint64_t)((at + i - 1) % ring.entries) * ring.entry_bytes);

		set_tail(machine, &ring, (at + i) % ring.period);
		if (qemu->pass_through && board->pass_through_quirk && board->pass_through_quirk(command))
			go_around(machine, &board->pass_through_command, 1);
		if (qemu->between)
			qemu->between(qemu->between_ctx, i, count);
	}
}

/* ---- The machine ---- */

static uint64_t mmio_read(struct machine *machine, uint64_t addr, unsigned size)
{
	return qtest_read(&machine->qemu->qtest, addr, size);
}

static void mmio_write(struct machine *machine, uint64_t addr, unsigned size, uint64_t value)
{
	if ((machine->qemu->between || machine->qemu->pass_through) && addr == tail_address(machine))
		one_by_one(machine, value);
	else
		qtest_write(&machine->qemu->qtest, addr, size, value);
}

static uint32_t pci_read(struct machine *machine, uint32_t rid, unsigned offset, unsigned size)
{
	return qemu_pci_read(machine->qemu, rid, offset, size);
}

static void pci_write(struct machine *machine, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	qemu_pci_write(machine->qemu, rid, offset, size, value);
}

/* A command is done when its doorbell is: there is nothing to wait for. A unit that has stopped answering stays so. */
static void relax(struct machine *machine)
{
	(void)machine;
}

const char *qemu_missing(void)
{
	return "it takes QEMU 11.0 or later with -accel qtest and iommu-testdev: `scripts/get-qemu` finds or fetches one (Debian), or "
	       "set HITLESS_QEMU to the folder that has it";
}

bool qemu_place(unsigned n, char *folder, size_t size)
{
	const char *named = getenv("HITLESS_QEMU"), *private = getenv("HITLESS_QEMU_CACHE");
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	/* Who names one means that one. */
	if (named && *named) {
		snprintf(folder, size, "%s", named);
		return n == 0;
	}
	if (n == 0)
		*folder = '\0';
	else if (private && *private)
		snprintf(folder, size, "%s/bin", private);
	else if (cache && *cache)
		snprintf(folder, size, "%s/hitless/qemu/bin", cache);
	else
		snprintf(folder, size, "%s/.cache/hitless/qemu/bin", home ? home : "");
	return n <= 1;
}

static int start_process(struct machine *machine)
{
	const struct qemu_board *board = machine->qemu->board;
	int err = -ENOENT;
	char folder[4096];

	for (unsigned n = 0; qemu_place(n, folder, sizeof(folder)); n++) {
		err = qtest_start(&machine->qemu->qtest, *folder ? folder : NULL, board->program, board->arguments, machine->ram_fd,
				  machine->ram_bytes);
		if (err != -ENOENT && err != -ENOPROTOOPT)
			break;
	}
	return err;
}

static int start(struct machine *machine)
{
	struct qemu *qemu = calloc(1, sizeof(*qemu));
	int err;

	if (!qemu)
		return -ENOMEM;
	qemu->board = machine->config.board;
	qemu->qtest.socket = -1;
	qemu->next_bar = qemu->board->window;
	machine->qemu = qemu;
	err = start_process(machine);
	if (err)
		return err;
	err = qemu->board->find_unit(machine);
	if (!err)
		err = find_functions(qemu);
	return err ? err : qemu->qtest.lost ? -EIO : 0;
}

static void stop(struct machine *machine)
{
	if (!machine->qemu)
		return;
	qtest_stop(&machine->qemu->qtest);
	free(machine->qemu);
}

const struct machine_backend machine_qemu = {
	.start = start,
	.stop = stop,
	.read = mmio_read,
	.write = mmio_write,
	.pci_read = pci_read,
	.pci_write = pci_write,
	.relax = relax,
};
