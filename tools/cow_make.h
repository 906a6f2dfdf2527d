/* SPDX-License-Identifier: Apache-2.0 */
/* Making a COW of open images: what `ovbd cow create` and `ovbd convert` have in common. */
#ifndef OVBD_TOOLS_COW_MAKE_H
#define OVBD_TOOLS_COW_MAKE_H

#include "image/image.h"
#include "ota/cow_create.h"
#include "tools/cli.h"

struct ovbd_cow_make {
	struct ovbd_blob *src;                /* what the update makes */
	const struct ovbd_image *img;         /* src is its blob; NULL: src is standard input */
	const struct ovbd_image *old;         /* of what; NULL: of anything */
	const char *dst;                      /* a path, or "-" */
	struct ovbd_cow_create_params params; /* but for progress */
	bool force, progress, json;
};

/* 3.0, lz4, pieces of 64 KiB, a scratch area. */
struct ovbd_cow_create_params ovbd_cow_make_defaults(void);

/* Writes m->dst and says so. Returns the exit status. */
int ovbd_cow_make_run(const struct ovbd_cli *c, const struct ovbd_cow_make *m);

#endif
