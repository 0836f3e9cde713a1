/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run_qemu.c - the rows of `hitless run --machine qemu`: replace step by step, on IOMMUs that this project did not write. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

int run_step_through(const struct qemu_board *board, const struct live_config *config, unsigned rounds, unsigned directions,
		     struct run_row *rows)
{
	const struct stepping_config stepping = {
		.arch = config->arch,
		.board = board,
		.kind = { config->kind[0], config->kind[1] },
		.method = config->method,
		.shared = config->shared,
		.quantum64 = config->quantum64,
		.pasid_bits = config->pasid_bits,
		.rounds = rounds,
		.options = config->options,
		.seed = config->seed,
		.review = config->review,
		.review_ctx = config->review_ctx,
	};
	struct stepping_result *results = calloc(2, sizeof(*results));
	int err = results ? stepping_run(&stepping, results) : -ENOMEM;

	for (unsigned d = 0; d < directions && !err; d++) {
		struct stepping_result *result = malloc(sizeof(*result));
		struct run_row *row = &rows[d];

		if (!result) {
			err = -ENOMEM;
			break;
		}
		*result = results[d];
		row->stepping = result;
		row->unit = board->name;
		row->hitless = result->hitless;
		row->strategy = config->method == LIVE_REPLACE ? iommu_strategy_name(result->strategy) : "break";
		row->why = result->why;
		row->cost = result->cost;
		row->result.dma = result->dma;
		row->result.switches = result->switches;
		row->result.cost = result->cost;
		memcpy(row->result.seen, result->seen, sizeof(row->result.seen));
	}
	free(results);
	return err;
}

static void print_counts(const char *caches, const struct live_counts *dma)
{
	printf("  %s: %3llu old %3llu new", caches, (unsigned long long)dma->old, (unsigned long long)dma->new);
#define COUNTED(field, color) \
	if (dma->field) \
		printf(" %s%llu %s%s", color, (unsigned long long)dma->field, #field, tool_palette.off)
	COUNTED(blocked, tool_palette.red);
	COUNTED(wrong, tool_palette.red);
	COUNTED(stale, tool_palette.red);
#undef COUNTED
}

void run_print_points(const struct run_row *row)
{
	for (unsigned i = 0; i < row->stepping->npoints; i++) {
		const struct stepping_point *point = &row->stepping->points[i];

		printf("    %-44s", point->label);
		print_counts("warm", &point->dma[0]);
		print_counts("cold", &point->dma[1]);
		printf("\n");
	}
}

static json_t *json_counts(const struct live_counts *dma)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "old", (json_int_t)dma->old, "new", (json_int_t)dma->new, "blocked",
			 (json_int_t)dma->blocked, "wrong", (json_int_t)dma->wrong, "stale", (json_int_t)dma->stale);
}

json_t *run_json_points(const struct run_row *row)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < row->stepping->npoints; i++) {
		const struct stepping_point *point = &row->stepping->points[i];

		json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "at", point->label, "warm", json_counts(&point->dma[0]),
						      "cold", json_counts(&point->dma[1])));
	}
	return list;
}
