/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_queue.c - the command queue (3.1).
 *
 * Commands of several threads interleave in the queue. Each thread ends its batch with an IOFENCE.C of its own; the commands before
 * it are done when that is, whoever submitted them. The fence stores a word that the thread polls. A unit that is not coherent would
 * store it past the CPU's caches: there cqh is polled, which passes a fence only when that is complete.
 */
#include "riscv_driver.h"

#include <string.h>

/* How many polls of a status word go by before a register is read, which costs more. */
#define POLLS_PER_STATUS_READ 16

int riscv_wait32(const struct riscv_unit *riscv, unsigned reg, uint32_t mask, uint32_t want)
{
	struct riscv_deadline deadline = riscv_start(riscv);

	for (;;) {
		/* The clock first: whoever was stopped for long looks once more before he gives up. */
		bool late = riscv_late(riscv, deadline);

		if ((riscv_read32(riscv, reg) & mask) == want)
			return 0;
		if (late)
			return -EIO;
		riscv->unit.port->relax(riscv->unit.port->ctx);
	}
}

static size_t power_of_two(size_t bytes)
{
	size_t size = HITLESS_PAGE_SIZE;

	while (size < bytes)
		size *= 2;
	return size;
}

static unsigned count_of(const struct riscv_queue *queue)
{
	return 1u << queue->order;
}

static unsigned index_of(const struct riscv_queue *queue, uint64_t position)
{
	return (unsigned)(position & (count_of(queue) - 1));
}

static RARE void free_memory(struct riscv_unit *riscv)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_queue *queue = &riscv->queue;

	if (queue->ring)
		port->free_pages(port->ctx, queue->ring, queue->ring_bytes);
	if (queue->status)
		port->free_pages(port->ctx, queue->status, queue->status_bytes);
	queue->ring = NULL;
	queue->status = NULL;
	port->lock_destroy(port->ctx, &queue->lock);
}

/* 6.2: base and size, tail, enable; then the queue is on. */
RARE int riscv_queue_init(struct riscv_unit *riscv, unsigned order)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_queue *queue = &riscv->queue;
	uint64_t cqb = 0;
	int err;

	queue->ring_bytes = (size_t)HITLESS_PAGE_SIZE << order;
	queue->order = order + 8;
	queue->status_bytes = power_of_two(count_of(queue) * sizeof(*queue->status));
	err = port->lock_init(port->ctx, &queue->lock);
	if (err)
		return err;
	queue->ring = port->alloc_pages(port->ctx, queue->ring_bytes);
	queue->status = port->alloc_pages(port->ctx, queue->status_bytes);
	if (!queue->ring || !queue->status) {
		free_memory(riscv);
		return -ENOMEM;
	}
	SET(RISCV_QUEUE_BASE, LOG2SZ, &cqb, queue->order - 1);
	SET(RISCV_QUEUE_BASE, PPN, &cqb, RISCV_PPN(riscv_phys(riscv, queue->ring)));
	riscv_write64(riscv, RISCV_REG_CQB, cqb);
	riscv_write32(riscv, RISCV_REG_CQT, 0);
	riscv_write32(riscv, RISCV_REG_CQCSR, (uint32_t)BITS(RISCV_CQCSR, CQEN));
	return riscv_wait32(riscv, RISCV_REG_CQCSR, (uint32_t)(BITS(RISCV_CQCSR, CQON) | BITS(RISCV_CQCSR, BUSY)),
			    (uint32_t)BITS(RISCV_CQCSR, CQON));
}

RARE int riscv_queue_fini(struct riscv_unit *riscv)
{
	int err;

	if (!riscv->queue.ring)
		return 0;
	riscv_write32(riscv, RISCV_REG_CQCSR, 0);
	err = riscv_wait32(riscv, RISCV_REG_CQCSR, (uint32_t)(BITS(RISCV_CQCSR, CQON) | BITS(RISCV_CQCSR, BUSY)), 0);
	if (!err)
		free_memory(riscv);
	return err;
}

/* Has the hardware given up on the queue (5.15)? */
static bool queue_error(const struct riscv_unit *riscv)
{
	uint64_t cqcsr = riscv_read32(riscv, RISCV_REG_CQCSR);

	return GET(RISCV_CQCSR, CQMF, &cqcsr) || GET(RISCV_CQCSR, CMD_TO, &cqcsr) || GET(RISCV_CQCSR, CMD_ILL, &cqcsr) ||
	       !GET(RISCV_CQCSR, CQON, &cqcsr);
}

/* Under the queue lock. */
static void ring_doorbell(const struct riscv_unit *riscv)
{
	const struct riscv_queue *queue = &riscv->queue;

	riscv->unit.port->write_barrier(riscv->unit.port->ctx);
	riscv_write32(riscv, RISCV_REG_CQT, index_of(queue, queue->tail));
}

/* Under the queue lock. */
static void update_head(struct riscv_unit *riscv)
{
	struct riscv_queue *queue = &riscv->queue;

	queue->head += index_of(queue, riscv_read32(riscv, RISCV_REG_CQH) - queue->head);
}

