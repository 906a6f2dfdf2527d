// SPDX-License-Identifier: Apache-2.0
#include "fs/ext4.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PUT_BLOCKS 256u /* at once, at most */

struct ovbd_fs {
	struct ext4 x;
};

/* ---- errors ---- */

static int errno_of(errcode_t code)
{
	switch (code) {
	case EXT2_ET_BLOCK_ALLOC_FAIL:
	case EXT2_ET_INODE_ALLOC_FAIL:
	case EXT2_ET_DIR_NO_SPACE:
	case EXT2_ET_EA_NO_SPACE:
	case EXT2_ET_INLINE_DATA_NO_SPACE:
		return -ENOSPC;
	case EXT2_ET_NO_MEMORY:
		return -ENOMEM;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE:
		return -ENOTSUP;
	default:
		return code > 0 && code < 256 ? -(int)code : -EBADMSG;
	}
}

/* libext2fs's own words come from a table that it keeps. */
static const char *words_of(errcode_t code)
{
	initialize_ext2_error_table();
	return error_message(code);
}

int ext4_fail(struct ext4 *x, errcode_t code, struct ovbd_error *err, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (x->io_failed) {
		x->io_failed = false;
		return ovbd_fail(err, x->io_code, "%s: %s", what, x->io_err.msg);
	}
	if (errno_of(code) == -ENOSPC)
		return ovbd_fail(err, -ENOSPC,
		                 "%s: the file system of %" PRIu64 " bytes is full (%s)", what,
		                 x->size, words_of(code));
	return ovbd_fail(err, errno_of(code), "%s: %s", what, words_of(code));
}

/* ---- opening ---- */

static int check_base(struct ext4 *x, struct ovbd_error *err)
{
	const struct ext2_super_block *s = x->fs->super;

	if (x->fs->blocksize != OVBD_FS_BLOCK)
		return ovbd_fail(err, -ENOTSUP,
		                 "the file system beneath has blocks of %u bytes, not %u",
		                 x->fs->blocksize, OVBD_FS_BLOCK);
	if (EXT2_INODE_SIZE(s) < 256 || !ext2fs_has_feature_extents(x->fs->super))
		return ovbd_fail(err, -ENOTSUP, "the file system beneath is an ext%d, not an ext4",
		                 ext2fs_has_feature_journal(x->fs->super) ? 3 : 2);
	if (ext2fs_has_feature_journal_needs_recovery(x->fs->super) ||
	    !(s->s_state & EXT2_VALID_FS))
		return ovbd_fail(err, -ENOTSUP,
		                 "the file system beneath was not unmounted, or has errors: e2fsck "
		                 "must repair it first");
	if (ext2fs_has_feature_bigalloc(x->fs->super) ||
	    ext2fs_has_feature_inline_data(x->fs->super) ||
	    ext2fs_has_feature_encrypt(x->fs->super) || ext2fs_has_feature_casefold(x->fs->super))
		return ovbd_fail(err, -ENOTSUP,
		                 "the file system beneath has clusters, inline data, encryption or "
		                 "names without case, which cannot be written");
	if (ext2fs_blocks_count(x->fs->super) * OVBD_FS_BLOCK > x->size)
		return ovbd_fail(err, -EBADMSG,
		                 "the file system beneath has %llu blocks, the device %" PRIu64,
		                 ext2fs_blocks_count(x->fs->super), x->size / OVBD_FS_BLOCK);
	return 0;
}

static int open_base(struct ext4 *x, struct ovbd_error *err)
{
	char name[32];
	errcode_t code;
	int r;

	ext4_io_name(x, name);
	code = ext2fs_open(name, EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0, ext4_io_manager, &x->fs);
	if (code)
		return ext4_fail(x, code, err, "the file system beneath");
	x->fs->now = ext4_now(x);
	x->fs->flags |= EXT2_FLAG_MASTER_SB_ONLY; /* a copy of what was is good enough */
	r = check_base(x, err);
	if (r < 0)
		return r;
	code = ext2fs_read_bitmaps(x->fs);
	return code ? ext4_fail(x, code, err, "the bitmaps of the file system beneath") : 0;
}

