/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_differ_amdvi.c - AMD-Vi: device table entries, host tables. QEMU's unit has no guest tables. */
#include "qemu_differ.h"

#include <hitless/model-amdvi.h>

#include "layout/amdvi.h"

/* Frame 0 is the device table, of 128 entries; from 1 on page tables. */
#define FIRST_TABLE 1
#define LOG2_ENTRIES 8		/* of the command buffer and of the event log, in a frame */
#define ENTRIES 256

static void configure(struct differ *d, struct iommu_model_config *config)
{
	uint64_t efr = qtest_read(&d->machine.qemu->qtest, d->machine.firmware.registers + AMDVI_REG_EFR, 8);

	/* What the model hasn't got, and no request here needs: guest translation, page requests, performance counters. */
	SET(AMDVI_EFR, GT_SUP, &efr, 0);
	SET(AMDVI_EFR, PREF_SUP, &efr, 0);
	SET(AMDVI_EFR, PPR_SUP, &efr, 0);
	SET(AMDVI_EFR, GA_SUP, &efr, 0);
	SET(AMDVI_EFR, HE_SUP, &efr, 0);
	SET(AMDVI_EFR, PC_SUP, &efr, 0);
	SET(AMDVI_EFR, GATS, &efr, 0);
	config->capabilities[0] = efr;
	config->capabilities[1] = AMDVI_MODEL_EFR2_NONE;
}

static void start(struct differ *d)
{
	uint64_t devtab = 0, commands = 0, events = 0, control = 0;

	SET_ADDR(AMDVI_DEVTAB, BASE, &devtab, d->tables);
	SET_ADDR(AMDVI_BUFFER, BASE, &commands, d->commands);
	SET(AMDVI_BUFFER, LEN, &commands, LOG2_ENTRIES);
	SET_ADDR(AMDVI_BUFFER, BASE, &events, d->records);
	SET(AMDVI_BUFFER, LEN, &events, LOG2_ENTRIES);
	SET(AMDVI_CONTROL, IOMMU_EN, &control, 1);
	SET(AMDVI_CONTROL, EVENT_LOG_EN, &control, 1);
	SET(AMDVI_CONTROL, CMD_BUF_EN, &control, 1);
	differ_write_both(d, AMDVI_REG_DEVTAB, 8, devtab);
	differ_write_both(d, AMDVI_REG_CMD_BASE, 8, commands);
	differ_write_both(d, AMDVI_REG_EVENT_BASE, 8, events);
	differ_write_both(d, AMDVI_REG_CONTROL, 8, control);
}

static void submit(struct differ *d, uint64_t low)
{
	uint64_t *slot = differ_at(d, d->commands + d->tail * 16);

	slot[0] = low;
	slot[1] = 0;
	d->tail = (d->tail + 1) % ENTRIES;
}

/* ---- Tables ---- */

static uint64_t a_table(struct differ *d)
{
	return differ_table(d, FIRST_TABLE + differ_pick(DIFFER_TABLES - FIRST_TABLE));
}

static uint64_t an_entry(struct differ *d)
{
	uint64_t entry = 0;

	if (differ_chance(12))
		return 0;
	SET(AMDVI_V1, PR, &entry, differ_chance(95));
	SET(AMDVI_V1, IR, &entry, differ_chance(92));
	SET(AMDVI_V1, IW, &entry, differ_chance(88));
	if (differ_chance(65)) {
		SET(AMDVI_V1, NEXT_LEVEL, &entry, 1 + differ_pick(4));
		SET_ADDR(AMDVI_V1, ADDR, &entry, a_table(d));
	} else {
		SET(AMDVI_V1, NEXT_LEVEL, &entry, AMDVI_V1_NEXT_PAGE);
		SET_ADDR(AMDVI_V1, ADDR, &entry, differ_chance(70) ? differ_random_data(d) :
						 differ_chance(80) ? (uint64_t)(1 + differ_pick(15)) << 21 : 0);
	}
	SET(AMDVI_V1, IGNORED, &entry, differ_chance(10) ? differ_pick(16) : 0);
	SET(AMDVI_V1, FC, &entry, differ_chance(10));
	if (differ_chance(3))
		entry |= differ_flip();
	return entry;
}

static uint64_t *dte_of(const struct differ *d, uint32_t rid)
{
	return differ_at(d, d->tables + rid * 32);
}

