/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_nested_amdvi.c - guests' device table entries and commands on AMD-Vi. What holds on every architecture is in test_nested.c.
 *
 * The guest's tables are in the machine's RAM, MACHINE_GUEST_OFFSET higher for the guest; its data lie at GUEST_DATA, which each
 * parent maps to frames of its own.
 */
#include "fixture.h"

#include <hitless/amdvi.h>
#include <hitless/model-amdvi.h>

#include "layout/amdvi.h"

#define RID 0x0300u
#define RID2 0x0308u
#define PAGES 16u
#define GUEST_DATA 0x800000000ull
#define PASID_BITS 20u
#define RW (IOMMU_READ | IOMMU_WRITE)

static uint64_t read_register(struct fixture *fx, unsigned reg)
{
	return iommu_model_read(&fx->machine.model, reg, 8);
}

static uint64_t *entry_of(struct fixture *fx, uint32_t rid)
{
	uint64_t base = read_register(fx, AMDVI_REG_DEVTAB);

	return machine_virt(&fx->machine, GET_ADDR(AMDVI_DEVTAB, BASE, &base) + rid * 32);
}

static struct machine_config config_of(bool ats, bool pasids)
{
	struct machine_config config = {
		.arch = machine_arch_by_name("amdvi"), .seed = 1, .nested = true, .ats = ats,
		.pasid_bits = pasids ? PASID_BITS : 0, .ram_bytes = 64u << 20,
	};

	config.capabilities[0] = amdvi_model_default_efr();
	config.capabilities[1] = amdvi_model_default_efr2();
	return config;
}

static void open_nested(struct fixture *fx, bool ats, bool pasids)
{
	fixture_open_config(fx, config_of(ats, pasids));
}

static struct iommu_device *add_device(struct fixture *fx, struct iommu_group *group, uint32_t rid, unsigned bits)
{
	const struct iommu_device_desc desc = {
		.unit = fx->machine.unit, .rids = { rid }, .nrids = 1, .ats = true, .pasid_bits = bits,
	};

	machine_add_function(&fx->machine, rid);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx->devices[fx->ndevices]), 0);
	return fx->devices[fx->ndevices++];
}

static uint64_t dma(struct fixture *fx, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access)
{
	struct machine_dma dma = { .rid = rid, .pasid = pasid, .iova = iova, .access = access };

	dma.ats = machine_ats_enabled(&fx->machine, rid);
	machine_dma(&fx->machine, &dma);
	return dma.done ? dma.phys : FAULTS;
}

static uint64_t frame_of(struct fixture *fx, unsigned frame)
{
	return fx->data + frame * 4096ull;
}

/* ---- A guest ---- */

/* A parent whose guest has its data on the frames from `frame` on. */
static struct iommu_domain *make_parent(struct fixture *fx, unsigned frame)
{
	struct iommu_domain *parent = fixture_domain(fx, IOMMU_DOMAIN_PAGING, 2);

	assert_int_equal(machine_map_guest(&fx->machine, parent), 0);
	assert_int_equal(iommu_map(parent, GUEST_DATA, frame_of(fx, frame), PAGES * 4096, RW), 0);
	return parent;
}

#define MAX_TABLES 4

/* What a guest has for a device: tables for some PASIDs, a GCR3 table, an entry. */
struct guest {
	struct fixture *fx;
	uint64_t roots[2];		/* page tables of four levels */
	uint64_t pages[MAX_TABLES];	/* GCR3 tables, and what is on top of the page tables */
	unsigned npages;
	uint64_t gcr3;			/* where the GCR3 table begins */
	uint64_t dte[4];
};

static uint64_t add_page(struct guest *guest)
{
	void *page = guest->fx->machine.port.alloc_pages(guest->fx->machine.port.ctx, HITLESS_PAGE_SIZE);

	assert_non_null(page);
	assert_true(guest->npages < MAX_TABLES);
	guest->pages[guest->npages++] = (uint64_t)((char *)page - guest->fx->machine.ram) + guest->fx->machine.ram_base;
	return guest->pages[guest->npages - 1];
}

static uint64_t *at(struct guest *guest, uint64_t phys)
{
	return machine_virt(&guest->fx->machine, phys);
}

