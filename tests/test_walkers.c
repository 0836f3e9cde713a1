/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_walkers.c - three who know what a domain maps must say the same: the engine's iova_to_phys, the model's own walker
 * behind a device that is attached to the domain, and an oracle that keeps a line per page. Random maps and unmaps in between,
 * with the model's caches never evicting anything: an invalidation that is missing shows as well.
 *
 * A format is a row of the table; an architecture needs nothing else.
 */
#include "fixture.h"

#include <hitless/smmuv3.h>

#define RID 0x0300u
/* The smallest of the format under test. */
static uint64_t page_bytes;
#define PAGE page_bytes
#define OPS 1500
#define NOT_MAPPED UINT64_MAX

static const struct format {
	const char *arch;
	unsigned stage, levels;
	bool dirty;		/* dirty pages can be recorded: leaves have other flags then, and other sizes */
	unsigned page_shift;
} formats[] = {
	{ "smmuv3", 1, 3, true, 12 }, { "smmuv3", 1, 4, true, 12 }, { "smmuv3", 2, 3, true, 12 }, { "smmuv3", 2, 4, true, 12 },
	{ "smmuv3", 1, 3, true, 14 }, { "smmuv3", 1, 4, true, 14 }, { "smmuv3", 2, 2, true, 14 }, { "smmuv3", 2, 3, true, 14 },
	{ "smmuv3", 1, 2, true, 16 }, { "smmuv3", 1, 3, true, 16 }, { "smmuv3", 2, 2, true, 16 }, { "smmuv3", 2, 3, true, 16 },
	{ "vtd", 2, 4, true, 12 }, { "vtd", 2, 5, true, 12 }, { "vtd", 1, 4, false, 12 }, { "vtd", 1, 5, false, 12 },
	{ "vtd-legacy", 2, 4, false, 12 }, { "vtd-legacy", 2, 5, false, 12 },
	{ "amdvi", 2, 1, true, 12 }, { "amdvi", 2, 2, true, 12 }, { "amdvi", 2, 3, true, 12 }, { "amdvi", 2, 4, true, 12 }, { "amdvi", 2, 5, true, 12 },
	{ "amdvi", 2, 6, true, 12 }, { "amdvi", 2, 0, true, 12 }, /* the last one grows */
	{ "amdvi", 1, 4, false, 12 }, { "amdvi", 1, 5, false, 12 },
	{ "riscv", 2, 3, true, 12 }, { "riscv", 2, 4, true, 12 }, { "riscv", 2, 5, true, 12 },
	{ "riscv", 1, 3, true, 12 }, { "riscv", 1, 4, true, 12 }, { "riscv", 1, 5, true, 12 },
};

/* ---- The oracle ---- */

struct page {
	uint64_t phys;		/* NOT_MAPPED */
	unsigned prot;
};

struct window {
	uint64_t first, npages;
	struct page *pages;
};

struct box {
	struct fixture fx;
	const struct format *format;
	struct iommu_domain *domain;
	struct window windows[4];
	unsigned nwindows;
	unsigned mapped, unmapped, overlaps, checks;
};

/* [first, first + bytes), cut to what the domain can map; nothing where there is a window already. They come in order. */
static void add_window(struct box *box, uint64_t first, uint64_t bytes)
{
	struct window *w = &box->windows[box->nwindows];
	uint64_t low, high;

	assert_int_equal(iommu_domain_get_geometry(box->domain, &low, &high), 0);
	if (first > high || (box->nwindows && first < w[-1].first + w[-1].npages * PAGE))
		return;
	if (bytes - 1 > high - first)
		bytes = high - first + 1;
	*w = (struct window){ first, bytes / PAGE, malloc(bytes / PAGE * sizeof(struct page)) };
	assert_non_null(w->pages);
	for (uint64_t i = 0; i < w->npages; i++)
		w->pages[i].phys = NOT_MAPPED;
	box->nwindows++;
}

