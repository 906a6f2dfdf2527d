// SPDX-License-Identifier: Apache-2.0
/*
 * The power fails while a writable layer is sealed in place, at every write and flush: what is
 * there afterwards is either the layer that can be written to or the one that is only read, and
 * both read as what was flushed. And sealing fails for want of space, at any write: then it goes on
 * as a writable one, and is sealed when there is room.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/lsmt_make.h"
#include "tests/lib/mem_device.h"
#include "tests/lib/power.h"
#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define SECTOR    TEST_RW_SECTOR
#define NSECTORS  96u
#define DISK_SIZE (1u << 20)

struct test {
	bool append; /* the original's format, in two files */
	uint64_t model[NSECTORS];
	uint64_t random, next;
	uint64_t sealed_end; /* of the data file */
};

static uint8_t bytes[2][DISK_SIZE], before[2][DISK_SIZE];
static unsigned nsealed, nwritable;

/* Where the data file ends, if it is not sealed: what is written to its disk. */
static uint64_t end_of(const uint8_t *data)
{
	uint64_t end = DISK_SIZE;

	while (end > 3 * LSMT_HEADER_SIZE && ovbd_is_zero(data + end - SECTOR, SECTOR))
		end -= SECTOR;
	return end;
}

static int open_rw(const struct test *t, struct ovbd_device *data, struct ovbd_device *index,
                   uint64_t end, struct ovbd_device **ret, struct ovbd_error *err)
{
	const struct ovbd_rw_open_params p = {.no_thread = true, .checkpoint_blocks = 3};
	const struct ovbd_rw_pair pair = {
		.data = {data, end},
		.index = {index, DISK_SIZE},
		.no_thread = true,
	};

	return t->append ? ovbd_rw_open_pair(&pair, NULL, ret, err)
	                 : ovbd_rw_open(&pair.data, &p, NULL, ret, err);
}

static void check(const struct test *t, struct ovbd_blob *b)
{
	static uint8_t got[NSECTORS * SECTOR];
	uint8_t want[SECTOR];

	assert_int_equal(b->size, sizeof(got));
	assert_int_equal(ovbd_blob_pread(b, got, sizeof(got), 0, NULL), 0);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		test_rw_fill(t->model[i], want);
		assert_memory_equal(got + i * SECTOR, want, SECTOR);
	}
}

static void check_layer(const struct test *t, const uint8_t *data)
{
	struct ovbd_layer *l;
	struct ovbd_blob *b;
	struct ovbd_error err;

	assert_int_equal(ovbd_blob_open_mem(data, t->sealed_end, &b, NULL), 0);
	assert_ok(ovbd_layer_open(b, b->size, &l, &err), err);
	assert_ok(ovbd_layer_check(l, NULL, NULL, &err), err);
	assert_ok(ovbd_stack_open(&l, 1, &b, &err), err);
	check(t, b);
	ovbd_blob_close(b);
}

static void some_writes(struct test *t, struct ovbd_device *d, unsigned nwrites)
{
	uint8_t buf[24 * SECTOR];
	struct ovbd_error err;

	for (unsigned k = 0; k < nwrites; k++) {
		const uint64_t at = test_random(&t->random) % NSECTORS;
		const uint64_t n = ovbd_min(1 + test_random(&t->random) % 24, NSECTORS - at);
		const bool zero = test_random(&t->random) % 4 == 0;

		for (uint64_t i = 0; i < n; i++) {
			t->model[at + i] = zero ? 0 : t->next++;
			test_rw_fill(t->model[at + i], buf + i * SECTOR);
		}
		if (zero)
			assert_ok(ovbd_device_discard(d, at * SECTOR, n * SECTOR, &err), err);
		else
			assert_ok(ovbd_device_pwrite(d, buf, n * SECTOR, at * SECTOR, 0, &err),
			          err);
		if (k % 5 == 0)
			assert_ok(ovbd_device_flush(d, &err), err);
	}
	assert_ok(ovbd_device_flush(d, &err), err);
}

/* ---- power cuts ---- */

