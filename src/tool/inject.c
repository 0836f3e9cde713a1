/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * inject.c - faults that `hitless run --inject` puts into the driver: each edits the steps of a plan just before they are
 * carried out, so what goes wrong is what a driver with that bug would do.
 */
#include "run.h"

#include <string.h>

#include <amdvi.h>
#include <riscv.h>
#include <smmuv3.h>
#include <vtd.h>

/* An edited plan may be longer than the driver's array. It lives until the replace is over; only one thread replaces. */
#define MAX_STEPS 1024
static struct iommu_step edited[MAX_STEPS];

/* ---- Edits ---- */

static void drop(struct iommu_plan *plan, bool (*unwanted)(const struct iommu_step *step))
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->nsteps; i++)
		if (!unwanted(&plan->steps[i]))
			plan->steps[n++] = plan->steps[i];
	plan->nsteps = n;
}

/* Moves the step at `from` to where `to` is, and those in between by one. */
static void move(struct iommu_plan *plan, unsigned from, unsigned to)
{
	struct iommu_step step = plan->steps[from];

	if (from < to)
		memmove(&plan->steps[from], &plan->steps[from + 1], (to - from) * sizeof(step));
	else
		memmove(&plan->steps[to + 1], &plan->steps[to], (from - to) * sizeof(step));
	plan->steps[to] = step;
}

static bool is_entry_invalidation(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_INVALIDATE && step->cache != IOMMU_CACHE_IOTLB && step->cache != IOMMU_CACHE_DEVTLB &&
	       step->cache != IOMMU_CACHE_ALL;
}

static bool is_iotlb_invalidation(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_INVALIDATE && step->cache == IOMMU_CACHE_IOTLB;
}

static bool is_devtlb_invalidation(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_INVALIDATE && step->cache == IOMMU_CACHE_DEVTLB;
}

static bool is_poll(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_WAIT && step->poll;
}

static bool is_fence(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_WAIT && !step->poll;
}

static bool is_writeback(const struct iommu_step *step)
{
	return step->op == IOMMU_STEP_WRITEBACK;
}

static void skip_entry_invalidation(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_entry_invalidation);
}

static void skip_iotlb_invalidation(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_iotlb_invalidation);
}

static void skip_devtlb_invalidation(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_devtlb_invalidation);
}

static void skip_wait(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_poll);
}

static void skip_fence(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_fence);
}

static void skip_writeback(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	drop(plan, is_writeback);
}

/* What is invalidated second goes before what is invalidated first. */
static void swap_order(struct iommu_plan *plan, bool (*first)(const struct iommu_step *),
		       bool (*second)(const struct iommu_step *))
{
	unsigned to = 0;

	while (to < plan->nsteps && !first(&plan->steps[to]))
		to++;
	for (unsigned i = to; i < plan->nsteps; i++)
		if (second(&plan->steps[i]))
			move(plan, i, to++);
}

static void iotlb_before_entry(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	swap_order(plan, is_entry_invalidation, is_iotlb_invalidation);
}

static void devtlb_before_entry(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	swap_order(plan, is_entry_invalidation, is_devtlb_invalidation);
}

/* Of each requester: the first store and the last one that flips the entry change places. */
static void store_order(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	for (unsigned i = 0; i < plan->nsteps; i++) {
		struct iommu_step *first = &plan->steps[i];

		for (unsigned j = i + 1; j < plan->nsteps && first->op == IOMMU_STEP_STORE; j++) {
			struct iommu_step *second = &plan->steps[j], kept = *first;

			if (second->op != IOMMU_STEP_STORE || second->device != first->device)
				continue;
			first->quantum = second->quantum;
			memcpy(first->words, second->words, sizeof(first->words));
			second->quantum = kept.quantum;
			memcpy(second->words, kept.words, sizeof(second->words));
			i = j;
			break;
		}
	}
}

