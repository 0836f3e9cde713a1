/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - what all machines have: memory and who gets it, locks, a clock, power. */
#include "qemu.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FRAME HITLESS_PAGE_SIZE
#define DEFAULT_RAM (64u << 20)
#define DATA_BASE (1u << 20)	/* data frames start here; what is below stays zero, as a null pointer's target */
#define CACHE_LINE 64

/* ---- Random numbers (xorshift64*) ---- */

static __thread uint64_t random_state = 0x9e3779b97f4a7c15ull;

void machine_seed_thread(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	if (!random_state)
		random_state = 1;
	for (unsigned i = 0; i < 4; i++)
		machine_random();
}

uint64_t machine_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* ---- Memory ---- */

/* Fails on purpose, if a test wants that. */
static bool starved(struct machine *machine)
{
	unsigned left = __atomic_load_n(&machine->fail_after, __ATOMIC_RELAXED);

	__atomic_add_fetch(&machine->alloc_calls, 1, __ATOMIC_RELAXED);
	if (!left)
		return false;
	__atomic_store_n(&machine->fail_after, left - 1, __ATOMIC_RELAXED);
	return left == 1;
}

static void fill(struct machine *machine, uint32_t frame, size_t bytes, uint64_t word)
{
	size_t first = (size_t)frame * FRAME;

	for (size_t at = first; at < first + bytes; at += 8) {
		__atomic_store_n((uint64_t *)(machine->ram + at), word, __ATOMIC_RELAXED);
		if (machine->seen != machine->ram)
			__atomic_store_n((uint64_t *)(machine->seen + at), word, __ATOMIC_RELAXED);
	}
}

/* Under frames_lock. Single frames from the far end of the queue, larger runs by search. */
static bool take_frames(struct machine *machine, uint32_t count, uint32_t *first)
{
	if (count == 1) {
		while (machine->fifo_count) {
			uint32_t frame = machine->frame_fifo[machine->fifo_head];

			machine->fifo_head = (machine->fifo_head + 1) % machine->frames;
			machine->fifo_count--;
			if (!machine->frame_used[frame]) {
				machine->frame_used[frame] = 1;
				*first = frame;
				return true;
			}
			/* Taken as part of a larger run meanwhile; it comes back when that is freed. */
		}
		return false;
	}
	for (uint32_t start = 0; start + count <= machine->frames; start += count) {
		uint32_t n = 0;

		while (n < count && !machine->frame_used[start + n])
			n++;
		if (n < count)
			continue;
		memset(machine->frame_used + start, 1, count);
		*first = start;
		return true;
	}
	return false;
}

static void *port_alloc_pages(void *ctx, size_t bytes)
{
	struct machine *machine = ctx;
	uint32_t first, count = (uint32_t)(bytes / FRAME);
	bool found;

	if (starved(machine))
		return NULL;
	pthread_mutex_lock(&machine->frames_lock);
	found = take_frames(machine, count, &first);
	if (found)
		machine->frames_in_use += count;
	pthread_mutex_unlock(&machine->frames_lock);
	if (!found)
		return NULL;
	fill(machine, first, bytes, 0);
	return machine->ram + (size_t)first * FRAME;
}

static void port_free_pages(void *ctx, void *pages, size_t bytes)
{
	struct machine *machine = ctx;
	uint32_t first = (uint32_t)(((char *)pages - machine->ram) / FRAME), count = (uint32_t)(bytes / FRAME);

	/* Who still walks it ends in the poisoned frame. */
	fill(machine, first, bytes, machine->poison | machine->config.arch->poison_bits);
	pthread_mutex_lock(&machine->frames_lock);
	for (uint32_t i = 0; i < count; i++) {
		machine->frame_used[first + i] = 0;
		if (machine->fifo_count < machine->frames) {
			machine->frame_fifo[(machine->fifo_head + machine->fifo_count) % machine->frames] = first + i;
			machine->fifo_count++;
		}
	}
	machine->frames_in_use -= count;
	pthread_mutex_unlock(&machine->frames_lock);
}

uint64_t machine_reserve_frames(struct machine *machine, unsigned count)
{
	unsigned first = DATA_BASE / FRAME + machine->reserved_frames;

	pthread_mutex_lock(&machine->frames_lock);
	for (unsigned i = 0; i < count; i++)
		machine->frame_used[first + i] = 1;
	machine->reserved_frames += count;
	pthread_mutex_unlock(&machine->frames_lock);
	return machine->ram_base + (uint64_t)first * FRAME;
}

/* Every block is on a list: what a lost unit never gives back goes when the machine does. */
struct machine_block {
	_Alignas(16) struct machine_block *next;
	struct machine_block **link;
};

