/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fdt.c - reads a flattened device tree (Devicetree Specification, chapter 5): a list of tokens, all big-endian words. A node's
 * handle is where its first token is. Addresses and sizes are taken to have two cells, as they have in QEMU's `virt` machines.
 */
#include "kernel.h"

enum { TOKEN_BEGIN = 1, TOKEN_END = 2, TOKEN_PROPERTY = 3, TOKEN_NOP = 4 };


static const uint8_t *tree, *strings;
static uint32_t structure;

static uint32_t word_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void fdt_init(uint64_t blob)
{
	tree = (const uint8_t *)blob;
	if (word_at(tree) != 0xd00dfeed)
		panic("no device tree");
	structure = word_at(tree + 8);
	strings = tree + word_at(tree + 12);
}

static unsigned length_of(const char *text)
{
	unsigned n = 0;

	while (text[n])
		n++;
	return n;
}

/* The token behind this one; 0 at the end. */
static uint32_t next(uint32_t at)
{
	switch (word_at(tree + at)) {
	case TOKEN_BEGIN:
		return (at + 4 + length_of((const char *)tree + at + 4) + 1 + 3) & ~3u;
	case TOKEN_PROPERTY:
		return (at + 12 + word_at(tree + at + 4) + 3) & ~3u;
	case TOKEN_END:
	case TOKEN_NOP:
		return at + 4;
	default:
		return 0;
	}
}

const uint8_t *fdt_property(uint32_t node, const char *name, unsigned *bytes)
{
	uint32_t at = node ? next(node) : 0;

	/* A node's properties come before its children. */
	for (; at && (word_at(tree + at) == TOKEN_PROPERTY || word_at(tree + at) == TOKEN_NOP); at = next(at))
		if (word_at(tree + at) == TOKEN_PROPERTY && text_equal((const char *)strings + word_at(tree + at + 8), name)) {
			*bytes = word_at(tree + at + 4);
			return tree + at + 12;
		}
	return NULL;
}

uint32_t fdt_cell(uint32_t node, const char *name, unsigned n)
{
	unsigned bytes;
	const uint8_t *value = fdt_property(node, name, &bytes);

	return value && n * 4 + 4 <= bytes ? word_at(value + n * 4) : 0;
}

uint64_t fdt_cells(uint32_t node, const char *name, unsigned n)
{
	return (uint64_t)fdt_cell(node, name, n) << 32 | fdt_cell(node, name, n + 1);
}

/* `compatible` is a list of texts. */
static bool is_compatible(uint32_t node, const char *compatible)
{
	unsigned bytes, n = 0;
	const uint8_t *value = fdt_property(node, "compatible", &bytes);

	while (value && n < bytes) {
		if (text_equal((const char *)value + n, compatible))
			return true;
		n += length_of((const char *)value + n) + 1;
	}
	return false;
}

uint32_t fdt_compatible(const char *compatible)
{
	for (uint32_t at = structure; at; at = next(at))
		if (word_at(tree + at) == TOKEN_BEGIN && is_compatible(at, compatible))
			return at;
	return 0;
}

uint32_t fdt_node(const char *name)
{
	unsigned depth = 0, length = length_of(name);

	for (uint32_t at = structure; at; at = next(at)) {
		const char *its = (const char *)tree + at + 4;
		unsigned same = 0;

		if (word_at(tree + at) == TOKEN_END)
			depth--;
		if (word_at(tree + at) != TOKEN_BEGIN)
			continue;
		while (same < length && its[same] == name[same])
			same++;
		/* "memory@80000000" is a "memory". */
		if (depth++ == 1 && same == length && (its[same] == '\0' || its[same] == '@'))
			return at;
	}
	return 0;
}

/* ---- What both machines with a device tree ask it ---- */

void fdt_machine(uint64_t blob, uint64_t image_end)
{
	uint32_t memory, pci, chosen;
	unsigned bytes;
	const uint8_t *line;

	fdt_init(blob);
	memory = fdt_node("memory");
	machine.ram = image_end;
	machine.ram_end = fdt_cells(memory, "reg", 0) + fdt_cells(memory, "reg", 2);
	/* The tree lies somewhere in the memory: what is behind it is not used. */
	if (blob >= image_end && blob < machine.ram_end)
		machine.ram_end = blob & ~(uint64_t)(PAGE_SIZE - 1);
	chosen = fdt_node("chosen");
	line = fdt_property(chosen, "bootargs", &bytes);
	for (unsigned i = 0; line && i < bytes && i < TEXT_SIZE - 1; i++)
		machine.command_line[i] = (char)line[i];

	pci = fdt_compatible("pci-host-ecam-generic");
	if (!memory || !pci)
		panic("no memory, or no PCI");
	machine.ecam = fdt_cells(pci, "reg", 0);
	/* "ranges": PCI address (3 cells, the first says what kind: 2 in bits 25:24 is 32-bit memory), CPU address, size. */
	for (unsigned i = 0; fdt_cells(pci, "ranges", i + 5); i += 7)
		if ((fdt_cell(pci, "ranges", i) >> 24 & 3) == 2) {
			machine.window = fdt_cells(pci, "ranges", i + 3);
			machine.window_end = machine.window + fdt_cells(pci, "ranges", i + 5);
		}
}

/* "iommu-map": requester ids from cell 0 on, cell 3 of them, are the unit's ids from cell 2 on. */
uint32_t fdt_iommu_id(uint32_t rid)
{
	uint32_t pci = fdt_compatible("pci-host-ecam-generic");

	for (unsigned i = 0; fdt_cell(pci, "iommu-map", i + 3); i += 4) {
		uint32_t first = fdt_cell(pci, "iommu-map", i), count = fdt_cell(pci, "iommu-map", i + 3);

		if (rid >= first && rid - first < count)
			return fdt_cell(pci, "iommu-map", i + 2) + (rid - first);
	}
	panic("no IOMMU is in front of device 0x%x", rid);
}
