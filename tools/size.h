/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people write and read them. Units are binary: 1K = 1024. */
#ifndef OVBD_TOOLS_SIZE_H
#define OVBD_TOOLS_SIZE_H

#include <stdint.h>

#define OVBD_SIZE_TEXT 32

/* "4096", "64K", "1.5G", "2MiB", "0x1000": bytes. -EINVAL if that is no size or not a whole number
 * of bytes, -ERANGE if it is too large. */
int ovbd_size_parse(const char *text, uint64_t *ret);

/* "512 B", "64 KiB", "1.21 GiB": three digits, and no unit is said to be exact that is not. */
const char *ovbd_size_text(char buf[OVBD_SIZE_TEXT], uint64_t bytes);

/* "1.21 GiB (1299227607 bytes)"; small ones "512 bytes". */
#define OVBD_SIZE_FULL 64
const char *ovbd_size_full(char buf[OVBD_SIZE_FULL], uint64_t bytes);

/* "1 segment", "12 segments" */
#define OVBD_COUNT_TEXT 48
const char *ovbd_count_text(char buf[OVBD_COUNT_TEXT], uint64_t n, const char *what);

#endif
