/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model_box.h - a box for tests of a model: RAM, the port that leads to it, a chooser with a script, and one unit.
 *
 * The model's own header (model_vtd.h, ...) says before it includes this what else its tables need: BOX_MEMBERS.
 */
#ifndef TESTS_MODEL_BOX_H
#define TESTS_MODEL_BOX_H

#include <hitless/model.h>
#include <stdlib.h>
#include <string.h>

#define BOX_BYTES (4u << 20)
#define BOX_NO_PASID IOMMU_NO_PASID
#define PAGE 4096ull

struct box {
	uint64_t *ram;
	uint64_t next_page;
	struct iommu_model_config config;
	struct iommu_model_port port;
	struct iommu_model model;
	size_t size;
	uint64_t hole;	/* a page that isn't there */
	/* What the unit did to the world */
	unsigned interrupts, dirtied;
	uint64_t interrupt_addr;
	uint32_t interrupt_data;
	unsigned reads; /* of memory */
	/* Choices to make, by freedom; then 0 */
	const unsigned char *script;
	size_t script_length, script_at;
	unsigned asked[IOMMU_FREEDOMS];
	unsigned answers[IOMMU_FREEDOMS]; /* + 1: to every question of that freedom */
	/* The next n compare-exchanges fail, as if others were faster */
	unsigned cas_failures;
	BOX_MEMBERS
};

static inline bool box_there(const struct box *box, uint64_t addr, unsigned align)
{
	return addr < BOX_BYTES && addr % align == 0 && (!box->hole || addr / PAGE != box->hole / PAGE);
}

static inline bool box_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct box *box = ctx;

	if (!box_there(box, addr, 8))
		return false;
	__atomic_fetch_add(&box->reads, 1, __ATOMIC_RELAXED);
	*value = __atomic_load_n(&box->ram[addr / 8], __ATOMIC_ACQUIRE);
	return true;
}

static inline bool box_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	/* Tests that store 128 bits do so while nothing reads them. */
	return addr % 16 == 0 && box_read64(ctx, addr, value) && box_read64(ctx, addr + 8, value + 1);
}

static inline bool box_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct box *box = ctx;

	if (!box_there(box, addr, 8))
		return false;
	__atomic_store_n(&box->ram[addr / 8], value, __ATOMIC_RELEASE);
	return true;
}

static inline bool box_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct box *box = ctx;

	if (!box_there(box, addr, 4))
		return false;
	__atomic_store_n((uint32_t *)(void *)box->ram + addr / 4, value, __ATOMIC_RELEASE);
	return true;
}

static inline bool box_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct box *box = ctx;

	if (!box_there(box, addr, 8))
		return false;
	if (box->cas_failures) {
		box->cas_failures--;
		*expected = __atomic_load_n(&box->ram[addr / 8], __ATOMIC_ACQUIRE);
		return false;
	}
	return __atomic_compare_exchange_n(&box->ram[addr / 8], expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline void box_dirty(void *ctx, uint64_t addr)
{
	struct box *box = ctx;

	(void)addr;
	__atomic_fetch_add(&box->dirtied, 1, __ATOMIC_RELAXED);
}

static inline void box_interrupt(void *ctx, uint64_t addr, uint32_t data)
{
	struct box *box = ctx;

	__atomic_fetch_add(&box->interrupts, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&box->interrupt_addr, addr, __ATOMIC_RELAXED);
	__atomic_store_n(&box->interrupt_data, data, __ATOMIC_RELAXED);
}

static inline unsigned box_choose(void *ctx, enum iommu_freedom freedom, unsigned count)
{
	struct box *box = ctx;
	unsigned choice = 0;

	box->asked[freedom]++;
	if (box->answers[freedom])
		choice = box->answers[freedom] - 1;
	else if (box->script_at < box->script_length)
		choice = box->script[box->script_at++];
	return choice < count ? choice : count - 1;
}

static inline uint64_t box_pages(struct box *box, unsigned n)
{
	uint64_t page = box->next_page;

	box->next_page += PAGE * n;
	if (box->next_page > BOX_BYTES)
		exit(1);
	return page;
}

static inline uint64_t box_page(struct box *box)
{
	return box_pages(box, 1);
}

static inline uint64_t box_pages_aligned(struct box *box, unsigned n)
{
	box->next_page = (box->next_page + n * PAGE - 1) & ~(n * PAGE - 1);
	return box_pages(box, n);
}

static inline uint64_t *at(struct box *box, uint64_t addr)
{
	return &box->ram[addr / 8];
}

static inline void ticks(struct box *box)
{
	for (int i = 0; i < 10000 && iommu_model_tick(&box->model); i++)
		;
}

/* Without a chooser the unit may take short cuts: tests run both ways. */
static bool box_plain;
/* The port's, of boxes that are opened after it is set. */
static void (*box_barrier_all)(void *ctx) __attribute__((unused));

/* A unit that is off. 0, or what init says. */
static inline int box_open_unit(struct box *box, const struct iommu_model_ops *ops, const struct iommu_model_config *config)
{
	void *state;
	int ret;

	memset(box, 0, sizeof(*box));
	box->config = *config;
	box->next_page = PAGE;
	box->ram = calloc(1, BOX_BYTES);
	box->port = (struct iommu_model_port){
		.ctx = box,
		.read64 = box_read64,
		.read128 = box_read128,
		.write32 = box_write32,
		.write64 = box_write64,
		.cas64 = box_cas64,
		.dirty = box_dirty,
		.interrupt = box_interrupt,
		.barrier_all = box_barrier_all,
		.choose = box_plain ? NULL : box_choose,
	};
	box->size = iommu_model_size(ops, config);
	state = aligned_alloc(64, (box->size + 4096) & ~63ull);
	ret = iommu_model_init(&box->model, ops, config, &box->port, state);
	if (ret) {
		free(state);
		box->model.state = NULL;
	}
	return ret;
}

static inline void box_close(struct box *box)
{
	free(box->model.state);
	free(box->ram);
}

/* ---- Requests ---- */

static inline struct iommu_request request_of(uint32_t rid, uint32_t pasid, uint64_t addr, unsigned access, unsigned kind)
{
	struct iommu_request r;

	memset(&r, 0, sizeof(r));
	r.rid = rid;
	r.pasid = pasid;
	r.addr = addr;
	r.access = (uint8_t)access;
	r.kind = (uint8_t)kind;
	return r;
}

static inline struct iommu_request request(uint32_t rid, uint32_t pasid, uint64_t addr, unsigned access)
{
	return request_of(rid, pasid, addr, access, IOMMU_REQUEST_UNTRANSLATED);
}

static inline struct iommu_request go_kind(struct box *box, uint32_t rid, uint32_t pasid, uint64_t addr, unsigned access,
					   unsigned kind)
{
	struct iommu_request r = request_of(rid, pasid, addr, access, kind);

	iommu_model_translate(&box->model, &r);
	iommu_model_end(&box->model, &r);
	return r;
}

static inline struct iommu_request go(struct box *box, uint32_t rid, uint32_t pasid, uint64_t addr, unsigned access)
{
	return go_kind(box, rid, pasid, addr, access, IOMMU_REQUEST_UNTRANSLATED);
}

#endif
