/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* amdvi_event.c - the event log (2.5). */
#include "amdvi_driver.h"

#include <string.h>

#define EVENT_BYTES 16u

int amdvi_log_init(struct amdvi_unit *amdvi, unsigned order)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_log *log = &amdvi->log;
	uint64_t base = 0;
	int err;

	log->ring_bytes = (size_t)HITLESS_PAGE_SIZE << order;
	log->count = (unsigned)(log->ring_bytes / EVENT_BYTES);
	err = port->lock_init(port->ctx, &log->lock);
	if (err)
		return err;
	log->ring = port->alloc_pages(port->ctx, log->ring_bytes);
	if (!log->ring) {
		port->lock_destroy(port->ctx, &log->lock);
		return -ENOMEM;
	}
	SET(AMDVI_BUFFER, LEN, &base, 8 + order);
	SET_ADDR(AMDVI_BUFFER, BASE, &base, amdvi_phys(amdvi, log->ring));
	amdvi_write(amdvi, AMDVI_REG_EVENT_BASE, base);
	amdvi_write(amdvi, AMDVI_REG_EVENT_HEAD, 0);
	amdvi_write(amdvi, AMDVI_REG_EVENT_TAIL, 0);
	return 0;
}

void amdvi_log_fini(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_log *log = &amdvi->log;

	if (!log->ring)
		return;
	port->free_pages(port->ctx, log->ring, log->ring_bytes);
	log->ring = NULL;
	port->lock_destroy(port->ctx, &log->lock);
}

static unsigned read_tail(const struct amdvi_unit *amdvi)
{
	uint64_t tail = amdvi_read(amdvi, AMDVI_REG_EVENT_TAIL);

	return (unsigned)GET(AMDVI_POINTER, OFFSET, &tail) % amdvi->log.count;
}

/* Under the log's lock. The tail may be seen before the event: false, the event has not arrived. */
static bool read_event(const struct amdvi_unit *amdvi, unsigned index, uint64_t *event)
{
	uint64_t *where = (uint64_t *)amdvi->log.ring + (size_t)index * 2;

	event[0] = __atomic_load_n(&where[0], __ATOMIC_ACQUIRE);
	event[1] = __atomic_load_n(&where[1], __ATOMIC_ACQUIRE);
	return GET(AMDVI_EVENT, CODE, event) != 0;
}

/* ---- What an event means ---- */

static void page_fault(const uint64_t *event, struct iommu_fault *fault)
{
	fault->iova = event[1];
	fault->access = GET(AMDVI_EV_PAGE_FAULT, RW, event) ? IOMMU_WRITE : IOMMU_READ;
	if (GET(AMDVI_EV_PAGE_FAULT, GN, event)) {
		fault->pasid = (uint32_t)(GET(AMDVI_EV_PAGE_FAULT, PASID_19_16, event) << 16 |
					  GET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, event));
		if (GET(AMDVI_EV_PAGE_FAULT, NX, event))
			fault->access |= IOMMU_EXEC;
		if (!GET(AMDVI_EV_PAGE_FAULT, US, event))
			fault->access |= IOMMU_PRIV;
	}
	if (GET(AMDVI_EV_PAGE_FAULT, I, event)) {
		fault->cause = IOMMU_FAULT_ENTRY;
		fault->text = "interrupt request refused";
	} else if (!GET(AMDVI_EV_PAGE_FAULT, PR, event) && !GET(AMDVI_EV_PAGE_FAULT, GN, event) &&
		   !GET(AMDVI_EV_PAGE_FAULT, DOMAIN_OR_PASID, event)) {
		/* No domain of ours has DomainID 0. */
		fault->cause = IOMMU_FAULT_BLOCKED;
		fault->text = "the device is blocked";
	} else if (!GET(AMDVI_EV_PAGE_FAULT, PR, event)) {
		fault->cause = IOMMU_FAULT_NOT_MAPPED;
		fault->text = "page not present";
	} else if (GET(AMDVI_EV_PAGE_FAULT, RZ, event)) {
		fault->cause = IOMMU_FAULT_TABLE;
		fault->text = "reserved bit set in page-table entry";
	} else if (GET(AMDVI_EV_PAGE_FAULT, PE, event)) {
		fault->cause = IOMMU_FAULT_PERMISSION;
		fault->text = "no permission";
	} else {
		fault->cause = IOMMU_FAULT_TABLE;
		fault->text = "illegal level in page-table entry";
	}
}