/* As the machine brings it up, but for the page size. */
static void open_smmuv3(struct fixture *fx, unsigned page_shift)
{
	const struct machine_config config = {
		.arch = machine_arch_by_name("smmuv3"), .seed = 1, .freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP),
	};
	const struct smmuv3_unit_desc desc = { .registers = config.arch->registers, .page_shift = page_shift };

	memset(fx, 0, sizeof(*fx));
	assert_int_equal(machine_create(&fx->machine, &config), 0);
	fx->machine.observer = fx;
	fx->data = machine_reserve_frames(&fx->machine, 64);
	assert_int_equal(smmuv3_unit_create(&fx->machine.port, &desc, &fx->machine.unit), 0);
}

static void box_open(struct box *box, const struct format *format, bool dirty)
{
	const struct iommu_domain_desc desc = {
		.type = IOMMU_DOMAIN_PAGING, .stage = format->stage, .levels = format->levels, .dirty = dirty,
	};
	uint64_t low, high;

	memset(box, 0, sizeof(*box));
	box->format = format;
	page_bytes = 1ull << format->page_shift;
	if (strcmp(format->arch, "smmuv3") == 0)
		open_smmuv3(&box->fx, format->page_shift);
	else
		fixture_open(&box->fx, format->arch);
	fixture_device(&box->fx, fixture_group(&box->fx), RID);
	assert_int_equal(iommu_domain_alloc(box->fx.machine.unit, &desc, &box->domain), 0);
	assert_int_equal(iommu_attach_group(box->fx.groups[0], box->domain), 0);
	assert_int_equal(iommu_domain_get_geometry(box->domain, &low, &high), 0);
	add_window(box, 0, 24 * MIB);
	add_window(box, GIB - 4 * MIB, 8 * MIB);
	add_window(box, 512 * GIB - 4 * MIB, 8 * MIB);
	if (high > 8 * MIB)
		add_window(box, high - 8 * MIB + 1, 8 * MIB);
}

static void box_close(struct box *box)
{
	assert_int_equal(iommu_detach_group(box->fx.groups[0]), 0);
	assert_int_equal(iommu_domain_free(box->domain), 0);
	for (unsigned i = 0; i < box->nwindows; i++)
		free(box->windows[i].pages);
	fixture_close(&box->fx);
}

/* ---- The three of them ---- */

static void disagree(const struct box *box, const char *what, uint64_t iova)
{
	fail_msg("%s, stage %u, %u levels, pages of %llu: %s at %#llx", box->format->arch, box->format->stage, box->format->levels,
		 (unsigned long long)PAGE, what, (unsigned long long)iova);
}

/* Where a DMA of the device would land. */
static uint64_t model_walk(struct box *box, uint64_t iova, unsigned access, uint64_t *size)
{
	struct iommu_request request = { .rid = RID, .pasid = IOMMU_NO_PASID, .addr = iova, .access = (uint8_t)access };
	uint64_t phys = NOT_MAPPED;

	if (iommu_model_translate(&box->fx.machine.model, &request) == IOMMU_REQUEST_DONE)
		phys = request.phys;
	*size = request.size;
	iommu_model_end(&box->fx.machine.model, &request);
	return phys;
}

static void check_page(struct box *box, const struct window *w, uint64_t number)
{
	const struct page *page = &w->pages[number];
	uint64_t offset = machine_random() % PAGE & ~7ull, iova = w->first + number * PAGE + offset, phys, size;
	int err = iommu_iova_to_phys(box->domain, iova, &phys);

	box->checks++;
	if (page->phys == NOT_MAPPED ? err != -ENOENT : err || phys != page->phys + offset)
		disagree(box, "iova_to_phys", iova);
	for (unsigned access = IOMMU_READ; access <= IOMMU_WRITE; access <<= 1) {
		bool allowed = page->phys != NOT_MAPPED && page->prot & access;

		phys = model_walk(box, iova, access, &size);
		if (phys != (allowed ? page->phys + offset : NOT_MAPPED))
			disagree(box, access == IOMMU_READ ? "the model, reading" : "the model, writing", iova);
		/* All of the page that the model says is one is mapped as one. */
		for (unsigned i = 0; allowed && i < 2; i++) {
			uint64_t start = (iova & ~(size - 1)), edge = i ? start + size - PAGE : start;
			uint64_t n = (edge - w->first) / PAGE;

			if (edge >= w->first && n < w->npages && w->pages[n].phys + w->first + number * PAGE != page->phys + edge)
				disagree(box, "the model's page is too large", iova);
		}
	}
}

