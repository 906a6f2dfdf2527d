// SPDX-License-Identifier: Apache-2.0
/* The index: what the builder takes, and that every way to search agrees with going through all
 * segments one by one. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/index.h"
#include "lsmt/search.h"

#define SECTOR UINT64_C(512)
#define TiB    (UINT64_C(1) << 40)

/* How the segments of a test are made. */
struct shape {
	const char *name;
	uint64_t end;     /* bound of the device, tells narrow from wide */
	uint64_t src_end; /* bound of the sources, too */
	uint64_t first;   /* largest gap before the first, sectors */
	uint64_t gap;     /* largest gap between two, sectors; 0: none */
	uint64_t len;     /* largest length, sectors */
};

static const struct shape shapes[] = {
	{"small", TiB, TiB, 3, 4, 9},
	{"dense", TiB, TiB, 0, 0, 16},
	{"sparse, almost 2 TiB", INDEX_NARROW_END, 2 * TiB, 1000000, 2000000, 16383},
	{"sources beyond 2 TiB", TiB, INDEX_NARROW_SRC_END + SECTOR, 0, 5, 33},
	{"a device beyond 2 TiB", 5000 * TiB, TiB, 0, 50000000, 16383},
	{"all there is", OVBD_INDEX_END_MAX, OVBD_INDEX_SRC_MAX, 7, UINT64_C(10000000000), 16383},
};

static uint64_t up_to(uint64_t *seed, uint64_t max)
{
	return max ? test_random(seed) % (max + 1) : 0;
}

/* n segments, none of which continues another. */
static void make_segments(const struct shape *sh, uint64_t *seed, struct ovbd_segment *s, size_t n)
{
	uint64_t off = up_to(seed, sh->first);

	for (size_t i = 0; i < n; i++) {
		const uint64_t len = 1 + up_to(seed, sh->len - 1);
		const uint64_t src = test_random(seed) % (sh->src_end / SECTOR - len + 1);

		s[i] = (struct ovbd_segment){
			.off = off * SECTOR,
			.len = len * SECTOR,
			.src = src * SECTOR,
			.layer = (uint32_t)(i * 7 % OVBD_LAYERS_MAX),
			.kind = test_random(seed) % 4 == 0 ? OVBD_RUN_ZERO : OVBD_RUN_DATA,
		};
		off += len + up_to(seed, sh->gap);
	}
}

static struct ovbd_index *make_index(uint64_t end, uint64_t src_end, const struct ovbd_segment *s,
                                     size_t n)
{
	const struct ovbd_index_bounds bounds = {.end = end,
	                                         .src_end = src_end,
	                                         .nsegments = n / 3};
	struct ovbd_index_builder *b;
	struct ovbd_index *ix;
	struct ovbd_error err;

	assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
	for (size_t i = 0; i < n; i++)
		assert_ok(ovbd_index_builder_add(b, &s[i], &err), err);
	assert_ok(ovbd_index_builder_finish(b, &ix, &err), err);
	return ix;
}

/* What at() has to say; next is the first segment that ends beyond off. */
static struct ovbd_segment expected(const struct ovbd_segment *next, const struct ovbd_segment *end,
                                    uint64_t off, uint64_t len)
{
	struct ovbd_segment want = {.off = off, .len = len, .kind = OVBD_RUN_HOLE};

	if (next == end)
		return want;
	if (off < next->off) {
		want.len = ovbd_min(len, next->off - off);
		return want;
	}
	want = *next;
	want.len = ovbd_min(len, next->off + next->len - off);
	want.src += off - next->off;
	want.off = off;
	return want;
}

