/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_nested_smmuv3.c - guests' first stages on SMMUv3: tables of contexts, the guest's entries and commands field by field, what is cached
 * under a VMID and an ASID, device TLBs. What holds on every architecture is in test_nested.c.
 *
 * A guest's memory is the machine's RAM, `offset` higher; each of two guests has its own offset.
 */
#include "fixture.h"

#include <hitless/model-smmuv3.h>
#include <hitless/smmuv3.h>

#include "core/core.h"
#include "layout/smmuv3.h"

#define RID 0x0005u
#define RID2 0x0009u
#define PASID_BITS 12u
#define ASID 7u

struct guest {
	struct fixture *fx;
	struct iommu_domain *parent;
	uint64_t offset;
	uint64_t pages[24];		/* of contexts and of pointers to them */
	size_t bytes[24];
	uint64_t roots[8];
	unsigned npages, nroots;
};

/* IDR0 and IDR1 in one word, IDR3 and IDR5 in the other. */
static struct machine_config config_with(uint64_t clear01, uint64_t set01, uint64_t set35)
{
	struct machine_config config = {
		.arch = machine_arch_by_name("smmuv3"), .seed = 1, .nested = true, .ram_bytes = 16 * MIB,
	};

	smmuv3_model_default_capabilities(config.capabilities);
	config.capabilities[0] = (config.capabilities[0] & ~clear01) | set01;
	config.capabilities[1] |= set35;
	return config;
}

#define PLAIN config_with(0, 0, 0)
#define IDR1_BITS(field) (BITS(SMMU_IDR1, field) << 32)

static void make_guest(struct fixture *fx, struct guest *guest, uint64_t offset)
{
	*guest = (struct guest){ .fx = fx, .offset = offset };
	guest->parent = fixture_domain(fx, IOMMU_DOMAIN_PAGING, 2);
	assert_int_equal(iommu_map(guest->parent, offset, 0, fx->machine.ram_bytes, IOMMU_READ | IOMMU_WRITE), 0);
}

static void free_guest(struct guest *guest)
{
	struct machine *machine = &guest->fx->machine;

	for (unsigned i = 0; i < guest->nroots; i++)
		machine_cpu_free(machine, guest->offset, guest->roots[i]);
	for (unsigned i = 0; i < guest->npages; i++)
		machine->port.free_pages(machine->port.ctx, machine_virt(machine, guest->pages[i]), guest->bytes[i]);
	assert_int_equal(iommu_domain_free(guest->parent), 0);
}

/* Addresses here are the machine's. */
static uint64_t guest_pages(struct guest *guest, size_t bytes)
{
	struct machine *machine = &guest->fx->machine;
	char *page = machine->port.alloc_pages(machine->port.ctx, bytes);

	assert_non_null(page);
	guest->bytes[guest->npages] = bytes;
	return guest->pages[guest->npages++] = (uint64_t)(page - machine->ram);
}

static uint64_t guest_page(struct guest *guest)
{
	return guest_pages(guest, HITLESS_PAGE_SIZE);
}

static uint64_t frame_at(const struct guest *guest, unsigned frame)
{
	return guest->fx->data + frame * 4096ull;
}

static void guest_map(struct guest *guest, uint64_t root, uint64_t iova, uint64_t phys)
{
	assert_int_equal(machine_cpu_map(&guest->fx->machine, guest->offset, root, iova, phys, true), 0);
}

/* A table that maps WINDOW to a data frame, and the page behind it to the next. */
static uint64_t guest_table(struct guest *guest, unsigned frame)
{
	uint64_t root = machine_cpu_table(&guest->fx->machine);

	guest->roots[guest->nroots++] = root;
	guest_map(guest, root, WINDOW, frame_at(guest, frame));
	guest_map(guest, root, WINDOW + 4096, frame_at(guest, frame + 1));
	return root;
}

static void guest_cd(struct guest *guest, uint64_t table, unsigned index, uint64_t root, unsigned asid)
{
	uint64_t *cd = (uint64_t *)machine_virt(&guest->fx->machine, table) + index * SMMU_CD_WORDS;

	memset(cd, 0, SMMU_CD_BYTES);
	SET(SMMU_CD, V, cd, 1);
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, T0SZ, cd, 16);
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, IPS, cd, SMMU_PS_48);
	SET(SMMU_CD, R, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, ASID, cd, asid);
	SET_ADDR(SMMU_CD, TTB0, cd, root + guest->offset);
}

static void guest_ste(const struct guest *guest, uint64_t table, unsigned bits, uint64_t *ste)
{
	memset(ste, 0, SMMU_STE_BYTES);
	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_S1);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, table + guest->offset);
	SET(SMMU_STE, S1CDMAX, ste, bits);
	SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_CD0);
	SET(SMMU_STE, EATS, ste, SMMU_EATS_FULL);
}

static struct iommu_domain *nested_of(const struct guest *guest, const uint64_t *ste)
{
	struct iommu_guest_entry entry;
	struct iommu_domain *domain;

	assert_int_equal(iommu_guest_entry_read(guest->fx->machine.unit, ste, SMMU_STE_BYTES, &entry), 0);
	assert_int_equal(entry.kind, IOMMU_GUEST_NESTED);
	assert_int_equal(iommu_domain_alloc_nested(guest->parent, &entry, &domain), 0);
	return domain;
}

/* The simplest: one context with a table. */
static struct iommu_domain *simple_nested(struct guest *guest, unsigned frame, unsigned asid)
{
	uint64_t ste[SMMU_STE_WORDS], table = guest_page(guest);

	guest_cd(guest, table, 0, guest_table(guest, frame), asid);
	guest_ste(guest, table, 0, ste);
	return nested_of(guest, ste);
}

static struct iommu_device *pasid_device(struct fixture *fx, struct iommu_group *group, uint32_t rid)
{
	const struct iommu_device_desc desc = {
		.unit = fx->machine.unit, .rids = { rid }, .nrids = 1, .ats = true, .pasid_bits = PASID_BITS,
	};

	machine_add_function(&fx->machine, rid);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx->devices[fx->ndevices]), 0);
	return fx->devices[fx->ndevices++];
}

static uint64_t dma_pasid(struct fixture *fx, uint32_t rid, uint32_t pasid, uint64_t iova)
{
	struct machine_dma dma = { .rid = rid, .pasid = pasid, .iova = iova, .access = IOMMU_READ };

	dma.ats = machine_ats_enabled(&fx->machine, rid);
	machine_dma(&fx->machine, &dma);
	return dma.done ? dma.phys : FAULTS;
}

static uint64_t dma(struct fixture *fx, uint32_t rid, uint64_t iova)
{
	return dma_pasid(fx, rid, IOMMU_NO_PASID, iova);
}

#define assert_lands(fx, rid, iova, phys) assert_int_equal(dma(fx, rid, iova), phys)

static struct iommu_guest_command read_command(struct fixture *fx, const uint64_t *words, unsigned about)
{
	struct iommu_guest_command command;

	assert_int_equal(iommu_guest_command_read(fx->machine.unit, words, SMMU_CMD_BYTES, &command), 0);
	assert_null(command.field);
	assert_int_equal(command.about, about);
	return command;
}

static struct iommu_guest_command config_command(struct fixture *fx, unsigned opcode, uint32_t sid, uint32_t ssid, unsigned range)
{
	bool ste = opcode == SMMU_CMD_CFGI_STE || opcode == SMMU_CMD_CFGI_STE_RANGE;
	uint64_t words[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD, OPCODE, words, opcode);
	SET(SMMU_CMD_CFGI_STE, SID, words, sid);
	if (opcode == SMMU_CMD_CFGI_STE_RANGE)
		SET(SMMU_CMD_CFGI_STE_RANGE, RANGE, words, range);
	if (opcode == SMMU_CMD_CFGI_CD)
		SET(SMMU_CMD_CFGI_CD, SSID, words, ssid);
	if (opcode == SMMU_CMD_CFGI_CD || opcode == SMMU_CMD_CFGI_STE)
		SET(SMMU_CMD_CFGI_CD, LEAF, words, 1);
	return read_command(fx, words, IOMMU_GUEST_DEVICE | (ste ? IOMMU_GUEST_ENTRY : 0));
}

/* A group with one device, and a guest. */
static struct iommu_group *open_one(struct fixture *fx, struct guest *guest)
{
	struct iommu_group *group;

	fixture_open_config(fx, PLAIN);
	group = fixture_group(fx);
	fixture_device(fx, group, RID);
	make_guest(fx, guest, 32 * GIB);
	return group;
}

