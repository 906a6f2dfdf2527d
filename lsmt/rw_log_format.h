/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lsmt/: ovbd-rw on disk: superblocks, blocks and their records. Bytes in, checked
 * values out; no input or output. docs/format-rw.md has the tables, which a test compares with
 * these constants.
 */
#ifndef OVBD_LSMT_RW_LOG_FORMAT_H
#define OVBD_LSMT_RW_LOG_FORMAT_H

#include "lsmt/format.h"

#define RW_SUPER_SIZE    512u  /* one sector: it is there or not */
#define RW_SUPER_STRIDE  4096u /* there are two */
#define RW_BLOCK_SIZE    4096u
#define RW_RECORD_SIZE   32u
#define RW_RECORDS_BEGIN 8192u /* of the file: where all else lies */
#define RW_BLOCK_RECORDS 126u

enum {
	RW_OFF_MAGIC = 0,
	RW_OFF_CHECKSUM = 8,
	RW_OFF_VERSION = 12,
	RW_OFF_GENERATION = 16,
	RW_OFF_SESSION = 24,
	RW_OFF_VIRTUAL_SIZE = 32,
	RW_OFF_CHECKPOINT_PLACE = 40,
	RW_OFF_CHECKPOINT_BLOCKS = 48,
	RW_OFF_LOG_PLACE = 56,
	RW_OFF_LOG_SEQUENCE = 64,
	RW_OFF_SAFE_SEQUENCE = 72,
	RW_OFF_SAFE_TAIL = 80,
	RW_OFF_UUID = 88,
	RW_OFF_PARENT_UUID = 125,
	RW_OFF_TAG = 164,
};

enum {
	RW_OFF_BLOCK_MAGIC = 0,
	RW_OFF_BLOCK_CHECKSUM = 4,
	RW_OFF_BLOCK_SEQUENCE = 8,
	RW_OFF_BLOCK_SESSION = 16,
	RW_OFF_BLOCK_NEXT = 24,
	RW_OFF_BLOCK_TAIL = 32,
	RW_OFF_BLOCK_SAFE = 40,
	RW_OFF_BLOCK_RECORDS = 48,
	RW_OFF_BLOCK_KIND = 52,
	RW_OFF_BLOCK_FIRST = 64, /* record */
};

enum {
	RW_OFF_RECORD_OFFSET = 0,
	RW_OFF_RECORD_LENGTH = 8,
	RW_OFF_RECORD_SOURCE = 16,
	RW_OFF_RECORD_CHECKSUM = 24,
	RW_OFF_RECORD_KIND = 28,
};

struct rw_super {
	uint64_t generation; /* of two, the one with more counts */
	uint64_t session;    /* openings for writing */
	uint64_t virtual_size;
	uint64_t checkpoint_place, checkpoint_blocks; /* 0: none */
	uint64_t log_place, log_sequence;             /* the first block since */
	uint64_t safe_sequence; /* the last block that was durable then; it must be there */
	uint64_t safe_tail;     /* beyond it nothing was in use then */
	char uuid[OVBD_UUID_SIZE], parent_uuid[OVBD_UUID_SIZE], tag[OVBD_TAG_SIZE];
};

enum rw_block_kind { RW_BLOCK_LOG = 1, RW_BLOCK_CHECKPOINT = 2 };

struct rw_block {
	uint64_t sequence, session;
	uint64_t next; /* where the next one is, or will be */
	uint64_t tail; /* beyond it nothing was in use when this was written */
	uint64_t safe; /* the last block that was durable then */
	uint32_t nrecords;
	uint32_t kind;
};

struct rw_record {
	uint64_t off, len, src; /* src: of DATA */
	uint32_t checksum;      /* of DATA, but in a checkpoint */
	enum ovbd_run_kind kind;
};

bool ovbd_rw_super_has_magic(const uint8_t raw[RW_SUPER_SIZE]);
void ovbd_rw_super_encode(const struct rw_super *s, uint8_t ret_raw[RW_SUPER_SIZE]);
/* -EBADMSG: it is none, or torn; -ENOTSUP: one of another version. */
int ovbd_rw_super_decode(const uint8_t raw[RW_SUPER_SIZE], struct rw_super *ret,
                         struct ovbd_error *err);

/* raw has the records already. */
void ovbd_rw_block_encode(const struct rw_block *b, uint8_t raw[RW_BLOCK_SIZE]);
/* place is where it lies. -EBADMSG: it is none, or torn. */
int ovbd_rw_block_decode(const uint8_t raw[RW_BLOCK_SIZE], uint64_t place, struct rw_block *ret,
                         struct ovbd_error *err);

void ovbd_rw_record_encode(const struct rw_record *r, uint8_t raw[RW_BLOCK_SIZE], uint32_t i);
/* Record i of a block that was decoded: checked against the block's tail. */
int ovbd_rw_record_decode(const uint8_t raw[RW_BLOCK_SIZE], const struct rw_block *b, uint32_t i,
                          struct rw_record *ret, struct ovbd_error *err);

/* Of a record's data. */
uint32_t ovbd_rw_checksum(const void *buf, size_t len);
/* Goes on with what that returned. */
uint32_t ovbd_rw_checksum_more(uint32_t checksum, const void *buf, size_t len);

#endif
