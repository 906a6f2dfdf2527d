// SPDX-License-Identifier: Apache-2.0
/* The kernel's NBD client as a transport of the daemon: the device is a disk, /dev/nbdN. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/confine.h"
#include "daemon/helper.h"
#include "daemon/nbd_kernel.h"
#include "daemon/transports.h"

#define PREFIX "ovbd:"

static char *backend_of(const struct ovbd_transport_open *p)
{
	char *text;

	return asprintf(&text, PREFIX "%s:%s", p->manager, p->id) < 0 ? NULL : text;
}

struct search {
	const char *manager;
	void (*found)(void *arg, const char *id, const char *path);
	void *arg;
};

static void look_at(void *arg, unsigned n, const char *backend)
{
	const struct search *s = arg;
	const size_t len = strlen(s->manager);
	char path[OVBD_NBD_KERNEL_PATH_SIZE];

	if (strncmp(backend, PREFIX, strlen(PREFIX)) != 0)
		return;
	backend += strlen(PREFIX);
	if (strncmp(backend, s->manager, len) != 0 || backend[len] != ':')
		return;
	snprintf(path, sizeof(path), "/dev/nbd%u", n);
	s->found(s->arg, backend + len + 1, path);
}

static void left_nbd(const char *manager,
                     void (*found)(void *arg, const char *id, const char *path), void *arg)
{
	struct search s = {manager, found, arg};

	nbd_disk_each(look_at, &s);
}

static int size_nbd(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err)
{
	AUTO_FREE char *backend = backend_of(p);
	bool read_only;
	int n;

	if (!backend)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	n = nbd_disk_find(backend);
	return n < 0 ? ovbd_fail_errno(err, n, "the disk of %s", p->id)
	             : nbd_disk_look((unsigned)n, ret, &read_only, err);
}

static int open_nbd(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                    char **ret_path, struct ovbd_error *err)
{
	AUTO_FREE char *backend = backend_of(p);
	AUTO_FREE char *path = malloc(OVBD_NBD_KERNEL_PATH_SIZE);
	const struct ovbd_nbd_kernel_params k = {
		.backend = backend,
		.device = p->device,
		.nworkers = p->nworkers,
	};
	int r;

	if (!backend || !path)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_nbd_kernel_open(&k, path, ret, err);
	if (r == 0)
		*ret_path = OVBD_MOVE(path);
	return r;
}

static int resize_nbd(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                      struct ovbd_error *err)
{
	(void)p;
	return size > 0 ? ovbd_nbd_kernel_resize(t, size, err) : 0;
}

static int abandon_nbd(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	AUTO_FREE char *backend = backend_of(p);

	return backend ? ovbd_nbd_kernel_abandon(backend, err)
	               : ovbd_fail(err, -ENOMEM, "out of memory");
}

const struct ovbd_transport_kind ovbd_transport_kind_nbd = {
	.name = "nbd",
	.writable = true,
	.discards = true,
	.block_size = NBD_BLOCK_SIZE,
	.survives = true,
	.caps = OVBD_CAP(SYS_ADMIN) | OVBD_CAP(NET_ADMIN),
	.prepare = ovbd_helper_start,
	.size = size_nbd,
	.available = nbd_netlink_available,
	.open = open_nbd,
	.resize = resize_nbd,
	.abandon = abandon_nbd,
	.left = left_nbd,
};