static void close_one(struct fixture *fx, struct iommu_group *group, struct guest *guest, struct iommu_domain *domain)
{
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	free_guest(guest);
	fixture_close(fx);
}

/* ---- Units ---- */

static void test_enable(void **state)
{
	struct machine_config config;
	struct fixture fx;
	uint64_t ste[SMMU_STE_WORDS] = { 0 };
	struct iommu_guest_entry entry;

	(void)state;
	assert_int_equal(smmuv3_enable_nesting(NULL), -EINVAL);
	fixture_open(&fx, "vtd");
	assert_int_equal(smmuv3_enable_nesting(fx.machine.unit), -EINVAL);
	fixture_close(&fx);
	for (unsigned stage = 0; stage < 2; stage++) {
		config = config_with((stage ? BITS(SMMU_IDR0, S2P) : BITS(SMMU_IDR0, S1P)) | BITS(SMMU_IDR0, HYP), 0, 0);
		config.capabilities[1] &= ~BITS(SMMU_IDR3, HAD);
		config.nested = false;
		fixture_open_config(&fx, config);
		assert_int_equal(smmuv3_enable_nesting(fx.machine.unit), -EOPNOTSUPP);
		assert_int_equal(iommu_guest_entry_read(fx.machine.unit, ste, sizeof(ste), &entry), -EOPNOTSUPP);
		fixture_close(&fx);
	}
}

/* ---- Tables of contexts ---- */

/* One context; requests with PASID find nothing. What the guest names where it has no memory is out of reach, tables and pages. */
static void test_one_context(void **state)
{
	struct iommu_domain *domain, *outside;
	uint64_t ste[SMMU_STE_WORDS];
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	group = open_one(&fx, &guest);
	domain = simple_nested(&guest, 0, ASID);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_lands(&fx, RID, WINDOW + 8, frame_at(&guest, 0) + 8);
	assert_lands(&fx, RID, WINDOW + 4096, frame_at(&guest, 1));
	assert_lands(&fx, RID, WINDOW + 8192, FAULTS);
	assert_int_equal(dma_pasid(&fx, RID, 1, WINDOW), FAULTS);
	/* Physical addresses of the host's are none of the guest's. */
	guest_map(&guest, guest.roots[0], WINDOW + 3 * 4096, fx.data - guest.offset);
	assert_lands(&fx, RID, WINDOW + 3 * 4096, FAULTS);
	guest_ste(&guest, guest.pages[0] - guest.offset, 0, ste);
	outside = nested_of(&guest, ste);
	assert_int_equal(iommu_group_replace_domain(group, outside, NULL, NULL), 0);
	assert_lands(&fx, RID, WINDOW, FAULTS);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	assert_int_equal(iommu_domain_free(outside), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* What the model has no way to show: device memory, merged events. And that nothing of the guest's reaches the second stage. */
static void test_entry_in_memory(void **state)
{
	struct iommu_domain *domain;
	uint64_t ste[SMMU_STE_WORDS], live[SMMU_STE_WORDS], second[SMMU_STE_WORDS];
	struct iommu_group *group;
	struct entry_place *place;
	struct guest guest;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	group = fixture_group(&fx);
	place = &fixture_device(&fx, group, RID)->entry[0];
	make_guest(&fx, &guest, 32 * GIB);
	guest_ste(&guest, guest_page(&guest), 0, ste);
	SET(SMMU_STE, S1CIR, ste, SMMU_CACHE_WT);
	/* Ignored with one stage. */
	SET(SMMU_STE, S2T0SZ, ste, 33);
	SET(SMMU_STE, S2TTB, ste, 0x12345);
	SET(SMMU_STE, S2S, ste, 1);
	domain = nested_of(&guest, ste);
	assert_int_equal(iommu_attach_group(group, guest.parent), 0);
	entry_read(&fx.machine.port, place->table, place->offset, second, SMMU_STE_WORDS);
	assert_int_equal(iommu_group_replace_domain(group, domain, NULL, NULL), 0);
	entry_read(&fx.machine.port, place->table, place->offset, live, SMMU_STE_WORDS);
	assert_int_equal(GET(SMMU_STE, CONFIG, live), SMMU_CONFIG_NESTED);
	assert_int_equal(GET_ADDR(SMMU_STE, S1CONTEXTPTR, live), guest.pages[0] + guest.offset);
	assert_int_equal(GET(SMMU_STE, S1CIR, live), SMMU_CACHE_WT);
	assert_int_equal(GET(SMMU_STE, MEV, live), 1);
	assert_int_equal(GET(SMMU_STE, S2PTW, live), 1);
	assert_int_equal(GET(SMMU_STE, S1STALLD, live), 0);
	assert_int_equal(GET(SMMU_STE, EATS, live), SMMU_EATS_NONE);
	assert_int_not_equal(GET(SMMU_STE, S2VMID, live), 0);
	assert_memory_equal(&live[2], &second[2], 6 * sizeof(uint64_t));
	close_one(&fx, group, &guest, domain);
}

/* A table with contexts 0, 3 and, where it has so many, 100: each with a data frame of its own. Returns what S1ContextPtr says. */
static uint64_t make_contexts(struct guest *guest, unsigned fmt, unsigned asid, unsigned frame)
{
	const unsigned contexts[] = { 0, 3, 100 };
	unsigned leaf_bits = fmt == SMMU_S1FMT_64K ? SMMU_L1CD_64K_BITS : SMMU_L1CD_4K_BITS;
	uint64_t top = guest_page(guest), leaves[2];

	leaves[0] = fmt == SMMU_S1FMT_LINEAR ? top : guest_pages(guest, (size_t)SMMU_CD_BYTES << leaf_bits);
	leaves[1] = fmt == SMMU_S1FMT_4K ? guest_page(guest) : leaves[0];
	for (unsigned i = 0; i < (fmt == SMMU_S1FMT_LINEAR ? 2 : 3); i++)
		guest_cd(guest, leaves[contexts[i] >> leaf_bits], contexts[i] & ((1u << leaf_bits) - 1), guest_table(guest, frame + 2 * i),
			 asid + i);
	for (unsigned i = 0; i < 2 && fmt != SMMU_S1FMT_LINEAR; i++) {
		uint64_t *l1cd = (uint64_t *)machine_virt(&guest->fx->machine, top) + i;

		SET(SMMU_L1CD, V, l1cd, i == 0 || fmt == SMMU_S1FMT_4K);
		SET_ADDR(SMMU_L1CD, L2PTR, l1cd, leaves[i] + guest->offset);
	}
	return top;
}

static void test_tables_of_contexts(void **state)
{
	static const struct {
		unsigned fmt, bits;
	} tables[] = { { SMMU_S1FMT_LINEAR, 6 }, { SMMU_S1FMT_4K, 7 }, { SMMU_S1FMT_64K, 12 } };

	(void)state;
	for (unsigned t = 0; t < 3; t++)
		for (unsigned dss = SMMU_S1DSS_TERMINATE; dss <= SMMU_S1DSS_CD0; dss++) {
			uint64_t ste[SMMU_STE_WORDS], contexts;
			struct machine_config config = PLAIN;
			struct iommu_domain *domain;
			struct iommu_group *group;
			struct guest guest;
			struct fixture fx;

			config.pasid_bits = PASID_BITS;
			fixture_open_config(&fx, config);
			group = fixture_group(&fx);
			pasid_device(&fx, group, RID);
			make_guest(&fx, &guest, 32 * GIB);
			contexts = make_contexts(&guest, tables[t].fmt, ASID, 0);
			guest_ste(&guest, contexts, tables[t].bits, ste);
			SET(SMMU_STE, S1FMT, ste, tables[t].fmt);
			SET(SMMU_STE, S1DSS, ste, dss);
			domain = nested_of(&guest, ste);
			assert_int_equal(iommu_attach_group(group, domain), 0);
			assert_lands(&fx, RID, WINDOW, dss == SMMU_S1DSS_CD0 ? frame_at(&guest, 0) : FAULTS);
			assert_lands(&fx, RID, guest.offset + fx.data, dss == SMMU_S1DSS_BYPASS ? fx.data : FAULTS);
			assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), frame_at(&guest, 2));
			assert_int_equal(dma_pasid(&fx, RID, 4, WINDOW), FAULTS);
			assert_int_equal(dma_pasid(&fx, RID, 100, WINDOW), tables[t].bits > 6 ? frame_at(&guest, 4) : FAULTS);
			assert_int_equal(iommu_detach_group(group), 0);
			assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), FAULTS);
			assert_int_equal(iommu_domain_free(domain), 0);
			free_guest(&guest);
			fixture_close(&fx);
		}
}

