/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_nested_riscv.c - guests' device contexts, process directories and commands on the RISC-V IOMMU. What holds on every
 * architecture is in test_nested.c.
 *
 * The guest's tables are in the machine's RAM, MACHINE_GUEST_OFFSET higher for the guest; its data lie at GUEST_DATA, which each parent
 * maps to frames of its own.
 */
#include "fixture.h"

#include <hitless/model-riscv.h>
#include <hitless/riscv.h>

#include "layout/riscv.h"

#define RID 0x0005u
#define RID2 0x0009u
#define PAGES 8u
#define GUEST_DATA 0x800000000ull
#define RW (IOMMU_READ | IOMMU_WRITE)
#define PID 5u
#define FAR_PID 0x21305u		/* another page of contexts in every directory */

static struct machine_config config_with(uint64_t clear, uint64_t set)
{
	return (struct machine_config){
		.arch = machine_arch_by_name("riscv"), .seed = 1, .nested = true,
		.capabilities = { (riscv_model_default_capabilities() & ~clear) | set },
	};
}

static void open_nested(struct fixture *fx, uint64_t clear, uint64_t set)
{
	fixture_open_config(fx, config_with(clear, set));
}

static struct iommu_device *add_device(struct fixture *fx, struct iommu_group *group, uint32_t rid, unsigned pasid_bits)
{
	const struct iommu_device_desc desc = {
		.unit = fx->machine.unit, .rids = { rid }, .nrids = 1, .ats = true, .pasid_bits = pasid_bits,
	};

	machine_add_function(&fx->machine, rid);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx->devices[fx->ndevices]), 0);
	return fx->devices[fx->ndevices++];
}

static uint64_t dma(struct fixture *fx, uint32_t rid, uint32_t pid, uint64_t iova)
{
	struct machine_dma dma = { .rid = rid, .pasid = pid, .iova = iova, .access = IOMMU_READ };

	dma.ats = machine_ats_enabled(&fx->machine, rid);
	machine_dma(&fx->machine, &dma);
	return dma.done ? dma.phys : FAULTS;
}

static uint64_t frame_of(struct fixture *fx, unsigned frame)
{
	return fx->data + frame * 4096ull;
}

/* ---- A guest's memory ---- */

/* A second stage whose guest has its data on the frames from `frame` on. */
static struct iommu_domain *make_parent(struct fixture *fx, unsigned frame)
{
	struct iommu_domain *parent = fixture_domain(fx, IOMMU_DOMAIN_PAGING, 2);

	assert_int_equal(machine_map_guest(&fx->machine, parent), 0);
	assert_int_equal(iommu_map(parent, GUEST_DATA, frame_of(fx, frame), PAGES * 4096, RW), 0);
	return parent;
}

/* WINDOW + n pages lies at the guest's data page n + shift. */
static uint64_t make_table(struct fixture *fx, unsigned shift)
{
	uint64_t root = machine_cpu_table(&fx->machine);

	assert_int_not_equal(root, 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(machine_cpu_map(&fx->machine, MACHINE_GUEST_OFFSET, root, WINDOW + i * 4096,
						 GUEST_DATA + (i + shift) % PAGES * 4096ull - MACHINE_GUEST_OFFSET, true), 0);
	return root;
}

static void free_table(struct fixture *fx, uint64_t root)
{
	machine_cpu_free(&fx->machine, MACHINE_GUEST_OFFSET, root);
}

static uint64_t *at(struct fixture *fx, uint64_t phys)
{
	return machine_virt(&fx->machine, phys);
}

static uint64_t make_page(struct fixture *fx)
{
	void *page = fx->machine.port.alloc_pages(fx->machine.port.ctx, HITLESS_PAGE_SIZE);

	assert_non_null(page);
	return (uint64_t)((char *)page - fx->machine.ram) + fx->machine.ram_base;
}

static void free_page(struct fixture *fx, uint64_t page)
{
	fx->machine.port.free_pages(fx->machine.port.ctx, at(fx, page), HITLESS_PAGE_SIZE);
}

static uint64_t guest_ppn(uint64_t phys)
{
	return RISCV_PPN(phys + MACHINE_GUEST_OFFSET);
}

/* A process directory: the pages on the way to `pid`, root first. */
struct pdt {
	unsigned mode;
	uint64_t pages[3];
};

static uint64_t *pdt_slot(struct fixture *fx, const struct pdt *pdt, unsigned n, uint32_t pid)
{
	unsigned level = pdt->mode - 1 - n;
	static const unsigned first[] = { 0, RISCV_PDI0_BITS, RISCV_PDI0_BITS + RISCV_PDI1_BITS };

	if (level == 0)
		return at(fx, pdt->pages[n]) + 2 * (pid & 255);
	return at(fx, pdt->pages[n]) + (pid >> first[level] & (level == 1 ? 511 : 7));
}

static void make_pdt(struct fixture *fx, struct pdt *pdt, unsigned mode, uint32_t pid)
{
	pdt->mode = mode;
	for (unsigned n = 0; n < mode; n++) {
		pdt->pages[n] = make_page(fx);
		if (n) {
			uint64_t *slot = pdt_slot(fx, pdt, n - 1, pid);

			SET(RISCV_PDTE, V, slot, 1);
			SET(RISCV_PDTE, PPN, slot, guest_ppn(pdt->pages[n]));
		}
	}
}

static void set_pc(struct fixture *fx, const struct pdt *pdt, uint32_t pid, uint32_t pscid, uint64_t root)
{
	uint64_t *pc = pdt_slot(fx, pdt, pdt->mode - 1, pid);

	memset(pc, 0, 16);
	SET(RISCV_PC, V, pc, 1);
	SET(RISCV_PC, PSCID, pc, pscid);
	if (root) {
		SET(RISCV_PC, FSC_MODE, pc, RISCV_S_SV48);
		SET(RISCV_PC, FSC_PPN, pc, guest_ppn(root));
	}
}

static void free_pdt(struct fixture *fx, const struct pdt *pdt)
{
	for (unsigned n = 0; n < pdt->mode; n++)
		free_page(fx, pdt->pages[n]);
}

/* ---- A guest's device context ---- */

static void set_iosatp(uint64_t *dc, uint32_t pscid, uint64_t root)
{
	memset(dc, 0, 64);
	SET(RISCV_DC, V, dc, 1);
	SET(RISCV_DC, EN_ATS, dc, 1);
	SET(RISCV_DC, PSCID, dc, pscid);
	SET(RISCV_DC, FSC_MODE, dc, RISCV_S_SV48);
	SET(RISCV_DC, FSC_PPN, dc, guest_ppn(root));
}

static void set_pdtp(uint64_t *dc, const struct pdt *pdt, bool default_process)
{
	memset(dc, 0, 64);
	SET(RISCV_DC, V, dc, 1);
	SET(RISCV_DC, EN_ATS, dc, 1);
	SET(RISCV_DC, PDTV, dc, 1);
	SET(RISCV_DC, DPE, dc, default_process);
	if (pdt) {
		SET(RISCV_DC, FSC_MODE, dc, pdt->mode);
		SET(RISCV_DC, FSC_PPN, dc, guest_ppn(pdt->pages[0]));
	}
}

static bool is_extended(const struct fixture *fx)
{
	return GET(RISCV_CAP, MSI_FLAT, &fx->machine.config.capabilities[0]);
}

static size_t dc_bytes(const struct fixture *fx)
{
	return is_extended(fx) ? 64 : 32;
}

static struct iommu_guest_entry read_dc(struct fixture *fx, const uint64_t *dc, int wanted, const char *field)
{
	struct iommu_guest_entry entry;

	assert_int_equal(iommu_guest_entry_read(fx->machine.unit, dc, dc_bytes(fx), &entry), wanted);
	if (field)
		assert_string_equal(entry.field, field);
	else
		assert_null(entry.field);
	return entry;
}

static struct iommu_domain *make_nested(struct fixture *fx, struct iommu_domain *parent, const uint64_t *dc)
{
	struct iommu_guest_entry entry = read_dc(fx, dc, 0, NULL);
	struct iommu_domain *domain;

	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	assert_int_equal(iommu_domain_alloc_nested(parent, &entry, &domain), 0);
	return domain;
}

/* ---- Units ---- */

static void test_units(void **state)
{
	const uint64_t first = BITS(RISCV_CAP, SV39) | BITS(RISCV_CAP, SV48) | BITS(RISCV_CAP, SV57);
	const uint64_t second = BITS(RISCV_CAP, SV39X4) | BITS(RISCV_CAP, SV48X4) | BITS(RISCV_CAP, SV57X4);
	const uint64_t without[] = { first, second };
	uint64_t dc[8] = { 0 };
	struct iommu_guest_entry entry;
	struct machine_config config;
	struct fixture fx;

	(void)state;
	assert_int_equal(riscv_enable_nesting(NULL), -EINVAL);
	for (unsigned i = 0; i < 2; i++) {
		config = config_with(without[i], 0);
		config.nested = false;
		fixture_open_config(&fx, config);
		assert_int_equal(riscv_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
		assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dc, 32, &entry), -EOPNOTSUPP);
		fixture_close(&fx);
	}
	config = config_with(0, 0);
	config.nested = false;
	config.noncoherent = true;
	fixture_open_config(&fx, config);
	assert_int_equal(riscv_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
	fixture_close(&fx);
	fixture_open(&fx, "vtd");
	assert_int_equal(riscv_enable_nesting(fx.machine.unit), -EINVAL);
	fixture_close(&fx);
	/* Each format has its size. */
	open_nested(&fx, 0, 0);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dc, 64, &entry), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dc, 32, &entry), 0);
	fixture_close(&fx);
	open_nested(&fx, 0, BITS(RISCV_CAP, MSI_FLAT));
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dc, 32, &entry), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dc, 64, &entry), 0);
	fixture_close(&fx);
}

