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
 */
#include "daemon/serve.h"

#include <errno.h>
#include <pthread.h>

struct serve {
	struct ovbd_transport *t;
	struct ovbd_device *device;
	const struct ovbd_serve_params *p;
	pthread_mutex_t lock; /* guards code and why */
	int code;             /* the first failure of the transport */
	struct ovbd_error why;
};

struct worker {
	struct serve *serve;
	unsigned number;
	pthread_t thread;
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* What became of a request: counted, and told if it failed. */
static void account(const struct ovbd_serve_params *p, const struct ovbd_request *rq, int status,
                    const struct ovbd_error *why)
{
	struct ovbd_serve_stats *st = p->stats;

	if (st && rq->op == OVBD_REQUEST_READ) {
		count(&st->reads, 1);
		count(&st->bytes, status == 0 ? rq->len : 0);
	} else if (st && rq->op == OVBD_REQUEST_FLUSH) {
		count(&st->flushes, 1);
	} else if (st) {
		count(&st->writes, 1);
		count(&st->written_bytes, status == 0 ? rq->len : 0);
	}
	if (st && status < 0)
		count(&st->failed, 1);
	if (status < 0 && p->failed)
		p->failed(p->arg, rq, status, why);
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

/* The whole life of a worker; -ESHUTDOWN at the end of a good one. */
static int serve_worker(const struct serve *s, unsigned worker, struct ovbd_error *err)
{
	const struct ovbd_transport_ops *ops = s->t->ops;
	struct ovbd_request rq;
	int r;

	while ((r = ops->next(s->t, worker, &rq, err)) == 0) {
		const int status = answer(s->device, &rq, err);

		account(s->p, &rq, status, err);
		r = ops->complete(s->t, worker, &rq, status);
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: answering a request failed", ops->name);
	}
	return r;
}

static void run_worker(struct serve *s, unsigned worker)
{
	struct ovbd_error err = {0};
	const int r = serve_worker(s, worker, &err);

	if (r != -ESHUTDOWN) {
		pthread_mutex_lock(&s->lock);
		if (s->code == 0) {
			s->code = r;
			s->why = err;
		}
		pthread_mutex_unlock(&s->lock);
	}
	s->t->ops->stop(s->t);
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
	struct serve s = {.t = t, .device = d, .p = p, .lock = PTHREAD_MUTEX_INITIALIZER};
	AUTO_FREE struct worker *workers = NULL;
	unsigned nstarted = 1; /* this thread is worker 0 */
	int r = 0;

	if (p->nworkers == 0)
		return ovbd_fail(err, -EINVAL, "a server without workers");
	workers = calloc(p->nworkers, sizeof(*workers));
	if (!workers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (; r == 0 && nstarted < p->nworkers; nstarted += r == 0) {
		struct worker *w = &workers[nstarted];

		w->serve = &s;
		w->number = nstarted;
		r = -pthread_create(&w->thread, NULL, worker_main, w);
	}
	if (r == 0)
		run_worker(&s, 0);
	else
		t->ops->stop(t);
	for (unsigned i = 1; i < nstarted; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_mutex_destroy(&s.lock);
	if (r < 0)
		return ovbd_fail_errno(err, r, "starting worker %u", nstarted);
	if (s.code < 0 && err)
		*err = s.why;
	return s.code;
}
