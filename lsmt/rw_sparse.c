// SPDX-License-Identifier: Apache-2.0
/*
 * The original's sparse format: the device lies in the data file as it is, behind the header, and
 * holes of the file are holes of the layer. It has no room for two things that happen over layers:
 *
 * - A block of the file system is data or a hole as a whole. So a write of less than one to what is
 *   a hole writes all of it, filled up with what showed there. Then the original, too, finds it.
 * - A range that was zeroed becomes a hole, through which shows what is beneath. So the ranges are
 *   kept in a map beside the data file: "if there is a hole here, it is zeros". What is data wins,
 *   so a map that is older than the data does no harm; without one (or where it was lost) the file
 *   says what it says to the original. Where there is nothing beneath none of it is needed.
 *
 * A zeroed range shows zeros at once, and is made a hole by the next flush: first the map is made
 * durable, then come the holes. In between is the old data, which is what a crash may leave.
 *
 * Locks: who makes holes, or fills blocks up, is alone (order, for writing); plain writes run
 * beside each other (for reading). Inside of it the core's lock, for a moment.
 */
#include "lsmt/rw_pair.h"
#include "lsmt/rw_seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define DATA_OFF LSMT_HEADER_SIZE

struct range {
	uint64_t off, len;
};

struct sparse {
	struct rw_core core; /* its head */
	struct ovbd_device *index_file;
	struct rw_records map; /* the core's lock */
	bool map_found;        /* with records that may not be durable; of who flushes */
	uint64_t unit;
	pthread_rwlock_t order;
	struct range *holes; /* to be made by the next flush; the core's lock */
	size_t nholes, capacity;
};

static struct sparse *sparse_of(struct rw_core *c)
{
	return OVBD_CONTAINER_OF(c, struct sparse, core);
}

/* ---- flush ---- */

/* How much of the range is no data, from its beginning on; at the first data 0. */
static uint64_t no_data(struct rw_core *c, uint64_t off, uint64_t len, struct ovbd_segment *ret)
{
	uint64_t n = 0;

	for (; n < len; n += ret->len) {
		*ret = ovbd_rw_index_at(c->index, off + n, len - n);
		if (ret->kind == OVBD_RUN_DATA)
			break;
	}
	return n;
}

/* What of the range is still no data becomes a hole; neighbours at once, as a block of the file
 * system is a hole only as a whole. Without the core's lock, alone. */
static int make_holes(struct sparse *sp, const struct range *range, struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	struct ovbd_segment s = {.len = 0};
	int r = 0;

	for (uint64_t at = 0, n; r == 0 && at<range->len; at += n> 0 ? n : s.len) {
		n = no_data(c, range->off + at, range->len - at, &s);
		if (n > 0)
			r = ovbd_device_write_zeroes(c->data, DATA_OFF + range->off + at, n, 0,
			                             err);
	}
	return r;
}

static int sparse_sync(struct rw_core *c, struct ovbd_error *err)
{
	struct sparse *sp = sparse_of(c);
	struct range *holes = sp->holes;
	const size_t n = sp->nholes;
	size_t done = 0;
	int r = ovbd_rw_records_take(&sp->map, err);

	if (r < 0)
		return r;
	sp->holes = NULL;
	sp->nholes = sp->capacity = 0;
	pthread_mutex_unlock(&c->lock);
	if (sp->map.ntaken > 0 || sp->map_found) {
		r = ovbd_rw_records_write(&sp->map, err);
		if (r == 0)
			r = ovbd_rw_flush_file(c, sp->map.device, err);
		sp->map_found = sp->map_found && r < 0;
	}
	if (n > 0) {
		pthread_rwlock_wrlock(&sp->order);
		while (r == 0 && done < n) {
			r = make_holes(sp, &holes[done], err);
			done += r == 0;
		}
		pthread_rwlock_unlock(&sp->order);
	}
	if (r == 0)
		r = ovbd_rw_flush_file(c, c->data, err);
	pthread_mutex_lock(&c->lock);
	if (r < 0 && done < n) { /* to be done another time; they are in the map, or will be */
		struct range *all = realloc(holes, (n + sp->nholes) * sizeof(*all));

		if (all) {
			if (sp->nholes > 0)
				memcpy(all + n, sp->holes, sp->nholes * sizeof(*all));
			free(sp->holes);
			sp->holes = all;
			sp->nholes = sp->capacity = n + sp->nholes;
			return r;
		}
	}
	free(holes);
	return r;
}

/* ---- writing ---- */

