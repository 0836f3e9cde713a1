/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_pasid.c - PASIDs: attach, replace, detach, beside requests without; on every architecture that has them. */
#include "core.h"
#include "fixture.h"

#define RID 0x0300u
#define RID2 0x0308u
#define BITS 20
#define FAR ((1u << BITS) - 1)

static const char *arch;	/* the tests run once for each */

static bool is_vtd(void)
{
	return strcmp(arch, "vtd") == 0;
}

/* ---- Fixture ---- */

static struct iommu_device *add_device(struct fixture *fx, struct iommu_group *group, uint32_t rid, unsigned bits)
{
	const struct iommu_device_desc desc = {
		.unit = fx->machine.unit, .rids = { rid }, .nrids = 1, .ats = true, .pasid_bits = bits,
	};

	machine_add_function(&fx->machine, rid);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx->devices[fx->ndevices]), 0);
	return fx->devices[fx->ndevices++];
}

static void open_pasid(struct fixture *fx, bool ats)
{
	const struct machine_config config = {
		.arch = machine_arch_by_name(arch), .seed = 1, .ats = ats, .pasid_bits = BITS, .ram_bytes = 128u << 20,
	};

	fixture_open_config(fx, config);
}

/* Where a DMA with PASID lands; FAULTS. */
static uint64_t dma(struct fixture *fx, uint32_t rid, uint32_t pasid, uint64_t iova, unsigned access)
{
	struct machine_dma dma = { .rid = rid, .pasid = pasid, .iova = iova, .access = access };

	dma.ats = machine_ats_enabled(&fx->machine, rid);
	machine_dma(&fx->machine, &dma);
	return dma.done ? dma.phys : FAULTS;
}

static uint64_t expected(struct iommu_domain *domain)
{
	uint64_t phys;

	return !domain || iommu_iova_to_phys(domain, WINDOW, &phys) ? FAULTS : phys;
}

/* Reads that go where they should, of a PASID or (IOMMU_NO_PASID) without. */
#define assert_in(fx, rid, pasid, domain) assert_int_equal(dma(fx, rid, pasid, WINDOW, IOMMU_READ), expected(domain))

static struct iommu_domain *first_stage(struct fixture *fx, unsigned frame)
{
	return fixture_paging(fx, 1, frame);
}

static void free_domains(struct iommu_domain **domains, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(iommu_domain_free(domains[i]), 0);
}

/* ---- Attach, replace, detach ---- */

static void test_attach_detach(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[3];
	struct iommu_pasid_info info;

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	for (unsigned i = 0; i < 3; i++)
		d[i] = first_stage(&fx, i * 16);
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.width, BITS);
	assert_int_equal(info.attached, 0);
	assert_true(machine_pasid_enabled(&fx.machine, RID, IOMMU_EXEC | IOMMU_PRIV));

	assert_in(&fx, RID, 5, NULL);
	assert_int_equal(iommu_attach_device_pasid(device, 5, d[0], NULL), 0);
	assert_in(&fx, RID, 5, d[0]);
	assert_in(&fx, RID, IOMMU_NO_PASID, NULL);
	assert_in(&fx, RID, 6, NULL);
	assert_int_equal(iommu_attach_device_pasid(device, 5, d[1], NULL), -EBUSY);
	assert_int_equal(iommu_attach_group(group, d[2]), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 6, d[1], NULL), 0);
	/* The same domain again, and elsewhere too. */
	assert_int_equal(iommu_attach_device_pasid(device, 7, d[1], NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 8, d[2], NULL), 0);
	assert_in(&fx, RID, 5, d[0]);
	assert_in(&fx, RID, 6, d[1]);
	assert_in(&fx, RID, 7, d[1]);
	assert_in(&fx, RID, 8, d[2]);
	assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
	assert_ptr_equal(iommu_device_pasid_domain(device, 7), d[1]);
	assert_null(iommu_device_pasid_domain(device, 9));
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.attached, 4);
	assert_true(info.table_bytes >= 4096 && info.software_bytes > 0);

	assert_int_equal(iommu_domain_free(d[0]), -EBUSY);
	assert_int_equal(iommu_detach_device_pasid(device, 5), 0);
	assert_in(&fx, RID, 5, NULL);
	assert_in(&fx, RID, 6, d[1]);
	assert_int_equal(iommu_detach_device_pasid(device, 5), -EINVAL);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_in(&fx, RID, IOMMU_NO_PASID, NULL);
	assert_in(&fx, RID, 8, d[2]);
	for (unsigned pasid = 6; pasid <= 8; pasid++)
		assert_int_equal(iommu_detach_device_pasid(device, pasid), 0);
	free_domains(d, 3);
	fixture_close(&fx);
}

