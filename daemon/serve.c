// SPDX-License-Identifier: Apache-2.0
/*
 * The workers are alike: each takes a request, has the device fill or take the transport's buffers,
 * and answers, and nothing is shared between them but the counters. A request that fails is an
 * answer like any other, with the error's number; only a transport that fails ends the service.
 *
 * Whatever makes one worker leave makes all leave: it stops the transport. The first failure is
 * the one that is reported.
 *
 * There is deliberately no queue between transport and device. A slow read (HTTP) holds up its own
 * worker and no other, so the number of workers is the number of requests in flight.
 *
 * Most devices are idle most of the time, so a device begins with one worker: the one that takes a
 * request and leaves nobody to wait for the next starts another, up to the number allowed. They
 * stay.
 */
#include "daemon/serve.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct worker {
	struct serve *serve;
	unsigned number;
	pthread_t thread;
};

struct serve {
	struct ovbd_transport *t;
	struct ovbd_device *device;
	const struct ovbd_serve_params *p;
	struct worker *workers;
	_Atomic unsigned nwaiting; /* workers without a request; counted until complete */
	_Atomic bool complete;     /* all are started, or no more will be */

	pthread_mutex_t lock; /* guards what follows */
	unsigned nstarted;    /* workers; the caller of ovbd_serve() is the first */
	bool over;            /* one has left */
	int code;             /* the first failure of the transport */
	struct ovbd_error why;
};

static void *worker_main(void *arg);

/* What became of a request: counted, and told if it failed. */
static void account(const struct ovbd_serve_params *p, const struct ovbd_request *rq, int status,
                    uint64_t ns, const struct ovbd_error *why)
{
	if (p->stats)
		ovbd_serve_stats_count(p->stats, rq, status, ns);
	if (status < 0 && p->failed)
		p->failed(p->arg, rq, status, why);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A read into, or a write from, each of the request's pieces; one flush makes several durable. */
static int transfer(struct ovbd_device *d, const struct ovbd_request *rq, struct ovbd_error *err)
{
	const unsigned flags = rq->niov == 1 ? rq->flags : 0;
	uint64_t off = rq->off;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < rq->niov; i++) {
		const struct iovec *v = &rq->iov[i];

		if (rq->op == OVBD_REQUEST_READ)
			r = ovbd_blob_pread(d->blob, v->iov_base, v->iov_len, off, err);
		else
			r = ovbd_device_pwrite(d, v->iov_base, v->iov_len, off, flags, err);
		off += v->iov_len;
	}
	if (r == 0 && (rq->flags & OVBD_WRITE_FUA) && !flags)
		r = ovbd_device_flush(d, err);
	return r;
}

static int answer(struct ovbd_device *d, const struct ovbd_request *rq, struct ovbd_error *err)
{
	switch (rq->op) {
	case OVBD_REQUEST_READ:
	case OVBD_REQUEST_WRITE:
		return transfer(d, rq, err);
	case OVBD_REQUEST_WRITE_ZEROES:
		return ovbd_device_write_zeroes(d, rq->off, rq->len, rq->flags, err);
	case OVBD_REQUEST_DISCARD:
		return ovbd_device_discard(d, rq->off, rq->len, err);
	case OVBD_REQUEST_FLUSH:
		return ovbd_device_flush(d, err);
	}
	return ovbd_fail(err, -ENOTSUP, "request of an unknown kind %d", (int)rq->op);
}

/* One worker more, if there may be; if there is no thread to be had, the others do what they
 * can. */
static void start_worker(struct serve *s)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->over && s->nstarted < s->p->nworkers) {
		struct worker *w = &s->workers[s->nstarted];

		*w = (struct worker){.serve = s, .number = s->nstarted};
		atomic_fetch_add(&s->nwaiting, 1);
		r = -pthread_create(&w->thread, NULL, worker_main, w);
		s->nstarted += r == 0;
		if (r < 0)
			atomic_fetch_sub(&s->nwaiting, 1);
	}
	if (s->over || s->nstarted == s->p->nworkers)
		atomic_store_explicit(&s->complete, true, memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
}

/* This worker waits for nothing now; somebody must, or will. */
static void leave_wait(struct serve *s)
{
	if (!atomic_load_explicit(&s->complete, memory_order_relaxed) &&
	    atomic_fetch_sub(&s->nwaiting, 1) == 1)
		start_worker(s);
}

static void starved(void *arg)
{
	struct serve *s = arg;

	if (!atomic_load_explicit(&s->complete, memory_order_relaxed))
		start_worker(s);
}

static void wait_again(struct serve *s)
{
	if (!atomic_load_explicit(&s->complete, memory_order_relaxed))
		atomic_fetch_add(&s->nwaiting, 1);
}

/* The whole life of a worker; -ESHUTDOWN at the end of a good one. */
static int serve_worker(struct serve *s, unsigned worker, struct ovbd_error *err)
{
	const struct ovbd_transport_ops *ops = s->t->ops;
	struct ovbd_request rq;
	int r;

	while ((r = ops->next(s->t, worker, &rq, err)) == 0) {
		uint64_t began;
		int status;

		leave_wait(s);
		began = now_ns();
		status = answer(s->device, &rq, err);
		account(s->p, &rq, status, now_ns() - began, err);
		wait_again(s);
		r = ops->complete(s->t, worker, &rq, status);
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: answering a request failed", ops->name);
	}
	return r;
}

/* A worker leaves with code r, and so do all. */
static void end(struct serve *s, int r, const struct ovbd_error *why)
{
	pthread_mutex_lock(&s->lock);
	s->over = true;
	if (r != -ESHUTDOWN && s->code == 0) {
		s->code = r;
		s->why = *why;
	}
	pthread_mutex_unlock(&s->lock);
	s->t->ops->stop(s->t);
}

static void run_worker(struct serve *s, unsigned worker)
{
	struct ovbd_error err = {0};
	const int r = serve_worker(s, worker, &err);

	end(s, r, &err);
}

static void *worker_main(void *arg)
{
	const struct worker *w = arg;

	run_worker(w->serve, w->number);
	return NULL;
}

int ovbd_serve(struct ovbd_transport *t, struct ovbd_device *d, const struct ovbd_serve_params *p,
               struct ovbd_error *err)
{
	AUTO_FREE struct worker *workers = calloc(p->nworkers, sizeof(*workers));
	struct serve s = {.t = t,
	                  .device = d,
	                  .p = p,
	                  .workers = workers,
	                  .lock = PTHREAD_MUTEX_INITIALIZER,
	                  .nwaiting = 1,
	                  .nstarted = 1};

	if (p->nworkers == 0)
		return ovbd_fail(err, -EINVAL, "a server without workers");
	if (!workers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->starved = starved;
	t->starved_arg = &s;
	run_worker(&s, 0);
	for (unsigned i = 1; i < s.nstarted; i++) /* as one is over, no more are started */
		pthread_join(workers[i].thread, NULL);
	pthread_mutex_destroy(&s.lock);
	if (s.code < 0 && err)
		*err = s.why;
	return s.code;
}