/* Whether all of the range is data of the file: then a write there changes nothing around it. */
static bool is_data(struct rw_core *c, uint64_t off, uint64_t len)
{
	const unsigned ticket = ovbd_epoch_enter(c->epoch);
	struct ovbd_segment s = {.len = 0};
	uint64_t at = 0;

	for (; at < len; at += s.len) {
		s = ovbd_rw_index_at(c->index, off + at, len - at);
		if (s.kind != OVBD_RUN_DATA)
			break;
	}
	ovbd_epoch_leave(c->epoch, ticket);
	return at >= len;
}

/* With the lock: to be made by the next flush. */
static int add_hole(struct sparse *sp, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	if (sp->nholes == sp->capacity) {
		const size_t capacity = 2 * sp->capacity + 16;
		struct range *p = realloc(sp->holes, capacity * sizeof(*p));

		if (!p)
			return ovbd_fail(err, -ENOMEM, "out of memory for holes to be made");
		sp->holes = p;
		sp->capacity = capacity;
	}
	sp->holes[sp->nholes++] = (struct range){off, len};
	return 0;
}

static int write_at(struct rw_core *c, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	const struct ovbd_segment s = {off, len, DATA_OFF + off, 0, OVBD_RUN_DATA};
	int r = ovbd_rw_write_file(c->data, buf, len, DATA_OFF + off, err);

	pthread_mutex_lock(&c->lock);
	c->file_end = ovbd_max(c->file_end, s.src + s.len); /* also if it failed in the middle */
	if (r == 0)
		r = ovbd_rw_put(c, &s, err);
	else if (add_hole(sparse_of(c), off, len, NULL) == 0)
		c->done++; /* what came there all the same is not shown, nor is it to be later */
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* A part of one unit, of which the rest may be a hole. Alone. */
static int fill_up(struct sparse *sp, const void *buf, size_t len, uint64_t off,
                   struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	const uint64_t from = off / sp->unit * sp->unit;
	AUTO_FREE uint8_t *all = malloc(sp->unit);
	/* beyond the end of the device too: that shows if it grows */
	int r = all ? ovbd_rw_read(c, all, sp->unit, from, err)
	            : ovbd_fail(err, -ENOMEM, "out of memory for %zu bytes", (size_t)sp->unit);

	if (r < 0)
		return r;
	memcpy(all + (off - from), buf, len);
	return write_at(c, all, sp->unit, from, err);
}

/* Of at most a unit, within one. */
static int write_part(struct sparse *sp, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	int r;

	pthread_rwlock_rdlock(&sp->order);
	if (is_data(c, off / sp->unit * sp->unit, sp->unit)) {
		r = write_at(c, buf, len, off, err);
		pthread_rwlock_unlock(&sp->order);
		return r;
	}
	pthread_rwlock_unlock(&sp->order);
	pthread_rwlock_wrlock(&sp->order);
	r = fill_up(sp, buf, len, off, err);
	pthread_rwlock_unlock(&sp->order);
	return r;
}

static int write_whole(struct sparse *sp, const void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	int r;

	pthread_rwlock_rdlock(&sp->order);
	r = write_at(&sp->core, buf, len, off, err);
	pthread_rwlock_unlock(&sp->order);
	return r;
}

static int sparse_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                         unsigned flags, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	struct sparse *sp = sparse_of(c);
	const uint8_t *p = buf;
	int r = ovbd_rw_check(c, off, len, err);

	while (r == 0 && len > 0) {
		const uint64_t within = off % sp->unit;
		const bool part = within > 0 || len < sp->unit;
		const size_t n = (size_t)(part ? ovbd_min(len, sp->unit - within)
		                               : len / sp->unit * sp->unit);

		r = part ? write_part(sp, p, n, off, err) : write_whole(sp, p, n, off, err);
		p += n;
		off += n;
		len -= n;
	}
	return r == 0 && flags & OVBD_WRITE_FUA ? ovbd_rw_flush(d, err) : r;
}

/* ---- zeros ---- */

