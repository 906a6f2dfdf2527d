// SPDX-License-Identifier: Apache-2.0
/*
 * Directories as a list of blocks, each full of entries: inode u32, length of the entry u16, length
 * of the name u8, kind u8, name; with checksums, the last 12 bytes of a block look like an entry
 * without a name. A new entry takes what is left behind another one, in the first block that has
 * room; so small changes change one block.
 *
 * The hash tree that the kernel and e2fsck make of a large directory looks, to whoever does not
 * know it, like blocks full of free space. Who adds a name to such a directory writes all of it
 * anew without the tree.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/ext4.h"

#define BLOCK     OVBD_FS_BLOCK
#define HEAD_SIZE 8u
#define TAIL_SIZE 12u
#define TAIL_KIND 0xdeu

/* ---- entries ---- */

static uint16_t need_of(size_t name_len)
{
	return (uint16_t)ovbd_align_up(HEAD_SIZE + name_len, 4);
}

static void put_entry(uint8_t *at, uint32_t ino, size_t rec_len, const char *name, size_t len,
                      uint8_t kind)
{
	ovbd_put_le32(at, ino);
	ovbd_put_le16(at + 4, (uint16_t)rec_len);
	at[6] = (uint8_t)len;
	at[7] = kind;
	memcpy(at + HEAD_SIZE, name, len);
}

struct entry {
	uint32_t ino;
	uint16_t at, rec_len;
	uint8_t len, kind;
	const char *name;
};

/* Bytes of a block that entries fill. */
static uint16_t fill_of(const struct ext4 *x)
{
	return ext2fs_has_feature_metadata_csum(x->fs->super) ? BLOCK - TAIL_SIZE : BLOCK;
}

/* Where the first or, behind *e, the next one is. False: there is none, or a damaged one; the
 * latter if e->at is not end. */
static bool next_entry(const uint8_t *block, uint16_t end, struct entry *e)
{
	const uint16_t at = (uint16_t)(e->at + e->rec_len);
	const uint8_t *p = block + at;

	e->at = at;
	e->rec_len = 0;
	if (at + HEAD_SIZE > end)
		return false;
	e->ino = ovbd_get_le32(p);
	e->rec_len = ovbd_get_le16(p + 4);
	e->len = p[6];
	e->kind = p[7];
	e->name = (const char *)p + HEAD_SIZE;
	if (e->rec_len < HEAD_SIZE || e->rec_len % 4 || e->rec_len > end - at ||
	    HEAD_SIZE + e->len > e->rec_len) {
		e->rec_len = 0;
		return false;
	}
	return true;
}

/* What the block of a hash tree has, it has in one entry that goes to its very end. */
static uint16_t end_of(const struct ext4 *x, const uint8_t *block)
{
	const bool root = ovbd_get_le16(block + 4) == TAIL_SIZE &&
	                  ovbd_get_le16(block + TAIL_SIZE + 4) == BLOCK - TAIL_SIZE;

	return ovbd_get_le16(block + 4) == BLOCK || root ? BLOCK : fill_of(x);
}

static uint16_t room_of(const struct ext4 *x, const uint8_t *block)
{
	struct entry e = {0};
	uint16_t room = 0;

	while (next_entry(block, end_of(x, block), &e)) {
		const uint16_t free = e.ino ? (uint16_t)(e.rec_len - need_of(e.len)) : e.rec_len;

		if (free > room)
			room = free;
	}
	return room;
}

/* ---- blocks ---- */

static int read_block(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *ret,
                      struct ovbd_error *err)
{
	const errcode_t code = io_channel_read_blk64(x->fs->io, at, 1, ret);

	if (code)
		return ext4_fail(x, code, err, "directory %u, block %llu", dir,
		                 (unsigned long long)at);
	return 0;
}

static int write_block(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *block,
                       struct ovbd_error *err)
{
	errcode_t code = 0;

