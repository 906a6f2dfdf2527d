/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/: COW files on disk. Only cow_format.c knows offsets. Decoders are pure; encoders
 * are for what we write: F and H. */
#ifndef OVBD_OTA_COW_FORMAT_H
#define OVBD_OTA_COW_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define COW_MAGIC           UINT64_C(0x436f77634f572121)
#define COW_MAGIC_SIZE      8u
#define COW_HEADER_MIN      20u
#define COW_HEADER_MAX      106u
#define COW_OP_SIZE         20u /* 1.0, 2.0 */
#define COW_OP3_SIZE        16u /* 3.0 */
#define COW_FOOTER_SIZE     84u
#define COW_RESUME_SIZE     16u
#define COW_SEQUENCE_SIZE   4u
#define COW_SCRATCH_SIZE    16u /* an entry of the scratch area */
#define COW_SHA_SIZE        32u
#define COW_SOURCE_MAX      ((UINT64_C(1) << 48) - 1)
#define COW_BLOCKS_MAX      (UINT64_C(1) << 32)
#define COW_SHIFT_MAX       6u
#define COW_SCRATCH_MAX     (1u << 30)
#define COW_SCRATCH_BEGUN   1u /* the state when a merge has begun */
#define COW_SCRATCH_HOLDING 2u /* the state in which it counts */

/* Offsets, as docs/format-android-cow.md has them in its tables. */
enum {
	/* all */
	COW_OFF_MAGIC = 0,
	COW_OFF_MAJOR = 8,
	COW_OFF_MINOR = 10,
	/* A, S; B has these two bytes further on */
	COW_OFF_OLD_OPS_OFFSET = 12,
	COW_OFF_OLD_OPS_SIZE = 20,
	COW_OFF_OLD_NUM_OPS = 28,
	COW_OFF_OLD_BLOCK_SIZE = 36,
	COW_OFF_OLD_HEADER_SHA256 = 40,
	COW_OFF_OLD_OPS_SHA256 = 72,
	/* C, D */
	COW_OFF_HEADER_SIZE = 12,
	COW_OFF_FOOTER_SIZE = 14,
	COW_OFF_C_BLOCK_SIZE = 16,
	COW_OFF_D_NUM_MERGE_OPS = 20,
	/* E, F, H */
	COW_OFF_OP_SIZE = 16,
	COW_OFF_BLOCK_SIZE = 18,
	COW_OFF_CLUSTER_OPS = 22,
	COW_OFF_NUM_MERGE_OPS = 26,
	COW_OFF_BUFFER_SIZE = 34,
	/* H */
	COW_OFF_SEQUENCE_DATA_COUNT = 38,
	COW_OFF_RESUME_POINT_COUNT = 46,
	COW_OFF_RESUME_POINT_MAX = 50,
	COW_OFF_OP_COUNT = 54,
	COW_OFF_OP_COUNT_MAX = 62,
	COW_OFF_COMPRESSION_ALGORITHM = 70,
	COW_OFF_MAX_COMPRESSION_SIZE = 74,
	/* an operation up to 2.0, and the footer in its place */
	COW_OFF_OP_TYPE = 0,
	COW_OFF_OP_COMPRESSION = 1,
	COW_OFF_OP_DATA_LENGTH = 2,
	COW_OFF_OP_NEW_BLOCK = 4,
	COW_OFF_OP_SOURCE = 12,
	COW_OFF_FOOTER_TYPE = 0,
	COW_OFF_FOOTER_OPS_SIZE = 4,
	COW_OFF_FOOTER_NUM_OPS = 12,
	/* an operation, and a resume point, of 3.0 */
	COW_OFF_OP3_DATA_LENGTH = 0,
	COW_OFF_OP3_NEW_BLOCK = 4,
	COW_OFF_OP3_SOURCE_INFO = 8,
	COW_OFF_RESUME_LABEL = 0,
	COW_OFF_RESUME_OP_INDEX = 8,
	/* an entry of the scratch area */
	COW_OFF_SCRATCH_NEW_BLOCK = 0,
	COW_OFF_SCRATCH_FILE_OFFSET = 8,
};

