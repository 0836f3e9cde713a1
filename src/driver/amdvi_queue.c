/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_queue.c - the command buffer (2.4) and the control register (3.4.4).
 *
 * Commands of several threads interleave in the buffer, but a batch stays together. It ends with a COMPLETION_WAIT that stores a
 * number to a word of its own; the thread polls that.
 */
#include "amdvi_driver.h"

#include <string.h>

#define COMMAND_BYTES 16u

/* How many polls of a status word go by before a register is read, which costs a bus access. */
#define POLLS_PER_STATUS_READ 16

void amdvi_control(struct amdvi_unit *amdvi, uint64_t set, uint64_t clear)
{
	const struct hitless_port *port = amdvi->unit.port;

	port->lock(port->ctx, &amdvi->register_lock);
	amdvi_write(amdvi, AMDVI_REG_CONTROL, (amdvi_read(amdvi, AMDVI_REG_CONTROL) & ~clear) | set);
	port->unlock(port->ctx, &amdvi->register_lock);
}

int amdvi_await_status(struct amdvi_unit *amdvi, uint64_t bits, uint64_t wanted)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_deadline deadline = amdvi_start(amdvi);

	for (;;) {
		/* The clock first: whoever was stopped for long looks once more before he gives up. */
		bool late = amdvi_late(amdvi, deadline);

		if ((amdvi_read(amdvi, AMDVI_REG_STATUS) & bits) == wanted)
			return 0;
		if (late)
			return -EIO;
		port->relax(port->ctx);
	}
}

/* ---- The ring ---- */

static size_t power_of_two(size_t bytes)
{
	size_t size = HITLESS_PAGE_SIZE;

	while (size < bytes)
		size *= 2;
	return size;
}

RARE int amdvi_queue_init(struct amdvi_unit *amdvi, unsigned order)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_queue *queue = &amdvi->queue;
	uint64_t base = 0;
	int err;

	queue->ring_bytes = (size_t)HITLESS_PAGE_SIZE << order;
	queue->count = (unsigned)(queue->ring_bytes / COMMAND_BYTES);
	queue->status_bytes = power_of_two(queue->count * sizeof(*queue->status));
	err = port->lock_init(port->ctx, &queue->lock);
	if (err)
		return err;
	queue->ring = port->alloc_pages(port->ctx, queue->ring_bytes);
	queue->status = port->alloc_pages(port->ctx, queue->status_bytes);
	if (!queue->ring || !queue->status) {
		amdvi_queue_fini(amdvi);
		return -ENOMEM;
	}
	/* 2^8 commands in the first page. */
	SET(AMDVI_BUFFER, LEN, &base, 8 + order);
	SET_ADDR(AMDVI_BUFFER, BASE, &base, amdvi_phys(amdvi, queue->ring));
	amdvi_write(amdvi, AMDVI_REG_CMD_BASE, base);
	amdvi_write(amdvi, AMDVI_REG_CMD_HEAD, 0);
	amdvi_write(amdvi, AMDVI_REG_CMD_TAIL, 0);
	return 0;
}

RARE void amdvi_queue_fini(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_queue *queue = &amdvi->queue;

	if (queue->ring)
		port->free_pages(port->ctx, queue->ring, queue->ring_bytes);
	if (queue->status)
		port->free_pages(port->ctx, queue->status, queue->status_bytes);
	queue->ring = NULL;
	queue->status = NULL;
	port->lock_destroy(port->ctx, &queue->lock);
}

/* Has the hardware given up on the buffer? It stops at a command that it rejects or can't read (2.5.6, 2.5.7). */
static bool queue_stopped(const struct amdvi_unit *amdvi)
{
	uint64_t status = amdvi_read(amdvi, AMDVI_REG_STATUS);

	return !GET(AMDVI_STATUS, CMD_BUF_RUN, &status);
}

static unsigned read_head(const struct amdvi_unit *amdvi)
{
	uint64_t head = amdvi_read(amdvi, AMDVI_REG_CMD_HEAD);

	return (unsigned)GET(AMDVI_POINTER, OFFSET, &head) % amdvi->queue.count;
}

static void ring_doorbell(const struct amdvi_unit *amdvi)
{
	amdvi->unit.port->write_barrier(amdvi->unit.port->ctx);
	amdvi_write(amdvi, AMDVI_REG_CMD_TAIL, (uint64_t)amdvi->queue.tail * COMMAND_BYTES);
}

/* The place after the tail. */
static unsigned next_place(const struct amdvi_queue *queue)
{
	return queue->tail + 1 == queue->count ? 0 : queue->tail + 1;
}

