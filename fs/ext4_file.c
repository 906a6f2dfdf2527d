// SPDX-License-Identifier: Apache-2.0
/*
 * Contents of files never pass through libext2fs: blocks are taken for all of a file at once, its
 * extents written down, and then the bytes are put where they belong as they come out of the tar.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext4.h"

#define BLOCK         OVBD_FS_BLOCK
#define EXTENT_MAX    32768u /* blocks */
#define EXTENT_MAGIC  0xf30au
#define ROOT_EXTENTS  4u /* that the inode itself has room for */
#define FILE_SIZE_MAX ((UINT64_C(1) << 44) - BLOCK)

struct run {
	uint64_t logical, n; /* blocks */
	blk64_t physical;
};

struct runs {
	struct run *v;
	size_t n, cap;
};

static void free_runs(struct runs *r)
{
	free(r->v);
}

static int take_run(struct ext4 *x, uint64_t n, blk64_t *ret_first, uint64_t *ret_n,
                    struct ovbd_error *err)
{
	blk64_t first, got;
	errcode_t code;

	n = ovbd_min(n, EXTENT_MAX);
	if (x->goal < x->fs->super->s_first_data_block ||
	    x->goal >= ext2fs_blocks_count(x->fs->super))
		x->goal = x->fs->super->s_first_data_block;
	code = ext2fs_new_range(x->fs, 0, x->goal, n, NULL, &first, &got);
	if (code)
		return ext4_fail(x, code, err, "%" PRIu64 " blocks", n);
	got = ovbd_min(got, n);
	ext2fs_block_alloc_stats_range(x->fs, first, (blk_t)got, 1);
	ext4_blocks_forget(x->blocks, first, got);
	x->goal = first + got;
	*ret_first = first;
	*ret_n = got;
	return 0;
}

/* Blocks [logical, logical + n) of a file. */
static int take_blocks(struct ext4 *x, struct runs *r, uint64_t logical, uint64_t n,
                       struct ovbd_error *err)
{
	while (n > 0) {
		struct run run = {.logical = logical};
		int code = take_run(x, n, &run.physical, &run.n, err);

		if (code < 0)
			return code;
		if (r->n == r->cap) {
			struct run *more;

			r->cap = 2 * r->cap + 4;
			more = realloc(r->v, r->cap * sizeof(*more));
			if (!more)
				return ovbd_fail(err, -ENOMEM, "out of memory");
			r->v = more;
		}
		r->v[r->n++] = run;
		logical += run.n;
		n -= run.n;
	}
	return 0;
}

/* ---- extents ---- */

/* In the inode: a header and up to four. The layout is that of the disk. */
static void write_root(struct ext2_inode_large *i, const struct runs *r)
{
	uint8_t raw[sizeof(i->i_block)] = {0};

	ovbd_put_le16(raw, EXTENT_MAGIC);
	ovbd_put_le16(raw + 2, (uint16_t)r->n);
	ovbd_put_le16(raw + 4, ROOT_EXTENTS);
	for (size_t k = 0; k < r->n; k++) {
		uint8_t *e = raw + 12 * (k + 1);

		ovbd_put_le32(e, (uint32_t)r->v[k].logical);
		ovbd_put_le16(e + 4, (uint16_t)r->v[k].n);
		ovbd_put_le16(e + 6, (uint16_t)(r->v[k].physical >> 32));
		ovbd_put_le32(e + 8, (uint32_t)r->v[k].physical);
	}
	memcpy(i->i_block, raw, sizeof(raw));
	i->i_flags |= EXT4_EXTENTS_FL;
}

