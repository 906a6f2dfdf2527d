// SPDX-License-Identifier: Apache-2.0
/*
 * COW files of Android's own tools, merged in place: what their manifest says comes out, also after
 * power cuts; or they are refused, by a sentence of their own. With OVBD_CASES=N the power fails
 * at every write and flush, with N of those not flushed lost or torn alone, and in N mixtures;
 * with OVBD_CASES=all (which takes an hour) with each of them; otherwise at some places. A merge
 * that goes on after a cut is cut again now and then.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/cow_cuts.h"
#include "tests/lib/cow_fixtures.h"
#include "tests/unit/test.h"

/* What is refused, and whether small groups help. Everything else is merged. */
static const struct {
	const char *name, *sentence;
	bool in_small_groups;
} refusals[] = {
	{"v3-copy-badorder", "its order of merging is not safe", false},
	{"v2-dup", "several operations write the same block", false},
	{"v3-dup", "several operations write the same block", false},
	{"hist-A-none", "its version counts no progress", false},
	{"hist-A-gz", "its version counts no progress", false},
	{"hist-S-none", "its version counts no progress", false},
	{"hist-S-gz", "its version counts no progress", false},
	{"hist-B-none", "its version counts no progress", false},
	{"hist-B-brotli", "its version counts no progress", false},
	{"hist-C-none", "its version counts no progress", false},
	{"hist-C-brotli", "its version counts no progress", false},
	{"hist-D-gz", "only in small groups", true},
	{"v2-copy", "only in small groups", true},
	{"v3-copy", "only in small groups", true},
	{"v2-unfinalised-nocluster-resumed", "only in small groups", true},
	{"v2-mixed-batch", "only in small groups", false},
	{"v2-mixed-cluster1024", "only in small groups", false},
	{"v2-mixed-cluster2", "only in small groups", false},
	{"v2-mixed-cluster5", "only in small groups", false},
	{"v2-mixed-nocluster", "only in small groups", false},
	{"v3-mixed-noseq", "only in small groups", false},
	{"v3-opmax", "only in small groups", false},
	{"v3-ordered-first", "only in small groups", false},
	{"x-v2-zerosrc", "only in small groups", false},
	{"v2-xor-brotli", "is made of itself", false},
	{"v2-xor-gz", "is made of itself", false},
	{"v2-xor-lz4", "is made of itself", false},
	{"v3-xor-lz4", "is made of itself", false},
	{"v3-xor-none", "is made of itself", false},
};

static struct {
	struct test_cuts cuts;
	unsigned nmerged, nsmall, nadded, nrefused;
	bool verbose;
} sum;

static int plan(const struct test_cow_fixture *f, bool small_groups, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
	const struct ovbd_merge_params how = {.small_groups = small_groups};
	struct ovbd_merge_plan p;
	struct ovbd_blob *b;

	assert_int_equal(ovbd_blob_open_mem(f->cow.p, f->cow.len, &b, NULL), 0);
	if (ovbd_cow_open(b, NULL, &c, err) < 0)
		fail_msg("%s: %s", f->name, err->msg);
	return ovbd_merge_plan(c, f->old.len, &how, &p, err);
}

/* Whether it is merged; if not, whether that is right. */
static bool is_merged(const struct test_cow_fixture *f, bool *ret_small_groups)
{
	struct ovbd_error err = {""};
	int r = plan(f, false, &err);

	*ret_small_groups = false;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (strcmp(f->name, refusals[i].name) != 0)
			continue;
		if (r != -ENOTSUP || !strstr(err.msg, refusals[i].sentence))
			fail_msg("%s: %d: %s", f->name, r, err.msg);
		r = plan(f, true, &err);
		if ((r == 0) != refusals[i].in_small_groups)
			fail_msg("%s: in small groups: %d: %s", f->name, r, err.msg);
		*ret_small_groups = true;
		return r == 0;
	}
	if (r < 0)
		fail_msg("%s: %d: %s", f->name, r, err.msg);
	return true;
}

/* ---- the same with a scratch area ---- */

#define SCRATCH 65536u /* 15 blocks: many groups */

static void move_source(uint8_t *raw)
{
	ovbd_put_le64(raw, ovbd_get_le64(raw) + SCRATCH);
}

static void move_sources_v3(uint8_t *cow)
{
	uint8_t *op = cow + 78 + SCRATCH + 4 * ovbd_get_le64(cow + 38) +
	              16 * (size_t)ovbd_get_le32(cow + 50);

	for (uint64_t n = ovbd_get_le64(cow + 54); n > 0; n--, op += 16)
		if (ovbd_get_le64(op + 8) >> 60 == OVBD_COW_REPLACE)
			move_source(op + 8);
}

