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
struct test_power_cut;

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

/* What is written from now on can be taken back: then all bytes of the disks are what they were. */
void test_power_keep_old(struct test_power *p);
void test_power_take_back(struct test_power *p);

/* at(arg) is called when each write is half done, and again when it is done. */
void test_power_watch(struct test_power *p, void (*at)(void *arg), void *arg);

/* Writes and flushes so far. */
size_t test_power_count(const struct test_power *p);

/* Behind the last byte of a disk that was written so far. */
uint64_t test_power_reach(const struct test_power *p, unsigned number);

/* Calls check with disks (which it may change, unless it is said to be clean) as a cut after the
 * first `at` of the record leaves them, for every `at` from first on in steps of every; several
 * times for each:
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
	bool is_clean;    /* check leaves the disks as it finds them: then less is copied */
	size_t first, every;
	void (*check)(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at);
	void *arg;
	/* May be NULL. While check runs: whether all that was written has arrived, as when only the
	 * process was killed. */
	bool *killed;
	/* May be NULL. While check runs: a number of the state that the disks are in; another
	 * state has another one, but the same may have several. */
	uint64_t *state;
	const struct test_power_cut **now; /* May be NULL. While check runs: where that is. */
};

/* Only a process was killed there, and another one goes on with the disks as they are: p, which has
 * recorded nothing, begins with what they have not been told to flush. ret_durable: copies, that
 * the caller has made of them, become without that. */
void test_power_go_on(struct test_power *p, const struct test_power_cut *now,
                      uint8_t *const ret_durable[TEST_POWER_DISKS]);

/* Returns how often check was called. */
uint64_t test_power_cuts(const struct test_power *p, const struct test_power_params *how);

#endif
