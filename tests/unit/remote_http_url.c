// SPDX-License-Identifier: Apache-2.0
/* URLs: which are opened, what is shown of them, what they say of who is where. */
#include "tests/unit/test.h"

#include <errno.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_url_show(void **state)
{
	static const char *const cases[][2] = {
		{"http://h/p", "http://h/p"},
		{"https://user:secret@h:8/p/q?sig=secret", "https://h:8/p/q?…"},
		{"http://a@b@h", "http://h"},
		{"http://h?x@y", "http://h?…"},
		{"http://h/p@q", "http://h/p@q"},
		{"http://u:p@h#f", "http://h"},
		{"http://h/\n\x7f", "http://h/??"},
		{"user:secret@h/p", "h/p"},
		{"", ""},
		{"a-scheme-that-is-far-too-long://u:secret@h/p", "h/p"},
	};
	char shown[OVBD_HTTP_SHOWN_SIZE], url[2 * OVBD_HTTP_SHOWN_SIZE];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		ovbd_http_show(cases[i][0], shown);
		assert_string_equal(shown, cases[i][1]);
	}
	memset(url, 'x', sizeof(url));
	memcpy(url, "http://h/", 9);
	for (size_t len = OVBD_HTTP_SHOWN_SIZE - 40; len < sizeof(url) - 8; len++) {
		strcpy(url + len, "?s");
		ovbd_http_show(url, shown);
		assert_true(strlen(shown) < OVBD_HTTP_SHOWN_SIZE);
		assert_string_equal(shown + strlen(shown) - strlen("?…"), "?…");
		memset(url + len, 'x', 3);
	}
}

static void test_url_check(void **state)
{
	static const struct {
		const char *url;
		int code;
		const char *text;
	} cases[] = {
		{"http://h/p?q=1", 0, ""},
		{"HTTPS://u:p@[::1]:8/", 0, ""},
		{"ftp://h/p", -ENOTSUP, "ftp://h/p: only http:// and https://"},
		{"file:///etc/passwd", -ENOTSUP, "only http"},
		{"/dev/sda", -ENOTSUP, "only http"},
		{"http://h/p#top", -EINVAL, "http://h/p: a fragment"},
		{"http://", -EINVAL, "not a URL"},
		{"http://h:x/", -EINVAL, "not a URL"},
		{"http://u:secret@h h/", -EINVAL, "http://h h/: not a URL"},
		{"http://h/\r\nX: y", -EINVAL, "not a URL"},
	};
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const int r = http_url_check(cases[i].url, &err);

		if (cases[i].code == 0)
			assert_ok(r, err);
		else
			assert_fails(r, cases[i].code, err, cases[i].text);
		if (r < 0)
			assert_null(strstr(err.msg, "secret"));
	}
	assert_true(ovbd_http_is_url("hTTp://x"));
	assert_true(ovbd_http_is_url("https://"));
	assert_false(ovbd_http_is_url("http:/x"));
	assert_false(ovbd_http_is_url(""));
}

static void test_url_origin(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"http://h:1/a", "http://h:1/b?c", true},
		{"http://h:1/a", "http://h:2/a", false},
		{"http://h/a", "https://h/a", false},
		{"http://h/a", "HTTP://H:80", true},
		{"https://h/a", "https://h:443/b", true},
		{"https://h/a", "https://h:80/b", false},
		{"https://h/a", "https://u:p@h/b", true},
		{"https://h/a", "https://h@evil/b", false},
		{"https://h/a", "https://h.evil/b", false},
		{"https://h/a", "https://evil/h/a", false},
		{"https://h/a", "https://h\\@evil/", false},
		{"http://[::1]:5/a", "http://[::1]:5/b", true},
		{"nonsense", "nonsense", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (http_url_same_origin(cases[i].a, cases[i].b) != cases[i].same)
			fail_msg("%s %s", cases[i].a, cases[i].b);
	assert_int_equal(http_url_hash("http://h:1/a"), http_url_hash("http://h:1/b?c"));
	assert_int_not_equal(http_url_hash("http://h:1/a"), http_url_hash("http://h:2/a"));
}

static void test_url_space(void **state)
{
	static const char *const cases[][2] = {
		{"https://r/v2/a/b/blobs/sha256:00", "https://r/v2/a/b/"},
		{"https://r/v2/a/b/manifests/latest?x=/blobs/", "https://r/v2/a/b/"},
		{"https://r/v2/a/blobs/b/blobs/sha256:00", "https://r/v2/a/blobs/b/"},
		{"https://r/a/b/c", "https://r/a/b/"},
		{"https://r/a", "https://r/"},
		{"https://r", "https://r"},
		{"https://r?a/b", "https://r"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(http_url_space(cases[i][0]), strlen(cases[i][1]));
		assert_memory_equal(cases[i][0], cases[i][1], strlen(cases[i][1]));
	}
}

static void test_url_take_user(void **state)
{
	static const struct {
		const char *url, *bare, *user, *password;
	} cases[] = {
		{"http://h/a?b", "http://h/a?b", NULL, NULL},
		{"http://u:p@h/a?b", "http://h/a?b", "u", "p"},
		{"http://u@h:8/a", "http://h:8/a", "u", ""},
		{"http://:p@h/", "http://h/", "", "p"},
		{"http://a%40b:c%3Ad%2F@h/%2F", "http://h/%2F", "a@b", "c:d/"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO_FREE char *url = NULL;
		AUTO_FREE char *user = NULL;
		AUTO_FREE char *password = NULL;

		assert_int_equal(http_url_take_user(cases[i].url, &url, &user, &password), 0);
		assert_string_equal(url, cases[i].bare);
		assert_int_equal(!user, !cases[i].user);
		assert_int_equal(!password, !cases[i].password);
		if (user)
			assert_string_equal(user, cases[i].user);
		if (password)
			assert_string_equal(password, cases[i].password);
	}
}

static void test_host_url(void **state)
{
	static const char url[] = "https://r.io/v2/a/b/blobs/sha256:00";
	static const struct {
		struct ovbd_http_host host;
		const char *url, *there;
	} cases[] = {
		{{.base = "http://m:5000/v2"}, url, "http://m:5000/v2/a/b/blobs/sha256:00"},
		{{.base = "http://m/x/v2/"}, url, "http://m/x/v2/a/b/blobs/sha256:00"},
		{{.base = "http://m/v2", .ns = "r.io"},
	         url,
	         "http://m/v2/a/b/blobs/sha256:00?ns=r.io"},
		{{.base = "http://m/v2", .ns = "r.io"},
	         "https://r/v2/a?x",
	         "http://m/v2/a?x&ns=r.io"},
		{{.base = "http://m/v2"}, "https://r.io/v3/a", NULL},
		{{.base = "http://m/v2"}, "https://r.io", NULL},
		{{.base = "http://p:9/", .prefix = true},
	         url,
	         "http://p:9/https://r.io/v2/a/b/blobs/sha256:00"},
		{{.base = "http://p:9/x", .prefix = true},
	         "http://h/f?q",
	         "http://p:9/x/http://h/f?q"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		AUTO_FREE char *there = NULL;

		assert_int_equal(http_host_url(&cases[i].host, cases[i].url, &there), 0);
		assert_int_equal(!there, !cases[i].there);
		if (there)
			assert_string_equal(there, cases[i].there);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url_show),      cmocka_unit_test(test_url_check),
		cmocka_unit_test(test_url_origin),    cmocka_unit_test(test_url_space),
		cmocka_unit_test(test_url_take_user), cmocka_unit_test(test_host_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
