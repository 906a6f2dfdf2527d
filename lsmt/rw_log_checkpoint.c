// SPDX-License-Identifier: Apache-2.0
/*
 * A checkpoint is the index in blocks of its own, and the superblock that tells of it. Writers go
 * on meanwhile, so it has each range as it was at some moment since it began; but the log is read
 * from where it was at the beginning, and what changed later is in there, and comes out right.
 * What the checkpoint shows must be durable before the superblock says so: hence a flush in
 * between.
 *
 * Then the log's blocks up to there and the last checkpoint's are dead, at once, as nothing leads
 * to them any more.
 */
#include "lsmt/rw_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

bool ovbd_rw_list_add(struct rw_dead_list *l, uint64_t src, uint64_t len)
{
	if (l->n == l->capacity) {
		const size_t capacity = 2 * l->capacity + 64;
		struct rw_dead *p = realloc(l->p, capacity * sizeof(*p));

		if (!p)
			return false;
		l->p = p;
		l->capacity = capacity;
	}
	l->p[l->n++] = (struct rw_dead){src, len};
	return true;
}

bool ovbd_rw_log_wants_checkpoint(struct rw_core *c)
{
	const struct rw_log *l = ovbd_rw_log_of(c);

	return !c->broken && l->blocks.n >= l->blocks_min && l->blocks.n >= 2 * l->checkpoint.n;
}

/* A checkpoint that is being written. */
struct making {
	struct rw_log *log;
	struct rw_dead_list places;
	uint64_t place; /* of the block that is being filled */
	uint8_t raw[RW_BLOCK_SIZE];
	uint32_t n; /* records in it */
	bool told;  /* a superblock may lead to it, also if to write that has failed */
};

static int take_place(struct making *m, struct ovbd_error *err)
{
	struct rw_log *l = m->log;

	pthread_mutex_lock(&l->core.lock);
	m->place = ovbd_rw_log_place(l, RW_BLOCK_SIZE);
	pthread_mutex_unlock(&l->core.lock);
	if (ovbd_rw_list_add(&m->places, m->place, RW_BLOCK_SIZE))
		return 0;
	return ovbd_fail(err, -ENOMEM, "out of memory for a checkpoint");
}

static int write_block(struct making *m, bool last, struct ovbd_error *err)
{
	struct rw_log *l = m->log;
	const uint64_t place = m->place;
	struct rw_block b = {
		.sequence = m->places.n,
		.session = l->super.generation + 1, /* that of the superblock that will tell */
		.nrecords = m->n,
		.kind = RW_BLOCK_CHECKPOINT,
	};
	const int r = last ? 0 : take_place(m, err);

	if (r < 0)
		return r;
	b.next = last ? 0 : m->place;
	pthread_mutex_lock(&l->core.lock);
	b.tail = l->tail;
	pthread_mutex_unlock(&l->core.lock);
	ovbd_rw_block_encode(&b, m->raw);
	m->n = 0;
	return ovbd_rw_write_file(l->core.data, m->raw, sizeof(m->raw), place, err);
}

/* All segments, looked up one after the other beside whoever writes. */
static int write_all(struct making *m, struct ovbd_error *err)
{
	struct rw_core *c = &m->log->core;
	struct ovbd_segment s;
	int r = take_place(m, err);

	for (uint64_t off = 0; r == 0 && off < OVBD_INDEX_END_MAX; off += s.len) {
		const unsigned ticket = ovbd_epoch_enter(c->epoch);

		s = ovbd_rw_index_at(c->index, off, OVBD_INDEX_END_MAX - off);
		ovbd_epoch_leave(c->epoch, ticket);
		if (s.kind == OVBD_RUN_HOLE)
			continue;
		if (m->n == RW_BLOCK_RECORDS)
			r = write_block(m, false, err);
		if (r == 0)
			ovbd_rw_record_encode(&(struct rw_record){s.off, s.len, s.src, 0, s.kind},
			                      m->raw, m->n++);
	}
	return r < 0 ? r : write_block(m, true, err);
}

/* With the lock: what the new checkpoint has made useless. */
static void bury(struct rw_log *l, struct rw_dead_list *dead, size_t n)
{
	struct rw_core *c = &l->core;

	for (size_t i = 0; i < n; i++)
		if (ovbd_rw_list_add(&c->reclaim.out, dead->p[i].src, dead->p[i].len))
			c->reclaim.waiting += dead->p[i].len;
	dead->n -= n;
	if (dead->n > 0)
		memmove(dead->p, dead->p + n, dead->n * sizeof(*dead->p));
	pthread_cond_signal(&c->reclaim.wake);
}

static int make(struct making *m, struct ovbd_error *err)
{
	struct rw_log *l = m->log;
	struct rw_core *c = &l->core;
	struct rw_super s = l->super;
	size_t nblocks;
	int r;

	/* who is writing has blocks in the list that next_* does not know of, or the other way
	 * round: afterwards both are the same */
	pthread_mutex_lock(&c->lock);
	while (l->writing)
		pthread_cond_wait(&c->synced, &c->lock);
	s.log_place = l->next_place;
	s.log_sequence = l->next_sequence;
	nblocks = l->blocks.n;
	c->done++; /* so that the flush below writes what comes after all that we look up */
	pthread_mutex_unlock(&c->lock);
	r = write_all(m, err);
	if (r == 0) {
		pthread_mutex_lock(&c->lock);
		c->done++;
		pthread_mutex_unlock(&c->lock);
		r = ovbd_rw_sync(c, err);
	}
	if (r < 0)
		return r;
	s.checkpoint_place = m->places.p[0].src;
	s.checkpoint_blocks = m->places.n;
	m->told = true;
	r = ovbd_rw_log_write_super(l, &s, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	bury(l, &l->blocks, nblocks);
	bury(l, &l->checkpoint, l->checkpoint.n);
	free(l->checkpoint.p);
	l->checkpoint = m->places;
	m->places = (struct rw_dead_list){.n = 0};
	pthread_mutex_unlock(&c->lock);
	return 0;
}

int ovbd_rw_log_checkpoint(struct rw_core *c, struct ovbd_error *err)
{
	struct rw_log *l = ovbd_rw_log_of(c);
	struct making m = {.log = l};
	int r;

	pthread_mutex_lock(&l->supers);
	r = make(&m, err);
	if (r < 0) {
		pthread_mutex_lock(&c->lock);
		if (!m.told && !c->broken)
			bury(l, &m.places, m.places.n);
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&l->supers);
	free(m.places.p);
	return r;
}
