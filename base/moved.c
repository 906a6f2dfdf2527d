// SPDX-License-Identifier: Apache-2.0
/*
 * The index is one sorted array of CRC-32C << 32 | block number. So blocks of the same content lie
 * beside each other, in the order of their numbers, and whether a certain one is among them, and
 * which is the nearest, is a search by halves.
 *
 * A checksum is only a hint: what it finds is read and compared before it counts. Two different
 * blocks with one checksum are rare, unless somebody has made them; therefore no more than TRIES
 * are looked at for one block. What is missed then is stored once more, and that is all.
 *
 * The submitting thread reads old, the others take checksums; as their results come back in
 * order, the array is in order of the block numbers, and what is left is a stable sort by the upper
 * halves: four passes of eight bits.
 */
#include "base/moved.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/pool.h"

#define TRIES      16u
#define PIECE_SIZE (UINT32_C(256) << 10) /* read at once; or one block, if that is larger */
#define BLOCKS_MAX UINT32_MAX

struct ovbd_moved {
	struct ovbd_blob *old; /* the caller's */
	uint32_t block_size;
	uint64_t *keys; /* ascending */
	uint64_t n, capacity;
};

static uint32_t checksum(const void *data, size_t len)
{
	return ~ovbd_crc32c(UINT32_MAX, data, len);
}

/* ---- making it ---- */

struct piece {
	uint64_t first; /* number of its first block */
	uint32_t nblocks, nkeys;
	uint8_t *data;  /* owned */
	uint64_t *keys; /* owned; of the blocks that are not zero */
};

struct maker {
	struct ovbd_moved *m;
	const struct ovbd_moved_params *p;
	struct piece *pieces;
	unsigned npieces;
	uint32_t piece_blocks;
};

static void maker_clear(struct maker *k)
{
	for (unsigned i = 0; k->pieces && i < k->npieces; i++) {
		free(k->pieces[i].data);
		free(k->pieces[i].keys);
	}
	free(k->pieces);
}

static void take_checksums(void *ctx, unsigned job, unsigned thread)
{
	const struct maker *k = ctx;
	struct piece *e = &k->pieces[job];
	const size_t size = k->m->block_size;

	(void)thread;
	e->nkeys = 0;
	for (uint32_t i = 0; i < e->nblocks; i++)
		if (!ovbd_is_zero(e->data + i * size, size))
			e->keys[e->nkeys++] =
				(uint64_t)checksum(e->data + i * size, size) << 32 | (e->first + i);
}

static int add_keys(void *ctx, unsigned job, struct ovbd_error *err)
{
	const struct maker *k = ctx;
	const struct piece *e = &k->pieces[job];
	struct ovbd_moved *m = k->m;

	if (e->nkeys == 0)
		return 0;
	if (e->nkeys > m->capacity - m->n) {
		const uint64_t capacity = m->n + m->n / 2 + k->piece_blocks;
		uint64_t *keys = realloc(m->keys, (size_t)capacity * sizeof(*keys));

		if (!keys)
			return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks",
			                 capacity);
		m->keys = keys;
		m->capacity = capacity;
	}
	memcpy(m->keys + m->n, e->keys, e->nkeys * sizeof(*e->keys));
	m->n += e->nkeys;
	return 0;
}

/* How many blocks are to be read from block number first on, up to n; *ret_skip: how many are known
 * to be zero before them, and then it is none. */
static int next_blocks(const struct maker *k, uint64_t first, uint64_t n, uint64_t *ret_read,
                       uint64_t *ret_skip, struct ovbd_error *err)
{
	const uint64_t size = k->m->block_size;
	struct ovbd_run run;
	int r = ovbd_blob_run_at(k->m->old, first * size, n * size, &run, err);

	if (r < 0)
		return r;
	*ret_skip = run.kind == OVBD_RUN_DATA ? 0 : run.len / size;
	*ret_read = 0;
	if (*ret_skip == 0)
		*ret_read = ovbd_min((run.len + size - 1) / size, k->piece_blocks);
	return 0;
}

static int read_all(struct maker *k, struct ovbd_pool *pool, struct ovbd_error *err)
{
	const uint64_t size = k->m->block_size, nblocks = k->m->old->size / size;
	uint64_t n = 0, skip = 0;
	int r = 0;

	for (uint64_t first = 0; r == 0 && first < nblocks; first += n + skip) {
		unsigned job;

		if (k->p->progress &&
		    k->p->progress(k->p->progress_arg, first * size, nblocks * size) != 0)
			return ovbd_fail(err, -ECANCELED, "stopped");
		r = next_blocks(k, first, nblocks - first, &n, &skip, err);
		if (r < 0 || n == 0)
			continue;
		r = ovbd_pool_next(pool, &job, err);
		if (r < 0)
			return r;
		k->pieces[job].first = first;
		k->pieces[job].nblocks = (uint32_t)n;
		r = ovbd_blob_pread(k->m->old, k->pieces[job].data, (size_t)(n * size),
		                    first * size, err);
		if (r == 0)
			ovbd_pool_submit(pool, job);
	}
	return r == 0 ? ovbd_pool_drain(pool, err) : r;
}

/* Stable: block numbers keep their order among equal checksums. An even number of passes ends where
 * it began. */
