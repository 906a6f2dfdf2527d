// SPDX-License-Identifier: Apache-2.0
/*
 * A registry that redirects to a storage with signed URLs: who is told what, how long a target is
 * used, and what ends. The storage is another server: another port is another origin.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "remote/http.h"
#include "tests/net/fixture.h"

#define OFF 100000

static struct test_server storage;

static int setup(void **state)
{
	test_net_setup(state);
	test_server_start(&storage, site.dir, 0, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	test_server_kill(&storage);
	return test_net_teardown(state);
}

/* The registry's URL, with lies of its own, that redirects to the storage; each time it is asked to
 * another path there, with lies in which %2C is a comma. */
static int open_signed(const char *user, const char *lies, const char *target_lies,
                       struct ovbd_blob **ret, struct ovbd_error *err)
{
	const struct ovbd_http_params p = {.backoff_ms = 1, .max_attempts = 4};
	char url[512];

	test_server_forget(&server);
	test_server_forget(&storage);
	snprintf(url, sizeof(url),
	         "http://%s127.0.0.1:%u/~%s,to=http:%%2F%%2F127.0.0.1:%u%%2F~tag={n}%s%%2Fdata"
	         "%%3FX-Signature=secret/data",
	         user, server.port, lies, storage.port, target_lies);
	return ovbd_http_open(url, &p, ret, err);
}

static void read_right(struct ovbd_blob *b)
{
	struct ovbd_error err;
	uint8_t buf[100];

	assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), OFF, &err), err);
	assert_memory_equal(buf, site.data + OFF, sizeof(buf));
}

/* The registry is asked once; the storage is never told who we are, whatever that is. */
static void test_target_is_kept(void **state)
{
	static const struct {
		const char *user, *lies;
		unsigned nasked; /* of the registry */
	} cases[] = {
		{"", "tag=k", 1},
		{"u:p@", "basic=u:p", 1},
		{"", "bearer", 2},
	};
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_BLOB *b = NULL;

		assert_ok(open_signed(cases[i].user, cases[i].lies, "", &b, &err), err);
		for (unsigned j = 0; j < 5; j++)
			read_right(b);
		assert_int_equal(test_server_stat(&server, "requests"), cases[i].nasked);
		assert_int_equal(test_server_stat(&storage, "requests"), 6);
		assert_int_equal(test_server_stat(&storage, "authorized"), 0);
		assert_int_equal(ovbd_http_stats(b).retries, 0);
	}
}

/* Each signed URL is good for three requests; what refuses it then is no error. */
static void test_target_expires(void **state)
{
	static const unsigned statuses[] = {400, 401, 403, 404, 410};
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		AUTO_BLOB *b = NULL;
		char lies[64];

		snprintf(lies, sizeof(lies), "%%2Cafter=3%%2Cstatus=%u", statuses[i]);
		assert_ok(open_signed("", "bearer", lies, &b, &err), err);
		for (unsigned j = 0; j < 8; j++)
			read_right(b);
		assert_int_equal(test_server_stat(&server, "requests"), 1 + 3);
		assert_int_equal(test_server_stat(&storage, "requests"), 9 + 2);
		assert_int_equal(test_server_stat(&storage, "authorized"), 0);
		assert_int_equal(ovbd_http_stats(b).retries, 0);
	}
}

/* A fresh target that is refused is the end: each read has found out for itself, once. */
static void test_target_is_refused(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(open_signed("", "tag=r", "%2Cstatus=403", &b, &err), -EACCES, err,
	             "the answer was 403 Forbidden, after a redirect to http://127.0.0.1:");
	assert_non_null(strstr(err.msg, "status=403/data?…"));
	assert_int_equal(test_server_stat(&server, "requests"), 1);
	assert_int_equal(test_server_stat(&storage, "requests"), 1);
	/* who is asked for a password by a storage does not get one */
	assert_fails(open_signed("u:p@", "basic=u:p", "%2Cbasic=u:p", &b, &err), -EACCES, err,
	             "the answer was 401 Unauthorized, after a redirect to");
	assert_int_equal(test_server_stat(&storage, "authorized"), 0);
	assert_int_equal(test_server_stat(&storage, "requests"), 1);
}

/* A storage that is in trouble is left; the registry may know another. */
static void test_target_fails(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(open_signed("", "tag=f", "%2Cafter=1%2Cstatus=503", &b, &err), err);
	for (unsigned i = 1; i <= 3; i++) {
		read_right(b);
		assert_int_equal(ovbd_http_stats(b).retries, i);
		assert_int_equal(test_server_stat(&server, "requests"), 1 + i);
	}
}

/* Within its origin a redirect takes the login along, and it is still needed there. */
static void test_same_origin(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *back = NULL;
	struct ovbd_error err;
	char url[400];

	(void)state;
	test_server_forget(&server);
	snprintf(url, sizeof(url), "http://u:p@127.0.0.1:%u/~to=%%2F~basic=u:p%%2Fdata/data",
	         server.port);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	read_right(b);
	assert_int_equal(test_server_stat(&server, "requests"), 3);
	assert_int_equal(test_server_stat(&server, "authorized"), 3);
	/* but one that has led away does not bring it back */
	snprintf(url, sizeof(url),
	         "http://u:p@127.0.0.1:%u/~to=http:%%2F%%2F127.0.0.1:%u%%2F~to=http:%%252F%%252F"
	         "127.0.0.1:%u%%252Fdata%%2Fdata/data",
	         server.port, storage.port, server.port);
	test_server_forget(&server);
	test_server_forget(&storage);
	assert_ok(ovbd_http_open(url, &p, &back, &err), err);
	assert_int_equal(test_server_stat(&server, "requests"), 2);
	assert_int_equal(test_server_stat(&server, "authorized"), 1);
	assert_int_equal(test_server_stat(&storage, "authorized"), 0);
}

/* A header that is for a host goes to this host only. */
static void test_headers(void **state)
{
	static const char *const headers[] = {"Authorization: Bearer of-the-host", NULL};
	const struct ovbd_http_params p = {.headers = headers};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char url[256];

	(void)state;
	test_server_forget(&server);
	test_server_forget(&storage);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~to=http:%%2F%%2F127.0.0.1:%u%%2Fdata/data",
	         server.port, storage.port);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	assert_int_equal(test_server_stat(&server, "authorized"), 1);
	assert_int_equal(test_server_stat(&storage, "authorized"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_is_kept),    cmocka_unit_test(test_target_expires),
		cmocka_unit_test(test_target_is_refused), cmocka_unit_test(test_target_fails),
		cmocka_unit_test(test_same_origin),       cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
