// SPDX-License-Identifier: Apache-2.0
#include "image/tar_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/tar.h"

static const char magic_ustar[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};
static const char magic_gnu[8] = {'u', 's', 't', 'a', 'r', ' ', ' ', '\0'};

bool tar_header_decode(const uint8_t raw[TAR_BLOCK], struct tar_header *ret)
{
	const uint8_t *magic = raw + OVBD_TAR_MAGIC;
	struct tar_header h;

	if (memcmp(magic, magic_ustar, sizeof(magic_ustar)) != 0 &&
	    memcmp(magic, magic_gnu, sizeof(magic_gnu)) != 0)
		return false;
	if (!ovbd_tar_has_checksum(raw) ||
	    !ovbd_tar_number(raw + OVBD_TAR_SIZE, OVBD_TAR_LONG, &h.size))
		return false;
	h.type = (char)raw[OVBD_TAR_TYPE];
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
	char text[OVBD_TAR_SHORT + 1];

	snprintf(text, sizeof(text), "%6o ", v & 0777777u);
	memcpy(p, text, OVBD_TAR_SHORT);
}

static void put_long(uint8_t *p, uint32_t v)
{
	char text[OVBD_TAR_LONG + 1];

	snprintf(text, sizeof(text), "%11" PRIo32 " ", v);
	memcpy(p, text, OVBD_TAR_LONG);
}

static void put_checksum(uint8_t raw[TAR_BLOCK])
{
	unsigned sum = 0;

	memset(raw + OVBD_TAR_CHECKSUM, ' ', OVBD_TAR_SHORT);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += raw[i];
	put_short(raw + OVBD_TAR_CHECKSUM, sum);
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

	put_text(pax + OVBD_TAR_NAME, "overlaybd.pax");
	put_long(pax + OVBD_TAR_SIZE, (uint32_t)pax_len);
	pax[OVBD_TAR_TYPE] = 'x';
	memcpy(pax + OVBD_TAR_MAGIC, magic_ustar, sizeof(magic_ustar));
	put_checksum(pax);

	put_text(file + OVBD_TAR_NAME, "overlaybd.commit");
	put_short(file + OVBD_TAR_MODE, 0100644);
	put_short(file + OVBD_TAR_UID, 0);
	put_short(file + OVBD_TAR_GID, 0);
	put_long(file + OVBD_TAR_SIZE, 0);
	put_long(file + OVBD_TAR_MTIME, 0);
	file[OVBD_TAR_TYPE] = '0';
	memcpy(file + OVBD_TAR_MAGIC, magic_ustar, sizeof(magic_ustar));
	put_text(file + OVBD_TAR_UNAME, "root");
	put_text(file + OVBD_TAR_GNAME, "root");
	put_checksum(file);
}