/* Nothing beneath: a hole is zeros. Alone. */
static int zero_bare(struct sparse *sp, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	const struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_ZERO};
	int r = ovbd_device_write_zeroes(c->data, DATA_OFF + off, len, 0, err);

	pthread_mutex_lock(&c->lock);
	if (r == 0)
		r = ovbd_rw_put(c, &s, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Into the map, in as many records as it takes; the hole later. */
static int zero_mapped(struct sparse *sp, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	const struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_ZERO};
	int r;

	pthread_mutex_lock(&c->lock);
	r = add_hole(sp, off, len, err);
	for (uint64_t at = 0; r == 0 && at < len; at += LSMT_ENTRY_LEN_MAX) {
		const struct lsmt_entry e = {
			.off = off + at,
			.len = ovbd_min(len - at, LSMT_ENTRY_LEN_MAX),
			.src = DATA_OFF,
			.zeroed = true,
		};

		r = ovbd_rw_records_add(&sp->map, &e, err);
	}
	if (r == 0)
		r = ovbd_rw_put(c, &s, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* No map: bytes, which the original reads too. Units as a whole, as with all that is written. */
static int zero_written(struct sparse *sp, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	const size_t piece = (size_t)ovbd_min(len, 1u << 20);
	AUTO_FREE uint8_t *zeros = calloc(1, piece);
	int r = zeros ? 0 : ovbd_fail(err, -ENOMEM, "out of memory for %zu zeros", piece);

	for (size_t n; r == 0 && len > 0; len -= n) {
		n = (size_t)ovbd_min(piece, len);
		r = sparse_pwrite(&sp->core.device, zeros, n, off, 0, err);
		off += n;
	}
	return r;
}

static int zero_alone(struct sparse *sp, uint64_t off, uint64_t len, bool bare,
                      struct ovbd_error *err)
{
	int r;

	pthread_rwlock_wrlock(&sp->order);
	r = bare ? zero_bare(sp, off, len, err) : zero_mapped(sp, off, len, err);
	pthread_rwlock_unlock(&sp->order);
	return r;
}

static int sparse_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                               struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	struct sparse *sp = sparse_of(c);
	bool flush = flags & OVBD_WRITE_FUA;
	struct ovbd_run run;
	bool bare;
	int r = ovbd_rw_check(c, off, len, err);

	for (; r == 0 && len > 0; len -= run.len) {
		r = ovbd_rw_lower_run(c, off, len, &run, err);
		if (r < 0)
			return r;
		bare = run.kind == OVBD_RUN_HOLE && !c->lower_leaves;
		if (bare || sp->map.device)
			r = zero_alone(sp, off, run.len, bare, err);
		else
			r = zero_written(sp, off, run.len, err);
		/* of the files all is kept but the map, and the holes that wait for it */
		flush |= flags & OVBD_WRITE_KEPT && run.kind != OVBD_RUN_HOLE && sp->map.device;
		off += run.len;
	}
	return r == 0 && flush ? ovbd_rw_flush(d, err) : r;
}

static int sparse_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return sparse_write_zeroes(d, off, len, 0, err);
}

static int sparse_resize(struct rw_core *c, uint64_t size, struct ovbd_error *err)
{
	const uint64_t old = c->header.virtual_size;
	int r = 0;

	if (size < old)
		r = sparse_write_zeroes(&c->device, size, old - size, OVBD_WRITE_FUA, err);
	return r < 0 ? r : ovbd_rw_pair_set_size(c, sparse_of(c)->index_file, size, err);
}

static int sparse_seal(struct rw_core *c, uint64_t *ret_end, struct ovbd_error *err)
{
	return ovbd_rw_seal_end(c, DATA_OFF, ret_end, err);
}

static int sparse_set_parent(struct rw_core *c, const char *uuid, struct ovbd_error *err)
{
	return ovbd_rw_pair_set_parent(c, sparse_of(c)->index_file, uuid, err);
}

/* ---- life ---- */

static void sparse_free(struct rw_core *c)
{
	struct sparse *sp = sparse_of(c);

	ovbd_device_close(sp->index_file);
	ovbd_rw_records_close(&sp->map);
	pthread_rwlock_destroy(&sp->order);
	free(sp->holes);
	free(sp);
}

static const struct rw_kind sparse_kind = {
	.name = "sparse",
	.bare_zeros = true,
	.sync = sparse_sync,
	.resize = sparse_resize,
	.set_parent = sparse_set_parent,
	.seal = sparse_seal,
	.free = sparse_free,
};

static const struct ovbd_device_ops sparse_ops = {
	.pwrite = sparse_pwrite,
	.write_zeroes = sparse_write_zeroes,
	.discard = sparse_discard,
	.flush = ovbd_rw_flush,
	.grow = ovbd_rw_grow,
};

static int load_zero(void *arg, const struct lsmt_entry *e, struct ovbd_error *err)
{
	const struct ovbd_segment s = {.off = e->off, .len = e->len, .kind = OVBD_RUN_ZERO};

	return e->zeroed ? ovbd_rw_put(arg, &s, err) : 0;
}

