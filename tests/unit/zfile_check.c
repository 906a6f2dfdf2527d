// SPDX-License-Identifier: Apache-2.0
/* The check finds whatever was changed in a file with checksums, and a cut file is never
 * misread. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/lib/zfile_make.h"
#include "zfile/format.h"

/* Small files, so that every bit can have its turn. */
static struct test_bytes make(unsigned variant, struct test_bytes *ret_raw)
{
	const struct ovbd_zfile_params p = {
		.codec = variant & 1 ? OVBD_CODEC_LZ4 : OVBD_CODEC_ZSTD,
		.block_size = 4096,
		.checksum = true,
		.trailer_only = variant & 2,
		.nthreads = 1,
	};

	*ret_raw = test_mixed(3 * 4096 + 5, 20);
	memset(ret_raw->p, 'x', 2 * 4096);
	memset(ret_raw->p + 2 * 4096 + 300, 'y', 3500);
	return test_zfile_make(ret_raw, &p);
}

static int open_and_check(const struct test_bytes *z, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	const int r = test_zfile_open(z, &b, err);

	return r < 0 ? r : ovbd_zfile_check(b, NULL, NULL, err);
}

static void test_every_bit(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		struct test_bytes raw, z = make(variant, &raw);

		assert_int_equal(open_and_check(&z, NULL), 0);
		assert_true(z.len < 4096);
		for (size_t bit = 0; bit < 8 * z.len; bit++) {
			z.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (open_and_check(&z, NULL) != -EBADMSG)
				fail_msg("variant %u: bit %zu of byte %zu goes unnoticed", variant,
				         bit % 8, bit / 8);
			z.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		free(raw.p);
		free(z.p);
	}
}

/* A file that was cut, or grew, is refused or read rightly. */
static void test_every_length(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		struct test_bytes raw, z = make(variant, &raw);
		const size_t len = z.len;
		uint8_t *buf = malloc(raw.len);

		z.p = realloc(z.p, len + 600);
		memset(z.p + len, 0, 600);
		for (z.len = 0; z.len < len + 600; z.len++) {
			AUTO_BLOB *b = NULL;

			if (z.len != len)
				assert_int_equal(open_and_check(&z, NULL), -EBADMSG);
			if (test_zfile_open(&z, &b, NULL) < 0)
				continue;
			assert_int_equal(b->size, raw.len);
			assert_int_equal(ovbd_blob_pread(b, buf, raw.len, 0, NULL), 0);
			assert_memory_equal(buf, raw.p, raw.len);
		}
		free(buf);
		free(raw.p);
		free(z.p);
	}
}

static void expect(const struct test_bytes *z, const char *sentence)
{
	struct ovbd_error err = {""};

	assert_int_equal(open_and_check(z, &err), -EBADMSG);
	if (!strstr(err.msg, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, err.msg);
}

/* n bytes at off that nobody knows of. */
static void insert(struct test_bytes *z, size_t off, size_t n)
{
	z->p = realloc(z->p, z->len + n);
	memmove(z->p + off + n, z->p + off, z->len - off);
	memset(z->p + off, 0, n);
	z->len += n;
}

static void test_gaps(void **state)
{
	struct test_bytes raw, z = make(0, &raw);
	const size_t index_off = (size_t)ovbd_get_le64(z.p + ZFILE_OFF_INDEX_OFFSET);

	(void)state;
	insert(&z, z.len - 512, 3);
	expect(&z, "3 bytes at ");
	expect(&z, "before the trailer belong to nothing");
	free(z.p);
	free(raw.p);
	z = make(0, &raw);
	insert(&z, index_off, 7);
	ovbd_put_le64(z.p + ZFILE_OFF_INDEX_OFFSET, index_off + 7);
	ovbd_put_le64(z.p + z.len - 512 + ZFILE_OFF_INDEX_OFFSET, index_off + 7);
	test_zfile_seal(&z);
	expect(&z, "before the jump table belong to nothing");
	free(z.p);
	free(raw.p);
}

static void test_contradictions(void **state)
{
	struct test_bytes raw, z = make(0, &raw);

	(void)state;
	z.p[z.len - 512 + ZFILE_OFF_VERIFY] = 0;
	test_zfile_seal(&z);
	expect(&z, "header and trailer contradict each other");
	z.p[z.len - 512 + ZFILE_OFF_VERIFY] = 1;
	z.p[z.len - 512 + ZFILE_OFF_ORIGINAL_FILE_SIZE]--;
	test_zfile_seal(&z);
	expect(&z, "header and trailer contradict each other");
	z.p[z.len - 512 + ZFILE_OFF_ORIGINAL_FILE_SIZE]++;
	z.p[z.len - 512 + ZFILE_OFF_FLAGS] ^= ZFILE_FLAG_DIGEST;
	expect(&z, "disagree on whether there are digests");
	free(z.p);
	free(raw.p);
}

/* Damage that leaves the checksum right: what was written was wrong already. */
static void test_sealed_damage(void **state)
{
	struct test_bytes raw, z = make(0, &raw);
	const size_t index_off = (size_t)ovbd_get_le64(z.p + ZFILE_OFF_INDEX_OFFSET);

	(void)state;
	ovbd_put_le32(z.p + index_off, ovbd_get_le32(z.p + index_off) + 1);
	ovbd_put_le32(z.p + index_off + 4, ovbd_get_le32(z.p + index_off + 4) - 1);
	test_zfile_seal_index(&z);
	expect(&z, "zfile block 0 at 512: checksum");
	free(z.p);
	free(raw.p);
}

struct progress {
	uint64_t calls, stop_at;
};

static int count(void *arg, uint64_t done, uint64_t total)
{
	struct progress *p = arg;

	assert_true(done <= total);
	return ++p->calls == p->stop_at;
}

static void test_progress(void **state)
{
	const struct ovbd_zfile_params params = {.codec = OVBD_CODEC_LZ4,
	                                         .block_size = 65536,
	                                         .checksum = true,
	                                         .nthreads = 1};
	struct test_bytes raw = test_mixed(3 << 20, 1), z = test_zfile_make(&raw, &params);
	struct progress p = {0};
	AUTO_BLOB *b = NULL;

	(void)state;
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	assert_int_equal(ovbd_zfile_check(b, count, &p, NULL), 0);
	assert_int_equal(p.calls, 3);
	p = (struct progress){.stop_at = 2};
	assert_int_equal(ovbd_zfile_check(b, count, &p, NULL), -ECANCELED);
	free(z.p);
	free(raw.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit),     cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_gaps),          cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_sealed_damage), cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
