/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Page tables ---- */

void xp_map(struct xp_builder *b, const struct xp_format *format, uint64_t root, uint64_t iova, uint64_t phys, unsigned level,
	    bool write)
{
	uint64_t *entry, table = root;

	for (unsigned l = format->levels;; l--) {
		unsigned bits = l == format->levels ? format->top_bits : 9;

		entry = &b->ram[table / 8 + (iova >> (12 + 9 * (l - 1)) & layout_mask(bits))];
		if (l == level)
			break;
		if (!*entry)
			*entry = format->table(b->next++ * XP_PAGE + b->offset, l);
		table = format->address(*entry) - b->offset;
	}
	*entry = format->page(phys, level, write);
}

void xp_map_three(struct xp_builder *b, const struct xp_format *format, uint64_t root, uint64_t small, uint64_t large, bool odd)
{
	xp_map(b, format, root, XP_IOVA_SMALL, small, 1, true);
	xp_map(b, format, root, XP_IOVA_RIGHTS, small + 0x1000, 1, odd);
	xp_map(b, format, root, XP_IOVA_LARGE, large, odd ? 2 : 1, true);
}

void xp_map_host(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n)
{
	xp_map_three(b, format, root, xp_data(n, false), xp_data(n, false) + 0x200000, n & 1);
}

void xp_map_parent(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n)
{
	/* By small pages: a large one would be found by a walk that counts the levels wrong, too. */
	for (unsigned page = 0; page < 512; page++)
		xp_map(b, format, root, page * XP_PAGE, page * XP_PAGE, 1, true);
	for (unsigned page = 0; page < 8; page++)
		xp_map(b, format, root, XP_GPA_SMALL + page * XP_PAGE, xp_data(n, true) + page * XP_PAGE, 1, !(n == 1 && page == 3));
	for (unsigned page = 0; page < 4; page++)
		xp_map(b, format, root, XP_GPA_LARGE + page * 0x200000ull, xp_data(n, true) + (page + 1) * 0x200000ull, 2, true);
}

void xp_map_guest(struct xp_builder *b, const struct xp_format *format, uint64_t root, unsigned n)
{
	xp_map_three(b, format, root, XP_GPA_SMALL + n * 0x2000, XP_GPA_LARGE + n * 0x200000, n & 1);
}

/* ---- The machine ---- */

struct iommu_model_config xp_config(unsigned freedoms, unsigned quantum)
{
	return (struct iommu_model_config){
		.freedoms = freedoms,
		.quantum = quantum,
		.lanes = 1,
		.entry_lines = 64, /* an entry in pieces is cached in as many mixtures */
		.pasid_lines = 16,
		.walk_lines = 64,
		.iotlb_lines = 64,
		.devtlb_lines = 32,
		.maysets = true,
	};
}

int xp_setup(const struct hitless_cell *cell, struct xp_case *c, const struct iommu_model_ops *ops, unsigned pages)
{
	memset(c, 0, sizeof(*c));
	c->ops = ops;
	c->pages = pages;
	c->ram = aligned_alloc(XP_PAGE, pages * XP_PAGE);
	if (!c->ram)
		return -ENOMEM;
	memset(c->ram, 0, pages * XP_PAGE);
	c->config = xp_config(cell->freedoms, cell->quantum);
	c->noncoherent = cell->facts & IOMMU_PLAN_NONCOHERENT;
	return 0;
}

void xp_put(struct xp_case *c, uint64_t addr, const uint64_t *words, unsigned nwords)
{
	memcpy(&c->ram[addr / 8], words, nwords * 8);
}

void xp_ticks(struct iommu_model *model)
{
	while (iommu_model_tick(model))
		;
}

static void actor(struct xp_case *c, enum xp_role role, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access,
		  enum iommu_request_kind kind)
{
	if (c->nactors < XP_MAX_ACTORS)
		c->actors[c->nactors++] = (struct xp_actor){ role, rid, pasid, iova, (uint8_t)access, (uint8_t)kind };
}

void xp_actors(const struct hitless_cell *cell, struct xp_case *c, uint32_t pasid, uint32_t sibling_rid, uint32_t sibling_pasid,
	       bool bystanders)
{
	for (unsigned access = IOMMU_READ; access <= IOMMU_WRITE; access++) {
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, access, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, access, IOMMU_REQUEST_UNTRANSLATED);
	}
	actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_LARGE, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
	if (cell->facts & IOMMU_PLAN_ATS) {
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_TRANSLATION);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_TRANSLATED);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_TRANSLATION);
		actor(c, XP_DEVICE, XP_RID_DEVICE, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_TRANSLATED);
	}
	if (bystanders && !(cell->facts & IOMMU_PLAN_OLD_PRIVATE)) {
		actor(c, XP_OLD, XP_RID_OLD, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_OLD, XP_RID_OLD, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	if (bystanders && !(cell->facts & IOMMU_PLAN_NEW_PRIVATE)) {
		actor(c, XP_NEW, XP_RID_NEW, pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
		actor(c, XP_NEW, XP_RID_NEW, pasid, XP_IOVA_RIGHTS, IOMMU_WRITE, IOMMU_REQUEST_UNTRANSLATED);
	}
	actor(c, XP_SIBLING, sibling_rid, sibling_pasid, XP_IOVA_SMALL, IOMMU_READ, IOMMU_REQUEST_UNTRANSLATED);
}

/* ---- Text ---- */

void xp_changes(const struct layout_field *fields, unsigned nfields, const uint64_t *old, const uint64_t *new, unsigned first,
		unsigned count, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < nfields && used < size; i++) {
		const struct layout_field *f = &fields[i];
		uint64_t a = layout_get(old, f->lsb, f->width), b = layout_get(new, f->lsb, f->width);
		unsigned shift = f->width >= 40 ? f->lsb % 64 : 0;

		if (a == b || f->lsb / 64 < first || f->lsb / 64 >= first + count)
			continue;
		used += (size_t)snprintf(text + used, size - used, a < 10 && b < 10 ? "%s%s %llu -> %llu" : "%s%s 0x%llx -> 0x%llx",
					 used ? ", " : "", f->name, (unsigned long long)(a << shift), (unsigned long long)(b << shift));
	}
	if (!used)
		snprintf(text, size, "nothing changes");
}
