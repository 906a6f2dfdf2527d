// SPDX-License-Identifier: Apache-2.0
/* Serving as a file. */
#include "daemon/fuse.h"
#include "tools/serving.h"

int ovbd_serving_open_fuse(struct ovbd_serving *s, bool allow_other, unsigned nworkers)
{
	const struct ovbd_fuse_params p = {
		.path = s->path,
		.size = s->device->blob->size,
		.nworkers = nworkers,
		.writable = ovbd_device_is_writable(s->device),
		.allow_other = allow_other,
	};
	struct ovbd_error err;
	const int r = ovbd_fuse_open(&p, &s->t, &err);

	return r < 0 ? ovbd_cli_fail(s->c, r, false, &err) : 0;
}
