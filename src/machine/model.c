/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* model.c - the model machine: driver and model in one process, over one piece of memory. */
#include "machine.h"

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

static bool in_ram(const struct machine *machine, uint64_t addr, size_t bytes)
{
	return addr % bytes == 0 && addr < machine->ram_bytes && machine->ram_bytes - addr >= bytes;
}

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

static void fill(struct machine *machine, uint64_t phys, size_t bytes, uint64_t word)
{
	for (size_t i = 0; i < bytes; i += 8) {
		__atomic_store_n((uint64_t *)(machine->ram + phys + i), word, __ATOMIC_RELAXED);
		if (machine->seen != machine->ram)
			__atomic_store_n((uint64_t *)(machine->seen + phys + i), word, __ATOMIC_RELAXED);
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
	fill(machine, (uint64_t)first * FRAME, bytes, 0);
	return machine->ram + (size_t)first * FRAME;
}

static void port_free_pages(void *ctx, void *pages, size_t bytes)
{
	struct machine *machine = ctx;
	uint32_t first = (uint32_t)(((char *)pages - machine->ram) / FRAME), count = (uint32_t)(bytes / FRAME);

	/* Who still walks it ends in the poisoned frame. */
	fill(machine, (uint64_t)first * FRAME, bytes, machine->poison | machine->config.arch->poison_bits);
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
	uint64_t phys = DATA_BASE + (uint64_t)machine->reserved_frames * FRAME;

	pthread_mutex_lock(&machine->frames_lock);
	for (unsigned i = 0; i < count; i++)
		machine->frame_used[phys / FRAME + i] = 1;
	machine->reserved_frames += count;
	pthread_mutex_unlock(&machine->frames_lock);
	return phys;
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
	unsigned __int128 value = (unsigned __int128)high << 64 | low, *where = entry, found = 0, expected;

	(void)ctx;
	do {
		expected = found;
		found = __sync_val_compare_and_swap(where, expected, value);
	} while (found != expected);
}

/* A compare-exchange is the only 16-byte load that compiles inline everywhere. To ThreadSanitizer it is a write; it has a load. */
static unsigned __int128 load128(void *where)
{
#ifdef __SANITIZE_THREAD__
	return __atomic_load_n((unsigned __int128 *)where, __ATOMIC_ACQUIRE);
#else
	return __sync_val_compare_and_swap((unsigned __int128 *)where, 0, 0);
#endif
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
		unsigned __int128 value = load128(machine->ram + at);

		port_store128(NULL, machine->seen + at, (uint64_t)value, (uint64_t)(value >> 64));
	}
}

/* ---- Registers and config space ---- */

static bool is_register(const struct machine *machine, uint64_t addr)
{
	const struct machine_arch *arch = machine->config.arch;

	return addr >= arch->registers && addr - arch->registers < arch->register_bytes;
}

static uint64_t mmio_read(struct machine *machine, uint64_t addr, unsigned size)
{
	if (!is_register(machine, addr))
		return size == 4 ? 0xffffffffu : UINT64_MAX;
	return iommu_model_read(&machine->model, addr - machine->config.arch->registers, size);
}

static void mmio_write(struct machine *machine, uint64_t addr, unsigned size, uint64_t value)
{
	if (is_register(machine, addr))
		iommu_model_write(&machine->model, addr - machine->config.arch->registers, size, value);
}

static uint32_t port_read32(void *ctx, uint64_t addr)
{
	return (uint32_t)mmio_read(ctx, addr, 4);
}

static uint64_t port_read64(void *ctx, uint64_t addr)
{
	return mmio_read(ctx, addr, 8);
}

static void port_write32(void *ctx, uint64_t addr, uint32_t value)
{
	mmio_write(ctx, addr, 4, value);
}

static void port_write64(void *ctx, uint64_t addr, uint64_t value)
{
	mmio_write(ctx, addr, 8, value);
}

/* Extended config space: a vendor's capability of no use at 0x100, then ATS (id 0x000f) and PASID (id 0x001b), as there are. */
#define FIRST_CAPABILITY 0x100u
#define ATS_CAPABILITY 0x110u
#define PASID_CAPABILITY 0x120u

void machine_add_function(struct machine *machine, uint32_t rid)
{
	if (machine->nfunctions < MACHINE_MAX_FUNCTIONS)
		machine->functions[machine->nfunctions++].rid = rid;
}