int ovbd_fs_open(const struct ovbd_fs_params *p, struct ovbd_fs **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_fs_closep) struct ovbd_fs *f = calloc(1, sizeof(*f));
	int r = f ? 0 : -ENOMEM;

	if (r == 0) {
		f->x.p = *p;
		f->x.size = p->base ? ovbd_align_down(p->base->size, OVBD_FS_BLOCK) : p->size;
		f->x.buf = malloc(EXT4_BUF_SIZE);
		r = f->x.buf ? ext4_blocks_create(&f->x.blocks) : -ENOMEM;
	}
	if (r < 0)
		return ovbd_fail(err, r, "out of memory");
	if (!p->base &&
	    (p->size < OVBD_FS_SIZE_MIN || p->size > OVBD_FS_SIZE_MAX || p->size % OVBD_FS_BLOCK))
		return ovbd_fail(err, -EINVAL,
		                 "a file system of %" PRIu64
		                 " bytes: it must be a multiple of %u, from 1M to 16T",
		                 p->size, OVBD_FS_BLOCK);
	r = p->base ? open_base(&f->x, err) : ext4_mkfs(&f->x, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(f);
	return 0;
}

uint64_t ovbd_fs_size(const struct ovbd_fs *fs)
{
	return fs->x.size;
}

struct ext4 *ext4_of(struct ovbd_fs *fs)
{
	return &fs->x;
}

/* ---- putting ---- */

/* Blocks that follow each other, gathered. */
struct puts {
	struct ext4 *x;
	uint64_t first;
	size_t n;
};

static int flush_puts(struct puts *p, struct ovbd_error *err)
{
	const size_t n = p->n;

	p->n = 0;
	if (n == 0)
		return 0;
	return p->x->p.put(p->x->p.arg, p->first * OVBD_FS_BLOCK, p->x->buf, n * OVBD_FS_BLOCK,
	                   err);
}

/* Whether the base has the same there. */
static int is_known(struct ext4 *x, uint64_t block, const uint8_t *bytes, struct ovbd_error *err)
{
	uint8_t was[OVBD_FS_BLOCK];
	int r;

	if (!x->p.base)
		return ovbd_is_zero(bytes, OVBD_FS_BLOCK);
	r = ovbd_blob_pread(x->p.base, was, sizeof(was), block * OVBD_FS_BLOCK, err);
	return r < 0 ? r : memcmp(was, bytes, sizeof(was)) == 0;
}

static int put_block(void *arg, uint64_t block, const uint8_t *bytes, struct ovbd_error *err)
{
	struct puts *p = arg;
	int r = is_known(p->x, block, bytes, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (p->n == PUT_BLOCKS || (p->n > 0 && p->first + p->n != block))
		r = flush_puts(p, err);
	if (r < 0)
		return r;
	if (p->n == 0)
		p->first = block;
	memcpy(p->x->buf + p->n * OVBD_FS_BLOCK, bytes, OVBD_FS_BLOCK);
	p->n++;
	return 0;
}

int ovbd_fs_finish(struct ovbd_fs *fs, struct ovbd_error *err)
{
	struct puts p = {.x = &fs->x};
	errcode_t code;
	int r = ext4_dirs_finish(&fs->x, err);

	if (r < 0)
		return r;
	code = ext2fs_flush(fs->x.fs);
	if (code)
		return ext4_fail(&fs->x, code, err, "writing the file system's tables");
	r = ext4_blocks_each(fs->x.blocks, put_block, &p, err);
	return r < 0 ? r : flush_puts(&p, err);
}

void ovbd_fs_close(struct ovbd_fs *take_fs)
{
	if (!take_fs)
		return;
	ext4_names_free(&take_fs->x);
	if (take_fs->x.fs)
		ext2fs_free(take_fs->x.fs); /* nothing is written any more */
	ext4_blocks_free(take_fs->x.blocks);
	free(take_fs->x.large);
	free(take_fs->x.buf);
	free(take_fs);
}
