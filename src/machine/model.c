/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* model.c - the model machine: driver and model in one process, over one piece of memory. */
#include "machine.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define CACHE_LINE 64

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

/* Extended config space: a vendor's capability of no use at 0x100, then ATS (id 0x000f) and PASID (id 0x001b), as there are. */
#define FIRST_CAPABILITY 0x100u
#define ATS_CAPABILITY 0x110u
#define ATS_ENABLE 0x8000u	/* of its control register */
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

	return function && (__atomic_load_n(&function->ats_control, __ATOMIC_ACQUIRE) & ATS_ENABLE);
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

static uint32_t pci_read(struct machine *machine, uint32_t rid, unsigned offset, unsigned size)
{
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

static void pci_write(struct machine *machine, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	struct machine_function *function = find_function(machine, rid);

	if (function && offset == ATS_CAPABILITY + 6 && size == 2) {
		__atomic_store_n(&function->ats_control, (uint16_t)value, __ATOMIC_SEQ_CST);
		/* A function whose ATS goes off asks no more and fills its TLB no more: what it has begun ends before the write does. */
		while (!(value & ATS_ENABLE) && __atomic_load_n(&function->ats_uses, __ATOMIC_SEQ_CST))
			sched_yield();
	}
	if (function && offset == PASID_CAPABILITY + 6 && size == 2)
		__atomic_store_n(&function->pasid_control, (uint16_t)value, __ATOMIC_RELEASE);
}

static void relax(struct machine *machine)
{
	if (!__atomic_load_n(&machine->clocked, __ATOMIC_ACQUIRE))
		while (iommu_model_tick(&machine->model))
			;
	sched_yield();
}

/* ---- The model's side ---- */

static bool model_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct machine *machine = ctx;

	if (!machine_in_ram(machine, addr, 8))
		return false;
	*value = __atomic_load_n((uint64_t *)(machine->seen + (addr - machine->ram_base)), __ATOMIC_ACQUIRE);
	return true;
}

static bool read128(struct machine *machine, char *view, uint64_t addr, uint64_t value[2])
{
	unsigned __int128 found;

	if (!machine_in_ram(machine, addr, 16))
		return false;
	found = machine_load128(view + (addr - machine->ram_base));
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

	if (!machine_in_ram(machine, addr, 4))
		return false;
	__atomic_store_n((uint32_t *)(machine->seen + (addr - machine->ram_base)), value, __ATOMIC_RELEASE);
	if (machine->seen != machine->ram)
		__atomic_store_n((uint32_t *)(machine->ram + (addr - machine->ram_base)), value, __ATOMIC_RELEASE);
	return true;
}

static bool model_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct machine *machine = ctx;

	if (!machine_in_ram(machine, addr, 8))
		return false;
	__atomic_store_n((uint64_t *)(machine->seen + (addr - machine->ram_base)), value, __ATOMIC_RELEASE);
	if (machine->seen != machine->ram)
		__atomic_store_n((uint64_t *)(machine->ram + (addr - machine->ram_base)), value, __ATOMIC_RELEASE);
	return true;
}

static bool model_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct machine *machine = ctx;

	if (!machine_in_ram(machine, addr, 8))
		return false;
	if (!__atomic_compare_exchange_n((uint64_t *)(machine->seen + (addr - machine->ram_base)), expected, value, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return false;
	if (machine->seen != machine->ram)
		__atomic_store_n((uint64_t *)(machine->ram + (addr - machine->ram_base)), value, __ATOMIC_RELEASE);
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

/* The function begins something with its own TLB, if it may; NULL: it may not. */
static struct machine_function *ats_enter(struct machine *machine, uint32_t rid)
{
	struct machine_function *function = find_function(machine, rid);

	if (!function)
		return NULL;
	__atomic_add_fetch(&function->ats_uses, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&function->ats_control, __ATOMIC_SEQ_CST) & ATS_ENABLE)
		return function;
	__atomic_sub_fetch(&function->ats_uses, 1, __ATOMIC_SEQ_CST);
	return NULL;
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
	struct machine_function *function = NULL;

	dma->done = false;
	if (dma->ats)
		function = ats_enter(machine, dma->rid);
	if (!function || !ats_begin(machine, dma, &request)) {
		/* Without ATS; or not enough rights, or invalidated at once: as an ordinary request it gets its verdict. */
		request.kind = IOMMU_REQUEST_UNTRANSLATED;
		request.addr = dma->iova;
		iommu_model_begin(&machine->model, &request);
	}
	while (request.state == IOMMU_REQUEST_RUNNING)
		iommu_model_step(&machine->model, &request);
	if (request.state == IOMMU_REQUEST_DONE && machine_in_ram(machine, request.phys & ~7ull, 8)) {
		uint64_t *where = machine_virt(machine, request.phys & ~7ull);

		dma->done = true;
		dma->phys = request.phys;
		if (dma->access & IOMMU_WRITE)
			__atomic_store_n(where, dma->value, __ATOMIC_RELEASE);
		else
			dma->value = __atomic_load_n(where, __ATOMIC_ACQUIRE);
	}
	dma->reason = request.reason;
	iommu_model_end(&machine->model, &request);
	if (function)
		__atomic_sub_fetch(&function->ats_uses, 1, __ATOMIC_SEQ_CST);
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

#ifdef __linux__
static void barrier_all(void *ctx)
{
	(void)ctx;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static bool has_barrier_all(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
#else
static void barrier_all(void *ctx)
{
	(void)ctx;
}

static bool has_barrier_all(void)
{
	return false;
}
#endif

static void fill_port(struct machine *machine)
{
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
	if (machine->config.barrier_all && has_barrier_all())
		machine->model_port.barrier_all = barrier_all;
}

static int start(struct machine *machine)
{
	struct iommu_model_config config = machine->config.model ? *machine->config.model : middling;
	size_t bytes;
	void *state;

	fill_port(machine);
	machine->firmware.registers = machine->config.arch->registers;
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
	if (machine->config.nested && machine->config.arch->nesting)
		machine->config.arch->nesting(config.capabilities);
	if (machine->config.noncoherent)
		machine->config.arch->noncoherent(config.capabilities);
	bytes = iommu_model_size(machine->config.arch->model, &config);
	if (!bytes)
		return -EINVAL;
	if (posix_memalign(&state, CACHE_LINE, bytes))
		return -ENOMEM;
	return iommu_model_init(&machine->model, machine->config.arch->model, &config, &machine->model_port, state);
}

static void stop(struct machine *machine)
{
	free(machine->model.state);
}

const struct machine_backend machine_model = {
	.start = start,
	.stop = stop,
	.read = mmio_read,
	.write = mmio_write,
	.pci_read = pci_read,
	.pci_write = pci_write,
	.relax = relax,
};
