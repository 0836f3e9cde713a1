/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * smmuv3_cd.c - tables of context descriptors (5.3, 5.4): which first-stage domain a SubstreamID has.
 *
 * Up to 64 descriptors are in one page, which hangs on the stream table entry itself; more are in two levels with leaves of 64
 * descriptors, of which the first is always there, and the others come when a SubstreamID below them is first wanted. A unit without
 * tables of two levels (IDR0.CD2L) has one table with all of them.
 */
#include "smmuv3_driver.h"

#include <string.h>

#define LEAF_BITS  SMMU_L1CD_4K_BITS
#define LEAF_BYTES ((size_t)SMMU_CD_BYTES << LEAF_BITS)

static void free_leaf(const struct hitless_port *port, struct entry_table *leaf)
{
	driver_table_fini(port, leaf);
	port->free(port->ctx, leaf, sizeof(*leaf));
}

static int make_leaf(const struct hitless_port *port, struct smmuv3_cds *cds, unsigned index, struct entry_table **result)
{
	struct entry_table *leaf = port->alloc(port->ctx, sizeof(*leaf));
	int err;

	if (!leaf)
		return -ENOMEM;
	err = driver_table_init_sized(port, leaf, &cds->root, index * sizeof(uint64_t), LEAF_BYTES);
	if (err) {
		port->free(port->ctx, leaf, sizeof(*leaf));
		return err;
	}
	*result = leaf;
	return 0;
}

static uint64_t leaf_pointer(const struct smmuv3_unit *smmu, const struct entry_table *leaf)
{
	uint64_t word = 0;

	smmuv3_cd_2level.pointer(smmuv3_phys(smmu, leaf->page), &word);
	return word;
}

/* What the STE's first word has beside the address, while the first stage is on. */
static uint64_t ste_bits(const struct smmuv3_cds *cds)
{
	uint64_t word = 0;

	SET(SMMU_STE, V, &word, 1);
	SET(SMMU_STE, CONFIG, &word, SMMU_CONFIG_S1);
	SET(SMMU_STE, S1FMT, &word, cds->two_level ? SMMU_S1FMT_4K : SMMU_S1FMT_LINEAR);
	SET(SMMU_STE, S1CDMAX, &word, cds->bits);
	return word;
}

int smmuv3_cds_init(struct smmuv3_unit *smmu, struct smmuv3_cds *cds, unsigned bits, bool grows, struct entry_table *streams,
		    size_t offset)
{
	const struct hitless_port *port = smmu->unit.port;
	size_t bytes;
	int err;

	if (grows && bits > LEAF_BITS && SMMUV3_IDR(smmu, 0, CD2L))
		bits = LEAF_BITS;
	*cds = (struct smmuv3_cds){ .bits = bits, .two_level = bits > LEAF_BITS && SMMUV3_IDR(smmu, 0, CD2L) };
	bytes = cds->two_level ? sizeof(uint64_t) << (bits - LEAF_BITS) : (size_t)SMMU_CD_BYTES << bits;
	if (bytes < HITLESS_PAGE_SIZE)
		bytes = HITLESS_PAGE_SIZE;
	err = driver_table_init_sized(port, &cds->root, streams, offset, bytes);
	if (err)
		return err;
	cds->root.pointer_bits = ste_bits(cds);
	smmuv3_writeback(smmu, cds->root.page, bytes);
	if (!cds->two_level)
		return 0;
	cds->nleaves = 1u << (bits - LEAF_BITS);
	cds->leaves = port->alloc(port->ctx, cds->nleaves * sizeof(*cds->leaves));
	err = cds->leaves ? make_leaf(port, cds, 0, &cds->leaves[0]) : -ENOMEM;
	if (err) {
		smmuv3_cds_fini(smmu, cds);
		return err;
	}
	cds->there = 1;
	/* No stream table entry points here yet. */
	*(uint64_t *)cds->root.page = leaf_pointer(smmu, cds->leaves[0]);
	smmuv3_writeback(smmu, cds->root.page, sizeof(uint64_t));
	smmuv3_writeback(smmu, cds->leaves[0]->page, LEAF_BYTES);
	return 0;
}

