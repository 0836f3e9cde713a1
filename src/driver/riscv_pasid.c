/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_pasid.c - devices with PASIDs: a process directory of the device's own (2.2), and how requests without process id go
 * beside it.
 *
 * The device context points to the directory as long as the device is here, with DPE: so requests without process id use the
 * process context 0, in which Bare is identity. Then every change of a domain is one of a process context. Only a second-stage domain, which
 * would translate the directory too, and a nested one, which has a directory of the guest's, take the device context back to what a
 * device without PASIDs has.
 */
#include "riscv_driver.h"

#include <string.h>

#define CONTEXTS_PER_PAGE (1u << RISCV_PDI0_BITS)
#define RID_PROCESS 0u

/* How many bits of a process id a directory of so many levels tells apart: PD8, PD17, PD20. */
static const unsigned bits_of[RISCV_PDT_LEVELS + 1] = {
	0, RISCV_PDI0_BITS, RISCV_PDI0_BITS + RISCV_PDI1_BITS, RISCV_PDI0_BITS + RISCV_PDI1_BITS + RISCV_PDI2_BITS,
};

static struct riscv_pdt *pdt_of(const struct iommu_device *device)
{
	return device->tables[0];
}

bool riscv_has_directory(const struct riscv_unit *riscv, unsigned levels)
{
	switch (levels) {
	case 1:
		return RISCV_CAP_OF(riscv, PD8);
	case 2:
		return RISCV_CAP_OF(riscv, PD17);
	default:
		return RISCV_CAP_OF(riscv, PD20);
	}
}

unsigned riscv_pasid_bits(const struct riscv_unit *riscv)
{
	for (unsigned levels = RISCV_PDT_LEVELS; levels; levels--)
		if (riscv_has_directory(riscv, levels))
			return bits_of[levels];
	return 0;
}

/* The fewest levels, but at least `least`, that the unit has and that hold the process id. */
static unsigned levels_for(const struct riscv_unit *riscv, uint32_t pid, unsigned least)
{
	unsigned levels = least;

	while (pid >> bits_of[levels] || !riscv_has_directory(riscv, levels))
		levels++;
	return levels;
}

enum riscv_rid_mode riscv_rid_mode(const struct iommu_domain *domain)
{
	if (!domain || domain->type == IOMMU_DOMAIN_BLOCKED)
		return RISCV_RID_BLOCKED;
	/* A guest's process directory has all process ids. */
	if (domain_is_nested(domain) || (domain_has_table(domain) && domain->stage == 2))
		return RISCV_RID_ALONE;
	return RISCV_RID_PROCESS;
}

/* ---- Where the entries are ---- */

static struct entry_table *leaf_of(const struct riscv_pdt *pdt, uint32_t pid)
{
	unsigned number = pid / CONTEXTS_PER_PAGE;

	return pdt->reserved.leaf && pdt->reserved.number == number ? pdt->reserved.leaf : pdt->leaves[number];
}

static struct entry_place pc_place(const struct iommu_device *device, uint32_t pid)
{
	return (struct entry_place){
		.table = leaf_of(pdt_of(device), pid),
		.offset = pid % CONTEXTS_PER_PAGE * RISCV_PC_WORDS * sizeof(uint64_t),
		.format = &riscv_pc,
		.pasid = pid,
	};
}

static struct entry_place dc_place(const struct iommu_device *device)
{
	struct entry_place place = device->entry[0];

	place.format = device->unit->ops->format;
	place.pasid = RID_PROCESS;
	return place;
}

