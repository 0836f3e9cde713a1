/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_explore_torn.c - does the explorer agree with a checker that knows nothing of caches, walks and queues?
 *
 * The sequences: every quantum that differs is stored, in ascending or descending order, each followed by the invalidation of the entry and a wait;
 * in the end the old translations are flushed. The checker: every mixture of two neighbouring states of the entry, quantum by
 * quantum, must mean the old or the new entry, by the bits that the hardware looks at. It applies where entries have
 * different tags, and where nothing is cached behind them that outlives a torn read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/check.h>
#include <hitless/riscv.h>

#include "entry.h"
#include "layout/riscv.h"
#include "tool/arch.h"
#include "tool/tool.h"

/* tool/arch.c wants it for what is wrong on a command line. */
_Noreturn void tool_fail(enum tool_exit status, const char *format, ...)
{
	(void)status;
	fprintf(stderr, "%s\n", format);
	fail();
	__builtin_unreachable();
}

/* How to forget the entry, and in the end every translation of the machine's devices. */
static const struct {
	const struct tool_arch *arch;
	const char *entry;
	unsigned quantum;
	const char *forget_entry, *forget_translations;
	uint64_t blind[IOMMU_ENTRY_WORDS];	/* bits that no address and no right depends on: the models have no memory attributes */
} machines[] = {
	{ &tool_vtd, "pasid", 16, "command 0x37 0\n", "command 0xd2 0\n", { 0 } },	/* PASID cache, IOTLB: global */
	{ &tool_vtd_legacy, "context", 8, "command 0x11 0\n", "command 0xd2 0\n", { 0 } },
	/* At 64 bits the explorer knows more: with and without a guest table, one DomainID is two tags (GN). */
	{ &tool_amdvi, "dte", 16, "command 0x2000000000000010 0\n", "command 0x8000000000000000 0\n", { 0 } },	/* INVALIDATE_IOMMU_ALL */
	{ &tool_smmuv3, "ste", 8, "command 0x1000000003 1\n", "command 0x30 0\n",	/* CFGI_STE; TLBI_NSNH_ALL */
	  { 0, 3ull << 44 | 1ull << 19 } },			/* SHCFG, MEV */
	{ &tool_smmuv3, "cd", 8, "command 0x1000003005 1\n", "command 0x30 0\n", { 0 } },
	{ &tool_riscv, "dc", 8, "command 0x100200000003 0\n", "command 1 0\ncommand 0x81 0\n", { 0 } },
	{ &tool_riscv, "pc", 8, "command 0x100200003083 0\n", "command 1 0\n", { 0 } },
};
#define MACHINES (sizeof(machines) / sizeof(machines[0]))

/* ---- The other checker ---- */

static const uint64_t *blind;

/* A process directory that is Bare is as good as none. */
static void plain(const struct entry_format *format, const uint64_t *entry, uint64_t *result)
{
	memcpy(result, entry, format->words * sizeof(*result));
	if (format == &riscv_dc && GET(RISCV_DC, PDTV, entry) && GET(RISCV_DC, FSC_MODE, entry) == RISCV_PDTP_BARE) {
		SET(RISCV_DC, PDTV, result, 0);
		SET(RISCV_DC, DPE, result, 0);
	}
}

static bool means(const struct entry_format *format, const uint64_t *first, const uint64_t *second)
{
	uint64_t entry[IOMMU_ENTRY_WORDS], like[IOMMU_ENTRY_WORDS];
	uint64_t used[IOMMU_ENTRY_WORDS] = { 0 }, used_like[IOMMU_ENTRY_WORDS] = { 0 };

	plain(format, first, entry);
	plain(format, second, like);
	iommu_entry_used(format, entry, used);
	iommu_entry_used(format, like, used_like);
	for (unsigned i = 0; i < format->words; i++)
		if ((used[i] ^ used_like[i]) & ~blind[i] || ((entry[i] ^ like[i]) & used[i] & ~blind[i]))
			return false;
	return true;
}

/* ... or what `like` means under a tag that nobody has. */
static bool means_or_unknown(const struct entry_format *format, const uint64_t *entry, const uint64_t *before, const uint64_t *after)
{
	uint32_t tag = format->tag(entry), old = format->tag(before), new = format->tag(after);

	if (means(format, entry, before) || means(format, entry, after))
		return true;
	if (tag == ENTRY_NO_TAG || tag == ENTRY_TAG_ELSEWHERE || tag == old || tag == new)
		return false;
	for (unsigned side = 0; side < 2; side++) {
		const uint64_t *like = side ? after : before;
		uint64_t renamed[IOMMU_ENTRY_WORDS];

		if (format->tag(like) == ENTRY_NO_TAG || format->tag(like) == ENTRY_TAG_ELSEWHERE)
			continue;
		memcpy(renamed, entry, sizeof(renamed));
		format->set_tag(renamed, format->tag(like));
		if (means(format, renamed, like))
			return true;
	}
	return false;
}

