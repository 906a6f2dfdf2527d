/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream that is gzip, zstd or neither, as what is in it. Several gzip members or zstd frames one
 * after the other are one stream, as their own tools have it.
 */
#ifndef OVBD_FS_UNPACK_H
#define OVBD_FS_UNPACK_H

#include "fs/fs.h"

struct ovbd_fs_unpack;

/* Nothing is read yet. */
int ovbd_fs_unpack_open(ovbd_fs_read_fn read, void *arg, struct ovbd_fs_unpack **ret,
                        struct ovbd_error *err);

/* An ovbd_fs_read_fn; u is a struct ovbd_fs_unpack. -EBADMSG: damaged, or cut short; -ENOTSUP: xz,
 * bzip2 or lz4. */
ssize_t ovbd_fs_unpack_read(void *u, void *buf, size_t len, struct ovbd_error *err);

/* "gzip", "zstd" or "none"; after the first read. */
const char *ovbd_fs_unpack_name(const struct ovbd_fs_unpack *u);

/* NULL is fine. */
void ovbd_fs_unpack_close(struct ovbd_fs_unpack *take_u);

static inline void ovbd_fs_unpack_closep(struct ovbd_fs_unpack **u)
{
	ovbd_fs_unpack_close(*u);
}

#endif
