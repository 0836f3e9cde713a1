/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_vtd.c - Intel VT-d on a machine, in its two modes. */
#include "arch.h"

#include <hitless/model-vtd.h>
#include <hitless/vtd.h>

#include "vtd.h"

/* Where PCs have it. */
#define REGISTERS 0xfed90000u

static int create(struct machine *machine, enum vtd_mode mode, struct iommu_unit **unit)
{
	const struct vtd_unit_desc desc = {
		.registers = machine->firmware.registers,
		.mode = mode,
		.timeout_ns = machine->config.timeout_ns,
	};

	return vtd_unit_create(&machine->port, &desc, unit);
}

static int create_legacy(struct machine *machine, struct iommu_unit **unit)
{
	return create(machine, VTD_MODE_LEGACY, unit);
}

static int create_scalable(struct machine *machine, struct iommu_unit **unit)
{
	return create(machine, VTD_MODE_SCALABLE, unit);
}

/* ECAP.C (bit 0) and SMPWCS (bit 48) off. */
static void noncoherent(uint64_t *capabilities)
{
	if (!capabilities[1])
		capabilities[1] = vtd_model_default_ecap();
	capabilities[1] &= ~(1ull | 1ull << 48);
}

/* ECAP.NEST (bit 26). */
static void nesting(uint64_t *capabilities)
{
	if (!capabilities[1])
		capabilities[1] = vtd_model_default_ecap();
	capabilities[1] |= 1ull << 26;
}

/* 9.6: a first-stage entry with four levels. */
static void guest_entry(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry)
{
	(void)page;
	(void)page_addr;
	SET(VTD_PASID, P, entry, 1);
	SET(VTD_PASID, PGTT, entry, VTD_PGTT_FIRST);
	SET(VTD_PASID, DID, entry, tag);
	SET(VTD_PASID, FSPM, entry, VTD_FSPM_4_LEVEL);
	SET_ADDR(VTD_PASID, FSPTPTR, entry, root);
}

const struct machine_arch machine_vtd = {
	.name = "vtd",
	.model = &vtd_model,
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.entry = &vtd_pasid_entry,
	.poison_bits = 7,	/* read, write and execute, or present, writable and user */
	.pasid_bits = 20,
	.cpu = { .shift = 0, .table = 0x27, .read_only = 0x65, .writable = 0x67 }, /* present, writable, user; accessed and dirty */
	.pasid_denies = IOMMU_EXEC | IOMMU_PRIV,
	.create_unit = create_scalable,
	.noncoherent = noncoherent,
	.enable_nesting = vtd_enable_nesting,
	.nesting = nesting,
	.guest_entry = guest_entry,
};

const struct machine_arch machine_vtd_legacy = {
	.name = "vtd-legacy",
	.model = &vtd_model,
	.registers = REGISTERS,
	.register_bytes = 0x1000,
	.entry = &vtd_context_entry,
	.poison_bits = 7,
	.create_unit = create_legacy,
	.noncoherent = noncoherent,
};
