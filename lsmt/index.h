/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making indexes; private to lsmt. What users call (ovbd_index_at() and so on) is in lsmt.h.
 *
 * An index is immutable once finished, and may be read from any thread. A builder belongs to one
 * thread.
 */
#ifndef OVBD_LSMT_INDEX_H
#define OVBD_LSMT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "lsmt/lsmt.h"

/* In one index, merged or not: the original's limit. More is -E2BIG. */
#define OVBD_SEGMENTS_MAX 128000000u

/* What an index can name, in bytes: 2^50 - 1 sectors of device, 2^54 sectors of a layer. */
#define OVBD_INDEX_END_MAX (((UINT64_C(1) << 50) - 1) << 9)
#define OVBD_INDEX_SRC_MAX (UINT64_C(1) << 63)

struct ovbd_index_builder;

/* What is known of the segments before the first is added; it chooses how they are stored. */
struct ovbd_index_bounds {
	uint64_t end;        /* no segment of the device ends beyond; <= OVBD_INDEX_END_MAX */
	uint64_t src_end;    /* no source ends beyond; <= OVBD_INDEX_SRC_MAX */
	uint64_t nsegments;  /* a guess that saves growing; may come from a file, unchecked */
	uint64_t memory_max; /* bytes the index may take, growing included; 0: no such limit */
};

int ovbd_index_builder_create(const struct ovbd_index_bounds *bounds,
                              struct ovbd_index_builder **ret, struct ovbd_error *err);

/* Adds a DATA or ZERO segment behind those already added: off, len and src in bytes, multiples of
 * 512, within the bounds; layer <= OVBD_LAYER_BELOW. A segment of any length is fine. One that
 * continues its predecessor (device, layer, kind, and source if DATA) is joined to it.
 * -EINVAL if a rule is broken, -E2BIG if there are more than any index or this one's memory_max
 * takes, -ENOMEM; then only close may follow. */
int ovbd_index_builder_add(struct ovbd_index_builder *b, const struct ovbd_segment *s,
                           struct ovbd_error *err);

int ovbd_index_builder_finish(struct ovbd_index_builder *take_b, struct ovbd_index **ret,
                              struct ovbd_error *err);

/* For a builder that is not finished. NULL is fine. */
void ovbd_index_builder_close(struct ovbd_index_builder *take_b);

static inline void ovbd_index_builder_closep(struct ovbd_index_builder **b)
{
	ovbd_index_builder_close(*b);
}

/* One index of n, layers[0] at the bottom: what lies higher hides what lies lower, zeroed segments
 * too. The segments' layer becomes the position in layers; references (OVBD_LAYER_BELOW) become
 * what they lead to, or stay one, to what lies beneath them all. Nothing at or beyond end (bytes)
 * is kept. n = 1 .. OVBD_LAYERS_MAX. memory_max is that of the new index, as in its bounds. */
int ovbd_index_merge(const struct ovbd_index *const *layers, size_t n, uint64_t end,
                     uint64_t memory_max, struct ovbd_index **ret, struct ovbd_error *err);

/* The i-th segment as it is stored, i < ovbd_index_count(); the src of a ZERO means nothing. */
struct ovbd_segment ovbd_index_get(const struct ovbd_index *ix, uint64_t i);

/* Where the last segment ends, bytes; 0 if there is none. */
uint64_t ovbd_index_end(const struct ovbd_index *ix);

/* Where the last of the DATA segments' sources ends, bytes; 0 if there is none. */
uint64_t ovbd_index_src_end(const struct ovbd_index *ix);

/* NULL is fine. */
void ovbd_index_free(struct ovbd_index *take_ix);

static inline void ovbd_index_freep(struct ovbd_index **ix)
{
	ovbd_index_free(*ix);
}

#endif
