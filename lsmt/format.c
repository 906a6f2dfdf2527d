// SPDX-License-Identifier: Apache-2.0
/*
 * The only code that knows where the fields are, and what a sector is.
 *
 * An entry of the index is two little-endian words, in sectors:
 *
 *     word 0   offset: bits 0..49 · length: bits 50..63
 *     word 1   moffset: bits 0..54 · zeroed: bit 55 · tag: bits 56..63
 *
 * and a reference has bit 54 set, which no moffset of a file can reach.
 *
 * An offset of all ones marks padding. Nothing in the format has a checksum, so what is checked
 * here is what keeps a reader within the file and the entries in order; whether the bytes are the
 * right ones, only the ZFile around a layer can tell.
 */
#include "lsmt/format.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

#define SECTOR_BITS  9
#define OFFSET_BITS  50
#define LENGTH_BITS  14
#define MOFFSET_BITS 55
#define REF_BIT      54 /* of a moffset */
#define ZEROED_BIT   55
#define TAG_BIT      56

#define MASK(bits)     ((UINT64_C(1) << (bits)) - 1)
#define INVALID_OFFSET MASK(OFFSET_BITS)

#define REF_MARK (UINT64_C(1) << (REF_BIT + SECTOR_BITS)) /* the same, in bytes */

#define VERSION_MAJOR 1
#define VERSION_MINOR 1
#define VERSION_REFS  2 /* 2.0: with references */

static const uint8_t magic[LSMT_MAGIC_SIZE] = {
	'L',  'S',  'M',  'T',  0,    1,    2,    0, /* magic0 */
	0x65, 0x7e, 0x63, 0xd2, 0x94, 0x44, 0x08, 0x4c,
	0xa2, 0xd2, 0xc8, 0xec, 0x4f, 0xcf, 0xae, 0x8a, /* magic1 */
};

static const char null_uuid[OVBD_UUID_SIZE] = "00000000-0000-0000-0000-000000000000";

const char *ovbd_lsmt_part_name(enum lsmt_part part)
{
	return part == LSMT_HEADER ? "header" : "trailer";
}

bool ovbd_lsmt_has_magic(const uint8_t raw[LSMT_MAGIC_SIZE])
{
	return memcmp(raw, magic, sizeof(magic)) == 0;
}

/* UUIDs are a text by the format; whatever else is found there is not passed on to terminals. */
static void get_uuid(char ret[OVBD_UUID_SIZE], const uint8_t *raw)
{
	memset(ret, 0, OVBD_UUID_SIZE);
	for (size_t i = 0; i < OVBD_UUID_SIZE - 1 && raw[i] != 0; i++)
		ret[i] = raw[i] > ' ' && raw[i] < 0x7f ? (char)raw[i] : '?';
}

static int check_flags(uint32_t flags, enum lsmt_part part, bool references, struct ovbd_error *err)
{
	const char *name = ovbd_lsmt_part_name(part);

	if (((flags & LSMT_FLAG_HEADER) != 0) != (part == LSMT_HEADER))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: flags 0x%" PRIx32 " are not those of a %s", name, flags,
		                 name);
	if (references && !(flags & LSMT_FLAG_REFERENCES))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: version 2 without its flag 0x%x: flags 0x%" PRIx32, name,
		                 LSMT_FLAG_REFERENCES, flags);
	/* that others take for a sealed file's trailer is what this must not be */
	if (references && part == LSMT_TRAILER && flags & LSMT_FLAG_DATA)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: flags 0x%" PRIx32
		                 " are not those of a layer with references",
		                 name, flags);
	if (!(flags & LSMT_FLAG_DATA) && !(references && part == LSMT_TRAILER))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: flags 0x%" PRIx32
		                 " are those of the index file of a writable layer",
		                 name, flags);
	/* A file that was sealed in place keeps the header it had while it was written to. */
	if (part == LSMT_TRAILER && !(flags & LSMT_FLAG_SEALED))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: flags 0x%" PRIx32 " are not those of a sealed file",
		                 name, flags);
	return 0;
}

int ovbd_lsmt_header_decode(const uint8_t raw[LSMT_HEADER_SIZE], enum lsmt_part part,
                            struct lsmt_header *ret, struct ovbd_error *err)
{
	struct lsmt_header h = {
		.flags = ovbd_get_le32(raw + LSMT_OFF_FLAGS),
		.index_off = ovbd_get_le64(raw + LSMT_OFF_INDEX_OFFSET),
		.nentries = ovbd_get_le64(raw + LSMT_OFF_INDEX_SIZE),
		.virtual_size = ovbd_get_le64(raw + LSMT_OFF_VIRTUAL_SIZE),
		.version = (uint32_t)raw[LSMT_OFF_VERSION] << 8 | raw[LSMT_OFF_SUB_VERSION],
		.references = raw[LSMT_OFF_VERSION] == VERSION_REFS,
	};
	int r;

