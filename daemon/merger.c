// SPDX-License-Identifier: Apache-2.0
#include "daemon/merger.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "ota/merge.h"

#define NTHREADS 2 /* a phone has other things to do */

struct ovbd_merger {
	struct ovbd_merge *merge; /* owned */
	struct ovbd_blob *view;   /* owned */
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool has_thread; /* running, or to be joined */
	bool paused, closing;
	enum ovbd_merger_state state;
};

/* Whether there is another step to do; waits while it is paused. */
static bool may_go_on(struct ovbd_merger *m)
{
	bool go_on;

	pthread_mutex_lock(&m->lock);
	while (m->paused && !m->closing)
		pthread_cond_wait(&m->changed, &m->lock);
	go_on = !m->closing;
	pthread_mutex_unlock(&m->lock);
	return go_on;
}

static void *merge_main(void *arg)
{
	struct ovbd_merger *m = arg;
	int r = 1;

	while (r > 0 && may_go_on(m))
		r = ovbd_merge_step(m->merge, NULL);
	pthread_mutex_lock(&m->lock);
	if (r <= 0)
		m->state = r == 0 ? OVBD_MERGER_COMPLETE : OVBD_MERGER_FAILED;
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static int open_both(struct ovbd_merger *m, const char *base_path, const char *cow_path,
                     struct ovbd_error *err)
{
	static const struct ovbd_merge_params params = {.nthreads = NTHREADS};
	AUTO_DEVICE *base = NULL;
	AUTO_DEVICE *cow = NULL;
	struct ovbd_merge_progress p;
	int r = ovbd_device_open_file_alone(base_path, &base, err);

	if (r == 0)
		r = ovbd_device_open_file_alone(cow_path, &cow, err);
	if (r < 0)
		return r;
	r = ovbd_merge_open(OVBD_MOVE(cow), OVBD_MOVE(base), &params, &m->merge, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", cow_path);
	p = ovbd_merge_progress(m->merge);
	if (p.nmerged == p.nops)
		m->state = OVBD_MERGER_COMPLETE;
	return ovbd_merge_view(m->merge, &m->view, err);
}

int ovbd_merger_open(const char *base, const char *cow, struct ovbd_merger **ret,
                     struct ovbd_error *err)
{
	struct ovbd_merger *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	r = open_both(m, base, cow, err);
	if (r < 0) {
		ovbd_merger_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

struct ovbd_blob *ovbd_merger_view(struct ovbd_merger *m)
{
	return m->view;
}

/* Lock held. */
static int start_thread(struct ovbd_merger *m)
{
	sigset_t all, old;
	int r;

	if (m->has_thread) /* it has failed: it is over, or about to be */
		pthread_join(m->thread, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&m->thread, NULL, merge_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	m->has_thread = r == 0;
	return r;
}

int ovbd_merger_start(struct ovbd_merger *m, struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&m->lock);
	if (m->state == OVBD_MERGER_WAITING || m->state == OVBD_MERGER_FAILED) {
		r = start_thread(m);
		if (r == 0)
			m->state = OVBD_MERGER_MERGING;
	}
	pthread_mutex_unlock(&m->lock);
	return r < 0 ? ovbd_fail_errno(err, r, "starting a thread") : 0;
}

void ovbd_merger_pause(struct ovbd_merger *m, bool pause)
{
	pthread_mutex_lock(&m->lock);
	m->paused = pause;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

void ovbd_merger_status(struct ovbd_merger *m, struct ovbd_merger_status *ret)
{
	const struct ovbd_merge_progress p = ovbd_merge_progress(m->merge);

	pthread_mutex_lock(&m->lock);
	*ret = (struct ovbd_merger_status){
		.state = m->state,
		.nmerged = p.nmerged,
		.nops = p.nops,
	};
	pthread_mutex_unlock(&m->lock);
}

void ovbd_merger_close(struct ovbd_merger *take_m)
{
	struct ovbd_merger *m = take_m;

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->closing = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	if (m->has_thread)
		pthread_join(m->thread, NULL);
	ovbd_blob_close(m->view);
	ovbd_merge_close(m->merge);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