static int sort_keys(struct ovbd_moved *m, struct ovbd_error *err)
{
	AUTO_FREE uint64_t *other = ovbd_array_alloc(m->n, sizeof(*other));
	uint64_t *from = m->keys, *to = other;

	if (!other)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks", m->n);
	for (unsigned shift = 32; shift < 64; shift += 8) {
		uint64_t at[257] = {0}, *swap = from;

		for (uint64_t i = 0; i < m->n; i++)
			at[(from[i] >> shift & 0xff) + 1]++;
		for (unsigned i = 0; i < 256; i++)
			at[i + 1] += at[i];
		for (uint64_t i = 0; i < m->n; i++)
			to[at[from[i] >> shift & 0xff]++] = from[i];
		from = to;
		to = swap;
	}
	return 0;
}

static int make(struct maker *k, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {take_checksums, add_keys};
	AUTO_POOL *pool = NULL;
	int r;

	for (unsigned i = 0; i < k->npieces; i++) {
		struct piece *e = &k->pieces[i];

		e->data = malloc((size_t)k->piece_blocks * k->m->block_size);
		e->keys = malloc(k->piece_blocks * sizeof(*e->keys));
		if (!e->data || !e->keys)
			return ovbd_fail(err, -ENOMEM, "out of memory to read blocks");
	}
	r = ovbd_pool_create(&ops, k, k->p->nthreads, k->npieces, &pool, err);
	if (r == 0)
		r = read_all(k, pool, err);
	return r == 0 ? sort_keys(k->m, err) : r;
}

int ovbd_moved_open(struct ovbd_blob *old, const struct ovbd_moved_params *p,
                    struct ovbd_moved **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = calloc(1, sizeof(*m));
	OVBD_AUTO(maker_clear) struct maker k = {.m = m, .p = p};
	uint64_t *keys;
	int r;

	if (p->block_size == 0 || p->nthreads == 0)
		return ovbd_fail(err, -EINVAL, "blocks of %" PRIu32 " bytes, %u threads",
		                 p->block_size, p->nthreads);
	if (old->size / p->block_size > BLOCKS_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "%" PRIu64 " bytes are more than 2^32 blocks of %" PRIu32,
		                 old->size, p->block_size);
	k.piece_blocks = p->block_size < PIECE_SIZE ? PIECE_SIZE / p->block_size : 1;
	k.npieces = 2 * p->nthreads;
	k.pieces = calloc(k.npieces, sizeof(*k.pieces));
	if (!m || !k.pieces)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->old = old;
	m->block_size = p->block_size;
	r = make(&k, err);
	if (r < 0)
		return r;
	keys = realloc(m->keys, (size_t)(m->n ? m->n : 1) * sizeof(*keys));
	if (keys)
		m->keys = keys;
	*ret = OVBD_MOVE(m);
	return 0;
}

/* ---- asking it ---- */

/* How many keys are below key. */
static uint64_t keys_below(const struct ovbd_moved *m, uint64_t key)
{
	uint64_t from = 0, to = m->n;

	while (from < to) {
		const uint64_t middle = from + (to - from) / 2;

		if (m->keys[middle] < key)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct search {
	const struct ovbd_moved *m;
	const void *data;
	void *work;
	uint64_t place;
	uint32_t sum;
};

/* Whether the i-th key is of a block with the checksum looked for. */
static bool is_candidate(const struct search *s, uint64_t i)
{
	return i < s->m->n && s->m->keys[i] >> 32 == s->sum;
}

static int same(const struct search *s, uint64_t block, uint64_t *ret, struct ovbd_error *err)
{
	const size_t size = s->m->block_size;
	int r = ovbd_blob_pread(s->m->old, s->work, size, block * size, err);

	if (r < 0)
		return r;
	if (memcmp(s->work, s->data, size) != 0)
		return 0;
	*ret = block;
	return 1;
}

/* Block number block, if it is indexed and the same. */
static int try_block(const struct search *s, uint64_t block, uint64_t *ret, struct ovbd_error *err)
{
	const uint64_t key = (uint64_t)s->sum << 32 | block;
	uint64_t i;

	if (block > BLOCKS_MAX)
		return 0;
	i = keys_below(s->m, key);
	return i < s->m->n && s->m->keys[i] == key ? same(s, block, ret, err) : 0;
}

/* The nearest first, of two as near the lower one. */
static int try_around(const struct search *s, uint64_t *ret, struct ovbd_error *err)
{
	const uint64_t place = ovbd_min(s->place, BLOCKS_MAX);
	uint64_t above = keys_below(s->m, (uint64_t)s->sum << 32 | place);
	uint64_t below = above - 1; /* of nothing that is UINT64_MAX */
	int r = 0;

	for (unsigned i = 0; r == 0 && i < TRIES; i++) {
		const bool has_above = is_candidate(s, above), has_below = is_candidate(s, below);
		uint64_t up, down;

		if (!has_above && !has_below)
			break;
		up = has_above ? (uint32_t)s->m->keys[above] - place : UINT64_MAX;
		down = has_below ? place - (uint32_t)s->m->keys[below] : UINT64_MAX;
		r = same(s, (uint32_t)s->m->keys[up < down ? above++ : below--], ret, err);
	}
	return r;
}

int ovbd_moved_find(const struct ovbd_moved *m, const void *data, uint64_t place, uint64_t next,
                    void *work, uint64_t *ret, struct ovbd_error *err)
{
	const struct search s = {
		.m = m,
		.data = data,
		.work = work,
		.place = place,
		.sum = checksum(data, m->block_size),
	};
	int r = try_block(&s, place, ret, err);

	if (r == 0)
		r = try_block(&s, next, ret, err);
	return r == 0 ? try_around(&s, ret, err) : r;
}

uint64_t ovbd_moved_count(const struct ovbd_moved *m)
{
	return m->n;
}

void ovbd_moved_close(struct ovbd_moved *take_m)
{
	if (!take_m)
		return;
	free(take_m->keys);
	free(take_m);
}
