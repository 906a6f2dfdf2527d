// SPDX-License-Identifier: Apache-2.0
/*
 * An array of pieces, sorted by where they begin, which never overlap:
 *
 *     planned ──► coming ──► held ──► gone        and without memory for it, or when the source
 *        └──────────┴────────────────────┘        keeps what is read: straight to gone
 *
 * Who takes a piece from planned to coming fetches it, all of it, whether that is a read or who
 * brings it; all others wait. Pieces live until the blob is closed, so a pointer to one outlasts
 * the lock. Gone is as if it had never been planned, but for the count of what was used.
 */
#include "remote/ahead_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/thread.h"
#include "remote/metrics.h"
#include "remote/patience.h"

#define RANGES_MAX 8u /* of ovbd_ahead_bring_now() */

/* Of all blobs of the process. */
static atomic_uint_fast64_t held;

static const struct ovbd_blob_ops ahead_ops;

struct ahead *ovbd_ahead_of(struct ovbd_blob *b)
{
	assert(b->ops == &ahead_ops);
	return OVBD_CONTAINER_OF(b, struct ahead, blob);
}

/* ---- under the lock ---- */

size_t ovbd_ahead_find(const struct ahead *a, uint64_t off)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (ahead_end(a->pieces[mid]) > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void free_buf(struct piece *p)
{
	if (p->buf)
		atomic_fetch_sub(&held, p->len);
	free(p->buf);
	p->buf = NULL;
}

static void drop(struct piece *p)
{
	p->state = GONE;
	if (p->users == 0)
		free_buf(p);
}

uint8_t *ovbd_ahead_room(struct ahead *a, const struct piece *p)
{
	uint8_t *buf = NULL;

	for (size_t i = 0; i < a->n && atomic_load(&held) + p->len > OVBD_AHEAD_HELD_MAX; i++)
		if (a->pieces[i]->state == HELD && a->pieces[i]->used == a->pieces[i]->len)
			drop(a->pieces[i]);
	if (atomic_load(&held) + p->len <= OVBD_AHEAD_HELD_MAX)
		buf = malloc(p->len);
	if (buf)
		atomic_fetch_add(&held, p->len);
	return buf;
}

static void count_used(struct ahead *a, struct piece *p, uint64_t len)
{
	const uint64_t n = ovbd_min(len, p->len - p->used);

	p->used += n;
	a->stats.used += n;
	if (p->counted)
		ovbd_remote_count(OVBD_COUNT_PREFETCH_HIT, n);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct timespec latest(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += OVBD_AHEAD_WAIT_MS / 1000;
	return t;
}

/* Until p is not on its way any more, or for too long; what is read then has so much less time. */
static void wait_for(struct ahead *a, struct piece *p)
{
	const struct timespec until = latest();
	struct ovbd_patience patience = ovbd_patience();
	const uint64_t start = now_ms();
	int r = 0;

	while (p->state == COMING && r == 0)
		r = pthread_cond_timedwait(&a->changed, &a->lock, &until);
	patience.spent_ms += now_ms() - start;
	ovbd_patience_set(patience);
}

/* ---- fetching; the lock is held, and given up meanwhile ---- */

/* Fetches a planned piece. Where there is no room for it, it is gone. */
static int fetch(struct ahead *a, struct piece *p, struct ovbd_error *err)
{
	uint8_t *buf = a->kept ? malloc(p->len) : ovbd_ahead_room(a, p);
	int r;

	if (!buf) {
		p->state = GONE;
		return 0;
	}
	p->state = COMING;
	pthread_mutex_unlock(&a->lock);
	r = ovbd_blob_pread(a->source, buf, p->len, p->off, err);
	pthread_mutex_lock(&a->lock);
	p->brought = r == 0;
	a->stats.brought += r == 0 ? p->len : 0;
	a->stats.nfailed += r < 0;
	if (r == 0 && p->counted)
		ovbd_remote_count(OVBD_COUNT_PREFETCHED_BYTES, p->len);
	if (a->kept) {
		free(buf);
	} else {
		p->buf = buf;
	}
	p->state = HELD;
	if (r < 0 || a->kept)
		drop(p);
	pthread_cond_broadcast(&a->changed);
	return r;
}

/* Copies n bytes at off out of a piece that is held. */
static void copy_out(struct ahead *a, struct piece *p, uint8_t *dst, size_t n, uint64_t off)
{
	p->users++;
	count_used(a, p, n);
	pthread_mutex_unlock(&a->lock);
	memcpy(dst, p->buf + (off - p->off), n);
	pthread_mutex_lock(&a->lock);
	if (--p->users == 0 && p->state == GONE)
		free_buf(p);
}

/* From the source, as nobody has planned it. */
static int read_direct(struct ahead *a, uint8_t *dst, size_t n, uint64_t off,
                       struct ovbd_error *err)
{
	int r;

	pthread_mutex_unlock(&a->lock);
	atomic_fetch_add(&a->busy, 1);
	r = ovbd_blob_pread(a->source, dst, n, off, err);
	atomic_fetch_sub(&a->busy, 1);
	pthread_mutex_lock(&a->lock);
	return r;
}

/* How many bytes from off on, of at most len, no piece has. i is the first that ends behind off. */
static size_t count_missing(const struct ahead *a, size_t i, size_t len, uint64_t off)
{
	const uint64_t end = off + len;

	for (; i < a->n && a->pieces[i]->off < end; i++)
		if (a->pieces[i]->state != GONE)
			return a->pieces[i]->off > off ? (size_t)(a->pieces[i]->off - off) : 0;
	return len;
}

/* Reads what comes next of a read, at least a byte; returns how much, 0 to look again, or -errno.
 * */
static int64_t read_next(struct ahead *a, uint8_t *dst, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	const size_t i = ovbd_ahead_find(a, off);
	size_t n = count_missing(a, i, len, off);
	struct piece *p;
	int r = 0;

	if (n == 0) {
		p = a->pieces[i];
		n = (size_t)ovbd_min(len, ahead_end(p) - off);
		if (p->state == COMING)
			wait_for(a, p);
		else if (p->state == PLANNED)
			r = fetch(a, p, err);
		if (r < 0)
			return r;
		if (p->state == HELD) {
			copy_out(a, p, dst, n, off);
			return (int64_t)n;
		}
		if (p->state != COMING)
			return 0;
	}
	r = read_direct(a, dst, n, off, err);
	return r < 0 ? r : (int64_t)n;
}

/* A source that keeps things sees to it itself that nothing comes twice. */
static int read_kept(struct ahead *a, void *buf, size_t len, uint64_t off, struct ovbd_error *err)
{
	int r;

	pthread_mutex_lock(&a->lock);
	for (size_t i = ovbd_ahead_find(a, off); i < a->n && a->pieces[i]->off < off + len; i++) {
		struct piece *p = a->pieces[i];
		const uint64_t from = p->off > off ? p->off : off;

		if (p->state == HELD && p->off <= off && ahead_end(p) >= off + len) {
			copy_out(a, p, buf, len, off);
			pthread_mutex_unlock(&a->lock);
			return 0;
		}
		if (p->brought || p->state == COMING)
			count_used(a, p, ovbd_min(ahead_end(p), off + len) - from);
	}
	r = read_direct(a, buf, len, off, err);
	pthread_mutex_unlock(&a->lock);
	return r;
}

/* ---- the blob ---- */

static int ahead_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const struct ovbd_patience before = ovbd_patience();
	struct ahead *a = ovbd_ahead_of(b);
	uint8_t *dst = buf;
	int64_t n = 0;

	if (!atomic_load_explicit(&a->any, memory_order_acquire))
		return ovbd_blob_pread(a->source, buf, len, off, err);
	if (a->kept)
		return read_kept(a, buf, len, off, err);
	pthread_mutex_lock(&a->lock);
	while (len > 0 && n >= 0) {
		n = read_next(a, dst, len, off, err);
		if (n > 0) {
			dst += n;
			off += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	pthread_mutex_unlock(&a->lock);
	ovbd_patience_set(before);
	return n < 0 ? (int)n : 0;
}

static char *ahead_key(struct ovbd_blob *b)
{
	struct ahead *a = ovbd_ahead_of(b);

	return a->source->ops->key ? a->source->ops->key(a->source) : strdup("");
}

static bool ahead_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct ahead *a = ovbd_ahead_of(b);
	bool had = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = ovbd_ahead_find(a, off); i < a->n && a->pieces[i]->off < off + len; i++)
		if (a->pieces[i]->state == HELD) {
			drop(a->pieces[i]);
			had = true;
		}
	pthread_mutex_unlock(&a->lock);
	return ovbd_blob_distrust(a->source, off, len) || had;
}

static void ahead_close(struct ovbd_blob *b)
{
	struct ahead *a = ovbd_ahead_of(b);

	for (size_t i = 0; i < a->n; i++) {
		struct piece *p = a->pieces[i];

		if (p->brought && p->counted)
			ovbd_remote_count(OVBD_COUNT_PREFETCH_WASTE, p->len - p->used);
		free_buf(p);
		free(p);
	}
	free(a->pieces);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	ovbd_blob_close(a->source);
	free(a);
}

static const struct ovbd_blob_ops ahead_ops = {
	.name = "blob read ahead",
	.pread = ahead_pread,
	.key = ahead_key,
	.distrust = ahead_distrust,
	.close = ahead_close,
};

int ovbd_ahead_open(struct ovbd_blob *take_source, bool kept, struct ovbd_blob **ret,
                    struct ovbd_error *err)
{
	AUTO_BLOB *source = take_source;
	struct ahead *a = calloc(1, sizeof(*a));
	pthread_condattr_t monotonic;

	if (!a)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	a->blob = (struct ovbd_blob){.ops = &ahead_ops, .size = source->size};
	a->kept = kept;
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	a->source = OVBD_MOVE(source);
	*ret = &a->blob;
	return 0;
}

/* ---- bringing ---- */

int ovbd_ahead_bring(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct ahead *a = ovbd_ahead_of(b);
	const uint64_t end = off + ovbd_min(len, a->blob.size);
	int r = 0;

	pthread_mutex_lock(&a->lock);
	while (r == 0 && off < end) {
		const size_t i = ovbd_ahead_find(a, off);
		struct piece *p = i < a->n ? a->pieces[i] : NULL;

		if (!p || p->off >= end)
			break;
		off = ahead_end(p);
		if (p->state == PLANNED)
			r = fetch(a, p, err);
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

struct errand {
	struct ovbd_blob *b;
	struct ovbd_range range;
	struct ovbd_error err;
	int r;
	pthread_t thread;
	bool threaded;
};

static void *run_errand(void *arg)
{
	struct errand *e = arg;

	e->r = ovbd_ahead_bring(e->b, e->range.off, e->range.len, &e->err);
	return NULL;
}

int ovbd_ahead_bring_now(struct ovbd_blob *b, const struct ovbd_range *ranges, size_t n,
                         struct ovbd_error *err)
{
	struct errand errands[RANGES_MAX] = {0};
	int r = n > RANGES_MAX ? -EINVAL
	                       : ovbd_ahead_plan_counted(ovbd_ahead_of(b), ranges, n, false, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct errand *e = &errands[i];

		e->b = b;
		e->range = ranges[i];
		e->threaded = i + 1 < n && ovbd_thread_start(&e->thread, run_errand, e) == 0;
		if (!e->threaded)
			run_errand(e);
	}
	for (size_t i = 0; i < n; i++) {
		if (errands[i].threaded)
			pthread_join(errands[i].thread, NULL);
		if (r == 0 && errands[i].r < 0)
			r = ovbd_fail(err, errands[i].r, "%s", errands[i].err.msg);
	}
	return r;
}

bool ovbd_ahead_is_busy(struct ovbd_blob *b)
{
	return atomic_load(&ovbd_ahead_of(b)->busy) > 0;
}

struct ovbd_ahead_stats ovbd_ahead_stats(struct ovbd_blob *b)
{
	struct ahead *a = ovbd_ahead_of(b);
	struct ovbd_ahead_stats s;

	pthread_mutex_lock(&a->lock);
	s = a->stats;
	pthread_mutex_unlock(&a->lock);
	return s;
}