/* ---- Replace ---- */

enum { BLOCKED, IDENTITY, PARENT, OTHER_S2, S1, NESTED, NESTED_2, NESTED_OTHER, KINDS };

static bool is_nested(unsigned kind)
{
	return kind >= NESTED;
}

/* Two tables of contexts behind one entry, one after the other: only through a gap, unless the second stage is the same. */
static bool expect_hitless(unsigned from, unsigned to, bool pasids, bool ats)
{
	if (!is_nested(from) && !is_nested(to))
		return true;
	if (is_nested(from) && is_nested(to))
		return (from == NESTED_OTHER) == (to == NESTED_OTHER);
	if (from == S1 || to == S1)
		return false;
	/* Of a device with PASIDs, these lead to its own table too; and identity of one with a TLB. */
	return !((pasids || ats) && (from == IDENTITY || to == IDENTITY)) && !(pasids && (from == BLOCKED || to == BLOCKED));
}

static void check_kind(struct fixture *fx, const struct guest *guests, unsigned kind)
{
	static const unsigned frames[KINDS] = { [OTHER_S2] = 16, [S1] = 32, [NESTED] = 0, [NESTED_2] = 4, [NESTED_OTHER] = 8 };
	uint64_t guest_address = guests[0].offset + fx->data;

	if (kind == BLOCKED || kind == IDENTITY || kind == PARENT)
		assert_lands(fx, RID, WINDOW, kind == IDENTITY ? WINDOW : FAULTS);
	else
		assert_lands(fx, RID, WINDOW, frame_at(&guests[0], frames[kind]));
	assert_lands(fx, RID, guest_address, kind == PARENT ? fx->data : FAULTS);
}

static void all_pairs(struct machine_config config, bool pasids)
{
	struct iommu_replace_options only = { .flags = IOMMU_REPLACE_HITLESS_ONLY };
	struct iommu_domain *domains[KINDS];
	struct iommu_replace_report report;
	struct iommu_group *group;
	struct picture picture;
	struct guest guests[2];
	struct fixture fx;

	config.pasid_bits = pasids ? PASID_BITS : 0;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	if (pasids)
		pasid_device(&fx, group, RID);
	else
		fixture_device(&fx, group, RID);
	make_guest(&fx, &guests[0], 32 * GIB);
	make_guest(&fx, &guests[1], 48 * GIB);
	domains[BLOCKED] = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
	domains[IDENTITY] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	domains[PARENT] = guests[0].parent;
	domains[OTHER_S2] = fixture_paging(&fx, 2, 16);
	domains[S1] = fixture_paging(&fx, 1, 32);
	/* The same ASID everywhere: nothing of one may be found in another. */
	domains[NESTED] = simple_nested(&guests[0], 0, ASID);
	domains[NESTED_2] = simple_nested(&guests[0], 4, ASID);
	domains[NESTED_OTHER] = simple_nested(&guests[1], 8, ASID);
	for (unsigned from = 0; from < KINDS; from++)
		for (unsigned to = 0; to < KINDS; to++) {
			bool hitless = expect_hitless(from, to, pasids, config.ats);

			if (from == to)
				continue;
			assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
			check_kind(&fx, guests, from);
			if (!hitless) {
				take_picture(&fx, &picture);
				assert_int_equal(iommu_group_replace_domain(group, domains[to], &only, &report), -EOPNOTSUPP);
				assert_false(report.hitless);
				compare_picture(&fx, &picture);
				check_kind(&fx, guests, from);
			}
			assert_int_equal(iommu_group_replace_domain(group, domains[to], NULL, &report), 0);
			if (report.hitless != hitless)
				print_error("%u to %u: %s\n", from, to, report.why ? report.why : "hitless");
			assert_int_equal(report.hitless, hitless);
			if (!hitless)
				assert_string_equal(report.why, "a cached context descriptor may meet the other second stage (16.2)");
			/* Of one guest, a table of contexts hangs on one word. */
			if (is_nested(from) && is_nested(to) && hitless)
				assert_int_equal(report.strategy, IOMMU_STRATEGY_ONE_STORE);
			check_kind(&fx, guests, to);
		}
	assert_int_equal(iommu_group_replace_domain(group, domains[BLOCKED], NULL, NULL), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned kind = 0; kind < KINDS; kind++)
		if (kind != PARENT)
			assert_int_equal(iommu_domain_free(domains[kind]), 0);
	free_guest(&guests[0]);
	free_guest(&guests[1]);
	fixture_close(&fx);
}

static void test_replaces(void **state)
{
	struct machine_config config = PLAIN;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		config.no_store128 = i & 1;
		config.ats = i & 2;
		all_pairs(config, i & 4);
	}
}

/* Behind one parent, but context 0 is for others: a cached one would be taken for what it isn't. */
static void test_contexts_for_others(void **state)
{
	struct iommu_domain *domains[4];
	struct iommu_replace_report report;
	uint64_t ste[SMMU_STE_WORDS];
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	group = open_one(&fx, &guest);
	guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_LINEAR, ASID, 0), 6, ste);
	domains[0] = nested_of(&guest, ste);
	SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_BYPASS);
	domains[1] = nested_of(&guest, ste);
	guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_4K, ASID + 3, 8), 7, ste);
	SET(SMMU_STE, S1FMT, ste, SMMU_S1FMT_4K);
	domains[2] = nested_of(&guest, ste);
	SET(SMMU_STE, S1FMT, ste, SMMU_S1FMT_64K);
	domains[3] = nested_of(&guest, ste);
	assert_int_equal(iommu_attach_group(group, domains[0]), 0);
	/* One table, S1DSS alone. */
	assert_int_equal(iommu_group_replace_domain(group, domains[1], NULL, &report), 0);
	assert_true(report.hitless);
	assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, &report), 0);
	assert_false(report.hitless);
	assert_string_equal(report.why, "a cached context descriptor may be taken for another one (16.2)");
	assert_int_equal(iommu_group_replace_domain(group, domains[0], NULL, &report), 0);
	assert_true(report.hitless);
	/* Leaf tables of another size. */
	assert_int_equal(iommu_group_replace_domain(group, domains[2], NULL, NULL), 0);
	assert_int_equal(iommu_group_replace_domain(group, domains[3], NULL, &report), 0);
	assert_false(report.hitless);
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* ---- PASIDs ---- */

/* The guest's table has them all, or the host's; and a PASID of the host's is never a guest's table. */
static void test_beside_pasids(void **state)
{
	struct machine_config config = PLAIN;
	struct iommu_domain *nested, *s1;
	struct iommu_device *device;
	struct iommu_group *group;
	struct picture picture;
	struct guest guest;
	struct fixture fx;

	(void)state;
	config.pasid_bits = PASID_BITS;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = pasid_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	nested = simple_nested(&guest, 0, ASID);
	s1 = fixture_paging(&fx, 1, 16);
	assert_int_equal(iommu_attach_device_pasid(device, 3, nested, NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(device, 3, s1, NULL), 0);
	take_picture(&fx, &picture);
	assert_int_equal(iommu_attach_group(group, nested), -EBUSY);
	compare_picture(&fx, &picture);
	assert_int_equal(iommu_detach_device_pasid(device, 3), 0);
	assert_int_equal(iommu_attach_group(group, nested), 0);
	take_picture(&fx, &picture);
	assert_int_equal(iommu_attach_device_pasid(device, 3, s1, NULL), -EBUSY);
	compare_picture(&fx, &picture);
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 0));
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 3, s1, NULL), 0);
	assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_device_pasid(device, 3), 0);
	assert_int_equal(iommu_domain_free(nested), 0);
	assert_int_equal(iommu_domain_free(s1), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* ---- The parent changes ---- */

/* Lines by the guest's addresses, of requests with and without PASID, in the unit's TLB and in the device's; and those of a device that is in the
 * parent itself. */
static void parent_unmaps(bool ats)
{
	struct iommu_group *group, *plain;
	struct machine_config config = PLAIN;
	struct iommu_domain *domain;
	uint64_t ste[SMMU_STE_WORDS];
	struct guest guest;
	struct fixture fx;

	config.pasid_bits = PASID_BITS;
	config.ats = ats;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	plain = fixture_group(&fx);
	pasid_device(&fx, group, RID);
	fixture_device(&fx, plain, RID2);
	make_guest(&fx, &guest, 32 * GIB);
	guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_LINEAR, ASID, 0), 6, ste);
	domain = nested_of(&guest, ste);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_int_equal(iommu_attach_group(plain, guest.parent), 0);
	assert_int_equal(machine_ats_enabled(&fx.machine, RID), ats);
	for (unsigned i = 0; i < 2; i++) {
		assert_lands(&fx, RID, WINDOW + i * 4096, frame_at(&guest, i));
		assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW + i * 4096), frame_at(&guest, 2 + i));
		assert_lands(&fx, RID2, guest.offset + frame_at(&guest, i), frame_at(&guest, i));
	}
	for (unsigned frame = 0; frame < 4; frame += 2)
		assert_int_equal(iommu_unmap(guest.parent, guest.offset + frame_at(&guest, frame), 4096), 4096);
	for (unsigned i = 0; i < 2; i++) {
		assert_lands(&fx, RID, WINDOW + i * 4096, i ? frame_at(&guest, 1) : FAULTS);
		assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW + i * 4096), i ? frame_at(&guest, 3) : FAULTS);
		assert_lands(&fx, RID2, guest.offset + frame_at(&guest, i), i ? frame_at(&guest, i) : FAULTS);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_group(plain), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

