// SPDX-License-Identifier: Apache-2.0
/*
 * A writable layer is put over something else: where it has nothing of its own, what shows through
 * it now and would not then is written to it. All that is done while it is still over what it was
 * over, so at any moment it reads as it did there; and afterwards it does so over the other, too.
 */
#include "lsmt/rw_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define WINDOW (1u << 20) /* bytes compared at once, and aligned to that */
#define BLOCK  4096u

struct rebase {
	struct rw_core *core;
	struct ovbd_blob *to; /* NULL: nothing */
	uint8_t *from_buf, *to_buf;
	uint64_t written;
};

/* Beyond its end it is a hole. */
static int run_of(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                  struct ovbd_error *err)
{
	const uint64_t size = b ? b->size : 0;

	*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_HOLE};
	return off < size ? ovbd_blob_run_at(b, off, ovbd_min(len, size - off), ret, err) : 0;
}

static int read_of(struct ovbd_blob *b, uint8_t *buf, const struct ovbd_run *run, uint64_t off,
                   uint64_t len, struct ovbd_error *err)
{
	if (run->kind == OVBD_RUN_DATA)
		return ovbd_blob_pread(b, buf, (size_t)len, off, err);
	memset(buf, 0, (size_t)len);
	return 0;
}

static int write_run(struct rebase *rb, uint64_t off, const uint8_t *p, size_t len,
                     struct ovbd_error *err)
{
	struct ovbd_device *d = &rb->core->device;

	rb->written += len;
	return ovbd_is_zero(p, len) ? ovbd_device_write_zeroes(d, off, len, 0, err)
	                            : ovbd_device_pwrite(d, p, len, off, 0, err);
}

/* Of the bytes that are in both buffers, those of blocks that differ: zeros as zeros. */
static int write_differences(struct rebase *rb, uint64_t off, size_t len, struct ovbd_error *err)
{
	const uint8_t *from = rb->from_buf;
	size_t start = 0, n;
	bool zero = false;
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += n) {
		bool same, is_zero;

		n = (size_t)ovbd_min(len - at, BLOCK - (off + at) % BLOCK);
		same = memcmp(from + at, rb->to_buf + at, n) == 0;
		is_zero = !same && ovbd_is_zero(from + at, n);
		if (at > start && (same || is_zero != zero)) {
			r = write_run(rb, off + start, from + start, at - start, err);
			start = at;
		}
		zero = is_zero;
		if (same)
			start = at + n;
	}
	return r == 0 && len > start ? write_run(rb, off + start, from + start, len - start, err)
	                             : r;
}

/* A range in which the layer has nothing, or zeros that only show while nothing is beneath; how
 * much of it has been done. */
static int do_range(struct rebase *rb, const struct ovbd_segment *s, uint64_t *ret_len,
                    struct ovbd_error *err)
{
	struct ovbd_run from = {.len = s->len, .kind = OVBD_RUN_ZERO}, to;
	const uint64_t off = s->off;
	int r = 0;

	if (s->kind == OVBD_RUN_HOLE)
		r = run_of(rb->core->lower, off, s->len, &from, err);

	if (r == 0)
		r = run_of(rb->to, off, from.len, &to, err);
	if (r < 0)
		return r;
	*ret_len = to.len;
	if (from.kind != OVBD_RUN_DATA && to.kind != OVBD_RUN_DATA)
		return 0;
	*ret_len = ovbd_min(to.len, WINDOW - off % WINDOW);
	r = read_of(rb->core->lower, rb->from_buf, &from, off, *ret_len, err);
	if (r == 0)
		r = read_of(rb->to, rb->to_buf, &to, off, *ret_len, err);
	return r < 0 ? r : write_differences(rb, off, (size_t)*ret_len, err);
}

static int do_all(struct rebase *rb, ovbd_progress_fn progress, void *arg, struct ovbd_error *err)
{
	const uint64_t size = rb->core->blob.size;
	uint64_t n;
	int r = 0;

	for (uint64_t off = 0; r >= 0 && off < size; off += n) {
		const struct ovbd_segment s = ovbd_rw_index_at(rb->core->index, off, size - off);

		n = s.len;
		if (s.kind == OVBD_RUN_HOLE ||
		    (s.kind == OVBD_RUN_ZERO && rb->core->kind->bare_zeros))
			r = do_range(rb, &s, &n, err);
		if (r == 0 && progress && progress(arg, off + n, size) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}

int ovbd_rw_rebase(struct ovbd_device *d, struct ovbd_blob *to, ovbd_progress_fn progress,
                   void *arg, uint64_t *ret_written, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	AUTO_FREE uint8_t *from_buf = malloc(WINDOW), *to_buf = malloc(WINDOW);
	struct rebase rb = {.core = c, .to = to, .from_buf = from_buf, .to_buf = to_buf};
	int r = from_buf && to_buf ? ovbd_rw_check(c, 0, 0, err)
	                           : ovbd_fail(err, -ENOMEM, "out of memory");

	c->lower_leaves = true;
	if (r == 0)
		r = do_all(&rb, progress, arg, err);
	/* its size was that of what is beneath, maybe, and is written down now */
	if (r == 0)
		r = ovbd_rw_resize(d, c->blob.size, err);
	c->lower_leaves = false;
	*ret_written = rb.written;
	return r;
}

int ovbd_rw_set_parent(struct ovbd_device *d, const char *uuid, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	char parent[OVBD_UUID_SIZE];
	int r = ovbd_lsmt_uuid_parse(uuid, parent, err);

	if (r == 0)
		r = ovbd_rw_check(c, 0, 0, err);
	if (r == 0)
		r = c->kind->set_parent(c, parent, err);
	if (r == 0)
		memcpy(c->header.parent_uuid, parent, sizeof(parent));
	return r;
}
