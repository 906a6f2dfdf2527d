// SPDX-License-Identifier: Apache-2.0
/*
 * Directories as a list of blocks. A new entry takes what is left behind another one, in the first
 * block that has room; so small changes change one block. Where there is a hash tree, the hash says
 * which block.
 *
 * To whoever does not know it, the hash tree of a large directory looks like blocks full of free
 * space. One that cannot be kept right is given up, and the directory written anew as a list. A
 * list that has become large gets a tree at the end (ext4_dirs_finish()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/ext4_dir.h"

#define BLOCK OVBD_FS_BLOCK

/* ---- what is there ---- */

static int load_block(struct ext4 *x, struct ext4_dir *d, const uint8_t *block,
                      struct ovbd_error *err)
{
	const uint16_t end = ext4_dir_end_of(x, block);
	struct ext4_entry e = {0};
	int r = 0;

	while (r == 0 && ext4_entry_next(block, end, &e)) {
		const bool dots =
			e.name[0] == '.' && (e.len == 1 || (e.len == 2 && e.name[1] == '.'));

		if (e.ino && e.len > 0 && !dots)
			r = ext4_names_add(d, e.name, e.len, e.ino, e.kind, d->nblocks);
	}
	if (r < 0)
		return ovbd_fail(err, r, "out of memory");
	return e.at == end ? 0 : ext4_dir_bad(d->ino, d->nblocks, e.at, err);
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
		r = ext4_dir_read(x, d->ino, at, block, err);
		if (r == 0 &&
		    !ext2fs_dir_block_csum_verify(x->fs, d->ino, (struct ext2_dir_entry *)block))
			r = ovbd_fail(err, -EBADMSG, "directory %u: block %u has a wrong checksum",
			              d->ino, n);
		if (r == 0)
			r = load_block(x, d, block, err);
		if (r < 0)
			return r;
		if (ext4_names_add_block(d, at, ext4_dir_room(x, block)) < 0)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- large ones ---- */

/* To be looked at when all names are there. */
static int remember(struct ext4 *x, ext2_ino_t dir, struct ovbd_error *err)
{
	if (x->nlarge == x->large_cap) {
		const size_t cap = 2 * x->large_cap + 16;
		ext2_ino_t *large = realloc(x->large, cap * sizeof(*large));

		if (!large)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		x->large = large;
		x->large_cap = cap;
	}
	x->large[x->nlarge++] = dir;
	return 0;
}

static int is_list(struct ext4 *x, ext2_ino_t ino, struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r;

	if (!ext2fs_test_inode_bitmap2(x->fs->inode_map, ino))
		return 0; /* it is gone */
	r = ext4_inode_read(x, ino, &i, err);
	return r < 0 ? r : S_ISDIR(i.i_mode) && !(i.i_flags & EXT2_INDEX_FL);
}

int ext4_dirs_finish(struct ext4 *x, struct ovbd_error *err)
{
	struct ext4_dir *d;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < x->nlarge; i++) {
		r = is_list(x, x->large[i], err);
		if (r > 0)
			r = ext4_names_of(x, x->large[i], &d, err);
		else
			continue;
		if (r == 0)
			r = ext4_tree_make(x, d, err);
	}
	return r;
}

/* One block more of a list. */
static int grow_list(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	int r = ext4_dir_grow(x, d, err);

	return r == 0 && d->nblocks == DIR_LIST_MAX + 1 ? remember(x, d->ino, err) : r;
}

/* ---- changes ---- */

/* As many names as there is room for, from the i-th place of the table on; the next place. */
static size_t fill_block(struct ext4 *x, struct ext4_dir *d, uint32_t n, size_t i, uint8_t *block)
{
	const uint16_t end = ext4_dir_end(x);
	uint16_t at = n == 0 ? 2 * DIR_DOT_SIZE : 0, last = n == 0 ? DIR_DOT_SIZE : 0;

	if (n == 0) /* a root has an entry to its end there */
		ovbd_put_le16(block + DIR_DOT_SIZE + 4, DIR_DOT_SIZE);
	for (; i < d->cap; i++) {
		struct ext4_name *name = &d->names[i];
		const uint16_t need = ext4_entry_size(name->len);

		if (!name->len || !name->ino)
			continue;
		if (at + need > end)
			break;
		ext4_entry_put(block + at, name->ino, need, d->text + name->text, name->len,
		               name->kind);
		name->block = n;
		last = at;
		at = (uint16_t)(at + need);
	}
	ovbd_put_le16(block + last + 4, (uint16_t)(end - last));
	return i;
}

