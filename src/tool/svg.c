/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * svg.c - the DMAs of one replace over time, as a picture: a lane per device, a box per DMA, a numbered line per step of the
 * driver, and below what the numbers mean.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 1200.0
#define LEFT 150.0
#define RIGHT 40.0
#define LANE 30.0
#define GAP 12.0
#define HEAD 84.0		/* title and subtitle */
#define BADGE 18.0
#define STEP_LINE 20.0
#define LEGEND_LINE 20.0
#define FONT "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\""
#define INK "#24292f"
#define FAINT "#6e7781"

static const struct {
	const char *name, *what, *color;
} outcomes[] = {
	[LIVE_OLD] = { "old", "reached the old domain", "#4c78a8" },
	[LIVE_NEW] = { "new", "reached the new domain", "#54a24b" },
	[LIVE_BLOCKED] = { "blocked", "faulted", "#f2a900" },
	[LIVE_WRONG] = { "wrong", "reached neither", "#d62728" },
	[LIVE_STALE] = { "stale", "reached the old domain too late", "#8e44ad" },
	[LIVE_UNCOUNTED] = { "other", "a bystander in its own domain, a write refused as it must be", "#c9d1d9" },
};

struct picture {
	FILE *file;
	const struct live_recording *recording;
	double first, last;	/* ns, from t0 */
	double lanes_top, lanes_bottom;
	unsigned lanes;
};

static void put_text(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		default:
			fputc(*text, file);
			break;
		}
	}
}

static double since(const struct picture *picture, uint64_t at)
{
	return (double)(int64_t)(at - picture->recording->t0);
}

static double x_of(const struct picture *picture, double ns)
{
	return LEFT + (ns - picture->first) / (picture->last - picture->first) * (WIDTH - LEFT - RIGHT);
}

static double lane_top(const struct picture *picture, unsigned lane)
{
	return picture->lanes_top + lane * (LANE + GAP);
}

/* ---- Steps, in words ---- */

static void describe_step(const struct iommu_step *step, char *text, size_t size)
{
	char who[32];

	snprintf(who, sizeof(who), "%02x:%02x.%x", step->rid >> 8 & 0xff, step->rid >> 3 & 0x1f, step->rid & 7);
	switch (step->op) {
	case IOMMU_STEP_STORE:
		if (step->place == IOMMU_PLACE_PARENT)
			snprintf(text, size, "store the %s: it points to the new page now", step->structure);
		else
			snprintf(text, size, "store %u bits of %s's %s, number %u", step->nwords * 64, who, step->structure,
				 step->quantum);
		break;
	case IOMMU_STEP_COPY:
		snprintf(text, size, "copy the table, with %s's new %s in it", who, step->entry_structure);
		break;
	case IOMMU_STEP_INVALIDATE:
		snprintf(text, size, "%s, %s", step->structure, step->scope);
		break;
	case IOMMU_STEP_WAIT:
		snprintf(text, size, "%s", step->poll ? "wait until all that has been done" : "fence: what follows comes later");
		break;
	case IOMMU_STEP_WRITEBACK:
		snprintf(text, size, "write back the CPU's cache");
		break;
	case IOMMU_STEP_LOCK:
	case IOMMU_STEP_UNLOCK:
		snprintf(text, size, "%s the table", iommu_step_op_name(step->op));
		break;
	case IOMMU_STEP_FREE:
		snprintf(text, size, "free the old page");
		break;
	case IOMMU_STEP_PCI:
		snprintf(text, size, "switch the ATS of %s %s", who, step->words[1] ? "on" : "off");
		break;
	default:
		snprintf(text, size, "%s", iommu_step_op_name(step->op));
		break;
	}
}

/* ---- Parts ---- */

static void draw_head(const struct picture *picture, const char *title, const char *subtitle)
{
	fprintf(picture->file, "<text x=\"24\" y=\"36\" font-size=\"20\" font-weight=\"600\" fill=\"" INK "\">");
	put_text(picture->file, title);
	fprintf(picture->file, "</text>\n<text x=\"24\" y=\"58\" font-size=\"13\" fill=\"" FAINT "\">");
	put_text(picture->file, subtitle);
	fprintf(picture->file, "</text>\n");
}

