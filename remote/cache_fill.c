// SPDX-License-Identifier: Apache-2.0
/*
 * A fill reads a run of chunks into memory for all who want them:
 *
 *     what the map has, not used yet:  data file ──► checksum right? ──► memory
 *     all else:                        source ─────────────────────────► memory ──► store
 *
 * It is in its file's list, and so found by other readers, until what it has is on disk or is known
 * not to get there. Before it asks the source it takes the chunks' locks, so that of several
 * processes one asks; the others look again until the chunks are there, and for WAIT_MS at most:
 * a process that is slow, or stopped, must not stop others.
 */
#include <errno.h>
#include <time.h>

#include "base/crc32c.h"
#include "base/bytes.h"
#include "remote/cache_impl.h"
#include "remote/patience.h"

#define WAIT_MS 10000
#define POLL_MS 10

struct cache_fill *cache_fill_find(struct cache_file *f, uint64_t chunk)
{
	struct cache_fill *fill = f->fills;

	while (fill && (chunk < fill->first || chunk - fill->first >= fill->n))
		fill = fill->next;
	if (fill)
		fill->refs++;
	return fill;
}

struct cache_fill *cache_fill_add(struct cache_file *f, uint64_t first, unsigned n)
{
	struct cache_fill *fill = calloc(1, sizeof(*fill));

	if (!fill)
		return NULL;
	*fill = (struct cache_fill){.file = f, .first = first, .n = n, .refs = 2};
	fill->len = (size_t)(cache_chunk_off(f, first + n - 1) + cache_chunk_len(f, first + n - 1) -
	                     cache_chunk_off(f, first));
	fill->buf = malloc(fill->len);
	if (!fill->buf) {
		free(fill);
		return NULL;
	}
	fill->next = f->fills;
	f->fills = fill;
	return fill;
}

/* Under the file's lock. */
static void unref(struct cache_fill *fill)
{
	if (--fill->refs > 0)
		return;
	free(fill->buf);
	free(fill);
}

void cache_fill_release(struct cache_fill *take_fill)
{
	struct cache_file *f = take_fill->file;

	pthread_mutex_lock(&f->lock);
	unref(take_fill);
	pthread_mutex_unlock(&f->lock);
}

void cache_fill_retire(struct cache_fill *take_fill)
{
	struct cache_file *f = take_fill->file;
	struct cache_fill **at = &f->fills;

	if (take_fill->locked)
		cache_unlock(f->map_fd, CACHE_LOCK_AT + (int64_t)take_fill->first, take_fill->n);
	pthread_mutex_lock(&f->lock);
	while (*at != take_fill)
		at = &(*at)->next;
	*at = take_fill->next;
	unref(take_fill);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

void cache_fill_wait(struct cache_fill *fill)
{
	struct cache_file *f = fill->file;

	pthread_mutex_lock(&f->lock);
	while (!fill->done)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* Reads what the data file has of the chunks that are still missing, and takes what is right.
 * Returns those that are missing then. */
static uint64_t from_disk(struct cache_fill *fill, uint64_t missing)
{
	struct cache_file *f = fill->file;

	for (unsigned i = 0; i < fill->n; i++) {
		const uint64_t chunk = fill->first + i;
		const uint64_t seen = cache_now_ms();
		const uint32_t len = cache_chunk_len(f, chunk);
		struct cache_entry e;

		if (!(missing >> i & 1))
			continue;
		e = cache_entry_load(f, chunk);
		if (!e.present || cache_doubted(f, chunk, &e))
			continue;
		if (cache_data_read(f, cache_fill_bytes(fill, i), len, cache_chunk_off(f, chunk)) ==
		            0 &&
		    ovbd_crc32c(~0u, cache_fill_bytes(fill, i), len) == e.crc) {
			missing &= ~(UINT64_C(1) << i);
			atomic_fetch_add(&f->cache->hit_bytes, len);
			cache_chunk_verified(f, chunk, e.gen, seen);
		}
	}
	return missing;
}

/* Whether an entry of a missing chunk is there, which is wrong if from_disk() has not taken it. */
static void drop_wrong(struct cache_fill *fill, uint64_t missing)
{
	struct cache_file *f = fill->file;

	for (unsigned i = 0; i < fill->n; i++) {
		const uint64_t chunk = fill->first + i;
		struct cache_entry e;

		if (!(missing >> i & 1))
			continue;
		e = cache_entry_load(f, chunk);
		if (!e.present)
			continue;
		if (!cache_doubted(f, chunk, &e)) {
			atomic_fetch_add(&f->cache->nbad, 1);
			ovbd_remote_count(OVBD_COUNT_BAD_CHUNKS, 1);
		}
		e.present = false;
		cache_entry_store(f, chunk, &e);
	}
}

/* Until the chunks are locked, or another process has stored them all. */
static uint64_t lock_or_wait(struct cache_fill *fill, uint64_t missing)
{
	const struct timespec poll = {.tv_nsec = POLL_MS * 1000000L};
	struct cache_file *f = fill->file;

	for (unsigned waited = 0; missing && f->map_fd >= 0; waited += POLL_MS) {
		fill->locked =
			cache_lock_try(f->map_fd, CACHE_LOCK_AT + (int64_t)fill->first, fill->n);
		missing = from_disk(fill, missing); /* another may have stored them before */
		if (fill->locked || waited >= WAIT_MS)
			break;
		nanosleep(&poll, NULL);
	}
	return missing;
}

/* The runs of missing chunks, each in one read. */
static int from_source(struct cache_fill *fill, uint64_t missing, struct ovbd_blob *source)
{
	struct cache_file *f = fill->file;
	unsigned i = 0;

	while (i < fill->n) {
		const unsigned start = i;
		uint64_t off, len;
		int r;

		while (i < fill->n && (missing >> i & 1))
			i++;
		if (i == start) {
			i++;
			continue;
		}
		off = cache_chunk_off(f, fill->first + start);
		len = cache_chunk_off(f, fill->first + i - 1) +
		      cache_chunk_len(f, fill->first + i - 1) - off;
		atomic_fetch_add(&f->cache->source_reads, 1);
		r = ovbd_blob_pread(source, cache_fill_bytes(fill, start), (size_t)len, off,
		                    &fill->err);
		if (r < 0)
			return r;
		atomic_fetch_add(&f->cache->source_bytes, len);
	}
	return 0;
}

void cache_fill_run(struct cache_fill *fill, struct ovbd_blob *source)
{
	struct cache_file *f = fill->file;
	const struct ovbd_patience before = ovbd_patience();
	struct ovbd_patience after = before;
	const uint64_t start = cache_now_ms();
	uint64_t missing = fill->n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << fill->n) - 1;

	if (f->map_fd >= 0)
		missing = from_disk(fill, missing);
	missing = lock_or_wait(fill, missing);
	if (fill->locked)
		drop_wrong(fill, missing);
	fill->fetched = missing != 0;
	after.spent_ms += cache_now_ms() - start; /* for another process, perhaps */
	ovbd_patience_set(after);
	if (missing)
		fill->code = from_source(fill, missing, source);
	ovbd_patience_set(before);
	fill->fresh = fill->code == 0 && fill->locked ? missing : 0;
	pthread_mutex_lock(&f->lock);
	fill->done = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	if (fill->fresh)
		cache_store(f->cache, fill);
	else
		cache_fill_retire(fill);
}
