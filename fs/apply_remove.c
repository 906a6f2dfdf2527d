// SPDX-License-Identifier: Apache-2.0
/*
 * Removing goes down into directories by recursion, as deep as the tree is: a tree deeper than
 * APPLY_DEPTH is refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/apply.h"

struct removal {
	struct apply *a;
	ext2_ino_t dir; /* whose names are gone through */
	unsigned depth;
	bool spare; /* what is of this tar stays */
};

static int remove_name(void *arg, const char *name, size_t len, ext2_ino_t ino,
                       struct ovbd_error *err);

static int go_into(const struct removal *r, ext2_ino_t dir, bool spare, struct ovbd_error *err)
{
	struct removal inner = {.a = r->a, .dir = dir, .depth = r->depth + 1, .spare = spare};

	if (inner.depth > APPLY_DEPTH)
		return ovbd_fail(err, -ENAMETOOLONG, "more than %u directories", APPLY_DEPTH);
	return ext4_dir_each(r->a->x, dir, remove_name, &inner, err);
}

static int remove_inode(const struct removal *r, ext2_ino_t ino, struct ext2_inode_large *i,
                        struct ovbd_error *err)
{
	int s;

	if (!S_ISDIR(i->i_mode))
		return ext4_inode_link(r->a->x, ino, -1, err);
	s = ext4_dir_link(r->a->x, r->dir, -1, err);
	return s < 0 ? s : ext4_inode_free(r->a->x, ino, i, err);
}

static int remove_name(void *arg, const char *name, size_t len, ext2_ino_t ino,
                       struct ovbd_error *err)
{
	const struct removal *r = arg;
	const bool stays = r->spare && fs_seen_has(r->a->seen, r->dir, name, len);
	struct ext2_inode_large i;
	int s = ext4_inode_read(r->a->x, ino, &i, err);

	if (s == 0 && S_ISDIR(i.i_mode))
		s = go_into(r, ino, stays, err);
	if (s < 0 || stays)
		return s;
	/* it has other links than a moment ago, if it is a directory that had some in it */
	s = ext4_inode_read(r->a->x, ino, &i, err);
	if (s == 0)
		s = ext4_dir_remove(r->a->x, r->dir, name, len, err);
	if (s == 0)
		s = remove_inode(r, ino, &i, err);
	fs_seen_remove(r->a->seen, r->dir, name, len);
	r->a->sum.nremoved++;
	return s;
}

int fs_remove(struct apply *a, const struct fs_place *p, struct ovbd_error *err)
{
	struct removal r = {.a = a, .dir = p->dir};

	return remove_name(&r, p->name, p->len, p->ino, err);
}

int fs_empty(struct apply *a, ext2_ino_t dir, struct ovbd_error *err)
{
	const struct removal r = {.a = a};

	return go_into(&r, dir, true, err);
}
