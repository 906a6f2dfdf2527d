/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot of an image that is in use: its writable layer becomes a read-only one, as it is at
 * one moment, and an empty one lies above it. Reads go on; writes wait for one flush.
 *
 * The image's configuration is replaced twice. First, before the moment, by one that has both
 * layers and says that the lower of them is to be sealed; whoever opens that does it. Then, when it
 * is sealed, by one that does not say so any more. So whenever the process ends, the configuration
 * leads to all that was written.
 */
#ifndef OVBD_IMAGE_SNAPSHOT_H
#define OVBD_IMAGE_SNAPSHOT_H

#include "image/image.h"

struct ovbd_snapshot_params {
	/* Absolute paths of the files of the new writable layer, which is of the same format as the
	 * last; they must not be there. index: of overlaybd's formats. NULL: beside the last. */
	const char *data, *index;
	/* Or, as the original has it, a configuration that takes the place of the image's: the same
	 * layers, the writable one as another, and a writable one, which is there and empty. */
	const char *config;
	/* For tests: called with the name of what was just done. */
	void (*at)(const char *step);
};

struct ovbd_snapshot {
	char *layer;        /* the file that is a layer now */
	char *data, *index; /* of the writable one; index is NULL if it has none */
	uint64_t pause_ns;  /* how long writes had to wait at most */
	size_t nlayers;     /* beneath the writable one */
};

/* Of an image with a writable layer; -EINVAL for others, -E2BIG if a stack has no more layers. Any
 * thread; others that come meanwhile wait. On failure nothing has changed, but for one: if the
 * layer cannot be sealed, the snapshot is taken, and the next one or the next start seals it. */
int ovbd_image_snapshot(struct ovbd_image *img, const struct ovbd_snapshot_params *p,
                        struct ovbd_snapshot *ret, struct ovbd_error *err);

void ovbd_snapshot_release(struct ovbd_snapshot *s);

#endif