/* A store of 128 bits becomes two of 64, first the half with the tag: for a moment there is the new tag with the old table. */
static void split_store(const char *arch, struct iommu_plan *plan)
{
	unsigned first = strcmp(arch, "smmuv3") != 0, n = 0;

	for (unsigned i = 0; i < plan->nsteps && n + 1 < MAX_STEPS; i++) {
		const struct iommu_step *step = &plan->steps[i];

		edited[n++] = *step;
		if (step->op != IOMMU_STEP_STORE || step->place != IOMMU_PLACE_ENTRY || step->nwords != 2)
			continue;
		edited[n - 1].nwords = 1;
		edited[n] = edited[n - 1];
		edited[n - 1].quantum = step->quantum * 2 + first;
		edited[n - 1].words[0] = step->words[first];
		edited[n].words[0] = step->words[!first];
		edited[n++].quantum = step->quantum * 2 + !first;
	}
	plan->steps = edited;
	plan->nsteps = n;
}

/* The page that a table swap has replaced goes as soon as the pointer to it has. */
static void free_early(const char *arch, struct iommu_plan *plan)
{
	unsigned swapped = 0;

	(void)arch;
	for (unsigned i = 0; i < plan->nsteps; i++) {
		if (plan->steps[i].op == IOMMU_STEP_STORE && plan->steps[i].place == IOMMU_PLACE_PARENT)
			swapped = i + 1;
		if (plan->steps[i].op == IOMMU_STEP_FREE && swapped) {
			move(plan, i, swapped);
			swapped = 0;
		}
	}
}

/* An id that no domain has: those that do stay in the caches. */
static void wrong_vtd_domain(struct iommu_step *step)
{
	uint64_t *words = step->words;

	switch (GET(VTD_DESC, TYPE, words)) {
	case VTD_DESC_CONTEXT:
		SET(VTD_DESC_CONTEXT, DID, words, GET(VTD_DESC_CONTEXT, DID, words) ^ 0x100);
		break;
	case VTD_DESC_PASID:
		SET(VTD_DESC_PASID, DID, words, GET(VTD_DESC_PASID, DID, words) ^ 0x100);
		break;
	case VTD_DESC_IOTLB:
		SET(VTD_DESC_IOTLB, DID, words, GET(VTD_DESC_IOTLB, DID, words) ^ 0x100);
		break;
	case VTD_DESC_PIOTLB:
		SET(VTD_DESC_PIOTLB, DID, words, GET(VTD_DESC_PIOTLB, DID, words) ^ 0x100);
		break;
	default:
		break;
	}
}

static void wrong_amdvi_domain(struct iommu_step *step)
{
	if (GET(AMDVI_CMD, OPCODE, step->words) == AMDVI_CMD_PAGES)
		SET(AMDVI_CMD_PAGES, DOMAIN_ID, step->words, GET(AMDVI_CMD_PAGES, DOMAIN_ID, step->words) ^ 0x100);
}

static void wrong_riscv_domain(struct iommu_step *step)
{
	uint64_t *words = step->words;

	if (GET(RISCV_CMD, OPCODE, words) != RISCV_OP_IOTINVAL)
		return;
	if (GET(RISCV_IOTINVAL, GV, words))
		SET(RISCV_IOTINVAL, GSCID, words, GET(RISCV_IOTINVAL, GSCID, words) ^ 0x100);
	if (GET(RISCV_IOTINVAL, PSCV, words))
		SET(RISCV_IOTINVAL, PSCID, words, GET(RISCV_IOTINVAL, PSCID, words) ^ 0x100);
}

static void wrong_smmuv3_domain(struct iommu_step *step)
{
	uint64_t *words = step->words;

	switch (GET(SMMU_CMD, OPCODE, words)) {
	case SMMU_CMD_TLBI_NH_ASID:
		SET(SMMU_CMD_TLBI, ASID, words, GET(SMMU_CMD_TLBI, ASID, words) ^ 0x100);
		break;
	case SMMU_CMD_TLBI_S12_VMALL:
		SET(SMMU_CMD_TLBI, VMID, words, GET(SMMU_CMD_TLBI, VMID, words) ^ 0x100);
		break;
	default:
		break;
	}
}

