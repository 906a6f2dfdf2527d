/* SPDX-License-Identifier: Apache-2.0 */
/* Where an NBD server listens: a Unix socket or a TCP port. */
#ifndef OVBD_DAEMON_NBD_LISTEN_H
#define OVBD_DAEMON_NBD_LISTEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

struct nbd_listener {
	int fd;     /* -1: there is none */
	char *path; /* of the Unix socket; NULL: TCP */
	dev_t dev;  /* which file at path is ours */
	ino_t ino;
	const char *scheme; /* of uri */
	char *uri;          /* by which a client reaches the export */
};

/* secured: the URI's scheme says that it needs TLS.
 * address: a HOST:PORT ([HOST]:PORT for IPv6; no HOST: every address; port 0: a free one) or else,
 * and whatever has a slash, the path of a socket that is made. What a dead server has left at the
 * path is cleared away, a live one is -EADDRINUSE. */
int nbd_listen(const char *address, const char *export, bool secured, struct nbd_listener *ret,
               struct ovbd_error *err);

/* Nobody new can connect, the socket's file is gone; uri stays. Also twice. */
void nbd_listen_end(struct nbd_listener *l);

void nbd_listen_free(struct nbd_listener *l);

#endif
