// SPDX-License-Identifier: Apache-2.0
/* Many readers at once, and a server that is killed under them and comes back: every byte right. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "remote/http.h"
#include "tests/net/fixture.h"

#define NTHREADS 16
#define READ_MAX 20000

struct readers {
	struct ovbd_blob *blobs[2];
	unsigned nreads;    /* each */
	atomic_uint ndone;  /* of all */
	atomic_uint nwrong; /* failed, or with wrong bytes */
	struct ovbd_error err;
	pthread_t threads[NTHREADS];
	atomic_uint next_seed;
};

static void *reader(void *arg)
{
	struct readers *rs = arg;
	uint64_t seed = atomic_fetch_add(&rs->next_seed, 1);
	static _Thread_local uint8_t buf[READ_MAX];

	for (unsigned i = 0; i < rs->nreads; i++) {
		const size_t len = 1 + test_random(&seed) % READ_MAX;
		const uint64_t off = test_random(&seed) % (TEST_SITE_SIZE - len + 1);
		struct ovbd_error err = {""};
		const int r = ovbd_blob_pread(rs->blobs[i % 2], buf, len, off, &err);

		if ((r < 0 || memcmp(buf, site.data + off, len) != 0) &&
		    atomic_fetch_add(&rs->nwrong, 1) == 0)
			rs->err = err;
		atomic_fetch_add(&rs->ndone, 1);
	}
	return NULL;
}

static void start(struct readers *rs, const char *lie, const struct ovbd_http_params *p)
{
	struct ovbd_error err;
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%sdata", server.port, lie);
	for (size_t i = 0; i < 2; i++)
		assert_ok(ovbd_http_open(url, p, &rs->blobs[i], &err), err);
	for (size_t i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&rs->threads[i], NULL, reader, rs), 0);
}

static void join(struct readers *rs)
{
	for (size_t i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(rs->threads[i], NULL), 0);
	if (atomic_load(&rs->nwrong))
		fail_msg("%u of %u reads: %s", atomic_load(&rs->nwrong), atomic_load(&rs->ndone),
		         rs->err.msg);
	assert_int_equal(atomic_load(&rs->ndone), NTHREADS * rs->nreads);
	ovbd_blob_close(rs->blobs[0]);
	ovbd_blob_close(rs->blobs[1]);
}

/* Each thread has a connection, which it keeps. */
static void test_parallel(void **state)
{
	struct readers rs = {.nreads = 25};
	uint64_t nconnections;

	(void)state;
	test_server_forget(&server);
	start(&rs, "", NULL);
	join(&rs);
	nconnections = test_server_stat(&server, "connections") - 1; /* that which asks */
	assert_in_range(nconnections, 1, NTHREADS + 1);
}

/* Requests that break, or are answered wrongly for fewer times than would be given up after. */
static void test_parallel_with_trouble(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	struct readers rs = {.nreads = 10};

	(void)state;
	start(&rs, "~after=20,times=10,short=100/", &p);
	join(&rs);
	memset(&rs, 0, sizeof(rs));
	rs.nreads = 10;
	start(&rs, "~after=20,times=10,reset=5000/", &p);
	join(&rs);
	memset(&rs, 0, sizeof(rs));
	rs.nreads = 10;
	start(&rs, "~after=20,times=2,early/", &p);
	join(&rs);
}

/* Each token is good for 90 requests, and its server is slow: however many readers wait for the
 * next one, it is made once. Two are enough for all, so none is used up by others before a reader
 * that waited for it comes to use it. */
static void test_one_token_for_all(void **state)
{
	const uint64_t uses = 90;
	const struct ovbd_http_params p = {.backoff_ms = 1};
	struct readers rs = {.nreads = 10};
	uint64_t nanswered;

	(void)state;
	test_server_forget(&server);
	start(&rs, "~bearer,uses=90,slowtoken=0.2/", &p);
	join(&rs);
	nanswered = test_server_stat(&server, "requests") - test_server_stat(&server, "refusals");
	assert_int_equal(test_server_stat(&server, "tokens"), (nanswered + uses - 1) / uses);
}

/* From one moment on nobody is let in, whatever he has: all are told so, and none goes on. */
static void test_storm(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	struct readers rs = {.nreads = 1};

	(void)state;
	test_server_forget(&server);
	start(&rs, "~bearer,life=99,slowtoken=0.2,after=3,never/", &p);
	for (size_t i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(rs.threads[i], NULL), 0);
	assert_int_equal(atomic_load(&rs.nwrong), NTHREADS);
	assert_non_null(strstr(rs.err.msg, "the answer was 401 Unauthorized, again"));
	assert_true(test_server_stat(&server, "tokens") <= 1 + NTHREADS);
	assert_true(test_server_stat(&server, "requests") <= 3 + 6 * NTHREADS);
	ovbd_blob_close(rs.blobs[0]);
	ovbd_blob_close(rs.blobs[1]);
}

/* Two mirrors that go and come: nothing is seen of it. */
static void test_hosts(void **state)
{
	struct ovbd_http_host hosts[2] = {{NULL}, {NULL}};
	const struct ovbd_http_params p = {.backoff_ms = 1, .hosts = hosts, .nhosts = 2};
	struct readers rs = {.nreads = 12};
	char a[128], b[128], cmd[900];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/v2/r/blobs && ln %s/data %s/v2/r/blobs/", site.dir,
	         site.dir, site.dir);
	assert_int_equal(test_run(argv), 0);
	snprintf(a, sizeof(a), "http://a.localhost:%u/~after=30,times=3,status=503/v2",
	         server.port);
	snprintf(b, sizeof(b), "http://b.localhost:%u/~after=10,times=50,drop/v2", server.port);
	hosts[0].base = a;
	hosts[1].base = b;
	start(&rs, "v2/r/blobs/", &p);
	join(&rs);
}

static void wait_for(struct readers *rs, bool (*condition)(struct readers *rs))
{
	const struct timespec tick = {.tv_nsec = 1000000};

	while (!condition(rs))
		nanosleep(&tick, NULL);
}

static bool some_done(struct readers *rs)
{
	return atomic_load(&rs->ndone) >= 3 * NTHREADS;
}

static bool some_noticed(struct readers *rs)
{
	return ovbd_http_stats(rs->blobs[0]).retries + ovbd_http_stats(rs->blobs[1]).retries >=
	       NTHREADS;
}

static void test_killed_and_restarted(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 20, .max_attempts = 100};
	struct readers rs = {.nreads = 6};

	(void)state;
	start(&rs, "~slow=400000/", &p); /* so that it dies in mid-read */
	wait_for(&rs, some_done);
	test_server_kill(&server);
	wait_for(&rs, some_noticed);
	test_server_start(&server, site.dir, server.port, NULL, NULL);
	join(&rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_parallel_with_trouble),
		cmocka_unit_test(test_one_token_for_all),
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_killed_and_restarted),
	};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
