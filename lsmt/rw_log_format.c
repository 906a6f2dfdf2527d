// SPDX-License-Identifier: Apache-2.0
/* The only code that knows where the fields of ovbd-rw are. */
#include "lsmt/rw_log_format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define VERSION     1u
#define BLOCK_MAGIC 0x6c627772u /* "rwbl" */
#define SEED        UINT32_MAX  /* so that zeros have a checksum that is not 0 */

static const uint8_t magic[8] = {'o', 'v', 'b', 'd', '-', 'r', 'w', 0};

uint32_t ovbd_rw_checksum(const void *buf, size_t len)
{
	return ovbd_crc32c(SEED, buf, len);
}

uint32_t ovbd_rw_checksum_more(uint32_t checksum, const void *buf, size_t len)
{
	return ovbd_crc32c(checksum, buf, len);
}

/* Of len bytes, of which the 4 at where count as zeros. */
static uint32_t checksum_but(const uint8_t *raw, size_t len, size_t where)
{
	static const uint8_t zeros[4];
	uint32_t crc = ovbd_crc32c(SEED, raw, where);

	crc = ovbd_crc32c(crc, zeros, sizeof(zeros));
	return ovbd_crc32c(crc, raw + where + 4, len - where - 4);
}

bool ovbd_rw_super_has_magic(const uint8_t raw[RW_SUPER_SIZE])
{
	return memcmp(raw, magic, sizeof(magic)) == 0;
}

void ovbd_rw_super_encode(const struct rw_super *s, uint8_t ret_raw[RW_SUPER_SIZE])
{
	uint8_t *raw = ret_raw;

	memset(raw, 0, RW_SUPER_SIZE);
	memcpy(raw, magic, sizeof(magic));
	ovbd_put_le32(raw + RW_OFF_VERSION, VERSION);
	ovbd_put_le64(raw + RW_OFF_GENERATION, s->generation);
	ovbd_put_le64(raw + RW_OFF_SESSION, s->session);
	ovbd_put_le64(raw + RW_OFF_VIRTUAL_SIZE, s->virtual_size);
	ovbd_put_le64(raw + RW_OFF_CHECKPOINT_PLACE, s->checkpoint_place);
	ovbd_put_le64(raw + RW_OFF_CHECKPOINT_BLOCKS, s->checkpoint_blocks);
	ovbd_put_le64(raw + RW_OFF_LOG_PLACE, s->log_place);
	ovbd_put_le64(raw + RW_OFF_LOG_SEQUENCE, s->log_sequence);
	ovbd_put_le64(raw + RW_OFF_SAFE_SEQUENCE, s->safe_sequence);
	ovbd_put_le64(raw + RW_OFF_SAFE_TAIL, s->safe_tail);
	memcpy(raw + RW_OFF_UUID, s->uuid, strnlen(s->uuid, OVBD_UUID_SIZE - 1));
	memcpy(raw + RW_OFF_PARENT_UUID, s->parent_uuid,
	       strnlen(s->parent_uuid, OVBD_UUID_SIZE - 1));
	memcpy(raw + RW_OFF_TAG, s->tag, strnlen(s->tag, LSMT_TAG_MAX));
	ovbd_put_le32(raw + RW_OFF_CHECKSUM, checksum_but(raw, RW_SUPER_SIZE, RW_OFF_CHECKSUM));
}

static bool is_place(uint64_t place, uint64_t tail)
{
	return place >= RW_RECORDS_BEGIN && place % LSMT_SECTOR_SIZE == 0 &&
	       ovbd_within(place, RW_BLOCK_SIZE, tail);
}

int ovbd_rw_super_decode(const uint8_t raw[RW_SUPER_SIZE], struct rw_super *ret,
                         struct ovbd_error *err)
{
	struct rw_super s = {
		.generation = ovbd_get_le64(raw + RW_OFF_GENERATION),
		.session = ovbd_get_le64(raw + RW_OFF_SESSION),
		.virtual_size = ovbd_get_le64(raw + RW_OFF_VIRTUAL_SIZE),
		.checkpoint_place = ovbd_get_le64(raw + RW_OFF_CHECKPOINT_PLACE),
		.checkpoint_blocks = ovbd_get_le64(raw + RW_OFF_CHECKPOINT_BLOCKS),
		.log_place = ovbd_get_le64(raw + RW_OFF_LOG_PLACE),
		.log_sequence = ovbd_get_le64(raw + RW_OFF_LOG_SEQUENCE),
		.safe_sequence = ovbd_get_le64(raw + RW_OFF_SAFE_SEQUENCE),
		.safe_tail = ovbd_get_le64(raw + RW_OFF_SAFE_TAIL),
	};
	const uint32_t version = ovbd_get_le32(raw + RW_OFF_VERSION);