static void test_parent_unmaps(void **state)
{
	(void)state;
	parent_unmaps(false);
	parent_unmaps(true);
}

/* What the guest's devices write is marked in the parent, each time anew. */
static void count_dirty(void *ctx, uint64_t iova, uint64_t size)
{
	(void)iova;
	*(uint64_t *)ctx += size;
}

static void test_dirty_parent(void **state)
{
	const struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_PAGING, .stage = 2, .dirty = true };
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;
	uint64_t dirty;

	(void)state;
	fixture_open_config(&fx, config_with(BITS(SMMU_IDR0, HTTU), (uint64_t)SMMU_HTTU_DIRTY << SMMU_IDR0_HTTU_LSB, 0));
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	guest = (struct guest){ .fx = &fx, .offset = 32 * GIB };
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &guest.parent), 0);
	assert_int_equal(iommu_map(guest.parent, guest.offset, 0, fx.machine.ram_bytes, IOMMU_READ | IOMMU_WRITE), 0);
	domain = simple_nested(&guest, 0, ASID);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(fixture_dma(&fx, RID, WINDOW, round == 1 ? IOMMU_READ : IOMMU_WRITE), fx.data);
		dirty = 0;
		assert_int_equal(iommu_read_and_clear_dirty(guest.parent, guest.offset + fx.data, 4096, count_dirty, &dirty), 0);
		assert_int_equal(dirty != 0, round != 1);
	}
	close_one(&fx, group, &guest, domain);
}

/* ---- Few numbers, little memory, aliases, other granules ---- */

/* The only VMID goes from the parent to somebody else and back, by way of the blocking entry. */
static void test_one_vmid(void **state)
{
	struct machine_config config = PLAIN;
	struct iommu_domain *nested, *other;
	struct iommu_replace_report report;
	struct smmuv3_unit_desc desc = { .registers = 0x09050000ull, .ids = 1 };
	struct iommu_unit_info info;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, config);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), 0);
	assert_int_equal(smmuv3_unit_create(&fx.machine.port, &desc, &fx.machine.unit), 0);
	assert_int_equal(smmuv3_enable_nesting(fx.machine.unit), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	nested = simple_nested(&guest, 0, ASID);
	other = fixture_paging(&fx, 2, 8);
	assert_int_equal(iommu_attach_group(group, nested), 0);
	for (unsigned round = 0; round < 4; round++) {
		assert_int_equal(iommu_group_replace_domain(group, round % 2 ? nested : other, NULL, &report), 0);
		assert_false(report.hitless);
		assert_string_equal(report.why, "no cache tag is free: the old domain's is taken over");
		assert_lands(&fx, RID, WINDOW, frame_at(&guest, round % 2 ? 0 : 8));
		iommu_unit_get_info(fx.machine.unit, &info);
		assert_int_equal(info.tags_used, 1);
	}
	/* The parent has the number already. */
	assert_int_equal(iommu_group_replace_domain(group, guest.parent, NULL, &report), 0);
	assert_true(report.hitless);
	assert_int_equal(iommu_detach_group(group), 0);
	iommu_unit_get_info(fx.machine.unit, &info);
	assert_int_equal(info.tags_used, 0);
	assert_int_equal(iommu_domain_free(nested), 0);
	assert_int_equal(iommu_domain_free(other), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* Whichever allocation fails, where there is one: all is as it was. */
static void test_no_memory(void **state)
{
	unsigned failures = 0;
	struct iommu_domain *domains[3];
	struct iommu_group *group;
	struct guest guests[2];
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_guest(&fx, &guests[0], 32 * GIB);
	make_guest(&fx, &guests[1], 48 * GIB);
	domains[0] = fixture_paging(&fx, 2, 16);
	domains[1] = simple_nested(&guests[0], 0, ASID);
	domains[2] = simple_nested(&guests[1], 8, ASID);
	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 3; to++)
			for (unsigned fail = 1; to != from; fail++) {
				struct picture picture;
				int err;

				assert_int_equal(iommu_group_replace_domain(group, domains[from], NULL, NULL), 0);
				take_picture(&fx, &picture);
				fx.machine.fail_after = fail;
				err = iommu_group_replace_domain(group, domains[to], NULL, NULL);
				if (!err && fx.machine.fail_after) {
					fx.machine.fail_after = 0;
					free(picture.tables);
					failures += fail - 1;
					break;
				}
				/* Or by a way that takes less. */
				if (err) {
					assert_int_equal(err, -ENOMEM);
					compare_picture(&fx, &picture);
				} else {
					free(picture.tables);
				}
			}
	assert_true(failures > 2);
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	free_guest(&guests[0]);
	free_guest(&guests[1]);
	fixture_close(&fx);
}

/* A device with two requester ids: both get the entry, and what is cached for each is invalidated. */
static void test_aliases(void **state)
{
	const struct iommu_device_desc two = { .rids = { RID, RID2 }, .nrids = 2 };
	struct iommu_device_desc desc = two;
	struct iommu_guest_command command;
	struct iommu_device *device;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	group = fixture_group(&fx);
	desc.unit = fx.machine.unit;
	machine_add_function(&fx.machine, RID);
	assert_int_equal(iommu_group_add_device(group, &desc, &device), 0);
	fx.devices[fx.ndevices++] = device;
	make_guest(&fx, &guest, 32 * GIB);
	domain = simple_nested(&guest, 0, ASID);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 0));
	assert_lands(&fx, RID2, WINDOW, frame_at(&guest, 0));
	guest_cd(&guest, guest.pages[0], 0, guest_table(&guest, 8), ASID + 1);
	assert_lands(&fx, RID2, WINDOW, frame_at(&guest, 0));
	command = config_command(&fx, SMMU_CMD_CFGI_CD, 0x77, 0, 0);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 8));
	assert_lands(&fx, RID2, WINDOW, frame_at(&guest, 8));
	close_one(&fx, group, &guest, domain);
}

/* The parent has pages of 64 KiB, the guest of 4 KiB. */
static void test_granules(void **state)
{
	struct smmuv3_unit_desc desc = { .registers = 0x09050000ull, .page_shift = 16 };
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	assert_int_equal(iommu_unit_destroy(fx.machine.unit), 0);
	assert_int_equal(smmuv3_unit_create(&fx.machine.port, &desc, &fx.machine.unit), 0);
	assert_int_equal(smmuv3_enable_nesting(fx.machine.unit), 0);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	domain = simple_nested(&guest, 0, ASID);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_lands(&fx, RID, WINDOW + 4096 + 8, frame_at(&guest, 1) + 8);
	assert_int_equal(iommu_unmap(guest.parent, (guest.offset + fx.data) & ~0xffffull, 65536), 65536);
	assert_lands(&fx, RID, WINDOW + 4096, FAULTS);
	close_one(&fx, group, &guest, domain);
}

/* ---- Device TLBs ---- */

