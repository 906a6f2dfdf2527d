/* SPDX-License-Identifier: Apache-2.0 */
/* What is mounted where: /proc/self/mountinfo, see proc_pid_mountinfo(5). */
#ifndef OVBD_DAEMON_MOUNTINFO_H
#define OVBD_DAEMON_MOUNTINFO_H

#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* One line. The strings point into it, with its escapes (\040 for a space) undone. */
struct ovbd_mount {
	uint64_t id;    /* of the mount; used again once it is unmounted */
	uint32_t major; /* of the file system's device number */
	uint32_t minor;
	const char *path;    /* the mount point */
	const char *fs_type; /* "ext4", "fuse.sshfs" */
	const char *source;  /* what was mounted: a device, or any word */
};

/* Takes line apart, in place. -EBADMSG: not such a line. */
int ovbd_mountinfo_decode(char *line, struct ovbd_mount *ret);

/* The line of the topmost mount at path (absolute, no symbolic links), decoded; *ret_line owns the
 * memory *ret points into. 1: found, 0: nothing is mounted there, or -errno. */
int ovbd_mountinfo_find(const char *path, struct ovbd_mount *ret, char **ret_line,
                        struct ovbd_error *err);

#endif
