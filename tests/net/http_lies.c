// SPDX-License-Identifier: Apache-2.0
/*
 * Every lie a server can tell ends as an error with the URL and the range in it, after as many
 * attempts as can help, and no byte outside the caller's buffer is touched; and if the lie is told
 * only once, and another attempt can help, the bytes are right.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "remote/http.h"
#include "tests/net/fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OFF      8000
#define LEN      1000
#define ATTEMPTS 4 /* at most */
#define FEW      3 /* for answers that are wrong */

/* lie "" is an honest server. Only those that fall silent are watched closely: a busy machine may
 * keep silent for a while, too. */
static int open_lie(const char *lie, const char *name, struct ovbd_blob **ret,
                    struct ovbd_error *err)
{
	const bool is_silent = strstr(lie, "stall") || strstr(lie, "mute");
	const struct ovbd_http_params params = {
		.backoff_ms = 2,
		.stall_timeout_ms = is_silent ? 250 : 10000,
		.max_attempts = ATTEMPTS,
		.open_attempts = ATTEMPTS,
	};
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s%s%s", server.port, lie,
	         lie[0] ? "/" : "", name);
	return ovbd_http_open(url, &params, ret, err);
}

/* Reads with a guard on both sides of the buffer. */
static int guarded_read(struct ovbd_blob *b, uint8_t buf[LEN], struct ovbd_error *err)
{
	uint8_t room[64 + LEN + 64];
	int r;

	memset(room, 0xee, sizeof(room));
	r = ovbd_blob_pread(b, room + 64, LEN, OFF, err);
	for (size_t i = 0; i < 64; i++)
		if (room[i] != 0xee || room[64 + LEN + i] != 0xee)
			fail_msg("byte %zu beside the buffer was written", i);
	memcpy(buf, room + 64, LEN);
	return r;
}

struct lie {
	const char *lie;
	int code;
	unsigned nattempts;
	const char *text;
};

static const struct lie read_lies[] = {
	{"ok200", -EIO, FEW, "the answer was 200"},
	{"start", -EIO, FEW, "Content-Range 'bytes 8001-8999/300001'"},
	{"end", -EIO, FEW, "Content-Range 'bytes 8000-9000/300001'"},
	{"early", -EIO, FEW, "Content-Range 'bytes 7999-8999/300001'"},
	{"total", -ESTALE, 1, "it has 300002 bytes, and had 300001"},
	{"size=5", -ESTALE, 1, "it has 300006 bytes, and had 300001"},
	{"unit", -EIO, FEW, "Content-Range 'bits 8000-8999/300001'"},
	{"norange", -EIO, FEW, "no Content-Range"},
	{"badrange", -EIO, FEW, "Content-Range 'bytes as you like it'"},
	{"anytotal", -EIO, FEW, "does not tell the size"},
	{"unsatisfied", -EIO, FEW, "Content-Range 'bytes */300001'"},
	{"truerange=1", -EIO, FEW, "Content-Range 'bytes 8000-8998/300001'"},
	{"short=0", -EIO, ATTEMPTS, "remaining to read"},
	{"short=999", -EIO, ATTEMPTS, "the body ended after 999 of 1000 bytes"},
	{"reset=500", -EIO, ATTEMPTS, ""}, /* where it is noticed depends on timing */
	{"closed=0", -EIO, ATTEMPTS, "the body ended after 0 of 1000 bytes"},
	{"closed=999", -EIO, ATTEMPTS, "the body ended after 999 of 1000 bytes"},
	{"long=1", -EIO, FEW, "Content-Length '1001' for 1000 bytes"},
	{"longchunked=1", -EIO, FEW, "the body has more than its 1000 bytes"},
	{"longchunked=2000000", -EIO, FEW, "the body has more than its 1000 bytes"},
	{"encoding=gzip", -EIO, FEW, "Content-Encoding 'gzip'"},
	{"encoding=br", -EIO, FEW, "Content-Encoding 'br'"},
	{"multipart", -EIO, FEW, "'multipart/byteranges"},
	{"etag=%22x%22", -ESTALE, 1,
         "the object has changed since it was opened: its ETag is '\"x\"'"},
	{"weak", -ESTALE, 1, "its ETag is 'W/"},
	{"ok200,etag=%22x%22", -ESTALE, 1, "its ETag is"},
	{"noetag", -EIO, FEW, "the answer has no ETag"},
	{"twoetags", -EIO, FEW, "the ETag of the answer is too long, or comes twice and differs"},
	{"status=400", -EIO, 1, "the answer was 400 Bad Request"},
	{"status=401", -EACCES, 1, "the answer was 401"},
	{"status=403", -EACCES, 1, "the answer was 403"},
	{"status=404", -ENOENT, 1, "the answer was 404"},
	{"status=410", -ENOENT, 1, "the answer was 410"},
	{"status=416", -EIO, 1, "the answer was 416"},
	{"status=408", -EIO, ATTEMPTS, "the answer was 408"},
	{"status=429", -EAGAIN, ATTEMPTS, "the answer was 429"},
	{"status=500", -EIO, ATTEMPTS, "the answer was 500"},
	{"status=502", -EIO, ATTEMPTS, "the answer was 502"},
	{"status=503", -EAGAIN, ATTEMPTS, "the answer was 503"},
	{"status=204", -EIO, FEW, "the answer was 204"},
	{"headers=1000", -EIO, FEW, "the head of the answer is longer than 131072 bytes"},
	{"badstatus", -EIO, FEW, "HTTP/0.9"},
	{"drop", -EIO, ATTEMPTS, "Empty reply"},
	{"stall=500", -ETIMEDOUT, ATTEMPTS, "no byte for 250 ms, in the body after 500 bytes"},
	{"mute", -ETIMEDOUT, ATTEMPTS, "no byte for 250 ms, waiting for the answer"},
	{"redirect=30", -EIO, 1, "redirect=21/data was not followed: it is the ninth"},
	{"to=ftp:%2F%2Fu:s%40h%2Fx%3Fsecret", -EIO, 1, "redirect to ftp://h/x?… was not"},
	{"to=http:%2F%2F127.0.0.1:1%2Fx", -EIO, ATTEMPTS,
         "after a redirect to http://127.0.0.1:1/x"},
};

