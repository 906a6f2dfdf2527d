// SPDX-License-Identifier: Apache-2.0
/*
 * The original's append format: data at the end of one file, a record of each write at the end of
 * another. It has no checksums, so all is in the order: records wait in memory until a flush, which
 * first makes the data durable that they lead to, and then them. So whatever of the index file a
 * crash leaves leads to data that are there. What it costs: a process that is killed loses what it
 * had not flushed, as a disk does that loses power.
 *
 * Each write has a place of its own in the data file, taken with the lock, written without it; its
 * record and its segment follow with the lock again. So writers run beside each other, and the
 * order of the records is that in which readers saw them.
 */
#include "lsmt/rw_pair.h"
#include "lsmt/rw_seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define WAITING_MAX 65536u     /* records: then who writes also flushes */
#define DEAD_MIN    (1u << 20) /* bytes: fewer, and an eighth, are not worth it */

struct append {
	struct rw_core core; /* its head */
	uint64_t data_end;   /* lock */
	struct rw_records records;
};

static struct append *append_of(struct rw_core *c)
{
	return OVBD_CONTAINER_OF(c, struct append, core);
}

static int append_sync(struct rw_core *c, struct ovbd_error *err)
{
	struct rw_records *rs = &append_of(c)->records;
	int r = ovbd_rw_records_take(rs, err);

	pthread_mutex_unlock(&c->lock);
	if (r == 0)
		r = ovbd_rw_flush_file(c, c->data, err);
	if (r == 0)
		r = ovbd_rw_records_write(rs, err);
	if (r == 0)
		r = ovbd_rw_flush_file(c, rs->device, err);
	pthread_mutex_lock(&c->lock);
	return r;
}

/* With the lock. */
static int add(struct append *a, const struct ovbd_segment *s, struct ovbd_error *err)
{
	const struct lsmt_entry e = {
		.off = s->off,
		.len = s->len,
		.src = s->kind == OVBD_RUN_DATA ? s->src : a->data_end,
		.zeroed = s->kind == OVBD_RUN_ZERO,
	};
	const int r = ovbd_rw_records_add(&a->records, &e, err);

	return r < 0 ? r : ovbd_rw_put(&a->core, s, err);
}

/* A write that has become durable, or only one that makes room. One that is to outlive the process
 * must be durable: a record may only go to the file when the data are. */
static int finish_write(struct rw_core *c, unsigned flags, struct ovbd_error *err)
{
	bool full;

	pthread_mutex_lock(&c->lock);
	full = append_of(c)->records.nwaiting >= WAITING_MAX;
	pthread_mutex_unlock(&c->lock);
	return full || flags & (OVBD_WRITE_FUA | OVBD_WRITE_KEPT) ? ovbd_rw_flush(&c->device, err)
	                                                          : 0;
}

/* With the lock: nothing that counts came there; the next may fit. */
static void give_up(struct append *a, uint64_t place, uint64_t len)
{
	a->core.file_end = ovbd_max(a->core.file_end, place + len);
	if (a->data_end == place + len)
		a->data_end = place;
}

static int write_piece(struct append *a, const void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct rw_core *c = &a->core;
	struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_DATA};
	int r;

	pthread_mutex_lock(&c->lock);
	s.src = a->data_end;
	a->data_end += len;
	pthread_mutex_unlock(&c->lock);
	r = ovbd_rw_write_file(c->data, buf, len, s.src, err);
	pthread_mutex_lock(&c->lock);
	if (r == 0)
		r = add(a, &s, err);
	else
		give_up(a, s.src, len);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int append_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                         unsigned flags, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	const uint8_t *p = buf;
	int r = ovbd_rw_check(c, off, len, err);

	while (r == 0 && len > 0) {
		const size_t n = (size_t)ovbd_min(len, LSMT_ENTRY_LEN_MAX);

		r = write_piece(append_of(c), p, n, off, err);
		p += n;
		off += n;
		len -= n;
	}
	return r < 0 ? r : finish_write(c, flags, err);
}

static int append_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                               struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	int r = ovbd_rw_check(c, off, len, err);

	pthread_mutex_lock(&c->lock);
	while (r == 0 && len > 0) {
		const struct ovbd_segment s = {
			.off = off,
			.len = ovbd_min(len, LSMT_ENTRY_LEN_MAX),
			.kind = OVBD_RUN_ZERO,
		};

		r = add(append_of(c), &s, err);
		off += s.len;
		len -= s.len;
	}
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : finish_write(c, flags, err);
}

static int append_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return append_write_zeroes(d, off, len, 0, err);
}

/* Smaller: what is cut off must not come back. It is zeroed first, as the size itself says nothing
 * of what lies beyond. */
static int append_resize(struct rw_core *c, uint64_t size, struct ovbd_error *err)
{
	struct append *a = append_of(c);
	const uint64_t old = c->header.virtual_size;
	int r = 0;

	if (size < old)
		r = append_write_zeroes(&c->device, size, old - size, OVBD_WRITE_FUA, err);
	return r < 0 ? r : ovbd_rw_pair_set_size(c, a->records.device, size, err);
}

