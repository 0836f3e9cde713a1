/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpu.h - 64-bit Arm: what the port needs of the CPU. */
#ifndef CPU_H
#define CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * FEAT_LSE2 (ID_AA64MMFR2_EL1.AT, bits 35:32): LDP and STP of 16 aligned bytes of ordinary memory are one access each (Arm ARM,
 * B2.2.1). The memory must be Normal, Inner and Outer Write-Back: boot.S maps it so. Without it, 64 bits.
 */
#define CPU_HAS_STORE128

static inline bool cpu_can_store128(void)
{
	uint64_t features;

	__asm__("mrs %0, S3_0_C0_C7_2" : "=r"(features)); /* ID_AA64MMFR2_EL1 */
	return features >> 32 & 0xf;
}

static inline void cpu_write_barrier(void)
{
	__asm__ volatile("dmb oshst" ::: "memory");
}

static inline void cpu_read_barrier(void)
{
	__asm__ volatile("dmb oshld" ::: "memory");
}

static inline void cpu_store128(void *entry, uint64_t low, uint64_t high)
{
	cpu_write_barrier();
	__asm__ volatile("stp %1, %2, %0" : "=Q"(*(unsigned __int128 *)entry) : "r"(low), "r"(high) : "memory");
}

#define CPU_HAS_WRITEBACK

/* To the point of coherency, by lines of the smallest cache (CTR_EL0.DminLine, in words of 4 bytes). */
static inline void cpu_writeback(const void *memory, size_t bytes)
{
	uint64_t type, line, at;

	__asm__("mrs %0, ctr_el0" : "=r"(type));
	line = 4ull << (type >> 16 & 0xf);
	for (at = (uint64_t)memory & ~(line - 1); at < (uint64_t)memory + bytes; at += line)
		__asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

static inline void cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

#endif
