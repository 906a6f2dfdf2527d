/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where in a tar that is a container of files (an archive of an image), and is read in
 * place: its headers are read once, no content is.
 *
 * Names are those within the archive: without a leading "/" or "./", without empty and "."
 * components. A member whose name has "..", or is none, cannot be found.
 */
#ifndef OVBD_FS_MEMBERS_H
#define OVBD_FS_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"

#define OVBD_FS_MEMBERS_MAX (1u << 20)
#define OVBD_FS_LINKS_MAX   8u /* one to the other */

struct ovbd_fs_members;

struct ovbd_fs_member {
	const char *name;
	uint64_t off, size; /* of its content, within the blob */
};

/* Reads all of b's headers. -EBADMSG: it is no tar, or a damaged one. */
int ovbd_fs_members_open(struct ovbd_blob *b, struct ovbd_fs_members **ret, struct ovbd_error *err);
/* The regular file of this name; links, hard and symbolic, are followed as far as they stay within
 * the archive. -ENOENT: there is none; -EBADMSG: there are two, or it is something else, or a link
 * that leads out, or in a circle. */
int ovbd_fs_members_find(const struct ovbd_fs_members *m, const char *name,
                         struct ovbd_fs_member *ret, struct ovbd_error *err);
/* NULL is fine. */
void ovbd_fs_members_close(struct ovbd_fs_members *take_m);

static inline void ovbd_fs_members_closep(struct ovbd_fs_members **m)
{
	ovbd_fs_members_close(*m);
}

#endif
