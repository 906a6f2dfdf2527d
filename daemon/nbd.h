/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport of an NBD server: one export, on a Unix socket or a TCP port, for qemu, libnbd or a
 * kernel's client. Without TLS who can reach the socket can read, and write what is writable.
 */
#ifndef OVBD_DAEMON_NBD_H
#define OVBD_DAEMON_NBD_H

#include "base/device.h"
#include "daemon/nbd_tls.h"
#include "daemon/transport.h"

#define OVBD_NBD_MAX_CONNS 1024 /* more wait until one ends */

struct ovbd_nbd_params {
	/* A path, or HOST:PORT: nbd_listen.h says what is which. NULL: nobody can connect, there
	 * are the connections that ovbd_nbd_adopt() gives it, and next() ends with the last. */
	const char *address;
	const char *export; /* its name, at most 4096 bytes; clients may also ask for "" */
	struct ovbd_device
		*device; /* for its size, and what of it is zeros; outlives the transport */
	unsigned nworkers;
	const struct ovbd_nbd_tls *tls; /* NULL: none is offered; outlives the transport */
	bool tls_required;
};

/* Clients can connect when it returns, and are answered once there are workers. */
int ovbd_nbd_open(const struct ovbd_nbd_params *p, struct ovbd_transport **ret,
                  struct ovbd_error *err);

/* A client that is connected already, and whose handshake is over: it gets simple replies. A
 * failure is as if the client had gone. */
void ovbd_nbd_adopt(struct ovbd_transport *t, int take_fd);

/* The device has become larger: requests may reach so far, and clients that come are told so. */
void ovbd_nbd_resize(struct ovbd_transport *t, uint64_t size);

/* By which a client reaches it: nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH. Valid
 * until t is closed. */
const char *ovbd_nbd_uri(struct ovbd_transport *t);

#endif
