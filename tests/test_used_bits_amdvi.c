/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_used_bits_amdvi.c - does AMD's hardware look at just the bits of a DTE that the layout says it looks at?
 *
 * As test_used_bits.c does it: every bit of every kind of entry is flipped, and the model is asked a few hundred questions. If any
 * answer changes, the hardware looks at the bit; and that must be what the layout says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include "layout/amdvi.h"

/* ---- A small world: RAM with a table of each kind ---- */

#define RAM (1u << 18)
#define DEVTAB 0x1000u
#define COMMANDS 0x3000u
#define EVENTS 0x4000u
#define GCR3_TABLE 0x5000u
#define DONE 0x6000u
#define HOST_ROOT 0x10000u
#define GUEST_ROOT 0x18000u
#define DOMAIN 0x0007u
#define RID 0x0008u
#define EXCLUDED 0x3000u

static _Alignas(4096) char ram[RAM], pristine[RAM];

static uint64_t *word(uint64_t addr)
{
	return (uint64_t *)(ram + addr);
}

static bool read64(void *ctx, uint64_t addr, uint64_t *value)
{
	(void)ctx;
	if (addr % 8 || addr > RAM - 8)
		return false;
	*value = *word(addr);
	return true;
}

static bool read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	(void)ctx;
	if (addr % 16 || addr > RAM - 16)
		return false;
	memcpy(value, word(addr), 16);
	return true;
}

static bool write32(void *ctx, uint64_t addr, uint32_t value)
{
	(void)ctx;
	if (addr % 4 || addr > RAM - 4)
		return false;
	memcpy(ram + addr, &value, 4);
	return true;
}

static bool write64(void *ctx, uint64_t addr, uint64_t value)
{
	(void)ctx;
	if (addr % 8 || addr > RAM - 8)
		return false;
	*word(addr) = value;
	return true;
}

static bool cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	uint64_t found = 0;

	if (!read64(ctx, addr, &found) || found != *expected) {
		*expected = found;
		return false;
	}
	*word(addr) = value;
	return true;
}

static const struct iommu_model_port port = {
	.read64 = read64, .read128 = read128, .write32 = write32, .write64 = write64, .cas64 = cas64,
};

/* No two of them are a bit apart: a root that is off by a bit would lead to a lower table, and levels may be left out (2.2.3). */
static const uint64_t host_tables[] = { HOST_ROOT, 0x13000, 0x15000, 0x16000 };
#define HOST_LEAVES 0x16000u
#define HOST_ENTRY (1ull | 3ull << 61)	/* present, readable, writable */

/* Host tables map the first pages 1:1, a few of them with fewer rights; guest tables map a few pages elsewhere. */
static void build_tables(void)
{
	memset(ram, 0, sizeof(ram));
	for (unsigned level = 0; level < 3; level++) {
		*word(host_tables[level]) = host_tables[level + 1] | HOST_ENTRY | (uint64_t)(3 - level) << 9;
		*word(GUEST_ROOT + level * 0x1000) = (GUEST_ROOT + (level + 1) * 0x1000) | 7;
	}
	for (unsigned page = 0; page < 64; page++)
		*word(HOST_LEAVES + page * 8) = page * 0x1000u | HOST_ENTRY;
	*word(HOST_LEAVES + EXCLUDED / 0x1000 * 8) = EXCLUDED | 1 | 1ull << 61;	/* read-only */
	*word(HOST_LEAVES + 5 * 8) = 0x5000 | 1 | 1ull << 61;	/* the GCR3 table's page, too */
	*word(HOST_LEAVES + 6 * 8) = 0;
	*word(GUEST_ROOT + 0x3000 + 0 * 8) = 0x20000 | 7;
	*word(GUEST_ROOT + 0x3000 + 1 * 8) = 0x21000 | 5;	/* read-only, user */
	*word(GUEST_ROOT + 0x3000 + 2 * 8) = 0x22000 | 3;	/* supervisor */
	*word(GUEST_ROOT + 0x3000 + 4 * 8) = 0x05000 | 7;
	*word(GUEST_ROOT + 0x3000 + 5 * 8) = 0x23000 | 1;	/* read-only, supervisor */
	*word(GUEST_ROOT + 0x3000 + 6 * 8) = (1ull << 39 | 0x4000) | 7;	/* the host's first level counts */
	*word(HOST_ROOT + 8) = *word(HOST_ROOT);
	*word(GCR3_TABLE) = GUEST_ROOT | 1;
}