static uint32_t pasid_of(const uint64_t *event)
{
	if (!GET(AMDVI_EV_ILLEGAL_DTE, GN, event))
		return IOMMU_NO_PASID;
	return (uint32_t)(GET(AMDVI_EV_ILLEGAL_DTE, PASID_19_16, event) << 16 | GET(AMDVI_EV_ILLEGAL_DTE, PASID_15_0, event));
}

/* Events that are no request's: rid is that of no device then. */
static RARE void parse(const struct amdvi_unit *amdvi, const uint64_t *event, struct iommu_fault *fault)
{
	*fault = (struct iommu_fault){
		.rid = (uint32_t)GET(AMDVI_EV_ILLEGAL_DTE, DEVICE_ID, event) | (uint32_t)amdvi->segment << 16,
		.pasid = IOMMU_NO_PASID,
		.iova = event[1],
		.reason = (unsigned)(event[0] >> 48),
	};
	switch (GET(AMDVI_EVENT, CODE, event)) {
	case AMDVI_EVENT_ILLEGAL_DTE:
		fault->pasid = pasid_of(event);
		fault->access = GET(AMDVI_EV_ILLEGAL_DTE, RW, event) ? IOMMU_WRITE : IOMMU_READ;
		fault->cause = IOMMU_FAULT_ENTRY;
		fault->text = GET(AMDVI_EV_ILLEGAL_DTE, RZ, event) ? "reserved bit set in device table entry"
								   : "illegal level in device table entry";
		break;
	case AMDVI_EVENT_PAGE_FAULT:
		page_fault(event, fault);
		break;
	case AMDVI_EVENT_DTE_HARDWARE:
		fault->access = GET(AMDVI_EV_DTE_HARDWARE, RW, event) ? IOMMU_WRITE : IOMMU_READ;
		fault->cause = IOMMU_FAULT_ENTRY;
		fault->text = "device table can't be read";
		break;
	case AMDVI_EVENT_TABLE_HARDWARE:
		fault->access = GET(AMDVI_EV_TABLE_HARDWARE, RW, event) ? IOMMU_WRITE : IOMMU_READ;
		fault->cause = IOMMU_FAULT_TABLE;
		fault->text = "page table can't be read";
		break;
	case AMDVI_EVENT_ILLEGAL_COMMAND:
		fault->rid = UINT32_MAX;
		fault->text = "illegal command";
		break;
	case AMDVI_EVENT_COMMAND_HARDWARE:
		fault->rid = UINT32_MAX;
		fault->text = "command buffer can't be read";
		break;
	case AMDVI_EVENT_IOTLB_TIMEOUT:
		fault->text = "the device did not answer an invalidation of its TLB";
		break;
	case AMDVI_EVENT_INVALID_REQUEST:
		fault->pasid = pasid_of(event);
		fault->cause = IOMMU_FAULT_ADDRESS;
		fault->text = "request of a kind that the device may not make";
		break;
	case AMDVI_EVENT_COUNTER_ZERO:
		fault->rid = UINT32_MAX;
		fault->text = "a performance counter has overflowed";
		break;
	default:
		fault->text = "unknown event";
		break;
	}
}

/* ---- Reading the log ---- */

/* Takes one event out of the log. */
static bool take_event(struct amdvi_unit *amdvi, uint64_t *event)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_log *log = &amdvi->log;
	struct amdvi_deadline deadline = amdvi_start(amdvi);
	bool found;

	port->lock(port->ctx, &log->lock);
	found = log->head != read_tail(amdvi);
	while (found && !read_event(amdvi, log->head, event)) {
		if (amdvi_late(amdvi, deadline))
			found = false;
		port->relax(port->ctx);
	}
	if (found) {
		if (GET(AMDVI_EVENT, CODE, event) == AMDVI_EVENT_IOTLB_TIMEOUT)
			log->devtlb_failed = true;
		/* The next time round, an event that has not arrived yet must not look like this one. */
		memset((char *)log->ring + (size_t)log->head * EVENT_BYTES, 0, EVENT_BYTES);
		log->head = (log->head + 1) % log->count;
		port->write_barrier(port->ctx);
		amdvi_write(amdvi, AMDVI_REG_EVENT_HEAD, (uint64_t)log->head * EVENT_BYTES);
	}
	port->unlock(port->ctx, &log->lock);
	return found;
}

