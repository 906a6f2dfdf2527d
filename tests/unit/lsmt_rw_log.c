// SPDX-License-Identifier: Apache-2.0
/* ovbd-rw: full disks, flushes that fail, damage, dead data, and many threads. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "lsmt/rw_log_format.h"
#include "tests/lib/fault.h"
#include "tests/lib/mem_device.h"

#define FILE_SIZE (4u << 20)
#define SIZE      (256u << 10)

static struct test_mem m;
static uint8_t bytes[FILE_SIZE], saved[FILE_SIZE];

static void fresh(void)
{
	const struct ovbd_rw_params p = {.virtual_size = SIZE, .tag = "message"};
	struct ovbd_device *file;
	struct ovbd_error err;

	memset(bytes, 0, sizeof(bytes));
	m = (struct test_mem){.bytes = bytes, .size = FILE_SIZE};
	file = test_mem_device(&m);
	assert_ok(ovbd_rw_create(file, &p, &err), err);
	ovbd_device_close(file);
}

static int open_with(bool thread, struct ovbd_device **ret, struct ovbd_error *err)
{
	const struct ovbd_rw_open_params p = {.no_thread = !thread, .checkpoint_blocks = 6};
	const struct ovbd_rw_file file = {test_mem_device(&m), FILE_SIZE};

	return ovbd_rw_open(&file, &p, NULL, ret, err);
}

static struct ovbd_device *reopen(void)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	assert_ok(open_with(false, &d, &err), err);
	return d;
}

static void expect_byte(struct ovbd_device *d, uint64_t off, uint8_t want)
{
	uint8_t got[512];

	assert_int_equal(ovbd_blob_pread(d->blob, got, sizeof(got), off, NULL), 0);
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], want);
}

static int write_byte(struct ovbd_device *d, uint64_t off, uint8_t value, struct ovbd_error *err)
{
	uint8_t buf[4096];

	memset(buf, value, sizeof(buf));
	return ovbd_device_pwrite(d, buf, sizeof(buf), off, 0, err);
}

/* ---- damage ---- */

