/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory ---- */

struct xp_block {
	struct xp_block *next;
	size_t used, size;
	_Alignas(64) char bytes[];
};

#define BLOCK_BYTES (1u << 20)

/* 64-byte aligned; NULL: none left. */
void *xp_arena_alloc(struct xp_arena *arena, size_t bytes)
{
	struct xp_block *block = arena->blocks;
	void *memory;

	bytes = (bytes + 63) & ~(size_t)63;
	if (!block || block->used + bytes > block->size) {
		size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;

		block = aligned_alloc(64, (sizeof(*block) + size + 63) & ~(size_t)63);
		if (!block)
			return NULL;
		block->next = arena->blocks;
		block->used = 0;
		block->size = size;
		arena->blocks = block;
	}
	memory = block->bytes + block->used;
	block->used += bytes;
	return memory;
}

void xp_arena_free(struct xp_arena *arena)
{
	while (arena->blocks) {
		struct xp_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
}

uint64_t xp_hash(const void *bytes, size_t n, uint64_t seed)
{
	const uint64_t *words = bytes;
	uint64_t h = seed ^ n * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < n / 8; i++) {
		h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h;
}

static uint64_t word_hash(uint64_t addr, uint64_t value)
{
	uint64_t words[2] = { addr, value };

	return value ? xp_hash(words, sizeof(words), 77) : 0;
}

/* ---- The model's port ---- */

/* Where in the RAM; false: nowhere. */
static bool in_ram(const struct xp_machine *m, uint64_t *addr, unsigned bytes)
{
	for (unsigned i = 0; i < sizeof(m->c->alias) / sizeof(m->c->alias[0]) && m->c->alias[i].page; i++) {
		if (*addr / XP_PAGE == m->c->alias[i].page)
			*addr = m->c->alias[i].index * XP_PAGE + *addr % XP_PAGE;
	}
	return *addr % bytes == 0 && *addr < m->c->pages * XP_PAGE;
}

static uint64_t *word_at(const struct xp_machine *m, uint64_t addr)
{
	return &m->world->pages[addr / XP_PAGE][addr % XP_PAGE / 8];
}

uint64_t xp_load64(const struct xp_machine *m, uint64_t addr)
{
	return *word_at(m, addr & ~7ull);
}

static void note_read(struct xp_machine *m, uint64_t addr, unsigned bytes)
{
	uint64_t page = addr / XP_PAGE;

	m->read_addr = addr;
	m->read_bytes = bytes;
	if (m->world->freed[page / 64] >> page % 64 & 1)
		m->read_freed = true;
}

static bool port_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct xp_machine *m = ctx;

	if (!in_ram(m, &addr, 8))
		return false;
	note_read(m, addr, 8);
	*value = *word_at(m, addr);
	return true;
}

static bool port_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	struct xp_machine *m = ctx;

	if (!in_ram(m, &addr, 16))
		return false;
	note_read(m, addr, 16);
	value[0] = word_at(m, addr)[0];
	value[1] = word_at(m, addr)[1];
	return true;
}

bool xp_store64(void *machine, uint64_t addr, uint64_t value)
{
	struct xp_machine *m = machine;
	struct xp_world *w = m->world;
	uint64_t *word, page;

	if (!in_ram(m, &addr, 8))
		return false;
	page = addr / XP_PAGE;
	if (!(w->owned[page / 64] >> page % 64 & 1)) {
		uint64_t *copy = xp_arena_alloc(&m->arena, XP_PAGE);

		if (!copy) {
			m->failed = true;
			return false;
		}
		memcpy(copy, w->pages[page], XP_PAGE);
		w->pages[page] = copy;
		w->owned[page / 64] |= 1ull << page % 64;
	}
	word = word_at(m, addr);
	w->ram_hash += word_hash(addr, value) - word_hash(addr, *word);
	*word = value;
	return true;
}

static bool port_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct xp_machine *m = ctx;

	/* What a request writes is the record of a fault, and nobody translates by that. */
	if (m->stepping) {
		m->wrote = true;
		return true;
	}
	return xp_store64(ctx, addr, value);
}

