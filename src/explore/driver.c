/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* driver.c - the driver's port and the model's, over the same memory, both with a pencil. */
#include "driver.h"
#include "entry.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct xp_host *h, const struct xp_op *op)
{
	xp_op_add(h->record, op);
}

static uint64_t phys(const struct xp_host *h, const void *memory)
{
	return (uint64_t)((const char *)memory - (const char *)h->ram);
}

static bool in_ring(const struct xp_host *h, uint64_t addr)
{
	return h->queue_known && addr - h->queue.ring < (uint64_t)h->queue.bytes * h->queue.count;
}

/* ---- Plain stores: found by comparison ---- */

/* A unit that doesn't snoop sees each word for itself, at any time up to its write-back. */
static void add_words(struct xp_host *h)
{
	for (uint64_t i = 0; i < h->pages * XP_PAGE_WORDS; i++) {
		struct xp_op op = { .kind = XP_STORE, .width = 8, .addr = i * 8, .words = { h->ram[i] } };

		if (h->ram[i] == h->shadow[i] || in_ring(h, i * 8))
			continue;
		snprintf(op.text, sizeof(op.text), "store 0x%llx at 0x%llx (was 0x%llx)", (unsigned long long)h->ram[i],
			 (unsigned long long)op.addr, (unsigned long long)h->shadow[i]);
		add(h, &op);
	}
}

static void add_plain(struct xp_host *h, unsigned n)
{
	struct xp_op op = { .kind = XP_BULK };

	if (h->noncoherent && n <= XP_MAX_PENDING / 2) {
		add_words(h);
		return;
	}

	op.bulk = malloc(n * sizeof(*op.bulk));
	if (!op.bulk)
		abort();
	for (uint64_t i = 0; i < h->pages * XP_PAGE_WORDS; i++) {
		if (h->ram[i] == h->shadow[i] || in_ring(h, i * 8))
			continue;
		op.bulk[op.nbulk][0] = i * 8;
		op.bulk[op.nbulk++][1] = h->ram[i];
	}
	for (unsigned i = 0, used = 0; i < n && i < 2 && used < sizeof(op.text); i++)
		used += (unsigned)snprintf(op.text + used, sizeof(op.text) - used, "%s 0x%llx at 0x%llx (was 0x%llx)", i ? "," : "store",
					   (unsigned long long)op.bulk[i][1], (unsigned long long)op.bulk[i][0],
					   (unsigned long long)h->shadow[op.bulk[i][0] / 8]);
	if (n > 2)
		snprintf(op.text + strlen(op.text), sizeof(op.text) - strlen(op.text), " and %u words more", n - 2);
	add(h, &op);
}

void xp_host_sync(struct xp_host *h)
{
	unsigned n = 0;

	if (!h->record)
		return;
	for (unsigned page = 0; page < h->pages; page++) {
		const uint64_t *now = h->ram + page * XP_PAGE_WORDS, *then = h->shadow + page * XP_PAGE_WORDS;

		if (in_ring(h, page * XP_PAGE) || memcmp(now, then, XP_PAGE) == 0)
			continue;
		for (unsigned i = 0; i < XP_PAGE_WORDS; i++)
			n += now[i] != then[i];
	}
	if (n)
		add_plain(h, n);
	memcpy(h->shadow, h->ram, h->pages * XP_PAGE);
}

/* ---- Steps of the driver ---- */

/* "pasid-entry of device 1, 128 bits at word 0: DID 4 -> 5". */
static void name_store(const struct xp_host *h, struct xp_op *op)
{
	const struct iommu_step *step = h->step;
	unsigned words = op->width / 8;
	uint64_t old[IOMMU_ENTRY_WORDS] = { 0 }, new[IOMMU_ENTRY_WORDS] = { 0 };
	const struct xp_arch *arch = step && step->op == IOMMU_STEP_STORE ? xp_arch_of_structure(h->arch->name, step->structure) : NULL;
	uint64_t base;
	char text[100];

	if (!step || step->op != IOMMU_STEP_STORE || (!arch && step->place != IOMMU_PLACE_PARENT)) {
		snprintf(op->text, sizeof(op->text), "store 0x%llx at 0x%llx", (unsigned long long)op->words[0], (unsigned long long)op->addr);
		return;
	}
	if (step->place == IOMMU_PLACE_PARENT) {
		snprintf(op->text, sizeof(op->text), "store %s of device %u: 0x%llx", step->structure, step->device,
			 (unsigned long long)op->words[0]);
		return;
	}
	base = op->addr - (uint64_t)step->quantum * words * 8;
	memcpy(old, h->ram + base / 8, arch->format->words * 8);
	memcpy(new, old, sizeof(new));
	memcpy(new + step->quantum * words, op->words, op->width);
	arch->changes(old, new, step->quantum * words, words, text, sizeof(text));
	snprintf(op->text, sizeof(op->text), "store %s of device %u, %u bits at word %u: %s", step->structure, step->device, op->width * 8,
		 step->quantum * words, text);
}

