/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to zfile/: the header and the trailer, which share one layout. Bytes in, checked values
 * out; no input or output. The source is docs/format-zfile.md, whose table a test compares with
 * the constants here.
 */
#ifndef OVBD_ZFILE_FORMAT_H
#define OVBD_ZFILE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ZFILE_HEADER_SIZE 512u /* bytes, of the trailer too */
#define ZFILE_MAGIC_SIZE  24u
#define ZFILE_ENTRY_SIZE  4u /* of the jump table */
#define ZFILE_CRC_SIZE    4u /* after each block */

/* The CRC-32C after a block starts from this; those of header, trailer and jump table from 0. */
#define ZFILE_BLOCK_CRC_SEED 100007u

enum {
	ZFILE_OFF_MAGIC0 = 0,
	ZFILE_OFF_MAGIC1 = 8,
	ZFILE_OFF_SIZE = 24,
	ZFILE_OFF_DIGEST = 28,
	ZFILE_OFF_FLAGS = 32,
	ZFILE_OFF_INDEX_OFFSET = 40,
	ZFILE_OFF_INDEX_SIZE = 48,
	ZFILE_OFF_ORIGINAL_FILE_SIZE = 56,
	ZFILE_OFF_INDEX_CRC = 64,
	ZFILE_OFF_RESERVED = 68,
	ZFILE_OFF_BLOCK_SIZE = 72,
	ZFILE_OFF_ALGO = 76,
	ZFILE_OFF_LEVEL = 77,
	ZFILE_OFF_USE_DICT = 78,
	ZFILE_OFF_DICT_SIZE = 84,
	ZFILE_OFF_VERIFY = 88,
};

enum {
	ZFILE_FLAG_HEADER = 1 << 0, /* otherwise a trailer */
	ZFILE_FLAG_DATA = 1 << 1,
	ZFILE_FLAG_SEALED = 1 << 2,
	ZFILE_FLAG_OVERWRITTEN = 1 << 3, /* the header holds what the trailer holds */
	ZFILE_FLAG_DIGEST = 1 << 4,      /* digest and index_crc are valid */
};

/* In the words of this project; the comments name the fields. */
struct zfile_header {
	uint64_t flags;
	uint64_t index_off; /* index_offset */
	uint64_t nblocks;   /* index_size */
	uint64_t raw_size;  /* original_file_size */
	uint32_t index_crc;
	uint32_t block_size;
	uint32_t dict_size;
	uint8_t codec; /* algo */
	bool use_dict;
	bool checksum; /* verify */
};

enum zfile_part { ZFILE_HEADER, ZFILE_TRAILER };

/* "header", "trailer" */
const char *ovbd_zfile_part_name(enum zfile_part part);

bool ovbd_zfile_has_magic(const uint8_t raw[ZFILE_MAGIC_SIZE]);

/* Checks what makes raw a header or trailer at all: the magic, its kind, and the digest where there
 * is one. The other fields are taken as they are. */
int ovbd_zfile_header_decode(const uint8_t raw[ZFILE_HEADER_SIZE], enum zfile_part part,
                             struct zfile_header *ret, struct ovbd_error *err);

/* Checks all fields of the header or trailer that counts against each other and against the size
 * of the file. Afterwards the jump table lies within the file, has as many entries as there are
 * blocks, and codec is one we have. */
int ovbd_zfile_header_check(const struct zfile_header *h, enum zfile_part part, uint64_t file_size,
                            struct ovbd_error *err);

void ovbd_zfile_header_encode(const struct zfile_header *h, uint8_t ret_raw[ZFILE_HEADER_SIZE]);

/* Where block 0 starts. */
static inline uint64_t zfile_data_off(const struct zfile_header *h)
{
	return (uint64_t)ZFILE_HEADER_SIZE + h->dict_size;
}

/* How many blocks raw_size bytes are. */
static inline uint64_t zfile_nblocks(uint64_t raw_size, uint32_t block_size)
{
	return raw_size / block_size + (raw_size % block_size != 0);
}

#endif
