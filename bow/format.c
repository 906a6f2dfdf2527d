// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of a log block, of all versions. What of an entry contradicts the header, or the
 * device, is refused here; what contradicts other entries, in bow/log.c.
 *
 * The prototypes have no version: where 1.0 has one and the size of its header, they have a count
 * that is less than 65536, and so a header size of 0. The later ones say after the sequence where
 * block 0 is, which is never 0; of the earlier ones the first entry is there, whose source is 0.
 */
#include "bow/format.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

bool ovbd_bow_magic(const uint8_t buf[BOW_SECTOR])
{
	const uint32_t magic = ovbd_get_le32(buf + BOW_OFF_MAGIC);

	return magic == BOW_MAGIC || magic == BOW_MAGIC_PARTIAL;
}

static struct bow_header decode_prototype(const uint8_t *buf)
{
	const uint64_t sector0 = ovbd_get_le64(buf + BOW_OFF_PROTOTYPE_SECTOR0);
	const struct bow_header h = {
		.partial = ovbd_get_le32(buf + BOW_OFF_MAGIC) == BOW_MAGIC_PARTIAL,
		.prototype = true,
		.header_size =
			sector0 ? BOW_PROTOTYPE_SECTOR0_HEADER_SIZE : BOW_PROTOTYPE_HEADER_SIZE,
		.block_size = BOW_PROTOTYPE_BLOCK_SIZE,
		.count = ovbd_get_le32(buf + BOW_OFF_PROTOTYPE_COUNT),
		.sequence = ovbd_get_le32(buf + BOW_OFF_PROTOTYPE_SEQUENCE),
		.sector0 = sector0,
	};

	return h;
}

static struct bow_header decode_1_0(const uint8_t *buf)
{
	const struct bow_header h = {
		.partial = ovbd_get_le32(buf + BOW_OFF_MAGIC) == BOW_MAGIC_PARTIAL,
		.header_size = ovbd_get_le16(buf + BOW_OFF_HEADER_SIZE),
		.block_size = ovbd_get_le32(buf + BOW_OFF_BLOCK_SIZE),
		.count = ovbd_get_le32(buf + BOW_OFF_COUNT),
		.sequence = ovbd_get_le32(buf + BOW_OFF_SEQUENCE),
		.sector0 = ovbd_get_le64(buf + BOW_OFF_SECTOR0),
	};

	return h;
}

/* What the fields say, sector0 in sectors yet, against each other. */
static int check_fields(const struct bow_header *h, struct ovbd_error *err)
{
	if (h->block_size < BOW_SECTOR || h->block_size > BOW_BLOCK_MAX ||
	    (h->block_size & (h->block_size - 1)))
		return ovbd_fail(err, -EBADMSG,
		                 "log: a block size of %" PRIu32
		                 " is not a power of two from %d to %d",
		                 h->block_size, BOW_SECTOR, BOW_BLOCK_MAX);
	if (!h->prototype &&
	    (h->header_size < BOW_HEADER_SIZE || h->header_size > BOW_SECTOR - BOW_ENTRY_SIZE))
		return ovbd_fail(err, -EBADMSG,
		                 "log: a header of %" PRIu32 " bytes is not of %d to %d",
		                 h->header_size, BOW_HEADER_SIZE, BOW_SECTOR - BOW_ENTRY_SIZE);
	if (h->count > ovbd_bow_entries_max(h->header_size, h->block_size))
		return ovbd_fail(err, -EBADMSG,
		                 "log: %" PRIu32 " entries do not fit in a block of %" PRIu32,
		                 h->count, h->block_size);
	if (h->count == 0 &&
	    (h->header_size == BOW_PROTOTYPE_HEADER_SIZE || h->partial || h->sequence != 0))
		return ovbd_fail(err, -EBADMSG, "log: block %" PRIu32 " of it has no entries",
		                 h->sequence);
	return 0;
}

static int check_device(const struct bow_header *h, uint64_t device_size, struct ovbd_error *err)
{
	const uint64_t blocks = device_size / h->block_size, sectors = h->block_size / BOW_SECTOR;

	if (h->sector0 / sectors >= blocks)
		return ovbd_fail(err, -EBADMSG,
		                 "log: block 0 at sector %" PRIu64 ", beyond the device's %" PRIu64
		                 " bytes",
		                 h->sector0, device_size);
	if (h->sector0 % sectors ||
	    (h->sector0 < sectors && h->header_size != BOW_PROTOTYPE_HEADER_SIZE))
		return ovbd_fail(err, -EBADMSG,
		                 "log: block 0 at sector %" PRIu64
		                 " is not at another block of %" PRIu32,
		                 h->sector0, h->block_size);
	if (h->sequence >= blocks)
		return ovbd_fail(err, -EBADMSG,
		                 "log: block %" PRIu32 " of it, of a device of %" PRIu64 " blocks",
		                 h->sequence, blocks);
	return 0;
}

int ovbd_bow_header_decode(const uint8_t buf[BOW_SECTOR], uint64_t device_size,
                           struct bow_header *ret, struct ovbd_error *err)
{
	const uint16_t version = ovbd_get_le16(buf + BOW_OFF_VERSION);
	const bool prototype = ovbd_get_le16(buf + BOW_OFF_HEADER_SIZE) == 0;
	struct bow_header h = prototype ? decode_prototype(buf) : decode_1_0(buf);
	int r;

