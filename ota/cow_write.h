/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing Android's COW files, 2.0 and 3.0, one operation after the other. Who has two images and
 * no operations wants ota/cow_create.h.
 */
#ifndef OVBD_OTA_COW_WRITE_H
#define OVBD_OTA_COW_WRITE_H

#include "base/sink.h"
#include "ota/cow.h"

#define OVBD_COW_CLUSTER_OPS  1024u      /* of 2.0, as Android's writer has it */
#define OVBD_COW_SCRATCH_SIZE (2u << 20) /* as Android's readers want it, or none */
#define OVBD_COW_PIECE_MAX    (256u << 10)

struct ovbd_cow_write_params {
	unsigned version; /* 2 or 3 */
	enum ovbd_cow_algorithm algorithm;
	uint32_t scratch_size;    /* 0 or OVBD_COW_SCRATCH_SIZE */
	uint32_t max_piece;       /* 3.0: bytes of device in one operation, at most: 4 KiB to
	                              * OVBD_COW_PIECE_MAX, a power of two; else 4 KiB */
	uint32_t cluster_ops;     /* 2.0: slots of a cluster, > 3; 0: OVBD_COW_CLUSTER_OPS */
	uint64_t op_count_max;    /* 3.0: room for so many operations */
	const uint32_t *sequence; /* blocks in the order in which they shall be merged, which */
	uint64_t nsequence;       /* is otherwise that of the operations; 0: none */
};

/* Whether the algorithm has this level; 0, the usual one, is always there. 0 or -EINVAL. */
int ovbd_cow_level_check(enum ovbd_cow_algorithm a, int level, struct ovbd_error *err);

struct ovbd_cow_writer;

/* Writes to take_out, which must be able to patch for 3.0. Memory: that of a cluster and its data
 * for 2.0 (about 4 MiB), constant for 3.0. After an error only close may follow. */
int ovbd_cow_writer_create(struct ovbd_sink *take_out, const struct ovbd_cow_write_params *p,
                           struct ovbd_cow_writer **ret, struct ovbd_error *err);

/* Adds an operation: op's block, type, source and, for REPLACE and XOR, shift and data_len, with
 * data as they are to be stored; the rest of op is not looked at. Data are stored as they are if
 * they have the length of what they fill, and compressed by the algorithm if they are shorter; in
 * 2.0 those of gz and brotli are always compressed, and may be longer.
 *
 * The caller sees to it that no two write the same block, and that copies and xors come in an order
 * in which they can be merged; that they come before all others in 3.0 without a sequence, as
 * Android's merge ends itself otherwise, is checked. -EINVAL. */
int ovbd_cow_writer_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                        struct ovbd_error *err);

/* A label: all before it could be read if the rest were lost. Labels only grow. 3.0 keeps the last
 * four. */
int ovbd_cow_writer_label(struct ovbd_cow_writer *w, uint64_t label, struct ovbd_error *err);

/* After finish: bytes of the file. */
uint64_t ovbd_cow_writer_size(const struct ovbd_cow_writer *w);

/* Completes the file and finishes the sink. Once. */
int ovbd_cow_writer_finish(struct ovbd_cow_writer *w, struct ovbd_error *err);

/* Frees; what was not finished is discarded with its sink. NULL is fine. */
void ovbd_cow_writer_close(struct ovbd_cow_writer *take_w);

static inline void ovbd_cow_writer_closep(struct ovbd_cow_writer **w)
{
	ovbd_cow_writer_close(*w);
}

#endif
