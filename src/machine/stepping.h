/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * stepping.h - replace step by step: a DMA of every device before, between every two steps of the driver, and after.
 *
 * On a machine where nothing runs by itself (QEMU under qtest) a switch is a sequence of points: before the call; before each step
 * of the plan; after every single command that the unit has carried out; after the return. At each point every device reads and writes
 * pages of the window, and each of those DMAs must have met the old or the new object; before the call only the old, after the return
 * only the new one. No threads, no time: two runs see the same.
 *
 * Everything is done with warm caches (whatever the DMAs before have left there) and with cold ones (emptied at every point): a warm cache
 * hides a torn update of an entry, a cold one hides a missing invalidation.
 */
#ifndef MACHINE_STEPPING_H
#define MACHINE_STEPPING_H

#include "live.h"
#include "qemu.h"

#define STEPPING_MAX_POINTS 96
#define STEPPING_LABEL 48

struct stepping_config {
	const struct machine_arch *arch;
	const struct qemu_board *board;
	struct live_kind kind[2];	/* from, to */
	enum live_method method;	/* replace, or attach-detach */
	bool shared;			/* each side has one object, and devices of another group in it */
	bool quantum64;
	unsigned pasid_bits;		/* the devices may have PASIDs of that width; none has */
	unsigned rounds;		/* switches in each direction, with either temperature; 0: 2 */
	struct iommu_replace_options options;
	uint64_t seed;
	void (*review)(void *ctx, struct iommu_plan *plan);
	void *review_ctx;
};

/* One point of the first switch in a direction, and what the DMAs there met: [0] warm, [1] cold. */
struct stepping_point {
	char label[STEPPING_LABEL];
	struct live_counts dma[2];
};

struct stepping_result {
	struct live_counts dma;
	unsigned switches;
	bool hitless;
	enum iommu_strategy strategy;
	const char *why;
	struct iommu_cost cost;
	unsigned requesters;
	unsigned faults;		/* that the unit reported, through the driver */
	struct stepping_point points[STEPPING_MAX_POINTS];
	unsigned npoints;
	char seen[256];			/* the first violation, in words; "": none */
};

/*
 * Runs it all: direction 0 from -> to (and all, if both kinds are the same), 1 to -> from. -EINVAL: the unit lacks a kind;
 * -EOPNOTSUPP: a kind's variant, or replace can't do it with these options; -ENOENT, -ENOPROTOOPT: there is no suitable QEMU; -EIO: it is
 * gone, or its unit no longer answers; -ENOTRECOVERABLE: something was not given back.
 */
int stepping_run(const struct stepping_config *config, struct stepping_result results[2]);

#endif
