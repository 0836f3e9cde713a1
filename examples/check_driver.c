/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * check_driver.c - a driver of somebody else, and how it is checked: docs/checking-your-driver.md.
 *
 * The driver replaces a VT-d legacy context entry. Its first version stores the two halves one after the other, its second one
 * both at once; both versions free the old page table in the end. A third one forgets a wait.
 */
#define HITLESS_RECORD
#include <hitless/check.h>
#include <hitless/record.h>

#include <stdio.h>
#include <string.h>

/* ---- The driver ---- */

struct driver {
	uint64_t entry[2];
	struct hitless_record *record;	/* NULL outside of tests */
	enum { TWO_STORES, ONE_STORE, NO_WAIT } version;
};

static void store64(struct driver *d, unsigned word, uint64_t value)
{
	d->entry[word] = value;
	HITLESS_RECORD_STORE(d->record, word, 64, value, 0);
}

static void store128(struct driver *d, uint64_t low, uint64_t high)
{
	/* on real hardware: cmpxchg16b */
	d->entry[0] = low;
	d->entry[1] = high;
	HITLESS_RECORD_STORE(d->record, 0, 128, low, high);
}

static void command(struct driver *d, uint64_t low, uint64_t high)
{
	/* ... into the ring */
	HITLESS_RECORD_COMMAND(d->record, low, high);
}

static void wait(struct driver *d, bool poll)
{
	/* ... a wait descriptor, the doorbell, and the status word */
	HITLESS_RECORD_WAIT(d->record, poll);
}

static void replace(struct driver *d, uint64_t table, uint64_t did, uint64_t rid)
{
	uint64_t old_table = d->entry[0] & ~0xfffull, old_did = d->entry[1] >> 8 & 0xffff;
	uint64_t low = table | 1, high = (d->entry[1] & 0xff) | did << 8;

	if (d->version == TWO_STORES) {
		store64(d, 1, high);
		store64(d, 0, low);
	} else {
		store128(d, low, high);
	}
	command(d, 0x31 | old_did << 16 | rid << 32, 0); /* context cache, device-selective */
	wait(d, false);
	command(d, 0xe2 | old_did << 16, 0); /* IOTLB, domain-selective, draining reads and writes */
	if (d->version != NO_WAIT)
		wait(d, true);
	HITLESS_RECORD_FREE(d->record, old_table);
}

/* ---- Its test ---- */

static bool is(int version, enum hitless_verdict verdict, enum hitless_violation violation)
{
	char text[2048] = "arch vtd-legacy\nquantum 128\ntags private\nclaims hitless\nbefore 0xa001 0x202\nafter 0xb001 0x302\nsteps\n";
	struct hitless_record record = { text, sizeof(text), strlen(text), false };
	struct driver d = { { 0xa001, 0x202 }, &record, version };
	struct hitless_report report;
	char error[200];
	bool as_expected;

	replace(&d, 0xb000, 3, 0x10);
	if (record.full || hitless_check_sequence(text, ~0u, &report, error, sizeof(error))) {
		fprintf(stderr, "%s\n%s\n", record.full ? "the record is too small" : error, text);
		return false;
	}
	printf("version %d: %s, %s %s\n", version, hitless_verdict_name(report.verdict), hitless_violation_name(report.violation),
	       report.detail);
	as_expected = report.verdict == verdict && report.violation == violation;
	hitless_report_free(&report);
	return as_expected;
}

int main(void)
{
	bool ok = is(TWO_STORES, HITLESS_VIOLATED, HITLESS_STALE_AFTER_RETURN);

	ok &= is(ONE_STORE, HITLESS_PROVED, HITLESS_NO_VIOLATION);
	ok &= is(NO_WAIT, HITLESS_VIOLATED, HITLESS_STALE_AFTER_RETURN);
	return ok ? 0 : 1;
}
