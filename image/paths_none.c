// SPDX-License-Identifier: Apache-2.0
/* In place of paths.c where there is no libext2fs. */
#include "image/paths.h"

#include <errno.h>

int ovbd_paths_trace(struct ovbd_image *img, const char *text, size_t len,
                     const struct ovbd_paths_params *p, struct ovbd_trace *t,
                     struct ovbd_error *err)
{
	(void)img;
	(void)text;
	(void)len;
	(void)p;
	(void)t;
	return ovbd_fail(err, -ENOTSUP, "this ovbd was built without libext2fs");
}