static void test_errors(void **state)
{
	struct fixture fx;
	struct iommu_group *group, *other;
	struct iommu_device *wide, *narrow, *none;
	struct iommu_domain *d[2], *second;
	struct iommu_replace_report report;
	struct iommu_pasid_info info;

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	other = fixture_group(&fx);
	wide = add_device(&fx, group, RID, BITS);
	narrow = add_device(&fx, group, RID2, 8);
	none = add_device(&fx, other, 0x0a10, 0);
	d[0] = first_stage(&fx, 0);
	d[1] = first_stage(&fx, 16);
	second = fixture_paging(&fx, 2, 32);

	assert_int_equal(iommu_attach_device_pasid(NULL, 1, d[0], NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(wide, 1, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(wide, 0, d[0], NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(wide, IOMMU_NO_PASID, d[0], NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(wide, 1u << BITS, d[0], NULL), -EINVAL);
	/* Beyond the width of one member. */
	assert_int_equal(iommu_attach_device_pasid(wide, 256, d[0], NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(none, 1, d[0], NULL), -EINVAL);
	assert_int_equal(iommu_replace_device_pasid(wide, 1, d[0], NULL, NULL), -EINVAL);
	assert_int_equal(iommu_replace_device_pasid_query(wide, 1, d[0], NULL, &report), -EINVAL);
	assert_int_equal(iommu_detach_device_pasid(wide, 1), -EINVAL);
	assert_int_equal(iommu_detach_device_pasid(none, 1), -EINVAL);
	assert_int_equal(iommu_device_get_pasid_info(none, &info), 0);
	assert_int_equal(info.width, 0);
	assert_int_equal(iommu_device_get_pasid_info(NULL, &info), -EINVAL);

	assert_int_equal(iommu_attach_device_pasid(wide, 255, d[0], NULL), 0);
	assert_in(&fx, RID, 255, d[0]);
	assert_in(&fx, RID2, 255, d[0]);
	assert_int_equal(iommu_attach_device_pasid(narrow, 255, d[0], NULL), -EBUSY);
	assert_int_equal(iommu_replace_device_pasid(narrow, 255, NULL, NULL, NULL), -EINVAL);
	if (is_vtd()) {
		assert_int_equal(iommu_replace_device_pasid(narrow, 255, second, NULL, NULL), 0);
	} else {
		/* The hardware has no second stage behind a PASID, nor PASIDs behind one. */
		assert_int_equal(iommu_replace_device_pasid(narrow, 255, second, NULL, NULL), -EINVAL);
		assert_int_equal(iommu_attach_group(group, second), -EBUSY);
		assert_in(&fx, RID2, 255, d[0]);
		assert_int_equal(iommu_detach_device_pasid(narrow, 255), 0);
		assert_int_equal(iommu_attach_group(group, second), 0);
		assert_int_equal(iommu_attach_device_pasid(narrow, 255, d[0], NULL), -EBUSY);
		assert_in(&fx, RID, IOMMU_NO_PASID, second);
		assert_int_equal(iommu_detach_group(group), 0);
		assert_int_equal(iommu_attach_device_pasid(narrow, 255, d[0], NULL), 0);
	}
	assert_int_equal(iommu_detach_device_pasid(narrow, 255), 0);
	assert_in(&fx, RID, 255, NULL);
	assert_in(&fx, RID2, 255, NULL);
	free_domains(d, 2);
	free_domains(&second, 1);
	fixture_close(&fx);
}

/* Domains that a PASID may have; and NULL: none. */
static unsigned pasid_domains(struct fixture *fx, struct iommu_domain **d)
{
	unsigned n = 0;

	d[n++] = first_stage(fx, 0);
	d[n++] = first_stage(fx, 16);
	d[n++] = fixture_domain(fx, IOMMU_DOMAIN_BLOCKED, 0);
	if (is_vtd() || strcmp(arch, "riscv") == 0)
		d[n++] = fixture_domain(fx, IOMMU_DOMAIN_IDENTITY, 0);
	if (is_vtd()) {
		d[n++] = fixture_paging(fx, 2, 32);
		d[n++] = fixture_paging(fx, 2, 48);
	}
	return n;
}

static void check_pasid_pairs(bool ats, bool noncoherent, bool no_store128)
{
	struct machine_config config = {
		.arch = machine_arch_by_name(arch), .seed = 1, .ats = ats, .pasid_bits = BITS,
		.noncoherent = noncoherent && machine_arch_by_name(arch)->noncoherent, .no_store128 = no_store128,
	};
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[8], *by[3];
	unsigned n;

	fixture_open_config(&fx, config);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	add_device(&fx, group, RID2, BITS);
	n = pasid_domains(&fx, d);
	/* Bystanders: requests without PASID, a neighbour in the table, and one far away in a domain that is also replaced. */
	by[0] = first_stage(&fx, 8);
	by[1] = first_stage(&fx, 24);
	by[2] = d[0];
	assert_int_equal(iommu_attach_group(group, by[0]), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 4, by[1], NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 300, by[2], NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 3, d[0], NULL), 0);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++) {
			struct iommu_replace_report asked, report;

			assert_int_equal(iommu_replace_device_pasid(device, 3, d[from], NULL, NULL), 0);
			assert_in(&fx, RID, 3, d[from]);
			assert_in(&fx, RID2, 3, d[from]);
			assert_int_equal(iommu_replace_device_pasid_query(device, 3, d[to], NULL, &asked), 0);
			assert_int_equal(iommu_replace_device_pasid(device, 3, d[to], NULL, &report), 0);
			assert_int_equal(asked.strategy, report.strategy);
			assert_int_equal(asked.hitless, report.hitless);
			assert_int_equal(asked.cost.stores, report.cost.stores);
			assert_int_equal(asked.cost.polls, report.cost.polls);
			assert_true(report.hitless);
			assert_in(&fx, RID, 3, d[to]);
			assert_in(&fx, RID2, 3, d[to]);
			for (unsigned rid = RID; rid <= RID2; rid += RID2 - RID) {
				assert_in(&fx, rid, IOMMU_NO_PASID, by[0]);
				assert_in(&fx, rid, 4, by[1]);
				assert_in(&fx, rid, 300, by[2]);
			}
			if (ats)
				assert_true(machine_ats_enabled(&fx.machine, RID));
		}
	assert_int_equal(iommu_detach_device_pasid(device, 3), 0);
	assert_int_equal(iommu_detach_device_pasid(device, 4), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	if (ats)
		assert_true(machine_ats_enabled(&fx.machine, RID));
	assert_in(&fx, RID, 300, by[2]);
	assert_int_equal(iommu_detach_device_pasid(device, 300), 0);
	assert_false(machine_ats_enabled(&fx.machine, RID));
	free_domains(d, n);
	free_domains(by, 2);
	fixture_close(&fx);
}

static void test_replace_any_to_any(void **state)
{
	(void)state;
	check_pasid_pairs(false, false, false);
}

static void test_replace_with_ats(void **state)
{
	(void)state;
	check_pasid_pairs(true, false, false);
}

static void test_replace_noncoherent(void **state)
{
	(void)state;
	check_pasid_pairs(false, true, false);
}

static void test_replace_quantum_64(void **state)
{
	(void)state;
	check_pasid_pairs(false, false, true);
}

/* Requests without PASID go from anywhere to anywhere, and back from blocked, and no PASID notices. */
static void check_rid_pairs(bool ats)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[8], *by[2];
	unsigned n = 0;

	open_pasid(&fx, ats);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	d[n++] = NULL;
	d[n++] = first_stage(&fx, 0);
	d[n++] = first_stage(&fx, 16);
	d[n++] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	d[n++] = fixture_domain(&fx, IOMMU_DOMAIN_BLOCKED, 0);
	if (is_vtd())
		d[n++] = fixture_paging(&fx, 2, 32);
	by[0] = first_stage(&fx, 8);
	by[1] = d[1];
	assert_int_equal(iommu_attach_device_pasid(device, 1, by[0], NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 1000, by[1], NULL), 0);
	for (unsigned from = 0; from < n; from++)
		for (unsigned to = 0; to < n; to++) {
			struct iommu_replace_report report = { .hitless = true };

			if (d[from])
				assert_int_equal(iommu_group_replace_domain(group, d[from], NULL, NULL), 0);
			else
				assert_int_equal(iommu_detach_group(group), 0);
			assert_in(&fx, RID, IOMMU_NO_PASID, d[from]);
			if (d[to])
				assert_int_equal(iommu_group_replace_domain(group, d[to], NULL, &report), 0);
			else
				assert_int_equal(iommu_detach_group(group), 0);
			assert_true(report.hitless);
			assert_in(&fx, RID, IOMMU_NO_PASID, d[to]);
			assert_in(&fx, RID, 1, by[0]);
			assert_in(&fx, RID, 1000, by[1]);
			assert_in(&fx, RID, 2, NULL);
		}
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_detach_device_pasid(device, 1), 0);
	assert_int_equal(iommu_detach_device_pasid(device, 1000), 0);
	free_domains(d + 1, n - 1);
	free_domains(by, 1);
	fixture_close(&fx);
}

static void test_rid_beside_pasids(void **state)
{
	(void)state;
	check_rid_pairs(false);
	check_rid_pairs(true);
}

/* ---- Growth ---- */

static void test_growth(void **state)
{
	static const uint32_t pasids[] = { 1, 63, 64, 255, 256, 511, 512, 8191, 8192, 32767, 32768, 65536, 131071, 131072,
					   262143, 262144, 524288, FAR };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[2], *rid;
	struct iommu_pasid_info info;
	const unsigned n = sizeof(pasids) / sizeof(pasids[0]);

	(void)state;
	open_pasid(&fx, true);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	d[0] = first_stage(&fx, 0);
	d[1] = first_stage(&fx, 16);
	rid = first_stage(&fx, 32);
	assert_int_equal(iommu_attach_group(group, rid), 0);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(iommu_attach_device_pasid(device, pasids[i], d[i % 2], NULL), 0);
		for (unsigned j = 0; j < n; j++)
			assert_in(&fx, RID, pasids[j], j <= i ? d[j % 2] : NULL);
		assert_in(&fx, RID, IOMMU_NO_PASID, rid);
	}
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.attached, n);
	/* Sparse: tables where there are PASIDs, and a directory. */
	assert_true(info.table_bytes <= n * 4096 + (3u << 16));
	/* An unmap reaches all of them. */
	assert_int_equal(iommu_unmap(d[1], WINDOW, 4096), 4096);
	for (unsigned j = 0; j < n; j++)
		assert_int_equal(dma(&fx, RID, pasids[j], WINDOW, IOMMU_READ), j % 2 ? FAULTS : fx.data);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(iommu_detach_device_pasid(device, pasids[i]), 0);
		assert_in(&fx, RID, pasids[i], NULL);
		assert_in(&fx, RID, FAR, i < n - 1 ? d[(n - 1) % 2] : NULL);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(d, 2);
	free_domains(&rid, 1);
	fixture_close(&fx);
}

