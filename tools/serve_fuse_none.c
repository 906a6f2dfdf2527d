// SPDX-License-Identifier: Apache-2.0
/* Stands in for serve_fuse.c where there was no FUSE when this was built. */
#include "tools/serving.h"

int ovbd_serving_open_fuse(struct ovbd_serving *s, bool allow_other, unsigned nworkers)
{
	(void)allow_other;
	(void)nworkers;
	ovbd_cli_error(s->c, "%s: this ovbd was built without FUSE; --nbd is there", s->path);
	return OVBD_EXIT_UNAVAILABLE;
}
