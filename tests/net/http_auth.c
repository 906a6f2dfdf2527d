// SPDX-License-Identifier: Apache-2.0
/*
 * Who we are: Basic, tokens, and where both come from; what is done once, and what is not told to
 * whom.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "remote/http.h"
#include "tests/net/fixture.h"

#define OFF 100000

/* A source of logins: what it gives at first, and after it has been told that this is refused. */
struct source {
	struct ovbd_http_login first, second;
	int code; /* of the call */
	unsigned nasked, nrefused;
	char url[256]; /* of the last call */
};

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static int source_get(void *ctx, const char *url, bool refused, struct ovbd_http_login *ret,
                      struct ovbd_error *err)
{
	struct source *s = ctx;
	const struct ovbd_http_login *l = refused ? &s->second : &s->first;

	s->nasked++;
	s->nrefused += refused;
	snprintf(s->url, sizeof(s->url), "%s", url);
	if (s->code < 0)
		return ovbd_fail(err, s->code, "the helper is not at home");
	ret->bearer = copy(l->bearer);
	ret->refresh_token = copy(l->refresh_token);
	ret->user = copy(l->user);
	ret->password = copy(l->password);
	return 0;
}

/* user is "" or "USER:PASSWORD@", s may be NULL. */
static int open_as(const char *user, const char *lie, struct source *s, struct ovbd_blob **ret,
                   struct ovbd_error *err)
{
	const struct ovbd_http_params p = {
		.backoff_ms = 1,
		.max_attempts = 4,
		.logins = {.get = s ? source_get : NULL, .ctx = s},
	};
	char url[512];

	snprintf(url, sizeof(url), "http://%s127.0.0.1:%u/~tag=%s", user, server.port, lie);
	return ovbd_http_open(url, &p, ret, err);
}

static void read_right(struct ovbd_blob *b, uint64_t off)
{
	struct ovbd_error err;
	uint8_t buf[100];

	assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), off, &err), err);
	assert_memory_equal(buf, site.data + off, sizeof(buf));
}

static uint64_t stat(const char *name)
{
	return test_server_stat(&server, name);
}

static struct ovbd_http_login user(const char *name, const char *password)
{
	return (struct ovbd_http_login){.user = (char *)(uintptr_t)name,
	                                .password = (char *)(uintptr_t)password};
}

static void test_basic(void **state)
{
	struct source s = {.first = user("u", "p:%")};
	struct source late = {.first = user("u", "old"), .second = user("u", "p:%")};
	struct source wrong = {.first = user("u", "x"), .second = user("u", "x")};
	struct source nobody = {.code = 0};
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *c = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("u:p%3A%25@", "b,basic=u:p:%25/data", NULL, &a, &err), err);
	read_right(a, OFF);
	assert_int_equal(stat("refusals"), 0); /* what is in the URL is there to be sent */
	assert_ok(open_as("", "b,basic=u:p:%25/data", &s, &b, &err), err);
	read_right(b, OFF);
	assert_int_equal(stat("refusals"), 1);
	assert_int_equal(s.nasked, 1);
	assert_ok(open_as("", "b,basic=u:p:%25/data", &late, &c, &err), err);
	read_right(c, OFF);
	assert_int_equal(late.nasked, 2);
	assert_int_equal(late.nrefused, 1);
	assert_fails(open_as("u:x@", "b,basic=u:p/data", NULL, &none, &err), -EACCES, err,
	             "who we are (user and password) is not accepted");
	assert_null(strstr(err.msg, "u:x"));
	assert_null(strstr(err.msg, "puts user and password")); /* he has */
	assert_fails(open_as("", "b,basic=u:p/data", &wrong, &none, &err), -EACCES, err,
	             "who we are (user and password) is not accepted");
	assert_fails(open_as("", "b,basic=u:p/data", NULL, &none, &err), -EACCES, err,
	             "the answer was 401 Unauthorized; who may read it puts user and password "
	             "into the URL");
	assert_fails(open_as("", "b,basic=u:p/data", &nobody, &none, &err), -EACCES, err,
	             "the answer was 401 Unauthorized; who may read it logs in there");
}

/* The second layer of a repository begins with what the first has learned. */
static void test_token(void **state)
{
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *c = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "t,bearer/data", NULL, &a, &err), err);
	read_right(a, OFF);
	assert_ok(open_as("", "t,bearer/one", NULL, &b, &err), err);
	assert_int_equal(stat("refusals"), 1);
	assert_int_equal(stat("tokens"), 1);
	/* in another folder nobody knows, but the token is the same */
	assert_ok(open_as("", "t2,bearer/data", NULL, &c, &err), err);
	assert_int_equal(stat("refusals"), 2);
	assert_int_equal(stat("tokens"), 1);
}

