/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * port.c - how Hitless reaches this kernel's world. Copy this file into your own kernel and go through it from top to bottom:
 * each part says what the library relies on, and what to put there. include/hitless/port.h is the reference;
 * docs/embedding.md tells the rest of the story (how a unit is found, how a device gets into a group).
 *
 * What is special to a CPU is in cpu.h, one for each: x86_64/, aarch64/, riscv64/.
 */
#include "kernel.h"

#include "cpu.h"

/* Which of this kernel's things is meant: a kernel with several IOMMUs of several kinds may need that. Here nothing does. */
#define UNUSED_CTX (void)ctx

/*
 * 1. Memory that the IOMMU reads: its tables and queues.
 *
 * The library stores physical addresses into the tables, and gets at the memory again by adding `direct_map`. So whatever
 * alloc_pages returns must lie in one linear map. This kernel runs with virtual = physical: direct_map is 0. A kernel with
 * a direct map of all RAM, as Linux has at PAGE_OFFSET, says that offset.
 *
 * Contiguous, aligned to their size, zeroed. NULL is an answer that the library lives with. Freed pages may be given
 * out again at once: the library frees a table only when the unit has forgotten it.
 */
static void *port_alloc_pages(void *ctx, size_t bytes)
{
	UNUSED_CTX;
	return pages_alloc(bytes);
}

static void port_free_pages(void *ctx, void *pages, size_t bytes)
{
	UNUSED_CTX;
	pages_free(pages, bytes);
}

/* 2. Memory that only the CPUs read: your kernel's kzalloc. The size comes back with free, for allocators that want it. */
static void *port_alloc(void *ctx, size_t bytes)
{
	UNUSED_CTX;
	return heap_alloc(bytes);
}

static void port_free(void *ctx, void *memory, size_t bytes)
{
	UNUSED_CTX;
	heap_free(memory, bytes);
}

/*
 * 3. The unit's registers, by physical address. Map them uncached (Device memory on Arm) and translate here, if your kernel
 * does not have them 1:1. Each access must be one of that width. What the driver reads must be there before what it reads
 * next from memory: a queue's index comes before its entries.
 */
static uint32_t port_mmio_read32(void *ctx, uint64_t addr)
{
	uint32_t value = *(volatile uint32_t *)addr;

	UNUSED_CTX;
	cpu_read_barrier();
	return value;
}

static uint64_t port_mmio_read64(void *ctx, uint64_t addr)
{
	uint64_t value = *(volatile uint64_t *)addr;

	UNUSED_CTX;
	cpu_read_barrier();
	return value;
}

static void port_mmio_write32(void *ctx, uint64_t addr, uint32_t value)
{
	UNUSED_CTX;
	*(volatile uint32_t *)addr = value;
}

static void port_mmio_write64(void *ctx, uint64_t addr, uint64_t value)
{
	UNUSED_CTX;
	*(volatile uint64_t *)addr = value;
}

/*
 * 4. PCI config space, for the ATS capability of a device. `rid` is segment << 16 | bus << 8 | device << 3 | function.
 * Without ATS leave both NULL.
 */
static uint32_t port_pci_read(void *ctx, uint32_t rid, unsigned offset, unsigned size)
{
	UNUSED_CTX;
	return pci_config_read(rid, offset, size);
}

static void port_pci_write(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	UNUSED_CTX;
	pci_config_write(rid, offset, size, value);
}

/*
 * 5. Stores to live entries: the heart of it. The IOMMU may fetch the entry at any moment, so the store must reach memory whole,
 * and after everything that was stored before it. A 64-bit store is whole on every CPU here. 128 bits are the difference between
 * a replacement in one store and a copy of the table: with them a VT-d context entry or an AMD-Vi device table entry changes its domain
 * id and its page table together. If your CPU may lack them, look at run time, as port_init() does, and leave store128 NULL.
 */
static void port_store64(void *ctx, void *entry, uint64_t value)
{
	UNUSED_CTX;
	__atomic_store_n((uint64_t *)entry, value, __ATOMIC_RELEASE);
}

#ifdef CPU_HAS_STORE128
static void port_store128(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	UNUSED_CTX;
	cpu_store128(entry, low, high);
}
#endif

/* 6. Earlier stores before later stores and before later register writes, as a device sees them (Linux: wmb). */
static void port_write_barrier(void *ctx)
{
	UNUSED_CTX;
	cpu_write_barrier();
}

/*
 * 7. Cache lines out to memory, for units that do not snoop the CPUs' caches (VT-d: ECAP.C clear). Complete when it returns. A
 * driver refuses to start such a unit (-EINVAL) if there is no such function, so forgetting it is not silent.
 */
#ifdef CPU_HAS_WRITEBACK
static void port_writeback(void *ctx, const void *memory, size_t bytes)
{
	UNUSED_CTX;
	cpu_writeback(memory, bytes);
}
#endif

/*
 * 8. Locks. There is room for 64 bytes in one. Some are held while the library polls the hardware, so in a kernel with threads let
 * them sleep. If your kernel unmaps in interrupt handlers, they can't: then lock() must be a spinlock that switches those interrupts
 * off, and unlock() switches them on again. This kernel never has an interrupt, nor anything else to do while it waits.
 */
_Static_assert(sizeof(struct spinlock) <= sizeof(struct hitless_lock), "a spinlock fits");

static struct spinlock *spinlock_of(struct hitless_lock *lock)
{
	return (void *)lock->opaque;
}

static int port_lock_init(void *ctx, struct hitless_lock *lock)
{
	UNUSED_CTX;
	*spinlock_of(lock) = (struct spinlock){ 0 };
	return 0;
}

static void port_lock_destroy(void *ctx, struct hitless_lock *lock)
{
	UNUSED_CTX;
	(void)lock;
}

static void port_lock(void *ctx, struct hitless_lock *lock)
{
	UNUSED_CTX;
	spin_lock(spinlock_of(lock));
}

static void port_unlock(void *ctx, struct hitless_lock *lock)
{
	UNUSED_CTX;
	spin_unlock(spinlock_of(lock));
}

/*
 * 9. A clock, only to give up on hardware that does not answer; and what to do while polling it. The library never sleeps; if
 * your kernel wants to run something else meanwhile, relax() is the place.
 */
static uint64_t port_now_ns(void *ctx)
{
	UNUSED_CTX;
	return clock_ns();
}

static void port_relax(void *ctx)
{
	UNUSED_CTX;
	cpu_relax();
}

/* 10. All of it together. It must not change while anything lives that was created with it. */
struct hitless_port port = {
	.direct_map = 0,
	.alloc_pages = port_alloc_pages,
	.free_pages = port_free_pages,
	.alloc = port_alloc,
	.free = port_free,
	.mmio_read32 = port_mmio_read32,
	.mmio_read64 = port_mmio_read64,
	.mmio_write32 = port_mmio_write32,
	.mmio_write64 = port_mmio_write64,
	.pci_read = port_pci_read,
	.pci_write = port_pci_write,
	.store64 = port_store64,
	.write_barrier = port_write_barrier,
#ifdef CPU_HAS_WRITEBACK
	.writeback = port_writeback,
#endif
	.lock_init = port_lock_init,
	.lock_destroy = port_lock_destroy,
	.lock = port_lock,
	.unlock = port_unlock,
	.now_ns = port_now_ns,
	.relax = port_relax,
};

/* Before anything is created with the port. */
void port_init(void)
{
#ifdef CPU_HAS_STORE128
	if (cpu_can_store128() && option_number("quantum", 128) == 128)
		port.store128 = port_store128;
#endif
}
