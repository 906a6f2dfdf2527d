// SPDX-License-Identifier: Apache-2.0
/*
 * The only code that knows where the fields are. Decoding has two steps, because the header of a
 * file whose trailer counts holds little: decode() tells whether these are the bytes of a header or
 * trailer, check() whether what it says can be true of a file of this size. Fields that no reader
 * uses (size, level, reserved ones, all after verify) are not looked at: the digest covers them.
 */
#include "zfile/format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "zfile/codec.h"

/* What the field size says: up to where the original's struct reaches. */
#define STRUCT_SIZE 96

static const uint8_t magic[ZFILE_MAGIC_SIZE] = {
	'Z',  'F',  'i',  'l',  'e',  0,    1,    0, /* magic0 */
	0x74, 0x75, 0x6a, 0x69, 0x2e, 0x79, 0x79, 0x66,
	0x40, 0x41, 0x6c, 0x69, 0x62, 0x61, 0x62, 0x61, /* magic1 */
};

const char *ovbd_zfile_part_name(enum zfile_part part)
{
	return part == ZFILE_HEADER ? "header" : "trailer";
}

bool ovbd_zfile_has_magic(const uint8_t raw[ZFILE_MAGIC_SIZE])
{
	return memcmp(raw, magic, sizeof(magic)) == 0;
}

/* Over the whole header, with zeros in the place of the digest itself. */
static uint32_t digest_of(const uint8_t raw[ZFILE_HEADER_SIZE])
{
	static const uint8_t zeros[4];
	const size_t after = ZFILE_OFF_DIGEST + sizeof(zeros);
	uint32_t crc;

	crc = ovbd_crc32c(0, raw, ZFILE_OFF_DIGEST);
	crc = ovbd_crc32c(crc, zeros, sizeof(zeros));
	return ovbd_crc32c(crc, raw + after, ZFILE_HEADER_SIZE - after);
}

int ovbd_zfile_header_decode(const uint8_t raw[ZFILE_HEADER_SIZE], enum zfile_part part,
                             struct zfile_header *ret, struct ovbd_error *err)
{
	const char *name = ovbd_zfile_part_name(part);
	const struct zfile_header h = {
		.flags = ovbd_get_le64(raw + ZFILE_OFF_FLAGS),
		.index_off = ovbd_get_le64(raw + ZFILE_OFF_INDEX_OFFSET),
		.nblocks = ovbd_get_le64(raw + ZFILE_OFF_INDEX_SIZE),
		.raw_size = ovbd_get_le64(raw + ZFILE_OFF_ORIGINAL_FILE_SIZE),
		.index_crc = ovbd_get_le32(raw + ZFILE_OFF_INDEX_CRC),
		.block_size = ovbd_get_le32(raw + ZFILE_OFF_BLOCK_SIZE),
		.dict_size = ovbd_get_le32(raw + ZFILE_OFF_DICT_SIZE),
		.codec = raw[ZFILE_OFF_ALGO],
		.use_dict = raw[ZFILE_OFF_USE_DICT] != 0,
		.checksum = raw[ZFILE_OFF_VERIFY] != 0,
	};
	const uint32_t stored = ovbd_get_le32(raw + ZFILE_OFF_DIGEST);

	if (!ovbd_zfile_has_magic(raw))
		return ovbd_fail(err, -EBADMSG, "zfile %s: no ZFile magic", name);
	if ((h.flags & ZFILE_FLAG_DIGEST) && digest_of(raw) != stored)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: digest 0x%08" PRIx32 " is not 0x%08" PRIx32, name,
		                 digest_of(raw), stored);
	if (((h.flags & ZFILE_FLAG_HEADER) != 0) != (part == ZFILE_HEADER))
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: flags 0x%" PRIx64 " are not those of a %s", name,
		                 h.flags, name);
	*ret = h;
	return 0;
}