	if (!ovbd_bow_magic(buf))
		return ovbd_fail(err, -EBADMSG, "log: a magic of 0x%08" PRIx32 " is none",
		                 ovbd_get_le32(buf + BOW_OFF_MAGIC));
	if (!prototype && version != BOW_VERSION)
		return ovbd_fail(err, -ENOTSUP, "log: version 0x%04x is not 0x%04x", version,
		                 BOW_VERSION);
	r = check_fields(&h, err);
	if (r == 0)
		r = check_device(&h, device_size, err);
	if (r < 0)
		return r;
	h.sector0 *= BOW_SECTOR;
	*ret = h;
	return 0;
}

void ovbd_bow_header_encode(const struct bow_header *h, uint8_t *buf)
{
	ovbd_put_le32(buf + BOW_OFF_MAGIC, h->partial ? BOW_MAGIC_PARTIAL : BOW_MAGIC);
	if (h->prototype) {
		ovbd_put_le32(buf + BOW_OFF_PROTOTYPE_COUNT, h->count);
		ovbd_put_le32(buf + BOW_OFF_PROTOTYPE_SEQUENCE, h->sequence);
		if (h->header_size == BOW_PROTOTYPE_SECTOR0_HEADER_SIZE)
			ovbd_put_le64(buf + BOW_OFF_PROTOTYPE_SECTOR0, h->sector0 / BOW_SECTOR);
		return;
	}
	ovbd_put_le16(buf + BOW_OFF_VERSION, BOW_VERSION);
	ovbd_put_le16(buf + BOW_OFF_HEADER_SIZE, (uint16_t)h->header_size);
	ovbd_put_le32(buf + BOW_OFF_BLOCK_SIZE, h->block_size);
	ovbd_put_le32(buf + BOW_OFF_COUNT, h->count);
	ovbd_put_le32(buf + BOW_OFF_SEQUENCE, h->sequence);
	ovbd_put_le64(buf + BOW_OFF_SECTOR0, h->sector0 / BOW_SECTOR);
}

/* e in sectors yet. */
static int check_place(const struct bow_entry *e, uint32_t block_size, uint64_t device_size,
                       struct ovbd_error *err)
{
	const uint64_t device = device_size / BOW_SECTOR, n = e->size / BOW_SECTOR;

	if (e->size == 0 || e->size % block_size)
		return ovbd_fail(err, -EBADMSG,
		                 "%" PRIu32 " bytes are not whole blocks of %" PRIu32, e->size,
		                 block_size);
	if (!ovbd_within(e->source, n, device) || !ovbd_within(e->dest, n, device))
		return ovbd_fail(err, -EBADMSG,
		                 "%" PRIu32 " bytes at sector %" PRIu64 " or %" PRIu64
		                 " lie beyond the device's %" PRIu64 " bytes",
		                 e->size, e->source, e->dest, device_size);
	if (e->source % (block_size / BOW_SECTOR) || e->dest % (block_size / BOW_SECTOR))
		return ovbd_fail(err, -EBADMSG,
		                 "sector %" PRIu64 " or %" PRIu64
		                 " is not where a block of %" PRIu32 " begins",
		                 e->source, e->dest, block_size);
	return 0;
}

/* e in bytes. */
static int check_role(const struct bow_entry *e, uint32_t i, uint32_t block_size,
                      struct ovbd_error *err)
{
	if (e->dest == 0)
		return ovbd_fail(err, -EBADMSG, "its backup is said to be in block 0");
	if (i == 0 && (e->source != 0 || e->size != block_size))
		return ovbd_fail(err, -EBADMSG,
		                 "%" PRIu32 " bytes at %" PRIu64 " are not block 0 of %" PRIu32
		                 " bytes",
		                 e->size, e->source, block_size);
	if (i > 0 && e->source == 0)
		return ovbd_fail(err, -EBADMSG, "block 0 is backed up by the first entry only");
	if (e->source < e->dest + e->size && e->dest < e->source + e->size)
		return ovbd_fail(err, -EBADMSG,
		                 "%" PRIu32 " bytes at %" PRIu64
		                 " overlap their backup at %" PRIu64,
		                 e->size, e->source, e->dest);
	return 0;
}

int ovbd_bow_entry_decode(const uint8_t *buf, const struct bow_header *h, uint32_t i,
                          uint64_t device_size, struct bow_entry *ret, struct ovbd_error *err)
{
	const uint8_t *p = buf + ovbd_bow_entry_off(h->header_size, i);
	struct bow_entry e = {
		.source = ovbd_get_le64(p + BOW_OFF_SOURCE),
		.dest = ovbd_get_le64(p + BOW_OFF_DEST),
		.size = ovbd_get_le32(p + BOW_OFF_SIZE),
		.checksum = ovbd_get_le32(p + BOW_OFF_CHECKSUM),
	};
	int r = check_place(&e, h->block_size, device_size, err);

	if (r == 0) {
		e.source *= BOW_SECTOR;
		e.dest *= BOW_SECTOR;
		r = check_role(&e, i, h->block_size, err);
	}
	if (r < 0)
		return ovbd_fail_within(err, r, "log: block %" PRIu32 " of it: entry %" PRIu32,
		                        h->sequence, i);
	*ret = e;
	return 0;
}

void ovbd_bow_entry_encode(const struct bow_entry *e, uint8_t buf[BOW_ENTRY_SIZE])
{
	ovbd_put_le64(buf + BOW_OFF_SOURCE, e->source / BOW_SECTOR);
	ovbd_put_le64(buf + BOW_OFF_DEST, e->dest / BOW_SECTOR);
	ovbd_put_le32(buf + BOW_OFF_SIZE, e->size);
	ovbd_put_le32(buf + BOW_OFF_CHECKSUM, e->checksum);
}