/* Process context 0 is there before the device context leads to it, and goes after. */
static unsigned riscv_places(struct iommu_unit *unit, const struct iommu_device *device, uint32_t pasid,
			     const struct iommu_domain *old, const struct iommu_domain *new, struct entry_place *places)
{
	enum riscv_rid_mode from = riscv_rid_mode(old), to = riscv_rid_mode(new);
	unsigned n = 0;

	(void)unit;
	if (pasid != IOMMU_NO_PASID) {
		places[0] = pc_place(device, pasid);
		return 1;
	}
	if (to != RISCV_RID_ALONE && from != RISCV_RID_ALONE) {
		places[0] = pc_place(device, RID_PROCESS);
		return 1;
	}
	if (to == RISCV_RID_PROCESS)
		places[n++] = pc_place(device, RID_PROCESS);
	places[n++] = dc_place(device);
	if (from == RISCV_RID_PROCESS)
		places[n++] = pc_place(device, RID_PROCESS);
	return n;
}

static int riscv_check_pasid(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return riscv_rid_mode(domain) != RISCV_RID_ALONE ? 0 : -EINVAL;
}

static bool riscv_beside(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	(void)unit;
	(void)device;
	return riscv_rid_mode(domain) != RISCV_RID_ALONE;
}

/* ---- Reserve ---- */

static void free_table(const struct hitless_port *port, struct entry_table *table)
{
	driver_table_fini(port, table);
	port->free(port->ctx, table, sizeof(*table));
}

static int make_table(const struct hitless_port *port, struct entry_table **result)
{
	struct entry_table *table = port->alloc(port->ctx, sizeof(*table));
	int err = table ? driver_table_init(port, table, NULL, 0) : -ENOMEM;

	if (err) {
		if (table)
			port->free(port->ctx, table, sizeof(*table));
		return err;
	}
	/* As in the device directory. */
	table->pointer_shift = 12 - RISCV_PDTE_PPN_LSB;
	*result = table;
	return 0;
}

static unsigned leaf_count(unsigned levels)
{
	return 1u << (bits_of[levels] - RISCV_PDI0_BITS);
}

/* As many levels more as the process id needs. */
static int reserve_levels(const struct riscv_unit *riscv, struct riscv_pdt *pdt, uint32_t pid)
{
	const struct hitless_port *port = riscv->unit.port;
	unsigned levels = levels_for(riscv, pid, pdt->levels);
	int err = 0;

	if (levels == pdt->levels)
		return 0;
	for (unsigned i = 0; i < levels - pdt->levels && !err; i++)
		err = make_table(port, &pdt->reserved.above[i]);
	if (err)
		return err;
	pdt->reserved.leaves = port->alloc(port->ctx, leaf_count(levels) * sizeof(*pdt->leaves));
	pdt->reserved.levels = levels;
	return pdt->reserved.leaves ? 0 : -ENOMEM;
}

/* The table between root and leaf. One that gets there by growth lies under the root's first entry. */
static int reserve_middle(const struct hitless_port *port, struct riscv_pdt *pdt, unsigned number)
{
	unsigned levels = pdt->reserved.levels ? pdt->reserved.levels : pdt->levels, slot = number >> RISCV_PDI1_BITS;

	if (levels < 3 || pdt->middles[slot] || (pdt->reserved.levels && slot == 0))
		return 0;
	return make_table(port, &pdt->reserved.middle);
}

static RARE int reserve_leaf(const struct hitless_port *port, struct riscv_pdt *pdt, unsigned number)
{
	if (number < leaf_count(pdt->levels) && pdt->leaves[number])
		return 0;
	pdt->reserved.number = number;
	return make_table(port, &pdt->reserved.leaf);
}

static void free_reserved(const struct hitless_port *port, struct riscv_pdt *pdt)
{
	for (unsigned i = 0; i < 2; i++)
		if (pdt->reserved.above[i])
			free_table(port, pdt->reserved.above[i]);
	if (pdt->reserved.leaves)
		port->free(port->ctx, pdt->reserved.leaves, leaf_count(pdt->reserved.levels) * sizeof(*pdt->leaves));
	if (pdt->reserved.middle)
		free_table(port, pdt->reserved.middle);
	if (pdt->reserved.leaf)
		free_table(port, pdt->reserved.leaf);
	memset(&pdt->reserved, 0, sizeof(pdt->reserved));
}

