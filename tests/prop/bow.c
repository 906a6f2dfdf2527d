// SPDX-License-Identifier: Apache-2.0
/*
 * Devices of type bow against a model (tests/lib/bow_model.h), through several checkpoints each:
 * writes, zeros, discards, reads, flushes; the process is killed, at any write of the disk too; the
 * checkpoint is taken back or committed, by the device, offline, or as the policy says when space
 * runs out. What is read is the new; while a checkpoint lasts, what a copy of the disk is restored
 * to, by ours and by an observer, is the old.
 *
 * Of odd seeds, calls of the disk fail now and then, and everything goes on.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands. OVBD_KEEP is a
 * folder for disks that were observed, and what is expected of them (bow-facts.sh).
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/bow_model.h"
#include "tests/unit/test.h"

#define CASES  400
#define CYCLES 3
#define SECTOR TEST_BOW_SECTOR

enum what {
	WRITE,
	ZERO,
	DISCARD,
	READ,
	FLUSH,
	REOPEN,
	REFUSED,
	OBSERVE,
	CHECKPOINT,
	COMMIT,
	ABORT,
	RESTORE,
	SETTLE,
	NWHATS
};

static const struct {
	const char *name;
	unsigned of_thousand;
} kinds[NWHATS] = {
	{"writes", 560}, {"zeroes", 50},  {"discards", 130},    {"reads", 180},     {"flushes", 40},
	{"kills", 15},   {"refusals", 5}, {"observations", 20}, {"checkpoints", 0}, {"commits", 0},
	{"aborts", 0},   {"restores", 0}, {"settlements", 0},
};

static uint64_t counts[NWHATS], nfailed, ntold[3];
static uint64_t behind; /* in sectors, the range before */

static bool with_faults(const struct test_bow *t)
{
	return t->seed % 2 == 1;
}

/* ---- steps ---- */

/* Most are small, some are large, some of whole blocks, some follow the one before. */
static uint64_t some_range(struct test_bow *t, uint64_t *ret_len)
{
	const uint64_t n = t->size / SECTOR;
	const uint64_t most = test_bow_below(t, 40) ? ovbd_min(n, 24) : ovbd_min(n, 2048);
	uint64_t first = test_bow_below(t, n), len = 1 + test_bow_below(t, most);

	if (test_bow_below(t, 3) == 0)
		first = behind % n;

	if (test_bow_below(t, 2)) {
		const uint64_t per = t->block_size / SECTOR;

		first = first / per * per;
		len = (len + per - 1) / per * per;
	}
	len = ovbd_min(len, n - first);
	behind = first + len;
	*ret_len = len * SECTOR;
	return first * SECTOR;
}

/* A call of the disk, one of the next, fails; or it is the last that arrives. */
static void prepare_fault(struct test_bow *t, uint64_t among)
{
	if (!with_faults(t) || test_bow_below(t, 10))
		return;
	t->disk.calls = test_bow_below(t, 3) ? TEST_BOW_WRITE : TEST_BOW_FLUSH;
	if (test_bow_below(t, 8) == 0)
		t->disk.calls = TEST_BOW_READ;
	t->disk.code = t->disk.calls == TEST_BOW_WRITE && test_bow_below(t, 2) ? -ENOSPC : -EIO;
	t->disk.deadly = test_bow_below(t, 2);
	t->disk.nth = 1 + (long)test_bow_below(t, among);
}

static void prepare_offline(struct test_bow *t)
{
	prepare_fault(t, 12);
}

/* It has not come to it. */
static void forget_fault(struct test_bow *t)
{
	test_bow_disk_heal(&t->disk);
}

static unsigned some_flags(struct test_bow *t)
{
	const uint64_t n = test_bow_below(t, 10);

	return n == 0 ? OVBD_WRITE_FUA : n == 1 ? OVBD_WRITE_KEPT : 0;
}

static enum what choose(struct test_bow *t)
{
	uint64_t at = test_bow_below(t, 1000);

	for (unsigned i = 0; i < NWHATS; i++) {
		if (at < kinds[i].of_thousand)
			return (enum what)i;
		at -= kinds[i].of_thousand;
	}
	return READ;
}

/* What its state does not allow. */
static void do_refused(struct test_bow *t)
{
	if (t->state != OVBD_BOW_TRIM)
		test_bow_checkpoint(t);
	if (t->state != OVBD_BOW_CHECKPOINT)
		test_bow_abort(t);
	if (t->state == OVBD_BOW_COMMITTED || t->state == OVBD_BOW_ABORTED)
		test_bow_commit(t);
}

