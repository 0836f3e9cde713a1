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

/* ---- Of a domain ---- */

/* 0: it has no guest tables in use. */
static unsigned guest_levels(const struct iommu_domain *domain)
{
	if (domain_is_nested(domain))
		return amdvi_guest_levels(domain->guest);
	return domain_has_table(domain) && domain->stage == 1 ? domain_levels(domain) : 0;
}

/* Can the unit take its tables for those of the other kind? An external root's are only what they are. */
static bool has_other_kind(const struct amdvi_unit *amdvi, const struct iommu_domain *domain)
{
	if (domain->type != IOMMU_DOMAIN_PAGING || !domain->driver_data)
		return false;
	return domain->stage == 1 ? domain_levels(domain) <= amdvi_max_host_levels(amdvi) : amdvi_has_guest(amdvi, domain_levels(domain));
}

static void make_other_kind(const struct amdvi_unit *amdvi, const struct iommu_domain *domain, const uint64_t *entry, uint64_t *other)
{
	const struct amdvi_gcr3 *gcr3 = domain->driver_data;

	amdvi_dte_other_kind(entry, domain_root(domain), domain_levels(domain), amdvi_phys(amdvi, gcr3->root), other);
}

static bool behind(const struct iommu_domain *nested, const struct iommu_domain *parent)
{
	return domain_is_nested(nested) && nested->parent == parent;
}

/*
 * With 128-bit stores only between guest tables of different depth, because both halves of the DTE change then. While the DTE says that
 * the old ones are host tables, nobody looks at GuestPagingMode.
 */
bool amdvi_has_standin(const struct iommu_unit *unit, const struct iommu_domain *old, const struct iommu_domain *new)
{
	const struct amdvi_unit *amdvi = to_amdvi_const(unit);
	unsigned from = guest_levels(old), to = guest_levels(new);

	if (unit->quantum == 16)
		return from && to && from != to && has_other_kind(amdvi, old);
	if (domain_is_nested(old) || domain_is_nested(new))
		return behind(old, new) || behind(new, old);
	return !from != !to || has_other_kind(amdvi, old) || has_other_kind(amdvi, new);
}

/* May requests with PASID come beside the domain's, so that the DTE leads to what the device has for them? */
static bool makes_room_for_pasids(const struct iommu_device *device, const struct iommu_domain *domain)
{
	return device->pasid_bits && amdvi_rid_mode(domain) != AMDVI_RID_ALONE;
}

void amdvi_make_standins(struct iommu_unit *unit, const struct iommu_device *device, const struct iommu_domain *old,
			 const struct iommu_domain *new, uint32_t tag, struct entry_change *change)
{
	const struct amdvi_unit *amdvi = to_amdvi_const(unit);
	struct iommu_plan_request *request = &change->request;
	uint64_t old_other[IOMMU_ENTRY_WORDS], new_other[IOMMU_ENTRY_WORDS];
	bool has_old = has_other_kind(amdvi, old), has_new = has_other_kind(amdvi, new);

	if (has_old)
		make_other_kind(amdvi, old, change->before, old_other);
	if (has_new)
		make_other_kind(amdvi, new, change->after, new_other);
	if (unit->quantum == 16) {
		if (!tag)
			return;
		memcpy(change->standins[0], old_other, sizeof(old_other));
		SET(AMDVI_DTE, DOMAIN_ID, change->standins[0], tag);
		request->standin[0] = change->standins[0];
		return;
	}
	if (makes_room_for_pasids(device, old) || makes_room_for_pasids(device, new))
		return;
	request->nchain = amdvi_dte_chain(change->before, change->after, has_old ? old_other : NULL, has_new ? new_other : NULL, tag,
					  change->standins);
	for (unsigned i = 0; i < request->nchain; i++)
		request->chain[i] = change->standins[i];
}