/* ---- Device contexts ---- */

static void check_kinds(uint64_t set)
{
	struct iommu_guest_entry entry, other;
	const struct pdt pdt = { .mode = RISCV_PDTP_PD20, .pages = { 0x1000 } };
	uint64_t dc[8], zero[8] = { 0 };
	struct fixture fx;

	open_nested(&fx, 0, set);
	/* Not valid: nothing else counts. */
	memset(dc, 0xff, sizeof(dc));
	dc[0] &= ~1ull;
	entry = read_dc(&fx, dc, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_BLOCKED);
	assert_memory_equal(entry.words, zero, sizeof(zero));
	/* Bare, and a page number and an id that nobody looks at. */
	set_iosatp(dc, 5, 0x1000);
	SET(RISCV_DC, FSC_MODE, dc, RISCV_S_BARE);
	entry = read_dc(&fx, dc, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_BYPASS);
	assert_memory_equal(entry.words, zero, sizeof(zero));

	set_iosatp(dc, 5, 0x1000);
	entry = read_dc(&fx, dc, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	/* What makes no difference makes no other domain. */
	SET(RISCV_DC, DTF, dc, 1);
	SET(RISCV_DC, GADE, dc, 1);
	SET(RISCV_DC, GSCID, dc, 7);
	SET(RISCV_DC, G_PPN, dc, 7);
	if (is_extended(&fx)) {
		SET(RISCV_DCX, MSI_PPN, dc, 7);
		SET(RISCV_DCX, MSI_MASK, dc, 7);
		SET(RISCV_DCX, MSI_PATTERN, dc, 7);
	}
	other = read_dc(&fx, dc, 0, NULL);
	assert_memory_equal(entry.words, other.words, sizeof(entry.words));
	/* What does. */
	SET(RISCV_DC, PSCID, dc, 6);
	other = read_dc(&fx, dc, 0, NULL);
	assert_memory_not_equal(entry.words, other.words, sizeof(entry.words));
	set_iosatp(dc, 5, 0x1000);
	SET(RISCV_DC, SADE, dc, 1);
	other = read_dc(&fx, dc, 0, NULL);
	assert_memory_not_equal(entry.words, other.words, sizeof(entry.words));

	set_pdtp(dc, &pdt, true);
	entry = read_dc(&fx, dc, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	SET(RISCV_DC, PSCID, dc, 6); /* the process contexts have theirs */
	other = read_dc(&fx, dc, 0, NULL);
	assert_memory_equal(entry.words, other.words, sizeof(entry.words));
	set_pdtp(dc, &pdt, false);
	other = read_dc(&fx, dc, 0, NULL);
	assert_memory_not_equal(entry.words, other.words, sizeof(entry.words));
	/* Process ids are let through, and nothing is translated. */
	set_pdtp(dc, NULL, false);
	assert_int_equal(read_dc(&fx, dc, 0, NULL).kind, IOMMU_GUEST_NESTED);
	fixture_close(&fx);
}

static void test_kinds(void **state)
{
	(void)state;
	check_kinds(0);
	check_kinds(BITS(RISCV_CAP, MSI_FLAT));
}

static void check_refused_fields(uint64_t set)
{
	uint64_t dc[8], named[8] = { 0 }, *used = named;
	struct fixture fx;

	open_nested(&fx, 0, set);
	if (is_extended(&fx)) {
		RISCV_DCX_LIST(RISCV_DCX, LAYOUT_NAME_BITS)
	} else {
		RISCV_DC_LIST(RISCV_DC, LAYOUT_NAME_BITS)
	}
	for (unsigned bit = 0; bit < dc_bytes(&fx) * 8; bit++) {
		if (named[bit / 64] >> bit % 64 & 1)
			continue;
		set_iosatp(dc, 5, 0x1000);
		dc[bit / 64] |= 1ull << bit % 64;
		read_dc(&fx, dc, -EINVAL, "reserved bits");
	}
#define REFUSED(prefix, name, value, err) \
	do { \
		set_iosatp(dc, 5, 0x1000); \
		SET(prefix, name, dc, value); \
		read_dc(&fx, dc, err, #name); \
	} while (0)
	for (unsigned mode = 1; mode < 16; mode++) {
		bool known = mode >= RISCV_G_SV39X4 && mode <= RISCV_G_SV57X4;

		REFUSED(RISCV_DC, G_MODE, mode, known ? -EOPNOTSUPP : -EINVAL);
		if (!known)
			REFUSED(RISCV_DC, FSC_MODE, mode, mode >= 14 ? -EOPNOTSUPP : -EINVAL);
		set_pdtp(dc, NULL, true);
		SET(RISCV_DC, FSC_MODE, dc, mode);
		if (mode > RISCV_PDTP_PD20)
			read_dc(&fx, dc, mode >= 14 ? -EOPNOTSUPP : -EINVAL, "FSC_MODE");
		else
			read_dc(&fx, dc, 0, NULL);
		if (is_extended(&fx))
			REFUSED(RISCV_DCX, MSI_MODE, mode, mode == RISCV_MSI_FLAT || mode >= 14 ? -EOPNOTSUPP : -EINVAL);
	}
	REFUSED(RISCV_DC, EN_PRI, 1, -EOPNOTSUPP);
	REFUSED(RISCV_DC, PRPR, 1, -EINVAL);
	REFUSED(RISCV_DC, T2GPA, 1, -EINVAL);
	REFUSED(RISCV_DC, DPE, 1, -EINVAL);
	REFUSED(RISCV_DC, SBE, 1, -EOPNOTSUPP);
	REFUSED(RISCV_DC, SXL, 1, -EOPNOTSUPP);
	REFUSED(RISCV_DC, CUSTOM, 1, -EOPNOTSUPP);
	REFUSED(RISCV_DC, RCID, 1, -EOPNOTSUPP);
	REFUSED(RISCV_DC, MCID, 1, -EOPNOTSUPP);
	/* Page requests without ATS are not even a device context. */
	set_iosatp(dc, 5, 0x1000);
	SET(RISCV_DC, EN_ATS, dc, 0);
	SET(RISCV_DC, EN_PRI, dc, 1);
	read_dc(&fx, dc, -EINVAL, "EN_PRI");
	fixture_close(&fx);
}

/* `kept`: it counts for a first stage, so that one that another unit has read is refused as well. */
static void check_lacking(uint64_t clear, const char *field, void (*set)(uint64_t *dc), bool kept)
{
	struct iommu_domain *parent, *domain;
	struct iommu_guest_entry entry;
	struct machine machine;
	struct machine_config config = config_with(0, 0);
	struct fixture fx;
	uint64_t dc[8];

	open_nested(&fx, clear, 0);
	set_iosatp(dc, 5, 0x1000);
	set(dc);
	read_dc(&fx, dc, -EOPNOTSUPP, field);
	/* Another unit has taken it: this one's domains are not for it. */
	assert_int_equal(machine_create(&machine, &config), 0);
	assert_int_equal(machine_start_unit(&machine), 0);
	assert_int_equal(iommu_guest_entry_read(machine.unit, dc, 32, &entry), 0);
	entry.unit = fx.machine.unit;
	parent = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 2);
	assert_int_equal(iommu_domain_alloc_nested(parent, &entry, &domain), kept ? -EINVAL : 0);
	if (!kept)
		assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	machine_destroy(&machine);
	fixture_close(&fx);
}

static void set_sade(uint64_t *dc)
{
	SET(RISCV_DC, SADE, dc, 1);
}

static void set_gade(uint64_t *dc)
{
	SET(RISCV_DC, GADE, dc, 1);
}

static void set_ats(uint64_t *dc)
{
	SET(RISCV_DC, EN_ATS, dc, 1);
}

static void set_sv57(uint64_t *dc)
{
	SET(RISCV_DC, FSC_MODE, dc, RISCV_S_SV57);
}

static void set_pd17(uint64_t *dc)
{
	SET(RISCV_DC, PDTV, dc, 1);
	SET(RISCV_DC, FSC_MODE, dc, RISCV_PDTP_PD17);
}

static void test_refused_fields(void **state)
{
	(void)state;
	check_refused_fields(0);
	check_refused_fields(BITS(RISCV_CAP, MSI_FLAT));
	check_lacking(BITS(RISCV_CAP, AMO_HWAD), "SADE", set_sade, true);
	check_lacking(BITS(RISCV_CAP, AMO_HWAD), "GADE", set_gade, false);
	check_lacking(BITS(RISCV_CAP, ATS), "EN_ATS", set_ats, false);
	check_lacking(BITS(RISCV_CAP, SV57), "FSC_MODE", set_sv57, true);
	check_lacking(BITS(RISCV_CAP, PD17), "FSC_MODE", set_pd17, true);
}

/* ---- Translation ---- */

/* Through directories of every depth, with and without process ids, in both formats. */
static void check_translation(uint64_t set, unsigned mode)
{
	struct iommu_domain *parent, *domain, *skipping, *bare;
	struct iommu_group *group;
	uint64_t roots[2], dc[8];
	struct fixture fx;
	uint32_t pid = mode == RISCV_PDTP_PD8 ? PID : FAR_PID & (mode == RISCV_PDTP_PD17 ? 0x1ffff : 0xfffff);
	struct pdt pdt;

	open_nested(&fx, 0, set);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 8);
	/* What passes without a first stage finds it here. */
	assert_int_equal(iommu_map(parent, WINDOW, frame_of(&fx, 40), PAGES * 4096, RW), 0);
	roots[0] = make_table(&fx, 1);
	roots[1] = make_table(&fx, 2);
	make_pdt(&fx, &pdt, mode, pid);
	if (mode == RISCV_PDTP_PD8)
		set_pc(&fx, &pdt, 0, 4, roots[0]);
	set_pc(&fx, &pdt, pid, 5, roots[1]);
	set_pc(&fx, &pdt, pid + 1, 0, 0);
	set_pdtp(dc, &pdt, mode == RISCV_PDTP_PD8);
	domain = make_nested(&fx, parent, dc);
	set_pdtp(dc, &pdt, false);
	skipping = make_nested(&fx, parent, dc);
	set_pdtp(dc, NULL, false);
	bare = make_nested(&fx, parent, dc);

	assert_int_equal(iommu_attach_group(group, domain), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		if (mode == RISCV_PDTP_PD8)
			assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW + i * 4096 + 8),
					 frame_of(&fx, 8 + (i + 1) % PAGES) + 8);
		assert_int_equal(dma(&fx, RID, pid, WINDOW + i * 4096 + 8), frame_of(&fx, 8 + (i + 2) % PAGES) + 8);
	}
	/* Bare in the process context: a guest-physical address. */
	assert_int_equal(dma(&fx, RID, pid + 1, WINDOW), frame_of(&fx, 40));
	assert_int_equal(dma(&fx, RID, pid + 2, WINDOW), FAULTS);
	assert_int_equal(dma(&fx, RID, pid, WINDOW + PAGES * 4096), FAULTS);
	/* Requests without process id skip the first stage. */
	assert_int_equal(iommu_group_replace_domain(group, skipping, NULL, NULL), 0);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 40));
	assert_int_equal(dma(&fx, RID, pid, WINDOW), frame_of(&fx, 10));
	/* All do. */
	assert_int_equal(iommu_group_replace_domain(group, bare, NULL, NULL), 0);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 40));
	assert_int_equal(dma(&fx, RID, pid, WINDOW), frame_of(&fx, 40));
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(dma(&fx, RID, pid, WINDOW), FAULTS);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(skipping), 0);
	assert_int_equal(iommu_domain_free(bare), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	free_pdt(&fx, &pdt);
	free_table(&fx, roots[0]);
	free_table(&fx, roots[1]);
	fixture_close(&fx);
}

