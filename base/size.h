/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people write them. Units are binary: 1K = 1024. */
#ifndef OVBD_BASE_SIZE_H
#define OVBD_BASE_SIZE_H

#include <stdint.h>

/* "4096", "64K", "1.5G", "2MiB", "0x1000": bytes. -EINVAL if that is no size or not a whole number
 * of bytes, -ERANGE if it is too large. */
int ovbd_size_parse(const char *text, uint64_t *ret);

#endif
