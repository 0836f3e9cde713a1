/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* smmuv3_event.c - the event queue (3.5, 7.2, 7.3) and the global errors that concern it (7.5). */
#include "smmuv3_driver.h"

#include <string.h>

struct reason {
	unsigned code;
	enum iommu_fault_cause cause;
	const char *text;
};

/* C_BAD_STE and C_BAD_CD: our own are never wrong, only not valid. */
#define CAUSE_F_UUT		  IOMMU_FAULT_UNKNOWN
#define CAUSE_C_BAD_STREAMID	  IOMMU_FAULT_BLOCKED
#define CAUSE_F_STE_FETCH	  IOMMU_FAULT_TABLE
#define CAUSE_C_BAD_STE		  IOMMU_FAULT_BLOCKED
#define CAUSE_F_BAD_ATS_TREQ	  IOMMU_FAULT_BLOCKED
#define CAUSE_F_STREAM_DISABLED	  IOMMU_FAULT_BLOCKED
#define CAUSE_F_TRANSL_FORBIDDEN  IOMMU_FAULT_BLOCKED
#define CAUSE_C_BAD_SUBSTREAMID	  IOMMU_FAULT_BLOCKED
#define CAUSE_F_CD_FETCH	  IOMMU_FAULT_TABLE
#define CAUSE_C_BAD_CD		  IOMMU_FAULT_BLOCKED
#define CAUSE_F_WALK_EABT	  IOMMU_FAULT_TABLE
#define CAUSE_F_TRANSLATION	  IOMMU_FAULT_NOT_MAPPED
#define CAUSE_F_ADDR_SIZE	  IOMMU_FAULT_ADDRESS
#define CAUSE_F_ACCESS		  IOMMU_FAULT_TABLE
#define CAUSE_F_PERMISSION	  IOMMU_FAULT_PERMISSION
#define CAUSE_F_TLB_CONFLICT	  IOMMU_FAULT_TABLE
#define CAUSE_F_CFG_CONFLICT	  IOMMU_FAULT_ENTRY
#define CAUSE_E_PAGE_REQUEST	  IOMMU_FAULT_NOT_MAPPED
#define CAUSE_F_VMS_FETCH	  IOMMU_FAULT_TABLE
#define REASON_ROW(name, code, text) { code, CAUSE_##name, text },
static const struct reason reasons[] = { SMMU_EVENTS(REASON_ROW) };

/* Which part of a record counts, beside the first doubleword. */
static bool has_address(unsigned code)
{
	switch (code) {
	case SMMU_EVT_F_UUT:
	case SMMU_EVT_F_BAD_ATS_TREQ:
	case SMMU_EVT_F_TRANSL_FORBIDDEN:
	case SMMU_EVT_F_WALK_EABT:
	case SMMU_EVT_F_TRANSLATION:
	case SMMU_EVT_F_ADDR_SIZE:
	case SMMU_EVT_F_ACCESS:
	case SMMU_EVT_F_PERMISSION:
	case SMMU_EVT_F_TLB_CONFLICT:
	case SMMU_EVT_E_PAGE_REQUEST:
		return true;
	default:
		return false;
	}
}

/* Of those, the two that say nothing of the access; and the one that says only whether it was a read. */
static unsigned access_of(unsigned code, const uint64_t *record)
{
	unsigned access;

	if (!has_address(code) || code == SMMU_EVT_F_BAD_ATS_TREQ || code == SMMU_EVT_E_PAGE_REQUEST)
		return 0;
	access = GET(SMMU_EV_FAULT, RNW, record) ? IOMMU_READ : IOMMU_WRITE;
	if (code == SMMU_EVT_F_TRANSL_FORBIDDEN)
		return access;
	if (GET(SMMU_EV_FAULT, IND, record))
		access |= IOMMU_EXEC;
	if (GET(SMMU_EV_FAULT, PNU, record))
		access |= IOMMU_PRIV;
	return access;
}

