/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vtd_queue.c - queued invalidation (6.5.2) and the global command register (11.4.4).
 *
 * Commands of several threads interleave in the queue. Each thread ends its batch with a wait descriptor that has a status
 * word of its own, and polls that; the descriptors before it are done by then, whoever submitted them.
 */
#include "vtd_driver.h"

/* How many polls of a status word go by before the fault status is read, which costs a register access. */
#define POLLS_PER_STATUS_READ 16

int vtd_command_bit(struct vtd_unit *vtd, uint32_t bit, bool on)
{
	const struct hitless_port *port = vtd->unit.port;
	/* These act once and show as status for ever; writing them again would do them again (11.4.4.2). */
	const uint32_t one_shot = BITS(VTD_GCMD, SRTP) | BITS(VTD_GCMD, SIRTP) | BITS(VTD_GCMD, WBF);
	struct vtd_deadline deadline;
	uint32_t keep, want = on ? bit : 0;
	int err = 0;

	port->lock(port->ctx, &vtd->register_lock);
	keep = vtd_read32(vtd, VTD_REG_GSTS) & ~one_shot;
	/* SRTP's and SIRTP's status stays set; WBF's goes away when the flush is done. */
	if (bit == BITS(VTD_GCMD, WBF))
		want = 0;
	vtd_write32(vtd, VTD_REG_GCMD, on ? keep | bit : keep & ~bit);
	deadline = vtd_start(vtd);
	for (;;) {
		bool late = vtd_late(vtd, deadline);

		if ((vtd_read32(vtd, VTD_REG_GSTS) & bit) == want)
			break;
		if (late) {
			err = -EIO;
			break;
		}
		port->relax(port->ctx);
	}
	port->unlock(port->ctx, &vtd->register_lock);
	return err;
}

/* ---- The ring ---- */

static size_t power_of_two(size_t bytes)
{
	size_t size = HITLESS_PAGE_SIZE;

	while (size < bytes)
		size *= 2;
	return size;
}

RARE int vtd_queue_init(struct vtd_unit *vtd, unsigned order)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_queue *queue = &vtd->queue;
	uint64_t iqa = 0;
	int err;

	queue->words = vtd->scalable ? 4 : 2;
	queue->ring_bytes = (size_t)HITLESS_PAGE_SIZE << order;
	queue->count = (unsigned)(queue->ring_bytes / (queue->words * 8));
	queue->status_bytes = power_of_two(queue->count * sizeof(*queue->status));
	err = port->lock_init(port->ctx, &queue->lock);
	if (err)
		return err;
	queue->ring = port->alloc_pages(port->ctx, queue->ring_bytes);
	queue->status = port->alloc_pages(port->ctx, queue->status_bytes);
	if (!queue->ring || !queue->status) {
		vtd_queue_fini(vtd);
		return -ENOMEM;
	}
	SET(VTD_IQA, QS, &iqa, order);
	SET(VTD_IQA, DW, &iqa, queue->words == 4);
	SET_ADDR(VTD_IQA, IQA, &iqa, vtd_phys(vtd, queue->ring));
	vtd_write64(vtd, VTD_REG_IQT, 0);
	vtd_write64(vtd, VTD_REG_IQA, iqa);
	/* From here on the hardware knows the ring: if it doesn't answer, the ring is never freed. */
	return vtd_command_bit(vtd, BITS(VTD_GCMD, QIE), true);
}

RARE void vtd_queue_fini(struct vtd_unit *vtd)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_queue *queue = &vtd->queue;

	if (queue->ring)
		port->free_pages(port->ctx, queue->ring, queue->ring_bytes);
	if (queue->status)
		port->free_pages(port->ctx, queue->status, queue->status_bytes);
	queue->ring = NULL;
	queue->status = NULL;
	port->lock_destroy(port->ctx, &queue->lock);
}

static unsigned offset_shift(const struct vtd_queue *queue)
{
	return queue->words == 4 ? 5 : 4;
}

/* Has the hardware given up on the queue (6.5.2.10, 11.4.9)? */
static bool queue_error(const struct vtd_unit *vtd)
{
	uint64_t fsts = vtd_read32(vtd, VTD_REG_FSTS);

	return GET(VTD_FSTS, IQE, &fsts) || GET(VTD_FSTS, ICE, &fsts) || GET(VTD_FSTS, ITE, &fsts);
}

static void ring_doorbell(const struct vtd_unit *vtd)
{
	const struct vtd_queue *queue = &vtd->queue;

	vtd->unit.port->write_barrier(vtd->unit.port->ctx);
	vtd_write64(vtd, VTD_REG_IQT, (uint64_t)queue->tail << offset_shift(queue));
}