static struct machine_function *find_function(const struct machine *machine, uint32_t rid)
{
	for (unsigned i = 0; i < machine->nfunctions; i++)
		if (machine->functions[i].rid == rid)
			return (struct machine_function *)&machine->functions[i];
	return NULL;
}

bool machine_ats_enabled(const struct machine *machine, uint32_t rid)
{
	const struct machine_function *function = find_function(machine, rid);

	return function && (__atomic_load_n(&function->ats_control, __ATOMIC_ACQUIRE) & 0x8000);
}

bool machine_pasid_enabled(const struct machine *machine, uint32_t rid, unsigned access)
{
	const struct machine_function *function = find_function(machine, rid);
	unsigned needed = 1 | (access & IOMMU_EXEC ? 2 : 0) | (access & IOMMU_PRIV ? 4 : 0);

	return function && (__atomic_load_n(&function->pasid_control, __ATOMIC_ACQUIRE) & needed) == needed;
}

static uint32_t capability_header(const struct machine *machine, unsigned offset, unsigned id)
{
	unsigned next = 0;

	if (offset < PASID_CAPABILITY && machine->config.pasid_bits)
		next = PASID_CAPABILITY;
	if (offset < ATS_CAPABILITY && machine->config.ats)
		next = ATS_CAPABILITY;
	return id | 1u << 16 | next << 20;
}

static uint32_t port_pci_read(void *ctx, uint32_t rid, unsigned offset, unsigned size)
{
	struct machine *machine = ctx;
	const struct machine_function *function = find_function(machine, rid);

	if (!function || !(machine->config.ats || machine->config.pasid_bits))
		return size == 2 ? 0xffff : 0xffffffffu;
	switch (offset) {
	case FIRST_CAPABILITY:
		return capability_header(machine, offset, 0x000b);
	case ATS_CAPABILITY:
		return capability_header(machine, offset, 0x000f);
	case ATS_CAPABILITY + 6:
		return __atomic_load_n(&function->ats_control, __ATOMIC_ACQUIRE);
	case PASID_CAPABILITY:
		return capability_header(machine, offset, 0x001b);
	case PASID_CAPABILITY + 4:
		return machine->config.pasid_bits << 8 | 6; /* execute and privileged mode */
	case PASID_CAPABILITY + 6:
		return __atomic_load_n(&function->pasid_control, __ATOMIC_ACQUIRE);
	default:
		return 0;
	}
}

static void port_pci_write(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	struct machine_function *function = find_function(ctx, rid);

	if (function && offset == ATS_CAPABILITY + 6 && size == 2)
		__atomic_store_n(&function->ats_control, (uint16_t)value, __ATOMIC_RELEASE);
	if (function && offset == PASID_CAPABILITY + 6 && size == 2)
		__atomic_store_n(&function->pasid_control, (uint16_t)value, __ATOMIC_RELEASE);
}

/* ---- Locks, time ---- */

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct hitless_lock), "a mutex fits into the port's lock");

static pthread_mutex_t *mutex(struct hitless_lock *lock)
{
	return (pthread_mutex_t *)lock->opaque;
}

static int port_lock_init(void *ctx, struct hitless_lock *lock)
{
	return starved(ctx) ? -ENOMEM : -pthread_mutex_init(mutex(lock), NULL);
}

static void port_lock_destroy(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_destroy(mutex(lock));
}

static void port_lock(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_lock(mutex(lock));
}

static void port_unlock(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	pthread_mutex_unlock(mutex(lock));
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

	if (!__atomic_load_n(&machine->clocked, __ATOMIC_ACQUIRE))
		while (iommu_model_tick(&machine->model))
			;
	sched_yield();
}

/* ---- The model's side ---- */

static bool model_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct machine *machine = ctx;

	if (!in_ram(machine, addr, 8))
		return false;
	*value = __atomic_load_n((uint64_t *)(machine->seen + addr), __ATOMIC_ACQUIRE);
	return true;
}

static bool read128(struct machine *machine, char *view, uint64_t addr, uint64_t value[2])
{
	unsigned __int128 found;

	if (!in_ram(machine, addr, 16))
		return false;
	found = load128(view + addr);
	value[0] = (uint64_t)found;
	value[1] = (uint64_t)(found >> 64);
	return true;
}

static bool model_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	return read128(ctx, ((struct machine *)ctx)->seen, addr, value);
}

