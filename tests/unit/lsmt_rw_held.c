// SPDX-License-Identifier: Apache-2.0
/*
 * Who writes faster than the dead can be given back waits for that: what the files take has a
 * bound. And he is not held where nothing is given back. Neighbours are given back at once.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/mem_device.h"

#define SIZE      (1u << 20)
#define PIECE     (64u << 10)
#define NWRITES   512u
#define FILE_SIZE (NWRITES * (PIECE + 8192u) + SIZE)
#define PINNED    4096u
/* what is shown; twice as much and 16 times PINNED; what is written now; blocks of the log */
#define MOST (3u * SIZE + 16u * PINNED + PIECE + SIZE)

static struct test_mem data, index_file;
static struct ovbd_device_ops slow;
static _Atomic unsigned ndiscards;
static int (*discard)(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err);

static int slow_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	usleep(2000);
	ndiscards++;
	return discard(d, off, len, err);
}

static struct ovbd_device *open_layer(bool log)
{
	const struct ovbd_rw_params create = {.virtual_size = SIZE};
	const struct ovbd_rw_open_params p = {.pinned_min = PINNED};
	struct ovbd_rw_pair pair = {.pinned_min = PINNED};
	struct ovbd_device *d;
	struct ovbd_error err;

	data = (struct test_mem){.bytes = calloc(1, FILE_SIZE), .size = FILE_SIZE};
	index_file = (struct test_mem){.bytes = calloc(1, SIZE), .size = SIZE};
	assert_true(data.bytes && index_file.bytes);
	pair.data.device = test_mem_device(&data);
	pair.index.device = test_mem_device(&index_file);
	slow = *data.device.ops;
	discard = slow.discard;
	slow.discard = slow_discard;
	data.device.ops = &slow;
	if (log) {
		assert_ok(ovbd_rw_create(pair.data.device, &create, &err), err);
		pair.data.end = data.end;
		assert_ok(ovbd_rw_open(&pair.data, &p, NULL, &d, &err), err);
		ovbd_device_close(pair.index.device);
		return d;
	}
	assert_ok(ovbd_rw_create_pair(pair.data.device, pair.index.device, &create, &err), err);
	pair.data.end = data.end;
	pair.index.end = index_file.end;
	assert_ok(ovbd_rw_open_pair(&pair, NULL, &d, &err), err);
	return d;
}

static uint64_t taken(void)
{
	uint64_t n;

	pthread_mutex_lock(&data.lock);
	n = data.nwritten - data.ndiscarded;
	pthread_mutex_unlock(&data.lock);
	return n;
}

/* What the file took at most. */
static uint64_t write_over(struct ovbd_device *d)
{
	static uint8_t buf[PIECE];
	struct ovbd_error err;
	uint64_t most = 0;

	for (unsigned i = 0; i < NWRITES; i++) {
		memset(buf, (int)(i % 251), sizeof(buf));
		assert_ok(ovbd_device_pwrite(d, buf, PIECE, (uint64_t)i * PIECE % SIZE, 0, &err),
		          err);
		most = ovbd_max(most, taken());
	}
	for (unsigned i = NWRITES - SIZE / PIECE; i < NWRITES; i++) {
		assert_int_equal(ovbd_blob_pread(d->blob, buf, PIECE, (uint64_t)i * PIECE % SIZE,
		                                 NULL),
		                 0);
		for (unsigned k = 0; k < PIECE; k += 512)
			assert_int_equal(buf[k], i % 251);
	}
	return most;
}

static void close_layer(struct ovbd_device *d)
{
	ovbd_device_close(d);
	free(data.bytes);
	free(index_file.bytes);
}

static void test_bound(void **state)
{
	(void)state;
	for (unsigned log = 0; log < 2; log++) {
		struct ovbd_device *d = open_layer(log);
		const uint64_t most = write_over(d);

		printf("%s: %llu KiB at most, of %u\n", log ? "ovbd-rw" : "append",
		       (unsigned long long)most / 1024, SIZE / 1024);
		assert_true(most <= MOST);
		close_layer(d);
	}
}

/* For a snapshot nothing is flushed in the background, so that there is nothing to wait for. */
static void test_quiet(void **state)
{
	struct ovbd_device *d;

	(void)state;
	d = open_layer(true);
	ovbd_rw_quiet(d, true);
	assert_true(write_over(d) > 2 * MOST);
	ovbd_rw_quiet(d, false);
	close_layer(d);
}

/* Written in some order, and over at once. */
static void test_neighbours(void **state)
{
	static uint8_t buf[SIZE];
	const unsigned n = SIZE / 4096;
	struct ovbd_rw_info info;
	struct ovbd_device *d;

	(void)state;
	d = open_layer(true);
	for (unsigned i = 0; i < n; i++) /* 77 is odd: each once */
		assert_int_equal(ovbd_device_pwrite(d, buf, 4096, i * 77 % n * 4096, 0, NULL), 0);
	assert_int_equal(ovbd_device_flush(d, NULL), 0);
	ndiscards = 0;
	ovbd_rw_quiet(d, true); /* or a flush in the background may divide them */
	assert_int_equal(ovbd_device_pwrite(d, buf, SIZE, 0, 0, NULL), 0);
	ovbd_rw_quiet(d, false);
	do { /* as many flushes as it takes, each after a write */
		assert_int_equal(ovbd_device_pwrite(d, buf, 512, 0, OVBD_WRITE_FUA, NULL), 0);
		ovbd_rw_info(d, &info);
		usleep(1000);
	} while (info.dead_size >= SIZE);
	ovbd_device_close(d);
	printf("%u blocks in %u holes\n", n, (unsigned)ndiscards);
	assert_true(ndiscards < n / 4);
	free(data.bytes);
	free(index_file.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
