/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merge that is recorded, and cut at every write and flush: whatever the cut leaves on the disks
 * reads as it shall, at once and in every moment of the merge that goes on from there, which ends
 * with the right base; and that one may be cut too. Fails the test if not.
 */
#ifndef OVBD_TESTS_LIB_COW_CUTS_H
#define OVBD_TESTS_LIB_COW_CUTS_H

#include "ota/merge.h"

struct test_cuts {
	const char *name; /* for messages */
	const uint8_t *cow, *base, *want;
	size_t cow_size, base_size; /* of base and want */
	struct ovbd_merge_params how;
	uint64_t seed;
	unsigned depth;            /* cuts within merges after cuts: so many times */
	unsigned nested;           /* of so many, one on average is cut again */
	unsigned nrandom, nsingle; /* as in power.h */
	unsigned nplaces;          /* 0: a cut at each write and flush; or at so many of them */
	/* counted: */
	uint64_t nwrites; /* and flushes, of uncut merges */
	uint64_t nstates; /* of the disks after a cut */
	uint64_t nreads;  /* of all, during merges */
};

void test_cuts(struct test_cuts *t);

#endif
