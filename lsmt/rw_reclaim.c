// SPDX-License-Identifier: Apache-2.0
/*
 * Dead bytes of a data file. What a write hides is dead at once for new readers, but not for what
 * is on disk: until the change itself is durable a crash may bring it back. So it goes from list to
 * list with each flush (as many as the format needs), and then out. From there a thread takes it,
 * waits until those have left who may still read it, and makes holes.
 *
 * The dead are kept in an index of their own, in which neighbours become one: a file system gives
 * back blocks of 4 KiB, which may die sector by sector.
 *
 * If much has died, or was written, and nobody flushes, the thread does.
 */
#include "lsmt/rw_core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/thread.h"

#define HOLE_UNIT   4096u
#define FLUSH_BYTES (UINT64_C(64) << 20) /* so much waits for others to flush */
#define PINNED_MIN  (UINT64_C(16) << 20)
#define GRACE_MS    5 /* between looks whether readers have left */

static bool list_add(struct rw_dead_list *l, const struct rw_dead *d, size_t n)
{
	if (n > l->capacity - l->n) {
		const size_t capacity = 2 * l->capacity + n + 64;
		struct rw_dead *p = realloc(l->p, capacity * sizeof(*p));

		if (!p)
			return false;
		l->p = p;
		l->capacity = capacity;
	}
	if (n > 0)
		memcpy(l->p + l->n, d, n * sizeof(*d));
	l->n += n;
	return true;
}

/* The first n of from go to the end of to; or are forgotten, if there is no memory. */
static void list_move(struct rw_reclaim *rc, struct rw_dead_list *to, struct rw_dead_list *from,
                      size_t n)
{
	if (!list_add(to, from->p, n))
		for (size_t i = 0; i < n; i++)
			rc->waiting -= from->p[i].len;
	from->n -= n;
	if (from->n > 0)
		memmove(from->p, from->p + n, from->n * sizeof(*from->p));
}

void ovbd_rw_reclaim_dead(struct rw_core *c, uint64_t src, uint64_t len)
{
	struct rw_reclaim *rc = &c->reclaim;
	struct rw_dead_list *l = &rc->lists[0];
	const struct rw_dead d = {src, len};

	if (rc->nlists == 0)
		return;
	if (l->n > 0 && l->p[l->n - 1].src + l->p[l->n - 1].len == src)
		l->p[l->n - 1].len += len;
	else if (!list_add(l, &d, 1))
		return;
	rc->waiting += len;
	if (rc->waiting >= FLUSH_BYTES)
		pthread_cond_signal(&rc->wake);
}

void ovbd_rw_reclaim_written(struct rw_core *c, uint64_t len)
{
	struct rw_reclaim *rc = &c->reclaim;

	rc->unflushed += len;
	if (rc->unflushed >= FLUSH_BYTES)
		pthread_cond_signal(&rc->wake);
}

size_t ovbd_rw_reclaim_mark(struct rw_core *c)
{
	c->reclaim.unflushed = 0;
	return c->reclaim.lists[0].n;
}

void ovbd_rw_reclaim_flushed(struct rw_core *c, size_t ndead)
{
	struct rw_reclaim *rc = &c->reclaim;

	for (unsigned i = rc->nlists; i-- > 0;) {
		struct rw_dead_list *to = i + 1 < rc->nlists ? &rc->lists[i + 1] : &rc->out;

		list_move(rc, to, &rc->lists[i], i == 0 ? ndead : rc->lists[i].n);
	}
	if (rc->out.n > 0)
		pthread_cond_signal(&rc->wake);
}

/* ---- giving back ---- */

/* How far it is dead from there on, at most to end. */
static uint64_t dead_until(const struct ovbd_rw_index *dead, uint64_t from, uint64_t end)
{
	while (from < end) {
		const struct ovbd_segment s = ovbd_rw_index_at(dead, from, end - from);

		if (s.kind != OVBD_RUN_ZERO)
			break;
		from += s.len;
	}
	return from;
}

/* d is dead; the blocks of the file that are so as a whole now become holes. By how much what is
 * dead in others has grown, which may be less than nothing (modulo 2^64). */
