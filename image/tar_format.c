// SPDX-License-Identifier: Apache-2.0
#include "image/tar_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

enum {
	TAR_OFF_NAME = 0,
	TAR_OFF_MODE = 100,
	TAR_OFF_UID = 108,
	TAR_OFF_GID = 116,
	TAR_OFF_SIZE = 124,
	TAR_OFF_MTIME = 136,
	TAR_OFF_CHECKSUM = 148,
	TAR_OFF_TYPE = 156,
	TAR_OFF_MAGIC = 257,
	TAR_OFF_UNAME = 265,
	TAR_OFF_GNAME = 297,
};

#define TAR_NUMBER_SHORT 8  /* bytes of a number field: mode, uid, gid, checksum */
#define TAR_NUMBER_LONG  12 /* size, mtime */

static const char magic_ustar[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};
static const char magic_gnu[8] = {'u', 's', 't', 'a', 'r', ' ', ' ', '\0'};

/* Octal digits, with spaces before and a space or NUL after; false if there is anything else. */
static bool get_octal(const uint8_t *p, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < len && p[i] == ' ')
		i++;
	for (; i < len && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 61)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	for (; i < len; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return false;
	*ret = v;
	return true;
}

/* GNU's base 256: the top bit of the first byte is set, the rest is a big-endian number. */
static bool get_number(const uint8_t *p, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (!(p[0] & 0x80))
		return get_octal(p, len, ret);
	if (p[0] != 0x80) /* negative, or beyond 64 bits */
		return false;
	for (size_t i = 1; i < len; i++) {
		if (v >> 56)
			return false;
		v = v << 8 | p[i];
	}
	*ret = v;
	return true;
}

/* The sum of all bytes, the checksum's own as spaces. Old writers took bytes as signed. */
static bool checksum_fits(const uint8_t raw[TAR_BLOCK])
{
	uint64_t want;
	int64_t sum = 0, signed_sum = 0;

	if (!get_octal(raw + TAR_OFF_CHECKSUM, TAR_NUMBER_SHORT, &want))
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		const bool own = i >= TAR_OFF_CHECKSUM && i < TAR_OFF_CHECKSUM + TAR_NUMBER_SHORT;
		const uint8_t c = own ? ' ' : raw[i];

		sum += c;
		signed_sum += (int8_t)c;
	}
	return (int64_t)want == sum || (int64_t)want == signed_sum;
}

bool tar_header_decode(const uint8_t raw[TAR_BLOCK], struct tar_header *ret)
{
	const uint8_t *magic = raw + TAR_OFF_MAGIC;
	struct tar_header h;

	if (memcmp(magic, magic_ustar, sizeof(magic_ustar)) != 0 &&
	    memcmp(magic, magic_gnu, sizeof(magic_gnu)) != 0)
		return false;
	if (!checksum_fits(raw) || !get_number(raw + TAR_OFF_SIZE, TAR_NUMBER_LONG, &h.size))
		return false;
	h.type = (char)raw[TAR_OFF_TYPE];
	*ret = h;
	return true;
}

/* Decimal digits up to end; returns what follows them, or NULL if there are none or too many. */
static const uint8_t *get_decimal(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *start = p;
	uint64_t v = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (!ovbd_mul(v, 10, &v) || !ovbd_add(v, (uint64_t)(*p - '0'), &v))
			return NULL;
	}
	*ret = v;
	return p > start ? p : NULL;
}

/* One record: "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
int tar_pax_size(const uint8_t *records, size_t len, uint64_t *ret)
{
	static const char key[] = "size=";
	const uint8_t *p = records, *const end = records + len;
	uint64_t size = 0;
	bool found = false;

	while (p < end && *p != '\0') {
		uint64_t record_len;
		const uint8_t *text = get_decimal(p, end, &record_len);
		const uint8_t *next;

		if (!text || *text != ' ' || record_len > (uint64_t)(end - p) ||
		    record_len < (uint64_t)(text + 2 - p) || p[record_len - 1] != '\n')
			return -EBADMSG;
		next = p + record_len;
		text++;
		if ((size_t)(next - text) > sizeof(key) - 1 &&
		    memcmp(text, key, sizeof(key) - 1) == 0) {
			if (get_decimal(text + sizeof(key) - 1, next, &size) != next - 1)
				return -EBADMSG;
			found = true;
		}
		p = next;
	}
	if (found)
		*ret = size;
	return found;
}

/* The writer's numbers: octal, right-aligned with spaces, a space at the end; short ones have a
 * NUL after it. */
static void put_short(uint8_t *p, unsigned v)
{
	char text[TAR_NUMBER_SHORT + 1];

	snprintf(text, sizeof(text), "%6o ", v & 0777777u);
	memcpy(p, text, TAR_NUMBER_SHORT);
}

static void put_long(uint8_t *p, uint32_t v)
{
	char text[TAR_NUMBER_LONG + 1];

	snprintf(text, sizeof(text), "%11" PRIo32 " ", v);
	memcpy(p, text, TAR_NUMBER_LONG);
}

static void put_checksum(uint8_t raw[TAR_BLOCK])
{
	unsigned sum = 0;

	memset(raw + TAR_OFF_CHECKSUM, ' ', TAR_NUMBER_SHORT);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += raw[i];
	put_short(raw + TAR_OFF_CHECKSUM, sum);
}

static void put_text(uint8_t *p, const char *text)
{
	memcpy(p, text, strlen(text));
}

/* "LENGTH size=SIZE\n", whose LENGTH counts its own digits. */
static size_t put_pax_size(uint8_t *p, uint64_t size)
{
	char body[64], record[80];
	const int body_len = snprintf(body, sizeof(body), " size=%" PRIu64 "\n", size);
	const int len = body_len + (body_len + 1 < 10 ? 1 : 2);

	snprintf(record, sizeof(record), "%d%s", len, body);
	memcpy(p, record, (size_t)len);
	return (size_t)len;
}

void tar_wrap_encode(uint64_t size, uint8_t ret_raw[TAR_WRAP_SIZE])
{
	uint8_t *pax = ret_raw, *records = pax + TAR_BLOCK, *file = records + TAR_BLOCK;
	size_t pax_len;

	memset(ret_raw, 0, TAR_WRAP_SIZE);
	pax_len = put_pax_size(records, size);

	put_text(pax + TAR_OFF_NAME, "overlaybd.pax");
	put_long(pax + TAR_OFF_SIZE, (uint32_t)pax_len);
	pax[TAR_OFF_TYPE] = 'x';
	memcpy(pax + TAR_OFF_MAGIC, magic_ustar, sizeof(magic_ustar));
	put_checksum(pax);

	put_text(file + TAR_OFF_NAME, "overlaybd.commit");
	put_short(file + TAR_OFF_MODE, 0100644);
	put_short(file + TAR_OFF_UID, 0);
	put_short(file + TAR_OFF_GID, 0);
	put_long(file + TAR_OFF_SIZE, 0);
	put_long(file + TAR_OFF_MTIME, 0);
	file[TAR_OFF_TYPE] = '0';
	memcpy(file + TAR_OFF_MAGIC, magic_ustar, sizeof(magic_ustar));
	put_text(file + TAR_OFF_UNAME, "root");
	put_text(file + TAR_OFF_GNAME, "root");
	put_checksum(file);
}
