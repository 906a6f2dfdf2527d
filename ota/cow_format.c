// SPDX-License-Identifier: Apache-2.0
/*
 * Six layouts have called themselves 1.0. They are told by what stands where later ones have the
 * size of the header: 106, 20, 28, 34; in the first two, which have no such field, these bytes are
 * the low half of the place of the operations, which lies behind their 104 bytes.
 */
#include "ota/cow_format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/cow.h"

#define A_SIZE  104u
#define V3_SIZE 78u

static const struct {
	char layout;
	unsigned major;
	uint32_t header_size;
} layouts[] = {
	{'B', 1, 106}, {'C', 1, 20}, {'D', 1, 28}, {'E', 1, 34}, {'F', 2, 38}, {'H', 3, V3_SIZE},
};

static bool is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* A, S and, all moved by the two bytes of its header's size, B. */
static int decode_oldest(const uint8_t *raw, uint64_t file_size, struct cow_header *h,
                         struct ovbd_error *err)
{
	const uint32_t block_size = ovbd_get_le32(raw + COW_OFF_OLD_BLOCK_SIZE);

	h->ops_off = ovbd_get_le64(raw + COW_OFF_OLD_OPS_OFFSET);
	h->ops_size = ovbd_get_le64(raw + COW_OFF_OLD_OPS_SIZE);
	h->num_ops = ovbd_get_le64(raw + COW_OFF_OLD_NUM_OPS);
	memcpy(h->header_sha, raw + COW_OFF_OLD_HEADER_SHA256, COW_SHA_SIZE);
	memcpy(h->ops_sha, raw + COW_OFF_OLD_OPS_SHA256, COW_SHA_SIZE);
	if (block_size != OVBD_COW_BLOCK_SIZE)
		return ovbd_fail(err, -EBADMSG, "cow: blocks of %" PRIu32 " bytes, not 4096",
		                 block_size);
	if (h->ops_off < h->header_size || h->num_ops > file_size / COW_OP_SIZE ||
	    h->ops_size != h->num_ops * COW_OP_SIZE ||
	    !ovbd_within(h->ops_off, h->ops_size, file_size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: %" PRIu64 " operations in %" PRIu64 " bytes at %" PRIu64
		                 " do not fit into a file of %" PRIu64,
		                 h->num_ops, h->ops_size, h->ops_off, file_size);
	return 0;
}

static int check_field(const char *what, uint64_t has, uint64_t wanted, struct ovbd_error *err)
{
	if (has == wanted)
		return 0;
	return ovbd_fail(err, -EBADMSG, "cow: %s is %" PRIu64 ", not %" PRIu64, what, has, wanted);
}

/* C to H, whose beginnings grew from one to the next. */
static int decode_later(const uint8_t *raw, uint64_t file_size, struct cow_header *h,
                        struct ovbd_error *err)
{
	const bool v3 = h->layout == 'H', old = h->layout == 'C' || h->layout == 'D';
	const uint32_t block_size =
		ovbd_get_le32(raw + (old ? COW_OFF_C_BLOCK_SIZE : COW_OFF_BLOCK_SIZE));
	int r;

	r = check_field("the size of the footer", ovbd_get_le16(raw + COW_OFF_FOOTER_SIZE),
	                v3 ? 0 : COW_FOOTER_SIZE, err);
	if (r == 0)
		r = check_field("the size of a block", block_size, OVBD_COW_BLOCK_SIZE, err);
	if (r == 0 && !old)
		r = check_field("the size of an operation", ovbd_get_le16(raw + COW_OFF_OP_SIZE),
		                v3 ? COW_OP3_SIZE : COW_OP_SIZE, err);
	if (r < 0)
		return r;
	if (h->layout == 'D')
		h->num_merge_ops = ovbd_get_le64(raw + COW_OFF_D_NUM_MERGE_OPS);
	if (old)
		return 0;
	h->cluster_ops = ovbd_get_le32(raw + COW_OFF_CLUSTER_OPS);
	h->num_merge_ops = ovbd_get_le64(raw + COW_OFF_NUM_MERGE_OPS);
	if (h->cluster_ops == 1 || (v3 && h->cluster_ops != 0))
		return ovbd_fail(err, -EBADMSG, "cow: clusters of %" PRIu32 " operations",
		                 h->cluster_ops);
	if (h->layout == 'E')
		return 0;
	h->buffer_size = ovbd_get_le32(raw + COW_OFF_BUFFER_SIZE);
	if (h->buffer_size > COW_SCRATCH_MAX ||
	    !ovbd_within(h->header_size, h->buffer_size, file_size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: a scratch area of %" PRIu32
		                 " bytes does not fit into a file of %" PRIu64,
		                 h->buffer_size, file_size);
	return 0;
}

/* One part of a 3.0 file: n of size bytes, behind what there is already. */
static int place(const char *what, uint64_t n, uint64_t size, uint64_t *end, uint64_t file_size,
                 struct ovbd_error *err)
{
	if (n > (file_size - *end) / size)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: %" PRIu64 " %s at %" PRIu64
		                 " do not fit into a file of %" PRIu64,
		                 n, what, *end, file_size);
	*end += n * size;
	return 0;
}

static int decode_v3(const uint8_t *raw, uint64_t file_size, struct cow_header *h,
                     struct ovbd_error *err)
{
	uint64_t end = (uint64_t)h->header_size + h->buffer_size;
	int r;

