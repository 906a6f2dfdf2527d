/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport is an edge to the kernel (or to a client): it gives requests and takes answers. It
 * knows nothing of images; the workers of serve.c know nothing of transports.
 */
#ifndef OVBD_DAEMON_TRANSPORT_H
#define OVBD_DAEMON_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A read of [off, off + len) into buf, memory that the transport lends until complete(). */
struct ovbd_request {
	void *buf;
	uint64_t off;
	uint32_t len;
	void *cookie; /* the transport's own */
};

struct ovbd_transport;
struct ovbd_transport_ops {
	const char *name;
	/* Required. Blocks. Called by workers 0 .. nworkers - 1, concurrently, each with its own
	 * number. 0: *ret is filled, and within the device. -ESHUTDOWN: stop() was called or the
	 * other side has gone away in good order. Any other: the device is dead. What is not a
	 * read, the transport answers itself. */
	int (*next)(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
	            struct ovbd_error *err);
	/* Required. Once for each request, in any order, by any worker. status is 0 (buf is full)
	 * or -errno (buf is undefined). */
	int (*complete)(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
	                int status);
	/* Required. Any thread, also twice, also a signal handler: every next() returns soon. */
	void (*stop)(struct ovbd_transport *t);
	/* Required. After the last worker has returned. */
	void (*close)(struct ovbd_transport *t);
};

struct ovbd_transport {
	const struct ovbd_transport_ops *ops;
};

#endif