static void test_token_for_user(void **state)
{
	struct source s = {.first = user("me", "secret")};
	struct source late = {.first = user("me", "old"), .second = user("me", "secret")};
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *c = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;
	char url[128];

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "u,bearer,user=me:secret/data", &s, &a, &err), err);
	read_right(a, OFF);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~tag=u,bearer,user=me:secret/data",
	         server.port);
	assert_string_equal(s.url, url);
	assert_ok(open_as("", "u,bearer,user=me:secret/data", &late, &b, &err), err);
	assert_int_equal(late.nrefused, 1);
	assert_ok(open_as("me:secret@", "u,bearer,user=me:secret/data", NULL, &c, &err), err);
	assert_int_equal(stat("tokens"), 1);
	assert_fails(open_as("", "u,bearer,user=me:secret/data", NULL, &none, &err), -EACCES, err,
	             "the token server http://127.0.0.1:");
	assert_non_null(strstr(err.msg, ": the answer was 401 Unauthorized"));
	assert_fails(open_as("me:wrong@", "u,bearer,user=me:secret/data", NULL, &none, &err),
	             -EACCES, err, "the answer was 401 Unauthorized");
	assert_null(strstr(err.msg, "secret/~")); /* of a query nothing is shown */
}

static void test_refresh_token(void **state)
{
	struct source s = {.first = {.refresh_token = (char[]){"id&1"}}};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "r,bearer,refresh=id&1/data", &s, &b, &err), err);
	read_right(b, OFF);
	assert_int_equal(stat("tokens"), 1);
}

/* A token that is there already; it is sent to whoever asks, as it is. */
static void test_ready_token(void **state)
{
	struct source s = {.first = {.bearer = (char[]){"dG9rZW4="}},
	                   .second = {.bearer = (char[]){"dG9rZW4="}}};
	struct source bad = {.first = {.bearer = (char[]){"a\r\nX: y"}},
	                     .second = {.bearer = (char[]){"a\r\nX: y"}}};
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_fails(open_as("", "rt,bearer/data", &s, &none, &err), -EACCES, err,
	             "who we are (a token) is not accepted");
	assert_int_equal(stat("tokens"), 0);
	assert_int_equal(stat("authorized"), 1);
	assert_fails(open_as("", "rt,bearer/data", &bad, &none, &err), -EACCES, err,
	             "has a character that no token has");
	assert_int_equal(stat("authorized"), 1);
}

static void test_source_fails(void **state)
{
	struct source s = {.code = -EIO};
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(open_as("", "f,bearer/data", &s, &none, &err), -EIO, err,
	             "/data: bytes 0-4095: the helper is not at home");
	assert_int_equal(s.nasked, 1);
}

/* Each token is good for three requests: then there is a 401, one new token, and the bytes. */
static void test_expired(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "x,bearer,uses=3/data", NULL, &b, &err), err);
	for (unsigned i = 0; i < 8; i++)
		read_right(b, OFF + i);
	assert_int_equal(stat("tokens"), 3);
	assert_int_equal(stat("refusals"), 3);
	assert_int_equal(ovbd_http_stats(b).requests, 9 + 3 + 3);
	assert_int_equal(ovbd_http_stats(b).retries, 0);
}

/* From the second read on nobody is let in: one new token for each read, and no loop. */
static void test_storm(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	uint8_t buf[10];

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "s,bearer,life=99,after=3,never/data", NULL, &b, &err), err);
	read_right(b, OFF);
	for (unsigned i = 1; i <= 2; i++) {
		assert_fails(ovbd_blob_pread(b, buf, sizeof(buf), OFF, &err), -EACCES, err,
		             "bytes 100000-100009: the answer was 401 Unauthorized, again after a "
		             "new login");
		assert_int_equal(stat("tokens"), 1 + i);
		assert_int_equal(stat("requests"), 3 + 2 * i);
	}
}

/* A token that says it lives for a second is renewed before its end: the server never has to say
 * 401. (It would, for none: that it lets in an old one is what makes the test true on a busy
 * machine.) */
static void test_renewed_in_time(void **state)
{
	const struct timespec tick = {.tv_nsec = 20000000};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_as("", "l,bearer,life=1/data", NULL, &b, &err), err);
	while (stat("tokens") < 3) {
		read_right(b, OFF);
		nanosleep(&tick, NULL);
	}
	assert_int_equal(stat("refusals"), 1);
}