static uint64_t give_back(struct rw_core *c, const struct rw_dead *d)
{
	struct ovbd_rw_index *dead = c->reclaim.dead;
	const struct ovbd_segment s = {.off = d->src, .len = d->len, .kind = OVBD_RUN_ZERO};
	uint64_t from = d->src / HOLE_UNIT * HOLE_UNIT, to = d->src + d->len;

	if (ovbd_rw_index_put(dead, &s, NULL, NULL, NULL) < 0)
		return 0;
	if (dead_until(dead, from, d->src) < d->src)
		from += HOLE_UNIT;
	to = dead_until(dead, to, (to + HOLE_UNIT - 1) / HOLE_UNIT * HOLE_UNIT);
	to = to / HOLE_UNIT * HOLE_UNIT;
	if (from >= to)
		return d->len;
	ovbd_device_discard(c->data, from, to - from, NULL); /* a hint, as ever */
	return d->len - (to - from);
}

static bool take_out(struct rw_core *c, struct rw_dead_list *ret)
{
	*ret = c->reclaim.out;
	c->reclaim.out = (struct rw_dead_list){.n = 0};
	return ret->n > 0;
}

static int by_src(const void *a, const void *b)
{
	const uint64_t x = ((const struct rw_dead *)a)->src, y = ((const struct rw_dead *)b)->src;

	return (x > y) - (x < y);
}

/* What is written over at once was not written in that order: neighbours become one hole. */
static void give_back_all(struct rw_core *c, struct rw_dead_list *l)
{
	uint64_t bytes = 0, pinned = 0;

	if (l->n > 1)
		qsort(l->p, l->n, sizeof(*l->p), by_src);
	for (size_t i = 0, next; i < l->n; i = next) {
		struct rw_dead d = l->p[i];

		for (next = i + 1; next < l->n && l->p[next].src == d.src + d.len; next++)
			d.len += l->p[next].len;
		pinned += give_back(c, &d);
		bytes += d.len;
	}
	free(l->p);
	pthread_mutex_lock(&c->lock);
	c->reclaim.waiting -= bytes;
	c->reclaim.given_back += bytes;
	c->reclaim.pinned += pinned;
	c->reclaim.pinned_left = ovbd_min(c->reclaim.pinned_left, c->reclaim.pinned);
	pthread_cond_broadcast(&c->reclaim.room);
	pthread_mutex_unlock(&c->lock);
}

enum work { NOTHING, TEND, COMPACT, FLUSH };

/* With the lock. What is to be done in the background. */
static enum work work_of(struct rw_core *c)
{
	if (c->reclaim.quiet || c->broken)
		return NOTHING;
	if (c->kind->wants_tending && c->kind->wants_tending(c))
		return TEND;
	return ovbd_rw_wants_compaction(c) ? COMPACT : NOTHING;
}

static int do_work(struct rw_core *c, enum work work)
{
	switch (work) {
	case TEND:
		return c->kind->tend(c, NULL);
	case COMPACT:
		return ovbd_rw_compact(c, NULL);
	case FLUSH:
		return ovbd_rw_sync(c, NULL);
	case NOTHING:
		break;
	}
	return 0;
}

/* With the lock: what is begun and ended so is waited for by who wants quiet. */
static void set_busy(struct rw_core *c, bool busy)
{
	c->reclaim.busy = busy;
	if (!busy)
		pthread_cond_broadcast(&c->synced);
}

void ovbd_rw_reclaim_quiet(struct rw_core *c, bool quiet)
{
	pthread_mutex_lock(&c->lock);
	c->reclaim.quiet = quiet;
	while (quiet && c->reclaim.busy)
		pthread_cond_wait(&c->synced, &c->lock);
	pthread_cond_signal(&c->reclaim.wake);
	pthread_cond_broadcast(&c->reclaim.room);
	pthread_mutex_unlock(&c->lock);
}

/* Who has no thread: what is out, unless there are readers. */
static void give_out(struct rw_core *c)
{
	const uint64_t since = ovbd_epoch_now(c->epoch);
	struct rw_dead_list l = {.n = 0};

	ovbd_epoch_advance(c->epoch);
	ovbd_epoch_advance(c->epoch);
	pthread_mutex_lock(&c->lock);
	if (ovbd_epoch_is_over(c->epoch, since))
		take_out(c, &l);
	pthread_mutex_unlock(&c->lock);
	give_back_all(c, &l);
}

