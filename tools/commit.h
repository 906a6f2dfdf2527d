/* SPDX-License-Identifier: Apache-2.0 */
/* What was written to a writable layer becomes a read-only one: `ovbd commit`, overlaybd-commit. */
#ifndef OVBD_TOOLS_COMMIT_H
#define OVBD_TOOLS_COMMIT_H

#include "image/image.h"
#include "tools/convert.h"

struct ovbd_commit {
	struct ovbd_convert
		out; /* its dst, format, tar, force, zfile; uuid, parent_uuid and tag, or NULL */
	const char *data, *index;       /* as in image/upper.h */
	bool new_uuid;                  /* out.uuid NULL is the null UUID, not that of data */
	bool whole;                     /* nothing lies beneath */
	const struct ovbd_image *below; /* what does; NULL: it is not said */
};

int ovbd_commit_run(const struct ovbd_commit *q, struct ovbd_converted *ret,
                    struct ovbd_error *err);

#endif
