/* SPDX-License-Identifier: Apache-2.0 */
/* The worker loop: requests of a transport, answered by a device. */
#ifndef OVBD_DAEMON_SERVE_H
#define OVBD_DAEMON_SERVE_H

#include <stdatomic.h>

#include "base/device.h"
#include "daemon/transport.h"

/* Told of every request that failed, in the worker's thread: libraries do not log. */
typedef void (*ovbd_serve_failed_fn)(void *arg, const struct ovbd_request *rq, int code,
                                     const struct ovbd_error *why);

/* How long requests took, answering them included, waiting for their turn not: count i is of those
 * that took at most OVBD_LATENCY_US(i) microseconds and more than the one before says; the last,
 * of those that took longer. */
enum { OVBD_LATENCY_NBOUNDS = 12 };
#define OVBD_LATENCY_US(i) (UINT64_C(16) << 2 * (i))

struct ovbd_latency {
	_Atomic uint64_t counts[OVBD_LATENCY_NBOUNDS + 1];
	_Atomic uint64_t sum_ns;
};

enum ovbd_latency_op {
	OVBD_LATENCY_READ,
	OVBD_LATENCY_WRITE, /* and zeroes and discards */
	OVBD_LATENCY_FLUSH,
	OVBD_LATENCY_NOPS,
};

/* Counts up while ovbd_serve() runs; any thread may look. */
struct ovbd_serve_stats {
	_Atomic uint64_t reads;         /* answered, failed ones included */
	_Atomic uint64_t bytes;         /* of the reads that succeeded */
	_Atomic uint64_t writes;        /* and zeroes and discards */
	_Atomic uint64_t written_bytes; /* of those that succeeded */
	_Atomic uint64_t flushes;
	_Atomic uint64_t failed; /* of all */
	struct ovbd_latency latency[OVBD_LATENCY_NOPS];
	_Atomic uint64_t slowest_ns; /* of the reads; who looks may begin anew */
};

/* A request that was answered with status, after ns nanoseconds. Any thread. */
void ovbd_serve_stats_count(struct ovbd_serve_stats *st, const struct ovbd_request *rq, int status,
                            uint64_t ns);

/* Adds what one has counted to another; slowest_ns is the larger. */
void ovbd_serve_stats_add(struct ovbd_serve_stats *to, struct ovbd_serve_stats *from);

struct ovbd_serve_params {
	unsigned nworkers; /* at most, >= 1; the caller is one, others start when they are needed */
	ovbd_serve_failed_fn failed;    /* may be NULL */
	void *arg;                      /* for failed() */
	struct ovbd_serve_stats *stats; /* may be NULL */
};

/* Answers the requests of t by d until t stops; the caller keeps both. 0 after a stop, or why
 * the transport died. The threads it starts have the caller's signal mask. */
int ovbd_serve(struct ovbd_transport *t, struct ovbd_device *d, const struct ovbd_serve_params *p,
               struct ovbd_error *err);

#endif