/* make_room() in a queue that was full when it was last looked at. */
static RARE int await_room(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_queue *queue = &amdvi->queue;
	unsigned next = next_place(queue);
	struct amdvi_deadline deadline;

	queue->head = read_head(amdvi);
	if (next != queue->head)
		return 0;
	ring_doorbell(amdvi);
	deadline = amdvi_start(amdvi);
	while (next == queue->head) {
		bool over = amdvi_late(amdvi, deadline) || queue_stopped(amdvi);

		queue->head = read_head(amdvi);
		if (over && next == queue->head)
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

/* Room for one command more. One place stays free, or a full buffer would look empty. Under the queue lock. */
static inline int make_room(struct amdvi_unit *amdvi)
{
	return next_place(&amdvi->queue) != amdvi->queue.head ? 0 : await_room(amdvi);
}

static inline int push(struct amdvi_unit *amdvi, const uint64_t *command)
{
	struct amdvi_queue *queue = &amdvi->queue;
	int err = make_room(amdvi);

	if (err)
		return err;
	memcpy((char *)queue->ring + (size_t)queue->tail * COMMAND_BYTES, command, COMMAND_BYTES);
	queue->tail = next_place(queue);
	return 0;
}

/* 2.4.1: F holds back what comes after; S stores the data. */
static int push_fence(struct amdvi_unit *amdvi)
{
	uint64_t command[2] = { 0 };

	SET(AMDVI_CMD_WAIT, OPCODE, command, AMDVI_CMD_WAIT);
	SET(AMDVI_CMD_WAIT, F, command, 1);
	return push(amdvi, command);
}

/* A status word and what will be in it. */
struct pending {
	uint64_t *word;
	uint64_t value;
};

/* The slot may already hold a later wait's number: then this one is done too. 64 bits never wrap. */
static bool is_done(const struct pending *pending)
{
	return __atomic_load_n(pending->word, __ATOMIC_ACQUIRE) >= pending->value;
}

static int push_wait(struct amdvi_unit *amdvi, struct pending *pending)
{
	struct amdvi_queue *queue = &amdvi->queue;
	uint64_t command[2] = { 0 };
	int err = make_room(amdvi);

	if (err)
		return err;
	pending->word = &queue->status[queue->tail];
	pending->value = ++queue->sequence;
	SET(AMDVI_CMD_WAIT, OPCODE, command, AMDVI_CMD_WAIT);
	SET(AMDVI_CMD_WAIT, S, command, 1);
	SET(AMDVI_CMD_WAIT, F, command, 1);
	SET_ADDR(AMDVI_CMD_WAIT, STORE_ADDR, command, amdvi_phys(amdvi, pending->word));
	SET(AMDVI_CMD_WAIT, STORE_DATA, command, pending->value);
	return push(amdvi, command);
}

static int poll(struct amdvi_unit *amdvi, const struct pending *pending)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_deadline deadline = { 0 };

	for (unsigned polls = 1; !is_done(pending); polls++) {
		if (polls == 1)
			deadline = amdvi_start(amdvi);
		if (polls % POLLS_PER_STATUS_READ == 0 && (queue_stopped(amdvi) || amdvi_late(amdvi, deadline)) &&
		    !is_done(pending))
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

static int commands(struct amdvi_unit *amdvi, const struct iommu_step *steps, unsigned count)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct pending pending = { 0 };
	int err = 0;

	port->lock(port->ctx, &amdvi->queue.lock);
	for (unsigned i = 0; i < count && !err; i++) {
		const struct iommu_step *step = &steps[i];

		if (step->op == IOMMU_STEP_INVALIDATE)
			err = push(amdvi, step->words);
		else
			err = step->poll ? push_wait(amdvi, &pending) : push_fence(amdvi);
	}
	if (!err)
		ring_doorbell(amdvi);
	port->unlock(port->ctx, &amdvi->queue.lock);
	return !err && pending.word ? poll(amdvi, &pending) : err;
}

/* A log that is full whenever one looks is a device that faults without end: after so many times it could hide anything. */
#define MAX_REPEATS 16

int amdvi_commands(void *unit, const struct iommu_step *steps, unsigned count)
{
	struct amdvi_unit *amdvi = unit;
	unsigned restarts;
	bool devtlb = false;
	int err;

	for (unsigned i = 0; i < count; i++)
		devtlb |= steps[i].op == IOMMU_STEP_INVALIDATE && steps[i].cache == IOMMU_CACHE_DEVTLB;
	if (!devtlb)
		return commands(amdvi, steps, count);
	for (unsigned repeats = 0; repeats < MAX_REPEATS; repeats++) {
		restarts = amdvi_log_restarts(amdvi);
		err = commands(amdvi, steps, count);
		if (!err)
			err = amdvi_devtlb_verdict(amdvi, restarts);
		if (err != -EAGAIN)
			return err;
	}
	return -EIO;
}

/* A command that the hardware would choke on would stop the buffer for everybody: it never gets there. */
static RARE bool is_valid(const struct amdvi_unit *amdvi, const uint64_t *command)
{
	uint64_t used[2] = { 0 };

	switch (GET(AMDVI_CMD, OPCODE, command)) {
	case AMDVI_CMD_WAIT: {
		AMDVI_CMD_WAIT_LIST(AMDVI_CMD_WAIT, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_DTE: {
		AMDVI_CMD_DTE_LIST(AMDVI_CMD_DTE, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_PAGES: {
		AMDVI_CMD_PAGES_LIST(AMDVI_CMD_PAGES, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_IOTLB: {
		if (!AMDVI_CAPABILITY_OF(amdvi, IOTLB_SUP))
			return false;
		AMDVI_CMD_IOTLB_LIST(AMDVI_CMD_IOTLB, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_INTERRUPTS: {
		AMDVI_CMD_INTERRUPTS_LIST(AMDVI_CMD_INTERRUPTS, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_PREFETCH: {
		if (!AMDVI_EFR_OF(amdvi, PREF_SUP))
			return false;
		AMDVI_CMD_PREFETCH_LIST(AMDVI_CMD_PREFETCH, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_PPR: {
		if (!AMDVI_EFR_OF(amdvi, PPR_SUP))
			return false;
		AMDVI_CMD_PPR_LIST(AMDVI_CMD_PPR, LAYOUT_NAME_BITS)
		break;
	}
	case AMDVI_CMD_ALL: {
		if (!AMDVI_EFR_OF(amdvi, IA_SUP))
			return false;
		AMDVI_CMD_ALL_LIST(AMDVI_CMD_ALL, LAYOUT_NAME_BITS)
		break;
	}
	default:
		return false;
	}
	return !(command[0] & ~used[0]) && !(command[1] & ~used[1]);
}

/* All of them, or just those to device TLBs. */
static int submit(struct amdvi_unit *amdvi, const uint64_t *commands, unsigned count, bool devtlb)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct pending pending = { 0 };
	int err = 0;

	port->lock(port->ctx, &amdvi->queue.lock);
	for (unsigned i = 0; i < count && !err; i++)
		if (!devtlb || GET(AMDVI_CMD, OPCODE, commands + (size_t)i * 2) == AMDVI_CMD_IOTLB)
			err = push(amdvi, commands + (size_t)i * 2);
	if (!err)
		err = push_wait(amdvi, &pending);
	if (!err)
		ring_doorbell(amdvi);
	port->unlock(port->ctx, &amdvi->queue.lock);
	return err ? err : poll(amdvi, &pending);
}

RARE int amdvi_submit(struct iommu_unit *unit, const void *commands, unsigned count)
{
	struct amdvi_unit *amdvi = to_amdvi(unit);
	unsigned restarts;
	bool devtlb = false;
	int err;

	if (count > amdvi->queue.count - 2)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		const uint64_t *command = (const uint64_t *)commands + (size_t)i * 2;

		if (!is_valid(amdvi, command))
			return -EINVAL;
		devtlb |= GET(AMDVI_CMD, OPCODE, command) == AMDVI_CMD_IOTLB;
	}
	if (!devtlb)
		return submit(amdvi, commands, count, false);
	for (unsigned repeats = 0; repeats < MAX_REPEATS; repeats++) {
		restarts = amdvi_log_restarts(amdvi);
		err = submit(amdvi, commands, count, repeats != 0);
		if (!err)
			err = amdvi_devtlb_verdict(amdvi, restarts);
		if (err != -EAGAIN)
			return err;
	}
	return -EIO;
}

/* Without INVALIDATE_IOMMU_ALL: every device, then every domain. */
static int forget_one_by_one(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct pending pending = { 0 };
	int err = 0;

	port->lock(port->ctx, &amdvi->queue.lock);
	for (uint32_t i = 0; i < amdvi->devices && !err; i++) {
		uint64_t command[2] = { 0 };

		SET(AMDVI_CMD_DTE, OPCODE, command, AMDVI_CMD_DTE);
		SET(AMDVI_CMD_DTE, DEVICE_ID, command, i);
		err = push(amdvi, command);
	}
	if (!err)
		err = push_fence(amdvi);
	for (uint32_t i = 0; i < 0x10000 && !err; i++) {
		uint64_t command[2] = { 0 };

		SET(AMDVI_CMD_PAGES, OPCODE, command, AMDVI_CMD_PAGES);
		SET(AMDVI_CMD_PAGES, DOMAIN_ID, command, i);
		SET(AMDVI_CMD_PAGES, PDE, command, 1);
		SET(AMDVI_CMD_PAGES, S, command, 1);
		SET_ADDR(AMDVI_CMD_PAGES, ADDR, command, AMDVI_ALL_ADDRESSES);
		err = push(amdvi, command);
	}
	if (!err)
		err = push_wait(amdvi, &pending);
	if (!err)
		ring_doorbell(amdvi);
	port->unlock(port->ctx, &amdvi->queue.lock);
	return err ? err : poll(amdvi, &pending);
}

int amdvi_forget_all(struct amdvi_unit *amdvi)
{
	uint64_t command[2] = { 0 };

	if (!AMDVI_EFR_OF(amdvi, IA_SUP))
		return forget_one_by_one(amdvi);
	SET(AMDVI_CMD_ALL, OPCODE, command, AMDVI_CMD_ALL);
	return amdvi_submit(&amdvi->unit, command, 1);
}
