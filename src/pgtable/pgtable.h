/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pgtable.h - IOMMU page tables: what every format offers to the domain that owns it.
 *
 * A format is one small header of `static inline` functions, included into the engine (pt_engine.h)
 * as a template; one .c file per format makes the struct iommu_pgtable_ops below. Entries are read
 * and written with single-copy atomic 64-bit accesses, in an order that a walker may watch: a table
 * is complete before the entry that points to it is stored.
 *
 * Locking: the caller excludes map, unmap, dirty and destroy of one table from each other.
 * iova_to_phys too.
 */
#ifndef PGTABLE_H
#define PGTABLE_H

#include <hitless/port.h>
#include <hitless/types.h>

struct iommu_pgtable_ops;

struct iommu_pgtable_config {
	const struct hitless_port *port;
	unsigned levels;	/* of the table, as the format counts them */
	unsigned input_bits;	/* width of an IOVA, where the levels don't say it (Arm); else 0 */
	unsigned max_levels;	/* how many it may grow to (see grow); 0: it does not grow. Only AMD's host tables do */
	unsigned max_page_shift;/* largest leaf: 12, 21, 30, ... */
	unsigned output_bits;	/* width of a physical address */
	bool noncoherent;	/* walks don't snoop: write back every store */
	bool dirty;		/* hardware sets accessed and dirty flags */
	bool contiguous;	/* neighbouring leaves may form groups (pt_engine.h); not together with dirty */
	bool memory_types;	/* leaves may say what kind of memory they map: IOMMU_MMIO is heeded, and else ignored */
	bool no_split;		/* hardware must not meet a large leaf and the small ones that replace it */
	bool mark_split;	/* it may, if the large one was marked, and what was cached of it forgotten: see unmap */
};

/*
 * What an unmap has taken out of the table and what must happen before it may be reused: the IOMMU
 * forgets [first, last], and if tables are on the free list it forgets its paging-structure caches
 * too; then iommu_gather_free(). The list is threaded through the pages themselves: the first word
 * of each is the physical address of the next, which in every format is an entry that is not
 * present, so that a walker that is still in the page finds nothing.
 */
struct iommu_gather {
	uint64_t first, last;	/* first > last: nothing */
	unsigned leaf_shift;	/* smallest leaf that was removed */
	uint64_t free_list;	/* physical address of the first table, 0: none */
	unsigned tables;	/* how many are on it */
	void *old_root;		/* of a grow: to be freed too, once nothing walks it; NULL: none */
};

#define IOMMU_GATHER_INIT { .first = UINT64_MAX }

struct iommu_pgtable {
	const struct iommu_pgtable_ops *ops;
	struct iommu_pgtable_config config;
	void *root;
	uint64_t last;		/* IOVAs up to here can be mapped */
	uint64_t grow_last;	/* the last after growing; 0: it can't grow any more */
	size_t table_bytes;	/* memory in tables that are linked, the root included */

	/* The engine's own: what map was asked for last, as bits of a leaf; the last physical address; */
	unsigned prot;
	uint64_t attributes;
	uint64_t phys_last;
	/* where it was last (key 0: nowhere); the table that became empty last, which stays linked (NULL: none), and those that did so
	 * earlier: see iommu_pgtable_retired(). */
	struct {
		uint64_t key;
		uint64_t *table;
	} near;
	/* the same for the last large leaf (its key is of its own), with the entry that leads to its table; */
	struct {
		uint64_t size, key;
		unsigned level, shift;
		uint64_t *table, *through;
	} large;
	/* how many entries the tables have that near.table's entries point to, plus 1, where a format has no room for that in the entries; in the
	 * upper half since which generation of `near` (NULL: no memory for it); */
	uint32_t *numbers;
	uint16_t generation;
	struct {
		uint64_t iova;
		unsigned level;
		uint64_t *table, *through;
	} idle;
	struct iommu_gather retired;
};

/*
 * Gives the gathered tables back to the port, and empties the gather. Only after the invalidation
 * has completed; needs no lock.
 */
void iommu_gather_free(struct iommu_pgtable *pt, struct iommu_gather *gather);

/*
 * An unmap that empties a table leaves it linked, in case that it is used again at once; but only one. The one that was left
 * so far is taken out, by unmap, or by a map that needs its place. True: there are such; then `gather`, which the
 * caller has initialised, has them, and the IOMMU must forget its paging-structure caches for the range before
 * iommu_gather_free(), and before a map has returned. With the lock of map and unmap; after either.
 */
static inline bool iommu_pgtable_retired(struct iommu_pgtable *pt, struct iommu_gather *gather)
{
	if (!pt->retired.tables)
		return false;
	*gather = pt->retired;
	pt->retired = (struct iommu_gather)IOMMU_GATHER_INIT;
	return true;
}

struct iommu_pgtable_ops {
	const char *name;	/* "vtd-ss", "vtd-fs", ... */
	size_t table_bytes;	/* size of every table but the root */

