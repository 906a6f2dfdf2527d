/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE: the device as a read-only regular file at the place of an existing or new file. */
#ifndef OVBD_DAEMON_FUSE_H
#define OVBD_DAEMON_FUSE_H

#include "daemon/transport.h"

struct ovbd_fuse_params {
	const char *path; /* the file's place; created if it is not there, and then removed again */
	uint64_t size;    /* bytes */
	unsigned nworkers; /* as for ovbd_serve() */
};

/* Mounts a file system of one file over path. What a dead server left mounted there is cleared
 * first; anything else mounted there is -EBUSY. close() unmounts. */
int ovbd_fuse_open(const struct ovbd_fuse_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err);

#endif
