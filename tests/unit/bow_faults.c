// SPDX-License-Identifier: Apache-2.0
/*
 * The device below fails once, or an allocation does, at every place. Whoever asked for something
 * then gets the error; nothing is lost, and all goes on.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"
#include "tests/unit/bow_world.h"

#define BLOCK 512u
#define SIZE  (160u * BLOCK)

static unsigned nfailed;

/* After a write that failed each byte is either what it was or what it was to be. */
static void look(struct world *w, uint64_t off, size_t len)
{
	uint8_t got[SIZE];
	struct ovbd_error err;

	assert_ok(ovbd_blob_pread(w->d->blob, got, len, off, &err), err);
	for (size_t i = 0; i < len; i++) {
		if (w->known[off + i] && got[i] != w->want[off + i] && got[i] != w->copy[off + i])
			fail_msg("byte %zu is neither old nor new", (size_t)off + i);
		w->want[off + i] = got[i];
	}
}

static void try_write(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;
	int r;

	for (size_t i = 0; i < len; i++)
		w->copy[off + i] = (uint8_t)test_random(&w->random);
	r = ovbd_device_pwrite(w->d, w->copy + off, len, off, 0, &err);
	if (r < 0) {
		nfailed++;
		assert_int_not_equal(err.msg[0], 0);
		look(w, off, len);
	} else {
		memcpy(w->want + off, w->copy + off, len);
		memset(w->known + off, 1, len);
	}
}

static void try_discard(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;

	memset(w->known + off, 0, len);
	nfailed += ovbd_device_discard(w->d, off, len, &err) < 0;
}

static void try_again(struct world *w, int (*verb)(struct ovbd_device *d, struct ovbd_error *err))
{
	struct ovbd_error err;

	if (verb(w->d, &err) < 0) {
		nfailed++;
		if (verb == ovbd_bow_checkpoint && world_status(w).state == OVBD_BOW_CHECKPOINT)
			return; /* the log was written, but not flushed */
		assert_ok(verb(w->d, &err), err);
	}
}

/* Backups, their moves, block 0's, and more than one log block. */
static void live(struct world *w)
{
	memcpy(w->origin, w->want, w->size);
	memcpy(w->original, w->known, w->size);
	try_again(w, ovbd_bow_checkpoint);
	for (unsigned i = 0; i < 12; i++) {
		try_write(w, (1 + i) * BLOCK + 7, BLOCK - 20);
		try_write(w, i % 2 ? 5 : (20 + 7 * i) * BLOCK, 3 * BLOCK);
	}
	world_reads_right(w);
	for (unsigned i = 0; i < 12; i++)
		try_write(w, (104 + 3 * i) * BLOCK, BLOCK);
	try_write(w, 0, 40 * BLOCK);
	try_discard(w, 30 * BLOCK, 10 * BLOCK);
	world_reads_right(w);
}

static bool round_of(long n, bool commit)
{
	struct world w;
	bool hit;

	world_setup(&w, SIZE, (struct ovbd_bow_params){.block_size = BLOCK});
	world_discard(&w, 20 * BLOCK, 90 * BLOCK);
	w.mem.faulty = true;
	nfailed = 0;
	test_fault_set(n);
	live(&w);
	if (commit)
		try_again(&w, ovbd_bow_commit);
	hit = test_fault_hit();
	assert_in_range(nfailed, 0, hit);
	assert_true(hit || commit || world_status(&w).log_blocks > 1);
	world_reads_right(&w);
	if (commit)
		world_same(w.disk, w.want, w.known, w.size);
	else
		world_restores_right(&w);
	world_teardown(&w);
	return hit;
}

static void test_every(void **state)
{
	long n = 1;

	(void)state;
	while (round_of(n, false))
		n++;
	assert_true(n > 150);
	for (n = 1; round_of(n, true); n++)
		;
}

