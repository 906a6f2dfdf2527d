// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/bytes.h"
#include "fs/tar.h"

/* Where the fields of a header are: POSIX.1-1988, and for GNU_* GNU tar's old format. */
enum {
	NAME = 0,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	CHECKSUM = 148,
	TYPE = 156,
	LINK = 157,
	MAGIC = 257,
	MAJOR = 329,
	MINOR = 337,
	PREFIX = 345,
	GNU_SPARSE = 386,
	GNU_MORE = 482,
	GNU_REAL_SIZE = 483,
	GNU_EXTRA_MORE = 504,
};

#define NAME_SIZE   100u
#define PREFIX_SIZE 155u
#define PIECE_SIZE  24u
#define EXTRA_N     21u

static bool parse_octal(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 61)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	*ret = v;
	return i == n || p[i] == ' ' || p[i] == '\0';
}

/* Octal digits; or, marked by the highest bit, GNU's two's complement of the other bits, the most
 * significant first. */
static bool parse_signed(const uint8_t *p, size_t n, int64_t *ret)
{
	const int64_t limit = INT64_C(1) << 55;
	uint64_t octal;
	int64_t v;

	if (!(p[0] & 0x80)) {
		if (!parse_octal(p, n, &octal) || octal > INT64_MAX)
			return false;
		*ret = (int64_t)octal;
		return true;
	}
	v = (p[0] & 0x7f) - (p[0] & 0x40 ? 0x80 : 0);
	for (size_t i = 1; i < n; i++) {
		if (v >= limit || v < -limit)
			return false;
		v = v * 256 + p[i];
	}
	*ret = v;
	return true;
}

static bool parse_number(const uint8_t *p, size_t n, uint64_t *ret)
{
	int64_t v;

	if (!parse_signed(p, n, &v) || v < 0)
		return false;
	*ret = (uint64_t)v;
	return true;
}

/* Of unsigned bytes as POSIX has it, or of signed ones as some old writers did. */
static bool has_checksum(const uint8_t raw[TAR_BLOCK])
{
	uint32_t sum = 0;
	int32_t signed_sum = 0;
	uint64_t want;

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		const uint8_t c = i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : raw[i];

		sum += c;
		signed_sum += (int8_t)c;
	}
	return parse_octal(raw + CHECKSUM, 8, &want) &&
	       (want == sum || (int64_t)want == signed_sum);
}

static void copy_text(char *to, const uint8_t *from, size_t n)
{
	const size_t len = strnlen((const char *)from, n);

	memcpy(to, from, len);
	to[len] = '\0';
}

static void parse_names(const uint8_t raw[TAR_BLOCK], bool ustar, struct tar_header *h)
{
	size_t at = 0;

	if (ustar && raw[PREFIX]) {
		copy_text(h->name, raw + PREFIX, PREFIX_SIZE);
		at = strlen(h->name);
		h->name[at++] = '/';
	}
	copy_text(h->name + at, raw + NAME, NAME_SIZE);
	copy_text(h->link, raw + LINK, NAME_SIZE);
}

static bool parse_pieces(const uint8_t *p, unsigned n, struct tar_piece *ret, unsigned *ret_n)
{
	*ret_n = 0;
	for (unsigned i = 0; i < n && p[i * PIECE_SIZE]; i++) {
		if (!parse_number(p + i * PIECE_SIZE, 12, &ret[i].off) ||
		    !parse_number(p + i * PIECE_SIZE + 12, 12, &ret[i].len))
			return false;
		*ret_n = i + 1;
	}
	return true;
}

const char *tar_header_parse(const uint8_t raw[TAR_BLOCK], struct tar_header *ret)
{
	struct tar_header h = {0};
	const bool ustar = memcmp(raw + MAGIC, "ustar\0", 6) == 0;

	if (!has_checksum(raw))
		return "is no header of a tar";
	h.gnu = memcmp(raw + MAGIC, "ustar  \0", 8) == 0;
	h.type = raw[TYPE] ? (char)raw[TYPE] : '0';
	parse_names(raw, ustar, &h);
	if (!parse_number(raw + MODE, 8, &h.mode))
		return "its mode is no number";
	if (!parse_number(raw + UID, 8, &h.uid) || !parse_number(raw + GID, 8, &h.gid))
		return "its owner is no number";
	if (!parse_number(raw + SIZE, 12, &h.size))
		return "its size is no number";
	if (!parse_signed(raw + MTIME, 12, &h.mtime))
		return "its time is no number";
	if ((ustar || h.gnu) &&
	    (!parse_number(raw + MAJOR, 8, &h.major) || !parse_number(raw + MINOR, 8, &h.minor)))
		return "its device is no number";
	if (h.gnu && h.type == 'S') {
		h.more = raw[GNU_MORE];
		if (!parse_pieces(raw + GNU_SPARSE, TAR_SPARSE_HEAD, h.pieces, &h.npieces) ||
		    !parse_number(raw + GNU_REAL_SIZE, 12, &h.real_size))
			return "its map of a sparse file has something else than numbers";
	}
	*ret = h;
	return NULL;
}

const char *tar_sparse_parse(const uint8_t raw[TAR_BLOCK], struct tar_piece ret[21],
                             unsigned *ret_n, bool *ret_more)
{
	*ret_more = raw[GNU_EXTRA_MORE];
	return parse_pieces(raw, EXTRA_N, ret, ret_n)
	               ? NULL
	               : "its map of a sparse file has something else than numbers";
}
