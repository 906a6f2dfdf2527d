// SPDX-License-Identifier: Apache-2.0
/*
 * libext2fs reads the file system through an I/O manager of ours, whose reads are those of the
 * device; so what it needs to find a file is recorded like any other read. Of the files nothing is
 * read but where their blocks are; these are looked up in the index of the stack.
 *
 * The file system may be hostile: what libext2fs cannot read is told and left out, directories are
 * entered to a depth only, and the number of files and of ranges is bounded.
 */
#include "image/paths.h"

#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define DEPTH_MAX 64u
#define FILES_MAX 1000000u
#define PATH_SIZE 4096u

struct walk {
	ext2_filsys fs;
	const struct ovbd_image *img;
	const struct ovbd_paths_params *p;
	struct ovbd_trace ranges; /* of the files */
	unsigned nfiles;
	unsigned depth;
	int code; /* of what ends it all */
	struct ovbd_error *err;
	/* of a file: the blocks that are not noted yet */
	blk64_t first;
	uint64_t nblocks;
};

/* ---- the device as libext2fs sees it ---- */

static struct struct_io_manager manager;

/* open() is given a name, and no more than that. */
static _Thread_local struct walk *opening;

static errcode_t channel_open(const char *name, int flags, io_channel *ret)
{
	io_channel c = calloc(1, sizeof(*c));

	(void)flags;
	if (!c || !(c->name = strdup(name))) {
		free(c);
		return EXT2_ET_NO_MEMORY;
	}
	c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	c->manager = &manager;
	c->block_size = 1024;
	c->refcount = 1;
	c->private_data = opening;
	*ret = c;
	return 0;
}

static errcode_t channel_close(io_channel c)
{
	if (--c->refcount > 0)
		return 0;
	free(c->name);
	free(c);
	return 0;
}

static errcode_t channel_set_blksize(io_channel c, int size)
{
	c->block_size = size;
	return 0;
}

/* What of the layers is at [off, off + len) of the device. */
static int note_range(const struct ovbd_image *img, uint64_t off, uint64_t len,
                      struct ovbd_trace *t, struct ovbd_error *err)
{
	const struct ovbd_index *ix = ovbd_stack_index(img->blob);
	int code = 0;

	if (off >= img->blob->size)
		return 0;
	len = ovbd_min(len, img->blob->size - off);
	while (len > 0 && code == 0) {
		const struct ovbd_segment s = ovbd_index_at(ix, off, len);
		const struct ovbd_trace_record r = {.layer = s.layer, .off = s.src, .len = s.len};

		if (s.kind == OVBD_RUN_DATA && !ovbd_segment_is_below(&s))
			code = ovbd_trace_add(t, &r, err);
		off += s.len;
		len -= s.len;
	}
	return code;
}

static bool is_stopped(const struct walk *w)
{
	return w->p->stop && atomic_load(w->p->stop);
}

static void announce(struct walk *w, uint64_t off, uint64_t len)
{
	AUTO_TRACE t = {0};

	if (w->p->will_read && note_range(w->img, off, len, &t, NULL) == 0)
		w->p->will_read(w->p->arg, &t);
}

/* A negative count is one of bytes. */
static errcode_t channel_read64(io_channel c, unsigned long long block, int count, void *data)
{
	const uint64_t size = (uint64_t)c->block_size;
	const uint64_t len = count < 0 ? (uint64_t) - (int64_t)count : (uint64_t)count * size;
	struct walk *w = c->private_data;
	uint64_t off;

	if (!ovbd_mul(block, size, &off))
		return EXT2_ET_BAD_BLOCK_NUM;
	if (is_stopped(w))
		return EXT2_ET_CANCEL_REQUESTED;
	announce(w, off, len);
	return ovbd_blob_pread(w->img->blob, data, (size_t)len, off, NULL) < 0 ? EXT2_ET_SHORT_READ
	                                                                       : 0;
}

static errcode_t channel_read(io_channel c, unsigned long block, int count, void *data)
{
	return channel_read64(c, block, count, data);
}