void smmuv3_cds_fini(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds)
{
	const struct hitless_port *port = smmu->unit.port;

	for (unsigned i = 0; cds->leaves && i < cds->nleaves; i++)
		if (cds->leaves[i])
			free_leaf(port, cds->leaves[i]);
	if (cds->leaves)
		port->free(port->ctx, cds->leaves, cds->nleaves * sizeof(*cds->leaves));
	cds->leaves = NULL;
	driver_table_fini(port, &cds->root);
}

int smmuv3_cds_find(const struct smmuv3_cds *cds, uint32_t ssid, struct entry_table **table, size_t *offset,
		    const struct entry_format **format)
{
	*offset = (size_t)ssid * SMMU_CD_BYTES;
	if (cds->reserved.leaf && cds->reserved.number == ssid >> LEAF_BITS) {
		*offset %= LEAF_BYTES;
		*table = cds->reserved.leaf;
		*format = &smmuv3_cd_2level;
		return 0;
	}
	if (ssid >> cds->bits)
		return -ERANGE;
	*table = (struct entry_table *)&cds->root;
	*format = &smmuv3_cd;
	if (!cds->two_level)
		return 0;
	*offset %= LEAF_BYTES;
	*table = cds->leaves[ssid >> LEAF_BITS];
	*format = &smmuv3_cd_2level;
	return *table ? 0 : -ENOENT;
}

/* ---- Growth ---- */

/* Two levels for all descriptors that the device can have. The linear table has LEAF_BYTES, as every leaf. */
static int reserve_levels(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds, unsigned bits)
{
	const struct hitless_port *port = smmu->unit.port;
	size_t bytes = sizeof(uint64_t) << (bits - LEAF_BITS);
	int err;

	cds->reserved.bits = bits;
	cds->reserved.root_bytes = bytes < HITLESS_PAGE_SIZE ? HITLESS_PAGE_SIZE : bytes;
	cds->reserved.root = port->alloc_pages(port->ctx, cds->reserved.root_bytes);
	cds->reserved.leaves = port->alloc(port->ctx, sizeof(*cds->leaves) << (bits - LEAF_BITS));
	if (!cds->reserved.root || !cds->reserved.leaves)
		return -ENOMEM;
	cds->reserved.first = port->alloc(port->ctx, sizeof(*cds->reserved.first));
	if (!cds->reserved.first)
		return -ENOMEM;
	err = port->lock_init(port->ctx, &cds->reserved.first->lock);
	if (err) {
		port->free(port->ctx, cds->reserved.first, sizeof(*cds->reserved.first));
		cds->reserved.first = NULL;
	}
	return err;
}

void smmuv3_cds_unreserve(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds)
{
	const struct hitless_port *port = smmu->unit.port;

	if (cds->reserved.root)
		port->free_pages(port->ctx, cds->reserved.root, cds->reserved.root_bytes);
	if (cds->reserved.leaves)
		port->free(port->ctx, cds->reserved.leaves, sizeof(*cds->leaves) << (cds->reserved.bits - LEAF_BITS));
	if (cds->reserved.first) {
		port->lock_destroy(port->ctx, &cds->reserved.first->lock);
		port->free(port->ctx, cds->reserved.first, sizeof(*cds->reserved.first));
	}
	if (cds->reserved.leaf)
		free_leaf(port, cds->reserved.leaf);
	memset(&cds->reserved, 0, sizeof(cds->reserved));
}

int smmuv3_cds_reserve(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds, uint32_t ssid, unsigned bits)
{
	unsigned number = ssid >> LEAF_BITS;
	int err = 0;

	if (ssid >> cds->bits)
		err = reserve_levels(smmu, cds, bits);
	if (!err && (cds->reserved.bits ? number != 0 : cds->two_level && !cds->leaves[number])) {
		cds->reserved.number = number;
		err = make_leaf(smmu->unit.port, cds, number, &cds->reserved.leaf);
	}
	if (err)
		smmuv3_cds_unreserve(smmu, cds);
	return err;
}

void smmuv3_cds_grow(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds)
{
	struct entry_table *first = cds->reserved.first;

	if (!cds->reserved.bits)
		return;
	first->page = cds->root.page;
	first->bytes = cds->root.bytes;
	first->parent = &cds->root;
	first->slot = 0;
	*(uint64_t *)cds->reserved.root = leaf_pointer(smmu, first);
	smmuv3_writeback(smmu, cds->reserved.root, cds->reserved.root_bytes);
	cds->root.page = cds->reserved.root;
	cds->root.bytes = cds->reserved.root_bytes;
	cds->leaves = cds->reserved.leaves;
	cds->leaves[0] = first;
	cds->bits = cds->reserved.bits;
	cds->nleaves = 1u << (cds->bits - LEAF_BITS);
	cds->there = 1;
	cds->two_level = true;
	cds->root.pointer_bits = ste_bits(cds);
	cds->reserved.root = NULL;
	cds->reserved.leaves = NULL;
	cds->reserved.first = NULL;
	cds->reserved.bits = 0;
}

