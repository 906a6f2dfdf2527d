// SPDX-License-Identifier: Apache-2.0
/*
 * Both images are read side by side, in pieces. The reading thread decides what it can see at once:
 * zero, the same as before, or found elsewhere in old; which of several places it takes depends on
 * the blocks before. What is left is new, and the other threads look whether it is worth storing as
 * a difference, which takes compressing it both ways.
 */
#include "ota/cow_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/moved.h"
#include "base/pool.h"

#define BLOCK        ((uint64_t)OVBD_COW_BLOCK_SIZE)
#define PIECE_BLOCKS 64u

struct piece {
	uint64_t first; /* block */
	uint32_t n;     /* blocks */
	int status;     /* of the work, with its sentence */
	struct ovbd_error err;
	uint64_t what[PIECE_BLOCKS];
	uint64_t near[PIECE_BLOCKS]; /* the block of old that goes on with the run before */
	uint8_t data[PIECE_BLOCKS * BLOCK], old[PIECE_BLOCKS * BLOCK];
};

struct compare {
	struct cow_plan *plan;
	struct ovbd_moved *moved; /* NULL without old */
	struct cow_xor **xors;    /* by thread; NULL: none are wanted */
	struct piece *pieces;
	uint64_t copied_to, copied_from; /* the last copy, or copied_from = OVBD_MOVED_NONE */
};

/* ---- the work of a thread ---- */

static void look_for_xors(void *ctx, unsigned job, unsigned thread)
{
	const struct compare *k = ctx;
	struct piece *e = &k->pieces[job];
	uint64_t after = 0; /* block of old, less block of new, of the next copy */
	bool has_after = false, first = true;

	e->status = 0;
	for (uint32_t i = e->n; i-- > 0;) { /* backwards, to have seen the copies behind */
		const uint64_t block = e->first + i;
		const uint64_t near[COW_XOR_NEAR] = {
			block,
			e->near[i],
			has_after ? block + after : UINT64_MAX,
		};
		uint64_t source;
		int r;

		if (cow_what_type(e->what[i]) == OVBD_COW_COPY) {
			after = cow_what_source(e->what[i]) - block;
			has_after = true;
		}
		if (cow_what_type(e->what[i]) != OVBD_COW_REPLACE)
			continue;
		r = cow_xor_pays(k->xors[thread], block, e->data + i * BLOCK, near, first, &source,
		                 &e->err);
		first = false;
		if (r == 1)
			e->what[i] = cow_what(OVBD_COW_XOR, source);
		if (r < 0) {
			e->status = r;
			return;
		}
	}
}

static void no_xors(void *ctx, unsigned job, unsigned thread)
{
	const struct compare *k = ctx;

	(void)thread;
	k->pieces[job].status = 0;
}

static int take_piece(void *ctx, unsigned job, struct ovbd_error *err)
{
	const struct compare *k = ctx;
	const struct piece *e = &k->pieces[job];

	if (e->status < 0)
		return ovbd_fail(err, e->status, "%s", e->err.msg);
	memcpy(k->plan->what + e->first, e->what, e->n * sizeof(e->what[0]));
	for (uint32_t i = 0; i < e->n; i++)
		k->plan->nordered += cow_what_ordered(e->what[i]);
	return 0;
}

/* ---- the reading thread ---- */

int cow_plan_progress(const struct cow_plan *plan, uint64_t done)
{
	const uint64_t total = (plan->nold + 2 * plan->nblocks) * BLOCK;

	return plan->p->progress ? plan->p->progress(plan->p->progress_arg, done, total) : 0;
}

/* How many blocks from first on, up to n, are known to be zeros in b without reading them. */
static int blank_blocks(struct ovbd_blob *b, uint64_t first, uint64_t n, uint64_t *ret,
                        struct ovbd_error *err)
{
	struct ovbd_run run;
	const int r = ovbd_blob_run_at(b, first * BLOCK, n * BLOCK, &run, err);

	if (r == 0)
		*ret = run.kind == OVBD_RUN_DATA ? 0 : run.len / BLOCK;
	return r;
}

static uint64_t old_blocks(const struct cow_plan *plan, uint64_t first, uint64_t n)
{
	return first < plan->nold ? ovbd_min(n, plan->nold - first) : 0;
}

/* Blocks from first on that need no look: zeros in both images, or zeros where there is no old. */
static int skip_blank(struct compare *k, uint64_t first, uint64_t *ret, struct ovbd_error *err)
{
	struct cow_plan *plan = k->plan;
	uint64_t n = 0, nold;
	int r = blank_blocks(plan->new_image, first, plan->nblocks - first, &n, err);

	if (r < 0)
		return r;
	nold = old_blocks(plan, first, n);
	if (nold > 0) {
		r = blank_blocks(plan->old, first, nold, &n, err);
	} else {
		for (uint64_t i = 0; i < n; i++)
			plan->what[first + i] = cow_what(OVBD_COW_ZERO, 0);
	}
	*ret = n;
	return r;
}

static int decide(struct compare *k, struct piece *e, uint32_t i, uint8_t *work,
                  struct ovbd_error *err)
{
	const uint8_t *data = e->data + i * BLOCK;
	const uint64_t block = e->first + i;
	uint64_t from;
	int r;

