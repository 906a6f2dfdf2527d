// SPDX-License-Identifier: Apache-2.0
/* Traces: their bytes, those of overlaybd's daemon, what is refused, and what a recorder keeps. */
#include "tests/unit/test.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "image/recorder.h"
#include "image/trace.h"
#include "image/trace_format.h"

static void add(struct ovbd_trace *t, uint32_t layer, uint64_t off, uint64_t len)
{
	const struct ovbd_trace_record r = {.layer = layer, .off = off, .len = len};
	struct ovbd_error err;

	assert_ok(ovbd_trace_add(t, &r, &err), err);
}

static void assert_record(const struct ovbd_trace *t, size_t i, uint32_t layer, uint64_t off,
                          uint64_t len)
{
	assert_true(i < t->n);
	assert_int_equal(t->records[i].layer, layer);
	assert_int_equal(t->records[i].off, off);
	assert_int_equal(t->records[i].len, len);
}

static void test_bytes(void **state)
{
	static const uint8_t right[] = {
		0x20, 0x18, 0xef, 0xc2, 0, 0, 0, 0, 48,   0, 0, 0, 0, 0, 0, 0, /* header */
		0,    0,    0,    0,    0, 0, 0, 0, 'R',  0, 0, 0, 2, 0, 0, 0, /* a record */
		0,    0x20, 0,    0,    0, 0, 0, 0, 0,    4, 3, 2, 1, 0, 0, 0, /* and another */
		'R',  0,    0,    0,    0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0,
		1,    0,    0,    0,    0, 0, 0, 0,
	};
	AUTO_FREE uint8_t *raw = NULL;
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	size_t len;

	(void)state;
	add(&t, 2, 0, 0x2000);
	t.records[0].off = 0x0102030400;
	add(&t, 0, 1, 0xff);
	assert_ok(ovbd_trace_encode(&t, &raw, &len, &err), err);
	assert_int_equal(len, sizeof(right));
	assert_int_equal(ovbd_get_le32(raw + TRACE_OFF_CHECKSUM), ovbd_crc32c(0, right + 24, 48));
	memset(raw + TRACE_OFF_CHECKSUM, 0, 4);
	assert_memory_equal(raw, right, sizeof(right));
}

static void test_joins(void **state)
{
	AUTO_TRACE t = {0};

	(void)state;
	add(&t, 0, 0, 10);
	add(&t, 0, 10, 10);
	add(&t, 1, 20, 10);
	add(&t, 0, 20, 10);
	assert_int_equal(t.n, 3);
	assert_record(&t, 0, 0, 0, 20);
	assert_int_equal(ovbd_trace_size(&t), 40);
}

/* Its reader has a buffer of 1 MiB. */
static void test_no_record_is_long(void **state)
{
	AUTO_FREE uint8_t *raw = NULL;
	AUTO_TRACE t = {0}, again = {0};
	struct ovbd_error err;
	size_t len;

	(void)state;
	add(&t, 7, 4096, (2u << 20) + 5);
	assert_ok(ovbd_trace_encode(&t, &raw, &len, &err), err);
	assert_int_equal(len, 24 + 3 * 24);
	for (size_t i = 0; i < 3; i++)
		assert_true(ovbd_get_le64(raw + 24 + i * 24 + TRACE_OFF_COUNT) <= 1u << 20);
	assert_ok(ovbd_trace_decode(&again, raw, len, &err), err);
	assert_int_equal(again.n, 1);
	assert_record(&again, 0, 7, 4096, (2u << 20) + 5);
}

/* Padding is garbage there, and in the checksum. */
static void test_overlaybd(void **state)
{
	const char *source = getenv("OVBD_SOURCE");
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/trace/overlaybd", source ? source : ".");
	assert_ok(ovbd_trace_load(&t, path, &err), err);
	assert_record(&t, 0, 0, 0, 4096);
	assert_record(&t, 1, 1, 0, 4096);
	assert_record(&t, 2, 0, 0xc2000, 4096);
	assert_record(&t, 3, 1, 0x82000, 4096);
}