static void move_sources_v2(uint8_t *cow)
{
	const bool clusters = ovbd_get_le32(cow + 22) > 0;
	uint8_t *op = cow + 38 + SCRATCH;

	while (op[0] != 255) {
		const bool has_data = op[0] == OVBD_COW_REPLACE || op[0] == OVBD_COW_XOR;
		const uint64_t source = ovbd_get_le64(op + 12);

		if (op[0] == OVBD_COW_REPLACE || op[0] == 7)
			move_source(op + 12);
		if (op[0] == 5)
			op += source;
		else if (has_data && !clusters)
			op += ovbd_get_le16(op + 2);
		op += 20;
	}
}

/* Puts one into a file that has none. */
static struct test_bytes with_scratch(const struct test_bytes *cow)
{
	const size_t head = ovbd_get_le16(cow->p + 12);
	struct test_bytes ret = {.p = calloc(1, cow->len + SCRATCH), .len = cow->len + SCRATCH};

	assert_non_null(ret.p);
	assert_int_equal(ovbd_get_le32(cow->p + 34), 0);
	memcpy(ret.p, cow->p, head);
	ovbd_put_le32(ret.p + 34, SCRATCH);
	memcpy(ret.p + head + SCRATCH, cow->p + head, cow->len - head);
	if (head == 78)
		move_sources_v3(ret.p);
	else
		move_sources_v2(ret.p);
	return ret;
}

static void merge(const struct test_cow_fixture *f, void *arg);

/* A file that is refused for want of a scratch area is merged with one. */
static void merge_with_scratch(const struct test_cow_fixture *f)
{
	struct test_cow_fixture more = *f;
	const uint16_t head = ovbd_get_le16(f->cow.p + 12);
	struct ovbd_error err;

	if ((head != 38 && head != 78) || ovbd_get_le32(f->cow.p + 34) != 0 ||
	    plan(f, false, &err) == 0 || strstr(err.msg, "several") || strstr(err.msg, "not safe"))
		return;
	snprintf(more.name, sizeof(more.name), "%.100s+scratch", f->name);
	more.cow = with_scratch(&f->cow);
	merge(&more, NULL);
	sum.nadded++;
	free(more.cow.p);
}

static void merge(const struct test_cow_fixture *f, void *arg)
{
	struct test_cuts t;
	struct ovbd_blob *b, *base, *view;
	struct ovbd_error err = {""};
	struct ovbd_cow *c;
	uint8_t *want;
	bool small;
	char has[65];

	(void)arg;
	if (strcmp(f->class, "corrupt") == 0 || strcmp(f->class, "unfinalised") == 0)
		return;
	merge_with_scratch(f);
	if (!is_merged(f, &small)) {
		sum.nrefused++;
		return;
	}
	want = malloc(f->old.len);
	assert_non_null(want);
	assert_int_equal(ovbd_blob_open_mem(f->cow.p, f->cow.len, &b, NULL), 0);
	assert_int_equal(ovbd_blob_open_mem(f->old.p, f->old.len, &base, NULL), 0);
	assert_ok(ovbd_cow_open(b, NULL, &c, &err), err);
	assert_ok(ovbd_cow_view_open(c, base, &view, &err), err);
	assert_ok(ovbd_blob_pread(view, want, f->old.len, 0, &err), err);
	ovbd_blob_close(view);
	test_sha256(want, f->old.len, has);
	if (f->wanted[0] && strcmp(has, f->wanted) != 0)
		fail_msg("%s: reads as %s, not %s", f->name, has, f->wanted);
	t = sum.cuts;
	t.name = f->name;
	t.cow = f->cow.p;
	t.cow_size = f->cow.len;
	t.base = f->old.p;
	t.base_size = f->old.len;
	t.want = want;
	t.how.small_groups = small;
	test_cuts(&t);
	if (sum.verbose)
		printf("%s: %llu states\n", f->name,
		       (unsigned long long)(t.nstates - sum.cuts.nstates));
	sum.cuts.nwrites = t.nwrites;
	sum.cuts.nstates = t.nstates;
	sum.cuts.nreads = t.nreads;
	sum.nmerged++;
	sum.nsmall += small;
	free(want);
}

static void test_merges(void **state)
{
	const char *cases = getenv("OVBD_CASES");
	const bool all = cases && strcmp(cases, "all") == 0;
	const unsigned n = cases && !all ? (unsigned)strtoul(cases, NULL, 0) : 0;

	(void)state;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sum.verbose = all;
	sum.cuts.seed = 1;
	sum.cuts.depth = 2;
	sum.cuts.nested = all ? 8 : 4;
	sum.cuts.nrandom = all ? 8 : n ? n : 2;
	sum.cuts.nsingle = all ? 0 : n ? n : 1;
	sum.cuts.nplaces = all || n ? 0 : 4;
	test_cow_fixtures(merge, NULL);
	printf("%u merged, %u of them in small groups, %u with a scratch area put in, %u refused; "
	       "%llu writes and flushes, %llu "
	       "states after cuts, %llu reads during merges\n",
	       sum.nmerged, sum.nsmall, sum.nadded, sum.nrefused,
	       (unsigned long long)sum.cuts.nwrites, (unsigned long long)sum.cuts.nstates,
	       (unsigned long long)sum.cuts.nreads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_merges)};

	if (!test_cow_fixtures_there())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
