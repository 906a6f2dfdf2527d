// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/tar.h"
#include "fs/tar.h"

/* Fields of GNU tar's old format. */
enum {
	GNU_SPARSE = 386,
	GNU_MORE = 482,
	GNU_REAL_SIZE = 483,
	GNU_EXTRA_MORE = 504,
};

#define NAME_SIZE   100u
#define PREFIX_SIZE 155u
#define PIECE_SIZE  24u
#define EXTRA_N     21u

static void copy_text(char *to, const uint8_t *from, size_t n)
{
	const size_t len = strnlen((const char *)from, n);

	memcpy(to, from, len);
	to[len] = '\0';
}

static void parse_names(const uint8_t raw[TAR_BLOCK], bool ustar, struct tar_header *h)
{
	size_t at = 0;

	if (ustar && raw[OVBD_TAR_PREFIX]) {
		copy_text(h->name, raw + OVBD_TAR_PREFIX, PREFIX_SIZE);
		at = strlen(h->name);
		h->name[at++] = '/';
	}
	copy_text(h->name + at, raw + OVBD_TAR_NAME, NAME_SIZE);
	copy_text(h->link, raw + OVBD_TAR_LINK, NAME_SIZE);
}

static bool parse_pieces(const uint8_t *p, unsigned n, struct tar_piece *ret, unsigned *ret_n)
{
	*ret_n = 0;
	for (unsigned i = 0; i < n && p[i * PIECE_SIZE]; i++) {
		if (!ovbd_tar_number(p + i * PIECE_SIZE, OVBD_TAR_LONG, &ret[i].off) ||
		    !ovbd_tar_number(p + i * PIECE_SIZE + OVBD_TAR_LONG, OVBD_TAR_LONG,
		                     &ret[i].len))
			return false;
		*ret_n = i + 1;
	}
	return true;
}

const char *tar_header_parse(const uint8_t raw[TAR_BLOCK], struct tar_header *ret)
{
	struct tar_header h = {0};
	const bool ustar = memcmp(raw + OVBD_TAR_MAGIC, "ustar\0", 6) == 0;

	if (!ovbd_tar_has_checksum(raw))
		return "is no header of a tar";
	h.gnu = memcmp(raw + OVBD_TAR_MAGIC, "ustar  \0", 8) == 0;
	h.type = raw[OVBD_TAR_TYPE] ? (char)raw[OVBD_TAR_TYPE] : '0';
	parse_names(raw, ustar, &h);
	if (!ovbd_tar_number(raw + OVBD_TAR_MODE, OVBD_TAR_SHORT, &h.mode))
		return "its mode is no number";
	if (!ovbd_tar_number(raw + OVBD_TAR_UID, OVBD_TAR_SHORT, &h.uid) ||
	    !ovbd_tar_number(raw + OVBD_TAR_GID, OVBD_TAR_SHORT, &h.gid))
		return "its owner is no number";
	if (!ovbd_tar_number(raw + OVBD_TAR_SIZE, OVBD_TAR_LONG, &h.size))
		return "its size is no number";
	if (!ovbd_tar_signed(raw + OVBD_TAR_MTIME, OVBD_TAR_LONG, &h.mtime))
		return "its time is no number";
	if ((ustar || h.gnu) && (!ovbd_tar_number(raw + OVBD_TAR_MAJOR, OVBD_TAR_SHORT, &h.major) ||
	                         !ovbd_tar_number(raw + OVBD_TAR_MINOR, OVBD_TAR_SHORT, &h.minor)))
		return "its device is no number";
	if (h.gnu && h.type == 'S') {
		h.more = raw[GNU_MORE];
		if (!parse_pieces(raw + GNU_SPARSE, TAR_SPARSE_HEAD, h.pieces, &h.npieces) ||
		    !ovbd_tar_number(raw + GNU_REAL_SIZE, OVBD_TAR_LONG, &h.real_size))
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