static bool port_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct xp_machine *m = ctx;
	unsigned shift = addr % 8 * 8;
	uint64_t word;

	if (!in_ram(m, &addr, 4))
		return false;
	word = xp_load64(m, addr);
	word = (word & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	return port_write64(ctx, addr & ~7ull, word);
}

static bool port_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct xp_machine *m = ctx;
	uint64_t now;

	if (!port_read64(ctx, addr, &now))
		return false;
	if (now != *expected) {
		*expected = now;
		return false;
	}
	(void)value;
	/* Accessed and dirty flags are set from the beginning, so no walk should come here: then the result is bounded. */
	m->wrote = true;
	return true;
}

static unsigned port_choose(void *ctx, enum iommu_freedom freedom, unsigned count)
{
	struct xp_machine *m = ctx;
	unsigned i = m->asked;

	(void)freedom;
	if (i == XP_MAX_CHOICES || count > 255) {
		m->too_many = true;
		return 0;
	}
	if (i >= m->fixed)
		m->script[i] = 0;
	m->counts[i] = (uint8_t)count;
	m->asked++;
	return m->script[i] < count ? m->script[i] : 0;
}

bool xp_next(struct xp_machine *m)
{
	unsigned n = m->asked;

	while (n && m->script[n - 1] + 1u >= m->counts[n - 1])
		n--;
	m->asked = 0;
	m->fixed = n;
	if (!n)
		return false;
	m->script[n - 1]++;
	return true;
}

size_t xp_prefix_bytes(const struct iommu_model_ops *ops, const struct iommu_model_config *config)
{
	struct iommu_model_config two = *config;
	size_t one = iommu_model_size(ops, config);

	two.lanes = 2;
	/* A lane is what a second one adds. */
	return one - (iommu_model_size(ops, &two) - one);
}

int xp_machine_open(struct xp_machine *m, struct xp_case *c)
{
	struct xp_world *w;

	memset(m, 0, sizeof(*m));
	m->c = c;
	m->port = (struct iommu_model_port){
		.ctx = m,
		.read64 = port_read64,
		.read128 = port_read128,
		.write32 = port_write32,
		.write64 = port_write64,
		.cas64 = port_cas64,
		.choose = port_choose,
	};
	m->state_bytes = iommu_model_size(c->ops, &c->config);
	if (!m->state_bytes || c->config.lanes != 1)
		return -EINVAL;
	m->prefix_bytes = xp_prefix_bytes(c->ops, &c->config);
	w = xp_arena_alloc(&m->arena, sizeof(*w));
	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->state = xp_arena_alloc(&m->arena, m->state_bytes);
	if (!w->state)
		return -ENOMEM;
	for (unsigned i = 0; i < c->pages; i++)
		w->pages[i] = c->ram + i * XP_PAGE_WORDS;
	w->ats = c->ats ? UINT64_MAX : 0;
	m->world = w;
	if (iommu_model_init(&m->model, c->ops, &c->config, &m->port, w->state))
		return -EINVAL;
	xp_first(m);
	if (c->state)
		memcpy(w->state, c->state, m->state_bytes);
	else
		c->start(&m->model);
	xp_skip(m);
	return 0;
}

void xp_machine_close(struct xp_machine *m)
{
	xp_arena_free(&m->arena);
}

void xp_enter(struct xp_machine *m, struct xp_world *world)
{
	m->world = world;
	m->model.state = world->state;
}

/* ---- Driver steps ---- */

static void store_now(struct xp_machine *m, uint64_t addr, const uint64_t *words, unsigned width)
{
	for (unsigned i = 0; i < width / 8; i++)
		xp_store64(m, addr + i * 8, words[i]);
}

void xp_skip(struct xp_machine *m)
{
	while (m->world->op < m->c->steps.n && m->c->steps.v[m->world->op].kind == XP_NOTE)
		m->world->op++;
}

static bool pending_in(const struct xp_world *w, uint64_t addr, uint64_t bytes)
{
	for (unsigned i = 0; i < w->npending; i++) {
		if (w->pending[i].addr < addr + bytes && addr < w->pending[i].addr + w->pending[i].width)
			return true;
	}
	return false;
}

