/* SPDX-License-Identifier: Apache-2.0 */
/* The place of a served file: an empty file to mount over, which belongs to one server at a
 * time. */
#ifndef OVBD_DAEMON_FUSE_PLACE_H
#define OVBD_DAEMON_FUSE_PLACE_H

#include <stdbool.h>

#include "base/error.h"

struct ovbd_fuse_place {
	char *path;   /* absolute, without symbolic links */
	int fd;       /* of the file beneath the mount, locked; -1: none */
	bool created; /* by this or a dead server: to be removed */
};

/* Makes path a place to mount over: creates the file if it is not there, and clears away what a
 * dead server left mounted. -EEXIST if the file is there and not empty, -EBUSY if anything else is
 * mounted over it or another server has it. */
int ovbd_fuse_place_take(const char *path, struct ovbd_fuse_place *ret, struct ovbd_error *err);

/* Once nothing is mounted over it any more: removes the file if it was created. */
void ovbd_fuse_place_release(struct ovbd_fuse_place *take_p);

#endif