/* From 1 to 2^16 PASIDs: an attach, a replace and a detach are as much work in the end as in the beginning. */
static void test_flat(void **state)
{
	struct work { unsigned steps, allocs; } first[3] = { { 0 } }, most[3] = { { 0 } };
	enum { COUNT = 1 << 16, SETTLED = 64 };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[2];
	struct iommu_pasid_info info;

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	d[0] = first_stage(&fx, 0);
	d[1] = first_stage(&fx, 16);
	for (uint32_t pasid = 1; pasid < COUNT; pasid++)
		for (unsigned what = 0; what < 3; what++) {
			struct work work, *most_of = &most[what];

			fx.steps = 0;
			fx.machine.alloc_calls = 0;
			switch (what) {
			case 0:
				assert_int_equal(iommu_attach_device_pasid(device, pasid, d[0], NULL), 0);
				break;
			case 1:
				assert_int_equal(iommu_replace_device_pasid(device, pasid, d[1], NULL, NULL), 0);
				break;
			default:
				/* Every other one stays. */
				if (pasid % 2 == 0)
					assert_int_equal(iommu_detach_device_pasid(device, pasid), 0);
				break;
			}
			work = (struct work){ fx.steps, fx.machine.alloc_calls };
			if (pasid <= SETTLED)
				most_of = &first[what];
			if (work.steps > most_of->steps)
				most_of->steps = work.steps;
			if (work.allocs > most_of->allocs)
				most_of->allocs = work.allocs;
		}
	for (unsigned what = 0; what < 3; what++) {
		/* A directory that grows takes a page more and a handful of commands. */
		assert_true(most[what].steps <= first[what].steps + 8);
		assert_true(most[what].allocs <= first[what].allocs + 8);
	}
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.attached, COUNT / 2);
	/* Hardware's entries have at most 64 bytes, and every other one is used. */
	assert_true(info.table_bytes / info.attached <= 2 * 64 + 8);
	assert_true(info.software_bytes / info.attached <= 512);
	for (uint32_t pasid = 1; pasid < COUNT; pasid += 4099)
		assert_in(&fx, RID, pasid, pasid % 2 ? d[1] : NULL);
	for (uint32_t pasid = 1; pasid < COUNT; pasid += 2)
		assert_int_equal(iommu_detach_device_pasid(device, pasid), 0);
	assert_int_equal(iommu_device_get_pasid_info(device, &info), 0);
	assert_int_equal(info.attached, 0);
	free_domains(d, 2);
	fixture_close(&fx);
}

