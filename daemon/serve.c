// SPDX-License-Identifier: Apache-2.0
/*
 * The workers are alike: each takes a request, has the blob fill the transport's buffer, and
 * answers, and nothing is shared between them but the counters. A read that fails is an answer
 * like any other, with the error's number; only a transport that fails ends the service.
 *
 * Whatever makes one worker leave makes all leave: it stops the transport. The first failure is
 * the one that is reported.
 *
 * There is deliberately no queue between transport and blob. A slow read (HTTP) holds up its own
 * worker and no other, so the number of workers is the number of reads in flight.
 */
#include "daemon/serve.h"

#include <errno.h>
#include <pthread.h>

struct serve {
	struct ovbd_transport *t;
	struct ovbd_blob *blob;
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

/* What became of a read: counted, and told if it failed. */
static void account(const struct ovbd_serve_params *p, const struct ovbd_request *rq, int status,
                    const struct ovbd_error *why)
{
	if (p->stats) {
		atomic_fetch_add_explicit(&p->stats->reads, 1, memory_order_relaxed);
		if (status == 0)
			atomic_fetch_add_explicit(&p->stats->bytes, rq->len, memory_order_relaxed);
		else
			atomic_fetch_add_explicit(&p->stats->failed, 1, memory_order_relaxed);
	}
	if (status < 0 && p->failed)
		p->failed(p->arg, rq, status, why);
}

/* The whole life of a worker; -ESHUTDOWN at the end of a good one. */
static int serve_worker(const struct serve *s, unsigned worker, struct ovbd_error *err)
{
	const struct ovbd_transport_ops *ops = s->t->ops;
	struct ovbd_request rq;
	int r;

	while ((r = ops->next(s->t, worker, &rq, err)) == 0) {
		const int status = ovbd_blob_pread(s->blob, rq.buf, rq.len, rq.off, err);

		account(s->p, &rq, status, err);
		r = ops->complete(s->t, worker, &rq, status);
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: answering a read failed", ops->name);
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

int ovbd_serve(struct ovbd_transport *t, struct ovbd_blob *b, const struct ovbd_serve_params *p,
               struct ovbd_error *err)
{
	struct serve s = {.t = t, .blob = b, .p = p, .lock = PTHREAD_MUTEX_INITIALIZER};
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
