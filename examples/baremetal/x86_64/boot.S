/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * boot.S - x86-64: from the boot loader to C, and the second CPU's way from real mode.
 *
 * QEMU's -kernel (and Xen, and others) start an ELF file that has this note ("PVH"): 32-bit protected mode, flat segments, no
 * paging, EBX points to struct hvm_start_info.
 */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad _start

	.section .text.boot, "ax"
	.code32
	.globl _start
_start:
	cld
	mov %ebx, %edi			/* the first argument, in a while */

	/* The first 4 GiB 1:1, in pages of 2 MiB; the upper half uncached: registers and PCI. */
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $21, %eax
	or $0x83, %eax			/* present, writable, a large page */
	cmp $1024, %ecx
	jb 2f
	or $0x18, %eax			/* PCD, PWT */
2:	mov %eax, directories(, %ecx, 8)
	movl $0, directories + 4(, %ecx, 8)
	inc %ecx
	cmp $2048, %ecx
	jb 1b
	movl $directories + 0x0003, pointers
	movl $directories + 0x1003, pointers + 8
	movl $directories + 0x2003, pointers + 16
	movl $directories + 0x3003, pointers + 24
	movl $pointers + 3, top

	mov $first_stack_end, %ebp
	mov $kernel_main, %esi
	lgdt gdt_pointer
	ljmp $8, $long_mode

/* To 64 bits: EDI the argument, ESI where to, EBP the stack. The GDT is loaded. */
	.globl long_mode
long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $top, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov $0x80010003, %eax		/* paging, WP, MP, PE */
	mov %eax, %cr0
	ljmp $24, $1f
	.code64
1:	mov %ebp, %esp
	xor %ebp, %ebp
	lidt idt_pointer
	mov %edi, %edi			/* the upper halves are undefined until now */
	mov %esi, %esi
	call *%rsi
	ud2

/* Exceptions: 16 bytes for each, which push its number. Some have pushed an error code before. */
	.globl exceptions
	.balign 16
exceptions:
	.set number, 0
	.rept 32
	.balign 16
	push $number
	jmp exception
	.set number, number + 1
	.endr
exception:
	pop %rdi
	mov $0x60227d00, %eax		/* 8, 10 to 14, 17, 21, 29, 30 have one */
	bt %edi, %eax
	jnc 1f
	pop %rax
1:	mov (%rsp), %rsi
	mov %cr2, %rdx
	and $-16, %rsp
	call on_trap

/*
 * Where a startup IPI begins: real mode, CS:IP = page number << 8 : 0. The code is copied to TRAMPOLINE, so it may name
 * only addresses relative to that.
 */
	.set TRAMPOLINE, 0x8000
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + (trampoline_gdt_pointer - trampoline)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $8, $TRAMPOLINE + (trampoline_32 - trampoline)
	.code32
trampoline_32:
	mov $second_stack_end, %ebp
	mov $second_main, %esi
	mov $long_mode, %eax
	jmp *%eax
	.balign 4
trampoline_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.section .rodata
	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff	/* 8: code, 32 bits */
	.quad 0x00cf93000000ffff	/* 16: data */
	.quad 0x00af9b000000ffff	/* 24: code, 64 bits */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
idt_pointer:
	.word 32 * 16 - 1
	.quad idt

	.bss
	.balign 4096
top:	.skip 4096
pointers: .skip 4096
directories: .skip 4 * 4096
	.skip 16384
first_stack_end:
	.skip 16384
second_stack_end:

	.section .note.GNU-stack, "", @progbits