/* What the guest's PASIDs left in the device's TLB goes with the guest's table. */
static void test_device_tlb_leaves(void **state)
{
	struct iommu_domain *domains[2];
	struct machine_config config = PLAIN;
	uint64_t ste[SMMU_STE_WORDS];
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	config.pasid_bits = PASID_BITS;
	config.ats = true;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	pasid_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	for (unsigned i = 0; i < 2; i++) {
		guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_LINEAR, ASID, 8 * i), 6, ste);
		domains[i] = nested_of(&guest, ste);
	}
	assert_int_equal(iommu_attach_group(group, domains[0]), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_lands(&fx, RID, WINDOW, frame_at(&guest, 8 * i));
		assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), frame_at(&guest, 8 * i + 2));
		assert_int_equal(iommu_group_replace_domain(group, i ? guest.parent : domains[1], NULL, NULL), 0);
	}
	assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), FAULTS);
	assert_lands(&fx, RID, WINDOW, FAULTS);
	assert_lands(&fx, RID, guest.offset + fx.data, fx.data);
	assert_int_equal(iommu_detach_group(group), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* A guest that doesn't know of ATS does not invalidate: then there is none. It comes and goes with what the guest says, and with the host's
 * domains. */
static void test_guest_without_ats(void **state)
{
	(void)state;
	for (unsigned pasids = 0; pasids < 2; pasids++) {
		struct iommu_domain *with, *without, *identity, *s1;
		struct machine_config config = PLAIN;
		uint64_t ste[SMMU_STE_WORDS];
		struct iommu_group *group;
		struct guest guest;
		struct fixture fx;
		uint64_t contexts;

		config.pasid_bits = pasids ? PASID_BITS : 0;
		config.ats = true;
		fixture_open_config(&fx, config);
		group = fixture_group(&fx);
		if (pasids)
			pasid_device(&fx, group, RID);
		else
			fixture_device(&fx, group, RID);
		make_guest(&fx, &guest, 32 * GIB);
		contexts = guest_page(&guest);
		guest_cd(&guest, contexts, 0, guest_table(&guest, 0), ASID);
		guest_ste(&guest, contexts, 0, ste);
		with = nested_of(&guest, ste);
		SET(SMMU_STE, EATS, ste, SMMU_EATS_NONE);
		without = nested_of(&guest, ste);
		identity = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
		s1 = fixture_paging(&fx, 1, 0);
		const struct {
			struct iommu_domain *domain;
			bool ats;
		} turns[] = { { without, false }, { with, true }, { without, false }, { identity, true }, { without, false }, { s1, true },
			      { with, true }, { identity, true }, { with, true }, { guest.parent, true }, { without, false } };

		for (unsigned i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
			assert_int_equal(iommu_group_replace_domain(group, turns[i].domain, NULL, NULL), 0);
			assert_int_equal(machine_ats_enabled(&fx.machine, RID), turns[i].ats);
			if (turns[i].domain != guest.parent && turns[i].domain != identity)
				assert_lands(&fx, RID, WINDOW, fx.data);
		}
		assert_int_equal(iommu_detach_group(group), 0);
		assert_false(machine_ats_enabled(&fx.machine, RID));
		assert_int_equal(iommu_attach_group(group, with), 0);
		assert_true(machine_ats_enabled(&fx.machine, RID));
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_domain_free(with), 0);
		assert_int_equal(iommu_domain_free(without), 0);
		assert_int_equal(iommu_domain_free(identity), 0);
		assert_int_equal(iommu_domain_free(s1), 0);
		free_guest(&guest);
		fixture_close(&fx);
	}
}

/* ---- Commands that are carried out ---- */

static void invalidate(struct guest *guest, unsigned opcode, unsigned asid, uint64_t iova, unsigned num)
{
	uint64_t words[SMMU_CMD_WORDS] = { 0 };
	struct iommu_guest_command command;

	SET(SMMU_CMD, OPCODE, words, opcode);
	if (opcode == SMMU_CMD_TLBI_NH_ASID || opcode == SMMU_CMD_TLBI_NH_VA)
		SET(SMMU_CMD_TLBI, ASID, words, asid);
	if (opcode == SMMU_CMD_TLBI_NH_VAA || opcode == SMMU_CMD_TLBI_NH_VA) {
		SET_ADDR(SMMU_CMD_TLBI_VA, ADDR, words, iova);
		SET(SMMU_CMD_TLBI_VA, LEAF, words, 1);
		SET(SMMU_CMD_TLBI_VA, NUM, words, num);
		SET(SMMU_CMD_TLBI_VA, TG, words, num ? SMMU_TLBI_TG_4K : SMMU_TLBI_TG_NONE);
	}
	command = read_command(guest->fx, words, IOMMU_GUEST_TRANSLATIONS);
	assert_int_equal(iommu_guest_invalidate(guest->parent, &command), 0);
}

/* Two guests with the same ASID and the same addresses: each one's commands reach what is its own, and only that. */
static void test_invalidations_stay_within(void **state)
{
	static const struct {
		unsigned opcode, asid, num;
		uint64_t iova;
		bool reaches;
	} commands[] = {
		{ SMMU_CMD_TLBI_NH_ALL, 0, 0, 0, true },	    { SMMU_CMD_TLBI_NSNH_ALL, 0, 0, 0, true },
		{ SMMU_CMD_TLBI_NH_ASID, ASID, 0, 0, true },	    { SMMU_CMD_TLBI_NH_ASID, ASID + 1, 0, 0, false },
		{ SMMU_CMD_TLBI_NH_VA, ASID, 0, WINDOW, true },	    { SMMU_CMD_TLBI_NH_VA, ASID + 1, 0, WINDOW, false },
		{ SMMU_CMD_TLBI_NH_VA, ASID, 0, WINDOW + 4096, false }, { SMMU_CMD_TLBI_NH_VAA, 0, 0, WINDOW, true },
		{ SMMU_CMD_TLBI_NH_VAA, 0, 0, WINDOW + 4096, false },  { SMMU_CMD_TLBI_NH_VA, ASID, 3, WINDOW - 8192, true },
		{ SMMU_CMD_TLBI_NH_VA, ASID, 1, WINDOW - 8192, false },
	};
	const uint32_t rids[2] = { RID, RID2 };
	struct iommu_domain *domains[2];
	struct iommu_group *groups[2];
	struct guest guests[2];
	struct fixture fx;
	unsigned round = 0;

	(void)state;
	fixture_open_config(&fx, config_with(0, 0, BITS(SMMU_IDR3, RIL)));
	for (unsigned g = 0; g < 2; g++) {
		groups[g] = fixture_group(&fx);
		fixture_device(&fx, groups[g], rids[g]);
		make_guest(&fx, &guests[g], (32 + 16 * g) * GIB);
		domains[g] = simple_nested(&guests[g], 0, ASID);
		assert_int_equal(iommu_attach_group(groups[g], domains[g]), 0);
	}
	for (unsigned c = 0; c < sizeof(commands) / sizeof(commands[0]); c++)
		for (unsigned g = 0; g < 2; g++, round++) {
			uint64_t old = frame_at(&guests[0], round % 2 * 8), new = frame_at(&guests[0], (round + 1) % 2 * 8);

			/* Both guests have changed their tables; what is cached says otherwise. */
			for (unsigned i = 0; i < 2; i++) {
				guest_map(&guests[i], guests[i].roots[0], WINDOW, old);
				invalidate(&guests[i], SMMU_CMD_TLBI_NH_ALL, 0, 0, 0);
				assert_lands(&fx, rids[i], WINDOW, old);
				guest_map(&guests[i], guests[i].roots[0], WINDOW, new);
				assert_lands(&fx, rids[i], WINDOW, old);
			}
			invalidate(&guests[g], commands[c].opcode, commands[c].asid, commands[c].iova, commands[c].num);
			assert_lands(&fx, rids[g], WINDOW, commands[c].reaches ? new : old);
			assert_lands(&fx, rids[!g], WINDOW, old);
		}
	for (unsigned g = 0; g < 2; g++) {
		assert_int_equal(iommu_detach_group(groups[g]), 0);
		assert_int_equal(iommu_domain_free(domains[g]), 0);
		free_guest(&guests[g]);
	}
	fixture_close(&fx);
}

