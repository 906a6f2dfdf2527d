// SPDX-License-Identifier: Apache-2.0
/*
 * Entry by entry. docs/apply.md says what each does; in short, what overlayfs would show of the tar
 * as a directory over what lies beneath:
 *
 *     a directory over a directory   its description becomes the entry's; what is in it stays
 *     anything over anything else    what was there goes, with all that is in it
 *     .wh.NAME, or NAME as a character device 0:0   NAME goes, as far as it is from beneath
 *     (or an empty file with trusted.overlay.whiteout)
 *     .wh..wh..opq, or trusted.overlay.opaque=y     all that is in the directory goes, likewise
 *
 * "From beneath": whiteouts never hide what the same tar brings, wherever in it they stand.
 */
#include "fs/apply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"

#define WHITEOUT     ".wh."
#define WHITEOUT_AUX ".wh..wh."
#define OPAQUE       ".wh..wh..opq"
#define OVERLAY      "overlay."

static uint32_t kind_of(enum tar_type type)
{
	switch (type) {
	case TAR_DIR:
		return S_IFDIR;
	case TAR_SYMLINK:
		return S_IFLNK;
	case TAR_CHAR:
		return S_IFCHR;
	case TAR_BLOCK_DEVICE:
		return S_IFBLK;
	case TAR_FIFO:
		return S_IFIFO;
	case TAR_FILE:
	case TAR_HARD_LINK:
		break;
	}
	return S_IFREG;
}

/* ---- overlayfs's own marks ---- */

/* "trusted.overlay.X" or "user.overlay.X": "X"; or NULL. */
static const char *overlay_mark(const char *name)
{
	if (strncmp(name, "trusted.", 8) == 0)
		name += 8;
	else if (strncmp(name, "user.", 5) == 0)
		name += 5;
	else
		return NULL;
	return strncmp(name, OVERLAY, strlen(OVERLAY)) == 0 ? name + strlen(OVERLAY) : NULL;
}

/* The attributes without these marks: v has room for all. */
static int sort_xattrs(const struct tar_entry *e, struct tar_xattr *v, size_t *ret_n,
                       bool *ret_opaque, struct ovbd_error *err)
{
	*ret_n = 0;
	*ret_opaque = false;
	for (size_t i = 0; i < e->nxattrs; i++) {
		const struct tar_xattr *a = &e->xattrs[i];
		const char *mark = overlay_mark(a->name);

		if (!mark)
			v[(*ret_n)++] = *a;
		else if (strcmp(mark, "redirect") == 0 || strcmp(mark, "metacopy") == 0)
			return ovbd_fail(
				err, -ENOTSUP,
				"it is only a part of a file (%s): the tar was made of the "
				"upper directory of an overlay mounted with that feature",
				a->name);
		else if (strcmp(mark, "opaque") == 0 && a->len == 1 && a->value[0] == 'y')
			*ret_opaque = true;
	}
	return 0;
}

/* A device 0:0, or an empty file with an attribute. */
static bool is_overlay_whiteout(const struct tar_entry *e)
{
	if (e->type == TAR_CHAR)
		return e->major == 0 && e->minor == 0;
	for (size_t i = 0; e->type == TAR_FILE && e->size == 0 && i < e->nxattrs; i++) {
		const char *mark = overlay_mark(e->xattrs[i].name);

		if (mark && strcmp(mark, "whiteout") == 0)
			return true;
	}
	return false;
}

/* ---- whiteouts ---- */

/* What of the name lies beneath goes. */
static int whiteout(struct apply *a, const struct fs_place *p, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r;

	if (!p->ino)
		return 0;
	if (!fs_seen_has(a->seen, p->dir, p->name, p->len))
		return fs_remove(a, p, err);
	r = ext4_inode_read(a->x, p->ino, &i, err);
	return r == 0 && S_ISDIR(i.i_mode) ? fs_empty(a, p->ino, err) : r;
}

