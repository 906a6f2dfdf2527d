// SPDX-License-Identifier: Apache-2.0
#include "ota/dm_update_format.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/dm_update_impl.h"

#define NAME_SIZE 16u
#define VERSION   0
#define DIR_RATIO 32u /* an entry takes half a byte at least, compressed */

static const uint8_t magic[DM_UPDATE_MAGIC_SIZE] = "update\0";

bool dm_update_has_magic(const uint8_t raw[DM_UPDATE_MAGIC_SIZE])
{
	return memcmp(raw, magic, sizeof(magic)) == 0;
}

/* The kernel's names of compressors. */
static int get_codec(const uint8_t raw[NAME_SIZE], enum ovbd_dm_update_codec *ret,
                     struct ovbd_error *err)
{
	char name[NAME_SIZE + 1] = {0};

	for (size_t i = 0; i < NAME_SIZE && raw[i] != 0; i++)
		name[i] = raw[i] > ' ' && raw[i] < 0x7f ? (char)raw[i] : '?';
	if (raw[NAME_SIZE - 1] != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update superblock: compression \"%s\" does not end", name);
	for (int c = OVBD_DM_UPDATE_NONE; c <= OVBD_DM_UPDATE_DEFLATE; c++) {
		*ret = (enum ovbd_dm_update_codec)c;
		if (strcmp(name, ovbd_dm_update_codec_name(*ret)) == 0)
			return 0;
	}
	return ovbd_fail(err, -ENOTSUP,
	                 "dm-update superblock: compression \"%s\": there are none, lz4, zstd and "
	                 "deflate",
	                 name);
}

static int check_chunk(const struct dm_update_super *s, struct ovbd_error *err)
{
	if (s->block_bits < DM_UPDATE_BLOCK_BITS_MIN || s->block_bits > DM_UPDATE_BLOCK_BITS_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update superblock: block_bits %u: it is %u to %u",
		                 s->block_bits, DM_UPDATE_BLOCK_BITS_MIN, DM_UPDATE_BLOCK_BITS_MAX);
	if (s->chunk_blocks == 0)
		return ovbd_fail(err, -EBADMSG, "dm-update superblock: chunk_blocks is 0");
	if (s->codec != OVBD_DM_UPDATE_NONE &&
	    (uint64_t)s->chunk_blocks << s->block_bits > OVBD_DM_UPDATE_CHUNK_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "dm-update superblock: compressed chunks of %" PRIu64
		                 " bytes; they may have %u",
		                 (uint64_t)s->chunk_blocks << s->block_bits,
		                 OVBD_DM_UPDATE_CHUNK_MAX);
	return 0;
}

static int check_dir(const struct dm_update_super *s, uint64_t file_size, struct ovbd_error *err)
{
	uint64_t size;
	bool fits;

	if (s->dir_n == 0)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update superblock: a directory of no entries lacks its last");
	if (s->dir_off < DM_UPDATE_SUPER_SIZE || !ovbd_within(s->dir_off, s->dir_stored, file_size))
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update superblock: a directory of %" PRIu64
		                 " bytes at %" PRIu64 " does not lie within a file of %" PRIu64,
		                 s->dir_stored, s->dir_off, file_size);
	fits = ovbd_mul(s->dir_n, DM_UPDATE_ENTRY_SIZE, &size);
	if (s->codec == OVBD_DM_UPDATE_NONE)
		fits = fits && size == s->dir_stored;
	else
		fits = fits && size / DIR_RATIO <= s->dir_stored;
	if (!fits || size > INT32_MAX)
		return ovbd_fail(err, size > INT32_MAX && fits ? -E2BIG : -EBADMSG,
		                 "dm-update superblock: %" PRIu64
		                 " entries cannot be in a directory of %" PRIu64 " bytes",
		                 s->dir_n, s->dir_stored);
	return 0;
}

