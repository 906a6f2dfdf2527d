// SPDX-License-Identifier: Apache-2.0
/* Serving as a disk of the kernel. */
#include "daemon/ublk.h"
#include "image/upper.h"
#include "tools/serving.h"

_Static_assert(sizeof(((struct ovbd_serving *)0)->disk) == OVBD_UBLK_PATH_SIZE, "room for a path");

int ovbd_serving_open_ublk(struct ovbd_serving *s, int id, unsigned nworkers,
                           void (*begin)(void *s))
{
	static const _Atomic bool quick = true;
	const struct ovbd_ublk_params p = {
		.size = s->device->blob->size,
		.block_size = 512,
		.read_only = !ovbd_device_is_writable(s->device),
		.nworkers = nworkers,
		.quick = !s->img || !ovbd_image_is_remote(s->img) ? &quick : NULL,
		.id = id,
		.recover = id >= 0,
		.ready = begin,
		.arg = s,
	};
	struct ovbd_error err;
	int r;

	if (s->img && s->img->upper) /* the disk may outlive this server */
		ovbd_upper_keep(s->img->upper);
	r = ovbd_ublk_open(&p, s->disk, &s->t, &err);
	if (r < 0)
		return ovbd_cli_fail(s->c, r, false, &err);
	s->path = s->disk;
	return 0;
}
