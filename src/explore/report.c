/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* report.c - replay ids, and what becomes of a result: what check.c and check_domain.c share. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Replay ids: the cell, ':' and the events ----
 *
 * An event is a capital letter, then what it needs in digits: a number in base 36, lower case; then '.' and the choices, a
 * digit each. Equal events in a row are not gathered: an id is as long as its run.
 */

void xp_append(struct xp_text *text, const char *string)
{
	size_t n = strlen(string);

	if (text->n + n + 1 > text->capacity) {
		text->capacity = (text->n + n + 1) * 2;
		text->v = realloc(text->v, text->capacity);
		if (!text->v)
			abort();
	}
	memcpy(text->v + text->n, string, n + 1);
	text->n += n;
}

static char digit(unsigned value)
{
	return value < 36 ? "0123456789abcdefghijklmnopqrstuvwxyz"[value] : 'z';
}

void xp_put_run(struct xp_text *text, const struct xp_run *run)
{
	xp_append(text, ":");
	for (unsigned i = 0; i < run->n; i++) {
		const struct xp_event *event = &run->v[i];
		unsigned last = event->nchoices;
		char s[XP_MAX_CHOICES + 4] = { event->kind }, *at = s + 1;

		while (last && !event->choices[last - 1])
			last--; /* what isn't said is 0 */
		if (event->kind == 'B' || event->kind == 'P' || event->kind == 'S' || event->kind == 'E' || event->kind == 'F')
			*at++ = digit(event->which);
		for (unsigned k = 0; k < last; k++)
			*at++ = digit(event->choices[k]);
		xp_append(text, s);
	}
}

static int value_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
}

bool xp_take_run(const char *at, struct xp_run *run)
{
	while (*at) {
		struct xp_event event = { .kind = *at++ };
		struct xp_event *v;

		if (!strchr("DMTFBPSE", event.kind))
			return false;
		if (event.kind != 'D' && event.kind != 'M' && event.kind != 'T') {
			if (value_of(*at) < 0)
				return false;
			event.which = (unsigned)value_of(*at++);
		}
		while (value_of(*at) >= 0) {
			if (event.nchoices == XP_MAX_CHOICES)
				return false;
			event.choices[event.nchoices++] = (uint8_t)value_of(*at++);
		}
		v = realloc(run->v, (run->n + 1) * sizeof(*v));
		if (!v)
			return false;
		run->v = v;
		run->v[run->n++] = event;
	}
	return run->n > 0;
}

/* ---- Results ---- */

void xp_fill_report(struct hitless_report *report, const struct xp_result *result)
{
	report->verdict = result->verdict;
	report->violation = result->verdict == HITLESS_PROVED ? HITLESS_NO_VIOLATION : result->violation;
	report->limit = result->limit;
	report->states = result->states;
	report->places = result->places;
	report->mapper_lists = (unsigned)__builtin_popcount(result->started);
	report->depth = result->depth;
	report->unconfirmed = result->unconfirmed;
	memcpy(report->detail, result->detail, sizeof(report->detail));
}

void xp_case_free(struct xp_case *c)
{
	xp_ops_free(&c->steps);
	for (unsigned i = 0; i < c->mapper.nlists; i++)
		xp_ops_free(&c->mapper.lists[i]);
	free(c->mapper.at);
	free(c->ram);
	free(c->ram_after);
	free(c->state);
	memset(c, 0, sizeof(*c));
}

/* ---- A replay, shown ---- */

static void show_line(void *ctx, const char *line)
{
	struct xp_show *show = ctx;
	char text[256];

	snprintf(text, sizeof(text), "    %s", line);
	show->line(show->ctx, show->event, text);
}

void xp_show_event(void *ctx, unsigned number, const struct xp_event *event, const char *text, const struct iommu_model *model)
{
	struct xp_show *show = ctx;

	(void)event;
	show->event = number;
	show->line(show->ctx, number, text);
	iommu_model_dump(model, show_line, show);
}
