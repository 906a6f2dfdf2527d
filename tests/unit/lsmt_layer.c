// SPDX-License-Identifier: Apache-2.0
/* Opening and checking layers of every shape that is met, and of those that must not be. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/layer.h"
#include "tests/lib/fault.h"
#include "tests/lib/lsmt_make.h"

#define KIB 1024u
#define SPARE                                                                                      \
	{                                                                                          \
		.padding = true                                                                    \
	}

/* A device of 64 KiB: sectors 0 and 1 are data, 2 to 7 zeroed, 16 to 19 data. */
static const struct lsmt_entry usual[] = {
	{.off = 0, .len = 1024, .src = 4096},
	{.off = 1024, .len = 3072, .src = 5120, .zeroed = true},
	{.off = 8192, .len = 2048, .src = 5120},
};

static const struct test_layer_spec usual_spec = {
	.virtual_size = 64 * KIB,
	.nsectors = 6,
	.entries = usual,
	.nentries = 3,
};

/* The sectors of the device must begin with these bytes. */
static void expect_sectors(const struct test_layer_spec *spec, const uint8_t *first, size_t n)
{
	struct test_layer bytes = test_layer_by_hand(spec);
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_error err;
	uint8_t sector[512];

	assert_ok(test_layer_open(&bytes, &l, &err), err);
	for (size_t i = 0; i < n; i++) {
		assert_ok(test_layer_read(l, sector, sizeof(sector), i * 512, &err), err);
		assert_int_equal(sector[0], first[i]);
		assert_int_equal(sector[511], first[i]);
	}
	free(bytes.p);
}

static int open_and_check(const struct test_layer *bytes, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	const int r = test_layer_open(bytes, &l, err);

	return r < 0 ? r : ovbd_layer_check(l, NULL, NULL, err);
}

static void expect_refusal(const struct test_layer_spec *spec, int code, const char *text)
{
	struct test_layer bytes = test_layer_by_hand(spec);
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_error err = {""};

	assert_fails(test_layer_open(&bytes, &l, &err), code, err, text);
	assert_null(l);
	free(bytes.p);
}

static const uint8_t usual_sectors[24] = {
	8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 11, 12, 13, 0, 0, 0, 0,
};

static void test_usual(void **state)
{
	struct test_layer bytes = test_layer_by_hand(&usual_spec);
	struct ovbd_layer *l;
	const struct ovbd_layer_info *info;

	(void)state;
	expect_sectors(&usual_spec, usual_sectors, 24);
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	info = ovbd_layer_info(l);
	assert_int_equal(info->virtual_size, 64 * KIB);
	assert_int_equal(info->nsegments, 3);
	assert_int_equal(info->data_size, 3072);
	assert_int_equal(info->zero_size, 3072);
	assert_int_equal(info->version, 0x101);
	assert_true(info->sealed_header);
	assert_string_equal(info->uuid, "00000000-0000-0000-0000-000000000000");
	assert_string_equal(info->tag, "");
	assert_int_equal(ovbd_layer_check(l, NULL, NULL, NULL), 0);
	ovbd_layer_close(l);
	free(bytes.p);
}

/* Shapes that differ in what does not matter: padding, tags, gaps, an index at odd places. */
static void test_shapes(void **state)
{
	static const struct lsmt_entry padded[] = {SPARE,    usual[0], SPARE, SPARE,
	                                           usual[1], usual[2], SPARE};
	struct lsmt_entry tagged[] = {usual[0], usual[1], usual[2]};
	struct test_layer_spec spec = usual_spec;

	(void)state;
	spec.entries = padded;
	spec.nentries = sizeof(padded) / sizeof(padded[0]);
	expect_sectors(&spec, usual_sectors, 24);

	spec = usual_spec;
	spec.entries = tagged;
	tagged[0].tag = tagged[1].tag = tagged[2].tag = 1; /* sealed over one layer */
	expect_sectors(&spec, usual_sectors, 24);
	tagged[1].tag = 200; /* merged from many */
	expect_sectors(&spec, usual_sectors, 24);

	spec = usual_spec;
	spec.index_shift = 1;
	expect_sectors(&spec, usual_sectors, 24);
	spec.gap = 300;
	spec.header_flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA;
	expect_sectors(&spec, usual_sectors, 24);
}

static void test_no_entries(void **state)
{
	static const struct lsmt_entry padding[] = {SPARE, SPARE};
	struct test_layer_spec spec = {.virtual_size = 4096};

	(void)state;
	expect_sectors(&spec, usual_sectors + 2, 8);
	spec.virtual_size = 0;
	expect_sectors(&spec, NULL, 0);
	spec.entries = padding;
	spec.nentries = 2;
	expect_sectors(&spec, NULL, 0);
}

/* The device was made smaller, or got its size later: what lies beyond is kept. */
static void test_beyond_size(void **state)
{
	static const uint64_t sizes[] = {0, 1, 512, 1025, 8192, 10239, 10240};
	struct test_layer_spec spec = usual_spec;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		spec.virtual_size = sizes[i];
		expect_sectors(&spec, usual_sectors, 24);
	}
}

