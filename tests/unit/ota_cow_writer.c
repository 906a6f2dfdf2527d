// SPDX-License-Identifier: Apache-2.0
/* The writer of COW files: what it refuses, and what is in the file to the byte. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/cow_create.h"
#include "tests/lib/fault.h"
#include "tests/lib/kept.h"

#define BLOCK 4096u

static const struct ovbd_cow_write_params v2 = {.version = 2,
                                                .algorithm = OVBD_COW_NONE,
                                                .max_piece = BLOCK,
                                                .cluster_ops = 5};
static const struct ovbd_cow_write_params v3 = {.version = 3,
                                                .algorithm = OVBD_COW_LZ4,
                                                .max_piece = 4 * BLOCK,
                                                .op_count_max = 5};

static struct ovbd_cow_writer *create(const struct ovbd_cow_write_params *p,
                                      struct ovbd_sink **ret_sink)
{
	struct ovbd_cow_writer *w = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_sink_create_mem(ret_sink, &err), err);
	assert_ok(ovbd_cow_writer_create(test_sink_kept(*ret_sink), p, &w, &err), err);
	return w;
}

static int add(struct ovbd_cow_writer *w, unsigned type, uint32_t block, uint64_t source,
               uint32_t len, unsigned shift, struct ovbd_error *err)
{
	static const uint8_t data[OVBD_COW_PIECE_MAX] = {1, 2, 3};
	const struct ovbd_cow_op op = {.type = (uint8_t)type,
	                               .block = block,
	                               .source = source,
	                               .data_len = len,
	                               .shift = (uint8_t)shift};

	return ovbd_cow_writer_add(w, &op, data, err);
}

/* ---- what is refused ---- */

static void test_params(void **state)
{
	static const uint32_t block_of_none = 1;
	const struct {
		struct ovbd_cow_write_params p;
		int r;
		const char *text;
	} table[] = {
		{{.version = 1, .max_piece = BLOCK}, -EINVAL, "version 1 cannot be written"},
		{{.version = 2, .max_piece = 2 * BLOCK}, -EINVAL, "up to 8192 bytes in 2.0"},
		{{.version = 3, .max_piece = 3 * BLOCK}, -EINVAL, "up to 12288 bytes in 3.0"},
		{{.version = 3, .max_piece = 128 * BLOCK}, -EINVAL, "up to 524288 bytes"},
		{{.version = 3, .max_piece = BLOCK, .scratch_size = 4096}, -EINVAL, "scratch area"},
		{{.version = 3, .max_piece = BLOCK, .algorithm = 5}, -EINVAL, "algorithm 5"},
		{{.version = 2, .max_piece = BLOCK, .cluster_ops = 3}, -EINVAL, "clusters of 3"},
		{{.version = 3, .max_piece = BLOCK, .op_count_max = UINT64_C(1) << 32},
	         -E2BIG,
	         "4294967296 operations"},
		{{.version = 3, .max_piece = BLOCK, .sequence = &block_of_none, .nsequence = 1},
	         0,
	         ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = NULL;
		struct ovbd_sink *sink;
		struct ovbd_error err = {""};

		assert_ok(ovbd_sink_create_mem(&sink, &err), err);
		assert_fails(ovbd_cow_writer_create(sink, &table[i].p, &w, &err), table[i].r, err,
		             table[i].text);
	}
}

static void test_ops(void **state)
{
	const struct {
		const struct ovbd_cow_write_params *p;
		unsigned type;
		uint32_t block;
		uint64_t source;
		uint32_t len;
		unsigned shift;
		const char *text;
	} table[] = {
		{&v2, 4, 0, 0, 0, 0, "no type that writes"},
		{&v2, OVBD_COW_REPLACE, 0, 0, BLOCK, 1, "too many blocks"},
		{&v3, OVBD_COW_REPLACE, 0, 0, 9, 3, "too many blocks"},
		{&v3, OVBD_COW_XOR, 0, 0, 9, 1, "too many blocks"},
		{&v3, OVBD_COW_REPLACE, UINT32_MAX, 0, 9, 1, "beyond block 2^32"},
		{&v3, OVBD_COW_XOR, 0, UINT64_C(1) << 48, 9, 0, "a source beyond 2^48"},
		{&v3, OVBD_COW_REPLACE, 0, 0, 0, 0, "a length that cannot be stored"},
		{&v3, OVBD_COW_REPLACE, 0, 0, 2 * BLOCK + 1, 1, "a length that cannot be stored"},
		{&v2, OVBD_COW_XOR, 0, 0, 100, 0, "not compressed, but of another length"},
	};
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		AUTO_SINK *sink = NULL;
		OVBD_AUTO(ovbd_cow_writer_closep)
		struct ovbd_cow_writer *w = create(table[i].p, &sink);

		assert_fails(add(w, table[i].type, table[i].block, table[i].source, table[i].len,
		                 table[i].shift, &err),
		             -EINVAL, err, table[i].text);
	}
}

