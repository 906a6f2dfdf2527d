// SPDX-License-Identifier: Apache-2.0
/* Stands in for nbd_tls.c where there is no GnuTLS: nobody gets a struct ovbd_nbd_tls. */
#include <errno.h>

#include "daemon/nbd_tls.h"

int ovbd_nbd_tls_open(const struct ovbd_nbd_tls_params *p, struct ovbd_nbd_tls **ret,
                      struct ovbd_error *err)
{
	(void)p;
	(void)ret;
	return ovbd_fail(err, -ENOTSUP, "this ovbd was built without TLS");
}

void ovbd_nbd_tls_close(struct ovbd_nbd_tls *take_t)
{
	(void)take_t;
}

struct nbd_tls *nbd_tls_start(const struct ovbd_nbd_tls *t, int fd)
{
	(void)t;
	(void)fd;
	return NULL;
}

int nbd_tls_handshake(struct nbd_tls *s, bool *ret_writes)
{
	(void)s;
	*ret_writes = false;
	return -ENOTSUP;
}

ssize_t nbd_tls_recv(struct nbd_tls *s, void *buf, size_t len)
{
	(void)s;
	(void)buf;
	(void)len;
	return -ENOTSUP;
}

ssize_t nbd_tls_send(struct nbd_tls *s, const void *buf, size_t len)
{
	(void)s;
	(void)buf;
	(void)len;
	return -ENOTSUP;
}

bool nbd_tls_has_more(const struct nbd_tls *s)
{
	(void)s;
	return false;
}

void nbd_tls_end(struct nbd_tls *take_s)
{
	(void)take_s;
}