static void check_at(const struct ovbd_index *ix, const struct ovbd_segment *next,
                     const struct ovbd_segment *end, uint64_t off, uint64_t len)
{
	const struct ovbd_segment want = expected(next, end, off, len);
	const struct ovbd_segment got = ovbd_index_at(ix, off, len);

	if (got.off != want.off || got.len != want.len || got.kind != want.kind ||
	    (want.kind != OVBD_RUN_HOLE && got.layer != want.layer) ||
	    (want.kind == OVBD_RUN_DATA && got.src != want.src))
		fail_msg("at(%llu, %llu): off %llu len %llu src %llu layer %u kind %d, "
		         "not off %llu len %llu src %llu layer %u kind %d",
		         (unsigned long long)off, (unsigned long long)len,
		         (unsigned long long)got.off, (unsigned long long)got.len,
		         (unsigned long long)got.src, got.layer, (int)got.kind,
		         (unsigned long long)want.off, (unsigned long long)want.len,
		         (unsigned long long)want.src, want.layer, (int)want.kind);
}

/* Around a segment: in front of it, its first and last bytes, some byte of it, behind it. */
static void check_around(const struct ovbd_index *ix, const struct ovbd_segment *s,
                         const struct ovbd_segment *end, uint64_t *seed)
{
	const uint64_t some = test_random(seed) % s->len;

	check_at(ix, s, end, s->off, 4096);
	check_at(ix, s, end, s->off, UINT64_C(1) << 60);
	check_at(ix, s, end, s->off + some, 1 + test_random(seed) % 8192);
	check_at(ix, s, end, s->off + s->len - 1, 2);
	check_at(ix, s + 1, end, s->off + s->len, 1 + test_random(seed) % 100000);
}

static void check_every_way(struct ovbd_index *ix, const struct ovbd_segment *s, size_t n,
                            uint64_t *seed)
{
	for (const struct ovbd_search *const *way = ovbd_searches; *way; way++) {
		if (!(*way)->supported())
			continue;
		ovbd_index_use(ix, *way);
		check_at(ix, s, s + n, 0, 1);
		check_at(ix, s, s + n, 0, UINT64_C(1) << 60);
		check_at(ix, s + n, s + n, UINT64_MAX - 5, 5);
		check_at(ix, s + n, s + n, INDEX_NARROW_SRC_END << 10, 512);
		/* All of a small index; of a larger one the ends and a few between. */
		for (size_t i = 0; i<n; i += n> 200 && i > 40 && i + 40 < n ? n / 40 : 1)
			check_around(ix, s + i, s + n, seed);
	}
}

static void test_every_count(void **state)
{
	struct ovbd_segment *s = calloc(2001, sizeof(*s));
	uint64_t seed = 1;

	(void)state;
	assert_non_null(s);
	for (size_t n = 0; n <= 2000; n++) {
		const struct shape *sh = &shapes[n % 6];
		struct ovbd_index *ix;

		for (size_t k = 0; k < 2; k++, sh = &shapes[(n + 3) % 6]) {
			make_segments(sh, &seed, s, n);
			ix = make_index(sh->end, sh->src_end, s, n);
			assert_int_equal(ovbd_index_count(ix), n);
			check_every_way(ix, s, n, &seed);
			ovbd_index_free(ix);
		}
	}
	free(s);
}

/* Every level of the tree, and the first and last node of each. */
static void test_large(void **state)
{
	static const size_t counts[] = {2903, 4912, 8975, 8976, 83503, 150000};
	struct ovbd_segment *s = calloc(150000, sizeof(*s));
	uint64_t seed = 2;

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < 6; i++) {
		for (size_t k = 0; k < 6; k += 1 + i % 2) {
			struct shape sh = shapes[k];
			struct ovbd_index *ix;

			sh.gap = ovbd_min(sh.gap, sh.end / SECTOR / counts[i] / 2);
			sh.len = ovbd_min(sh.len, sh.end / SECTOR / counts[i] / 3);
			make_segments(&sh, &seed, s, counts[i]);
			ix = make_index(shapes[k].end, shapes[k].src_end, s, counts[i]);
			for (const struct ovbd_search *const *way = ovbd_searches; *way; way++) {
				if (!(*way)->supported())
					continue;
				ovbd_index_use(ix, *way);
				for (size_t j = 0; j < counts[i]; j++)
					check_at(ix, s + j, s + counts[i], s[j].off, 4096);
			}
			ovbd_index_free(ix);
		}
	}
	free(s);
}