static void test_order_room_labels(void **state)
{
	AUTO_SINK *sink = NULL;
	OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = create(&v3, &sink);
	struct ovbd_error err;

	(void)state;
	assert_ok(add(w, OVBD_COW_COPY, 1, 2, 0, 0, &err), err);
	assert_ok(ovbd_cow_writer_label(w, 7, &err), err);
	assert_fails(ovbd_cow_writer_label(w, 7, &err), -EINVAL, err, "label 7 after 7");
	assert_ok(add(w, OVBD_COW_ZERO, 2, 0, 0, 0, &err), err);
	assert_fails(add(w, OVBD_COW_COPY, 3, 4, 0, 0, &err), -EINVAL, err,
	             "comes behind one that does not");
	for (uint32_t i = 3; i < 6; i++)
		assert_ok(add(w, OVBD_COW_ZERO, i, 0, 0, 0, &err), err);
	assert_fails(add(w, OVBD_COW_ZERO, 9, 0, 0, 0, &err), -EINVAL, err, "no room for more");
}

struct stream {
	struct ovbd_sink sink;
};

static int stream_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	(void)s, (void)buf, (void)len, (void)err;
	return 0;
}

static int stream_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	(void)s, (void)err;
	return 0;
}

static void stream_close(struct ovbd_sink *s)
{
	(void)s;
}

static void test_stream(void **state)
{
	static const struct ovbd_sink_ops ops = {.name = "stream",
	                                         .append = stream_append,
	                                         .finish = stream_finish,
	                                         .close = stream_close};
	struct stream s = {.sink = {.ops = &ops}};
	struct ovbd_cow_writer *w = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_cow_writer_create(&s.sink, &v3, &w, &err), -ENOTSUP, err,
	             "cannot be written to a stream; 2.0 can");
	assert_ok(ovbd_cow_writer_create(&s.sink, &v2, &w, &err), err);
	ovbd_cow_writer_close(w);
}

/* ---- what is written ---- */

/* hex: bytes in hexadecimal, with blanks between them at will. */
static void must_be(const uint8_t *p, const char *hex)
{
	for (size_t i = 0; *hex; i++) {
		const char digits[] = {hex[0], hex[1], '\0'};

		if (p[i] != strtoul(digits, NULL, 16))
			fail_msg("byte %zu is %02x, not %s", i, p[i], digits);
		for (hex += 2; *hex == ' ';)
			hex++;
	}
}