/* Types of operations that are no ovbd_cow_type: they write nothing. */
enum cow_meta_type {
	COW_END = 0, /* an unused slot */
	COW_LABEL = 4,
	COW_CLUSTER = 5,
	COW_SEQUENCE = 7,
	COW_FOOTER = 255,
};

struct cow_header {
	char layout; /* as in ovbd_cow_info */
	uint32_t header_size;
	uint32_t cluster_ops;
	uint64_t num_merge_ops;
	uint32_t buffer_size; /* the scratch area, right behind the header */
	/* A, S, B */
	uint64_t ops_off, ops_size, num_ops;
	uint8_t ops_sha[COW_SHA_SIZE], header_sha[COW_SHA_SIZE];
	/* 3.0 */
	uint64_t nsequence, op_count, op_count_max;
	uint32_t nresume, resume_max;
	uint32_t algorithm, max_compression_size;
};

/* raw: the first len bytes of a file of file_size, COW_HEADER_MAX if it has so many. */
int cow_header_decode(const uint8_t *raw, size_t len, uint64_t file_size, struct cow_header *ret,
                      struct ovbd_error *err);

/* Layout F or H; header_size and raw are of the size that cow_header_size() gives. */
uint32_t cow_header_size(char layout);
void cow_header_encode(const struct cow_header *h, uint8_t *raw);

/* Where the parts of a 3.0 file begin. */
uint64_t cow_sequence_off(const struct cow_header *h);
uint64_t cow_resume_off(const struct cow_header *h);
uint64_t cow_ops_off(const struct cow_header *h);
uint64_t cow_data_off(const struct cow_header *h);

/* The scratch area: its entries, and the data of the i-th. */
uint64_t cow_scratch_entries_off(const struct cow_header *h);
uint32_t cow_scratch_entries_max(const struct cow_header *h);
uint64_t cow_scratch_data_off(const struct cow_header *h, uint32_t i);

/* Where num_merge_ops is; 0: this layout has none. */
uint64_t cow_counter_off(const struct cow_header *h);

/* How many bytes from there on are written to record it, the state of the scratch area being one of
 * them if there is one. All are in the file's first sector: they change at once or not at all. */
size_t cow_counter_size(const struct cow_header *h);

/* Puts it, and COW_SCRATCH_BEGUN as the state, into raw: the cow_counter_size() bytes that are
 * there. */
void cow_counter_encode(const struct cow_header *h, uint64_t num_merge_ops, uint8_t *raw);

struct cow_slot {
	uint8_t type, compression;
	uint32_t data_len;
	uint64_t block, source;
};

/* 1.0 and 2.0. */
struct cow_slot cow_slot_decode(const uint8_t raw[COW_OP_SIZE]);

void cow_slot_encode(const struct cow_slot *s, uint8_t raw[COW_OP_SIZE]);

/* 3.0; the factor as compression. */
struct cow_slot cow_slot3_decode(const uint8_t raw[COW_OP3_SIZE]);
void cow_slot3_encode(const struct cow_slot *s, uint8_t raw[COW_OP3_SIZE]);

/* A label of 3.0, and how many operations there are before it. */
void cow_resume_decode(const uint8_t raw[COW_RESUME_SIZE], uint64_t *ret_label, uint64_t *ret_n);
void cow_resume_encode(uint64_t label, uint64_t n, uint8_t raw[COW_RESUME_SIZE]);

/* An entry of the scratch area; false if it ends before this one. */
bool cow_scratch_decode(const uint8_t raw[COW_SCRATCH_SIZE], uint64_t *ret_block,
                        uint64_t *ret_off);

void cow_scratch_encode(uint8_t raw[COW_SCRATCH_SIZE], uint64_t block, uint64_t off);

struct cow_footer {
	uint64_t ops_size, num_ops;
};

/* raw[0] is COW_FOOTER. */
struct cow_footer cow_footer_decode(const uint8_t raw[COW_FOOTER_SIZE]);
void cow_footer_encode(const struct cow_footer *f, uint8_t raw[COW_FOOTER_SIZE]);

/* The digest of a header of layout A is over itself with its own digest as zeros. */
void cow_header_blank_sha(uint8_t *raw);

#endif
