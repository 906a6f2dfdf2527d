/* SPDX-License-Identifier: Apache-2.0 */
/* Private to remote/ahead*.c: ahead.c reads and fetches, ahead_plan.c makes the pieces. */
#ifndef OVBD_REMOTE_AHEAD_IMPL_H
#define OVBD_REMOTE_AHEAD_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "remote/ahead.h"

enum state { PLANNED, COMING, HELD, GONE };

struct piece {
	uint64_t off, len;
	enum state state;
	bool counted;   /* in the metrics */
	bool brought;   /* it came */
	uint64_t used;  /* bytes of it that were read after that, at most len */
	uint8_t *buf;   /* held, or gone while it has users */
	unsigned users; /* who copy out of buf */
};

struct ahead {
	struct ovbd_blob blob;
	struct ovbd_blob *source; /* owned */
	bool kept;
	atomic_bool any; /* pieces: without them reads take no lock */
	atomic_uint busy;
	pthread_mutex_t lock; /* guards what follows, and all of the pieces */
	pthread_cond_t changed;
	struct piece **pieces;
	size_t n;
	struct ovbd_ahead_stats stats;
};

static inline uint64_t ahead_end(const struct piece *p)
{
	return p->off + p->len;
}

/* b must come from ovbd_ahead_open(). */
struct ahead *ovbd_ahead_of(struct ovbd_blob *b);

/* The first piece that ends behind off. Under the lock. */
size_t ovbd_ahead_find(const struct ahead *a, uint64_t off);

/* A buffer for p, within the limit; NULL: there is no room even without what has been read. Under
 * the lock. */
uint8_t *ovbd_ahead_room(struct ahead *a, const struct piece *p);

/* As ovbd_ahead_plan(). */
int ovbd_ahead_plan_counted(struct ahead *a, const struct ovbd_range *ranges, size_t n,
                            bool counted, struct ovbd_error *err);

#endif
