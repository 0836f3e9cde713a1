/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpu.h - 64-bit RISC-V: what the port needs of the CPU. */
#ifndef CPU_H
#define CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * No 128-bit stores: the RISC-V IOMMU's fetch is whole for 64 bits only. No write-back: this machine's IOMMU snoops the caches. One
 * that does not (riscv_unit_desc.noncoherent) needs cbo.clean (Zicbom) over the lines, and a fence.
 */

static inline void cpu_write_barrier(void)
{
	__asm__ volatile("fence w, ow" ::: "memory");
}

static inline void cpu_read_barrier(void)
{
	__asm__ volatile("fence i, ir" ::: "memory");
}

/* `pause` (Zihintpause), which older CPUs take for a fence that does nothing. */
static inline void cpu_relax(void)
{
	__asm__ volatile(".4byte 0x0100000f" ::: "memory");
}

#endif