/* WINDOW + n pages lies at the guest's data page n + shift. */
static uint64_t add_table(struct guest *guest, unsigned shift)
{
	struct machine *machine = &guest->fx->machine;
	uint64_t root = machine_cpu_table(machine);

	assert_int_not_equal(root, 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(machine_cpu_map(machine, MACHINE_GUEST_OFFSET, root, WINDOW + i * 4096,
						 GUEST_DATA + (i + shift) % PAGES * 4096ull - MACHINE_GUEST_OFFSET, true), 0);
	return root;
}

/* One table for PASID 0, and one for `pasid`, if that is not 0, behind a GCR3 table of glx + 1 levels. */
static void make_guest(struct guest *guest, struct fixture *fx, uint32_t did, unsigned shift, unsigned glx, unsigned levels, uint32_t pasid)
{
	uint64_t table, root;

	memset(guest, 0, sizeof(*guest));
	guest->fx = fx;
	guest->gcr3 = table = add_page(guest);
	for (unsigned level = glx; level > 0; level--) {
		uint64_t below = add_page(guest);

		*at(guest, table) = amdvi_gcr3_to(below + MACHINE_GUEST_OFFSET);
		table = below;
	}
	for (unsigned i = 0; i < (pasid ? 2 : 1); i++) {
		root = guest->roots[i] = add_table(guest, shift + i);
		if (levels == 5) {
			uint64_t top = add_page(guest);

			*at(guest, top) = (root + MACHINE_GUEST_OFFSET) | fx->machine.config.arch->cpu.table;
			root = top;
		}
		at(guest, table)[i ? pasid : 0] = amdvi_gcr3_to(root + MACHINE_GUEST_OFFSET);
	}
	SET(AMDVI_DTE, V, guest->dte, 1);
	SET(AMDVI_DTE, TV, guest->dte, 1);
	SET(AMDVI_DTE, IR, guest->dte, 1);
	SET(AMDVI_DTE, IW, guest->dte, 1);
	SET(AMDVI_DTE, I, guest->dte, 1);
	SET(AMDVI_DTE, GV, guest->dte, 1);
	SET(AMDVI_DTE, GIOV, guest->dte, 1);
	SET(AMDVI_DTE, GLX, guest->dte, glx);
	SET(AMDVI_DTE, DOMAIN_ID, guest->dte, did);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, guest->dte, levels == 5 ? AMDVI_GPM_5_LEVEL : AMDVI_GPM_4_LEVEL);
	amdvi_dte_set_gcr3(guest->dte, guest->gcr3 + MACHINE_GUEST_OFFSET);
}

static void make_simple(struct guest *guest, struct fixture *fx, uint32_t did, unsigned shift)
{
	make_guest(guest, fx, did, shift, 0, 4, 0);
}

static void free_guest(struct guest *guest)
{
	for (unsigned i = 0; i < 2; i++)
		if (guest->roots[i])
			machine_cpu_free(&guest->fx->machine, MACHINE_GUEST_OFFSET, guest->roots[i]);
	for (unsigned i = 0; i < guest->npages; i++)
		machine_nested_free_page(&guest->fx->machine, guest->pages[i]);
}

static struct iommu_domain *nest(struct guest *guest, struct iommu_domain *parent)
{
	struct iommu_guest_entry entry;
	struct iommu_domain *domain;

	assert_int_equal(iommu_guest_entry_read(guest->fx->machine.unit, guest->dte, 32, &entry), 0);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	assert_int_equal(iommu_domain_alloc_nested(parent, &entry, &domain), 0);
	return domain;
}

static void free_domains(struct iommu_domain **domains, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
}

/* ---- Which units ---- */

static void test_units(void **state)
{
	const uint64_t mode = BITS(AMDVI_CONTROL, GCR3_TRP_MODE);
	struct machine_config config = config_of(false, false);
	uint64_t dte[4] = { BITS(AMDVI_DTE, V) };
	struct iommu_guest_command command;
	struct iommu_guest_entry entry;
	struct fixture fx;

	(void)state;
	assert_int_equal(amdvi_enable_nesting(NULL), -EINVAL);
	open_nested(&fx, false, false);
	assert_true(read_register(&fx, AMDVI_REG_CONTROL) & mode);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dte, 64, &entry), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dte, 32, &entry), 0);
	fixture_close(&fx);

	/* Not asked for. */
	config.nested = false;
	fixture_open_config(&fx, config);
	assert_false(read_register(&fx, AMDVI_REG_CONTROL) & mode);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dte, 32, &entry), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, dte, 16, &command), -EOPNOTSUPP);
	fixture_close(&fx);

	/* A GCR3 table would be at a system physical address. */
	config.capabilities[1] = AMDVI_MODEL_EFR2_NONE;
	fixture_open_config(&fx, config);
	assert_int_equal(amdvi_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, dte, 32, &entry), -EOPNOTSUPP);
	fixture_close(&fx);

	config = config_of(false, false);
	config.nested = false;
	config.capabilities[0] &= ~(BITS(AMDVI_EFR, GT_SUP) | BITS(AMDVI_EFR, GIO_SUP));
	fixture_open_config(&fx, config);
	assert_int_equal(amdvi_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
	fixture_close(&fx);
	fixture_open(&fx, "riscv");
	assert_int_equal(amdvi_enable_nesting(fx.machine.unit), -EINVAL);
	fixture_close(&fx);
}

/* ---- Entries ---- */

static struct iommu_guest_entry read_entry(struct fixture *fx, const uint64_t *dte, int wanted, const char *field)
{
	struct iommu_guest_entry entry;

	assert_int_equal(iommu_guest_entry_read(fx->machine.unit, dte, 32, &entry), wanted);
	if (field)
		assert_string_equal(entry.field, field);
	else
		assert_null(entry.field);
	return entry;
}

static void sample(uint64_t *dte)
{
	memset(dte, 0, 32);
	SET(AMDVI_DTE, V, dte, 1);
	SET(AMDVI_DTE, TV, dte, 1);
	SET(AMDVI_DTE, IR, dte, 1);
	SET(AMDVI_DTE, IW, dte, 1);
	SET(AMDVI_DTE, GV, dte, 1);
	SET(AMDVI_DTE, GIOV, dte, 1);
	SET(AMDVI_DTE, DOMAIN_ID, dte, 7);
	amdvi_dte_set_gcr3(dte, 0x140005000);
}

