/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* check_domain.c - the public functions for the domain layer. */
#include "arch.h"
#include "domain.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hitless_mapper_name(enum hitless_mapper mapper)
{
	static const char *const names[] = {
		[HITLESS_MAPPER_NONE] = "none",
		[HITLESS_MAPPER_OLD] = "unmap in the old domain",
		[HITLESS_MAPPER_OLD_TABLE] = "unmap of a table in the old domain",
		[HITLESS_MAPPER_NEW] = "unmap in the new domain",
		[HITLESS_MAPPER_NEW_TABLE] = "unmap of a table in the new domain",
	};

	return (unsigned)mapper < HITLESS_MAPPERS ? names[mapper] : NULL;
}

const char *hitless_pasid_name(enum hitless_pasid pasid)
{
	static const char *const names[] = { "none", "replaced", "beside" };

	return (unsigned)pasid < HITLESS_PASIDS ? names[pasid] : NULL;
}

bool hitless_check_knows_domain(const char *name, const struct iommu_domain_desc *desc, enum hitless_pasid pasid, unsigned quantum)
{
	const struct xp_arch *arch = xp_arch_find(name, NULL);
	const struct xp_driver *driver = arch ? arch->driver : NULL;
	unsigned kinds = driver ? driver->pasid_kinds : 0;

	if (!driver || (quantum != 8 && quantum != 16) || (driver->quantum && quantum > driver->quantum) || pasid >= HITLESS_PASIDS ||
	    (pasid && (!kinds || quantum < driver->pasid_quantum)))
		return false;
	switch (desc->type) {
	case IOMMU_DOMAIN_BLOCKED:
		return true;
	case IOMMU_DOMAIN_NESTED:
		return driver->enable_nesting && !pasid && desc->levels < 2;
	case IOMMU_DOMAIN_IDENTITY:
		return pasid != HITLESS_PASID_REPLACED || (kinds & XP_PASID_IDENTITY);
	default:
		if (desc->stage == 1)
			return driver->first_stage;
		/* A second stage leaves room for PASIDs where it can be behind one, too. */
		return !pasid || (kinds & XP_PASID_S2);
	}
}

/* ---- Replay ids ---- */

static void put_id(struct xp_text *id, const struct hitless_domain_cell *cell, enum hitless_mapper mapper, unsigned failure)
{
	char s[200];

	snprintf(s, sizeof(s), "domain,%s,%u,%u.%u.%u.%u,%u.%u.%u.%u,%u,%u,%u,%u,%u,%x,%x,%u,%u,%u,%s", cell->arch,
		 cell->quantum, cell->from.type, cell->from.stage, cell->from.levels, cell->from.dirty, cell->to.type, cell->to.stage, cell->to.levels,
		 cell->to.dirty, cell->devices, cell->pasid, cell->private_tags, cell->noncoherent, cell->no_ats, cell->strategies,
		 cell->freedoms & ((1u << IOMMU_FREEDOMS) - 1), mapper, failure,
		 cell->mutant, cell->fault ? cell->fault->name : "");
	xp_append(id, s);
}

struct names {
	char arch[32], fault[64];
};

static bool take_desc(const char **at, struct iommu_domain_desc *desc)
{
	unsigned type, dirty;
	int used = 0;

	if (sscanf(*at, "%u.%u.%u.%u,%n", &type, &desc->stage, &desc->levels, &dirty, &used) != 4 || !used)
		return false;
	desc->type = (enum iommu_domain_type)type;
	desc->dirty = dirty;
	*at += used;
	return true;
}

static bool take_id(const char *id, struct hitless_domain_cell *cell, struct names *names, unsigned *failure, const char **events)
{
	unsigned pasid, private_tags, noncoherent, no_ats;
	size_t n;
	int used = 0;

	memset(cell, 0, sizeof(*cell));
	if (sscanf(id, "domain,%31[^,],%u,%n", names->arch, &cell->quantum, &used) != 2 || !used)
		return false;
	id += used;
	if (!take_desc(&id, &cell->from) || !take_desc(&id, &cell->to))
		return false;
	used = 0;
	if (sscanf(id, "%u,%u,%u,%u,%u,%x,%x,%u,%u,%u,%n", &cell->devices, &pasid, &private_tags, &noncoherent, &no_ats,
		   &cell->strategies, &cell->freedoms, &cell->mapper, failure,
		   &cell->mutant, &used) != 10 || !used || cell->mapper >= HITLESS_MAPPERS)
		return false;
	id += used;
	n = strcspn(id, ":");
	if (n >= sizeof(names->fault) || id[n] != ':')
		return false;
	memcpy(names->fault, id, n);
	names->fault[n] = '\0';
	*events = id + n + 1;
	cell->arch = names->arch;
	cell->pasid = (enum hitless_pasid)pasid;
	cell->private_tags = private_tags;
	cell->noncoherent = noncoherent;
	cell->no_ats = no_ats;
	return true;
}