int dm_update_super_decode(const uint8_t raw[DM_UPDATE_SUPER_SIZE], uint64_t file_size,
                           struct dm_update_super *ret, struct ovbd_error *err)
{
	struct dm_update_super s = {
		.block_bits = raw[DM_UPDATE_OFF_BLOCK_BITS],
		.chunk_blocks = ovbd_get_le32(raw + DM_UPDATE_OFF_CHUNK_BLOCKS),
		.dir_off = ovbd_get_le64(raw + DM_UPDATE_OFF_DIR_OFFSET),
		.dir_stored = ovbd_get_le64(raw + DM_UPDATE_OFF_DIR_COMPRESSED_SIZE),
		.dir_n = ovbd_get_le64(raw + DM_UPDATE_OFF_DIR_N),
	};
	int r;

	if (!dm_update_has_magic(raw + DM_UPDATE_OFF_MAGIC))
		return ovbd_fail(err, -EBADMSG, "dm-update superblock: no magic");
	if (raw[DM_UPDATE_OFF_VERSION] != VERSION)
		return ovbd_fail(err, -ENOTSUP, "dm-update superblock: version %u is newer than %u",
		                 raw[DM_UPDATE_OFF_VERSION], VERSION);
	r = get_codec(raw + DM_UPDATE_OFF_COMPRESSION, &s.codec, err);
	if (r == 0)
		r = check_chunk(&s, err);
	if (r == 0)
		r = check_dir(&s, file_size, err);
	if (r == 0)
		*ret = s;
	return r;
}

void dm_update_super_encode(const struct dm_update_super *s, uint8_t ret[DM_UPDATE_SUPER_SIZE])
{
	const char *name = ovbd_dm_update_codec_name(s->codec);

	memset(ret, 0, DM_UPDATE_SUPER_SIZE);
	memcpy(ret + DM_UPDATE_OFF_MAGIC, magic, sizeof(magic));
	ret[DM_UPDATE_OFF_VERSION] = VERSION;
	ret[DM_UPDATE_OFF_BLOCK_BITS] = (uint8_t)s->block_bits;
	ovbd_put_le32(ret + DM_UPDATE_OFF_CHUNK_BLOCKS, s->chunk_blocks);
	memcpy(ret + DM_UPDATE_OFF_COMPRESSION, name, strlen(name));
	ovbd_put_le64(ret + DM_UPDATE_OFF_DIR_OFFSET, s->dir_off);
	ovbd_put_le64(ret + DM_UPDATE_OFF_DIR_COMPRESSED_SIZE, s->dir_stored);
	ovbd_put_le64(ret + DM_UPDATE_OFF_DIR_N, s->dir_n);
}

struct dm_update_entry dm_update_entry_decode(const uint8_t raw[DM_UPDATE_ENTRY_SIZE])
{
	return (struct dm_update_entry){
		.dest = ovbd_get_le32(raw + DM_UPDATE_OFF_DEST_LO) |
	                (uint64_t)ovbd_get_le16(raw + DM_UPDATE_OFF_DEST_HI) << 32,
		.src = ovbd_get_le32(raw + DM_UPDATE_OFF_SRC_LO) |
	               (uint64_t)ovbd_get_le16(raw + DM_UPDATE_OFF_SRC_HI) << 32,
		.index = ovbd_get_le32(raw + DM_UPDATE_OFF_OFFSET),
	};
}

void dm_update_entry_encode(const struct dm_update_entry *e, uint8_t ret[DM_UPDATE_ENTRY_SIZE])
{
	assert(e->dest <= DM_UPDATE_NUMBER_MAX && e->src <= DM_UPDATE_NUMBER_MAX);
	ovbd_put_le32(ret + DM_UPDATE_OFF_DEST_LO, (uint32_t)e->dest);
	ovbd_put_le16(ret + DM_UPDATE_OFF_DEST_HI, (uint16_t)(e->dest >> 32));
	ovbd_put_le32(ret + DM_UPDATE_OFF_SRC_LO, (uint32_t)e->src);
	ovbd_put_le16(ret + DM_UPDATE_OFF_SRC_HI, (uint16_t)(e->src >> 32));
	ovbd_put_le32(ret + DM_UPDATE_OFF_OFFSET, e->index);
}
