/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * memory.c - physical pages, a small heap over them, spinlocks, and the four functions that a C compiler may call by itself.
 *
 * A block has a power of two of bytes and is aligned to its size. Freed blocks of one size are kept in a list and never
 * joined: enough for a kernel that uses the same sizes over and over.
 */
#include "kernel.h"

#include <string.h>

#include "cpu.h"

#define SMALLEST 6u			/* 64 bytes: the heap's */
#define SIZES 32u
#define POISON 0xa5

struct block {
	struct block *next;
};

static struct spinlock lock;
static struct block *free_blocks[SIZES];
static uint64_t unused, unused_end;

void memory_init(uint64_t start, uint64_t end)
{
	unused = start;
	unused_end = end;
}

/* ---- Locks: a ticket each, served in order ---- */

void spin_lock(struct spinlock *spinlock)
{
	uint32_t ticket = __atomic_fetch_add(&spinlock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&spinlock->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
}

void spin_unlock(struct spinlock *spinlock)
{
	__atomic_store_n(&spinlock->serving, spinlock->serving + 1, __ATOMIC_RELEASE);
}

/* ---- Blocks ---- */

static unsigned log2_of(size_t bytes)
{
	unsigned size = SMALLEST;

	while (size < SIZES - 1 && ((size_t)1 << size) < bytes)
		size++;
	return size;
}

/* With the lock held. */
static void *take(unsigned size)
{
	struct block *block = free_blocks[size];
	uint64_t bytes = 1ull << size, at = (unused + bytes - 1) & ~(bytes - 1);

	if (block) {
		free_blocks[size] = block->next;
		return block;
	}
	/* Small blocks come out of a page, so that they don't cost an alignment each. */
	if (bytes < PAGE_SIZE) {
		char *page = take(12);

		for (size_t i = bytes; page && i < PAGE_SIZE; i += bytes) {
			struct block *rest = (struct block *)(page + i);

			rest->next = free_blocks[size];
			free_blocks[size] = rest;
		}
		return page;
	}
	if (at + bytes > unused_end || at + bytes < at)
		return NULL;
	/* What the alignment leaves out is kept, page by page. */
	for (; unused < at; unused += PAGE_SIZE) {
		struct block *page = (struct block *)unused;

		if (unused & (PAGE_SIZE - 1)) {
			unused &= ~(uint64_t)(PAGE_SIZE - 1);
			continue;
		}
		page->next = free_blocks[12];
		free_blocks[12] = page;
	}
	unused = at + bytes;
	return (void *)at;
}

static void *allocate(size_t bytes)
{
	unsigned size = log2_of(bytes);
	void *block;

	spin_lock(&lock);
	block = take(size);
	spin_unlock(&lock);
	return block ? memset(block, 0, (size_t)1 << size) : NULL;
}

/* What is freed is made unusable, so that hardware which still looks at it shows itself. */
static void release(void *memory, size_t bytes)
{
	unsigned size = log2_of(bytes);
	struct block *block = memory;

	if (!memory)
		return;
	memset(memory, POISON, (size_t)1 << size);
	spin_lock(&lock);
	block->next = free_blocks[size];
	free_blocks[size] = block;
	spin_unlock(&lock);
}

void *pages_alloc(size_t bytes)
{
	return allocate(bytes < PAGE_SIZE ? PAGE_SIZE : bytes);
}

void pages_free(void *pages, size_t bytes)
{
	release(pages, bytes < PAGE_SIZE ? PAGE_SIZE : bytes);
}

void *heap_alloc(size_t bytes)
{
	return allocate(bytes);
}

void heap_free(void *memory, size_t bytes)
{
	release(memory, bytes);
}

/* ---- What the compiler may call ---- */

/* Keeps it from turning a loop below into a call of the function that it is in. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

void *memset(void *to, int value, size_t n)
{
	uint64_t word = 0x0101010101010101u * (unsigned char)value;
	char *t = to;

	if (((uintptr_t)to & 7) == 0)
		for (; n >= 8; n -= 8, t += 8) {
			*(uint64_t *)t = word;
			KEEP_LOOP();
		}
	for (; n; n--) {
		*t++ = (char)value;
		KEEP_LOOP();
	}
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	const char *f = from;
	char *t = to;

	if ((((uintptr_t)to | (uintptr_t)from) & 7) == 0)
		for (; n >= 8; n -= 8, t += 8, f += 8) {
			*(uint64_t *)t = *(const uint64_t *)f;
			KEEP_LOOP();
		}
	for (; n; n--) {
		*t++ = *f++;
		KEEP_LOOP();
	}
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	const char *f = from;
	char *t = to;

	if ((uintptr_t)to <= (uintptr_t)from || (uintptr_t)to >= (uintptr_t)from + n)
		return memcpy(to, from, n);
	while (n--) {
		t[n] = f[n];
		KEEP_LOOP();
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
