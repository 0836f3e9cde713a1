/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * qtest.h - a QEMU process that runs no code of its own: registers, ports and the clock are driven over a socket, one operation
 * at a time (QEMU's docs/devel/testing/qtest.rst).
 */
#ifndef MACHINE_QTEST_H
#define MACHINE_QTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qtest {
	pid_t pid;
	int socket;
	bool lost;			/* the process is gone: every later operation does nothing, reads give all ones */
	unsigned owed;			/* answers to operations that nobody has waited for yet */
	size_t pending, filled, taken;
	char out[8192], in[8192];
};

/*
 * Starts `program` with `arguments` (NULL-terminated) and those for the socket. Its RAM is the `ram_bytes` of the
 * file `ram_fd`, object "ram". `folder` has the program; NULL: PATH. The process dies with this one, and with the thread that started it.
 * -ENOENT: there is no such program; -ENOPROTOOPT: it is there, but has no qtest, or not these devices.
 */
int qtest_start(struct qtest *qtest, const char *folder, const char *program, const char *const *arguments, int ram_fd,
		size_t ram_bytes);
void qtest_stop(struct qtest *qtest);

/* Memory-mapped registers; `size` is 1, 2, 4 or 8. A write has been carried out when it returns. */
uint64_t qtest_read(struct qtest *qtest, uint64_t addr, unsigned size);
void qtest_write(struct qtest *qtest, uint64_t addr, unsigned size, uint64_t value);
/* The same, but not before the next operation that waits: cheaper in a row. */
void qtest_post(struct qtest *qtest, uint64_t addr, unsigned size, uint64_t value);

/* x86's ports. */
uint32_t qtest_in(struct qtest *qtest, uint16_t port, unsigned size);
void qtest_out(struct qtest *qtest, uint16_t port, unsigned size, uint32_t value);

/* The virtual clock goes on, and runs the timers that are due. */
void qtest_clock_step(struct qtest *qtest, uint64_t ns);

#endif
