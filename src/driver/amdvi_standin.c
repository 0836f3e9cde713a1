/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * amdvi_standin.c - the way of a device table entry with 64-bit stores.
 *
 * The first word of a DTE says which tables (Mode, host root, GV, the lowest bits of the GCR3 table's address), the second one whose
 * (DomainID). A change of domain is a change of both, and two tables must not be live under one DomainID. But the host's side and the
 * guest's side of a DomainID are apart (dte_share_tag()), and while GV is 0, the GCR3 address in the second word and GuestPagingMode in
 * the third can be written. So from host tables a (DomainID 2) to guest tables b (DomainID 5), with a DomainID t that nobody else has:
 *
 *	host a, 2  ->  host a, t  ->  guest b, t  ->  guest b, 5
 *	     second word    first word     second word
 *
 * and from guest tables to host tables the same way back. Between two entries of one kind, the tables of one of them must be there in the
 * other kind too: guest tables of ours are host tables as well (fmt_amdv2.h). Then it takes one store more, of the first word, before or
 * after.
 *
 * A nested entry has both sides in use. Its neighbours under its DomainID are others with the same host tables, and under another DomainID
 * nested ones whose first word is the same. Of all these only its parent's own tables are a domain that it may be replaced by.
 */
#include "amdvi_driver.h"

#include <string.h>

static uint32_t did(const uint64_t *entry)
{
	return (uint32_t)GET(AMDVI_DTE, DOMAIN_ID, entry);
}

static void add(uint64_t (*chain)[IOMMU_ENTRY_WORDS], unsigned *n, const uint64_t *entry, uint32_t tag)
{
	memcpy(chain[*n], entry, 4 * sizeof(*entry));
	SET(AMDVI_DTE, DOMAIN_ID, chain[*n], tag);
	(*n)++;
}

/* Is it what the nested one's host tables are, alone? */
static bool is_parent(const uint64_t *entry, const uint64_t *nested)
{
	return amdvi_dte_mode(entry) == AMDVI_DTE_MODE_V1 && GET(AMDVI_DTE, MODE, entry) == GET(AMDVI_DTE, MODE, nested) &&
	       GET(AMDVI_DTE, HOST_PT_ROOT, entry) == GET(AMDVI_DTE, HOST_PT_ROOT, nested);
}

static unsigned nested_chain(const uint64_t *before, const uint64_t *after, uint64_t (*chain)[IOMMU_ENTRY_WORDS])
{
	unsigned n = 0;

	if (is_parent(after, before))
		add(chain, &n, after, did(before));
	else if (is_parent(before, after))
		add(chain, &n, before, did(after));
	return n;
}

unsigned amdvi_dte_chain(const uint64_t *before, const uint64_t *after, const uint64_t *before_other, const uint64_t *after_other,
			 uint32_t temporary_tag, uint64_t (*chain)[IOMMU_ENTRY_WORDS])
{
	bool same_kind = GET(AMDVI_DTE, GV, before) == GET(AMDVI_DTE, GV, after);
	unsigned n = 0;

	if (!GET(AMDVI_DTE, TV, before) || !GET(AMDVI_DTE, TV, after))
		return 0;
	if (amdvi_dte_mode(before) == AMDVI_DTE_MODE_NESTED || amdvi_dte_mode(after) == AMDVI_DTE_MODE_NESTED)
		return nested_chain(before, after, chain);
	if (!temporary_tag || (same_kind && !before_other && !after_other))
		return 0;
	if (same_kind && before_other) {
		add(chain, &n, before_other, did(before));
		add(chain, &n, before_other, temporary_tag);
		add(chain, &n, after, temporary_tag);
		return n;
	}
	add(chain, &n, before, temporary_tag);
	add(chain, &n, same_kind ? after_other : after, temporary_tag);
	if (same_kind)
		add(chain, &n, after_other, did(after));
	return n;
}

void amdvi_dte_other_kind(const uint64_t *entry, uint64_t root, unsigned levels, uint64_t gcr3, uint64_t *other)
{
	memcpy(other, entry, 4 * sizeof(*entry));
	if (GET(AMDVI_DTE, GV, entry)) {
		SET(AMDVI_DTE, GV, other, 0);
		SET(AMDVI_DTE, GIOV, other, 0);
		SET(AMDVI_DTE, GLX, other, 0);
		SET(AMDVI_DTE, GUEST_PAGING_MODE, other, 0);
		amdvi_dte_set_gcr3(other, 0);
		SET(AMDVI_DTE, MODE, other, levels);
		SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, other, root);
		return;
	}
	SET(AMDVI_DTE, MODE, other, 0);
	SET_ADDR(AMDVI_DTE, HOST_PT_ROOT, other, 0);
	SET(AMDVI_DTE, HAD, other, 0);
	SET(AMDVI_DTE, GV, other, 1);
	SET(AMDVI_DTE, GIOV, other, 1);
	SET(AMDVI_DTE, GLX, other, AMDVI_GLX_1_LEVEL);
	SET(AMDVI_DTE, GUEST_PAGING_MODE, other, levels == 5 ? AMDVI_GPM_5_LEVEL : AMDVI_GPM_4_LEVEL);
	amdvi_dte_set_gcr3(other, gcr3);
}
