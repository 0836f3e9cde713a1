/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The <string.h> of the freestanding rooms: all that they may use of a libc, so that anything else does not compile.
 * As builtins, small copies stay inline in spite of -ffreestanding. Not installed; an embedder's own will do.
 */
#ifndef HITLESS_FREESTANDING_STRING_H
#define HITLESS_FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#define memcpy __builtin_memcpy
#define memset __builtin_memset

#endif
