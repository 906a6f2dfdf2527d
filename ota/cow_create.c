// SPDX-License-Identifier: Apache-2.0
/*
 * Plan, then write. Operations that read old come first, in the order in which they can be merged;
 * the others behind, by block: so both versions merge in the order of the file, and a merge order
 * is only written where somebody asks for one. Packs of up to 64 blocks are made by any thread and
 * come to the writer in their order; where a pack ends depends on the plan alone.
 */
#include "ota/cow_create.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "ota/cow_pack.h"

struct create {
	const struct ovbd_cow_create_params *p;
	struct cow_plan plan;
	struct ovbd_cow_writer *writer;
	struct cow_packer **packers; /* by thread */
	struct cow_pack *packs;
	unsigned npacks;
	uint64_t nwhat, ngiven; /* blocks that something becomes of; handed out so far */
	/* where the order of the file is */
	uint64_t nordered, block;
	uint64_t nadded, label;
	struct ovbd_cow_created created;
};

static void create_clear(struct create *k)
{
	for (unsigned i = 0; k->packers && i < k->p->nthreads; i++)
		cow_packer_free(k->packers[i]);
	for (unsigned i = 0; k->packs && i < k->npacks; i++)
		free(k->packs[i].data);
	free(k->packers);
	free(k->packs);
	ovbd_cow_writer_close(k->writer);
	cow_plan_free(&k->plan);
}

/* ---- the order of the file ---- */

static bool is_next(const struct create *k, uint64_t block)
{
	const uint64_t what = k->plan.what[block];

	return what != 0 && (k->p->sequence || !cow_what_ordered(what));
}

/* The next block, without taking it. */
static bool peek(struct create *k, uint32_t *ret)
{
	if (!k->p->sequence && k->nordered < k->plan.nordered) {
		*ret = k->plan.ordered[k->nordered];
		return true;
	}
	while (k->block < k->plan.nblocks && !is_next(k, k->block))
		k->block++;
	*ret = (uint32_t)k->block;
	return k->block < k->plan.nblocks;
}

static void take(struct create *k)
{
	if (!k->p->sequence && k->nordered < k->plan.nordered)
		k->nordered++;
	else
		k->block++;
	k->ngiven++;
}

static bool is_new(const struct create *k, uint64_t block)
{
	return block < k->plan.nblocks && cow_what_type(k->plan.what[block]) == OVBD_COW_REPLACE;
}

/* Whether a run of new blocks that begins with block would be cut by the end of the pack, but not
 * if it began another one. */
static bool better_later(const struct create *k, const struct cow_pack *e, uint32_t block)
{
	const uint32_t room = COW_PACK_BLOCKS - e->n;
	uint32_t n = 0;

	if (e->n == 0 || !is_new(k, block) || (block > 0 && is_new(k, block - 1)))
		return false;
	while (n <= room && is_new(k, (uint64_t)block + n))
		n++;
	return n > room;
}

static void fill(struct create *k, struct cow_pack *e)
{
	uint32_t block;

	e->n = 0;
	while (e->n < COW_PACK_BLOCKS && peek(k, &block) && !better_later(k, e, block)) {
		e->blocks[e->n++] = block;
		take(k);
	}
}

/* ---- packs ---- */

static void make_pack(void *ctx, unsigned job, unsigned thread)
{
	struct create *k = ctx;

	cow_pack_make(k->packers[thread], &k->packs[job]);
}

static int add_label(struct create *k, struct ovbd_error *err)
{
	k->nadded++;
	if (k->p->label_every == 0 || k->nadded % k->p->label_every != 0)
		return 0;
	return ovbd_cow_writer_label(k->writer, ++k->label, err);
}

static int take_pack(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct create *k = ctx;
	const struct cow_pack *e = &k->packs[job];
	const uint8_t *data = e->data;
	int r = 0;

	if (e->status < 0)
		return ovbd_fail(err, e->status, "%s", e->err.msg);
	for (uint32_t i = 0; r == 0 && i < e->nops; i++) {
		const struct ovbd_cow_op *op = &e->ops[i];

		r = ovbd_cow_writer_add(k->writer, op, data, err);
		if (r == 0)
			r = add_label(k, err);
		data += op->data_len;
		k->created.nops[op->type]++;
		k->created.nblocks += UINT64_C(1) << op->shift;
		k->created.data_size += op->data_len;
	}
	return r;
}