static void wrong_domain_id(const char *arch, struct iommu_plan *plan)
{
	for (unsigned i = 0; i < plan->nsteps; i++) {
		if (plan->steps[i].op != IOMMU_STEP_INVALIDATE)
			continue;
		if (strcmp(arch, "amdvi") == 0)
			wrong_amdvi_domain(&plan->steps[i]);
		else if (strcmp(arch, "riscv") == 0)
			wrong_riscv_domain(&plan->steps[i]);
		else if (strcmp(arch, "smmuv3") == 0)
			wrong_smmuv3_domain(&plan->steps[i]);
		else
			wrong_vtd_domain(&plan->steps[i]);
	}
}

/* The neighbour's: it loses what it needs, and the one that is switched keeps what is old. */
static void wrong_pasid(const char *arch, struct iommu_plan *plan)
{
	for (unsigned i = 0; i < plan->nsteps; i++) {
		uint64_t *words = plan->steps[i].words;

		if (plan->steps[i].op != IOMMU_STEP_INVALIDATE)
			continue;
		if (strcmp(arch, "amdvi") == 0) {
			if (GET(AMDVI_CMD, OPCODE, words) == AMDVI_CMD_PAGES && GET(AMDVI_CMD_PAGES, GN, words))
				SET(AMDVI_CMD_PAGES, PASID, words, GET(AMDVI_CMD_PAGES, PASID, words) ^ 1);
		} else if (strcmp(arch, "riscv") == 0) {
			if (GET(RISCV_CMD, OPCODE, words) == RISCV_OP_IODIR && GET(RISCV_IODIR, FUNC3, words) == RISCV_FUNC_IODIR_INVAL_PDT)
				SET(RISCV_IODIR, PID, words, GET(RISCV_IODIR, PID, words) ^ 1);
		} else if (strcmp(arch, "smmuv3") == 0) {
			if (GET(SMMU_CMD, OPCODE, words) == SMMU_CMD_CFGI_CD)
				SET(SMMU_CMD_CFGI_CD, SSID, words, GET(SMMU_CMD_CFGI_CD, SSID, words) ^ 1);
		} else if (GET(VTD_DESC, TYPE, words) == VTD_DESC_PIOTLB || GET(VTD_DESC, TYPE, words) == VTD_DESC_PASID) {
			/* In the same place in both. */
			SET(VTD_DESC_PIOTLB, PASID, words, GET(VTD_DESC_PIOTLB, PASID, words) ^ 1);
		}
	}
}

/* What other drivers take for the blocking entry. */
static void block_by_v0(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	for (unsigned i = 0; i < plan->nsteps; i++) {
		struct iommu_step *step = &plan->steps[i];

		if (step->op == IOMMU_STEP_STORE && step->quantum == 0 && !GET(AMDVI_DTE, TV, step->words))
			SET(AMDVI_DTE, V, step->words, 0);
	}
}

/* The context descriptor is written once the stream table entry leads to it. */
static void context_late(const char *arch, struct iommu_plan *plan)
{
	unsigned last = plan->nsteps;

	(void)arch;
	for (unsigned i = 0; i < last;)
		if (plan->steps[i].op == IOMMU_STEP_STORE && plan->steps[i].place == IOMMU_PLACE_ENTRY &&
		    strcmp(plan->steps[i].structure, "cd") == 0) {
			move(plan, i, plan->nsteps - 1);
			last--;
		} else {
			i++;
		}
}

/* After a swap of the stream table's page only the one entry is invalidated, not what points to the page. */
static void narrow_range(const char *arch, struct iommu_plan *plan)
{
	(void)arch;
	for (unsigned i = 0; i < plan->nsteps; i++) {
		uint64_t *words = plan->steps[i].words;

		if (plan->steps[i].op != IOMMU_STEP_INVALIDATE || GET(SMMU_CMD, OPCODE, words) != SMMU_CMD_CFGI_STE_RANGE)
			continue;
		memset(words, 0, sizeof(plan->steps[i].words));
		SET(SMMU_CMD_CFGI_STE, OPCODE, words, SMMU_CMD_CFGI_STE);
		SET(SMMU_CMD_CFGI_STE, SID, words, plan->steps[i].rid);
		SET(SMMU_CMD_CFGI_STE, LEAF, words, 1);
	}
}

