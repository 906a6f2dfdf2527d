// SPDX-License-Identifier: Apache-2.0
/*
 * Reading goes segment by segment: what the index leads to is read within one epoch, so that it is
 * not given back meanwhile; what lies beneath never changes, may be far away, and is read outside.
 *
 * A flush is done by one thread for all: whoever finds nobody at it takes what has been done so
 * far, and who comes meanwhile waits, and then does it (or finds it done) for all who came.
 */
#include "lsmt/rw_core.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"

#define HELD_TIMES   2u  /* so much more is dead than is shown, */
#define HELD_MIN     16u /* and so many times what is worth to be moved: writers wait, */
#define HELD_SECONDS 1   /* so long at most */

static struct rw_core *core_of_blob(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct rw_core, blob);
}

/* ---- reading ---- */

static int read_lower(struct rw_core *c, uint8_t *dst, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	const uint64_t size = c->lower ? c->lower->size : 0;
	const size_t n = off < size ? (size_t)ovbd_min(len, size - off) : 0;

	memset(dst + n, 0, len - n);
	return n > 0 ? ovbd_blob_pread(c->lower, dst, n, off, err) : 0;
}

int ovbd_rw_read(struct rw_core *c, void *buf, size_t len, uint64_t off, struct ovbd_error *err)
{
	uint8_t *dst = buf;

	while (len > 0) {
		const unsigned ticket = ovbd_epoch_enter(c->epoch);
		const struct ovbd_segment s = ovbd_rw_index_at(c->index, off, len);
		int r = 0;

		if (s.kind == OVBD_RUN_DATA)
			r = ovbd_blob_pread(c->data->blob, dst, (size_t)s.len, s.src, err);
		ovbd_epoch_leave(c->epoch, ticket);
		if (s.kind == OVBD_RUN_ZERO)
			memset(dst, 0, (size_t)s.len);
		else if (s.kind == OVBD_RUN_HOLE)
			r = read_lower(c, dst, (size_t)s.len, off, err);
		if (r < 0)
			return r;
		dst += s.len;
		off += s.len;
		len -= (size_t)s.len;
	}
	return 0;
}

static int core_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return ovbd_rw_read(core_of_blob(b), buf, len, off, err);
}

int ovbd_rw_lower_run(struct rw_core *c, uint64_t off, uint64_t len, struct ovbd_run *ret,
                      struct ovbd_error *err)
{
	const uint64_t size = c->lower ? c->lower->size : 0;

	*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_HOLE};
	return off < size ? ovbd_blob_run_at(c->lower, off, ovbd_min(len, size - off), ret, err)
	                  : 0;
}

static int core_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	struct rw_core *c = core_of_blob(b);
	const unsigned ticket = ovbd_epoch_enter(c->epoch);
	struct ovbd_segment s = ovbd_rw_index_at(c->index, off, len);
	const enum ovbd_run_kind kind = s.kind;
	uint64_t run = s.len;

	for (unsigned i = 0; i < 64 && run < len; i++) { /* one epoch does not last long */
		s = ovbd_rw_index_at(c->index, off + run, len - run);
		if (s.kind != kind)
			break;
		run += s.len;
	}
	ovbd_epoch_leave(c->epoch, ticket);
	if (kind == OVBD_RUN_HOLE)
		return ovbd_rw_lower_run(c, off, run, ret, err);
	*ret = (struct ovbd_run){.len = run, .kind = kind};
	return 0;
}

static void core_blob_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

static const struct ovbd_blob_ops core_blob_ops = {
	.name = "writable layer",
	.pread = core_pread,
	.run_at = core_run_at,
	.close = core_blob_close,
};

/* ---- writing ---- */

/* With the lock. More is dead than the file may have, and somebody is at it to make it less. */
static bool is_behind(const struct rw_core *c)
{
	const struct rw_reclaim *rc = &c->reclaim;
	const uint64_t pinned = ovbd_rw_wants_compaction(c) ? rc->pinned : 0;

	return rc->started && !rc->quiet && !c->broken &&
	       rc->waiting + pinned > HELD_TIMES * c->data_bytes + HELD_MIN * rc->pinned_min;
}

/* With the lock, which it gives up meanwhile: who writes faster than the dead are given back waits
 * for that; not for ever, as a disk that is full may be in the way. */
static void hold(struct rw_core *c)
{
	struct rw_reclaim *rc = &c->reclaim;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HELD_SECONDS;
	rc->nheld++;
	pthread_cond_signal(&rc->wake);
	while (r == 0 && is_behind(c))
		r = pthread_cond_timedwait(&rc->room, &c->lock, &until);
	rc->nheld--;
}

int ovbd_rw_check(struct rw_core *c, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	int broken;

	if (off % LSMT_SECTOR_SIZE || len % LSMT_SECTOR_SIZE)
		return ovbd_fail(err, -EINVAL,
		                 "writable layer: %" PRIu64 " bytes at %" PRIu64
		                 " are not whole sectors",
		                 len, off);
	pthread_mutex_lock(&c->lock);
	if (is_behind(c))
		hold(c);
	broken = c->broken;
	pthread_mutex_unlock(&c->lock);
	if (broken)
		return ovbd_fail(
			err, -EIO,
			"writable layer: a flush has failed (%s); nothing is written until "
			"it is opened again",
			strerror(-broken));
	return 0;
}

static void gone(void *arg, const struct ovbd_segment *s)
{
	struct rw_core *c = arg;

	c->data_bytes -= s->len;
	ovbd_rw_reclaim_dead(c, s->src, s->len);
}