/* From a sample, with one field changed. */
#define ASSERT_REFUSED(fx, field, value, err) \
	do { \
		uint64_t dte_[4]; \
		sample(dte_); \
		SET(AMDVI_DTE, field, dte_, value); \
		read_entry(fx, dte_, err, #field); \
	} while (0)

static void test_kinds(void **state)
{
	struct iommu_guest_entry entry, other;
	uint64_t dte[4];
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	/* V=0: DMA passes, whatever else is there. */
	memset(dte, 0xff, sizeof(dte));
	SET(AMDVI_DTE, V, dte, 0);
	assert_int_equal(read_entry(&fx, dte, 0, NULL).kind, IOMMU_GUEST_BYPASS);
	/* TV=0: none does; Mode and rights are not valid. */
	sample(dte);
	SET(AMDVI_DTE, TV, dte, 0);
	SET(AMDVI_DTE, MODE, dte, 7);
	assert_int_equal(read_entry(&fx, dte, 0, NULL).kind, IOMMU_GUEST_BLOCKED);
	/* One to one, with both rights or with none. */
	sample(dte);
	SET(AMDVI_DTE, GV, dte, 0);
	SET(AMDVI_DTE, GLX, dte, 3);
	assert_int_equal(read_entry(&fx, dte, 0, NULL).kind, IOMMU_GUEST_BYPASS);
	SET(AMDVI_DTE, IW, dte, 0);
	read_entry(&fx, dte, -EOPNOTSUPP, "IW");
	SET(AMDVI_DTE, IR, dte, 0);
	assert_int_equal(read_entry(&fx, dte, 0, NULL).kind, IOMMU_GUEST_BLOCKED);
	SET(AMDVI_DTE, IW, dte, 1);
	read_entry(&fx, dte, -EOPNOTSUPP, "IR");

	sample(dte);
	entry = read_entry(&fx, dte, 0, NULL);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	/* What has no meaning for guest tables, or is the host's, makes no other domain of it; nor do interrupts. */
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, dte, 0x7000);
	SET(AMDVI_DTE, HAD, dte, 3);
	SET(AMDVI_DTE, GPRP, dte, 1);
	SET(AMDVI_DTE, SE, dte, 1);
	SET(AMDVI_DTE, SA, dte, 1);
	SET(AMDVI_DTE, SD, dte, 1);
	SET(AMDVI_DTE, CACHE, dte, 1);
	dte[2] |= ~BITS(AMDVI_DTE, GUEST_PAGING_MODE);
	dte[3] = ~0ull;
	other = read_entry(&fx, dte, 0, NULL);
	assert_memory_equal(entry.words, other.words, sizeof(entry.words));
	SET(AMDVI_DTE, IW, dte, 0);
	other = read_entry(&fx, dte, 0, NULL);
	assert_memory_not_equal(entry.words, other.words, sizeof(entry.words));
	fixture_close(&fx);
}

static void test_refused_fields(void **state)
{
	struct machine_config config = config_of(false, false);
	struct iommu_domain *parent, *nested;
	struct iommu_guest_entry entry;
	uint64_t dte[4];
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	for (unsigned bit = 0; bit < 128; bit++) {
		uint64_t used[4] = { 0 };

		AMDVI_DTE_LIST(AMDVI_DTE, LAYOUT_NAME_BITS)
		if (used[bit / 64] >> bit % 64 & 1)
			continue;
		sample(dte);
		dte[bit / 64] |= 1ull << bit % 64;
		read_entry(&fx, dte, -EINVAL, "reserved bits");
	}
	for (unsigned mode = 1; mode <= 7; mode++)
		ASSERT_REFUSED(&fx, MODE, mode, mode == 7 ? -EINVAL : -EOPNOTSUPP);
	for (unsigned what = 1; what < 4; what++) {
		ASSERT_REFUSED(&fx, IOCTL, what, what == 3 ? -EINVAL : -EOPNOTSUPP);
		ASSERT_REFUSED(&fx, SYSMGT, what, -EOPNOTSUPP);
	}
	ASSERT_REFUSED(&fx, EX, 1, -EOPNOTSUPP);
	ASSERT_REFUSED(&fx, PPR, 1, -EOPNOTSUPP);
	ASSERT_REFUSED(&fx, HAD, 2, -EINVAL);
	ASSERT_REFUSED(&fx, GLX, 3, -EINVAL);
	ASSERT_REFUSED(&fx, GUEST_PAGING_MODE, 2, -EINVAL);
	ASSERT_REFUSED(&fx, GUEST_PAGING_MODE, 3, -EINVAL);
	/* What passes beside translation, passes with TV=0 as well. */
	sample(dte);
	SET(AMDVI_DTE, TV, dte, 0);
	SET(AMDVI_DTE, SYSMGT, dte, 1);
	read_entry(&fx, dte, -EOPNOTSUPP, "SYSMGT");
	fixture_close(&fx);

	/* Each by a unit that lacks it; also if another unit had read it. */
	SET(AMDVI_EFR, GLX_SUP, &config.capabilities[0], 1);
	SET(AMDVI_EFR, GATS, &config.capabilities[0], AMDVI_GATS_4_LEVEL);
	SET(AMDVI_EFR, GIO_SUP, &config.capabilities[0], 0);
	fixture_open_config(&fx, config);
	sample(dte);
	read_entry(&fx, dte, -EOPNOTSUPP, "GIOV");
	SET(AMDVI_DTE, GIOV, dte, 0);
	entry = read_entry(&fx, dte, 0, NULL);
	parent = make_parent(&fx, 0);
	SET(AMDVI_DTE, GLX, entry.words, 2);
	assert_int_equal(iommu_domain_alloc_nested(parent, &entry, &nested), -EINVAL);
	free_domains(&parent, 1);
	SET(AMDVI_DTE, GLX, dte, 2);
	read_entry(&fx, dte, -EOPNOTSUPP, "GLX");
	SET(AMDVI_DTE, GLX, dte, 1);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, dte, AMDVI_GPM_5_LEVEL);
	read_entry(&fx, dte, -EOPNOTSUPP, "GUEST_PAGING_MODE");
	fixture_close(&fx);
}