/* The time between the call and the return. */
static void draw_call(const struct picture *picture)
{
	double t1 = since(picture, picture->recording->t1), left = x_of(picture, 0), right = x_of(picture, t1);
	double top = picture->lanes_top - 10, bottom = picture->lanes_bottom + 10;

	fprintf(picture->file,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#fff8e1\" stroke=\"#e3c96b\"/>\n", left, top, right - left, bottom - top);
	fprintf(picture->file,
		"<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"#8a6d00\" text-anchor=\"middle\">the call: %.1f µs</text>\n",
		(left + right) / 2, bottom + 16, t1 / 1000);
}

static void draw_lanes(const struct picture *picture)
{
	const struct live_recording *recording = picture->recording;

	for (unsigned lane = 0; lane < picture->lanes; lane++) {
		double y = lane_top(picture, lane);
		char name[32];

		if (lane < recording->devices)
			snprintf(name, sizeof(name), "device %u", lane + 1);
		else
			snprintf(name, sizeof(name), "bystander, %s", lane == recording->devices ? "old tag" : "new tag");
		fprintf(picture->file,
			"<text x=\"%.1f\" y=\"%.1f\" font-size=\"13\" fill=\"" INK "\" text-anchor=\"end\">%s</text>\n",
			LEFT - 12, y + LANE / 2 + 5, name);
		fprintf(picture->file,
			"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#d0d7de\"/>\n", LEFT, y + LANE / 2,
			WIDTH - RIGHT, y + LANE / 2);
	}
}

static void draw_event(const struct picture *picture, const struct live_event *event)
{
	double begin = since(picture, event->begin), end = since(picture, event->end), left, width;

	if (end < picture->first || begin > picture->last || event->device >= picture->lanes)
		return;
	begin = begin < picture->first ? picture->first : begin;
	end = end > picture->last ? picture->last : end;
	left = x_of(picture, begin);
	width = x_of(picture, end) - left;
	/* A gap between neighbours, as long as there is something left. */
	width = width > 3 ? width - 0.8 : width < 1.5 ? 1.5 : width;
	fprintf(picture->file, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" rx=\"1.5\" fill=\"%s\"><title>", left,
		lane_top(picture, event->device), width, LANE, outcomes[event->outcome].color);
	fprintf(picture->file, "%s of page %u: %s, %.2f µs</title></rect>\n", event->write ? "write" : "read", event->page,
		outcomes[event->outcome].name, (double)(event->end - event->begin) / 1000);
}

/* Violations last, so that nothing lies over them. */
static void draw_events(const struct picture *picture)
{
	static const enum live_outcome order[] = { LIVE_UNCOUNTED, LIVE_OLD, LIVE_NEW, LIVE_BLOCKED, LIVE_STALE, LIVE_WRONG };

	for (unsigned o = 0; o < sizeof(order) / sizeof(order[0]); o++)
		for (unsigned i = 0; i < picture->recording->nevents; i++)
			if (picture->recording->events[i].outcome == order[o])
				draw_event(picture, &picture->recording->events[i]);
}

/* Steps that lie so close together that they share a badge: first to *last. */
static void find_cluster(const struct picture *picture, unsigned first, unsigned *last, double *x)
{
	const struct live_recording *recording = picture->recording;
	double left = x_of(picture, since(picture, recording->marks[first].at)), right = left;

	*last = first;
	while (*last + 1 < recording->nmarks) {
		double next = x_of(picture, since(picture, recording->marks[*last + 1].at));

		if (next - right > BADGE * 1.4)
			break;
		right = next;
		++*last;
	}
	*x = (left + right) / 2;
}

static void draw_marks(const struct picture *picture, double top)
{
	const struct live_recording *recording = picture->recording;
	unsigned last;

	for (unsigned i = 0; i < recording->nmarks; i++) {
		double x = x_of(picture, since(picture, recording->marks[i].at));

		fprintf(picture->file,
			"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"" INK "\" stroke-width=\"0.8\" "
			"stroke-dasharray=\"3 2\" opacity=\"0.75\"/>\n", x, top + BADGE, x, picture->lanes_bottom + 10);
	}
	for (unsigned first = 0; first < recording->nmarks; first = last + 1) {
		double x, width;
		char label[32];

		find_cluster(picture, first, &last, &x);
		snprintf(label, sizeof(label), first == last ? "%u" : "%u–%u", first + 1, last + 1);
		width = first == last ? BADGE : BADGE + (last >= 9 ? 20 : 12);
		fprintf(picture->file,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\" fill=\"" INK "\"/>\n", x - width / 2, top,
			width, BADGE, BADGE / 2);
		fprintf(picture->file,
			"<text x=\"%.1f\" y=\"%.1f\" font-size=\"10.5\" fill=\"#ffffff\" text-anchor=\"middle\">%s</text>\n", x,
			top + BADGE / 2 + 3.8, label);
	}
}

/* About eight ticks, at 1, 2 or 5 times a power of ten. */
static double tick_distance(double span)
{
	static const double factors[] = { 1, 2, 5 };

	for (double power = 1;; power *= 10)
		for (unsigned i = 0; i < 3; i++)
			if (span / (power * factors[i]) <= 10)
				return power * factors[i];
}

static void draw_axis(const struct picture *picture, double y)
{
	double distance = tick_distance(picture->last - picture->first);

	fprintf(picture->file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"" FAINT "\"/>\n", LEFT, y,
		WIDTH - RIGHT, y);
	for (long n = (long)(picture->first / distance); (double)n * distance <= picture->last; n++) {
		double x = x_of(picture, (double)n * distance);

		if (x < LEFT)
			continue;
		fprintf(picture->file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"" FAINT "\"/>\n", x, y, x,
			y + 5);
		fprintf(picture->file,
			"<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"" FAINT "\" text-anchor=\"middle\">%g</text>\n", x,
			y + 19, (double)n * distance / 1000);
	}
	fprintf(picture->file,
		"<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"" FAINT "\" text-anchor=\"middle\">µs since the call</text>\n",
		(LEFT + WIDTH - RIGHT) / 2, y + 38);
}

static void draw_legend(const struct picture *picture, double y)
{
	unsigned counts[sizeof(outcomes) / sizeof(outcomes[0])] = { 0 };
	double x = 24;

	for (unsigned i = 0; i < picture->recording->nevents; i++)
		counts[picture->recording->events[i].outcome]++;
	for (unsigned i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		char text[96];

		/* What there was none of is worth a word where it would be bad news. */
		if (!counts[i] && i == LIVE_UNCOUNTED)
			continue;
		snprintf(text, sizeof(text), "%s: %s", outcomes[i].name, outcomes[i].what);
		if (x + 20 + 6.3 * (double)strlen(text) > WIDTH - 24) {
			x = 24;
			y += LEGEND_LINE;
		}
		fprintf(picture->file, "<g opacity=\"%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\" rx=\"2\" fill=\"%s\"/>",
			counts[i] ? "1" : "0.4", x, y - 11, outcomes[i].color);
		fprintf(picture->file, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"" INK "\">%s</text></g>\n", x + 20, y, text);
		x += 44 + 6.3 * (double)strlen(text);
	}
}

static void draw_steps(const struct picture *picture, double y)
{
	const struct live_recording *recording = picture->recording;
	unsigned rows = (recording->nmarks + 1) / 2;
	char text[128];

	for (unsigned i = 0; i < recording->nmarks; i++) {
		double x = i < rows ? 24 : WIDTH / 2 + 12, at = y + (i % (rows ? rows : 1)) * STEP_LINE;

		describe_step(&recording->marks[i].step, text, sizeof(text));
		fprintf(picture->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"8\" fill=\"" INK "\"/>", x + 8, at - 4);
		fprintf(picture->file,
			"<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" fill=\"#ffffff\" text-anchor=\"middle\">%u</text>", x + 8,
			at - 0.5, i + 1);
		fprintf(picture->file,
			"<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"" FAINT "\" text-anchor=\"end\">%.2f µs</text>", x + 84,
			at, since(picture, recording->marks[i].at) / 1000);
		fprintf(picture->file, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"12\" fill=\"" INK "\">", x + 96, at);
		put_text(picture->file, text);
		fprintf(picture->file, "</text>\n");
	}
}

bool run_write_svg(const char *file, const char *title, const char *subtitle, const struct live_recording *recording)
{
	double span = (double)(recording->t1 - recording->t0), around = span * 0.3 < 2000 ? 2000 : span * 0.3;
	struct picture picture = {
		.recording = recording,
		.first = -around,
		.last = span + around,
		.lanes = recording->devices + (recording->bystanders ? 2 : 0),
	};
	double badges_top = HEAD, axis, legend, steps, height;
	bool good;

	picture.lanes_top = badges_top + BADGE + 22;
	picture.lanes_bottom = picture.lanes_top + picture.lanes * (LANE + GAP) - GAP;
	axis = picture.lanes_bottom + 40;
	legend = axis + 68;
	steps = legend + 2 * LEGEND_LINE + 18;
	height = steps + (recording->nmarks + 1) / 2 * STEP_LINE + 8;
	picture.file = fopen(file, "w");
	if (!picture.file)
		return false;
	fprintf(picture.file,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" " FONT ">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n", WIDTH, height, WIDTH, height);
	draw_head(&picture, title, subtitle);
	draw_call(&picture);
	draw_lanes(&picture);
	draw_events(&picture);
	draw_marks(&picture, badges_top);
	draw_axis(&picture, axis);
	draw_legend(&picture, legend);
	draw_steps(&picture, steps);
	fprintf(picture.file, "</svg>\n");
	good = !ferror(picture.file);
	return (fclose(picture.file) == 0) && good;
}
