/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: what was free at the checkpoint, as it is kept on the device
 * (docs/format-bow.md). */
#ifndef OVBD_BOW_FREE_MAP_H
#define OVBD_BOW_FREE_MAP_H

#include "base/blob.h"
#include "bow/format.h"
#include "bow/ranges.h"

/* What is FREE. *ret, to be freed, is whole blocks. */
int ovbd_bow_free_map_encode(const struct bow_ranges *r, uint32_t block_size, uint8_t **ret,
                             size_t *ret_size, struct ovbd_error *err);

/* It is what e, of its size, backs up. */
void ovbd_bow_free_map_place(uint8_t *map, const struct bow_entry *e);

/* What the log on b has as such a map becomes CHANGED. 0 also if there is none. */
int ovbd_bow_free_map_read(struct ovbd_blob *b, struct bow_ranges *ranges, struct ovbd_error *err);

#endif