void ovbd_rw_reclaim_now(struct rw_core *c)
{
	enum work work;

	pthread_mutex_lock(&c->lock);
	work = c->reclaim.busy ? NOTHING : work_of(c);
	if (work != NOTHING)
		set_busy(c, true);
	pthread_mutex_unlock(&c->lock);
	if (work != NOTHING) {
		do_work(c, work);
		pthread_mutex_lock(&c->lock);
		set_busy(c, false);
		pthread_mutex_unlock(&c->lock);
	}
	give_out(c);
}

/* ---- the thread ---- */

static void wait_ms(struct rw_core *c, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&c->reclaim.wake, &c->lock, &until);
}

/* With the lock, which it gives up meanwhile. False: the layer is being closed. */
static bool wait_for_readers(struct rw_core *c)
{
	const uint64_t since = ovbd_epoch_now(c->epoch);

	for (;;) {
		ovbd_epoch_advance(c->epoch);
		if (c->reclaim.stop || ovbd_epoch_is_over(c->epoch, since))
			return !c->reclaim.stop;
		wait_ms(c, GRACE_MS);
	}
}

void ovbd_rw_reclaim_out(struct rw_core *c)
{
	struct rw_dead_list l;
	bool over;

	pthread_mutex_lock(&c->lock);
	take_out(c, &l);
	over = wait_for_readers(c);
	pthread_mutex_unlock(&c->lock);
	if (over)
		give_back_all(c, &l);
	else
		free(l.p);
}

