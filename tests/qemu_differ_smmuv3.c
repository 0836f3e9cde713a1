/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_differ_smmuv3.c - Arm SMMUv3: stream table entries, context descriptors, tables of the first and of the second stage. */
#include "qemu_differ.h"

#include <hitless/model-smmuv3.h>

#include "layout/smmuv3.h"

/* Frames: the stream table, of 64 entries; context descriptors; behind them page tables. */
enum { STREAMS, CONTEXTS, FIRST_TABLE = 4 };

/* Of a round, which is d->mode: how large pages and tables are, how that is said, and where a second stage of 39 bits begins. */
static const struct granule {
	unsigned shift, tg, sl0, s2_sizes; /* the last: how many sizes of a second stage, from 39 bits down, begin there */
	unsigned first, step, count;	/* tables: frames */
	unsigned block_shift, blocks;
} granules[] = {
	{ 12, 0, 1, 9, FIRST_TABLE, 1, DIFFER_TABLES - FIRST_TABLE, 21, 15 },
	{ 14, 2, 2, 3, 4, 4, 15, 25, 1 },
	{ 16, 1, 1, 9, 16, 16, 3, 29, 0 },
};

static const struct granule *granule_of(const struct differ *d)
{
	return &granules[d->mode];
}
#define LOG2_STREAMS 6
#define LOG2_COMMANDS 8		/* in a frame */
#define LOG2_EVENTS 7
#define COMMANDS 256
#define EVENTS 128

static void configure(struct differ *d, struct iommu_model_config *config)
{
	uint64_t registers = d->machine.firmware.registers;
	struct qtest *qtest = &d->machine.qemu->qtest;
	uint64_t idr0 = qtest_read(qtest, registers + SMMU_REG_IDR0, 4), idr1 = qtest_read(qtest, registers + SMMU_REG_IDR1, 4);
	uint64_t idr3 = qtest_read(qtest, registers + SMMU_REG_IDR3, 4), idr5 = qtest_read(qtest, registers + SMMU_REG_IDR5, 4);

	config->capabilities[0] = idr0 | idr1 << 32;
	config->capabilities[1] = idr3 | idr5 << 32;
}

static uint64_t queue_base(uint64_t page, unsigned log2)
{
	uint64_t base = 0;

	SET(SMMU_QUEUE_BASE, LOG2SIZE, &base, log2);
	SET_ADDR(SMMU_QUEUE_BASE, ADDR, &base, page);
	return base;
}

static void start(struct differ *d)
{
	uint64_t cfg = 0, queues = BITS(SMMU_CR0, CMDQEN) | BITS(SMMU_CR0, EVENTQEN);

	differ_write_both(d, SMMU_REG_CMDQ_BASE, 8, queue_base(d->commands, LOG2_COMMANDS));
	differ_write_both(d, SMMU_REG_EVENTQ_BASE, 8, queue_base(d->records, LOG2_EVENTS));
	differ_write_both(d, SMMU_REG_CR2, 4, BITS(SMMU_CR2, RECINVSID));
	SET(SMMU_STRTAB_BASE_CFG, FMT, &cfg, SMMU_STRTAB_LINEAR);
	SET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &cfg, LOG2_STREAMS);
	differ_write_both(d, SMMU_REG_STRTAB_BASE, 8, d->tables);
	differ_write_both(d, SMMU_REG_STRTAB_BASE_CFG, 4, cfg);
	differ_write_both(d, SMMU_REG_CR0, 4, queues);
	differ_write_both(d, SMMU_REG_CR0, 4, queues | BITS(SMMU_CR0, SMMUEN));
}

static void flush(struct differ *d)
{
	static const uint64_t commands[][2] = { { SMMU_CMD_CFGI_STE_RANGE, 31 }, { SMMU_CMD_TLBI_NSNH_ALL } };

	for (unsigned i = 0; i < 2; i++) {
		memcpy(differ_at(d, d->commands + d->tail % COMMANDS * 16), commands[i], 16);
		d->tail = (d->tail + 1) % (2 * COMMANDS);
	}
	differ_write_both(d, SMMU_REG_CMDQ_PROD, 4, d->tail);
}

/* ---- Tables ---- */

static uint64_t a_table(struct differ *d)
{
	const struct granule *granule = granule_of(d);

	return differ_table(d, granule->first + granule->step * differ_pick(granule->count));
}

/* VMSAv8-64: bit 0 valid, bit 1 table or page, AP 7:6, SH 9:8, AF 10. */
static uint64_t an_entry(struct differ *d)
{
	const struct granule *granule = granule_of(d);
	uint64_t entry = 0;

	if (differ_chance(12))
		return 0;
	entry |= differ_chance(96) | (uint64_t)differ_pick(4) << 8 | (uint64_t)differ_chance(93) << 10;
	entry |= (uint64_t)(differ_chance(70) ? 1 : differ_pick(4)) << 6;
	if (differ_chance(60))
		return entry | 2 | a_table(d);
	if (differ_chance(60))
		return entry | 2 | (differ_random_data(d) & ~((1ull << granule->shift) - 1));
	return entry | (d->machine.ram_base + ((uint64_t)(granule->blocks ? 1 + differ_pick(granule->blocks) : 0) << granule->block_shift)) | (differ_chance(10) ? DIFFER_NOWHERE : 0);
}

