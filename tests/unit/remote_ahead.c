// SPDX-License-Identifier: Apache-2.0
/* Ranges that are brought before they are read; and what is asked for so that they come. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "remote/ahead.h"
#include "remote/prefetch.h"
#include "tests/lib/source.h"

#define SIZE (4u << 20)

static struct ovbd_blob *open_ahead(struct test_source *s, bool kept)
{
	struct ovbd_error err;
	struct ovbd_blob *b;

	test_source_init(s, SIZE, 7);
	assert_ok(ovbd_ahead_open(&s->blob, kept, &b, &err), err);
	return b;
}

static void read_right(const struct test_source *s, struct ovbd_blob *b, uint64_t off, size_t len)
{
	AUTO_FREE uint8_t *buf = malloc(len);
	struct ovbd_error err;

	assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
	assert_true(test_source_is(s, buf, len, off));
}

static void plan(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	const struct ovbd_range r = {.off = off, .len = len};
	struct ovbd_error err;

	assert_ok(ovbd_ahead_plan(b, &r, 1, &err), err);
}

static void test_brought_once(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	struct ovbd_error err;

	(void)state;
	read_right(&s, b, 5, 10); /* nothing planned: passed on */
	assert_int_equal(s.nbytes, 10);
	plan(b, 1000, 1000);
	plan(b, 500, 2000); /* of which half is planned already */
	assert_int_equal(ovbd_ahead_stats(b).planned, 2000);
	assert_ok(ovbd_ahead_bring(b, 0, SIZE, &err), err);
	assert_int_equal(s.nbytes, 10 + 2000);
	assert_int_equal(ovbd_ahead_stats(b).brought, 2000);
	read_right(&s, b, 700, 1700);
	read_right(&s, b, 1100, 7);
	assert_int_equal(s.nbytes, 10 + 2000);
	assert_int_equal(ovbd_ahead_stats(b).used, 1700);
	read_right(&s, b, 400, 3000); /* 100 before and 900 behind it */
	assert_int_equal(s.nbytes, 10 + 2000 + 1000);
	assert_ok(ovbd_ahead_bring(b, 0, SIZE, &err), err);
	assert_int_equal(s.nbytes, 10 + 2000 + 1000);
	plan(b, SIZE - 10, 100); /* beyond the end */
	assert_ok(ovbd_ahead_bring(b, 0, SIZE, &err), err);
	read_right(&s, b, SIZE - 10, 10);
	assert_int_equal(s.nbytes, 10 + 2000 + 1000 + 10);
}

/* A read of a part of what is planned brings all of it, for those who come later. */
static void test_read_brings(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	struct ovbd_error err;

	(void)state;
	plan(b, 4096, 8192);
	read_right(&s, b, 5000, 1);
	assert_int_equal(s.nreads, 1);
	assert_int_equal(s.nbytes, 8192);
	read_right(&s, b, 4096, 8192);
	assert_ok(ovbd_ahead_bring(b, 4096, 8192, &err), err);
	assert_int_equal(s.nreads, 1);
}

static void test_failure(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	plan(b, 0, 4096);
	atomic_store(&s.fail, 1);
	assert_fails(ovbd_ahead_bring(b, 0, 4096, &err), -EIO, err, "");
	assert_int_equal(ovbd_ahead_stats(b).nfailed, 1);
	read_right(&s, b, 0, 4096); /* as if it had never been planned */
	plan(b, 8192, 4096);
	atomic_store(&s.fail, 1);
	assert_int_equal(ovbd_blob_pread(b, &byte, 1, 8192, &err), -EIO); /* its own failure */
	read_right(&s, b, 8192, 4096);
}

