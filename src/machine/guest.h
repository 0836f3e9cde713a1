/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * guest.h - a machine that is a kernel with the library in it (examples/baremetal), running in QEMU: one CPU replaces domains
 * while another makes a device do DMA. The kernel says what it saw on its serial port; this starts it and listens.
 */
#ifndef MACHINE_GUEST_H
#define MACHINE_GUEST_H

#include "qemu.h"

/* The n-th board that has a kernel; NULL: there are no more. All of qemu_boards, and those that only a guest can use. */
const struct qemu_board *guest_board(unsigned n);
extern const struct qemu_board guest_smmuv3;

/* The file of the kernel for a board, or false: it isn't built. Looked for in $HITLESS_GUESTS, and beside this program. */
bool guest_image(const struct qemu_board *board, char *path, size_t size);
/* For a user: how to get one. */
const char *guest_missing(void);

/*
 * Runs the kernel to its end. `options` is its command line; `line` is called for each line that it prints, but for the last, the
 * document, which becomes *json (free() it). `error` is a sentence about what went wrong.
 * -ENOENT: no suitable QEMU, see qemu_missing(); -ETIMEDOUT: it said nothing for a long time; -EIO: it ended without a document.
 */
int guest_run(const struct qemu_board *board, const char *image, const char *options,
	      void (*line)(void *ctx, const char *text), void *ctx, char **json, char *error, size_t error_size);

#endif
