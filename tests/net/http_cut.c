// SPDX-License-Identifier: Apache-2.0
/* An answer that is cut at any of its bytes is trouble that passes: another attempt reads right. */
#include "tests/unit/test.h"

#include <stdio.h>

#include "remote/http.h"
#include "tests/net/fixture.h"
#include "tests/net/proxy.h"

#define OFF        50000
#define LEN        40
#define ANSWER_MAX 500 /* its head and body are shorter */

static struct test_proxy proxy;

static void cut_everywhere(const char *how)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	unsigned nnoticed = 0;
	uint64_t nretries;
	char text[128];

	snprintf(text, sizeof(text), "http://127.0.0.1:%u/data", proxy.port);
	assert_ok(ovbd_http_open(text, &p, &b, &err), err);
	for (unsigned at = 0; at < ANSWER_MAX; at++) {
		uint8_t buf[LEN];

		nretries = ovbd_http_stats(b).retries;
		snprintf(text, sizeof(text), "%s at=%u times=1", how, at);
		test_proxy_do(&proxy, text);
		if (ovbd_blob_pread(b, buf, LEN, OFF, &err) < 0)
			fail_msg("%s: %s", text, err.msg);
		if (memcmp(buf, site.data + OFF, LEN) != 0)
			fail_msg("%s: wrong bytes", text);
		nnoticed += ovbd_http_stats(b).retries > nretries;
	}
	assert_true(nnoticed > 200 + LEN); /* the head, but its first line, and the body */
	assert_int_equal(ovbd_http_stats(b).retries, nretries); /* the last was behind both */
}

static void test_closed(void **state)
{
	(void)state;
	cut_everywhere("end");
}

static void test_reset(void **state)
{
	(void)state;
	cut_everywhere("reset");
}

static int setup(void **state)
{
	test_net_setup(state);
	test_proxy_start(&proxy, server.port);
	return 0;
}

static int teardown(void **state)
{
	test_proxy_stop(&proxy);
	return test_net_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
