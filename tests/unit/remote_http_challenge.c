// SPDX-License-Identifier: Apache-2.0
/* What servers ask for, and what token servers answer: the usual, the odd, and the hostile. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *text;
	bool basic, bearer;
	const char *realm, *service, *scope, *other;
} challenges[] = {
	{"", false, false, "", "", "", ""},
	{"Basic realm=\"x\"", true, false, "", "", "", ""},
	{"basic", true, false, "", "", "", ""},
	{"BASIC  realm = x , charset=\"UTF-8\"", true, false, "", "", "", ""},
	{"Basic realm=\"caf\xc3\xa9\"", true, false, "", "", "", ""},
	{"Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\"", false, true,
         "https://a/t", "s", "repository:x:pull,push", ""},
	{"bearer REALM=\"https://a/t\"", false, true, "https://a/t", "", "", ""},
	{"Bearer service=s , realm = \"r\" ,, scope=\"a b\"", false, true, "r", "s", "a b", ""},
	/* several, in one line or in more, which are joined by a comma */
	{"Basic realm=\"a, Bearer realm=b\", Bearer realm=\"c\"", true, true, "c", "", "", ""},
	{"Bearer realm=\"c\", Basic", true, true, "c", "", "", ""},
	{"Negotiate, Bearer realm=\"c\"", false, true, "c", "", "", "Negotiate"},
	{"Negotiate YII=, NTLM TlRM==,Basic realm=x", true, false, "", "", "", "Negotiate"},
	{"Bearer realm=\"one\", Bearer realm=\"two\"", false, true, "one", "", "", ""},
	{"Bearer scope=x, Bearer realm=\"two\"", false, true, "two", "", "", ""},
	{",, ,Basic,,", true, false, "", "", "", ""},
	/* escapes and unknown parameters */
	{"Bearer realm=\"a\\\"b\\\\c\", error=\"invalid_token\", x=\"\"", false, true, "a\"b\\c",
         "", "", ""},
	/* what is hostile, or broken: it is dropped, with all that follows a break */
	{"Bearer realm=\"a", false, false, "", "", "", ""},
	{"Bearer realm=\"a\\", false, false, "", "", "", ""},
	{"Basic, Bearer realm=\"a", true, false, "", "", "", ""},
	{"Bearer realm=\"a\" service=\"b\"", false, false, "", "", "", ""},
	{"Bearer realm=\"a\", realm=\"b\"", false, false, "", "", "", ""},
	{"Bearer realm=\"a\", realm=\"b\", Basic", true, false, "", "", "", ""},
	{"Bearer realm=\"a\x01\"", false, false, "", "", "", ""},
	{"Bearer realm=\"a\x7f\"", false, false, "", "", "", ""},
	{"Bearer realm=\"\"", false, false, "", "", "", ""},
	{"Bearer realm=", false, false, "", "", "", ""},
	{"Bearer =a", false, false, "", "", "", ""},
	{"realm=\"a\"", false, false, "", "", "", ""},
	{"\"Bearer\" realm=a", false, false, "", "", "", ""},
	{"Bearer@ realm=a", false, false, "", "", "", ""},
	{"Basic realm=x; Bearer", false, false, "", "", "", ""},
	{"Basic realm=x, \x01", false, false, "", "", "", ""},
	{"A-way-to-ask-with-a-name-that-is-far-too-long x=y, Basic", true, false, "", "", "", ""},
};

static void test_challenges(void **state)
{

	(void)state;
	for (size_t i = 0; i < COUNT(challenges); i++) {
		struct http_challenge c;

		http_challenge_parse(challenges[i].text, &c);
		if (c.basic != challenges[i].basic || c.bearer != challenges[i].bearer ||
		    strcmp(c.realm, challenges[i].realm) != 0 ||
		    strcmp(c.service, challenges[i].service) != 0 ||
		    strcmp(c.scope, challenges[i].scope) != 0 ||
		    strcmp(c.other, challenges[i].other) != 0)
			fail_msg("%s: %d %d '%s' '%s' '%s' '%s'", challenges[i].text, c.basic,
			         c.bearer, c.realm, c.service, c.scope, c.other);
	}
}

/* A value as long as there is room for, and one byte longer. */
static void test_long_values(void **state)
{
	struct http_challenge c;
	char text[HTTP_CHALLENGE_SIZE];

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		const size_t len = sizeof(c.realm) - 1 + more;
		char *at = stpcpy(text, "Bearer realm=\"");

		memset(at, 'x', len);
		strcpy(at + len, "\", Basic");
		http_challenge_parse(text, &c);
		assert_int_equal(c.bearer, more == 0);
		assert_int_equal(strlen(c.realm), more ? 0 : len);
		assert_true(c.basic);
	}
}

static void test_lines(void **state)
{
	struct http_answer a = {0};
	char longest[HTTP_CHALLENGE_SIZE + 64];

	(void)state;
	http_answer_line(&a, "HTTP/1.1 401 No\r\n", 17);
	http_answer_line(&a, "www-authenticate: Basic\r\n", 25);
	http_answer_line(&a, "WWW-Authenticate: Bearer realm=x\r\n", 34);
	assert_string_equal(a.challenge, " Basic,  Bearer realm=x");
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "WWW-Authenticate: ", 18);
	http_answer_line(&a, longest, sizeof(longest));
	assert_string_equal(a.challenge, " Basic,  Bearer realm=x");
	http_answer_line(&a, "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(a.challenge, "");
}