static int append_set_parent(struct rw_core *c, const char *uuid, struct ovbd_error *err)
{
	return ovbd_rw_pair_set_parent(c, append_of(c)->records.device, uuid, err);
}

static int append_seal(struct rw_core *c, uint64_t *ret_end, struct ovbd_error *err)
{
	return ovbd_rw_seal_end(c, append_of(c)->data_end, ret_end, err);
}

static uint64_t append_place(struct rw_core *c, uint64_t len)
{
	struct append *a = append_of(c);

	a->data_end += len;
	return a->data_end - len;
}

static int append_moved(struct rw_core *c, const struct ovbd_segment *s, const void *buf,
                        struct ovbd_error *err)
{
	(void)buf;
	return add(append_of(c), s, err);
}

static void append_free(struct rw_core *c)
{
	struct append *a = append_of(c);

	ovbd_rw_records_close(&a->records);
	free(a);
}

static const struct rw_kind append_kind = {
	.name = "append",
	.sync = append_sync,
	.resize = append_resize,
	.set_parent = append_set_parent,
	.seal = append_seal,
	.place = append_place,
	.moved = append_moved,
	.free = append_free,
};

static const struct ovbd_device_ops append_ops = {
	.pwrite = append_pwrite,
	.write_zeroes = append_write_zeroes,
	.discard = append_discard,
	.flush = ovbd_rw_flush,
	.grow = ovbd_rw_grow,
};

static int load_one(void *arg, const struct lsmt_entry *e, struct ovbd_error *err)
{
	const struct ovbd_segment s = {
		.off = e->off,
		.len = e->len,
		.src = e->zeroed ? 0 : e->src,
		.kind = e->zeroed ? OVBD_RUN_ZERO : OVBD_RUN_DATA,
	};

	return ovbd_rw_put(arg, &s, err);
}

/* Bytes of the data file that take space. */
static int count_stored(struct rw_core *c, uint64_t end, uint64_t *ret, struct ovbd_error *err)
{
	struct ovbd_run run;
	int r = 0;

	*ret = 0;
	for (uint64_t at = LSMT_HEADER_SIZE; r == 0 && at < end; at += run.len) {
		r = ovbd_blob_run_at(c->data->blob, at, end - at, &run, err);
		if (r == 0 && run.kind == OVBD_RUN_DATA)
			*ret += run.len;
	}
	return r;
}

/* What died before today, if it is worth it. Not before the records that hide it are durable: the
 * index file must not lead there again after a power cut. A disk that is full keeps it. */
static int find_dead(struct append *a, struct ovbd_error *err)
{
	struct rw_core *c = &a->core;
	const uint64_t min = c->reclaim.pinned_min > 0 ? c->reclaim.pinned_min : DEAD_MIN;
	uint64_t stored;
	int r = count_stored(c, a->data_end, &stored, err);

	if (r < 0 || stored < c->data_bytes + c->data_bytes / 8 + min)
		return r;
	if (ovbd_device_flush(c->data, NULL) < 0 || ovbd_rw_records_rewrite(&a->records, NULL) < 0)
		return 0;
	return ovbd_rw_reclaim_scan(c, LSMT_HEADER_SIZE, a->data_end, NULL, 0, err);
}

int ovbd_rw_append_open(struct lsmt_header *header, const struct ovbd_rw_pair *take_files,
                        struct ovbd_blob *take_lower, struct ovbd_device **ret,
                        struct ovbd_error *err)
{
	struct append *a = calloc(1, sizeof(*a));
	OVBD_AUTO(ovbd_rw_core_closep) struct rw_core *c = NULL;
	int r;

	ovbd_device_close(take_files->map.device);
	if (!a) {
		ovbd_device_close(take_files->data.device);
		ovbd_device_close(take_files->index.device);
		ovbd_blob_close(take_lower);
		return ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	}
	c = &a->core;
	c->kind = &append_kind;
	c->header = *header;
	c->lower = take_lower;
	c->data = take_files->data.device;
	c->file_end = take_files->data.end;
	c->reclaim.pinned_min = take_files->pinned_min;
	a->data_end =
		(take_files->data.end + LSMT_SECTOR_SIZE - 1) / LSMT_SECTOR_SIZE * LSMT_SECTOR_SIZE;
	a->records.device = take_files->index.device;
	a->records.end = take_files->index.end;
	r = ovbd_rw_core_init(c, &append_ops, err);
	if (r == 0)
		r = ovbd_rw_records_load(&a->records, take_files->data.end, load_one, c, err);
	if (r == 0)
		r = find_dead(a, err);
	if (r == 0)
		r = ovbd_rw_core_start(c, 1, take_files->no_thread, err);
	if (r < 0)
		return r;
	ovbd_rw_core_found_unflushed(c);
	*ret = &a->core.device;
	c = NULL;
	return 0;
}
