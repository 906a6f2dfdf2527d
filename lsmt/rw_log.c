// SPDX-License-Identifier: Apache-2.0
/*
 * ovbd-rw: one file, to whose end goes what is written, and blocks of records that tell of it. Each
 * block says where the next one will be, as its place is taken beforehand; each record has a
 * checksum of its data, each block one of itself. So a flush is one flush of one file, in whatever
 * order the disk writes: a block counts if it and all its data are there, and all before it.
 *
 * Nothing is written over, but for the two superblocks, which are a sector each, by turns; and the
 * last block, as long as it was not flushed: nobody was promised what is in it. What
 * dies becomes holes when no recovery can need it any more: the change that hid it must be in a
 * block that is durable, and the block that told of it must be known to be durable by a later one
 * (else its checksums would be looked at again). That is two flushes later.
 *
 * rw_log_recover.c has what is done after a crash, rw_log_checkpoint.c how the log stays short.
 */
#include "lsmt/rw_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define ALIGN       4096u  /* what is as large begins so: it becomes a hole as a whole */
#define BLOCKS_MIN  64u    /* a log of so many is no burden */
#define WAITING_MAX 65536u /* records: then who writes also flushes */

uint64_t ovbd_rw_log_place(struct rw_log *l, uint64_t len)
{
	const uint64_t place = len % ALIGN == 0 ? (l->tail + ALIGN - 1) / ALIGN * ALIGN : l->tail;

	if (place > l->tail)
		ovbd_rw_reclaim_dead(&l->core, l->tail, place - l->tail);
	l->tail = place + len;
	return place;
}

/* With the lock: nothing came there. It is taken again, if it is still the last; or else dead. */
static void give_up(struct rw_log *l, uint64_t place, uint64_t len)
{
	l->core.file_end = ovbd_max(l->core.file_end, place + len);
	if (l->tail == place + len)
		l->tail = place;
	else
		ovbd_rw_reclaim_dead(&l->core, place, len);
}

static int waiting_reserve(struct rw_waiting *w, size_t n, struct ovbd_error *err)
{
	const size_t capacity = 2 * w->capacity + n + 64;
	struct rw_record *p;

	if (n <= w->capacity - w->n)
		return 0;
	p = realloc(w->p, capacity * sizeof(*p));
	if (!p)
		return ovbd_fail(err, -ENOMEM, "out of memory for records of a writable layer");
	w->p = p;
	w->capacity = capacity;
	return 0;
}

/* ---- flush ---- */

/* With the lock: all that waits is taken, behind what a failed sync has left. */
static int take_waiting(struct rw_log *l, struct ovbd_error *err)
{
	const int r = waiting_reserve(&l->taken, l->waiting.n, err);

	if (r < 0)
		return r;
	if (l->waiting.n > 0)
		memcpy(l->taken.p + l->taken.n, l->waiting.p, l->waiting.n * sizeof(*l->taken.p));
	l->taken.n += l->waiting.n;
	l->waiting.n = 0;
	return 0;
}

/* With the lock: what block comes next, of n records. */
static int begin_block(struct rw_log *l, uint32_t n, bool last, struct rw_block *ret,
                       struct ovbd_error *err)
{
	if (last && !ovbd_rw_list_add(&l->blocks, l->next_place, RW_BLOCK_SIZE))
		return ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	if (!l->place_after)
		l->place_after = ovbd_rw_log_place(l, RW_BLOCK_SIZE);
	*ret = (struct rw_block){
		.sequence = l->next_sequence,
		.session = l->session,
		.next = l->place_after,
		.tail = l->tail,
		.safe = l->safe,
		.nrecords = n,
		.kind = RW_BLOCK_LOG,
	};
	return 0;
}