static int riscv_reserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct riscv_pdt *pdt = pdt_of(device);
	int err = reserve_levels(to_riscv(unit), pdt, pasid);

	if (!err)
		err = reserve_middle(unit->port, pdt, pasid / CONTEXTS_PER_PAGE);
	if (!err)
		err = reserve_leaf(unit->port, pdt, pasid / CONTEXTS_PER_PAGE);
	if (err)
		free_reserved(unit->port, pdt);
	return err;
}

static void riscv_unreserve(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	(void)pasid;
	free_reserved(unit->port, pdt_of(device));
}

/* ---- Build ---- */

/* The table is whole before it can be found. */
static void link_table(const struct riscv_unit *riscv, struct entry_table *parent, size_t slot, struct entry_table *table)
{
	const struct hitless_port *port = riscv->unit.port;
	uint64_t pdte = 0;

	SET(RISCV_PDTE, V, &pdte, 1);
	SET(RISCV_PDTE, PPN, &pdte, RISCV_PPN(riscv_phys(riscv, table->page)));
	riscv_writeback(riscv, table->page, table->bytes);
	table->parent = parent;
	table->slot = slot * sizeof(uint64_t);
	port->lock(port->ctx, &parent->lock);
	port->store64(port->ctx, (char *)parent->page + table->slot, pdte);
	riscv_writeback(riscv, (char *)parent->page + table->slot, sizeof(pdte));
	port->unlock(port->ctx, &parent->lock);
}

/* New levels on top, whose first entries lead to what was the top; and the device context leads to them: one store of its last word. */
static int grow(struct riscv_unit *riscv, struct iommu_device *device, struct riscv_pdt *pdt)
{
	const struct hitless_port *port = riscv->unit.port;
	struct entry_place place = dc_place(device);
	uint64_t dc[IOMMU_ENTRY_WORDS];

	for (unsigned i = 0; i < pdt->reserved.levels - pdt->levels; i++) {
		link_table(riscv, pdt->reserved.above[i], 0, pdt->root);
		pdt->root = pdt->reserved.above[i];
		pdt->reserved.above[i] = NULL;
		pdt->tables++;
		/* What has become the second of three levels. */
		if (pdt->levels + i + 1 == 2)
			pdt->middles[0] = pdt->root;
	}
	riscv_writeback(riscv, pdt->root->page, pdt->root->bytes);
	memcpy(pdt->reserved.leaves, pdt->leaves, leaf_count(pdt->levels) * sizeof(*pdt->leaves));
	port->free(port->ctx, pdt->leaves, leaf_count(pdt->levels) * sizeof(*pdt->leaves));
	pdt->leaves = pdt->reserved.leaves;
	pdt->levels = pdt->reserved.levels;
	pdt->reserved.leaves = NULL;
	pdt->reserved.levels = 0;
	entry_read(port, place.table, place.offset, dc, place.format->words);
	riscv_set_pdtp(riscv, dc, pdt);
	return restate_entry(device, &place, dc, false);
}

static int riscv_build(struct iommu_unit *unit, struct iommu_device *device, uint32_t pasid)
{
	struct riscv_unit *riscv = to_riscv(unit);
	struct riscv_pdt *pdt = pdt_of(device);
	unsigned number = pasid / CONTEXTS_PER_PAGE, slot = number & ((1u << RISCV_PDI1_BITS) - 1);
	int err = pdt->reserved.levels ? grow(riscv, device, pdt) : 0;

	if (err || !pdt->reserved.leaf)
		return err;
	if (pdt->reserved.middle) {
		pdt->middles[number >> RISCV_PDI1_BITS] = pdt->reserved.middle;
		link_table(riscv, pdt->root, number >> RISCV_PDI1_BITS, pdt->reserved.middle);
		pdt->reserved.middle = NULL;
		pdt->tables++;
	}
	link_table(riscv, pdt->levels == 3 ? pdt->middles[number >> RISCV_PDI1_BITS] : pdt->root, slot, pdt->reserved.leaf);
	pdt->leaves[number] = pdt->reserved.leaf;
	pdt->reserved.leaf = NULL;
	pdt->tables++;
	/* 2.8: an entry that is not valid is not cached. */
	return unit->facts & IOMMU_PLAN_CACHES_ABSENT ? riscv_forget_directory(riscv, device->rids[0]) : 0;
}

