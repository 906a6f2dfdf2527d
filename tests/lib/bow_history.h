/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done to a device of type bow over a disk whose writes are recorded (power.h), and what
 * it may hold after the power has failed at a moment of the record. Sectors are numbers
 * (bow_disk.h).
 */
#ifndef OVBD_TESTS_LIB_BOW_HISTORY_H
#define OVBD_TESTS_LIB_BOW_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST_BOW_SECTORS 1024u /* of the largest device */
#define TEST_BOW_OPS     160u
#define TEST_BOW_ANY     (UINT64_MAX - 1) /* a number that nobody knows */

struct test_bow_op {
	uint64_t off, n; /* sectors */
	uint64_t first;  /* of a write: the number of the first; 0: zeros */
	bool maybe;      /* each sector may be what it was instead, for good */
	bool any;        /* afterwards nobody knows */
	bool flush, fua; /* durable at its end, with all before it; or it alone */
	bool commits;
	size_t begin, end;     /* of the record */
	uint64_t began, ended; /* the same in time; of one thread, 1 2 3 4 ... */
};

/* From, in the record, a call that changed the state might have, and by, it had, or it had failed.
 * SIZE_MAX: never. */
struct test_bow_change {
	size_t from, by, failed;
};

struct test_bow_history {
	const struct test_bow_history
		*parent; /* before it was opened; at parent_at the power failed */
	size_t parent_at, opened;
	bool parent_killed;
	uint64_t base[TEST_BOW_SECTORS]; /* what it read as when it was opened, or ANY */
	struct test_bow_op ops[TEST_BOW_OPS];
	size_t nops;
	struct test_bow_change log, commit, abort;
	uint8_t *old,
		*old_any; /* at the checkpoint: bytes, and for each sector whether nobody knows */
};

/* A history is cut at a record, or the process is killed there. */
struct test_bow_cut {
	const struct test_bow_history *h;
	size_t at;
	bool killed;
};

/* What may be found, a set: no log is there, as it was before; the log is; the commit is under way,
 * or made; a restore is under way, or made. */
enum test_bow_found {
	TEST_BOW_BEFORE = 1,
	TEST_BOW_LOG = 2,
	TEST_BOW_SETTLING = 4,
	TEST_BOW_NEW = 8,
	TEST_BOW_PARTIAL = 16,
	TEST_BOW_OLD = 32,
};

void test_bow_history_begin(struct test_bow_history *h);

/* The cut that counts: where the device was not open again yet, the one before. */
struct test_bow_cut test_bow_cut_of(struct test_bow_cut c);

/* For a cut that counts. */
unsigned test_bow_may_find(const struct test_bow_cut *c);

/* Whether sector i may be of the number; ANY: whether it may be of any. committed: what was done
 * before the commit is durable. For a cut that counts. */
bool test_bow_may_be(const struct test_bow_cut *c, bool committed, uint64_t i, uint64_t number);

#endif
