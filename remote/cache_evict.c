// SPDX-License-Identifier: Apache-2.0
/*
 * Makes room: above the high mark, the chunks that were not used for longest go, until the low one
 * is reached, but for those of pinned blobs. A round is
 *
 *     look at all maps: how long unused must a chunk be, to go?
 *     take those out of the maps
 *     wait until no reader can believe in them any more
 *     punch them out of the data files, unless they are back
 *
 * So do chunks that lie in a data file and are in no map, because whoever stored or evicted them
 * was killed. A blob that has no chunk left, and that nobody uses, is removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"

#define GC_WAIT_MS 60000
#define GC_POLL_MS 50

/* Chunks on their way out of the blob called so. */
struct leaving {
	struct leaving *next;
	char name[CACHE_NAME_SIZE];
	uint64_t first, n;
};

struct round {
	struct ovbd_cache *c;
	uint64_t excess; /* bytes still to be freed */
	uint32_t now;
	uint32_t *ages; /* seconds, of each chunk there is */
	size_t nages, cap;
	uint32_t age_min; /* what was unused for so long goes */
	struct leaving *leaving;
};

static uint32_t age_of(const struct round *r, const struct cache_entry *e)
{
	return e->used < r->now ? r->now - e->used : 0;
}

static int collect(void *ctx, struct cache_file *f)
{
	struct round *r = ctx;

	if (cache_is_pinned(r->c, f->name))
		return 0;
	for (uint64_t i = 0; i < f->nchunks; i++) {
		const struct cache_entry e = cache_entry_load(f, i);

		if (!e.present)
			continue;
		if (r->nages == r->cap) {
			const size_t cap = r->cap * 2 + 1024;
			uint32_t *ages = realloc(r->ages, cap * sizeof(ages[0]));

			if (!ages)
				return -ENOMEM;
			r->ages = ages;
			r->cap = cap;
		}
		r->ages[r->nages++] = age_of(r, &e);
	}
	return 0;
}

static int by_age(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? 1 : x > y ? -1 : 0; /* the oldest first */
}

/* As if all chunks were as large as a new one. */
static void choose_age(struct round *r)
{
	const uint64_t n = r->excess / r->c->params.chunk_size + 1;

	if (r->nages == 0)
		return;
	qsort(r->ages, r->nages, sizeof(r->ages[0]), by_age);
	r->age_min = r->ages[ovbd_min(n, r->nages) - 1];
}

static int leave(struct round *r, const struct cache_file *f, uint64_t chunk)
{
	struct leaving *l = r->leaving;

	if (l && l->first + l->n == chunk && strcmp(l->name, f->name) == 0) {
		l->n++;
		return 0;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct leaving){.next = r->leaving, .first = chunk, .n = 1};
	memcpy(l->name, f->name, sizeof(l->name));
	r->leaving = l;
	return 0;
}

/* Whether the data file has something where the map has nothing. */
static bool is_stray(const struct cache_file *f, uint64_t chunk)
{
	const uint64_t off = cache_chunk_off(f, chunk);
	const off_t data = lseek(f->data_fd, (off_t)off, SEEK_DATA);

	return data >= 0 && (uint64_t)data < off + cache_chunk_len(f, chunk);
}

/* The chunk's lock is held. */
static int take_out(struct round *r, struct cache_file *f, uint64_t chunk, bool pinned)
{
	struct cache_entry e = cache_entry_load(f, chunk);

	if (!e.present)
		return is_stray(f, chunk) ? leave(r, f, chunk) : 0;
	if (pinned || r->excess == 0 || age_of(r, &e) < r->age_min)
		return 0;
	e.present = false;
	if (cache_entry_store(f, chunk, &e) < 0)
		return 0;
	r->excess -= ovbd_min(r->excess, cache_chunk_len(f, chunk));
	atomic_fetch_add(&r->c->nevicted, 1);
	ovbd_remote_count(OVBD_COUNT_EVICTED, 1);
	return leave(r, f, chunk);
}

static int take_out_all(void *ctx, struct cache_file *f)
{
	struct round *r = ctx;
	const bool pinned = cache_is_pinned(r->c, f->name);
	int code = 0;

	for (uint64_t i = 0; code == 0 && i < f->nchunks; i++) {
		if (!cache_lock_try(f->map_fd, CACHE_LOCK_AT + (int64_t)i, 1))
			continue; /* on its way in */
		code = take_out(r, f, i, pinned);
		cache_unlock(f->map_fd, CACHE_LOCK_AT + (int64_t)i, 1);
	}
	return code;
}

