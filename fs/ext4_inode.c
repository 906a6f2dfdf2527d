// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/ext4.h"

#define INODE_SIZE_MAX OVBD_FS_BLOCK
#define EXTRA_ISIZE    32u

static struct ext2_inode *small(struct ext2_inode_large *inode)
{
	return (struct ext2_inode *)inode; /* as libext2fs has it */
}

int ext4_inode_read(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *ret,
                    struct ovbd_error *err)
{
	const errcode_t code = ext2fs_read_inode_full(x->fs, ino, small(ret), sizeof(*ret));

	return code ? ext4_fail(x, code, err, "inode %u", ino) : 0;
}

int ext4_inode_write(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *inode,
                     struct ovbd_error *err)
{
	const errcode_t code = ext2fs_write_inode_full(x->fs, ino, small(inode), sizeof(*inode));

	return code ? ext4_fail(x, code, err, "inode %u", ino) : 0;
}

/* With nothing of what was there before; inode NULL: zeros. */
static int write_whole(struct ext4 *x, ext2_ino_t ino, const struct ext2_inode_large *inode,
                       struct ovbd_error *err)
{
	const size_t size = EXT2_INODE_SIZE(x->fs->super);
	union {
		uint8_t bytes[INODE_SIZE_MAX];
		struct ext2_inode inode;
	} all = {{0}};
	errcode_t code;

	if (inode)
		memcpy(all.bytes, inode, sizeof(*inode));
	code = ext2fs_write_inode_full(x->fs, ino, &all.inode, (int)size);
	return code ? ext4_fail(x, code, err, "inode %u", ino) : 0;
}

/* 34 bits of seconds from 1901 on, and the nanoseconds. Others become the nearest that there is. */
static void set_time(const struct tar_time *t, uint32_t *ret_s, uint32_t *ret_extra)
{
	const int64_t min = INT32_MIN, max = ((INT64_C(3) << 32) + INT32_MAX);
	const int64_t s = t->s < min ? min : t->s > max ? max : t->s;
	const uint32_t epoch = (uint32_t)((s - (int32_t)(uint32_t)s) >> 32) & 3;

	*ret_s = (uint32_t)s;
	*ret_extra = (s == t->s ? t->ns << 2 : 0) | epoch;
}

static int describe(struct ext2_inode_large *i, const struct ext4_meta *m, struct ovbd_error *err)
{
	if (m->uid > UINT32_MAX || m->gid > UINT32_MAX)
		return ovbd_fail(err, -ENOTSUP,
		                 "owner %" PRIu64 ":%" PRIu64 ", but there are only 32 bits",
		                 m->uid, m->gid);
	i->i_mode = (uint16_t)m->mode;
	i->i_uid = (uint16_t)m->uid;
	i->osd2.linux2.l_i_uid_high = (uint16_t)(m->uid >> 16);
	i->i_gid = (uint16_t)m->gid;
	i->osd2.linux2.l_i_gid_high = (uint16_t)(m->gid >> 16);
	i->i_extra_isize = EXTRA_ISIZE;
	set_time(&m->mtime, &i->i_mtime, &i->i_mtime_extra);
	set_time(&m->atime, &i->i_atime, &i->i_atime_extra);
	/* of these no tar says anything */
	set_time(&m->mtime, &i->i_ctime, &i->i_ctime_extra);
	set_time(&m->mtime, &i->i_crtime, &i->i_crtime_extra);
	return 0;
}

/* As the kernel does, in the one form or the other. */
static void set_device(struct ext2_inode_large *i, uint32_t major, uint32_t minor)
{
	if (major < 256 && minor < 256)
		i->i_block[0] = major << 8 | minor;
	else
		i->i_block[1] = (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

int ext4_inode_create(struct ext4 *x, ext2_ino_t parent, const struct ext4_meta *m, uint32_t major,
                      uint32_t minor, ext2_ino_t *ret, struct ovbd_error *err)
{
	struct ext2_inode_large i = {0};
	ext2_ino_t ino;
	errcode_t code;
	int r;

	code = ext2fs_new_inode(x->fs, parent, (int)m->mode, NULL, &ino);
	if (code)
		return ext4_fail(x, code, err, "a new inode");
	r = describe(&i, m, err);
	if (r < 0)
		return r;
	i.i_links_count = S_ISDIR(m->mode) ? 0 : 1;
	if (S_ISCHR(m->mode) || S_ISBLK(m->mode))
		set_device(&i, major, minor);
	ext2fs_inode_alloc_stats2(x->fs, ino, 1, S_ISDIR(m->mode));
	r = write_whole(x, ino, &i, err);
	if (r == 0 && m->nxattrs > 0)
		r = ext4_xattrs_set(x, ino, m->xattrs, m->nxattrs, err);
	if (r == 0)
		*ret = ino;
	return r;
}

int ext4_inode_describe(struct ext4 *x, ext2_ino_t ino, const struct ext4_meta *m,
                        struct ovbd_error *err)
{
	struct ext2_inode_large i;
	uint32_t born, born_extra;
	int r = ext4_inode_read(x, ino, &i, err);

	if (r < 0)
		return r;
	born = i.i_crtime;
	born_extra = i.i_crtime_extra;
	r = describe(&i, m, err);
	if (r < 0)
		return r;
	i.i_crtime = born;
	i.i_crtime_extra = born_extra;
	r = ext4_inode_write(x, ino, &i, err);
	return r < 0 ? r : ext4_xattrs_set(x, ino, m->xattrs, m->nxattrs, err);
}

int ext4_inode_link(struct ext4 *x, ext2_ino_t ino, int n, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r = ext4_inode_read(x, ino, &i, err);

	if (r < 0)
		return r;
	if (n < 0 && i.i_links_count <= 1)
		return ext4_inode_free(x, ino, &i, err);
	if (n > 0 && i.i_links_count >= EXT4_LINKS_MAX)
		return ovbd_fail(err, -EMLINK, "more than %u hard links to one file",
		                 EXT4_LINKS_MAX);
	i.i_links_count = (uint16_t)(i.i_links_count + n);
	return ext4_inode_write(x, ino, &i, err);
}

static bool has_blocks(struct ext2_inode_large *i)
{
	return S_ISREG(i->i_mode) || S_ISDIR(i->i_mode) ||
	       (S_ISLNK(i->i_mode) && i->i_size >= EXT4_FAST_SYMLINK);
}

int ext4_inode_free(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *inode,
                    struct ovbd_error *err)
{
	const bool is_dir = S_ISDIR(inode->i_mode);
	errcode_t code = 0;

	if (has_blocks(inode))
		code = ext2fs_punch(x->fs, ino, small(inode), NULL, 0, ~UINT64_C(0));
	if (!code)
		code = ext2fs_free_ext_attr(x->fs, ino, inode);
	if (code)
		return ext4_fail(x, code, err, "the blocks of inode %u", ino);
	if (is_dir)
		ext4_names_forget(x, ino);
	ext2fs_inode_alloc_stats2(x->fs, ino, -1, is_dir);
	return write_whole(x, ino, NULL, err);
}