static void check_sentence(const struct lie *l, const char *range, const struct ovbd_error *err)
{
	char where[64], attempts[64];

	snprintf(where, sizeof(where), "http://127.0.0.1:%u/~", server.port);
	snprintf(attempts, sizeof(attempts), "gave up after %u attempts", l->nattempts);
	assert_ptr_equal(strstr(err->msg, where), err->msg);
	if (!strstr(err->msg, range) || !strstr(err->msg, l->text))
		fail_msg("%s: %s", l->lie, err->msg);
	if ((l->nattempts > 1) != !!strstr(err->msg, attempts))
		fail_msg("%s: %s", l->lie, err->msg);
}

static void test_read_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(read_lies); i++) {
		const struct lie *l = &read_lies[i];
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		uint8_t buf[LEN];
		char lie[128];
		uint64_t nretries;

		snprintf(lie, sizeof(lie), "~after=1,%s", l->lie);
		assert_ok(open_lie(lie, "data", &b, &err), err);
		nretries = ovbd_http_stats(b).retries;
		assert_fails(guarded_read(b, buf, &err), l->code, err, l->text);
		check_sentence(l, "bytes 8000-8999: ", &err);
		nretries = ovbd_http_stats(b).retries - nretries;
		if (nretries != l->nattempts - 1)
			fail_msg("%s: %u retries", l->lie, (unsigned)nretries);
	}
}

static void test_read_lies_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(read_lies); i++) {
		const struct lie *l = &read_lies[i];
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		uint8_t buf[LEN];
		char lie[128];
		int r;

		snprintf(lie, sizeof(lie), "~tag=once,after=1,times=1,%s", l->lie);
		assert_ok(open_lie(lie, "data", &b, &err), err);
		r = guarded_read(b, buf, &err);
		if (l->nattempts > 1)
			assert_ok(r, err);
		else
			assert_int_equal(r, l->code);
		if (r == 0 && memcmp(buf, site.data + OFF, LEN) != 0)
			fail_msg("%s: wrong bytes", l->lie);
		/* libcurl itself repeats what a reused connection did not answer at all */
		if (r == 0 && ovbd_http_stats(b).retries == 0 && strcmp(l->lie, "drop") != 0)
			fail_msg("%s: not retried", l->lie);
	}
}

