// SPDX-License-Identifier: Apache-2.0
/* Reading: every way to cut a range, how often the inner blob is asked, and what goes wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"
#include "tests/lib/zfile_make.h"
#include "zfile/format.h"

/* A blob that counts. */
struct counter {
	struct ovbd_blob blob;
	struct ovbd_blob *inner;
	unsigned nreads;
	size_t longest;
};

static int counter_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	struct counter *c = OVBD_CONTAINER_OF(b, struct counter, blob);

	c->nreads++;
	c->longest = len > c->longest ? len : c->longest;
	return ovbd_blob_pread(c->inner, buf, len, off, err);
}

static void counter_close(struct ovbd_blob *b)
{
	ovbd_blob_close(OVBD_CONTAINER_OF(b, struct counter, blob)->inner);
}

/* The blob over z, and in *ret the counter below it, which must outlive it. */
static struct ovbd_blob *open_counted(const struct test_bytes *z, struct counter *ret)
{
	static const struct ovbd_blob_ops ops = {
		.name = "counter",
		.pread = counter_pread,
		.close = counter_close,
	};
	struct ovbd_blob *b = NULL;

	*ret = (struct counter){.blob = {.ops = &ops, .size = z->len}};
	assert_int_equal(ovbd_blob_open_mem(z->p, z->len, &ret->inner, NULL), 0);
	assert_int_equal(ovbd_zfile_open(&ret->blob, &b, NULL), 0);
	ret->nreads = 0;
	ret->longest = 0;
	return b;
}

static void read_same(struct ovbd_blob *b, const struct test_bytes *raw, uint64_t off, size_t len)
{
	AUTO_FREE uint8_t *buf = malloc(len + 1);
	struct ovbd_error err;

	assert_non_null(buf);
	buf[len] = 0xa5;
	if (ovbd_blob_pread(b, buf, len, off, &err) < 0)
		fail_msg("%s", err.msg);
	if (memcmp(buf, raw->p + off, len) != 0)
		fail_msg("%zu bytes at %llu differ", len, (unsigned long long)off);
	assert_int_equal(buf[len], 0xa5);
}

static const struct ovbd_zfile_params lz4_4k = {.codec = OVBD_CODEC_LZ4,
                                                .block_size = 4096,
                                                .checksum = true,
                                                .nthreads = 1};
static const struct ovbd_zfile_params zstd_64k = {.codec = OVBD_CODEC_ZSTD,
                                                  .block_size = 65536,
                                                  .checksum = true,
                                                  .nthreads = 1};
static const struct ovbd_zfile_params plain_lz4_4k = {.codec = OVBD_CODEC_LZ4,
                                                      .block_size = 4096,
                                                      .nthreads = 1};

/* All ranges between positions around the edges of blocks. */
static void test_ranges(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * 5 * 2; i++) {
		const struct ovbd_zfile_params p = {
			.codec = i & 1 ? OVBD_CODEC_LZ4 : OVBD_CODEC_ZSTD,
			.checksum = i & 2,
			.block_size = 4096u << i / 4,
			.nthreads = 1,
		};
		struct test_bytes raw = test_mixed(4 * p.block_size + 123, i);
		struct test_bytes z = test_zfile_make(&raw, &p);
		uint64_t at[16], n = 0;
		AUTO_BLOB *b = NULL;

		assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
		assert_int_equal(b->size, raw.len);
		for (uint64_t block = 0; block <= 4; block++) {
			at[n++] = block * p.block_size;
			at[n++] = block * p.block_size + 1;
			at[n++] = ovbd_min((block + 1) * p.block_size, raw.len) - 1;
		}
		at[n++] = raw.len;
		for (uint64_t from = 0; from < n; from++)
			for (uint64_t to = from; to < n; to++)
				read_same(b, &raw, at[from], (size_t)(at[to] - at[from]));
		assert_int_equal(ovbd_blob_pread(b, at, 1, raw.len, NULL), -EINVAL);
		free(raw.p);
		free(z.p);
	}
}

/* One inner read for what lies together, and a bounded one. */
static void test_one_inner_read(void **state)
{
	struct test_bytes raw = test_mixed(8 << 20, 1), z = test_zfile_make(&raw, &lz4_4k);
	struct counter c;
	struct ovbd_blob *b = open_counted(&z, &c);

	(void)state;
	read_same(b, &raw, 4096 * 7 + 5, 1 << 20);
	assert_int_equal(c.nreads, 1);
	c.nreads = 0;
	read_same(b, &raw, 0, raw.len);
	assert_true(c.nreads <= z.len / (1 << 20) + 1);
	assert_true(c.longest <= 1 << 20);
	ovbd_blob_close(b);
	free(raw.p);
	free(z.p);
}