static void test_translation(void **state)
{
	(void)state;
	for (unsigned mode = RISCV_PDTP_PD8; mode <= RISCV_PDTP_PD20; mode++) {
		check_translation(0, mode);
		check_translation(BITS(RISCV_CAP, MSI_FLAT), mode);
	}
}

/* The guest decides whether the unit sets A and D in its tables. */
static void test_flags(void **state)
{
	struct iommu_domain *parent, *domains[2];
	struct iommu_group *group;
	uint64_t root, dc[8], *pte;
	struct fixture fx;

	(void)state;
	open_nested(&fx, 0, 0);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 0);
	root = make_table(&fx, 0);
	pte = at(&fx, root);
	for (unsigned level = 3; level > 0; level--) {
		unsigned shift = 12 + 9 * level;
		uint64_t entry = pte[WINDOW >> shift & 511];

		pte = at(&fx, RISCV_ADDR(GET(RISCV_PTE, PPN, &entry)) - MACHINE_GUEST_OFFSET);
	}
	pte += WINDOW >> 12 & 511;
	*pte &= ~(BITS(RISCV_PTE, A) | BITS(RISCV_PTE, D));
	for (unsigned sade = 0; sade < 2; sade++) {
		set_iosatp(dc, 1, root);
		SET(RISCV_DC, SADE, dc, sade);
		domains[sade] = make_nested(&fx, parent, dc);
		assert_int_equal(iommu_group_replace_domain(group, domains[sade], NULL, NULL), 0);
		assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), sade ? frame_of(&fx, 0) : FAULTS);
	}
	assert_true(*pte & BITS(RISCV_PTE, A));
	assert_false(*pte & BITS(RISCV_PTE, D));
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domains[0]), 0);
	assert_int_equal(iommu_domain_free(domains[1]), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	free_table(&fx, root);
	fixture_close(&fx);
}

/* ---- Replace ---- */

enum {
	A_FIRST, A_SIBLING, A_SAME_PSCID, A_PDT, A_PDT_SIBLING, A_PDT_SKIPPING, A_PDT_BARE,	/* nested in PARENT_A */
	B_FIRST, B_SAME_ROOT, B_PDT,								/* nested in PARENT_B */
	PARENT_A, PARENT_B, SECOND, FIRST, IDENTITY, BLOCKED, KINDS
};