/* How many of our slots the unit has consumed. */
static unsigned consumed(const struct xp_machine *m)
{
	const struct xp_queue *q = &m->c->queue;
	struct iommu_model model = m->model;
	uint64_t head = iommu_model_read(&model, q->head, q->doorbell_bytes) >> q->shift;

	return (unsigned)(head + q->turn - q->first) % q->turn;
}

static bool op_ready(const struct xp_machine *m, const struct xp_op *op, unsigned who)
{
	const struct xp_world *w = m->world;

	switch (op->kind) {
	case XP_WAIT:
		if (op->by_head)
			return consumed(m) >= w->submitted[who];
		return (uint32_t)(xp_load64(m, op->addr) >> op->addr % 8 * 8) == (uint32_t)op->words[0];
	case XP_LOCK:
		return !(w->locks[!who] & (1ull << op->addr | op->words[1]));
	case XP_WRITEBACK:
		return !pending_in(w, op->addr, op->width);
	case XP_BARRIER:
		return !w->npending;
	case XP_STORE:
		/* A second store to the same place goes through the same line of the CPU's cache. */
		return !(m->c->noncoherent || m->c->weak) || (w->npending < XP_MAX_PENDING && !pending_in(w, op->addr, op->width));
	default:
		return true;
	}
}

static void ring_put(struct xp_machine *m, unsigned slot, const uint64_t *words, unsigned nwords)
{
	const struct xp_queue *q = &m->c->queue;
	uint64_t at = q->ring + (q->first + slot) % q->count * q->bytes;

	for (unsigned i = 0; i < q->bytes / 8; i++)
		xp_store64(m, at + i * 8, i < nwords ? words[i] : 0);
}

static void submit(struct xp_machine *m, const struct xp_op *op, unsigned who)
{
	const struct xp_queue *q = &m->c->queue;
	struct xp_world *w = m->world;

	if (m->c->submit) {
		/* Commands that are submitted together have one doorbell; that it rings earlier is hardware's being early. */
		m->c->submit(m, xp_store64, &m->model, w->slot++, op->words);
		return;
	}
	for (unsigned i = 0; i < op->nbulk; i++)
		ring_put(m, w->slot++, op->bulk[i], 2);
	if (!op->nbulk)
		ring_put(m, w->slot++, op->words, 4);
	w->submitted[who] = w->slot;
	iommu_model_write(&m->model, q->doorbell, q->doorbell_bytes, (uint64_t)((q->first + w->slot) % q->turn) << q->shift);
}

static void set_ats(struct xp_machine *m, uint32_t rid, bool on)
{
	for (unsigned a = 0; a < m->c->nactors; a++) {
		if (rid == XP_NONE ? m->c->actors[a].role == XP_DEVICE : m->c->actors[a].rid == rid)
			m->world->ats = (m->world->ats & ~(1ull << a)) | (uint64_t)on << a;
	}
}

static void op_do(struct xp_machine *m, const struct xp_op *op, unsigned who)
{
	struct xp_world *w = m->world;

	switch (op->kind) {
	case XP_STORE:
		if (m->c->noncoherent || m->c->weak) {
			w->pending[w->npending].addr = op->addr;
			memcpy(w->pending[w->npending].words, op->words, sizeof(w->pending[0].words));
			w->pending[w->npending++].width = op->width;
			break;
		}
		store_now(m, op->addr, op->words, op->width);
		break;
	case XP_BULK:
		for (unsigned i = 0; i < op->nbulk; i++)
			xp_store64(m, op->bulk[i][0], op->bulk[i][1]);
		break;
	case XP_SUBMIT:
		submit(m, op, who);
		break;
	case XP_REGISTER:
		iommu_model_write(&m->model, op->addr, op->width, op->words[0]);
		break;
	case XP_FREE:
		w->freed[op->addr / XP_PAGE / 64] |= 1ull << op->addr / XP_PAGE % 64;
		break;
	case XP_ATS:
		set_ats(m, (uint32_t)op->addr, op->words[0] != 0);
		break;
	case XP_QUIET:
		w->quiet = op->words[0] != 0;
		break;
	case XP_LOCK:
		if (!op->words[0])
			w->locks[who] |= 1ull << op->addr | op->words[1];
		break;
	case XP_UNLOCK:
		w->locks[who] &= ~(1ull << op->addr);
		break;
	case XP_WAIT:
		w->submitted[who] = 0; /* done with */
		break;
	default:
		break;
	}
}

