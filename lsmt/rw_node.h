/* SPDX-License-Identifier: Apache-2.0 */
/* Private to rw_index.c and rw_node.c: the nodes of its tree, and where they come from. */
#ifndef OVBD_LSMT_RW_NODE_H
#define OVBD_LSMT_RW_NODE_H

#include <stdatomic.h>

#include "lsmt/rw_index.h"

#define RW_NODE_SIZE   1024u
#define RW_NODE_SLOTS  63u
#define RW_NODE_FULL   61u /* an edit adds up to two; then what has more is split */
#define RW_NODE_HALF   31u /* what has less looks for a neighbour to become one with */
#define RW_NODE_MERGED 56u /* if both together have at most so many */
#define RW_LEVELS_MAX  12u

/*
 * In a leaf a slot is a segment, in sectors. DATA: key = offset << 14 | length, value = source.
 * ZERO has the length in the value, with bit 63. Above, a slot is a child: key = where its range
 * begins << 14; that of the first is only right for who merges nodes, a search does not look at it.
 *
 * Once others can see a node nothing in it changes but the pointers to children. next is the
 * writer's.
 */
struct rw_node {
	uint16_t n, level; /* 0: a leaf */
	struct rw_node *next;
	uint64_t key[RW_NODE_SLOTS];
	union {
		uint64_t value[RW_NODE_SLOTS];
		_Atomic(struct rw_node *) child[RW_NODE_SLOTS];
	};
};

_Static_assert(sizeof(struct rw_node) == RW_NODE_SIZE, "nodes are whole cache lines");

/* A segment in sectors. */
struct rw_run {
	uint64_t off, end, src;
	enum ovbd_run_kind kind;
};

#define RW_LEN_BITS 14
#define RW_LEN_MASK ((UINT64_C(1) << RW_LEN_BITS) - 1)
#define RW_DATA_MAX 16376u /* sectors: the longest DATA in a slot, in whole blocks of 4 KiB */
#define RW_ZERO     (UINT64_C(1) << 63)

static inline struct rw_run ovbd_rw_run_get(const struct rw_node *leaf, unsigned i)
{
	const uint64_t off = leaf->key[i] >> RW_LEN_BITS, v = leaf->value[i];

	if (v & RW_ZERO)
		return (struct rw_run){off, off + (v & ~RW_ZERO), 0, OVBD_RUN_ZERO};
	return (struct rw_run){off, off + (leaf->key[i] & RW_LEN_MASK), v, OVBD_RUN_DATA};
}

static inline void ovbd_rw_run_set(struct rw_node *leaf, unsigned i, const struct rw_run *r)
{
	const bool zero = r->kind == OVBD_RUN_ZERO;

	leaf->key[i] = r->off << RW_LEN_BITS | (zero ? 0 : r->end - r->off);
	leaf->value[i] = zero ? RW_ZERO | (r->end - r->off) : r->src;
}

/* How many of the n keys are of at most sector. */
static inline unsigned ovbd_rw_node_find(const struct rw_node *node, uint64_t sector)
{
	const uint64_t max = sector << RW_LEN_BITS | RW_LEN_MASK;
	const unsigned n = node->n;
	unsigned at = 0;

	for (unsigned step = 32; step > 0; step /= 2)
		if (at + step <= n && node->key[at + step - 1] <= max)
			at += step;
	return at;
}

/* ---- where nodes come from (rw_node.c) ---- */

struct rw_pool {
	struct ovbd_epoch *epoch;
	struct rw_node *unused;
	size_t nunused, nnodes, nretired;
	struct {
		struct rw_node *first;
		size_t n;
		uint64_t since;
	} retired[3]; /* by epoch modulo 3 */
	struct rw_node *slabs;
};

void ovbd_rw_pool_init(struct rw_pool *p, struct ovbd_epoch *epoch);
void ovbd_rw_pool_free(struct rw_pool *p);

/* Now n nodes can be taken. 0 or -ENOMEM. */
int ovbd_rw_pool_reserve(struct rw_pool *p, size_t n, struct ovbd_error *err);
struct rw_node *ovbd_rw_pool_take(struct rw_pool *p, unsigned level);

/* A node that nobody else has seen. */
void ovbd_rw_pool_give(struct rw_pool *p, struct rw_node *node);

/* A node that new readers do not find any more. */
void ovbd_rw_pool_retire(struct rw_pool *p, struct rw_node *node);

#endif
