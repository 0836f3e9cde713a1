/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* riscv_fault.c - the fault queue (3.2; registers 5.9 to 5.11, 5.16). */
#include "riscv_driver.h"

#include <string.h>

struct reason {
	unsigned code;
	enum iommu_fault_cause cause;
	const char *text;
};

#define REASON_ROW(name, code, cause, dtf, text) { code, IOMMU_FAULT_##cause, text },
static const struct reason reasons[] = { RISCV_FAULT_CAUSES(REASON_ROW) };

static RARE void explain(struct iommu_fault *fault)
{
	fault->cause = IOMMU_FAULT_UNKNOWN;
	fault->text = "unknown fault cause";
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == fault->reason) {
			fault->cause = reasons[i].cause;
			fault->text = reasons[i].text;
		}
}

static unsigned access_of(unsigned ttyp)
{
	switch (ttyp) {
	case RISCV_TTYP_EXECUTE:
	case RISCV_TTYP_TRANSLATED_EXECUTE:
		return IOMMU_READ | IOMMU_EXEC;
	case RISCV_TTYP_WRITE:
	case RISCV_TTYP_TRANSLATED_WRITE:
		return IOMMU_WRITE;
	default:
		return IOMMU_READ;
	}
}

static RARE void parse(const uint64_t *record, struct iommu_fault *fault)
{
	*fault = (struct iommu_fault){
		.rid = (uint32_t)GET(RISCV_FAULT, DID, record),
		.pasid = GET(RISCV_FAULT, PV, record) ? (uint32_t)GET(RISCV_FAULT, PID, record) : IOMMU_NO_PASID,
		.iova = GET(RISCV_FAULT, IOTVAL, record),
		.access = access_of((unsigned)GET(RISCV_FAULT, TTYP, record)),
		.reason = (unsigned)GET(RISCV_FAULT, CAUSE, record),
	};
	if (GET(RISCV_FAULT, PRIV, record))
		fault->access |= IOMMU_PRIV;
	explain(fault);
}

int riscv_faults_init(struct riscv_unit *riscv, unsigned order)
{
	const struct hitless_port *port = riscv->unit.port;
	uint64_t fqb = 0;
	int err;

	riscv->faults.bytes = (size_t)HITLESS_PAGE_SIZE << order;
	riscv->faults.count = 128u << order;
	err = port->lock_init(port->ctx, &riscv->faults.lock);
	if (err)
		return err;
	riscv->faults.ring = port->alloc_pages(port->ctx, riscv->faults.bytes);
	if (!riscv->faults.ring) {
		port->lock_destroy(port->ctx, &riscv->faults.lock);
		return -ENOMEM;
	}
	SET(RISCV_QUEUE_BASE, LOG2SZ, &fqb, order + 7 - 1);
	SET(RISCV_QUEUE_BASE, PPN, &fqb, RISCV_PPN(riscv_phys(riscv, riscv->faults.ring)));
	riscv_write64(riscv, RISCV_REG_FQB, fqb);
	riscv_write32(riscv, RISCV_REG_FQH, 0);
	riscv_write32(riscv, RISCV_REG_FQCSR, (uint32_t)(BITS(RISCV_FQCSR, FQEN) | BITS(RISCV_FQCSR, FIE)));
	return riscv_wait32(riscv, RISCV_REG_FQCSR, (uint32_t)(BITS(RISCV_FQCSR, FQON) | BITS(RISCV_FQCSR, BUSY)),
			    (uint32_t)BITS(RISCV_FQCSR, FQON));
}

int riscv_faults_fini(struct riscv_unit *riscv)
{
	const struct hitless_port *port = riscv->unit.port;
	int err;

	if (!riscv->faults.ring)
		return 0;
	riscv_write32(riscv, RISCV_REG_FQCSR, 0);
	err = riscv_wait32(riscv, RISCV_REG_FQCSR, (uint32_t)(BITS(RISCV_FQCSR, FQON) | BITS(RISCV_FQCSR, BUSY)), 0);
	if (err)
		return err;
	port->free_pages(port->ctx, riscv->faults.ring, riscv->faults.bytes);
	riscv->faults.ring = NULL;
	port->lock_destroy(port->ctx, &riscv->faults.lock);
	return 0;
}

/* The next record, taken out of the queue. */
static bool take(struct riscv_unit *riscv, uint64_t *record)
{
	const struct hitless_port *port = riscv->unit.port;
	uint32_t head, tail;

	port->lock(port->ctx, &riscv->faults.lock);
	head = riscv_read32(riscv, RISCV_REG_FQH) & (riscv->faults.count - 1);
	tail = riscv_read32(riscv, RISCV_REG_FQT) & (riscv->faults.count - 1);
	if (head != tail) {
		const uint64_t *where = (const uint64_t *)riscv->faults.ring + (size_t)head * RISCV_FAULT_WORDS;

		/* The tail was read first: the record is there. */
		for (unsigned i = 0; i < RISCV_FAULT_WORDS; i++)
			record[i] = __atomic_load_n(&where[i], __ATOMIC_ACQUIRE);
		riscv_write32(riscv, RISCV_REG_FQH, (head + 1) & (riscv->faults.count - 1));
	}
	port->unlock(port->ctx, &riscv->faults.lock);
	return head != tail;
}

RARE int riscv_handle_faults(struct iommu_unit *unit)
{
	struct riscv_unit *riscv = to_riscv(unit);
	uint64_t record[RISCV_FAULT_WORDS], fqcsr;
	const uint32_t errors = (uint32_t)(BITS(RISCV_FQCSR, FQOF) | BITS(RISCV_FQCSR, FQMF));
	struct iommu_fault fault;
	int count = 0;

	/* So that a fault from here on interrupts again (5.18). */
	riscv_write32(riscv, RISCV_REG_IPSR, (uint32_t)BITS(RISCV_IPSR, FIP));
	/* No more than the queue holds: a storm must not keep the caller here for ever. */
	for (unsigned i = 0; i < riscv->faults.count && take(riscv, record); i++) {
		parse(record, &fault);
		unit_report_fault(unit, &fault);
		count++;
	}
	/* Only now that there is room: nothing is recorded until these are cleared. */
	fqcsr = riscv_read32(riscv, RISCV_REG_FQCSR);
	if (fqcsr & errors) {
		uint32_t keep = (uint32_t)(fqcsr & (BITS(RISCV_FQCSR, FQEN) | BITS(RISCV_FQCSR, FIE)));

		riscv_write32(riscv, RISCV_REG_FQCSR, keep | ((uint32_t)fqcsr & errors));
		fault = (struct iommu_fault){ .cause = IOMMU_FAULT_OVERFLOW, .text = "fault records were lost" };
		unit_report_fault(unit, &fault);
		count++;
	}
	return count;
}