static void test_refused(void **state)
{
	const char *source = getenv("OVBD_SOURCE");
	char pattern[4096];
	glob_t files;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/tests/should-fail/trace/*.bin",
	         source ? source : ".");
	assert_int_equal(glob(pattern, 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 13);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *path = files.gl_pathv[i], sentence[256] = "";
		AUTO_TRACE t = {0};
		struct ovbd_error err;
		FILE *f;
		int r = ovbd_trace_load(&t, path, &err);

		assert_true(r == -EBADMSG || r == -E2BIG);
		memcpy(strrchr(path, '.'), ".txt", 4);
		f = fopen(path, "r");
		assert_non_null(f);
		assert_non_null(fgets(sentence, sizeof(sentence), f));
		fclose(f);
		sentence[strcspn(sentence, "\n")] = '\0';
		assert_fails(r, r, err, sentence);
	}
	globfree(&files);
}

static void test_file(void **state)
{
	char dir[] = "/tmp/ovbd-test-XXXXXX", path[64];
	AUTO_TRACE t = {0}, again = {0}, none = {0};
	struct ovbd_error err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/trace", dir);
	assert_fails(ovbd_trace_load(&none, path, &err), -ENOENT, err, path);
	add(&t, 1, 2, 3);
	assert_ok(ovbd_trace_save(&none, path, &err), err);
	assert_ok(ovbd_trace_save(&t, path, &err), err);
	assert_ok(ovbd_trace_load(&again, path, &err), err);
	assert_int_equal(again.n, 1);
	assert_record(&again, 0, 1, 2, 3);
	unlink(path);
	rmdir(dir);
}

static void test_merge(void **state)
{
	AUTO_TRACE t = {0}, more = {0};
	struct ovbd_error err;

	(void)state;
	add(&t, 0, 512, 512);
	add(&t, 0, 40960, 4096);
	add(&more, 0, 1024, 100);       /* the first one's page */
	add(&more, 0, 32768, 5 * 4096); /* around the second */
	add(&more, 3, 40960, 4096);     /* another layer */
	add(&more, 0, 32768, 2 * 4096); /* again */
	assert_ok(ovbd_trace_merge(&t, &more, &err), err);
	assert_int_equal(t.n, 5);
	assert_record(&t, 0, 0, 0, 4096);
	assert_record(&t, 1, 0, 40960, 4096);
	assert_record(&t, 2, 0, 32768, 2 * 4096);
	assert_record(&t, 3, 0, 45056, 2 * 4096);
	assert_record(&t, 4, 3, 40960, 4096);
}

/* Every page that was named is in the merged trace once, and nothing else. */
static void test_merge_random(void **state)
{
	enum { PAGES = 300 };
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 50; round++) {
		AUTO_TRACE t = {0}, more = {0};
		uint8_t want[2][PAGES] = {{0}}, have[2][PAGES] = {{0}};
		struct ovbd_error err;

		for (int i = 0; i < 40; i++) {
			const uint32_t layer = (uint32_t)(test_random(&seed) & 1);
			const uint64_t off = test_random(&seed) % (PAGES * 4096u - 1);
			const uint64_t len = 1 + test_random(&seed) % (PAGES * 4096u - off) / 10;

			add(i < 20 ? &t : &more, layer, off, len);
			for (uint64_t p = off / 4096; p <= (off + len - 1) / 4096; p++)
				want[layer][p] = 1;
		}
		assert_ok(ovbd_trace_merge(&t, &more, &err), err);
		for (size_t i = 0; i < t.n; i++)
			for (uint64_t at = t.records[i].off;
			     at < t.records[i].off + t.records[i].len; at += 4096)
				assert_int_equal(have[t.records[i].layer][at / 4096]++, 0);
		assert_memory_equal(want, have, sizeof(want));
	}
}

static void test_recorder(void **state)
{
	static const uint8_t bytes[5 * 4096 + 7];
	OVBD_AUTO(ovbd_recorder_closep) struct ovbd_recorder *rec = NULL;
	AUTO_BLOB *a = NULL, *b = NULL;
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	uint8_t buf[8192];
	bool whole;

	(void)state;
	assert_ok(ovbd_recorder_create(&rec, &err), err);
	assert_ok(ovbd_blob_open_mem(bytes, sizeof(bytes), &a, &err), err);
	assert_ok(ovbd_recorder_wrap(rec, 0, OVBD_MOVE(a), &a, &err), err);
	assert_ok(ovbd_blob_open_mem(bytes, sizeof(bytes), &b, &err), err);
	assert_ok(ovbd_recorder_wrap(rec, 9, OVBD_MOVE(b), &b, &err), err);
	assert_ok(ovbd_blob_pread(b, buf, 1, 5 * 4096, &err), err);
	assert_ok(ovbd_blob_pread(a, buf, 4096, 4096, &err), err);
	assert_ok(ovbd_blob_pread(a, buf, 4097, 4096, &err), err);
	assert_ok(ovbd_blob_pread(a, buf, 8192, 4096, &err), err);
	ovbd_recorder_stop(rec);
	assert_ok(ovbd_blob_pread(a, buf, 1, 0, &err), err);
	assert_ok(ovbd_recorder_copy(rec, &t, &whole, &err), err);
	assert_true(whole);
	assert_int_equal(t.n, 2);
	assert_record(&t, 0, 9, 5 * 4096, 4096);
	assert_record(&t, 1, 0, 4096, 8192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_no_record_is_long),
		cmocka_unit_test(test_overlaybd),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_merge_random),
		cmocka_unit_test(test_recorder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
