/* SPDX-License-Identifier: Apache-2.0 */
/* Private to fs/: what applying a tar knows, and the names in it. */
#ifndef OVBD_FS_APPLY_H
#define OVBD_FS_APPLY_H

#include "fs/ext4.h"

#define APPLY_PATH_MAX 4096u
#define APPLY_DEPTH    1024u /* directories above one */

struct apply {
	struct ext4 *x;
	struct tar *tar;
	struct fs_seen *seen;
	struct ovbd_fs_applied sum;
};

/* A place for a name: a directory that is there, and the name in it, which may be or not. */
struct fs_place {
	ext2_ino_t dir; /* of the root: 0 */
	const char *name;
	size_t len;
	ext2_ino_t ino; /* 0: nothing is there */
};

/* --- apply_path.c --- */

/* Finds where path leads, following symbolic links on the way but not at its end, and never out of
 * the root. make: directories that are not there are made; otherwise they are -ENOENT. buf is what
 * ret->name points into. */
int fs_resolve(struct apply *a, const char *path, bool make, char buf[APPLY_PATH_MAX],
               struct fs_place *ret, struct ovbd_error *err);

/* --- apply_remove.c --- */

/* Takes away what is at p, with all that is in it. */
int fs_remove(struct apply *a, const struct fs_place *p, struct ovbd_error *err);
/* Takes away what is in dir and is not of this tar. */
int fs_empty(struct apply *a, ext2_ino_t dir, struct ovbd_error *err);

/* --- apply_seen.c: the names that this tar has made --- */

struct fs_seen;

int fs_seen_create(struct fs_seen **ret);
void fs_seen_free(struct fs_seen *take_s);
int fs_seen_add(struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len); /* 0, -ENOMEM */
void fs_seen_remove(struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len);
bool fs_seen_has(const struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len);

static inline void fs_seen_freep(struct fs_seen **s)
{
	fs_seen_free(*s);
}

#endif
