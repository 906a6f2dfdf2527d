/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_BASE_BUSY_H
#define OVBD_BASE_BUSY_H

#include <stddef.h>

/* Why the block device at path cannot be opened alone, for the end of a sentence: " (mounted at
 * /srv)", " (of dm-3)"; "" if that cannot be told. */
void ovbd_busy_holder(const char *path, char *ret, size_t size);

#endif
