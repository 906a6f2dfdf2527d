// SPDX-License-Identifier: Apache-2.0
/* FUSE as a transport of the daemon: the device is a file. */
#include <errno.h>
#include <linux/capability.h>

#include "base/auto.h"
#include "daemon/confine.h"
#include "daemon/fuse.h"
#include "daemon/fuse_place.h"
#include "daemon/transports.h"

static int available(struct ovbd_error *err)
{
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return ovbd_fail_errno(err, -errno,
		                       "fuse: /dev/fuse (load the module: modprobe fuse; in a "
		                       "container: --device /dev/fuse)");
	return 0;
}

static int open_fuse(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                     char **ret_path, struct ovbd_error *err)
{
	AUTO_FREE char *path = strdup(p->path);
	const struct ovbd_fuse_params fuse = {
		.path = p->path,
		.size = p->device->blob->size,
		.nworkers = p->nworkers,
		.writable = ovbd_device_is_writable(p->device),
	};
	int r;

	if (!path)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", p->path);
	r = ovbd_fuse_open(&fuse, ret, err);
	if (r < 0)
		return r;
	*ret_path = OVBD_MOVE(path);
	return 0;
}

static int resize_fuse(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                       struct ovbd_error *err)
{
	(void)p;
	return size > 0 ? ovbd_fuse_resize(t, size, err) : 0;
}

static int abandon_fuse(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	struct ovbd_fuse_place place;
	int r = ovbd_fuse_place_take(p->path, &place, err);

	if (r < 0)
		return r;
	ovbd_fuse_place_release(&place);
	return 0;
}

const struct ovbd_transport_kind ovbd_transport_kind_fuse = {
	.name = "fuse",
	.suffix = ".raw",
	.writable = true,
	.caps = OVBD_CAP(SYS_ADMIN),
	.calls = OVBD_CALLS_MOUNT,
	.available = available,
	.open = open_fuse,
	.resize = resize_fuse,
	.abandon = abandon_fuse,
};