static RARE void parse(const uint64_t *record, struct iommu_fault *fault)
{
	unsigned code = (unsigned)GET(SMMU_EVENT, CODE, record);

	*fault = (struct iommu_fault){
		.rid = (uint32_t)GET(SMMU_EVENT, SID, record),
		.pasid = GET(SMMU_EVENT, SSV, record) ? (uint32_t)GET(SMMU_EVENT, SSID, record) : IOMMU_NO_PASID,
		.iova = has_address(code) ? GET(SMMU_EV_FAULT, INPUT_ADDR, record) : 0,
		.access = access_of(code, record),
		.reason = code,
		.cause = IOMMU_FAULT_UNKNOWN,
		.text = "unknown event",
	};
	/* That one's address starts at bit 12; below it is something else. */
	if (code == SMMU_EVT_F_BAD_ATS_TREQ || code == SMMU_EVT_E_PAGE_REQUEST)
		fault->iova &= ~0xfffull;
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == code) {
			fault->cause = reasons[i].cause;
			fault->text = reasons[i].text;
		}
}

int smmuv3_events_init(struct smmuv3_unit *smmu, unsigned order)
{
	const struct hitless_port *port = smmu->unit.port;
	unsigned most = (unsigned)SMMUV3_IDR(smmu, 1, EVENTQS);
	uint64_t base = 0;
	int err;

	/* 128 records in a page. */
	smmu->events.order = order + 7 < most ? order + 7 : most;
	smmu->events.bytes = (size_t)HITLESS_PAGE_SIZE << order;
	err = port->lock_init(port->ctx, &smmu->events.lock);
	if (err)
		return err;
	smmu->events.ring = port->alloc_pages(port->ctx, smmu->events.bytes);
	if (!smmu->events.ring) {
		port->lock_destroy(port->ctx, &smmu->events.lock);
		return -ENOMEM;
	}
	SET(SMMU_QUEUE_BASE, LOG2SIZE, &base, smmu->events.order);
	SET_ADDR(SMMU_QUEUE_BASE, ADDR, &base, smmuv3_phys(smmu, smmu->events.ring));
	SET(SMMU_QUEUE_BASE, RA_WA, &base, 1);
	smmuv3_write64(smmu, SMMU_REG_EVENTQ_BASE, base);
	smmuv3_write32(smmu, SMMU_REG_EVENTQ_PROD, 0);
	smmuv3_write32(smmu, SMMU_REG_EVENTQ_CONS, 0);
	err = smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, EVENTQEN), true);
	if (err)
		return err;
	/* Whoever takes the interrupts has set up where they go (IRQ_CFG); here they are let through (6.3.17). */
	smmuv3_write32(smmu, SMMU_REG_IRQ_CTRL, (uint32_t)(BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN) | BITS(SMMU_IRQ_CTRL, GERROR_IRQEN)));
	return smmuv3_wait32(smmu, SMMU_REG_IRQ_CTRLACK, (uint32_t)BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN),
			     (uint32_t)BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN));
}

int smmuv3_events_fini(struct smmuv3_unit *smmu)
{
	const struct hitless_port *port = smmu->unit.port;
	int err;

	if (!smmu->events.ring)
		return 0;
	smmuv3_write32(smmu, SMMU_REG_IRQ_CTRL, 0);
	err = smmuv3_wait32(smmu, SMMU_REG_IRQ_CTRLACK, (uint32_t)BITS(SMMU_IRQ_CTRL, EVENTQ_IRQEN), 0);
	if (!err)
		err = smmuv3_set_cr0(smmu, (uint32_t)BITS(SMMU_CR0, EVENTQEN), false);
	if (err)
		return err;
	port->free_pages(port->ctx, smmu->events.ring, smmu->events.bytes);
	smmu->events.ring = NULL;
	port->lock_destroy(port->ctx, &smmu->events.lock);
	return 0;
}

enum taken { TAKEN_NONE, TAKEN_RECORD, TAKEN_OVERFLOW };