/* ---- The list ---- */

static const char *const all[] = { "vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3", NULL };
static const char *const smmuv3_only[] = { "smmuv3", NULL };
static const char *const with_pasids[] = { "vtd", "amdvi", "riscv", "smmuv3", NULL };
static const char *const amdvi_only[] = { "amdvi", NULL };
/* Whose entries have a tag and a root in quanta that are preloaded apart. */
static const char *const preloading[] = { "vtd", "riscv", NULL };
static const char *const with_128_bits[] = { "vtd", "vtd-legacy", "amdvi", "smmuv3", NULL };
static const char *const all_but_amdvi[] = { "vtd", "vtd-legacy", "riscv", "smmuv3", NULL };

static const struct run_fault faults[] = {
	{ { "skip-entry-invalidation", skip_entry_invalidation, 0 }, all, "the cached entry is not invalidated: the device stays where it was", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "skip-iotlb-invalidation", skip_iotlb_invalidation, 0 }, all, "the old tag is not flushed: its next owner meets foreign translations", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "skip-devtlb-invalidation", skip_devtlb_invalidation, 0 }, all, "the device's own TLB is not flushed: it goes on with old addresses", "run",
	  { .from = "s2", .to = "s2", .ats = true, .quantum = 128 } },
	{ { "skip-wait", skip_wait, 0 }, all, "replace returns before the hardware has done what it was told", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "skip-fence", skip_fence, 0 }, with_128_bits, "the IOTLB may be flushed before the entry is: old walks fill it again", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "iotlb-before-entry", iotlb_before_entry, 0 }, all, "the IOTLB is flushed before the entry: old walks fill it again", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "devtlb-before-entry", devtlb_before_entry, 0 }, all, "the device's TLB is flushed before the entry, and fills itself again", "run",
	  { .from = "s2", .to = "s2", .ats = true, .quantum = 128 } },
	{ { "store-order", store_order, 0 }, preloading, "the entry is flipped before its other half is there", "run",
	  { .from = "identity", .to = "s1", .strategy = "preload, flip, clean", .quantum = 128 } },
	{ { "guest-mode-late", store_order, 0 }, amdvi_only, "the entry is flipped to guest tables before it says how deep they are", "run",
	  { .from = "s2", .to = "s1:levels=5", .strategy = "preload, flip, clean", .quantum = 128 } },
	{ { "block-by-v0", block_by_v0, 0 }, amdvi_only, "the blocking entry has V=0, which lets DMA through untranslated", "run",
	  { .from = "s1", .to = "s1:levels=5", .strategy = "break", .quantum = 128 } },
	{ { "second-stage-late", store_order, 0 }, smmuv3_only, "the entry is flipped before its second stage is there", "run",
	  { .from = "identity", .to = "s2", .strategy = "preload, flip, clean", .quantum = 128 } },
	{ { "context-late", context_late, 0 }, smmuv3_only, "the context descriptor is written after the entry that leads to it", "run",
	  { .from = "s2", .to = "s1", .quantum = 128 } },
	{ { "narrow-range", narrow_range, 0 }, smmuv3_only, "a page of the stream table is swapped, and what points to it stays cached", "run",
	  { .from = "s2", .to = "s2", .strategy = "table swap", .quantum = 64 } },
	{ { "split-store", split_store, 0 }, with_128_bits, "a 128-bit store is done as two of 64: for a moment new tag, old table", "run",
	  { .from = "s2", .to = "s2", .strategy = "one store", .quantum = 128 } },
	{ { "wrong-domain-id", wrong_domain_id, 0 }, all, "the invalidations name a domain id that is not the old one", "run",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "wrong-pasid", wrong_pasid, 0 }, with_pasids, "the invalidations name the PASID of a neighbour", "run",
	  { .from = "s1", .to = "s1", .quantum = 128, .pasid = 7 } },
	{ { "skip-pasid-iotlb-invalidation", skip_iotlb_invalidation, 0 }, with_pasids,
	  "what is cached of a PASID is not flushed: it goes on with old addresses", "run",
	  { .from = "s1", .to = "s1", .quantum = 128, .pasid = 7 } },
	{ { "free-early", free_early, 0 }, all_but_amdvi, "a table page is freed while the hardware may still read it", "run",
	  { .from = "s2", .to = "s2", .strategy = "table swap", .quantum = 64 } },
	{ { "skip-writeback", skip_writeback, 0 }, all_but_amdvi, "the unit does not snoop, and stores stay in the CPU's cache", "run",
	  { .from = "s2", .to = "s2", .noncoherent = true, .quantum = 128 } },
	{ { "unmap-skips-invalidation", NULL, HITLESS_UNMAP_NO_FLUSH }, all, "unmap during a replace invalidates nothing", "check",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "unmap-skips-wait", NULL, HITLESS_UNMAP_NO_WAIT }, all, "unmap during a replace doesn't wait for its invalidations", "check",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "unmap-misses-tag", NULL, HITLESS_UNMAP_OLD_TAGS }, all, "unmap doesn't know the tags that a replace has published", "check",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "failure-keeps-memory", NULL, HITLESS_FAILURE_KEEPS }, all, "a replace that finds no memory keeps what it has", "check",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
	{ { "unmap-frees-early", NULL, HITLESS_UNMAP_EARLY_FREE }, all, "unmap frees table pages before its invalidations", "check",
	  { .from = "s2", .to = "s2", .quantum = 128 } },
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