static void store(struct xp_host *h, void *where, const uint64_t *words, unsigned width)
{
	struct xp_op op = { .kind = XP_STORE, .width = width, .addr = phys(h, where) };

	xp_host_sync(h);
	memcpy(op.words, words, width);
	if (h->record) {
		name_store(h, &op);
		add(h, &op);
	}
	memcpy(where, words, width);
	memcpy((char *)h->shadow + op.addr, words, width);
}

static void port_store64(void *ctx, void *entry, uint64_t value)
{
	store(ctx, entry, &value, 8);
}

static void port_store128(void *ctx, void *entry, uint64_t low, uint64_t high)
{
	const uint64_t words[2] = { low, high };

	store(ctx, entry, words, 16);
}

static void port_barrier(void *ctx)
{
	xp_host_sync(ctx);
}

static void port_writeback(void *ctx, const void *memory, size_t bytes)
{
	struct xp_host *h = ctx;
	struct xp_op op = { .kind = XP_WRITEBACK, .addr = phys(h, memory), .width = (uint32_t)bytes };

	if (!h->record)
		return;
	xp_host_sync(h);
	snprintf(op.text, sizeof(op.text), "write back %zu bytes at 0x%llx", bytes, (unsigned long long)op.addr);
	add(h, &op);
}

static void port_trace(void *ctx, const struct iommu_step *step)
{
	struct xp_host *h = ctx;
	size_t used = strlen(h->commands);

	h->step = step;
	if (h->record) {
		h->cost.stores += step->op == IOMMU_STEP_STORE;
		h->cost.commands += step->op == IOMMU_STEP_INVALIDATE && step->nwords;
		h->cost.rounds += step->op == IOMMU_STEP_WAIT;
		h->cost.polls += step->op == IOMMU_STEP_WAIT && step->poll;
	}
	if (step->op == IOMMU_STEP_INVALIDATE && step->nwords)
		snprintf(h->commands + used, sizeof(h->commands) - used, "%s%s %s", used ? "; " : "", step->structure, step->scope);
	else if (step->op == IOMMU_STEP_WAIT)
		snprintf(h->commands + used, sizeof(h->commands) - used, "%s%s", used ? "; " : "", step->poll ? "wait" : "fence");
}

/* ---- Memory ---- */

static bool starved(struct xp_host *h)
{
	if (!h->fail_at || --h->fail_at)
		return false;
	h->failed = true;
	return true;
}

static void *port_alloc_pages(void *ctx, size_t bytes)
{
	struct xp_host *h = ctx;
	unsigned count = (unsigned)(bytes / XP_PAGE), first = (h->pages + count - 1) / count * count;

	xp_host_sync(h);
	if (starved(h))
		return NULL;
	if (first + count > XP_MAX_PAGES) {
		h->full = true;
		return NULL;
	}
	h->pages = first + count;
	h->live_pages += count;
	return (char *)h->ram + first * XP_PAGE;
}

static void port_free_pages(void *ctx, void *pages, size_t bytes)
{
	struct xp_host *h = ctx;
	uint64_t addr = phys(h, pages);

	xp_host_sync(h);
	for (uint64_t at = addr; at < addr + bytes && !(h->failed && h->keeps); at += XP_PAGE) {
		struct xp_op op = { .kind = XP_FREE, .addr = at };

		h->live_pages--;
		snprintf(op.text, sizeof(op.text), "free the page at 0x%llx", (unsigned long long)at);
		if (h->record)
			add(h, &op);
	}
}

static void *port_alloc(void *ctx, size_t bytes)
{
	struct xp_host *h = ctx;
	char *memory = h->heap + h->heap_used;

	bytes = (bytes + 63) & ~(size_t)63;
	if (starved(h))
		return NULL;
	if (h->heap_used + bytes > XP_HEAP_BYTES) {
		h->full = true;
		return NULL;
	}
	h->heap_used += bytes;
	h->heap_live += bytes;
	return memory;
}