	if (fill_of(x) < BLOCK) {
		memset(block + BLOCK - TAIL_SIZE, 0, TAIL_SIZE);
		ovbd_put_le16(block + BLOCK - TAIL_SIZE + 4, TAIL_SIZE);
		block[BLOCK - TAIL_SIZE + 7] = TAIL_KIND;
		code = ext2fs_dir_block_csum_set(x->fs, dir, (struct ext2_dir_entry *)block);
	}
	if (!code)
		code = io_channel_write_blk64(x->fs->io, at, 1, block);
	if (code)
		return ext4_fail(x, code, err, "directory %u, block %llu", dir,
		                 (unsigned long long)at);
	return 0;
}

static int bad_dir(ext2_ino_t dir, uint32_t block, uint16_t at, struct ovbd_error *err)
{
	return ovbd_fail(err, -EBADMSG, "directory %u: its entry at byte %u of block %u is damaged",
	                 dir, at, block);
}

static int load_block(struct ext4 *x, struct ext4_dir *d, const uint8_t *block,
                      struct ovbd_error *err)
{
	const uint16_t end = end_of(x, block);
	struct entry e = {0};
	int r = 0;

	while (r == 0 && next_entry(block, end, &e)) {
		const bool dots =
			e.name[0] == '.' && (e.len == 1 || (e.len == 2 && e.name[1] == '.'));

		if (e.ino && e.len > 0 && !dots)
			r = ext4_names_add(d, e.name, e.len, e.ino, e.kind, d->nblocks);
	}
	if (r < 0)
		return ovbd_fail(err, r, "out of memory");
	return e.at == end ? 0 : bad_dir(d->ino, d->nblocks, e.at, err);
}

