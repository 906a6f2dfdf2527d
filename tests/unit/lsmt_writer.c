// SPDX-License-Identifier: Apache-2.0
/* What the writer makes of puts: the entries of the index, one by one, and the file around them. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/format.h"
#include "tests/lib/fault.h"
#include "tests/lib/lsmt_make.h"

#define MIB     (1024u * 1024)
#define KIB     1024u
#define OPS_MAX 6

/* One call: 'd' puts bytes that are not zero, 'n' puts zeros, 'z' zeroes, 0 ends the list. */
struct op {
	char what;
	uint64_t off, len;
};

struct entry {
	char what; /* d, z */
	uint64_t off, len, src;
};

static uint8_t *data_of(size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	assert_non_null(p);
	memset(p, 0x77, len);
	return p;
}

static int do_op(struct ovbd_layer_writer *w, const struct op *op, struct ovbd_error *err)
{
	uint8_t *buf;
	int r;

	if (op->what == 'z')
		return ovbd_layer_zero(w, op->off, op->len, err);
	buf = data_of((size_t)op->len);
	if (op->what == 'n')
		memset(buf, 0, (size_t)op->len);
	r = ovbd_layer_put(w, op->off, buf, (size_t)op->len, err);
	free(buf);
	return r;
}

static void expect_entry(const char *name, size_t i, const struct lsmt_entry *got,
                         const struct entry *want)
{
	if (got->padding || got->off != want->off || got->len != want->len ||
	    got->src != want->src || got->zeroed != (want->what == 'z') || got->tag != 0)
		fail_msg("%s: entry %zu: %c %llu+%llu at %llu, not %c %llu+%llu at %llu", name, i,
		         got->zeroed ? 'z' : 'd', (unsigned long long)got->off,
		         (unsigned long long)got->len, (unsigned long long)got->src, want->what,
		         (unsigned long long)want->off, (unsigned long long)want->len,
		         (unsigned long long)want->src);
}

/* Entries up to the first without a what, then nothing but padding to a multiple of 256. */
static void expect_index(const char *name, const struct test_layer *l, const struct entry *want)
{
	const uint64_t n = test_layer_nentries(l);
	size_t i;

	for (i = 0; want[i].what; i++) {
		const struct lsmt_entry got = test_layer_entry(l, i);

		if (i == n)
			fail_msg("%s: only %zu entries", name, i);
		expect_entry(name, i, &got, &want[i]);
	}
	assert_int_equal(n, (i + 255) / 256 * 256);
	for (; i < n; i++) {
		if (!test_layer_entry(l, i).padding)
			fail_msg("%s: entry %zu is no padding", name, i);
	}
}

#define TABLE_SIZE (UINT64_C(1) << 40)