/* 2.5.1: a log that has overflowed has stopped; it is restarted empty. Under its lock. */
static bool restart(struct amdvi_unit *amdvi)
{
	struct amdvi_log *log = &amdvi->log;
	uint64_t status = amdvi_read(amdvi, AMDVI_REG_STATUS);

	if (!GET(AMDVI_STATUS, EVENT_OVERFLOW, &status))
		return false;
	amdvi_control(amdvi, 0, BITS(AMDVI_CONTROL, EVENT_LOG_EN));
	if (amdvi_await_status(amdvi, BITS(AMDVI_STATUS, EVENT_LOG_RUN), 0) == 0) {
		memset(log->ring, 0, log->ring_bytes);
		log->head = 0;
		amdvi_write(amdvi, AMDVI_REG_EVENT_HEAD, 0);
		amdvi_write(amdvi, AMDVI_REG_EVENT_TAIL, 0);
		amdvi_write(amdvi, AMDVI_REG_STATUS, BITS(AMDVI_STATUS, EVENT_OVERFLOW));
		amdvi_control(amdvi, BITS(AMDVI_CONTROL, EVENT_LOG_EN), 0);
	}
	log->restarts++;
	return true;
}

/* Have events been lost that nobody was told of? */
static bool lost_some(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_log *log = &amdvi->log;
	bool lost;

	port->lock(port->ctx, &log->lock);
	restart(amdvi);
	lost = log->told != log->restarts;
	log->told = log->restarts;
	port->unlock(port->ctx, &log->lock);
	return lost;
}

unsigned amdvi_log_restarts(struct amdvi_unit *amdvi)
{
	const struct hitless_port *port = amdvi->unit.port;
	unsigned restarts;

	port->lock(port->ctx, &amdvi->log.lock);
	restarts = amdvi->log.restarts;
	port->unlock(port->ctx, &amdvi->log.lock);
	return restarts;
}

int amdvi_devtlb_verdict(struct amdvi_unit *amdvi, unsigned restarts)
{
	const struct hitless_port *port = amdvi->unit.port;
	struct amdvi_log *log = &amdvi->log;
	uint64_t event[2];
	int err = 0;

	port->lock(port->ctx, &log->lock);
	for (unsigned i = log->head, tail = read_tail(amdvi); i != tail; i = (i + 1) % log->count)
		if (read_event(amdvi, i, event) && GET(AMDVI_EVENT, CODE, event) == AMDVI_EVENT_IOTLB_TIMEOUT)
			log->devtlb_failed = true;
	restart(amdvi);
	if (log->devtlb_failed)
		err = -EIO;
	else if (log->restarts != restarts)
		err = -EAGAIN;
	port->unlock(port->ctx, &log->lock);
	return err;
}

RARE int amdvi_handle_faults(struct iommu_unit *unit)
{
	struct amdvi_unit *amdvi = to_amdvi(unit);
	struct iommu_fault fault;
	uint64_t event[2];
	int count = 0;

	/* No more than the log holds, or devices that never stop faulting would keep the caller here. */
	amdvi_write(amdvi, AMDVI_REG_STATUS, BITS(AMDVI_STATUS, EVENT_LOG_INT));
	while ((unsigned)count < amdvi->log.count && take_event(amdvi, event)) {
		parse(amdvi, event, &fault);
		unit_report_fault(unit, &fault);
		count++;
	}
	if (lost_some(amdvi)) {
		fault = (struct iommu_fault){ .cause = IOMMU_FAULT_OVERFLOW, .text = "events were lost" };
		unit_report_fault(unit, &fault);
		count++;
	}
	return count;
}
