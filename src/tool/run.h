/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run.h - what the files of `hitless run` share: run.c does it, run_report.c tells it, svg.c draws it, inject.c breaks it. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

#include "live.h"
#include "stepping.h"
#include "tool.h"

#include <hitless/check.h>

/* A configuration as it is written: "s2", "s1:levels=5". */
#define RUN_KIND_TEXT 40

/* One line of the table: an architecture and a transition in one direction. */
struct run_row {
	const char *arch;
	char from[RUN_KIND_TEXT], to[RUN_KIND_TEXT];
	const char *method;		/* "n/a": it has no meaning here, and nothing was run */
	const char *strategy;
	bool hitless, shared, ats;
	bool pasids;			/* devices may have PASIDs */
	bool beside;			/* ... and others go on beside... */
	uint32_t pasid;			/* ... this one that is switched; 0: the requests without are */
	unsigned quantum, devices;
	const char *why;		/* not hitless: why; NULL */
	const char *fault;		/* that was put in; NULL: none */
	struct live_result result;
	struct iommu_cost cost;		/* of one replace of one device */
	uint64_t p50, p99, max;		/* ns */
	const char *unit;		/* --machine qemu and guest: QEMU's name of it; NULL otherwise */
	/* --machine guest: "paced" or "saturated", and how many faults the unit has recorded; NULL otherwise. */
	const char *pace;
	uint64_t faults;
	/* --machine qemu: every point; NULL otherwise. */
	const struct stepping_result *stepping;
};

static inline bool run_is_violated(const struct run_row *row)
{
	const struct live_counts *dma = &row->result.dma;

	return dma->wrong || dma->stale || (row->hitless && dma->blocked);
}

/* ---- run_report.c ---- */
void run_print_text(const struct run_row *rows, unsigned count);
json_t *run_json(const struct run_row *rows, unsigned count);
/* "shared, ATS, PASID 7". */
void run_conditions(const struct run_row *row, char *text, size_t size);
/* What the counters say, and the first violation: "" if there is none. */
void run_describe(const struct run_row *row, char *text, size_t size);

/* ---- run_qemu.c ---- */

/* Steps through what `config` describes on a board, and fills the row of each direction. Errors as stepping_run(). */
int run_step_through(const struct qemu_board *board, const struct live_config *config, unsigned rounds, unsigned directions,
		     struct run_row *rows);
/* -v: a line for each point. `row->stepping` must be there. */
void run_print_points(const struct run_row *row);
json_t *run_json_points(const struct run_row *row);

/* ---- run_guest.c ---- */

/*
 * Runs the kernel of every board of these architectures (NULL-terminated) with that command line; new_row() gives room for each row. The
 * text of why there is none, or NULL.
 */
const char *run_guests(const char *const *archs, const char *options, struct run_row *(*new_row)(void *ctx), void *ctx);
/* Can the kernel break its driver that way? */
bool run_guest_has_fault(const char *name);

/* ---- svg.c ---- */
/* `title` and `subtitle` are plain text. False: the file can't be written; errno says why. */
bool run_write_svg(const char *file, const char *title, const char *subtitle, const struct live_recording *recording);

/* ---- inject.c ---- */

/* Where `run` shows a fault if the user names nothing else. */
struct run_setup {
	const char *from, *to;
	bool shared, ats, noncoherent;
	const char *strategy;		/* NULL: any */
	unsigned quantum;
	uint32_t pasid;			/* 0: devices have none */
};

struct run_fault {
	struct hitless_fault fault;	/* its edit() is for port.review: it changes the plan's steps */
	const char *const *archs;	/* NULL-terminated; NULL: all */
	const char *what;
	const char *shown_by;		/* "run" or "check" */
	struct run_setup setup;
};

/* NULL: there is none of that name. */
const struct run_fault *run_find_fault(const char *name);
bool run_fault_applies(const struct run_fault *fault, const char *arch);
/* `arch`: only those; NULL: all. */
void run_list_faults(const char *const *archs);

#endif
