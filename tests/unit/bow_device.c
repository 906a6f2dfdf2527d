// SPDX-License-Identifier: Apache-2.0
/* The device of backup on write over memory: what it reads as, and what its log leads back to. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/unit/bow_world.h"

static void test_story(void **state)
{
	struct world w;
	struct ovbd_error err;

	(void)state;
	world_setup(&w, 64 * 4096, (struct ovbd_bow_params){0});
	assert_fails(ovbd_bow_checkpoint(w.d, &err), -ENOSPC, err, "0 bytes are free");
	world_discard(&w, 0, 4096); /* block 0 never is */
	world_discard(&w, 10 * 4096 + 1, 4095);
	assert_int_equal(world_status(&w).free_bytes, 0);
	world_discard(&w, 16 * 4096 - 1, 33 * 4096);
	assert_int_equal(world_status(&w).free_bytes, 32 * 4096);
	world_write(&w, 20 * 4096 + 5, 1);
	assert_int_equal(world_status(&w).free_bytes, 31 * 4096);
	assert_int_equal(world_status(&w).free_extents, 2);
	world_checkpoint(&w);
	assert_int_equal(world_status(&w).state, OVBD_BOW_CHECKPOINT);
	world_reads_right(&w);
	world_restores_right(&w);
	world_write(&w, 5, 700);            /* block 0: it lies elsewhere */
	world_write(&w, 3 * 4096 + 9, 1);   /* original */
	world_write(&w, 3 * 4096 + 19, 90); /* is backed up */
	world_reads_right(&w);
	world_restores_right(&w);
	world_write(&w, 0, 64 * 4096 / 4);
	world_reads_right(&w);
	world_restores_right(&w);
	assert_fails(ovbd_bow_checkpoint(w.d, &err), -EINVAL, err, "checkpoint");
	assert_ok(ovbd_bow_commit(w.d, &err), err);
	assert_fails(ovbd_bow_commit(w.d, &err), -EINVAL, err, "committed");
	world_reads_right(&w);
	world_same(w.disk, w.want, w.known, w.size);
	world_write(&w, 3, 5000);
	world_same(w.disk, w.want, w.known, w.size);
	world_teardown(&w);
}

/* A write to free space, or to what is backed up, has no log and no flush. */
static void test_only_what_is_needed(void **state)
{
	struct world w;
	uint64_t flushes, logs;

	(void)state;
	world_setup(&w, 64 * 4096, (struct ovbd_bow_params){0});
	world_discard(&w, 16 * 4096, 40 * 4096);
	world_checkpoint(&w);
	world_write(&w, 4096, 4096);
	flushes = w.mem.nflushes;
	logs = world_status(&w).log_writes;
	world_write(&w, 4096, 4096);
	world_write(&w, 30 * 4096, 8192);
	world_write(&w, 0, 4096);
	assert_int_equal(w.mem.nflushes, flushes);
	assert_int_equal(world_status(&w).log_writes, logs);
	world_write(&w, 8192, 2 * 4096); /* one entry, two flushes */
	assert_int_equal(w.mem.nflushes, flushes + 2);
	assert_int_equal(world_status(&w).log_writes, logs + 1);
	world_restores_right(&w);
	world_teardown(&w);
}

/* Who fills free space in order does not meet what the log has put there again and again. */
static void test_free_in_order(void **state)
{
	struct world w;
	uint64_t logs;

	(void)state;
	world_setup(&w, 1024 * 4096, (struct ovbd_bow_params){0});
	world_discard(&w, 16 * 4096, 1000 * 4096);
	world_checkpoint(&w);
	logs = world_status(&w).log_writes;
	for (unsigned i = 16; i < 1000; i += 4)
		world_write(&w, i * 4096, 4 * 4096);
	assert_in_range(world_status(&w).log_writes - logs, 1, 16);
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

static void step(struct world *w, size_t len_max)
{
	const uint64_t off = test_random(&w->random) % w->size;
	const size_t len = 1 + test_random(&w->random) % ovbd_min(w->size - off, len_max);

	if (test_random(&w->random) % 4 == 0)
		world_discard(w, off, len);
	else
		world_write(w, off, len);
}

/* Many writes over everything: the log has several blocks, backups and block 0 move. */
static void run(uint32_t block_size, uint64_t seed)
{
	const struct ovbd_bow_params p = {.block_size = block_size};
	struct world w;
	struct ovbd_error err;

	world_setup(&w, 400 * (size_t)block_size, p);
	w.random = seed;
	for (unsigned i = 0; i < 20; i++)
		step(&w, block_size * 3);
	world_discard(&w, 100 * block_size, 270 * block_size);
	world_checkpoint(&w);
	for (unsigned i = 0; i < 400; i++) {
		const uint64_t off = test_random(&w.random) % (w.size - block_size);

		if (world_status(&w).free_bytes < 16 * block_size)
			break;
		if (i % 3 == 2)
			world_discard(&w, off, block_size * 5 > w.size - off ? 1 : block_size * 5);
		else
			world_write(&w, off, 1 + test_random(&w.random) % block_size);
		if (i % 16 == 0) {
			world_reads_right(&w);
			world_restores_right(&w);
		}
		if (i == 300)
			world_reopen(&w, p);
	}
	assert_true(world_status(&w).log_blocks > 1 || block_size > 512);
	world_reads_right(&w);
	world_restores_right(&w);
	assert_ok(ovbd_bow_commit(w.d, &err), err);
	world_reads_right(&w);
	world_same(w.disk, w.want, w.known, w.size);
	world_teardown(&w);
}

static void test_random_writes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		for (uint32_t bs = 512; bs <= 4096; bs *= 2)
			run(bs, seed);
}

