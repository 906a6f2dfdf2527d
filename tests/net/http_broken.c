// SPDX-License-Identifier: Apache-2.0
/* Connections to a real server that break, or die without a word; HTTP/2 and TLS, too. */
#include "tests/unit/test.h"

#include <stdio.h>

#include "base/auto.h"
#include "remote/http.h"
#include "tests/net/nginx.h"
#include "tests/net/proxy.h"

#define TLS_ANSWER_MAX 4000 /* the handshake, and an answer with 1000 bytes, are shorter */

/* A connection of which nothing comes any more, though it stays open, is given up for a new one,
 * also where (HTTP/2) a single request can be given up. */
static void test_frozen(void **state)
{
	const struct ovbd_http_params p = {.stall_timeout_ms = 500,
	                                   .backoff_ms = 1,
	                                   .tls.ca_file = nginx.ca_file};
	AUTO_BLOB *b = NULL;
	struct test_proxy proxy;
	struct ovbd_error err;
	uint8_t buf[100];
	char url[64];

	(void)state;
	test_nginx_need();
	for (unsigned i = 0; i < 2; i++) {
		test_proxy_start(&proxy, i ? nginx.tls_port : nginx.port);
		snprintf(url, sizeof(url), "%s://127.0.0.1:%u/data", i ? "https" : "http",
		         proxy.port);
		assert_ok(ovbd_http_open(url, &p, &b, &err), err);
		test_proxy_do(&proxy, "freeze");
		assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err), err);
		assert_memory_equal(buf, nginx.site.data + 50000, sizeof(buf));
		assert_true(ovbd_http_stats(b).retries >= 1);
		ovbd_blob_close(OVBD_MOVE(b));
		test_proxy_stop(&proxy);
	}
}

/* TLS with HTTP/2 in it, broken at any byte of a connection: the read goes on over a new one. */
static void test_spoilt_tls(void **state)
{
	static const struct {
		const char *how;
		unsigned step;
	} cases[] = {{"end", 61}, {"reset", 61}, {"flip=1", 61}, {"stall", 800}};
	const struct ovbd_http_params p = {.connect_timeout_ms = 500,
	                                   .stall_timeout_ms = 500,
	                                   .max_attempts = 100,
	                                   .backoff_ms = 1,
	                                   .tls.ca_file = nginx.ca_file};
	AUTO_BLOB *b = NULL;
	struct test_proxy proxy;
	struct ovbd_error err;
	uint8_t buf[1000];
	char text[64];

	(void)state;
	test_nginx_need();
	test_proxy_start(&proxy, nginx.tls_port);
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/data", proxy.port);
	assert_ok(ovbd_http_open(text, &p, &b, &err), err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned at = 0; at < TLS_ANSWER_MAX; at += cases[i].step) {
			snprintf(text, sizeof(text), "%s at=%u times=1", cases[i].how, at);
			test_proxy_do(&proxy, text);
			test_proxy_do(&proxy, "cut");
			/* a certificate with another bit is another's, and not asked for again */
			if (ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err) < 0 &&
			    (cases[i].how[0] != 'f' || !strstr(err.msg, "certificate") ||
			     ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err) < 0))
				fail_msg("%s: %s", text, err.msg);
			assert_memory_equal(buf, nginx.site.data + 50000, sizeof(buf));
		}
	test_proxy_stop(&proxy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_spoilt_tls),
	};
	const int r = cmocka_run_group_tests(tests, test_nginx_setup, test_nginx_teardown);

	return r == 0 && nginx.pid < 0 ? 77 : r;
}
