// SPDX-License-Identifier: Apache-2.0
/* Memory runs out at the N-th allocation, for every N, in writing and in reading. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fault.h"
#include "tests/lib/zfile_make.h"

static const struct ovbd_zfile_params params[] = {
	{.codec = OVBD_CODEC_LZ4, .block_size = 4096, .checksum = true, .nthreads = 1},
	{.codec = OVBD_CODEC_ZSTD, .block_size = 16384, .checksum = true, .nthreads = 2},
};

static int write_file(const struct test_bytes *raw, const struct ovbd_zfile_params *p)
{
	AUTO_SINK *z = NULL;
	struct ovbd_sink *mem;
	struct ovbd_error err;
	int r;

	r = ovbd_sink_create_mem(&mem, &err);
	if (r == 0)
		r = ovbd_zfile_create(mem, p, &z, &err);
	if (r == 0)
		r = ovbd_sink_append(z, raw->p, raw->len, &err);
	return r < 0 ? r : ovbd_sink_finish(z, &err);
}

static int read_file(const struct test_bytes *z, uint8_t *buf)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	int r;

	r = test_zfile_open(z, &b, &err);
	if (r == 0)
		r = ovbd_blob_pread(b, buf, 50, 100, &err);
	if (r == 0)
		r = ovbd_blob_pread(b, buf, 100000, 5000, &err);
	return r < 0 ? r : ovbd_zfile_check(b, NULL, NULL, &err);
}

static void test_writing(void **state)
{
	struct test_bytes raw = test_mixed(300000, 40);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		long n;

		for (n = 1;; n++) {
			int r;

			test_fault_set(n);
			r = write_file(&raw, &params[i]);
			if (!test_fault_hit())
				break;
			assert_int_equal(r, -ENOMEM);
		}
		assert_true(n > 10);
	}
	free(raw.p);
}

static void test_reading(void **state)
{
	struct test_bytes raw = test_mixed(300000, 41);
	uint8_t *buf = malloc(100000);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct test_bytes z = test_zfile_make(&raw, &params[i]);
		long n;

		for (n = 1;; n++) {
			int r;

			test_fault_set(n);
			r = read_file(&z, buf);
			if (!test_fault_hit())
				break;
			assert_int_equal(r, -ENOMEM);
		}
		assert_true(n > 8);
		free(z.p);
	}
	free(buf);
	free(raw.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