static bool model_read128_snooped(void *ctx, uint64_t addr, uint64_t value[2])
{
	return read128(ctx, ((struct machine *)ctx)->ram, addr, value);
}

/* What the unit writes itself is coherent in both views. */
static bool model_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct machine *machine = ctx;

	if (!in_ram(machine, addr, 4))
		return false;
	__atomic_store_n((uint32_t *)(machine->seen + addr), value, __ATOMIC_RELEASE);
	if (machine->seen != machine->ram)
		__atomic_store_n((uint32_t *)(machine->ram + addr), value, __ATOMIC_RELEASE);
	return true;
}

static bool model_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct machine *machine = ctx;

	if (!in_ram(machine, addr, 8))
		return false;
	__atomic_store_n((uint64_t *)(machine->seen + addr), value, __ATOMIC_RELEASE);
	if (machine->seen != machine->ram)
		__atomic_store_n((uint64_t *)(machine->ram + addr), value, __ATOMIC_RELEASE);
	return true;
}

static bool model_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct machine *machine = ctx;

	if (!in_ram(machine, addr, 8))
		return false;
	if (!__atomic_compare_exchange_n((uint64_t *)(machine->seen + addr), expected, value, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	if (machine->seen != machine->ram)
		__atomic_store_n((uint64_t *)(machine->ram + addr), value, __ATOMIC_RELEASE);
	return true;
}

/*
 * The hardware's freedoms, at random: mostly it does the ordinary thing, now and then another. A torn fetch also takes its
 * time, so that the driver gets on with its stores meanwhile.
 */
static unsigned model_choose(void *ctx, enum iommu_freedom freedom, unsigned count)
{
	static const uint8_t often[IOMMU_FREEDOMS] = {
		[IOMMU_FREE_TEAR] = 2,	[IOMMU_FREE_MISS] = 32,	  [IOMMU_FREE_KEEP] = 4,      [IOMMU_FREE_PREFETCH] = 4,
		[IOMMU_FREE_LATE] = 2,	[IOMMU_FREE_REORDER] = 2, [IOMMU_FREE_LATE_FILL] = 4, [IOMMU_FREE_MULTI] = 4,
	};
	uint64_t number = machine_random();

	(void)ctx;
	if (freedom == IOMMU_FREE_TEAR && number >> 32 & 1)
		sched_yield();
	if (number % often[freedom])
		return 0;
	return (unsigned)((number >> 40) % count);
}

/* ---- DMA ---- */

/*
 * Looks into the function's own TLB, and has it filled on a miss. The request counts as in flight from before the look-up: a
 * function answers an invalidation only after what it has looked up is done (PCIe, ATS 10.3.1).
 */
static bool ats_begin(struct machine *machine, const struct machine_dma *dma, struct iommu_request *request)
{
	uint64_t phys;
	uint32_t rights;

	for (unsigned tries = 0; tries < 2; tries++) {
		request->kind = IOMMU_REQUEST_TRANSLATED;
		request->addr = dma->iova;
		iommu_model_begin(&machine->model, request);
		if (iommu_model_devtlb_lookup(&machine->model, request, &phys, &rights) &&
		    (rights & dma->access) == dma->access) {
			request->addr = phys;
			return true;
		}
		iommu_model_end(&machine->model, request);
		if (tries)
			break;
		request->kind = IOMMU_REQUEST_TRANSLATION;
		iommu_model_translate(&machine->model, request);
		iommu_model_end(&machine->model, request);
	}
	return false;
}

void machine_dma(struct machine *machine, struct machine_dma *dma)
{
	struct iommu_request request = {
		.rid = dma->rid,
		.pasid = dma->pasid,
		.addr = dma->iova,
		.access = (uint8_t)dma->access,
		.lane = (uint8_t)dma->lane,
	};

	dma->done = false;
	if (dma->ats && !ats_begin(machine, dma, &request)) {
		/* Not enough rights, or invalidated at once: as an ordinary request it gets its verdict. */
		request.kind = IOMMU_REQUEST_UNTRANSLATED;
		request.addr = dma->iova;
		iommu_model_begin(&machine->model, &request);
	} else if (!dma->ats) {
		iommu_model_begin(&machine->model, &request);
	}
	while (request.state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&machine->model, &request);
	if (request.state == IOMMU_REQUEST_DONE && in_ram(machine, request.phys & ~7ull, 8)) {
		uint64_t *where = (uint64_t *)(machine->ram + (request.phys & ~7ull));

		dma->done = true;
		dma->phys = request.phys;
		if (dma->access & IOMMU_WRITE)
			__atomic_store_n(where, dma->value, __ATOMIC_RELEASE);
		else
			dma->value = __atomic_load_n(where, __ATOMIC_ACQUIRE);
	}
	dma->reason = request.reason;
	iommu_model_end(&machine->model, &request);
}

/* ---- Power ---- */

static const struct iommu_model_config middling = {
	.quantum = 16,
	.entry_lines = 16,
	.pasid_lines = 16,
	.walk_lines = 16,
	.iotlb_lines = 64,
	.devtlb_lines = 64,
};

static void fill_ports(struct machine *machine)
{
	machine->port = (struct hitless_port){
		.ctx = machine,
		.direct_map = (uintptr_t)machine->ram,
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
		.now_ns = port_now,
		.relax = port_relax,
	};
	machine->model_port = (struct iommu_model_port){
		.ctx = machine,
		.read64 = model_read64,
		.read128 = model_read128,
		.read128_snooped = model_read128_snooped,
		.write32 = model_write32,
		.write64 = model_write64,
		.cas64 = model_cas64,
		.choose = machine->config.freedoms ? model_choose : NULL,
	};
}

static char *map_ram(size_t bytes)
{
	int fd = memfd_create("hitless-ram", MFD_CLOEXEC);
	char *ram;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)bytes)) {
		close(fd);
		return NULL;
	}
	ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return ram == MAP_FAILED ? NULL : ram;
}

