// SPDX-License-Identifier: Apache-2.0
/* Where the layers of a configuration are: the file, the directory, the URL, the registry. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/refs.h"

#define D64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char dir[] = "/tmp/ovbd-refs-XXXXXX";
static char config[64];

static const char *const files[] = {
	"here",
	"commit/overlaybd.commit",
	"commit/.commit",
	"commit/overlaybd.sealed",
	"legacy/.commit",
	"legacy/overlaybd.sealed",
	"sealed/overlaybd.sealed",
};
static const char *const dirs[] = {"commit", "legacy", "sealed", "empty"};

static void write_text(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_files(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	snprintf(config, sizeof(config), "%s/config.v1.json", dir);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0700) < 0)
			return -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		write_text(files[i], "");
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		rmdir(dirs[i]);
	unlink(config);
	return chdir("/") < 0 || rmdir(dir) < 0;
}

static int expand(struct ovbd_refs *refs, const char *text, struct ovbd_error *err)
{
	const struct ovbd_image_params p = {.format = OVBD_FORMAT_IMAGE};
	const char *const names[] = {config};

	write_text(config, text);
	return ovbd_refs_expand(refs, names, 1, &p, err);
}

static void test_found(void **state)
{
	static const struct {
		const char *lower, *name; /* a name that is no URL is below dir */
		uint64_t size;
	} cases[] = {
		{"{\"file\": \"here\"}", "here", 0},
		{"{\"file\": \"here\", \"dir\": \"commit\", \"digest\": \"sha256:" D64 "\"}",
	         "here", 0},
		{"{\"file\": \"gone\", \"dir\": \"commit\", \"size\": 3}",
	         "commit/overlaybd.commit", 0},
		{"{\"dir\": \"legacy\"}", "legacy/.commit", 0},
		{"{\"dir\": \"sealed\"}", "sealed/overlaybd.sealed", 0},
		{"{\"dir\": \"sealed\", \"digest\": \"sha256:" D64 "\", \"size\": 77}",
	         "sealed/overlaybd.sealed", 0},
		{"{\"dir\": \"empty\", \"digest\": \"sha256:" D64 "\", \"size\": 77}",
	         "https://r/v2/a/b/blobs/sha256:" D64, 77},
		{"{\"file\": \"gone\", \"url\": \"http://s/l\", \"digest\": \"sha256:" D64 "\"}",
	         "http://s/l", 0},
		{"{\"digest\": \"sha512:" D64 D64 "\"}", "https://r/v2/a/b/blobs/sha512:" D64 D64,
	         0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
		struct ovbd_error err;
		char text[1024], want[512];

		snprintf(text, sizeof(text),
		         "{\"repoBlobUrl\": \"https://r/v2/a/b/blobs\", \"lowers\": [%s]}",
		         cases[i].lower);
		snprintf(want, sizeof(want), "%s%s%s", strstr(cases[i].name, "://") ? "" : dir,
		         strstr(cases[i].name, "://") ? "" : "/", cases[i].name);
		assert_ok(expand(&refs, text, &err), err);
		assert_true(refs.configured);
		assert_int_equal(refs.n, 1);
		assert_string_equal(refs.refs[0].name, want);
		assert_int_equal(refs.refs[0].size, cases[i].size);
	}
}

static void test_registry(void **state)
{
	static const struct {
		const char *repo, *url;
	} cases[] = {
		{"https://r:5000/v2/a/blobs/", "https://r:5000/v2/a/blobs/sha256:" D64},
		{"https://docker.io/v2/library/redis/blobs",
	         "https://registry-1.docker.io/v2/library/redis/blobs/sha256:" D64},
		{"http://docker.io/v2/x/blobs/",
	         "http://registry-1.docker.io/v2/x/blobs/sha256:" D64},
		{"https://docker.io.example/v2/x/blobs",
	         "https://docker.io.example/v2/x/blobs/sha256:" D64},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
		struct ovbd_error err;
		char text[1024];

		snprintf(text, sizeof(text),
		         "{\"repoBlobUrl\": \"%s\", \"lowers\": [{\"digest\": \"sha256:" D64
		         "\"}]}",
		         cases[i].repo);
		assert_ok(expand(&refs, text, &err), err);
		assert_string_equal(refs.refs[0].name, cases[i].url);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *sentence;
	} cases[] = {
		{"{\"lowers\": [{}]}", -EBADMSG, "lowers[0]: none of file, dir, url and digest"},
		{"{\"lowers\": [{\"file\": \"gone\"}]}", -ENOENT, "lowers[0]: gone does not exist"},
		{"{\"lowers\": [{\"dir\": \"empty\"}]}", -ENOENT,
	         "lowers[0]: empty holds no layer"},
		{"{\"lowers\": [{\"digest\": \"sha256:" D64 "\"}]}", -EBADMSG,
	         "repoBlobUrl is not given"},
		{"{\"repoBlobUrl\": \"ftp://r\", \"lowers\": [{\"digest\": \"sha256:" D64 "\"}]}",
	         -ENOTSUP, "ftp://r is no http"},
		{"{\"lowers\": [{\"url\": \"oss://b/l\"}]}", -ENOTSUP, "oss://b/l is no http"},
		{"{\"lowers\": [{\"digest\": \"sha256:12\"}]}", -EBADMSG,
	         "'sha256:12' is no digest"},
		{"{\"lowers\": [{\"digest\": \"" D64 "\"}]}", -EBADMSG, "is no digest"},
		{"{\"lowers\": [{\"digest\": \":" D64 "\"}]}", -EBADMSG, "is no digest"},
		{"{\"lowers\": [{\"digest\": \"sha256:" D64 "/../x\"}]}", -EBADMSG, "is no digest"},
		{"{\"lowers\": [{\"digest\": \"../a:" D64 "\"}]}", -EBADMSG, "is no digest"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
		struct ovbd_error err;

		assert_fails(expand(&refs, cases[i].text, &err), cases[i].code, err,
		             cases[i].sentence);
		assert_non_null(strstr(err.msg, config));
	}
}

static void test_ignored(void **state)
{
	OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
	struct ovbd_error err;

	(void)state;
	assert_ok(expand(&refs,
	                 "{\"lowers\": [{\"file\": \"here\"}, {\"dir\": \"empty\"}], "
	                 "\"accelerationLayer\": true, \"recordTracePath\": \"/t\"}",
	                 &err),
	          err);
	assert_int_equal(refs.n, 1);
	assert_int_not_equal(refs.ignored, 0);
	assert_non_null(strstr(refs.trace, "/empty/trace"));
	assert_null(refs.record);
}

static void test_prefetch(void **state)
{
	OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
	struct ovbd_error err;

	(void)state;
	assert_ok(expand(&refs,
	                 "{\"lowers\": [{\"file\": \"here\"}], \"recordTracePath\": \"/t\", "
	                 "\"trace\": \"mine\", \"prefetch\": \"all\"}",
	                 &err),
	          err);
	assert_string_equal(refs.record, "/t");
	assert_non_null(strstr(refs.trace, "/mine"));
	assert_int_equal(refs.prefetch, OVBD_PREFETCH_ALL);
	assert_int_equal(refs.ignored, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),    cmocka_unit_test(test_registry),
		cmocka_unit_test(test_refused),  cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_prefetch),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
