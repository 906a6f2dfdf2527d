// SPDX-License-Identifier: Apache-2.0
/* dm-user as two transports of the daemon, for Android's kernels and for the first of them. The
 * target is made by others, before: it has the name of the device. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "daemon/dmuser.h"
#include "daemon/transports.h"

static char dir[64] = "/dev/dm-user";

void ovbd_dmuser_set_dir(const char *path)
{
	if (path[0])
		snprintf(dir, sizeof(dir), "%s", path);
}

static int available(struct ovbd_error *err)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "the kernel has no dm-user target, which only Android's have, or "
		                 "none has been made: there is no %s",
		                 dir);
	return 0;
}

static int open_protocol(const struct ovbd_transport_open *p, bool old, struct ovbd_transport **ret,
                         char **ret_path, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	struct ovbd_dmuser_params dm = {
		.device = p->device,
		.nworkers = p->nworkers,
		.old = old,
	};
	int r;

	if (asprintf(&path, "%s/%s", dir, p->id) < 0) {
		path = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	dm.path = path;
	r = ovbd_dmuser_open(&dm, ret, err);
	if (r == 0)
		*ret_path = OVBD_MOVE(path);
	return r;
}

static int open_dmuser(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                       char **ret_path, struct ovbd_error *err)
{
	return open_protocol(p, false, ret, ret_path, err);
}

static int open_old(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                    char **ret_path, struct ovbd_error *err)
{
	return open_protocol(p, true, ret, ret_path, err);
}

#define BY_NAME "serves a dm-user target, which must be there under the device's id"

const struct ovbd_transport_kind ovbd_transport_kind_dmuser = {
	.name = "dm-user",
	.writable = true,
	.discards = true,
	.only_by_name = BY_NAME,
	.available = available,
	.open = open_dmuser,
};

const struct ovbd_transport_kind ovbd_transport_kind_dmuser_old = {
	.name = "dm-user-48",
	.writable = true,
	.discards = true,
	.only_by_name = BY_NAME ", with the first protocol",
	.available = available,
	.open = open_old,
};
