/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * hitless/record.h - five macros to put into a driver of your own: what it does to a live entry, written down for
 * hitless_check_sequence() (docs/checking-your-driver.md). No libc is needed; without HITLESS_RECORD they are nothing.
 */
#ifndef HITLESS_RECORD_H
#define HITLESS_RECORD_H

#ifdef HITLESS_ROOM_MODEL
#error "a model never sees the driver's side (DESIGN.md, rooms)"
#endif

#include <hitless/types.h>

/* The record: text in the format of docs/sequence.md. The driver's test fills in `text`, `size` and the header. */
struct hitless_record {
	char *text;
	size_t size;
	size_t used;
	bool full;		/* something is missing */
};

static inline void hitless_record_text(struct hitless_record *record, const char *text)
{
	for (; *text; text++) {
		if (record->used + 1 >= record->size) {
			record->full = true;
			return;
		}
		record->text[record->used++] = *text;
		record->text[record->used] = '\0';
	}
}

static inline void hitless_record_number(struct hitless_record *record, uint64_t value)
{
	char digits[20] = " 0x";
	unsigned n = 3;
	unsigned shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		digits[n++] = "0123456789abcdef"[value >> shift & 15];
		if (!shift)
			break;
	}
	digits[n] = '\0';
	hitless_record_text(record, digits);
}

/* One line: what, and up to three numbers. */
static inline void hitless_record_line(struct hitless_record *record, const char *what, unsigned count, uint64_t a, uint64_t b,
				       uint64_t c)
{
	if (!record)
		return;
	hitless_record_text(record, what);
	if (count > 0)
		hitless_record_number(record, a);
	if (count > 1)
		hitless_record_number(record, b);
	if (count > 2)
		hitless_record_number(record, c);
	hitless_record_text(record, "\n");
}

#ifdef HITLESS_RECORD
/* A store of 64 or 128 bits to word `word` (of 64 bits) of the entry, at once. */
#define HITLESS_RECORD_STORE(record, word, bits, low, high) \
	hitless_record_line(record, (bits) == 128 ? "store128" : "store64", (bits) == 128 ? 3 : 2, word, low, high)
/* Earlier stores before later ones. */
#define HITLESS_RECORD_BARRIER(record) hitless_record_line(record, "barrier", 0, 0, 0, 0)
/* A command into the unit's queue. */
#define HITLESS_RECORD_COMMAND(record, low, high) hitless_record_line(record, "command", 2, low, high, 0)
/* `poll`: the CPU waits until all commands are done; else they are only done before later ones begin. */
#define HITLESS_RECORD_WAIT(record, poll) hitless_record_line(record, (poll) ? "wait" : "fence", 0, 0, 0, 0)
/* A page of tables goes back to the allocator. */
#define HITLESS_RECORD_FREE(record, page) hitless_record_line(record, "free", 1, page, 0, 0)
#else
#define HITLESS_RECORD_STORE(record, word, bits, low, high) ((void)0)
#define HITLESS_RECORD_BARRIER(record) ((void)0)
#define HITLESS_RECORD_COMMAND(record, low, high) ((void)0)
#define HITLESS_RECORD_WAIT(record, poll) ((void)0)
#define HITLESS_RECORD_FREE(record, page) ((void)0)
#endif

#endif