/* Small steps, aligned or not, fetch and inflate each block once. */
static void test_walk(void **state)
{
	struct test_bytes raw = test_mixed(20 * 65536 + 77, 2),
			  z = test_zfile_make(&raw, &zstd_64k);

	(void)state;
	for (size_t step = 4096; step > 1000; step -= 1096) {
		struct counter c;
		struct ovbd_blob *b = open_counted(&z, &c);

		for (uint64_t off = 0; off < raw.len; off += step)
			read_same(b, &raw, off, (size_t)ovbd_min(step, raw.len - off));
		assert_int_equal(c.nreads, 21);
		ovbd_blob_close(b);
	}
	free(raw.p);
	free(z.p);
}

/* A damaged block is an error each time, whole or in part, and the others are not affected. */
static void test_bad_block(void **state)
{
	struct test_bytes raw = test_mixed(5 * 65536, 3), z = test_zfile_make(&raw, &zstd_64k);
	const uint64_t index = ovbd_get_le64(z.p + ZFILE_OFF_INDEX_OFFSET);
	const uint32_t bad = 512 + ovbd_get_le32(z.p + index);
	uint8_t *buf = malloc(raw.len);
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char place[64];

	(void)state;
	z.p[bad + 100] ^= 4;
	snprintf(place, sizeof(place), "zfile block 1 at %u: checksum 0x", bad);
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ovbd_blob_pread(b, buf, 10, 65536 + 5, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, place));
		assert_int_equal(ovbd_blob_pread(b, buf, 10, 65536 + 5, NULL), -EBADMSG);
		assert_int_equal(ovbd_blob_pread(b, buf, raw.len, 0, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, place));
		read_same(b, &raw, 65526, 10);
		read_same(b, &raw, 2 * 65536, 3 * 65536);
	}
	free(buf);
	free(raw.p);
	free(z.p);
}

/* A file whose header says one byte more or less than the last block has. */
static void test_wrong_length(void **state)
{
	struct test_bytes raw = test_mixed(8191, 4);
	uint8_t buf[8192];

	(void)state;
	for (int off = -1; off <= 1; off += 2) {
		struct test_bytes z = test_zfile_make(&raw, &plain_lz4_4k);
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;

		ovbd_put_le64(z.p + ZFILE_OFF_ORIGINAL_FILE_SIZE, (uint64_t)(8191 + off));
		test_zfile_seal(&z);
		assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
		assert_int_equal(ovbd_blob_pread(b, buf, 4096, 0, NULL), 0);
		assert_int_equal(ovbd_blob_pread(b, buf, 1, 4096, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, off < 0 ? "does not decompress"
		                                        : "decompresses to 4095 bytes, not 4096"));
		assert_int_equal(ovbd_blob_pread(b, buf, (size_t)b->size, 0, NULL), -EBADMSG);
		free(z.p);
	}
	free(raw.p);
}

/* Sets a byte in header and trailer, and makes the digests right. */
static void set_byte(struct test_bytes *z, size_t off, uint8_t value)
{
	z->p[off] = value;
	z->p[z->len - ZFILE_HEADER_SIZE + off] = value;
	test_zfile_seal(z);
}

/* What no reader looks at may hold anything; so may flags that nobody honours. */
static void test_tolerates(void **state)
{
	static const size_t ignored[] = {
		ZFILE_OFF_SIZE,      ZFILE_OFF_RESERVED,   ZFILE_OFF_LEVEL,
		ZFILE_OFF_LEVEL + 2, ZFILE_OFF_VERIFY + 1, ZFILE_HEADER_SIZE - 1,
		ZFILE_OFF_FLAGS + 1, /* flags 8 to 15 */
	};
	struct test_bytes raw = test_mixed(10000, 5), z = test_zfile_make(&raw, &lz4_4k);
	AUTO_BLOB *b = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		set_byte(&z, ignored[i], 0xee);
	z.p[ZFILE_OFF_FLAGS] |= 1 << 5;
	test_zfile_seal(&z);
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	read_same(b, &raw, 0, raw.len);
	assert_int_equal(ovbd_zfile_check(b, NULL, NULL, NULL), 0);
	free(raw.p);
	free(z.p);
}

/* Older files have neither digests nor a checksum of the jump table. */
static void test_no_digests(void **state)
{
	struct test_bytes raw = test_mixed(10000, 6), z = test_zfile_make(&raw, &lz4_4k);
	AUTO_BLOB *b = NULL;

	(void)state;
	z.p[ZFILE_OFF_FLAGS] &= (uint8_t)~ZFILE_FLAG_DIGEST;
	z.p[z.len - ZFILE_HEADER_SIZE + ZFILE_OFF_FLAGS] &= (uint8_t)~ZFILE_FLAG_DIGEST;
	set_byte(&z, ZFILE_OFF_DIGEST, 0xee);
	set_byte(&z, ZFILE_OFF_INDEX_CRC, 0xee);
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	assert_false(ovbd_zfile_info(b).digests);
	read_same(b, &raw, 0, raw.len);
	assert_int_equal(ovbd_zfile_check(b, NULL, NULL, NULL), 0);
	free(raw.p);
	free(z.p);
}