	e->near[i] = k->copied_from == OVBD_MOVED_NONE ? OVBD_MOVED_NONE
	                                               : k->copied_from + (block - k->copied_to);
	if (block < k->plan->nold && memcmp(data, e->old + i * BLOCK, BLOCK) == 0) {
		e->what[i] = 0;
		return 0;
	}
	e->what[i] = cow_what(OVBD_COW_ZERO, 0);
	if (ovbd_is_zero(data, BLOCK))
		return 0;
	e->what[i] = cow_what(OVBD_COW_REPLACE, 0);
	if (!k->moved)
		return 0;
	r = ovbd_moved_find(k->moved, data, block, e->near[i], work, &from, err);
	if (r != 1)
		return r;
	e->what[i] = cow_what(OVBD_COW_COPY, from);
	k->copied_to = block;
	k->copied_from = from;
	return 0;
}

static int read_piece(struct compare *k, struct piece *e, struct ovbd_error *err)
{
	const struct cow_plan *plan = k->plan;
	const uint64_t nold = old_blocks(plan, e->first, e->n);
	uint8_t work[BLOCK];
	int r = ovbd_blob_pread(plan->new_image, e->data, e->n * BLOCK, e->first * BLOCK, err);

	if (r == 0 && nold > 0)
		r = ovbd_blob_pread(plan->old, e->old, nold * BLOCK, e->first * BLOCK, err);
	for (uint32_t i = 0; r == 0 && i < e->n; i++)
		r = decide(k, e, i, work, err);
	return r;
}

static int read_all(struct compare *k, struct ovbd_pool *pool, struct ovbd_error *err)
{
	const struct cow_plan *plan = k->plan;
	uint64_t first = 0;
	int r = 0;

	while (r == 0 && first < plan->nblocks) {
		uint64_t skip;
		unsigned job;

		if (cow_plan_progress(plan, (plan->nold + first) * BLOCK) != 0)
			return ovbd_fail(err, -ECANCELED, "stopped");
		r = skip_blank(k, first, &skip, err);
		first += skip;
		if (r < 0 || skip > 0)
			continue;
		r = ovbd_pool_next(pool, &job, err);
		if (r < 0)
			return r;
		k->pieces[job].first = first;
		k->pieces[job].n = (uint32_t)ovbd_min(PIECE_BLOCKS - first % PIECE_BLOCKS,
		                                      plan->nblocks - first);
		first += k->pieces[job].n;
		r = read_piece(k, &k->pieces[job], err);
		if (r == 0)
			ovbd_pool_submit(pool, job);
	}
	return r == 0 ? ovbd_pool_drain(pool, err) : r;
}

/* ---- all of it ---- */

/* What is still to do afterwards belongs to the whole. */
static int index_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	return cow_plan_progress(arg, done);
}

static int index_old(struct compare *k, struct ovbd_error *err)
{
	const struct ovbd_moved_params how = {
		.block_size = OVBD_COW_BLOCK_SIZE,
		.nthreads = k->plan->p->nthreads,
		.progress = index_progress,
		.progress_arg = k->plan,
	};

	return k->plan->old ? ovbd_moved_open(k->plan->old, &how, &k->moved, err) : 0;
}

static int create_xors(struct compare *k, struct ovbd_error *err)
{
	const unsigned n = k->plan->p->nthreads;
	int r = 0;

	k->xors = calloc(n, sizeof(struct cow_xor *));
	if (!k->xors)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = cow_xor_create(k->plan, &k->xors[i], err);
	return r;
}

static void compare_clear(struct compare *k)
{
	for (unsigned i = 0; k->xors && i < k->plan->p->nthreads; i++)
		cow_xor_free(k->xors[i]);
	free(k->xors);
	free(k->pieces);
	ovbd_moved_close(k->moved);
}

int cow_plan_compare(struct cow_plan *plan, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops with = {look_for_xors, take_piece};
	static const struct ovbd_pool_ops without = {no_xors, take_piece};
	const unsigned nthreads = plan->p->nthreads, npieces = 2 * nthreads;
	/* data that are not compressed gain nothing by being differences */
	const bool xors =
		plan->old && !plan->p->no_xor && plan->p->write.algorithm != OVBD_COW_NONE;
	OVBD_AUTO(compare_clear) struct compare k = {.plan = plan, .copied_from = OVBD_MOVED_NONE};
	AUTO_POOL *pool = NULL;
	int r;

	plan->what = ovbd_array_alloc(plan->nblocks, sizeof(plan->what[0]));
	k.pieces = ovbd_array_alloc(npieces, sizeof(k.pieces[0]));
	if (!plan->what || !k.pieces)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks",
		                 plan->nblocks);
	r = index_old(&k, err);
	if (r == 0 && xors)
		r = create_xors(&k, err);
	if (r == 0)
		r = ovbd_pool_create(xors ? &with : &without, &k, nthreads, npieces, &pool, err);
	return r == 0 ? read_all(&k, pool, err) : r;
}

void cow_plan_free(struct cow_plan *plan)
{
	free(plan->what);
	free(plan->ordered);
}
