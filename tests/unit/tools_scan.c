// SPDX-License-Identifier: Apache-2.0
/* The scan against a blob whose runs are known: it tiles, it keeps order, it does not read
 * zeros. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tools/scan.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KIB      UINT64_C(1024)
#define MIB      (KIB * KIB)

/* Byte at off of data is a function of off; zeros read as zeros. */
struct runs_blob {
	struct ovbd_blob blob;
	const struct ovbd_run *runs;
	size_t nruns;
	atomic_uint_fast64_t read; /* bytes */
	uint64_t bad_off;          /* reading it fails */
};

static uint8_t byte_at(uint64_t off)
{
	return (uint8_t)(1 + (off * 2654435761u >> 16) % 255);
}

static const struct ovbd_run *find_run(const struct runs_blob *b, uint64_t off, uint64_t *ret_left)
{
	uint64_t start = 0;

	for (size_t i = 0; i < b->nruns; i++) {
		if (off < start + b->runs[i].len) {
			*ret_left = start + b->runs[i].len - off;
			return &b->runs[i];
		}
		start += b->runs[i].len;
	}
	fail_msg("beyond the end");
	return NULL;
}

static int runs_pread(struct ovbd_blob *blob, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct runs_blob *b = OVBD_CONTAINER_OF(blob, struct runs_blob, blob);
	uint8_t *p = buf;
	uint64_t left;

	if (off <= b->bad_off && b->bad_off < off + len)
		return ovbd_fail(err, -EIO, "bad place");
	atomic_fetch_add(&b->read, len);
	for (size_t i = 0; i < len; i++)
		p[i] = find_run(b, off + i, &left)->kind == OVBD_RUN_DATA ? byte_at(off + i) : 0;
	return 0;
}

static int runs_run_at(struct ovbd_blob *blob, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	struct runs_blob *b = OVBD_CONTAINER_OF(blob, struct runs_blob, blob);
	uint64_t left;

	(void)err;
	ret->kind = find_run(b, off, &left)->kind;
	ret->len = ovbd_min(left, len);
	return 0;
}

static void runs_close(struct ovbd_blob *blob)
{
	(void)blob;
}

static const struct ovbd_blob_ops runs_ops = {
	.name = "runs",
	.pread = runs_pread,
	.run_at = runs_run_at,
	.close = runs_close,
};

static struct runs_blob make_blob(const struct ovbd_run *runs, size_t n)
{
	struct runs_blob b = {.blob = {.ops = &runs_ops},
	                      .runs = runs,
	                      .nruns = n,
	                      .bad_off = UINT64_MAX};

	for (size_t i = 0; i < n; i++)
		b.blob.size += runs[i].len;
	return b;
}

static const struct ovbd_run mixed[] = {
	{3 * MIB + 4096, OVBD_RUN_DATA},
	{512, OVBD_RUN_ZERO},
	{4096 - 512, OVBD_RUN_HOLE},
	{100, OVBD_RUN_DATA}, /* not at sectors */
	{5000, OVBD_RUN_HOLE},
	{3000, OVBD_RUN_DATA},
	{10 * MIB, OVBD_RUN_HOLE},
	{64 * KIB, OVBD_RUN_ZERO},
	{700, OVBD_RUN_DATA},
	{5000 * MIB, OVBD_RUN_ZERO},
	{1, OVBD_RUN_DATA},
	{300, OVBD_RUN_HOLE},
};

struct seen {
	const struct runs_blob *blob;
	uint64_t at;
	uint64_t data, zero, hole;
	uint64_t last_progress;
	uint64_t stop_at;
};

static int see_run(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                   const uint8_t *buf, struct ovbd_error *err)
{
	struct seen *s = ctx;
	uint64_t left;

	assert_int_equal(off, s->at);
	assert_true(len > 0);
	assert_int_equal(off % 512, 0);
	assert_true(len % 512 == 0 || off + len == s->blob->blob.size);
	s->at = off + len;
	if (off >= s->stop_at)
		return ovbd_fail(err, -ENOSPC, "full");
	if (kind == OVBD_RUN_DATA) {
		assert_true(len <= OVBD_SCAN_WINDOW);
		for (uint64_t i = 0; i < len; i++) {
			const bool data = find_run(s->blob, off + i, &left)->kind == OVBD_RUN_DATA;

			if (buf[i] != (data ? byte_at(off + i) : 0))
				fail_msg("wrong byte at %llu", (unsigned long long)(off + i));
		}
		s->data += len;
		return 0;
	}
	assert_null(buf);
	assert_int_equal(find_run(s->blob, off, &left)->kind, kind);
	assert_true(left >= len);
	if (kind == OVBD_RUN_ZERO)
		s->zero += len;
	else
		s->hole += len;
	return 0;
}

static int see_progress(void *arg, uint64_t done, uint64_t total)
{
	struct seen *s = arg;

	assert_true(done >= s->last_progress);
	assert_true(total > 0);
	s->last_progress = done;
	return 0;
}

