/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lsmt/: the header and the trailer, which share one layout, and the entries of the
 * index. Bytes in, checked values out; no input or output. Sectors exist only in format.c: all
 * numbers here are bytes. The source is docs/format-lsmt.md, whose table a test compares with the
 * constants here.
 */
#ifndef OVBD_LSMT_FORMAT_H
#define OVBD_LSMT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "lsmt/lsmt.h"

#define LSMT_HEADER_SIZE 4096u /* of the trailer too */
#define LSMT_MAGIC_SIZE  24u
#define LSMT_SECTOR_SIZE 512u
#define LSMT_ENTRY_SIZE  16u  /* of the index */
#define LSMT_ENTRY_GROUP 256u /* a committed index is padded to a multiple of so many entries */
#define LSMT_TAG_MAX     256u /* bytes of user_tag */

/* Where the format ends: devices have 2^50 - 1 sectors that can be named, files 2^54 (of 2^55; the
 * index keeps one bit for itself). */
#define LSMT_DEVICE_MAX (((UINT64_C(1) << 50) - 1) * LSMT_SECTOR_SIZE)
#define LSMT_FILE_MAX   ((UINT64_C(1) << 54) * LSMT_SECTOR_SIZE)

/* In which writers look for zeros: of the device, aligned. */
#define LSMT_BLOCK_SIZE 4096u

/* The longest entry we write: the most that its 14 bits hold in whole 4 KiB blocks, so that a run
 * that is cut is cut between blocks. */
#define LSMT_ENTRY_LEN_MAX (2047u * LSMT_BLOCK_SIZE)

enum {
	LSMT_OFF_MAGIC0 = 0,
	LSMT_OFF_MAGIC1 = 8,
	LSMT_OFF_SIZE = 24,
	LSMT_OFF_FLAGS = 28,
	LSMT_OFF_INDEX_OFFSET = 32,
	LSMT_OFF_INDEX_SIZE = 40,
	LSMT_OFF_VIRTUAL_SIZE = 48,
	LSMT_OFF_UUID = 56,
	LSMT_OFF_PARENT_UUID = 93,
	LSMT_OFF_RESERVED = 130,
	LSMT_OFF_VERSION = 132,
	LSMT_OFF_SUB_VERSION = 133,
	LSMT_OFF_USER_TAG = 134,
	LSMT_OFF_END = 390, /* zeros from here */
};

enum {
	LSMT_FLAG_HEADER = 1 << 0, /* otherwise a trailer */
	LSMT_FLAG_DATA = 1 << 1,   /* otherwise the index file of a writable layer */
	LSMT_FLAG_SEALED = 1 << 2,
	LSMT_FLAG_SPARSE = 1 << 4,     /* of a writable layer's data file: offset = offset */
	LSMT_FLAG_REFERENCES = 1 << 8, /* version 2; the trailer's LSMT_FLAG_DATA is clear then */
};

/* Records of a writable layer's index file begin here. */
#define LSMT_RECORDS_OFF 4096u

/* In the words of this project; the comments name the fields. */
struct lsmt_header {
	uint64_t index_off;    /* index_offset */
	uint64_t nentries;     /* index_size, padding included */
	uint64_t virtual_size; /* of the device */
	uint32_t flags;
	uint32_t version; /* version << 8 | sub_version */
	bool references;  /* version 2: entries may be references */
	char uuid[OVBD_UUID_SIZE], parent_uuid[OVBD_UUID_SIZE];
	char tag[OVBD_TAG_SIZE]; /* user_tag */
};

enum lsmt_part { LSMT_HEADER, LSMT_TRAILER };

/* "header", "trailer" */
const char *ovbd_lsmt_part_name(enum lsmt_part part);

bool ovbd_lsmt_has_magic(const uint8_t raw[LSMT_MAGIC_SIZE]);

/* Checks what makes raw the header or trailer of a layer at all: the magic, the flags, the version.
 * The other fields are taken as they are, the texts made fit to print (tag: only ended). */
int ovbd_lsmt_header_decode(const uint8_t raw[LSMT_HEADER_SIZE], enum lsmt_part part,
                            struct lsmt_header *ret, struct ovbd_error *err);

/* Checks the trailer's numbers against the size of the file. Afterwards the index lies between the
 * header and the trailer, and the device's size is one that can be. */
int ovbd_lsmt_trailer_check(const struct lsmt_header *h, uint64_t file_size,
                            struct ovbd_error *err);

/* Checks what has no say in reading, but is the same in all known files. */
int ovbd_lsmt_header_check_rest(const uint8_t raw[LSMT_HEADER_SIZE], enum lsmt_part part,
                                struct ovbd_error *err);

void ovbd_lsmt_header_encode(const struct lsmt_header *h, uint8_t ret_raw[LSMT_HEADER_SIZE]);

/* An entry of the index. */
struct lsmt_entry {
	uint64_t off, len; /* of the device */
	uint64_t src;      /* in the file; of a zeroed one: where it stood when this was written;
	                    * of a reference: in the device below */
	uint8_t tag;       /* means nothing in a layer by itself */
	bool zeroed;
	bool reference;
	bool padding; /* nothing else counts */
};

struct lsmt_entry ovbd_lsmt_entry_decode(const uint8_t raw[LSMT_ENTRY_SIZE]);

/* Whether e can be entry number of the index that the trailer t tells of, of which all before end
 * at prev_end. */
int ovbd_lsmt_entry_check(const struct lsmt_entry *e, uint64_t number, uint64_t prev_end,
                          const struct lsmt_header *t, struct ovbd_error *err);

void ovbd_lsmt_entry_encode(const struct lsmt_entry *e, uint8_t ret_raw[LSMT_ENTRY_SIZE]);

/* The header of the data or the index file of a writable layer, which is not sealed. ret->flags
 * tells of LSMT_FLAG_SPARSE. -EBADMSG or -ENOTSUP. */
int ovbd_lsmt_rw_header_decode(const uint8_t raw[LSMT_HEADER_SIZE], bool index,
                               struct lsmt_header *ret, struct ovbd_error *err);

/* Whether e can be record number of an index file whose data file ends at data_end. */
int ovbd_lsmt_record_check(const struct lsmt_entry *e, uint64_t number, uint64_t data_end,
                           struct ovbd_error *err);

/* text as header_encode() wants it: NULL is the null UUID, and letters are upper case. -EINVAL if
 * it is not of the form of a UUID. */
int ovbd_lsmt_uuid_parse(const char *text, char ret_uuid[OVBD_UUID_SIZE], struct ovbd_error *err);

#endif