static void a_dte(struct differ *d, uint64_t *dte)
{
	SET(AMDVI_DTE, V, dte, differ_chance(97));
	SET(AMDVI_DTE, TV, dte, differ_chance(95));
	SET(AMDVI_DTE, MODE, dte, differ_chance(6) ? 0 : 1 + differ_pick(4));
	SET(AMDVI_DTE, IR, dte, differ_chance(95));
	SET(AMDVI_DTE, IW, dte, differ_chance(95));
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte, a_table(d));
	SET(AMDVI_DTE, DOMAIN_ID, dte, 1 + differ_pick(8));
	if (differ_chance(4))
		dte[differ_pick(2)] |= differ_flip() & ~(BITS(AMDVI_DTE, GV) | BITS(AMDVI_DTE, MODE));
}

static void build(struct differ *d)
{
	for (unsigned table = FIRST_TABLE; table < DIFFER_TABLES; table++)
		for (unsigned i = 0; i < 24; i++)
			differ_at(d, differ_table(d, table))[differ_index()] = an_entry(d);
	a_dte(d, dte_of(d, d->testdev->rid));
	a_dte(d, dte_of(d, d->edu->rid));
}

static void open_entry(struct differ *d, uint32_t rid)
{
	uint64_t *dte = dte_of(d, rid);

	memset(dte, 0, 32);
	SET(AMDVI_DTE, V, dte, 1);
	SET(AMDVI_DTE, TV, dte, 1);
	SET(AMDVI_DTE, IR, dte, 1);
	SET(AMDVI_DTE, IW, dte, 1);
}

static uint64_t iova(struct differ *d)
{
	uint64_t addr = (machine_random() >> 30) & 0xfff;
	unsigned levels = 1 + differ_pick(4);

	(void)d;
	for (unsigned level = 0; level < levels; level++)
		addr |= (uint64_t)differ_index() << (12 + 9 * level);
	if (differ_chance(4))
		addr |= 1ull << (48 + differ_pick(16));
	/* No large page that begins where memory does leads to the hole below 1 MiB. 0xfee00000 is for interrupts, 0xfd00000000 and up for others (2.1.4.2). */
	addr |= 1u << 20;
	return addr >> 20 == 0xfee || (addr >> 32 >= 0xfd && addr >> 32 <= 0xff) ? addr & 0xffffff : addr;
}

/* ---- Events ---- */

static void take_faults(struct differ *d, bool qemu, struct differ_fault *fault)
{
	unsigned tail = (unsigned)(differ_read(d, qemu, AMDVI_REG_EVENT_TAIL, 8) >> 4) % ENTRIES;
	const uint64_t *event = differ_at(d, d->records + d->record[qemu] * 16);

	if (tail == d->record[qemu])
		return;
	*fault = (struct differ_fault){
		.recorded = true,
		.reason = (uint32_t)GET(AMDVI_EVENT, CODE, event),
		.rid = (uint32_t)GET(AMDVI_EV_PAGE_FAULT, DEVICE_ID, event),
		.pasid = (uint32_t)GET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, event),
		.flags = (uint32_t)(event[0] >> 48 & 0xfff),
		.addr = event[1],
	};
	d->record[qemu] = tail;
	differ_write(d, qemu, AMDVI_REG_EVENT_HEAD, 8, (uint64_t)tail << 4);
}

/*
 * QEMU looks at whether there is a translation at all when a device's entry is invalidated, and logs an illegal one then: that event is
 * nobody's request ("illegal-entry-at-invalidation").
 */
static void flush(struct differ *d)
{
	struct differ_fault ignored;

	submit(d, (uint64_t)AMDVI_CMD_DTE << 60 | d->testdev->rid);
	submit(d, (uint64_t)AMDVI_CMD_DTE << 60 | d->edu->rid);
	submit(d, (uint64_t)AMDVI_CMD_ALL << 60);
	differ_write_both(d, AMDVI_REG_CMD_TAIL, 8, d->tail * 16);
	take_faults(d, true, &ignored);
}

/* The entry that ends the walk, its level, and whether the address has ones where levels were skipped. NULL: it leads out of memory. */
static uint64_t *last_entry(struct differ *d, const struct differ_request *request, unsigned *level, bool *skipped)
{
	const uint64_t *dte = dte_of(d, request->rid);
	uint64_t base = GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte);

	*level = (unsigned)GET(AMDVI_DTE, MODE, dte);
	*skipped = false;
	for (unsigned steps = 0; *level && *level <= AMDVI_MAX_LEVELS && steps < AMDVI_MAX_LEVELS; steps++) {
		uint64_t at = base + ((request->iova >> (3 + 9 * *level)) & 0x1ff) * 8, *entry;

		if (!machine_in_ram(&d->machine, at, 8))
			return NULL;
		entry = differ_at(d, at);
		if (amdvi_v1_mode(entry) != AMDVI_V1_MODE_TABLE)
			return entry;
		for (unsigned next = (unsigned)GET(AMDVI_V1, NEXT_LEVEL, entry); *level > next + 1; (*level)--)
			*skipped |= (request->iova >> (12 + 9 * (*level - 2)) & 0x1ff) != 0;
		*level = (unsigned)GET(AMDVI_V1, NEXT_LEVEL, entry);
		base = GET_ADDR(AMDVI_V1, ADDR, entry);
	}
	return NULL;
}

