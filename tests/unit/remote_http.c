// SPDX-License-Identifier: Apache-2.0
/* The pure parts of remote/http*.c: lines, ranges, verdicts, waits and URLs. */
#include "tests/unit/test.h"

#include <errno.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_range_parse(void **state)
{
	static const struct {
		const char *text;
		bool ok, satisfied, total_known;
		uint64_t first, last, total;
	} cases[] = {
		{"bytes 0-0/1", true, true, true, 0, 0, 1},
		{"Bytes 5-9/10", true, true, true, 5, 9, 10},
		{"bytes 5-9/*", true, true, false, 5, 9, 0},
		{"bytes */0", true, false, true, 0, 0, 0},
		{"bytes */18446744073709551615", true, false, true, 0, 0, UINT64_MAX},
		{"bytes 0-18446744073709551614/18446744073709551615", true, true, true, 0,
	         UINT64_MAX - 1, UINT64_MAX},
		{.text = ""},
		{.text = "bytes"},
		{.text = "bytes "},
		{.text = "bytes=0-0/1"},
		{.text = "bytes  0-0/1"},
		{.text = "bits 0-0/1"},
		{.text = "bytes 0-0"},
		{.text = "bytes 0-0/"},
		{.text = "bytes 0-1/1"},
		{.text = "bytes 2-1/9"},
		{.text = "bytes -1/9"},
		{.text = "bytes 1-/9"},
		{.text = "bytes 0-0/1 "},
		{.text = "bytes 0-0/1,"},
		{.text = "bytes 0x0-0/1"},
		{.text = "bytes +0-0/1"},
		{.text = "bytes */*"},
		{.text = "bytes */"},
		{.text = "bytes 0-0/18446744073709551616"},
		{.text = "bytes 0-99999999999999999999/*"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_range r = {.total = 77};

		if (http_range_parse(cases[i].text, &r) != cases[i].ok)
			fail_msg("'%s'", cases[i].text);
		if (!cases[i].ok) {
			assert_int_equal(r.total, 77);
			continue;
		}
		assert_int_equal(r.satisfied, cases[i].satisfied);
		assert_int_equal(r.total_known, cases[i].total_known);
		assert_int_equal(r.first, cases[i].first);
		assert_int_equal(r.last, cases[i].last);
		assert_int_equal(r.total, cases[i].total);
	}
}

/* Lines divided by '|'. */
static struct http_answer answer(const char *lines)
{
	struct http_answer a = {0};

	for (;;) {
		const size_t len = strcspn(lines, "|");

		http_answer_line(&a, lines, len);
		if (lines[len] == '\0')
			return a;
		lines += len + 1;
	}
}

static void test_lines(void **state)
{
	static char long_etag[600];
	struct http_answer a;

	(void)state;
	a = answer("HTTP/1.1 206 Partial Content\r\n|eTaG:\t\"x y\" \r\n|X:1|\r\n|ETag: \"late\"");
	assert_int_equal(a.status, 206);
	assert_string_equal(a.field[HTTP_REASON], "Partial Content");
	assert_string_equal(a.field[HTTP_ETAG], "\"x y\"");
	assert_true(a.complete);
	assert_null(a.bad);

	a = answer("HTTP/1.1 302 Found|ETag: \"a\"||HTTP/2 206 |Content-Length: 3");
	assert_int_equal(a.status, 206);
	assert_false(a.complete);
	assert_string_equal(a.field[HTTP_REASON], "");
	assert_string_equal(a.field[HTTP_ETAG], "");
	assert_string_equal(a.field[HTTP_CONTENT_LENGTH], "3");

	a = answer("HTTP/1.1 200 \x1b[31mOK\x07");
	assert_string_equal(a.field[HTTP_REASON], "?[31mOK?");
	a = answer("HTTP/1.1 206 OK|ETag: \"a\"|ETag: \"a\"");
	assert_null(a.bad);
	a = answer("HTTP/1.1 206 OK|ETag: \"a\"|ETag: \"b\"");
	assert_string_equal(a.bad, "ETag");
	memset(long_etag, 'x', sizeof(long_etag) - 1);
	memcpy(long_etag, "ETag: ", 6);
	a = answer("HTTP/1.1 206 OK");
	http_answer_line(&a, long_etag, strlen(long_etag));
	assert_string_equal(a.bad, "ETag");

	a = answer("HTTP/");
	assert_int_equal(a.status, 0);
	a = answer("HTTP/1.1 2000");
	assert_int_equal(a.status, 200);
}

#define HEAD "HTTP/1.1 206 Partial Content|"

static void test_judge_open(void **state)
{
	static const struct {
		const char *lines;
		int code;
		enum http_retry retry;
		uint64_t size, len;
	} cases[] = {
		{HEAD "Content-Range: bytes 0-4095/5000", 0, 0, 5000, 4096},
		{HEAD "Content-Range: bytes 0-0/1|Content-Length: 1", 0, 0, 1, 1},
		{HEAD "Content-Range: bytes 0-4095/4096|Content-Encoding: Identity", 0, 0, 4096,
	         4096},
		{"HTTP/1.1 200 OK|Content-Length: 0", 0, 0, 0, 0},
		{"HTTP/1.1 416 No|Content-Range: bytes */0", 0, 0, 0, 0},
		{"HTTP/1.1 416 No|Content-Range: bytes */1", -EIO, HTTP_NEVER},
		{"HTTP/1.1 416 No", -EIO, HTTP_NEVER},
		{"HTTP/1.1 200 OK|Content-Length: 10", -ENOTSUP, HTTP_NEVER},
		{"HTTP/1.1 200 OK", -ENOTSUP, HTTP_NEVER},
		{HEAD "Content-Range: bytes 0-4095/*", -ENOTSUP, HTTP_NEVER},
		{HEAD "Content-Range: bytes 0-4094/5000", -EIO, HTTP_FEW},
		{HEAD "Content-Range: bytes 1-4095/5000", -EIO, HTTP_FEW},
		{HEAD "Content-Range: bytes 1-4096/5000", -EIO, HTTP_FEW},
		{HEAD "Content-Range: bytes 0-4999/5000", -EIO, HTTP_FEW},
		{HEAD "Content-Range: bytes */5000", -EIO, HTTP_FEW},
		{HEAD, -EIO, HTTP_FEW},
		{"", -EIO, HTTP_FEW},
		{"HTTP/1.1 204 No Content", -EIO, HTTP_FEW},
		{"HTTP/1.1 302 Found", -EIO, HTTP_FEW},
		{"HTTP/1.1 400 No", -EIO, HTTP_NEVER},
		{"HTTP/1.1 401 No", -EACCES, HTTP_NEVER},
		{"HTTP/1.1 403 No", -EACCES, HTTP_NEVER},
		{"HTTP/1.1 404 No", -ENOENT, HTTP_NEVER},
		{"HTTP/1.1 408 No", -EIO, HTTP_ALWAYS},
		{"HTTP/1.1 410 No", -ENOENT, HTTP_NEVER},
		{"HTTP/1.1 429 No", -EAGAIN, HTTP_ALWAYS},
		{"HTTP/1.1 451 No", -EIO, HTTP_NEVER},
		{"HTTP/1.1 500 No", -EIO, HTTP_ALWAYS},
		{"HTTP/1.1 501 No", -EIO, HTTP_NEVER},
		{"HTTP/1.1 502 No", -EIO, HTTP_ALWAYS},
		{"HTTP/1.1 503 No", -EAGAIN, HTTP_ALWAYS},
		{"HTTP/1.1 504 No", -EIO, HTTP_ALWAYS},
		{"HTTP/1.1 999 No", -EIO, HTTP_FEW},
	};
	const struct http_want want = {.off = 0, .len = 4096};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct http_answer a = answer(cases[i].lines);
		struct http_verdict v;

		if (http_judge(&a, &want, &v) != cases[i].code)
			fail_msg("%s: %d %s", cases[i].lines, v.code, v.text);
		assert_int_equal(v.code, cases[i].code);
		assert_int_equal(v.retry, cases[i].retry);
		if (v.code == 0) {
			assert_int_equal(v.size, cases[i].size);
			assert_int_equal(v.len, cases[i].len);
		}
	}
}

