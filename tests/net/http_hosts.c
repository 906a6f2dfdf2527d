// SPDX-License-Identifier: Apache-2.0
/* Mirrors and proxies: who is asked when, and what a mirror can do to a read: nothing. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "remote/http.h"
#include "tests/net/fixture.h"

#define OFF 100000

/* Both serve /v2/r/blobs/data; the mirror's lies are in the base URL. */
static struct test_server mirror;

static int setup(void **state)
{
	char cmd[1000];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	test_net_setup(state);
	snprintf(cmd, sizeof(cmd),
	         "mkdir -p %s/v2/r/blobs && ln -s ../../../data %s/v2/r/blobs/data && "
	         "ln -s ../../../one %s/v2/r/blobs/one",
	         site.dir, site.dir, site.dir);
	assert_int_equal(test_run(argv), 0);
	test_server_start(&mirror, site.dir, 0, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	test_server_kill(&mirror);
	return test_net_teardown(state);
}

/* bases, up to NULL, are those of the hosts; lies are the own host's. What is known of hosts that
 * failed is known by their names, so each test has names of its own (all of localhost are it). */
static int open_with(const char *const *bases, bool prefix, const char *lies,
                     struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_http_host hosts[4] = {{NULL}};
	char lie[128];
	const char *const headers[] = {lie, NULL};
	struct ovbd_http_params p = {
		.backoff_ms = 1,
		.max_attempts = 3,
		.headers = lies[0] ? headers : NULL,
		.stall_timeout_ms = strstr(bases[0], "stall") ? 300 : 10000,
		.hosts = hosts,
	};
	char url[256];

	for (; bases[p.nhosts]; p.nhosts++)
		hosts[p.nhosts] = (struct ovbd_http_host){.base = bases[p.nhosts],
		                                          .prefix = prefix,
		                                          .ns = "r.io"};
	snprintf(lie, sizeof(lie), "X-Lie: %s", lies);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/r/blobs/data", server.port);
	return ovbd_http_open(url, &p, ret, err);
}

static void read_right(struct ovbd_blob *b)
{
	struct ovbd_error err;
	uint8_t buf[100];

	assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), OFF, &err), err);
	assert_memory_equal(buf, site.data + OFF, sizeof(buf));
}

/* A mirror that works is all that is asked. */
static void test_mirror(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char base[64];

	(void)state;
	test_server_forget(&server);
	test_server_forget(&mirror);
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/v2", mirror.port);
	assert_ok(open_with((const char *[]){base, NULL}, false, "", &b, &err), err);
	for (unsigned i = 0; i < 3; i++)
		read_right(b);
	assert_int_equal(test_server_stat(&mirror, "requests"), 4);
	assert_int_equal(test_server_stat(&server, "requests"), 0);
}

/* Of each kind of trouble the reader sees nothing, and the mirror is not asked again soon: at open
 * (after 0, where all is wrong with it at once) and in mid-life. */
static void test_fail_over(void **state)
{
	static const struct {
		const char *lie;
		unsigned nasked; /* with the lie, at most */
	} cases[] = {
		{"status=404", 1}, {"status=401", 1},
		{"status=403", 1}, {"status=429,retryafter=100", 1},
		{"status=500", 1}, {"status=503", 1},
		{"drop", 2}, /* libcurl itself asks again over a new connection */
		{"stall=10", 1},   {"bearer,badtoken=500", 2},
		{"ok200", 1},      {"encoding=gzip", 1},
		{"badstatus", 1},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned after = i % 2; /* requests that are answered honestly */
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		char base[128];

		test_server_forget(&mirror);
		snprintf(base, sizeof(base), "http://m%zu.localhost:%u/~after=%u,%s/v2", i,
		         mirror.port, after, cases[i / 2].lie);
		assert_ok(open_with((const char *[]){base, NULL}, false, "", &b, &err), err);
		for (unsigned j = 0; j < 3; j++)
			read_right(b);
		if (ovbd_http_stats(b).retries != 0)
			fail_msg("%s: a round that failed", base);
		if (test_server_stat(&mirror, "requests") > 2 * after + cases[i / 2].nasked)
			fail_msg("%s: asked again", base);
	}
}

/* Nobody listens at port 1: another blob of the process knows. What a server of the process's
 * learned is by origin, so this mirror is no other test's. */
static void test_dead_mirror(void **state)
{
	static const char *const bases[] = {"http://127.0.0.1:1/v2", NULL};
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_with(bases, false, "", &a, &err), err);
	read_right(a);
	assert_ok(open_with(bases, false, "tag=2", &b, &err), err);
	read_right(b);
	assert_int_equal(ovbd_http_stats(a).retries + ovbd_http_stats(b).retries, 0);
}

