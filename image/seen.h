/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: which pages of which layers have been seen, as bits of a sparse map. One
 * thread at a time.
 */
#ifndef OVBD_IMAGE_SEEN_H
#define OVBD_IMAGE_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "image/trace.h"
#include "lsmt/lsmt.h"

#define SEEN_PAGE 4096u

struct seen_layer {
	uint64_t **leaves; /* each of SEEN_LEAF_WORDS words; NULL: nothing of it was seen */
	uint64_t nleaves;
};

struct seen {
	struct seen_layer layers[OVBD_LAYERS_MAX];
	uint64_t size; /* bytes of memory in use */
};

/* Marks the pages from the one of off on that have not been seen, up to the first that has been or
 * to that of the last byte before end; *off becomes where the page after them begins, or, if there
 * are none, that of the first that is unseen, but not beyond end. 1: some were marked; 0: none was;
 * -ENOMEM: or it has grown too large. */
int ovbd_seen_mark(struct seen *s, uint32_t layer, uint64_t *off, uint64_t end);

/* Adds to t the pages of r that were not seen before, and marks them. */
int ovbd_trace_add_new(struct ovbd_trace *t, struct seen *s, const struct ovbd_trace_record *r,
                       struct ovbd_error *err);

/* Frees what it holds, not s. */
void ovbd_seen_free(struct seen *s);

#endif