/* The guest knows its devices by other StreamIDs. */
static void test_contexts_are_forgotten(void **state)
{
	static const unsigned opcodes[] = { SMMU_CMD_CFGI_CD, SMMU_CMD_CFGI_CD_ALL, SMMU_CMD_CFGI_STE, SMMU_CMD_CFGI_STE_RANGE };
	const uint32_t rids[2] = { RID, RID2 };
	struct iommu_group *groups[2];
	struct iommu_domain *domain;
	struct guest guest;
	struct fixture fx;
	uint64_t roots[2];

	(void)state;
	fixture_open_config(&fx, PLAIN);
	make_guest(&fx, &guest, 32 * GIB);
	domain = simple_nested(&guest, 0, ASID);
	roots[0] = guest.roots[0];
	roots[1] = guest_table(&guest, 8);
	for (unsigned g = 0; g < 2; g++) {
		groups[g] = fixture_group(&fx);
		fixture_device(&fx, groups[g], rids[g]);
		assert_int_equal(iommu_attach_group(groups[g], domain), 0);
	}
	for (unsigned c = 0; c < 8; c++) {
		struct iommu_guest_command command = config_command(&fx, opcodes[c / 2], 0x77, 0, 3);
		uint64_t old = frame_at(&guest, c % 2 * 8), new = frame_at(&guest, (c + 1) % 2 * 8);

		assert_lands(&fx, RID, WINDOW, old);
		assert_lands(&fx, RID2, WINDOW, old);
		guest_cd(&guest, guest.pages[0], 0, roots[(c + 1) % 2], ASID + (c + 1) % 2);
		assert_lands(&fx, RID, WINDOW, old);
		assert_int_equal(iommu_guest_invalidate_device(fx.devices[0], &command), 0);
		assert_lands(&fx, RID, WINDOW, new);
		assert_lands(&fx, RID2, WINDOW, old);
		assert_int_equal(iommu_guest_invalidate_device(fx.devices[1], &command), 0);
		assert_lands(&fx, RID2, WINDOW, new);
	}
	for (unsigned g = 0; g < 2; g++)
		assert_int_equal(iommu_detach_group(groups[g]), 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

static struct iommu_guest_command atc_command(struct fixture *fx, uint32_t pasid, unsigned global, uint64_t iova, unsigned size)
{
	uint64_t words[SMMU_CMD_WORDS] = { 0 };

	SET(SMMU_CMD_ATC_INV, OPCODE, words, SMMU_CMD_ATC_INV);
	SET(SMMU_CMD_ATC_INV, SID, words, 0x77);
	if (pasid != IOMMU_NO_PASID) {
		SET(SMMU_CMD_ATC_INV, SSV, words, 1);
		SET(SMMU_CMD_ATC_INV, SSID, words, pasid);
	}
	SET(SMMU_CMD_ATC_INV, GLOBAL, words, global);
	SET(SMMU_CMD_ATC_INV, SIZE, words, size);
	SET_ADDR(SMMU_CMD_ATC_INV, ADDR, words, iova);
	return read_command(fx, words, IOMMU_GUEST_DEVICE);
}

static void test_device_tlb_is_invalidated(void **state)
{
	const uint32_t pasids[2] = { IOMMU_NO_PASID, 3 };
	struct machine_config config = PLAIN;
	struct iommu_guest_command command;
	uint64_t ste[SMMU_STE_WORDS];
	struct iommu_domain *domain;
	struct iommu_device *device;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	config.pasid_bits = PASID_BITS;
	config.ats = true;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = pasid_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_LINEAR, ASID, 0), 6, ste);
	domain = nested_of(&guest, ste);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	for (unsigned p = 0; p < 2; p++) {
		uint64_t old = frame_at(&guest, 2 * p), new = frame_at(&guest, 8);

		assert_int_equal(dma_pasid(&fx, RID, pasids[p], WINDOW), old);
		guest_map(&guest, guest.roots[p], WINDOW, new);
		invalidate(&guest, SMMU_CMD_TLBI_NH_ALL, 0, 0, 0);
		assert_int_equal(dma_pasid(&fx, RID, pasids[p], WINDOW), old);
		command = atc_command(&fx, pasids[p], 0, WINDOW + 4096, 0);
		assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
		assert_int_equal(dma_pasid(&fx, RID, pasids[p], WINDOW), old);
		command = atc_command(&fx, pasids[p], 0, WINDOW, p ? 0 : SMMU_ATC_SIZE_ALL);
		assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
		assert_int_equal(dma_pasid(&fx, RID, pasids[p], WINDOW), new);
	}
	/* "Global": whatever the PASID. */
	guest_map(&guest, guest.roots[1], WINDOW, frame_at(&guest, 10));
	invalidate(&guest, SMMU_CMD_TLBI_NH_ALL, 0, 0, 0);
	assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), frame_at(&guest, 8));
	command = atc_command(&fx, 9, 1, 0, SMMU_ATC_SIZE_ALL);
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(dma_pasid(&fx, RID, 3, WINDOW), frame_at(&guest, 10));
	/* A device whose TLB is off is not asked. */
	assert_int_equal(iommu_detach_group(group), 0);
	fx.commands = 0;
	assert_int_equal(iommu_guest_invalidate_device(device, &command), 0);
	assert_int_equal(fx.commands, 0);
	assert_int_equal(iommu_domain_free(domain), 0);
	free_guest(&guest);
	fixture_close(&fx);
}

/* A device without PASIDs is not sent any, whatever the guest says. */
static void test_no_pasids_to_devices_without(void **state)
{
	struct machine_config config = PLAIN;
	struct iommu_guest_command command;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct guest guest;
	struct fixture fx;

	(void)state;
	config.ats = true;
	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	make_guest(&fx, &guest, 32 * GIB);
	domain = simple_nested(&guest, 0, ASID);
	assert_int_equal(iommu_attach_group(group, domain), 0);
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 0));
	guest_map(&guest, guest.roots[0], WINDOW, frame_at(&guest, 8));
	invalidate(&guest, SMMU_CMD_TLBI_NH_ALL, 0, 0, 0);
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 0));
	command = atc_command(&fx, 3, 1, WINDOW, 0);
	assert_int_equal(iommu_guest_invalidate_device(fx.devices[0], &command), 0);
	/* It went without a PASID then, and hit. */
	assert_lands(&fx, RID, WINDOW, frame_at(&guest, 8));
	close_one(&fx, group, &guest, domain);
}

/* ---- Entries, field by field ---- */

static int read_ste(struct fixture *fx, const uint64_t *ste, struct iommu_guest_entry *entry)
{
	return iommu_guest_entry_read(fx->machine.unit, ste, SMMU_STE_BYTES, entry);
}

static void test_kinds_of_entries(void **state)
{
	uint64_t ste[SMMU_STE_WORDS], zeros[SMMU_STE_WORDS] = { 0 };
	struct iommu_guest_entry entry;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	/* Not valid, or aborting: whatever else there is. */
	memset(ste, 0xff, sizeof(ste));
	SET(SMMU_STE, V, ste, 0);
	assert_int_equal(read_ste(&fx, ste, &entry), 0);
	assert_int_equal(entry.kind, IOMMU_GUEST_BLOCKED);
	for (unsigned config = 0; config < SMMU_CONFIG_BYPASS; config++) {
		SET(SMMU_STE, V, ste, 1);
		SET(SMMU_STE, CONFIG, ste, config);
		assert_int_equal(read_ste(&fx, ste, &entry), 0);
		assert_int_equal(entry.kind, IOMMU_GUEST_BLOCKED);
		assert_memory_equal(entry.words, zeros, sizeof(zeros));
	}
	memset(ste, 0, sizeof(ste));
	SET(SMMU_STE, V, ste, 1);
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_BYPASS);
	SET(SMMU_STE, SHCFG, ste, SMMU_SH_INCOMING);
	assert_int_equal(read_ste(&fx, ste, &entry), 0);
	assert_int_equal(entry.kind, IOMMU_GUEST_BYPASS);
	assert_memory_equal(entry.words, zeros, sizeof(zeros));
	assert_int_equal(iommu_guest_entry_read(fx.machine.unit, ste, 32, &entry), -EOPNOTSUPP);
	fixture_close(&fx);
}

/* What does not count makes no difference; what counts does. */
static void test_entries_that_translate_alike(void **state)
{
	static const struct {
		unsigned lsb, width;
		uint64_t value;
		unsigned bits;	/* of S1CDMax */
		bool differs;
	} fields[] = {
#define FIELD(name, value, bits, differs) { SMMU_STE_##name##_LSB, SMMU_STE_##name##_WIDTH, value, bits, differs }
		FIELD(S1FMT, SMMU_S1FMT_4K, 0, false),	   FIELD(S1FMT, 3, 6, false),
		FIELD(S1FMT, SMMU_S1FMT_4K, 6, true),	   FIELD(S1DSS, SMMU_S1DSS_TERMINATE, 0, false),
		FIELD(S1DSS, SMMU_S1DSS_BYPASS, 6, true),  FIELD(S1CIR, SMMU_CACHE_WB, 0, true),
		FIELD(S1COR, SMMU_CACHE_WB, 0, true),	   FIELD(S1CSH, SMMU_SH_INNER, 0, true),
		FIELD(S1CSH, 1, 0, false),		   FIELD(EATS, SMMU_EATS_NONE, 0, true),
		FIELD(MEV, 1, 0, false),		   FIELD(CONT, 3, 0, false),
		FIELD(DRE, 1, 0, false),		   FIELD(SW_RESERVED, 5, 0, false),
		FIELD(S2TTB, 0x1234, 0, false),		   FIELD(S2S, 1, 0, false),
		FIELD(S2T0SZ, 20, 0, false),		   FIELD(MTCFG, 1, 0, false),
		FIELD(SHCFG, SMMU_SH_INNER, 6, false),	   FIELD(PRIVCFG, 1, 0, false),
		FIELD(S1CONTEXTPTR, 0x40, 0, true),	   FIELD(S1CDMAX, 6, 0, true),
#undef FIELD
	};
	struct iommu_guest_entry entry, plain;
	uint64_t ste[SMMU_STE_WORDS];
	struct guest guest = { .offset = 32 * GIB };
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, config_with(0, IDR1_BITS(ATTR_PERMS_OVR) | IDR1_BITS(ATTR_TYPES_OVR), 0));
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		guest_ste(&guest, 0x10000, fields[i].bits, ste);
		assert_int_equal(read_ste(&fx, ste, &plain), 0);
		layout_set(ste, fields[i].lsb, fields[i].width, fields[i].value);
		assert_int_equal(read_ste(&fx, ste, &entry), 0);
		assert_int_equal(memcmp(entry.words, plain.words, sizeof(plain.words)) != 0, fields[i].differs);
	}
	fixture_close(&fx);
}