bool ovbd_rw_reclaim_pause(struct rw_core *c, unsigned ms)
{
	bool go_on;

	pthread_mutex_lock(&c->lock);
	if (ms > 0 && !c->reclaim.no_thread && !c->reclaim.stop && !c->reclaim.quiet)
		wait_ms(c, ms);
	go_on = !c->reclaim.stop && !c->reclaim.quiet;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

static bool wants_flush(const struct rw_reclaim *rc)
{
	return rc->waiting >= FLUSH_BYTES || rc->unflushed >= FLUSH_BYTES ||
	       (rc->nheld > 0 && rc->waiting > 0);
}

/* With the lock, which it gives up meanwhile. Whether there was something to do, and it went well.
 * */
static bool flush_or_tend(struct rw_core *c)
{
	enum work work = work_of(c);
	int r;

	if (work == NOTHING && !c->reclaim.quiet && !c->broken && wants_flush(&c->reclaim))
		work = FLUSH;
	if (work == NOTHING)
		return false;
	c->done++; /* so that there is something to flush */
	set_busy(c, true);
	pthread_mutex_unlock(&c->lock);
	r = do_work(c, work);
	pthread_mutex_lock(&c->lock);
	set_busy(c, false);
	return r == 0;
}

static void *reclaim_thread(void *arg)
{
	struct rw_core *c = arg;
	struct rw_reclaim *rc = &c->reclaim;
	struct rw_dead_list l;

	pthread_mutex_lock(&c->lock);
	while (!rc->stop) {
		if (rc->out.n == 0) {
			if (!flush_or_tend(c) && !rc->stop && rc->out.n == 0)
				pthread_cond_wait(&rc->wake, &c->lock);
			continue;
		}
		take_out(c, &l);
		if (!wait_for_readers(c)) {
			free(l.p);
			break;
		}
		pthread_mutex_unlock(&c->lock);
		give_back_all(c, &l);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- life ---- */

void ovbd_rw_reclaim_init(struct rw_core *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->reclaim.wake, &attr);
	pthread_cond_init(&c->reclaim.room, &attr);
	pthread_condattr_destroy(&attr);
}

int ovbd_rw_reclaim_start(struct rw_core *c, struct ovbd_error *err)
{
	struct rw_reclaim *rc = &c->reclaim;
	int r;

	if (rc->pinned_min == 0)
		rc->pinned_min = PINNED_MIN;
	r = ovbd_rw_index_create(c->epoch, &rc->dead, err);

	if (r == 0 && rc->no_thread)
		give_out(c); /* as the thread would, at once */
	if (r < 0 || rc->no_thread)
		return r;
	r = ovbd_thread_start(&rc->thread, reclaim_thread, c);
	if (r < 0)
		return ovbd_fail_errno(err, r, "writable layer: a thread that gives back space");
	rc->started = true;
	return 0;
}

void ovbd_rw_reclaim_close(struct rw_core *c)
{
	struct rw_reclaim *rc = &c->reclaim;

	pthread_mutex_lock(&c->lock);
	rc->stop = true;
	pthread_cond_signal(&rc->wake);
	pthread_mutex_unlock(&c->lock);
	if (rc->started)
		pthread_join(rc->thread, NULL);
	for (unsigned i = 0; i < RW_DEAD_LISTS; i++)
		free(rc->lists[i].p);
	free(rc->out.p);
	ovbd_rw_index_free(rc->dead);
	pthread_cond_destroy(&rc->wake);
	pthread_cond_destroy(&rc->room);
}

struct scan {
	struct rw_core *c;
	struct ovbd_rw_index *dead;
};

static int scan_live(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	struct scan *scan = arg;
	const struct ovbd_segment live = {.off = s->src, .len = s->len, .kind = OVBD_RUN_HOLE};

	return s->kind == OVBD_RUN_DATA ? ovbd_rw_index_put(scan->dead, &live, NULL, NULL, err) : 0;
}

static int scan_dead(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	struct rw_core *c = ((struct scan *)arg)->c;
	const struct rw_dead d = {s->off, s->len};

	(void)err;
	if (list_add(&c->reclaim.out, &d, 1))
		c->reclaim.waiting += d.len;
	return 0;
}

/* scan->dead becomes [from, end), without what the index leads to. */
static int scan(struct scan *scan, uint64_t from, uint64_t end, struct ovbd_error *err)
{
	const struct ovbd_segment s = {.off = from, .len = end - from, .kind = OVBD_RUN_ZERO};
	int r = ovbd_rw_index_create(scan->c->epoch, &scan->dead, err);

	if (r == 0)
		r = ovbd_rw_index_put(scan->dead, &s, NULL, NULL, err);
	return r < 0 ? r : ovbd_rw_index_each(scan->c->index, scan_live, scan, err);
}

int ovbd_rw_reclaim_scan(struct rw_core *c, uint64_t from, uint64_t end, const struct rw_dead *keep,
                         size_t n, struct ovbd_error *err)
{
	struct scan sc = {.c = c};
	int r = end > from ? scan(&sc, from, end, err) : 0;

	for (size_t i = 0; r == 0 && sc.dead && i < n; i++) {
		const struct ovbd_segment s = {keep[i].src, keep[i].len, 0, 0, OVBD_RUN_HOLE};

		r = ovbd_rw_index_put(sc.dead, &s, NULL, NULL, err);
	}
	pthread_mutex_lock(&c->lock);
	if (r == 0 && sc.dead)
		r = ovbd_rw_index_each(sc.dead, scan_dead, &sc, err);
	pthread_cond_signal(&c->reclaim.wake);
	pthread_mutex_unlock(&c->lock);
	ovbd_rw_index_free(sc.dead);
	return r;
}

static int rest_dead(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	struct rw_core *c = ((struct scan *)arg)->c;
	const uint64_t from = ovbd_align_up(s->off, HOLE_UNIT);
	const uint64_t to = (s->off + s->len) / HOLE_UNIT * HOLE_UNIT;

	(void)err;
	if (from < to)
		ovbd_device_discard(c->data, from, to - from, NULL);
	return 0;
}

void ovbd_rw_reclaim_rest(struct rw_core *c, uint64_t from, uint64_t end)
{
	struct scan sc = {.c = c};

	pthread_mutex_lock(&c->lock);
	if (wait_for_readers(c) && end > from && scan(&sc, from, end, NULL) == 0) {
		pthread_mutex_unlock(&c->lock);
		ovbd_rw_index_each(sc.dead, rest_dead, &sc, NULL);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	ovbd_rw_index_free(sc.dead);
}
