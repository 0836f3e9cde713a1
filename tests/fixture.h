/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fixture.h - a model machine with a unit, for the tests of core and drivers. */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/machine.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct fixture {
	struct machine machine;
	struct iommu_group *groups[4];
	struct iommu_device *devices[8];
	unsigned ngroups, ndevices;
	uint64_t data;		/* 64 reserved frames */
	unsigned steps;		/* counted by the trace hook */
	unsigned stores, commands;
};

static inline void count_step(void *ctx, const struct iommu_step *step)
{
	struct fixture *fx = ((struct machine *)ctx)->observer;

	fx->steps++;
	fx->stores += step->op == IOMMU_STEP_STORE;
	fx->commands += step->op == IOMMU_STEP_INVALIDATE;
}

static inline void fixture_open_config(struct fixture *fx, struct machine_config config)
{
	memset(fx, 0, sizeof(*fx));
	/* What is cached stays cached until the driver says otherwise: a missing invalidation shows. */
	config.freedoms |= IOMMU_FREE_BIT(IOMMU_FREE_KEEP);
	assert_int_equal(machine_create(&fx->machine, &config), 0);
	fx->machine.observer = fx;
	fx->machine.port.trace = count_step;
	fx->data = machine_reserve_frames(&fx->machine, 64);
	assert_int_equal(machine_start_unit(&fx->machine), 0);
}

static inline void fixture_open(struct fixture *fx, const char *arch)
{
	const struct machine_config config = { .arch = machine_arch_by_name(arch), .seed = 1 };

	fixture_open_config(fx, config);
}

static inline struct iommu_group *fixture_group(struct fixture *fx)
{
	assert_int_equal(iommu_group_alloc(&fx->machine.port, &fx->groups[fx->ngroups]), 0);
	return fx->groups[fx->ngroups++];
}

static inline struct iommu_device *fixture_device(struct fixture *fx, struct iommu_group *group, uint32_t rid)
{
	const struct iommu_device_desc desc = { .unit = fx->machine.unit, .rids = { rid }, .nrids = 1, .ats = true };

	machine_add_function(&fx->machine, rid);
	assert_int_equal(iommu_group_add_device(group, &desc, &fx->devices[fx->ndevices]), 0);
	return fx->devices[fx->ndevices++];
}

/* Everything goes back: nothing may have leaked. */
static inline void fixture_close(struct fixture *fx)
{
	for (unsigned i = 0; i < fx->ngroups; i++) {
		assert_int_equal(iommu_detach_group(fx->groups[i]), 0);
		assert_int_equal(iommu_group_set_default_domain(fx->groups[i], NULL), 0);
	}
	for (unsigned i = 0; i < fx->ndevices; i++)
		for (unsigned g = 0; g < fx->ngroups; g++)
			if (fx->devices[i] && iommu_group_remove_device(fx->groups[g], fx->devices[i]) == 0)
				fx->devices[i] = NULL;
	for (unsigned i = 0; i < fx->ngroups; i++)
		assert_int_equal(iommu_group_free(fx->groups[i]), 0);
	assert_int_equal(iommu_unit_destroy(fx->machine.unit), 0);
	fx->machine.unit = NULL;
	assert_int_equal(fx->machine.frames_in_use, 0);
	assert_int_equal(fx->machine.heap_in_use, 0);
	machine_destroy(&fx->machine);
}

static inline struct iommu_domain *fixture_domain(struct fixture *fx, enum iommu_domain_type type, unsigned stage)
{
	const struct iommu_domain_desc desc = { .type = type, .stage = stage };
	struct iommu_domain *domain;

	assert_int_equal(iommu_domain_alloc(fx->machine.unit, &desc, &domain), 0);
	return domain;
}

/* A paging domain that maps 1 MiB .. + 16 pages to data frame `frame` and following. */
#define WINDOW MIB

static inline struct iommu_domain *fixture_paging(struct fixture *fx, unsigned stage, unsigned frame)
{
	struct iommu_domain *domain = fixture_domain(fx, IOMMU_DOMAIN_PAGING, stage);

	assert_int_equal(iommu_map(domain, WINDOW, fx->data + frame * 4096ull, 16 * 4096, IOMMU_READ | IOMMU_WRITE), 0);
	return domain;
}

/* Where a DMA to `iova` lands; UINT64_MAX: it faults. */
static inline uint64_t fixture_dma(struct fixture *fx, uint32_t rid, uint64_t iova, unsigned access)
{
	struct machine_dma dma = { .rid = rid, .pasid = IOMMU_NO_PASID, .iova = iova, .access = access };

	dma.ats = machine_ats_enabled(&fx->machine, rid);
	machine_dma(&fx->machine, &dma);
	return dma.done ? dma.phys : UINT64_MAX;
}

#define FAULTS UINT64_MAX

/* What a failed call must not change: all tables of the unit and all page tables, tags, memory. */
struct picture {
	char *tables;
	size_t bytes;
	uint32_t tags, frames;
	size_t heap;
};

static inline void take_picture(struct fixture *fx, struct picture *picture)
{
	struct iommu_unit_info info;

	iommu_unit_get_info(fx->machine.unit, &info);
	picture->tags = info.tags_used;
	picture->frames = fx->machine.frames_in_use;
	picture->heap = fx->machine.heap_in_use;
	picture->bytes = 0;
	picture->tables = malloc(fx->machine.ram_bytes / 2);
	/* Frames in use only: free ones hold poison, of which a failed attempt may leave more. */
	for (uint32_t frame = fx->machine.frames / 2; frame < fx->machine.frames; frame++)
		if (fx->machine.frame_used[frame]) {
			memcpy(picture->tables + picture->bytes, fx->machine.ram + frame * 4096ull, 4096);
			picture->bytes += 4096;
		}
}

static inline void compare_picture(struct fixture *fx, struct picture *picture)
{
	struct picture now;

	take_picture(fx, &now);
	assert_int_equal(now.tags, picture->tags);
	assert_int_equal(now.frames, picture->frames);
	assert_int_equal(now.heap, picture->heap);
	assert_int_equal(now.bytes, picture->bytes);
	assert_memory_equal(now.tables, picture->tables, now.bytes);
	free(now.tables);
	free(picture->tables);
}

#endif
