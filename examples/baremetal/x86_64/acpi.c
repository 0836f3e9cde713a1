/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi.c - finds an ACPI table. (ACPI specification, 5.2.) */
#include "acpi.h"

#include <stddef.h>

uint64_t bytes_le(const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | from[size];
	return value;
}

static const uint8_t *find_in(uint64_t root, unsigned pointer_size, const char *signature)
{
	const uint8_t *table = (const uint8_t *)root;
	uint64_t length = bytes_le(table + 4, 4);

	/* A header of 36 bytes, then pointers. */
	for (uint64_t at = 36; at + pointer_size <= length; at += pointer_size) {
		const uint8_t *found = (const uint8_t *)bytes_le(table + at, pointer_size);
		unsigned same = 0;

		while (same < 4 && found[same] == (uint8_t)signature[same])
			same++;
		if (same == 4)
			return found;
	}
	return NULL;
}

const uint8_t *acpi_find(uint64_t rsdp, const char *signature)
{
	const uint8_t *root = (const uint8_t *)rsdp;
	uint64_t xsdt;

	if (!root)
		return NULL;
	/* Revision 2 and later have a root with 64-bit pointers. */
	xsdt = root[15] >= 2 ? bytes_le(root + 24, 8) : 0;
	return xsdt ? find_in(xsdt, 8, signature) : find_in(bytes_le(root + 16, 4), 4, signature);
}