/* ---- Translation ---- */

/* Every depth of both tables; the guest's addresses are nobody else's. */
static void test_translation(void **state)
{
	struct iommu_domain *parent, *nested;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	for (unsigned glx = 0; glx <= 2; glx++)
		for (unsigned levels = 4; levels <= 5; levels++) {
			open_nested(&fx, false, false);
			group = fixture_group(&fx);
			add_device(&fx, group, RID, 0);
			parent = make_parent(&fx, 8);
			make_guest(&guest, &fx, 5, 3, glx, levels, 0);
			nested = nest(&guest, parent);
			assert_int_equal(iommu_attach_group(group, nested), 0);
			for (unsigned i = 0; i < PAGES; i++)
				assert_int_equal(fixture_dma(&fx, RID, WINDOW + i * 4096 + 16, IOMMU_WRITE),
						 frame_of(&fx, 8 + (i + 3) % PAGES) + 16);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW + PAGES * 4096, IOMMU_READ), FAULTS);
			assert_int_equal(fixture_dma(&fx, RID, GUEST_DATA, IOMMU_READ), FAULTS);
			assert_int_equal(iommu_detach_group(group), 0);
			free_domains(&nested, 1);
			free_guest(&guest);
			free_domains(&parent, 1);
			fixture_close(&fx);
		}
}

/* The guest's rights, and requests that its tables are not for: they are in its physical addresses. */
static void test_rights_and_giov(void **state)
{
	struct iommu_domain *parent, *nested[3];
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 8);
	make_simple(&guest, &fx, 5, 0);
	nested[0] = nest(&guest, parent);
	SET(AMDVI_DTE, IW, guest.dte, 0);
	nested[1] = nest(&guest, parent);
	SET(AMDVI_DTE, IW, guest.dte, 1);
	SET(AMDVI_DTE, GIOV, guest.dte, 0);
	nested[2] = nest(&guest, parent);
	assert_int_equal(iommu_attach_group(group, nested[1]), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), frame_of(&fx, 8));
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_group_replace_domain(group, nested[0], NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), frame_of(&fx, 8));
	assert_int_equal(iommu_group_replace_domain(group, nested[2], NULL, NULL), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID, GUEST_DATA + 4096, IOMMU_WRITE), frame_of(&fx, 9));
	/* Those, too, go when the parent unmaps. */
	assert_int_equal(iommu_unmap(parent, GUEST_DATA + 4096, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, GUEST_DATA + 4096, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(nested, 3);
	free_guest(&guest);
	free_domains(&parent, 1);
	fixture_close(&fx);
}

/* What the device's owner has set up for interrupts is as it was, and the guest's is nowhere. */
static void test_interrupt_half(void **state)
{
	struct iommu_domain *parent, *nested;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t *live, dte[4] = { 0 };
	const uint64_t *half = dte + 2;

	(void)state;
	open_nested(&fx, false, false);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 8);
	make_guest(&guest, &fx, 5, 0, 0, 5, 0);
	SET(AMDVI_DTE, IV, dte, 1);
	SET(AMDVI_DTE, INT_TAB_LEN, dte, 9);
	SET(AMDVI_DTE, INT_TABLE_ROOT, dte, 0x48d);
	SET(AMDVI_DTE, INT_CTL, dte, 2);
	SET(AMDVI_DTE, LINT1_PASS, dte, 1);
	guest.dte[2] |= ~BITS(AMDVI_DTE, GUEST_PAGING_MODE);
	guest.dte[3] = ~0ull;
	nested = nest(&guest, parent);
	assert_int_equal(amdvi_set_interrupts(fx.machine.unit, RID, half), 0);
	assert_int_equal(iommu_attach_group(group, nested), 0);
	live = entry_of(&fx, RID);
	assert_int_equal(GET(AMDVI_DTE, GUEST_PAGING_MODE, live), AMDVI_GPM_5_LEVEL);
	assert_int_equal(live[2] & ~BITS(AMDVI_DTE, GUEST_PAGING_MODE), half[0]);
	assert_int_equal(live[3], half[1]);
	assert_int_equal(amdvi_dte_mode(live), AMDVI_DTE_MODE_NESTED);
	/* The guest's DomainID is not ours. */
	assert_int_not_equal(GET(AMDVI_DTE, DOMAIN_ID, live), 5);
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(&nested, 1);
	free_guest(&guest);
	free_domains(&parent, 1);
	fixture_close(&fx);
}

/* ---- Replace ---- */

enum { NESTED, SIBLING, OTHER, DEEP, PARENT, SECOND, FIRST, FIRST_DEEP, IDENTITY, BLOCKED, KINDS };

