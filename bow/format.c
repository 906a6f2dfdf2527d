// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of a log block, of both versions. What of an entry contradicts the header, or the
 * device, is refused here; what contradicts other entries, in bow/log.c.
 *
 * zlib's crc32() inverts at both ends, the log's checksum at none, so it is turned back.
 */
#include "bow/format.h"

#include <errno.h>
#include <inttypes.h>
#include <zlib.h>

#include "base/bytes.h"

bool ovbd_bow_magic(const uint8_t buf[BOW_SECTOR])
{
	const uint32_t magic = ovbd_get_le32(buf + BOW_OFF_MAGIC);

	return magic == BOW_MAGIC || magic == BOW_MAGIC_PARTIAL;
}

static struct bow_header decode_any(const uint8_t *buf)
{
	struct bow_header h = {
		.partial = ovbd_get_le32(buf + BOW_OFF_MAGIC) == BOW_MAGIC_PARTIAL,
		.header_size = ovbd_get_le16(buf + BOW_OFF_HEADER_SIZE),
		.block_size = ovbd_get_le32(buf + BOW_OFF_BLOCK_SIZE),
		.count = ovbd_get_le32(buf + BOW_OFF_COUNT),
		.sequence = ovbd_get_le32(buf + BOW_OFF_SEQUENCE),
		.sector0 = ovbd_get_le64(buf + BOW_OFF_SECTOR0),
	};

	return h;
}

int ovbd_bow_header_decode(const uint8_t buf[BOW_SECTOR], uint64_t device_size,
                           struct bow_header *ret, struct ovbd_error *err)
{
	struct bow_header h = decode_any(buf);
	const uint16_t version = ovbd_get_le16(buf + BOW_OFF_VERSION);

	if (!ovbd_bow_magic(buf))
		return ovbd_fail(err, -EBADMSG, "block 0: magic 0x%08" PRIx32 " is not a log's",
		                 ovbd_get_le32(buf));
	if (version != BOW_VERSION)
		return ovbd_fail(err, -ENOTSUP, "log: version 0x%04x is not 0x%04x", version,
		                 BOW_VERSION);
	if (h.block_size < BOW_SECTOR || h.block_size > BOW_BLOCK_MAX ||
	    (h.block_size & (h.block_size - 1)))
		return ovbd_fail(err, -EBADMSG, "log: block size %" PRIu32, h.block_size);
	if (h.header_size < BOW_HEADER_SIZE || h.header_size > BOW_SECTOR - BOW_ENTRY_SIZE)
		return ovbd_fail(err, -EBADMSG, "log: header of %" PRIu32 " bytes", h.header_size);
	if (h.count > ovbd_bow_entries_max(h.header_size, h.block_size))
		return ovbd_fail(err, -EBADMSG,
		                 "log: %" PRIu32 " entries do not fit in a block of %" PRIu32,
		                 h.count, h.block_size);
	if (h.sector0 > UINT64_MAX / BOW_SECTOR || h.sector0 * BOW_SECTOR > device_size ||
	    h.block_size > device_size - h.sector0 * BOW_SECTOR)
		return ovbd_fail(err, -EBADMSG,
		                 "log: block 0 at sector %" PRIu64 ", beyond the device's %" PRIu64
		                 " bytes",
		                 h.sector0, device_size);
	h.sector0 *= BOW_SECTOR;
	*ret = h;
	return 0;
}

void ovbd_bow_header_encode(const struct bow_header *h, uint8_t *buf)
{
	ovbd_put_le32(buf + BOW_OFF_MAGIC, h->partial ? BOW_MAGIC_PARTIAL : BOW_MAGIC);
	ovbd_put_le16(buf + BOW_OFF_VERSION, BOW_VERSION);
	ovbd_put_le16(buf + BOW_OFF_HEADER_SIZE, (uint16_t)h->header_size);
	ovbd_put_le32(buf + BOW_OFF_BLOCK_SIZE, h->block_size);
	ovbd_put_le32(buf + BOW_OFF_COUNT, h->count);
	ovbd_put_le32(buf + BOW_OFF_SEQUENCE, h->sequence);
	ovbd_put_le64(buf + BOW_OFF_SECTOR0, h->sector0 / BOW_SECTOR);
}

int ovbd_bow_entry_decode(const uint8_t *buf, const struct bow_header *h, uint32_t i,
                          uint64_t device_size, struct bow_entry *ret, struct ovbd_error *err)
{
	const uint8_t *p = buf + ovbd_bow_entry_off(h->header_size, i);
	const uint64_t source = ovbd_get_le64(p + BOW_OFF_SOURCE);
	const uint64_t dest = ovbd_get_le64(p + BOW_OFF_DEST);
	const uint32_t size = ovbd_get_le32(p + BOW_OFF_SIZE);
	const uint64_t sectors = device_size / BOW_SECTOR, n = size / BOW_SECTOR;

	if (size == 0 || size % h->block_size)
		return ovbd_fail(err, -EBADMSG,
		                 "log entry %" PRIu32 ": %" PRIu32
		                 " bytes are not whole blocks of %" PRIu32,
		                 i, size, h->block_size);
	if (source > sectors || n > sectors - source || dest > sectors || n > sectors - dest)
		return ovbd_fail(err, -EBADMSG,
		                 "log entry %" PRIu32 ": sectors %" PRIu64 " and %" PRIu64
		                 " with %" PRIu32 " bytes lie beyond the device's %" PRIu64
		                 " bytes",
		                 i, source, dest, size, device_size);
	*ret = (struct bow_entry){
		.source = source * BOW_SECTOR,
		.dest = dest * BOW_SECTOR,
		.size = size,
		.checksum = ovbd_get_le32(p + BOW_OFF_CHECKSUM),
	};
	return 0;
}

void ovbd_bow_entry_encode(const struct bow_entry *e, uint8_t buf[BOW_ENTRY_SIZE])
{
	ovbd_put_le64(buf + BOW_OFF_SOURCE, e->source / BOW_SECTOR);
	ovbd_put_le64(buf + BOW_OFF_DEST, e->dest / BOW_SECTOR);
	ovbd_put_le32(buf + BOW_OFF_SIZE, e->size);
	ovbd_put_le32(buf + BOW_OFF_CHECKSUM, e->checksum);
}

uint32_t ovbd_bow_checksum(uint32_t crc, const void *buf, size_t len)
{
	return ~(uint32_t)crc32_z(~crc & 0xffffffffu, buf, len);
}
