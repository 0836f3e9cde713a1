/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qtest.c - the process, and the protocol: a line of text for each operation, a line for each answer. */
#include "qtest.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 64

/* ---- The process ---- */

int qtest_start(struct qtest *qtest, const char *folder, const char *program, const char *const *arguments, int ram_fd,
		size_t ram_bytes)
{
	char path[4096], ram[128], size[32], socket_text[64];
	const char *argv[MAX_ARGUMENTS];
	pid_t parent = getpid();
	unsigned n = 0;
	int pair[2];

	memset(qtest, 0, sizeof(*qtest));
	qtest->socket = -1;
	snprintf(path, sizeof(path), "%s%s%s", folder ? folder : "", folder ? "/" : "", program);
	if (folder && access(path, X_OK))
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	snprintf(ram, sizeof(ram), "memory-backend-file,id=ram,size=%zu,mem-path=/proc/self/fd/%d,share=on", ram_bytes, ram_fd);
	snprintf(socket_text, sizeof(socket_text), "socket,id=qtest,fd=%d", pair[1]);
	snprintf(size, sizeof(size), "%zuk", ram_bytes / 1024);
	argv[n++] = path;
	argv[n++] = "-accel";
	argv[n++] = "qtest";
	argv[n++] = "-chardev";
	argv[n++] = socket_text;
	argv[n++] = "-qtest";
	argv[n++] = "chardev:qtest";
	argv[n++] = "-qtest-log";
	argv[n++] = "/dev/null";
	argv[n++] = "-nodefaults";
	argv[n++] = "-display";
	argv[n++] = "none";
	argv[n++] = "-object";
	argv[n++] = ram;
	argv[n++] = "-m";
	argv[n++] = size;
	while (*arguments && n + 1 < MAX_ARGUMENTS)
		argv[n++] = *arguments++;
	argv[n] = NULL;
	qtest->pid = fork();
	if (qtest->pid == 0) {
		/* The two files keep their numbers. */
		fcntl(pair[1], F_SETFD, 0);
		fcntl(ram_fd, F_SETFD, 0);
		child_become(argv, parent, -1);
	}
	close(pair[1]);
	if (qtest->pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	qtest->socket = pair[0];
	/* Is it there, and does it take these arguments? Then it answers. */
	qtest_clock_step(qtest, 1);
	if (qtest->lost) {
		int status = 0;

		waitpid(qtest->pid, &status, 0);
		qtest->pid = 0;
		qtest_stop(qtest);
		return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -ENOPROTOOPT;
	}
	return 0;
}

void qtest_stop(struct qtest *qtest)
{
	if (qtest->socket >= 0)
		close(qtest->socket);
	qtest->socket = -1;
	qtest->lost = true;
	if (qtest->pid > 0) {
		kill(qtest->pid, SIGKILL);
		waitpid(qtest->pid, NULL, 0);
	}
	qtest->pid = 0;
}

/* ---- The protocol ---- */

static void flush_out(struct qtest *qtest)
{
	for (size_t done = 0; done < qtest->pending && !qtest->lost;) {
		ssize_t n = send(qtest->socket, qtest->out + done, qtest->pending - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			qtest->lost = true;
		else
			done += (size_t)n;
	}
	qtest->pending = 0;
}

/* The next line, without its end; NULL: there will be none. It stays until the next call. */
static char *next_line(struct qtest *qtest)
{
	for (;;) {
		char *line = qtest->in + qtest->taken, *end = memchr(line, '\n', qtest->filled - qtest->taken);
		ssize_t n;

		if (end) {
			*end = '\0';
			qtest->taken = (size_t)(end + 1 - qtest->in);
			return line;
		}
		memmove(qtest->in, line, qtest->filled - qtest->taken);
		qtest->filled -= qtest->taken;
		qtest->taken = 0;
		n = qtest->filled < sizeof(qtest->in) ? recv(qtest->socket, qtest->in + qtest->filled,
							       sizeof(qtest->in) - qtest->filled, 0) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			qtest->lost = true;
			return NULL;
		}
		qtest->filled += (size_t)n;
	}
}

/* "OK", "OK 0x1234", "FAIL ..."; "IRQ ..." may come in between. */
static uint64_t answer(struct qtest *qtest)
{
	char *line;

	do
		line = next_line(qtest);
	while (line && strncmp(line, "IRQ", 3) == 0);
	if (!line || strncmp(line, "OK", 2) != 0) {
		qtest->lost = true;
		return UINT64_MAX;
	}
	return line[2] == ' ' ? strtoull(line + 3, NULL, 0) : 0;
}

static void collect(struct qtest *qtest)
{
	flush_out(qtest);
	while (qtest->owed && !qtest->lost) {
		answer(qtest);
		qtest->owed--;
	}
}

/* What hasn't been sent doesn't fill the pipe in both directions: at most as many operations as QEMU's answers find room for. */
__attribute__((format(printf, 2, 3))) static void post(struct qtest *qtest, const char *format, ...)
{
	va_list args;

	if (qtest->lost)
		return;
	if (qtest->pending + 128 > sizeof(qtest->out))
		collect(qtest);
	va_start(args, format);
	qtest->pending += (size_t)vsnprintf(qtest->out + qtest->pending, sizeof(qtest->out) - qtest->pending, format, args);
	va_end(args);
	qtest->owed++;
}

/* The answer to the last operation. */
static uint64_t last_answer(struct qtest *qtest)
{
	if (qtest->lost)
		return UINT64_MAX;
	qtest->owed--;
	collect(qtest);
	return qtest->lost ? UINT64_MAX : answer(qtest);
}

static char suffix(unsigned size)
{
	return size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'l' : 'q';
}

void qtest_post(struct qtest *qtest, uint64_t addr, unsigned size, uint64_t value)
{
	post(qtest, "write%c 0x%" PRIx64 " 0x%" PRIx64 "\n", suffix(size), addr, value);
}

void qtest_write(struct qtest *qtest, uint64_t addr, unsigned size, uint64_t value)
{
	qtest_post(qtest, addr, size, value);
	collect(qtest);
}

uint64_t qtest_read(struct qtest *qtest, uint64_t addr, unsigned size)
{
	post(qtest, "read%c 0x%" PRIx64 "\n", suffix(size), addr);
	return last_answer(qtest);
}

void qtest_out(struct qtest *qtest, uint16_t port, unsigned size, uint32_t value)
{
	post(qtest, "out%c 0x%x 0x%" PRIx32 "\n", suffix(size), port, value);
	collect(qtest);
}

uint32_t qtest_in(struct qtest *qtest, uint16_t port, unsigned size)
{
	post(qtest, "in%c 0x%x\n", suffix(size), port);
	return (uint32_t)last_answer(qtest);
}

void qtest_clock_step(struct qtest *qtest, uint64_t ns)
{
	post(qtest, "clock_step %" PRIu64 "\n", ns);
	last_answer(qtest);
}
