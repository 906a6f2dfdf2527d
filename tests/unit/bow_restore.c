// SPDX-License-Identifier: Apache-2.0
/* Hand-made devices in their checkpoint: told of, checked, restored and committed. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/restore.h"
#include "tests/lib/bow_random.h"
#include "tests/lib/fault.h"
#include "tests/lib/mem_device.h"

enum { SIZE = 32 << 20, HALF = SIZE / 2 };

static uint8_t disk[SIZE], want[SIZE], before[SIZE];

static struct test_mem mem(uint8_t *bytes, size_t size)
{
	struct test_mem m = {.bytes = bytes, .size = size, .room = UINT64_MAX};

	return m;
}

/* Ends m, whose log leads to want; nflushes: at most so many are needed. */
static void assert_restores(struct bow_make *m, uint64_t nflushes)
{
	struct test_mem t = mem(disk, SIZE);
	AUTO_DEVICE *d = test_mem_device(&t);
	struct ovbd_bow_info info;
	struct ovbd_error err;

	memcpy(want, disk, SIZE);
	bow_make_undo(m, want);
	assert_ok(ovbd_bow_restore(d, NULL, &info, &err), err);
	assert_memory_equal(disk, want, SIZE);
	assert_int_equal(info.nentries, m->nentries);
	assert_int_equal(info.nblocks, m->sequence + 1);
	assert_true(t.nflushes <= nflushes);
	assert_fails(ovbd_bow_restore(d, NULL, &info, &err), -ENOMSG, err, "no log");
	bow_make_end(m);
}

/* Log blocks by the dozen, backups in one piece: a few flushes for all of it. */
static void test_full_blocks(void **state)
{
	(void)state;
	for (uint32_t block = 512; block <= 4096; block *= 2) {
		const uint32_t n = 20 * bow_make_room(block);
		struct bow_make m;

		bow_make_fill(disk, SIZE / 4, block);
		bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, block, 0, HALF, HALF + block);
		for (uint32_t i = 1; i < n; i++) {
			bow_make_backup(&m, (uint64_t)i * block,
			                HALF + (1 << 20) + (uint64_t)i * block, block);
			memset(disk + (size_t)i * block, (int)i, block);
		}
		assert_int_equal(m.sequence, (n - 2) / (bow_make_room(block) - 1));
		assert_restores(&m, 6);
	}
}

/* What was copied from is copied to by an older entry: A to B, then C to A. */
static void test_collision(void **state)
{
	const uint64_t a = 5 * 1024, b = 100 * 1024, c = 7 * 1024;
	struct bow_make m;

	(void)state;
	bow_make_fill(disk, 1 << 20, 1);
	bow_make_fill(before, 1 << 20, 1);
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 1024, 0, HALF, HALF + 1024);
	bow_make_backup(&m, a, b, 2048);
	bow_make_backup(&m, c, a, 2048); /* discarded between */
	memset(disk + c, 1, 2048);
	bow_make_backup(&m, a + 1024, b + 8192, 1024); /* and taken by half */
	memset(disk + a + 1024, 2, 1024);
	assert_restores(&m, 20);
	assert_memory_equal(disk, before, b);
}

/* Entries larger than what is copied at once, that begin where others end. */
static void test_large(void **state)
{
	const uint32_t large = 5 << 20;
	struct bow_make m;

	(void)state;
	bow_make_fill(disk, SIZE, 3);
	bow_make_fill(before, SIZE, 3);
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 4096, 100, HALF, HALF + 4096);
	bow_make_backup(&m, 4096, HALF + 65536, large);
	bow_make_backup(&m, 4096 + large, HALF + 65536 + large, 4096);
	bow_make_backup(&m, 8192 + large, HALF + 131072 + large, large);
	bow_make_backup(&m, 8192 + 2 * large, HALF + 131072 + 2 * large, 8192);
	memset(disk + 4096, 0, 2 * large);
	assert_restores(&m, 6);
	assert_memory_equal(disk, before, HALF);
}

