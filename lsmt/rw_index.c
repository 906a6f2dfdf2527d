// SPDX-License-Identifier: Apache-2.0
/*
 * A B+-tree whose nodes are 16 cache lines and never change once they can be seen, but for their
 * pointers to children. A put writes the leaf anew (a copy of under 1 KiB, in cache lines that
 * follow each other, where a binary tree would wait for one line after the other on its way down)
 * and swaps the one pointer to it; only when a leaf is split, or becomes one with its neighbour, is
 * the node above written anew as well, and so on up.
 *
 * So a reader follows pointers, and each leads to something that is whole: it takes no lock, tries
 * nothing twice, and is not held up by a writer that was put to sleep in the midst of a change
 * (which is what speaks against a sequence lock per leaf). What it costs is that a leaf that was
 * replaced must wait until nobody looks at it: base/epoch.h. The same epochs say when bytes that
 * the index has led to may be given back, so a reader stays within one until it has them.
 *
 * Invariants: the segments of a leaf lie within its range (from its key in the node above to the
 * next key on the way), so one that crosses ranges is stored in pieces, and a put changes one leaf
 * after the other, each on its own. Neighbours that continue each other are one slot within a leaf.
 * Of two leaves side by side in a node, one has RW_NODE_HALF slots or both together have more than
 * RW_NODE_MERGED, unless they became so few since: hence at most 40 bytes a segment.
 *
 * Memory is taken before a leaf is changed; after that nothing fails.
 */
#include "lsmt/rw_node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define SECTOR_BITS 9
#define SPLIT_END   56u /* of a leaf that grows at its end: the next will, too */

struct ovbd_rw_index {
	_Atomic(struct rw_node *) root;
	struct rw_pool pool;
	uint64_t count; /* slots in leaves */
};

/* The way down to a leaf: step[0] is the root, child[d] which child of it was taken. */
struct path {
	struct rw_node *node[RW_LEVELS_MAX];
	unsigned child[RW_LEVELS_MAX];
	unsigned leaf; /* which of node is the leaf */
	uint64_t end;  /* of the leaf's range, in sectors */
};

int ovbd_rw_index_create(struct ovbd_epoch *epoch, struct ovbd_rw_index **ret,
                         struct ovbd_error *err)
{
	struct ovbd_rw_index *ix = calloc(1, sizeof(*ix));
	int r;

	if (!ix)
		return ovbd_fail(err, -ENOMEM, "out of memory for the index of a writable layer");
	ovbd_rw_pool_init(&ix->pool, epoch);
	r = ovbd_rw_pool_reserve(&ix->pool, 1, err);
	if (r < 0) {
		ovbd_rw_index_free(ix);
		return r;
	}
	atomic_init(&ix->root, ovbd_rw_pool_take(&ix->pool, 0));
	*ret = ix;
	return 0;
}

void ovbd_rw_index_free(struct ovbd_rw_index *take_ix)
{
	if (!take_ix)
		return;
	ovbd_rw_pool_free(&take_ix->pool);
	free(take_ix);
}

uint64_t ovbd_rw_index_count(const struct ovbd_rw_index *ix)
{
	return ix->count;
}

uint64_t ovbd_rw_index_memory(const struct ovbd_rw_index *ix)
{
	return sizeof(*ix) + ix->pool.nnodes * RW_NODE_SIZE;
}

/* ---- looking up ---- */

static struct rw_node *child_of(const struct rw_node *node, unsigned i)
{
	return atomic_load_explicit(&node->child[i], memory_order_acquire);
}

/* Which child of a node that is no leaf has the sector. */
static unsigned find_child(const struct rw_node *node, uint64_t sector)
{
	const unsigned i = ovbd_rw_node_find(node, sector);

	return i > 0 ? i - 1 : 0;
}