static void port_free(void *ctx, void *memory, size_t bytes)
{
	struct xp_host *h = ctx;

	(void)memory;
	if (!(h->failed && h->keeps))
		h->heap_live -= (bytes + 63) & ~(size_t)63;
}

/* ---- Registers and config space ---- */

static uint64_t mmio_read(struct xp_host *h, uint64_t addr, unsigned size)
{
	uint64_t offset = addr - h->arch->driver->registers;

	if (offset >= h->arch->driver->register_bytes)
		return size == 4 ? 0xffffffffu : UINT64_MAX;
	return iommu_model_read(&h->model, offset, size);
}

static void ring_doorbell(struct xp_host *h, uint64_t value)
{
	struct xp_queue *q = &h->queue;
	unsigned tail = (unsigned)(value >> q->shift) % q->turn;
	struct xp_op op = { .kind = XP_SUBMIT };

	h->wrote_at = 0;
	h->submitted = true;
	op.nbulk = (tail + q->turn - q->first) % q->turn;
	if (h->record && op.nbulk) {
		xp_host_sync(h);
		op.bulk = malloc(op.nbulk * sizeof(*op.bulk));
		if (!op.bulk)
			abort();
		for (unsigned i = 0; i < op.nbulk; i++)
			memcpy(op.bulk[i], (char *)h->ram + q->ring + (q->first + i) % q->count * q->bytes, 16);
		snprintf(op.text, sizeof(op.text), "submit: %s", h->commands);
		add(h, &op);
	}
	h->commands[0] = '\0';
	q->first = tail;
}

static void mmio_write(struct xp_host *h, uint64_t addr, unsigned size, uint64_t value)
{
	const struct xp_driver *driver = h->arch->driver;
	struct xp_op op = { .kind = XP_REGISTER, .addr = addr - driver->registers, .width = size, .words = { value } };

	if (op.addr >= driver->register_bytes)
		return;
	xp_host_sync(h);
	if (h->queue_known && op.addr == driver->doorbell) {
		ring_doorbell(h, value);
	} else if (h->record) {
		snprintf(op.text, sizeof(op.text), "write 0x%llx to the register at 0x%llx", (unsigned long long)value,
			 (unsigned long long)op.addr);
		add(h, &op);
	}
	iommu_model_write(&h->model, op.addr, size, value);
}

static uint32_t port_read32(void *ctx, uint64_t addr)
{
	return (uint32_t)mmio_read(ctx, addr, 4);
}

static uint64_t port_read64(void *ctx, uint64_t addr)
{
	return mmio_read(ctx, addr, 8);
}

static void port_write32(void *ctx, uint64_t addr, uint32_t value)
{
	mmio_write(ctx, addr, 4, value);
}

static void port_write64(void *ctx, uint64_t addr, uint64_t value)
{
	mmio_write(ctx, addr, 8, value);
}

/* PCI Express: extended capabilities. ATS, whose control register has Enable in bit 15; and PASID, 20 bits wide. */
#define ATS_CAPABILITY 0x100u
#define PASID_CAPABILITY 0x110u

void xp_host_add_function(struct xp_host *h, uint32_t rid)
{
	for (unsigned i = 0; i < h->nfunctions; i++) {
		if (h->functions[i].rid == rid)
			return;
	}
	if (h->nfunctions < XP_MAX_FUNCTIONS)
		h->functions[h->nfunctions++].rid = rid;
	else
		h->full = true;
}

bool xp_host_ats(const struct xp_host *h, uint32_t rid)
{
	for (unsigned i = 0; i < h->nfunctions; i++) {
		if (h->functions[i].rid == rid)
			return h->functions[i].ats >> 15 & 1;
	}
	return false;
}

static uint32_t port_pci_read(void *ctx, uint32_t rid, unsigned offset, unsigned size)
{
	const struct xp_host *h = ctx;

	for (unsigned i = 0; i < h->nfunctions; i++) {
		if (h->functions[i].rid != rid)
			continue;
		switch (offset) {
		case ATS_CAPABILITY:
			return PASID_CAPABILITY << 20 | 0x1000f;
		case ATS_CAPABILITY + 6:
			return h->functions[i].ats;
		case PASID_CAPABILITY:
			return 0x1001b;
		case PASID_CAPABILITY + 4:
			return 20 << 8;
		case PASID_CAPABILITY + 6:
			return h->functions[i].pasid;
		default:
			return 0;
		}
	}
	return size == 2 ? 0xffff : 0xffffffffu;
}