struct zoo {
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_domain *domains[KINDS];
	uint64_t roots[10];
	struct pdt pdts[3];
	uint64_t lands[KINDS][2];	/* WINDOW without process id, and with PID */
};

static void add_kind(struct zoo *zoo, unsigned kind, struct iommu_domain *domain, unsigned frame, unsigned pid_frame)
{
	zoo->domains[kind] = domain;
	zoo->lands[kind][0] = frame_of(&zoo->fx, frame);
	zoo->lands[kind][1] = pid_frame ? frame_of(&zoo->fx, pid_frame) : FAULTS;
}

static void add_iosatp(struct zoo *zoo, unsigned kind, unsigned parent, uint32_t pscid, uint64_t root, unsigned frame)
{
	uint64_t dc[8];

	set_iosatp(dc, pscid, root);
	add_kind(zoo, kind, make_nested(&zoo->fx, zoo->domains[parent], dc), frame, 0);
}

static void add_pdt(struct zoo *zoo, unsigned kind, unsigned parent, const struct pdt *pdt, bool default_process, unsigned frame,
		    unsigned pid_frame)
{
	uint64_t dc[8];

	set_pdtp(dc, pdt, default_process);
	add_kind(zoo, kind, make_nested(&zoo->fx, zoo->domains[parent], dc), frame, pid_frame);
}

/* Guest a's data lie on frames 8 to 15, guest b's on 16 to 23. */
static void open_zoo(struct zoo *zoo, struct machine_config config, unsigned pasid_bits)
{
	struct fixture *fx = &zoo->fx;
	uint64_t gone;

	memset(zoo, 0, sizeof(*zoo));
	config.pasid_bits = pasid_bits;
	fixture_open_config(fx, config);
	zoo->group = fixture_group(fx);
	add_device(fx, zoo->group, RID, pasid_bits);
	for (unsigned i = 0; i < 10; i++)
		zoo->roots[i] = make_table(fx, i % PAGES);
	for (unsigned i = 0; i < 3; i++) {
		make_pdt(fx, &zoo->pdts[i], RISCV_PDTP_PD8 + i % 2, 0);
		set_pc(fx, &zoo->pdts[i], 0, 3, zoo->roots[i + 3]);
		set_pc(fx, &zoo->pdts[i], PID, 4, zoo->roots[i + 4]);
	}
	add_kind(zoo, PARENT_A, make_parent(fx, 8), 30, 0);
	assert_int_equal(iommu_map(zoo->domains[PARENT_A], WINDOW, frame_of(fx, 30), 4096, RW), 0);
	add_kind(zoo, PARENT_B, make_parent(fx, 16), 31, 0);
	assert_int_equal(iommu_map(zoo->domains[PARENT_B], WINDOW, frame_of(fx, 31), 4096, RW), 0);
	/* The two guests have different tables at the same guest-physical address. */
	gone = zoo->roots[0] + MACHINE_GUEST_OFFSET;
	assert_int_equal(iommu_unmap(zoo->domains[PARENT_B], gone, 4096), 4096);
	assert_int_equal(iommu_map(zoo->domains[PARENT_B], gone, zoo->roots[9], 4096, RW), 0);
	add_iosatp(zoo, A_FIRST, PARENT_A, 1, zoo->roots[0], 8);
	add_iosatp(zoo, A_SIBLING, PARENT_A, 2, zoo->roots[1], 9);
	add_iosatp(zoo, A_SAME_PSCID, PARENT_A, 1, zoo->roots[2], 10);
	add_pdt(zoo, A_PDT, PARENT_A, &zoo->pdts[0], true, 11, 12);
	add_pdt(zoo, A_PDT_SIBLING, PARENT_A, &zoo->pdts[1], true, 12, 13);
	add_pdt(zoo, A_PDT_SKIPPING, PARENT_A, &zoo->pdts[0], false, 30, 12);
	add_pdt(zoo, A_PDT_BARE, PARENT_A, NULL, false, 30, 30);
	add_iosatp(zoo, B_FIRST, PARENT_B, 1, zoo->roots[6], 22);
	add_iosatp(zoo, B_SAME_ROOT, PARENT_B, 1, zoo->roots[0], 17);
	add_pdt(zoo, B_PDT, PARENT_B, &zoo->pdts[2], true, 21, 22);
	add_kind(zoo, SECOND, fixture_paging(fx, 2, 32), 32, 0);
	add_kind(zoo, FIRST, fixture_paging(fx, 1, 40), 40, 0);
	add_kind(zoo, IDENTITY, fixture_domain(fx, IOMMU_DOMAIN_IDENTITY, 0), 0, 0);
	zoo->lands[IDENTITY][0] = WINDOW;
	add_kind(zoo, BLOCKED, fixture_domain(fx, IOMMU_DOMAIN_BLOCKED, 0), 0, 0);
	zoo->lands[BLOCKED][0] = FAULTS;
}

static void close_zoo(struct zoo *zoo)
{
	struct fixture *fx = &zoo->fx;

	assert_int_equal(iommu_detach_group(zoo->group), 0);
	for (unsigned i = 0; i < KINDS; i++)
		assert_int_equal(iommu_domain_free(zoo->domains[i]), 0);
	for (unsigned i = 0; i < 10; i++)
		free_table(fx, zoo->roots[i]);
	for (unsigned i = 0; i < 3; i++)
		free_pdt(fx, &zoo->pdts[i]);
	fixture_close(fx);
}

/* Requests of the device before every step of a replace. */
static struct {
	struct zoo *zoo;
	unsigned from, to, looked, blocked;
	bool active, hitless;
} watch;

static void look(void *ctx, const struct iommu_step *step)
{
	(void)ctx;
	(void)step;
	for (unsigned i = 0; i < 2 && watch.active; i++) {
		struct machine_dma dma = { .rid = RID, .pasid = i ? PID : IOMMU_NO_PASID, .iova = WINDOW, .access = IOMMU_READ };
		uint64_t old = watch.zoo->lands[watch.from][i], new = watch.zoo->lands[watch.to][i], lands;

		machine_dma(&watch.zoo->fx.machine, &dma);
		lands = dma.done ? dma.phys : FAULTS;
		watch.looked++;
		/* Never misconfigured (2.1.4, 2.2.4). */
		assert_true(dma.done || (dma.reason != RISCV_CAUSE_DDT_MISCONFIGURED && dma.reason != RISCV_CAUSE_PDT_MISCONFIGURED));
		if (lands == old || lands == new)
			continue;
		assert_true(lands == FAULTS && !watch.hitless);
		watch.blocked++;
	}
}

static bool is_nested(unsigned kind)
{
	return kind < PARENT_A;
}

static bool has_pdt(unsigned kind)
{
	return kind == A_PDT || kind == A_PDT_SIBLING || kind == A_PDT_SKIPPING || kind == B_PDT;
}

static bool has_hosts_pdt(unsigned kind, unsigned pasid_bits)
{
	return pasid_bits && (kind == FIRST || kind == IDENTITY || kind == BLOCKED);
}

/* What is cached of a guest's pointers may meet another guest's second stage, and a process context of ours a guest's; then there
 * is a gap. */
static bool is_hitless(unsigned from, unsigned to, unsigned pasid_bits)
{
	bool a_to_b = is_nested(from) && is_nested(to) && (from < B_FIRST) != (to < B_FIRST);

	if ((has_pdt(from) && has_hosts_pdt(to, pasid_bits)) || (has_hosts_pdt(from, pasid_bits) && has_pdt(to)))
		return false;
	if (!a_to_b || from == A_PDT_BARE || to == A_PDT_BARE)
		return true;
	return !has_pdt(from) && !has_pdt(to) && !((from == A_FIRST && to == B_SAME_ROOT) || (from == B_SAME_ROOT && to == A_FIRST));
}

