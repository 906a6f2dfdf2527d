// SPDX-License-Identifier: Apache-2.0
/* How long a read may take: what the server asks for, what we are ready to wait, and who wins. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "remote/ahead.h"
#include "remote/http.h"
#include "remote/patience.h"
#include "remote/prefetch.h"
#include "tests/net/fixture.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int open_lie(const char *lie, const struct ovbd_http_params *p, struct ovbd_blob **ret,
                    struct ovbd_error *err)
{
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s/data", server.port, lie);
	return ovbd_http_open(url, p, ret, err);
}

/* Reads once, with the right bytes if it succeeds; *ret_took in seconds. */
static int timed_read(struct ovbd_blob *b, double *ret_took, struct ovbd_error *err)
{
	const double start = now();
	uint8_t buf[1000];
	int r;

	r = ovbd_blob_pread(b, buf, sizeof(buf), 50000, err);
	*ret_took = now() - start;
	if (r == 0)
		assert_memory_equal(buf, site.data + 50000, sizeof(buf));
	return r;
}

static void test_retry_after_is_honoured(void **state)
{
	static const char *const lies[] = {
		"~after=1,times=1,status=503,retryafter=1",
		"~after=1,times=1,status=429,retryafter=date+2", /* a date has whole seconds only */
	};
	const struct ovbd_http_params p = {.backoff_ms = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		double took;

		assert_ok(open_lie(lies[i], &p, &b, &err), err);
		assert_ok(timed_read(b, &took, &err), err);
		if (took < 0.9 || took > 20)
			fail_msg("%s: %.1f s", lies[i], took);
		assert_int_equal(ovbd_http_stats(b).retries, 1);
	}
}

/* To be asked to wait for longer than there is time ends at once. */
static void test_retry_after_beyond_deadline(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1, .deadline_ms = 20000};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double took;

	(void)state;
	assert_ok(open_lie("~after=1,status=503,retryafter=21", &p, &b, &err), err);
	assert_fails(timed_read(b, &took, &err), -EAGAIN, err,
	             "503 Service Unavailable, Retry-After: 21");
	assert_true(took < 10);
	assert_int_equal(ovbd_http_stats(b).retries, 0);
}

static void test_backoff_until_it_works(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 10};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double took;

	(void)state;
	assert_ok(open_lie("~after=1,times=5,status=500", &p, &b, &err), err);
	assert_ok(timed_read(b, &took, &err), err);
	assert_int_equal(ovbd_http_stats(b).retries, 5);
	assert_true(took >= 0.155); /* half of 10 + 20 + 40 + 80 + 160 */
}

/* Open gives up sooner than a read. */
static void test_open_attempts(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(open_lie("~status=500", &p, &b, &err), -EIO, err, "after 3 attempts");
	assert_fails(ovbd_http_open("http://127.0.0.1:1/x", &p, &b, &err), -EIO, err,
	             "after 3 attempts");
}

/* A body that trickles does not stall, but it ends with the deadline. */
static void test_deadline_in_body(void **state)
{
	const struct ovbd_http_params p = {.deadline_ms = 1000, .stall_timeout_ms = 900};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double took;

	(void)state;
	assert_ok(open_lie("~after=1,slow=100", &p, &b, &err), err);
	assert_fails(timed_read(b, &took, &err), -ETIMEDOUT, err, "the time was over, in the body");
	assert_true(took >= 0.99 && took < 10);
}

static void test_deadline_over_attempts(void **state)
{
	const struct ovbd_http_params p = {.deadline_ms = 1000,
	                                   .stall_timeout_ms = 300,
	                                   .backoff_ms = 1,
	                                   .open_attempts = 1000,
	                                   .max_attempts = 1000};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double took;

	(void)state;
	assert_ok(open_lie("~after=1,stall=10", &p, &b, &err), err);
	assert_fails(timed_read(b, &took, &err), -ETIMEDOUT, err, "bytes 50000-50999: ");
	assert_true(took >= 0.69 && took < 10);
	assert_true(ovbd_http_stats(b).retries >= 1);
}