static void port_pci_write(void *ctx, uint32_t rid, unsigned offset, unsigned size, uint32_t value)
{
	struct xp_host *h = ctx;
	struct xp_op op = { .kind = XP_ATS, .addr = rid, .words = { value >> 15 & 1 } };

	(void)size;
	xp_host_sync(h);
	for (unsigned i = 0; i < h->nfunctions; i++) {
		if (h->functions[i].rid == rid && offset == ATS_CAPABILITY + 6)
			h->functions[i].ats = (uint16_t)value;
		if (h->functions[i].rid == rid && offset == PASID_CAPABILITY + 6)
			h->functions[i].pasid = (uint16_t)value;
	}
	/* PASIDs are on as long as the device is there. */
	if (offset != ATS_CAPABILITY + 6)
		return;
	snprintf(op.text, sizeof(op.text), "switch ATS of the device %02x:%02x %s", rid >> 8 & 0xff, rid & 0xff, op.words[0] ? "on" : "off");
	if (h->record)
		add(h, &op);
}

/* ---- Locks, time ---- */

static unsigned lock_number(struct xp_host *h, const struct hitless_lock *lock)
{
	for (unsigned i = h->nlocks; i-- > 0;) {
		if (h->locks[i] == lock)
			return i;
	}
	h->full = true;
	return 0;
}

static int port_lock_init(void *ctx, struct hitless_lock *lock)
{
	struct xp_host *h = ctx;

	if (starved(h))
		return -ENOMEM;
	if (h->nlocks == XP_MAX_LOCKS) {
		h->full = true;
		return -ENOMEM;
	}
	h->locks[h->nlocks++] = lock;
	return 0;
}

static void port_lock_destroy(void *ctx, struct hitless_lock *lock)
{
	(void)ctx;
	(void)lock;
}

static void port_lock(void *ctx, struct hitless_lock *lock)
{
	struct xp_host *h = ctx;
	struct xp_op op = { .kind = XP_LOCK, .addr = lock_number(h, lock) };

	xp_host_sync(h);
	h->deadlock |= h->held[op.addr];
	h->held[op.addr] = true;
	h->last_lock = (unsigned)op.addr;
	snprintf(op.text, sizeof(op.text), "lock %u", (unsigned)op.addr);
	if (h->record)
		add(h, &op);
}

static void port_unlock(void *ctx, struct hitless_lock *lock)
{
	struct xp_host *h = ctx;
	struct xp_op op = { .kind = XP_UNLOCK, .addr = lock_number(h, lock) };

	xp_host_sync(h);
	h->held[op.addr] = false;
	snprintf(op.text, sizeof(op.text), "unlock %u", (unsigned)op.addr);
	if (h->record)
		add(h, &op);
	if (h->unlocked)
		h->unlocked(h->ctx, (unsigned)op.addr);
}

static uint64_t port_now(void *ctx)
{
	return ((struct xp_host *)ctx)->clock += 1000;
}

static void port_relax(void *ctx)
{
	struct xp_host *h = ctx;
	struct xp_op op = { .kind = XP_WAIT };

	xp_host_sync(h);
	h->clock += 1000000;
	while (iommu_model_tick(&h->model))
		;
	iommu_model_settle(&h->model);
	if (!h->submitted)
		return;
	/* It polls a word that a command has written, or where the unit has got to in the queue. */
	h->submitted = false;
	h->waits++;
	op.addr = h->wrote_at;
	op.words[0] = h->wrote;
	op.by_head = !h->wrote_at;
	h->wrote_at = 0;
	snprintf(op.text, sizeof(op.text), "wait until all that is done");
	if (h->record)
		add(h, &op);
}

/* ---- The model's port ---- */

static bool in_ram(uint64_t addr, unsigned bytes)
{
	return addr % bytes == 0 && addr < XP_MAX_PAGES * XP_PAGE;
}

static bool model_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct xp_host *h = ctx;

	if (!in_ram(addr, 8))
		return false;
	*value = h->ram[addr / 8];
	return true;
}

static bool model_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	return in_ram(addr, 16) && model_read64(ctx, addr, &value[0]) && model_read64(ctx, addr + 8, &value[1]);
}

