/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * riscv_unit.c - a RISC-V IOMMU: what it can do, its device directory, its domains.
 *
 * The live entry of a device is its device context, in a leaf page of the directory. With two levels or more that page hangs on one
 * doubleword, so that any change of a context can be made by a swap of the page.
 */
#include "riscv_driver.h"

#include <string.h>

/* ---- The device directory (2.1) ---- */

static int run(struct riscv_unit *riscv, struct entry_steps *steps)
{
	struct iommu_plan plan = { .steps = steps->v, .nsteps = steps->n };

	return unit_commit(&riscv->unit, &plan);
}

/* How many bits of a device id are used up at and below a level. */
static unsigned bits_below(const struct riscv_unit *riscv, unsigned level)
{
	static const unsigned base[] = { RISCV_DDI0_BITS, RISCV_DDI0_BITS + RISCV_DDI1_BITS, 24 };
	static const unsigned extended[] = { RISCV_DDI0_BITS_X, RISCV_DDI0_BITS_X + RISCV_DDI1_BITS_X, 24 };

	return riscv->extended ? extended[level] : base[level];
}

static size_t dc_bytes(const struct riscv_unit *riscv)
{
	return (riscv->extended ? RISCV_DCX_WORDS : RISCV_DC_WORDS) * sizeof(uint64_t);
}

static size_t dc_offset(const struct riscv_unit *riscv, uint32_t did)
{
	return (did & ((1u << bits_below(riscv, 0)) - 1)) * dc_bytes(riscv);
}

/* Where in its parent's page the pointer to a device id's table of a level is. */
static size_t slot_of(const struct riscv_unit *riscv, uint32_t did, unsigned level)
{
	unsigned index_bits = bits_below(riscv, level + 1) - bits_below(riscv, level);

	return ((did >> bits_below(riscv, level)) & ((1u << index_bits) - 1)) * sizeof(uint64_t);
}

/* 2.8: an entry that is not valid is not cached, so no command follows when it becomes valid. */
static int link_table(struct riscv_unit *riscv, struct entry_table *table)
{
	const struct hitless_port *port = riscv->unit.port;
	struct entry_table *parent = table->parent;
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	uint64_t ddte = 0;

	riscv_writeback(riscv, table->page, table->bytes);
	SET(RISCV_DDTE, V, &ddte, 1);
	SET(RISCV_DDTE, PPN, &ddte, RISCV_PPN(riscv_phys(riscv, table->page)));
	port->lock(port->ctx, &parent->lock);
	port->store64(port->ctx, (char *)parent->page + table->slot, ddte);
	riscv_writeback(riscv, (char *)parent->page + table->slot, sizeof(ddte));
	port->unlock(port->ctx, &parent->lock);
	if (!(riscv->unit.facts & IOMMU_PLAN_CACHES_ABSENT))
		return 0;
	riscv_forget_all(riscv, &steps);
	return run(riscv, &steps);
}

/* The table of `level` on the way to a device's context, made if need be. Under directory_lock. */
static int directory_table(struct riscv_unit *riscv, uint32_t did, unsigned level, struct entry_table **result)
{
	const struct hitless_port *port = riscv->unit.port;
	struct riscv_directory *directory;
	struct entry_table *parent;
	int err;

	*result = &riscv->root;
	if (level == riscv->levels - 1)
		return 0;
	for (directory = riscv->directories; directory; directory = directory->next)
		if (directory->level == level && directory->key == did >> bits_below(riscv, level)) {
			*result = &directory->table;
			return 0;
		}
	err = directory_table(riscv, did, level + 1, &parent);
	if (err)
		return err;
	directory = port->alloc(port->ctx, sizeof(*directory));
	if (!directory)
		return -ENOMEM;
	err = driver_table_init(port, &directory->table, parent, slot_of(riscv, did, level));
	if (err) {
		port->free(port->ctx, directory, sizeof(*directory));
		return err;
	}
	/* A page number starts at bit 10 of the pointer: an address is in it shifted right by 2. */
	directory->table.pointer_shift = 12 - RISCV_DDTE_PPN_LSB;
	directory->level = level;
	directory->key = did >> bits_below(riscv, level);
	directory->next = riscv->directories;
	riscv->directories = directory;
	*result = &directory->table;
	return link_table(riscv, &directory->table);
}

