/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory for what lies over it: a call of it fails when told to, and it can be taken away
 * at any write, as when the process that wrote to it is killed. From any thread; unless it is told
 * to, it has no lock, so that a race of those above shows.
 *
 * And the sectors that tests fill it with, each made of a number.
 */
#ifndef OVBD_TESTS_LIB_BOW_DISK_H
#define OVBD_TESTS_LIB_BOW_DISK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/device.h"

#define TEST_BOW_SECTOR 512u

/* 0: zeros. Back: UINT64_MAX for what is made of none. */
void test_bow_fill(uint64_t number, uint8_t ret[TEST_BOW_SECTOR]);
uint64_t test_bow_number(const uint8_t raw[TEST_BOW_SECTOR]);

enum test_bow_call { TEST_BOW_READ = 1, TEST_BOW_WRITE = 2, TEST_BOW_FLUSH = 4 };

struct test_bow_disk {
	struct ovbd_device device;
	struct ovbd_blob blob;
	uint8_t *bytes; /* the caller's */
	uint64_t size;
	bool no_discards, discards_zero; /* otherwise what was there stays */
	/* Of these calls (a set) the nth from now (1: the next) fails with code; of a write, half
	 * has arrived. 0: none. If it is deadly, all that come later do too, and none arrives. */
	unsigned calls;
	atomic_long nth;
	int code;
	bool deadly;
	bool idles; /* calls take their time, each another */
	bool locks;
	pthread_mutex_t lock;
	atomic_bool hit, dead;
	atomic_ulong nwrites, nflushes, nreads;
};

/* disk is zero but for bytes, size and how it discards, and outlives the device. */
struct ovbd_device *test_bow_disk(struct test_bow_disk *disk);

/* Whether it has come to that; it is over then. */
bool test_bow_disk_heal(struct test_bow_disk *disk);

#endif
