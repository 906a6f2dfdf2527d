// SPDX-License-Identifier: Apache-2.0
/*
 * The finder of moved blocks against a search through all of them, over images with many equal
 * blocks; the answers for any number of threads. The seed of a round is printed when it fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/moved.h"

#define NROUNDS     400u
#define NBLOCKS_MAX 3000u
#define SIZE_MAX_   256u

static uint64_t seed;
static uint8_t image[NBLOCKS_MAX * SIZE_MAX_];

static void die(const char *what)
{
	printf("seed %llu: %s\n", (unsigned long long)seed, what);
	exit(1);
}

static uint64_t random_of(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Block number kind of those there are; 0 is zeros. Two differ in one bit, or in many. */
static void fill(uint8_t *block, uint32_t size, uint64_t kind)
{
	uint64_t state = kind / 8;

	memset(block, 0, size);
	if (kind == 0)
		return;
	for (uint32_t i = 0; kind % 3 && i < size; i++)
		block[i] = (uint8_t)random_of(&state);
	block[kind % size] ^= (uint8_t)(1 + kind % 255);
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

/* What the contract promises. */
static uint64_t model(const uint8_t *data, uint32_t size, uint64_t n, uint64_t place, uint64_t next)
{
	uint64_t best = OVBD_MOVED_NONE;

	if (ovbd_is_zero(data, size))
		return best;
	if (place < n && memcmp(image + place * size, data, size) == 0)
		return place;
	if (next < n && memcmp(image + next * size, data, size) == 0)
		return next;
	for (uint64_t i = 0; i < n; i++)
		if ((best == OVBD_MOVED_NONE || distance(i, place) < distance(best, place)) &&
		    memcmp(image + i * size, data, size) == 0)
			best = i;
	return best;
}

static struct ovbd_moved *open_moved(struct ovbd_blob *b, uint32_t size, unsigned nthreads)
{
	const struct ovbd_moved_params p = {.block_size = size, .nthreads = nthreads};
	struct ovbd_moved *m = NULL;
	struct ovbd_error err;

	if (ovbd_moved_open(b, &p, &m, &err) < 0)
		die(err.msg);
	return m;
}

static void round_of(void)
{
	uint64_t state = seed;
	const uint32_t size = 1 + (uint32_t)(random_of(&state) % SIZE_MAX_);
	const uint64_t n = random_of(&state) % (seed % 8 ? 100 : NBLOCKS_MAX);
	const uint64_t nkinds = 1 + random_of(&state) % (seed % 2 ? 12 : 4000);
	OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = NULL;
	AUTO_BLOB *b = NULL;
	uint8_t data[SIZE_MAX_], work[SIZE_MAX_];
	struct ovbd_error err;

	for (uint64_t i = 0; i < n; i++)
		fill(image + i * size, size, random_of(&state) % nkinds);
	/* and a part of a block at the end */
	if (ovbd_blob_open_mem(image, n * size + random_of(&state) % size, &b, &err) < 0)
		die(err.msg);
	m = open_moved(b, size, 1 + (unsigned)(seed % 5));
	for (unsigned i = 0; i < 200; i++) {
		const uint64_t place = random_of(&state) % (n + 3);
		const uint64_t next =
			random_of(&state) % 4 ? random_of(&state) % (n + 3) : OVBD_MOVED_NONE;
		uint64_t found = OVBD_MOVED_NONE;
		int r;

		fill(data, size, random_of(&state) % (nkinds + 2));
		r = ovbd_moved_find(m, data, place, next, work, &found, &err);
		if (r < 0)
			die(err.msg);
		if (found != model(data, size, n, place, next) || (r == 1) != (found + 1 != 0))
			die("another block, or none");
	}
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		seed = strtoull(argv[1], NULL, 0);
		round_of();
		return 0;
	}
	for (seed = 1; seed <= NROUNDS; seed++)
		round_of();
	return 0;
}