static void test_far_away(void **state)
{
	const struct lsmt_entry far[] = {
		{.off = UINT64_C(16) << 40, .len = 512, .src = 4096},
		{.off = LSMT_DEVICE_MAX - 512, .len = 512, .src = 4608},
	};
	const struct test_layer_spec spec = {
		.virtual_size = LSMT_DEVICE_MAX,
		.nsectors = 2,
		.entries = far,
		.nentries = 2,
	};
	struct test_layer bytes = test_layer_by_hand(&spec);
	struct ovbd_layer *l;
	uint8_t buf[1536];

	(void)state;
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_int_equal(test_layer_read(l, buf, 1536, far[0].off - 512, NULL), 0);
	assert_true(buf[511] == 0 && buf[512] == 8 && buf[1023] == 8 && buf[1024] == 0);
	assert_int_equal(test_layer_read(l, buf, 1024, far[1].off - 512, NULL), 0);
	assert_true(buf[511] == 0 && buf[512] == 9 && buf[1023] == 9);
	ovbd_layer_close(l);
	free(bytes.p);
}

/* More than the original can open. */
static void test_many_segments(void **state)
{
	const size_t n = 1000000;
	struct lsmt_entry *e = calloc(n, sizeof(*e));
	struct test_layer_spec spec = {.virtual_size = n * 1024, .nsectors = 2, .nentries = n};
	struct test_layer bytes;
	struct ovbd_layer *l;
	uint8_t sector[512];

	(void)state;
	assert_non_null(e);
	for (size_t i = 0; i < n; i++)
		e[i] = (struct lsmt_entry){.off = i * 1024, .len = 512, .src = 4096 + i % 2 * 512};
	spec.entries = e;
	bytes = test_layer_by_hand(&spec);
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_int_equal(ovbd_layer_info(l)->nsegments, n);
	for (size_t i = 0; i < n; i += 99999) {
		assert_int_equal(test_layer_read(l, sector, 512, i * 1024, NULL), 0);
		assert_int_equal(sector[0], 8 + i % 2);
	}
	ovbd_layer_close(l);
	free(bytes.p);
	free(e);
}

/* Segments whose data are in a tar elsewhere, and happen to look as if they were here. */
static void test_turbo(void **state)
{
	struct lsmt_entry warp[] = {
		{.off = 0, .len = 2048, .src = 4096},
		{.off = 8192, .len = 512, .src = 4096, .tag = 1},
	};
	struct test_layer_spec spec = {.virtual_size = 64 * KIB,
	                               .nsectors = 4,
	                               .entries = warp,
	                               .nentries = 2};

	(void)state;
	expect_refusal(&spec, -ENOTSUP, "a turboOCI layer, whose data are elsewhere");
	warp[1].src = 512;
	expect_refusal(&spec, -EBADMSG, "turboOCI");
	/* one place read twice, without tags, is somebody's deduplication */
	warp[1].src = 4096;
	warp[1].tag = 0;
	expect_sectors(&spec, (const uint8_t[]){8, 9, 10, 11, 0}, 5);
}

static void test_refused(void **state)
{
	struct lsmt_entry e[3];
	struct test_layer_spec spec = usual_spec;

	(void)state;
	spec.entries = e;
	memcpy(e, usual, sizeof(e));
	e[2].off = 3584;
	expect_refusal(&spec, -EBADMSG, "lsmt index entry 2: device offset 3584 lies before 4096");
	memcpy(e, usual, sizeof(e));
	e[0].src = 7168 - 512; /* the data end at 7168 */
	expect_refusal(&spec, -EBADMSG, "lsmt index entry 0: 1024 bytes at");
	spec = usual_spec;
	spec.header_flags = LSMT_FLAG_HEADER;
	expect_refusal(&spec, -EBADMSG, "the index file of a writable layer");
}

/* Whatever is cut off, the file is refused: the trailer is its last 4096 bytes. */
static void test_truncated(void **state)
{
	struct test_layer bytes = test_layer_by_hand(&usual_spec);
	const size_t whole = bytes.len;

	(void)state;
	for (size_t step = 1; step <= 512; step += 511) {
		for (bytes.len = step == 1 ? whole - 2000 : 0; bytes.len < whole;
		     bytes.len += step) {
			struct ovbd_layer *l;
			struct ovbd_error err = {""};

			assert_fails(test_layer_open(&bytes, &l, &err), -EBADMSG, err, "lsmt");
		}
	}
	free(bytes.p);
}

static void test_probe(void **state)
{
	struct test_layer bytes = test_layer_by_hand(&usual_spec);
	struct ovbd_blob *b;

	(void)state;
	for (size_t len = 0; len < 100; len++) {
		assert_int_equal(ovbd_blob_open_mem(bytes.p, len, &b, NULL), 0);
		assert_int_equal(ovbd_layer_probe(b, NULL), len >= LSMT_MAGIC_SIZE);
		ovbd_blob_close(b);
	}
	bytes.p[9] ^= 1;
	assert_int_equal(ovbd_blob_open_mem(bytes.p, bytes.len, &b, NULL), 0);
	assert_int_equal(ovbd_layer_probe(b, NULL), 0);
	b = test_blob_faulty(b);
	test_fault_set(1);
	assert_int_equal(ovbd_layer_probe(b, NULL), -EIO);
	assert_true(test_fault_hit());
	ovbd_blob_close(b);
	free(bytes.p);
}