struct ovbd_segment ovbd_rw_index_at(const struct ovbd_rw_index *ix, uint64_t off, uint64_t len)
{
	const uint64_t sector = off >> SECTOR_BITS, within = off & ((1u << SECTOR_BITS) - 1);
	const struct rw_node *node = atomic_load_explicit(&ix->root, memory_order_acquire);
	struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_HOLE};
	uint64_t end = UINT64_MAX >> SECTOR_BITS;
	unsigned i;

	while (node->level > 0) {
		i = find_child(node, sector);
		if (i + 1 < node->n)
			end = node->key[i + 1] >> RW_LEN_BITS;
		node = child_of(node, i);
	}
	i = ovbd_rw_node_find(node, sector);
	if (i < node->n)
		end = node->key[i] >> RW_LEN_BITS;
	if (i > 0) {
		const struct rw_run r = ovbd_rw_run_get(node, i - 1);

		if (sector < r.end) {
			s.kind = r.kind;
			s.src = r.kind == OVBD_RUN_DATA
			                ? ((r.src + (sector - r.off)) << SECTOR_BITS) + within
			                : 0;
			end = r.end;
		}
	}
	s.len = ovbd_min(len, (end << SECTOR_BITS) - off);
	return s;
}

/* ---- one leaf written anew ---- */

/* Behind the last run of out, or as part of it. */
static void push(struct rw_node *out, const struct rw_run *r)
{
	if (out->n > 0) {
		struct rw_run last = ovbd_rw_run_get(out, out->n - 1u);

		if (last.end == r->off && last.kind == r->kind &&
		    (r->kind == OVBD_RUN_ZERO || (last.src + (last.end - last.off) == r->src &&
		                                  r->end - last.off <= RW_DATA_MAX))) {
			last.end = r->end;
			ovbd_rw_run_set(out, out->n - 1u, &last);
			return;
		}
	}
	ovbd_rw_run_set(out, out->n++, r);
}

static void push_slots(struct rw_node *out, const struct rw_node *in, unsigned from, unsigned to)
{
	memcpy(&out->key[out->n], &in->key[from], (to - from) * sizeof(out->key[0]));
	memcpy(&out->value[out->n], &in->value[from], (to - from) * sizeof(out->value[0]));
	out->n = (uint16_t)(out->n + (to - from));
}

struct change {
	struct rw_run run;
	ovbd_rw_gone_fn gone;
	void *arg;
};

/* What of old the change hides. */
static void tell_gone(const struct change *c, const struct rw_run *old)
{
	const uint64_t from = ovbd_max(old->off, c->run.off), to = ovbd_min(old->end, c->run.end);
	const struct ovbd_segment s = {
		.off = from << SECTOR_BITS,
		.len = (to - from) << SECTOR_BITS,
		.src = (old->src + (from - old->off)) << SECTOR_BITS,
		.kind = OVBD_RUN_DATA,
	};

	if (c->gone && old->kind == OVBD_RUN_DATA)
		c->gone(c->arg, &s);
}

/* out = in with the change, which lies within its range. */
static void edit(struct rw_node *out, const struct rw_node *in, const struct change *c)
{
	const struct rw_run *fresh = &c->run;
	unsigned i = ovbd_rw_node_find(in, fresh->off), n = in->n;

	if (i > 0 && ovbd_rw_run_get(in, i - 1).end > fresh->off)
		i--;
	push_slots(out, in, 0, i);
	if (i < n) {
		struct rw_run left = ovbd_rw_run_get(in, i);

		if (left.off < fresh->off) {
			left.end = fresh->off;
			push(out, &left);
		}
	}
	if (fresh->kind != OVBD_RUN_HOLE)
		push(out, fresh);
	for (; i < n; i++) {
		struct rw_run old = ovbd_rw_run_get(in, i);

		if (old.off >= fresh->end)
			break;
		tell_gone(c, &old);
		if (old.end > fresh->end) {
			old.src += fresh->end - old.off;
			old.off = fresh->end;
			push(out, &old);
		}
	}
	if (i < n) {
		const struct rw_run next = ovbd_rw_run_get(in, i);

		push(out, &next);
		push_slots(out, in, i + 1, n);
	}
}

