// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "image/config.h"
#include "tests/lib/fault.h"

static int parse(const char *text, struct ovbd_config **ret, struct ovbd_error *err)
{
	return ovbd_config_parse(text, strlen(text), "c.json", ret, err);
}

static void test_snapshotter(void **state)
{
	static const char text[] =
		"{\"repoBlobUrl\":\"https://r/v2/a/b/blobs\",\"lowers\":[{\"digest\":\"sha256:12\","
		"\"size\":4739584,\"dir\":\"/x/fs\"},{\"file\":\"/y,z/"
		"\\u00e4\",\"gzipIndex\":\"\"}],"
		"\"upper\":{\"index\":\"\",\"vsize\":64},\"resultFile\":\"/tmp/"
		"r\",\"unknown\":[1]}";
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(parse(text, &c, &err), err);
	assert_string_equal(c->repo_blob_url, "https://r/v2/a/b/blobs");
	assert_string_equal(c->result_file, "/tmp/r");
	assert_int_equal(c->nlowers, 2);
	assert_string_equal(c->lowers[0].digest, "sha256:12");
	assert_int_equal(c->lowers[0].size, 4739584);
	assert_string_equal(c->lowers[0].dir, "/x/fs");
	assert_string_equal(c->lowers[0].file, "");
	assert_string_equal(c->lowers[1].file, "/y,z/\xc3\xa4");
	assert_int_equal(c->ignored, 0);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *sentence;
	} cases[] = {
		{"", -EBADMSG, "c.json: line"},
		{"{\"lowers\": [}", -EBADMSG, "c.json: line 1, column 13"},
		{"[]", -EBADMSG, "must be an object, not an array"},
		{"{}", -EBADMSG, "lowers names no layer"},
		{"{\"lowers\": {}}", -EBADMSG, "lowers must be an array, not an object"},
		{"{\"lowers\": [3]}", -EBADMSG, "lowers[0] must be an object, not an integer"},
		{"{\"lowers\": [{}, {\"file\": 3}]}", -EBADMSG,
	         "lowers[1].file must be a string, not an integer"},
		{"{\"lowers\": [{\"size\": \"3\"}]}", -EBADMSG,
	         "lowers[0].size must be an integer, not a string"},
		{"{\"lowers\": [{\"size\": -3}]}", -EBADMSG, "lowers[0].size is negative"},
		{"{\"lowers\": [{}, {\"verity\": 3}]}", -EBADMSG,
	         "lowers[1].verity must be an object, not an integer"},
		{"{\"lowers\": [{\"verity\": {}}]}", -EBADMSG,
	         "c.json: lowers[0].verity.root: '' is no root"},
		{"{\"lowers\": [{\"verity\": {\"root\": 3}}]}", -EBADMSG,
	         "lowers[0].verity.root must be a string"},
		{"{\"lowers\": [{}], \"repoBlobUrl\": {}}", -EBADMSG,
	         "repoBlobUrl must be a string"},
		{"{\"lowers\": [{}], \"accelerationLayer\": 1}", -EBADMSG, "true or false"},
		{"{\"lowers\": [{}], \"accelerationLayer\": true}", -EBADMSG, "no layer of blocks"},
		{"{\"lowers\": [{\"targetFile\": \"/t\"}]}", -ENOTSUP,
	         "lowers[0].targetFile: a turboOCI"},
		{"{\"lowers\": [{}, {\"file\": \"a\", \"targetDigest\": \"sha256:1\"}]}", -ENOTSUP,
	         "lowers[1].targetDigest: a turboOCI"},
		{"{\"lowers\": [{\"gzipIndex\": 3}]}", -EBADMSG, "lowers[0].gzipIndex must be"},
		{"{\"lowers\": [{}], \"recordTracePath\": 3}", -EBADMSG, "recordTracePath must be"},
		{"{\"lowers\": [{}], \"prefetch\": \"some\"}", -EBADMSG,
	         "none of none, trace and all"},
		{"{\"lowers\": [{}], \"download\": true}", -EBADMSG, "download must be an object"},
		{"{\"lowers\": [{}], \"download\": {\"enable\": \"yes\"}}", -EBADMSG,
	         "download.enable must be true or false, not a string"},
		{"{\"lowers\": [{}], \"download\": {\"blockSize\": \"1M\"}}", -EBADMSG,
	         "download.blockSize must be an integer"},
		{"{\"lowers\": [], \"lowers\": []}", -EBADMSG, "duplicate"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_config *c;
		struct ovbd_error err;

		assert_fails(parse(cases[i].text, &c, &err), cases[i].code, err, cases[i].sentence);
	}
}

