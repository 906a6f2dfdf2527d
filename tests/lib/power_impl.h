/* SPDX-License-Identifier: Apache-2.0 */
/* Private to power.c and power_cuts.c. */
#ifndef OVBD_TESTS_LIB_POWER_IMPL_H
#define OVBD_TESTS_LIB_POWER_IMPL_H

#include "tests/lib/power.h"

#define TEST_POWER_SECTOR 512u
#define TEST_POWER_BLOCK  4096u

struct test_power_record {
	unsigned disk;
	bool flush, hole; /* hole: zeros that make holes of whole blocks */
	uint64_t off;
	size_t len;
	uint8_t *data, *old; /* old: what was there, and what is behind the disk's bytes */
};

struct test_power {
	struct test_power_record *records;
	size_t n, capacity;
	bool discards, holes, failed, keeps_old;
	size_t writes_left, many; /* until the disks are full, and for how long */
	size_t flushes_left;      /* until one fails; 0: none does */
	size_t sizes[TEST_POWER_DISKS];
	uint8_t *bytes[TEST_POWER_DISKS];
	uint64_t reach[TEST_POWER_DISKS];
	void (*at)(void *arg);
	void *arg;
};

/* The next record. */
struct test_power_record *test_power_add(struct test_power *p, unsigned disk);

/* Behind a disk's bytes, where there are holes: a byte for each block, and where it ends. */
size_t test_power_behind(size_t size);

/* Which blocks of a disk are none. NULL: such a disk does not tell. */
uint8_t *test_power_is_data(const struct test_power *p, unsigned disk, uint8_t *bytes);

/* Bytes of r arrive; all of one block or less. */
void test_power_arrive(const struct test_power *p, uint8_t *bytes,
                       const struct test_power_record *r, uint64_t from, uint64_t to);

/* The same of any range. */
void test_power_arrive_all(const struct test_power *p, uint8_t *bytes,
                           const struct test_power_record *r, uint64_t from, uint64_t to);

#endif