static RARE int riscv_device_add(struct iommu_unit *unit, struct iommu_device *device)
{
	struct riscv_unit *riscv = to_riscv(unit);
	const struct hitless_port *port = unit->port;
	int err = 0;

	for (unsigned i = 0; i < device->nrids; i++)
		if (device->rids[i] >> bits_below(riscv, riscv->levels - 1))
			return -EINVAL;
	driver_find_ats(port, device, RISCV_CAP_OF(riscv, ATS));
	port->lock(port->ctx, &riscv->directory_lock);
	for (unsigned i = 0; i < device->nrids && !err; i++) {
		err = directory_table(riscv, device->rids[i], 0, &device->entry[i].table);
		device->entry[i].offset = dc_offset(riscv, device->rids[i]);
	}
	port->unlock(port->ctx, &riscv->directory_lock);
	driver_enable_pasids(port, device, riscv_pasid_bits(riscv));
	if (!err && device->pasid_bits)
		err = riscv_pasid_add(riscv, device);
	return err;
}

/* Its contexts are not valid, and stay so; the tables are its neighbours' too. */
static RARE void riscv_device_remove(struct iommu_unit *unit, struct iommu_device *device)
{
	riscv_pasid_remove(to_riscv(unit), device);
	driver_disable_pasids(unit->port, device);
}

/* ---- Domains ---- */

bool riscv_has_levels(const struct riscv_unit *riscv, unsigned stage, unsigned levels)
{
	switch (levels) {
	case 3:
		return stage == 1 ? RISCV_CAP_OF(riscv, SV39) : RISCV_CAP_OF(riscv, SV39X4);
	case 4:
		return stage == 1 ? RISCV_CAP_OF(riscv, SV48) : RISCV_CAP_OF(riscv, SV48X4);
	case 5:
		return stage == 1 ? RISCV_CAP_OF(riscv, SV57) : RISCV_CAP_OF(riscv, SV57X4);
	default:
		return false;
	}
}

/* 0: the unit has no such scheme. */
static unsigned levels_of(const struct riscv_unit *riscv, unsigned stage, unsigned wanted)
{
	static const unsigned preferred[] = { 4, 3, 5 };

	if (wanted)
		return riscv_has_levels(riscv, stage, wanted) ? wanted : 0;
	for (unsigned i = 0; i < 3; i++)
		if (riscv_has_levels(riscv, stage, preferred[i]))
			return preferred[i];
	return 0;
}

bool riscv_has_stage(const struct riscv_unit *riscv, unsigned stage)
{
	return levels_of(riscv, stage, 0) != 0;
}

static bool has_dirty(const struct riscv_unit *riscv)
{
	return RISCV_CAP_OF(riscv, AMO_HWAD) && !riscv_noncoherent(riscv);
}

static unsigned output_bits(const struct riscv_unit *riscv)
{
	unsigned pas = (unsigned)RISCV_CAP_OF(riscv, PAS);

	return pas > 56 ? 56 : pas;
}

static RARE int riscv_domain_init(struct iommu_unit *unit, struct iommu_domain *domain, const struct iommu_domain_desc *desc)
{
	const struct riscv_unit *riscv = to_riscv_const(unit);
	struct iommu_pgtable_config config = {
		.port = unit->port,
		.max_page_shift = 30,
		.output_bits = output_bits(riscv),
		.noncoherent = riscv_noncoherent(riscv),
		.dirty = desc->dirty,
		.contiguous = !desc->dirty, /* 6.4: every unit has Svnapot */
		.memory_types = RISCV_CAP_OF(riscv, SVPBMT),
	};

	if (desc->type == IOMMU_DOMAIN_EXTERNAL) {
		domain->external_levels = levels_of(riscv, 1, desc->levels);
		if (!domain->external_levels)
			return -EINVAL;
		return riscv_noncoherent(riscv) ? -EOPNOTSUPP : 0;
	}
	if (desc->type != IOMMU_DOMAIN_PAGING)
		return 0;
	/* The second stage's root and tag are one doubleword: the cheapest to replace. */
	if (domain->stage == 0)
		domain->stage = levels_of(riscv, 2, desc->levels) ? 2 : 1;
	config.levels = levels_of(riscv, domain->stage, desc->levels);
	if (!config.levels)
		return -EINVAL;
	if (desc->dirty && !has_dirty(riscv))
		return -EOPNOTSUPP;
	domain->pgtable.ops = domain->stage == 1 ? &iommu_pgtable_riscv_s : &iommu_pgtable_riscv_g;
	return domain->pgtable.ops->init(&domain->pgtable, &config);
}

