/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * fuzz_model.h - hostile software and hostile tables against a model: all that the targets have in common.
 *
 * The input is a configuration and then a program: words are put into RAM, registers written, requests begun, stepped and ended
 * in any order, the unit ticked in between; whenever the unit has a choice, the input makes it. The model must never leave
 * its state (the sanitizers see to that), loop, or say anything impossible. corpus_model_NAME.py writes programs.
 *
 * A target (fuzz_model_NAME.c) includes this and says with its `fuzz_target` what is the model's own.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <hitless/model.h>

#define RAM_BYTES (1u << 17)
#define SLOTS 4
#define STEPS_MAX 4000	/* of one request: 6 levels nested in 6 levels, and every flag update overtaken 16 times */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	const uint8_t *data;
	size_t size, at;
	uint8_t ram[RAM_BYTES];
	struct iommu_model model;
	struct iommu_model_port port;
	struct iommu_model_config config;
	size_t state_size;
	struct iommu_request slots[SLOTS];
	bool busy[SLOTS];
	bool choosing, cas_fails;
};

struct fuzz_target {
	const struct iommu_model_ops *ops;
	unsigned rid_bytes;
	/* Bits 18 and up are the target's: what of the configuration is the architecture's. */
	void (*configure)(struct fuzz *fuzz, uint64_t bits);
	uint64_t (*reg)(unsigned byte);			/* offset of a known register, or half of one */
	bool (*page_size)(uint64_t size);		/* can a translation have that? */
	void (*acknowledge)(struct fuzz *fuzz, uint32_t data);	/* what an interrupt handler may write */
	void (*break_it)(struct iommu_model *model, uint64_t switches);
	void (*extra)(struct fuzz *fuzz);		/* one more operation; NULL: none */
};

static const struct fuzz_target fuzz_target;

#define MUST(condition) \
	do { \
		if (!(condition)) \
			__builtin_trap(); \
	} while (0)

static uint64_t take(struct fuzz *fuzz, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++) {
		if (fuzz->at < fuzz->size)
			value |= (uint64_t)fuzz->data[fuzz->at++] << 8 * i;
	}
	return value;
}

/* ---- The world ---- */

static bool reach(uint64_t addr, unsigned bytes)
{
	return addr % bytes == 0 && addr < RAM_BYTES;
}

static bool fuzz_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct fuzz *fuzz = ctx;

	if (!reach(addr, 8))
		return false;
	memcpy(value, fuzz->ram + addr, 8);
	return true;
}

static bool fuzz_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	struct fuzz *fuzz = ctx;

	if (!reach(addr, 16))
		return false;
	memcpy(value, fuzz->ram + addr, 16);
	return true;
}

static bool fuzz_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct fuzz *fuzz = ctx;

	if (!reach(addr, 4))
		return false;
	memcpy(fuzz->ram + addr, &value, 4);
	return true;
}

static bool fuzz_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct fuzz *fuzz = ctx;

	if (!reach(addr, 8))
		return false;
	memcpy(fuzz->ram + addr, &value, 8);
	return true;
}

static bool fuzz_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct fuzz *fuzz = ctx;
	uint64_t found;

	if (!fuzz_read64(ctx, addr, &found))
		return false;
	if (found != *expected || fuzz->cas_fails) {
		*expected = found;
		return false;
	}
	return fuzz_write64(ctx, addr, value);
}

static unsigned fuzz_choose(void *ctx, enum iommu_freedom freedom, unsigned count)
{
	struct fuzz *fuzz = ctx;

	MUST(count >= 2 && freedom < IOMMU_FREEDOMS);
	return (unsigned)take(fuzz, 1) % count;
}

static void fuzz_interrupt(void *ctx, uint64_t addr, uint32_t data)
{
	struct fuzz *fuzz = ctx;

	/* A handler may look at registers, and write them. */
	(void)addr;
	fuzz_target.acknowledge(fuzz, data);
	MUST(!iommu_model_tick(&fuzz->model) || true);
}

/* ---- Requests ---- */

static void check_result(const struct fuzz *fuzz, const struct iommu_request *r)
{
	if (r->state == IOMMU_REQUEST_DONE) {
		MUST(fuzz_target.page_size(r->size));
		MUST((r->phys & (r->size - 1)) == (r->addr & (r->size - 1)));
		MUST(r->reason == 0);
	} else {
		MUST(r->state == IOMMU_REQUEST_FAULT);
		MUST(strcmp(iommu_model_reason(&fuzz->model, r->reason), "unknown") != 0);
	}
}

