/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a device of type bow over a disk that records its writes (power.h): its states in
 * their order, with a random workload in each.
 */
#ifndef OVBD_TESTS_LIB_BOW_STORY_H
#define OVBD_TESTS_LIB_BOW_STORY_H

#include <pthread.h>

#include "bow/bow.h"
#include "tests/lib/bow_disk.h"
#include "tests/lib/bow_history.h"
#include "tests/lib/power.h"

struct story {
	uint64_t seed, random, next, time;
	uint64_t behind; /* sectors, the last range */
	unsigned depth;
	uint32_t block_size;
	uint64_t size, nsectors;
	uint8_t *bytes; /* of the disk */
	struct test_power *power;
	struct ovbd_device *device;
	struct ovbd_bow_params params;
	enum ovbd_bow_state state;
	bool small;   /* many small writes: the log becomes long */
	bool failing; /* a call of the disk is going to */
	bool lost;    /* a call of the disk has failed: a flush of the device may, once */
	bool over;    /* nothing more is done */
	bool killed;  /* now, of the disks that are looked at */
	bool is_free[TEST_BOW_SECTORS]; /* blocks, in TRIM */
	pthread_mutex_t lock;
	struct test_bow_history h;
};

/* A new device, opened. */
void story_begin(struct story *t, uint64_t seed);

/* The disk of another story, after a cut, bytes the caller's; not opened. */
void story_continue(struct story *t, const struct story *before, uint8_t *bytes, uint64_t random);

enum ovbd_bow_state story_open(struct story *t, const char *where);

/* It was, and is what it reads as. taken_back: that is the old. */
void story_opened(struct story *t, const struct story *before, const struct test_bow_cut *c,
                  bool committed, bool taken_back, size_t at, const uint8_t *reads_as);

/* A part of it, in CHECKPOINT; and a disk that several threads can use. */
void story_threads(struct story *t);
struct ovbd_device *story_lock_disk(struct ovbd_device *take_below, pthread_mutex_t *lock);

/* On from the state that it is in. */
void story_do(struct story *t);

/* Opening the disk fails, as a restore was interrupted. */
void story_must_not_open(const struct story *t, uint8_t *bytes, const char *where);

/* But for bytes; the device is closed. */
void story_end(struct story *t);

#endif