static void replace_all(struct machine_config config, unsigned pasid_bits)
{
	struct iommu_replace_report asked, report;
	unsigned disruptive = 0;
	struct zoo zoo;

	open_zoo(&zoo, config, pasid_bits);
	watch.zoo = &zoo;
	zoo.fx.machine.port.trace = look;
	for (unsigned from = 0; from < KINDS; from++)
		for (unsigned to = 0; to < KINDS; to++) {
			const struct iommu_replace_options strict = { .flags = IOMMU_REPLACE_HITLESS_ONLY };

			if (from == to)
				continue;
			assert_int_equal(iommu_group_replace_domain(zoo.group, zoo.domains[from], NULL, NULL), 0);
			for (unsigned i = 0; i < 2; i++)
				assert_int_equal(dma(&zoo.fx, RID, i ? PID : IOMMU_NO_PASID, WINDOW), zoo.lands[from][i]);
			assert_int_equal(iommu_replace_query(zoo.group, zoo.domains[to], NULL, &asked), 0);
			watch.from = from;
			watch.to = to;
			watch.hitless = asked.hitless;
			watch.active = true;
			if (!asked.hitless)
				assert_int_equal(iommu_group_replace_domain(zoo.group, zoo.domains[to], &strict, NULL), -EOPNOTSUPP);
			assert_int_equal(iommu_group_replace_domain(zoo.group, zoo.domains[to], NULL, &report), 0);
			watch.active = false;
			assert_int_equal(report.hitless, asked.hitless);
			assert_true(report.hitless || report.why);
			assert_int_equal(report.hitless, is_hitless(from, to, pasid_bits));
			disruptive += !report.hitless;
			for (unsigned i = 0; i < 2; i++)
				assert_int_equal(dma(&zoo.fx, RID, i ? PID : IOMMU_NO_PASID, WINDOW), zoo.lands[to][i]);
		}
	print_message("%u requests between steps, %u blocked; %u of %u disruptive\n", watch.looked, watch.blocked, disruptive,
		      KINDS * (KINDS - 1));
	assert_true(disruptive > 0 && watch.blocked > 0);
	close_zoo(&zoo);
	memset(&watch, 0, sizeof(watch));
}

static void test_replace(void **state)
{
	(void)state;
	replace_all(config_with(0, 0), 0);
	replace_all(config_with(0, BITS(RISCV_CAP, MSI_FLAT)), 0);
	replace_all(config_with(BITS(RISCV_CAP, AMO_HWAD), 0), 0);
}

static void test_replace_with_pasids(void **state)
{
	(void)state;
	replace_all(config_with(0, 0), 20);
}

/* ---- Commands ---- */

static struct iommu_guest_command read_command(struct fixture *fx, const uint64_t *words, int wanted, const char *field)
{
	struct iommu_guest_command command;

	assert_int_equal(iommu_guest_command_read(fx->machine.unit, words, 16, &command), wanted);
	if (field)
		assert_string_equal(command.field, field);
	else
		assert_null(command.field);
	return command;
}

static void refuse_command(struct fixture *fx, const uint64_t *words, int wanted, const char *field)
{
	assert_int_equal(read_command(fx, words, wanted, field).about, 0);
}

/* Of each opcode and function: bits that nothing is named after, and the functions that there are not. */
static void refuse_reserved(struct fixture *fx, unsigned opcode, unsigned functions, const uint64_t *base, const uint64_t *named)
{
	uint64_t words[2];

	for (unsigned bit = 0; bit < 128; bit++) {
		if (named[bit / 64] >> bit % 64 & 1)
			continue;
		memcpy(words, base, 16);
		words[bit / 64] |= 1ull << bit % 64;
		refuse_command(fx, words, -EINVAL, "reserved bits");
	}
	for (unsigned function = functions; function < 8; function++) {
		memset(words, 0, 16);
		SET(RISCV_CMD, OPCODE, words, opcode);
		SET(RISCV_CMD, FUNC3, words, function);
		refuse_command(fx, words, -EINVAL, "FUNC3");
	}
}

static void test_refused_commands(void **state)
{
	uint64_t words[4] = { 0 }, used[2];
	struct iommu_guest_command command;
	struct fixture fx;

	(void)state;
	open_nested(&fx, 0, 0);
	for (unsigned opcode = 0; opcode < 128; opcode++) {
		words[0] = opcode;
		if (opcode == 0 || opcode > RISCV_OP_ATS)
			refuse_command(&fx, words, opcode >= RISCV_OP_CUSTOM ? -EOPNOTSUPP : -EINVAL, "OPCODE");
	}
	words[0] = RISCV_OP_IOTINVAL;
	memset(used, 0, 16);
	RISCV_IOTINVAL_LIST(RISCV_IOTINVAL, LAYOUT_NAME_BITS)
	refuse_reserved(&fx, RISCV_OP_IOTINVAL, 2, words, used);
	words[0] = RISCV_OP_IOFENCE;
	memset(used, 0, 16);
	RISCV_IOFENCE_LIST(RISCV_IOFENCE, LAYOUT_NAME_BITS)
	refuse_reserved(&fx, RISCV_OP_IOFENCE, 1, words, used);
	assert_int_equal(read_command(&fx, words, 0, NULL).about, 0);
	words[0] = RISCV_OP_IODIR;
	memset(used, 0, 16);
	RISCV_IODIR_LIST(RISCV_IODIR, LAYOUT_NAME_BITS)
	refuse_reserved(&fx, RISCV_OP_IODIR, 2, words, used);
	words[0] = RISCV_OP_ATS;
	memset(used, 0, 16);
	RISCV_ATS_INVAL_LIST(RISCV_ATS_INVAL, LAYOUT_NAME_BITS)
	refuse_reserved(&fx, RISCV_OP_ATS, 2, words, used);

	/* What only a second stage of the guest's own would be about. */
	words[0] = RISCV_OP_IOTINVAL;
	SET(RISCV_IOTINVAL, GV, words, 1);
	refuse_command(&fx, words, -EOPNOTSUPP, "GV");
	SET(RISCV_IOTINVAL, FUNC3, words, RISCV_FUNC_IOTINVAL_GVMA);
	refuse_command(&fx, words, -EOPNOTSUPP, "FUNC3");
	SET(RISCV_IOTINVAL, PSCV, words, 1);
	refuse_command(&fx, words, -EINVAL, "PSCV");
	/* Draft extensions that the unit has not. */
	words[0] = RISCV_OP_IOTINVAL;
	SET(RISCV_IOTINVAL, NL, words, 1);
	refuse_command(&fx, words, -EINVAL, "NL");
	words[0] = RISCV_OP_IOTINVAL;
	SET(RISCV_IOTINVAL, S, words, 1);
	refuse_command(&fx, words, -EINVAL, "S");
	words[1] = 0;
	/* A process id has no place in INVAL_DDT, a device id must be in INVAL_PDT. */
	words[0] = RISCV_OP_IODIR;
	SET(RISCV_IODIR, PID, words, 1);
	refuse_command(&fx, words, -EINVAL, "PID");
	SET(RISCV_IODIR, FUNC3, words, RISCV_FUNC_IODIR_INVAL_PDT);
	refuse_command(&fx, words, -EINVAL, "DV");
	words[0] = RISCV_OP_ATS;
	SET(RISCV_ATS_INVAL, FUNC3, words, RISCV_FUNC_ATS_PRGR);
	refuse_command(&fx, words, -EOPNOTSUPP, "FUNC3");

	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 8, &command), -EOPNOTSUPP);
	words[0] = RISCV_OP_IOFENCE;
	words[3] = 1;
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 32, &command), -EINVAL);
	assert_string_equal(command.field, "reserved bits");
	fixture_close(&fx);

	/* A unit that can't carry it out must not get it: it would stop its queue. */
	open_nested(&fx, BITS(RISCV_CAP, PD17) | BITS(RISCV_CAP, PD20) | BITS(RISCV_CAP, ATS), 0);
	memset(words, 0, sizeof(words));
	words[0] = RISCV_OP_ATS;
	refuse_command(&fx, words, -EOPNOTSUPP, "OPCODE");
	words[0] = RISCV_OP_IODIR;
	SET(RISCV_IODIR, FUNC3, words, RISCV_FUNC_IODIR_INVAL_PDT);
	SET(RISCV_IODIR, DV, words, 1);
	SET(RISCV_IODIR, PID, words, 255);
	assert_int_equal(read_command(&fx, words, 0, NULL).about, IOMMU_GUEST_DEVICE);
	SET(RISCV_IODIR, PID, words, 256);
	refuse_command(&fx, words, -EINVAL, "PID");
	fixture_close(&fx);
	open_nested(&fx, BITS(RISCV_CAP, PD8) | BITS(RISCV_CAP, PD17) | BITS(RISCV_CAP, PD20), 0);
	SET(RISCV_IODIR, PID, words, 0);
	refuse_command(&fx, words, -EOPNOTSUPP, "FUNC3");
	fixture_close(&fx);
}