/* The blocks start after the dictionary, which nobody uses. */
static void test_dictionary(void **state)
{
	enum { DICT = 99 };
	struct test_bytes raw = test_mixed(10000, 7), z = test_zfile_make(&raw, &lz4_4k);
	struct test_bytes with = {.len = z.len + DICT, .p = calloc(1, z.len + DICT)};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	memcpy(with.p, z.p, 512);
	memcpy(with.p + 512 + DICT, z.p + 512, z.len - 512);
	for (size_t at = 0; at < with.len; at += with.len - 512) {
		ovbd_put_le32(with.p + at + ZFILE_OFF_DICT_SIZE, DICT);
		ovbd_put_le64(with.p + at + ZFILE_OFF_INDEX_OFFSET,
		              ovbd_get_le64(z.p + ZFILE_OFF_INDEX_OFFSET) + DICT);
	}
	test_zfile_seal(&with);
	assert_int_equal(test_zfile_open(&with, &b, NULL), 0);
	read_same(b, &raw, 0, raw.len);
	assert_int_equal(ovbd_zfile_check(b, NULL, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "99 bytes at 512 before the first block"));
	free(raw.p);
	free(z.p);
	free(with.p);
}

static void test_probe(void **state)
{
	struct test_bytes raw = {0}, z = test_zfile_make(&raw, &lz4_4k);
	struct ovbd_blob *b;

	(void)state;
	for (size_t len = 0; len <= z.len; len += 8) {
		assert_int_equal(ovbd_blob_open_mem(z.p, len, &b, NULL), 0);
		assert_int_equal(ovbd_zfile_probe(b, NULL), len >= 24);
		ovbd_blob_close(b);
	}
	z.p[20] ^= 1;
	assert_int_equal(ovbd_blob_open_mem(z.p, z.len, &b, NULL), 0);
	assert_int_equal(ovbd_zfile_probe(b, NULL), 0);
	b = test_blob_faulty(b);
	test_fault_set(1);
	assert_int_equal(ovbd_zfile_probe(b, NULL), -EIO);
	ovbd_blob_close(b);
	free(z.p);
}

/* The N-th inner read fails, for every N: an error, and the blob is as good as before. */
static void test_failing_inner(void **state)
{
	struct ovbd_zfile_params p = lz4_4k;
	struct test_bytes raw = test_mixed(300000, 8), z;

	(void)state;
	p.trailer_only = true;
	z = test_zfile_make(&raw, &p);
	for (long n = 1;; n++) {
		struct ovbd_blob *mem;
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		int r;

		assert_int_equal(ovbd_blob_open_mem(z.p, z.len, &mem, NULL), 0);
		test_fault_set(n);
		r = ovbd_zfile_open(test_blob_faulty(mem), &b, &err);
		if (r == 0)
			r = ovbd_zfile_check(b, NULL, NULL, &err);
		if (!test_fault_hit())
			break;
		assert_int_equal(r, -EIO);
		assert_non_null(strstr(err.msg, "zfile "));
		assert_non_null(strstr(err.msg, ": told to fail"));
		if (b)
			read_same(b, &raw, 5000, 100000);
	}
	free(raw.p);
	free(z.p);
}

struct reader {
	struct ovbd_blob *b;
	const struct test_bytes *raw;
	uint64_t seed;
	bool failed;
};

/* Walks, jumps and long reads; a thread may not use cmocka's assertions. */
static void *read_randomly(void *arg)
{
	struct reader *r = arg;
	uint8_t *buf = malloc(200000);
	uint64_t off = 0;

	for (int i = 0; i < 400 && !r->failed; i++) {
		const uint64_t dice = test_random(&r->seed);
		size_t len = dice % 16 == 0 ? 200000 : 3000;

		if (dice % 8 == 0 || off >= r->raw->len)
			off = test_random(&r->seed) % r->raw->len;
		len = (size_t)ovbd_min(len, r->raw->len - off);
		r->failed = ovbd_blob_pread(r->b, buf, len, off, NULL) < 0 ||
		            memcmp(buf, r->raw->p + off, len) != 0;
		off += len;
	}
	free(buf);
	return NULL;
}

static void test_threads(void **state)
{
	enum { NTHREADS = 4 };
	struct test_bytes raw = test_mixed(30 * 65536, 9), z = test_zfile_make(&raw, &zstd_64k);
	struct reader readers[NTHREADS];
	pthread_t threads[NTHREADS];
	AUTO_BLOB *b = NULL;

	(void)state;
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	for (unsigned i = 0; i < NTHREADS; i++) {
		readers[i] = (struct reader){.b = b, .raw = &raw, .seed = i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_randomly, &readers[i]), 0);
	}
	for (unsigned i = 0; i < NTHREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(readers[i].failed);
	}
	free(raw.p);
	free(z.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),       cmocka_unit_test(test_one_inner_read),
		cmocka_unit_test(test_walk),         cmocka_unit_test(test_bad_block),
		cmocka_unit_test(test_wrong_length), cmocka_unit_test(test_tolerates),
		cmocka_unit_test(test_no_digests),   cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_probe),        cmocka_unit_test(test_failing_inner),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