/* ---- Cells ---- */

static int build(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, struct xp_case *c, struct hitless_report *report)
{
	struct iommu_replace_report said;
	int err = xp_domain_build(cell, mapper, c, &said);

	if (err)
		return err;
	report->strategy = said.strategy;
	report->hitless = said.hitless;
	report->why = said.why;
	report->cost = said.cost;
	if (cell->mutant)
		err = xp_domain_mutate(cell, c, report->mutant, sizeof(report->mutant));
	if (err)
		xp_case_free(c);
	return err;
}

/* Adds what one exploration has found. */
static int explore(const struct hitless_domain_cell *cell, enum hitless_mapper mapper, unsigned failure, struct xp_case *c,
		   struct hitless_report *report)
{
	uint64_t states = report->states, places = report->places;
	unsigned lists = report->mapper_lists;
	unsigned depth = report->depth, unconfirmed = report->unconfirmed;
	struct xp_result result;
	int err = xp_explore(c, &result);

	if (!err) {
		xp_fill_report(report, &result);
		report->states += states;
		report->places += places;
		report->mapper_lists += lists;
		report->unconfirmed += unconfirmed;
		if (report->depth < depth)
			report->depth = depth;
		if (report->verdict != HITLESS_PROVED && mapper != HITLESS_MAPPER_NONE)
			report->mapper = hitless_mapper_name(mapper);
		if (result.confirmed) {
			struct xp_text id = { 0 };

			put_id(&id, cell, mapper, failure);
			xp_put_run(&id, &result.run);
			report->replay = id.v;
		}
	}
	xp_run_free(&result.run);
	return err;
}

/* Every allocation of the replace fails once. */
static int try_failures(const struct hitless_domain_cell *cell, struct hitless_report *report)
{
	for (unsigned n = 1; report->verdict == HITLESS_PROVED; n++) {
		struct iommu_replace_report said;
		struct xp_case c;
		char detail[sizeof(report->detail)];
		int err = xp_domain_fail(cell, n, &c, &said, detail, sizeof(detail));

		if (err == -ENOENT)
			return 0;
		if (err < 0 && err != -EUCLEAN)
			return err;
		report->failures = n;
		if (err == 1) {
			/* There was no memory for the first choice; the second has to keep the promise as well. */
			err = explore(cell, HITLESS_MAPPER_NONE, n, &c, report);
			xp_case_free(&c);
			if (err)
				return err;
		} else if (err == -EUCLEAN) {
			struct xp_text id = { 0 };

			report->verdict = HITLESS_VIOLATED;
			report->violation = HITLESS_ENTRY_NOT_RESTORED;
			memcpy(report->detail, detail, sizeof(report->detail));
			put_id(&id, cell, HITLESS_MAPPER_NONE, n);
			xp_append(&id, ":");
			report->replay = id.v;
		}
	}
	return 0;
}

/* The library says that it can't be done without a gap, before it has touched anything. */
static int check_refusal(const struct hitless_domain_cell *cell, struct hitless_report *report)
{
	struct iommu_replace_report said;
	struct xp_case c;
	int err = xp_domain_fail(cell, UINT32_MAX, &c, &said, report->detail, sizeof(report->detail));

	report->why = "refused: the device's tables can't take it without a gap";
	if (err == -EUCLEAN) {
		report->verdict = HITLESS_VIOLATED;
		report->violation = HITLESS_ENTRY_NOT_RESTORED;
		err = 0;
	}
	return err;
}