/* A domain that was made for another unit of this driver: does this one walk its tables? */
static int riscv_domain_check(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *domain)
{
	const struct riscv_unit *riscv = to_riscv_const(unit);
	const struct iommu_pgtable_config *config = &domain->pgtable.config;

	(void)device;
	if (domain->type == IOMMU_DOMAIN_EXTERNAL)
		return riscv_has_levels(riscv, 1, domain->external_levels) && !riscv_noncoherent(riscv) ? 0 : -EINVAL;
	if (domain->type != IOMMU_DOMAIN_PAGING)
		return 0;
	if (!riscv_has_levels(riscv, domain->stage, config->levels) || config->output_bits > output_bits(riscv) ||
	    (config->memory_types && !RISCV_CAP_OF(riscv, SVPBMT)) || (riscv_noncoherent(riscv) && !config->noncoherent))
		return -EINVAL;
	return domain->dirty && !has_dirty(riscv) ? -EINVAL : 0;
}

/* Modes 8, 9, 10: 3, 4, 5 levels, in either stage. */
static uint64_t first_mode(const struct iommu_domain *domain)
{
	return RISCV_S_SV39 + domain_levels(domain) - 3;
}

void riscv_set_pdtp(const struct riscv_unit *riscv, uint64_t *dc, const struct riscv_pdt *pdt)
{
	SET(RISCV_DC, FSC_MODE, dc, RISCV_PDTP_PD8 + pdt->levels - 1);
	SET(RISCV_DC, FSC_PPN, dc, RISCV_PPN(riscv_phys(riscv, pdt->root->page)));
}

/* What a guest says of its first stage, and whether faults or the unit set the flags in it. Its page numbers are the guest's. */
static void copy_first_stage(uint64_t *entry, const uint64_t *guest)
{
	SET(RISCV_DC, PDTV, entry, GET(RISCV_DC, PDTV, guest));
	SET(RISCV_DC, DPE, entry, GET(RISCV_DC, DPE, guest));
	SET(RISCV_DC, SADE, entry, GET(RISCV_DC, SADE, guest));
	SET(RISCV_DC, PSCID, entry, GET(RISCV_DC, PSCID, guest));
	SET(RISCV_DC, FSC_MODE, entry, GET(RISCV_DC, FSC_MODE, guest));
	SET(RISCV_DC, FSC_PPN, entry, GET(RISCV_DC, FSC_PPN, guest));
}

/*
 * tc is the same in every valid context of a device but a guest's, so that a replacement rarely has to change it: EN_ATS as the device
 * has it, GADE and SADE wherever the unit has them. They set flags only in tables that were made for it (`dirty`), the others have all
 * flags set.
 */
