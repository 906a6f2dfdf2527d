/* SPDX-License-Identifier: Apache-2.0 */
/* Where what lies on a device ends: the file systems and tables that say how large they are. */
#ifndef OVBD_TOOLS_FS_END_H
#define OVBD_TOOLS_FS_END_H

#include <stdint.h>

#include "base/blob.h"

struct ovbd_fs_end {
	const char *what; /* "ext4", "xfs", "btrfs", "a partition table"; NULL: nothing we know */
	uint64_t end;     /* bytes from the device's beginning */
};

/* Reads the first 68 KiB at most. An error is that of a read without which nothing was found. */
int ovbd_fs_end_find(struct ovbd_blob *b, struct ovbd_fs_end *ret, struct ovbd_error *err);

#endif