static void punch(struct cache_file *f, uint64_t chunk)
{
	const int64_t lock = CACHE_LOCK_AT + (int64_t)chunk;

	if (!cache_lock_try(f->map_fd, lock, 1))
		return;
	if (!cache_entry_load(f, chunk).present &&
	    fallocate(f->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	              (off_t)cache_chunk_off(f, chunk), (off_t)cache_chunk_len(f, chunk)) < 0)
		cache_trouble(f->cache, -errno, f->name);
	cache_unlock(f->map_fd, lock, 1);
}

static int remove_if_empty(void *ctx, struct cache_file *f)
{
	(void)ctx;
	for (uint64_t i = 0; i < f->nchunks; i++)
		if (cache_entry_load(f, i).present)
			return 0;
	cache_file_remove(f);
	return 0;
}

static void punch_all(struct round *r)
{
	for (const struct leaving *l = r->leaving; l; l = l->next) {
		struct cache_file f;

		if (!cache_file_peek(r->c, l->name, &f))
			continue;
		for (uint64_t i = 0; i < l->n && l->first + i < f.nchunks; i++)
			punch(&f, l->first + i);
		cache_file_unpeek(&f);
	}
	cache_each_file(r->c, remove_if_empty, r);
}

/* False: the cache is to be closed. */
static bool sleep_ms(struct ovbd_cache *c, unsigned ms)
{
	struct timespec until;
	int r = 0;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000 + 1; /* coarse clocks are late */
	pthread_mutex_lock(&c->lock);
	while (!c->stop && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&c->work, &c->lock, &until);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return !stop;
}

/* Until target bytes are left of used. LOCK_EVICT is held. */
static void evict_to(struct ovbd_cache *c, uint64_t used, uint64_t target)
{
	struct round r = {
		.c = c,
		.excess = used - ovbd_min(used, target),
		.now = cache_now_s(),
	};
	int code;

	code = cache_each_file(c, collect, &r);
	choose_age(&r);
	free(r.ages);
	if (code == 0)
		code = cache_each_file(c, take_out_all, &r);
	if (code < 0)
		cache_trouble(c, code, "evicting");
	if (r.leaving && sleep_ms(c, CACHE_GRACE_MS))
		punch_all(&r);
	cache_sweep(c);
	cache_recount(c);
	while (r.leaving) {
		struct leaving *l = r.leaving;

		r.leaving = l->next;
		free(l);
	}
}

static void evict(struct ovbd_cache *c)
{
	const struct ovbd_cache_params *p = &c->params;
	const uint64_t used = cache_recount(c);

	if (used > p->size_max / 100 * p->high_percent)
		evict_to(c, used, p->size_max / 100 * p->low_percent);
}

int ovbd_cache_gc(struct ovbd_cache *c, uint64_t size, uint64_t *ret, struct ovbd_error *err)
{
	const struct timespec poll = {.tv_nsec = GC_POLL_MS * 1000000L};
	uint64_t used, before;

	for (unsigned waited = 0; !cache_evict_begin(c); waited += GC_POLL_MS) {
		if (waited >= GC_WAIT_MS)
			return ovbd_fail(err, -EBUSY, "%s: another process evicts", c->path);
		nanosleep(&poll, NULL);
	}
	used = cache_recount(c);
	do { /* more than once: chunks may be in flight, and their sizes are guessed */
		before = used;
		evict_to(c, used, size);
		used = cache_recount(c);
	} while (used > size && used < before);
	cache_evict_end(c);
	*ret = used;
	return 0;
}

void *cache_evict_thread(void *arg)
{
	struct ovbd_cache *c = arg;
	bool stop;

	do {
		pthread_mutex_lock(&c->lock);
		while (!c->crowded && !c->stop)
			pthread_cond_wait(&c->work, &c->lock);
		stop = c->stop;
		pthread_mutex_unlock(&c->lock);
		if (stop)
			break;
		if (cache_evict_begin(c)) {
			evict(c);
			cache_evict_end(c);
		}
		pthread_mutex_lock(&c->lock);
		c->crowded = false; /* whoever wants room sets it again */
		pthread_mutex_unlock(&c->lock);
	} while (sleep_ms(c, 0));
	return NULL;
}
