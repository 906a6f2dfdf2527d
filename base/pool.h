/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of jobs that threads work on in parallel and that come back in the order in which they
 * were submitted. The submitting thread does all input and output, and works too when it would
 * otherwise wait: n threads in all means n - 1 are started. With n = 1 none is, and everything
 * happens in the submitting thread; the results are the same for every n.
 *
 *     for (;;) {
 *             r = ovbd_pool_next(p, &job, err);   // the oldest job's done() may run here
 *             ... fill jobs[job] ...
 *             ovbd_pool_submit(p, job);
 *     }
 *     r = ovbd_pool_drain(p, err);                // done() of all that are left
 */
#ifndef OVBD_BASE_POOL_H
#define OVBD_BASE_POOL_H

#include "base/auto.h"
#include "base/error.h"

struct ovbd_pool_ops {
	/* Any of the threads, several at a time, each another job. thread is 0 .. nthreads - 1, and
	 * belongs to one call at a time: the place for per-thread scratch memory. A failure is
	 * recorded in the job, for done() to return. */
	void (*work)(void *ctx, unsigned job, unsigned thread);
	/* The submitting thread, in the order of submission. The first error stops everything: it
	 * is returned by next() and drain() from then on, and no further done() is called. */
	int (*done)(void *ctx, unsigned job, struct ovbd_error *err);
};

struct ovbd_pool;

/* njobs > 0 is the length of the ring; 2 * nthreads or more keeps all threads busy. */
int ovbd_pool_create(const struct ovbd_pool_ops *ops, void *ctx, unsigned nthreads, unsigned njobs,
                     struct ovbd_pool **ret, struct ovbd_error *err);

/* The next free job of the ring, for the caller to fill. */
int ovbd_pool_next(struct ovbd_pool *p, unsigned *ret_job, struct ovbd_error *err);

/* Hands over the job that next() gave. */
void ovbd_pool_submit(struct ovbd_pool *p, unsigned job);

/* Waits for all jobs; done() has been called for each. */
int ovbd_pool_drain(struct ovbd_pool *p, struct ovbd_error *err);

/* Waits for jobs in work, calls no done(). NULL is fine. */
void ovbd_pool_close(struct ovbd_pool *take_p);

static inline void ovbd_pool_closep(struct ovbd_pool **p)
{
	ovbd_pool_close(*p);
}
#define AUTO_POOL OVBD_AUTO(ovbd_pool_closep) struct ovbd_pool

#endif
