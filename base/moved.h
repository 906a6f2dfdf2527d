/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds blocks of one image in another, wherever they have moved to. An update mostly moves blocks,
 * and what is moved need not be stored.
 *
 * Once made, the index may be asked from any thread, each with working memory of its own.
 */
#ifndef OVBD_BASE_MOVED_H
#define OVBD_BASE_MOVED_H

#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"

#define OVBD_MOVED_NONE UINT64_MAX

struct ovbd_moved_params {
	uint32_t block_size;       /* bytes, > 0 */
	unsigned nthreads;         /* > 0; the index is the same for any number */
	ovbd_progress_fn progress; /* bytes of old that have been read; may be NULL */
	void *progress_arg;
};

struct ovbd_moved;

/* Reads all of old (but for its holes), which stays the caller's and must outlive the index.
 * Blocks lie at multiples of their size; zeros, and what is left at the end, are not indexed.
 * Memory: 8 bytes a block of old that is not zero, twice that while the index is made. -E2BIG: old
 * has 2^32 blocks or more. */
int ovbd_moved_open(struct ovbd_blob *old, const struct ovbd_moved_params *p,
                    struct ovbd_moved **ret, struct ovbd_error *err);

/* Looks for the block_size bytes of data, which lie at block number place of the new image. 1:
 * block *ret of old has exactly these bytes, compared one by one. 0: none was found. -errno: old
 * cannot be read.
 *
 * Where old has several it is the one at place, else the one at next (the caller's idea of what
 * would go on with the run before, or OVBD_MOVED_NONE), else the one nearest to place.
 * work: block_size bytes of memory. */
int ovbd_moved_find(const struct ovbd_moved *m, const void *data, uint64_t place, uint64_t next,
                    void *work, uint64_t *ret, struct ovbd_error *err);

/* Blocks indexed. */
uint64_t ovbd_moved_count(const struct ovbd_moved *m);

/* NULL is fine. */
void ovbd_moved_close(struct ovbd_moved *take_m);

static inline void ovbd_moved_closep(struct ovbd_moved **m)
{
	ovbd_moved_close(*m);
}

#endif
