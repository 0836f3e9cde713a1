/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest.c - starts the kernel in QEMU and listens to its serial port. */
#include "guest.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 64
#define SILENCE_MS 300000		/* a kernel that says nothing for so long has died */
#define CHUNK 4096

/* ---- Boards ---- */

const struct qemu_board *guest_board(unsigned n)
{
	unsigned count = 0;

	while (qemu_boards[count])
		count++;
	return n < count ? qemu_boards[n] : n == count ? &guest_smmuv3 : NULL;
}

/* ---- The kernel's file ---- */

bool guest_image(const struct qemu_board *board, char *path, size_t size)
{
	const char *arch = strrchr(board->program, '-') + 1, *named = getenv("HITLESS_GUESTS");
	char here[4096];
	ssize_t n;

	if (named && *named) {
		snprintf(path, size, "%s/hitless-%s", named, arch);
		return access(path, R_OK) == 0;
	}
	n = readlink("/proc/self/exe", here, sizeof(here) - 1);
	if (n < 0)
		return false;
	here[n] = '\0';
	*strrchr(here, '/') = '\0';
	snprintf(path, size, "%s/examples/baremetal/hitless-%s", here, arch);
	return access(path, R_OK) == 0;
}

const char *guest_missing(void)
{
	return "`make guest` builds the kernels that it takes (with x86_64-, aarch64- and riscv64-linux-gnu-gcc; on Debian "
	       "scripts/install-deps check installs those); or set HITLESS_GUESTS to the folder that has them";
}

/* ---- The process ---- */

struct process {
	pid_t pid;
	int output;
	char *text;			/* what has come and is no line yet */
	size_t filled, capacity;
};

static int start(struct process *process, const struct qemu_board *board, const char *folder, const char *image,
		 const char *options)
{
	/* Two CPUs that run at once; everything else as the board has it, with an ordinary memory. */
	const char *const common[] = {
		"-accel", "tcg,thread=multi", "-smp", "2", "-m", "256M", "-object", "memory-backend-ram,id=ram,size=256M",
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", image, "-append", options,
	};
	const char *argv[MAX_ARGUMENTS];
	pid_t parent = getpid();
	unsigned n = 0;
	char path[4096 + 64];
	int ends[2];

	memset(process, 0, sizeof(*process));
	snprintf(path, sizeof(path), "%s%s%s", folder, *folder ? "/" : "", board->program);
	argv[n++] = path;
	for (unsigned i = 0; board->arguments[i] && n < MAX_ARGUMENTS / 2; i++)
		argv[n++] = board->arguments[i];
	for (unsigned i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		argv[n++] = common[i];
	for (unsigned i = 0; board->guest_arguments && board->guest_arguments[i]; i++)
		argv[n++] = board->guest_arguments[i];
	argv[n] = NULL;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	process->pid = fork();
	if (process->pid == 0)
		child_become(argv, parent, ends[1]); /* stdout is the serial port */
	close(ends[1]);
	process->output = ends[0];
	if (process->pid > 0)
		return 0;
	close(ends[0]);
	return -EAGAIN;
}

static void stop(struct process *process)
{
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	close(process->output);
	free(process->text);
}

/* The next line, without its end; it stays until the next call. 0 with NULL: there are no more. */
static int next_line(struct process *process, char **line)
{
	struct pollfd ready = { .fd = process->output, .events = POLLIN };
	static const char end[] = "\n";
	ssize_t n;
	int count;

	/* The line that was given out before is done with. */
	if (process->text && *line) {
		size_t used = strlen(process->text) + 1;

		memmove(process->text, process->text + used, process->filled - used);
		process->filled -= used;
	}
	for (;;) {
		char *at = process->text ? memchr(process->text, end[0], process->filled) : NULL;

		if (at) {
			*at = '\0';
			for (char *c = process->text; *c; c++)
				*c = *c == '\r' ? ' ' : *c;
			*line = process->text;
			return 0;
		}
		if (process->filled + CHUNK > process->capacity) {
			size_t capacity = process->capacity * 2 + CHUNK;
			char *text = realloc(process->text, capacity);

			if (!text)
				return -ENOMEM;
			process->text = text;
			process->capacity = capacity;
		}
		count = poll(&ready, 1, SILENCE_MS);
		if (count < 0 && errno == EINTR)
			continue;
		if (count == 0)
			return -ETIMEDOUT;
		n = read(process->output, process->text + process->filled, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*line = NULL;
			return 0;
		}
		process->filled += (size_t)n;
	}
}

/* Listens to the end. `spoke`: the kernel has said at least one word, so this QEMU is not the wrong one. */
static int listen_to(struct process *process, void (*line)(void *ctx, const char *text), void *ctx, char **json, bool *spoke,
		     char *error, size_t error_size)
{
	char *text = NULL;
	int err;

	*spoke = false;
	snprintf(error, error_size, "QEMU ended without a word from the kernel");
	for (;;) {
		err = next_line(process, &text);
		if (err == -ETIMEDOUT)
			snprintf(error, error_size, "the kernel has said nothing for %u s", SILENCE_MS / 1000);
		if (err || !text)
			return err ? err : -EIO;
		*spoke = *spoke || strncmp(text, "hitless on bare metal", 21) == 0;
		if (text[0] == '{') {
			*json = strdup(text);
			return *json ? 0 : -ENOMEM;
		}
		if (*spoke) {
			/* The last line is what it died of, if it dies. */
			snprintf(error, error_size, "the kernel ended after: %s", text);
			line(ctx, text);
		}
	}
}

int guest_run(const struct qemu_board *board, const char *image, const char *options,
	      void (*line)(void *ctx, const char *text), void *ctx, char **json, char *error, size_t error_size)
{
	char folder[4096];

	for (unsigned n = 0; qemu_place(n, folder, sizeof(folder)); n++) {
		struct process process;
		bool spoke;
		int err = start(&process, board, folder, image, options);

		if (err) {
			snprintf(error, error_size, "QEMU can't be started: %s", strerror(-err));
			return err;
		}
		err = listen_to(&process, line, ctx, json, &spoke, error, error_size);
		stop(&process);
		if (err != -EIO || spoke)
			return err;
	}
	snprintf(error, error_size, "%s", qemu_missing());
	return -ENOENT;
}
