/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * cpu_table.c - page tables as an operating system makes them for its processes: not by the code that is tested with them. A
 * guest's are the same, but that its physical addresses are `offset` higher than the machine's.
 */
#include "machine.h"

#define LEVELS 4u
#define ENTRIES 512u

static uint64_t *entry_at(struct machine *machine, uint64_t table, uint64_t iova, unsigned level)
{
	return (uint64_t *)machine_virt(machine, table) + (iova >> (12 + 9 * level) & (ENTRIES - 1));
}

static uint64_t alloc_table(struct machine *machine)
{
	char *page = machine->port.alloc_pages(machine->port.ctx, HITLESS_PAGE_SIZE);

	return page ? (uint64_t)(page - machine->ram) + machine->ram_base : 0;
}

static uint64_t address_in(const struct machine *machine, uint64_t offset, uint64_t entry)
{
	return (entry << machine->config.arch->cpu.shift & 0x0000fffffffff000ull) - offset;
}

static uint64_t entry_to(const struct machine *machine, uint64_t offset, uint64_t phys, uint64_t bits)
{
	return (phys + offset) >> machine->config.arch->cpu.shift | bits;
}

uint64_t machine_cpu_table(struct machine *machine)
{
	return alloc_table(machine);
}

int machine_cpu_map(struct machine *machine, uint64_t offset, uint64_t root, uint64_t iova, uint64_t phys, bool writable)
{
	const struct machine_arch *arch = machine->config.arch;
	uint64_t table = root;

	for (unsigned level = LEVELS - 1; level > 0; level--) {
		uint64_t *entry = entry_at(machine, table, iova, level);

		if (!*entry) {
			uint64_t below = alloc_table(machine);

			if (!below)
				return -ENOMEM;
			__atomic_store_n(entry, entry_to(machine, offset, below, arch->cpu.table), __ATOMIC_RELEASE);
		}
		table = address_in(machine, offset, *entry);
	}
	__atomic_store_n(entry_at(machine, table, iova, 0),
			 entry_to(machine, offset, phys, writable ? arch->cpu.writable : arch->cpu.read_only), __ATOMIC_RELEASE);
	return 0;
}

void machine_cpu_unmap(struct machine *machine, uint64_t offset, uint64_t root, uint64_t iova)
{
	uint64_t table = root;

	for (unsigned level = LEVELS - 1; level > 0; level--) {
		uint64_t entry = *entry_at(machine, table, iova, level);

		if (!entry)
			return;
		table = address_in(machine, offset, entry);
	}
	__atomic_store_n(entry_at(machine, table, iova, 0), 0, __ATOMIC_RELEASE);
}

static void free_level(struct machine *machine, uint64_t offset, uint64_t table, unsigned level)
{
	const uint64_t *entries = machine_virt(machine, table);

	for (unsigned i = 0; level && i < ENTRIES; i++)
		if (entries[i])
			free_level(machine, offset, address_in(machine, offset, entries[i]), level - 1);
	machine->port.free_pages(machine->port.ctx, machine_virt(machine, table), HITLESS_PAGE_SIZE);
}

void machine_cpu_free(struct machine *machine, uint64_t offset, uint64_t root)
{
	free_level(machine, offset, root, LEVELS - 1);
}
