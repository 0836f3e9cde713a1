/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* child.h - a QEMU process as this program's child. */
#ifndef MACHINE_CHILD_H
#define MACHINE_CHILD_H

#include <sys/types.h>

/*
 * In the child, after fork(): becomes `argv`, and does not outlive `parent`, whatever becomes of that. stdin is empty, stdout is
 * `output`, or nowhere if that is -1; stderr is nowhere, unless HITLESS_QEMU_STDERR is set. Other files are closed if they were
 * opened with O_CLOEXEC. Exits with 127 if there is no such program.
 */
_Noreturn void child_become(const char *const *argv, pid_t parent, int output);

#endif
