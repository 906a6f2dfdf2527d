// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/moved.h"
#include "tests/lib/fault.h"

#define SIZE    512u
#define NBLOCKS 64u

/* Old: block i is filled by what kinds[i] says; '.' is zero. */
static uint8_t image[NBLOCKS * SIZE + 100];

static void fill(uint8_t *block, char kind)
{
	for (size_t i = 0; i < SIZE; i++)
		block[i] = kind == '.' ? 0 : (uint8_t)((size_t)kind + i * 7 / 3);
}

static struct ovbd_moved *open_image(const char *kinds, struct ovbd_blob **ret_blob)
{
	const struct ovbd_moved_params p = {.block_size = SIZE, .nthreads = 2};
	struct ovbd_moved *m = NULL;
	struct ovbd_error err;
	size_t n = strlen(kinds);

	for (size_t i = 0; i < n; i++)
		fill(image + i * SIZE, kinds[i]);
	assert_ok(ovbd_blob_open_mem(image, n * SIZE, ret_blob, &err), err);
	assert_ok(ovbd_moved_open(*ret_blob, &p, &m, &err), err);
	return m;
}

static void test_preferences(void **state)
{
	static const char kinds[] = "ab.aXcaa..aYa";
	static const struct {
		char kind;
		uint64_t place, next;
		int r;
		uint64_t block;
	} table[] = {
		{'b', 9, OVBD_MOVED_NONE, 1, 1},
		{'a', 3, 7, 1, 3},                 /* the same place before all */
		{'a', 4, 12, 1, 12},               /* what goes on with the run */
		{'a', 4, OVBD_MOVED_NONE, 1, 3},   /* the nearest */
		{'a', 9, 8, 1, 10},                /* next has something else */
		{'a', 5, OVBD_MOVED_NONE, 1, 6},   /* nearer above */
		{'a', 11, OVBD_MOVED_NONE, 1, 10}, /* of two as near the lower one */
		{'a', 1u << 31, 99, 1, 12},        /* beyond the end */
		{'a', OVBD_MOVED_NONE, 99, 1, 12},
		{'c', 5, 6, 1, 5},
		{'z', 5, 6, 0, 0},
		{'.', 2, 8, 0, 0}, /* zeros are not there */
	};
	AUTO_BLOB *b = NULL;
	OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = open_image(kinds, &b);
	uint8_t data[SIZE], work[SIZE];
	struct ovbd_error err;

	(void)state;
	assert_int_equal(ovbd_moved_count(m), 10);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t block = 0;

		fill(data, table[i].kind);
		assert_int_equal(ovbd_moved_find(m, data, table[i].place, table[i].next, work,
		                                 &block, &err),
		                 table[i].r);
		assert_int_equal(block, table[i].block);
	}
}

/* Other bytes with the same checksum: the generator, added to a message, does not change it. */
static void collide(uint8_t *block, size_t at)
{
	const uint64_t generator = UINT64_C(0x82f63b78) << 1 | 1;

	ovbd_put_le64(block + at, ovbd_get_le64(block + at) ^ generator);
}

