/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * boot.S - 64-bit Arm, in EL1. The image begins with the header of a Linux Image (Linux:
 * Documentation/arch/arm64/booting.rst). X0 is the device tree; the MMU is off. The second CPU comes from PSCI the same way.
 */
	.section .text.boot, "ax"
	.globl _start
_start:
	b start
	.long 0
	.quad 0x80000			/* where to, from the start of RAM */
	.quad image_end - _start
	.quad 0x0a			/* little-endian, 4 KiB pages */
	.quad 0
	.quad 0
	.quad 0
	.ascii "ARM\x64"
	.long 0

start:
	adrp x1, bss_start
	add x1, x1, :lo12:bss_start
	adrp x2, image_end
	add x2, x2, :lo12:image_end
1:	cmp x1, x2
	b.hs 2f
	str xzr, [x1], #8
	b 1b
2:	/* One table of 512 entries, 1 GiB each, 1:1: RAM begins at 1 GiB; all else is for devices. */
	adrp x1, page_table
	mov x2, #0			/* the address */
	mov x3, #0x401			/* a block; accessed; attributes 0 of MAIR: Device */
	movk x3, #0x60, lsl #48		/* never executed */
	mov x4, #0x705			/* attributes 1: Normal; inner shareable */
	mov x5, #512
	mov x8, #0x40000000
3:	orr x6, x2, x3
	lsr x7, x2, #30
	cmp x7, #1
	b.ne 4f
	orr x6, x2, x4
4:	str x6, [x1], #8
	add x2, x2, x8
	subs x5, x5, #1
	b.ne 3b
	/* The table was written past the caches, which may hold what was there before. */
	dsb sy
	bl mmu_on
	adrp x1, first_stack_end
	mov sp, x1
	b kernel_main

	.globl second_start
second_start:
	bl mmu_on
	adrp x1, second_stack_end
	mov sp, x1
	b second_main

mmu_on:
	adrp x1, page_table
	msr ttbr0_el1, x1
	mov x1, #0xff04			/* 0: Device-nGnRE; 1: Normal, write-back */
	msr mair_el1, x1
	ldr x1, =0x280803519		/* 39 bits of address, tables write-back and inner shareable, no TTBR1, 40 bits physical */
	msr tcr_el1, x1
	adrp x1, vectors
	add x1, x1, :lo12:vectors
	msr vbar_el1, x1
	tlbi vmalle1
	ic iallu
	dsb sy
	isb
	ldr x1, =0x30d01805		/* the bits that are always set; I, C, M */
	msr sctlr_el1, x1
	isb
	ret

	.balign 2048
vectors:
	.rept 16
	.balign 128
	mrs x0, esr_el1
	mrs x1, elr_el1
	mrs x2, far_el1
	b on_trap
	.endr

	.bss
	.balign 4096
page_table: .skip 4096
	.skip 16384
	.balign 4096
first_stack_end:
	.skip 16384
	.balign 4096
second_stack_end:

	.section .note.GNU-stack, "", @progbits
