// SPDX-License-Identifier: Apache-2.0
/*
 * Merging writes blocks over others that may still have to be read. So a block that reads old goes
 * before every block that is written over what it reads. Zeros and new data need nothing of old,
 * and come last. Among the others, "reads what is overwritten by" makes a graph with at most two
 * edges from each (an xor may lie across two blocks):
 *
 *     1. Cycles are found by a search in depth; the block that closes one is stored as data
 *        instead. Among copies alone that is one block of each cycle, and fewer cannot do.
 *     2. The rest is taken in an order in which each comes when no other reads it any more: from
 *        those possible the one behind the last if there is one, else the one before it, else the
 *        lowest. So a run that has moved as a whole is merged as a whole, in whichever direction it
 *        can.
 *
 * Without a scratch area no order is good enough: a merge that is cut short begins again with
 * blocks of which some have been written. Then only blocks that do not change are read.
 */
#include "ota/cow_plan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

enum state { UNSEEN, OPEN, DONE };

bool cow_plan_reads(const struct cow_plan *plan, uint64_t block, unsigned i, uint64_t *ret)
{
	const uint64_t what = plan->what[block], source = cow_what_source(what);

	if (cow_what_type(what) == OVBD_COW_COPY) {
		*ret = source;
		return i == 0;
	}
	if (cow_what_type(what) != OVBD_COW_XOR)
		return false;
	*ret = source / OVBD_COW_BLOCK_SIZE + i;
	return i == 0 || (i == 1 && source % OVBD_COW_BLOCK_SIZE != 0);
}

/* The i-th block that must come behind block: it overwrites what block reads. */
static bool next_of(const struct cow_plan *plan, uint64_t block, unsigned i, uint64_t *ret)
{
	return cow_plan_reads(plan, block, i, ret) && *ret < plan->nblocks && *ret != block &&
	       cow_what_ordered(plan->what[*ret]);
}

static void store_instead(struct cow_plan *plan, uint64_t block)
{
	plan->what[block] = cow_what(OVBD_COW_REPLACE, 0);
	plan->nordered--;
	plan->nbroken++;
}

/* ---- cycles ---- */

/* Searches from start; the blocks that are OPEN are those on the path, which lies in stack. */
static void break_cycles_from(struct cow_plan *plan, uint64_t start, uint8_t *state,
                              uint32_t *stack)
{
	uint64_t depth = 0;

	stack[depth++] = (uint32_t)start;
	state[start] = OPEN;
	while (depth > 0) {
		const uint32_t block = stack[depth - 1];
		bool deeper = false;

		for (unsigned i = 0; !deeper && i < 2; i++) {
			uint64_t next;

			if (!next_of(plan, block, i, &next))
				continue;
			if (state[next] == OPEN) {
				store_instead(plan, block);
			} else if (state[next] == UNSEEN) {
				stack[depth++] = (uint32_t)next;
				state[next] = OPEN;
				deeper = true;
			}
		}
		if (!deeper) {
			state[block] = DONE;
			depth--;
		}
	}
}

static int break_cycles(struct cow_plan *plan, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *state = ovbd_array_alloc(plan->nblocks, sizeof(*state));
	AUTO_FREE uint32_t *stack = ovbd_array_alloc(plan->nordered + 1, sizeof(*stack));

	if (!state || !stack)
		return ovbd_fail(err, -ENOMEM, "out of memory to order %" PRIu64 " operations",
		                 plan->nordered);
	for (uint64_t b = 0; b < plan->nblocks; b++)
		if (cow_what_ordered(plan->what[b]) && state[b] == UNSEEN)
			break_cycles_from(plan, b, state, stack);
	return 0;
}

/* ---- no block is read that is written ---- */

static void separate(struct cow_plan *plan)
{
	for (uint64_t b = 0; b < plan->nblocks; b++) {
		uint64_t read;
		bool clash = false;

		for (unsigned i = 0; cow_what_ordered(plan->what[b]) && i < 2; i++)
			clash |= cow_plan_reads(plan, b, i, &read) && read < plan->nblocks &&
			         plan->what[read] != 0;
		if (clash)
			store_instead(plan, b);
	}
}

/* ---- the order ---- */

/* A heap of blocks that may come now, the lowest on top; those that have come stay in it until
 * they are met. */
struct ready {
	uint32_t *heap;
	uint64_t n;
	uint32_t *nreaders; /* of each block: how many still read it; TAKEN: it has come */
};
#define TAKEN UINT32_MAX

static void push(struct ready *q, uint32_t block)
{
	uint64_t i = q->n++;

	for (; i > 0 && q->heap[(i - 1) / 2] > block; i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = block;
}

static uint32_t pop(struct ready *q)
{
	const uint32_t top = q->heap[0], last = q->heap[--q->n];
	uint64_t i = 0, child;

	while ((child = 2 * i + 1) < q->n) {
		if (child + 1 < q->n && q->heap[child + 1] < q->heap[child])
			child++;
		if (last <= q->heap[child])
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	q->heap[i] = last;
	return top;
}

static bool may_come(const struct cow_plan *plan, const struct ready *q, uint64_t block)
{
	return block < plan->nblocks && cow_what_ordered(plan->what[block]) &&
	       q->nreaders[block] == 0;
}

static uint32_t choose(const struct cow_plan *plan, struct ready *q, uint64_t last)
{
	uint32_t block;

	if (may_come(plan, q, last + 1))
		return (uint32_t)(last + 1);
	if (may_come(plan, q, last - 1))
		return (uint32_t)(last - 1);
	do {
		assert(q->n > 0); /* what has no circle has a beginning */
		block = pop(q);
	} while (q->nreaders[block] == TAKEN);
	return block;
}

static void take_in_order(struct cow_plan *plan, struct ready *q)
{
	uint64_t last = UINT64_MAX - 1, next; /* neither of its neighbours is a block */

	for (uint64_t b = 0; b < plan->nblocks; b++)
		for (unsigned i = 0; i < 2; i++)
			if (next_of(plan, b, i, &next))
				q->nreaders[next]++;
	for (uint64_t b = 0; b < plan->nblocks; b++)
		if (may_come(plan, q, b))
			push(q, (uint32_t)b);
	for (uint64_t n = 0; n < plan->nordered; n++) {
		last = plan->ordered[n] = choose(plan, q, last);
		q->nreaders[last] = TAKEN;
		for (unsigned i = 0; i < 2; i++)
			if (next_of(plan, last, i, &next) && --q->nreaders[next] == 0)
				push(q, (uint32_t)next);
	}
}

int cow_plan_order(struct cow_plan *plan, struct ovbd_error *err)
{
	AUTO_FREE uint32_t *heap = NULL, *nreaders = NULL;
	struct ready q;
	int r = 0;

	if (plan->p->write.scratch_size > 0)
		r = break_cycles(plan, err);
	else
		separate(plan);
	if (r < 0)
		return r;
	heap = ovbd_array_alloc(plan->nordered + 1, sizeof(*heap));
	nreaders = ovbd_array_alloc(plan->nblocks, sizeof(*nreaders));
	plan->ordered = ovbd_array_alloc(plan->nordered + 1, sizeof(plan->ordered[0]));
	if (!heap || !nreaders || !plan->ordered)
		return ovbd_fail(err, -ENOMEM, "out of memory to order %" PRIu64 " operations",
		                 plan->nordered);
	q = (struct ready){.heap = heap, .nreaders = nreaders};
	take_in_order(plan, &q);
	return 0;
}