static void test_token_answers(void **state)
{
	const time_t now = 1764504000; /* 2025-11-30T12:00:00Z */
	static const struct {
		const char *body;
		int code;
		const char *token;
		uint64_t life_ms, fresh_ms;
	} cases[] = {
		{"{\"token\": \"a\"}", 0, "a", 60000, 54000},
		{"{\"access_token\": \"a\", \"expires_in\": 300}", 0, "a", 300000, 270000},
		{"{\"token\": \"\", \"access_token\": \"b\"}", 0, "b", 60000, 54000},
		{"{\"token\": \"a\", \"access_token\": \"b\", \"expires_in\": 3600}", 0, "a",
	         3600000, 3540000},
		{"{\"token\": \"a\", \"expires_in\": 1e30}", 0, "a", 86400000, 86340000},
		{"{\"token\": \"a\", \"expires_in\": 0}", 0, "a", 60000, 54000},
		{"{\"token\": \"a\", \"expires_in\": -5}", 0, "a", 60000, 54000},
		{"{\"token\": \"a\", \"expires_in\": \"300\"}", 0, "a", 60000, 54000},
		{"{\"token\": \"a\", \"expires_in\": 300, \"issued_at\": \"2025-11-30T11:58:20Z\"}",
	         0, "a", 200000, 180000},
		{"{\"token\": \"a\", \"expires_in\": 300, \"issued_at\": "
	         "\"2025-11-30T11:58:20.123Z\"}",
	         0, "a", 200000, 180000},
		/* clocks that differ, and no times */
		{"{\"token\": \"a\", \"expires_in\": 300, \"issued_at\": \"2025-11-30T11:00:00Z\"}",
	         0, "a", 300000, 270000},
		{"{\"token\": \"a\", \"expires_in\": 300, \"issued_at\": \"2025-11-30T13:00:00Z\"}",
	         0, "a", 300000, 270000},
		{"{\"token\": \"a\", \"issued_at\": \"yesterday\"}", 0, "a", 60000, 54000},
		{"", -EIO, "", 0, 0},
		{"token", -EIO, "", 0, 0},
		{"[]", -EIO, "", 0, 0},
		{"{}", -EIO, "", 0, 0},
		{"{\"token\": 5}", -EIO, "", 0, 0},
		{"{\"token\": \"a\"} x", -EIO, "", 0, 0},
		{"{\"token\": \"a b\"}", -EIO, "", 0, 0},
		{"{\"token\": \"a\\r\\nX: y\"}", -EIO, "", 0, 0},
		{"{\"token\": \"a\\u0000b\"}", -EIO, "", 0, 0},
		{"{\"token\": \"\xc3\xa9\"}", -EIO, "", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_token t = {0};
		struct http_verdict v = {0};
		const int r = http_token_parse(cases[i].body, strlen(cases[i].body), now, &t, &v);

		if (r != cases[i].code || t.life_ms != cases[i].life_ms ||
		    t.fresh_ms != cases[i].fresh_ms)
			fail_msg("%s: %d, %llu, %llu", cases[i].body, r,
			         (unsigned long long)t.life_ms, (unsigned long long)t.fresh_ms);
		if (r == 0)
			assert_string_equal(t.text, cases[i].token);
		else
			assert_true(v.text[0] != '\0');
		free(t.text);
	}
}

static void test_token_too_long(void **state)
{
	static char body[20000];
	struct http_token t = {0};
	struct http_verdict v;

	(void)state;
	memset(body, 'x', sizeof(body));
	memcpy(body, "{\"token\": \"", 11);
	memcpy(body + sizeof(body) - 2, "\"}", 2);
	assert_int_equal(http_token_parse(body, sizeof(body), 0, &t, &v), -EIO);
	assert_non_null(strstr(v.text, "its token has 19987 bytes"));
}

static void test_login(void **state)
{
	const struct ovbd_http_login l = {.user = (char[]){"Aladdin"},
	                                  .password = (char[]){"open sesame"}};
	const struct ovbd_http_login other = {.user = (char[]){"Aladdin"}};
	struct ovbd_http_login empty = {NULL};
	char *line = http_login_basic(&l);
	char *none = http_login_basic(&empty);

	(void)state;
	assert_string_equal(line, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	assert_string_equal(none, "Authorization: Basic Og==");
	assert_true(http_login_is_same(&l, &l));
	assert_false(http_login_is_same(&l, &other));
	assert_false(http_login_is_same(&other, &l));
	assert_true(http_login_is_same(&empty, &empty));
	http_login_clear(&empty);
	http_secret_free(line);
	http_secret_free(none);
	http_secret_free(NULL);
}

static void test_scope(void **state)
{
	static const char wanted[] = "repository:a/b:pull,push";
	static const struct {
		const char *asked, *all;
	} cases[] = {
		{"", "repository:a/b:pull,push"},
		{"repository:a/b:pull", "repository:a/b:pull,push"},
		{"repository:a/b:pull,push,delete", "repository:a/b:pull,push"},
		{"repository:a/bc:pull", "repository:a/bc:pull repository:a/b:pull,push"},
		{" registry:catalog:*  repository:a/b:pull  repository:c:pull ",
	         "registry:catalog:* repository:c:pull repository:a/b:pull,push"},
	};
	char scope[1024], full[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(scope, cases[i].asked);
		http_scope_add(scope, wanted);
		assert_string_equal(scope, cases[i].all);
	}
	memset(full, 'x', sizeof(full));
	full[sizeof(full) - 1] = '\0';
	memcpy(scope, full, sizeof(full));
	http_scope_add(scope, wanted);
	assert_string_equal(scope, full); /* no room */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenges),     cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_lines),          cmocka_unit_test(test_token_answers),
		cmocka_unit_test(test_token_too_long), cmocka_unit_test(test_login),
		cmocka_unit_test(test_scope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
