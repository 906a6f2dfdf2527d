/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Android's COW files: an update as a list of operations on the blocks of a base (the old
 * partition), with the new data. docs/format-android-cow.md has the layouts.
 *
 * An open COW is immutable and may be read from any thread. Everything in it was validated when it
 * was opened, but for what needs the base (see ovbd_cow_view_open()) and the compressed data.
 */
#ifndef OVBD_OTA_COW_H
#define OVBD_OTA_COW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"

#define OVBD_COW_BLOCK_SIZE 4096u

enum ovbd_cow_type {
	OVBD_COW_COPY = 1,    /* a block of the base */
	OVBD_COW_REPLACE = 2, /* new data, of one or more blocks */
	OVBD_COW_ZERO = 3,
	OVBD_COW_XOR = 6, /* new data, xored with 4096 bytes of the base */
};

enum ovbd_cow_algorithm {
	OVBD_COW_NONE,
	OVBD_COW_GZ, /* a zlib stream */
	OVBD_COW_BROTLI,
	OVBD_COW_LZ4,
	OVBD_COW_ZSTD,
};

/* What the blocks [block, block + (1 << shift)) become. */
struct ovbd_cow_op {
	uint64_t source;   /* COPY: block of the base; XOR: byte of the base */
	uint64_t data_off; /* REPLACE, XOR: where the data are in the file */
	uint32_t data_len; /* and how many bytes */
	uint32_t block;
	uint8_t type;   /* enum ovbd_cow_type */
	uint8_t shift;  /* 0 .. 6; 0 unless it is a REPLACE */
	bool raw;       /* the data are not compressed */
	uint32_t place; /* in the order of merging */
};

struct ovbd_cow_info {
	char layout; /* 'A', 'S', 'B', 'C', 'D', 'E': 1.0 as it once was; 'F': 2.0; 'H': 3.0 */
	enum ovbd_cow_algorithm algorithm;
	uint64_t nops[7];      /* by type: of the list below */
	uint64_t nblocks;      /* that the operations write */
	uint64_t end;          /* behind the last of them, bytes of the device */
	uint64_t data_size;    /* bytes of data in the file */
	uint64_t nmerged;      /* the first so many in merge order are in the base already */
	uint64_t nduplicates;  /* operations left out: an earlier one has their block */
	uint64_t nsequence;    /* blocks whose order of merging is given */
	uint64_t nlabels;      /* of them the file knows */
	uint64_t label;        /* the last one, if there is any */
	uint32_t cluster_ops;  /* 2.0 */
	uint32_t scratch_size; /* bytes for the merge, 2.0 and 3.0 */
	uint8_t scratch_state; /* 0 not begun, 1 in progress, 2 it holds a group of blocks */
	uint32_t nscratch;     /* in state 2: how many */
	uint32_t max_compression_size; /* 3.0: bytes compressed at once, at most */
	uint64_t op_count_max;         /* 3.0 */
};

enum ovbd_cow_label {
	OVBD_COW_FINISHED,   /* the whole file, which must be finished */
	OVBD_COW_LAST_LABEL, /* as far as its last label, or whole if it is finished */
	OVBD_COW_LABEL,      /* up to the label given */
};

struct ovbd_cow_params {
	enum ovbd_cow_label until;
	uint64_t label;
};

struct ovbd_cow;

/* 1 if b begins like a COW, 0 if not, -errno if that cannot be read. */
int ovbd_cow_probe(struct ovbd_blob *b, struct ovbd_error *err);

/* -EBADMSG, -ENOTSUP, -ENOENT: no such label. p may be NULL. Memory: 44 bytes an operation, 48
 * while it is opened. */
int ovbd_cow_open(struct ovbd_blob *take_b, const struct ovbd_cow_params *p, struct ovbd_cow **ret,
                  struct ovbd_error *err);
const struct ovbd_cow_info *ovbd_cow_info(const struct ovbd_cow *c);

/* "none", "gz", "brotli", "lz4", "zstd" */
const char *ovbd_cow_algorithm_name(enum ovbd_cow_algorithm a);

/* Verifies that all data decompress to the length of their blocks; there are no checksums. 0, or
 * the first error. progress may be NULL. */
int ovbd_cow_check(struct ovbd_cow *c, ovbd_progress_fn progress, void *arg,
                   struct ovbd_error *err);

/* Operations in the order of the file: 0 .. n - 1. Where several write the same block only the
 * first is there. */
uint32_t ovbd_cow_count(const struct ovbd_cow *c);
const struct ovbd_cow_op *ovbd_cow_op(const struct ovbd_cow *c, uint32_t i);

/* The number of the operation that is merged as the i-th. */
uint32_t ovbd_cow_merge_order(const struct ovbd_cow *c, uint32_t i);

/* NULL is fine. */
void ovbd_cow_close(struct ovbd_cow *take_c);

static inline void ovbd_cow_closep(struct ovbd_cow **c)
{
	ovbd_cow_close(*c);
}

/* The base as the update makes it, a blob of the base's size. What has been merged is read from the
 * base; a group that was being merged, from the file's scratch area. -EBADMSG if an operation
 * reads or writes beyond the base.
 *
 * Without a base (NULL) it is as long as its last operation reaches, and holes are what the update
 * leaves alone; reading a copy or an xor is -EINVAL. */
int ovbd_cow_view_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base, struct ovbd_blob **ret,
                       struct ovbd_error *err);

#endif
