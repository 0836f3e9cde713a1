/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_queue.c - the command queue (3.5, 4, 7.1).
 *
 * Commands of several threads interleave in the queue. Each thread ends its batch with a CMD_SYNC of its own, which is consumed only
 * when all before it have completed (4.7.3); so the thread waits until CMDQ_CONS has passed it. Nothing is written to memory, so
 * this works on every unit.
 */
#include "smmuv3_driver.h"

#include <string.h>

/* How many polls go by before the error register is read too. */
#define POLLS_PER_ERROR_READ 16

int smmuv3_wait32(const struct smmuv3_unit *smmu, unsigned reg, uint32_t mask, uint32_t want)
{
	struct smmuv3_deadline deadline = smmuv3_start(smmu);

	for (;;) {
		/* The clock first: whoever was stopped for long looks once more before he gives up. */
		bool late = smmuv3_late(smmu, deadline);

		if ((smmuv3_read32(smmu, reg) & mask) == want)
			return 0;
		if (late)
			return -EIO;
		smmu->unit.port->relax(smmu->unit.port->ctx);
	}
}

int smmuv3_set_cr0(struct smmuv3_unit *smmu, uint32_t bits, bool on)
{
	smmu->cr0 = on ? smmu->cr0 | bits : smmu->cr0 & ~bits;
	smmuv3_write32(smmu, SMMU_REG_CR0, smmu->cr0);
	return smmuv3_wait32(smmu, SMMU_REG_CR0ACK, bits, on ? bits : 0);
}

int smmuv3_run(struct smmuv3_unit *smmu, struct entry_steps *steps)
{
	struct iommu_plan plan = { .steps = steps->v, .nsteps = steps->n };

	return unit_commit(&smmu->unit, &plan);
}

static unsigned count_of(const struct smmuv3_queue *queue)
{
	return 1u << queue->order;
}

static unsigned index_of(const struct smmuv3_queue *queue, uint64_t position)
{
	return (unsigned)(position & (count_of(queue) - 1));
}

/* As the registers have it: the index and a wrap bit above it. */
static uint32_t pointer_of(const struct smmuv3_queue *queue, uint64_t position)
{
	return (uint32_t)(position & (2 * count_of(queue) - 1));
}

RARE int smmuv3_queue_init(struct smmuv3_unit *smmu, unsigned order)
{
	const struct hitless_port *port = smmu->unit.port;
	struct smmuv3_queue *queue = &smmu->queue;
	unsigned most = (unsigned)SMMUV3_IDR(smmu, 1, CMDQS);
	uint64_t base = 0;
	int err;

	/* 256 commands in a page. */
	queue->order = order + 8 < most ? order + 8 : most;
	queue->ring_bytes = (size_t)HITLESS_PAGE_SIZE << order;
	err = port->lock_init(port->ctx, &queue->lock);
	if (err)
		return err;
	queue->ring = port->alloc_pages(port->ctx, queue->ring_bytes);
	if (!queue->ring) {
		port->lock_destroy(port->ctx, &queue->lock);
		return -ENOMEM;
	}
	SET(SMMU_QUEUE_BASE, LOG2SIZE, &base, queue->order);
	SET_ADDR(SMMU_QUEUE_BASE, ADDR, &base, smmuv3_phys(smmu, queue->ring));
	SET(SMMU_QUEUE_BASE, RA_WA, &base, 1);
	smmuv3_write64(smmu, SMMU_REG_CMDQ_BASE, base);
	smmuv3_write32(smmu, SMMU_REG_CMDQ_PROD, 0);
	smmuv3_write32(smmu, SMMU_REG_CMDQ_CONS, 0);
	return smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, CMDQEN), true);
}

RARE int smmuv3_queue_fini(struct smmuv3_unit *smmu)
{
	const struct hitless_port *port = smmu->unit.port;
	int err;

	if (!smmu->queue.ring)
		return 0;
	err = smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, CMDQEN), false);
	if (err)
		return err;
	port->free_pages(port->ctx, smmu->queue.ring, smmu->queue.ring_bytes);
	smmu->queue.ring = NULL;
	port->lock_destroy(port->ctx, &smmu->queue.lock);
	return 0;
}

