// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot-merge takes the last exception first, and with it those before as long as both old and
 * new chunks go down by one: it copies them at once. So the list is the order of merging backwards,
 * and where two must not be copied at once, since one of them reads in the base what the other
 * writes, a chunk is left out between them. Operations that need no base come first, by block:
 * these may all be copied at once.
 *
 * Of an operation on several blocks each is an exception of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ota/exceptions_impl.h"

static void skip(struct exceptions_store *st)
{
	st->next++;
	if (exceptions_is_metadata(st->next))
		st->next++;
}

static int add(struct exceptions_store *st, uint32_t block, struct ovbd_error *err)
{
	if (st->n == st->capacity) {
		const uint64_t capacity = st->n + st->n / 2 + 256;
		struct exception *list = realloc(st->list, (size_t)capacity * sizeof(*list));

		if (!list)
			return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " exceptions",
			                 capacity);
		st->list = list;
		st->capacity = capacity;
	}
	st->list[st->n++] = (struct exception){.old = block, .new = st->next};
	skip(st);
	return 0;
}

static int add_op(struct exceptions_store *st, const struct ovbd_cow_op *op, struct ovbd_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < UINT32_C(1) << op->shift; i++)
		r = add(st, op->block + i, err);
	return r;
}

/* The blocks of the base that op reads: one, or two if it is not aligned. */
static uint64_t first_source(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY ? op->source : op->source / EXCEPTIONS_CHUNK;
}

static uint64_t last_source(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY ? op->source
	                                 : (op->source + EXCEPTIONS_CHUNK - 1) / EXCEPTIONS_CHUNK;
}

/* Whether a and b must not be copied at once. */
static bool disturbs(const struct ovbd_cow_op *a, const struct ovbd_cow_op *b)
{
	return (a->block >= first_source(b) && a->block <= last_source(b)) ||
	       (b->block >= first_source(a) && b->block <= last_source(a));
}

/* The operation of a place in the order of merging, as it is without the scratch area. */
static const struct ovbd_cow_op *op_at(const struct ovbd_cow *c, uint64_t place)
{
	const uint64_t held = place - c->info.nmerged;

	if (place >= c->info.nmerged && held < c->info.nscratch)
		return &c->unheld[held];
	return &c->ops[c->order[place]];
}

/* As many as may be copied at once, but none in another area than the first; left: so many, the
 * first in the order of merging, have no exception yet. */
static int add_group(struct exceptions_store *st, const struct ovbd_cow *c, uint64_t *left,
                     struct ovbd_error *err)
{
	const uint32_t held_max = c->h.buffer_size ? cow_scratch_entries_max(&c->h) : 0;
	const struct ovbd_cow_op *group[EXCEPTIONS_AREA];
	size_t n = 0;
	int r = 0;

	skip(st);
	while (r == 0 && *left > 0 && n < EXCEPTIONS_AREA) {
		const struct ovbd_cow_op *op = op_at(c, *left - 1);

		if (!cow_op_is_ordered(op))
			return ovbd_fail(err, -ENOTSUP,
			                 "cow: block %" PRIu32 " is merged before copies: "
			                 "dm-snapshot cannot merge in this order",
			                 op->block);
		for (size_t i = 0; i < n; i++)
			if (disturbs(group[i], op))
				return 0;
		group[n++] = op;
		r = add(st, op->block, err);
		--*left;
		if (held_max > 0 && *left % held_max == 0)
			skip(st);
		if (st->n % EXCEPTIONS_AREA == 0)
			break;
	}
	return r;
}

static int list_for_merge(struct exceptions_store *st, const struct ovbd_cow *c,
                          struct ovbd_error *err)
{
	uint64_t left = c->n;
	int r = 0;

	/* backwards, those by block descend; the kernel wants them to go up */
	while (left > 0 && !cow_op_is_ordered(op_at(c, left - 1)))
		left--;
	for (uint64_t i = left; r == 0 && i < c->n; i++)
		r = add_op(st, op_at(c, i), err);
	st->nplain = st->n;
	if (r == 0 && left > 0)
		skip(st);
	while (r == 0 && left > 0)
		r = add_group(st, c, &left, err);
	return r;
}

int exceptions_list(struct exceptions_store *st, const struct ovbd_cow *c,
                    enum ovbd_exceptions_order order, struct ovbd_error *err)
{
	const uint64_t nmerged = c->info.nmerged;
	uint64_t nordered, done;
	int r = 0;

	st->next = 2;
	if (order == OVBD_EXCEPTIONS_FILE && nmerged > 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: partly merged: the order of the file does "
		                 "not say what is left");
	for (uint32_t i = 0; r == 0 && order == OVBD_EXCEPTIONS_FILE && i < c->n; i++)
		r = add_op(st, &c->ops[i], err);
	if (order == OVBD_EXCEPTIONS_MERGE)
		r = list_for_merge(st, c, err);
	/* of those that need no base it is not known which: they are merged again */
	nordered = st->n - st->nplain;
	done = order == OVBD_EXCEPTIONS_FILE ? 0 : nmerged < nordered ? nmerged : nordered;
	atomic_store(&st->nleft, nmerged == c->n ? 0 : st->n - done);
	return r;
}
