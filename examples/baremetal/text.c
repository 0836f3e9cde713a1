/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* text.c - printing, the command line, random numbers. */
#include "kernel.h"

#include <stdarg.h>

static void print_padded(const char *text, unsigned length, unsigned width, char pad)
{
	for (; width > length; width--)
		console_put(pad);
	while (length--)
		console_put(*text++);
}

static void print_number(uint64_t value, unsigned base, unsigned width, char pad)
{
	char digits[24];
	unsigned n = sizeof(digits);

	do {
		digits[--n] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	print_padded(&digits[n], sizeof(digits) - n, width, pad);
}

static unsigned length_of(const char *text)
{
	unsigned n = 0;

	while (text[n])
		n++;
	return n;
}

static void print_list(const char *format, va_list list)
{
	for (const char *f = format; *f; f++) {
		unsigned width = 0;
		char pad = ' ', text[2] = "";
		bool is_long = false;
		const char *word;

		if (*f == '\n')
			console_put('\r');
		if (*f != '%') {
			console_put(*f);
			continue;
		}
		f++;
		if (*f == '0')
			pad = '0';
		for (; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + (unsigned)(*f - '0');
		if (*f == 'l') {
			is_long = true;
			f++;
		}
		switch (*f) {
		case 'u':
		case 'x':
			print_number(is_long ? va_arg(list, uint64_t) : va_arg(list, unsigned), *f == 'u' ? 10 : 16, width, pad);
			break;
		case 's':
			word = va_arg(list, const char *);
			word = word ? word : "(none)";
			print_padded(word, length_of(word), width, pad);
			break;
		case 'c':
			text[0] = (char)va_arg(list, int);
			print_padded(text, 1, width, pad);
			break;
		default:
			console_put(*f);
		}
	}
}

void print(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	print_list(format, list);
	va_end(list);
}

void panic(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	print("panic: ");
	print_list(format, list);
	print("\n");
	va_end(list);
	machine_off();
}

void must(int err, const char *what)
{
	if (err < 0)
		panic("%s: error %u", what, (unsigned)-err);
}

bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* ---- The command line: words, some of them NAME=VALUE ---- */

const char *option_text(const char *name, char *value, const char *otherwise)
{
	const char *at = machine.command_line;

	while (*at) {
		const char *n = name;
		unsigned length = 0;

		while (*at == ' ')
			at++;
		while (*n && *n == *at) {
			n++;
			at++;
		}
		if (!*n && *at == '=') {
			for (at++; *at && *at != ' ' && length < TEXT_SIZE - 1; at++)
				value[length++] = *at;
			value[length] = '\0';
			return value;
		}
		while (*at && *at != ' ')
			at++;
	}
	return otherwise;
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	char text[TEXT_SIZE];
	const char *c = option_text(name, text, NULL);
	uint64_t value = 0;

	if (!c)
		return otherwise;
	for (; *c; c++) {
		if (*c < '0' || *c > '9')
			panic("%s=%s is not a number", name, text);
		value = value * 10 + (uint64_t)(*c - '0');
	}
	return value;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled". */
uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull >> 16;
}
