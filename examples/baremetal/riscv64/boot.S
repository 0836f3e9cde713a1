/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * boot.S - 64-bit RISC-V, in supervisor mode under an SBI (OpenSBI: QEMU's -bios default). The image begins with the header of
 * a Linux Image (Linux: Documentation/arch/riscv/boot-image-header.rst). A0 is this hart's number, A1 the device tree; paging is off.
 */
	.section .text.boot, "ax"
	.option norelax
	.globl _start
_start:
	j start
	.balign 4
	.word 0
	.quad 0x200000			/* where to, from the start of RAM */
	.quad image_end - _start
	.quad 0				/* little-endian */
	.word 2				/* version 0.2 */
	.word 0
	.quad 0
	.ascii "RISCV\0\0\0"
	.ascii "RSC\x05"
	.word 0

start:
	csrw sie, zero
	la t0, trap
	csrw stvec, t0
	la t0, bss_start
	la t1, image_end
1:	bgeu t0, t1, 2f
	sd zero, (t0)
	addi t0, t0, 8
	j 1b
2:	la t0, boot_hart
	sd a0, (t0)
	mv a0, a1
	la sp, first_stack_end
	j kernel_main

	.globl second_start
second_start:
	la t0, trap
	csrw stvec, t0
	la sp, second_stack_end
	j second_main

	.balign 4
trap:
	csrr a0, scause
	csrr a1, sepc
	csrr a2, stval
	j on_trap

	.bss
	.balign 16
	.skip 16384
first_stack_end:
	.skip 16384
second_stack_end:

	.section .note.GNU-stack, "", @progbits
