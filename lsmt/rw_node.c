// SPDX-License-Identifier: Apache-2.0
/*
 * Nodes are cut from slabs and used again, but not before the readers that may still look at one
 * have gone: those retired in one epoch wait in a list of their own. Slabs are freed with the pool.
 */
#include "lsmt/rw_node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SLAB_NODES 64u /* the first of them links the slabs */

/* Of so many an attempt is made to end the epoch: they stay in a core's cache. */
#define RETIRED_MAX 48u

void ovbd_rw_pool_init(struct rw_pool *p, struct ovbd_epoch *epoch)
{
	*p = (struct rw_pool){.epoch = epoch};
}

void ovbd_rw_pool_free(struct rw_pool *p)
{
	while (p->slabs) {
		struct rw_node *slab = p->slabs;

		p->slabs = slab->next;
		free(slab);
	}
}

static int add_slab(struct rw_pool *p, struct ovbd_error *err)
{
	struct rw_node *slab = aligned_alloc(64, (size_t)SLAB_NODES * RW_NODE_SIZE);

	if (!slab)
		return ovbd_fail(err, -ENOMEM, "out of memory for the index of a writable layer");
	slab->next = p->slabs;
	p->slabs = slab;
	for (unsigned i = 1; i < SLAB_NODES; i++)
		ovbd_rw_pool_give(p, &slab[i]);
	p->nnodes += SLAB_NODES;
	return 0;
}

/* Those whose readers have gone can be used again. */
static void recycle(struct rw_pool *p)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!p->retired[i].first || !ovbd_epoch_is_over(p->epoch, p->retired[i].since))
			continue;
		while (p->retired[i].first) {
			struct rw_node *node = p->retired[i].first;

			p->retired[i].first = node->next;
			ovbd_rw_pool_give(p, node);
		}
		p->nretired -= p->retired[i].n;
		p->retired[i].n = 0;
	}
}

int ovbd_rw_pool_reserve(struct rw_pool *p, size_t n, struct ovbd_error *err)
{
	if (p->nunused < n || p->nretired > RETIRED_MAX) {
		ovbd_epoch_advance(p->epoch);
		recycle(p);
	}
	while (p->nunused < n) {
		const int r = add_slab(p, err);

		if (r < 0)
			return r;
	}
	return 0;
}

struct rw_node *ovbd_rw_pool_take(struct rw_pool *p, unsigned level)
{
	struct rw_node *node = p->unused;

	assert(node);
	p->unused = node->next;
	p->nunused--;
	node->n = 0;
	node->level = (uint16_t)level;
	return node;
}

void ovbd_rw_pool_give(struct rw_pool *p, struct rw_node *node)
{
	node->next = p->unused;
	p->unused = node;
	p->nunused++;
}

void ovbd_rw_pool_retire(struct rw_pool *p, struct rw_node *node)
{
	const uint64_t now = ovbd_epoch_now(p->epoch);
	const unsigned i = (unsigned)(now % 3);

	/* the same place three epochs ago: all those readers have gone */
	if (p->retired[i].since != now)
		recycle(p);
	p->retired[i].since = now;
	node->next = p->retired[i].first;
	p->retired[i].first = node;
	p->retired[i].n++;
	p->nretired++;
}
