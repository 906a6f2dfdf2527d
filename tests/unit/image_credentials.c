// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/text_file.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "image/credentials.h"

#define BLOB "/blobs/sha256:00"

static char helper[] = "/tmp/ovbd-helpers-XXXXXX"; /* a directory in PATH */

/* A login as one text: "u:p", "bearer T", "refresh T", or "". */
static void show(struct ovbd_http_login *l, char *ret, size_t size)
{
	if (l->bearer)
		snprintf(ret, size, "bearer %s", l->bearer);
	else if (l->refresh_token)
		snprintf(ret, size, "refresh %s", l->refresh_token);
	else if (l->user)
		snprintf(ret, size, "%s:%s", l->user, l->password);
	else
		ret[0] = '\0';
	ovbd_credentials_wipe(l);
}

static int read_for(const char *url, char *ret, size_t size, struct ovbd_error *err)
{
	struct ovbd_http_login l = {0};
	const int r = ovbd_credentials_read(path, false, url, &l, err);

	show(&l, ret, size);
	assert_true(r < 0 || r == (ret[0] != '\0'));
	return r;
}

static void test_found(void **state)
{
	static const char text[] =
		"{\"auths\": {"
		"\"r.example\": {\"auth\": \"dTpw\"}, " /* u:p */
		"\"r.example/team\": {\"username\": \"t@m\", \"password\": \"a:b/c d\"}, "
		"\"r.example/team/app\": {\"auth\": \"YXBwOg==\"}, " /* app: */
		"\"https://s.example:5000/\": {\"auth\": \"dTpwMg==\", \"email\": \"\"}, "
		"\"i.example\": {\"auth\": \"dTo=\", \"identitytoken\": \"idt\"}, "
		"\"t.example\": {\"registrytoken\": \"rt\"}, "
		"\"https://index.docker.io/v1/\": {\"auth\": \"dTpwMw\"}}, \"HttpHeaders\": {}}";
	static const struct {
		const char *url, *want;
	} cases[] = {
		{"https://r.example/v2/x" BLOB, "u:p"},
		{"https://R.Example/v2/x/manifests/latest", "u:p"},
		{"https://r.example/v2/teams/app" BLOB, "u:p"},
		{"https://r.example/v2/team/x" BLOB, "t@m:a:b/c d"},
		{"https://r.example/v2/team/x/manifests/latest", "t@m:a:b/c d"},
		{"http://r.example/v2/team/app" BLOB, "app:"},
		{"http://r.example/v2/team/app/x" BLOB, "app:"},
		{"https://s.example:5000/v2/x" BLOB, "u:p2"},
		{"https://registry-1.docker.io/v2/library/x" BLOB, "u:p3"},
		{"https://docker.io/v2/library/x" BLOB, "u:p3"},
		{"https://i.example/v2/x" BLOB, "refresh idt"},
		{"https://t.example/v2/x" BLOB, "bearer rt"},
		{"https://s.example/v2/x" BLOB, ""},
		{"https://r.example.org/v2/x" BLOB, ""},
		{"https://r.exampl/v2/x" BLOB, ""},
		{"https://me:my@r.example/v2/x" BLOB, ""},
		{"https://r.example/other", "u:p"},
		{"https://r.example", "u:p"},
		{"/file", ""},
	};

	(void)state;
	write_file(text);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err;
		char found[64];

		assert_true(read_for(cases[i].url, found, sizeof(found), &err) >= 0);
		assert_string_equal(found, cases[i].want);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
		{"{", ": line 1, column 1: is no JSON"},
		{"{\"auths\": {\"r\": {\"password\": \"secret\" secret}}}", "is no JSON"},
		{"{\"auths\": []}", "auths must be an object"},
		{"{\"credHelpers\": []}", "credHelpers must be an object"},
		{"[]", "must be an object"},
		{"{\"credsStore\": \"../evil\"}", "is no name of a program"},
		{"{\"credHelpers\": {\"r\": \"a b\"}}", "is no name of a program"},
		{"{\"credsStore\": \"ovbd-nonexistent\"}", "there is no such program"},
		{"{\"auths\": {\"r\": {}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dTpw*\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dTpw=x\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"dXA=\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"auth\": \"AHU6cA==\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"username\": \"u\"}}}", "auths.r: has neither auth"},
		{"{\"auths\": {\"r\": {\"username\": \"u:\", \"password\": \"secret\"}}}",
	         "auths.r: has neither auth"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err;
		char found[64];

		write_file(cases[i].text);
		assert_true(read_for("https://r/v2/x" BLOB, found, sizeof(found), &err) < 0);
		assert_non_null(strstr(err.msg, cases[i].sentence));
		assert_null(strstr(err.msg, "secret"));
	}
	/* of no concern to other registries */
	write_file("{\"auths\": {\"r\": {\"auth\": \"?\"}}}");
	for (size_t i = 0; i < 2; i++) {
		struct ovbd_error err;
		char found[64];

		assert_int_equal(read_for(i ? "https://r" : "https://s", found, sizeof(found),
		                          &err),
		                 i ? -EBADMSG : 0);
	}
}

