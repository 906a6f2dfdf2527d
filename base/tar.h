/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all who read a tar need of its headers: where fields are, numbers, the checksum. POSIX's of
 * 1988 (ustar), and GNU tar's numbers. Pure.
 */
#ifndef OVBD_BASE_TAR_H
#define OVBD_BASE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OVBD_TAR_BLOCK 512u /* bytes of a header; contents are a multiple of it */

enum {
	OVBD_TAR_NAME = 0,
	OVBD_TAR_MODE = 100,
	OVBD_TAR_UID = 108,
	OVBD_TAR_GID = 116,
	OVBD_TAR_SIZE = 124,
	OVBD_TAR_MTIME = 136,
	OVBD_TAR_CHECKSUM = 148,
	OVBD_TAR_TYPE = 156,
	OVBD_TAR_LINK = 157,
	OVBD_TAR_MAGIC = 257,
	OVBD_TAR_UNAME = 265,
	OVBD_TAR_GNAME = 297,
	OVBD_TAR_MAJOR = 329,
	OVBD_TAR_MINOR = 337,
	OVBD_TAR_PREFIX = 345,
};

#define OVBD_TAR_SHORT 8u  /* bytes of a number: mode, uid, gid, checksum, major, minor */
#define OVBD_TAR_LONG  12u /* size, mtime */

/* The number in a field of n bytes: octal digits, spaces before them, a space, a NUL or nothing
 * behind; or, marked by the highest bit, GNU's two's complement of the other bits, the most
 * significant first. False: it is none, or beyond 63 bits. */
bool ovbd_tar_signed(const uint8_t *field, size_t n, int64_t *ret);
/* One that is not below 0. */
bool ovbd_tar_number(const uint8_t *field, size_t n, uint64_t *ret);

/* Of unsigned bytes as POSIX has it, or of signed ones as some old writers did. */
bool ovbd_tar_has_checksum(const uint8_t header[OVBD_TAR_BLOCK]);

#endif
