/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * qemu_firmware.c - what a firmware would read: ACPI tables, out of QEMU's fw_cfg device by its DMA interface (QEMU's
 * docs/specs/fw_cfg.rst).
 */
#include "qemu.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTORY 0x19		/* the key of the list of files */
#define MAX_FILES 256
#define MAX_BYTES (1u << 20)
#define CONTROL_ERROR 1u
#define CONTROL_READ 2u
#define CONTROL_SELECT 8u
#define DMA_PORT 0x514
#define DMA_REGISTER 16

struct file {
	uint32_t size;
	uint16_t key, reserved;
	char name[56];
};

struct access {
	uint32_t control, length;
	uint64_t address;
};

/* Everything in fw_cfg is big-endian. */
static uint32_t big32(uint32_t value)
{
	return __builtin_bswap32(value);
}

/* Reads the first `bytes` of an item to `phys`, by a descriptor at `at`. */
static bool read_item(struct machine *machine, uint16_t key, uint64_t at, uint64_t phys, uint32_t bytes)
{
	const struct qemu_board *board = machine->qemu->board;
	struct qtest *qtest = &machine->qemu->qtest;
	struct access *access = machine_virt(machine, at);

	access->address = __builtin_bswap64(phys);
	access->length = big32(bytes);
	__atomic_store_n(&access->control, big32((uint32_t)key << 16 | CONTROL_SELECT | CONTROL_READ), __ATOMIC_RELEASE);
	if (board->fw_cfg) {
		qtest_write(qtest, board->fw_cfg + DMA_REGISTER, 8, __builtin_bswap64(at));
	} else {
		qtest_out(qtest, DMA_PORT, 4, big32((uint32_t)(at >> 32)));
		qtest_out(qtest, DMA_PORT + 4, 4, big32((uint32_t)at));
	}
	return __atomic_load_n(&access->control, __ATOMIC_ACQUIRE) == 0;
}

static const struct file *find_file(const uint8_t *directory, const char *name)
{
	uint32_t count = big32(*(const uint32_t *)directory);
	const struct file *files = (const struct file *)(directory + 4);

	for (uint32_t i = 0; i < count && i < MAX_FILES; i++)
		if (strncmp(files[i].name, name, sizeof(files[i].name)) == 0)
			return &files[i];
	return NULL;
}

/* The tables lie one after another, not linked yet. A header: signature, length, ..., and QEMU's name at 10. */
static uint8_t *find_table(const uint8_t *blob, size_t size, const char *signature, size_t *bytes)
{
	for (size_t at = 0; at + 36 <= size; at++) {
		uint64_t length = qemu_little(blob + at + 4, 4);
		uint8_t *table;

		if (memcmp(blob + at, signature, 4) != 0 || memcmp(blob + at + 10, "BOCHS ", 6) != 0 || length < 36 ||
		    length > size - at)
			continue;
		table = malloc(length);
		if (table)
			memcpy(table, blob + at, length);
		*bytes = length;
		return table;
	}
	return NULL;
}

uint8_t *qemu_acpi_table(struct machine *machine, const char *signature, size_t *bytes)
{
	/* Memory at the end of RAM, which nobody has got yet. */
	uint64_t scratch = machine->ram_base + machine->ram_bytes - MAX_BYTES, at = scratch - HITLESS_PAGE_SIZE;
	const struct file *file;
	uint8_t *table = NULL;
	uint32_t size;

	if (read_item(machine, DIRECTORY, at, scratch, 4 + MAX_FILES * sizeof(struct file))) {
		file = find_file(machine_virt(machine, scratch), "etc/acpi/tables");
		size = file ? big32(file->size) : 0;
		if (size && size <= MAX_BYTES && read_item(machine, __builtin_bswap16(file->key), at, scratch, size))
			table = find_table(machine_virt(machine, scratch), size, signature, bytes);
	}
	memset(machine_virt(machine, at), 0, HITLESS_PAGE_SIZE + MAX_BYTES);
	return table;
}