/* One block of n records. last: it will not be written again, and then the next one's turn is. */
static int write_block(struct rw_log *l, const struct rw_record *records, uint32_t n, bool last,
                       struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	uint8_t raw[RW_BLOCK_SIZE];
	struct rw_block b;
	int r;

	for (uint32_t i = 0; i < n; i++)
		ovbd_rw_record_encode(&records[i], raw, i);
	pthread_mutex_lock(&c->lock);
	r = begin_block(l, n, last, &b, err);
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	ovbd_rw_block_encode(&b, raw);
	r = ovbd_rw_write_file(c->data, raw, sizeof(raw), l->next_place, err);
	if (!last)
		return r;
	pthread_mutex_lock(&c->lock);
	if (r == 0) {
		l->next_place = b.next;
		l->next_sequence++;
		l->place_after = 0;
	} else {
		l->blocks.n--;
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Without the lock: all that was taken. The last block, if it is not full, is written again when
 * there is more; unless it is to be flushed: then it is written in any case, as it tells that those
 * before it are durable, and is left alone. */
static int write_blocks(struct rw_log *l, bool flush, struct ovbd_error *err)
{
	size_t done = 0, n;
	bool last;
	int r;

	do {
		n = (size_t)ovbd_min(l->taken.n - done, RW_BLOCK_RECORDS);
		last = flush || n == RW_BLOCK_RECORDS;
		r = write_block(l, l->taken.p + done, (uint32_t)n, last, err);
		if (r == 0 && last)
			done += n;
	} while (r == 0 && last && done < l->taken.n);
	l->taken.n -= done;
	if (done > 0 && l->taken.n > 0)
		memmove(l->taken.p, l->taken.p + done, l->taken.n * sizeof(*l->taken.p));
	return r;
}

/* With the lock, which it gives up meanwhile; nobody else is writing. */
static int write_waiting(struct rw_log *l, bool flush, struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	const uint64_t upto = c->done;
	int r = take_waiting(l, err);

	if (r < 0)
		return r;
	l->writing = true;
	pthread_mutex_unlock(&c->lock);
	r = write_blocks(l, flush, err);
	pthread_mutex_lock(&c->lock);
	l->writing = false;
	if (r == 0)
		l->kept = upto;
	pthread_cond_broadcast(&c->synced);
	return r;
}

static int log_sync(struct rw_core *c, struct ovbd_error *err)
{
	struct rw_log *l = ovbd_rw_log_of(c);
	uint64_t last;
	int r;

	while (l->writing)
		pthread_cond_wait(&c->synced, &c->lock);
	r = write_waiting(l, true, err);
	if (r < 0)
		return r;
	last = l->next_sequence - 1;
	pthread_mutex_unlock(&c->lock);
	r = ovbd_rw_flush_file(c, c->data, err);
	pthread_mutex_lock(&c->lock);
	if (r == 0)
		l->safe = last;
	return r;
}

/* All changes so far are in blocks, which the kernel has: whoever opens the file finds them, unless
 * the power fails. Also while a flush waits for the disk. */
static int log_keep(struct rw_log *l, struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	uint64_t target;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	target = c->done;
	while (r == 0 && l->kept < target) {
		if (l->writing)
			pthread_cond_wait(&c->synced, &c->lock);
		else
			r = write_waiting(l, false, err);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* ---- writing ---- */

static int finish_write(struct rw_core *c, unsigned flags, struct ovbd_error *err)
{
	bool full;

	pthread_mutex_lock(&c->lock);
	full = ovbd_rw_log_of(c)->waiting.n >= WAITING_MAX;
	pthread_mutex_unlock(&c->lock);
	if (full || flags & OVBD_WRITE_FUA)
		return ovbd_rw_flush(&c->device, err);
	return flags & OVBD_WRITE_KEPT ? log_keep(ovbd_rw_log_of(c), err) : 0;
}

/* With the lock. */
static int add(struct rw_log *l, const struct rw_record *r, struct ovbd_error *err)
{
	const struct ovbd_segment s = {r->off, r->len, r->src, 0, r->kind};
	int ret = waiting_reserve(&l->waiting, 1, err);

	if (ret < 0)
		return ret;
	/* told of also if there is no memory to show all of it: what it hides may be given back */
	ret = ovbd_rw_put(&l->core, &s, err);
	l->waiting.p[l->waiting.n++] = *r;
	return ret;
}

static int write_piece(struct rw_log *l, const void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	struct rw_record rec = {
		.off = off,
		.len = len,
		.kind = OVBD_RUN_DATA,
		.checksum = ovbd_rw_checksum(buf, len),
	};
	int r;

	pthread_mutex_lock(&c->lock);
	rec.src = ovbd_rw_log_place(l, len);
	pthread_mutex_unlock(&c->lock);
	r = ovbd_rw_write_file(c->data, buf, len, rec.src, err);
	pthread_mutex_lock(&c->lock);
	if (r == 0)
		r = add(l, &rec, err);
	else
		give_up(l, rec.src, len);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int log_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                      unsigned flags, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	const uint8_t *p = buf;
	int r = ovbd_rw_check(c, off, len, err);

	while (r == 0 && len > 0) {
		const size_t n = (size_t)ovbd_min(len, LSMT_ENTRY_LEN_MAX);

		r = write_piece(ovbd_rw_log_of(c), p, n, off, err);
		p += n;
		off += n;
		len -= n;
	}
	return r < 0 ? r : finish_write(c, flags, err);
}

static int log_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                            struct ovbd_error *err)
{
	const struct rw_record rec = {.off = off, .len = len, .kind = OVBD_RUN_ZERO};
	struct rw_core *c = ovbd_rw_core_of(d);
	int r = ovbd_rw_check(c, off, len, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	r = add(ovbd_rw_log_of(c), &rec, err);
	pthread_mutex_unlock(&c->lock);
	return r < 0 ? r : finish_write(c, flags, err);
}

static int log_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return log_write_zeroes(d, off, len, 0, err);
}

static int log_resize(struct rw_core *c, uint64_t size, struct ovbd_error *err)
{
	struct rw_log *l = ovbd_rw_log_of(c);
	const uint64_t old = c->header.virtual_size;
	struct rw_super s;
	int r = 0;

	if (size < old)
		r = log_write_zeroes(&c->device, size, old - size, OVBD_WRITE_FUA, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&l->supers);
	s = l->super;
	s.virtual_size = size;
	r = ovbd_rw_log_write_super(l, &s, err);
	pthread_mutex_unlock(&l->supers);
	return r;
}

static uint64_t log_place(struct rw_core *c, uint64_t len)
{
	return ovbd_rw_log_place(ovbd_rw_log_of(c), len);
}

static int log_moved(struct rw_core *c, const struct ovbd_segment *s, const void *buf,
                     struct ovbd_error *err)
{
	const struct rw_record rec = {
		.off = s->off,
		.len = s->len,
		.src = s->src,
		.kind = OVBD_RUN_DATA,
		.checksum = ovbd_rw_checksum(buf, (size_t)s->len),
	};

	return add(ovbd_rw_log_of(c), &rec, err);
}

static int log_set_parent(struct rw_core *c, const char *uuid, struct ovbd_error *err)
{
	struct rw_log *l = ovbd_rw_log_of(c);
	struct rw_super s;
	int r;

	pthread_mutex_lock(&l->supers);
	s = l->super;
	memcpy(s.parent_uuid, uuid, OVBD_UUID_SIZE);
	r = ovbd_rw_log_write_super(l, &s, err);
	pthread_mutex_unlock(&l->supers);
	return r;
}

/* ---- life ---- */

int ovbd_rw_log_write_super(struct rw_log *l, struct rw_super *s, struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	uint8_t raw[RW_SUPER_SIZE];
	int r;

	s->generation = l->super.generation + 1;
	pthread_mutex_lock(&c->lock);
	s->safe_sequence = l->safe;
	s->safe_tail = l->tail;
	pthread_mutex_unlock(&c->lock);
	ovbd_rw_super_encode(s, raw);
	r = ovbd_rw_write_file(c->data, raw, sizeof(raw), s->generation % 2 * RW_SUPER_STRIDE, err);
	if (r < 0) /* the other one counts, or this, or the next in its place */
		return r;
	r = ovbd_device_flush(c->data, err);
	if (r == 0) {
		l->super = *s;
	} else {
		pthread_mutex_lock(&c->lock);
		c->broken = r;
		pthread_mutex_unlock(&c->lock);
	}
	return r;
}

static void log_free(struct rw_core *c)
{
	struct rw_log *l = ovbd_rw_log_of(c);

	free(l->waiting.p);
	free(l->taken.p);
	free(l->blocks.p);
	free(l->checkpoint.p);
	pthread_mutex_destroy(&l->supers);
	free(l);
}

static const struct rw_kind log_kind = {
	.name = "ovbd-rw",
	.sync = log_sync,
	.resize = log_resize,
	.set_parent = log_set_parent,
	.seal = ovbd_rw_log_seal,
	.wants_tending = ovbd_rw_log_wants_checkpoint,
	.tend = ovbd_rw_log_checkpoint,
	.place = log_place,
	.moved = log_moved,
	.free = log_free,
};

static const struct ovbd_device_ops log_ops = {
	.pwrite = log_pwrite,
	.write_zeroes = log_write_zeroes,
	.discard = log_discard,
	.flush = ovbd_rw_flush,
	.grow = ovbd_rw_grow,
};

/* What was found to be dead is given back from now on. */
static int start(struct rw_log *l, bool no_thread, struct ovbd_error *err)
{
	struct rw_core *c = &l->core;
	struct rw_dead_list keep = {.n = 0};
	bool all = ovbd_rw_list_add(&keep, l->next_place, RW_BLOCK_SIZE);
	int r;

	c->blob.size = c->header.virtual_size = l->super.virtual_size;
	memcpy(c->header.uuid, l->super.uuid, sizeof(c->header.uuid));
	memcpy(c->header.parent_uuid, l->super.parent_uuid, sizeof(c->header.parent_uuid));
	memcpy(c->header.tag, l->super.tag, sizeof(c->header.tag));
	for (size_t i = 0; all && i < l->blocks.n; i++)
		all = ovbd_rw_list_add(&keep, l->blocks.p[i].src, RW_BLOCK_SIZE);
	for (size_t i = 0; all && i < l->checkpoint.n; i++)
		all = ovbd_rw_list_add(&keep, l->checkpoint.p[i].src, RW_BLOCK_SIZE);
	r = all ? ovbd_rw_reclaim_scan(c, RW_RECORDS_BEGIN, l->tail, keep.p, keep.n, err)
	        : ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	free(keep.p);
	return r < 0 ? r : ovbd_rw_core_start(c, 2, no_thread, err);
}

int ovbd_rw_open(const struct ovbd_rw_file *take_file, const struct ovbd_rw_open_params *p,
                 struct ovbd_blob *take_lower, struct ovbd_device **ret, struct ovbd_error *err)
{
	struct rw_log *l = calloc(1, sizeof(*l));
	OVBD_AUTO(ovbd_rw_core_closep) struct rw_core *c = NULL;
	int r;

	if (!l) {
		ovbd_device_close(take_file->device);
		ovbd_blob_close(take_lower);
		return ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	}
	c = &l->core;
	c->kind = &log_kind;
	c->lower = take_lower;
	c->data = take_file->device;
	c->file_end = take_file->end;
	c->reclaim.pinned_min = p ? p->pinned_min : 0;
	l->blocks_min = p && p->checkpoint_blocks ? p->checkpoint_blocks : BLOCKS_MIN;
	pthread_mutex_init(&l->supers, NULL);
	r = ovbd_rw_core_init(c, &log_ops, err);
	if (r == 0)
		r = ovbd_rw_log_recover(l, take_file->end, err);
	if (r == 0)
		r = start(l, p && p->no_thread, err);
	if (r < 0)
		return r;
	*ret = &l->core.device;
	c = NULL;
	return 0;
}
