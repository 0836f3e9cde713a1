/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * test_fence_riscv.c - the last IOFENCE.C of a replace has PR and PW: what was translated by the old domain is globally done
 * when the replace returns (DESIGN.md, the promise, 1), also where no IOTINVAL comes before it. A driver whose fences lack them is
 * caught.
 */
#include "fixture.h"

#include <hitless/riscv.h>

#include "layout/riscv.h"

#define RID 0x0005u
#define REGISTERS 0x03010000ull
#define PATIENCE 50		/* looks at the fence before the request ends */

/* A request that has its translation and has not done its access. */
static struct iommu_request held;
static bool in_flight;
static unsigned looks;
static bool strip;		/* the fault: fences without PR and PW */
static void (*real_relax)(void *ctx);
static void (*real_write32)(void *ctx, uint64_t addr, uint32_t value);

static void relax(void *ctx)
{
	struct machine *machine = ctx;

	if (in_flight && ++looks == PATIENCE) {
		iommu_model_end(&machine->model, &held);
		in_flight = false;
	}
	real_relax(ctx);
}

/* The doorbell: what is in the queue by now is about to be fetched. */
static void write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct machine *machine = ctx;

	if (strip && addr == REGISTERS + RISCV_REG_CQT) {
		uint64_t base = iommu_model_read(&machine->model, RISCV_REG_CQB, 8);
		uint64_t *ring = machine_virt(machine, RISCV_ADDR(GET(RISCV_QUEUE_BASE, PPN, &base)));

		for (uint32_t i = 0; i < 1u << (GET(RISCV_QUEUE_BASE, LOG2SZ, &base) + 1); i++)
			if (GET(RISCV_CMD, OPCODE, &ring[i * 2]) == RISCV_OP_IOFENCE) {
				SET(RISCV_IOFENCE, PR, &ring[i * 2], 0);
				SET(RISCV_IOFENCE, PW, &ring[i * 2], 0);
			}
	}
	real_write32(ctx, addr, value);
}

/* Replaces `from` by `to` while a request that `from` has translated is in flight. Has the replace waited for it? */
static bool waits(unsigned access, enum iommu_domain_type type, unsigned stage)
{
	/* The end of an IODIR says nothing about translations that have the old context. */
	const struct machine_config config = { .arch = machine_arch_by_name("riscv"), .seed = 1, .lanes = 2,
					       .freedoms = IOMMU_FREE_BIT(IOMMU_FREE_LATE_FILL) };
	struct iommu_domain *from, *to;
	struct iommu_group *group;
	struct fixture fx;
	bool waited;

	fixture_open_config(&fx, config);
	real_relax = fx.machine.port.relax;
	real_write32 = fx.machine.port.mmio_write32;
	fx.machine.port.relax = relax;
	fx.machine.port.mmio_write32 = write32;
	group = fixture_group(&fx);
	fixture_device(&fx, group, RID);
	from = type == IOMMU_DOMAIN_PAGING ? fixture_paging(&fx, stage, 0) : fixture_domain(&fx, type, 0);
	to = fixture_paging(&fx, 2, 16);
	assert_int_equal(iommu_attach_group(group, from), 0);
	held = (struct iommu_request){ .rid = RID, .pasid = IOMMU_NO_PASID, .addr = WINDOW, .access = (uint8_t)access, .lane = 1 };
	assert_int_equal(iommu_model_translate(&fx.machine.model, &held), IOMMU_REQUEST_DONE);
	in_flight = true;
	looks = 0;
	assert_int_equal(iommu_group_replace_domain(group, to, NULL, NULL), 0);
	waited = !in_flight;
	if (in_flight)
		iommu_model_end(&fx.machine.model, &held);
	in_flight = false;
	strip = false;
	assert_int_equal(fixture_dma(&fx, RID, WINDOW, IOMMU_READ), fx.data + 16 * 4096);
	assert_int_equal(iommu_detach_group(group), 0);
	assert_int_equal(iommu_domain_free(from), 0);
	assert_int_equal(iommu_domain_free(to), 0);
	fixture_close(&fx);
	return waited;
}

static void test_waits(void **state)
{
	(void)state;
	for (unsigned access = IOMMU_READ; access <= IOMMU_WRITE; access <<= 1) {
		assert_true(waits(access, IOMMU_DOMAIN_IDENTITY, 0));
		assert_true(waits(access, IOMMU_DOMAIN_PAGING, 1));
		assert_true(waits(access, IOMMU_DOMAIN_PAGING, 2));
	}
}

/* From identity there is nothing to invalidate but the context: only the fence's bits make it wait. */
static void test_fault_is_seen(void **state)
{
	(void)state;
	for (unsigned access = IOMMU_READ; access <= IOMMU_WRITE; access <<= 1) {
		strip = true;
		assert_false(waits(access, IOMMU_DOMAIN_IDENTITY, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_fault_is_seen),
	};

	return cmocka_run_group_tests_name("RISC-V fences", tests, NULL, NULL);
}
