// SPDX-License-Identifier: Apache-2.0
/*
 * Random devices in their checkpoint are restored, and committed: whole, with the power cut at
 * every write, and cut again and again in what goes on after that. OVBD_SEED, OVBD_CASES: by hand,
 * more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/restore.h"
#include "tests/lib/bow_random.h"
#include "tests/lib/power.h"
#include "tests/unit/test.h"

#define DEPTH 3

struct trial {
	const struct bow_random *d;
	uint64_t random;
	unsigned depth;
	uint64_t cuts; /* that were looked at */
	uint64_t deepest;
};

typedef int (*work_fn)(struct ovbd_device *d, uint64_t limit, struct ovbd_error *err);

static int restore(struct ovbd_device *d, uint64_t limit, struct ovbd_error *err)
{
	const struct ovbd_bow_restore_params p = {.limit = limit};
	struct ovbd_bow_info info;

	return ovbd_bow_restore(d, &p, &info, err);
}

static int settle(struct ovbd_device *d, uint64_t limit, struct ovbd_error *err)
{
	struct ovbd_bow_info info;

	(void)limit;
	return ovbd_bow_settle(d, &info, err);
}

static int work_on(uint8_t *bytes, size_t size, work_fn work, uint64_t limit,
                   struct ovbd_error *err)
{
	struct test_power *p = test_power_create();
	AUTO_DEVICE *d = test_power_disk(p, 0, bytes, size);
	const int r = work(d, limit, err);

	test_power_free(p);
	return r;
}

static uint8_t *copy_of(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return copy;
}

static void assert_same(const struct trial *t, const uint8_t *got, const uint8_t *want,
                        const char *what)
{
	for (size_t i = 0; memcmp(got, want, t->d->size) != 0 && i < t->d->size; i++)
		if (got[i] != want[i])
			fail_msg("seed %llu: %s: byte %zu (block %zu): 0x%02x, not 0x%02x",
			         (unsigned long long)t->random, what, i, i / t->d->m.block, got[i],
			         want[i]);
}

/* disk goes on to be restored, in steps of a few entries. */
static void restore_in_steps(struct trial *t, uint8_t *disk)
{
	struct ovbd_error err;
	int r;

	do {
		const uint64_t limit = 1 + test_random(&t->random) % 7;

		r = work_on(disk, t->d->size, restore, limit, &err);
		if (r != 0 && r != -EAGAIN)
			fail_msg("%d: %s", r, err.msg);
	} while (r == -EAGAIN);
	assert_same(t, disk, t->d->undone, "restored in steps");
}

static void cut_restore(struct trial *t, const uint8_t *disk, size_t every);

static void check_restore(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	struct trial *t = arg;
	uint8_t *disk = disks[0];
	struct ovbd_error err;

	(void)at;
	t->cuts++;
	if (t->depth > t->deepest)
		t->deepest = t->depth;
	if (ovbd_get_le32(disk) == 0x00574f42) {
		assert_same(t, disk, t->d->disk, "not begun");
	} else if (ovbd_get_le32(disk) == 0x00424f57) {
		AUTO_FREE uint8_t *copy = copy_of(disk, t->d->size);

		assert_fails(work_on(copy, t->d->size, settle, 0, &err), -EUCLEAN, err,
		             "a restore was begun");
		assert_same(t, copy, disk, "settle refused");
		if (t->depth < DEPTH && test_random(&t->random) % 48 == 0)
			cut_restore(t, disk, 23);
		assert_ok(work_on(copy, t->d->size, restore, 0, &err), err);
		assert_same(t, copy, t->d->undone, "restored by another run");
		restore_in_steps(t, disk);
	} else {
		assert_same(t, disk, t->d->undone, "restored");
	}
}

/* Restores disk, and looks at every every-th cut of it. */
static void cut_restore(struct trial *t, const uint8_t *disk, size_t every)
{
	AUTO_FREE uint8_t *bytes = copy_of(disk, t->d->size);
	struct test_power *p = test_power_create();
	AUTO_DEVICE *d = test_power_disk(p, 0, bytes, t->d->size);
	const struct test_power_params how = {
		.before = {disk},
		.sizes = {t->d->size},
		.seed = test_random(&t->random),
		.nrandom = 2,
		.nsingle = every > 1,
		.first = every > 1 ? test_random(&t->random) % every : 0,
		.every = every,
		.check = check_restore,
		.arg = t,
	};
	struct ovbd_error err;

	assert_ok(restore(d, 0, &err), err);
	assert_same(t, bytes, t->d->undone, "restored at once");
	t->depth++;
	test_power_cuts(p, &how);
	t->depth--;
	test_power_free(p);
}