int ext4_dir_load(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	uint8_t block[BLOCK];
	int r = ext4_inode_read(x, d->ino, &i, err);

	if (r < 0)
		return r;
	if (!S_ISDIR(i.i_mode) || i.i_size % BLOCK || i.i_size == 0)
		return ovbd_fail(err, -EBADMSG, "inode %u is a directory of %u bytes", d->ino,
		                 i.i_size);
	d->indexed = i.i_flags & EXT2_INDEX_FL;
	for (uint32_t n = 0; n < i.i_size / BLOCK; n++) {
		blk64_t at = 0;
		const errcode_t code =
			ext2fs_bmap2(x->fs, d->ino, (struct ext2_inode *)&i, NULL, 0, n, NULL, &at);

		if (code || at == 0)
			return ext4_fail(x, code ? code : EXT2_ET_DIR_CORRUPTED, err,
			                 "directory %u, its block %u", d->ino, n);
		r = read_block(x, d->ino, at, block, err);
		if (r == 0 &&
		    !ext2fs_dir_block_csum_verify(x->fs, d->ino, (struct ext2_dir_entry *)block))
			r = ovbd_fail(err, -EBADMSG, "directory %u: block %u has a wrong checksum",
			              d->ino, n);
		if (r == 0)
			r = load_block(x, d, block, err);
		if (r < 0)
			return r;
		if (ext4_names_add_block(d, at, room_of(x, block)) < 0)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- a directory without its hash tree ---- */

static int clear_index_flag(struct ext4 *x, ext2_ino_t dir, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r = ext4_inode_read(x, dir, &i, err);

	if (r < 0)
		return r;
	i.i_flags &= ~(uint32_t)EXT2_INDEX_FL;
	return ext4_inode_write(x, dir, &i, err);
}

/* ---- changes ---- */

static int add_block(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	uint8_t block[BLOCK] = {0};
	blk64_t at = 0;
	errcode_t code = ext2fs_bmap2(x->fs, d->ino, NULL, NULL, BMAP_ALLOC, d->nblocks, NULL, &at);
	int r;

	if (code)
		return ext4_fail(x, code, err, "one more block for directory %u", d->ino);
	put_entry(block, 0, fill_of(x), "", 0, 0);
	r = write_block(x, d->ino, at, block, err);
	if (r == 0)
		r = ext4_inode_read(x, d->ino, &i, err);
	if (r < 0)
		return r;
	i.i_size += BLOCK;
	r = ext4_inode_write(x, d->ino, &i, err);
	if (r == 0 && ext4_names_add_block(d, at, fill_of(x)) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r;
}

/* As many names as there is room for, from the i-th place of the table on; the next place. */
static size_t fill_block(struct ext4 *x, struct ext4_dir *d, uint32_t n, size_t i, uint8_t *block)
{
	const uint16_t end = fill_of(x);
	uint16_t at = n == 0 ? 2 * TAIL_SIZE : 0, last = n == 0 ? TAIL_SIZE : 0;

	for (; i < d->cap; i++) {
		struct ext4_name *name = &d->names[i];
		const uint16_t need = need_of(name->len);

		if (!name->len || !name->ino)
			continue;
		if (at + need > end)
			break;
		put_entry(block + at, name->ino, need, d->text + name->text, name->len, name->kind);
		name->block = n;
		last = at;
		at = (uint16_t)(at + need);
	}
	ovbd_put_le16(block + last + 4, (uint16_t)(end - last));
	return i;
}

/* All names again, from the first block on. */
static int write_anew(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	size_t i = 0;
	int r = 0;

	for (uint32_t n = 0; r == 0 && (n < d->nblocks || i < d->cap); n++) {
		if (n == d->nblocks)
			r = add_block(x, d, err);
		if (r == 0)
			r = read_block(x, d->ino, d->blocks[n], block, err);
		if (r < 0)
			return r;
		if (n == 0) /* "." and ".." stay */
			memset(block + 2 * TAIL_SIZE, 0, BLOCK - 2 * TAIL_SIZE);
		else
			memset(block, 0, BLOCK);
		i = fill_block(x, d, n, i, block);
		d->room[n] = room_of(x, block);
		r = write_block(x, d->ino, d->blocks[n], block, err);
	}
	d->indexed = false;
	return r < 0 ? r : clear_index_flag(x, d->ino, err);
}

static uint8_t kind_of(uint32_t mode)
{
	return S_ISDIR(mode)    ? EXT2_FT_DIR
	       : S_ISLNK(mode)  ? EXT2_FT_SYMLINK
	       : S_ISCHR(mode)  ? EXT2_FT_CHRDEV
	       : S_ISBLK(mode)  ? EXT2_FT_BLKDEV
	       : S_ISFIFO(mode) ? EXT2_FT_FIFO
	       : S_ISSOCK(mode) ? EXT2_FT_SOCK
	                        : EXT2_FT_REG_FILE;
}

/* Into the first gap of the block that is large enough. */
static bool insert(uint8_t *block, uint16_t end, const char *name, size_t len, ext2_ino_t ino,
                   uint8_t kind)
{
	const uint16_t need = need_of(len);
	struct entry e = {0};

	while (next_entry(block, end, &e)) {
		const uint16_t used = e.ino ? need_of(e.len) : 0;

		if (e.rec_len - used < need)
			continue;
		if (used)
			ovbd_put_le16(block + e.at + 4, used);
		put_entry(block + e.at + used, ino, (size_t)(e.rec_len - used), name, len, kind);
		return true;
	}
	return false;
}

int ext4_dir_add(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t ino,
                 uint32_t mode, struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	struct ext4_dir *d;
	uint32_t n = 0;
	int r = ext4_names_of(x, dir, &d, err);

	if (r == 0 && d->indexed)
		r = write_anew(x, d, err);
	if (r < 0)
		return r;
	while (n < d->nblocks && d->room[n] < need_of(len))
		n++;
	if (n == d->nblocks)
		r = add_block(x, d, err);
	if (r == 0)
		r = read_block(x, dir, d->blocks[n], block, err);
	if (r < 0)
		return r;
	if (!insert(block, fill_of(x), name, len, ino, kind_of(mode)))
		return bad_dir(dir, n, 0, err);
	d->room[n] = room_of(x, block);
	r = write_block(x, dir, d->blocks[n], block, err);
	if (r == 0 && ext4_names_add(d, name, len, ino, kind_of(mode), n) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r;
}

/* Its place goes to the entry before it in the block; the first one stays, without a name. */
static bool take_out(uint8_t *block, uint16_t end, const char *name, size_t len)
{
	struct entry e = {0};
	uint16_t before = UINT16_MAX;

	while (next_entry(block, end, &e)) {
		if (e.ino && e.len == len && memcmp(e.name, name, len) == 0) {
			const uint16_t at = e.at, rec_len = e.rec_len;

			memset(block + at, 0, rec_len);
			if (before == UINT16_MAX)
				ovbd_put_le16(block + at + 4, rec_len);
			else
				ovbd_put_le16(block + before + 4,
				              (uint16_t)(rec_len + at - before));
			return true;
		}
		before = e.at;
	}
	return false;
}

int ext4_dir_remove(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len,
                    struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	struct ext4_dir *d;
	struct ext4_name *n;
	int r = ext4_names_of(x, dir, &d, err);

	if (r == 0 && d->indexed)
		r = write_anew(x, d, err);
	if (r < 0)
		return r;
	n = ext4_names_find(d, name, len);
	if (!n)
		return ovbd_fail(err, -ENOENT, "directory %u has no \"%.*s\"", dir, (int)len, name);
	r = read_block(x, dir, d->blocks[n->block], block, err);
	if (r < 0)
		return r;
	if (!take_out(block, fill_of(x), name, len))
		return bad_dir(dir, n->block, 0, err);
	n->ino = 0;
	d->room[n->block] = room_of(x, block);
	return write_block(x, dir, d->blocks[n->block], block, err);
}

int ext4_dir_link(struct ext4 *x, ext2_ino_t dir, int n, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r = ext4_inode_read(x, dir, &i, err);

	if (r < 0 || i.i_links_count == 1) /* more than can be counted */
		return r;
	if (n > 0 && i.i_links_count + (unsigned)n >= EXT4_LINKS_MAX)
		i.i_links_count = 1;
	else
		i.i_links_count = (uint16_t)(i.i_links_count + n);
	return ext4_inode_write(x, dir, &i, err);
}

int ext4_dir_fill(struct ext4 *x, ext2_ino_t ino, ext2_ino_t parent, struct ovbd_error *err)
{
	uint8_t block[BLOCK] = {0};
	blk64_t at;
	int r = ext4_first_block(x, ino, BLOCK, &at, err);

	if (r < 0)
		return r;
	put_entry(block, ino, TAIL_SIZE, ".", 1, EXT2_FT_DIR);
	put_entry(block + TAIL_SIZE, parent, (size_t)(fill_of(x) - TAIL_SIZE), "..", 2,
	          EXT2_FT_DIR);
	r = write_block(x, ino, at, block, err);
	if (r == 0)
		r = ext4_dir_link(x, ino, 2, err);
	if (r == 0 && parent != ino)
		r = ext4_dir_link(x, parent, 1, err);
	return r;
}

int ext4_dir_find(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t *ret,
                  struct ovbd_error *err)
{
	const struct ext4_name *n;
	struct ext4_dir *d;
	int r = ext4_names_of(x, dir, &d, err);

	if (r < 0)
		return r;
	n = ext4_names_find(d, name, len);
	if (!n)
		return 0;
	*ret = n->ino;
	return 1;
}

int ext4_dir_each(struct ext4 *x, ext2_ino_t dir, ext4_name_fn one, void *arg,
                  struct ovbd_error *err)
{
	struct ext4_dir *d;
	int r = ext4_names_of(x, dir, &d, err);

	if (r < 0)
		return r;
	d->npins++;
	for (size_t i = 0; r == 0 && i < d->cap; i++) {
		const struct ext4_name n = d->names[i];
		char name[EXT4_NAME_MAX];

		if (!n.len || !n.ino)
			continue;
		memcpy(name, d->text + n.text, n.len);
		r = one(arg, name, n.len, n.ino, err);
	}
	d->npins--;
	return r;
}
