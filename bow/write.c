// SPDX-License-Identifier: Apache-2.0
/*
 * Requests. COMMITTED is for good, and is looked at first, without a lock: there they go to the
 * device below as they are. So do reads of all but block 0, in every state: nothing but block 0 is
 * anywhere else than at its place. Other requests are in flight, so that states change between
 * them.
 */
#include "bow/core.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

struct request {
	const uint8_t *buf; /* NULL: zeroes */
	uint64_t off, len;
	unsigned flags;
};

static int below_write(struct bow_device *d, const struct request *q, struct ovbd_error *err)
{
	if (q->buf)
		return ovbd_device_pwrite(d->below, q->buf, (size_t)q->len, q->off, q->flags, err);
	return ovbd_device_write_zeroes(d->below, q->off, q->len, q->flags, err);
}

/* live: where block 0 is. */
static int write_split(struct bow_device *d, const struct request *q, uint64_t live,
                       struct ovbd_error *err)
{
	const uint64_t n = q->off < d->block_size ? ovbd_min(q->len, d->block_size - q->off) : 0;
	const struct request first = {q->buf, live + q->off, n, q->flags};
	const struct request rest = {q->buf ? q->buf + n : NULL, q->off + n, q->len - n, q->flags};
	int r = 0;

	if (n > 0 && live > 0)
		r = below_write(d, &first, err);
	else
		return below_write(d, q, err);
	return r == 0 && rest.len > 0 ? below_write(d, &rest, err) : r;
}

static struct bow_flight flight_of(const struct bow_device *d, uint64_t off, uint64_t len)
{
	return (struct bow_flight){
		.off = ovbd_align_down(off, d->block_size),
		.end = ovbd_align_up(off + len, d->block_size),
	};
}

/* In TRIM; with the lock. */
static int take_back(struct bow_device *d, const struct bow_flight *f, struct ovbd_error *err)
{
	const uint64_t len = f->end - f->off;
	const struct bow_range g = ovbd_bow_ranges_at(d->ranges, f->off, len);
	size_t budget = 0;
	int r;

	if (g.kind == BOW_UNCHANGED && g.len == len)
		return 0;
	r = ovbd_bow_ranges_reserve(d->ranges, 1, &budget, err);
	if (r == 0)
		ovbd_bow_ranges_put(d->ranges, f->off, len, BOW_UNCHANGED, &budget);
	ovbd_bow_ranges_release(d->ranges, &budget);
	return r;
}

/* What is to be done before f may be written to; with the lock. */
static int prepare(struct bow_device *d, struct bow_flight *f, bool *ret_full,
                   struct ovbd_error *err)
{
	switch (ovbd_bow_state_of(d)) {
	case OVBD_BOW_TRIM:
		return take_back(d, f, err);
	case OVBD_BOW_CHECKPOINT:
		return ovbd_bow_backup(d, f, ret_full, err);
	case OVBD_BOW_COMMITTED:
		return 0;
	case OVBD_BOW_ABORTED:
		break;
	}
	return ovbd_bow_fail_aborted(err);
}

enum next { DONE, COMMIT, POLICY };

static int write_in_flight(struct bow_device *d, const struct request *q, enum next *ret_next,
                           struct ovbd_error *err)
{
	struct bow_flight f = flight_of(d, q->off, q->len);
	bool full = false, committing;
	uint64_t live;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_begin(d, &f);
	committing = d->committing;
	if (!committing)
		r = prepare(d, &f, &full, err);
	live = d->live;
	pthread_mutex_unlock(&d->lock);
	if (!committing && r == 0)
		r = write_split(d, q, live, err);
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_end(d, &f);
	pthread_mutex_unlock(&d->lock);
	*ret_next = committing ? COMMIT : full ? POLICY : DONE;
	return r;
}

/* r: whether it is we who changed the state, or -errno; why: the sentence. */
static void tell(struct bow_device *d, int r, const struct ovbd_error *full,
                 const struct ovbd_error *why)
{
	struct ovbd_error told = *full;

	if (!d->params.told || r == 0)
		return;
	if (r < 0)
		told = *why;
	else if (d->params.on_full == OVBD_BOW_FULL_COMMIT)
		ovbd_fail_within(&told, -ENOSPC, "the device is committed");
	else
		ovbd_fail_within(&told, -ENOSPC, "all is taken back");
	d->params.told(d->params.arg, told.msg);
}

/* Nothing of the write is in flight, which failed with -ENOSPC. 0: it may try again. */
static int follow_policy(struct bow_device *d, struct ovbd_error *err)
{
	const struct ovbd_error full = *err;
	int r;

	if (d->params.on_full == OVBD_BOW_FULL_ERROR)
		return -ENOSPC;
	if (d->params.on_full == OVBD_BOW_FULL_COMMIT)
		r = ovbd_bow_commit_now(d, err);
	else
		r = ovbd_bow_abort_now(d, err);
	tell(d, r, &full, err);
	return r < 0 ? r : 0;
}