static void test_refused_entries(void **state)
{
	static const struct {
		unsigned lsb, width;
		uint64_t value;
		unsigned bits;
		int err;
		const char *field;
	} fields[] = {
#define FIELD(name, value, bits, err) { SMMU_STE_##name##_LSB, SMMU_STE_##name##_WIDTH, value, bits, err, #name }
		FIELD(CONFIG, SMMU_CONFIG_S2, 0, -EOPNOTSUPP),
		FIELD(CONFIG, SMMU_CONFIG_NESTED, 0, -EOPNOTSUPP),
		FIELD(S1CDMAX, 21, 0, -EINVAL),
		FIELD(S1CONTEXTPTR, 1ull << 44, 0, -EINVAL),	/* bit 50: IDR5.OAS says 48 */
		FIELD(S1CONTEXTPTR, 1, 6, -EINVAL),		/* a linear table of 4 KiB, not aligned */
		FIELD(S1STALLD, 1, 0, -EINVAL),
		FIELD(S1PIE, 1, 0, -EINVAL),
		FIELD(S1MPAM, 1, 0, -EINVAL),
		FIELD(PARTID, 1, 0, -EINVAL),
		FIELD(PMG, 1, 0, -EINVAL),
		FIELD(STRW, 1, 0, -EINVAL),
		FIELD(STRW, SMMU_STRW_EL2, 0, -EOPNOTSUPP),
		FIELD(S2VMID, 1, 0, -EOPNOTSUPP),
		FIELD(EATS, SMMU_EATS_SPLIT, 0, -EINVAL),
		FIELD(PRIVCFG, SMMU_OVERRIDE_SET, 0, -EOPNOTSUPP),
		FIELD(INSTCFG, SMMU_OVERRIDE_CLEAR, 0, -EOPNOTSUPP),
#undef FIELD
		{ 56, 1, 1, 0, -EINVAL, "reserved bits" },
		{ 376, 1, 1, 0, -EINVAL, "reserved bits" },
	};
	struct iommu_guest_entry entry;
	uint64_t ste[SMMU_STE_WORDS];
	struct guest guest = { .offset = 32 * GIB };
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, config_with(0, BITS(SMMU_IDR0, HYP) | IDR1_BITS(ATTR_PERMS_OVR) | IDR1_BITS(ATTR_TYPES_OVR), 0));
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		guest_ste(&guest, 0x10000, fields[i].bits, ste);
		assert_int_equal(read_ste(&fx, ste, &entry), 0);
		layout_set(ste, fields[i].lsb, fields[i].width, fields[i].value);
		assert_int_equal(read_ste(&fx, ste, &entry), fields[i].err);
		assert_non_null(entry.field);
		assert_string_equal(entry.field, fields[i].field);
	}
	/* Attributes, where something passes without a first stage. */
	guest_ste(&guest, 0x10000, 6, ste);
	SET(SMMU_STE, MTCFG, ste, 1);
	assert_int_equal(read_ste(&fx, ste, &entry), 0);
	SET(SMMU_STE, S1DSS, ste, SMMU_S1DSS_BYPASS);
	assert_int_equal(read_ste(&fx, ste, &entry), -EOPNOTSUPP);
	assert_string_equal(entry.field, "MTCFG");
	SET(SMMU_STE, CONFIG, ste, SMMU_CONFIG_BYPASS);
	assert_int_equal(read_ste(&fx, ste, &entry), -EOPNOTSUPP);
	fixture_close(&fx);
	/* A unit that hasn't tables of two levels, or no SubstreamIDs, or no EL2. */
	fixture_open_config(&fx, config_with(BITS(SMMU_IDR0, CD2L) | BITS(SMMU_IDR0, HYP), 0, 0));
	guest_ste(&guest, 0x10000, 6, ste);
	SET(SMMU_STE, S1FMT, ste, SMMU_S1FMT_4K);
	assert_int_equal(read_ste(&fx, ste, &entry), -EINVAL);
	assert_string_equal(entry.field, "S1FMT");
	guest_ste(&guest, 0x10000, 0, ste);
	SET(SMMU_STE, STRW, ste, SMMU_STRW_EL2);
	assert_int_equal(read_ste(&fx, ste, &entry), -EINVAL);
	fixture_close(&fx);
	fixture_open_config(&fx, config_with(IDR1_BITS(SSIDSIZE), 0, 0));
	guest_ste(&guest, 0x10000, 6, ste);
	assert_int_equal(read_ste(&fx, ste, &entry), 0);
	assert_int_equal(GET(SMMU_STE, S1CDMAX, entry.words), 0);
	fixture_close(&fx);
}

/* A domain that another unit's capabilities were enough for. */
static void test_other_unit(void **state)
{
	uint64_t ste[SMMU_STE_WORDS];
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct fixture fx, poor;
	struct guest guest;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	fixture_open_config(&poor, config_with(IDR1_BITS(SSIDSIZE), 0, 0));
	make_guest(&fx, &guest, 32 * GIB);
	guest_ste(&guest, make_contexts(&guest, SMMU_S1FMT_LINEAR, ASID, 0), 6, ste);
	domain = nested_of(&guest, ste);
	group = fixture_group(&poor);
	fixture_device(&poor, group, RID);
	assert_int_equal(iommu_attach_group(group, domain), -EINVAL);
	assert_int_equal(iommu_domain_free(domain), 0);
	free_guest(&guest);
	fixture_close(&poor);
	fixture_close(&fx);
}

/* ---- Commands, field by field ---- */

static void test_kinds_of_commands(void **state)
{
	struct iommu_guest_command command;
	uint64_t words[4] = { 0 };
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, PLAIN);
	command = config_command(&fx, SMMU_CMD_CFGI_STE, 0x45, 0, 0);
	assert_int_equal(command.first_rid, 0x45);
	assert_int_equal(command.last_rid, 0x45);
	command = config_command(&fx, SMMU_CMD_CFGI_STE_RANGE, 0x45, 0, 3);
	assert_int_equal(command.first_rid, 0x40);
	assert_int_equal(command.last_rid, 0x4f);
	command = config_command(&fx, SMMU_CMD_CFGI_STE_RANGE, 0x45, 0, SMMU_CFGI_RANGE_ALL);
	assert_int_equal(command.first_rid, 0);
	assert_int_equal(command.last_rid, UINT32_MAX);
	command = config_command(&fx, SMMU_CMD_CFGI_CD, 0x45, 3, 0);
	assert_int_equal(command.first_rid, 0x45);
	command = config_command(&fx, SMMU_CMD_CFGI_CD_ALL, 0x45, 0, 0);
	assert_int_equal(command.last_rid, 0x45);
	command = atc_command(&fx, 3, 0, WINDOW, 0);
	assert_int_equal(command.first_rid, 0x77);
	SET(SMMU_CMD, OPCODE, words, SMMU_CMD_SYNC);
	SET(SMMU_CMD_SYNC, CS, words, SMMU_CS_IRQ);
	SET(SMMU_CMD_SYNC, MSIDATA, words, 5);
	read_command(&fx, words, 0);
	memset(words, 0, sizeof(words));
	SET(SMMU_CMD, OPCODE, words, SMMU_CMD_PREFETCH_CONFIG);
	SET(SMMU_CMD_PREFETCH_CONFIG, SID, words, 5);
	read_command(&fx, words, 0);
	SET(SMMU_CMD, OPCODE, words, SMMU_CMD_PREFETCH_ADDR);
	SET(SMMU_CMD_PREFETCH_ADDR, SIZE, words, 5);
	read_command(&fx, words, 0);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 8, &command), -EOPNOTSUPP);
	/* Longer, and there is something. */
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 32, &command), 0);
	words[3] = 1;
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, 32, &command), -EINVAL);
	assert_string_equal(command.field, "reserved bits");
	fixture_close(&fx);
}

