/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/: how data of COW files are compressed. cow_impl.h has the other direction. */
#ifndef OVBD_OTA_COW_COMPRESS_H
#define OVBD_OTA_COW_COMPRESS_H

#include "ota/cow.h"

struct cow_compressor; /* contexts; used by one thread at a time */

/* level 0: that of Android's writer. -EINVAL for one that the algorithm does not have. */
int cow_compressor_create(enum ovbd_cow_algorithm a, int level, struct cow_compressor **ret,
                          struct ovbd_error *err);
void cow_compressor_free(struct cow_compressor *take_c); /* NULL is fine */

static inline void cow_compressor_freep(struct cow_compressor **c)
{
	cow_compressor_free(*c);
}

/* The most that len bytes can become. */
size_t cow_compress_bound(enum ovbd_cow_algorithm a, size_t len);

/* Bytes written to out; 0 if there are more than cap of them. */
size_t cow_compress(struct cow_compressor *c, const void *in, size_t in_len, void *out, size_t cap);

#endif