static void test_check(void **state)
{
	/* from: 0 the header's begin, 1 the trailer's */
	static const struct {
		size_t from, at;
		const char *text;
	} cases[] = {
		{0, LSMT_OFF_SIZE, "lsmt header: size 391 is not 390"},
		{1, LSMT_OFF_SIZE, "lsmt trailer: size 391 is not 390"},
		{0, LSMT_OFF_INDEX_OFFSET, "lsmt header: tells of an index of 0 entries at 1"},
		{0, LSMT_OFF_INDEX_SIZE, "lsmt header: tells of an index of 1 entries at 0"},
		{0, LSMT_OFF_VIRTUAL_SIZE, "virtual size is 65537 in the header, 65536"},
		{0, LSMT_OFF_UUID, "UUID is 10000000-"},
		{0, LSMT_OFF_PARENT_UUID, "parent UUID is 10000000-"},
		{0, LSMT_OFF_RESERVED, "lsmt header: reserved bytes"},
		{1, LSMT_OFF_SUB_VERSION, "lsmt trailer: version 1.0"},
		{1, LSMT_OFF_USER_TAG, "different messages"},
		{0, 4095, "lsmt header: bytes from 390 on are not zero"},
		{1, 390, "lsmt trailer: bytes from 390 on are not zero"},
	};
	struct test_layer bytes = test_layer_by_hand(&usual_spec);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *p =
			bytes.p + cases[i].at + (cases[i].from ? bytes.len - LSMT_HEADER_SIZE : 0);
		struct ovbd_error err = {""};

		*p ^= 1;
		assert_fails(open_and_check(&bytes, &err), -EBADMSG, err, cases[i].text);
		*p ^= 1;
	}
	assert_int_equal(open_and_check(&bytes, NULL), 0);
	free(bytes.p);
}

static void test_check_gap(void **state)
{
	static const struct {
		uint32_t header_flags;
		size_t gap;
		bool clean;
	} cases[] = {{7, 0, true}, {7, 1, false}, {3, 511, true}, {3, 512, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_layer_spec spec = usual_spec;
		struct ovbd_error err = {""};
		struct test_layer bytes;

		spec.gap = cases[i].gap;
		spec.header_flags = cases[i].header_flags;
		bytes = test_layer_by_hand(&spec);
		assert_fails(open_and_check(&bytes, &err), cases[i].clean ? 0 : -EBADMSG, err,
		             cases[i].clean ? "" : "belong to nothing");
		free(bytes.p);
	}
}

static int stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	assert_true(done > 0 && done <= total);
	return ++*(int *)arg;
}

static void test_check_canceled(void **state)
{
	struct test_layer bytes = test_layer_by_hand(&usual_spec);
	struct ovbd_layer *l;
	int calls = 0;

	(void)state;
	assert_int_equal(test_layer_open(&bytes, &l, NULL), 0);
	assert_int_equal(ovbd_layer_check(l, stop_at_once, &calls, NULL), -ECANCELED);
	assert_int_equal(calls, 1);
	ovbd_layer_close(l);
	free(bytes.p);
}

/* Every pread and every allocation fails once, in opening, checking and reading. */
static int open_faulty(struct ovbd_blob *take_b)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	uint8_t buf[4096];
	int r;

	r = ovbd_layer_open(take_b, take_b->size, &l, NULL);
	if (r == 0)
		r = ovbd_layer_check(l, NULL, NULL, NULL);
	return r < 0 ? r : test_layer_read(l, buf, sizeof(buf), 0, NULL);
}

static void test_faults(void **state)
{
	struct test_layer_spec spec = usual_spec;
	struct test_layer bytes;
	long n;

	(void)state;
	spec.virtual_size = 512; /* so that the index is read twice */
	bytes = test_layer_by_hand(&spec);
	for (n = 1;; n++) {
		struct ovbd_blob *b;
		int r;

		assert_int_equal(ovbd_blob_open_mem(bytes.p, bytes.len, &b, NULL), 0);
		b = test_blob_faulty(b);
		test_fault_set(n);
		r = open_faulty(b);
		if (!test_fault_hit())
			break;
		assert_true(r == -EIO || r == -ENOMEM);
	}
	free(bytes.p);
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),          cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_no_entries),     cmocka_unit_test(test_beyond_size),
		cmocka_unit_test(test_far_away),       cmocka_unit_test(test_many_segments),
		cmocka_unit_test(test_turbo),          cmocka_unit_test(test_refused),
		cmocka_unit_test(test_truncated),      cmocka_unit_test(test_probe),
		cmocka_unit_test(test_check),          cmocka_unit_test(test_check_gap),
		cmocka_unit_test(test_check_canceled), cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
