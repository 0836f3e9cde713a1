/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* string.h - there is no libc; these are in memory.c. */
#ifndef STRING_H
#define STRING_H

#include <stddef.h>

void *memset(void *to, int value, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
