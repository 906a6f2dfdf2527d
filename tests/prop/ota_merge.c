// SPDX-License-Identifier: Apache-2.0
/*
 * Random COWs are merged in place, and the power fails: at every write and flush, and again while
 * the merge goes on. What may not be merged is refused, which a model of a few lines foretells.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/cow_cuts.h"
#include "tests/lib/cow_random.h"
#include "tests/unit/test.h"

#define CASES 60

static struct {
	uint64_t ncases, nmerged, nunsafe, nrefused, nsmall, noverlapped;
	struct test_cuts cuts;
} sum;

/* NULL: it can be merged; else what is said. */
static const char *refusal(const struct test_cow *c, bool small_groups)
{
	if (!c->safe)
		return "its order of merging is not safe";
	if (!c->overlapped || c->scratch_size >= 8192)
		return NULL;
	if (c->layout == 'C')
		return "its version counts no progress";
	if (c->own)
		return "has no scratch area";
	return small_groups ? NULL : "only in small groups";
}

static void check_plan(const struct test_cow *c, const struct ovbd_merge_params *how,
                       const char *wanted, uint64_t seed)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *cow = NULL;
	struct ovbd_merge_plan plan = {.nops = 0};
	struct ovbd_error err = {""};
	struct ovbd_blob *b;
	int r;

	assert_int_equal(ovbd_blob_open_mem(c->cow, c->size, &b, NULL), 0);
	if (ovbd_cow_open(b, NULL, &cow, &err) < 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err.msg);
	r = ovbd_merge_plan(cow, (uint64_t)c->nblocks * TEST_COW_BLOCK, how, &plan, &err);
	if (r != (wanted ? -ENOTSUP : 0) || (wanted && !strstr(err.msg, wanted)))
		fail_msg("seed %llu: %d, \"%s\" instead of \"%s\"", (unsigned long long)seed, r,
		         err.msg, wanted ? wanted : "");
	if (wanted)
		return;
	assert_int_equal(plan.nops, c->nops);
	assert_true(plan.ngroups <= c->nops && plan.nscratch <= plan.ngroups);
	/* no more than are needed: */
	if (!c->overlapped && c->nblocks <= 64)
		assert_true(plan.ngroups <= 1 && plan.nscratch == 0);
}

static void one(uint64_t seed)
{
	struct test_cow c;
	struct test_cuts t = sum.cuts;
	uint64_t random = seed;
	const char *wanted;

	test_cow_random(seed, 20 + (uint32_t)(test_random(&random) % 80), &c);
	t.how.small_groups = test_random(&random) % 2;
	t.how.group_blocks = test_random(&random) % 2 ? 64 : 0;
	t.how.nthreads = test_random(&random) % 8 == 0 ? 2 : 1;
	wanted = refusal(&c, t.how.small_groups);
	check_plan(&c, &t.how, wanted, seed);
	sum.ncases++;
	sum.nunsafe += !c.safe;
	sum.nrefused += c.safe && wanted;
	if (!wanted) {
		sum.nmerged++;
		sum.noverlapped += c.overlapped;
		sum.nsmall += c.overlapped && c.scratch_size < 8192;
		t.name = "random";
		t.seed = seed;
		t.cow = c.cow;
		t.cow_size = c.size;
		t.base = c.base;
		t.want = c.want;
		t.base_size = (size_t)c.nblocks * TEST_COW_BLOCK;
		test_cuts(&t);
		sum.cuts.nwrites = t.nwrites;
		sum.cuts.nstates = t.nstates;
		sum.cuts.nreads = t.nreads;
	}
	test_cow_free(&c);
}

static void test_random_cows(void **state)
{
	const char *seed = getenv("OVBD_SEED"), *cases = getenv("OVBD_CASES");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES;

	(void)state;
	sum.cuts.depth = 3;
	sum.cuts.nested = 8;
	sum.cuts.nrandom = 6;
	for (uint64_t i = 0; i < n; i++)
		one(first + i);
	printf("seeds %llu to %llu: %llu merged (%llu overlapping, of them %llu without scratch "
	       "area), %llu unsafe, %llu refused; %llu writes and flushes, %llu states after cuts, "
	       "%llu reads during merges\n",
	       (unsigned long long)first, (unsigned long long)(first + n - 1),
	       (unsigned long long)sum.nmerged, (unsigned long long)sum.noverlapped,
	       (unsigned long long)sum.nsmall, (unsigned long long)sum.nunsafe,
	       (unsigned long long)sum.nrefused, (unsigned long long)sum.cuts.nwrites,
	       (unsigned long long)sum.cuts.nstates, (unsigned long long)sum.cuts.nreads);
	if (!cases)
		assert_true(sum.noverlapped > 5 && sum.nunsafe > 0 && sum.nrefused > 0 &&
		            sum.nsmall > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_cows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