static const struct {
	const char *name;
	bool over_base;
	struct op ops[OPS_MAX];
	struct entry entries[OPS_MAX];
} cases[] = {
	{"nothing", true, {{0}}, {{0}}},
	{"one sector", false, {{'d', 512, 512}}, {{'d', 512, 512, 4096}}},
	{"ascending puts are joined",
         false,
         {{'d', 0, 4096}, {'d', 4096, 8192}, {'d', 12288, 512}},
         {{'d', 0, 12800, 4096}}},
	{"a hole between",
         false,
         {{'d', 0, 4096}, {'d', 8192, 4096}},
         {{'d', 0, 4096, 4096}, {'d', 8192, 4096, 8192}}},
	{"descending puts are not joined: they lie the other way round",
         false,
         {{'d', 4096, 4096}, {'d', 0, 4096}},
         {{'d', 0, 4096, 8192}, {'d', 4096, 4096, 4096}}},
	{"the same place twice", false, {{'d', 0, 4096}, {'d', 0, 4096}}, {{'d', 0, 4096, 8192}}},
	{"into the middle",
         false,
         {{'d', 0, 12288}, {'d', 4096, 4096}},
         {{'d', 0, 4096, 4096}, {'d', 4096, 4096, 16384}, {'d', 8192, 4096, 12288}}},
	{"around it", false, {{'d', 4096, 4096}, {'d', 0, 12288}}, {{'d', 0, 12288, 8192}}},
	{"over the end of one and the begin of another",
         false,
         {{'d', 0, 8192}, {'d', 8192 + 4096, 8192}, {'d', 4096, 12288}},
         {{'d', 0, 4096, 4096}, {'d', 4096, 12288, 20480}, {'d', 16384, 4096, 16384}}},
	{"zeros over a base",
         true,
         {{'n', 0, 8192}, {'d', 8192, 4096}, {'z', 16384, 512}},
         {{'z', 0, 8192, 4096}, {'d', 8192, 4096, 4096}, {'z', 16384, 512, 8192}}},
	{"zeros over nothing", false, {{'n', 0, 8192}, {'z', 8192, 8192}}, {{0}}},
	{"zeros over what was put",
         false,
         {{'d', 0, 12288}, {'z', 4096, 4096}},
         {{'d', 0, 4096, 4096}, {'d', 8192, 4096, 12288}}},
	{"zeros over what was put, over a base",
         true,
         {{'d', 0, 12288}, {'n', 4096, 4096}},
         {{'d', 0, 4096, 4096}, {'z', 4096, 4096, 16384}, {'d', 8192, 4096, 12288}}},
	{"data over zeros",
         true,
         {{'z', 0, 12288}, {'d', 4096, 4096}},
         {{'z', 0, 4096, 4096}, {'d', 4096, 4096, 4096}, {'z', 8192, 4096, 4096}}},
	{"zeros over data over zeros, none of which took any place",
         true,
         {{'z', 0, 4096}, {'d', 0, 4096}, {'z', 0, 4096}},
         {{'z', 0, 4096, 8192}}},
	{"zeros are joined",
         true,
         {{'z', 0, 512}, {'z', 512, 512}, {'d', 8192, 512}, {'z', 1024, 512}},
         {{'z', 0, 1536, 4096}, {'d', 8192, 512, 4096}}},
	{"a run longer than an entry: cut between blocks",
         false,
         {{'d', 0, 8 * MIB}, {'d', 8 * MIB, 4096}},
         {{'d', 0, 2047 * 4096, 4096}, {'d', 2047 * 4096, 8192, 4096 + 2047 * 4096}}},
	{"the same from an odd place",
         false,
         {{'d', 512, 8 * MIB}},
         {{'d', 512, 2047 * 4096 - 512, 4096},
          {'d', 2047 * 4096, 4096 + 512, 4096 + 2047 * 4096 - 512}}},
	{"far away",
         true,
         {{'z', TABLE_SIZE - 512, 512}, {'d', TABLE_SIZE - 1024, 512}},
         {{'d', TABLE_SIZE - 1024, 512, 4096}, {'z', TABLE_SIZE - 512, 512, 4096}}},
	{"puts of nothing", true, {{'d', 0, 0}, {'z', TABLE_SIZE, 0}, {'n', 512, 0}}, {{0}}},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ovbd_layer_params p = {
			.virtual_size = TABLE_SIZE,
			.over_base = cases[i].over_base,
		};
		struct test_writer w = test_writer_create(&p);
		struct test_layer l;
		struct ovbd_error err;

		for (size_t k = 0; k < OPS_MAX && cases[i].ops[k].what; k++)
			assert_ok(do_op(w.w, &cases[i].ops[k], &err), err);
		l = test_writer_take(&w);
		expect_index(cases[i].name, &l, cases[i].entries);
		free(l.p);
	}
}

/* Zeros within a buffer: blocks by the device's offset, or what there is of one. */
static void test_zero_blocks(void **state)
{
	/* from 512 on: 3584 zeros, a block of data, a zero block, one that is all zero but its
	 * last byte, and 1024 zeros */
	static const struct entry want[] = {
		{'z', 512, 3584, 4096},   {'d', 4096, 4096, 4096},   {'z', 8192, 4096, 8192},
		{'d', 12288, 4096, 8192}, {'z', 16384, 1024, 12288}, {0},
	};
	const struct ovbd_layer_params p = {.virtual_size = MIB, .over_base = true};
	struct test_writer w = test_writer_create(&p);
	uint8_t *buf = calloc(1, 17 * KIB);
	struct test_layer l;

	(void)state;
	memset(buf + 3584, 1, 4096);
	buf[16384 - 512 - 1] = 1;
	assert_int_equal(ovbd_layer_put(w.w, 512, buf, 16384 - 512 + 1024, NULL), 0);
	l = test_writer_take(&w);
	expect_index("zero blocks", &l, want);
	free(l.p);
	free(buf);
}

