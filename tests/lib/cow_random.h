/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random COWs, their bases and what they make of them: copies and xors that overlap in all ways,
 * with themselves too, replaces of several blocks, zeros; 1.0, 2.0 (in clusters or not) and 3.0,
 * with an order of merging or without, with scratch areas of all sizes or none. Written from
 * docs/format-android-cow.md alone.
 */
#ifndef OVBD_TESTS_LIB_COW_RANDOM_H
#define OVBD_TESTS_LIB_COW_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST_COW_BLOCK 4096u

struct test_cow {
	char layout; /* 'C' to 'F', 'H' */
	uint32_t nblocks, scratch_size;
	size_t nops;
	bool safe;            /* no operation reads what one before it in merge order overwrites */
	bool overlapped;      /* one overwrites what it reads itself, or one before it reads */
	bool own;             /* what it reads itself */
	uint8_t *base, *want; /* nblocks each */
	uint8_t *cow;
	size_t size;
};

/* The same for the same seed. nblocks: of the base, at most. */
void test_cow_random(uint64_t seed, uint32_t nblocks, struct test_cow *ret);
void test_cow_free(struct test_cow *c);

#endif
