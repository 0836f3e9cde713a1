/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * live.h - replace under live DMA: devices that do DMA as fast as they can while their domain is replaced again and
 * again, and a verdict on every single DMA.
 *
 * How a DMA is judged. The same IOVAs are mapped in every domain object, each to data frames of its own. A *phase* word counts:
 * 2k is "stable after k switches", 2k + 1 "switch k + 1 is under way". A device reads it before it issues a DMA and after the
 * DMA is complete. Equal and even: the DMA must have reached the frames of exactly the current object. Otherwise those of the
 * old or of the new one, either is fine. Never anything else, and never a fault where the domains map the IOVA. A write
 * leaves a number in a slot of the device's own, so that a write that lands after the switch has returned is seen too.
 *
 * Nothing here waits for a lock in the path of a DMA.
 */
#ifndef MACHINE_LIVE_H
#define MACHINE_LIVE_H

#include "machine.h"

/* A configuration: what the devices' entries say. */
struct live_kind {
	enum iommu_domain_type type;
	unsigned stage;			/* paging */
	unsigned levels;		/* 0: the driver's choice */
	bool dirty;
	bool other_parent;		/* nested: behind the second of two second stages */
};

enum live_method {
	LIVE_REPLACE,
	LIVE_ATTACH_DETACH,		/* detach, then attach */
	LIVE_REMAP,			/* one paging domain: unmap all, then map all */
	/*
	 * A page table gets a level on top, because something is mapped that is beyond it: a switch of another kind. Both kinds are
	 * the same, and what the window maps stays the same; every DMA counts as new. When a table can't grow any more, the
	 * devices are replaced into a fresh one, which maps the same.
	 */
	LIVE_GROW
};

struct live_config {
	const struct machine_arch *arch;
	struct live_kind kind[2];	/* from, to */
	enum live_method method;
	unsigned devices;		/* of the group; 0: 2; at most LIVE_MAX_DEVICES */
	unsigned pages;			/* of the window; 0: 16 */
	unsigned spare;			/* pages behind the window, for the caller to map and unmap */
	unsigned threads;		/* that do DMA; 0: as the machine has CPUs */
	unsigned lanes;			/* more lanes than that, for the caller's own DMA */
	bool shared;			/* each side has one object, and a device of another group in it */
	bool ats;
	unsigned pasid_bits;		/* the devices may have PASIDs of that width */
	/*
	 * ... and have some: the requests that are switched are those with `pasid`, or (0) those without; two other kinds of the same
	 * devices' requests go on beside them, in domains of their own or (shared) in those that are replaced.
	 */
	bool beside;
	uint32_t pasid;
	bool noncoherent;
	bool quantum64;			/* no 128-bit stores, and no 128-bit fetches */
	bool patient;			/* time passes before every step, and the unit takes its own: windows are wide */
	struct iommu_replace_options options;
	uint64_t seed;
	/* May edit the plan of every replace. */
	void (*review)(void *ctx, struct iommu_plan *plan);
	void *review_ctx;
};

#define LIVE_MAX_DEVICES 56

struct live_counts {
	uint64_t old, new, blocked, wrong, stale;
	uint64_t denied;		/* faults as they must be: writes of the read-only page */
	uint64_t bystanders;		/* DMAs of the other groups' devices that saw their own domain */
};

static inline uint64_t live_total(const struct live_counts *counts)
{
	return counts->old + counts->new + counts->blocked + counts->wrong + counts->stale;
}

/* Of the switches in one direction: 0 from -> to (and all, if both kinds are the same), 1 to -> from. */
struct live_result {
	struct live_counts dma;
	unsigned switches;
	bool hitless;			/* said of every one */
	enum iommu_strategy strategy;
	const char *why;		/* not hitless: why */
	struct iommu_cost cost;		/* the highest of each, of one switch */
	unsigned requesters;
	uint64_t *latency_ns;		/* of each switch, sorted */
	char seen[256];			/* the first violation, in words; "": none */
};

/* ---- A recording of one switch ---- */

enum live_outcome { LIVE_OLD, LIVE_NEW, LIVE_BLOCKED, LIVE_WRONG, LIVE_STALE, LIVE_UNCOUNTED };

struct live_event {
	uint64_t begin, end;		/* ns */
	uint8_t outcome;		/* enum live_outcome */
	uint8_t device;			/* of the group; then the bystanders */
	uint8_t page;
	bool write;
};

struct live_mark {
	uint64_t at;
	struct iommu_step step;		/* its pointers lead nowhere any more, but the names */
};

struct live_recording {
	uint64_t t0, t1;		/* the call, the return */
	struct live_event *events;	/* in no order */
	unsigned nevents;
	struct live_mark *marks;
	unsigned nmarks;
	unsigned devices, direction;
	bool bystanders;
};

struct live;

/* Does the architecture have this configuration? */
bool live_supports(const struct machine_arch *arch, const struct live_kind *kind);

/*
 * Brings up a machine, the domains and groups, and starts the DMA. -EINVAL: the architecture lacks a kind; -EOPNOTSUPP: a
 * kind's variant, or replace can't do it with these options, or no table grows; others as machine_create().
 */
int live_open(struct live **live, const struct live_config *config);

/* The next switch. A negative errno when it has failed: then no more can be done. */
int live_switch(struct live *live);
/* Waits until the devices have done so many DMAs more. */
void live_dwell(struct live *live, uint64_t dmas);

/* How many there were. `direction` as in struct live_result; without one: all. */
unsigned live_switches(const struct live *live);
uint64_t live_dmas(const struct live *live, unsigned direction);

/* The same as live_dwell(n), live_switch(), live_dwell(n), recorded. free() its events and marks. */
int live_record(struct live *live, unsigned dmas, struct live_recording *recording);

/* Has a violation been seen so far? (Some are found only when the DMA has stopped.) */
bool live_violated(struct live *live);

/* Stops the DMA. Then the results can be had: free() latency_ns. */
void live_stop(struct live *live);
void live_get_result(struct live *live, unsigned direction, struct live_result *result);
/* Takes everything down. -ENOTRECOVERABLE: something was not given back. */
int live_close(struct live *live);

/* ---- For tests that map and unmap meanwhile ---- */

struct machine *live_machine(struct live *live);
/* The domain objects, 0 .. live_objects() - 1, and the frame of an object's page. */
unsigned live_objects(const struct live *live);
struct iommu_domain *live_domain(struct live *live, unsigned object);
uint64_t live_frame(const struct live *live, unsigned object, unsigned page);
uint64_t live_iova(const struct live *live, unsigned page);
/* The mark that a read of the frame expects; without it every read there is a violation. */
void live_set_mark(struct live *live, unsigned object, unsigned page, bool valid);
/* The sum of what every device has written there: it changes with every write. */
uint64_t live_writes(const struct live *live, unsigned object, unsigned page);
/* Adds a violation that the caller has found. */
void live_report(struct live *live, enum live_outcome outcome, const char *text);
uint32_t live_rid(const struct live *live, unsigned device);
/* The table of an external object. */
uint64_t live_root(const struct live *live, unsigned object);
/* A device of the group. */
struct iommu_device *live_device(const struct live *live, unsigned device);
/* One of the config's extra lanes. */
unsigned live_lane(const struct live *live, unsigned number);

#endif
