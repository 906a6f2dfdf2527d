// SPDX-License-Identifier: Apache-2.0
/*
 * A block of a directory is full of entries: inode u32, length of the entry u16, length of the name
 * u8, kind u8, name; with checksums, the last 12 bytes of a block look like an entry without a
 * name.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext4_dir.h"

#define BLOCK     OVBD_FS_BLOCK
#define TAIL_SIZE 12u
#define TAIL_KIND 0xdeu

/* ---- entries ---- */

uint16_t ext4_entry_size(size_t name_len)
{
	return (uint16_t)ovbd_align_up(DIR_HEAD_SIZE + name_len, 4);
}

void ext4_entry_put(uint8_t *at, uint32_t ino, size_t rec_len, const char *name, size_t len,
                    uint8_t kind)
{
	ovbd_put_le32(at, ino);
	ovbd_put_le16(at + 4, (uint16_t)rec_len);
	at[6] = (uint8_t)len;
	at[7] = kind;
	memcpy(at + DIR_HEAD_SIZE, name, len);
}

bool ext4_entry_next(const uint8_t *block, uint16_t end, struct ext4_entry *e)
{
	const uint16_t at = (uint16_t)(e->at + e->rec_len);
	const uint8_t *p = block + at;

	e->at = at;
	e->rec_len = 0;
	if (at + DIR_HEAD_SIZE > end)
		return false;
	e->ino = ovbd_get_le32(p);
	e->rec_len = ovbd_get_le16(p + 4);
	e->len = p[6];
	e->kind = p[7];
	e->name = (const char *)p + DIR_HEAD_SIZE;
	if (e->rec_len < DIR_HEAD_SIZE || e->rec_len % 4 || e->rec_len > end - at ||
	    DIR_HEAD_SIZE + e->len > e->rec_len) {
		e->rec_len = 0;
		return false;
	}
	return true;
}

bool ext4_entry_insert(uint8_t *block, uint16_t end, const char *name, size_t len, ext2_ino_t ino,
                       uint8_t kind)
{
	const uint16_t need = ext4_entry_size(len);
	struct ext4_entry e = {0};

	while (ext4_entry_next(block, end, &e)) {
		const uint16_t used = e.ino ? ext4_entry_size(e.len) : 0;

		if (e.rec_len - used < need)
			continue;
		if (used)
			ovbd_put_le16(block + e.at + 4, used);
		ext4_entry_put(block + e.at + used, ino, (size_t)(e.rec_len - used), name, len,
		               kind);
		return true;
	}
	return false;
}

bool ext4_entry_remove(uint8_t *block, uint16_t end, const char *name, size_t len)
{
	struct ext4_entry e = {0};
	uint16_t before = UINT16_MAX;

	while (ext4_entry_next(block, end, &e)) {
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

/* ---- blocks ---- */

uint16_t ext4_dir_end(const struct ext4 *x)
{
	return ext2fs_has_feature_metadata_csum(x->fs->super) ? BLOCK - TAIL_SIZE : BLOCK;
}

/* What the block of a hash tree has, it has in one entry that goes to its very end. */
uint16_t ext4_dir_end_of(const struct ext4 *x, const uint8_t *block)
{
	const bool root = ovbd_get_le16(block + 4) == DIR_DOT_SIZE &&
	                  ovbd_get_le16(block + DIR_DOT_SIZE + 4) == BLOCK - DIR_DOT_SIZE;

	return ovbd_get_le16(block + 4) == BLOCK || root ? BLOCK : ext4_dir_end(x);
}

uint16_t ext4_dir_room(const struct ext4 *x, const uint8_t *block)
{
	const uint16_t end = ext4_dir_end_of(x, block);
	struct ext4_entry e = {0};
	uint16_t room = 0;

	while (ext4_entry_next(block, end, &e)) {
		const uint16_t free =
			e.ino ? (uint16_t)(e.rec_len - ext4_entry_size(e.len)) : e.rec_len;

		if (free > room)
			room = free;
	}
	return room;
}

int ext4_dir_read(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *ret, struct ovbd_error *err)
{
	const errcode_t code = io_channel_read_blk64(x->fs->io, at, 1, ret);

	if (code)
		return ext4_fail(x, code, err, "directory %u, block %llu", dir,
		                 (unsigned long long)at);
	return 0;
}

int ext4_dir_write(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *block, bool tree,
                   struct ovbd_error *err)
{
	errcode_t code = 0;

	if (ext4_dir_end(x) < BLOCK) {
		if (!tree) {
			memset(block + BLOCK - TAIL_SIZE, 0, TAIL_SIZE);
			ovbd_put_le16(block + BLOCK - TAIL_SIZE + 4, TAIL_SIZE);
			block[BLOCK - TAIL_SIZE + 7] = TAIL_KIND;
		}
		code = ext2fs_dir_block_csum_set(x->fs, dir, (struct ext2_dir_entry *)block);
	}
	if (!code)
		code = io_channel_write_blk64(x->fs->io, at, 1, block);
	if (code)
		return ext4_fail(x, code, err, "directory %u, block %llu", dir,
		                 (unsigned long long)at);
	return 0;
}

int ext4_dir_bad(ext2_ino_t dir, uint32_t block, uint16_t at, struct ovbd_error *err)
{
	return ovbd_fail(err, -EBADMSG, "directory %u: its entry at byte %u of block %u is damaged",
	                 dir, at, block);
}

int ext4_dir_describe(struct ext4 *x, ext2_ino_t dir, bool indexed, uint64_t size,
                      struct ovbd_error *err)
{
	struct ext2_inode_large i;
	int r = ext4_inode_read(x, dir, &i, err);

	if (r < 0)
		return r;
	i.i_flags &= ~(uint32_t)EXT2_INDEX_FL;
	if (indexed)
		i.i_flags |= EXT2_INDEX_FL;
	i.i_size = (uint32_t)size;
	return ext4_inode_write(x, dir, &i, err);
}

int ext4_dir_grow(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	uint8_t block[BLOCK] = {0};
	blk64_t at = 0;
	errcode_t code = ext2fs_bmap2(x->fs, d->ino, NULL, NULL, BMAP_ALLOC, d->nblocks, NULL, &at);
	int r;

	if (code)
		return ext4_fail(x, code, err, "one more block for directory %u", d->ino);
	ext4_entry_put(block, 0, ext4_dir_end(x), "", 0, 0);
	r = ext4_dir_write(x, d->ino, at, block, false, err);
	if (r == 0)
		r = ext4_dir_describe(x, d->ino, d->indexed, (uint64_t)(d->nblocks + 1) * BLOCK,
		                      err);
	if (r == 0 && ext4_names_add_block(d, at, ext4_dir_end(x)) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r;
}
