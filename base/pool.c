// SPDX-License-Identifier: Apache-2.0
/*
 * The ring is a queue with three positions, each of which only grows:
 *
 *     finished <= taken <= submitted <= finished + njobs          (position % njobs is the job)
 *
 * Jobs [finished, taken) are in work or worked on, [taken, submitted) wait for a thread. A thread
 * takes the oldest waiting one; the submitting thread finishes them in order, and while the oldest
 * is still in work elsewhere it takes a waiting one itself.
 */
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct worker {
	struct ovbd_pool *pool;
	unsigned number; /* 1 .. nthreads - 1; the submitting thread is 0 */
	pthread_t thread;
};

struct ovbd_pool {
	const struct ovbd_pool_ops *ops;
	void *ctx;
	unsigned njobs;
	uint64_t finished; /* only the submitting thread */
	int error;         /* only the submitting thread: what done() said first */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t work;  /* there is a waiting job, or stop */
	pthread_cond_t ready; /* a job has been worked on */
	uint64_t taken, submitted;
	bool *worked; /* by job: worked on, not finished yet */
	bool stop;

	unsigned nworkers;
	struct worker workers[];
};

/* Takes and works on the oldest waiting job. Called and returns with the lock held. */
static void work_one(struct ovbd_pool *p, unsigned thread)
{
	const unsigned job = (unsigned)(p->taken++ % p->njobs);

	pthread_mutex_unlock(&p->lock);
	p->ops->work(p->ctx, job, thread);
	pthread_mutex_lock(&p->lock);
	p->worked[job] = true;
	pthread_cond_signal(&p->ready);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct ovbd_pool *p = w->pool;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (p->taken < p->submitted)
			work_one(p, w->number);
		else
			pthread_cond_wait(&p->work, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Waits until the oldest job has been worked on, working meanwhile, and calls its done(). */
static int finish_one(struct ovbd_pool *p, struct ovbd_error *err)
{
	const unsigned job = (unsigned)(p->finished % p->njobs);

	pthread_mutex_lock(&p->lock);
	while (!p->worked[job]) {
		if (p->taken < p->submitted)
			work_one(p, 0);
		else
			pthread_cond_wait(&p->ready, &p->lock);
	}
	p->worked[job] = false;
	pthread_mutex_unlock(&p->lock);
	p->finished++;
	p->error = p->ops->done(p->ctx, job, err);
	return p->error;
}

int ovbd_pool_next(struct ovbd_pool *p, unsigned *ret_job, struct ovbd_error *err)
{
	if (p->error < 0)
		return p->error;
	/* submitted changes in this thread only, so reading it here needs no lock */
	if (p->submitted - p->finished == p->njobs) {
		const int r = finish_one(p, err);

		if (r < 0)
			return r;
	}
	*ret_job = (unsigned)(p->submitted % p->njobs);
	return 0;
}

void ovbd_pool_submit(struct ovbd_pool *p, unsigned job)
{
	pthread_mutex_lock(&p->lock);
	assert(job == p->submitted % p->njobs);
	p->submitted++;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

int ovbd_pool_drain(struct ovbd_pool *p, struct ovbd_error *err)
{
	while (p->error == 0 && p->finished < p->submitted)
		finish_one(p, err);
	return p->error;
}

void ovbd_pool_close(struct ovbd_pool *take_p)
{
	struct ovbd_pool *p = take_p;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nworkers; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ready);
	free(p->worked);
	free(p);
}

int ovbd_pool_create(const struct ovbd_pool_ops *ops, void *ctx, unsigned nthreads, unsigned njobs,
                     struct ovbd_pool **ret, struct ovbd_error *err)
{
	AUTO_POOL *p = NULL;

	assert(nthreads > 0 && njobs > 0);
	p = ovbd_array_alloc(1, sizeof(*p) + (nthreads - 1) * sizeof(p->workers[0]));
	if (!p)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	p->ops = ops;
	p->ctx = ctx;
	p->njobs = njobs;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->ready, NULL);
	p->worked = ovbd_array_alloc(njobs, sizeof(p->worked[0]));
	if (!p->worked)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i + 1 < nthreads; i++) {
		struct worker *w = &p->workers[i];
		int r;

		*w = (struct worker){.pool = p, .number = i + 1};
		r = pthread_create(&w->thread, NULL, worker_main, w);
		if (r != 0)
			return ovbd_fail_errno(err, -r, "cannot start thread %u of %u", i + 2,
			                       nthreads);
		p->nworkers++;
	}
	*ret = OVBD_MOVE(p);
	return 0;
}