static errcode_t write_tree(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *i,
                            const struct runs *r)
{
	ext2_extent_handle_t h;
	errcode_t code = ext2fs_extent_open2(x->fs, ino, (struct ext2_inode *)i, &h);

	if (code)
		return code;
	for (size_t k = 0; !code && k < r->n; k++) {
		struct ext2fs_extent e = {
			.e_pblk = r->v[k].physical,
			.e_lblk = r->v[k].logical,
			.e_len = (uint32_t)r->v[k].n,
		};

		code = ext2fs_extent_insert(h, EXT2_EXTENT_INSERT_AFTER, &e);
		if (!code)
			code = ext2fs_extent_fix_parents(h);
	}
	ext2fs_extent_free(h);
	return code;
}

static int write_extents(struct ext4 *x, ext2_ino_t ino, uint64_t size, const struct runs *r,
                         struct ovbd_error *err)
{
	struct ext2_inode_large i;
	uint64_t nblocks = 0;
	errcode_t code = 0;
	int s = ext4_inode_read(x, ino, &i, err);

	if (s < 0)
		return s;
	for (size_t k = 0; k < r->n; k++)
		nblocks += r->v[k].n;
	i.i_size = (uint32_t)size;
	i.i_size_high = (uint32_t)(size >> 32);
	ext2fs_iblk_add_blocks(x->fs, (struct ext2_inode *)&i, nblocks);
	write_root(&i, r->n <= ROOT_EXTENTS ? r : &(struct runs){0});
	s = ext4_inode_write(x, ino, &i, err);
	if (s == 0 && r->n > ROOT_EXTENTS)
		code = write_tree(x, ino, &i, r);
	return code ? ext4_fail(x, code, err, "the extents of inode %u", ino) : s;
}

/* ---- contents ---- */

/* What waits in x->buf: it begins with a block of the file. */
struct content {
	struct ext4 *x;
	const struct runs *runs;
	size_t run; /* none before it is needed any more */
	uint64_t off;
	size_t len;
};

static int put_all(struct content *c, struct ovbd_error *err)
{
	const size_t len = (size_t)ovbd_align_up(c->len, BLOCK);
	size_t done = 0;

	memset(c->x->buf + c->len, 0, len - c->len);
	while (done < len) {
		const uint64_t block = (c->off + done) / BLOCK;
		const struct run *r = &c->runs->v[c->run];
		size_t n;
		int s;

		if (block >= r->logical + r->n) {
			c->run++;
			continue;
		}
		n = (size_t)ovbd_min(len - done, (r->logical + r->n - block) * BLOCK);
		s = c->x->p.put(c->x->p.arg, (r->physical + block - r->logical) * BLOCK,
		                c->x->buf + done, n, err);
		if (s < 0)
			return s;
		done += n;
	}
	c->off += len;
	c->len = 0;
	return 0;
}

/* Room in the buffer for bytes at off, which lies behind all before. */
static int make_room(struct content *c, uint64_t off, struct ovbd_error *err)
{
	const uint64_t start = ovbd_align_down(off, BLOCK);
	int r;

	if (c->len > 0 && start < c->off + ovbd_align_up(c->len, BLOCK) &&
	    off - c->off < EXT4_BUF_SIZE) {
		memset(c->x->buf + c->len, 0, (size_t)(off - c->off) - c->len);
		c->len = (size_t)(off - c->off);
		return 0;
	}
	r = c->len > 0 && off != c->off + c->len ? put_all(c, err) : 0;
	if (r == 0 && c->len == EXT4_BUF_SIZE)
		r = put_all(c, err);
	if (r < 0 || c->len > 0)
		return r;
	c->off = start;
	c->len = (size_t)(off - start);
	memset(c->x->buf, 0, c->len);
	return 0;
}

static int copy_content(struct content *c, struct tar *t, struct ovbd_error *err)
{
	uint8_t chunk[65536];

	for (;;) {
		uint64_t off;
		size_t len, done = 0;
		int r = tar_read(t, chunk, sizeof(chunk), &off, &len, err);

		if (r < 0)
			return r;
		if (len == 0)
			return c->len > 0 ? put_all(c, err) : 0;
		while (done < len) {
			size_t n;

			r = make_room(c, off + done, err);
			if (r < 0)
				return r;
			n = (size_t)ovbd_min(len - done, EXT4_BUF_SIZE - c->len);
			memcpy(c->x->buf + c->len, chunk + done, n);
			c->len += n;
			done += n;
		}
	}
}

