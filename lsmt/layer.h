/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lsmt/: what the stack and the check know of an open layer. */
#ifndef OVBD_LSMT_LAYER_H
#define OVBD_LSMT_LAYER_H

#include "lsmt/format.h"
#include "lsmt/lsmt.h"

struct ovbd_layer {
	struct ovbd_blob *blob;   /* owned */
	struct ovbd_index *index; /* owned; NULL once taken */
	uint64_t index_off;       /* where the data end, and the index begins */
	uint64_t index_end;       /* where it ends, padding included */
	uint64_t stored_size;     /* of the file, compressed or not */
	uint64_t memory_max;      /* bytes its index may take */
	struct ovbd_layer_info info;
};

/* The bytes that the segments' sources are offsets of. The layer keeps it. */
struct ovbd_blob *ovbd_layer_blob(struct ovbd_layer *l);

uint64_t ovbd_layer_memory_max(const struct ovbd_layer *l);
uint64_t ovbd_layer_stored_size(const struct ovbd_layer *l);

/* The layer's index, now the caller's. */
struct ovbd_index *ovbd_layer_take_index(struct ovbd_layer *l);

/* Reads and decodes the header or the trailer of b. ret_raw may be NULL. */
int ovbd_lsmt_header_read(struct ovbd_blob *b, enum lsmt_part part, struct lsmt_header *ret,
                          uint8_t ret_raw[LSMT_HEADER_SIZE], struct ovbd_error *err);

#endif