/* With 128-bit stores only a change of the depth of the guest's tables costs more than a store: it lies in the other half. */
static enum iommu_strategy strategy_of(unsigned from, unsigned to)
{
	static const unsigned depths[KINDS] = { 4, 4, 4, 5, 0, 0, 4, 5, 0, 0 };

	if (from == to)
		return IOMMU_STRATEGY_NONE;
	if (!depths[from] || !depths[to])
		return depths[from] == 5 || depths[to] == 5 ? IOMMU_STRATEGY_PRELOAD : IOMMU_STRATEGY_ONE_STORE;
	if (depths[from] == depths[to])
		return IOMMU_STRATEGY_ONE_STORE;
	/* Our guest tables are host tables as well, a guest's are not. */
	return from == FIRST || from == FIRST_DEEP ? IOMMU_STRATEGY_STANDIN : IOMMU_STRATEGY_BREAK;
}

static void test_replace(void **state)
{
	const struct iommu_domain_desc deep = { .type = IOMMU_DOMAIN_PAGING, .stage = 1, .levels = 5 };
	struct iommu_domain *domains[KINDS], *other;
	struct iommu_replace_report report;
	struct iommu_group *group;
	struct guest guests[4];
	uint64_t lands[KINDS];
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	domains[PARENT] = make_parent(&fx, 0);
	other = make_parent(&fx, 16);
	make_simple(&guests[0], &fx, 1, 1);
	make_simple(&guests[1], &fx, 2, 2);
	make_simple(&guests[2], &fx, 1, 3);
	make_guest(&guests[3], &fx, 3, 4, 1, 5, 0);
	for (unsigned i = NESTED; i <= DEEP; i++) {
		domains[i] = nest(&guests[i], i == OTHER ? other : domains[PARENT]);
		lands[i] = frame_of(&fx, (i == OTHER ? 16 : 0) + i + 1);
	}
	assert_int_equal(iommu_map(domains[PARENT], WINDOW, frame_of(&fx, 60), 4096, RW), 0);
	lands[PARENT] = frame_of(&fx, 60);
	domains[SECOND] = fixture_paging(&fx, 2, 40);
	lands[SECOND] = frame_of(&fx, 40);
	domains[FIRST] = fixture_paging(&fx, 1, 44);
	lands[FIRST] = frame_of(&fx, 44);
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &deep, &domains[FIRST_DEEP]), 0);
	assert_int_equal(iommu_map(domains[FIRST_DEEP], WINDOW, frame_of(&fx, 48), 4096, RW), 0);
	lands[FIRST_DEEP] = frame_of(&fx, 48);
	domains[IDENTITY] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	lands[IDENTITY] = WINDOW;
	domains[BLOCKED] = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
	lands[BLOCKED] = FAULTS;
	for (unsigned from = 0; from < KINDS; from++)
		for (unsigned to = 0; to < KINDS; to++) {
			enum iommu_strategy strategy = strategy_of(from, to);

			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands[from]);
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), lands[to]);
			assert_int_equal(report.strategy, strategy);
			assert_int_equal(report.hitless, strategy != IOMMU_STRATEGY_BREAK);
			if (!report.hitless)
				assert_non_null(strstr(report.why, "GuestPagingMode"));
		}
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(&domains[SECOND], KINDS - SECOND);
	free_domains(&domains[NESTED], DEEP + 1);
	free_domains(&domains[PARENT], 1);
	free_domains(&other, 1);
	for (unsigned i = 0; i < 4; i++)
		free_guest(&guests[i]);
	fixture_close(&fx);
}

/* The entries of those who are nested have the parent's root. */
static void test_parent_does_not_grow(void **state)
{
	struct iommu_domain *parent, *nested;
	struct guest guest;
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	parent = make_parent(&fx, 0);
	make_simple(&guest, &fx, 1, 0);
	nested = nest(&guest, parent);
	assert_int_equal(iommu_map(parent, 1ull << 40, fx.data, 4096, RW), -EOPNOTSUPP);
	free_domains(&nested, 1);
	assert_int_equal(iommu_map(parent, 1ull << 40, fx.data, 4096, RW), 0);
	free_guest(&guest);
	free_domains(&parent, 1);
	fixture_close(&fx);
}

/* ---- Commands ---- */

static void set_pages(uint64_t *words, uint32_t did, bool guest, uint32_t pasid, uint64_t addr, bool tables)
{
	memset(words, 0, 16);
	SET(AMDVI_CMD_PAGES, OPCODE, words, AMDVI_CMD_PAGES);
	SET(AMDVI_CMD_PAGES, DOMAIN_ID, words, did);
	SET(AMDVI_CMD_PAGES, GN, words, guest);
	SET(AMDVI_CMD_PAGES, PASID, words, pasid);
	SET(AMDVI_CMD_PAGES, PDE, words, tables);
	SET(AMDVI_CMD_PAGES, S, words, addr == AMDVI_ALL_ADDRESSES);
	SET_ADDR(AMDVI_CMD_PAGES, ADDR, words, addr);
}

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

static void invalidate(struct fixture *fx, struct iommu_domain *parent, const uint64_t *words)
{
	struct iommu_guest_command command = read_command(fx, words, 0, NULL);

	assert_true(command.about & IOMMU_GUEST_TRANSLATIONS);
	assert_int_equal(iommu_guest_invalidate(parent, &command), 0);
}

