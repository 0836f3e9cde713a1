/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch_amdvi.c - AMD-Vi on a machine. */
#include "arch.h"

#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include "amdvi.h"

/* Where QEMU and many boards have it. */
#define REGISTERS 0xfed80000u

/* The first word of the PCI capability block: secure device, IOMMU, IotlbSup, EFRSup. */
#define CAPABILITY 0x0903000fu
#define CAPABILITY_NPCACHE (1u << 26)

/* Unless the machine says more: 16 buses, whose device table has 128 KiB and fits into a small machine. */
#define LAST_DEVICE 0xfffu

static int create(struct machine *machine, struct iommu_unit **unit)
{
	uint32_t capability = CAPABILITY | (machine->config.capabilities[3] & AMDVI_MODEL_NPCACHE ? CAPABILITY_NPCACHE : 0);
	const struct amdvi_unit_desc desc = {
		.registers = machine->firmware.registers,
		.capability = machine->firmware.capability ? machine->firmware.capability : capability,
		.last_device = machine->firmware.last_device ? machine->firmware.last_device : LAST_DEVICE,
		.timeout_ns = machine->config.timeout_ns,
	};

	return amdvi_unit_create(&machine->port, &desc, unit);
}

/* 2.2.2.1: guest tables of four levels, behind a GCR3 table of one page that has them for PASID 0. */
static void guest_entry(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry)
{
	*(uint64_t *)page = amdvi_gcr3_to(root);
	SET(AMDVI_DTE, V, entry, 1);
	SET(AMDVI_DTE, TV, entry, 1);
	SET(AMDVI_DTE, IR, entry, 1);
	SET(AMDVI_DTE, IW, entry, 1);
	SET(AMDVI_DTE, I, entry, 1);
	SET(AMDVI_DTE, GV, entry, 1);
	SET(AMDVI_DTE, GIOV, entry, 1);
	SET(AMDVI_DTE, DOMAIN_ID, entry, tag);
	amdvi_dte_set_gcr3(entry, page_addr);
}

const struct machine_arch machine_amdvi = {
	.name = "amdvi",
	.model = &amdvi_model,
	.registers = REGISTERS,
	.register_bytes = 0x4000,
	.entry = &amdvi_dte,
	/* Host tables: present, a page, readable, writable. Guest tables: present, writable, user. */
	.poison_bits = 0x6000000000000007ull,
	.pasid_bits = 20,
	.cpu = { .shift = 0, .table = 0x27, .read_only = 0x65, .writable = 0x67 }, /* present, writable, user; accessed and dirty */
	.create_unit = create,
	.enable_nesting = amdvi_enable_nesting,
	.guest_entry = guest_entry,
};