	if (!ovbd_lsmt_has_magic(raw))
		return ovbd_fail(err, -EBADMSG, "lsmt %s: no LSMT magic%s",
		                 ovbd_lsmt_part_name(part),
		                 part == LSMT_TRAILER ? "; the file is not sealed, or cut off"
		                                      : "");
	r = check_flags(h.flags, part, h.references, err);
	if (r < 0)
		return r;
	if (h.version >> 8 > VERSION_REFS)
		return ovbd_fail(err, -ENOTSUP, "lsmt %s: version %u.%u is newer than %u.0",
		                 ovbd_lsmt_part_name(part), raw[LSMT_OFF_VERSION],
		                 raw[LSMT_OFF_SUB_VERSION], VERSION_REFS);
	get_uuid(h.uuid, raw + LSMT_OFF_UUID);
	get_uuid(h.parent_uuid, raw + LSMT_OFF_PARENT_UUID);
	memcpy(h.tag, raw + LSMT_OFF_USER_TAG, LSMT_TAG_MAX);
	h.tag[strnlen(h.tag, LSMT_TAG_MAX)] = 0;
	*ret = h;
	return 0;
}

int ovbd_lsmt_trailer_check(const struct lsmt_header *h, uint64_t file_size, struct ovbd_error *err)
{
	uint64_t index_len;

	if (file_size < 2 * LSMT_HEADER_SIZE || h->index_off < LSMT_HEADER_SIZE ||
	    !ovbd_mul(h->nentries, LSMT_ENTRY_SIZE, &index_len) ||
	    !ovbd_within(h->index_off, index_len, file_size - LSMT_HEADER_SIZE))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt trailer: an index of %" PRIu64 " entries at %" PRIu64
		                 " does not lie within a file of %" PRIu64,
		                 h->nentries, h->index_off, file_size);
	if (h->virtual_size > LSMT_DEVICE_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt trailer: virtual size %" PRIu64 " is more than %" PRIu64,
		                 h->virtual_size, LSMT_DEVICE_MAX);
	return 0;
}

int ovbd_lsmt_header_check_rest(const uint8_t raw[LSMT_HEADER_SIZE], enum lsmt_part part,
                                struct ovbd_error *err)
{
	const char *name = ovbd_lsmt_part_name(part);
	const uint32_t size = ovbd_get_le32(raw + LSMT_OFF_SIZE);

	if (size != LSMT_OFF_END)
		return ovbd_fail(err, -EBADMSG, "lsmt %s: size %" PRIu32 " is not %d", name, size,
		                 LSMT_OFF_END);
	if (!(raw[LSMT_OFF_VERSION] == VERSION_MAJOR &&
	      raw[LSMT_OFF_SUB_VERSION] == VERSION_MINOR) &&
	    !(raw[LSMT_OFF_VERSION] == VERSION_REFS && raw[LSMT_OFF_SUB_VERSION] == 0))
		return ovbd_fail(err, -EBADMSG, "lsmt %s: version %u.%u is not %u.%u or %u.0", name,
		                 raw[LSMT_OFF_VERSION], raw[LSMT_OFF_SUB_VERSION], VERSION_MAJOR,
		                 VERSION_MINOR, VERSION_REFS);
	if (ovbd_get_le16(raw + LSMT_OFF_RESERVED) != 0)
		return ovbd_fail(err, -EBADMSG, "lsmt %s: reserved bytes at %d are not zero", name,
		                 LSMT_OFF_RESERVED);
	if (!ovbd_is_zero(raw + LSMT_OFF_END, LSMT_HEADER_SIZE - LSMT_OFF_END))
		return ovbd_fail(err, -EBADMSG, "lsmt %s: bytes from %d on are not zero", name,
		                 LSMT_OFF_END);
	return 0;
}

/* Those of h, and what references make of them. */
static uint32_t flags_of(const struct lsmt_header *h)
{
	if (!h->references)
		return h->flags;
	return (h->flags & LSMT_FLAG_HEADER ? h->flags : h->flags & ~(uint32_t)LSMT_FLAG_DATA) |
	       LSMT_FLAG_REFERENCES;
}