static void *port_alloc(void *ctx, size_t bytes)
{
	struct machine *machine = ctx;
	struct machine_block *block = starved(machine) ? NULL : calloc(1, sizeof(*block) + bytes);

	if (!block)
		return NULL;
	__atomic_add_fetch(&machine->heap_in_use, bytes, __ATOMIC_RELAXED);
	pthread_mutex_lock(&machine->frames_lock);
	block->next = machine->blocks;
	block->link = &machine->blocks;
	if (block->next)
		block->next->link = &block->next;
	machine->blocks = block;
	pthread_mutex_unlock(&machine->frames_lock);
	return block + 1;
}

static void port_free(void *ctx, void *memory, size_t bytes)
{
	struct machine *machine = ctx;
	struct machine_block *block = (struct machine_block *)memory - 1;

	__atomic_sub_fetch(&machine->heap_in_use, bytes, __ATOMIC_RELAXED);
	pthread_mutex_lock(&machine->frames_lock);
	*block->link = block->next;
	if (block->next)
		block->next->link = block->link;
	pthread_mutex_unlock(&machine->frames_lock);
	free(block);
}

static void free_blocks(struct machine *machine)
{
	while (machine->blocks) {
		struct machine_block *next = machine->blocks->next;

		free(machine->blocks);
		machine->blocks = next;
	}
}

static void port_store64(void *ctx, void *entry, uint64_t value)
{
	(void)ctx;
	__atomic_store_n((uint64_t *)entry, value, __ATOMIC_RELEASE);
}

/* The compiler's 16-byte compare-exchange is inline with -mcx16, and one that the sanitizers know. */
static void port_store128(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	unsigned __int128 value = (unsigned __int128)high << 64 | low, *where = entry, found, expected;
	uint64_t *halves = entry;

	(void)ctx;
	/* A guess, which may be torn. */
	found = (unsigned __int128)__atomic_load_n(&halves[1], __ATOMIC_RELAXED) << 64 | __atomic_load_n(&halves[0], __ATOMIC_RELAXED);
	do {
		expected = found;
		found = __sync_val_compare_and_swap(where, expected, value);
	} while (found != expected);
}

static void port_barrier(void *ctx)
{
	(void)ctx;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* every store to the unit's memory is a release; x86 and the model need no more */
}

/* Whole cache lines, as the CPU writes them back. */
static void port_writeback(void *ctx, const void *memory, size_t bytes)
{
	struct machine *machine = ctx;
	size_t first = (size_t)((const char *)memory - machine->ram) & ~(size_t)(CACHE_LINE - 1);
	size_t last = ((size_t)((const char *)memory - machine->ram) + bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);

	if (machine->seen == machine->ram)
		return;
	for (size_t at = first; at < last; at += 16) {
		/* 16 bytes at once: a write-back doesn't tear what one store wrote. */
		unsigned __int128 value = machine_load128(machine->ram + at);

		port_store128(NULL, machine->seen + at, (uint64_t)value, (uint64_t)(value >> 64));
	}
}

/* ---- Registers and config space: the backend's ---- */

static uint32_t port_read32(void *ctx, uint64_t addr)
{
	struct machine *machine = ctx;

	return (uint32_t)machine->backend->read(machine, addr, 4);
}

static uint64_t port_read64(void *ctx, uint64_t addr)
{
	struct machine *machine = ctx;

	return machine->backend->read(machine, addr, 8);
}

static void port_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct machine *machine = ctx;

	machine->backend->write(machine, addr, 4, value);
}

static void port_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct machine *machine = ctx;

	machine->backend->write(machine, addr, 8, value);
}

static uint32_t port_pci_read(void *ctx, uint32_t rid, unsigned offset, unsigned size)
{
	struct machine *machine = ctx;

	return machine->backend->pci_read(machine, rid, offset, size);
}

static void port_pci_write(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	struct machine *machine = ctx;

	machine->backend->pci_write(machine, rid, offset, size, value);
}

/* ---- Locks, time ---- */

/* Who wants it alone has the mutex, and waits for those who share it; who comes to share it waits for the mutex. */
struct machine_lock {
	pthread_mutex_t mutex;
	unsigned sharing;	/* atomic, up under the mutex */
};

_Static_assert(sizeof(struct machine_lock) <= sizeof(struct hitless_lock), "the machine's lock fits into the port's");

static struct machine_lock *to_lock(struct hitless_lock *lock)
{
	return (struct machine_lock *)lock->opaque;
}

static int port_lock_init(void *ctx, struct hitless_lock *lock)
{
	to_lock(lock)->sharing = 0;
	return starved(ctx) ? -ENOMEM : -pthread_mutex_init(&to_lock(lock)->mutex, NULL);
}

static void port_lock_destroy(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_destroy(&to_lock(lock)->mutex);
}

