// SPDX-License-Identifier: Apache-2.0
/*
 * Filled chunks wait in a queue; one thread takes all there are, writes their data, has the files
 * synced, and only then enters them into the maps. So a map never has what a power cut could take
 * from the data file. An entry itself may get lost: then the chunk is fetched again.
 *
 * What waits takes memory. When that is used up, who fills waits for room, for ROOM_WAIT_MS; a disk
 * that is slower than that is not worth more, and the chunk is not kept.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "remote/cache_impl.h"

#define BATCH        64u
#define ROOM_WAIT_MS 2000
#define TROUBLE_MS   10000u /* after an error nothing is tried for so long */

static bool in_trouble(const struct ovbd_cache *c)
{
	return c->trouble_ms && cache_now_ms() - c->trouble_ms < TROUBLE_MS;
}

/* Under c->lock. */
static bool wait_for_room(struct ovbd_cache *c, size_t len)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ROOM_WAIT_MS / 1000;
	while (c->held > 0 && c->held + len > c->params.memory_max)
		if (pthread_cond_timedwait(&c->room, &c->lock, &until) == ETIMEDOUT)
			return false;
	return true;
}

void cache_store(struct ovbd_cache *c, struct cache_fill *take_fill)
{
	unsigned n;
	bool taken;

	pthread_mutex_lock(&c->lock);
	taken = !in_trouble(c) && wait_for_room(c, take_fill->len);
	if (taken) {
		c->held += take_fill->len;
		take_fill->then = NULL;
		*c->queue_end = take_fill;
		c->queue_end = &take_fill->then;
		pthread_cond_broadcast(&c->work);
	}
	pthread_mutex_unlock(&c->lock);
	if (taken)
		return;
	n = (unsigned)__builtin_popcountll(take_fill->fresh);
	atomic_fetch_add(&c->nunstored, n);
	ovbd_remote_count(OVBD_COUNT_UNSTORED, n);
	cache_fill_retire(take_fill);
}

/* The data. What cannot be written is not fresh any more. */
static void write_data(struct cache_fill *fill)
{
	struct cache_file *f = fill->file;
	struct ovbd_cache *c = f->cache;

	for (unsigned i = 0; i < fill->n; i++) {
		const uint64_t chunk = fill->first + i;
		const uint32_t len = cache_chunk_len(f, chunk);
		int r;

		if (!(fill->fresh >> i & 1))
			continue;
		r = cache_quota_take(c, len) ? cache_data_write(f, cache_fill_bytes(fill, i), len,
		                                                cache_chunk_off(f, chunk))
		                             : -EDQUOT;
		if (r == 0)
			continue;
		if (r != -EDQUOT)
			cache_trouble(c, r, f->name);
		fill->fresh &= ~(UINT64_C(1) << i);
		atomic_fetch_add(&c->nunstored, 1);
		ovbd_remote_count(OVBD_COUNT_UNSTORED, 1);
	}
}

/* The map, after the data are safe. */
static void write_entries(struct cache_fill *fill)
{
	struct cache_file *f = fill->file;

	cache_whole_forget(f->cache, f->name);
	for (unsigned i = 0; i < fill->n; i++) {
		const uint64_t chunk = fill->first + i;
		const uint32_t len = cache_chunk_len(f, chunk);
		struct cache_entry e = {.present = true, .used = cache_now_s()};

		if (!(fill->fresh >> i & 1))
			continue;
		e.crc = ovbd_crc32c(~0u, cache_fill_bytes(fill, i), len);
		e.gen = (uint16_t)(cache_entry_load(f, chunk).gen + 1);
		if (cache_entry_store(f, chunk, &e) < 0)
			continue;
		cache_chunk_verified(f, chunk, e.gen, cache_now_ms());
		atomic_fetch_add(&f->cache->stored_bytes, len);
		ovbd_remote_count(OVBD_COUNT_STORED_BYTES, len);
	}
	cache_check_stored(f);
}

/* Has the file of fills[i] synced, unless one before has done so. */
static void sync_file(struct ovbd_cache *c, struct cache_fill **fills, unsigned n, unsigned i)
{
	struct cache_file *f = fills[i]->file;
	unsigned k = 0;

	while (fills[k]->file != f || !fills[k]->fresh)
		k++;
	if (k < i || fdatasync(f->data_fd) == 0)
		return;
	cache_trouble(c, -errno, f->name);
	for (k = i; k < n; k++)
		if (fills[k]->file == f)
			fills[k]->fresh = 0;
}

/* Data of all, then one sync a file that has some, then the maps. */
static void store_all(struct ovbd_cache *c, struct cache_fill **fills, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		write_data(fills[i]);
	for (unsigned i = 0; i < n; i++)
		if (fills[i]->fresh)
			sync_file(c, fills, n, i);
	for (unsigned i = 0; i < n; i++)
		if (fills[i]->fresh)
			write_entries(fills[i]);
}

void *cache_store_thread(void *arg)
{
	struct ovbd_cache *c = arg;

	pthread_mutex_lock(&c->lock);
	while (c->queue || !c->stop) {
		struct cache_fill *fills[BATCH];
		uint64_t len = 0;
		unsigned n = 0;

		if (!c->queue) {
			pthread_cond_wait(&c->work, &c->lock);
			continue;
		}
		while (c->queue && n < BATCH) {
			fills[n] = c->queue;
			len += fills[n]->len;
			c->queue = fills[n++]->then;
		}
		if (!c->queue)
			c->queue_end = &c->queue;
		pthread_mutex_unlock(&c->lock);
		store_all(c, fills, n);
		for (unsigned i = 0; i < n; i++)
			cache_fill_retire(fills[i]);
		pthread_mutex_lock(&c->lock);
		c->held -= len;
		pthread_cond_broadcast(&c->room);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}