static errcode_t channel_write64(io_channel c, unsigned long long block, int count,
                                 const void *data)
{
	(void)c;
	(void)block;
	(void)count;
	(void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t channel_write(io_channel c, unsigned long block, int count, const void *data)
{
	return channel_write64(c, block, count, data);
}

static errcode_t channel_flush(io_channel c)
{
	(void)c;
	return 0;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "ovbd",
	.open = channel_open,
	.close = channel_close,
	.set_blksize = channel_set_blksize,
	.read_blk = channel_read,
	.write_blk = channel_write,
	.flush = channel_flush,
	.read_blk64 = channel_read64,
	.write_blk64 = channel_write64,
};

/* ---- from blocks to ranges of layers ---- */

static void tell(struct walk *w, const char *path, errcode_t e)
{
	struct ovbd_error say;

	ovbd_fail(&say, 0, "%s: %s", path, error_message(e));
	if (e != EXT2_ET_CANCEL_REQUESTED)
		w->p->told(w->p->arg, say.msg);
}

static void flush_blocks(struct walk *w)
{
	if (w->nblocks > 0 && w->code == 0)
		w->code = note_range(w->img, w->first * w->fs->blocksize,
		                     w->nblocks * w->fs->blocksize, &w->ranges, w->err);
	w->nblocks = 0;
}

/* Those of the tree that tells where blocks are have been read. */
static int on_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t number, blk64_t ref, int ref_off,
                    void *arg)
{
	struct walk *w = arg;

	(void)fs;
	(void)ref;
	(void)ref_off;
	if (number < 0)
		return 0;
	if (w->nblocks > 0 && *block != w->first + w->nblocks)
		flush_blocks(w);
	if (w->nblocks++ == 0)
		w->first = *block;
	return w->code < 0 ? BLOCK_ABORT : 0;
}

/* ---- files ---- */

static void add_file(struct walk *w, ext2_ino_t ino, struct ext2_inode *inode, const char *path)
{
	errcode_t e = 0;

	if (ext2fs_inode_has_valid_blocks2(w->fs, inode))
		e = ext2fs_block_iterate3(w->fs, ino, BLOCK_FLAG_READ_ONLY, NULL, on_block, w);
	flush_blocks(w);
	if (e && e != EXT2_ET_INLINE_DATA_CANT_ITERATE)
		tell(w, path, e);
}

static void add_inode(struct walk *w, ext2_ino_t ino, const char *path, bool all);

struct entry {
	struct walk *w;
	const char *dir;
};

static int on_entry(ext2_ino_t dir, int kind, struct ext2_dir_entry *d, int off, int block_size,
                    char *buf, void *arg)
{
	const struct entry *e = arg;
	const int len = ext2fs_dirent_name_len(d);
	char path[PATH_SIZE];

	(void)dir;
	(void)off;
	(void)block_size;
	(void)buf;
	if (kind != DIRENT_OTHER_FILE)
		return 0;
	if (snprintf(path, sizeof(path), "%s/%.*s", e->dir, len, d->name) >= (int)sizeof(path))
		return 0;
	e->w->depth++;
	add_inode(e->w, d->inode, path, true);
	e->w->depth--;
	return e->w->code < 0 ? DIRENT_ABORT : 0;
}

/* all: also what a directory has in it. */
static void add_inode(struct walk *w, ext2_ino_t ino, const char *path, bool all)
{
	struct entry entry = {.w = w, .dir = path};
	struct ext2_inode inode;
	errcode_t e;

	if (is_stopped(w)) {
		w->code = ovbd_fail(w->err, -ECANCELED, "%s: given up", path);
		return;
	}
	if (++w->nfiles > FILES_MAX || w->depth > DEPTH_MAX) {
		w->code =
			ovbd_fail(w->err, -E2BIG, "%s: more than %u files, or %u directories deep",
		                  path, FILES_MAX, DEPTH_MAX);
		return;
	}
	e = ext2fs_read_inode(w->fs, ino, &inode);
	if (!e)
		add_file(w, ino, &inode, path);
	if (!e && all && LINUX_S_ISDIR(inode.i_mode))
		e = ext2fs_dir_iterate2(w->fs, ino, 0, NULL, on_entry, &entry);
	if (e)
		tell(w, path, e);
}

static void add_path(struct walk *w, const struct ovbd_paths_entry *entry)
{
	char path[PATH_SIZE];
	ext2_ino_t ino;
	errcode_t e;

	snprintf(path, sizeof(path), "%.*s", (int)ovbd_min(entry->len, sizeof(path) - 1),
	         entry->path);
	if (entry->len >= sizeof(path) || path[0] != '/') {
		tell(w, path, EXT2_ET_FILE_NOT_FOUND);
		return;
	}
	e = ext2fs_namei_follow(w->fs, EXT2_ROOT_INO, EXT2_ROOT_INO, path, &ino);
	if (e)
		tell(w, path, e);
	else
		add_inode(w, ino, strcmp(path, "/") == 0 ? "" : path, entry->all);
}

static void name_errors(void)
{
	initialize_ext2_error_table();
}

static int open_fs(struct walk *w, struct ovbd_error *err)
{
	static pthread_once_t named = PTHREAD_ONCE_INIT;
	errcode_t e;

	if (!w->img->stack)
		return ovbd_fail(err, -ENOTSUP, "only a stack of layers can be traced");
	pthread_once(&named, name_errors);
	opening = w;
	e = ext2fs_open("device", EXT2_FLAG_64BITS | EXT2_FLAG_SOFTSUPP_FEATURES, 0, 0, &manager,
	                &w->fs);
	opening = NULL;
	if (e == EXT2_ET_CANCEL_REQUESTED)
		return ovbd_fail(err, -ECANCELED, "given up");
	return e ? ovbd_fail(err, -EBADMSG, "the device holds no ext4 that can be read: %s",
	                     error_message(e))
	         : 0;
}

/* What was read to find the files, first. */
static int put_found(const struct ovbd_paths_params *p, struct ovbd_trace *t,
                     struct ovbd_error *err)
{
	AUTO_TRACE found = {0};
	bool whole;
	int r = p->recorder ? ovbd_recorder_copy(p->recorder, &found, &whole, err) : 0;

	return r == 0 ? ovbd_trace_merge(t, &found, err) : r;
}

int ovbd_paths_trace(struct ovbd_image *img, const char *text, size_t len,
                     const struct ovbd_paths_params *p, struct ovbd_trace *t,
                     struct ovbd_error *err)
{
	struct walk w = {.img = img, .p = p, .err = err};
	struct ovbd_paths_entry entry;
	int r = open_fs(&w, err);

	if (r < 0)
		return r;
	while (w.code == 0 && ovbd_paths_next(&text, &len, &entry))
		add_path(&w, &entry);
	ext2fs_close_free(&w.fs);
	r = w.code;
	if (r == 0 && is_stopped(&w))
		r = ovbd_fail(err, -ECANCELED, "given up");
	if (r == 0)
		r = put_found(p, t, err);
	if (r == 0)
		r = ovbd_trace_merge(t, &w.ranges, err);
	ovbd_trace_free(&w.ranges);
	return r;
}
