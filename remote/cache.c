// SPDX-License-Identifier: Apache-2.0
/*
 * The blob: a read is cut into windows, and of each window it is settled under the file's lock who
 * has what:
 *
 *     ready    the data file is read at once, without a lock
 *     joined   somebody's fill, to wait for
 *     own      chunks nobody has: fills that are put into the list before anything is fetched, and
 *              are then run side by side
 *
 * What is ready counts only if it was read in time (cache_impl.h). If not, or if the data file has
 * not got it, the window is settled anew, its chunk being no longer known as good.
 */
#include "remote/cache.h"

#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/thread.h"
#include "remote/cache_impl.h"
#include "remote/patience.h"

#define PARTS_MAX   32u
#define TRIES_MAX   8u /* then the source is asked directly */
#define WINDOW_SIZE (16u << 20)
#define AGAIN       1

struct cached_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *source;
	struct cache_file *file;
};

/* A run of chunks that come from the same place. */
struct part {
	uint64_t first, n;
	uint64_t seen;           /* ready: the oldest of their entries */
	struct cache_fill *fill; /* NULL: ready */
	bool own;
	pthread_t thread;
	bool threaded;
	struct ovbd_blob *source;
	struct ovbd_patience patience; /* of the reader */
};

struct window {
	struct cached_blob *b;
	uint8_t *buf;
	uint64_t off;
	size_t len;
	struct part parts[PARTS_MAX];
	unsigned nparts;
	bool fetched; /* some of it was not in the cache */
};

static struct cached_blob *cached_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct cached_blob, blob);
}

/* Whether a fill may find it on disk: who wants only such chunks is not to wait for a server. */
static bool is_on_disk(const struct cache_file *f, uint64_t chunk)
{
	return cache_entry_load(f, chunk).present;
}

/* How many chunks from here on nobody has, of at most n, and come from the same place, the disk or
 * the source. Under the file's lock. */
static unsigned count_missing(struct cache_file *f, uint64_t chunk, uint64_t n)
{
	const uint64_t by_size = CACHE_FILL_SIZE / f->header.chunk_size;
	const unsigned max = (unsigned)ovbd_min(n, ovbd_min(by_size, CACHE_FILL_CHUNKS));
	const bool on_disk = is_on_disk(f, chunk);
	unsigned k = 1;

	while (k < max) {
		struct cache_fill *fill = cache_fill_find(f, chunk + k);
		uint64_t seen;

		if (fill)
			fill->refs--; /* the list has one still */
		if (fill || cache_chunk_ready(f, chunk + k, &seen) ||
		    is_on_disk(f, chunk + k) != on_disk)
			break;
		k++;
	}
	return k;
}

/* One more part, from chunk on. 0: no memory. Under the file's lock. */
static unsigned add_part(struct window *w, uint64_t chunk, uint64_t n)
{
	struct cache_file *f = w->b->file;
	struct part *p = &w->parts[w->nparts];

	*p = (struct part){
		.first = chunk,
		.n = 1,
		.source = w->b->source,
		.patience = ovbd_patience(),
	};
	p->fill = cache_fill_find(f, chunk);
	if (p->fill) {
		p->n = ovbd_min(n, p->fill->first + p->fill->n - chunk);
	} else if (cache_chunk_ready(f, chunk, &p->seen)) {
		uint64_t seen;

		while (p->n < n && cache_chunk_ready(f, chunk + p->n, &seen)) {
			p->seen = ovbd_min(p->seen, seen);
			p->n++;
		}
	} else {
		p->n = count_missing(f, chunk, n);
		p->fill = cache_fill_add(f, chunk, (unsigned)p->n);
		p->own = true;
		if (!p->fill)
			return 0;
	}
	w->nparts++;
	return (unsigned)p->n;
}

/* The parts of a window; it becomes shorter if there are too many. */
static int settle(struct window *w)
{
	struct cache_file *f = w->b->file;
	const uint32_t size = f->header.chunk_size;
	const uint64_t end = (w->off + w->len - 1) / size + 1;
	uint64_t chunk = w->off / size;
	int r = 0;

	w->nparts = 0;
	pthread_mutex_lock(&f->lock);
	while (chunk < end && w->nparts < PARTS_MAX) {
		const unsigned n = add_part(w, chunk, end - chunk);

		if (n == 0) {
			r = -ENOMEM;
			break;
		}
		chunk += n;
	}
	pthread_mutex_unlock(&f->lock);
	if (chunk < end)
		w->len = (size_t)(ovbd_min(chunk * size, w->off + w->len) - w->off);
	return r;
}

static void *run_fill(void *arg)
{
	struct part *p = arg;

	ovbd_patience_set(p->patience);
	cache_fill_run(p->fill, p->source);
	return NULL;
}

/* All of them at once; the last in this thread. */
static void run_own(struct window *w)
{
	struct part *mine = NULL;

	for (unsigned i = 0; i < w->nparts; i++) {
		struct part *p = &w->parts[i];

		if (!p->own)
			continue;
		if (mine) {
			mine->threaded = ovbd_thread_start(&mine->thread, run_fill, mine) == 0;
			if (!mine->threaded)
				run_fill(mine);
		}
		mine = p;
	}
	if (mine)
		run_fill(mine);
	for (unsigned i = 0; i < w->nparts; i++)
		if (w->parts[i].threaded)
			pthread_join(w->parts[i].thread, NULL);
}

