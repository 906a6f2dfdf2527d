/* SPDX-License-Identifier: Apache-2.0 */
/* A writable layer becomes larger or smaller, and maybe the file system that is in it. */
#ifndef OVBD_TOOLS_RESIZE_H
#define OVBD_TOOLS_RESIZE_H

#include "tools/upper.h"

struct ovbd_resize {
	struct ovbd_upper_names names;
	uint64_t size; /* bytes; whole sectors */
	bool fs;       /* the ext4 on it too: it fills the device */
	bool force;    /* smaller, whatever is cut off */
};

struct ovbd_resized {
	uint64_t from;   /* bytes */
	const char *fs;  /* what is on it and is not as large; NULL: nothing, or nothing known */
	uint64_t fs_end; /* bytes */
	double seconds;
};

/* Nobody may have the layer open. What fails is told; returns the exit status. */
int ovbd_resize_run(const struct ovbd_cli *c, const struct ovbd_resize *q,
                    struct ovbd_resized *ret);

/* resize_fs.c: the ext4 on the image of a configuration becomes as large as its device, or size
 * (if that is not 0). It is checked before. */
int ovbd_resize_fs(const struct ovbd_upper_names *names, uint64_t size, struct ovbd_error *err);

/* The same of a disk that may be in use: as it is, then. */
int ovbd_resize_fs_on(const char *disk, struct ovbd_error *err);

/* A device that ovbdd serves. */
struct ovbd_resize_device {
	const char *id, *socket;
	uint64_t size;
	bool fs; /* the ext4 on it, too */
};

/* resize_device.c. What fails is told; returns the exit status. */
int ovbd_resize_device(struct ovbd_cli *c, const struct ovbd_resize_device *q);

#endif