/* The place after the tail. */
static unsigned next_place(const struct vtd_queue *queue)
{
	return queue->tail + 1 == queue->count ? 0 : queue->tail + 1;
}

/* make_room() in a queue that was full when it was last looked at. */
static RARE int await_room(struct vtd_unit *vtd)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_queue *queue = &vtd->queue;
	unsigned next = next_place(queue);
	struct vtd_deadline deadline;

	queue->head = (unsigned)(vtd_read64(vtd, VTD_REG_IQH) >> offset_shift(queue)) % queue->count;
	if (next != queue->head)
		return 0;
	ring_doorbell(vtd);
	deadline = vtd_start(vtd);
	while (next == queue->head) {
		bool over = vtd_late(vtd, deadline) || queue_error(vtd);

		queue->head = (unsigned)(vtd_read64(vtd, VTD_REG_IQH) >> offset_shift(queue)) % queue->count;
		if (over && next == queue->head)
			return -EIO;
		port->relax(port->ctx);
	}
	return 0;
}

/* Room for one descriptor more. One place stays free, or a full queue would look empty. Under the queue lock. */
static inline int make_room(struct vtd_unit *vtd)
{
	return next_place(&vtd->queue) != vtd->queue.head ? 0 : await_room(vtd);
}

/* A command of two words or four. */
static inline int push(struct vtd_unit *vtd, const uint64_t *command, unsigned nwords)
{
	struct vtd_queue *queue = &vtd->queue;
	uint64_t *descriptor;
	int err = make_room(vtd);

	if (err)
		return err;
	descriptor = (uint64_t *)queue->ring + (size_t)queue->tail * queue->words;
	descriptor[0] = command[0];
	descriptor[1] = command[1];
	if (queue->words == 4) {
		descriptor[2] = nwords == 4 ? command[2] : 0;
		descriptor[3] = nwords == 4 ? command[3] : 0;
	}
	queue->tail = next_place(queue);
	return 0;
}

/* 6.5.2.8: FN holds back what comes after; SW writes the status word. */
static int push_fence(struct vtd_unit *vtd)
{
	uint64_t command[2] = { 0 };

	SET(VTD_DESC_WAIT, TYPE, command, VTD_DESC_WAIT);
	SET(VTD_DESC_WAIT, FN, command, 1);
	return push(vtd, command, 2);
}

/* A status word and what will be in it. */
struct pending {
	uint32_t *word;
	uint32_t value;
};

/* The slot may already hold a later wait's number: then this one is done too. */
static bool is_done(const struct pending *pending)
{
	return (int32_t)(__atomic_load_n(pending->word, __ATOMIC_ACQUIRE) - pending->value) >= 0;
}

static int push_wait(struct vtd_unit *vtd, struct pending *pending)
{
	struct vtd_queue *queue = &vtd->queue;
	uint64_t command[2] = { 0 };
	int err = make_room(vtd);

	if (err)
		return err;
	pending->word = &queue->status[queue->tail];
	pending->value = ++queue->sequence;
	/* A number that was left here half a round of numbers ago would look like a later one. */
	if (is_done(pending))
		__atomic_store_n(pending->word, pending->value - 1, __ATOMIC_RELEASE);
	SET(VTD_DESC_WAIT, TYPE, command, VTD_DESC_WAIT);
	SET(VTD_DESC_WAIT, FN, command, 1);
	SET(VTD_DESC_WAIT, SW, command, 1);
	SET(VTD_DESC_WAIT, STATUS_DATA, command, pending->value);
	command[1] = vtd_phys(vtd, pending->word);
	return push(vtd, command, 2);
}

static int poll(struct vtd_unit *vtd, const struct pending *pending, bool devtlb)
{
	const struct hitless_port *port = vtd->unit.port;
	struct vtd_deadline deadline = { 0 };

	for (unsigned polls = 1; !is_done(pending); polls++) {
		if (polls == 1)
			deadline = vtd_start(vtd);
		/* The clock first: whoever was stopped for long looks once more before he gives up. */
		if (polls % POLLS_PER_STATUS_READ == 0 && (queue_error(vtd) || vtd_late(vtd, deadline)) && !is_done(pending))
			return -EIO;
		port->relax(port->ctx);
	}
	/* A device that answered wrongly (ICE) doesn't stop the queue. */
	return devtlb && queue_error(vtd) ? -EIO : 0;
}