int ovbd_rw_put(struct rw_core *c, const struct ovbd_segment *s, struct ovbd_error *err)
{
	if (s->kind == OVBD_RUN_DATA) {
		c->data_bytes += s->len;
		ovbd_rw_reclaim_written(c, s->len);
	}
	c->done++;
	return ovbd_rw_index_put(c->index, s, gone, c, err);
}

/* Of who waits, too: the flush of a whole batch has failed. */
static int flush_failed(int broken, struct ovbd_error *err)
{
	return ovbd_fail(err, -EIO, "writable layer: a flush has failed (%s)", strerror(-broken));
}

int ovbd_rw_write_file(struct ovbd_device *file, const void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	if (!ovbd_within(off, len, file->blob->size))
		return ovbd_fail(err, -ENOSPC,
		                 "writable layer: %zu bytes at %" PRIu64
		                 " do not fit into a file of at most %" PRIu64,
		                 len, off, file->blob->size);
	return ovbd_device_pwrite(file, buf, len, off, 0, err);
}

int ovbd_rw_flush_file(struct rw_core *c, struct ovbd_device *file, struct ovbd_error *err)
{
	const int r = ovbd_device_flush(file, err);

	if (r < 0)
		c->lost = true;
	return r;
}

/* With the lock. */
static int sync_now(struct rw_core *c, struct ovbd_error *err)
{
	const size_t ndead = ovbd_rw_reclaim_mark(c);
	const uint64_t upto = c->done;
	int r;

	c->syncing = true;
	r = c->kind->sync(c, err);
	c->syncing = false;
	if (r == 0) {
		c->durable = upto;
		ovbd_rw_reclaim_flushed(c, ndead);
		if (c->kind->wants_tending && c->kind->wants_tending(c))
			pthread_cond_signal(&c->reclaim.wake);
	} else if (c->lost) {
		c->broken = r;
	}
	pthread_cond_broadcast(&c->synced);
	return r;
}

int ovbd_rw_sync(struct rw_core *c, struct ovbd_error *err)
{
	uint64_t target;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	target = c->done;
	while (r == 0 && !c->broken && c->durable < target) {
		if (c->syncing)
			pthread_cond_wait(&c->synced, &c->lock);
		else
			r = sync_now(c, err);
	}
	if (r == 0 && c->broken)
		r = flush_failed(c->broken, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

int ovbd_rw_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	const int r = ovbd_rw_sync(c, err);

	if (r == 0 && c->reclaim.no_thread)
		ovbd_rw_reclaim_now(c);
	return r;
}

/* ---- life ---- */

static void core_free(struct ovbd_device *d)
{
	ovbd_rw_core_close(ovbd_rw_core_of(d));
}

int ovbd_rw_core_init(struct rw_core *c, const struct ovbd_device_ops *ops, struct ovbd_error *err)
{
	int r;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->synced, NULL);
	c->blob = (struct ovbd_blob){.ops = &core_blob_ops, .size = c->header.virtual_size};
	c->device = (struct ovbd_device){.blob = &c->blob, .ops = ops, .free = core_free};
	ovbd_rw_reclaim_init(c);
	r = ovbd_epoch_create(&c->epoch, err);
	return r < 0 ? r : ovbd_rw_index_create(c->epoch, &c->index, err);
}

int ovbd_rw_core_start(struct rw_core *c, unsigned nlists, bool no_thread, struct ovbd_error *err)
{
	c->done = c->durable = 0;
	c->reclaim.nlists = nlists;
	c->reclaim.unflushed = 0;
	c->reclaim.no_thread = no_thread;
	return nlists > 0 ? ovbd_rw_reclaim_start(c, err) : 0;
}

void ovbd_rw_core_close(struct rw_core *c)
{
	if (!c)
		return;
	ovbd_rw_reclaim_close(c);
	ovbd_rw_index_free(c->index);
	ovbd_epoch_free(c->epoch);
	ovbd_device_close(c->data);
	ovbd_blob_close(c->lower);
	pthread_cond_destroy(&c->synced);
	pthread_mutex_destroy(&c->lock);
	c->kind->free(c);
}

void ovbd_rw_info(struct ovbd_device *d, struct ovbd_rw_info *ret)
{
	struct rw_core *c = ovbd_rw_core_of(d);

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&c->lock);
	ret->format = c->kind->name;
	memcpy(ret->uuid, c->header.uuid, sizeof(ret->uuid));
	memcpy(ret->parent_uuid, c->header.parent_uuid, sizeof(ret->parent_uuid));
	memcpy(ret->tag, c->header.tag, sizeof(ret->tag));
	ret->over_base = c->lower != NULL;
	ret->nsegments = ovbd_rw_index_count(c->index);
	ret->data_size = c->data_bytes;
	ret->dead_size = c->reclaim.waiting;
	pthread_mutex_unlock(&c->lock);
}

int ovbd_rw_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	int r = ovbd_rw_check(c, 0, size, err);

	if (r < 0)
		return r;
	if (size > LSMT_DEVICE_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "writable layer: virtual size %" PRIu64 " is more than %" PRIu64,
		                 size, LSMT_DEVICE_MAX);
	r = ovbd_rw_flush(d, err);
	if (r == 0)
		r = c->kind->resize(c, size, err);
	if (r == 0)
		c->header.virtual_size = size;
	return r;
}

int ovbd_rw_resize(struct ovbd_device *d, uint64_t virtual_size, struct ovbd_error *err)
{
	const int r =
		ovbd_rw_grow(d, virtual_size, err); /* alone with d, smaller is no different */

	if (r == 0)
		d->blob->size = virtual_size;
	return r;
}