/* 1: the name is a whiteout's, and it is done; 0: it is not. */
static int try_whiteout(struct apply *a, const struct fs_place *p, struct ovbd_error *err)
{
	const size_t mark = strlen(WHITEOUT);
	struct fs_place hidden;
	int r;

	if (p->len < mark || memcmp(p->name, WHITEOUT, mark) != 0)
		return 0;
	if (p->len == strlen(OPAQUE) && memcmp(p->name, OPAQUE, p->len) == 0) {
		r = fs_empty(a, p->dir, err);
		return r < 0 ? r : 1;
	}
	if (p->len >= strlen(WHITEOUT_AUX) &&
	    memcmp(p->name, WHITEOUT_AUX, strlen(WHITEOUT_AUX)) == 0)
		return 1; /* AUFS's own business */
	hidden = (struct fs_place){.dir = p->dir, .name = p->name + mark, .len = p->len - mark};
	if (hidden.len == 0 || (hidden.name[0] == '.' &&
	                        (hidden.len == 1 || (hidden.len == 2 && hidden.name[1] == '.'))))
		return ovbd_fail(err, -EBADMSG, "a whiteout of no name");
	r = ext4_dir_find(a->x, p->dir, hidden.name, hidden.len, &hidden.ino, err);
	if (r > 0)
		r = whiteout(a, &hidden, err);
	return r < 0 ? r : 1;
}

/* ---- what is made ---- */

static int bind_name(struct apply *a, const struct fs_place *p, ext2_ino_t ino, uint32_t mode,
                     struct ovbd_error *err)
{
	int r = ext4_dir_add(a->x, p->dir, p->name, p->len, ino, mode, err);

	if (r == 0 && fs_seen_add(a->seen, p->dir, p->name, p->len) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r;
}

static int fill(struct apply *a, ext2_ino_t ino, ext2_ino_t parent, const struct tar_entry *e,
                struct ovbd_error *err)
{
	switch (e->type) {
	case TAR_FILE:
		for (size_t i = 0; i < e->npieces; i++)
			a->sum.data_size += e->pieces[i].len;
		return ext4_file_fill(a->x, ino, a->tar, e, err);
	case TAR_SYMLINK:
		return ext4_symlink_fill(a->x, ino, e->link, err);
	case TAR_DIR:
		return ext4_dir_fill(a->x, ino, parent, err);
	case TAR_HARD_LINK:
	case TAR_CHAR:
	case TAR_BLOCK_DEVICE:
	case TAR_FIFO:
		break;
	}
	return 0;
}

/* Whether the directory that the entry wants is there. */
static int is_dir_there(struct apply *a, const struct fs_place *p, const struct tar_entry *e,
                        struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r;

	if (!p->ino || e->type != TAR_DIR)
		return 0;
	r = ext4_inode_read(a->x, p->ino, &i, err);
	return r < 0 ? r : S_ISDIR(i.i_mode);
}

static int make(struct apply *a, struct fs_place *p, const struct tar_entry *e,
                struct ovbd_error *err)
{
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
	struct ext4_meta m = {
		.mode = kind_of(e->type) | (e->type == TAR_SYMLINK ? 0777 : e->mode),
		.uid = e->uid,
		.gid = e->gid,
		.mtime = e->mtime,
		.atime = e->atime,
		.xattrs = xattrs,
	};
	const uint32_t major = (uint32_t)e->major, minor = (uint32_t)e->minor;
	bool opaque;
	ext2_ino_t ino;
	int r = sort_xattrs(e, xattrs, &m.nxattrs, &opaque, err);