/* ---- The unit over it ---- */

static struct iommu_model model;
static void *state;

static void settle(void)
{
	while (iommu_model_tick(&model))
		;
}

static void write_register(unsigned reg, uint64_t value)
{
	iommu_model_write(&model, reg, 8, value);
	settle();
}

static void power_on(unsigned freedoms)
{
	const struct iommu_model_config config = {
		.freedoms = freedoms, .quantum = 16, .lanes = 1, .entry_lines = 1, .pasid_lines = 1, .walk_lines = 1,
		.iotlb_lines = 4, .devtlb_lines = 1,
	};
	size_t bytes = iommu_model_size(&amdvi_model, &config);

	free(state);
	state = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_int_equal(iommu_model_init(&model, &amdvi_model, &config, &port, state), 0);
	write_register(AMDVI_REG_DEVTAB, DEVTAB);
	write_register(AMDVI_REG_CMD_BASE, COMMANDS | 8ull << 56);
	write_register(AMDVI_REG_EVENT_BASE, EVENTS | 8ull << 56);
	write_register(AMDVI_REG_EXCLUSION_BASE, EXCLUDED | BITS(AMDVI_EXCLUSION_BASE, EX_EN));
	write_register(AMDVI_REG_EXCLUSION_LIMIT, EXCLUDED);
	write_register(AMDVI_REG_CONTROL, BITS(AMDVI_CONTROL, IOMMU_EN) | BITS(AMDVI_CONTROL, EVENT_LOG_EN) |
						  BITS(AMDVI_CONTROL, CMD_BUF_EN) | BITS(AMDVI_CONTROL, GT_EN));
}

/* ---- Questions and answers ---- */

static const uint64_t addresses[] = {
	0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 1ull << 39, 1ull << 47, 1ull << 48, 0xffff800000000000ull,
};

#define NADDRESSES (sizeof(addresses) / sizeof(addresses[0]))
#define NQUESTIONS (NADDRESSES * 4 * 3 * 2)

struct answers {
	struct {
		uint32_t state, reason, rights, recorded;
		uint64_t phys, event[2];
	} each[NQUESTIONS];
	char memory[RAM];
	uint64_t after_flush[2];	/* where a page is once its tag was flushed and its entry changed */
};

/* Takes the last event out of the log: all of it but for its address is an answer. */
static uint32_t recorded(uint64_t event[2])
{
	uint64_t tail = iommu_model_read(&model, AMDVI_REG_EVENT_TAIL, 8), head = iommu_model_read(&model, AMDVI_REG_EVENT_HEAD, 8);

	if (head == tail)
		return 0;
	memcpy(event, word(EVENTS + head), 16);
	memset(word(EVENTS + head), 0, 16);
	write_register(AMDVI_REG_EVENT_HEAD, tail);
	return 1;
}

static void ask(struct answers *answers)
{
	unsigned n = 0;

	memset(answers, 0, sizeof(*answers));
	/* Nothing is cached: every question meets the entry itself. */
	power_on(0);
	for (unsigned a = 0; a < NADDRESSES; a++)
		for (unsigned access = 0; access < 4; access++)
			for (unsigned kind = 0; kind < 3; kind++)
				for (unsigned pasid = 0; pasid < 2; pasid++, n++) {
					struct iommu_request request = {
						.rid = RID,
						.pasid = pasid ? 0 : IOMMU_NO_PASID,
						.addr = addresses[a],
						.access = (uint8_t)((access & 1 ? IOMMU_WRITE : IOMMU_READ) |
								    (access & 2 ? IOMMU_PRIV : 0)),
						.kind = (uint8_t)kind,
					};

					iommu_model_translate(&model, &request);
					iommu_model_end(&model, &request);
					answers->each[n].state = request.state;
					answers->each[n].recorded = recorded(answers->each[n].event);
					if (request.state == IOMMU_REQUEST_DONE) {
						answers->each[n].phys = request.phys;
						answers->each[n].rights = request.rights;
					} else {
						answers->each[n].reason = request.reason;
					}
				}
	/* Accessed and dirty flags. */
	memcpy(answers->memory, ram, RAM);
}