/* ---- the tree around it ---- */

static void put_child(struct rw_node *node, uint64_t key, struct rw_node *child)
{
	node->key[node->n] = key;
	atomic_store_explicit(&node->child[node->n++], child, memory_order_relaxed);
}

static void put_children(struct rw_node *node, const struct rw_node *from, unsigned i, unsigned end)
{
	for (; i < end; i++)
		put_child(node, from->key[i],
		          atomic_load_explicit(&from->child[i], memory_order_relaxed));
}

static void put_any(struct rw_node *to, const struct rw_node *from, unsigned i, unsigned end)
{
	if (to->level == 0)
		push_slots(to, from, i, end);
	else
		put_children(to, from, i, end);
}

/* The slots from at on become a node of their own. */
static struct rw_node *split(struct ovbd_rw_index *ix, struct rw_node *node, unsigned at)
{
	struct rw_node *right = ovbd_rw_pool_take(&ix->pool, node->level);

	put_any(right, node, at, node->n);
	node->n = (uint16_t)at;
	return right;
}

static uint64_t first_key(const struct rw_node *node)
{
	return node->key[0] & ~RW_LEN_MASK;
}

/* The neighbour of child i of parent with which fresh may become one; -1: none. */
static int find_partner(const struct rw_node *parent, unsigned i, const struct rw_node *fresh)
{
	if (fresh->n >= RW_NODE_HALF)
		return -1;
	if (i + 1 < parent->n && child_of(parent, i + 1)->n + fresh->n <= (int)RW_NODE_MERGED)
		return (int)i + 1;
	if (i > 0 && child_of(parent, i - 1)->n + fresh->n <= (int)RW_NODE_MERGED)
		return (int)i - 1;
	return -1;
}

/* What comes of fresh and the child j of parent, its neighbour there; i is where fresh belongs. */
static struct rw_node *join(struct ovbd_rw_index *ix, const struct rw_node *parent, unsigned i,
                            unsigned j, struct rw_node *fresh)
{
	struct rw_node *other = child_of(parent, j), *one = other;
	struct rw_node *both = ovbd_rw_pool_take(&ix->pool, fresh->level);
	const struct rw_node *left = i < j ? fresh : other, *right = i < j ? other : fresh;

	put_any(both, left, 0, left->n);
	put_any(both, right, 0, right->n);
	ovbd_rw_pool_give(&ix->pool, fresh);
	ovbd_rw_pool_retire(&ix->pool, one);
	return both;
}

/* The node above, with fresh (nothing, if it is empty; two nodes, if it is too full; one with the
 * child beside it, if partner says so) in the place of child i. */
static struct rw_node *rewrite(struct ovbd_rw_index *ix, const struct rw_node *parent, unsigned i,
                               int partner, struct rw_node *fresh, unsigned at)
{
	struct rw_node *out = ovbd_rw_pool_take(&ix->pool, parent->level);
	unsigned from = i, to = i + 1;

	if (partner >= 0) {
		from = (unsigned)ovbd_min(i, (unsigned)partner);
		to = from + 2;
		fresh = join(ix, parent, i, (unsigned)partner, fresh);
	}
	put_children(out, parent, 0, from);
	if (fresh->n == 0) {
		ovbd_rw_pool_give(&ix->pool, fresh);
	} else {
		struct rw_node *right = fresh->n > RW_NODE_FULL ? split(ix, fresh, at) : NULL;

		put_child(out, parent->key[from], fresh);
		if (right)
			put_child(out, first_key(right), right);
	}
	put_children(out, parent, to, parent->n);
	if (out->n > 0)
		out->key[0] = parent->key[0];
	return out;
}

