// SPDX-License-Identifier: Apache-2.0
/*
 * A file system gives back whole blocks. Writes that are smaller, or do not begin at a block, leave
 * blocks of the data file of which a part is dead and a part still shown. When much is dead in such
 * blocks, what is shown of them is moved to the end of the file, where it fills blocks; then they
 * are dead as a whole.
 *
 * To move is to write the same bytes once more: they get a place, a record and their turn to be
 * flushed as all that is written, so a crash has nothing new to find. Only who wrote there
 * meanwhile must win: whether a piece is still where it was is looked at with the lock under which
 * it is put into the index, as every write is. One that is not has been moved in vain.
 *
 * Blocks of which little is dead stay: to move three bytes for one that is won is the most that is
 * done. It goes on batch by batch, with a pause after each, unless writers are faster, and flushes
 * now and then, so that it never takes much more space than it has given back.
 */
#include "lsmt/rw_core.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define UNIT        4096u
#define WORTH       1024u               /* dead bytes of a unit, for which the rest is moved */
#define BATCH       (128u << 10)        /* bytes read and written at once */
#define PAUSE_MS    2                   /* after that; so 64 MiB a second at most */
#define FLUSH_EVERY (UINT64_C(8) << 20) /* bytes moved */
#define PIECES_MAX  (BATCH / LSMT_SECTOR_SIZE)

struct batch {
	struct rw_core *core;
	uint8_t *buf;
	struct ovbd_segment *pieces; /* src: where they are; their bytes follow each other in buf */
	size_t npieces, len;
	uint64_t since_flush;
};

bool ovbd_rw_wants_compaction(const struct rw_core *c)
{
	const struct rw_reclaim *rc = &c->reclaim;

	return c->kind->place && !c->broken && rc->pinned >= rc->pinned_min &&
	       rc->pinned >= c->data_bytes / 2 &&
	       rc->pinned >= rc->pinned_left + rc->pinned_left / 4;
}

/* Bytes of the unit at place that are dead. */
static uint64_t dead_in(const struct rw_core *c, uint64_t place)
{
	struct ovbd_segment s;
	uint64_t n = 0;

	for (uint64_t at = place; at < place + UNIT; at += s.len) {
		s = ovbd_rw_index_at(c->reclaim.dead, at, place + UNIT - at);
		if (s.kind == OVBD_RUN_ZERO)
			n += s.len;
	}
	return n;
}

/* With the lock: all of the piece is still shown from where it was. */
static bool is_there(const struct rw_core *c, const struct ovbd_segment *piece)
{
	struct ovbd_segment s;

	for (uint64_t at = 0; at < piece->len; at += s.len) {
		s = ovbd_rw_index_at(c->index, piece->off + at, piece->len - at);
		if (s.kind != OVBD_RUN_DATA || s.src != piece->src + at)
			return false;
	}
	return true;
}

/* With the lock; the batch's bytes are at place now. */
static int settle(struct batch *b, uint64_t place, struct ovbd_error *err)
{
	struct rw_core *c = b->core;
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; i < b->npieces; i++) {
		const struct ovbd_segment *p = &b->pieces[i];
		const struct ovbd_segment now = {p->off, p->len, place + at, 0, OVBD_RUN_DATA};

		if (r == 0 && is_there(c, p))
			r = c->kind->moved(c, &now, b->buf + at, err);
		else
			ovbd_rw_reclaim_dead(c, now.src, now.len);
		at += (size_t)p->len;
	}
	return r;
}

static int read_pieces(struct batch *b, struct ovbd_error *err)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->npieces; i++) {
		/* nothing is given back since it was found: that is for this thread */
		r = ovbd_blob_pread(b->core->data->blob, b->buf + at, (size_t)b->pieces[i].len,
		                    b->pieces[i].src, err);
		at += (size_t)b->pieces[i].len;
	}
	return r;
}

/* What has been collected. */
static int move(struct batch *b, struct ovbd_error *err)
{
	struct rw_core *c = b->core;
	uint64_t place;
	bool behind;
	int r = b->npieces > 0 ? read_pieces(b, err) : 0;

	if (r < 0 || b->npieces == 0)
		return r;
	pthread_mutex_lock(&c->lock);
	place = c->kind->place(c, b->len);
	pthread_mutex_unlock(&c->lock);
	r = ovbd_rw_write_file(c->data, b->buf, b->len, place, err);
	pthread_mutex_lock(&c->lock);
	if (r == 0)
		r = settle(b, place, err);
	else
		ovbd_rw_reclaim_dead(c, place, b->len);
	behind = c->reclaim.pinned > c->data_bytes || c->reclaim.nheld > 0;
	pthread_mutex_unlock(&c->lock);
	b->since_flush += b->len;
	b->npieces = b->len = 0;
	if (r == 0 && b->since_flush >= FLUSH_EVERY) {
		b->since_flush = 0;
		r = ovbd_rw_sync(c, err);
		ovbd_rw_reclaim_out(c);
	}
	return r == 0 && !ovbd_rw_reclaim_pause(c, behind ? 0 : PAUSE_MS) ? -ECANCELED : r;
}

/* Of the segment what lies in the unit at place, if it is to be moved. */
static int collect(struct batch *b, const struct ovbd_segment *s, uint64_t place,
                   struct ovbd_error *err)
{
	const uint64_t from = ovbd_max(s->src, place);
	const uint64_t to = ovbd_min(s->src + s->len, place + UNIT);
	int r = 0;

	if (to - from == UNIT || dead_in(b->core, place) < WORTH)
		return 0;
	if (b->npieces == PIECES_MAX || b->len + (to - from) > BATCH)
		r = move(b, err);
	b->pieces[b->npieces++] =
		(struct ovbd_segment){s->off + (from - s->src), to - from, from, 0, OVBD_RUN_DATA};
	b->len += (size_t)(to - from);
	return r;
}

/* All segments, one after the other, beside whoever writes: only the units at their ends are shared
 * with others. */
static int walk(struct batch *b, struct ovbd_error *err)
{
	struct rw_core *c = b->core;
	struct ovbd_segment s;
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < OVBD_INDEX_END_MAX; off += s.len) {
		const unsigned ticket = ovbd_epoch_enter(c->epoch);
		uint64_t first, last;

		s = ovbd_rw_index_at(c->index, off, OVBD_INDEX_END_MAX - off);
		ovbd_epoch_leave(c->epoch, ticket);
		if (s.kind != OVBD_RUN_DATA)
			continue;
		first = s.src / UNIT * UNIT;
		last = (s.src + s.len - 1) / UNIT * UNIT;
		r = collect(b, &s, first, err);
		if (r == 0 && last != first)
			r = collect(b, &s, last, err);
	}
	return r < 0 ? r : move(b, err);
}

int ovbd_rw_compact(struct rw_core *c, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(BATCH);
	AUTO_FREE struct ovbd_segment *pieces = malloc(PIECES_MAX * sizeof(*pieces));
	struct batch b = {.core = c, .buf = buf, .pieces = pieces};
	int r = buf && pieces ? walk(&b, err)
	                      : ovbd_fail(err, -ENOMEM, "out of memory to move data");

	pthread_mutex_lock(&c->lock);
	c->done++; /* so that the flushes that follow bring what has died to its end */
	c->reclaim.pinned_left = c->reclaim.pinned;
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; r == 0 && i <= c->reclaim.nlists; i++) {
		r = ovbd_rw_sync(c, err);
		pthread_mutex_lock(&c->lock);
		c->done++;
		pthread_mutex_unlock(&c->lock);
	}
	return r;
}