static void test_full(void **state)
{
	struct ovbd_bow_params p = {.on_full = OVBD_BOW_FULL_ERROR};
	struct world w;
	struct ovbd_error err;
	uint8_t buf[8 * 4096] = {0};

	(void)state;
	world_setup(&w, 64 * 4096, p);
	world_discard(&w, 16 * 4096, 5 * 4096);
	world_checkpoint(&w);
	assert_fails(ovbd_device_pwrite(w.d, buf, sizeof(buf), 4096, 0, &err), -ENOSPC, err,
	             "12288 bytes are free");
	assert_int_equal(world_status(&w).free_bytes, 12288);
	world_reads_right(&w);
	world_write(&w, 16 * 4096, 4096); /* needs nothing */
	world_restores_right(&w);
	world_teardown(&w);

	p.on_full = OVBD_BOW_FULL_COMMIT;
	world_setup(&w, 64 * 4096, p);
	world_discard(&w, 16 * 4096, 5 * 4096);
	world_checkpoint(&w);
	world_write(&w, 4096, 8 * 4096);
	assert_int_equal(world_status(&w).state, OVBD_BOW_COMMITTED);
	assert_non_null(strstr(w.told, "committed: "));
	assert_non_null(strstr(w.told, "12288 bytes are free"));
	world_same(w.disk, w.want, w.known, w.size);
	world_teardown(&w);

	p.on_full = OVBD_BOW_FULL_ERROR;
	p.min_free = 8192;
	world_setup(&w, 64 * 4096, p);
	world_discard(&w, 16 * 4096, 5 * 4096);
	world_checkpoint(&w);
	world_write(&w, 4096, 4096);
	assert_fails(ovbd_device_pwrite(w.d, buf, 1, 20000, 0, &err), -ENOSPC, err,
	             "8192 are to stay so");
	world_teardown(&w);
}

/* What was free at the checkpoint is known after a restart, wherever its map has gone. */
static void test_restart(void **state)
{
	const struct ovbd_bow_params p = {0};
	struct world w;

	(void)state;
	world_setup(&w, 256 * 4096, p);
	world_discard(&w, 16 * 4096, 100 * 4096);
	world_discard(&w, 150 * 4096, 10 * 4096);
	world_checkpoint(&w); /* 2 for block 0, 1 for the map */
	assert_int_equal(world_status(&w).free_bytes, 107 * 4096);
	world_write(&w, 4096, 4096);
	world_reopen(&w, p);
	assert_int_equal(world_status(&w).state, OVBD_BOW_CHECKPOINT);
	assert_int_equal(world_status(&w).free_bytes, 0);
	assert_int_equal(world_status(&w).log_entries, 3);
	world_discard(&w, 0, 256 * 4096); /* original content stays */
	memset(w.known, 0, w.size);
	assert_int_equal(world_status(&w).free_bytes, 107 * 4096);
	world_restores_right(&w);
	for (unsigned i = 16; i < 116; i++) /* over all that there is: it moves */
		world_write(&w, i * 4096, 4096);
	world_restores_right(&w);
	world_reopen(&w, p);
	world_discard(&w, 16 * 4096, 90 * 4096);
	assert_in_range(world_status(&w).free_bytes, 85 * 4096, 90 * 4096);
	world_restores_right(&w);
	world_teardown(&w);
}

/* One that is not right in every respect, and none. */
static void test_no_map(void **state)
{
	const struct ovbd_bow_params p = {0};
	struct world w;

	(void)state;
	for (unsigned n = 6; n <= 30; n += 24) {
		world_setup(&w, 64 * 4096, p);
		world_discard(&w, 16 * 4096, n * 4096);
		world_checkpoint(&w);
		assert_int_equal(world_status(&w).log_entries, n < 10 ? 1 : 2);
		for (uint8_t *at = w.disk + 4096; n > 10 && at < w.disk + w.size; at += 4096)
			if (memcmp(at, "BOWM", 4) == 0)
				at[40]++;
		world_reopen(&w, p);
		world_discard(&w, 16 * 4096, n * 4096);
		assert_int_equal(world_status(&w).free_bytes,
		                 n > 10 ? 4096 : 0); /* the map's source */
		world_teardown(&w);
	}
}