int vtd_commands(void *unit, const struct iommu_step *steps, unsigned count)
{
	struct vtd_unit *vtd = unit;
	const struct hitless_port *port = vtd->unit.port;
	struct pending pending = { 0 };
	bool devtlb = false;
	int err = 0;

	port->lock(port->ctx, &vtd->queue.lock);
	for (unsigned i = 0; i < count && !err; i++) {
		const struct iommu_step *step = &steps[i];

		devtlb |= step->cache == IOMMU_CACHE_DEVTLB;
		if (step->op == IOMMU_STEP_WAIT)
			err = step->poll ? push_wait(vtd, &pending) : push_fence(vtd);
		else if (step->nwords)
			err = push(vtd, step->words, step->nwords);
		else
			err = vtd_command_bit(vtd, BITS(VTD_GCMD, WBF), true);
	}
	if (!err)
		ring_doorbell(vtd);
	port->unlock(port->ctx, &vtd->queue.lock);
	if (!err && pending.word)
		err = poll(vtd, &pending, devtlb);
	return err;
}

/* A descriptor that the hardware would choke on would stop the queue for everybody: it never gets there. */
static RARE bool is_valid(const struct vtd_unit *vtd, const uint64_t *command)
{
	uint64_t used[2] = { 0 };
	/* AM lies in the same place in both kinds of IOTLB command. */
	bool paged = VTD_CAP_OF(vtd, PSI) && GET(VTD_DESC_IOTLB, AM, command) <= VTD_CAP_OF(vtd, MAMV), granular = true;

	switch (GET(VTD_DESC, TYPE, command) | GET(VTD_DESC, TYPE_HIGH, command) << 4) {
	case VTD_DESC_CONTEXT: {
		VTD_DESC_CONTEXT_LIST(VTD_DESC_CONTEXT, LAYOUT_NAME_BITS)
		granular = GET(VTD_DESC_CONTEXT, G, command) != 0;
		break;
	}
	case VTD_DESC_IOTLB: {
		VTD_DESC_IOTLB_LIST(VTD_DESC_IOTLB, LAYOUT_NAME_BITS)
		granular = GET(VTD_DESC_IOTLB, G, command) != 0 && (GET(VTD_DESC_IOTLB, G, command) != VTD_IOTLB_PAGE || paged);
		break;
	}
	case VTD_DESC_DEVTLB: {
		VTD_DESC_DEVTLB_LIST(VTD_DESC_DEVTLB, LAYOUT_NAME_BITS)
		granular = VTD_ECAP_OF(vtd, DT);
		break;
	}
	case VTD_DESC_IEC: {
		VTD_DESC_IEC_LIST(VTD_DESC_IEC, LAYOUT_NAME_BITS)
		break;
	}
	case VTD_DESC_WAIT: {
		VTD_DESC_WAIT_LIST(VTD_DESC_WAIT, LAYOUT_NAME_BITS)
		break;
	}
	case VTD_DESC_PIOTLB: {
		VTD_DESC_PIOTLB_LIST(VTD_DESC_PIOTLB, LAYOUT_NAME_BITS)
		granular = GET(VTD_DESC_PIOTLB, G, command) == VTD_PIOTLB_PASID ||
			   (GET(VTD_DESC_PIOTLB, G, command) == VTD_PIOTLB_PAGE && paged);
		break;
	}
	case VTD_DESC_PASID: {
		VTD_DESC_PASID_LIST(VTD_DESC_PASID, LAYOUT_NAME_BITS)
		granular = GET(VTD_DESC_PASID, G, command) != 2;
		break;
	}
	case VTD_DESC_PDEVTLB: {
		VTD_DESC_PDEVTLB_LIST(VTD_DESC_PDEVTLB, LAYOUT_NAME_BITS)
		granular = VTD_ECAP_OF(vtd, DT);
		break;
	}
	default:
		return false;
	}
	if (!vtd->scalable && GET(VTD_DESC, TYPE, command) > VTD_DESC_WAIT)
		return false;
	if (vtd->queue.words == 4 && (command[2] || command[3]))
		return false;
	return granular && !(command[0] & ~used[0]) && !(command[1] & ~used[1]);
}

RARE int vtd_submit(struct iommu_unit *unit, const void *commands, unsigned count)
{
	struct vtd_unit *vtd = to_vtd(unit);
	const struct hitless_port *port = unit->port;
	struct vtd_queue *queue = &vtd->queue;
	struct pending pending = { 0 };
	int err = 0;

	if (count > queue->count - 2)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		if (!is_valid(vtd, (const uint64_t *)commands + (size_t)i * queue->words))
			return -EINVAL;
	port->lock(port->ctx, &queue->lock);
	for (unsigned i = 0; i < count && !err; i++)
		err = push(vtd, (const uint64_t *)commands + (size_t)i * queue->words, queue->words);
	if (!err)
		err = push_wait(vtd, &pending);
	if (!err)
		ring_doorbell(vtd);
	port->unlock(port->ctx, &queue->lock);
	return err ? err : poll(vtd, &pending, true);
}