static void make_dc(const struct riscv_unit *riscv, const struct iommu_device *device, const struct iommu_domain *domain,
		    uint32_t tag, uint64_t *entry)
{
	bool hardware_flags = has_dirty(riscv);
	bool directory = device->pasid_bits && riscv_rid_mode(domain) != RISCV_RID_ALONE;
	uint64_t root;

	memset(entry, 0, riscv->unit.ops->format->words * 8);
	if (!directory && (!domain || domain->type == IOMMU_DOMAIN_BLOCKED))
		return;
	SET(RISCV_DC, V, entry, 1);
	SET(RISCV_DC, EN_ATS, entry, device->ats);
	/* A guest that does not know of its device's TLB would not flush it. */
	if (domain_is_nested(domain))
		SET(RISCV_DC, EN_ATS, entry, device->ats && GET(RISCV_DC, EN_ATS, domain->guest));
	SET(RISCV_DC, GADE, entry, hardware_flags);
	SET(RISCV_DC, SADE, entry, hardware_flags);
	if (directory) {
		/* Of requests without process id, too: process context 0 says (riscv_pasid.c). */
		SET(RISCV_DC, PDTV, entry, 1);
		SET(RISCV_DC, DPE, entry, 1);
		riscv_set_pdtp(riscv, entry, device->tables[0]);
		return;
	}
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return;
	if (domain_is_nested(domain)) {
		copy_first_stage(entry, domain->guest);
		domain = domain->parent;
	}
	root = RISCV_PPN(domain_root(domain));
	if (domain->stage == 1) {
		SET(RISCV_DC, PSCID, entry, tag);
		SET(RISCV_DC, FSC_MODE, entry, first_mode(domain));
		SET(RISCV_DC, FSC_PPN, entry, root);
	} else {
		SET(RISCV_DC, GSCID, entry, tag);
		SET(RISCV_DC, G_MODE, entry, RISCV_G_SV39X4 + domain_levels(domain) - 3);
		SET(RISCV_DC, G_PPN, entry, root);
	}
}

/* 2.2.2. Supervisors' requests are not let through to what is mapped for users (ENS, SUM). */
static void make_pc(const struct iommu_domain *domain, uint32_t tag, uint64_t *entry)
{
	memset(entry, 0, RISCV_PC_WORDS * 8);
	if (riscv_rid_mode(domain) != RISCV_RID_PROCESS)
		return;
	SET(RISCV_PC, V, entry, 1);
	if (domain->type == IOMMU_DOMAIN_IDENTITY)
		return;
	SET(RISCV_PC, PSCID, entry, tag);
	SET(RISCV_PC, FSC_MODE, entry, first_mode(domain));
	SET(RISCV_PC, FSC_PPN, entry, RISCV_PPN(domain_root(domain)));
}

static void riscv_make_entry(struct iommu_unit *unit, const struct iommu_device *device, const struct entry_place *place,
			     const struct iommu_domain *domain, uint32_t tag, const uint64_t *before, uint64_t *entry)
{
	(void)before; /* nothing in it belongs to anybody else */
	if (place->format == &riscv_pc)
		make_pc(domain, tag, entry);
	else
		make_dc(to_riscv_const(unit), device, domain, tag, entry);
}

static unsigned riscv_tag_space(const struct iommu_unit *unit, const struct iommu_domain *domain)
{
	(void)unit;
	if (!domain_has_table(domain))
		return NO_TAG_SPACE;
	return domain->stage == 1 ? RISCV_SPACE_PSCID : RISCV_SPACE_GSCID;
}

static uint32_t riscv_rid_pasid(const struct iommu_unit *unit)
{
	(void)unit;
	return 0;
}

/* ---- The unit ---- */

static RARE void free_unit(struct riscv_unit *riscv)
{
	const struct hitless_port *port = riscv->unit.port;

	while (riscv->directories) {
		struct riscv_directory *directory = riscv->directories;

		riscv->directories = directory->next;
		driver_table_fini(port, &directory->table);
		port->free(port->ctx, directory, sizeof(*directory));
	}
	driver_table_fini(port, &riscv->root);
	port->lock_destroy(port->ctx, &riscv->directory_lock);
	unit_fini(&riscv->unit);
	port->free(port->ctx, riscv, sizeof(*riscv));
}

static int wait_ddtp(const struct riscv_unit *riscv)
{
	return riscv_wait32(riscv, RISCV_REG_DDTP, (uint32_t)BITS(RISCV_DDTP, BUSY), 0);
}

