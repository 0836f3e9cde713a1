/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * driver.h - libhitless itself, core and driver, on a small machine with the model as its unit; every step that it takes is
 * written down.
 *
 * One thread, and no time passes but while the driver polls: then the unit does all that it has to do. All memory is handed out
 * in order and never again, so the same calls always give the same addresses, and the same steps.
 */
#ifndef EXPLORE_DRIVER_H
#define EXPLORE_DRIVER_H

#include "arch.h"

#define XP_HEAP_BYTES (1u << 20)
#define XP_MAX_LOCKS 64u
#define XP_MAX_FUNCTIONS 8u

struct xp_host {
	const struct xp_arch *arch;
	struct hitless_port port;
	struct iommu_model_port model_port;
	struct iommu_model_config config;
	bool noncoherent;
	struct iommu_model model;
	size_t state_bytes;
	uint64_t *ram, *shadow;		/* shadow: as it was at the port's last call, but for what the unit has written */
	unsigned pages, live_pages;	/* handed out, some for alignment only; allocated now */
	char *heap;
	size_t heap_used, heap_live;
	struct xp_queue queue;		/* `first`: the next free slot */
	bool queue_known;
	/* Locks by number, in the order in which they came to be. */
	const struct hitless_lock *locks[XP_MAX_LOCKS];
	bool held[XP_MAX_LOCKS];
	unsigned nlocks, last_lock;
	bool deadlock;			/* somebody wanted a lock that was held: with one thread that can't be */
	struct {
		uint32_t rid;
		uint16_t ats, pasid;	/* control registers */
	} functions[XP_MAX_FUNCTIONS];
	unsigned nfunctions;
	uint64_t clock;
	unsigned fail_at;		/* the fail_at-th allocation from now on fails; 0: none */
	bool failed, keeps;		/* one has failed; then nothing is given back any more: a fault */
	bool full;			/* an array of ours is too small */
	/* Where steps go; NULL: nowhere. */
	struct xp_ops *record;
	const struct iommu_step *step;	/* the commit engine is at */
	char commands[160];		/* ... and those that it is about to submit */
	uint64_t wrote_at, wrote;	/* what the unit has written last; 0: nothing since the last doorbell */
	bool submitted;			/* there was a doorbell since the last wait */
	struct iommu_cost cost;		/* of the steps recorded */
	unsigned waits;			/* polls that are over */
	/* A fault's: port.review calls it. */
	void (*edit)(const char *arch, struct iommu_plan *plan);
	/* Called after each unlock, if there is one. */
	void (*unlocked)(void *ctx, unsigned lock);
	void *ctx;
};

/* A machine whose unit the driver has brought up. 0 or a negative errno; xp_host_close() in any case. */
int xp_host_open(struct xp_host *host, const struct xp_arch *arch, const struct iommu_model_config *config, bool store128,
		 bool noncoherent, struct iommu_unit **unit);
void xp_host_close(struct xp_host *host);
/* A PCI function, if it isn't there yet; and is its ATS on? */
void xp_host_add_function(struct xp_host *host, uint32_t rid);
bool xp_host_ats(const struct xp_host *host, uint32_t rid);
/* A request, from beginning to end. It sets flags in tables, and leaves lines in the caches. */
void xp_host_dma(struct xp_host *host, uint32_t rid, uint64_t iova, unsigned access);
/* Plain stores since the last call of the port become a step. At the end of a recording. */
void xp_host_sync(struct xp_host *host);

#endif