bool xp_op_ready(const struct xp_machine *m)
{
	return m->world->op < m->c->steps.n && op_ready(m, &m->c->steps.v[m->world->op], 0);
}

void xp_op_do(struct xp_machine *m)
{
	op_do(m, &m->c->steps.v[m->world->op++], 0);
	xp_skip(m);
}

static unsigned map_list(const struct xp_case *c, const struct xp_world *w)
{
	return w->list ? w->list : c->mapper.nlists ? c->mapper.at[w->op] : 0;
}

const struct xp_op *xp_map_op(const struct xp_case *c, const struct xp_world *w)
{
	unsigned list = map_list(c, w);

	return list && w->map_op < c->mapper.lists[list - 1].n ? &c->mapper.lists[list - 1].v[w->map_op] : NULL;
}

bool xp_map_ready(const struct xp_machine *m)
{
	const struct xp_op *op = xp_map_op(m->c, m->world);

	return op && op_ready(m, op, 1);
}

void xp_map_do(struct xp_machine *m)
{
	struct xp_world *w = m->world;
	const struct xp_op *op = xp_map_op(m->c, w);

	w->list = map_list(m->c, w);
	w->map_op++;
	op_do(m, op, 1);
	/* Once it is over it doesn't matter which list it was. */
	if (xp_map_is_over(m->c, w)) {
		w->list = 1;
		w->map_op = UINT32_MAX;
	}
}

void xp_flush(struct xp_machine *m, unsigned i)
{
	struct xp_world *w = m->world;

	store_now(m, w->pending[i].addr, w->pending[i].words, w->pending[i].width);
	w->npending--;
	memmove(&w->pending[i], &w->pending[i + 1], (w->npending - i) * sizeof(w->pending[0]));
	memset(&w->pending[w->npending], 0, sizeof(w->pending[0]));
}

/*
 * The unit's own work. Commands that it has fetched are wiped out of the ring: it reads them no more, and places that differ in who put
 * his into which slot, long ago, are the same.
 */
bool xp_tick(struct xp_machine *m)
{
	unsigned before = m->c->submit ? 0 : consumed(m), after;
	uint64_t ram = m->world->ram_hash;

	if (!iommu_model_tick(&m->model))
		return false;
	after = m->c->submit ? 0 : consumed(m);
	m->fetched = after != before && m->world->ram_hash == ram;
	for (unsigned slot = before; slot < after && slot < m->world->slot; slot++)
		ring_put(m, slot, NULL, 0);
	return true;
}

/* ---- Requests ---- */

void xp_begin(struct xp_machine *m, unsigned actor, struct xp_micro *micro)
{
	const struct xp_actor *a = &m->c->actors[actor];

	memset(micro, 0, sizeof(*micro));
	micro->actor = actor;
	micro->request.rid = a->rid;
	micro->request.pasid = a->pasid;
	micro->request.addr = a->iova;
	micro->request.access = a->access;
	micro->request.kind = a->kind;
	micro->begun = a->kind != IOMMU_REQUEST_TRANSLATED;
	micro->late = xp_is_over(m->c, m->world);
	iommu_model_begin(&m->model, &micro->request);
}

bool xp_step(struct xp_machine *m, struct xp_micro *micro)
{
	m->read_addr = 0;
	m->read_freed = false;
	m->wrote = false;
	if (!micro->begun) {
		uint64_t phys;
		uint32_t rights;

		if (!iommu_model_devtlb_lookup(&m->model, &micro->request, &phys, &rights))
			return false;
		micro->request.addr = phys;
		micro->begun = 1;
		return true;
	}
	m->stepping = true;
	iommu_model_step(&m->model, &micro->request);
	m->stepping = false;
	if (micro->request.state == IOMMU_REQUEST_FAULT)
		m->wrote = false;
	return true;
}