/* Under which tag is it cached? Fill, change the page's entry, flush one tag, look again. */
static uint64_t ask_tag(uint64_t leaf, bool guest)
{
	struct iommu_request request = { .rid = RID, .pasid = IOMMU_NO_PASID, .access = IOMMU_READ };
	uint64_t flush[2] = { 0 };

	power_on(IOMMU_FREE_BIT(IOMMU_FREE_KEEP));
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	*word(leaf) ^= 0x10000;
	SET(AMDVI_CMD_PAGES, OPCODE, flush, AMDVI_CMD_PAGES);
	SET(AMDVI_CMD_PAGES, DOMAIN_ID, flush, DOMAIN);
	SET(AMDVI_CMD_PAGES, GN, flush, guest);
	SET(AMDVI_CMD_PAGES, PDE, flush, 1);
	SET(AMDVI_CMD_PAGES, S, flush, 1);
	SET_ADDR(AMDVI_CMD_PAGES, ADDR, flush, AMDVI_ALL_ADDRESSES);
	memcpy(word(COMMANDS), flush, sizeof(flush));
	memset(flush, 0, sizeof(flush));
	SET(AMDVI_CMD_WAIT, OPCODE, flush, AMDVI_CMD_WAIT);
	SET(AMDVI_CMD_WAIT, S, flush, 1);
	SET_ADDR(AMDVI_CMD_WAIT, STORE_ADDR, flush, DONE);
	SET(AMDVI_CMD_WAIT, STORE_DATA, flush, 1);
	memcpy(word(COMMANDS + 16), flush, sizeof(flush));
	write_register(AMDVI_REG_CMD_TAIL, 32);
	request = (struct iommu_request){ .rid = RID, .pasid = IOMMU_NO_PASID, .access = IOMMU_READ };
	iommu_model_translate(&model, &request);
	iommu_model_end(&model, &request);
	return request.state == IOMMU_REQUEST_DONE ? request.phys : UINT64_MAX;
}

/* ---- Flipping ---- */

struct kind {
	const char *name;
	uint64_t entry[4];
};

static void place(const uint64_t *entry)
{
	memcpy(ram, pristine, RAM);
	memcpy(word(DEVTAB + RID * 32), entry, 32);
}

static void ask_all(const uint64_t *entry, struct answers *answers)
{
	place(entry);
	ask(answers);
	place(entry);
	answers->after_flush[0] = ask_tag(HOST_LEAVES, false);
	place(entry);
	answers->after_flush[1] = ask_tag(GUEST_ROOT + 0x3000, true);
}

