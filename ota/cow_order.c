// SPDX-License-Identifier: Apache-2.0
/*
 * Two orders of the same list. By block, to find what a read meets: an array of block << 32 |
 * number, which is sorted unless the list was in order, and searched by halves. And the order in
 * which the operations are merged into the base, which is the order that num_merge_ops counts:
 *
 *     1. the blocks of the sequence, if there is one; then the others by block;
 *     2. without one, up to 2.0: copies and xors in the order of the file, then the others by
 *        block;
 *     3. without one, 3.0: the order of the file.
 *
 * Of operations on the same block the first counts (so does Android's merge, if not all of its
 * readers). Operations that overlap otherwise have no meaning that all readers agree on.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

static uint64_t block_of(uint64_t key)
{
	return key >> 32;
}

static uint32_t number_of(uint64_t key)
{
	return (uint32_t)key;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static void sort_by_block(struct ovbd_cow *c)
{
	bool sorted = true;

	for (uint32_t i = 0; i < c->n; i++) {
		c->by_block[i] = (uint64_t)c->ops[i].block << 32 | i;
		sorted = sorted && (i == 0 || c->by_block[i] > c->by_block[i - 1]);
	}
	if (!sorted)
		qsort(c->by_block, c->n, sizeof(c->by_block[0]), by_value);
}

/* Whether the list has several operations on one block. */
static int check_overlaps(struct ovbd_cow *c, struct ovbd_error *err)
{
	for (uint32_t i = 1; i < c->n; i++) {
		const struct ovbd_cow_op *a = &c->ops[number_of(c->by_block[i - 1])];
		const struct ovbd_cow_op *b = &c->ops[number_of(c->by_block[i])];

		if (cow_op_end(a) <= b->block)
			continue;
		if (a->block != b->block || a->shift != b->shift)
			return ovbd_fail(err, -EBADMSG,
			                 "cow: operations on blocks %" PRIu32 " to %" PRIu64
			                 " and %" PRIu32 " to %" PRIu64 " overlap",
			                 a->block, cow_op_end(a) - 1, b->block, cow_op_end(b) - 1);
		c->info.nduplicates++;
	}
	return 0;
}

/* Takes those out of the list that are not the first on their block; marked as type 0. */
static void drop_duplicates(struct ovbd_cow *c)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < c->n; i++)
		if (block_of(c->by_block[i]) == block_of(c->by_block[i - 1]))
			c->ops[number_of(c->by_block[i])].type = 0;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->ops[i].type != 0)
			c->ops[n++] = c->ops[i];
	c->n = n;
	sort_by_block(c);
}

/* ---- the order of merging ---- */

#define UNPLACED UINT32_MAX

struct order {
	struct ovbd_cow *c;
	uint32_t n;
};

static void append(struct order *o, uint32_t number)
{
	o->c->ops[number].place = o->n;
	o->c->order[o->n++] = number;
}

static int append_sequence(struct order *o, struct ovbd_error *err)
{
	const struct ovbd_cow *c = o->c;

	for (uint64_t i = 0; i < c->info.nsequence; i++) {
		const uint32_t block = c->sequence[i], at = cow_seek(c, block);
		const struct ovbd_cow_op *op = cow_at(c, at);

		if (!op || op->block != block)
			return ovbd_fail(err, -EBADMSG,
			                 "cow: the order of merging names block %" PRIu32
			                 ", which no operation writes",
			                 block);
		if (op->place != UNPLACED)
			return ovbd_fail(err, -EBADMSG,
			                 "cow: the order of merging names block %" PRIu32 " twice",
			                 block);
		append(o, number_of(c->by_block[at]));
	}
	return 0;
}

static int make_order(struct ovbd_cow *c, struct ovbd_error *err)
{
	struct order o = {.c = c};
	int r;

	c->order = ovbd_array_alloc((uint64_t)c->n + 1, sizeof(c->order[0]));
	if (!c->order)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu32 " operations", c->n);
	for (uint32_t i = 0; i < c->n; i++)
		c->ops[i].place = UNPLACED;
	r = append_sequence(&o, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; c->info.nsequence == 0 && i < c->n; i++)
		if (c->h.layout == 'H' || cow_op_is_ordered(&c->ops[i]))
			append(&o, i);
	for (uint32_t i = 0; i < c->n; i++) {
		const uint32_t number = number_of(c->by_block[i]);

		if (c->ops[number].place == UNPLACED)
			append(&o, number);
	}
	return 0;
}

int cow_order(struct ovbd_cow *c, struct ovbd_error *err)
{
	int r;

	c->by_block = ovbd_array_alloc((uint64_t)c->n + 1, sizeof(c->by_block[0]));
	if (!c->by_block)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu32 " operations", c->n);
	sort_by_block(c);
	r = check_overlaps(c, err);
	if (r < 0)
		return r;
	if (c->info.nduplicates > 0) {
		if (c->h.num_merge_ops > 0)
			return ovbd_fail(err, -ENOTSUP,
			                 "cow: partly merged, and several operations write the "
			                 "same block");
		drop_duplicates(c);
	}
	r = make_order(c, err);
	if (r < 0)
		return r;
	if (c->h.num_merge_ops > c->n)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: %" PRIu64 " operations are said to be merged, of %" PRIu32,
		                 c->h.num_merge_ops, c->n);
	c->info.nmerged = c->h.num_merge_ops;
	return 0;
}

uint32_t cow_seek(const struct ovbd_cow *c, uint64_t block)
{
	const uint64_t *keys = c->by_block;
	uint32_t from = 0, to = c->n; /* keys before from are <= block, from to on > */

	while (from < to) {
		const uint32_t middle = from + (to - from) / 2;

		if (block_of(keys[middle]) <= block)
			from = middle + 1;
		else
			to = middle;
	}
	return from > 0 && cow_op_end(cow_at(c, from - 1)) > block ? from - 1 : from;
}