/*
 * The next record, taken out of the queue. An overflow (7.4: OVFLG differs from OVACKFLG) is acknowledged with the last one: no
 * record is written as long as it stands.
 */
static enum taken take(struct smmuv3_unit *smmu, uint64_t *record)
{
	const struct hitless_port *port = smmu->unit.port;
	enum taken taken = TAKEN_NONE;
	uint64_t prod, cons;

	port->lock(port->ctx, &smmu->events.lock);
	prod = smmuv3_read32(smmu, SMMU_REG_EVENTQ_PROD);
	cons = smmuv3_read32(smmu, SMMU_REG_EVENTQ_CONS);
	if (GET(SMMU_EVENTQ_PROD, WR, &prod) != smmu->events.head) {
		const uint64_t *where = (const uint64_t *)smmu->events.ring +
					(size_t)(smmu->events.head & ((1u << smmu->events.order) - 1)) * SMMU_EVENT_WORDS;

		/* PROD was read first: the record is there. */
		for (unsigned i = 0; i < SMMU_EVENT_WORDS; i++)
			record[i] = __atomic_load_n(&where[i], __ATOMIC_ACQUIRE);
		smmu->events.head = (smmu->events.head + 1) & ((2u << smmu->events.order) - 1);
		taken = TAKEN_RECORD;
	} else if (GET(SMMU_EVENTQ_PROD, OVFLG, &prod) != GET(SMMU_EVENTQ_CONS, OVACKFLG, &cons)) {
		SET(SMMU_EVENTQ_CONS, OVACKFLG, &cons, GET(SMMU_EVENTQ_PROD, OVFLG, &prod));
		taken = TAKEN_OVERFLOW;
	}
	if (taken != TAKEN_NONE) {
		SET(SMMU_EVENTQ_CONS, RD, &cons, smmu->events.head);
		smmuv3_write32(smmu, SMMU_REG_EVENTQ_CONS, (uint32_t)cons);
	}
	port->unlock(port->ctx, &smmu->events.lock);
	return taken;
}

static void report_loss(struct iommu_unit *unit)
{
	struct iommu_fault fault = { .cause = IOMMU_FAULT_OVERFLOW, .text = "event records were lost" };

	unit_report_fault(unit, &fault);
}

/*
 * 7.5: a record that could not be written is lost, and that is all; a queue of commands that stands still, or a unit in service
 * failure mode, does not come back: the unit is lost.
 */
static int handle_errors(struct smmuv3_unit *smmu)
{
	uint32_t gerror = smmuv3_read32(smmu, SMMU_REG_GERROR), gerrorn = smmuv3_read32(smmu, SMMU_REG_GERRORN);
	uint64_t active = gerror ^ gerrorn;

	if (GET(SMMU_GERROR, CMDQ_ERR, &active) || GET(SMMU_GERROR, SFM_ERR, &active))
		unit_mark_lost(&smmu->unit);
	if (!GET(SMMU_GERROR, EVENTQ_ABT_ERR, &active))
		return 0;
	smmuv3_write32(smmu, SMMU_REG_GERRORN, gerrorn ^ (uint32_t)BITS(SMMU_GERROR, EVENTQ_ABT_ERR));
	report_loss(&smmu->unit);
	return 1;
}

RARE int smmuv3_handle_faults(struct iommu_unit *unit)
{
	struct smmuv3_unit *smmu = to_smmuv3(unit);
	uint64_t record[SMMU_EVENT_WORDS];
	struct iommu_fault fault;
	int count = handle_errors(smmu);

	/* No more than the queue holds, and one: a storm must not keep the caller here for ever. */
	for (unsigned i = 0; i <= 1u << smmu->events.order; i++) {
		enum taken taken = take(smmu, record);

		if (taken == TAKEN_NONE)
			break;
		if (taken == TAKEN_OVERFLOW) {
			report_loss(unit);
		} else {
			parse(record, &fault);
			unit_report_fault(unit, &fault);
		}
		count++;
	}
	return count;
}