static void fill_in(struct fuzz *fuzz, struct iommu_request *r)
{
	unsigned bits = (unsigned)take(fuzz, 1);

	memset(r, 0, sizeof(*r));
	r->rid = (uint32_t)take(fuzz, fuzz_target.rid_bytes);
	r->pasid = bits & 1 ? (uint32_t)take(fuzz, 3) : IOMMU_NO_PASID;
	r->addr = take(fuzz, 8);
	r->access = bits >> 1 & 15;
	r->kind = (bits >> 5 & 3) % 3;
	r->lane = (uint8_t)(bits >> 7);
}

static void step(struct fuzz *fuzz, unsigned slot)
{
	struct iommu_request *r = &fuzz->slots[slot];

	if (!fuzz->busy[slot])
		return;
	iommu_model_step(&fuzz->model, r);
	if (r->state != IOMMU_REQUEST_RUNNING)
		check_result(fuzz, r);
}

static void end(struct fuzz *fuzz, unsigned slot)
{
	if (fuzz->busy[slot])
		iommu_model_end(&fuzz->model, &fuzz->slots[slot]);
	fuzz->busy[slot] = false;
}

/* At full speed, and in steps from the same state: the same answer, and the same traces in memory. */
static void translate_both_ways(struct fuzz *fuzz)
{
	static uint8_t before[RAM_BYTES], after[RAM_BYTES];
	struct iommu_request fast, slow;
	void *state = malloc(fuzz->state_size);
	unsigned steps = 0;

	MUST(state);
	fill_in(fuzz, &fast);
	slow = fast;
	fuzz->port.choose = NULL;
	memcpy(state, fuzz->model.state, fuzz->state_size);
	memcpy(before, fuzz->ram, RAM_BYTES);
	iommu_model_begin(&fuzz->model, &slow);
	while (slow.state == IOMMU_REQUEST_RUNNING) {
		MUST(++steps < STEPS_MAX);
		iommu_model_step(&fuzz->model, &slow);
	}
	check_result(fuzz, &slow);
	iommu_model_end(&fuzz->model, &slow);
	/* Back, once more. */
	memcpy(fuzz->model.state, state, fuzz->state_size);
	memcpy(after, fuzz->ram, RAM_BYTES);
	memcpy(fuzz->ram, before, RAM_BYTES);
	iommu_model_translate(&fuzz->model, &fast);
	iommu_model_end(&fuzz->model, &fast);
	check_result(fuzz, &fast);
	if (fast.pc == slow.pc) {
		MUST(memcmp(after, fuzz->ram, RAM_BYTES) == 0);
		MUST(fast.state == slow.state && fast.reason == slow.reason && fast.phys == slow.phys && fast.size == slow.size &&
		     fast.rights == slow.rights);
		MUST(memcmp(fast.work, slow.work, sizeof(fast.work)) == 0);
	} else {
		/* A shortcut: what it came to earlier, which the tables may not say any more. */
		MUST(fast.state == IOMMU_REQUEST_DONE && memcmp(before, fuzz->ram, RAM_BYTES) == 0);
	}
	free(state);
	fuzz->port.choose = fuzz->choosing ? fuzz_choose : NULL;
}

static void ticks(struct fuzz *fuzz, unsigned n)
{
	while (n-- && iommu_model_tick(&fuzz->model)) {
		for (unsigned i = 0; i < SLOTS; i++) {
			if (fuzz->busy[i] && iommu_model_drained(&fuzz->model, &fuzz->slots[i]))
				end(fuzz, i);
		}
	}
}

static void seen(void *ctx, const char *line)
{
	size_t *length = ctx;

	*length += strlen(line);
	MUST(strlen(line) < 160);
}

/* ---- The program ---- */