static void test_commands(void **state)
{
	static const struct {
		unsigned opcode, about;
	} known[] = {
		{ AMDVI_CMD_WAIT, 0 }, { AMDVI_CMD_DTE, IOMMU_GUEST_ENTRY }, { AMDVI_CMD_PAGES, IOMMU_GUEST_TRANSLATIONS },
		{ AMDVI_CMD_IOTLB, IOMMU_GUEST_DEVICE }, { AMDVI_CMD_INTERRUPTS, 0 }, { AMDVI_CMD_PREFETCH, 0 },
		{ AMDVI_CMD_ALL, IOMMU_GUEST_TRANSLATIONS | IOMMU_GUEST_ENTRY },
	};
	struct iommu_guest_command command;
	uint64_t words[4] = { 0 };
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	for (unsigned opcode = 0; opcode < 16; opcode++) {
		unsigned i = 0;

		while (i < 7 && known[i].opcode != opcode)
			i++;
		memset(words, 0, sizeof(words));
		SET(AMDVI_CMD, OPCODE, words, opcode);
		if (i == 7) {
			read_command(&fx, words, -EINVAL, "OPCODE");
			continue;
		}
		command = read_command(&fx, words, 0, NULL);
		assert_int_equal(command.about, known[i].about);
		assert_int_equal(command.pasid, IOMMU_NO_PASID);
	}
	memset(words, 0, sizeof(words));
	SET(AMDVI_CMD_DTE, OPCODE, words, AMDVI_CMD_DTE);
	SET(AMDVI_CMD_DTE, DEVICE_ID, words, 0x1234);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.first_rid, 0x1234);
	assert_int_equal(command.last_rid, 0x1234);
	words[1] = 1;
	read_command(&fx, words, -EINVAL, "reserved bits");
	memset(words, 0, sizeof(words));
	SET(AMDVI_CMD_IOTLB, OPCODE, words, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, words, 0x77);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.first_rid, 0x77);
	assert_int_equal(command.last_rid, 0x77);
	SET(AMDVI_CMD_IOTLB, TYPE, words, 1);
	read_command(&fx, words, -EOPNOTSUPP, "TYPE");
	memset(words, 0, sizeof(words));
	SET(AMDVI_CMD_ALL, OPCODE, words, AMDVI_CMD_ALL);
	command = read_command(&fx, words, 0, NULL);
	assert_int_equal(command.first_rid, 0);
	assert_int_equal(command.last_rid, 0xffff);
	words[0] |= 1;
	read_command(&fx, words, -EINVAL, "reserved bits");
	set_pages(words, 1, true, 1, AMDVI_ALL_ADDRESSES, true);
	words[0] |= 1ull << 20;
	read_command(&fx, words, -EINVAL, "reserved bits");
	fixture_close(&fx);
}

/* ---- Scope ---- */

/* Every page of the window, from where the guest's tables and the parent say. */
static void use_all(struct fixture *fx, uint32_t rid, uint32_t pasid, unsigned frame, unsigned shift)
{
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(dma(fx, rid, pasid, WINDOW + i * 4096, IOMMU_READ), frame_of(fx, frame + (i + shift) % PAGES));
}

static void use_none(struct fixture *fx, uint32_t rid, uint32_t pasid)
{
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(dma(fx, rid, pasid, WINDOW + i * 4096, IOMMU_READ), FAULTS);
}

static void clear_tables(struct guest *guest)
{
	for (unsigned root = 0; root < 2 && guest->roots[root]; root++)
		for (unsigned i = 0; i < PAGES; i++)
			machine_cpu_unmap(&guest->fx->machine, MACHINE_GUEST_OFFSET, guest->roots[root], WINDOW + i * 4096);
}

/* Two guests with the same DomainID: each one's commands are about its own translations, and there they do what they say. */
static void test_scope(void **state)
{
	struct iommu_domain *parents[2], *nested[2];
	struct iommu_group *groups[2];
	struct guest guests[2];
	uint64_t words[2];
	struct fixture fx;

	(void)state;
	open_nested(&fx, false, false);
	for (unsigned i = 0; i < 2; i++) {
		groups[i] = fixture_group(&fx);
		add_device(&fx, groups[i], i ? RID2 : RID, 0);
		parents[i] = make_parent(&fx, i * 16);
		make_simple(&guests[i], &fx, 5, i);
		nested[i] = nest(&guests[i], parents[i]);
		assert_int_equal(iommu_attach_group(groups[i], nested[i]), 0);
		use_all(&fx, i ? RID2 : RID, IOMMU_NO_PASID, i * 16, i);
		clear_tables(&guests[i]);
	}
	/* Nobody has said a word yet; nor is one about another DomainID, or PASID. */
	set_pages(words, 6, true, 0, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parents[0], words);
	set_pages(words, 5, true, 1, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parents[0], words);
	use_all(&fx, RID, IOMMU_NO_PASID, 0, 0);
	/* One page. */
	set_pages(words, 5, true, 0, WINDOW + 2 * 4096, false);
	invalidate(&fx, parents[0], words);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 2 * 4096, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 3 * 4096, IOMMU_READ), frame_of(&fx, 3));
	/* All, of one guest. */
	set_pages(words, 5, true, 0, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parents[0], words);
	use_none(&fx, RID, IOMMU_NO_PASID);
	use_all(&fx, RID2, IOMMU_NO_PASID, 16, 1);
	/* And of the other, by a command that names nothing. Not by that of somebody whose parent it isn't. */
	memset(words, 0, sizeof(words));
	SET(AMDVI_CMD_ALL, OPCODE, words, AMDVI_CMD_ALL);
	invalidate(&fx, parents[0], words);
	use_all(&fx, RID2, IOMMU_NO_PASID, 16, 1);
	invalidate(&fx, parents[1], words);
	use_none(&fx, RID2, IOMMU_NO_PASID);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(iommu_detach_group(groups[i]), 0);
		free_domains(&nested[i], 1);
		free_domains(&parents[i], 1);
		free_guest(&guests[i]);
	}
	fixture_close(&fx);
}

