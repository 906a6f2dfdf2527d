/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE: the device as a regular file at the place of an empty or a new file. It can be
 * loop-mounted, given to qemu, read (and written, but not made longer or shorter) with anything.
 *
 * detach() takes the file's name away and serves those who have it open to their end; stop() leaves
 * them with errors (ENOTCONN). close() does what detach() does, if that was not done.
 */
#ifndef OVBD_DAEMON_FUSE_H
#define OVBD_DAEMON_FUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/transport.h"

struct ovbd_fuse_params {
	const char *path; /* the file's place; created if it is not there, and then removed again */
	uint64_t size;    /* bytes */
	unsigned nworkers; /* as for ovbd_serve() */
	bool writable;
	bool allow_other; /* users other than this one may open the file */
};

/* Mounts a file system of one file over path. What a dead server left mounted there is cleared
 * first. -EBUSY if another server or another file system has the place, -EEXIST if there is a file
 * that is not empty. */
int ovbd_fuse_open(const struct ovbd_fuse_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err);

/* The file has this size from now on, for who looks at it again. Any thread, while it is served. */
int ovbd_fuse_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err);

#endif