/* 2.2.3: the address of a page of a level above the first has zeros below the page's size. QEMU takes them for zeros. */
static void align_page(struct differ *d, const struct differ_request *request)
{
	bool skipped;
	unsigned level;
	uint64_t *entry = last_entry(d, request, &level, &skipped);

	if (entry && amdvi_v1_mode(entry) == AMDVI_V1_MODE_PAGE && GET(AMDVI_V1, NEXT_LEVEL, entry) == AMDVI_V1_NEXT_PAGE)
		*entry &= ~(layout_mask(9 * (level - 1)) << 12);
}

/* 2.2.3: reserved bits are zero, U and FC among them in a pointer to a table. QEMU looks at none. */
static void clear_reserved_bits(struct differ *d, const struct differ_request *request)
{
	uint64_t used[1] = { 0 };

	(void)request;
	AMDVI_V1_LIST(AMDVI_V1, LAYOUT_NAME_BITS)
	for (unsigned i = 0; i < (DIFFER_TABLES - FIRST_TABLE) * 512; i++) {
		uint64_t *entry = differ_at(d, differ_table(d, FIRST_TABLE)) + i;

		*entry &= used[0];
		if (amdvi_v1_mode(entry) == AMDVI_V1_MODE_TABLE)
			*entry &= ~(BITS(AMDVI_V1, U) | BITS(AMDVI_V1, FC));
	}
}

/* 2.2.3: a right must be given on every level, and by the device's entry. QEMU asks the last entry alone. */
static void give_rights(struct differ *d, const struct differ_request *request)
{
	SET(AMDVI_DTE, IR, dte_of(d, request->rid), 1);
	SET(AMDVI_DTE, IW, dte_of(d, request->rid), 1);
	for (unsigned i = 0; i < (DIFFER_TABLES - FIRST_TABLE) * 512; i++) {
		uint64_t *entry = differ_at(d, differ_table(d, FIRST_TABLE)) + i;

		if (amdvi_v1_mode(entry) == AMDVI_V1_MODE_TABLE) {
			SET(AMDVI_V1, IR, entry, 1);
			SET(AMDVI_V1, IW, entry, 1);
		}
	}
}

/*
 * The same, where nothing is left of the rights of all levels so far: QEMU ends the walk there, and takes the pointer to a table for a page of
 * its level, with the pointer's own rights.
 */
static void end_without_rights(struct differ *d, const struct differ_request *request)
{
	uint64_t *dte = dte_of(d, request->rid), base = GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte);
	uint64_t rights = dte[0] & (BITS(AMDVI_DTE, IR) | BITS(AMDVI_DTE, IW)); /* the same bits as in an entry */
	unsigned level = (unsigned)GET(AMDVI_DTE, MODE, dte);

	for (unsigned steps = 0; level && level <= AMDVI_MAX_LEVELS && steps < AMDVI_MAX_LEVELS; steps++) {
		uint64_t at = base + ((request->iova >> (3 + 9 * level)) & 0x1ff) * 8, *entry;

		if (!machine_in_ram(&d->machine, at, 8))
			return;
		entry = differ_at(d, at);
		if (amdvi_v1_mode(entry) != AMDVI_V1_MODE_TABLE)
			return;
		rights &= *entry;
		if (!rights) {
			SET(AMDVI_V1, NEXT_LEVEL, entry, AMDVI_V1_NEXT_PAGE);
			*entry &= ~(layout_mask(9 * (level - 1)) << 12);
			SET(AMDVI_DTE, IR, dte, 1);
			SET(AMDVI_DTE, IW, dte, 1);
			return;
		}
		level = (unsigned)GET(AMDVI_V1, NEXT_LEVEL, entry);
		base = GET_ADDR(AMDVI_V1, ADDR, entry);
	}
}

/* 2.2.2.1: fields of what the unit lacks, page requests and guest translation, are reserved. QEMU ignores them. */
static void clear_dte(struct differ *d, const struct differ_request *request)
{
	uint64_t *dte = dte_of(d, request->rid);

	SET(AMDVI_DTE, HAD, dte, 0);
	SET(AMDVI_DTE, PPR, dte, 0);
	SET(AMDVI_DTE, GPRP, dte, 0);
	SET(AMDVI_DTE, GIOV, dte, 0);
	SET(AMDVI_DTE, GLX, dte, 0);
	SET(AMDVI_DTE, GCR3_14_12, dte, 0);
}