static void test_damage(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err = {""};

	(void)state;
	fresh();
	d = reopen();
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(write_byte(d, i * 4096, (uint8_t)(i + 1), &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
	}
	ovbd_device_close(d);
	ovbd_device_close(reopen()); /* now the superblock knows of all blocks */
	memcpy(saved, bytes, sizeof(bytes));

	bytes[RW_RECORDS_BEGIN + 100] ^= 1;
	assert_fails(open_with(false, &d, &err), -EBADMSG, err,
	             "ends before block 1 at 8192, but had 3: it is damaged");
	memcpy(bytes, saved, sizeof(bytes));
	bytes[RW_OFF_CHECKSUM] ^= 1; /* one superblock is enough, and one of the two is older */
	d = reopen();
	expect_byte(d, 8192, 3);
	ovbd_device_close(d);
	memcpy(bytes, saved, sizeof(bytes));
	bytes[0] ^= 1;
	bytes[RW_SUPER_STRIDE] ^= 1;
	assert_fails(open_with(false, &d, &err), -EBADMSG, err, "superblock: no magic");
}

/* ---- trouble ---- */

static void test_full(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;
	unsigned nfull = 0;

	(void)state;
	fresh();
	d = reopen();
	for (uint64_t room = 0; room < 20000; room += 512) {
		const uint8_t value = (uint8_t)(1 + room / 512);
		int r;

		assert_ok(write_byte(d, 0, value, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		m.room = room; /* what comes now may fail at any write */
		r = write_byte(d, 4096, value, &err);
		if (r == 0)
			r = ovbd_device_flush(d, &err);
		assert_true(r == 0 || r == -ENOSPC);
		nfull += r != 0;
		expect_byte(d, 0, value);
		m.room = UINT64_MAX;
		assert_ok(write_byte(d, 8192, value, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		ovbd_device_close(d);
		d = reopen();
		expect_byte(d, 0, value);
		expect_byte(d, 8192, value);
	}
	assert_true(nfull > 10);
	ovbd_device_close(d);
}

/* A file that may not grow, written to until it is full, and then again. */
static void test_end(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;
	int r = 0;

	(void)state;
	fresh();
	d = reopen();
	for (unsigned i = 0; r == 0 && i < 2000; i++)
		r = write_byte(d, i % 64 * 4096, 7, &err);
	assert_fails(r, -ENOSPC, err, "do not fit into a file of at most 4194304");
	expect_byte(d, 0, 7);
	ovbd_device_close(d);
	d = reopen();
	ovbd_device_close(d);
}

static void test_failed_flush(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh();
	d = reopen();
	assert_ok(write_byte(d, 0, 1, &err), err);
	assert_ok(ovbd_device_flush(d, &err), err);
	assert_ok(write_byte(d, 0, 2, &err), err);
	m.bad_flush = true;
	assert_fails(ovbd_device_flush(d, &err), -EIO, err, "flush");
	m.bad_flush = false;
	assert_fails(ovbd_device_flush(d, &err), -EIO, err, "a flush has failed");
	assert_fails(write_byte(d, 0, 1, &err), -EIO, err, "until it is opened again");
	assert_fails(ovbd_rw_resize(d, SIZE, &err), -EIO, err, "has failed");
	ovbd_device_close(d);
	/* what the disk may have lost though it reads well is written again, before it is told of
	 * */
	m.nwritten = 0;
	d = reopen();
	assert_true(m.nwritten >= 2 * 4096);
	expect_byte(d, 0, 2);
	ovbd_device_close(d);
	m.bad_flush = true;
	assert_true(open_with(false, &d, &err) == -EIO);
}

/* The N-th write or flush fails, for every N. What was flushed stays. */
static void test_faults(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;
	bool hit = true;

	(void)state;
	for (long n = 1; hit; n++) {
		uint8_t flushed = 0;

		fresh();
		m.faulty = true;
		test_fault_set(n);
		if (open_with(false, &d, &err) == 0) {
			for (unsigned i = 1; i < 20; i++) {
				const bool wrote = write_byte(d, 0, (uint8_t)i, &err) == 0;

				if (ovbd_device_flush(d, &err) == 0 && wrote)
					flushed = (uint8_t)i;
			}
			ovbd_device_close(d);
		}
		hit = test_fault_hit();
		m.faulty = false;
		d = reopen();
		if (flushed == 19)
			expect_byte(d, 0, 19);
		else if (flushed > 0) { /* or something later */
			uint8_t got[512];

			assert_int_equal(ovbd_blob_pread(d->blob, got, 512, 0, NULL), 0);
			assert_true(got[0] >= flushed);
		}
		ovbd_device_close(d);
	}
}

/* The N-th allocation fails, for every N: the write, or the flush, and nothing else. */
static void test_memory(void **state)
{
	struct ovbd_device *d;
	struct ovbd_error err;
	bool hit = true;

	(void)state;
	for (long n = 1; hit; n++) {
		uint8_t sure = 0, last = 0, got[512];

		fresh();
		d = reopen();
		test_fault_set(n);
		for (uint8_t i = 1; i < 200; i++) {
			const int r = write_byte(d, 0, i, &err);
			const int s = i % 10 == 0 ? ovbd_device_flush(d, &err) : 0;

			assert_true((r == 0 || r == -ENOMEM) && (s == 0 || s == -ENOMEM));
			last = i;
			if (r == 0 && s == 0 && i % 10 == 0)
				sure = i;
		}
		hit = test_fault_hit();
		assert_ok(write_byte(d, 4096, 77, &err), err);
		assert_ok(ovbd_device_flush(d, &err), err);
		ovbd_device_close(d);
		d = reopen();
		assert_int_equal(ovbd_blob_pread(d->blob, got, sizeof(got), 0, NULL), 0);
		assert_true(got[0] >= sure && got[0] <= last);
		expect_byte(d, 4096, 77);
		ovbd_device_close(d);
	}
}

/* ---- space ---- */

static void test_dead(void **state)
{
	struct ovbd_rw_info info;
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh();
	d = reopen();
	for (unsigned i = 0; i < 400; i++) { /* the same 16 blocks; much more than the file holds */
		assert_ok(write_byte(d, i % 16 * 4096, (uint8_t)i, &err), err);
		if (i % 8 == 7)
			assert_ok(ovbd_device_flush(d, &err), err);
	}
	ovbd_rw_info(d, &info);
	assert_int_equal(info.data_size, 16 * 4096);
	assert_true(info.dead_size <= 32 * 4096);
	assert_true(m.ndiscarded >= 360 * 4096);
	ovbd_device_close(d);
	d = reopen(); /* what was not given back then is now */
	assert_ok(ovbd_device_flush(d, &err), err);
	for (unsigned i = 0; i < 16; i++)
		expect_byte(d, i * 4096, (uint8_t)(384 + i));
	ovbd_device_close(d);
}

/* ---- what is kept ---- */

static void test_kept(void **state)
{
	uint8_t buf[4096];
	struct ovbd_device *d;
	struct ovbd_error err;
	uint64_t nflushes;

	(void)state;
	fresh();
	d = reopen();
	nflushes = m.nflushes;
	for (unsigned i = 0; i < 5; i++) { /* fewer than make a checkpoint */
		memset(buf, (int)(1 + i), sizeof(buf));
		assert_ok(ovbd_device_pwrite(d, buf, sizeof(buf), i * 4096, OVBD_WRITE_KEPT, &err),
		          err);
	}
	assert_ok(ovbd_device_write_zeroes(d, 4096, 4096, OVBD_WRITE_KEPT, &err), err);
	assert_int_equal(m.nflushes, nflushes);
	ovbd_device_close(d);
	d = reopen();
	for (unsigned i = 0; i < 5; i++)
		expect_byte(d, i * 4096, (uint8_t)(i == 1 ? 0 : 1 + i));
	ovbd_device_close(d);
}

/* If nobody flushes, it is done after 64 MiB: who opens it after a crash has no more to read. */
static void test_much_written(void **state)
{
	const struct ovbd_rw_params p = {.virtual_size = 72u << 20};
	const size_t size = 80u << 20, piece = 4u << 20;
	struct ovbd_rw_file file = {NULL, size};
	uint8_t *all = calloc(1, size), *buf = calloc(1, piece);
	struct ovbd_device *d;
	struct ovbd_error err;
	uint64_t nflushes;

	(void)state;
	assert_non_null(all);
	assert_non_null(buf);
	m = (struct test_mem){.bytes = all, .size = size};
	file.device = test_mem_device(&m);
	assert_ok(ovbd_rw_create(file.device, &p, &err), err);
	assert_ok(ovbd_rw_open(&file, NULL, NULL, &d, &err), err);
	nflushes = test_mem_flushes(&m);
	for (uint64_t off = 0; off < 60u << 20; off += piece)
		assert_ok(ovbd_device_pwrite(d, buf, piece, off, OVBD_WRITE_KEPT, &err), err);
	assert_int_equal(test_mem_flushes(&m), nflushes);
	assert_ok(ovbd_device_pwrite(d, buf, piece, 60u << 20, 0, &err), err);
	while (test_mem_flushes(&m) == nflushes)
		usleep(1000);
	ovbd_device_close(d);
	free(all);
	free(buf);
}

/* ---- threads ---- */

#define NTHREADS 4
#define REGION   (SIZE / NTHREADS)

struct worker {
	struct ovbd_device *d;
	unsigned number;
	bool good;
};

/* Each has a part of the device for itself. */
static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t random = w->number;
	uint8_t have[REGION / 4096] = {0}, buf[4096], got[4096];

	w->good = true;
	for (unsigned i = 0; i < 60 && w->good; i++) {
		const uint64_t at = test_random(&random) % (REGION / 4096);
		const uint64_t off = w->number * REGION + at * 4096;

		if (test_random(&random) % 8 == 0) {
			have[at] = 0;
			w->good = ovbd_device_discard(w->d, off, 4096, NULL) == 0;
		} else {
			have[at] = (uint8_t)(1 + i);
			memset(buf, have[at], sizeof(buf));
			w->good = ovbd_device_pwrite(w->d, buf, sizeof(buf), off,
			                             i % 2 ? OVBD_WRITE_KEPT : 0, NULL) == 0;
		}
		if (test_random(&random) % 8 == 0)
			w->good &= ovbd_device_flush(w->d, NULL) == 0;
		for (uint64_t k = 0; k < REGION / 4096; k++) {
			memset(buf, have[k], sizeof(buf));
			w->good &= ovbd_blob_pread(w->d->blob, got, sizeof(got),
			                           w->number * REGION + k * 4096, NULL) == 0 &&
			           memcmp(buf, got, sizeof(buf)) == 0;
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct worker w[NTHREADS];
	pthread_t threads[NTHREADS];
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	fresh();
	assert_ok(open_with(true, &d, &err), err);
	for (unsigned i = 0; i < NTHREADS; i++) {
		w[i] = (struct worker){.d = d, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < NTHREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(w[i].good);
	}
	ovbd_device_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage), cmocka_unit_test(test_full),
		cmocka_unit_test(test_end),    cmocka_unit_test(test_failed_flush),
		cmocka_unit_test(test_faults), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_dead),   cmocka_unit_test(test_threads),
		cmocka_unit_test(test_kept),   cmocka_unit_test(test_much_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
