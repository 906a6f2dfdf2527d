/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: what a snapshot makes of a configuration's text. Unknown keys are kept. */
#ifndef OVBD_IMAGE_CONFIG_SNAPSHOT_H
#define OVBD_IMAGE_CONFIG_SNAPSHOT_H

#include <stdint.h>

#include "base/error.h"

/* The writable layer becomes the topmost lower, and data and index (NULL: one file) the writable
 * layer, as they are given. *ret_sealing says that the lower may have to be sealed, over beneath
 * bytes; *ret_sealed does not. Both are to be freed. */
int ovbd_config_freeze(const char *text, const char *data, const char *index, uint64_t beneath,
                       char **ret_sealing, char **ret_sealed, struct ovbd_error *err);

/* text, whose topmost lower may have to be sealed. */
int ovbd_config_mark_sealing(const char *text, const char *index, uint64_t beneath,
                             char **ret_sealing, struct ovbd_error *err);

#endif