static const struct differ_blindness blindnesses[] = {
	{ "fields-of-dte-ignored", clear_dte },
	{ "page-without-rights", end_without_rights },
	{ "rights-of-the-last-entry", give_rights },
	{ "reserved-bits-of-entries", clear_reserved_bits },
	{ "misaligned-page", align_page },
	{ 0 },
};

static bool keeps_mode(struct differ *d, uint32_t rid)
{
	uint64_t used[4] = { 0 };
	const uint64_t *dte = dte_of(d, rid);

	AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_NAME_BITS)
	/* In the second word QEMU knows the DomainID and little more. */
	return !GET(AMDVI_DTE, TV, dte) || (dte[0] & ~used[0]) || dte[1] >> 16;
}

static const char *quirk(struct differ *d, struct differ_request *request)
{
	struct differ_fault *model = &request->model.fault, *qemu = &request->qemu.fault;

	bool skipped;
	unsigned level;

	/*
	 * 2.2.2.1: an entry that is illegal, or V=1 with TV=0, lets nothing through. To QEMU whether there is a translation at all is a mode
	 * of the device, which such an entry leaves as it was.
	 */
	if (keeps_mode(d, request->rid) && !request->model.done && !qemu->recorded &&
	    (request->kind == DIFFER_WRITE ? request->qemu.phys == request->iova :
	     machine_in_ram(&d->machine, request->iova, 4) &&
		     request->qemu.data == *(uint32_t *)machine_virt(&d->machine, request->iova))) {
		request->qemu = request->model;
		return "rejected-entry-keeps-mode";
	}
	/* 2.2.2.1: with V=0 nothing else of an entry counts for DMA. QEMU checks its reserved bits first. */
	if (!GET(AMDVI_DTE, V, dte_of(d, request->rid)) && qemu->reason == AMDVI_EVENT_ILLEGAL_DTE && !request->qemu.phys) {
		request->qemu = request->model;
		return "reserved-bits-of-invalid-entry";
	}
	/* 2.2.3: where a level is skipped, its bits of the address must be 0. QEMU does not look. */
	if (model->reason == AMDVI_EVENT_PAGE_FAULT && !qemu->recorded && last_entry(d, request, &level, &skipped) && skipped) {
		request->qemu = request->model;
		return "skipped-bits-ignored";
	}
	/* Both refuse. What QEMU says of it: see docs/qemu.md. */
	if (!request->model.done && !request->qemu.phys && !request->qemu.data && model->recorded && !qemu->recorded) {
		*qemu = *model;
		return "silent-absence";
	}
	if (model->recorded && qemu->recorded && qemu->reason == model->reason && qemu->rid == model->rid && !qemu->addr &&
	    (model->reason == AMDVI_EVENT_PAGE_FAULT || model->reason == AMDVI_EVENT_ILLEGAL_DTE)) {
		*qemu = *model;
		return "event-without-address";
	}
	return NULL;
}

static void print(struct differ *d, const struct differ_request *request)
{
	const uint64_t *dte = dte_of(d, request->rid);
	unsigned level = (unsigned)GET(AMDVI_DTE, MODE, dte);
	uint64_t base = GET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte);

	printf("    dte");
	for (unsigned i = 0; i < 4; i++)
		printf(" %llx", (unsigned long long)dte[i]);
	printf("\n    walk:");
	for (unsigned steps = 0; level && level <= AMDVI_MAX_LEVELS && steps < AMDVI_MAX_LEVELS; steps++) {
		uint64_t at = base + ((request->iova >> (3 + 9 * level)) & 0x1ff) * 8, entry;

		if (!machine_in_ram(&d->machine, at, 8))
			break;
		entry = *differ_at(d, at);
		printf(" %llx", (unsigned long long)entry);
		if (!GET(AMDVI_V1, PR, &entry))
			break;
		level = (unsigned)GET(AMDVI_V1, NEXT_LEVEL, &entry);
		base = GET_ADDR(AMDVI_V1, ADDR, &entry);
	}
	printf("\n");
}

const struct differ_arch differ_amdvi = {
	.name = "amdvi",
	.model = &amdvi_model,
	.configure = configure,
	.start = start,
	.build = build,
	.open = open_entry,
	.flush = flush,
	.take_faults = take_faults,
	.iova = iova,
	.quirk = quirk,
	.blindnesses = blindnesses,
	.print = print,
	.hole = 0xa0000,
	.hole_end = 0x100000,
	.silent_writes = true,
};
