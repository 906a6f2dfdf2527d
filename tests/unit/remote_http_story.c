// SPDX-License-Identifier: Apache-2.0
/* The sentence of what was tried, and which hosts have failed lately. */
#include "tests/unit/test.h"

#include <stdio.h>

#include "remote/http_impl.h"

static struct http_route mirror = {.name = "mirror.example"};
static struct http_route own = {.name = "registry.example:5000"};

static void add(struct http_story *s, const struct http_route *r, const char *text,
                const char *where)
{
	struct http_got got = {.nrequests = 1};

	snprintf(got.verdict.text, sizeof(got.verdict.text), "%s", text);
	snprintf(got.where, sizeof(got.where), "%s", where);
	http_story_add(s, r, &got);
}

static void tells(const struct http_story *s, bool several, const char *expected)
{
	char text[HTTP_STORY_SIZE];

	http_story_tell(s, 12149, several, text);
	assert_string_equal(text, expected);
}

static void test_story(void **state)
{
	struct http_story s = {.nattempts = 0};

	(void)state;
	tells(&s, false, "");
	add(&s, &own, "the answer was 404 Not Found", "");
	tells(&s, false, "the answer was 404 Not Found");
	tells(&s, true, "registry.example:5000: the answer was 404 Not Found");
	add(&s, &own, "the answer was 404 Not Found", "");
	tells(&s, false, "gave up after 2 attempts in 12.1 s: the answer was 404 Not Found");
	add(&s, &own, "the answer was 404 Not Found", "http://s3/x?…");
	tells(&s, false,
	      "gave up after 3 attempts in 12.1 s: the answer was 404 Not Found (2x); "
	      "the answer was 404 Not Found, after a redirect to http://s3/x?…");
}

static void test_story_of_hosts(void **state)
{
	struct http_story s = {.nattempts = 0};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		add(&s, &mirror, "Failed to connect", "");
		add(&s, &own, i < 2 ? "no byte for 5000 ms" : "the answer was 503", "");
	}
	tells(&s, true,
	      "gave up after 6 attempts in 12.1 s: mirror.example: Failed to connect (3x); "
	      "registry.example:5000: no byte for 5000 ms (2x); "
	      "registry.example:5000: the answer was 503");
}

/* More kinds than there is room for: the first ones, and the last. */
static void test_story_is_short(void **state)
{
	struct http_story s = {.nattempts = 0};
	char text[HTTP_STORY_SIZE], trouble[300];

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		snprintf(trouble, sizeof(trouble), "%u %0250d", i, 0);
		add(&s, &own, trouble, "http://a/target");
		http_story_tell(&s, 1, true, text);
		assert_true(strlen(text) < HTTP_STORY_SIZE - 1); /* cut on purpose, not by chance */
	}
	assert_non_null(strstr(text, "gave up after 9 attempts in 0.0 s: "));
	assert_non_null(strstr(text, "registry.example:5000: 0 000"));
	assert_non_null(strstr(text, "…; …; registry.example:5000: 8 000"));
	/* not within a character */
	memset(&s, 0, sizeof(s));
	trouble[0] = '\0';
	for (unsigned i = 0; i < 99; i++)
		strcat(trouble, "é");
	for (unsigned i = 0; i < 4; i++) {
		trouble[0] = (char)('a' + i);
		trouble[1] = 'x';
		add(&s, &own, trouble + i % 2, "");
	}
	http_story_tell(&s, 1, true, text);
	for (const char *at = text; (at = strstr(at, "…")); at++)
		assert_true(at[-1] == '\xa9');
}

static void test_health(void **state)
{
	const uint64_t a = http_url_hash("http://a/"), b = a + 64; /* in one place */

	(void)state;
	assert_false(http_host_is_suspect(a));
	http_host_works(a, false);
	assert_true(http_host_is_suspect(a));
	assert_true(http_host_is_suspect(a));
	assert_false(http_host_is_suspect(b));
	http_host_works(b, true); /* says nothing of the other */
	assert_true(http_host_is_suspect(a));
	http_host_works(a, true);
	assert_false(http_host_is_suspect(a));
	http_host_works(a, false);
	http_host_works(b, false);
	assert_false(http_host_is_suspect(a));
	assert_true(http_host_is_suspect(b));
	http_host_works(b, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_story),
		cmocka_unit_test(test_story_of_hosts),
		cmocka_unit_test(test_story_is_short),
		cmocka_unit_test(test_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