#define RANGE HEAD "Content-Range: bytes 10-19/100|"

static void test_judge_read(void **state)
{
	static const struct {
		const char *etag, *modified; /* at open */
		const char *lines;
		int code;
		enum http_retry retry;
	} cases[] = {
		{"\"a\"", "Mon", RANGE "ETag: \"a\"", 0, 0},
		{"\"a\"", "Mon", RANGE "ETag: \"a\"|Last-Modified: Tue", 0, 0},
		{"\"a\"", "", RANGE "ETag: \"b\"", -ESTALE, HTTP_NEVER},
		{"\"a\"", "", RANGE "ETag: \"A\"", -ESTALE, HTTP_NEVER},
		{"\"a\"", "", RANGE "ETag: W/\"a\"", -ESTALE, HTTP_NEVER},
		{"\"a\"", "Mon", RANGE "Last-Modified: Mon", -EIO, HTTP_FEW},
		{"W/\"a\"", "Mon", RANGE "ETag: W/\"a\"|Last-Modified: Mon", 0, 0},
		{"W/\"a\"", "Mon", RANGE "ETag: W/\"a\"|Last-Modified: Tue", -ESTALE, HTTP_NEVER},
		{"W/\"a\"", "Mon", RANGE "ETag: W/\"a\"", -EIO, HTTP_FEW},
		{"W/\"a\"", "", RANGE "ETag: W/\"a\"", 0, 0},
		{"", "Mon", RANGE "Last-Modified: Mon", 0, 0},
		{"", "Mon", RANGE "Last-Modified: Mon|ETag: \"new\"", 0, 0},
		{"", "Mon", RANGE "Last-Modified: Tue", -ESTALE, HTTP_NEVER},
		{"", "Mon", RANGE, -EIO, HTTP_FEW},
		{"", "", RANGE, 0, 0},
		{"", "", RANGE "ETag: \"new\"", 0, 0},
		{"", "", RANGE "Content-Length: 10", 0, 0},
		{"", "", RANGE "Content-Length: 11", -EIO, HTTP_FEW},
		{"", "", RANGE "Content-Length: ten", -EIO, HTTP_FEW},
		{"", "", RANGE "Content-Encoding: gzip", -EIO, HTTP_FEW},
		{"", "", RANGE "Content-Type: multipart/byteranges", -EIO, HTTP_FEW},
		{"", "", RANGE "Content-Range: bytes 10-19/101", -EIO, HTTP_FEW},
		{"", "", HEAD "Content-Range: bytes 10-19/101", -ESTALE, HTTP_NEVER},
		{"", "", HEAD "Content-Range: bytes 10-19/*", -EIO, HTTP_FEW},
		{"", "", HEAD "Content-Range: bytes 10-18/100", -EIO, HTTP_FEW},
		{"", "", HEAD "Content-Range: bytes 9-18/100", -EIO, HTTP_FEW},
		{"", "", HEAD "Content-Range: bytes 9-19/100", -EIO, HTTP_FEW},
		{"", "", "HTTP/1.1 200 OK|Content-Length: 100", -EIO, HTTP_FEW},
		{"", "", "HTTP/1.1 200 OK|Content-Length: 0", -ESTALE, HTTP_NEVER},
		{"", "", "HTTP/1.1 200 OK|Content-Length: 9|Content-Encoding: gzip", -EIO,
	         HTTP_FEW},
		{"\"a\"", "", "HTTP/1.1 200 OK|ETag: \"b\"", -ESTALE, HTTP_NEVER},
		{"\"a\"", "", "HTTP/1.1 200 OK", -EIO, HTTP_FEW},
		{"", "", "HTTP/1.1 416 No|Content-Range: bytes */100", -EIO, HTTP_NEVER},
		{"", "", "HTTP/1.1 416 No|Content-Range: bytes */5", -ESTALE, HTTP_NEVER},
		{"", "", "HTTP/1.1 412 No", -EIO, HTTP_NEVER},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct http_answer a = answer(cases[i].lines);
		struct http_pin pin = {.size = 100};
		const struct http_want want = {.off = 10, .len = 10, .pin = &pin};
		struct http_verdict v = {0};

		strcpy(pin.etag, cases[i].etag);
		strcpy(pin.last_modified, cases[i].modified);
		if (http_judge(&a, &want, &v) != cases[i].code || v.retry != cases[i].retry)
			fail_msg("%zu: %s: %d %s", i, cases[i].lines, v.code, v.text);
		assert_int_equal(v.code == 0, v.text[0] == '\0');
	}
}