static int write_all(struct create *k, struct ovbd_pool *pool, struct ovbd_error *err)
{
	const uint64_t size = k->plan.nblocks * OVBD_COW_BLOCK_SIZE;
	const uint64_t before = k->plan.nold * OVBD_COW_BLOCK_SIZE + size;
	uint32_t block;
	int r;

	while (peek(k, &block)) {
		const double done = (double)k->ngiven / (double)k->nwhat;
		unsigned job;

		if (cow_plan_progress(&k->plan, before + (uint64_t)(done * (double)size)) != 0)
			return ovbd_fail(err, -ECANCELED, "stopped");
		r = ovbd_pool_next(pool, &job, err);
		if (r < 0)
			return r;
		fill(k, &k->packs[job]);
		ovbd_pool_submit(pool, job);
	}
	r = ovbd_pool_drain(pool, err);
	if (r == 0 && cow_plan_progress(&k->plan, before + size) != 0)
		return ovbd_fail(err, -ECANCELED, "stopped");
	return r;
}

/* ---- all of it ---- */

static int make_room(struct create *k, struct ovbd_error *err)
{
	int r = 0;

	k->packers = calloc(k->p->nthreads, sizeof(struct cow_packer *));
	k->packs = ovbd_array_alloc(k->npacks, sizeof(k->packs[0]));
	if (!k->packers || !k->packs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < k->npacks; i++) {
		k->packs[i].data = malloc(cow_pack_bound(&k->plan));
		if (!k->packs[i].data)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	for (unsigned i = 0; r == 0 && i < k->p->nthreads; i++)
		r = cow_packer_create(&k->plan, &k->packers[i], err);
	return r;
}

static int make_writer(struct create *k, struct ovbd_sink *take_out, struct ovbd_error *err)
{
	struct ovbd_cow_write_params w = k->p->write;

	for (uint64_t b = 0; b < k->plan.nblocks; b++)
		k->nwhat += k->plan.what[b] != 0;
	w.op_count_max = k->nwhat; /* fewer if some take several blocks */
	w.sequence = k->p->sequence ? k->plan.ordered : NULL;
	w.nsequence = k->p->sequence ? k->plan.nordered : 0;
	return ovbd_cow_writer_create(take_out, &w, &k->writer, err);
}

static int check_sizes(const struct cow_plan *plan, struct ovbd_error *err)
{
	if (plan->new_image->size == 0)
		return ovbd_fail(err, -EINVAL, "the new image is empty");
	if (plan->new_image->size % OVBD_COW_BLOCK_SIZE != 0)
		return ovbd_fail(err, -EINVAL,
		                 "the new image has %" PRIu64
		                 " bytes, no multiple of 4096: Android's COW files are of "
		                 "whole blocks; pad it with zeros (truncate -s %%4096)",
		                 plan->new_image->size);
	if (plan->nblocks >= COW_BLOCKS_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "the new image has %" PRIu64
		                 " blocks; Android's COW files have room for 2^32",
		                 plan->nblocks);
	return 0;
}

int ovbd_cow_create(struct ovbd_sink *take_out, struct ovbd_blob *new_image, struct ovbd_blob *old,
                    const struct ovbd_cow_create_params *p, struct ovbd_cow_created *ret,
                    struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {make_pack, take_pack};
	AUTO_SINK *out = take_out;
	OVBD_AUTO(create_clear) struct create k = {.p = p, .npacks = 2 * p->nthreads};
	AUTO_POOL *pool = NULL;
	int r;

	k.plan = (struct cow_plan){
		.p = p,
		.new_image = new_image,
		.old = old,
		.nblocks = new_image->size / OVBD_COW_BLOCK_SIZE,
		.nold = old ? old->size / OVBD_COW_BLOCK_SIZE : 0,
	};
	r = check_sizes(&k.plan, err);
	if (r == 0)
		r = cow_plan_compare(&k.plan, err);
	if (r == 0)
		r = cow_plan_order(&k.plan, err);
	if (r == 0)
		r = make_room(&k, err);
	if (r == 0)
		r = make_writer(&k, OVBD_MOVE(out), err);
	if (r == 0)
		r = ovbd_pool_create(&ops, &k, p->nthreads, k.npacks, &pool, err);
	if (r == 0)
		r = write_all(&k, pool, err);
	if (r == 0)
		r = ovbd_cow_writer_finish(k.writer, err);
	if (r < 0)
		return r;
	k.created.nbroken = k.plan.nbroken;
	k.created.size = ovbd_cow_writer_size(k.writer);
	*ret = k.created;
	return 0;
}