/* ---- What they see ---- */

/* The whole of a request, with no other about and nothing cached. */
static void view(struct xp_machine *m, unsigned actor, struct xp_view *v)
{
	struct xp_micro micro;
	struct iommu_request *r = &micro.request;

	xp_begin(m, actor, &micro);
	micro.begun = 1;
	if (r->kind == IOMMU_REQUEST_TRANSLATED) {
		/* First the question, then the access. */
		r->kind = IOMMU_REQUEST_TRANSLATION;
		while (r->state == IOMMU_REQUEST_RUNNING) {
			xp_first(m);
			iommu_model_step(&m->model, r);
		}
		v->fault = r->state == IOMMU_REQUEST_FAULT;
		xp_begin(m, actor, &micro);
		micro.begun = 1;
		r->kind = IOMMU_REQUEST_UNTRANSLATED;
	} else {
		v->fault = false;
	}
	while (r->state == IOMMU_REQUEST_RUNNING) {
		xp_first(m);
		iommu_model_step(&m->model, r);
	}
	v->fault |= r->state == IOMMU_REQUEST_FAULT;
	v->phys = r->phys;
	v->rights = r->rights & (IOMMU_READ | IOMMU_WRITE);
}

void xp_views(struct xp_case *c)
{
	for (unsigned side = 0; side < 2; side++) {
		struct xp_machine m;

		for (unsigned a = 0; a < c->nactors; a++) {
			memset(&c->views[a][side], 0, sizeof(c->views[a][side]));
			c->views[a][side].fault = true;
		}
		for (unsigned a = 0; a < c->nactors; a++) {
			if (!xp_machine_open(&m, c)) {
				for (unsigned i = 0; side && i < c->nafter; i++)
					xp_store64(&m, c->after_addr + i * 8, c->after[i]);
				for (unsigned i = 0; side && c->ram_after && i < c->pages; i++)
					m.world->pages[i] = c->ram_after + i * XP_PAGE_WORDS;
				view(&m, a, &c->views[a][side]);
			}
			xp_machine_close(&m);
		}
	}
}

static bool sees(const struct xp_view *v, const struct iommu_request *r)
{
	if (r->state == IOMMU_REQUEST_FAULT)
		return v->fault;
	if (v->fault || v->phys != r->phys)
		return false;
	/* What a translated request carries has been looked at when the device's TLB was. */
	return r->kind == IOMMU_REQUEST_TRANSLATED || v->rights == (r->rights & (IOMMU_READ | IOMMU_WRITE));
}

/* Another access to the same address has this page: then it is the rights that are wrong. */
static bool known_page(const struct xp_case *c, const struct xp_actor *a, uint64_t phys)
{
	for (unsigned i = 0; i < c->nactors; i++) {
		if (c->actors[i].role != a->role || c->actors[i].iova != a->iova || c->actors[i].pasid != a->pasid)
			continue;
		for (unsigned side = 0; side < 2; side++) {
			if (!c->views[i][side].fault && c->views[i][side].phys == phys)
				return true;
		}
	}
	return false;
}

static const char *const role_names[] = {
	[XP_DEVICE] = "the device",
	[XP_OLD] = "a device that stays in the old domain",
	[XP_NEW] = "a device that is in the new domain",
	[XP_SIBLING] = "another entry of the same page",
	[XP_NEXT] = "a device that is attached afterwards",
};