static void test_what_commands_are_about(void **state)
{
	struct iommu_guest_command command;
	uint64_t words[2] = { 0 };
	struct fixture fx;

	(void)state;
	open_nested(&fx, 0, 0);
	words[0] = RISCV_OP_IOTINVAL;
	assert_int_equal(read_command(&fx, words, 0, NULL).about, IOMMU_GUEST_TRANSLATIONS);
	words[0] = RISCV_OP_IODIR;
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_ENTRY | IOMMU_GUEST_DEVICE);
	assert_int_equal(command.first_rid, 0);
	assert_int_equal(command.last_rid, 0xffffff);
	assert_int_equal(command.pasid, IOMMU_NO_PASID);
	SET(RISCV_IODIR, DV, words, 1);
	SET(RISCV_IODIR, DID, words, 0x123456);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_ENTRY | IOMMU_GUEST_DEVICE);
	assert_int_equal(command.first_rid, 0x123456);
	assert_int_equal(command.last_rid, 0x123456);
	SET(RISCV_IODIR, FUNC3, words, RISCV_FUNC_IODIR_INVAL_PDT);
	SET(RISCV_IODIR, PID, words, 0xfffff);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_DEVICE);
	assert_int_equal(command.first_rid, 0x123456);
	assert_int_equal(command.last_rid, 0x123456);
	words[0] = RISCV_OP_ATS;
	SET(RISCV_ATS_INVAL, RID, words, 0x77);
	SET(RISCV_ATS_INVAL, DSEG, words, 2); /* ignored */
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.about, IOMMU_GUEST_DEVICE);
	assert_int_equal(command.first_rid, 0x77);
	SET(RISCV_ATS_INVAL, DSV, words, 1);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.first_rid, 0x20077);
	assert_int_equal(command.last_rid, 0x20077);
	fixture_close(&fx);
}

/* ---- What commands do ---- */

static void set_iotinval(uint64_t *words, int pscid, uint64_t addr)
{
	memset(words, 0, 16);
	SET(RISCV_IOTINVAL, OPCODE, words, RISCV_OP_IOTINVAL);
	if (pscid >= 0) {
		SET(RISCV_IOTINVAL, PSCV, words, 1);
		SET(RISCV_IOTINVAL, PSCID, words, (uint64_t)pscid);
	}
	if (addr) {
		SET(RISCV_IOTINVAL, AV, words, 1);
		SET(RISCV_IOTINVAL, ADDR, words, addr >> 12);
	}
	/* A guest that names another's GSCID names nothing. */
	SET(RISCV_IOTINVAL, GSCID, words, 1);
}

static void iotinval(struct fixture *fx, struct iommu_domain *parent, int pscid, uint64_t addr)
{
	struct iommu_guest_command command;
	uint64_t words[2];

	set_iotinval(words, pscid, addr);
	command = read_command(fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate(parent, &command), 0);
}

static void iodir(struct fixture *fx, struct iommu_device *device, bool process, uint32_t pid)
{
	struct iommu_guest_command command;
	uint64_t words[2] = { 0 };

	SET(RISCV_IODIR, OPCODE, words, RISCV_OP_IODIR);
	SET(RISCV_IODIR, FUNC3, words, process ? RISCV_FUNC_IODIR_INVAL_PDT : RISCV_FUNC_IODIR_INVAL_DDT);
	SET(RISCV_IODIR, DV, words, 1);
	SET(RISCV_IODIR, DID, words, 0x777); /* the guest has a number of its own for it */
	SET(RISCV_IODIR, PID, words, pid);
	command = read_command(fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
}

#define SCOPE_PAGES 5u		/* as many as the model keeps of all of them */

/* Guests with the same ids behind two parents, and in the first one a device in another first stage with an id of its own. */
static void test_scope(void **state)
{
	static const uint32_t rids[] = { RID, RID2, 0x11 }, pscids[] = { 5, 5, 6 };
	static const unsigned parent_of[] = { 0, 1, 0 };
	struct iommu_domain *parents[2], *domains[3];
	struct iommu_group *groups[3];
	uint64_t roots[3], dc[8];
	struct fixture fx;

	(void)state;
	open_nested(&fx, 0, 0);
	parents[0] = make_parent(&fx, 8);
	parents[1] = make_parent(&fx, 16);
	for (unsigned i = 0; i < 3; i++) {
		groups[i] = fixture_group(&fx);
		add_device(&fx, groups[i], rids[i], 0);
		roots[i] = make_table(&fx, 0);
		set_iosatp(dc, pscids[i], roots[i]);
		domains[i] = make_nested(&fx, parents[parent_of[i]], dc);
		assert_int_equal(iommu_attach_group(groups[i], domains[i]), 0);
	}
#define LANDS(i, page) \
	assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + (page) * 4096), frame_of(&fx, 8 + 8 * parent_of[i] + (page)))
#define GONE(i, page) assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + (page) * 4096), FAULTS)
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned page = 0; page < SCOPE_PAGES; page++)
			LANDS(i, page);
		for (unsigned page = 0; page < SCOPE_PAGES; page++)
			machine_cpu_unmap(&fx.machine, MACHINE_GUEST_OFFSET, roots[i], WINDOW + page * 4096);
	}
	/* Nobody has said a word, or nothing that is about these. */
	iotinval(&fx, parents[0], 7, 0);
	iotinval(&fx, parents[0], 5, 64 * MIB);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned page = 0; page < SCOPE_PAGES; page++)
			LANDS(i, page);
	iotinval(&fx, parents[0], 5, WINDOW + 2 * 4096);
	GONE(0, 2);
	LANDS(0, 3);
	LANDS(1, 2);
	LANDS(2, 2);
	/* Every id of that guest. */
	iotinval(&fx, parents[0], -1, WINDOW + 3 * 4096);
	GONE(0, 3);
	GONE(2, 3);
	LANDS(1, 3);
	LANDS(0, 4);
	iotinval(&fx, parents[0], 5, 0);
	GONE(0, 4);
	LANDS(2, 4);
	LANDS(1, 4);
	iotinval(&fx, parents[0], -1, 0);
	for (unsigned page = 0; page < SCOPE_PAGES; page++) {
		GONE(0, page);
		LANDS(1, page);
		GONE(2, page);
	}
	iotinval(&fx, parents[1], -1, 0);
	for (unsigned page = 0; page < SCOPE_PAGES; page++)
		GONE(1, page);
	/* A parent without guests has nothing to forget. */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_detach_group(groups[i]), 0);
		assert_int_equal(iommu_domain_free(domains[i]), 0);
		free_table(&fx, roots[i]);
	}
	fx.commands = 0;
	iotinval(&fx, parents[0], -1, 0);
	assert_int_equal(fx.commands, 0);
	assert_int_equal(iommu_domain_free(parents[0]), 0);
	assert_int_equal(iommu_domain_free(parents[1]), 0);
	fixture_close(&fx);
}

/* A guest goes, and the next one gets its GSCID, has the same ids of its own, and other tables. */
static void test_next_guest(void **state)
{
	struct iommu_domain *parent, *domain;
	struct iommu_group *group;
	uint64_t root, dc[8];
	struct fixture fx;

	(void)state;
	open_nested(&fx, 0, 0);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	for (unsigned i = 0; i < 3; i++) {
		parent = make_parent(&fx, 8 * i);
		root = make_table(&fx, i);
		set_iosatp(dc, 5, root);
		domain = make_nested(&fx, parent, dc);
		assert_int_equal(iommu_attach_group(group, domain), 0);
		assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8 * i + i));
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(domain), 0);
		assert_int_equal(iommu_domain_free(parent), 0);
		free_table(&fx, root);
	}
	fixture_close(&fx);
}

