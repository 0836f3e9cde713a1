/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/types.h - what every public header of Hitless shares: integer types, error numbers, access rights.
 *
 * Functions return 0 (or a count that is not negative) or a negative errno with Linux's name and meaning.
 */
#ifndef HITLESS_TYPES_H
#define HITLESS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__STDC_HOSTED__) && __STDC_HOSTED__
#include <errno.h>
#else
/* A freestanding embedder has no errno.h; these are Linux's numbers. */
#define EPERM 1
#define ENOENT 2
#define EIO 5
#define E2BIG 7
#define EAGAIN 11
#define ENOMEM 12
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSPC 28
#define ERANGE 34
#define EOPNOTSUPP 95
#define ETIMEDOUT 110
#endif

#ifdef __cplusplus
#define HITLESS_BEGIN extern "C" {
#define HITLESS_END }
#else
#define HITLESS_BEGIN
#define HITLESS_END
#endif

/* Everything else in the libraries is built with hidden visibility. */
#define HITLESS_API __attribute__((visibility("default")))

/* Access rights of a mapping, and what a request asks for. */
#define IOMMU_READ 0x1u
#define IOMMU_WRITE 0x2u
#define IOMMU_EXEC 0x4u
#define IOMMU_PRIV 0x8u
/* Of a mapping, beside its rights: a device's registers, and not memory. */
#define IOMMU_MMIO 0x10u

/* The PASID argument of a request or an attachment that has none. */
#define IOMMU_NO_PASID 0xffffffffu

/* Pages that the library asks for, and the smallest page that it maps. */
#define HITLESS_PAGE_SIZE 4096u

#endif