	if (!ovbd_rw_super_has_magic(raw))
		return ovbd_fail(err, -EBADMSG, "ovbd-rw superblock: no magic");
	if (ovbd_get_le32(raw + RW_OFF_CHECKSUM) !=
	    checksum_but(raw, RW_SUPER_SIZE, RW_OFF_CHECKSUM))
		return ovbd_fail(err, -EBADMSG, "ovbd-rw superblock: checksum");
	if (version != VERSION)
		return ovbd_fail(err, -ENOTSUP, "ovbd-rw superblock: version %u is not %u", version,
		                 VERSION);
	if (s.virtual_size > LSMT_DEVICE_MAX || s.virtual_size % LSMT_SECTOR_SIZE)
		return ovbd_fail(err, -EBADMSG, "ovbd-rw superblock: virtual size %" PRIu64,
		                 s.virtual_size);
	if (s.safe_tail > LSMT_FILE_MAX || !is_place(s.log_place, s.safe_tail) ||
	    s.log_sequence == 0 || s.safe_sequence < s.log_sequence - 1 ||
	    (s.checkpoint_place && !is_place(s.checkpoint_place, s.safe_tail)) ||
	    s.checkpoint_blocks > s.safe_tail / RW_BLOCK_SIZE)
		return ovbd_fail(err, -EBADMSG,
		                 "ovbd-rw superblock: log at %" PRIu64 ", checkpoint at %" PRIu64
		                 ": not within %" PRIu64,
		                 s.log_place, s.checkpoint_place, s.safe_tail);
	memcpy(s.uuid, raw + RW_OFF_UUID, OVBD_UUID_SIZE - 1);
	memcpy(s.parent_uuid, raw + RW_OFF_PARENT_UUID, OVBD_UUID_SIZE - 1);
	memcpy(s.tag, raw + RW_OFF_TAG, LSMT_TAG_MAX);
	*ret = s;
	return 0;
}

void ovbd_rw_block_encode(const struct rw_block *b, uint8_t raw[RW_BLOCK_SIZE])
{
	const size_t used = RW_OFF_BLOCK_FIRST + (size_t)b->nrecords * RW_RECORD_SIZE;

	memset(raw, 0, RW_OFF_BLOCK_FIRST);
	memset(raw + used, 0, RW_BLOCK_SIZE - used);
	ovbd_put_le32(raw + RW_OFF_BLOCK_MAGIC, BLOCK_MAGIC);
	ovbd_put_le64(raw + RW_OFF_BLOCK_SEQUENCE, b->sequence);
	ovbd_put_le64(raw + RW_OFF_BLOCK_SESSION, b->session);
	ovbd_put_le64(raw + RW_OFF_BLOCK_NEXT, b->next);
	ovbd_put_le64(raw + RW_OFF_BLOCK_TAIL, b->tail);
	ovbd_put_le64(raw + RW_OFF_BLOCK_SAFE, b->safe);
	ovbd_put_le32(raw + RW_OFF_BLOCK_RECORDS, b->nrecords);
	ovbd_put_le32(raw + RW_OFF_BLOCK_KIND, b->kind);
	ovbd_put_le32(raw + RW_OFF_BLOCK_CHECKSUM,
	              checksum_but(raw, RW_BLOCK_SIZE, RW_OFF_BLOCK_CHECKSUM));
}

