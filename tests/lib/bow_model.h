/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device of type bow over a disk in memory, and the model of it: all bytes as they are now, and
 * as they were at the checkpoint. Of what was discarded, nobody knows.
 *
 * What is done to the device is done to the model, and compared; a difference fails the test, with
 * the seed and the step. Calls of the disk may have been told to fail (bow_disk.h): what the device
 * fails with then is taken for what it is, and what may have been done of it is looked at.
 */
#ifndef OVBD_TESTS_LIB_BOW_MODEL_H
#define OVBD_TESTS_LIB_BOW_MODEL_H

#include "bow/bow.h"
#include "tests/lib/bow_disk.h"

struct test_bow {
	uint64_t seed, random, next, step;
	struct test_bow_disk disk;
	struct ovbd_device *device;
	struct ovbd_bow_params params;
	uint32_t block_size;
	uint64_t size;
	enum ovbd_bow_state state;
	/* A change of state has failed: it may be done, or it may not. */
	bool checkpoint_began, commit_began, abort_began;
	uint8_t *now, *old;         /* bytes */
	uint8_t *now_any, *old_any; /* a sector each: whether nobody knows */
	uint8_t *is_free;           /* a block each, in TRIM: discarded; 1: maybe */
	uint8_t *copy, *data;
	bool lost; /* a flush of the disk has failed: one of the device's may, once */
	void (*arm)(struct test_bow *t); /* before what is done offline: calls may fail; or NULL */
	unsigned ntold;                  /* how often a policy was followed */
	uint64_t nfailed;
	const char *keep; /* a folder for what an observer is shown, now and then; or NULL */
	uint64_t nobserved;
};

struct test_bow_geometry {
	uint32_t block_size; /* 0: the default */
	uint64_t size;
	enum ovbd_bow_on_full on_full;
	uint64_t min_free;
};

/* Filled with numbers, and opened. */
void test_bow_create(struct test_bow *t, uint64_t seed, const struct test_bow_geometry *g);
void test_bow_free(struct test_bow *t);

uint64_t test_bow_below(struct test_bow *t, uint64_t n);

/* The test fails, and says where. */
void test_bow_die(const struct test_bow *t, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* off and len in bytes, of whole sectors. */
void test_bow_write(struct test_bow *t, uint64_t off, uint64_t len, unsigned flags);
void test_bow_zero(struct test_bow *t, uint64_t off, uint64_t len, unsigned flags);
void test_bow_discard(struct test_bow *t, uint64_t off, uint64_t len);
void test_bow_read(struct test_bow *t, uint64_t off, uint64_t len);
void test_bow_flush(struct test_bow *t);

void test_bow_checkpoint(struct test_bow *t);
void test_bow_commit(struct test_bow *t);
void test_bow_abort(struct test_bow *t);

/* The process ends and another opens the disk; if the disk is dead or there is a doubt about the
 * state, whatever may have become of it. A restore that was begun is finished. */
void test_bow_reopen(struct test_bow *t);
/* The same within a write, of which nobody knows what arrived. */
void test_bow_reopen_after(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *want);

/* The device is closed, its checkpoint is taken back (in parts of so many entries; 0: at once), or
 * its commit is made, offline. */
void test_bow_restore(struct test_bow *t, uint64_t limit);
void test_bow_settle(struct test_bow *t);

/* A copy of a disk in CHECKPOINT, restored by ours and by the observer, is the old. */
void test_bow_observe(struct test_bow *t);

/* Private to the model. */
uint64_t test_bow_need(const struct test_bow *t, uint64_t off, uint64_t len);
void test_bow_look(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *want);
void test_bow_compare(const struct test_bow *t, const uint8_t *got, uint64_t off, uint64_t len,
                      bool old, const char *what);
struct ovbd_bow_status test_bow_status(struct test_bow *t);

#endif
