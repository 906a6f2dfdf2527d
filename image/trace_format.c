// SPDX-License-Identifier: Apache-2.0
#include "image/trace_format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "lsmt/lsmt.h"

bool ovbd_trace_has_magic(const uint8_t *raw, size_t len)
{
	return len >= sizeof(uint32_t) && ovbd_get_le32(raw + TRACE_OFF_MAGIC) == TRACE_MAGIC;
}

int ovbd_trace_header_decode(const uint8_t raw[TRACE_HEADER_SIZE], uint64_t file_size,
                             uint64_t *ret_size, uint32_t *ret_crc, struct ovbd_error *err)
{
	const uint64_t size = ovbd_get_le64(raw + TRACE_OFF_DATA_SIZE);

	if (!ovbd_trace_has_magic(raw, TRACE_HEADER_SIZE))
		return ovbd_fail(err, -EBADMSG, "trace: begins with 0x%08" PRIx32 ", not 0x%08x",
		                 ovbd_get_le32(raw), TRACE_MAGIC);
	if (size % TRACE_RECORD_SIZE != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "trace: %" PRIu64 " bytes of records are no multiple of %u", size,
		                 TRACE_RECORD_SIZE);
	if (size > OVBD_TRACE_RECORDS_MAX * (uint64_t)TRACE_RECORD_SIZE)
		return ovbd_fail(err, -E2BIG,
		                 "trace: %" PRIu64 " bytes of records are more than %u records",
		                 size, OVBD_TRACE_RECORDS_MAX);
	if (size != file_size - TRACE_HEADER_SIZE)
		return ovbd_fail(err, -EBADMSG,
		                 "trace: the header says %" PRIu64
		                 " bytes of records, and there are %" PRIu64,
		                 size, file_size - TRACE_HEADER_SIZE);
	*ret_size = size;
	*ret_crc = ovbd_get_le32(raw + TRACE_OFF_CHECKSUM);
	return 0;
}

void ovbd_trace_header_encode(uint64_t size, uint32_t crc, uint8_t ret_raw[TRACE_HEADER_SIZE])
{
	memset(ret_raw, 0, TRACE_HEADER_SIZE);
	ovbd_put_le32(ret_raw + TRACE_OFF_MAGIC, TRACE_MAGIC);
	ovbd_put_le64(ret_raw + TRACE_OFF_DATA_SIZE, size);
	ovbd_put_le32(ret_raw + TRACE_OFF_CHECKSUM, crc);
}

int ovbd_trace_record_decode(const uint8_t raw[TRACE_RECORD_SIZE], uint64_t number,
                             struct ovbd_trace_record *ret, struct ovbd_error *err)
{
	const struct ovbd_trace_record r = {
		.layer = ovbd_get_le32(raw + TRACE_OFF_LAYER),
		.len = ovbd_get_le64(raw + TRACE_OFF_COUNT),
		.off = ovbd_get_le64(raw + TRACE_OFF_OFFSET),
	};

	if (raw[TRACE_OFF_OP] != TRACE_OP_READ)
		return ovbd_fail(err, -EBADMSG, "trace record %" PRIu64 ": operation 0x%02x",
		                 number, raw[TRACE_OFF_OP]);
	if (r.layer >= OVBD_LAYERS_MAX)
		return ovbd_fail(err, -EBADMSG, "trace record %" PRIu64 ": layer %" PRIu32, number,
		                 r.layer);
	if (r.len == 0 || !ovbd_within(r.off, r.len, INT64_MAX))
		return ovbd_fail(err, -EBADMSG,
		                 "trace record %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64, number,
		                 r.len, r.off);
	*ret = r;
	return 0;
}

void ovbd_trace_record_encode(const struct ovbd_trace_record *r, uint8_t ret_raw[TRACE_RECORD_SIZE])
{
	memset(ret_raw, 0, TRACE_RECORD_SIZE);
	ret_raw[TRACE_OFF_OP] = TRACE_OP_READ;
	ovbd_put_le32(ret_raw + TRACE_OFF_LAYER, r->layer);
	ovbd_put_le64(ret_raw + TRACE_OFF_COUNT, r->len);
	ovbd_put_le64(ret_raw + TRACE_OFF_OFFSET, r->off);
}
