/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_stream.c - the stream table (3.3.1, 5.1, 6.3.24): which stream table entry a StreamID has.
 *
 * In two levels, tables of 64 entries (4 KiB) hang on a doubleword each, so that any change of an entry can be made by a swap of its
 * table. They are made when a StreamID in them is first wanted, and stay until the unit goes.
 */
#include "smmuv3_driver.h"

#define SPLIT SMMU_SPLIT_4K

static size_t at_least_a_page(size_t bytes)
{
	return bytes < HITLESS_PAGE_SIZE ? HITLESS_PAGE_SIZE : bytes;
}

/* What SIDs need; no more than the unit has (IDR1.SIDSIZE). */
static unsigned sid_bits(const struct smmuv3_unit *smmu, const struct smmuv3_unit_desc *desc)
{
	unsigned wanted = desc->sid_bits ? desc->sid_bits : 16, most = (unsigned)SMMUV3_IDR(smmu, 1, SIDSIZE);

	return wanted < most ? wanted : most;
}

int smmuv3_stream_init(struct smmuv3_unit *smmu, const struct smmuv3_unit_desc *desc)
{
	const struct hitless_port *port = smmu->unit.port;
	bool can = SMMUV3_IDR(smmu, 0, ST_LEVEL) == 1;
	uint64_t base = 0, config = 0;
	size_t bytes;
	int err;

	if (desc->stream_table == SMMUV3_STREAM_TABLE_2LEVEL && !can)
		return -EINVAL;
	smmu->sid_bits = sid_bits(smmu, desc);
	/* 3.3.1: fewer StreamIDs than a table of the second level has are in one table. */
	smmu->two_level = can && desc->stream_table != SMMUV3_STREAM_TABLE_LINEAR && smmu->sid_bits > SPLIT;
	bytes = smmu->two_level ? sizeof(uint64_t) << (smmu->sid_bits - SPLIT) : (size_t)SMMU_STE_BYTES << smmu->sid_bits;
	err = driver_table_init_sized(port, &smmu->root, NULL, 0, at_least_a_page(bytes));
	if (err)
		return err;
	err = port->lock_init(port->ctx, &smmu->stream_lock);
	if (err) {
		driver_table_fini(port, &smmu->root);
		return err;
	}
	smmuv3_writeback(smmu, smmu->root.page, smmu->root.bytes);
	SET_ADDR(SMMU_STRTAB_BASE, ADDR, &base, smmuv3_phys(smmu, smmu->root.page));
	SET(SMMU_STRTAB_BASE, RA, &base, 1);
	SET(SMMU_STRTAB_BASE_CFG, LOG2SIZE, &config, smmu->sid_bits);
	if (smmu->two_level) {
		SET(SMMU_STRTAB_BASE_CFG, SPLIT, &config, SPLIT);
		SET(SMMU_STRTAB_BASE_CFG, FMT, &config, SMMU_STRTAB_2LVL);
	}
	smmuv3_write64(smmu, SMMU_REG_STRTAB_BASE, base);
	smmuv3_write32(smmu, SMMU_REG_STRTAB_BASE_CFG, (uint32_t)config);
	return 0;
}

void smmuv3_stream_fini(struct smmuv3_unit *smmu)
{
	const struct hitless_port *port = smmu->unit.port;

	if (!smmu->root.page)
		return;
	while (smmu->streams) {
		struct smmuv3_streams *streams = smmu->streams;

		smmu->streams = streams->next;
		driver_table_fini(port, &streams->table);
		port->free(port->ctx, streams, sizeof(*streams));
	}
	driver_table_fini(port, &smmu->root);
	port->lock_destroy(port->ctx, &smmu->stream_lock);
}

/* The table is whole before it can be found; that there was none may be remembered (3.21.3). */
static int link_table(struct smmuv3_unit *smmu, struct entry_table *table, uint32_t sid)
{
	const struct hitless_port *port = smmu->unit.port;
	uint64_t *slot = (uint64_t *)((char *)smmu->root.page + table->slot);
	struct iommu_step array[4];
	struct entry_steps steps = { .v = array, .capacity = 4 };

	smmuv3_writeback(smmu, table->page, table->bytes);
	port->lock(port->ctx, &smmu->root.lock);
	port->store64(port->ctx, slot, table->pointer_bits | smmuv3_phys(smmu, table->page));
	smmuv3_writeback(smmu, slot, sizeof(*slot));
	port->unlock(port->ctx, &smmu->root.lock);
	smmuv3_forget_streams(&steps, sid, SPLIT);
	return smmuv3_run(smmu, &steps);
}

/* Under stream_lock. */
static int stream_table(struct smmuv3_unit *smmu, uint32_t sid, struct entry_table **result)
{
	const struct hitless_port *port = smmu->unit.port;
	struct smmuv3_streams *streams;
	uint64_t bits = 0;
	int err;

	for (streams = smmu->streams; streams; streams = streams->next)
		if (streams->key == sid >> SPLIT) {
			*result = &streams->table;
			return 0;
		}
	streams = port->alloc(port->ctx, sizeof(*streams));
	if (!streams)
		return -ENOMEM;
	err = driver_table_init_sized(port, &streams->table, &smmu->root, (sid >> SPLIT) * sizeof(uint64_t),
				      (size_t)SMMU_STE_BYTES << SPLIT);
	if (err) {
		port->free(port->ctx, streams, sizeof(*streams));
		return err;
	}
	SET(SMMU_L1STD, SPAN, &bits, SPLIT + 1);
	streams->table.pointer_bits = bits;
	streams->key = sid >> SPLIT;
	streams->next = smmu->streams;
	smmu->streams = streams;
	*result = &streams->table;
	return link_table(smmu, &streams->table, sid);
}

int smmuv3_stream_find(struct smmuv3_unit *smmu, uint32_t sid, struct entry_table **table, size_t *offset)
{
	const struct hitless_port *port = smmu->unit.port;
	int err;

	if (smmu->sid_bits < 32 && sid >> smmu->sid_bits)
		return -EINVAL;
	if (!smmu->two_level) {
		*table = &smmu->root;
		*offset = (size_t)sid * SMMU_STE_BYTES;
		return 0;
	}
	port->lock(port->ctx, &smmu->stream_lock);
	err = stream_table(smmu, sid, table);
	port->unlock(port->ctx, &smmu->stream_lock);
	*offset = (sid & ((1u << SPLIT) - 1)) * (size_t)SMMU_STE_BYTES;
	return err;
}