static void test_put_and_doubt(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	struct ovbd_error err;
	uint8_t head[100];

	(void)state;
	test_source_bytes(&s, head, sizeof(head), 0);
	assert_ok(ovbd_ahead_put(b, head, sizeof(head), 0, &err), err);
	plan(b, 100, 100);
	atomic_store(&s.lie, 1);
	assert_ok(ovbd_ahead_bring(b, 100, 100, &err), err);
	read_right(&s, b, 10, 90);
	assert_int_equal(s.nreads, 1);
	assert_int_equal(ovbd_blob_pread(b, head, 1, 100, &err), 0);
	assert_false(test_source_is(&s, head, 1, 100));
	assert_true(ovbd_blob_distrust(b, 100, 1));
	read_right(&s, b, 100, 100); /* anew */
	read_right(&s, b, 10, 90);
	assert_int_equal(s.nreads, 2);
}

/* Where the source keeps things nothing is held. */
static void test_kept(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, true);
	struct ovbd_error err;
	uint8_t head[100];

	(void)state;
	test_source_bytes(&s, head, sizeof(head), 0);
	assert_ok(ovbd_ahead_put(b, head, sizeof(head), 0, &err), err);
	plan(b, 4096, 4096);
	read_right(&s, b, 4100, 10);
	assert_int_equal(s.nbytes, 10);
	assert_int_equal(ovbd_ahead_stats(b).used, 0);
	assert_ok(ovbd_ahead_bring(b, 4096, 4096, &err), err);
	assert_int_equal(s.nbytes, 10 + 4096);
	read_right(&s, b, 4000, 1000);
	assert_int_equal(s.nbytes, 10 + 4096 + 1000);
	assert_int_equal(ovbd_ahead_stats(b).used, 904);
	read_right(&s, b, 0, 100); /* but for what was put */
	assert_int_equal(s.nbytes, 10 + 4096 + 1000);
}

struct reader {
	struct test_source *s;
	struct ovbd_blob *b;
};

static void *read_it(void *arg)
{
	const struct reader *r = arg;

	read_right(r->s, r->b, 100, 200);
	return NULL;
}

static void *bring_it(void *arg)
{
	const struct reader *r = arg;

	ovbd_ahead_bring(r->b, 0, 4096, NULL);
	return NULL;
}

