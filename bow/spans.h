/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: sorted spans of a device that do not overlap, each with a number. One thread. */
#ifndef OVBD_BOW_SPANS_H
#define OVBD_BOW_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"

struct bow_span {
	uint64_t off, len; /* bytes */
	uint64_t at;       /* the number; it grows within the span as its offset does */
};

/* A number that does not grow. */
#define BOW_SPAN_NOWHERE UINT64_MAX

struct bow_span_chunk;
struct bow_spans {
	struct bow_span_chunk **chunks; /* none of them empty */
	size_t nchunks, room;
};

/* All zeros is an empty one. */
void ovbd_bow_spans_clear(struct bow_spans *s);
#define AUTO_BOW_SPANS OVBD_AUTO(ovbd_bow_spans_clear) struct bow_spans

/* The span that contains off, or else the next one; false if there is none. */
bool ovbd_bow_spans_find(const struct bow_spans *s, uint64_t off, struct bow_span *ret);

/* Whether any of [off, off + len) is in a span. */
bool ovbd_bow_spans_overlap(const struct bow_spans *s, uint64_t off, uint64_t len);

/* Nothing of [off, off + len) is in a span. 0 or -ENOMEM, with some of it done. */
int ovbd_bow_spans_cut(struct bow_spans *s, uint64_t off, uint64_t len);

/* Puts span there, instead of what there was. 0 or -ENOMEM, as above. */
int ovbd_bow_spans_put(struct bow_spans *s, const struct bow_span *span);

#endif
