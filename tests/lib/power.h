/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks in memory that record every write and flush, in the order of both together, and what
 * they may hold after the power has failed at any moment of it. A disk writes sectors of 512 bytes
 * as a whole, and what it has not been told to flush in any order, or not at all.
 *
 *     p = test_power_create();
 *     d0 = test_power_disk(p, 0, bytes0, size0);   // written to as any device
 *     ...
 *     test_power_cuts(p, before, sizes, seed, each, check, arg);
 */
#ifndef OVBD_TESTS_LIB_POWER_H
#define OVBD_TESTS_LIB_POWER_H

#include "base/device.h"

#define TEST_POWER_DISKS 3u

struct test_power;

struct test_power *test_power_create(void);
void test_power_free(struct test_power *p);

/* bytes are the caller's: what the disk reads as while the power is on. */
struct ovbd_device *test_power_disk(struct test_power *p, unsigned number, uint8_t *bytes,
                                    size_t size);

/* A disk made from now on takes discards: as writes of zeros. */
void test_power_discards(struct test_power *p);

/* All disks, none of which is made yet, are files with holes: a block of 4 KiB to which nobody
 * wrote, or that was zeroed as a whole, is one, and they tell of it; what is written to one is
 * there as a whole block or not, as with ext4 and xfs. That is noted in the last of a disk's bytes,
 * by which it is smaller. */
void test_power_holes(struct test_power *p);

/* Of such a file: behind the last byte that was ever written. */
uint64_t test_power_end(const struct test_power *p, unsigned number, const uint8_t *bytes);

/* The disks are full from the nth write on (1: the next), for so many of them: -ENOSPC, after some
 * of it has arrived. Or the nth flush fails: -EIO. */
void test_power_full(struct test_power *p, size_t nth, size_t many);
void test_power_bad_flush(struct test_power *p, size_t nth);

/* Whether it has come to that. Also ends it. */
bool test_power_failed(struct test_power *p);

/* at(arg) is called when each write is half done, and again when it is done. */
void test_power_watch(struct test_power *p, void (*at)(void *arg), void *arg);

/* Writes and flushes so far. */
size_t test_power_count(const struct test_power *p);

/* Calls check with disks (which it may change) as a cut after the first `at` of the record leaves
 * them, for every `at` from first on in steps of every; several times for each:
 *   all that was written has arrived; nothing of what was not flushed has; each write of that is
 *   lost alone; each is torn alone, in two ways; all subsets, if there are at most 4 of them, or
 *   else nrandom random ones, torn at random.
 * before: the disks as they were when the recording began. */
struct test_power_params {
	const uint8_t *before[TEST_POWER_DISKS];
	size_t sizes[TEST_POWER_DISKS]; /* 0: there is none of that number */
	uint64_t seed;
	unsigned nrandom;
	unsigned nsingle; /* 0: each; or so many random ones are lost or torn alone */
	size_t first, every;
	void (*check)(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at);
	void *arg;
	/* May be NULL. While check runs: whether all that was written has arrived, as when only the
	 * process was killed. */
	bool *killed;
};

/* Returns how often check was called. */
uint64_t test_power_cuts(const struct test_power *p, const struct test_power_params *how);

#endif