/* A command with GN=0 is about the guest's physical addresses: those of requests that its tables are not for. */
static void test_host_pages_of_guest(void **state)
{
	struct iommu_domain *parent, *nested;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t words[2];

	(void)state;
	open_nested(&fx, false, false);
	group = fixture_group(&fx);
	add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 0);
	make_simple(&guest, &fx, 5, 0);
	nested = nest(&guest, parent);
	assert_int_equal(iommu_attach_group(group, nested), 0);
	use_all(&fx, RID, IOMMU_NO_PASID, 0, 0);
	clear_tables(&guest);
	set_pages(words, 5, false, 0, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parent, words);
	use_none(&fx, RID, IOMMU_NO_PASID);
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(&nested, 1);
	free_domains(&parent, 1);
	free_guest(&guest);
	fixture_close(&fx);
}

/* ---- The device's own TLB ---- */

static void test_device_tlb(void **state)
{
	struct iommu_domain *parent, *nested[2];
	struct iommu_guest_command command;
	struct iommu_device *device;
	struct iommu_replace_report report;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t pages[2], words[2] = { 0 };
	unsigned before;

	(void)state;
	open_nested(&fx, true, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, 0);
	parent = make_parent(&fx, 0);
	make_simple(&guest, &fx, 5, 0);
	nested[0] = nest(&guest, parent);
	SET(AMDVI_DTE, I, guest.dte, 0);
	nested[1] = nest(&guest, parent);
	SET(AMDVI_CMD_IOTLB, OPCODE, words, AMDVI_CMD_IOTLB);
	SET(AMDVI_CMD_IOTLB, DEVICE_ID, words, 0x77);
	SET(AMDVI_CMD_IOTLB, GN, words, 1);
	SET(AMDVI_CMD_IOTLB, PASID_7_0, words, 9);
	SET_ADDR(AMDVI_CMD_IOTLB, ADDR, words, WINDOW);
	command = read_command(&fx, words, 0, NULL);
	/* One that is off is not asked. */
	before = fx.commands;
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(fx.commands, before);

	assert_int_equal(iommu_attach_group(group, nested[0]), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	use_all(&fx, RID, IOMMU_NO_PASID, 0, 0);
	clear_tables(&guest);
	set_pages(pages, 5, true, 0, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parent, pages);
	use_all(&fx, RID, IOMMU_NO_PASID, 0, 0);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), FAULTS);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4096, IOMMU_READ), frame_of(&fx, 1));
	/* What the parent takes away is gone from there as well. */
	assert_int_equal(iommu_unmap(parent, GUEST_DATA + 4096, 4096), 4096);
	assert_int_equal(fixture_dma(&fx, RID, WINDOW + 4096, IOMMU_READ), FAULTS);

	/* A guest that does not know of it would not have it invalidated: it is off, and not asked. */
	assert_int_equal(iommu_group_replace_domain(group, nested[1], NULL, &report), 0);
	assert_false(report.hitless);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(GET(AMDVI_DTE, I, entry_of(&fx, RID)), 0);
	before = fx.commands;
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(fx.commands, before);
	iommu_unmap(parent, GUEST_DATA + 2 * 4096, 4096);
	/* The parent's, and the nested domains': GN=0, and GN=1. */
	assert_int_equal(fx.commands, before + 2);
	assert_int_equal(iommu_group_replace_domain(group, parent, NULL, NULL), 0);
	assert_true(machine_ats_enabled(&fx.machine, RID));
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(nested, 2);
	free_domains(&parent, 1);
	free_guest(&guest);
	fixture_close(&fx);
}

/* ---- PASIDs ---- */

#define PASID 300u

