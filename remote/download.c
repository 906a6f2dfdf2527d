// SPDX-License-Identifier: Apache-2.0
/*
 * One thread for all layers of a process: what is due longest comes first. A layer is fetched from
 * a source of its own, past what others read and keep, with short deadlines, as the others wait for
 * their turn; who closes a layer has its transfer given up. It yields to readers: while somebody
 * reads, or has just read, what may need the network, it waits, but not for ever.
 *
 * A layer ends as a file, or is given up where it can only fail again; all else is tried later.
 */
#include "remote/download.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/thread.h"
#include "remote/download_impl.h"
#include "remote/metrics.h"
#include "remote/patience.h"

#define DEADLINE_MS 5000u /* of a read of the source */
#define YIELD_MS    2000u /* at most, before each block */
#define QUIET_MS    50u   /* so long after the last read nobody reads */
#define POLL_MS     10u
#define BUSY_MS     10000u  /* another process is at it */
#define LATER_MS    300000u /* after so many failures as were allowed */

struct ovbd_download_params ovbd_download_defaults(void)
{
	return (struct ovbd_download_params){.delay_s = 300,
	                                     .delay_extra_s = 30,
	                                     .max_mbps = 100,
	                                     .tries = 5,
	                                     .block_size = 256u << 10};
}

uint64_t download_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell(const struct fetched *x, bool bad, const char *sentence)
{
	struct ovbd_error say;

	ovbd_fail(&say, 0, "%s: download: %s", x->shown, sentence);
	if (x->d->told)
		x->d->told(x->d->arg, bad, say.msg);
}

/* ---- waiting ---- */

/* Until then, or until something has changed. Under the lock. */
static void wait_until(struct ovbd_downloads *d, uint64_t then_ms)
{
	const struct timespec t = {.tv_sec = (time_t)(then_ms / 1000),
	                           .tv_nsec = (long)(then_ms % 1000) * 1000000};

	pthread_cond_timedwait(&d->changed, &d->lock, &t);
}

static int stopped(void *arg)
{
	struct fetched *x = arg;
	bool stop;

	pthread_mutex_lock(&x->d->lock);
	stop = x->cancel || x->d->stop;
	pthread_mutex_unlock(&x->d->lock);
	return stop ? -ECANCELED : 0;
}

/* Until then; -ECANCELED if that is no longer of use. */
static int sleep_until(struct fetched *x, uint64_t then_ms)
{
	struct ovbd_downloads *d = x->d;

	pthread_mutex_lock(&d->lock);
	while (!x->cancel && !d->stop && download_now_ms() < then_ms)
		wait_until(d, then_ms);
	pthread_mutex_unlock(&d->lock);
	return stopped(x);
}

/* Lets those go first who wait for what they read. */
static int yield(struct fetched *x)
{
	struct ovbd_downloads *d = x->d;
	const uint64_t end = download_now_ms() + YIELD_MS;
	int r = stopped(x);

	while (r == 0 && download_now_ms() < end &&
	       (atomic_load(&d->reading) > 0 ||
	        download_now_ms() < atomic_load(&d->last_read_ms) + QUIET_MS))
		r = sleep_until(x, download_now_ms() + POLL_MS);
	return r;
}

/* ---- fetching ---- */

/* Since *begin_ms all from *begin on has been fetched. What was not used of the limit for long is
 * not made up for. */
static int slow_down(struct fetched *x, uint64_t *begin_ms, uint64_t *begin, uint64_t have)
{
	const uint64_t due_ms = *begin_ms + (have - *begin) / 1000 / x->params.max_mbps;
	const uint64_t now = download_now_ms();

	if (now > due_ms + 1000) {
		*begin_ms = now;
		*begin = have;
	}
	return sleep_until(x, due_ms);
}

/* All that is missing. *ret_remote: it failed in asking for it. */
static int fill(struct fetched *x, struct download_file *f, bool *ret_remote,
                struct ovbd_error *err)
{
	const size_t block = (size_t)x->params.block_size;
	uint64_t begin_ms = download_now_ms(), begin = f->have;
	AUTO_FREE uint8_t *buf = malloc(block);
	int r = 0;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (r == 0 && f->have < f->size) {
		const size_t n = (size_t)ovbd_min(block - f->have % block, f->size - f->have);

		r = yield(x);
		if (r < 0)
			return ovbd_fail(err, r, "interrupted");
		r = ovbd_blob_pread(x->source, buf, n, f->have, err);
		*ret_remote = r < 0;
		if (r == 0)
			r = download_file_append(f, buf, n, err);
		if (r < 0)
			return r;
		atomic_fetch_add(&x->d->bytes, n);
		ovbd_remote_count(OVBD_COUNT_DOWNLOAD_BYTES, n);
		ovbd_remote_count(OVBD_COUNT_DOWNLOAD_READS, 1);
		if (x->params.max_mbps > 0)
			r = slow_down(x, &begin_ms, &begin, f->have);
	}
	return r < 0 ? ovbd_fail(err, r, "interrupted") : 0;
}

/* A part that somebody has left may not be what it should: then all is fetched. */
static int fill_and_finish(struct fetched *x, struct download_file *f, bool *ret_remote,
                           struct ovbd_error *err)
{
	int r;

	for (;;) {
		r = fill(x, f, ret_remote, err);
		if (r == 0)
			r = download_file_finish(f, x->digest, err);
		if (r != -EBADMSG || *ret_remote || !f->resumed)
			return r;
		r = download_file_restart(f, err);
		if (r < 0)
			return r;
	}
}

