/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi.h - what the firmware says. */
#ifndef ACPI_H
#define ACPI_H

#include <stdint.h>

/* The table of that name, or NULL; `rsdp` is the root of all tables. */
const uint8_t *acpi_find(uint64_t rsdp, const char *signature);
/* A number of `size` bytes, low byte first, wherever it lies. */
uint64_t bytes_le(const uint8_t *from, unsigned size);

#endif