/* What cannot be a challenge that we understand, or leads where no password goes. */
static void test_challenges(void **state)
{
	static const struct {
		const char *challenge, *text;
	} cases[] = {
		{"Negotiate", "it asks for Negotiate, which is not known here"},
		{"Bearer realm=%22ftp://u:s%40h/x%3Fq%22",
	         "its token server 'ftp://h/x?…' is not a URL"},
		{"Bearer realm=%22http://127.0.0.1:1/x%22",
	         "the token server http://127.0.0.1:1/x: Failed to connect"},
		{"Bearer scope=%22x%22", "401 Unauthorized"},
	};
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char lie[256];
		int r;

		snprintf(lie, sizeof(lie), "c%zu,bearer,never,challenge=", i);
		for (const char *at = cases[i].challenge; *at; at++)
			snprintf(lie + strlen(lie), sizeof(lie) - strlen(lie),
			         strchr("/ ", *at) ? "%%%02x" : "%c", *at);
		strcat(lie, "/data");
		r = open_as("", lie, NULL, &none, &err);
		assert_true(r == -EACCES || r == -EIO);
		assert_fails(r, r, err, cases[i].text);
	}
}

/* A registry with TLS names a token server without: it gets no request at all. */
static void test_plain_realm(void **state)
{
	struct source s = {.first = user("me", "secret")};
	const struct ovbd_http_params p = {
		.backoff_ms = 1,
		.tls.skip_verify = true,
		.logins = {.get = source_get, .ctx = &s},
	};
	struct test_server tls;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char url[256], cert[300], key[300];

	(void)state;
	if (!test_make_cert(site.dir)) {
		print_message("openssl is not installed\n");
		skip();
	}
	snprintf(cert, sizeof(cert), "%s/cert.pem", site.dir);
	snprintf(key, sizeof(key), "%s/key.pem", site.dir);
	test_server_start(&tls, site.dir, 0, cert, key);
	test_server_forget(&server);
	snprintf(url, sizeof(url),
	         "https://127.0.0.1:%u/~bearer,never,challenge=Bearer%%20realm=%%22http:%%2F%%2F"
	         "127.0.0.1:%u%%2F~token%%2F%%22/data",
	         tls.port, server.port);
	assert_fails(ovbd_http_open(url, &p, &b, &err), -EACCES, err,
	             "is http:// for an https:// registry: nobody is told a password there");
	assert_int_equal(stat("tokens"), 0);
	assert_int_equal(stat("connections"), 2); /* those that ask */
	test_server_kill(&tls);
}

/* A token server in trouble is trouble that passes; its 404 is none of the object. */
static void test_token_server_fails(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(open_as("", "d,bearer,badtoken=503/data", NULL, &b, &err), -EAGAIN, err,
	             "/: the answer was 503 Service Unavailable");
	assert_non_null(strstr(err.msg, "gave up after 3 attempts"));
	assert_fails(open_as("", "d,bearer,badtoken=404/data", NULL, &b, &err), -EIO, err,
	             "/: the answer was 404 Not Found");
	assert_fails(open_as("", "d,bearer,badtoken=403/data", NULL, &b, &err), -EACCES, err,
	             "/: the answer was 403 Forbidden");
	assert_fails(open_as("", "d,bearer,badtoken=200/data", NULL, &b, &err), -EIO, err,
	             "/: there is no token in its answer");
}

static void test_document(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	struct ovbd_http_document d;
	struct ovbd_error err;
	char url[256];

	(void)state;
	test_server_forget(&server);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~tag=doc,bearer/data", server.port);
	assert_ok(ovbd_http_get(url, &p, "text/plain", TEST_SITE_SIZE, &d, &err), err);
	assert_int_equal(d.len, TEST_SITE_SIZE);
	assert_memory_equal(d.body, site.data, d.len);
	assert_string_equal(d.type, "application/octet-stream");
	free(d.body);
	assert_fails(ovbd_http_get(url, &p, NULL, 1000, &d, &err), -E2BIG, err,
	             "/data: it has 300001 bytes, more than 1000");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~longchunked=1/one", server.port);
	assert_fails(ovbd_http_get(url, &p, NULL, 1, &d, &err), -E2BIG, err,
	             "it has more than 1 bytes");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~times=1,short=10/data", server.port);
	assert_ok(ovbd_http_get(url, &p, NULL, TEST_SITE_SIZE, &d, &err), err);
	assert_int_equal(d.len, TEST_SITE_SIZE);
	free(d.body);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/empty", server.port);
	assert_ok(ovbd_http_get(url, &p, NULL, 1, &d, &err), err);
	assert_string_equal(d.body, "");
	free(d.body);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/none", server.port);
	assert_fails(ovbd_http_get(url, NULL, NULL, 1, &d, &err), -ENOENT, err,
	             "/none: the answer was 404 Not Found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),           cmocka_unit_test(test_token),
		cmocka_unit_test(test_token_for_user),  cmocka_unit_test(test_refresh_token),
		cmocka_unit_test(test_ready_token),     cmocka_unit_test(test_source_fails),
		cmocka_unit_test(test_expired),         cmocka_unit_test(test_storm),
		cmocka_unit_test(test_renewed_in_time), cmocka_unit_test(test_challenges),
		cmocka_unit_test(test_plain_realm),     cmocka_unit_test(test_token_server_fails),
		cmocka_unit_test(test_document),
	};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
