/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory that keeps chunks of remote blobs, for all blobs and processes that name it.
 * docs/format-cache.md has what is in it.
 *
 * What a cached blob reads is what its source said, or an error: every chunk has a checksum, and is
 * held against it when this process first uses it. A chunk that is wrong is dropped, read from the
 * source again, and counted. A cache that cannot be written (full, read-only) serves all the same.
 *
 * Any thread. Close a cache after the last of its blobs.
 */
#ifndef OVBD_REMOTE_CACHE_H
#define OVBD_REMOTE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"

#define OVBD_CACHE_CHUNK_MIN 4096u
#define OVBD_CACHE_CHUNK_MAX (4u << 20)

struct ovbd_cache;

/* 0 in any field means its default. */
struct ovbd_cache_params {
	uint64_t size_max;     /* bytes the directory may take; default 4 GiB, at least 16 chunks */
	uint32_t chunk_size;   /* of blobs new to it: a power of two, OVBD_CACHE_CHUNK_MIN..MAX;
	                      * default 256 KiB */
	unsigned high_percent; /* of size_max: from there on chunks are evicted; default 90 */
	unsigned low_percent;  /* until so much is left; default 8/9 of that */
	uint64_t memory_max;   /* bytes of chunks that wait to be written; default 64 MiB */
	/* Called once, by any thread, when something first keeps it from storing; not to call back.
	 * NULL: nobody wants to know, see ovbd_cache_trouble(). */
	void (*told)(void *arg, const char *sentence);
	/* The same, once for each blob that is all there and has another digest than its key
	 * names. */
	void (*told_wrong)(void *arg, const char *sentence);
	void *arg;
};

struct ovbd_cache_stats {
	uint64_t hit_bytes;    /* read from the directory */
	uint64_t source_reads; /* of sources, and their bytes */
	uint64_t source_bytes;
	uint64_t stored_bytes; /* written into the directory */
	uint64_t nbad;         /* chunks that were wrong, or could not be read, and were dropped */
	uint64_t
		nrefetched; /* chunks that a checksum above contradicted, and were asked for anew */
	uint64_t nevicted;  /* chunks */
	uint64_t nunstored; /* chunks served but not kept: see trouble, or no room in time */
	uint64_t nwhole;    /* blobs that were all there and had their digests; or had not: */
	uint64_t nwrong;
	uint64_t used; /* bytes the directory takes, as last counted, by anyone */
};

/* Opens DIR, which is made if it is not there (not its parents); everything is in DIR/ovbd-cache-1,
 * and nothing else in DIR is ever touched. p may be NULL. -EACCES, -ENOENT, -ENOTDIR, -EROFS… */
int ovbd_cache_open(const char *dir, const struct ovbd_cache_params *p, struct ovbd_cache **ret,
                    struct ovbd_error *err);

/* What has been read is written before. NULL is fine. */
void ovbd_cache_close(struct ovbd_cache *take_c);

static inline void ovbd_cache_closep(struct ovbd_cache **c)
{
	ovbd_cache_close(*c);
}

/* take_source through c. key says what its content is, for ever: a digest, or URL, size and ETag.
 * It works, uncached, also if c's directory cannot be written.
 *
 * What is all there and has a sha256 in its key (remote/cache_key.h) is held against that once, in
 * the background, and marked. If it is another, all of it is dropped, and read anew from source. */
int ovbd_cache_blob_open(struct ovbd_cache *c, const char *key, struct ovbd_blob *take_source,
                         struct ovbd_blob **ret, struct ovbd_error *err);

/* The same, in chunks of this size (as in the parameters) if the blob is new to the directory; 0:
 * of c's size. */
int ovbd_cache_blob_open_chunks(struct ovbd_cache *c, const char *key, uint32_t chunk_size,
                                struct ovbd_blob *take_source, struct ovbd_blob **ret,
                                struct ovbd_error *err);

struct ovbd_cache_stats ovbd_cache_stats(struct ovbd_cache *c);

/* Whether something keeps c from storing; then *ret says what. */
bool ovbd_cache_trouble(struct ovbd_cache *c, struct ovbd_error *ret);

#endif