static int load_map(struct sparse *sp, struct ovbd_error *err)
{
	struct ovbd_device *map = sp->map.device;
	struct lsmt_header h = sp->core.header;
	uint8_t raw[LSMT_HEADER_SIZE];
	int r;

	r = map ? ovbd_blob_pread(map->blob, raw, sizeof(raw), 0, err) : 0;
	if (r < 0 || !map)
		return r;
	if (sp->map.end < LSMT_HEADER_SIZE || ovbd_is_zero(raw, sizeof(raw))) { /* a fresh one */
		const uint64_t n = sp->map.end - ovbd_min(sp->map.end, LSMT_RECORDS_OFF);

		/* records whose header was lost are nobody's: they must not get this one */
		r = ovbd_device_write_zeroes(map, LSMT_RECORDS_OFF, n, OVBD_WRITE_FUA, err);
		sp->map.end = LSMT_RECORDS_OFF;
		h.flags = LSMT_FLAG_HEADER;
		h.index_off = LSMT_RECORDS_OFF;
		ovbd_lsmt_header_encode(&h, raw);
		return r < 0 ? r
		             : ovbd_device_pwrite(map, raw, sizeof(raw), 0, OVBD_WRITE_FUA, err);
	}
	r = ovbd_lsmt_rw_header_decode(raw, true, &h, err);
	if (r == 0 && strcmp(h.uuid, sp->core.header.uuid) != 0)
		r = ovbd_fail(err, -EBADMSG,
		              "map of zeros: is that of layer %s, the data that of %s", h.uuid,
		              sp->core.header.uuid);
	if (r == 0)
		r = ovbd_rw_records_load(&sp->map, 0, load_zero, &sp->core, err);
	sp->map_found = sp->map.end > LSMT_RECORDS_OFF;
	return r < 0 ? ovbd_fail_within(err, r, "map of zeros") : 0;
}

/* What the file has that is no hole, beyond the device's end too: that shows if it grows. Whole
 * sectors: the file may have been cut off. */
static int load_data(struct sparse *sp, uint64_t end, struct ovbd_error *err)
{
	struct rw_core *c = &sp->core;
	struct ovbd_segment s;
	struct ovbd_run run;
	int r = 0;

	end = ovbd_min(end, DATA_OFF + LSMT_DEVICE_MAX) / LSMT_SECTOR_SIZE * LSMT_SECTOR_SIZE;
	for (uint64_t at = DATA_OFF; r == 0 && at < end; at += run.len) {
		r = ovbd_blob_run_at(c->data->blob, at, end - at, &run, err);
		if (r == 0 && run.len < end - at)
			run.len = run.len / LSMT_SECTOR_SIZE * LSMT_SECTOR_SIZE;
		if (r == 0 && run.len == 0)
			r = ovbd_fail(err, -ENOTSUP, "a file whose holes are smaller than sectors");
		s = (struct ovbd_segment){at - DATA_OFF, run.len, at, 0, OVBD_RUN_DATA};
		if (r == 0 && run.kind == OVBD_RUN_DATA)
			r = ovbd_rw_put(c, &s, err);
	}
	return r;
}

int ovbd_rw_sparse_open(struct lsmt_header *header, const struct ovbd_rw_pair *take_files,
                        struct ovbd_blob *take_lower, struct ovbd_device **ret,
                        struct ovbd_error *err)
{
	struct sparse *sp = calloc(1, sizeof(*sp));
	OVBD_AUTO(ovbd_rw_core_closep) struct rw_core *c = NULL;
	int r;

	if (!sp) {
		ovbd_device_close(take_files->data.device);
		ovbd_device_close(take_files->index.device);
		ovbd_device_close(take_files->map.device);
		ovbd_blob_close(take_lower);
		return ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	}
	c = &sp->core;
	c->kind = &sparse_kind;
	c->header = *header;
	c->lower = take_lower;
	c->data = take_files->data.device;
	c->file_end = take_files->data.end;
	sp->index_file = take_files->index.device;
	sp->map.device = take_files->map.device;
	sp->map.end = take_files->map.end;
	sp->unit = take_files->unit < 4096 ? 4096 : take_files->unit;
	pthread_rwlock_init(&sp->order, NULL);
	r = ovbd_rw_core_init(c, &sparse_ops, err);
	if (r == 0)
		r = load_map(sp, err);
	if (r == 0)
		r = load_data(sp, take_files->data.end, err);
	if (r == 0)
		r = ovbd_rw_core_start(c, 0, true, err);
	if (r < 0)
		return r;
	ovbd_rw_core_found_unflushed(c);
	*ret = &sp->core.device;
	c = NULL;
	return 0;
}