/* The last sector of an odd device is padded with zeros. */
static void test_odd_end(void **state)
{
	const struct ovbd_layer_params p = {.virtual_size = 1000, .over_base = true};
	struct test_writer w = test_writer_create(&p);
	static const struct entry want[] = {{'d', 0, 1024, 4096}, {0}};
	uint8_t *buf = data_of(1000);
	struct test_layer l;

	(void)state;
	assert_int_equal(ovbd_layer_put(w.w, 0, buf, 1000, NULL), 0);
	l = test_writer_take(&w);
	expect_index("odd end", &l, want);
	assert_memory_equal(l.p + 4096, buf, 1000);
	assert_true(ovbd_is_zero(l.p + 4096 + 1000, 24));
	free(l.p);
	free(buf);
}

/* For a larger layer on top. */
static void test_zeros_beyond(void **state)
{
	const struct ovbd_layer_params p = {.virtual_size = 1000, .over_base = true};
	struct test_writer w = test_writer_create(&p);
	static const struct entry want[] = {{'z', 1024, 4096, 4096}, {0}};
	struct test_layer l;

	(void)state;
	assert_int_equal(ovbd_layer_zero(w.w, 1024, 4096, NULL), 0);
	l = test_writer_take(&w);
	expect_index("zeros beyond the end", &l, want);
	free(l.p);
}

static void test_bad_ranges(void **state)
{
	static const struct op bad[] = {
		{'d', 1, 512},
		{'d', 0, 511},
		{'d', 512, 489},
		{'d', 0, 1001},
		{'d', 512, 1024},
		{'z', 1, 512},
		{'z', 0, 1},
		{'z', 512, 489},
		{'z', 1000, 0},
		{'z', LSMT_DEVICE_MAX, 512},
		{'z', UINT64_MAX - 511, 512},
		{'z', 512, UINT64_MAX},
	};
	const struct ovbd_layer_params p = {.virtual_size = 1000, .over_base = true};
	struct test_writer w = test_writer_create(&p);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ovbd_error err = {""};

		if (do_op(w.w, &bad[i], &err) != -EINVAL || !strstr(err.msg, "layer"))
			fail_msg("case %zu: %s", i, err.msg);
	}
	ovbd_layer_writer_close(w.w);
}

static void test_params(void **state)
{
	char tag[LSMT_TAG_MAX + 2] = {0};
	const struct {
		struct ovbd_layer_params p;
		int code;
	} params[] = {
		{{.virtual_size = LSMT_DEVICE_MAX}, 0},
		{{.virtual_size = LSMT_DEVICE_MAX + 1}, -E2BIG},
		{{.virtual_size = UINT64_MAX}, -E2BIG},
		{{.uuid = "x"}, -EINVAL},
		{{.parent_uuid = ""}, -EINVAL},
		{{.tag = tag}, -EINVAL},
		{{.tag = tag + 1}, 0},
	};

	(void)state;
	memset(tag, 't', LSMT_TAG_MAX + 1);
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		struct ovbd_layer_writer *w = NULL;
		struct ovbd_sink *mem;
		int r;

		assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
		r = ovbd_layer_create(mem, &params[i].p, &w, NULL);
		if (r != params[i].code)
			fail_msg("case %zu: %d", i, r);
		ovbd_layer_writer_close(w);
	}
}

static void test_texts(void **state)
{
	const struct ovbd_layer_params p = {
		.virtual_size = 512,
		.uuid = "a0000000-0000-0000-0000-00000000000b",
		.parent_uuid = "C0000000-0000-0000-0000-00000000000D",
		.tag = "a message",
	};
	struct test_writer w = test_writer_create(&p);
	struct test_layer bytes = test_writer_take(&w);
	struct ovbd_layer *l;

	(void)state;
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_string_equal(ovbd_layer_info(l)->uuid, "A0000000-0000-0000-0000-00000000000B");
	assert_string_equal(ovbd_layer_info(l)->parent_uuid,
	                    "C0000000-0000-0000-0000-00000000000D");
	assert_string_equal(ovbd_layer_info(l)->tag, "a message");
	assert_int_equal(bytes.len, 8192);
	ovbd_layer_close(l);
	free(bytes.p);
}