int ovbd_rw_block_decode(const uint8_t raw[RW_BLOCK_SIZE], uint64_t place, struct rw_block *ret,
                         struct ovbd_error *err)
{
	const struct rw_block b = {
		.sequence = ovbd_get_le64(raw + RW_OFF_BLOCK_SEQUENCE),
		.session = ovbd_get_le64(raw + RW_OFF_BLOCK_SESSION),
		.next = ovbd_get_le64(raw + RW_OFF_BLOCK_NEXT),
		.tail = ovbd_get_le64(raw + RW_OFF_BLOCK_TAIL),
		.safe = ovbd_get_le64(raw + RW_OFF_BLOCK_SAFE),
		.nrecords = ovbd_get_le32(raw + RW_OFF_BLOCK_RECORDS),
		.kind = ovbd_get_le32(raw + RW_OFF_BLOCK_KIND),
	};

	if (ovbd_get_le32(raw + RW_OFF_BLOCK_MAGIC) != BLOCK_MAGIC)
		return ovbd_fail(err, -EBADMSG, "ovbd-rw block at %" PRIu64 ": no magic", place);
	if (ovbd_get_le32(raw + RW_OFF_BLOCK_CHECKSUM) !=
	    checksum_but(raw, RW_BLOCK_SIZE, RW_OFF_BLOCK_CHECKSUM))
		return ovbd_fail(err, -EBADMSG, "ovbd-rw block at %" PRIu64 ": checksum", place);
	if (b.nrecords > RW_BLOCK_RECORDS || b.tail > LSMT_FILE_MAX || !is_place(place, b.tail) ||
	    (b.next && !is_place(b.next, b.tail)) || (b.next == 0 && b.kind == RW_BLOCK_LOG))
		return ovbd_fail(err, -EBADMSG,
		                 "ovbd-rw block at %" PRIu64 ": %" PRIu32
		                 " records, the next at %" PRIu64 ", within %" PRIu64,
		                 place, b.nrecords, b.next, b.tail);
	*ret = b;
	return 0;
}

void ovbd_rw_record_encode(const struct rw_record *r, uint8_t raw[RW_BLOCK_SIZE], uint32_t i)
{
	uint8_t *p = raw + RW_OFF_BLOCK_FIRST + (size_t)i * RW_RECORD_SIZE;

	memset(p, 0, RW_RECORD_SIZE);
	ovbd_put_le64(p + RW_OFF_RECORD_OFFSET, r->off);
	ovbd_put_le64(p + RW_OFF_RECORD_LENGTH, r->len);
	ovbd_put_le64(p + RW_OFF_RECORD_SOURCE, r->src);
	ovbd_put_le32(p + RW_OFF_RECORD_CHECKSUM, r->checksum);
	p[RW_OFF_RECORD_KIND] = (uint8_t)r->kind;
}

int ovbd_rw_record_decode(const uint8_t raw[RW_BLOCK_SIZE], const struct rw_block *b, uint32_t i,
                          struct rw_record *ret, struct ovbd_error *err)
{
	const uint8_t *p = raw + RW_OFF_BLOCK_FIRST + (size_t)i * RW_RECORD_SIZE;
	const uint8_t kind = p[RW_OFF_RECORD_KIND];
	const struct rw_record r = {
		.off = ovbd_get_le64(p + RW_OFF_RECORD_OFFSET),
		.len = ovbd_get_le64(p + RW_OFF_RECORD_LENGTH),
		.src = ovbd_get_le64(p + RW_OFF_RECORD_SOURCE),
		.checksum = ovbd_get_le32(p + RW_OFF_RECORD_CHECKSUM),
		.kind = kind == OVBD_RUN_ZERO ? OVBD_RUN_ZERO : OVBD_RUN_DATA,
	};
	const bool data = r.kind == OVBD_RUN_DATA;

	if (kind > OVBD_RUN_ZERO || r.len == 0 || (data && r.len > LSMT_ENTRY_LEN_MAX) ||
	    (r.off | r.len | r.src) % LSMT_SECTOR_SIZE ||
	    !ovbd_within(r.off, r.len, LSMT_DEVICE_MAX) ||
	    (data && (r.src < RW_RECORDS_BEGIN || !ovbd_within(r.src, r.len, b->tail))))
		return ovbd_fail(err, -EBADMSG,
		                 "ovbd-rw block %" PRIu64 ", record %" PRIu32 ": %" PRIu64
		                 " bytes of kind %u at device offset %" PRIu64 ", from %" PRIu64,
		                 b->sequence, i, r.len, kind, r.off, r.src);
	*ret = r;
	return 0;
}
