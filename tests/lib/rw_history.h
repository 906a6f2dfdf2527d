/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done to a small writable layer whose files are on disks that record (tests/lib/power.h),
 * and what may be found in it after the power has failed, or the process was killed, at any moment
 * of that. Sectors have numbers, of which their bytes are made; 0 is zeros.
 */
#ifndef OVBD_TESTS_LIB_RW_HISTORY_H
#define OVBD_TESTS_LIB_RW_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST_RW_NSECTORS 96u
#define TEST_RW_OPS_MAX  40u
#define TEST_RW_DEPTHS   3u /* the power fails so often, one time after the other */
#define TEST_RW_GARBAGE  UINT16_MAX
#define TEST_RW_FILES    2u /* that say the same of the layer: the data file, the index file */

enum test_rw_field { TEST_RW_SIZE, TEST_RW_PARENT, TEST_RW_NFIELDS };

struct test_rw_found {
	uint16_t numbers[TEST_RW_NSECTORS];
	uint16_t fields[TEST_RW_FILES][TEST_RW_NFIELDS]; /* none is 0 */
};

struct test_rw_op {
	uint64_t off, n, first;        /* of a write: sectors, and the first's number; 0: zeros */
	uint16_t set[TEST_RW_NFIELDS]; /* what became other; 0: did not */
	bool flush;                    /* durable at its end, with all before it */
	bool kept;                     /* the same, if only the process ends */
	size_t begin, end;             /* of the record */
};

/* What has been done since the disks were as they are beneath it. */
struct test_rw_history {
	const struct test_rw_history *parent; /* before it was opened; at parent_at that ended */
	size_t parent_at, opened;             /* opened: so far goes the record of that */
	bool parent_killed;
	bool inherits; /* what was not durable for the parent is not before it is flushed here */
	unsigned depth;
	struct test_rw_found base;
	struct test_rw_op ops[TEST_RW_OPS_MAX];
	size_t nops;
};

/* Of a history at a place of the record; or the process was killed there. */
struct test_rw_cut {
	const struct test_rw_history *h;
	size_t at;
	bool killed;
};

/* A history of that depth begins, or has more operations than when it was asked last. */
void test_rw_history_changed(unsigned depth);

/* Whether that may be found after the cut; if not, why. */
bool test_rw_history_allows(const struct test_rw_cut *c, const struct test_rw_found *found,
                            char ret_why[100]);

#endif