static uint64_t *ste_of(const struct differ *d, uint32_t sid)
{
	return differ_at(d, d->tables + sid * 64);
}

static uint64_t cd_at(const struct differ *d, uint32_t sid)
{
	return differ_table(d, CONTEXTS) + sid * 64;
}

static void a_cd(struct differ *d, uint64_t *cd)
{
	SET(SMMU_CD, TG0, cd, granule_of(d)->tg);
	SET(SMMU_CD, T0SZ, cd, differ_chance(80) ? 25 : 25 + differ_pick(15));
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, V, cd, differ_chance(96));
	SET(SMMU_CD, IPS, cd, 4);
	SET(SMMU_CD, AFFD, cd, differ_chance(10));
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, R, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, ASET, cd, 1);
	SET(SMMU_CD, ASID, cd, differ_pick(8));
	SET_ADDR(SMMU_CD, TTB0, cd, a_table(d));
}

/* QEMU ends itself over a second stage that is none: S2AA64 is always set. */
static void an_ste(struct differ *d, uint64_t *ste, uint32_t sid)
{
	SET(SMMU_STE, V, ste, differ_chance(96));
	SET(SMMU_STE, CONFIG, ste, differ_chance(40) ? 5 : differ_chance(60) ? 6 : differ_pick(8));
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, cd_at(d, sid));
	SET(SMMU_STE, SHCFG, ste, 1);
	SET(SMMU_STE, S2VMID, ste, differ_pick(8));
	SET(SMMU_STE, S2T0SZ, ste, differ_chance(80) ? 25 : 25 + differ_pick(granule_of(d)->s2_sizes));
	SET(SMMU_STE, S2SL0, ste, granule_of(d)->sl0);
	SET(SMMU_STE, S2TG, ste, granule_of(d)->tg);
	SET(SMMU_STE, S2PS, ste, 4);
	SET(SMMU_STE, S2AA64, ste, 1);
	SET(SMMU_STE, S2AFFD, ste, differ_chance(10));
	SET(SMMU_STE, S2R, ste, 1);
	SET_ADDR(SMMU_STE, S2TTB, ste, a_table(d));
}

static void build(struct differ *d)
{
	uint32_t sids[] = { d->testdev->rid, d->edu->rid };
	const struct granule *granule;

	d->mode = differ_chance(60) ? 0 : 1 + differ_pick(2);
	granule = granule_of(d);
	for (unsigned table = 0; table < granule->count; table++)
		for (unsigned i = 0; i < 24; i++)
			differ_at(d, differ_table(d, granule->first + table * granule->step))[differ_index()] = an_entry(d);
	for (unsigned i = 0; i < 2; i++) {
		a_cd(d, differ_at(d, cd_at(d, sids[i])));
		an_ste(d, ste_of(d, sids[i]), sids[i]);
	}
}

static void open_entry(struct differ *d, uint32_t sid)
{
	uint64_t *ste = ste_of(d, sid);

	memset(ste, 0, 64);
	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, 4);
	SET(SMMU_STE, SHCFG, ste, 1);
}

static uint64_t iova(struct differ *d)
{
	unsigned shift = granule_of(d)->shift;
	uint64_t addr = (machine_random() >> 30) & ((1u << shift) - 1) & ~3ull;

	for (unsigned level = 0; level < 3; level++)
		addr |= (uint64_t)differ_index() << (shift + (shift - 3) * level);
	addr &= 0x7fffffffff;
	return differ_chance(30) ? addr & 0x3fffffff : differ_chance(5) ? addr | 1ull << (39 + differ_pick(5)) : addr;
}

/* ---- Events ---- */

static void take_faults(struct differ *d, bool qemu, struct differ_fault *fault)
{
	unsigned prod = (unsigned)differ_read(d, qemu, SMMU_REG_EVENTQ_PROD, 4) % (2 * EVENTS);
	const uint64_t *event = differ_at(d, d->records + d->record[qemu] % EVENTS * 32);
	bool located;

	if (prod == d->record[qemu])
		return;
	*fault = (struct differ_fault){
		.recorded = true,
		.reason = (uint32_t)GET(SMMU_EVENT, CODE, event),
		.rid = (uint32_t)GET(SMMU_EVENT, SID, event),
	};
	located = fault->reason >= SMMU_EVT_F_TRANSLATION && fault->reason <= SMMU_EVT_F_PERMISSION;
	if (located) {
		fault->access = (uint32_t)GET(SMMU_EV_FAULT, RNW, event);
		fault->flags = (uint32_t)(GET(SMMU_EV_FAULT, S2, event) | GET(SMMU_EV_FAULT, CLASS, event) << 1 |
					  GET(SMMU_EV_FAULT, PNU, event) << 4 | GET(SMMU_EV_FAULT, IND, event) << 5);
		fault->addr = GET(SMMU_EV_FAULT, INPUT_ADDR, event);
		fault->addr2 = GET(SMMU_EV_FAULT, IPA, event) << 12;
	}
	d->record[qemu] = prod;
	differ_write(d, qemu, SMMU_REG_EVENTQ_CONS, 4, prod);
}

