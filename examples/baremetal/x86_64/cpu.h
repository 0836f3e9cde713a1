/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpu.h - x86-64: what the port needs of the CPU. */
#ifndef CPU_H
#define CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CPUID.1:ECX[13]: CMPXCHG16B. Every machine with VT-d or AMD-Vi has it. */
#define CPU_HAS_STORE128

static inline bool cpu_can_store128(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx & 1u << 13;
}

/* A locked CMPXCHG16B of aligned memory is one store of 16 bytes, and a full barrier. */
static inline void cpu_store128(void *entry, uint64_t low, uint64_t high)
{
	volatile uint64_t *words = entry;
	uint64_t old_low = words[0], old_high = words[1];
	bool done;

	do {
		__asm__ volatile("lock cmpxchg16b %1"
				 : "=@cce"(done), "+m"(*(unsigned __int128 *)entry), "+a"(old_low), "+d"(old_high)
				 : "b"(low), "c"(high)
				 : "memory");
	} while (!done);
}

/* Stores to write-back memory are in order already; this also covers write-combining ones. */
static inline void cpu_write_barrier(void)
{
	__asm__ volatile("sfence" ::: "memory");
}

/* Loads are in order. */
static inline void cpu_read_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

#define CPU_HAS_WRITEBACK

/* CLFLUSH is on every x86-64 CPU; 64 bytes is the line of all of them. (CLFLUSHOPT or CLWB would be faster, where they are.) */
static inline void cpu_writeback(const void *memory, size_t bytes)
{
	const char *line = (const char *)((uintptr_t)memory & ~(uintptr_t)63);

	for (; line < (const char *)memory + bytes; line += 64)
		__asm__ volatile("clflush %0" : : "m"(*line) : "memory");
	__asm__ volatile("mfence" ::: "memory");
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
