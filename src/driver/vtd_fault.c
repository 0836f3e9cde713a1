/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vtd_fault.c - fault recording (chapter 7; registers 11.4.9 and 11.4.14). */
#include "vtd_driver.h"

struct reason {
	unsigned code;
	enum iommu_fault_cause cause;
	const char *text;
};

#define REASON_ROW(name, code, cause, text) { code, IOMMU_FAULT_##cause, text },
static const struct reason reasons[] = { VTD_FAULT_REASONS(REASON_ROW) };

static RARE void explain(struct iommu_fault *fault)
{
	fault->cause = IOMMU_FAULT_UNKNOWN;
	fault->text = "unknown fault reason";
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].code == fault->reason) {
			fault->cause = reasons[i].cause;
			fault->text = reasons[i].text;
		}
}

static RARE void parse(const struct vtd_unit *vtd, const uint64_t *record, struct iommu_fault *fault)
{
	*fault = (struct iommu_fault){
		.rid = (uint32_t)GET(VTD_FAULT, SID, record) | (uint32_t)vtd->segment << 16,
		.pasid = GET(VTD_FAULT, PP, record) ? (uint32_t)GET(VTD_FAULT, PV, record) : IOMMU_NO_PASID,
		.iova = GET_ADDR(VTD_FAULT, FI, record),
		.access = GET(VTD_FAULT, T1, record) ? IOMMU_READ : IOMMU_WRITE,
		.reason = (unsigned)GET(VTD_FAULT, FR, record),
	};
	if (GET(VTD_FAULT, EXE, record))
		fault->access |= IOMMU_EXEC;
	if (GET(VTD_FAULT, PRIV, record))
		fault->access |= IOMMU_PRIV;
	explain(fault);
}

RARE void vtd_clear_errors(struct vtd_unit *vtd)
{
	unsigned records = (unsigned)VTD_CAP_OF(vtd, NFR) + 1, base = (unsigned)VTD_CAP_OF(vtd, FRO) * 16;

	for (unsigned i = 0; i < records; i++)
		vtd_write32(vtd, base + i * 16 + 12, 1u << (VTD_FAULT_F_LSB - 96));
	vtd_write32(vtd, VTD_REG_FSTS,
		    BITS(VTD_FSTS, PFO) | BITS(VTD_FSTS, IQE) | BITS(VTD_FSTS, ICE) | BITS(VTD_FSTS, ITE));
}

RARE int vtd_handle_faults(struct iommu_unit *unit)
{
	struct vtd_unit *vtd = to_vtd(unit);
	unsigned records = (unsigned)VTD_CAP_OF(vtd, NFR) + 1, base = (unsigned)VTD_CAP_OF(vtd, FRO) * 16;
	uint64_t fsts = vtd_read32(vtd, VTD_REG_FSTS);
	struct iommu_fault fault;
	int count = 0;

	for (unsigned i = 0; i < records; i++) {
		unsigned reg = base + i * 16;
		uint64_t record[2];

		record[1] = vtd_read64(vtd, reg + 8);
		if (!GET(VTD_FAULT, F, record))
			continue;
		record[0] = vtd_read64(vtd, reg);
		/* F is cleared by writing 1; the rest of its word is read-only. */
		vtd_write32(vtd, reg + 12, 1u << (VTD_FAULT_F_LSB - 96));
		parse(vtd, record, &fault);
		unit_report_fault(unit, &fault);
		count++;
	}
	if (GET(VTD_FSTS, PFO, &fsts)) {
		vtd_write32(vtd, VTD_REG_FSTS, BITS(VTD_FSTS, PFO));
		fault = (struct iommu_fault){ .cause = IOMMU_FAULT_OVERFLOW, .text = "fault records were lost" };
		unit_report_fault(unit, &fault);
		count++;
	}
	return count;
}