/* ---- Failure leaves everything as it was ---- */

static void test_allocation_failures(void **state)
{
	/* A first one, one in the same table, one in a new one, one that makes the tables grow. */
	static const uint32_t pasids[] = { 7, 8, 700, 40000, FAR };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[3];
	unsigned failures = 0;

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	add_device(&fx, group, RID2, BITS);
	for (unsigned i = 0; i < 3; i++)
		d[i] = first_stage(&fx, 16 * i);
	assert_int_equal(iommu_attach_group(group, d[2]), 0);
	assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
	assert_in(&fx, RID2, IOMMU_NO_PASID, d[2]);
	for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++) {
		for (unsigned site = 1;; site++) {
			struct picture picture;
			int err;

			take_picture(&fx, &picture);
			fx.machine.fail_after = site;
			fx.steps = 0;
			err = iommu_attach_device_pasid(device, pasids[i], d[0], NULL);
			if (fx.machine.fail_after || !err) {
				bool all = fx.machine.fail_after != 0;

				/* Every allocation has had its failure; or it has found another way. */
				fx.machine.fail_after = 0;
				assert_int_equal(err, 0);
				free(picture.tables);
				assert_in(&fx, RID, pasids[i], d[0]);
				if (all)
					break;
				assert_int_equal(iommu_detach_device_pasid(device, pasids[i]), 0);
				continue;
			}
			failures++;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(fx.steps, 0);
			compare_picture(&fx, &picture);
			assert_null(iommu_device_pasid_domain(device, pasids[i]));
			assert_in(&fx, RID, pasids[i], NULL);
			assert_in(&fx, RID2, pasids[i], NULL);
			assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
		}
		for (unsigned site = 1;; site++) {
			struct picture picture;
			int err;

			take_picture(&fx, &picture);
			fx.machine.fail_after = site;
			fx.steps = 0;
			err = iommu_replace_device_pasid(device, pasids[i], d[1], NULL, NULL);
			if (fx.machine.fail_after || !err) {
				bool all = fx.machine.fail_after != 0;

				fx.machine.fail_after = 0;
				assert_int_equal(err, 0);
				free(picture.tables);
				assert_int_equal(iommu_replace_device_pasid(device, pasids[i], d[0], NULL, NULL), 0);
				if (all)
					break;
				continue;
			}
			failures++;
			assert_int_equal(err, -ENOMEM);
			assert_int_equal(fx.steps, 0);
			compare_picture(&fx, &picture);
			assert_in(&fx, RID, pasids[i], d[0]);
			assert_in(&fx, RID2, pasids[i], d[0]);
		}
	}
	assert_true(failures > 30);
	/* A detach finds its way without any memory. */
	for (unsigned i = 0; i < sizeof(pasids) / sizeof(pasids[0]); i++) {
		fx.machine.fail_after = 1;
		assert_int_equal(iommu_detach_device_pasid(device, pasids[i]), 0);
		fx.machine.fail_after = 0;
		assert_in(&fx, RID, pasids[i], NULL);
		assert_in(&fx, RID2, pasids[i], NULL);
		assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
	}
	assert_int_equal(iommu_detach_group(group), 0);
	free_domains(d, 3);
	fixture_close(&fx);
}