static void step(struct test_bow *t)
{
	const enum what what = choose(t);
	uint64_t len, off = some_range(t, &len);

	counts[what]++;
	t->step++;
	prepare_fault(t, 6);
	if (what == WRITE)
		test_bow_write(t, off, len, some_flags(t));
	else if (what == ZERO)
		test_bow_zero(t, off, len, some_flags(t));
	else if (what == DISCARD)
		test_bow_discard(t, off, len);
	else if (what == FLUSH)
		test_bow_flush(t);
	forget_fault(t);
	if (what == READ)
		test_bow_read(t, off, len);
	else if (what == REOPEN)
		test_bow_reopen(t);
	else if (what == REFUSED)
		do_refused(t);
	else if (what == OBSERVE || t->size <= 16384)
		test_bow_observe(t);
}

static void steps(struct test_bow *t, uint64_t n)
{
	const enum ovbd_bow_state s = t->state;

	while (n-- > 0 && t->state == s)
		step(t);
}

/* As FITRIM, of a random part of the device. */
static void trim(struct test_bow *t)
{
	const uint64_t bs = t->block_size, part = 1 + test_bow_below(t, 20);

	for (uint64_t at = 0; at < t->size;) {
		const uint64_t n = bs * (1 + test_bow_below(t, 1 + t->size / bs / 8));
		const uint64_t len = ovbd_min(n, t->size - at);

		if (test_bow_below(t, 20) < part)
			test_bow_discard(t, at, len);
		at += len;
	}
}

/* In whatever way, until the device is in TRIM again. */
static void end_checkpoint(struct test_bow *t)
{
	const enum what what = COMMIT + (enum what)test_bow_below(t, NWHATS - COMMIT);

	t->step++;
	counts[what]++;
	if (what == RESTORE) {
		test_bow_restore(t, test_bow_below(t, 2) ? 1 + test_bow_below(t, 9) : 0);
	} else if (what == SETTLE) {
		test_bow_settle(t);
	} else {
		prepare_fault(t, 12);
		if (what == COMMIT)
			test_bow_commit(t);
		else
			test_bow_abort(t);
		forget_fault(t);
	}
	if (t->state == OVBD_BOW_COMMITTED || t->state == OVBD_BOW_ABORTED) {
		steps(t, 20);
		test_bow_reopen(t);
	}
}

static void cycle(struct test_bow *t)
{
	const uint64_t most = test_bow_below(t, 4) ? 60 : 400;

	steps(t, test_bow_below(t, 20));
	trim(t);
	steps(t, test_bow_below(t, 8));
	counts[CHECKPOINT]++;
	t->step++;
	prepare_fault(t, 8);
	test_bow_checkpoint(t);
	forget_fault(t);
	if (t->state != OVBD_BOW_CHECKPOINT)
		return;
	steps(t, most);
	if (test_bow_below(t, 2)) {
		trim(t);
		steps(t, most);
	}
	for (unsigned i = 0; i < 20 && t->state == OVBD_BOW_CHECKPOINT; i++)
		end_checkpoint(t);
	if (t->state != OVBD_BOW_TRIM)
		test_bow_reopen(t);
}

static void one(uint64_t seed)
{
	static const uint32_t sizes[] = {0, 512, 1024, 2048, 4096};
	static struct test_bow t;
	uint64_t random = seed;
	struct test_bow_geometry g = {
		.block_size = sizes[test_random(&random) % 5],
		.on_full = (enum ovbd_bow_on_full)(test_random(&random) % 3),
	};
	const uint64_t unit = g.block_size ? g.block_size : SECTOR;
	const uint64_t least = test_random(&random) % 100 == 0 ? 6u << 20 : 8 * unit;
	const uint64_t most = test_random(&random) % 10 == 0 ? 4u << 20
	                      : test_random(&random) % 4     ? 32 * unit
	                                                     : 256 * unit;

	g.size = (least + test_random(&random) % most) / unit * unit;
	if (test_random(&random) % 3 == 0)
		g.min_free = test_random(&random) % (g.size / 8);
	behind = 0;
	test_bow_create(&t, seed, &g);
	t.keep = getenv("OVBD_KEEP");
	t.arm = prepare_offline;
	for (unsigned i = 0; i < CYCLES; i++)
		cycle(&t);
	nfailed += t.nfailed;
	ntold[g.on_full] += t.ntold;
	test_bow_free(&t);
}

static void test_lives(void **state)
{
	const char *seed = getenv("OVBD_SEED"), *cases = getenv("OVBD_CASES");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES;

	(void)state;
	/* so that large buffers are not mapped and unmapped each time */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	for (uint64_t i = 0; i < n; i++)
		one(first + i);
	printf("seeds %llu to %llu:", (unsigned long long)first,
	       (unsigned long long)(first + n - 1));
	for (unsigned i = 0; i < NWHATS; i++)
		printf(" %llu %s,", (unsigned long long)counts[i], kinds[i].name);
	printf(" %llu faults of the disk; policies followed: %llu to commit, %llu to abort\n",
	       (unsigned long long)nfailed, (unsigned long long)ntold[OVBD_BOW_FULL_COMMIT],
	       (unsigned long long)ntold[OVBD_BOW_FULL_ABORT]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_lives)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
