/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices as writers of backup on write leave them after random writes in their checkpoint: ours,
 * or the kernel's. What of a device was not free at the checkpoint is known from before, so that
 * it need not be believed that undoing the log leads there.
 */
#ifndef OVBD_TESTS_LIB_BOW_RANDOM_H
#define OVBD_TESTS_LIB_BOW_RANDOM_H

#include "tests/lib/bow_make.h"

struct bow_random {
	struct bow_make m;
	size_t size;
	uint8_t *disk;     /* as it was left */
	uint8_t *undone;   /* when all of the log is undone */
	uint8_t *live;     /* as its users read it, for good */
	uint8_t *original; /* at the checkpoint */
	bool *was_free;    /* each block of it */
	uint32_t nmoved;   /* backups that were moved */
};

struct bow_random_params {
	enum bow_make_layout layout;
	uint32_t block;
	size_t nblocks; /* at least 32 */
	unsigned steps; /* writes, where there is room for their backups, and discards */
	bool kernel;    /* moves of block 0 are logged, and what was written is never free again */
	uint64_t seed;
};

struct bow_random *bow_random_create(const struct bow_random_params *p);
void bow_random_free(struct bow_random *r);

#endif