/* Written and read far beyond 2 TiB, through a stack. */
static void test_far_away(void **state)
{
	const uint64_t far = UINT64_C(16) << 40;
	const struct ovbd_layer_params p = {.virtual_size = far + MIB};
	struct test_writer w = test_writer_create(&p);
	uint8_t *buf = data_of(MIB), *back = malloc(MIB);
	AUTO_BLOB *device = NULL;
	struct test_layer bytes;
	struct ovbd_layer *l;

	(void)state;
	assert_int_equal(ovbd_layer_put(w.w, far, buf, MIB, NULL), 0);
	assert_int_equal(ovbd_layer_put(w.w, far / 2, buf, 4096, NULL), 0);
	bytes = test_writer_take(&w);
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_int_equal(ovbd_stack_open(&l, 1, &device, NULL), 0);
	assert_int_equal(device->size, far + MIB);
	assert_int_equal(ovbd_blob_pread(device, back, MIB, far, NULL), 0);
	assert_memory_equal(back, buf, MIB);
	assert_int_equal(ovbd_blob_pread(device, back, MIB, far / 2 - 4096, NULL), 0);
	assert_true(ovbd_is_zero(back, 4096) && ovbd_is_zero(back + 8192, MIB - 8192));
	assert_memory_equal(back + 4096, buf, 4096);
	free(bytes.p);
	free(buf);
	free(back);
}

/* 999,937 segments are written, and known of. */
static void test_many(void **state)
{
	const uint64_t n = OVBD_SEGMENTS_ORIGINAL + 1;
	const struct ovbd_layer_params p = {.virtual_size = n * 1024, .over_base = true};
	struct ovbd_layer_writer *w;
	struct ovbd_sink *mem;
	struct test_layer bytes;
	struct ovbd_layer *l;

	(void)state;
	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	assert_int_equal(ovbd_layer_create(mem, &p, &w, NULL), 0);
	for (uint64_t i = n; i > 0; i--)
		assert_int_equal(ovbd_layer_zero(w, (i - 1) * 1024, 512, NULL), 0);
	assert_int_equal(ovbd_layer_finish(w, NULL), 0);
	assert_int_equal(ovbd_layer_writer_nsegments(w), n);
	bytes.p = ovbd_sink_mem_take(mem, &bytes.len);
	ovbd_layer_writer_close(w);
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_int_equal(ovbd_layer_info(l)->nsegments, n);
	assert_int_equal(ovbd_layer_info(l)->zero_size, n * 512);
	ovbd_layer_close(l);
	free(bytes.p);
}

/* Puts over and over at random, then all of it once more. */
static int write_all(struct ovbd_sink *take_sink)
{
	static const uint8_t data[512] = {1};
	const struct ovbd_layer_params p = {.virtual_size = MIB, .over_base = true};
	OVBD_AUTO(ovbd_layer_writer_closep) struct ovbd_layer_writer *w = NULL;
	uint64_t random = 1;
	int r;

	r = ovbd_layer_create(take_sink, &p, &w, NULL);
	for (int i = 0; r == 0 && i < 600; i++) {
		const uint64_t off = test_random(&random) % 2048 * 512;

		r = i % 3 ? ovbd_layer_put(w, off, data, 512, NULL)
		          : ovbd_layer_zero(w, off, ovbd_min(MIB - off, 64 * KIB), NULL);
	}
	return r < 0 ? r : ovbd_layer_finish(w, NULL);
}

static void test_faults(void **state)
{
	long n;

	(void)state;
	for (n = 1;; n++) {
		struct ovbd_sink *mem;
		int r;

		assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
		mem = test_sink_faulty(mem);
		test_fault_set(n);
		r = write_all(mem);
		if (!test_fault_hit())
			break;
		assert_true(r == -ENOSPC || r == -ENOMEM);
	}
	assert_true(n > 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),      cmocka_unit_test(test_zero_blocks),
		cmocka_unit_test(test_odd_end),    cmocka_unit_test(test_zeros_beyond),
		cmocka_unit_test(test_bad_ranges), cmocka_unit_test(test_params),
		cmocka_unit_test(test_texts),      cmocka_unit_test(test_far_away),
		cmocka_unit_test(test_many),       cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
