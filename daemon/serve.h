/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_DAEMON_SERVE_H
#define OVBD_DAEMON_SERVE_H

#include "base/blob.h"
#include "daemon/transport.h"

/* Told of every read that failed, in the worker's thread: libraries do not log. */
typedef void (*ovbd_serve_failed_fn)(void *arg, uint64_t off, uint32_t len, int code,
                                     const struct ovbd_error *why);

struct ovbd_serve_params {
	unsigned nworkers;           /* >= 1; the calling thread is one of them */
	ovbd_serve_failed_fn failed; /* may be NULL */
	void *arg;
};

/* Answers the requests of t from b until t stops. 0 after a stop, or why the transport died. */
int ovbd_serve(struct ovbd_transport *t, struct ovbd_blob *b, const struct ovbd_serve_params *p,
               struct ovbd_error *err);

#endif