/* Same answers? The entry itself differs in memory, of course. */
static bool same(struct answers *a, struct answers *b)
{
	memset(a->memory + DEVTAB + RID * 32, 0, 32);
	memset(b->memory + DEVTAB + RID * 32, 0, 32);
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool in_field(unsigned bit, unsigned lsb, unsigned width)
{
	return bit >= lsb && bit < lsb + width;
}

#define IN(bit, field) in_field(bit, AMDVI_DTE_##field##_LSB, AMDVI_DTE_##field##_WIDTH)

/*
 * Bits that the hardware may look at and no answer shows: all about interrupts; port I/O and system management, which are no
 * memory requests; snooping and the hint to cache, which change no answer; how often the same fault is logged; page requests, which
 * this unit lacks; the tag of an identity, which has no table, so nothing that could be stale, and the exclusion range of what
 * passes anyway.
 */
static bool is_invisible(const struct kind *kind, unsigned bit)
{
	if (bit >= 128)
		return !IN(bit, GUEST_PAGING_MODE);
	if (amdvi_dte_mode(kind->entry) == AMDVI_DTE_MODE_IDENTITY && IN(bit, DOMAIN_ID))
		return true;
	/* Requests without PASID pass untranslated. */
	if (GET(AMDVI_DTE, TV, kind->entry) && !GET(AMDVI_DTE, MODE, kind->entry) && !GET(AMDVI_DTE, GIOV, kind->entry) && IN(bit, EX))
		return true;
	return IN(bit, SE) || IN(bit, IOCTL) || IN(bit, SYSMGT) || IN(bit, CACHE) || IN(bit, SD) || IN(bit, PPR) || IN(bit, GPRP);
}

static void check_kind(const struct kind *kind)
{
	static struct answers before, after;
	uint64_t used[4] = { 0 };
	unsigned wrong = 0;

	iommu_entry_used(&amdvi_dte, kind->entry, used);
	ask_all(kind->entry, &before);
	for (unsigned bit = 0; bit < 256; bit++) {
		uint64_t entry[4];
		bool looked_at, said = used[bit / 64] >> bit % 64 & 1;

		memcpy(entry, kind->entry, sizeof(entry));
		entry[bit / 64] ^= 1ull << bit % 64;
		ask_all(entry, &after);
		looked_at = !same(&before, &after);
		if (said == looked_at || (said && is_invisible(kind, bit)))
			continue;
		/* A bit that is reserved in a valid entry is looked at, in order to reject it; the planner never sets it. */
		if (looked_at && !said) {
			bool rejected = true;

			for (unsigned n = 0; n < NQUESTIONS; n++)
				rejected &= after.each[n].state == IOMMU_REQUEST_FAULT ||
					    memcmp(&after.each[n], &before.each[n], sizeof(after.each[n])) == 0;
			if (rejected)
				continue;
		}
		print_error("%s, bit %u: the layout says %s, the hardware %s\n", kind->name, bit, said ? "used" : "ignored",
			    looked_at ? "looks" : "doesn't look");
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static struct kind make_kind(const char *name, bool host, bool guest, bool giov)
{
	struct kind kind = { .name = name };
	uint64_t *entry = kind.entry;

	SET(AMDVI_DTE, V, entry, 1);
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, I, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, DOMAIN);
	if (host) {
		SET(AMDVI_DTE, MODE, entry, 4);
		SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, entry, HOST_ROOT);
	}
	if (guest) {
		SET(AMDVI_DTE, GV, entry, 1);
		SET(AMDVI_DTE, GIOV, entry, giov);
		amdvi_dte_set_gcr3(entry, GCR3_TABLE);
	}
	return kind;
}

static void test_kinds(void **unused)
{
	struct kind kind;

	(void)unused;
	kind = make_kind("DTE, identity", false, false, false);
	check_kind(&kind);
	kind = make_kind("DTE, host tables", true, false, false);
	check_kind(&kind);
	kind = make_kind("DTE, guest tables", false, true, true);
	check_kind(&kind);
	kind = make_kind("DTE, guest tables for PASIDs only", false, true, false);
	check_kind(&kind);
	kind = make_kind("DTE, nested", true, true, true);
	check_kind(&kind);
	kind = (struct kind){ .name = "DTE, blocked", .entry = { 1 } };
	check_kind(&kind);
	kind = (struct kind){ .name = "DTE, not valid" };
	check_kind(&kind);
}

/* Full of what is ignored: still blocked, and not a bit of it shows. */
static void test_a_blocked_entry_may_hold_anything(void **unused)
{
	static struct answers before, after;
	struct kind full = make_kind("", true, true, true);

	(void)unused;
	SET(AMDVI_DTE, TV, full.entry, 0);
	SET(AMDVI_DTE, I, full.entry, 0);
	ask_all((const uint64_t[4]){ 1 }, &before);
	ask_all(full.entry, &after);
	assert_true(same(&before, &after));
	for (unsigned n = 0; n < NQUESTIONS; n++)
		assert_int_equal(after.each[n].state, IOMMU_REQUEST_FAULT);
}

/* The questions are good enough: some requests pass and some don't. */
static void test_the_questions_tell_entries_apart(void **unused)
{
	static struct answers before, after;
	struct kind kind = make_kind("", true, true, true);
	unsigned done = 0;

	(void)unused;
	ask_all(kind.entry, &before);
	ask_all(kind.entry, &after);
	assert_true(same(&before, &after));
	for (unsigned n = 0; n < NQUESTIONS; n++)
		done += before.each[n].state == IOMMU_REQUEST_DONE;
	assert_in_range(done, 20, NQUESTIONS - 20);
	/* V=0 lets everything through that was not translated before. */
	ask_all((const uint64_t[4]){ 0 }, &after);
	for (unsigned n = 0; n < NQUESTIONS; n++)
		if (n / 2 % 3 == IOMMU_REQUEST_UNTRANSLATED && n % 2 == 0)
			assert_int_equal(after.each[n].phys, addresses[n / 24]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_questions_tell_entries_apart),
		cmocka_unit_test(test_a_blocked_entry_may_hold_anything),
		cmocka_unit_test(test_kinds),
	};
	int failed;

	build_tables();
	memcpy(pristine, ram, RAM);
	failed = cmocka_run_group_tests_name("used bits, AMD-Vi", tests, NULL, NULL);
	free(state);
	return failed;
}