static void test_width(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct ovbd_index *ix = make_index(shapes[i].end, shapes[i].src_end, NULL, 0);

		assert_int_equal(ix->wide, i >= 3);
		assert_int_equal(ovbd_index_count(ix), 0);
		assert_int_equal(ovbd_index_end(ix), 0);
		assert_int_equal(ovbd_index_src_end(ix), 0);
		ovbd_index_free(ix);
	}
}

/* The last sectors that each width can name. */
static void test_edges(void **state)
{
	const struct ovbd_segment narrow[] = {
		{.off = 0, .len = SECTOR, .src = 2 * TiB - SECTOR},
		{.off = INDEX_NARROW_END - 2 * SECTOR, .len = SECTOR, .kind = OVBD_RUN_ZERO},
		{.off = INDEX_NARROW_END - SECTOR, .len = SECTOR, .src = 0, .layer = 254},
	};
	const struct ovbd_segment wide[] = {
		{.off = 0, .len = SECTOR, .src = OVBD_INDEX_SRC_MAX - SECTOR},
		{.off = INDEX_NARROW_END, .len = SECTOR, .src = 8 * TiB},
		{.off = OVBD_INDEX_END_MAX - 2 * SECTOR, .len = SECTOR, .kind = OVBD_RUN_ZERO},
		{.off = OVBD_INDEX_END_MAX - SECTOR, .len = SECTOR, .src = 0, .layer = 254},
	};
	uint64_t seed = 3;
	struct ovbd_index *ix;

	(void)state;
	ix = make_index(INDEX_NARROW_END, 2 * TiB, narrow, 3);
	assert_false(ix->wide);
	check_every_way(ix, narrow, 3, &seed);
	assert_int_equal(ovbd_index_end(ix), INDEX_NARROW_END);
	assert_int_equal(ovbd_index_src_end(ix), 2 * TiB);
	ovbd_index_free(ix);
	ix = make_index(OVBD_INDEX_END_MAX, OVBD_INDEX_SRC_MAX, wide, 4);
	assert_true(ix->wide);
	check_every_way(ix, wide, 4, &seed);
	assert_int_equal(ovbd_index_end(ix), OVBD_INDEX_END_MAX);
	ovbd_index_free(ix);
}

static void test_get(void **state)
{
	struct ovbd_segment s[100];
	uint64_t seed = 4;

	(void)state;
	for (size_t k = 0; k < 6; k++) {
		struct ovbd_index *ix;

		make_segments(&shapes[k], &seed, s, 100);
		ix = make_index(shapes[k].end, shapes[k].src_end, s, 100);
		for (size_t i = 0; i < 100; i++) {
			const struct ovbd_segment got = ovbd_index_get(ix, i);

			assert_int_equal(got.off, s[i].off);
			assert_int_equal(got.len, s[i].len);
			assert_int_equal(got.kind, s[i].kind);
			assert_int_equal(got.layer, s[i].layer);
			if (got.kind == OVBD_RUN_DATA)
				assert_int_equal(got.src, s[i].src);
		}
		ovbd_index_free(ix);
	}
}

/* ---- joining and cutting ---- */

static void test_joins(void **state)
{
	const struct ovbd_segment s[] = {
		{.off = 0, .len = 4096, .src = 8192, .layer = 1},
		{.off = 4096, .len = 512, .src = 12288, .layer = 1}, /* continues */
		{.off = 4608, .len = 512, .src = 12288, .layer = 1}, /* another source */
		{.off = 5120, .len = 512, .src = 12800, .layer = 2}, /* another layer */
		{.off = 6144, .len = 512, .src = 13312, .layer = 2}, /* after a gap */
		{.off = 6656, .len = 512, .kind = OVBD_RUN_ZERO, .layer = 2, .src = 13824},
		{.off = 7168, .len = 512, .kind = OVBD_RUN_ZERO, .layer = 2, .src = 99},
		{.off = 7680, .len = 512, .kind = OVBD_RUN_ZERO, .layer = 0, .src = 0},
	};
	struct ovbd_index *ix = make_index(TiB, TiB, s, 8);

	(void)state;
	assert_int_equal(ovbd_index_count(ix), 6);
	assert_int_equal(ovbd_index_at(ix, 0, 9999).len, 4608);
	assert_int_equal(ovbd_index_at(ix, 512, 9999).src, 8704);
	assert_int_equal(ovbd_index_at(ix, 4608, 9999).len, 512);
	assert_int_equal(ovbd_index_at(ix, 5632, 9999).len, 512);
	assert_int_equal(ovbd_index_at(ix, 6656, 9999).len, 1024);
	assert_int_equal(ovbd_index_end(ix), 8192);
	ovbd_index_free(ix);
}