/* The ends of [first, first + n) and their neighbours, and some pages in between. */
static void check_around(struct box *box, const struct window *w, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < 4; i++) {
		if (first >= i)
			check_page(box, w, first - i);
		if (first + n - 1 + i < w->npages)
			check_page(box, w, first + n - 1 + i);
	}
	for (unsigned i = 0; i < 16; i++) {
		check_page(box, w, first + machine_random() % n);
		check_page(box, w, machine_random() % w->npages);
	}
	iommu_unit_handle_faults(box->fx.machine.unit);
}

/* ---- Random operations ---- */

/* A few pages; now and then so many, and so aligned, that leaves of every size are used. */
static void pick_range(const struct window *w, uint64_t *first, uint64_t *n)
{
	uint64_t number = machine_random();

	*n = 1 + machine_random() % 40;
	*first = machine_random() % w->npages;
	if (number % 4 == 0)
		*n = 1ull << machine_random() % 12;
	if (number % 4 <= 1)
		*first &= ~((1ull << machine_random() % 12) - 1);
	if (number % 16 == 2)
		*n = machine_random() % w->npages;
	if (*n > w->npages - *first)
		*n = w->npages - *first;
	*n += !*n;
}

/* As the IOVA is aligned, or not at all. */
static uint64_t pick_phys(uint64_t iova)
{
	uint64_t phys = (machine_random() % (1ull << 44)) & ~(PAGE - 1), unit = PAGE << machine_random() % 20;

	return machine_random() % 4 ? (phys & ~(unit - 1)) | (iova & (unit - 1)) : phys;
}

static bool any_mapped(const struct window *w, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		if (w->pages[i].phys != NOT_MAPPED)
			return true;
	return false;
}

static void do_map(struct box *box, struct window *w, uint64_t first, uint64_t n)
{
	static const unsigned prots[] = { IOMMU_READ, IOMMU_READ | IOMMU_WRITE, IOMMU_READ | IOMMU_WRITE, IOMMU_WRITE };
	const uint64_t iova = w->first + first * PAGE, phys = pick_phys(iova);
	const unsigned prot = prots[machine_random() % 4];
	int err = iommu_map(box->domain, iova, phys, n * PAGE, prot);

	if (err == -EINVAL) {
		assert_int_equal(prot, IOMMU_WRITE);
		return;
	}
	if (any_mapped(w, first, n)) {
		assert_int_equal(err, -EEXIST);
		box->overlaps++;
		return;
	}
	assert_int_equal(err, 0);
	box->mapped++;
	for (uint64_t i = 0; i < n; i++)
		w->pages[first + i] = (struct page){ phys + i * PAGE, prot };
}

static void do_unmap(struct box *box, struct window *w, uint64_t first, uint64_t n)
{
	uint64_t bytes = 0;

	for (uint64_t i = first; i < first + n; i++) {
		bytes += w->pages[i].phys != NOT_MAPPED ? PAGE : 0;
		w->pages[i].phys = NOT_MAPPED;
	}
	assert_int_equal(iommu_unmap(box->domain, w->first + first * PAGE, n * PAGE), bytes);
	box->unmapped += bytes != 0;
}

static void random_ops(const struct format *format, bool dirty)
{
	struct box box;

	box_open(&box, format, dirty);
	machine_seed_thread(format->stage * 16 + format->levels + dirty * 64u);
	for (unsigned op = 0; op < OPS; op++) {
		struct window *w = &box.windows[machine_random() % box.nwindows];
		uint64_t first, n;

		pick_range(w, &first, &n);
		if (machine_random() % 5 < 3)
			do_map(&box, w, first, n);
		else
			do_unmap(&box, w, first, n);
		check_around(&box, w, first, n);
	}
	if (box.mapped < OPS / 20 || box.unmapped < OPS / 20 || box.overlaps < OPS / 50)
		disagree(&box, "the sequence doesn't reach what it should", 0);
	box_close(&box);
}

static void test_agree(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		random_ops(&formats[i], false);
}

static void test_agree_dirty(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].dirty)
			random_ops(&formats[i], true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_agree_dirty),
	};

	return cmocka_run_group_tests_name("walkers", tests, NULL, NULL);
}