static bool model_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct xp_host *h = ctx;

	if (!in_ram(addr, 8))
		return false;
	h->ram[addr / 8] = h->shadow[addr / 8] = value;
	h->wrote_at = addr;
	h->wrote = value;
	return true;
}

static bool model_write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct xp_host *h = ctx;
	unsigned shift = addr % 8 * 8;
	uint64_t word;

	if (!in_ram(addr, 4))
		return false;
	word = (h->ram[addr / 8] & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	h->ram[addr / 8] = h->shadow[addr / 8] = word;
	h->wrote_at = addr;
	h->wrote = value;
	return true;
}

static bool model_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	struct xp_host *h = ctx;

	if (!in_ram(addr, 8))
		return false;
	if (h->ram[addr / 8] != *expected) {
		*expected = h->ram[addr / 8];
		return false;
	}
	h->ram[addr / 8] = h->shadow[addr / 8] = value;
	return true;
}

void xp_host_dma(struct xp_host *h, uint32_t rid, uint64_t iova, unsigned access)
{
	struct iommu_request request = { .rid = rid, .pasid = IOMMU_NO_PASID, .addr = iova, .access = (uint8_t)access };

	iommu_model_translate(&h->model, &request);
	iommu_model_end(&h->model, &request);
}

/* ---- Power ---- */

int xp_host_open(struct xp_host *h, const struct xp_arch *arch, const struct iommu_model_config *config, bool store128,
		 bool noncoherent, struct iommu_unit **unit)
{
	int err;

	memset(h, 0, sizeof(*h));
	h->arch = arch;
	h->config = *config;
	h->noncoherent = noncoherent;
	h->pages = 1; /* nothing lies at address 0 */
	h->ram = aligned_alloc(XP_PAGE * 64, XP_MAX_PAGES * XP_PAGE);
	h->shadow = calloc(XP_MAX_PAGES, XP_PAGE);
	h->heap = aligned_alloc(64, XP_HEAP_BYTES);
	h->state_bytes = iommu_model_size(arch->model, config);
	if (!h->state_bytes)
		return -EINVAL;
	h->model.state = aligned_alloc(64, (h->state_bytes + 63) & ~(size_t)63);
	if (!h->ram || !h->shadow || !h->heap || !h->model.state)
		return -ENOMEM;
	memset(h->ram, 0, XP_MAX_PAGES * XP_PAGE);
	memset(h->heap, 0, XP_HEAP_BYTES);
	h->model_port = (struct iommu_model_port){
		.ctx = h,
		.read64 = model_read64,
		.read128 = model_read128,
		.write32 = model_write32,
		.write64 = model_write64,
		.cas64 = model_cas64,
	};
	h->port = (struct hitless_port){
		.ctx = h,
		.direct_map = (uintptr_t)h->ram,
		.alloc_pages = port_alloc_pages,
		.free_pages = port_free_pages,
		.alloc = port_alloc,
		.free = port_free,
		.mmio_read32 = port_read32,
		.mmio_read64 = port_read64,
		.mmio_write32 = port_write32,
		.mmio_write64 = port_write64,
		.pci_read = port_pci_read,
		.pci_write = port_pci_write,
		.store64 = port_store64,
		.store128 = store128 ? port_store128 : NULL,
		.write_barrier = port_barrier,
		.writeback = port_writeback,
		.lock_init = port_lock_init,
		.lock_destroy = port_lock_destroy,
		.lock = port_lock,
		.unlock = port_unlock,
		.now_ns = port_now,
		.relax = port_relax,
		.trace = port_trace,
	};
	err = iommu_model_init(&h->model, arch->model, config, &h->model_port, h->model.state);
	if (!err)
		err = arch->driver->create(&h->port, noncoherent, unit);
	if (err)
		return err;
	arch->driver->queue(&h->model, &h->queue);
	if (!h->queue.turn)
		h->queue.turn = h->queue.count;
	h->queue.first = (unsigned)(iommu_model_read(&h->model, h->queue.doorbell, h->queue.doorbell_bytes) >> h->queue.shift);
	h->queue_known = true;
	h->commands[0] = '\0';
	return 0;
}

void xp_host_close(struct xp_host *h)
{
	free(h->ram);
	free(h->shadow);
	free(h->heap);
	free(h->model.state);
	memset(h, 0, sizeof(*h));
}
