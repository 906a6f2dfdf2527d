// SPDX-License-Identifier: Apache-2.0
/*
 * ZFiles written by overlaybd: each opens, passes the check and reads as what it was made from; and
 * compressing that again with the same options gives the same file, byte for byte, as far as the
 * compression library is the same.
 */
#include <fnmatch.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#include "base/bytes.h"
#include "zfile/zfile.h"

/* Where an LSMT layer's header and trailer have the message. */
#define TAG_OFF      134
#define TAG_SIZE     256
#define TRAILER_SIZE 4096

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes read_all(struct ovbd_blob *b)
{
	struct bytes all = {.len = (size_t)b->size};
	struct ovbd_error err;

	all.p = malloc(all.len + 1);
	assert_non_null(all.p);
	if (ovbd_blob_pread(b, all.p, all.len, 0, &err) < 0)
		fail_msg("%s", err.msg);
	return all;
}

static struct bytes read_file(const char *name)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	if (ovbd_blob_open_file(name, &b, &err) < 0)
		fail_msg("%s", err.msg);
	return read_all(b);
}

static struct ovbd_blob *open_zfile(const char *name)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	if (ovbd_blob_open_file(name, &b, &err) < 0 || ovbd_zfile_open(b, &b, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	return b;
}

/* The fixtures and what they read as. The folder's other ZFiles are met elsewhere, as layers. */
static const struct {
	const char *pattern;
	const char *content; /* NULL: an LSMT layer of its own */
} fixtures[] = {
	{"zfile/plain.p0.*.zf", "zfile/plain.p0.bin"},
	{"zfile/plain.p1.*.zf", "zfile/plain.p1.bin"},
	{"zfile/plain.p100001.*.zf", "zfile/plain.p100001.bin"},
	{"zfile/L0.*.zf", "lsmt/L0.lsmt"},
	{"zfile/L1.*.zf", "lsmt/L1.lsmt"},
	{"zfile/L2.*.zf", "lsmt/L2.lsmt"},
	{"apply/A1.zf", NULL},
	{"turbooci/ext4.fs.meta", NULL},
};
#define NFIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

static void check_content(const char *name, const char *content, const struct bytes *got)
{
	static const uint8_t lsmt_magic[8] = {'L', 'S', 'M', 'T', 0, 1, 2, 0};
	struct bytes want;

	if (!content) {
		assert_true(got->len > 8192 && memcmp(got->p, lsmt_magic, 8) == 0);
		return;
	}
	want = read_file(content);
	/* A commit wrote a message of its own into the layer's header and trailer. */
	if (fnmatch("*.commit.*", name, 0) == 0 && want.len == got->len) {
		memcpy(want.p + TAG_OFF, got->p + TAG_OFF, TAG_SIZE);
		memcpy(want.p + want.len - TRAILER_SIZE + TAG_OFF,
		       got->p + got->len - TRAILER_SIZE + TAG_OFF, TAG_SIZE);
	}
	if (want.len != got->len || memcmp(want.p, got->p, want.len) != 0)
		fail_msg("%s does not read as %s", name, content);
	free(want.p);
}

static struct bytes compress(const struct ovbd_zfile_info *info, const struct bytes *raw)
{
	const struct ovbd_zfile_params p = {
		.codec = info->codec,
		.block_size = info->block_size,
		.checksum = info->checksum,
		.trailer_only = !info->header_overwrite,
		.nthreads = 2,
	};
	struct ovbd_sink *mem, *z;
	struct bytes out = {0};
	struct ovbd_error err;

	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	if (ovbd_zfile_create(mem, &p, &z, &err) < 0 ||
	    ovbd_sink_append(z, raw->p, raw->len, &err) < 0 || ovbd_sink_finish(z, &err) < 0)
		fail_msg("%s", err.msg);
	out.p = ovbd_sink_mem_take(mem, &out.len);
	ovbd_sink_close(z);
	return out;
}

/* LZ4's output for a given input has not changed in years; that of zstd does between versions. */
static bool same_library(enum ovbd_codec_id codec)
{
	return codec == OVBD_CODEC_LZ4 || ZSTD_versionNumber() == 10504;
}

static void check_fixture(const char *name, const char *content)
{
	struct ovbd_blob *b = open_zfile(name);
	const struct ovbd_zfile_info info = ovbd_zfile_info(b);
	struct bytes raw, again, stored;
	struct ovbd_error err;

	if (ovbd_zfile_check(b, NULL, NULL, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	assert_true(info.digests);
	assert_int_equal(info.checksum, fnmatch("*.nocrc.*", name, 0) != 0);
	assert_int_equal(info.header_overwrite, fnmatch("*.trailer.*", name, 0) != 0);
	assert_int_equal(info.nlarge > 0, fnmatch("*/L2.commit.zstd.64k.*", name, 0) == 0);
	raw = read_all(b);
	check_content(name, content, &raw);
	again = compress(&info, &raw);
	stored = read_file(name);
	if (same_library(info.codec) &&
	    (again.len != stored.len || memcmp(again.p, stored.p, stored.len) != 0))
		fail_msg("%s: not the same when compressed again", name);
	free(raw.p);
	free(again.p);
	free(stored.p);
	ovbd_blob_close(b);
}

static void test_fixtures(void **state)
{
	(void)state;
	for (size_t i = 0; i < NFIXTURES; i++) {
		glob_t found;

		assert_int_equal(glob(fixtures[i].pattern, 0, NULL, &found), 0);
		for (size_t k = 0; k < found.gl_pathc; k++)
			check_fixture(found.gl_pathv[k], fixtures[i].content);
		globfree(&found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixtures)};
	const char *root = getenv("OVBD_FIXTURES");

	if (!root || chdir(root) < 0 || chdir("overlaybd") < 0) {
		printf("no fixtures at OVBD_FIXTURES\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