static void test_scan_tiles(void **state)
{
	static const unsigned threads[] = {1, 2, 5};

	(void)state;
	for (size_t i = 0; i < COUNT(threads); i++) {
		struct runs_blob b = make_blob(mixed, COUNT(mixed));
		struct seen s = {.blob = &b, .stop_at = UINT64_MAX};
		const struct ovbd_scan_params p = {threads[i], see_progress, &s};
		struct ovbd_error err;

		assert_int_equal(ovbd_scan(&b.blob, &p, see_run, &s, &err), 0);
		assert_int_equal(s.at, b.blob.size);
		assert_int_equal(s.data, atomic_load(&b.read));
		/* what was cut off holes to get to sectors is less than two sectors for each */
		assert_true(s.data < 3 * MIB + 4096 + 100 + 3000 + 700 + 1 + 10 * 512);
		assert_true(s.zero >= 5000 * MIB);
	}
}

static void test_scan_empty(void **state)
{
	struct runs_blob b = make_blob(NULL, 0);
	struct seen s = {.blob = &b, .stop_at = UINT64_MAX};
	const struct ovbd_scan_params p = {2, NULL, NULL};

	(void)state;
	assert_int_equal(ovbd_scan(&b.blob, &p, see_run, &s, NULL), 0);
	assert_int_equal(s.at, 0);
}

static void test_scan_stops(void **state)
{
	static const unsigned threads[] = {1, 4};

	(void)state;
	for (size_t i = 0; i < COUNT(threads); i++) {
		struct runs_blob b = make_blob(mixed, COUNT(mixed));
		struct seen s = {.blob = &b, .stop_at = MIB};
		const struct ovbd_scan_params p = {threads[i], NULL, NULL};
		struct ovbd_error err;

		assert_int_equal(ovbd_scan(&b.blob, &p, see_run, &s, &err), -ENOSPC);
		assert_string_equal(err.msg, "full");
		assert_int_equal(s.at, 2 * MIB); /* nothing is handed out after it */

		s = (struct seen){.blob = &b, .stop_at = UINT64_MAX};
		b.bad_off = 2 * MIB;
		assert_int_equal(ovbd_scan(&b.blob, &p, see_run, &s, &err), -EIO);
		assert_string_equal(err.msg, "bad place");
		assert_int_equal(s.at, 2 * MIB);
	}
}

static int interrupt(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)total;
	return done >= MIB;
}

static void test_scan_interrupted(void **state)
{
	struct runs_blob b = make_blob(mixed, COUNT(mixed));
	struct seen s = {.blob = &b, .stop_at = UINT64_MAX};
	const struct ovbd_scan_params p = {2, interrupt, NULL};

	(void)state;
	assert_int_equal(ovbd_scan(&b.blob, &p, see_run, &s, NULL), -ECANCELED);
	assert_int_equal(s.at, MIB);
}

/* ---- two devices ---- */

struct seen_pair {
	const struct runs_blob *a, *b;
	uint64_t at, end;
};

static uint8_t model(const struct runs_blob *b, uint64_t off)
{
	uint64_t left;

	if (off >= b->blob.size || find_run(b, off, &left)->kind != OVBD_RUN_DATA)
		return 0;
	return byte_at(off);
}

static int see_pair(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                    struct ovbd_error *err)
{
	struct seen_pair *s = ctx;

	(void)err;
	assert_true(off >= s->at);
	assert_int_equal(off % 4096, 0);
	assert_true(len % 4096 == 0 || off + len == s->end);
	for (size_t i = 0; i < len; i++)
		if (a[i] != model(s->a, off + i) || b[i] != model(s->b, off + i))
			fail_msg("wrong byte at %llu", (unsigned long long)(off + i));
	s->at = off + len;
	return 0;
}

static const struct ovbd_run other[] = {
	{MIB, OVBD_RUN_HOLE},
	{MIB + 512, OVBD_RUN_DATA},
	{20 * MIB, OVBD_RUN_ZERO},
	{10, OVBD_RUN_DATA},
};

static void test_pair(void **state)
{
	const struct ovbd_scan_params p = {2, NULL, NULL};

	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		struct runs_blob x = make_blob(mixed, COUNT(mixed));
		struct runs_blob y = make_blob(other, COUNT(other));
		struct runs_blob *a = swap ? &y : &x, *b = swap ? &x : &y;
		struct seen_pair s = {.a = a, .b = b, .end = x.blob.size};

		assert_int_equal(ovbd_scan_pair(&a->blob, &b->blob, s.end, &p, see_pair, &s, NULL),
		                 0);
		/* all data has been seen, and the 5000 MiB of zeros have not */
		assert_int_equal(s.at, s.end);
		assert_true(atomic_load(&x.read) < 5 * MIB);
		assert_true(atomic_load(&y.read) < 5 * MIB);
	}
}

static void test_data_size(void **state)
{
	struct runs_blob b = make_blob(mixed, COUNT(mixed));
	uint64_t n, below;

	(void)state;
	assert_int_equal(ovbd_scan_data_size(&b.blob, UINT64_MAX, &n, &below, NULL), 0);
	assert_int_equal(n, 3 * MIB + 4096 + 100 + 3000 + 700 + 1);
	assert_int_equal(ovbd_scan_data_size(&b.blob, MIB, &n, &below, NULL), 0);
	assert_int_equal(n, MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_tiles), cmocka_unit_test(test_scan_empty),
		cmocka_unit_test(test_scan_stops), cmocka_unit_test(test_scan_interrupted),
		cmocka_unit_test(test_pair),       cmocka_unit_test(test_data_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