static void tell(const struct xp_machine *m, const struct xp_micro *micro, char *detail, size_t size)
{
	const struct xp_case *c = m->c;
	const struct xp_actor *a = &c->actors[micro->actor];
	const struct iommu_request *r = &micro->request;
	static const char *const kinds[] = { "", ", ATS translation", ", translated by ATS" };
	char saw[64], expect[2][48];

	if (r->state == IOMMU_REQUEST_FAULT)
		snprintf(saw, sizeof(saw), "a fault (%s)", iommu_model_reason(&m->model, r->reason));
	else
		snprintf(saw, sizeof(saw), "0x%llx %s%s", (unsigned long long)r->phys, r->rights & IOMMU_READ ? "r" : "-",
			 r->rights & IOMMU_WRITE ? "w" : "-");
	for (unsigned side = 0; side < 2; side++) {
		const struct xp_view *v = &c->views[micro->actor][side];

		if (v->fault)
			snprintf(expect[side], sizeof(expect[side]), "a fault");
		else
			snprintf(expect[side], sizeof(expect[side]), "0x%llx %s%s", (unsigned long long)v->phys,
				 v->rights & IOMMU_READ ? "r" : "-", v->rights & IOMMU_WRITE ? "w" : "-");
	}
	snprintf(detail, size, "%s of 0x%llx by %s%s saw %s; old: %s, new: %s", a->access & IOMMU_WRITE ? "write" : "read",
		 (unsigned long long)a->iova, role_names[a->role], kinds[a->kind], saw, expect[0], expect[1]);
}

/* Is it about the page that the mapper takes away, by somebody for whom that counts? */
static bool is_unmapped(const struct xp_case *c, const struct xp_actor *a)
{
	return c->mapper.nlists && a->iova == c->mapper.iova && (c->mapper.roles >> a->role & 1);
}

enum hitless_violation xp_judge(const struct xp_machine *m, const struct xp_micro *micro, char *detail, size_t size)
{
	const struct xp_case *c = m->c;
	const struct xp_actor *a = &c->actors[micro->actor];
	const struct xp_view *old = &c->views[micro->actor][0], *new = &c->views[micro->actor][1];
	const struct iommu_request *r = &micro->request;
	bool over = xp_is_over(c, m->world);
	enum hitless_violation what;

	if (r->state == IOMMU_REQUEST_RUNNING || micro->prefetch)
		return HITLESS_NO_VIOLATION;
	if (is_unmapped(c, a)) {
		if (r->state == IOMMU_REQUEST_DONE && r->phys == c->mapper.phys && xp_map_is_over(c, m->world)) {
			tell(m, micro, detail, size);
			return HITLESS_UNMAPPED_PAGE_REACHED;
		}
		if (r->state == IOMMU_REQUEST_FAULT && m->world->list)
			return HITLESS_NO_VIOLATION;
	}
	if (a->role == XP_NEXT) {
		if (sees(new, r) || sees(old, r))
			return HITLESS_NO_VIOLATION;
		what = HITLESS_BYSTANDER_CORRUPTED;
	} else if (a->role != XP_DEVICE) {
		if (sees(old, r))
			return HITLESS_NO_VIOLATION;
		what = HITLESS_BYSTANDER_CORRUPTED;
	} else if (sees(new, r) && (m->world->op > 0 || sees(old, r))) {
		return HITLESS_NO_VIOLATION;
	} else if (sees(old, r) && (!over || (c->from_blocked && !micro->late))) {
		return HITLESS_NO_VIOLATION;
	} else if (r->state == IOMMU_REQUEST_FAULT) {
		/* Blocked in between, or by the old entry, though it may learn that later. */
		if ((c->disruptive || sees(old, r)) && !micro->late)
			return HITLESS_NO_VIOLATION;
		what = HITLESS_BLOCKED;
	} else if (sees(new, r)) {
		what = HITLESS_EARLY;
	} else if (sees(old, r)) {
		what = HITLESS_STALE_AFTER_RETURN;
	} else {
		what = known_page(c, a, r->phys) ? HITLESS_WRONG_PERMISSION : HITLESS_THIRD_ADDRESS;
	}
	tell(m, micro, detail, size);
	return what;
}

/* ---- Lists ---- */

void xp_op_add(struct xp_ops *ops, const struct xp_op *op)
{
	if (ops->n == ops->capacity) {
		unsigned capacity = ops->capacity ? ops->capacity * 2 : 32;
		struct xp_op *v = realloc(ops->v, capacity * sizeof(*v));

		if (!v)
			abort();
		ops->v = v;
		ops->capacity = capacity;
	}
	ops->v[ops->n++] = *op;
}

void xp_ops_free(struct xp_ops *ops)
{
	for (unsigned i = 0; i < ops->n; i++)
		free(ops->v[i].bulk);
	free(ops->v);
	memset(ops, 0, sizeof(*ops));
}