static void test_open_lies(void **state)
{
	static const struct lie lies[] = {
		{"ok200", -ENOTSUP, 1, "the server does not do ranges"},
		{"anytotal", -ENOTSUP, 1, "does not tell the size"},
		{"start", -EIO, FEW, "Content-Range 'bytes 1-4095/300001'"},
		{"short=9", -EIO, ATTEMPTS, "the body ended after 9 of 4096 bytes"},
		{"longchunked=1", -EIO, FEW, "more than its 4096 bytes"},
		{"encoding=gzip", -EIO, FEW, "Content-Encoding 'gzip'"},
		{"status=404", -ENOENT, 1, "the answer was 404"},
		{"status=503", -EAGAIN, ATTEMPTS, "the answer was 503"},
		{"mute", -ETIMEDOUT, ATTEMPTS, "no byte for 250 ms"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		char lie[128];

		snprintf(lie, sizeof(lie), "~%s", lies[i].lie);
		assert_fails(open_lie(lie, "data", &b, &err), lies[i].code, err, lies[i].text);
		check_sentence(&lies[i], "bytes 0-4095: ", &err);
		assert_null(b);
	}
}

/* What is unusual, but no lie. */
static void test_truths(void **state)
{
	static const char *const truths[] = {"",           "~chunked",           "~noetag",
	                                     "~weak",      "~encoding=identity", "~redirect=3",
	                                     "~slow=20000"};

	(void)state;
	for (size_t i = 0; i < COUNT(truths); i++) {
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		uint8_t buf[LEN];

		assert_ok(open_lie(truths[i], "data", &b, &err), err);
		assert_int_equal(b->size, TEST_SITE_SIZE);
		assert_ok(guarded_read(b, buf, &err), err);
		assert_memory_equal(buf, site.data + OFF, LEN);
		assert_int_equal(ovbd_http_stats(b).retries, 0);
	}
}

static void test_small_objects(void **state)
{
	AUTO_BLOB *one = NULL;
	AUTO_BLOB *empty = NULL;
	AUTO_BLOB *empty200 = NULL;
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	assert_ok(open_lie("", "one", &one, &err), err);
	assert_int_equal(one->size, 1);
	assert_ok(ovbd_blob_pread(one, &byte, 1, 0, &err), err);
	assert_int_equal(byte, site.data[0]);
	assert_int_equal(ovbd_blob_pread(one, &byte, 1, 1, &err), -EINVAL);
	assert_ok(open_lie("", "empty", &empty, &err), err);
	assert_int_equal(empty->size, 0);
	assert_ok(open_lie("~ok200", "empty", &empty200, &err), err);
	assert_int_equal(empty200->size, 0);
}

/* An object without ETag is watched by its date; one with a weak ETag by both. */
static void test_last_modified(void **state)
{
	static const char *const lies[] = {"~noetag,times=1", "~weak,times=1"};

	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		uint8_t buf[LEN];

		assert_ok(open_lie(lies[i], "data", &b, &err), err);
		if (i == 0) /* an ETag that comes later is no change */
			assert_ok(guarded_read(b, buf, &err), err);
		else
			assert_int_equal(guarded_read(b, buf, &err), -ESTALE);
	}
}

/* The head is read once; other reads ask for exactly what they want, over one connection. */
static void test_requests(void **state)
{
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *b2 = NULL;
	struct ovbd_error err;
	uint8_t buf[5000];

	(void)state;
	test_server_forget(&server);
	assert_ok(open_lie("", "data", &b, &err), err);
	assert_ok(ovbd_blob_pread(b, buf, 4096, 0, &err), err);
	assert_memory_equal(buf, site.data, 4096);
	assert_ok(ovbd_blob_pread(b, buf, 1, 4095, &err), err);
	assert_int_equal(ovbd_http_stats(b).requests, 1);
	assert_ok(ovbd_blob_pread(b, buf, 5000, 10, &err), err);
	assert_memory_equal(buf, site.data + 10, 5000);
	assert_ok(ovbd_blob_pread(b, buf, 1, TEST_SITE_SIZE - 1, &err), err);
	assert_int_equal(buf[0], site.data[TEST_SITE_SIZE - 1]);
	assert_ok(open_lie("", "one", &b2, &err), err);
	assert_int_equal(ovbd_http_stats(b).requests, 3);
	assert_int_equal(ovbd_http_stats(b).bytes, 4096 + 5000 + 1);
	assert_int_equal(test_server_stat(&server, "requests"), 4);
	assert_int_equal(test_server_stat(&server, "bytes"), 4096 + 5000 + 1 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_lies),     cmocka_unit_test(test_read_lies_once),
		cmocka_unit_test(test_open_lies),     cmocka_unit_test(test_truths),
		cmocka_unit_test(test_small_objects), cmocka_unit_test(test_last_modified),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
