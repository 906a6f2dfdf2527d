/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for NBD clients: who the server is, whom it lets in, and the encrypted byte stream of each
 * connection. Files and their names are those of qemu-nbd and nbdkit.
 */
#ifndef OVBD_DAEMON_NBD_TLS_H
#define OVBD_DAEMON_NBD_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct ovbd_nbd_tls_params {
	/* One of the two. A directory with server-cert.pem and server-key.pem, ca-cert.pem if
	 * clients are verified, and ca-crl.pem if some are revoked; or a file of lines
	 * "username:hexkey". */
	const char *certificates, *psk;
	bool verify_peer; /* certificates: only clients that have one which ca-cert.pem signed */
};

struct ovbd_nbd_tls;

/* -ENOTSUP: this build has no TLS. */
int ovbd_nbd_tls_open(const struct ovbd_nbd_tls_params *p, struct ovbd_nbd_tls **ret,
                      struct ovbd_error *err);

/* After the last connection. NULL is fine. */
void ovbd_nbd_tls_close(struct ovbd_nbd_tls *take_t);

static inline void ovbd_nbd_tls_closep(struct ovbd_nbd_tls **t)
{
	ovbd_nbd_tls_close(*t);
}

/* One connection over the socket fd, which does not block. One thread may receive while another
 * sends. NULL: no memory. */
struct nbd_tls *nbd_tls_start(const struct ovbd_nbd_tls *t, int fd);

/* 0: it is done. -EAGAIN: when fd can be read, or written if *ret_writes. Any other: it failed. */
int nbd_tls_handshake(struct nbd_tls *s, bool *ret_writes);

/* As recv() and send(), but for -errno. What was not sent (-EAGAIN) is to be sent again before
 * anything else. */
ssize_t nbd_tls_recv(struct nbd_tls *s, void *buf, size_t len);
ssize_t nbd_tls_send(struct nbd_tls *s, const void *buf, size_t len);

/* Whether there are bytes to receive of which fd says nothing any more. */
bool nbd_tls_has_more(const struct nbd_tls *s);

/* Before fd is closed. NULL is fine. */
void nbd_tls_end(struct nbd_tls *take_s);

#endif
