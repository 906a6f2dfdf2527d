// SPDX-License-Identifier: Apache-2.0
/* An NBD server as a transport of the daemon: a unix socket for qemu and others; the device's path
 * is its URI. */
#include <errno.h>

#include "base/auto.h"
#include "daemon/nbd.h"
#include "daemon/nbd_listen.h"
#include "daemon/transports.h"

static int available(struct ovbd_error *err)
{
	(void)err;
	return 0;
}

static int open_nbd(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                    char **ret_path, struct ovbd_error *err)
{
	const struct ovbd_nbd_params nbd = {
		.address = p->path,
		.export = p->id,
		.device = p->device,
		.nworkers = p->nworkers,
	};
	struct ovbd_transport *t;
	char *path;
	int r = ovbd_nbd_open(&nbd, &t, err);

	if (r < 0)
		return r;
	path = strdup(ovbd_nbd_uri(t));
	if (!path) {
		t->ops->close(t);
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", p->path);
	}
	*ret = t;
	*ret_path = path;
	return 0;
}

/* The protocol has no way to tell it to clients that are there. */
static int resize_nbd(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                      struct ovbd_error *err)
{
	(void)p;
	(void)err;
	if (size > 0)
		ovbd_nbd_resize(t, size);
	return 0;
}

static int abandon_nbd(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	struct nbd_listener l = {.fd = -1};
	const int r = nbd_listen(p->path, p->id, false, &l, err);

	nbd_listen_free(&l); /* and the socket's file with it */
	return r;
}

const struct ovbd_transport_kind ovbd_transport_kind_nbd_socket = {
	.name = "nbd-socket",
	.suffix = ".nbd",
	.writable = true,
	.discards = true,
	.only_by_name = "is for NBD clients, and no device of this host",
	.available = available,
	.open = open_nbd,
	.resize = resize_nbd,
	.abandon = abandon_nbd,
};