/* All names again, from the first block on, without the hash tree. */
static int write_anew(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	size_t i = 0;
	int r;

	d->indexed = false;
	r = ext4_dir_describe(x, d->ino, false, (uint64_t)d->nblocks * BLOCK, err);
	if (r == 0 && d->nblocks > DIR_LIST_MAX)
		r = remember(x, d->ino, err);

	for (uint32_t n = 0; r == 0 && (n < d->nblocks || i < d->cap); n++) {
		if (n == d->nblocks)
			r = grow_list(x, d, err);
		if (r == 0)
			r = ext4_dir_read(x, d->ino, d->blocks[n], block, err);
		if (r < 0)
			return r;
		if (n == 0) /* "." and ".." stay */
			memset(block + 2 * DIR_DOT_SIZE, 0, BLOCK - 2 * DIR_DOT_SIZE);
		else
			memset(block, 0, BLOCK);
		i = fill_block(x, d, n, i, block);
		d->room[n] = ext4_dir_room(x, block);
		r = ext4_dir_write(x, d->ino, d->blocks[n], block, false, err);
	}
	return r;
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

int ext4_dir_add(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t ino,
                 uint32_t mode, struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	struct ext4_dir *d;
	uint32_t n = 0;
	int r = ext4_names_of(x, dir, &d, err);

	if (r == 0 && d->indexed) {
		r = ext4_tree_add(x, d, name, len, ino, kind_of(mode), err);
		if (r != 0)
			return r < 0 ? r : 0;
		r = write_anew(x, d, err);
	}
	if (r < 0)
		return r;
	while (n < d->nblocks && d->room[n] < ext4_entry_size(len))
		n++;
	if (n == d->nblocks)
		r = grow_list(x, d, err);
	if (r == 0)
		r = ext4_dir_read(x, dir, d->blocks[n], block, err);
	if (r < 0)
		return r;
	if (!ext4_entry_insert(block, ext4_dir_end(x), name, len, ino, kind_of(mode)))
		return ext4_dir_bad(dir, n, 0, err);
	d->room[n] = ext4_dir_room(x, block);
	r = ext4_dir_write(x, dir, d->blocks[n], block, false, err);
	if (r == 0 && ext4_names_add(d, name, len, ino, kind_of(mode), n) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r;
}

int ext4_dir_remove(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len,
                    struct ovbd_error *err)
{
	uint8_t block[BLOCK];
	struct ext4_dir *d;
	struct ext4_name *n;
	int r = ext4_names_of(x, dir, &d, err);

	if (r < 0)
		return r;
	n = ext4_names_find(d, name, len);
	if (!n)
		return ovbd_fail(err, -ENOENT, "directory %u has no \"%.*s\"", dir, (int)len, name);
	r = ext4_dir_read(x, dir, d->blocks[n->block], block, err);
	if (r < 0)
		return r;
	if (!ext4_entry_remove(block, ext4_dir_end(x), name, len))
		return ext4_dir_bad(dir, n->block, 0, err);
	n->ino = 0;
	d->room[n->block] = ext4_dir_room(x, block);
	return ext4_dir_write(x, dir, d->blocks[n->block], block, false, err);
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
	ext4_entry_put(block, ino, DIR_DOT_SIZE, ".", 1, EXT2_FT_DIR);
	ext4_entry_put(block + DIR_DOT_SIZE, parent, (size_t)(ext4_dir_end(x) - DIR_DOT_SIZE), "..",
	               2, EXT2_FT_DIR);
	r = ext4_dir_write(x, ino, at, block, false, err);
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