/* 5.5: the page number must stay what it is. */
static int turn_off(const struct riscv_unit *riscv)
{
	uint64_t ddtp;
	int err = wait_ddtp(riscv);

	if (err)
		return err;
	ddtp = riscv_read64(riscv, RISCV_REG_DDTP);
	SET(RISCV_DDTP, MODE, &ddtp, RISCV_DDTP_OFF);
	riscv_write64(riscv, RISCV_REG_DDTP, ddtp);
	return wait_ddtp(riscv);
}

static RARE int riscv_destroy(struct iommu_unit *unit)
{
	struct riscv_unit *riscv = to_riscv(unit);
	int err = turn_off(riscv);

	if (!err)
		err = riscv_queue_fini(riscv);
	if (!err)
		err = riscv_faults_fini(riscv);
	if (err) {
		unit_mark_lost(unit);
		return err;
	}
	free_unit(riscv);
	return 0;
}

#define RISCV_OPS(entry) \
	{ \
		.arch = "riscv", \
		.format = entry, \
		.destroy = riscv_destroy, \
		.device_add = riscv_device_add, \
		.device_remove = riscv_device_remove, \
		.domain_init = riscv_domain_init, \
		.domain_check = riscv_domain_check, \
		.make_entry = riscv_make_entry, \
		.tag_space = riscv_tag_space, \
		.rid_pasid = riscv_rid_pasid, \
		.forget_range = riscv_forget_range, \
		.forget_device_range = riscv_forget_device_range, \
		.commands = riscv_commands, \
		.submit = riscv_submit, \
		.handle_faults = riscv_handle_faults, \
		.pasid = &riscv_pasid_ops, \
	}

static const struct iommu_unit_ops base_ops = RISCV_OPS(&riscv_dc);
static const struct iommu_unit_ops extended_ops = RISCV_OPS(&riscv_dc_extended);

/* What the unit can do, and whether that is enough (6.2). */
static RARE int probe(struct riscv_unit *riscv)
{
	const uint32_t wanted_off = (uint32_t)(BITS(RISCV_FCTL, BE) | BITS(RISCV_FCTL, GXL));
	uint64_t cqcsr;
	int err;

	riscv->cap = riscv_read64(riscv, RISCV_REG_CAP);
	if (riscv->cap == 0 || riscv->cap == UINT64_MAX)
		return -ENODEV;
	if (RISCV_CAP_OF(riscv, VERSION) >> 4 != RISCV_VERSION_1_0 >> 4)
		return -EOPNOTSUPP;
	if (!riscv_has_stage(riscv, 1) && !riscv_has_stage(riscv, 2))
		return -EOPNOTSUPP;
	riscv->extended = RISCV_CAP_OF(riscv, MSI_FLAT);
	cqcsr = riscv_read32(riscv, RISCV_REG_CQCSR);
	if (GET(RISCV_CQCSR, CQEN, &cqcsr) || GET(RISCV_CQCSR, CQON, &cqcsr))
		return -EBUSY;
	/* Firmware may have left translation on, with tables that are not ours; 5.4: fctl changes only while the unit is off. */
	err = turn_off(riscv);
	if (err)
		return err;
	riscv->fctl = riscv_read32(riscv, RISCV_REG_FCTL);
	if (riscv->fctl & wanted_off) {
		riscv_write32(riscv, RISCV_REG_FCTL, riscv->fctl & ~wanted_off);
		riscv->fctl = riscv_read32(riscv, RISCV_REG_FCTL);
	}
	return riscv->fctl & wanted_off ? -EOPNOTSUPP : 0;
}

/* Writes a mode and sees whether the unit has it: the field keeps what is legal (5.5). */
static int try_levels(struct riscv_unit *riscv, unsigned levels)
{
	uint64_t ddtp = 0;
	int err;

	SET(RISCV_DDTP, MODE, &ddtp, RISCV_DDTP_1LVL + levels - 1);
	SET(RISCV_DDTP, PPN, &ddtp, RISCV_PPN(riscv_phys(riscv, riscv->root.page)));
	riscv_write64(riscv, RISCV_REG_DDTP, ddtp);
	err = wait_ddtp(riscv);
	if (err)
		return err;
	ddtp = riscv_read64(riscv, RISCV_REG_DDTP);
	if (GET(RISCV_DDTP, MODE, &ddtp) == RISCV_DDTP_1LVL + levels - 1) {
		riscv->levels = levels;
		return 0;
	}
	err = turn_off(riscv);
	return err ? err : -EINVAL;
}

