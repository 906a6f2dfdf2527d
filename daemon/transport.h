/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport is an edge to the kernel (or to a client): it gives requests and takes answers. It
 * knows nothing of images; the workers of serve.c know nothing of transports.
 *
 * Each of the workers 0 .. nworkers - 1 of a transport calls next(), answers, calls complete(),
 * and so on: it holds one request at a time, so a transport needs one buffer per worker.
 */
#ifndef OVBD_DAEMON_TRANSPORT_H
#define OVBD_DAEMON_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

enum ovbd_request_op {
	OVBD_REQUEST_READ,
	OVBD_REQUEST_WRITE,
	OVBD_REQUEST_WRITE_ZEROES,
	OVBD_REQUEST_DISCARD,
	OVBD_REQUEST_FLUSH, /* off and len are 0 */
};

/* What is asked of [off, off + len), which lies within the device. */
struct ovbd_request {
	enum ovbd_request_op op;
	unsigned flags;          /* OVBD_WRITE_*; for WRITE and WRITE_ZEROES */
	const struct iovec *iov; /* READ: to be filled; WRITE: to be taken. Memory that the */
	unsigned niov;           /* transport lends until complete(); its lengths add up to len, */
				 /* or there is none for a READ whose bytes are known */
	uint64_t off;
	uint64_t len; /* > 0 but for FLUSH */
};

struct ovbd_transport;
struct ovbd_transport_ops {
	const char *name;
	/* Required. Blocks. The workers call it concurrently, each with its own number; worker 0
	 * from the start, a higher one once those below it were all busy. 0: *ret is filled, and
	 * within the device. -ESHUTDOWN: stop() was called or the other side has gone away in good
	 * order. Any other: the device is dead. What is no request of the kinds above, the
	 * transport answers itself. */
	int (*next)(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
	            struct ovbd_error *err);
	/* Required. Once for each request, by the worker that got it, before its following next().
	 * status is 0 or -errno; then what a READ was to fill is undefined. Fails only if the
	 * device is dead; that the asker has given up waiting is no failure. */
	int (*complete)(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
	                int status);
	/* Optional. Any thread, while the workers go on. Nobody new can open the device; whoever
	 * has it open is still served, and once the last is gone every next() returns -ESHUTDOWN.
	 * 1: there are such users, 0: there are none, -errno. Again after a success: the same. */
	int (*detach)(struct ovbd_transport *t, struct ovbd_error *err);
	/* Required. Any thread, also twice, also a signal handler: every next() returns soon. */
	void (*stop)(struct ovbd_transport *t);
	/* Required. After the last worker has returned. */
	void (*close)(struct ovbd_transport *t);
};

/* The head of every implementation's own struct. */
struct ovbd_transport {
	const struct ovbd_transport_ops *ops;
	/* Set while it is served; for a next() that waits though there are requests, which only
	 * others can take: starts another worker, if there may be more. Any thread, but for
	 * close(). */
	void (*starved)(void *arg);
	void *starved_arg;
};

#endif