/* All of them are the guest's. What is cached of them goes with the nested domain, or its DomainID would lead the next user astray. */
static void test_pasids(void **state)
{
	struct iommu_domain *parents[2], *nested[2], *first;
	struct iommu_device *device;
	struct iommu_group *group;
	struct guest guests[2];
	struct fixture fx;
	uint64_t words[2];
	uint32_t did;

	(void)state;
	open_nested(&fx, false, true);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, PASID_BITS);
	for (unsigned i = 0; i < 2; i++) {
		parents[i] = make_parent(&fx, i * 16);
		make_guest(&guests[i], &fx, 5, 4 * i, i, 4, PASID);
		nested[i] = nest(&guests[i], parents[i]);
	}
	first = fixture_paging(&fx, 1, 40);
	assert_int_equal(iommu_attach_group(group, nested[0]), 0);
	did = (uint32_t)GET(AMDVI_DTE, DOMAIN_ID, entry_of(&fx, RID));
	use_all(&fx, RID, IOMMU_NO_PASID, 0, 0);
	use_all(&fx, RID, PASID, 0, 1);
	use_none(&fx, RID, PASID + 1);
	/* No PASID beside them, and they at no PASID. */
	assert_int_equal(iommu_attach_device_pasid(device, 7, first, NULL), -EBUSY);
	assert_int_equal(iommu_group_replace_domain(group, first, NULL, NULL), 0);
	use_none(&fx, RID, PASID);
	assert_int_equal(iommu_attach_device_pasid(device, 7, nested[0], NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(device, 7, first, NULL), 0);
	assert_int_equal(iommu_group_replace_domain(group, nested[0], NULL, NULL), -EBUSY);
	assert_int_equal(dma(&fx, RID, 7, WINDOW, IOMMU_READ), frame_of(&fx, 40));
	assert_int_equal(iommu_detach_device_pasid(device, 7), 0);
	/* The same number for another guest. */
	assert_int_equal(iommu_group_replace_domain(group, nested[1], NULL, NULL), 0);
	assert_int_equal(GET(AMDVI_DTE, DOMAIN_ID, entry_of(&fx, RID)), did);
	use_all(&fx, RID, IOMMU_NO_PASID, 16, 4);
	use_all(&fx, RID, PASID, 16, 5);
	/* The guest's commands: one PASID, then all. */
	clear_tables(&guests[1]);
	set_pages(words, 5, true, PASID, AMDVI_ALL_ADDRESSES, true);
	invalidate(&fx, parents[1], words);
	use_none(&fx, RID, PASID);
	use_all(&fx, RID, IOMMU_NO_PASID, 16, 4);
	memset(words, 0, sizeof(words));
	SET(AMDVI_CMD_ALL, OPCODE, words, AMDVI_CMD_ALL);
	invalidate(&fx, parents[1], words);
	use_none(&fx, RID, IOMMU_NO_PASID);
	assert_int_equal(iommu_detach_group(group), 0);
	use_none(&fx, RID, PASID);
	free_domains(&first, 1);
	for (unsigned i = 0; i < 2; i++) {
		free_domains(&nested[i], 1);
		free_domains(&parents[i], 1);
		free_guest(&guests[i]);
	}
	fixture_close(&fx);
}

/* The guest changes the GCR3 table itself, and says so with a command that names nothing. */
static void test_all_forgets_gcr3_entries(void **state)
{
	(void)state;
	for (unsigned pasids = 0; pasids < 2; pasids++) {
		const uint32_t index = pasids ? PASID : 0, other = pasids ? 0 : PASID, pasid = pasids ? PASID : IOMMU_NO_PASID;
		struct iommu_domain *parent, *nested;
		struct iommu_group *group;
		struct guest guest;
		struct fixture fx;
		uint64_t words[2] = { 0 };

		open_nested(&fx, false, pasids);
		group = fixture_group(&fx);
		add_device(&fx, group, RID, pasids ? PASID_BITS : 0);
		parent = make_parent(&fx, 0);
		make_guest(&guest, &fx, 5, 0, 0, 4, PASID);
		nested = nest(&guest, parent);
		assert_int_equal(iommu_attach_group(group, nested), 0);
		use_all(&fx, RID, pasid, 0, pasids);
		at(&guest, guest.gcr3)[index] = at(&guest, guest.gcr3)[other];
		use_all(&fx, RID, pasid, 0, pasids);
		SET(AMDVI_CMD_ALL, OPCODE, words, AMDVI_CMD_ALL);
		invalidate(&fx, parent, words);
		use_all(&fx, RID, pasid, 0, !pasids);
		assert_int_equal(iommu_detach_group(group), 0);
		free_domains(&nested, 1);
		free_domains(&parent, 1);
		free_guest(&guest);
		fixture_close(&fx);
	}
}

/* Devices whose PASIDs could not be forgotten. */
static void test_refused_devices(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 2; what++) {
		struct machine_config config = config_of(what == 0, true);
		struct iommu_domain *parent, *nested;
		struct iommu_group *group, *plain;
		struct picture picture;
		struct guest guest;
		struct fixture fx;

		if (what == 1)
			config.capabilities[0] &= ~BITS(AMDVI_EFR, IA_SUP);
		fixture_open_config(&fx, config);
		group = fixture_group(&fx);
		add_device(&fx, group, RID, PASID_BITS);
		plain = fixture_group(&fx);
		add_device(&fx, plain, RID2, 0);
		parent = make_parent(&fx, 0);
		make_simple(&guest, &fx, 5, 0);
		nested = nest(&guest, parent);
		take_picture(&fx, &picture);
		assert_int_equal(iommu_attach_group(group, nested), -EINVAL);
		compare_picture(&fx, &picture);
		assert_int_equal(iommu_attach_group(plain, nested), 0);
		use_all(&fx, RID2, IOMMU_NO_PASID, 0, 0);
		assert_int_equal(iommu_detach_group(plain), 0);
		free_domains(&nested, 1);
		free_domains(&parent, 1);
		free_guest(&guest);
		fixture_close(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_refused_fields),
		cmocka_unit_test(test_translation),
		cmocka_unit_test(test_rights_and_giov),
		cmocka_unit_test(test_interrupt_half),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_parent_does_not_grow),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_host_pages_of_guest),
		cmocka_unit_test(test_device_tlb),
		cmocka_unit_test(test_pasids),
		cmocka_unit_test(test_all_forgets_gcr3_entries),
		cmocka_unit_test(test_refused_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