bool smmuv3_cds_build(const struct smmuv3_unit *smmu, struct smmuv3_cds *cds)
{
	const struct hitless_port *port = smmu->unit.port;
	struct entry_table *leaf = cds->reserved.leaf;
	char *live;

	if (!leaf)
		return false;
	smmuv3_writeback(smmu, leaf->page, leaf->bytes);
	port->lock(port->ctx, &cds->root.lock);
	live = (char *)cds->root.page + leaf->slot;
	port->store64(port->ctx, live, leaf_pointer(smmu, leaf));
	smmuv3_writeback(smmu, live, sizeof(uint64_t));
	port->unlock(port->ctx, &cds->root.lock);
	cds->leaves[cds->reserved.number] = leaf;
	cds->there++;
	cds->reserved.leaf = NULL;
	return true;
}

void smmuv3_cds_point(const struct smmuv3_unit *smmu, const struct smmuv3_cds *cds, uint64_t *ste)
{
	SET(SMMU_STE, S1FMT, ste, cds->two_level ? SMMU_S1FMT_4K : SMMU_S1FMT_LINEAR);
	SET(SMMU_STE, S1CDMAX, ste, cds->bits);
	SET_ADDR(SMMU_STE, S1CONTEXTPTR, ste, smmuv3_phys(smmu, cds->root.page));
}

/*
 * HA and HD are set wherever the unit has them, so that a replacement never has to change them: they set flags only in tables that were
 * made for it (`dirty`), the others have all flags set. A: what is terminated is aborted, not read as zeros. The upper half of
 * addresses (TTB1) is not walked.
 */
void smmuv3_make_cd(const struct smmuv3_unit *smmu, const struct iommu_domain *domain, uint32_t asid, uint64_t *cd)
{
	static const unsigned granules[] = { [12] = SMMU_TG0_4K, [14] = SMMU_TG0_16K, [16] = SMMU_TG0_64K };
	const struct iommu_pgtable_config *config = &domain->pgtable.config;
	bool snoops = !smmuv3_noncoherent(smmu);
	uint64_t mair = (uint64_t)LPAE_MAIR_WB << 8 * LPAE_ATTR_WB | (uint64_t)LPAE_MAIR_NC << 8 * LPAE_ATTR_NC |
			(uint64_t)LPAE_MAIR_DEVICE_NGNRE << 8 * LPAE_ATTR_DEVICE;

	SET(SMMU_CD, V, cd, 1);
	SET(SMMU_CD, AA64, cd, 1);
	SET(SMMU_CD, T0SZ, cd, 64 - (domain->type == IOMMU_DOMAIN_EXTERNAL ? SMMUV3_EXTERNAL_BITS : config->input_bits));
	SET(SMMU_CD, TG0, cd, granules[smmu->page_shift]);
	SET(SMMU_CD, IR0, cd, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_CD, OR0, cd, snoops ? SMMU_CACHE_WB : SMMU_CACHE_NC);
	SET(SMMU_CD, SH0, cd, snoops ? SMMU_SH_INNER : SMMU_SH_OUTER);
	SET(SMMU_CD, EPD1, cd, 1);
	SET(SMMU_CD, IPS, cd, smmuv3_output_size(smmu));
	SET(SMMU_CD, HA, cd, smmuv3_has_dirty(smmu));
	SET(SMMU_CD, HD, cd, smmuv3_has_dirty(smmu));
	SET(SMMU_CD, R, cd, 1);
	SET(SMMU_CD, A, cd, 1);
	SET(SMMU_CD, ASET, cd, 1);
	SET(SMMU_CD, ASID, cd, asid);
	SET(SMMU_CD, TTB0, cd, domain_root(domain) >> 4);
	SET(SMMU_CD, MAIR0, cd, mair);
	SET(SMMU_CD, MAIR1, cd, mair >> 32);
}