	h->nsequence = ovbd_get_le64(raw + COW_OFF_SEQUENCE_DATA_COUNT);
	h->nresume = ovbd_get_le32(raw + COW_OFF_RESUME_POINT_COUNT);
	h->resume_max = ovbd_get_le32(raw + COW_OFF_RESUME_POINT_MAX);
	h->op_count = ovbd_get_le64(raw + COW_OFF_OP_COUNT);
	h->op_count_max = ovbd_get_le64(raw + COW_OFF_OP_COUNT_MAX);
	h->algorithm = ovbd_get_le32(raw + COW_OFF_COMPRESSION_ALGORITHM);
	h->max_compression_size = ovbd_get_le32(raw + COW_OFF_MAX_COMPRESSION_SIZE);
	if (h->nresume > h->resume_max) /* the original never stops counting */
		h->nresume = h->resume_max;
	if (h->algorithm > OVBD_COW_ZSTD)
		return ovbd_fail(err, -ENOTSUP, "cow: compression algorithm %" PRIu32,
		                 h->algorithm);
	if (h->op_count > h->op_count_max || h->op_count_max > COW_SOURCE_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: %" PRIu64 " operations, where there is room for %" PRIu64,
		                 h->op_count, h->op_count_max);
	r = place("entries of merge order", h->nsequence, COW_SEQUENCE_SIZE, &end, file_size, err);
	if (r == 0)
		r = place("resume points", h->resume_max, COW_RESUME_SIZE, &end, file_size, err);
	/* the unused ones at the end need not be there, if no data follow */
	return r < 0 ? r : place("operations", h->op_count, COW_OP3_SIZE, &end, file_size, err);
}

static int find_layout(const uint8_t *raw, size_t len, struct cow_header *h, struct ovbd_error *err)
{
	const unsigned major = ovbd_get_le16(raw + COW_OFF_MAJOR);
	const unsigned minor = ovbd_get_le16(raw + COW_OFF_MINOR);
	const uint32_t size = ovbd_get_le16(raw + COW_OFF_HEADER_SIZE);

	if (major < 1 || major > 3 || minor != 0)
		return ovbd_fail(err, -ENOTSUP, "cow: version %u.%u", major, minor);
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (layouts[i].major == major && layouts[i].header_size == size) {
			h->layout = layouts[i].layout;
			h->header_size = size;
		}
	}
	if (!h->layout && major == 1 && len >= A_SIZE) {
		h->layout = is_zero(raw + COW_OFF_OLD_HEADER_SHA256, 2 * COW_SHA_SIZE) ? 'S' : 'A';
		h->header_size = A_SIZE;
	}
	if (!h->layout)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: version %u.0 with a header of %" PRIu32 " bytes", major,
		                 size);
	if (h->header_size > len)
		return ovbd_fail(err, -EBADMSG, "cow: cut off in its header of %" PRIu32 " bytes",
		                 h->header_size);
	return 0;
}

int cow_header_decode(const uint8_t *raw, size_t len, uint64_t file_size, struct cow_header *ret,
                      struct ovbd_error *err)
{
	struct cow_header h = {0};
	int r;

	if (len < COW_HEADER_MIN)
		return ovbd_fail(err, -EBADMSG, "cow: %zu bytes are too few for a header", len);
	if (ovbd_get_le64(raw + COW_OFF_MAGIC) != COW_MAGIC)
		return ovbd_fail(err, -EBADMSG, "cow: does not begin with the magic of a COW");
	r = find_layout(raw, len, &h, err);
	if (r < 0)
		return r;
	if (h.layout == 'B')
		r = decode_oldest(raw + 2, file_size, &h, err);
	else if (h.layout == 'A' || h.layout == 'S')
		r = decode_oldest(raw, file_size, &h, err);
	else
		r = decode_later(raw, file_size, &h, err);
	if (r == 0 && h.layout == 'H')
		r = decode_v3(raw, file_size, &h, err);
	if (r == 0)
		*ret = h;
	return r;
}