const struct run_fault *run_find_fault(const char *name)
{
	for (unsigned i = 0; i < FAULTS; i++)
		if (strcmp(faults[i].fault.name, name) == 0)
			return &faults[i];
	return NULL;
}

bool run_fault_applies(const struct run_fault *fault, const char *arch)
{
	for (unsigned i = 0; fault->archs && fault->archs[i]; i++)
		if (strcmp(fault->archs[i], arch) == 0)
			return true;
	return !fault->archs;
}

static bool applies_to_any(const struct run_fault *fault, const char *const *archs)
{
	for (unsigned i = 0; archs[i]; i++)
		if (run_fault_applies(fault, archs[i]))
			return true;
	return false;
}

static void list_archs(const struct run_fault *fault, char *text, size_t size)
{
	text[0] = '\0';
	for (unsigned i = 0; fault->archs && fault->archs[i]; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? "," : "", fault->archs[i]);
	if (!fault->archs)
		snprintf(text, size, "all");
}

static json_t *json_list(const char *const *archs)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < FAULTS; i++) {
		json_t *names = json_array();

		for (unsigned a = 0; faults[i].archs && faults[i].archs[a]; a++)
			json_array_append_new(names, json_string(faults[i].archs[a]));
		if (applies_to_any(&faults[i], archs))
			json_array_append_new(list, json_pack("{s:s, s:O, s:s, s:s}", "name", faults[i].fault.name, "archs", names,
							      "what", faults[i].what, "shown_by", faults[i].shown_by));
		json_decref(names);
	}
	return json_pack("{s:s, s:o}", "schema", "hitless.inject/1", "faults", list);
}

void run_list_faults(const char *const *archs)
{
	char names[64];

	if (tool_options.json) {
		tool_print_json(json_list(archs));
		return;
	}
	for (unsigned i = 0; i < FAULTS; i++) {
		if (!applies_to_any(&faults[i], archs))
			continue;
		list_archs(&faults[i], names, sizeof(names));
		printf("%s%-24s%s  %-14s  %-5s  %s\n", tool_palette.bold, faults[i].fault.name, tool_palette.off, names,
		       faults[i].shown_by, faults[i].what);
	}
}
