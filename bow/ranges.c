// SPDX-License-Identifier: Apache-2.0
/*
 * Two treaps over the same nodes: all ranges by offset, and those that are FREE by length, too. A
 * node's priority is random, the same in both, so that either is about 2 log n deep.
 *
 * A put needs at most two nodes more than it finds: one for what it cuts another range into, one
 * for itself. They are set aside beforehand (a budget), so that what follows an I/O never fails.
 */
#include "bow/ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

enum { BY_OFF, BY_LEN, NTREES };

#define PER_PUT   2u
#define SPARE_MAX 64u /* more than what is set aside, to be used again */

struct node {
	uint64_t off, len;
	enum bow_kind kind;
	uint32_t priority;
	struct node *kid[NTREES][2];
};

struct bow_ranges {
	struct node *root[NTREES];
	struct node *spare;
	size_t nspare, nreserved; /* nspare >= nreserved */
	uint64_t random;
	uint64_t bytes[BOW_KINDS], count[BOW_KINDS];
};

/* ---- trees ---- */

static bool is_before(unsigned tree, const struct node *a, uint64_t len, uint64_t off)
{
	if (tree == BY_LEN && a->len != len)
		return a->len < len;
	return a->off < off;
}

static void split(unsigned tree, struct node *t, const struct node *at, struct node **ret_left,
                  struct node **ret_right)
{
	while (t) {
		if (is_before(tree, t, at->len, at->off)) {
			*ret_left = t;
			ret_left = &t->kid[tree][1];
			t = *ret_left;
		} else {
			*ret_right = t;
			ret_right = &t->kid[tree][0];
			t = *ret_right;
		}
	}
	*ret_left = NULL;
	*ret_right = NULL;
}

static void tree_insert(struct bow_ranges *r, unsigned tree, struct node *n)
{
	struct node **at = &r->root[tree];

	while (*at && (*at)->priority >= n->priority)
		at = &(*at)->kid[tree][is_before(tree, *at, n->len, n->off)];
	split(tree, *at, n, &n->kid[tree][0], &n->kid[tree][1]);
	*at = n;
}

static void tree_remove(struct bow_ranges *r, unsigned tree, struct node *n)
{
	struct node **at = &r->root[tree], *a = n->kid[tree][0], *b = n->kid[tree][1];

	while (*at != n)
		at = &(*at)->kid[tree][is_before(tree, *at, n->len, n->off)];
	while (a && b) {
		const bool first = a->priority >= b->priority;

		*at = first ? a : b;
		at = &(*at)->kid[tree][first];
		if (first)
			a = *at;
		else
			b = *at;
	}
	*at = a ? a : b;
}

/* The first whose end is beyond off. */
static struct node *find(const struct bow_ranges *r, uint64_t off)
{
	struct node *n = r->root[BY_OFF], *found = NULL;

	while (n) {
		const bool beyond = n->off + n->len > off;

		if (beyond)
			found = n;
		n = n->kid[BY_OFF][!beyond];
	}
	return found;
}

/* ---- nodes ---- */

static void give(struct bow_ranges *r, struct node *n)
{
	if (r->nspare >= r->nreserved + SPARE_MAX) {
		free(n);
		return;
	}
	n->kid[0][0] = r->spare;
	r->spare = n;
	r->nspare++;
}

static struct node *take(struct bow_ranges *r, size_t *budget)
{
	struct node *n = r->spare;

	assert(n && *budget > 0);
	r->spare = n->kid[0][0];
	r->nspare--;
	r->nreserved--;
	--*budget;
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	n->priority = (uint32_t)(r->random >> 32);
	return n;
}

int ovbd_bow_ranges_reserve(struct bow_ranges *r, size_t nputs, size_t *budget,
                            struct ovbd_error *err)
{
	const size_t nnodes = nputs * PER_PUT;

	while (r->nspare < r->nreserved + nnodes) {
		struct node *n = malloc(sizeof(*n));

		if (!n)
			return ovbd_fail(err, -ENOMEM, "out of memory for the map of ranges");
		n->kid[0][0] = r->spare;
		r->spare = n;
		r->nspare++;
	}
	r->nreserved += nnodes;
	*budget += nnodes;
	return 0;
}

void ovbd_bow_ranges_release(struct bow_ranges *r, size_t *budget)
{
	assert(r->nreserved >= *budget);
	r->nreserved -= *budget;
	*budget = 0;
	while (r->nspare > r->nreserved + SPARE_MAX) {
		struct node *n = r->spare;

		r->spare = n->kid[0][0];
		r->nspare--;
		free(n);
	}
}

/* ---- putting ---- */

static void insert(struct bow_ranges *r, struct node *n)
{
	tree_insert(r, BY_OFF, n);
	if (n->kind == BOW_FREE)
		tree_insert(r, BY_LEN, n);
	r->bytes[n->kind] += n->len;
	r->count[n->kind]++;
}