static void test_upper_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *sentence;
	} cases[] = {
		{"{\"lowers\": [{}], \"upper\": 1}", -EBADMSG, "upper must be an object"},
		{"{\"lowers\": [{}], \"upper\": {\"file\": \"/f\", \"data\": \"/d\"}}", -EBADMSG,
	         "upper: names both a file, and index or data"},
		{"{\"lowers\": [{}], \"upper\": {\"file\": 3}}", -EBADMSG,
	         "upper.file must be a string"},
		{"{\"lowers\": [], \"upper\": {\"data\": \"/d\"}}", -EBADMSG,
	         "lowers names no layer"},
		{"{\"lowers\": [{}], \"upper\": {\"index\": 3}}", -EBADMSG,
	         "upper.index must be a string"},
		{"{\"lowers\": [{}], \"upper\": {\"data\": []}}", -EBADMSG,
	         "upper.data must be a string"},
		{"{\"lowers\": [{}], \"upper\": {\"target\": \"/t\"}}", -ENOTSUP,
	         "upper.target: a turboOCI"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_config *c;
		struct ovbd_error err;

		assert_fails(parse(cases[i].text, &c, &err), cases[i].code, err, cases[i].sentence);
	}
}

static void test_acceleration_layer(void **state)
{
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(parse("{\"lowers\": [{\"file\": \"a\"}, {\"dir\": \"t\"}], "
	                "\"accelerationLayer\": true}",
	                &c, &err),
	          err);
	assert_int_equal(c->nlowers, 1);
	assert_string_equal(c->trace_dir, "t");
	assert_int_equal(c->ignored, 0);
}

static void test_upper(void **state)
{
	static const struct {
		const char *upper, *data, *index;
	} cases[] = {
		{"{}", "", ""},
		{"null", "", ""},
		{"{\"data\": \"/d\"}", "", ""},
		{"{\"data\": \"/d\", \"index\": \"i\", \"vsize\": 64}", "/d", "i"},
		{"{\"file\": \"/f\", \"data\": \"\"}", "/f", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
		char text[256];
		struct ovbd_error err;

		/* without layers, it must have something */
		snprintf(text, sizeof(text), "{\"lowers\": [%s], \"upper\": %s}",
		         cases[i].data[0] ? "" : "{}", cases[i].upper);
		assert_ok(parse(text, &c, &err), err);
		assert_string_equal(c->upper_data, cases[i].data);
		assert_string_equal(c->upper_index, cases[i].index);
	}
}

/* Accepted, and noted as far as something was asked for. */
static void test_ignored(void **state)
{
	static const struct {
		const char *keys;
		unsigned ignored;
	} cases[] = {
		{"\"upper\": {}", 0},
		{"\"upper\": null, \"download\": null, \"recordTracePath\": \"\"", 0},
		{"\"upper\": {\"index\": \"\", \"data\": \"\", \"vsize\": 64}", 0},
		{"\"upper\": {\"index\": \"\", \"data\": \"/d\"}", 1u << OVBD_CONFIG_UPPER},
		{"\"upper\": {\"index\": \"/i\"}", 1u << OVBD_CONFIG_UPPER},
		{"\"recordTracePath\": \"/t\"", 0},
		{"\"prefetch\": \"all\", \"trace\": \"t\"", 0},
		{"\"download\": {\"enable\": false, \"delay\": 600}", 0},
		{"\"download\": {\"enable\": true, \"delay\": 600, \"delayExtra\": 30, "
	         "\"maxMBps\": 100, \"tryCnt\": 5, \"blockSize\": 262144}",
	         0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
		char text[512];
		struct ovbd_error err;

		snprintf(text, sizeof(text), "{\"lowers\": [{\"file\": \"a\"}], %s}",
		         cases[i].keys);
		assert_ok(parse(text, &c, &err), err);
		assert_int_equal(c->ignored, cases[i].ignored);
	}
	for (int key = 0; key < OVBD_CONFIG_NIGNORED; key++)
		assert_non_null(ovbd_config_ignored_name((enum ovbd_config_ignored)key));
}

static void test_probe(void **state)
{
	(void)state;
	assert_true(ovbd_config_probe(" \n{", 3));
	assert_true(ovbd_config_probe("{\"lowers\": 3", 12)); /* wrong, but meant to be one */
	assert_false(ovbd_config_probe("{\0", 2));
	assert_false(ovbd_config_probe("LSMT", 4));
	assert_false(ovbd_config_probe("", 0));
}

static void test_no_memory(void **state)
{
	struct ovbd_error err;

	(void)state;
	for (long n = 1;; n++) {
		OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
		int r;

		test_fault_set(n);
		r = parse("{\"lowers\": [{\"file\": \"a\"}, {\"dir\": \"b\"}]}", &c, &err);
		if (!test_fault_hit()) {
			assert_ok(r, err);
			break;
		}
		assert_fails(r, -ENOMEM, err, "out of memory");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshotter),        cmocka_unit_test(test_refused),
		cmocka_unit_test(test_acceleration_layer), cmocka_unit_test(test_probe),
		cmocka_unit_test(test_no_memory),          cmocka_unit_test(test_upper),
		cmocka_unit_test(test_upper_refused),      cmocka_unit_test(test_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
