// SPDX-License-Identifier: Apache-2.0
/* The map of ranges of backup on write, against an array with one kind a unit. */
#include "tests/unit/test.h"

#include <errno.h>

#include "base/bytes.h"
#include "bow/ranges.h"
#include "tests/lib/fault.h"

#define UNITS 512u

struct model {
	struct bow_ranges *r;
	uint8_t kind[UNITS];
};

/* The run of one kind at unit i, up to the end. */
static size_t run(const struct model *m, size_t i)
{
	size_t n = 1;

	while (i + n < UNITS && m->kind[i + n] == m->kind[i])
		n++;
	return n;
}

static void compare(const struct model *m)
{
	uint64_t bytes[BOW_KINDS] = {0}, count[BOW_KINDS] = {0}, largest = 0;
	struct bow_range g;
	const bool any = ovbd_bow_ranges_largest(m->r, &g);

	for (size_t i = 0; i < UNITS;) {
		const size_t n = run(m, i);

		g = ovbd_bow_ranges_at(m->r, i, UNITS - i);
		assert_int_equal(g.off, i);
		assert_int_equal(g.len, n);
		assert_int_equal(g.kind, m->kind[i]);
		g = ovbd_bow_ranges_at(m->r, i + n / 2, 1);
		assert_int_equal(g.len, 1);
		assert_int_equal(g.kind, m->kind[i]);
		if (m->kind[i] != BOW_UNCHANGED) {
			bytes[m->kind[i]] += n;
			count[m->kind[i]]++;
		}
		if (m->kind[i] == BOW_FREE) {
			largest = ovbd_max(largest, n);
		}
		i += n;
	}
	for (unsigned k = BOW_FREE; k < BOW_KINDS; k++) {
		assert_int_equal(ovbd_bow_ranges_bytes(m->r, k), bytes[k]);
		assert_int_equal(ovbd_bow_ranges_count(m->r, k), count[k]);
	}
	assert_int_equal(any, largest > 0);
	if (any) {
		assert_true(ovbd_bow_ranges_largest(m->r, &g));
		assert_int_equal(g.len, largest);
		assert_int_equal(m->kind[g.off], BOW_FREE);
		assert_int_equal(run(m, g.off), largest);
	}
}

static void test_model(void **state)
{
	struct model m = {0};
	struct ovbd_error err;
	uint64_t random = 7;

	(void)state;
	assert_ok(ovbd_bow_ranges_create(&m.r, &err), err);
	for (unsigned step = 0; step < 20000; step++) {
		const uint64_t off = test_random(&random) % UNITS;
		const uint64_t len = 1 + test_random(&random) % ovbd_min(UNITS - off, 40);
		const enum bow_kind kind = test_random(&random) % BOW_KINDS;
		size_t budget = 0;

		assert_ok(ovbd_bow_ranges_reserve(m.r, 1, &budget, &err), err);
		ovbd_bow_ranges_put(m.r, off, len, kind, &budget);
		ovbd_bow_ranges_release(m.r, &budget);
		memset(m.kind + off, (int)kind, len);
		if (step % 16 == 0)
			compare(&m);
	}
	ovbd_bow_ranges_free(m.r);
}

static void test_next(void **state)
{
	struct bow_ranges *r;
	struct bow_range g;
	struct ovbd_error err;
	size_t budget = 0;

	(void)state;
	assert_ok(ovbd_bow_ranges_create(&r, &err), err);
	assert_false(ovbd_bow_ranges_next(r, 0, &g));
	assert_ok(ovbd_bow_ranges_reserve(r, 2, &budget, &err), err);
	ovbd_bow_ranges_put(r, 100, 50, BOW_FREE, &budget);
	ovbd_bow_ranges_put(r, 200, 10, BOW_BACKUP, &budget);
	ovbd_bow_ranges_release(r, &budget);
	assert_true(ovbd_bow_ranges_next(r, 0, &g));
	assert_int_equal(g.off, 100);
	assert_int_equal(g.len, 50);
	assert_true(ovbd_bow_ranges_next(r, 149, &g));
	assert_int_equal(g.off, 149);
	assert_int_equal(g.len, 1);
	assert_true(ovbd_bow_ranges_next(r, 150, &g));
	assert_int_equal(g.kind, BOW_BACKUP);
	assert_false(ovbd_bow_ranges_next(r, 210, &g));
	ovbd_bow_ranges_free(r);
}

/* What is many is found as quickly; and memory goes when what it was for goes. */
static void test_many(void **state)
{
	struct bow_ranges *r;
	struct ovbd_error err;
	uint64_t memory;
	size_t budget = 0;

	(void)state;
	assert_ok(ovbd_bow_ranges_create(&r, &err), err);
	for (uint64_t i = 0; i < 200000; i++) {
		assert_ok(ovbd_bow_ranges_reserve(r, 1, &budget, &err), err);
		ovbd_bow_ranges_put(r, i * 8192, 4096, BOW_FREE, &budget);
		ovbd_bow_ranges_release(r, &budget);
	}
	memory = ovbd_bow_ranges_memory(r);
	assert_true(memory < 200000 * 80u);
	assert_ok(ovbd_bow_ranges_reserve(r, 1, &budget, &err), err);
	ovbd_bow_ranges_put(r, 0, 200000 * UINT64_C(8192), BOW_CHANGED, &budget);
	ovbd_bow_ranges_release(r, &budget);
	assert_int_equal(ovbd_bow_ranges_count(r, BOW_CHANGED), 1);
	assert_true(ovbd_bow_ranges_memory(r) < 80 * 80u);
	ovbd_bow_ranges_free(r);
}

/* Without memory nothing is set aside, and what was set aside is enough. */
static void test_no_memory(void **state)
{
	(void)state;
	for (long n = 1;; n++) {
		struct bow_ranges *r = NULL;
		struct ovbd_error err;
		size_t budget = 0;
		int ret;

		test_fault_set(n);
		ret = ovbd_bow_ranges_create(&r, &err);
		if (ret == 0)
			ret = ovbd_bow_ranges_reserve(r, 3, &budget, &err);
		if (ret == 0) {
			ovbd_bow_ranges_put(r, 0, 100, BOW_FREE, &budget);
			ovbd_bow_ranges_put(r, 10, 10, BOW_CHANGED, &budget);
			ovbd_bow_ranges_put(r, 15, 1, BOW_TAKEN, &budget);
			ovbd_bow_ranges_release(r, &budget);
			assert_int_equal(ovbd_bow_ranges_count(r, BOW_CHANGED), 2);
		}
		ovbd_bow_ranges_free(r);
		if (!test_fault_hit()) {
			assert_int_equal(ret, 0);
			assert_true(n > 3);
			return;
		}
		assert_int_equal(ret, -ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