/* Whether blocks can be read at all. */
static int check_blocks(const struct zfile_header *h, const char *name, struct ovbd_error *err)
{
	if (!ovbd_codec_find(h->codec))
		return ovbd_fail(err, -ENOTSUP, "zfile %s: compression algorithm %u is unknown",
		                 name, h->codec);
	if (h->use_dict)
		return ovbd_fail(err, -ENOTSUP, "zfile %s: dictionaries are not supported", name);
	if (h->block_size < OVBD_ZFILE_BLOCK_MIN || h->block_size > OVBD_ZFILE_BLOCK_MAX ||
	    (h->block_size & (h->block_size - 1)) != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: block size %" PRIu32
		                 " is not a power of two from %u to %u",
		                 name, h->block_size, OVBD_ZFILE_BLOCK_MIN, OVBD_ZFILE_BLOCK_MAX);
	if (h->nblocks != zfile_nblocks(h->raw_size, h->block_size))
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: %" PRIu64 " blocks of %" PRIu32
		                 " bytes do not make a file of %" PRIu64,
		                 name, h->nblocks, h->block_size, h->raw_size);
	return 0;
}

int ovbd_zfile_header_check(const struct zfile_header *h, enum zfile_part part, uint64_t file_size,
                            struct ovbd_error *err)
{
	const char *name = ovbd_zfile_part_name(part);
	uint64_t index_size;
	int r;

	/* An overwritten header keeps the flags of one that is not sealed. */
	if (!(h->flags & ZFILE_FLAG_DATA) ||
	    (part == ZFILE_TRAILER && !(h->flags & ZFILE_FLAG_SEALED)))
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: flags 0x%" PRIx64 " are not those of a complete file",
		                 name, h->flags);
	r = check_blocks(h, name, err);
	if (r < 0)
		return r;
	if (file_size < 2 * ZFILE_HEADER_SIZE || zfile_data_off(h) > h->index_off ||
	    !ovbd_mul(h->nblocks, ZFILE_ENTRY_SIZE, &index_size) ||
	    !ovbd_within(h->index_off, index_size, file_size - ZFILE_HEADER_SIZE))
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: a jump table of %" PRIu64 " entries at %" PRIu64
		                 " after %" PRIu32
		                 " bytes of dictionary does not lie within a file of %" PRIu64,
		                 name, h->nblocks, h->index_off, h->dict_size, file_size);
	return 0;
}

void ovbd_zfile_header_encode(const struct zfile_header *h, uint8_t ret_raw[ZFILE_HEADER_SIZE])
{
	uint8_t *raw = ret_raw;

	memset(raw, 0, ZFILE_HEADER_SIZE);
	memcpy(raw, magic, sizeof(magic));
	ovbd_put_le32(raw + ZFILE_OFF_SIZE, STRUCT_SIZE);
	ovbd_put_le64(raw + ZFILE_OFF_FLAGS, h->flags);
	ovbd_put_le64(raw + ZFILE_OFF_INDEX_OFFSET, h->index_off);
	ovbd_put_le64(raw + ZFILE_OFF_INDEX_SIZE, h->nblocks);
	ovbd_put_le64(raw + ZFILE_OFF_ORIGINAL_FILE_SIZE, h->raw_size);
	ovbd_put_le32(raw + ZFILE_OFF_INDEX_CRC, h->index_crc);
	ovbd_put_le32(raw + ZFILE_OFF_BLOCK_SIZE, h->block_size);
	raw[ZFILE_OFF_ALGO] = h->codec;
	raw[ZFILE_OFF_USE_DICT] = h->use_dict;
	ovbd_put_le32(raw + ZFILE_OFF_DICT_SIZE, h->dict_size);
	raw[ZFILE_OFF_VERIFY] = h->checksum;
	if (h->flags & ZFILE_FLAG_DIGEST)
		ovbd_put_le32(raw + ZFILE_OFF_DIGEST, digest_of(raw));
}