/* Two levels hold a PCI segment's 65536 requester ids with base-format contexts, three do with extended ones. */
static int choose_levels(struct riscv_unit *riscv, unsigned wanted)
{
	static const unsigned base[] = { 2, 3, 1 }, extended[] = { 3, 2, 1 };
	const unsigned *order = riscv->extended ? extended : base;
	int err;

	if (wanted)
		return try_levels(riscv, wanted);
	for (unsigned i = 0;; i++) {
		err = try_levels(riscv, order[i]);
		if (err != -EINVAL || i == 2)
			return err;
	}
}

/* 6.2. Whatever was cached before is forgotten while the unit is still off (5.5: it may have kept it). */
static RARE int enable(struct riscv_unit *riscv, const struct riscv_unit_desc *desc)
{
	struct iommu_step array[8];
	struct entry_steps steps = { .v = array, .capacity = 8 };
	int err;

	riscv_writeback(riscv, riscv->root.page, riscv->root.bytes);
	err = riscv_queue_init(riscv, desc->queue_order);
	if (!err)
		err = riscv_faults_init(riscv, desc->queue_order);
	if (err)
		return err;
	riscv_forget_all(riscv, &steps);
	err = run(riscv, &steps);
	if (err)
		return err;
	return choose_levels(riscv, desc->levels);
}

#define MAX_IDS 65536u

RARE int riscv_unit_create(const struct hitless_port *port, const struct riscv_unit_desc *desc, struct iommu_unit **result)
{
	/* 0 stands for "none" in the planner. */
	struct tag_space_size spaces[TAG_SPACES] = {
		[RISCV_SPACE_PSCID] = { .count = MAX_IDS, .first = 1 },
		[RISCV_SPACE_GSCID] = { .count = MAX_IDS, .first = 1 },
	};
	struct riscv_unit *riscv;
	int err;

	if (!port || !desc || !result || desc->queue_order > 7 || desc->levels > 3 || desc->ids > MAX_IDS ||
	    (desc->noncoherent && !port->writeback))
		return -EINVAL;
	for (unsigned i = 0; i < TAG_SPACES && desc->ids; i++)
		spaces[i].count = desc->ids < MAX_IDS ? desc->ids + 1 : MAX_IDS;
	riscv = port->alloc(port->ctx, sizeof(*riscv));
	if (!riscv)
		return -ENOMEM;
	riscv->unit.port = port;
	riscv->registers = desc->registers;
	riscv->timeout_ns = desc->timeout_ns ? desc->timeout_ns : 1000000000ull;
	err = probe(riscv);
	if (err)
		goto free;
	err = unit_init(&riscv->unit, riscv->extended ? &extended_ops : &base_ops, port, spaces);
	if (err)
		goto free;
	riscv->unit.facts = (desc->noncoherent ? IOMMU_PLAN_NONCOHERENT : 0) |
			    (desc->caches_absent ? IOMMU_PLAN_CACHES_ABSENT : 0);
	/* 2.9: the unit reads at least 64 bits at once where a hart is 64 bits wide; RISC-V has no wider store. */
	riscv->unit.quantum = 8;
	err = port->lock_init(port->ctx, &riscv->directory_lock);
	if (err) {
		unit_fini(&riscv->unit);
		goto free;
	}
	err = driver_table_init(port, &riscv->root, NULL, 0);
	if (err) {
		free_unit(riscv);
		return err;
	}
	err = enable(riscv, desc);
	if (!err) {
		*result = &riscv->unit;
		return 0;
	}
	/* If the hardware does not answer, it may still read what it was given: that is never freed. */
	riscv_destroy(&riscv->unit);
	return err;

free:
	port->free(port->ctx, riscv, sizeof(*riscv));
	return err;
}
