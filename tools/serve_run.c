// SPDX-License-Identifier: Apache-2.0
/*
 * How a server ends. All signals are blocked and one thread waits for them, so that nothing here
 * runs in a signal handler.
 *
 * The first SIGTERM, SIGINT or SIGHUP takes the name away, a file's or a socket's; if nobody has it
 * open, that is the end. Otherwise its users (a loop device, a virtual machine) are served until
 * the last has closed it: an operator who stops a service must not break a mounted file system. A
 * second signal stops at once, and leaves them with errors; also the workers, if they still wait
 * for a network that does not answer.
 *
 * With --run the end of the command does what the first signal does. An interrupt from the terminal
 * is the command's own affair then, and SIGTERM and SIGHUP are passed on to it.
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/auto.h"
#include "daemon/transport.h"
#include "tools/serving.h"

#define PATIENCE_S 2 /* with workers that were stopped */

extern char **environ;

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/* A signal that is blocked arrives here even where it is ignored, as nohup and shells do for what
 * runs in the background: that must stay so. */
static void want(struct ovbd_serving *s, int sig)
{
	if (!is_ignored(sig))
		sigaddset(&s->signals, sig);
}

void ovbd_serving_block_signals(struct ovbd_serving *s, const char *command)
{
	s->command = command;
	sigemptyset(&s->signals);
	want(s, SIGTERM);
	want(s, SIGHUP);
	want(s, SIGINT);
	sigaddset(&s->signals, SIGUSR1);
	sigaddset(&s->signals, SIGCHLD);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &s->signals, &s->old_mask);
}

/* Where it finds what is served. */
static int tell_command(const struct ovbd_serving *s)
{
	AUTO_FREE char *file = s->uri ? NULL : realpath(s->path, NULL);

	if (s->uri)
		return setenv("OVBD_URI", s->uri, 1);
	return file ? setenv("OVBD_FILE", file, 1) : -1;
}

static int start_command(struct ovbd_serving *s, struct ovbd_error *err)
{
	const char *const argv[] = {"sh", "-c", s->command, NULL};
	posix_spawnattr_t attr;
	sigset_t defaults;
	int r;

	if (tell_command(s) < 0)
		return ovbd_fail_errno(err, -errno, "%s", s->path);
	r = -posix_spawnattr_init(&attr);
	if (r < 0)
		return ovbd_fail_errno(err, r, "starting '%s'", s->command);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_setsigmask(&attr, &s->old_mask);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* execve() takes the words as they are; its prototype is older than const. */
	r = -posix_spawn(&s->child, "/bin/sh", NULL, &attr, (char *const *)(uintptr_t)argv,
	                 environ);
	posix_spawnattr_destroy(&attr);
	if (r < 0) {
		s->child = 0;
		return ovbd_fail_errno(err, r, "starting '%s'", s->command);
	}
	return 0;
}

static void stop(struct ovbd_serving *s)
{
	s->t->ops->stop(s->t);
	s->stopped = true;
}

/* The first time the place is given up, which may fail; the second time serving stops. */
static int leave(struct ovbd_serving *s)
{
	struct ovbd_error err;
	int r;

	if (s->leaving) {
		stop(s);
		return 0;
	}
	s->leaving = true;
	r = s->t->ops->detach(s->t, &err);
	if (r < 0)
		ovbd_serving_tell(s, true, "%s%s", err.msg,
		                  s->command ? "" : "; another signal stops at once");
	else if (r == 1)
		ovbd_serving_tell(s, false,
		                  "still in use: serving its users to the end; another signal "
		                  "stops at once");
	return r;
}

static void reap(struct ovbd_serving *s)
{
	int status;

	if (s->child == 0 || waitpid(s->child, &status, WNOHANG) != s->child)
		return;
	s->child = 0;
	s->child_status =
		WIFEXITED(status) ? WEXITSTATUS(status) : OVBD_EXIT_SIGNAL + WTERMSIG(status);
	if (s->leaving || leave(s) >= 0)
		return;
	/* nobody is there any more to send another signal */
	stop(s);
	if (s->child_status == 0)
		s->child_status = OVBD_EXIT_FAILURE;
}

static int next_signal(struct ovbd_serving *s)
{
	const struct timespec patience = {.tv_sec = PATIENCE_S};
	int sig;

	do
		sig = sigtimedwait(&s->signals, NULL, s->stopped ? &patience : NULL);
	while (sig < 0 && errno == EINTR);
	if (sig < 0 && !s->ended) {
		ovbd_serving_tell(s, false, "leaves reads behind that wait for their data");
		_exit(s->child_status);
	}
	return sig < 0 ? SIGCHLD : sig;
}

static void *control_main(void *arg)
{
	struct ovbd_serving *s = arg;

	while (!s->ended || s->child != 0) {
		const int sig = next_signal(s);

		if (sig == SIGCHLD) {
			reap(s);
		} else if (sig == SIGUSR1 && !s->ended) { /* then it only wakes this thread */
			ovbd_serving_tell_stats(s);
			ovbd_serving_save_trace(s);
		} else if (sig != SIGUSR1 && s->child == 0) {
			leave(s);
		} else if (sig == SIGTERM || sig == SIGHUP) {
			kill(s->child, sig);
		}
	}
	return NULL;
}

int ovbd_serving_start_control(struct ovbd_serving *s, struct ovbd_error *err)
{
	int r = s->command ? start_command(s, err) : 0;

	if (r < 0)
		return r;
	r = -pthread_create(&s->control, NULL, control_main, s);
	if (r < 0 && s->child != 0)
		kill(s->child, SIGTERM);
	return r < 0 ? ovbd_fail_errno(err, r, "starting a thread") : 0;
}

int ovbd_serving_join_control(struct ovbd_serving *s)
{
	s->ended = true;
	pthread_kill(s->control, SIGUSR1);
	pthread_join(s->control, NULL);
	return s->child_status;
}