/* Where block 0 lives is written to, and moves, as the kernel has it. */
static void test_moved_block0(void **state)
{
	struct bow_make m;
	struct ovbd_bow_info info;
	struct ovbd_error err;

	(void)state;
	for (int again = 0; again < 2; again++) {
		struct test_mem t = mem(disk, SIZE);
		AUTO_DEVICE *d = NULL;

		bow_make_fill(disk, SIZE, 4);
		bow_make_begin(&m, disk, SIZE, again ? BOW_MAKE_PROTOTYPE : BOW_MAKE_1_0, 4096, 0,
		               HALF, HALF + 4096);
		bow_make_fill(disk + m.live, 4096, 77);
		bow_make_move(&m, HALF + 65536);
		bow_make_fill(disk + HALF, 4096, 78);
		bow_make_backup(&m, 8192, HALF + 131072, 4096);
		bow_make_fill(disk + m.live, 4096, 79);
		bow_make_move(&m, HALF + 69632);
		bow_make_fill(disk + HALF + 65536, 4096, 80);
		bow_make_fill(disk + m.live, 4096, 81);
		bow_make_fill(before, 4096, 81);
		memcpy(want, disk, SIZE);
		d = test_mem_device(&t);
		assert_ok(ovbd_bow_inspect(d->blob, &info, &err), err);
		assert_int_equal(info.sector0, HALF + 69632);
		assert_ok(ovbd_bow_settle(d, &info, &err), err);
		assert_memory_equal(disk, before, 4096);
		assert_memory_equal(disk + 4096, want + 4096, SIZE - 4096);
		memcpy(disk, want, SIZE);
		assert_restores(&m, 20);
		bow_make_fill(before, 4096, 4);
		assert_memory_equal(disk, before, 4096);
	}
}

static void test_told(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_bow_info info;
	struct ovbd_error err;
	struct bow_make m;

	(void)state;
	assert_ok(ovbd_blob_open_mem(disk, SIZE, &b, &err), err);
	bow_make_fill(disk, SIZE, 4);
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 512, 0, HALF, HALF + 512);
	for (uint64_t i = 0; i < 20; i++)
		bow_make_backup(&m, 512 + i * 1024, HALF + 65536 + i * 1024, 1024);
	assert_ok(ovbd_bow_check(b, NULL, NULL, &info, &err), err);
	assert_false(info.prototype || info.partial || info.committing);
	assert_int_equal(info.block_size, 512);
	assert_int_equal(info.sequence, 1);
	assert_int_equal(info.sector0, HALF);
	assert_int_equal(info.nblocks, 2);
	assert_int_equal(info.nentries, 22);
	assert_int_equal(info.backed_up, 20 * 1024 + 2 * 512);
	disk[HALF + 65536 + 5 * 1024 + 700] ^= 4;
	assert_ok(ovbd_bow_inspect(b, &info, &err), err);
	assert_fails(ovbd_bow_check(b, NULL, NULL, &info, &err), -EBADMSG, err,
	             "block 0 of it: entry 6: checksum 0x");
	bow_make_end(&m);
}

struct stop {
	int after;
	uint64_t last, total;
};

static int stop_after(void *arg, uint64_t done, uint64_t total)
{
	struct stop *s = arg;

	assert_true(done >= s->last && done <= total);
	s->last = done;
	s->total = total;
	return --s->after == 0;
}

/* Told to stop, at each of its calls, it can go on. */
static void test_progress(void **state)
{
	struct bow_make m;
	struct ovbd_bow_info info;
	struct ovbd_error err;
	int r = 0, stopped = 0;

	(void)state;
	bow_make_fill(disk, SIZE, 5);
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 4096, 0, HALF, HALF + 4096);
	bow_make_backup(&m, 4096, HALF + 65536, 14 << 20);
	memset(disk + 4096, 1, 14 << 20);
	bow_make_backup(&m, HALF + (15 << 20), (15 << 20) - 4096, 4096);
	memcpy(before, disk, SIZE);
	memcpy(want, disk, SIZE);
	bow_make_undo(&m, want);
	for (int n = 1;; n++) {
		struct test_mem t = mem(disk, SIZE);
		AUTO_DEVICE *d = test_mem_device(&t);
		struct stop s = {.after = n};
		const struct ovbd_bow_restore_params p = {.progress = stop_after, .arg = &s};

		memcpy(disk, before, SIZE);
		r = ovbd_bow_restore(d, &p, &info, &err);
		if (r == 0) {
			assert_int_equal(s.last, s.total);
			break;
		}
		assert_fails(r, -ECANCELED, err, "interrupted");
		stopped++;
		if (ovbd_get_le32(disk) == 0x00574f42)
			assert_memory_equal(disk, before, SIZE);
		assert_ok(ovbd_bow_restore(d, NULL, &info, &err), err);
		assert_memory_equal(disk, want, SIZE);
	}
	assert_true(stopped >= 6);
	bow_make_end(&m);
}

