// SPDX-License-Identifier: Apache-2.0
/*
 * The programs that docker calls for its credentials: "docker-credential-NAME get", the server on
 * standard input, {"Username", "Secret"} on standard output. Started without a shell, with nothing
 * open but these two, in a process group of its own, which is killed if it takes too long. The
 * question lies in the pipe before the program is there, so nobody has to wait to ask it.
 */
#include "image/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"

#define PREFIX     "docker-credential-"
#define NAME_MAX_  64
#define ANSWER_MAX (64u << 10)
#define LIMIT_MS   30000
#define SERVER_MAX 2048 /* less than a pipe holds */

extern char **environ;

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The read end of a pipe that has the question, and nothing more. */
static int make_question(const char *server, int *ret)
{
	const size_t len = strlen(server);
	int fds[2], r = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (write(fds[1], server, len) != (ssize_t)len)
		r = -EIO;
	close(fds[1]);
	if (r < 0)
		close(fds[0]);
	else
		*ret = fds[0];
	return r;
}

static int spawn(char *program, int in, int out, pid_t *ret)
{
	char get[] = "get";
	char *argv[] = {program, get, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                       POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	r = posix_spawn_file_actions_adddup2(&files, in, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawnp(ret, program, &files, &how, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return -r;
}

/* Waits for fd until the deadline; false: it has come. */
static bool wait_for(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		const int64_t left = deadline - now_ms();
		const int n = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

/* All that the program writes until it closes its output. */
static int read_answer(int fd, int64_t deadline, char *buf, size_t *ret_len)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (!wait_for(fd, deadline))
			return -ETIMEDOUT;
		n = read(fd, buf + len, ANSWER_MAX - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			*ret_len = len;
			return 0;
		}
		len += (size_t)n;
		if (len == ANSWER_MAX)
			return -E2BIG;
	}
}

/* Its exit status, or -errno; it is killed at the deadline, or if there is no more to be had. */
static int reap(pid_t pid, int64_t deadline)
{
	AUTO_FD fd = pidfd_open(pid, 0);
	int status = 0;

	if (fd < 0 || !wait_for(fd, deadline))
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0; /* somebody else has done it */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ETIMEDOUT;
}

static int run(char *program, const char *server, char *buf, size_t *ret_len, int *ret_status)
{
	const int64_t deadline = now_ms() + LIMIT_MS;
	AUTO_FD in = -1;
	int fds[2], r;
	pid_t pid;

	r = make_question(server, &in);
	if (r == 0 && pipe2(fds, O_CLOEXEC) < 0)
		r = -errno;
	if (r < 0)
		return r;
	r = spawn(program, in, fds[1], &pid);
	close(fds[1]);
	if (r == 0) {
		r = read_answer(fds[0], deadline, buf, ret_len);
		*ret_status = reap(pid, r < 0 ? 0 : deadline);
	}
	close(fds[0]);
	return r;
}

int ovbd_credentials_answer(const char *text, size_t len, const char *name,
                            struct ovbd_http_login *ret, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = json_loadb(text, len, 0, NULL);
	const char *user = json_string_value(json_object_get(root, "Username"));
	const char *secret = json_string_value(json_object_get(root, "Secret"));

	if (!user || !secret || strchr(user, ':'))
		return ovbd_fail(err, -EBADMSG,
		                 PREFIX "%s: its answer is no JSON with Username and Secret", name);
	if (user[0] == '\0' && secret[0] == '\0')
		return 0;
	if (strcmp(user, "<token>") == 0) {
		ret->refresh_token = strdup(secret);
		return ret->refresh_token ? 1 : ovbd_fail(err, -ENOMEM, "out of memory");
	}
	ret->user = strdup(user);
	ret->password = strdup(secret);
	if (ret->user && ret->password)
		return 1;
	ovbd_credentials_wipe(ret);
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

static bool is_name(const char *name)
{
	const size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return len > 0 && len <= NAME_MAX_;
}

static int tell(int code, const char *name, struct ovbd_error *err)
{
	if (code == -EPERM)
		return ovbd_fail(err, code,
		                 PREFIX
		                 "%s: this process may not start programs (--no-seccomp lets "
		                 "it); give it a file with auths, or a service that answers",
		                 name);
	if (code == -ETIMEDOUT)
		return ovbd_fail(err, code, PREFIX "%s: no answer in %d s", name, LIMIT_MS / 1000);
	if (code == -ENOENT)
		return ovbd_fail(err, -EACCES, PREFIX "%s: there is no such program", name);
	return ovbd_fail_errno(err, code, PREFIX "%s", name);
}

int ovbd_credentials_ask(const char *name, const char *server, struct ovbd_http_login *ret,
                         struct ovbd_error *err)
{
	static const char none[] = "credentials not found"; /* ... in native keychain */
	char program[sizeof(PREFIX) + NAME_MAX_];
	AUTO_FREE char *buf = NULL;
	size_t len = 0;
	int status = 0, r;

	if (!is_name(name))
		return ovbd_fail(err, -EBADMSG, "'%.80s' is no name of a program of credentials",
		                 name);
	if (strlen(server) > SERVER_MAX)
		return ovbd_fail(err, -EINVAL, "%.80s...: too long", server);
	buf = malloc(ANSWER_MAX);
	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	snprintf(program, sizeof(program), PREFIX "%s", name);
	r = run(program, server, buf, &len, &status);
	if (r == 0 && status < 0)
		r = status;
	if (r < 0)
		r = tell(r, name, err);
	else if (status != 0 && memmem(buf, len, none, strlen(none)))
		r = 0;
	else if (status != 0)
		r = ovbd_fail(err, -EACCES, PREFIX "%s: ended with status %d", name, status);
	else
		r = ovbd_credentials_answer(buf, len, name, ret, err);
	explicit_bzero(buf, len);
	return r;
}