/* The second member of a group can't have the domain: the first one keeps what it had. */
static void test_member_fails(void **state)
{
	struct fixture fx, other;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[2], *foreign;
	struct picture picture;

	(void)state;
	open_pasid(&fx, false);
	open_pasid(&other, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	add_device(&fx, group, RID2, BITS);
	d[0] = first_stage(&fx, 0);
	d[1] = first_stage(&fx, 16);
	assert_int_equal(iommu_attach_device_pasid(device, 9, d[0], NULL), 0);
	foreign = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 1);
	/* Behind another driver, as far as anybody can tell. */
	foreign->ops = NULL;
	take_picture(&fx, &picture);
	assert_int_equal(iommu_replace_device_pasid(device, 9, foreign, NULL, NULL), -EINVAL);
	assert_int_equal(iommu_attach_device_pasid(device, 70000, foreign, NULL), -EINVAL);
	compare_picture(&fx, &picture);
	foreign->ops = d[0]->ops;
	assert_in(&fx, RID, 9, d[0]);
	assert_in(&fx, RID2, 9, d[0]);
	assert_int_equal(iommu_detach_device_pasid(device, 9), 0);
	free_domains(d, 2);
	free_domains(&foreign, 1);
	fixture_close(&fx);
	fixture_close(&other);
}

