/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * instant.h - a command queue whose hardware is done inside the doorbell write.
 *
 * What a replace costs the CPU can only be seen where nothing waits. The unit is brought up on its model; then its queue's
 * registers are taken over: a doorbell consumes the commands at once, which means to carry out the stores of its waits and nothing
 * else. The unit believes that all was invalidated. No DMA may run. The machine's `observer` is ours meanwhile.
 */
#ifndef BENCH_INSTANT_H
#define BENCH_INSTANT_H

#include "machine.h"

struct instant_arch {
	const char *name;		/* the machine's architecture */
	unsigned base, head, tail;	/* registers */
	unsigned tail_bits;		/* width of head and tail registers */
	unsigned shift;			/* of an index in them */
	unsigned words;			/* of a command */
	/* The ring's physical address and number of commands, by the base register. */
	void (*ring)(uint64_t base, uint64_t *phys, unsigned *count);
	/* Is the command a wait that stores? Then where, what and how wide. */
	bool (*wait)(const uint64_t *command, uint64_t *phys, uint64_t *value, unsigned *bytes);
	bool wraps;			/* head and tail count twice through the ring: a wrap bit */
};

#define INSTANT_LOG 4096u

struct instant {
	const struct instant_arch *arch;
	struct machine *machine;
	struct hitless_port port;	/* as it was */
	uint64_t *ring;
	unsigned count, turn, at;	/* commands in the ring; values of an index (both powers of two); the next */
	/* For the calibrator: the raw commands and doorbells since log_n was last zeroed. */
	bool logging;
	unsigned log_n;
	uint64_t log[INSTANT_LOG];
	unsigned doorbells, log_end[64];	/* words logged at each doorbell */
};

/* NULL: there is none. */
const struct instant_arch *instant_find(const char *arch);
/* Takes over the queue of the machine's unit, which is up; and gives it back, so that the unit can be destroyed. */
void instant_take(struct instant *instant, const struct instant_arch *arch, struct machine *machine);
void instant_give_back(struct instant *instant);
/* Carries out `count` commands of a ring, as the doorbell does. */
void instant_consume(const struct instant *instant, const uint64_t *commands, unsigned count);

#endif
