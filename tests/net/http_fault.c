// SPDX-License-Identifier: Apache-2.0
/* Every allocation of open and read that can fail, does: an error, nothing leaked, no harm
 * later. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "remote/http.h"
#include "tests/lib/fault.h"
#include "tests/net/server.h"

static int get_login(void *ctx, const char *url, bool refused, struct ovbd_http_login *ret,
                     struct ovbd_error *err)
{
	(void)ctx;
	(void)url;
	(void)refused;
	(void)err;
	ret->user = strdup("u");
	ret->password = strdup("p");
	return 0;
}

static void fail_each(const struct test_site *site, const char *url,
                      const struct ovbd_http_params *p)
{
	long n;

	for (n = 1;; n++) {
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		uint8_t buf[100];
		int r;

		test_fault_set(n);
		r = ovbd_http_open(url, p, &b, &err);
		if (r == 0)
			r = ovbd_blob_pread(b, buf, sizeof(buf), 10000, &err);
		if (!test_fault_hit()) {
			assert_ok(r, err);
			assert_memory_equal(buf, site->data + 10000, sizeof(buf));
			break;
		}
		assert_fails(r, -ENOMEM, err, "out of memory");
	}
	assert_true(n > 2);
}

static void test_allocations(void **state)
{
	struct test_site site;
	struct test_server server;
	char url[64], login[128], base[64];
	struct ovbd_http_host host = {.base = base, .prefix = true};
	const struct ovbd_http_params p = {
		.logins = {.get = get_login},
		.hosts = &host,
		.nhosts = 1,
		.backoff_ms = 1,
	};

	(void)state;
	test_site_create(&site);
	test_server_start(&server, site.dir, 0, NULL, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/data", server.port);
	fail_each(&site, url, NULL);
	/* each token is good for one request, and a mirror has nothing */
	snprintf(login, sizeof(login), "http://127.0.0.1:%u/~bearer,user=u:p,uses=1/data",
	         server.port);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/none", server.port);
	fail_each(&site, login, &p);
	test_server_kill(&server);
	test_site_remove(&site);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_allocations)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
