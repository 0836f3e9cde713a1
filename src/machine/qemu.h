/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * qemu.h - a machine whose IOMMU and devices are QEMU's: hardware that this project did not write.
 *
 * RAM is shared with the QEMU process, so table stores are ordinary atomic stores; registers, config space and the clock go over
 * qtest. Nothing runs in QEMU between two operations, so whatever happens here is deterministic. docs/qemu.md has the details.
 */
#ifndef MACHINE_QEMU_H
#define MACHINE_QEMU_H

#include "machine.h"
#include "qtest.h"

/* A command queue in memory, as the unit's registers say. */
struct qemu_ring {
	uint64_t phys;
	unsigned entries, entry_bytes;
	unsigned tail_shift;		/* the tail register counts in 1 << tail_shift */
	unsigned period;		/* ... and starts again after so many entries */
};

#define QEMU_COMMAND_WORDS 4

struct qemu_command {
	uint64_t words[QEMU_COMMAND_WORDS];
};

/* One IOMMU as QEMU has it, and the board around it. */
struct qemu_board {
	const char *name;		/* as QEMU calls the unit, with its options */
	const char *arch;		/* of struct machine_arch */
	const char *program;
	const char *const *arguments;	/* NULL-terminated */
	const char *const *guest_arguments; /* more of them, for a kernel that runs there: guest.h; NULL: none */
	uint64_t ram_base;
	uint64_t ecam;			/* PCI config space */
	uint64_t window;		/* where BARs may go */
	uint64_t fw_cfg;		/* its registers; 0: x86's ports */
	/* Finds the unit: fills machine->firmware. -ENODEV. */
	int (*find_unit)(struct machine *machine);
	/* QEMU ends itself when its unit reads an entry that is no entry (a stream table entry without a second stage): that is a verdict. */
	bool ends_on_torn_entry;
	/* A blocked write fails. QEMU's AMD-Vi drops it silently instead. */
	bool reports_faults;
	/* The command queue: its registers, from the unit's base. */
	uint64_t queue_base, queue_tail;
	unsigned tail_bytes;
	void (*ring)(uint64_t base, struct qemu_ring *ring);
	/* Commands that empty every cache, and then any number of `filler`s, which do nothing. */
	const struct qemu_command *flush;
	unsigned nflush;
	struct qemu_command filler;
	/*
	 * A quirk of QEMU's ("pass-through follows the context entry", docs/qemu.md): after such a command it takes another one, which the
	 * specification does not ask for, for a change to or from pass-through to be seen. NULL: it has no such quirk.
	 */
	bool (*pass_through_quirk)(const uint64_t *command);
	struct qemu_command pass_through_command;
};

/* All boards, NULL-terminated; and those of each architecture. */
extern const struct qemu_board *const qemu_boards[];
const struct qemu_board *qemu_board_by_name(const char *name);

extern const struct qemu_board qemu_vtd_legacy, qemu_vtd_second, qemu_vtd_first, qemu_amdvi, qemu_riscv_pci, qemu_riscv_sys,
	qemu_smmuv3;

/* Every board has two of each: what does DMA. */
#define QEMU_DEVICES \
	"-device", "edu,addr=4,dma_mask=0xffffffffffffffff", "-device", "iommu-testdev,addr=5", \
	"-device", "edu,addr=6,dma_mask=0xffffffffffffffff", "-device", "iommu-testdev,addr=7"

enum qemu_kind {
	QEMU_TESTDEV,			/* iommu-testdev: writes, and knows whether they were done */
	QEMU_EDU			/* edu: reads into a buffer of its own and writes from there */
};

#define QEMU_FUNCTIONS_EACH 2
#define QEMU_EDU_BYTES 4096u

struct qemu_function {
	enum qemu_kind kind;
	uint32_t rid;
	uint64_t bar;
};

struct qemu {
	const struct qemu_board *board;
	struct qtest qtest;
	uint64_t next_bar;
	struct qemu_function functions[QEMU_FUNCTIONS_EACH * 2];
	unsigned nfunctions;
	/* Called after every single command, when the driver submits several by one doorbell. NULL: nobody. */
	void (*between)(void *ctx, unsigned done, unsigned of);
	void *between_ctx;
	bool pass_through;		/* make up for the quirk */
};

/* The n-th folder where a suitable QEMU may be, "" for PATH; false: there are no more. The same places as scripts/get-qemu. */
bool qemu_place(unsigned n, char *folder, size_t size);

/* Why machine_create() with a board has failed, for a user: what is missing and how to get it. */
const char *qemu_missing(void);

/* The n-th function of that kind. */
const struct qemu_function *qemu_function(const struct qemu *qemu, enum qemu_kind kind, unsigned n);

/* iommu-testdev writes QEMU_TESTDEV_WORD over and over to [iova, iova + bytes). True: it says that it has. */
#define QEMU_TESTDEV_WORD 0x1234567812345678ull
bool qemu_testdev_write(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, uint32_t bytes);

/* edu reads [iova, iova + bytes) to `offset` of its buffer, or writes it from there. Nobody learns whether that was done: a read that
 * was not leaves zeros. */
void qemu_edu_read(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, unsigned offset, unsigned bytes);
void qemu_edu_write(struct qemu *qemu, const struct qemu_function *function, uint64_t iova, unsigned offset, unsigned bytes);

/* Empties every cache of the unit, by commands in its own queue that the driver doesn't notice. Its queue must be on, and idle. */
void qemu_make_cold(struct machine *machine);

/* ---- For boards ---- */

/* Config space, and the function with these ids on bus 0: its device number << 3, or -ENODEV. */
uint32_t qemu_pci_read(struct qemu *qemu, uint32_t rid, unsigned offset, unsigned size);
void qemu_pci_write(struct qemu *qemu, uint32_t rid, unsigned offset, unsigned size, uint32_t value);
int qemu_pci_find(struct qemu *qemu, uint16_t vendor, uint16_t device, unsigned nth);
/* Gives BAR 0 an address and turns the function on: memory and bus master. */
uint64_t qemu_pci_enable(struct qemu *qemu, uint32_t rid);

/* Copies the ACPI table of that signature out of fw_cfg, free() it. NULL: there is none. `bytes`: its length. */
uint8_t *qemu_acpi_table(struct machine *machine, const char *signature, size_t *bytes);

static inline uint64_t qemu_little(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	while (count--)
		value = value << 8 | bytes[count];
	return value;
}

#endif