/* From now on it is read from its file. */
static int use_file(struct fetched *x, bool check, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	int r = download_commit_open(x->dir, x->blob.size, x->digest, check, stopped, x, &b, err);

	if (r < 0 || x->keep)
		return r;
	r = ovbd_blob_swap(x->swap, OVBD_MOVE(b), err);
	if (r == 0)
		atomic_store(&x->local, true);
	return r;
}

static int fetch(struct fetched *x, bool *ret_remote, struct ovbd_error *err)
{
	struct download_file f;
	int r = download_file_open(&f, x->dir, x->blob.size, stopped, x, err);
	const bool others = r == 1;

	if (r == 0)
		r = fill_and_finish(x, &f, ret_remote, err);
	if (r < 0 && r != -ECANCELED && r != -EBUSY && !*ret_remote)
		download_file_remove(&f);
	download_file_close(&f);
	return r < 0 ? r : use_file(x, others, err);
}

/* How long until the next try; 0: there is none. */
static uint64_t settle(struct fetched *x, int r, bool remote, const struct ovbd_error *err)
{
	struct ovbd_error say;

	if (r == 0) {
		atomic_fetch_add(&x->d->done, 1);
		ovbd_remote_count(OVBD_COUNT_DOWNLOADED, 1);
		ovbd_fail(&say, 0, "%s/" DOWNLOAD_COMMIT " is complete", x->dir);
		tell(x, false, say.msg);
		return 0;
	}
	if (r == -ECANCELED)
		return 0;
	if (r == -EBUSY)
		return BUSY_MS;
	if (!remote || r == -EBADMSG) {
		atomic_fetch_add(r == -EBADMSG ? &x->d->wrong : &x->d->failed, 1);
		ovbd_remote_count(r == -EBADMSG ? OVBD_COUNT_DOWNLOAD_WRONG
		                                : OVBD_COUNT_DOWNLOAD_FAILED,
		                  1);
		ovbd_fail(&say, 0, "%s; it is given up, and read as before", err->msg);
		tell(x, true, say.msg);
		return 0;
	}
	if (!x->told) {
		ovbd_fail(&say, 0, "%s; it is tried again later (told once)", err->msg);
		tell(x, false, say.msg);
		x->told = true;
	}
	if (++x->nfailed < x->params.tries)
		return ovbd_min(1000u << ovbd_min(x->nfailed, 5), LATER_MS);
	x->nfailed = 0;
	return LATER_MS;
}

/* ---- the thread ---- */

/* What is due first; NULL: nothing is to be done. Under the lock. */
static struct fetched *first_due(const struct ovbd_downloads *d)
{
	struct fetched *first = NULL;

	for (struct fetched *x = d->list; x; x = x->next)
		if (!x->over && !x->cancel && (!first || x->due_ms < first->due_ms))
			first = x;
	return first;
}

/* The lock is held, and let go meanwhile. */
static void run(struct ovbd_downloads *d, struct fetched *x)
{
	struct ovbd_error err;
	bool remote = false;
	uint64_t wait_ms;
	int r;

	x->running = true;
	pthread_mutex_unlock(&d->lock);
	ovbd_patience_set((struct ovbd_patience){.stop = &x->stop});
	r = fetch(x, &remote, &err);
	ovbd_patience_set((struct ovbd_patience){.stop = NULL});
	wait_ms = settle(x, r, remote, &err);
	pthread_mutex_lock(&d->lock);
	x->over = wait_ms == 0;
	x->due_ms = download_now_ms() + wait_ms;
	x->running = false;
	pthread_cond_broadcast(&d->changed);
}

static void *thread(void *arg)
{
	struct ovbd_downloads *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct fetched *x = first_due(d);

		if (!x)
			pthread_cond_wait(&d->changed, &d->lock);
		else if (x->due_ms > download_now_ms())
			wait_until(d, x->due_ms);
		else
			run(d, x);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int ovbd_downloads_create(ovbd_downloads_told_fn told, void *arg, struct ovbd_downloads **ret,
                          struct ovbd_error *err)
{
	struct ovbd_downloads *d = calloc(1, sizeof(*d));
	pthread_condattr_t monotonic;

	if (!d)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	d->told = told;
	d->arg = arg;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (ovbd_thread_start(&d->thread, thread, d) < 0) {
		pthread_cond_destroy(&d->changed);
		pthread_mutex_destroy(&d->lock);
		free(d);
		return ovbd_fail(err, -EAGAIN, "cannot start a thread");
	}
	*ret = d;
	return 0;
}

void ovbd_downloads_close(struct ovbd_downloads *take_d)
{
	if (!take_d)
		return;
	pthread_mutex_lock(&take_d->lock);
	take_d->stop = true;
	assert(!take_d->list);
	pthread_cond_broadcast(&take_d->changed);
	pthread_mutex_unlock(&take_d->lock);
	pthread_join(take_d->thread, NULL);
	pthread_cond_destroy(&take_d->changed);
	pthread_mutex_destroy(&take_d->lock);
	free(take_d);
}

struct ovbd_downloads_stats ovbd_downloads_stats(struct ovbd_downloads *d)
{
	return (struct ovbd_downloads_stats){.done = atomic_load(&d->done),
	                                     .wrong = atomic_load(&d->wrong),
	                                     .failed = atomic_load(&d->failed),
	                                     .bytes = atomic_load(&d->bytes)};
}