static void test_no_file(void **state)
{
	struct ovbd_http_login l = {0};
	struct ovbd_error err;

	(void)state;
	assert_int_equal(ovbd_credentials_read("/nonexistent/cred.json", false, "https://r/", &l,
	                                       &err),
	                 0);
	assert_fails(ovbd_credentials_read("/nonexistent/cred.json", true, "https://r/", &l, &err),
	             -ENOENT, err, "/nonexistent/cred.json");
}

static void write_helper(const char *name, const char *script)
{
	char file[128];
	FILE *f;

	snprintf(file, sizeof(file), "%s/docker-credential-%s", helper, name);
	f = fopen(file, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s", script);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(file, 0755), 0);
}

static void remove_helper(const char *name)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/docker-credential-%s", helper, name);
	unlink(file);
}

/* What docker's programs say, and do wrong. */
static void test_programs(void **state)
{
	static const struct {
		const char *script;
		int code;
		const char *want; /* a login, or of a sentence */
	} cases[] = {
		{"[ $1 = get ] && read s || :; echo '{\"Username\":\"u\",\"Secret\":\"'\"$s\"'\"}'",
	         1, "u:r.example"},
		{"echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}'", 1, "refresh t"},
		{"echo credentials not found in native keychain; exit 1", 0, ""},
		{"echo '{\"Username\":\"\",\"Secret\":\"\"}'", 0, ""},
		{"echo secret; exit 3", -EACCES, "ended with status 3"},
		{"echo secret", -EBADMSG, "is no JSON with Username and Secret"},
		{"echo '{\"Username\":\"a:b\",\"Secret\":\"secret\"}'", -EBADMSG,
	         "is no JSON with"},
		{"exec yes secret", -E2BIG, "docker-credential-test"},
		{"kill -9 $$", -ETIMEDOUT, "no answer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_http_login l = {0};
		struct ovbd_error err = {0};
		char found[64];

		write_helper("test", cases[i].script);
		assert_int_equal(ovbd_credentials_ask("test", "r.example", &l, &err),
		                 cases[i].code);
		show(&l, found, sizeof(found));
		if (cases[i].code >= 0)
			assert_string_equal(found, cases[i].want);
		else
			assert_non_null(strstr(err.msg, cases[i].want));
		assert_null(strstr(err.msg, "secret"));
	}
	remove_helper("test");
}

/* Which program is asked, by which name of the registry, and what goes before what. */
static void test_order(void **state)
{
	static const struct {
		const char *url, *want;
	} cases[] = {
		{"https://a.example/v2/x" BLOB, "one:a.example"},
		{"https://b.example/v2/x" BLOB, "two:b.example"},
		{"https://docker.io/v2/library/x" BLOB, "two:https://index.docker.io/v1/"},
		{"https://none/v2/x" BLOB, "u:p"},
		{"https://empty/v2/x" BLOB, ""},
	};

	(void)state;
	write_helper("one", "read s || :; echo '{\"Username\":\"one\",\"Secret\":\"'\"$s\"'\"}'");
	write_helper("two",
	             "read s || :; case $s in none|empty) echo 'credentials not found in x'; "
	             "exit 1;; esac\n"
	             "echo '{\"Username\":\"two\",\"Secret\":\"'\"$s\"'\"}'");
	write_file("{\"credHelpers\": {\"a.example\": \"one\"}, \"credsStore\": \"two\", "
	           "\"auths\": {\"none\": {\"auth\": \"dTpw\"}, \"empty\": {}, "
	           "\"a.example\": {\"auth\": \"dTpw\"}}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err;
		char found[64];

		assert_true(read_for(cases[i].url, found, sizeof(found), &err) >= 0);
		assert_string_equal(found, cases[i].want);
	}
	remove_helper("one");
	remove_helper("two");
}

static void test_split(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {{"u", "u:"}, {"u:p:q", "u:p:q"}, {"u:", "u:"}, {"", NULL}, {":p", NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_http_login l = {0};
		struct ovbd_error err;
		char found[64];

		assert_int_equal(ovbd_credentials_split(cases[i].text, &l, &err),
		                 cases[i].want ? 1 : -EINVAL);
		show(&l, found, sizeof(found));
		assert_string_equal(found, cases[i].want ? cases[i].want : "");
	}
}

static int make_all(void **state)
{
	char now[4096];

	if (make_file(state) < 0 || !mkdtemp(helper))
		return -1;
	snprintf(now, sizeof(now), "%s:%s", helper, getenv("PATH"));
	return setenv("PATH", now, 1);
}

static int remove_all(void **state)
{
	rmdir(helper);
	return remove_file(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_file), cmocka_unit_test(test_programs),
		cmocka_unit_test(test_order),   cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