uint32_t cow_header_size(char layout)
{
	uint32_t size = 0;

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].layout == layout)
			size = layouts[i].header_size;
	return size;
}

void cow_header_encode(const struct cow_header *h, uint8_t *raw)
{
	const bool v3 = h->layout == 'H';

	memset(raw, 0, h->header_size);
	ovbd_put_le64(raw + COW_OFF_MAGIC, COW_MAGIC);
	ovbd_put_le16(raw + COW_OFF_MAJOR, v3 ? 3 : 2);
	ovbd_put_le16(raw + COW_OFF_HEADER_SIZE, (uint16_t)h->header_size);
	ovbd_put_le16(raw + COW_OFF_FOOTER_SIZE, v3 ? 0 : COW_FOOTER_SIZE);
	ovbd_put_le16(raw + COW_OFF_OP_SIZE, v3 ? COW_OP3_SIZE : COW_OP_SIZE);
	ovbd_put_le32(raw + COW_OFF_BLOCK_SIZE, OVBD_COW_BLOCK_SIZE);
	ovbd_put_le32(raw + COW_OFF_CLUSTER_OPS, h->cluster_ops);
	ovbd_put_le64(raw + COW_OFF_NUM_MERGE_OPS, h->num_merge_ops);
	ovbd_put_le32(raw + COW_OFF_BUFFER_SIZE, h->buffer_size);
	if (!v3)
		return;
	ovbd_put_le64(raw + COW_OFF_SEQUENCE_DATA_COUNT, h->nsequence);
	ovbd_put_le32(raw + COW_OFF_RESUME_POINT_COUNT, h->nresume);
	ovbd_put_le32(raw + COW_OFF_RESUME_POINT_MAX, h->resume_max);
	ovbd_put_le64(raw + COW_OFF_OP_COUNT, h->op_count);
	ovbd_put_le64(raw + COW_OFF_OP_COUNT_MAX, h->op_count_max);
	ovbd_put_le32(raw + COW_OFF_COMPRESSION_ALGORITHM, h->algorithm);
	ovbd_put_le32(raw + COW_OFF_MAX_COMPRESSION_SIZE, h->max_compression_size);
}

void cow_header_blank_sha(uint8_t *raw)
{
	memset(raw + COW_OFF_OLD_HEADER_SHA256, 0, COW_SHA_SIZE);
}

/* ---- places ---- */

uint64_t cow_sequence_off(const struct cow_header *h)
{
	return (uint64_t)h->header_size + h->buffer_size;
}

uint64_t cow_resume_off(const struct cow_header *h)
{
	return cow_sequence_off(h) + h->nsequence * COW_SEQUENCE_SIZE;
}

uint64_t cow_ops_off(const struct cow_header *h)
{
	return cow_resume_off(h) + (uint64_t)h->resume_max * COW_RESUME_SIZE;
}

uint64_t cow_data_off(const struct cow_header *h)
{
	return cow_ops_off(h) + h->op_count_max * COW_OP3_SIZE;
}

uint64_t cow_counter_off(const struct cow_header *h)
{
	if (h->layout == 'D')
		return COW_OFF_D_NUM_MERGE_OPS;
	return h->layout == 'E' || h->layout == 'F' || h->layout == 'H' ? COW_OFF_NUM_MERGE_OPS : 0;
}

size_t cow_counter_size(const struct cow_header *h)
{
	if (h->buffer_size == 0)
		return sizeof(uint64_t);
	return (size_t)(cow_scratch_entries_off(h) - cow_counter_off(h));
}

void cow_counter_encode(const struct cow_header *h, uint64_t num_merge_ops, uint8_t *raw)
{
	ovbd_put_le64(raw, num_merge_ops);
	if (h->buffer_size > 0)
		raw[cow_counter_size(h) - 1] = COW_SCRATCH_BEGUN;
}

/* The state is the first byte of the area. */
uint64_t cow_scratch_entries_off(const struct cow_header *h)
{
	return (uint64_t)h->header_size + 1;
}

static uint64_t scratch_entries_size(const struct cow_header *h)
{
	return (uint64_t)h->buffer_size * COW_SCRATCH_SIZE / OVBD_COW_BLOCK_SIZE;
}

uint32_t cow_scratch_entries_max(const struct cow_header *h)
{
	const uint64_t size = scratch_entries_size(h);

	return (uint32_t)((h->buffer_size - size) / OVBD_COW_BLOCK_SIZE);
}

uint64_t cow_scratch_data_off(const struct cow_header *h, uint32_t i)
{
	return h->header_size + scratch_entries_size(h) + (uint64_t)i * OVBD_COW_BLOCK_SIZE;
}

/* ---- operations ---- */

