// SPDX-License-Identifier: Apache-2.0
/*
 * The index of a writable layer against a balanced binary tree that does the same: writes of 4 KiB
 * to random places, up to n segments. The tree is a red-black one whose nodes hold the segments,
 * taken from one array (so it pays for no malloc), on whose way down both neighbours are found; a
 * write that hits a segment replaces it. It lets no reader in while it is written to.
 */
#include "bench/bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsmt/rw_index.h"

#define BLOCK 4096u

/* ---- the tree ---- */

struct rb {
	struct rb *parent, *child[2];
	uint64_t off, len, src;
	bool red;
};

struct tree {
	struct rb *root, *nodes;
	size_t n;
};

/* x goes down to the side, its other child comes up. */
static void rotate(struct tree *t, struct rb *x, int side)
{
	struct rb *y = x->child[!side], *up = x->parent;

	x->child[!side] = y->child[side];
	if (y->child[side])
		y->child[side]->parent = x;
	y->parent = up;
	if (!up)
		t->root = y;
	else
		up->child[up->child[1] == x] = y;
	y->child[side] = x;
	x->parent = y;
}

static void balance(struct tree *t, struct rb *z)
{
	while (z->parent && z->parent->red) {
		struct rb *p = z->parent, *g = p->parent;
		const int side = g->child[1] == p;
		struct rb *uncle = g->child[!side];

		if (uncle && uncle->red) {
			p->red = uncle->red = false;
			g->red = true;
			z = g;
			continue;
		}
		if (p->child[!side] == z) {
			rotate(t, p, side);
			p = z;
		}
		p->red = false;
		g->red = true;
		rotate(t, g, !side);
		break;
	}
	t->root->red = false;
}

static bool continues(const struct rb *a, uint64_t off, uint64_t src)
{
	return a && a->off + a->len == off && a->src + a->len == src;
}

static void tree_put(struct tree *t, uint64_t off, uint64_t len, uint64_t src)
{
	struct rb *before = NULL, *after = NULL, *up = NULL, **at = &t->root, *z;

	while (*at) {
		up = *at;
		if (up->off == off) { /* the same block again */
			up->src = src;
			return;
		}
		if (up->off < off) {
			before = up;
			at = &up->child[1];
		} else {
			after = up;
			at = &up->child[0];
		}
	}
	if (continues(before, off, src)) {
		before->len += len;
		return;
	}
	if (after && after->off == off + len && after->src == src + len) {
		after->off = off;
		after->src = src;
		after->len += len;
		return;
	}
	z = &t->nodes[t->n++];
	*z = (struct rb){.parent = up, .off = off, .len = len, .src = src, .red = true};
	*at = z;
	balance(t, z);
}

/* ---- the rows ---- */

struct writes {
	uint64_t n, nblocks;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void ours(void *arg)
{
	const struct writes *w = arg;
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	uint64_t random = 88172645463325252u;

	if (ovbd_epoch_create(&epoch, NULL) < 0 || ovbd_rw_index_create(epoch, &ix, NULL) < 0)
		exit(1);
	for (uint64_t i = 0; i < w->n; i++) {
		const struct ovbd_segment s = {
			.off = next_random(&random) % w->nblocks * BLOCK,
			.len = BLOCK,
			.src = (i + 1) * BLOCK,
			.kind = OVBD_RUN_DATA,
		};

		if (ovbd_rw_index_put(ix, &s, NULL, NULL, NULL) < 0)
			exit(1);
	}
	bench_keep(ovbd_rw_index_count(ix));
	ovbd_rw_index_free(ix);
	ovbd_epoch_free(epoch);
}

static void theirs(void *arg)
{
	const struct writes *w = arg;
	struct tree t = {.nodes = malloc(w->n * sizeof(*t.nodes))};
	uint64_t random = 88172645463325252u;

	if (!t.nodes)
		exit(1);
	for (uint64_t i = 0; i < w->n; i++)
		tree_put(&t, next_random(&random) % w->nblocks * BLOCK, BLOCK, (i + 1) * BLOCK);
	bench_keep(t.n);
	free(t.nodes);
}

static void print_memory(const struct writes *w)
{
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	uint64_t random = 88172645463325252u;

	if (ovbd_epoch_create(&epoch, NULL) < 0 || ovbd_rw_index_create(epoch, &ix, NULL) < 0)
		exit(1);
	for (uint64_t i = 0; i < w->n; i++) {
		const struct ovbd_segment s = {
			.off = next_random(&random) % w->nblocks * BLOCK,
			.len = BLOCK,
			.src = (i + 1) * BLOCK,
			.kind = OVBD_RUN_DATA,
		};

		if (ovbd_rw_index_put(ix, &s, NULL, NULL, NULL) < 0)
			exit(1);
	}
	printf("           %.1f bytes a segment, of %llu; of the tree %zu\n",
	       (double)ovbd_rw_index_memory(ix) / (double)ovbd_rw_index_count(ix),
	       (unsigned long long)ovbd_rw_index_count(ix), sizeof(struct rb));
	ovbd_rw_index_free(ix);
	ovbd_epoch_free(epoch);
}

void bench_rw_index(struct bench *b)
{
	/* of so many blocks few are hit twice */
	struct writes w[] = {{1000000, UINT64_C(1) << 28}, {100000, UINT64_C(1) << 28}};

	for (size_t i = 0; i < sizeof(w) / sizeof(w[0]); i++) {
		char name[64];
		const struct bench_row row = {
			.group = "rw-index",
			.name = name,
			.limit = "red-black tree",
			.unit = "M writes/s",
			.work = (double)w[i].n / 1e6,
			.target = i == 0 ? 2 : 0,
			.ours = ours,
			.theirs = theirs,
			.arg = &w[i],
		};

		snprintf(name, sizeof(name), "random 4 KiB, up to %llu segments",
		         (unsigned long long)w[i].n);
		bench_run(b, &row);
		print_memory(&w[i]);
	}
}
