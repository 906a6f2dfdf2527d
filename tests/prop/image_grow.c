// SPDX-License-Identifier: Apache-2.0
/*
 * Images in use that become larger, of all formats, while threads write and read and another one
 * makes snapshots. Nothing of what was written is lost, what is new reads as zeros until somebody
 * writes to it, and who opens the image afterwards finds the last size.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/device.h"
#include "base/thread.h"
#include "tests/lib/snapshot_image.h"
#include "tests/unit/test.h"

#define NGROWS     24u
#define NSNAPSHOTS 4u
#define STEP       UINT64_C(66048) /* no multiple of a block */
#define SIZE(n)    (TEST_SIZE + (n)*STEP)

/* Who has the blocks of one of the base's writers. */
struct user {
	pthread_t thread;
	struct ovbd_device *device;
	uint64_t number, random;
	uint64_t seq[TEST_BLOCKS]; /* of the last write to each; 0: none */
	_Atomic uint64_t n;        /* writes */
};

static struct user users[TEST_WRITERS];
static atomic_bool stop;
static bool over_base;

static bool is_right(const struct user *u, struct ovbd_blob *b, uint64_t i)
{
	const uint64_t at = (u->number - 1) * TEST_BLOCKS + i;
	uint8_t got[TEST_BLOCK], want[TEST_BLOCK];

	test_snapshot_fill(want, u->number, u->seq[i]);
	if (u->seq[i] == 0 && !(over_base && at % 2 == 0))
		memset(want, 0, TEST_BLOCK);
	return ovbd_blob_pread(b, got, TEST_BLOCK, at * TEST_BLOCK, NULL) == 0 &&
	       memcmp(got, want, TEST_BLOCK) == 0;
}

static void *use(void *arg)
{
	struct user *u = arg;
	uint8_t buf[TEST_BLOCK];

	while (!atomic_load(&stop)) {
		const uint64_t i = test_random(&u->random) % TEST_BLOCKS, seq = u->n + 1;

		test_snapshot_fill(buf, u->number, seq);
		if (ovbd_device_pwrite(u->device, buf, TEST_BLOCK,
		                       ((u->number - 1) * TEST_BLOCKS + i) * TEST_BLOCK,
		                       seq % 64 == 0 ? OVBD_WRITE_FUA : 0, NULL) < 0)
			abort();
		u->seq[i] = seq;
		if (!is_right(u, u->device->blob, test_random(&u->random) % TEST_BLOCKS))
			abort();
		u->n = seq;
	}
	return NULL;
}

static void start_users(struct ovbd_device *d, uint64_t seed)
{
	atomic_store(&stop, false);
	for (unsigned i = 0; i < TEST_WRITERS; i++) {
		users[i] = (struct user){.device = d, .number = i + 1, .random = seed + i};
		assert_int_equal(ovbd_thread_start(&users[i].thread, use, &users[i]), 0);
	}
}

static void wait_for_writes(unsigned n)
{
	for (unsigned i = 0; i < TEST_WRITERS; i++) {
		const uint64_t from = users[i].n;

		while (users[i].n < from + n)
			sched_yield();
	}
}

static void *snapshots(void *arg)
{
	static const struct ovbd_snapshot_params p;
	struct ovbd_snapshot s;

	for (unsigned i = 0; i < NSNAPSHOTS; i++) {
		if (ovbd_image_snapshot(arg, &p, &s, NULL) < 0)
			abort();
		ovbd_snapshot_release(&s);
	}
	return NULL;
}

/* What is beyond the size at first: of each piece that it grew by, its last sector was written. */
static void check_rest(struct ovbd_blob *b, unsigned ngrows)
{
	static uint8_t got[STEP];
	struct ovbd_error err;

	assert_int_equal(b->size, SIZE(ngrows));
	for (unsigned n = 1; n <= ngrows; n++) {
		assert_ok(ovbd_blob_pread(b, got, STEP, SIZE(n - 1), &err), err);
		assert_true(ovbd_is_zero(got, STEP - 512));
		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(got[STEP - 512 + i], n);
	}
}

static void check(struct ovbd_image *img)
{
	check_rest(img->blob, NGROWS);
	for (unsigned i = 0; i < TEST_WRITERS; i++)
		for (unsigned k = 0; k < TEST_BLOCKS; k++)
			assert_true(is_right(&users[i], img->blob, k));
}

static void grow(struct ovbd_image *img, unsigned n)
{
	uint8_t zeros[512], buf[512];
	struct ovbd_error err;

	assert_ok(ovbd_image_grow(img, SIZE(n), &err), err);
	assert_int_equal(img->blob->size, SIZE(n));
	assert_int_equal(img->upper->blob->size, SIZE(n));
	assert_ok(ovbd_blob_pread(img->blob, zeros, 512, SIZE(n) - 512, &err), err);
	assert_true(ovbd_is_zero(zeros, 512));
	memset(buf, (int)n, sizeof(buf));
	assert_ok(ovbd_device_pwrite(img->upper, buf, 512, SIZE(n) - 512, 0, &err), err);
	check_rest(img->blob, n);
	assert_fails(ovbd_image_grow(img, SIZE(n) - 512, &err), -ENOTSUP, err, "only grows");
}

static void run(enum test_snapshot_format format, bool base)
{
	char *config = test_snapshot_make(format, base);
	struct ovbd_image *img = test_snapshot_open(config);
	pthread_t snapper;

	over_base = base;
	start_users(img->upper, 100 * format + base);
	assert_int_equal(ovbd_thread_start(&snapper, snapshots, img), 0);
	for (unsigned n = 1; n <= NGROWS; n++) {
		wait_for_writes(2);
		grow(img, n);
	}
	pthread_join(snapper, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < TEST_WRITERS; i++)
		pthread_join(users[i].thread, NULL);
	check(img);
	assert_int_equal(ovbd_device_flush(img->upper, NULL), 0);
	ovbd_image_close(img);
	img = test_snapshot_open(config);
	assert_int_equal(img->nlayers, NSNAPSHOTS + base);
	check(img);
	ovbd_image_close(img);
	free(config);
}

static void test_over_base(void **state)
{
	(void)state;
	for (enum test_snapshot_format f = 0; f < TEST_SNAPSHOT_NFORMATS; f++)
		run(f, true);
}

static void test_over_nothing(void **state)
{
	(void)state;
	test_snapshot_clean();
	for (enum test_snapshot_format f = 0; f < TEST_SNAPSHOT_NFORMATS; f++)
		run(f, false);
}

static void test_refused(void **state)
{
	char *base = test_snapshot_path("base.lsmt");
	struct ovbd_image *img = test_snapshot_open(base);
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_image_grow(img, 2 * TEST_SIZE, &err), -EINVAL, err, "no writable layer");
	ovbd_image_close(img);
	free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_over_base),
		cmocka_unit_test(test_over_nothing),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, test_snapshot_make_dir, test_snapshot_remove_dir);
}