static int make_model(struct machine *machine)
{
	struct iommu_model_config config = machine->config.model ? *machine->config.model : middling;
	size_t bytes;
	void *state;

	if (machine->config.arch->quantum && config.quantum > machine->config.arch->quantum)
		config.quantum = machine->config.arch->quantum;
	config.lanes = machine->config.lanes;
	config.freedoms = machine->config.freedoms;
	memcpy(config.capabilities, machine->config.capabilities, sizeof(config.capabilities));
	for (unsigned i = 0; i < 4; i++)
		if (!config.capabilities[i])
			config.capabilities[i] = machine->config.arch->default_capabilities[i];
	if (machine->config.noncoherent && !machine->config.arch->noncoherent)
		return -EINVAL;
	if (machine->config.noncoherent)
		machine->config.arch->noncoherent(config.capabilities);
	bytes = iommu_model_size(machine->config.arch->model, &config);
	if (!bytes)
		return -EINVAL;
	if (posix_memalign(&state, CACHE_LINE, bytes))
		return -ENOMEM;
	return iommu_model_init(&machine->model, machine->config.arch->model, &config, &machine->model_port, state);
}

int machine_create(struct machine *machine, const struct machine_config *config)
{
	int err = -ENOMEM;

	memset(machine, 0, sizeof(*machine));
	machine->config = *config;
	if (!machine->config.lanes)
		machine->config.lanes = 1;
	if (!machine->config.timeout_ns)
		machine->config.timeout_ns = 10000000000ull;
	machine->ram_bytes = config->ram_bytes ? config->ram_bytes : DEFAULT_RAM;
	machine->frames = (uint32_t)(machine->ram_bytes / FRAME);
	machine->ram = map_ram(machine->ram_bytes);
	machine->seen = machine->ram && config->noncoherent ? map_ram(machine->ram_bytes) : machine->ram;
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
	fill(machine, machine->poison, FRAME, machine->poison | config->arch->poison_bits);
	machine_seed_thread(config->seed);
	err = make_model(machine);
	if (err)
		goto fail;
	return 0;
fail:
	machine_destroy(machine);
	return err;
}

int machine_start_unit(struct machine *machine)
{
	return machine->config.arch->create_unit(machine, &machine->unit);
}

void machine_destroy(struct machine *machine)
{
	if (machine->unit)
		iommu_unit_destroy(machine->unit);
	free_blocks(machine);
	free(machine->model.state);
	if (machine->seen && machine->seen != machine->ram)
		munmap(machine->seen, machine->ram_bytes);
	if (machine->ram)
		munmap(machine->ram, machine->ram_bytes);
	free(machine->frame_used);
	free(machine->frame_fifo);
	pthread_mutex_destroy(&machine->frames_lock);
	memset(machine, 0, sizeof(*machine));
}
