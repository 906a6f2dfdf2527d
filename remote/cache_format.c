// SPDX-License-Identifier: Apache-2.0
/*
 * The only code that knows the bytes of a chunk map. Every entry carries its own check, so that a
 * map that was cut, overwritten or filled with zeros loses chunks and never invents one.
 */
#include "remote/cache_format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "remote/cache.h"

#define MAGIC   UINT64_C(0x70616d2d6462766f) /* "ovbd-map", little-endian */
#define VERSION 1u

uint64_t cache_nchunks(uint64_t blob_size, uint32_t chunk_size)
{
	return blob_size / chunk_size + (blob_size % chunk_size != 0);
}

void cache_header_encode(const struct cache_header *h, uint8_t buf[CACHE_HEADER_SIZE])
{
	memset(buf, 0, CACHE_HEADER_SIZE);
	ovbd_put_le64(buf + CACHE_OFF_MAGIC, MAGIC);
	ovbd_put_le32(buf + CACHE_OFF_VERSION, VERSION);
	ovbd_put_le32(buf + CACHE_OFF_CHUNK_SIZE, h->chunk_size);
	ovbd_put_le64(buf + CACHE_OFF_BLOB_SIZE, h->blob_size);
	snprintf((char *)buf + CACHE_OFF_KEY, CACHE_KEY_MAX, "%s", h->key);
	ovbd_put_le32(buf + CACHE_OFF_HEADER_CRC, ovbd_crc32c(~0u, buf, CACHE_OFF_HEADER_CRC));
}

static bool chunk_size_is_good(uint32_t size)
{
	return size >= OVBD_CACHE_CHUNK_MIN && size <= OVBD_CACHE_CHUNK_MAX &&
	       (size & (size - 1)) == 0;
}

int cache_header_decode(const uint8_t buf[CACHE_HEADER_SIZE], struct cache_header *ret,
                        struct ovbd_error *err)
{
	if (ovbd_get_le64(buf + CACHE_OFF_MAGIC) != MAGIC)
		return ovbd_fail(err, -EBADMSG, "is no chunk map");
	if (ovbd_get_le32(buf + CACHE_OFF_HEADER_CRC) !=
	    ovbd_crc32c(~0u, buf, CACHE_OFF_HEADER_CRC))
		return ovbd_fail(err, -EBADMSG, "header: wrong checksum");
	if (ovbd_get_le32(buf + CACHE_OFF_VERSION) != VERSION)
		return ovbd_fail(err, -EBADMSG, "header: version %u, not %u",
		                 ovbd_get_le32(buf + CACHE_OFF_VERSION), VERSION);
	ret->chunk_size = ovbd_get_le32(buf + CACHE_OFF_CHUNK_SIZE);
	ret->blob_size = ovbd_get_le64(buf + CACHE_OFF_BLOB_SIZE);
	if (!chunk_size_is_good(ret->chunk_size))
		return ovbd_fail(err, -EBADMSG, "header: chunks of %u bytes", ret->chunk_size);
	if (ret->blob_size > INT64_MAX)
		return ovbd_fail(err, -EBADMSG, "header: a blob of %llu bytes",
		                 (unsigned long long)ret->blob_size);
	memcpy(ret->key, buf + CACHE_OFF_KEY, CACHE_KEY_MAX);
	if (!memchr(ret->key, '\0', CACHE_KEY_MAX) || !ret->key[0])
		return ovbd_fail(err, -EBADMSG, "header: no key");
	return 0;
}

/* Never 0, which says absent. */
static uint16_t check_of(const uint8_t *buf, uint32_t seed, uint64_t chunk)
{
	uint8_t place[8];
	uint32_t crc;

	ovbd_put_le64(place, chunk);
	crc = ovbd_crc32c(ovbd_crc32c(seed, place, sizeof(place)), buf, CACHE_OFF_CHECK);
	crc = (crc ^ crc >> 16) & 0xffff;
	return crc ? (uint16_t)crc : 1;
}

void cache_entry_encode(const struct cache_entry *e, uint32_t seed, uint64_t chunk,
                        uint8_t buf[CACHE_ENTRY_SIZE])
{
	memset(buf, 0, CACHE_ENTRY_SIZE);
	ovbd_put_le16(buf + CACHE_OFF_GEN, e->gen);
	if (!e->present)
		return;
	ovbd_put_le32(buf + CACHE_OFF_CRC, e->crc);
	ovbd_put_le32(buf + CACHE_OFF_USED, e->used);
	ovbd_put_le16(buf + CACHE_OFF_CHECK, check_of(buf, seed, chunk));
}

struct cache_entry cache_entry_decode(const uint8_t buf[CACHE_ENTRY_SIZE], uint32_t seed,
                                      uint64_t chunk)
{
	const uint16_t check = ovbd_get_le16(buf + CACHE_OFF_CHECK);

	return (struct cache_entry){
		.present = check != 0 && check == check_of(buf, seed, chunk),
		.crc = ovbd_get_le32(buf + CACHE_OFF_CRC),
		.gen = ovbd_get_le16(buf + CACHE_OFF_GEN),
		.used = ovbd_get_le32(buf + CACHE_OFF_USED),
	};
}

bool cache_entry_is_absent(const uint8_t buf[CACHE_ENTRY_SIZE])
{
	return ovbd_get_le32(buf + CACHE_OFF_CRC) == 0 &&
	       ovbd_get_le16(buf + CACHE_OFF_CHECK) == 0 &&
	       ovbd_get_le32(buf + CACHE_OFF_UNUSED) == 0;
}
