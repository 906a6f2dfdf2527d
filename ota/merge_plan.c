// SPDX-License-Identifier: Apache-2.0
/*
 * What makes a merge safe. An operation reads the base as it was, so whoever overwrites what it
 * reads must come later in the order of merging: that is checked for all of them first, against the
 * index by block. Then the order is cut into groups. If the power fails within one, the merge comes
 * back to its beginning; so either
 *
 *     no operation of the group overwrites what one of it reads (such a group can simply be done
 *     again, and may hold operations of every kind, as many as memory has room for), or
 *
 *     what it writes is in the scratch area first (which holds copies and xors, some 510).
 *
 * The first is cheaper; it is taken unless its groups come out much shorter.
 *
 * Without a scratch area, groups of the first kind will do for everything but an operation that
 * overwrites what it reads itself, if need be groups of one operation. Without a counter in the
 * header (1.0, at first) there is only one group: everything.
 */
#include "ota/merge_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

#define BLOCK OVBD_COW_BLOCK_SIZE
#define NONE  UINT32_MAX

/* The place of the operation that writes block; NONE. *near: where by block the one before was
 * found, which often is next to it. */
static uint32_t writer_of(const struct ovbd_cow *c, uint64_t block, uint32_t *near)
{
	const struct ovbd_cow_op *op;
	uint32_t i = *near;

	i -= i > 0 && cow_op_end(cow_at(c, i - 1)) > block;
	i += i < c->n && cow_op_end(cow_at(c, i)) <= block;
	op = cow_at(c, i);
	if ((op && cow_op_end(op) <= block) || (i > 0 && cow_op_end(cow_at(c, i - 1)) > block))
		i = cow_seek(c, block);
	*near = i;
	op = cow_at(c, i);
	return op && op->block <= block ? op->place : NONE;
}

/* The blocks of the base that op reads: from *ret on, 0, 1 or 2. */
static unsigned reads(const struct ovbd_cow_op *op, uint64_t *ret)
{
	if (op->type == OVBD_COW_COPY && op->source != op->block) {
		*ret = op->source;
		return 1;
	}
	*ret = op->source / BLOCK;
	return op->type != OVBD_COW_XOR ? 0 : op->source % BLOCK ? 2 : 1;
}

/* The first place, from op's own on, that overwrites what op reads; NONE. What op reads and no
 * place from its own on overwrites is overwritten before: *ret_block, else UINT64_MAX. */
static uint32_t overwritten_at(const struct ovbd_cow *c, const struct ovbd_cow_op *op,
                               uint32_t *near, uint64_t *ret_block)
{
	uint64_t from = 0;
	const unsigned n = reads(op, &from);
	uint32_t first = NONE;

	*ret_block = UINT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		const uint32_t place = writer_of(c, from + i, near);

		if (place == NONE)
			continue;
		if (place < op->place)
			*ret_block = from + i;
		else if (place < first)
			first = place;
	}
	return first;
}

static uint32_t scratch_max(const struct ovbd_cow *c)
{
	return c->h.buffer_size ? cow_scratch_entries_max(&c->h) : 0;
}

/* How many operations from place first on need no scratch area. */
static uint32_t plain_ops(const struct ovbd_cow *c, unsigned max, uint32_t first)
{
	uint32_t limit = c->n, place = first, near = 0;
	uint64_t nblocks = 0, block;

	if (limit - first > COW_GROUP_OPS)
		limit = first + COW_GROUP_OPS;
	while (place < limit) {
		const struct ovbd_cow_op *op = &c->ops[c->order[place]];
		const uint32_t end = overwritten_at(c, op, &near, &block);

		nblocks += op->type == OVBD_COW_ZERO ? 0 : UINT64_C(1) << op->shift;
		if (nblocks > max || end == place)
			break;
		if (end < limit)
			limit = end;
		place++;
	}
	return place - first;
}

/* How many the scratch area can take. */
static uint32_t scratch_ops(const struct ovbd_cow *c, unsigned nblocks, uint32_t first)
{
	const uint32_t max = (uint32_t)ovbd_min(scratch_max(c), nblocks);
	uint32_t n = 0;

	while (n < max && first + n < c->n && cow_op_is_ordered(&c->ops[c->order[first + n]]))
		n++;
	return n;
}

unsigned cow_group_blocks(const struct ovbd_merge_params *p)
{
	const unsigned n = p && p->group_blocks ? p->group_blocks : COW_GROUP_BLOCKS;

	return n < COW_GROUP_BLOCKS ? n : COW_GROUP_BLOCKS;
}

struct cow_group cow_group_next(const struct ovbd_cow *c, unsigned nblocks, uint32_t first)
{
	struct cow_group g = {.first = first};
	uint32_t plain, scratch;