int hitless_check_domain(const struct hitless_domain_cell *cell, struct hitless_report *report)
{
	unsigned first = cell->mapper == HITLESS_MAPPERS ? HITLESS_MAPPER_NONE : cell->mapper;
	unsigned last = cell->mapper == HITLESS_MAPPERS && !cell->mutant ? HITLESS_MAPPERS - 1 : first;
	int err = 0;

	memset(report, 0, sizeof(*report));
	if (!hitless_check_knows_domain(cell->arch, &cell->from, cell->pasid, cell->quantum) ||
	    !hitless_check_knows_domain(cell->arch, &cell->to, cell->pasid, cell->quantum) ||
	    (cell->pasid == HITLESS_PASID_REPLACED && cell->from.type == IOMMU_DOMAIN_BLOCKED && cell->to.type == IOMMU_DOMAIN_BLOCKED) ||
	    cell->mapper > HITLESS_MAPPERS || (cell->mutant && first != HITLESS_MAPPER_NONE))
		return -EINVAL;
	if (!xp_domain_has_mapper(cell, first))
		return -EINVAL;
	for (unsigned mapper = first; mapper <= last && !err && report->verdict == HITLESS_PROVED; mapper++) {
		struct xp_case c;

		if (!xp_domain_has_mapper(cell, mapper))
			continue;
		err = build(cell, mapper, &c, report);
		if (err == -EOPNOTSUPP && cell->strategies == IOMMU_STRATEGY_ANY)
			return check_refusal(cell, report);
		if (err)
			break;
		err = explore(cell, mapper, 0, &c, report);
		xp_case_free(&c);
	}
	if (!err && first == HITLESS_MAPPER_NONE && !cell->mutant)
		err = try_failures(cell, report);
	if (err)
		hitless_report_free(report);
	return err;
}

int hitless_domain_steps(const struct hitless_domain_cell *cell, void (*line)(void *ctx, unsigned step, const char *line), void *ctx)
{
	enum hitless_mapper mapper = cell->mapper < HITLESS_MAPPERS ? cell->mapper : HITLESS_MAPPER_NONE;
	struct hitless_report report = { 0 };
	struct xp_case c;
	unsigned n = 0;
	int err = build(cell, mapper, &c, &report);

	if (err)
		return err;
	for (unsigned i = 0; i < c.steps.n; i++)
		if (c.steps.v[i].kind != XP_NOTE)
			line(ctx, ++n, c.steps.v[i].text);
	for (unsigned i = 0; c.mapper.nlists && i < c.mapper.lists[0].n; i++)
		if (c.mapper.lists[0].v[i].kind != XP_NOTE)
			line(ctx, ++n, c.mapper.lists[0].v[i].text);
	xp_case_free(&c);
	return 0;
}

int hitless_domain_mutants(const struct hitless_domain_cell *cell)
{
	struct hitless_domain_cell original = *cell;
	struct hitless_report report = { 0 };
	struct xp_case c;
	int n;

	original.mutant = 0;
	n = build(&original, HITLESS_MAPPER_NONE, &c, &report);
	if (n)
		return n;
	n = (int)xp_domain_count_mutants(cell, &c);
	xp_case_free(&c);
	return n;
}

/* ---- Replay ---- */

int hitless_replay_domain(const char *replay, const struct hitless_fault *(*find)(const char *name),
			  void (*line)(void *ctx, unsigned event, const char *line), void *ctx, char *detail, size_t detail_size)
{
	struct xp_show show = { line, ctx, 0 };
	struct iommu_replace_report said;
	struct hitless_report report = { 0 };
	struct hitless_domain_cell cell;
	struct xp_run run = { 0 };
	struct names names;
	struct xp_case c;
	unsigned failure;
	const char *events;
	int ret = -EINVAL;

	memset(&c, 0, sizeof(c));
	detail[0] = '\0';
	if (!take_id(replay, &cell, &names, &failure, &events))
		goto out;
	if (names.fault[0]) {
		cell.fault = find ? find(names.fault) : NULL;
		if (!cell.fault)
			goto out;
	}
	if (failure) {
		int err = xp_domain_fail(&cell, failure, &c, &said, detail, detail_size);

		if (err == -EUCLEAN) {
			char text[256];

			snprintf(text, sizeof(text), "driver    allocation %u of the replace fails, and so does the replace", failure);
			if (line)
				line(ctx, 1, text);
			ret = HITLESS_ENTRY_NOT_RESTORED;
			goto out;
		}
		if (err != 1)
			goto out;
	} else if (build(&cell, cell.mapper, &c, &report)) {
		memset(&c, 0, sizeof(c));
		goto out;
	}
	if (xp_take_run(events, &run))
		ret = (int)xp_replay(&c, &run, line ? xp_show_event : NULL, &show, detail, detail_size);
out:
	xp_run_free(&run);
	xp_case_free(&c);
	return ret;
}
