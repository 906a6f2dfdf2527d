// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into ovbdd by tests: at SIGUSR2 it does in the daemon's place what an attacker would,
 * and writes into the file $CONFINE_PROBE how each attempt ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static void say(int fd, const char *what, long r)
{
	char line[80];
	const int n = snprintf(line, sizeof(line), "%s: %s\n", what,
	                       r < 0 ? strerrorname_np(errno) : "done");

	if (n > 0 && write(fd, line, (size_t)n) < 0)
		_exit(1);
}

static void attempt(int sig)
{
	const char *const path = getenv("CONFINE_PROBE"), *const argv[] = {"/bin/true", NULL};
	const int fd = open(path ? path : "", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	(void)sig;
	if (fd < 0)
		_exit(1);
	say(fd, "ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	say(fd, "raw socket", socket(AF_PACKET, SOCK_RAW, 0));
	say(fd, "chroot", syscall(SYS_chroot, "/"));
	say(fd, "setuid", syscall(SYS_setuid, 1));
	say(fd, "module", syscall(SYS_init_module, "", 0, ""));
	say(fd, "fork", fork());
	say(fd, "execve", execve(argv[0], (char *const *)(unsigned long)argv, environ));
	say(fd, "end", 0);
	close(fd);
}

__attribute__((constructor)) static void prepare(void)
{
	signal(SIGUSR2, attempt);
}