static void test_bytes_v2(void **state)
{
	static const char start[] =
		"2121574f63776f43 0200 0000 2600 5400 1400 00100000 05000000 0000000000000000"
		"00000000"
		"01 00 0000 0100000000000000 0200000000000000" /* copy */
		"04 00 0000 0000000000000000 0900000000000000" /* label */
		"02 00 0010 0300000000000000 8a00000000000000" /* replace, data at 138 */
		"03 00 0000 0400000000000000 0000000000000000" /* zero */
		"05 00 0000 0000000000000000 0010000000000000" /* the end of the cluster */
		"010203";
	AUTO_SINK *sink = NULL;
	OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = create(&v2, &sink);
	struct ovbd_error err;
	AUTO_FREE uint8_t *p = NULL;
	size_t len;

	(void)state;
	assert_ok(add(w, OVBD_COW_COPY, 1, 2, 0, 0, &err), err);
	assert_ok(ovbd_cow_writer_label(w, 9, &err), err);
	assert_ok(add(w, OVBD_COW_REPLACE, 3, 0, BLOCK, 0, &err), err);
	assert_ok(add(w, OVBD_COW_ZERO, 4, 0, 0, 0, &err), err);
	assert_ok(ovbd_cow_writer_finish(w, &err), err);
	assert_int_equal(ovbd_cow_writer_size(w), 38 + 100 + BLOCK + 84);
	p = ovbd_sink_mem_take(sink, &len);
	assert_int_equal(len, 38 + 100 + BLOCK + 84);
	must_be(p, start);
	must_be(p + 138 + BLOCK, "ff 00 4000 6400000000000000 0500000000000000 0000000000000000");
}

static void test_bytes_v3(void **state)
{
	AUTO_SINK *sink = NULL;
	OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = create(&v3, &sink);
	struct ovbd_error err;
	AUTO_FREE uint8_t *p = NULL;
	size_t len;

	(void)state;
	assert_ok(add(w, OVBD_COW_XOR, 1, 7, 5, 0, &err), err);
	assert_ok(ovbd_cow_writer_label(w, 9, &err), err);
	assert_ok(add(w, OVBD_COW_REPLACE, 2, 0, 6, 2, &err), err);
	assert_ok(add(w, OVBD_COW_ZERO, 6, 0, 0, 0, &err), err);
	assert_ok(ovbd_cow_writer_finish(w, &err), err);
	p = ovbd_sink_mem_take(sink, &len);
	assert_int_equal(len, 78 + 64 + 80 + 5 + 6);
	must_be(p, "2121574f63776f43 0300 0000 4e00 0000 1000 00100000 00000000 0000000000000000"
	           "00000000 0000000000000000 01000000 04000000 0300000000000000"
	           "0500000000000000 03000000 00400000");
	must_be(p + 78, "0900000000000000 0100000000000000 0000000000000000"); /* label 9 after 1 */
	must_be(p + 78 + 64, "05000000 01000000 0700000000000060"              /* xor with byte 7 */
	                     "06000000 02000000 e300000000000024"              /* four blocks */
	                     "00000000 06000000 0000000000000030");            /* zero */
	assert_true(ovbd_is_zero(p + 78 + 64 + 48, 32));
	must_be(p + 78 + 64 + 80, "010203");
}

/* The last four labels are kept. */
static void test_labels_v3(void **state)
{
	const struct ovbd_cow_write_params many = {.version = 3,
	                                           .algorithm = OVBD_COW_LZ4,
	                                           .max_piece = BLOCK,
	                                           .op_count_max = 20};
	const struct ovbd_cow_params until = {.until = OVBD_COW_LABEL, .label = 17};
	const struct ovbd_cow_params lost = {.until = OVBD_COW_LABEL, .label = 16};
	AUTO_SINK *sink = NULL;
	OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = create(&many, &sink);
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
	AUTO_FREE uint8_t *p = NULL;
	struct ovbd_blob *b;
	struct ovbd_error err;
	size_t len;

	(void)state;
	for (uint32_t i = 1; i <= 20; i++) {
		assert_ok(add(w, OVBD_COW_ZERO, i, 0, 0, 0, &err), err);
		assert_ok(ovbd_cow_writer_label(w, i, &err), err);
	}
	assert_ok(ovbd_cow_writer_finish(w, &err), err);
	p = ovbd_sink_mem_take(sink, &len);
	assert_ok(ovbd_blob_open_mem(p, len, &b, &err), err);
	assert_fails(ovbd_cow_open(b, &lost, &c, &err), -ENOENT, err, "no label 16");
	assert_ok(ovbd_blob_open_mem(p, len, &b, &err), err);
	assert_ok(ovbd_cow_open(b, &until, &c, &err), err);
	assert_int_equal(ovbd_cow_count(c), 17);
}