/* A mirror that others have given up is the last hope when the own host fails. */
static void test_both_ways(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char base[128];

	(void)state;
	snprintf(base, sizeof(base), "http://both.localhost:%u/~times=1,status=500/v2",
	         mirror.port);
	assert_ok(open_with((const char *[]){base, NULL}, false, "after=1,status=500", &b, &err),
	          err);
	test_server_forget(&mirror); /* and its one lie begins anew: */
	read_right(b);
	assert_int_equal(ovbd_http_stats(b).retries, 1);
}

/* All fail: the own host's code, and the story. */
static void test_story(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char base[128], text[128];

	(void)state;
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/~status=404/v2", mirror.port);
	assert_fails(open_with((const char *[]){"http://localhost:1/v2", base, NULL}, false,
	                       "status=503", &b, &err),
	             -EAGAIN, err, "/v2/r/blobs/data: bytes 0-4095: gave up after ");
	assert_non_null(strstr(err.msg, "localhost:1: Failed to connect to localhost port 1: "
	                                "Connection refused (3x)"));
	snprintf(text, sizeof(text), "; 127.0.0.1:%u: the answer was 404 ", mirror.port);
	assert_non_null(strstr(err.msg, text));
	snprintf(text, sizeof(text), "; 127.0.0.1:%u: the answer was 503 Service Unavailable (3x)",
	         server.port);
	assert_non_null(strstr(err.msg, text));
	assert_true(strlen(err.msg) < 600);
	/* its 404 is the end, without another round */
	assert_fails(open_with((const char *[]){"http://localhost:1/v2", NULL}, false, "status=404",
	                       &b, &err),
	             -ENOENT, err, "gave up after 2 attempts");
}

/* Another ETag is no other object; another size is, and so is another ETag of the same host. */
static void test_validators(void **state)
{
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	uint8_t buf[10];
	char base[128];

	(void)state;
	snprintf(base, sizeof(base), "http://valid.localhost:%u/~after=2,status=500/v2",
	         mirror.port);
	assert_ok(open_with((const char *[]){base, NULL}, false, "etag=%22o%22", &a, &err), err);
	for (unsigned i = 0; i < 4; i++)
		read_right(a);
	snprintf(base, sizeof(base), "http://small.localhost:%u/~after=1,status=500/v2",
	         mirror.port);
	assert_ok(open_with((const char *[]){base, NULL}, false, "size=1", &b, &err), err);
	assert_fails(ovbd_blob_pread(b, buf, sizeof(buf), OFF, &err), -ESTALE, err,
	             "it has 300002 bytes, and had 300001");
}

/* One that trickles has half of the time. */
static void test_slow_mirror(void **state)
{
	struct ovbd_http_host host = {NULL};
	const struct ovbd_http_params p = {.deadline_ms = 2000,
	                                   .backoff_ms = 1,
	                                   .hosts = &host,
	                                   .nhosts = 1};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char base[128], url[128];

	(void)state;
	snprintf(base, sizeof(base), "http://slow.localhost:%u/~after=1,slow=10/v2", mirror.port);
	host.base = base;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/r/blobs/data", server.port);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	read_right(b);
}

/* The whole URL behind its own; this server takes it for a path. What is not a registry's, too. */
static void test_prefix(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	struct ovbd_http_host host = {.prefix = true};
	const struct ovbd_http_params p = {.hosts = &host, .nhosts = 1};
	char base[128], url[128], cmd[1000];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	snprintf(base, sizeof(base), "http://127.0.0.1:%u/p2p", mirror.port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/data", server.port);
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/p2p/http:/127.0.0.1:%u && ln %s/data %s/p2p/%s",
	         site.dir, server.port, site.dir, site.dir, url);
	assert_int_equal(test_run(argv), 0);
	test_server_forget(&server);
	test_server_forget(&mirror);
	host.base = base;
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	read_right(b);
	assert_int_equal(test_server_stat(&server, "requests"), 0);
	assert_int_equal(test_server_stat(&mirror, "requests"), 2);
}

static void test_proxy(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	struct ovbd_http_params p = {.backoff_ms = 1};
	char proxy[64];

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", mirror.port);
	p.proxy = proxy;
	test_server_forget(&mirror);
	unsetenv("no_proxy");
	assert_ok(ovbd_http_open("http://registry.invalid/data", &p, &b, &err), err);
	setenv("no_proxy", "127.0.0.1,localhost", 1);
	read_right(b);
	assert_int_equal(test_server_stat(&mirror, "proxied"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mirror),      cmocka_unit_test(test_fail_over),
		cmocka_unit_test(test_dead_mirror), cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_story),       cmocka_unit_test(test_validators),
		cmocka_unit_test(test_slow_mirror), cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_proxy),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