static void port_lock(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_lock(&to_lock(lock)->mutex);
	while (__atomic_load_n(&to_lock(lock)->sharing, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void port_unlock(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_unlock(&to_lock(lock)->mutex);
}

static void port_lock_shared(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_lock(&to_lock(lock)->mutex);
	__atomic_fetch_add(&to_lock(lock)->sharing, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&to_lock(lock)->mutex);
}

static void port_unlock_shared(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	__atomic_fetch_sub(&to_lock(lock)->sharing, 1, __ATOMIC_RELEASE);
}

static uint64_t port_now(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void port_relax(void *ctx)
{
	struct machine *machine = ctx;

	machine->backend->relax(machine);
}

/* ---- Power ---- */

static void fill_ports(struct machine *machine)
{
	machine->port = (struct hitless_port){
		.ctx = machine,
		.direct_map = (uintptr_t)machine->ram - machine->ram_base,
		.alloc_pages = port_alloc_pages,
		.free_pages = port_free_pages,
		.alloc = port_alloc,
		.free = port_free,
		.mmio_read32 = port_read32,
		.mmio_read64 = port_read64,
		.mmio_write32 = port_write32,
		.mmio_write64 = port_write64,
		.pci_read = port_pci_read,
		.pci_write = port_pci_write,
		.store64 = port_store64,
		.store128 = machine->config.no_store128 ? NULL : port_store128,
		.write_barrier = port_barrier,
		.writeback = port_writeback,
		.lock_init = port_lock_init,
		.lock_destroy = port_lock_destroy,
		.lock = port_lock,
		.unlock = port_unlock,
		.lock_shared = port_lock_shared,
		.unlock_shared = port_unlock_shared,
		.now_ns = port_now,
		.relax = port_relax,
	};
}

/* Memory that another process can be given, as `*fd`. */
static char *map_ram(size_t bytes, int *fd)
{
	char *ram;

	*fd = memfd_create("hitless-ram", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)bytes))
		return NULL;
	ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return ram == MAP_FAILED ? NULL : ram;
}

int machine_create(struct machine *machine, const struct machine_config *config)
{
	int err = -ENOMEM;

	memset(machine, 0, sizeof(*machine));
	machine->ram_fd = machine->seen_fd = -1;
	machine->config = *config;
	machine->backend = config->board ? &machine_qemu : &machine_model;
	machine->ram_base = config->board ? config->board->ram_base : 0;
	if (!machine->config.lanes)
		machine->config.lanes = 1;
	if (!machine->config.timeout_ns)
		machine->config.timeout_ns = 10000000000ull;
	machine->ram_bytes = config->ram_bytes ? config->ram_bytes : DEFAULT_RAM;
	machine->frames = (uint32_t)(machine->ram_bytes / FRAME);
	machine->ram = map_ram(machine->ram_bytes, &machine->ram_fd);
	machine->seen = machine->ram && config->noncoherent ? map_ram(machine->ram_bytes, &machine->seen_fd) : machine->ram;
	machine->frame_used = calloc(machine->frames, 1);
	machine->frame_fifo = calloc(machine->frames, sizeof(*machine->frame_fifo));
	pthread_mutex_init(&machine->frames_lock, NULL);
	if (!machine->ram || !machine->seen || !machine->frame_used || !machine->frame_fifo)
		goto fail;
	fill_ports(machine);
	/* Below: data. The upper half of RAM is for tables. */
	memset(machine->frame_used, 1, machine->frames / 2);
	for (uint32_t frame = machine->frames / 2; frame < machine->frames; frame++)
		machine->frame_fifo[machine->fifo_count++] = frame;
	machine->poison = machine_reserve_frames(machine, 1);
	fill(machine, (uint32_t)((machine->poison - machine->ram_base) / FRAME), FRAME, machine->poison | config->arch->poison_bits);
	machine_seed_thread(config->seed);
	err = machine->backend->start(machine);
	if (err)
		goto fail;
	return 0;
fail:
	machine_destroy(machine);
	return err;
}

int machine_start_unit(struct machine *machine)
{
	const struct machine_arch *arch = machine->config.arch;
	int err = arch->create_unit(machine, &machine->unit);

	if (err || !machine->config.nested)
		return err;
	return arch->enable_nesting ? arch->enable_nesting(machine->unit) : -EOPNOTSUPP;
}

void machine_destroy(struct machine *machine)
{
	if (machine->unit)
		iommu_unit_destroy(machine->unit);
	free_blocks(machine);
	if (machine->backend)
		machine->backend->stop(machine);
	if (machine->seen && machine->seen != machine->ram)
		munmap(machine->seen, machine->ram_bytes);
	if (machine->ram)
		munmap(machine->ram, machine->ram_bytes);
	if (machine->ram_fd >= 0)
		close(machine->ram_fd);
	if (machine->seen_fd >= 0)
		close(machine->seen_fd);
	free(machine->frame_used);
	free(machine->frame_fifo);
	pthread_mutex_destroy(&machine->frames_lock);
	memset(machine, 0, sizeof(*machine));
}