/* ---- What else goes on in a group ---- */

static void test_group_life(void **state)
{
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	const struct iommu_device_desc late = { .rids = { RID2 }, .nrids = 1, .pasid_bits = 4 };
	struct iommu_device_desc desc = late;
	struct iommu_domain *d[3];
	int me;

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	for (unsigned i = 0; i < 2; i++)
		d[i] = first_stage(&fx, 16 * i);
	d[2] = fixture_domain(&fx, IOMMU_DOMAIN_IDENTITY, 0);
	assert_int_equal(iommu_attach_device_pasid(device, 9, d[0], NULL), 0);
	/* Neither come nor go, nor take. */
	desc.unit = fx.machine.unit;
	assert_int_equal(iommu_group_add_device(group, &desc, &fx.devices[7]), -EBUSY);
	assert_int_equal(iommu_group_remove_device(group, device), -EBUSY);
	assert_int_equal(iommu_group_claim_dma_owner(group, &me), -EBUSY);
	/* The default domain changes beneath. */
	assert_int_equal(iommu_group_set_default_domain(group, d[2]), 0);
	assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
	assert_in(&fx, RID, 9, d[0]);
	assert_int_equal(iommu_detach_device_pasid(device, 9), 0);

	assert_int_equal(iommu_group_claim_dma_owner(group, &me), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 9, d[1], NULL), 0);
	assert_int_equal(iommu_group_release_dma_owner(group), -EBUSY);
	assert_int_equal(iommu_attach_group(group, d[0]), 0);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_in(&fx, RID, IOMMU_NO_PASID, NULL);
	assert_in(&fx, RID, 9, d[1]);
	assert_int_equal(iommu_detach_device_pasid(device, 9), 0);
	assert_int_equal(iommu_group_release_dma_owner(group), 0);
	assert_in(&fx, RID, IOMMU_NO_PASID, d[2]);
	assert_int_equal(iommu_group_set_default_domain(group, NULL), 0);
	/* Gone, and its PASIDs are off. */
	assert_int_equal(iommu_group_remove_device(group, device), 0);
	fx.ndevices = 0;
	assert_false(machine_pasid_enabled(&fx.machine, RID, 0));
	free_domains(d, 3);
	fixture_close(&fx);
}

struct heard {
	unsigned count;
	struct iommu_fault last;
};

static void hear(void *handle, const struct iommu_fault *fault)
{
	struct heard *heard = handle;

	heard->count++;
	heard->last = *fault;
}

