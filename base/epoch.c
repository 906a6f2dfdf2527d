// SPDX-License-Identifier: Apache-2.0
/*
 * Readers count themselves in the half of the counters that belongs to the epoch they entered in,
 * even or odd. Epoch n + 1 begins when its half is empty: nobody is left of epoch n - 1. So when
 * n + 2 has begun, all of n have left.
 *
 * A reader may have read "n", and be counted only when n + 1 or more has begun and its half was
 * found empty. So it looks again once it is counted; if the epoch has changed it enters anew.
 * All is sequentially consistent: either the one who advances sees the count, or the reader sees
 * the new epoch, and then also what was taken away before.
 *
 * Each half is several counters, in cache lines of their own, so that threads do not meet in one.
 */
#include "base/epoch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LINE    64
#define NSHARDS 16u

struct shard {
	_Alignas(LINE) atomic_uint_fast64_t inside[2];
};

struct ovbd_epoch {
	_Alignas(LINE) atomic_uint_fast64_t now;
	struct shard shards[NSHARDS];
};

int ovbd_epoch_create(struct ovbd_epoch **ret, struct ovbd_error *err)
{
	struct ovbd_epoch *e = aligned_alloc(LINE, sizeof(*e));

	if (!e)
		return ovbd_fail(err, -ENOMEM, "out of memory for the epochs of readers");
	atomic_init(&e->now, 2);
	for (unsigned i = 0; i < NSHARDS; i++)
		for (unsigned half = 0; half < 2; half++)
			atomic_init(&e->shards[i].inside[half], 0);
	*ret = e;
	return 0;
}

void ovbd_epoch_free(struct ovbd_epoch *take_e)
{
	free(take_e);
}

static unsigned my_shard(void)
{
	static atomic_uint next;
	static _Thread_local unsigned mine; /* + 1 */

	if (mine == 0)
		mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % NSHARDS + 1;
	return mine - 1;
}

unsigned ovbd_epoch_enter(struct ovbd_epoch *e)
{
	const unsigned shard = my_shard();

	for (;;) {
		const uint64_t now = atomic_load(&e->now);
		const unsigned half = now & 1;

		atomic_fetch_add(&e->shards[shard].inside[half], 1);
		if (atomic_load(&e->now) == now)
			return shard << 1 | half;
		atomic_fetch_sub(&e->shards[shard].inside[half], 1);
	}
}

void ovbd_epoch_leave(struct ovbd_epoch *e, unsigned ticket)
{
	atomic_fetch_sub(&e->shards[ticket >> 1].inside[ticket & 1], 1);
}

uint64_t ovbd_epoch_now(const struct ovbd_epoch *e)
{
	return atomic_load(&e->now);
}

void ovbd_epoch_advance(struct ovbd_epoch *e)
{
	uint64_t now = atomic_load(&e->now);

	for (unsigned i = 0; i < NSHARDS; i++)
		if (atomic_load(&e->shards[i].inside[(now + 1) & 1]) > 0)
			return;
	atomic_compare_exchange_strong(&e->now, &now, now + 1);
}
