/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings ranges of blobs (remote/ahead.h) in the background, in a given order, several at a time.
 * How many is found out: more are in flight for as long as that does not make each take longer.
 * While a read waits for something that nobody has planned, no more than one is.
 */
#ifndef OVBD_REMOTE_PREFETCH_H
#define OVBD_REMOTE_PREFETCH_H

#include "base/blob.h"

#define OVBD_PREFETCH_CONCURRENCY     16u
#define OVBD_PREFETCH_CONCURRENCY_MAX 256u
#define OVBD_PREFETCH_PIECE           (256u << 10) /* bytes of one request, at most */

/* 0 in any field means its default. */
struct ovbd_prefetch_params {
	unsigned concurrency; /* requests in flight, at most; default OVBD_PREFETCH_CONCURRENCY */
	uint64_t rate;        /* bytes a second, at most; default: no limit */
};

struct ovbd_prefetch_range {
	uint32_t blob; /* its number */
	uint64_t off, len;
};

/* What to ask for so that all ranges come, none of their bytes twice, in few requests: ranges that
 * overlap or touch become one, and so do those with a gap between them, the smallest gaps first,
 * until gaps are a sixteenth of the bytes named. None is longer than OVBD_PREFETCH_PIECE. Each
 * comes when the first of what it holds would. *ret is to be freed; *ret_named is how many bytes
 * the ranges name, each counted once. */
int ovbd_prefetch_plan(const struct ovbd_prefetch_range *ranges, size_t n,
                       struct ovbd_prefetch_range **ret, size_t *ret_n, uint64_t *ret_named,
                       struct ovbd_error *err);

struct ovbd_prefetch;

/* Plans the ranges in their blobs, which come from ovbd_ahead_open() and outlive it, and begins to
 * bring them, in this order, in threads of its own. p may be NULL; all is copied. */
int ovbd_prefetch_start(struct ovbd_blob *const *blobs, const struct ovbd_prefetch_range *ranges,
                        size_t n, const struct ovbd_prefetch_params *p, struct ovbd_prefetch **ret,
                        struct ovbd_error *err);

/* Whether all have been brought, or could not be. */
bool ovbd_prefetch_is_done(struct ovbd_prefetch *f);

/* What is in flight is waited for, and no more is begun. NULL is fine. */
void ovbd_prefetch_close(struct ovbd_prefetch *take_f);

static inline void ovbd_prefetch_closep(struct ovbd_prefetch **f)
{
	ovbd_prefetch_close(*f);
}

#endif