/* Has the hardware given up on the queue (7.1), or altogether (SFM, 12.3)? An error is active where the two registers differ. */
static bool queue_error(const struct smmuv3_unit *smmu)
{
	uint64_t active = smmuv3_read32(smmu, SMMU_REG_GERROR) ^ smmuv3_read32(smmu, SMMU_REG_GERRORN);

	return GET(SMMU_GERROR, CMDQ_ERR, &active) || GET(SMMU_GERROR, SFM_ERR, &active);
}

/* Under the queue lock. */
static void ring_doorbell(const struct smmuv3_unit *smmu)
{
	const struct smmuv3_queue *queue = &smmu->queue;

	smmu->unit.port->write_barrier(smmu->unit.port->ctx);
	smmuv3_write32(smmu, SMMU_REG_CMDQ_PROD, pointer_of(queue, queue->tail));
}

/* Under the queue lock. */
static void update_head(struct smmuv3_unit *smmu)
{
	struct smmuv3_queue *queue = &smmu->queue;
	uint64_t cons = smmuv3_read32(smmu, SMMU_REG_CMDQ_CONS);

	queue->head += pointer_of(queue, GET(SMMU_CMDQ_CONS, RD, &cons) - queue->head);
}

static bool is_full(const struct smmuv3_queue *queue)
{
	return queue->tail - queue->head >= count_of(queue);
}

