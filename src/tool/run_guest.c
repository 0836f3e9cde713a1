/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run_guest.c - the rows of `hitless run --machine guest`: asks the kernel of every board, and reads its rows. */
#include "guest.h"
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void progress(void *ctx, const char *text)
{
	const struct qemu_board *board = ctx;

	if (tool_options.verbosity > 0)
		fprintf(stderr, "%s\n", text);
	else
		tool_progress("%s: %.100s", board->name, text);
}

/* ---- A row, from the kernel's JSON ---- */

/* A text that lives as long as the program: the rows of a run are few. */
static const char *text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? strdup(text) : NULL;
}

static uint64_t number_of(const json_t *row, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(row, name));
}

static bool read_row(const json_t *from, const struct qemu_board *board, struct run_row *row)
{
	const json_t *dma = json_object_get(from, "dma"), *cost = json_object_get(from, "cost");
	const json_t *latency = json_object_get(from, "latency_ns");
	const char *a = json_string_value(json_object_get(from, "from")), *b = json_string_value(json_object_get(from, "to"));
	const char *seen = json_string_value(json_object_get(from, "seen"));

	if (!a || !b || !dma || !cost || !latency)
		return false;
	snprintf(row->from, sizeof(row->from), "%s", a);
	snprintf(row->to, sizeof(row->to), "%s", b);
	row->arch = text_of(from, "arch");
	row->method = text_of(from, "method");
	row->strategy = text_of(from, "strategy");
	row->pace = text_of(from, "pace");
	row->why = text_of(from, "why");
	row->unit = board->name;
	row->hitless = json_is_true(json_object_get(from, "hitless"));
	row->devices = (unsigned)number_of(from, "devices");
	row->quantum = (unsigned)number_of(from, "quantum");
	row->faults = number_of(from, "faults");
	row->result.switches = (unsigned)number_of(from, "replaces");
	row->result.dma = (struct live_counts){
		.old = number_of(dma, "old"), .new = number_of(dma, "new"), .blocked = number_of(dma, "blocked"),
		.wrong = number_of(dma, "wrong"), .stale = number_of(dma, "stale"), .denied = number_of(dma, "denied"),
	};
	row->result.cost = row->cost = (struct iommu_cost){
		.stores = (unsigned)number_of(cost, "stores"), .commands = (unsigned)number_of(cost, "commands"),
		.rounds = (unsigned)number_of(cost, "rounds"), .polls = (unsigned)number_of(cost, "polls"),
	};
	row->p50 = number_of(latency, "p50");
	row->p99 = number_of(latency, "p99");
	row->max = number_of(latency, "max");
	snprintf(row->result.seen, sizeof(row->result.seen), "%s", seen ? seen : "");
	return row->arch && row->method && row->strategy && row->pace;
}

/* ---- A board ---- */

static void ask(const struct qemu_board *board, const char *image, const char *options, struct run_row *(*new_row)(void *ctx),
		void *ctx)
{
	char error[512], *text = NULL;
	json_t *document;
	int err = guest_run(board, image, options, progress, (void *)board, &text, error, sizeof(error));

	if (err)
		tool_fail(err == -ENOENT ? TOOL_SKIPPED : TOOL_ERROR, "--machine guest, %s: %s", board->name, error);
	document = json_loads(text, 0, NULL);
	free(text);
	for (size_t i = 0; i < json_array_size(json_object_get(document, "rows")); i++)
		if (!read_row(json_array_get(json_object_get(document, "rows"), i), board, new_row(ctx)))
			tool_fail(TOOL_ERROR, "--machine guest, %s: row %zu of the kernel's document is no row", board->name, i);
	if (!json_is_array(json_object_get(document, "rows")))
		tool_fail(TOOL_ERROR, "--machine guest, %s: the kernel's last line is no document", board->name);
	json_decref(document);
}

/* The next board of these architectures from number *n on, with the kernel's file; NULL: there is none. */
static const struct qemu_board *next_board(const char *const *archs, unsigned *n, char *image, size_t size)
{
	const struct qemu_board *board;

	for (; (board = guest_board(*n)) != NULL; (*n)++)
		for (unsigned a = 0; archs[a]; a++)
			if (strcmp(archs[a], board->arch) == 0) {
				if (!guest_image(board, image, size))
					tool_fail(TOOL_SKIPPED, "--machine guest: there is no kernel for %s: %s", board->name, guest_missing());
				return board;
			}
	return NULL;
}

const char *run_guests(const char *const *archs, const char *options, struct run_row *(*new_row)(void *ctx), void *ctx)
{
	const struct qemu_board *board;
	unsigned boards = 0;
	char image[4096];

	/* What is missing is said before anything takes its time. */
	for (unsigned n = 0; next_board(archs, &n, image, sizeof(image)); n++)
		boards++;
	for (unsigned n = 0; (board = next_board(archs, &n, image, sizeof(image))) != NULL; n++)
		ask(board, image, options, new_row, ctx);
	tool_progress(NULL);
	return boards ? NULL : "QEMU has no such unit";
}

bool run_guest_has_fault(const char *name)
{
	return strcmp(name, "skip-iotlb-invalidation") == 0 || strcmp(name, "skip-entry-invalidation") == 0;
}
