/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * qemu_differ.h - the same request to our model and to QEMU, over the same memory, and what each made of it.
 *
 * Both units have the same registers written to them, read the same tables and the same command queue. A round has random tables and random
 * entries, valid and not; then come requests. The model goes first; what it wrote (accessed and dirty bits, records) is taken back
 * before QEMU's turn, so each starts from the same memory. Both are emptied of what they have cached before each request.
 *
 * Writes are iommu-testdev's, reads are edu's, each of 4 bytes: QEMU splits what it must refuse into pieces of 4.
 */
#ifndef TESTS_QEMU_DIFFER_H
#define TESTS_QEMU_DIFFER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/qemu.h"

#include <hitless/model.h>

#define DIFFER_FRAMES 64	/* for tables; aligned to 64 KiB */
#define DIFFER_TABLES 24	/* ... of which so many are used where tables have 4 KiB */
#define DIFFER_DATA 16
#define DIFFER_READS 64		/* in a round, at most */
#define DIFFER_LOG 64

/* What a unit says of a request, besides doing it or not. Fields that an architecture doesn't have stay 0. */
struct differ_fault {
	bool recorded;
	uint32_t reason, rid, pasid, access, flags;
	uint64_t addr, addr2;
};

struct differ_view {
	bool done;
	uint64_t phys;		/* 0: unknown */
	uint32_t data;		/* of a read */
	uint32_t inside;	/* the model: the reason, also of a fault that is not recorded */
	struct differ_fault fault;
};

enum differ_kind { DIFFER_WRITE, DIFFER_READ, DIFFER_DEBUG };

struct differ_request {
	enum differ_kind kind;
	uint32_t rid, pasid;	/* pasid: of DIFFER_DEBUG only */
	unsigned access;	/* ... likewise */
	uint64_t iova;
	struct differ_view model, qemu;
	bool tables_differ;	/* accessed and dirty bits */
};

struct differ;

/* Something that QEMU does not look at: the tables are changed so that it makes no difference, and the model is asked again. */
struct differ_blindness {
	const char *name;	/* as in docs/qemu.md */
	void (*change)(struct differ *d, const struct differ_request *request);
};

struct differ_arch {
	const char *name;
	const struct iommu_model_ops *model;
	/* What the model's configuration must say, from QEMU's registers. */
	void (*configure)(struct differ *d, struct iommu_model_config *config);
	/* Brings both up: queues on, translation on. Memory is zero. */
	void (*start)(struct differ *d);
	/* Random tables and entries. */
	void (*build)(struct differ *d);
	/* The entry of `rid` lets it reach all of memory, untranslated. */
	void (*open)(struct differ *d, uint32_t rid);
	/* Empties both of what they have cached. */
	void (*flush)(struct differ *d);
	/* Takes the fault records of one of them; the first is kept. */
	void (*take_faults)(struct differ *d, bool qemu, struct differ_fault *fault);
	uint64_t (*iova)(struct differ *d);
	/* A request through the unit's registers, for architectures that have it: chooses it, and asks one of them. NULL: none. */
	void (*choose_debug)(struct differ *d, struct differ_request *request);
	void (*debug)(struct differ *d, bool qemu, struct differ_request *request);
	/*
	 * The name of a quirk of QEMU's (docs/qemu.md) that explains a part of the difference, which it takes out of the views: then they are
	 * compared again. NULL: there is none.
	 */
	const char *(*quirk)(struct differ *d, struct differ_request *request);
	const struct differ_blindness *blindnesses;	/* at most 6, the last one without a name */
	/* Prints the entry of `rid` and what it leads to. */
	void (*print)(struct differ *d, const struct differ_request *request);
	uint64_t hole, hole_end;	/* of memory, from its base: no DMA goes there */
	bool silent_writes;	/* whether a write was done is seen in memory only */
};

struct differ {
	const struct differ_arch *arch;
	const struct qemu_board *board;
	struct machine machine;
	struct iommu_model_config config;
	struct iommu_model_port port;
	struct iommu_model model;
	uint64_t tables, data, dump, commands, records;	/* frames */
	unsigned tail, record[2];			/* of the command queue; of the records, by unit */
	uint64_t log[DIFFER_LOG][3];			/* what the model has stored: address, before, after */
	unsigned nlog;
	char *pristine;					/* a copy of the tables */
	const struct qemu_function *testdev, *edu;
	struct differ_request reads[DIFFER_READS];
	unsigned nreads;
	uint64_t requests, done, faults, explained;
	uint64_t seed;
	unsigned mode;					/* the architecture's own */
};

extern const struct differ_arch differ_riscv, differ_vtd_legacy, differ_vtd, differ_amdvi, differ_smmuv3;

/* ---- Memory, registers, chance ---- */

static inline uint64_t differ_table(const struct differ *d, unsigned number)
{
	return d->tables + number * 4096ull;
}

static inline uint64_t *differ_at(const struct differ *d, uint64_t phys)
{
	return machine_virt(&d->machine, phys);
}

static inline uint64_t differ_random_table(const struct differ *d)
{
	return differ_table(d, (unsigned)(machine_random() >> 33) % DIFFER_TABLES);
}

static inline uint64_t differ_random_data(const struct differ *d)
{
	return d->data + ((machine_random() >> 33) % DIFFER_DATA) * 4096;
}

/* True in `percent` of all cases. */
static inline bool differ_chance(unsigned percent)
{
	return (machine_random() >> 33) % 100 < percent;
}

static inline unsigned differ_pick(unsigned count)
{
	return (unsigned)(machine_random() >> 33) % count;
}

/* Where no board has anything, and no DMA does anything: it must not hit a device of QEMU's, one of which turns the power off. */
#define DIFFER_NOWHERE (1ull << 43)

/* A bit that is none of an address's. */
static inline uint64_t differ_flip(void)
{
	unsigned bit = differ_pick(22);

	return 1ull << (bit < 10 ? bit : bit + 42);
}

/* A 9-bit index, mostly one of a few, so that walks meet. */
static inline unsigned differ_index(void)
{
	static const unsigned hot[] = { 0, 1, 2, 3, 255, 256, 510, 511 };

	return differ_chance(90) ? hot[differ_pick(8)] : differ_pick(512);
}

uint64_t differ_read(struct differ *d, bool qemu, uint64_t offset, unsigned size);
void differ_write(struct differ *d, bool qemu, uint64_t offset, unsigned size, uint64_t value);
/* What the model has stored since d->nlog was 0. */
void differ_take_back(struct differ *d);
/* To both. */
void differ_write_both(struct differ *d, uint64_t offset, unsigned size, uint64_t value);

#endif
