/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people read them (base/size.h: as they write them). Units are binary: 1K = 1024. */
#ifndef OVBD_TOOLS_SIZE_H
#define OVBD_TOOLS_SIZE_H

#include <stdint.h>

#include "base/size.h"

#define OVBD_SIZE_TEXT 32

/* "512 B", "64 KiB", "1.21 GiB": three digits, and no unit is said to be exact that is not. */
const char *ovbd_size_text(char buf[OVBD_SIZE_TEXT], uint64_t bytes);

/* "1.21 GiB (1299227607 bytes)"; small ones "512 bytes". */
#define OVBD_SIZE_FULL 64
const char *ovbd_size_full(char buf[OVBD_SIZE_FULL], uint64_t bytes);

/* "1 segment", "12 segments" */
#define OVBD_COUNT_TEXT 48
const char *ovbd_count_text(char buf[OVBD_COUNT_TEXT], uint64_t n, const char *what);

#endif