void ovbd_lsmt_header_encode(const struct lsmt_header *h, uint8_t ret_raw[LSMT_HEADER_SIZE])
{
	uint8_t *raw = ret_raw;

	assert(h->virtual_size <= LSMT_DEVICE_MAX);
	memset(raw, 0, LSMT_HEADER_SIZE);
	memcpy(raw, magic, sizeof(magic));
	ovbd_put_le32(raw + LSMT_OFF_SIZE, LSMT_OFF_END);
	ovbd_put_le32(raw + LSMT_OFF_FLAGS, flags_of(h));
	ovbd_put_le64(raw + LSMT_OFF_INDEX_OFFSET, h->index_off);
	ovbd_put_le64(raw + LSMT_OFF_INDEX_SIZE, h->nentries);
	ovbd_put_le64(raw + LSMT_OFF_VIRTUAL_SIZE, h->virtual_size);
	memcpy(raw + LSMT_OFF_UUID, h->uuid, strnlen(h->uuid, OVBD_UUID_SIZE - 1));
	memcpy(raw + LSMT_OFF_PARENT_UUID, h->parent_uuid,
	       strnlen(h->parent_uuid, OVBD_UUID_SIZE - 1));
	raw[LSMT_OFF_VERSION] = h->references ? VERSION_REFS : VERSION_MAJOR;
	raw[LSMT_OFF_SUB_VERSION] = h->references ? 0 : VERSION_MINOR;
	memcpy(raw + LSMT_OFF_USER_TAG, h->tag, strnlen(h->tag, LSMT_TAG_MAX));
}

struct lsmt_entry ovbd_lsmt_entry_decode(const uint8_t raw[LSMT_ENTRY_SIZE])
{
	const uint64_t w0 = ovbd_get_le64(raw), w1 = ovbd_get_le64(raw + 8);
	const bool zeroed = w1 >> ZEROED_BIT & 1;

	return (struct lsmt_entry){
		.off = (w0 & MASK(OFFSET_BITS)) << SECTOR_BITS,
		.len = (w0 >> OFFSET_BITS) << SECTOR_BITS,
		.src = (w1 & MASK(zeroed ? MOFFSET_BITS : REF_BIT)) << SECTOR_BITS,
		.tag = (uint8_t)(w1 >> TAG_BIT),
		.zeroed = zeroed,
		.reference = !zeroed && w1 >> REF_BIT & 1,
		.padding = (w0 & MASK(OFFSET_BITS)) == INVALID_OFFSET,
	};
}

static int check_source(const struct lsmt_entry *e, uint64_t number, uint64_t index_off,
                        struct ovbd_error *err)
{
	/* A zeroed segment has no source, but says where the file ended when it was written. */
	const uint64_t len = e->zeroed ? 0 : e->len;
	const uint64_t src = e->reference ? e->src | REF_MARK : e->src;

	if (src >= LSMT_HEADER_SIZE && ovbd_within(src, len, index_off))
		return 0;
	if (e->tag != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index entry %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
		                 " are not within the data, which ends at %" PRIu64
		                 "; its tag %u is what a turboOCI layer gives to data elsewhere",
		                 number, len, src, index_off, e->tag);
	return ovbd_fail(err, -EBADMSG,
	                 "lsmt index entry %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
	                 " are not within the data, which ends at %" PRIu64,
	                 number, len, src, index_off);
}

int ovbd_lsmt_entry_check(const struct lsmt_entry *e, uint64_t number, uint64_t prev_end,
                          const struct lsmt_header *t, struct ovbd_error *err)
{
	if (e->len == 0)
		return ovbd_fail(err, -EBADMSG, "lsmt index entry %" PRIu64 ": length 0", number);
	if (e->off < prev_end)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index entry %" PRIu64 ": device offset %" PRIu64
		                 " lies before %" PRIu64 ", where the one before ends",
		                 number, e->off, prev_end);
	if (!ovbd_within(e->off, e->len, LSMT_DEVICE_MAX))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index entry %" PRIu64 ": %" PRIu64
		                 " bytes at device offset %" PRIu64 " end beyond %" PRIu64,
		                 number, e->len, e->off, LSMT_DEVICE_MAX);
	if (!e->reference || !t->references)
		return check_source(e, number, t->index_off, err);
	if (!ovbd_within(e->src, e->len, LSMT_DEVICE_MAX))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index entry %" PRIu64 ": refers to %" PRIu64
		                 " bytes at %" PRIu64 " of what lies below, beyond %" PRIu64,
		                 number, e->len, e->src, LSMT_DEVICE_MAX);
	return 0;
}

