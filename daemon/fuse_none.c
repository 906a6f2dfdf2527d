// SPDX-License-Identifier: Apache-2.0
/* Stands in for fuse.c where libfuse3 was not found. */
#include "daemon/fuse.h"

#include <errno.h>

int ovbd_fuse_open(const struct ovbd_fuse_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err)
{
	(void)ret;
	return ovbd_fail(err, -ENOTSUP, "%s: this program was built without FUSE (libfuse3)",
	                 p->path);
}