/* make_room() in a queue that was full when it was last looked at. */
static RARE int await_room(struct smmuv3_unit *smmu)
{
	const struct hitless_port *port = smmu->unit.port;
	struct smmuv3_queue *queue = &smmu->queue;
	struct smmuv3_deadline deadline;

	update_head(smmu);
	if (!is_full(queue))
		return 0;
	ring_doorbell(smmu);
	deadline = smmuv3_start(smmu);
	while (is_full(queue)) {
		bool over = smmuv3_late(smmu, deadline) || queue_error(smmu);

		update_head(smmu);
		if (over && is_full(queue))
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

/* Room for one command more. Under the queue lock. */
static inline int make_room(struct smmuv3_unit *smmu)
{
	return !is_full(&smmu->queue) ? 0 : await_room(smmu);
}

static inline int push(struct smmuv3_unit *smmu, const uint64_t *command)
{
	struct smmuv3_queue *queue = &smmu->queue;
	uint64_t *where;
	int err = make_room(smmu);

	if (err)
		return err;
	where = (uint64_t *)queue->ring + (size_t)index_of(queue, queue->tail) * SMMU_CMD_WORDS;
	memcpy(where, command, SMMU_CMD_BYTES);
	smmuv3_writeback(smmu, where, SMMU_CMD_BYTES);
	queue->tail++;
	return 0;
}

/* What comes after it is not begun before what came before has completed. *position: its place. */
static int push_sync(struct smmuv3_unit *smmu, uint64_t *position)
{
	uint64_t command[SMMU_CMD_WORDS] = { 0 };
	int err;

	SET(SMMU_CMD_SYNC, OPCODE, command, SMMU_CMD_SYNC);
	err = push(smmu, command);
	*position = smmu->queue.tail;
	return err;
}

/* Under the queue lock. */
static bool has_passed(struct smmuv3_unit *smmu, uint64_t position)
{
	if (smmu->queue.head < position)
		update_head(smmu);
	return smmu->queue.head >= position;
}

static bool is_done(struct smmuv3_unit *smmu, uint64_t position)
{
	const struct hitless_port *port = smmu->unit.port;
	bool done;

	port->lock(port->ctx, &smmu->queue.lock);
	done = has_passed(smmu, position);
	port->unlock(port->ctx, &smmu->queue.lock);
	return done;
}

/* Waits until everything before `position` has been consumed. */
static int poll(struct smmuv3_unit *smmu, uint64_t position)
{
	const struct hitless_port *port = smmu->unit.port;
	struct smmuv3_deadline deadline = { 0 };

	for (unsigned polls = 1; !is_done(smmu, position); polls++) {
		if (polls == 1)
			deadline = smmuv3_start(smmu);
		if (polls % POLLS_PER_ERROR_READ == 0 && (queue_error(smmu) || smmuv3_late(smmu, deadline)) &&
		    !is_done(smmu, position))
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

int smmuv3_commands(void *unit, const struct iommu_step *steps, unsigned count)
{
	struct smmuv3_unit *smmu = unit;
	const struct hitless_port *port = smmu->unit.port;
	uint64_t position = 0;
	bool wanted = false;
	int err = 0;

	port->lock(port->ctx, &smmu->queue.lock);
	for (unsigned i = 0; i < count && !err; i++) {
		if (steps[i].op != IOMMU_STEP_WAIT) {
			err = push(smmu, steps[i].words);
			continue;
		}
		err = push_sync(smmu, &position);
		wanted |= steps[i].poll;
	}
	if (!err) {
		ring_doorbell(smmu);
		/* The first look, as long as the lock is held. */
		wanted = wanted && !has_passed(smmu, position);
	}
	port->unlock(port->ctx, &smmu->queue.lock);
	return !err && wanted ? poll(smmu, position) : err;
}

/* ---- The embedder's own commands ---- */

static bool has_stage(const struct smmuv3_unit *smmu, unsigned opcode)
{
	switch (opcode) {
	case SMMU_CMD_CFGI_CD:
	case SMMU_CMD_CFGI_CD_ALL:
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
		return SMMUV3_IDR(smmu, 0, S1P);
	case SMMU_CMD_TLBI_EL2_ALL:
	case SMMU_CMD_TLBI_EL2_ASID:
	case SMMU_CMD_TLBI_EL2_VA:
	case SMMU_CMD_TLBI_EL2_VAA:
		return SMMUV3_IDR(smmu, 0, HYP);
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_S2_IPA:
		return SMMUV3_IDR(smmu, 0, S2P);
	default:
		return true;
	}
}

/*
 * Ranges and levels need RIL; without it all of that is reserved, and so is a granule that nothing goes with (4.4.1.1). There is no block at
 * level 1 of 16 KiB tables: TTL is then taken for 0.
 */
const char *smmuv3_bad_range(const struct smmuv3_unit *smmu, const uint64_t *command)
{
	uint64_t num = GET(SMMU_CMD_TLBI_VA, NUM, command), scale = GET(SMMU_CMD_TLBI_VA, SCALE, command);
	uint64_t ttl = GET(SMMU_CMD_TLBI_VA, TTL, command), tg = GET(SMMU_CMD_TLBI_VA, TG, command);

	if (GET(SMMU_CMD_TLBI_VA, TTL128, command))
		return "TTL128";
	if (scale > SMMU_TLBI_MAX_SCALE || (!tg && scale))
		return "SCALE";
	if (!tg)
		return num ? "NUM" : ttl ? "TTL" : NULL;
	if (tg == SMMU_TLBI_TG_16K && ttl == 1)
		ttl = 0;
	return SMMUV3_IDR(smmu, 3, RIL) && (num || scale || ttl) ? NULL : "TG";
}

/*
 * A command that the hardware would choke on would stop the queue for everybody (CERROR_ILL): it never gets there. Reserved bits and
 * Secure streams are refused too.
 */
static RARE bool is_valid(const struct smmuv3_unit *smmu, const uint64_t *command)
{
	unsigned opcode = (unsigned)GET(SMMU_CMD, OPCODE, command);
	uint64_t used[SMMU_CMD_WORDS] = { 0 };
	bool ok = has_stage(smmu, opcode);

	switch (opcode) {
	case SMMU_CMD_PREFETCH_CONFIG: {
		SMMU_CMD_PREFETCH_CONFIG_LIST(SMMU_CMD_PREFETCH_CONFIG, LAYOUT_NAME_BITS)
		ok = !GET(SMMU_CMD_PREFETCH_CONFIG, SSEC, command);
		break;
	}
	case SMMU_CMD_PREFETCH_ADDR: {
		SMMU_CMD_PREFETCH_ADDR_LIST(SMMU_CMD_PREFETCH_ADDR, LAYOUT_NAME_BITS)
		ok = !GET(SMMU_CMD_PREFETCH_CONFIG, SSEC, command);
		break;
	}
	case SMMU_CMD_CFGI_STE: {
		SMMU_CMD_CFGI_STE_LIST(SMMU_CMD_CFGI_STE, LAYOUT_NAME_BITS)
		ok = !GET(SMMU_CMD_CFGI_STE, SSEC, command);
		break;
	}
	case SMMU_CMD_CFGI_STE_RANGE: {
		SMMU_CMD_CFGI_STE_RANGE_LIST(SMMU_CMD_CFGI_STE_RANGE, LAYOUT_NAME_BITS)
		ok = !GET(SMMU_CMD_CFGI_STE_RANGE, SSEC, command);
		break;
	}
	case SMMU_CMD_CFGI_CD: {
		SMMU_CMD_CFGI_CD_LIST(SMMU_CMD_CFGI_CD, LAYOUT_NAME_BITS)
		ok = ok && !GET(SMMU_CMD_CFGI_CD, SSEC, command);
		break;
	}
	case SMMU_CMD_CFGI_CD_ALL: {
		SMMU_CMD_CFGI_CD_ALL_LIST(SMMU_CMD_CFGI_CD_ALL, LAYOUT_NAME_BITS)
		ok = ok && !GET(SMMU_CMD_CFGI_CD_ALL, SSEC, command);
		break;
	}
	case SMMU_CMD_TLBI_NH_ALL:
	case SMMU_CMD_TLBI_NH_ASID:
	case SMMU_CMD_TLBI_EL2_ALL:
	case SMMU_CMD_TLBI_EL2_ASID:
	case SMMU_CMD_TLBI_S12_VMALL:
	case SMMU_CMD_TLBI_NSNH_ALL: {
		SMMU_CMD_TLBI_LIST(SMMU_CMD_TLBI, LAYOUT_NAME_BITS)
		break;
	}
	case SMMU_CMD_TLBI_NH_VA:
	case SMMU_CMD_TLBI_NH_VAA:
	case SMMU_CMD_TLBI_EL2_VA:
	case SMMU_CMD_TLBI_EL2_VAA: {
		SMMU_CMD_TLBI_VA_LIST(SMMU_CMD_TLBI_VA, LAYOUT_NAME_BITS)
		ok = ok && !smmuv3_bad_range(smmu, command);
		break;
	}
	case SMMU_CMD_TLBI_S2_IPA: {
		SMMU_CMD_TLBI_IPA_LIST(SMMU_CMD_TLBI_IPA, LAYOUT_NAME_BITS)
		ok = ok && !smmuv3_bad_range(smmu, command) && !GET(SMMU_CMD_TLBI_IPA, NS, command);
		break;
	}
	case SMMU_CMD_ATC_INV: {
		SMMU_CMD_ATC_INV_LIST(SMMU_CMD_ATC_INV, LAYOUT_NAME_BITS)
		ok = SMMUV3_IDR(smmu, 0, ATS) && GET(SMMU_CMD_ATC_INV, SIZE, command) <= SMMU_ATC_SIZE_ALL;
		break;
	}
	case SMMU_CMD_PRI_RESP: {
		SMMU_CMD_PRI_RESP_LIST(SMMU_CMD_PRI_RESP, LAYOUT_NAME_BITS)
		ok = SMMUV3_IDR(smmu, 0, PRI) && GET(SMMU_CMD_PRI_RESP, RESP, command) != 3;
		break;
	}
	case SMMU_CMD_SYNC: {
		/* Interrupts of a CMD_SYNC are for whoever has their line: not offered. */
		SMMU_CMD_LIST(SMMU_CMD, LAYOUT_NAME_BITS)
		break;
	}
	default:
		ok = false;
		break;
	}
	return ok && !(command[0] & ~used[0]) && !(command[1] & ~used[1]);
}

RARE int smmuv3_submit(struct iommu_unit *unit, const void *commands, unsigned count)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);
	const struct hitless_port *port = unit->port;
	const uint64_t *words = commands;
	uint64_t position = 0;
	int err = 0;

	if (count > count_of(&smmu->queue) - 1)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (!is_valid(smmu, words + (size_t)i * SMMU_CMD_WORDS))
			return -EINVAL;
	port->lock(port->ctx, &smmu->queue.lock);
	for (unsigned i = 0; i < count && !err; i++)
		err = push(smmu, words + (size_t)i * SMMU_CMD_WORDS);
	if (!err)
		err = push_sync(smmu, &position);
	if (!err)
		ring_doorbell(smmu);
	port->unlock(port->ctx, &smmu->queue.lock);
	return err ? err : poll(smmu, position);
}
