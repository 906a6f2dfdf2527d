// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_random.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum state { LOG, UNCHANGED, FREE, CHANGED, BACKUP, LIVE };

struct writer {
	struct bow_random *r;
	const struct bow_random_params *p;
	enum state *states; /* of each block */
	uint64_t random;
	bool full;
};

static uint64_t pick(struct writer *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 20) % n;
}

/* How many blocks from b on, at most n, are in its state. */
static size_t alike(const struct writer *w, size_t b, size_t n)
{
	size_t k = 1;

	while (k < n && b + k < w->p->nblocks && w->states[b + k] == w->states[b])
		k++;
	return k;
}

/* A free block, and how many are after it, at most n; 0: there is none. */
static size_t find_free(struct writer *w, size_t n, size_t *ret)
{
	const size_t first = pick(w, w->p->nblocks);

	for (size_t i = 0; i < w->p->nblocks; i++) {
		const size_t b = (first + i) % w->p->nblocks;

		if (w->states[b] != FREE)
			continue;
		*ret = b;
		return alike(w, b, n);
	}
	w->full = true;
	return 0;
}

static void set(struct writer *w, size_t b, size_t n, enum state s)
{
	for (size_t i = 0; i < n; i++)
		w->states[b + i] = s;
}

/* A log block may have to go to a free block; true if there is one. */
static bool have_spare(struct writer *w)
{
	size_t b;

	if (find_free(w, 1, &b) == 0)
		return false;
	w->r->m.spare = (uint64_t)b * w->p->block;
	return true;
}

static void take_spare(struct writer *w, uint32_t sequence)
{
	if (w->r->m.sequence != sequence)
		w->states[w->r->m.spare / w->p->block - 1] = BACKUP;
}

/* How many blocks from b on may be written to now. */
static size_t back_up(struct writer *w, size_t b, size_t n)
{
	const uint32_t block = w->p->block, sequence = w->r->m.sequence;
	size_t dest;

	n = find_free(w, n, &dest);
	if (n == 0)
		return 0;
	set(w, dest, n, BACKUP);
	if (!have_spare(w)) {
		set(w, dest, n, FREE);
		return 0;
	}
	w->r->nmoved += w->states[b] == BACKUP;
	bow_make_backup(&w->r->m, (uint64_t)b * block, (uint64_t)dest * block, (uint32_t)n * block);
	take_spare(w, sequence);
	return n;
}

static size_t move_live(struct writer *w)
{
	const uint32_t block = w->p->block, sequence = w->r->m.sequence;
	struct bow_make *m = &w->r->m;
	size_t dest;

	if (find_free(w, 1, &dest) == 0)
		return 0;
	set(w, dest, 1, LIVE);
	if (!have_spare(w)) {
		set(w, dest, 1, FREE);
		return 0;
	}
	if (w->p->kernel) {
		bow_make_move(m, (uint64_t)dest * block);
		take_spare(w, sequence);
		return 1;
	}
	memcpy(m->disk + dest * block, m->disk + m->live, block);
	bow_make_relocate(m, (uint64_t)dest * block);
	return 1;
}

static void fill(struct writer *w, size_t b, size_t n)
{
	bow_make_fill(w->r->disk + b * w->p->block, n * w->p->block, pick(w, 1u << 30));
}

static void write_some(struct writer *w)
{
	size_t b = pick(w, w->p->nblocks), n = 1 + pick(w, 4);

	if (b == 0) {
		bow_make_fill(w->r->disk + w->r->m.live, w->p->block, pick(w, 1u << 30));
		return;
	}
	while (n > 0 && b < w->p->nblocks && !w->full) {
		size_t k = alike(w, b, n);

		if (w->states[b] == UNCHANGED || w->states[b] == BACKUP)
			k = back_up(w, b, k);
		else if (w->states[b] == LIVE)
			k = move_live(w);
		if (k == 0)
			return;
		set(w, b, k, CHANGED);
		fill(w, b, k);
		b += k;
		n -= k;
	}
}

static void discard_some(struct writer *w)
{
	const size_t b = pick(w, w->p->nblocks);
	const size_t n = alike(w, b, 1 + pick(w, 30));

	if (w->states[b] != CHANGED)
		return;
	set(w, b, n, FREE);
	if (pick(w, 2))
		memset(w->r->disk + b * w->p->block, 0, n * w->p->block);
}

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size);

	assert(copy);
	memcpy(copy, bytes, size);
	return copy;
}

static void begin(struct writer *w)
{
	struct bow_random *r = w->r;
	size_t live, backup;

	bow_make_fill(r->disk, r->size, w->p->seed);
	set(w, 0, w->p->nblocks, UNCHANGED);
	w->states[0] = LOG;
	for (size_t i = 0; i < w->p->nblocks / 6; i++) {
		const size_t b = 1 + pick(w, w->p->nblocks - 1);

		for (size_t k = 0; k < 7 && b + k < w->p->nblocks; k++) {
			w->states[b + k] = FREE;
			r->was_free[b + k] = true;
		}
	}
	r->original = copy_of(r->disk, r->size);
	find_free(w, 1, &live);
	w->states[live] = LIVE;
	find_free(w, 1, &backup);
	w->states[backup] = BACKUP;
	bow_make_begin(&r->m, r->disk, r->size, w->p->layout, w->p->block, 0,
	               (uint64_t)live * w->p->block, (uint64_t)backup * w->p->block);
}

struct bow_random *bow_random_create(const struct bow_random_params *p)
{
	struct bow_random *r = calloc(1, sizeof(*r));
	struct writer w = {.r = r, .p = p, .random = p->seed * 0x9e3779b97f4a7c15u + 1};

	assert(r);
	r->size = p->nblocks * p->block;
	r->disk = malloc(r->size);
	r->was_free = calloc(p->nblocks, sizeof(bool));
	w.states = calloc(p->nblocks, sizeof(*w.states));
	assert(r->disk && r->was_free && w.states);
	begin(&w);
	for (unsigned i = 0; i < p->steps; i++) {
		w.full = false;
		if (!p->kernel && pick(&w, 3) == 0)
			discard_some(&w);
		else
			write_some(&w);
	}
	free(w.states);
	r->undone = copy_of(r->disk, r->size);
	bow_make_undo(&r->m, r->undone);
	r->live = copy_of(r->disk, r->size);
	memcpy(r->live, r->live + r->m.live, p->block);
	return r;
}

void bow_random_free(struct bow_random *r)
{
	bow_make_end(&r->m);
	free(r->disk);
	free(r->undone);
	free(r->live);
	free(r->original);
	free(r->was_free);
	free(r);
}