/* ---- whatever fails ---- */

#define NBLOCKS 40u

static uint8_t old_image[NBLOCKS * BLOCK], new_image[NBLOCKS * BLOCK];

static void make_images(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(old_image); i++)
		old_image[i] = (uint8_t)(test_random(&seed) & 15);
	memcpy(new_image, old_image, sizeof(old_image));
	memcpy(new_image + 3 * BLOCK, old_image + BLOCK, 5 * BLOCK);
	memset(new_image + 10 * BLOCK, 0, BLOCK);
	memset(new_image + 12 * BLOCK, 7, 4 * BLOCK);
	memset(new_image + 20 * BLOCK, 9, 300);
}

/* The n-th call that can fail does. Whether there was one. */
static bool fails_at(long n, const struct ovbd_cow_create_params *p)
{
	AUTO_BLOB *a = NULL, *b = NULL;
	struct ovbd_cow_created made;
	struct ovbd_sink *sink;
	struct ovbd_error err;
	int r;

	assert_ok(ovbd_blob_open_mem(new_image, sizeof(new_image), &a, &err), err);
	assert_ok(ovbd_blob_open_mem(old_image, sizeof(old_image), &b, &err), err);
	assert_ok(ovbd_sink_create_mem(&sink, &err), err);
	a = test_blob_faulty(a);
	b = test_blob_faulty(b);
	sink = test_sink_faulty(sink);
	err.msg[0] = '\0';
	test_fault_set(n);
	r = ovbd_cow_create(sink, a, b, p, &made, &err);
	if (!test_fault_hit()) {
		assert_ok(r, err);
		return false;
	}
	if (r < 0) /* giving memory back is the one thing that may fail */
		assert_true(err.msg[0] != '\0');
	return true;
}

static void test_faults(void **state)
{
	struct ovbd_cow_create_params p = {
		.write = {.version = 3,
	                  .algorithm = OVBD_COW_ZSTD,
	                  .scratch_size = OVBD_COW_SCRATCH_SIZE,
	                  .max_piece = 4 * BLOCK},
		.sequence = true,
		.label_every = 3,
		.nthreads = 1,
	};
	long n = 1;

	(void)state;
	make_images();
	while (fails_at(n, &p))
		n++;
	assert_true(n > 30);
	p.write.version = 2;
	p.write.max_piece = BLOCK;
	p.write.algorithm = OVBD_COW_GZ;
	for (n = 1; fails_at(n, &p);)
		n++;
	assert_true(n > 30);
}

static int stop_late(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *calls = arg;

	assert_true(done <= total);
	return (*calls)-- == 1;
}

/* Progress goes up to the whole, and wherever it says so the work ends. */
static void test_progress(void **state)
{
	uint64_t left;
	const struct ovbd_cow_create_params p = {
		.write = {.version = 2, .max_piece = BLOCK},
		.nthreads = 2,
		.progress = stop_late,
		.progress_arg = &left,
	};
	int r = -ECANCELED;

	(void)state;
	make_images();
	for (uint64_t n = 1; r != 0; n++) {
		AUTO_BLOB *a = NULL, *b = NULL;
		struct ovbd_cow_created made;
		struct ovbd_sink *sink;
		struct ovbd_error err;

		left = n;
		assert_ok(ovbd_blob_open_mem(new_image, sizeof(new_image), &a, &err), err);
		assert_ok(ovbd_blob_open_mem(old_image, sizeof(old_image), &b, &err), err);
		assert_ok(ovbd_sink_create_mem(&sink, &err), err);
		r = ovbd_cow_create(sink, a, b, &p, &made, &err);
		assert_true(r == 0 || r == -ECANCELED);
		assert_true(n < 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_ops),
		cmocka_unit_test(test_order_room_labels),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_bytes_v2),
		cmocka_unit_test(test_bytes_v3),
		cmocka_unit_test(test_labels_v3),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