void ovbd_lsmt_entry_encode(const struct lsmt_entry *e, uint8_t ret_raw[LSMT_ENTRY_SIZE])
{
	const uint64_t off = e->off >> SECTOR_BITS, len = e->len >> SECTOR_BITS;
	const uint64_t src = e->src >> SECTOR_BITS;

	if (e->padding) {
		ovbd_put_le64(ret_raw, INVALID_OFFSET);
		ovbd_put_le64(ret_raw + 8, 0);
		return;
	}
	assert((e->off | e->len | e->src) % LSMT_SECTOR_SIZE == 0);
	assert(off < INVALID_OFFSET && len > 0 && len <= MASK(LENGTH_BITS));
	assert(src <= MASK(e->reference ? OFFSET_BITS : MOFFSET_BITS));
	ovbd_put_le64(ret_raw, off | len << OFFSET_BITS);
	ovbd_put_le64(ret_raw + 8, src | (uint64_t)e->reference << REF_BIT |
	                                   (uint64_t)e->zeroed << ZEROED_BIT |
	                                   (uint64_t)e->tag << TAG_BIT);
}

int ovbd_lsmt_rw_header_decode(const uint8_t raw[LSMT_HEADER_SIZE], bool index,
                               struct lsmt_header *ret, struct ovbd_error *err)
{
	const uint32_t flags = ovbd_get_le32(raw + LSMT_OFF_FLAGS);
	const uint32_t kind = LSMT_FLAG_HEADER | (index ? 0 : LSMT_FLAG_DATA);
	const char *name = index ? "index file" : "data file";
	uint8_t as_data[LSMT_HEADER_SIZE];
	int r;

	if (!ovbd_lsmt_has_magic(raw))
		return ovbd_fail(err, -EBADMSG, "lsmt %s: no LSMT magic", name);
	if ((flags & (LSMT_FLAG_HEADER | LSMT_FLAG_DATA | LSMT_FLAG_SEALED)) != kind)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: flags 0x%" PRIx32
		                 " are not those of the %s of a writable layer",
		                 name, flags, name);
	memcpy(as_data, raw, sizeof(as_data));
	ovbd_put_le32(as_data + LSMT_OFF_FLAGS, flags | LSMT_FLAG_DATA);
	r = ovbd_lsmt_header_decode(as_data, LSMT_HEADER, ret, err);
	if (r < 0)
		return r;
	ret->flags = flags;
	if (ret->references)
		return ovbd_fail(err, -ENOTSUP, "lsmt %s: version 2.0 of a writable layer", name);
	if (ret->virtual_size > LSMT_DEVICE_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt %s: virtual size %" PRIu64 " is more than %" PRIu64, name,
		                 ret->virtual_size, LSMT_DEVICE_MAX);
	return 0;
}

int ovbd_lsmt_record_check(const struct lsmt_entry *e, uint64_t number, uint64_t data_end,
                           struct ovbd_error *err)
{
	if (!ovbd_within(e->off, e->len, LSMT_DEVICE_MAX))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index record %" PRIu64 ": %" PRIu64
		                 " bytes at device offset %" PRIu64 " end beyond %" PRIu64,
		                 number, e->len, e->off, LSMT_DEVICE_MAX);
	if (!e->zeroed &&
	    (e->reference || e->src < LSMT_HEADER_SIZE || !ovbd_within(e->src, e->len, data_end)))
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt index record %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
		                 " are not within the data file, which ends at %" PRIu64,
		                 number, e->len, e->src, data_end);
	return 0;
}

int ovbd_lsmt_uuid_parse(const char *text, char ret_uuid[OVBD_UUID_SIZE], struct ovbd_error *err)
{
	char uuid[OVBD_UUID_SIZE] = {0};

	if (!text)
		text = null_uuid;
	for (size_t i = 0; i < OVBD_UUID_SIZE; i++) {
		const char c = text[i];
		const bool hex =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
		const bool fits = null_uuid[i] == '0' ? hex : c == null_uuid[i];

		if (!fits)
			return ovbd_fail(err, -EINVAL, "\"%s\" is not a UUID", text);
		uuid[i] = c >= 'a' ? (char)(c - 'a' + 'A') : c;
	}
	memcpy(ret_uuid, uuid, sizeof(uuid));
	return 0;
}
