// SPDX-License-Identifier: Apache-2.0
/*
 * A source that said something wrong, once, is kept with a checksum that is right. Whoever has a
 * checksum of his own finds it, and says so. The chunk is not dropped at once, as that is for who
 * holds its lock: it is noted which generation of it is not to be believed, and the next fill drops
 * that, and asks the source.
 *
 * If that brings nothing better, it is the source that is wrong: then others who find the same are
 * given what is there, for a while, and the source is not asked by each of them.
 */
#include "base/bytes.h"
#include "remote/cache_impl.h"

struct cache_doubt {
	uint64_t when_ms; /* 0: never */
	uint16_t gen;
	bool pending; /* a chunk of this generation is wrong */
};

/* Until nobody of this process is about to store it. False: somebody is fetching it only now.
 * Under the file's lock. */
static bool settled(struct cache_file *f, uint64_t chunk)
{
	struct cache_fill *fill;

	while ((fill = cache_fill_find(f, chunk))) {
		fill->refs--; /* the list has one still */
		if (!fill->done)
			return false;
		pthread_cond_wait(&f->changed, &f->lock);
	}
	return true;
}

void cache_doubt(struct cache_file *f, uint64_t chunk)
{
	const uint64_t now = cache_now_ms();
	struct cache_doubt *d;

	pthread_mutex_lock(&f->lock);
	if (!f->doubts)
		f->doubts = ovbd_array_alloc(f->nchunks, sizeof(f->doubts[0]));
	d = f->doubts ? &f->doubts[chunk] : NULL;
	if (d && (d->when_ms == 0 || now - d->when_ms >= CACHE_DOUBT_MS) && settled(f, chunk)) {
		const struct cache_entry e = cache_entry_load(f, chunk);

		*d = (struct cache_doubt){.when_ms = now, .gen = e.gen, .pending = e.present};
		atomic_store(&f->notes[chunk], 0);
		atomic_fetch_add(&f->cache->nrefetched, 1);
		ovbd_remote_count(OVBD_COUNT_DISTRUSTED, 1);
	}
	pthread_mutex_unlock(&f->lock);
}

bool cache_doubted(struct cache_file *f, uint64_t chunk, const struct cache_entry *e)
{
	bool doubted;

	pthread_mutex_lock(&f->lock);
	doubted = f->doubts && f->doubts[chunk].pending && f->doubts[chunk].gen == e->gen;
	pthread_mutex_unlock(&f->lock);
	return doubted;
}