/* A guest changes its process contexts: each device forgets what it is told to. */
static void test_directories(void **state)
{
	static const uint32_t rids[] = { RID, RID2 };
	struct iommu_domain *parent, *domain;
	struct iommu_device *devices[2];
	struct iommu_group *groups[2];
	uint64_t roots[3], dc[8];
	struct fixture fx;
	struct pdt pdt;

	(void)state;
	open_nested(&fx, 0, 0);
	parent = make_parent(&fx, 8);
	for (unsigned i = 0; i < 3; i++)
		roots[i] = make_table(&fx, i);
	make_pdt(&fx, &pdt, RISCV_PDTP_PD17, 0);
	set_pc(&fx, &pdt, 0, 3, roots[0]);
	set_pc(&fx, &pdt, PID, 4, roots[0]);
	set_pdtp(dc, &pdt, true);
	domain = make_nested(&fx, parent, dc);
	for (unsigned i = 0; i < 2; i++) {
		groups[i] = fixture_group(&fx);
		devices[i] = add_device(&fx, groups[i], rids[i], 0);
		assert_int_equal(iommu_attach_group(groups[i], domain), 0);
		assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
		assert_int_equal(dma(&fx, rids[i], PID, WINDOW), frame_of(&fx, 8));
	}
	set_pc(&fx, &pdt, 0, 5, roots[1]);
	set_pc(&fx, &pdt, PID, 6, roots[2]);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), frame_of(&fx, 8));
	iodir(&fx, devices[0], true, PID);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), frame_of(&fx, 10));
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	assert_int_equal(dma(&fx, RID2, PID, WINDOW), frame_of(&fx, 8));
	iodir(&fx, devices[1], false, 0);
	assert_int_equal(dma(&fx, RID2, PID, WINDOW), frame_of(&fx, 10));
	assert_int_equal(dma(&fx, RID2, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 9));
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_detach_group(groups[i]), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	for (unsigned i = 0; i < 3; i++)
		free_table(&fx, roots[i]);
	free_pdt(&fx, &pdt);
	fixture_close(&fx);
}

/* ---- The parent's mappings ---- */

/* The guest's page is another page of the host's from now on. */
static void move_page(struct fixture *fx, struct iommu_domain *parent, uint64_t gone, uint64_t here)
{
	assert_int_equal(iommu_unmap(parent, gone + MACHINE_GUEST_OFFSET, 4096), 4096);
	assert_int_equal(iommu_map(parent, gone + MACHINE_GUEST_OFFSET, here, 4096, RW), 0);
	/* What the guest's tables have said before may be cached by itself. */
	iotinval(fx, parent, -1, 0);
}

/* Pages move while `ndevices` are in the guest: its data, its page tables' roots, its process contexts. */
static void move_pages(unsigned ndevices, bool directory)
{
	static const uint32_t rids[] = { RID, RID2 };
	struct iommu_domain *parent, *domain;
	struct iommu_group *groups[2];
	uint64_t roots[3], dc[8];
	struct pdt pdt, other;
	struct fixture fx;

	open_nested(&fx, 0, 0);
	parent = make_parent(&fx, 8);
	for (unsigned i = 0; i < 3; i++)
		roots[i] = make_table(&fx, i);
	make_pdt(&fx, &pdt, RISCV_PDTP_PD17, 0);
	make_pdt(&fx, &other, RISCV_PDTP_PD17, 0);
	set_pc(&fx, &pdt, 0, 5, roots[0]);
	set_pc(&fx, &other, 0, 6, roots[2]);
	if (directory)
		set_pdtp(dc, &pdt, true);
	else
		set_iosatp(dc, 5, roots[0]);
	domain = make_nested(&fx, parent, dc);
	for (unsigned i = 0; i < ndevices; i++) {
		groups[i] = fixture_group(&fx);
		add_device(&fx, groups[i], rids[i], 0);
		assert_int_equal(iommu_attach_group(groups[i], domain), 0);
		for (unsigned page = 0; page < PAGES; page++)
			assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + page * 4096), frame_of(&fx, 8 + page));
	}
	/* Data. Nobody's context points there if it has a page table. */
	fx.commands = 0;
	assert_int_equal(iommu_unmap(parent, GUEST_DATA + 3 * 4096, 4096), 4096);
	assert_int_equal(fx.commands, directory ? 3 : 1);
	for (unsigned i = 0; i < ndevices; i++)
		assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + 3 * 4096), FAULTS);
	assert_int_equal(iommu_map(parent, GUEST_DATA + 3 * 4096, frame_of(&fx, 40), 4096, RW), 0);
	for (unsigned i = 0; i < ndevices; i++) {
		assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + 3 * 4096), frame_of(&fx, 40));
		assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW + 4 * 4096), frame_of(&fx, 12));
	}
	/* A root. */
	move_page(&fx, parent, roots[0], roots[1]);
	for (unsigned i = 0; i < ndevices; i++)
		assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW), frame_of(&fx, 9));
	/* The process contexts, and what leads to them. */
	if (directory) {
		move_page(&fx, parent, pdt.pages[1], other.pages[1]);
		for (unsigned i = 0; i < ndevices; i++)
			assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW), frame_of(&fx, 10));
		/* Back again: there the directory's own root moves. */
		move_page(&fx, parent, pdt.pages[1], pdt.pages[1]);
		for (unsigned i = 0; i < ndevices; i++)
			assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW), frame_of(&fx, 9));
		move_page(&fx, parent, pdt.pages[0], other.pages[0]);
		for (unsigned i = 0; i < ndevices; i++)
			assert_int_equal(dma(&fx, rids[i], IOMMU_NO_PASID, WINDOW), frame_of(&fx, 10));
	}
	for (unsigned i = 0; i < ndevices; i++)
		assert_int_equal(iommu_detach_group(groups[i]), 0);
	/* Nobody is in the guest: nothing of it is cached. */
	fx.commands = 0;
	assert_int_equal(iommu_unmap(parent, GUEST_DATA, 4096), 4096);
	assert_int_equal(fx.commands, 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	for (unsigned i = 0; i < 3; i++)
		free_table(&fx, roots[i]);
	free_pdt(&fx, &pdt);
	free_pdt(&fx, &other);
	fixture_close(&fx);
}

static void test_parent_moves_pages(void **state)
{
	(void)state;
	for (unsigned ndevices = 1; ndevices <= 2; ndevices++) {
		move_pages(ndevices, false);
		move_pages(ndevices, true);
	}
}

/* ---- Devices with TLBs and PASIDs ---- */

static void ats_inval(struct fixture *fx, struct iommu_device *device, uint32_t pid, uint64_t addr)
{
	struct iommu_guest_command command;
	uint64_t words[2] = { 0 };

	SET(RISCV_ATS_INVAL, OPCODE, words, RISCV_OP_ATS);
	SET(RISCV_ATS_INVAL, RID, words, 0x777);
	if (pid != IOMMU_NO_PASID) {
		SET(RISCV_ATS_INVAL, PV, words, 1);
		SET(RISCV_ATS_INVAL, PID, words, pid);
	}
	SET_ADDR(RISCV_ATS_INVAL, ADDR, words, addr);
	command = read_command(fx, words, 0, NULL);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
}

static void check_gap(struct iommu_group *group, struct iommu_domain *domain, bool gap)
{
	struct iommu_replace_report report;

	assert_int_equal(iommu_replace_query(group, domain, NULL, &report), 0);
	assert_int_equal(report.hitless, !gap);
	if (gap)
		assert_string_equal(report.why, "the device TLB is switched on or off while the device uses it");
}