static void check_settle(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	struct trial *t = arg;
	uint8_t *disk = disks[0];
	AUTO_FREE uint8_t *copy = copy_of(disk, t->d->size);
	const bool log = ovbd_get_le32(disk) == 0x00574f42;
	const bool begun = log && memcmp(disk, t->d->disk, 512) != 0;
	struct ovbd_error err;
	int r = work_on(copy, t->d->size, settle, 0, &err);

	(void)at;
	t->cuts++;
	if (log)
		assert_ok(r, err);
	else
		assert_fails(r, -ENOMSG, err, "no log");
	assert_same(t, copy, t->d->live, "committed by another run");
	if (!log)
		return;
	assert_ok(work_on(disk, t->d->size, restore, 0, &err), err);
	assert_same(t, disk, begun ? t->d->live : t->d->undone, "restored after all");
}

static void cut_settle(struct trial *t)
{
	AUTO_FREE uint8_t *bytes = copy_of(t->d->disk, t->d->size);
	struct test_power *p = test_power_create();
	AUTO_DEVICE *d = test_power_disk(p, 0, bytes, t->d->size);
	const struct test_power_params how = {
		.before = {t->d->disk},
		.sizes = {t->d->size},
		.seed = test_random(&t->random),
		.nrandom = 2,
		.every = 1,
		.check = check_settle,
		.arg = t,
	};
	struct ovbd_error err;

	if (t->d->m.layout == BOW_MAKE_EARLY) {
		assert_fails(settle(d, 0, &err), -ENOTSUP, err, "restored only");
		test_power_free(p);
		return;
	}
	assert_ok(settle(d, 0, &err), err);
	assert_same(t, bytes, t->d->live, "committed");
	test_power_cuts(p, &how);
	test_power_free(p);
}

/* What was not free then is as it was then: the maker's log does not have to be believed. */
static void check_original(const struct bow_random *d)
{
	for (size_t b = 0; b < d->size / d->m.block; b++)
		if (!d->was_free[b])
			assert_memory_equal(d->undone + b * d->m.block,
			                    d->original + b * d->m.block, d->m.block);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_random_devices(void **state)
{
	const uint64_t seed = from_env("OVBD_SEED", 1), cases = from_env("OVBD_CASES", 7);
	uint64_t cuts = 0, entries = 0, older = 0, moved = 0, deepest = 0;

	(void)state;
	for (uint64_t i = seed; i < seed + cases; i++) {
		const enum bow_make_layout layout = i % 5 < 3    ? BOW_MAKE_1_0
		                                    : i % 5 == 3 ? BOW_MAKE_EARLY
		                                                 : BOW_MAKE_PROTOTYPE;
		const struct bow_random_params p = {
			.layout = layout,
			.block = layout == BOW_MAKE_1_0 ? 512u << (i % 4 & (i % 4 ^ i % 3)) : 4096,
			.nblocks = 40 + (size_t)(i % 3 * (layout == BOW_MAKE_1_0 ? 90 : 10)),
			.steps = 40 + (unsigned)(i * 37 % 300),
			.kernel = i % 2,
			.seed = i,
		};
		struct bow_random *d = bow_random_create(&p);
		struct trial t = {.d = d, .random = i};

		check_original(d);
		cut_restore(&t, d->disk, 1);
		cut_settle(&t);
		cuts += t.cuts;
		entries += d->m.nentries;
		older += d->m.sequence;
		moved += d->nmoved;
		deepest = t.deepest > deepest ? t.deepest : deepest;
		bow_random_free(d);
	}
	printf("seeds %llu..: %llu devices, %llu entries (%llu of moved backups), %llu older log "
	       "blocks, %llu cuts, %llu deep\n",
	       (unsigned long long)seed, (unsigned long long)cases, (unsigned long long)entries,
	       (unsigned long long)moved, (unsigned long long)older, (unsigned long long)cuts,
	       (unsigned long long)deepest);
	assert_true(getenv("OVBD_CASES") || (older > 0 && moved > 0 && deepest == DEPTH));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