struct bad_command {
	unsigned opcode, lsb, width;
	uint64_t value;
	const char *field;
};

static void check_refused(struct fixture *fx, const struct bad_command *bad, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t words[SMMU_CMD_WORDS] = { 0 };
		struct iommu_guest_command command;

		SET(SMMU_CMD, OPCODE, words, bad[i].opcode);
		if (bad[i].width) {
			assert_int_equal(iommu_guest_command_read(fx->machine.unit, words, sizeof(words), &command), 0);
			layout_set(words, bad[i].lsb, bad[i].width, bad[i].value);
		}
		assert_int_equal(iommu_guest_command_read(fx->machine.unit, words, sizeof(words), &command), -EINVAL);
		assert_non_null(command.field);
		assert_string_equal(command.field, bad[i].field);
	}
}

static void test_refused_commands(void **state)
{
	static const struct bad_command bad[] = {
#define OPCODE(name) { SMMU_CMD_##name, 0, 0, 0, "OPCODE" }
		OPCODE(TLBI_EL2_ALL), OPCODE(TLBI_EL2_ASID), OPCODE(TLBI_EL2_VA), OPCODE(TLBI_EL2_VAA), OPCODE(TLBI_EL3_ALL),
		OPCODE(TLBI_S12_VMALL), OPCODE(TLBI_S2_IPA), OPCODE(TLBI_SNH_ALL), OPCODE(CFGI_VMS_PIDM), OPCODE(PRI_RESP),
		OPCODE(RESUME), OPCODE(STALL_TERM), OPCODE(DPTI_ALL),
#undef OPCODE
		{ 0, 0, 0, 0, "OPCODE" },
		{ 0xff, 0, 0, 0, "OPCODE" },
#define FIELD(command, name, value, field) { SMMU_CMD_##command, SMMU_CMD_##name##_LSB, SMMU_CMD_##name##_WIDTH, value, field }
		FIELD(TLBI_NH_ALL, TLBI_VMID, 1, "VMID"),
		FIELD(TLBI_NH_ASID, TLBI_VMID, 1, "VMID"),
		FIELD(TLBI_NH_VA, TLBI_VMID, 1, "VMID"),
		FIELD(TLBI_NSNH_ALL, TLBI_VMID, 1, "VMID"),
		FIELD(TLBI_NH_ALL, TLBI_ASID, 1, "ASID"),
		FIELD(TLBI_NH_VAA, TLBI_ASID, 1, "ASID"),
		FIELD(TLBI_NH_VA, TLBI_VA_NUM, 1, "NUM"),
		FIELD(TLBI_NH_VA, TLBI_VA_SCALE, 1, "SCALE"),
		FIELD(TLBI_NH_VA, TLBI_VA_SCALE, 33, "SCALE"),
		FIELD(TLBI_NH_VA, TLBI_VA_TTL, 1, "TTL"),
		FIELD(TLBI_NH_VAA, TLBI_VA_TTL128, 1, "TTL128"),
		/* A granule with nothing to go with it. */
		FIELD(TLBI_NH_VA, TLBI_VA_TG, SMMU_TLBI_TG_4K, "TG"),
		FIELD(CFGI_STE, CFGI_STE_SSEC, 1, "SSEC"),
		FIELD(CFGI_STE_RANGE, CFGI_STE_RANGE_SSEC, 1, "SSEC"),
		FIELD(CFGI_CD, CFGI_CD_SSEC, 1, "SSEC"),
		FIELD(CFGI_CD_ALL, CFGI_CD_ALL_SSEC, 1, "SSEC"),
		FIELD(PREFETCH_CONFIG, PREFETCH_CONFIG_SSEC, 1, "SSEC"),
		FIELD(SYNC, SYNC_CS, SMMU_CS_RESERVED, "CS"),
		FIELD(ATC_INV, ATC_INV_SIZE, 53, "SIZE"),
#undef FIELD
		{ SMMU_CMD_CFGI_STE, 127, 1, 1, "reserved bits" },
		{ SMMU_CMD_CFGI_CD, 8, 1, 1, "reserved bits" },
		{ SMMU_CMD_TLBI_NH_ALL, 12, 1, 1, "reserved bits" },
		{ SMMU_CMD_TLBI_NSNH_ALL, 64, 1, 1, "reserved bits" },
		{ SMMU_CMD_TLBI_NH_VA, 8, 1, 1, "reserved bits" },
		{ SMMU_CMD_ATC_INV, 8, 1, 1, "reserved bits" },
		{ SMMU_CMD_SYNC, 8, 1, 1, "reserved bits" },
		{ SMMU_CMD_PREFETCH_ADDR, 8, 1, 1, "reserved bits" },
	};
	static const struct bad_command less[] = {
		{ SMMU_CMD_TLBI_NH_ASID, SMMU_CMD_TLBI_ASID_LSB, 16, 0x100, "ASID" },
		{ SMMU_CMD_CFGI_CD, SMMU_CMD_CFGI_CD_SSID_LSB, 20, 1, "SSID" },
		{ SMMU_CMD_ATC_INV, 0, 0, 0, "OPCODE" },
	};
	uint64_t words[SMMU_CMD_WORDS] = { 0 };
	struct iommu_guest_command command;
	struct machine_config config;
	struct fixture fx;

	(void)state;
	fixture_open_config(&fx, config_with(0, 0, BITS(SMMU_IDR3, RIL)));
	check_refused(&fx, bad, sizeof(bad) / sizeof(bad[0]));
	/* 16 KiB tables have no block at level 1: as if there were nothing beside the granule. The unit's queue would stop. */
	SET(SMMU_CMD, OPCODE, words, SMMU_CMD_TLBI_NH_VA);
	SET(SMMU_CMD_TLBI_VA, TG, words, SMMU_TLBI_TG_16K);
	SET(SMMU_CMD_TLBI_VA, TTL, words, 1);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, sizeof(words), &command), -EINVAL);
	assert_string_equal(command.field, "TG");
	assert_int_equal(iommu_unit_submit(fx.machine.unit, words, 1), -EINVAL);
	SET(SMMU_CMD_TLBI_VA, TTL, words, 2);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, sizeof(words), &command), 0);
	assert_int_equal(iommu_unit_submit(fx.machine.unit, words, 1), 0);
	fixture_close(&fx);
	/* A unit that has less. */
	fixture_open_config(&fx, config_with(BITS(SMMU_IDR0, ATS) | BITS(SMMU_IDR0, ASID16) | IDR1_BITS(SSIDSIZE), 0, 0));
	check_refused(&fx, less, sizeof(less) / sizeof(less[0]));
	fixture_close(&fx);
	config = PLAIN;
	config.capabilities[1] &= ~BITS(SMMU_IDR3, RIL);
	fixture_open_config(&fx, config);
	assert_int_equal(iommu_guest_command_read(fx.machine.unit, words, sizeof(words), &command), -EINVAL);
	assert_string_equal(command.field, "TG");
	fixture_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enable),
		cmocka_unit_test(test_one_context),
		cmocka_unit_test(test_entry_in_memory),
		cmocka_unit_test(test_tables_of_contexts),
		cmocka_unit_test(test_replaces),
		cmocka_unit_test(test_contexts_for_others),
		cmocka_unit_test(test_beside_pasids),
		cmocka_unit_test(test_parent_unmaps),
		cmocka_unit_test(test_dirty_parent),
		cmocka_unit_test(test_one_vmid),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_granules),
		cmocka_unit_test(test_device_tlb_leaves),
		cmocka_unit_test(test_guest_without_ats),
		cmocka_unit_test(test_invalidations_stay_within),
		cmocka_unit_test(test_contexts_are_forgotten),
		cmocka_unit_test(test_device_tlb_is_invalidated),
		cmocka_unit_test(test_no_pasids_to_devices_without),
		cmocka_unit_test(test_kinds_of_entries),
		cmocka_unit_test(test_entries_that_translate_alike),
		cmocka_unit_test(test_refused_entries),
		cmocka_unit_test(test_other_unit),
		cmocka_unit_test(test_kinds_of_commands),
		cmocka_unit_test(test_refused_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
