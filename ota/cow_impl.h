/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/cow*.c. Opening goes through these:
 *
 *     cow.c          which parser; then checks, orders and indexes the list
 *     cow_parse1.c   1.0 A, S, B: an array of operations at the end
 *     cow_parse2.c   1.0 C, D, E and 2.0: a log of operations and data, in clusters or not
 *     cow_parse3.c   3.0: tables
 *     cow_list.c     the list they fill: what makes a valid operation
 *     cow_order.c    the order of merging, and the index by block
 *     cow_scratch.c  what a merge that was cut short has left
 *
 * and reading through cow_view.c, cow_live.c (while it is merged) and cow_codec.c.
 */
#ifndef OVBD_OTA_COW_IMPL_H
#define OVBD_OTA_COW_IMPL_H

#include <pthread.h>

#include "ota/cow.h"
#include "ota/cow_format.h"

struct ovbd_cow {
	struct ovbd_blob *blob; /* owned */
	struct cow_header h;
	struct ovbd_cow_info info;
	struct ovbd_cow_op *ops;
	uint32_t n, capacity;
	uint32_t *order;            /* numbers of operations */
	uint64_t *by_block;         /* block << 32 | number, ascending */
	struct ovbd_cow_op *unheld; /* those in the scratch area, as they are without it */
	uint32_t *sequence;         /* while it is opened: info.nsequence blocks */
};

/* ---- reading the file from front to back, in pieces ---- */

#define COW_PIECE 65536u

struct cow_window {
	struct ovbd_blob *blob;
	uint64_t off;
	size_t len;
	uint8_t buf[COW_PIECE];
};

/* *ret: n <= COW_PIECE bytes at off, valid until the next call. */
int cow_window_get(struct cow_window *w, uint64_t off, size_t n, const uint8_t **ret,
                   struct ovbd_error *err);

/* ---- the list ---- */

/* Room for n operations; a promise that fewer will not be regretted, so n is bounded by the
 * file. */
int cow_list_reserve(struct ovbd_cow *c, uint64_t n, struct ovbd_error *err);

/* Adds what slot s says, if it is valid; its data are at data_off. The sentence says which of the
 * file's operations it is: number. */
int cow_list_add(struct ovbd_cow *c, const struct cow_slot *s, uint64_t number, uint64_t data_off,
                 struct ovbd_error *err);

/* Forgets all behind the first n. */
void cow_list_cut(struct ovbd_cow *c, uint32_t n);

/* Adds n blocks to c->sequence, from the file at off. */
int cow_list_sequence(struct ovbd_cow *c, uint64_t off, uint64_t n, struct ovbd_error *err);

/* ---- the parsers: fill the list ---- */

int cow_parse1(struct ovbd_cow *c, struct ovbd_error *err);
int cow_parse2(struct ovbd_cow *c, const struct ovbd_cow_params *p, struct ovbd_error *err);
int cow_parse3(struct ovbd_cow *c, const struct ovbd_cow_params *p, struct ovbd_error *err);

/* ---- and what is made of it ---- */

/* Takes out duplicates, makes c->order and c->by_block. */
int cow_order(struct ovbd_cow *c, struct ovbd_error *err);

/* The block behind what op writes. */
static inline uint64_t cow_op_end(const struct ovbd_cow_op *op)
{
	return (uint64_t)op->block + (UINT64_C(1) << op->shift);
}

/* Whether it reads the base, so that it matters when it is merged. */
static inline bool cow_op_is_ordered(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY || op->type == OVBD_COW_XOR;
}

/* The i-th operation by block; NULL behind the last. */
static inline const struct ovbd_cow_op *cow_at(const struct ovbd_cow *c, uint32_t i)
{
	return i < c->n ? &c->ops[(uint32_t)c->by_block[i]] : NULL;
}

/* Of the operations by block, the first that ends behind block: it writes it, or lies behind. */
uint32_t cow_seek(const struct ovbd_cow *c, uint64_t block);

/* Has the blocks of a group that was being merged read from the scratch area. */
int cow_scratch_apply(struct ovbd_cow *c, struct ovbd_error *err);

/* ---- reading while it is merged: cow_live.c ---- */

/* How far the merge is, for a read. Operations of a place below nmerged are read from the base
 * where they write; those of the next nheld places from held, a block each; others from what they
 * are made of, which nobody overwrites as long as a reader is in this phase. */
struct cow_phase {
	uint32_t nmerged, nheld;
	const uint8_t *held;
};

struct cow_live {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t left;  /* the last reader has left a phase */
	unsigned now;         /* phases[now] is the one to enter */
	unsigned nreaders[2];
	struct cow_phase phases[2]; /* the other one has readers only during cow_live_go_on() */
};

void cow_live_init(struct cow_live *l, const struct cow_phase *first);
void cow_live_destroy(struct cow_live *l);

/* What is entered is left with the same pointer. */
const struct cow_phase *cow_live_enter(struct cow_live *l);
void cow_live_leave(struct cow_live *l, const struct cow_phase *ph);

/* The next phase; returns when nobody reads in the one before. One thread at a time. */
void cow_live_go_on(struct cow_live *l, const struct cow_phase *next);

/* ovbd_cow_view_open() of a COW that is being merged: all are the caller's, and live on. */
int cow_view_open_live(struct ovbd_cow *c, struct ovbd_blob *base, struct cow_live *live,
                       struct ovbd_blob **ret, struct ovbd_error *err);

/* Whether all operations are within a base of size bytes. */
int cow_check_base(const struct ovbd_cow *c, uint64_t size, struct ovbd_error *err);

/* ---- the codecs ---- */

struct cow_codec; /* contexts; used by one thread at a time */

int cow_codec_create(enum ovbd_cow_algorithm a, struct cow_codec **ret, struct ovbd_error *err);
void cow_codec_free(struct cow_codec *take_c); /* NULL is fine */

/* 0, or -EBADMSG: in does not decompress to exactly out_len bytes. */
int cow_codec_decompress(struct cow_codec *c, const void *in, size_t in_len, void *out,
                         size_t out_len);

/* The data of a REPLACE (all its blocks), or of an XOR, into out; in is working memory. Both have
 * room for COW_DATA_MAX. */
#define COW_DATA_MAX (OVBD_COW_BLOCK_SIZE << COW_SHIFT_MAX)
int cow_data_read(const struct ovbd_cow *c, struct cow_codec *codec, const struct ovbd_cow_op *op,
                  uint8_t *in, uint8_t *out, struct ovbd_error *err);

/* The same with the data read already: in. */
int cow_data_decode(const struct ovbd_cow *c, struct cow_codec *codec, const struct ovbd_cow_op *op,
                    const uint8_t *in, uint8_t *out, struct ovbd_error *err);

#endif