static bool is_full(const struct riscv_queue *queue)
{
	/* One place stays free, or a full queue would look empty. */
	return queue->tail - queue->head >= count_of(queue) - 1;
}

/* make_room() in a queue that was full when it was last looked at. */
static RARE int await_room(struct riscv_unit *riscv)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_queue *queue = &riscv->queue;
	struct riscv_deadline deadline;

	update_head(riscv);
	if (!is_full(queue))
		return 0;
	ring_doorbell(riscv);
	deadline = riscv_start(riscv);
	while (is_full(queue)) {
		bool over = riscv_late(riscv, deadline) || queue_error(riscv);

		update_head(riscv);
		if (over && is_full(queue))
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

/* Room for one command more. Under the queue lock. */
static inline int make_room(struct riscv_unit *riscv)
{
	return !is_full(&riscv->queue) ? 0 : await_room(riscv);
}

static inline int push(struct riscv_unit *riscv, const uint64_t *command)
{
	struct riscv_queue *queue = &riscv->queue;
	uint64_t *where;
	int err = make_room(riscv);

	if (err)
		return err;
	where = (uint64_t *)queue->ring + (size_t)index_of(queue, queue->tail) * RISCV_CMD_WORDS;
	memcpy(where, command, RISCV_CMD_WORDS * 8);
	riscv_writeback(riscv, where, RISCV_CMD_WORDS * 8);
	queue->tail++;
	return 0;
}

/* 3.1.2: holds back what comes after. */
static int push_fence(struct riscv_unit *riscv)
{
	uint64_t command[RISCV_CMD_WORDS] = { 0 };

	SET(RISCV_IOFENCE, OPCODE, command, RISCV_OP_IOFENCE);
	SET(RISCV_IOFENCE, FUNC3, command, RISCV_FUNC_IOFENCE_C);
	return push(riscv, command);
}

/* A fence that somebody waits for: the word that it stores, or its place in the queue. */
struct pending {
	uint32_t *word;
	uint32_t value;
	uint64_t position;
	bool wanted;
};

/* The slot may already hold a later fence's number: then this one is done too. */
static bool is_stored(const struct pending *pending)
{
	return (int32_t)(__atomic_load_n(pending->word, __ATOMIC_ACQUIRE) - pending->value) >= 0;
}

/* PR and PW: all requests that were translated before are globally done (6.3, DESIGN.md's point 1). */
static int push_wait(struct riscv_unit *riscv, struct pending *pending)
{
	struct riscv_queue *queue = &riscv->queue;
	uint64_t command[RISCV_CMD_WORDS] = { 0 };
	int err = make_room(riscv);

	if (err)
		return err;
	pending->wanted = true;
	pending->position = queue->tail;
	SET(RISCV_IOFENCE, OPCODE, command, RISCV_OP_IOFENCE);
	SET(RISCV_IOFENCE, FUNC3, command, RISCV_FUNC_IOFENCE_C);
	SET(RISCV_IOFENCE, PR, command, 1);
	SET(RISCV_IOFENCE, PW, command, 1);
	if (!riscv_noncoherent(riscv)) {
		pending->word = &queue->status[index_of(queue, queue->tail)];
		pending->value = ++queue->sequence;
		/* A number that was left here half a round of numbers ago would look like a later one. */
		if (is_stored(pending))
			__atomic_store_n(pending->word, pending->value - 1, __ATOMIC_RELEASE);
		SET(RISCV_IOFENCE, AV, command, 1);
		SET(RISCV_IOFENCE, DATA, command, pending->value);
		SET(RISCV_IOFENCE, ADDR, command, riscv_phys(riscv, pending->word) >> 2);
	}
	return push(riscv, command);
}

static bool is_done(struct riscv_unit *riscv, const struct pending *pending)
{
	const struct hitless_port *port = riscv->unit.port;
	bool done;

	if (pending->word)
		return is_stored(pending);
	port->lock(port->ctx, &riscv->queue.lock);
	update_head(riscv);
	done = riscv->queue.head > pending->position;
	port->unlock(port->ctx, &riscv->queue.lock);
	return done;
}

static int poll(struct riscv_unit *riscv, const struct pending *pending)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_deadline deadline = { 0 };

	for (unsigned polls = 1; !is_done(riscv, pending); polls++) {
		if (polls == 1)
			deadline = riscv_start(riscv);
		if (polls % POLLS_PER_STATUS_READ == 0 && (queue_error(riscv) || riscv_late(riscv, deadline)) &&
		    !is_done(riscv, pending))
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

int riscv_commands(void *unit, const struct iommu_step *steps, unsigned count)
{
	struct riscv_unit *riscv = unit;
	const struct hitless_port *port = riscv->unit.port;
	struct pending pending = { 0 };
	int err = 0;

	port->lock(port->ctx, &riscv->queue.lock);
	for (unsigned i = 0; i < count && !err; i++) {
		if (steps[i].op == IOMMU_STEP_WAIT)
			err = steps[i].poll ? push_wait(riscv, &pending) : push_fence(riscv);
		else
			err = push(riscv, steps[i].words);
	}
	if (!err)
		ring_doorbell(riscv);
	port->unlock(port->ctx, &riscv->queue.lock);
	if (!err && pending.wanted)
		err = poll(riscv, &pending);
	return err;
}

/* ---- The embedder's own commands ---- */

static unsigned did_bits(const struct riscv_unit *riscv)
{
	if (riscv->levels == 3)
		return 24;
	if (riscv->levels == 2)
		return riscv->extended ? RISCV_DDI0_BITS_X + RISCV_DDI1_BITS_X : RISCV_DDI0_BITS + RISCV_DDI1_BITS;
	return riscv->extended ? RISCV_DDI0_BITS_X : RISCV_DDI0_BITS;
}

static bool is_valid_iodir(const struct riscv_unit *riscv, const uint64_t *command)
{
	bool pdt = GET(RISCV_IODIR, FUNC3, command) == RISCV_FUNC_IODIR_INVAL_PDT;

	if (GET(RISCV_IODIR, FUNC3, command) > RISCV_FUNC_IODIR_INVAL_PDT || (pdt && !GET(RISCV_IODIR, DV, command)) ||
	    (!pdt && GET(RISCV_IODIR, PID, command)))
		return false;
	return !GET(RISCV_IODIR, DV, command) || !(GET(RISCV_IODIR, DID, command) >> did_bits(riscv));
}

static bool is_valid_iotinval(const struct riscv_unit *riscv, const uint64_t *command)
{
	if ((GET(RISCV_IOTINVAL, NL, command) && !RISCV_CAP_OF(riscv, NL)) ||
	    (GET(RISCV_IOTINVAL, S, command) && !RISCV_CAP_OF(riscv, S)))
		return false;
	if (GET(RISCV_IOTINVAL, FUNC3, command) == RISCV_FUNC_IOTINVAL_GVMA)
		return !GET(RISCV_IOTINVAL, PSCV, command);
	return GET(RISCV_IOTINVAL, FUNC3, command) == RISCV_FUNC_IOTINVAL_VMA;
}

/* A command that the hardware would choke on would stop the queue for everybody: it never gets there (3.1). */
static RARE bool is_valid(const struct riscv_unit *riscv, const uint64_t *command)
{
	const uint64_t fctl = riscv->fctl;
	uint64_t used[RISCV_CMD_WORDS] = { 0 };
	bool ok = false;

	switch (GET(RISCV_CMD, OPCODE, command)) {
	case RISCV_OP_IOTINVAL: {
		RISCV_IOTINVAL_LIST(RISCV_IOTINVAL, LAYOUT_NAME_BITS)
		ok = is_valid_iotinval(riscv, command);
		break;
	}
	case RISCV_OP_IOFENCE: {
		RISCV_IOFENCE_LIST(RISCV_IOFENCE, LAYOUT_NAME_BITS)
		ok = GET(RISCV_IOFENCE, FUNC3, command) == RISCV_FUNC_IOFENCE_C &&
		     (!GET(RISCV_IOFENCE, WSI, command) || GET(RISCV_FCTL, WSI, &fctl));
		break;
	}
	case RISCV_OP_IODIR: {
		RISCV_IODIR_LIST(RISCV_IODIR, LAYOUT_NAME_BITS)
		ok = is_valid_iodir(riscv, command);
		break;
	}
	case RISCV_OP_ATS:
		ok = RISCV_CAP_OF(riscv, ATS);
		if (GET(RISCV_CMD, FUNC3, command) == RISCV_FUNC_ATS_INVAL) {
			RISCV_ATS_INVAL_LIST(RISCV_ATS_INVAL, LAYOUT_NAME_BITS)
		} else if (GET(RISCV_CMD, FUNC3, command) == RISCV_FUNC_ATS_PRGR) {
			RISCV_ATS_PRGR_LIST(RISCV_ATS_PRGR, LAYOUT_NAME_BITS)
		} else {
			ok = false;
		}
		break;
	}
	return ok && !(command[0] & ~used[0]) && !(command[1] & ~used[1]);
}

RARE int riscv_submit(struct iommu_unit *unit, const void *commands, unsigned count)
{
	struct riscv_unit *riscv = to_riscv(unit);
	const struct hitless_port *port = unit->port;
	const uint64_t *words = commands;
	struct pending pending = { 0 };
	int err = 0;

	if (count > count_of(&riscv->queue) - 2)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (!is_valid(riscv, words + (size_t)i * RISCV_CMD_WORDS))
			return -EINVAL;
	port->lock(port->ctx, &riscv->queue.lock);
	for (unsigned i = 0; i < count && !err; i++)
		err = push(riscv, words + (size_t)i * RISCV_CMD_WORDS);
	if (!err)
		err = push_wait(riscv, &pending);
	if (!err)
		ring_doorbell(riscv);
	port->unlock(port->ctx, &riscv->queue.lock);
	return err ? err : poll(riscv, &pending);
}
