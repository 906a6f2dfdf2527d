/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lsmt/: the index of a writable layer, which is read while it changes. It holds DATA
 * and ZERO segments; where there is none is a hole. The segments' layer is always 0.
 *
 * One thread at a time changes it (the caller's lock); any number look things up meanwhile, within
 * an epoch, and never wait. At most 40 bytes a segment, plus a few KiB.
 */
#ifndef OVBD_LSMT_RW_INDEX_H
#define OVBD_LSMT_RW_INDEX_H

#include "base/epoch.h"
#include "lsmt/index.h"

struct ovbd_rw_index;

/* epoch is the caller's, and outlives the index. */
int ovbd_rw_index_create(struct ovbd_epoch *epoch, struct ovbd_rw_index **ret,
                         struct ovbd_error *err);
/* No reader is inside. NULL is fine. */
void ovbd_rw_index_free(struct ovbd_rw_index *take_ix);

static inline void ovbd_rw_index_freep(struct ovbd_rw_index **ix)
{
	ovbd_rw_index_free(*ix);
}

/* Told of each DATA segment, or part of one, that is no longer shown. */
typedef void (*ovbd_rw_gone_fn)(void *arg, const struct ovbd_segment *gone);

/* From now on s->off, s->len is what s says: DATA, ZERO or HOLE. All are multiples of 512, the
 * range ends at or before OVBD_INDEX_END_MAX, the source before OVBD_INDEX_SRC_MAX. gone may be
 * NULL. A reader that looks at the range meanwhile sees the old or the new in each part of it. 0,
 * or -ENOMEM: then a part from the beginning may be done. */
int ovbd_rw_index_put(struct ovbd_rw_index *ix, const struct ovbd_segment *s, ovbd_rw_gone_fn gone,
                      void *arg, struct ovbd_error *err);

/* As ovbd_index_at(): successive calls tile any range; a hole may end where another follows. The
 * caller is within an epoch, or is the one that may change it. O(log n). */
struct ovbd_segment ovbd_rw_index_at(const struct ovbd_rw_index *ix, uint64_t off, uint64_t len);

/* Segments, and bytes of memory, those that wait for readers included. Of who may change it. */
uint64_t ovbd_rw_index_count(const struct ovbd_rw_index *ix);
uint64_t ovbd_rw_index_memory(const struct ovbd_rw_index *ix);

/* Whether both are one. */
static inline bool ovbd_rw_segment_continues(const struct ovbd_segment *a,
                                             const struct ovbd_segment *b)
{
	return a->len > 0 && a->off + a->len == b->off && a->kind == b->kind &&
	       (b->kind == OVBD_RUN_ZERO || a->src + a->len == b->src);
}

/* All segments in order; neighbours that continue each other as one. Nothing changes it meanwhile.
 * A negative return of fn ends it, and is returned. */
int ovbd_rw_index_each(const struct ovbd_rw_index *ix,
                       int (*fn)(void *arg, const struct ovbd_segment *s, struct ovbd_error *err),
                       void *arg, struct ovbd_error *err);

/* What it holds now, as an index that stays as it is. Nothing changes it meanwhile. */
int ovbd_rw_index_freeze(const struct ovbd_rw_index *ix, struct ovbd_index **ret,
                         struct ovbd_error *err);

#endif
