/* SPDX-License-Identifier: Apache-2.0 */
/* Verification of an open image, layer by layer. */
#ifndef OVBD_TOOLS_CHECK_H
#define OVBD_TOOLS_CHECK_H

#include "base/progress.h"
#include "image/image.h"
#include "tools/cli.h"

struct ovbd_check_result {
	int code;              /* 0: sound; -EBADMSG: corrupt; other: could not be checked */
	uint64_t nblocks;      /* decompressed */
	bool checksum;         /* ... and each compared with its checksum */
	uint64_t raw_size;     /* bytes read of what has no blocks */
	struct ovbd_error err; /* if code < 0 */
};

/* Checks every layer of img; ret has room for all of them. Stops early only if interrupted. */
void ovbd_check_image(const struct ovbd_cli *c, const struct ovbd_image *img,
                      ovbd_progress_fn progress, void *arg, struct ovbd_check_result *ret);

/* name was not recognized as anything. Whether it was once a layer: it ends like one, or one lies
 * behind what must have been a tar header. Then -EBADMSG, with the sentence; 0: no sign of it. */
int ovbd_check_suspect(const struct ovbd_cli *c, const char *name, struct ovbd_error *err);

#endif
