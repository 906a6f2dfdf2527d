// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/pool.h"

#define NJOBS_MAX 32

struct work {
	uint64_t input[NJOBS_MAX], output[NJOBS_MAX];
	_Atomic unsigned busy[8]; /* by thread: two calls at once would show */
	uint64_t expected;        /* the next input that done() must see */
	uint64_t fail_at;
	unsigned nthreads;
};

static void work_fn(void *ctx, unsigned job, unsigned thread)
{
	struct work *w = ctx;
	uint64_t x = w->input[job];

	assert_true(thread < w->nthreads);
	assert_int_equal(atomic_fetch_add(&w->busy[thread], 1), 0);
	for (uint64_t i = 0; i < w->input[job] % 7 * 200; i++) /* of different lengths */
		test_random(&x);
	w->output[job] = w->input[job] * 3;
	atomic_fetch_sub(&w->busy[thread], 1);
}

static int done_fn(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct work *w = ctx;

	assert_int_equal(w->input[job], w->expected);
	assert_int_equal(w->output[job], w->expected * 3);
	if (w->expected == w->fail_at)
		return ovbd_fail(err, -EIO, "failed at %d", (int)w->fail_at);
	w->expected++;
	return 0;
}

static int run(struct work *w, unsigned nthreads, unsigned njobs, uint64_t n,
               struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {work_fn, done_fn};
	AUTO_POOL *p = NULL;
	int r = 0;

	w->nthreads = nthreads;
	assert_ok(ovbd_pool_create(&ops, w, nthreads, njobs, &p, err), *err);
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		unsigned job;

		r = ovbd_pool_next(p, &job, err);
		if (r == 0) {
			w->input[job] = i;
			ovbd_pool_submit(p, job);
		}
	}
	if (r < 0) { /* it stays so */
		unsigned job;

		assert_int_equal(ovbd_pool_next(p, &job, NULL), r);
	}
	return ovbd_pool_drain(p, err);
}

static void test_order(void **state)
{
	(void)state;
	for (unsigned nthreads = 1; nthreads <= 8; nthreads += nthreads == 1 ? 1 : 2) {
		for (unsigned njobs = 1; njobs <= NJOBS_MAX; njobs *= 2) {
			struct work w = {.fail_at = UINT64_MAX};
			struct ovbd_error err;

			assert_ok(run(&w, nthreads, njobs, 500, &err), err);
			assert_int_equal(w.expected, 500);
		}
	}
}

static void test_failure(void **state)
{
	(void)state;
	for (unsigned nthreads = 1; nthreads <= 4; nthreads++) {
		for (uint64_t at = 0; at < 40; at += 13) {
			struct work w = {.fail_at = at};
			struct ovbd_error err;

			assert_fails(run(&w, nthreads, 8, 40, &err), -EIO, err, "failed at");
			assert_int_equal(w.expected, at); /* nothing after it */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