static void test_faults(void **state)
{
	struct heard unit = { 0 }, first = { 0 }, second = { 0 };
	const struct iommu_attach_handle one = { hear, &first }, two = { hear, &second };
	const struct iommu_replace_options options = { .handle = &two };
	struct fixture fx;
	struct iommu_group *group;
	struct iommu_device *device;
	struct iommu_domain *d[2];

	(void)state;
	open_pasid(&fx, false);
	group = fixture_group(&fx);
	device = add_device(&fx, group, RID, BITS);
	d[0] = first_stage(&fx, 0);
	d[1] = first_stage(&fx, 16);
	iommu_unit_set_fault_handler(fx.machine.unit, hear, &unit);
	assert_int_equal(iommu_attach_device_pasid(device, 77, d[0], &one), 0);
	assert_int_equal(dma(&fx, RID, 77, 32 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(first.count, 1);
	assert_int_equal(first.last.pasid, 77);
	assert_ptr_equal(first.last.device, device);
	assert_int_equal(first.last.iova, 32 * MIB);
	assert_int_equal(first.last.cause, IOMMU_FAULT_NOT_MAPPED);
	assert_false(first.last.replacing);
	/* A PASID without a domain has no handle. */
	assert_int_equal(dma(&fx, RID, 78, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(unit.count, 1);
	assert_int_equal(unit.last.pasid, 78);
	/* AMD-Vi has one page fault for both. */
	assert_int_equal(unit.last.cause, strcmp(arch, "amdvi") == 0 ? IOMMU_FAULT_NOT_MAPPED : IOMMU_FAULT_BLOCKED);
	/* Neither have requests without PASID. */
	assert_int_equal(dma(&fx, RID, IOMMU_NO_PASID, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(unit.count, 2);
	assert_int_equal(first.count, 1);
	/* The same domain: only the handle changes; then another domain. */
	fx.steps = 0;
	assert_int_equal(iommu_replace_device_pasid(device, 77, d[0], &options, NULL), 0);
	assert_int_equal(fx.steps, 0);
	assert_int_equal(dma(&fx, RID, 77, 32 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(second.count, 1);
	assert_int_equal(iommu_replace_device_pasid(device, 77, d[1], NULL, NULL), 0);
	assert_int_equal(dma(&fx, RID, 77, 32 * MIB, IOMMU_READ), FAULTS);
	assert_int_equal(iommu_unit_handle_faults(fx.machine.unit), 1);
	assert_int_equal(second.count, 1);
	assert_int_equal(unit.count, 3);
	assert_int_equal(iommu_detach_device_pasid(device, 77), 0);
	free_domains(d, 2);
	fixture_close(&fx);
}

/* ---- Map and unmap ---- */

/* One domain behind requests without PASID of one device and behind PASIDs of two. */
static void check_unmap(bool ats)
{
	static const struct { uint32_t rid, pasid; } users[] = {
		{ RID, IOMMU_NO_PASID }, { RID, 3 }, { RID, 500 }, { RID2, 3 }, { RID2, 4 },
	};
	struct fixture fx;
	struct iommu_device *a, *b;
	struct iommu_domain *d;

	open_pasid(&fx, ats);
	a = add_device(&fx, fixture_group(&fx), RID, BITS);
	b = add_device(&fx, fixture_group(&fx), RID2, BITS);
	d = first_stage(&fx, 0);
	assert_int_equal(iommu_attach_group(fx.groups[0], d), 0);
	assert_int_equal(iommu_attach_device_pasid(a, 3, d, NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(a, 500, d, NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(b, 3, d, NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(b, 4, d, NULL), 0);
	for (unsigned page = 0; page < 8; page++) {
		uint64_t iova = WINDOW + page * 4096;

		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(dma(&fx, users[i].rid, users[i].pasid, iova, IOMMU_WRITE), fx.data + page * 4096);
		assert_int_equal(iommu_unmap(d, iova, 4096), 4096);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(dma(&fx, users[i].rid, users[i].pasid, iova, IOMMU_WRITE), FAULTS);
		/* Fewer and fewer. */
		if (page == 4)
			assert_int_equal(iommu_detach_device_pasid(a, 500), 0);
		if (page == 4)
			assert_int_equal(iommu_attach_device_pasid(a, 500, d, NULL), 0);
	}
	assert_int_equal(iommu_detach_device_pasid(a, 3), 0);
	assert_int_equal(iommu_detach_device_pasid(a, 500), 0);
	assert_int_equal(iommu_detach_device_pasid(b, 3), 0);
	assert_int_equal(iommu_detach_device_pasid(b, 4), 0);
	assert_int_equal(iommu_detach_group(fx.groups[0]), 0);
	free_domains(&d, 1);
	fixture_close(&fx);
}

static void test_unmap_is_final(void **state)
{
	(void)state;
	check_unmap(false);
	check_unmap(true);
}

/* Somebody else's page table: here one that a domain of our own has made. */
static void test_external(void **state)
{
	struct fixture fx;
	struct iommu_device *device;
	struct iommu_domain *owner, *external, *d;
	struct iommu_domain_desc desc = { .type = IOMMU_DOMAIN_EXTERNAL };
	uint64_t phys;

	(void)state;
	open_pasid(&fx, true);
	device = add_device(&fx, fixture_group(&fx), RID, BITS);
	owner = first_stage(&fx, 0);
	d = first_stage(&fx, 16);
	desc.root = owner->pgtable.ops->root_phys(&owner->pgtable);
	desc.levels = owner->pgtable.config.levels;
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &external), 0);
	assert_int_equal(iommu_map(external, WINDOW, 0, 4096, IOMMU_READ), -EINVAL);
	assert_int_equal(iommu_unmap(external, WINDOW, 4096), -EINVAL);
	assert_int_equal(iommu_iova_to_phys(external, WINDOW, &phys), -EOPNOTSUPP);
	assert_int_equal(iommu_domain_invalidate(d, WINDOW, 4096, false), -EINVAL);
	assert_int_equal(iommu_domain_invalidate(external, WINDOW, 100, false), -EINVAL);
	assert_int_equal(iommu_domain_invalidate(external, WINDOW, 0, false), -EINVAL);
	assert_int_equal(iommu_domain_invalidate(external, WINDOW, 4096, false), 0);

	assert_int_equal(iommu_attach_device_pasid(device, 12, external, NULL), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 13, external, NULL), 0);
	assert_in(&fx, RID, 12, owner);
	assert_in(&fx, RID, 13, owner);
	/* The owner's own unmap knows nothing of the device; his call does. */
	assert_int_equal(iommu_unmap(owner, WINDOW, 4096), 4096);
	assert_int_equal(dma(&fx, RID, 12, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(iommu_domain_invalidate(external, WINDOW, 4096, false), 0);
	assert_in(&fx, RID, 12, owner);
	assert_in(&fx, RID, 13, owner);
	assert_int_equal(dma(&fx, RID, 12, WINDOW + 4096, IOMMU_READ), fx.data + 4096);
	assert_int_equal(iommu_replace_device_pasid(device, 12, d, NULL, NULL), 0);
	assert_in(&fx, RID, 12, d);
	assert_int_equal(dma(&fx, RID, 13, WINDOW + 4096, IOMMU_READ), fx.data + 4096);
	assert_int_equal(iommu_replace_device_pasid(device, 12, external, NULL, NULL), 0);
	assert_int_equal(dma(&fx, RID, 12, WINDOW + 4096, IOMMU_READ), fx.data + 4096);
	assert_int_equal(iommu_detach_device_pasid(device, 12), 0);
	assert_int_equal(iommu_detach_device_pasid(device, 13), 0);
	desc.root |= 8;
	assert_int_equal(iommu_domain_alloc(fx.machine.unit, &desc, &(struct iommu_domain *){ NULL }), -EINVAL);
	free_domains(&external, 1);
	free_domains(&owner, 1);
	free_domains(&d, 1);
	fixture_close(&fx);
}

/* The rights of a request with PASID: execute and privileged. */
static void test_rights(void **state)
{
	/* VT-d blocks requests to execute altogether; x86 tables have no right of their own for it, and AMD-Vi lets it pass. */
	bool has_right = strcmp(arch, "riscv") == 0 || strcmp(arch, "smmuv3") == 0;
	/* VT-d blocks supervisors (SRE), and RISC-V keeps them out of what is mapped for users (SUM); the others don't. */
	bool keeps_out = is_vtd() || strcmp(arch, "riscv") == 0;
	struct fixture fx;
	struct iommu_device *device;
	struct iommu_domain *d;

	(void)state;
	open_pasid(&fx, false);
	device = add_device(&fx, fixture_group(&fx), RID, BITS);
	d = fixture_domain(&fx, IOMMU_DOMAIN_PAGING, 1);
	assert_int_equal(iommu_map(d, WINDOW, fx.data, 4096, IOMMU_READ), 0);
	assert_int_equal(iommu_map(d, WINDOW + 4096, fx.data, 4096, IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(iommu_map(d, WINDOW + 8192, fx.data, 4096, IOMMU_READ | (has_right ? IOMMU_EXEC : 0)), 0);
	assert_int_equal(iommu_attach_device_pasid(device, 21, d, NULL), 0);
	assert_int_equal(dma(&fx, RID, 21, WINDOW, IOMMU_READ), fx.data);
	assert_int_equal(dma(&fx, RID, 21, WINDOW, IOMMU_WRITE), FAULTS);
	assert_int_equal(dma(&fx, RID, 21, WINDOW + 4096, IOMMU_WRITE), fx.data);
	if (has_right)
		assert_int_equal(dma(&fx, RID, 21, WINDOW, IOMMU_READ | IOMMU_EXEC), FAULTS);
	assert_int_equal(dma(&fx, RID, 21, WINDOW + 8192, IOMMU_READ | IOMMU_EXEC), is_vtd() ? FAULTS : fx.data);
	assert_int_equal(dma(&fx, RID, 21, WINDOW, IOMMU_READ | IOMMU_PRIV), keeps_out ? FAULTS : fx.data);
	assert_int_equal(iommu_detach_device_pasid(device, 21), 0);
	free_domains(&d, 1);
	fixture_close(&fx);
}

int main(void)
{
	static const char *const archs[] = { "vtd", "amdvi", "riscv", "smmuv3" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_detach),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_replace_any_to_any),
		cmocka_unit_test(test_replace_with_ats),
		cmocka_unit_test(test_replace_noncoherent),
		cmocka_unit_test(test_replace_quantum_64),
		cmocka_unit_test(test_rid_beside_pasids),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_allocation_failures),
		cmocka_unit_test(test_member_fails),
		cmocka_unit_test(test_group_life),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_unmap_is_final),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_rights),
	};
	int failed = 0;

	for (unsigned i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		arch = archs[i];
		failed += cmocka_run_group_tests_name(arch, tests, NULL, NULL);
	}
	return failed;
}
