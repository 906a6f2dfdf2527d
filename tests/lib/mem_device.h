/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device in memory of a fixed size, that can be full and whose flushes can fail. Its calls are
 * also faulty ones of tests/lib/fault.h: writes are then -ENOSPC, flushes -EIO. From any thread.
 */
#ifndef OVBD_TESTS_LIB_MEM_DEVICE_H
#define OVBD_TESTS_LIB_MEM_DEVICE_H

#include <pthread.h>

#include "base/device.h"

struct test_mem {
	struct ovbd_device device;
	struct ovbd_blob blob; /* what it reads as */
	uint8_t *bytes;        /* the caller's */
	size_t size;
	uint64_t end;   /* of what was written */
	uint64_t room;  /* bytes that still can be written, holes give some back; or UINT64_MAX */
	bool bad_flush; /* the next flushes fail */
	bool faulty;    /* as in fault.h */
	uint64_t nwritten, ndiscarded, nflushes;
	pthread_mutex_t lock;
};

/* m is zero but for bytes and size, and outlives the device. */
struct ovbd_device *test_mem_device(struct test_mem *m);

/* nflushes, while other threads are at it. */
uint64_t test_mem_flushes(struct test_mem *m);

#endif