/* Readers wait for what is on its way, and ask nobody. */
static void test_one_flight(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	struct reader r = {.s = &s, .b = b};
	pthread_t bringer, readers[4];

	(void)state;
	plan(b, 0, 4096);
	atomic_store(&s.hold, 1);
	pthread_create(&bringer, NULL, bring_it, &r);
	while (atomic_load(&s.nwaiting) == 0)
		sched_yield();
	for (int i = 0; i < 4; i++)
		pthread_create(&readers[i], NULL, read_it, &r);
	assert_false(ovbd_ahead_is_busy(b));
	atomic_store(&s.hold, 0);
	pthread_join(bringer, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(s.nreads, 1);
}

/* More than may be held: the rest is as if it had never been planned; and what was read makes
 * room. */
static void test_memory(void **state)
{
	struct test_source s;
	struct ovbd_error err;
	AUTO_BLOB *b = NULL;
	const uint64_t piece = 16u << 20, npieces = OVBD_AHEAD_HELD_MAX / piece;

	(void)state;
	test_source_init(&s, (npieces + 2) * piece, 7);
	assert_ok(ovbd_ahead_open(&s.blob, false, &b, &err), err);
	for (uint64_t i = 0; i < npieces + 2; i++)
		plan(b, i * piece, piece);
	assert_ok(ovbd_ahead_bring(b, 0, (npieces + 1) * piece, &err), err);
	assert_int_equal(s.nbytes, npieces * piece);
	read_right(&s, b, npieces * piece, 10); /* had no room */
	assert_int_equal(s.nbytes, npieces * piece + 10);
	read_right(&s, b, 0, piece);
	assert_int_equal(s.nbytes, npieces * piece + 10);
	assert_ok(ovbd_ahead_bring(b, (npieces + 1) * piece, piece, &err), err);
	assert_int_equal(s.nbytes, (npieces + 1) * piece + 10);
	read_right(&s, b, 0, 10); /* gave it its room */
	assert_int_equal(s.nbytes, (npieces + 1) * piece + 20);
}

/* ---- what is asked for ---- */

static void assert_range(const struct ovbd_prefetch_range *r, uint32_t blob, uint64_t off,
                         uint64_t len)
{
	assert_int_equal(r->blob, blob);
	assert_int_equal(r->off, off);
	assert_int_equal(r->len, len);
}

static void test_plan(void **state)
{
	const struct ovbd_prefetch_range wants[] = {
		{1, 1000000, 1000}, {0, 500000, 300000}, {0, 0, 100}, {0, 0, 0},
		{0, 100, 100},      {0, 1000, 100},      {0, 50, 10}, {0, 799000, 2000},
	};
	AUTO_FREE struct ovbd_prefetch_range *made = NULL;
	struct ovbd_error err;
	uint64_t named;
	size_t n;

	(void)state;
	assert_ok(ovbd_prefetch_plan(wants, 8, &made, &n, &named, &err), err);
	assert_int_equal(named, 1000 + 301000 + 200 + 100);
	assert_int_equal(n, 4);
	assert_range(&made[0], 1, 1000000, 1000);
	assert_range(&made[1], 0, 500000, OVBD_PREFETCH_PIECE);
	assert_range(&made[2], 0, 500000 + OVBD_PREFETCH_PIECE, 301000 - OVBD_PREFETCH_PIECE);
	assert_range(&made[3], 0, 0, 1100); /* a gap of 800 */
}

/* Gaps are closed, but not for more than a sixteenth; and every byte comes once. */
static void test_plan_random(void **state)
{
	enum { BLOBS = 3, LEN = 200000, N = 60 };
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 100; round++) {
		static uint8_t want[BLOBS][LEN], have[BLOBS][LEN];
		AUTO_FREE struct ovbd_prefetch_range *made = NULL;
		struct ovbd_prefetch_range wants[N];
		uint64_t named, right = 0, sum = 0;
		struct ovbd_error err;
		size_t n;

		memset(want, 0, sizeof(want));
		memset(have, 0, sizeof(have));
		for (size_t i = 0; i < N; i++) {
			wants[i].blob = (uint32_t)(test_random(&seed) % BLOBS);
			wants[i].off = test_random(&seed) % (LEN - 3000);
			wants[i].len = test_random(&seed) % 3000;
			memset(want[wants[i].blob] + wants[i].off, 1, wants[i].len);
		}
		assert_ok(ovbd_prefetch_plan(wants, N, &made, &n, &named, &err), err);
		for (size_t i = 0; i < n; i++) {
			assert_true(made[i].len > 0 && made[i].len <= OVBD_PREFETCH_PIECE);
			for (uint64_t k = 0; k < made[i].len; k++)
				assert_int_equal(have[made[i].blob][made[i].off + k]++, 0);
			sum += made[i].len;
		}
		for (size_t i = 0; i < BLOBS; i++)
			for (size_t k = 0; k < LEN; k++) {
				right += want[i][k];
				assert_true(have[i][k] >= want[i][k]);
			}
		assert_int_equal(named, right);
		assert_true(sum <= right + right / 16);
	}
}

/* ---- bringing it ---- */

static void wait_until_done(struct ovbd_prefetch *f)
{
	const struct timespec t = {.tv_nsec = 1000000};

	while (!ovbd_prefetch_is_done(f))
		nanosleep(&t, NULL);
}

static void test_prefetch(void **state)
{
	struct test_source s[2];
	struct ovbd_blob *b[2] = {open_ahead(&s[0], false), open_ahead(&s[1], false)};
	struct ovbd_prefetch_range ranges[200];
	OVBD_AUTO(ovbd_prefetch_closep) struct ovbd_prefetch *f = NULL;
	struct ovbd_error err;

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		ranges[i] = (struct ovbd_prefetch_range){.blob = i & 1,
		                                         .off = (i * 7919 % 1000) * 4096,
		                                         .len = 4096};
	atomic_store(&s[1].fail, 3);
	assert_ok(ovbd_prefetch_start(b, ranges, 200, NULL, &f, &err), err);
	wait_until_done(f);
	assert_int_equal(s[0].nbytes, 100 * 4096);
	assert_int_equal(s[1].nbytes, 97 * 4096);
	for (uint32_t i = 0; i < 200; i++)
		read_right(&s[i & 1], b[i & 1], ranges[i].off, 4096);
	assert_int_equal(s[0].nbytes, 100 * 4096);
	assert_int_equal(s[1].nbytes, 100 * 4096);
	ovbd_prefetch_close(OVBD_MOVE(f));
	ovbd_blob_close(b[0]);
	ovbd_blob_close(b[1]);
}