static void riscv_memory(struct iommu_unit *unit, const struct iommu_device *device, size_t *bytes, size_t *software)
{
	const struct riscv_pdt *pdt = pdt_of(device);

	(void)unit;
	*bytes = (size_t)pdt->tables * HITLESS_PAGE_SIZE;
	*software = sizeof(*pdt) + leaf_count(pdt->levels) * sizeof(*pdt->leaves) + pdt->tables * sizeof(**pdt->leaves);
}

/* ---- Devices come and go ---- */

static void free_pdt(struct riscv_unit *riscv, struct iommu_device *device)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_pdt *pdt = pdt_of(device);

	for (unsigned i = 0; pdt->leaves && i < leaf_count(pdt->levels); i++)
		if (pdt->leaves[i])
			free_table(port, pdt->leaves[i]);
	if (pdt->leaves)
		port->free(port->ctx, pdt->leaves, leaf_count(pdt->levels) * sizeof(*pdt->leaves));
	for (unsigned i = 0; pdt->levels == 3 && i < 1u << RISCV_PDI2_BITS; i++)
		if (pdt->middles[i])
			free_table(port, pdt->middles[i]);
	if (pdt->levels > 1 && pdt->root)
		free_table(port, pdt->root);
	port->free(port->ctx, pdt, sizeof(*pdt));
	device->tables[0] = NULL;
}

static int make_pdt(struct riscv_unit *riscv, struct iommu_device *device)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_pdt *pdt = port->alloc(port->ctx, sizeof(*pdt));
	int err = -ENOMEM;

	if (!pdt)
		return err;
	device->tables[0] = pdt;
	pdt->levels = levels_for(riscv, RID_PROCESS, 1);
	pdt->leaves = port->alloc(port->ctx, leaf_count(pdt->levels) * sizeof(*pdt->leaves));
	if (pdt->leaves)
		err = make_table(port, pdt->levels == 1 ? &pdt->leaves[0] : &pdt->root);
	if (!err && pdt->levels == 1)
		pdt->root = pdt->leaves[0];
	if (!err && pdt->levels == 2)
		pdt->middles[0] = pdt->root;
	pdt->tables = 1;
	if (!err)
		err = riscv_reserve(&riscv->unit, device, RID_PROCESS);
	if (!err)
		err = riscv_build(&riscv->unit, device, RID_PROCESS);
	if (err)
		free_pdt(riscv, device);
	else
		riscv_writeback(riscv, pdt->root->page, pdt->root->bytes);
	return err;
}

static int restate_dc(struct riscv_unit *riscv, struct iommu_device *device, bool with_directory)
{
	struct entry_place place = dc_place(device);
	uint64_t dc[IOMMU_ENTRY_WORDS] = { 0 };

	if (with_directory)
		riscv->unit.ops->make_entry(&riscv->unit, device, &place, NULL, 0, dc, dc);
	return restate_entry(device, &place, dc, false);
}

int riscv_pasid_add(struct riscv_unit *riscv, struct iommu_device *device)
{
	int err = make_pdt(riscv, device);

	/* What the hardware may have seen is never freed if it does not answer. */
	return err ? err : restate_dc(riscv, device, true);
}

void riscv_pasid_remove(struct riscv_unit *riscv, struct iommu_device *device)
{
	if (device->tables[0] && restate_dc(riscv, device, false) == 0)
		free_pdt(riscv, device);
}

const struct iommu_pasid_ops riscv_pasid_ops = {
	.places = riscv_places,
	.reserve = riscv_reserve,
	.build = riscv_build,
	.unreserve = riscv_unreserve,
	.check = riscv_check_pasid,
	.beside = riscv_beside,
	.memory = riscv_memory,
};