/* What of the window lies in p. */
static void range_of(const struct window *w, const struct part *p, uint64_t *off, size_t *len)
{
	const uint32_t size = w->b->file->header.chunk_size;
	const uint64_t start = p->first * size, end = (p->first + p->n) * size;

	*off = start > w->off ? start : w->off;
	*len = (size_t)(ovbd_min(end, w->off + w->len) - *off);
}

/* AGAIN: not what was expected; the chunks are to be looked at again. */
static int take_ready(struct window *w, const struct part *p)
{
	struct cache_file *f = w->b->file;
	uint64_t off;
	size_t len;

	range_of(w, p, &off, &len);
	if (cache_data_read(f, w->buf + (off - w->off), len, off) == 0 &&
	    cache_now_ms() - p->seen < CACHE_READ_MS) {
		atomic_fetch_add(&f->cache->hit_bytes, len);
		return 0;
	}
	for (uint64_t i = 0; i < p->n; i++)
		atomic_store(&f->notes[p->first + i], 0);
	return AGAIN;
}

static int take_filled(struct window *w, const struct part *p, struct ovbd_error *err)
{
	const struct cache_fill *fill = p->fill;
	uint64_t off;
	size_t len;

	if (fill->code == -ECANCELED && !p->own)
		return AGAIN; /* whose it was has lost interest */
	if (fill->code < 0)
		return ovbd_fail(err, fill->code, "%s", fill->err.msg);
	range_of(w, p, &off, &len);
	memcpy(w->buf + (off - w->off),
	       fill->buf + (off - cache_chunk_off(fill->file, fill->first)), len);
	return 0;
}

static int read_window(struct window *w, struct ovbd_error *err)
{
	int r = settle(w);

	run_own(w);
	for (unsigned i = 0; i < w->nparts; i++) {
		struct part *p = &w->parts[i];

		if (r == 0 && p->fill)
			cache_fill_wait(p->fill);
		if (r == 0 && p->fill)
			w->fetched |= p->fill->fetched;
		if (r == 0)
			r = p->fill ? take_filled(w, p, err) : take_ready(w, p);
		if (p->fill)
			cache_fill_release(p->fill);
	}
	return r;
}

/* *fetched: whether the source was needed. */
static int read_all(struct cached_blob *b, void *buf, size_t len, uint64_t off, bool *fetched,
                    struct ovbd_error *err)
{
	uint8_t *dst = buf;
	unsigned tries = 0;

	while (len > 0) {
		struct window w = {.b = b, .buf = dst, .off = off};
		int r;

		w.len = (size_t)ovbd_min(len, WINDOW_SIZE - off % WINDOW_SIZE);
		r = read_window(&w, err);
		*fetched |= w.fetched;
		if (r == AGAIN && ++tries < TRIES_MAX)
			continue;
		if (r == -ENOMEM || r == AGAIN) {
			*fetched = true;
			r = ovbd_blob_pread(b->source, dst, w.len, off, err);
		}
		if (r < 0)
			return r;
		dst += w.len;
		off += w.len;
		len -= w.len;
	}
	return 0;
}

static int cached_pread(struct ovbd_blob *blob, void *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	const uint64_t begin = ovbd_remote_now_ns();
	bool fetched = false;
	const int r = read_all(cached_of(blob), buf, len, off, &fetched, err);

	if (!fetched)
		ovbd_remote_count_read(OVBD_SOURCE_CACHE, ovbd_remote_now_ns() - begin, len, r);
	return r;
}

static char *cached_key(struct ovbd_blob *b)
{
	return strdup(cached_of(b)->file->header.key);
}

/* The source may have said something wrong, and then the map's checksum is one of that. */
static bool cached_distrust(struct ovbd_blob *blob, uint64_t off, uint64_t len)
{
	struct cached_blob *b = cached_of(blob);
	const uint32_t size = b->file->header.chunk_size;

	ovbd_blob_distrust(b->source, off, len);
	for (uint64_t chunk = off / size; chunk <= (off + len - 1) / size; chunk++)
		cache_doubt(b->file, chunk);
	return true;
}

static void cached_close(struct ovbd_blob *blob)
{
	struct cached_blob *b = cached_of(blob);

	if (b->file)
		cache_file_close(b->file);
	ovbd_blob_close(b->source);
	free(b);
}

static const struct ovbd_blob_ops cached_ops = {
	.name = "cached blob",
	.pread = cached_pread,
	.key = cached_key,
	.distrust = cached_distrust,
	.close = cached_close,
};

int ovbd_cache_blob_open_chunks(struct ovbd_cache *c, const char *key, uint32_t chunk_size,
                                struct ovbd_blob *take_source, struct ovbd_blob **ret,
                                struct ovbd_error *err)
{
	AUTO_BLOB *source = take_source;
	AUTO_BLOB *b = NULL;
	struct cached_blob *cached = calloc(1, sizeof(*cached));
	int r;

	if (!cached)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &cached->blob;
	*b = (struct ovbd_blob){.ops = &cached_ops, .size = source->size};
	cached->source = OVBD_MOVE(source);
	r = cache_file_open(c, key, b->size, chunk_size, &cached->file, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(b);
	return 0;
}

int ovbd_cache_blob_open(struct ovbd_cache *c, const char *key, struct ovbd_blob *take_source,
                         struct ovbd_blob **ret, struct ovbd_error *err)
{
	return ovbd_cache_blob_open_chunks(c, key, 0, take_source, ret, err);
}
