// SPDX-License-Identifier: Apache-2.0
/*
 * A path of a tar, step by step from the root. It is cleaned first, as a text, as container engines
 * do: "a/../b" is "b" whatever a may be. What is still to go is a text too; a symbolic link on the
 * way puts its target before the rest. The directories above are kept, for ".." in such targets,
 * which at the root is the root.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/apply.h"

#define LINKS_MAX 40u /* as the kernel has it */

struct walk {
	struct apply *a;
	char *todo; /* APPLY_PATH_MAX bytes, the caller's; [at, end) is still to go */
	size_t at, end;
	ext2_ino_t dirs[APPLY_DEPTH];
	unsigned depth; /* dirs[depth] is where we are */
	unsigned nlinks;
	bool make;
};

static int too_long(struct ovbd_error *err)
{
	return ovbd_fail(err, -ENAMETOOLONG, "a path of more than %u bytes", APPLY_PATH_MAX - 1);
}

/* Target, and then what is still to go. */
static int follow(struct walk *w, const char *target, struct ovbd_error *err)
{
	const size_t len = strlen(target), left = w->end - w->at;

	if (++w->nlinks > LINKS_MAX)
		return ovbd_fail(err, -ELOOP, "more than %u symbolic links on the way", LINKS_MAX);
	if (len + 1 + left >= APPLY_PATH_MAX)
		return too_long(err);
	memmove(w->todo + len + 1, w->todo + w->at, left);
	memcpy(w->todo, target, len);
	w->todo[len] = '/';
	w->at = 0;
	w->end = len + 1 + left;
	if (target[0] == '/')
		w->depth = 0;
	return 0;
}

static int make_dir(struct walk *w, const char *name, size_t len, ext2_ino_t *ret,
                    struct ovbd_error *err)
{
	struct ext4 *x = w->a->x;
	const struct ext4_meta m = {
		.mode = S_IFDIR | 0755,
		.mtime.s = x->p.now,
		.atime.s = x->p.now,
	};
	const ext2_ino_t dir = w->dirs[w->depth];
	int r = ext4_inode_create(x, dir, &m, 0, 0, ret, err);

	if (r == 0)
		r = ext4_dir_fill(x, *ret, dir, err);
	return r < 0 ? r : ext4_dir_add(x, dir, name, len, *ret, m.mode, err);
}

/* Into name, which is not the end of the path. */
static int step(struct walk *w, const char *name, size_t len, struct ovbd_error *err)
{
	struct ext4 *x = w->a->x;
	AUTO_FREE char *target = NULL;
	struct ext2_inode_large i;
	ext2_ino_t ino;
	int r = ext4_dir_find(x, w->dirs[w->depth], name, len, &ino, err);

	if (r == 0 && !w->make)
		return ovbd_fail(err, -ENOENT, "there is no directory \"%.*s\"", (int)len, name);
	if (r == 0)
		r = make_dir(w, name, len, &ino, err);
	if (r >= 0)
		r = ext4_inode_read(x, ino, &i, err);
	if (r < 0)
		return r;
	if (S_ISLNK(i.i_mode)) {
		r = ext4_symlink_read(x, ino, &i, &target, err);
		return r < 0 ? r : follow(w, target, err);
	}
	if (!S_ISDIR(i.i_mode))
		return ovbd_fail(err, -ENOTDIR, "\"%.*s\" is not a directory", (int)len, name);
	if (w->depth + 1 == APPLY_DEPTH)
		return ovbd_fail(err, -ENAMETOOLONG, "more than %u directories", APPLY_DEPTH);
	if (w->make && fs_seen_add(w->a->seen, w->dirs[w->depth], name, len) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->dirs[++w->depth] = ino;
	return 0;
}

/* The next name that is still to go; 0: none. */
static size_t next_name(struct walk *w, const char **ret)
{
	size_t len = 0;

	while (w->at < w->end && w->todo[w->at] == '/')
		w->at++;
	*ret = w->todo + w->at;
	while (w->at + len < w->end && w->todo[w->at + len] != '/')
		len++;
	w->at += len;
	return len;
}

static bool is_last(const struct walk *w)
{
	size_t i = w->at;

	while (i < w->end && (w->todo[i] == '/' ||
	                      (w->todo[i] == '.' && (i + 1 == w->end || w->todo[i + 1] == '/') &&
	                       (i == 0 || w->todo[i - 1] == '/'))))
		i++;
	return i == w->end;
}

static int arrive(struct walk *w, const char *name, size_t len, struct fs_place *ret,
                  struct ovbd_error *err)
{
	int r;

	*ret = (struct fs_place){.dir = w->dirs[w->depth], .name = name, .len = len};
	r = ext4_dir_find(w->a->x, ret->dir, name, len, &ret->ino, err);
	return r < 0 ? r : 0;
}

/* path without ".", ".." and empty names. */
static size_t clean(const char *path, char ret[APPLY_PATH_MAX])
{
	size_t n = 0;

	while (*path) {
		const size_t len = strcspn(path, "/");

		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (n > 0 && ret[n - 1] != '/')
				n--;
			n -= n > 0;
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (n > 0)
				ret[n++] = '/';
			memcpy(ret + n, path, len);
			n += len;
		}
		path += len;
		path += *path == '/';
	}
	return n;
}

int fs_resolve(struct apply *a, const char *path, bool make, char buf[APPLY_PATH_MAX],
               struct fs_place *ret, struct ovbd_error *err)
{
	AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	const char *name;
	size_t len;

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (strlen(path) >= APPLY_PATH_MAX)
		return too_long(err);
	w->a = a;
	w->todo = buf;
	w->end = clean(path, buf);
	w->make = make;
	w->dirs[0] = EXT2_ROOT_INO;
	while ((len = next_name(w, &name)) > 0) {
		int r = 0;

		if (len > EXT4_NAME_MAX)
			return ovbd_fail(err, -ENAMETOOLONG, "a name of %zu bytes, not %u", len,
			                 EXT4_NAME_MAX);
		if (len == 1 && name[0] == '.')
			continue;
		if (len == 2 && name[0] == '.' && name[1] == '.') {
			w->depth -= w->depth > 0;
			continue;
		}
		if (is_last(w))
			return arrive(w, name, len, ret, err);
		r = step(w, name, len, err);
		if (r < 0)
			return r;
	}
	/* the root, or a directory that was come to by "..", which has no name then */
	*ret = (struct fs_place){.ino = w->dirs[w->depth]};
	return 0;
}