/* Writes in order wait for the log now and then only; others take no space for nothing. */
static void test_ahead(void **state)
{
	const size_t block = 4096, n = 4096;
	struct world w;

	(void)state;
	world_setup(&w, n * block, (struct ovbd_bow_params){0});
	world_discard(&w, n / 2 * block, n / 2 * block);
	world_checkpoint(&w);
	for (size_t i = 1; i < 20; i++)
		world_write(&w, i * 15 * block, block);
	assert_int_equal(world_status(&w).log_writes, 20);
	assert_int_equal(world_status(&w).log_entries, 2 + 19);
	assert_int_equal(world_status(&w).backed_up, (2 + 19) * block);
	for (size_t i = 300; i < 600; i++)
		world_write(&w, i * block + 100, block);
	assert_in_range(world_status(&w).log_writes, 22, 35);
	world_reads_right(&w);
	world_restores_right(&w);
	for (size_t i = 1100; i < 1160; i++) { /* up to where somebody else has been */
		world_write(&w, i * block, block);
		world_write(&w, (i + 60) * block, block);
	}
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

static void is_aborted(struct world *w)
{
	struct ovbd_error err;
	uint8_t buf[512] = {0};

	assert_int_equal(world_status(w).state, OVBD_BOW_ABORTED);
	world_same(w->disk, w->origin, w->original, w->size);
	assert_fails(ovbd_blob_pread(w->d->blob, buf, 512, 0, &err), -EIO, err, "taken back");
	assert_fails(ovbd_blob_pread(w->d->blob, buf, 512, 65536, &err), -EIO, err, "taken back");
	assert_fails(ovbd_device_pwrite(w->d, buf, 512, 0, 0, &err), -EIO, err, "taken back");
	assert_fails(ovbd_device_discard(w->d, 0, 512, &err), -EIO, err, "taken back");
	assert_fails(ovbd_device_flush(w->d, &err), -EIO, err, "taken back");
	assert_fails(ovbd_bow_checkpoint(w->d, &err), -EINVAL, err, "aborted");
	assert_fails(ovbd_bow_commit(w->d, &err), -EINVAL, err, "aborted");
	assert_fails(ovbd_bow_abort(w->d, &err), -EINVAL, err, "aborted");
}

static void test_abort(void **state)
{
	struct ovbd_bow_params p = {0};
	struct world w;
	struct ovbd_error err;
	uint8_t buf[40000] = {0};

	(void)state;
	world_setup(&w, 256 * 1024, p);
	assert_fails(ovbd_bow_abort(w.d, &err), -EINVAL, err, "trim");
	world_discard(&w, 128 * 1024, 64 * 1024);
	world_checkpoint(&w);
	world_write(&w, 0, 5000);
	world_write(&w, 100000, 10000);
	for (uint8_t *at = w.disk + 128 * 1024; at < w.disk + 192 * 1024; at++)
		*at ^= 1;
	assert_fails(ovbd_bow_abort(w.d, &err), -EBADMSG, err, "checksum");
	assert_int_equal(world_status(&w).state, OVBD_BOW_CHECKPOINT);
	for (uint8_t *at = w.disk + 128 * 1024; at < w.disk + 192 * 1024; at++)
		*at ^= 1;
	world_reads_right(&w);
	assert_ok(ovbd_bow_abort(w.d, &err), err);
	is_aborted(&w);
	world_teardown(&w);

	p.on_full = OVBD_BOW_FULL_ABORT;
	world_setup(&w, 256 * 1024, p);
	world_discard(&w, 128 * 1024, 36 * 1024);
	world_checkpoint(&w);
	world_write(&w, 100000, 10000);
	assert_fails(ovbd_device_pwrite(w.d, buf, sizeof(buf), 0, 0, &err), -EIO, err, "taken");
	assert_non_null(strstr(w.told, "taken back: backup on write: a backup of 36864 bytes"));
	is_aborted(&w);
	world_teardown(&w);
}

static void test_refused(void **state)
{
	struct test_mem m = {.bytes = calloc(1, 8192), .size = 8192};
	struct ovbd_bow_params p = {.block_size = 768};
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "768");
	p.block_size = 8192;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "8192");
	p.block_size = 4096;
	m.size = 4608;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "4608");
	m.size = 4609;
	assert_fails(ovbd_bow_open(test_mem_device(&m), NULL, &d, &err), -EINVAL, err, "sectors");
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_story),         cmocka_unit_test(test_only_what_is_needed),
		cmocka_unit_test(test_free_in_order), cmocka_unit_test(test_random_writes),
		cmocka_unit_test(test_full),          cmocka_unit_test(test_restart),
		cmocka_unit_test(test_no_map),        cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_abort),         cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
