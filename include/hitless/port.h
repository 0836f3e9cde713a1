/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/port.h - how the drivers reach the world: memory, registers, config space, locks, a clock.
 *
 * An embedder fills one struct hitless_port and keeps it unchanged while anything created with it lives.
 * The library calls nothing else, besides memcpy and memset.
 *
 * Contexts: every function of iommu.h may be called from any thread. None may be called from an interrupt handler
 * that could have interrupted a holder of one of the port's locks; if an embedder wants to unmap in such a context,
 * its lock() must disable those interrupts. The library sleeps nowhere itself: it polls with relax().
 */
#ifndef HITLESS_PORT_H
#define HITLESS_PORT_H

#ifdef HITLESS_ROOM_MODEL
#error "a model never sees the driver's side (DESIGN.md, rooms)"
#endif

#include <hitless/types.h>

HITLESS_BEGIN

/* Room for one lock of the embedder's kind (a pthread mutex fits). */
struct hitless_lock {
	uint64_t opaque[8];
};

struct iommu_plan;
struct iommu_step;

struct hitless_port {
	/* Handed back as the first argument of every function below. */
	void *ctx;

	/*
	 * Memory that the IOMMU reads. All of it lies in one linear map: virtual address = physical address + direct_map.
	 * alloc_pages: `bytes` is a power of two and at least 4096; the memory is physically contiguous, aligned to
	 * its size, and zeroed. NULL when there is none. free_pages gets the same size back.
	 */
	uintptr_t direct_map;
	void *(*alloc_pages)(void *ctx, size_t bytes);
	void (*free_pages)(void *ctx, void *pages, size_t bytes);

	/* Memory that only software reads; zeroed, aligned for any object. NULL when there is none. */
	void *(*alloc)(void *ctx, size_t bytes);
	void (*free)(void *ctx, void *memory, size_t bytes);

	/* Registers, by physical address. A 64-bit register may be accessed as two 32-bit halves only where the
	 * specification allows that; the library always uses the register's own width. */
	uint32_t (*mmio_read32)(void *ctx, uint64_t addr);
	uint64_t (*mmio_read64)(void *ctx, uint64_t addr);
	void (*mmio_write32)(void *ctx, uint64_t addr, uint32_t value);
	void (*mmio_write64)(void *ctx, uint64_t addr, uint64_t value);

	/*
	 * PCI configuration space of the function `rid` (segment << 16 | bus << 8 | devfn), for the ATS and PASID
	 * capabilities; `size` is 2 or 4 bytes. Both may be NULL: then no device has them.
	 */
	uint32_t (*pci_read)(void *ctx, uint32_t rid, unsigned offset, unsigned size);
	void (*pci_write)(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value);

	/*
	 * Stores to live table entries. Each is one single-copy atomic store, release-ordered: what the caller stored
	 * before is visible to the IOMMU before it is. store128 is NULL where the CPU has no such store (x86 without
	 * CMPXCHG16B, Arm without FEAT_LSE2); then the planner is given a quantum of 64 bits.
	 */
	void (*store64)(void *ctx, void *entry, uint64_t value);
	void (*store128)(void *ctx, void *entry, uint64_t low, uint64_t high);

	/* Orders earlier stores to memory before later ones and before later register writes, as the IOMMU sees them. */
	void (*write_barrier)(void *ctx);

	/* Cache write-back of [memory, memory + bytes), for an IOMMU whose table walks are not coherent; complete when it
	 * returns. May be NULL if all units are coherent. */
	void (*writeback)(void *ctx, const void *memory, size_t bytes);

	/* Locks. lock_init returns 0 or -ENOMEM. The library never takes one lock twice in one thread. */
	int (*lock_init)(void *ctx, struct hitless_lock *lock);
	void (*lock_destroy)(void *ctx, struct hitless_lock *lock);
	void (*lock)(void *ctx, struct hitless_lock *lock);
	void (*unlock)(void *ctx, struct hitless_lock *lock);
	/* The same locks held by many at once, while nobody holds them alone; who wants one alone must get it, whoever else comes
	 * meanwhile. Only for unmaps of one domain that wait for the hardware: with NULL (both) they wait one after the other. */
	void (*lock_shared)(void *ctx, struct hitless_lock *lock);
	void (*unlock_shared)(void *ctx, struct hitless_lock *lock);

	/* A clock that never runs backwards, in nanoseconds, for time limits; and what to do between two polls. */
	uint64_t (*now_ns)(void *ctx);
	void (*relax)(void *ctx);

	/*
	 * Two hooks for tests, tracers and explorers; NULL in production. They are called with the library's locks held (a table's too, up to the
	 * first store): of the library they may call iommu_unit_submit().
	 * review: sees a whole plan after everything has been allocated and before the first step, and may edit its steps.
	 * trace: sees every step just before it is done.
	 */
	void (*review)(void *ctx, struct iommu_plan *plan);
	void (*trace)(void *ctx, const struct iommu_step *step);
};

HITLESS_END

#endif