/* A segment of any length; the pieces begin at multiples of 64 KiB. */
static void test_cuts(void **state)
{
	static const uint64_t lengths[] = {
		16383, 16384, 16256, 16257, 2 * 16256 + 16383, 2 * 16256 + 16384, 1000000};
	static const size_t pieces[] = {1, 2, 1, 1, 3, 4, 62};

	(void)state;
	for (size_t i = 0; i < 14; i++) {
		const struct ovbd_segment s = {.off = 1024,
		                               .len = lengths[i / 2] * SECTOR,
		                               .src = 4096,
		                               .layer = 3};
		struct ovbd_index *ix = make_index(i % 2 ? TiB : 9 * TiB, TiB, &s, 1);
		struct ovbd_segment at;

		assert_int_equal(ovbd_index_count(ix), pieces[i / 2]);
		for (uint64_t off = 1024; off < s.off + s.len; off += at.len) {
			at = ovbd_index_at(ix, off, s.len);
			assert_int_equal(at.kind, OVBD_RUN_DATA);
			assert_int_equal(at.src, off + 3072);
			assert_int_equal((off - 1024) % 65536, 0);
		}
		assert_int_equal(ovbd_index_at(ix, s.off + s.len, 1).kind, OVBD_RUN_HOLE);
		ovbd_index_free(ix);
	}
}

/* ---- what is refused ---- */

static void test_refuses(void **state)
{
	static const struct {
		struct ovbd_segment s;
		const char *text;
	} cases[] = {
		{{.off = 9000, .len = 512}, "whole sectors"},
		{{.off = 9216, .len = 511}, "whole sectors"},
		{{.off = 9216, .len = 512, .src = 1}, "whole sectors"},
		{{.off = 9216, .len = 0},
	         "segment of 0 bytes at 9216 is not between 8192 and 1048576"},
		{{.off = 7680, .len = 512}, "not between 8192"},
		{{.off = 0, .len = 4096}, "not between 8192"},
		{{.off = 1048576, .len = 512}, "not between"},
		{{.off = 1048064, .len = 1024}, "not between"},
		{{.off = UINT64_MAX - 511, .len = 1024}, "not between"},
		{{.off = 9216, .len = UINT64_MAX - 511}, "not between"},
		{{.off = 9216, .len = 512, .layer = 256}, "layer 256"},
		{{.off = 9216, .len = 512, .kind = OVBD_RUN_HOLE}, "kind 2"},
		{{.off = 9216, .len = 1024, .src = 65024},
	         "1024 bytes at 65024, ends beyond 65536"},
		{{.off = 9216, .len = 512, .src = UINT64_MAX - 511}, "ends beyond"},
	};
	const struct ovbd_index_bounds bounds = {.end = 1048576, .src_end = 65536};
	const struct ovbd_segment first = {.off = 4096, .len = 4096};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_index_builder *b;
		struct ovbd_error err;

		assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
		assert_ok(ovbd_index_builder_add(b, &first, &err), err);
		assert_fails(ovbd_index_builder_add(b, &cases[i].s, &err), -EINVAL, err,
		             cases[i].text);
		ovbd_index_builder_close(b);
	}
}