/* Closing it does not wait for what has not begun, and what has not begun is still readable. */
static void test_prefetch_stops(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	const struct ovbd_prefetch_params p = {.concurrency = 3};
	struct ovbd_prefetch_range ranges[50];
	struct ovbd_prefetch *f;
	struct ovbd_error err;

	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		ranges[i] = (struct ovbd_prefetch_range){.off = i * 4096u, .len = 4096};
	atomic_store(&s.hold, 1);
	assert_ok(ovbd_prefetch_start(&b, ranges, 50, &p, &f, &err), err);
	while (atomic_load(&s.nwaiting) < 3)
		sched_yield();
	assert_false(ovbd_prefetch_is_done(f));
	atomic_store(&s.hold, 0);
	ovbd_prefetch_close(f);
	for (uint32_t i = 0; i < 50; i++)
		read_right(&s, b, ranges[i].off, 4096);
	assert_int_equal(s.nbytes, 50 * 4096);
}

/* A second for 100 KB at this rate; it may take longer, never shorter. */
static void test_rate(void **state)
{
	struct test_source s;
	AUTO_BLOB *b = open_ahead(&s, false);
	const struct ovbd_prefetch_params p = {.rate = 200000};
	OVBD_AUTO(ovbd_prefetch_closep) struct ovbd_prefetch *f = NULL;
	struct ovbd_prefetch_range ranges[11];
	struct timespec start, end;
	struct ovbd_error err;

	(void)state;
	for (uint32_t i = 0; i < 11; i++)
		ranges[i] = (struct ovbd_prefetch_range){.off = i * 10000u, .len = 10000};
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_ok(ovbd_prefetch_start(&b, ranges, 11, &p, &f, &err), err);
	wait_until_done(f);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000 >=
	            499);
	ovbd_prefetch_close(OVBD_MOVE(f));
}

/* ---- all at once ---- */

struct crowd {
	struct test_source *s;
	struct ovbd_blob *b;
	uint64_t seed;
};

static void *read_at_random(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 300; i++) {
		const uint64_t off = test_random(&c->seed) % (SIZE - 1);

		read_right(c->s, c->b, off,
		           (size_t)(1 + test_random(&c->seed) % ovbd_min(50000, SIZE - off)));
	}
	return NULL;
}

static void test_crowd(void **state)
{
	for (int kept = 0; kept < 2; kept++) {
		struct test_source s;
		struct ovbd_blob *b = open_ahead(&s, kept);
		struct crowd crowd[8];
		pthread_t threads[8];
		struct ovbd_prefetch_range ranges[256];
		struct ovbd_prefetch *f;
		struct ovbd_error err;

		(void)state;
		s.delay_us = 50;
		for (uint32_t i = 0; i < 256; i++)
			ranges[i] = (struct ovbd_prefetch_range){.off = (i * 101 % 256) * 16384u,
			                                         .len = 10000};
		assert_ok(ovbd_prefetch_start(&b, ranges, 256, NULL, &f, &err), err);
		for (int i = 0; i < 8; i++) {
			crowd[i] = (struct crowd){.s = &s, .b = b, .seed = (uint64_t)i};
			pthread_create(&threads[i], NULL, read_at_random, &crowd[i]);
		}
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		wait_until_done(f);
		assert_int_equal(ovbd_ahead_stats(b).brought, 256 * 10000);
		ovbd_prefetch_close(f);
		ovbd_blob_close(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brought_once),   cmocka_unit_test(test_read_brings),
		cmocka_unit_test(test_failure),        cmocka_unit_test(test_put_and_doubt),
		cmocka_unit_test(test_kept),           cmocka_unit_test(test_one_flight),
		cmocka_unit_test(test_memory),         cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_random),    cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_prefetch_stops), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