	if (c->info.nscratch > 0 && first == c->info.nmerged) {
		g.n = c->info.nscratch;
		g.overlaps = g.in_scratch = true;
		return g;
	}
	plain = plain_ops(c, nblocks, first);
	scratch = plain < nblocks ? scratch_ops(c, nblocks, first) : 0;
	g.overlaps = scratch / 2 > plain || plain == 0;
	g.n = g.overlaps ? scratch : plain;
	return g;
}

/* ---- what is refused ---- */

static int check_order(const struct ovbd_cow *c, const struct ovbd_cow_op *op, uint32_t *near,
                       struct ovbd_error *err)
{
	uint64_t block;

	overwritten_at(c, op, near, &block);
	if (block == UINT64_MAX)
		return 0;
	return ovbd_fail(err, -ENOTSUP,
	                 "cow: its order of merging is not safe: block %" PRIu32
	                 " is made of block %" PRIu64
	                 " of the base, which is overwritten before; it can be read and converted, "
	                 "but not merged",
	                 op->block, block);
}

static int check_without_scratch(const struct ovbd_cow *c, const struct ovbd_cow_op *op,
                                 uint32_t *near, const struct ovbd_merge_params *p,
                                 struct ovbd_error *err)
{
	uint64_t block;
	const uint32_t end = overwritten_at(c, op, near, &block);

	if (end == NONE)
		return 0;
	if (cow_counter_off(&c->h) == 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: its version counts no progress, so it cannot be merged: "
		                 "block %" PRIu32
		                 " is made of a block that is overwritten, and could not be "
		                 "made again",
		                 op->block);
	if (end == op->place)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: it has no scratch area, so it cannot be merged: block "
		                 "%" PRIu32 " is made of itself, and could not be made again",
		                 op->block);
	if (!p->small_groups)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: it has no scratch area, and block %" PRIu32
		                 " is made of a block that block %" PRIu32
		                 " overwrites: only in small groups can it be merged",
		                 op->block, c->ops[c->order[end]].block);
	return 0;
}

/* An operation that overlaps with itself needs a place in the scratch area, and may only follow
 * others there: nothing to check beyond that there is one. */
int cow_merge_check(const struct ovbd_cow *c, uint64_t base_size, const struct ovbd_merge_params *p,
                    struct ovbd_error *err)
{
	static const struct ovbd_merge_params plain;
	const bool has_scratch = scratch_max(c) > 0;
	uint32_t near = 0;
	int r = 0;

	if (base_size != UINT64_MAX && base_size % BLOCK != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "the base has %" PRIu64
		                 " bytes, which are not whole blocks of %u: it is not a "
		                 "partition's image",
		                 base_size, BLOCK);
	if (base_size != UINT64_MAX)
		r = cow_check_base(c, base_size, err);
	if (r == 0 && c->info.nduplicates > 0)
		r = ovbd_fail(err, -ENOTSUP,
		              "cow: several operations write the same block, and readers do not "
		              "agree on how many are merged then: it can be read, but not merged");
	if (r == 0 && c->info.nscratch > cow_group_blocks(p))
		r = ovbd_fail(err, -ENOTSUP,
		              "cow: %" PRIu32 " blocks in its scratch area, more than %u",
		              c->info.nscratch, cow_group_blocks(p));
	for (uint32_t i = (uint32_t)c->info.nmerged; r == 0 && i < c->n; i++)
		r = check_order(c, &c->ops[c->order[i]], &near, err);
	for (uint32_t i = (uint32_t)c->info.nmerged; r == 0 && !has_scratch && i < c->n; i++)
		r = check_without_scratch(c, &c->ops[c->order[i]], &near, p ? p : &plain, err);
	return r;
}

int ovbd_merge_plan(const struct ovbd_cow *c, uint64_t base_size, const struct ovbd_merge_params *p,
                    struct ovbd_merge_plan *ret, struct ovbd_error *err)
{
	struct ovbd_merge_plan plan = {0};
	const int r = cow_merge_check(c, base_size, p, err);

	if (r < 0)
		return r;
	for (uint32_t i = (uint32_t)c->info.nmerged; i < c->n; i++) {
		const uint8_t shift = c->ops[c->order[i]].shift;

		plan.nwritten += (uint64_t)BLOCK << shift;
	}
	plan.nops = c->n - c->info.nmerged;
	for (uint32_t i = (uint32_t)c->info.nmerged; i < c->n;) {
		const struct cow_group g = cow_group_next(c, cow_group_blocks(p), i);

		i += g.n;
		plan.ngroups++;
		plan.nscratch += g.overlaps;
	}
	*ret = plan;
	return 0;
}