/* One that has begun, and failed on the way. */
static int finish_commit(struct bow_device *d, struct ovbd_error *err)
{
	const int r = ovbd_bow_commit_now(d, err);

	return r < 0 ? r : 0;
}

static int bow_write(struct ovbd_device *dev, const struct request *q, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	struct ovbd_error own;
	enum next next = COMMIT;
	int r = 0;

	if (!err)
		err = &own;
	while (r == 0 && next != DONE) {
		if (ovbd_bow_state_of(d) == OVBD_BOW_COMMITTED)
			return below_write(d, q, err);
		r = write_in_flight(d, q, &next, err);
		if (next == COMMIT)
			r = finish_commit(d, err);
		else if (next == POLICY)
			r = follow_policy(d, err);
	}
	return r;
}

static int bow_pwrite(struct ovbd_device *dev, const void *buf, size_t len, uint64_t off,
                      unsigned flags, struct ovbd_error *err)
{
	const struct request q = {buf, off, len, flags};

	return bow_write(dev, &q, err);
}

static int bow_write_zeroes(struct ovbd_device *dev, uint64_t off, uint64_t len, unsigned flags,
                            struct ovbd_error *err)
{
	const struct request q = {NULL, off, len, flags};

	return bow_write(dev, &q, err);
}

/* ---- discards ---- */

#define AT_ONCE 256u

/* The whole blocks of it, but for block 0, that are of kind from. No memory: they stay. With the
 * lock, which is given up now and then, as there may be many. */
static void set_free(struct bow_device *d, uint64_t off, uint64_t len, enum bow_kind from)
{
	const uint64_t end = ovbd_align_down(off + len, d->block_size);
	size_t budget = 0;

	off = ovbd_max(ovbd_align_up(off, d->block_size), d->block_size);
	for (unsigned n = 1; off < end; n++) {
		const struct bow_range g = ovbd_bow_ranges_at(d->ranges, off, end - off);

		if (g.kind == from) {
			if (ovbd_bow_ranges_reserve(d->ranges, 1, &budget, NULL) < 0)
				return;
			ovbd_bow_ranges_put(d->ranges, g.off, g.len, BOW_FREE, &budget);
			ovbd_bow_ranges_release(d->ranges, &budget);
		}
		off += g.len;
		if (n % AT_ONCE == 0) {
			pthread_mutex_unlock(&d->lock);
			pthread_mutex_lock(&d->lock);
		}
	}
}

static int bow_discard(struct ovbd_device *dev, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	struct bow_flight f = flight_of(d, off, len);
	enum ovbd_bow_state state;
	int r = 0;

	if (ovbd_bow_state_of(d) == OVBD_BOW_COMMITTED)
		return ovbd_device_discard(d->below, off, len, err);
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_begin(d, &f);
	state = ovbd_bow_state_of(d);
	pthread_mutex_unlock(&d->lock);
	if (state == OVBD_BOW_TRIM || state == OVBD_BOW_COMMITTED)
		r = ovbd_device_discard(d->below, off, len, err);
	else if (state == OVBD_BOW_ABORTED)
		r = ovbd_bow_fail_aborted(err);
	pthread_mutex_lock(&d->lock);
	if (r == 0 && state == OVBD_BOW_TRIM)
		set_free(d, off, len, BOW_UNCHANGED);
	else if (r == 0 && state == OVBD_BOW_CHECKPOINT)
		set_free(d, off, len, BOW_CHANGED);
	ovbd_bow_flight_end(d, &f);
	pthread_mutex_unlock(&d->lock);
	return r;
}

/* ---- flushes ---- */

int ovbd_bow_flush_below(struct bow_device *d, struct ovbd_error *err)
{
	const int r = ovbd_device_flush(d->below, err);

	if (r < 0)
		atomic_store(&d->lost, r);
	return r;
}

static int bow_flush(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	int r, lost;

	if (ovbd_bow_state_of(d) == OVBD_BOW_ABORTED)
		return ovbd_bow_fail_aborted(err);
	r = ovbd_device_flush(d->below, err);
	lost = atomic_load(&d->lost) ? atomic_exchange(&d->lost, 0) : 0;
	if (r == 0 && lost < 0)
		r = ovbd_fail(err, lost,
		              "backup on write: what was written may have been lost in a flush of "
		              "the log that failed");
	return r;
}

const struct ovbd_device_ops ovbd_bow_ops = {
	.pwrite = bow_pwrite,
	.write_zeroes = bow_write_zeroes,
	.discard = bow_discard,
	.flush = bow_flush,
};