/* The memory that bounds name is never exceeded, growing included, and is worth using. */
static void test_memory_max(void **state)
{
	static const uint64_t ends[] = {TiB, 64 * TiB};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct ovbd_index_bounds bounds = {.end = ends[i], .memory_max = 1 << 20};
		const uint64_t fits = (UINT64_C(1) << 20) / (i ? 18 : 13) - 2;

		for (uint64_t n = fits; n <= fits + 2; n += 2) {
			struct ovbd_index_builder *b;
			struct ovbd_index *ix = NULL;
			struct ovbd_error err;
			int r;

			assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
			for (uint64_t j = 0; j < n; j++) {
				const struct ovbd_segment s = {.off = j * 8192,
				                               .len = 4096,
				                               .kind = OVBD_RUN_ZERO};

				r = ovbd_index_builder_add(b, &s, &err);
				assert_true(r == 0 || (n > fits && j + 2 >= n));
			}
			r = ovbd_index_builder_finish(b, &ix, &err);
			if (n > fits) {
				assert_fails(r, -E2BIG, err, "1048576 bytes of memory");
				continue;
			}
			assert_ok(r, err);
			assert_true(ovbd_index_memory(ix) <= 1 << 20);
			ovbd_index_free(ix);
		}
	}
}

static void test_limits(void **state)
{
	struct ovbd_index_bounds bounds = {.end = OVBD_INDEX_END_MAX + 1};
	struct ovbd_index_builder *b;
	struct ovbd_index *ix;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_index_builder_create(&bounds, &b, &err), -E2BIG, err, "of device");
	bounds = (struct ovbd_index_bounds){.src_end = OVBD_INDEX_SRC_MAX + 1};
	assert_fails(ovbd_index_builder_create(&bounds, &b, &err), -E2BIG, err, "of source");
	/* A guess is no promise: it costs next to nothing when it is wrong. */
	bounds = (struct ovbd_index_bounds){.end = TiB, .src_end = TiB, .nsegments = UINT64_MAX};
	assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
	assert_ok(ovbd_index_builder_finish(b, &ix, &err), err);
	assert_true(ovbd_index_memory(ix) < 1024);
	ovbd_index_free(ix);
	/* More pieces than there may be segments. */
	bounds = (struct ovbd_index_bounds){.end = OVBD_INDEX_END_MAX};
	assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
	assert_ok(ovbd_index_builder_add(b,
	                                 &(struct ovbd_segment){.len = OVBD_INDEX_END_MAX,
	                                                        .kind = OVBD_RUN_ZERO},
	                                 &err),
	          err);
	assert_fails(ovbd_index_builder_finish(b, &ix, &err), -E2BIG, err, "128000000");
	ovbd_index_builder_close(NULL);
	ovbd_index_free(NULL);
}

/* At most 20 bytes a segment and a constant, whatever the growing left over. */
static void test_memory(void **state)
{
	static const size_t counts[] = {0, 1, 1000, 4097, 100000, 1000000};
	struct ovbd_segment *s = calloc(1000000, sizeof(*s));
	uint64_t seed = 5;

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < 12; i++) {
		const struct shape *sh = &shapes[i % 2 ? 0 : 3];
		const size_t n = counts[i / 2];
		struct ovbd_index *ix;
		uint64_t got;

		make_segments(sh, &seed, s, n);
		ix = make_index(sh->end, sh->src_end, s, n);
		got = ovbd_index_memory(ix);
		assert_true(got <= 20 * n + 1024);
		assert_true(n < 1000 || got <= 20 * n);
		assert_true(got >= sizeof(*ix) + ix->n * (ix->wide ? 16 : 12));
		assert_int_equal(got, sizeof(*ix) + ix->keys.size + ix->entries.size +
		                              ix->tree.size + UINT64_C(3) * OVBD_LINE_SIZE);
		ovbd_index_free(ix);
	}
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_count), cmocka_unit_test(test_large),
		cmocka_unit_test(test_width),       cmocka_unit_test(test_edges),
		cmocka_unit_test(test_get),         cmocka_unit_test(test_joins),
		cmocka_unit_test(test_cuts),        cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_memory_max),  cmocka_unit_test(test_limits),
		cmocka_unit_test(test_memory),
	};

	printf("search:");
	for (const struct ovbd_search *const *way = ovbd_searches; *way; way++)
		printf(" %s%s", (*way)->name, (*way)->supported() ? "" : " (not here)");
	printf("\n");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
