/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An image without a libc that holds libhitless and libhitless-model whole: the four functions that a C
 * compiler may call by itself, and an entry point. It links, so the libraries need nothing else.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
_Noreturn void image_main(void);

/* Keeps the compiler from turning a loop below into a call of the function that it is in. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	return memmove(to, from, n);
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if ((uintptr_t)t <= (uintptr_t)f) {
		for (size_t i = 0; i < n; i++) {
			t[i] = f[i];
			KEEP_LOOP();
		}
	} else {
		for (size_t i = n; i > 0; i--) {
			t[i - 1] = f[i - 1];
			KEEP_LOOP();
		}
	}
	return to;
}

void *memset(void *to, int value, size_t n)
{
	unsigned char *t = to;

	for (size_t i = 0; i < n; i++) {
		t[i] = (unsigned char)value;
		KEEP_LOOP();
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a;
	const unsigned char *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

/* The kernel enters with a 16-byte aligned stack; a C function expects it as after a call. */
__asm__(".text\n"
	".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call image_main\n");

void image_main(void)
{
	/* exit(0) */
	__asm__ volatile("syscall" : : "a"(60L), "D"(0L) : "rcx", "r11", "memory");
	__builtin_unreachable();
}