static void test_retry_after(void **state)
{
	const time_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{"", 0},
		{"0", 0},
		{"7", 7000},
		{"86400", 86400000},
		{"99999999999999999999999", 86400000},
		{"-1", 0},
		{"soon", 0},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 0},
		{"Sun, 06 Nov 1994 08:49:40 GMT", 3000},
		{"Sunday, 06-Nov-94 08:50:37 GMT", 60000},
		{"Sun Nov  6 08:49:38 1994", 1000},
		{"Sun, 06 Nov 1994 08:49:36 GMT", 0},
		{"Sun, 06 Nov 2033 08:49:36 GMT", 86400000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (http_retry_after_ms(cases[i].text, now) != cases[i].ms)
			fail_msg("'%s'", cases[i].text);
}

static void test_retry_wait(void **state)
{
	static const struct {
		unsigned nattempts;
		uint64_t left_ms, random;
		enum http_retry retry;
		const char *after;
		int64_t wait;
	} cases[] = {
		/* backoff 100 doubled, from a half to one and a half of it */
		{1, 60000, 0, HTTP_ALWAYS, "", 50},
		{1, 60000, 100, HTTP_ALWAYS, "", 150},
		{1, 60000, 101, HTTP_ALWAYS, "", 50},
		{2, 60000, 0, HTTP_ALWAYS, "", 100},
		{5, 60000, 0, HTTP_ALWAYS, "", 800},
		{7, 60000, 0, HTTP_ALWAYS, "", 2500},
		{9, 60000, 5000, HTTP_ALWAYS, "", 7500},
		/* attempts */
		{10, 60000, 0, HTTP_ALWAYS, "", -1},
		{1, 60000, 0, HTTP_NEVER, "", -1},
		{2, 60000, 0, HTTP_FEW, "", 100},
		{3, 60000, 0, HTTP_FEW, "", -1},
		/* what the server asks for, and the deadline */
		{1, 60000, 0, HTTP_ALWAYS, "2", 2000},
		{5, 60000, 0, HTTP_ALWAYS, "0", 800},
		{1, 2001, 0, HTTP_ALWAYS, "2", 2000},
		{1, 2000, 0, HTTP_ALWAYS, "2", -1},
		{1, 50, 0, HTTP_ALWAYS, "", -1},
		{1, 0, 0, HTTP_ALWAYS, "", -1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct http_retry_state s = {
			.nattempts = cases[i].nattempts,
			.max_attempts = 10,
			.backoff_ms = 100,
			.left_ms = cases[i].left_ms,
			.random = cases[i].random,
		};
		const struct http_verdict v = {.retry = cases[i].retry};
		const int64_t wait =
			!http_retry_helps(&v, cases[i].nattempts)
				? -1
				: http_retry_wait(&s, http_retry_after_ms(cases[i].after, 0));

		if (wait != cases[i].wait)
			fail_msg("%zu: %lld", i, (long long)wait);
	}
}

/* Nothing of the copy is in what was copied. */
static void test_params_copy(void **state)
{
	char base[] = "http://m/v2", header[] = "X: y", ca[] = "ca.pem", agent[] = "me";
	const char *headers[] = {header, NULL};
	struct ovbd_http_host hosts[] = {
		{.base = base, .ns = base, .headers = headers, .tls.ca_file = ca},
		{.base = ca, .prefix = true, .tls.skip_verify = true},
	};
	const struct ovbd_http_params p = {.user_agent = agent,
	                                   .deadline_ms = 7,
	                                   .tls.cert_file = ca,
	                                   .headers = headers,
	                                   .hosts = hosts,
	                                   .nhosts = 2};
	AUTO_FREE struct ovbd_http_params *copy = http_params_copy(&p);
	AUTO_FREE struct ovbd_http_params *none = http_params_copy(NULL);

	(void)state;
	memset(base, 'z', strlen(base));
	memset(header, 'z', strlen(header));
	memset(ca, 'z', strlen(ca));
	memset(agent, 'z', strlen(agent));
	memset(headers, 0, sizeof(headers));
	memset(hosts, 0, sizeof(hosts));
	assert_string_equal(copy->user_agent, "me");
	assert_int_equal(copy->deadline_ms, 7);
	assert_int_equal(copy->max_attempts, 12);
	assert_string_equal(copy->tls.cert_file, "ca.pem");
	assert_null(copy->tls.ca_file);
	assert_string_equal(copy->headers[0], "X: y");
	assert_null(copy->headers[1]);
	assert_int_equal(copy->nhosts, 2);
	assert_string_equal(copy->hosts[0].base, "http://m/v2");
	assert_string_equal(copy->hosts[0].ns, "http://m/v2");
	assert_string_equal(copy->hosts[0].headers[0], "X: y");
	assert_string_equal(copy->hosts[0].tls.ca_file, "ca.pem");
	assert_string_equal(copy->hosts[1].base, "ca.pem");
	assert_true(copy->hosts[1].prefix && copy->hosts[1].tls.skip_verify);
	assert_ptr_equal(strstr(none->user_agent, "ovbd/"), none->user_agent);
	assert_int_equal(none->deadline_ms, 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_parse), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_judge_open),  cmocka_unit_test(test_judge_read),
		cmocka_unit_test(test_retry_after), cmocka_unit_test(test_retry_wait),
		cmocka_unit_test(test_params_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