	if (r == 0 && (e->major > 0xfff || e->minor > 0xfffff))
		r = ovbd_fail(err, -ENOTSUP, "device %" PRIu64 ":%" PRIu64, e->major, e->minor);
	if (r == 0)
		r = is_dir_there(a, p, e, err);
	if (r == 1) {
		r = ext4_inode_describe(a->x, p->ino, &m, err);
		if (r == 0 && p->dir && fs_seen_add(a->seen, p->dir, p->name, p->len) < 0)
			r = ovbd_fail(err, -ENOMEM, "out of memory");
		return r == 0 && opaque ? fs_empty(a, p->ino, err) : r;
	}
	if (r == 0 && !p->dir)
		r = ovbd_fail(err, -EBADMSG, "something else than a directory in the place of one");
	if (r == 0 && p->ino)
		r = fs_remove(a, p, err);
	if (r == 0)
		r = ext4_inode_create(a->x, p->dir, &m, major, minor, &ino, err);
	if (r == 0)
		r = fill(a, ino, p->dir, e, err);
	return r < 0 ? r : bind_name(a, p, ino, m.mode, err);
}

/* One more name for what the entry's link names, which is described already. */
static int make_link(struct apply *a, struct fs_place *p, const struct tar_entry *e,
                     struct ovbd_error *err)
{
	char buf[APPLY_PATH_MAX];
	struct ext2_inode_large i;
	struct fs_place target;
	int r = fs_resolve(a, e->link, false, buf, &target, err);

	if (r == 0 && !target.ino)
		r = ovbd_fail(err, -ENOENT, "there is no such file");
	if (r == 0)
		r = ext4_inode_read(a->x, target.ino, &i, err);
	if (r == 0 && S_ISDIR(i.i_mode))
		r = ovbd_fail(err, -EBADMSG, "it is a directory");
	if (r == 0 && !p->dir)
		r = ovbd_fail(err, -EBADMSG, "the root cannot be one");
	if (r < 0) {
		const struct ovbd_error why = *err;

		return ovbd_fail(err, r, "a hard link to \"%.200s\": %s", e->link, why.msg);
	}
	if (p->ino == target.ino)
		return fs_seen_add(a->seen, p->dir, p->name, p->len) < 0
		               ? ovbd_fail(err, -ENOMEM, "out of memory")
		               : 0;
	r = ext4_inode_link(a->x, target.ino, 1, err);
	if (r == 0 && p->ino)
		r = fs_remove(a, p, err);
	return r < 0 ? r : bind_name(a, p, target.ino, i.i_mode, err);
}

static int apply_entry(struct apply *a, const struct tar_entry *e, struct ovbd_error *err)
{
	char buf[APPLY_PATH_MAX];
	struct fs_place p;
	int r = fs_resolve(a, e->name, true, buf, &p, err);

	if (r == 0 && p.dir)
		r = try_whiteout(a, &p, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (p.dir && is_overlay_whiteout(e))
		return whiteout(a, &p, err);
	return e->type == TAR_HARD_LINK ? make_link(a, &p, e, err) : make(a, &p, e, err);
}

static int apply_all(struct apply *a, struct ovbd_error *err)
{
	const struct tar_entry *e;
	struct ovbd_error why = {""};
	int r;

	while ((r = tar_next(a->tar, &e, &why)) > 0) {
		a->sum.nentries++;
		r = apply_entry(a, e, &why);
		if (r < 0)
			return ovbd_fail(err, r, "entry %" PRIu64 ", \"%.300s\": %s",
			                 a->sum.nentries, e->name, why.msg);
	}
	return r < 0 ? ovbd_fail(err, r, "behind entry %" PRIu64 ": %s", a->sum.nentries, why.msg)
	             : 0;
}

int ovbd_fs_apply(struct ovbd_fs *fs, ovbd_fs_read_fn read, void *arg, struct ovbd_fs_applied *ret,
                  struct ovbd_error *err)
{
	OVBD_AUTO(fs_seen_freep) struct fs_seen *seen = NULL;
	OVBD_AUTO(tar_closep) struct tar *tar = NULL;
	struct apply a = {.x = ext4_of(fs)};
	int r = tar_open(read, arg, &tar, err);

	if (r == 0 && fs_seen_create(&seen) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	a.tar = tar;
	a.seen = seen;
	if (r == 0)
		r = apply_all(&a, err);
	if (r == 0 && ret)
		*ret = a.sum;
	return r;
}