/* Nothing is overwritten as long as the log cannot be written, and then all is. */
static void test_dead_log(void **state)
{
	struct world w;
	struct ovbd_error err;
	uint8_t buf[3 * BLOCK] = {0};

	(void)state;
	world_setup(&w, SIZE, (struct ovbd_bow_params){.block_size = BLOCK});
	world_discard(&w, 40 * BLOCK, 60 * BLOCK);
	world_checkpoint(&w);
	world_write(&w, 3 * BLOCK, 1);
	w.mem.bad_flush = true;
	for (unsigned i = 0; i < 200; i++)
		assert_fails(ovbd_device_pwrite(w.d, buf, sizeof(buf), i % 30 * BLOCK, 0, &err),
		             -EIO, err, "backup on write: log: memory device: flush");
	assert_ok(ovbd_device_pwrite(w.d, buf, 1, 3 * BLOCK, 0, &err), err);
	w.want[3 * BLOCK] = 0;
	world_reads_right(&w);
	world_restores_right(&w);
	w.mem.bad_flush = false;
	assert_fails(ovbd_device_flush(w.d, &err), -EIO, err, "may have been lost");
	assert_ok(ovbd_device_flush(w.d, &err), err);
	world_write(&w, BLOCK, 20 * BLOCK);
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

#define BAD (450u * 4096u)

static const struct ovbd_blob_ops *right;

static int pread_bad(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	if (off <= BAD && BAD < off + len)
		return ovbd_fail(err, -EIO, "a bad sector");
	return right->pread(b, buf, len, off, err);
}

/* What cannot be read cannot be backed up, and is not overwritten; but it is nobody else's trouble
 * who writes in order. */
static void test_bad_sector(void **state)
{
	struct ovbd_blob_ops ops;
	struct ovbd_error err;
	struct world w;

	(void)state;
	world_setup(&w, 16 << 20, (struct ovbd_bow_params){0});
	world_discard(&w, w.size / 2, w.size / 2);
	world_checkpoint(&w);
	right = w.mem.blob.ops;
	ops = *right;
	ops.pread = pread_bad;
	w.mem.blob.ops = &ops;
	for (unsigned i = 300; i < 450; i++)
		world_write(&w, i * 4096, 4096);
	assert_fails(ovbd_device_pwrite(w.d, w.want, 4096, BAD, 0, &err), -EIO, err,
	             "backup of 4096 bytes at 1843200: a bad sector");
	for (unsigned i = 451; i < 600; i++)
		world_write(&w, i * 4096, 4096);
	assert_true(world_status(&w).log_writes < 60);
	w.mem.blob.ops = right;
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

/* A log that cannot be written is everybody's: nobody tries again who was told of nothing. */
static void test_bad_flush_ahead(void **state)
{
	struct world w;
	struct ovbd_error err;
	uint64_t flushes;
	unsigned i = 300;

	(void)state;
	world_setup(&w, 16 << 20, (struct ovbd_bow_params){0});
	world_discard(&w, w.size / 2, w.size / 2);
	world_checkpoint(&w);
	while (world_status(&w).log_writes < 4) /* the next one goes ahead, too */
		world_write(&w, i++ * 4096, 4096);
	flushes = w.mem.nflushes;
	w.mem.bad_flush = true;
	while (w.mem.nflushes == flushes &&
	       ovbd_device_pwrite(w.d, w.want + i * 4096, 4096, i * 4096, 0, &err) == 0)
		i++;
	assert_int_equal(w.mem.nflushes, flushes + 1);
	assert_non_null(strstr(err.msg, "log: memory device: flush"));
	w.mem.bad_flush = false;
	assert_fails(ovbd_device_flush(w.d, &err), -EIO, err, "may have been lost");
	world_write(&w, i * 4096, 4096);
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every),
		cmocka_unit_test(test_dead_log),
		cmocka_unit_test(test_bad_sector),
		cmocka_unit_test(test_bad_flush_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
