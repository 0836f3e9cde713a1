/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* report.h - replay ids, and what becomes of a result. */
#ifndef EXPLORE_REPORT_H
#define EXPLORE_REPORT_H

#include "explore.h"

/* A string that grows. free() its v. */
struct xp_text {
	char *v;
	size_t n, capacity;
};

void xp_append(struct xp_text *text, const char *string);
/* ':' and the events; and back, from behind the ':'. False: that is no run. */
void xp_put_run(struct xp_text *text, const struct xp_run *run);
bool xp_take_run(const char *at, struct xp_run *run);

void xp_fill_report(struct hitless_report *report, const struct xp_result *result);
void xp_case_free(struct xp_case *c);

/* For xp_replay(): `ctx` is a struct xp_show. */
struct xp_show {
	void (*line)(void *ctx, unsigned event, const char *line);
	void *ctx;
	unsigned event;
};

void xp_show_event(void *ctx, unsigned number, const struct xp_event *event, const char *text, const struct iommu_model *model);

#endif