static bool torn_is_fine(const struct entry_format *format, unsigned per, const uint64_t *before, const uint64_t *after,
			 const unsigned *order, unsigned n)
{
	uint64_t now[IOMMU_ENTRY_WORDS], next[IOMMU_ENTRY_WORDS], mixed[IOMMU_ENTRY_WORDS];

	memcpy(now, before, sizeof(now));
	for (unsigned s = 0; s < n; s++) {
		memcpy(next, now, sizeof(next));
		memcpy(next + per * order[s], after + per * order[s], per * 8);
		for (unsigned mask = 0; mask < 1u << format->words / per; mask++) {
			for (unsigned q = 0; q < format->words / per; q++)
				memcpy(mixed + per * q, (mask >> q & 1 ? next : now) + per * q, per * 8);
			if (!means_or_unknown(format, mixed, before, after))
				return false;
		}
		memcpy(now, next, sizeof(now));
	}
	return true;
}

/* ---- Both ---- */

static int put_words(char *text, size_t size, const char *key, const uint64_t *words, unsigned n)
{
	int used = snprintf(text, size, "%s", key);

	for (unsigned i = 0; i < n; i++)
		used += snprintf(text + used, size - (size_t)used, " 0x%llx", (unsigned long long)words[i]);
	return used + snprintf(text + used, size - (size_t)used, "\n");
}

/* Tables under one tag, and what is cached behind an entry, are for the explorer alone to see. */
static bool applies(const struct entry_format *format, const uint64_t *before, const uint64_t *after)
{
	if (format->behind_mixes && format->behind_mixes(0, before, after))
		return false;
	return format->tag(before) != format->tag(after) || format->tag(before) == ENTRY_NO_TAG;
}

static void compare(unsigned m, const struct tool_config *from, const struct tool_config *to, const struct entry_format *format,
		    bool descending, unsigned *agreed, unsigned *safe)
{
	unsigned per = machines[m].quantum / 8, order[IOMMU_ENTRY_WORDS], n = 0;
	struct hitless_report report;
	char text[4000], error[200];
	bool fine;
	int used;

	for (unsigned i = 0; i < format->words / per; i++) {
		unsigned q = descending ? format->words / per - 1 - i : i;

		if (memcmp(from->words + q * per, to->words + q * per, per * 8) != 0)
			order[n++] = q;
	}
	if (descending && n < 2)
		return;
	used = snprintf(text, sizeof(text), "arch %s\nentry %s\nquantum %u\nclaims hitless\n", machines[m].arch->name, machines[m].entry,
			machines[m].quantum * 8);
	used += put_words(text + used, sizeof(text) - (size_t)used, "before", from->words, format->words);
	used += put_words(text + used, sizeof(text) - (size_t)used, "after", to->words, format->words);
	used += snprintf(text + used, sizeof(text) - (size_t)used, "steps\n");
	for (unsigned s = 0; s < n; s++) {
		char key[32];

		snprintf(key, sizeof(key), "store%u %u", machines[m].quantum * 8, order[s] * per);
		used += put_words(text + used, sizeof(text) - (size_t)used, key, to->words + order[s] * per, per);
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%swait\n", machines[m].forget_entry);
	}
	snprintf(text + used, sizeof(text) - (size_t)used, "%swait\n", machines[m].forget_translations);
	if (hitless_check_sequence(text, ~0u, &report, error, sizeof(error)))
		fail_msg("%s\n%s", error, text);
	blind = machines[m].blind;
	fine = torn_is_fine(format, per, from->words, to->words, order, n);
	if (report.verdict == HITLESS_BOUNDED || (report.verdict == HITLESS_PROVED) != fine)
		fail_msg("%s %s, %s -> %s, %s: the explorer says %s (%s), the other one %s", machines[m].arch->name, machines[m].entry,
			 from->name, to->name, descending ? "descending" : "ascending", hitless_verdict_name(report.verdict),
			 report.detail, fine ? "safe" : "torn");
	++*agreed;
	*safe += fine;
	hitless_report_free(&report);
}

static bool blocks(const char *name)
{
	return strcmp(name, "invalid") == 0 || strcmp(name, "blocked") == 0 || strncmp(name, "disabled", 8) == 0;
}

static void test_torn(void **state)
{
	(void)state;
	for (unsigned m = 0; m < MACHINES; m++) {
		unsigned agreed = 0, safe = 0;

		for (unsigned e = 0; e < machines[m].arch->nentries; e++) {
			const struct tool_entry *entry = &machines[m].arch->entries[e];

			for (unsigned i = 0; strcmp(entry->name, machines[m].entry) == 0 && i < entry->nconfigs; i++)
				for (unsigned k = 0; k < entry->nconfigs; k++) {
					struct tool_config from = { 0 }, to = { 0 };

					entry->config(i, &from);
					entry->config(k, &to);
					/* What blocks is no worse off with a mixture that faults. */
					if (i == k || blocks(from.name) || blocks(to.name))
						continue;
					if (entry->complete) {
						entry->complete(from.words);
						entry->complete(to.words);
					}
					if (!applies(entry->format, from.words, to.words))
						continue;
					compare(m, &from, &to, entry->format, false, &agreed, &safe);
					compare(m, &from, &to, entry->format, true, &agreed, &safe);
				}
		}
		printf("%s %s, %u bits: %u sequences, %u of them safe\n", machines[m].arch->name, machines[m].entry,
		       machines[m].quantum * 8, agreed, safe);
		assert_true(agreed >= 8 && agreed > safe);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