/* So many entries, and no more: each is one call's. */
static void test_limit(void **state)
{
	const struct ovbd_bow_restore_params p = {.limit = 1};
	const struct bow_random_params how = {.block = 512,
	                                      .nblocks = 400,
	                                      .steps = 300,
	                                      .seed = 11};
	struct bow_random *r = bow_random_create(&how);
	struct test_mem t = mem(r->disk, r->size);
	AUTO_DEVICE *d = test_mem_device(&t);
	struct ovbd_bow_info info;
	struct ovbd_error err;

	(void)state;
	assert_true(r->m.sequence > 1);
	for (size_t left = r->m.nentries; left > 1; left--) {
		assert_fails(ovbd_bow_restore(d, &p, &info, &err), -EAGAIN, err,
		             "entries are undone");
		assert_int_equal(info.nentries, left);
		assert_int_equal(info.partial, left < r->m.nentries);
	}
	assert_ok(ovbd_bow_restore(d, &p, &info, &err), err);
	assert_memory_equal(r->disk, r->undone, r->size);
	bow_random_free(r);
}

/* Each read, write, flush and malloc fails in turn; another call finishes it. */
static void test_faults(void **state)
{
	const struct bow_random_params how = {.block = 1024,
	                                      .nblocks = 300,
	                                      .steps = 200,
	                                      .seed = 5};
	struct bow_random *r = bow_random_create(&how);
	uint8_t *bytes = malloc(r->size);
	struct test_mem t = mem(bytes, r->size);
	AUTO_DEVICE *d = NULL;
	struct ovbd_bow_info info;
	struct ovbd_error err;

	(void)state;
	t.faulty = true;
	d = test_mem_device(&t);
	for (long n = 1;; n++) {
		int result;

		memcpy(bytes, r->disk, r->size);
		test_fault_set(n);
		result = ovbd_bow_restore(d, NULL, &info, &err);
		if (!test_fault_hit()) {
			assert_ok(result, err);
			break;
		}
		assert_true(result < 0);
		result = ovbd_bow_restore(d, NULL, &info, &err);
		if (result != -ENOMSG) /* the last flush failed */
			assert_ok(result, err);
		assert_memory_equal(bytes, r->undone, r->size);
	}
	for (long n = 1;; n++) {
		int result;

		memcpy(bytes, r->disk, r->size);
		test_fault_set(n);
		result = ovbd_bow_settle(d, &info, &err);
		if (!test_fault_hit()) {
			assert_ok(result, err);
			break;
		}
		if (result < 0) /* or it was of what is told only */
			result = ovbd_bow_settle(d, &info, &err);
		assert_true(result == 0 || result == -ENOMSG);
		assert_memory_equal(bytes, r->live, r->size);
	}
	free(bytes);
	bow_random_free(r);
}

/* A log that cannot be restored can be committed, with all that its newest block says. */
static void test_settle_spoilt(void **state)
{
	struct test_mem t = mem(disk, SIZE);
	AUTO_DEVICE *d = test_mem_device(&t);
	struct ovbd_bow_info info;
	struct ovbd_error err;
	struct bow_make m;

	(void)state;
	bow_make_fill(disk, SIZE, 4);
	bow_make_begin(&m, disk, SIZE, BOW_MAKE_1_0, 2048, 0, HALF, HALF + 2048);
	for (uint64_t i = 1; i < 200; i++)
		bow_make_backup(&m, i * 2048, HALF + 65536 + i * 2048, 2048);
	memset(disk + HALF + 4096, 0, 65536);
	memcpy(want, disk, SIZE);
	memcpy(want, want + HALF, 2048);
	assert_fails(ovbd_bow_restore(d, NULL, &info, &err), -EBADMSG, err, "of the log block at");
	assert_ok(ovbd_bow_settle(d, &info, &err), err);
	assert_memory_equal(disk, want, SIZE);
	assert_int_equal(info.sequence, 2);
	bow_make_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_blocks),   cmocka_unit_test(test_collision),
		cmocka_unit_test(test_large),         cmocka_unit_test(test_moved_block0),
		cmocka_unit_test(test_told),          cmocka_unit_test(test_progress),
		cmocka_unit_test(test_limit),         cmocka_unit_test(test_faults),
		cmocka_unit_test(test_settle_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