struct cow_slot cow_slot_decode(const uint8_t raw[COW_OP_SIZE])
{
	return (struct cow_slot){
		.type = raw[COW_OFF_OP_TYPE],
		.compression = raw[COW_OFF_OP_COMPRESSION],
		.data_len = ovbd_get_le16(raw + COW_OFF_OP_DATA_LENGTH),
		.block = ovbd_get_le64(raw + COW_OFF_OP_NEW_BLOCK),
		.source = ovbd_get_le64(raw + COW_OFF_OP_SOURCE),
	};
}

struct cow_slot cow_slot3_decode(const uint8_t raw[COW_OP3_SIZE])
{
	const uint64_t info = ovbd_get_le64(raw + COW_OFF_OP3_SOURCE_INFO);

	return (struct cow_slot){
		.type = (uint8_t)(info >> 60),
		.compression = info >> 57 & 7,
		.data_len = ovbd_get_le32(raw + COW_OFF_OP3_DATA_LENGTH),
		.block = ovbd_get_le32(raw + COW_OFF_OP3_NEW_BLOCK),
		.source = info & ((UINT64_C(1) << 57) - 1),
	};
}

void cow_slot_encode(const struct cow_slot *s, uint8_t raw[COW_OP_SIZE])
{
	raw[COW_OFF_OP_TYPE] = s->type;
	raw[COW_OFF_OP_COMPRESSION] = s->compression;
	ovbd_put_le16(raw + COW_OFF_OP_DATA_LENGTH, (uint16_t)s->data_len);
	ovbd_put_le64(raw + COW_OFF_OP_NEW_BLOCK, s->block);
	ovbd_put_le64(raw + COW_OFF_OP_SOURCE, s->source);
}

void cow_slot3_encode(const struct cow_slot *s, uint8_t raw[COW_OP3_SIZE])
{
	ovbd_put_le32(raw + COW_OFF_OP3_DATA_LENGTH, s->data_len);
	ovbd_put_le32(raw + COW_OFF_OP3_NEW_BLOCK, (uint32_t)s->block);
	ovbd_put_le64(raw + COW_OFF_OP3_SOURCE_INFO,
	              (uint64_t)s->type << 60 | (uint64_t)s->compression << 57 | s->source);
}

void cow_resume_decode(const uint8_t raw[COW_RESUME_SIZE], uint64_t *ret_label, uint64_t *ret_n)
{
	*ret_label = ovbd_get_le64(raw + COW_OFF_RESUME_LABEL);
	*ret_n = ovbd_get_le64(raw + COW_OFF_RESUME_OP_INDEX);
}

void cow_resume_encode(uint64_t label, uint64_t n, uint8_t raw[COW_RESUME_SIZE])
{
	ovbd_put_le64(raw + COW_OFF_RESUME_LABEL, label);
	ovbd_put_le64(raw + COW_OFF_RESUME_OP_INDEX, n);
}

bool cow_scratch_decode(const uint8_t raw[COW_SCRATCH_SIZE], uint64_t *ret_block, uint64_t *ret_off)
{
	*ret_block = ovbd_get_le64(raw + COW_OFF_SCRATCH_NEW_BLOCK);
	*ret_off = ovbd_get_le64(raw + COW_OFF_SCRATCH_FILE_OFFSET);
	return *ret_block != 0 || *ret_off != 0;
}

void cow_scratch_encode(uint8_t raw[COW_SCRATCH_SIZE], uint64_t block, uint64_t off)
{
	ovbd_put_le64(raw + COW_OFF_SCRATCH_NEW_BLOCK, block);
	ovbd_put_le64(raw + COW_OFF_SCRATCH_FILE_OFFSET, off);
}

struct cow_footer cow_footer_decode(const uint8_t raw[COW_FOOTER_SIZE])
{
	return (struct cow_footer){
		.ops_size = ovbd_get_le64(raw + COW_OFF_FOOTER_OPS_SIZE),
		.num_ops = ovbd_get_le64(raw + COW_OFF_FOOTER_NUM_OPS),
	};
}

void cow_footer_encode(const struct cow_footer *f, uint8_t raw[COW_FOOTER_SIZE])
{
	memset(raw, 0, COW_FOOTER_SIZE);
	raw[COW_OFF_FOOTER_TYPE] = COW_FOOTER;
	ovbd_put_le16(raw + COW_OFF_OP_DATA_LENGTH, COW_FOOTER_SIZE - COW_OP_SIZE);
	ovbd_put_le64(raw + COW_OFF_FOOTER_OPS_SIZE, f->ops_size);
	ovbd_put_le64(raw + COW_OFF_FOOTER_NUM_OPS, f->num_ops);
}
