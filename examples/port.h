/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * port.h - the world of the examples: memory is malloc'ed, a physical address is an address, the hardware is a model, and there is
 * one thread. An embedder writes these functions for his own memory, bus and locks.
 */
#ifndef EXAMPLES_PORT_H
#define EXAMPLES_PORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>

#define EXAMPLE_REGISTERS 0xfed90000u

static struct iommu_model example_model;

/* ---- What the driver needs: struct hitless_port ---- */

static void *example_alloc_pages(void *ctx, size_t bytes)
{
	void *pages = aligned_alloc(bytes, bytes);

	(void)ctx;
	return pages ? memset(pages, 0, bytes) : NULL;
}

static void *example_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return calloc(1, bytes);
}

static void example_free(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(memory);
}

static uint32_t example_read32(void *ctx, uint64_t addr)
{
	(void)ctx;
	return (uint32_t)iommu_model_read(&example_model, addr - EXAMPLE_REGISTERS, 4);
}

static uint64_t example_read64(void *ctx, uint64_t addr)
{
	(void)ctx;
	return iommu_model_read(&example_model, addr - EXAMPLE_REGISTERS, 8);
}

static void example_write32(void *ctx, uint64_t addr, uint32_t value)
{
	(void)ctx;
	iommu_model_write(&example_model, addr - EXAMPLE_REGISTERS, 4, value);
}

static void example_write64(void *ctx, uint64_t addr, uint64_t value)
{
	(void)ctx;
	iommu_model_write(&example_model, addr - EXAMPLE_REGISTERS, 8, value);
}

static void example_store64(void *ctx, void *entry, uint64_t value)
{
	(void)ctx;
	__atomic_store_n((uint64_t *)entry, value, __ATOMIC_RELEASE);
}

#ifdef __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16
static void example_store128(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	unsigned __int128 *where = entry, old = *where, value = (unsigned __int128)high << 64 | low;

	(void)ctx;
	while (!__sync_bool_compare_and_swap(where, old, value))
		old = *where;
}
#else
#define example_store128 NULL
#endif

static void example_barrier(void *ctx)
{
	(void)ctx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static int example_lock_init(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	(void)lock;
	return 0;
}

static void example_lock(void *ctx, struct hitless_lock *lock) /* one thread: nothing to keep out */
{
	(void)ctx;
	(void)lock;
}

static uint64_t example_now(void *ctx)
{
	struct timespec now;

	(void)ctx;
	timespec_get(&now, TIME_UTC);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* While the driver polls, the hardware goes on. */
static void example_relax(void *ctx)
{
	(void)ctx;
	iommu_model_tick(&example_model);
}

/* ---- What the model needs: struct iommu_model_port ---- */

static bool example_bus_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	(void)ctx;
	*value = __atomic_load_n((uint64_t *)(uintptr_t)addr, __ATOMIC_ACQUIRE);
	return true;
}

static bool example_bus_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	return example_bus_read64(ctx, addr, &value[0]) && example_bus_read64(ctx, addr + 8, &value[1]);
}

static bool example_bus_write32(void *ctx, uint64_t addr, uint32_t value)
{
	(void)ctx;
	__atomic_store_n((uint32_t *)(uintptr_t)addr, value, __ATOMIC_RELEASE);
	return true;
}

static bool example_bus_write64(void *ctx, uint64_t addr, uint64_t value)
{
	(void)ctx;
	__atomic_store_n((uint64_t *)(uintptr_t)addr, value, __ATOMIC_RELEASE);
	return true;
}

static bool example_bus_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	(void)ctx;
	return __atomic_compare_exchange_n((uint64_t *)(uintptr_t)addr, expected, value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* ---- Both together ---- */

/* The driver's port; the hardware is switched on. */
static const struct hitless_port *example_port(void)
{
	static const struct iommu_model_port bus = {
		.read64 = example_bus_read64,
		.read128 = example_bus_read128,
		.write32 = example_bus_write32,
		.write64 = example_bus_write64,
		.cas64 = example_bus_cas64,
	};
	static const struct iommu_model_config config = {
		.quantum = 16, .lanes = 1, .entry_lines = 16, .pasid_lines = 16, .walk_lines = 16, .iotlb_lines = 64, .devtlb_lines = 1,
		.freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP),
	};
	static const struct hitless_port port = {
		.alloc_pages = example_alloc_pages,
		.free_pages = example_free,
		.alloc = example_alloc,
		.free = example_free,
		.mmio_read32 = example_read32,
		.mmio_read64 = example_read64,
		.mmio_write32 = example_write32,
		.mmio_write64 = example_write64,
		.store64 = example_store64,
		.store128 = example_store128,
		.write_barrier = example_barrier,
		.lock_init = example_lock_init,
		.lock_destroy = example_lock,
		.lock = example_lock,
		.unlock = example_lock,
		.now_ns = example_now,
		.relax = example_relax,
	};
	size_t size = iommu_model_size(&vtd_model, &config);
	static void *state;

	state = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!state || iommu_model_init(&example_model, &vtd_model, &config, &bus, state) != 0)
		abort();
	return &port;
}

/* A device's DMA: what it reads at `iova`, or 0 and a word of complaint. */
static uint64_t example_dma(uint32_t rid, uint64_t iova)
{
	struct iommu_request request = { .rid = rid, .pasid = IOMMU_NO_PASID, .addr = iova, .access = IOMMU_READ };
	uint64_t value = 0;

	if (iommu_model_translate(&example_model, &request) == IOMMU_REQUEST_DONE)
		value = *(uint64_t *)(uintptr_t)request.phys;
	else
		printf("fault: %s\n", iommu_model_reason(&example_model, request.reason));
	iommu_model_end(&example_model, &request);
	return value;
}

#endif