static bool configure(struct fuzz *fuzz)
{
	uint64_t bits = take(fuzz, 4);
	void *state;

	fuzz->config = (struct iommu_model_config){
		.freedoms = (unsigned)take(fuzz, 1),
		.quantum = bits & 1 ? 8 : 16,
		.maysets = bits >> 1 & 1,
		.lanes = 1 + (bits >> 2 & 1),
		.entry_lines = 1u << (bits >> 4 & 3),
		.pasid_lines = 1u << (bits >> 6 & 3),
		.walk_lines = 1u << (bits >> 8 & 7),
		.iotlb_lines = 1u << (bits >> 11 & 7),
		.devtlb_lines = 1u << (bits >> 14 & 7),
	};
	fuzz->choosing = bits >> 17 & 1;
	fuzz_target.configure(fuzz, bits);
	fuzz->port = (struct iommu_model_port){
		.ctx = fuzz,
		.read64 = fuzz_read64,
		.read128 = fuzz_read128,
		.write32 = fuzz_write32,
		.write64 = fuzz_write64,
		.cas64 = fuzz_cas64,
		.interrupt = fuzz_interrupt,
		.choose = fuzz->choosing ? fuzz_choose : NULL,
	};
	fuzz->state_size = iommu_model_size(fuzz_target.ops, &fuzz->config);
	if (!fuzz->state_size)
		return false;
	MUST(fuzz->state_size < 1u << 20);
	/* Exactly that much, so that a byte beyond it is seen. */
	if (posix_memalign(&state, 64, fuzz->state_size))
		return false;
	MUST(iommu_model_init(&fuzz->model, fuzz_target.ops, &fuzz->config, &fuzz->port, state) == 0);
	return true;
}

static void operation(struct fuzz *fuzz)
{
	unsigned op = (unsigned)take(fuzz, 1);
	unsigned slot = op >> 4 & (SLOTS - 1);
	uint64_t addr, value;
	uint32_t rights;
	size_t length = 0;

	switch (op & 15) {
	case 0: /* a word of RAM */
		addr = take(fuzz, 2) * 8 % RAM_BYTES;
		value = take(fuzz, 8);
		memcpy(fuzz->ram + addr, &value, 8);
		break;
	case 1: /* a known register */
		addr = fuzz_target.reg((unsigned)take(fuzz, 1));
		iommu_model_write(&fuzz->model, addr, op & 0x10 ? 4 : 8, take(fuzz, op & 0x10 ? 4 : 8));
		break;
	case 2: /* any register */
		addr = take(fuzz, 2);
		iommu_model_write(&fuzz->model, addr, (unsigned)take(fuzz, 1) & 15, take(fuzz, 8));
		break;
	case 3:
		addr = take(fuzz, 2);
		(void)iommu_model_read(&fuzz->model, addr, op & 0x10 ? 4 : 8);
		break;
	case 4:
		ticks(fuzz, 1 + (op >> 4));
		break;
	case 5:
		ticks(fuzz, 1000);
		break;
	case 6:
		end(fuzz, slot);
		fill_in(fuzz, &fuzz->slots[slot]);
		iommu_model_begin(&fuzz->model, &fuzz->slots[slot]);
		fuzz->busy[slot] = true;
		break;
	case 7:
		step(fuzz, slot);
		break;
	case 8: /* to its end */
		for (unsigned i = 0; fuzz->busy[slot] && fuzz->slots[slot].state == IOMMU_REQUEST_RUNNING; i++) {
			MUST(i < STEPS_MAX);
			step(fuzz, slot);
		}
		break;
	case 9:
		end(fuzz, slot);
		break;
	case 10:
		/* Not with others in flight on the lane: the state would be copied back under them. */
		for (unsigned i = 0; i < SLOTS; i++)
			end(fuzz, i);
		translate_both_ways(fuzz);
		break;
	case 11:
		if (fuzz->busy[slot] && iommu_model_devtlb_lookup(&fuzz->model, &fuzz->slots[slot], &value, &rights) &&
		    fuzz->slots[slot].state == IOMMU_REQUEST_RUNNING)
			fuzz->slots[slot].addr = value;
		break;
	case 12:
		iommu_model_dump(&fuzz->model, seen, &length);
		(void)iommu_model_overflow(&fuzz->model);
		break;
	case 13:
		fuzz_target.break_it(&fuzz->model, take(fuzz, 1));
		break;
	case 14:
		if (fuzz_target.extra && (op & 0x20))
			fuzz_target.extra(fuzz);
		fuzz->cas_fails = op >> 4 & 1;
		break;
	default: /* a page of RAM from the input as it is */
		addr = take(fuzz, 1) * 4096 % RAM_BYTES;
		for (unsigned i = 0; i < 64; i++)
			fuzz->ram[addr + i] = (uint8_t)take(fuzz, 1);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz fuzz;

	memset(&fuzz, 0, sizeof(fuzz));
	fuzz.data = data;
	fuzz.size = size;
	if (!configure(&fuzz))
		return 0;
	for (unsigned n = 0; n < 2000 && fuzz.at < fuzz.size; n++)
		operation(&fuzz);
	free(fuzz.model.state);
	return 0;
}

#endif