/* One who takes connections, but never says a word: TLS is not set up in time. */
static void test_connect_timeout(void **state)
{
	const struct ovbd_http_params p = {.connect_timeout_ms = 150,
	                                   .backoff_ms = 1,
	                                   .open_attempts = 2};
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	const double start = now();
	char url[64];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/x", ntohs(addr.sin_port));
	assert_fails(ovbd_http_open(url, &p, &b, &err), -ETIMEDOUT, err,
	             "gave up after 2 attempts");
	assert_true(now() - start >= 0.29 && now() - start < 10);
	close(fd);
}

struct stopper {
	atomic_bool stop;
	pthread_t thread;
};

static void *stop_soon(void *arg)
{
	struct stopper *s = arg;
	const struct timespec soon = {.tv_nsec = 300000000};

	nanosleep(&soon, NULL);
	atomic_store(&s->stop, true);
	return NULL;
}

/* A read in which nobody is interested any more: from a server that says nothing, and while waiting
 * for the next attempt. The blob is as good as before. */
static void test_given_up(void **state)
{
	static const char *const lies[] = {"~after=1,times=1,stall=0",
	                                   "~after=1,times=1,status=503,retryafter=20"};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct stopper s = {.stop = false};
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		double took;

		assert_ok(open_lie(lies[i], NULL, &b, &err), err);
		ovbd_patience_set((struct ovbd_patience){.stop = &s.stop});
		assert_int_equal(pthread_create(&s.thread, NULL, stop_soon, &s), 0);
		assert_fails(timed_read(b, &took, &err), -ECANCELED, err, "given up");
		pthread_join(s.thread, NULL);
		ovbd_patience_set((struct ovbd_patience){0});
		if (took > 4)
			fail_msg("%s: %.1f s", lies[i], took);
		assert_ok(timed_read(b, &took, &err), err);
	}
}

/* What was waited before counts. */
static void test_time_spent(void **state)
{
	const struct ovbd_http_params p = {.deadline_ms = 20000, .stall_timeout_ms = 60000};
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double took;

	(void)state;
	assert_ok(open_lie("~after=1,stall=0", &p, &b, &err), err);
	ovbd_patience_set((struct ovbd_patience){.spent_ms = 30000});
	assert_fails(timed_read(b, &took, &err), -ETIMEDOUT, err, "the time was over");
	ovbd_patience_set((struct ovbd_patience){0});
	if (took < 0.9 || took > 10)
		fail_msg("%.1f s", took);
}

/* Who closes does not wait for what was to be fetched ahead. */
static void test_prefetch_ends(void **state)
{
	const struct ovbd_prefetch_range range = {.off = 50000, .len = 1000};
	struct ovbd_prefetch *f;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	double start;

	(void)state;
	test_server_forget(&server);
	assert_ok(open_lie("~after=1,mute", NULL, &b, &err), err);
	assert_ok(ovbd_ahead_open(OVBD_MOVE(b), false, &b, &err), err);
	assert_ok(ovbd_prefetch_start(&b, &range, 1, NULL, &f, &err), err);
	while (test_server_stat(&server, "requests") < 2)
		usleep(10000);
	start = now();
	ovbd_prefetch_close(f);
	assert_true(now() - start < 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_time_spent),
		cmocka_unit_test(test_prefetch_ends),
		cmocka_unit_test(test_retry_after_is_honoured),
		cmocka_unit_test(test_retry_after_beyond_deadline),
		cmocka_unit_test(test_backoff_until_it_works),
		cmocka_unit_test(test_open_attempts),
		cmocka_unit_test(test_deadline_in_body),
		cmocka_unit_test(test_deadline_over_attempts),
		cmocka_unit_test(test_connect_timeout),
	};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
