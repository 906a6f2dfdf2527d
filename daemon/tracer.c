// SPDX-License-Identifier: Apache-2.0
/* A thread that looks for the lock once a second, as who removes it may be on a file system that
 * tells nobody. */
#include "daemon/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

struct ovbd_tracer {
	struct ovbd_recorder *recorder;
	char *path, *lock_path, *ok_path;
	ovbd_tracer_told_fn told;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock; /* guards ending */
	pthread_cond_t changed;
	bool ending;
};

static int touch(const char *path, struct ovbd_error *err)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	close(fd);
	return 0;
}

/* Once. */
static void write_trace(struct ovbd_tracer *t)
{
	AUTO_TRACE trace = {0};
	struct ovbd_error err;
	bool whole;
	int r;

	ovbd_recorder_stop(t->recorder);
	r = ovbd_recorder_copy(t->recorder, &trace, &whole, &err);
	if (r == 0)
		r = ovbd_trace_save(&trace, t->path, &err);
	if (r == 0)
		r = touch(t->ok_path, &err);
	if (r == 0)
		ovbd_fail(&err, 0, "%s: a trace of %zu ranges", t->path, trace.n);
	t->told(t->arg, r < 0, err.msg);
}

static void *watch(void *arg)
{
	struct ovbd_tracer *t = arg;
	bool ending = false;

	while (!ending && access(t->lock_path, F_OK) == 0) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_mutex_lock(&t->lock);
		if (!t->ending)
			pthread_cond_timedwait(&t->changed, &t->lock, &until);
		ending = t->ending;
		pthread_mutex_unlock(&t->lock);
	}
	write_trace(t);
	if (ending)
		unlink(t->lock_path);
	return NULL;
}

static void tracer_free(struct ovbd_tracer *t)
{
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t->path);
	free(t->lock_path);
	free(t->ok_path);
	free(t);
}

static char *beside(const char *path, const char *suffix)
{
	char *name;

	return asprintf(&name, "%s%s", path, suffix) < 0 ? NULL : name;
}

int ovbd_tracer_open(struct ovbd_recorder *recorder, const char *path, ovbd_tracer_told_fn told,
                     void *arg, struct ovbd_tracer **ret, struct ovbd_error *err)
{
	struct ovbd_tracer *t = calloc(1, sizeof(*t));
	pthread_condattr_t monotonic;
	int r;

	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->recorder = recorder;
	t->told = told;
	t->arg = arg;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	t->path = strdup(path);
	t->lock_path = beside(path, ".lock");
	t->ok_path = beside(path, ".ok");
	if (t->path && t->lock_path && t->ok_path)
		r = touch(t->lock_path, err);
	else
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	if (r == 0) {
		r = ovbd_thread_start(&t->thread, watch, t);
		if (r < 0) {
			unlink(t->lock_path);
			ovbd_fail_errno(err, r, "%s: starting a thread", path);
		}
	}
	if (r < 0) {
		tracer_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void ovbd_tracer_close(struct ovbd_tracer *take_t)
{
	if (!take_t)
		return;
	pthread_mutex_lock(&take_t->lock);
	take_t->ending = true;
	pthread_cond_signal(&take_t->changed);
	pthread_mutex_unlock(&take_t->lock);
	pthread_join(take_t->thread, NULL);
	tracer_free(take_t);
}
