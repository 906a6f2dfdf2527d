// SPDX-License-Identifier: Apache-2.0
/*
 * As many threads as may ever be in flight, which take the ranges in their order. Of them `window`
 * may work at a time: it grows while a range takes less than twice the least that one has taken, as
 * then the line is not full, and shrinks when it takes more than four times that, as then what is
 * in flight only waits for each other, and a read would wait behind it.
 */
#include "remote/prefetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/thread.h"
#include "remote/ahead.h"
#include "remote/patience.h"

#define WINDOW_FIRST 4u
#define WINDOW_LEAST 2u

struct ovbd_prefetch {
	struct ovbd_blob **blobs;
	uint32_t nblobs;
	struct ovbd_prefetch_range *ranges;
	size_t n;
	struct ovbd_prefetch_params params;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	size_t next;
	unsigned active, window;
	uint64_t least_ns; /* that a range has taken; 0: none has */
	uint64_t due_ns;   /* when the rate lets the next one begin */
	atomic_bool stop;  /* reads look at it without the lock */
	pthread_t *threads;
	unsigned nthreads;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How many may be in flight now. Lock held. */
static unsigned allowed(const struct ovbd_prefetch *f)
{
	for (uint32_t i = 0; i < f->nblobs; i++)
		if (f->blobs[i] && ovbd_ahead_is_busy(f->blobs[i]))
			return 1;
	return f->window;
}

/* Waits for its turn; false: there is no more to do. Lock held. */
static bool take_next(struct ovbd_prefetch *f, struct ovbd_prefetch_range *ret)
{
	while (!f->stop && f->next < f->n) {
		const uint64_t now = now_ns();
		const struct timespec due = {.tv_sec = (time_t)(f->due_ns / 1000000000u),
		                             .tv_nsec = (long)(f->due_ns % 1000000000u)};

		if (f->active >= allowed(f)) {
			pthread_cond_wait(&f->changed, &f->lock);
		} else if (f->params.rate > 0 && f->due_ns > now) {
			pthread_cond_timedwait(&f->changed, &f->lock, &due);
		} else {
			*ret = f->ranges[f->next++];
			if (f->params.rate > 0)
				f->due_ns =
					(f->due_ns > now ? f->due_ns : now) +
					(uint64_t)((double)ret->len * 1e9 / (double)f->params.rate);
			return true;
		}
	}
	return false;
}

static void adapt(struct ovbd_prefetch *f, uint64_t took_ns)
{
	if (f->least_ns == 0 || took_ns < f->least_ns)
		f->least_ns = took_ns;
	if (took_ns < 2 * f->least_ns && f->window < f->params.concurrency)
		f->window++;
	else if (took_ns > 4 * f->least_ns && f->window > WINDOW_LEAST)
		f->window--;
}

static void *work(void *arg)
{
	struct ovbd_prefetch *f = arg;
	struct ovbd_prefetch_range range;

	ovbd_patience_set((struct ovbd_patience){.stop = &f->stop});
	pthread_mutex_lock(&f->lock);
	while (take_next(f, &range)) {
		const uint64_t start = now_ns();

		f->active++;
		pthread_mutex_unlock(&f->lock);
		ovbd_ahead_bring(f->blobs[range.blob], range.off, range.len, NULL);
		pthread_mutex_lock(&f->lock);
		f->active--;
		adapt(f, now_ns() - start);
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void start_threads(struct ovbd_prefetch *f)
{
	const unsigned n = (unsigned)ovbd_min(f->params.concurrency, f->n);

	while (f->nthreads < n && ovbd_thread_start(&f->threads[f->nthreads], work, f) == 0)
		f->nthreads++;
}

static int by_off(const void *a, const void *b)
{
	const struct ovbd_range *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* Tells each blob what is going to be brought of it. */
static int plan_all(struct ovbd_prefetch *f, struct ovbd_error *err)
{
	AUTO_FREE struct ovbd_range *one = ovbd_array_alloc(f->n, sizeof(*one));
	int r = 0;

	if (!one)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint32_t blob = 0; r == 0 && blob < f->nblobs; blob++) {
		size_t n = 0;

		for (size_t i = 0; i < f->n; i++)
			if (f->ranges[i].blob == blob)
				one[n++] = (struct ovbd_range){.off = f->ranges[i].off,
				                               .len = f->ranges[i].len};
		qsort(one, n, sizeof(*one), by_off);
		if (n > 0)
			r = ovbd_ahead_plan(f->blobs[blob], one, n, err);
	}
	return r;
}

static int copy_all(struct ovbd_prefetch *f, struct ovbd_blob *const *blobs,
                    const struct ovbd_prefetch_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ranges[i].blob >= f->nblobs)
			f->nblobs = ranges[i].blob + 1;
	f->blobs = ovbd_array_alloc(f->nblobs, sizeof(struct ovbd_blob *));
	f->ranges = ovbd_array_alloc(n, sizeof(*f->ranges));
	f->threads = ovbd_array_alloc(f->params.concurrency, sizeof(*f->threads));
	if (!f->blobs || !f->ranges || !f->threads)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		f->ranges[i] = ranges[i];
		f->blobs[ranges[i].blob] = blobs[ranges[i].blob];
	}
	f->n = n;
	return 0;
}

int ovbd_prefetch_start(struct ovbd_blob *const *blobs, const struct ovbd_prefetch_range *ranges,
                        size_t n, const struct ovbd_prefetch_params *p, struct ovbd_prefetch **ret,
                        struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_prefetch_closep) struct ovbd_prefetch *f = calloc(1, sizeof(*f));
	pthread_condattr_t monotonic;
	int r;

	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (p)
		f->params = *p;
	if (f->params.concurrency == 0)
		f->params.concurrency = OVBD_PREFETCH_CONCURRENCY;
	if (f->params.concurrency > OVBD_PREFETCH_CONCURRENCY_MAX)
		f->params.concurrency = OVBD_PREFETCH_CONCURRENCY_MAX;
	f->window = (unsigned)ovbd_min(WINDOW_FIRST, f->params.concurrency);
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (copy_all(f, blobs, ranges, n) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = plan_all(f, err);
	if (r < 0)
		return r;
	start_threads(f);
	*ret = OVBD_MOVE(f);
	return 0;
}

bool ovbd_prefetch_is_done(struct ovbd_prefetch *f)
{
	bool done;

	pthread_mutex_lock(&f->lock);
	done = f->next == f->n && f->active == 0;
	pthread_mutex_unlock(&f->lock);
	return done;
}

void ovbd_prefetch_close(struct ovbd_prefetch *take_f)
{
	struct ovbd_prefetch *f = take_f;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stop, true);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->nthreads; i++)
		pthread_join(f->threads[i], NULL);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f->threads);
	free(f->ranges);
	free(f->blobs);
	free(f);
}
