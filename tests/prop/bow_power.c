// SPDX-License-Identifier: Apache-2.0
/*
 * The power fails while a device of type bow goes through its states, at every write and flush of
 * the disk below: before the checkpoint, in it, while it is committed or taken back, by the device
 * or offline; and again after it was opened and went on, or while the restore is done, and again.
 *
 * What has a log is restored to what it was at the checkpoint, to the byte, by ours and by an
 * observer, and opens as what was flushed; once a commit cannot be taken back, it is the new as a
 * whole, whoever finishes it. Of every fourth seed a write or a flush of the disk fails as well.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/restore.h"
#include "tests/lib/bow_story.h"
#include "tests/lib/bow_offline.h"
#include "tests/lib/bow_undo.h"
#include "tests/unit/test.h"

#define CASES  6
#define SECTOR TEST_BOW_SECTOR

static uint64_t ncuts, nstates, nfound[6], nopened, nagain; /* ncuts: of a seed */

static const char *where(const struct story *t, size_t at)
{
	static char text[200];

	snprintf(text, sizeof(text), "seed %llu, depth %u, %s at %zu of %zu",
	         (unsigned long long)t->seed, t->depth, t->killed ? "killed" : "cut", at,
	         test_power_count(t->power));
	return text;
}

/* ---- what is found ---- */

static unsigned find(const struct story *t, const uint8_t *bytes, unsigned may, size_t at)
{
	struct ovbd_bow_info info;
	struct ovbd_error err = {""};
	unsigned found = TEST_BOW_LOG;
	struct ovbd_blob *b;
	int r;

	assert_int_equal(ovbd_blob_open_mem(bytes, t->size, &b, NULL), 0);
	r = ovbd_bow_inspect(b, &info, &err);
	ovbd_blob_close(b);

	if (r < 0 && r != -ENOMSG)
		fail_msg("%s: inspect: %s", where(t, at), err.msg);
	if (r == -ENOMSG)
		found = TEST_BOW_BEFORE | TEST_BOW_NEW | TEST_BOW_OLD;
	else if (info.partial)
		found = TEST_BOW_PARTIAL;
	else if (info.committing)
		found = TEST_BOW_SETTLING;
	if (!(found & may))
		fail_msg("%s: found %u, may be %u", where(t, at), found, may);
	for (unsigned i = 0; i < 6; i++)
		nfound[i] += found & may & 1u << i ? 1 : 0;
	return found & may;
}

static void check_numbers(const struct story *t, const struct test_bow_cut *c, bool committed,
                          const uint8_t *bytes, const char *what)
{
	for (uint64_t i = 0; i < t->nsectors; i++) {
		const uint64_t number = test_bow_number(bytes + i * SECTOR);

		if (!test_bow_may_be(c, committed, i, number))
			fail_msg("%s: %s: sector %llu is %lld", where(t, c->at), what,
			         (unsigned long long)i, (long long)number);
	}
}

/* ---- offline ---- */

/* Not all cuts are looked at so; and of those with a long log, which take longer, fewer. */
static bool is_chosen(const uint8_t *bytes, uint64_t n)
{
	return n % (ovbd_get_le32(bytes + 12) > (SECTOR - 28) / 24 ? 150 : 60) == 0;
}

/* A copy of it, restored by both, is the old; and so is that of every cut, now and then. */
static void check_restore(struct story *t, const struct test_bow_cut *c, const uint8_t *bytes,
                          unsigned found, size_t at)
{
	struct test_bow_offline o = {
		.where = where(t, at),
		.size = t->size,
		.want = c->h->old,
		.any = c->h->old_any,
		.random = t->seed + ncuts,
		.depth = ncuts % 7 == 0,
	};
	struct test_bow_disk k = {.bytes = malloc(t->size), .size = t->size};
	struct ovbd_bow_info info;
	struct ovbd_error err = {""};
	const char *why = NULL;

	assert_non_null(k.bytes);
	memcpy(k.bytes, bytes, t->size);
	if (found == TEST_BOW_LOG) {
		if (test_bow_undo(k.bytes, t->size, &why) != TEST_BOW_UNDONE)
			fail_msg("%s: the observer finds %s", where(t, at), why ? why : "no log");
		test_bow_is_wanted(&o, k.bytes, "restored by the observer");
		memcpy(k.bytes, bytes, t->size);
	}
	if (ovbd_bow_restore(test_bow_disk(&k), NULL, &info, &err) < 0)
		fail_msg("%s: restore: %s", where(t, at), err.msg);
	test_bow_is_wanted(&o, k.bytes, "restored");
	free(k.bytes);
	if (is_chosen(bytes, ncuts))
		test_bow_restore_cuts(&o, bytes);
	nstates += o.nstates;
}

/* A restore of what is being committed finishes the commit. */
static void check_settling(const struct story *t, const struct test_bow_cut *c,
                           const uint8_t *bytes)
{
	struct test_bow_disk k = {.bytes = malloc(t->size), .size = t->size};
	struct ovbd_bow_info info = {0};
	struct ovbd_error err = {""};

	assert_non_null(k.bytes);
	memcpy(k.bytes, bytes, t->size);
	if (ovbd_bow_restore(test_bow_disk(&k), NULL, &info, &err) < 0)
		fail_msg("%s: restore of a commit: %s", where(t, c->at), err.msg);
	if (!info.committing)
		fail_msg("%s: restore did not say that it was a commit", where(t, c->at));
	check_numbers(t, c, true, k.bytes, "restored to the new");
	free(k.bytes);
}

