/* SPDX-License-Identifier: Apache-2.0 */
/* Private to remote/cache*.c: the chunk map of one blob, as docs/format-cache.md has it. */
#ifndef OVBD_REMOTE_CACHE_FORMAT_H
#define OVBD_REMOTE_CACHE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define CACHE_HEADER_SIZE 4096u
#define CACHE_ENTRY_SIZE  16u
#define CACHE_MARK_SIZE   32u
#define CACHE_KEY_MAX     3072u /* bytes, its NUL included */

enum {
	CACHE_OFF_MAGIC = 0,
	CACHE_OFF_VERSION = 8,
	CACHE_OFF_CHUNK_SIZE = 12,
	CACHE_OFF_BLOB_SIZE = 16,
	CACHE_OFF_KEY = 24,
	CACHE_OFF_HEADER_CRC = 4092,
	/* of an entry */
	CACHE_OFF_CRC = 0,
	CACHE_OFF_GEN = 4,
	CACHE_OFF_CHECK = 6,
	CACHE_OFF_USED = 8,
	CACHE_OFF_UNUSED = 12,
	/* of a mark */
	CACHE_OFF_MARK = 0,
};

struct cache_header {
	uint64_t blob_size;
	uint32_t chunk_size;
	char key[CACHE_KEY_MAX];
};

/* What is known of one chunk. Entries of zeros are those of absent chunks. */
struct cache_entry {
	bool present;
	uint32_t crc;  /* CRC-32C of the chunk */
	uint16_t gen;  /* one higher each time it was stored; kept when it is dropped */
	uint32_t used; /* seconds since 1970 */
};

uint64_t cache_nchunks(uint64_t blob_size, uint32_t chunk_size);

void cache_header_encode(const struct cache_header *h, uint8_t buf[CACHE_HEADER_SIZE]);

/* -EBADMSG: it is none, or damaged. */
int cache_header_decode(const uint8_t buf[CACHE_HEADER_SIZE], struct cache_header *ret,
                        struct ovbd_error *err);

/* seed: any number that belongs to the blob, so that an entry of another map, or of another place
 * in this one, is not believed. */
void cache_entry_encode(const struct cache_entry *e, uint32_t seed, uint64_t chunk,
                        uint8_t buf[CACHE_ENTRY_SIZE]);
struct cache_entry cache_entry_decode(const uint8_t buf[CACHE_ENTRY_SIZE], uint32_t seed,
                                      uint64_t chunk);

/* Whether buf is one of an absent chunk, and nothing else. */
bool cache_entry_is_absent(const uint8_t buf[CACHE_ENTRY_SIZE]);

static inline uint64_t cache_entry_at(uint64_t chunk)
{
	return CACHE_HEADER_SIZE + chunk * CACHE_ENTRY_SIZE;
}

/* Its field "used", 4 bytes, little-endian. */
static inline uint64_t cache_entry_used_at(uint64_t chunk)
{
	return cache_entry_at(chunk) + CACHE_OFF_USED;
}

#endif
