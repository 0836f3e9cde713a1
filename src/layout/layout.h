/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * layout.h - how a hardware structure is described once, and what is derived from the description.
 *
 * A structure is an X-macro, a list of
 *	f(s, NAME, bit, width, when, section, values)
 * s is the structure's prefix; `bit` counts from bit 0 of the structure; `width` is in bits; a field may lie across 64-bit words.
 * `when` says in which of the structure's modes the hardware looks at the field: a mask of bits 1 << mode, or ALWAYS.
 * `values` is "" or "1=second-stage|2=...", for printing.
 *
 * LAYOUT_FIELDS(S, LIST) makes the constants S_NAME_LSB, S_NAME_WIDTH, S_NAME_WHEN. GET and SET then read and write a
 * field of an array of 64-bit words. LAYOUT_USED(LIST) is the statement that gathers the used-bits mask, LAYOUT_TABLE(LIST)
 * the table that `hitless decode` prints from. Bits that no field names are reserved.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include <hitless/types.h>

#define ALWAYS 0xffffffffu

struct layout_field {
	const char *name;
	uint16_t lsb;
	uint16_t width;
	uint32_t when;
	const char *section;
	const char *values;
};

/* One structure, command, event or register, as the printer sees it. */
struct layout {
	const char *name;		/* as `hitless decode` takes it */
	const char *kind;		/* "entry", "page-table entry", "command", "event", "register" */
	unsigned words;			/* 64-bit words; a 32-bit register has 1 */
	unsigned bits;			/* of the whole */
	const struct layout_field *fields;
	unsigned nfields;
	unsigned (*mode)(const uint64_t *words);	/* NULL: there is only one */
	const char *const *modes;	/* their names, NULL behind the last */
	uint32_t offset;		/* registers: from the unit's base */
};

static inline uint64_t layout_mask(unsigned width)
{
	return width >= 64 ? ~0ull : (1ull << width) - 1;
}

static inline uint64_t layout_get(const uint64_t *words, unsigned lsb, unsigned width)
{
	unsigned shift = lsb % 64;
	uint64_t value = words[lsb / 64] >> shift;

	if (shift + width > 64)
		value |= words[lsb / 64 + 1] << (64 - shift);
	return value & layout_mask(width);
}

static inline void layout_set(uint64_t *words, unsigned lsb, unsigned width, uint64_t value)
{
	unsigned shift = lsb % 64;
	uint64_t mask = layout_mask(width);

	value &= mask;
	words[lsb / 64] = (words[lsb / 64] & ~(mask << shift)) | value << shift;
	if (shift + width > 64)
		words[lsb / 64 + 1] = (words[lsb / 64 + 1] & ~(mask >> (64 - shift))) | value >> (64 - shift);
}

#define LAYOUT_CONSTANTS(S, name, lsb, width, when, section, values) \
	S##_##name##_LSB = (lsb), S##_##name##_WIDTH = (width),
#define LAYOUT_FIELDS(S, LIST) enum { LIST(S, LAYOUT_CONSTANTS) S##_FIELDS_END }

/* The value of a field; the same with the value's place in its word; a whole word's mask for a field that lies in one word. */
#define GET(S, name, words) layout_get(words, S##_##name##_LSB, S##_##name##_WIDTH)
#define SET(S, name, words, value) layout_set(words, S##_##name##_LSB, S##_##name##_WIDTH, value)
#define BITS(S, name) (layout_mask(S##_##name##_WIDTH) << (S##_##name##_LSB % 64))
/* A field whose value is an address: its bits stay where they are in the address. */
#define GET_ADDR(S, name, words) ((words)[S##_##name##_LSB / 64] & BITS(S, name))
#define SET_ADDR(S, name, words, addr) \
	((words)[S##_##name##_LSB / 64] = ((words)[S##_##name##_LSB / 64] & ~BITS(S, name)) | ((addr) & BITS(S, name)))

/* Within a function that has uint32_t mode_bit and uint64_t *used. */
#define LAYOUT_USE(S, name, lsb, width, when, section, values) \
	if ((uint32_t)(when) & mode_bit) \
		layout_set(used, lsb, width, ~0ull);
/* Every bit that some field names. Within a function that has uint64_t *used. */
#define LAYOUT_NAME_BITS(S, name, lsb, width, when, section, values) layout_set(used, lsb, width, ~0ull);

#define LAYOUT_ROW(S, name, lsb, width, when, section, values) { #name, lsb, width, (uint32_t)(when), section, values },
#define LAYOUT_TABLE(S, LIST) { LIST(S, LAYOUT_ROW) }

#endif