/* Settled, and every cut of that: what the device reads as. Once that has begun, a restore does
 * it. */
static void check_settle(const struct story *t, const uint8_t *bytes, const uint8_t *reads_as,
                         unsigned found, size_t at)
{
	struct test_bow_offline o = {
		.where = where(t, at),
		.size = t->size,
		.want = reads_as,
		.random = t->seed + ncuts,
		.depth = ncuts % 7 == 0,
	};
	uint8_t *any = calloc(1, t->nsectors);

	assert_non_null(any);
	o.any = any;
	test_bow_settle_cuts(&o, bytes);
	if (found == TEST_BOW_SETTLING)
		test_bow_restore_cuts(&o, bytes);
	nstates += o.nstates;
	free(any);
}

/* ---- opened ---- */

static void cuts(struct story *t, const uint8_t *before, unsigned nrandom);

/* The device after a cut: opened, looked at; now and then it goes on, until the next. */
static void go_on(const struct story *before, const struct test_bow_cut *c, unsigned found,
                  uint8_t *bytes, size_t at)
{
	const bool committed = found & (TEST_BOW_SETTLING | TEST_BOW_NEW);
	struct story *t = calloc(1, sizeof(*t));
	uint8_t *as_found = malloc(before->size), *reads_as = malloc(before->size);
	const bool again = before->depth < 2 && ncuts % 50 == 7;
	enum ovbd_bow_state s;

	assert_true(t && as_found && reads_as);
	memcpy(as_found, bytes, before->size);
	story_continue(t, before, bytes, before->seed + ncuts);
	s = story_open(t, where(before, at));
	nopened++;
	if (found == TEST_BOW_LOG ? s != OVBD_BOW_CHECKPOINT
	                          : s != OVBD_BOW_TRIM && s != OVBD_BOW_COMMITTED)
		fail_msg("%s: found %u, opens as %s", where(before, at), found,
		         ovbd_bow_state_name(s));
	assert_int_equal(ovbd_blob_pread(t->device->blob, reads_as, t->size, 0, NULL), 0);
	if (found != TEST_BOW_OLD)
		check_numbers(before, c, committed, reads_as, "opened");
	if ((found == TEST_BOW_LOG && is_chosen(as_found, ncuts + 30)) ||
	    (found == TEST_BOW_SETTLING && ncuts % 4 == 0))
		check_settle(before, as_found, reads_as, found, at);
	if (again) {
		nagain++;
		story_opened(t, before, c, committed, found == TEST_BOW_OLD, at, reads_as);
		story_do(t);
	}
	ovbd_device_close(t->device);
	if (again)
		cuts(t, as_found, 2);
	story_end(t);
	free(t);
	free(as_found);
	free(reads_as);
}

static void check_cut(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	struct story *t = arg;
	const struct test_bow_cut c = test_bow_cut_of((struct test_bow_cut){&t->h, at, t->killed});
	const unsigned found = find(t, disks[0], test_bow_may_find(&c), at);
	const struct test_bow_offline o = {where(t, at), t->size, c.h->old, c.h->old_any, 0, 0, 0};

	ncuts++;
	nstates++;
	if (found == TEST_BOW_SETTLING)
		check_settling(t, &c, disks[0]);
	if (found & (TEST_BOW_LOG | TEST_BOW_PARTIAL))
		check_restore(t, &c, disks[0], found, at);
	if (found == TEST_BOW_OLD)
		test_bow_is_wanted(&o, disks[0], "taken back");
	if (found == TEST_BOW_PARTIAL)
		story_must_not_open(t, disks[0], where(t, at));
	else
		go_on(t, &c, found, disks[0], at);
}

/* ---- cuts ---- */

static void cuts(struct story *t, const uint8_t *before, unsigned nrandom)
{
	struct test_power_params how = {
		.before = {before},
		.sizes = {t->size},
		.seed = t->random,
		.nrandom = nrandom,
		.nsingle = 2,
		.every = 1,
		.check = check_cut,
		.arg = t,
		.killed = &t->killed,
	};

	if (t->nsectors > 256 || t->depth > 0) {
		how.every = 1 + test_power_count(t->power) / 60;
		how.first = test_random(&t->random) % how.every;
	}
	test_power_cuts(t->power, &how);
}

static void one(uint64_t seed)
{
	static struct story t;
	uint8_t *before;

	ncuts = 0;
	story_begin(&t, seed);
	before = malloc(t.size);
	assert_non_null(before);
	memcpy(before, t.bytes, t.size);
	story_do(&t);
	ovbd_device_close(t.device);
	cuts(&t, before, 3);
	free(before);
	free(t.bytes);
	story_end(&t);
}

static void test_cuts(void **state)
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
	printf("seeds %llu to %llu: %llu states after cuts, of these before the checkpoint %llu, "
	       "with a log %llu, in a commit %llu, after it %llu, in an abort %llu, after it %llu; "
	       "%llu opened, %llu went on\n",
	       (unsigned long long)first, (unsigned long long)(first + n - 1),
	       (unsigned long long)nstates, (unsigned long long)nfound[0],
	       (unsigned long long)nfound[1], (unsigned long long)nfound[2],
	       (unsigned long long)nfound[3], (unsigned long long)nfound[4],
	       (unsigned long long)nfound[5], (unsigned long long)nopened,
	       (unsigned long long)nagain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