/* The device's TLB is used if both sides want it, and forgets what guest and host say. */
static void use_device_tlb(unsigned pasid_bits)
{
	struct machine_config config = config_with(0, 0);
	struct iommu_domain *parent, *domain, *without, *identity;
	struct iommu_device *device;
	struct iommu_group *group;
	uint64_t root, dc[8];
	struct fixture fx;
	struct pdt pdt;

	config.ats = true;
	config.pasid_bits = pasid_bits;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, pasid_bits);
	parent = make_parent(&fx, 8);
	assert_int_equal(iommu_map(parent, WINDOW, frame_of(&fx, 30), 4096, RW), 0);
	root = make_table(&fx, 0);
	make_pdt(&fx, &pdt, RISCV_PDTP_PD8, 0);
	set_pc(&fx, &pdt, 0, 3, root);
	set_pc(&fx, &pdt, PID, 4, root);
	set_pdtp(dc, &pdt, true);
	domain = make_nested(&fx, parent, dc);
	SET(RISCV_DC, EN_ATS, dc, 0);
	without = make_nested(&fx, parent, dc);

	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	for (unsigned page = 0; page < PAGES; page++) {
		assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW + page * 4096), frame_of(&fx, 8 + page));
		assert_int_equal(dma(&fx, RID, PID, WINDOW + page * 4096), frame_of(&fx, 8 + page));
	}
	/* The guest's tables change. */
	machine_cpu_unmap(&fx.machine, MACHINE_GUEST_OFFSET, root, WINDOW);
	iotinval(&fx, parent, -1, 0);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	ats_inval(&fx, device, IOMMU_NO_PASID, WINDOW);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), FAULTS);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), frame_of(&fx, 8));
	ats_inval(&fx, device, PID + 1, WINDOW);
	ats_inval(&fx, device, PID, WINDOW + 4096);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), frame_of(&fx, 8));
	ats_inval(&fx, device, PID, WINDOW);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), FAULTS);
	/* The parent's. Without process id it goes in any case; with one if the device has any. */
	assert_int_equal(iommu_unmap(parent, GUEST_DATA + 2 * 4096, 4096), 4096);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW + 2 * 4096), FAULTS);
	if (pasid_bits)
		assert_int_equal(dma(&fx, RID, PID, WINDOW + 2 * 4096), FAULTS);

	/* The TLB goes off and on. What it has translated before would be refused meanwhile, from what has no tag as well. */
	identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	check_gap(group, without, true);
	assert_int_equal(iommu_group_replace_domain(group, parent, NULL, NULL), 0);
	check_gap(group, without, true);
	assert_int_equal(iommu_group_replace_domain(group, identity, NULL, NULL), 0);
	if (!pasid_bits)
		check_gap(group, without, true);
	check_gap(group, parent, false);
	assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), 0);
	assert_int_equal(iommu_domain_free(identity), 0);
	assert_int_equal(iommu_group_replace_domain(group, without, NULL, NULL), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(dma(&fx, RID, PID, WINDOW + 4096), frame_of(&fx, 9));
	/* No device that has it off gets a command. */
	fx.commands = 0;
	ats_inval(&fx, device, PID, WINDOW);
	assert_int_equal(fx.commands, 0);
	assert_int_equal(iommu_unmap(parent, GUEST_DATA + 4096, 4096), 4096);
	assert_int_equal(dma(&fx, RID, PID, WINDOW + 4096), FAULTS);
	assert_int_equal(iommu_group_replace_domain(group, parent, NULL, NULL), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 30));
	assert_int_equal(iommu_group_replace_domain(group, without, NULL, NULL), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(dma(&fx, RID, PID, WINDOW + 3 * 4096), frame_of(&fx, 11));
	assert_int_equal(iommu_detach_group(group), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(iommu_attach_group(group, without), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(dma(&fx, RID, PID, WINDOW + 3 * 4096), frame_of(&fx, 11));
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(without), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	free_table(&fx, root);
	free_pdt(&fx, &pdt);
	fixture_close(&fx);
}

static void test_device_tlb(void **state)
{
	(void)state;
	use_device_tlb(0);
}

static void test_device_tlb_with_pasids(void **state)
{
	(void)state;
	use_device_tlb(20);
}

/* The guest's directory has all process ids: there is no room for the host's beside it, and none behind one of the host's. */
static void test_pasids(void **state)
{
	struct machine_config config = config_with(0, 0);
	struct iommu_domain *parent, *domain, *first;
	struct iommu_device *device;
	struct iommu_group *group;
	struct picture picture;
	struct fixture fx;
	uint64_t root, dc[8];

	(void)state;
	config.pasid_bits = 20;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, 20);
	parent = make_parent(&fx, 8);
	root = make_table(&fx, 0);
	set_iosatp(dc, 3, root);
	domain = make_nested(&fx, parent, dc);
	first = fixture_paging(&fx, 1, 40);
	assert_int_equal(iommu_attach_group(group, first), 0);
	assert_int_equal(iommu_attach_device_pasid(device, PID, domain, NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(device, PID, first, NULL), 0);
	take_picture(&fx, &picture);
	assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), -EBUSY);
	assert_int_equal(iommu_replace_device_pasid(device, PID, domain, NULL, NULL), -EINVAL);
	compare_picture(&fx, &picture);
	assert_int_equal(dma(&fx, RID, PID, WINDOW), frame_of(&fx, 40));
	assert_int_equal(iommu_detach_device_pasid(device, PID), 0);
	assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), 0);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	assert_int_equal(iommu_attach_device_pasid(device, PID, first, NULL), -EBUSY);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(first), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	free_table(&fx, root);
	fixture_close(&fx);
}

/* All requester ids of a device; and what fails for want of memory has changed nothing. */
static void test_aliases_and_failures(void **state)
{
	const struct iommu_replace_options strict = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
	struct iommu_device_desc desc = { .rids = { RID, RID2 }, .nrids = 2 };
	struct iommu_domain *parent, *domain, *first;
	struct iommu_guest_command command;
	struct iommu_group *group;
	struct picture picture;
	struct fixture fx;
	uint64_t root, dc[8], words[2];

	(void)state;
	open_nested(&fx, 0, 0);
	group = fixture_group(&fx);
	desc.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[fx.ndevices++]), 0);
	parent = make_parent(&fx, 8);
	root = make_table(&fx, 0);
	set_iosatp(dc, 3, root);
	domain = make_nested(&fx, parent, dc);
	first = fixture_paging(&fx, 1, 40);
	assert_int_equal(iommu_attach_group(group, first), 0);
	for (unsigned n = 1;; n++) {
		int err;

		take_picture(&fx, &picture);
		fx.machine.fail_after = n;
		err = iommu_group_replace_domain(group, domain, &strict, NULL);
		fx.machine.fail_after = 0;
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		compare_picture(&fx, &picture);
	}
	free(picture.tables);
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	assert_int_equal(dma(&fx, RID2, IOMMU_NO_PASID, WINDOW), frame_of(&fx, 8));
	/* A device's commands are for all of them. */
	memset(words, 0, 16);
	words[0] = RISCV_OP_IODIR;
	command = read_command(&fx, words, 0, NULL);
	fx.commands = 0;
	assert_int_equal(iommu_guest_invalidate_device(fx.devices[0], &command), 0);
	assert_int_equal(fx.commands, 2);
	assert_int_equal(iommu_guest_invalidate_device(NULL, &command), -EINVAL);
	assert_int_equal(iommu_guest_invalidate(domain, &command), -EINVAL);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(first), 0);
	assert_int_equal(iommu_domain_free(parent), 0);
	free_table(&fx, root);
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused_fields),
		cmocka_unit_test(test_translation),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_replace_with_pasids),
		cmocka_unit_test(test_refused_commands),
		cmocka_unit_test(test_what_commands_are_about),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_next_guest),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_parent_moves_pages),
		cmocka_unit_test(test_device_tlb),
		cmocka_unit_test(test_device_tlb_with_pasids),
		cmocka_unit_test(test_pasids),
		cmocka_unit_test(test_aliases_and_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
