/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * model.h - what the models of all architectures share: the operations behind hitless/model.h, atomic access to the
 * flat state, and the choices.
 *
 * Words of the state that more than one thread may touch are plain uint64_t, accessed by the builtins below and never by
 * fences, so that ThreadSanitizer understands every pairing.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <hitless/model.h>

/* Freestanding: the two functions of a libc that a model may use (and that compilers call by themselves). */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

struct iommu_model_ops {
	const char *name;
	size_t (*size)(const struct iommu_model_config *config);
	/* The state is all zero. */
	void (*init)(struct iommu_model *model, const struct iommu_model_config *config);
	uint64_t (*read)(struct iommu_model *model, uint64_t offset, unsigned size);
	void (*write)(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value);
	bool (*tick)(struct iommu_model *model);
	void (*begin)(struct iommu_model *model, struct iommu_request *request);
	void (*step)(struct iommu_model *model, struct iommu_request *request);
	void (*end)(struct iommu_model *model, struct iommu_request *request);
	void (*translate)(struct iommu_model *model, struct iommu_request *request);
	bool (*devtlb_lookup)(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys, uint32_t *rights);
	bool (*drained)(const struct iommu_model *model, const struct iommu_request *request);
	void (*settle)(struct iommu_model *model);
	bool (*overflow)(const struct iommu_model *model);
	const char *(*reason)(const struct iommu_model *model, uint32_t reason);
	void (*dump)(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx);
};

static inline uint64_t word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void word_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Sequentially consistent: for "I write mine, then look at yours" between a lane and who invalidates. */
static inline uint64_t word_load_sc(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void word_store_sc(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline bool word_replace(uint64_t *word, uint64_t expected, uint64_t value)
{
	return __atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline uint64_t word_set(uint64_t *word, uint64_t bits)
{
	return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static inline uint64_t word_clear(uint64_t *word, uint64_t bits)
{
	return __atomic_fetch_and(word, ~bits, __ATOMIC_SEQ_CST);
}

static inline bool word_try_lock(uint64_t *word)
{
	return word_replace(word, 0, 1);
}

static inline void word_lock(uint64_t *word)
{
	while (!word_try_lock(word)) {
		while (word_load(word))
			; /* whoever holds it is a few instructions from releasing it */
	}
}

static inline void word_unlock(uint64_t *word)
{
	word_store(word, 0);
}

/* 0 is what hardware does on an ordinary day. */
static inline unsigned model_choose(const struct iommu_model_port *port, uint64_t freedoms, enum iommu_freedom freedom,
				    unsigned count)
{
	unsigned choice;

	if (count < 2 || !port->choose || !(freedoms & IOMMU_FREE_BIT(freedom)))
		return 0;
	choice = port->choose(port->ctx, freedom, count);
	return choice < count ? choice : 0;
}

/* A line of text, for dumps; no printf in a freestanding library. */
struct model_text {
	char line[160];
	unsigned length;
};

void model_text(struct model_text *text, const char *string);
void model_text_hex(struct model_text *text, const char *name, uint64_t value);

#endif