static void check_cut(void *arg, uint8_t *const disks[2], size_t at)
{
	const struct test *t = arg;
	struct test_mem m[2] = {{.bytes = disks[0], .size = DISK_SIZE, .room = UINT64_MAX},
	                        {.bytes = disks[1], .size = DISK_SIZE, .room = UINT64_MAX}};
	struct ovbd_rw_file f = {test_mem_device(&m[0]), t->sealed_end};
	struct ovbd_device *d;
	struct ovbd_error err;
	const int sealed = ovbd_rw_is_sealed(f.device->blob, f.end, &err);

	(void)at;
	assert_true(sealed >= 0);
	if (sealed) {
		ovbd_device_close(f.device);
		check_layer(t, disks[0]);
		nsealed++;
		return;
	}
	assert_ok(open_rw(t, f.device, t->append ? test_mem_device(&m[1]) : NULL,
	                  t->append ? end_of(disks[0]) : DISK_SIZE, &d, &err),
	          err);
	check(t, d->blob);
	ovbd_device_close(d);
	nwritable++;
}

static void create(struct test *t, struct ovbd_device *data, struct ovbd_device *index)
{
	const struct ovbd_rw_params p = {
		.virtual_size = NSECTORS * SECTOR,
		.uuid = "12345678-0000-4000-8000-00000000abcd",
	};
	struct ovbd_error err;

	if (t->append)
		assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
	else
		assert_ok(ovbd_rw_create(data, &p, &err), err);
	ovbd_device_close(data);
	ovbd_device_close(index);
}

static void cuts(uint64_t seed)
{
	struct test t = {.append = seed % 2 == 0, .random = seed, .next = 1};
	struct test_power_params how = {
		.before = {before[0], before[1]},
		.sizes = {DISK_SIZE, DISK_SIZE},
		.seed = seed,
		.nrandom = 4,
		.every = 1,
		.check = check_cut,
		.arg = &t,
	};
	struct test_power *power = test_power_create();
	struct ovbd_device *d;
	struct ovbd_error err;

	memset(bytes, 0, sizeof(bytes));
	create(&t, test_power_disk(power, 0, bytes[0], DISK_SIZE),
	       test_power_disk(power, 1, bytes[1], DISK_SIZE));
	test_power_free(power);
	power = test_power_create();
	test_power_discards(power);
	memcpy(before, bytes, sizeof(bytes));
	assert_ok(open_rw(&t, test_power_disk(power, 0, bytes[0], DISK_SIZE),
	                  t.append ? test_power_disk(power, 1, bytes[1], DISK_SIZE) : NULL,
	                  end_of(bytes[0]), &d, &err),
	          err);
	some_writes(&t, d, 30);
	how.first = test_power_count(power);
	assert_ok(ovbd_rw_seal(d, &err), err);
	ovbd_device_close(d);
	/* the trailer is there: its end is that of the file */
	t.sealed_end = ovbd_align_up(end_of(bytes[0]), SECTOR) - SECTOR + LSMT_HEADER_SIZE;
	check_layer(&t, bytes[0]);
	assert_true(test_power_cuts(power, &how) > 0);
	test_power_free(power);
}

static void test_cuts(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++)
		cuts(seed);
	assert_true(nsealed > 0 && nwritable > 0);
	printf("%u sealed and %u writable layers after cuts\n", nsealed, nwritable);
}

/* ---- a full disk ---- */

static void full(bool append)
{
	struct test t = {.append = append, .random = 7, .next = 1};
	struct test_mem m[2] = {{.bytes = bytes[0], .size = DISK_SIZE, .room = UINT64_MAX},
	                        {.bytes = bytes[1], .size = DISK_SIZE, .room = UINT64_MAX}};
	unsigned nfull = 0;
	struct ovbd_device *d;
	struct ovbd_error err;
	int r = -ENOSPC;

	memset(bytes, 0, sizeof(bytes));
	create(&t, test_mem_device(&m[0]), test_mem_device(&m[1]));
	assert_ok(open_rw(&t, test_mem_device(&m[0]), append ? test_mem_device(&m[1]) : NULL,
	                  end_of(bytes[0]), &d, &err),
	          err);
	for (uint64_t room = 0; r < 0; room += SECTOR) {
		some_writes(&t, d, 2);
		m[0].room = room;
		r = ovbd_rw_seal(d, &err);
		assert_true(r == 0 || r == -ENOSPC);
		nfull += r < 0;
		m[0].room = UINT64_MAX;
		check(&t, d->blob);
	}
	assert_true(nfull > 2);
	ovbd_device_close(d);
	t.sealed_end = ovbd_align_up(end_of(bytes[0]), SECTOR) - SECTOR + LSMT_HEADER_SIZE;
	check_layer(&t, bytes[0]);
}

static void test_full(void **state)
{
	(void)state;
	full(true);
	full(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
