/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* child.c - a QEMU process as this program's child. */
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

void child_become(const char *const *argv, pid_t parent, int output)
{
	sigset_t none;
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(output >= 0 ? output : null, 1);
	if (!getenv("HITLESS_QEMU_STDERR"))
		dup2(null, 2);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}
