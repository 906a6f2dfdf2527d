/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/: what becomes of each block, before anything is written.
 *
 *     cow_plan.c        compares the images block by block, asks where a block has moved from
 *     cow_plan_xor.c    whether a block that is new resembles what was near its place
 *     cow_plan_order.c  in which order blocks that read old can be merged, and which cannot
 */
#ifndef OVBD_OTA_COW_PLAN_H
#define OVBD_OTA_COW_PLAN_H

#include "ota/cow_create.h"
#include "ota/cow_compress.h"
#include "ota/cow_impl.h"

struct cow_plan {
	const struct ovbd_cow_create_params *p;
	struct ovbd_blob *new_image, *old; /* the caller's; old may be NULL */
	uint64_t nblocks;                  /* of new_image */
	uint64_t nold;                     /* whole blocks of old */
	uint64_t *what;    /* of each block: enum ovbd_cow_type << 60 | source; 0: nothing */
	uint32_t *ordered; /* blocks that are copies or xors, in the order of merging */
	uint64_t nordered;
	uint64_t nbroken; /* of them that had to become replacements */
};

static inline uint64_t cow_what(unsigned type, uint64_t source)
{
	return (uint64_t)type << 60 | source;
}

static inline unsigned cow_what_type(uint64_t what)
{
	return (unsigned)(what >> 60);
}

static inline uint64_t cow_what_source(uint64_t what)
{
	return what & ((UINT64_C(1) << 60) - 1);
}

static inline bool cow_what_ordered(uint64_t what)
{
	const unsigned type = cow_what_type(what);

	return type == OVBD_COW_COPY || type == OVBD_COW_XOR;
}

/* Fills plan->what; plan->nordered counts. */
int cow_plan_compare(struct cow_plan *plan, struct ovbd_error *err);

/* Makes plan->ordered. What cannot be merged becomes REPLACE in plan->what. */
int cow_plan_order(struct cow_plan *plan, struct ovbd_error *err);

/* The i-th block of old that block reads; i is 0 or 1. False: there is none. */
bool cow_plan_reads(const struct cow_plan *plan, uint64_t block, unsigned i, uint64_t *ret);

/* Tells how far the whole is: old is read once, new twice. Not 0: stop. */
int cow_plan_progress(const struct cow_plan *plan, uint64_t done);

void cow_plan_free(struct cow_plan *plan); /* what it owns */

/* ---- xor ---- */

struct cow_xor; /* working memory of one thread */

int cow_xor_create(const struct cow_plan *plan, struct cow_xor **ret, struct ovbd_error *err);
void cow_xor_free(struct cow_xor *take_x); /* NULL is fine */

/* Whether the block, which has these data, is stored in less as their difference to old, and to
 * which byte of it. 1, 0 or -errno. near: blocks of old that it may resemble, UINT64_MAX for
 * none; x remembers the distance that the last one had, and forgets it if block is the first of a
 * piece of work. */
#define COW_XOR_NEAR 3u
int cow_xor_pays(struct cow_xor *x, uint64_t block, const uint8_t *data,
                 const uint64_t near[COW_XOR_NEAR], bool first, uint64_t *ret_source,
                 struct ovbd_error *err);

#endif