static void set_root(struct ovbd_rw_index *ix, struct rw_node *fresh, unsigned at)
{
	if (fresh->n > RW_NODE_FULL) {
		struct rw_node *right = split(ix, fresh, at);
		struct rw_node *top = ovbd_rw_pool_take(&ix->pool, fresh->level + 1u);

		put_child(top, 0, fresh);
		put_child(top, first_key(right), right);
		fresh = top;
	}
	if (fresh->level > 0 && fresh->n == 1) {
		struct rw_node *only = child_of(fresh, 0);

		ovbd_rw_pool_give(&ix->pool, fresh);
		fresh = only;
	}
	if (fresh->n == 0)
		fresh->level = 0;
	atomic_store_explicit(&ix->root, fresh, memory_order_release);
}

/* fresh takes the place of the leaf at the end of the way; at: where to split what is too full. */
static void settle(struct ovbd_rw_index *ix, const struct path *p, struct rw_node *fresh,
                   unsigned at)
{
	for (unsigned d = p->leaf;; d--) {
		struct rw_node *parent;
		int partner;
		unsigned i;

		ovbd_rw_pool_retire(&ix->pool, p->node[d]);
		if (d == 0)
			break;
		parent = p->node[d - 1];
		i = p->child[d - 1];
		partner = find_partner(parent, i, fresh);
		if (partner < 0 && fresh->n > 0 && fresh->n <= RW_NODE_FULL) {
			atomic_store_explicit(&parent->child[i], fresh, memory_order_release);
			return;
		}
		fresh = rewrite(ix, parent, i, partner, fresh, at);
		at = fresh->n / 2u;
	}
	set_root(ix, fresh, at);
}

static void go_down(const struct ovbd_rw_index *ix, uint64_t sector, struct path *p)
{
	struct rw_node *node = atomic_load_explicit(&ix->root, memory_order_relaxed);
	unsigned d = 0;

	p->end = OVBD_INDEX_END_MAX >> SECTOR_BITS;
	for (; node->level > 0; d++) {
		const unsigned i = find_child(node, sector);

		assert(d + 1 < RW_LEVELS_MAX);
		if (i + 1 < node->n)
			p->end = node->key[i + 1] >> RW_LEN_BITS;
		p->node[d] = node;
		p->child[d] = i;
		node = atomic_load_explicit(&node->child[i], memory_order_relaxed);
	}
	/* all of it will be copied: its lines may come at the same time */
	for (size_t at = 64; at < RW_NODE_SIZE; at += 64)
		__builtin_prefetch((const char *)node + at);
	p->node[d] = node;
	p->leaf = d;
}

int ovbd_rw_index_put(struct ovbd_rw_index *ix, const struct ovbd_segment *s, ovbd_rw_gone_fn gone,
                      void *arg, struct ovbd_error *err)
{
	const uint64_t end = (s->off + s->len) >> SECTOR_BITS;
	struct change c = {.gone = gone, .arg = arg};
	uint64_t src = s->src >> SECTOR_BITS;

	for (uint64_t off = s->off >> SECTOR_BITS; off < end; off = c.run.end) {
		struct rw_node *fresh, *leaf;
		struct path p;
		int r;

		go_down(ix, off, &p);
		leaf = p.node[p.leaf];
		r = ovbd_rw_pool_reserve(&ix->pool, 3 * (p.leaf + 2), err);
		if (r < 0)
			return r;
		c.run = (struct rw_run){off, ovbd_min(end, p.end), src, s->kind};
		if (s->kind == OVBD_RUN_DATA)
			c.run.end = ovbd_min(c.run.end, off + RW_DATA_MAX);
		fresh = ovbd_rw_pool_take(&ix->pool, 0);
		edit(fresh, leaf, &c);
		ix->count += fresh->n;
		ix->count -= leaf->n;
		settle(ix, &p, fresh,
		       leaf->n > 0 && c.run.off > leaf->key[leaf->n - 1] >> RW_LEN_BITS
		               ? SPLIT_END
		               : fresh->n / 2u);
		src += c.run.end - off;
	}
	return 0;
}
