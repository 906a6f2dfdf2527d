/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: how block 0 of a device becomes another one, of which a power cut leaves the old
 * or the new. */
#ifndef OVBD_BOW_BLOCK0_H
#define OVBD_BOW_BLOCK0_H

#include "base/device.h"
#include "bow/format.h"

/* old: block_size bytes, as they are on d; new: as they will be. safe: a first sector that says
 * what old's does, and needs none of old's other sectors; NULL: old's is one. What was flushed
 * before stays before it. Durable when it returns. */
int ovbd_bow_put_block0(struct ovbd_device *d, const uint8_t *old, const uint8_t *safe,
                        const uint8_t *new, uint32_t block_size, struct ovbd_error *err);

#endif
