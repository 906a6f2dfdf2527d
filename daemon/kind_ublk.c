// SPDX-License-Identifier: Apache-2.0
/*
 * ublk as a transport of the daemon: the device is a disk of the kernel, whose number is the
 * kernel's choice. Whose disk it is, the driver remembers: its tag is made of the manager's
 * directory and the device's id. The path in the device's state only tells where to look first, and
 * which number to ask for where the disk is not there any more.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/confine.h"
#include "daemon/helper.h"
#include "daemon/transports.h"
#include "daemon/ublk.h"

#define BLOCK_SIZE 512

/* FNV-1a of both, the NUL between them included; never 0. */
static uint64_t tag_of(const struct ovbd_transport_open *p)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (const char *s = p->manager;; s++) {
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
		if (!*s)
			break;
	}
	for (const char *s = p->id; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

/* The N of /dev/ublkbN, or -1. */
static int number_of(const char *path)
{
	int n;

	return path && sscanf(path, "/dev/ublkb%d", &n) == 1 && n >= 0 ? n : -1;
}

static int size_ublk(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err)
{
	uint64_t size;
	int id, r = ovbd_ublk_find(tag_of(p), number_of(p->path), &id, &size, err);

	if (r < 0)
		return r;
	if (size == 0)
		return ovbd_fail(err, -ENOENT, "/dev/ublkb%d was never started", id);
	*ret = size;
	return 0;
}

static int open_ublk(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                     char **ret_path, struct ovbd_error *err)
{
	AUTO_FREE char *path = malloc(OVBD_UBLK_PATH_SIZE);
	struct ovbd_ublk_params ublk = {
		.size = p->device->blob->size,
		.block_size = BLOCK_SIZE,
		.read_only = !ovbd_device_is_writable(p->device),
		.nworkers = p->nworkers,
		.quick = p->quick,
		.id = number_of(p->path),
		.tag = tag_of(p),
		.ready = p->ready,
		.arg = p->arg,
	};
	uint64_t size;
	int r;

	if (!path)
		return ovbd_fail(err, -ENOMEM, "ublk: out of memory");
	r = ovbd_ublk_find(ublk.tag, ublk.id, &ublk.id, &size, err);
	if (r < 0 && r != -ENOENT)
		return r;
	ublk.recover = r == 0;
	r = ovbd_ublk_open(&ublk, path, ret, err);
	/* Its number is somebody else's by now, or hangs in the driver. */
	if ((r == -EEXIST && ublk.id >= 0) || r == -EOWNERDEAD) {
		ublk.id = -1;
		ublk.recover = false;
		r = ovbd_ublk_open(&ublk, path, ret, err);
	}
	if (r < 0)
		return r;
	*ret_path = OVBD_MOVE(path);
	return 0;
}

static int resize_ublk(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                       struct ovbd_error *err)
{
	(void)p;
	return ovbd_ublk_resize(t, size, err);
}

static int abandon_ublk(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	return ovbd_ublk_abandon(tag_of(p), number_of(p->path), err);
}

const struct ovbd_transport_kind ovbd_transport_kind_ublk = {
	.name = "ublk",
	.writable = true,
	.discards = true,
	.block_size = BLOCK_SIZE,
	.late = true,
	.survives = true,
	.caps = OVBD_CAP(SYS_ADMIN),
	.calls = OVBD_CALLS_RING,
	.size = size_ublk,
	.prepare = ovbd_helper_start,
	.available = ovbd_ublk_available,
	.open = open_ublk,
	.resize = resize_ublk,
	.abandon = abandon_ublk,
};