static void test_collisions(void **state)
{
	const struct ovbd_moved_params p = {.block_size = SIZE, .nthreads = 1};
	OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = NULL;
	AUTO_BLOB *b = NULL;
	uint8_t data[SIZE], work[SIZE];
	struct ovbd_error err;
	uint64_t block = 0;

	(void)state;
	for (size_t i = 0; i < NBLOCKS; i++) {
		fill(image + i * SIZE, 'q');
		if (i > 0) /* each another one */
			collide(image + i * SIZE, i * 7);
	}
	assert_ok(ovbd_blob_open_mem(image, NBLOCKS * SIZE, &b, &err), err);
	assert_ok(ovbd_moved_open(b, &p, &m, &err), err);
	assert_int_equal(ovbd_moved_count(m), NBLOCKS);
	fill(data, 'q');
	/* none of the others is taken for it; it is found if it is not too far among them */
	assert_int_equal(ovbd_moved_find(m, data, 7, 5, work, &block, &err), 1);
	assert_int_equal(block, 0);
	assert_int_equal(ovbd_moved_find(m, data, 40, 41, work, &block, &err), 0);
	assert_int_equal(ovbd_moved_find(m, data, 40, 0, work, &block, &err), 1);
	collide(data, 400); /* in none of them */
	assert_int_equal(ovbd_moved_find(m, data, 0, 1, work, &block, &err), 0);
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {1, 7, 512, 4096, NBLOCKS * SIZE, 1u << 20};
	uint8_t *work = malloc(1u << 20);
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(1 + i % 251 + i / 512);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct ovbd_moved_params p = {.block_size = sizes[i], .nthreads = 3};
		OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = NULL;
		AUTO_BLOB *b = NULL;
		uint64_t block;

		assert_ok(ovbd_blob_open_mem(image, sizeof(image), &b, &err), err);
		assert_ok(ovbd_moved_open(b, &p, &m, &err), err);
		assert_true(ovbd_moved_count(m) <= sizeof(image) / sizes[i]);
		for (uint64_t at = 0; at + sizes[i] <= sizeof(image); at += sizes[i]) {
			if (ovbd_is_zero(image + at, sizes[i]))
				continue;
			assert_int_equal(ovbd_moved_find(m, image + at, at / sizes[i],
			                                 OVBD_MOVED_NONE, work, &block, &err),
			                 1);
			assert_int_equal(block, at / sizes[i]);
		}
	}
	free(work);
}

static int stop(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	return done >= *(const uint64_t *)arg;
}

struct giant {
	struct ovbd_blob blob;
};

static int giant_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	(void)b, (void)off, (void)err;
	memset(buf, 0, len);
	return 0;
}

static void giant_close(struct ovbd_blob *b)
{
	free(b);
}

static void test_refusals(void **state)
{
	static const struct ovbd_blob_ops ops = {.name = "giant",
	                                         .pread = giant_pread,
	                                         .close = giant_close};
	static uint64_t at = SIZE;
	struct ovbd_moved_params p = {.block_size = 0, .nthreads = 1};
	struct ovbd_blob giant = {.ops = &ops, .size = (UINT64_C(1) << 32) * 512};
	struct ovbd_moved *m = NULL;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_blob_open_mem(image, sizeof(image), &b, &err), err);
	assert_fails(ovbd_moved_open(b, &p, &m, &err), -EINVAL, err, "blocks of 0 bytes");
	p = (struct ovbd_moved_params){.block_size = SIZE, .nthreads = 0};
	assert_fails(ovbd_moved_open(b, &p, &m, &err), -EINVAL, err, "0 threads");
	p.nthreads = 1;
	assert_fails(ovbd_moved_open(&giant, &p, &m, &err), -E2BIG, err, "2^32 blocks of 512");
	p.progress = stop;
	p.progress_arg = &at;
	p.block_size = 1u << 14; /* two pieces */
	at = 1;
	{
		uint8_t *big = calloc(1, 1u << 20);
		AUTO_BLOB *large = NULL;

		assert_ok(ovbd_blob_open_mem(big, 1u << 20, &large, &err), err);
		assert_fails(ovbd_moved_open(large, &p, &m, &err), -ECANCELED, err, "stopped");
		free(big);
	}
	assert_null(m);
}

static void test_faults(void **state)
{
	const struct ovbd_moved_params p = {.block_size = SIZE, .nthreads = 1};
	struct ovbd_error err;
	uint8_t work[SIZE];
	uint64_t block;
	int r;

	(void)state;
	for (size_t i = 0; i < NBLOCKS; i++)
		fill(image + i * SIZE, (char)('a' + i));
	for (long n = 1;; n++) {
		OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *m = NULL;
		AUTO_BLOB *b = NULL;

		assert_ok(ovbd_blob_open_mem(image, NBLOCKS * SIZE, &b, &err), err);
		b = test_blob_faulty(b);
		test_fault_set(n);
		r = ovbd_moved_open(b, &p, &m, &err);
		if (r == 0)
			r = ovbd_moved_find(m, image + SIZE, 9, 8, work, &block, &err);
		if (!test_fault_hit()) {
			assert_int_equal(r, 1);
			break;
		}
		/* giving memory back is the one thing that may fail */
		assert_true(r == 1 || r == -ENOMEM || r == -EIO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preferences), cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_sizes),       cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