	/*
	 * Sets up an empty table; config is copied. -ENOMEM. -EINVAL: levels or sizes that the
	 * format lacks; noncoherent without a port that can write back, or together with dirty (the
	 * CPU's cache and the hardware would overwrite each other).
	 */
	int (*init)(struct iommu_pgtable *pt, const struct iommu_pgtable_config *config);
	/* Frees every table. The hardware must have forgotten all of them. */
	void (*destroy)(struct iommu_pgtable *pt);
	/*
	 * Puts a level on top, on trial: *grown is the table with a new root whose first entry points to the old root. Both
	 * map the same, so that hardware may walk either. The caller then either copies *grown over *pt, and frees what
	 * `gather` has (an old root that was empty) once nothing walks the old root; or calls ungrow, and nothing has changed.
	 * Nothing else may be done to the table in between. -ERANGE: config.max_levels; -ENOMEM. NULL where grow_last is always 0.
	 */
	int (*grow)(const struct iommu_pgtable *pt, struct iommu_pgtable *grown, struct iommu_gather *gather);
	void (*ungrow)(struct iommu_pgtable *grown);
	/* Physical address of the root table. */
	uint64_t (*root_phys)(const struct iommu_pgtable *pt);

	/*
	 * Maps with the largest leaves that alignment and config allow; `prot` may have IOMMU_MMIO. All or nothing. -EINVAL:
	 * not a multiple of the smallest page, no size, rights that the format can't give; -ERANGE; -EEXIST;
	 * -ENOMEM.
	 */
	int (*map)(struct iommu_pgtable *pt, uint64_t iova, uint64_t phys, uint64_t size, unsigned prot);

	/*
	 * Removes whatever is mapped in the range, splits large leaves that are partly in it, takes
	 * out tables that have become empty (but see iommu_pgtable_retired()). Returns bytes removed; -EINVAL, -ERANGE; -ENOMEM: a
	 * split found no memory, nothing changed; -EOPNOTSUPP: a large leaf is partly in the range, and
	 * config.no_split: nothing changed; -EAGAIN, only with config.mark_split: a large leaf had to be marked,
	 * and says the same as before: when the hardware has forgotten what `gather` has, unmap again.
	 * `gather` collects; it is initialised by the
	 * caller. The range to invalidate covers split leaves whole. Dirty flags of what is removed
	 * are gone with it: read them before; a leaf that is split passes its flags on to what
	 * remains.
	 */
	int64_t (*unmap)(struct iommu_pgtable *pt, uint64_t iova, uint64_t size, struct iommu_gather *gather);

	/* 0 and *phys, or -ENOENT. *rights, if not NULL: IOMMU_READ... of the leaf. */
	int (*iova_to_phys)(struct iommu_pgtable *pt, uint64_t iova, uint64_t *phys, unsigned *rights);

	/*
	 * Calls report(ctx, iova, size) for every leaf in the range whose dirty flag is set, with
	 * the leaf's range, and clears the flag atomically. The range to invalidate afterwards is
	 * added to `gather`. -EOPNOTSUPP: config.dirty is off.
	 */
	int (*read_and_clear_dirty)(struct iommu_pgtable *pt, uint64_t iova, uint64_t size, struct iommu_gather *gather,
				    void (*report)(void *ctx, uint64_t iova, uint64_t size), void *ctx);
};

/* VT-d second stage (section 9.8): 3, 4 or 5 levels. */
extern const struct iommu_pgtable_ops iommu_pgtable_vtd_ss;
/*
 * VT-d first stage (section 9.7, the format of x86-64 CPUs): 4 or 5 levels; IOVAs of the lower,
 * canonical half.
 */
extern const struct iommu_pgtable_ops iommu_pgtable_vtd_fs;
/* AMD host tables, "v1" (section 2.2.3): 1 to 6 levels, and may grow. */
extern const struct iommu_pgtable_ops iommu_pgtable_amdv1;
/* AMD guest tables, "v2" (section 2.2.6.4, the format of x86-64 CPUs): 4 or 5 levels; IOVAs of the lower half. */
extern const struct iommu_pgtable_ops iommu_pgtable_amdv2;

/* RISC-V first stage (Sv39, Sv48, Sv57): 3, 4 or 5 levels; IOVAs of the lower half. */
extern const struct iommu_pgtable_ops iommu_pgtable_riscv_s;
/* RISC-V second stage (Sv39x4, Sv48x4, Sv57x4): 3, 4 or 5 levels, a root table of 16 KiB. */
extern const struct iommu_pgtable_ops iommu_pgtable_riscv_g;

/*
 * Arm (VMSAv8-64): stage 1 and stage 2, with pages of 4, 16 and 64 KiB. input_bits is 36 to 48 (64 KiB: to 52, and so is
 * output_bits), `levels` is lpae_levels() of it. A root of stage 2 may be up to 16 tables side by side. IOVAs of the lower half
 * (TTB0).
 */
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s1_4k;
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s1_16k;
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s1_64k;
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s2_4k;
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s2_16k;
extern const struct iommu_pgtable_ops iommu_pgtable_lpae_s2_64k;

#endif