static void drop(struct bow_ranges *r, struct node *n)
{
	tree_remove(r, BY_OFF, n);
	if (n->kind == BOW_FREE)
		tree_remove(r, BY_LEN, n);
	r->bytes[n->kind] -= n->len;
	r->count[n->kind]--;
}

/* To [off, end), which lies within what it was: the order of ranges stays. */
static void shrink(struct bow_ranges *r, struct node *n, uint64_t off, uint64_t end)
{
	if (n->kind == BOW_FREE)
		tree_remove(r, BY_LEN, n);
	r->bytes[n->kind] -= n->len - (end - off);
	n->off = off;
	n->len = end - off;
	if (n->kind == BOW_FREE)
		tree_insert(r, BY_LEN, n);
}

static void insert_new(struct bow_ranges *r, uint64_t off, uint64_t end, enum bow_kind kind,
                       size_t *budget)
{
	struct node *n = take(r, budget);

	n->off = off;
	n->len = end - off;
	n->kind = kind;
	insert(r, n);
}

static void clear(struct bow_ranges *r, uint64_t off, uint64_t end, size_t *budget)
{
	struct node *n;

	while ((n = find(r, off)) && n->off < end) {
		const uint64_t n_end = n->off + n->len;

		if (n->off < off) {
			shrink(r, n, n->off, off);
			if (n_end > end)
				insert_new(r, end, n_end, n->kind, budget);
		} else if (n_end > end) {
			shrink(r, n, end, n_end);
		} else {
			drop(r, n);
			give(r, n);
		}
	}
}

void ovbd_bow_ranges_put(struct bow_ranges *r, uint64_t off, uint64_t len, enum bow_kind kind,
                         size_t *budget)
{
	uint64_t end = off + len;
	struct node *n;

	if (len == 0)
		return;
	clear(r, off, end, budget);
	if (kind == BOW_UNCHANGED)
		return;
	n = find(r, end);
	if (n && n->off == end && n->kind == kind) {
		end += n->len;
		drop(r, n);
		give(r, n);
	}
	n = off > 0 ? find(r, off - 1) : NULL;
	if (n && n->off < off && n->kind == kind) {
		off = n->off;
		drop(r, n);
		give(r, n);
	}
	insert_new(r, off, end, kind, budget);
}

/* ---- looking ---- */

struct bow_range ovbd_bow_ranges_at(const struct bow_ranges *r, uint64_t off, uint64_t len)
{
	const struct node *n = find(r, off);

	if (!n || n->off >= off + len)
		return (struct bow_range){off, len, BOW_UNCHANGED};
	if (n->off > off)
		return (struct bow_range){off, n->off - off, BOW_UNCHANGED};
	return (struct bow_range){off, ovbd_min(len, n->off + n->len - off), n->kind};
}

bool ovbd_bow_ranges_next(const struct bow_ranges *r, uint64_t off, struct bow_range *ret)
{
	const struct node *n = find(r, off);

	if (n) {
		const uint64_t from = ovbd_max(n->off, off);

		*ret = (struct bow_range){from, n->off + n->len - from, n->kind};
	}
	return n != NULL;
}

bool ovbd_bow_ranges_largest(const struct bow_ranges *r, struct bow_range *ret)
{
	const struct node *n = r->root[BY_LEN];

	while (n && n->kid[BY_LEN][1])
		n = n->kid[BY_LEN][1];
	if (n)
		*ret = (struct bow_range){n->off, n->len, n->kind};
	return n != NULL;
}

uint64_t ovbd_bow_ranges_bytes(const struct bow_ranges *r, enum bow_kind kind)
{
	return r->bytes[kind];
}

uint64_t ovbd_bow_ranges_count(const struct bow_ranges *r, enum bow_kind kind)
{
	return r->count[kind];
}

uint64_t ovbd_bow_ranges_memory(const struct bow_ranges *r)
{
	uint64_t n = r->nspare;

	for (unsigned kind = 0; kind < BOW_KINDS; kind++)
		n += r->count[kind];
	return sizeof(*r) + n * sizeof(struct node);
}

/* ---- life ---- */

int ovbd_bow_ranges_create(struct bow_ranges **ret, struct ovbd_error *err)
{
	struct bow_ranges *r = calloc(1, sizeof(*r));

	if (!r)
		return ovbd_fail(err, -ENOMEM, "out of memory for the map of ranges");
	*ret = r;
	return 0;
}

void ovbd_bow_ranges_free(struct bow_ranges *take_r)
{
	struct bow_ranges *r = take_r;
	struct node *n;

	if (!r)
		return;
	while ((n = find(r, 0))) {
		drop(r, n);
		free(n);
	}
	while ((n = r->spare)) {
		r->spare = n->kid[0][0];
		free(n);
	}
	free(r);
}