int ext4_file_fill(struct ext4 *x, ext2_ino_t ino, struct tar *t, const struct tar_entry *e,
                   struct ovbd_error *err)
{
	OVBD_AUTO(free_runs) struct runs runs = {0};
	struct content c = {.x = x, .runs = &runs};
	uint64_t end = 0; /* blocks taken */
	int r = 0;

	if (e->size > FILE_SIZE_MAX)
		return ovbd_fail(err, -EFBIG, "%" PRIu64 " bytes, more than a file can have",
		                 e->size);
	for (size_t i = 0; r == 0 && i < e->npieces; i++) {
		const uint64_t first = e->pieces[i].off / BLOCK;
		const uint64_t last = (e->pieces[i].off + e->pieces[i].len - 1) / BLOCK;
		const uint64_t from = first > end ? first : end;

		if (last + 1 > from)
			r = take_blocks(x, &runs, from, last + 1 - from, err);
		end = last + 1;
	}
	if (r == 0)
		r = write_extents(x, ino, e->size, &runs, err);
	return r < 0 ? r : copy_content(&c, t, err);
}

int ext4_first_block(struct ext4 *x, ext2_ino_t ino, uint64_t size, blk64_t *ret,
                     struct ovbd_error *err)
{
	OVBD_AUTO(free_runs) struct runs runs = {0};
	int r = take_blocks(x, &runs, 0, 1, err);

	if (r == 0)
		r = write_extents(x, ino, size, &runs, err);
	if (r == 0)
		*ret = runs.v[0].physical;
	return r;
}

int ext4_symlink_fill(struct ext4 *x, ext2_ino_t ino, const char *target, struct ovbd_error *err)
{
	const size_t len = strlen(target);
	struct ext2_inode_large i;
	uint8_t block[BLOCK] = {0};
	blk64_t at;
	errcode_t code;
	int r;

	if (len == 0 || len >= BLOCK)
		return ovbd_fail(err, -EBADMSG, "a symbolic link to a name of %zu bytes", len);
	if (len < EXT4_FAST_SYMLINK) {
		r = ext4_inode_read(x, ino, &i, err);
		if (r < 0)
			return r;
		memcpy(i.i_block, target, len);
		i.i_size = (uint32_t)len;
		return ext4_inode_write(x, ino, &i, err);
	}
	r = ext4_first_block(x, ino, len, &at, err);
	if (r < 0)
		return r;
	memcpy(block, target, len);
	code = io_channel_write_blk64(x->fs->io, at, 1, block);
	return code ? ext4_fail(x, code, err, "a symbolic link") : 0;
}

int ext4_symlink_read(struct ext4 *x, ext2_ino_t ino, const struct ext2_inode_large *inode,
                      char **ret, struct ovbd_error *err)
{
	struct ext2_inode_large i = *inode;
	uint8_t block[BLOCK + 1] = {0};
	blk64_t at;
	errcode_t code;

	if (i.i_size == 0 || i.i_size >= BLOCK || i.i_size_high)
		return ovbd_fail(err, -EBADMSG, "inode %u: a symbolic link of %u bytes", ino,
		                 i.i_size);
	if (i.i_size < EXT4_FAST_SYMLINK) {
		memcpy(block, i.i_block, i.i_size);
	} else {
		code = ext2fs_bmap2(x->fs, ino, (struct ext2_inode *)&i, NULL, 0, 0, NULL, &at);
		if (!code)
			code = io_channel_read_blk64(x->fs->io, at, 1, block);
		if (code)
			return ext4_fail(x, code, err, "the symbolic link of inode %u", ino);
		block[i.i_size] = 0;
	}
	*ret = strdup((const char *)block);
	return *ret ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}