/* D8.4: without AP[1] an unprivileged request has no rights. QEMU looks at AP[2] alone. */
static void let_unprivileged(struct differ *d, const struct differ_request *request)
{
	if (GET(SMMU_STE, CONFIG, ste_of(d, request->rid)) == 5)
		for (unsigned i = 0; i < (DIFFER_FRAMES - FIRST_TABLE) * 512; i++)
			differ_at(d, differ_table(d, FIRST_TABLE))[i] |= (differ_at(d, differ_table(d, FIRST_TABLE))[i] & 1) << 6;
}

static const struct differ_blindness blindnesses[] = {
	{ "unprivileged-ignored", let_unprivileged },
	{ 0 },
};

/* Where the walk of a request that has one stage begins. */
struct walk {
	uint64_t base;
	unsigned shift, bits, size, levels;
};

static struct walk walk_of(struct differ *d, uint32_t rid, bool second)
{
	const uint64_t *ste = ste_of(d, rid), *cd = differ_at(d, cd_at(d, rid));
	struct walk walk = { .shift = granule_of(d)->shift, .bits = granule_of(d)->shift - 3 };

	walk.base = second ? GET_ADDR(SMMU_STE, S2TTB, ste) : GET_ADDR(SMMU_CD, TTB0, cd);
	walk.size = 64 - (unsigned)(second ? GET(SMMU_STE, S2T0SZ, ste) : GET(SMMU_CD, T0SZ, cd));
	walk.levels = (walk.size - walk.shift + walk.bits - 1) / walk.bits;
	return walk;
}

static uint64_t *entry_of(struct differ *d, const struct walk *walk, uint64_t iova, unsigned level)
{
	uint64_t at = walk->base + ((iova >> (walk->shift + walk->bits * level)) & ((1u << walk->bits) - 1)) * 8;

	return machine_in_ram(&d->machine, at, 8) ? differ_at(d, at) : NULL;
}

/* Bits 1:0 of the entry where a walk of three levels begins say "block". */
static bool begins_with_block(struct differ *d, uint32_t rid, bool second, uint64_t addr)
{
	const struct walk walk = walk_of(d, rid, second);
	const uint64_t *entry = walk.levels == 3 ? entry_of(d, &walk, addr, 2) : NULL;

	return entry && (*entry & 3) == 1;
}

static const char *quirk(struct differ *d, struct differ_request *request)
{
	struct differ_fault *model = &request->model.fault, *qemu = &request->qemu.fault;

	uint64_t config = GET(SMMU_STE, CONFIG, ste_of(d, request->rid));
	bool block = config == 7 ? begins_with_block(d, request->rid, true, cd_at(d, request->rid)) :
				   begins_with_block(d, request->rid, config == 6, request->iova);

	/* D8.3.1: with pages of 16K a block is at level 2. QEMU takes one at level 1, also on the way to a context descriptor. */
	if (granule_of(d)->shift == 14 && request->model.inside == SMMU_EVT_F_TRANSLATION && block) {
		request->qemu = request->model;
		return "block-at-level-1";
	}

	/* The same where the second stage's tables, which have other rights there, are among the first one's: not asked again. */
	if (GET(SMMU_STE, CONFIG, ste_of(d, request->rid)) == 7 && request->model.inside == SMMU_EVT_F_PERMISSION && !(model->flags & 1)) {
		request->qemu = request->model;
		return "unprivileged-ignored";
	}
	/* 7.3.13: RnW is the request's own, also where the second stage stops the fetch of its context descriptor. QEMU: a read. */
	if (model->recorded && qemu->recorded && (model->flags & 1) && (model->flags >> 1 & 3) == SMMU_CLASS_CD && !model->access &&
	    qemu->access) {
		qemu->access = 0;
		return "context-fetch-is-a-read";
	}
	return NULL;
}

static void print(struct differ *d, const struct differ_request *request)
{
	const uint64_t *ste = ste_of(d, request->rid), *cd = differ_at(d, cd_at(d, request->rid));
	struct walk walk = walk_of(d, request->rid, GET(SMMU_STE, CONFIG, ste) == 6);

	printf("    %uK, ste %llx %llx %llx %llx, cd %llx %llx, %u bits\n    walk:", 1u << (walk.shift - 10), (unsigned long long)ste[0],
	       (unsigned long long)ste[1], (unsigned long long)ste[2], (unsigned long long)ste[3], (unsigned long long)cd[0],
	       (unsigned long long)cd[1], walk.size);
	for (unsigned level = walk.levels; level-- && level < 5;) {
		const uint64_t *entry = entry_of(d, &walk, request->iova, level);

		if (!entry)
			break;
		printf(" %llx", (unsigned long long)*entry);
		if ((*entry & 3) != 3)
			break;
		walk.base = *entry & 0xfffffffff000ull;
	}
	printf("\n");
}

const struct differ_arch differ_smmuv3 = {
	.name = "smmuv3",
	.model = &smmuv3_model,
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
};
