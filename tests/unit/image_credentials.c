// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/text_file.h"

#include <errno.h>

#include "base/auto.h"
#include "image/credentials.h"

#define BLOB "/blobs/sha256:00"

static void test_found(void **state)
{
	static const char text[] =
		"{\"auths\": {"
		"\"r.example\": {\"auth\": \"dTpw\"}, " /* u:p */
		"\"r.example/team\": {\"username\": \"t@m\", \"password\": \"a:b/c d\"}, "
		"\"r.example/team/app\": {\"auth\": \"YXBwOg==\"}, " /* app: */
		"\"https://s.example:5000/\": {\"auth\": \"dTpwMg==\", \"email\": \"\"}, "
		"\"registry-1.docker.io\": {\"auth\": \"dTpwMw\"}}, \"HttpHeaders\": {}}";
	static const struct {
		const char *url, *want;
	} cases[] = {
		{"https://r.example/v2/x" BLOB, "https://u:p@r.example/v2/x" BLOB},
		{"https://r.example/v2/teams/app" BLOB, "https://u:p@r.example/v2/teams/app" BLOB},
		{"https://r.example/v2/team/x" BLOB,
	         "https://t%40m:a%3Ab%2Fc%20d@r.example/v2/team/x" BLOB},
		{"http://r.example/v2/team/app" BLOB, "http://app:@r.example/v2/team/app" BLOB},
		{"http://r.example/v2/team/app/x" BLOB, "http://app:@r.example/v2/team/app/x" BLOB},
		{"https://s.example:5000/v2/x" BLOB, "https://u:p2@s.example:5000/v2/x" BLOB},
		{"https://registry-1.docker.io/v2/library/x" BLOB,
	         "https://u:p3@registry-1.docker.io/v2/library/x" BLOB},
		{"https://s.example/v2/x" BLOB, "https://s.example/v2/x" BLOB},
		{"https://r.example.org/v2/x" BLOB, "https://r.example.org/v2/x" BLOB},
		{"https://r.exampl/v2/x" BLOB, "https://r.exampl/v2/x" BLOB},
		{"https://me:my@r.example/v2/x" BLOB, "https://me:my@r.example/v2/x" BLOB},
		{"https://r.example/other", "https://u:p@r.example/other"},
	};

	(void)state;
	write_file(text);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *url = NULL;
		struct ovbd_error err;

		assert_ok(ovbd_credentials_apply(path, cases[i].url, &url, &err), err);
		assert_string_equal(url, cases[i].want);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"{", ": line 1, column 1"},
		{"{\"auths\": []}", "auths must be an object"},
		{"{\"auths\": {\"r\": {}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dTpw*\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dTpw=x\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dXA=\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"AHU6cA==\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"username\": \"u\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"username\": \"u:\", \"password\": \"\"}}}",
	         "auths.r: has neither auth"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err;
		char *url;

		write_file(cases[i].text);
		assert_fails(ovbd_credentials_apply(path, "https://r/v2/x" BLOB, &url, &err),
		             -EBADMSG, err, cases[i].sentence);
		assert_memory_equal(err.msg, path, strlen(path));
		/* of no concern to other registries, if it can be read at all */
		if (i >= 2) {
			assert_ok(ovbd_credentials_apply(path, "https://s/v2/x" BLOB, &url, &err),
			          err);
			free(url);
		}
	}
}

static void test_no_file(void **state)
{
	AUTO_FREE char *url = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_credentials_apply("/nonexistent/cred.json", "https://r/v2/x" BLOB, &url,
	                                 &err),
	          err);
	assert_string_equal(url, "https://r/v2/x" BLOB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
