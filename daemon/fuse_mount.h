/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting a FUSE file system of one file over a file: by mount(2), or through fusermount3. */
#ifndef OVBD_DAEMON_FUSE_MOUNT_H
#define OVBD_DAEMON_FUSE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define OVBD_FUSE_TYPE     "fuse.ovbd" /* the mounted file system's type */
#define OVBD_FUSE_MAX_READ (1u << 20)  /* bytes of a read; the kernel's own limit too */

struct ovbd_fuse_mount {
	uint64_t id; /* as in mountinfo */
	int fd;      /* a /dev/fuse: who reads it is the server */
};

/* Mounts over the file path (absolute, no symbolic links). allow_other: users other than the caller
 * may open it. Does not wait for the server. */
int ovbd_fuse_mount(const char *path, bool writable, bool allow_other, struct ovbd_fuse_mount *ret,
                    struct ovbd_error *err);

/* Takes the mount id at path away, also while it is in use: users keep what they have open. 0 also
 * if nothing is mounted there any more; -EBUSY if another mount is, which is left alone. */
int ovbd_fuse_unmount(const char *path, uint64_t id, struct ovbd_error *err);

#endif
